//! What a whole log comes to: how often each rule was met, and who would be blocked. Holds no more than a bounded part of it.

use super::{Engine, PLACE, read_line};
use crate::lives::now;
use logrules::Rules;
use logrules::line::Line;
use report::escape;
use serde_json::json;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses that are kept; of more, only their number is told.
const ADDRESSES_MAX: usize = 100_000;
/// Addresses that people are shown.
const SHOWN_MAX: usize = 20;

#[derive(Default)]
struct Summary {
    lines: u64,
    findings: u64,
    /// By rule: its description, and how often.
    rules: BTreeMap<Arc<str>, (Arc<str>, u64)>,
    /// By address: how often a rule wanted something done, and why the first time.
    wishes: HashMap<IpAddr, (u64, String)>,
    /// Wishes about addresses that had no room, or that named none.
    others: u64,
}

/// Reads all lines and prints what they came to.
pub(super) fn run(engine: &mut Engine, as_json: bool, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let (mut summary, mut line, mut found) = (Summary::default(), Vec::new(), Vec::new());
    let at = now();
    let rules: &mut dyn Rules = match engine {
        Engine::Own(book) => {
            book.set_terse(true);
            book.as_mut()
        }
        Engine::Ossec(ossec) => ossec.as_mut(),
        Engine::Other(rules) => rules.as_mut(),
    };
    while read_line(input, &mut line)? {
        summary.lines += 1;
        rules.line(&Line::new(&line, at, PLACE), &mut found);
        for finding in found.drain(..) {
            summary.findings += 1;
            match summary.rules.get_mut(&finding.rule) {
                Some((_, count)) => *count += 1,
                None => _ = summary.rules.insert(finding.rule, (finding.description, 1)),
            }
            let Some(wish) = finding.wish else { continue };
            let room = summary.wishes.len() < ADDRESSES_MAX;
            match finding.actor.map(|actor| summary.wishes.entry(actor)) {
                Some(Entry::Occupied(mut known)) => known.get_mut().0 += 1,
                Some(Entry::Vacant(free)) if room => _ = free.insert((1, wish.why)),
                Some(Entry::Vacant(_)) | None => summary.others += 1,
            }
        }
    }
    if as_json { summary.json(out) } else { summary.text(out) }
}

impl Summary {
    fn json(&self, out: &mut impl Write) -> io::Result<()> {
        for (rule, (description, count)) in &self.rules {
            writeln!(out, "{}", json!({"type": "rule", "rule": &**rule, "description": &**description, "count": count}))?;
        }
        let mut wishes: Vec<_> = self.wishes.iter().collect();
        wishes.sort_by_key(|(address, _)| **address);
        for (address, (count, why)) in wishes {
            writeln!(out, "{}", json!({"type": "would", "source": address, "count": count, "why": why}))?;
        }
        let last = json!({"type": "summary", "lines": self.lines, "findings": self.findings, "rules": self.rules.len(),
            "sources": self.wishes.len(), "others": self.others});
        writeln!(out, "{last}")
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let safe = |text: &str| escape::text(text, 120);
        writeln!(out, "{} lines, {} findings", self.lines, self.findings)?;
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by_key(|(name, (_, count))| (std::cmp::Reverse(*count), *name));
        for (rule, (description, count)) in rules {
            writeln!(out, "  {count:>9}  {:<34} {}", safe(rule), safe(description))?;
        }
        writeln!(out, "{} addresses would be blocked", self.wishes.len())?;
        let mut worst: Vec<_> = self.wishes.iter().collect();
        worst.sort_by_key(|(address, (count, _))| (std::cmp::Reverse(*count), *address));
        for (address, (count, why)) in worst.iter().take(SHOWN_MAX) {
            writeln!(out, "  {address:<39}  {count} times; first: {}", safe(why))?;
        }
        if worst.len() > SHOWN_MAX {
            writeln!(out, "  and {} more; all with --json", worst.len() - SHOWN_MAX)?;
        }
        if self.others > 0 {
            writeln!(out, "{} more wishes name no address, or had no room", self.others)?;
        }
        Ok(())
    }
}
