//! The target of an iptables rule: what it says becomes of the packet. A target that isn't known is no verdict that could be counted on.

use crate::iptables::Given;
use crate::iptables_matches::mark;
use crate::rules::{Log, Step, Table, Verdict, Version};
use std::net::IpAddr;

/// Targets after which the next rule comes, and that change nothing which is asked about.
const PASSING: [&str; 22] = [
    "TCPMSS",
    "TTL",
    "HL",
    "DSCP",
    "TOS",
    "CLASSIFY",
    "CHECKSUM",
    "SET",
    "TRACE",
    "SECMARK",
    "CONNSECMARK",
    "IDLETIMER",
    "LED",
    "RATEEST",
    "TEE",
    "ECN",
    "HMARK",
    "TCPOPTSTRIP",
    "AUDIT",
    "CONNMARK",
    "ACCOUNT",
    "IPMARK",
];

/// Adds the steps of the target that stands first among these options.
pub(crate) fn read(version: Version, given: &[Given<'_>], goto: bool, table: &Table, steps: &mut Vec<Step>, strange: &mut Vec<String>) {
    let Some(name) = given.first().map(Given::value) else { return };
    let find = |option: &str| given.iter().find(|one| one.option == option);
    let text = |option: &str| find(option).map(|one| one.value().to_owned()).unwrap_or_default();
    let verdict = match name {
        "ACCEPT" | "SNAT" | "MASQUERADE" => Verdict::Accept,
        "DROP" | "STEAL" => Verdict::Drop,
        "REJECT" | "TARPIT" | "DELUDE" => Verdict::Reject,
        "RETURN" => Verdict::Return,
        "QUEUE" | "NFQUEUE" => Verdict::Queue,
        "LOG" => return steps.push(Step::Log(Log { prefix: text("--log-prefix"), group: None })),
        "NFLOG" | "ULOG" => {
            let group = text("--nflog-group").parse().unwrap_or(0);
            return steps.push(Step::Log(Log { prefix: text("--nflog-prefix"), group: Some(group) }));
        }
        "NOTRACK" => return steps.push(Step::Notrack),
        "CT" => return steps.extend(find("--notrack").map(|_| Step::Notrack)),
        "MARK" => return steps.push(Step::Mark(set_mark(given))),
        "REDIRECT" => Verdict::Redirect(first_port(&text("--to-ports"))),
        "TPROXY" => Verdict::Redirect(first_port(&text("--on-port"))),
        "DNAT" => {
            let (address, port) = destination(version, &text("--to-destination"));
            Verdict::Forwarded { address, port }
        }
        "NETMAP" => Verdict::Forwarded { address: None, port: None },
        _ if table.chain(name).is_some() && goto => Verdict::Goto(name.to_owned()),
        _ if table.chain(name).is_some() => Verdict::Jump(name.to_owned()),
        _ if PASSING.contains(&name) => return,
        _ => {
            strange.push(format!("-j {}", crate::names::shown(name)));
            Verdict::Strange(crate::names::shown(name))
        }
    };
    steps.push(Step::Verdict(verdict));
}

/// What the mark is behind a MARK target, if the whole of it is set.
fn set_mark(given: &[Given<'_>]) -> Option<u32> {
    let set = given.iter().find(|one| matches!(one.option, "--set-mark" | "--set-xmark"))?;
    mark(set.value()).filter(|(_, mask)| *mask == u32::MAX).map(|(wanted, _)| wanted)
}

fn first_port(text: &str) -> Option<u16> {
    text.split(['-', ',']).next().and_then(|port| port.parse().ok())
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, `192.0.2.1-192.0.2.9`, `:80`
fn destination(version: Version, text: &str) -> (Option<IpAddr>, Option<u16>) {
    let (address, port) = match version {
        _ if text.starts_with('[') => {
            text[1..].split_once(']').map_or((text, ""), |(address, port)| (address, port.trim_start_matches(':')))
        }
        Version::V4 => text.split_once(':').unwrap_or((text, "")),
        Version::V6 => (text, ""),
    };
    (address.split('-').next().and_then(|one| one.parse().ok()), first_port(port))
}
