//! Rules as they are written: read and checked here, put into the tree by `tree`, met by `engine`.

use super::decoder::{Decoders, FieldSet, Kind};
use super::dialects::Dialect;
use super::event::Field;
use super::lists::{Lookup, Net};
use super::load::{Loader, nearest};
use super::patterns::Patterns;
use super::when::{DayTime, Days};
use super::xml::Element;
use std::sync::Arc;
use std::time::Duration;

/// Seconds that a composite looks back if it doesn't say (`analysisd.default_timeframe`).
const TIMEFRAME: u64 = 360;

/// Wazuh counts the event that meets the rule, OSSEC fires on number N+2.
const WAZUH_LESS: u32 = 2;

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub id: u32,
    /// Its number as text.
    pub name: Arc<str>,
    pub level: u8,
    /// Siblings are met in descending order of this: level 0 first, then by level.
    pub order: u16,
    /// Only routes.
    pub silent: bool,
    /// Muted for so long after it has fired.
    pub mute: Option<Duration>,
    pub groups: String,
    pub description: Arc<str>,
    pub category: Kind,
    pub decoded_as: Option<u32>,
    pub tests: Vec<Test>,
    pub lists: Vec<ListTest>,
    pub first_time: bool,
    pub diff: bool,
    pub composite: Option<Composite>,
    pub ignore: FieldSet,
    pub check_ignored: FieldSet,
    /// No active response.
    pub no_response: bool,
    pub parents: Parents,
    pub overwrite: bool,
    /// Has a condition that can't be honoured: it is never met.
    pub dead: bool,
    pub line: u32,
}

/// Under what a rule hangs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Parents {
    #[default]
    Category,
    Rules(Vec<u32>),
    Level(u8),
    Group(String),
}

/// A condition.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub what: What,
    pub negated: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Program(u32),
    Log(u32),
    Field(Field, u32),
    Named(Arc<str>, u32),
    User(u32),
    Host(u32),
    Place(u32),
    Action(String),
    Address(Field, Vec<Net>),
    Size(usize),
    Time(DayTime),
    Days(Days),
    Compiled(Compiled),
}

/// Rules that OSSEC has in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiled {
    SameUser,
    LongId,
    OtherWindowsUser,
    SimpleRequest,
    Crawler,
}

const COMPILED: [(&str, Compiled); 5] = [
    ("comp_srcuser_dstuser", Compiled::SameUser),
    ("check_id_size", Compiled::LongId),
    ("comp_mswin_targetuser_calleruser_diff", Compiled::OtherWindowsUser),
    ("is_simple_http_request", Compiled::SimpleRequest),
    ("is_valid_crawler", Compiled::Crawler),
];

/// A question to a list.
#[derive(Debug, Clone)]
pub(crate) struct ListTest {
    pub list: String,
    /// `None` is the user.
    pub field: ListField,
    pub lookup: Lookup,
    /// On the value.
    pub value: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) enum ListField {
    Field(Field),
    User,
    Host,
    Program,
    Named(Arc<str>),
}

/// Fires when enough like it has been before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Composite {
    pub sid: Option<u32>,
    /// As sregex: on the rules' groups.
    pub group: Option<String>,
    /// So many before, and one more.
    pub frequency: u32,
    pub timeframe: Duration,
    pub same: Vec<Same>,
    pub different: Vec<Same>,
}

/// What must be the same, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Same {
    Field(Field),
    Host,
    Named(Arc<str>),
}

const ELEMENTS: [&str; 64] = [
    "match",
    "match_pcre2",
    "regex",
    "pcre2",
    "decoded_as",
    "category",
    "cve",
    "info",
    "time",
    "weekday",
    "description",
    "ignore",
    "check_if_ignored",
    "srcip",
    "srcport",
    "dstip",
    "dstport",
    "user",
    "url",
    "id",
    "extra_data",
    "hostname",
    "program_name",
    "status",
    "action",
    "compiled_rule",
    "list",
    "if_sid",
    "if_group",
    "if_level",
    "if_fts",
    "if_matched_regex",
    "if_matched_group",
    "if_matched_sid",
    "same_source_ip",
    "same_srcip",
    "same_dstip",
    "same_src_port",
    "same_srcport",
    "same_dst_port",
    "same_dstport",
    "same_srcuser",
    "same_user",
    "same_location",
    "same_id",
    "same_field",
    "check_diff",
    "different_url",
    "not_same_source_ip",
    "not_same_user",
    "not_same_agent",
    "not_same_id",
    "options",
    "group",
    "mitre",
    "field",
    "location",
    "protocol",
    "data",
    "system_name",
    "srcuser",
    "user_pcre2",
    "url_pcre2",
    "id_pcre2",
];

/// Texts that several elements make together.
#[derive(Default)]
struct Texts(Vec<(String, String, Dialect, bool, u32)>);

impl Texts {
    fn add(&mut self, option: &Element, what: &str, dialect: Dialect) {
        let negated = option.attribute("negate") == Some("yes");
        // Each field is a condition of its own.
        let joins = !what.starts_with("field ");
        match self.0.iter_mut().find(|(known, _, known_dialect, known_negated, _)| {
            joins && known == what && *known_dialect == dialect && *known_negated == negated
        }) {
            Some((_, text, ..)) => text.push_str(&option.text),
            None => self.0.push((what.to_owned(), option.text.clone(), dialect, negated, option.line)),
        }
    }
}

/// What a rule is read with.
pub(crate) struct Reader<'a> {
    pub loader: &'a mut Loader,
    pub patterns: &'a mut Patterns,
    pub decoders: &'a Decoders,
    /// Wazuh's rules count differently.
    pub wazuh: bool,
}

impl Reader<'_> {
    /// Reads a file's rules, in their order.
    pub fn file(&mut self, elements: &[Element]) -> Vec<Rule> {
        let mut rules = Vec::new();
        for group in elements {
            if group.name != "group" {
                self.loader.problem(group.line, format!("<{}> can't stand here: rule files hold <group name=…> with rules", group.name));
                continue;
            }
            let Some(name) = group.attribute("name") else {
                self.loader.problem(group.line, "a group without a name".into());
                continue;
            };
            for element in &group.children {
                if element.name == "rule" {
                    rules.extend(self.rule(name, element));
                } else {
                    self.loader.problem(element.line, format!("<{}> can't stand in a group: only <rule>", element.name));
                }
            }
        }
        rules
    }

    fn number<N: std::str::FromStr>(&mut self, element: &Element, name: &str) -> Option<N> {
        let text = element.attribute(name)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.loader.problem(element.line, format!("{name}={text:?} is no number that fits"));
        }
        number
    }

    fn rule(&mut self, group: &str, element: &Element) -> Option<Rule> {
        let line = element.line;
        let known = ["id", "level", "maxsize", "timeframe", "frequency", "accuracy", "noalert", "ignore", "overwrite"];
        for (name, _) in &element.attributes {
            if !known.contains(&name.as_str()) {
                self.loader.problem(line, format!("a rule has no attribute {name}{}", nearest(name, known.into_iter())));
            }
        }
        let (Some(id), Some(level)) = (self.number::<u32>(element, "id"), self.number::<u8>(element, "level")) else {
            self.loader.problem(line, "a rule needs an id and a level".into());
            return None;
        };
        if level > 16 {
            self.loader.problem(line, format!("rule {id}: levels go from 0 to 16, not {level}"));
        }
        let weight = if level == 0 { 99 } else { u16::from(level) };
        let accurate = element.attribute("accuracy").is_none_or(|accuracy| accuracy.trim() != "0");
        let mut rule = Rule {
            id,
            name: id.to_string().into(),
            level,
            order: if accurate { weight * 100 } else { weight },
            silent: element.attribute("noalert").is_some_and(|value| value.trim() != "0"),
            mute: self.number(element, "ignore").map(Duration::from_secs),
            groups: group.to_owned(),
            description: "".into(),
            category: Kind::Syslog,
            decoded_as: None,
            tests: Vec::new(),
            lists: Vec::new(),
            first_time: false,
            diff: false,
            composite: None,
            ignore: FieldSet::default(),
            check_ignored: FieldSet::default(),
            no_response: false,
            parents: Parents::Category,
            overwrite: element.attribute("overwrite") == Some("yes"),
            dead: false,
            line,
        };
        if let Some(size) = self.number::<usize>(element, "maxsize").filter(|size| *size > 0) {
            rule.tests.push(Test { what: What::Size(size), negated: false });
        }
        let frequency = self.number::<u32>(element, "frequency");
        let timeframe = self.number(element, "timeframe").unwrap_or(TIMEFRAME);
        let mut composite =
            Composite { frequency: frequency.unwrap_or(0), timeframe: Duration::from_secs(timeframe), ..Composite::default() };
        if self.wazuh {
            composite.frequency = composite.frequency.saturating_sub(WAZUH_LESS);
        }
        let (mut texts, mut description) = (Texts::default(), String::new());
        for option in &element.children {
            self.option(option, &mut rule, &mut composite, &mut texts, &mut description);
        }
        rule.description = description.trim().into();
        for (what, text, dialect, negated, line) in texts.0 {
            self.test(&mut rule, &what, &text, dialect, negated, line);
        }
        let asks = composite.sid.is_some() || composite.group.is_some();
        if !asks
            && !rule.dead
            && (frequency.is_some_and(|n| n > 0) || !composite.same.is_empty() || !composite.different.is_empty())
            && !rule.diff
        {
            self.loader.problem(line, format!("rule {id}: frequency and same_… need if_matched_sid or if_matched_group"));
        }
        if asks {
            if matches!((&rule.parents, composite.sid), (Parents::Category, _) | (Parents::Level(_), Some(_))) {
                rule.parents = match (composite.sid, &composite.group) {
                    (Some(sid), _) => Parents::Rules(vec![sid]),
                    (None, Some(group)) => Parents::Group(group.clone()),
                    (None, None) => Parents::Category,
                };
            }
            rule.composite = Some(composite);
        }
        Some(rule)
    }

    fn option(&mut self, option: &Element, rule: &mut Rule, composite: &mut Composite, texts: &mut Texts, description: &mut String) {
        let (text, line, id) = (option.text.as_str(), option.line, rule.id);
        let name = option.name.as_str();
        // `<match>` is sregex, `<regex>` os_regex, `…_pcre2` what it says, and Wazuh has `type=`.
        let typed = |default| match option.attribute("type") {
            Some("pcre2") => Dialect::CasedPcre2,
            Some("osregex") => Dialect::OsRegex,
            Some("osmatch") => Dialect::Sregex,
            _ => default,
        };
        if ["geoip", "country", "srcas", "dstas"].iter().any(|word| name.contains(word)) {
            return self.dead(rule, line, name);
        }
        if let Some(what) = name.strip_suffix("_pcre2") {
            return match what {
                "match" | "user" | "srcuser" | "url" | "id" | "status" | "hostname" | "extra_data" | "program_name" | "srcport"
                | "dstport" | "action" | "protocol" | "location" | "system_name" => texts.add(option, what, Dialect::Pcre2),
                _ => self.unknown(line, id, name),
            };
        }
        match name {
            "match" | "user" | "srcuser" | "url" | "id" | "status" | "hostname" | "extra_data" | "data" | "program_name" | "srcport"
            | "dstport" | "protocol" | "location" | "system_name" => texts.add(option, name, typed(Dialect::Sregex)),
            "regex" => texts.add(option, name, typed(Dialect::OsRegex)),
            "pcre2" => texts.add(option, "regex", Dialect::Pcre2),
            "field" => match option.attribute("name") {
                Some(field) => texts.add(option, &format!("field {field}"), typed(Dialect::OsRegex)),
                None => self.loader.problem(line, format!("rule {id}: <field> needs a name")),
            },
            "action" if self.wazuh => texts.add(option, name, typed(Dialect::Sregex)),
            "action" => {
                match rule.tests.iter_mut().find_map(|test| if let What::Action(known) = &mut test.what { Some(known) } else { None }) {
                    Some(known) => known.push_str(text),
                    None => rule.tests.push(Test { what: What::Action(text.to_owned()), negated: false }),
                }
            }
            "srcip" | "dstip" => {
                let field = if name == "srcip" { Field::SrcIp } else { Field::DstIp };
                let negated = option.attribute("negate") == Some("yes");
                for part in text.split(if self.wazuh { [',', ' ', '|'] } else { ['|'; 3] }).filter(|part| !part.is_empty()) {
                    let Some(net) = Net::parse(part) else {
                        return self.loader.problem(line, format!("rule {id}: {part:?} is no address"));
                    };
                    match rule
                        .tests
                        .iter_mut()
                        .find(|test| matches!(test.what, What::Address(known, _) if known == field) && test.negated == negated)
                    {
                        Some(Test { what: What::Address(_, nets), .. }) => nets.push(net),
                        _ => rule.tests.push(Test { what: What::Address(field, vec![net]), negated }),
                    }
                }
            }
            "time" | "weekday" => {
                let what = if name == "time" { DayTime::parse(text).map(What::Time) } else { Days::parse(text).map(What::Days) };
                match what {
                    Some(what) => rule.tests.push(Test { what, negated: false }),
                    None => self.loader.problem(line, format!("rule {id}: <{name}> can't be {text:?}")),
                }
            }
            "compiled_rule" => match COMPILED.iter().find(|(known, _)| *known == text.trim()) {
                Some((_, compiled)) => {
                    if *compiled == Compiled::Crawler {
                        self.loader.notice(
                            line,
                            format!("rule {id}: crawlers are known by their addresses; nobody is asked for Googlebot's name"),
                        );
                    }
                    rule.tests.push(Test { what: What::Compiled(*compiled), negated: false });
                }
                None => {
                    let hint = nearest(text, COMPILED.iter().map(|(word, _)| *word));
                    self.loader.notice(line, format!("rule {id} is left out: no compiled rule is called {text}{hint}"));
                    rule.dead = true;
                }
            },
            "decoded_as" => match self.decoders.id(text) {
                Some(decoder) => rule.decoded_as = Some(decoder),
                None => {
                    let hint = nearest(text, self.decoders.names());
                    self.loader.problem(line, format!("rule {id}: no decoder is called {text}{hint}"));
                }
            },
            "category" => match Kind::named(text) {
                Some(kind) => rule.category = kind,
                None => self.loader.problem(line, format!("rule {id}: no such category: {text}")),
            },
            "list" => self.list(option, rule),
            "if_sid" => {
                let mut ids = Vec::new();
                for part in text.split([',', ' ', '\n', '\t']).filter(|part| !part.is_empty()) {
                    match part.trim().parse() {
                        Ok(number) => ids.push(number),
                        Err(_) => self.loader.problem(line, format!("rule {id}: {part:?} is no rule's number")),
                    }
                }
                match &mut rule.parents {
                    Parents::Rules(all) => all.extend(ids),
                    other => *other = Parents::Rules(ids),
                }
            }
            "if_group" if !matches!(rule.parents, Parents::Rules(_)) => rule.parents = Parents::Group(text.to_owned()),
            "if_level" if rule.parents == Parents::Category => match text.trim().parse() {
                Ok(level) if level > 0 => rule.parents = Parents::Level(level),
                _ => self.loader.problem(line, format!("rule {id}: {text:?} is no level")),
            },
            "if_group" | "if_level" => self.loader.notice(line, format!("rule {id}: <{name}> counts for nothing beside if_sid")),
            "if_matched_sid" => match text.trim().parse() {
                Ok(sid) => composite.sid = Some(sid),
                Err(_) => self.loader.problem(line, format!("rule {id}: {text:?} is no rule's number")),
            },
            "if_matched_group" => composite.group.get_or_insert_default().push_str(text),
            "if_matched_regex" => self.dead(rule, line, name),
            "if_fts" => rule.first_time = true,
            "check_diff" => rule.diff = true,
            "ignore" => rule.ignore = FieldSet::all_in(text),
            "check_if_ignored" => rule.check_ignored = FieldSet::all_in(text),
            "group" => rule.groups.push_str(text),
            "description" => description.push_str(&text.replace('\n', " ")),
            "options" => self.options(text, rule, line),
            // There is one agent here: this host.
            "info" | "cve" | "mitre" | "global_frequency" => {}
            // They undo what `same_…` said before.
            "not_same_source_ip" => composite.same.retain(|same| *same != Same::Field(Field::SrcIp)),
            "not_same_user" => composite.same.retain(|same| *same != Same::Field(Field::DstUser)),
            "not_same_id" => composite.same.retain(|same| *same != Same::Field(Field::Id)),
            "not_same_agent" => composite.same.retain(|same| *same != Same::Host),
            _ => self.relation(option, rule, composite),
        }
    }

    /// `same_…`, `different_…`, and what nobody knows.
    fn relation(&mut self, option: &Element, rule: &mut Rule, composite: &mut Composite) {
        let name = option.name.as_str();
        // `not_same_field` is Wazuh's old word.
        let (list, what) = match (name.strip_prefix("same_"), name.strip_prefix("different_").or(name.strip_prefix("not_same_"))) {
            (Some(what), _) => (&mut composite.same, what),
            (_, Some(what)) => (&mut composite.different, what),
            _ => return self.unknown(option.line, rule.id, name),
        };
        let same = match what {
            "source_ip" | "srcip" => Same::Field(Field::SrcIp),
            "dst_ip" | "dstip" => Same::Field(Field::DstIp),
            "src_port" | "srcport" => Same::Field(Field::SrcPort),
            "dst_port" | "dstport" => Same::Field(Field::DstPort),
            "user" | "dstuser" => Same::Field(Field::DstUser),
            "srcuser" => Same::Field(Field::SrcUser),
            "location" | "agent" => Same::Host,
            "field" => Same::Named(option.text.trim().into()),
            what => match Field::named(what) {
                Some(field) => Same::Field(field),
                None => return self.unknown(option.line, rule.id, name),
            },
        };
        list.push(same);
    }

    fn unknown(&mut self, line: u32, id: u32, name: &str) {
        self.loader.problem(line, format!("rule {id}: no such element: <{name}>{}", nearest(name, ELEMENTS.into_iter())));
    }

    fn dead(&mut self, rule: &mut Rule, line: u32, name: &str) {
        self.loader.notice(line, format!("rule {} is left out: <{name}> isn't honoured", rule.id));
        rule.dead = true;
    }

    fn options(&mut self, text: &str, rule: &mut Rule, line: u32) {
        for option in text.split(',').map(str::trim) {
            match option {
                "no_ar" => rule.no_response = true,
                // About mail and alert files, of which there are none here.
                "alert_by_email" | "no_email_alert" | "log_alert" | "no_log" | "no_full_log" | "no_counter" | "" => {}
                other => self.loader.problem(line, format!("rule {}: no such option: {other}", rule.id)),
            }
        }
    }

    fn list(&mut self, option: &Element, rule: &mut Rule) {
        let (line, id) = (option.line, rule.id);
        let lookup = option.attribute("lookup").unwrap_or("match_key");
        let Some((_, lookup)) = Lookup::WORDS.into_iter().find(|(word, _)| *word == lookup) else {
            let hint = nearest(lookup, Lookup::WORDS.iter().map(|(word, _)| *word));
            return self.loader.problem(line, format!("rule {id}: no such look-up: {lookup}{hint}"));
        };
        let field = match option.attribute("field") {
            None => return self.loader.problem(line, format!("rule {id}: <list> needs a field")),
            Some("user") => ListField::User,
            Some("hostname") => ListField::Host,
            Some("program_name") => ListField::Program,
            Some(word) => Field::named(word).map_or_else(|| ListField::Named(word.into()), ListField::Field),
        };
        let value = option.attribute("check_value").map(str::to_owned);
        let value = value.and_then(|value| self.loader.compile(line, &value, Dialect::Sregex, |pattern| self.patterns.program(pattern)));
        rule.lists.push(ListTest { list: option.text.trim().to_owned(), field, lookup, value });
    }

    fn test(&mut self, rule: &mut Rule, what: &str, text: &str, dialect: Dialect, mut negated: bool, line: u32) {
        let mut text = text;
        // Wazuh: `!` before a pattern negates it.
        if self.wazuh
            && dialect == Dialect::Sregex
            && let Some(rest) = text.strip_prefix('!')
        {
            (text, negated) = (rest, !negated);
        }
        // What is no part of the log can't be chosen by what is in the log.
        let outside = matches!(what, "program_name" | "hostname" | "location");
        let patterns = &mut *self.patterns;
        let keep = |pattern| if outside { patterns.program(pattern) } else { patterns.log(pattern) };
        let Some(pattern) = self.loader.compile(line, text, dialect, keep) else { return };
        let what = match what {
            "match" | "regex" => What::Log(pattern),
            "program_name" => What::Program(pattern),
            "hostname" => What::Host(pattern),
            "location" => What::Place(pattern),
            "user" => What::User(pattern),
            "data" | "extra_data" => What::Field(Field::Data, pattern),
            what => match (what.strip_prefix("field "), Field::named(what)) {
                (Some(name), _) => What::Named(name.into(), pattern),
                (None, Some(field)) => What::Field(field, pattern),
                (None, None) => return,
            },
        };
        rule.tests.push(Test { what, negated });
    }
}
