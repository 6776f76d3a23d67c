//! psad itself (Debian's package) and riposte with what `import psad` makes of its configuration, on the same log: every source has the same
//! danger level, but where riposte is meant to differ. docs/psad.md tells which those are.

use crate::daemon::{command, folder, said};
use range::namespace::Namespace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;

const TARGET: &str = "203.0.113.10";

/// A log as rsyslog writes it, with a packet each twentieth of a second.
#[derive(Default)]
struct Log {
    text: String,
    count: u32,
}

impl Log {
    fn line(&mut self, rest: &str) {
        let (seconds, id) = (self.count / 20, self.count % 60_000);
        self.count += 1;
        let (hour, minute, second) = (10 + seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let _ = writeln!(self.text, "Mar  1 {hour:02}:{minute:02}:{second:02} gate {}", rest.replace("ID=?", &format!("ID={id}")));
    }

    fn packet(&mut self, source: &str, target: &str, rest: &str) {
        self.line(&format!(
            "kernel: DROP IN=eth0 OUT= MAC=52:54:00:aa:bb:01:52:54:00:aa:bb:02:08:00 SRC={source} DST={target} LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=? {rest}"
        ));
    }

    /// A SYN as Linux' connect sends it.
    fn syn(&mut self, source: &str, target: &str, port: u16) {
        let rest = "RES=0x00 SYN URGP=0 OPT (020405B40402080A00000000000000000103030A) ";
        self.packet(source, target, &format!("PROTO=TCP SPT=41000 DPT={port} WINDOW=64240 {rest}"));
    }

    fn syns(&mut self, source: &str, count: u16) {
        (0..count).for_each(|n| self.syn(source, TARGET, 20_000 + n));
    }

    fn flags(&mut self, source: &str, flags: &str) {
        (0..20).for_each(|n| {
            self.packet(source, TARGET, &format!("PROTO=TCP SPT=41000 DPT={} WINDOW=1024 RES=0x00 {flags}URGP=0 ", 20_000 + n))
        });
    }

    fn sweep(&mut self, source: &str, hosts: u8, port: u16) {
        (0..hosts).for_each(|n| self.syn(source, &format!("203.0.113.{}", 10 + n), port));
    }
}

/// What each source does, and the danger levels of psad and of riposte (0: none).
fn cases(log: &mut Log) -> BTreeMap<IpAddr, (u64, u64)> {
    let mut wanted = BTreeMap::new();
    let mut source = |address: &str, levels: (u64, u64)| {
        wanted.insert(address.parse().unwrap(), levels);
    };
    for (n, count, level) in [(1, 4, 0), (2, 5, 1), (3, 14, 1), (4, 15, 2), (5, 149, 2), (6, 150, 3), (7, 1_600, 4), (8, 10_100, 5)] {
        let address = format!("198.51.100.{n}");
        log.syns(&address, count);
        source(&address, (level, level));
    }
    for (address, flags) in [("198.51.100.10", "FIN "), ("198.51.100.11", "URG PSH FIN "), ("198.51.100.12", "")] {
        log.flags(address, flags);
        source(address, (2, 2));
    }
    (0..30).for_each(|n| log.packet("198.51.100.14", TARGET, &format!("PROTO=UDP SPT=41000 DPT={} LEN=8 ", 20_000 + n)));
    source("198.51.100.14", (2, 2));
    log.sweep("198.51.100.15", 12, 2_222);
    source("198.51.100.15", (1, 1));
    log.sweep("198.51.100.16", 25, 2_222);
    source("198.51.100.16", (2, 2));
    // One port of one host, again and again: no scan for either.
    (0..20).for_each(|_| log.syn("198.51.100.17", TARGET, 2_222));
    source("198.51.100.17", (0, 0));
    [41, 103, 89, 112, 132, 136].into_iter().for_each(|protocol| log.packet("198.51.100.19", TARGET, &format!("PROTO={protocol} ")));
    source("198.51.100.19", (1, 1));
    for n in 0..20 {
        log.line(&format!(
            "kernel: DROP IN=eth0 OUT= MAC=52:54:00:aa:bb:01:52:54:00:aa:bb:02:86:dd SRC=2001:0db8:0000:0000:0000:0000:0000:0007 \
             DST=2001:0db8:0001:0000:0000:0000:0000:0010 LEN=80 TC=0 HOPLIMIT=51 FLOWLBL=0 PROTO=TCP SPT=41000 DPT={} WINDOW=64240 RES=0x00 SYN URGP=0 \
             OPT (020405A00402080A00000000000000000103030A) ",
            20_000 + n
        ));
    }
    source("2001:db8::7", (2, 2));
    // Signatures: port 0, a redirect with a code that nobody has assigned.
    log.syn("198.51.100.23", TARGET, 0);
    source("198.51.100.23", (2, 2));
    log.packet("198.51.100.24", TARGET, "PROTO=ICMP TYPE=5 CODE=9 ID=7 SEQ=1 ");
    source("198.51.100.24", (2, 2));
    // auto_dl: spared, assigned, and spared for one port only.
    log.syns("192.0.2.50", 6);
    source("192.0.2.50", (0, 0));
    log.syn("192.0.2.60", TARGET, 5_000);
    source("192.0.2.60", (4, 4));
    differences(log, &mut source);
    wanted
}

/// Where riposte is meant to differ.
fn differences(log: &mut Log, source: &mut impl FnMut(&str, (u64, u64))) {
    // psad spares the whole network.
    log.syn("192.0.2.70", TARGET, 22);
    log.syns("192.0.2.70", 6);
    source("192.0.2.70", (0, 1));
    // It never sees ACK scans.
    log.flags("198.51.100.13", "ACK ");
    source("198.51.100.13", (0, 2));
    // Pings are a scan to it.
    (0..20).for_each(|n| log.packet("198.51.100.18", TARGET, &format!("PROTO=ICMP TYPE=8 CODE=0 ID=7 SEQ={n} ")));
    source("198.51.100.18", (2, 0));
    // Five hosts, one after the other: the sequential test.
    (0..5).for_each(|n| log.syn("198.51.100.20", &format!("203.0.113.{}", 10 + n), 2_222 + n));
    source("198.51.100.20", (0, 1));
    // Whoever may choose a name that is logged chooses whom it blocks.
    for n in 0..6 {
        log.line(&format!(
            "sshd[1]: Invalid user IN=eth0 OUT= SRC=198.51.100.21 DST={TARGET} LEN=40 TOS=0x00 PREC=0x00 TTL=51 ID=1 PROTO=TCP SPT=41000 DPT={} WINDOW=1024 \
             RES=0x00 SYN URGP=0 from 192.0.2.1",
            3_000 + n
        ));
    }
    source("198.51.100.21", (1, 0));
}

/// `SRC:  198.51.100.8, DL: 5, Dsts: 1, …`; an IPv6 address stands there in two forms.
fn psads(text: &str) -> BTreeMap<IpAddr, u64> {
    let line = |line: &str| {
        let (address, rest) = line.trim().strip_prefix("SRC:")?.trim().split_once([',', ' '])?;
        let level = rest.split_once("DL: ")?.1.get(..1)?.parse().ok()?;
        Some((address.parse().ok()?, level))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn the_imported_configuration_finds_the_danger_levels_that_psad_finds() {
    let (folder, mut log) = (folder(), Log::default());
    let wanted = cases(&mut log);
    let (etc, file) = (folder.path().join("etc"), folder.path().join("kern.log"));
    fs::write(&file, &log.text).unwrap();
    range::psad::configure(&etc).expect("psad's configuration is there (scripts/setup --test)");
    fs::write(etc.join("auto_dl"), "192.0.2.50 0;\n192.0.2.60/32 4;\n192.0.2.70/255.255.255.255 0 tcp/22;\n").unwrap();

    let namespace = Namespace::new(&format!("rp-live{}-psad", std::process::id())).expect("network namespaces need root");
    let stdout = folder.path().join("stdout");
    let status = range::psad::analysis(&namespace, &etc, &file).stdout(fs::File::create(&stdout).unwrap()).status().unwrap();
    let found = String::from_utf8_lossy(&fs::read(stdout).unwrap()).into_owned();
    assert!(status.success(), "{found}");
    let psads = psads(&found);

    let imported = command(&["import", "psad", etc.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", said(&imported));
    let config = folder.path().join("riposte.toml");
    fs::write(&config, &imported.stdout).unwrap();
    let checked = command(&["check", "--config", config.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", said(&checked));
    let replayed = command(&["replay", "--json", "--config", config.to_str().unwrap(), file.to_str().unwrap()]);
    let lines = String::from_utf8(replayed.stdout).unwrap();
    let offender = |line: Value| (line["type"] == "offender").then(|| (line["address"].as_str()?.parse().ok()).zip(line["level"].as_u64()));
    let ours: BTreeMap<IpAddr, u64> = lines.lines().filter_map(|line| offender(serde_json::from_str(line).unwrap())?).collect();

    let level = |levels: &BTreeMap<IpAddr, u64>, address| levels.get(address).copied().unwrap_or(0);
    let all: BTreeMap<IpAddr, (u64, u64)> = wanted
        .keys()
        .chain(psads.keys())
        .chain(ours.keys())
        .map(|address| (*address, (level(&psads, address), level(&ours, address))))
        .collect();
    assert_eq!(all, wanted);
}
