//! One filter: what its files say, and what it makes of a line. Opens nothing; what a line's date leaves out is an argument.

use super::date::Dates;
use super::ini::{Files, Ini, Problem};
use super::python::{Group, Over, Regex, without_number};
use super::table::Table;
use super::tags::{self, Tags};
use crate::pattern::{Pattern, Spans};
use model::net::Prefix;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are remembered at one time.
const SESSIONS_MAX: usize = 16_384;
/// Users of one session that are told apart.
const USERS_MAX: usize = 64;
/// How long a session is remembered.
const SESSION_AGE: Duration = Duration::from_secs(300);
/// Lines that a filter may look at together.
const LINES_MAX: usize = 64;

/// What a filter's files come to, as text: every name and tag put in.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// All options that have a value, by their names.
    pub options: BTreeMap<String, String>,
    /// Where its failregexes stand.
    pub place: (String, usize),
    /// What is odd about it.
    pub notices: Vec<String>,
}

/// Fields of which each must have one of its values.
pub type Terms = Vec<(String, Vec<String>)>;

/// A filter at work.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Its name.
    pub name: Arc<str>,
    prefix: Option<Regex>,
    fail: Vec<Regex>,
    ignore: Vec<Regex>,
    lines_max: usize,
    /// How its lines are dated.
    pub dates: Arc<Dates>,
    /// The same as text: filters with the same text have the same dates.
    pub datepattern: String,
    /// Journal entries that it is for: any of these.
    journal: Vec<Terms>,
}

/// Somebody failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Which failregex said so.
    pub regex: usize,
    /// Who, as the line has it.
    pub id: String,
    /// The address, if it is one.
    pub address: Option<IpAddr>,
    /// Its name instead of an address: it is not looked up.
    pub by_name: bool,
    /// What its groups for addresses, names and ids caught, as the line has it.
    pub caught: Caught,
    /// Everything else that the line says.
    pub fields: BTreeMap<Arc<str>, String>,
    /// All users of its session so far.
    pub users: BTreeSet<String>,
    /// How many lines belong to it.
    pub lines: u32,
}

/// Who it was, in a line's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caught {
    /// An address.
    pub ip: Option<String>,
    /// A host's name.
    pub dns: Option<String>,
    /// What else stands for somebody.
    pub id: Option<String>,
    cidr: Option<String>,
}

/// What is known of one match, or of a session so far.
#[derive(Debug, Clone, Default)]
struct Known {
    since: Time,
    caught: Caught,
    fields: BTreeMap<Arc<str>, String>,
    users: BTreeSet<String>,
    no_fail: bool,
    gained: bool,
    pending: bool,
    lines: u32,
    no_fail_lines: u32,
}

/// What a filter keeps between lines.
#[derive(Debug, Clone)]
pub struct State {
    sessions: Table<Known>,
    lines: VecDeque<Vec<u8>>,
    joined: Vec<u8>,
    content: Vec<u8>,
    spans: Spans,
    more: Spans,
    /// Patterns that took too many steps.
    pub too_many_steps: u64,
    /// Failures of somebody who has a name only.
    pub names: u64,
    /// Every failregex is tried, not only until one matches; so fail2ban-regex and fail2ban's own tests have it.
    pub all: bool,
    /// Which failregexes matched the last line, if all are tried, and whether it is a failure by that.
    pub matched: Vec<(usize, bool)>,
    /// Lines that the prefregex matched.
    pub prefixed: u64,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// No failregex matched.
    Missed,
    /// The ignoreregex of this number matched.
    Ignored(usize),
    /// The failregex of this number matched, whether that was a failure or not.
    Matched(usize),
}

impl Written {
    /// Reads `DIR/filter.d/NAME.conf` and what belongs to it; `text` is `NAME[option=value,…]` or a filter's path.
    ///
    /// # Errors
    /// What can't be understood.
    pub fn read(text: &str, defaults: &[(&str, &str)], dir: &Path, files: Files<'_>) -> Result<Written, Problem> {
        let (name, mut given) = tags::options(text).map_err(|message| Problem { file: text.to_owned(), line: 0, message })?;
        let mut ini = Ini::with(&[("fail2ban_confpath", &dir.display().to_string())]);
        if name.contains('/') {
            let path = PathBuf::from(&name);
            if !ini.read_file(&path, files, 0)? {
                return Err(Problem { file: name, line: 0, message: "there is no such file".to_owned() });
            }
            ini.read_file(&path.with_extension("local"), files, 0)?;
        } else {
            let name = name.strip_suffix(".conf").unwrap_or(&name);
            ini.read_set(&dir.join("filter.d").join(name), files)?;
        }
        for (option, value) in defaults {
            let own = ini.own("Definition").any(|known| known == *option);
            if !own {
                given.entry((*option).to_owned()).or_insert_with(|| (*value).to_owned());
            }
        }
        let base = Path::new(&name).file_stem().map_or(name.clone(), |stem| stem.to_string_lossy().into_owned());
        let mut written =
            Written { name: base, options: BTreeMap::new(), place: ini.place("Definition", "failregex"), notices: Vec::new() };
        let tags = Tags::new(&ini, given)?;
        for option in ["prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "journalmatch", "usedns"] {
            if let Some(value) = tags.value(option)? {
                written.notices.extend(tags.strays(&value));
                written.options.insert(option.to_owned(), value);
            }
        }
        Ok(written)
    }

    /// Of one regular expression, as a filter with nothing else.
    pub fn of_regex(regex: &str) -> Written {
        let options = BTreeMap::from([("failregex".to_owned(), regex.to_owned())]);
        Written { name: "regex".to_owned(), options, place: ("failregex".to_owned(), 0), notices: Vec::new() }
    }
}

impl Filter {
    /// Compiles what was written.
    ///
    /// # Errors
    /// Everything that can't be understood.
    pub fn new(written: &Written) -> Result<Filter, Vec<Problem>> {
        let mut problems = Vec::new();
        let text = |option: &str| written.options.get(option).map_or("", |text| text.trim());
        let mut wrong = |message: String| problems.push(Problem { file: written.place.0.clone(), line: written.place.1, message });
        let lines_max = match text("maxlines") {
            "" => 1,
            number => number.parse::<usize>().map_or_else(
                |_| {
                    wrong(format!("maxlines `{number}` is no number"));
                    1
                },
                |lines| lines.clamp(1, LINES_MAX),
            ),
        };
        let names = text("usedns") != "no";
        // Only failregexes take each of several lines for itself.
        let (each, together) = if lines_max > 1 { (Over::Lines, Over::Text) } else { (Over::Line, Over::Line) };
        let mut all = |option: &str, over: Over| {
            let lines = text(option).lines().map(str::trim).filter(|line| !line.is_empty());
            lines
                .filter_map(|line| Regex::new(line, over, names).map_err(|error| wrong(format!("{option}: {error}"))).ok())
                .collect::<Vec<Regex>>()
        };
        let (fail, ignore) = (all("failregex", each), all("ignoreregex", together));
        let prefix = match text("prefregex") {
            "" => None,
            prefix => Regex::new(&prefix.replace('\n', ""), together, names).map_err(|error| wrong(format!("prefregex: {error}"))).ok(),
        };
        for regex in &fail {
            if !regex.names_somebody() && !prefix.as_ref().is_some_and(Regex::names_somebody) {
                wrong(format!("`{}` catches neither an address nor a session: <HOST>, <ADDR>, <F-ID> or <F-MLFID> is missing", regex.text));
            }
        }
        let dates = Dates::new(text("datepattern")).map_err(&mut wrong).ok();
        let journal = journal_terms(text("journalmatch")).map_err(&mut wrong).unwrap_or_default();
        match (dates, problems.is_empty()) {
            (Some(dates), true) => {
                let (name, datepattern) = (written.name.as_str().into(), text("datepattern").to_owned());
                Ok(Filter { name, prefix, fail, ignore, lines_max, dates: Arc::new(dates), datepattern, journal })
            }
            _ => Err(problems),
        }
    }

    /// The patterns that say whether a line can be of interest, in an order that `failures` knows.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.fail.iter().map(Regex::pattern)
    }

    /// Whether it looks at several lines together, so that it must be given each.
    pub fn is_buffered(&self) -> bool {
        self.lines_max > 1
    }

    /// Its failregexes, as they were written with everything put in.
    pub fn fail_texts(&self) -> impl Iterator<Item = &str> {
        self.fail.iter().map(|regex| regex.text.as_str())
    }

    /// Its prefregex, if it has one.
    pub fn prefix_text(&self) -> Option<&str> {
        self.prefix.as_ref().map(|regex| regex.text.as_str())
    }

    /// Its ignoreregexes.
    pub fn ignore_texts(&self) -> impl Iterator<Item = &str> {
        self.ignore.iter().map(|regex| regex.text.as_str())
    }

    /// How many of its patterns are not linear.
    pub fn stepped(&self) -> usize {
        self.prefix.iter().chain(&self.fail).chain(&self.ignore).filter(|regex| !regex.pattern().is_linear()).count()
    }

    /// Whether a journal entry with these fields is for it.
    pub fn wants_entry(&self, field: &dyn Fn(&str) -> Option<Vec<u8>>) -> bool {
        let has = |(name, values): &(String, Vec<String>)| {
            field(name).is_some_and(|value| values.iter().any(|wanted| wanted.as_bytes() == value))
        };
        self.journal.iter().any(|terms| terms.iter().all(has))
    }

    /// The journal entries that it is for: any of these.
    pub fn journal_terms(&self) -> &[Terms] {
        &self.journal
    }

    /// Whether it says which journal entries it is for.
    pub fn has_journal(&self) -> bool {
        !self.journal.is_empty()
    }

    /// Whether its ignoreregexes are looked at before all else: fail2ban does if they are so few.
    fn ignores_first(&self) -> bool {
        !self.ignore.is_empty() && self.ignore.len() + 2 < self.fail.len()
    }

    /// What it makes of one line without its date, which ends in a line feed. `could` says which failregexes could match the line.
    pub fn failures(&self, state: &mut State, line: &[u8], now: Time, could: &dyn Fn(usize) -> bool, out: &mut Vec<Failure>) -> Became {
        state.matched.clear();
        let buffered = self.is_buffered();
        if !buffered && !state.all && !self.ignores_first() && !(0..self.fail.len()).any(could) {
            return Became::Missed;
        }
        let mut joined = std::mem::take(&mut state.joined);
        if buffered {
            state.lines.push_back(line.to_vec());
            while state.lines.len() > self.lines_max {
                state.lines.pop_front();
            }
            joined.clear();
            state.lines.iter().for_each(|line| joined.extend_from_slice(line));
        }
        let mut content = std::mem::take(&mut state.content);
        let became = self.look(state, if buffered { &joined } else { line }, &mut content, now, could, out);
        (state.joined, state.content) = (joined, content);
        became
    }

    /// `whole` is one line, or all that are looked at together.
    fn look(
        &self,
        state: &mut State,
        whole: &[u8],
        content: &mut Vec<u8>,
        now: Time,
        could: &dyn Fn(usize) -> bool,
        out: &mut Vec<Failure>,
    ) -> Became {
        if self.ignores_first()
            && let Some(ignore) = self.ignores(whole, state)
        {
            return Became::Ignored(ignore);
        }
        let mut base = Begun { known: Known { since: now, ..Known::default() }, session: None, forgets: false };
        let mut text = whole;
        if let Some(prefix) = &self.prefix {
            if !found(prefix, whole, &mut state.spans, &mut state.too_many_steps) {
                return Became::Missed;
            }
            state.prefixed += 1;
            content.clear();
            for (group, caught) in prefix.caught(whole, &state.spans) {
                if *group == Group::Content {
                    content.extend_from_slice(caught);
                }
                base.take(group, caught);
            }
            if !content.is_empty() {
                content.push(b'\n');
                text = content;
            }
        }
        let mut became = Became::Missed;
        for (number, regex) in self.fail.iter().enumerate() {
            if !could(number) || !found(regex, text, &mut state.spans, &mut state.too_many_steps) {
                continue;
            }
            let buffered = self.is_buffered();
            let matched = if buffered { self.take_matched(regex, state, text) } else { Vec::new() };
            // What is ignored is what the failregex matched: one line, its content, or several lines.
            let ignored = if buffered { self.ignores(&matched.concat(), state) } else { self.ignores(text, state) };
            let last = !state.all || buffered;
            if let Some(ignore) = ignored {
                became = if became == Became::Missed { Became::Ignored(ignore) } else { became };
            } else {
                let Begun { mut known, session, forgets } = base.with(regex, text, &state.spans);
                known.lines = if buffered { matched.len().max(1) as u32 } else { 1 };
                if !state.matched(number, known, session, forgets, now, out) {
                    // Nobody is named: as if it had not matched.
                    continue;
                }
                became = if let Became::Matched(_) = became { became } else { Became::Matched(number) };
            }
            if last {
                break;
            }
        }
        became
    }

    /// The first ignoreregex that matches.
    fn ignores(&self, text: &[u8], state: &mut State) -> Option<usize> {
        self.ignore.iter().position(|regex| found(regex, text, &mut state.more, &mut state.too_many_steps))
    }

    /// Takes the lines of a match out of the buffer, but for those that it skipped.
    fn take_matched(&self, regex: &Regex, state: &mut State, text: &[u8]) -> Vec<Vec<u8>> {
        let Some((start, end)) = state.spans.get(0) else { return Vec::new() };
        let feeds = |to: usize| text.iter().take(to).filter(|b| **b == b'\n').count();
        let (first, last) = (
            feeds(start + usize::from(text.get(start) == Some(&b'\n') && start + 1 < text.len())),
            feeds(end.saturating_sub(1).max(start)),
        );
        let first = first.min(last);
        let mut skipped: Vec<Vec<u8>> = Vec::new();
        for (group, caught) in regex.caught(text, &state.spans) {
            if *group == Group::Skip {
                skipped.extend(caught.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec));
            }
        }
        let (mut number, mut matched) = (0, Vec::new());
        state.lines.retain(|line| {
            let inside = (first..=last).contains(&number);
            number += 1;
            let stays = !inside || skipped.iter().position(|skipped| skipped == line).map(|at| skipped.remove(at)).is_some();
            if !stays {
                matched.push(line.clone());
            }
            stays
        });
        matched
    }
}

fn found(regex: &Regex, text: &[u8], spans: &mut Spans, too_many: &mut u64) -> bool {
    regex.search(text, spans).unwrap_or_else(|_| {
        *too_many += 1;
        false
    })
}

impl Default for State {
    fn default() -> State {
        State {
            sessions: Table::new(SESSIONS_MAX),
            lines: VecDeque::new(),
            joined: Vec::new(),
            content: Vec::new(),
            spans: Spans::default(),
            more: Spans::default(),
            too_many_steps: 0,
            names: 0,
            all: false,
            matched: Vec::new(),
            prefixed: 0,
        }
    }
}

impl State {
    /// Sessions that gave way to newer ones.
    pub fn evicted(&self) -> u64 {
        self.sessions.evicted
    }

    /// Puts a failregex's match to what is known of its session, and the failure that it comes to into `out`. False if it names nobody.
    fn matched(&mut self, number: usize, known: Known, session: Option<Vec<u8>>, forgets: bool, now: Time, out: &mut Vec<Failure>) -> bool {
        let Some(key) = session else {
            let no_fail = known.no_fail;
            let Some(failure) = known.failure(number) else { return false };
            self.told(number, !no_fail, Some(failure), out);
            return true;
        };
        let lines = known.lines;
        let (known, counts) = self.merge(&key, Known { lines: 0, ..known }, forgets, lines, now);
        // Where every failregex is tried, a line that is no failure waits for its address, too: so does fail2ban.
        let failure = if counts || self.all { known.failure(number) } else { None };
        if failure.is_none()
            && (counts || self.all)
            && let Some(kept) = self.sessions.find(&key)
        {
            kept.pending = true;
        }
        self.told(number, counts, failure, out);
        true
    }

    fn told(&mut self, number: usize, counts: bool, failure: Option<Failure>, out: &mut Vec<Failure>) {
        if self.all {
            self.matched.push((number, counts));
        }
        let failure = failure.filter(|_| counts);
        self.names += u64::from(failure.as_ref().is_some_and(|failure| failure.by_name));
        out.extend(failure);
    }

    /// Puts a match to what is known of its session: what is known now, and whether that is a failure.
    ///
    /// A failure without an address waits for the line with the address; lines that are none by themselves (connected, let in,
    /// disconnected) are one if failures wait or the session had several users; who was let in clears what waits.
    fn merge(&mut self, key: &[u8], mut new: Known, forgets: bool, lines: u32, now: Time) -> (Known, bool) {
        let gained = new.gained;
        new.no_fail |= gained;
        let no_fail = new.no_fail;
        if self.sessions.find(key).is_some_and(|known| now.since(known.since) > SESSION_AGE) {
            self.sessions.remove(key);
        }
        let user = new.fields.get("user").filter(|user| !user.is_empty()).cloned();
        let mut known = match self.sessions.remove(key) {
            Some(mut known) => {
                if known.users.len() < USERS_MAX {
                    known.users.extend(user);
                }
                let failed_last = !(known.no_fail || known.gained);
                (known.no_fail, known.gained) = (false, false);
                if gained {
                    known.pending = false;
                }
                // What was counted before has been told already.
                if failed_last && !known.pending {
                    known.lines = 0;
                }
                known.update(new);
                known
            }
            None => {
                if !forgets {
                    new.users.extend(user);
                }
                new
            }
        };
        let (mut no_fail, mut gained) = (no_fail, gained);
        if std::mem::take(&mut known.pending) || known.users.len() > 1 {
            (known.no_fail, known.gained, no_fail, gained) = (false, false, false, false);
        }
        if !no_fail {
            known.lines += std::mem::take(&mut known.no_fail_lines) + if gained { 0 } else { lines };
        } else if !forgets {
            known.no_fail_lines += lines;
        }
        if !forgets {
            *self.sessions.at(key, Known::default) = known.clone();
        }
        let counts = !known.no_fail;
        (known, counts)
    }
}

/// What the groups of a match say so far.
#[derive(Debug, Clone)]
struct Begun {
    known: Known,
    session: Option<Vec<u8>>,
    forgets: bool,
}

impl Begun {
    /// This, and what a failregex's groups caught.
    fn with(&self, regex: &Regex, text: &[u8], spans: &Spans) -> Begun {
        let mut more = self.clone();
        regex.caught(text, spans).for_each(|(group, caught)| more.take(group, caught));
        more.known.alternatives();
        more
    }

    /// Takes in what a group caught.
    fn take(&mut self, group: &Group, caught: &[u8]) {
        let (known, text) = (&mut self.known, || String::from_utf8_lossy(caught).into_owned());
        match group {
            Group::Ip => known.caught.ip = Some(text()),
            Group::Dns => known.caught.dns = Some(text()),
            Group::Cidr => known.caught.cidr = Some(text()),
            Group::Id => known.caught.id = Some(text()),
            Group::Session => self.session = Some(caught.to_vec()),
            Group::Forget => self.forgets |= !caught.is_empty(),
            Group::Gained => known.gained |= !caught.is_empty(),
            Group::NoFail => known.no_fail |= !caught.is_empty(),
            Group::Content | Group::Skip => {}
            Group::Field(name) | Group::Alternative(name) => {
                known.fields.insert(name.clone(), text());
            }
            Group::Part(name) => {
                let field = known.fields.entry(name.clone()).or_default();
                if !field.is_empty() {
                    field.push(' ');
                }
                field.push_str(&String::from_utf8_lossy(caught));
            }
        }
    }
}

impl Known {
    /// What stands in for a field that caught nothing.
    fn alternatives(&mut self) {
        let found: Vec<(String, String)> = self
            .fields
            .iter()
            .filter_map(|(name, text)| Some((without_number(name.strip_prefix("alt_")?).to_owned(), text.clone())))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        for (name, text) in found {
            match name.as_str() {
                "ip4" | "ip6" => self.caught.ip.get_or_insert(text),
                "dns" => self.caught.dns.get_or_insert(text),
                "id" => self.caught.id.get_or_insert(text),
                _ => {
                    let field = self.fields.entry(name.as_str().into()).or_default();
                    if field.is_empty() {
                        *field = text;
                    }
                    continue;
                }
            };
        }
    }

    /// What a newer line of the same session says goes before.
    fn update(&mut self, new: Known) {
        self.caught.ip = new.caught.ip.or(self.caught.ip.take());
        self.caught.dns = new.caught.dns.or(self.caught.dns.take());
        self.caught.cidr = new.caught.cidr.or(self.caught.cidr.take());
        self.caught.id = new.caught.id.or(self.caught.id.take());
        self.fields.extend(new.fields);
        self.no_fail |= new.no_fail;
        self.gained |= new.gained;
    }

    /// Who failed, if that is known.
    fn failure(&self, regex: usize) -> Option<Failure> {
        let Caught { ip, dns, id, cidr } = &self.caught;
        let who = ip.as_ref().or(dns.as_ref());
        let id = id.as_ref().or(who)?;
        let parsed = |text: &String| text.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let address = ip.as_ref().or(who.is_none().then_some(id)).and_then(parsed);
        let bits = cidr.as_ref().filter(|_| ip.as_ref() == Some(id)).and_then(|cidr| cidr.parse().ok());
        // An address is told in its usual form, a network by its first.
        let told = match (address.filter(|_| ip.as_ref() == Some(id)), bits) {
            (Some(address), Some(bits)) => Prefix::new(address, bits).to_string(),
            (Some(address), None) => address.to_string(),
            (None, _) => id.clone(),
        };
        let by_name = address.is_none() && dns.is_some();
        let (caught, fields, users) = (self.caught.clone(), self.fields.clone(), self.users.clone());
        Some(Failure { regex, id: told, address, by_name, caught, fields, users, lines: self.lines })
    }
}

/// `A=1 A=2 B=3 + C=4`: any of the parts between plus signs; in a part every field, with one of its values.
fn journal_terms(text: &str) -> Result<Vec<Terms>, String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut terms = Terms::new();
        for word in line.split_whitespace() {
            if word == "+" {
                all.push(std::mem::take(&mut terms));
                continue;
            }
            let word = word.trim_matches(['"', '\'']);
            let Some((field, value)) = word.split_once('=') else { return Err(format!("journalmatch: `{word}` is no FIELD=value")) };
            match terms.iter_mut().find(|(known, _)| known == field) {
                Some((_, values)) => values.push(value.to_owned()),
                None => terms.push((field.to_owned(), vec![value.to_owned()])),
            }
        }
        all.push(terms);
    }
    all.retain(|terms| !terms.is_empty());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(options: &[(&str, &str)]) -> Filter {
        let options = options.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Filter::new(&Written { name: "t".into(), options, place: ("t.conf".into(), 1), notices: Vec::new() }).unwrap()
    }

    /// Each line's failures, as `id user lines`.
    fn run(filter: &Filter, lines: &[&str]) -> Vec<String> {
        let mut state = State::default();
        lines
            .iter()
            .map(|line| {
                let mut out = Vec::new();
                filter.failures(&mut state, format!("{line}\n").as_bytes(), Time::from_secs(1_000), &|_| true, &mut out);
                out.iter()
                    .map(|failure| format!("{} {} {}", failure.id, failure.fields.get("user").map_or("", String::as_str), failure.lines))
                    .collect::<String>()
            })
            .collect()
    }

    #[test]
    fn sessions_join_what_belongs_together() {
        let filter = filter(&[
            ("prefregex", r"^<F-MLFID>s\[\d+\]</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$"),
            (
                "failregex",
                "^<F-NOFAIL>conn</F-NOFAIL> <HOST>\n^fail <F-USER>\\w+</F-USER>\n^<F-NOFAIL>soft</F-NOFAIL> <F-USER>\\w+</F-USER>\n\
              ^<F-NOFAIL><F-MLFFORGET>bye</F-MLFFORGET></F-NOFAIL>\n^<F-MLFFORGET><F-MLFGAINED>ok</F-MLFGAINED></F-MLFFORGET> <F-USER>\\w+</F-USER>",
            ),
        ]);
        // Each as fail2ban-regex 1.0.2 answers: line, then the failure that it completes.
        let table = [
            ("s[1]: conn 192.0.2.1", ""),
            ("s[1]: soft anna", ""),
            ("s[1]: fail anna", "192.0.2.1 anna 3"),
            ("s[1]: fail bob", "192.0.2.1 bob 1"),
            ("s[1]: bye", "192.0.2.1 bob 1"),
            ("s[1]: fail carl", ""),
            ("s[2]: conn 192.0.2.2", ""),
            ("s[2]: soft anna", ""),
            ("s[2]: soft anna", ""),
            ("s[2]: soft bert", "192.0.2.2 bert 4"),
            ("s[2]: bye", "192.0.2.2 bert 1"),
            ("s[3]: conn 192.0.2.3", ""),
            ("s[3]: soft anna", ""),
            ("s[3]: ok anna", ""),
            ("s[4]: conn 192.0.2.4", ""),
            ("s[4]: soft anna", ""),
            ("s[4]: ok bert", "192.0.2.4 bert 3"),
            ("s[5]: fail anna", ""),
            ("s[5]: conn 192.0.2.5", "192.0.2.5 anna 2"),
            ("s[5]: bye", ""),
            ("s[6]: fail anna", ""),
            ("s[6]: ok anna", ""),
            ("s[6]: conn 192.0.2.6", ""),
            ("s[7]: fail anna", ""),
            ("s[7]: fail bob", ""),
            ("s[7]: conn 192.0.2.7", "192.0.2.7 bob 3"),
            ("s[8]: conn 192.0.2.8", ""),
            ("s[8]: fail anna", "192.0.2.8 anna 2"),
            ("s[8]: ok anna", ""),
            ("s[9]: conn 192.0.2.9", ""),
            ("s[9]: bye", ""),
            ("s[9]: fail anna", ""),
        ];
        let (lines, wanted): (Vec<&str>, Vec<&str>) = table.into_iter().unzip();
        assert_eq!(run(&filter, &lines), wanted);
    }

    #[test]
    fn sessions_are_forgotten_and_bounded() {
        let filter = filter(&[("failregex", "^<F-MLFID>\\d+</F-MLFID> (?:<F-NOFAIL>conn</F-NOFAIL> <HOST>|fail)")]);
        let (mut state, mut out) = (State::default(), Vec::new());
        let mut line = |text: &str, at: u64| {
            out.clear();
            filter.failures(&mut state, format!("{text}\n").as_bytes(), Time::from_secs(at), &|_| true, &mut out);
            (out.len(), state.evicted())
        };
        line("1 conn 192.0.2.1", 0);
        assert_eq!(line("1 fail", 300), (1, 0));
        assert_eq!(line("1 fail", 301), (0, 0), "five minutes after the first line");
        for n in 0..40_000 {
            line(&format!("{n} conn 192.0.2.1"), 400);
        }
        assert_eq!(line("39999 fail", 400).0, 1);
        assert!(line("2 fail", 400).1 > 5_000);
    }

    #[test]
    fn what_is_ignored_is_what_the_rule_sees() {
        let filter = filter(&[
            ("prefregex", "^pre: <F-CONTENT>.+</F-CONTENT>$"),
            ("failregex", "^bad <HOST>"),
            ("ignoreregex", "^bad 192\\.0\\.2\\.1$\npre: bad 192\\.0\\.2\\.2"),
        ]);
        assert_eq!(run(&filter, &["pre: bad 192.0.2.1", "pre: bad 192.0.2.2", "bad 192.0.2.3"]), ["", "192.0.2.2  1", ""]);
    }

    #[test]
    fn few_ignoreregexes_see_the_whole_line_first() {
        // As fail2ban-regex 1.0.2 answers: they do if they are fewer than the failregexes by more than two.
        let with = |more: &str| {
            let fail = format!("^bad <HOST>\n{more}");
            filter(&[("prefregex", "^pre: <F-CONTENT>.+</F-CONTENT>$"), ("failregex", &fail), ("ignoreregex", "^pre: bad 192\\.0\\.2\\.2")])
        };
        assert_eq!(run(&with("^x <HOST>\n^y <HOST>\n^z <HOST>"), &["pre: bad 192.0.2.2"]), [""]);
        assert_eq!(run(&with("^x <HOST>\n^y <HOST>"), &["pre: bad 192.0.2.2"]), ["192.0.2.2  1"]);
    }

    #[test]
    fn every_failregex_is_tried_if_that_is_wanted() {
        let filter = filter(&[("failregex", "^<F-NOFAIL>a</F-NOFAIL>b <HOST>\n^ab <HOST>\n^a. <F-ID>\\S+</F-ID>")]);
        let mut state = State { all: true, ..State::default() };
        let mut out = Vec::new();
        let became = filter.failures(&mut state, b"ab 192.0.2.1\n", Time::EPOCH, &|_| true, &mut out);
        assert_eq!((became, state.matched.as_slice()), (Became::Matched(0), &[(0, false), (1, true), (2, true)][..]));
        assert_eq!(out.iter().map(|failure| failure.regex).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn several_lines_are_looked_at_together() {
        let filter = filter(&[("maxlines", "3"), ("failregex", "^from <HOST>$<SKIPLINES>^wrong password$")]);
        let lines = ["from 192.0.2.1", "from 192.0.2.2", "wrong password", "wrong password", "x", "y", "wrong password"];
        assert_eq!(run(&filter, &lines), ["", "", "192.0.2.1  2", "192.0.2.2  2", "", "", ""]);
    }

    #[test]
    fn who_it_was() {
        let who = |regex: &str, line: &str| run(&filter(&[("failregex", regex)]), &[line]).remove(0);
        assert_eq!(who("^x <SUBNET>", "x 192.0.2.77/24"), "192.0.2.0/24  1");
        assert_eq!(who("^x <F-ADDR/>", "x 2001:DB8:0::1"), "2001:db8::1  1");
        assert_eq!(who("^x <F-ID>\\S+</F-ID> <F-ALT_USER_1>\\w+</F-ALT_USER_1>", "x a@b me"), "a@b me 1");
        assert_eq!(who("^x <HOST>", "x host.example.com"), "host.example.com  1");
        let wrong = Filter::new(&Written::of_regex("^x\n^(")).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn journal_entries_are_chosen_by_their_fields() {
        let filter =
            filter(&[("failregex", "<HOST>"), ("journalmatch", "_SYSTEMD_UNIT=a.service _SYSTEMD_UNIT=b.service _COMM=x + _COMM=y")]);
        let wants = |entry: &[(&str, &str)]| {
            filter.wants_entry(&|name| entry.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes().to_vec()))
        };
        assert!(wants(&[("_SYSTEMD_UNIT", "b.service"), ("_COMM", "x")]));
        assert!(wants(&[("_COMM", "y")]));
        assert!(!wants(&[("_SYSTEMD_UNIT", "b.service")]));
        assert!(!wants(&[]));
    }
}
