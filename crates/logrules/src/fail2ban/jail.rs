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
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
/// fail2ban's own formula for growing times, without white space.
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

/// How times grow with each block of the same address.
#[derive(Debug, Clone, PartialEq)]
pub struct Increment {
    /// Times this at each one; the last one goes on. Empty: twice as long each time.
    pub multipliers: Vec<f64>,
    /// Times this.
    pub factor: f64,
    /// Never longer.
    pub longest: Option<Duration>,
    /// Blocks by other jails count too.
    pub all_jails: bool,
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
    /// How that grows.
    pub increment: Option<Increment>,
    /// Who is let off.
    pub ignored: Vec<Prefix>,
    /// What is done.
    pub actions: Vec<Action>,
    /// `usedns`.
    pub names: String,
    /// How far its addresses are to be believed.
    pub trust: Trust,
    counted: Table<VecDeque<Time>>,
    blocked: Table<u32>,
}

impl Jail {
    /// Reads the jails of a configuration that are enabled: `DIR/jail.conf` and what belongs to it.
    ///
    /// # Errors
    /// Everything that can't be understood, in all jails.
    pub fn read_all(dir: &Path, files: Files<'_>) -> Result<(Vec<Jail>, Vec<Notice>), Vec<Problem>> {
        let mut ini = Ini::with(&[("fail2ban_confpath", &dir.display().to_string()), ("fail2ban_version", "1.1.0")]);
        ini.read_set(&dir.join("jail"), files).map_err(|problem| vec![problem])?;
        let (mut jails, mut notices, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for section in ini.sections() {
            let reading = Reading { ini: &ini, section, vars: BTreeMap::new() };
            match reading.flag("enabled", false) {
                Ok(true) => match Jail::read(reading, dir, files, &mut notices) {
                    Ok(jail) => jails.push(jail),
                    Err(wrong) => problems.extend(wrong),
                },
                Ok(false) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok((jails, notices)) } else { Err(problems) }
    }

    fn read(mut reading: Reading<'_>, dir: &Path, files: Files<'_>, notices: &mut Vec<Notice>) -> Result<Jail, Vec<Problem>> {
        let one = |problem: Problem| vec![problem];
        let name = reading.section.to_owned();
        let mut notice = |message: String| notices.push(Notice { about: name.clone(), message });
        let backend = reading.text("backend").map_err(one)?;
        let filter_text = reading.text("filter").map_err(one)?.replace('\n', " ");
        let logtype = if backend.starts_with("systemd") { "journal" } else { "file" };
        let mut written = match filter_text.as_str() {
            "" => Written { name: name.clone(), ..Written::default() },
            text => Written::read(text, &[("logtype", logtype)], dir, files).map_err(one)?,
        };
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
            let logpaths: Vec<String> = match backend.starts_with("systemd") {
                true => Vec::new(),
                false => reading
                    .text("logpath")?
                    .lines()
                    .map(|line| line.trim())
                    .map(|line| line.strip_suffix(" tail").or(line.strip_suffix(" head")).unwrap_or(line).trim().to_owned())
                    .filter(|path| !path.is_empty())
                    .collect(),
            };
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
                    Some(Increment {
                        multipliers,
                        factor: number("bantime.factor", 1.0)?,
                        longest,
                        all_jails: reading.flag("bantime.overalljails", false)?,
                    })
                }
            };
            Ok(Jail {
                name: name.as_str().into(),
                trust: if FORGEABLE.contains(&filter.name.as_ref()) { Trust::Spoofable } else { Trust::Vouched },
                journal: backend.starts_with("systemd")
                    || (backend.is_empty() || backend == "auto") && logpaths.is_empty() && filter.has_journal(),
                filter: filter.clone(),
                filter_text: filter_text.clone(),
                logpaths,
                zone: reading.text("logtimezone")?,
                retries,
                window: Duration::from_secs_f64(window.min(FOR_EVER.as_secs_f64())),
                duration: span(bantime),
                increment,
                ignored: Vec::new(),
                actions: Vec::new(),
                names: reading.text("usedns")?,
                counted: Table::new(COUNTED_MAX),
                blocked: Table::new(COUNTED_MAX),
            })
        };
        let mut jail = read(&reading).map_err(one)?;
        if jail.duration == FOR_EVER {
            notice("bantime without end: as long as the policy allows".to_owned());
        }
        for word in reading.text("ignoreip").map_err(one)?.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()) {
            match word.parse::<Prefix>() {
                Ok(prefix) => jail.ignored.push(prefix),
                Err(_) => {
                    notice(format!("ignoreip `{word}` is no address: not honoured; list it in the policy's `exempt`, which resolves names"))
                }
            }
        }
        if !reading.flag("ignoreself", true).map_err(one)? {
            notice("ignoreself = false is not honoured: the host's own addresses are never blocked".to_owned());
        }
        for (option, why) in [
            ("ignorecommand", "no command decides who is let off; use `ignoreip` or the policy's `exempt`"),
            ("ignorecache", "there is nothing to remember without ignorecommand"),
            ("bantime.rndtime", "times are not random"),
        ] {
            let text = reading.text(option).map_err(one)?;
            if !text.is_empty() {
                notice(format!("{option} `{}` is not honoured: {why}", text.replace('\n', " ")));
            }
        }
        let formula: String = reading.text("bantime.formula").map_err(one)?.split_whitespace().collect();
        if !formula.is_empty() && formula != FORMULA && jail.increment.is_some() {
            notice("bantime.formula is not fail2ban's own: not honoured, times double as they do by default".to_owned());
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
            actions: Vec::new(),
            names: "warn".to_owned(),
            trust: Trust::Vouched,
            counted: Table::new(COUNTED_MAX),
            blocked: Table::new(COUNTED_MAX),
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
        let before = self.blocked.at(id.as_bytes(), || 0);
        let earlier = *before;
        *before = before.saturating_add(1);
        let action = match self.actions.iter().find(|action| action.blocks).or(self.actions.first()) {
            Some(action) if !action.blocks => action.name.as_str().into(),
            _ => Arc::from("block"),
        };
        let why = format!("jail {}: {count} failure{} in {}", self.name, if count == 1 { "" } else { "s" }, brief(window));
        (count, Some(Wish { action, duration: Some(self.grown(earlier)), why, repeated: Vec::new(), first: None, further: Vec::new() }))
    }

    /// Somebody was blocked by another jail: the next time here is longer.
    pub fn note_block(&mut self, id: &str) {
        if self.increment.as_ref().is_some_and(|increment| increment.all_jails) {
            let before = self.blocked.at(id.as_bytes(), || 0);
            *before = before.saturating_add(1);
        }
    }

    /// How long, after so many earlier blocks.
    fn grown(&self, earlier: u32) -> Duration {
        let Some(increment) = &self.increment else { return self.duration };
        if self.duration == FOR_EVER {
            return FOR_EVER;
        }
        let times = match increment.multipliers.get(earlier as usize).or(increment.multipliers.last()) {
            Some(times) => *times,
            None => f64::from(1u32 << earlier.min(20)),
        };
        let seconds = (self.duration.as_secs_f64() * times * increment.factor).clamp(0.0, FOR_EVER.as_secs_f64());
        let grown = Duration::from_secs_f64(seconds);
        increment.longest.map_or(grown, |longest| grown.min(longest))
    }

    /// Addresses that gave way to newer ones.
    pub fn evicted(&self) -> u64 {
        self.counted.evicted + self.blocked.evicted
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
    }

    #[test]
    fn times_grow_with_every_block() {
        let times = |options: &str, number: usize| {
            let mut jail = jail(&format!("maxretry = 1\nbantime = 60\nbantime.increment = true\n{options}"));
            (0..number).map(|at| jail.count("a", Time::from_secs(at as u64)).1.unwrap().duration.unwrap().as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(times("", 5), [60, 120, 240, 480, 960]);
        assert_eq!(times("bantime.factor = 2\nbantime.maxtime = 5m\n", 4), [120, 240, 300, 300]);
        assert_eq!(times("bantime.multipliers = 1 5 30\n", 4), [60, 300, 1_800, 1_800]);
        assert_eq!(times("", 30).last(), Some(&(60 << 20)));
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
