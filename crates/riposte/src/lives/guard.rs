//! The guard: takes connections to guarded ports in, tells the judge who it was, and lets go. The firewall directs them here, so that all ports
//! of both families are two sockets; none of those ports is bound, so that a service can have its own at any time. What is read is thrown
//! away, and nobody gets more than he has sent. Holds no privilege.

use super::{Start, calm::Calm, channel, channel::Channel, ended, enter, monotonic, now, own, unprivileged_user};
use link::message::{Counter, Message};
use model::event::{Act, Event, Origin, TcpFlags, Touch, Trust};
use model::limits;
use model::net::{Hops, Protocol, canonical};
use model::style::Style;
use model::time::Time;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow::Break;
use std::os::fd::AsFd;
use std::time::Duration;
use sys::fd::{Interest, Poller};
use sys::listen;
use sys::sandbox::Profile;

/// How long a connection is held at most.
const HELD_FOR: Duration = Duration::from_secs(5);
/// Connections taken in before others get their turn.
const TURN: usize = 256;
const WARDEN: u64 = 1;
const JUDGE: u64 = 2;
/// Poll tokens of the listeners, and of what is held from there on.
const LISTENERS: u64 = 3;
const HELD: u64 = 10;

/// A connection.
#[derive(Debug)]
struct Held {
    stream: TcpStream,
    peer: IpAddr,
    until: Time,
    bytes: usize,
}

struct Guard {
    warden: Channel,
    judge: Channel,
    listeners: Vec<TcpListener>,
    slot: u16,
    banner: Vec<u8>,
    poller: Poller,
    /// By poll token, which rises: the first is the one held for longest.
    held: BTreeMap<u64, Held>,
    next: u64,
    touches: u64,
    let_go: u64,
    bytes: u64,
    local: u64,
    lost: u64,
    failed: u64,
    events_dropped: u64,
}

/// Runs until the warden or the judge goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, slot } = start;
    let judge = own(0)?;
    // One for each family that the kernel speaks.
    let listeners: Vec<TcpListener> = [own(1)?].into_iter().chain(own(2).ok()).map(TcpListener::from).collect();
    enter(&Profile::guard(unprivileged_user(&config.process.user)?, limits::GUARDED_CONNECTIONS), &mut warden)?;
    let guard = Guard {
        warden,
        judge: Channel::new(judge),
        listeners,
        slot,
        banner: config.guard.banner.map(|banner| format!("{banner}\r\n").into_bytes()).unwrap_or_default(),
        poller: Poller::new().map_err(|e| e.to_string())?,
        held: BTreeMap::new(),
        next: HELD,
        touches: 0,
        let_go: 0,
        bytes: 0,
        local: 0,
        lost: 0,
        failed: 0,
        events_dropped: 0,
    };
    ended(guard.watch())
}

impl Guard {
    fn watch(mut self) -> io::Result<()> {
        self.poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        self.poller.add(self.judge.as_fd(), JUDGE, Interest::Read)?;
        for (token, listener) in (LISTENERS..).zip(&self.listeners) {
            self.poller.add(listener.as_fd(), token, Interest::Read)?;
        }
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        loop {
            calm.wait(&self.poller, self.patience(), &mut ready)?;
            for event in &ready {
                match event.token {
                    // The warden asks nothing of the guard: readable means that it has gone.
                    WARDEN => {
                        self.warden.flush()?;
                        if matches!(self.warden.hear(&mut frame)?, Break(false)) {
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
                    token if token < HELD => self.take_in((token - LISTENERS) as usize)?,
                    token => self.hear(token),
                }
            }
            self.let_go_of_the_old();
            for (link, token) in [(&self.judge, JUDGE), (&self.warden, WARDEN)] {
                self.poller.modify(link.as_fd(), token, link.interest())?;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.held.first_key_value().map(|(_, held)| held.until.since(monotonic()))
    }

    /// Takes in what waits at a listener, up to a turn's worth.
    fn take_in(&mut self, listener: usize) -> io::Result<()> {
        let mut events = Vec::new();
        for _ in 0..TURN {
            let Some(listener) = self.listeners.get(listener) else { break };
            let (stream, peer) = match listener.accept() {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It was over before it was taken in: the handshake was whole all the same, but nobody can say whose.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    self.lost += 1;
                    continue;
                }
                Err(_) => {
                    self.failed += 1;
                    break;
                }
            };
            events.extend(self.touch(&stream, peer));
            self.hold(stream, canonical(peer.ip()));
        }
        self.tell(&events)
    }

    fn touch(&mut self, stream: &TcpStream, peer: SocketAddr) -> Option<Event> {
        let to = stream.local_addr().ok()?;
        let (actor, target) = (canonical(peer.ip()), canonical(to.ip()));
        // Somebody on this host has found the listener itself.
        if target.is_loopback() {
            self.local += 1;
            return None;
        }
        self.touches += 1;
        let hops = listen::ttl(stream).map(Hops::of_ttl);
        let act = Act::Touched(Touch { protocol: Protocol::TCP, port: to.port(), style: Style::Connect, flags: TcpFlags::default(), hops });
        let origin = Origin { sensor: self.slot, serial: self.touches };
        Some(Event { at: now(), origin, actor, target: Some(target), act, trust: Trust::Handshake, times: 1 })
    }

    /// Says what is to be said and waits for what comes, if there is room; a connection that is dropped ends with a reset.
    fn hold(&mut self, mut stream: TcpStream, peer: IpAddr) {
        let of_peer = self.held.values().filter(|held| held.peer == peer).count();
        let is_full = self.held.len() >= limits::GUARDED_CONNECTIONS || of_peer >= limits::GUARDED_PER_SOURCE;
        if is_full || stream.set_nonblocking(true).is_err() {
            self.let_go += 1;
            return;
        }
        // Who doesn't take it in one piece gets no more of it.
        let said = if self.banner.is_empty() { Ok(0) } else { stream.write(&self.banner) };
        if said.is_ok() && self.poller.add(stream.as_fd(), self.next, Interest::Read).is_ok() {
            self.held.insert(self.next, Held { stream, peer, until: monotonic().after(HELD_FOR), bytes: 0 });
            self.next += 1;
        }
    }

    /// Reads a little.
    fn hear(&mut self, token: u64) {
        let Some(held) = self.held.get_mut(&token) else { return };
        let mut buffer = [0; 512];
        match held.stream.read(&mut buffer) {
            Ok(bytes) if bytes > 0 => {
                self.bytes += bytes as u64;
                held.bytes += bytes;
                if held.bytes >= limits::GUARDED_BYTES {
                    self.held.remove(&token);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The peer has ended it.
            Ok(_) | Err(_) => drop(self.held.remove(&token)),
        }
    }

    fn let_go_of_the_old(&mut self) {
        let now = monotonic();
        while self.held.first_key_value().is_some_and(|(_, held)| held.until <= now) {
            self.held.pop_first();
        }
    }

    fn tell(&mut self, events: &[Event]) -> io::Result<()> {
        self.events_dropped += self.judge.send_events(events)?;
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

    fn counters(&self) -> Vec<Counter> {
        let figures = [
            ("touches", self.touches),
            ("connections held now", self.held.len() as u64),
            ("connections let go at once, too many", self.let_go),
            ("bytes read and thrown away", self.bytes),
            ("connections from this host itself", self.local),
            ("connections over before they were taken in", self.lost),
            ("connections that could not be taken in", self.failed),
            ("events dropped, judge too slow", self.events_dropped),
        ];
        figures.into_iter().map(|(name, value)| Counter { name: name.into(), value }).collect()
    }
}

// A turn's worth fits a frame.
const _: () = assert!(TURN <= limits::BATCH_EVENTS);
