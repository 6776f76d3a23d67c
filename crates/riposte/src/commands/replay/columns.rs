//! What `replay --fields` prints: a line for each packet that fulfils the conditions. Never looks at anything but the packet.

use super::super::{Failure, fail};
use super::criteria::{Item, parse};
use super::fields::{Packet, Value};
use crate::cli;
use model::limits;
use report::replay_csv;
use std::borrow::Cow;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// What `--fields` prints.
pub struct Columns {
    items: Vec<Item>,
    /// Hashes of the lines that were printed, if none is to be printed twice.
    seen: Option<(RandomState, HashSet<u64>)>,
    /// How many lines may still be printed.
    left: u64,
    separator: char,
}

impl Columns {
    /// As the arguments say; `None` if they name no fields.
    ///
    /// # Errors
    /// One line that says what is wrong with a field.
    pub fn new(args: &cli::Replay) -> Result<Option<Columns>, Failure> {
        let Some(list) = &args.fields else { return Ok(None) };
        let items = parse(list).map_err(|wrong| fail(format!("--fields: {wrong}")))?;
        if matches!(args.separator, '"' | '\r' | '\n') {
            return Err(fail("--separator: quotes and ends of lines have their meaning in a table already; an example: --separator ';'"));
        }
        let seen = args.unique.then(|| (RandomState::new(), HashSet::new()));
        Ok(Some(Columns { items, seen, left: args.max_lines.unwrap_or(u64::MAX), separator: args.separator }))
    }

    /// Appends the line of titles.
    pub fn header(&self, out: &mut Vec<u8>) {
        self.cells(self.items.iter().filter_map(|item| item.field.names.first()).map(|name| name.as_bytes().into()), out);
    }

    /// Whether no further line is to be printed.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    fn cells<'c>(&self, cells: impl Iterator<Item = Cow<'c, [u8]>>, out: &mut Vec<u8>) {
        for (n, value) in cells.enumerate() {
            if n > 0 {
                out.extend_from_slice(self.separator.encode_utf8(&mut [0; 4]).as_bytes());
            }
            replay_csv::cell(&value, self.separator, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Prints the packet, if it is wanted and not too much.
    pub fn print(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        if self.left == 0 || !self.items.iter().all(|item| item.holds(packet)) {
            return;
        }
        let start = out.len();
        let values: Vec<Value<'_>> = self.items.iter().map(|item| (item.field.read)(packet)).collect();
        self.cells(values.iter().map(Value::bytes), out);
        if let Some((hasher, seen)) = &mut self.seen {
            let hash = hasher.hash_one(out.get(start..).unwrap_or_default());
            if seen.contains(&hash) {
                return out.truncate(start);
            }
            if seen.len() < limits::UNIQUE_LINES {
                seen.insert(hash);
            }
        }
        self.left -= 1;
    }
}
