//! The chain `guard`: connections to guarded ports are directed to riposte's own listeners, and who steps into a trap is dropped from that
//! packet on. Never touches what belongs to a real service: known ones are in the sets of open ports, and for a new one the kernel finds
//! a socket from its first packet on.
//!
//! The packets themselves stay as they are (tproxy, no address translation): what comes behind sees the port that was meant, so that a scan
//! of guarded ports is logged as a scan.

use super::{
    Chain, Comparison, Expression, Family, Hook, Labels, Limit, Meta, PASS, PREROUTING, PROBE_BYTES, TCP, UDP, Verdict, family_number,
    from_exempt, from_loopback, known_connections, open_ports, other_addresses, other_protocols, protocol_is, rule, source_of, transport,
};
use model::ports::Ports;
use std::net::{Ipv4Addr, Ipv6Addr};
use sys::nft::transaction::{ElementStep, Transaction};
use sys::nft::{Element, Key};

/// Directs connections to guarded ports to riposte's own listener, and traps: behind destination NAT (-100), so that what a container has
/// published is the container's.
pub(super) const GUARD: (&str, Chain) = ("guard", Chain { hook: Hook::Prerouting, priority: -90 });
/// For how long the kernel itself holds whoever steps into a trap: long enough for the judge to have decided, and no longer.
pub(super) const TRAPPED_MILLIS: u64 = 10_000;
/// Guarded TCP ports.
pub(super) const GUARDED_TCP: &str = "guarded_tcp";
/// TCP and UDP ports that are traps.
pub(super) const TRAPS: [&str; 2] = ["traps_tcp", "traps_udp"];
/// Who has stepped into one, by family.
pub(super) const TRAPPED_SETS: [&str; 2] = ["trapped4", "trapped6"];
/// Counts packets of the trapped that were dropped.
pub const TRAPPED: &str = "trapped";
/// What NFLOG calls a packet that sprang a trap.
pub const TRAP_PREFIX: &str = "trap";

const RST_OR_ACK: u8 = 0x14;

/// The guarded ports, and how they are guarded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Guarded {
    /// TCP ports at which riposte answers.
    pub tcp: Ports,
    /// The loopback ports of its IPv4 and IPv6 listeners.
    pub listeners: [Option<u16>; 2],
    /// TCP and UDP ports whose first packet has its sender dropped by the kernel itself. Need `nflog_group`.
    pub traps: [Ports; 2],
    /// Senders that may step into a trap each minute. What comes beyond that is only logged.
    pub traps_per_minute: u32,
    /// TCP and UDP ports whose first packet has its sender held: for a second it gets to no port where nobody listens.
    pub holds: [Ports; 2],
}

impl Guarded {
    /// Whether there is anything to direct or to trap.
    pub(super) fn has_chain(&self) -> bool {
        !self.tcp.is_empty() || self.has_traps()
    }

    /// Whether anybody is held.
    pub(super) fn holds(&self) -> bool {
        self.holds.iter().any(|ports| !ports.is_empty())
    }

    fn has_traps(&self) -> bool {
        self.traps_per_minute > 0 && self.traps.iter().any(|ports| !ports.is_empty())
    }

    /// Fills the sets of ports and the chain.
    pub(super) fn lay(&self, group: Option<u16>, transaction: &mut Transaction, labels: &mut Labels) {
        let sets = [GUARDED_TCP].into_iter().zip([&self.tcp]).chain(TRAPS.into_iter().zip(&self.traps));
        sets.for_each(|(set, ports)| transaction.elements(ElementStep::Add, set, elements(ports)));
        labels.note(transaction, "the guarded ports");
        from_loopback(transaction, GUARD.0);
        // Nearly everything leaves here.
        let [traps_tcp, traps_udp] = TRAPS.map(Expression::Absent);
        rule(transaction, GUARD.0, &protocol_is(&[TCP]), &[transport(2, 2), Expression::Absent(GUARDED_TCP), traps_tcp, PASS]);
        rule(transaction, GUARD.0, &protocol_is(&[UDP]), &[transport(2, 2), traps_udp, PASS]);
        other_protocols(transaction, GUARD.0);
        from_exempt(transaction, GUARD.0);
        other_addresses(transaction, GUARD.0);
        labels.note(transaction, "rules about own addresses (module nft_fib_inet)");
        open_ports(transaction, GUARD.0);
        rule(transaction, GUARD.0, &[Expression::Socket], &[Expression::Compare(Comparison::Equal, &[0]), PASS]);
        labels.note(transaction, "rules about sockets of real services (module nft_socket)");
        self.direct(transaction);
        labels.note(transaction, "rules that direct to guarded ports (module nft_tproxy)");
        if let Some(group) = group.filter(|_| self.has_traps()) {
            self.trap(group, transaction);
            labels.note(transaction, "rules about traps (modules nft_limit, nft_log, nft_set_hash)");
        }
    }

    fn direct(&self, transaction: &mut Transaction) {
        let localhost: [&[u8]; 2] = [&Ipv4Addr::LOCALHOST.octets(), &Ipv6Addr::LOCALHOST.octets()];
        for ((family, address), port) in Family::ALL.into_iter().zip(localhost).zip(self.listeners) {
            let Some(port) = port.filter(|_| !self.tcp.is_empty()) else { continue };
            let number = family_number(family);
            let guarded = [transport(2, 2), Expression::Lookup(GUARDED_TCP), Expression::Meta(Meta::Family)];
            let to = [
                Expression::Compare(Comparison::Equal, &number),
                Expression::Target(address, port.to_be_bytes()),
                Expression::Direct(number[0]),
                PASS,
            ];
            rule(transaction, GUARD.0, &protocol_is(&[TCP]), &[&guarded[..], &to].concat());
        }
    }

    /// Everything that is no first packet to a trap leaves; the others are held to their number a minute, all together.
    fn trap(&self, group: u16, transaction: &mut Transaction) {
        known_connections(transaction, GUARD.0);
        rule(transaction, GUARD.0, &protocol_is(&[TCP]), &[transport(2, 2), Expression::Absent(TRAPS[0]), PASS]);
        // Answers, late or to somebody else's forgery, step into nothing.
        let answers = [transport(13, 1), Expression::Mask(&[RST_OR_ACK]), Expression::Compare(Comparison::NotEqual, &[0]), PASS];
        rule(transaction, GUARD.0, &protocol_is(&[TCP]), &answers);
        let limit = Limit { rate: u64::from(self.traps_per_minute), secs: 60, burst: self.traps_per_minute };
        transaction.add_rule(GUARD.0, &[Expression::Beyond(limit), PASS]);
        for (family, set) in Family::ALL.into_iter().zip(TRAPPED_SETS) {
            let number = family_number(family);
            let add = Expression::Add { set, timeout_millis: TRAPPED_MILLIS };
            let log = Expression::Log { group, snap_bytes: PROBE_BYTES, prefix: Some(TRAP_PREFIX) };
            let (count, drop) = (Expression::Count(TRAPPED), Expression::Verdict(Verdict::Drop));
            rule(transaction, GUARD.0, &source_of(family, &number), &[add, count, log, drop]);
            // What comes after it goes no further than what the blocked send.
            let trapped = [&source_of(family, &number)[..], &[Expression::Lookup(set), count, drop]];
            transaction.add_rule(PREROUTING.0, &trapped.concat());
        }
    }
}

/// The elements of an interval set: each range's first port, and the one behind its last, if there is one.
pub(super) fn elements(ports: &Ports) -> impl Iterator<Item = Element> {
    ports.ranges().iter().flat_map(|range| {
        let element = |port: u16, ends_interval| Element { key: Key::from(port), ends_interval, timeout_millis: None };
        let behind = range.end().checked_add(1).map(|port| element(port, true));
        [Some(element(*range.start(), false)), behind].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_with_the_last_port_has_no_end_element() {
        let of = |range| elements(&Ports::from_iter([range])).map(|element| element.ends_interval).collect::<Vec<_>>();
        assert_eq!((of(23..=23), of(60_000..=65_534), of(60_000..=65_535)), (vec![false, true], vec![false, true], vec![false]));
    }
}
