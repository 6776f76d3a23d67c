//! What the detectors know of one source, for people to read, and what they counted. Never used to decide anything.

use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::style::StyleSet;
use model::time::Time;

/// One source as the detectors see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Who: a single address, or the prefix that it is counted by.
    pub offender: Prefix,
    /// The highest level reached; `None` if it was never charged.
    pub level: Option<DangerLevel>,
    /// The level that is left by the time of the latest event.
    pub level_now: Option<DangerLevel>,
    /// How it scans.
    pub styles: StyleSet,
    /// Different targets: exact to a bound, an estimate above.
    pub targets: u32,
    /// Packets.
    pub packets: u64,
    /// Ranges of probed TCP ports, both ends included, sorted; at `limits::PORT_RANGES` the nearest are joined.
    pub tcp_ports: Vec<(u16, u16)>,
    /// The same for UDP.
    pub udp_ports: Vec<(u16, u16)>,
    /// Different IP protocols.
    pub protocols: u32,
    /// Its first probe.
    pub first: Time,
    /// Its latest probe.
    pub last: Time,
    /// The best trust among its probes.
    pub trust: Trust,
    /// Different (target, protocol, port) that it failed to reach, as far as they were counted.
    pub endpoints: u32,
    /// Whether the sequential test has convicted it.
    pub convicted: bool,
    /// The sequential test's log-likelihood ratio: above 0 speaks for a scanner, below for a client. Compare `walk::Walk`'s bounds.
    pub log_odds: f64,
}

/// What the detectors counted since they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Sources followed now.
    pub tracked: u64,
    /// Sources that had to give way to others.
    pub evicted: u64,
    /// Those among them that had been charged.
    pub evicted_charged: u64,
    /// Probes of sources for which there was no room, since nobody had less evidence against them.
    pub refused_admission: u64,
    /// Sources let go of after the quiet time in the configuration.
    pub forgotten: u64,
    /// Sources charged for the first time.
    pub charged: u64,
    /// Sources convicted by the sequential test.
    pub convicted: u64,
    /// Offences made.
    pub offences: u64,
    /// Targets that the distributed-scan detector follows now.
    pub targets_tracked: u64,
    /// Targets that had to give way to others there.
    pub targets_evicted: u64,
    /// Probes that found no room in a target's list of sources or ports.
    pub shares_refused: u64,
    /// Reports of log rules that said again what had just been said.
    pub reports_repeated: u64,
    /// Sources whose matches of signatures had to give way to others'.
    pub matches_crowded_out: u64,
    /// Charges for forgeable matches that were not made, because there had been so many in that minute.
    pub matches_unheard: u64,
    /// Sources whose systems had to give way to others'.
    pub systems_crowded_out: u64,
    /// Forged touches of guarded ports for which there was no room beside those of proven addresses.
    pub touches_crowded_out: u64,
}
