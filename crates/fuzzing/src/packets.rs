//! Packets. The promises: our reading agrees with etherparse's where both understand a packet, a packet that was cut says nothing that the whole
//! one doesn't, what we forge reads back as it was meant, and a packet is evidence of at most a handshake.

#[path = "../../wire/tests/alike/mod.rs"]
mod alike;

use crate::choice;
use alike::{WALKED_BY_US_ALONE, same_transport};
use etherparse::{LaxNetSlice, LaxSlicedPacket};
use model::event::{TcpFlags, Trust};
use model::net::Protocol;
use model::time::Time;
use sense::packet::{OpenPorts, PacketMeta, PacketSensor};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::Fragment;
use wire::build::{Ip, Tcp};
use wire::packet::{Packet, Transport, parse};
use wire::tcp::{Kinds, options_in};

/// All that we walk over: hop-by-hop, routing, fragment, AH, destination options, and those above.
const EXTENSIONS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];
/// Where captures are cut.
const CUTS: [usize; 7] = [1, 20, 24, 40, 44, 54, 64];

/// The first byte says what the kernel told beside the packet; the rest is the packet.
pub fn run(bytes: &[u8]) {
    let (beside, bytes) = choice(bytes);
    sensed(beside, bytes);
    let Ok(packet) = parse(bytes) else { return };
    bounded(&packet, bytes.len());
    for cut in CUTS.into_iter().chain([bytes.len() / 2, bytes.len() - 1]).filter(|cut| *cut < bytes.len()) {
        cut_short(&packet, &bytes[..cut]);
    }
    same_as_etherparse(&packet, bytes);
    forged(bytes);
}

fn sensed(beside: u8, bytes: &[u8]) {
    let meta = PacketMeta { at: Time::from_secs(1), hook: beside >> 2 & 7, loopback: beside & 1 != 0, established: beside & 2 != 0 };
    let open: OpenPorts = [(Protocol::TCP, 22), (Protocol::UDP, 53)].into_iter().collect();
    let mut sensor = PacketSensor::new(2, 32_768..=60_999);
    let event = sensor.packet(bytes, &meta, &open);
    let counts = sensor.counts();
    let harmless: u64 = counts.harmless.iter().sum();
    assert_eq!(
        (counts.packets, counts.events + counts.malformed + counts.open + counts.passed_over + harmless),
        (1, 1),
        "every packet is counted once"
    );
    let Some(event) = event else { return };
    assert!(!meta.loopback && !matches!(meta.hook, 3 | 4));
    assert!(event.trust == Trust::Spoofable || event.trust == Trust::Handshake && meta.established);
    assert_eq!(event.actor, event.actor.to_canonical());
    assert!(!event.actor.is_loopback() && !event.actor.is_multicast() && !event.actor.is_unspecified());
    assert!(event.target.is_some_and(|target| target == target.to_canonical() && !target.is_multicast()));
    assert_eq!(event.times, 1);
}

fn bounded(packet: &Packet<'_>, captured: usize) {
    assert!(packet.extension_headers <= 16);
    let data = match packet.transport {
        Transport::Tcp(segment) => {
            let rest = segment.rest;
            let options = rest.and_then(|rest| rest.options).unwrap_or_default();
            assert!(options.len() <= 40 && options_in(options).count() <= 40);
            assert!(rest.and_then(|rest| rest.options_bytes).is_none_or(|bytes| bytes <= 40));
            assert_eq!(Kinds::of(options) == Kinds::default(), options_in(options).next().is_none());
            rest.map(|rest| rest.data.len() + options.len()).unwrap_or_default()
        }
        Transport::Ports(datagram) => datagram.data.len(),
        Transport::Icmp(message) => message.data.len(),
        Transport::Other(data) => data.len(),
        Transport::Missing => 0,
    };
    assert!(data + 20 <= captured);
}

fn ports(packet: &Packet<'_>) -> Option<(u16, u16)> {
    match packet.transport {
        Transport::Tcp(segment) => Some((segment.source_port, segment.port)),
        Transport::Ports(datagram) => Some((datagram.source_port, datagram.port)),
        Transport::Icmp(_) | Transport::Other(_) | Transport::Missing => None,
    }
}

/// A capture of its beginning says less than the whole packet, and nothing else.
fn cut_short(whole: &Packet<'_>, bytes: &[u8]) {
    let Ok(cut) = parse(bytes) else { return };
    assert_eq!((cut.source, cut.target, cut.ttl, cut.ip_id), (whole.source, whole.target, whole.ttl, whole.ip_id));
    assert!(cut.extension_headers <= whole.extension_headers);
    if let Some(found) = ports(&cut) {
        assert_eq!((Some(found), cut.protocol, cut.fragment), (ports(whole), whole.protocol, whole.fragment));
    }
    if let (Transport::Icmp(cut), Transport::Icmp(whole)) = (cut.transport, whole.transport) {
        assert_eq!((cut.kind, cut.code), (whole.kind, whole.code));
    }
    if let (Transport::Tcp(cut), Transport::Tcp(whole)) = (cut.transport, whole.transport) {
        assert!(cut.sequence.is_none() || cut.sequence == whole.sequence);
        let flags = |rest: Option<wire::tcp::Rest<'_>>| rest.map(|rest| (rest.flags, rest.window, rest.acknowledgment, rest.options_bytes));
        assert!(cut.rest.is_none() || flags(cut.rest) == flags(whole.rest));
    }
}

/// Packets that etherparse reads as it guesses and we do not read at all, or the other way round.
fn meant_to_differ(bytes: &[u8]) -> bool {
    match bytes[0] >> 4 {
        // etherparse ignores an impossible length; and it looks into AH behind IPv4.
        4 => {
            let total = u16::from_be_bytes([bytes[2], bytes[3]]);
            usize::from(total) < usize::from(bytes[0] & 15) * 4 || bytes[9] == Protocol::AH.0
        }
        // etherparse takes a length of zero for "to the end" whatever follows.
        _ => bytes[4..6] == [0, 0],
    }
}

fn same_as_etherparse(ours: &Packet<'_>, bytes: &[u8]) {
    let Ok(theirs) = LaxSlicedPacket::from_ip(bytes) else { return };
    let Some(net) = theirs.net.as_ref().filter(|_| !meant_to_differ(bytes)) else { return };
    let (source, target) = match net {
        LaxNetSlice::Ipv4(v4) => (IpAddr::V4(v4.header().source_addr()), IpAddr::V4(v4.header().destination_addr())),
        LaxNetSlice::Ipv6(v6) => (IpAddr::V6(v6.header().source_addr()), IpAddr::V6(v6.header().destination_addr())),
        LaxNetSlice::Arp(_) => panic!("no ARP in an IP packet"),
    };
    assert_eq!((ours.source, ours.target), (source, target));
    let Some(payload) = net.ip_payload_ref() else { return };
    // Where etherparse stopped before the transport header, or saw none, ours is the more tolerant reading.
    let stopped = theirs.stop_err.is_some() || WALKED_BY_US_ALONE.contains(&payload.ip_number.0);
    // We stop at a later fragment; etherparse takes its data for further headers.
    if ours.fragment == Fragment::Later {
        assert!(payload.fragmented || stopped);
        assert_eq!(ours.transport, Transport::Missing);
        return;
    }
    // We walk over sixteen headers at most, and say at which one we stopped.
    let given_up = EXTENSIONS.contains(&ours.protocol.0) && ours.transport == Transport::Missing;
    if given_up && !stopped {
        assert!(bytes.len() >= 40 + 16 * 8, "given up before the sixteenth");
        return;
    }
    if !stopped {
        assert_eq!(ours.protocol.0, payload.ip_number.0);
        assert_eq!(ours.fragment != Fragment::Whole, payload.fragmented);
    }
    if let Some(theirs) = theirs.transport.as_ref().filter(|_| !payload.fragmented) {
        same_transport(ours, theirs);
    }
}

/// Forges packets out of the input's numbers and reads them back.
fn forged(bytes: &[u8]) {
    let Some((numbers, data)) = bytes.split_first_chunk::<24>() else { return };
    let number = |at: usize| u16::from_be_bytes([numbers[at], numbers[at + 1]]);
    let wide = |at: usize| u32::from(number(at)) << 16 | u32::from(number(at + 2));
    let (source, target) = match numbers[0] & 1 {
        0 => (IpAddr::V4(Ipv4Addr::from(wide(12))), IpAddr::V4(Ipv4Addr::from(wide(16)))),
        _ => (IpAddr::V6(Ipv6Addr::from(u128::from(wide(12)) << 96 | 1)), IpAddr::V6(Ipv6Addr::from(u128::from(wide(16)) | 1 << 125))),
    };
    let extension_headers = if source.is_ipv6() { numbers[1] % 10 } else { 0 };
    let ip = Ip { source, target, ttl: numbers[2], identification: number(4), extension_headers };
    let options = data.get(..data.len().min(usize::from(numbers[3] % 41))).unwrap_or_default();
    let tcp = Tcp {
        source_port: number(6),
        port: number(8),
        sequence: wide(12),
        acknowledgment: wide(16),
        flags: TcpFlags(numbers[10]),
        window: number(20),
        options,
        data,
    };
    let (segment, datagram) = (ip.tcp(&tcp), ip.udp(tcp.source_port, tcp.port, data));
    for (bytes, protocol) in [(&segment, Protocol::TCP), (&datagram, Protocol::UDP)] {
        let read = parse(bytes).expect("what we forge is a packet");
        assert_eq!((read.source, read.target, read.ttl, read.protocol), (source, target, ip.ttl, protocol));
        assert_eq!((read.extension_headers, ports(&read)), (extension_headers, Some((tcp.source_port, tcp.port))));
        assert_eq!((read.length as usize, read.fragment), (bytes.len(), Fragment::Whole));
        if let Transport::Tcp(segment) = read.transport {
            let rest = segment.rest.expect("a whole header");
            assert_eq!((segment.sequence, rest.flags, rest.window, rest.data), (Some(tcp.sequence), tcp.flags, tcp.window, data));
        }
    }
}
