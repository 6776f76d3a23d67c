//! What the court can be told: the part of the configuration that it needs, and nothing about users or sockets.

use crate::court::responses::Response;
use detect::config::ScanConfig;
use policy::config::PolicyConfig;
use std::path::PathBuf;
use store::tidy::Retention;

/// The court's part of the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The scan detectors.
    pub scan: ScanConfig,
    /// The judge.
    pub policy: PolicyConfig,
    /// What can be run beside a block, by number.
    pub responses: Vec<Response>,
    /// How long history is kept.
    pub retention: Retention,
    /// Where the ledger's file belongs, to make it again if it is lost; `None`: in memory only, as in a simulation.
    pub ledger: Option<PathBuf>,
}
