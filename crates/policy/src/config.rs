//! What the judge can be told.

use crate::lists::ListConfig;
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::offence::{Charge, Offence};
use model::style::Style;
use std::time::Duration;

/// Everything about who is blocked, for how long, and what stands in the way.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyConfig {
    /// Decide and record everything, change nothing in the firewall.
    pub dry_run: bool,
    /// The danger level from which blocks are made.
    pub block_level: DangerLevel,
    /// How long a first offence is blocked for, by danger level.
    pub block_for: [Duration; 5],
    /// Each further offence of the same offender multiplies the time by this.
    pub escalation: u32,
    /// The longest block that escalation can reach.
    pub block_max: Duration,
    /// An offender without an offence for this long starts again at the first strike.
    pub strikes_forget: Duration,
    /// What forgeable evidence alone may do.
    pub spoofable: SpoofableConfig,
    /// New blocks a minute, all together.
    pub blocks_per_minute: u32,
    /// Blocks standing at one time, all together.
    pub blocks_total: usize,
    /// When too many blocks at once are taken for an attack on riposte itself.
    pub storm: StormConfig,
    /// Prefixes that are never blocked.
    pub exempt: Vec<Prefix>,
    /// What is no evidence at all, by protocol and destination port.
    pub ignore: Vec<Ignore>,
    /// Whether touches of guarded TCP ports, and of UDP ports, may block; PortSentry's BLOCK_TCP and BLOCK_UDP.
    pub touch_blocks: [bool; 2],
    /// Others' lists of attackers.
    pub lists: Vec<ListConfig>,
}

/// What forgeable evidence alone (trust `Spoofable`) may do.
#[derive(Debug, Clone, PartialEq)]
pub struct SpoofableConfig {
    /// Whether it may block at all; if not, it only earns a watch.
    pub may_block: bool,
    /// The longest block that it can earn, escalation included.
    pub block_max: Duration,
    /// New blocks a minute on such evidence.
    pub blocks_per_minute: u32,
    /// Blocks on such evidence standing at one time.
    pub blocks_standing: usize,
}

/// When a storm of blocks undoes itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StormConfig {
    /// Different offenders that would be blocked on forgeable evidence within `window`, refused ones counted, that make a storm.
    pub offenders: usize,
    /// The window.
    pub window: Duration,
    /// For how long forgeable evidence blocks nobody new afterwards.
    pub pause: Duration,
}

/// One entry of the ignore list: `tcp/61000-61356`, `udp/53`, `icmp`, `tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignore {
    /// The protocol.
    pub protocol: Protocol,
    /// The destination ports, both ends included; `None` is all of the protocol.
    pub ports: Option<(u16, u16)>,
}

impl PolicyConfig {
    /// How long a first offence like this one is blocked for: as a log rule wishes, else by its level.
    pub fn first_block(&self, offence: &Offence) -> Duration {
        offence.wished.unwrap_or(self.block_for[offence.level.index()])
    }
}

impl PolicyConfig {
    /// Whether this offence is one that is only recorded: all of its touches are of a protocol whose guarded ports block nobody.
    pub fn only_records(&self, offence: &Offence) -> bool {
        let [tcp, udp] = self.touch_blocks;
        let by_udp = offence.styles.contains(Style::Udp);
        let by_tcp = offence.styles.iter().any(|style| style != Style::Udp);
        offence.charge == Charge::Touch && !(by_tcp && tcp || by_udp && udp)
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        PolicyConfig {
            dry_run: false,
            block_level: DangerLevel::MIN,
            block_for: [600, 1_800, 3_600, 21_600, 86_400].map(Duration::from_secs),
            escalation: 2,
            block_max: Duration::from_secs(30 * 86_400),
            strikes_forget: Duration::from_secs(30 * 86_400),
            spoofable: SpoofableConfig::default(),
            blocks_per_minute: 3_000,
            blocks_total: 1_000_000,
            storm: StormConfig::default(),
            exempt: Vec::new(),
            ignore: Vec::new(),
            touch_blocks: [true; 2],
            lists: Vec::new(),
        }
    }
}

impl Default for SpoofableConfig {
    fn default() -> Self {
        SpoofableConfig { may_block: true, block_max: Duration::from_secs(600), blocks_per_minute: 20, blocks_standing: 200 }
    }
}

impl Default for StormConfig {
    fn default() -> Self {
        StormConfig { offenders: 60, window: Duration::from_secs(60), pause: Duration::from_secs(600) }
    }
}
