//! The R-boxes: carry out changes and say what became of each. Never decides anything: it sees changes, not offences.

use model::block::{Change, Fault, Installed, Outcome, Scope};
use model::time::Time;

pub mod nftables;
pub mod null;
pub mod ranges;
pub mod skeleton;
pub mod tool;

use tool::Tool;

/// Something that can block.
pub trait Responder {
    /// Whether it can block such a thing at all.
    fn supports(&self, scope: &Scope) -> bool;

    /// Whether its blocks end by themselves at their time, even if riposte is gone.
    fn expires_itself(&self) -> bool;

    /// Carries out the changes in their order. Answers exactly one outcome for each, in the same order.
    fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome>;

    /// What it really has, in no order.
    fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault>;
}

/// A kind of responder, for the configuration reader and the manual.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// How to configure it.
    pub example: &'static str,
    /// How it is begun; `None` for those that the warden has within itself.
    pub open: Option<Open>,
}

/// Begins a responder: sets up what it needs for itself (a set, a chain, a table), or takes over what an earlier run has left.
/// The error is one line that says what is missing and what to do.
pub type Open = fn(&Settings, Box<dyn Tool>) -> Result<Box<dyn Responder>, String>;

/// What can be chosen about responders that have something to choose; one field for each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {}

/// Every kind, in the manual's order.
pub const RESPONDERS: &[Kind] = &[nftables::KIND, null::KIND];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_explained() {
        for kind in RESPONDERS {
            assert_eq!(RESPONDERS.iter().filter(|other| other.name == kind.name).count(), 1);
            assert!(kind.summary.ends_with('.') && kind.example.contains(kind.name), "{kind:?}");
        }
    }
}
