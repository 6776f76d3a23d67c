//! The stage and the scanners: each runs for real from an address of its own, then riposte and the kernel are asked what became of it.
//! Never takes a scanner's word for anything.

use crate::finding::{Finding, ScanFinding, indent};
use crate::guard::{Guard, kernel_blocks, kernel_drops};
use crate::network::{Network, VICTIM, VICTIM6, attacker_address, attacker_address6};
use crate::services::Service;
use report::explain::Explanation;
use report::serial::Stamp;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Seconds after which a tool that hangs is ended.
const TOOL_SECS: &str = "100";
/// All victim's addresses, as nmap writes them.
const EVERYBODY: &str = "203.0.113.10-25";

/// The network, with the services and the daemon on the victim.
#[derive(Debug)]
pub struct Stage {
    /// Ends before the network does.
    pub guard: Guard,
    /// All hosts.
    pub network: Network,
    /// Where files are.
    pub folder: PathBuf,
}

/// One scanner: what is run and what should be seen.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// The step's name.
    pub step: &'static str,
    /// The command line; several targets or none change nothing.
    pub command: &'static [&'static str],
    /// Whether it scans by IPv6.
    pub is_ipv6: bool,
    /// The styles that should be seen, in the order in which riposte prints them.
    pub styles: &'static [&'static str],
}

/// nmap without name look-ups, pings and repetitions, at a steady pace whether anybody answers or not.
macro_rules! nmap {
    ($($argument:expr),*) => { &["nmap", "-Pn", "-n", "--max-retries", "0", "--min-rate", "400", "--max-rate", "400", $($argument),*] };
}

const fn scan(step: &'static str, command: &'static [&'static str], styles: &'static [&'static str]) -> Scan {
    Scan { step, command, is_ipv6: false, styles }
}

const fn scan6(step: &'static str, command: &'static [&'static str], styles: &'static [&'static str]) -> Scan {
    Scan { step, command, is_ipv6: true, styles }
}

/// It takes most of a minute, so it runs beside the others.
pub const SLOW_SCAN: Scan = scan(
    "slow scan (nmap -sS)",
    &["nmap", "-Pn", "-n", "--max-retries", "0", "-sS", "--scan-delay", "11s", "-p", "3001-3006", VICTIM],
    &["syn", "slow"],
);

/// The scanners, each of which should be seen for what it is, and blocked.
pub const SCANS: [Scan; 15] = [
    scan("SYN scan (nmap -sS)", nmap!["-sS", "-p", "1000-1099", VICTIM], &["syn"]),
    scan("connect scan (nmap -sT)", nmap!["-sT", "-p", "1000-1099", VICTIM], &["connect"]),
    scan("FIN scan (nmap -sF)", nmap!["-sF", "-p", "1000-1099", VICTIM], &["fin"]),
    scan("NULL scan (nmap -sN)", nmap!["-sN", "-p", "1000-1099", VICTIM], &["null"]),
    scan("XMAS scan (nmap -sX)", nmap!["-sX", "-p", "1000-1099", VICTIM], &["xmas"]),
    scan("ACK scan (nmap -sA)", nmap!["-sA", "-p", "1000-1099", VICTIM], &["ack"]),
    scan("Maimon scan (nmap -sM)", nmap!["-sM", "-p", "1000-1099", VICTIM], &["maimon"]),
    scan("UDP scan (nmap -sU)", nmap!["-sU", "-p", "1000-1099", VICTIM], &["udp"]),
    scan("protocol scan (nmap -sO)", nmap!["-sO", "-p", "60-99", VICTIM], &["protocol"]),
    scan("sweep over 16 hosts (nmap)", nmap!["-sS", "-p", "3389", EVERYBODY], &["syn", "sweep"]),
    scan6("IPv6 SYN scan (nmap)", nmap!["-6", "-sS", "-p", "1000-1099", VICTIM6], &["syn"]),
    scan6("IPv6 connect scan (nmap)", nmap!["-6", "-sT", "-p", "1000-1099", VICTIM6], &["connect"]),
    scan6("IPv6 UDP scan (nmap)", nmap!["-6", "-sU", "-p", "1000-1099", VICTIM6], &["udp"]),
    scan("SYNs by masscan", &["masscan", VICTIM, "-p", "2000-2049", "--rate", "500", "--wait", "0"], &["masscan"]),
    scan("SYNs by hping3 (-S)", &["hping3", "-q", "-S", "-p", "++4000", "-c", "20", "-i", "u5000", VICTIM], &["syn"]),
];

impl Stage {
    /// Builds the network with so many attackers, opens the victim's services and starts the daemon.
    ///
    /// # Errors
    /// If any of it can't be done.
    pub fn build(binary: &Path, folder: &Path, attackers: usize) -> io::Result<Stage> {
        let mut network = Network::new("demo", attackers)?;
        // Each keeps its connections open and says what it is told.
        for service in [&["-lk", "-e", "/bin/cat", "80"][..], &["-luk", "--recv-only", "5060"]] {
            network.victim.start("ncat", service)?;
        }
        Service::Ssh.start(&mut network.victim, folder)?;
        // The host's own logs are none of its business.
        let logs = format!("\n[applications]\nfiles = [{:?}]\njournal = \"never\"\n", folder.join("auth.log").display().to_string());
        let guard = Guard::start_with(binary, folder, &network.victim, &logs)?;
        Ok(Stage { guard, network, folder: folder.to_owned() })
    }

    /// Starts a tool on attacker `n`; it can't hang for ever. `timeout` counts for its own exit status, `ip` for none.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn launch(&self, n: usize, command: &[&str]) -> io::Result<Child> {
        self.tool(n, command)?.spawn()
    }

    /// Runs a tool on attacker `n` to its end, whatever that is: who is blocked fails.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn let_loose(&self, n: usize, command: &[&str]) -> io::Result<bool> {
        Ok(self.tool(n, command)?.status()?.success())
    }

    fn tool(&self, n: usize, command: &[&str]) -> io::Result<Command> {
        let attacker = self.network.attackers.get(n).ok_or_else(|| io::Error::other("there are not so many attackers"))?;
        let mut tool = attacker.command("timeout");
        tool.arg(TOOL_SECS).args(command).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(tool)
    }

    /// Lets a scanner loose from attacker `n` and says what became of it.
    ///
    /// # Errors
    /// If something can't be started or asked.
    pub fn scan(&self, scan: &Scan, n: usize) -> io::Result<Finding> {
        let dropped = kernel_drops(&self.network.victim)?;
        self.let_loose(n, scan.command)?;
        self.conclude(scan, n, Some(dropped))
    }

    /// What became of a scanner that ran on attacker `n`; the kernel had dropped so many packets before, if nobody else
    /// was blocked since.
    ///
    /// # Errors
    /// If riposte or nft can't be asked.
    pub fn conclude(&self, scan: &Scan, n: usize, dropped: Option<u64>) -> io::Result<Finding> {
        let from = scan.address(n);
        let explanation = self.guard.explain_when_blocked(&from)?;
        let in_kernel = kernel_blocks(&self.network.victim)?.contains(&from);
        let now_dropped = kernel_drops(&self.network.victim)?;
        let dropped = dropped.map(|before| now_dropped.saturating_sub(before));
        Ok(Finding::Scan(ScanFinding { dropped, ..judge(scan, from, &explanation, in_kernel) }))
    }
}

impl Scan {
    /// The address of attacker `n` for this scan.
    pub fn address(&self, n: usize) -> String {
        if self.is_ipv6 { attacker_address6(n) } else { attacker_address(n) }
    }

    /// What is about to run, for the running commentary.
    pub fn announce(&self, n: usize) -> String {
        format!("{}, from {}\n{}", self.step, self.address(n), indent(&format!("$ {}", self.command.join(" ")), 4))
    }
}

/// Compares what should be seen with what was.
fn judge(scan: &Scan, from: String, explanation: &Explanation, in_kernel: bool) -> ScanFinding {
    let block = explanation.block.as_ref();
    let suspect = explanation.suspect.as_ref();
    let deciding = explanation.entries.iter().find(|entry| entry.decision == "block");
    let styles = suspect.map(|suspect| suspect.styles.clone()).unwrap_or_default();
    let expected: Vec<String> = scan.styles.iter().map(|style| (*style).to_owned()).collect();
    let blocked = block.is_some_and(|block| block.state == "active");
    let millis = |from: Stamp, to: Stamp| to.0.since(from.0).as_secs_f64() * 1_000.0;
    let why = deciding.or(explanation.entries.last()).map_or_else(|| explanation.verdict.clone(), |entry| entry.why.clone());
    ScanFinding {
        step: scan.step.to_owned(),
        command: scan.command.join(" "),
        from,
        ok: blocked && in_kernel && styles == expected,
        expected,
        styles,
        charge: deciding.map(|entry| entry.charge.clone()),
        level: deciding.map(|entry| entry.level),
        probes: deciding.map(|entry| entry.packets),
        first_probe_to_block_ms: block.zip(suspect).map(|(block, suspect)| millis(suspect.first, block.since)),
        dropped: None,
        why,
        blocked,
        in_kernel,
    }
}
