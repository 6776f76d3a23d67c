//! Forged packets with right lengths and checksums, for the test range, benches and tests. Never reads one.

use crate::checksum::Sum;
use crate::ipv6::DESTINATION;
use model::event::TcpFlags;
use model::net::Protocol;
use std::net::IpAddr;

/// The network layer of a packet: IPv4 between two IPv4 addresses, else IPv6 (an IPv4 address is then mapped).
#[derive(Debug, Clone, Copy)]
pub struct Ip {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub target: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification.
    pub identification: u16,
    /// IPv6 destination-options headers before the transport header.
    pub extension_headers: u8,
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp<'b> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window.
    pub window: u16,
    /// Options; padded to four bytes, and cut at 40.
    pub options: &'b [u8],
    /// Data.
    pub data: &'b [u8],
}

/// The options of a Linux connect(): MSS 1460, SACK-permitted, timestamps, window scale 7.
pub const LINUX_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
/// The option of nmap -sS: MSS 1460.
pub const NMAP_OPTIONS: [u8; 4] = [2, 4, 5, 180];

impl Ip {
    /// A packet from `source` to `target` with 64 hops to live.
    pub const fn new(source: IpAddr, target: IpAddr) -> Self {
        Ip { source, target, ttl: 64, identification: 0, extension_headers: 0 }
    }

    /// The packet with this TCP segment.
    pub fn tcp(&self, tcp: &Tcp<'_>) -> Vec<u8> {
        let options = tcp.options.get(..40).unwrap_or(tcp.options);
        let header_bytes = 20 + options.len().next_multiple_of(4);
        let mut segment = Vec::with_capacity(header_bytes + tcp.data.len());
        segment.extend_from_slice(&tcp.source_port.to_be_bytes());
        segment.extend_from_slice(&tcp.port.to_be_bytes());
        segment.extend_from_slice(&tcp.sequence.to_be_bytes());
        segment.extend_from_slice(&tcp.acknowledgment.to_be_bytes());
        segment.extend_from_slice(&[(header_bytes as u8 / 4) << 4, tcp.flags.0]);
        segment.extend_from_slice(&tcp.window.to_be_bytes());
        segment.extend_from_slice(&[0; 4]);
        segment.extend_from_slice(options);
        segment.resize(header_bytes, 0);
        segment.extend_from_slice(tcp.data);
        self.seal(Protocol::TCP, &mut segment, 16);
        self.raw(Protocol::TCP, &segment)
    }

    /// The packet with this UDP datagram.
    pub fn udp(&self, source_port: u16, port: u16, data: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(8 + data.len());
        datagram.extend_from_slice(&source_port.to_be_bytes());
        datagram.extend_from_slice(&port.to_be_bytes());
        datagram.extend_from_slice(&clamp(8 + data.len()).to_be_bytes());
        datagram.extend_from_slice(&[0; 2]);
        datagram.extend_from_slice(data);
        self.seal(Protocol::UDP, &mut datagram, 6);
        self.raw(Protocol::UDP, &datagram)
    }

    /// The packet with this ICMP or, between IPv6 addresses, ICMPv6 message. `rest` are the four bytes after the checksum.
    pub fn icmp(&self, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend_from_slice(&rest);
        message.extend_from_slice(data);
        let protocol = if self.is_v4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        self.seal(protocol, &mut message, 2);
        self.raw(protocol, &message)
    }

    /// The packet with these bytes, whatever they are.
    pub fn raw(&self, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
        match (self.source, self.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let mut packet = Vec::with_capacity(20 + payload.len());
                packet.extend_from_slice(&[0x45, 0]);
                packet.extend_from_slice(&clamp(20 + payload.len()).to_be_bytes());
                packet.extend_from_slice(&self.identification.to_be_bytes());
                packet.extend_from_slice(&[0, 0, self.ttl, protocol.0, 0, 0]);
                packet.extend_from_slice(&source.octets());
                packet.extend_from_slice(&target.octets());
                let mut sum = Sum::default();
                sum.add(&packet);
                write(&mut packet, 10, sum.finish());
                packet.extend_from_slice(payload);
                packet
            }
            (source, target) => {
                let extensions = usize::from(self.extension_headers);
                let mut packet = Vec::with_capacity(40 + extensions * 8 + payload.len());
                packet.extend_from_slice(&[0x60, 0, 0, 0]);
                packet.extend_from_slice(&clamp(extensions * 8 + payload.len()).to_be_bytes());
                packet.extend_from_slice(&[if extensions > 0 { DESTINATION } else { protocol.0 }, self.ttl]);
                packet.extend_from_slice(&octets(source));
                packet.extend_from_slice(&octets(target));
                for left in (0..extensions).rev() {
                    // One PadN option of six bytes fills the header's eight.
                    packet.extend_from_slice(&[if left > 0 { DESTINATION } else { protocol.0 }, 0, 1, 4, 0, 0, 0, 0]);
                }
                packet.extend_from_slice(payload);
                packet
            }
        }
    }

    fn is_v4(&self) -> bool {
        self.source.is_ipv4() && self.target.is_ipv4()
    }

    /// Writes the checksum at `at`. ICMP over IPv4 alone has no pseudo-header.
    fn seal(&self, protocol: Protocol, bytes: &mut [u8], at: usize) {
        let mut sum = match protocol {
            Protocol::ICMP => Sum::default(),
            _ => Sum::pseudo(self.source, self.target, protocol, bytes.len()),
        };
        sum.add(bytes);
        let value = match sum.finish() {
            // RFC 768: a UDP checksum of zero would mean "none".
            0 if protocol == Protocol::UDP => 0xFFFF,
            value => value,
        };
        write(bytes, at, value);
    }
}

fn write(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

fn clamp(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
