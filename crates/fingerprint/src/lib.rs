//! Which operating system sent a SYN, by how it fills in the headers: fingerprints of p0f's formats, version 2 (and OpenBSD's `pf.os`) and
//! version 3, from the user's own files, and psad's `posf`. A scanner's own probe is told by name and never taken for a system.
//! A guess is no evidence: whoever writes his own packets writes any system's. Opens nothing, reads no clock.

mod number;
pub mod p0f2;
pub mod p0f3;
pub mod posf;
mod scanner;
mod syn;

pub use syn::{Piece, Syn};

use std::fmt;

/// Fingerprints of one file. At the bound the rest of the file is refused.
pub const FINGERPRINTS: usize = 16_384;
/// The furthest that a sender is taken to be away, in hops (as p0f's bound).
const HOPS: u8 = 35;
/// Bytes of a name that are kept.
const NAME_BYTES: usize = 80;

/// What is wrong with a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {text}")]
pub struct Problem {
    /// In which line, from 1.
    pub line: usize,
    /// What.
    pub text: String,
}

/// How sure a guess is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sureness {
    /// Something that fits a whole group, or all but a detail that routers change.
    Roughly,
    /// A fingerprint fits.
    Exactly,
}

/// Who a SYN is from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guess<'d> {
    /// A scanner's own packet, which says nothing of the system below it.
    Scanner(&'d str),
    /// A system.
    System {
        /// Its name and version, such as `Linux 3.11 and newer`.
        name: &'d str,
        /// How sure.
        sureness: Sureness,
        /// How many routers away it seems to be.
        hops: u8,
    },
}

impl fmt::Display for Guess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guess::Scanner(name) => write!(f, "{name} (a scanner's own packet)"),
            Guess::System { name, sureness: Sureness::Exactly, hops } => write!(f, "{name}, {hops} hops away"),
            Guess::System { name, sureness: Sureness::Roughly, hops } => write!(f, "perhaps {name}, {hops} hops away"),
        }
    }
}

/// All fingerprints, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    /// Of p0f 3.
    pub p0f3: p0f3::Database,
    /// Of p0f 2 and `pf.os`.
    pub p0f2: p0f2::Database,
}

impl Fingerprints {
    /// Who sent this. Packets other than a first SYN are nobody's.
    pub fn guess(&self, syn: &Syn<'_>) -> Option<Guess<'_>> {
        if !syn.is_first() {
            return None;
        }
        if let Some(scanner) = scanner::of(syn) {
            return Some(Guess::Scanner(scanner));
        }
        let newer = self.p0f3.guess(syn);
        if let Some(Guess::Scanner(_) | Guess::System { sureness: Sureness::Exactly, .. }) = newer {
            return newer;
        }
        let older = self.p0f2.guess(syn);
        match older {
            Some(Guess::Scanner(_) | Guess::System { sureness: Sureness::Exactly, .. }) => older,
            _ => newer.or(older),
        }
    }
}

/// A name for people: one line of printable characters, bounded.
fn name(parts: &[&str]) -> String {
    let words = parts.iter().flat_map(|part| part.split_whitespace());
    let mut name = words.collect::<Vec<_>>().join(" ").replace(|c: char| c.is_control(), "?");
    name.truncate(name.floor_char_boundary(NAME_BYTES));
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syn::tests::{LINUX, syn};
    use proptest::prelude::*;

    fn both() -> Fingerprints {
        let p0f3 = p0f3::read(
            "classes = unix\n[tcp:request]\nlabel = s:unix:Linux:3.11 and newer\nsig = *:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0\n",
        );
        let p0f2 =
            p0f2::read("S44:64:1:60:M*,S,T,N,W7: Linux:5::Linux 5 and newer\n65535:64:1:64:M*,N,W6,N,N,T,S,E,N: MacOS:X::Mac OS X\n");
        assert_eq!((p0f3.1, p0f2.1), (vec![], vec![]));
        Fingerprints { p0f3: p0f3.0, p0f2: p0f2.0 }
    }

    #[test]
    fn the_first_exact_answer_counts() {
        let both = both();
        let guess = |syn: &Syn<'_>| both.guess(syn).map(|guess| guess.to_string());
        let linux = syn(64_240, &LINUX);
        assert_eq!(guess(&linux).as_deref(), Some("Linux 5 Linux 5 and newer, 7 hops away"));
        assert_eq!(guess(&Syn { window: 29_200, ..linux }).as_deref(), Some("Linux 3.11 and newer, 7 hops away"));
        assert_eq!(guess(&Syn { window: 4_711, ..linux }), None);
    }

    proptest! {
        #[test]
        fn any_text_and_any_packet_is_borne(text in "([-0-9a-zA-Z*%+,:;=\\[\\]. \n]|sig = |label = |OS ){0,40}", options in prop::collection::vec(any::<u8>(), 0..40), window: u16, ttl: u8) {
            let (p0f3, _) = p0f3::read(&format!("[tcp:request]\nlabel = s:a:b:c\n{text}"));
            let (p0f2, _) = p0f2::read(&text);
            posf::read(&text);
            let any = Fingerprints { p0f3, p0f2 };
            any.guess(&Syn { ttl, ..syn(window, &options) });
            both().guess(&Syn { ttl, is_v6: true, ..syn(window, &options) });
        }
    }

    #[test]
    fn a_scanner_is_no_system_and_an_answer_is_no_syn() {
        let both = both();
        let nmap = Syn { dont_fragment: Some(false), ttl: 44, length: 44, ..syn(1_024, &[2, 4, 5, 180]) };
        assert!(matches!(both.guess(&nmap), Some(Guess::Scanner(name)) if name.starts_with("nmap")));
        assert_eq!(both.guess(&Syn { flags: model::event::TcpFlags(0x12), ..nmap }), None);
    }
}
