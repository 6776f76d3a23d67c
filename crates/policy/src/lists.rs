//! Others' lists of attackers: who is on which, until when, and what follows. Never blocks what the exempt list touches, and takes no block's
//! place: a list has no part in the caps, the strikes and the storms of those who attacked here.

use crate::judge::Judge;
use crate::prefixes::PrefixMap;
use model::block::Expiry;
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a list does to whom it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They are blocked until the list forgets them or expires.
    Block,
    /// What they do here is at least of this danger level.
    Level(DangerLevel),
    /// Only `explain` says so.
    Mark,
}

/// One list, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListConfig {
    /// Its name, which no other has.
    pub name: String,
    /// What it does.
    pub effect: Effect,
}

/// That somebody is on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The list's name.
    pub list: String,
    /// What it does.
    pub effect: Effect,
    /// The entry.
    pub prefix: Prefix,
    /// Until when.
    pub until: Time,
    /// Whether that blocks: an exemption or a dry run stands in the way otherwise.
    pub blocks: bool,
}

/// All lists' entries, with their ends, by the lists' names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists(BTreeMap<String, PrefixMap<Time>>);

impl Lists {
    /// Who is on a list at this time, the narrowest entry of each.
    fn covering(&self, whom: &Prefix, now: Time) -> impl Iterator<Item = (&str, Prefix, Time)> {
        let (whom, lists) = (*whom, self.0.iter());
        lists.filter_map(move |(name, entries)| {
            let mut found = entries.covering(&whom).filter(move |(_, until)| **until > now);
            found.next().map(|(prefix, until)| (name.as_str(), prefix, *until))
        })
    }
}

impl Judge {
    /// Takes a list's entries (each prefix once, with its end) in place of those that it had.
    pub fn set_list(&mut self, name: &str, mut entries: Vec<(Prefix, Time)>) {
        entries.sort_unstable_by_key(|(prefix, _)| *prefix);
        let mut map = PrefixMap::default();
        map.append(entries);
        self.lists.0.insert(name.to_owned(), map);
    }

    /// Forgets the lists that the configuration no longer has.
    pub(crate) fn forget_lists(&mut self) {
        let known = &self.config.lists;
        self.lists.0.retain(|name, _| known.iter().any(|list| list.name == *name));
    }

    /// What lists block now, sorted, each prefix once with its latest end: nobody exempt, nothing in a dry run, and at most
    /// [`limits::LISTED`]; how many were left out as exempt, and how many beyond the bound.
    pub fn listed(&self, now: Time) -> (Vec<(Prefix, Expiry)>, usize, usize) {
        let (blocked, exempt, over) = self.listed_by(now);
        (blocked.into_iter().map(|(prefix, (end, _))| (prefix, Expiry::At(end))).collect(), exempt, over)
    }

    /// One page of the same, with the list that blocks each the longest: up to `limit` of those behind `after`. At the first page (`after` is
    /// `None`) also how many there are in all: to count them takes as long as all pages do.
    pub fn listed_page(&self, after: Option<Prefix>, limit: usize, now: Time) -> (Option<usize>, Vec<(Prefix, Time, &str)>) {
        let line = |(prefix, (until, list))| (prefix, until, list);
        // Only who knows all of them knows which are beyond the bound.
        if self.blocking().map(|(_, entries)| entries.len()).sum::<usize>() > limits::LISTED {
            let blocked = self.listed_by(now).0;
            let all = after.is_none().then_some(blocked.len());
            let behind = blocked.into_iter().skip_while(|(prefix, _)| after.is_some_and(|after| *prefix <= after));
            return (all, behind.take(limit).map(line).collect());
        }
        let mut behind = self.listed_behind(after, now).map(line);
        let page: Vec<_> = behind.by_ref().take(limit).collect();
        (after.is_none().then(|| page.len() + behind.count()), page)
    }

    /// The lists that block, with their entries.
    fn blocking(&self) -> impl Iterator<Item = (&str, &PrefixMap<Time>)> {
        let lists = self.config.lists.iter().filter(|list| list.effect == Effect::Block && !self.config.dry_run);
        lists.filter_map(|list| self.lists.0.get(&list.name).map(|entries| (list.name.as_str(), entries)))
    }

    /// What lists block behind this prefix, sorted, without the bound.
    fn listed_behind(&self, after: Option<Prefix>, now: Time) -> impl Iterator<Item = (Prefix, (Time, &str))> {
        let mut lists: Vec<_> = self.blocking().map(|(name, entries)| (name, entries.behind(after).peekable())).collect();
        std::iter::from_fn(move || {
            loop {
                let prefix = *lists.iter_mut().filter_map(|(_, entries)| entries.peek().map(|(prefix, _)| *prefix)).min()?;
                let mut by: Option<(Time, &str)> = None;
                for (name, entries) in &mut lists {
                    let until = entries.next_if(|(next, _)| **next == prefix).map(|(_, until)| *until);
                    by = match until.filter(|until| *until > by.map_or(now, |(longest, _)| longest)) {
                        Some(until) => Some((until, name)),
                        None => by,
                    };
                }
                if let Some(by) = by.filter(|_| !self.exempt.touches(&prefix)) {
                    return Some((prefix, by));
                }
            }
        })
    }

    fn listed_by(&self, now: Time) -> (BTreeMap<Prefix, (Time, &str)>, usize, usize) {
        let mut blocked: BTreeMap<Prefix, (Time, &str)> = BTreeMap::new();
        let (mut exempt, mut over) = (0, 0);
        for (name, entries) in self.blocking() {
            for (prefix, until) in entries.iter().filter(|(_, until)| **until > now) {
                let by = (*until, name);
                if self.exempt.touches(prefix) {
                    exempt += 1;
                } else if let Some(known) = blocked.get_mut(prefix) {
                    *known = if by.0 > known.0 { by } else { *known };
                } else if blocked.len() >= limits::LISTED {
                    over += 1;
                } else {
                    blocked.insert(*prefix, by);
                }
            }
        }
        (blocked, exempt, over)
    }

    /// The lists that this address is on.
    pub fn listings(&self, addr: IpAddr, now: Time) -> Vec<Listing> {
        let whom = Prefix::host(addr);
        let found = self.lists.covering(&whom, now).filter_map(|(name, prefix, until)| {
            let effect = self.config.lists.iter().find(|list| list.name == name)?.effect;
            let blocks = effect == Effect::Block && !self.config.dry_run && !self.exempt.touches(&prefix);
            Some(Listing { list: name.to_owned(), effect, prefix, until, blocks })
        });
        found.collect()
    }

    /// Makes an offence as grave as the lists that its offender is on say.
    pub fn raise(&self, offence: &mut Offence, now: Time) {
        for (name, ..) in self.lists.covering(&offence.offender, now) {
            let effect = self.config.lists.iter().find(|list| list.name == name).map(|list| list.effect);
            if let Some(Effect::Level(level)) = effect {
                offence.level = offence.level.max(level);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PolicyConfig;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn judge(effects: &[Effect]) -> Judge {
        let lists = effects.iter().enumerate().map(|(n, effect)| ListConfig { name: format!("list{n}"), effect: *effect }).collect();
        Judge::new(PolicyConfig { lists, exempt: vec![prefix("198.51.100.0/24")], ..PolicyConfig::default() })
    }

    #[test]
    fn lists_block_nobody_exempt_and_end() {
        let mut judge = judge(&[Effect::Block, Effect::Block, Effect::Mark]);
        let (early, late) = (Time::from_secs(100), Time::from_secs(200));
        judge.set_list("list0", vec![(prefix("192.0.2.0/24"), early), (prefix("198.51.100.7"), late), (prefix("198.51.0.0/16"), late)]);
        judge.set_list("list1", vec![(prefix("192.0.2.0/24"), late), (prefix("192.0.2.7"), early)]);
        judge.set_list("list2", vec![(prefix("203.0.113.0/24"), late)]);
        let listed = |judge: &Judge, secs| judge.listed(Time::from_secs(secs));
        let whole = vec![(prefix("192.0.2.0/24"), Expiry::At(late)), (prefix("192.0.2.7"), Expiry::At(early))];
        assert_eq!(listed(&judge, 50), (whole.clone(), 2, 0));
        let by = |secs| judge.listed_page(None, 9, Time::from_secs(secs)).1.into_iter().map(|(.., list)| list).collect::<Vec<_>>();
        assert_eq!(by(50), ["list1", "list1"], "of two the one that lasts longer");
        assert_eq!(listed(&judge, 150).0, whole[..1]);
        assert_eq!(listed(&judge, 200).0, []);
        let names = |judge: &Judge, addr: &str| {
            let found = judge.listings(addr.parse().unwrap(), Time::from_secs(50)).into_iter();
            found.map(|listing| (listing.list, listing.prefix.to_string(), listing.blocks)).collect::<Vec<_>>()
        };
        let (list0, list1) = ("list0".to_owned(), "list1".to_owned());
        assert_eq!(names(&judge, "192.0.2.7"), [(list0.clone(), "192.0.2.0/24".into(), true), (list1, "192.0.2.7".into(), true)]);
        assert_eq!(names(&judge, "198.51.100.7"), [(list0, "198.51.100.7".into(), false)]);
        assert_eq!(names(&judge, "203.0.113.9"), [("list2".to_owned(), "203.0.113.0/24".into(), false)]);
        let _ = judge.allow(prefix("192.0.2.9"), None, Time::from_secs(50)).unwrap();
        assert_eq!(listed(&judge, 50).0, whole[1..]);
        let fewer = PolicyConfig { lists: judge.config.lists[..1].to_vec(), ..PolicyConfig::default() };
        let _ = judge.reconfigure(fewer, Time::from_secs(50));
        assert_eq!(listed(&judge, 50).0.len(), 2, "list0 without the exemption, and without the allowed");
        assert!(judge.listings("203.0.113.9".parse().unwrap(), Time::from_secs(50)).is_empty());
    }

    /// What the pages show together, with how many are said to be there.
    fn pages(judge: &Judge, limit: usize, now: Time) -> (usize, Vec<(Prefix, Time, &str)>) {
        let (all, mut seen) = judge.listed_page(None, limit, now);
        loop {
            let (more, page) = judge.listed_page(seen.last().map(|(prefix, ..)| *prefix), limit, now);
            assert!(more.is_none() && page.len() <= limit);
            if page.is_empty() {
                return (all.unwrap(), seen);
            }
            seen.extend(page);
        }
    }

    #[test]
    fn pages_show_what_is_listed_and_each_goes_on_where_the_last_has_ended() {
        let mut judge = judge(&[Effect::Block, Effect::Mark, Effect::Block, Effect::Block]);
        let mut dice = 1_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for list in 0..4 {
            let mut entries = BTreeMap::new();
            for _ in 0..300 {
                let addr = std::net::Ipv4Addr::from([198, 51, 96 + roll(8) as u8, roll(64) as u8]);
                entries.insert(Prefix::new(IpAddr::V4(addr), 32 - roll(3) as u8), Time::from_secs(90 + roll(40)));
            }
            judge.set_list(&format!("list{list}"), entries.into_iter().collect());
        }
        let now = Time::from_secs(100);
        let (blocked, exempt, _) = judge.listed_by(now);
        assert!(exempt > 50 && blocked.len() > 300);
        let whole: Vec<_> = blocked.into_iter().map(|(prefix, (until, list))| (prefix, until, list)).collect();
        for limit in [1, 7, 1_000] {
            assert_eq!(pages(&judge, limit, now), (whole.len(), whole.clone()), "{limit}");
        }
        assert_eq!(judge.listed_page(None, 0, now), (Some(whole.len()), Vec::new()));
        // Beyond the bound it is the first lists' entries that count, wherever they stand.
        let until = Time::from_secs(200);
        let many = |from: u32| (0..limits::LISTED as u32 - 9).map(move |n| (Prefix::host(IpAddr::V4((from + n).into())), until));
        judge.set_list("list0", many(0x1000_0000).collect());
        judge.set_list("list2", many(0x0100_0000).collect());
        let whole: Vec<_> = judge.listed(now).0.into_iter().map(|(prefix, _)| prefix).collect();
        let (all, seen) = pages(&judge, 30_000, now);
        assert_eq!((all, seen.iter().map(|(prefix, ..)| *prefix).collect::<Vec<_>>()), (limits::LISTED, whole));
    }

    #[test]
    fn a_dry_run_blocks_nobody_and_the_bound_holds() {
        let mut judge = judge(&[Effect::Block]);
        let until = Time::from_secs(100);
        let many = (0..limits::LISTED as u32 + 3).map(|n| (Prefix::host(IpAddr::V4((0x0100_0000 + n).into())), until));
        judge.set_list("list0", many.collect());
        let (listed, exempt, over) = judge.listed(Time::EPOCH);
        assert_eq!((listed.len(), exempt, over), (limits::LISTED, 0, 3));
        judge.config.dry_run = true;
        assert_eq!(judge.listed(Time::EPOCH).0, []);
    }
}
