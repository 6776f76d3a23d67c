//! PortSentry's configuration and ignore files, 1.x and 2.x, read with all that is wrong with them. Never guesses what a wrong line meant, and
//! runs nothing that stands in one.

use crate::config::guard::range;
use crate::config::words::{did_you_mean, quoted};
use model::net::{Prefix, PrefixError};
use model::ports::Ports;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Every variable of either version, and which of them it belongs to.
const VARIABLES: [(&str, Of); 17] = [
    ("TCP_PORTS", Of::Both),
    ("UDP_PORTS", Of::Both),
    ("ADVANCED_PORTS_TCP", Of::One),
    ("ADVANCED_PORTS_UDP", Of::One),
    ("ADVANCED_EXCLUDE_TCP", Of::One),
    ("ADVANCED_EXCLUDE_UDP", Of::One),
    ("IGNORE_FILE", Of::Both),
    ("HISTORY_FILE", Of::Both),
    ("BLOCKED_FILE", Of::Both),
    ("RESOLVE_HOST", Of::Both),
    ("BLOCK_TCP", Of::Both),
    ("BLOCK_UDP", Of::Both),
    ("KILL_ROUTE", Of::Both),
    ("KILL_HOSTS_DENY", Of::Both),
    ("KILL_RUN_CMD", Of::Both),
    ("KILL_RUN_CMD_FIRST", Of::Both),
    ("SCAN_TRIGGER", Of::Both),
];
/// A variable of both that may be said and unsaid.
const BANNER: &str = "PORT_BANNER";
/// The token that stands for the address.
const TARGET: &str = "$TARGET$";
/// Bytes of a line that PortSentry 1.x reads, ports that it can watch, and hosts that it remembers.
const LINE_BYTES: usize = 1_024;
const PORTS_MAX: usize = 64;
const HOSTS_MAX: u32 = 50;

/// Which version a variable belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    One,
    Both,
}

/// A version of PortSentry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.x: one process for each mode, which its command line names.
    One,
    /// 2.x.
    Two,
}

/// A value and the line that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// From 1.
    pub line: usize,
    /// What stands between the quotes.
    pub text: String,
}

/// What a configuration file says.
#[derive(Debug)]
pub struct Conf {
    /// The file's name, for messages.
    pub name: String,
    /// Which version's it is, as far as that shows.
    pub version: Version,
    /// By variable.
    values: BTreeMap<&'static str, Value>,
    /// Variables that are given and can't be used.
    unusable: Vec<&'static str>,
    /// What is wrong, by line: nothing of such a line is taken over.
    wrong: Vec<(usize, String)>,
    /// What PortSentry reads differently from what was probably meant, by line.
    notes: Vec<(usize, String)>,
}

impl Conf {
    /// Reads a file. `starter` is Debian's /etc/default/portsentry, which only 1.x has.
    pub fn read(name: &str, text: &str, starter: bool) -> Conf {
        let mut conf = Conf {
            name: name.to_owned(),
            version: Version::Two,
            values: BTreeMap::new(),
            unusable: Vec::new(),
            wrong: Vec::new(),
            notes: Vec::new(),
        };
        let bare = text.strip_prefix('\u{feff}');
        if bare.is_some() {
            let message = "the file begins with a byte order mark, which PortSentry takes for a part of the line: save it without";
            conf.wrong.push((1, message.to_owned()));
        }
        let text = bare.unwrap_or(text);
        if text.contains("\r\n") {
            let message = "its lines end as Windows writes them (CR LF), which PortSentry 2.x refuses; riposte reads them";
            conf.wrong.push((0, message.to_owned()));
        }
        for (line, content) in (1..).zip(text.lines()) {
            conf.line(line, content);
        }
        let is_old = starter || conf.values.keys().any(|key| VARIABLES.iter().any(|(name, of)| name == key && *of == Of::One));
        if is_old {
            conf.version = Version::One;
        }
        conf.check();
        conf
    }

    /// What is wrong, each with its place, in the file's order.
    pub fn wrong(&mut self) -> Vec<String> {
        self.wrong.sort_by_key(|(line, _)| *line);
        let place = |line: usize| if line == 0 { self.name.clone() } else { format!("{}:{line}", self.name) };
        self.wrong.iter().map(|(line, message)| format!("{}: {message}", place(*line))).collect()
    }

    /// What is to be known about these lines.
    pub fn notes_on(&self, line: usize) -> impl Iterator<Item = &str> {
        self.notes.iter().filter(move |(of, _)| *of == line).map(|(_, note)| note.as_str())
    }

    /// A variable's value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A variable that is a number within a range; `None` if it is not given or wrong.
    pub fn number(&self, key: &str, most: u32) -> Option<(usize, u32)> {
        let value = self.value(key)?;
        Some((value.line, value.text.parse().ok().filter(|number| *number <= most)?))
    }

    /// A variable's ports, as far as they are ports.
    pub fn ports(&self, key: &str) -> Option<(usize, Ports)> {
        let value = self.value(key)?;
        Some((value.line, value.text.split(',').filter_map(|part| range(part.trim()).ok()).collect()))
    }

    fn line(&mut self, line: usize, content: &str) {
        if content.trim().is_empty() || content.starts_with('#') {
            return;
        }
        if content.len() > LINE_BYTES {
            self.notes.push((line, format!("PortSentry 1.x reads {LINE_BYTES} bytes of a line, and this one has {}", content.len())));
        }
        if content.trim_start().starts_with('#') {
            return self.wrong.push((line, "a comment begins in the first column: PortSentry takes this line for a setting".to_owned()));
        }
        let Some((key, rest)) = content.split_once('=') else {
            return self.wrong.push((line, format!("{} is no setting: write NAME=\"value\"", quoted(content.trim()))));
        };
        let key = key.trim();
        let known = VARIABLES.iter().map(|(name, _)| *name).chain([BANNER]);
        let Some(name) = known.clone().find(|name| *name == key) else {
            let near = did_you_mean_variable(key, known);
            return self.wrong.push((line, format!("PortSentry knows no {}{near}", quoted(key))));
        };
        let rest = rest.trim_start();
        let Some((text, behind)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
            self.unusable.push(name);
            return self.wrong.push((line, format!("{name}: the value must stand in double quotes: {name}=\"{}\"", inner(rest))));
        };
        if !behind.trim().is_empty() {
            self.notes.push((line, format!("{} behind the value is not read", quoted(behind.trim()))));
        }
        if let Some(before) = self.values.get(name) {
            let message = format!("{name} stands there twice: line {} counts", before.line);
            return self.wrong.push((line, message));
        }
        self.values.insert(name, Value { line, text: text.to_owned() });
    }

    /// Says what is wrong with the values, and takes those out that can't be used.
    fn check(&mut self) {
        let values: Vec<(&'static str, Value)> = self.values.iter().map(|(key, value)| (*key, value.clone())).collect();
        for (key, value) in &values {
            let wrong = match *key {
                // Nothing is left out then.
                "ADVANCED_EXCLUDE_TCP" | "ADVANCED_EXCLUDE_UDP" if value.text.is_empty() => None,
                "TCP_PORTS" | "UDP_PORTS" | "ADVANCED_EXCLUDE_TCP" | "ADVANCED_EXCLUDE_UDP" => self.check_ports(key, value),
                "ADVANCED_PORTS_TCP" | "ADVANCED_PORTS_UDP" => not_within(key, value, 65_535),
                "BLOCK_TCP" | "BLOCK_UDP" => {
                    not_within(key, value, 2).map(|wrong| wrong + ": 0 only records, 1 blocks, 2 runs KILL_RUN_CMD")
                }
                "RESOLVE_HOST" | "KILL_RUN_CMD_FIRST" => not_within(key, value, 1),
                "SCAN_TRIGGER" => not_within(key, value, 1_000_000),
                "KILL_ROUTE" | "KILL_HOSTS_DENY" if !value.text.contains(TARGET) => {
                    let near = odd_token(&value.text).unwrap_or_default();
                    Some(format!("{key}: {TARGET} is missing: it would block nobody, or always the same{near}"))
                }
                "KILL_ROUTE" | "KILL_HOSTS_DENY" => {
                    odd_token(&value.text).or_else(|| odd_address(&value.text)).map(|odd| format!("{key}{odd}"))
                }
                _ if value.text.is_empty() && *key != BANNER => Some(format!("{key}: it has no value; PortSentry 2.x refuses that")),
                _ => None,
            };
            if let Some(message) = wrong {
                self.wrong.push((value.line, message));
                match *key {
                    // What of them is right is taken over.
                    "TCP_PORTS" | "UDP_PORTS" | "ADVANCED_EXCLUDE_TCP" | "ADVANCED_EXCLUDE_UDP" => {}
                    "KILL_ROUTE" | "KILL_HOSTS_DENY" if value.text.contains(TARGET) => {}
                    // Any other number is none of those that do something.
                    "BLOCK_TCP" | "BLOCK_UDP" => drop(self.values.insert(key, Value { text: "0".to_owned(), ..value.clone() })),
                    _ => {
                        self.values.remove(key);
                        self.unusable.push(key);
                    }
                }
            }
        }
        if let Some((line, _)) = self.number("SCAN_TRIGGER", u32::MAX).filter(|(_, n)| *n > HOSTS_MAX && self.version == Version::One) {
            self.notes.push((
                line,
                format!("PortSentry 1.x remembers {HOSTS_MAX} hosts and blocks at once above that; riposte counts as far as this"),
            ));
        }
        self.check_together();
    }

    fn check_ports(&mut self, key: &str, value: &Value) -> Option<String> {
        let parts: Vec<&str> = value.text.split(',').collect();
        let wrong: Vec<String> =
            parts.iter().filter_map(|part| range(part.trim()).err().map(|why| format!("{} {why}", quoted(part.trim())))).collect();
        if value.text.contains(char::is_whitespace) {
            self.notes.push((value.line, "PortSentry 1.x reads a list of ports up to its first blank; riposte reads all of it".to_owned()));
        }
        if self.version == Version::One && value.text.contains('-') {
            self.notes.push((
                value.line,
                "PortSentry 1.x knows no ranges and reads the first number of one; riposte takes the whole range".to_owned(),
            ));
        }
        if self.version == Version::One && parts.len() > PORTS_MAX {
            self.notes.push((
                value.line,
                format!("PortSentry 1.x watches the first {PORTS_MAX} ports and passes over the rest; riposte takes all"),
            ));
        }
        if self.version == Version::Two && value.text.split(',').any(|part| part.trim().ends_with("-65535")) {
            self.notes.push((
                value.line,
                "PortSentry 2.0.7 does not start with a range that ends in 65535 (connect mode); riposte does".to_owned(),
            ));
        }
        (!wrong.is_empty()).then(|| format!("{key}: {}", wrong.join("; ")))
    }

    /// What only shows when settings are looked at together.
    fn check_together(&mut self) {
        let has = |key: &str| self.value(key).is_some();
        let mut wrong = Vec::new();
        let ports = ["TCP_PORTS", "UDP_PORTS", "ADVANCED_PORTS_TCP", "ADVANCED_PORTS_UDP"];
        if !ports.into_iter().any(has) {
            wrong.push((0, "no ports are watched: at least one of TCP_PORTS and UDP_PORTS is wanted".to_owned()));
        }
        for key in ["BLOCK_TCP", "BLOCK_UDP"] {
            match self.number(key, 2) {
                Some((line, 1)) if !has("KILL_ROUTE") && !has("KILL_HOSTS_DENY") => {
                    wrong.push((
                        line,
                        format!("{key}=\"1\" wants a KILL_ROUTE or a KILL_HOSTS_DENY: PortSentry blocks nobody without; riposte will"),
                    ));
                }
                Some((line, 2)) if !has("KILL_RUN_CMD") => wrong.push((line, format!("{key}=\"2\" wants a KILL_RUN_CMD"))),
                _ => {}
            }
        }
        if self.version == Version::One {
            let missing =
                ["IGNORE_FILE", "HISTORY_FILE", "BLOCKED_FILE"].into_iter().filter(|key| !has(key) && !self.unusable.contains(key));
            wrong.extend(missing.map(|key| (0, format!("{key} is missing: PortSentry 1.x does not start without it (riposte does)"))));
        }
        self.wrong.extend(wrong);
    }
}

/// `; did you mean 'X'?` for a name in capital letters, or nothing.
pub fn did_you_mean_variable(typed: &str, known: impl IntoIterator<Item = &'static str>) -> String {
    let lower: Vec<String> = known.into_iter().map(str::to_ascii_lowercase).collect();
    let near = did_you_mean(typed, lower.iter().map(String::as_str));
    near.to_ascii_uppercase().replace("; DID YOU MEAN", "; did you mean")
}

/// What was probably meant to stand between quotes, cut and without control characters.
fn inner(text: &str) -> String {
    quoted(text.trim().trim_matches(['"', '\''])).trim_matches('\'').to_owned()
}

fn not_within(key: &str, value: &Value, most: u32) -> Option<String> {
    let fits = value.text.bytes().all(|b| b.is_ascii_digit()) && value.text.parse::<u32>().is_ok_and(|number| number <= most);
    (!fits).then(|| format!("{key}: {} is no number from 0 to {most}", quoted(&value.text)))
}

/// A word that looks like one of PortSentry's tokens and is none, with what was probably meant.
pub fn odd_token(text: &str) -> Option<String> {
    let tokens = [TARGET, "$PORT$", "$MODE$"];
    let bare = tokens.into_iter().fold(text.to_owned(), |text, token| text.replace(token, ""));
    let (_, word) = bare.split_once('$')?;
    let word: String = word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let near = did_you_mean_variable(&word, ["TARGET", "PORT", "MODE"]);
    let near = near.strip_prefix("; did you mean '")?.strip_suffix("'?")?;
    Some(format!(": PortSentry knows no {}; did you mean '${near}$'?", quoted(&format!("${word}"))))
}

/// A word that looks like an address and is none, as in the examples that come with PortSentry.
fn odd_address(text: &str) -> Option<String> {
    let looks = |word: &&str| {
        word.split('.').count() == 4 && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let odd = text.split([' ', '\t', ':', '/']).filter(looks).find(|word| word.parse::<Ipv4Addr>().is_err())?;
    Some(format!(": {} is no address: PortSentry's command fails by it, and riposte's own needs none", quoted(odd)))
}

/// Reads an ignore file: addresses and networks, what is wrong with the other lines, and what this version refuses.
pub fn ignore(name: &str, text: &str, version: Version) -> (Vec<(usize, Prefix)>, Vec<String>) {
    let (mut exempt, mut wrong) = (Vec::new(), Vec::new());
    for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        // PortSentry 1.x cuts a line at the first other letter; 2.x ends. Only a remark is nothing that could have been meant otherwise.
        let (entry, remark) = content.split_once([' ', '\t', '#']).unwrap_or((content, ""));
        let mut say = |message: String| wrong.push(format!("{name}:{line}: {message}"));
        if !remark.is_empty() && !content.trim_start_matches(entry).trim_start().starts_with('#') {
            say(format!("{} behind the address is no remark: write it in a line of its own, behind '#'", quoted(remark.trim())));
        } else if !remark.is_empty() && version == Version::Two {
            say("PortSentry 2.x ends at a remark behind an address: write it in a line of its own (taken over here)".to_owned());
        }
        if version == Version::Two && entry.bytes().any(|byte| matches!(byte, b'A'..=b'F')) {
            say(format!("PortSentry 2.x ends at capital letters in {}: write small ones (taken over here)", quoted(entry)));
        }
        match entry.parse::<Prefix>() {
            Ok(prefix) if prefix.bits() == 0 => say("everybody (/0) would be ignored, and nobody ever blocked: left out".to_owned()),
            Ok(prefix) => {
                if let Some((_, mask)) = entry.split_once('/').filter(|(_, mask)| mask.contains('.')) {
                    say(format!("PortSentry knows no netmask like {}: write {prefix} (taken over here)", quoted(mask)));
                }
                exempt.push((line, prefix));
            }
            Err(PrefixError::Length(length)) => {
                say(format!("{} is no prefix length for {}: write it like 192.0.2.0/24", quoted(&length), quoted(entry)))
            }
            Err(PrefixError::Address(_)) => say(format!(
                "{} is no address or network, so PortSentry spares nobody by it; [policy] exempt takes names (looked up once, at start)",
                quoted(entry)
            )),
        }
    }
    (exempt, wrong)
}
