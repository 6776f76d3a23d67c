//! The packet sensor's other source: TCP and UDP packets out of the kernel's rings, before any packet filter. Follows the host's interfaces
//! and addresses. Never takes a packet that isn't for one of them, and never says more than its rations.

use super::known::Questions;
use crate::config::CaptureConfig;
use crate::lives::monotonic;
use link::message::Counter;
use model::event::{Act, Event};
use model::net::{Protocol, canonical};
use model::time::Time;
use sense::packet::{OpenPorts, PacketMeta, PacketSensor};
use sense::ration::{Ration, Share};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::capture::filter::{Filter, Host};
use sys::capture::{Ring, Version};
use sys::route::Routes;

/// As from the hook where packets to this host come in (NF_INET_LOCAL_IN): only those to own addresses are told.
const LOCAL_IN: u8 = 1;

/// Characters of interfaces' names in a line of the log.
const SHOWN: usize = 200;

/// The rings, and what is known of the host.
pub struct Capture {
    rings: Vec<(Version, Ring)>,
    routes: Routes,
    config: CaptureConfig,
    clients: RangeInclusive<u16>,
    ration: Ration,
    keys: RandomState,
    own: HashSet<IpAddr>,
    /// The interfaces that are looked at, if not all are.
    interfaces: Option<Vec<u32>>,
    foreign: u64,
    over_source: u64,
    over_all: u64,
    failed: u64,
}

impl Capture {
    /// Takes over the rings, IPv4 first, and rtnetlink's sockets. Nothing comes in before the first `renew`.
    ///
    /// # Errors
    /// One line that says why.
    pub fn new(config: &CaptureConfig, clients: RangeInclusive<u16>, rings: [OwnedFd; 2], routes: [OwnedFd; 2]) -> Result<Self, String> {
        let fail = |error: io::Error| format!("[sense.capture]: {error}");
        let ring = |(version, fd)| Ring::from_fd(fd, config.ring_bytes()).map(|ring| (version, ring)).map_err(fail);
        let [questions, changes] = routes;
        Ok(Capture {
            rings: Version::ALL.into_iter().zip(rings).map(ring).collect::<Result<_, String>>()?,
            routes: Routes::from_fds(questions, changes).map_err(fail)?,
            ration: Ration::new(config.rate, config.per_source_rate),
            keys: RandomState::new(),
            own: HashSet::new(),
            // Until they are known, none of those that were named.
            interfaces: config.interfaces.as_ref().map(|_| Vec::new()),
            config: config.clone(),
            clients,
            foreign: 0,
            over_source: 0,
            over_all: 0,
            failed: 0,
        })
    }

    /// What is to be polled: the rings, and last the news of interfaces and addresses.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|(_, ring)| ring.as_fd()).chain([self.routes.changes_fd()])
    }

    /// Whether interfaces or addresses have changed.
    pub fn has_news(&mut self) -> bool {
        self.routes.drain_changes()
    }

    /// Looks at interfaces and addresses, and tells the kernel what can be no evidence: what goes elsewhere, and to these open ports.
    pub fn renew(&mut self, open: &OpenPorts) {
        match self.routes.addresses() {
            Ok(addresses) => self.own = addresses.into_iter().map(canonical).collect(),
            Err(_) => self.failed += 1,
        }
        if self.config.interfaces.is_some() {
            match self.routes.interfaces() {
                Ok(list) => {
                    let wanted = list.iter().filter(|interface| self.config.wants(&interface.name));
                    let wanted: Vec<u32> = wanted.map(|interface| interface.index).collect();
                    let was_blind = self.interfaces.as_ref().is_some_and(Vec::is_empty);
                    match (wanted.is_empty(), was_blind) {
                        (true, false) => tracing::warn!(
                            "[sense.capture] interfaces: none of this host's is meant ({}), so no TCP or UDP packet is seen until one comes",
                            report::escape::text(&list.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", "), SHOWN)
                        ),
                        (false, true) => tracing::info!("[sense.capture] interfaces: there is one now, packets are seen"),
                        (true, true) | (false, false) => {}
                    }
                    self.interfaces = Some(wanted);
                }
                Err(_) => self.failed += 1,
            }
        }
        self.filter(open);
    }

    /// Clients call from other ports than before.
    pub fn set_clients(&mut self, clients: RangeInclusive<u16>, open: &OpenPorts) {
        self.clients = clients;
        self.filter(open);
    }

    /// The same after ports were opened or closed.
    pub fn filter(&mut self, open: &OpenPorts) {
        let addresses: Vec<IpAddr> = self.own.iter().copied().collect();
        let [tcp, udp] = [Protocol::TCP, Protocol::UDP].map(|protocol| open.iter(protocol).collect::<Vec<u16>>());
        let host = Host { addresses: &addresses, interfaces: self.interfaces.as_deref(), open: [&tcp, &udp], clients: &self.clients };
        for (version, ring) in &self.rings {
            self.failed += u64::from(ring.attach(&Filter::new(*version, &host)).is_err());
        }
    }

    /// Reads a block of each ring: how many there were, and what may be evidence, each packet's matches of signatures behind its event.
    pub fn read(&mut self, at: Time, sensor: &mut PacketSensor, open: &OpenPorts, known: &mut Questions) -> (usize, Vec<Vec<Event>>) {
        // Rations go by a clock that nobody sets.
        let (mut blocks, mut seen, steady) = (0, Vec::new(), monotonic());
        let meta = PacketMeta { at, hook: LOCAL_IN, loopback: false, established: false };
        let Capture { rings, interfaces, own, ration, keys, foreign, over_source, over_all, .. } = self;
        for (_, ring) in rings {
            blocks += ring.receive(1, |packet| {
                if interfaces.as_ref().is_some_and(|list| !list.contains(&packet.interface)) {
                    *foreign += 1;
                    return;
                }
                let event = sensor.packet(packet.payload, &meta, open);
                let matches = sensor.take_matches();
                let Some(event) = event else { return };
                // What is forwarded is no scan of this host. Other protocols come by NFLOG.
                let is_ours = event.target.is_some_and(|target| own.contains(&target));
                let Act::Probe(probe) = event.act else { return };
                if !is_ours || !matches!(probe.protocol, Protocol::TCP | Protocol::UDP) {
                    *foreign += 1;
                    return;
                }
                // A gateway's masqueraded streams would use up what there is for probes.
                if known.is_known(&event) {
                    return;
                }
                match ration.weigh(keys.hash_one(event.actor), steady) {
                    Share::Told => seen.push(std::iter::once(event).chain(matches).collect()),
                    Share::OverSource => *over_source += 1,
                    Share::OverAll => *over_all += 1,
                }
            });
        }
        (blocks, seen)
    }

    /// For `status`.
    pub fn counters(&mut self) -> impl Iterator<Item = Counter> {
        let [mut packets, mut lost, mut odd] = [0; 3];
        for (_, ring) in &mut self.rings {
            let ring = ring.counts();
            (packets, lost, odd) = (packets + ring.packets, lost + ring.lost, odd + ring.odd);
        }
        let figures = [
            ("packets", packets),
            ("lost, the ring was full", lost),
            ("odd frames", odd),
            ("not for this host", self.foreign),
            ("over the source's ration", self.over_source),
            ("over the common ration", self.over_all),
            ("questions about the host that failed", self.failed),
        ];
        figures.into_iter().map(|(name, value)| Counter { name: format!("captured: {name}"), value })
    }
}
