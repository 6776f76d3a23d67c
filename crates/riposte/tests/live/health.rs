//! `riposte status --check`: one line and an exit code for monitoring, whatever has happened to the daemon.

use crate::daemon::{Daemon, command, network, said, scan, signal, start_following, until};
use std::process::Output;

/// The code, and the one line.
fn outcome(output: &Output) -> (i32, String) {
    let text = said(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code().expect("no signal ended it"), text)
}

#[test]
fn monitoring_is_told_in_one_line_what_is_wrong() {
    let network = network("health", 0);
    let mut daemon = start_following(&network.victim, "[sense.nflog]\nenabled = false\n");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    let check = |more: &[&str]| outcome(&daemon.ask(&[&["status", "--check"], more].concat()));
    let (code, line) = check(&[]);
    assert!(code == 0 && line.starts_with("RIPOSTE OK: blocking, 1 block, "), "{line}");
    assert!(line.ends_with(" | losses=0;1000;;0 restarts=0;1;;0 blocks=1;;;0\n"), "{line}");
    let (code, line) = check(&["--json", "--critical", "blocks=1"]);
    let health: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, health["state"].as_str(), health["findings"][0][1].as_str()), (2, Some("critical"), Some("1 block")));

    // A sensor that is begun again is a restart, once.
    let state = daemon.path("figures").display().to_string();
    assert_eq!(check(&["--state", &state]).0, 0);
    let old = log(&daemon).expect("it runs");
    signal("KILL", old as u32);
    until("it runs again", || log(&daemon).filter(|pid| *pid != old));
    let (code, line) = check(&["--state", &state]);
    assert!(code == 1 && line.starts_with("RIPOSTE WARNING: 1 restart |"), "{line}");
    assert_eq!(check(&["--state", &state]).0, 0, "told once");
    std::fs::write(&state, "{}").unwrap();
    let (code, line) = check(&["--state", &state]);
    assert!(code == 3 && line.contains("is no file of figures"), "{line}");

    // A judge that is stopped does not answer.
    let judge = daemon.life("judge").expect("it runs") as u32;
    signal("STOP", judge);
    let (code, line) = check(&["--timeout", "1"]);
    assert!(code == 2 && line.starts_with("RIPOSTE CRITICAL: the daemon doesn't answer"), "{line}");
    signal("CONT", judge);
    let socket = daemon.path("sock").display().to_string();
    assert!(daemon.end().success());
    let (code, line) = outcome(&command(&["status", "--check", "--socket", &socket]));
    assert!(code == 2 && line.starts_with("RIPOSTE CRITICAL: no riposte is running here"), "{line}");
    let (code, line) = outcome(&command(&["status", "--check", "--config", "/nowhere/riposte.toml"]));
    assert!(code == 3 && line.starts_with("RIPOSTE UNKNOWN: "), "{line}");
}

/// The log sensor's process.
fn log(daemon: &Daemon) -> Option<u64> {
    let status = daemon.json_one(&["status"]);
    let all = status["processes"].as_array()?;
    all.iter().find(|process| process["life"].as_str().is_some_and(|life| life.starts_with("log ")))?["pid"].as_u64()
}
