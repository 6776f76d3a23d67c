//! OSSEC's decoders and rules, as they are: `decoder.xml`, `rules/*.xml`, lists, `ossec.conf`; also most of Wazuh 4's dialect.
//! Says what a rule's author wants done, never does it; whatever can't be honoured is named when the files are loaded.

pub mod conf;
mod decoder;
mod dialects;
mod engine;
mod event;
mod json;
mod lists;
mod load;
mod memory;
pub mod order;
mod patterns;
mod plugins;
mod predecode;
mod rule;
mod state;
mod tree;
mod when;
mod xml;

use crate::Rules;
use crate::finding::{Finding, Wish};
use crate::line::Line;
use conf::{Conf, Response};
use decoder::{Decoders, FieldSet, Kind};
use engine::{Engine, Knowledge, address};
use event::{Event, Field};
use jiff::tz::TimeZone;
use lists::List;
use load::Loader;
use memory::Memory;
use model::event::Trust;
use patterns::{Patterns, Remembered, Scratch};
use rule::{ListField, Rule};
use state::State;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use tree::Tree;

/// Something said about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file, as it was named.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// What is to be said.
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// The files' names and texts, in the order in which they are to be read: what a rule hangs under depends on what was there before it.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `ossec.conf`, if responses are to be known.
    pub config: Option<(String, String)>,
    /// Decoder files.
    pub decoders: Vec<(String, String)>,
    /// Rule files.
    pub rules: Vec<(String, String)>,
    /// Rule files that are only checked: their rules are never met.
    pub resting: Vec<(String, String)>,
    /// Lists: keys with values, as text.
    pub lists: Vec<(String, String)>,
}

/// What isn't in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This host's name, for lines that don't say where they come from.
    pub host: String,
    /// What local time is, for rules with `<time>` and `<weekday>`.
    pub zone: TimeZone,
    /// As `ossec-logtest` does it: firewalls' words for what they did are left as they are, and nothing is put on ignore lists.
    pub as_logtest: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { host: "localhost".into(), zone: TimeZone::UTC, as_logtest: false }
    }
}

/// OSSEC's rules at work.
#[derive(Debug, Clone)]
pub struct Ossec {
    /// What isn't in the files.
    pub settings: Settings,
    knowledge: Knowledge,
    conf: Conf,
    /// Which responses each rule earns.
    responses: Vec<Vec<u32>>,
    state: State,
    memory: Memory,
    scratch: Scratch,
    event: Event,
    remembered: Remembered,
    /// Alerts that accuse nobody because their line names two.
    ambiguous: u64,
}

/// What a line came to, in all its phases.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The host, if the line names one.
    pub host: Option<String>,
    /// The program, if the line names one.
    pub program: Option<String>,
    /// What is left for decoders and rules.
    pub log: String,
    /// The decoder, by the name that rules know.
    pub decoder: Option<Arc<str>>,
    /// What it found, in the order in which it found it.
    pub fields: Vec<(Arc<str>, String)>,
    /// The rule that was met.
    pub met: Option<Met>,
    /// Who did it.
    pub actor: Option<IpAddr>,
    /// What the rule's author wants done.
    pub wish: Option<Wish>,
}

/// The rule that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Its number.
    pub rule: Arc<str>,
    /// Its level.
    pub level: u8,
    /// Its description.
    pub description: Arc<str>,
    /// Its groups, as they are written.
    pub groups: String,
    /// Whether it is an alert: level 0, muted rules and ignored events are none.
    pub alert: bool,
    /// How many events it took.
    pub count: u32,
}

/// Reads `ossec.conf`, to find out which files it names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_conf(name: &str, text: &str) -> Result<(Conf, Vec<Remark>), Vec<Remark>> {
    let mut loader = Loader::default();
    let elements = elements(name, text, &mut loader);
    let conf = Conf::read(&elements, &mut loader);
    if loader.problems.is_empty() { Ok((conf, loader.notices)) } else { Err(loader.problems) }
}

fn elements(name: &str, text: &str, loader: &mut Loader) -> Vec<xml::Element> {
    name.clone_into(&mut loader.file);
    xml::read(text).unwrap_or_else(|fault| {
        loader.problem(fault.line, fault.message);
        Vec::new()
    })
}

/// Whether files are Wazuh's: what only Wazuh has is in them. Wazuh counts differently.
fn is_wazuh(files: &Files) -> bool {
    let marks = ["<mitre>", "type=\"pcre2\"", "type=\"osregex\"", "JSON_Decoder", "same_srcip", "negate=\""];
    files.rules.iter().chain(&files.decoders).any(|(_, text)| marks.iter().any(|mark| text.contains(mark)))
}

/// A list's name without folder and ending: rules call it by any of them.
fn list_name(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

impl Ossec {
    /// Makes rules of files. The notices name what can't be honoured.
    ///
    /// # Errors
    /// Everything that is wrong, with file and line.
    pub fn load(files: &Files) -> Result<(Ossec, Vec<Remark>), Vec<Remark>> {
        let mut loader = Loader::default();
        let (mut decoders, mut patterns, mut tree) = (Decoders::default(), Patterns::default(), Tree::default());
        let conf = match &files.config {
            Some((name, text)) => {
                let elements = elements(name, text, &mut loader);
                Conf::read(&elements, &mut loader)
            }
            None => Conf::default(),
        };
        for (name, text) in &files.decoders {
            let elements = elements(name, text, &mut loader);
            decoders.read(&elements, &mut loader, &mut patterns);
        }
        let wazuh = is_wazuh(files);
        let lists = files.lists.iter().map(|(name, text)| (list_name(name), List::parse(text))).collect();
        let rules = files.rules.iter().map(|file| (file, false)).chain(files.resting.iter().map(|file| (file, true)));
        for ((name, text), rests) in rules {
            let elements = elements(name, text, &mut loader);
            if elements.is_empty() && loader.problems.is_empty() {
                loader.problem(1, "no rule is in this file".into());
            }
            let rules = rule::Reader { loader: &mut loader, patterns: &mut patterns, decoders: &decoders, wazuh }.file(&elements);
            for mut rule in rules {
                rule.dead |= rests;
                for test in &mut rule.lists {
                    test.list = list_name(&test.list);
                    rule.dead |= Self::check_list(&rule.name, rule.line, test, &lists, wazuh, &mut loader);
                }
                tree.add(rule, wazuh, &mut loader);
            }
        }
        if !loader.problems.is_empty() {
            return Err(loader.problems);
        }
        patterns.finish().map_err(|message| vec![Remark { file: String::new(), line: 0, message }])?;
        tree.finish();
        let responses = tree.rules.iter().map(|rule| conf.earned(rule)).collect();
        let (memory, state) = (Memory::new(&tree, wazuh), State::new(tree.rules.len()));
        let ossec = Ossec {
            settings: Settings::default(),
            knowledge: Knowledge { wazuh, decoders, patterns, tree, lists },
            conf,
            responses,
            state,
            memory,
            scratch: Scratch::default(),
            event: Event::default(),
            remembered: Remembered::default(),
            ambiguous: 0,
        };
        Ok((ossec, loader.notices))
    }

    /// Says what is to be said of a rule's list. Whether the rule is left out: to Wazuh one without its list is, OSSEC takes the list for empty.
    fn check_list(rule: &str, line: u32, test: &rule::ListTest, lists: &BTreeMap<String, List>, wazuh: bool, loader: &mut Loader) -> bool {
        let missing = !lists.contains_key(&test.list);
        if missing {
            let what = if wazuh { "the rule is left out" } else { "it is taken for empty" };
            loader.notice(line, format!("rule {rule} asks for a list {} that isn't there: {what}", test.list));
        }
        if let ListField::Named(name) = &test.field {
            loader.notice(line, format!("rule {rule}: its list is asked for the field {name}, which only some decoders find"));
        }
        missing && wazuh
    }

    /// How many decoders and rules there are, patterns on logs, and those of them that must be tried on every line.
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        let (patterns, always) = self.knowledge.patterns.counts();
        (self.knowledge.decoders.all.len(), self.knowledge.tree.rules.len(), patterns, always)
    }

    /// Forgets all lines that came before.
    pub fn forget(&mut self) {
        self.state.clear();
        self.memory.clear();
    }

    /// Takes a line in and says all about it.
    pub fn read(&mut self, line: &Line<'_>) -> Reading {
        let met = self.take(line);
        let event = &self.event;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = event.found.iter().filter_map(|field| event.get(*field).map(|value| (Arc::from(field.word()), text(value))));
        let named = event.named.iter().map(|(name, span)| (name.clone(), text(event.at(*span))));
        let decoder = event.decoder.and_then(|decoder| self.knowledge.decoders.all.get(decoder as usize));
        let mut reading = Reading {
            host: event.host.map(|host| text(event.at(host))),
            program: event.program.map(|program| text(event.at(program))),
            log: text(event.log()),
            decoder: decoder.map(|decoder| decoder.shown.clone()),
            fields: fields.chain(named).collect(),
            actor: accused(event),
            met: None,
            wish: None,
        };
        if let Some((place, alert)) = met {
            reading.wish = if alert { self.wish(place) } else { None };
            if let Some(rule) = self.knowledge.tree.rules.get(place as usize) {
                reading.met = Some(Met {
                    rule: rule.name.clone(),
                    level: rule.level,
                    description: rule.description.clone(),
                    groups: rule.groups.clone(),
                    alert,
                    count: rule.composite.as_ref().map_or(1, |composite| composite.frequency + 2),
                });
            }
        }
        reading
    }

    /// The rule that a line meets, and whether it is an alert.
    fn take(&mut self, line: &Line<'_>) -> Option<(u32, bool)> {
        let (knowledge, event, scratch) = (&self.knowledge, &mut self.event, &mut self.scratch);
        predecode::predecode(line, knowledge.wazuh, event);
        let patterns = &knowledge.patterns;
        let programs = event.program.map(|program| event.at(program)).and_then(|name| {
            self.remembered.of(name, || {
                let matching = patterns.programs(name);
                let roots = knowledge.decoders.roots_of(&|pattern| matching.get(pattern as usize).copied().unwrap_or(false));
                (roots, matching)
            })
        });
        patterns.look(event, scratch);
        knowledge.decoders.decode(event, patterns, programs, scratch);
        let decoder = event.decoder.and_then(|decoder| knowledge.decoders.all.get(decoder as usize));
        if let Some(decoder) = decoder.filter(|decoder| decoder.accumulate) {
            self.state.accumulate(decoder, event);
        }
        if event.kind == Kind::Firewall && !self.settings.as_logtest {
            one_word(event);
        }
        let mut engine = Engine {
            knowledge,
            state: &mut self.state,
            memory: &mut self.memory,
            scratch,
            event,
            programs,
            place: line.place,
            host: &self.settings.host,
            zone: &self.settings.zone,
            used: 0,
        };
        let place = engine.run()?;
        let used = engine.used;
        let rule = knowledge.tree.rules.get(place as usize)?;
        if rule.level == 0 || self.state.mutes(place, rule, line.at) {
            return Some((place, false));
        }
        let key = |set: FieldSet| State::ignore_key(set, decoder, event, line.place);
        if !rule.check_ignored.is_empty() && self.state.ignored.get(&key(rule.check_ignored)).is_some() {
            return Some((place, false));
        }
        if !rule.ignore.is_empty() && !self.settings.as_logtest {
            self.state.ignored.put(&key(rule.ignore), ());
        }
        self.memory.store(place, used, event, &knowledge.tree);
        Some((place, true))
    }

    /// What `ossec.conf` says; empty without one.
    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    /// What is to be done about the event that met a rule: each response that has all it wants.
    fn wish(&mut self, place: u32) -> Option<Wish> {
        let rule = self.knowledge.tree.rules.get(place as usize)?;
        let responses = self.responses.get(place as usize)?.iter().filter_map(|&response| self.conf.responses.get(response as usize));
        let mut wishes = Vec::new();
        for response in responses {
            let Some(command) = self.conf.command_named(&response.command) else { continue };
            let text = |field| self.event.get(field).and_then(|value| std::str::from_utf8(value).ok());
            let plain = |text: &str, others: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
            let source =
                text(Field::SrcIp).filter(|source| plain(source, ".:_-")).map(|source| source.strip_prefix("::ffff:").unwrap_or(source));
            let user = text(Field::DstUser).filter(|user| plain(user, "._@?-"));
            let ambiguous = is_ambiguous(&self.event);
            let lacks = command.wants_address && (ambiguous || source.is_none_or(|source| self.conf.allows(source)))
                || command.wants_user && user.is_none()
                || command.wants_file && text(Field::FileName).is_none();
            if lacks {
                continue;
            }
            let whom = if command.wants_address { source } else { user }.unwrap_or_default().to_owned();
            let now = self.event.at;
            let duration = response.timeout.map(|first| self.state.duration(&response.command, &whom, first, &self.conf.repeated, now));
            let repeated = if response.timeout.is_some() { self.conf.repeated.clone() } else { Vec::new() };
            wishes.push(Wish {
                action: response.command.clone(),
                duration,
                why: why(response, rule),
                repeated,
                first: response.timeout,
                further: Vec::new(),
            });
        }
        let mut wishes = wishes.into_iter();
        let first = wishes.next()?;
        Some(Wish { further: wishes.collect(), ..first })
    }
}

/// Who did it: the decoder's source. Nobody if the log names another address behind it (`Invalid user x from 10.0.0.1 from 203.0.113.9`): the
/// text between them is the sender's, so one of the two is, and a pattern can't tell which. Where the log begins with it, it is the service's.
fn accused(event: &Event) -> Option<IpAddr> {
    let span = event.span(Field::SrcIp)?;
    let first = address(event.at(span))?;
    if event.kind != Kind::Syslog || event.foreign || span.0 == event.log.0 {
        return Some(first);
    }
    let mut rest = event.at((span.1, event.log.1));
    while let Some(found) = memchr::memmem::find(rest, b" from ") {
        rest = rest.get(found + 6..)?;
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b':' | b';' | b',')).unwrap_or(rest.len());
        let word = rest.get(..rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len()))?;
        let other = address(word).or_else(|| address(rest.get(..end)?));
        if other.is_some_and(|other| other != first) {
            return None;
        }
    }
    Some(first)
}

/// Whether the decoder's source is an address and yet nobody can be accused.
fn is_ambiguous(event: &Event) -> bool {
    event.get(Field::SrcIp).and_then(address).is_some() && accused(event).is_none()
}

/// The first reason in OSSEC's own order.
fn why(response: &Response, rule: &Rule) -> String {
    let (id, level) = (rule.id, rule.level);
    if response.level > 0 && level >= response.level {
        return format!("rule {id} has level {level}, {} asks for {}", response.command, response.level);
    }
    match &response.groups {
        Some(groups) if tree::word_match(groups, &rule.groups) => {
            format!("rule {id} is of the group {groups}, as {} asks for", response.command)
        }
        _ => format!("{} asks for rule {id}", response.command),
    }
}

/// Firewalls have many words for two things (as analysisd does it, unlike logtest).
fn one_word(event: &mut Event) {
    let word: &[u8] = match event.get(Field::Action).and_then(|action| action.first()).map(u8::to_ascii_lowercase) {
        Some(b'd' | b'r' | b'b') => b"DROP",
        Some(b'c' | b't') => b"CLOSED",
        Some(b'a' | b'p' | b'o') => b"ALLOW",
        _ => return,
    };
    let foreign = event.foreign;
    event.make(Field::Action, word);
    // Actions are compared, never looked for.
    event.foreign = foreign;
}

impl Rules for Ossec {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        let Some((place, true)) = self.take(line) else { return };
        let wish = self.wish(place);
        self.ambiguous += u64::from(is_ambiguous(&self.event));
        let Some(rule) = self.knowledge.tree.rules.get(place as usize) else { return };
        let event = &self.event;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = event.found.iter().filter_map(|field| event.get(*field).map(|value| (Arc::from(field.word()), text(value))));
        let named = event.named.iter().map(|(name, span)| (name.clone(), text(event.at(*span))));
        let decoder = event.decoder.and_then(|decoder| self.knowledge.decoders.all.get(decoder as usize));
        out.push(Finding {
            at: line.at,
            program: event.program.map(|program| text(event.at(program))),
            decoder: decoder.map(|decoder| decoder.shown.clone()),
            fields: fields.chain(named).collect(),
            rule: rule.name.clone(),
            level: rule.level,
            description: rule.description.clone(),
            actor: accused(event),
            // Packets can be forged; a service has spoken with whom it names.
            trust: if matches!(event.kind, Kind::Firewall | Kind::Ids) { Trust::Spoofable } else { Trust::Vouched },
            count: rule.composite.as_ref().map_or(1, |composite| composite.frequency + 2),
            wish,
        });
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("ossec patterns with too many steps", self.scratch.gave_up),
            ("ossec events given way", self.memory.evicted),
            ("ossec entries given way", self.state.evicted()),
            ("ossec alerts that name two sources", self.ambiguous),
            ("ossec programs forgotten", self.remembered.forgotten),
        ]
    }
}

#[cfg(test)]
mod tests;
