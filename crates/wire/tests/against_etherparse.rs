//! Our reading of packets against etherparse's, over forged packets that are then damaged and cut. Where the two mean to differ, the test says so.

mod alike;

use alike::{WALKED_BY_US_ALONE, same_transport};
use etherparse::{LaxSlicedPacket, SlicedPacket, TransportSlice};
use model::event::TcpFlags;
use model::net::Protocol;
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::build::{Ip, Tcp};
use wire::ipv6::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};
use wire::packet::{Packet, Transport, parse};
use wire::{Fragment, ipv4};

fn ip() -> impl Strategy<Value = Ip> {
    let v4 = (any::<u32>(), any::<u32>()).prop_map(|(a, b)| (IpAddr::V4(Ipv4Addr::from(a)), IpAddr::V4(Ipv4Addr::from(b))));
    let v6 = (any::<u128>(), any::<u128>()).prop_map(|(a, b)| (IpAddr::V6(Ipv6Addr::from(a)), IpAddr::V6(Ipv6Addr::from(b))));
    (prop_oneof![v4, v6], any::<u8>(), any::<u16>(), 0..10u8).prop_map(|((source, target), ttl, identification, extension_headers)| Ip {
        source,
        target,
        ttl,
        identification,
        extension_headers,
    })
}

fn with_tcp() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>(), any::<u8>(), any::<u16>());
    (ip(), numbers, vec(any::<u8>(), 0..=40), vec(any::<u8>(), 0..60)).prop_map(
        |(ip, (source_port, port, sequence, acknowledgment, flags, window), options, data)| {
            let flags = TcpFlags(flags);
            ip.tcp(&Tcp { source_port, port, sequence, acknowledgment, flags, window, options: &options, data: &data })
        },
    )
}

fn with_udp() -> impl Strategy<Value = Vec<u8>> {
    (ip(), any::<u16>(), any::<u16>(), vec(any::<u8>(), 0..60)).prop_map(|(ip, from, to, data)| ip.udp(from, to, &data))
}

fn with_icmp() -> impl Strategy<Value = Vec<u8>> {
    (ip(), any::<u8>(), any::<u8>(), any::<[u8; 4]>(), vec(any::<u8>(), 0..60))
        .prop_map(|(ip, kind, code, rest, data)| ip.icmp(kind, code, rest, &data))
}

/// IPv6 with every kind of extension header, hop-by-hop first as the standard has it.
fn with_extensions() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![ROUTING, DESTINATION, FRAGMENT, Protocol::AH.0]);
    let one = (kind, vec(any::<u8>(), 7), 0..3u8);
    (any::<bool>(), vec(one, 0..7), any::<u128>(), any::<u16>(), any::<u16>()).prop_map(|(hop_by_hop, chain, target, from, to)| {
        let kinds: Vec<u8> = hop_by_hop.then_some(HOP_BY_HOP).into_iter().chain(chain.iter().map(|(kind, ..)| *kind)).collect();
        let bodies = hop_by_hop.then(|| (vec![0; 7], 1)).into_iter().chain(chain.into_iter().map(|(_, body, extra)| (body, extra)));
        let mut payload = Vec::new();
        for (n, (body, extra)) in bodies.enumerate() {
            let (kind, next) = (kinds[n], kinds.get(n + 1).copied().unwrap_or(Protocol::UDP.0));
            let (units, length) = match kind {
                FRAGMENT => (0, 8),
                kind if kind == Protocol::AH.0 => (extra + 1, (usize::from(extra) + 3) * 4),
                _ => (extra, (usize::from(extra) + 1) * 8),
            };
            let start = payload.len();
            payload.extend([next, units]);
            // Half of the fragment headers say "not fragmented", so that the walk often goes on.
            let whole = kind == FRAGMENT && body[6] & 1 == 0;
            payload.extend(if whole { [0, 0] } else { [body[0], body[1]] });
            payload.extend(&body[2..6]);
            payload.resize(start + length, 0);
        }
        payload.extend(from.to_be_bytes());
        payload.extend(to.to_be_bytes());
        payload.extend([0, 8, 0, 0]);
        let addr = IpAddr::V6(Ipv6Addr::from(target));
        Ip::new(addr, addr).raw(Protocol(kinds.first().copied().unwrap_or(Protocol::UDP.0)), &payload)
    })
}

fn packets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![with_tcp(), with_udp(), with_icmp(), with_extensions()]
}

/// Some bytes overwritten, the end cut off, or something behind it.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let overwrite = (any::<prop::sample::Index>(), any::<u8>());
    (packets(), vec(overwrite, 0..4), prop::option::of(any::<prop::sample::Index>()), vec(any::<u8>(), 0..9)).prop_map(
        |(mut bytes, overwrites, cut, tail)| {
            for (at, value) in overwrites {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(tail);
            bytes
        },
    )
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_packets_read_alike(bytes in damaged()) {
        let ours = parse(&bytes);
        let Ok(theirs) = LaxSlicedPacket::from_ip(&bytes) else { return Ok(()) };
        if meant_to_differ(&bytes) {
            return Ok(());
        }
        let ours = ours.expect("etherparse read it");
        let net = theirs.net.as_ref().unwrap();
        let (source, target) = match net {
            etherparse::LaxNetSlice::Ipv4(v4) => (IpAddr::V4(v4.header().source_addr()), IpAddr::V4(v4.header().destination_addr())),
            etherparse::LaxNetSlice::Ipv6(v6) => (IpAddr::V6(v6.header().source_addr()), IpAddr::V6(v6.header().destination_addr())),
            etherparse::LaxNetSlice::Arp(_) => unreachable!("no ARP in an IP packet"),
        };
        prop_assert_eq!((ours.source, ours.target), (source, target));
        let payload = net.ip_payload_ref().unwrap();
        // Where etherparse stopped before the transport header, or saw none, ours is the more tolerant reading.
        let stopped = theirs.stop_err.is_some() || WALKED_BY_US_ALONE.contains(&payload.ip_number.0);
        // We stop at a later fragment; etherparse takes its data for further headers.
        if ours.fragment == Fragment::Later {
            prop_assert!(payload.fragmented || stopped);
            prop_assert_eq!(ours.transport, Transport::Missing);
            return Ok(());
        }
        if !stopped && ours.extension_headers < 16 {
            prop_assert_eq!(ours.protocol.0, payload.ip_number.0);
            prop_assert_eq!(ours.fragment != Fragment::Whole, payload.fragmented);
        }
        if let Some(theirs) = &theirs.transport && !payload.fragmented {
            same_transport(&ours, theirs);
        }
    }

    #[test]
    fn forged_packets_are_flawless(bytes in prop_oneof![with_tcp(), with_udp(), with_icmp()]) {
        let ours = parse(&bytes).unwrap();
        let Ok(theirs) = SlicedPacket::from_ip(&bytes) else {
            // etherparse wants ICMP timestamps to have exactly 20 bytes.
            prop_assert!(matches!(ours.transport, Transport::Icmp(icmp) if matches!(icmp.kind, 13 | 14)), "{:?}", ours);
            return Ok(());
        };
        same_transport(&ours, theirs.transport.as_ref().unwrap());
        prop_assert_eq!(ours.length as usize, bytes.len());
        let upper = match theirs.net.as_ref().unwrap() {
            etherparse::NetSlice::Ipv4(v4) => {
                prop_assert_eq!(v4.header().header_checksum(), v4.header().to_header().calc_header_checksum());
                v4.payload().payload
            }
            etherparse::NetSlice::Ipv6(v6) => v6.payload().payload,
            etherparse::NetSlice::Arp(_) => unreachable!("no ARP in an IP packet"),
        };
        let mut sum = match ours.protocol {
            Protocol::ICMP => wire::checksum::Sum::default(),
            protocol => wire::checksum::Sum::pseudo(ours.source, ours.target, protocol, upper.len()),
        };
        sum.add(upper);
        prop_assert_eq!(sum.finish(), 0);
        if let (TransportSlice::Tcp(tcp), IpAddr::V4(source), IpAddr::V4(target)) = (theirs.transport.unwrap(), ours.source, ours.target) {
            let checksum = tcp.to_header().calc_checksum_ipv4_raw(source.octets(), target.octets(), tcp.payload()).unwrap();
            prop_assert_eq!(tcp.checksum(), checksum);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..200), version in 0..3u8) {
        if let (Some(first), 1..=2) = (bytes.first_mut(), version) {
            *first = if version == 1 { 0x45 | *first & 15 } else { 0x60 };
        }
        if let Ok(Packet { transport: Transport::Tcp(tcp), .. }) = parse(&bytes)
            && let Some(options) = tcp.rest.and_then(|rest| rest.options)
        {
            prop_assert!(wire::tcp::options_in(options).count() <= options.len());
        }
    }
}

fn v6_udp(chain: &[&[u8]], first: u8) -> Vec<u8> {
    let addr: IpAddr = "2001:db8::1".parse().unwrap();
    let mut payload = chain.concat();
    payload.extend([0x12, 0x34, 0, 53, 0, 8, 0, 0]);
    Ip::new(addr, addr).raw(Protocol(first), &payload)
}

fn ports(packet: &Packet<'_>) -> Option<(u16, u16)> {
    match packet.transport {
        Transport::Ports(udp) => Some((udp.source_port, udp.port)),
        _ => None,
    }
}

#[test]
fn authentication_headers_and_fragments_are_walked() {
    let ah = [17, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1];
    let bytes = v6_udp(&[&ah], 51);
    let packet = parse(&bytes).unwrap();
    assert_eq!((packet.protocol, ports(&packet), packet.extension_headers), (Protocol::UDP, Some((0x1234, 53)), 0));
    let bytes = v6_udp(&[&[17, 0, 0, 1, 0, 0, 0, 9]], 44);
    let packet = parse(&bytes).unwrap();
    assert_eq!((packet.fragment, ports(&packet)), (Fragment::First, Some((0x1234, 53))));
    let bytes = v6_udp(&[&[44, 0, 0, 1, 0, 0, 0, 9], &[17, 0, 0, 0, 0, 0, 0, 9]], 44);
    assert_eq!(parse(&bytes).unwrap().fragment, Fragment::First);
    let bytes = v6_udp(&[&[17, 0, 0, 8, 0, 0, 0, 9]], 44);
    let packet = parse(&bytes).unwrap();
    assert_eq!((packet.fragment, packet.protocol, packet.transport), (Fragment::Later, Protocol::UDP, Transport::Missing));
}

#[test]
fn a_chain_without_end_is_left_after_sixteen_headers() {
    let header = [60, 0, 1, 4, 0, 0, 0, 0];
    let last = [17, 0, 1, 4, 0, 0, 0, 0];
    let sixteen: Vec<&[u8]> = std::iter::repeat_n(&header[..], 15).chain([&last[..]]).collect();
    let bytes = v6_udp(&sixteen, 60);
    let packet = parse(&bytes).unwrap();
    assert_eq!((packet.extension_headers, ports(&packet)), (16, Some((0x1234, 53))));
    let seventeen: Vec<&[u8]> = std::iter::repeat_n(&header[..], 16).chain([&last[..]]).collect();
    let bytes = v6_udp(&seventeen, 60);
    let packet = parse(&bytes).unwrap();
    assert_eq!((packet.extension_headers, packet.protocol, packet.transport), (16, Protocol(60), Transport::Missing));
}

#[test]
fn ipv4_lengths_are_believed_only_as_far_as_they_can_be() {
    let addr: IpAddr = "192.0.2.1".parse().unwrap();
    let good = Ip::new(addr, addr).udp(4660, 53, b"query");
    let padded = [&good[..], &[0; 20]].concat();
    let Transport::Ports(udp) = parse(&padded).unwrap().transport else { panic!("no ports") };
    assert_eq!(udp.data, b"query");
    // A header of 24 bytes of which 22 were captured: addresses, but no transport.
    let mut cut = good.clone();
    cut[0] = 0x46;
    assert_eq!(parse(&cut[..22]).unwrap().transport, Transport::Missing);
    assert_eq!(ipv4::Header::parse(&cut[..22]).unwrap().options().len(), 2);
    let damaged = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        parse(&bytes).err()
    };
    assert_eq!(damaged(0, 0x44), Some(wire::Malformed::HeaderLength(16)));
    assert_eq!(damaged(3, 19), Some(wire::Malformed::TotalLength(19)));
    assert_eq!(damaged(0, 0x55), Some(wire::Malformed::Version(5)));
    assert_eq!(parse(&good[..19]).err(), Some(wire::Malformed::Short));
    assert_eq!(parse(&[]).err(), Some(wire::Malformed::Short));
}
