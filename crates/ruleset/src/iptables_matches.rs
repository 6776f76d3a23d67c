//! The conditions of an iptables rule. What is unknown, and what a ruleset can't tell (an ipset's content, the time of day), stays a condition
//! of which nothing is known.

use crate::iptables::Given;
use crate::names::{address_number, flags, icmp_type, number, prefix, protocol, shown, value};
use crate::rules::{Key, Match, Step, Value, Version};
use std::net::IpAddr;

/// Modules about what no ruleset says. They are known, so nobody is told that they aren't.
const ELSEWHERE: [&str; 26] = [
    "set",
    "mac",
    "owner",
    "time",
    "string",
    "geoip",
    "u32",
    "bpf",
    "statistic",
    "ttl",
    "hl",
    "length",
    "physdev",
    "socket",
    "osf",
    "quota",
    "connbytes",
    "helper",
    "dscp",
    "tos",
    "tcpmss",
    "devgroup",
    "cgroup",
    "realm",
    "ipvs",
    "connlabel",
];

/// Conditions; whether the target is a goto, and its place among the options.
type Read = (Vec<Step>, Option<(bool, usize)>);

/// Reads conditions up to the target.
///
/// # Errors
/// What can't be a rule at all.
pub(crate) fn read(version: Version, given: &[Given<'_>], strange: &mut Vec<String>) -> Result<Read, String> {
    let mut steps = Vec::new();
    let (mut module, mut protocol_number) = ("", None);
    let mut at = 0;
    while let Some(one) = given.get(at) {
        match one.option {
            "-j" | "--jump" => return Ok((steps, Some((false, at)))),
            "-g" | "--goto" => return Ok((steps, Some((true, at)))),
            "-m" | "--match" => {
                module = one.value();
                let all = module_options(&given[at + 1..]);
                if let Some(step) = whole_module(module, &given[at + 1..=at + all]) {
                    steps.extend(step);
                    at += all;
                }
            }
            "-p" | "--protocol" => {
                protocol_number = protocol(one.value()).filter(|_| !one.negated);
                if !matches!(one.value(), "all" | "0" | "ip" | "ipv6") {
                    steps.push(matched(Key::Protocol(None), one));
                }
            }
            _ => match option(version, protocol_number, module, one)? {
                Understood::Step(step) => steps.push(step),
                Understood::Nothing => (),
                Understood::Not => {
                    let text = if module.is_empty() { one.text() } else { format!("-m {module} {}", one.text()) };
                    if !ELSEWHERE.contains(&module) {
                        strange.push(text.clone());
                    }
                    steps.push(Step::Match(Match::strange(text)));
                }
            },
        }
        at += 1;
    }
    Ok((steps, None))
}

enum Understood {
    Step(Step),
    /// It changes nothing of who is meant.
    Nothing,
    Not,
}

/// How many options belong to the module that was named just now.
fn module_options(rest: &[Given<'_>]) -> usize {
    let end = |one: &Given<'_>| {
        matches!(one.option, "-m" | "--match" | "-j" | "--jump" | "-g" | "--goto" | "-s" | "-d" | "-i" | "-o" | "-p" | "-f")
    };
    rest.iter().position(end).unwrap_or(rest.len())
}

/// Modules whose options mean something only together. `None`: option by option.
fn whole_module(module: &str, options: &[Given<'_>]) -> Option<Vec<Step>> {
    let find = |name: &str| options.iter().find(|one| one.option == name);
    let text = || {
        let all: Vec<String> = options.iter().map(Given::text).collect();
        shown(&format!("{module} {}", all.join(" "))).trim_end().to_owned()
    };
    let yes = |key, on: bool| vec![Step::Match(Match::new(key, vec![Value::one(u128::from(on))], false, text()))];
    Some(match module {
        "comment" => Vec::new(),
        "limit" => vec![limit(false, find("--limit").map_or("3/hour", |one| one.value()))],
        "hashlimit" => match (find("--hashlimit-above"), find("--hashlimit-upto").or(find("--hashlimit"))) {
            (Some(above), _) => vec![limit(true, &format!("{} per source", above.value()))],
            (None, Some(upto)) => vec![limit(upto.negated, &format!("{} per source", upto.value()))],
            (None, None) => return None,
        },
        "connlimit" => match (find("--connlimit-above"), find("--connlimit-upto")) {
            (Some(above), _) => vec![limit(!above.negated, &format!("{} connections", above.value()))],
            (None, Some(upto)) => vec![limit(upto.negated, &format!("{} connections", upto.value()))],
            (None, None) => return None,
        },
        "recent" => match (find("--set"), find("--hitcount")) {
            (Some(set), _) if !set.negated => Vec::new(),
            (None, Some(hits)) => {
                let seconds = find("--seconds").map_or("any time", |one| one.value());
                vec![limit(true, &format!("{} hits in {seconds} seconds", hits.value()))]
            }
            _ => vec![Step::Match(Match::strange(text()))],
        },
        "rpfilter" => yes(Key::ReversePath, find("--invert").is_none()),
        "frag" | "rt" | "hbh" | "dst" | "ipv6header" | "ipv4options" | "mh" => yes(Key::Odd, true),
        // Packets without IPsec around them are what is asked about.
        "policy" => match find("--pol") {
            Some(pol) if pol.value() == "none" => Vec::new(),
            _ => vec![Step::Match(Match::strange(text()))],
        },
        _ if ELSEWHERE.contains(&module) => vec![Step::Match(Match::strange(text()))],
        _ => return None,
    })
}

fn limit(over: bool, text: &str) -> Step {
    Step::Limit { over, text: shown(text) }
}

fn matched(key: Key, one: &Given<'_>) -> Step {
    let values = one.value().split(',').map(|word| value(&key, word)).collect();
    Step::Match(Match::new(key, values, one.negated, one.text()))
}

fn option(version: Version, protocol: Option<u8>, module: &str, one: &Given<'_>) -> Result<Understood, String> {
    let is = |key: Key, values: Vec<Value>| Understood::Step(Step::Match(Match::new(key, values, one.negated, one.text())));
    let needed = || match one.value() {
        "" => Err(format!("{} has no value", one.option)),
        text => Ok(text),
    };
    Ok(match one.option {
        "-s" | "--source" | "--src" => addresses(Key::Source(version), version, one)?,
        "-d" | "--destination" | "--dst" => addresses(Key::Destination(version), version, one)?,
        "-i" | "--in-interface" => is(Key::InterfaceIn, vec![interface(needed()?)]),
        "-o" | "--out-interface" => is(Key::InterfaceOut, vec![interface(needed()?)]),
        "-f" | "--fragment" => is(Key::Odd, vec![Value::one(1_u8)]),
        "-4" | "--ipv4" | "-6" | "--ipv6" => Understood::Nothing,
        "--dport" | "--destination-port" => is(Key::Port(protocol), vec![ports(needed()?)?]),
        "--sport" | "--source-port" => is(Key::SourcePort(protocol), vec![ports(needed()?)?]),
        "--dports" | "--destination-ports" => is(Key::Port(protocol), needed()?.split(',').map(ports).collect::<Result<_, _>>()?),
        "--sports" | "--source-ports" => is(Key::SourcePort(protocol), needed()?.split(',').map(ports).collect::<Result<_, _>>()?),
        "--syn" => is(Key::TcpFlags(0x17), vec![Value::one(2_u8)]),
        "--tcp-flags" => match (flags(one.value()), one.values.get(1).and_then(|word| flags(word))) {
            (Some(mask), Some(wanted)) => is(Key::TcpFlags(mask), vec![Value::one(wanted)]),
            _ => Understood::Not,
        },
        "--icmp-type" | "--icmpv6-type" => icmp(version, one),
        "--ctstate" | "--state" => is(Key::State, states(&Key::State, needed()?)),
        "--ctstatus" => is(Key::Status, states(&Key::Status, needed()?)),
        "--ctdir" => is(Key::Direction, states(&Key::Direction, needed()?)),
        "--src-type" => is(Key::SourceType, states(&Key::SourceType, needed()?)),
        "--dst-type" => is(Key::DestinationType, states(&Key::DestinationType, needed()?)),
        "--limit-iface-in" | "--limit-iface-out" => Understood::Nothing,
        "--pkt-type" => is(Key::PacketType, states(&Key::PacketType, needed()?)),
        "--mark" if matches!(module, "mark" | "connmark") => match mark(needed()?) {
            Some((wanted, mask)) if module == "mark" => is(Key::Mark(mask), vec![Value::one(wanted)]),
            Some((wanted, mask)) => is(Key::ConnectionMark(mask), vec![Value::one(wanted)]),
            None => Understood::Not,
        },
        "--src-range" => between(Key::Source(version), one).map_or(Understood::Not, Understood::Step),
        "--dst-range" => between(Key::Destination(version), one).map_or(Understood::Not, Understood::Step),
        _ => Understood::Not,
    })
}

fn addresses(key: Key, version: Version, one: &Given<'_>) -> Result<Understood, String> {
    let read =
        |word: &str| prefix(version, word).ok_or_else(|| format!("{}: '{}' is no {version} address or prefix", one.option, shown(word)));
    // A mask with holes is legal, and nobody uses it.
    let holes =
        |word: &str| word.split_once('/').is_some_and(|(_, mask)| mask.parse::<IpAddr>().is_ok()) && prefix(version, word).is_none();
    if one.value().split(',').any(holes) {
        return Ok(Understood::Not);
    }
    let values = one.value().split(',').map(read).collect::<Result<_, _>>()?;
    Ok(Understood::Step(Step::Match(Match::new(key, values, one.negated, one.text()))))
}

fn interface(word: &str) -> Value {
    Value::Name(word.strip_suffix('+').map_or_else(|| word.to_owned(), |start| format!("{start}*")))
}

/// `22`, `1000:2000`, `:1023`, `1024:`
fn ports(word: &str) -> Result<Value, String> {
    let port = |text: &str, open: u16| if text.is_empty() { Some(open) } else { port_number(text) };
    let (low, high) = word.split_once(':').unwrap_or((word, word));
    match (port(low, 0), port(high, u16::MAX)) {
        (Some(low), Some(high)) if low <= high && !word.is_empty() => Ok(Value::Range(low.into(), high.into())),
        _ => Err(format!("'{}' is no port and no range of ports", shown(word))),
    }
}

fn port_number(text: &str) -> Option<u16> {
    match value(&Key::Port(None), text) {
        Value::Range(low, high) if low == high => u16::try_from(low).ok(),
        Value::Range(..) | Value::Name(_) | Value::Strange(_) => None,
    }
}

fn states(key: &Key, words: &str) -> Vec<Value> {
    words.split(',').map(|word| value(key, &word.to_ascii_lowercase().replace('_', "-"))).collect()
}

fn icmp(version: Version, one: &Given<'_>) -> Understood {
    let word = one.value();
    if matches!(word, "any" | "255") && version == Version::V4 {
        return Understood::Nothing;
    }
    let (kind, code) = word.split_once('/').map_or((word, None), |(kind, code)| (kind, code.parse::<u8>().ok()));
    let Some(kind) = icmp_type(version, kind) else { return Understood::Not };
    let set = |key: Key, n: u8| Step::Match(Match::new(key, vec![Value::one(n)], one.negated, one.text()));
    match code {
        None => Understood::Step(set(Key::IcmpType(version), kind)),
        // Type and code together; the code of what is asked about is 0, so another one is another message.
        Some(0) => Understood::Step(set(Key::IcmpType(version), kind)),
        Some(code) => Understood::Step(set(Key::IcmpCode(version), code)),
    }
}

/// `0x1/0xff`
pub(crate) fn mark(text: &str) -> Option<(u32, u32)> {
    let (wanted, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some((u32::try_from(number(wanted)?).ok()?, u32::try_from(number(mask)?).ok()?))
}

fn between(key: Key, one: &Given<'_>) -> Option<Step> {
    let (low, high) = one.value().split_once('-').unwrap_or((one.value(), one.value()));
    let (low, high) = (low.parse::<IpAddr>().ok()?, high.parse::<IpAddr>().ok()?);
    let (low, high) = (address_number(low), address_number(high));
    (low <= high).then(|| Step::Match(Match::new(key, vec![Value::Range(low, high)], one.negated, one.text())))
}
