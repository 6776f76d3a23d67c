//! Scanners that write their packets themselves. What they write is theirs, not their system's.

use crate::syn::{Piece, Syn};

/// zmap's identification, in every packet it makes.
const ZMAP_ID: u16 = 54_321;

/// Whose packet this is, if it is a scanner's.
pub fn of(syn: &Syn<'_>) -> Option<&'static str> {
    let (pieces, values) = syn.pieces();
    // Only systems speak of these; none of the three does.
    let is_plain = pieces.iter().all(|piece| matches!(piece, Piece::Mss | Piece::Nop | Piece::End(_)));
    let has_df = syn.dont_fragment.unwrap_or(false);
    match syn.window {
        65_535 if syn.ip_id == Some(ZMAP_ID) => Some("zmap"),
        _ if !is_plain || has_df || syn.data => None,
        // masscan: no option or this one, by version; the highest time to live.
        1_024 if syn.ttl > 200 && matches!(pieces.as_slice(), [] | [Piece::Mss]) => Some("masscan"),
        // nmap: this one option; windows of 1024 to 4096 over its versions; a time to live from 37 to 59.
        1_024 | 2_048 | 3_072 | 4_096 if syn.ttl < 64 && pieces == [Piece::Mss] && values.mss == Some(1_460) => Some("nmap -sS"),
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
        assert_eq!(of(&Syn { options: &[2, 4, 2, 0], ..nmap }), None);
        assert_eq!(of(&Syn { dont_fragment: Some(true), ..nmap }), None);
        let bare = Syn { options: &[], ..nmap };
        assert_eq!((of(&Syn { ttl: 241, ..bare }), of(&bare)), (Some("masscan"), None));
        assert_eq!((of(&Syn { ttl: 241, ..nmap }), of(&Syn { ttl: 120, ..nmap })), (Some("masscan"), None));
        assert_eq!(of(&Syn { ip_id: Some(54_321), window: 65_535, ..bare }), Some("zmap"));
        assert_eq!(of(&syn(64_240, &LINUX)), None);
    }
}
