//! `riposte doctor` finds nothing wrong with what works, and names what is broken.

use crate::daemon::{Daemon, RIPOSTE, folder, network, said, signal, text};
use range::namespace::Namespace;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Runs it inside, with programs in front.
fn doctor(host: &Namespace, before: &[&str], config: &Path, more: &[&str]) -> Output {
    let line = [before, &[RIPOSTE, "doctor", "--json", "--config"]].concat();
    host.command(line[0]).args(&line[1..]).arg(config).args(more).output().expect("it can be started")
}

/// What it found in one state: what and what was said of it.
fn found(output: &Output, state: &str) -> Vec<(String, String)> {
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let findings: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    assert!(!findings.is_empty(), "{}", said(output));
    assert!(findings.iter().all(|one| one["state"] == "ok" || !text(&one["todo"]).is_empty()), "what is broken comes with what to do");
    findings.iter().filter(|one| one["state"] == state).map(|one| (text(&one["what"]), text(&one["said"]))).collect()
}

fn names(findings: &[(String, String)], what: &str, part: &str) {
    assert!(findings.iter().any(|(w, s)| w == what && s.contains(part)), "{what}: {part}: {findings:?}");
}

#[test]
fn what_works_is_found_well_and_a_stopped_judge_is_named() {
    let network = network("doctor", 0);
    let daemon = Daemon::start(&network.victim, "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n");
    daemon.append("kern.log", "\n");
    let config = daemon.path("config.toml");
    let output = doctor(&network.victim, &["env"], &config, &["--live"]);
    assert!(output.status.success(), "{}\n{}", said(&output), daemon.log());
    let well = found(&output, "ok");
    names(&well, "whole way", "packets die → unblocked → they pass");
    names(&well, "live probe", "has blocked 192.0.2.2");
    names(&well, "sandbox", "5 processes are locked in");
    names(&well, "firewall", "riposte's table is in the kernel");
    assert_eq!(daemon.blocked(), Vec::<String>::new(), "nothing stays");
    assert!(network.victim.run("ip", ["link", "show", "rp-doctor"]).is_err(), "no interface either");

    let judge = u32::try_from(daemon.life("judge").expect("it runs")).expect("a process number");
    signal("STOP", judge);
    let output = doctor(&network.victim, &["env"], &config, &[]);
    signal("CONT", judge);
    assert!(!output.status.success());
    names(&found(&output, "fail"), "daemon", &format!("judge (process {judge}) is stopped"));

    network.victim.run("nft", ["delete", "table", "inet", "riposte"]).expect("nft is installed");
    let output = doctor(&network.victim, &["env"], &config, &[]);
    // Whoever repairs it may have been quicker than we look.
    let failed = found(&output, "fail");
    let back = daemon.log().contains("made anew");
    assert!(back || failed.iter().any(|(what, said)| what == "firewall" && said.contains("not in the kernel")), "{failed:?}");
}

#[test]
fn what_is_missing_is_named() {
    let network = network("broken", 0);
    let folder = folder();
    let place = folder.path().display().to_string();
    let config = folder.path().join("config.toml");
    let write = |more: &str| {
        let text = format!("[store]\npath = \"{place}/store\"\n[control]\nsocket = \"{place}/sock\"\n{more}");
        fs::write(&config, text).expect("writable");
    };
    fs::create_dir(folder.path().join("store")).expect("writable");

    // A full disk, and nobody running.
    write("[[sense.log]]\nkind = \"file\"\npath = \"/nonexistent/kern.log\"\n");
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {place}/store && {{ head -c 1M /dev/zero > {place}/store/full 2>/dev/null; exec \"$@\"; }}"
    );
    let output = doctor(&network.victim, &["unshare", "-m", "sh", "-c", &script, "sh"], &config, &[]);
    assert!(!output.status.success());
    let failed = found(&output, "fail");
    names(&failed, "store", "no space is left");
    names(&failed, "daemon", "no riposte is running here");
    names(&found(&output, "warn"), "log /nonexistent/kern.log", "not there yet");
    names(&found(&output, "ok"), "whole way", "they pass");

    // No right to the network: the step that broke is named.
    write("");
    let output = doctor(&network.victim, &["setpriv", "--bounding-set=-net_admin"], &config, &[]);
    names(&found(&output, "fail"), "whole way", "network namespaces");

    // Nobody is to be blocked.
    write("[policy]\ndry_run = true\n");
    let output = doctor(&network.victim, &["env"], &config, &[]);
    names(&found(&output, "warn"), "whole way", "this is a dry run");

    write("[polcy]\n");
    let output = doctor(&network.victim, &["env"], &config, &[]);
    assert!(!output.status.success());
    names(&found(&output, "fail"), "configuration", "did you mean 'policy'?");
}
