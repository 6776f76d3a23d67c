//! `riposte-simulate`: years of attacks, faults and crashes, seed by seed; see `make simulate`. Touches nothing of the host.

use indicatif::{ProgressBar, ProgressStyle};
use simulation::run::Failure;
use simulation::shrink::{shortest, simulate, simulate_all};
use std::process::ExitCode;

const USAGE: &str = "\
usage: riposte-simulate [--seeds N] [--from S] [--steps K] [--threads T] [--keep-going]
       riposte-simulate --seed S [--steps K] [--trace]
  --seeds N     so many seeds (default 1000), from --from S (default 0) on
  --steps K     steps of each (default 250)
  --threads T   at the same time (default: as many as there are processors)
  --keep-going  past a seed that fails, and show all of them in the end
  --seed S      this seed alone, twice: it must come to the same
  --trace       and tell its story
Example: riposte-simulate --seed 77 --steps 118 --trace";

struct Asked {
    seeds: u64,
    from: u64,
    steps: u64,
    threads: usize,
    keep_going: bool,
    seed: Option<u64>,
    trace: bool,
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match asked.seed {
        Some(seed) => one(seed, &asked),
        None => many(&asked),
    }
}

fn one(seed: u64, asked: &Asked) -> ExitCode {
    let mut tell = |line: &str| {
        if asked.trace {
            println!("{line}");
        }
    };
    let first = simulate(seed, asked.steps, &mut tell);
    let again = simulate(seed, asked.steps, &mut |_| ());
    if first != again {
        println!("seed {seed} is not the same twice: {first:?}, then {again:?}");
        return ExitCode::FAILURE;
    }
    match first {
        Ok(summary) => {
            println!("seed {seed}: every promise kept; {summary:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => fail(failure),
    }
}

fn many(asked: &Asked) -> ExitCode {
    let style =
        ProgressStyle::with_template("{wide_bar} {pos} of {len} seeds, {eta} left").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(asked.seeds).with_style(style);
    let (sum, failures) = simulate_all(asked.from, asked.seeds, asked.steps, (asked.threads, asked.keep_going), &|result| {
        if let Err(Failure { seed, breach, .. }) = result {
            bar.suspend(|| eprintln!("seed {seed}: {breach}"));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    if failures.is_empty() {
        println!(
            "{} seeds from {}: every promise kept through {} steps, {} events, {} blocks, {} storms, {} deaths",
            asked.seeds, asked.from, sum.steps, sum.events, sum.blocks, sum.storms, sum.restarts
        );
        return ExitCode::SUCCESS;
    }
    failures.into_iter().for_each(|failure| _ = fail(failure));
    ExitCode::FAILURE
}

fn fail(failure: Failure) -> ExitCode {
    let Failure { seed, steps, breach } = shortest(failure);
    println!("seed {seed}, {steps} steps: {breach}");
    println!("again: riposte-simulate --seed {seed} --steps {steps} --trace");
    ExitCode::FAILURE
}

fn asked() -> Option<Asked> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut asked = Asked { seeds: 1_000, from: 0, steps: 250, threads, keep_going: false, seed: None, trace: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<u64>().ok();
        match argument.as_str() {
            "--seeds" => asked.seeds = number()?,
            "--from" => asked.from = number()?,
            "--steps" => asked.steps = number()?,
            "--threads" => asked.threads = usize::try_from(number()?).ok()?,
            "--keep-going" => asked.keep_going = true,
            "--seed" => asked.seed = Some(number()?),
            "--trace" => asked.trace = true,
            _ => return None,
        }
    }
    Some(asked)
}
