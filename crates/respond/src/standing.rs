//! What a batch makes of the blocks that stand, for responders that keep a bounded list. Never asks the system.

use model::block::{Change, Fault, Outcome};
use model::net::Prefix;
use std::collections::BTreeSet;

/// Carries the changes out on the list, in their order; what became of each. Above `size`, new ones are `Full`.
/// A block of everybody is `Unsupported`: it would be written without an address, and not be known again.
pub(crate) fn settle(batch: &[Change], standing: &mut BTreeSet<Prefix>, size: usize) -> Vec<Outcome> {
    let settle = |change: &Change| {
        let prefix = change.scope().prefix();
        match change {
            _ if prefix.bits() == 0 => Outcome::Unsupported,
            Change::Add { .. } if standing.len() >= size && !standing.contains(&prefix) => Outcome::Failed(Fault::Full),
            Change::Add { .. } => {
                standing.insert(prefix);
                Outcome::Added
            }
            Change::Remove { .. } => {
                standing.remove(&prefix);
                Outcome::Removed
            }
        }
    };
    batch.iter().map(settle).collect()
}
