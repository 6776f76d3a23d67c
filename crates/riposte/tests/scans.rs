//! Real scans as iptables and nftables log them: each tool's by its name, and nothing more than it did. `scripts/record-scans` has recorded
//! them: each scan has its sender, whose address ends in the number here.
//!
//! What is expected was written down from what the tools were told to do (20 ports of one host; one port of 16 hosts), from riposte's
//! thresholds (5, 15, 150 … packets; 10, 20 … hosts), and from a plain count of the lines, never from what riposte said.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A scan: the last part of its sender's address, what was called, and what it must be told as.
struct Scan {
    sender: u8,
    told: &'static str,
    styles: &'static [&'static str],
    level: u64,
    looks_like: &'static [&'static str],
}

const fn scan(sender: u8, told: &'static str, styles: &'static [&'static str], level: u64, looks_like: &'static [&'static str]) -> Scan {
    Scan { sender, told, styles, level, looks_like }
}

/// By both versions of IP. 20 packets are level 2; 16 hosts with a packet or two each are level 1.
const NMAP: [Scan; 11] = [
    scan(11, "nmap -sS", &["syn"], 2, &["nmap -sS"]),
    // The system's own connect(): here it is the system that is recognised.
    scan(12, "nmap -sT", &["connect"], 2, &["Linux 4.19 and newer"]),
    scan(13, "nmap -sF", &["fin"], 2, &[]),
    scan(14, "nmap -sN", &["null"], 2, &[]),
    scan(15, "nmap -sX", &["xmas"], 2, &[]),
    scan(16, "nmap -sA", &["ack"], 2, &[]),
    scan(17, "nmap -sM", &["maimon"], 2, &[]),
    scan(18, "nmap -sU", &["udp"], 2, &[]),
    scan(20, "nmap -sO", &["protocol"], 2, &[]),
    scan(21, "nmap -sn", &["syn", "ack", "sweep"], 1, &["nmap -sS"]),
    scan(22, "nmap -sS, one port of 16 hosts", &["syn", "sweep"], 1, &["nmap -sS"]),
];

/// By IPv4 alone, but for masscan.
const OTHERS: [Scan; 4] = [
    scan(30, "hping3 -S", &["syn"], 2, &["hping"]),
    scan(31, "hping3 -F -P -U", &["xmas"], 2, &[]),
    scan(32, "hping3 -2", &["udp"], 2, &[]),
    scan(41, "zmap, one port of 16 hosts", &["syn", "sweep"], 1, &["zmap"]),
];
const MASSCAN: Scan = scan(40, "masscan", &["masscan"], 2, &["masscan"]);

/// A sender who asks one host for its time, 20 times over: that is no scan (psad would say level 2).
const ASKS_FOR_THE_TIME: u8 = 33;
/// `nmap -O`: it scans some ports first, and asks its questions then. What they are depends on the answers.
const ASKS_FOR_THE_SYSTEM: u8 = 23;

fn fixture(logger: &str, version: u8) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/scans/{logger}-ipv{version}.log"))
}

/// The offenders and the summary.
fn replay(log: &Path) -> (Vec<Value>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[fingerprint]\nenabled = true\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_riposte"))
        .args(["replay", "--json", "--timezone", "UTC", "--config"])
        .args([&config, log])
        .output()
        .expect("riposte can be started");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let mut lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().expect("the summary");
    (lines, summary)
}

/// What stands behind a key in a line.
fn field<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split(' ').find_map(|word| word.strip_prefix(key))
}

/// Whether a line is something that nobody is charged with: a ping, IGMP, or neighbours who look for each other.
fn is_everyday(line: &str) -> bool {
    match field(line, "PROTO=") {
        // IGMP, which `nmap -sO` tries, too.
        Some("2") => true,
        Some("ICMP") => line.contains(" TYPE=8 "),
        Some("ICMPv6") => [" TYPE=128 ", " TYPE=133 ", " TYPE=135 ", " TYPE=136 "].iter().any(|kind| line.contains(kind)),
        _ => false,
    }
}

/// A sender's packets and their targets, by a plain count of the lines.
fn counted(log: &str, sender: u8) -> (usize, usize) {
    let ends = [format!(".{sender}"), format!(":00{sender}")];
    let of = |line: &&str| field(line, "SRC=").is_some_and(|source| ends.iter().any(|end| source.ends_with(end)));
    let packets: Vec<&str> = log.lines().filter(of).filter(|line| !is_everyday(line)).collect();
    let targets: BTreeSet<&str> = packets.iter().filter_map(|line| field(line, "DST=")).collect();
    (packets.len(), targets.len())
}

fn words(list: &Value, key: Option<&str>) -> Vec<String> {
    let word = |value: &Value| key.map_or(value, |key| &value[key]).as_str().unwrap().to_owned();
    list.as_array().into_iter().flatten().map(word).collect()
}

fn check(logger: &str, version: u8) {
    let log = fixture(logger, version);
    let (offenders, summary) = replay(&log);
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(
        (summary["unparsed"].as_u64(), summary["lines"].as_u64()),
        (Some(0), Some(text.lines().count() as u64)),
        "{logger}, IPv{version}"
    );
    let address = |sender: u8| if version == 4 { format!("198.51.100.{sender}") } else { format!("2001:db8::{sender}") };
    let of = |sender: u8| offenders.iter().find(|offender| offender["address"] == address(sender));
    let others: &[Scan] = if version == 4 { &OTHERS } else { &[] };
    for scan in NMAP.iter().chain(others).chain([&MASSCAN]) {
        let Scan { sender, told, styles, level, looks_like } = scan;
        let what = format!("{told}, {logger}, IPv{version}");
        let offender = of(*sender).unwrap_or_else(|| panic!("{what}: nobody is charged"));
        let found = words(&offender["styles"], None);
        // Questions about the time and the like are told besides.
        assert_eq!(found.iter().filter(|style| *style != "icmp").collect::<Vec<_>>(), *styles, "{what}");
        assert_eq!(offender["level"].as_u64(), Some(*level), "{what}");
        assert_eq!(words(&offender["systems"], Some("name")), *looks_like, "{what}");
        let (packets, targets) = counted(&text, *sender);
        assert!(packets >= 15, "{what}: the recording has {packets} packets");
        assert_eq!((offender["packets"].as_u64(), offender["targets"].as_u64()), (Some(packets as u64), Some(targets as u64)), "{what}");
        let ports = serde_json::json!([[1000, 1019]]);
        match *told {
            "nmap -sU" | "hping3 -2" => assert_eq!(offender["ports"]["udp"], ports, "{what}"),
            "nmap -sO" => assert!(offender["protocols"].as_u64() >= Some(20), "{what}"),
            told if told.contains("16 hosts") => {
                assert_eq!((targets, &offender["ports"]["tcp"]), (16, &serde_json::json!([[81, 81]])), "{what}")
            }
            "nmap -sn" => assert_eq!(targets, 16, "{what}"),
            _ => assert_eq!(offender["ports"]["tcp"], ports, "{what}"),
        }
        assert_eq!(offender["decision"]["action"], "block", "{what}");
    }
    let asker = of(ASKS_FOR_THE_SYSTEM).expect("nmap -O is charged with its scan");
    assert!(words(&asker["styles"], None).contains(&"syn".to_owned()));
    assert_eq!(words(&asker["systems"], Some("kind")).iter().filter(|kind| *kind != "scanner").count(), 0, "{asker}");
    assert!(of(ASKS_FOR_THE_TIME).is_none());
    // Nobody else is charged with anything: not the victim, and nobody for looking for his neighbours.
    assert_eq!(offenders.len(), NMAP.len() + others.len() + 2, "{logger}, IPv{version}");
}

#[test]
fn real_scans_by_ipv4_are_told_by_what_they_are() {
    check("iptables", 4);
    check("nft", 4);
}

#[test]
fn real_scans_by_ipv6_are_told_by_what_they_are() {
    check("iptables", 6);
    check("nft", 6);
}

/// psad reads a whole log into its memory before it looks at the first line.
#[test]
fn a_log_of_any_size_takes_the_same_memory() {
    const MEMORY: usize = 64 << 20;
    let config = tempfile::NamedTempFile::new().unwrap();
    let mut replay = Command::new("prlimit")
        .args([&format!("--data={MEMORY}"), env!("CARGO_BIN_EXE_riposte"), "replay", "--json", "--config"])
        .arg(config.path())
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("prlimit is there (util-linux)");
    let mut log = replay.stdin.take().unwrap();
    let padding = "x".repeat(4_000);
    let other = format!("2026-03-01T12:00:00Z fw app[1]: {padding}\n").repeat(256);
    for _ in 0..(2 * MEMORY).div_ceil(other.len()) {
        log.write_all(other.as_bytes()).unwrap();
    }
    log.write_all(&std::fs::read(fixture("iptables", 4)).unwrap()).unwrap();
    drop(log);
    let output = replay.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"address\":\"198.51.100.11\""));
}
