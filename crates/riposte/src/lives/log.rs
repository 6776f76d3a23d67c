//! The log sensor: reads one log's lines, tells the judge of the packets in them. Holds no privilege and opens nothing:
//! when the log has been rotated it asks the warden, by its own slot.

use super::{
    Start, calm::Calm, channel, channel::Channel, clients::Clients, ended, enter, fingerprints, monotonic, now, own, unprivileged_user,
};
use crate::config::{LogSource, StartAt, Zone};
use crate::sources::{self, Line, Progress, Source, file, file::FileSlot, file::FollowedFile};
use link::message::{Counter, Message, Passage, Position};
use model::event::{Act, Event};
use model::limits::{self, BATCH_WAYS, PREFIX_BYTES};
use model::time::Time;
use sense::facts::Reading;
use sense::firewall::timestamp::LogClock;
use sense::firewall::{FirewallLog, Provenance, Sighting};
use sense::matching::Matcher;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;
use sys::fd::{Interest, Poller};
use sys::sandbox::Profile;

/// How long after an unanswered question for the log it is asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);
const WARDEN: u64 = 1;
const JUDGE: u64 = 2;
/// Poll token of a source's descriptor number n is this plus n.
const SOURCE: u64 = 1_000;

enum Input {
    /// A followed file; `None` until the judge has told how far it is known and the warden has opened it.
    File { followed: Option<Box<FollowedFile>>, start: file::Start },
    /// Anything else.
    Other(Box<dyn Source>),
}

struct Log {
    warden: Channel,
    judge: Channel,
    input: Input,
    firewall: FirewallLog,
    clients: Clients,
    matcher: Matcher,
    slot: u16,
    /// A slot whose inotify descriptor has come and whose file has not.
    half_open: Option<FileSlot>,
    /// What has come before that slot: the file that had the name before.
    rotated: Option<OwnedFd>,
    events: Vec<Event>,
    /// By which ways their packets came; `None`: nobody gets mail.
    ways: Option<Ways>,
    events_dropped: u64,
    /// When the warden was last asked to open the log (monotonic), while it has not done so. The gate may have turned the question away,
    /// or the log may not be readable for now: it is asked again.
    asked: Option<Time>,
    /// How far the judge has been told of everything.
    told: Option<Position>,
    /// Whether the source waits because the judge doesn't keep up.
    held: bool,
}

/// Runs until the warden or the judge goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, slot } = start;
    // The warden tells it of its own log alone.
    let source = config.logs.first().ok_or("no such log")?;
    let judge = Channel::new(own(0)?);
    let clients = Clients::open(monotonic())?;
    let boot = Some(since_boot());
    let (input, provenance, zone) = open(source)?;
    // Zone data, signatures and fingerprints are read now: the sandbox has no files.
    let matcher = fingerprints::matcher(&config)?;
    let clock = LogClock { utc_offset: utc_offset(zone), reference: now(), boot };
    enter(&Profile::sensor(unprivileged_user(&config.process.user)?), &mut warden)?;
    let mut log = Log {
        warden,
        judge,
        input,
        firewall: FirewallLog::new(slot, provenance, clock, clients.ports()).wanting(&config.lines),
        clients,
        matcher,
        slot,
        half_open: None,
        rotated: None,
        events: Vec::new(),
        ways: config.alert.mail.is_some().then(Ways::default),
        events_dropped: 0,
        asked: None,
        told: None,
        held: false,
    };
    ended(log.watch())
}

fn open(source: &LogSource) -> Result<(Input, Provenance, Zone), String> {
    let other = |source: Box<dyn Source>| Input::Other(source);
    Ok(match source {
        LogSource::File { from, timezone, ulogd, .. } => {
            let start = match from {
                StartAt::End => file::Start::End,
                StartAt::Start => file::Start::Beginning,
            };
            let provenance = if *ulogd { Provenance::Ulogd } else { Provenance::Syslog };
            (Input::File { followed: None, start }, provenance, timezone.clone())
        }
        LogSource::Pipe { timezone, .. } => {
            (other(Box::new(sources::pipe::PipeSource::new(own(1)?))), Provenance::Syslog, timezone.clone())
        }
        LogSource::Kmsg { .. } => (other(Box::new(sources::kmsg::KmsgSource::new(own(1)?))), Provenance::Kernel, None),
        LogSource::Journal { .. } => (other(Box::new(sources::journal::JournalSource::new(own(1)?))), Provenance::Kernel, None),
        LogSource::Syslog { timezone, .. } => {
            (other(Box::new(sources::syslog::SyslogSource::new(own(1)?))), Provenance::Syslog, timezone.clone())
        }
    })
}

/// How far a zone is ahead of UTC at a local time (seconds as if it were UTC).
pub fn utc_offset(zone: Zone) -> Box<dyn Fn(i64) -> i32 + Send> {
    let zone = zone.unwrap_or_else(jiff::tz::TimeZone::system);
    Box::new(move |local| {
        // A local time that is there twice (end of summer time) is taken for the first, one that is not there for the later.
        let civil = jiff::Timestamp::from_second(local).map(|stamp| jiff::tz::Offset::UTC.to_datetime(stamp));
        let found = civil.and_then(|civil| zone.to_ambiguous_timestamp(civil).compatible());
        found.map_or(0, |stamp| zone.to_offset(stamp).seconds())
    })
}

/// When the kernel's own stamps began to count: they stand still while the machine sleeps, and don't know when the clock is set.
fn since_boot() -> Time {
    now().before(monotonic().since(Time::EPOCH))
}

/// By which ways packets came since the judge was last told, and how many of them there was no room for.
#[derive(Debug, Default)]
struct Ways {
    list: Vec<Passage>,
    crowded: u64,
}

/// Notes which way a probe took.
fn note_way(ways: &mut Option<Ways>, sighting: &Sighting<'_>) {
    let (Some(Ways { list, crowded }), Reading::Evidence(Act::Probe(_), _)) = (ways, &sighting.reading) else { return };
    let (facts, whole) = (sighting.facts, if sighting.interface_in.is_empty() { sighting.interface_out } else { sighting.interface_in });
    let [interface, prefix] = [whole, sighting.prefix].map(told);
    let of = |passage: &&mut Passage| {
        passage.actor == facts.source
            && passage.protocol == facts.protocol
            && passage.chain == facts.chain as u8
            && passage.prefix == prefix
            && passage.interface == interface
    };
    if let Some(passage) = list.iter_mut().find(of) {
        passage.packets = passage.packets.saturating_add(sighting.times);
    } else if list.len() >= BATCH_WAYS {
        *crowded += u64::from(sighting.times);
    } else {
        list.push(Passage {
            actor: facts.source,
            chain: facts.chain as u8,
            protocol: facts.protocol,
            interface: interface.into_owned(),
            prefix: prefix.into_owned(),
            packets: sighting.times,
        });
    }
}

/// As much of an interface or a log prefix as is told. What is no text is left out: what stands for it is longer.
fn told(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.get(..PREFIX_BYTES).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>().into(),
    }
}

impl Log {
    fn watch(&mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        poller.add(self.judge.as_fd(), JUDGE, Interest::Read)?;
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        let mut more = true;
        loop {
            self.poll_source(&poller)?;
            calm.wait(&poller, self.patience(more), &mut ready)?;
            if self.asked.is_some_and(|asked| monotonic().since(asked) >= ASK_EVERY) {
                self.ask_reopen()?;
            }
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
            // A judge that does not keep up: the log waits in its file, where nothing is lost.
            if read && !self.judge.is_congested() {
                let progress = self.read()?;
                more = progress.more;
                if progress.reopen_wanted && self.asked.is_none() {
                    self.ask_reopen()?;
                }
                if progress.ended {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log's source has ended"));
                }
            } else if self.judge.is_congested() {
                self.held = true;
            }
            if self.held && !self.judge.is_congested() {
                // What came in meanwhile is read now.
                (self.held, more) = (false, true);
            }
            poller.modify(self.judge.as_fd(), JUDGE, self.judge.interest())?;
        }
    }

    /// A source's descriptors change when its slot is opened again.
    fn poll_source(&mut self, poller: &Poller) -> io::Result<()> {
        let source: &dyn Source = match &self.input {
            Input::File { followed: Some(followed), .. } => followed.as_ref(),
            Input::File { followed: None, .. } => return Ok(()),
            Input::Other(source) => source.as_ref(),
        };
        let fds = source.fds();
        // While the judge does not keep up, the log waits where it is; a readable source that nobody reads would keep us awake.
        let interest = if self.held { Interest::Neither } else { Interest::Read };
        // A closed descriptor leaves the poller by itself, and its number may have been given to a new one.
        for fd in fds {
            let token = SOURCE + fd.as_raw_fd() as u64;
            match poller.add(fd, token, interest) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => poller.modify(fd, token, interest)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How long nothing has to be done.
    fn patience(&self, more: bool) -> Option<Duration> {
        let ask = self.asked.map(|asked| asked.after(ASK_EVERY).since(monotonic()));
        if more { Some(Duration::ZERO) } else { ask }
    }

    fn ask_reopen(&mut self) -> io::Result<()> {
        self.asked = Some(monotonic());
        self.warden.send(&Message::Reopen)
    }

    /// Reads a turn's worth of lines.
    fn read(&mut self) -> io::Result<Progress> {
        let at = now();
        self.firewall.booted(since_boot());
        if let Some(ports) = self.clients.news(monotonic()) {
            self.firewall.set_ephemeral(ports);
        }
        let (firewall, matcher, events, slot) = (&mut self.firewall, &mut self.matcher, &mut self.events, self.slot);
        let ways = &mut self.ways;
        let mut take = |line: Line<'_>| {
            let at = line.at.map_or(at, Time::from_nanos);
            firewall.line(line.text, at, |sighting| {
                note_way(ways, sighting);
                matcher.events(&sighting.seen(slot), sighting.event(slot), events);
            });
        };
        let progress = match &mut self.input {
            Input::File { followed: Some(followed), .. } => followed.ready(&mut take)?,
            Input::File { followed: None, .. } => Progress::default(),
            Input::Other(source) => source.ready(&mut take)?,
        };
        self.tell()?;
        Ok(progress)
    }

    /// Behind the events: what lies before this position need not be read again.
    fn tell_position(&mut self) -> io::Result<()> {
        let Input::File { followed: Some(followed), .. } = &self.input else { return Ok(()) };
        let position = followed.position()?;
        if position != self.told {
            self.told.clone_from(&position);
            self.judge.send(&Message::Position(position))?;
        }
        Ok(())
    }

    fn tell(&mut self) -> io::Result<()> {
        self.judge.send_names(self.matcher.take_unnamed())?;
        if let Some(ways) = self.ways.as_mut().filter(|ways| !ways.list.is_empty()) {
            self.judge.send(&Message::Ways(std::mem::take(&mut ways.list)))?;
        }
        let events = std::mem::take(&mut self.events);
        for batch in events.chunks(limits::BATCH_EVENTS) {
            let before = self.judge.dropped();
            self.judge.send(&Message::Events(batch.to_vec()))?;
            self.events_dropped += (self.judge.dropped() - before) * batch.len() as u64;
        }
        self.tell_position()
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        loop {
            let received = match self.warden.hear(frame)? {
                Continue(received) => received,
                Break(is_there) => return Ok(is_there),
            };
            let message = Message::decode(received.bytes).map_err(io::Error::other)?;
            match (message, received.fd) {
                (Message::Reopened { names, file }, Some(watch)) => {
                    let slot = FileSlot {
                        watch,
                        file: None,
                        rotated: self.rotated.take(),
                        names: names.into_iter().map(OsString::from).collect(),
                    };
                    if file { self.half_open = Some(slot) } else { self.opened(slot)? }
                }
                (Message::RotatedFile, Some(fd)) => self.rotated = Some(fd),
                (Message::ReopenedFile, Some(fd)) => {
                    if let Some(slot) = self.half_open.take() {
                        self.opened(FileSlot { file: Some(fd), ..slot })?;
                    }
                }
                // It could not be opened (`asked` stands: it is asked again), or this is nothing for us.
                (_, _) => {}
            }
        }
    }

    fn opened(&mut self, slot: FileSlot) -> io::Result<()> {
        self.asked = None;
        sys::fd::set_nonblocking(slot.watch.as_fd(), true)?;
        let (firewall, matcher, events, number) = (&mut self.firewall, &mut self.matcher, &mut self.events, self.slot);
        let (at, ways) = (now(), &mut self.ways);
        let mut take = |line: Line<'_>| {
            firewall.line(line.text, at, |sighting| {
                note_way(ways, sighting);
                matcher.events(&sighting.seen(number), sighting.event(number), events);
            });
        };
        if let Input::File { followed, start } = &mut self.input {
            match followed {
                None => *followed = Some(Box::new(FollowedFile::new(slot, start)?)),
                Some(followed) => followed.reopened(slot, &mut take)?,
            }
            *start = file::Start::Beginning;
        }
        self.tell()
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
                Ok(Message::Position(known)) => self.begin(known)?,
                // Nothing else is for us.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// The judge has told how far this log is known: now it may be opened.
    fn begin(&mut self, known: Option<Position>) -> io::Result<()> {
        let Input::File { followed: None, start } = &mut self.input else { return Ok(()) };
        if let Some(position) = known {
            *start = file::Start::At(position);
        }
        self.ask_reopen()
    }

    fn counters(&self) -> Vec<Counter> {
        let source = match &self.input {
            Input::File { followed: Some(followed), .. } => followed.counters(),
            Input::File { followed: None, .. } => sources::Counters::default(),
            Input::Other(source) => source.counters(),
        };
        let (lines, (matches, passed_over)) = (self.firewall.counters(), self.matcher.counts());
        let figures = [
            ("lines", lines.lines),
            ("packets", lines.packets),
            ("of other programs", lines.other_programs),
            ("of the kernel about other things", lines.other_messages),
            ("taken out by [sense.lines]", lines.unwanted),
            ("forged", lines.forged),
            ("unparsed", lines.unparsed),
            ("cut, too long", source.cut + lines.cut),
            ("never finished", source.unfinished),
            ("overwritten before they were read", source.overwritten),
            ("not by the kernel", source.foreign),
            ("malformed records", source.malformed),
            ("truncations", source.truncations),
            ("rotations", source.rotations),
            ("files replaced before they were opened", source.missed),
            ("matches of signatures", matches),
            ("packets asked about fingerprints", self.matcher.guesses()),
            ("nothing to look at (level 0)", passed_over),
            ("events dropped, judge too slow", self.events_dropped),
            ("packets whose way is not told", self.ways.as_ref().map_or(0, |ways| ways.crowded)),
        ];
        figures.into_iter().map(|(name, value)| Counter { name: name.into(), value }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_way_is_told_once_and_what_has_no_room_is_counted_by_packets() {
        let clock = LogClock { utc_offset: Box::new(|_| 0), reference: Time::from_secs(1_772_409_600), boot: None };
        let mut log = FirewallLog::new(0, Provenance::Syslog, clock, 32_768..=60_999);
        let mut ways = Some(Ways::default());
        let mut see = |from: u8, prefix: &[u8]| {
            let record = format!(
                "IN=eth0 OUT= SRC=198.51.100.{from} DST=203.0.113.9 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=4 DPT=22 WINDOW=9 RES=0x00 SYN URGP=0 "
            );
            let line = [b"Mar  1 12:00:00 gw kernel: ", prefix, b" ", record.as_bytes()].concat();
            log.line(&line, Time::from_secs(1_772_409_600), |sighting| note_way(&mut ways, sighting));
            log.line(b"Mar  1 12:00:01 gw last message repeated 4 times", Time::from_secs(1_772_409_600), |sighting| {
                note_way(&mut ways, sighting);
            });
        };
        // One that is no text, and one that is cut within a letter.
        let long = ["x".repeat(PREFIX_BYTES - 1), "ü".to_owned()].concat();
        for prefix in [b"DR\xffOP".as_slice(), long.as_bytes()] {
            see(1, prefix);
            see(1, prefix);
        }
        (2..=BATCH_WAYS as u8).for_each(|from| see(from, b"DROP"));
        let Ways { list, crowded } = ways.unwrap();
        let first: Vec<(&str, u32)> = list.iter().take(2).map(|passage| (passage.prefix.as_str(), passage.packets)).collect();
        assert_eq!(first, [("DROP", 10), (&long[..PREFIX_BYTES - 1], 10)]);
        assert_eq!((list.len(), crowded), (BATCH_WAYS, 5));
    }
}
