//! `[alert]`: what people elsewhere are told, by which ways, and how often at most. Opens nothing.

use super::placeholder::Placeholder;
use super::raw::{Given, GivenList, RawAlert, RawAlertCommand, RawAlertMail, RawAlertSyslog, RawAlertWebhook};
use super::read::{Meaning, at, place};
use super::words::{Word, is_host_name, quoted};
use std::path::PathBuf;
use std::time::Duration;

/// Who gets mail, what a webhook's head has, and what a program's line has at the most.
const RECIPIENTS: usize = 16;
const HEADERS: usize = 32;
const ARGS: usize = 32;
/// Bytes of one of these.
const ENTRY_BYTES: usize = 1_024;

/// The mail server, if nobody names one.
const OWN_SERVER: &str = "127.0.0.1";

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// A source's danger level has risen.
    Level,
    /// A source was blocked, or for longer.
    Block,
    /// A block was lifted before its time.
    Lift,
    /// A block has ended in its time.
    End,
    /// A part of riposte was restarted or does not work as it should, or does again.
    Trouble,
}

impl Word for Tells {
    const ALL: &'static [Self] = &[Tells::Level, Tells::Block, Tells::Lift, Tells::End, Tells::Trouble];
    fn word(self) -> &'static str {
        match self {
            Tells::Level => "level",
            Tells::Block => "block",
            Tells::Lift => "lift",
            Tells::End => "end",
            Tells::Trouble => "trouble",
        }
    }
}

/// How a connection to a mail server is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// In the open first, and not one mail before it is encrypted.
    #[default]
    Starttls,
    /// From the first byte on.
    Tls,
    /// Not at all.
    None,
}

impl Word for Tls {
    const ALL: &'static [Self] = &[Tls::Starttls, Tls::Tls, Tls::None];
    fn word(self) -> &'static str {
        match self {
            Tls::Starttls => "starttls",
            Tls::Tls => "tls",
            Tls::None => "none",
        }
    }
}

impl Tls {
    const fn port(self) -> u16 {
        match self {
            Tls::Starttls => 587,
            Tls::Tls => 465,
            Tls::None => 25,
        }
    }
}

/// How a line in the system's log reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineForm {
    /// riposte's own words.
    #[default]
    Riposte,
    /// psad's, for programs that read those.
    Psad,
}

impl Word for LineForm {
    const ALL: &'static [Self] = &[LineForm::Riposte, LineForm::Psad];
    fn word(self) -> &'static str {
        match self {
            LineForm::Riposte => "riposte",
            LineForm::Psad => "psad",
        }
    }
}

/// Whose line it is in the system's log (RFC 5424's numbers): what a program that is no part of the kernel may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(pub u8);

impl Word for Facility {
    const ALL: &'static [Self] = &[
        Facility(1),
        Facility(3),
        Facility(4),
        Facility(10),
        Facility(16),
        Facility(17),
        Facility(18),
        Facility(19),
        Facility(20),
        Facility(21),
        Facility(22),
        Facility(23),
    ];
    fn word(self) -> &'static str {
        match self.0 {
            1 => "user",
            3 => "daemon",
            4 => "auth",
            10 => "authpriv",
            16 => "local0",
            17 => "local1",
            18 => "local2",
            19 => "local3",
            20 => "local4",
            21 => "local5",
            22 => "local6",
            _ => "local7",
        }
    }
}

/// How urgent a line is (RFC 5424's numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severity(pub u8);

impl Word for Severity {
    const ALL: &'static [Self] = &[Severity(0), Severity(1), Severity(2), Severity(3), Severity(4), Severity(5), Severity(6), Severity(7)];
    fn word(self) -> &'static str {
        ["emerg", "alert", "crit", "err", "warning", "notice", "info"].get(usize::from(self.0)).copied().unwrap_or("debug")
    }
}

/// What one way carries of all that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What.
    pub tell: Vec<Tells>,
    /// From which danger level on.
    pub min_level: u8,
    /// The most about one source in 24 hours.
    pub per_source: u32,
    /// What comes within so long after the last goes out together.
    pub digest: Duration,
}

/// What subjects begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes {
    /// Of letters about sources.
    pub alert: String,
    /// Of those about blocks that are over, limits, and what works again.
    pub status: String,
    /// Of those that tell of trouble.
    pub error: String,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken with.
    pub tls: Tls,
    /// Who we say we are.
    pub user: Option<String>,
    /// Where our password stands.
    pub password_file: Option<PathBuf>,
    /// Whose word for its name counts beside the system's.
    pub ca: Option<PathBuf>,
}

/// By whom mail goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A mail server.
    Server(MailServer),
    /// A program of this host's that reads a mail, sendmail's like: its line.
    Program(Vec<String>),
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// To whom.
    pub to: Vec<String>,
    /// From whom; `None`: `riposte@` and the host's name.
    pub from: Option<String>,
    /// By whom.
    pub by: Outgoing,
    /// How subjects begin.
    pub prefixes: Prefixes,
    /// The longest time for one step.
    pub timeout: Duration,
    /// What goes out by it.
    pub share: Share,
}

/// Lines in the system's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Its socket.
    pub socket: PathBuf,
    /// How a line reads.
    pub form: LineForm,
    /// Whose line it is.
    pub facility: Facility,
    /// How urgent each is; `None`: as it is.
    pub severity: Option<Severity>,
    /// The program's name in it.
    pub name: String,
}

/// Posts to a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where.
    pub url: String,
    /// The port in that.
    pub port: u16,
    /// What stands in its head: names and values.
    pub headers: Vec<(String, String)>,
    /// A file with more of them, a line each: what is secret.
    pub headers_file: Option<PathBuf>,
    /// Whose word for its name counts beside the system's.
    pub ca: Option<PathBuf>,
    /// The longest time for all of it.
    pub timeout: Duration,
    /// What goes out by it.
    pub share: Share,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// Its full path and its arguments, with placeholders. What it is about stands in its environment, too.
    pub argv: Vec<String>,
    /// Its time.
    pub limit: Duration,
    /// For what it is run.
    pub share: Share,
}

/// What people elsewhere are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertConfig {
    /// What.
    pub tell: Vec<Tells>,
    /// From which danger level on.
    pub min_level: u8,
    /// At each charge, and not only when the level rises or a block is made.
    pub every: bool,
    /// Of so many about a source that say nothing new one is told.
    pub one_in: u32,
    /// The most about one source in 24 hours, by each way.
    pub per_source: u32,
    /// The most in 24 hours, by each way.
    pub per_day: u32,
    /// At least so long between two about the same source.
    pub throttle: Duration,
    /// What comes within so long after the last goes out together.
    pub digest: Duration,
    /// So long an alert waits for what follows it.
    pub wait: Duration,
    /// Who programs run as.
    pub user: String,
    /// The ways.
    pub mail: Option<MailConfig>,
    /// See `mail`.
    pub syslog: Option<SyslogConfig>,
    /// See `mail`.
    pub webhook: Option<WebhookConfig>,
    /// See `mail`.
    pub command: Option<CommandConfig>,
}

impl Default for AlertConfig {
    fn default() -> Self {
        AlertConfig {
            tell: Tells::ALL.to_vec(),
            min_level: 1,
            every: false,
            one_in: 1,
            per_source: 10,
            per_day: 100,
            throttle: Duration::from_secs(600),
            digest: Duration::from_secs(900),
            wait: Duration::from_secs(10),
            user: "nobody".to_owned(),
            mail: None,
            syslog: None,
            webhook: None,
            command: None,
        }
    }
}

impl AlertConfig {
    /// Whether anybody is told anything.
    pub fn is_on(&self) -> bool {
        self.mail.is_some() || self.syslog.is_some() || self.webhook.is_some() || self.command.is_some()
    }

    /// Whether this is told.
    pub fn tells(&self, what: Tells) -> bool {
        self.is_on() && self.tell.contains(&what)
    }

    /// What goes out by the way of this name; `None`: all, and without limits.
    pub fn share(&self, way: &str) -> Option<&Share> {
        match way {
            "mail" => self.mail.as_ref().map(|mail| &mail.share),
            "webhook" => self.webhook.as_ref().map(|webhook| &webhook.share),
            "command" => self.command.as_ref().map(|command| &command.share),
            _ => None,
        }
    }

    /// TCP ports that the ways lead to.
    pub fn ports(&self) -> Vec<u16> {
        let mail = self.mail.as_ref().and_then(|mail| match &mail.by {
            Outgoing::Server(server) => Some(server.port),
            Outgoing::Program(_) => None,
        });
        mail.into_iter().chain(self.webhook.as_ref().map(|webhook| webhook.port)).collect()
    }

    /// The programs' lines, if any way is one.
    pub fn programs(&self) -> Vec<&[String]> {
        let mail = self.mail.as_ref().and_then(|mail| match &mail.by {
            Outgoing::Server(_) => None,
            Outgoing::Program(argv) => Some(argv.as_slice()),
        });
        mail.into_iter().chain(self.command.as_ref().map(|command| command.argv.as_slice())).collect()
    }
}

impl Meaning<'_> {
    pub(super) fn alert(&mut self, raw: RawAlert) -> AlertConfig {
        let default = AlertConfig::default();
        let before = self.problems.count();
        let all =
            Share { tell: default.tell.clone(), min_level: default.min_level, per_source: default.per_source, digest: default.digest };
        let (per_source, per_day) = (at(&raw.per_source), at(&raw.per_day));
        let all = self.share([raw.min_level, raw.per_source], raw.digest, raw.tell, &all);
        let config = AlertConfig {
            every: raw.every.map_or(default.every, |given| given.value),
            one_in: self.number(&raw.one_in, 1..=10_000, default.one_in),
            per_day: self.number(&raw.per_day, 1..=10_000, default.per_day),
            throttle: self.period(&raw.throttle, 0..=86_400, default.throttle),
            wait: self.period(&raw.wait, 0..=3_600, default.wait),
            user: raw.user.map_or(default.user, |user| self.messenger(user)),
            mail: raw.mail.and_then(|mail| self.alert_mail(mail, &all)),
            syslog: raw.syslog.and_then(|syslog| self.alert_syslog(syslog)),
            webhook: raw.webhook.and_then(|webhook| self.alert_webhook(webhook, &all)),
            command: raw.command.and_then(|command| self.alert_command(command, &all)),
            tell: all.tell,
            min_level: all.min_level,
            per_source: all.per_source,
            digest: all.digest,
        };
        if self.problems.count() == before && config.per_source > config.per_day {
            let message =
                format!("[alert] per_source: {} about one source is more than per_day = {} in all", config.per_source, config.per_day);
            self.problems.say(place(&[per_source, per_day]), message);
        }
        config
    }

    /// What `[alert]` tells, or a way of it: that can't be more.
    fn share(
        &mut self,
        [min_level, per_source]: [Option<Given<i64>>; 2],
        digest: Option<Given<String>>,
        words: Option<GivenList<String>>,
        all: &Share,
    ) -> Share {
        let mut tell = Vec::new();
        match words {
            None => tell.clone_from(&all.tell),
            Some(words) => {
                for word in words.value {
                    let (place, given) = (word.clone(), self.word::<Tells>(Some(word)));
                    if let Some(what) = given.filter(|what| !all.tell.contains(what)) {
                        self.wrong(&place, format!("[alert] tell leaves out {}, for every way", quoted(what.word())));
                    }
                    tell.extend(given.filter(|what| !tell.contains(what)));
                }
            }
        }
        Share {
            tell,
            min_level: self.number(&min_level, i64::from(all.min_level)..=5, all.min_level),
            per_source: self.number(&per_source, 1..=10_000, all.per_source),
            digest: self.period(&digest, 0..=86_400, all.digest),
        }
    }

    fn messenger(&mut self, given: Given<String>) -> String {
        if given.value == "root" {
            self.wrong(&given, "root is refused: what these programs get was written by strangers");
        }
        self.account(given)
    }

    fn alert_mail(&mut self, raw: RawAlertMail, all: &Share) -> Option<MailConfig> {
        if raw.enabled.is_some_and(|given| !given.value) {
            return None;
        }
        let Some(to) = raw.to else {
            self.problems
                .say(place(&[at(&raw.from), at(&raw.server)]), "[alert.mail]: 'to' is missing: to = [\"admin@example.org\"]".to_owned());
            return None;
        };
        if to.value.is_empty() {
            self.wrong(&to, "nobody: name an address, or leave the section out");
        }
        let to = self.few(to, RECIPIENTS).map(|address| self.mail_address(address)).collect();
        let from = raw.from.map(|address| self.mail_address(address));
        let by = match (raw.server, raw.program) {
            (Some(_), Some(program)) => {
                self.wrong(&program, "either 'server' or 'program', not both");
                return None;
            }
            (None, program) => {
                let places = [at(&raw.port), at(&raw.tls), at(&raw.user), at(&raw.password_file), at(&raw.ca)];
                if places.iter().any(Option::is_some) {
                    self.problems.say(place(&places), "[alert.mail]: this is about a server: 'server' is missing".to_owned());
                }
                // The host's own, as most have one.
                let tls = Tls::None;
                let own = MailServer { host: OWN_SERVER.to_owned(), port: tls.port(), tls, user: None, password_file: None, ca: None };
                program.map_or(Outgoing::Server(own), |argv| Outgoing::Program(self.argv(argv)))
            }
            (Some(server), None) => {
                if !is_host_name(&server.value) && server.value.parse::<std::net::IpAddr>().is_err() {
                    self.wrong(&server, format!("{} is no host's name or address; a port stands in 'port'", quoted(&server.value)));
                }
                let tls: Tls = self.word(raw.tls).unwrap_or_default();
                if let (Some(user), None) | (None, Some(user)) = (&raw.user, &raw.password_file) {
                    self.wrong(user, "'user' and 'password_file' go together");
                } else if let Some(user) = raw.user.as_ref().filter(|_| tls == Tls::None) {
                    self.wrong(user, "a password is not sent in the open: tls = \"starttls\" or \"tls\" it must be");
                }
                Outgoing::Server(MailServer {
                    host: server.value,
                    port: self.number(&raw.port, 1..=65_535, tls.port()),
                    tls,
                    user: raw.user.map(|user| self.entry(user)),
                    password_file: raw.password_file.map(|file| self.path(Some(file), PathBuf::new())),
                    ca: raw.ca.map(|file| self.path(Some(file), PathBuf::new())),
                })
            }
        };
        let alert = raw.prefix.map_or_else(|| "[riposte]".to_owned(), |prefix| self.entry(prefix));
        let prefixes = Prefixes {
            status: raw.prefix_status.map_or_else(|| alert.clone(), |prefix| self.entry(prefix)),
            error: raw.prefix_error.map_or_else(|| alert.clone(), |prefix| self.entry(prefix)),
            alert,
        };
        let timeout = self.period(&raw.timeout, 1..=300, Duration::from_secs(30));
        Some(MailConfig { to, from, by, prefixes, timeout, share: self.share([raw.min_level, raw.per_source], raw.digest, raw.tell, all) })
    }

    /// `admin@example.org`, or a local name.
    pub(super) fn mail_address(&mut self, given: Given<String>) -> String {
        let (local, domain) = given.value.rsplit_once('@').unwrap_or((&given.value, "localhost"));
        let odd = |c: char| !c.is_ascii_graphic() || "<>()[],;:\\\"@".contains(c);
        let is_literal =
            domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inner| inner.parse::<std::net::IpAddr>().is_ok());
        if local.is_empty() || local.starts_with('-') || local.len() > 64 || local.contains(odd) || !(is_host_name(domain) || is_literal) {
            self.wrong(&given, format!("{} is no mail address; write it like \"admin@example.org\"", quoted(&given.value)));
        }
        given.value
    }

    /// A text without control characters.
    fn entry(&mut self, given: Given<String>) -> String {
        if given.value.chars().any(char::is_control) || given.value.is_empty() || given.value.len() > ENTRY_BYTES {
            self.wrong(&given, format!("a text of 1 to {ENTRY_BYTES} bytes without control characters is wanted"));
        }
        given.value
    }

    fn argv(&mut self, given: GivenList<String>) -> Vec<String> {
        if !given.value.first().is_some_and(|program| program.value.starts_with('/')) {
            self.wrong(&given, "a program's full path is wanted, and its arguments: [\"/usr/bin/logger\", \"-t\", \"riposte\"]");
        }
        self.few(given, ARGS).map(|arg| if arg.value.is_empty() { arg.value } else { self.entry(arg) }).collect()
    }

    fn alert_syslog(&mut self, raw: RawAlertSyslog) -> Option<SyslogConfig> {
        let is_on = raw.enabled.as_ref().is_none_or(|given| given.value);
        let socket = self.socket_path(raw.socket, "/dev/log".into());
        let form = self.word(raw.form).unwrap_or_default();
        let (facility, severity) = (self.word(raw.facility).unwrap_or(Facility(10)), self.word(raw.severity));
        let name = match raw.name {
            None => if form == LineForm::Psad { "psad" } else { "riposte" }.to_owned(),
            Some(given) => {
                // RFC 3164's: what ends it is another character.
                let odd = |c: char| !c.is_ascii_graphic() || c == '[' || c == ':';
                if given.value.is_empty() || given.value.len() > 32 || given.value.contains(odd) {
                    self.wrong(&given, format!("{} is no program's name: 1 to 32 letters and digits", quoted(&given.value)));
                }
                given.value
            }
        };
        is_on.then_some(SyslogConfig { socket, form, facility, severity, name })
    }

    fn alert_webhook(&mut self, raw: RawAlertWebhook, all: &Share) -> Option<WebhookConfig> {
        if raw.enabled.is_some_and(|given| !given.value) {
            return None;
        }
        let Some(url) = raw.url else {
            self.problems.say(place(&[at(&raw.timeout), at(&raw.ca)]), "[alert.webhook]: 'url' is missing: url = \"https://…\"".to_owned());
            return None;
        };
        let port = self.url(&url);
        let mut headers = Vec::new();
        for given in raw.headers.map_or_else(|| Vec::new().into_iter(), |list| self.few(list, HEADERS)) {
            match header(&given.value) {
                Some(header) => headers.push(header),
                None => self.wrong(&given, format!("{} is no line of a head; write it like \"X-Token: abc\"", quoted(&given.value))),
            }
        }
        Some(WebhookConfig {
            url: url.value,
            port: port?,
            headers,
            headers_file: raw.headers_file.map(|file| self.path(Some(file), PathBuf::new())),
            ca: raw.ca.map(|file| self.path(Some(file), PathBuf::new())),
            timeout: self.period(&raw.timeout, 1..=300, Duration::from_secs(20)),
            share: self.share([raw.min_level, raw.per_source], raw.digest, raw.tell, all),
        })
    }

    /// The port that an address of the web leads to.
    pub(super) fn url(&mut self, given: &Given<String>) -> Option<u16> {
        let port = port_of(&given.value);
        if port.is_none() {
            self.wrong(given, format!("{} is no address of the web; write it like \"https://example.org/hook\"", quoted(&given.value)));
        }
        port
    }

    fn alert_command(&mut self, raw: RawAlertCommand, all: &Share) -> Option<CommandConfig> {
        if raw.enabled.is_some_and(|given| !given.value) {
            return None;
        }
        let Some(argv) = raw.argv else {
            self.problems
                .say(place(&[at(&raw.limit)]), "[alert.command]: 'argv' is missing: a program's full path and its arguments".to_owned());
            return None;
        };
        for (n, given) in argv.value.iter().enumerate() {
            match Placeholder::check(&given.value, &Placeholder::OF_ALERTS) {
                Err(why) => self.wrong(given, format!("{} {why}", quoted(&given.value))),
                Ok(any) if any && n == 0 => self.wrong(given, "which program is run doesn't hang on what has happened"),
                Ok(_) => {}
            }
        }
        let (argv, limit) = (self.argv(argv), self.period(&raw.limit, 1..=600, Duration::from_secs(10)));
        Some(CommandConfig { argv, limit, share: self.share([raw.min_level, raw.per_source], raw.digest, raw.tell, all) })
    }
}

/// A line of an HTTP head, as name and value (RFC 9110).
pub fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let fits = !name.is_empty() && name.bytes().all(is_token) && line.len() <= ENTRY_BYTES && !value.chars().any(|c| c.is_control());
    fits.then(|| (name.to_owned(), value.to_owned()))
}

/// The port of `http://host:port/path` or `https://…`; `None` if it is no such address.
pub fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain = url.len() <= ENTRY_BYTES && !url.contains(|c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c));
    if !is_plain || authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            return if rest.is_empty() { Some(default) } else { rest.strip_prefix(':')?.parse().ok().filter(|port| *port > 0) };
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let is_host = is_host_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok();
    match port {
        _ if !is_host => None,
        "" => Some(default),
        port => port.parse().ok().filter(|port| *port > 0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::tests::refused;

    /// Every key but one, which there is no place for beside the others.
    pub const FULL: &str = "[alert]\nper_source = 3\n[alert.mail]\nto=['a@example.org','root']\nfrom='r@example.org'\nserver='mail.example.org'\n\
        user='u'\npassword_file='/p'\nca='/c'\nprefix='[x]'\nprefix_error='[y]'\ntell=['level']\nmin_level=2\nper_source=1\n\
        [alert.syslog]\nform='psad'\nfacility='local7'\nseverity='info'\nname='fw'\n[alert.webhook]\nurl='https://example.org:8443/x?y'\nheaders=['A: b']\n\
        headers_file='/h'\nca='/c'\n[alert.command]\nargv=['/bin/true', '', \"it's\", '{address}']\nper_source=1\ndigest='5s'\n";

    /// One of several that a configuration can be.
    pub fn of(which: usize) -> AlertConfig {
        let texts = [
            "",
            FULL,
            "[alert.mail]\nto=['root']\nprogram=['/usr/bin/msmtp']\n",
            "[alert]\ntell=['lift']\nuser='_x'\n[alert.syslog]\n",
            "[alert]\nevery=true\ndigest='0s'\n",
        ];
        Config::parse(texts[which], "x").unwrap().alert
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_the_nearest_right_word() {
        refused(
            "[alert]\ntell = ['blok']",
            "r.toml:2:9: [alert] tell: 'blok' is none of level, block, lift, end, trouble; did you mean 'block'?",
        );
        refused(
            "[alert]\ntell=['level', 'block']\n[alert.mail]\nto=['root']\ntell=['level', 'end']",
            "r.toml:5:16: [alert.mail] tell: [alert] tell leaves out 'end', for every way",
        );
        refused(
            "[alert]\nmin_level=3\n[alert.webhook]\nurl='https://a.org'\nmin_level=2",
            "r.toml:5:11: [alert.webhook] min_level: 2 is not within 3 to 5",
        );
        refused(
            "[alert.syslog]\nfacility='lokal7'",
            "r.toml:2:10: [alert.syslog] facility: 'lokal7' is none of user, daemon, auth, authpriv, local0, local1, local2, local3, local4, local5, local6, local7; did you mean 'local7'?",
        );
        refused("[alert.syslog]\nname='a b'", "r.toml:2:6: [alert.syslog] name: 'a b' is no program's name: 1 to 32 letters and digits");
        refused(
            "[alert.command]\nargv=['/bin/x', '--ip={adress}']",
            "r.toml:2:17: [alert.command] argv: '--ip={adress}' has a placeholder that there is not ({address}, {level}, {kind}); did you mean '{address}'?",
        );
        refused(
            "[alert.command]\nargv=['/bin/{kind}']",
            "r.toml:2:7: [alert.command] argv: which program is run doesn't hang on what has happened",
        );
        refused("[alert]\nmin_level = 6", "r.toml:2:13: [alert] min_level: 6 is not within 1 to 5");
        refused(
            "[alert]\nper_source = 9\nper_day = 2",
            "r.toml:2:14: [alert] per_source: 9 about one source is more than per_day = 2 in all",
        );
        refused("[alert.mial]\n", "r.toml:1:8: unknown section 'mial' in [alert]; did you mean 'mail'?");
        refused("[alert.mail]\nfrom='a@b.c'", "r.toml:2:6: [alert.mail]: 'to' is missing: to = [\"admin@example.org\"]");
        for wrong in [
            "a b@example.org",
            "a@exa_mple.org",
            "@example.org",
            "a@b\\r\\nRCPT",
            "<a@example.org>",
            "a,b@example.org",
            "-oQ/tmp",
            "a@b@c.org",
        ] {
            let lines = Config::parse(&format!("[alert.mail]\nto = [\"{wrong}\"]"), "x").unwrap_err();
            assert!(lines[0].message.contains("is no mail address"), "{wrong}: {lines:?}");
        }
        refused(
            "[alert.mail]\nto=['root']\nserver='a.org'\nuser='u'",
            "r.toml:4:6: [alert.mail] user: 'user' and 'password_file' go together",
        );
        refused(
            "[alert.mail]\nto=['root']\nserver='a.org'\nuser='u'\npassword_file='/p'\ntls='none'",
            "r.toml:4:6: [alert.mail] user: a password is not sent in the open: tls = \"starttls\" or \"tls\" it must be",
        );
        refused(
            "[alert.mail]\nto=['root']\nserver='a.org'\ntls='startls'",
            "r.toml:4:5: [alert.mail] tls: 'startls' is none of starttls, tls, none; did you mean 'starttls'?",
        );
        refused(
            "[alert.mail]\nto=['root']\nserver='a.org:25'",
            "r.toml:3:8: [alert.mail] server: 'a.org:25' is no host's name or address; a port stands in 'port'",
        );
        refused("[alert.mail]\nto=['root']\nport=25", "r.toml:3:6: [alert.mail]: this is about a server: 'server' is missing");
        refused(
            "[alert.webhook]\nurl='example.org'",
            "r.toml:2:5: [alert.webhook] url: 'example.org' is no address of the web; write it like \"https://example.org/hook\"",
        );
        refused("[alert]\nuser='root'", "r.toml:2:6: [alert] user: root is refused: what these programs get was written by strangers");
        refused(
            "[alert.command]\nargv=['logger']",
            "r.toml:2:6: [alert.command] argv: a program's full path is wanted, and its arguments: [\"/usr/bin/logger\", \"-t\", \"riposte\"]",
        );
        assert!(!Config::parse("[alert.mail]\nenabled=false\n", "x").unwrap().alert.is_on());
        assert_eq!(of(1).ports(), [587, 8_443]);
        assert_eq!(of(2).programs(), [["/usr/bin/msmtp"]]);
    }

    #[test]
    fn the_port_of_an_address_is_known_before_anybody_connects() {
        for (url, port) in [
            ("https://example.org/hook?x=1", Some(443)),
            ("http://example.org", Some(80)),
            ("http://192.0.2.1:8080/x", Some(8_080)),
            ("https://[2001:db8::1]:8443/", Some(8_443)),
            ("https://[2001:db8::1]/", Some(443)),
            ("https://user@example.org/", None),
            ("https://example.org:0/", None),
            ("https://example.org:99999/", None),
            ("ftp://example.org/", None),
            ("https:///x", None),
            ("https://exa mple.org/", None),
            ("https://example.org/\r\nX: y", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }

    #[test]
    fn a_line_of_a_head_is_one_line() {
        assert_eq!(header("X-Token:  abc "), Some(("X-Token".into(), "abc".into())));
        for line in ["no colon", ": x", "a b: c", "X: a\r\nY: b", "X: a\nb"] {
            assert_eq!(header(line), None, "{line:?}");
        }
    }
}
