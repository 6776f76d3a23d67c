//! What follows from lines: their fields and addresses, what was counted, what is to be done. Never decides which rule a line is asked by.

use super::classes;
use super::file::{Condition, Match, Rule, Service};
use super::read::shown;
use super::table::{Key, Measure, Record, Table, Tally, Until, Who};
use crate::finding::{Finding, Wish};
use crate::line::Line;
use crate::pattern::Spans;
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;
use smallvec::SmallVec;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Keys (addresses, users, …) that rules count by whose lines are vouched for, and those that anybody could have sent: a forger may push out none
/// of the former. Each holds what every rule counts of it. At the bound those quiet for longest give way, and are counted.
pub(super) const COUNTED_MAX: usize = 65_536;
const FORGEABLE_MAX: usize = 16_384;
/// Sessions whose address is remembered. At the bound the oldest give way, and are counted.
const SESSIONS_MAX: usize = 65_536;
/// Bytes of a field that count in a key.
const KEY_BYTES: usize = 128;
/// Bytes of a field that a finding tells.
const FIELD_BYTES: usize = 1_024;
/// The field that says how often what a line tells has happened.
const TIMES: &str = "times";
/// A line that says it was repeated counts no oftener than this.
pub(super) const REPEATED_MAX: u32 = 1_000;
/// What of a rule remembers: its count, that of a whole network, and its marks.
const COUNT: u8 = 0;
const WIDE: u8 = 1;
const FORERUNNER: u8 = 2;
const FIRST: u8 = 3;
const IGNORED: u8 = 4;

/// The rules and what they have to do with one another.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) services: Vec<Service>,
    pub(super) rules: Vec<Rule>,
    /// By rule: those that count it, and those that wait for it.
    watchers: Vec<Vec<usize>>,
    waiting: Vec<Vec<usize>>,
}

/// What rules remember, and what they lend each other.
#[derive(Debug)]
pub(super) struct State {
    counted: Counted,
    sessions: Table<Session>,
    hasher: RandomState,
    pub(super) utc_offset: i32,
    /// Whether rules of level 0 speak, too (for samples).
    pub(super) aloud: bool,
    /// Whether only findings with a wish tell their program, decoder and fields.
    pub(super) terse: bool,
    block: Arc<str>,
    spans: Spans,
    key: Key,
    no_address: u64,
    foreign_uid: u64,
}

/// What is remembered of a session.
#[derive(Debug, Default)]
struct Session {
    address: Option<IpAddr>,
    until: Time,
}

impl Until for Session {
    fn until(&self) -> Time {
        self.until
    }
}

/// What one line says, for the rules.
pub(super) struct Facts<'a> {
    at: Time,
    program: Option<&'a [u8]>,
    pid: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    fields: SmallVec<[(&'a Arc<str>, &'a [u8]); 4]>,
    address: Option<IpAddr>,
    times: u32,
}

impl<'a> Facts<'a> {
    /// What is known before its rule has looked at it.
    pub(super) fn new(at: Time, program: Option<&'a [u8]>, pid: Option<&'a [u8]>, host: Option<&'a [u8]>, times: u32) -> Facts<'a> {
        Facts { at, program, pid, host, fields: SmallVec::new(), address: None, times }
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        match self.fields.iter().find(|(known, _)| &***known == name) {
            Some((_, text)) => Some(text),
            None => match name {
                "program" => self.program,
                "pid" => self.pid,
                _ => None,
            },
        }
    }

    /// Whether a field is on a rule's list, or is not, as the rule wants it.
    fn meets(&self, condition: &Condition) -> bool {
        let on_it = match &*condition.field {
            "address" => self.address.is_some_and(|address| condition.list.has(address.to_string().as_bytes())),
            name => self.field(name).is_some_and(|text| condition.list.has(text)),
        };
        on_it == condition.wanted
    }

    /// Whether the line comes from a network of so many addresses that nobody has to use one twice.
    fn is_roomy(&self, by: &[impl AsRef<str>]) -> bool {
        self.address.is_some_and(|address| address.is_ipv6()) && by.iter().any(|name| name.as_ref() == "address")
    }

    /// Appends what this field is to a key (its network instead of an address, if `wide`); `false` if the line doesn't have it.
    fn key(&self, name: &str, wide: bool, key: &mut Key) -> bool {
        let text = match (if wide && name == "address" { "network" } else { name }, self.address) {
            ("address" | "source", Some(address)) => return push(address, key),
            ("network", Some(address)) => {
                return push(Prefix::new(address, if address.is_ipv4() { 24 } else { 64 }).addr(), key);
            }
            ("address" | "network", None) => return false,
            ("source", None) => self.field("host"),
            _ => self.field(name),
        };
        let Some(text) = text else { return false };
        push_text(text, key);
        true
    }
}

/// What was counted, by what it is worth: what anybody could have sent doesn't add to what a service vouches for.
#[derive(Debug)]
struct Counted {
    vouched: Table<Record>,
    forgeable: Table<Record>,
}

impl Counted {
    const fn by(&mut self, trust: Trust) -> &mut Table<Record> {
        match trust {
            Trust::Spoofable => &mut self.forgeable,
            Trust::Handshake | Trust::Vouched => &mut self.vouched,
        }
    }
}

/// How one line is counted, and by whom.
#[derive(Debug, Clone, Copy)]
struct Counts {
    number: u32,
    trust: Trust,
    measure: Measure,
    weight: u32,
    value: u32,
    ignore: Duration,
}

fn push(address: IpAddr, key: &mut Key) -> bool {
    match address {
        IpAddr::V4(v4) => {
            key.push(b'4');
            key.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            key.push(b'6');
            key.extend_from_slice(&v6.octets());
        }
    }
    true
}

/// With its length before it: what follows cannot be taken for a part of it.
fn push_text(text: &[u8], key: &mut Key) {
    let text = text.get(..KEY_BYTES).unwrap_or(text);
    key.push(text.len() as u8);
    key.extend_from_slice(text);
}

impl Plan {
    pub(super) fn new(services: Vec<Service>, rules: Vec<Rule>) -> Plan {
        let (mut watchers, mut waiting) = (vec![Vec::new(); rules.len()], vec![Vec::new(); rules.len()]);
        for (number, rule) in rules.iter().enumerate() {
            for of in &rule.of {
                watchers.get_mut(*of).into_iter().for_each(|list| list.push(number));
            }
            if let Some(list) = rule.after.and_then(|after| waiting.get_mut(after)) {
                list.push(number);
            }
        }
        Plan { services, rules, watchers, waiting }
    }
}

impl State {
    pub(super) fn new() -> State {
        State {
            counted: Counted { vouched: Table::new(COUNTED_MAX), forgeable: Table::new(FORGEABLE_MAX) },
            sessions: Table::new(SESSIONS_MAX),
            hasher: RandomState::new(),
            utc_offset: 0,
            aloud: false,
            terse: false,
            block: "block".into(),
            spans: Spans::default(),
            key: Key::new(),
            no_address: 0,
            foreign_uid: 0,
        }
    }

    pub(super) fn forget(&mut self) {
        self.counted.vouched.clear();
        self.counted.forgeable.clear();
        self.sessions.clear();
    }

    /// `strangers`: lines that were passed over because they may be a stranger's.
    pub(super) fn counters(&self, strangers: u64) -> Vec<(&'static str, u64)> {
        vec![
            ("counts given way", self.counted.vouched.given_way()),
            ("forgeable counts given way", self.counted.forgeable.given_way()),
            ("sessions given way", self.sessions.given_way()),
            ("lines whose address is none", self.no_address),
            ("lines that may be a stranger's", strangers),
            ("journal entries of a foreign user", self.foreign_uid),
        ]
    }

    /// Asks one pattern. Says whether the line is this rule's.
    pub(super) fn meets<'a>(
        &mut self,
        plan: &Plan,
        rule: &'a Rule,
        place: usize,
        message: &'a [u8],
        line: &Line<'_>,
        facts: &mut Facts<'a>,
    ) -> bool {
        let Some(pattern) = rule.matches.get(place) else { return false };
        if !pattern.pattern.captures(message, 0, &mut self.spans).unwrap_or(false)
            || rule.except.iter().any(|except| except.is_match(message, 0).unwrap_or(true))
        {
            return false;
        }
        if !has_uid(plan, rule.service, line) {
            self.foreign_uid += 1;
            return false;
        }
        self.gather(rule, pattern, message, facts)
    }

    /// Reads the fields, the address among them. Says whether the line is the rule's.
    fn gather<'a>(&mut self, rule: &'a Rule, pattern: &'a Match, message: &'a [u8], facts: &mut Facts<'a>) -> bool {
        for (group, name) in &pattern.fields {
            if Some(*group) != pattern.address
                && let Some(text) = self.spans.text(message, *group)
            {
                // A line may say itself how often.
                if &**name == TIMES {
                    let times = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u32>().ok());
                    facts.times = facts.times.saturating_mul(times.unwrap_or(1)).clamp(1, REPEATED_MAX);
                }
                facts.fields.push((name, text));
            }
        }
        if let Some((from, to)) = pattern.address.and_then(|group| self.spans.get(group)) {
            facts.address = classes::address(message, from, to);
            if facts.address.is_none() {
                self.no_address += 1;
                return false;
            }
        }
        if let Some(session) = &rule.session {
            self.key.clear();
            self.key.extend_from_slice(&(rule.service as u32).to_be_bytes());
            // In a log of many hosts each has a session 1000 of its own.
            push_text(facts.host.unwrap_or_default(), &mut self.key);
            if !facts.key(session, false, &mut self.key) {
                return false;
            }
            match facts.address {
                Some(address) => {
                    let until = facts.at.after(rule.within);
                    let known = self.sessions.entry(&self.key, facts.at);
                    (known.address, known.until) = (Some(address), until);
                }
                None => facts.address = self.sessions.get(&self.key, facts.at).and_then(|known| known.address),
            }
        }
        rule.conditions.iter().all(|condition| facts.meets(condition))
    }

    /// What follows from a rule that met its line, and from those that count it.
    /// `weight` is that of the rule that met the line.
    pub(super) fn fire(&mut self, plan: &Plan, number: usize, weight: u32, facts: &Facts<'_>, out: &mut Vec<Finding>) {
        let Some(rule) = plan.rules.get(number) else { return };
        if !self.is_time(rule, facts.at) {
            return;
        }
        let counts = rule.measure.is_some() || rule.after.is_some() || rule.first;
        let keyed = (counts || !rule.ignore.is_zero()) && self.key_of(&rule.by, false, facts);
        if counts && !keyed {
            return;
        }
        if rule.after.is_some() && !self.is_marked(rule.trust, (number as u32, FORERUNNER), facts.at) {
            return;
        }
        if rule.first && self.mark(rule.trust, (number as u32, FIRST), facts.at, rule.within) {
            return;
        }
        let mut count = facts.times;
        let mut why = None;
        if let Some(measure) = rule.measure {
            let value = rule.distinct.as_ref().and_then(|name| self.value(name, facts)).unwrap_or(0);
            let counts = Counts { number: number as u32, trust: rule.trust, measure, weight, value, ignore: rule.ignore };
            let tally = self.count(&rule.by, &counts, facts);
            if !tally.reached {
                return;
            }
            count = tally.count;
            why = Some(format!("{}: {}", rule.name, said(tally)));
        } else if keyed && !rule.ignore.is_zero() && self.mark(rule.trust, (number as u32, IGNORED), facts.at, rule.ignore) {
            return;
        }
        let mut wish = match (rule.block, facts.address) {
            (Some(duration), Some(_)) => Some(self.wish(why.unwrap_or_else(|| rule.name.to_string()), duration)),
            _ => None,
        };
        let limit = plan.services.get(rule.service).and_then(|service| service.limit.as_ref());
        if rule.weight > 0
            && wish.is_none()
            && let Some(limit) = limit
        {
            let by = [if limit.network { "network" } else { "address" }];
            if self.key_of(&by, false, facts) {
                let (number, ignore) = (u32::MAX - rule.service as u32, Duration::ZERO);
                let counts = Counts { number, trust: rule.trust, measure: limit.measure, weight: rule.weight, value: 0, ignore };
                let tally = self.count(&by, &counts, facts);
                count = tally.count;
                if tally.reached {
                    wish = Some(self.wish(format!("{}; last {}", said(tally), rule.name), limit.block));
                }
            }
        }
        if rule.level > 0 || self.aloud {
            out.push(self.finding(plan, rule, facts, count, wish));
        }
        for &waiting in plan.waiting.get(number).into_iter().flatten() {
            let Some(known) = plan.rules.get(waiting) else { continue };
            if self.key_of(&known.by, false, facts) {
                self.mark(known.trust, (waiting as u32, FORERUNNER), facts.at, known.within);
            }
        }
        for &watcher in plan.watchers.get(number).into_iter().flatten() {
            let Some(known) = plan.rules.get(watcher) else { continue };
            if known.conditions.iter().all(|condition| facts.meets(condition)) {
                self.fire(plan, watcher, rule.weight, facts, out);
            }
        }
    }

    fn wish(&self, why: String, duration: Option<Duration>) -> Wish {
        Wish::new(Arc::clone(&self.block), duration, why)
    }

    fn finding(&self, plan: &Plan, rule: &Rule, facts: &Facts<'_>, count: u32, wish: Option<Wish>) -> Finding {
        let text = |text: &[u8]| String::from_utf8_lossy(text.get(..FIELD_BYTES).unwrap_or(text)).into_owned();
        let tells = wish.is_some() || !self.terse;
        let fields = facts.fields.iter().filter(|_| tells);
        Finding {
            at: facts.at,
            program: facts.program.filter(|_| tells).map(text),
            decoder: plan.services.get(rule.service).filter(|_| tells).map(|service| Arc::clone(&service.name)),
            fields: fields.map(|(name, value)| (Arc::clone(name), text(value))).collect(),
            rule: Arc::clone(&rule.name),
            level: rule.level,
            description: Arc::clone(&rule.description),
            actor: facts.address,
            trust: rule.trust,
            count,
            wish,
        }
    }

    /// Marks the key, for so long. Says whether it was marked already.
    fn mark(&mut self, trust: Trust, who: Who, at: Time, span: Duration) -> bool {
        self.counted.by(trust).entry(&self.key, at).of(who).mark(at, span)
    }

    fn is_marked(&mut self, trust: Trust, who: Who, at: Time) -> bool {
        self.counted.by(trust).get(&self.key, at).is_some_and(|record| record.is_marked(who, at))
    }

    /// Counts by the key that stands ready. In IPv6 everybody has 2⁶⁴ addresses: there an address' network counts as well, up to twice as many.
    fn count(&mut self, by: &[impl AsRef<str>], counts: &Counts, facts: &Facts<'_>) -> Tally {
        let tally = self.count_once(COUNT, counts, facts);
        if !facts.is_roomy(by) {
            return tally;
        }
        self.key_of(by, true, facts);
        let wide = self.count_once(WIDE, &Counts { measure: counts.measure.doubled(), ..*counts }, facts);
        if wide.reached && !tally.reached { wide } else { tally }
    }

    fn count_once(&mut self, kind: u8, counts: &Counts, facts: &Facts<'_>) -> Tally {
        let (table, who) = (self.counted.by(counts.trust), (counts.number, kind));
        let mut entry = table.entry(&self.key, facts.at).of(who);
        if entry.is_late(counts.measure, facts.at) {
            // Another host's clock may be behind, or this one's was set back: its lines are counted by themselves.
            push_text(facts.host.unwrap_or_default(), &mut self.key);
            entry = table.entry(&self.key, facts.at).of(who);
        }
        entry.count(counts.measure, facts.at, facts.times, counts.weight, counts.value, counts.ignore)
    }

    /// Puts together what is counted by; `false` if the line doesn't have all of it.
    fn key_of(&mut self, by: &[impl AsRef<str>], wide: bool, facts: &Facts<'_>) -> bool {
        self.key.clear();
        by.iter().all(|name| facts.key(name.as_ref(), wide, &mut self.key))
    }

    /// A number for a field's value, which nobody outside can guess.
    fn value(&self, name: &str, facts: &Facts<'_>) -> Option<u32> {
        let hash = match name {
            "address" => self.hasher.hash_one(facts.address?),
            name => self.hasher.hash_one(facts.field(name)?),
        };
        Some(hash as u32)
    }

    fn is_time(&self, rule: &Rule, at: Time) -> bool {
        if rule.hours.is_none() && rule.days.is_empty() {
            return true;
        }
        let local = at.as_secs().saturating_add_signed(i64::from(self.utc_offset));
        // 1 January 1970 was a Thursday.
        let (minute, day) = ((local % 86_400 / 60) as u32, (local / 86_400 + 3) % 7);
        let in_hours =
            rule.hours.is_none_or(|(from, to)| if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to });
        in_hours && (rule.days.is_empty() || rule.days.contains(&day))
    }
}

/// Whether a journal entry was sent by whom the service runs as. A file doesn't say.
fn has_uid(plan: &Plan, service: usize, line: &Line<'_>) -> bool {
    let Some(service) = plan.services.get(service) else { return false };
    service.uids.is_empty() || line.field("_UID").is_none_or(|sender| service.uids.iter().any(|uid| uid.as_bytes() == sender))
}

/// `5 lines, score 50 of 50 within 10m`.
fn said(tally: Tally) -> String {
    use Measure::{Distinct, Leak, Lines, Score};
    match tally.measure {
        Score { least, within } => format!("score {} of {least} within {} ({} lines)", tally.score, shown(within), tally.count),
        Lines { least, within } => format!("{} lines of {least} within {}", tally.count, shown(within)),
        Distinct { least, within } => format!("{} different of {least} within {}", tally.count, shown(within)),
        Leak { least, each, distinct } => {
            format!("{} {} of {least}, less one each {}", tally.count, if distinct { "different" } else { "lines" }, shown(each))
        }
    }
}
