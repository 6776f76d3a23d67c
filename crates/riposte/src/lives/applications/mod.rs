//! The application-log sensor: reads the lines of many services' logs, has the rules look at them, and tells the judge what they want done.
//! Holds no privilege and opens nothing: the warden finds and opens the files.

pub mod engine;
mod findings;
mod proof;

use super::{Start, calm::Calm, channel, channel::Channel, ended, enter, monotonic, now, own, unprivileged_user};
use crate::config::{ApplicationsConfig, JournalUse, StartAt};
use crate::sources::files::{FollowedFiles, Handed};
use crate::sources::{self, Line, Progress, Source, file, journal::JournalSource, pipe::PipeSource, syslog::SyslogSource};
use findings::Findings;
use link::message::{Counter, Message};
use logrules::Rules;
use model::time::Time;
use sense::firewall::timestamp::{LogClock, Stamps};
use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;
use sys::fd::{Interest, Poller};
use sys::sandbox::Profile;

/// How long after an unanswered question to look again it is asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Between two questions: a busy folder must not keep the warden looking.
const PAUSE: Duration = Duration::from_millis(200);
/// A file that lost its name is looked for after this, and then after twice as long each time.
const LOST_FIRST: Duration = Duration::from_secs(2);
const LOST_LAST: Duration = Duration::from_secs(120);
/// What the journal is called where a file has its path.
const JOURNAL: &str = "journal";
const WARDEN: u64 = 1;
const JUDGE: u64 = 2;
/// Poll token of a source's descriptor number n is this plus n.
const SOURCE: u64 = 1_000;

/// What is no file.
enum Other {
    Journal(Box<JournalSource>),
    Syslog(SyslogSource),
    Pipe(PipeSource),
}

struct Applications {
    warden: Channel,
    judge: Channel,
    rules: engine::Engines,
    files: FollowedFiles,
    others: Vec<Other>,
    findings: Findings,
    /// Reads the time of lines that an earlier run has read.
    stamps: Stamps,
    /// Whether the judge has told how far files and the journal are known: before that nothing is read.
    begun: bool,
    /// When the warden was asked to look again and has not finished its answer (monotonic).
    asked: Option<Time>,
    /// It is to be asked, and not before when (monotonic).
    ask: Option<Time>,
    last_asked: Time,
    lost_wait: Duration,
    /// Files that there is no room for.
    surplus: u64,
    /// Files that came without a descriptor: this process has no more.
    no_descriptor: u64,
    /// Whether the sources wait: for what the judge knows of them, or because it doesn't keep up.
    held: bool,
}

/// Runs until the warden or the judge goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, slot } = start;
    let applications = &config.applications;
    let judge = Channel::new(own(0)?);
    let start = match applications.from {
        StartAt::End => file::Start::End,
        StartAt::Start => file::Start::Beginning,
    };
    let files = FollowedFiles::new(own(1)?, start);
    let others = others(applications)?;
    // Rules are files: they are read now.
    let rules = engine::load(applications, &config.responses).map_err(|wrong| format!("[applications] rules: {}", wrong.join("; ")))?;
    for notice in &rules.notices {
        tracing::warn!("[applications] rules: {notice}");
    }
    let findings = Findings::new(slot, &rules.blocks, &config.responses);
    // So is zone data.
    let offset = super::log::utc_offset(applications.timezone.clone());
    let stamps = Stamps::new(LogClock { utc_offset: offset, reference: now(), boot: None });
    enter(&Profile::applications(unprivileged_user(&config.process.user)?), &mut warden)?;
    let mut applications = Applications {
        warden,
        judge,
        rules,
        files,
        others,
        findings,
        stamps,
        begun: false,
        asked: None,
        ask: None,
        last_asked: Time::EPOCH,
        lost_wait: LOST_FIRST,
        surplus: 0,
        no_descriptor: 0,
        held: true,
    };
    ended(applications.watch())
}

/// The descriptors behind the inotify one, in the order in which the warden passes them.
fn others(config: &ApplicationsConfig) -> Result<Vec<Other>, String> {
    let mut others = Vec::new();
    // The warden has decided: `auto` does not travel.
    if config.journal == JournalUse::Always {
        others.push(Other::Journal(Box::new(JournalSource::of_services(own(2)?, now()))));
    }
    if config.syslog.is_some() {
        others.push(Other::Syslog(SyslogSource::new(own(2 + others.len() as i32)?)));
    }
    if config.pipe.is_some() {
        others.push(Other::Pipe(PipeSource::new(own(2 + others.len() as i32)?)));
    }
    Ok(others)
}

impl Other {
    fn source(&self) -> &dyn Source {
        match self {
            Other::Journal(source) => source.as_ref(),
            Other::Syslog(source) => source,
            Other::Pipe(source) => source,
        }
    }

    fn ready(&mut self, rules: &mut dyn Rules, findings: &mut Findings, at: Time) -> io::Result<Progress> {
        match self {
            Other::Journal(source) => source.entries(&mut |line, fields, past| {
                findings.entry(rules, line, line.at.map_or(at, Time::from_nanos), fields, past);
            }),
            Other::Syslog(source) => source.ready(&mut |line| findings.line(rules, line, at, "syslog socket")),
            Other::Pipe(source) => source.ready(&mut |line| findings.line(rules, line, at, "pipe")),
        }
    }
}

impl Applications {
    fn watch(&mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        poller.add(self.judge.as_fd(), JUDGE, Interest::Read)?;
        for fd in self.fds() {
            poller.add(fd, SOURCE + fd.as_raw_fd() as u64, Interest::Neither)?;
        }
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        let mut more = true;
        loop {
            calm.wait(&poller, self.patience(more), &mut ready)?;
            let mut read = more;
            for event in &ready {
                match event.token {
                    WARDEN => match self.hear_warden(&mut frame)? {
                        true => read = true,
                        false => return Ok(()),
                    },
                    JUDGE => {
                        if event.writable {
                            self.judge.flush()?;
                        }
                        if !self.hear_judge(&mut frame)? {
                            return Ok(());
                        }
                    }
                    _ => read = true,
                }
            }
            more = false;
            if read && !self.must_wait() {
                more = self.read()?;
            }
            self.hold(&poller, read, &mut more)?;
            self.look_again()?;
            poller.modify(self.judge.as_fd(), JUDGE, self.judge.interest())?;
        }
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let others = self.others.iter().flat_map(|other| other.source().fds());
        std::iter::once(self.files.fd()).chain(others).collect()
    }

    /// Whether the judge has not told yet how far all is known, or does not keep up.
    fn must_wait(&self) -> bool {
        !self.begun || self.judge.is_congested()
    }

    /// Then the lines wait where they are, and readable sources that nobody reads must not keep us awake.
    fn hold(&mut self, poller: &Poller, read: bool, more: &mut bool) -> io::Result<()> {
        let wait = self.must_wait();
        if wait == self.held || (wait && !read) {
            return Ok(());
        }
        self.held = wait;
        let interest = if wait { Interest::Neither } else { Interest::Read };
        for fd in self.fds() {
            poller.modify(fd, SOURCE + fd.as_raw_fd() as u64, interest)?;
        }
        // What came in meanwhile is read now.
        *more |= !wait;
        Ok(())
    }

    /// How long nothing has to be done.
    fn patience(&self, more: bool) -> Option<Duration> {
        let asked = self.asked.map(|asked| asked.after(ASK_EVERY));
        let due = asked.or(self.ask).map(|at| at.since(monotonic()));
        if more { Some(Duration::ZERO) } else { due }
    }

    /// Wants the warden to look for new files, after a while.
    fn want_look(&mut self, after: Duration) {
        let at = monotonic().after(after).max(self.last_asked.after(PAUSE));
        self.ask = Some(self.ask.map_or(at, |planned| planned.min(at)));
    }

    /// Asks the warden to look again if that is due, or if it has not answered: the gate may have turned the question away.
    fn look_again(&mut self) -> io::Result<()> {
        let at = monotonic();
        let due = match self.asked {
            Some(asked) => at.since(asked) >= ASK_EVERY,
            None => self.ask.is_some_and(|ask| ask <= at),
        };
        if due && self.begun {
            (self.asked, self.ask, self.last_asked) = (Some(at), None, at);
            self.warden.send(&Message::Reopen)?;
        }
        Ok(())
    }

    /// Reads a turn's worth of each source; whether there may be more.
    fn read(&mut self) -> io::Result<bool> {
        let at = now();
        let (rules, findings) = (&mut self.rules, &mut self.findings);
        let progress = self.files.ready(&mut |log, line| findings.line(rules, line, at, log))?;
        let mut more = progress.more;
        for other in &mut self.others {
            let progress = other.ready(rules, findings, at)?;
            more |= progress.more;
            if progress.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log's source has ended"));
            }
        }
        if progress.reopen_wanted {
            self.lost_wait = LOST_FIRST;
            self.want_look(Duration::ZERO);
        }
        self.tell()?;
        Ok(more)
    }

    /// Tells the judge: first what was found, behind it how far that goes.
    fn tell(&mut self) -> io::Result<()> {
        self.findings.tell(&mut self.judge)?;
        let judge = &mut self.judge;
        for other in &mut self.others {
            if let Other::Journal(source) = other
                && let Some(position) = source.position()
            {
                judge.send(&Message::FilePosition { log: JOURNAL.to_owned(), position })?;
            }
        }
        self.files.positions(|log, position| judge.send(&Message::FilePosition { log: log.to_owned(), position: position.clone() }))
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        loop {
            let received = match self.warden.hear(frame)? {
                Continue(received) => received,
                Break(is_there) => return Ok(is_there),
            };
            match (Message::decode(received.bytes).map_err(io::Error::other)?, received.fd) {
                (Message::Followed { slot, watch, rotated, log }, Some(file)) => {
                    let (rules, findings, stamps, at) = (&mut self.rules, &mut self.findings, &mut self.stamps, now());
                    let mut take = |log: &str, line: Line<'_>, past: bool| match past {
                        true => findings.past(rules, line, stamps, at, log),
                        false => findings.line(rules, line, at, log),
                    };
                    let handed = Handed { slot, watch, rotated, log, file };
                    // A file that can't be read is counted with the others that can't.
                    if self.files.take(handed, &mut take).is_err() {
                        self.files.failed += 1;
                    }
                }
                (Message::Followed { .. }, None) => self.no_descriptor += 1,
                (Message::Looked { more, surplus }, _) => self.looked(more, surplus),
                // Nothing else is for us.
                (_, _) => {}
            }
        }
    }

    fn looked(&mut self, more: bool, surplus: u32) {
        (self.asked, self.surplus) = (None, surplus.into());
        if more {
            // It has all the room it needs: what was handed over is ours by now.
            self.ask = Some(monotonic());
            return;
        }
        self.files.all_there();
        if self.files.any_lost() {
            self.want_look(self.lost_wait);
            self.lost_wait = (self.lost_wait * 2).min(LOST_LAST);
        }
    }

    /// False when the judge has gone.
    fn hear_judge(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        loop {
            let received = match self.judge.hear(frame)? {
                Continue(received) => received,
                Break(is_there) => return Ok(is_there),
            };
            match Message::decode(received.bytes) {
                Ok(Message::AskCounters) => {
                    let counters = self.counters();
                    self.judge.send(&Message::Counters(counters))?;
                }
                Ok(Message::FilePosition { log, position }) if log == JOURNAL => {
                    for other in &mut self.others {
                        if let Other::Journal(source) = other {
                            source.knows(position.clone());
                        }
                    }
                }
                Ok(Message::FilePosition { log, position }) => self.files.knows(log, position),
                Ok(Message::Position(_)) => {
                    self.begun = true;
                    self.want_look(Duration::ZERO);
                }
                // Nothing else is for us.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn counters(&mut self) -> Vec<Counter> {
        let mut lines = self.files.counters();
        for other in &self.others {
            let more = other.source().counters();
            lines.cut += more.cut;
            lines.malformed += more.malformed;
            lines.unfinished += more.unfinished;
        }
        let sources::Counters { cut, unfinished, malformed, truncations, rotations, .. } = lines;
        let own = [
            ("files followed", self.files.count() as u64),
            ("files without room", self.surplus),
            ("files without a descriptor", self.no_descriptor),
            ("files that can't be read", self.files.failed),
            ("cut, too long", cut),
            ("never finished", unfinished),
            ("malformed records", malformed),
            ("truncations", truncations),
            ("rotations", rotations),
        ];
        let rules = self.rules.counters();
        let all = self.findings.counters().into_iter().chain(own).chain(rules);
        all.map(|(name, value)| Counter { name: name.into(), value }).collect()
    }
}
