//! The envoy: tells people and programs elsewhere what the judge wants told. It alone speaks with other hosts, and parses what they answer; it
//! witnesses nothing and decides nothing. Whatever it waits for, nobody waits for it: each way out is a thread, with a file of its own.

mod command;
mod courier;
mod dshield;
mod feeds;
pub mod limits;
mod lookups;
mod mail;
pub mod messenger;
mod syslog;
pub(crate) mod tls;
mod way;
mod webhook;
mod whois;

use super::calm::Calm;
use super::{Start, channel, channel::Channel, ended, enter, own, unprivileged_user};
use crate::config::Config;
use crate::config::alert::Outgoing;
use crate::config::feed::{FeedConfig, Place};
use crate::config::lookups::WHOIS_PORT;
use courier::{Answers, Courier};
use dshield::Reporter;
use feeds::{Fetcher, Order};
use limits::Limits;
use link::message::{Counter, Message};
use lookups::Lookups;
pub(crate) use mail::address;
use messenger::Messenger;
use model::event::Event;
use model::limits as bounds;
use report::alert::{Alert, Letter, Told};
use report::serial::Stamp;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;
use sys::fd::{Interest, Poller};
use sys::sandbox::Profile;
use way::{Thread, Way};

const WARDEN: u64 = 1;
const JUDGE: u64 = 2;
/// Bytes of a password file, certificates included.
const FILE_BYTES: u64 = 1 << 20;

/// No program that is run for it may take longer.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(600);

/// Whether the configuration has work for it.
pub fn is_needed(config: &Config) -> bool {
    config.alert.is_on() || config.feeds.iter().any(|feed| feed.enabled) || config.dshield.enabled
}

/// TCP ports that it must be able to connect to; the warden's sandbox, in which it lives, lets these pass.
pub fn ports(config: &Config) -> Vec<u16> {
    let mut ports = config.alert.ports();
    ports.extend(config.whois.enabled.then_some(WHOIS_PORT));
    ports.extend(config.feeds.iter().filter_map(FeedConfig::port).chain(config.dshield.port()));
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether a new configuration asks for nothing that was not opened for the old one.
pub fn fits(old: &Config, new: &Config) -> bool {
    // Who runs programs was told which at the start.
    let runs = |config: &Config| (!config.alert.programs().is_empty()).then(|| config.alert.clone());
    ports(new).iter().all(|port| ports(old).contains(port)) && runs(old) == runs(new)
}

/// Whether anything about it differs.
pub fn differs(old: &Config, new: &Config) -> bool {
    (&old.alert, &old.whois, &old.reverse_dns) != (&new.alert, &new.whois, &new.reverse_dns)
}

/// Whether programs are to be run for it.
pub fn has_programs(config: &Config) -> bool {
    !config.alert.programs().is_empty()
}

/// Files that the warden opens for it, with their keys: it gets them in this order.
fn files(config: &Config) -> Vec<(String, &Path)> {
    let (mut files, alert) = (Vec::new(), &config.alert);
    if let Some(Outgoing::Server(server)) = alert.mail.as_ref().map(|mail| &mail.by) {
        files.extend(server.password_file.as_deref().map(|file| ("[alert.mail] password_file", file)));
        files.extend(server.ca.as_deref().map(|file| ("[alert.mail] ca", file)));
    }
    if let Some(webhook) = &alert.webhook {
        files.extend(webhook.headers_file.as_deref().map(|file| ("[alert.webhook] headers_file", file)));
        files.extend(webhook.ca.as_deref().map(|file| ("[alert.webhook] ca", file)));
    }
    let mut files: Vec<(String, &Path)> = files.into_iter().map(|(key, file)| (key.to_owned(), file)).collect();
    for feed in config.feeds.iter().filter(|feed| feed.enabled) {
        files.extend(feed.key.as_deref().map(|file| (feeds::key_key(feed), file)));
        files.extend(feed.ca.as_deref().map(|file| (feeds::ca_key(feed), file)));
    }
    if config.dshield.enabled {
        files.extend(config.dshield.key.as_deref().map(|file| (dshield::KEY.to_owned(), file)));
        files.extend(config.dshield.ca.as_deref().map(|file| (dshield::CA.to_owned(), file)));
    }
    files
}

/// Opens them. The warden's part.
///
/// # Errors
/// Which one can't be opened, and why.
pub fn open_files(config: &Config) -> Result<Vec<OwnedFd>, String> {
    let open = |(key, path): (String, &Path)| File::open(path).map(OwnedFd::from).map_err(|e| format!("{key}: {}: {e}", path.display()));
    files(config).into_iter().map(open).collect()
}

/// What the files say, by their keys.
#[derive(Debug, Default)]
struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    fn read(config: &Config, mut open: impl FnMut(usize) -> Result<OwnedFd, String>) -> Result<Secrets, String> {
        let read = |(n, (key, path)): (usize, (String, &Path))| {
            let mut content = Vec::new();
            let file = File::from(open(n)?);
            file.take(FILE_BYTES).read_to_end(&mut content).map_err(|e| format!("{key}: {}: {e}", path.display()))?;
            Ok((key, content))
        };
        files(config).into_iter().enumerate().map(read).collect::<Result<_, String>>().map(Secrets)
    }

    fn of(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, content)| content.as_slice())
    }
}

/// Ways out by name.
type Ways = Vec<(&'static str, Box<dyn Way>)>;

/// Those that are configured.
fn ways(config: &Config, host: &str, secrets: &Secrets, messenger: Option<&Messenger>) -> Result<Ways, String> {
    let (mut ways, alert): (Ways, _) = (Vec::new(), &config.alert);
    if let Some(mail) = &alert.mail {
        ways.push(("mail", Box::new(mail::Mail::new(mail, host, secrets, messenger.cloned(), Lookups::new(config))?)));
    }
    if let Some(syslog) = &alert.syslog {
        ways.push(("syslog", Box::new(syslog::Syslog::new(syslog))));
    }
    if let Some(webhook) = &alert.webhook {
        ways.push(("webhook", Box::new(webhook::Webhook::new(webhook, secrets)?)));
    }
    if alert.command.is_some() {
        let messenger = messenger.ok_or("[alert.command]: nobody can run it until riposte is restarted")?;
        ways.push(("command", Box::new(command::Command::new(messenger.clone()))));
    }
    Ok(ways)
}

/// This host's name.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = report::escape::text(name.trim(), 253);
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// What became of a sample.
#[derive(Debug)]
pub struct Tried {
    /// By which way.
    pub way: &'static str,
    /// Whither.
    pub to: String,
    /// Why it was not delivered.
    pub result: Result<(), String>,
}

/// Sends a sample by each way, as the envoy would. For the command line: this process enters the envoy's sandbox for good.
///
/// # Errors
/// Why none could be tried.
pub fn try_out(config: &Config) -> Result<Vec<Tried>, String> {
    let mut opened = open_files(config)?.into_iter();
    let secrets = Secrets::read(config, |_| opened.next().ok_or_else(|| "no such file".to_owned()))?;
    let (host, at) = (host_name(), Stamp(super::now()));
    let messenger = has_programs(config).then(|| super::warden::messengers_identity(config)).transpose()?;
    let messenger = messenger.map(|identity| Messenger::Own(Box::new(config.alert.clone()), identity));
    let letter = Letter { host: host.clone(), at, told: vec![Told::once(Alert::sample(at))], more: 0 };
    let is_program = |way: &str| {
        let mail = config.alert.mail.as_ref().is_some_and(|mail| matches!(mail.by, Outgoing::Program(_)));
        way == "command" || way == "mail" && mail
    };
    let (programs, others): (Ways, Ways) =
        ways(config, &host, &secrets, messenger.as_ref())?.into_iter().partition(|(way, _)| is_program(way));
    let mut tried = Vec::new();
    let mut try_all = |ways: Ways| {
        for (way, mut out) in ways {
            tried.push(Tried { way, to: whither(config, way), result: out.deliver(&letter) });
        }
    };
    // What programs need nobody knows: they run before the sandbox stands.
    try_all(programs);
    if !others.is_empty() {
        let profile = Profile { dies_with_parent: false, ..Profile::envoy(unprivileged_user(&config.process.user)?, &ports(config)) };
        sys::sandbox::enter(&profile).map_err(|error| error.to_string())?;
        try_all(others);
    }
    Ok(tried)
}

fn whither(config: &Config, way: &str) -> String {
    let alert = &config.alert;
    let to = match way {
        "mail" => alert.mail.as_ref().map(|mail| mail.to.join(", ")),
        "syslog" => alert.syslog.as_ref().map(|syslog| syslog.socket.display().to_string()),
        "webhook" => alert.webhook.as_ref().map(|webhook| webhook.url.clone()),
        _ => alert.command.as_ref().and_then(|command| command.argv.first().cloned()),
    };
    to.unwrap_or_default()
}

struct Envoy {
    warden: Channel,
    judge: Channel,
    poller: Poller,
    threads: Vec<Thread>,
    /// Who fetches lists, and who tells DShield.
    feeds: Option<Courier<Order>>,
    dshield: Option<Courier<(u32, Vec<Event>)>>,
    /// What is for DShield, until it is whole.
    probes: Vec<Event>,
    malformed: u64,
}

/// Runs until the warden or the judge goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, .. } = start;
    let judge = own(0)?;
    let dup = |what: &OwnedFd| what.try_clone().map_err(|e| e.to_string());
    let ways_back = [dup(&judge)?, dup(&judge)?];
    let (to_judge, judge) = (dup(&judge)?, Channel::new(judge));
    let secrets = Secrets::read(&config, |n| own(1 + n as RawFd))?;
    let host = host_name();
    let link = has_programs(&config).then(|| own(1 + files(&config).len() as RawFd)).transpose()?;
    let messenger = link.map(|link| Messenger::new(link, LONGEST_RUN));
    let mut profile = Profile::envoy(unprivileged_user(&config.process.user)?, &ports(&config));
    // A list is replaced by one of the same name: its folder it is that can be read.
    profile.read.extend(config.feeds.iter().filter(|feed| feed.enabled).filter_map(|feed| match &feed.place {
        Place::File(file) => file.parent().map(Path::to_owned),
        Place::Url(_) => None,
    }));
    enter(&profile, &mut warden)?;
    let (feeds, dshield) = couriers(&config, &secrets, ways_back)?;
    let mut threads = Vec::new();
    for (name, way) in ways(&config, &host, &secrets, messenger.as_ref())? {
        let limits = match config.alert.share(name) {
            Some(share) => {
                Some((Limits::new(&config.alert, share, way::clock()), Answers::new(dup(&to_judge)?).map_err(|e| e.to_string())?))
            }
            // A line in the system's log troubles nobody.
            None => None,
        };
        threads.push(Thread::start(name, &host, way, limits)?);
    }
    let poller = Poller::new().map_err(|e| e.to_string())?;
    ended(Envoy { warden, judge, poller, threads, feeds, dshield, probes: Vec::new(), malformed: 0 }.watch())
}

type Couriers = (Option<Courier<Order>>, Option<Courier<(u32, Vec<Event>)>>);

/// Who fetches lists and who tells DShield, if either is wanted.
fn couriers(config: &Config, secrets: &Secrets, ways_back: [OwnedFd; 2]) -> Result<Couriers, String> {
    let [to_feeds, to_dshield] = ways_back.map(|way| Answers::new(way).map_err(|e| e.to_string()));
    let (mut feeds, mut dshield) = (None, None);
    if config.feeds.iter().any(|feed| feed.enabled) {
        let fetcher = Fetcher::new(config, secrets)?;
        feeds = Some(Courier::start("feeds", to_feeds?, move |order: Order, judge| fetcher.work(&order, judge))?);
    }
    if config.dshield.enabled {
        let reporter = Reporter::new(config, secrets)?;
        dshield = Some(Courier::start("dshield", to_dshield?, move |(order, events): (u32, Vec<Event>), judge| {
            reporter.work(order, &events, judge)
        })?);
    }
    Ok((feeds, dshield))
}

impl Envoy {
    fn watch(mut self) -> io::Result<()> {
        self.poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        self.poller.add(self.judge.as_fd(), JUDGE, Interest::Read)?;
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        loop {
            calm.wait(&self.poller, None, &mut ready)?;
            for event in &ready {
                let is_there = match event.token {
                    // The warden asks nothing: readable means that it has gone.
                    WARDEN => !matches!(self.warden.hear(&mut frame)?, Break(false)),
                    _ => {
                        if event.writable {
                            self.judge.flush()?;
                        }
                        self.hear(&mut frame)?
                    }
                };
                if !is_there {
                    return Ok(());
                }
            }
            for (link, token) in [(&self.judge, JUDGE), (&self.warden, WARDEN)] {
                self.poller.modify(link.as_fd(), token, link.interest())?;
            }
        }
    }

    /// False when the judge has gone.
    fn hear(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        loop {
            let received = match self.judge.hear(frame)? {
                Continue(received) => received,
                Break(is_there) => return Ok(is_there),
            };
            match Message::decode(received.bytes) {
                Ok(Message::Alert(json)) => match serde_json::from_str::<Alert>(&json) {
                    Ok(alert) => self.tell(&alert)?,
                    Err(_) => self.malformed += 1,
                },
                Ok(Message::Kept { way, note }) => {
                    // One that is configured no longer has nobody who goes on.
                    self.threads.iter().any(|thread| thread.go_on(&way, &note));
                }
                Ok(Message::AskCounters) => {
                    let counters = self.counters();
                    self.judge.send(&Message::Counters(counters))?;
                }
                Ok(Message::Fetch { order: number, feed, whole, known }) => {
                    let order = Order { number, feed, whole, known };
                    let taken = self.feeds.as_ref().map_or(Ok(false), |feeds| feeds.order(order))?;
                    self.malformed += u64::from(!taken);
                }
                Ok(Message::Events(events)) if self.probes.len() < bounds::DSHIELD => self.probes.extend(events),
                Ok(Message::Submit { order }) => {
                    let probes = std::mem::take(&mut self.probes);
                    let taken = self.dshield.as_ref().map_or(Ok(false), |dshield| dshield.order((order, probes)))?;
                    self.malformed += u64::from(!taken);
                }
                Ok(_) | Err(_) => self.malformed += 1,
            }
        }
    }

    fn tell(&self, alert: &Alert) -> io::Result<()> {
        // A thread that has ended was our own bug: all begin again.
        if self.threads.iter().all(|thread| thread.tell(alert)) { Ok(()) } else { Err(io::Error::other("a way out has ended")) }
    }

    fn counters(&self) -> Vec<Counter> {
        let own = Counter { name: "messages not understood".into(), value: self.malformed };
        self.threads.iter().flat_map(Thread::counters).chain([own]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "x").unwrap()
    }

    #[test]
    fn what_was_not_opened_at_the_start_waits_for_a_restart() {
        let syslog = config("[alert.syslog]\n");
        let mail = config("[alert.mail]\nto=['root']\nserver='a.example.org'\n");
        let other = config("[alert.mail]\nto=['admin']\nserver='b.example.org'\n[whois]\nenabled=false\n");
        assert!(fits(&mail, &other) && differs(&mail, &other) && fits(&mail, &syslog) && is_needed(&mail));
        assert!(!fits(&syslog, &mail), "another port");
        assert!(!fits(&mail, &config("[alert.mail]\nto=['root']\nserver='a.example.org'\n[whois]\n")), "whois has a port, too");
        let command = |argv: &str| config(&format!("[alert.command]\nargv=['{argv}']\n"));
        assert!(!fits(&command("/bin/true"), &command("/bin/false")), "who runs it was told at the start");
        assert!(fits(&command("/bin/true"), &command("/bin/true")) && !fits(&command("/bin/true"), &syslog));
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_key() {
        let error = open_files(&config("[alert.webhook]\nurl='http://a.example.org/'\nheaders_file='/nowhere/at/all'\n")).unwrap_err();
        assert_eq!(error, "[alert.webhook] headers_file: /nowhere/at/all: No such file or directory (os error 2)");
    }
}
