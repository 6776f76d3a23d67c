//! Rows in aligned columns. Never wider than it must be; only the last column is cut, and that only for a terminal.

/// The width that reports keep to where they can.
pub const WIDTH: usize = 100;
/// What the last column keeps even if the others leave less.
const LAST_MIN: usize = 20;

/// Whether a line may be longer than [`WIDTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// A terminal would break it: the last column is cut.
    Terminal,
    /// A pipe or a file takes all of it, and whoever reads it there wants all of it.
    Endless,
}

/// Which side a column's cells stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table: a title and a side for each column, then rows with as many cells.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Side)>) -> Self {
        Table { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells are escaped already; missing ones stay empty, and there is no place for more.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// The table's text: a line of titles, then the rows, two spaces between columns, none at a line's end.
    pub fn text(&self, room: Room) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| self.width(n)).collect();
        let before_last: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
        let last_max = match room {
            Room::Terminal => WIDTH.saturating_sub(before_last).max(LAST_MIN),
            Room::Endless => usize::MAX,
        };
        let mut text = String::new();
        let titles: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for cells in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (n, (cell, (_, side))) in cells.iter().zip(&self.columns).enumerate() {
                let cell = if n + 1 == self.columns.len() { cut(cell, last_max) } else { cell.clone() };
                let gap = " ".repeat(widths[n].saturating_sub(cell.chars().count()));
                match side {
                    Side::Left => line.extend([cell.as_str(), &gap, "  "]),
                    Side::Right => line.extend([gap.as_str(), &cell, "  "]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(self.columns.get(column).map(|(title, _)| title.len())).max().unwrap_or(0)
    }
}

/// At most `max` characters, the last one `…` if something is missing.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Breaks a text at its spaces into lines of at most `width` characters; a longer word stands alone.
pub fn wrap(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > width {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += long;
    }
    lines.push('\n');
    lines
}

/// A number with its thousands apart: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let plain = number.to_string();
    let mut text = String::with_capacity(plain.len() + plain.len() / 3);
    for (n, digit) in plain.chars().enumerate() {
        if n > 0 && (plain.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 packet`, `2 packets`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_cut() {
        let mut table = Table::new([("NAME", Side::Left), ("N", Side::Right), ("WHY", Side::Left)]);
        table.row(["é".to_owned(), "12".to_owned(), "x".repeat(200)]);
        table.row(["long name".to_owned(), "1".to_owned()]);
        let long = format!("{}…", "x".repeat(84));
        assert_eq!(table.text(Room::Terminal), format!("NAME        N  WHY\né          12  {long}\nlong name   1\n"));
        assert!(table.text(Room::Endless).contains(&"x".repeat(200)));
        assert_eq!(table.text(Room::Terminal).lines().map(|line| line.chars().count()).max(), Some(WIDTH));
    }

    #[test]
    fn words_wrap() {
        assert_eq!(wrap("a bb  ccc\ndddddddd e", 6), "a bb\nccc\ndddddddd\ne\n");
        assert_eq!(wrap("", 6), "\n");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "packet"), "1 packet");
        assert_eq!(count(2_000, "packet"), "2,000 packets");
    }
}
