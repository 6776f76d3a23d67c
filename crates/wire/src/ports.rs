//! Headers that are, for us, two ports and what follows: UDP (RFC 768), UDP-Lite (RFC 3828), SCTP (RFC 9260 §3.1). Never checks their checksums.

/// Bytes of a UDP or UDP-Lite header.
pub const UDP_BYTES: usize = 8;
/// Bytes of SCTP's common header.
pub const SCTP_BYTES: usize = 12;

/// One datagram, as far as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'b> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub port: u16,
    /// What follows the header, as far as it was captured.
    pub data: &'b [u8],
}

impl<'b> Datagram<'b> {
    /// Reads a header of `header_bytes`; `None` without both ports.
    #[inline]
    pub fn parse(bytes: &'b [u8], header_bytes: usize) -> Option<Self> {
        let ports: &[u8; 4] = bytes.first_chunk()?;
        Some(Datagram {
            source_port: u16::from_be_bytes([ports[0], ports[1]]),
            port: u16::from_be_bytes([ports[2], ports[3]]),
            data: bytes.get(header_bytes..).unwrap_or_default(),
        })
    }
}
