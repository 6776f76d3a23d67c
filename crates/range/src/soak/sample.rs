//! What riposte's processes hold at one moment, by the kernel's word and by its own; the rows of a soak. Judges nothing.

use crate::bench::arena::Daemon;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Resident memory, shared pages and all.
    pub rss_kib: u64,
    /// Resident memory, shared pages divided among those who share them.
    pub pss_kib: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processor time so far, in hundredths of a second.
    pub ticks: u64,
}

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Seconds since the load began.
    pub secs: f64,
    /// The processes, by what riposte calls them.
    pub processes: BTreeMap<String, Process>,
    /// riposte's own figures, those of a sensor with its name in front.
    pub counters: BTreeMap<String, u64>,
    /// Blocks that stand.
    pub blocks: u64,
    /// The ledger's file and its log.
    pub ledger_kib: u64,
    /// The machine's load average of one minute.
    pub load: f64,
}

/// Figures that say that something was lost. What the kernel drops of the blocked is no loss.
const LOSSES: [&str; 15] = [
    "lost",
    "overflow",
    "dropped",
    "over the common ration",
    "too old",
    "failed",
    "not understood",
    "overwritten",
    "never finished",
    "cut, too long",
    "out of order",
    "store errors",
    "unreadable",
    "turned away",
    "malformed",
];

impl Sample {
    /// Asks riposte and the kernel.
    ///
    /// # Errors
    /// If riposte does not answer.
    pub fn take(daemon: &Daemon, folder: &Path, secs: f64) -> io::Result<Sample> {
        let status = daemon.status()?;
        let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut sample = Sample { secs, blocks: status["blocks"]["active"].as_u64().unwrap_or(0), load: load(), ..Sample::default() };
        for process in list(&status["processes"]) {
            let Some(pid) = process["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) else { continue };
            // One that ends by itself may be gone by now.
            sample.processes.extend(look(pid).ok().map(|found| (text(&process["life"]), found)));
        }
        let mut count = |prefix: &str, pairs: &serde_json::Value| {
            for pair in list(pairs) {
                sample.counters.insert(format!("{prefix}{}", text(&pair[0])), pair[1].as_u64().unwrap_or(0));
            }
        };
        count("", &status["counters"]);
        for sensor in list(&status["sensors"]) {
            count(&format!("{}: ", text(&sensor["kind"])), &sensor["counters"]);
        }
        let size = |name: &str| fs::metadata(folder.join("store").join(name)).map_or(0, |meta| meta.len());
        sample.ledger_kib = (size("riposte.db") + size("riposte.db-wal")) / 1024;
        Ok(sample)
    }

    /// With the figures of the row before where this one has none: on a busy machine a sensor may answer too late.
    #[must_use]
    pub fn after(mut self, before: Option<&Sample>) -> Sample {
        for (name, value) in before.iter().flat_map(|before| &before.counters) {
            self.counters.entry(name.clone()).or_insert(*value);
        }
        self
    }

    /// One of riposte's figures.
    pub fn count(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// What was lost, by figure, as far as it isn't 0.
    pub fn losses(&self) -> Vec<(String, u64)> {
        let is_loss = |name: &str| {
            LOSSES.iter().any(|word| name.contains(word)) && !name.contains("of the blocked") && !name.contains("from the blocked")
        };
        self.counters.iter().filter(|(name, value)| **value > 0 && is_loss(name)).map(|(name, value)| (name.clone(), *value)).collect()
    }
}

/// The machine's load average of one minute; 0 if it can't be read.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// A process by the kernel's word.
///
/// # Errors
/// If it is gone.
pub fn look(pid: u32) -> io::Result<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let shares = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // Behind the name in brackets, which may have anything in it: user and system time are fields 14 and 15 (proc_pid_stat(5)).
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Process { pid, rss_kib: field(&status, "VmRSS:"), pss_kib: field(&shares, "Pss:"), descriptors, ticks })
}

/// All rows as CSV: one line a moment, four columns a process.
pub fn csv(samples: &[Sample]) -> String {
    let names: Vec<&String> = samples.first().map(|first| first.processes.keys().collect()).unwrap_or_default();
    let mut text = "seconds,load,blocks,ledger_kib,history,events,lines,packets,losses".to_owned();
    for name in &names {
        let name = name.replace(' ', "_");
        let _ = write!(text, ",{name}_rss_kib,{name}_pss_kib,{name}_descriptors,{name}_cpu_percent");
    }
    text.push('\n');
    let mut before: Option<&Sample> = None;
    for sample in samples {
        let losses: u64 = sample.losses().iter().map(|(_, value)| value).sum();
        let (events, lines, packets) = (sample.count("events"), sample.count("file: lines"), sample.count("packets: packets"));
        let _ = write!(
            text,
            "{:.1},{:.2},{},{},{},{events},{lines},{packets},{losses}",
            sample.secs,
            sample.load,
            sample.blocks,
            sample.ledger_kib,
            sample.count("history entries")
        );
        for name in &names {
            let now = sample.processes.get(*name).copied().unwrap_or_default();
            let percent = before.and_then(|before| {
                let old = before.processes.get(*name).filter(|old| old.pid == now.pid)?;
                Some(now.ticks.saturating_sub(old.ticks) as f64 / (sample.secs - before.secs))
            });
            let _ = write!(text, ",{},{},{},{:.1}", now.rss_kib, now.pss_kib, now.descriptors, percent.unwrap_or(0.0));
        }
        text.push('\n');
        before = Some(sample);
    }
    text
}

/// The slope of the straight line through these points by least squares, in y per x; 0 for fewer than two.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if spread > 0.0 { points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_told_from_noise() {
        let line: Vec<(f64, f64)> =
            (0..100).map(|n| (f64::from(n), 7.0 + 3.0 * f64::from(n) + if n % 2 == 0 { 5.0 } else { -5.0 })).collect();
        assert!((slope(&line) - 3.0).abs() < 0.01);
        assert_eq!([slope(&[]), slope(&[(1.0, 1.0)]), slope(&[(1.0, 4.0), (1.0, 9.0)])], [0.0; 3]);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let own = look(std::process::id()).unwrap();
        assert!(own.rss_kib > 500 && own.descriptors >= 3, "{own:?}");
    }

    #[test]
    fn what_the_firewall_drops_of_the_blocked_is_no_loss() {
        let counters = [("packets dropped from the blocked", 9), ("events", 4), ("file: events dropped, judge too slow", 2)];
        let sample = Sample { counters: counters.map(|(name, value)| (name.to_owned(), value)).into(), ..Sample::default() };
        assert_eq!(sample.losses(), [("file: events dropped, judge too slow".to_owned(), 2)]);
        let row = csv(&[sample]);
        assert!(row.ends_with(",0,4,0,0,2\n"), "{row}");
    }
}
