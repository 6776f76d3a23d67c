//! What the typed values mean, and which of them are impossible. Never opens anything but the system's time zones.

use super::problems::Problems;
use super::raw::{Given, GivenList, RawApplications, RawConfig, RawNflog, RawSource};
use super::read_policy::{derive, policy};
use super::words::{Period, Word, did_you_mean, is_account_name, quoted};
use super::{
    ApplicationsConfig, Config, ControlConfig, LogKind, LogSource, LogTarget, LoggingConfig, NflogConfig, ProcessConfig, StoreConfig,
    SyslogSocket, TargetKind, Zone,
};
use detect::config::{DistributedConfig, ScanConfig, SequentialConfig};
use jiff::tz::{Offset, TimeZone};
use policy::config::PolicyConfig;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of a unix socket's path: `sun_path` without its closing zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;
/// Logs that are followed at one time. Each costs the warden a descriptor and a sensor a slot.
const LOGS_MAX: usize = 32;
/// What is wrong with a log that stands in two places.
const TWICE: &str = "stands there twice: what two read would count twice";
/// Where systemd-journald listens, and where riposte's own log is kept if nobody says otherwise.
const JOURNAL: &str = "/run/systemd/journal/socket";
const LOG_FILE: &str = "/var/log/riposte/riposte.log";
/// Patterns of application logs, and places of rules.
pub const PATTERNS_MAX: usize = 512;
const RULES_MAX: usize = 64;
/// The most sources that may be followed at one time.
const TRACKED_MAX: i64 = 16 << 20;

/// The whole configuration; what is wrong is said, and stands as its default meanwhile.
pub fn config(raw: RawConfig, problems: &mut Problems) -> Config {
    let default = Config::default();
    let store = raw.store.unwrap_or_default();
    let control = raw.control.unwrap_or_default();
    let process = raw.process.unwrap_or_default();
    let sense = raw.sense.unwrap_or_default();
    let log = raw.log.unwrap_or_default();
    let (policy, exempt_names, derived) = {
        let mut raw = raw.policy.unwrap_or_default();
        let derived = derive(raw.derive.take().unwrap_or_default());
        let (policy, names) = policy(raw, problems);
        (policy, names, derived)
    };
    let mut meaning = Meaning { problems };
    let nflog = meaning.nflog(sense.nflog.unwrap_or_default());
    let capture = meaning.capture(sense.capture.unwrap_or_default(), &nflog);
    let (guard, touch, touch_blocks) = meaning.guard(raw.guard.unwrap_or_default(), &nflog);
    let alert = meaning.alert(raw.alert.unwrap_or_default());
    Config {
        store: StoreConfig {
            path: meaning.path(store.path, default.store.path),
            history_days: meaning.number(&store.history_days, 1..=36_500, default.store.history_days),
            history_max: meaning.number(&store.history_max, 1..=1_000_000_000, default.store.history_max),
            max_mib: meaning.number(&store.max_mib, 16..=1_048_576, default.store.max_mib),
            min_free_percent: meaning.number(&store.min_free_percent, 0..=50, default.store.min_free_percent),
        },
        control: ControlConfig {
            socket: meaning.socket_path(control.socket, default.control.socket),
            group: control.group.map(|group| meaning.account(group)),
        },
        process: ProcessConfig { user: process.user.map_or(default.process.user, |user| meaning.user(user)) },
        nflog,
        capture,
        lines: meaning.lines(sense.lines.unwrap_or_default()),
        logs: meaning.logs(sense.log.unwrap_or_default()),
        applications: meaning.applications(raw.applications.unwrap_or_default()),
        signatures: meaning.signatures(raw.signatures.unwrap_or_default()),
        fingerprint: meaning.fingerprint(raw.fingerprint.unwrap_or_default()),
        guard,
        scan: ScanConfig { touch, ..meaning.scan(raw.scan.unwrap_or_default()) },
        policy: PolicyConfig { touch_blocks, ..policy },
        exempt_names,
        derive: derived,
        respond: meaning.respond(raw.respond.unwrap_or_default()),
        responses: meaning.responses(raw.response.unwrap_or_default()),
        whois: meaning.whois(raw.whois),
        reverse_dns: meaning.reverse_dns(raw.reverse_dns),
        feeds: meaning.feeds(raw.feed.unwrap_or_default()),
        dshield: meaning.dshield(raw.dshield.unwrap_or_default(), &alert),
        alert,
        log: LoggingConfig {
            level: meaning.word(log.level).unwrap_or_default(),
            format: meaning.word(log.format).unwrap_or_default(),
            target: meaning.target(log.target, log.path),
        },
    }
}

/// The place of the first value that was given at all; cross-checks between keys point there.
pub fn place(places: &[Option<usize>]) -> usize {
    places.iter().flatten().next().copied().unwrap_or(0)
}

/// The place of a value, if it was given.
pub fn at<T>(given: &Option<Given<T>>) -> Option<usize> {
    given.as_ref().map(|given| given.at)
}

/// Turns single values into what they mean.
pub struct Meaning<'p> {
    /// Where problems are said.
    pub problems: &'p mut Problems,
}

impl Meaning<'_> {
    /// Says what is wrong with one value.
    pub fn wrong<T>(&mut self, given: &Given<T>, message: impl std::fmt::Display) {
        self.problems.say(given.at, format!("{}: {message}", given.what));
    }

    /// A whole number within a range.
    pub fn number<T: TryFrom<i64>>(&mut self, given: &Option<Given<i64>>, range: RangeInclusive<i64>, default: T) -> T {
        let Some(given) = given else { return default };
        match T::try_from(given.value) {
            Ok(number) if range.contains(&given.value) => number,
            Ok(_) | Err(_) => {
                self.wrong(given, format!("{} is not within {} to {}", given.value, range.start(), range.end()));
                default
            }
        }
    }

    /// A length of time within a range.
    pub fn period(&mut self, given: &Option<Given<String>>, range: RangeInclusive<u64>, default: Duration) -> Duration {
        let Some(given) = given else { return default };
        let (least, most) = (Duration::from_secs(*range.start()), Duration::from_secs(*range.end()));
        match given.value.parse::<Period>() {
            Ok(Period(period)) if period >= least && period <= most => return period,
            Ok(period) => self.wrong(given, format!("{period} is not within {} to {}", Period(least), Period(most))),
            Err(error) => self.wrong(given, format!("{} {error}", quoted(&given.value))),
        }
        default
    }

    /// A word among a few.
    pub fn word<W: Word>(&mut self, given: Option<Given<String>>) -> Option<W> {
        let given = given?;
        W::from_word(&given.value).map_err(|message| self.wrong(&given, message)).ok()
    }

    /// A chance: more than 0, less than 1 (or up to 1, for a share).
    fn chance(&mut self, given: &Option<Given<f64>>, whole_too: bool, default: f64) -> f64 {
        let Some(given) = given else { return default };
        if given.value > 0.0 && (given.value < 1.0 || whole_too && given.value == 1.0) {
            return given.value;
        }
        self.wrong(
            given,
            format!("{} is no {}", given.value, if whole_too { "share: above 0, up to 1" } else { "chance: above 0, below 1" }),
        );
        default
    }

    /// Five whole numbers, each more than the one before.
    fn rising<T: TryFrom<i64>>(&mut self, given: &Option<GivenList<i64>>, range: RangeInclusive<i64>, default: [T; 5]) -> [T; 5] {
        let Some(given) = given else { return default };
        if given.value.len() != 5 {
            self.wrong(given, format!("five numbers are wanted, one for each danger level, not {}", given.value.len()));
            return default;
        }
        if let Some(pair) = given.value.windows(2).find(|pair| pair[1].value <= pair[0].value) {
            self.wrong(&pair[1], format!("the thresholds must rise: {} is not more than {}", pair[1].value, pair[0].value));
            return default;
        }
        if let Some(outside) = given.value.iter().find(|entry| !range.contains(&entry.value)) {
            self.wrong(outside, format!("{} is not within {} to {}", outside.value, range.start(), range.end()));
            return default;
        }
        let numbers: Vec<T> = given.value.iter().filter_map(|entry| T::try_from(entry.value).ok()).collect();
        <[T; 5]>::try_from(numbers).unwrap_or(default)
    }

    pub(super) fn path(&mut self, given: Option<Given<String>>, default: PathBuf) -> PathBuf {
        let Some(given) = given else { return default };
        if !given.value.starts_with('/') {
            self.wrong(
                &given,
                format!("{} must start with '/': the daemon's own folder is not where you typed this", quoted(&given.value)),
            );
            return default;
        }
        if given.value.chars().any(char::is_control) || given.value.len() > 4_095 {
            self.wrong(&given, format!("{} is no path: it has control characters or is too long", quoted(&given.value)));
            return default;
        }
        given.value.into()
    }

    pub(super) fn socket_path(&mut self, given: Option<Given<String>>, default: PathBuf) -> PathBuf {
        if let Some(given) = given.as_ref().filter(|given| given.value.len() > SOCKET_PATH_BYTES) {
            self.wrong(given, format!("a socket's path has at most {SOCKET_PATH_BYTES} bytes, this one has {}", given.value.len()));
            return default;
        }
        self.path(given, default)
    }

    /// Where lines go, and the place for it.
    fn target(&mut self, kind: Option<Given<String>>, path: Option<Given<String>>) -> LogTarget {
        match self.word::<TargetKind>(kind).unwrap_or_default() {
            TargetKind::Stderr => {
                if let Some(path) = path {
                    self.wrong(&path, "only target = \"journal\" and \"file\" have a path");
                }
                LogTarget::Stderr
            }
            TargetKind::Journal => LogTarget::Journal(self.socket_path(path, JOURNAL.into())),
            TargetKind::File => LogTarget::File(self.path(path, LOG_FILE.into())),
        }
    }

    pub(super) fn account(&mut self, given: Given<String>) -> String {
        if !is_account_name(&given.value) {
            self.wrong(&given, format!("{} is no name of a user or group", quoted(&given.value)));
        }
        given.value
    }

    fn user(&mut self, given: Given<String>) -> String {
        if given.value == "root" {
            self.wrong(&given, "root is refused: these processes read hostile bytes and must have no privilege");
        }
        self.account(given)
    }

    fn nflog(&mut self, raw: RawNflog) -> NflogConfig {
        let default = NflogConfig::default();
        let before = self.problems.count();
        let config = NflogConfig {
            enabled: raw.enabled.map_or(default.enabled, |given| given.value),
            group: self.number(&raw.group, 1..=65_535, default.group),
            rate: self.number(&raw.rate, 1..=1_000_000, default.rate),
            burst: self.number(&raw.burst, 1..=1_000_000, default.burst),
            per_source_rate: self.number(&raw.per_source_rate, 1..=1_000_000, default.per_source_rate),
            per_source_burst: self.number(&raw.per_source_burst, 1..=1_000_000, default.per_source_burst),
            ssh_ports: raw.ssh_ports.map_or(default.ssh_ports, |ports| self.ports(ports)),
        };
        if self.problems.count() == before && config.per_source_rate > config.rate {
            let message = format!(
                "[sense.nflog] per_source_rate: {} for one source is more than rate = {} for all",
                config.per_source_rate, config.rate
            );
            self.problems.say(place(&[at(&raw.per_source_rate), at(&raw.rate)]), message);
        }
        config
    }

    fn ports(&mut self, given: GivenList<i64>) -> Vec<u16> {
        let mut ports: Vec<u16> = Vec::new();
        if given.value.len() > 16 {
            self.wrong(&given, format!("at most 16 ports, not {}", given.value.len()));
        }
        for entry in given.value {
            match u16::try_from(entry.value) {
                Ok(port) if port > 0 && !ports.contains(&port) => ports.push(port),
                Ok(port) if port > 0 => self.wrong(&entry, format!("{port} stands there twice")),
                Ok(_) | Err(_) => self.wrong(&entry, format!("{} is no port (1 to 65535)", entry.value)),
            }
        }
        ports
    }

    fn logs(&mut self, raw: Vec<(usize, RawSource)>) -> Vec<LogSource> {
        if let Some((at, _)) = raw.get(LOGS_MAX) {
            self.problems.say(*at, format!("[[sense.log]]: at most {LOGS_MAX} of them, not {}", raw.len()));
            return Vec::new();
        }
        let mut logs: Vec<LogSource> = Vec::new();
        for (at, source) in raw {
            let place = source.path.clone().or_else(|| source.listen.clone());
            let Some(log) = self.log(at, source) else { continue };
            if logs.iter().any(|other| is_one(other, &log)) {
                match place {
                    Some(place) => self.wrong(&place, format!("{} {TWICE}", quoted(&place.value))),
                    None => self.problems.say(at, format!("[[sense.log]]: this log {TWICE}")),
                }
            }
            logs.push(log);
        }
        logs
    }

    /// One log. A key that its kind doesn't have is refused: it would be believed to do something.
    fn log(&mut self, at: usize, mut raw: RawSource) -> Option<LogSource> {
        let Some(kind) = raw.kind.take() else {
            self.problems.say(at, "[[sense.log]]: 'kind' is missing: file, ulogd, pipe, kmsg, journal or syslog".to_owned());
            return None;
        };
        let kind = self.word::<LogKind>(Some(kind))?;
        let source = match kind {
            LogKind::File | LogKind::Ulogd => LogSource::File {
                ulogd: kind == LogKind::Ulogd,
                path: self.log_path(at, raw.path.take(), kind)?,
                from: self.word(raw.from.take()).unwrap_or_default(),
                timezone: self.zone(raw.timezone.take()),
            },
            LogKind::Pipe => LogSource::Pipe { path: self.log_path(at, raw.path.take(), kind)?, timezone: self.zone(raw.timezone.take()) },
            LogKind::Kmsg => LogSource::Kmsg { from: self.word(raw.from.take()).unwrap_or_default() },
            LogKind::Journal => LogSource::Journal { from: self.word(raw.from.take()).unwrap_or_default() },
            LogKind::Syslog => {
                LogSource::Syslog { socket: self.syslog(at, raw.path.take(), raw.listen.take())?, timezone: self.zone(raw.timezone.take()) }
            }
        };
        for extra in [raw.path, raw.listen, raw.from, raw.timezone].into_iter().flatten() {
            self.wrong(&extra, format!("a log of kind \"{}\" has no such key", kind.word()));
        }
        Some(source)
    }

    fn log_path(&mut self, at: usize, given: Option<Given<String>>, kind: LogKind) -> Option<PathBuf> {
        if given.is_none() {
            self.problems.say(at, format!("[[sense.log]]: a log of kind \"{}\" needs a 'path'", kind.word()));
        }
        given.map(|given| self.path(Some(given), PathBuf::new()))
    }

    fn syslog(&mut self, at: usize, path: Option<Given<String>>, listen: Option<Given<String>>) -> Option<SyslogSocket> {
        match (path, listen) {
            (Some(path), None) => Some(SyslogSocket::Unix(self.socket_path(Some(path), PathBuf::new()))),
            (None, Some(listen)) => match listen.value.parse::<SocketAddr>() {
                Ok(addr) if addr.ip().is_loopback() && addr.port() != 0 => Some(SyslogSocket::Udp(addr)),
                Ok(addr) => {
                    self.wrong(&listen, format!("{addr} is no loopback address with a port: anybody could write log lines there"));
                    None
                }
                Err(_) => {
                    self.wrong(&listen, format!("{} is no address and port; write it like \"127.0.0.1:5514\"", quoted(&listen.value)));
                    None
                }
            },
            (Some(_), Some(listen)) => {
                self.wrong(&listen, "either 'path' or 'listen', not both; write a [[sense.log]] for each");
                None
            }
            (None, None) => {
                self.problems.say(at, "[[sense.log]]: a log of kind \"syslog\" needs a 'path' or 'listen'".to_owned());
                None
            }
        }
    }

    fn applications(&mut self, raw: RawApplications) -> ApplicationsConfig {
        let default = ApplicationsConfig::default();
        ApplicationsConfig {
            enabled: raw.enabled.map_or(default.enabled, |given| given.value),
            files: raw.files.map_or(default.files, |files| self.patterns(files)),
            journal: self.word(raw.journal).unwrap_or_default(),
            syslog: raw.syslog.map(|path| self.socket_path(Some(path), PathBuf::new())),
            pipe: raw.pipe.map(|path| self.path(Some(path), PathBuf::new())),
            rules: raw
                .rules
                .map_or(default.rules, |rules| self.few(rules, RULES_MAX).map(|path| self.path(Some(path), PathBuf::new())).collect()),
            from: self.word(raw.from).unwrap_or_default(),
            timezone: self.zone(raw.timezone),
        }
    }

    /// A list that is not too long.
    pub(super) fn few(&mut self, given: GivenList<String>, most: usize) -> std::vec::IntoIter<Given<String>> {
        if given.value.len() > most {
            self.wrong(&given, format!("at most {most}, not {}", given.value.len()));
        }
        given.value.into_iter()
    }

    fn patterns(&mut self, given: GivenList<String>) -> Vec<String> {
        let mut patterns: Vec<String> = Vec::new();
        for entry in self.few(given, PATTERNS_MAX) {
            if let Err(wrong) = pattern(&entry.value) {
                self.wrong(&entry, format!("{} {wrong}", quoted(&entry.value)));
            } else if patterns.contains(&entry.value) {
                self.wrong(&entry, format!("{} stands there twice", quoted(&entry.value)));
            } else {
                patterns.push(self.path(Some(entry), PathBuf::new()).to_string_lossy().into_owned());
            }
        }
        patterns
    }

    /// `UTC`, an offset like `+02:00`, or a name that the system's time zones have.
    fn zone(&mut self, given: Option<Given<String>>) -> Zone {
        let given = given?;
        let zone = match given.value.as_str() {
            "UTC" => Some(TimeZone::UTC),
            text if text.starts_with(['+', '-']) => offset(text).map(TimeZone::fixed),
            // jiff reads names in any case; one spelling only, so that the canonical form is the typed one.
            text => TimeZone::get(text).ok().filter(|zone| zone.iana_name() == Some(text)),
        };
        if zone.is_none() {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
            let near = did_you_mean_exactly(&given.value, &names);
            self.wrong(
                &given,
                format!("{} is no time zone of this system{near}; write \"UTC\", \"+02:00\" or \"Europe/Vienna\"", quoted(&given.value)),
            );
        }
        zone
    }

    fn scan(&mut self, raw: super::raw::RawScan) -> ScanConfig {
        let default = ScanConfig::default();
        let sequential = self.sequential(raw.sequential.unwrap_or_default());
        let distributed = self.distributed(raw.distributed.unwrap_or_default());
        let before = self.problems.count();
        let config = ScanConfig {
            packets: self.rising(&raw.packets, 1..=i64::MAX, default.packets),
            hosts: self.rising(&raw.hosts, 2..=i64::from(u32::MAX), default.hosts),
            port_range: self.number(&raw.port_range, 0..=65_535, default.port_range),
            protocols: self.number(&raw.protocols, 2..=256, default.protocols),
            decay: self.period(&raw.decay, 1..=365 * 86_400, default.decay),
            forget: self.period(&raw.forget, 60..=365 * 86_400, default.forget),
            slow_gap: self.period(&raw.slow_gap, 1..=365 * 86_400, default.slow_gap),
            sequential,
            distributed,
            touch: default.touch,
            match_charges: default.match_charges,
            // Wider prefixes would judge too many strangers together.
            count_by_ipv4: self.number(&raw.count_by_ipv4, 16..=32, default.count_by_ipv4),
            count_by_ipv6: self.number(&raw.count_by_ipv6, 32..=128, default.count_by_ipv6),
            tracked_sources: self.number(&raw.tracked_sources, 1_024..=TRACKED_MAX, default.tracked_sources),
        };
        if self.problems.count() == before && config.slow_gap >= config.forget {
            let message = format!(
                "[scan] slow_gap: {} between two probes is never seen, for a source is forgotten after forget = \"{}\"",
                Period(config.slow_gap),
                Period(config.forget)
            );
            self.problems.say(place(&[at(&raw.slow_gap), at(&raw.forget)]), message);
        }
        config
    }

    fn sequential(&mut self, raw: super::raw::RawSequential) -> SequentialConfig {
        let default = SequentialConfig::default();
        let before = self.problems.count();
        let config = SequentialConfig {
            benign_success: self.chance(&raw.benign_success, false, default.benign_success),
            scanner_success: self.chance(&raw.scanner_success, false, default.scanner_success),
            false_positive: self.chance(&raw.false_positive, false, default.false_positive),
            detection: self.chance(&raw.detection, false, default.detection),
        };
        if self.problems.count() != before {
            return config;
        }
        if config.scanner_success >= config.benign_success {
            let message = format!(
                "[scan.sequential] scanner_success: {} is not less than benign_success = {}: a scanner must fail more often",
                config.scanner_success, config.benign_success
            );
            self.problems.say(place(&[at(&raw.scanner_success), at(&raw.benign_success)]), message);
        }
        if config.false_positive >= config.detection {
            let message = format!(
                "[scan.sequential] false_positive: {} is not less than detection = {}: the benign would be convicted as often as scanners",
                config.false_positive, config.detection
            );
            self.problems.say(place(&[at(&raw.false_positive), at(&raw.detection)]), message);
        }
        config
    }

    fn distributed(&mut self, raw: super::raw::RawDistributed) -> DistributedConfig {
        let default = DistributedConfig::default();
        DistributedConfig {
            sources: self.number(&raw.sources, 2..=65_536, default.sources),
            ports: self.number(&raw.ports, 2..=65_536, default.ports),
            window: self.period(&raw.window, 1..=86_400, default.window),
            fresh_share: self.chance(&raw.fresh_share, true, default.fresh_share),
        }
    }
}

/// Whether this can stand for files: each step of it is a pattern, and none stands for folders without end.
///
/// # Errors
/// What it is instead, to be put behind it.
pub fn pattern(text: &str) -> Result<(), String> {
    if let Some(error) = text.split('/').skip(1).find_map(|step| glob::Pattern::new(step).err()) {
        return Err(format!("is no pattern: {}", error.msg));
    }
    match text.split('/').any(|step| matches!(step, ".." | "**")) {
        true => Err("has '..' or '**', which stand for too much: name the folders".to_owned()),
        false => Ok(()),
    }
}

/// Whether both are one log, whatever its lines are taken for. One that has no right path is none.
pub(super) fn is_one(log: &LogSource, other: &LogSource) -> bool {
    let path = |log: &LogSource| match log {
        LogSource::File { path, .. } | LogSource::Pipe { path, .. } | LogSource::Syslog { socket: SyslogSocket::Unix(path), .. } => {
            Some(path.clone()).filter(|path| path.is_absolute())
        }
        LogSource::Kmsg { .. } | LogSource::Journal { .. } | LogSource::Syslog { .. } => None,
    };
    match (log, other) {
        (LogSource::Kmsg { .. }, LogSource::Kmsg { .. }) | (LogSource::Journal { .. }, LogSource::Journal { .. }) => true,
        (LogSource::Syslog { socket: SyslogSocket::Udp(one), .. }, LogSource::Syslog { socket: SyslogSocket::Udp(two), .. }) => one == two,
        _ => path(log).is_some_and(|one| path(other) == Some(one)),
    }
}

/// `+02:00`, `-0330` or `+02`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let two = |text: &str, most: i32| {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i32>().ok()).flatten().filter(|n| *n <= most)
    };
    Offset::from_seconds(sign * (two(hours, 23)? * 3_600 + two(minutes, 59)? * 60)).ok()
}

/// Time-zone names have capitals and hyphens, which the nearest key has not.
fn did_you_mean_exactly(typed: &str, names: &[String]) -> String {
    let exact = names.iter().find(|name| name.eq_ignore_ascii_case(&typed.replace(' ', "_")));
    match exact {
        Some(name) => format!("; did you mean '{name}'?"),
        None => did_you_mean(typed, names.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::tests::refused;

    #[test]
    fn a_log_that_two_sections_would_read_is_refused() {
        for (one, other, place) in [
            ("file'\npath='/a", "ulogd'\npath='/a", "6:6: [[sense.log]] path: '/a'"),
            ("pipe'\npath='/a", "file'\npath='/a", "6:6: [[sense.log]] path: '/a'"),
            ("syslog'\nlisten='[::1]:9", "syslog'\nlisten='[::1]:9", "6:8: [[sense.log]] listen: '[::1]:9'"),
            ("journal", "journal", "3:1: [[sense.log]]: this log"),
        ] {
            let text = format!("[[sense.log]]\nkind='{one}'\n[[sense.log]]\nkind='{other}'");
            refused(&text, &format!("r.toml:{place} stands there twice: what two read would count twice"));
        }
        let apart = Config::parse("[[sense.log]]\nkind='file'\npath='a'\n[[sense.log]]\nkind='file'\npath='b'", "x").unwrap_err();
        assert!(apart.iter().all(|line| line.to_string().contains("must start with")), "{apart:?}");
    }
}
