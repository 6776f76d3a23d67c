//! What a restart must not forget of the last minutes: whom new blocks were made for, and a storm whose pause lasts. Decides nothing.

use crate::caps::MINUTE;
use crate::escalate::Strike;
use crate::judge::Judge;
use crate::ruling::Ruling;
use model::block::{Because, Block, BlockId, State};
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;

/// What the ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// Blocks made for offences within the last minute and the storm's window, in any order.
    pub made: Vec<(Block, State)>,
    /// Blocks that storms rolled back within the last pause: which, for whom, when.
    pub rolled_back: Vec<(BlockId, Prefix, Time)>,
    /// When somebody was first refused a block because of a pause, within the last pause's time.
    pub paused: Option<Time>,
}

impl Judge {
    /// Takes up the minutes' counts, the pause and the strikes where the judge before has left them. Call it once, after `restore`.
    pub fn remember(&mut self, past: &Past, now: Time) -> Ruling {
        let (window, pause) = (self.config.storm.window, self.config.storm.pause);
        self.clock.begin(now, MINUTE.max(window).max(pause));
        let passed = self.clock.passed();
        let mut made: Vec<&(Block, State)> = past.made.iter().collect();
        made.sort_unstable_by_key(|(block, _)| block.id);
        let mut latest = Time::EPOCH;
        for (block, state) in made {
            let was_undone = *state == State::Failed || past.rolled_back.iter().any(|(id, _, _)| *id == block.id);
            let Because::Offence { trust, .. } = block.because else { continue };
            if was_undone {
                continue;
            }
            // Clocks that were set meanwhile must not put the numbers out of order.
            latest = latest.max(passed.before(now.since(block.made)));
            self.minute.add(latest, block.id);
            if trust == Trust::Spoofable {
                self.forgeable_minute.add(latest, block.id);
                if self.standing.find(block.id).is_some_and(|(_, record)| record.is_forgeable()) {
                    self.storm.made(block.id, latest, &self.config.storm);
                }
            }
        }
        if let Some(began) = past.rolled_back.iter().map(|(_, _, at)| *at).chain(past.paused).max() {
            let rolled_back = past.rolled_back.iter().map(|(_, prefix, at)| (*prefix, *at));
            let known = self.standing.forgeable().map(|prefix| (prefix, began)).chain(rolled_back);
            self.storm.resume(began, passed.before(now.since(began)), &self.config.storm, known);
            self.storm.settle(passed);
        }
        let mut ruling = Ruling { dry_run: self.config.dry_run, ..Ruling::default() };
        for (prefix, record) in self.standing.iter() {
            if let Because::Offence { strike, .. } = record.because {
                self.strikes.witness(Strike { prefix: *prefix, count: strike, last: record.made }, &mut ruling.strikes);
            }
        }
        self.close();
        ruling
    }
}
