//! Everything that takes privilege and is done before the watch: folders, sockets, descriptors for the children; and starting them.

use super::files::Files;
use super::slots;
use super::stored::Stored;
use super::ward::Ward;
use crate::config::response::users;
use crate::config::{ApplicationsConfig, Config, JournalUse, LogSource, PATTERNS_MAX, SyslogSocket, pattern};
use crate::lives::applications::engine;
use crate::lives::channel::Channel;
use crate::lives::envoy;
use crate::lives::host::{RESOLV_CONF, SESSIONS, UTMP};
use crate::lives::lock::{self, Lock};
use crate::lives::{
    APPLICATIONS_SLOT, CONFIG_FD, ENVOY_SLOT, GUARD_SLOT, MESSENGER_SLOT, OWN_FD, PACKETS_SLOT, PARTING, WARDEN_FD, monotonic,
    unprivileged_user,
};
use crate::sources::journal;
use inotify::{Inotify, WatchMask};
use link::message::{Life, Message};
use logrules::fail2ban::jail::Sources;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use sys::capture::Version;
use sys::diag::Diag;
use sys::fd::{sealed_text, seqpacket_pair};
use sys::hold::Held;
use sys::listen;
use sys::nflog::{Nflog, NflogSettings};
use sys::process::{Child, Identity, spawn_life_as};
use sys::route::Routes;
use sys::sandbox::Profile;

/// Logs at one time; each has a process of its own.
const LOGS: usize = 64;
/// The name of the lock: an abstract socket, which the kernel keeps apart by network namespace, as it does firewall tables.
const LOCK: &[u8] = b"riposte/inet riposte";

/// The application-log sensor's name, for people.
pub const APPLICATIONS: &str = "applications";
/// Where syslog daemons write what sshd says.
const SYSTEM_LOGS: [&str; 4] = ["/var/log/auth.log", "/var/log/secure", "/var/log/messages", "/var/log/syslog"];

/// Takes the lock on this network namespace's table `inet riposte`. `None` if somebody without privilege sits on its name:
/// that is no riposte, and must not keep one from starting.
///
/// # Errors
/// If a riposte runs here.
pub fn lock(config: &Config) -> Result<Option<UnixListener>, String> {
    match lock::take(LOCK, config).map_err(|e| format!("lock: {e}"))? {
        Lock::Taken(listener) => Ok(Some(listener)),
        Lock::Squatted { uid } => {
            tracing::warn!(uid, "a process without privilege holds riposte's lock: ignored");
            Ok(None)
        }
        Lock::Held { pid: Some(pid) } => Err(format!("riposte is running already in this network namespace (process {pid})")),
        Lock::Held { pid: None } => Err("riposte is running already in this network namespace".into()),
    }
}

/// How the logs of a new configuration differ from those in force.
#[derive(Debug, Default)]
pub struct LogChanges {
    /// Slots whose log is not configured any more.
    pub gone: BTreeSet<u16>,
    /// Logs that stay, with their settings as they are now.
    pub kept: Vec<(u16, LogSource)>,
    /// New ones, with what was opened for them.
    pub new: Vec<(LogSource, Option<OwnedFd>)>,
    /// New ones that take a right which was given up at the start.
    pub later: Vec<LogSource>,
}

/// What the warden holds for its children.
#[derive(Debug)]
pub struct Prepared {
    listener: OwnedFd,
    nflog: Option<OwnedFd>,
    /// The rings of captured packets, IPv4 and IPv6; none if they are not wanted.
    rings: Vec<OwnedFd>,
    /// The guard's listeners, IPv4 and IPv6; none if it is not wanted.
    guard: [Option<TcpListener>; 2],
    /// By slot. A slot keeps its log for as long as that is configured.
    logs: BTreeMap<u16, LogSource>,
    /// What the sandbox leaves open: reading files of other owners, and the journal's program.
    may_read_any: bool,
    may_run_journal: bool,
    /// By slot: what is opened once and for all, while there is every privilege; a sensor that is started again goes on with it.
    inputs: BTreeMap<u16, OwnedFd>,
    feeders: Vec<(u16, Child)>,
    /// What the application-log sensor was handed; and what it reads beside files, opened once and for all, in the order in which it is passed.
    files: Option<Files>,
    patterns: Vec<String>,
    /// The link between the envoy and the runner of its programs, whichever envoy it is.
    messages: Option<(OwnedFd, OwnedFd)>,
    streams: Vec<(LogSource, OwnedFd)>,
    /// Held as long as the warden lives.
    _lock: Option<UnixListener>,
    /// The warden's own sandbox, in words.
    pub sandbox: String,
}

impl Prepared {
    /// Makes folders and sockets; what an earlier run has left with the service manager is taken over.
    ///
    /// # Errors
    /// One line that says what is in the way.
    pub fn new(config: &Config, lock: Option<UnixListener>, stored: &mut Stored) -> Result<Self, String> {
        let user = unprivileged_user(&config.process.user)?;
        if sys::identity::lookup_user(&config.process.user).ok().flatten().is_none() {
            tracing::warn!(
                user = config.process.user,
                "there is no such user: 'nobody' is used, and whatever else runs as nobody can read the ledger"
            );
        }
        if config.logs.len() > LOGS {
            return Err(format!("{} logs are configured, and there can be {LOGS}", config.logs.len()));
        }
        let store = &config.store.path;
        make_folder(store, 0o700)?;
        if let Some(user) = user {
            give_store(store, user.uid, user.gid).map_err(|e| format!("can't give {} to its user: {e}", store.display()))?;
        }
        let listener = listen(config)?;
        let nflog = config.nflog.enabled.then(|| {
            if let Some(kept) = stored.take(&nflog_name(config.nflog.group)) {
                return Ok(kept);
            }
            let nflog = Nflog::open(&NflogSettings::group(config.nflog.group));
            nflog
                .map(Nflog::into_fd)
                .map_err(|e| format!("NFLOG group {}: {e} (another program may hold it: set sense.nflog.group)", config.nflog.group))
        });
        let nflog = nflog.transpose()?;
        let rings = rings(config)?;
        let guard = guard(config)?;
        // A log that can never be opened is told before anything starts.
        let mut inputs = BTreeMap::new();
        for (slot, source) in (1..).zip(&config.logs) {
            if let Some(kept) = stored.take(&slots::name(source)).filter(|kept| slots::is_still(source, kept)) {
                inputs.insert(slot, kept);
                continue;
            }
            let opened = slots::open_for_good(source).map_err(|error| format!("{}: {error}", slots::name(source)))?;
            inputs.extend(opened.map(|fd| (slot, fd)));
        }
        let streams = streams(&config.applications).into_iter().map(|source| {
            let kept = stored.take(&slots::name(&source)).filter(|kept| slots::is_still(&source, kept));
            let opened = kept.map_or_else(|| slots::open_for_good(&source), |kept| Ok(Some(kept)));
            let opened = opened.map_err(|error| format!("[applications]: {}: {error}", slots::name(&source)))?;
            opened.map(|fd| (source, fd)).ok_or_else(|| "no such stream".to_owned())
        });
        let streams = streams.collect::<Result<_, String>>()?;
        Ok(Prepared {
            listener: listener.into(),
            nflog,
            rings,
            guard,
            logs: (1..).zip(config.logs.iter().cloned()).collect(),
            may_read_any: has_files(config),
            may_run_journal: !slots::programs(config).is_empty(),
            inputs,
            feeders: Vec::new(),
            files: None,
            patterns: Vec::new(),
            messages: envoy::has_programs(config).then(seqpacket_pair).transpose().map_err(|e| e.to_string())?,
            streams,
            _lock: lock,
            sandbox: String::new(),
        })
    }

    /// The loopback ports of the guard's listeners.
    ///
    /// # Errors
    /// One line that says why.
    pub fn guard_ports(&self) -> Result<[Option<u16>; 2], String> {
        let [four, six] = self.guard.each_ref().map(|listener| listener.as_ref().map(listen::port).transpose());
        Ok([four.map_err(|e| e.to_string())?, six.map_err(|e| e.to_string())?])
    }

    /// Whether there are listeners for guarded ports. Inside the sandbox none can be opened.
    pub fn can_guard(&self) -> bool {
        self.guard.iter().any(Option::is_some)
    }

    /// The children that this configuration asks for, the judge first.
    pub fn wards(&self, config: &Config, now: Time) -> Vec<Ward> {
        let mut wards = vec![Ward::new(Life::Judge, 0, "judge".into(), now), Ward::new(Life::Host, 0, "host".into(), now)];
        if config.derive.time_servers || !config.exempt_names.is_empty() {
            wards.push(Ward::new(Life::Lookup, 0, "lookup".into(), now));
        }
        if self.nflog.is_some() {
            wards.push(Ward::new(Life::Packets, PACKETS_SLOT, "packets".into(), now));
        }
        if self.can_guard() {
            wards.push(Ward::new(Life::Guard, GUARD_SLOT, "guard".into(), now));
        }
        if config.applications.enabled {
            wards.push(Ward::new(Life::Applications, APPLICATIONS_SLOT, APPLICATIONS.into(), now));
        }
        let runners = (0..).zip(users(&config.responses));
        wards.extend(runners.map(|(slot, user)| Ward::new(Life::Runner, slot, format!("runner {user}"), now)));
        if self.messages.is_some() {
            wards.push(Ward::new(Life::Runner, MESSENGER_SLOT, "messenger".into(), now));
        }
        if config.respond.carried().next().is_some() {
            wards.push(Ward::new(Life::Responder, 0, "responder".into(), now));
        }
        if envoy::is_needed(config) {
            // Whatever keeps it from its work keeps nobody from blocking.
            wards.push(Ward::late(Life::Envoy, ENVOY_SLOT, "envoy".into(), now));
        }
        let logs = (1..).zip(&config.logs);
        wards.extend(logs.map(|(slot, source)| Ward::new(Life::Log, slot, slots::name(source), now)));
        wards
    }

    /// What the warden keeps once everything is open.
    pub fn profile(&self, config: &Config) -> Profile {
        let mut write = vec![config.store.path.clone()];
        write.extend(config.control.socket.parent().map(Path::to_owned));
        write.extend(slots::folders(config));
        Profile::warden(&write, &slots::programs(config), self.may_read_any, &envoy::ports(config))
    }

    /// Starts a child. Returns it, its link, and for a sensor the judge's end of the link between the two.
    ///
    /// # Errors
    /// One line that says why.
    pub fn spawn(&mut self, life: Life, slot: u16, config: &Config) -> Result<(Child, Channel, Option<OwnedFd>), String> {
        let fail = |error: std::io::Error| error.to_string();
        let (ours, theirs) = seqpacket_pair().map_err(fail)?;
        let (judge_end, sensor_end) = seqpacket_pair().map_err(fail)?;
        let mut own: Vec<OwnedFd> = Vec::new();
        let mut is_sensor = false;
        match life {
            Life::Judge => own.push(copy(&self.listener)?),
            Life::Packets => {
                is_sensor = true;
                let nflog = self.nflog.as_ref().ok_or("no NFLOG descriptor")?;
                own.extend([sensor_end, copy(nflog)?, Diag::open().map_err(|e| e.to_string())?.into_fd()]);
                if !self.rings.is_empty() {
                    own.extend(self.rings.iter().map(copy).collect::<Result<Vec<_>, _>>()?);
                    own.extend(<[OwnedFd; 2]>::from(Routes::open_for_interfaces().map_err(fail)?.into_fds()));
                }
            }
            Life::Host => {
                let (questions, changes) = Routes::open().map_err(fail)?.into_fds();
                own.extend([questions, changes, Diag::open().map_err(|e| e.to_string())?.into_fd(), watch_host()?]);
            }
            Life::Log => {
                is_sensor = true;
                own.push(sensor_end);
                own.extend(self.open_log(slot, config)?);
            }
            Life::Applications => {
                is_sensor = true;
                own.push(sensor_end);
                own.extend(self.begin_applications(config)?);
            }
            Life::Guard => {
                is_sensor = true;
                own.push(sensor_end);
                for listener in self.guard.iter().flatten() {
                    own.push(listener.as_fd().try_clone_to_owned().map_err(fail)?);
                }
            }
            Life::Envoy => {
                is_sensor = true;
                own.push(sensor_end);
                own.extend(envoy::open_files(config)?);
                own.extend(self.messages.as_ref().map(|(envoys, _)| copy(envoys)).transpose()?);
            }
            Life::Runner if slot == MESSENGER_SLOT => {
                own.extend(self.messages.as_ref().map(|(_, messengers)| copy(messengers)).transpose()?);
            }
            Life::Lookup | Life::Runner | Life::Responder => {}
            Life::Warden => return Err("the warden does not start itself".into()),
        }
        let text = self.text_for(life, slot, config).map_err(fail)?;
        let mut fds: Vec<(BorrowedFd<'_>, RawFd)> = vec![(theirs.as_fd(), WARDEN_FD), (text.as_fd(), CONFIG_FD)];
        fds.extend(own.iter().zip(OWN_FD..).map(|(fd, number)| (fd.as_fd(), number)));
        let zone = std::env::var_os("TZ");
        let identity = if life == Life::Runner { runs_as(slot, config)? } else { None };
        let number = slot.to_string();
        let args = [OsStr::new(&number)];
        let child = spawn_life_as(life.word(), &args, &fds, zone.as_deref(), identity.as_ref()).map_err(fail)?;
        Ok((child, Channel::new(ours), is_sensor.then_some(judge_end)))
    }

    /// The configuration for a child; a log's sensor hears of its own log only.
    fn text_for(&self, life: Life, slot: u16, config: &Config) -> std::io::Result<OwnedFd> {
        match life {
            Life::Log => {
                let own = Config { logs: self.logs.get(&slot).cloned().into_iter().collect(), ..config.clone() };
                sealed_text(own.canonical().as_bytes())
            }
            // It has the journal's descriptor or it has not.
            Life::Applications => {
                let journal = if self.feeders.iter().any(|(of, _)| *of == slot) { JournalUse::Always } else { JournalUse::Never };
                let own = Config { applications: ApplicationsConfig { journal, ..config.applications.clone() }, ..config.clone() };
                sealed_text(own.canonical().as_bytes())
            }
            Life::Warden
            | Life::Judge
            | Life::Packets
            | Life::Host
            | Life::Lookup
            | Life::Runner
            | Life::Responder
            | Life::Guard
            | Life::Envoy => sealed_text(config.canonical().as_bytes()),
        }
    }

    fn open_log(&mut self, slot: u16, config: &Config) -> Result<Option<OwnedFd>, String> {
        if let Some(fd) = self.inputs.get(&slot) {
            return copy(fd).map(Some);
        }
        let LogSource::Journal { .. } = self.log(slot)? else { return Ok(None) };
        // A feeder of an earlier life of this sensor has lost its pipe's reader; it must not be left behind.
        self.end_feeder(slot);
        let (fd, feeder) = slots::start_journal(config, &journal::ARGUMENTS).map_err(|e| e.to_string())?;
        self.feeders.push((slot, feeder));
        Ok(Some(fd))
    }

    /// The descriptors of an application-log sensor that begins now, behind its link to the judge.
    pub(super) fn begin_applications(&mut self, config: &Config) -> Result<Vec<OwnedFd>, String> {
        let files = Files::new().map_err(|e| e.to_string())?;
        let mut own = vec![files.watch().map_err(|e| e.to_string())?];
        self.files = Some(files);
        let jails = jails(&config.applications);
        self.patterns = followed(&config.applications, &jails.files);
        self.end_feeder(APPLICATIONS_SLOT);
        if reads_journal(&config.applications, &jails) {
            let (fd, feeder) = slots::start_journal(config, &journal::SERVICES).map_err(|e| format!("{}: {e}", journal::PROGRAM))?;
            self.feeders.push((APPLICATIONS_SLOT, feeder));
            own.push(fd);
        }
        for (_, fd) in &self.streams {
            own.push(copy(fd)?);
        }
        Ok(own)
    }

    /// Looks for what the application-log sensor is to follow: messages for it, most with a descriptor.
    pub fn look(&mut self) -> Vec<(Message, Option<OwnedFd>)> {
        self.files.as_mut().map(|files| files.look(&self.patterns)).unwrap_or_default()
    }

    /// Files that the application-log sensor could not be handed.
    pub fn files_refused(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| files.refused)
    }

    /// Whether application logs can be read although none were at the start: that takes rights which may have been given up.
    pub fn may_read_applications(&self, config: &ApplicationsConfig) -> bool {
        self.may_read_any && (self.may_run_journal || !reads_journal(config, &jails(config)))
    }

    fn end_feeder(&mut self, slot: u16) {
        self.feeders.retain(|(of, feeder)| {
            if *of == slot {
                let _ = feeder.order(sys::process::Order::Kill).and_then(|()| feeder.wait().map(drop));
            }
            *of != slot
        });
    }

    fn log(&self, slot: u16) -> Result<&LogSource, String> {
        self.logs.get(&slot).ok_or_else(|| format!("no log in slot {slot}"))
    }

    /// Opens what a new configuration's logs need that none of the present ones is. Nothing is in force yet: drop the answer and nothing
    /// has changed.
    ///
    /// # Errors
    /// One line for each log that can never be read as it is configured.
    pub fn compare(&self, wanted: &[LogSource]) -> Result<LogChanges, Vec<String>> {
        if wanted.len() > LOGS {
            return Err(vec![format!("{} logs are configured, and there can be {LOGS}", wanted.len())]);
        }
        let mut changes = LogChanges { gone: self.logs.keys().copied().collect(), ..LogChanges::default() };
        let mut wrong = Vec::new();
        for source in wanted {
            let known = changes.gone.iter().copied().find(|slot| self.logs.get(slot).is_some_and(|old| slots::is_same(old, source)));
            if let Some(slot) = known {
                changes.gone.remove(&slot);
                changes.kept.push((slot, source.clone()));
                continue;
            }
            match self.open_late(source) {
                Ok(Some(input)) => changes.new.push((source.clone(), input)),
                Ok(None) => changes.later.push(source.clone()),
                Err(error) => wrong.push(format!("{}: {error}", slots::name(source))),
            }
        }
        if wrong.is_empty() { Ok(changes) } else { Err(wrong) }
    }

    /// Opens a log from inside the sandbox. `None`: that takes a right that was given up at the start.
    fn open_late(&self, source: &LogSource) -> std::io::Result<Option<Option<OwnedFd>>> {
        let given_up = match source {
            LogSource::File { .. } => !self.may_read_any,
            LogSource::Journal { .. } => !self.may_run_journal,
            LogSource::Pipe { .. } | LogSource::Kmsg { .. } | LogSource::Syslog { .. } => false,
        };
        if given_up {
            return Ok(None);
        }
        match slots::open_for_good(source) {
            Ok(input) => Ok(Some(input)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes over what `compare` has prepared. Returns the slots whose sensors have to begin, and those whose have to begin again.
    pub fn adopt(&mut self, changes: LogChanges) -> (Vec<u16>, Vec<u16>) {
        for slot in &changes.gone {
            self.logs.remove(slot);
            self.inputs.remove(slot);
            self.end_feeder(*slot);
        }
        let mut renewed = Vec::new();
        for (slot, source) in changes.kept {
            let old = self.logs.insert(slot, source.clone());
            if old.is_some_and(|old| slots::zone(&old) != slots::zone(&source)) {
                renewed.push(slot);
            }
        }
        let mut begun = Vec::new();
        for (source, input) in changes.new {
            let Some(slot) = (PACKETS_SLOT + 1..=u16::MAX).find(|slot| !self.logs.contains_key(slot)) else { break };
            self.logs.insert(slot, source);
            self.inputs.extend(input.map(|fd| (slot, fd)));
            begun.push(slot);
        }
        (begun, renewed)
    }

    /// What the next run can go on with, by name.
    pub fn lasting(&self, config: &Config) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        let nflog = self.nflog.iter().map(|fd| (nflog_name(config.nflog.group), fd.as_fd()));
        let streams = self.streams.iter().map(|(source, fd)| (slots::name(source), fd.as_fd()));
        nflog.chain(self.inputs.iter().map(|(slot, fd)| (self.log_name(*slot), fd.as_fd()))).chain(streams)
    }

    /// The name of the log in a slot, for people.
    pub fn log_name(&self, slot: u16) -> String {
        self.logs.get(&slot).map(slots::name).unwrap_or_default()
    }

    /// Opens a sensor's log again: what to send, each with its descriptor.
    ///
    /// # Errors
    /// One line that says why.
    pub fn reopen(&self, slot: u16) -> Result<Vec<(Message, OwnedFd)>, String> {
        let opened = slots::reopen(self.log(slot)?)?;
        let names = opened.names.iter().filter_map(|name| name.to_str()).map(str::to_owned).collect();
        let mut messages: Vec<(Message, OwnedFd)> = opened.rotated.map(|file| (Message::RotatedFile, file)).into_iter().collect();
        messages.push((Message::Reopened { names, file: opened.file.is_some() }, opened.watch));
        messages.extend(opened.file.map(|file| (Message::ReopenedFile, file)));
        Ok(messages)
    }

    /// Ends what feeds the sensors and removes the control socket.
    pub fn tidy_up(&mut self, config: &Config) {
        for (_, feeder) in self.feeders.drain(..) {
            let _ = feeder.order(sys::process::Order::Kill).and_then(|()| feeder.wait().map(drop));
        }
        let _ = fs::remove_file(&config.control.socket);
    }
}

/// The rings, if they are wanted: once the sandbox stands none can be opened.
fn rings(config: &Config) -> Result<Vec<OwnedFd>, String> {
    let open = |version| {
        sys::capture::open(version, config.capture.ring_bytes()).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "[sense.capture]: no packet socket (CAP_NET_RAW): under the unit, install the drop-in capture.conf".to_owned()
            }
            _ => format!("[sense.capture]: no ring: {error}"),
        })
    };
    Version::ALL.into_iter().filter(|_| config.capture.enabled).map(open).collect()
}

/// The guard's listeners, if anything is guarded and there is a firewall to direct connections to them.
fn guard(config: &Config) -> Result<[Option<TcpListener>; 2], String> {
    if config.guard.answered().is_empty() || !config.respond.has_kernel() {
        return Ok([None, None]);
    }
    let open = |ipv6| listen::transparent(ipv6).map_err(|error| format!("[guard]: no listener: {error}"));
    Ok([open(false)?, open(true)?])
}

/// Whom the messenger becomes; `None`: he stays who we are.
///
/// # Errors
/// Why he can't.
pub fn messengers_identity(config: &Config) -> Result<Option<Identity>, String> {
    runs_as(MESSENGER_SLOT, config)
}

/// Whom a runner becomes; `None`: it stays who we are.
fn runs_as(slot: u16, config: &Config) -> Result<Option<Identity>, String> {
    let is_messenger = slot == MESSENGER_SLOT;
    let users = if is_messenger { vec![config.alert.user.as_str()] } else { users(&config.responses) };
    let name = *users.get(if is_messenger { 0 } else { usize::from(slot) }).ok_or("no such runner")?;
    let key = if is_messenger { "[alert] user" } else { "[[response]] user" };
    let (own, wrong) = (sys::identity::own_uid(), |why: &str| Err(format!("{key}: {why}")));
    if name == "root" {
        return if own == 0 { Ok(None) } else { wrong("riposte is not root here, so nothing can be run as root") };
    }
    let Some(user) = sys::identity::lookup_user(name).ok().flatten() else { return wrong(&format!("there is no user '{name}'")) };
    match user.uid {
        0 => wrong(&format!("'{name}' is root by another name: write \"root\" if that is to be")),
        uid if own == 0 && sys::identity::is_mapped(uid) => Ok(Some(Identity { uid, gid: user.gid, groups: Vec::new() })),
        // Under the unit, where nobody can be become, and in a user namespace with one user.
        uid if own == 0 || uid == own || name == "nobody" => Ok(None),
        _ => wrong(&format!("riposte is not root here, so nothing can be run as '{name}'")),
    }
}

/// By its settings: a socket that was opened with others is of no use.
fn nflog_name(group: u16) -> String {
    let NflogSettings { group, snaplen, threshold, timeout_centis, receive_buffer_bytes } = NflogSettings::group(group);
    format!("nflog {group} {snaplen} {threshold} {timeout_centis} {receive_buffer_bytes}")
}

/// The pipe and the socket of application logs, as they are passed on.
fn streams(config: &ApplicationsConfig) -> Vec<LogSource> {
    let timezone = config.timezone.clone();
    let syslog = config.syslog.clone().map(|path| LogSource::Syslog { socket: SyslogSocket::Unix(path), timezone: timezone.clone() });
    let pipe = config.pipe.clone().map(|path| LogSource::Pipe { path, timezone });
    syslog.into_iter().chain(pipe).filter(|_| config.enabled).collect()
}

/// Where fail2ban's jails have their lines from. What can't be read is said by the sensor, which reads all of it.
fn jails(config: &ApplicationsConfig) -> Sources {
    engine::jails_sources(&config.rules).unwrap_or_default()
}

/// What is followed: the configured patterns, and what jails name by its whole path.
fn followed(config: &ApplicationsConfig, jails: &[String]) -> Vec<String> {
    let mut patterns = config.files.clone();
    for path in jails {
        if patterns.contains(path) {
            continue;
        }
        if path.starts_with('/') && pattern(path).is_ok() && patterns.len() < PATTERNS_MAX {
            patterns.push(path.clone());
        } else {
            tracing::warn!(
                logpath = path,
                most = PATTERNS_MAX,
                "a jail's log is not followed: it is no pattern of a full path, or there are too many"
            );
        }
    }
    patterns
}

/// Whether application logs are read from the journal: `auto` if nobody writes what sshd says into a file, or if a jail reads it.
fn reads_journal(config: &ApplicationsConfig, jails: &Sources) -> bool {
    let is_there = |path: &str| config.files.iter().any(|pattern| pattern == path) && Path::new(path).exists();
    config.enabled
        && match config.journal {
            JournalUse::Always => true,
            JournalUse::Never => false,
            JournalUse::Auto => (jails.journal || !SYSTEM_LOGS.iter().any(|path| is_there(path))) && Path::new(journal::PROGRAM).exists(),
        }
}

fn has_files(config: &Config) -> bool {
    config.applications.enabled || config.logs.iter().any(|source| matches!(source, LogSource::File { .. }))
}

fn copy(fd: &OwnedFd) -> Result<OwnedFd, String> {
    fd.try_clone().map_err(|e| e.to_string())
}

/// Makes a folder with this mode. Those on the way to it are for everybody to pass: the judge has to.
fn make_folder(path: &Path, mode: u32) -> Result<(), String> {
    let make = |path: &Path, mode| fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    let made = path.parent().map_or(Ok(()), |parent| make(parent, 0o755)).and_then(|()| make(path, mode));
    made.map_err(|e| format!("can't make {}: {e}", path.display()))
}

/// Gives the ledger to its user. One that another user's riposte left behind must be readable again, but only its own files, and none with a
/// second name: whoever may write to this folder could have linked somebody else's file into it. All by descriptors: nor can he swap one
/// between the look and the change.
fn give_store(store: &Path, uid: u32, gid: u32) -> io::Result<()> {
    // The judge says what it makes of a store that it can't write, and goes on.
    let give = |held: &Held| match held.give(uid, gid) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        given => given,
    };
    let folder = match Held::folder(store) {
        // A link to elsewhere: whoever made it gives away what is behind it, and the judge says if that's missing.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        held => held?,
    };
    give(&folder)?;
    for suffix in ["", "-wal", "-journal"] {
        let Ok(file) = folder.inside(OsStr::new(&format!("riposte.db{suffix}"))) else { continue };
        let meta = file.metadata()?;
        if meta.is_file() && meta.nlink() == 1 && meta.uid() != uid {
            give(&file)?;
        }
    }
    Ok(())
}

/// Whether somebody answers there, and stays. A judge whose riposte was killed may do so for the moment that it takes to notice.
fn is_answered(path: &Path) -> bool {
    let end = monotonic().after(PARTING);
    while UnixStream::connect(path).is_ok() {
        if monotonic() >= end {
            return true;
        }
        std::thread::sleep(PARTING / 20);
    }
    false
}

/// The control socket. One that an ended riposte left behind is replaced; one that is answered is not.
fn listen(config: &Config) -> Result<UnixListener, String> {
    let path = &config.control.socket;
    let fail = |what: &str, e: std::io::Error| format!("control socket {}: {what}: {e}", path.display());
    if let Some(folder) = path.parent() {
        make_folder(folder, 0o755)?;
    }
    if is_answered(path) {
        return Err(format!("riposte is running already ({} is answered)", path.display()));
    }
    if path.exists() {
        fs::remove_file(path).map_err(|e| fail("remove", e))?;
    }
    let listener = UnixListener::bind(path).map_err(|e| fail("bind", e))?;
    let mode = match &config.control.group {
        None => 0o600,
        Some(group) => {
            let gid = sys::identity::lookup_group(group).ok().flatten();
            let gid = gid.ok_or_else(|| format!("[control] group: there is no group '{group}' on this machine"))?;
            // Under the unit only its own group can be given, and that it has already.
            if fs::metadata(path).map_err(|e| fail("group", e))?.gid() != gid {
                let hint = format!("group (under the unit, set Group={group} in a drop-in)");
                std::os::unix::fs::chown(path, None, Some(gid)).map_err(|e| fail(&hint, e))?;
            }
            0o660
        }
    };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| fail("permissions", e))?;
    Ok(listener)
}

/// An inotify descriptor for the files from which exemptions are derived. What isn't there isn't watched.
fn watch_host() -> Result<OwnedFd, String> {
    let inotify = Inotify::init().map_err(|e| e.to_string())?;
    let replaced = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE | WatchMask::DELETE;
    // /etc as a folder: resolv.conf is replaced rather than written. Every event there costs one look, and there are few.
    let names = RESOLV_CONF.iter().filter_map(|file| Path::new(file).parent().map(Path::to_owned));
    // It may be a link, and what it points to be replaced in its own folder.
    let behind = RESOLV_CONF.iter().filter_map(|file| fs::canonicalize(file).ok()?.parent().map(Path::to_owned));
    let folders: BTreeSet<PathBuf> = names.chain(behind).chain([PathBuf::from(SESSIONS)]).collect();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        inotify.watches().add(folder, replaced).map_err(|e| format!("can't watch {}: {e}", folder.display()))?;
    }
    if Path::new(UTMP).is_file() {
        inotify.watches().add(UTMP, WatchMask::MODIFY | WatchMask::CLOSE_WRITE).map_err(|e| format!("can't watch {UTMP}: {e}"))?;
    }
    Ok(inotify.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ControlConfig;

    #[test]
    fn a_control_socket_that_a_dying_judge_still_holds_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let held = UnixListener::bind(&path).unwrap();
        let config = Config { control: ControlConfig { socket: path.clone(), group: None }, ..Config::default() };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PARTING / 10);
                drop(held);
            });
            let _ours = listen(&config).unwrap();
            // Whoever stays has it.
            assert!(listen(&config).unwrap_err().contains("riposte is running already"));
        });
    }
}
