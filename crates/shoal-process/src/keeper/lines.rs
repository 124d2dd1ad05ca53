//! A stream of bytes cut into lines, none longer than a limit.
//!
//! Never: keeps more than one unfinished line, or more of it than the limit.

/// The most bytes of one line that are kept.
pub(crate) const LINE_MAX: usize = 16 * 1024;

/// Cuts one stream.
#[derive(Debug, Default)]
pub(crate) struct LineCutter {
    unfinished: Vec<u8>,
    cut: u64,
}

impl LineCutter {
    /// Takes what came next, and calls `each` with every line it ends: its bytes without the end, and how many were cut off.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], u64)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            self.keep(line);
            self.emit(&mut each);
        }
        self.keep(rest);
    }

    /// The stream has ended: what is unfinished counts as a line.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8], u64)) {
        if !self.unfinished.is_empty() || self.cut > 0 {
            self.emit(&mut each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_MAX - self.unfinished.len().min(LINE_MAX);
        let (kept, cut) = bytes.split_at(bytes.len().min(room));
        self.unfinished.extend_from_slice(kept);
        self.cut += cut.len() as u64;
    }

    fn emit(&mut self, each: &mut impl FnMut(&[u8], u64)) {
        let line = self.unfinished.strip_suffix(b"\r").unwrap_or(&self.unfinished);
        each(line, self.cut);
        self.cut = 0;
        self.unfinished.clear();
        // One long line must not keep its memory for as long as the keeper lives.
        self.unfinished.shrink_to(512);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(String, u64)> {
        let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
        for piece in pieces {
            cutter.feed(piece, |line, cut| lines.push((String::from_utf8_lossy(line).into_owned(), cut)));
        }
        cutter.finish(|line, cut| lines.push((String::from_utf8_lossy(line).into_owned(), cut)));
        lines
    }

    #[test]
    fn lines_across_pieces() {
        assert_eq!(
            cut(&[b"a\nb", b"c\r\n", b"\nlast"]),
            [("a".to_owned(), 0), ("bc".to_owned(), 0), (String::new(), 0), ("last".to_owned(), 0)]
        );
        assert_eq!(cut(&[b""]), []);
    }

    #[test]
    fn long_lines_are_cut_and_the_next_is_whole() {
        let long = vec![b'x'; LINE_MAX + 5];
        let lines = cut(&[&long, b"yy\nnext\n"]);
        assert_eq!((lines[0].0.len(), lines[0].1), (LINE_MAX, 7));
        assert_eq!(lines[1], ("next".to_owned(), 0));
    }

    proptest::proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[a-c\n]{0,80}", at in 0usize..80) {
            let bytes = text.as_bytes();
            let (left, right) = bytes.split_at(at.min(bytes.len()));
            proptest::prop_assert_eq!(cut(&[left, right]), cut(&[bytes]));
        }
    }
}
