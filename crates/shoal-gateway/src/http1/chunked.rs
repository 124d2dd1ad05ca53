//! Bodies in chunks (RFC 9112 section 7.1), read strictly: a reader that mends what is not as specified may see another
//! end of the body than the next one. Pure.
//!
//! Never: passes a chunk extension or a trailer on.

/// The most digits of a chunk's size; the number always fits.
const DIGITS_MAX: u32 = 15;
/// The longest line of a size with its extensions, in bytes; the most bytes of all extensions; and of all trailers.
const LINE_MAX: u32 = 1024;
const EXTENSIONS_MAX: u32 = 16 * 1024;
const TRAILERS_MAX: u32 = 16 * 1024;

/// Where in a body its reader is.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    state: State,
    /// The size read so far, or what is left of the chunk.
    left: u64,
    /// Bytes of the present line, or of all trailers.
    line: u32,
    /// Bytes of all extensions.
    extensions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerEnd,
    LastEnd,
    Over,
}

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of the body; never empty.
    Data(&'a [u8]),
    /// Nothing without more input.
    More,
    /// Its end.
    End,
}

/// The input is not a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotChunked;

impl Decoder {
    /// At a body's beginning.
    pub(crate) fn new() -> Self {
        Self { state: State::Size, left: 0, line: 0, extensions: 0 }
    }

    /// Reads on; returns how many bytes of the input are used, and what they hold.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), NotChunked> {
        let mut used = 0;
        loop {
            match self.state {
                State::Over => return Ok((used, Piece::End)),
                State::Data => {
                    let rest = input.get(used..).unwrap_or_default();
                    let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                    let Some(data) = rest.get(..count).filter(|data| !data.is_empty()) else {
                        return Ok((used, Piece::More));
                    };
                    self.left -= count as u64;
                    if self.left == 0 {
                        self.state = State::DataReturn;
                    }
                    return Ok((used + count, Piece::Data(data)));
                }
                _ => {
                    let Some(byte) = input.get(used) else { return Ok((used, Piece::More)) };
                    used += 1;
                    self.state = self.line(*byte)?;
                }
            }
        }
    }

    /// The state after one more byte of what is around the data.
    fn line(&mut self, byte: u8) -> Result<State, NotChunked> {
        self.line += 1;
        let most = if matches!(self.state, State::TrailerStart | State::TrailerName | State::Trailer) {
            TRAILERS_MAX
        } else {
            LINE_MAX
        };
        if self.line > most {
            return Err(NotChunked);
        }
        match (self.state, byte) {
            (State::Size, b'\r') if self.line > 1 => Ok(State::SizeEnd),
            (State::Size, b';') if self.line > 1 => Ok(State::Extension),
            (State::Size, digit) if self.line <= DIGITS_MAX => {
                let digit = char::from(digit).to_digit(16).ok_or(NotChunked)?;
                self.left = self.left * 16 + u64::from(digit);
                Ok(State::Size)
            }
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS_MAX { Err(NotChunked) } else { Ok(State::Extension) }
            }
            (State::SizeEnd, b'\n') => {
                self.line = 0;
                Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataReturn, b'\r') => Ok(State::DataEnd),
            (State::DataEnd, b'\n') => {
                self.line = 0;
                Ok(State::Size)
            }
            (State::TrailerStart, b'\r') => Ok(State::LastEnd),
            (State::TrailerName, b':') => Ok(State::Trailer),
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => Ok(State::TrailerName),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Trailer),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::LastEnd, b'\n') => Ok(State::Over),
            _ => Err(NotChunked),
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Writes one chunk; none for no data, which would be the end.
pub(crate) fn encode(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = data.len();
    while rest > 0 {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b"0123456789abcdef".get(rest % 16).copied().unwrap_or(b'0');
        }
        rest /= 16;
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The end of a body in chunks.
pub(crate) const END: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A body's data, and what follows it.
    type Body = (Vec<u8>, Vec<u8>);

    /// All of a body when it comes in pieces of this size.
    fn decoded(input: &[u8], piece: usize) -> Result<Option<Body>, NotChunked> {
        let mut decoder = Decoder::new();
        let (mut data, mut start, mut end) = (Vec::new(), 0, 0);
        loop {
            let (used, found) = decoder.next(&input[start..end])?;
            start += used;
            match found {
                Piece::Data(found) => data.extend_from_slice(found),
                Piece::End => return Ok(Some((data, input[start..].to_vec()))),
                Piece::More if end == input.len() => return Ok(None),
                Piece::More => end = (end + piece).min(input.len()),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_however_it_comes(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6), size in 1usize..50, rest in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut input = Vec::new();
            pieces.iter().for_each(|piece| encode(piece, &mut input));
            input.extend_from_slice(END);
            input.extend_from_slice(&rest);
            prop_assert_eq!(decoded(&input, size), Ok(Some((pieces.concat(), rest))));
        }

        #[test]
        fn any_input_ends_and_however_it_comes_the_same(input in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), Just(b';'), Just(b'x')], 0..60), size in 1usize..10) {
            prop_assert_eq!(decoded(&input, size), decoded(&input, 1000));
        }
    }

    #[test]
    fn only_what_is_specified_is_taken() {
        for good in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "0003;a=\"b\"\r\nabc\r\n00\r\nx: y\r\n\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
        ] {
            assert!(matches!(decoded(good.as_bytes(), 1), Ok(Some(_))), "{good:?}");
        }
        for bad in [
            "\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "-1\r\n",
            "g\r\n",
            "3;a\nabc\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx:\0\r\n\r\n",
            "0\r\n x: y\r\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\n: y\r\n\r\n",
            "0\r\nx : y\r\n\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(decoded(bad.as_bytes(), 1), Err(NotChunked), "{bad:?}");
        }
        let long = format!("1;{}", "x".repeat(2000));
        assert_eq!(decoded(long.as_bytes(), 100), Err(NotChunked));
        let many = "1;extension\r\nx\r\n".repeat(2000);
        assert_eq!(decoded(many.as_bytes(), 100), Err(NotChunked));
        let trailers = format!("0\r\n{}", "x: y\r\n".repeat(5000));
        assert_eq!(decoded(trailers.as_bytes(), 100), Err(NotChunked));
    }
}
