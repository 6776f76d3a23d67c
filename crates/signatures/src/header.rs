//! What signatures look at: the headers of one packet, as far as its source tells. Never a packet's bytes.

use model::event::TcpFlags;
use model::net::Protocol;
use std::net::IpAddr;

/// The headers of one packet. What the source does not tell is `None`, and a test of that never holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub target: IpAddr,
    /// IP protocol, after IPv6 extension headers.
    pub protocol: Protocol,
    /// Source port.
    pub source_port: Option<u16>,
    /// Destination port.
    pub port: Option<u16>,
    /// TCP flags.
    pub flags: Option<TcpFlags>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// An echo's identifier and sequence number.
    pub echo: Option<(u16, u16)>,
    /// The whole packet's length in bytes.
    pub length: Option<u32>,
    /// How many IPv6 extension headers stand before the transport header.
    pub extension_headers: u8,
    /// Time to live, or hop limit.
    pub ttl: Option<u8>,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// Type of service, or traffic class.
    pub service: Option<u8>,
    /// IPv4's three bits beside the fragment's offset: 4 reserved, 2 don't fragment, 1 more fragments.
    pub fragment_bits: Option<u8>,
    /// IPv4 options.
    pub ip_options: Option<IpOptions>,
    /// TCP window, as sent.
    pub window: Option<u16>,
    /// TCP sequence number.
    pub sequence: Option<u32>,
    /// TCP acknowledgment number.
    pub acknowledgment: Option<u32>,
    /// How many bytes of payload it can have, least and most: a log line seldom tells how long a TCP header was.
    pub payload: Option<(u32, u32)>,
}

impl Header {
    /// The answer's direction: ends exchanged.
    pub fn reversed(&self) -> Header {
        Header { source: self.target, target: self.source, source_port: self.port, port: self.source_port, ..*self }
    }
}

/// Kinds of IPv4 options that one packet may have, distinct; more are left out.
const KINDS: usize = 8;

/// The kinds of IPv4 options in a packet (RFC 791 §3.1: the whole type byte).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpOptions {
    kinds: [u8; KINDS],
    count: u8,
    bytes: u8,
}

impl IpOptions {
    /// Reads options as they stand in the header, up to the end mark or the first with an impossible length.
    pub fn of(bytes: &[u8]) -> IpOptions {
        let mut found = IpOptions { bytes: bytes.len().min(usize::from(u8::MAX)) as u8, ..IpOptions::default() };
        let mut rest = bytes;
        while let [kind, behind @ ..] = rest {
            found.add(*kind);
            rest = match *kind {
                0 => break,
                1 => behind,
                _ => match behind.first().map(|length| usize::from(*length)) {
                    Some(length @ 2..) => rest.get(length..).unwrap_or_default(),
                    Some(_) | None => break,
                },
            };
        }
        found
    }

    fn add(&mut self, kind: u8) {
        if !self.has(kind)
            && let Some(place) = self.kinds.get_mut(usize::from(self.count))
        {
            *place = kind;
            self.count += 1;
        }
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> u8 {
        self.bytes
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this kind is among them.
    pub fn has(&self, kind: u8) -> bool {
        self.kinds.iter().take(usize::from(self.count)).any(|known| *known == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_to_the_end_mark_or_the_first_bad_one() {
        // Record route with room for one address, padded.
        let route = IpOptions::of(&[7, 7, 4, 0, 0, 0, 0, 0]);
        assert!(route.has(7) && route.has(0) && !route.has(131));
        let source_routed = IpOptions::of(&[1, 131, 7, 4, 10, 0, 0, 1, 148, 4, 0, 0]);
        assert!(source_routed.has(1) && source_routed.has(131) && source_routed.has(148));
        for bad in [&[131, 1, 7, 7][..], &[131], &[131, 0, 7], &[131, 200, 7]] {
            let options = IpOptions::of(bad);
            assert!(options.has(131) && !options.has(7), "{bad:?}");
        }
        let many: Vec<u8> = (130..150).flat_map(|kind| [kind, 2]).collect();
        assert!(IpOptions::of(&many).has(137) && !IpOptions::of(&many).has(138));
        assert!(IpOptions::of(&[]).is_empty());
    }
}
