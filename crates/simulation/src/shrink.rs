//! Runs seeds, many at a time, and makes a failing one as short as it gets. Never hides a failure behind a shorter one of another kind.

use crate::breach::Breach;
use crate::run::{Failure, Summary, run};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shorter runs that are tried.
const TRIES: usize = 250;

/// Runs one seed in a folder that vanishes.
///
/// # Errors
/// What went wrong.
pub fn simulate(seed: u64, steps: u64, tell: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let fail = |error: &io::Error| Failure { seed, steps: 0, breach: crate::run::broken(error) };
    let folder = folder.map_err(|error| fail(&error))?;
    // A panic is a broken promise like any other, with a seed to see it again.
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, steps, folder.path(), tell)));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure { seed, steps, breach: Breach { rule: "nothing panics", what: text.unwrap_or_default() } })
    })
}

/// The shortest run of a failing seed that breaks the same promise: each run ends with a calm, in which much comes to light sooner.
pub fn shortest(failure: Failure) -> Failure {
    let shorter = (1..failure.steps).take(TRIES).filter_map(|steps| simulate(failure.seed, steps, &mut |_| ()).err());
    let found = shorter.into_iter().find(|short| short.breach.rule == failure.breach.rule);
    found.unwrap_or(failure)
}

/// Runs seeds from `first` on, on so many threads; `done` is told of each. Stops at the first failure unless it is to keep going.
/// Returns the sum of those that went well, and what went wrong, by seed.
pub fn simulate_all(
    first: u64,
    count: u64,
    steps: u64,
    (threads, keep_going): (usize, bool),
    done: &(dyn Fn(&Result<Summary, Failure>) + Sync),
) -> (Summary, Vec<Failure>) {
    let (next, total) = (AtomicU64::new(0), Mutex::new((Summary::default(), Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let result = simulate(first.wrapping_add(n), steps, &mut |_| ());
                    done(&result);
                    let Ok(mut total) = total.lock() else { return };
                    match result {
                        Ok(one) => add(&mut total.0, &one),
                        Err(failure) => total.1.push(failure),
                    }
                    if !keep_going && !total.1.is_empty() {
                        return;
                    }
                }
            });
        }
    });
    let (sum, mut failures) = total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    failures.sort_by_key(|failure| failure.seed);
    (sum, failures)
}

fn add(sum: &mut Summary, one: &Summary) {
    sum.trace ^= one.trace;
    sum.steps += one.steps;
    sum.events += one.events;
    sum.blocks += one.blocks;
    sum.restarts += one.restarts;
    sum.storms += one.storms;
    sum.lists += one.lists;
}
