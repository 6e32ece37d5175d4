//! Taking a byte stream apart into lines of bounded length.

/// Longest line of output, in bytes; a longer one becomes several, each but the last ending in [`CONTINUES`].
pub(super) const MAX_LINE: usize = 64 * 1024;
/// Longest event, in bytes. A longer one is cut as well, and then is no JSON any more: it is reported and dropped.
pub(super) const MAX_EVENT: usize = 8 * 1024 * 1024;
/// Stands at the end of a piece whose line goes on in the next record.
pub(super) const CONTINUES: &str = " [line continues]";

/// Collects the bytes of one stream until a line is whole.
#[derive(Debug)]
pub(super) struct Lines {
    partial: Vec<u8>,
    max: usize,
}

impl Lines {
    pub fn up_to(max: usize) -> Self {
        Self { partial: Vec::new(), max }
    }

    /// Gives each whole line of `chunk` (with what came before it) to `take`.
    pub fn feed(&mut self, chunk: &[u8], mut take: impl FnMut(&str)) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.partial.extend_from_slice(end);
                    self.cut_long(&mut take);
                    self.take_line(&mut take);
                }
                None => {
                    self.partial.extend_from_slice(piece);
                    self.cut_long(&mut take);
                }
            }
        }
    }

    /// Gives what stands without a newline at the end of the stream.
    pub fn finish(&mut self, mut take: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.take_line(&mut take);
        }
    }

    fn take_line(&mut self, take: &mut impl FnMut(&str)) {
        let line = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        take(&String::from_utf8_lossy(line));
        self.partial.clear();
    }

    fn cut_long(&mut self, take: &mut impl FnMut(&str)) {
        while self.partial.len() > self.max {
            let end = char_boundary(&self.partial, self.max);
            let (head, _) = self.partial.split_at(end);
            take(&(String::from_utf8_lossy(head) + CONTINUES));
            self.partial.drain(..end);
        }
    }
}

/// The last place at or before `end` (by at most three bytes) that does not cut a UTF-8 sequence.
fn char_boundary(bytes: &[u8], end: usize) -> usize {
    let continues = |index: usize| bytes.get(index).is_some_and(|byte| byte & 0xC0 == 0x80);
    (end - 3..=end).rev().find(|index| !continues(*index)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::up_to(MAX_LINE);
        for chunk in chunks {
            lines.feed(chunk, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = "one\r\n\nzwölf\n\u{1F600} end".as_bytes();
        let whole = lines(&[text]);
        assert_eq!(whole, ["one", "", "zwölf", "\u{1F600} end"]);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes), whole);
    }

    #[test]
    fn a_bad_byte_is_replaced_and_the_line_kept() {
        assert_eq!(lines(&[b"a\xFFb\n", b"\0c"]), ["a\u{FFFD}b", "\0c"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_nothing_is_lost() {
        let long = "ä".repeat(MAX_LINE) + "x";
        let pieces = lines(&[b"x", long.as_bytes(), b"\nnext\n"]);
        assert_eq!(pieces.len(), 4);
        let joined: String = pieces[..3].iter().map(|piece| piece.replace(CONTINUES, "")).collect();
        assert_eq!(joined, format!("x{long}"));
        assert!(pieces[0].ends_with(CONTINUES) && !pieces[2].ends_with(CONTINUES));
        assert_eq!(pieces[3], "next");
    }
}
