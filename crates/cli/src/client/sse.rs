//! A parser for server-sent events (the HTML standard's `text/event-stream`), fed with bytes as they arrive.
//!
//! Chunks may be cut anywhere, also inside a line break or a UTF-8 character. It knows nothing of connections:
//! resuming is [`super::follow`]'s part.

/// Larger events are refused: a stream without line breaks must not eat the memory.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A dispatched event.
    Message(Message),
    /// A comment, which servers send as a heartbeat.
    Heartbeat,
    /// The server asks to wait this many milliseconds before a reconnect.
    Retry(u64),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `message` when the server named none.
    pub event: String,
    pub data: String,
    /// The id of this very event; `None` when it carries none.
    pub id: Option<String>,
}

impl Message {
    /// Why the server ended the stream itself, such as a token that was revoked.
    pub fn end_reason(&self) -> Option<String> {
        let data: serde_json::Value = serde_json::from_str(&self.data).ok()?;
        let word = |name: &str| data.get(name)?.as_str().map(str::to_owned);
        let reason = word("reason")?;
        Some(word("detail").unwrap_or(reason))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    event: String,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl Parser {
    /// Takes the next bytes and returns what they complete.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Item>, TooLarge> {
        let mut items = Vec::new();
        for &byte in chunk {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' => self.end_line(&mut items),
                b'\r' => {
                    self.after_cr = true;
                    self.end_line(&mut items);
                }
                _ => {
                    if self.line.len() + self.data.len() >= MAX_EVENT_BYTES {
                        return Err(TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(items)
    }

    fn end_line(&mut self, items: &mut Vec<Item>) {
        let raw = std::mem::take(&mut self.line);
        let mut bytes = raw.as_slice();
        if !std::mem::replace(&mut self.started, true) {
            bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        }
        if bytes.is_empty() {
            items.extend(self.dispatch());
            return;
        }
        let line = String::from_utf8_lossy(bytes);
        let (field, value) = match line.split_once(':') {
            Some(("", _)) => {
                items.push(Item::Heartbeat);
                return;
            }
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line.as_ref(), ""),
        };
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => items.extend(value.parse().ok().map(Item::Retry)),
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Item> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        let id = self.id.take();
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Item::Message(Message { event, data, id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\nretry: 250\n\nid: 1\nevent: log\ndata: {\"text\":\"héllo ✓\"}\n\n\
        id: 2\r\ndata: a\r\ndata:  b\r\ndata\r\n\r\ndata: old mac\rid:3\r\rid: 4\nevent: nothing\n\n: beat\nunknown: x\ndata: last\n\n";

    fn message(event: &str, data: &str, id: Option<&str>) -> Item {
        Item::Message(Message { event: event.into(), data: data.into(), id: id.map(Into::into) })
    }

    fn expected() -> Vec<Item> {
        vec![
            Item::Heartbeat,
            Item::Retry(250),
            message("log", "{\"text\":\"héllo ✓\"}", Some("1")),
            message("message", "a\n b\n", Some("2")),
            message("message", "old mac", Some("3")),
            Item::Heartbeat,
            message("message", "last", None),
        ]
    }

    #[test]
    fn a_stream_that_ends_with_a_reason_is_not_a_log_that_is_complete() {
        let end = |data: &str| Message { event: "end".into(), data: data.into(), id: None }.end_reason();
        assert_eq!(end(r#"{"run_id":"r","last":3}"#), None);
        assert_eq!(end(r#"{"reason":"bad_credential","detail":"revoked"}"#).as_deref(), Some("revoked"));
    }

    #[test]
    fn every_cut_into_two_chunks_gives_the_same_events() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let mut parser = Parser::default();
            let mut items = parser.push(&bytes[..cut]).unwrap();
            items.extend(parser.push(&bytes[cut..]).unwrap());
            assert_eq!(items, expected(), "cut at {cut}");
        }
    }

    #[test]
    fn chunks_of_every_size_give_the_same_events() {
        for size in 1..40 {
            let mut parser = Parser::default();
            let items: Vec<Item> =
                STREAM.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk).unwrap()).collect();
            assert_eq!(items, expected(), "chunks of {size}");
        }
    }

    #[test]
    fn an_unfinished_event_is_not_dispatched() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"data: x\n").unwrap(), vec![]);
        assert_eq!(parser.push(b"\n").unwrap(), vec![message("message", "x", None)]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; MAX_EVENT_BYTES];
        assert!(parser.push(&chunk).is_ok());
        assert_eq!(parser.push(b"x"), Err(TooLarge));
    }
}
