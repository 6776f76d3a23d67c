//! The decoders that OSSEC has in code: firewalls and proxies whose logs no pattern reads well, alerts of other OSSECs, JSON (Wazuh).

use super::decoder::Kind;
use super::event::{Event, Field};

/// A decoder in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    Pf,
    SonicWall,
    SymantecWs,
    OssecAlert,
    Json,
}

impl Plugin {
    pub fn named(word: &str) -> Option<Plugin> {
        Some(match word {
            "PF_Decoder" => Plugin::Pf,
            "SonicWall_Decoder" => Plugin::SonicWall,
            "SymantecWS_Decoder" => Plugin::SymantecWs,
            "OSSECAlert_Decoder" => Plugin::OssecAlert,
            "JSON_Decoder" => Plugin::Json,
            _ => return None,
        })
    }

    /// Reads the log; `from` is where the decoder begins to look.
    pub fn run(self, event: &mut Event, from: u32) {
        match self {
            Plugin::Pf => _ = pf(event),
            Plugin::SonicWall => sonicwall(event),
            Plugin::SymantecWs => symantec(event),
            Plugin::OssecAlert => {
                event.kind = Kind::Alert;
                _ = alert(event);
            }
            Plugin::Json => super::json::decode(event, from),
        }
    }
}

/// Splits an address and the port behind its last dot.
fn address_and_port(text: &str) -> (&str, Option<&str>) {
    match text.match_indices('.').nth(3) {
        Some((dot, _)) => (text.get(..dot).unwrap_or_default(), text.get(dot + 1..)),
        None => (text, None),
    }
}

/// `… rule 4/(match) block in on lo0: 192.0.2.1.48784 > 192.0.2.2.23: S …`
fn pf(event: &mut Event) -> Option<()> {
    let log = String::from_utf8_lossy(event.log()).into_owned();
    let (_, rest) = log.split_once(')')?;
    let rest = rest.strip_prefix(' ')?;
    event.make(Field::Action, if rest.starts_with('p') { b"pass" } else { rest.strip_prefix('b').map(|_| b"block")? });
    let rest = rest.split_once(':')?.1.strip_prefix(' ')?;
    let (source, rest) = rest.split_once(' ')?;
    let (address, port) = address_and_port(source);
    event.make(Field::SrcIp, address.as_bytes());
    if let Some(port) = port {
        event.make(Field::SrcPort, port.as_bytes());
    }
    let (target, rest) = rest.strip_prefix("> ")?.split_once(':')?;
    let (address, port) = address_and_port(target);
    event.make(Field::DstIp, address.as_bytes());
    if let Some(port) = port {
        event.make(Field::DstPort, port.as_bytes());
    }
    let protocol: &[u8] = match rest.trim_start_matches(' ').bytes().next()? {
        b'u' => b"UDP",
        b'i' => b"ICMP",
        _ => b"TCP",
    };
    event.make(Field::Protocol, protocol);
    Some(())
}

/// The value behind a key, up to a blank.
fn value<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.split_once(key)?.1;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `… pri=6 c=262144 m=98 msg="…" n=2 src=192.0.2.2:36701:WAN dst=192.0.2.1:50000:WAN proto=tcp/50000`
fn sonicwall(event: &mut Event) {
    event.kind = Kind::Syslog;
    let log = String::from_utf8_lossy(event.log()).into_owned();
    _ = sonicwall_fields(&log, event);
}

fn sonicwall_fields(log: &str, event: &mut Event) -> Option<()> {
    let (priority, rest) = value(log, "pri=")?;
    let (category, rest) = rest.strip_prefix("c=")?.split_once(' ')?;
    let (id, rest) = rest.strip_prefix("m=")?.split_once(' ')?;
    if !(priority.len() == 1 && digits(priority) && digits(category) && digits(id)) {
        return None;
    }
    event.make(Field::Status, priority.as_bytes());
    event.make(Field::Id, id.as_bytes());
    let (source, rest) = value(rest, "src=")?;
    let (target, rest) = rest.strip_prefix("dst=")?.split_once(' ').unwrap_or((rest.get(4..)?, ""));
    let place = |text: &str| {
        let mut parts = text.split(':');
        let (address, port) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        (address.parse::<std::net::Ipv4Addr>().is_ok() && digits(&port)).then_some((address, port))
    };
    let ((address, port), (to, to_port)) = (place(source)?, place(target)?);
    for (field, value) in [(Field::SrcIp, address), (Field::SrcPort, port), (Field::DstIp, to), (Field::DstPort, to_port)] {
        event.make(field, value.as_bytes());
    }
    if let Some(protocol) = rest.strip_prefix("proto=") {
        let end = protocol.find(['/', ' ']).unwrap_or(protocol.len()).min(6);
        event.make(Field::Protocol, protocol.get(..end).unwrap_or_default().as_bytes());
    }
    let (kind, action): (Kind, &[u8]) = match (category, id) {
        ("32", _) => (Kind::Ids, b""),
        (_, "98" | "597" | "598") => (Kind::Firewall, b"pass"),
        (_, "38" | "36" | "173" | "174" | "37") => (Kind::Firewall, b"drop"),
        (_, "537") => (Kind::Firewall, b"close"),
        (_, "97") => (Kind::Squid, b""),
        _ => return None,
    };
    event.kind = kind;
    if !action.is_empty() {
        event.make(Field::Action, action);
    }
    if kind == Kind::Squid {
        let (result, rest) = value(rest, "result=")?;
        let (name, rest) = rest.strip_prefix("dstname=")?.split_once(' ')?;
        let page = rest.strip_prefix("arg=")?;
        event.make(Field::Id, result.as_bytes());
        event.make(Field::Url, format!("{name}{page}").as_bytes());
    }
    Some(())
}

/// `20070717,73614,1=5,11=192.0.2.4,60=http://example.org/,10=user,2=27`
fn symantec(event: &mut Event) {
    let log = String::from_utf8_lossy(event.log()).into_owned();
    let parts: Vec<(usize, &str)> =
        log.match_indices(',').map(|(comma, _)| (comma + 1, log.get(comma + 1..).unwrap_or_default())).collect();
    for (_, rest) in parts {
        let part = rest.split(',').next().unwrap_or_default();
        let (field, value) = if let Some(user) = part.strip_prefix("10=") {
            (Field::DstUser, user)
        } else if let Some(address) = part.strip_prefix("11=") {
            (Field::SrcIp, address)
        } else if let Some(url) = part.strip_prefix("60=") {
            (Field::Url, url)
        } else if part.starts_with("3=") || part.starts_with("2=") {
            // To the letter: nine bytes, the key and whatever follows.
            (Field::Id, rest.char_indices().nth(9).map_or(rest, |(end, _)| rest.get(..end).unwrap_or(rest)))
        } else {
            continue;
        };
        if event.get(field).is_none() {
            event.make(field, value.as_bytes());
        }
    }
}

/// `Alert Level: 3; Rule: 5715 - …; Location: host->/var/log/x; srcip: 192.0.2.1; user: bob;  the line`
fn alert(event: &mut Event) -> Option<()> {
    let log = String::from_utf8_lossy(event.log()).into_owned();
    if !log.starts_with("Alert Level: ") && !log.starts_with("ossec: Alert Level:") {
        return None;
    }
    let (_, rest) = log.split_once(';')?;
    let (id, rest) = rest.split_once(':')?.1.strip_prefix(' ')?.split_once(' ')?;
    let (_, rest) = rest.split_once(';')?;
    let (_, mut rest) = rest.strip_prefix(" Location: ")?.split_once(';')?;
    while rest.starts_with(' ') && !rest.starts_with("  ") {
        let (part, behind) = rest.get(1..)?.split_once(';')?;
        if let Some(address) = part.strip_prefix("srcip: ") {
            event.make(Field::SrcIp, address.as_bytes());
        } else if let Some(user) = part.strip_prefix("user: ") {
            event.make(Field::DstUser, user.as_bytes());
        }
        rest = behind;
    }
    event.log = event.add(rest.trim_start_matches(' ').as_bytes());
    event.forwarded = id.parse().ok();
    Some(())
}
