//! The configuration: what was typed ([`raw`]) becomes what it means ([`Config`]), or one clear line for each thing
//! that is wrong. Never half: a configuration with an error changes nothing. Opens its own file and the system's time
//! zones, and nothing else.

pub mod alert;
mod canonical;
mod capture;
pub mod feed;
pub mod guard;
mod lines;
pub mod lookups;
pub mod placeholder;
pub mod problems;
mod raw;
mod read;
mod read_policy;
pub use read::{PATTERNS_MAX, pattern};
mod fingerprint;
pub mod respond;
pub mod response;
mod signatures;
pub mod words;

#[cfg(test)]
mod tests;

pub use alert::AlertConfig;
pub use capture::CaptureConfig;
use detect::config::ScanConfig;
pub use fingerprint::FingerprintConfig;
pub use guard::GuardConfig;
use jiff::tz::TimeZone;
use policy::config::PolicyConfig;
use problems::{Diagnostic, Problems};
use raw::{RawConfig, Section};
pub use respond::RespondConfig;
use sense::firewall::Wanted;
pub use signatures::SignaturesConfig;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use words::Word;

/// Where the configuration is if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/riposte/riposte.toml";
/// Bytes of a configuration file. A longer one is refused.
const FILE_BYTES: u64 = 4 << 20;

/// Everything riposte can be told. The default protects a host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Where the ledger and the history are kept, and for how long.
    pub store: StoreConfig,
    /// The control socket.
    pub control: ControlConfig,
    /// The processes.
    pub process: ProcessConfig,
    /// Packets from the kernel.
    pub nflog: NflogConfig,
    /// Packets before any filter.
    pub capture: CaptureConfig,
    /// Which packets of firewall logs count.
    pub lines: Wanted,
    /// Firewall logs, in the file's order.
    pub logs: Vec<LogSource>,
    /// Application logs.
    pub applications: ApplicationsConfig,
    /// Signatures on packets.
    pub signatures: SignaturesConfig,
    /// Guesses at senders' systems.
    pub fingerprint: FingerprintConfig,
    /// Guarded ports.
    pub guard: GuardConfig,
    /// The scan detectors.
    pub scan: ScanConfig,
    /// The judge.
    pub policy: PolicyConfig,
    /// Exempt hosts given by name: resolved once, by a process that may.
    pub exempt_names: Vec<String>,
    /// Which exemptions are derived from the system.
    pub derive: DeriveConfig,
    /// Who sets the blocks.
    pub respond: RespondConfig,
    /// What may be run beside them, in the file's order.
    pub responses: Vec<response::ResponseConfig>,
    /// What people elsewhere are told.
    pub alert: AlertConfig,
    /// What registries are asked.
    pub whois: lookups::WhoisConfig,
    /// Names of addresses.
    pub reverse_dns: lookups::ReverseDnsConfig,
    /// Others' lists of attackers, in the file's order.
    pub feeds: Vec<feed::FeedConfig>,
    /// What DShield is told.
    pub dshield: feed::DshieldConfig,
    /// riposte's own log.
    pub log: LoggingConfig,
}

/// Where the ledger and the history are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder.
    pub path: PathBuf,
    /// Days after which history is deleted.
    pub history_days: u32,
    /// Entries above which the oldest history is deleted.
    pub history_max: u64,
    /// Mebibytes of the file above which it is deleted, too.
    pub max_mib: u32,
    /// Hundredths of the disk that must be free for history to be written.
    pub min_free_percent: u8,
}

/// The control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// The socket's path.
    pub socket: PathBuf,
    /// A group that may ask, but not order: orders are root's alone.
    pub group: Option<String>,
}

/// The processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConfig {
    /// The user that the processes without privilege run as.
    pub user: String,
}

/// Packets to ports where nobody listens, handed over by the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NflogConfig {
    /// Whether it is used.
    pub enabled: bool,
    /// The NFLOG group.
    pub group: u16,
    /// Packets a second that the kernel hands over, all sources together.
    pub rate: u32,
    /// Packets above the rate that may come at once.
    pub burst: u32,
    /// Packets a second from one source.
    pub per_source_rate: u32,
    /// Packets above that rate from one source that may come at once.
    pub per_source_burst: u32,
    /// Ports whose established peers are taken for administrators.
    pub ssh_ports: Vec<u16>,
}

/// Where a followed log is read from at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAt {
    /// Only what is written from now on.
    #[default]
    End,
    /// From the first line that is there.
    Start,
}

/// Where syslog datagrams arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogSocket {
    /// A unix datagram socket that riposte makes.
    Unix(PathBuf),
    /// UDP on a loopback address.
    Udp(SocketAddr),
}

/// The zone of timestamps that have none of their own; `None` is the system's.
pub type Zone = Option<TimeZone>;

/// One firewall log.
#[derive(Debug, Clone, PartialEq)]
pub enum LogSource {
    /// A file that is followed through rotation.
    File {
        /// Its path. It may appear later.
        path: PathBuf,
        /// Where to begin.
        from: StartAt,
        /// Of timestamps without one.
        timezone: Zone,
    },
    /// A named pipe.
    Pipe {
        /// Its path.
        path: PathBuf,
        /// Of timestamps without one.
        timezone: Zone,
    },
    /// The kernel's own ring, `/dev/kmsg`.
    Kmsg {
        /// Where to begin.
        from: StartAt,
    },
    /// The systemd journal, kernel messages only.
    Journal {
        /// Where to begin.
        from: StartAt,
    },
    /// A syslog socket.
    Syslog {
        /// Where.
        socket: SyslogSocket,
        /// Of timestamps without one.
        timezone: Zone,
    },
}

/// Logs of services, and the rules for them. All of them are read by one process.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationsConfig {
    /// Whether they are read at all.
    pub enabled: bool,
    /// Full paths of files; `*`, `?` and `[…]` in a name stand for what they do in a shell. What isn't there may appear later.
    pub files: Vec<String>,
    /// Whether the journal is read.
    pub journal: JournalUse,
    /// A syslog socket that riposte makes.
    pub syslog: Option<PathBuf>,
    /// A named pipe.
    pub pipe: Option<PathBuf>,
    /// Files and folders with rules, beside riposte's own.
    pub rules: Vec<PathBuf>,
    /// Where a file is read from that riposte has never read and that is there at its start.
    pub from: StartAt,
    /// Of timestamps without one.
    pub timezone: Zone,
}

/// When the journal is read for application logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalUse {
    /// If there is no file into which a syslog daemon writes what sshd says.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// Which exemptions are derived from the system, at start and when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeriveConfig {
    /// The host's own addresses.
    pub own: bool,
    /// The default gateways.
    pub gateways: bool,
    /// The resolvers.
    pub resolvers: bool,
    /// The time servers.
    pub time_servers: bool,
    /// The peers of SSH sessions that stand.
    pub admin: bool,
}

/// riposte's own log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoggingConfig {
    /// The least important line that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub target: LogTarget,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// Standard error.
    #[default]
    Stderr,
    /// The systemd journal at this socket, with fields of their own.
    Journal(PathBuf),
    /// This file.
    File(PathBuf),
}

/// The kinds of target, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum TargetKind {
    #[default]
    Stderr,
    Journal,
    File,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Cannot go on.
    Error,
    /// Degraded.
    Warn,
    /// A block set or lifted.
    #[default]
    Info,
    /// An event.
    Debug,
    /// A packet.
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The kinds of firewall log, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogKind {
    File,
    Pipe,
    Kmsg,
    Journal,
    Syslog,
}

macro_rules! word {
    ($name:ident: $($choice:ident = $word:literal),*) => {
        impl Word for $name {
            const ALL: &'static [Self] = &[$($name::$choice),*];
            fn word(self) -> &'static str {
                match self { $($name::$choice => $word),* }
            }
        }
    };
}

word!(JournalUse: Auto = "auto", Always = "always", Never = "never");
word!(StartAt: End = "end", Start = "start");
word!(LogLevel: Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace");
word!(TargetKind: Stderr = "stderr", Journal = "journal", File = "file");
word!(LogFormat: Text = "text", Json = "json");
word!(LogKind: File = "file", Pipe = "pipe", Kmsg = "kmsg", Journal = "journal", Syslog = "syslog");

impl LogLevel {
    /// The word for it, as `tracing` reads it too.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig { path: "/var/lib/riposte".into(), history_days: 90, history_max: 1_000_000, max_mib: 2_048, min_free_percent: 5 }
    }
}

impl Default for ControlConfig {
    fn default() -> Self {
        ControlConfig { socket: "/run/riposte/control.sock".into(), group: None }
    }
}

impl Default for ProcessConfig {
    fn default() -> Self {
        ProcessConfig { user: "riposte".to_owned() }
    }
}

impl Default for NflogConfig {
    fn default() -> Self {
        NflogConfig {
            enabled: true,
            group: 1741,
            rate: 2_000,
            // Ten thousand senders at once are heard, one packet each, with as much again to spare; the socket's buffer holds four times that.
            burst: 20_000,
            per_source_rate: 100,
            per_source_burst: 400,
            ssh_ports: vec![22],
        }
    }
}

/// What services log into on the usual distributions.
const APPLICATION_LOGS: [&str; 18] = [
    "/var/log/auth.log",
    "/var/log/secure",
    "/var/log/messages",
    "/var/log/syslog",
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/nginx/*.log",
    "/var/log/apache2/*.log",
    "/var/log/httpd/*_log",
    "/var/log/exim4/*log",
    "/var/log/dovecot*.log",
    "/var/log/vsftpd.log",
    "/var/log/proftpd/*.log",
    "/var/log/mysql/error.log",
    "/var/log/mariadb/*.log",
    "/var/log/postgresql/*.log",
    "/var/log/asterisk/messages",
    "/var/log/xrdp-sesman.log",
];

impl Default for ApplicationsConfig {
    fn default() -> Self {
        ApplicationsConfig {
            enabled: true,
            files: APPLICATION_LOGS.map(str::to_owned).to_vec(),
            journal: JournalUse::Auto,
            syslog: None,
            pipe: None,
            rules: Vec::new(),
            from: StartAt::End,
            timezone: None,
        }
    }
}

impl Default for DeriveConfig {
    fn default() -> Self {
        DeriveConfig { own: true, gateways: true, resolvers: true, time_servers: true, admin: true }
    }
}

impl Config {
    /// Reads a file. A file that is not there is an error: who names one means it.
    pub fn load(path: &Path) -> Result<Config, Vec<Diagnostic>> {
        let name = path.display().to_string();
        let whole = |message: String| vec![Diagnostic { file: name.clone(), at: None, message }];
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| whole(format!("cannot be read: {}", plain(&error))))?;
        if bytes.len() as u64 > FILE_BYTES {
            return Err(whole(format!("is longer than {FILE_BYTES} bytes: that is no configuration")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Config::parse(&text, &name),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let at = Some(problems::position(&text, valid));
                Err(vec![Diagnostic { file: name, at, message: "this is not UTF-8 text".to_owned() }])
            }
        }
    }

    /// Reads [`DEFAULT_PATH`] if it is there; else everything is as by default.
    pub fn load_default() -> Result<Config, Vec<Diagnostic>> {
        let path = Path::new(DEFAULT_PATH);
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
            // Anything else, a dangling link too, is there and has to be read.
            Ok(_) | Err(_) => Config::load(path),
        }
    }

    /// Reads a text; `name` stands in the diagnostics as the file's.
    pub fn parse(text: &str, name: &str) -> Result<Config, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let (document, errors) = DeTable::parse_recoverable(text);
        say_syntax(text, &errors, &mut problems);
        // What a broken text seems to say would only bring errors that are none.
        if errors.is_empty() {
            let raw = RawConfig::read_table(document.get_ref(), &mut problems);
            let config = read::config(raw, &mut problems);
            if problems.count() == 0 {
                return Ok(config);
            }
        }
        Err(problems.into_diagnostics(name, text))
    }

    /// The part that the court needs.
    pub fn court(&self) -> court::settings::Settings {
        let StoreConfig { history_days: days, history_max: entries_max, max_mib, .. } = self.store;
        let retention = store::tidy::Retention { days, entries_max, bytes_max: u64::from(max_mib) << 20 };
        let has_table = self.respond.has_kernel() || self.respond.is_null();
        court::settings::Settings {
            scan: self.scan.clone(),
            policy: PolicyConfig {
                lists: self.feeds.iter().filter(|feed| feed.enabled).map(|feed| feed.policy(has_table)).collect(),
                ..self.policy.clone()
            },
            responses: self.responses.iter().map(response::ResponseConfig::court).collect(),
            retention,
            ledger: Some(self.store.path.join("riposte.db")),
        }
    }

    /// The whole configuration as it is meant, every key with its value. Reads again as an equal one.
    pub fn canonical(&self) -> String {
        canonical::text(self)
    }
}

/// Says what is no TOML. One slip (a bracket left open) makes the parser stumble over all that follows, so each
/// statement is parsed for itself and its first error said; what only the whole has (a key twice) is said if nothing else is.
/// Where a file that is wrong elsewhere says that the daemon is to be asked; `None` if that can't be made out.
pub fn socket_in(named: Option<&Path>) -> Option<PathBuf> {
    let text = std::fs::read_to_string(named.unwrap_or(Path::new(DEFAULT_PATH))).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let socket = table.get("control").and_then(|control| control.get("socket")?.as_str());
    Some(socket.map_or_else(|| ControlConfig::default().socket, PathBuf::from))
}

fn say_syntax(text: &str, errors: &[toml::de::Error], problems: &mut Problems) {
    if errors.is_empty() {
        return;
    }
    let mut say = |start: usize, error: &toml::de::Error| {
        let at = start + error.span().map_or(0, |span| span.start);
        problems.say(at, format!("this is not TOML: {}", error.message().replace('\n', "; ")));
    };
    let mut found = false;
    for (start, statement) in statements(text) {
        if let Err(error) = DeTable::parse(statement) {
            say(start, &error);
            found = true;
        }
    }
    if !found {
        errors.iter().for_each(|error| say(0, error));
    }
}

/// Cuts a text before each line that begins like a section or a key; the pieces with their byte offsets.
fn statements(text: &str) -> Vec<(usize, &str)> {
    let begins = |line: &str| {
        let line = line.trim_start();
        let word = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        line.starts_with('[') || (word.len() < line.len() && word.trim_start().starts_with('='))
    };
    let mut cuts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && begins(line) {
            cuts.push(at);
        }
        at += line.len();
    }
    let ends = cuts[1..].iter().copied().chain([text.len()]).collect::<Vec<_>>();
    cuts.into_iter().zip(ends).map(|(from, to)| (from, &text[from..to])).collect()
}

/// An I/O error without Rust's `(os error 2)`.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
