//! p0f 3's fingerprints (`p0f.fp`): of its sections the one of SYNs, `[tcp:request]`. The others are passed over, but must be well-formed as a whole.

use crate::number::{Number, Window, shown};
use crate::syn::{Piece, Syn, Values};
use crate::{FINGERPRINTS, Guess, HOPS, Problem, Sureness, did_you_mean};
use std::collections::HashMap;

/// Ethernet's packet, which senders take for granted whatever the way is like.
const PACKET: u32 = 1_500;
/// Bytes that timestamps take from each segment.
const TIMESTAMP_BYTES: u32 = 12;
const KEYS: [&str; 5] = ["classes", "label", "sys", "sig", "ua_os"];
/// A window scale above this is none (RFC 7323).
const SCALE_MAX: u8 = 14;

/// What is peculiar about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quirk {
    DontFragment,
    IdWithIt,
    NoIdWithoutIt,
    Ecn,
    Reserved,
    Flow,
    NoSequence,
    Acknowledgment,
    NoAcknowledgment,
    UrgentPointer,
    Urgent,
    Push,
    NoTimestamp,
    PeerTimestamp,
    Trailing,
    Scale,
    Bad,
}

/// Each with its word.
const QUIRKS: [(&str, Quirk); 17] = [
    ("df", Quirk::DontFragment),
    ("id+", Quirk::IdWithIt),
    ("id-", Quirk::NoIdWithoutIt),
    ("ecn", Quirk::Ecn),
    ("0+", Quirk::Reserved),
    ("flow", Quirk::Flow),
    ("seq-", Quirk::NoSequence),
    ("ack+", Quirk::Acknowledgment),
    ("ack-", Quirk::NoAcknowledgment),
    ("uptr+", Quirk::UrgentPointer),
    ("urgf+", Quirk::Urgent),
    ("pushf+", Quirk::Push),
    ("ts1-", Quirk::NoTimestamp),
    ("ts2+", Quirk::PeerTimestamp),
    ("opt+", Quirk::Trailing),
    ("exws", Quirk::Scale),
    ("bad", Quirk::Bad),
];
/// Those that only IPv4 has, and that only IPv6 has.
const OF_V4: Quirks = Quirks::of(&[Quirk::DontFragment, Quirk::IdWithIt, Quirk::NoIdWithoutIt, Quirk::Reserved]);
const OF_V6: Quirks = Quirks::of(&[Quirk::Flow]);
/// Those that routers take away, and that they add.
const MAY_GO: Quirks = Quirks::of(&[Quirk::DontFragment, Quirk::IdWithIt]);
const MAY_COME: Quirks = Quirks::of(&[Quirk::NoIdWithoutIt, Quirk::Ecn]);

/// A set of quirks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quirks(u32);

impl Quirks {
    const fn of(quirks: &[Quirk]) -> Quirks {
        let (mut bits, mut at) = (0, 0);
        while at < quirks.len() {
            bits |= 1 << quirks[at] as u32;
            at += 1;
        }
        Quirks(bits)
    }

    const fn without(self, others: Quirks) -> Quirks {
        Quirks(self.0 & !others.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    is_v6: Option<bool>,
    ttl: u8,
    /// The time to live is random, and at most this.
    is_random: bool,
    ip_options: Number,
    mss: Option<u16>,
    window: Window,
    scale: Option<u8>,
    quirks: Quirks,
    data: Option<bool>,
    label: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    name: String,
    is_generic: bool,
    is_tool: bool,
}

/// A file's fingerprints, by the order of options.
#[derive(Debug, Clone, Default)]
pub struct Database {
    labels: Vec<Label>,
    by_layout: HashMap<Vec<Piece>, Vec<Fingerprint>>,
    len: usize,
}

/// Reads a file: what it has, and what is wrong with it, line by line; the rest counts all the same.
pub fn read(text: &str) -> (Database, Vec<Problem>) {
    let (mut database, mut problems) = (Database::default(), Vec::new());
    let (mut is_ours, mut label) = (false, None);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let mut wrong = |text: String| problems.push(Problem { line: number + 1, text });
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            (is_ours, label) = (section.trim_end_matches(']') == "tcp:request", None);
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            wrong(format!("'{}' is neither '[section]' nor 'key = value'", shown(line)));
            continue;
        };
        match key {
            "classes" | "sys" | "ua_os" => {}
            "label" | "sig" if !is_ours => {}
            "label" => match read_label(value) {
                Ok(read) => {
                    label = Some(database.labels.len());
                    database.labels.push(read);
                }
                Err(text) => {
                    label = None;
                    wrong(text);
                }
            },
            "sig" if database.len >= FINGERPRINTS => {
                wrong(format!("more than {FINGERPRINTS} fingerprints: the rest is left out"));
                break;
            }
            "sig" => match label
                .ok_or_else(|| "a 'sig' without a 'label' that holds before it".to_owned())
                .and_then(|label| read_sig(value, label))
            {
                Ok((layout, fingerprint)) => {
                    database.by_layout.entry(layout).or_default().push(fingerprint);
                    database.len += 1;
                }
                Err(text) => wrong(text),
            },
            other => wrong(format!("'{}' is no key: {}{}", shown(other), KEYS.join(", "), did_you_mean(other, &KEYS))),
        }
    }
    (database, problems)
}

fn read_label(text: &str) -> Result<Label, String> {
    let parts: Vec<&str> = text.splitn(4, ':').map(str::trim).collect();
    let &[kind @ ("s" | "g"), class, name, flavor] = parts.as_slice() else {
        return Err(format!("'{}' is no label: s:class:name:flavor, or g:… for a generic one", shown(text)));
    };
    if name.is_empty() || class.is_empty() {
        return Err("a label without a class or a name".to_owned());
    }
    Ok(Label { name: crate::name(&[name, flavor]), is_generic: kind == "g", is_tool: class == "!" })
}

fn read_sig(text: &str, label: usize) -> Result<(Vec<Piece>, Fingerprint), String> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let &[version, ttl, ip_options, mss, window, layout, quirks, data] = parts.as_slice() else {
        return Err(format!("'{}' is no fingerprint: ver:ittl:olen:mss:wsize,scale:olayout:quirks:pclass", shown(text)));
    };
    let is_v6 = match version {
        "*" => None,
        "4" => Some(false),
        "6" => Some(true),
        other => return Err(format!("'{}' is no version of IP: 4, 6 or *", shown(other))),
    };
    let exactly = |text: &str, most: u32| match Number::read(text, most)? {
        Number::Exactly(number) => Ok(Some(number)),
        Number::Any => Ok(None),
        Number::MultipleOf(_) => Err(format!("'{}' is no number and not *", shown(text))),
    };
    let (digits, is_random) = ttl.strip_suffix('-').map_or((ttl, false), |digits| (digits, true));
    // As p0f itself prints them: what was seen, and how far.
    let sum = digits.split('+').map(|part| exactly(part, 255)).collect::<Result<Option<Vec<u32>>, String>>()?;
    let ttl = sum.map_or(0, |parts| parts.into_iter().sum::<u32>());
    let (window, scale) = window.split_once(',').ok_or_else(|| format!("'{}' is no window and scale: wsize,scale", shown(window)))?;
    let fingerprint = Fingerprint {
        is_v6,
        ttl: u8::try_from(ttl)
            .ok()
            .filter(|ttl| *ttl > 0)
            .ok_or_else(|| format!("'{}' is no time to live from 1 to 255", shown(digits)))?,
        is_random,
        ip_options: Number::read(ip_options, 65_535)?,
        mss: exactly(mss, 65_535)?.map(|mss| mss as u16),
        window: Window::read(window, "mss*", "mtu*")?,
        scale: exactly(scale, 255)?.map(|scale| scale as u8),
        quirks: read_quirks(quirks)?,
        data: match data {
            "0" => Some(false),
            "+" => Some(true),
            "*" => None,
            other => return Err(format!("'{}' is no payload class: 0, + or *", shown(other))),
        },
        label,
    };
    Ok((read_layout(layout)?, fingerprint))
}

fn read_layout(text: &str) -> Result<Vec<Piece>, String> {
    let byte = |digits: &str| digits.parse::<u8>().map_err(|_| format!("'{}' is no number from 0 to 255", shown(digits)));
    let piece = |part: &str| match part {
        "nop" => Ok(Piece::Nop),
        "mss" => Ok(Piece::Mss),
        "ws" => Ok(Piece::Scale),
        "sok" => Ok(Piece::SackPermitted),
        "sack" => Ok(Piece::Sack),
        "ts" => Ok(Piece::Timestamps),
        part => match (part.strip_prefix("eol+"), part.strip_prefix('?')) {
            (Some(digits), _) => byte(digits).map(Piece::End),
            (_, Some(digits)) => byte(digits).map(Piece::Other),
            _ => {
                let near = did_you_mean(part, &["eol+N", "nop", "mss", "ws", "sok", "sack", "ts"]);
                Err(format!("'{}' is no option: eol+N, nop, mss, ws, sok, sack, ts, ?N{near}", shown(part)))
            }
        },
    };
    text.split(',').filter(|part| !part.is_empty()).map(piece).collect()
}

fn read_quirks(text: &str) -> Result<Quirks, String> {
    let words = QUIRKS.map(|(word, _)| word);
    let quirk = |word: &str| match QUIRKS.iter().find(|(name, _)| *name == word) {
        Some((_, quirk)) => Ok(*quirk),
        None => Err(format!("'{}' is no quirk: {}{}", shown(word), words.join(", "), did_you_mean(word, &words))),
    };
    let read = text.split(',').filter(|word| !word.is_empty()).map(quirk).collect::<Result<Vec<Quirk>, String>>()?;
    Ok(Quirks::of(&read))
}

fn quirks_of(syn: &Syn<'_>, values: &Values) -> Quirks {
    let has_df = syn.dont_fragment == Some(true) && !syn.is_v6;
    let lacks_df = syn.dont_fragment == Some(false) && !syn.is_v6;
    let has = |flags: u8| syn.flags.0 & flags != 0;
    let set = |number: Option<u32>| number.is_some_and(|number| number != 0);
    let (own, peer) = values.timestamps.unwrap_or((1, 0));
    let found = [
        (Quirk::DontFragment, has_df),
        (Quirk::IdWithIt, has_df && syn.ip_id.is_some_and(|id| id != 0)),
        (Quirk::NoIdWithoutIt, lacks_df && syn.ip_id == Some(0)),
        // In the IP header, or ECE and CWR in TCP's.
        (Quirk::Ecn, syn.ecn || has(0b1100_0000)),
        (Quirk::Reserved, syn.reserved),
        (Quirk::Flow, syn.is_v6 && syn.flow),
        (Quirk::NoSequence, syn.sequence == Some(0)),
        (Quirk::Acknowledgment, !has(0b1_0000) && set(syn.acknowledgment)),
        (Quirk::NoAcknowledgment, has(0b1_0000) && syn.acknowledgment == Some(0)),
        (Quirk::UrgentPointer, !has(0b10_0000) && set(syn.urgent.map(u32::from))),
        (Quirk::Urgent, has(0b10_0000)),
        (Quirk::Push, has(0b1000)),
        (Quirk::NoTimestamp, own == 0),
        (Quirk::PeerTimestamp, peer != 0),
        (Quirk::Trailing, values.trails),
        (Quirk::Scale, values.scale.is_some_and(|scale| scale > SCALE_MAX)),
        (Quirk::Bad, values.is_bad),
    ];
    Quirks(found.into_iter().fold(0, |bits, (quirk, has)| bits | u32::from(has) << quirk as u32))
}

/// How well a fingerprint fits, the best first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Exact,
    /// One of a whole group's.
    Generic,
    /// But for what routers change.
    Fuzzy,
}

impl Database {
    /// How many fingerprints of SYNs there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Who sent this SYN: a specific fingerprint that fits, then a generic one, then a fuzzy one, each the first in the file.
    pub fn guess(&self, syn: &Syn<'_>) -> Option<Guess<'_>> {
        let (layout, values) = syn.pieces()?;
        let quirks = quirks_of(syn, &values);
        let candidates = self.by_layout.get(layout.as_slice())?.iter().filter_map(|fingerprint| {
            let label = self.labels.get(fingerprint.label)?;
            let fit = match fingerprint.fit(syn, &values, quirks)? {
                Fit::Exact if label.is_generic => Fit::Generic,
                // A scanner is named for sure or not at all.
                Fit::Fuzzy if label.is_tool => return None,
                fit => fit,
            };
            Some((fit, fingerprint, label))
        });
        // The first of the best.
        let (fit, fingerprint, label) = candidates.min_by(|(a, ..), (b, ..)| a.cmp(b))?;
        if label.is_tool {
            return Some(Guess::Scanner(&label.name));
        }
        let sureness = if fit == Fit::Exact { Sureness::Exactly } else { Sureness::Roughly };
        let initial = if fingerprint.is_random || syn.ttl > fingerprint.ttl { initial_ttl(syn.ttl) } else { fingerprint.ttl };
        Some(Guess::System { name: &label.name, sureness, hops: initial - syn.ttl })
    }
}

/// The time to live that a packet most likely began with.
fn initial_ttl(ttl: u8) -> u8 {
    [32, 64, 128, 255].into_iter().find(|initial| ttl <= *initial).unwrap_or(255)
}

impl Fingerprint {
    fn fit(&self, syn: &Syn<'_>, values: &Values, quirks: Quirks) -> Option<Fit> {
        let fits = self.is_v6.is_none_or(|is_v6| is_v6 == syn.is_v6)
            && self.ip_options.fits(u32::from(syn.ip_options))
            && self.mss.is_none_or(|mss| mss == values.mss.unwrap_or(0))
            && self.scale.is_none_or(|scale| scale == values.scale.unwrap_or(0))
            && self.data.is_none_or(|data| data == syn.data)
            && has_window(self.window, syn, values);
        if !fits {
            return None;
        }
        // Those of the other version of IP are not asked for.
        let wanted = self.quirks.without(if syn.is_v6 { OF_V4 } else { OF_V6 });
        let (gone, come) = (wanted.without(quirks), quirks.without(wanted));
        if gone.without(MAY_GO).0 | come.without(MAY_COME).0 != 0 {
            return None;
        }
        let is_near = syn.ttl <= self.ttl && (self.is_random || self.ttl - syn.ttl <= HOPS);
        Some(if is_near && wanted == quirks { Fit::Exact } else { Fit::Fuzzy })
    }
}

/// Whether a window is what is asked for.
fn has_window(wanted: Window, syn: &Syn<'_>, values: &Values) -> bool {
    let window = u32::from(syn.window);
    let headers: u32 = if syn.is_v6 { 60 } else { 40 };
    let Some(mss) = values.mss.map(u32::from).filter(|mss| *mss > 0) else {
        return matches!(wanted, Window::Number(number) if number.fits(window));
    };
    // Some count the timestamps' bytes to the segment, some Ethernet's whatever was agreed, by IPv4's headers even for IPv6.
    let stamps = if values.timestamps.is_some() { TIMESTAMP_BYTES } else { 0 };
    let is = |times: u32, sizes: &[u32]| sizes.iter().any(|size| size.saturating_mul(times) == window);
    match wanted {
        Window::Number(number) => number.fits(window),
        Window::Segments(times) => {
            is(times, &[mss, mss.saturating_sub(stamps), PACKET - 40, PACKET - 40 - stamps, PACKET - headers, PACKET - headers - stamps])
        }
        Window::Packets(times) => is(times, &[mss + headers, mss + syn.length.min(120), PACKET]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syn::tests::{LINUX, syn};

    const HEAD: &str = "classes = win,unix\n[mtu]\nlabel = Ethernet\nsig = 1500\n[tcp:request]\n";

    fn first(text: &str, syn: &Syn<'_>) -> Option<String> {
        let (database, problems) = read(&format!("{HEAD}{text}"));
        assert_eq!(problems, [], "{text}");
        database.guess(syn).map(|guess| guess.to_string())
    }

    fn linux(sig: &str) -> String {
        format!("label = s:unix:Linux:3.x\nsig = {sig}\n")
    }

    #[test]
    fn each_field_counts() {
        let packet = syn(29_200, &LINUX);
        let fits = "*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0";
        assert_eq!(first(&linux(fits), &packet).as_deref(), Some("Linux 3.x, 7 hops away"));
        for (field, other) in [
            ("*:64", "6:64"),
            (":0:*", ":4:*"),
            (":*:", ":1400:"),
            ("mss*20", "mss*10"),
            ("mss*20", "mtu*20"),
            (",7:", ",8:"),
            ("sok,ts", "ts,sok"),
            ("id+", "id+,seq-"),
            (":0", ":+"),
        ] {
            let other =
                if field == ":0" { format!("{}{other}", fits.strip_suffix(field).unwrap()) } else { fits.replacen(field, other, 1) };
            assert_eq!(first(&linux(&other), &packet), None, "{other}");
        }
        for (field, same) in [
            ("*:64", "4:64"),
            (":64:", ":57+7:"),
            ("mss*20", "29200"),
            ("mss*20", "*"),
            ("mss*20", "%400"),
            (",7:", ",*:"),
            (":*:", ":1460:"),
        ] {
            assert!(first(&linux(&fits.replacen(field, same, 1)), &packet).is_some(), "{same}");
        }
    }

    #[test]
    fn what_routers_change_makes_it_a_perhaps() {
        let packet = syn(29_200, &LINUX);
        let text = linux("*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0");
        for changed in [
            Syn { ttl: 20, ..packet },
            Syn { ttl: 100, ..packet },
            Syn { dont_fragment: Some(false), ..packet },
            Syn { ecn: true, ..packet },
        ] {
            let guess = first(&text, &changed);
            assert!(guess.as_deref().is_some_and(|guess| guess.starts_with("perhaps Linux")), "{guess:?}");
        }
        assert_eq!(first(&text, &Syn { urgent: Some(1), ..packet }), None);
        assert_eq!(first(&text, &Syn { sequence: Some(0), ..packet }), None);
    }

    #[test]
    fn specific_before_generic_and_tools_are_no_systems() {
        let packet = syn(29_200, &LINUX);
        let sig = "*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0";
        let text = format!("label = g:unix:Linux:x\nsig = {sig}\nlabel = s:unix:Linux:3.x\nsig = {sig}\n");
        assert_eq!(first(&text, &packet).as_deref(), Some("Linux 3.x, 7 hops away"));
        let tool = format!("label = s:!:NMap:SYN scan\nsys = @unix\nsig = {}\n", sig.replace(":64:", ":64-:"));
        assert_eq!(first(&tool, &packet).as_deref(), Some("NMap SYN scan (a scanner's own packet)"));
        // A system that is like it but for a time to live that it never has.
        let alike = Syn { ttl: 120, ..packet };
        assert_eq!(first(&tool, &alike), None);
        assert_eq!(first(&format!("{tool}{text}"), &alike).as_deref(), Some("perhaps Linux x, 8 hops away"));
    }

    #[test]
    fn ipv6_has_no_fragment_bit() {
        let packet = Syn {
            is_v6: true,
            dont_fragment: None,
            ip_id: None,
            length: 80,
            ..syn(28_800, &[2, 4, 5, 160, 4, 2, 8, 10, 0, 9, 9, 9, 0, 0, 0, 0, 1, 3, 3, 7])
        };
        let text = linux("*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0");
        assert_eq!(first(&text, &packet).as_deref(), Some("Linux 3.x, 7 hops away"));
        assert_eq!(first(&linux("6:64:0:*:mss*20,7:mss,sok,ts,nop,ws:flow:0"), &packet), None);
        assert!(first(&linux("6:64:0:*:mss*20,7:mss,sok,ts,nop,ws:flow:0"), &Syn { flow: true, ..packet }).is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let bad = [
            "nonsense",
            "labels = x",
            "label = x:unix:Linux:3",
            "sig = *:64:0:*:1,1:mss::0",
            "label = s:unix:Linux:3",
            "sig = 5:64:0:*:1,1:mss::0",
            "sig = *:0:0:*:1,1:mss::0",
            "sig = *:64:0:*:1:mss::0",
            "sig = *:64:0:*:1,1:foo::0",
            "sig = *:64:0:*:1,1:mss:odd:0",
            "sig = *:64:0:*:1,1:mss::x",
            "sig = *:64:0:*:1,1:mss",
        ];
        let (database, problems) = read(&format!("[tcp:request]\n{}", bad.join("\n")));
        assert!(database.is_empty());
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13], "{problems:#?}");
    }
}
