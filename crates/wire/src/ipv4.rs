//! The IPv4 header (RFC 791 §3.1). Never looks past the packet's own length.

use crate::{Fragment, Malformed};
use model::net::Protocol;
use std::net::Ipv4Addr;

/// Bytes of the fixed part.
pub const FIXED_BYTES: usize = 20;

/// A checked view of one header and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Header<'b> {
    fixed: &'b [u8; FIXED_BYTES],
    options: &'b [u8],
    payload: Option<&'b [u8]>,
}

impl<'b> Header<'b> {
    /// Checks the header at the start of `bytes`. Bytes past the packet's own length (Ethernet padding) are left out.
    /// A length of 0 means "to the end": the kernel writes it into packets that it joined past 64 KiB.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; FIXED_BYTES] = bytes.first_chunk().ok_or(Malformed::Short)?;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Version(fixed[0] >> 4));
        }
        let header_bytes = usize::from(fixed[0] & 15) * 4;
        if header_bytes < FIXED_BYTES {
            return Err(Malformed::HeaderLength(header_bytes as u8));
        }
        let total = u16::from_be_bytes([fixed[2], fixed[3]]);
        if total != 0 && usize::from(total) < header_bytes {
            return Err(Malformed::TotalLength(total));
        }
        let end = if total == 0 { bytes.len() } else { bytes.len().min(usize::from(total)) };
        Ok(Header {
            fixed,
            options: bytes.get(FIXED_BYTES..header_bytes.min(bytes.len())).unwrap_or_default(),
            payload: bytes.get(header_bytes..end),
        })
    }

    /// Source address.
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from([self.fixed[12], self.fixed[13], self.fixed[14], self.fixed[15]])
    }

    /// Destination address.
    pub fn target(&self) -> Ipv4Addr {
        Ipv4Addr::from([self.fixed[16], self.fixed[17], self.fixed[18], self.fixed[19]])
    }

    /// What follows.
    pub fn protocol(&self) -> Protocol {
        Protocol(self.fixed[9])
    }

    /// Time to live, in hops.
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Type of service: DSCP and ECN.
    pub fn service(&self) -> u8 {
        self.fixed[1]
    }

    /// Identification.
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// The packet's length as it says itself, header included.
    pub fn total_length(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Whether it must not be fragmented.
    pub fn dont_fragment(&self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// The three bits beside the fragment's offset: 4 reserved, 2 don't fragment, 1 more fragments.
    pub fn fragment_bits(&self) -> u8 {
        self.fixed[6] >> 5
    }

    /// Its place in a fragmented datagram.
    pub fn fragment(&self) -> Fragment {
        let field = u16::from_be_bytes([self.fixed[6], self.fixed[7]]);
        Fragment::new(field & 0x1FFF, field & 0x2000 != 0)
    }

    /// The options, as far as they were captured.
    pub fn options(&self) -> &'b [u8] {
        self.options
    }

    /// What follows the header, as far as it was captured; `None` if the capture ends within the options.
    pub fn payload(&self) -> Option<&'b [u8]> {
        self.payload
    }
}
