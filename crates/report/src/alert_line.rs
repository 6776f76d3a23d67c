//! An alert as one line of text, for the system's log: our own words, or psad's for programs that read those. Every text that a stranger may
//! have written is escaped and cut.

use crate::alert::{Alert, Kind, Source};
use crate::escape;
use crate::time::Rfc3339;
use std::fmt::Write as _;

/// Characters of a text that is not our own.
const TEXT_CHARS: usize = 300;
/// Ranges of ports in a line.
const RANGES: usize = 8;

/// How urgent it is, as syslog counts (RFC 5424): warning, notice or information.
pub fn severity(alert: &Alert) -> u8 {
    match alert.kind {
        Kind::Trouble => 4,
        Kind::Block | Kind::Level | Kind::Limit => 5,
        Kind::Lift | Kind::Recovery | Kind::Test => 6,
    }
}

/// Ranges of ports: `22, 1000-1500`; at most `most` of them, and how many more there are.
pub fn ports(ranges: &[(u16, u16)], most: usize) -> String {
    let one = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut text = ranges.iter().take(most).map(one).collect::<Vec<_>>().join(", ");
    if ranges.len() > most {
        let _ = write!(text, " and {} more", ranges.len() - most);
    }
    text
}

/// Our own words, then what is known as `key=value`.
pub fn line(alert: &Alert) -> String {
    let mut line = format!("{}: {}", alert.kind.word(), escape::text(&alert.said, TEXT_CHARS));
    if let Some(source) = &alert.source {
        let _ = write!(line, "; address={} level={} packets={} targets={}", source.address, source.level, source.packets, source.targets);
        for (name, ranges) in [("tcp", &source.tcp_ports), ("udp", &source.udp_ports)] {
            if !ranges.is_empty() {
                let _ = write!(line, " {name}=[{}]", ports(ranges, RANGES));
            }
        }
        if !source.styles.is_empty() {
            let _ = write!(line, " styles={}", source.styles.join(","));
        }
        let _ = write!(line, " trust={} decision={}", source.trust, source.decision.action.word());
        if let Some(until) = source.until {
            let _ = write!(line, " until={}", Rfc3339(until.0));
        }
        let _ = write!(line, " why=\"{}\"", escape::text(&source.decision.why, TEXT_CHARS).replace('"', "'"));
    }
    line
}

/// psad's own lines about the same.
pub fn psad(alert: &Alert) -> Vec<String> {
    let Some(source) = &alert.source else { return vec![escape::text(&alert.said, TEXT_CHARS)] };
    let mut lines = vec![scan(source)];
    for signature in &source.signatures {
        lines.push(format!(
            "src: {} signature match: \"{}\" (sid: {})",
            source.address,
            escape::text(&signature.message, TEXT_CHARS),
            signature.sid
        ));
    }
    if alert.kind == Kind::Block && !source.dry_run {
        let seconds = source.decision.seconds.map_or_else(|| "(unlimited timeout)".to_owned(), |seconds| format!("for {seconds} seconds"));
        lines.push(format!("added iptables auto-block against {} {seconds}", source.address));
    }
    lines
}

fn scan(source: &Source) -> String {
    let mut line = "scan detected".to_owned();
    if let Some(option) = nmap(source) {
        let _ = write!(line, " (Nmap {option} scan)");
    }
    let _ = write!(line, ": {} ->", source.address);
    for (name, ranges) in [("tcp", &source.tcp_ports), ("udp", &source.udp_ports)] {
        if !ranges.is_empty() {
            let _ = write!(line, " {name}: [{}]", ports(ranges, RANGES));
        }
    }
    let _ = write!(line, " pkts: {} DL: {} total scan dsts: {}", source.packets, source.level, source.targets);
    line
}

/// nmap's option that makes such a scan, if it is of one kind.
pub fn nmap(source: &Source) -> Option<&'static str> {
    let [style] = source.styles.as_slice() else { return None };
    Some(match style.as_str() {
        "syn" => "-sT or -sS",
        "connect" => "-sT",
        "fin" => "-sF",
        "null" => "-sN",
        "xmas" => "-sX",
        "ack" => "-sA",
        "maimon" => "-sM",
        "udp" => "-sU",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::Stamp;
    use model::time::Time;

    #[test]
    fn a_line_is_one_line_whatever_a_stranger_wrote() {
        let mut alert = Alert::sample(Stamp(Time::from_secs(1_700_000_000)));
        let source = alert.source.as_mut().unwrap();
        source.signatures[0].message = "a\nb\u{1b}[2J".to_owned();
        source.decision.why = "rule\r\n<34>x".to_owned();
        alert.said = "x\ny".to_owned();
        assert_eq!(
            line(&alert),
            "test: x\\u{a}y; address=192.0.2.1 level=3 packets=1002 targets=1 tcp=[22, 1000-1500] styles=syn trust=spoofable decision=none \
             why=\"rule\\u{d}\\u{a}<34>x\""
        );
        alert.kind = Kind::Block;
        alert.source.as_mut().unwrap().decision.seconds = Some(3_600);
        assert_eq!(
            psad(&alert),
            [
                "scan detected (Nmap -sT or -sS scan): 192.0.2.1 -> tcp: [22, 1000-1500] pkts: 1002 DL: 3 total scan dsts: 1",
                "src: 192.0.2.1 signature match: \"a\\u{a}b\\u{1b}[2J\" (sid: 100000)",
                "added iptables auto-block against 192.0.2.1 for 3600 seconds"
            ]
        );
        assert_eq!(ports(&[(1, 1), (3, 4), (9, 9)], 2), "1, 3-4 and 1 more");
    }
}
