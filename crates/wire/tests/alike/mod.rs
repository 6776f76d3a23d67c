//! What our reading of a transport header and etherparse's must have in common. Shared by wire's own tests and the fuzzing target.

use etherparse::TransportSlice;
use wire::packet::{Packet, Transport};

/// Extension headers that we walk and etherparse does not: mobility, HIP, Shim6.
pub const WALKED_BY_US_ALONE: [u8; 3] = [135, 139, 140];

/// Panics where they differ.
pub fn same_transport(ours: &Packet<'_>, theirs: &TransportSlice<'_>) {
    match (ours.transport, theirs) {
        (Transport::Tcp(tcp), TransportSlice::Tcp(other)) => {
            let rest = tcp.rest.expect("etherparse found a whole header");
            assert_eq!((tcp.source_port, tcp.port), (other.source_port(), other.destination_port()));
            assert_eq!((tcp.sequence, rest.acknowledgment), (Some(other.sequence_number()), other.acknowledgment_number()));
            assert_eq!((rest.flags.0, rest.window), (other.slice()[13], other.window_size()));
            assert_eq!((rest.options, rest.data), (Some(other.options()), other.payload()));
        }
        (Transport::Ports(udp), TransportSlice::Udp(other)) => {
            assert_eq!((udp.source_port, udp.port), (other.source_port(), other.destination_port()));
        }
        (Transport::Icmp(icmp), TransportSlice::Icmpv4(other)) => assert_eq!((icmp.kind, icmp.code), (other.type_u8(), other.code_u8())),
        (Transport::Icmp(icmp), TransportSlice::Icmpv6(other)) => assert_eq!((icmp.kind, icmp.code), (other.type_u8(), other.code_u8())),
        (Transport::Other(_), TransportSlice::Igmp(_)) => (),
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}
