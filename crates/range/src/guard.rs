//! The riposte under demonstration: started in the victim's namespace without any settings but where its files lie, and asked by its
//! command line like by any user. Beside it the kernel's own list of who is blocked, which riposte has no say in.

use crate::namespace::{Namespace, finish};
use report::explain::Explanation;
use report::history::HistoryLine;
use report::list::BlockLine;
use report::status::StatusReport;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take until the daemon answers, and until what it decided is in the kernel.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of its log that an error shows.
const LOG_LINES: usize = 10;
/// The kernel's sets of blocked single addresses.
const KERNEL_SETS: [&str; 2] = ["blocked4", "blocked6"];

/// A running daemon. Ended when dropped.
#[derive(Debug)]
pub struct Guard {
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    daemon: Child,
}

impl Guard {
    /// Starts it and waits until it watches. `folder` must be reachable by the user that its processes become.
    ///
    /// # Errors
    /// If it ends, or does not answer; the message holds what it logged last.
    pub fn start(binary: &Path, folder: &Path, victim: &Namespace) -> io::Result<Guard> {
        Guard::start_with(binary, folder, victim, "")
    }

    /// The same with these lines behind the configuration.
    ///
    /// # Errors
    /// If it ends, or does not answer; the message holds what it logged last.
    pub fn start_with(binary: &Path, folder: &Path, victim: &Namespace, more: &str) -> io::Result<Guard> {
        let config = folder.join("riposte.toml");
        let place = |name: &str| folder.join(name).display().to_string();
        // Only where its files are, so that it can run beside another one: every threshold is the default. The host's own logs are none of its business.
        let applications = if more.contains("[applications]") { "" } else { "\n[applications]\nenabled = false\n" };
        fs::write(
            &config,
            format!("[store]\npath = {:?}\n{applications}\n[control]\nsocket = {:?}\n{more}", place("store"), place("control")),
        )?;
        let log = folder.join("log");
        let program = binary.to_str().ok_or_else(|| io::Error::other("riposte's own path is no text"))?;
        let mut command = victim.command(program);
        command.arg("run").arg("--config").arg(&config).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut guard = Guard { binary: binary.to_owned(), config, log, daemon: command.spawn()? };
        let begin = Instant::now();
        loop {
            match guard.status() {
                Ok(status) if status.sensors.iter().any(|sensor| sensor.kind == "packets" && sensor.state == "running") => {
                    return Ok(guard);
                }
                _ if guard.daemon.try_wait()?.is_some() => return Err(guard.failure("riposte ended while it was starting")),
                Ok(_) | Err(_) if begin.elapsed() > PATIENCE => return Err(guard.failure("riposte did not begin to watch")),
                Ok(_) | Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn failure(&self, what: &str) -> io::Error {
        io::Error::other(format!("{what}. It logged last:\n{}", self.log_tail()))
    }

    /// The last lines that it logged.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Runs `riposte ARGS…` and hands back what it prints.
    ///
    /// # Errors
    /// If it fails; the message holds what it said.
    pub fn ask(&self, args: &[&str]) -> io::Result<String> {
        finish(Command::new(&self.binary).args(args).arg("--config").arg(&self.config).stdin(Stdio::null()))
    }

    fn ask_json<T: DeserializeOwned>(&self, args: &[&str]) -> io::Result<Vec<T>> {
        let text = self.ask(&[args, &["--json"]].concat())?;
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }

    fn ask_one<T: DeserializeOwned>(&self, args: &[&str]) -> io::Result<T> {
        self.ask_json(args)?.pop().ok_or_else(|| io::Error::other(format!("riposte {} printed nothing", args.join(" "))))
    }

    /// `riposte status`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn status(&self) -> io::Result<StatusReport> {
        self.ask_one(&["status"])
    }

    /// `riposte explain`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn explain(&self, address: &str) -> io::Result<Explanation> {
        self.ask_one(&["explain", address])
    }

    /// `riposte list`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn list(&self) -> io::Result<Vec<BlockLine>> {
        self.ask_json(&["list"])
    }

    /// `riposte history`, the newest 10,000 of a prefix.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn history(&self, prefix: &str) -> io::Result<Vec<HistoryLine>> {
        self.ask_json(&["history", prefix, "--limit", "10000"])
    }

    /// Explains an address as soon as its block stands, or as it is when patience ends.
    ///
    /// # Errors
    /// If riposte does not answer.
    pub fn explain_when_blocked(&self, address: &str) -> io::Result<Explanation> {
        let begin = Instant::now();
        loop {
            let explanation = self.explain(address)?;
            let stands = explanation.block.as_ref().is_some_and(|block| block.state == "active");
            if stands || begin.elapsed() > PATIENCE {
                return Ok(explanation);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Its other processes end with this one.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Whom the kernel blocks in this namespace, by nft(8).
///
/// # Errors
/// If nft fails or prints something else.
pub fn kernel_blocks(victim: &Namespace) -> io::Result<Vec<String>> {
    let mut blocked = Vec::new();
    for set in KERNEL_SETS {
        let objects = nft(victim, &["list", "set", "inet", "riposte", set])?;
        let elements = objects.iter().filter_map(|object| object["set"]["elem"].as_array()).flatten();
        blocked.extend(elements.filter_map(|element| element["elem"]["val"].as_str()).map(str::to_owned));
    }
    Ok(blocked)
}

/// How many packets have reached this namespace from outside, whatever became of them.
///
/// # Errors
/// If the kernel does not tell.
pub fn received(victim: &Namespace) -> io::Result<u64> {
    let text = victim.run("cat", ["/sys/class/net/eth0/statistics/rx_packets"])?;
    text.trim().parse().map_err(io::Error::other)
}

/// How many packets of the blocked the kernel has dropped in this namespace, by nft(8).
///
/// # Errors
/// If nft fails or prints something else.
pub fn kernel_drops(victim: &Namespace) -> io::Result<u64> {
    let objects = nft(victim, &["list", "counters", "table", "inet", "riposte"])?;
    let ours = objects.iter().map(|object| &object["counter"]).filter(|counter| KERNEL_SETS.iter().any(|set| counter["name"] == *set));
    Ok(ours.filter_map(|counter| counter["packets"].as_u64()).sum())
}

fn nft(victim: &Namespace, args: &[&str]) -> io::Result<Vec<serde_json::Value>> {
    let text = victim.run("nft", [&["-j"], args].concat())?;
    let mut json: serde_json::Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    match json["nftables"].take() {
        serde_json::Value::Array(objects) => Ok(objects),
        _ => Err(io::Error::other(format!("nft -j {} printed no objects", args.join(" ")))),
    }
}
