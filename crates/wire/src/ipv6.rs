//! The IPv6 header (RFC 8200 §3) and the walk over its extension headers (§4). Never walks more than sixteen.

use crate::{Fragment, Malformed};
use model::net::Protocol;
use std::net::Ipv6Addr;

/// Bytes of the fixed part.
pub const FIXED_BYTES: usize = 40;
/// How many extension headers are walked. Linux and real senders stay under eight; Topera sends dozens.
pub const WALKED_MAX: usize = 16;

/// Hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Routing header.
pub const ROUTING: u8 = 43;
/// Fragment header.
pub const FRAGMENT: u8 = 44;
/// Destination options.
pub const DESTINATION: u8 = 60;
/// Mobility header, Host Identity Protocol, Shim6: laid out like options (RFC 6564), rarely seen.
const OPTION_LIKE: [u8; 3] = [135, 139, 140];

/// A checked view of one header and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Header<'b> {
    fixed: &'b [u8; FIXED_BYTES],
    payload: &'b [u8],
}

/// Where the extension headers end.
#[derive(Debug, Clone, Copy)]
pub struct Upper<'b> {
    /// The first protocol that is no extension header, or the extension header at which the walk had to stop.
    pub protocol: Protocol,
    /// How many extension headers (hop-by-hop, routing, destination options) were passed.
    pub extension_headers: u8,
    /// Its place in a fragmented datagram.
    pub fragment: Fragment,
    /// The upper protocol's bytes, as far as they were captured; `None` if the walk had to stop or this is a later fragment.
    pub payload: Option<&'b [u8]>,
}

impl<'b> Header<'b> {
    /// Checks the header at the start of `bytes`. Bytes past the packet's own length are left out.
    /// A length of 0 before hop-by-hop options (jumbograms, and packets that the kernel joined) means "to the end".
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
            return Err(match bytes.first() {
                Some(first) if first >> 4 != 6 => Malformed::Version(first >> 4),
                _ => Malformed::Short,
            });
        };
        if fixed[0] >> 4 != 6 {
            return Err(Malformed::Version(fixed[0] >> 4));
        }
        let claimed = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let end = if claimed == 0 && fixed[6] == HOP_BY_HOP { rest.len() } else { rest.len().min(claimed) };
        Ok(Header { fixed, payload: rest.get(..end).unwrap_or_default() })
    }

    /// Source address.
    pub fn source(&self) -> Ipv6Addr {
        address(self.fixed, 8)
    }

    /// Destination address.
    pub fn target(&self) -> Ipv6Addr {
        address(self.fixed, 24)
    }

    /// Hop limit.
    pub fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// The flow label.
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.fixed[1] & 0x0f, self.fixed[2], self.fixed[3]])
    }

    /// Traffic class: DSCP and ECN.
    pub fn service(&self) -> u8 {
        self.fixed[0] << 4 | self.fixed[1] >> 4
    }

    /// The first header after this one.
    pub fn next_header(&self) -> Protocol {
        Protocol(self.fixed[6])
    }

    /// The length of what follows, as the packet says itself.
    pub fn payload_length(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// What follows the fixed header, as far as it was captured.
    pub fn payload(&self) -> &'b [u8] {
        self.payload
    }

    /// Walks the extension headers.
    #[inline]
    pub fn upper(&self) -> Upper<'b> {
        let next = self.fixed[6];
        if next == Protocol::TCP.0 || next == Protocol::UDP.0 || next == Protocol::ICMPV6.0 {
            let payload = Some(self.payload);
            return Upper { protocol: Protocol(next), extension_headers: 0, fragment: Fragment::Whole, payload };
        }
        self.walk()
    }

    fn walk(&self) -> Upper<'b> {
        let mut next = self.fixed[6];
        let mut rest = self.payload;
        let mut extension_headers = 0;
        let mut fragment = Fragment::Whole;
        for _ in 0..WALKED_MAX {
            if !is_extension(next) {
                return Upper { protocol: Protocol(next), extension_headers, fragment, payload: Some(rest) };
            }
            let Some((header, after)) = split(next, rest) else { break };
            extension_headers += u8::from(matches!(next, HOP_BY_HOP | ROUTING | DESTINATION));
            if next == FRAGMENT {
                let field = u16::from_be_bytes([header[2], header[3]]);
                // A second header that says "whole" does not undo the first.
                match Fragment::new(field >> 3, field & 1 != 0) {
                    Fragment::Whole => (),
                    part => fragment = part,
                }
            }
            next = header[0];
            if fragment == Fragment::Later {
                break;
            }
            rest = after;
        }
        let payload = (fragment != Fragment::Later && !is_extension(next)).then_some(rest);
        Upper { protocol: Protocol(next), extension_headers, fragment, payload }
    }
}

fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) || next == Protocol::AH.0 || OPTION_LIKE.contains(&next)
}

/// The first four bytes of an extension header, and what follows it. `None` if it is cut short.
fn split(next: u8, bytes: &[u8]) -> Option<(&[u8; 4], &[u8])> {
    let header: &[u8; 4] = bytes.first_chunk()?;
    let length = match next {
        FRAGMENT => 8,
        // RFC 4302 §2.2: in units of 4 bytes, minus 2.
        _ if next == Protocol::AH.0 => (usize::from(header[1]) + 2) * 4,
        _ => (usize::from(header[1]) + 1) * 8,
    };
    Some((header, bytes.get(length..)?))
}

fn address(fixed: &[u8; FIXED_BYTES], at: usize) -> Ipv6Addr {
    let bytes: [u8; 16] = std::array::from_fn(|n| fixed[at + n]);
    Ipv6Addr::from(bytes)
}
