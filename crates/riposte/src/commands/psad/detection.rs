//! The part of psad's configuration about what is read and what is a scan. Opens nothing but the files that the configuration names.

use super::Plan;
use super::conf::Value;
use crate::commands::portsentry::opened;
use crate::config::words::{Period, quoted, toml};
use crate::config::{Config, SignaturesConfig};
use crate::lives::signatures::load_by;
use detect::config::ScanConfig;
use fingerprint::{Fingerprints, Problem};
use policy::config::Ignore;
use signatures::addresses::{Addresses, Ports, Variables};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings of the danger levels.
const PACKETS: [&str; 5] = ["DANGER_LEVEL1", "DANGER_LEVEL2", "DANGER_LEVEL3", "DANGER_LEVEL4", "DANGER_LEVEL5"];
const HOSTS: [&str; 5] = ["DL1_UNIQUE_HOSTS", "DL2_UNIQUE_HOSTS", "DL3_UNIQUE_HOSTS", "DL4_UNIQUE_HOSTS", "DL5_UNIQUE_HOSTS"];
/// Thresholds that nobody reaches.
const NEVER: [u64; 5] = {
    let most = u32::MAX as u64;
    [most - 4, most - 3, most - 2, most - 1, most]
};
/// The rules' variables, addresses first.
const NETS: [&str; 8] =
    ["HOME_NET", "EXTERNAL_NET", "HTTP_SERVERS", "SMTP_SERVERS", "DNS_SERVERS", "SQL_SERVERS", "TELNET_SERVERS", "AIM_SERVERS"];
const PORTS: [&str; 3] = ["HTTP_PORTS", "SHELLCODE_PORTS", "ORACLE_PORTS"];
/// psad's files beside the rules, and their keys.
const TABLES: [(&str, &str); 6] = [
    ("SNORT_RULE_DL_FILE", "levels"),
    ("AUTO_DL_FILE", "auto_dl"),
    ("IP_OPTS_FILE", "ip_options"),
    ("ICMP_TYPES_FILE", "icmp_types"),
    ("ICMP6_TYPES_FILE", "icmp6_types"),
    ("PROTOCOLS_FILE", "protocols"),
];

/// What makes a text a pattern.
const PATTERN: &[char] = &['*', '+', '?', '.', '(', ')', '[', ']', '{', '}', '^', '$', '\\'];

/// A list in TOML.
pub fn list(texts: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", texts.into_iter().collect::<Vec<_>>().join(", "))
}

impl Plan<'_> {
    pub(super) fn detection(&mut self) {
        self.lines();
        self.log();
        self.signatures();
        self.fingerprints();
        self.scan();
    }

    /// What psad reads: the journal, a file, or the FIFO of kmsgsd.
    fn log(&mut self) {
        // Where it is to find out itself, psad looks at nothing else.
        let finds_out = self.conf.flag("AUTO_DETECT_JOURNALCTL", false);
        let reads_command = self.conf.flag("ENABLE_FW_MSG_READ_CMD", false) && !finds_out;
        let finds_journal = finds_out && self.host.journald;
        let reads_file = self.conf.flag("ENABLE_SYSLOG_FILE", true);
        self.line("\n[sense.nflog]");
        self.comment(
            "psad sees what firewall rules log, and so does riposte with this. With true, and without [[sense.log]], riposte sees packets to closed\n\
             ports with no rule of yours; with both, what is logged counts twice.",
        );
        self.line("enabled = false\n\n[[sense.log]]");
        let is_ulog = self.conf.value("SYSLOG_DAEMON").is_some_and(|value| value.text.to_ascii_lowercase().contains("ulog"));
        let path =
            |plan: &Self, key: &str, default: &str| plan.conf.some(key).map_or_else(|| default.to_owned(), |value| value.text.clone());
        let command = self.conf.some("FW_MSG_READ_CMD").filter(|_| reads_command).cloned();
        if let Some(value) = command.filter(|value| !value.text.ends_with("journalctl")) {
            self.wrong(
                &value,
                "FW_MSG_READ_CMD",
                "no program is started to read from: name a file or a named pipe in a [[sense.log]]; the journal stands there now",
            );
        }
        if reads_command || finds_journal {
            self.say(&["ENABLE_FW_MSG_READ_CMD", "FW_MSG_READ_CMD", "AUTO_DETECT_JOURNALCTL"], "psad reads the journal");
            self.line("kind = \"journal\"");
            let file = path(self, "IPT_SYSLOG_FILE", "/var/log/messages");
            self.comment(&format!("or kind = \"file\", path = {}", toml(&file)));
            return self.say(&["ENABLE_SYSLOG_FILE", "IPT_SYSLOG_FILE"], "not read, nor by psad where journald runs");
        }
        let (keys, kind, path) = match (reads_file, is_ulog) {
            (true, false) => (&["ENABLE_SYSLOG_FILE", "IPT_SYSLOG_FILE"], "file", path(self, "IPT_SYSLOG_FILE", "/var/log/messages")),
            (_, true) => (&["SYSLOG_DAEMON", "ULOG_DATA_FILE"], "ulogd", path(self, "ULOG_DATA_FILE", "/var/log/psad/ulogd.log")),
            (false, false) => (&["ENABLE_SYSLOG_FILE", "PSAD_FIFO_FILE"], "pipe", path(self, "PSAD_FIFO_FILE", "/var/lib/psad/psadfifo")),
        };
        self.say(keys, "");
        self.place_of_log(kind, &path, keys[1]);
    }

    /// Which logged packets count. psad's patterns are mostly plain texts; one that is none is told.
    fn lines(&mut self) {
        let mut lines: Vec<(&str, String)> = Vec::new();
        if !self.conf.flag("FW_SEARCH_ALL", true) {
            let mut all: Vec<String> =
                self.conf.all("FW_MSG_SEARCH").to_vec().iter().flat_map(|value| self.plain_texts("FW_MSG_SEARCH", value)).collect();
            if all.is_empty() {
                all.push("DROP".to_owned());
            }
            // What fwsnort logs counts in any case: its numbers, and not whatever comes from INSIDE.
            all.extend((1..=9).map(|digit| format!("SID{digit}")));
            self.say(&["FW_SEARCH_ALL", "FW_MSG_SEARCH"], "");
            lines.push(("FW_MSG_SEARCH", format!("only = {}", list(all.iter().map(|text| toml(text))))));
        }
        if let Some(value) = self.conf.some("IGNORE_LOG_PREFIXES").cloned() {
            let texts = self.plain_texts("IGNORE_LOG_PREFIXES", &value);
            if !texts.is_empty() {
                lines.push(("IGNORE_LOG_PREFIXES", format!("ignore = {}", list(texts.iter().map(|text| toml(text))))));
            }
        }
        if let Some(value) = self.conf.some("IGNORE_INTERFACES") {
            let names: Vec<&str> = value.text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            lines.push(("IGNORE_INTERFACES", format!("ignore_interfaces = {}", list(names.into_iter().map(toml)))));
        }
        // What is wrong with one of them takes nothing from the others.
        lines.retain(|(key, line)| {
            let wrong = Config::parse(&format!("[sense.lines]\n{line}\n"), "").err().unwrap_or_default();
            let place = self.conf.place(key).unwrap_or(&self.file).to_owned();
            self.conf.wrong.extend(wrong.iter().map(|line| format!("{place}: {key}: {}", line.message)));
            wrong.is_empty()
        });
        if lines.is_empty() {
            return;
        }
        self.line("");
        self.say(&["IGNORE_LOG_PREFIXES", "IGNORE_INTERFACES"], "");
        self.line("[sense.lines]");
        lines.iter().for_each(|(_, line)| self.line(line));
    }

    /// The plain texts that a pattern looks for: itself, or those between its bars.
    fn plain_texts(&mut self, key: &str, value: &Value) -> Vec<String> {
        let texts: Vec<String> = value.text.split('|').map(str::to_owned).collect();
        let (texts, odd): (Vec<String>, Vec<String>) = texts.into_iter().partition(|text| !text.is_empty() && !text.contains(PATTERN));
        if !odd.is_empty() {
            self.wrong(value, key, &format!("{} is a pattern; [sense.lines] looks for plain texts: write those", quoted(&odd.join("|"))));
        }
        texts
    }

    fn place_of_log(&mut self, kind: &str, path: &str, key: &str) {
        if path.starts_with('/') && !path.chars().any(char::is_control) && path.len() < 4_096 {
            let lines = format!("kind = {}\npath = {}", toml(kind), toml(path));
            return self.line(lines);
        }
        let place = self.conf.place(key).unwrap_or(&self.file).to_owned();
        self.conf.wrong.push(format!("{place}: {key}: {} is no full path: the journal stands there now", quoted(path)));
        self.line("kind = \"journal\"");
    }

    fn signatures(&mut self) {
        if let Some(value) = self.conf.some("SNORT_SID_STR").filter(|value| value.text != "SID").cloned() {
            self.wrong(&value, "SNORT_SID_STR", "in prefixes fwsnort's own SID and a number are a match, and nothing else");
        }
        let mut config = SignaturesConfig { enabled: true, shipped: false, ..SignaturesConfig::default() };
        self.line("\n[signatures]");
        self.line("enabled = true");
        self.comment("psad's own stand below. With true riposte's are there, too.");
        self.line("shipped = false");
        self.variables(&mut config);
        // psad takes no more of Snort's rules than what fwsnort's SIDs mean, and how grave their classes are.
        let classes = self.found("SNORT_RULES_DIR").map(|folder| folder.join("classification.config"));
        let classes = classes.filter(|path| opened(path, self.host.read).is_ok_and(|text| text.is_some()));
        let rules = self.found("SIGS_FILE");
        let around = classes.into_iter().chain(rules).collect::<Vec<_>>();
        let (mut good, mut bad): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
        for path in around {
            let trial = SignaturesConfig { rules: good.iter().chain([&path]).cloned().collect(), ..config.clone() };
            if self.loads(&trial) { good.push(path) } else { bad.push(path) }
        }
        self.say(&["SIGS_FILE", "SNORT_RULES_DIR"], "");
        let paths = |paths: &[PathBuf]| list(paths.iter().map(|path| toml(&path.to_string_lossy())));
        self.line(format!("rules = {}", paths(&good)));
        if !bad.is_empty() {
            self.comment(&format!("put right what is told on standard error, then add {}", paths(&bad)));
        }
        config.rules = good;
        for (key, ours) in TABLES {
            let Some(path) = self.found(key) else { continue };
            let mut trial = config.clone();
            let table = match ours {
                "levels" => &mut trial.levels,
                "auto_dl" => &mut trial.auto_dl,
                "ip_options" => &mut trial.ip_options,
                "icmp_types" => &mut trial.icmp_types,
                "icmp6_types" => &mut trial.icmp6_types,
                _ => &mut trial.protocols,
            };
            *table = Some(path.clone());
            let value = format!("{ours} = {}", toml(&path.to_string_lossy()));
            if self.loads(&trial) {
                self.say(
                    &[key],
                    if ours == "auto_dl" { "a level in it blocks nobody by itself, for anybody can forge an address" } else { "" },
                );
                self.line(value);
                config = trial;
            } else {
                self.say(&[key], "put right what is told on standard error, then take the '#' away");
                self.comment(&value);
            }
        }
    }

    /// Whether signatures are right; what is wrong is told.
    fn loads(&mut self, config: &SignaturesConfig) -> bool {
        let host = self.host;
        let read = |path: &Path| match opened(path, host.read) {
            Ok(text) => Ok(text.unwrap_or_default()),
            Err(why) => Err(vec![format!("{}: {why}", path.display())]),
        };
        load_by(config, &read).map_err(|lines| self.conf.wrong.extend(lines)).is_ok()
    }

    /// What lies in psad's folder lies beside the file that is read, wherever that was copied to.
    fn beside(&self, path: &str) -> PathBuf {
        let home = self.conf.value("PSAD_CONF_DIR").map_or(super::DIR, |home| &home.text);
        Path::new(path).strip_prefix(home).map_or_else(|_| path.into(), |inside| self.dir.join(inside))
    }

    /// A file or folder that a setting names.
    fn found(&mut self, key: &str) -> Option<PathBuf> {
        let value = self.conf.some(key)?.clone();
        let path = self.beside(&value.text);
        let text = path.to_string_lossy();
        if !path.is_absolute() || text.chars().any(char::is_control) || text.len() > 4_095 {
            self.wrong(&value, key, &format!("{} is no full path", quoted(&text)));
            return None;
        }
        let is_folder = key.ends_with("_DIR");
        if !is_folder && opened(&path, self.host.read).is_ok_and(|text| text.is_none()) {
            self.wrong(&value, key, &format!("there is no {}", quoted(&text)));
            return None;
        }
        Some(path)
    }

    /// psad's two files of fingerprints.
    fn fingerprints(&mut self) {
        type Add = fn(&mut Fingerprints, &str) -> Vec<Problem>;
        let kinds: [(&str, &str, Add); 2] = [("P0F_FILE", "p0f", Fingerprints::add_p0f), ("POSF_FILE", "posf", Fingerprints::add_posf)];
        self.line("\n[fingerprint]");
        self.comment("psad's files come first; with false riposte's own, which know more systems and scanners, are not asked.");
        self.line("enabled = true\nshipped = true");
        for (key, ours, add) in kinds {
            let Some(path) = self.found(key) else { continue };
            let text = opened(&path, self.host.read).ok().flatten().unwrap_or_default();
            let wrong: Vec<String> =
                add(&mut Fingerprints::default(), &text).iter().map(|problem| format!("{}:{problem}", path.display())).collect();
            let value = format!("{ours} = {}", list([toml(&path.to_string_lossy())]));
            if wrong.is_empty() {
                self.say(&[key], "");
                self.line(value);
            } else {
                self.say(&[key], "put right what is told on standard error, then take the '#' away");
                self.comment(&value);
                self.conf.wrong.extend(wrong);
            }
        }
    }

    fn variables(&mut self, config: &mut SignaturesConfig) {
        let mut lines = Vec::new();
        for (key, is_ports) in NETS.map(|key| (key, false)).into_iter().chain(PORTS.map(|key| (key, true))) {
            let Some(value) = self.conf.some(key).cloned() else { continue };
            // psad takes its own placeholder for everybody, and lists without brackets.
            let text = match value.text.as_str() {
                text if text.contains("CHANGEME") => "any".to_owned(),
                text if text.contains(',') && !text.contains('[') => match text.strip_prefix('!') {
                    // `!$HOME_NET`: whoever is in none of them.
                    Some(rest) if !rest.contains('!') => format!("![{rest}]"),
                    _ => format!("[{text}]"),
                },
                text => text.to_owned(),
            };
            let none = Variables::default();
            let read = if is_ports { Ports::read(&text, &none).map(drop) } else { Addresses::read(&text, &none).map(drop) };
            match read {
                Ok(()) => {
                    lines.push(toml(&format!("{key} = {text}")));
                    config.variables.push((key.to_owned(), text));
                }
                Err(why) => self.wrong(&value, key, &why),
            }
        }
        self.say(&NETS, "");
        self.say(&PORTS, "");
        self.say(
            &["ENABLE_INTF_LOCAL_NETS"],
            "with Y psad takes the networks of the host's interfaces for HOME_NET (not in -A); write them here, if rules are to mean them alone",
        );
        self.line("variables = [");
        lines.iter().for_each(|line| self.line(format!("    {line},")));
        self.line("]");
    }

    fn scan(&mut self) {
        let usual = ScanConfig::default();
        self.line("\n[scan]");
        if let Some(packets) = self.rising(&PACKETS, usual.packets, 1..=i64::MAX as u64) {
            self.say(&PACKETS, "");
            self.line(format!("packets = {}", list(packets.map(|n| n.to_string()))));
        }
        let sweeps_off = self.conf.value(HOSTS[0]).is_some_and(|value| value.text == "0");
        let hosts = if sweeps_off { Some(NEVER) } else { self.rising(&HOSTS, usual.hosts.map(u64::from), 2..=u64::from(u32::MAX)) };
        if let Some(hosts) = hosts {
            self.say(&HOSTS, if sweeps_off { "0 switches it off; here it is a number that nobody reaches" } else { "" });
            self.line(format!("hosts = {}", list(hosts.map(|n| n.to_string()))));
        }
        let range = self.conf.number("PORT_RANGE_SCAN_THRESHOLD", 0..=65_535, u64::from(usual.port_range));
        self.say(&["PORT_RANGE_SCAN_THRESHOLD"], "");
        self.line(format!("port_range = {range}"));
        let protocols = self.conf.number("PROTOCOL_SCAN_THRESHOLD", 2..=256, u64::from(usual.protocols));
        self.say(&["PROTOCOL_SCAN_THRESHOLD"], "");
        self.line(format!("protocols = {protocols}"));
        let year = 365 * 86_400;
        let persists = self.conf.flag("ENABLE_PERSISTENCE", false);
        let timeout = self.conf.number("SCAN_TIMEOUT", 1..=year, usual.decay.as_secs());
        let decay = Duration::from_secs(if persists { year } else { timeout });
        self.say(
            &["SCAN_TIMEOUT", "ENABLE_PERSISTENCE"],
            "after so long without a packet a source's level falls by one; psad counts from the first packet, and its level never falls",
        );
        self.line(format!("decay = \"{}\"", Period(decay)));
        if decay > usual.forget {
            self.line(format!("forget = \"{}\"", Period(decay)));
        }
        let pairs = self.conf.number("MAX_SCAN_IP_PAIRS", 0..=u64::MAX, 0);
        if pairs > 0 {
            self.say(&["MAX_SCAN_IP_PAIRS"], "sources here, not pairs; above, whoever has the least evidence gives way");
            self.line(format!("tracked_sources = {}", pairs.clamp(1_024, 16 << 20)));
        }
    }

    /// Five thresholds, each above the one before; `None`, and told, if they are not.
    fn rising(&mut self, keys: &[&str; 5], usual: [u64; 5], range: RangeInclusive<u64>) -> Option<[u64; 5]> {
        let mut levels = usual;
        for (key, level) in keys.iter().zip(&mut levels) {
            *level = self.conf.number(key, range.clone(), *level);
        }
        let Some(at) = levels.windows(2).position(|pair| pair[1] <= pair[0]) else { return Some(levels) };
        let key = keys.get(at + 1)?;
        let place = self.conf.place(key).unwrap_or(&self.file).to_owned();
        self.conf
            .wrong
            .push(format!("{place}: {key}: the thresholds must rise from level to level; riposte's own stand meanwhile: {usual:?}"));
        self.say(keys, "not taken over: they do not rise");
        None
    }

    /// The number of a protocol of this name in psad's own file.
    fn protocol(&self, name: &str) -> Option<String> {
        let path = self.conf.some("PROTOCOLS_FILE").map_or_else(|| self.dir.join("protocols"), |value| self.beside(&value.text));
        let text = opened(&path, self.host.read).ok().flatten()?;
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| words.next()?.eq_ignore_ascii_case(name).then(|| words.next().map(str::to_owned))?)
    }

    /// `policy.ignore`: what is no evidence at all.
    pub(super) fn ignored(&mut self) {
        let mut entries: Vec<Ignore> = Vec::new();
        for key in ["IGNORE_PORTS", "IGNORE_PROTOCOLS"] {
            let Some(value) = self.conf.some(key).cloned() else { continue };
            for part in value.text.split(',') {
                let word: String = part.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
                let word = if word == "icmp6" { "icmpv6" } else { &word };
                let by_number = || self.protocol(word).and_then(|number| number.parse().ok());
                match word.parse::<Ignore>().or_else(|why| by_number().ok_or(why)) {
                    Ok(entry) if entries.len() < 1_024 => entries.push(entry),
                    Ok(_) => self.wrong(&value, key, "more than 1024 entries"),
                    Err(why) => self.wrong(&value, key, &format!("{why}; left out")),
                }
            }
        }
        if !entries.is_empty() {
            self.say(&["IGNORE_PORTS", "IGNORE_PROTOCOLS"], "");
            let entries = list(entries.iter().map(|entry| toml(&entry.to_string())));
            self.line(format!("ignore = {entries}"));
        }
    }
}
