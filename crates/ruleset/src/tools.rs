//! Who made these rules, and who else answers attackers here: told by names of tables, chains and sets. Changes nothing of theirs.

use crate::rules::{Origin, Ruleset, Table};

/// A program that writes firewall rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// Ubuntu's front end.
    Ufw,
    /// Red Hat's.
    Firewalld,
    /// Shorewall and Shorewall6.
    Shorewall,
    /// Docker's daemon.
    Docker,
    /// libvirt's networks.
    Libvirt,
    /// Kubernetes' proxy or a network plug-in of it.
    Kubernetes,
    /// Tailscale.
    Tailscale,
    /// An active responder.
    Fail2ban,
    /// An active responder.
    Crowdsec,
    /// An active responder.
    Sshguard,
    /// An active responder.
    Psad,
    /// Signatures as rules.
    Fwsnort,
    /// Rules by hand, or by something unknown, through nft.
    Nft,
    /// Rules by hand, or by something unknown, through iptables.
    Iptables,
}

impl Tool {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Ufw => "ufw",
            Tool::Firewalld => "firewalld",
            Tool::Shorewall => "Shorewall",
            Tool::Docker => "Docker",
            Tool::Libvirt => "libvirt",
            Tool::Kubernetes => "Kubernetes",
            Tool::Tailscale => "Tailscale",
            Tool::Fail2ban => "fail2ban",
            Tool::Crowdsec => "CrowdSec",
            Tool::Sshguard => "sshguard",
            Tool::Psad => "psad",
            Tool::Fwsnort => "fwsnort",
            Tool::Nft => "nft",
            Tool::Iptables => "iptables",
        }
    }

    /// Whether it blocks attackers by itself, as riposte does.
    pub fn responds(self) -> bool {
        matches!(self, Tool::Fail2ban | Tool::Crowdsec | Tool::Sshguard | Tool::Psad)
    }

    /// Whether it is what decides about packets to this host, so that advice is given in its words.
    pub fn decides(self) -> bool {
        matches!(self, Tool::Ufw | Tool::Firewalld | Tool::Shorewall | Tool::Nft | Tool::Iptables)
    }
}

/// Beginnings of chains' names.
const CHAINS: [(&str, Tool); 22] = [
    ("ufw-", Tool::Ufw),
    ("ufw6-", Tool::Ufw),
    ("IN_public", Tool::Firewalld),
    ("INPUT_ZONES", Tool::Firewalld),
    ("net-fw", Tool::Shorewall),
    ("net2fw", Tool::Shorewall),
    ("shorewall", Tool::Shorewall),
    ("sfilter", Tool::Shorewall),
    ("DOCKER", Tool::Docker),
    ("LIBVIRT_", Tool::Libvirt),
    ("KUBE-", Tool::Kubernetes),
    ("cali-", Tool::Kubernetes),
    ("CILIUM_", Tool::Kubernetes),
    ("ts-", Tool::Tailscale),
    ("f2b-", Tool::Fail2ban),
    ("fail2ban-", Tool::Fail2ban),
    ("CROWDSEC", Tool::Crowdsec),
    ("crowdsec", Tool::Crowdsec),
    ("sshguard", Tool::Sshguard),
    ("PSAD_BLOCK", Tool::Psad),
    ("FWSNORT", Tool::Fwsnort),
    ("BLOCKLIST_SSHGUARD", Tool::Sshguard),
];

/// Beginnings of the names of tables and sets.
const NAMES: [(&str, Tool); 8] = [
    ("firewalld", Tool::Firewalld),
    ("f2b-", Tool::Fail2ban),
    ("addr-set-", Tool::Fail2ban),
    ("crowdsec", Tool::Crowdsec),
    ("sshguard", Tool::Sshguard),
    ("libvirt", Tool::Libvirt),
    ("kube-proxy", Tool::Kubernetes),
    ("docker", Tool::Docker),
];

fn begins(table: &[(&str, Tool)], name: &str) -> Option<Tool> {
    table.iter().find(|(start, _)| name.starts_with(start)).map(|(_, tool)| *tool)
}

fn of_table(table: &Table) -> impl Iterator<Item = Tool> {
    let by_chain = table.chains.iter().filter_map(|chain| begins(&CHAINS, &chain.name));
    let by_name = begins(&NAMES, &table.name).into_iter();
    by_chain.chain(by_name).chain(table.sets.keys().filter_map(|name| begins(&NAMES, name)))
}

/// Who wrote rules here. One of them at least is somebody who decides.
pub fn tools(rules: &Ruleset) -> Vec<Tool> {
    let theirs = || rules.tables.iter().filter(|table| !crate::survey::own(table));
    let mut all: Vec<Tool> = theirs().flat_map(of_table).collect();
    if !all.iter().any(|tool| tool.decides()) {
        let decides = |table: &&Table| table.chains.iter().any(|chain| chain.base.as_ref().is_some_and(|base| !base.nat));
        let iptables = theirs().filter(decides).any(|table| table.origin == Origin::Iptables);
        all.push(if iptables { Tool::Iptables } else { Tool::Nft });
    }
    all.sort_unstable();
    all.dedup();
    all
}
