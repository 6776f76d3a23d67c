//! Others' lists of attackers, as they are published: what stands in them, and what could not be read.

use model::net::Prefix;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Entries of one list. What is beyond is counted and left out.
pub const ENTRIES: usize = 1_000_000;
/// Complaints that are kept of one list; all are counted.
const PROBLEMS: usize = 20;
/// Prefixes that one range from an address to another may become.
const RANGE_PREFIXES: usize = 256;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An address, prefix or range at the beginning of each line; `#` and `;` begin a remark. FireHOL's, blocklist.de's, Emerging Threats' and
    /// most others'.
    Plain,
    /// DShield's `block.txt`: first and last address and length by tabs.
    Block,
    /// Spamhaus' DROP as JSON lines: `{"cidr":…}`, at last `{"type":"metadata","records":…}`.
    Drop,
    /// CrowdSec's stream of decisions: `{"new":[…],"deleted":[…]}`.
    Crowdsec,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Plain, Format::Block, Format::Drop, Format::Crowdsec];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Block => "dshield",
            Format::Drop => "spamhaus",
            Format::Crowdsec => "crowdsec",
        }
    }
}

impl Format {
    /// The format of a list, by how it begins.
    pub fn of(text: &str) -> Format {
        let text = text.trim_start_matches('\u{feff}');
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';'])).unwrap_or_default();
        match first {
            _ if first.starts_with("{\"new\"") || first.starts_with("{\"deleted\"") => Format::Crowdsec,
            _ if first.starts_with('{') => Format::Drop,
            _ if first.starts_with("Start\t") || first.split('\t').nth(2).is_some_and(|bits| bits.parse::<u8>().is_ok()) => Format::Block,
            _ => Format::Plain,
        }
    }
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whom.
    pub prefix: Prefix,
    /// For how long from now on, if the list says.
    pub lasts: Option<Duration>,
}

/// What a list says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// Who is on it, sorted, each once.
    pub entries: Vec<Entry>,
    /// Who is no longer on it (a stream of changes says so).
    pub gone: Vec<Prefix>,
    /// What could not be read: `LINE: why`, the first of them.
    pub problems: Vec<String>,
    /// How many could not be read.
    pub unread: usize,
    /// Entries beyond the bound.
    pub over: usize,
}

/// Why a list can't be believed as a whole. The last one that could be stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It is no list of this format at all; an error page, say.
    Foreign(String),
    /// It was cut short.
    Short {
        /// Entries that it should have.
        promised: u64,
        /// Entries that it has.
        has: usize,
    },
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Foreign(why) => f.write_str(why),
            Broken::Short { promised, has } => write!(f, "it was cut short: {has} entries of {promised}"),
        }
    }
}

/// Reads a list.
///
/// # Errors
/// If it can't be believed as a whole.
pub fn read(format: Format, text: &str) -> Result<List, Broken> {
    let mut list = List::default();
    match format {
        Format::Plain => plain(text, &mut list),
        Format::Block => block(text, &mut list),
        Format::Drop => drop_lines(text, &mut list)?,
        Format::Crowdsec => crowdsec(text, &mut list)?,
    }
    // An empty list may be true, but not one of lines that nobody can read.
    if list.entries.is_empty() && list.gone.is_empty() && list.unread > 0 {
        let first = list.problems.first().cloned().unwrap_or_default();
        return Err(Broken::Foreign(format!("this is no list of the form '{}': {first}", format.word())));
    }
    // Of two with the same prefix the one that lasts longer.
    list.entries.sort_unstable_by_key(|entry| (entry.prefix, std::cmp::Reverse(entry.lasts)));
    list.entries.dedup_by_key(|entry| entry.prefix);
    Ok(list)
}

impl List {
    fn add(&mut self, prefix: Prefix, lasts: Option<Duration>) {
        if self.entries.len() < ENTRIES {
            self.entries.push(Entry { prefix, lasts });
        } else {
            self.over += 1;
        }
    }

    fn complain(&mut self, line: usize, why: String) {
        self.unread += 1;
        if self.problems.len() < PROBLEMS {
            self.problems.push(format!("{}: {why}", line + 1));
        }
    }
}

/// A part of a list in a message: one line, bounded.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A prefix that means what it says: no bits behind its length.
fn prefix(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|_| format!("'{}' is no address and no prefix", shown(text)))?;
    let said = text.split('/').next().unwrap_or_default().parse::<IpAddr>().map(|addr| addr.to_canonical());
    if said.is_ok_and(|said| said != prefix.addr()) {
        return Err(format!("'{}' has bits behind its length: {prefix} or the one address?", shown(text)));
    }
    Ok(prefix)
}

/// What stands between the words of a line.
const BETWEEN: [char; 3] = [' ', '\t', ','];

/// Whether somebody meant to write an address, right or wrong.
fn is_meant_as_address(word: &str) -> bool {
    let four = word.split('.').count() == 4 && word.starts_with(|c: char| c.is_ascii_digit());
    four || word.contains("::") || word.parse::<IpAddr>().is_ok()
}

fn plain(text: &str, list: &mut List) {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}');
        let said = line.split(['#', ';']).next().unwrap_or_default().trim();
        let (word, rest) = said.split_at(said.find(BETWEEN).unwrap_or(said.len()));
        if word.is_empty() {
            continue;
        }
        // A range with blanks around its dash; other words behind an address are remarks.
        let behind = rest.trim_start().strip_prefix('-').map_or("", str::trim_start);
        let last = behind.split(BETWEEN).next().filter(|last| is_meant_as_address(last));
        let read = match word.split_once('-').or(last.map(|last| (word, last))) {
            Some((first, last)) => range(first, last),
            None => prefix(word).map(|prefix| vec![prefix]),
        };
        match read {
            Ok(prefixes) => prefixes.into_iter().for_each(|prefix| list.add(prefix, None)),
            Err(why) => list.complain(number, why),
        }
    }
}

fn block(text: &str, list: &mut List) {
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') || line.starts_with("Start\t") {
            continue;
        }
        let mut fields = line.split('\t').map(str::trim);
        let read = match (fields.next(), fields.next(), fields.next()) {
            (Some(first), Some(last), Some(bits)) => prefix(&format!("{first}/{bits}")).and_then(|prefix| match last.parse::<IpAddr>() {
                Ok(last) if last == prefix.last() => Ok(prefix),
                _ => Err(format!("'{}' is not the last address of {prefix}", shown(last))),
            }),
            _ => Err(format!("'{}' has no first and last address and length by tabs", shown(line))),
        };
        match read {
            Ok(prefix) => list.add(prefix, None),
            Err(why) => list.complain(number, why),
        }
    }
}

fn drop_lines(text: &str, list: &mut List) -> Result<(), Broken> {
    let mut promised = None;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            list.complain(number, format!("'{}' is no JSON", shown(line)));
            continue;
        };
        if value.get("type").and_then(Value::as_str) == Some("metadata") {
            promised = value.get("records").and_then(Value::as_u64);
            continue;
        }
        match value.get("cidr").and_then(Value::as_str).ok_or_else(|| "no 'cidr'".to_owned()).and_then(prefix) {
            Ok(prefix) => list.add(prefix, None),
            Err(why) => list.complain(number, why),
        }
    }
    let has = list.entries.len() + list.over + list.unread;
    match promised {
        Some(promised) if promised != has as u64 => Err(Broken::Short { promised, has }),
        // Its last line says how many there are: without it nobody knows.
        None if has > 0 && list.unread < has => {
            Err(Broken::Foreign("its last line, with the number of records, is missing: it was cut short".to_owned()))
        }
        _ => Ok(()),
    }
}

fn crowdsec(text: &str, list: &mut List) -> Result<(), Broken> {
    let foreign = || Broken::Foreign("this is no stream of decisions: {\"new\":[…],\"deleted\":[…]}".to_owned());
    let value: Value = serde_json::from_str(text).map_err(|_| foreign())?;
    let both = value.as_object().filter(|both| both.contains_key("new") || both.contains_key("deleted")).ok_or_else(foreign)?;
    let decisions = |key: &str| both.get(key).and_then(Value::as_array).into_iter().flatten();
    for (number, decision) in decisions("new").enumerate() {
        // Captchas and the like are no blocks; other scopes (countries, networks' numbers) have no addresses.
        if text_of(decision, "type") != "ban" || !is_addressed(decision) {
            continue;
        }
        match (prefix(text_of(decision, "value")), duration(text_of(decision, "duration"))) {
            // It has run out already.
            (Ok(_), Some(Duration::ZERO)) => {}
            (Ok(prefix), Some(lasts)) => list.add(prefix, Some(lasts)),
            (Ok(prefix), None) => list.complain(number, format!("{prefix}: '{}' is no duration", shown(text_of(decision, "duration")))),
            (Err(why), _) => list.complain(number, why),
        }
    }
    for (number, decision) in decisions("deleted").enumerate().filter(|(_, decision)| is_addressed(decision)) {
        match prefix(text_of(decision, "value")) {
            Ok(prefix) if list.gone.len() < ENTRIES => list.gone.push(prefix),
            Ok(_) => list.over += 1,
            Err(why) => list.complain(number, why),
        }
    }
    Ok(())
}

fn text_of<'v>(decision: &'v Value, key: &str) -> &'v str {
    decision.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_addressed(decision: &Value) -> bool {
    let scope = text_of(decision, "scope");
    scope.eq_ignore_ascii_case("ip") || scope.eq_ignore_ascii_case("range")
}

/// A duration of Go's, `3h59m45.1s`; zero if it is negative: it is over.
fn duration(text: &str) -> Option<Duration> {
    let past = text.strip_prefix('-');
    let (mut rest, mut seconds) = (past.unwrap_or(text), 0.0_f64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit);
        let factor = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().map(|lasts| if past.is_some() { Duration::ZERO } else { lasts })
}

/// The prefixes from one address to another.
fn range(first: &str, last: &str) -> Result<Vec<Prefix>, String> {
    let text = || format!("'{}-{}'", shown(first), shown(last));
    let ends = match (first.trim().parse::<IpAddr>(), last.trim().parse::<IpAddr>()) {
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => (u128::from(u32::from(first)), u128::from(u32::from(last)), 32_u8),
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => (u128::from(first), u128::from(last), 128),
        _ => return Err(format!("{} is no range of addresses", text())),
    };
    let (mut from, to, bits) = ends;
    if from > to {
        return Err(format!("{} is no rising range", text()));
    }
    let mut prefixes = Vec::new();
    loop {
        // The largest block that begins here and doesn't go beyond.
        let aligned = from.trailing_zeros().min(u32::from(bits));
        let room = (to - from).checked_add(1).map_or(u32::from(bits), u128::ilog2);
        let size = aligned.min(room);
        let addr = if bits == 32 { IpAddr::V4(Ipv4Addr::from(from as u32)) } else { IpAddr::V6(Ipv6Addr::from(from)) };
        prefixes.push(Prefix::new(addr, bits - size as u8));
        match 1_u128.checked_shl(size).and_then(|step| from.checked_add(step)) {
            Some(next) if next <= to => from = next,
            _ => return Ok(prefixes),
        }
        if prefixes.len() >= RANGE_PREFIXES {
            return Err(format!("{} takes more than {RANGE_PREFIXES} prefixes", text()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes(list: &List) -> Vec<String> {
        list.entries.iter().map(|entry| entry.prefix.to_string()).collect()
    }

    #[test]
    fn a_plain_list_has_one_entry_a_line() {
        let text = "\u{feff}# remark\n192.0.2.7\n198.51.100.0/24 ; SBL1\n\n2001:db8::/32\t# net\n203.0.113.4-203.0.113.7\n203.0.113.9 - 203.0.113.10,x\n192.0.2.7 - worm\n\
                    203.0.113.16  -  203.0.113.31\n203.0.113.32\t-\t203.0.113.33\n203.0.113.64 -203.0.113.127 x\n192.0.2.7  -  1.2 worms\n";
        let list = read(Format::Plain, text).unwrap();
        assert_eq!(
            prefixes(&list),
            [
                "192.0.2.7",
                "198.51.100.0/24",
                "203.0.113.4/30",
                "203.0.113.9",
                "203.0.113.10",
                "203.0.113.16/28",
                "203.0.113.32/31",
                "203.0.113.64/26",
                "2001:db8::/32"
            ]
        );
        assert_eq!(list.unread, 0);
    }

    #[test]
    fn a_format_is_known_by_how_it_begins() {
        for (text, format) in [
            ("# x\n\n192.0.2.1\n", Format::Plain),
            ("", Format::Plain),
            ("<html>", Format::Plain),
            ("192.0.2.1\tSBL1\n", Format::Plain),
            ("#\n# c\nStart\tEnd\tNetmask\n", Format::Block),
            ("192.0.2.0\t192.0.2.255\t24\t1\tX\tDE\t\n", Format::Block),
            ("{\"cidr\":\"192.0.2.0/24\"}\n", Format::Drop),
            ("{\"new\":[],\"deleted\":null}", Format::Crowdsec),
        ] {
            assert_eq!(Format::of(text), format, "{text:?}");
        }
    }

    #[test]
    fn what_means_two_things_is_not_taken() {
        for bad in [
            "192.0.2.7/24",
            "256.1.1.1",
            "192.0.2.9-192.0.2.1",
            "192.0.2.0/33",
            "::1-192.0.2.1",
            "<html>",
            "192.0.2.9 - 192.0.2.300",
            "192.0.2.9  -  192.0.2.16/28",
            "192.0.2.9- 192.0.2.10",
            "2001:db8:: - 2001:db8::g",
        ] {
            let list = read(Format::Plain, &format!("192.0.2.1\n{bad}\n")).unwrap();
            assert_eq!((prefixes(&list), list.unread), (vec!["192.0.2.1".to_owned()], 1), "{bad}");
            assert!(list.problems[0].starts_with("2: "), "{:?}", list.problems);
            assert!(matches!(read(Format::Plain, bad), Err(Broken::Foreign(_))));
        }
    }

    #[test]
    fn dshield_s_list_is_read_by_its_columns() {
        let text = "# updated: 2026-11-20\nStart\tEnd\tNetmask\tAttacks\tName\tCountry\temail\n192.0.2.0\t192.0.2.255\t24\t4711\tA, B and C\tUS\t\n198.51.100.0\t198.51.100.127\t24\t1\tX\tDE\ta@b\n";
        let list = read(Format::Block, text).unwrap();
        assert_eq!((prefixes(&list), list.unread), (vec!["192.0.2.0/24".to_owned()], 1));
        assert!(matches!(read(Format::Block, "<html>\n"), Err(Broken::Foreign(_))));
    }

    #[test]
    fn spamhaus_list_says_how_long_it_is() {
        let line = "{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\"}\n";
        let whole = format!("{line}{}", "{\"type\":\"metadata\",\"records\":1}\n");
        assert_eq!(prefixes(&read(Format::Drop, &whole).unwrap()), ["192.0.2.0/24"]);
        assert_eq!(read(Format::Drop, &whole.replace(":1}", ":2}")), Err(Broken::Short { promised: 2, has: 1 }));
        assert!(matches!(read(Format::Drop, line), Err(Broken::Foreign(_))));
        assert!(matches!(read(Format::Drop, "<html>"), Err(Broken::Foreign(_))));
    }

    #[test]
    fn a_stream_of_decisions_comes_and_goes() {
        let text = r#"{"new":[{"duration":"3h59m45.5s","scope":"Ip","type":"ban","value":"192.0.2.7"},{"duration":"1h","scope":"Range","type":"ban","value":"2001:db8::/32"},{"duration":"9m","scope":"Ip","type":"ban","value":"192.0.2.7"},
            {"duration":"1h","scope":"Country","type":"ban","value":"XX"},{"duration":"1h","scope":"Ip","type":"captcha","value":"192.0.2.8"},{"duration":"-5s","scope":"Ip","type":"ban","value":"192.0.2.9"},
            {"duration":"soon","scope":"Ip","type":"ban","value":"192.0.2.10"}],"deleted":[{"scope":"ip","type":"ban","value":"192.0.2.11","duration":"-1s"}]}"#;
        let list = read(Format::Crowdsec, text).unwrap();
        let lasts: Vec<_> = list.entries.iter().map(|entry| entry.lasts.unwrap().as_secs_f64()).collect();
        assert_eq!((prefixes(&list), lasts), (vec!["192.0.2.7".to_owned(), "2001:db8::/32".to_owned()], vec![14_385.5, 3_600.0]));
        assert_eq!((list.gone, list.unread), (vec!["192.0.2.11".parse().unwrap()], 1));
        assert_eq!(read(Format::Crowdsec, r#"{"new":null,"deleted":null}"#), Ok(List::default()));
        assert!(read(Format::Crowdsec, r#"{"message":"forbidden"}"#).is_err() && read(Format::Crowdsec, "[]").is_err());
    }

    #[test]
    fn a_duration_is_no_longer_than_the_stack() {
        let texts = ["1h1.5s", "-5s", "", "-", "--5s", "h", "1", "1x"];
        let seconds = texts.map(|text| duration(text).map(|lasts| lasts.as_secs_f64()));
        assert_eq!(seconds, [Some(3_601.5), Some(0.0), None, None, None, None, None, None]);
        assert_eq!(duration(&"-".repeat(10 << 20)), None);
    }

    proptest! {
        #[test]
        fn a_range_is_covered_exactly(first: u16, length in 0..5_000_u32) {
            let first = 0xc000_0000 + u32::from(first);
            let last = first + length;
            let Ok(prefixes) = range(&Ipv4Addr::from(first).to_string(), &Ipv4Addr::from(last).to_string()) else { panic!("no range") };
            let mut next = IpAddr::V4(Ipv4Addr::from(first));
            for prefix in prefixes {
                prop_assert_eq!(prefix.addr(), next);
                let IpAddr::V4(end) = prefix.last() else { panic!("no IPv4") };
                next = IpAddr::V4(Ipv4Addr::from(u32::from(end) + 1));
            }
            prop_assert_eq!(next, IpAddr::V4(Ipv4Addr::from(last + 1)));
        }

        #[test]
        fn any_text_is_borne(text in "([-0-9a-f.:/#;\\t\\n{}\"\\[\\], ]|\"cidr\"|\"new\"|\"value\"|Ip|ban){0,60}") {
            for format in Format::ALL {
                if let Ok(list) = read(format, &text) {
                    prop_assert!(list.problems.len() <= PROBLEMS && list.problems.len() <= list.unread);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_ranges_too() {
        assert_eq!(range("0.0.0.0", "255.255.255.255").unwrap(), ["0.0.0.0/0".parse().unwrap()]);
        assert_eq!(range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").unwrap(), ["::/0".parse().unwrap()]);
        assert!(range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").is_ok_and(|prefixes| prefixes.len() == 254));
    }
}
