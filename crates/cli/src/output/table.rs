//! Aligned columns without borders, as kubectl prints them.
//!
//! Cells are plain text with an optional tone; colour is put on when the table is rendered, so that nothing the
//! server sent can colour or move the cursor. Widths are counted in terminal cells. The last column is never
//! padded and nothing is cut: a pipe gets every character.

use console::measure_text_width;

use crate::output::clean;
use crate::output::paint::Paint;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Coloured by what the state's name means.
    State,
    Dim,
    Warn,
}

#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        let text = clean(&text.into());
        Self { text: if text.is_empty() { "-".into() } else { text }, tone }
    }

    pub fn state(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::State)
    }

    fn painted(&self, paint: Paint) -> String {
        match self.tone {
            Tone::Plain => self.text.clone(),
            Tone::State => paint.state(&self.text),
            Tone::Dim => paint.dim(&self.text),
            Tone::Warn => paint.warn(&self.text),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

#[derive(Debug, Default)]
pub struct Table {
    headers: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(headers: &[&str]) -> Self {
        // Unlike a cell, a header may be blank.
        let blank_or_text = |header: &&str| Cell { text: (*header).to_owned(), tone: Tone::Plain };
        Self { headers: headers.iter().map(blank_or_text).collect(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines of the table, header first.
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| {
                self.all_rows()
                    .filter_map(|row| row.get(column))
                    .map(|cell| measure_text_width(&cell.text))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        self.all_rows().map(|row| line(row, &widths, paint)).collect()
    }

    pub fn render(&self, paint: Paint) -> String {
        let mut text = self.lines(paint).join("\n");
        text.push('\n');
        text
    }

    fn all_rows(&self) -> impl Iterator<Item = &Vec<Cell>> {
        std::iter::once(&self.headers).chain(&self.rows)
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut text = String::new();
    for (column, cell) in row.iter().enumerate() {
        text.push_str(&cell.painted(paint));
        if column + 1 < row.len() {
            let width = widths.get(column).copied().unwrap_or(0);
            let pad = width.saturating_sub(measure_text_width(&cell.text));
            text.push_str(&" ".repeat(pad + 3));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_colour_and_wide_characters() {
        let mut table = Table::new(&["NAME", "STATE", "AGE"]);
        table.row(["curate".into(), Cell::state("running"), "3m".into()]);
        table.row(["画像".into(), Cell::state("failed"), "".into()]);
        insta::assert_snapshot!(table.render(Paint::plain()), @r"
        NAME     STATE     AGE
        curate   running   3m
        画像     failed    -
        ");
        let coloured = table.render(Paint::always());
        assert!(coloured.contains("\x1b[36mrunning\x1b[0m   3m"), "{coloured:?}");
        assert_eq!(console::strip_ansi_codes(&coloured), table.render(Paint::plain()));
    }

    #[test]
    fn a_cell_stays_on_its_line_and_cannot_draw() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["x\ny".into(), "\x1b[2Jz".into()]);
        assert_eq!(table.lines(Paint::plain())[1], "x y    [2Jz");
    }
}
