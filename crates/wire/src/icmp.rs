//! ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code and what follows. Never reads the packet that an error quotes.

/// Bytes of the header: type, code, checksum, and four whose meaning depends on the type.
pub const HEADER_BYTES: usize = 8;

/// One message, as far as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'b> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The header's last four bytes as two numbers: of an echo its identifier and sequence number.
    pub rest: Option<(u16, u16)>,
    /// What follows the header, as far as it was captured.
    pub data: &'b [u8],
}

impl<'b> Message<'b> {
    /// Reads it; `None` without type and code.
    #[inline]
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let [kind, code, ..] = *bytes else { return None };
        let rest = bytes.get(4..HEADER_BYTES).and_then(|rest| match *rest {
            [a, b, c, d] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => None,
        });
        Some(Message { kind, code, rest, data: bytes.get(HEADER_BYTES..).unwrap_or_default() })
    }
}
