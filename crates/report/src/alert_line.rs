//! An alert as one line of text, for the system's log: our own words, or psad's for programs that read those. Every text that a stranger may
//! have written is escaped and cut.

use crate::alert::{Alert, Kind, Source};
use crate::escape;
use crate::offender::OffenderLine;
use crate::replay_csv;
use crate::time::Rfc3339;
use model::style::Style;
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
        Kind::End | Kind::Lift | Kind::Recovery | Kind::Test => 6,
    }
}

/// Ranges of ports: `22, 1000-1500`; at most `most` of them, and how many more there are.
pub fn ports(ranges: &[(u16, u16)], most: usize) -> String {
    let mut text = replay_csv::ports(ranges.get(..most).unwrap_or(ranges)).join(", ");
    if ranges.len() > most {
        let _ = write!(text, " and {} more", ranges.len() - most);
    }
    text
}

/// Our own words, then what is known as `key=value`.
pub fn line(alert: &Alert) -> String {
    let mut line = format!("{}: {}", alert.kind.word(), escape::text(&alert.said, TEXT_CHARS));
    if let Some(Source { line: known, until, .. }) = &alert.source {
        let OffenderLine { address, level, packets, targets, trust, .. } = known;
        let _ = write!(line, "; address={address} level={level} packets={packets} targets={targets}");
        for (name, ranges) in [("tcp", &known.ports.tcp), ("udp", &known.ports.udp)] {
            if !ranges.is_empty() {
                let _ = write!(line, " {name}=[{}]", ports(ranges, RANGES));
            }
        }
        if known.styles.iter().next().is_some() {
            let _ = write!(line, " styles={}", known.styles);
        }
        let _ = write!(line, " trust={trust} decision={}", known.decision.action.word());
        if let Some(until) = until {
            let _ = write!(line, " until={}", Rfc3339(until.0));
        }
        let _ = write!(line, " why=\"{}\"", escape::text(&known.decision.why, TEXT_CHARS).replace('"', "'"));
    } else if let Some(whom) = alert.address {
        let _ = write!(line, "; address={whom}");
        if let Some(level) = alert.level {
            let _ = write!(line, " level={level}");
        }
    }
    line
}

/// psad's own lines about the same.
pub fn psad(alert: &Alert) -> Vec<String> {
    let Some(source) = &alert.source else {
        let over = alert.address.map(|whom| format!("removed iptables auto-block against {whom}"));
        return vec![over.unwrap_or_else(|| escape::text(&alert.said, TEXT_CHARS))];
    };
    let mut lines = vec![scan(source)];
    for signature in &source.line.signatures {
        lines.push(format!(
            "src: {} signature match: \"{}\" (sid: {})",
            source.line.address,
            escape::text(&signature.message, TEXT_CHARS),
            signature.sid
        ));
    }
    if alert.kind == Kind::Block && !source.dry_run {
        let seconds =
            source.line.decision.seconds.map_or_else(|| "(unlimited timeout)".to_owned(), |seconds| format!("for {seconds} seconds"));
        lines.push(format!("added iptables auto-block against {} {seconds}", source.line.address));
    }
    lines
}

fn scan(source: &Source) -> String {
    let mut line = "scan detected".to_owned();
    let source = &source.line;
    if let Some(option) = nmap(source) {
        let _ = write!(line, " (Nmap {option} scan)");
    }
    let _ = write!(line, ": {} ->", source.address);
    for (name, ranges) in [("tcp", &source.ports.tcp), ("udp", &source.ports.udp)] {
        if !ranges.is_empty() {
            let _ = write!(line, " {name}: [{}]", ports(ranges, RANGES));
        }
    }
    let _ = write!(line, " pkts: {} DL: {} total scan dsts: {}", source.packets, source.level, source.targets);
    line
}

/// nmap's option that makes such a scan, if it is of one kind.
pub fn nmap(source: &OffenderLine) -> Option<&'static str> {
    let mut styles = source.styles.iter();
    let (style, None) = (styles.next()?, styles.next()) else { return None };
    nmap_option(style)
}

/// nmap's option that scans in this style.
pub fn nmap_option(style: Style) -> Option<&'static str> {
    Some(match style {
        Style::Syn => "-sT or -sS",
        Style::Connect => "-sT",
        Style::Fin => "-sF",
        Style::Null => "-sN",
        Style::Xmas => "-sX",
        Style::Ack => "-sA or -sW",
        Style::Maimon => "-sM",
        Style::Udp => "-sU",
        Style::Protocol => "-sO",
        Style::Sweep | Style::Slow | Style::Distributed | Style::Mirai | Style::Masscan | Style::Topera | Style::Icmp => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::Stamp;
    use model::level::DangerLevel;
    use model::time::Time;

    #[test]
    fn a_line_is_one_line_whatever_a_stranger_wrote() {
        let mut alert = Alert::sample(Stamp(Time::from_secs(1_700_000_000)));
        let source = alert.source.as_mut().unwrap();
        source.line.signatures[0].message = "a\nb\u{1b}[2J".to_owned();
        source.line.decision.why = "rule\r\n<34>x".to_owned();
        alert.said = "x\ny".to_owned();
        assert_eq!(
            line(&alert),
            "test: x\\u{a}y; address=192.0.2.1 level=1 packets=1002 targets=1 tcp=[22, 1000-1500] styles=syn trust=spoofable decision=none \
             why=\"rule\\u{d}\\u{a}<34>x\""
        );
        alert.kind = Kind::Block;
        alert.source.as_mut().unwrap().line.decision.seconds = Some(3_600);
        assert_eq!(
            psad(&alert),
            [
                "scan detected (Nmap -sT or -sS scan): 192.0.2.1 -> tcp: [22, 1000-1500] pkts: 1002 DL: 1 total scan dsts: 1",
                "src: 192.0.2.1 signature match: \"a\\u{a}b\\u{1b}[2J\" (sid: 100000)",
                "added iptables auto-block against 192.0.2.1 for 3600 seconds"
            ]
        );
        assert_eq!(ports(&[(1, 1), (3, 4), (9, 9)], 2), "1, 3-4 and 1 more");
        let over = Alert::over(
            Kind::End,
            alert.at,
            ("192.0.2.1/32".parse().unwrap(), DangerLevel::new(3)),
            "the block of 192.0.2.1 has ended".into(),
        );
        assert_eq!(line(&over), "end: the block of 192.0.2.1 has ended; address=192.0.2.1 level=3");
        assert_eq!(psad(&over), ["removed iptables auto-block against 192.0.2.1"]);
    }
}
