//! How far each followed log has been read: so that nothing in it is read twice or passed over when a sensor, the judge or all of riposte is
//! started again. Never ahead of the ledger: a position is written after what was made of the lines before it.

use court::court::Court;
use link::message::Position;
use model::limits;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::Store;
use store::memory::{LogPosition, POSITIONS};

/// What stands before an application log's name where its position is kept: it may be a firewall log's, too.
pub const APPLICATION_LOG: &str = "applications: ";

/// Positions are written at most this often while the lines say nothing, and tried again after the longer time if the store fails.
const EVERY: Duration = Duration::from_secs(1);
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The positions, by the name of the log.
#[derive(Debug, Default)]
pub struct Positions {
    known: BTreeMap<String, Position>,
    /// Whose position the store does not have yet.
    unsaved: BTreeSet<String>,
    /// The ledger has heard of something that was read: until then a position, which may be behind it, must not wait.
    owed: Time,
    from: Time,
}

impl Positions {
    /// What the store remembers. One that can't be read remembers nothing: then each log begins as it is configured.
    pub fn load(store: &Store) -> Self {
        let stored = store.load_positions().unwrap_or_else(|error| {
            tracing::warn!(%error, "how far logs were read is not known: each begins as it is configured");
            Vec::new()
        });
        let known = stored.into_iter().map(|LogPosition { log, device, inode, offset, mark }| {
            let mark = mark.get(mark.len().saturating_sub(link::message::MARK_BYTES)..).unwrap_or_default().to_vec();
            (log, Position { device, inode, offset, mark })
        });
        Positions { known: known.collect(), ..Positions::default() }
    }

    /// How far this log has been read.
    pub fn of(&self, log: &str) -> Option<Position> {
        self.known.get(log).cloned()
    }

    /// How far the logs have been read whose name begins like this, by the rest of it.
    pub fn below<'p>(&'p self, beginning: &'p str) -> impl Iterator<Item = (&'p str, &'p Position)> {
        self.known.range(beginning.to_owned()..).map_while(move |(log, position)| Some((log.strip_prefix(beginning)?, position)))
    }

    /// A sensor has told of everything up to here.
    pub fn note(&mut self, log: &str, position: Position) {
        // What one sensor calls its logs takes no other's place.
        let is_like = |known: &&String| is_application(known) == is_application(log);
        let most = if is_application(log) { limits::FOLLOWED_FILES } else { POSITIONS - limits::FOLLOWED_FILES };
        if !self.known.contains_key(log)
            && self.known.keys().filter(is_like).count() >= most
            && let Some(first) = self.known.keys().find(is_like).cloned()
        {
            // Names of logs that were configured once. Which of them goes does not matter: none of the present ones is lost for long.
            self.known.remove(&first);
            self.unsaved.remove(&first);
        }
        self.known.insert(log.to_owned(), position);
        self.unsaved.insert(log.to_owned());
    }

    /// The ledger is being told of something. The position behind it may be known, or be on its way behind one that is older.
    pub fn owed(&mut self, now: Time) {
        self.owed = now.after(EVERY);
    }

    /// When there is something to write next (monotonic).
    pub fn due(&self) -> Option<Time> {
        (!self.unsaved.is_empty()).then_some(self.from)
    }

    /// Writes down what is to be written by now, or all.
    pub fn keep(&mut self, court: &mut Court, now: Time, all: bool) {
        if self.unsaved.is_empty() || !(all || now < self.owed || self.from <= now) {
            return;
        }
        let stored = |log: &String| {
            let Position { device, inode, offset, mark } = self.known.get(log)?.clone();
            Some(LogPosition { log: log.clone(), device, inode, offset, mark })
        };
        // The store lets go of what was not written for longest: that must be none of those that one sensor's names can't reach.
        let logs: BTreeSet<&String> = self.unsaved.iter().chain(self.known.keys().filter(|log| !is_application(log))).collect();
        let positions: Vec<LogPosition> = logs.into_iter().filter_map(stored).collect();
        if court.keep_positions(&positions) {
            self.unsaved.clear();
            self.from = now.after(EVERY);
        } else {
            self.from = now.after(AFTER_FAILURE);
            self.owed = now;
        }
    }
}

fn is_application(log: &str) -> bool {
    log.starts_with(APPLICATION_LOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_position_waits_unless_the_ledger_has_heard_of_what_lies_before_it() {
        let now = Time::from_secs(1_000);
        let mut court = Court::new(Config::default().court(), Store::open_in_memory().unwrap(), None, 1, now);
        let mut positions = Positions::load(court.store());
        let at = |offset| Position { device: 1, inode: 2, offset, mark: vec![b'x'; 64] };
        assert!(positions.of("kern.log").is_none() && positions.due().is_none());
        let stored = |court: &Court| court.store().load_positions().unwrap().first().map(|position| position.offset);
        positions.note("kern.log", at(10));
        positions.keep(&mut court, now, false);
        assert_eq!(stored(&court), Some(10));
        positions.note("kern.log", at(20));
        positions.keep(&mut court, now, false);
        assert_eq!((stored(&court), positions.due()), (Some(10), Some(now.after(EVERY))));
        positions.owed(now);
        positions.keep(&mut court, now, false);
        assert_eq!((stored(&court), positions.due()), (Some(20), None));
        // That was an older one: the one behind what the ledger heard of comes now.
        positions.note("kern.log", at(25));
        positions.keep(&mut court, now, false);
        assert_eq!(stored(&court), Some(25));
        let now = now.after(EVERY);
        positions.note("kern.log", at(26));
        positions.keep(&mut court, now, false);
        positions.note("kern.log", at(30));
        positions.keep(&mut court, now, false);
        assert_eq!((stored(&court), positions.due()), (Some(26), Some(now.after(EVERY))));
        positions.keep(&mut court, now, true);
        assert_eq!(stored(&court), Some(30));
        assert_eq!(Positions::load(court.store()).of("kern.log"), Some(at(30)));
        (0..2 * POSITIONS).for_each(|n| positions.note(&format!("log {n}"), at(1)));
        assert!(positions.known.len() <= POSITIONS && positions.of(&format!("log {}", 2 * POSITIONS - 1)).is_some());
    }

    #[test]
    fn a_sensor_that_makes_names_up_pushes_no_other_ones_log_out_and_costs_bounded_memory() {
        let mut now = Time::from_secs(1_000);
        let mut court = Court::new(Config::default().court(), Store::open_in_memory().unwrap(), None, 1, now);
        let mut positions = Positions::load(court.store());
        let at = Position { device: 1, inode: 2, offset: 3, mark: Vec::new() };
        positions.note("/var/log/kern.log", at.clone());
        for n in 0..2 * POSITIONS {
            positions.note(&format!("{APPLICATION_LOG}{n}"), at.clone());
            if n % 1_000 == 0 {
                now = now.after(EVERY);
                positions.keep(&mut court, now, false);
            }
        }
        assert!(positions.unsaved.len() <= POSITIONS && positions.below(APPLICATION_LOG).count() == limits::FOLLOWED_FILES);
        positions.keep(&mut court, now, true);
        assert_eq!([&positions, &Positions::load(court.store())].map(|known| known.of("/var/log/kern.log")), [Some(at.clone()), Some(at)]);
    }
}
