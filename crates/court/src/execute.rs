//! The warden's last look: carries out a batch for the judge, but for what touches an exempt address. Never hands such a block on.

use crate::shield::Shield;
use model::block::{Change, Fault, Outcome};

/// Hands what the shield lets pass to `apply`, which answers one outcome for each in the same order. Returns one outcome for each change
/// of the batch: what was held back, or not answered for, has failed.
pub fn execute(shield: &Shield, batch: &[Change], apply: impl FnOnce(&[Change]) -> Vec<Outcome>) -> Vec<Outcome> {
    let shielded: Vec<bool> =
        batch.iter().map(|change| matches!(change, Change::Add { scope, .. } if shield.touches(&scope.prefix()))).collect();
    let allowed: Vec<Change> = batch.iter().zip(&shielded).filter(|(_, shielded)| !**shielded).map(|(change, _)| *change).collect();
    let mut done = if allowed.is_empty() { Vec::new() } else { apply(&allowed) }.into_iter();
    let outcome =
        |shielded: bool| if shielded { Outcome::Failed(Fault::Exempt) } else { done.next().unwrap_or(Outcome::Failed(Fault::Refused)) };
    shielded.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use model::block::{BlockId, Expiry, Scope};

    #[test]
    fn the_exempt_are_held_back_and_everybody_has_an_answer_in_order() {
        let mut settings = Settings::default();
        settings.policy.exempt = vec!["192.0.2.0/24".parse().unwrap()];
        let shield = Shield::new(&settings);
        let scope = |text: &str| Scope::Source(text.parse().unwrap());
        let add = |id, text| Change::Add { id: BlockId(id), scope: scope(text), expiry: Expiry::Never };
        let lift = Change::Remove { id: BlockId(4), scope: scope("192.0.2.9") };
        let batch = [add(1, "203.0.113.1"), add(2, "192.0.2.7"), add(3, "192.0.0.0/16"), lift, add(5, "203.0.113.2")];
        let mut seen = Vec::new();
        let outcomes = execute(&shield, &batch, |allowed| {
            seen = allowed.to_vec();
            vec![Outcome::Added, Outcome::Removed]
        });
        assert_eq!(seen, [batch[0], lift, batch[4]]);
        let (held, silent) = (Outcome::Failed(Fault::Exempt), Outcome::Failed(Fault::Refused));
        assert_eq!(outcomes, [Outcome::Added, held, held, Outcome::Removed, silent]);
        assert_eq!(execute(&shield, &batch[1..2], |_| panic!("nobody is left to block")), [held]);
    }
}
