//! riposte's own rules: a TOML file for each service, with samples of what must and must not match. Head first: only the rules of the program that
//! wrote the line are asked, and of those only the ones whose texts are in it. A line that matches nothing costs no allocation.

mod classes;
mod file;
mod list;
mod read;
mod samples;
mod shipped;
pub mod suite;
mod table;
#[cfg(test)]
mod tests;
mod torn;

pub use file::{Rule, Service};
pub use read::Problem;
pub use samples::Failure;

use crate::Rules;
use crate::finding::{Finding, Wish};
use crate::head::Head;
use crate::line::Line;
use crate::pattern::{Pattern, Spans};
use crate::scan::{Candidates, Scan};
use file::{Condition, Match};
use model::net::Prefix;
use model::time::Time;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use table::{Entry, Table, Until};
use torn::Torn;

/// Keys that all rules together count. At the bound those quiet for longest give way, and are counted.
const COUNTED_MAX: usize = 65_536;
/// Sessions whose address is remembered. At the bound the oldest give way, and are counted.
const SESSIONS_MAX: usize = 65_536;
/// Programs and places whose rules are known without looking. At the bound all are looked up anew.
const KNOWN_MAX: usize = 4_096;
/// Bytes of a field that count in a key.
const KEY_BYTES: usize = 128;
/// Bytes of a field that a finding tells.
const FIELD_BYTES: usize = 1_024;
/// The field that says how often what a line tells has happened.
const TIMES: &str = "times";
/// A line that says it was repeated counts no oftener than this.
const REPEATED_MAX: u32 = 1_000;

/// Rules at work.
#[derive(Debug)]
pub struct Book {
    services: Vec<Service>,
    rules: Arc<Vec<Rule>>,
    /// By rule: those that count it, and those that wait for it.
    watchers: Vec<Arc<[usize]>>,
    waiting: Vec<Arc<[usize]>>,
    groups: Vec<Group>,
    /// A line's program, unit or place, and its group.
    programs: HashMap<Box<[u8]>, usize>,
    units: HashMap<Box<[u8]>, usize>,
    places: HashMap<Box<str>, usize>,
    table: Table<Entry>,
    sessions: Table<Session>,
    torn: Torn,
    hasher: RandomState,
    utc_offset: i32,
    /// Whether rules of level 0 speak, too (for samples).
    aloud: bool,
    candidates: Candidates,
    spans: Spans,
    key: Vec<u8>,
    no_address: u64,
    foreign_uid: u64,
}

/// Services that are asked together.
#[derive(Debug)]
struct Group {
    services: Vec<usize>,
    scan: Scan,
    /// The scan's patterns: rule and place among its patterns.
    patterns: Vec<(usize, usize)>,
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
struct Facts<'a> {
    at: Time,
    program: Option<&'a [u8]>,
    pid: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    fields: Vec<(&'a Arc<str>, &'a [u8])>,
    address: Option<IpAddr>,
    times: u32,
}

impl Facts<'_> {
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

    /// Appends what this field is to a key; `false` if the line doesn't have it.
    fn key(&self, name: &str, key: &mut Vec<u8>) -> bool {
        let text = match (name, self.address) {
            ("address" | "source", Some(address)) => return push(address, key),
            ("network", Some(address)) => {
                return push(Prefix::new(address, if address.is_ipv4() { 24 } else { 64 }).addr(), key);
            }
            ("address" | "network", None) => return false,
            ("source", None) => self.field("host"),
            _ => self.field(name),
        };
        let Some(text) = text else { return false };
        let text = text.get(..KEY_BYTES).unwrap_or(text);
        key.push(text.len() as u8);
        key.extend_from_slice(text);
        true
    }
}

fn push(address: IpAddr, key: &mut Vec<u8>) -> bool {
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

impl Book {
    /// Reads rule files: names and texts. A name that ends in `.toml` is a service, any other a list.
    ///
    /// # Errors
    /// Everything that is wrong, with its places.
    pub fn load(files: &[(String, String)]) -> Result<Book, Vec<Problem>> {
        let (mut services, mut rules, mut problems) = (Vec::<Service>::new(), Vec::<Rule>::new(), Vec::new());
        for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".toml")) {
            match file::read(name, text, services.len(), rules.len(), files) {
                Ok(contents) => {
                    let known = services.iter().find(|service| service.name == contents.service.name);
                    if let Some(known) = known {
                        let message = format!("service \"{}\" is in {} already", known.name, known.file);
                        problems.push(Problem { file: name.clone(), line: 1, column: 1, message });
                    }
                    services.push(contents.service);
                    rules.extend(contents.rules);
                }
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (mut watchers, mut waiting) = (vec![Vec::<usize>::new(); rules.len()], vec![Vec::<usize>::new(); rules.len()]);
        for (number, rule) in rules.iter().enumerate() {
            for of in &rule.of {
                watchers.get_mut(*of).into_iter().for_each(|list| list.push(number));
            }
            if let Some(list) = rule.after.and_then(|after| waiting.get_mut(after)) {
                list.push(number);
            }
        }
        Ok(Book {
            services,
            rules: Arc::new(rules),
            watchers: watchers.into_iter().map(Arc::from).collect(),
            waiting: waiting.into_iter().map(Arc::from).collect(),
            groups: Vec::new(),
            programs: HashMap::new(),
            units: HashMap::new(),
            places: HashMap::new(),
            table: Table::new(COUNTED_MAX),
            sessions: Table::new(SESSIONS_MAX),
            torn: Torn::default(),
            hasher: RandomState::new(),
            utc_offset: 0,
            aloud: false,
            candidates: Candidates::default(),
            spans: Spans::default(),
            key: Vec::new(),
            no_address: 0,
            foreign_uid: 0,
        })
    }

    /// The rules that riposte comes with.
    ///
    /// # Errors
    /// None, as long as the tests pass.
    pub fn shipped() -> Result<Book, Vec<Problem>> {
        Book::load(&Book::shipped_files())
    }

    /// The files that riposte comes with: names and texts.
    pub fn shipped_files() -> Vec<(String, String)> {
        shipped::FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// The services, in the order in which they were read.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// All rules, service by service.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Sets how many seconds local time is ahead of UTC, for rules that ask for the time of day.
    pub const fn set_utc_offset(&mut self, seconds: i32) {
        self.utc_offset = seconds;
    }

    /// Forgets everything that was counted.
    pub fn forget(&mut self) {
        self.table.clear();
        self.sessions.clear();
        self.torn.clear();
    }

    /// Takes one line in.
    fn take(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        let (group, program, pid, host, message);
        let mut head = Head::default();
        if line.journal.is_empty() {
            head = Head::of(line.text);
            (program, pid, host, message) = (head.program, head.pid, head.host, head.message(line.text));
            if program.is_none() && self.torn.covers(line) {
                return;
            }
            let Some(known) = self.group_of(&head, line) else { return };
            group = known;
        } else {
            program = line.field("SYSLOG_IDENTIFIER").or_else(|| line.field("_COMM"));
            pid = line.field("_PID").or_else(|| line.field("SYSLOG_PID"));
            host = line.field("_HOSTNAME");
            message = line.text.trim_ascii();
            let Some(known) = self.group_of_entry(program, line.field("_SYSTEMD_UNIT")) else { return };
            group = known;
        }
        let (message, times) = repeated(message);
        let Some(asked) = self.groups.get(group) else { return };
        asked.scan.look(message, &mut self.candidates);
        let mut candidates = std::mem::take(&mut self.candidates);
        let numbers = candidates.sorted();
        if !numbers.is_empty() {
            let (rules, at) = (Arc::clone(&self.rules), head.time(line.at).unwrap_or(line.at));
            let mut done = None;
            for &number in numbers {
                let pattern = self.groups.get(group).and_then(|group| group.patterns.get(number as usize)).copied();
                let Some((number, place)) = pattern else { continue };
                let Some(rule) = rules.get(number) else { continue };
                // Of each service the first rule that matches has the line.
                if done == Some(rule.service) {
                    continue;
                }
                let mut facts = Facts { at, program, pid, host, fields: Vec::new(), address: None, times };
                if self.meets(rule, place, message, line, &mut facts) {
                    done = Some(rule.service);
                    if rule.torn > 0 && line.journal.is_empty() && program.is_none() {
                        self.torn.tear(line, rule.torn);
                    }
                    self.fire(&rules, number, rule.weight, &facts, out);
                }
            }
        }
        self.candidates = candidates;
    }

    /// Asks one pattern. Says whether the line is this rule's.
    fn meets<'a>(&mut self, rule: &'a Rule, place: usize, message: &'a [u8], line: &Line<'_>, facts: &mut Facts<'a>) -> bool {
        let Some(pattern) = rule.matches.get(place) else { return false };
        if !pattern.pattern.captures(message, 0, &mut self.spans).unwrap_or(false)
            || rule.except.iter().any(|except| except.is_match(message, 0).unwrap_or(true))
        {
            return false;
        }
        if !self.has_uid(rule.service, line) {
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
            let host = facts.host.map(|host| host.get(..KEY_BYTES).unwrap_or(host)).unwrap_or_default();
            self.key.push(host.len() as u8);
            self.key.extend_from_slice(host);
            if !facts.key(session, &mut self.key) {
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
    fn fire(&mut self, rules: &[Rule], number: usize, weight: u32, facts: &Facts<'_>, out: &mut Vec<Finding>) {
        let Some(rule) = rules.get(number) else { return };
        if !self.is_time(rule, facts.at) {
            return;
        }
        let keyed = self.key_of(number as u32, &rule.by, facts);
        let counts = rule.measure.is_some() || rule.after.is_some() || rule.first;
        if counts && !keyed {
            return;
        }
        // Marks and counts of one rule don't share a key.
        if rule.after.is_some() {
            let key = std::mem::take(&mut self.key);
            let met = self.table.get(&[&key[..], b"<"].concat(), facts.at).is_some();
            self.key = key;
            if !met {
                return;
            }
        }
        if rule.first && self.table.entry(&[&self.key[..], b"1"].concat(), facts.at).mark(facts.at, rule.within) {
            return;
        }
        let mut count = facts.times;
        let mut why = None;
        if let Some(measure) = rule.measure {
            let value = rule.distinct.as_ref().and_then(|name| self.value(name, facts)).unwrap_or(0);
            let tally = self.table.entry(&self.key, facts.at).count(measure, facts.at, facts.times, weight, value, rule.ignore);
            if !tally.reached {
                return;
            }
            count = tally.count;
            why = Some(format!("{}: {}", rule.name, said(measure, tally)));
        } else if !rule.ignore.is_zero() && keyed && self.table.entry(&[&self.key[..], b"i"].concat(), facts.at).mark(facts.at, rule.ignore)
        {
            return;
        }
        let block = |why: String, duration| Wish { action: "block".into(), duration, why };
        let mut wish = match (rule.block, facts.address) {
            (Some(duration), Some(_)) => Some(block(why.unwrap_or_else(|| rule.name.to_string()), duration)),
            _ => None,
        };
        let service = self.services.get(rule.service);
        if rule.weight > 0
            && wish.is_none()
            && let Some(limit) = service.and_then(|service| service.limit.clone())
        {
            let by = if limit.network { "network" } else { "address" };
            if self.key_of(u32::MAX - rule.service as u32, &[by], facts) {
                // What anybody could have sent doesn't add to what a service vouches for.
                self.key.push(rule.trust as u8);
                let tally = self.table.entry(&self.key, facts.at).count(
                    limit.measure,
                    facts.at,
                    facts.times,
                    rule.weight,
                    0,
                    std::time::Duration::ZERO,
                );
                count = tally.count;
                if tally.reached {
                    wish = Some(block(format!("{}; last {}", said(limit.measure, tally), rule.name), limit.block));
                }
            }
        }
        if rule.level > 0 || self.aloud {
            out.push(self.finding(rule, facts, count, wish));
        }
        for &waiting in self.waiting.get(number).cloned().iter().flat_map(|list| list.iter()) {
            let Some(known) = rules.get(waiting) else { continue };
            if self.key_of(waiting as u32, &known.by, facts) {
                let key = [&self.key[..], b"<"].concat();
                self.table.entry(&key, facts.at).mark(facts.at, known.within);
            }
        }
        for &watcher in self.watchers.get(number).cloned().iter().flat_map(|list| list.iter()) {
            let Some(known) = rules.get(watcher) else { continue };
            if known.conditions.iter().all(|condition| facts.meets(condition)) {
                self.fire(rules, watcher, rule.weight, facts, out);
            }
        }
    }

    fn finding(&self, rule: &Rule, facts: &Facts<'_>, count: u32, wish: Option<Wish>) -> Finding {
        let text = |text: &[u8]| String::from_utf8_lossy(text.get(..FIELD_BYTES).unwrap_or(text)).into_owned();
        Finding {
            at: facts.at,
            program: facts.program.map(text),
            decoder: self.services.get(rule.service).map(|service| Arc::clone(&service.name)),
            fields: facts.fields.iter().map(|(name, value)| (Arc::clone(name), text(value))).collect(),
            rule: Arc::clone(&rule.name),
            level: rule.level,
            description: Arc::clone(&rule.description),
            actor: facts.address,
            trust: rule.trust,
            count,
            wish,
        }
    }

    /// Puts together what is counted by; `false` if the line doesn't have all of it.
    fn key_of(&mut self, rule: u32, by: &[impl AsRef<str>], facts: &Facts<'_>) -> bool {
        self.key.clear();
        self.key.extend_from_slice(&rule.to_be_bytes());
        by.iter().all(|name| facts.key(name.as_ref(), &mut self.key))
    }

    /// A number for a field's value, which nobody outside can guess.
    fn value(&self, name: &str, facts: &Facts<'_>) -> Option<u32> {
        let hash = match name {
            "address" => self.hasher.hash_one(facts.address?),
            name => self.hasher.hash_one(facts.field(name)?),
        };
        Some(hash as u32)
    }

    /// Whether a journal entry was sent by whom the service runs as. A file doesn't say.
    fn has_uid(&self, service: usize, line: &Line<'_>) -> bool {
        let Some(service) = self.services.get(service) else { return false };
        service.uids.is_empty() || line.field("_UID").is_none_or(|sender| service.uids.iter().any(|uid| uid.as_bytes() == sender))
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

    /// The services for a line of a file: by its program, or without a head by where it stands. If nobody claims that place, the services whose
    /// lines are known without are asked.
    fn group_of(&mut self, head: &Head<'_>, line: &Line<'_>) -> Option<usize> {
        let place = line.place;
        if let Some(program) = head.program {
            if let Some(group) = self.programs.get(program) {
                return Some(*group);
            }
            let wanted = self.choose(|service| service.programs.iter().any(|known| glob(known.as_bytes(), program)));
            let group = self.group(wanted)?;
            remember(&mut self.programs, program.into(), group);
            return Some(group);
        }
        // What is set in goes on with the line before: text, whatever it looks like.
        if head.message > 0 || line.text.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        if let Some(group) = self.places.get(place) {
            return Some(*group);
        }
        let mut wanted = self.choose(|service| service.paths.iter().any(|known| glob(known.as_bytes(), place.as_bytes())));
        if wanted.is_empty() {
            wanted = self.choose(|service| service.bare);
        }
        let group = self.group(wanted)?;
        remember(&mut self.places, place.into(), group);
        Some(group)
    }

    /// The services for a journal entry.
    fn group_of_entry(&mut self, program: Option<&[u8]>, unit: Option<&[u8]>) -> Option<usize> {
        self.key.clear();
        self.key.extend_from_slice(program.unwrap_or_default());
        self.key.push(0);
        self.key.extend_from_slice(unit.unwrap_or_default());
        if let Some(group) = self.units.get(self.key.as_slice()) {
            return Some(*group);
        }
        let named = |known: &[String], name: Option<&[u8]>| name.is_some_and(|name| known.iter().any(|known| glob(known.as_bytes(), name)));
        let wanted = self.choose(|service| named(&service.programs, program) || named(&service.units, unit));
        let key = self.key.as_slice().into();
        let group = self.group(wanted)?;
        remember(&mut self.units, key, group);
        Some(group)
    }

    fn choose(&self, wanted: impl Fn(&Service) -> bool) -> Vec<usize> {
        self.services.iter().enumerate().filter(|(_, service)| wanted(service)).map(|(number, _)| number).collect()
    }

    /// The group of these services, made if there is none yet.
    fn group(&mut self, services: Vec<usize>) -> Option<usize> {
        if let Some(known) = self.groups.iter().position(|group| group.services == services) {
            return Some(known);
        }
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| services.contains(&rule.service));
        let patterns: Vec<(usize, usize)> =
            rules.flat_map(|(number, rule)| (0..rule.matches.len()).map(move |place| (number, place))).collect();
        let all = patterns.iter().filter_map(|(rule, place)| self.rules.get(*rule)?.matches.get(*place).map(|one| &one.pattern));
        let scan = Scan::new(all).ok()?;
        self.groups.push(Group { services, scan, patterns });
        Some(self.groups.len() - 1)
    }

    /// All patterns, with the rules that they belong to.
    pub fn patterns(&self) -> impl Iterator<Item = (&Rule, &Pattern)> {
        self.rules.iter().flat_map(|rule| rule.matches.iter().map(move |one| (rule, &one.pattern)))
    }
}

impl Rules for Book {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        self.take(line, out);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("counts given way", self.table.given_way()),
            ("sessions given way", self.sessions.given_way()),
            ("lines whose address is none", self.no_address),
            ("lines that may be a stranger's", self.torn.passed),
            ("journal entries of a foreign user", self.foreign_uid),
        ]
    }
}

fn remember<K: std::hash::Hash + Eq>(known: &mut HashMap<K, usize>, name: K, group: usize) {
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(name, group);
}

/// rsyslog's `message repeated 3 times: [ … ]`, and how often. It stands where the program itself begins to write.
fn repeated(message: &[u8]) -> (&[u8], u32) {
    let inner = || {
        let rest = message.strip_prefix(b"message repeated ")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let times = std::str::from_utf8(rest.get(..digits)?).ok()?.parse::<u32>().ok()?;
        let inner = rest.get(digits..)?.strip_prefix(b" times: [ ")?.strip_suffix(b"]")?;
        Some((inner.trim_ascii_end(), times.clamp(1, REPEATED_MAX)))
    };
    inner().unwrap_or((message, 1))
}

/// `*` stands for anything, in names of a few dozen bytes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// `5 lines, score 50 of 50 within 10m`.
fn said(measure: table::Measure, tally: table::Tally) -> String {
    use table::Measure::{Distinct, Leak, Lines, Score};
    let shown = read::shown;
    match measure {
        Score { least, within } => format!("score {} of {least} within {} ({} lines)", tally.score, shown(within), tally.count),
        Lines { least, within } => format!("{} lines of {least} within {}", tally.count, shown(within)),
        Distinct { least, within } => format!("{} different of {least} within {}", tally.count, shown(within)),
        Leak { least, each } => format!("{} lines of {least}, less one each {}", tally.count, shown(each)),
    }
}
