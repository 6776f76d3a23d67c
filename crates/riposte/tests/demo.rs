//! The demonstration, shortened: one real scanner and one forger, seen through `riposte demo --json` as anybody would run it.
//! Needs root and the packages of `make setup`; without them it fails and says so.

use std::process::{Command, Output};

fn demo(only: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_riposte")).args(["demo", "--json", "--only", only]).output().expect("the binary starts")
}

#[track_caller]
fn findings(only: &str) -> Vec<serde_json::Value> {
    let output = demo(only);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn a_real_scanner_is_named_and_blocked() {
    let [scan] = &findings("XMAS")[..] else { panic!("one step, one finding") };
    assert_eq!((&scan["type"], &scan["styles"][0], &scan["charge"]), (&"scan".into(), &"xmas".into(), &"port scan".into()), "{scan}");
    assert_eq!((&scan["blocked"], &scan["in_kernel"], &scan["ok"]), (&true.into(), &true.into(), &true.into()), "{scan}");
    assert_eq!(scan["probes"], 5, "the fifth failed contact in a row convicts: {scan}");
}

#[test]
fn the_gateway_is_not_blocked_whoever_forges_it() {
    let [forged] = &findings("forged: the gateway")[..] else { panic!("one step, one finding") };
    assert_eq!((&forged["type"], &forged["ok"]), (&"check".into(), &true.into()), "{forged}");
    assert!(forged["got"].as_str().is_some_and(|got| got.contains("never blocked: default gateway")), "{forged}");
}

#[test]
fn who_guesses_passwords_is_blocked_and_his_neighbour_is_not() {
    let [guesser, neighbour] = &findings("hydra")[..] else { panic!("one step, two findings") };
    assert_eq!((&guesser["ok"], &neighbour["ok"]), (&true.into(), &true.into()), "{guesser} {neighbour}");
    assert!(guesser["got"].as_str().is_some_and(|got| got.contains("sshd/") && got.contains("not let in")), "{guesser}");
}

#[test]
fn a_step_that_there_is_not_is_told() {
    let output = demo("no such step");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no step's name contains 'no such step'"), "{said}");
}
