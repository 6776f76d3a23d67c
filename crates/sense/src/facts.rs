//! What one packet says, however it was seen (log line or the packet itself), and what that is evidence of.
//! Never decides whom to block.

use model::event::{Act, TcpFlags, Trust};
use model::net::Protocol;
use std::net::IpAddr;

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
    /// TCP window, as sent.
    pub window: Option<u16>,
    /// TCP sequence number.
    pub sequence: Option<u32>,
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
