//! A soak's rows, verdicts and picture, in words and lines. Measures nothing.

use super::load::Shared;
use super::plot::{Line, Panel, svg};
use super::sample::{Sample, slope};
use super::{HISTORY_MAX, Ledger, Options};
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// A machine that is busy with something else may keep this much of the load back.
const RATE_KEPT: f64 = 0.98;
/// Memory counts as flat if it grows by no more than this share of itself in an hour; of small processes by no more than a page a minute.
const GROWTH_AN_HOUR: f64 = 0.05;
const PAGE_KIB: f64 = 4.0;

/// A row as it goes on, on standard error.
pub fn row(sample: &Sample, before: Option<&Sample>, decided: u64, checked: u64) {
    let rss: Vec<String> = sample
        .processes
        .iter()
        .map(|(name, process)| format!("{name} {:.1}/{}", process.rss_kib as f64 / 1024.0, process.descriptors))
        .collect();
    let secs = before.map_or(0.0, |before| sample.secs - before.secs);
    let rate = |name: &str| match before {
        Some(before) if secs > 0.0 => sample.count(name).saturating_sub(before.count(name)) as f64 / secs,
        Some(_) | None => 0.0,
    };
    eprintln!(
        "soak: {:6.0} s  {:.0} lines/s  {:.0} packets/s  blocks {}  attacks decided {decided}/{checked}  ledger {} KiB  MiB/fds: {}  losses {}",
        sample.secs,
        rate("file: lines"),
        rate("packets: packets"),
        sample.blocks,
        sample.ledger_kib,
        rss.join(", "),
        sample.losses().iter().map(|(_, value)| value).sum::<u64>()
    );
}

/// What it came to.
pub fn verdicts(options: &Options, shared: &Shared, samples: &[Sample], ledger: &Ledger) -> Vec<Verdict> {
    let mut all = load(options, shared, samples);
    all.extend(decisions(shared, ledger));
    if let Some(last) = samples.last() {
        let losses = last.losses();
        let list: Vec<String> = losses.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let entries = last.count("history entries");
        let most = samples.iter().map(|sample| sample.ledger_kib).max().unwrap_or(0);
        all.push(
            Verdict::new(
                "history entries",
                format!("≤ {HISTORY_MAX} and 5 %"),
                entries.to_string(),
                entries as f64 <= HISTORY_MAX as f64 * 1.05,
            )
            .noted(format!("the ledger's files had {most} KiB at the most, {} at last", last.ledger_kib)),
        );
        all.push(Verdict::none("riposte's own counters of losses", losses.iter().map(|(_, value)| value).sum()).noted(list.join("; ")));
    }
    all.extend(processes(samples));
    all
}

fn load(options: &Options, shared: &Shared, samples: &[Sample]) -> Vec<Verdict> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let secs = options.minutes * 60.0;
    let written = shared.lines.load(Ordering::Relaxed);
    let read = last.count("file: lines");
    let seen = last.count("packets: packets").saturating_sub(first.count("packets: packets"));
    let rate = |count: u64, wanted: u64, what: &str| {
        let measured = count as f64 / secs;
        Verdict::new(what, format!("≥ {wanted}"), format!("{measured:.0}"), measured >= wanted as f64 * RATE_KEPT)
    };
    let distinct = shared.distinct() as u32 + shared.plan.attackers.min(attackers_seen(shared));
    vec![
        Verdict::new(
            "minutes",
            format!("≥ {}", options.minutes),
            format!("{:.1}", last.secs / 60.0),
            last.secs >= options.minutes * 60.0 * RATE_KEPT,
        ),
        rate(read, options.lines, "log lines a second, read"),
        rate(seen, options.packets, "packets a second through NFLOG"),
        Verdict::new("lines read of those written", written.to_string(), read.to_string(), read == written)
            .noted(format!("the log was rotated {} times", shared.rotations.load(Ordering::Relaxed))),
        Verdict::new("different sources", format!("≥ {}", options.sources), distinct.to_string(), distinct >= options.sources),
    ]
}

/// Attackers that have come.
fn attackers_seen(shared: &Shared) -> u32 {
    let attacks = (u128::from(shared.last_attack - shared.first_attack) * u128::from(shared.plan.attacks) / 1_000_000_000) as u64;
    u32::try_from(attacks).unwrap_or(u32::MAX)
}

fn decisions(shared: &Shared, ledger: &Ledger) -> Vec<Verdict> {
    let heard = shared.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let refused: u64 = ledger.refused.values().sum();
    let caps: Vec<String> = ledger.refused.iter().map(|(cap, count)| format!("{cap}: {count}")).collect();
    let mut delays = ledger.delays.clone();
    delays.sort_unstable();
    let at = |share: f64| delays.get((delays.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0);
    let lost = ledger.lost.len() as u64;
    let examples: Vec<&str> = ledger.lost.iter().take(5).map(String::as_str).collect();
    vec![
        Verdict::new(
            "attacks decided (blocked, or refused by a named cap)",
            ledger.next.to_string(),
            (ledger.decided + refused).to_string(),
            ledger.decided + refused == ledger.next && ledger.next > 0,
        )
        .noted(format!(
            "{} blocked in the kernel, {refused} refused ({}); from the first probe to the element: median {} ms, p99 {} ms, longest {} ms \
             (probes come 100 ms apart); {} elements in all",
            ledger.decided,
            if caps.is_empty() { "none".to_owned() } else { caps.join(", ") },
            at(0.5),
            at(0.99),
            at(1.0),
            heard.elements
        )),
        Verdict::none("attacks of which nothing came", lost).noted(examples.join(", ")),
        Verdict::none("bystanders blocked", heard.strangers.len() as u64)
            .noted(heard.strangers.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")),
    ]
}

/// Of each process: whether it was restarted, its memory's slope, its descriptors.
fn processes(samples: &[Sample]) -> Vec<Verdict> {
    let names: BTreeSet<&String> = samples.iter().flat_map(|sample| sample.processes.keys()).collect();
    let late = samples.get(samples.len() / 3..).unwrap_or_default();
    let mut all = Vec::new();
    for name in names {
        let of = |samples: &[Sample]| samples.iter().filter_map(|s| Some((s.secs / 60.0, *s.processes.get(name)?))).collect::<Vec<_>>();
        let (every, late) = (of(samples), of(late));
        // One that ends when it is done (lookup) is not there for long enough to grow.
        if late.len() < 3 {
            continue;
        }
        let points: Vec<(f64, f64)> = late.iter().map(|(minute, process)| (*minute, process.rss_kib as f64)).collect();
        let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
        let slope = slope(&points);
        let bound = (mean * GROWTH_AN_HOUR / 60.0).max(PAGE_KIB);
        let pids: BTreeSet<u32> = every.iter().map(|(_, process)| process.pid).collect();
        let (first, last) = (every.first().map_or(0, |p| p.1.rss_kib), every.last().map_or(0, |p| p.1.rss_kib));
        all.push(
            Verdict::new(format!("{name}: memory, slope"), format!("≤ {bound:.1} KiB/min"), format!("{slope:+.2} KiB/min"), slope <= bound)
                .noted(format!(
                    "least squares over the last two thirds ({} rows); {first} KiB at first, {last} at last, mean {mean:.0}; \
                     flat is no more than 5 % an hour, or a page a minute",
                    points.len()
                )),
        );
        let descriptors: Vec<u64> = late.iter().map(|(_, process)| process.descriptors).collect();
        let (least, most) = (descriptors.iter().min().copied().unwrap_or(0), descriptors.iter().max().copied().unwrap_or(0));
        let ends = descriptors.first().copied().unwrap_or(0).abs_diff(descriptors.last().copied().unwrap_or(0));
        // One that is just being asked, or opens its log anew, has one or two more for a moment.
        all.push(Verdict::new(
            format!("{name}: descriptors"),
            "flat",
            if least == most { least.to_string() } else { format!("{least} to {most}") },
            most - least <= 4 && ends <= 2,
        ));
        all.push(Verdict::none(format!("{name}: restarts"), pids.len() as u64 - 1));
    }
    all
}

/// The picture of all rows.
pub fn picture(options: &Options, samples: &[Sample]) -> String {
    let mut memory: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let mut descriptors: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        for (name, process) in &sample.processes {
            memory.entry(name).or_default().push((sample.secs / 60.0, process.rss_kib as f64 / 1024.0));
            descriptors.entry(name).or_default().push((sample.secs / 60.0, process.descriptors as f64));
        }
    }
    let lines = |all: BTreeMap<&str, Vec<(f64, f64)>>| {
        let long = all.into_iter().filter(|(_, points)| points.len() > 2);
        long.map(|(name, points)| Line { name: name.to_owned(), points }).collect::<Vec<_>>()
    };
    let rate = |name: &str, counter: &str| Line {
        name: name.to_owned(),
        points: samples
            .windows(2)
            .filter(|pair| pair[1].secs - pair[0].secs > 1.0 && pair[1].secs <= options.minutes * 60.0)
            .map(|pair| {
                let count = pair[1].count(counter).saturating_sub(pair[0].count(counter));
                (pair[1].secs / 60.0, count as f64 / (pair[1].secs - pair[0].secs))
            })
            .collect(),
    };
    let value = |name: &str, of: fn(&Sample) -> f64| Line {
        name: name.to_owned(),
        points: samples.iter().map(|sample| (sample.secs / 60.0, of(sample))).collect(),
    };
    let panels = [
        Panel { title: "resident memory, MiB".into(), lines: lines(memory) },
        Panel { title: "open descriptors".into(), lines: lines(descriptors) },
        Panel { title: "load a second".into(), lines: vec![rate("log lines", "file: lines"), rate("NFLOG packets", "packets: packets")] },
        Panel { title: "blocks that stand".into(), lines: vec![value("blocks", |sample| sample.blocks as f64)] },
        Panel { title: "ledger's files, MiB".into(), lines: vec![value("ledger and its log", |sample| sample.ledger_kib as f64 / 1024.0)] },
    ];
    let title = format!(
        "riposte: {} lines/s, {} packets/s, {} sources, {} attacks/s",
        options.lines, options.packets, options.sources, options.attacks
    );
    svg(&title, &panels)
}
