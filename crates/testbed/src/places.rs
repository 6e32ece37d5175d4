//! Named places at which this process dies or is stopped: what `--die-at` and `--places` say.
//!
//! `die step.acted:toy.five/first` ends it by SIGKILL when it comes there, `stop …` by SIGSTOP until SIGCONT. `hold …` lets only
//! the one that came there wait, until the line is taken away. `a>b` is the first `b` after an `a`; `#n` is the n-th time. A file of such
//! lines is read at each place anew, so that a test arms a server that has been running for long; `hold` says in `<file>.held`
//! that it holds.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::sys::signal::{Signal, raise};
use qd_kernel::failpoint::Failpoints;

const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Die,
    Stop,
    Hold,
}

/// One line, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    deed: Deed,
    places: Vec<String>,
    times: u32,
    next: usize,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    lines: Vec<Line>,
}

/// What `--die-at` (a place) and `--places` (a file) ask for together; none where neither is given.
pub fn failpoints(die_at: Option<String>, file: Option<PathBuf>) -> Result<Option<Failpoints>, String> {
    let fixed = die_at.map(|place| format!("die {place}\n")).unwrap_or_default();
    if fixed.is_empty() && file.is_none() {
        return Ok(None);
    }
    parse(&fixed)?;
    let state = Arc::new(Mutex::new(Lines::default()));
    Ok(Some(Failpoints::new(move |place| {
        let read = || file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let deed = {
            let mut lines = state.lock().unwrap_or_else(PoisonError::into_inner);
            lines.renew(fixed.clone() + &read());
            lines.come(place)
        };
        match deed {
            None => {}
            Some(Deed::Die) => drop(raise(Signal::SIGKILL)),
            Some(Deed::Stop) => drop(raise(Signal::SIGSTOP)),
            Some(Deed::Hold) => {
                let Some(file) = &file else { return };
                let held = file.with_extension("held");
                drop(std::fs::write(&held, place));
                let before = read();
                let wait = || {
                    while read() == before {
                        std::thread::sleep(LOOK);
                    }
                };
                match tokio::runtime::Handle::try_current() {
                    Ok(_) => tokio::task::block_in_place(wait),
                    Err(_) => wait(),
                }
            }
        }
    })))
}

fn parse(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let (deed, places) = line.trim().split_once(' ').ok_or_else(|| format!("no place in {line:?}"))?;
        let deed = match deed {
            "die" => Deed::Die,
            "stop" => Deed::Stop,
            "hold" => Deed::Hold,
            other => return Err(format!("{other:?} is neither die nor stop nor hold")),
        };
        let (places, times) = match places.rsplit_once('#') {
            None => (places, 1),
            Some((places, times)) => {
                (places, times.parse().map_err(|_| format!("{times:?} in {line:?} is no number"))?)
            }
        };
        Ok(Line { deed, places: places.split('>').map(str::to_owned).collect(), times, next: 0 })
    });
    lines.collect()
}

impl Lines {
    fn renew(&mut self, text: String) {
        if text != self.text {
            self.lines = parse(&text).unwrap_or_default();
            self.text = text;
        }
    }

    fn come(&mut self, place: &str) -> Option<Deed> {
        self.lines.iter_mut().filter_map(|line| line.come(place)).next()
    }
}

impl Line {
    fn come(&mut self, place: &str) -> Option<Deed> {
        if self.times == 0 || self.places.get(self.next).is_none_or(|awaited| awaited != place) {
            return None;
        }
        self.next += 1;
        if self.next < self.places.len() {
            return None;
        }
        self.next = 0;
        self.times -= 1;
        (self.times == 0).then_some(self.deed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(text: &str, places: &[&str]) -> Vec<Option<Deed>> {
        let mut lines = Lines::default();
        lines.renew(text.to_owned());
        places.iter().map(|place| lines.come(place)).collect()
    }

    #[test]
    fn the_nth_time_and_one_place_after_another() {
        assert_eq!(comes("die a#2\n", &["a", "b", "a", "a"]), [None, None, Some(Deed::Die), None]);
        assert_eq!(comes("stop a>b", &["b", "a", "c", "b"]), [None, None, None, Some(Deed::Stop)]);
        assert_eq!(comes("hold b\ndie a>b", &["a", "b", "b"]), [None, Some(Deed::Hold), Some(Deed::Die)]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(parse("kill a").is_err() && parse("die a#x").is_err() && parse("die").is_err());
    }
}
