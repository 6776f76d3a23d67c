//! What a rule file says: a service, its rules, and their samples. Refuses what it doesn't understand, with the place and the nearest right word.

use super::classes;
use super::list::List;
use super::read::{Given, Problem, Reader, nearest};
use super::table::{DISTINCT_MAX, Measure};
use crate::pattern::{Flavour, Pattern};
use model::event::Trust;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Rules of one service.
const RULES_MAX: usize = 1_000;
const FILE_KEYS: [&str; 13] =
    ["name", "summary", "program", "unit", "path", "uid", "bare", "trust", "limit", "lists", "classes", "forged", "rule"];
const RULE_KEYS: [&str; 26] = [
    "name", "match", "except", "level", "weight", "describe", "where", "unless", "of", "by", "count", "distinct", "within", "leak",
    "after", "first", "ignore", "hours", "days", "session", "trust", "block", "hit", "miss", "score", "torn",
];
const LIMIT_KEYS: [&str; 4] = ["score", "within", "by", "block"];
const SAMPLE_KEYS: [&str; 6] = ["line", "before", "times", "place", "address", "block"];
/// Keys that every line has, whatever its pattern.
const BUILT_IN: [&str; 5] = ["address", "network", "source", "program", "pid"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Five failures within ten minutes: a person who mistypes a password thrice, twice over, is just caught; who mistypes it thrice is not.
const LIMIT_SCORE: u32 = 50;
const LIMIT_WITHIN: Duration = Duration::from_secs(600);
const WEIGHT: u32 = 10;
const WITHIN: Duration = Duration::from_secs(600);

/// A service, with what its lines look like.
#[derive(Debug, Clone)]
pub struct Service {
    /// What it is called.
    pub name: Arc<str>,
    /// What its rules are for.
    pub summary: Arc<str>,
    /// The file that it was read from.
    pub file: Arc<str>,
    pub(crate) programs: Vec<String>,
    pub(crate) units: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) uids: Vec<String>,
    pub(crate) bare: bool,
    pub(crate) limit: Option<Limit>,
    pub(crate) forged: Vec<Sample>,
}

/// When the sum of its rules' weights is enough.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) measure: Measure,
    pub(crate) network: bool,
    pub(crate) block: Option<Duration>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `service/rule`.
    pub name: Arc<str>,
    /// What it says.
    pub description: Arc<str>,
    /// 0 to 16; 0 is silent.
    pub level: u8,
    /// What one line counts towards the service's limit.
    pub weight: u32,
    /// Where it stands in its file.
    pub line: usize,
    /// Could the address that it tells be forged?
    pub trust: Trust,
    pub(crate) service: usize,
    pub(crate) matches: Vec<Match>,
    pub(crate) except: Vec<Pattern>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) of: Vec<usize>,
    pub(crate) by: Vec<Arc<str>>,
    pub(crate) measure: Option<Measure>,
    pub(crate) distinct: Option<Arc<str>>,
    pub(crate) within: Duration,
    pub(crate) after: Option<usize>,
    pub(crate) first: bool,
    pub(crate) ignore: Duration,
    pub(crate) hours: Option<(u32, u32)>,
    pub(crate) days: Vec<u64>,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) block: Option<Option<Duration>>,
    /// So many bytes from such a line's beginning on may be a stranger's, whole lines among them.
    pub(crate) torn: usize,
    pub(crate) hits: Vec<Sample>,
    pub(crate) misses: Vec<Sample>,
}

/// One of a rule's patterns.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) pattern: Pattern,
    /// Groups and the fields that they are.
    pub(crate) fields: Vec<(usize, Arc<str>)>,
    pub(crate) address: Option<usize>,
}

/// What a field must be, or must not.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) field: Arc<str>,
    pub(crate) list: Arc<List>,
    pub(crate) wanted: bool,
}

/// A line and what is to become of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) line: String,
    pub(crate) before: Vec<String>,
    pub(crate) times: u32,
    pub(crate) place: String,
    pub(crate) address: Option<String>,
    pub(crate) block: Option<bool>,
    pub(crate) fields: Vec<(String, String)>,
    /// Its line in the file.
    pub(crate) at: usize,
}

/// Everything that one file says. Its rules come behind those that there are already.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) service: Service,
    pub(crate) rules: Vec<Rule>,
}

/// Reads a file. `others` are texts that lists may be in.
pub(crate) fn read(file: &str, text: &str, number: usize, first: usize, others: &[(String, String)]) -> Result<Contents, Vec<Problem>> {
    let mut reader = Reader { file, text, problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.say(error.span().map_or(0, |span| span.start), error.message());
    }
    if !errors.is_empty() {
        return Err(reader.problems);
    }
    let contents = contents(&mut reader, document.get_ref(), number, first, others);
    match contents {
        Some(contents) if reader.problems.is_empty() => Ok(contents),
        _ => Err(reader.problems),
    }
}

/// What all rules of a file share.
struct Shared<'s> {
    service: &'s str,
    summary: &'s str,
    number: usize,
    trust: Trust,
    classes: BTreeMap<String, String>,
    lists: BTreeMap<String, Arc<List>>,
}

fn contents(reader: &mut Reader<'_>, table: &DeTable<'_>, number: usize, first: usize, others: &[(String, String)]) -> Option<Contents> {
    reader.only(table, &FILE_KEYS, "the file");
    let name = reader.text(table, "name");
    let Some(name) = name else {
        reader.say(0, "name: the service's name is missing");
        return None;
    };
    if name.value.is_empty() || !name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        reader.say(name.at, "name: letters, digits, - and _ are wanted");
    }
    let summary = reader.text(table, "summary").map_or_else(|| name.value.clone(), |summary| summary.value);
    let plain = |texts: Vec<Given<String>>| texts.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let trust = trust(reader, table).unwrap_or(Trust::Vouched);
    let uids = reader.list(table, "uid").iter().filter_map(|uid| uid.get_ref().as_integer().map(|uid| uid.as_str().to_owned())).collect();
    let service = Service {
        name: name.value.as_str().into(),
        summary: summary.as_str().into(),
        file: reader.file.into(),
        programs: plain(reader.texts(table, "program")),
        units: plain(reader.texts(table, "unit")),
        paths: plain(reader.texts(table, "path")),
        uids,
        bare: reader.flag(table, "bare").is_some_and(|flag| flag.value),
        limit: limit(reader, table),
        forged: samples(reader, table, "forged"),
    };
    if service.programs.is_empty() && service.units.is_empty() && service.paths.is_empty() && !service.bare {
        reader.say(name.at, "whose lines are these? One of program, unit, path or bare = true is wanted");
    }
    let classes = reader.table(table, "classes").map(|table| strings(reader, table)).unwrap_or_default();
    let lists = reader.table(table, "lists").map(|table| lists(reader, table, others)).unwrap_or_default();
    let shared = Shared { service: &name.value, summary: &summary, number, trust, classes, lists };
    let mut rules = Vec::new();
    for value in reader.list(table, "rule") {
        match value.get_ref().as_table() {
            _ if rules.len() >= RULES_MAX => {
                reader.say(value.span().start, format!("a service may have {RULES_MAX} rules"));
                break;
            }
            Some(table) => rules.extend(rule(reader, &shared, table, value.span().start, first, &rules)),
            None => reader.say(value.span().start, "rule: write [[rule]]"),
        }
    }
    Some(Contents { service, rules })
}

fn trust(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Trust> {
    let given = reader.text(table, "trust")?;
    match given.value.as_str() {
        "vouched" => Some(Trust::Vouched),
        "spoofable" => Some(Trust::Spoofable),
        _ => {
            reader.say(
                given.at,
                "trust: \"vouched\" (the service spoke with the address) or \"spoofable\" (anybody can send from it) is wanted",
            );
            None
        }
    }
}

fn limit(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Limit> {
    let default = Limit { measure: Measure::Score { least: LIMIT_SCORE, within: LIMIT_WITHIN }, network: false, block: None };
    let Some(value) = table.get("limit") else { return Some(default) };
    if value.get_ref().as_bool() == Some(false) {
        return None;
    }
    let table = reader.table(table, "limit")?;
    reader.only(table, &LIMIT_KEYS, "limit");
    let least = reader.number(table, "score", 1, 65_000).map_or(LIMIT_SCORE, |score| score.value);
    let within = reader.period(table, "within").map_or(LIMIT_WITHIN, |span| span.value);
    let by = reader.text(table, "by");
    let network = match by.as_ref().map(|by| by.value.as_str()) {
        None | Some("address") => false,
        Some("network") => true,
        Some(_) => {
            reader.say(by.map_or(0, |by| by.at), "by: \"address\" or \"network\" (/24, /64) is wanted");
            false
        }
    };
    Some(Limit { measure: Measure::Score { least, within }, network, block: reader.period(table, "block").map(|span| span.value) })
}

fn strings(reader: &mut Reader<'_>, table: &DeTable<'_>) -> BTreeMap<String, String> {
    table.keys().filter_map(|key| Some((key.get_ref().to_string(), reader.text(table, key.get_ref())?.value))).collect()
}

/// `name = ["a", "b"]`, or `name = { file = "name.txt" }`.
fn lists(reader: &mut Reader<'_>, table: &DeTable<'_>, others: &[(String, String)]) -> BTreeMap<String, Arc<List>> {
    let mut lists = BTreeMap::new();
    for (key, value) in table {
        let list = match value.get_ref().as_table() {
            Some(inner) => {
                reader.only(inner, &["file"], "a list");
                let Some(file) = reader.text(inner, "file") else { continue };
                let beside = |name: &str| name == file.value || name.strip_suffix(&file.value).is_some_and(|folder| folder.ends_with('/'));
                match others.iter().find(|(name, _)| beside(name)).map(|(_, text)| List::of_text(text)) {
                    Some(Ok(list)) => list,
                    Some(Err(error)) => {
                        reader.say(file.at, error);
                        continue;
                    }
                    None => {
                        let hint = nearest(&file.value, others.iter().map(|(name, _)| name.as_str()));
                        reader.say(file.at, format!("there is no file \"{}\"{hint}", file.value));
                        continue;
                    }
                }
            }
            None => {
                let mut list = List::default();
                reader.strings(value, key.get_ref()).iter().for_each(|entry| list.add(&entry.value));
                list
            }
        };
        lists.insert(key.get_ref().to_string(), Arc::new(list));
    }
    lists
}

fn rule(reader: &mut Reader<'_>, shared: &Shared<'_>, table: &DeTable<'_>, at: usize, first: usize, earlier: &[Rule]) -> Option<Rule> {
    reader.only(table, &RULE_KEYS, "[[rule]]");
    let name = reader.text(table, "name");
    let Some(name) = name else {
        reader.say(at, "name: the rule's name is missing");
        return None;
    };
    let full: Arc<str> = format!("{}/{}", shared.service, name.value).into();
    if earlier.iter().any(|rule| rule.name == full) {
        reader.say(name.at, format!("there is a rule \"{}\" already", name.value));
    }
    let (mut matches, mut except) = (Vec::new(), Vec::new());
    for given in reader.texts(table, "match") {
        if let Some(pattern) = pattern(reader, shared, &given) {
            let named = |pattern: &Pattern| {
                let names = pattern.names();
                names.iter().enumerate().filter_map(|(group, name)| Some((group, Arc::<str>::from((*name)?)))).collect::<Vec<_>>()
            };
            let fields = named(&pattern);
            let address = fields.iter().find(|(_, name)| &**name == "address").map(|(group, _)| *group);
            matches.push(Match { pattern, fields, address });
        }
    }
    for given in reader.texts(table, "except") {
        except.extend(pattern(reader, shared, &given));
    }
    let of = of(reader, shared, table, first, earlier);
    if matches.is_empty() && of.is_empty() && !table.contains_key("match") && !table.contains_key("of") {
        reader.say(name.at, "match (patterns) or of (rules that it counts) is wanted");
    }
    if table.contains_key("match") && table.contains_key("of") {
        reader.say(name.at, "a rule has either match (patterns) or of (rules that it counts)");
    }
    let counted = table.contains_key("of");
    let mut known: BTreeSet<Arc<str>> = BUILT_IN.iter().map(|name| (*name).into()).collect();
    known.extend(matches.iter().flat_map(|one| &one.fields).map(|(_, name)| Arc::clone(name)));
    let before = |number: &usize| number.checked_sub(first).and_then(|place| earlier.get(place));
    known.extend(of.iter().filter_map(before).flat_map(fields_of(earlier, first)));
    let field = |reader: &mut Reader<'_>, given: &Given<String>| -> Arc<str> {
        if !known.contains(given.value.as_str()) {
            let hint = nearest(&given.value, known.iter().map(|name| &**name));
            reader.say(given.at, format!("no pattern of this rule has a field \"{}\"{hint}", given.value));
        }
        given.value.as_str().into()
    };
    let by: Vec<Arc<str>> = reader.texts(table, "by").iter().map(|given| field(reader, given)).collect();
    let distinct = reader.text(table, "distinct").map(|given| field(reader, &given));
    let session = reader.text(table, "session").map(|given| field(reader, &given));
    let mut conditions = Vec::new();
    for (key, wanted) in [("where", true), ("unless", false)] {
        let Some(inner) = reader.table(table, key) else { continue };
        for (name, value) in inner {
            let field = field(reader, &Given { at: name.span().start, value: name.get_ref().to_string() });
            let list = words(reader, shared, value, name.get_ref());
            conditions.push(Condition { field, list, wanted });
        }
    }
    let within = reader.period(table, "within").map_or(WITHIN, |span| span.value);
    let measure = measure(reader, table, within, distinct.is_some());
    if counted && measure.is_none() && !table.contains_key("after") && !table.contains_key("first") {
        reader.say(name.at, "of: how many? count, score, after or first is wanted");
    }
    if !counted && measure.is_some() {
        reader.say(name.at, "a rule with match doesn't count: write a second one with of");
    }
    let after = reader.text(table, "after").and_then(|given| named(reader, shared, &given, first, earlier));
    let level = reader.number(table, "level", 0, 16).map_or(if counted { 10 } else { 5 }, |level| level.value);
    let weight = reader.number(table, "weight", 0, 1_000).map_or(if counted { 0 } else { WEIGHT }, |weight| weight.value);
    let position = super::read::position(reader.text, name.at).0;
    // What counts others is believed no more than the least of them.
    let least = of.iter().chain(&after).filter_map(before).map(|rule| rule.trust).min();
    let trust = trust(reader, table).unwrap_or_else(|| least.unwrap_or(shared.trust));
    if least.is_some_and(|least| least < trust) {
        reader.say(name.at, "trust: it counts, or waits for, a rule that is \"spoofable\", and so is it itself");
    }
    Some(Rule {
        description: reader.text(table, "describe").map_or(shared.summary.into(), |text| text.value.as_str().into()),
        level: u8::try_from(level).unwrap_or(16),
        weight,
        line: position,
        service: shared.number,
        trust,
        matches,
        except,
        conditions,
        of,
        by: if by.is_empty() { vec!["address".into()] } else { by },
        measure,
        distinct,
        within,
        after,
        first: reader.flag(table, "first").is_some_and(|flag| flag.value),
        ignore: reader.period(table, "ignore").map_or(Duration::ZERO, |span| span.value),
        hours: hours(reader, table),
        days: days(reader, table),
        session,
        block: block(reader, table, counted),
        torn: reader.number(table, "torn", 1, 1_000_000).map_or(0, |bytes| bytes.value as usize),
        hits: samples(reader, table, "hit"),
        misses: samples(reader, table, "miss"),
        name: full,
    })
}

/// The fields of a rule, also of one that counts others.
fn fields_of<'r>(all: &'r [Rule], first: usize) -> impl Fn(&'r Rule) -> Vec<Arc<str>> {
    move |rule| {
        let (mut fields, mut open, mut seen) = (Vec::new(), vec![rule], BTreeSet::new());
        while let Some(rule) = open.pop() {
            fields.extend(rule.matches.iter().flat_map(|one| &one.fields).map(|(_, name)| Arc::clone(name)));
            let inner = rule.of.iter().filter(|number| seen.insert(**number));
            open.extend(inner.filter_map(|number| number.checked_sub(first).and_then(|place| all.get(place))));
        }
        fields
    }
}

/// A pattern of this file: linear, and anchored where the service itself begins to write.
fn pattern(reader: &mut Reader<'_>, shared: &Shared<'_>, given: &Given<String>) -> Option<Pattern> {
    let expanded = match classes::expand(&given.value, &shared.classes) {
        Ok(expanded) => expanded,
        Err(name) => {
            let known = shared.classes.keys().map(String::as_str).chain(classes::CLASSES.iter().map(|(name, _)| *name));
            let hint = nearest(&name, known);
            reader.say(given.at, format!("there is no class <{name}>{hint} (a plain < is written [<])"));
            return None;
        }
    };
    let pattern = match Pattern::new(&expanded, Flavour::default()) {
        Ok(pattern) => pattern,
        Err(error) => {
            reader.say(given.at, format!("no pattern: {}", error.lines().last().unwrap_or_default().trim()));
            return None;
        }
    };
    if pattern.is_linear() {
        if !pattern.is_anchored() {
            reader.say(given.at, "the pattern must begin with ^: text further on may be the attacker's");
        }
        return Some(pattern);
    }
    match regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(&expanded) {
        Ok(_) => reader.say(given.at, "the pattern is too large"),
        // Look-around, back-references, a name given twice.
        Err(error) => {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            reader.say(given.at, format!("a pattern's time must grow no faster than the line: {why}"));
        }
    }
    Some(pattern)
}

fn of(reader: &mut Reader<'_>, shared: &Shared<'_>, table: &DeTable<'_>, first: usize, earlier: &[Rule]) -> Vec<usize> {
    let mut of = Vec::new();
    for given in reader.texts(table, "of") {
        if given.value == "*" {
            of.extend(earlier.iter().enumerate().filter(|(_, rule)| !rule.matches.is_empty()).map(|(place, _)| first + place));
        } else {
            of.extend(named(reader, shared, &given, first, earlier));
        }
    }
    of
}

/// The number of an earlier rule of this file.
fn named(reader: &mut Reader<'_>, shared: &Shared<'_>, given: &Given<String>, first: usize, earlier: &[Rule]) -> Option<usize> {
    let full = format!("{}/{}", shared.service, given.value);
    let place = earlier.iter().position(|rule| *rule.name == *full);
    if place.is_none() {
        let hint = nearest(&given.value, earlier.iter().filter_map(|rule| rule.name.split_once('/')).map(|(_, name)| name));
        reader.say(given.at, format!("no rule \"{}\" stands before this one{hint}", given.value));
    }
    place.map(|place| first + place)
}

/// Words, and `@name` for a list.
fn words(reader: &mut Reader<'_>, shared: &Shared<'_>, value: &Spanned<DeValue<'_>>, key: &str) -> Arc<List> {
    let given = reader.strings(value, key);
    if let [Given { value, at }] = given.as_slice()
        && let Some(name) = value.strip_prefix('@')
    {
        return shared.lists.get(name).cloned().unwrap_or_else(|| {
            let hint = nearest(name, shared.lists.keys().map(String::as_str));
            reader.say(*at, format!("there is no list \"{name}\"{hint}"));
            Arc::default()
        });
    }
    let mut list = List::default();
    given.iter().for_each(|word| list.add(&word.value));
    Arc::new(list)
}

fn measure(reader: &mut Reader<'_>, table: &DeTable<'_>, within: Duration, distinct: bool) -> Option<Measure> {
    let most = if distinct { DISTINCT_MAX } else { 60_000 };
    let count = reader.number(table, "count", 1, most);
    let score = reader.number(table, "score", 1, 60_000);
    let leak = reader.period(table, "leak");
    match (count, score, leak) {
        (Some(count), None, None) if distinct => Some(Measure::Distinct { least: count.value, within }),
        (Some(count), None, None) => Some(Measure::Lines { least: count.value, within }),
        (Some(count), None, Some(each)) => Some(Measure::Leak { least: count.value, each: each.value, distinct }),
        (None, Some(score), None) if !distinct => Some(Measure::Score { least: score.value, within }),
        (None, None, None) if !distinct => None,
        (count, score, leak) => {
            let at = count.map(|given| given.at).or(score.map(|given| given.at)).or(leak.map(|given| given.at)).unwrap_or(0);
            reader.say(at, "count (with within or leak, with distinct or without) or score (with within) is wanted");
            None
        }
    }
}

/// `true`, `false`, or for how long.
fn block(reader: &mut Reader<'_>, table: &DeTable<'_>, counted: bool) -> Option<Option<Duration>> {
    match table.get("block").map(|value| value.get_ref().as_bool()) {
        None => counted.then_some(None),
        Some(Some(flag)) => flag.then_some(None),
        Some(None) => reader.period(table, "block").map(|span| Some(span.value)),
    }
}

/// `22:00-06:00`, in minutes.
fn hours(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<(u32, u32)> {
    let given = reader.text(table, "hours")?;
    let minutes = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
        (hours * 60 + minutes <= 1_440 && minutes < 60 && hours <= 24).then_some(hours * 60 + minutes)
    };
    let span = given.value.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    if span.is_none() {
        reader.say(given.at, "hours: \"22:00-06:00\" is wanted");
    }
    span
}

/// Days of the week, Monday first.
fn days(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<u64> {
    let mut days = Vec::new();
    for given in reader.texts(table, "days") {
        match DAYS.iter().position(|day| *day == given.value) {
            Some(day) => days.push(day as u64),
            None => reader.say(given.at, format!("days: {} are wanted{}", DAYS.join(", "), nearest(&given.value, DAYS))),
        }
    }
    days
}

fn samples(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for value in reader.list(table, key) {
        let at = value.span().start;
        let place = super::read::position(reader.text, at).0;
        if let Some(line) = value.get_ref().as_str() {
            samples.push(Sample { line: line.to_owned(), times: 1, at: place, ..Sample::default() });
            continue;
        }
        let Some(table) = value.get_ref().as_table() else {
            reader.say(at, format!("{key}: a line in quotes or {{ line = \"…\", address = \"…\" }} is wanted"));
            continue;
        };
        let Some(line) = reader.text(table, "line") else {
            reader.say(at, format!("{key}: line is missing"));
            continue;
        };
        let others = table.keys().filter(|name| !SAMPLE_KEYS.contains(&name.get_ref().as_ref()));
        samples.push(Sample {
            line: line.value,
            before: reader.texts(table, "before").into_iter().map(|text| text.value).collect(),
            times: reader.number(table, "times", 1, 10_000).map_or(1, |times| times.value),
            place: reader.text(table, "place").map(|text| text.value).unwrap_or_default(),
            address: reader.text(table, "address").map(|text| text.value),
            block: reader.flag(table, "block").map(|flag| flag.value),
            fields: others.filter_map(|name| Some((name.get_ref().to_string(), reader.text(table, name.get_ref())?.value))).collect(),
            at: place,
        });
    }
    samples
}
