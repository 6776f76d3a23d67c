//! Whether the running riposte does its work: it answers, every process is there and locked in, every sensor runs, nothing is dropped.

use super::Findings;
use crate::config::Config;
use crate::control::client::Client;
use crate::control::protocol::Request;
use report::status::StatusReport;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Words of figures that tell of a loss.
const LOSSES: [&str; 9] =
    ["dropped", "lost", "overflow", "too slow", "failed", "not understood", "without room", "not at work", "did not answer"];

/// Looks at it.
pub fn look(config: &Config, socket: Option<&Path>, findings: &mut Findings) {
    let socket = socket.unwrap_or(&config.control.socket);
    let answer = Client::connect(socket).and_then(|mut client| {
        client.wait_at_most(PATIENCE)?;
        client.ask::<StatusReport>(&Request::Status).map_err(|why| why.join("; "))
    });
    let mut report = match answer {
        Ok(report) => report,
        Err(error) => return silent(&error, findings),
    };
    findings.ok("daemon", format!("riposte {} answers", report.version));
    report.processes.iter_mut().for_each(crate::commands::ask::look);
    processes(config, &report, findings);
    sensors(config, &report, findings);
    losses(&report, findings);
    table(config, findings);
}

/// Who doesn't answer may be dead, stopped or busy.
fn silent(error: &str, findings: &mut Findings) {
    let stopped: Vec<(String, String)> =
        running().into_iter().filter(|(_, _, state)| state == "T").map(|(pid, name, _)| (pid, name)).collect();
    for (pid, name) in &stopped {
        findings.fail("daemon", format!("{name} (process {pid}) is stopped"), format!("sudo kill -CONT {pid}, or restart riposte"));
    }
    if stopped.is_empty() {
        findings.fail("daemon", error, "see its log; start it with 'sudo systemctl start riposte' or 'sudo riposte run'");
    }
}

/// riposte's processes in this network namespace: number, name, state.
fn running() -> Vec<(String, String, String)> {
    let here = fs::read_link("/proc/self/ns/net").ok();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let title = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        if !title.starts_with("riposte: ") || fs::read_link(entry.path().join("ns/net")).ok() != here {
            continue;
        }
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
        found.push((pid, title.split(" --").next().unwrap_or_default().trim_start_matches("riposte: ").to_owned(), state));
    }
    found
}

fn processes(config: &Config, report: &StatusReport, findings: &mut Findings) {
    let mut wanted = vec!["warden".to_owned(), "judge".to_owned(), "host".to_owned()];
    wanted.extend(config.nflog.enabled.then(|| "packets".to_owned()));
    wanted.extend(config.applications.enabled.then(|| "applications".to_owned()));
    // A reload gives them numbers that need not follow each other.
    let logs = report.processes.iter().filter(|process| process.life.starts_with("log ")).count();
    if logs < config.logs.len() {
        let said = format!("{logs} of {} logs are read", config.logs.len());
        findings.fail(
            "processes",
            said,
            "see riposte's log: a sensor is started again with back-off; a changed configuration wants 'riposte reload'",
        );
    }
    for life in &wanted {
        if !report.processes.iter().any(|process| process.life == *life) {
            findings.fail("processes", format!("{life} is not running"), "see riposte's log: it is started again with back-off");
        }
    }
    let mut locked = 0;
    for process in &report.processes {
        let mut wrong = Vec::new();
        // A runner has no sandbox: what it starts is the operator's own.
        if process.uid == u32::MAX || process.life == "runner" {
            continue;
        }
        if !process.no_new_privs || !process.seccomp.starts_with("filter") {
            wrong.push("it is not in its sandbox");
        }
        if process.landlock.is_empty() {
            wrong.push("it has not said that it is ready");
        }
        if process.life != "warden" && (process.uid == 0 || !process.capabilities.is_empty()) {
            wrong.push("it has a privilege");
        }
        match wrong.is_empty() {
            true => locked += 1,
            false => findings.fail(
                "sandbox",
                format!("{} (process {}): {}", process.life, process.pid, wrong.join(", ")),
                "restart riposte; report this",
            ),
        }
        if process.landlock.starts_with("partial") {
            findings.warn("sandbox", format!("{}: {}", process.life, process.landlock), "a newer kernel's Landlock holds more");
        }
        if process.restarts > 0 {
            findings.warn("processes", format!("{} was started again {} times", process.life, process.restarts), "riposte's log says why");
        }
    }
    if locked > 0 {
        findings.ok("sandbox", format!("{locked} processes are locked in"));
    }
}

fn sensors(config: &Config, report: &StatusReport, findings: &mut Findings) {
    let expected = config.logs.len() + usize::from(config.nflog.enabled) + usize::from(config.applications.enabled);
    let running = report.sensors.iter().filter(|sensor| sensor.state == "running").count();
    match running >= expected {
        true => findings.ok("sensors", format!("{running} run")),
        false => findings.fail("sensors", format!("{running} of {expected} run"), "riposte's log says why"),
    }
    for sensor in &report.sensors {
        let figure = |name: &str| sensor.counters.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        if figure("lines") == Some(0) && report.uptime_secs > 3_600 {
            findings.warn(
                "sensors",
                format!("{}: not one line in {} hours", sensor.name, report.uptime_secs / 3_600),
                "is it the right log?",
            );
        }
    }
}

fn losses(report: &StatusReport, findings: &mut Findings) {
    let mut told = false;
    let own = report.counters.iter().map(|(name, value)| (String::new(), name, *value));
    let sensors = report.sensors.iter().flat_map(|s| s.counters.iter().map(|(name, value)| (format!("{}: ", s.name), name, *value)));
    for (before, name, value) in own.chain(sensors) {
        // What the kernel drops of the blocked is what riposte is for.
        if value == 0 || name.contains("of the blocked") || name.contains("from the blocked") {
            continue;
        }
        if name == "ledger in memory only" {
            findings.fail(
                "ledger",
                "blocks are kept in memory and in the kernel only",
                "riposte's log says why: a full or read-only disk?",
            );
        } else if LOSSES.iter().any(|word| name.contains(word)) {
            findings.warn("figures", format!("{before}{name}: {value}"), "something was lost; see 'Counters' in riposte's manual.md");
            told = true;
        }
    }
    if !told {
        findings.ok("figures", "nothing was dropped");
    }
}

/// riposte's table, as nft(8) sees it.
fn table(config: &Config, findings: &mut Findings) {
    if config.respond.is_null() || config.policy.dry_run {
        return findings.warn(
            "firewall",
            "nobody is blocked: this is a dry run",
            "set [policy] dry_run = false and [respond] kind = \"nftables\"",
        );
    }
    if !config.respond.has_kernel() {
        return;
    }
    match Command::new("nft").args(["-t", "list", "sets", "table", "inet", "riposte"]).output() {
        Err(_) => findings.warn("firewall", "there is no nft(8) to look with", "apt install nftables (riposte itself does without)"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            match ["blocked4", "blocked6"].iter().all(|set| text.contains(&format!("set {set} "))) {
                true => findings.ok("firewall", "riposte's table is in the kernel"),
                false if sys::identity::own_uid() != 0 => {}
                false => findings.fail("firewall", "riposte's table is not in the kernel", "who flushes the ruleset? riposte check --host"),
            }
        }
    }
}
