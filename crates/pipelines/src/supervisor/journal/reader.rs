//! Reading the journal from a byte offset, while it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::Record;

/// What one read found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub records: Vec<Record>,
    /// Where the next read begins: always the start of a line.
    pub next_offset: u64,
    /// Lines that are no records (a foreign write, a damaged file). They are passed over.
    pub garbage: u64,
}

/// Reads whole records from `offset`, about `max_bytes` of them.
///
/// A line without its newline is not there yet: it is left for the next read. A single line longer than
/// `max_bytes` is read whole, so that a reader always gets on. A journal that does not exist yet is empty.
///
/// # Errors
/// When the file cannot be read.
pub fn read_from(path: &Path, offset: u64, max_bytes: usize) -> io::Result<Page> {
    let mut page = Page { next_offset: offset, ..Page::default() };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let bytes = read_whole_lines(&mut file, max_bytes.max(1))?;
    page.next_offset += bytes.len() as u64;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(record) => page.records.push(record),
            Err(_) => page.garbage += 1,
        }
    }
    Ok(page)
}

fn read_whole_lines(file: &mut File, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut searched = 0;
    loop {
        let read = file.by_ref().take(max_bytes as u64).read_to_end(&mut bytes)?;
        let newline = bytes.get(searched..).and_then(|tail| tail.iter().rposition(|byte| *byte == b'\n'));
        if let Some(newline) = newline {
            bytes.truncate(searched + newline + 1);
            return Ok(bytes);
        }
        if read == 0 {
            return Ok(Vec::new());
        }
        searched = bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::Body;
    use super::*;

    fn gone(n: u64) -> String {
        format!("{{\"n\":{n},\"t\":0,\"k\":\"gone\"}}\n")
    }

    #[test]
    fn a_torn_line_is_left_for_later_and_garbage_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        assert_eq!(read_from(&path, 0, 100).unwrap(), Page::default());

        let mut file = File::create(&path).unwrap();
        let torn = &gone(1)[..9];
        write!(file, "{}not json\n{torn}", gone(0)).unwrap();
        let first = read_from(&path, 0, 1000).unwrap();
        assert_eq!((first.records.len(), first.garbage), (1, 1));
        let again = read_from(&path, first.next_offset, 1000).unwrap();
        assert_eq!(again, Page { next_offset: first.next_offset, ..Page::default() });

        write!(file, "{}", &gone(1)[9..]).unwrap();
        let rest = read_from(&path, first.next_offset, 1000).unwrap();
        assert_eq!(rest.records, [Record { n: 1, t: 0, body: Body::Gone }]);
    }

    #[test]
    fn small_pages_still_get_through_long_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let text: String = (0..50).map(gone).collect();
        std::fs::write(&path, &text).unwrap();
        for size in [1, 7, 30, 64, 10_000] {
            let (mut offset, mut seen) = (0, Vec::new());
            loop {
                let page = read_from(&path, offset, size).unwrap();
                if page.records.is_empty() {
                    break;
                }
                seen.extend(page.records.iter().map(|record| record.n));
                offset = page.next_offset;
            }
            assert_eq!(seen, (0..50).collect::<Vec<_>>(), "pages of {size} bytes");
            assert_eq!(offset, text.len() as u64);
        }
    }
}
