//! Detectors: Events in, Offences out. Never sees a packet, a log line or a firewall; opens nothing, reads no clock.
//!
//! Every table here has a stated bound (`Detectors::memory_bound`), whatever is sent from however many forged addresses.

use model::event::Event;
use model::hash;
use model::offence::Offence;
use model::time::Time;

pub mod config;
mod detail;
pub mod detectors;
pub mod distributed;
mod known;
mod ports;
mod reached;
pub mod reports;
mod rules;
pub mod scans;
pub mod signatures;
mod sketch;
mod source;
pub mod suspect;
pub mod systems;
mod targets;
pub mod touches;
pub mod walk;

/// Events that are best warmed up together ([`detectors::Detectors::warm`]): so many that their look-ups overlap, so few that what they need
/// stays in the cache.
pub const WARM: usize = 64;

/// Looks at events and charges offenders. Time comes from the events alone; they may be slightly out of order.
pub trait Detector {
    /// Takes one event in; charges that follow from it are appended to `out`.
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>);

    /// Lets go of what is too old by `now`.
    fn tick(&mut self, now: Time, out: &mut Vec<Offence>);

    /// When `tick` has something to do next; `None` while there is nothing to let go of.
    fn next_tick(&self) -> Option<Time>;
}

/// A kind of detector: what the configuration reader, the manual and the tests walk over.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// One line on what it finds.
    pub summary: &'static str,
    /// An example of its part of the configuration.
    pub example: &'static str,
    /// Builds one alone. The second argument seeds its hash functions, so that nobody can aim collisions at its tables.
    pub build: fn(&config::ScanConfig, u64) -> Box<dyn Detector>,
}

/// All kinds of detectors.
pub const DETECTORS: &[Kind] = &[scans::KIND, distributed::KIND, reports::KIND, touches::KIND, signatures::KIND];
