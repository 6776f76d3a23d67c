//! How much is told, and when: what one way out may carry. Whatever it holds back, it counts. Sends nothing and reads no clock.

use crate::config::AlertConfig;
use crate::config::alert::{Share, Tells};
use model::net::Prefix;
use model::time::Time;
use report::alert::{Alert, Before, Kind, Letter, Told};
use report::offender::Ports;
use report::serial::{Stamp, Whom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that "a day" is: from the first letter on.
pub const DAY: Duration = Duration::from_secs(86_400);
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
/// Likewise of letters that tell of nothing but blocks that are over.
const OVER_PER_DAY: u32 = 24;
/// Sources that a successor is told of.
const KEPT: usize = 256;

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
    /// What said nothing new since then.
    passed: u32,
    /// Told by a predecessor: of what it was told before, only the level is known.
    kept: bool,
}

/// What a successor goes on with: times by the wall clock. It names no secret, for another process keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    day: u64,
    sent: [u32; 3],
    limit_told: bool,
    last: Option<u64>,
    /// Whom; when its day began and letters in it; when the last was, the level in that, and the block's end.
    known: Vec<(Whom, u64, u32, u64, u8, Option<Stamp>)>,
}

/// One way's limits.
#[derive(Debug)]
pub struct Limits {
    share: Share,
    every: bool,
    one_in: u32,
    per_day: u32,
    throttle: Duration,
    wait: Duration,
    known: BTreeMap<Prefix, Known>,
    /// With when it may go.
    pending: BTreeMap<Prefix, (Alert, Time)>,
    own: Vec<(Alert, Time)>,
    /// Blocks that are over.
    over: Vec<(Alert, Time)>,
    said: BTreeMap<String, Time>,
    more: u64,
    /// When the day began, and letters in it.
    day: Time,
    sent: u32,
    own_sent: u32,
    over_sent: u32,
    limit_told: bool,
    last: Option<Time>,
    /// What was not told.
    pub counts: Counts,
}

impl Limits {
    /// As configured, for a way with this share; `now` is steady here and everywhere below.
    pub fn new(config: &AlertConfig, share: &Share, now: Time) -> Limits {
        Limits {
            share: share.clone(),
            every: config.every,
            one_in: config.one_in,
            per_day: config.per_day,
            throttle: config.throttle,
            wait: config.wait,
            known: BTreeMap::new(),
            pending: BTreeMap::new(),
            own: Vec::new(),
            over: Vec::new(),
            said: BTreeMap::new(),
            more: 0,
            day: now,
            sent: 0,
            own_sent: 0,
            over_sent: 0,
            limit_told: false,
            last: None,
            counts: Counts::default(),
        }
    }

    /// What a successor is to know.
    pub fn keep(&self, now: Time, wall: Time) -> Kept {
        let at = |time: Time| wall.before(now.since(time)).as_secs();
        let mut known: Vec<(&Prefix, &Known)> = self.known.iter().filter(|(_, known)| now.since(known.since) < DAY).collect();
        known.sort_unstable_by_key(|(whom, known)| (std::cmp::Reverse(known.before.at), **whom));
        let known = known.into_iter().take(KEPT);
        Kept {
            day: at(self.day),
            sent: [self.sent, self.own_sent, self.over_sent],
            limit_told: self.limit_told,
            last: self.last.map(at),
            known: known.map(|(whom, k)| (Whom(*whom), at(k.since), k.sent, at(k.before.at.0), k.before.level, k.until)).collect(),
        }
    }

    /// Goes on where a predecessor has ended, whatever was taken in since then. A clock that was set makes nothing longer than a day.
    pub fn go_on(&mut self, kept: Kept, now: Time, wall: Time) {
        let time = |secs: u64| now.before(wall.since(Time::from_secs(secs)));
        self.day = time(kept.day);
        [self.sent, self.own_sent, self.over_sent] = kept.sent;
        self.limit_told = kept.limit_told;
        self.last = kept.last.map(time);
        for (whom, since, sent, at, level, until) in kept.known.into_iter().take(KEPT) {
            let before = Before { at: Stamp(time(at)), level, packets: 0, ports: Ports::default() };
            self.known.insert(whom.0, Known { since: time(since), sent, before, until, passed: 0, kept: true });
        }
    }

    /// Whether it goes this way at all; a block that is not to be told as one is a charge like others.
    fn is_ours(&self, alert: &mut Alert) -> bool {
        let tells = |what| self.share.tell.contains(&what);
        if alert.kind == Kind::Block && !tells(Tells::Block) {
            alert.kind = Kind::Level;
        }
        let is_told = match alert.kind {
            Kind::Test | Kind::Limit => true,
            Kind::End => tells(Tells::End),
            Kind::Lift => tells(Tells::Lift),
            Kind::Level => tells(Tells::Level),
            Kind::Block => tells(Tells::Block),
            Kind::Recovery | Kind::Trouble => tells(Tells::Trouble),
        };
        is_told && alert.level().is_none_or(|level| level >= self.share.min_level)
    }

    /// Takes an alert in.
    pub fn take(&mut self, mut alert: Alert, now: Time) {
        self.turn_the_day(now);
        if !self.is_ours(&mut alert) {
            return;
        }
        let Some(source) = &alert.source else {
            return if alert.address.is_some() { self.take_over(alert, now) } else { self.take_own(alert, now) };
        };
        let whom = source.line.address.0;
        let known = self.known.get_mut(&whom).filter(|known| now.since(known.since) < DAY);
        let waits = self.pending.contains_key(&whom);
        if let Some(known) = known {
            let rises = source.line.level.number() > known.before.level || alert.kind == Kind::Block && source.until != known.until;
            if !rises && !waits {
                known.passed += 1;
                if !self.every || known.passed % self.one_in != 0 {
                    self.counts.repeated += 1;
                    return;
                }
            }
            if known.sent >= self.share.per_source {
                self.counts.over_source += 1;
                return;
            }
        }
        if self.sent >= self.per_day {
            self.counts.over_day += 1;
            self.tell_limit(now);
            return;
        }
        if let Some((waiting, _)) = self.pending.get_mut(&whom) {
            self.counts.merged += 1;
            let before = std::mem::replace(waiting, alert);
            // Neither a block, with its end, nor a level is hidden by what is said later.
            if let (Some(source), Some(old)) = (&mut waiting.source, before.source) {
                if before.kind > waiting.kind {
                    (source.until, source.line.decision) = (old.until, old.line.decision);
                }
                if (before.kind, old.line.level) > (waiting.kind, source.line.level) {
                    (waiting.kind, waiting.said) = (before.kind, before.said);
                }
                source.line.level = source.line.level.max(old.line.level);
            }
            return;
        }
        if self.pending.len() >= PENDING {
            self.counts.crowded += 1;
            self.more += 1;
            return;
        }
        let throttled = self.known.get(&whom).map_or(now, |known| known.last(self.throttle));
        self.pending.insert(whom, (alert, throttled.max(now.after(self.wait))));
    }

    /// They gather for as long as letters do, so that a night's blocks are few.
    fn take_over(&mut self, alert: Alert, now: Time) {
        if self.over.len() >= PENDING {
            self.counts.crowded += 1;
            self.more += 1;
        } else {
            self.over.push((alert, now.after(self.wait.max(self.share.digest))));
        }
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
            (self.day, self.limit_told) = (now, false);
            (self.sent, self.own_sent, self.over_sent) = (0, 0, 0);
        }
    }

    /// When a letter may be due.
    pub fn due(&self) -> Option<Time> {
        let first = self.pending.values().chain(&self.own).chain(&self.over).map(|(_, due)| *due).min()?;
        Some(self.last.map_or(first, |last| first.max(last.after(self.share.digest))))
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
            .map(|(whom, (alert, _))| (alert.level().unwrap_or_default(), *whom))
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
        // They go along with any letter, due or not.
        let goes = !told.is_empty() || self.over.iter().any(|(_, due)| *due <= now);
        let may_go = !told.is_empty() || self.over_sent < OVER_PER_DAY;
        let over = if goes { std::mem::take(&mut self.over) } else { Vec::new() };
        for (alert, _) in over {
            if !may_go {
                self.counts.over_day += 1;
            } else if told.len() >= IN_LETTER {
                self.counts.crowded += 1;
                self.more += 1;
            } else {
                told.push(Told::once(alert));
            }
        }
        // A number alone is no letter: it goes with the next one.
        if told.is_empty() {
            return None;
        }
        let budget = self.budget(are_sources && has_room, is_own);
        *budget = budget.saturating_add(1);
        told.sort_by_key(|told| {
            std::cmp::Reverse((told.alert.kind == Kind::Trouble, told.alert.source.as_ref().map(|source| source.line.level)))
        });
        self.last = Some(now);
        Some(Letter { host: host.to_owned(), at: Stamp(crate::lives::now()), told, more: std::mem::take(&mut self.more) })
    }

    /// The letters of this day that tell of the same.
    fn budget(&mut self, are_sources: bool, is_own: bool) -> &mut u32 {
        match (are_sources, is_own) {
            (true, _) => &mut self.sent,
            (_, true) => &mut self.own_sent,
            _ => &mut self.over_sent,
        }
    }

    /// What is told of a source is known from now on.
    fn remember(&mut self, whom: Prefix, alert: &Alert, now: Time) -> Remembered {
        let old = self.known.remove(&whom).filter(|known| now.since(known.since) < DAY);
        let Some(source) = &alert.source else { return Remembered::default() };
        if self.known.len() >= REMEMBERED {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.before.at).map(|(whom, _)| *whom);
            oldest.and_then(|whom| self.known.remove(&whom));
        }
        let (since, sent) = old.as_ref().map_or((now, 1), |old| (old.since, old.sent.saturating_add(1)));
        let before =
            Before { at: Stamp(now), level: source.line.level.number(), packets: source.line.packets, ports: source.line.ports.clone() };
        self.known.insert(whom, Known { since, sent, before, until: source.until, passed: 0, kept: false });
        // Until when, by the wall clock.
        let silent = (sent >= self.share.per_source).then(|| Stamp(crate::lives::now().after(DAY.saturating_sub(now.since(since)))));
        let before = old.filter(|old| !old.kept).map(|old| {
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
        let is_own = letter.told.iter().any(|told| told.alert.about().is_none());
        let budget = self.budget(any, is_own);
        *budget = budget.saturating_sub(1);
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

    fn limits(config: &AlertConfig) -> Limits {
        let share = Share { tell: config.tell.clone(), min_level: config.min_level, per_source: config.per_source, digest: config.digest };
        Limits::new(config, &share, Time::from_secs(0))
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
        let mut limits = self::limits(&AlertConfig::default());
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
        let mut limits = self::limits(&config("throttle = '0s'\ndigest = '0s'\nwait = '0s'"));
        let levels = [2, 2, 3, 3, 3, 4].iter().enumerate().map(|(n, level)| (n as u64, alert("192.0.2.1", *level, Kind::Level)));
        let letters = run(&mut limits, levels);
        assert_eq!(letters.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 2, 5]);
        assert_eq!(limits.counts, Counts { repeated: 3, ..Counts::default() });
        let numbers: Vec<u64> = letters.iter().map(|(_, letter)| letter.told[0].number).collect();
        assert_eq!((numbers, letters[1].1.told[0].before.as_ref().unwrap().level), (vec![1, 2, 3], 2));
        let mut all = self::limits(&config("every = true\nthrottle = '0s'\ndigest = '0s'\nwait = '0s'"));
        assert_eq!(run(&mut all, (0..4).map(|n| (n, alert("192.0.2.1", 2, Kind::Level)))).len(), 4);
    }

    #[test]
    fn a_source_is_told_of_so_often_a_day_and_only_what_was_sent_counts() {
        let text = "every = true\nper_source = 2\nthrottle = '0s'\ndigest = '0s'\nwait = '0s'";
        let mut limits = self::limits(&config(text));
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
        let mut limits = self::limits(&config("throttle = '10m'\ndigest = '0s'\nwait = '0s'"));
        let levels = (1..=5).map(|level| (u64::from(level), alert("192.0.2.1", level, Kind::Level)));
        let letters = run(&mut limits, levels);
        assert_eq!(letters.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 601]);
        assert_eq!(letters[1].1.told[0].alert.source.as_ref().unwrap().line.level.number(), 5, "the latest");
        assert_eq!(limits.counts.merged, 3);
    }

    #[test]
    fn what_waits_is_not_hidden_by_what_is_said_of_its_source_later() {
        let mut limits = self::limits(&config("throttle = '0s'\ndigest = '0s'\nwait = '9s'"));
        let until = Some(Stamp(Time::from_secs(7_000)));
        let mut block = Alert { said: "192.0.2.1 is blocked".into(), ..alert("192.0.2.1", 3, Kind::Block) };
        block.source.as_mut().unwrap().until = until;
        let letters = run(&mut limits, [(1, block), (2, alert("192.0.2.1", 4, Kind::Level)), (3, alert("192.0.2.1", 1, Kind::Level))]);
        let told = &letters[0].1.told[0].alert;
        let source = told.source.as_ref().unwrap();
        assert_eq!((told.kind, told.said.as_str(), source.until), (Kind::Block, "192.0.2.1 is blocked", until));
        assert_eq!((source.line.level.number(), limits.counts.merged), (4, 2));
    }

    #[test]
    fn many_sources_go_together_and_the_day_has_an_end_that_is_said_once() {
        let mut limits = self::limits(&config("per_day = 3\nper_source = 1\ndigest = '1m'\nwait = '0s'"));
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
        let mut limits = self::limits(&config("per_day = 1\nper_source = 1\ndigest = '1m'\nwait = '0s'"));
        let trouble = |n: u64| (n, Alert::own(Kind::Trouble, Stamp(Time::from_secs(n)), "the ledger can't be written".into()));
        let flood = (0..600).map(|n| (n, alert(&format!("10.0.{}.{}", n / 256, n % 256), 3, Kind::Level)));
        let letters = run(&mut limits, flood.chain((600..1_000).map(trouble)));
        let troubles = letters.iter().flat_map(|(_, letter)| &letter.told).filter(|told| told.alert.kind == Kind::Trouble).count();
        assert_eq!((troubles, limits.counts.repeated), (1, 399));
    }

    #[test]
    fn what_begins_again_and_again_is_few_letters_a_day_even_when_strangers_have_used_up_theirs() {
        for strangers in [0, 10] {
            let mut limits = self::limits(&config("per_day = 1\nper_source = 1\ndigest = '1m'\nwait = '0s'"));
            let flood = (0..strangers).map(|n| (n, alert(&format!("10.0.0.{n}"), 3, Kind::Level)));
            let said = |n: u64| Alert::own(Kind::Trouble, Stamp(Time::from_secs(n)), format!("started again (time {n})"));
            let letters = run(&mut limits, flood.chain((10..8_600).map(|n| (10 * n, said(n)))));
            assert!(letters.len() <= OWN_PER_DAY as usize + 2, "{} letters, {:?}", letters.len(), limits.counts);
        }
    }

    #[test]
    fn a_way_has_its_own_share_of_what_is_told() {
        let text = "[alert]\nmin_level=2\nthrottle='0s'\ndigest='0s'\nwait='0s'\n[alert.mail]\nto=['root']\ntell=['level', 'lift']\nmin_level=3\nper_source=2\n";
        let config = crate::config::Config::parse(text, "x").unwrap().alert;
        let mut limits = Limits::new(&config, config.share("mail").unwrap(), Time::from_secs(0));
        let over = |kind, level| {
            let level = model::level::DangerLevel::new(level);
            Alert::over(kind, Stamp(Time::from_secs(1)), ("192.0.2.1/32".parse().unwrap(), level), "over".into())
        };
        let letters = run(
            &mut limits,
            [
                (1, alert("192.0.2.1", 2, Kind::Level)),
                (2, alert("192.0.2.1", 3, Kind::Block)),
                (3, over(Kind::Lift, 3)),
                (4, over(Kind::End, 3)),
                (5, Alert::own(Kind::Trouble, Stamp(Time::from_secs(1)), "x".into())),
                (6, alert("192.0.2.1", 4, Kind::Level)),
                (7, alert("192.0.2.1", 5, Kind::Level)),
                // The block of one who was never told of here is no news when it is over, one that an operator had ordered is.
                (8, over(Kind::Lift, 2)),
                (9, over(Kind::Lift, 0)),
            ],
        );
        let kinds: Vec<(u64, Kind)> = letters.iter().map(|(at, letter)| (*at, letter.told[0].alert.kind)).collect();
        assert_eq!(kinds, [(2, Kind::Level), (3, Kind::Lift), (6, Kind::Level), (9, Kind::Lift)]);
        assert_eq!(limits.counts.over_source, 1);
    }

    #[test]
    fn of_what_says_nothing_new_one_in_so_many_is_told() {
        let mut limits = self::limits(&config("every=true\none_in=10\nthrottle='0s'\ndigest='0s'\nwait='0s'"));
        let same = (0..35).map(|n| (n, alert("192.0.2.1", 2, Kind::Level)));
        let letters = run(&mut limits, same.chain([(35, alert("192.0.2.1", 3, Kind::Level))]));
        assert_eq!(letters.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 10, 20, 30, 35], "a rise is always told");
        assert_eq!(limits.counts.repeated, 31);
    }

    #[test]
    fn blocks_that_are_over_gather_and_use_up_nobody_elses_letters() {
        let mut limits = self::limits(&config("per_day = 3\nper_source = 1\ndigest = '1m'\nwait = '0s'"));
        let over = |n: u64| (n, Alert::over(Kind::End, Stamp(Time::from_secs(n)), ("192.0.2.1/32".parse().unwrap(), None), format!("{n}")));
        let mut letters = run(&mut limits, (0..7_200).map(over));
        assert_eq!((letters.len(), letters[0].1.told.len()), (OVER_PER_DAY as usize, 60));
        assert!(limits.counts.over_day > 5_000);
        // An attack and a trouble are told all the same.
        letters = run(&mut limits, [(80_000, alert("192.0.2.9", 3, Kind::Block)), over(80_000)]);
        assert_eq!(letters[0].1.told.iter().map(|told| told.alert.kind).collect::<Vec<_>>(), [Kind::Block]);
        letters = run(&mut limits, [(80_200, Alert::own(Kind::Trouble, Stamp(Time::from_secs(1)), "x".into()))]);
        assert_eq!(letters.len(), 1);
    }

    #[test]
    fn fifty_restarts_are_no_flood_of_letters() {
        let config = config("digest='1m'\nwait='1s'");
        let (mut kept, mut told, mut own) = (Kept::default(), 0, 0);
        // A restart a minute: each time every attacker is charged anew, and the envoy's end is told.
        for n in 0..50_u64 {
            let (steady, wall) = (|at: u64| Time::from_secs(at).after(DAY), |at: u64| Time::from_secs(1_700_000_000 + 60 * n + at));
            let mut limits = self::limits(&config);
            if n > 0 {
                limits.go_on(kept, steady(1), wall(1));
            }
            for attacker in 0..20 {
                limits.take(alert(&format!("192.0.2.{attacker}"), 3, Kind::Block), steady(2));
            }
            limits.take(Alert::own(Kind::Trouble, Stamp(wall(2)), format!("the envoy was started again (time {n})")), steady(2));
            for at in 2..60 {
                if let Some(letter) = limits.letter("h", steady(at)) {
                    let sources = letter.told.iter().filter(|told| told.alert.source.is_some()).count();
                    (told, own) = (told + sources, own + u32::from(sources == 0));
                    assert!(sources == 0 || n == 0, "told again after {n} restarts");
                    assert!(n == 0 || letter.told.iter().all(|told| told.before.is_none()));
                }
            }
            kept = serde_json::from_str(&serde_json::to_string(&limits.keep(steady(59), wall(59))).unwrap()).unwrap();
        }
        assert_eq!(told, 20, "each attacker once");
        assert!(own <= OWN_PER_DAY, "{own}");
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_clock_that_was_set_silences_nobody_for_longer_than_a_day() {
        let mut limits = self::limits(&config("per_day = 10000\nper_source = 1\ndigest='0s'\nwait='0s'"));
        let long =
            |n: u64| (n, alert(&format!("2001:db8:1111:2222:3333:4444:{:x}:{:x}", 0x1000 + n / 100, 0x1000 + n % 100), 3, Kind::Block));
        run(&mut limits, (0..2_000).map(long));
        let kept = limits.keep(Time::from_secs(3_000), Time::from_secs(1_700_000_000));
        assert!(kept.known.len() == KEPT && serde_json::to_string(&kept).unwrap().len() <= model::limits::ALERT_BYTES);
        // The clock was a year ahead when it was written.
        let (now, mut next) = (Time::from_secs(10).after(DAY), self::limits(&config("per_source = 1\ndigest='0s'\nwait='0s'")));
        let wall = Time::from_secs(1_700_000_000 - 365 * 86_400);
        next.go_on(kept, now, wall);
        let (_, again) = long(1_999);
        next.take(again.clone(), now);
        assert!(next.letter("h", now).is_none(), "told already");
        let tomorrow = now.after(DAY).after(HOUR);
        next.take(again, tomorrow);
        assert!(next.letter("h", tomorrow).is_some());
    }

    #[test]
    fn whatever_a_predecessor_says_ends_nobody() {
        let (now, secs) = (Time::from_secs(10).after(DAY), 1_700_000_000);
        let known = vec![(Whom("192.0.2.1/32".parse().unwrap()), secs, u32::MAX, secs, 1, None)];
        for (sent, told) in [([0, u32::MAX, u32::MAX], Kind::Block), ([u32::MAX; 3], Kind::Limit)] {
            let mut limits = self::limits(&config("digest='0s'\nwait='0s'"));
            limits.take(alert("192.0.2.1", 3, Kind::Block), now);
            limits.go_on(Kept { day: secs, sent, known: known.clone(), ..Kept::default() }, now, Time::from_secs(secs));
            let letter = limits.letter("h", now).or_else(|| limits.letter("h", now)).unwrap();
            assert_eq!(letter.told[0].alert.kind, told);
        }
    }
}
