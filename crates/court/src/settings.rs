//! What the court can be told: the part of the configuration that it needs, and nothing about files, users or sockets.

use detect::config::ScanConfig;
use policy::config::PolicyConfig;
use store::tidy::Retention;

/// The court's part of the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The scan detectors.
    pub scan: ScanConfig,
    /// The judge.
    pub policy: PolicyConfig,
    /// How long history is kept.
    pub retention: Retention,
}
