//! ebtables: blocks what comes through a bridge, one rule a block, before IP of this host sees it. Never touches a rule outside its own chain.

use crate::chain::{self, Chain, Rules, Settings};
use crate::tool::Tool;
use crate::{Kind, Needs, Responder};
use model::block::{Change, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use std::net::IpAddr;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "ebtables",
    summary: "Blocks what crosses or reaches a bridge, with one rule each in an own chain of ebtables; riposte takes them away in time.",
    example: "[respond]\nkind = \"ebtables\"\n",
    open: Some(open),
    keys: chain::keys!(ebtables, Settings::SIZE_MAX),
    needs: Needs {
        programs: &["ebtables-save", "ebtables-restore"],
        capabilities: chain::CAPABILITIES,
        writes: |_| vec![chain::LOCK.into()],
    },
};

/// The chain's name.
const CHAIN: &str = "riposte";

/// Blocks as rules.
struct Ebtables {
    tool: Box<dyn Tool>,
    rules: Rules,
}

fn open(settings: &crate::Settings, mut tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    let Settings { backend, size } = settings.ebtables;
    let rules = Rules { chain: Chain::ebtables(CHAIN, backend), size, rule, blocked };
    rules.open(&mut *tool).map_err(|error| error.to_string())?;
    Ok(Box::new(Ebtables { tool, rules }))
}

fn rule(prefix: &Prefix) -> String {
    match prefix.addr() {
        IpAddr::V4(_) => format!("-p IPv4 --ip-src {prefix} -j DROP"),
        IpAddr::V6(_) => format!("-p IPv6 --ip6-src {prefix} -j DROP"),
    }
}

fn blocked(rule: &str) -> Option<Prefix> {
    let source = rule.strip_prefix("-p IPv4 --ip-src ").or_else(|| rule.strip_prefix("-p IPv6 --ip6-src "))?;
    let source = source.strip_suffix(" -j DROP")?;
    let parsed = source.parse().ok();
    // The classic ebtables writes IPv6 masks as addresses.
    parsed.or_else(|| source.split_once('/').and_then(|(addr, mask)| Some(Prefix::new(addr.parse().ok()?, length(mask)?))))
}

/// The length of a mask in bits.
fn length(mask: &str) -> Option<u8> {
    let (bits, width) = match mask.parse().ok()? {
        IpAddr::V4(mask) => (u128::from(u32::from(mask)) << 96, 32),
        IpAddr::V6(mask) => (u128::from(mask), 128),
    };
    let length = bits.leading_ones();
    (length <= width && bits.count_ones() == length).then_some(length as u8)
}

impl Responder for Ebtables {
    fn supports(&self, scope: &Scope) -> bool {
        scope.prefix().bits() > 0
    }

    fn expires_itself(&self) -> bool {
        false
    }

    fn apply(&mut self, batch: &[Change], _now: Time) -> Vec<Outcome> {
        self.rules.apply(&mut *self.tool, batch)
    }

    fn list(&mut self, _now: Time) -> Result<Vec<Installed>, Fault> {
        self.rules.list(&mut *self.tool).map_err(|error| error.fault())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_both_ebtables_write_them() {
        let cases = [
            ("-p IPv4 --ip-src 192.0.2.7 -j DROP", Some("192.0.2.7")),
            ("-p IPv4 --ip-src 192.0.2.0/24 -j DROP", Some("192.0.2.0/24")),
            ("-p IPv6 --ip6-src 2001:db8::/64 -j DROP", Some("2001:db8::/64")),
            ("-p IPv6 --ip6-src 2001:db8::7/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -j DROP", Some("2001:db8::7")),
            ("-p IPv6 --ip6-src 2001:db8::/ffff:ffff:: -j DROP", Some("2001:db8::/32")),
            ("-p IPv4 --ip-src 192.0.2.0/255.255.255.0 -j DROP", Some("192.0.2.0/24")),
            ("-p IPv4 --ip-src 192.0.2.0/255.0.255.0 -j DROP", None),
            ("-p IPv4 --ip-src ! 192.0.2.7 -j DROP", None),
            ("-p IPv4 --ip-src 192.0.2.7 -j ACCEPT", None),
            ("-p IPv4 --ip-src 192.0.2.7 --ip-proto tcp -j DROP", None),
            ("-j DROP", None),
        ];
        for (rule, expected) in cases {
            assert_eq!(blocked(rule), expected.map(|prefix| prefix.parse().unwrap()), "{rule}");
        }
    }
}
