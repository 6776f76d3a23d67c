//! The responder that blocks nobody: it writes down what it would do. Dry run and test double; never touches the system.

use crate::{Kind, Needs, Responder};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::time::Time;
use std::collections::{BTreeMap, VecDeque};

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "null",
    summary: "Blocks nobody and prints what would be blocked: for a dry run.",
    example: "[respond]\nkind = \"null\"\n",
    open: None,
    keys: &[],
    needs: Needs::NOTHING,
};

/// Lines kept until somebody takes them. At the bound the oldest is dropped and counted.
const LINES: usize = 10_000;

/// Keeps a list of blocks like a firewall, and a line for each change.
#[derive(Debug, Default)]
pub struct Null {
    standing: BTreeMap<Scope, Expiry>,
    lines: VecDeque<String>,
    lines_dropped: u64,
}

impl Null {
    /// One with no blocks.
    pub fn new() -> Self {
        Null::default()
    }

    /// The lines since the last call, oldest first: `add 192.0.2.7 for 600 s`, `add 192.0.2.7 for ever`, `remove 192.0.2.7`.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.drain(..).collect()
    }

    /// How many lines were dropped because nobody took them.
    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped
    }

    fn say(&mut self, line: String) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
            self.lines_dropped += 1;
        }
        self.lines.push_back(line);
    }

    fn change(&mut self, change: &Change, now: Time) -> Outcome {
        match change {
            Change::Add { scope, expiry, .. } => {
                if self.standing.len() >= limits::BLOCKS && !self.standing.contains_key(scope) {
                    return Outcome::Failed(Fault::Full);
                }
                self.standing.insert(*scope, *expiry);
                let whom = scope.prefix();
                self.say(match expiry {
                    Expiry::At(at) => format!("add {whom} for {} s", at.since(now).as_secs_f64().ceil()),
                    Expiry::Never => format!("add {whom} for ever"),
                });
                Outcome::Added
            }
            Change::Remove { scope, .. } => {
                self.standing.remove(scope);
                self.say(format!("remove {}", scope.prefix()));
                Outcome::Removed
            }
        }
    }
}

impl Responder for Null {
    fn supports(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Source(_) => true,
        }
    }

    fn expires_itself(&self) -> bool {
        true
    }

    fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome> {
        self.standing.retain(|_, expiry| !expiry.is_over(now));
        batch.iter().map(|change| self.change(change, now)).collect()
    }

    fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault> {
        self.standing.retain(|_, expiry| !expiry.is_over(now));
        Ok(self.standing.iter().map(|(scope, expiry)| Installed { scope: *scope, expiry: *expiry }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::block::BlockId;

    #[test]
    fn it_says_what_it_would_do_and_lets_blocks_run_out() {
        let mut null = Null::new();
        let scope = |text: &str| Scope::Source(text.parse().unwrap());
        let add = |text, expiry| Change::Add { id: BlockId(1), scope: scope(text), expiry };
        let start = Time::from_secs(1_000);
        let batch = [
            add("192.0.2.7", Expiry::At(Time::from_secs(1_600))),
            add("2001:db8::/64", Expiry::Never),
            Change::Remove { id: BlockId(2), scope: scope("192.0.2.9") },
        ];
        assert_eq!(null.apply(&batch, start), [Outcome::Added, Outcome::Added, Outcome::Removed]);
        assert_eq!(null.take_lines(), ["add 192.0.2.7 for 600 s", "add 2001:db8::/64 for ever", "remove 192.0.2.9"]);
        assert_eq!(null.take_lines(), Vec::<String>::new());
        assert_eq!(null.list(start).unwrap().len(), 2);
        let left = null.list(Time::from_secs(1_600)).unwrap();
        assert_eq!(left, [Installed { scope: scope("2001:db8::/64"), expiry: Expiry::Never }]);
    }

    #[test]
    fn lines_that_nobody_takes_are_bounded() {
        let mut null = Null::new();
        let remove = Change::Remove { id: BlockId(1), scope: Scope::Source("192.0.2.7".parse().unwrap()) };
        null.apply(&vec![remove; LINES + 5], Time::EPOCH);
        assert_eq!((null.take_lines().len(), null.lines_dropped()), (LINES, 5));
    }
}
