//! What the Internet Storm Center says when it is asked: the most attacked ports, and what is known of an address. Its numbers come as numbers, as
//! texts or as null; whatever else comes is hostile.

use serde_json::Value;
use std::collections::BTreeSet;

/// Ports of one answer that are kept.
const PORTS: usize = 100;
/// Lists of one answer that are kept.
const FEEDS: usize = 50;

/// An attacked port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopPort {
    /// Its place, from 1.
    pub rank: u64,
    /// Which.
    pub port: u16,
    /// How many records there are of attacks on it.
    pub records: u64,
    /// How many hosts were attacked there.
    pub targets: u64,
    /// By how many.
    pub sources: u64,
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The address.
    pub address: String,
    /// Packets that were reported of it.
    pub reports: Option<u64>,
    /// Hosts that it has attacked.
    pub targets: Option<u64>,
    /// The first and the last day.
    pub days: [Option<String>; 2],
    /// Its network.
    pub network: Option<String>,
    /// The autonomous system: number, name, country.
    pub autonomous_system: [Option<String>; 3],
    /// To whom complaints go.
    pub abuse_contact: Option<String>,
    /// Lists that it is on, with the day when it was seen last.
    pub lists: Vec<(String, String)>,
}

fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The most attacked ports, the first of them first.
///
/// # Errors
/// If this is no such answer.
pub fn top_ports(answer: &str) -> Result<Vec<TopPort>, String> {
    let foreign = || "this is no answer about ports: {\"0\":{\"rank\":1,\"targetport\":…}, …}".to_owned();
    let value: Value = serde_json::from_str(answer).map_err(|_| foreign())?;
    // An object by number, or a list.
    let rows: Vec<&Value> = match &value {
        Value::Object(rows) => rows.values().collect(),
        Value::Array(rows) => rows.iter().collect(),
        _ => return Err(foreign()),
    };
    let read = |row: &&Value| {
        let port = u16::try_from(number(row, "targetport")?).ok().filter(|port| *port > 0)?;
        let count = |key| number(row, key).unwrap_or(0);
        Some(TopPort { rank: number(row, "rank")?, port, records: count("records"), targets: count("targets"), sources: count("sources") })
    };
    let mut ports: Vec<TopPort> = rows.iter().filter_map(read).collect();
    ports.sort_by_key(|port| (port.rank, port.port));
    // One that is named twice has its first rank.
    let mut seen = BTreeSet::new();
    ports.retain(|port| seen.insert(port.port));
    ports.truncate(PORTS);
    if ports.is_empty() { Err(foreign()) } else { Ok(ports) }
}

/// What is known of an address.
///
/// # Errors
/// If this is no such answer.
pub fn about(answer: &str) -> Result<About, String> {
    let foreign = || "this is no answer about an address: {\"ip\":{\"number\":…}}".to_owned();
    let value: Value = serde_json::from_str(answer).map_err(|_| foreign())?;
    let ip = value.get("ip").filter(|ip| ip.is_object()).ok_or_else(foreign)?;
    let lists = ip.get("threatfeeds").and_then(Value::as_object).into_iter().flatten();
    Ok(About {
        address: text(ip, "number").ok_or_else(foreign)?,
        reports: number(ip, "count"),
        targets: number(ip, "attacks"),
        days: [text(ip, "mindate"), text(ip, "maxdate")],
        network: text(ip, "network"),
        autonomous_system: [text(ip, "as"), text(ip, "asname"), text(ip, "ascountry")],
        abuse_contact: text(ip, "asabusecontact"),
        lists: lists.take(FEEDS).map(|(name, seen)| (name.clone(), text(seen, "lastseen").unwrap_or_default())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_by_rank_and_in_any_spelling() {
        let answer = r#"{"1":{"rank":2,"targetport":"22","records":"10","targets":3,"sources":2},"0":{"rank":1,"targetport":23,"records":99,"targets":40,"sources":30},"limit":"10","2":{"rank":3,"targetport":70000},"3":{"rank":4,"targetport":22}}"#;
        let ports: Vec<_> = top_ports(answer).unwrap().into_iter().map(|port| (port.rank, port.port, port.records)).collect();
        assert_eq!(ports, [(1, 23, 99), (2, 22, 10)]);
        for foreign in ["", "{}", "[]", "7", "{\"error\":\"no\"}", "<html>"] {
            assert!(top_ports(foreign).is_err(), "{foreign}");
        }
    }

    #[test]
    fn an_address_may_be_unknown_or_known() {
        let answer = r#"{"ip":{"number":"192.0.2.7","count":null,"attacks":"12","maxdate":"2026-11-20","as":64500,"asname":"EXAMPLE","network":"192.0.2.0\/24","threatfeeds":{"openresolver":{"lastseen":"2026-10-05"}}}}"#;
        let known = about(answer).unwrap();
        assert_eq!((known.address.as_str(), known.reports, known.targets), ("192.0.2.7", None, Some(12)));
        assert_eq!(known.autonomous_system, [Some("64500".to_owned()), Some("EXAMPLE".to_owned()), None]);
        assert_eq!(known.lists, [("openresolver".to_owned(), "2026-10-05".to_owned())]);
        for foreign in ["", "{}", "{\"ip\":7}", "{\"ip\":{}}", "<html>"] {
            assert!(about(foreign).is_err(), "{foreign}");
        }
    }
}
