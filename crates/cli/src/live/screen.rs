//! A block of lines at the end of a terminal that is drawn again in place.
//!
//! Lines are cut to the terminal's width and the block to its height, because a line that wraps or scrolls away
//! cannot be taken back. Whoever prints something else clears the block first.

use console::{Term, truncate_str};

#[derive(Debug)]
pub struct Screen {
    term: Term,
    drawn: usize,
}

impl Screen {
    pub fn new(term: Term) -> Self {
        Self { term, drawn: 0 }
    }

    /// Replaces the block.
    pub fn draw(&mut self, lines: &[String]) {
        let (height, width) = self.term.size();
        let shown = fit(lines, usize::from(height), usize::from(width));
        let mut text = self.erase();
        for line in &shown {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = shown.len();
        // A terminal that is gone needs no picture.
        let _ = self.term.write_str(&text);
    }

    /// Takes the block away.
    pub fn clear(&mut self) {
        let text = self.erase();
        self.drawn = 0;
        let _ = self.term.write_str(&text);
    }

    fn erase(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\r\x1b[J", self.drawn) }
    }
}

fn fit(lines: &[String], height: usize, width: usize) -> Vec<String> {
    let rows = height.saturating_sub(1).max(1);
    let cut = |line: &String| truncate_str(line, width.saturating_sub(1).max(20), "…").into_owned();
    if lines.len() <= rows {
        return lines.iter().map(cut).collect();
    }
    let mut shown: Vec<String> = lines[..rows - 1].iter().map(cut).collect();
    shown.push(format!("… {} more lines", lines.len() - (rows - 1)));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_fits_its_terminal() {
        let lines: Vec<String> = (0..5).map(|n| format!("line {n} {}", "x".repeat(40))).collect();
        let shown = fit(&lines, 4, 30);
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[2], "… 3 more lines");
        assert!(shown.iter().all(|line| console::measure_text_width(line) < 30));
        assert_eq!(fit(&lines, 24, 200), lines);
    }
}
