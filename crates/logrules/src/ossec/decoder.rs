//! Decoders: who wrote a line, and what is in it. Two lists of roots, with a program's name and without; the first root that matches wins,
//! then the first of its children.

use super::dialects::Dialect;
use super::event::{Event, Field};
use super::load::{Loader, nearest};
use super::patterns::{Patterns, Programs, Scratch};
use super::plugins::Plugin;
use super::xml::Element;
use std::sync::Arc;

/// What kind of log a decoder reads; the rules' first fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Kind {
    #[default]
    Syslog,
    Firewall,
    Ids,
    WebLog,
    Squid,
    Windows,
    HostInformation,
    Ossec,
    /// An alert of another OSSEC: its rule is already known.
    Alert,
}

impl Kind {
    pub fn named(word: &str) -> Option<Kind> {
        Some(match word {
            "syslog" => Kind::Syslog,
            "firewall" => Kind::Firewall,
            "ids" => Kind::Ids,
            "web-log" => Kind::WebLog,
            "squid" => Kind::Squid,
            "windows" => Kind::Windows,
            "host-information" => Kind::HostInformation,
            "ossec" => Kind::Ossec,
            _ => return None,
        })
    }
}

/// Fields by bits, for `<fts>`, `<ignore>` and `<check_if_ignored>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FieldSet(pub u16);

impl FieldSet {
    pub const NAME: u16 = 1 << 14;
    pub const LOCATION: u16 = 1 << 15;

    /// To the letter: OSSEC looks for these words in this order inside of what is written. It finds `user` in `srcuser`, so the user that it keeps is
    /// always the destination's.
    const WORDS: [(&str, u16); 8] = [
        ("user", FieldSet::of(Field::DstUser)),
        ("srcip", FieldSet::of(Field::SrcIp)),
        ("dstip", FieldSet::of(Field::DstIp)),
        ("id", FieldSet::of(Field::Id)),
        ("location", FieldSet::LOCATION),
        ("data", FieldSet::of(Field::Data)),
        ("system_name", FieldSet::of(Field::SystemName)),
        ("name", FieldSet::NAME),
    ];

    /// Every field whose word is anywhere in the text, as `<ignore>` and `<check_if_ignored>` name them (a system's name is none of them).
    pub fn all_in(text: &str) -> FieldSet {
        let words = Self::WORDS.iter().filter(|(word, _)| *word != "system_name" && text.contains(word));
        FieldSet(words.fold(0, |set, (_, bit)| set | bit))
    }

    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub const fn of(field: Field) -> u16 {
        1 << field as u16
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Where a pattern begins to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Offset {
    #[default]
    Start,
    AfterParent,
    AfterPrematch,
    AfterRegex,
}

/// What becomes of a group.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Field(Field),
    Named(Arc<str>),
}

/// One decoder.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    /// As it is called in its file.
    pub name: Arc<str>,
    /// As rules and people see it: its parent's name unless it uses its own.
    pub shown: Arc<str>,
    /// The number of the name that rules see.
    pub id: u32,
    pub kind: Kind,
    parent: Option<String>,
    own_name: bool,
    program: Program,
    prematch: Option<u32>,
    prematch_offset: Offset,
    regex: Option<u32>,
    /// Groups that took no part have their place, too: Wazuh's PCRE2.
    all_groups: bool,
    regex_offset: Offset,
    order: Vec<Order>,
    pub fts: FieldSet,
    plugin: Option<Plugin>,
    plugin_offset: Offset,
    pub accumulate: bool,
    /// The next of the same name goes on where this one ends.
    goes_on: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// Only lines without a program.
    None,
    Any,
    Pattern(u32),
}

#[derive(Debug, Clone)]
struct Root {
    decoder: u32,
    children: Vec<u32>,
}

/// All decoders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoders {
    pub all: Vec<Decoder>,
    with_program: Vec<Root>,
    without: Vec<Root>,
    /// Names that rules may ask for; their places are their numbers.
    names: Vec<Arc<str>>,
}

/// What is decoded elsewhere in OSSEC: its own checks' messages. Rules ask for them.
const INTERNAL: [&str; 8] = [
    "rootcheck",
    "syscheck_integrity_changed",
    "syscheck_integrity_changed_2nd",
    "syscheck_integrity_changed_3rd",
    "syscheck_new_entry",
    "syscheck_deleted",
    "hostinfo_new",
    "hostinfo_modified",
];

const ELEMENTS: [&str; 19] = [
    "parent",
    "program_name",
    "program_name_pcre2",
    "prematch",
    "prematch_pcre2",
    "regex",
    "pcre2",
    "order",
    "type",
    "fts",
    "ftscomment",
    "use_own_name",
    "plugin_decoder",
    "accumulate",
    "json_null_field",
    "json_array_structure",
    "var",
    "status",
    "description",
];

impl Decoders {
    /// The number of a name that rules may ask for.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|known| &**known == name).map(|place| place as u32)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    fn intern(&mut self, name: &str) -> u32 {
        self.id(name).unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() as u32 - 1
        })
    }

    /// Takes a file's decoders in.
    pub fn read(&mut self, elements: &[Element], loader: &mut Loader, patterns: &mut Patterns) {
        if self.names.is_empty() {
            INTERNAL.iter().for_each(|name| _ = self.intern(name));
        }
        for element in elements {
            if element.name != "decoder" {
                loader.problem(element.line, format!("<{}> can't stand here: decoder files hold <decoder name=…>", element.name));
                continue;
            }
            let Some(name) = element.attribute("name") else {
                loader.problem(element.line, "a decoder without a name".into());
                continue;
            };
            if let Some(decoder) = self.decoder(name, element, loader, patterns) {
                self.place(decoder, element.line, loader);
            }
        }
    }

    fn decoder(&mut self, name: &str, element: &Element, loader: &mut Loader, patterns: &mut Patterns) -> Option<Decoder> {
        let mut texts: [Option<(String, Dialect)>; 3] = [None, None, None];
        let [program, prematch, regex] = &mut texts;
        let id = self.intern(name);
        let mut decoder = Decoder {
            name: name.into(),
            shown: name.into(),
            id,
            kind: Kind::Syslog,
            parent: None,
            own_name: false,
            program: Program::None,
            prematch: None,
            prematch_offset: Offset::Start,
            regex: None,
            all_groups: false,
            regex_offset: Offset::Start,
            order: Vec::new(),
            fts: FieldSet::default(),
            plugin: None,
            plugin_offset: Offset::Start,
            accumulate: false,
            goes_on: false,
        };
        for option in &element.children {
            let text = option.text.as_str();
            let pcre2 = if option.attribute("type") == Some("pcre2") { Some(Dialect::CasedPcre2) } else { None };
            let osregex = match option.attribute("type") {
                Some("osmatch") => Dialect::Sregex,
                _ => Dialect::OsRegex,
            };
            let sregex = match option.attribute("type") {
                Some("osregex") => Dialect::OsRegex,
                _ => Dialect::Sregex,
            };
            match option.name.as_str() {
                "parent" => decoder.parent.get_or_insert_default().push_str(text),
                "program_name" => add(program, text, pcre2.unwrap_or(sregex)),
                "program_name_pcre2" => add(program, text, Dialect::Pcre2),
                "prematch" | "prematch_pcre2" => {
                    offset(option, prematch.is_some(), &mut decoder.prematch_offset, loader);
                    let dialect = if option.name == "prematch" { pcre2.unwrap_or(osregex) } else { Dialect::Pcre2 };
                    add(prematch, text, dialect);
                }
                "regex" | "pcre2" => {
                    offset(option, regex.is_some(), &mut decoder.regex_offset, loader);
                    let dialect = if option.name == "regex" { pcre2.unwrap_or(osregex) } else { Dialect::Pcre2 };
                    add(regex, text, dialect);
                }
                "order" => decoder.order = text.split(',').map(|word| order(word.trim())).collect(),
                "type" => match Kind::named(text) {
                    Some(kind) => decoder.kind = kind,
                    None => loader.problem(option.line, format!("decoder {name}: no such type: {text}")),
                },
                "fts" => decoder.fts = fts(text, option.line, loader),
                "use_own_name" => decoder.own_name = text.trim() == "true",
                "accumulate" => decoder.accumulate = true,
                "plugin_decoder" => match Plugin::named(text.trim()) {
                    Some(plugin) => {
                        decoder.plugin = Some(plugin);
                        offset(option, false, &mut decoder.plugin_offset, loader);
                    }
                    None => loader.problem(option.line, format!("decoder {name}: no such plugin: {text}")),
                },
                "ftscomment" | "status" | "description" => {}
                "json_null_field" | "json_array_structure" => {
                    loader.notice(option.line, format!("decoder {name}: <{}> isn't honoured", option.name));
                }
                other => {
                    loader.problem(
                        option.line,
                        format!("decoder {name}: no such element: <{other}>{}", nearest(other, ELEMENTS.iter().copied())),
                    );
                }
            }
        }
        let line = element.line;
        if decoder.parent.is_none() && prematch.is_none() && program.is_none() && decoder.plugin != Some(Plugin::Json) {
            loader.problem(line, format!("decoder {name} needs a prematch, a program_name or a parent"));
            return None;
        }
        if regex.is_none() && !decoder.order.is_empty() || regex.is_some() && decoder.order.is_empty() {
            loader.problem(line, format!("decoder {name}: a regex and an order belong together"));
            return None;
        }
        if decoder.regex_offset == Offset::AfterPrematch && decoder.parent.is_none() {
            decoder.regex_offset = Offset::AfterParent;
        }
        decoder.program = match program.take() {
            None => Program::None,
            Some((text, _)) if text.is_empty() => Program::Any,
            Some((text, dialect)) => Program::Pattern(loader.compile(line, &text, dialect, |pattern| patterns.program(pattern))?),
        };
        if let Some((text, dialect)) = prematch.take() {
            decoder.prematch = Some(loader.compile(line, &text, dialect, |pattern| patterns.log(pattern))?);
        }
        if let Some((text, dialect)) = regex.take() {
            decoder.all_groups = dialect == Dialect::CasedPcre2;
            decoder.regex = Some(loader.compile(line, &text, dialect, |pattern| patterns.log(pattern))?);
        }
        Some(decoder)
    }

    fn place(&mut self, decoder: Decoder, line: u32, loader: &mut Loader) {
        let number = self.all.len() as u32;
        let Some(parent) = decoder.parent.clone() else {
            let root = Root { decoder: number, children: Vec::new() };
            let list = if decoder.program == Program::None { &mut self.without } else { &mut self.with_program };
            list.push(root);
            self.all.push(decoder);
            return;
        };
        let name = decoder.name.clone();
        let (prematch, fts) = (decoder.prematch.is_some(), !decoder.fts.is_empty());
        self.all.push(decoder);
        let mut shown: Option<(Arc<str>, u32)> = None;
        for root in self.with_program.iter_mut().chain(&mut self.without) {
            let Some(above) = self.all.get(root.decoder as usize) else { continue };
            if *above.name != *parent {
                continue;
            }
            shown = Some((above.shown.clone(), above.id));
            for &sibling in &root.children {
                if let Some(sibling) = self.all.get_mut(sibling as usize)
                    && sibling.name == name
                {
                    if prematch || fts {
                        loader.problem(line, format!("decoder {name}: the second of this name can have neither prematch nor fts"));
                        return;
                    }
                    sibling.goes_on = true;
                }
            }
            root.children.push(number);
        }
        match (shown, self.all.last_mut()) {
            (Some((shown, id)), Some(decoder)) if !decoder.own_name => (decoder.shown, decoder.id) = (shown, id),
            (Some(_), _) => {}
            (None, _) => {
                let roots = self.with_program.iter().chain(&self.without).filter_map(|root| self.all.get(root.decoder as usize));
                let hint = nearest(&parent, roots.map(|root| &*root.name));
                loader.problem(line, format!("decoder {name}: no decoder without a parent is called {parent}{hint}"));
            }
        }
    }

    /// Which roots a program's lines are for.
    pub fn roots_of(&self, programs: &dyn Fn(u32) -> bool) -> Box<[u32]> {
        let meant = |root: &Root| match self.all.get(root.decoder as usize).map(|decoder| decoder.program) {
            Some(Program::Pattern(pattern)) => programs(pattern),
            Some(Program::Any) => true,
            Some(Program::None) | None => false,
        };
        (0..).zip(&self.with_program).filter(|(_, root)| meant(root)).map(|(place, _)| place).collect()
    }

    /// Decodes a line.
    pub fn decode(&self, event: &mut Event, patterns: &Patterns, programs: Option<&Programs>, scratch: &mut Scratch) {
        match programs {
            Some(programs) => {
                let mut roots = programs.roots.iter().filter_map(|&root| self.with_program.get(root as usize));
                roots.any(|root| self.root(root, event, patterns, scratch));
            }
            None => _ = self.without.iter().any(|root| self.root(root, event, patterns, scratch)),
        }
    }

    /// Whether this root is the line's.
    fn root(&self, root: &Root, event: &mut Event, patterns: &Patterns, scratch: &mut Scratch) -> bool {
        let Some(decoder) = self.all.get(root.decoder as usize) else { return false };
        let parent_end = match decoder.prematch {
            Some(prematch) => match patterns.end(prematch, event, event.log.0, scratch) {
                Some(end) => end,
                None => return false,
            },
            None => event.log.0,
        };
        event.decoder = Some(root.decoder);
        event.kind = decoder.kind;
        let mut place = 0;
        // A root without children is treated as its own child.
        let (mut current, child_end, siblings) = if root.children.is_empty() {
            (decoder, None, &[][..])
        } else {
            match self.child(root, parent_end, event, patterns, scratch) {
                Some((found, child, end)) => {
                    place = found;
                    (child, Some(end), root.children.as_slice())
                }
                None => return true,
            }
        };
        if let Some(plugin) = current.plugin {
            let from = match current.plugin_offset {
                Offset::Start => event.log.0,
                Offset::AfterParent => parent_end,
                Offset::AfterPrematch | Offset::AfterRegex => child_end.unwrap_or(parent_end),
            };
            plugin.run(event, from);
            return true;
        }
        let mut regex_end = None;
        while let Some(regex) = current.regex {
            let from = match current.regex_offset {
                Offset::Start => Some(event.log.0),
                Offset::AfterParent => Some(parent_end),
                Offset::AfterPrematch => child_end,
                Offset::AfterRegex => regex_end.or(child_end),
            };
            regex_end = from.and_then(|from| patterns.groups(regex, current.all_groups, event, from, scratch));
            if regex_end.is_some() {
                let number = siblings.get(place).copied().unwrap_or(root.decoder);
                event.decoder = Some(number);
                event.kind = current.kind;
                fill(&current.order, event, scratch);
            }
            if !current.goes_on {
                break;
            }
            place += 1;
            match siblings.get(place).and_then(|&next| self.all.get(next as usize)) {
                Some(next) => current = next,
                None => break,
            }
        }
        true
    }

    /// The first child that matches, its place, and where its prematch ends.
    fn child(
        &self,
        root: &Root,
        parent_end: u32,
        event: &mut Event,
        patterns: &Patterns,
        scratch: &mut Scratch,
    ) -> Option<(usize, &Decoder, u32)> {
        let mut place = 0;
        while let Some(child) = root.children.get(place).and_then(|&child| self.all.get(child as usize)) {
            let Some(prematch) = child.prematch else {
                return Some((place, child, parent_end));
            };
            let from = if child.prematch_offset == Offset::AfterParent { parent_end } else { event.log.0 };
            if let Some(end) = patterns.end(prematch, event, from, scratch) {
                event.decoder = root.children.get(place).copied();
                event.kind = child.kind;
                return Some((place, child, end));
            }
            // Those that go on from it are passed over with it.
            let goes_on =
                |place: usize| root.children.get(place).and_then(|&child| self.all.get(child as usize)).is_some_and(|d| d.goes_on);
            while goes_on(place) {
                place += 1;
            }
            place += 1;
        }
        None
    }
}

/// What the groups found goes into its fields: only groups that took part count, in their order.
fn fill(order: &[Order], event: &mut Event, scratch: &Scratch) {
    for (order, &span) in order.iter().zip(&scratch.groups) {
        match order {
            Order::Field(field) => event.set(*field, span),
            Order::Named(name) => match event.named.iter_mut().find(|(known, _)| known == name) {
                Some((_, place)) => *place = span,
                None => event.named.push((name.clone(), span)),
            },
        }
    }
}

fn add(text: &mut Option<(String, Dialect)>, more: &str, dialect: Dialect) {
    text.get_or_insert_with(|| (String::new(), dialect)).0.push_str(more);
}

fn order(word: &str) -> Order {
    // OSSEC looks for its words inside of what is written; a word that it doesn't know is a field of its own (Wazuh).
    Field::named(word).map_or_else(|| Order::Named(word.into()), Order::Field)
}

fn offset(option: &Element, second: bool, place: &mut Offset, loader: &mut Loader) {
    let offset = match option.attribute("offset") {
        None => return,
        Some("after_parent") => Offset::AfterParent,
        Some("after_prematch") if !option.name.starts_with("prematch") => Offset::AfterPrematch,
        Some("after_regex") if !option.name.starts_with("prematch") => Offset::AfterRegex,
        Some(other) => {
            let known = ["after_parent", "after_prematch", "after_regex"];
            return loader.problem(option.line, format!("<{}>: no such offset: {other}{}", option.name, nearest(other, known.into_iter())));
        }
    };
    if second {
        return loader.problem(option.line, format!("only the first <{}> of a decoder can have an offset", option.name));
    }
    *place = offset;
}

/// The fields that make a line new.
pub(crate) fn fts(text: &str, line: u32, loader: &mut Loader) -> FieldSet {
    let mut set = 0;
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match FieldSet::WORDS.iter().find(|(known, _)| word.contains(known)) {
            Some((_, bit)) => set |= bit,
            None => {
                let hint = nearest(word, FieldSet::WORDS.iter().map(|(word, _)| *word));
                loader.problem(line, format!("no such field: {word}{hint}"));
            }
        }
    }
    FieldSet(set)
}
