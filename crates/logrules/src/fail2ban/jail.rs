//! One jail: which filter watches which logs, who is let off, and after how many failures who is blocked for how long. Blocks nobody itself.

use super::filter::{Filter, Terms, Written};
use super::ini::{Files, Ini, Problem};
use super::table::Table;
use super::tags;
use crate::finding::Wish;
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whom one jail counts at one time.
const COUNTED_MAX: usize = 65_536;
/// Failures that one of them can be counted for.
const RETRIES_MAX: u32 = 10_000;
/// As long as anything lasts that fail2ban would never end: what the policy makes of it is its own affair.
pub const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
/// fail2ban's own formula for growing times, without white space: twice as long each time.
const FORMULA: &str = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor";
/// Filters of services that answer over UDP, where anybody can write any address.
const FORGEABLE: [&str; 10] =
    ["named-refused", "nsd", "asterisk", "freeswitch", "counter-strike", "murmur", "scanlogd", "portsentry", "openvpn", "softethervpn"];

/// Something that is not done as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The jail or filter.
    pub about: String,
    /// What is not done, and what is done instead.
    pub message: String,
}

/// What a jail wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// As in the configuration: `iptables-multiport`.
    pub name: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// Whether it blocks an address, so that our own responders do it.
    pub blocks: bool,
}

/// Where jails' lines come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files, with `*`, `?` and `[…]`, each once.
    pub files: Vec<String>,
    /// Whether one of them reads the journal.
    pub journal: bool,
}

/// How times are to grow with each block of the same address. The policy has them grow, which remembers everybody and is the same for all jails:
/// here it only says what its author meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Increment {
    /// Times this at each one; the last one goes on. Empty: twice as long each time.
    pub multipliers: Vec<f64>,
    /// Never longer.
    pub longest: Option<Duration>,
}

/// A jail.
#[derive(Debug, Clone)]
pub struct Jail {
    /// Its name.
    pub name: Arc<str>,
    /// What reads its lines.
    pub filter: Filter,
    /// The filter as it was written: `sshd[mode=normal]`.
    pub filter_text: String,
    /// Files, with `*`, `?` and `[…]`.
    pub logpaths: Vec<String>,
    /// Whether it reads the journal.
    pub journal: bool,
    /// Dates that name no zone are of this one; empty for the system's.
    pub zone: String,
    /// Failures that lead to a block.
    pub retries: u32,
    /// Within this time.
    pub window: Duration,
    /// Blocked for so long.
    pub duration: Duration,
    /// How that is to grow.
    pub increment: Option<Increment>,
    /// Who is let off.
    pub ignored: Vec<Prefix>,
    /// Who is to be let off by a name, or by what is none: nobody is by that.
    pub ignored_names: Vec<String>,
    /// What is done.
    pub actions: Vec<Action>,
    /// A command would say who is let off, and isn't asked: it blocks nobody.
    pub only_counts: bool,
    /// `usedns`.
    pub names: String,
    /// How far its addresses are to be believed.
    pub trust: Trust,
    counted: Table<VecDeque<Time>>,
}

impl Jail {
    /// Reads the jails of a configuration that are enabled: `DIR/jail.conf` and what belongs to it.
    ///
    /// # Errors
    /// Everything that can't be understood, in all jails.
    pub fn read_all(dir: &Path, files: Files<'_>) -> Result<(Vec<Jail>, Vec<Notice>), Vec<Problem>> {
        let mut notices = Vec::new();
        let jails = Jail::each_enabled(dir, files, &mut |reading| Jail::read(reading, dir, files, &mut notices))?;
        Ok((jails, notices))
    }

    /// Where the lines of the jails come from that are enabled, without a look at what they do with them.
    ///
    /// # Errors
    /// Everything that can't be understood, in all jails.
    pub fn sources(dir: &Path, files: Files<'_>) -> Result<Sources, Vec<Problem>> {
        let all = Jail::each_enabled(dir, files, &mut |reading| reading.sources().map_err(|problem| vec![problem]))?;
        let mut sources = Sources::default();
        for one in all {
            sources.journal |= one.journal;
            for path in one.files {
                if !sources.files.contains(&path) {
                    sources.files.push(path);
                }
            }
        }
        Ok(sources)
    }

    fn each_enabled<T>(
        dir: &Path,
        files: Files<'_>,
        each: &mut dyn FnMut(Reading<'_>) -> Result<T, Vec<Problem>>,
    ) -> Result<Vec<T>, Vec<Problem>> {
        let mut ini = Ini::with(&[("fail2ban_confpath", &dir.display().to_string()), ("fail2ban_version", "1.1.0")]);
        ini.read_set(&dir.join("jail"), files).map_err(|problem| vec![problem])?;
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for section in ini.sections() {
            let reading = Reading { ini: &ini, section, vars: BTreeMap::new() };
            match reading.flag("enabled", false) {
                Ok(true) => match each(reading) {
                    Ok(one) => all.push(one),
                    Err(wrong) => problems.extend(wrong),
                },
                Ok(false) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    fn read(mut reading: Reading<'_>, dir: &Path, files: Files<'_>, notices: &mut Vec<Notice>) -> Result<Jail, Vec<Problem>> {
        let one = |problem: Problem| vec![problem];
        let name = reading.section.to_owned();
        let mut notice = |message: String| notices.push(Notice { about: name.clone(), message });
        let sources = reading.sources().map_err(one)?;
        let filter_text = reading.text("filter").map_err(one)?.replace('\n', " ");
        let logtype = if sources.journal { "journal" } else { "file" };
        let mut written = match filter_text.as_str() {
            "" => Written { name: name.clone(), ..Written::default() },
            text => Written::read(text, &[("logtype", logtype)], dir, files).map_err(one)?,
        };
        written.notices.drain(..).for_each(|message| notice(format!("filter {filter_text}: {message}")));
        reading.vars = written.options.iter().map(|(option, text)| (format!("known/{option}"), text.clone())).collect();
        for option in ["prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "journalmatch", "usedns"] {
            let text = reading.text(option).map_err(one)?;
            if !text.is_empty() {
                written.options.insert(option.to_owned(), text);
                if option == "failregex" {
                    written.place = reading.ini.place(reading.section, option);
                }
            }
        }
        let filter = Filter::new(&written)?;
        let read = |reading: &Reading<'_>| -> Result<Jail, Problem> {
            let seconds = |option: &str, default: f64| -> Result<f64, Problem> {
                match reading.text(option)?.as_str() {
                    "" => Ok(default),
                    text => tags::seconds(text).map_err(|message| reading.problem(option, message)),
                }
            };
            let number = |option: &str, default: f64| -> Result<f64, Problem> {
                match reading.text(option)?.as_str() {
                    "" => Ok(default),
                    text => text
                        .parse::<f64>()
                        .ok()
                        .filter(|number| number.is_finite())
                        .ok_or_else(|| reading.problem(option, format!("`{text}` is no number"))),
                }
            };
            let retries = number("maxretry", 5.0)?.clamp(1.0, f64::from(RETRIES_MAX)) as u32;
            let window = seconds("findtime", 600.0)?;
            let bantime = seconds("bantime", 600.0)?;
            if window <= 0.0 {
                return Err(reading.problem("findtime", "a time to count in is above 0".to_owned()));
            }
            let span = |seconds: f64| if seconds < 0.0 { FOR_EVER } else { Duration::from_secs_f64(seconds.min(FOR_EVER.as_secs_f64())) };
            let increment = match reading.flag("bantime.increment", false)? {
                false => None,
                true => {
                    let list = reading.text("bantime.multipliers")?;
                    let multipliers: Result<Vec<f64>, _> = list.split_whitespace().map(str::parse).collect();
                    let multipliers =
                        multipliers.map_err(|_| reading.problem("bantime.multipliers", format!("`{list}` is no list of numbers")))?;
                    let longest = match reading.text("bantime.maxtime")?.as_str() {
                        "" => None,
                        _ => Some(span(seconds("bantime.maxtime", 0.0)?)),
                    };
                    Some(Increment { multipliers, longest })
                }
            };
            Ok(Jail {
                name: name.as_str().into(),
                trust: if FORGEABLE.contains(&filter.name.as_ref()) { Trust::Spoofable } else { Trust::Vouched },
                journal: sources.journal && (filter.has_journal() || reading.text("backend")?.starts_with("systemd")),
                filter: filter.clone(),
                filter_text: filter_text.clone(),
                logpaths: sources.files.clone(),
                zone: reading.text("logtimezone")?,
                retries,
                window: Duration::from_secs_f64(window.min(FOR_EVER.as_secs_f64())),
                duration: span(bantime),
                increment,
                ignored: Vec::new(),
                ignored_names: Vec::new(),
                actions: Vec::new(),
                only_counts: !reading.text("ignorecommand")?.is_empty(),
                names: reading.text("usedns")?,
                counted: Table::new(COUNTED_MAX),
            })
        };
        let mut jail = read(&reading).map_err(one)?;
        if jail.duration == FOR_EVER {
            notice("bantime without end: as long as the policy allows".to_owned());
        }
        for word in reading.text("ignoreip").map_err(one)?.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()) {
            match prefix(word) {
                Some(prefix) => jail.ignored.push(prefix),
                None => {
                    notice(format!(
                        "ignoreip `{word}` is no address: not honoured; list it in the policy's `exempt`, which resolves names"
                    ));
                    jail.ignored_names.push(word.to_owned());
                }
            }
        }
        if !reading.flag("ignoreself", true).map_err(one)? {
            notice("ignoreself = false is not honoured: the host's own addresses are never blocked".to_owned());
        }
        for (option, why) in [
            (
                "ignorecommand",
                "no command is asked who is let off, so this jail blocks nobody; override it with an empty one and use `ignoreip` if all others may be blocked",
            ),
            ("ignorecache", "there is nothing to remember without ignorecommand"),
            ("bantime.rndtime", "times are not random"),
        ] {
            let text = reading.text(option).map_err(one)?;
            if !text.is_empty() {
                notice(format!("{option} `{}` is not honoured: {why}", text.replace('\n', " ")));
            }
        }
        if jail.increment.is_some() {
            notice("bantime.increment: the policy's `escalation` and `block_max` say how times grow, for all jails alike".to_owned());
            for option in ["bantime.factor", "bantime.formula", "bantime.multipliers"] {
                let text = reading.text(option).map_err(one)?;
                let usual = text.split_whitespace().collect::<String>() == FORMULA || option == "bantime.factor" && text == "1";
                if !text.is_empty() && !usual {
                    notice(format!("{option} `{}` is not honoured: times grow by the policy's `escalation`", text.replace('\n', " ")));
                }
            }
        }
        if matches!(jail.names.as_str(), "yes" | "warn")
            && jail.filter.fail_texts().any(|text| text.contains("<HOST>") || text.contains("<DNS>"))
        {
            // One line for all jails would be enough, but each may be read alone.
            jail.names = "warn".to_owned();
        }
        for text in joined_lines(&reading.text("action").map_err(one)?) {
            let (action, options) = tags::options(&text).map_err(|message| vec![reading.problem("action", message)])?;
            let blocks = blocks(&action);
            if !blocks {
                notice(format!("action `{action}` is not done by riposte; what is decided stands in the ledger and in `riposte history`"));
            }
            jail.actions.push(Action { name: action, options, blocks });
        }
        for path in jail.logpaths.iter().filter(|path| !path.starts_with('/') || path.split('/').any(|step| matches!(step, ".." | "**"))) {
            notice(format!("logpath `{path}` is not followed: write its full path, without `..` and `**`"));
        }
        if jail.logpaths.is_empty() && !jail.journal {
            notice("it watches nothing: neither logpath nor journal".to_owned());
        }
        if jail.journal && !jail.filter.has_journal() {
            notice("it reads the journal, but its filter has no journalmatch: every entry is looked at".to_owned());
        }
        Ok(jail)
    }

    /// A jail of one filter that looks at every line and blocks at the first failure; for trying filters out.
    pub fn of_filter(filter: Filter, text: &str) -> Jail {
        Jail {
            name: filter.name.clone(),
            filter,
            filter_text: text.to_owned(),
            logpaths: Vec::new(),
            journal: true,
            zone: String::new(),
            retries: 1,
            window: Duration::from_secs(600),
            duration: Duration::from_secs(600),
            increment: None,
            ignored: Vec::new(),
            ignored_names: Vec::new(),
            actions: Vec::new(),
            only_counts: false,
            names: "warn".to_owned(),
            trust: Trust::Vouched,
            counted: Table::new(COUNTED_MAX),
        }
    }

    /// Whether the jail reads this file.
    pub fn wants_file(&self, path: &str) -> bool {
        self.logpaths.iter().any(|pattern| glob(pattern.as_bytes(), path.as_bytes()))
    }

    /// The journal entries that it reads: any of these.
    pub fn journal_terms(&self) -> &[Terms] {
        self.filter.journal_terms()
    }

    /// Whether this address is let off.
    pub fn lets_off(&self, address: IpAddr) -> bool {
        self.ignored.iter().any(|prefix| prefix.contains(address))
    }

    /// Counts a failure of `id`. The count, and what is to be done if it was the last one too many.
    pub fn count(&mut self, id: &str, at: Time) -> (u32, Option<Wish>) {
        let (window, retries) = (self.window, self.retries);
        let times = self.counted.at(id.as_bytes(), VecDeque::new);
        // Lines may come a little out of order.
        let oldest = times.iter().copied().chain([at]).max().unwrap_or(at).before(window);
        times.retain(|time| *time >= oldest);
        times.push_back(at);
        let count = times.len() as u32;
        if count < retries {
            return (count, None);
        }
        self.counted.remove(id.as_bytes());
        if self.only_counts {
            return (count, None);
        }
        let action = match self.actions.iter().find(|action| action.blocks).or(self.actions.first()) {
            Some(action) if !action.blocks => action.name.as_str().into(),
            _ => Arc::from("block"),
        };
        let why = format!("jail {}: {count} failure{} in {}", self.name, if count == 1 { "" } else { "s" }, brief(window));
        (count, Some(Wish::new(action, Some(self.duration), why)))
    }

    /// Addresses that gave way to newer ones.
    pub fn evicted(&self) -> u64 {
        self.counted.evicted
    }
}

/// A jail's section, being read.
struct Reading<'a> {
    ini: &'a Ini,
    section: &'a str,
    vars: BTreeMap<String, String>,
}

impl Reading<'_> {
    /// An option's text; empty if there is none.
    fn text(&self, option: &str) -> Result<String, Problem> {
        Ok(self.ini.value(self.section, option, &self.vars)?.unwrap_or_default().trim().to_owned())
    }

    /// Its files, or the journal.
    fn sources(&self) -> Result<Sources, Problem> {
        let backend = self.text("backend")?;
        if backend.starts_with("systemd") {
            return Ok(Sources { files: Vec::new(), journal: true });
        }
        let text = self.text("logpath")?;
        let paths = text.lines().map(|line| line.trim());
        let paths = paths.map(|line| line.strip_suffix(" tail").or(line.strip_suffix(" head")).unwrap_or(line).trim().to_owned());
        let files: Vec<String> = paths.filter(|path| !path.is_empty()).collect();
        // Without any file, a filter that says which entries are its own may read them.
        let journal = files.is_empty() && matches!(backend.as_str(), "" | "auto");
        Ok(Sources { files, journal })
    }

    fn flag(&self, option: &str, default: bool) -> Result<bool, Problem> {
        match self.text(option)?.to_lowercase().as_str() {
            "" => Ok(default),
            "1" | "yes" | "true" | "on" => Ok(true),
            "0" | "no" | "false" | "off" => Ok(false),
            other => Err(self.problem(option, format!("`{other}` is neither true nor false"))),
        }
    }

    fn problem(&self, option: &str, message: String) -> Problem {
        let (file, line) = self.ini.place(self.section, option);
        Problem { file, line, message: format!("[{}] {option}: {message}", self.section) }
    }
}

/// `192.0.2.0/24`, or with its mask written out: `192.0.2.0/255.255.255.0`.
fn prefix(word: &str) -> Option<Prefix> {
    let masked = || {
        let (address, mask) = word.split_once('/')?;
        let (mask, all) = match mask.parse().ok()? {
            IpAddr::V4(mask) => (u128::from(u32::from(mask)) << 96, 32),
            IpAddr::V6(mask) => (u128::from(mask), 128),
        };
        let bits = mask.leading_ones().min(all);
        let whole = mask.checked_shl(bits).unwrap_or(0) == 0;
        whole.then(|| Some(Prefix::new(address.parse().ok()?, bits as u8)))?
    };
    word.parse().ok().or_else(masked)
}

/// Whether fail2ban's action of this name is a block.
fn blocks(action: &str) -> bool {
    const FAMILIES: [&str; 16] = [
        "iptables",
        "nftables",
        "firewallcmd",
        "ufw",
        "shorewall",
        "ipfw",
        "bsd-ipfw",
        "pf",
        "npf",
        "ipfilter",
        "osx-",
        "route",
        "hostsdeny",
        "apf",
        "csf",
        "symbiosis",
    ];
    FAMILIES
        .iter()
        .any(|family| action.strip_prefix(family).is_some_and(|rest| rest.is_empty() || family.ends_with('-') || rest.starts_with('-')))
}

/// Lines, with those joined whose brackets are not closed yet.
fn joined_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match lines.last_mut().filter(|last| last.contains('[') && !last.ends_with(']')) {
            Some(last) => last.push_str(line),
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `10 min`, `1 h`, `90 s`.
fn brief(span: Duration) -> String {
    match span.as_secs() {
        secs if secs > 0 && secs % 86_400 == 0 => format!("{} d", secs / 86_400),
        secs if secs > 0 && secs % 3_600 == 0 => format!("{} h", secs / 3_600),
        secs if secs > 0 && secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{secs} s"),
    }
}

/// Whether a path is one of `pattern`'s, as a shell has it: `*` and `?` stop at a slash.
fn glob(pattern: &[u8], path: &[u8]) -> bool {
    let (mut pattern, mut path) = (pattern, path);
    // Where to go on if what follows the last `*` does not fit.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let fits = match (pattern, path) {
            ([b'*', rest @ ..], _) => {
                star = Some((rest, path));
                pattern = rest;
                continue;
            }
            ([b'?', rest @ ..], [letter, behind @ ..]) if *letter != b'/' => Some((rest, behind)),
            ([b'[', rest @ ..], [letter, behind @ ..]) => match class(rest, *letter) {
                Some((true, rest)) => Some((rest, behind)),
                Some((false, _)) => None,
                None => (*letter == b'[').then_some((rest, behind)),
            },
            ([wanted, rest @ ..], [letter, behind @ ..]) if wanted == letter => Some((rest, behind)),
            ([], []) => return true,
            _ => None,
        };
        match (fits, star) {
            (Some(next), _) => (pattern, path) = next,
            (None, Some((after, [letter, behind @ ..]))) if *letter != b'/' => {
                star = Some((after, behind));
                (pattern, path) = (after, behind);
            }
            (None, _) => return false,
        }
    }
}

/// Whether a letter is in `…]`, and what follows that.
fn class(text: &[u8], letter: u8) -> Option<(bool, &[u8])> {
    let (not, text) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let end = 1 + text.iter().skip(1).position(|b| *b == b']')?;
    let (mut inside, rest) = (text.get(..end)?, text.get(end + 1..)?);
    let mut found = false;
    loop {
        match inside {
            [from, b'-', to, more @ ..] => {
                found |= (*from..=*to).contains(&letter);
                inside = more;
            }
            [one, more @ ..] => {
                found |= *one == letter;
                inside = more;
            }
            [] => return Some((found != not, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    fn jails(texts: &[(&str, &str)]) -> Result<(Vec<Jail>, Vec<Notice>), Vec<Problem>> {
        let read = |path: &Path| {
            let found = texts.iter().find(|(name, _)| Path::new("/f").join(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let list = |folder: &Path| {
            Ok(texts.iter().map(|(name, _)| Path::new("/f").join(name)).filter(|path: &PathBuf| path.parent() == Some(folder)).collect())
        };
        Jail::read_all(Path::new("/f"), Files { read: &read, list: &list })
    }

    const FILTER: (&str, &str) = (
        "filter.d/t.conf",
        "[Definition]\nfailregex = ^bad <HOST>$\n            <m-<mode>>\nm-normal =\nm-more = ^worse <HOST>$\nmode = normal\n",
    );

    #[test]
    fn jails_are_read_over_all_files() {
        let conf = "[DEFAULT]\nfilter = %(__name__)s[mode=%(mode)s]\nmode = normal\nbanaction = nftables-multiport\nport = 0:65535\n\
                    action = %(banaction)s[port=\"%(port)s\"]\n         mail-whois[name=x,\n           dest=y]\nignoreip = 127.0.0.1/8 2001:db8::/32, gw.example.com\n\
                    [t]\nport = ssh\nlogpath = /var/log/a*.log tail\n    /var/log/b\n[off]\n";
        let local = "[t]\nenabled = yes\nmode = more\nmaxretry = 3\nfindtime = 1h\nbantime = 1d12h\nfailregex = %(known/failregex)s\n   ^worst <HOST>$\n";
        let (jails, notices) = jails(&[FILTER, ("jail.conf", conf), ("jail.local", local)]).unwrap();
        let [jail] = jails.as_slice() else { panic!("{jails:?}") };
        assert_eq!(jail.filter.fail_texts().collect::<Vec<_>>(), ["^bad <HOST>$", "^worse <HOST>$", "^worst <HOST>$"]);
        assert_eq!((jail.retries, jail.window, jail.duration), (3, Duration::from_secs(3_600), Duration::from_secs(129_600)));
        assert_eq!(jail.logpaths, ["/var/log/a*.log", "/var/log/b"]);
        assert_eq!(
            jail.actions.iter().map(|action| (action.name.as_str(), action.blocks)).collect::<Vec<_>>(),
            [("nftables-multiport", true), ("mail-whois", false)]
        );
        assert_eq!(jail.actions[0].options["port"], "ssh");
        assert!(
            jail.lets_off("127.9.9.9".parse().unwrap())
                && jail.lets_off("2001:db8::1".parse().unwrap())
                && !jail.lets_off("192.0.2.1".parse().unwrap())
        );
        assert!(jail.wants_file("/var/log/a1.log") && !jail.wants_file("/var/log/a/1.log"));
        let said: Vec<&str> = notices.iter().map(|notice| notice.message.as_str()).collect();
        assert!(said.iter().any(|text| text.contains("gw.example.com")) && said.iter().any(|text| text.contains("mail-whois")), "{said:?}");
    }

    #[test]
    fn what_is_wrong_is_named_for_all_jails() {
        let conf = "[t]\nenabled = true\nfilter = t\nmaxretry = some\n[u]\nenabled = true\nfilter = gone\n[v]\nenabled = maybe\n";
        let problems = jails(&[FILTER, ("jail.conf", conf)]).unwrap_err();
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "/f/jail.conf:4: [t] maxretry: `some` is no number",
                "/f/filter.d/gone.conf: there is no such file",
                "/f/jail.conf:9: [v] enabled: `maybe` is neither true nor false"
            ]
        );
    }

    fn jail(options: &str) -> Jail {
        let conf = format!("[t]\nenabled = true\nfilter = t\nlogpath = /x\n{options}");
        jails(&[FILTER, ("jail.conf", &conf)]).unwrap().0.remove(0)
    }

    #[test]
    fn failures_within_the_window_count() {
        let mut jail = jail("maxretry = 3\nfindtime = 100\nbantime = 50\n");
        let mut count = |id: &str, at: u64| jail.count(id, Time::from_secs(at));
        assert_eq!(count("a", 1_000), (1, None));
        assert_eq!(count("a", 1_090), (2, None));
        assert_eq!(count("b", 1_091), (1, None));
        assert_eq!(count("a", 1_101), (2, None), "the first is too long ago");
        let (number, wish) = count("a", 1_190);
        let wish = wish.unwrap();
        assert_eq!(
            (number, wish.action.as_ref(), wish.duration, wish.why.as_str()),
            (3, "block", Some(Duration::from_secs(50)), "jail t: 3 failures in 100 s")
        );
        assert_eq!(count("a", 1_190), (1, None), "it begins anew");
        let mut asking = self::jail("maxretry = 1\nignorecommand = /bin/friend <ip>\n");
        assert_eq!(asking.count("a", Time::EPOCH), (1, None), "a friend nobody is asked about");
    }

    #[test]
    fn times_are_not_the_jail_s_to_grow() {
        let mut jail = jail("maxretry = 1\nbantime = 60\nbantime.increment = true\nbantime.multipliers = 1 5 30\nbantime.maxtime = 1d\n");
        let times: Vec<u64> = (0..3).map(|at| jail.count("a", Time::from_secs(at)).1.unwrap().duration.unwrap().as_secs()).collect();
        assert_eq!(times, [60, 60, 60], "the policy multiplies them");
        let increment = jail.increment.unwrap();
        assert_eq!((increment.multipliers, increment.longest), (vec![1.0, 5.0, 30.0], Some(Duration::from_secs(86_400))));
    }

    #[test]
    fn paths_are_matched_as_a_shell_does() {
        for (pattern, path, wanted) in [
            ("/var/log/*/a?.log", "/var/log/x/a1.log", true),
            ("/var/log/*/a?.log", "/var/log/x/y/a1.log", false),
            ("/var/log/*.log", "/var/log/.log", true),
            ("/l/[a-c]*[!9]", "/l/bx8", true),
            ("/l/[a-c]*[!9]", "/l/bx9", false),
            ("/l/[", "/l/[", true),
            ("*a*b*c", "xaxbxbxc", true),
            ("/l/*", "/l/a/b", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), path.as_bytes()), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn what_blocks_is_known_by_name() {
        assert!(
            ["iptables", "iptables-allports", "nftables-multiport", "ufw", "firewallcmd-rich-rules", "osx-afctl"]
                .map(blocks)
                .iter()
                .all(|yes| *yes)
        );
        assert!(["mail", "sendmail-whois", "cloudflare", "abuseipdb", "pfsense"].map(blocks).iter().all(|yes| !*yes));
    }
}
