//! The same for people: verdict, ports, what riposte sees, advice. Text of rules is escaped.

use super::Found;
use report::escape;
use ruleset::advice::{hidden, outside, reach};
use ruleset::ask::Fate;
use ruleset::survey::{Open, Survey, Usual, Whom};
use ruleset::{Version, json};
use std::io::{self, Write};

/// Ports of one version that are listed.
const LINES: usize = 60;

/// Whether riposte's packet sensor sees what is refused.
pub struct Seen {
    /// Of which version.
    pub version: Version,
    /// TCP or UDP.
    pub protocol: &'static str,
    /// Where it comes in; `*` for any that no rule names.
    pub interface: String,
    /// Whether it does.
    pub seen: bool,
    /// Why, or why not.
    pub why: String,
}

/// By interface, what riposte's packet sensor sees of packets to ports where nobody listens.
pub fn seen(found: &Found) -> Vec<Seen> {
    let mut all = Vec::new();
    for survey in &found.surveys {
        for side in outside(survey, &found.circumstances) {
            for (protocol, usual) in [("TCP", &side.tcp), ("UDP", &side.udp)] {
                let place = usual.at.as_ref().map_or("nothing decides before".to_owned(), json::place);
                let (seen, why) = match (found.circumstances.group, hidden(usual.at.as_ref(), found.circumstances.probes)) {
                    (None, _) => (false, "the packet sensor is off ([sense.nflog] enabled)".to_owned()),
                    (_, true) if usual.fate != Fate::Accepted => (false, format!("{} before: {place}", json::fate(usual.fate))),
                    _ => (true, "by NFLOG, before the filter at input priority 0".to_owned()),
                };
                let interface = json::interface(&side.interface).to_owned();
                all.push(Seen { version: survey.version, protocol, interface, seen, why });
            }
        }
    }
    all
}

/// Writes everything.
pub fn write(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<&str> = found.tools.iter().map(|tool| tool.name()).collect();
    writeln!(out, "{} rules, by {}", found.rules.rules, names.join(", "))?;
    for survey in &found.surveys {
        verdict(found, survey, out)?;
    }
    for survey in &found.surveys {
        ports(found, survey, out)?;
    }
    writeln!(out, "\nWhat riposte sees of packets to ports where nobody listens")?;
    for one in seen(found) {
        let seen = if one.seen { "seen" } else { "not seen" };
        writeln!(out, "  {} {} on {:<8} {seen}: {}", one.version, one.protocol, escaped(&one.interface), escaped(&one.why))?;
    }
    if !found.rules.strange.is_empty() {
        writeln!(out, "\nNot understood, taken as \"maybe\"")?;
        for one in found.rules.strange.iter().take(20) {
            writeln!(out, "  line {}: {}", one.line, escaped(&one.text))?;
        }
        if found.rules.strange.len() > 20 {
            writeln!(out, "  and {} more (--json has them)", found.rules.strange.len() - 20)?;
        }
    }
    advice(found, out)
}

fn verdict(found: &Found, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    for side in outside(survey, &found.circumstances) {
        let on = if side.interface.is_some() { format!(" on {}", json::interface(&side.interface)) } else { String::new() };
        let (tcp, udp) = (usual(&side.tcp), usual(&side.udp));
        let said = if tcp == udp { format!("new connections are {tcp}") } else { format!("new TCP connections are {tcp}; UDP: {udp}") };
        writeln!(out, "{}{}: {}; ping: {}", survey.version, escaped(&on), escaped(&said), json::fate(side.ping))?;
    }
    Ok(())
}

fn usual(usual: &Usual) -> String {
    let logged = match usual.logs.first() {
        _ if usual.fate == Fate::Accepted && usual.logs.is_empty() => String::new(),
        None => ", not logged".to_owned(),
        Some((log, limit)) => {
            let to = log.group.map_or(String::new(), |group| format!(" to NFLOG group {group}"));
            let limit = limit.as_ref().map_or(String::new(), |limit| format!(" up to {limit}"));
            format!(", logged{to} as \"{}\"{limit}", log.prefix)
        }
    };
    let place = usual.at.as_ref().map_or(String::new(), |at| format!(" ({})", json::place(at)));
    let depends: Vec<String> = usual.exceptions.iter().take(2).map(|(fate, on)| format!(", but {} {on}", json::fate(*fate))).collect();
    format!("{}{logged}{place}{}", json::fate(usual.fate), depends.concat())
}

fn ports(found: &Found, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}: who reaches which port", survey.version)?;
    if survey.open.is_empty() {
        writeln!(out, "  nobody any")?;
    }
    for open in survey.open.iter().take(LINES) {
        let range = if open.low == open.high { open.low.to_string() } else { format!("{}-{}", open.low, open.high) };
        let whom: Vec<String> = open.to.iter().map(|whom| words(survey.version, whom)).collect();
        let listening = listeners(found, survey, open);
        let protocol = if open.protocol == 6 { "tcp" } else { "udp" };
        writeln!(out, "  {protocol} {range:<12} {}{listening}", escaped(&whom.join("; ")))?;
    }
    if survey.open.len() > LINES {
        writeln!(out, "  and {} more (--json has them)", survey.open.len() - LINES)?;
    }
    if survey.left_out > 0 {
        writeln!(out, "  ({} addresses or interfaces more are named in the rules than were asked about)", survey.left_out)?;
    }
    Ok(())
}

/// Who listens there, if that is known.
fn listeners(found: &Found, survey: &Survey, open: &Open) -> String {
    let Some(all) = &found.circumstances.listening else { return String::new() };
    let mut ports: Vec<u16> = all
        .iter()
        .filter(|(protocol, address, port)| {
            let family = address.is_ipv4() == (survey.version == Version::V4) || address.is_unspecified();
            *protocol == open.protocol && family && !address.is_loopback() && (open.low..=open.high).contains(port)
        })
        .map(|(_, _, port)| *port)
        .filter(|port| reach(survey, open.protocol, *port) != "nobody")
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let elsewhere = open.to.iter().any(|whom| whom.sent_to.is_some());
    match ports.as_slice() {
        [] if elsewhere => String::new(),
        [] => "    (nobody listens)".to_owned(),
        _ if open.low == open.high => String::new(),
        some => {
            let shown: Vec<String> = some.iter().take(12).map(ToString::to_string).collect();
            let more = if some.len() > 12 { ", …" } else { "" };
            format!("    (listening: {}{more})", shown.join(", "))
        }
    }
}

fn words(version: Version, whom: &Whom) -> String {
    let nets: Vec<String> = whom.nets.iter().take(8).map(|net| json::range(version, *net)).collect();
    let more = if whom.nets.len() > 8 { format!(" and {} more", whom.nets.len() - 8) } else { String::new() };
    let mut text = match (whom.anybody, whom.maybe, nets.is_empty()) {
        (true, _, true) => "anybody".to_owned(),
        (true, _, false) => format!("anybody but {}{more}", nets.join(", ")),
        (false, _, false) => format!("{}{more}", nets.join(", ")),
        (false, true, true) => "maybe".to_owned(),
        (false, false, true) => "nobody".to_owned(),
    };
    if !whom.interfaces.is_empty() {
        let on: Vec<&str> = whom.interfaces.iter().map(|name| name.as_deref().unwrap_or("other interfaces")).collect();
        text += &format!(" on {}", on.join(", "));
    }
    if let Some(limit) = &whom.limit {
        text += &format!(", up to {limit}");
    }
    match whom.sent_to {
        Some((Some(address), port)) => {
            text += &format!(", sent on to {address}{}", port.map_or(String::new(), |port| format!(" port {port}")))
        }
        Some((None, Some(port))) => text += &format!(", sent on to port {port}"),
        Some((None, None)) => text += ", sent on elsewhere",
        None => (),
    }
    for (fate, on) in whom.unless.iter().take(3) {
        text += &format!(", {} {on}", json::fate(*fate));
    }
    text
}

fn advice(found: &Found, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nAdvice")?;
    if found.advice.is_empty() && found.notes.is_empty() {
        writeln!(out, "  none: this is fine")?;
    }
    for one in &found.advice {
        let mark = if one.heavy { "!" } else { "-" };
        let version = one.version.map_or(String::new(), |version| format!("{version}: "));
        writeln!(out, "  {mark} {version}{}", escaped(&one.what))?;
        if let Some(act) = &one.act {
            writeln!(out, "      {}", escaped(act))?;
        }
    }
    for note in &found.notes {
        writeln!(out, "  - {}", escaped(note))?;
    }
    Ok(())
}

/// Text of rules, as it may be shown on a terminal.
fn escaped(text: &str) -> String {
    escape::text(text, 2_000)
}
