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

impl Guess<'_> {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Guess::Scanner(name) | Guess::System { name, .. } => name,
        }
    }
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

/// A file's fingerprints of single SYNs.
#[derive(Debug, Clone)]
enum File {
    P0f3(p0f3::Database),
    P0f2(p0f2::Database),
}

/// All fingerprints, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    files: Vec<File>,
    posf: Vec<posf::Database>,
}

/// Riposte's own.
const OWN: &str = include_str!("own.fp");

impl Fingerprints {
    /// Adds a file of p0f's, or `pf.os`: which of them it is, its contents say. Returns what is wrong with it.
    pub fn add_p0f(&mut self, text: &str) -> Vec<Problem> {
        let (file, problems) = if is_p0f3(text) {
            let (database, problems) = p0f3::read(text);
            (File::P0f3(database), problems)
        } else {
            let (database, problems) = p0f2::read(text);
            (File::P0f2(database), problems)
        };
        self.files.push(file);
        problems
    }

    /// Adds a file of psad's. Returns what is wrong with it.
    pub fn add_posf(&mut self, text: &str) -> Vec<Problem> {
        let (database, problems) = posf::read(text);
        self.posf.push(database);
        problems
    }

    /// Adds riposte's own: they are asked after those before.
    pub fn add_own(&mut self) {
        self.add_p0f(OWN);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let of_syns = self.files.iter().map(|file| match file {
            File::P0f3(database) => database.len(),
            File::P0f2(database) => database.len(),
        });
        of_syns.chain(self.posf.iter().map(posf::Database::len)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who sent this. Packets other than a first SYN are nobody's. A file that is sure comes before one that is not.
    pub fn guess(&self, syn: &Syn<'_>) -> Option<Guess<'_>> {
        if !syn.is_first() {
            return None;
        }
        if let Some(scanner) = scanner::of(syn) {
            return Some(Guess::Scanner(scanner));
        }
        let mut perhaps = None;
        for file in &self.files {
            let guess = match file {
                File::P0f3(database) => database.guess(syn),
                File::P0f2(database) => database.guess(syn),
            };
            match guess {
                Some(Guess::System { sureness: Sureness::Roughly, .. }) | None => perhaps = perhaps.or(guess),
                Some(Guess::Scanner(_) | Guess::System { sureness: Sureness::Exactly, .. }) => return guess,
            }
        }
        perhaps
    }

    /// Whose SYNs these are, whose options nobody knows.
    pub fn guess_course(&self, course: &posf::Course) -> Option<Guess<'_>> {
        self.posf.iter().find_map(|database| database.guess(course))
    }

    /// After how many SYNs nothing more is to be learned from their course; 0 if none are asked for.
    pub fn course_length(&self) -> u8 {
        self.posf.iter().map(posf::Database::most_packets).max().unwrap_or(0)
    }
}

/// Whether a file is p0f 3's: it has sections and `key = value`, where version 2 has nothing but fields between colons.
fn is_p0f3(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| line.starts_with('[') || line.split(':').next().is_some_and(|head| head.contains('=')))
}

/// `; did you mean 'x'?`, or nothing if no word is near.
fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (strsim::osa_distance(word, known), known)).min();
    match near.filter(|(distance, known)| *distance <= known.len().div_ceil(3)) {
        Some((_, known)) => format!("; did you mean '{known}'?"),
        None => String::new(),
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

    const P0F3: &str =
        "; p0f 3\nclasses = unix\n[tcp:request]\nlabel = s:unix:Linux:3.11 and newer\nsig = *:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0\n";
    const P0F2: &str =
        "# p0f 2\nS44:64:1:60:M*,S,T,N,W7: Linux:5::Linux 5 and newer\n65535:64:1:64:M*,N,W6,N,N,T,S,E,N: MacOS:X::Mac OS X\n";

    fn both() -> Fingerprints {
        let mut both = Fingerprints::default();
        for text in [P0F3, P0F2] {
            assert_eq!(both.add_p0f(text), []);
        }
        assert_eq!(both.len(), 3);
        both
    }

    #[test]
    fn ripostes_own_tell_systems_apart() {
        let mut own = Fingerprints::default();
        own.add_own();
        assert_eq!(own.len(), OWN.lines().filter(|line| line.starts_with("sig")).count(), "each can be read");
        let guess = |syn: &Syn<'_>| own.guess(syn).map(|guess| guess.to_string());
        assert_eq!(guess(&syn(64_240, &LINUX)).as_deref(), Some("Linux 4.19 and newer, 7 hops away"));
        // A window that somebody has set by hand.
        assert_eq!(guess(&syn(4_711, &LINUX)).as_deref(), Some("perhaps Linux, 7 hops away"));
        let windows = Syn { ttl: 116, ..syn(64_240, &[2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2]) };
        assert_eq!(guess(&windows).as_deref(), Some("Windows 10 or newer, 12 hops away"));
        let v6 = Syn { is_v6: true, flow: true, dont_fragment: None, ip_id: None, length: 80, ..syn(64_800, &LINUX_V6) };
        assert_eq!(guess(&v6).as_deref(), Some("Linux 4.19 and newer, 7 hops away"));
        assert_eq!(guess(&Syn { options: None, ..syn(64_240, &LINUX) }), None, "without options nobody knows");
    }

    /// As Linux sends them over Ethernet with IPv6.
    const LINUX_V6: [u8; 20] = [2, 4, 5, 160, 4, 2, 8, 10, 0, 9, 9, 9, 0, 0, 0, 0, 1, 3, 3, 7];

    #[test]
    fn the_nearest_right_word_is_named() {
        let problems = Fingerprints::default().add_p0f("[tcp:request]\nlable = s:unix:Linux:3\n");
        assert!(problems[0].to_string().ends_with("; did you mean 'label'?"), "{}", problems[0]);
        let problems = Fingerprints::default().add_posf("OS x;\nWINDOWS 5;\n");
        assert!(
            problems[0].to_string().starts_with("2: 'WINDOWS' is no key") && problems[0].text.ends_with("'WINDOW'?"),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn the_first_exact_answer_counts() {
        let both = both();
        let guess = |syn: &Syn<'_>| both.guess(syn).map(|guess| guess.to_string());
        let linux = syn(64_240, &LINUX);
        assert_eq!(guess(&linux).as_deref(), Some("Linux 5 and newer, 7 hops away"));
        assert_eq!(guess(&Syn { window: 29_200, ..linux }).as_deref(), Some("Linux 3.11 and newer, 7 hops away"));
        assert_eq!(guess(&Syn { window: 4_711, ..linux }), None);
    }

    proptest! {
        #[test]
        fn any_text_and_any_packet_is_borne(text in "([-0-9a-zA-Z*%+,:;=\\[\\]. \n]|sig = |label = |OS ){0,40}", options in prop::collection::vec(any::<u8>(), 0..40), window: u16, ttl: u8) {
            let mut any = Fingerprints::default();
            any.add_p0f(&format!("[tcp:request]\nlabel = s:a:b:c\n{text}"));
            any.add_p0f(&text);
            any.add_posf(&text);
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
