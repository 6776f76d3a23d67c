//! Old logs through `riposte replay`: every folder in `tests/replay` is one. `UPDATE=1` writes down what came out.
//!
//! A folder has `input.*` (in this order), `expect`, and where needed `config.toml` and `args`: one argument a line in place of
//! `--json` and `--events`, `-` for the first input through standard input. Whatever JSON comes out must also keep what
//! `docs/manual.md` promises.

use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// When every input was last written to, 2026-03-02 00:00:00 UTC: stamps without a year are in the year before that.
const WRITTEN: u64 = 1_772_409_600;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/replay").canonicalize().expect("tests/replay is there");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Copies a fixture, so that its files are as old as they should be, and runs `replay` in the copy.
fn replay(fixture: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = Vec::new();
    for entry in fs::read_dir(fixture).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().expect("a plain name");
        let copy = folder.path().join(&name);
        fs::copy(entry.path(), &copy).unwrap();
        File::options().write(true).open(&copy).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(WRITTEN)).unwrap();
        if name.starts_with("input.") {
            inputs.push(name);
        }
    }
    inputs.sort();
    // Without one the machine's own would count.
    let config = folder.path().join("config.toml");
    if !config.exists() {
        fs::write(&config, "").unwrap();
    }
    let args = fs::read_to_string(folder.path().join("args")).unwrap_or_else(|_| "--json\n--events\n".into());
    let mut command = Command::new(env!("CARGO_BIN_EXE_riposte"));
    command.current_dir(folder.path()).env("TZ", "UTC").args(["replay", "--config", "config.toml"]).args(args.lines()).stdin(Stdio::null());
    if args.lines().any(|arg| arg == "-") {
        command.stdin(File::open(folder.path().join(inputs.remove(0))).unwrap());
    }
    let output = command.args(inputs).output().expect("riposte can be started");
    let mut text = String::from_utf8(output.stdout).expect("whatever was in the log, the output is UTF-8");
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        writeln!(text, "stderr: {line}").unwrap();
    }
    if !output.status.success() {
        writeln!(text, "exit code: {}", output.status.code().expect("no signal ended it")).unwrap();
    }
    text
}

#[test]
fn old_logs_come_to_what_they_should() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let mut wrong = String::new();
    for fixture in fixtures() {
        let found = replay(&fixture);
        let name = fixture.file_name().unwrap().to_string_lossy().into_owned();
        if found.starts_with('{') {
            keeps_the_promise(&name, &found);
        }
        let file = fixture.join("expect");
        if update {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            let line = found
                .lines()
                .zip(expected.lines())
                .position(|(a, b)| a != b)
                .unwrap_or(found.lines().count().min(expected.lines().count()));
            let show = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            writeln!(wrong, "{name}, line {}:\n  found    {}\n  expected {}", line + 1, show(&found), show(&expected)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const EVENT: [&str; 14] =
    ["type", "line", "time", "actor", "target", "proto", "sport", "dport", "flags", "chain", "interface", "prefix", "trust", "times"];
const OFFENDER: [&str; 15] = [
    "type",
    "address",
    "level",
    "styles",
    "targets",
    "packets",
    "ports",
    "protocols",
    "signatures",
    "systems",
    "first",
    "last",
    "trust",
    "decision",
    "detail",
];
const STYLES: [&str; 15] = [
    "syn",
    "connect",
    "fin",
    "null",
    "xmas",
    "ack",
    "maimon",
    "udp",
    "protocol",
    "sweep",
    "slow",
    "distributed",
    "mirai",
    "masscan",
    "topera",
];

/// What the manual says of the JSON Lines.
fn keeps_the_promise(name: &str, text: &str) {
    let lines: Vec<(&str, Value)> =
        text.lines().filter(|line| line.starts_with('{')).map(|line| (line, serde_json::from_str(line).unwrap())).collect();
    let (mut events, mut harmless, mut offenders, mut last) = (0, 0, Vec::new(), "event");
    for (line, value) in &lines {
        let kind = value["type"].as_str().unwrap();
        match kind {
            "event" => {
                assert_eq!(last, "event", "{name}: events come first");
                events += value.get("times").map_or(1, |times| times.as_u64().unwrap());
                harmless += if value.get("ignored").is_some() { value.get("times").map_or(1, |times| times.as_u64().unwrap()) } else { 0 };
                let order: Vec<&str> = EVENT.into_iter().chain(["ignored"]).collect();
                is_ordered(name, line, value, &order, &["type", "line", "time", "actor", "proto"]);
                [&value["actor"], &value["target"]].into_iter().for_each(|address| is_canonical(name, address));
                is_time(name, &value["time"]);
            }
            "offender" => {
                let always: Vec<&str> = OFFENDER.into_iter().filter(|key| !["systems", "detail"].contains(key)).collect();
                is_ordered(name, line, value, &OFFENDER, &always);
                is_canonical(name, &value["address"]);
                let styles = value["styles"].as_array().unwrap();
                assert!(styles.iter().all(|style| style == "icmp" || STYLES.contains(&style.as_str().unwrap())), "{name}: {styles:?}");
                assert!((1..=5).contains(&value["level"].as_u64().unwrap()), "{name}: {line}");
                is_ordered(name, line, &value["decision"], &["action", "seconds", "why"], &["action", "why"]);
                is_ordered(name, line, &value["ports"], &["tcp", "udp"], &["tcp", "udp"]);
                [&value["first"], &value["last"]].into_iter().for_each(|time| is_time(name, time));
                offenders.push(value["address"].as_str().unwrap().parse::<IpAddr>().unwrap());
            }
            "what-if" => assert!(["offender", "what-if", "event"].contains(&last), "{name}"),
            "summary" => {
                is_ordered(
                    name,
                    line,
                    value,
                    &[
                        "type",
                        "lines",
                        "events",
                        "offenders",
                        "ignored",
                        "unparsed",
                        "signatures",
                        "levels",
                        "top_ports",
                        "prefixes",
                        "protocols",
                    ],
                    &["lines", "events", "offenders", "ignored", "unparsed"],
                );
                assert_eq!(value["offenders"], offenders.len(), "{name}");
                assert!(events == 0 || value["events"] == events, "{name}: {events} events were printed, {}", value["events"]);
                assert!(value["ignored"].as_u64().unwrap() >= harmless, "{name}");
            }
            other => panic!("{name}: there is no type {other}"),
        }
        last = kind;
    }
    assert_eq!(last, "summary", "{name}: the summary comes last");
    assert!(offenders.is_sorted(), "{name}: offenders are sorted by address");
}

/// The keys stand in the order that is promised, no other is there, and none that is always there is missing.
fn is_ordered(name: &str, line: &str, value: &Value, order: &[&str], always: &[&str]) {
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert!(keys.iter().all(|key| order.contains(&key.as_str())), "{name}: {keys:?}");
    assert!(always.iter().all(|key| value.get(key).is_some()), "{name}: {line}");
    // serde_json sorts the keys of an object; the text tells their order.
    let at: Vec<usize> =
        order.iter().filter(|key| value.get(key).is_some()).map(|key| line.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(at.is_sorted(), "{name}: {line}");
}

fn is_canonical(name: &str, address: &Value) {
    let Some(text) = address.as_str() else { return assert!(address.is_null(), "{name}") };
    assert_eq!(text.parse::<IpAddr>().unwrap().to_canonical().to_string(), text, "{name}");
}

fn is_time(name: &str, time: &Value) {
    let text = time.as_str().unwrap();
    assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{name}: {text}");
}
