//! The answer in which Ray hands out a job's log: `{"logs": "…"}`, one JSON string of any length.
//!
//! It is taken apart as it arrives, because a log may be larger than the memory that one run is worth: what was read before is
//! dropped character by character, and the rest is text at once.

/// What stands before the log.
const KEY: &[u8] = b"\"logs\"";

#[derive(Debug, Default)]
pub(super) struct LogBody {
    /// What was decoded, without what was to be dropped.
    pub text: String,
    /// Bytes of the log that are still to be dropped.
    drop: u64,
    at: Place,
    /// Bytes of a character that came in part.
    part: Vec<u8>,
    /// The first half of a pair of `\u` escapes.
    high: Option<u32>,
}

#[derive(Debug, Default, PartialEq)]
enum Place {
    /// So many bytes of the key have come.
    #[default]
    Start,
    Key(usize),
    Colon,
    Quote,
    Log,
    Escape,
    /// The value of the hexadecimal digits that have come, and how many.
    Unicode(u32, u8),
    End,
    /// This is not what Ray answers.
    Broken,
}

impl LogBody {
    /// Without the first `drop` bytes of the log.
    pub fn new(drop: u64) -> Self {
        Self { drop, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take(*byte);
        }
    }

    /// Whether the log has come to its end.
    pub fn is_whole(&self) -> bool {
        self.at == Place::End
    }

    fn take(&mut self, byte: u8) {
        let space = byte.is_ascii_whitespace();
        let wanted = |right: bool, next| if right { next } else { Place::Broken };
        self.at = match std::mem::take(&mut self.at) {
            Place::Start if space => Place::Start,
            Place::Start => wanted(byte == b'{', Place::Key(0)),
            Place::Key(0) if space => Place::Key(0),
            Place::Key(come) => {
                let next = if come + 1 == KEY.len() { Place::Colon } else { Place::Key(come + 1) };
                wanted(KEY.get(come) == Some(&byte), next)
            }
            Place::Colon if space => Place::Colon,
            Place::Colon => wanted(byte == b':', Place::Quote),
            Place::Quote if space => Place::Quote,
            Place::Quote => wanted(byte == b'"', Place::Log),
            Place::Log => match byte {
                b'"' => {
                    self.flush();
                    Place::End
                }
                b'\\' => Place::Escape,
                byte => {
                    self.raw(byte);
                    Place::Log
                }
            },
            Place::Escape => self.escape(byte),
            Place::Unicode(value, come) => self.unicode(value, come, byte),
            // What follows the log says nothing.
            Place::End => Place::End,
            Place::Broken => Place::Broken,
        };
    }

    fn escape(&mut self, byte: u8) -> Place {
        let character = match byte {
            b'u' => return Place::Unicode(0, 0),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => char::from(byte),
            _ => return Place::Broken,
        };
        self.flush();
        self.push(character);
        Place::Log
    }

    fn unicode(&mut self, value: u32, come: u8, byte: u8) -> Place {
        let Some(digit) = char::from(byte).to_digit(16) else { return Place::Broken };
        let value = value * 16 + digit;
        if come < 3 {
            return Place::Unicode(value, come + 1);
        }
        match (self.high.take(), value) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let value = 0x10000 + ((high - 0xD800) << 10) + (value - 0xDC00);
                self.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (before, 0xD800..=0xDBFF) => {
                self.half(before);
                self.flush_raw();
                self.high = Some(value);
            }
            (before, value) => {
                self.half(before);
                self.flush_raw();
                self.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        Place::Log
    }

    /// A byte that stands for itself; characters beyond ASCII have several.
    fn raw(&mut self, byte: u8) {
        let high = self.high.take();
        self.half(high);
        if byte.is_ascii() {
            self.flush_raw();
            self.push(char::from(byte));
            return;
        }
        self.part.push(byte);
        match std::str::from_utf8(&self.part) {
            Ok(text) => {
                let character = text.chars().next();
                self.part.clear();
                character.into_iter().for_each(|character| self.push(character));
            }
            Err(error) if error.error_len().is_some() => self.flush_raw(),
            Err(_) => {}
        }
    }

    /// What came in part and will not be whole any more.
    fn flush(&mut self) {
        let high = self.high.take();
        self.half(high);
        self.flush_raw();
    }

    fn flush_raw(&mut self) {
        if !self.part.is_empty() {
            self.part.clear();
            self.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn half(&mut self, high: Option<u32>) {
        if high.is_some() {
            self.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn push(&mut self, character: char) {
        let length = character.len_utf8() as u64;
        if self.drop >= length {
            self.drop -= length;
        } else {
            // A place within a character is none that was ever told.
            self.drop = 0;
            self.text.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decoded(body: &[u8], drop: u64, size: usize) -> Option<String> {
        let mut log = LogBody::new(drop);
        body.chunks(size.max(1)).for_each(|piece| log.feed(piece));
        log.is_whole().then_some(log.text)
    }

    /// As Python's `json.dumps` writes it.
    fn ascii(text: &str) -> String {
        let quoted = json!({ "logs": text }).to_string();
        let escaped = |c: char| match c {
            c if c.is_ascii() => c.to_string(),
            c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        quoted.chars().map(escaped).collect()
    }

    proptest! {
        #[test]
        fn it_is_what_json_says_whatever_the_pieces(text in "[a-z\"\\\\/\n\t\u{1}é…😀]{0,40}", size in 1..9_usize, place in 0..200_usize) {
            let mut place = place.min(text.len());
            while !text.is_char_boundary(place) {
                place -= 1;
            }
            for body in [json!({ "logs": text }).to_string(), ascii(&text)] {
                let rest = decoded(body.as_bytes(), place as u64, size);
                prop_assert_eq!(rest.as_deref(), Some(&text[place..]));
            }
        }
    }

    #[test]
    fn what_is_no_log_is_not_taken_for_one() {
        for body in [
            "",
            "<html>",
            r#"{"logs": null}"#,
            r#"{"logs": "cut"#,
            r#"{"message": "no"}"#,
            r#"{"logs": "\x"}"#,
        ] {
            assert_eq!(decoded(body.as_bytes(), 0, 3), None, "{body}");
        }
        let halves = br#" { "logs" : "a\ud83d b\udc00" , "more": 1 }"#;
        assert_eq!(decoded(halves, 0, 4).as_deref(), Some("a\u{fffd} b\u{fffd}"));
        assert_eq!(decoded(b"{\"logs\": \"a\xff\xc3\"}", 0, 5).as_deref(), Some("a\u{fffd}\u{fffd}"));
    }
}
