//! The chain `hold`: while the judge decides about whoever came to a guarded port, the kernel keeps him from all that is closed here. Nobody
//! loses anything by it that he has business with: services and known connections are let through, and a sender whose name was forged
//! misses the word "closed" for a second.
//!
//! It stands behind the chain that logs: what it drops is evidence all the same.

use super::guard::elements;
use super::{
    Chain, Comparison, Expression, Family, Hook, Labels, PASS, TCP, UDP, Verdict, answers, family_number, from_exempt, from_loopback,
    known_connections, open_ports, other_addresses, other_protocols, protocol_is, rule, source_of, transport,
};
use model::ports::Ports;
use sys::nft::transaction::{ElementStep, Transaction};

/// Behind the chain that logs probes (-10), before the usual filters (0).
pub(super) const HOLD: (&str, Chain) = ("hold", Chain { hook: Hook::Input, priority: -9 });
/// For how long a source is held: some thousand times as long as a decision takes, and as long as a client waits before its next SYN.
pub(super) const HELD_MILLIS: u64 = 1_000;
/// TCP and UDP ports whose first packet has its sender held.
pub(super) const HOLDS: [&str; 2] = ["holds_tcp", "holds_udp"];
/// Who is held, by family.
pub(super) const HELD_SETS: [&str; 2] = ["held4", "held6"];
/// Counts packets of the held that were dropped.
pub const HELD: &str = "held";
/// Counts packets that would have had their sender held, had there been room.
pub const HELD_FULL: &str = "held_full";

/// Fills the sets of ports and the chain.
pub(super) fn lay(ports: &[Ports; 2], transaction: &mut Transaction, labels: &mut Labels) {
    HOLDS.into_iter().zip(ports).for_each(|(set, ports)| transaction.elements(ElementStep::Add, set, elements(ports)));
    labels.note(transaction, "the ports whose senders are held");
    from_loopback(transaction, HOLD.0);
    // Nearly everything leaves here.
    known_connections(transaction, HOLD.0);
    other_protocols(transaction, HOLD.0);
    for (protocol, ports) in [TCP, UDP].into_iter().zip(HOLDS) {
        for (family, set) in Family::ALL.into_iter().zip(HELD_SETS) {
            let number = family_number(family);
            let strange =
                [&[transport(2, 2), Expression::Absent(ports)][..], &source_of(family, &number), &[Expression::Absent(set), PASS]];
            rule(transaction, HOLD.0, &protocol_is(&[protocol]), &strange.concat());
        }
    }
    from_exempt(transaction, HOLD.0);
    other_addresses(transaction, HOLD.0);
    open_ports(transaction, HOLD.0);
    answers(transaction, HOLD.0);
    // A service that nobody has told of yet. What waits at a guarded port for connections is riposte itself, and transparent.
    rule(transaction, HOLD.0, &[Expression::Socket], &[Expression::Compare(Comparison::Equal, &[0]), PASS]);
    labels.note(transaction, "rules about who is held (modules nft_ct, nft_fib_inet, nft_socket)");
    let drop = [Expression::Count(HELD), Expression::Verdict(Verdict::Drop)];
    for (family, set) in Family::ALL.into_iter().zip(HELD_SETS) {
        let number = family_number(family);
        rule(transaction, HOLD.0, &source_of(family, &number), &[&[Expression::Lookup(set)][..], &drop].concat());
    }
    for (family, set) in Family::ALL.into_iter().zip(HELD_SETS) {
        let number = family_number(family);
        rule(transaction, HOLD.0, &source_of(family, &number), &[Expression::Add { set, timeout_millis: HELD_MILLIS }, PASS]);
    }
    rule(transaction, HOLD.0, &[Expression::Count(HELD_FULL)], &[]);
    labels.note(transaction, "rules that hold (module nft_set_hash)");
}
