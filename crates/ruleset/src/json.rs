//! A survey as JSON, for programs and golden files. Field names are promised in docs/manual.md.

use crate::ask::{Fate, Place};
use crate::names::address_of;
use crate::rules::{Hook, Version};
use crate::survey::{Open, Side, Survey, Usual, Whom};
use serde_json::{Value, json};

/// A fate's word.
pub fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Accepted => "accepted",
        Fate::Dropped => "dropped",
        Fate::Rejected => "rejected",
        Fate::Queued => "queued",
        Fate::Unknown => "unknown",
    }
}

/// A hook's word.
pub fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Ingress => "ingress",
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
        Hook::Egress => "egress",
    }
}

/// An interface's name; any that no rule names is `*`.
pub fn interface(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("*")
}

/// A range of addresses: a prefix if it is one.
pub fn range(version: Version, (low, high): (u128, u128)) -> String {
    let bits: u32 = if version == Version::V4 { 32 } else { 128 };
    let size = (high - low).checked_add(1);
    let host_bits = size.map_or(128, u128::trailing_zeros);
    let aligned = size.is_none_or(|size| size.is_power_of_two() && low.is_multiple_of(size));
    match aligned {
        true if host_bits == 0 => address_of(version, low).to_string(),
        true => format!("{}/{}", address_of(version, low), bits.saturating_sub(host_bits)),
        false => format!("{}-{}", address_of(version, low), address_of(version, high)),
    }
}

/// A survey as an object.
pub fn survey(survey: &Survey) -> Value {
    let forward: Vec<Value> =
        survey.forward.iter().map(|(from, to, what)| json!({"in": interface(from), "out": interface(to), "fate": fate(*what)})).collect();
    json!({
        "family": survey.version.to_string(),
        "filtered": survey.filtered,
        "by_interface": survey.sides.iter().map(side).collect::<Vec<_>>(),
        "ports": survey.open.iter().map(|one| open(survey.version, one)).collect::<Vec<_>>(),
        "forward": forward,
        "left_out": survey.left_out,
    })
}

fn side(side: &Side) -> Value {
    json!({"interface": interface(&side.interface), "tcp": usual(&side.tcp), "udp": usual(&side.udp), "ping": fate(side.ping)})
}

fn usual(usual: &Usual) -> Value {
    let logs: Vec<Value> =
        usual.logs.iter().map(|(log, limit)| json!({"prefix": log.prefix, "nflog_group": log.group, "limit": limit})).collect();
    json!({"fate": fate(usual.fate), "at": usual.at.as_ref().map(place), "logs": logs, "exceptions": exceptions(&usual.exceptions)})
}

/// A rule's place, in words.
pub fn place(place: &Place) -> String {
    let rule = if place.line == 0 { "policy".to_owned() } else { format!("line {}", place.line) };
    format!("{} {} {rule} ({} {})", place.table, place.chain, hook(place.hook), place.priority)
}

fn exceptions(all: &[(Fate, String)]) -> Vec<Value> {
    all.iter().map(|(what, on)| json!({"fate": fate(*what), "if": on})).collect()
}

fn open(version: Version, open: &Open) -> Value {
    let protocol = crate::names::protocol_name(open.protocol);
    json!({"protocol": protocol, "low": open.low, "high": open.high, "to": open.to.iter().map(|one| whom(version, one)).collect::<Vec<_>>()})
}

fn whom(version: Version, whom: &Whom) -> Value {
    let nets: Vec<String> = whom.nets.iter().map(|one| range(version, *one)).collect();
    let sent_to = whom.sent_to.map(|(address, port)| json!({"address": address.map(|one| one.to_string()), "port": port}));
    json!({
        "interfaces": whom.interfaces.iter().map(interface).collect::<Vec<_>>(),
        "anybody": whom.anybody,
        "but": if whom.anybody { nets.clone() } else { Vec::new() },
        "nets": if whom.anybody { Vec::new() } else { nets },
        "limit": whom.limit,
        "sent_to": sent_to,
        "unless": exceptions(&whom.unless),
        "maybe": whom.maybe,
    })
}
