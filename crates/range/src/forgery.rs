//! The other half: nobody innocent. Forged senders, and a visitor who does nothing wrong. Never lets a forged address stay blocked
//! unnoticed: the kernel's own set is counted all the while.

use crate::finding::{CheckFinding, Finding};
use crate::guard::{PATIENCE, kernel_blocks, received};
use crate::network::{ATTACKERS, GATEWAY, VICTIM, attacker_address};
use crate::scenario::Stage;
use report::time::Readable;
use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `policy.spoofable.blocks_per_minute`, the default that the daemon here runs with.
pub const BLOCKS_PER_MINUTE: usize = 20;
/// `policy.storm.offenders`, likewise.
pub const STORM_OFFENDERS: usize = 60;
/// What all chosen decoys begin with (TEST-NET-1): none of them exists.
const DECOYS: &str = "192.0.2.";
/// Between two looks at the kernel's set.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Connections that the visitor makes.
const VISITS: usize = 20;

/// A finding from what should be and what is.
pub fn check(step: &str, command: &str, expected: &str, got: String, ok: bool) -> Finding {
    Finding::Check(CheckFinding { step: step.to_owned(), command: command.to_owned(), expected: expected.to_owned(), got, ok })
}

/// How a command line begins that looks like a scan by many: decoys from `first` on, and the real scanner among them.
pub fn decoy_scan(first: u8, decoys: u8, ports: &str) -> Vec<String> {
    let list: Vec<String> = (first..first + decoys).map(|n| format!("{DECOYS}{n}")).chain(["ME".to_owned()]).collect();
    ["nmap", "-Pn", "-n", "--max-retries", "0", "--host-timeout", "15s", "-sS", "-D", &list.join(","), "-p", ports, VICTIM]
        .map(str::to_owned)
        .to_vec()
}

/// The same, short enough to read.
pub fn decoy_words(first: u8, decoys: u8, ports: &str) -> String {
    format!("nmap -Pn -n --max-retries 0 --host-timeout 15s -sS -D {DECOYS}{first},…,{DECOYS}{},ME -p {ports} {VICTIM}", first + decoys - 1)
}

/// Somebody who only visits: many connections to the web server, a ping, one wrong port.
///
/// # Errors
/// If something can't be started or asked.
pub fn visit(stage: &Stage, step: &str, visitor: usize) -> io::Result<Finding> {
    let reach = |port: &str| stage.let_loose(visitor, &["ncat", "-z", "-w1", VICTIM, port]);
    let mut reached = 0;
    for _ in 0..VISITS {
        reached += usize::from(reach("80")?);
    }
    let pinged = stage.let_loose(visitor, &["hping3", "-q", "-1", "-c", "3", "-i", "u20000", VICTIM])?;
    reach("81")?;
    let reached_then = reach("80")?;
    let explanation = stage.guard.explain(&attacker_address(visitor))?;
    let in_kernel = kernel_blocks(&stage.network.victim)?.contains(&attacker_address(visitor));
    let blocked = explanation.block.is_some() || in_kernel;
    let got = format!(
        "{reached} of {VISITS} connections, ping {}, one more after the wrong port {}; {}",
        if pinged { "answered" } else { "lost" },
        if reached_then { "too" } else { "refused" },
        if blocked { "blocked" } else { "not blocked" }
    );
    let ok = reached == VISITS && pinged && reached_then && !blocked;
    let command = format!("{VISITS} × ncat -z -w1 {VICTIM} 80; hping3 -1 -c 3 {VICTIM}; ncat -z -w1 {VICTIM} 81; ncat -z -w1 {VICTIM} 80");
    Ok(check(step, &command, "all connections, not blocked", got, ok))
}

/// Whether a blocked scanner is really out: it had a connection to the web server before it scanned, and wants one after.
///
/// # Errors
/// If something can't be started or asked.
pub fn cut_off(stage: &Stage, step: &str, attacker: usize) -> io::Result<Finding> {
    let address = attacker_address(attacker);
    let filter = ["-Htn", "state", "established", "dst", &address];
    let connections = || stage.network.victim.run("ss", filter).map(|text| text.lines().count());
    let host = stage.network.attackers.get(attacker).ok_or_else(|| io::Error::other("there are not so many attackers"))?;
    // With its input held open it stays connected.
    let mut connection =
        host.command("ncat").args([VICTIM, "80"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let before = until(connections, |n| n > 0)?;
    let scan = ["nmap", "-Pn", "-n", "--max-retries", "0", "--min-rate", "400", "--max-rate", "400", "-sS", "-p", "5000-5099", VICTIM];
    stage.let_loose(attacker, &scan)?;
    let explanation = stage.guard.explain_when_blocked(&address)?;
    let after = until(connections, |n| n == 0)?;
    let reached = stage.let_loose(attacker, &["ncat", "-z", "-w1", VICTIM, "80"])?;
    connection.kill()?;
    connection.wait()?;
    let got = format!(
        "{}; {before} connection before its scan, {after} after; a new one to the open port 80 {}",
        if explanation.block.is_some() { "blocked" } else { "not blocked" },
        if reached { "was answered" } else { "got no answer" }
    );
    let ok = explanation.block.is_some() && before == 1 && after == 0 && !reached;
    let command = format!("ncat {VICTIM} 80 & {}; ncat -z -w1 {VICTIM} 80", scan.join(" "));
    Ok(check(step, &command, "blocked, its open connection cut, no new one", got, ok))
}

/// Counts until the count is as wished, or patience ends.
fn until(count: impl Fn() -> io::Result<usize>, wished: impl Fn(usize) -> bool) -> io::Result<usize> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let now = count()?;
        if wished(now) {
            return Ok(now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    count()
}

/// Somebody on the victim's own wire scans as the gateway, or as the resolver.
///
/// # Errors
/// If something can't be started or asked.
pub fn forge_exempt(stage: &Stage, step: &str, forged: &str) -> io::Result<Finding> {
    let command = ["hping3", "-q", "-a", forged, "-S", "-p", "++6000", "-c", "50", "-i", "u2000", VICTIM];
    let arrived = forge(stage, &command)?;
    let explanation = stage.guard.explain(forged)?;
    let in_kernel = kernel_blocks(&stage.network.victim)?.iter().any(|blocked| blocked == forged);
    let blocked = explanation.block.is_some() || in_kernel;
    let got = format!(
        "50 forged packets {}, {}; riposte explain: {}",
        if arrived >= 50 { "arrived" } else { "did not all arrive" },
        if blocked { "blocked" } else { "not blocked" },
        explanation.verdict
    );
    let ok = arrived >= 50 && !blocked && explanation.exempt.is_some();
    Ok(check(step, &format!("{} (from the victim's own wire)", command.join(" ")), "all arrive, never blocked", got, ok))
}

/// Runs a forger on the victim's own wire; returns how many packets came to the victim meanwhile.
fn forge(stage: &Stage, command: &[&str]) -> io::Result<u64> {
    let before = received(&stage.network.victim)?;
    stage.network.insider.command("timeout").arg("60").args(command).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(received(&stage.network.victim)?.saturating_sub(before))
}

/// Whether the real gateway, whose name was forged, still reaches the victim.
///
/// # Errors
/// If something can't be started.
pub fn gateway_still_serves(stage: &Stage, step: &str) -> io::Result<Finding> {
    let command = ["-z", "-w1", VICTIM, "80"];
    let status = stage.network.gateway.command("ncat").args(command).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let got = if status.success() { "the real gateway's connection is answered" } else { "the real gateway gets no answer" };
    Ok(check(step, &format!("ncat {} (on {GATEWAY})", command.join(" ")), "answered", got.to_owned(), status.success()))
}

/// A burst in which every packet has another sender.
///
/// # Errors
/// If something can't be started or asked.
pub fn random_senders(stage: &Stage, step: &str) -> io::Result<Finding> {
    let before: BTreeSet<String> = kernel_blocks(&stage.network.victim)?.into_iter().collect();
    let command = ["hping3", "-q", "--rand-source", "-S", "-p", "++7000", "-c", "2000", "-i", "u500", VICTIM];
    let arrived = forge(stage, &command)?;
    // A real scanner may be blocked meanwhile: one of them takes its time.
    let is_forged = |blocked: &String| !before.contains(blocked) && !blocked.starts_with(ATTACKERS);
    let added = kernel_blocks(&stage.network.victim)?.iter().filter(|blocked| is_forged(blocked)).count();
    let arrive = if arrived >= 2_000 { "arrived" } else { "did not all arrive" };
    let got = format!("2,000 packets of 2,000 senders {arrive}; {added} blocked: one packet proves nothing");
    Ok(check(step, &command.join(" "), "all arrive, nobody is blocked", got, arrived >= 2_000 && added == 0))
}

/// What a scan with decoys led to.
#[derive(Debug, Clone, Copy)]
pub struct Forged {
    /// Forged addresses in the kernel's set at the worst moment.
    pub worst: usize,
    /// And at the end.
    pub left: usize,
}

/// Lets a scan with decoys loose and counts forged addresses in the kernel's set all the while.
///
/// # Errors
/// If something can't be started or asked.
pub fn decoys(stage: &Stage, attacker: usize, command: &[String]) -> io::Result<Forged> {
    let victim = &stage.network.victim;
    let count = || kernel_blocks(victim).map(|blocked| blocked.iter().filter(|address| address.starts_with(DECOYS)).count());
    let (worst, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| -> io::Result<()> {
            loop {
                let last = over.load(Ordering::Acquire);
                worst.fetch_max(count()?, Ordering::Relaxed);
                if last {
                    return Ok(());
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        let ran = stage.let_loose(attacker, &arguments);
        over.store(true, Ordering::Release);
        looks.join().map_err(|_| io::Error::other("counting failed"))??;
        ran
    })?;
    Ok(Forged { worst: worst.into_inner(), left: count()? })
}

/// What riposte's own history says of the decoys: how many it ever blocked, and how many it only refused to.
///
/// # Errors
/// If riposte can't be asked.
pub fn decided(stage: &Stage) -> io::Result<(usize, usize)> {
    let history = stage.guard.history(&format!("{DECOYS}0/24"))?;
    let with = |decision: &str| {
        history.iter().filter(|line| line.decision == decision).map(|line| line.address.to_string()).collect::<BTreeSet<_>>()
    };
    let (blocked, refused) = (with("block"), with("refuse"));
    Ok((blocked.len(), refused.difference(&blocked).count()))
}

/// A few decoys, fewer than the budget; then more than it.
///
/// # Errors
/// If something can't be started or asked.
pub fn within_budget(stage: &Stage, step: &str, attacker: usize, first: u8, count: u8) -> io::Result<Finding> {
    let ports = "8000-8009";
    let forged = decoys(stage, attacker, &decoy_scan(first, count, ports))?;
    let got =
        format!("{} of {count} forged addresses blocked at the worst moment; the budget is {BLOCKS_PER_MINUTE} a minute", forged.worst);
    let expected = format!("at most {BLOCKS_PER_MINUTE}, by policy.spoofable.blocks_per_minute");
    Ok(check(step, &decoy_words(first, count, ports), &expected, got, forged.worst <= BLOCKS_PER_MINUTE && forged.worst > 0))
}

/// So many decoys that it can only be forgery: everything unproven of the last minute is taken back. `veterans` were blocked before that.
///
/// # Errors
/// If something can't be started or asked.
pub fn storm(stage: &Stage, step: &str, attacker: usize, veterans: &[String]) -> io::Result<Vec<Finding>> {
    let (first, count, ports) = (101, 100, "8100-8109");
    let forged = decoys(stage, attacker, &decoy_scan(first, count, ports))?;
    let command = decoy_words(first, count, ports);
    let status = stage.guard.status()?;
    let (blocked, refused) = decided(stage)?;
    let rolled = status.storm.map_or(0, |storm| storm.rolled_back);
    let budget = format!("at most {BLOCKS_PER_MINUTE} at any moment, none once the storm is recognised");
    let got = format!(
        "{} forged addresses blocked at the worst moment, {} once the storm was recognised; of all {} decoys so far {blocked} were ever \
         blocked and {refused} never",
        forged.worst,
        forged.left,
        blocked + refused
    );
    let mut findings = vec![check(step, &command, &budget, got, forged.worst <= BLOCKS_PER_MINUTE && forged.left == 0)];
    let got = match status.storm {
        Some(storm) => format!("rolled back {rolled}; forgeable evidence blocks nobody new until {}", Readable(storm.until.0)),
        None => "no storm was recognised".to_owned(),
    };
    let expected = format!("a storm from {STORM_OFFENDERS} offenders a minute on, its blocks taken back");
    findings.push(check(&format!("{step}: roll-back"), "riposte status", &expected, got, rolled > 0));
    if !veterans.is_empty() {
        findings.push(stay(stage, &format!("{step}: real scanners"), veterans)?);
    }
    Ok(findings)
}

/// Whether those who were blocked before the storm still are.
fn stay(stage: &Stage, step: &str, veterans: &[String]) -> io::Result<Finding> {
    let kernel = kernel_blocks(&stage.network.victim)?;
    let still = veterans.iter().filter(|veteran| kernel.contains(veteran)).count();
    let got = format!("{still} of {} that were blocked more than a minute before are still blocked", veterans.len());
    Ok(check(step, "nft list set inet riposte blocked4 (and blocked6)", "all of them still blocked", got, still == veterans.len()))
}
