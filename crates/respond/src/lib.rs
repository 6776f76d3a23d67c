//! The R-boxes: carry out changes and say what became of each. Never decides anything: it sees changes, not offences.

use model::block::{Change, Fault, Installed, Outcome, Scope};
use model::time::Time;
use std::path::PathBuf;
use sys::sandbox::Capability;

pub mod chain;
pub mod ebtables;
pub mod hosts_deny;
pub mod ipf;
pub mod ipfw;
pub mod ipset;
pub mod iptables;
pub mod nftables;
pub mod npf;
pub mod null;
pub mod pf;
pub mod ranges;
pub mod routes;
pub mod settings;
pub mod skeleton;
mod standing;
pub mod tables;
pub mod tool;
pub mod xdp;

pub use settings::{Key, Settings, Value};
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

    /// Packets of the blocked that it has dropped, if it counts them.
    fn dropped(&self) -> Option<u64> {
        None
    }

    /// Why the last change or list failed, in words; told once. The words of a `Tool` need not be kept: who runs it hears them anyway.
    fn take_words(&mut self) -> Option<String> {
        None
    }
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
    /// What can be chosen about it, in `[respond.NAME]`.
    pub keys: &'static [Key],
    /// What it needs.
    pub needs: Needs,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Kind {
    /// The kind of this name.
    pub fn of(name: &str) -> Option<&'static Kind> {
        RESPONDERS.iter().find(|kind| kind.name == name)
    }
}

/// Begins a responder: sets up what it needs for itself (a set, a chain, a table), or takes over what an earlier run has left.
/// The error is one line that says what is missing and what to do.
pub type Open = fn(&Settings, Box<dyn Tool>) -> Result<Box<dyn Responder>, String>;

/// What a kind needs of the system, beside being started by root.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Programs that it runs.
    pub programs: &'static [&'static str],
    /// Capabilities that it and its programs keep.
    pub capabilities: &'static [Capability],
    /// Files and folders that it and its programs write to. A file that is replaced by another needs its folder.
    pub writes: fn(&Settings) -> Vec<PathBuf>,
}

impl Needs {
    /// For those that the warden has within itself.
    pub const NOTHING: Needs = Needs { programs: &[], capabilities: &[], writes: |_| Vec::new() };
}

/// Every kind, in the manual's order.
pub const RESPONDERS: &[Kind] = &[
    nftables::KIND,
    ipset::KIND,
    iptables::KIND,
    ebtables::KIND,
    routes::KIND,
    hosts_deny::KIND,
    xdp::KIND,
    pf::KIND,
    ipfw::KIND,
    ipf::KIND,
    npf::KIND,
    null::KIND,
];

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
