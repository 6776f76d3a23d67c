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

/// What `read` makes of the text behind the first place of `key` that it understands.
fn behind<'a, T>(text: &'a str, key: &str, read: impl Fn(&'a str) -> Option<T>) -> Option<T> {
    text.match_indices(key).find_map(|(place, _)| read(text.get(place + key.len()..)?))
}

/// A number of at least one digit, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { None } else { text.split_at_checked(end) }
}

/// `192.0.2.2:36701:`: address, port, and what follows.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let (address, rest) = text.split_once(':')?;
    let (port, rest) = number(rest)?;
    let parts = address.split('.').filter(|part| number(part).is_some_and(|(_, rest)| rest.is_empty())).count();
    if parts != 4 || address.split('.').count() != 4 {
        return None;
    }
    Some((address, port, rest.strip_prefix(':')?))
}

/// `… pri=6 c=262144 m=98 msg="…" n=2 src=192.0.2.2:36701:WAN dst=192.0.2.1:50000:WAN proto=tcp/50000`
fn sonicwall(event: &mut Event) {
    event.kind = Kind::Syslog;
    let log = String::from_utf8_lossy(event.log()).into_owned();
    _ = sonicwall_fields(&log, event);
}

fn sonicwall_fields(log: &str, event: &mut Event) -> Option<()> {
    let (priority, category, id, rest) = behind(log, "pri=", |text| {
        let (priority, rest) = text.split_once(" c=").filter(|(priority, _)| priority.len() == 1 && number(priority).is_some())?;
        let (category, rest) = number(rest)?;
        let (id, rest) = number(rest.strip_prefix(" m=")?)?;
        Some((priority, category, id, rest.strip_prefix(' ')?))
    })?;
    event.make(Field::Status, priority.as_bytes());
    event.make(Field::Id, id.as_bytes());
    let (source, target, rest) = behind(rest, "src=", |text| {
        let (address, port, rest) = place(text)?;
        let (zone, rest) = rest.split_once(' ')?;
        let (to, to_port, rest) = place(rest.strip_prefix("dst=")?)?;
        if zone.is_empty() { None } else { Some(((address, port), (to, to_port), rest)) }
    })?;
    for (field, value) in [(Field::SrcIp, source.0), (Field::SrcPort, source.1), (Field::DstIp, target.0), (Field::DstPort, target.1)] {
        event.make(field, value.as_bytes());
    }
    let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
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
        let (result, name, page) = behind(rest, "result=", |text| {
            let (result, rest) = number(text)?;
            let (name, page) = rest.strip_prefix(" dstname=")?.split_once(" arg=")?;
            if name.is_empty() || page.is_empty() || name.contains(' ') || page.contains(' ') { None } else { Some((result, name, page)) }
        })?;
        event.make(Field::Id, result.as_bytes());
        event.make(Field::Url, format!("{name}{page}").as_bytes());
    }
    Some(())
}

/// `20070717,73614,1=5,11=192.0.2.4,60=http://example.org/,10=user,2=27`
fn symantec(event: &mut Event) {
    let log = String::from_utf8_lossy(event.log()).into_owned();
    let mut rest = log.as_str();
    while let Some((_, part)) = rest.split_once(',') {
        rest = part;
        let value = part.split(',').next().unwrap_or_default();
        let (field, value) = if let Some(user) = value.strip_prefix("10=") {
            (Field::DstUser, user)
        } else if let Some(address) = value.strip_prefix("11=") {
            (Field::SrcIp, address)
        } else if let Some(url) = value.strip_prefix("60=") {
            (Field::Url, url)
        } else if value.starts_with("3=") || value.starts_with("2=") {
            // To the letter: nine bytes, the key and whatever follows, which is not looked at again.
            let end = part.char_indices().nth(9).map_or(part.len(), |(end, _)| end);
            rest = part.get(end..).unwrap_or_default();
            (Field::Id, part.get(..end).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Line;
    use model::time::Time;

    /// What a plugin finds in a line, and what kind of log it takes it for.
    fn found(plugin: Plugin, text: &str) -> (Kind, String) {
        let mut event = Event::default();
        super::super::predecode::predecode(&Line::new(text.as_bytes(), Time::EPOCH, "x"), false, &mut event);
        plugin.run(&mut event, 0);
        let shown = |field: &Field| format!("{}={}", field.word(), String::from_utf8_lossy(event.get(*field).unwrap_or_default()));
        (event.kind, event.found.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn plugins_find_what_is_where_it_is_to_be() {
        let sonic = "id=firewall sn=0 time=\"2026-11-21 10:00:00\" fw=192.0.2.1 pri=6 c=262144 m=98 msg=\"x src=no\" n=2 src=203.0.113.9:36701:WAN dst=192.0.2.1:22:LAN";
        let symantec = "20261121,73614,1=5,11=192.0.2.4,60=http://example.org/,10=userX,2=27";
        for (plugin, text, kind, expected) in [
            (
                Plugin::Pf,
                "Nov 21 10:00:00 h pf: rule 2/(match) pass in on xl0: 203.0.113.9.6667 > 192.0.2.10.16290: P 7408:7677(269) ack 1773",
                Kind::Syslog,
                "action=pass srcip=203.0.113.9 srcport=6667 dstip=192.0.2.10 dstport=16290 protocol=TCP",
            ),
            (
                Plugin::Pf,
                "Nov 21 10:00:00 h pf: rule 3/(match) block out on xl0: 203.0.113.9.1514 > 192.0.2.1.53:  udp 73",
                Kind::Syslog,
                "action=block srcip=203.0.113.9 srcport=1514 dstip=192.0.2.1 dstport=53 protocol=UDP",
            ),
            (
                Plugin::Pf,
                "Nov 21 10:00:00 h pf: rule 3/(match) pass in on lo0: 127.0.0.1 > 127.0.0.1: icmp: echo",
                Kind::Syslog,
                "action=pass srcip=127.0.0.1 dstip=127.0.0.1 protocol=ICMP",
            ),
            (Plugin::Pf, "Nov 21 10:00:00 h pf: rule 3/(match) scrub in on lo0: 127.0.0.1 > 127.0.0.1: x", Kind::Syslog, ""),
            (
                Plugin::SonicWall,
                &format!("{sonic} proto=tcp/22"),
                Kind::Firewall,
                "status=6 id=98 srcip=203.0.113.9 srcport=36701 dstip=192.0.2.1 dstport=22 protocol=tcp action=pass",
            ),
            (
                Plugin::SonicWall,
                &sonic.replace("m=98", "m=36"),
                Kind::Firewall,
                "status=6 id=36 srcip=203.0.113.9 srcport=36701 dstip=192.0.2.1 dstport=22 action=drop",
            ),
            (
                Plugin::SonicWall,
                &sonic.replace("c=262144", "c=32"),
                Kind::Ids,
                "status=6 id=98 srcip=203.0.113.9 srcport=36701 dstip=192.0.2.1 dstport=22",
            ),
            (Plugin::SonicWall, &sonic.replace(":22:LAN", ":22"), Kind::Syslog, "status=6 id=98"),
            (Plugin::SonicWall, &sonic.replace("pri=6", "pri=66"), Kind::Syslog, ""),
            (
                Plugin::SonicWall,
                &format!("{} proto=tcp/80 op=GET result=404 dstname=example.org arg=/a", sonic.replace("m=98", "m=97")),
                Kind::Squid,
                "status=6 id=404 srcip=203.0.113.9 srcport=36701 dstip=192.0.2.1 dstport=22 protocol=tcp url=example.org/a",
            ),
            (Plugin::SymantecWs, symantec, Kind::Syslog, "srcip=192.0.2.4 url=http://example.org/ dstuser=userX id=2=27"),
            // The number takes nine bytes, and what it takes is not looked at again.
            (
                Plugin::SymantecWs,
                "20261121,73613,2=27,10=user,11=192.0.2.4,10=other",
                Kind::Syslog,
                "id=2=27,10=u srcip=192.0.2.4 dstuser=other",
            ),
            (
                Plugin::OssecAlert,
                "Alert Level: 5; Rule: 5716 - Failed.; Location: h->/var/log/auth.log; srcip: 203.0.113.9; user: bob;  the line",
                Kind::Alert,
                "srcip=203.0.113.9 dstuser=bob",
            ),
        ] {
            assert_eq!(found(plugin, text), (kind, expected.to_owned()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_a_plugin(text in "(pri=|c=|m=|src=|dst=|:|1| |[.]|,|2=|10=|11=|[)] p|> |é){0,60}") {
            for plugin in [Plugin::Pf, Plugin::SonicWall, Plugin::SymantecWs, Plugin::OssecAlert, Plugin::Json] {
                found(plugin, &text);
            }
        }
    }
}
