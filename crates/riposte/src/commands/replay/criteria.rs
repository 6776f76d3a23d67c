//! What a packet must be like to be looked at (`--only`) or printed (`--fields`): fields with conditions, as psad's `--CSV-fields` has them. Text
//! becomes typed conditions once; patterns run in linear time.

use super::fields::{Field, Kind, Packet, Value, find};
use crate::config::words::quoted;
use model::net::{Prefix, Protocol};
use model::time::Time;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use report::time::parse_rfc3339;

/// Bytes that a pattern may take when it is compiled.
const PATTERN_BYTES: usize = 4 << 20;

/// A field, and what its value must be.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which field.
    pub field: &'static Field,
    condition: Option<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// Both ends included.
    Range(u64, u64),
    Inside(Prefix),
    Is(Protocol),
    /// From the first time on, and before the second.
    Between(Time, Time),
    /// Without regard to capitals.
    Equals(String),
    Matches(Regex),
}

/// Reads a list such as `src, dst:192.0.2.0/24 dp:>1024 log_prefix:/DROP|REJ/`: commas or spaces between, a field each, behind it a colon and a
/// condition.
///
/// # Errors
/// One line that names the item and what would be right.
pub fn parse(list: &str) -> Result<Vec<Item>, String> {
    let items = split(list)?;
    if items.is_empty() {
        return Err("the list of fields is empty; an example: src,dst,dp:22".into());
    }
    items.into_iter().map(item).collect()
}

/// Likewise, where each must have a condition.
///
/// # Errors
/// One line that names the item and what would be right.
pub fn parse_conditions(list: &str) -> Result<Vec<Item>, String> {
    let items = parse(list)?;
    match items.iter().find(|item| item.condition.is_none()) {
        Some(item) => {
            Err(format!("{0} has no condition; an example: {0}:{1}", item.field.names.first().unwrap_or(&""), example(item.field.kind)))
        }
        None => Ok(items),
    }
}

/// Cuts a list at commas and spaces that stand in no quotes and in no pattern.
fn split(list: &str) -> Result<Vec<&str>, String> {
    let (mut items, mut start, mut inside) = (Vec::new(), 0, None);
    let mut before = ' ';
    for (at, c) in list.char_indices() {
        match inside {
            Some(close) if c == close && before != '\\' => inside = None,
            Some(_) => {}
            // Only where a condition begins: there are slashes in prefixes, too.
            None if matches!(c, '/' | '\'') && begins(list.get(start..at).unwrap_or_default()) => inside = Some(c),
            None if c == ',' || c.is_whitespace() => {
                items.push(list.get(start..at).unwrap_or_default());
                start = at + c.len_utf8();
            }
            None => {}
        }
        // A backslash that is itself escaped escapes nothing.
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    if let Some(close) = inside {
        return Err(format!("{} has no closing {close}", quoted(list.get(start..).unwrap_or_default())));
    }
    items.push(list.get(start..).unwrap_or_default());
    items.retain(|item| !item.is_empty());
    Ok(items)
}

/// Whether a condition begins behind this part of an item.
fn begins(item: &str) -> bool {
    item.split_once(':').is_some_and(|(_, rest)| matches!(rest, "" | "not" | "!"))
}

fn item(text: &str) -> Result<Item, String> {
    let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let field = find(name)?;
    let condition = match rest {
        None => None,
        Some(rest) => {
            let bare = rest.strip_prefix("not").or(rest.strip_prefix('!')).unwrap_or(rest);
            let test =
                test(field.kind, bare).map_err(|what| format!("{}: {what}; an example: {name}:{}", quoted(text), example(field.kind)))?;
            Some(Condition { negated: bare.len() < rest.len(), test })
        }
    };
    Ok(Item { field, condition })
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => ">1024",
        Kind::Address => "192.0.2.0/24",
        Kind::Protocol => "tcp",
        Kind::Time => ">2026-03-01T12:00:00Z",
        Kind::Text => "'DROP'",
    }
}

fn test(kind: Kind, text: &str) -> Result<Test, String> {
    let inside = |mark: char| text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)).filter(|_| text.len() > 1);
    if let Some(pattern) = inside('/') {
        return compile(pattern).map(Test::Matches);
    }
    if let Some(literal) = inside('\'') {
        // psad's way to ask for a protocol or a TOS.
        return Ok(plain(kind, literal).unwrap_or_else(|_| Test::Equals(literal.to_owned())));
    }
    if text.starts_with(['/', '\'']) {
        return Err("nothing may stand behind the closing mark; (?i) at a pattern's begin passes over capitals".into());
    }
    if text.is_empty() {
        return Err("there is no condition behind the colon".into());
    }
    plain(kind, text)
}

/// A condition without marks around it.
fn plain(kind: Kind, text: &str) -> Result<Test, String> {
    match kind {
        Kind::Number => range(text).map(|(low, high)| Test::Range(low, high)),
        Kind::Address => text.parse().map(Test::Inside).map_err(|error: model::net::PrefixError| error.to_string()),
        Kind::Protocol => Protocol::parse(text).map(Test::Is).ok_or_else(|| "no protocol's name or number".into()),
        Kind::Time => span(text).map(|(from, to)| Test::Between(from, to)),
        Kind::Text => Ok(Test::Equals(text.to_owned())),
    }
}

/// `>n`, `>=n`, `<n`, `<=n`, `a-b` or `n`. Nothing is less than 0.
fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).map_err(|_| format!("{} is no number", quoted(text))),
        None => text.parse::<u64>().map_err(|_| format!("{} is no number", quoted(text))),
    };
    if let Some(rest) = text.strip_prefix(">=") {
        return Ok((number(rest)?, u64::MAX));
    }
    if let Some(rest) = text.strip_prefix("<=") {
        return Ok((0, number(rest)?));
    }
    if let Some(rest) = text.strip_prefix('>') {
        return Ok((number(rest)?.saturating_add(1), u64::MAX));
    }
    if let Some(rest) = text.strip_prefix('<') {
        return number(rest)?.checked_sub(1).map(|most| (0, most)).ok_or_else(|| "nothing is less than 0".into());
    }
    match text.split_once('-') {
        Some((low, high)) => match (number(low)?, number(high)?) {
            (low, high) if low > high => Err(format!("{low} is more than {high}")),
            range => Ok(range),
        },
        None => number(text).map(|n| (n, n)),
    }
}

/// `>t`, `<t` or `t`, where t is a time or a whole day.
fn span(text: &str) -> Result<(Time, Time), String> {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    let (mark, rest) = match text.strip_prefix(['<', '>']) {
        Some(rest) => (text.get(..1).unwrap_or_default(), rest),
        None => ("", text),
    };
    let day = parse_rfc3339(&format!("{rest}T00:00:00Z")).map(|day| (day, day.after(DAY)));
    let whole = day.or_else(|| parse_rfc3339(rest).map(|at| (at, at.after(std::time::Duration::from_nanos(1)))));
    let (from, to) = whole.ok_or_else(|| format!("{} is no time", quoted(rest)))?;
    Ok(match mark {
        "<" => (Time::EPOCH, from),
        ">" => (to, Time::from_nanos(u64::MAX)),
        _ => (from, to),
    })
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let config = Regex::config().utf8_empty(false).nfa_size_limit(Some(PATTERN_BYTES)).hybrid_cache_capacity(PATTERN_BYTES);
    let built = Regex::builder().syntax(syntax::Config::new().utf8(false)).configure(config).build(pattern);
    built.map_err(|error| match error.syntax_error() {
        Some(syntax) => {
            format!("the pattern is wrong: {}", syntax.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
        }
        None => "the pattern is too large".to_owned(),
    })
}

impl Item {
    /// Whether the packet is as it must be. What the log does not tell is equal to nothing.
    pub fn holds(&self, packet: &Packet<'_>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.test.holds(&(self.field.read)(packet)) != condition.negated)
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (_, Value::Absent) => false,
            (Test::Range(low, high), Value::Number(n)) => (*low..=*high).contains(n),
            (Test::Inside(prefix), Value::Address(addr)) => prefix.contains(*addr),
            (Test::Is(wanted), Value::Protocol(protocol)) => wanted == protocol,
            (Test::Between(from, to), Value::Time(at)) => (*from..*to).contains(at),
            (Test::Equals(text), value) => value.bytes().eq_ignore_ascii_case(text.as_bytes()),
            (Test::Matches(regex), value) => regex.is_match(&*value.bytes()),
            // A field's values are of its own kind, and so are its tests.
            (Test::Range(..) | Test::Inside(_) | Test::Is(_) | Test::Between(..), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sense::firewall::{FirewallLog, LogClock, Provenance};

    const SYN: &str = "Mar  1 12:00:00 host kernel: [1] REJ SID2003 ESTAB IN=eth0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 \
        SRC=198.51.100.7 DST=203.0.113.10 LEN=60 TOS=0x10 PREC=0x00 TTL=52 ID=4711 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0 \
        OPT (020405B40402080A)";
    const NULL: &str = "Mar  1 12:00:01 host kernel: DROP IN=eth0 OUT= SRC=198.51.100.7 DST=203.0.113.10 LEN=40 TTL=52 PROTO=TCP SPT=1 DPT=2 WINDOW=0 RES=0x00 URGP=0";
    const UDP: &str = "Mar  1 12:00:02 host kernel: IN=eth1 OUT=eth2 SRC=2001:db8::1 DST=2001:db8::2 LEN=75 TC=3 HOPLIMIT=50 FLOWLBL=9 PROTO=UDP SPT=5 DPT=53 LEN=35";
    const PING: &str = "Mar  1 12:00:03 host kernel: P IN=eth0 OUT= SRC=192.0.2.1 DST=203.0.113.10 LEN=84 TTL=9 OPT (07040400) PROTO=ICMP TYPE=8 CODE=0 ID=7 SEQ=3";

    const TUNNELED: &str = "Mar  1 12:00:04 host kernel: IN=sit1 OUT= MAC=45:00:00:50:00:00:40:00:40:29 SRC=2001:db8::1 DST=2001:db8::2 LEN=107 TC=3 HOPLIMIT=50 FLOWLBL=9 \
        PROTO=ICMPv6 TYPE=1 CODE=4 [SRC=2001:db8::2 DST=2001:db8::1 LEN=59 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=UDP SPT=5 DPT=6 LEN=19 ]";

    fn with<R>(line: &str, then: impl FnOnce(&Packet<'_>) -> R) -> R {
        let clock = LogClock { utc_offset: Box::new(|_| 0), reference: Time::from_secs(1_772_409_600), boot: None };
        let mut log = FirewallLog::new(0, Provenance::Syslog, clock, 32_768..=60_999);
        let (mut then, mut result) = (Some(then), None);
        log.line(line.as_bytes(), Time::EPOCH, |sighting| {
            result = then.take().map(|then| then(&Packet { sighting, line: line.as_bytes(), number: 7 }));
        });
        result.expect("the line has one packet")
    }

    fn is(list: &str, line: &str) -> bool {
        let items = parse(list).unwrap();
        with(line, |packet| items.iter().all(|item| item.holds(packet)))
    }

    fn value(name: &str, line: &str) -> String {
        with(line, |packet| String::from_utf8((find(name).unwrap().read)(packet).bytes().into_owned()).unwrap())
    }

    #[test]
    fn fields_have_their_values() {
        for (name, line, expected) in [
            ("timestamp", SYN, "2026-03-01T12:00:00Z"),
            ("SRC", SYN, "198.51.100.7"),
            ("target", SYN, "203.0.113.10"),
            ("SPT", SYN, "40000"),
            ("dport", SYN, "22"),
            ("PROTO", SYN, "tcp"),
            ("flags", SYN, "SYN"),
            ("flags", NULL, "NULL"),
            ("flags", UDP, ""),
            ("LEN", SYN, "60"),
            ("intf", UDP, "eth1"),
            ("OUT", UDP, "eth2"),
            ("OUT", SYN, ""),
            ("chain", UDP, "FORWARD"),
            ("frag_bit", SYN, "1"),
            ("frag_bit", NULL, "0"),
            ("log_prefix", NULL, "DROP"),
            ("src_mac", SYN, "02:00:00:00:00:02"),
            ("dst_mac", SYN, "02:00:00:00:00:01"),
            ("dst_mac", NULL, ""),
            ("ID", SYN, "4711"),
            ("ttl", SYN, "52"),
            ("ttl", UDP, ""),
            ("hop_limit", UDP, "50"),
            ("tos", SYN, "16"),
            ("tc", SYN, ""),
            ("flow_label", UDP, "9"),
            ("is_ipv6", UDP, "1"),
            ("is_ipv6", SYN, "0"),
            ("ip_opts", PING, "07040400"),
            ("ip_opts", SYN, ""),
            ("tcp_opts", SYN, "020405B40402080A"),
            ("tcp_opts", NULL, ""),
            ("itype", PING, "8"),
            ("CODE", PING, "0"),
            ("icmp_id", PING, "7"),
            ("icmp_seq", PING, "3"),
            ("win", SYN, "1024"),
            ("udp_len", UDP, "35"),
            ("udp_len", SYN, ""),
            ("flow_label", TUNNELED, "9"),
            ("dst_mac", TUNNELED, ""),
            ("itype", TUNNELED, "1"),
            ("fwsnort_sid", SYN, "2003"),
            ("fwsnort_rnum", SYN, "1"),
            ("fwsnort_estab", SYN, "1"),
            ("fwsnort_sid", NULL, ""),
            ("is_masscan", SYN, "0"),
            ("syslog_host", SYN, "host"),
            ("line", SYN, "7"),
            ("ignored", PING, "ping"),
        ] {
            assert_eq!(value(name, line), expected, "{name}");
        }
    }

    #[test]
    fn conditions_hold_or_do_not() {
        for (list, line, holds) in [
            ("dp:22", SYN, true),
            ("dp:23", SYN, false),
            ("dp:>21", SYN, true),
            ("dp:>22", SYN, false),
            ("dp:>=22", SYN, true),
            ("dp:<22", SYN, false),
            ("dp:<23", SYN, true),
            ("dp:<=22", SYN, true),
            ("dp:20-22", SYN, true),
            ("dp:1-21", SYN, false),
            ("dp:not22", SYN, false),
            ("dp:!80", SYN, true),
            ("tos:0x10", SYN, true),
            ("TOS:'0x10'", SYN, true),
            ("tos:not'0x10'", SYN, false),
            ("frag_bit:1", SYN, true),
            ("proto:'tcp'", SYN, true),
            ("proto:'icmp6'", SYN, false),
            ("chain:/^INPUT$/", SYN, true),
            ("chain:input", SYN, true),
            ("src:198.51.100.7", SYN, true),
            ("src:198.51.100.8", SYN, false),
            ("src:198.51.100.0/24", SYN, true),
            ("src:198.51.100.0/255.255.255.0", SYN, true),
            ("src:not198.51.100.0/24", SYN, false),
            ("src:2001:db8::/32", UDP, true),
            ("src:2001:db9::/32", UDP, false),
            ("src:2001:db8::1", UDP, true),
            ("src:/^198[.]51/", SYN, true),
            ("src:not/^198[.]51/", SYN, false),
            ("proto:tcp", SYN, true),
            ("proto:6", SYN, true),
            ("proto:17", SYN, false),
            ("PROTO:not/udp/", SYN, true),
            ("log_prefix:/sid\\d+/", SYN, false),
            ("log_prefix:/SID\\d+ ESTAB/", SYN, true),
            ("log_prefix:'drop'", NULL, true),
            ("log_prefix:DRO", NULL, false),
            ("log_prefix:'[1] REJ SID2003 ESTAB'", SYN, true),
            ("log_prefix:/A,B|[D],?R/", NULL, true),
            ("flags:'SYN'", SYN, true),
            ("flags:null", NULL, true),
            ("time:2026-03-01", SYN, true),
            ("time:2026-02-28", SYN, false),
            ("time:>2026-02-28", SYN, true),
            ("time:>2026-03-01", SYN, false),
            ("time:<2026-03-01T12:00:00Z", SYN, false),
            ("time:<2026-03-01T12:00:01Z", SYN, true),
            ("time:>2026-03-01T12:00:00Z", NULL, true),
            // What is not told is equal to nothing, and so it is "not" anything.
            ("ttl:>0", UDP, false),
            ("ttl:not5", UDP, true),
            ("raw:/DF PROTO/", SYN, true),
            ("src dst, sp dp:22  SRC:198.51.100.0/24,proto:tcp", SYN, true),
            ("src dst, sp dp:22  SRC:198.51.100.0/24,proto:udp", SYN, false),
        ] {
            assert_eq!(is(list, line), holds, "{list}");
        }
    }

    #[test]
    fn a_wrong_list_says_what_would_be_right() {
        for (list, error) in [
            ("", "the list of fields is empty; an example: src,dst,dp:22"),
            ("scr", "there is no field 'scr'; did you mean 'src'?; all: "),
            ("log_prefx:x", "there is no field 'log_prefx'; did you mean 'log_prefix'?; all: "),
            ("dp:ssh", "'dp:ssh': 'ssh' is no number; an example: dp:>1024"),
            ("dp:<0", "'dp:<0': nothing is less than 0; an example: dp:>1024"),
            ("dp:30-20", "'dp:30-20': 30 is more than 20; an example: dp:>1024"),
            ("log_prefix:/drop/i", "'log_prefix:/drop/i': nothing may stand behind the closing mark; (?i) at a pattern's begin"),
            ("raw:not'a'b", "'raw:not'a'b': nothing may stand behind the closing mark; "),
            ("dp:", "'dp:': there is no condition behind the colon; an example: dp:>1024"),
            ("src:>5", "'src:>5': "),
            ("proto:tpc", "'proto:tpc': no protocol's name or number; an example: proto:tcp"),
            ("time:now", "'time:now': 'now' is no time; an example: time:>2026-03-01T12:00:00Z"),
            ("raw:/a(/", "'raw:/a(/': the pattern is wrong: unclosed group; an example: raw:'DROP'"),
            ("raw:/a", "'raw:/a' has no closing /"),
            ("raw:/(((a{99}){99}){99}){99}/", "'raw:/(((a{99}){99}){99}){99}/': the pattern is too large; an example: raw:'DROP'"),
        ] {
            let said = parse(list).unwrap_err();
            assert!(said.starts_with(error), "{list}: {said}");
        }
        assert_eq!(parse_conditions("dp:22 src").unwrap_err(), "src has no condition; an example: src:192.0.2.0/24");
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(list in "\\PC{0,40}|(src|dp|raw|time|not|[:,/'<>=0-9. -]){0,12}") {
            if let Ok(items) = parse(&list) {
                with(SYN, |packet| items.iter().for_each(|item| { item.holds(packet); }));
            }
        }
    }
}
