//! What follows from a survey: what is dangerous, what riposte won't see, and what to do about it in the words of the tool that made the
//! rules. Does nothing itself.

use crate::ask::{Fate, Place};
use crate::json;
use crate::rules::{Family, Hook, Ruleset, Step, Version};
use crate::survey::{Side, Survey, Usual, own};
use crate::tools::{Tool, tools};
use std::net::IpAddr;

/// What is known of the host and of riposte's configuration.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The priority of riposte's chain at the input hook.
    pub probes: i32,
    /// The NFLOG group that riposte uses; `None` if its packet sensor is off.
    pub group: Option<u16>,
    /// Whether riposte follows a firewall log.
    pub follows_log: bool,
    /// Whether the host forwards, by version; `None` if that isn't known.
    pub forwards: [Option<bool>; 2],
    /// The interfaces with a default route; empty if they aren't known.
    pub outside: Vec<String>,
    /// Who listens: protocol, address, port; `None` if that isn't known.
    pub listening: Option<Vec<(u8, IpAddr, u16)>>,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Whether something should be done.
    pub heavy: bool,
    /// For one version of IP only.
    pub version: Option<Version>,
    /// What is the matter.
    pub what: String,
    /// What to type or write.
    pub act: Option<String>,
}

/// The sides that strangers come by, one of those that are treated alike: those with a default route if they are known, else those that
/// rules name and that look like it, and any other.
pub fn outside<'s>(survey: &'s Survey, circumstances: &Circumstances) -> Vec<&'s Side> {
    let known = |side: &&Side| side.interface.as_ref().is_some_and(|name| circumstances.outside.contains(name));
    let usual = ["eth", "en", "wan", "ppp", "wlan", "wl", "net"];
    let likely = |side: &&Side| side.interface.as_ref().is_none_or(|name| usual.iter().any(|start| name.starts_with(start)));
    let mut all: Vec<&Side> = survey.sides.iter().filter(known).collect();
    if all.is_empty() {
        all = survey.sides.iter().filter(likely).collect();
    }
    if all.is_empty() {
        all = survey.sides.iter().collect();
    }
    let mut different: Vec<&Side> = Vec::new();
    for side in all {
        if !different.iter().any(|one| (&one.tcp, &one.udp, one.ping) == (&side.tcp, &side.udp, side.ping)) {
            different.push(side);
        }
    }
    different
}

/// Whether riposte's packet sensor sees packets that are decided there.
pub fn hidden(at: Option<&Place>, probes: i32) -> bool {
    at.is_some_and(|at| match at.hook {
        Hook::Ingress | Hook::Prerouting => true,
        Hook::Input => at.priority <= probes,
        Hook::Forward | Hook::Output | Hook::Postrouting | Hook::Egress => false,
    })
}

/// Everything that should be said, the heavy things first.
pub fn advice(rules: &Ruleset, surveys: &[Survey], circumstances: &Circumstances) -> Vec<Advice> {
    let tools = tools(rules);
    let tool = tools.iter().copied().find(|tool| tool.decides()).unwrap_or(Tool::Nft);
    let mut all = Vec::new();
    for survey in surveys {
        let others_closed = surveys.iter().any(|other| other.version != survey.version && closed(other, circumstances));
        defaults(survey, others_closed, tool, circumstances, &mut all);
        ports(survey, &mut all);
        services(survey, circumstances, &mut all);
        forwarding(survey, circumstances, &mut all);
    }
    neighbours(rules, &tools, circumstances, &mut all);
    all.sort_by_key(|one| !one.heavy);
    all
}

fn closed(survey: &Survey, circumstances: &Circumstances) -> bool {
    outside(survey, circumstances).iter().all(|side| side.tcp.fate != Fate::Accepted && side.udp.fate != Fate::Accepted)
}

fn defaults(survey: &Survey, others_closed: bool, tool: Tool, circumstances: &Circumstances, all: &mut Vec<Advice>) {
    let version = survey.version;
    let mut say = |heavy: bool, what: String, act: Option<String>| all.push(Advice { heavy, version: Some(version), what, act });
    for side in outside(survey, circumstances) {
        let on = side.interface.as_ref().map_or(String::new(), |name| format!(" on {name}"));
        let alike = (side.tcp.fate, &side.tcp.at, &side.tcp.logs) == (side.udp.fate, &side.udp.at, &side.udp.logs);
        let kinds = if alike { vec![("", &side.tcp)] } else { vec![("TCP ", &side.tcp), ("UDP ", &side.udp)] };
        for (protocol, usual) in kinds {
            match usual.fate {
                Fate::Accepted => {
                    let why = match (&usual.at, version, others_closed) {
                        (_, Version::V6, true) => "IPv4 is closed, and IPv6 was forgotten".to_owned(),
                        (None, ..) => "no rule and no policy sees them".to_owned(),
                        (Some(at), ..) if at.line == 0 => {
                            format!("the policy of {} is accept, and no rule before its end says otherwise", chain(at))
                        }
                        (Some(at), ..) => format!("{} lets them in", json::place(at)),
                    };
                    say(
                        true,
                        format!("New {protocol}connections{on} are accepted by default: {why}."),
                        Some(close(tool, version, usual.at.as_ref())),
                    );
                }
                Fate::Unknown | Fate::Queued => {
                    say(true, format!("What becomes of new {protocol}connections{on} by default can't be told."), None);
                }
                Fate::Dropped | Fate::Rejected => unseen(protocol, &on, usual, tool, version, circumstances, &mut say),
            }
        }
    }
}

/// Of what is refused: who is told of it.
fn unseen(
    protocol: &str,
    on: &str,
    usual: &Usual,
    tool: Tool,
    version: Version,
    circumstances: &Circumstances,
    say: &mut impl FnMut(bool, String, Option<String>),
) {
    let hidden = hidden(usual.at.as_ref(), circumstances.probes);
    let seen = circumstances.group.is_some() && !hidden;
    let place = usual.at.as_ref().map(json::place).unwrap_or_default();
    if hidden && circumstances.group.is_some() {
        say(
            !circumstances.follows_log || usual.logs.is_empty(),
            format!(
                "Refused {protocol}packets{on} are gone before riposte's packet sensor (input, priority {}) sees them: {place}.",
                circumstances.probes
            ),
            Some("Refuse them in an input chain of priority 0 or later; or log them there and follow that log: [[sense.log]] kind = \"journal\"".to_owned()),
        );
    }
    if usual.logs.is_empty() {
        let what = format!(
            "Refused {protocol}packets{on} are not logged{}.",
            if seen { "; riposte sees them all the same, by NFLOG" } else { "" }
        );
        say(!seen, what, Some(log(tool, version, usual.at.as_ref())));
    } else if !seen && !circumstances.follows_log {
        let what = format!("Refused {protocol}packets{on} are logged, but riposte follows no log.");
        say(true, what, Some("In riposte.toml: [[sense.log]] kind = \"journal\" (or kind = \"kmsg\", or a file)".to_owned()));
    }
    if let Some((_, Some(limit))) = usual.logs.first()
        && usual.logs.iter().all(|(_, limit)| limit.is_some())
        && !seen
    {
        say(false, format!("Refused {protocol}packets{on} are logged only up to {limit}: of a fast scan little is seen."), None);
    }
}

fn chain(at: &Place) -> String {
    format!("{} {}", at.table, at.chain)
}

/// How to close what is open by default.
fn close(tool: Tool, version: Version, at: Option<&Place>) -> String {
    let six = if version == Version::V6 { "6" } else { "" };
    match tool {
        Tool::Ufw => "ufw default deny incoming; ufw enable    (IPv6: IPV6=yes in /etc/default/ufw)".to_owned(),
        Tool::Firewalld => "firewall-cmd --permanent --zone=public --set-target=default; firewall-cmd --reload".to_owned(),
        Tool::Shorewall => format!("/etc/shorewall{six}/policy: net all DROP info    then: shorewall{six} reload"),
        Tool::Iptables if version == Version::V6 => {
            "ip6tables -A INPUT -i lo -j ACCEPT; ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; ip6tables -A INPUT -p ipv6-icmp -j ACCEPT; your ports; ip6tables -P INPUT DROP".to_owned()
        }
        Tool::Iptables => {
            "iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; your ports; iptables -P INPUT DROP".to_owned()
        }
        _ => {
            let there = at.filter(|at| at.hook == Hook::Input && at.line == 0).map(chain);
            let make = match there {
                Some(_) => "",
                None => "nft add table inet filter; nft 'add chain inet filter input { type filter hook input priority 0; policy accept; }'; ",
            };
            let chain = there.as_deref().unwrap_or("inet filter input");
            // In an order that locks nobody out who types it as it stands.
            format!(
                "{make}nft add rule {chain} iif lo accept; nft add rule {chain} ct state established,related accept; \
                 nft add rule {chain} meta l4proto ipv6-icmp accept; your ports; nft 'chain {chain} {{ policy drop; }}'"
            )
        }
    }
}

/// How to log what is refused there.
fn log(tool: Tool, version: Version, at: Option<&Place>) -> String {
    let six = if version == Version::V6 { "6" } else { "" };
    let before = at.filter(|at| at.line > 0).map_or(String::new(), |at| format!("    (in front of the rule in line {})", at.line));
    match tool {
        Tool::Ufw => "ufw logging on".to_owned(),
        Tool::Firewalld => "firewall-cmd --set-log-denied=all".to_owned(),
        Tool::Shorewall => format!("/etc/shorewall{six}/policy: a log level (info) behind DROP or REJECT; then: shorewall{six} reload"),
        Tool::Iptables => {
            let chain = at.map_or("INPUT", |at| at.chain.as_str());
            let table = at.and_then(|at| at.table.split(' ').nth(1)).filter(|table| *table != "filter");
            let table = table.map_or(String::new(), |table| format!("-t {table} "));
            format!("ip{six}tables {table}-A {chain} -m limit --limit 10/second -j LOG --log-prefix 'DROP '{before}")
        }
        _ => {
            let chain = at.map_or("inet filter input".to_owned(), chain);
            format!("nft add rule {chain} limit rate 10/second log prefix '\"drop \"'{before}")
        }
    }
}

fn ports(survey: &Survey, all: &mut Vec<Advice>) {
    for open in &survey.open {
        for whom in open.to.iter().filter(|whom| whom.maybe) {
            let by_port =
                whom.unless.iter().find(|(fate, on)| *fate == Fate::Accepted && (on.contains("sport") || on.contains("source-port")));
            if let Some((_, on)) = by_port
                && open.high - open.low > 1_000
            {
                let what = format!("Whoever chooses his source port reaches {} to {} ({on}): anybody can.", open.low, open.high);
                let act = "Accept answers by connection state (ct state established,related) instead of by source port".to_owned();
                all.push(Advice { heavy: true, version: Some(survey.version), what, act: Some(act) });
            }
        }
        for whom in open.to.iter().filter(|whom| whom.sent_to.is_some_and(|(to, _)| to.is_some()) && whom.anybody) {
            if let Some((Some(to), port)) = whom.sent_to {
                let port = port.unwrap_or(open.low);
                let what = format!(
                    "Port {} is sent on to {to}, port {port}, past the rules for this host; riposte's packet sensor sees no forwarded packets, but its blocks hold for them.",
                    open.low
                );
                all.push(Advice {
                    heavy: false,
                    version: Some(survey.version),
                    what,
                    act: Some("To limit who may: Docker's chain DOCKER-USER, else the forward chain".to_owned()),
                });
            }
        }
    }
}

/// Whether strangers reach this port: yes, only some, no.
pub fn reach(survey: &Survey, protocol: u8, port: u16) -> &'static str {
    let open = survey.open.iter().find(|open| open.protocol == protocol && open.low <= port && port <= open.high);
    match open {
        None => "nobody",
        Some(open) if open.to.iter().any(|whom| whom.anybody) => "anybody",
        Some(_) => "some",
    }
}

fn services(survey: &Survey, circumstances: &Circumstances, all: &mut Vec<Advice>) {
    let Some(listening) = &circumstances.listening else { return };
    let ours = |address: &IpAddr| match address {
        IpAddr::V4(v4) => survey.version == Version::V4 && !v4.is_loopback(),
        IpAddr::V6(v6) => !v6.is_loopback() && (survey.version == Version::V6 || v6.is_unspecified()),
    };
    let mut unreachable: Vec<String> = listening
        .iter()
        .filter(|(protocol, address, port)| matches!(protocol, 6 | 17) && ours(address) && reach(survey, *protocol, *port) == "nobody")
        .map(|(protocol, _, port)| format!("{}/{port}", crate::names::protocol_name(*protocol)))
        .collect();
    unreachable.sort_unstable();
    unreachable.dedup();
    if !unreachable.is_empty() {
        let what = format!("Somebody listens, but nobody outside gets there: {}.", unreachable.join(", "));
        all.push(Advice { heavy: false, version: Some(survey.version), what, act: None });
    }
}

fn forwarding(survey: &Survey, circumstances: &Circumstances, all: &mut Vec<Advice>) {
    let forwards = circumstances.forwards[usize::from(survey.version == Version::V6)];
    let from: Vec<&Option<String>> = outside(survey, circumstances).into_iter().map(|side| &side.interface).collect();
    let open = survey.forward.iter().find(|(inside, _, fate)| from.contains(&inside) && *fate == Fate::Accepted);
    if let (Some((inside, out, _)), Some(true)) = (open, forwards) {
        let what =
            format!("This host forwards, and lets new connections through from {} to {}.", json::interface(inside), json::interface(out));
        let act = "A forward chain with policy drop that accepts established,related and what must pass".to_owned();
        all.push(Advice { heavy: true, version: Some(survey.version), what, act: Some(act) });
    }
}

/// What else lives in these tables.
fn neighbours(rules: &Ruleset, tools: &[Tool], circumstances: &Circumstances, all: &mut Vec<Advice>) {
    let mut say =
        |heavy: bool, what: String, act: Option<&str>| all.push(Advice { heavy, version: None, what, act: act.map(str::to_owned) });
    for tool in tools.iter().filter(|tool| tool.responds()) {
        let act = "Let one of them block: what one has blocked, the other no longer sees";
        say(false, format!("{} blocks attackers here, too.", tool.name()), Some(act));
    }
    let steps = || {
        let theirs = rules.tables.iter().filter(|table| !own(table));
        theirs.flat_map(|table| table.chains.iter().flat_map(move |chain| chain.rules.iter().map(move |rule| (table, chain, rule))))
    };
    let logs_to =
        |group: u16| steps().find(|(_, _, rule)| rule.steps.iter().any(|step| matches!(step, Step::Log(log) if log.group == Some(group))));
    if let Some((table, chain, rule)) = circumstances.group.and_then(logs_to) {
        let what =
            format!("Another rule logs to riposte's NFLOG group: {} {} {}, line {}.", table.family, table.name, chain.name, rule.line);
        say(true, what, Some("Give one of them another group: [sense.nflog] group"));
    }
    if let Some((table, chain, rule)) = steps().find(|(_, _, rule)| rule.steps.contains(&Step::Notrack)) {
        let what = format!(
            "Connection tracking is switched off for some packets ({} {} {}, line {}): answers to this host's own questions then look like probes to riposte.",
            table.family, table.name, chain.name, rule.line
        );
        say(false, what, Some("Put the servers that answer into [policy] exempt, or track these packets"));
    }
    for table in &rules.tables {
        if table.family == Family::Inet && table.name == "riposte" && !own(table) {
            say(
                true,
                "There is a table inet riposte that isn't riposte's: riposte replaces it when it starts.".to_owned(),
                Some("Rename it"),
            );
        }
        if let Some(name) = table.flowtables.first() {
            say(
                false,
                format!(
                    "Established connections in the flow table {name} skip the rules; riposte ends a blocked one by deleting its connection entry."
                ),
                None,
            );
        }
        if table.family == Family::Bridge {
            let what = format!(
                "The table bridge {} filters frames that pass through a bridge; such frames are no packets to this host and are not part of this analysis.",
                table.name
            );
            say(false, what, None);
        }
    }
    if !rules.strange.is_empty() {
        say(false, format!("{} conditions or targets were not understood and count as \"maybe\".", rules.strange.len()), None);
    }
}
