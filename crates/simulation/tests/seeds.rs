//! 256 seeds of the simulation, and that a seed comes to the same twice.

use simulation::shrink::{shortest, simulate, simulate_all};

const SEEDS: u64 = 256;
const STEPS: u64 = 120;

#[test]
fn every_promise_is_kept() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sum, failures) = simulate_all(0, SEEDS, STEPS, (threads, false), &|_| ());
    if let Some(failure) = failures.into_iter().next() {
        let short = shortest(failure);
        let (seed, steps) = (short.seed, short.steps);
        panic!("seed {seed}, {steps} steps: {}\nagain: make simulate SEED={seed} STEPS={steps}", short.breach);
    }
    // A world in which nothing happens would keep every promise, too.
    assert!(sum.blocks > 10 * SEEDS && sum.storms > SEEDS / 4 && sum.restarts > SEEDS && sum.lists > SEEDS, "{sum:?}");
}

#[test]
fn a_seed_is_the_same_story_twice() {
    for seed in [1, 2, 3] {
        let tell = || {
            let mut story = Vec::new();
            let summary = simulate(seed, 60, &mut |line| story.push(line.to_owned()));
            (summary, story)
        };
        let (first, again) = (tell(), tell());
        assert!(first.1.len() > 60);
        assert_eq!(first, again);
    }
}
