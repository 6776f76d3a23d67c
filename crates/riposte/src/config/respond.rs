//! `[respond]`: who sets the blocks, in order, and what each has to choose. Knows the kinds only by their table.

use super::Config;
use super::problems::Problems;
use super::raw::{Given, GivenList, Leaf, RawRespond, Read, Section, shown};
use super::read::Meaning;
use super::words::{Word, did_you_mean, quoted};
use policy::lists::Effect;
use respond::tool::installed;
use respond::{Key, Kind, RESPONDERS, Settings, Value};
use std::collections::HashSet;
use sys::sandbox::Capability;
use toml::Spanned;
use toml::de::DeValue;

/// Who sets the blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct RespondConfig {
    /// The kinds, in order, each once: nftables is the first if it is there at all, and null is alone.
    pub kinds: Vec<&'static Kind>,
    /// Which of them are asked.
    pub mode: Mode,
    /// What was chosen about them.
    pub settings: Settings,
}

/// Which of several responders are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every one that can.
    #[default]
    All,
    /// One after the other, until one has taken it.
    First,
}

impl Word for Mode {
    const ALL: &'static [Self] = &[Mode::All, Mode::First];
    fn word(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::First => "first",
        }
    }
}

impl Default for RespondConfig {
    fn default() -> Self {
        RespondConfig { kinds: vec![&respond::nftables::KIND], mode: Mode::All, settings: Settings::default() }
    }
}

impl RespondConfig {
    /// Whether riposte's own table in the kernel is one of them.
    pub fn has_kernel(&self) -> bool {
        self.kinds.contains(&&respond::nftables::KIND)
    }

    /// Whether nobody is ever blocked.
    pub fn is_null(&self) -> bool {
        self.kinds.contains(&&respond::null::KIND)
    }

    /// Those that a process of their own carries, in order.
    pub fn carried(&self) -> impl Iterator<Item = &'static Kind> {
        self.kinds.iter().copied().filter(|kind| kind.open.is_some())
    }
}

/// Whether anybody can block on this machine. Returns what is to be told about those who can.
///
/// # Errors
/// One line that says what is missing.
pub fn check(config: &Config) -> Result<Vec<String>, String> {
    let respond = &config.respond;
    let missing = |kind: &Kind| kind.needs.programs.iter().copied().filter(|program| installed(program).is_none()).collect::<Vec<_>>();
    let line = |kind: &Kind| format!("kind '{}' needs {}, not installed", kind.name, missing(kind).join(" and "));
    let mut notices: Vec<String> = respond.carried().filter(|kind| !missing(kind).is_empty()).map(line).collect();
    if !respond.has_kernel() && !notices.is_empty() && notices.len() == respond.carried().count() {
        return Err(format!("[respond]: nobody can block: {}", notices.join("; ")));
    }
    if !respond.has_kernel() && !respond.is_null() {
        if !config.guard.answered().is_empty() {
            notices.push(
                "nobody answers at guarded ports: it is riposte's own table that directs connections there, and 'nftables' is not configured"
                    .into(),
            );
        }
        if config.feeds.iter().any(|feed| feed.enabled && feed.effect == Effect::Block) {
            notices.push(
                "nobody is blocked by a [[feed]]: it is riposte's own table that has their sets, and 'nftables' is not configured".into(),
            );
        }
        if config.nflog.enabled {
            notices.push(
                "no packets come over NFLOG: it is riposte's own table that hands them over, and 'nftables' is not configured; [sense.capture] sees \
                 them without it"
                    .into(),
            );
        }
    }
    notices.extend(respond.kinds.contains(&&::respond::routes::KIND).then(::respond::routes::warning).flatten());
    notices.extend(respond.kinds.contains(&&::respond::xdp::KIND).then(|| respond.settings.xdp.warning()).flatten());
    Ok(notices)
}

/// What the configured kinds need and the packaged unit does not give, in words; empty if nothing.
pub fn beyond_the_unit(config: &RespondConfig) -> Vec<String> {
    let line = |kind: &'static Kind| {
        let rights = kind.needs.capabilities.iter().filter(|right| **right != Capability::CAP_NET_ADMIN).map(ToString::to_string);
        let places = (kind.needs.writes)(&config.settings).into_iter().map(|path| format!("to write to {}", path.display()));
        let needs: Vec<String> = rights.chain(places).collect();
        (!needs.is_empty()).then(|| format!("kind '{}' needs {}", kind.name, needs.join(", ")))
    };
    config.carried().filter_map(line).collect()
}

/// One word or a list of them.
#[derive(Debug)]
pub struct OneOrMore(pub GivenList<String>);

impl Read for OneOrMore {
    fn read(what: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
        if value.get_ref().is_array() {
            return Read::read(what, value, problems).map(OneOrMore);
        }
        let only = Given::<String>::read(what, value, problems)?;
        Some(OneOrMore(Given { what, at: only.at, value: vec![only] }))
    }
}

/// The section with those of the kinds within it.
#[derive(Debug, Default)]
pub struct RawResponders {
    own: RawRespond,
    chosen: Vec<(&'static Kind, &'static Key, usize, Value)>,
}

impl Section for RawResponders {
    const NAME: &'static str = RawRespond::NAME;
    const KEYS: &'static [&'static str] = RawRespond::KEYS;

    fn set(&mut self, key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> bool {
        let Some(table) = value.get_ref().as_table() else { return self.own.set(key, value, problems) };
        let with_keys = || RESPONDERS.iter().filter(|kind| !kind.keys.is_empty());
        let Some(kind) = with_keys().find(|kind| kind.name == key) else {
            let why = match Kind::of(key) {
                Some(_) => "has nothing to choose".to_owned(),
                None => format!("is no kind of responder{}", did_you_mean(key, with_keys().map(|kind| kind.name))),
            };
            problems.say(value.span().start, format!("[respond.{}]: {} {why}", key.escape_debug(), quoted(key)));
            return true;
        };
        for (name, value) in table {
            let at = value.span().start;
            let Some(key) = kind.keys.iter().find(|key| key.name == name.get_ref()) else {
                let near = did_you_mean(name.get_ref(), kind.keys.iter().map(|key| key.name));
                problems.say(name.span().start, format!("unknown key {} in [respond.{}]{near}", quoted(name.get_ref()), kind.name));
                continue;
            };
            match take(&(key.get)(&Settings::default()), value.get_ref()) {
                Ok(value) => self.chosen.push((kind, key, at, value)),
                Err(wanted) => {
                    let message = format!("[respond.{}] {}: {wanted}, not {}", kind.name, key.name, shown(value.get_ref()));
                    problems.say(at, message);
                }
            }
        }
        true
    }
}

/// What was typed, of the same variant as the default; else what is wanted.
fn take(default: &Value, typed: &DeValue<'_>) -> Result<Value, &'static str> {
    match default {
        Value::Flag(_) => bool::take(typed).map(Value::Flag).ok_or(bool::WANTED),
        Value::Number(_) => i64::take(typed).map(Value::Number).ok_or(i64::WANTED),
        Value::Text(_) => String::take(typed).map(Value::Text).ok_or(String::WANTED),
        Value::Texts(_) => {
            let entries = typed.as_array().ok_or("a list [ … ] is wanted")?;
            let texts = entries.iter().map(|entry| String::take(entry.get_ref()).ok_or("a list of texts in quotes is wanted"));
            texts.collect::<Result<_, _>>().map(Value::Texts)
        }
    }
}

impl Meaning<'_> {
    pub(super) fn respond(&mut self, raw: RawResponders) -> RespondConfig {
        let mut settings = Settings::default();
        for (kind, key, at, value) in raw.chosen {
            if let Err(error) = (key.set)(&mut settings, value) {
                self.problems.say(at, format!("[respond.{}] {}: {error}", kind.name, key.name));
            }
        }
        let mode = self.word(raw.own.mode).unwrap_or_default();
        let kinds = raw.own.kind.map_or_else(|| RespondConfig::default().kinds, |OneOrMore(given)| self.kinds(given));
        RespondConfig { kinds, mode, settings }
    }

    fn kinds(&mut self, given: GivenList<String>) -> Vec<&'static Kind> {
        if given.value.is_empty() {
            self.wrong(&given, "nobody would block; write \"null\" if that is meant");
        }
        let count = given.value.len();
        let mut seen = HashSet::new();
        let mut kinds = Vec::new();
        for (place, entry) in given.value.into_iter().enumerate() {
            let Some(kind) = Kind::of(&entry.value) else {
                let words: Vec<&str> = RESPONDERS.iter().map(|kind| kind.name).collect();
                let near = did_you_mean(&entry.value, words.iter().copied());
                self.wrong(&entry, format!("{} is none of {}{near}", quoted(&entry.value), words.join(", ")));
                continue;
            };
            if !seen.insert(kind.name) {
                self.wrong(&entry, format!("{} stands there twice", quoted(kind.name)));
            } else if *kind == respond::null::KIND && count > 1 {
                self.wrong(&entry, "'null' blocks nobody: it stands alone or not at all");
            } else if *kind == respond::nftables::KIND && place > 0 {
                self.wrong(&entry, "'nftables' comes first: riposte's own table is asked before any program is run");
            }
            kinds.push(kind);
        }
        kinds
    }
}
