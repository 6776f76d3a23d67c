//! riposte's own rules: a TOML file for each service, with samples of what must and must not match. Head first: only the rules of the program that
//! wrote the line are asked, and of those only the ones that begin as it does. A line that matches nothing costs no allocation.

mod classes;
mod file;
mod list;
mod read;
mod samples;
mod shipped;
mod state;
pub mod suite;
mod table;
#[cfg(test)]
mod tests;
mod torn;

pub use file::{Rule, Service};
pub use read::Problem;
pub use samples::Failure;

use crate::Rules;
use crate::finding::Finding;
use crate::head::{Form, Head};
use crate::line::Line;
use crate::pattern::Pattern;
use crate::starts::Starts;
use hashbrown::HashMap;
use state::{Facts, Plan, REPEATED_MAX, State};
use torn::Torn;

/// Programs and places whose rules are known without looking. At the bound all are looked up anew.
const KNOWN_MAX: usize = 4_096;

/// Rules at work.
#[derive(Debug)]
pub struct Book {
    plan: Plan,
    state: State,
    groups: Vec<Group>,
    /// A line's program, unit or place, and its group.
    programs: HashMap<Box<[u8]>, usize>,
    units: HashMap<Box<[u8]>, usize>,
    places: HashMap<Box<str>, usize>,
    torn: Torn,
    /// Whether all services are asked for a line without a head (for suites, which name no files).
    all_bare: bool,
    key: Vec<u8>,
    found: Vec<u32>,
}

/// Services that are asked together.
#[derive(Debug)]
struct Group {
    services: Vec<usize>,
    starts: Starts,
    /// Whose beginnings these are: rule and place among its patterns.
    patterns: Vec<(usize, usize)>,
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
        Ok(Book {
            plan: Plan::new(services, rules),
            state: State::new(),
            groups: Vec::new(),
            programs: HashMap::new(),
            units: HashMap::new(),
            places: HashMap::new(),
            torn: Torn::default(),
            all_bare: false,
            key: Vec::new(),
            found: Vec::new(),
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
        &self.plan.services
    }

    /// All rules, service by service.
    pub fn rules(&self) -> &[Rule] {
        &self.plan.rules
    }

    /// Sets how many seconds local time is ahead of UTC, for rules that ask for the time of day.
    pub const fn set_utc_offset(&mut self, seconds: i32) {
        self.state.utc_offset = seconds;
    }

    /// Whether findings that want nothing done leave their program, decoder and fields empty: for whoever only counts them.
    pub const fn set_terse(&mut self, terse: bool) {
        self.state.terse = terse;
    }

    /// Forgets everything that was counted.
    pub fn forget(&mut self) {
        self.state.forget();
        self.torn.clear();
    }

    fn ask_all_bare(&mut self, all: bool) {
        self.all_bare = all;
        self.places.clear();
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
            group = self.group_of_entry(program, line.field("_SYSTEMD_UNIT"));
        }
        let (message, times) = repeated(message);
        let Book { plan, state, torn, groups, found, .. } = self;
        let Some(group) = groups.get_mut(group) else { return };
        group.starts.look(message, found);
        if found.is_empty() {
            return;
        }
        let at = head.time(line.at).unwrap_or(line.at);
        let mut done = None;
        for &number in &*found {
            let Some(&(number, place)) = group.patterns.get(number as usize) else { continue };
            let Some(rule) = plan.rules.get(number) else { continue };
            // Of each service the first rule that matches has the line.
            if done == Some(rule.service) {
                continue;
            }
            let mut facts = Facts::new(at, program, pid, host, times);
            if state.meets(plan, rule, place, message, line, &mut facts) {
                done = Some(rule.service);
                if rule.torn > 0 && line.journal.is_empty() && program.is_none() {
                    torn.tear(line, rule.torn);
                }
                state.fire(plan, number, rule.weight, &facts, out);
            }
        }
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
            let group = self.group(wanted);
            remember(&mut self.programs, program.into(), group);
            return Some(group);
        }
        // What is set in goes on with the line before: text, whatever it looks like.
        if head.form != Form::Bare || line.text.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        if let Some(group) = self.places.get(place) {
            return Some(*group);
        }
        let mut wanted = self.choose(|service| service.paths.iter().any(|known| glob(known.as_bytes(), place.as_bytes())));
        if wanted.is_empty() {
            wanted = self.choose(|service| service.bare || self.all_bare);
        }
        let group = self.group(wanted);
        remember(&mut self.places, place.into(), group);
        Some(group)
    }

    /// The services for a journal entry.
    fn group_of_entry(&mut self, program: Option<&[u8]>, unit: Option<&[u8]>) -> usize {
        self.key.clear();
        self.key.extend_from_slice(program.unwrap_or_default());
        self.key.push(0);
        self.key.extend_from_slice(unit.unwrap_or_default());
        if let Some(group) = self.units.get(self.key.as_slice()) {
            return *group;
        }
        let named = |known: &[String], name: Option<&[u8]>| name.is_some_and(|name| known.iter().any(|known| glob(known.as_bytes(), name)));
        let wanted = self.choose(|service| named(&service.programs, program) || named(&service.units, unit));
        let key = self.key.as_slice().into();
        let group = self.group(wanted);
        remember(&mut self.units, key, group);
        group
    }

    fn choose(&self, wanted: impl Fn(&Service) -> bool) -> Vec<usize> {
        self.plan.services.iter().enumerate().filter(|(_, service)| wanted(service)).map(|(number, _)| number).collect()
    }

    /// The group of these services, made if there is none yet.
    fn group(&mut self, services: Vec<usize>) -> usize {
        if let Some(known) = self.groups.iter().position(|group| group.services == services) {
            return known;
        }
        let rules = self.plan.rules.iter().enumerate().filter(|(_, rule)| services.contains(&rule.service));
        let matches =
            rules.flat_map(|(number, rule)| rule.matches.iter().enumerate().map(move |(place, one)| ((number, place), &one.pattern)));
        let (patterns, all): (_, Vec<&Pattern>) = matches.unzip();
        self.groups.push(Group { services, starts: Starts::new(all), patterns });
        self.groups.len() - 1
    }

    /// All patterns, with the rules that they belong to.
    pub fn patterns(&self) -> impl Iterator<Item = (&Rule, &Pattern)> {
        self.plan.rules.iter().flat_map(|rule| rule.matches.iter().map(move |one| (rule, &one.pattern)))
    }
}

impl Rules for Book {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        self.take(line, out);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        self.state.counters(self.torn.passed)
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
