//! What DShield takes: lines by tabs in a mail, or JSON with a proof of who sends it. Who is attacked is masked, and nobody's own or private
//! addresses are named as attackers. Shapes: isc.sans.edu's own clients.

use crate::vet::is_public;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::Offset;
use model::event::{Act, Event, TcpFlags};
use model::net::{Prefix, Protocol};
use model::time::Time;
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Lines of one submission: what the API takes at once.
pub const LINES: usize = 100_000;
/// Flags in the API's order, from the highest bit to the lowest.
const LETTERS: [(u8, char); 8] = [
    (0x80, '1'),
    (0x40, '2'),
    (TcpFlags::URG, 'U'),
    (TcpFlags::ACK, 'A'),
    (TcpFlags::PSH, 'P'),
    (TcpFlags::RST, 'R'),
    (TcpFlags::SYN, 'S'),
    (TcpFlags::FIN, 'F'),
];
/// The same as the mail has them.
const WORDS: [(u8, &str); 6] = [
    (TcpFlags::SYN, "SYN"),
    (TcpFlags::FIN, "FIN"),
    (TcpFlags::ACK, "ACK"),
    (TcpFlags::PSH, "PSH"),
    (TcpFlags::URG, "URG"),
    (TcpFlags::RST, "RST"),
];

/// One packet that was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub at: Time,
    /// How often.
    pub times: u32,
    /// From where.
    pub source: IpAddr,
    /// From which port, or which type of ICMP.
    pub source_port: Option<u16>,
    /// To where.
    pub target: IpAddr,
    /// To which port, or which code of ICMP.
    pub port: Option<u16>,
    /// By which protocol.
    pub protocol: Protocol,
    /// TCP's flags.
    pub flags: Option<TcpFlags>,
}

impl Report {
    /// A logged packet; `None` if it was something else, or if nobody knows to whom it went.
    pub fn of(event: &Event) -> Option<Report> {
        let Act::Probe(probe) = event.act else { return None };
        Some(Report {
            at: event.at,
            times: event.times,
            source: event.actor,
            source_port: probe.icmp.map_or(probe.source_port, |(kind, _)| Some(kind.into())),
            target: event.target?,
            port: probe.icmp.map_or(probe.port, |(_, code)| Some(code.into())),
            protocol: probe.protocol,
            flags: probe.flags,
        })
    }
}

/// How the attacked are hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// In place of each address that is not public stands this one, the one by which the Internet knows us.
    Public(IpAddr),
    /// The first bits of each address are replaced by 10.0.0.0/8's, or fd00::/8's.
    Network,
}

impl Mask {
    fn of(self, target: IpAddr) -> IpAddr {
        match (self, target) {
            (Mask::Public(_), target) if is_public(&Prefix::host(target)) => target,
            (Mask::Public(ours), target) if ours.is_ipv4() == target.is_ipv4() => ours,
            (_, IpAddr::V4(v4)) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) & 0x00ff_ffff | 0x0a00_0000)),
            (_, IpAddr::V6(v6)) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX >> 8) | 0xfd << 120)),
        }
    }
}

/// Whether a report may go out: an attacker that others can know, and no packet that went to everybody.
pub fn may_go(report: &Report) -> bool {
    // What goes to everybody is no attack on anybody.
    let to_all = match report.target {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    !to_all && is_public(&Prefix::host(report.source))
}

/// The mail's subject. `user` is 0 for who has no account.
pub fn subject(user: u64, offset: Offset, version: &str) -> String {
    format!("FORMAT DSHIELD USERID {user} TZ {} riposte Version {version}", zone(offset))
}

/// `+01:00`.
fn zone(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
}

/// One line of the mail: `DATE TIME ZONE USER TIMES SOURCE PORT TARGET PORT PROTOCOL FLAGS` by tabs.
pub fn line(report: &Report, user: u64, offset: Offset, mask: Mask) -> String {
    let at = Timestamp::from_second(i64::try_from(report.at.as_secs()).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
    let at = offset.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let port = |port: Option<u16>| port.map_or_else(|| "???".to_owned(), |port| port.to_string());
    let protocol = report.protocol.name().map_or_else(|| report.protocol.0.to_string(), str::to_uppercase);
    let flags = report.flags.map_or_else(String::new, |flags| {
        WORDS.into_iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, word)| word).collect::<Vec<_>>().join(",")
    });
    let fields = [
        format!("{at} {}", zone(offset)),
        user.to_string(),
        report.times.to_string(),
        report.source.to_string(),
        port(report.source_port),
        mask.of(report.target).to_string(),
        port(report.port),
        protocol,
        flags,
    ];
    fields.join("\t")
}

/// The message to the API, as its body is to be. Lines beyond the bound are left out.
pub fn message(reports: &[Report], mask: Mask, authorization: &str) -> Value {
    let logs: Vec<Value> = reports.iter().take(LINES).map(|report| api_line(report, mask)).collect();
    json!({"type": "firewall", "logs": logs, "authheader": authorization})
}

fn api_line(report: &Report, mask: Mask) -> Value {
    let letters = |flags: TcpFlags| LETTERS.into_iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, letter)| letter).collect::<String>();
    let port = |port: Option<u16>| port.map_or_else(String::new, |port| port.to_string());
    json!({
        "time": report.at.as_secs(),
        "flags": report.flags.map(letters).unwrap_or_default(),
        "sip": report.source.to_string(),
        "dip": mask.of(report.target).to_string(),
        "proto": report.protocol.0,
        "sport": port(report.source_port),
        "dport": port(report.port),
        "version": if report.source.is_ipv4() { 4 } else { 6 },
    })
}

/// Who sends it: the header `X-ISC-Authorization`. `nonce` is new each time; the secret key doesn't travel.
pub fn authorization(user: u64, key: &str, nonce: [u8; 8]) -> String {
    let nonce = STANDARD.encode(nonce);
    // A key of any length is taken.
    let mac = Hmac::<Sha256>::new_from_slice(format!("{nonce}{user}").as_bytes()).map(|mac| mac.chain_update(key).finalize().into_bytes());
    let credentials = mac.map(|mac| STANDARD.encode(mac)).unwrap_or_default();
    format!("ISC-HMAC-SHA256 Credentials={credentials} Userid={user} Nonce={nonce}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report = Report {
        at: Time::from_secs(1_763_635_000),
        times: 3,
        source: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        source_port: Some(43_210),
        target: IpAddr::V4(Ipv4Addr::new(192, 168, 4, 7)),
        port: Some(22),
        protocol: Protocol::TCP,
        flags: Some(TcpFlags(TcpFlags::SYN | 0xc0)),
    };

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mail_has_its_tabs_where_they_are_asked_for() {
        let hour = Offset::from_seconds(3_600).unwrap();
        let mask = Mask::Public(addr("198.51.100.7"));
        assert_eq!(
            line(&REPORT, 12_345, hour, mask),
            "2025-11-20 11:36:40 +01:00\t12345\t3\t203.0.113.9\t43210\t198.51.100.7\t22\tTCP\tSYN"
        );
        let ping = Report { source_port: Some(8), port: Some(0), protocol: Protocol::ICMP, flags: None, ..REPORT };
        let west = Offset::from_seconds(-12_600).unwrap();
        assert_eq!(line(&ping, 0, west, Mask::Network), "2025-11-20 07:06:40 -03:30\t0\t3\t203.0.113.9\t8\t10.168.4.7\t0\tICMP\t");
        let odd = Report { source_port: None, port: None, protocol: Protocol(99), ..ping };
        assert!(line(&odd, 0, west, Mask::Network).ends_with("\t203.0.113.9\t???\t10.168.4.7\t???\t99\t"));
        assert_eq!(subject(0, west, "0.1.0"), "FORMAT DSHIELD USERID 0 TZ -03:30 riposte Version 0.1.0");
    }

    #[test]
    fn the_api_s_message_has_its_fields() {
        let message = message(&[REPORT], Mask::Network, "proof");
        assert_eq!(
            message["logs"][0],
            json!({"time": 1_763_635_000, "flags": "12S", "sip": "203.0.113.9", "dip": "10.168.4.7", "proto": 6, "sport": "43210", "dport": "22", "version": 4})
        );
        assert_eq!((message["type"].as_str(), message["authheader"].as_str()), (Some("firewall"), Some("proof")));
    }

    /// Made with Python's hmac: key is nonce and user, message is the API key.
    #[test]
    fn the_proof_is_as_the_other_side_makes_it() {
        let header = authorization(12_345, "secret", *b"\0\x01\x02\x03\x04\x05\x06\x07");
        assert_eq!(header, "ISC-HMAC-SHA256 Credentials=i88muhvJ2GWroSvDPSW6O6TPxxvkGJHJR+GoVDcfHjg= Userid=12345 Nonce=AAECAwQFBgc=");
    }

    #[test]
    fn the_attacked_are_hidden_and_only_strangers_are_reported() {
        let ours = Mask::Public(addr("198.51.100.7"));
        assert_eq!(
            [ours.of(addr("10.1.2.3")), ours.of(addr("8.8.8.8")), ours.of(addr("fd00::7"))],
            [addr("198.51.100.7"), addr("8.8.8.8"), addr("fd00::7")]
        );
        assert_eq!(Mask::Network.of(addr("2001:db8::7")), addr("fd01:db8::7"));
        let from = |text: &str| may_go(&Report { source: addr(text), ..REPORT });
        assert!(from("8.8.8.8") && from("2600::1"));
        for never in [
            "203.0.113.9",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::",
        ] {
            assert!(!from(never), "{never}");
        }
        assert!(!may_go(&Report { source: addr("8.8.8.8"), target: addr("224.0.0.1"), ..REPORT }));
    }
}
