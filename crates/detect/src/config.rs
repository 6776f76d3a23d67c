//! What the scan detectors can be told. Defaults are psad's thresholds where psad has one.

use model::level::DangerLevel;
use std::time::Duration;

/// Everything about scan detection.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanConfig {
    /// Packets from one source to one target from which each danger level is reached; psad's DANGER_LEVEL1..5.
    pub packets: [u64; 5],
    /// Different targets of one source from which each danger level is reached; psad's DL1..5_UNIQUE_HOSTS.
    pub hosts: [u32; 5],
    /// How far the highest and lowest probed port must at least lie apart for a vertical scan; psad's PORT_RANGE_SCAN_THRESHOLD.
    pub port_range: u16,
    /// Different IP protocols that make a protocol scan; psad's PROTOCOL_SCAN_THRESHOLD.
    pub protocols: u32,
    /// After each such quiet time a source's level falls by one.
    pub decay: Duration,
    /// After this quiet time a source is forgotten. Bounds how slow a scan can be and still be found.
    pub forget: Duration,
    /// A scan whose new endpoints lie on average at least this far apart is slow.
    pub slow_gap: Duration,
    /// The sequential hypothesis test.
    pub sequential: SequentialConfig,
    /// Many sources, one scan.
    pub distributed: DistributedConfig,
    /// Touches of guarded ports.
    pub touch: TouchConfig,
    /// Charges a minute that may rest on forgeable matches of signatures alone.
    pub match_charges: u32,
    /// IPv4 sources are counted by this prefix length (32: each address for itself).
    pub count_by_ipv4: u8,
    /// IPv6 sources are counted by this prefix length (128: each address for itself).
    pub count_by_ipv6: u8,
    /// How many sources are followed at one time.
    pub tracked_sources: usize,
}

/// Threshold Random Walk (Jung, Paxson, Berger, Balakrishnan: "Fast Portscan Detection Using Sequential
/// Hypothesis Testing", IEEE S&P 2004). Each first contact of a source with an endpoint fails or succeeds.
#[derive(Debug, Clone, PartialEq)]
pub struct SequentialConfig {
    /// Chance that a benign host's first contact succeeds (theta 0).
    pub benign_success: f64,
    /// Chance that a scanner's first contact succeeds (theta 1).
    pub scanner_success: f64,
    /// The bound on false positives (alpha): the chance that a benign host is convicted.
    pub false_positive: f64,
    /// The chance that a scanner is convicted (beta).
    pub detection: f64,
}

/// When touches of guarded ports are an offence.
#[derive(Debug, Clone, PartialEq)]
pub struct TouchConfig {
    /// Touches that it takes; 0 acts as 1. PortSentry's SCAN_TRIGGER.
    pub trigger: u32,
    /// Within this time.
    pub within: Duration,
    /// How dangerous it is.
    pub level: DangerLevel,
}

/// One scan shared by many sources, none of which does enough to be charged alone.
#[derive(Debug, Clone, PartialEq)]
pub struct DistributedConfig {
    /// Sources that must take part.
    pub sources: usize,
    /// Different ports that they must probe together.
    pub ports: usize,
    /// Within this time.
    pub window: Duration,
    /// At least this share of their probes must go to ports that no other has probed: background noise overlaps, a shared scan doesn't.
    pub fresh_share: f64,
}

impl Default for ScanConfig {
    fn default() -> Self {
        ScanConfig {
            packets: [5, 15, 150, 1_500, 10_000],
            hosts: [10, 20, 50, 100, 500],
            port_range: 1,
            protocols: 5,
            decay: Duration::from_secs(3_600),
            forget: Duration::from_secs(7 * 86_400),
            slow_gap: Duration::from_secs(10),
            sequential: SequentialConfig::default(),
            distributed: DistributedConfig::default(),
            touch: TouchConfig::default(),
            match_charges: model::limits::MATCH_CHARGES,
            count_by_ipv4: 32,
            count_by_ipv6: 128,
            tracked_sources: model::limits::TRACKED_SOURCES,
        }
    }
}

impl Default for SequentialConfig {
    /// The paper's success rates. With 0.001 and 0.99, five failed first contacts in a row convict:
    /// (0.8 / 0.2)^5 = 1024 passes 0.99 / 0.001 = 990, which 4^4 = 256 does not.
    fn default() -> Self {
        SequentialConfig { benign_success: 0.8, scanner_success: 0.2, false_positive: 0.001, detection: 0.99 }
    }
}

impl Default for TouchConfig {
    /// One is enough, as in PortSentry, and earns an hour with the policy's defaults.
    fn default() -> Self {
        TouchConfig { trigger: 1, within: Duration::from_secs(3_600), level: DangerLevel::new(3).unwrap_or(DangerLevel::MIN) }
    }
}

impl Default for DistributedConfig {
    fn default() -> Self {
        DistributedConfig { sources: 10, ports: 30, window: Duration::from_secs(300), fresh_share: 0.8 }
    }
}
