//! p0f 2's fingerprints of SYNs, and OpenBSD's `pf.os`, which psad reads too:
//! `window:ttl:df:size:options[:quirks]:OS:version[:subtype:details]`, one a line.

use crate::number::{Number, Window, shown};
use crate::syn::{Piece, Syn, Values};
use crate::{FINGERPRINTS, Guess, Problem, Sureness};
use std::collections::HashMap;

/// The furthest that a sender is taken to be away (p0f 2's and pf's bound).
const HOPS: u8 = 40;
/// Bytes of IPv4's header and TCP's that a maximum segment size leaves out.
const HEADERS: u32 = 40;

/// What an option's value is asked to be, beside its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Mss(Number),
    Scale(Number),
    ZeroTimestamp,
    Timestamp,
}

/// Quirks' letters in p0f 2: a bit each, by their place here.
const LETTERS: &str = "!ADFIPTUXZ";
/// Quirks as bits; `None` in `pf.os`, which doesn't look at them.
type Quirks = Option<u16>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    window: Window,
    ttl: u8,
    dont_fragment: bool,
    size: Number,
    wishes: Vec<Wish>,
    quirks: Quirks,
    name: String,
    is_rough: bool,
    is_tool: bool,
}

/// A file's fingerprints, by the order of options.
#[derive(Debug, Clone, Default)]
pub struct Database {
    by_layout: HashMap<Vec<Piece>, Vec<Fingerprint>>,
    len: usize,
}

/// Reads a file: what it has, and what is wrong with it, line by line; the rest counts all the same.
pub fn read(text: &str) -> (Database, Vec<Problem>) {
    let (mut database, mut problems) = (Database::default(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if database.len >= FINGERPRINTS {
            problems.push(Problem { line: number + 1, text: format!("more than {FINGERPRINTS} fingerprints: the rest is left out") });
            break;
        }
        match fingerprint(line) {
            Ok((layout, fingerprint)) => {
                database.by_layout.entry(layout).or_default().push(fingerprint);
                database.len += 1;
            }
            Err(text) => problems.push(Problem { line: number + 1, text }),
        }
    }
    (database, problems)
}

fn fingerprint(line: &str) -> Result<(Vec<Piece>, Fingerprint), String> {
    let fields: Vec<&str> = line.split(':').map(str::trim).collect();
    let &[window, ttl, dont_fragment, size, options, ..] = fields.as_slice() else {
        return Err(format!("'{}' is no fingerprint: window:ttl:df:size:options:OS:version:subtype:details", shown(line)));
    };
    // pf.os has four fields of words, p0f 2 one of quirks and two of words.
    let (quirks, words) = match fields.get(5..) {
        Some([os, rest @ .., details]) if rest.len() >= 2 => {
            let named = details.starts_with(os.trim_start_matches(['@', '*', '-']));
            (None, (*os, if named { crate::name(&[details]) } else { crate::name(&[rest.first().copied().unwrap_or_default(), details]) }))
        }
        Some([quirks, os, details]) => (Some(read_quirks(quirks)?), (*os, crate::name(&[details]))),
        _ => return Err("the system's name is missing: …:OS:version:subtype:details behind the options".to_owned()),
    };
    let (layout, wishes) = read_options(options)?;
    let (genre, version) = words;
    let is_rough = genre.contains('@');
    let is_tool = genre.contains('*');
    let genre = genre.trim_start_matches(['@', '*', '-']);
    if genre.is_empty() {
        return Err("the system's name is missing".to_owned());
    }
    let fingerprint = Fingerprint {
        window: Window::read(window, "S", "T")?,
        ttl: match Number::read(ttl, 255)? {
            Number::Exactly(ttl) if ttl > 0 => ttl as u8,
            _ => return Err(format!("'{}' is no time to live from 1 to 255", shown(ttl))),
        },
        dont_fragment: match dont_fragment {
            "0" => false,
            "1" => true,
            other => return Err(format!("'{}' is neither 0 nor 1 for \"don't fragment\"", shown(other))),
        },
        size: Number::read(size, 65_535)?,
        wishes,
        quirks,
        // Most details of pf.os begin with the system's name themselves.
        name: if version.starts_with(genre) { version } else { crate::name(&[genre, &version]) },
        is_rough,
        is_tool,
    };
    Ok((layout, fingerprint))
}

fn read_options(text: &str) -> Result<(Vec<Piece>, Vec<Wish>), String> {
    if text == "." {
        return Ok((Vec::new(), Vec::new()));
    }
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let option = |part: &str| match part.split_at_checked(1) {
        Some(("N", "")) => Ok((Piece::Nop, Wish::Nothing)),
        Some(("E", "")) => Ok((Piece::End(0), Wish::Nothing)),
        Some(("S", "")) => Ok((Piece::SackPermitted, Wish::Nothing)),
        Some(("T", "")) => Ok((Piece::Timestamps, Wish::Timestamp)),
        Some(("T", "0")) => Ok((Piece::Timestamps, Wish::ZeroTimestamp)),
        Some(("M", value)) => Ok((Piece::Mss, Wish::Mss(Number::read(value, 65_535)?))),
        Some(("W", value)) => Ok((Piece::Scale, Wish::Scale(Number::read(value, 255)?))),
        Some(("?", kind)) => match Number::read(kind, 255)? {
            Number::Exactly(kind) => Ok((Piece::Other(kind as u8), Wish::Nothing)),
            _ => Err(format!("'{}' names no option", shown(part))),
        },
        _ => Err(format!("'{}' is no option: N, E, S, T, T0, Mnnn, Wnnn, ?nnn, or '.' alone for none", shown(part))),
    };
    // What stands behind the end isn't looked at, here as there.
    let read = parts.map(option).collect::<Result<Vec<_>, String>>()?;
    let end = read.iter().position(|(piece, _)| *piece == Piece::End(0)).map_or(read.len(), |end| end + 1);
    Ok(read.into_iter().take(end).unzip())
}

fn read_quirks(text: &str) -> Result<u16, String> {
    let mut letters = text.chars().filter(|c| *c != '.');
    letters.try_fold(0, |quirks, letter| match LETTERS.find(letter) {
        Some(place) => Ok(quirks | 1 << place),
        None => Err(format!("'{}' is no quirk: one or more of {LETTERS}, or '.' for none", shown(&letter.to_string()))),
    })
}

/// The quirks of a packet.
fn quirks_of(syn: &Syn<'_>, values: &Values) -> u16 {
    let set = |number: Option<u32>| number.is_some_and(|number| number != 0);
    // In the order of their letters.
    let has = [
        values.is_bad,
        set(syn.acknowledgment),
        syn.data,
        // PSH and URG.
        syn.flags.0 & 0b10_1000 != 0,
        syn.ip_options > 0,
        values.trails,
        values.timestamps.is_some_and(|(_, peer)| peer != 0),
        set(syn.urgent.map(u32::from)),
        syn.reserved,
        syn.ip_id == Some(0),
    ];
    has.into_iter().enumerate().fold(0, |quirks, (place, has)| quirks | u16::from(has) << place)
}

impl Database {
    /// How many fingerprints there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Who sent this SYN: the first fingerprint that fits, exact ones before rough ones. These fingerprints are of IPv4 alone.
    pub fn guess(&self, syn: &Syn<'_>) -> Option<Guess<'_>> {
        let dont_fragment = syn.dont_fragment.filter(|_| !syn.is_v6)?;
        let (mut layout, values) = syn.pieces()?;
        if let Some(Piece::End(behind)) = layout.last_mut() {
            *behind = 0;
        }
        let quirks = quirks_of(syn, &values);
        let fits = |fingerprint: &&Fingerprint| {
            fingerprint.dont_fragment == dont_fragment
                && (syn.ttl <= fingerprint.ttl && fingerprint.ttl - syn.ttl < HOPS)
                && fingerprint.size.fits(syn.length)
                && has_window(fingerprint.window, u32::from(syn.window), &values)
                && fingerprint.wishes.iter().all(|wish| wish.is_met(&values))
                && fingerprint.quirks.as_ref().is_none_or(|wanted| *wanted == quirks)
        };
        let fitting = || self.by_layout.get(layout.as_slice()).into_iter().flatten().filter(fits);
        let found = fitting().find(|fingerprint| !fingerprint.is_rough).or_else(|| fitting().next())?;
        let sureness = if found.is_rough { Sureness::Roughly } else { Sureness::Exactly };
        let system = Guess::System { name: &found.name, sureness, hops: found.ttl - syn.ttl };
        Some(if found.is_tool { Guess::Scanner(&found.name) } else { system })
    }
}

/// Whether a window is what is asked for.
fn has_window(wanted: Window, window: u32, values: &Values) -> bool {
    let mss = values.mss.map(u32::from).filter(|mss| *mss > 0);
    match wanted {
        Window::Number(number) => number.fits(window),
        Window::Segments(times) => mss.is_some_and(|mss| window == mss.saturating_mul(times)),
        Window::Packets(times) => mss.is_some_and(|mss| window == (mss + HEADERS).saturating_mul(times)),
    }
}

impl Wish {
    fn is_met(self, values: &Values) -> bool {
        match self {
            Wish::Nothing => true,
            Wish::Mss(number) => values.mss.is_some_and(|mss| number.fits(u32::from(mss))),
            Wish::Scale(number) => values.scale.is_some_and(|scale| number.fits(u32::from(scale))),
            Wish::ZeroTimestamp => values.timestamps.is_some_and(|(own, _)| own == 0),
            Wish::Timestamp => values.timestamps.is_some_and(|(own, _)| own != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syn::tests::{LINUX, syn};

    fn first(text: &str, syn: &Syn<'_>) -> Option<String> {
        let (database, problems) = read(text);
        assert_eq!(problems, [], "{text}");
        database.guess(syn).map(|guess| guess.to_string())
    }

    #[test]
    fn each_field_counts() {
        let linux = syn(5_840, &LINUX);
        let fits = "S4:64:1:60:M*,S,T,N,W7:Linux:2.6:8:Linux 2.6.8 and newer";
        assert_eq!(first(fits, &linux).as_deref(), Some("Linux 2.6.8 and newer, 7 hops away"));
        for (field, other) in [
            ("S4", "S5"),
            ("S4", "T4"),
            (":64:", ":56:"),
            (":64:", ":128:"),
            (":1:", ":0:"),
            (":60:", ":64:"),
            ("M*", "M1400"),
            ("W7", "W6"),
            ("T,", "T0,"),
            ("S,T", "T,S"),
            (",W7", ""),
        ] {
            assert_eq!(first(&fits.replacen(field, other, 1), &linux), None, "{other}");
        }
        for (field, same) in [("S4", "5840"), ("S4", "*"), ("S4", "%16"), (":60:", ":*:"), ("M*", "M1460"), ("M*", "M%20"), ("W7", "W*")] {
            assert!(first(&fits.replacen(field, same, 1), &linux).is_some(), "{same}");
        }
        assert!(first("T4:64:1:60:M*,S,T,N,W7:Linux:2.6::x", &Syn { window: 6_000, ..linux }).is_some());
        assert_eq!(first(fits, &Syn { is_v6: true, ..linux }), None);
    }

    #[test]
    fn rough_ones_come_last_and_tools_are_no_systems() {
        let bare = Syn { dont_fragment: Some(false), ..syn(4_096, &[]) };
        let text = "*:64:0:40:.:@Linux:2::rough\n4096:64:0:40:.:*NMAP:syn scan:1:NMAP syn scan (1)\n";
        assert_eq!(first(text, &bare).as_deref(), Some("NMAP syn scan (1) (a scanner's own packet)"));
        assert_eq!(first(text, &Syn { window: 9, ..bare }).as_deref(), Some("perhaps Linux 2 rough, 7 hops away"));
    }

    #[test]
    fn quirks_of_p0f_2_are_asked_for() {
        let sun = Syn { ip_id: Some(0), ..syn(8_760, &[2, 4, 5, 180]) };
        assert!(first("8760:64:1:44:M*:Z:SunOS:4.1.x", &sun).is_some());
        assert_eq!(first("8760:64:1:44:M*:.:SunOS:4.1.x", &sun), None);
        assert_eq!(first("8760:64:1:44:M*:AZ:SunOS:4.1.x", &sun), None);
        assert!(first("8760:64:1:44:M*:ZA:SunOS:4.1.x", &Syn { acknowledgment: Some(5), ..sun }).is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let bad = [
            "1:2:3",
            "x:64:0:40:.:A:b::c",
            "S:64:0:40:.:A:b::c",
            "1:0:0:40:.:A:b::c",
            "1:300:0:40:.:A:b::c",
            "1:64:2:40:.:A:b::c",
            "1:64:0:x:.:A:b::c",
            "1:64:0:40:Q:A:b::c",
            "1:64:0:40:M:A:b::c",
            "1:64:0:40:.:q:A:c",
            "1:64:0:40:.",
            "1:64:0:40:.:@:b::c",
        ];
        let (database, problems) = read(&bad.join("\n"));
        assert!(database.is_empty());
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), (1..=bad.len()).collect::<Vec<_>>(), "{problems:#?}");
    }
}
