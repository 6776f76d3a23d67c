//! What must be true of others' lists, worked out from outside: who was on which when it was last read, and until when that may and must hold.
//! Decides nothing of its own and looks at no list of the judge's: it sees what was fetched, what the judge lists and what the kernel has.

use crate::breach::{Kept, hold};
use crate::kernel::{Interval, touches};
use crate::lists::{Answer, Taken};
use crate::machine::Machine;
use crate::plan::NOBODYS;
use crate::reference::Reference;
use link::message::Got;
use model::block::Expiry;
use model::net::Prefix;
use model::time::Time;
use policy::lists::Effect;
use respond::ranges::{Family, Range, cover};
use riposte::config::feed::FeedConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Clocks are read one after the other, and the warden's ends are whole seconds.
const SLACK: Duration = Duration::from_secs(4);
/// So many may come or go of any list at once.
const ALWAYS: usize = 1_000;

/// Until when somebody must stand there, and until when he may (true time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: Time,
    most: Time,
}

/// One list.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    config: FeedConfig,
    on: BTreeMap<Prefix, Bounds>,
    /// Who was on a copy that may still be on the disk.
    ghosts: BTreeMap<Prefix, Bounds>,
    /// The disk took the last copy.
    is_kept: bool,
    /// Who is on it is a guess: by a clock that was set meanwhile others may have ended, or an older copy was taken up.
    is_guess: bool,
}

impl Known {
    pub(crate) fn new(config: &FeedConfig) -> Known {
        Known { config: config.clone(), on: BTreeMap::new(), ghosts: BTreeMap::new(), is_kept: true, is_guess: false }
    }

    /// Whether there is anything that a list may not name.
    fn may_name(prefix: &Prefix) -> bool {
        let widest = if prefix.addr().is_ipv4() { 8 } else { 19 };
        let documentation: [Prefix; 3] =
            ["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap_or_else(|_| Prefix::host([0; 4].into())));
        let nobodys = NOBODYS.iter().map(|(addr, bits)| Prefix::new(*addr, *bits)).filter(|prefix| prefix.bits() > 8);
        prefix.bits() >= widest && !nobodys.chain(documentation).any(|range| range.overlaps(prefix))
    }

    /// Why what has come must not be taken, and why it must; neither if it is near the bound.
    fn verdict(&self, answer: &Answer, next: &BTreeSet<Prefix>, now: Time) -> [bool; 2] {
        let (slow, soon) = (now.before(SLACK), now.after(SLACK));
        let is_on = self.on.values().any(|bounds| bounds.least > soon);
        // Who has ended is not gone, and is not new if he is named again.
        let before = |lives: &dyn Fn(&Bounds) -> bool| -> BTreeSet<Prefix> {
            self.on.iter().filter(|(prefix, bounds)| lives(bounds) || next.contains(prefix)).map(|(prefix, _)| *prefix).collect()
        };
        let (least, most) = (before(&|bounds| bounds.least > soon), before(&|bounds| bounds.most > slow));
        let changes = |before: &BTreeSet<Prefix>| before.difference(next).count().max(next.difference(before).count());
        let allowed = |before: &BTreeSet<Prefix>| ALWAYS.max(before.len() * usize::from(self.config.max_churn) / 100);
        let told = if answer.whole { answer.items.len() } else { next.len() };
        let is_empty = answer.items.is_empty() && !self.config.is_stream();
        let margin = 64;
        let must_not = told > self.config.max_entries + margin || is_empty && is_on || is_on && changes(&least) > allowed(&most) + margin;
        let must = !self.is_guess && told + margin < self.config.max_entries && !is_empty && changes(&most) + margin < allowed(&least);
        [must_not, must]
    }

    /// An answer has come, and the judge has taken it or not.
    fn fetched(&mut self, taken: &Taken, is_taken: bool, now: Time, is_kept: bool) -> Kept {
        let (config, answer) = (&self.config, &taken.answer);
        let name = config.name.clone();
        match &taken.got {
            Got::Nothing { .. } => {}
            Got::Same => {
                let (least, most) = (now.after(config.expires / 2), now.after(config.expires));
                let named = answer.items.iter().map(|(prefix, _)| *prefix).filter(Known::may_name);
                // One that has ended meanwhile is asked for once more.
                let stood = |prefix: &Prefix| self.on.get(prefix).is_some_and(|bounds| bounds.least > now);
                let on: BTreeMap<Prefix, Bounds> =
                    named.map(|prefix| (prefix, Bounds { least: if stood(&prefix) { least } else { Time::EPOCH }, most })).collect();
                self.ghosts.extend(std::mem::replace(&mut self.on, on));
                self.is_kept &= is_kept;
            }
            Got::List { .. } => {
                let lasts =
                    |secs: Option<u32>| secs.map_or(config.expires, |secs| Duration::from_secs(secs.max(1).into()).min(config.expires));
                let mut next = BTreeMap::new();
                if !answer.whole {
                    next.extend(self.on.iter().filter(|(_, bounds)| bounds.most > now).map(|(prefix, bounds)| (*prefix, *bounds)));
                    answer.gone.iter().for_each(|gone| _ = next.remove(gone));
                }
                for (prefix, secs) in answer.items.iter().filter(|(prefix, _)| Known::may_name(prefix)) {
                    let most = now.after(lasts(*secs));
                    let least = if config.is_stream() { most } else { now.after(config.expires / 2) };
                    let known = next.entry(*prefix).or_insert(Bounds { least, most });
                    *known = Bounds { least: known.least.max(least), most: known.most.max(most) };
                }
                let [must_not, must] = self.verdict(answer, &next.keys().copied().collect(), now);
                hold(!(is_taken && must_not), "a list that is another one, too long or empty is not taken", || name.clone())?;
                hold(is_taken || !must, "a good list is taken", || name.clone())?;
                if is_taken {
                    if is_kept {
                        self.ghosts.clear();
                    } else {
                        self.ghosts.extend(std::mem::take(&mut self.on));
                    }
                    (self.on, self.is_kept, self.is_guess) = (next, is_kept, false);
                }
            }
        }
        Ok(())
    }

    /// A judge has come up, with what is on the disk.
    fn restarted(&mut self, is_whole: bool, now: Time) {
        let expires = self.config.expires;
        if !is_whole || !self.is_kept {
            self.is_guess = true;
            for (prefix, ghost) in std::mem::take(&mut self.ghosts) {
                self.on.entry(prefix).and_modify(|bounds| bounds.most = bounds.most.max(ghost.most)).or_insert(ghost);
            }
            self.on.values_mut().for_each(|bounds| bounds.least = Time::EPOCH);
        }
        if !is_whole || !self.is_kept {
            // By a clock that was set meanwhile a copy may seem younger than it is.
            self.on.values_mut().for_each(|bounds| bounds.most = now.after(expires));
        }
    }
}

impl Reference {
    /// The end of an answer was heard.
    pub fn fetched(&mut self, machine: &Machine, taken: &Taken) -> Kept {
        self.tell_time(machine);
        let now = machine.clock.truth();
        if taken.was_asked {
            let trouble = machine.feeds.lines(machine.clocks()).into_iter().nth(taken.answer.feed).and_then(|line| line.trouble);
            let is_kept = !machine.copies_fail;
            if let Some(known) = self.feeds.get_mut(taken.answer.feed) {
                known.fetched(taken, trouble.is_none(), now, is_kept)?;
            }
        }
        self.look_at_lists(machine)
    }

    /// The clock was set; copies go by it, if the disk takes them.
    pub(crate) fn lists_clock_set(&mut self, machine: &Machine) {
        self.feeds.iter_mut().for_each(|known| known.is_kept &= !machine.copies_fail);
    }

    /// A judge has come up; whether the disk was well and the clock was not set meanwhile.
    pub(crate) fn lists_restarted(&mut self, machine: &Machine, is_whole: bool) {
        let now = machine.clock.truth();
        self.feeds.iter_mut().for_each(|known| known.restarted(is_whole, now));
    }

    /// What the judge lists is what was read, and nobody who is exempt.
    pub fn look_at_lists(&self, machine: &Machine) -> Kept {
        if self.feeds.is_empty() {
            return Ok(());
        }
        let (now, wall) = (machine.clock.truth(), machine.clock.wall());
        let slack = SLACK + self.slack;
        let (listed, _, over) = machine.court.judge.listed(wall);
        let listed: BTreeMap<Prefix, Expiry> = listed.into_iter().collect();
        hold(over == 0, "there is room for all lists", || format!("{over} are left out"))?;
        if self.settings.policy.dry_run {
            return hold(listed.is_empty(), "a dry run lists nobody", || format!("{listed:?}"));
        }
        let blocking = || self.feeds.iter().filter(|known| known.config.effect == Effect::Block);
        for (prefix, expiry) in &listed {
            hold(!self.is_exempt(prefix), "nobody exempt is listed", || prefix.to_string())?;
            hold(Known::may_name(prefix), "no list names what no list may name", || prefix.to_string())?;
            let most = blocking().filter_map(|known| known.on.get(prefix)).map(|bounds| bounds.most).max();
            let Expiry::At(end) = expiry else { return hold(false, "nobody is listed for ever", || prefix.to_string()) };
            let until = now.after(end.since(wall));
            hold(most.is_some_and(|most| until <= most.after(slack)), "nobody is listed for longer than the list holds", || {
                format!("{prefix} until {until:?}, not {most:?}")
            })?;
        }
        for (prefix, bounds) in blocking().flat_map(|known| &known.on).filter(|(_, bounds)| bounds.least > now.after(slack)) {
            let stands = listed.contains_key(prefix) || self.is_exempt(prefix);
            hold(stands, "whoever is on a list stays listed", || format!("{prefix}, until {:?} at least, now {now:?}", bounds.least))?;
        }
        Ok(())
    }

    /// Nobody whom the warden knows as exempt is dropped because a list names him: he is in no such set, or passes before it is looked at.
    pub fn look_at_listed_sets(&self, machine: &Machine) -> Kept {
        let sets = || Family::ALL.into_iter().zip(&machine.kernel.listed);
        if sets().all(|(_, set)| set.is_empty()) || !machine.has_exempt() {
            return Ok(());
        }
        for exempt in machine.shield.prefixes() {
            let named = sets().any(|(family, set)| set.iter().any(|net| touches(family, net, &exempt)));
            hold(!named || machine.kernel.exempt.contains(&exempt), "nobody exempt is dropped", || exempt.to_string())?;
        }
        Ok(())
    }

    /// All is quiet: the kernel has what the judge lists.
    pub(crate) fn lists_quiet(&self, machine: &Machine) -> Kept {
        self.look_at_lists(machine)?;
        let mut exempt = machine.kernel.exempt.clone();
        let mut due = machine.shield.prefixes();
        exempt.sort_unstable();
        due.sort_unstable();
        hold(exempt == due, "the kernel's exempt list is the warden's", || format!("{exempt:?}, not {due:?}"))?;
        let (listed, ..) = machine.court.judge.listed(machine.clock.wall());
        for (family, set) in Family::ALL.into_iter().zip(&machine.kernel.listed) {
            let mine = listed.iter().filter(|(prefix, _)| Family::of(prefix.addr()) == family).copied().collect();
            same_ranges("the kernel lists whom the judge does", machine, family, set, &cover(&mine))?;
            let exempt = due.iter().find(|exempt| set.iter().any(|net| touches(family, net, exempt)));
            hold(exempt.is_none(), "nobody exempt is in a listed set", || format!("{exempt:?}"))?;
        }
        Ok(())
    }
}

/// Whether an interval set of the kernel has these ranges (with ends by the wall clock), but for what ends just now.
pub(crate) fn same_ranges(rule: &'static str, machine: &Machine, family: Family, set: &[Interval], ranges: &[Range]) -> Kept {
    let (wall, now) = (machine.clock.wall(), machine.clock.kernel());
    let agree = |expiry: Expiry, deadline: Option<Time>| match (expiry, deadline) {
        (Expiry::Never, None) => true,
        (Expiry::At(at), Some(deadline)) => at.since(wall).abs_diff(deadline.since(now)) <= SLACK,
        (Expiry::Never, Some(_)) | (Expiry::At(_), None) => false,
    };
    let edges = |first: u128, last: u128| [Some(first), last.checked_add(1)].into_iter().flatten();
    let points: BTreeSet<u128> = (set.iter().flat_map(|net| edges(net.first, net.last)))
        .chain(ranges.iter().flat_map(|range| edges(range.first, range.last)))
        .filter(|point| *point <= family.highest())
        .collect();
    // Both are looked through from the lowest address on.
    let mut set: Vec<&Interval> = set.iter().collect();
    set.sort_by_key(|net| net.first);
    let at = |point: u128, firsts: usize| firsts.checked_sub(1).map(|n| (n, point));
    for point in points {
        let kernel =
            at(point, set.partition_point(|net| net.first <= point)).and_then(|(n, point)| Some(set[n]).filter(|net| point <= net.last));
        let ledger = at(point, ranges.partition_point(|range| range.first <= point))
            .and_then(|(n, point)| Some(&ranges[n]).filter(|range| point <= range.last));
        let holds = match (ledger.map(|range| range.expiry), kernel.map(|net| net.deadline)) {
            (None, None) => true,
            (Some(expiry), Some(deadline)) => agree(expiry, deadline),
            (Some(expiry), None) => expiry.is_over(wall.after(SLACK)),
            (None, Some(deadline)) => deadline.is_some_and(|deadline| deadline.since(now) <= SLACK),
        };
        let name = family.address(point);
        hold(holds, rule, || format!("at {name}: {ledger:?}, kernel {kernel:?} (wall {wall:?} kernel {now:?})"))?;
    }
    Ok(())
}
