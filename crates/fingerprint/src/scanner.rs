//! Scanners that write their packets themselves. What they write is theirs, not their system's.

use crate::syn::{Piece, Syn};

/// zmap's identification, in every packet that it makes.
const ZMAP_ID: u16 = 54_321;
/// What all segments with options have by which `nmap -O` tells systems apart.
const NMAP_TIMESTAMPS: (u32, u32) = (u32::MAX, 0);
/// Bytes of the one option that nmap sends.
const MSS_BYTES: u32 = 4;

/// What a scanner's SYN has for options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Options {
    None,
    /// The maximum segment size alone; `None` if the source doesn't tell which.
    Mss(Option<u16>),
    /// With the timestamp of nmap's questions about systems.
    NmapsQuestion,
    /// Only systems speak of others.
    Others,
}

impl Options {
    fn of(syn: &Syn<'_>) -> Options {
        match syn.pieces() {
            Some((pieces, values)) => match pieces.as_slice() {
                [] if !values.is_bad => Options::None,
                [Piece::Mss] if !values.is_bad => Options::Mss(values.mss),
                _ if values.timestamps == Some(NMAP_TIMESTAMPS) => Options::NmapsQuestion,
                _ => Options::Others,
            },
            // Four bytes have room for nothing else that anybody sends.
            None => match syn.behind_header() {
                Some(0) => Options::None,
                Some(MSS_BYTES) => Options::Mss(None),
                _ => Options::Others,
            },
        }
    }
}

/// Whose packet this is, if it is a scanner's: what tells them apart was read off the wire.
pub fn of(syn: &Syn<'_>) -> Option<&'static str> {
    if syn.window == 65_535 && syn.ip_id == Some(ZMAP_ID) {
        return Some("zmap");
    }
    if syn.dont_fragment == Some(true) || syn.data {
        return None;
    }
    match (syn.window, Options::of(syn)) {
        (_, Options::NmapsQuestion) => Some("nmap -O"),
        // No option or this one, by version; the highest time to live.
        (1_024, Options::None) if syn.ttl > 200 => Some("masscan"),
        (1_024, Options::Mss(_)) if syn.ttl > 200 && !syn.is_v6 => Some("masscan"),
        // Windows of 1024 to 4096 over its versions; a time to live from 37 to 59, with IPv6 the highest.
        (1_024 | 2_048 | 3_072 | 4_096, Options::Mss(None | Some(1_460))) if syn.ttl < 64 || syn.is_v6 => Some("nmap -sS"),
        (512, Options::None) if syn.ttl <= 64 => Some("hping"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syn::tests::{LINUX, syn};

    #[test]
    fn scanners_are_told_from_systems() {
        let nmap = Syn { dont_fragment: Some(false), ..syn(1_024, &[2, 4, 5, 180]) };
        assert_eq!(of(&nmap), Some("nmap -sS"));
        assert_eq!(of(&Syn { window: 5_840, ..nmap }), None);
        assert_eq!(of(&Syn { options: Some(&[2, 4, 2, 0]), ..nmap }), None);
        assert_eq!(of(&Syn { dont_fragment: Some(true), ..nmap }), None);
        // A log line without options: their length says enough.
        assert_eq!(of(&Syn { options: None, length: 44, ..nmap }), Some("nmap -sS"));
        assert_eq!(of(&Syn { options: None, length: 60, ..nmap }), None);
        let bare = Syn { options: Some(&[]), length: 40, ..nmap };
        assert_eq!((of(&Syn { ttl: 241, ..bare }), of(&bare)), (Some("masscan"), None));
        assert_eq!((of(&Syn { ttl: 241, ..nmap }), of(&Syn { ttl: 120, ..nmap })), (Some("masscan"), None));
        assert_eq!((of(&Syn { window: 512, ..bare }), of(&Syn { window: 512, ttl: 128, ..bare })), (Some("hping"), None));
        // nmap's first question about a system, and its packet by IPv6.
        let question = [3, 3, 10, 1, 2, 4, 1, 9, 8, 10, 255, 255, 255, 255, 0, 0, 0, 0, 4, 2];
        assert_eq!(of(&Syn { window: 31_337, options: Some(&question), ..nmap }), Some("nmap -O"));
        let v6 = Syn { is_v6: true, ttl: 255, dont_fragment: None, ..nmap };
        assert_eq!((of(&v6), of(&Syn { options: Some(&[]), ..v6 })), (Some("nmap -sS"), Some("masscan")));
        assert_eq!(of(&Syn { ip_id: Some(54_321), window: 65_535, ..bare }), Some("zmap"));
        assert_eq!(of(&syn(64_240, &LINUX)), None);
    }
}
