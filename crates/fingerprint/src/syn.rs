//! What a fingerprint is taken of.

use model::event::TcpFlags;
use smallvec::SmallVec;
use wire::tcp::{END, MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

/// One TCP segment's headers, as far as the source tells; `None` is what it doesn't, and fits nothing that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syn<'p> {
    /// Whether it came by IPv6.
    pub is_v6: bool,
    /// Time to live or hop limit, as it arrived.
    pub ttl: u8,
    /// The whole packet's length in bytes.
    pub length: u32,
    /// Bytes of IPv4 options or IPv6 extension headers.
    pub ip_options: u16,
    /// IPv4's "don't fragment".
    pub dont_fragment: Option<bool>,
    /// IPv4's identification.
    pub ip_id: Option<u16>,
    /// Whether IPv6's flow label is set.
    pub flow: bool,
    /// Whether the reserved bit of IPv4's flags or one of TCP's is set.
    pub reserved: bool,
    /// Whether the IP header says that explicit congestion notification is spoken.
    pub ecn: bool,
    /// TCP's flags.
    pub flags: TcpFlags,
    /// TCP's window.
    pub window: u16,
    /// TCP's options, as they stand in the packet.
    pub options: Option<&'p [u8]>,
    /// TCP's sequence number.
    pub sequence: Option<u32>,
    /// TCP's acknowledgment number.
    pub acknowledgment: Option<u32>,
    /// TCP's urgent pointer.
    pub urgent: Option<u16>,
    /// Whether it carries data.
    pub data: bool,
}

/// One of a segment's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// The end, and so many bytes behind it.
    End(u8),
    /// Padding.
    Nop,
    /// The maximum segment size.
    Mss,
    /// The window's scale.
    Scale,
    /// Selective acknowledgment is permitted.
    SackPermitted,
    /// A selective acknowledgment.
    Sack,
    /// Timestamps.
    Timestamps,
    /// Another.
    Other(u8),
}

/// The options in their order; more than real packets have takes memory of its own.
pub(crate) type Layout = SmallVec<[Piece; 32]>;

/// What the options say beside their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Values {
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    /// Our own timestamp, and the peer's.
    pub timestamps: Option<(u32, u32)>,
    /// A length that can't be.
    pub is_bad: bool,
    /// Bytes other than zero behind the end.
    pub trails: bool,
}

/// A selective acknowledgment's kind (RFC 2018).
const SACK: u8 = 5;

impl Syn<'_> {
    /// Whether a connection begins with it: SYN, and neither ACK nor RST nor FIN.
    pub fn is_first(&self) -> bool {
        self.flags.is_first()
    }

    /// The options in their order, and what they say; `None` if they are not known.
    pub(crate) fn pieces(&self) -> Option<(Layout, Values)> {
        let (mut pieces, mut values, mut rest) = (Layout::new(), Values::default(), self.options?);
        while let Some((&kind, after)) = rest.split_first() {
            if kind == END {
                pieces.push(Piece::End(after.len().min(40) as u8));
                values.trails = after.iter().any(|byte| *byte != 0);
                break;
            }
            if kind == NOP {
                pieces.push(Piece::Nop);
                rest = after;
                continue;
            }
            let length = after.first().copied().map_or(0, usize::from);
            let (Some(value), Some(next)) = (rest.get(2..length), rest.get(length..)) else {
                values.is_bad = true;
                break;
            };
            let piece = match kind {
                MSS => Piece::Mss,
                WINDOW_SCALE => Piece::Scale,
                SACK_PERMITTED => Piece::SackPermitted,
                SACK => Piece::Sack,
                TIMESTAMPS => Piece::Timestamps,
                other => Piece::Other(other),
            };
            match (piece, value) {
                (Piece::Mss, [high, low]) => values.mss = Some(u16::from_be_bytes([*high, *low])),
                (Piece::Scale, [scale]) => values.scale = Some(*scale),
                (Piece::Timestamps, [a, b, c, d, e, f, g, h]) => {
                    values.timestamps = Some((u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h])));
                }
                (Piece::Mss | Piece::Scale | Piece::Timestamps, _) => values.is_bad = true,
                (Piece::SackPermitted, value) => values.is_bad |= !value.is_empty(),
                _ => {}
            }
            pieces.push(piece);
            rest = next;
        }
        Some((pieces, values))
    }

    /// How many bytes of options and data stand behind TCP's fixed header.
    pub(crate) fn behind_header(&self) -> Option<u32> {
        let headers = if self.is_v6 { 60 } else { 40 };
        self.length.checked_sub(headers + u32::from(self.ip_options))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What Linux sends: 1460, SACK, timestamps, padding, scale 7.
    pub const LINUX: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 9, 9, 9, 0, 0, 0, 0, 1, 3, 3, 7];

    /// A SYN from 7 hops away.
    pub fn syn(window: u16, options: &[u8]) -> Syn<'_> {
        Syn {
            is_v6: false,
            ttl: 57,
            length: 40 + options.len() as u32,
            ip_options: 0,
            dont_fragment: Some(true),
            ip_id: Some(0x1234),
            flow: false,
            reserved: false,
            ecn: false,
            flags: TcpFlags(TcpFlags::SYN),
            window,
            options: Some(options),
            sequence: Some(7),
            acknowledgment: Some(0),
            urgent: Some(0),
            data: false,
        }
    }

    #[test]
    fn options_come_in_their_order_with_their_values() {
        let (pieces, values) = syn(1, &LINUX).pieces().unwrap();
        assert_eq!(pieces.as_slice(), [Piece::Mss, Piece::SackPermitted, Piece::Timestamps, Piece::Nop, Piece::Scale]);
        assert_eq!(values, Values { mss: Some(1_460), scale: Some(7), timestamps: Some((0x0009_0909, 0)), is_bad: false, trails: false });
        let (pieces, values) = syn(1, &[1, 0, 0, 9]).pieces().unwrap();
        assert_eq!((pieces.as_slice(), values.trails), (&[Piece::Nop, Piece::End(2)][..], true));
        for bad in [&[2, 0][..], &[2], &[2, 9, 1], &[2, 3, 1], &[4, 3, 0]] {
            assert!(syn(1, bad).pieces().unwrap().1.is_bad, "{bad:?}");
        }
    }
}
