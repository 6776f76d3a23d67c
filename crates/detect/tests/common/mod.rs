//! Scripts of events for tests, and offences as text. Never asserts anything itself.

use detect::Detector;
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use model::event::{Act, Event, Origin, Probe, TcpFlags, Trust};
use model::net::Protocol;
use model::offence::Offence;
use model::style::Style;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// One probe.
fn probe(at: Time, actor: IpAddr, target: IpAddr, protocol: Protocol, port: Option<u16>, style: Option<Style>) -> Event {
    let flags = (protocol == Protocol::TCP).then_some(TcpFlags(TcpFlags::SYN));
    let act = Act::Probe(Probe { protocol, source_port: None, port, flags, icmp: None, style, hops: None });
    Event { at, origin: Origin::default(), actor, target: Some(target), act, trust: Trust::Spoofable, times: 1 }
}

/// Reads a script. A line is `SECONDS[+STEP] ACTOR TARGET[*COUNT] WHAT [WORD…]`: WHAT is `tcp/22`, `udp/1-5`, `icmp:13` or a protocol;
/// a word is a style, `reached`, `handshake` or `xN` for a packet repeated N times. Ranges of ports and counts of targets unfold into one
/// event each, STEP seconds apart.
pub fn script(text: &str) -> Vec<Event> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).flat_map(line).collect()
}

fn line(text: &str) -> Vec<Event> {
    let mut words = text.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("too short: {text}"));
    let (when, actor, target, what) = (next(), next(), next(), next());
    let (start, step) = when.split_once('+').unwrap_or((when, "0"));
    let (start, step): (f64, f64) = (start.parse().unwrap(), step.parse().unwrap());
    let (target, count) = target.split_once('*').unwrap_or((target, "1"));
    let (target, count): (IpAddr, u32) = (target.parse().unwrap(), count.parse().unwrap());
    let (name, ports) = what.split_once(['/', ':']).unwrap_or((what, ""));
    let protocol = Protocol::parse(name).unwrap();
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let icmp = what.split_once(':').map(|(_, kind)| (kind.parse().unwrap(), 0));
    let ports: Vec<Option<u16>> = match low.parse::<u16>() {
        Ok(low) if icmp.is_none() => (low..=high.parse().unwrap()).map(Some).collect(),
        _ => vec![None],
    };
    let words: Vec<&str> = words.collect();
    let has = |word| words.contains(&word);
    let times = words.iter().find_map(|word| word.strip_prefix('x')?.parse().ok()).unwrap_or(1);
    let style = Style::ALL.into_iter().find(|style| has(style.word()));
    let mut events = Vec::new();
    for n in 0..count {
        for &port in &ports {
            let at = Time::from_nanos(((start + step * events.len() as f64) * 1e9) as u64 + 1_700_000_000_000_000_000);
            let target = match target {
                IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) + n).into(),
                IpAddr::V6(_) => target,
            };
            let mut event = probe(at, actor.parse().unwrap(), target, protocol, port, style);
            if let Act::Probe(probe) = &mut event.act {
                probe.icmp = icmp;
            }
            if has("reached") {
                event.act = Act::Reached { protocol, port };
            }
            event.trust = if has("handshake") { Trust::Handshake } else { Trust::Spoofable };
            event.times = times;
            events.push(event);
        }
    }
    events
}

/// An offence as a line.
pub fn line_of(offence: &Offence) -> String {
    let evidence = &offence.evidence;
    let secs = Duration::from_nanos(offence.at.as_nanos() - 1_700_000_000_000_000_000).as_secs_f64();
    let proven = if evidence.convicted { " convicted" } else { "" };
    format!(
        "{secs} {} {} level {} {} {} packets {} targets {} endpoints {}{proven}",
        offence.offender,
        offence.charge,
        offence.level,
        offence.styles,
        offence.trust,
        evidence.packets,
        evidence.targets,
        evidence.endpoints
    )
}

/// Detectors with `config` that have seen `text`, and their offences as lines.
pub fn run(config: &ScanConfig, text: &str) -> (Detectors, Vec<String>) {
    let mut detectors = Detectors::new(config, 42);
    let mut offences = Vec::new();
    for event in script(text) {
        detectors.observe(&event, &mut offences);
    }
    detectors.check_invariants();
    (detectors, offences.iter().map(line_of).collect())
}
