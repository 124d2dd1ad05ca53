//! Requests that nobody thought of: those of the corpus, changed by chance. The same number gives the same bytes.

/// Whatever parsers trip over.
const PIECES: [&[u8]; 24] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b":",
    b";",
    b",",
    b"0",
    b"5",
    b"f",
    b"\xff",
    b"\"",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Host: evil\r\n",
    b"0\r\n\r\n",
    b"GET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1",
];

/// Numbers without an end, of which each seems to have nothing to do with the one before (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// The name of what is made with this number; no small change makes another's of it.
pub fn name(seed: u64) -> String {
    format!("changed-{:016x}", Chance(seed).next())
}

/// Changes a request in one to three places.
pub fn mutated(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len());
        match chance.below(7) {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => drop(bytes.remove(at)),
            2 | 3 => drop(bytes.splice(at..at, PIECES[chance.below(PIECES.len())].iter().copied())),
            4 => drop(bytes.splice(at..=at, PIECES[chance.below(PIECES.len())].iter().copied())),
            5 => bytes.truncate(at.max(1)),
            _ => {
                let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let (from, to) = (chance.below(lines.len()), chance.below(lines.len()));
                let mut lines = lines;
                lines.insert(to, lines[from].clone());
                bytes = lines.concat();
            }
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    bytes
}
