//! `riposte import portsentry`: prints a riposte configuration that does what a PortSentry's does, with what becomes of each setting. Changes
//! nothing anywhere, and runs none of the commands that it finds.

pub(super) mod actions;
mod conf;

use super::{Failure, fail};
use crate::cli;
use crate::config::guard::{BANNER_BYTES, LISTS};
use crate::config::response::{ResponseConfig, check};
use crate::config::words::{did_you_mean, quoted, toml};
use conf::{Conf, Value, Version};
use model::net::{Prefix, Protocol};
use model::ports::{Ports, Written};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Where PortSentry's files lie on Debian.
const DIR: &str = "/etc/portsentry";
/// What Debian starts it with, seen from there.
const STARTER: &str = "../default/portsentry";
/// Bytes of one of its files.
const FILE_BYTES: u64 = 4 << 20;

/// Looks whether responses can be run.
pub type Check = fn(&[ResponseConfig]) -> Result<(), Vec<String>>;

/// Says what riposte makes of a PortSentry's configuration.
///
/// # Errors
/// If it can't be read, and one line for each setting that is wrong; what is right is printed all the same.
pub fn import(args: &cli::ImportPortsentry, out: &mut impl Write) -> Result<(), Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new(DIR));
    let file = if path.is_dir() { path.join("portsentry.conf") } else { path.to_owned() };
    let (text, wrong) = translate(&file, args.connect, &read, check)?;
    out.write_all(text.as_bytes()).map_err(|error| fail(error.to_string()))?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The configuration that does what this file says, and one line for each thing that is wrong. `read`: a file's bytes, `None` if there is none.
///
/// # Errors
/// If the file itself can't be read.
pub fn translate(
    file: &Path,
    connect: bool,
    read: &dyn Fn(&Path) -> io::Result<Option<Vec<u8>>>,
    check: Check,
) -> Result<(String, Vec<String>), Failure> {
    let name = file.display().to_string();
    let text = match opened(file, read) {
        Ok(text) => text.ok_or_else(|| fail(format!("{name}: there is no such file")))?,
        Err(why) => return Err(fail(format!("{name}: {why}"))),
    };
    let dir = file.parent().unwrap_or(Path::new("/"));
    let mut wrong = Vec::new();
    let starter = opened(&dir.join(STARTER), read).unwrap_or_else(|why| {
        wrong.push(format!("{}: {why}: how PortSentry is started is not known", dir.join(STARTER).display()));
        None
    });
    wrong.extend(starter.iter().flat_map(|text| wrong_modes(&dir.join(STARTER).display().to_string(), text)));
    let mut conf = Conf::read(&name, &text, starter.is_some());
    wrong.extend(conf.wrong());
    let exempt = exempt(&conf, dir, read, &mut wrong);
    let plan = Plan { conf: &conf, modes: Modes::of(&conf, starter.as_deref(), connect), check };
    let text = plan.text(&exempt, &mut wrong);
    Ok((text, wrong.iter().map(|line| plain(line)).collect()))
}

/// A file's bytes; `None` if there is none. Whatever a configuration names: only a file is opened, and no more of it than [`FILE_BYTES`] read.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let found = |result: io::Result<_>| match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        other => other.map(Some),
    };
    let Some(meta) = found(fs::metadata(path))? else { return Ok(None) };
    if !meta.is_file() {
        return Err(io::Error::other(if meta.is_dir() { "is a folder" } else { "is no file" }));
    }
    let Some(file) = fs::File::open(path).map(Some)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A file as text; `None` if there is none.
///
/// # Errors
/// Why it is none.
pub fn opened(path: &Path, read: &dyn Fn(&Path) -> io::Result<Option<Vec<u8>>>) -> Result<Option<String>, String> {
    match read(path) {
        Err(error) => Err(error.to_string()),
        Ok(Some(bytes)) if bytes.len() as u64 > FILE_BYTES => Err(format!("has more than {} MiB", FILE_BYTES >> 20)),
        Ok(Some(bytes)) if bytes.contains(&0) => Err("is no text: it has zero bytes (saved as UTF-16, perhaps)".to_owned()),
        Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// Whom its ignore files name: the one in the configuration, and Debian's list that is merged into it at each start.
fn exempt(conf: &Conf, dir: &Path, read: &dyn Fn(&Path) -> io::Result<Option<Vec<u8>>>, wrong: &mut Vec<String>) -> Vec<(String, Prefix)> {
    let named = conf.value("IGNORE_FILE").map(|value| (value.line, PathBuf::from(&value.text)));
    let beside = ["portsentry.ignore", "portsentry.ignore.static"].map(|name| dir.join(name));
    // A configuration that is looked at elsewhere has its ignore file beside it, whatever folder it names; Debian makes it of the static one.
    let own = named.iter().filter_map(|(_, path)| Some(dir.join(path.file_name()?)));
    let own: BTreeSet<PathBuf> =
        own.flat_map(|path| [path.with_added_extension("static"), path]).chain(named.iter().map(|(_, path)| path.clone())).collect();
    let files: BTreeSet<PathBuf> = own.iter().cloned().chain(beside).collect();
    let (mut list, mut found) = (Vec::new(), false);
    for file in files {
        let name = file.display();
        let text = match opened(&file, read) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(why) => {
                found |= own.contains(&file);
                wrong.push(format!("{name}: {why}: nobody of it is exempt"));
                continue;
            }
        };
        found |= own.contains(&file);
        let (entries, problems) = conf::ignore(&name.to_string(), &text, conf.version);
        list.extend(entries.into_iter().map(|(line, prefix)| (format!("{name}:{line}"), prefix)));
        wrong.extend(problems);
    }
    if let Some((line, path)) = named.filter(|_| !found) {
        wrong.push(format!(
            "{}:{line}: IGNORE_FILE: {} can't be found: PortSentry 2.x ends, 1.x blocks everybody",
            conf.name,
            path.display()
        ));
    }
    list
}

/// How it watches, by protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not at all.
    Off,
    /// It listens.
    Connect,
    /// It looks at packets to the listed ports.
    Stealth,
    /// It looks at packets to all ports below a number.
    Advanced,
}

/// As they stand in the modes' names.
const PROTOCOLS: [&str; 2] = ["tcp", "udp"];

impl Mode {
    /// What Debian's script starts by this word. With a wrong one it starts nothing.
    fn of(word: &str, protocol: &str) -> Mode {
        match word.strip_suffix(protocol) {
            Some("") => Mode::Connect,
            Some("s") => Mode::Stealth,
            Some("a") => Mode::Advanced,
            Some(_) | None => Mode::Off,
        }
    }
}

/// The mode of a protocol in Debian's /etc/default/portsentry. That is a shell's file: the last assignment counts.
fn said<'t>(text: &'t str, protocol: &str) -> Option<&'t str> {
    let key = mode_key(protocol);
    text.lines().rev().filter_map(assignment).find(|(name, _)| *name == key).map(|(_, word)| word)
}

fn mode_key(protocol: &str) -> String {
    format!("{}_MODE", protocol.to_ascii_uppercase())
}

/// A shell's assignment: the name, and the value without quotes and what stands behind it.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let value = value.trim_start();
    let word = match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => value.split(quote).nth(1),
        None => value.split([' ', '\t', ';', '#']).next(),
    };
    Some((name.trim(), word.unwrap_or_default().trim_end()))
}

/// What is wrong with /etc/default/portsentry, by line.
fn wrong_modes(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with('#'));
    for (line, content) in lines {
        let Some((key, word)) = assignment(content) else { continue };
        let mut say = |message: String| wrong.push(format!("{name}:{line}: {message}"));
        let Some(protocol) = PROTOCOLS.into_iter().find(|protocol| mode_key(protocol) == key) else {
            let near = conf::did_you_mean_variable(key, ["TCP_MODE", "UDP_MODE"]);
            if !near.is_empty() {
                say(format!("Debian's script knows no {}{near}", quoted(key)));
            }
            continue;
        };
        let has_blank = content.split_once('=').is_some_and(|(before, behind)| {
            before.ends_with(char::is_whitespace) || behind.starts_with(char::is_whitespace) && !word.is_empty()
        });
        if has_blank {
            say(format!(
                "{key}: a shell's assignment has no blanks beside '=': write {key}=\"{word}\" (taken over here)",
                word = plain(word)
            ));
        }
        if !word.is_empty() && Mode::of(word, protocol) == Mode::Off {
            let modes = ["", "s", "a"].map(|way| format!("{way}{protocol}"));
            let near = did_you_mean(word, modes.iter().map(String::as_str));
            say(format!("{key}: {} is none of {}, and PortSentry does not start with it{near}", quoted(word), modes.join(", ")));
        }
    }
    wrong
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    tcp: Mode,
    udp: Mode,
    /// Where that is said.
    from: &'static str,
}

impl Modes {
    fn of(conf: &Conf, starter: Option<&str>, connect: bool) -> Modes {
        if connect {
            return Modes { tcp: Mode::Connect, udp: Mode::Connect, from: "--connect" };
        }
        match (starter, conf.version) {
            (Some(text), _) => {
                let [tcp, udp] = PROTOCOLS.map(|protocol| said(text, protocol).map_or(Mode::Off, |word| Mode::of(word, protocol)));
                Modes { tcp, udp, from: "/etc/default/portsentry" }
            }
            (None, Version::One) => Modes { tcp: Mode::Connect, udp: Mode::Connect, from: "1.x; its command line is not known" },
            (None, Version::Two) => Modes { tcp: Mode::Stealth, udp: Mode::Stealth, from: "2.x without --connect" },
        }
    }
}

/// The configuration that is printed.
struct Plan<'c> {
    conf: &'c Conf,
    modes: Modes,
    check: Check,
}

impl Plan<'_> {
    fn text(&self, exempt: &[(String, Prefix)], wrong: &mut Vec<String>) -> String {
        let conf = self.conf;
        let version = if conf.version == Version::One { "1.x" } else { "2.x" };
        let mut text = format!(
            "# Made by 'riposte import portsentry' from {} ({version}). PortSentry blocks for good; riposte for a time that grows with each\n\
             # offence ([policy] block_for, escalation), for this host, forwarded traffic and containers, and 'riposte block' for good.\n\n[guard]\n",
            conf.name
        );
        self.ports(&mut text, Protocol::TCP);
        self.ports(&mut text, Protocol::UDP);
        let is_stealth = matches!(self.modes.tcp, Mode::Stealth | Mode::Advanced);
        let _ = writeln!(text, "# The mode is {:?} for TCP, {:?} for UDP ({}).", self.modes.tcp, self.modes.udp, self.modes.from);
        if is_stealth {
            text += "# Nobody is answered, and nothing is proven: blocks are held to [policy.spoofable]. With false riposte completes the\n\
                     # handshake at these ports, which proves who it is and earns the full block.\n";
        }
        let _ = writeln!(text, "stealth = {is_stealth}");
        self.banner(&mut text, is_stealth);
        self.trigger(&mut text);
        for (key, name) in [("BLOCK_TCP", "block_tcp"), ("BLOCK_UDP", "block_udp")] {
            self.block(&mut text, key, name);
        }
        let (respond, notes) = actions::responders(conf, wrong);
        let runs = ["BLOCK_TCP", "BLOCK_UDP"].map(|key| self.block_value(key) > 0);
        let (responses, command, complaint) = actions::responses(conf, self.modes, runs, self.check);
        wrong.extend(complaint);
        self.rest(&mut text, &notes, &command);
        text += "\n[policy]\n# Its ignore files; the host's own addresses, gateways, name servers and administrators are exempt without being listed.\n";
        text += "exempt = [\n";
        let mut seen = BTreeSet::new();
        for (place, prefix) in exempt.iter().filter(|(_, prefix)| seen.insert(*prefix)) {
            let _ = writeln!(text, "    \"{prefix}\",    # {}", plain(place));
        }
        text += "]\n";
        self.bystanders(&mut text);
        text + &respond + &responses
    }

    /// Who is blocked although he touched no guarded port: nobody, if PortSentry blocks nobody either.
    fn bystanders(&self, text: &mut String) {
        match ["BLOCK_TCP", "BLOCK_UDP"].map(|key| self.block_value(key)) {
            [0, 0] => {
                *text += "# As PortSentry with BLOCK_TCP and BLOCK_UDP = 0: decide and write down, block nobody. Without it touches are only recorded, but\n\
                          # who scans or guesses passwords is blocked.\ndry_run = true\n";
            }
            [0 | 2, 0 | 2] => {
                *text += "# Touches block nobody, but who scans or guesses passwords is blocked. With true nobody is, and no command is run.\n\
                          dry_run = false\n";
            }
            _ => {}
        }
    }

    fn ports(&self, text: &mut String, protocol: Protocol) {
        let (mode, keys, name) = match protocol {
            Protocol::UDP => (self.modes.udp, ["UDP_PORTS", "ADVANCED_PORTS_UDP", "ADVANCED_EXCLUDE_UDP"], "udp"),
            _ => (self.modes.tcp, ["TCP_PORTS", "ADVANCED_PORTS_TCP", "ADVANCED_EXCLUDE_TCP"], "tcp"),
        };
        let [listed, below, excluded] = keys;
        let ports = match mode {
            Mode::Off => Ports::default(),
            Mode::Connect | Mode::Stealth => {
                self.comment(text, listed, "");
                self.conf.ports(listed).map(|(_, ports)| ports).unwrap_or_default()
            }
            Mode::Advanced => {
                let most = self.conf.number(below, 65_535).map_or(1_024, |(_, most)| most);
                self.comment(text, below, "");
                self.comment(text, excluded, ": taken out; ports with services are left alone by themselves");
                let all: Ports = u16::try_from(most.saturating_sub(1)).ok().map(|last| 1..=last).into_iter().collect();
                all.without(&self.conf.ports(excluded).map(|(_, ports)| ports).unwrap_or_default())
            }
        };
        if protocol == Protocol::TCP && ports.contains(22) {
            *text += "# Port 22 is left alone ([sense.nflog] ssh_ports): whoever is logged in there counts as an administrator.\n";
        }
        if let Some(list) = LISTS.iter().find(|list| !ports.is_empty() && list.ports(protocol) == ports) {
            let _ = writeln!(text, "{name} = [\"{}\"]", list.name);
            return;
        }
        let words: Vec<String> = ports
            .ranges()
            .iter()
            .map(|range| if range.start() == range.end() { Written(range).to_string() } else { format!("\"{}\"", Written(range)) })
            .collect();
        let _ = writeln!(text, "{name} = [{}]", words.join(", "));
    }

    /// The place of a setting, what becomes of it, and what is to be known about its line.
    fn comment(&self, text: &mut String, key: &str, what: &str) {
        let Some(Value { line, .. }) = self.conf.value(key) else { return };
        let _ = writeln!(text, "# {key}, line {line}{}", plain(what));
        for note in self.conf.notes_on(*line) {
            let _ = writeln!(text, "#   {}", plain(note));
        }
    }

    fn banner(&self, text: &mut String, is_stealth: bool) {
        let Some(Value { text: banner, .. }) = self.conf.value("PORT_BANNER").filter(|value| !value.text.is_empty()) else { return };
        if is_stealth {
            return self.comment(text, "PORT_BANNER", ": not said, nor does PortSentry in this mode");
        }
        let mut said: String = banner.chars().filter(|c| !c.is_control()).collect();
        said.truncate(said.floor_char_boundary(BANNER_BYTES));
        let cut = if said.len() < banner.len() { format!(", and no more than {BANNER_BYTES} bytes") } else { String::new() };
        self.comment(text, "PORT_BANNER", &format!(": over TCP only{cut}; over UDP it would go to whoever is named as the sender"));
        let _ = writeln!(text, "banner = {}", toml(&said));
    }

    fn trigger(&self, text: &mut String) {
        let Some((_, trigger)) = self.conf.number("SCAN_TRIGGER", 1_000_000) else { return };
        self.comment(text, "SCAN_TRIGGER", ": touches that it takes; PortSentry counts without end, riposte within this time");
        let _ = writeln!(text, "trigger = {}\nwithin = \"30d\"", trigger.max(1));
    }

    fn block(&self, text: &mut String, key: &str, name: &str) {
        let value = self.block_value(key);
        let what = match value {
            0 => ": touches are only recorded",
            1 => ": touches block",
            _ => ": touches run KILL_RUN_CMD and block nobody",
        };
        self.comment(text, key, what);
        let _ = writeln!(text, "{name} = {}", value == 1);
    }

    /// Missing is 0 in 2.x; 1.x blocks by default.
    fn block_value(&self, key: &str) -> u32 {
        self.conf.number(key, 2).map_or(u32::from(self.conf.version == Version::One), |(_, value)| value)
    }

    /// What needs no key of the section.
    fn rest(&self, text: &mut String, [route, deny]: &[String; 2], command: &str) {
        self.comment(text, "KILL_ROUTE", &format!(": {route}"));
        self.comment(text, "KILL_HOSTS_DENY", &format!(": {deny}"));
        self.comment(text, "KILL_RUN_CMD", &format!(": {}", plain(command)));
        self.comment(text, "KILL_RUN_CMD_FIRST", ": 'when' of the [[response]]");
        self.comment(text, "RESOLVE_HOST", ": names are never looked up; an attacker's name server would answer");
        self.comment(text, "HISTORY_FILE", ": 'riposte history', kept for [store] history_days");
        self.comment(text, "BLOCKED_FILE", ": 'riposte list', kept through restarts");
        let form = if self.conf.version == Version::One { "1.x" } else { "2.x" };
        let _ = writeln!(
            text,
            "# PortSentry's own lines for programs that read them: in riposte's log, and in portsentry.history in the folder of [store].\n\
             portsentry = \"{form}\""
        );
        self.comment(text, "IGNORE_FILE", ": [policy] exempt, below");
        for (mode, listed, advanced) in [
            (self.modes.tcp, "TCP_PORTS", ["ADVANCED_PORTS_TCP", "ADVANCED_EXCLUDE_TCP"]),
            (self.modes.udp, "UDP_PORTS", ["ADVANCED_PORTS_UDP", "ADVANCED_EXCLUDE_UDP"]),
        ] {
            if matches!(mode, Mode::Off | Mode::Advanced) {
                self.comment(text, listed, ": not used in this mode");
            }
            if mode != Mode::Advanced {
                advanced.iter().for_each(|key| self.comment(text, key, ": not used in this mode"));
            }
        }
    }
}

/// A remote text within a comment: no line end, no control character.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
