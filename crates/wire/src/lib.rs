//! Packet bytes to packets: checked once, one module a header. Allocates nothing when reading, decides nothing, and no byte sequence makes it panic.

pub mod build;
pub mod checksum;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod packet;
pub mod ports;
pub mod tcp;

/// Why bytes are no IP packet at all. A packet that is merely cut short is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Not even the fixed part of the IP header is there.
    Short,
    /// The version is neither 4 nor 6.
    Version(u8),
    /// The IPv4 header claims fewer than 20 bytes for itself.
    HeaderLength(u8),
    /// The IPv4 packet claims fewer bytes than its own header.
    TotalLength(u16),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Short => write!(f, "too short for an IP header"),
            Malformed::Version(version) => write!(f, "IP version {version}"),
            Malformed::HeaderLength(bytes) => write!(f, "an IPv4 header of {bytes} bytes"),
            Malformed::TotalLength(bytes) => write!(f, "an IPv4 packet of {bytes} bytes, shorter than its header"),
        }
    }
}

impl std::error::Error for Malformed {}

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

impl Fragment {
    /// From the offset (in units of 8 bytes) and the "more fragments" bit.
    fn new(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Fragment::Whole,
            (0, true) => Fragment::First,
            _ => Fragment::Later,
        }
    }
}
