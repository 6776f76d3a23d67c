//! The packet sensor: reads what the kernel hands over by NFLOG, and by its rings if they are configured; tells the judge. Holds no
//! privilege; follows which ports have listeners, but only while packets come, so that an idle machine stays asleep.

mod capture;
mod known;

use super::{
    Start, calm::Calm, channel, channel::Channel, clients::Clients, ended, enter, fingerprints, monotonic, now, own, unprivileged_user,
};
use crate::config::GuardConfig;
use capture::Capture;
use known::Questions;
use link::message::{Counter, Message, PortMap};
use model::event::{Act, Event, Probe, Touch};
use model::limits;
use model::net::Protocol;
use model::ports::Ports;
use model::time::Time;
use respond::skeleton::TRAP_PREFIX;
use sense::facts::Harmless;
use sense::packet::{OpenPorts, PacketMeta, PacketSensor};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::AsFd;
use std::time::Duration;
use sys::diag::Diag;
use sys::fd::{Interest, Poller};
use sys::netlink::NetlinkError;
use sys::nflog::Nflog;
use sys::sandbox::Profile;

/// All listeners are listed again at most this often, while packets come: for ports that were closed since.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The warden is told of newly open ports at most this often; until then we know them ourselves.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long a port that was found closed is taken for closed: a flood must not make us ask the kernel for each of its packets, and
/// nobody opens a port and has five clients turned away within this time.
const CLOSED_FOR: Duration = Duration::from_millis(50);
/// Ports whose being closed is remembered. At the bound all are forgotten and asked for again.
const CLOSED: usize = 4_096;
const WARDEN: u64 = 1;
const JUDGE: u64 = 2;
const NFLOG: u64 = 3;
/// The news of interfaces and addresses; the rings are before it.
const ROUTES: u64 = 6;
const RINGS: [u64; 2] = [4, 5];
/// Reads in one turn, each of a frame's worth of packets.
const TURN_READS: usize = 16;
/// The number of the loopback interface in Linux.
const LOOPBACK: u32 = 1;

struct Packets {
    warden: Channel,
    judge: Channel,
    nflog: Nflog,
    capture: Option<Capture>,
    questions: Questions,
    diag: Diag,
    sensor: PacketSensor,
    clients: Clients,
    open: OpenPorts,
    looked: Time,
    closed: HashMap<(Protocol, u16), Time>,
    /// Whether the warden has not been told of all open ports, and when it was told last.
    untold: bool,
    told: Time,
    looks: u64,
    asked: u64,
    guard: GuardConfig,
    /// Whether a service has a port that is to be guarded once it ends.
    awaits: bool,
    trapped: u64,
    looks_failed: u64,
    events_dropped: u64,
}

/// Runs until the warden or the judge goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, slot } = start;
    let (judge, nflog, diag) = (own(0)?, own(1)?, own(2)?);
    let clients = Clients::open(monotonic())?;
    // Signatures and fingerprints are files: they are read now.
    let matcher = fingerprints::matcher(&config)?;
    let user = unprivileged_user(&config.process.user)?;
    // Taken over, not read.
    let capture = match config.capture.enabled {
        true => Some(Capture::new(&config.capture, clients.ports(), [own(3)?, own(4)?], [own(5)?, own(6)?])?),
        false => None,
    };
    enter(&if capture.is_some() { Profile::capture(user) } else { Profile::sensor(user) }, &mut warden)?;
    let mut packets = Packets {
        warden,
        judge: Channel::new(judge),
        nflog: Nflog::from_fd(nflog),
        capture,
        questions: Questions::default(),
        diag: Diag::from_fd(diag),
        sensor: PacketSensor::new(slot, clients.ports()).with_matcher(matcher),
        clients,
        open: OpenPorts::default(),
        looked: monotonic(),
        closed: HashMap::new(),
        untold: false,
        told: Time::EPOCH,
        looks: 0,
        asked: 0,
        guard: config.guard,
        awaits: false,
        trapped: 0,
        looks_failed: 0,
        events_dropped: 0,
    };
    // Without the list every port would count as closed: that is no state to begin in.
    packets.look().map_err(|e| format!("listening sockets: {e}"))?;
    packets.renew();
    ended(packets.watch())
}

impl Packets {
    fn watch(&mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        poller.add(self.judge.as_fd(), JUDGE, Interest::Read)?;
        poller.add(self.nflog.as_fd(), NFLOG, Interest::Read)?;
        for (fd, token) in self.capture.iter().flat_map(Capture::fds).zip(RINGS.into_iter().chain([ROUTES])) {
            poller.add(fd, token, Interest::Read)?;
        }
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        loop {
            self.tell_ports()?;
            let patience = self.patience();
            calm.wait(&poller, patience, &mut ready)?;
            let comes = ready.iter().any(|event| (NFLOG..ROUTES).contains(&event.token));
            if comes {
                self.follow_clients();
            }
            for event in &ready {
                match event.token {
                    WARDEN => {
                        self.warden.flush()?;
                        if !self.hear_warden(&mut frame)? {
                            return Ok(());
                        }
                    }
                    JUDGE => {
                        if event.writable {
                            self.judge.flush()?;
                        }
                        if !self.answer(&mut frame)? {
                            return Ok(());
                        }
                    }
                    ROUTES => self.renew(),
                    // What a trap has told of is in a ring too: it is known by then.
                    _ => {
                        self.read(now())?;
                        self.read_rings(now())?;
                    }
                }
            }
            // Behind what is urgent.
            if (self.awaits || comes) && monotonic().since(self.looked) >= LOOK_EVERY && self.look().is_err() {
                self.looks_failed += 1;
            }
            for (link, token) in [(&self.judge, JUDGE), (&self.warden, WARDEN)] {
                poller.modify(link.as_fd(), token, link.interest())?;
            }
        }
    }

    /// How long nothing is to be done. While a service has a guarded port, nobody may come by whose packet makes us look when it has ended.
    fn patience(&self) -> Option<Duration> {
        let now = monotonic();
        let tell = self.untold.then(|| self.told.after(TELL_EVERY).since(now));
        let look = self.awaits.then(|| self.looked.after(LOOK_EVERY).since(now));
        [tell, look].into_iter().flatten().min()
    }

    /// Reads what is there, in order, up to a frame's worth of events at a time and a turn's worth in all: the judge and the warden
    /// must be heard and sent to, however much comes in.
    fn read(&mut self, at: Time) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::new();
        for _ in 0..TURN_READS {
            let (sensor, open, questions, mut trapped) = (&mut self.sensor, &self.open, &mut self.questions, 0);
            let read = self.nflog.receive(limits::BATCH_EVENTS, |packet| {
                let meta = PacketMeta { at, hook: packet.hook, loopback: packet.indev == LOOPBACK, established: packet.is_established() };
                let event = sensor.packet(packet.payload, &meta, open);
                if packet.prefix == TRAP_PREFIX.as_bytes() {
                    trapped += 1;
                    if let Some(flow) = event.as_ref().and_then(known::flow) {
                        questions.remember(flow, monotonic());
                    }
                }
                events.extend(event);
            })?;
            self.trapped += trapped;
            if read == 0 {
                return Ok(());
            }
            let mut matches = self.sensor.take_matches();
            let serials: HashSet<u64> =
                events.extract_if(.., |event| self.is_open_by_now(event, false)).map(|event| event.origin.serial).collect();
            matches.retain(|event| !serials.contains(&event.origin.serial));
            self.tell_seen(std::mem::take(&mut events).into_iter().chain(matches))?;
        }
        Ok(())
    }

    /// The same for the rings, a block of each at a time.
    fn read_rings(&mut self, at: Time) -> io::Result<()> {
        for _ in 0..TURN_READS {
            let Some(capture) = &mut self.capture else { return Ok(()) };
            let (blocks, mut seen) = capture.read(at, &mut self.sensor, &self.open, &mut self.questions);
            if blocks == 0 {
                return Ok(());
            }
            seen.retain(|events| !events.first().is_some_and(|event| self.is_open_by_now(event, true)));
            self.ask(seen, monotonic())?;
        }
        Ok(())
    }

    /// This host may have become a gateway, whose clients' ports are others.
    fn follow_clients(&mut self) {
        let Some(ports) = self.clients.news(monotonic()) else { return };
        if let Some(capture) = &mut self.capture {
            capture.set_clients(ports.clone(), &self.open);
        }
        self.sensor.set_ephemeral(ports);
    }

    /// Interfaces or addresses have changed.
    fn renew(&mut self) {
        if let Some(capture) = &mut self.capture {
            capture.has_news();
            capture.renew(&self.open);
        }
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.warden.hear(frame)? {
                Continue(received) => {
                    if let Ok(Message::Known { number, flows }) = Message::decode(received.bytes) {
                        self.known(number, &flows, monotonic())?;
                    }
                }
                Break(is_there) => return Ok(is_there),
            }
        }
    }

    /// A port may have got its listener since we last looked: nobody is charged for knocking there. `to_strangers`: a connection with this
    /// very peer does not count. Behind connection tracking there is hardly one; before it, each of a client's own would open its port.
    fn is_open_by_now(&mut self, event: &Event, to_strangers: bool) -> bool {
        let (Act::Probe(Probe { protocol: protocol @ (Protocol::TCP | Protocol::UDP), port: Some(port), source_port, .. }), Some(target)) =
            (event.act, event.target)
        else {
            return false;
        };
        if self.open.contains(protocol, port) {
            return true;
        }
        let at = monotonic();
        if self.closed.get(&(protocol, port)).is_some_and(|since| at.since(*since) < CLOSED_FOR) {
            return false;
        }
        self.asked += 1;
        // The guard's own connection is no service's: where it answers, only somebody who waits for strangers counts.
        let to_strangers = to_strangers || self.guard.tcp.contains(port) && protocol == Protocol::TCP;
        let peer = match (to_strangers, event.actor) {
            (true, IpAddr::V4(_)) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            (true, IpAddr::V6(_)) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            (false, actor) => SocketAddr::new(actor, source_port.unwrap_or(0)),
        };
        match self.diag.is_answered(protocol.0, SocketAddr::new(target, port), peer) {
            Ok(true) => {
                self.opened(protocol, port);
                true
            }
            Ok(false) => {
                if self.closed.len() >= CLOSED {
                    self.closed.clear();
                }
                self.closed.insert((protocol, port), at);
                false
            }
            // Who can't be asked is no reason to charge anybody less or more: what was listed last counts.
            Err(_) => {
                self.looks_failed += 1;
                false
            }
        }
    }

    /// Somebody answers there.
    fn opened(&mut self, protocol: Protocol, port: u16) {
        self.open.insert(protocol, port);
        self.untold = true;
        self.awaits = self.is_any_awaited();
    }

    /// Whether a service has a port that is to be guarded.
    fn is_any_awaited(&self) -> bool {
        let has = |protocol, ports: &Ports| !ports.is_empty() && self.open.iter(protocol).any(|port| ports.contains(port));
        let GuardConfig { tcp, udp, trap_tcp, trap_udp, .. } = &self.guard;
        [tcp, trap_tcp].into_iter().any(|ports| has(Protocol::TCP, ports))
            || [udp, trap_udp].into_iter().any(|ports| has(Protocol::UDP, ports))
    }

    /// What a probe of a guarded port is besides.
    fn touch(&self, event: &Event) -> Option<Event> {
        let Act::Probe(Probe { protocol, port: Some(port), flags, style: Some(style), hops, .. }) = event.act else { return None };
        let is_touch = self.guard.is_touched_by_packet(protocol, port);
        is_touch.then(|| Event { act: Act::Touched(Touch { protocol, port, style, flags: flags.unwrap_or_default(), hops }), ..*event })
    }

    /// Lists all listeners.
    fn look(&mut self) -> Result<(), NetlinkError> {
        self.looks += 1;
        self.looked = monotonic();
        let listeners = self.diag.listening()?;
        // A service on the loopback address is closed to the network.
        let outside = listeners.iter().filter(|listener| !listener.addr.is_loopback());
        let open: OpenPorts = outside.map(|listener| (Protocol(listener.protocol), listener.port)).collect();
        self.untold |= self.looks == 1 || open != self.open;
        self.open = open;
        self.awaits = self.is_any_awaited();
        Ok(())
    }

    /// Tells the warden of the open ports, if they have changed and it was not told just now.
    fn tell_ports(&mut self) -> io::Result<()> {
        let at = monotonic();
        if self.untold && at.since(self.told) >= TELL_EVERY {
            let map = |protocol| PortMap::new(self.open.iter(protocol));
            let message = Message::OpenPorts { tcp: map(Protocol::TCP), udp: map(Protocol::UDP) };
            (self.untold, self.told) = (false, at);
            self.warden.send(&message)?;
            if let Some(capture) = &mut self.capture {
                capture.filter(&self.open);
            }
        }
        Ok(())
    }

    /// Tells the judge what was seen; a touch first: it says more.
    fn tell_seen(&mut self, events: impl IntoIterator<Item = Event>) -> io::Result<()> {
        let seen: Vec<Event> = events.into_iter().flat_map(|event| [self.touch(&event), Some(event)]).flatten().collect();
        if seen.is_empty() {
            return Ok(());
        }
        self.judge.send_names(self.sensor.matcher().take_unnamed())?;
        self.events_dropped += self.judge.send_events(&seen)?;
        Ok(())
    }

    /// False when the judge has gone.
    fn answer(&mut self, frame: &mut [u8]) -> io::Result<bool> {
        let Some(questions) = self.judge.questions(frame)? else { return Ok(false) };
        for _ in 0..questions {
            let counters = self.counters();
            self.judge.send(&Message::Counters(counters))?;
        }
        Ok(true)
    }

    fn counters(&mut self) -> Vec<Counter> {
        let (kernel, counts) = (self.nflog.counts(), self.sensor.counts());
        let figures = [
            ("packets", counts.packets),
            ("events", counts.events),
            ("lost by the kernel", kernel.lost),
            ("receive buffer overflows", kernel.overflows),
            ("odd messages", kernel.odd),
            ("malformed", counts.malformed),
            ("to open ports", counts.open),
            ("to traps", self.trapped),
            ("matches of signatures", self.sensor.matches()),
            ("packets asked about fingerprints", self.sensor.guesses()),
            ("nothing to look at (level 0)", counts.passed_over),
            ("events dropped, judge too slow", self.events_dropped),
            ("listings of listening sockets", self.looks),
            ("ports asked for", self.asked),
            ("answers about sockets that failed", self.looks_failed),
        ];
        let named = figures.into_iter().map(|(name, value)| Counter { name: name.into(), value });
        let harmless = Harmless::ALL.into_iter().zip(counts.harmless).filter(|(_, value)| *value > 0);
        let harmless = harmless.map(|(why, value)| Counter { name: format!("harmless: {}", why.word()), value });
        let captured = self.capture.as_mut().map(|capture| capture.counters().chain(self.questions.counters()));
        named.chain(harmless).chain(captured.into_iter().flatten()).collect()
    }
}
