//! Reads what `nft -j list ruleset` writes. Objects that no packet's way depends on are passed over; unknown conditions are kept as unknown.

use crate::names::{number, shown, value};
use crate::nft_words::{Operator, condition, connection, meta, payload, routing, these, typed};
use crate::rules::{Among, Base, Family, Hook, Key, Log, Match, Origin, Rule, Ruleset, Set, Step, Strange, Table, Value, Verdict};
use crate::{CHAINS, ELEMENTS, RULES, Wrong};
use serde_json::{Map, Value as Json};
use std::net::IpAddr;

/// Reads a ruleset in JSON. A rule's line is its place among the rules, from 1: nft writes everything into one line.
///
/// # Errors
/// What is no JSON, or not of nft's kind.
pub fn nft_json(text: &str) -> Result<Ruleset, Wrong> {
    let whole: Json = serde_json::from_str(text).map_err(|e| Wrong::new(u32::try_from(e.line()).unwrap_or(0), e.to_string()))?;
    let objects = whole.get("nftables").and_then(Json::as_array);
    let objects = objects.ok_or_else(|| Wrong::new(1, "this JSON has no list \"nftables\": nft -j list ruleset writes one"))?;
    let mut all = Ruleset::default();
    for object in objects {
        let Some((kind, body)) = object.as_object().and_then(|one| one.iter().next()) else { continue };
        let line = u32::try_from(all.rules + 1).unwrap_or(u32::MAX);
        read_object(kind, body, line, &mut all).map_err(|message| Wrong::new(line, format!("{kind}: {message}")))?;
    }
    Ok(all)
}

fn read_object(kind: &str, body: &Json, line: u32, all: &mut Ruleset) -> Result<(), String> {
    match kind {
        "table" => {
            let family = family(body)?;
            let mut table = Table::new(Origin::Nft, family, text(body, "name")?);
            table.dormant = words(body.get("flags")).contains(&"dormant");
            all.tables.push(table);
        }
        "chain" => {
            let base = base(body)?;
            let name = text(body, "name")?;
            let table = table(all, body)?;
            if table.chains.len() >= CHAINS {
                return Err(format!("more than {CHAINS} chains"));
            }
            table.chain_mut(name).base = base;
        }
        "set" | "map" => {
            let set = named_set(body);
            let name = text(body, "name")?.to_owned();
            table(all, body)?.sets.insert(name, set);
        }
        "flowtable" => {
            let name = text(body, "name")?.to_owned();
            table(all, body)?.flowtables.push(name);
        }
        "rule" => rule(body, line, all)?,
        // metainfo, counters, quotas, limits, helpers: nothing that decides.
        _ => (),
    }
    Ok(())
}

fn text<'j>(body: &'j Json, field: &str) -> Result<&'j str, String> {
    body.get(field).and_then(Json::as_str).ok_or_else(|| format!("no {field}"))
}

fn words(json: Option<&Json>) -> Vec<&str> {
    match json {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn family(body: &Json) -> Result<Family, String> {
    let word = text(body, "family")?;
    Family::parse(word).ok_or_else(|| format!("'{}' is no family", shown(word)))
}

fn table<'r>(all: &'r mut Ruleset, body: &Json) -> Result<&'r mut Table, String> {
    let (family, name) = (family(body)?, text(body, "table")?);
    let found = all.tables.iter_mut().find(|table| table.family == family && table.name == name);
    found.ok_or_else(|| format!("the table {family} {} is not there", shown(name)))
}

fn base(body: &Json) -> Result<Option<Base>, String> {
    let Some(hook) = body.get("hook").and_then(Json::as_str) else { return Ok(None) };
    let hook = Hook::parse(hook).ok_or_else(|| format!("'{}' is no hook", shown(hook)))?;
    let priority = body.get("prio").and_then(Json::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    let drops = body.get("policy").and_then(Json::as_str) == Some("drop");
    let nat = body.get("type").and_then(Json::as_str) == Some("nat");
    Ok(Some(Base { nat, hook, priority, drops, devices: words(body.get("dev")).into_iter().map(str::to_owned).collect() }))
}

fn named_set(body: &Json) -> Set {
    let keys: Vec<Key> = match body.get("type") {
        Some(Json::Object(one)) => match one.get("typeof") {
            Some(Json::Object(inner)) => inner
                .get("concat")
                .and_then(Json::as_array)
                .map_or_else(|| vec![key(&Json::Object(inner.clone()))], |parts| parts.iter().map(key).collect()),
            _ => vec![Key::Strange],
        },
        types => words(types).into_iter().map(typed).collect(),
    };
    let mut set = Set::default();
    elements(&keys, body.get("elem"), &mut set);
    set
}

fn elements(keys: &[Key], list: Option<&Json>, set: &mut Set) {
    let Some(Json::Array(list)) = list else { return };
    set.more |= list.len() > ELEMENTS;
    for one in list.iter().take(ELEMENTS) {
        match one {
            Json::Array(pair) if pair.len() == 2 => {
                set.elements.push(element(keys, &pair[0]));
                set.verdicts.push(verdict_of(&pair[1]).unwrap_or(Verdict::Continue));
            }
            one => set.elements.push(element(keys, one)),
        }
    }
}

fn element(keys: &[Key], json: &Json) -> Vec<Value> {
    let inner = json.get("elem").and_then(|elem| elem.get("val")).unwrap_or(json);
    match inner.get("concat").and_then(Json::as_array) {
        Some(parts) => keys.iter().zip(parts).map(|(key, part)| single(key, part)).collect(),
        None => vec![single(keys.first().unwrap_or(&Key::Strange), inner)],
    }
}

/// One value: a word, a number, a prefix, a range, several flags.
fn single(key: &Key, json: &Json) -> Value {
    match json {
        Json::String(all) if all == "*" && !matches!(key, Key::InterfaceIn | Key::InterfaceOut) => Value::Range(0, u128::MAX),
        Json::String(word) => value(key, word),
        Json::Number(n) => value(key, &n.to_string()),
        Json::Bool(yes) => value(key, if *yes { "true" } else { "false" }),
        Json::Array(flags) => value(key, &flags.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(",")),
        Json::Object(one) => compound(key, one).unwrap_or_else(|| Value::Strange(shown(&json.to_string()))),
        Json::Null => Value::Strange("null".to_owned()),
    }
}

fn compound(key: &Key, one: &Map<String, Json>) -> Option<Value> {
    if let Some(prefix) = one.get("prefix") {
        return Some(value(key, &format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?)));
    }
    if let Some(ends) = one.get("range").and_then(Json::as_array) {
        return match (single(key, ends.first()?), single(key, ends.get(1)?)) {
            (Value::Range(low, _), Value::Range(_, high)) => Some(Value::Range(low, high)),
            _ => None,
        };
    }
    if let Some(flags) = one.get("|").and_then(Json::as_array) {
        return flags.iter().map(|flag| single(key, flag)).try_fold(Value::one(0_u8), |all, flag| match (all, flag) {
            (Value::Range(a, _), Value::Range(b, _)) => Some(Value::one(a | b)),
            _ => None,
        });
    }
    one.get("elem").and_then(|elem| elem.get("val")).filter(|inner| inner.get("elem").is_none()).map(|inner| single(key, inner))
}

fn key(json: &Json) -> Key {
    let Some((kind, body)) = json.as_object().and_then(|one| one.iter().next()) else { return Key::Strange };
    let word = |field: &str| body.get(field).and_then(Json::as_str).unwrap_or_default();
    match kind.as_str() {
        "payload" => payload(word("protocol"), word("field")),
        "meta" => meta(word("key")),
        "ct" => connection(word("key")),
        "fib" => routing(&words(body.get("flags")), word("result")),
        "exthdr" | "ip option" => Key::Odd,
        _ => Key::Strange,
    }
}

/// Keys and mask of a left side.
fn left(json: &Json) -> (Vec<Key>, Option<String>) {
    if let Some([inner, mask]) = json.get("&").and_then(Json::as_array).map(Vec::as_slice) {
        let key = key(inner);
        let mask = match single(&key, mask) {
            Value::Range(low, high) if low == high => number_text(&key, low),
            _ => "none of this".to_owned(),
        };
        return (vec![key], Some(mask));
    }
    match json.get("concat").and_then(Json::as_array) {
        Some(parts) => (parts.iter().map(key).collect(), None),
        None => (vec![key(json)], None),
    }
}

/// A mask as a word that its key reads again.
fn number_text(key: &Key, mask: u128) -> String {
    match key {
        Key::Source(version) | Key::Destination(version) => crate::names::address_of(*version, mask).to_string(),
        _ => mask.to_string(),
    }
}

fn right(keys: &[Key], json: &Json) -> Among {
    if let Some(name) = json.as_str().and_then(|word| word.strip_prefix('@')) {
        return Among::Named(name.to_owned());
    }
    let mut set = Set::default();
    match json.get("set") {
        list @ Some(Json::Array(_)) => elements(keys, list, &mut set),
        Some(one) => set.elements.push(element(keys, one)),
        // `ct state established,related`
        None => match json {
            Json::Array(several) if !matches!(keys, [Key::TcpFlags(_)]) => {
                set.elements.extend(several.iter().map(|one| element(keys, one)));
            }
            one => set.elements.push(element(keys, one)),
        },
    }
    these(set)
}

fn rule(body: &Json, line: u32, all: &mut Ruleset) -> Result<(), String> {
    if all.rules >= RULES {
        return Err(format!("more than {RULES} rules"));
    }
    let empty = Vec::new();
    let statements = body.get("expr").and_then(Json::as_array).unwrap_or(&empty);
    let mut strange = Vec::new();
    let steps = statements.iter().flat_map(|one| [looked_up(one), statement(one, &mut strange)]).flatten().collect();
    let shown_text = shown(&body.get("expr").map(ToString::to_string).unwrap_or_default());
    let chain = text(body, "chain")?.to_owned();
    table(all, body)?.chain_mut(&chain).rules.push(Rule { line, text: shown_text, steps });
    all.strange.extend(strange.into_iter().map(|text| Strange { line, text }));
    all.rules += 1;
    Ok(())
}

fn verdict_of(json: &Json) -> Option<Verdict> {
    let (kind, body) = json.as_object()?.iter().next()?;
    let target = || Some(body.get("target")?.as_str()?.to_owned());
    Some(match kind.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "reject" => Verdict::Reject,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        "queue" => Verdict::Queue,
        _ => return None,
    })
}

fn statement(json: &Json, strange: &mut Vec<String>) -> Option<Step> {
    if let Some(verdict) = verdict_of(json) {
        return Some(Step::Verdict(verdict));
    }
    let (kind, body) = json.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "match" => Step::Match(matched(body, strange)),
        "vmap" => {
            let (keys, _) = left(body.get("key")?);
            let among = right(&keys, body.get("data")?);
            Step::Map { keys, among, text: shown(&body.to_string()) }
        }
        "log" => {
            let prefix = body.get("prefix").and_then(Json::as_str).unwrap_or_default().to_owned();
            Step::Log(Log { prefix, group: body.get("group").and_then(Json::as_u64).and_then(|n| u16::try_from(n).ok()) })
        }
        "limit" => limit(body),
        "ct count" => Step::Limit { over: inverse(body), text: format!("{} connections", body.get("val").unwrap_or(&Json::Null)) },
        "set" | "meter" => body.get("stmt").and_then(inner_limit)?,
        "mangle" => mark(body)?,
        "notrack" => Step::Notrack,
        "snat" | "masquerade" => Step::Verdict(Verdict::Accept),
        "redirect" => Step::Verdict(Verdict::Redirect(port(body))),
        "tproxy" => Step::Verdict(Verdict::Redirect(port(body))),
        "dnat" => {
            let address = body.get("addr").and_then(Json::as_str).and_then(|word| word.parse::<IpAddr>().ok());
            Step::Verdict(Verdict::Forwarded { address, port: port(body) })
        }
        "xt" => foreign(body, strange),
        "quota" | "osf" | "socket" => Step::Match(Match::strange(shown(&json.to_string()))),
        "fwd" | "synproxy" => {
            strange.push(kind.clone());
            Step::Verdict(Verdict::Strange(kind.clone()))
        }
        "counter" | "comment" | "last" | "dup" | "flow" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" => return None,
        _ => {
            strange.push(shown(kind));
            Step::Match(Match::strange(shown(kind)))
        }
    })
}

/// Of a translation whose target is in a map: only what the map knows is translated.
fn looked_up(json: &Json) -> Option<Step> {
    let (kind, body) = json.as_object()?.iter().next()?;
    let target = ["addr", "port"].iter().find_map(|field| body.get(field)?.get("map")).filter(|_| kind == "dnat" || kind == "redirect")?;
    let (keys, _) = left(target.get("key")?);
    let among = right(&keys, target.get("data")?);
    Some(Step::Match(Match { keys, among, negated: false, text: shown(&target.to_string()) }))
}

fn matched(body: &Json, strange: &mut Vec<String>) -> Match {
    let null = Json::Null;
    let operator = body.get("op").and_then(Json::as_str).and_then(Operator::parse).unwrap_or(Operator::Equal);
    let (keys, mask) = left(body.get("left").unwrap_or(&null));
    let among = right(&keys, body.get("right").unwrap_or(&null));
    let text = shown(&format!("{} {} {}", plain(body.get("left")), operator_text(operator), plain(body.get("right"))));
    let known = !keys.contains(&Key::Strange);
    let condition = condition(keys, mask.as_deref(), operator, among, text.clone());
    if known && condition.keys == [Key::Strange] {
        strange.push(text);
    }
    condition
}

fn operator_text(operator: Operator) -> &'static str {
    match operator {
        Operator::Implicit | Operator::Equal => "",
        Operator::Not => "!=",
        Operator::Less => "<",
        Operator::AtMost => "<=",
        Operator::More => ">",
        Operator::AtLeast => ">=",
    }
}

/// An expression in words, without JSON's marks.
fn plain(json: Option<&Json>) -> String {
    match json {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(word)) => word.clone(),
        Some(Json::Array(several)) => several.iter().map(|one| plain(Some(one))).collect::<Vec<_>>().join(", "),
        Some(Json::Object(one)) => one
            .values()
            .map(|inner| match inner {
                Json::Object(fields) => fields.values().map(|part| plain(Some(part))).collect::<Vec<_>>().join(" "),
                other => plain(Some(other)),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}

fn inverse(body: &Json) -> bool {
    body.get("inv").and_then(Json::as_bool).unwrap_or(false)
}

fn limit(body: &Json) -> Step {
    let text = match body {
        Json::String(name) => shown(name),
        _ => format!("{}/{}", body.get("rate").unwrap_or(&Json::Null), body.get("per").and_then(Json::as_str).unwrap_or("second")),
    };
    Step::Limit { over: inverse(body), text }
}

fn inner_limit(statements: &Json) -> Option<Step> {
    let list: Vec<&Json> = match statements {
        Json::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    list.into_iter().find_map(|one| match (one.get("limit"), one.get("ct count")) {
        (Some(body), _) => match limit(body) {
            Step::Limit { over, text } => Some(Step::Limit { over, text: format!("{text} per source") }),
            other => Some(other),
        },
        (None, Some(body)) => {
            Some(Step::Limit { over: inverse(body), text: format!("{} connections per source", body.get("val").unwrap_or(&Json::Null)) })
        }
        (None, None) => None,
    })
}

fn mark(body: &Json) -> Option<Step> {
    match key(body.get("key")?) {
        Key::Mark(_) => {
            let set = body
                .get("value")
                .and_then(|value| value.as_u64().or_else(|| value.as_str().and_then(number).and_then(|n| u64::try_from(n).ok())));
            Some(Step::Mark(set.and_then(|n| u32::try_from(n).ok())))
        }
        _ => None,
    }
}

fn port(body: &Json) -> Option<u16> {
    body.get("port").and_then(Json::as_u64).and_then(|n| u16::try_from(n).ok())
}

/// A part that iptables-nft wrote and that JSON hides: iptables-save shows it.
fn foreign(body: &Json, strange: &mut Vec<String>) -> Step {
    let name = body.get("name").and_then(Json::as_str).unwrap_or_default();
    let target = body.get("type").and_then(Json::as_str) == Some("target");
    if !(target && name == "LOG") {
        strange.push(format!("xt {} (iptables-save shows it)", shown(name)));
    }
    match name {
        "LOG" if target => Step::Log(Log { prefix: String::new(), group: None }),
        "REJECT" if target => Step::Verdict(Verdict::Reject),
        "DNAT" if target => Step::Verdict(Verdict::Forwarded { address: None, port: None }),
        "REDIRECT" if target => Step::Verdict(Verdict::Redirect(None)),
        "CT" | "TCPMSS" | "CHECKSUM" | "MARK" | "CONNMARK" | "SET" if target => Step::Mark(None),
        _ if target => Step::Verdict(Verdict::Strange(shown(name))),
        _ => Step::Match(Match::strange(format!("xt {}", shown(name)))),
    }
}
