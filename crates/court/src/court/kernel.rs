//! What the kernel answers, and what it really has: compared with the ledger, and what differs is put right.

use super::{Court, Failing, LISTED, TIMER_SLACK};
use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope, State};
use model::time::Time;
use std::collections::VecDeque;
use store::entry::{Entry, Turn};

impl Court {
    /// What the kernel has may not be what the judge thinks (a machine that slept stops the kernel's timers): it is to be asked.
    pub fn want_resync(&mut self) {
        self.resync = true;
    }

    /// What became of changes.
    pub fn outcomes(&mut self, outcomes: &[(BlockId, Outcome)], now: Time) {
        // What is over has ended, whatever became of a change to it.
        self.pass_time(now);
        self.look_for_refusals(outcomes, now);
        for (id, outcome) in outcomes {
            // Looked for only where it counts: a whole table set again has as many answers.
            let removed = |removing: &VecDeque<(BlockId, Scope)>| removing.iter().position(|(removed, _)| removed == id);
            match outcome {
                Outcome::Added => {
                    if self.unanswered.remove(id) {
                        self.marks.push((*id, State::Active));
                        self.respond_to_block(*id, now);
                    }
                    // It was set twice (a list of what the kernel has came in between), and given up when the first try failed.
                    self.resync |= !self.judge.stands(*id) && removed(&self.removing).is_none();
                }
                // It may answer a judge before us: what we have set ourselves is still to be answered.
                Outcome::Removed => {
                    removed(&self.removing).and_then(|at| self.removing.remove(at));
                }
                Outcome::Unsupported | Outcome::Failed(_) => {
                    self.owed.extend(removed(&self.removing).and_then(|at| self.removing.remove(at)).map(|(id, scope)| (scope, id)));
                    if self.stays(*id, *outcome) {
                        continue;
                    }
                    self.unanswered.remove(id);
                    self.failed(*id, *outcome, now);
                }
            }
            let ruling = self.judge.outcome(*id, *outcome, now);
            self.absorb(ruling, now);
        }
    }

    /// Says when the kernel begins to refuse and when it takes everything again.
    fn look_for_refusals(&mut self, outcomes: &[(BlockId, Outcome)], now: Time) {
        let refusal = outcomes.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Failed(fault) if *fault != Fault::Exempt => Some(*fault),
            Outcome::Failed(_) | Outcome::Unsupported | Outcome::Added | Outcome::Removed => None,
        });
        match refusal {
            Some(fault) => {
                let why = Turn::Failed(fault).word().trim_start_matches("failed: ").to_owned();
                match &mut self.refusing {
                    Some(refusing) => refusing.why = why,
                    None => {
                        tracing::warn!(
                            why,
                            "the kernel does not take every change: it is asked what it has, and what is missing is set again"
                        );
                        self.refusing = Some(Failing { since: now, why, told: true });
                    }
                }
            }
            None if outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Added) => self.refuses_no_longer(now),
            None => {}
        }
    }

    fn refuses_no_longer(&mut self, now: Time) {
        if let Some(refusing) = self.refusing.take() {
            tracing::info!(secs = now.since(refusing.since).as_secs(), "the kernel takes every change again");
        }
    }

    /// Whether a failure takes nothing back: a block that stood already was to be set again or to end later, and it can be tried again.
    /// A kernel without memory has it again soon: its attackers must not go free for that moment.
    fn stays(&mut self, id: BlockId, outcome: Outcome) -> bool {
        let passing = match outcome {
            Outcome::Failed(Fault::Full | Fault::Gone | Fault::Refused | Fault::Unreachable | Fault::TooMany | Fault::Memory) => true,
            Outcome::Failed(Fault::Exempt) | Outcome::Unsupported | Outcome::Added | Outcome::Removed => false,
        };
        let stays = passing && self.judge.stands(id) && (self.judge.is_confirmed(id) || outcome == Outcome::Failed(Fault::Memory));
        if stays {
            self.tallies.failed += 1;
            self.resync = true;
        }
        stays
    }

    fn failed(&mut self, id: BlockId, outcome: Outcome, now: Time) {
        self.tallies.failed += 1;
        // An answer may have been lost, and the kernel may have done what it seems to have refused.
        self.resync |= matches!(outcome, Outcome::Failed(Fault::Refused | Fault::Unreachable | Fault::Gone | Fault::Memory));
        let Some(block) = self.judge.block_of(id) else {
            // It was to be lifted, and may still stand in the kernel.
            self.resync = true;
            return;
        };
        let turn = match outcome {
            Outcome::Failed(fault) => Turn::Failed(fault),
            Outcome::Unsupported | Outcome::Added | Outcome::Removed => Turn::Unsupported,
        };
        self.marks.push((id, State::Failed));
        let whom = block.scope.prefix();
        tracing::warn!(address = %whom, %id, why = turn.word(), "block not set");
        self.note(Entry::Turned { at: now, whom, id, turn });
    }

    /// Whether the kernel should be asked what it really has.
    pub fn wants_resync(&self) -> bool {
        self.resync
    }

    /// It is being asked.
    pub fn resync_begins(&mut self) {
        self.resync = false;
        self.asked = true;
        self.installed.clear();
    }

    /// Takes one piece of what the kernel really has; after the last, what differs from the ledger is put right.
    pub fn installed(&mut self, items: &[Installed], last: bool, now: Time) {
        self.installed.extend(items.iter().map(|item| (item.scope, item.expiry)));
        if !last {
            return;
        }
        self.asked = false;
        // What is over, or ends at another time since the clock was set, must not be set as it was.
        self.pass_time(now);
        let mut installed = std::mem::take(&mut self.installed);
        // What a dry run takes over it could not lift again: nobody may stay blocked by what nobody can see in the ledger.
        let adopts = std::mem::take(&mut self.adopts) && !self.config.policy.dry_run;
        let (mut missing, mut kept, mut confirmed) = (0_usize, 0_usize, Vec::new());
        for block in self.judge.standing() {
            // If the kernel has it all the same, it is none of ours.
            if self.judge.is_rehearsed(block.id) {
                continue;
            }
            // A dry run leaves the firewall as it is, but for what is lifted or unknown.
            if self.config.policy.dry_run {
                installed.remove(&block.scope);
                continue;
            }
            match installed.remove(&block.scope) {
                Some(expiry) if agree(expiry, block.expiry) => {
                    kept += 1;
                    if self.unanswered.remove(&block.id) {
                        self.marks.push((block.id, State::Active));
                        confirmed.push(block.id);
                    }
                }
                Some(_) | None => {
                    missing += 1;
                    self.outbox.push(Change::Add { id: block.id, scope: block.scope, expiry: block.expiry });
                }
            }
        }
        // Its answer came to a judge before us.
        confirmed.into_iter().for_each(|id| self.respond_to_block(id, now));
        for (scope, id) in std::mem::take(&mut self.owed) {
            if !self.stands(&scope) && !installed.contains_key(&scope) {
                self.outbox.push(Change::Remove { id, scope });
            }
        }
        let surplus = installed.len();
        for (scope, expiry) in installed {
            // A ledger that was lost doesn't know what it forgot: then what the kernel still has is taken over, so that it is seen and can be lifted.
            // All of them are written down together, below: a judge that is killed over it begins again with an empty ledger, and takes over again.
            let adopted = adopts.then(|| self.judge.adopt(scope.prefix(), expiry, now)).and_then(Result::ok);
            match adopted {
                Some(ruling) => self.absorb(ruling, now),
                // Block numbers start at 1: 0 stands for what the ledger doesn't know.
                None => self.outbox.push(Change::Remove { id: BlockId(0), scope }),
            }
        }
        if missing == 0 {
            self.refuses_no_longer(now);
        }
        // Anything else is written once the changes are on their way.
        if adopts {
            self.settle(now);
        }
        let (adopted, removed) = if adopts { (surplus, 0) } else { (0, surplus) };
        tracing::info!(kept, set_again = missing, removed, adopted, "ledger and firewall agree");
    }

    /// Sets every block again: the firewall's table was rebuilt.
    pub fn rebuilt(&mut self, now: Time) {
        self.pass_time(now);
        // The answer to a question that the kernel could not answer is this, too: it is asked again, unless there is too much to tell.
        self.resync |= std::mem::take(&mut self.asked) && self.judge.counters().standing < LISTED;
        if self.config.policy.dry_run {
            return;
        }
        let standing = self.judge.standing().filter(|block| !self.judge.is_rehearsed(block.id));
        self.outbox.extend(standing.map(|block| Change::Add { id: block.id, scope: block.scope, expiry: block.expiry }));
    }
}

fn agree(kernel: Expiry, ledger: Expiry) -> bool {
    match (kernel, ledger) {
        (Expiry::Never, Expiry::Never) => true,
        (Expiry::At(a), Expiry::At(b)) => a.since(b).max(b.since(a)) <= TIMER_SLACK,
        (Expiry::Never, Expiry::At(_)) | (Expiry::At(_), Expiry::Never) => false,
    }
}
