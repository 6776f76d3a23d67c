//! How much is told, and when: what one way out may carry. Whatever it holds back, it counts. Sends nothing and reads no clock.

use crate::config::AlertConfig;
use model::net::Prefix;
use model::time::Time;
use report::alert::{Alert, Before, Kind, Letter, Told};
use report::serial::Stamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that "a day" is: from the first letter on.
const DAY: Duration = Duration::from_secs(86_400);
/// Sources that wait to be told of. At the bound further ones are only counted in the letter.
const PENDING: usize = 1_024;
/// Things about riposte itself that wait.
const OWN_PENDING: usize = 64;
/// Sources whose last letter is remembered. At the bound the one longest ago is forgotten.
const REMEMBERED: usize = 4_096;
/// Things in one letter.
const IN_LETTER: usize = 100;
/// The same trouble is told again after this.
const SAME_TROUBLE: Duration = Duration::from_secs(3_600);
/// Letters about riposte itself in a day, beside the others: a flood of strangers must not hide them.
const OWN_PER_DAY: u32 = 24;

/// What was not told, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// It said nothing new: the level has not risen, the same block stands.
    pub repeated: u64,
    /// A later one about the same source took its place.
    pub merged: u64,
    /// Enough was told of this source for the day.
    pub over_source: u64,
    /// Enough was told for the day.
    pub over_day: u64,
    /// There was no room in a letter: it stands there as a number.
    pub crowded: u64,
}

/// What is known of one source.
#[derive(Debug, Clone)]
struct Known {
    /// When its day began.
    since: Time,
    sent: u32,
    before: Before,
    /// The end of the block that was told.
    until: Option<Stamp>,
}

/// One way's limits.
#[derive(Debug)]
pub struct Limits {
    every: bool,
    per_source: u32,
    per_day: u32,
    throttle: Duration,
    digest: Duration,
    wait: Duration,
    known: BTreeMap<Prefix, Known>,
    /// With when it may go.
    pending: BTreeMap<Prefix, (Alert, Time)>,
    own: Vec<(Alert, Time)>,
    said: BTreeMap<String, Time>,
    more: u64,
    /// When the day began, and letters in it.
    day: Time,
    sent: u32,
    own_sent: u32,
    limit_told: bool,
    last: Option<Time>,
    /// What was not told.
    pub counts: Counts,
}

impl Limits {
    /// As configured; `now` is monotonic here and everywhere below.
    pub fn new(config: &AlertConfig, now: Time) -> Limits {
        Limits {
            every: config.every,
            per_source: config.per_source,
            per_day: config.per_day,
            throttle: config.throttle,
            digest: config.digest,
            wait: config.wait,
            known: BTreeMap::new(),
            pending: BTreeMap::new(),
            own: Vec::new(),
            said: BTreeMap::new(),
            more: 0,
            day: now,
            sent: 0,
            own_sent: 0,
            limit_told: false,
            last: None,
            counts: Counts::default(),
        }
    }

    /// Takes an alert in.
    pub fn take(&mut self, alert: Alert, now: Time) {
        self.turn_the_day(now);
        let Some(source) = &alert.source else { return self.take_own(alert, now) };
        let whom = source.line.address.0;
        let known = self.known.get(&whom).filter(|known| now.since(known.since) < DAY);
        let waits = self.pending.get(&whom).map(|(alert, due)| (alert.kind, *due));
        if let Some(known) = known {
            let rises = source.line.level.number() > known.before.level || alert.kind == Kind::Block && source.until != known.until;
            if !rises && !self.every && waits.is_none() {
                self.counts.repeated += 1;
                return;
            }
            if known.sent >= self.per_source {
                self.counts.over_source += 1;
                return;
            }
        }
        if self.sent >= self.per_day {
            self.counts.over_day += 1;
            self.tell_limit(now);
            return;
        }
        if let Some((kind, due)) = waits {
            self.counts.merged += 1;
            // A block is not hidden by what is said of it later.
            let kind = kind.max(alert.kind);
            self.pending.insert(whom, (Alert { kind, ..alert }, due));
            return;
        }
        if self.pending.len() >= PENDING {
            self.counts.crowded += 1;
            self.more += 1;
            return;
        }
        let throttled = known.map_or(now, |known| known.last(self.throttle));
        self.pending.insert(whom, (alert, throttled.max(now.after(self.wait))));
    }

    fn take_own(&mut self, alert: Alert, now: Time) {
        self.said.retain(|_, at| now.since(*at) < SAME_TROUBLE);
        if alert.kind == Kind::Trouble && self.said.contains_key(&alert.said) {
            self.counts.repeated += 1;
        } else if self.own.len() >= OWN_PENDING || self.said.len() >= 4 * OWN_PENDING {
            self.counts.crowded += 1;
            self.more += 1;
        } else {
            self.said.insert(alert.said.clone(), now);
            self.own.push((alert, now.after(self.wait)));
        }
    }

    /// One letter says that no more follow.
    fn tell_limit(&mut self, now: Time) {
        if std::mem::replace(&mut self.limit_told, true) {
            return;
        }
        let left = DAY.saturating_sub(now.since(self.day)).as_secs() / 60;
        let said = format!(
            "the limit of {} letters a day is reached: no more about sources goes this way for {} h {} min; 'riposte status' counts what is not told",
            self.per_day,
            left / 60,
            left % 60
        );
        self.own.push((Alert::own(Kind::Limit, Stamp(crate::lives::now()), said), now));
    }

    fn turn_the_day(&mut self, now: Time) {
        if now.since(self.day) >= DAY {
            (self.day, self.sent, self.own_sent, self.limit_told) = (now, 0, 0, false);
        }
    }

    /// When a letter may be due.
    pub fn due(&self) -> Option<Time> {
        let first = self.pending.values().chain(&self.own).map(|(_, due)| *due).min()?;
        Some(self.last.map_or(first, |last| first.max(last.after(self.digest))))
    }

    /// The letter that is due, if one is. Only what is in it counts as told.
    pub fn letter(&mut self, host: &str, now: Time) -> Option<Letter> {
        self.turn_the_day(now);
        if self.due()? > now {
            return None;
        }
        let has_room = self.sent < self.per_day;
        let mut told = Vec::new();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.own).into_iter().partition(|(_, due)| *due <= now);
        self.own = later;
        for (alert, _) in due {
            // That no more follow is said once a day, whatever else was.
            if self.own_sent < OWN_PER_DAY || alert.kind == Kind::Limit {
                told.push(Told::once(alert));
            } else {
                self.counts.over_day += 1;
            }
        }
        let is_own = !told.is_empty();
        let mut whom: Vec<(u8, Prefix)> = self
            .pending
            .iter()
            .filter(|(_, (_, due))| *due <= now)
            .map(|(whom, (alert, _))| (alert.source.as_ref().map_or(0, |source| source.line.level.number()), *whom))
            .collect();
        whom.sort_unstable_by_key(|(level, whom)| (std::cmp::Reverse(*level), *whom));
        let are_sources = !whom.is_empty();
        for (_, whom) in whom {
            let Some((alert, _)) = self.pending.remove(&whom) else { continue };
            if !has_room {
                self.counts.over_day += 1;
                self.tell_limit(now);
            } else if told.len() >= IN_LETTER {
                self.counts.crowded += 1;
                self.more += 1;
                self.remember(whom, &alert, now);
            } else {
                told.push(self.remember(whom, &alert, now).tell(alert));
            }
        }
        // A number alone is no letter: it goes with the next one.
        if told.is_empty() {
            return None;
        }
        if are_sources && has_room {
            self.sent += 1;
        } else if is_own {
            self.own_sent += 1;
        }
        told.sort_by_key(|told| {
            std::cmp::Reverse((told.alert.kind == Kind::Trouble, told.alert.source.as_ref().map(|source| source.line.level)))
        });
        self.last = Some(now);
        Some(Letter { host: host.to_owned(), at: Stamp(crate::lives::now()), told, more: std::mem::take(&mut self.more) })
    }

    /// What is told of a source is known from now on.
    fn remember(&mut self, whom: Prefix, alert: &Alert, now: Time) -> Remembered {
        let old = self.known.remove(&whom).filter(|known| now.since(known.since) < DAY);
        let Some(source) = &alert.source else { return Remembered::default() };
        if self.known.len() >= REMEMBERED {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.before.at).map(|(whom, _)| *whom);
            oldest.and_then(|whom| self.known.remove(&whom));
        }
        let (since, sent) = old.as_ref().map_or((now, 1), |old| (old.since, old.sent + 1));
        let before =
            Before { at: Stamp(now), level: source.line.level.number(), packets: source.line.packets, ports: source.line.ports.clone() };
        self.known.insert(whom, Known { since, sent, before, until: source.until });
        // Until when, by the wall clock.
        let silent = (sent >= self.per_source).then(|| Stamp(crate::lives::now().after(DAY.saturating_sub(now.since(since)))));
        let before = old.map(|old| {
            let ago = now.since(old.before.at.0);
            Before { at: Stamp(crate::lives::now().before(ago)), ..old.before }
        });
        Remembered { before, number: sent.into(), silent }
    }

    /// A letter that never arrived is not counted as told.
    pub fn take_back(&mut self, letter: &Letter) {
        let sources = letter.told.iter().filter_map(|told| told.alert.source.as_ref());
        let mut any = false;
        for source in sources {
            any = true;
            if let Some(known) = self.known.get_mut(&source.line.address.0) {
                known.sent = known.sent.saturating_sub(1);
            }
        }
        if any {
            self.sent = self.sent.saturating_sub(1);
        } else {
            self.own_sent = self.own_sent.saturating_sub(1);
        }
    }
}

impl Known {
    /// When the next one about it may go.
    fn last(&self, throttle: Duration) -> Time {
        self.before.at.0.after(throttle)
    }
}

#[derive(Debug, Default)]
struct Remembered {
    before: Option<Before>,
    number: u64,
    silent: Option<Stamp>,
}

impl Remembered {
    fn tell(self, alert: Alert) -> Told {
        Told { before: self.before, number: self.number, silent_until: self.silent, ..Told::once(alert) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::serial::Whom;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn config(text: &str) -> AlertConfig {
        crate::config::Config::parse(&format!("[alert]\n{text}\n[alert.syslog]\n"), "x").unwrap().alert
    }

    fn alert(address: &str, level: u8, kind: Kind) -> Alert {
        let sample = Alert::sample(Stamp(Time::from_secs(1)));
        let mut source = sample.source.unwrap();
        (source.line.address, source.line.level) = (Whom(address.parse().unwrap()), model::level::DangerLevel::new(level).unwrap());
        Alert { kind, source: Some(source), ..Alert::own(kind, sample.at, "x".into()) }
    }

    /// Gives these, one a second, and lets a day pass; the letters with their times.
    fn run(limits: &mut Limits, alerts: impl IntoIterator<Item = (u64, Alert)>) -> Vec<(u64, Letter)> {
        let mut letters = Vec::new();
        let mut pass = |limits: &mut Limits, until: Time| {
            while let Some(due) = limits.due().filter(|due| *due <= until) {
                letters.extend(limits.letter("h", due).map(|letter| (due.as_nanos() / 1_000_000_000, letter)));
            }
        };
        for (at, alert) in alerts {
            pass(limits, Time::from_secs(at));
            limits.take(alert, Time::from_secs(at));
        }
        pass(limits, Time::from_secs(86_400));
        letters
    }

    #[test]
    fn ten_thousand_attackers_are_a_handful_of_letters() {
        let mut limits = Limits::new(&AlertConfig::default(), Time::from_secs(0));
        let flood = (0..10_000_u64).flat_map(|n| {
            let address = format!("198.51.{}.{}", n / 256, n % 256);
            [(n / 100, alert(&address, 3, Kind::Level)), (n / 100, alert(&address, 5, Kind::Block))]
        });
        let letters = run(&mut limits, flood);
        assert!(letters.len() <= 3, "{}", letters.len());
        assert!(letters.iter().all(|(_, letter)| letter.told.len() <= IN_LETTER));
        let named: u64 = letters.iter().map(|(_, letter)| letter.told.len() as u64 + letter.more).sum();
        // None is lost unsaid: each is in a letter, as itself or as a number.
        assert_eq!(named + limits.counts.merged + limits.counts.repeated, 20_000, "{:?}", limits.counts);
    }

    #[test]
    fn only_a_rise_or_a_block_is_news() {
        let mut limits = Limits::new(&config("throttle = '0s'\ndigest = '0s'\nwait = '0s'"), Time::from_secs(0));
        let levels = [2, 2, 3, 3, 3, 4].iter().enumerate().map(|(n, level)| (n as u64, alert("192.0.2.1", *level, Kind::Level)));
        let letters = run(&mut limits, levels);
        assert_eq!(letters.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 2, 5]);
        assert_eq!(limits.counts, Counts { repeated: 3, ..Counts::default() });
        let numbers: Vec<u64> = letters.iter().map(|(_, letter)| letter.told[0].number).collect();
        assert_eq!((numbers, letters[1].1.told[0].before.as_ref().unwrap().level), (vec![1, 2, 3], 2));
        let mut all = Limits::new(&config("every = true\nthrottle = '0s'\ndigest = '0s'\nwait = '0s'"), Time::from_secs(0));
        assert_eq!(run(&mut all, (0..4).map(|n| (n, alert("192.0.2.1", 2, Kind::Level)))).len(), 4);
    }

    #[test]
    fn a_source_is_told_of_so_often_a_day_and_only_what_was_sent_counts() {
        let text = "every = true\nper_source = 2\nthrottle = '0s'\ndigest = '0s'\nwait = '0s'";
        let mut limits = Limits::new(&config(text), Time::from_secs(0));
        let letters = run(&mut limits, (0..5).map(|n| (n, alert("192.0.2.1", 3, Kind::Level))));
        assert_eq!((letters.len(), limits.counts.over_source), (2, 3));
        assert!(letters[0].1.told[0].silent_until.is_none() && letters[1].1.told[0].silent_until.is_some());
        // psad counts mails that were never sent. A letter that came back leaves room for another.
        limits.take_back(&letters[1].1);
        limits.take(alert("192.0.2.1", 3, Kind::Level), Time::from_secs(90));
        assert!(limits.letter("h", Time::from_secs(90)).is_some());
        limits.take(alert("192.0.2.1", 3, Kind::Level), Time::from_secs(91));
        assert!(limits.letter("h", Time::from_secs(91)).is_none());
        // Another day, another letter.
        let next = Time::from_secs(0).after(DAY).after(HOUR);
        limits.take(alert("192.0.2.1", 3, Kind::Level), next);
        assert!(limits.letter("h", next).is_some());
    }

    #[test]
    fn between_two_about_a_source_lies_the_throttle_and_nothing_is_lost_by_it() {
        let mut limits = Limits::new(&config("throttle = '10m'\ndigest = '0s'\nwait = '0s'"), Time::from_secs(0));
        let levels = (1..=5).map(|level| (u64::from(level), alert("192.0.2.1", level, Kind::Level)));
        let letters = run(&mut limits, levels);
        assert_eq!(letters.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 601]);
        assert_eq!(letters[1].1.told[0].alert.source.as_ref().unwrap().line.level.number(), 5, "the latest");
        assert_eq!(limits.counts.merged, 3);
    }

    #[test]
    fn many_sources_go_together_and_the_day_has_an_end_that_is_said_once() {
        let mut limits = Limits::new(&config("per_day = 3\nper_source = 1\ndigest = '1m'\nwait = '0s'"), Time::from_secs(0));
        let letters = run(&mut limits, (0..3_000).map(|n| (n, alert(&format!("10.0.{}.{}", n / 256, n % 256), 3, Kind::Level))));
        let times: Vec<u64> = letters.iter().map(|(at, _)| *at).collect();
        assert_eq!(times[..3], [0, 60, 120]);
        let limit: Vec<&Letter> = letters
            .iter()
            .map(|(_, letter)| letter)
            .filter(|letter| letter.told.iter().any(|told| told.alert.kind == Kind::Limit))
            .collect();
        assert_eq!((letters.len(), limit.len()), (4, 1));
        assert!(limits.counts.over_day > 2_000);
    }

    #[test]
    fn troubles_are_told_through_a_flood_and_not_again_and_again() {
        let mut limits = Limits::new(&config("per_day = 1\nper_source = 1\ndigest = '1m'\nwait = '0s'"), Time::from_secs(0));
        let trouble = |n: u64| (n, Alert::own(Kind::Trouble, Stamp(Time::from_secs(n)), "the ledger can't be written".into()));
        let flood = (0..600).map(|n| (n, alert(&format!("10.0.{}.{}", n / 256, n % 256), 3, Kind::Level)));
        let letters = run(&mut limits, flood.chain((600..1_000).map(trouble)));
        let troubles = letters.iter().flat_map(|(_, letter)| &letter.told).filter(|told| told.alert.kind == Kind::Trouble).count();
        assert_eq!((troubles, limits.counts.repeated), (1, 399));
    }

    #[test]
    fn what_begins_again_and_again_is_few_letters_a_day_even_when_strangers_have_used_up_theirs() {
        for strangers in [0, 10] {
            let mut limits = Limits::new(&config("per_day = 1\nper_source = 1\ndigest = '1m'\nwait = '0s'"), Time::from_secs(0));
            let flood = (0..strangers).map(|n| (n, alert(&format!("10.0.0.{n}"), 3, Kind::Level)));
            let said = |n: u64| Alert::own(Kind::Trouble, Stamp(Time::from_secs(n)), format!("started again (time {n})"));
            let letters = run(&mut limits, flood.chain((10..8_600).map(|n| (10 * n, said(n)))));
            assert!(letters.len() <= OWN_PER_DAY as usize + 2, "{} letters, {:?}", letters.len(), limits.counts);
        }
    }
}
