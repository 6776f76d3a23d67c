//! The TCP header (RFC 9293 §3.1) and its options. Never follows an option past the header.

use model::event::TcpFlags;

/// Bytes of the fixed part.
pub const FIXED_BYTES: usize = 20;

/// End of the option list.
pub const END: u8 = 0;
/// One byte of padding.
pub const NOP: u8 = 1;
/// Maximum segment size.
pub const MSS: u8 = 2;
/// Window scale (RFC 7323).
pub const WINDOW_SCALE: u8 = 3;
/// Selective acknowledgments permitted (RFC 2018).
pub const SACK_PERMITTED: u8 = 4;
/// Timestamps (RFC 7323).
pub const TIMESTAMPS: u8 = 8;

/// One segment, as far as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'b> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub port: u16,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// What follows the sequence number; `None` if the capture ends before.
    pub rest: Option<Rest<'b>>,
}

/// The header after the sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest<'b> {
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window, as sent.
    pub window: u16,
    /// Whether one of the bits is set that mean nothing (yet).
    pub reserved: bool,
    /// Urgent pointer.
    pub urgent: u16,
    /// Bytes of options that the header claims; `None` if it claims fewer than its own fixed part.
    pub options_bytes: Option<u8>,
    /// The options; `None` if not all of them were captured.
    pub options: Option<&'b [u8]>,
    /// The data, as far as it was captured.
    pub data: &'b [u8],
}

impl<'b> Segment<'b> {
    /// Reads what is there; `None` without both ports.
    #[inline]
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
            return Segment::parse_cut(bytes);
        };
        let header_bytes = usize::from(fixed[12] >> 4) * 4;
        let rest = Rest {
            acknowledgment: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            flags: TcpFlags(fixed[13]),
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            reserved: fixed[12] & 0x0f != 0,
            urgent: u16::from_be_bytes([fixed[18], fixed[19]]),
            options_bytes: header_bytes.checked_sub(FIXED_BYTES).map(|bytes| bytes as u8),
            options: bytes.get(FIXED_BYTES..header_bytes),
            data: bytes.get(header_bytes.max(FIXED_BYTES)..).unwrap_or_default(),
        };
        Some(Segment {
            source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
            port: u16::from_be_bytes([fixed[2], fixed[3]]),
            sequence: Some(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
            rest: Some(rest),
        })
    }

    /// Fewer than 20 bytes: the ports, and the sequence number if it is there.
    fn parse_cut(bytes: &[u8]) -> Option<Self> {
        let (ports, rest) = bytes.split_first_chunk::<4>()?;
        Some(Segment {
            source_port: u16::from_be_bytes([ports[0], ports[1]]),
            port: u16::from_be_bytes([ports[2], ports[3]]),
            sequence: rest.first_chunk().map(|sequence| u32::from_be_bytes(*sequence)),
            rest: None,
        })
    }
}

/// A set of option kinds, 0 to 31 (all that have ever been in use); those above count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u32);

impl Kinds {
    /// The kinds in these options, up to the end mark or the first with an impossible length.
    pub fn of(options: &[u8]) -> Self {
        options_in(options).fold(Kinds::default(), |kinds, (kind, _)| Kinds(kinds.0 | 1 << kind.min(31)))
    }

    /// Whether this kind is among them.
    pub const fn has(self, kind: u8) -> bool {
        self.0 & (1 << if kind > 31 { 31 } else { kind }) != 0
    }

    /// Whether an operating system's own stack made them: packet tools send none, or the maximum segment size alone.
    pub const fn are_systems(self) -> bool {
        self.has(SACK_PERMITTED) || self.has(TIMESTAMPS) || self.has(WINDOW_SCALE)
    }
}

/// The options and their values, up to the end mark or the first with an impossible length.
pub fn options_in(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&kind, after) = rest.split_first()?;
        let (value, after) = match kind {
            END => return None,
            NOP => (&[][..], after),
            _ => {
                let length = usize::from(*after.first()?);
                (rest.get(2..length)?, rest.get(length..)?)
            }
        };
        rest = after;
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_walked_to_the_first_bad_one() {
        let linux = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        let kinds: Vec<_> = options_in(&linux).map(|(kind, value)| (kind, value.len())).collect();
        assert_eq!(kinds, [(MSS, 2), (SACK_PERMITTED, 0), (TIMESTAMPS, 8), (NOP, 0), (WINDOW_SCALE, 1)]);
        assert!(Kinds::of(&linux).are_systems());
        assert!(!Kinds::of(&linux[..4]).are_systems());
        for bad in [&[2, 0, 4, 2][..], &[2, 1, 4, 2], &[2, 200, 4, 2], &[2], &[0, 4, 2]] {
            assert_eq!(Kinds::of(bad), Kinds::default(), "{bad:?}");
        }
        assert!(Kinds::of(&[254, 4, 0, 0]).has(253));
    }

    #[test]
    fn a_cut_segment_gives_what_is_there() {
        let whole: Vec<u8> = (0..20).collect();
        assert_eq!(Segment::parse(&whole[..3]), None);
        let ports = Segment::parse(&whole[..7]).unwrap();
        assert_eq!((ports.source_port, ports.port, ports.sequence, ports.rest), (0x0001, 0x0203, None, None));
        assert_eq!(Segment::parse(&whole[..19]).unwrap().sequence, Some(0x0405_0607));
        // An offset of 12 >> 4 = 0 words.
        assert_eq!(Segment::parse(&whole).unwrap().rest.unwrap().options_bytes, None);
    }
}
