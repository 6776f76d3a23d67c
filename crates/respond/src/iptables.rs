//! Plain iptables and ip6tables, one rule a block: for kernels and hosts without nftables and ipset. Never touches a rule outside its own chain.

use crate::chain::{self, Chain, Rules, Settings, has_ipv6};
use crate::ranges::Family;
use crate::tool::Tool;
use crate::{Kind, Needs, Responder};
use model::block::{Change, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "iptables",
    summary: "Blocks with one rule each in an own chain of iptables and ip6tables, called first in INPUT and FORWARD; riposte takes them away in time.",
    example: "[respond]\nkind = \"iptables\"\n",
    open: Some(open),
    keys: chain::keys!(iptables, Settings::SIZE_MAX),
    needs: Needs {
        programs: &["iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"],
        capabilities: chain::CAPABILITIES,
        writes: |_| vec![chain::LOCK.into()],
    },
};

/// The chain's name.
const CHAIN: &str = "riposte";

/// Blocks as rules.
struct Iptables {
    tool: Box<dyn Tool>,
    rules: Vec<(Family, Rules)>,
}

fn open(settings: &crate::Settings, mut tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    let Settings { backend, size } = settings.iptables;
    let mut all = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| *family == Family::V4 || has_ipv6()) {
        let rules = Rules { chain: Chain::iptables(CHAIN, backend, family == Family::V6), size, rule, blocked };
        rules.open(&mut *tool).map_err(|error| error.to_string())?;
        all.push((family, rules));
    }
    Ok(Box::new(Iptables { tool, rules: all }))
}

fn rule(prefix: &Prefix) -> String {
    format!("-s {prefix} -j DROP")
}

fn blocked(rule: &str) -> Option<Prefix> {
    rule.strip_prefix("-s ")?.strip_suffix(" -j DROP")?.parse().ok()
}

impl Responder for Iptables {
    fn supports(&self, scope: &Scope) -> bool {
        let prefix = scope.prefix();
        prefix.bits() > 0 && self.rules.iter().any(|(family, _)| *family == Family::of(prefix.addr()))
    }

    fn expires_itself(&self) -> bool {
        false
    }

    fn apply(&mut self, batch: &[Change], _now: Time) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Unsupported; batch.len()];
        for (family, rules) in &self.rules {
            let is_its = |change: &Change| Family::of(change.scope().prefix().addr()) == *family;
            let (places, part): (Vec<&mut Outcome>, Vec<Change>) =
                outcomes.iter_mut().zip(batch.iter().copied()).filter(|(_, change)| is_its(change)).unzip();
            places.into_iter().zip(rules.apply(&mut *self.tool, &part)).for_each(|(place, outcome)| *place = outcome);
        }
        outcomes
    }

    fn list(&mut self, _now: Time) -> Result<Vec<Installed>, Fault> {
        let mut installed = Vec::new();
        for (_, rules) in &self.rules {
            installed.extend(rules.list(&mut *self.tool).map_err(|error| error.fault())?);
        }
        Ok(installed)
    }
}
