//! What one packet says, however it was seen (log line or the packet itself), and what that is evidence of.
//! Never decides whom to block.

use model::event::{Act, Probe, TcpFlags, Trust};
use model::net::{Hops, Protocol};
use model::style::Style;
use signatures::header::{Header, IpOptions};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Which way a packet was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
}

impl Chain {
    /// All of them.
    pub const ALL: [Chain; 3] = [Chain::Input, Chain::Forward, Chain::Output];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Chain::Input => "input",
            Chain::Forward => "forward",
            Chain::Output => "output",
        }
    }
}

/// What the firewall did with the packet, as far as the source tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Dropped, rejected, or logged without a word about it: nobody answered.
    Turned,
    /// Let through (UFW ALLOW, ACCEPT, pf pass, ipfw Accept).
    Passed,
    /// Logged for the record before any decision (UFW AUDIT): the decision has a line of its own.
    Audited,
}

/// What is known of a TCP segment's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpOptions {
    /// The source does not tell.
    Unknown,
    /// There are none.
    Absent,
    /// `bytes` of them; `system` if there are those that an operating system's connect() sends (SACK-permitted, timestamps or window scale).
    Present {
        /// Length in bytes, a multiple of 4, at most 40.
        bytes: u8,
        /// Whether an operating system's own stack made them.
        system: bool,
    },
}

/// A packet's place in a fragmented datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// It is whole.
    Whole,
    /// It is the first fragment: the transport header is there.
    First,
    /// It is a later fragment: no transport header.
    Later,
}

/// One packet, as far as the source tells. Addresses are canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub target: IpAddr,
    /// IP protocol (after IPv6 extension headers).
    pub protocol: Protocol,
    /// Source port.
    pub source_port: Option<u16>,
    /// Destination port.
    pub port: Option<u16>,
    /// TCP flags.
    pub flags: Option<TcpFlags>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// The whole packet's length in bytes, IP header included.
    pub length: Option<u32>,
    /// Time to live, or hop limit.
    pub ttl: Option<u8>,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// Type of service, or traffic class. Linux logs it without its last bits (ECN and one more).
    pub service: Option<u8>,
    /// IPv4's three bits beside the fragment's offset: 4 reserved, 2 don't fragment, 1 more fragments.
    pub fragment_bits: Option<u8>,
    /// IPv4 options.
    pub ip_options: Option<IpOptions>,
    /// Bytes of payload, if the source tells.
    pub data: Option<u32>,
    /// An ICMP echo's identifier and sequence number.
    pub echo: Option<(u16, u16)>,
    /// TCP window, as sent.
    pub window: Option<u16>,
    /// TCP sequence number.
    pub sequence: Option<u32>,
    /// TCP acknowledgment number.
    pub acknowledgment: Option<u32>,
    /// TCP options.
    pub options: TcpOptions,
    /// How many IPv6 extension headers (hop-by-hop, routing, destination options) stand before the transport header.
    pub extension_headers: u8,
    /// Fragmentation.
    pub fragment: Fragment,
    /// Which way.
    pub chain: Chain,
    /// What the firewall did with it.
    pub handling: Handling,
    /// Whether connection tracking says that it belongs to an established connection.
    pub established: bool,
    /// Whether it came in on the loopback interface.
    pub loopback: bool,
}

/// Why a packet is evidence of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Harmless {
    /// The host's own outgoing packet.
    Outgoing,
    /// On the loopback interface, or from a loopback address.
    Loopback,
    /// To a broadcast or multicast address.
    Broadcast,
    /// IPv6 neighbour or router discovery, or multicast listener discovery.
    NeighbourDiscovery,
    /// IGMP.
    Igmp,
    /// An ordinary ping, or its answer.
    Ping,
    /// An ICMP error: an answer to something, as often as not to a forgery.
    IcmpError,
    /// SYN+ACK or RST: an answer; backscatter if nobody here asked.
    Backscatter,
    /// A late packet of a connection that is closed by now.
    Stray,
    /// A later fragment: nothing in it tells what it is for.
    FragmentTail,
    /// Logged for the record; the firewall's decision has a line of its own.
    Audit,
    /// DHCP between client and server.
    Dhcp,
    /// The source address can never be a real one (0.0.0.0/8, multicast, broadcast).
    NoSource,
}

/// What one packet comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Evidence: what the source did, and how far its address can be believed.
    Evidence(Act, Trust),
    /// Evidence of nothing.
    Harmless(Harmless),
}

/// What a signature that a packet fits may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A charge against its sender.
    Charges,
    /// A number in a table: it was let through, or is a ping, an answer, or an error about somebody's packet, and its sender as often as not an
    /// innocent one.
    Counts,
    /// Nothing: it is not looked at.
    Nothing,
}

impl Reading {
    /// What a signature that such a packet fits may come to.
    pub fn weight(&self) -> Weight {
        match self {
            Reading::Evidence(Act::Probe(_), _) => Weight::Charges,
            Reading::Evidence(Act::Reached { .. } | Act::Reported(_) | Act::Touched(_) | Act::Matched(_) | Act::Guessed(_), _) => {
                Weight::Counts
            }
            Reading::Harmless(Harmless::Ping | Harmless::IcmpError | Harmless::Backscatter | Harmless::Stray | Harmless::FragmentTail) => {
                Weight::Counts
            }
            Reading::Harmless(
                Harmless::Outgoing
                | Harmless::Loopback
                | Harmless::Broadcast
                | Harmless::NeighbourDiscovery
                | Harmless::Igmp
                | Harmless::Audit
                | Harmless::Dhcp
                | Harmless::NoSource,
            ) => Weight::Nothing,
        }
    }
}

impl Harmless {
    /// Every reason.
    pub const ALL: [Harmless; 13] = [
        Harmless::Outgoing,
        Harmless::Loopback,
        Harmless::Broadcast,
        Harmless::NeighbourDiscovery,
        Harmless::Igmp,
        Harmless::Ping,
        Harmless::IcmpError,
        Harmless::Backscatter,
        Harmless::Stray,
        Harmless::FragmentTail,
        Harmless::Audit,
        Harmless::Dhcp,
        Harmless::NoSource,
    ];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Harmless::Outgoing => "outgoing",
            Harmless::Loopback => "loopback",
            Harmless::Broadcast => "broadcast",
            Harmless::NeighbourDiscovery => "neighbour discovery",
            Harmless::Igmp => "igmp",
            Harmless::Ping => "ping",
            Harmless::IcmpError => "icmp error",
            Harmless::Backscatter => "backscatter",
            Harmless::Stray => "stray",
            Harmless::FragmentTail => "fragment tail",
            Harmless::Audit => "audit",
            Harmless::Dhcp => "dhcp",
            Harmless::NoSource => "no source",
        }
    }
}

/// Topera hides its SYN behind this many IPv6 extension headers or more. No honest sender comes near it.
const TOPERA_HEADERS: u8 = 7;
/// Below this, a port is a service's and not a client's (RFC 6335 §6: the system ports).
const FIRST_USER_PORT: u16 = 1024;
/// RFC 6335's dynamic ports: what clients behind this host (forwarded traffic) may use, whatever this host's own range is.
const FIRST_DYNAMIC_PORT: u16 = 49_152;
/// Services above 1023 that answer by UDP: OpenVPN, SSDP, STUN/TURN, IPsec NAT-T, multicast DNS, Google's STUN, WireGuard.
const ANSWERING_UDP: [u16; 7] = [1194, 1900, 3478, 4500, 5353, 19_302, 51_820];
/// masscan sends every SYN with this window.
const MASSCAN_WINDOW: u16 = 1024;
/// masscan starts from 255 hops, nmap from 37 to 59, hping3 and operating systems from 64 or 128.
const MASSCAN_LEAST_TTL: u8 = 129;

impl Facts {
    /// Facts of which only the addresses and the protocol are known: a whole packet to this host that nobody let through.
    pub(crate) fn bare(source: IpAddr, target: IpAddr, protocol: Protocol) -> Facts {
        Facts {
            source,
            target,
            protocol,
            source_port: None,
            port: None,
            flags: None,
            icmp: None,
            length: None,
            ttl: None,
            ip_id: None,
            service: None,
            fragment_bits: None,
            ip_options: None,
            data: None,
            echo: None,
            window: None,
            sequence: None,
            acknowledgment: None,
            options: TcpOptions::Unknown,
            extension_headers: 0,
            fragment: Fragment::Whole,
            chain: Chain::Input,
            handling: Handling::Turned,
            established: false,
            loopback: false,
        }
    }

    /// What this packet comes to. `ephemeral` is the range of ports from which this host's own clients call
    /// (`net.ipv4.ip_local_port_range`): late answers go there. In doubt the answer is harmless.
    pub fn read(&self, ephemeral: RangeInclusive<u16>) -> Reading {
        if let Some(why) = self.beside_the_point().or_else(|| self.everyday()).or_else(|| self.answer(&ephemeral)) {
            return Reading::Harmless(why);
        }
        match self.handling {
            Handling::Turned => self.probe(),
            Handling::Passed if self.is_first_contact() => {
                Reading::Evidence(Act::Reached { protocol: self.protocol, port: self.port }, self.trust())
            }
            Handling::Passed => Reading::Harmless(Harmless::Stray),
            Handling::Audited => Reading::Harmless(Harmless::Audit),
        }
    }

    /// What signatures look at.
    #[inline]
    pub fn header(&self) -> Header {
        Header {
            source: self.source,
            target: self.target,
            protocol: self.protocol,
            source_port: self.source_port,
            port: self.port,
            flags: self.flags,
            icmp: self.icmp,
            echo: self.echo,
            length: self.length,
            extension_headers: self.extension_headers,
            ttl: self.ttl,
            ip_id: self.ip_id,
            service: self.service,
            fragment_bits: self.fragment_bits,
            ip_options: self.ip_options,
            window: self.window,
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            payload: self.payload(),
        }
    }

    /// How many bytes of payload there can be, least and most: TCP options that are not told may be all of the header's 40 or none, and
    /// extension headers may be all of the packet.
    pub(crate) fn payload(&self) -> Option<(u32, u32)> {
        if let Some(data) = self.data {
            return Some((data, data));
        }
        let above_ip = self.length?.checked_sub(match self.target {
            IpAddr::V4(_) => 20 + self.ip_options.map_or(0, |options| u32::from(options.bytes())),
            IpAddr::V6(_) => 40,
        })?;
        if self.fragment != Fragment::Whole {
            return None;
        }
        let (least, most) = match (self.protocol, self.options) {
            (Protocol::TCP, TcpOptions::Unknown) => (above_ip.saturating_sub(60), above_ip.checked_sub(20)?),
            (Protocol::TCP, TcpOptions::Absent) => exactly(above_ip.checked_sub(20)?),
            (Protocol::TCP, TcpOptions::Present { bytes, .. }) => exactly(above_ip.checked_sub(20 + u32::from(bytes))?),
            (Protocol::UDP | Protocol::UDPLITE | Protocol::ICMP | Protocol::ICMPV6, _) => exactly(above_ip.checked_sub(8)?),
            _ => return None,
        };
        Some((if self.extension_headers > 0 { 0 } else { least }, most))
    }

    /// Packets whose addresses or place already say that nobody outside can be charged with them.
    fn beside_the_point(&self) -> Option<Harmless> {
        if self.chain == Chain::Output {
            return Some(Harmless::Outgoing);
        }
        if self.loopback || self.source.is_loopback() || self.target.is_loopback() {
            return Some(Harmless::Loopback);
        }
        if self.is_neighbour_discovery() {
            return Some(Harmless::NeighbourDiscovery);
        }
        if cannot_send(self.source) {
            return Some(Harmless::NoSource);
        }
        if self.protocol == Protocol::IGMP {
            return Some(Harmless::Igmp);
        }
        if is_for_many(self.target) {
            return Some(Harmless::Broadcast);
        }
        (self.handling == Handling::Audited).then_some(Harmless::Audit)
    }

    /// What every network sees all day.
    fn everyday(&self) -> Option<Harmless> {
        if self.fragment == Fragment::Later {
            return Some(Harmless::FragmentTail);
        }
        if self.protocol == Protocol::UDP
            && let (Some(from), Some(to)) = (self.source_port, self.port)
            && (matches!((from, to), (67 | 68, 67 | 68)) || matches!((from, to), (546 | 547, 546 | 547)))
        {
            return Some(Harmless::Dhcp);
        }
        let (kind, _) = self.icmp?;
        match (self.protocol, kind) {
            (Protocol::ICMP, 0 | 8) | (Protocol::ICMPV6, 128 | 129) => Some(Harmless::Ping),
            // Unreachable, source quench, time exceeded, parameter problem; ICMPv6: unreachable, too big, time exceeded, parameter problem.
            (Protocol::ICMP, 3 | 4 | 11 | 12) | (Protocol::ICMPV6, 1..=4) => Some(Harmless::IcmpError),
            // Replies about timestamp, information and address mask; ICMPv6 node information.
            (Protocol::ICMP, 14 | 16 | 18) | (Protocol::ICMPV6, 140) => Some(Harmless::Backscatter),
            _ => None,
        }
    }

    /// Neighbour, router and inverse discovery (133 to 137, 141, 142), multicast listeners (130 to 132, 143), secured discovery (148, 149)
    /// and multicast routers (151 to 153).
    fn is_neighbour_discovery(&self) -> bool {
        self.protocol == Protocol::ICMPV6 && matches!(self.icmp, Some((130..=137 | 141..=143 | 148 | 149 | 151..=153, _)))
    }

    /// Whether this is an answer, or the late packet of a conversation that this host has forgotten.
    fn answer(&self, ephemeral: &RangeInclusive<u16>) -> Option<Harmless> {
        let to_client =
            self.port.is_some_and(|port| ephemeral.contains(&port) || (self.chain == Chain::Forward && port >= FIRST_DYNAMIC_PORT));
        let from_service = self.source_port.is_some_and(|port| port < FIRST_USER_PORT);
        let Some(flags) = self.flags.filter(|_| self.protocol == Protocol::TCP) else {
            let udp = self.protocol == Protocol::UDP && self.source_port.is_some_and(|port| ANSWERING_UDP.contains(&port));
            return (to_client && (from_service || udp)).then_some(Harmless::Stray);
        };
        match flags.style() {
            None => Some(Harmless::Backscatter),
            Some(Style::Ack | Style::Maimon) => (to_client || from_service).then_some(Harmless::Stray),
            Some(Style::Fin) => (to_client && from_service).then_some(Harmless::Stray),
            Some(_) => None,
        }
    }

    /// Whether a packet that was let through opens a conversation: only that speaks for its sender.
    fn is_first_contact(&self) -> bool {
        if self.established || self.port.is_none() {
            return false;
        }
        match self.protocol {
            Protocol::TCP => self.flags.is_some_and(|flags| flags.style() == Some(Style::Syn)),
            protocol => protocol.has_ports(),
        }
    }

    fn probe(&self) -> Reading {
        let probe = Probe {
            protocol: self.protocol,
            source_port: self.source_port,
            port: self.port,
            flags: self.flags.filter(|_| self.protocol == Protocol::TCP),
            icmp: self.icmp.filter(|_| matches!(self.protocol, Protocol::ICMP | Protocol::ICMPV6)),
            style: self.style(),
            hops: self.ttl.map(Hops::of_ttl),
        };
        Reading::Evidence(Act::Probe(probe), self.trust())
    }

    /// Only a segment that acknowledges something, in a connection that the kernel saw both sides of, has an address that can't be forged.
    pub fn trust(&self) -> Trust {
        let acknowledges = self.flags.is_some_and(|flags| flags.has(TcpFlags::ACK));
        if self.established && self.protocol == Protocol::TCP && acknowledges { Trust::Handshake } else { Trust::Spoofable }
    }

    /// What this one packet tells of the scan it belongs to.
    fn style(&self) -> Option<Style> {
        match self.protocol {
            Protocol::TCP => {
                let style = self.flags?.style()?;
                Some(match style {
                    _ if self.extension_headers >= TOPERA_HEADERS => Style::Topera,
                    Style::Syn => self.syn_style(),
                    style => style,
                })
            }
            Protocol::UDP | Protocol::UDPLITE => Some(Style::Udp),
            Protocol::ICMP | Protocol::ICMPV6 => Some(Style::Icmp),
            _ => None,
        }
    }

    /// Who made a SYN. What tells the tools apart was read off the wire from Debian's own packages:
    ///
    /// | tool | TCP options | window | TTL | identification |
    /// |---|---|---|---|---|
    /// | masscan 1.3.2 | none | 1024 | 255 | target ^ port ^ sequence number, low 16 bits |
    /// | nmap -sS 7.93 | MSS | 1024 | 37 to 59 | random |
    /// | hping3 -S | none | 512 | 64 | random |
    /// | connect() | MSS, SACK-permitted, timestamps, window scale | 64240 | 64 | counter |
    ///
    /// Mirai's scanner writes the target's address into the sequence number, so that it need not remember whom it asked.
    fn syn_style(&self) -> Style {
        // A SYN with FIN, PSH or URG is no system's own, whatever its options.
        let alone = self.flags.is_some_and(|flags| flags.0 & (TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG) == 0);
        if !alone {
            return Style::Syn;
        }
        if let (IpAddr::V4(target), Some(sequence)) = (self.target, self.sequence)
            && u32::from(target) == sequence
        {
            return Style::Mirai;
        }
        if self.has_system_options() {
            return Style::Connect;
        }
        if self.is_masscan() { Style::Masscan } else { Style::Syn }
    }

    fn is_masscan(&self) -> bool {
        if let (IpAddr::V4(target), Some(port), Some(sequence), Some(ip_id)) = (self.target, self.port, self.sequence, self.ip_id)
            && (u32::from(target) ^ u32::from(port) ^ sequence) as u16 == ip_id
        {
            return true;
        }
        // Without the sequence number, or behind a port or address that was translated on the way.
        let bare = match self.options {
            TcpOptions::Absent => true,
            TcpOptions::Unknown => self.tcp_bytes() == Some(20),
            TcpOptions::Present { .. } => false,
        };
        bare && self.window == Some(MASSCAN_WINDOW) && self.ttl.is_none_or(|ttl| ttl >= MASSCAN_LEAST_TTL)
    }

    /// Whether an operating system's connect() made this SYN: its options say so, or, where they are not told, the header's length has room
    /// for them (32 bytes or more; packet tools send 20 or 24).
    fn has_system_options(&self) -> bool {
        match self.options {
            TcpOptions::Present { system, .. } => system,
            TcpOptions::Absent => false,
            TcpOptions::Unknown => self.tcp_bytes().is_some_and(|bytes| bytes >= 32),
        }
    }

    /// The length of a segment (header and data) in a packet without IPv4 options or extension headers.
    fn tcp_bytes(&self) -> Option<u32> {
        self.length?.checked_sub(if self.target.is_ipv4() { 20 } else { 40 })
    }
}

fn exactly(number: u32) -> (u32, u32) {
    (number, number)
}

/// Whether no host can have this address: "this network" (RFC 1122 §3.2.1.3), multicast, broadcast, unspecified.
fn cannot_send(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

fn is_for_many(target: IpAddr) -> bool {
    match target {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: u8 = TcpFlags::FIN;
    const S: u8 = TcpFlags::SYN;
    const R: u8 = TcpFlags::RST;
    const P: u8 = TcpFlags::PSH;
    const A: u8 = TcpFlags::ACK;
    const U: u8 = TcpFlags::URG;
    const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

    fn packet(protocol: Protocol) -> Facts {
        Facts::bare("198.51.100.7".parse().unwrap(), "192.0.2.1".parse().unwrap(), protocol)
    }

    fn tcp(from: u16, to: u16, flags: u8) -> Facts {
        Facts { source_port: Some(from), port: Some(to), flags: Some(TcpFlags(flags)), ..packet(Protocol::TCP) }
    }

    fn udp(from: u16, to: u16) -> Facts {
        Facts { source_port: Some(from), port: Some(to), ..packet(Protocol::UDP) }
    }

    fn icmp(kind: u8) -> Facts {
        Facts { icmp: Some((kind, 0)), ..packet(Protocol::ICMP) }
    }

    fn icmp6(kind: u8) -> Facts {
        Facts { icmp: Some((kind, 0)), ..v6(packet(Protocol::ICMPV6)) }
    }

    fn v6(facts: Facts) -> Facts {
        Facts { source: "2001:db8::7".parse().unwrap(), target: "2001:db8::1".parse().unwrap(), ..facts }
    }

    fn from(addr: &str, facts: Facts) -> Facts {
        Facts { source: addr.parse().unwrap(), ..facts }
    }

    fn to(addr: &str, facts: Facts) -> Facts {
        Facts { target: addr.parse().unwrap(), ..facts }
    }

    #[test]
    fn what_is_no_attack() {
        let syn = tcp(40_000, 22, S);
        let table: [(Harmless, Facts); 54] = [
            (Harmless::Outgoing, Facts { chain: Chain::Output, ..syn }),
            (Harmless::Outgoing, Facts { chain: Chain::Output, ..from("::", icmp6(143)) }),
            (Harmless::Loopback, Facts { loopback: true, ..syn }),
            (Harmless::Loopback, from("127.0.0.9", syn)),
            (Harmless::Loopback, from("::1", v6(syn))),
            (Harmless::Loopback, from("::1", to("::1", syn))),
            (Harmless::Loopback, to("127.0.0.1", syn)),
            (Harmless::NoSource, from("0.0.0.0", syn)),
            (Harmless::NoSource, from("0.1.2.3", syn)),
            (Harmless::NoSource, from("224.0.0.5", syn)),
            (Harmless::NoSource, from("255.255.255.255", syn)),
            (Harmless::NoSource, from("::", v6(syn))),
            (Harmless::NoSource, from("::", to("2001:db8::1", syn))),
            (Harmless::NoSource, from("ff02::1", to("2001:db8::1", syn))),
            (Harmless::NoSource, from("0.0.0.0", to("255.255.255.255", udp(68, 67)))),
            (Harmless::NeighbourDiscovery, from("::", to("ff02::1:ff00:1", icmp6(135)))),
            (Harmless::NeighbourDiscovery, icmp6(130)),
            (Harmless::NeighbourDiscovery, icmp6(133)),
            (Harmless::NeighbourDiscovery, icmp6(136)),
            (Harmless::NeighbourDiscovery, icmp6(137)),
            (Harmless::NeighbourDiscovery, from("::", to("ff02::16", icmp6(143)))),
            (Harmless::Igmp, packet(Protocol::IGMP)),
            (Harmless::Igmp, to("224.0.0.1", packet(Protocol::IGMP))),
            (Harmless::Broadcast, to("255.255.255.255", udp(40_000, 9999))),
            (Harmless::Broadcast, to("239.255.255.250", udp(40_000, 1900))),
            (Harmless::Broadcast, to("ff02::fb", from("fe80::1", udp(5353, 5353)))),
            (Harmless::Audit, Facts { handling: Handling::Audited, ..syn }),
            (Harmless::Dhcp, udp(67, 68)),
            (Harmless::Dhcp, v6(udp(547, 546))),
            (Harmless::Ping, icmp(8)),
            (Harmless::Ping, icmp(0)),
            (Harmless::Ping, icmp6(128)),
            (Harmless::Ping, icmp6(129)),
            (Harmless::IcmpError, icmp(3)),
            (Harmless::IcmpError, icmp(4)),
            (Harmless::IcmpError, icmp(11)),
            (Harmless::IcmpError, icmp6(1)),
            (Harmless::IcmpError, icmp6(4)),
            (Harmless::Backscatter, icmp(14)),
            (Harmless::FragmentTail, Facts { fragment: Fragment::Later, ..packet(Protocol::UDP) }),
            (Harmless::Backscatter, tcp(80, 1234, S | A)),
            (Harmless::Backscatter, tcp(4444, 1234, R)),
            (Harmless::Backscatter, tcp(4444, 1234, R | A)),
            (Harmless::Backscatter, Facts { handling: Handling::Passed, ..tcp(80, 40_000, S | A) }),
            (Harmless::Stray, tcp(443, 45_000, A)),
            (Harmless::Stray, tcp(8443, 45_000, A | P)),
            (Harmless::Stray, tcp(443, 10_000, F | A)),
            (Harmless::Stray, tcp(80, 45_000, F)),
            (Harmless::Stray, Facts { flags: None, ..tcp(80, 45_000, 0) }),
            (Harmless::Stray, udp(53, 45_000)),
            (Harmless::Stray, udp(3478, 45_000)),
            (Harmless::Stray, Facts { chain: Chain::Forward, ..udp(443, 62_000) }),
            (Harmless::Stray, Facts { handling: Handling::Passed, ..tcp(40_000, 22, A) }),
            (Harmless::Stray, Facts { handling: Handling::Passed, established: true, ..udp(40_000, 51) }),
        ];
        for (n, (why, facts)) in table.into_iter().enumerate() {
            assert_eq!(facts.read(EPHEMERAL), Reading::Harmless(why), "row {n}: {facts:?}");
        }
    }

    #[test]
    fn what_a_probe_tells() {
        let table: [(Option<Style>, Facts); 27] = [
            (Some(Style::Syn), tcp(40_000, 22, S)),
            (Some(Style::Syn), Facts { length: Some(44), window: Some(1024), ttl: Some(44), ..tcp(40_000, 22, S) }),
            (Some(Style::Syn), Facts { length: Some(40), window: Some(512), ttl: Some(64), ..tcp(40_000, 22, S) }),
            (Some(Style::Syn), Facts { length: Some(60), ..tcp(40_000, 22, S | F) }),
            (Some(Style::Syn), v6(Facts { length: Some(64), window: Some(1024), ..tcp(40_000, 22, S) })),
            (Some(Style::Syn), Facts { options: TcpOptions::Present { bytes: 4, system: false }, length: Some(60), ..tcp(40_000, 22, S) }),
            (Some(Style::Syn), tcp(80, 45_000, S)),
            (Some(Style::Connect), Facts { length: Some(60), window: Some(64_240), ..tcp(40_000, 22, S) }),
            (Some(Style::Connect), Facts { length: Some(52), ..tcp(40_000, 22, S | TcpFlags::ECE | TcpFlags::CWR) }),
            (Some(Style::Connect), v6(Facts { length: Some(80), ..tcp(40_000, 22, S) })),
            (Some(Style::Connect), Facts { options: TcpOptions::Present { bytes: 20, system: true }, ..tcp(40_000, 22, S) }),
            (Some(Style::Fin), tcp(40_000, 22, F)),
            (Some(Style::Fin), tcp(40_000, 45_000, F)),
            (Some(Style::Null), tcp(40_000, 22, 0)),
            (Some(Style::Null), tcp(80, 45_000, 0)),
            (Some(Style::Xmas), tcp(40_000, 22, F | P | U)),
            (Some(Style::Ack), tcp(40_000, 22, A)),
            (Some(Style::Maimon), tcp(40_000, 22, F | A)),
            (None, Facts { flags: None, ..tcp(40_000, 22, 0) }),
            (Some(Style::Udp), udp(40_000, 161)),
            (Some(Style::Udp), udp(53, 161)),
            (Some(Style::Udp), Facts { protocol: Protocol::UDPLITE, ..udp(40_000, 161) }),
            (Some(Style::Icmp), icmp(13)),
            (Some(Style::Icmp), icmp(17)),
            (Some(Style::Icmp), icmp6(139)),
            (None, packet(Protocol::GRE)),
            (None, Facts { source_port: Some(4000), port: Some(5060), ..packet(Protocol::SCTP) }),
        ];
        for (n, (style, facts)) in table.into_iter().enumerate() {
            let Reading::Evidence(Act::Probe(probe), trust) = facts.read(EPHEMERAL) else {
                panic!("row {n}: {facts:?} is no probe");
            };
            assert_eq!((probe.style, trust), (style, Trust::Spoofable), "row {n}: {facts:?}");
            assert_eq!((probe.protocol, probe.port, probe.flags), (facts.protocol, facts.port, facts.flags), "row {n}");
        }
    }

    fn style(facts: Facts) -> Option<Style> {
        match facts.read(EPHEMERAL) {
            Reading::Evidence(Act::Probe(probe), _) => probe.style,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn masscan_is_known_by_its_identification_or_its_bare_syn() {
        // Seen on the wire: masscan 1.3.2 to 10.77.0.2, port 3001.
        let seen = Facts {
            length: Some(40),
            ttl: Some(255),
            window: Some(1024),
            ip_id: Some(39_030),
            sequence: Some(4_064_383_949),
            options: TcpOptions::Absent,
            ..to("10.77.0.2", tcp(50_757, 3001, S))
        };
        assert_eq!(style(seen), Some(Style::Masscan));
        let identified = Facts { options: TcpOptions::Present { bytes: 4, system: false }, length: Some(44), ttl: None, ..seen };
        assert_eq!(style(identified), Some(Style::Masscan));
        assert_eq!(style(Facts { ip_id: Some(39_031), ..identified }), Some(Style::Syn));
        // A log line has no sequence number as a rule; far away the TTL has lost some hops.
        let logged = Facts { sequence: None, ttl: Some(238), options: TcpOptions::Unknown, ..seen };
        assert_eq!(style(logged), Some(Style::Masscan));
        assert_eq!(style(Facts { ttl: Some(57), ..logged }), Some(Style::Syn));
        assert_eq!(style(Facts { window: Some(512), ..logged }), Some(Style::Syn));
        assert_eq!(style(Facts { length: Some(44), ..logged }), Some(Style::Syn));
    }

    #[test]
    fn mirai_and_topera() {
        let mirai = Facts { sequence: Some(0xC000_0201), length: Some(40), ..tcp(40_000, 23, S) };
        assert_eq!(style(mirai), Some(Style::Mirai));
        assert_eq!(style(Facts { sequence: Some(0xC000_0202), ..mirai }), Some(Style::Syn));
        let topera = Facts { extension_headers: 7, ..v6(tcp(40_000, 23, S)) };
        assert_eq!(style(topera), Some(Style::Topera));
        assert_eq!(style(Facts { extension_headers: 6, ..topera }), Some(Style::Syn));
    }

    #[test]
    fn what_was_let_through_speaks_for_its_sender() {
        let reached = |facts: Facts| Facts { handling: Handling::Passed, ..facts }.read(EPHEMERAL);
        let expected = |protocol, port| Reading::Evidence(Act::Reached { protocol, port: Some(port) }, Trust::Spoofable);
        assert_eq!(reached(tcp(40_000, 22, S)), expected(Protocol::TCP, 22));
        assert_eq!(reached(udp(40_000, 53)), expected(Protocol::UDP, 53));
        assert_eq!(reached(udp(53, 45_000)), Reading::Harmless(Harmless::Stray));
        assert_eq!(reached(packet(Protocol::GRE)), Reading::Harmless(Harmless::Stray));
        assert_eq!(reached(tcp(40_000, 22, F)), Reading::Harmless(Harmless::Stray));
    }

    #[test]
    fn only_an_acknowledged_segment_of_an_established_connection_has_a_true_source() {
        let trust = |facts: Facts| match (Facts { established: true, ..facts }).read(EPHEMERAL) {
            Reading::Evidence(_, trust) => trust,
            other => panic!("{other:?}"),
        };
        assert_eq!(trust(tcp(40_000, 22, A | P)), Trust::Handshake);
        assert_eq!(trust(tcp(40_000, 22, S)), Trust::Spoofable);
        assert_eq!(trust(udp(40_000, 161)), Trust::Spoofable);
    }

    #[test]
    fn every_reason_has_its_place_and_its_own_words() {
        let mut words: Vec<_> = Harmless::ALL.map(Harmless::word).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Harmless::ALL.len());
        for (n, why) in Harmless::ALL.into_iter().enumerate() {
            assert_eq!(n, why as usize);
        }
    }
}
