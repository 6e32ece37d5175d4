//! Rows: a figure, its floor, the ratio of the two, and whether the aim holds. Printed as they come, kept for JSON.

use std::io::Write as _;

use serde::Serialize;

use super::{Fallible, spread::median};

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// What the bare machine gave, in the same unit.
    pub floor: Option<f64>,
    /// `value / floor`.
    pub ratio: Option<f64>,
    /// What people use today gave, in the same unit and the same run.
    pub peer: Option<f64>,
    /// How many times the peer's speed ours is, for a rate as for a time.
    pub peer_ratio: Option<f64>,
    pub note: String,
}

/// What a row should come to.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    ValueAtMost(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// Met where there is no peer to be slower than.
    NoSlowerThanPeer,
}

impl Row {
    pub fn new(name: &str, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            floor: None,
            ratio: None,
            peer: None,
            peer_ratio: None,
            note: String::new(),
        }
    }

    /// A row of which nothing was measured.
    pub fn skipped(name: &str, why: &str) -> Self {
        Self::new(name, 0.0, "").note(&format!("skipped: {why}"))
    }

    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self.ratio = (floor > 0.0).then(|| self.value / floor);
        self
    }

    /// The middle of the peer's rates; nothing where there is no peer.
    pub fn peer_rate(mut self, rates: &[f64]) -> Self {
        if !rates.is_empty() {
            let peer = median(rates.to_vec());
            (self.peer, self.peer_ratio) = (Some(peer), (peer > 0.0).then(|| self.value / peer));
        }
        self
    }

    /// The middle of the peer's times; nothing where there is no peer.
    pub fn peer_time(mut self, times: &[f64]) -> Self {
        if !times.is_empty() {
            let peer = median(times.to_vec());
            (self.peer, self.peer_ratio) = (Some(peer), (self.value > 0.0).then(|| peer / self.value));
        }
        self
    }

    /// Says what the aim is and whether it is met. After [`Self::floor`] where the aim is a ratio.
    pub fn aim(self, aim: Aim) -> Self {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        let (met, words) = match aim {
            Aim::ValueAtMost(most) => (self.value <= most, format!("≤ {most} {}", self.unit)),
            Aim::RatioAtMost(most) => (ratio <= most, format!("≤ {most} × floor")),
            Aim::RatioAtLeast(least) => (ratio >= least, format!("≥ {least} × floor")),
            Aim::NoSlowerThanPeer => match self.peer_ratio {
                None => return self,
                Some(times) => (times >= 1.0, "no slower than the peer".to_owned()),
            },
        };
        let word = if met { "met" } else { "MISSED" };
        self.note(&format!("aim {words}: {word}"))
    }

    pub fn note(mut self, note: &str) -> Self {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note);
        self
    }
}

#[derive(Default)]
pub struct Report(Vec<Row>);

impl Report {
    pub fn new() -> Self {
        Self::default()
    }

    /// Prints the rows, under a heading before the first.
    pub fn add(&mut self, rows: Vec<Row>) -> Fallible<()> {
        let mut out = std::io::stdout();
        if self.0.is_empty() {
            writeln!(
                out,
                "{:<26} {:>10} {:<8} {:>10} {:>7} {:>10} {:>7}  note",
                "name", "value", "unit", "floor", "ratio", "peer", "faster"
            )?;
        }
        for row in &rows {
            writeln!(out, "{}", line(row))?;
        }
        self.0.extend(rows);
        Ok(())
    }

    pub fn json(&self) -> Fallible<String> {
        Ok(serde_json::to_string_pretty(&self.0)? + "\n")
    }
}

fn line(row: &Row) -> String {
    let [floor, ratio, peer, faster] =
        [row.floor, row.ratio, row.peer, row.peer_ratio].map(|figure| figure.map(digits).unwrap_or_default());
    format!(
        "{:<26} {:>10} {:<8} {floor:>10} {ratio:>7} {peer:>10} {faster:>7}  {}",
        row.name,
        digits(row.value),
        row.unit,
        row.note
    )
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Cores and load: what the figures are to be read with.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let build = if cfg!(debug_assertions) { ", DEBUG BUILD: ratios only" } else { "" };
    format!("{cores} cores, load {load}{build}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_aim_is_met() {
        let row = Row::new("list", 900.0, "req/s").floor(1000.0).aim(Aim::RatioAtLeast(0.5)).note("p50 1 ms");
        assert_eq!((row.ratio, row.note.as_str()), (Some(0.9), "aim ≥ 0.5 × floor: met; p50 1 ms"));
        assert!(Row::new("start", 0.3, "s").aim(Aim::ValueAtMost(0.2)).note.ends_with("MISSED"));
    }

    #[test]
    fn a_peer_is_beaten_by_a_higher_rate_and_by_a_shorter_time() {
        let row = Row::new("jobs", 900.0, "jobs/s").peer_rate(&[300.0]).aim(Aim::NoSlowerThanPeer);
        assert_eq!((row.peer_ratio, row.note.ends_with(": met")), (Some(3.0), true));
        let row = Row::new("chain", 9.0, "ms").peer_time(&[3.0]).aim(Aim::NoSlowerThanPeer);
        assert!(row.note.ends_with(": MISSED"));
        assert_eq!(Row::new("chain", 9.0, "ms").peer_time(&[]).aim(Aim::NoSlowerThanPeer).note, "");
    }

    #[test]
    fn the_json_is_a_list_of_rows() {
        let mut report = Report::new();
        report.add(vec![Row::new("size", 12.5, "MB")]).unwrap();
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{ "name": "size", "value": 12.5, "unit": "MB", "floor": null, "ratio": null, "peer": null,
                "peer_ratio": null, "note": "" }])
        );
    }
}
