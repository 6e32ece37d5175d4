//! What a line of the runner's output says about itself: its level, and the stage whose worker printed it.
//!
//! Ray forwards what workers print to the driver as `(Stage 01 - Enrich pid=123) text`, in colours; Xenna logs
//! with loguru, Ray with a format of its own, user code with whatever it likes. This recognises the common forms
//! and guesses nothing: without a sign a line is `info`, whichever stream it came by, for most of what stands on
//! stderr is no error. Ray's repeat counter and node address are parts of its prefix, and go with it.

use std::collections::HashMap;

use super::journal::{Level, Line, Stream};

/// Turns lines of one stream into journal lines.
#[derive(Debug)]
pub(crate) struct DriverLines {
    stream: Stream,
    /// Level of the line before: indented lines (a traceback, a table) belong to it.
    last: Level,
    /// Inside a traceback, whose last line (the exception) is not indented.
    traceback: bool,
}

impl DriverLines {
    pub fn of(stream: Stream) -> Self {
        Self { stream, last: Level::Info, traceback: false }
    }

    /// `stages` maps the names that Xenna gives stages to their ids in the spec.
    pub fn read(&mut self, text: &str, stages: &HashMap<String, String>) -> Line {
        let plain = without_colours(text);
        let (stage, text) = match ray_prefix(&plain) {
            Some((actor, rest)) => match stages.get(actor) {
                Some(id) => (Some(id.clone()), rest.to_owned()),
                None => (None, plain.clone()),
            },
            None => (None, plain.clone()),
        };
        let body = ray_prefix(&plain).map_or(plain.as_str(), |(_, rest)| rest);
        let indented = body.starts_with([' ', '\t']);
        let level = match level_of(body) {
            Some(level) => level,
            None if indented || self.traceback => self.last,
            None => Level::Info,
        };
        self.traceback = body.starts_with(TRACEBACK) || (self.traceback && indented);
        self.last = level;
        Line { stream: self.stream, level, stage, text }
    }
}

const TRACEBACK: &str = "Traceback (most recent call last)";

/// `(name pid=123, ip=1.2.3.4) rest` → name and rest.
fn ray_prefix(line: &str) -> Option<(&str, &str)> {
    let inside = line.strip_prefix('(')?;
    let (name, after) = inside.split_once(" pid=")?;
    let (number, rest) = after.split_once(')')?;
    let digits = number.split(',').next()?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(')'))
        .then(|| (name, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// The level that a line names in one of the usual places.
fn level_of(line: &str) -> Option<Level> {
    if line.starts_with(TRACEBACK) {
        return Some(Level::Error);
    }
    // `2026-01-31 12:00:00.123 | WARNING  | module:function:12 - text` (loguru)
    let mut columns = line.split('|');
    if let (Some(time), Some(level), Some(_)) = (columns.next(), columns.next(), columns.next())
        && starts_with_date(time)
    {
        return named_level(level.trim());
    }
    // `2026-01-31 12:00:00,123\tINFO worker.py:1841 -- text` and `2026-… ERROR text`
    if starts_with_date(line) {
        return line.split_ascii_whitespace().skip(2).take(1).find_map(named_level);
    }
    // `[2026-01-31 12:00:00,123 E 4711 4711] (raylet) file.cc:12: text`
    if let Some(head) = line.strip_prefix('[').and_then(|rest| rest.split(']').next())
        && starts_with_date(head)
    {
        return head.split_ascii_whitespace().nth(2).and_then(|letter| match letter {
            "D" => Some(Level::Debug),
            "I" => Some(Level::Info),
            "W" => Some(Level::Warning),
            "E" | "C" | "F" => Some(Level::Error),
            other => named_level(other),
        });
    }
    // `WARNING:root:text`, `ERROR: text`, `[INFO] text`
    let end = line.find([':', ']']).filter(|end| *end <= 10)?;
    let (word, rest) = line.split_at(end);
    let bracketed = rest.starts_with(']');
    match word.strip_prefix('[') {
        Some(word) if bracketed => named_level(word),
        None if !bracketed => named_level(word),
        _ => None,
    }
}

fn starts_with_date(text: &str) -> bool {
    let shape = b"dddd-dd-dd";
    text.len() > shape.len()
        && text.bytes().zip(shape).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

fn named_level(word: &str) -> Option<Level> {
    match word {
        "TRACE" | "DEBUG" => Some(Level::Debug),
        "INFO" | "SUCCESS" | "NOTICE" => Some(Level::Info),
        "WARNING" | "WARN" => Some(Level::Warning),
        "ERROR" | "CRITICAL" | "FATAL" => Some(Level::Error),
        _ => None,
    }
}

/// Leaves out terminal sequences (`ESC [ … letter`): the journal is not a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        if rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_stages_are_read_from_the_usual_forms() {
        let stages = HashMap::from([("Stage 01 - Enrich".to_owned(), "enrich".to_owned())]);
        let cases = [
            ("2026-11-20 23:33:00.123 | WARNING  | a.b:f:12 - slow | x", Level::Warning, None, None),
            ("2026-11-20 23:33:00,123\tERROR worker.py:18 -- lost", Level::Error, None, None),
            ("[2026-11-20 23:33:00,123 E 12 13] (raylet) x.cc:1: bad", Level::Error, None, None),
            ("2026-11-20: a diary", Level::Info, None, None),
            ("WARNING:root:careful", Level::Warning, None, None),
            ("[ERROR] no", Level::Error, None, None),
            ("Note: nothing", Level::Info, None, None),
            ("Traceback (most recent call last):", Level::Error, None, None),
            (
                "\u{1b}[36m(Stage 01 - Enrich pid=12)\u{1b}[0m hello",
                Level::Info,
                Some("enrich"),
                Some("hello"),
            ),
            (
                "(Stage 01 - Enrich pid=12, ip=10.0.0.1) ERROR: x",
                Level::Error,
                Some("enrich"),
                Some("ERROR: x"),
            ),
            ("(Stage 07 - Other pid=12) ERROR: x", Level::Error, None, None),
            ("(raylet) DEBUG: x", Level::Info, None, None),
            ("", Level::Info, None, None),
            ("\u{1b}[", Level::Info, None, Some("")),
        ];
        for (text, level, stage, rest) in cases {
            let line = DriverLines::of(Stream::Stderr).read(text, &stages);
            assert_eq!((line.level, line.stage.as_deref()), (level, stage), "{text:?}");
            assert_eq!(line.text, rest.unwrap_or(text));
        }
    }

    #[test]
    fn indented_lines_belong_to_the_line_before() {
        let mut lines = DriverLines::of(Stream::Stderr);
        let levels: Vec<Level> =
            ["Traceback (most recent call last):", "  File \"x.py\"", "ValueError: no", "on we go"]
                .map(|text| lines.read(text, &HashMap::new()).level)
                .into();
        assert_eq!(levels, [Level::Error, Level::Error, Level::Error, Level::Info]);
    }
}
