//! Packets as the kernel hands them over (NFLOG), read into Events. Never decides; a packet to a port where somebody listens is no evidence.

use crate::facts::{Chain, Facts, Fragment, Handling, Harmless, Reading, TcpOptions};
use crate::guessing::{Details, Rest};
use crate::matching::{Matcher, Seen};
use model::event::{Event, Origin};
use model::net::{Protocol, canonical};
use model::time::Time;
use signatures::header::IpOptions;
use std::ops::RangeInclusive;
use wire::packet::{Packet, Transport};
use wire::tcp::{Kinds, Segment};

/// What the kernel tells beside the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketMeta {
    /// When it came.
    pub at: Time,
    /// The hook where it was logged, as in `NF_INET_…`: 0 pre-routing, 1 local in, 2 forward, 3 local out, 4 post-routing.
    pub hook: u8,
    /// Whether it came in on the loopback interface.
    pub loopback: bool,
    /// Whether connection tracking says that it belongs to an established connection.
    pub established: bool,
}

/// What became of the packets so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketCounts {
    /// All of them.
    pub packets: u64,
    /// Those that became events.
    pub events: u64,
    /// Those that are no IP packets.
    pub malformed: u64,
    /// Those to a port of this host where somebody listens.
    pub open: u64,
    /// Those that an administrator has said to be nothing to look at.
    pub passed_over: u64,
    /// Those that are evidence of nothing, in the order of `Harmless::ALL`.
    pub harmless: [u64; Harmless::ALL.len()],
}

/// The ports of this host on which somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPorts {
    tcp: Box<Ports>,
    udp: Box<Ports>,
}

/// One bit a port.
type Ports = [u64; 1024];

impl Default for OpenPorts {
    fn default() -> Self {
        OpenPorts { tcp: Box::new([0; 1024]), udp: Box::new([0; 1024]) }
    }
}

impl OpenPorts {
    /// Marks a port as open. Protocols other than TCP and UDP are not followed.
    pub fn insert(&mut self, protocol: Protocol, port: u16) {
        let ports = match protocol {
            Protocol::TCP => &mut self.tcp,
            Protocol::UDP => &mut self.udp,
            _ => return,
        };
        ports[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Whether somebody listens there.
    #[inline]
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let ports = match protocol {
            Protocol::TCP => &self.tcp,
            Protocol::UDP => &self.udp,
            _ => return false,
        };
        ports[usize::from(port >> 6)] & 1 << (port & 63) != 0
    }

    /// The open ports of TCP or UDP, in order.
    pub fn iter(&self, protocol: Protocol) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(move |port| self.contains(protocol, *port))
    }
}

impl FromIterator<(Protocol, u16)> for OpenPorts {
    fn from_iter<I: IntoIterator<Item = (Protocol, u16)>>(ports: I) -> Self {
        let mut open = OpenPorts::default();
        ports.into_iter().for_each(|(protocol, port)| open.insert(protocol, port));
        open
    }
}

/// The sensor for logged packets.
#[derive(Debug)]
pub struct PacketSensor {
    sensor: u16,
    ephemeral: RangeInclusive<u16>,
    counts: PacketCounts,
    matcher: Matcher,
    events: Vec<Event>,
}

impl PacketSensor {
    /// A sensor in this slot. `ephemeral` is the range of ports from which this host's own clients call.
    pub fn new(sensor: u16, ephemeral: RangeInclusive<u16>) -> Self {
        PacketSensor { sensor, ephemeral, counts: PacketCounts::default(), matcher: Matcher::default(), events: Vec::new() }
    }

    /// Goes by another range of such ports from now on.
    pub fn set_ephemeral(&mut self, ephemeral: RangeInclusive<u16>) {
        self.ephemeral = ephemeral;
    }

    /// With these signatures and fingerprints.
    pub fn with_matcher(self, matcher: Matcher) -> Self {
        PacketSensor { matcher, ..self }
    }

    /// The signatures and fingerprints at work.
    pub fn matcher(&mut self) -> &mut Matcher {
        &mut self.matcher
    }

    /// Matches of signatures so far.
    pub fn matches(&self) -> u64 {
        self.matcher.counts().0
    }

    /// How often fingerprints were asked so far.
    pub fn guesses(&self) -> u64 {
        self.matcher.guesses()
    }

    /// Takes what signatures and fingerprints have made of the packets since the last call.
    pub fn take_matches(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Reads one packet, from its IP header on; it may be cut short. Every packet is counted once.
    pub fn packet(&mut self, payload: &[u8], meta: &PacketMeta, open: &OpenPorts) -> Option<Event> {
        self.counts.packets += 1;
        let Ok(packet) = wire::packet::parse(payload) else {
            self.counts.malformed += 1;
            return None;
        };
        let facts = facts(&packet, meta);
        let reading = facts.read(self.ephemeral.clone());
        if let Reading::Harmless(why) = reading {
            self.counts.harmless[why as usize] += 1;
        }
        // What listens here says nothing about the hosts behind.
        if facts.chain == Chain::Input && facts.port.is_some_and(|port| open.contains(facts.protocol, port)) {
            self.counts.open += u64::from(matches!(reading, Reading::Evidence(..)));
            return None;
        }
        let origin = Origin { sensor: self.sensor, serial: self.counts.packets };
        let details = details(&packet);
        let seen = Seen { facts: &facts, reading: &reading, at: meta.at, origin, times: 1, prefix: b"", details };
        let looked_at = self.matcher.events(&seen, None, &mut self.events);
        let Reading::Evidence(act, trust) = reading else { return None };
        if !looked_at {
            self.counts.passed_over += 1;
            return None;
        }
        self.counts.events += 1;
        Some(Event { at: meta.at, origin, actor: facts.source, target: Some(facts.target), act, trust, times: 1 })
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> &PacketCounts {
        &self.counts
    }
}

/// What a packet says.
pub fn facts(packet: &Packet<'_>, meta: &PacketMeta) -> Facts {
    let mut facts = Facts {
        source: canonical(packet.source),
        target: canonical(packet.target),
        protocol: packet.protocol,
        source_port: None,
        port: None,
        flags: None,
        icmp: None,
        length: Some(packet.length),
        ttl: Some(packet.ttl),
        ip_id: packet.ip_id,
        service: Some(packet.service),
        fragment_bits: packet.fragment_bits,
        ip_options: packet.source.is_ipv4().then(|| IpOptions::of(packet.ip_options)),
        data: None,
        echo: None,
        window: None,
        sequence: None,
        acknowledgment: None,
        options: TcpOptions::Unknown,
        extension_headers: packet.extension_headers,
        fragment: match packet.fragment {
            wire::Fragment::Whole => Fragment::Whole,
            wire::Fragment::First => Fragment::First,
            wire::Fragment::Later => Fragment::Later,
        },
        chain: match meta.hook {
            2 => Chain::Forward,
            3 | 4 => Chain::Output,
            _ => Chain::Input,
        },
        handling: Handling::Turned,
        established: meta.established,
        loopback: meta.loopback,
    };
    let transport_bytes = match packet.transport {
        Transport::Tcp(segment) => {
            add_tcp(&mut facts, &segment);
            segment.rest.and_then(|rest| rest.options_bytes).map(|options| TCP_BYTES + u32::from(options))
        }
        Transport::Ports(datagram) => {
            facts.source_port = Some(datagram.source_port);
            facts.port = Some(datagram.port);
            (packet.protocol != Protocol::SCTP).then_some(UDP_BYTES)
        }
        Transport::Icmp(message) => {
            facts.icmp = Some((message.kind, message.code));
            facts.echo = message.rest.filter(|_| is_echo(packet.protocol, message.kind));
            Some(ICMP_BYTES)
        }
        Transport::Other(_) | Transport::Missing => None,
    };
    if facts.fragment == Fragment::Whole {
        facts.data = transport_bytes.and_then(|bytes| packet.length.checked_sub(packet.header_bytes + bytes));
    }
    facts
}

/// What a guess at its sender's system needs besides.
fn details<'b>(packet: &Packet<'b>) -> Details<'b> {
    match packet.transport {
        Transport::Tcp(Segment { rest: Some(rest), .. }) => {
            Details::Seen(Rest { options: rest.options, urgent: Some(rest.urgent), flow: packet.flow_label != 0, reserved: rest.reserved })
        }
        _ => Details::Unknown,
    }
}

const TCP_BYTES: u32 = wire::tcp::FIXED_BYTES as u32;
const UDP_BYTES: u32 = wire::ports::UDP_BYTES as u32;
const ICMP_BYTES: u32 = wire::icmp::HEADER_BYTES as u32;

/// Whether such a message has an identifier and a sequence number: echo and its reply, timestamp, information and address mask.
fn is_echo(protocol: Protocol, kind: u8) -> bool {
    match protocol {
        Protocol::ICMP => matches!(kind, 0 | 8 | 13..=18),
        _ => matches!(kind, 128 | 129),
    }
}

fn add_tcp(facts: &mut Facts, segment: &Segment<'_>) {
    facts.source_port = Some(segment.source_port);
    facts.port = Some(segment.port);
    facts.sequence = segment.sequence;
    let Some(rest) = segment.rest else { return };
    facts.flags = Some(rest.flags);
    facts.window = Some(rest.window);
    facts.acknowledgment = Some(rest.acknowledgment);
    facts.options = match (rest.options_bytes, rest.options) {
        (Some(0), _) => TcpOptions::Absent,
        (Some(bytes), Some(options)) => TcpOptions::Present { bytes, system: Kinds::of(options).are_systems() },
        (_, None) | (None, _) => TcpOptions::Unknown,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::{Act, TcpFlags, Trust};
    use model::style::Style;
    use proptest::prelude::*;
    use std::net::IpAddr;
    use wire::build::{Ip, LINUX_OPTIONS, NMAP_OPTIONS, Tcp};

    const META: PacketMeta = PacketMeta { at: Time::from_secs(1_700_000_000), hook: 1, loopback: false, established: false };

    fn sensor() -> PacketSensor {
        PacketSensor::new(3, 32_768..=60_999)
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ip() -> Ip {
        Ip::new(addr("198.51.100.7"), addr("192.0.2.1"))
    }

    fn syn(port: u16) -> Tcp<'static> {
        Tcp { source_port: 40_000, port, sequence: 7, flags: TcpFlags(TcpFlags::SYN), window: 1024, ..Tcp::default() }
    }

    fn style_of(packet: &[u8]) -> Option<Style> {
        let event = sensor().packet(packet, &META, &OpenPorts::default()).expect("an event");
        match event.act {
            Act::Probe(probe) => probe.style,
            Act::Reached { .. } | Act::Reported(_) | Act::Touched(_) | Act::Matched(_) | Act::Guessed(_) => panic!("{event:?}"),
        }
    }

    #[test]
    fn every_scan_has_its_style() {
        let (v4, v6) = (ip(), Ip::new(addr("2001:db8::7"), addr("2001:db8::1")));
        let flags = |flags| Tcp { flags: TcpFlags(flags), ..syn(22) };
        for ip in [v4, v6] {
            assert_eq!(style_of(&ip.tcp(&Tcp { options: &NMAP_OPTIONS, ..syn(22) })), Some(Style::Syn));
            assert_eq!(style_of(&ip.tcp(&Tcp { options: &LINUX_OPTIONS, ..syn(22) })), Some(Style::Connect));
            assert_eq!(style_of(&ip.tcp(&flags(0))), Some(Style::Null));
            assert_eq!(style_of(&ip.tcp(&flags(TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG))), Some(Style::Xmas));
            assert_eq!(style_of(&ip.udp(40_000, 161, b"hello")), Some(Style::Udp));
            assert_eq!(style_of(&Ip { ttl: 250, ..ip }.tcp(&syn(22))), Some(Style::Masscan));
            assert_eq!(style_of(&ip.raw(Protocol::GRE, &[0; 8])), None);
        }
        assert_eq!(style_of(&v4.icmp(13, 0, [0; 4], &[0; 12])), Some(Style::Icmp));
        assert_eq!(style_of(&v4.tcp(&Tcp { sequence: 0xC000_0201, ..syn(23) })), Some(Style::Mirai));
        assert_eq!(style_of(&Ip { extension_headers: 9, ..v6 }.tcp(&syn(22))), Some(Style::Topera));
    }

    #[test]
    fn a_packet_becomes_an_event_with_all_that_it_says() {
        let mut sensor = sensor();
        sensor.packet(&[], &META, &OpenPorts::default());
        let event = sensor.packet(&ip().udp(40_000, 161, b""), &META, &OpenPorts::default()).unwrap();
        assert_eq!((event.at, event.origin), (META.at, Origin { sensor: 3, serial: 2 }));
        assert_eq!((event.actor, event.target), (addr("198.51.100.7"), Some(addr("192.0.2.1"))));
        assert_eq!((event.trust, event.times), (Trust::Spoofable, 1));
    }

    #[test]
    fn a_packet_cut_short_tells_what_is_left() {
        let whole = ip().tcp(&Tcp { options: &LINUX_OPTIONS, ..syn(22) });
        // The options are cut off; the length still tells of them.
        assert_eq!(style_of(&whole[..40]), Some(Style::Connect));
        assert_eq!(style_of(&whole[..30]), None);
        assert_eq!(style_of(&whole[..21]), None);
    }

    #[test]
    fn every_packet_is_counted_once_and_open_ports_are_no_evidence() {
        let open: OpenPorts = [(Protocol::TCP, 22), (Protocol::UDP, 65_535), (Protocol::GRE, 1)].into_iter().collect();
        assert_eq!((open.iter(Protocol::TCP).collect(), open.iter(Protocol::UDP).collect()), (vec![22], vec![65_535]));
        let mut sensor = sensor();
        let forwarded = PacketMeta { hook: 2, ..META };
        let outgoing = PacketMeta { hook: 3, ..META };
        let loopback = PacketMeta { loopback: true, ..META };
        assert!(sensor.packet(&ip().tcp(&syn(22)), &META, &open).is_none());
        assert!(sensor.packet(&ip().udp(40_000, 65_535, b""), &META, &open).is_none());
        assert!(sensor.packet(&ip().tcp(&syn(23)), &META, &open).is_some());
        assert!(sensor.packet(&ip().tcp(&syn(22)), &forwarded, &open).is_some());
        assert!(sensor.packet(&ip().tcp(&syn(22)), &outgoing, &open).is_none());
        assert!(sensor.packet(&ip().tcp(&syn(22)), &loopback, &open).is_none());
        assert!(sensor.packet(&ip().icmp(8, 0, [0; 4], b"ping"), &META, &open).is_none());
        assert!(sensor.packet(b"garbage", &META, &open).is_none());
        let counts = *sensor.counts();
        assert_eq!((counts.packets, counts.events, counts.malformed, counts.open), (8, 2, 1, 2));
        assert_eq!(counts.harmless[Harmless::Ping as usize], 1);
        assert_eq!(counts.harmless.iter().sum::<u64>(), 3);
    }

    proptest! {
        #[test]
        fn garbage_is_counted_and_harms_nobody(mut bytes in prop::collection::vec(any::<u8>(), 0..120), hook in 0..6u8) {
            if let Some(first) = bytes.first_mut() {
                *first = if *first & 1 == 0 { 0x45 } else { 0x60 };
            }
            let mut sensor = sensor();
            sensor.packet(&bytes, &PacketMeta { hook, ..META }, &OpenPorts::default());
            let counts = sensor.counts();
            prop_assert_eq!(1, counts.events + counts.malformed + counts.open + counts.passed_over + counts.harmless.iter().sum::<u64>());
        }
    }
}
