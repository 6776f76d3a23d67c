//! A whole packet from its IP header on, read once. Never fails for what is merely cut short: what is not there is `None`.

use crate::icmp::Message;
use crate::ports::{Datagram, SCTP_BYTES, UDP_BYTES};
use crate::tcp::Segment;
use crate::{Fragment, Malformed, ipv4, ipv6};
use model::net::Protocol;
use std::net::IpAddr;

/// One packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'b> {
    /// Source address, as it stands in the packet.
    pub source: IpAddr,
    /// Destination address, as it stands in the packet.
    pub target: IpAddr,
    /// The protocol after IPv4's header or IPv6's extension headers.
    pub protocol: Protocol,
    /// The packet's length in bytes as it says itself, IP header included (as captured, if it leaves that open).
    pub length: u32,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// Type of service, or traffic class.
    pub service: u8,
    /// IPv4's three bits beside the fragment's offset: 4 reserved, 2 don't fragment, 1 more fragments.
    pub fragment_bits: Option<u8>,
    /// IPv4 options, as far as they were captured; empty for IPv6.
    pub ip_options: &'b [u8],
    /// Bytes of IP header and extension headers before the transport header.
    pub header_bytes: u32,
    /// IPv6's flow label; 0 for IPv4.
    pub flow_label: u32,
    /// How many IPv6 extension headers (hop-by-hop, routing, destination options) stand before the transport header.
    pub extension_headers: u8,
    /// Its place in a fragmented datagram.
    pub fragment: Fragment,
    /// The transport header.
    pub transport: Transport<'b>,
}

/// What stands in the IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'b> {
    /// TCP.
    Tcp(Segment<'b>),
    /// UDP, UDP-Lite or SCTP.
    Ports(Datagram<'b>),
    /// ICMP or ICMPv6.
    Icmp(Message<'b>),
    /// Another protocol: its bytes.
    Other(&'b [u8]),
    /// A later fragment, or cut before the first useful byte.
    Missing,
}

/// Reads the packet that starts with an IP header at the start of `bytes`. `bytes` may be only a packet's beginning.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => parse_v4(bytes),
        Some(6) => parse_v6(bytes),
        Some(version) => Err(Malformed::Version(version)),
        None => Err(Malformed::Short),
    }
}

fn parse_v4(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    let header = ipv4::Header::parse(bytes)?;
    let fragment = header.fragment();
    let payload = if fragment == Fragment::Later { None } else { header.payload() };
    let length = match header.total_length() {
        0 => bytes.len() as u32,
        length => u32::from(length),
    };
    Ok(Packet {
        source: IpAddr::V4(header.source()),
        target: IpAddr::V4(header.target()),
        protocol: header.protocol(),
        length,
        ttl: header.ttl(),
        ip_id: Some(header.identification()),
        service: header.service(),
        fragment_bits: Some(header.fragment_bits()),
        ip_options: header.options(),
        header_bytes: (ipv4::FIXED_BYTES + header.options().len()) as u32,
        flow_label: 0,
        extension_headers: 0,
        fragment,
        transport: transport(header.protocol(), payload),
    })
}

fn parse_v6(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    let header = ipv6::Header::parse(bytes)?;
    let upper = header.upper();
    let length = match header.payload_length() {
        0 if header.next_header().0 == ipv6::HOP_BY_HOP => bytes.len() as u32,
        length => u32::from(length) + ipv6::FIXED_BYTES as u32,
    };
    Ok(Packet {
        source: IpAddr::V6(header.source()),
        target: IpAddr::V6(header.target()),
        protocol: upper.protocol,
        length,
        ttl: header.hop_limit(),
        ip_id: None,
        service: header.service(),
        fragment_bits: None,
        ip_options: &[],
        // Both ends were cut alike, if they were.
        header_bytes: (ipv6::FIXED_BYTES + header.payload().len() - upper.payload.map_or(0, <[u8]>::len)) as u32,
        flow_label: header.flow_label(),
        extension_headers: upper.extension_headers,
        fragment: upper.fragment,
        transport: transport(upper.protocol, upper.payload),
    })
}

#[inline]
fn transport(protocol: Protocol, payload: Option<&[u8]>) -> Transport<'_> {
    let Some(bytes) = payload else { return Transport::Missing };
    let found = match protocol {
        Protocol::TCP => Segment::parse(bytes).map(Transport::Tcp),
        Protocol::UDP | Protocol::UDPLITE => Datagram::parse(bytes, UDP_BYTES).map(Transport::Ports),
        Protocol::SCTP => Datagram::parse(bytes, SCTP_BYTES).map(Transport::Ports),
        Protocol::ICMP | Protocol::ICMPV6 => Message::parse(bytes).map(Transport::Icmp),
        _ => Some(Transport::Other(bytes)),
    };
    found.unwrap_or(Transport::Missing)
}
