//! Logs annotated as fail2ban's own test logs are: each case says what a filter must make of the lines below it. Opens nothing itself.
//!
//! `# failJSON: {"time": "2005-06-21T16:47:46", "match": true, "host": "192.0.2.1"}` says what comes of the line below;
//! `# filterOptions: [{"mode": "normal"}, {"mode": "extra"}]` has all lines that follow read under each of these;
//! `# addFILE: "other"` reads another such log. Any other line that begins with `#` is a comment.

use super::Single;
use super::filter::{Caught, Failure, Filter, Written};
use super::ini::{Files, Problem};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::time::Time;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Logs that include each other deeper than this are taken for a circle.
const FILES_MAX: usize = 8;

/// How a suite is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The zone of the times in `time`, and of dates that name none.
    pub zone: TimeZone,
    /// The present: dates without a year lie before it.
    pub now: Time,
}

/// What one case came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The log, and the line that the case is about.
    pub file: String,
    /// Its number, from 1.
    pub line: usize,
    /// The filter with its options.
    pub filter: String,
    /// What should come of it.
    pub wanted: Value,
    /// What came of it: `match`, `host`, `time` and whatever else was wanted.
    pub got: Value,
    /// Whether that is the same.
    pub agree: bool,
}

/// A filter under one set of options; by its text it is known.
struct Variant {
    options: Map<String, Value>,
    text: String,
}

/// Runs a log against filter `name` (`sshd` or `sshd[mode=aggressive]`) of the configuration in `dir`.
///
/// # Errors
/// If the log or the filter can't be understood.
pub fn run(log: &Path, name: &str, dir: &Path, files: Files<'_>, settings: &Settings) -> Result<Vec<Case>, Vec<Problem>> {
    let base = name.split('[').next().unwrap_or(name).trim();
    let stem = log.file_stem().map(|stem| stem.to_string_lossy().into_owned()).filter(|stem| stem.starts_with(base));
    let test = stem.unwrap_or_else(|| base.to_owned());
    let mut suite =
        Suite { name, dir, files, settings, common: Map::new(), variants: Vec::new(), filters: BTreeMap::new(), test, cases: Vec::new() };
    suite.options(&[Map::new()])?;
    suite.log(log, 0)?;
    Ok(suite.cases)
}

struct Suite<'a> {
    name: &'a str,
    dir: &'a Path,
    files: Files<'a>,
    settings: &'a Settings,
    common: Map<String, Value>,
    variants: Vec<Variant>,
    /// Filters that were used so far: whoever comes back goes on where he left off, as in fail2ban's own runner.
    filters: BTreeMap<String, Single>,
    /// What conditions call `name`: the log's if it is the filter's with more behind (`sshd-journal`), else the filter's.
    test: String,
    cases: Vec<Case>,
}

impl Suite<'_> {
    fn log(&mut self, path: &Path, depth: usize) -> Result<(), Vec<Problem>> {
        let file = path.display().to_string();
        let problem = |line: usize, message: String| vec![Problem { file: file.clone(), line, message }];
        if depth > FILES_MAX {
            return Err(problem(0, "logs include each other in a circle".to_owned()));
        }
        let text = (self.files.read)(path).map_err(|error| problem(0, error.to_string()))?;
        // The case that the next lines belong to, and whether the first of them has come.
        let mut case: Option<Map<String, Value>> = None;
        let (mut begun, mut more) = (true, Vec::new());
        for (number, line) in text.split('\n').enumerate().map(|(number, line)| (number + 1, line.trim_end_matches('\r'))) {
            let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| problem(number, format!("no JSON: {error}")));
            // What follows a case is its line, whatever it looks like.
            if !begun {
                self.line(&file, number, line, case.as_ref(), false);
                begun = true;
                continue;
            }
            match directive(line) {
                Some(("failJSON", text)) => {
                    let Value::Object(wanted) = json(text)? else { return Err(problem(number, "failJSON is one {…}".to_owned())) };
                    (case, begun) = (Some(wanted), false);
                }
                Some(("filterOptions", text)) => {
                    let sets: Vec<Map<String, Value>> = match json(text)? {
                        Value::Object(one) => vec![one],
                        Value::Array(all) => {
                            all.into_iter().filter_map(|set| if let Value::Object(set) = set { Some(set) } else { None }).collect()
                        }
                        _ => return Err(problem(number, "filterOptions is [{…}, …]".to_owned())),
                    };
                    self.options(&sets)?;
                    case = None;
                }
                // Goes with the filterOptions that follow.
                Some(("fileOptions", text)) => match json(text)? {
                    Value::Object(common) => self.common = common,
                    _ => return Err(problem(number, "fileOptions is one {…}".to_owned())),
                },
                Some((_, text)) => {
                    let Value::String(other) = json(text)? else { return Err(problem(number, "addFILE is \"NAME\"".to_owned())) };
                    more.push(path.with_file_name(other));
                }
                None if line.starts_with('#') || line.trim().is_empty() => {}
                None => self.line(&file, number, line, case.as_ref(), true),
            }
        }
        // Behind this one, under the options that held last.
        more.iter().try_for_each(|path| self.log(path, depth + 1))
    }

    /// From here on, lines are read under each of these.
    fn options(&mut self, sets: &[Map<String, Value>]) -> Result<(), Vec<Problem>> {
        self.variants.clear();
        let sets = if sets.is_empty() { &[Map::new()][..] } else { sets };
        for set in sets {
            let mut options = self.common.clone();
            options.extend(set.clone());
            let wanted = options.get("test.condition").and_then(Value::as_str);
            if wanted.is_some_and(|wanted| !condition(wanted, &self.test, &options)) {
                continue;
            }
            let given: Vec<String> = options
                .iter()
                .filter(|(name, _)| !name.starts_with("test."))
                .map(|(name, value)| format!("{name}=\"{}\"", plain(value)))
                .collect();
            let text = match (self.name.strip_suffix(']'), given.is_empty()) {
                (_, true) => self.name.to_owned(),
                (Some(begun), false) => format!("{begun}][{}]", given.join(", ")),
                (None, false) => format!("{}[{}]", self.name, given.join(", ")),
            };
            if !self.filters.contains_key(&text) {
                let written = Written::read(&text, &[("logtype", "file")], self.dir, self.files).map_err(|problem| vec![problem])?;
                let single = Single::new(Filter::new(&written)?, self.settings.zone.clone());
                let mut single = single.map_err(|message| vec![Problem { file: text.clone(), line: 0, message }])?;
                single.try_all();
                self.filters.insert(text.clone(), single);
            }
            self.variants.push(Variant { options, text });
        }
        Ok(())
    }

    /// Reads one line under all options. Lines without a case of their own go on with the one above.
    fn line(&mut self, file: &str, number: usize, line: &str, wanted: Option<&Map<String, Value>>, begun: bool) {
        let base = self.name.split('[').next().unwrap_or(self.name).trim();
        for variant in &self.variants {
            let Some(single) = self.filters.get_mut(&variant.text) else { continue };
            let limited = wanted.and_then(|wanted| wanted.get("constraint")).and_then(Value::as_str);
            let other = wanted.and_then(|wanted| wanted.get("filter")).and_then(Value::as_str).is_some_and(|other| other != base);
            if limited.is_some_and(|limited| !condition(limited, &self.test, &variant.options)) {
                continue;
            }
            let journal = variant.options.get("logtype").and_then(Value::as_str) == Some("journal");
            let prefix = variant.options.get("test.prefix-line").and_then(Value::as_str).filter(|_| journal).unwrap_or_default();
            let read = single.line(format!("{prefix}{line}").as_bytes(), self.settings.now, journal);
            let Some(wanted) = wanted else { continue };
            let first = read.failures.first();
            if other && first.is_none() {
                continue;
            }
            let at = if journal { None } else { Some(read.at) };
            let got = got(wanted, first, at, &self.settings.zone);
            let agree = agrees(wanted, &got, self.settings);
            let case = Case {
                file: file.to_owned(),
                line: number,
                filter: variant.text.clone(),
                wanted: Value::Object(wanted.clone()),
                got: Value::Object(got),
                agree,
            };
            match self.cases.iter_mut().rev().find(|case| begun && case.filter == variant.text) {
                // What a later line of the same case completes counts for it.
                Some(same) => {
                    if first.is_some() {
                        *same = case;
                    }
                }
                None => self.cases.push(case),
            }
        }
    }
}

/// `# NAME: text`.
fn directive(line: &str) -> Option<(&'static str, &str)> {
    let rest = line.strip_prefix('#')?.trim_start_matches(['#', ' ']);
    let (name, text) = rest.split_once(':')?;
    let name = ["failJSON", "filterOptions", "fileOptions", "addFILE"].into_iter().find(|known| *known == name)?;
    Some((name, text.trim()))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What came of a line, as far as it was asked.
fn got(wanted: &Map<String, Value>, failure: Option<&Failure>, at: Option<Time>, zone: &TimeZone) -> Map<String, Value> {
    let mut got = Map::new();
    got.insert("match".to_owned(), Value::Bool(failure.is_some()));
    let Some(failure) = failure else { return got };
    got.insert("host".to_owned(), Value::String(failure.id.clone()));
    let Caught { ip, dns, id, .. } = &failure.caught;
    let of_family = |six: bool| ip.clone().filter(|ip| ip.contains(':') == six);
    if let Some(local) = at.and_then(|at| jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).ok()) {
        got.insert("time".to_owned(), Value::String(local.to_zoned(zone.clone()).datetime().to_string()));
    }
    for name in wanted.keys() {
        let value = match name.as_str() {
            "users" => failure.users.iter().cloned().map(Value::String).collect(),
            "attempts" => Value::from(failure.lines),
            name => {
                let text = match name {
                    "ip4" => of_family(false),
                    "ip6" => of_family(true),
                    "dns" => dns.clone(),
                    "fid" => id.clone(),
                    name => failure.fields.get(name).cloned(),
                };
                let Some(text) = text else { continue };
                Value::String(text)
            }
        };
        got.entry(name.clone()).or_insert(value);
    }
    got
}

fn agrees(wanted: &Map<String, Value>, got: &Map<String, Value>, settings: &Settings) -> bool {
    let should = wanted.get("match").is_some_and(|value| value.as_bool() == Some(true));
    if got.get("match") != Some(&Value::Bool(should)) {
        return false;
    }
    !should
        || wanted.iter().all(|(name, value)| match name.as_str() {
            "match" | "desc" | "constraint" | "filter" => true,
            "time" => match (value.as_str(), got.get("time").and_then(Value::as_str)) {
                (Some(wanted), Some(got)) => same_time(wanted, got, &settings.zone),
                // The journal's own time.
                _ => true,
            },
            name => match (value, got.get(name)) {
                (Value::Null, None) => true,
                (Value::Array(some), Some(Value::Array(others))) => {
                    let sorted = |values: &[Value]| values.iter().map(plain).collect::<std::collections::BTreeSet<String>>();
                    sorted(some) == sorted(others)
                }
                // An address has many spellings.
                (Value::String(wanted), Some(Value::String(got))) if name == "host" => wanted == got || same_address(wanted, got),
                (Value::Array(some), Some(Value::String(joined))) => some.iter().map(plain).collect::<Vec<_>>().join(" ") == *joined,
                (value, Some(got)) => plain(value) == plain(got),
                (_, None) => false,
            },
        })
}

fn same_address(one: &str, other: &str) -> bool {
    let address = |text: &str| text.parse().ok().map(|ip: IpAddr| ip.to_canonical());
    address(one).is_some() && address(one) == address(other)
}

/// Local times may be told in two ways when clocks are set back: what counts is the moment, and its whole second, for fail2ban knows no more.
fn same_time(wanted: &str, got: &str, zone: &TimeZone) -> bool {
    let moment =
        |text: &str| text.parse::<DateTime>().ok().and_then(|local| zone.to_timestamp(local).ok()).map(|moment| moment.as_second());
    moment(wanted).is_some_and(|wanted| moment(got) == Some(wanted))
}

/// The conditions that such logs have: `name == 'x'`, `opts.get('mode') != 'y'`, `opts['a'] in ('b', 'c')`, with `and`, `or`, `not`.
/// What can't be understood holds.
fn condition(text: &str, name: &str, options: &Map<String, Value>) -> bool {
    let text = text.trim();
    if let Some((left, right)) = split_outside(text, " or ") {
        return condition(left, name, options) || condition(right, name, options);
    }
    if let Some((left, right)) = split_outside(text, " and ") {
        return condition(left, name, options) && condition(right, name, options);
    }
    if let Some(rest) = text.strip_prefix("not ") {
        return !condition(rest, name, options);
    }
    if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        return condition(inside, name, options);
    }
    let value = |text: &str| -> Option<String> {
        let text = text.trim();
        let quoted = |text: &str| text.strip_prefix(['\'', '"']).and_then(|text| text.strip_suffix(['\'', '"'])).map(str::to_owned);
        if text == "name" {
            return Some(name.to_owned());
        }
        let key = text
            .strip_prefix("opts.get(")
            .and_then(|text| text.strip_suffix(')'))
            .or_else(|| text.strip_prefix("opts[").and_then(|text| text.strip_suffix(']')));
        match key {
            Some(key) => {
                let (key, default) = key.split_once(',').map_or((key, None), |(key, default)| (key, quoted(default.trim())));
                options.get(&quoted(key.trim())?).map(plain).or(default)
            }
            None => quoted(text),
        }
    };
    for (operator, negate) in [(" not in ", true), (" in ", false), ("!=", true), ("==", false)] {
        let Some((left, right)) = text.split_once(operator) else { continue };
        let left = value(left);
        let holds = if operator.contains("in") {
            let items = right.trim().trim_matches(['(', ')', '[', ']', '{', '}']);
            items.split(',').filter(|item| !item.trim().is_empty()).any(|item| value(item) == left)
        } else {
            left == value(right)
        };
        return holds != negate;
    }
    match text {
        "True" => true,
        "False" => false,
        text if text.starts_with("opts") => value(text).is_some_and(|value| !value.is_empty() && value != "false"),
        _ => true,
    }
}

/// At the first `word` that is in no bracket.
fn split_outside<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    let mut depth = 0i32;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ if depth == 0 && text.get(at..).is_some_and(|rest| rest.starts_with(word)) => {
                return Some((text.get(..at)?, text.get(at + word.len()..)?));
            }
            _ => {}
        }
    }
    None
}

/// How many of the cases agree, by filter with its options.
pub fn agreement(cases: &[Case]) -> BTreeMap<&str, (usize, usize)> {
    let mut by_filter: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for case in cases {
        let (agree, total) = by_filter.entry(&case.filter).or_default();
        *agree += usize::from(case.agree);
        *total += 1;
    }
    by_filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail2ban::ini::tests::reading;
    use std::path::PathBuf;

    const FILTER: &str = "[Definition]\nfailregex = ^ bad <F-USER>\\w+</F-USER> from <HOST>$\n            <m-<mode>>\nm-normal =\nm-more = ^ worse from <HOST>$\nmode = normal\n";
    const JOINED: &str = "[Definition]\nfailregex = ^ from <HOST>$<SKIPLINES>^ wrong$\nmaxlines = 3\n";

    fn cases(filter: &str, log: &str) -> Vec<(usize, bool)> {
        let texts = [
            ("/f/filter.d/t.conf", FILTER),
            ("/f/filter.d/j.conf", JOINED),
            ("/l/t", log),
            ("/l/more", "# failJSON: {\"match\": true, \"host\": \"192.0.2.7\"}\nJan 1 00:00:00 bad x from 192.0.2.7\n"),
        ];
        let read = |path: &Path| reading(&texts, path);
        // 14 August 2005, 10:00 UTC.
        let settings = Settings { zone: TimeZone::fixed(jiff::tz::offset(2)), now: Time::from_secs(1_124_013_600) };
        let cases = run(Path::new("/l/t"), filter, Path::new("/f"), Files { read: &read, list: &|_| Ok(Vec::<PathBuf>::new()) }, &settings)
            .unwrap();
        cases.into_iter().map(|case| (case.line, case.agree)).collect()
    }

    #[test]
    fn each_line_is_held_against_what_it_should_come_to() {
        let log = "# about\n# failJSON: {\"time\": \"2005-06-21T16:47:46\", \"match\": true, \"host\": \"192.0.2.1\", \"user\": \"anna\", \"desc\": \"x\"}\n\
                   Jun 21 16:47:46 bad anna from 192.0.2.1\n\
                   # failJSON: {\"time\": \"2004-08-21T16:47:46\", \"match\": true, \"host\": \"192.0.2.1\"}\nAug 21 16:47:46 bad anna from 192.0.2.1\n\
                   # failJSON: {\"match\": false}\nJun 21 16:47:46 worse from 192.0.2.1\n\
                   # failJSON: {\"match\": true, \"host\": \"192.0.2.2\"}\nJun 21 16:47:46 bad anna from 192.0.2.1\n\
                   # failJSON: {\"match\": true, \"user\": \"bert\"}\nJun 21 16:47:46 bad anna from 192.0.2.1\n\
                   # failJSON: {\"time\": \"2005-06-21T16:47:47\", \"match\": true}\nJun 21 16:47:46 bad anna from 192.0.2.1\n\
                   # failJSON: {\"match\": true}\nJun 21 16:47:46 good\n\
                   # addFILE: \"more\"\n";
        assert_eq!(cases("t", log), [(3, true), (5, true), (7, true), (9, false), (11, false), (13, false), (15, false), (2, true)]);
    }

    #[test]
    fn lines_are_read_under_each_set_of_options() {
        let log = "# filterOptions: [{\"mode\": \"normal\"}, {\"mode\": \"more\"}]\n# failJSON: {\"match\": true}\nJun 21 16:47:46 worse from 192.0.2.1\n\
                   # failJSON: {\"match\": true, \"constraint\": \"opts.get('mode') != 'normal'\"}\nJun 21 16:47:46 worse from 192.0.2.1\n\
                   # filterOptions: {\"mode\": \"more\", \"test.condition\": \"name=='other'\"}\n# failJSON: {\"match\": false}\nJun 21 16:47:46 worse from 192.0.2.1\n\
                   # filterOptions: {\"logtype\": \"journal\", \"test.prefix-line\": \" bad \"}\n# failJSON: {\"time\": \"2005-01-01T00:00:00\", \"match\": true}\nx from 192.0.2.1\n";
        assert_eq!(cases("t", log), [(3, false), (3, true), (5, true), (11, true)]);
        assert_eq!(cases("t[mode=more]", "# failJSON: {\"match\": true}\nJun 21 16:47:46 worse from 192.0.2.1\n"), [(2, true)]);
    }

    #[test]
    fn what_follows_a_case_is_its_line() {
        let log = "# failJSON: {\"match\": false}\n# addFILE: \"more\"\n# fileOptions: {\"mode\": \"more\"}\n# failJSON: {\"match\": false}\nJun 21 16:47:46 worse from 192.0.2.1\n\
                   # addFILE: \"more\"\n# filterOptions: [{}]\n# failJSON: {\"match\": true, \"host\": \"192.0.2.1\", \"ip4\": \"192.0.2.1\", \"ip6\": null}\n\
                   Jun 21 16:47:46 worse from 192.0.2.1\n";
        // A log that is added comes behind, under the options that hold then.
        assert_eq!(cases("t", log), [(2, true), (5, true), (9, true), (2, true)]);
        let spelling = "# failJSON: {\"match\": true, \"host\": \"2001:db8:0::1\"}\nJun 21 16:47:46 bad x from 2001:DB8::1\n";
        assert_eq!(cases("t", spelling), [(2, true)]);
    }

    #[test]
    fn what_a_later_line_completes_counts() {
        let log = "# failJSON: {\"match\": true, \"host\": \"192.0.2.1\", \"attempts\": 2}\nJun 21 16:47:46 from 192.0.2.1\nJun 21 16:47:46 wrong\n\
                   # failJSON: {\"match\": false}\nJun 21 16:47:46 from 192.0.2.2\n# failJSON: {\"match\": true, \"host\": \"192.0.2.2\"}\nJun 21 16:47:47 wrong\n";
        assert_eq!(cases("j", log), [(3, true), (5, true), (7, true)]);
    }

    #[test]
    fn conditions_are_read() {
        let options = serde_json::from_str("{\"mode\": \"a\", \"logtype\": \"file\"}").unwrap();
        for (text, wanted) in [
            ("name == 'sshd'", true),
            ("name=='x' or opts['mode'] == \"a\"", true),
            ("opts.get('mode') != 'a'", false),
            ("opts.get('mode') in ('b', 'a') and not (name == 'x')", true),
            ("opts.get('gone', 'z') == 'z'", true),
            ("opts.get('mode') not in ('b', 'a')", false),
        ] {
            assert_eq!(condition(text, "sshd", &options), wanted, "{text}");
        }
    }
}
