//! Reads generated firewall-log lines as fast as it can and prints what came of them. Reads no clock: run it under `time` or `perf stat`.
//!
//! `time target/release/examples/bench_firewall [LINES] [ROUNDS]`; with 0 rounds it only generates, which is the part to subtract.

use model::time::Time;
use sense::firewall::{FirewallLog, LogClock, Provenance};
use std::fmt::Write;

const SOURCES: u64 = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let lines = arguments.next().unwrap_or(1_000_000);
    let rounds = arguments.next().unwrap_or(1);
    let log = generate(lines);
    let reference = Time::from_secs(1_795_209_421);
    let (mut sightings, mut events, mut check) = (0_u64, 0_u64, 0_u64);
    for _ in 0..rounds {
        let mut reader = FirewallLog::new(0, Provenance::Syslog, LogClock::utc(reference), 32_768..=60_999);
        let mut rest = log.as_bytes();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            reader.line(line, reference, |sighting| {
                sightings += 1;
                if let Some(event) = sighting.event(0) {
                    events += 1;
                    check = check.wrapping_add(event.at.as_nanos()).wrapping_add(u64::from(event.times));
                }
            });
        }
        println!("{:?}", reader.counters());
    }
    println!(
        "{} lines of {} bytes on average, {sightings} packets, {events} events, check {check}",
        lines * rounds,
        log.len() as u64 / lines.max(1)
    );
}

/// Lines as rsyslog writes them on Debian, from 10,000 sources: SYN with and without options and MAC, UDP, ICMP, IPv6, and other programs' lines.
fn generate(lines: u64) -> String {
    let mut log = String::with_capacity(lines as usize * 260);
    for n in 0..lines {
        let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let (a, b) = (spread % SOURCES / 250, spread % SOURCES % 250 + 1);
        let (minute, second) = (n / 6_000 % 60, n / 100 % 60);
        let (sport, port, id, sequence) = (spread % 28_000 + 32_768, spread / 7 % 1_500 + 1, spread % 65_536, spread % 4_294_967_296);
        write!(log, "Nov 20 21:{minute:02}:{second:02} gateway kernel: [{}.{:06}] ", 100_000 + n / 100, spread % 1_000_000)
            .expect("a String takes all");
        let mac = "MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00";
        let head = format!("IN=eth0 OUT= {mac} SRC=198.51.{a}.{b} DST=203.0.113.{}", spread / 3 % 200 + 1);
        let tail = match n % 20 {
            0..=13 => format!(
                "[UFW BLOCK] {head} LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID={id} DF PROTO=TCP SPT={sport} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0 "
            ),
            14 | 15 => format!(
                "DROP {head} LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID={id} DF PROTO=TCP SPT={sport} DPT={port} SEQ={sequence} ACK=0 WINDOW=64240 RES=0x00 SYN URGP=0 OPT (020405B40402080A0001E2400000000001030307) "
            ),
            16 => format!("DROP {head} LEN=78 TOS=0x00 PREC=0x00 TTL=118 ID={id} PROTO=UDP SPT={sport} DPT={port} LEN=58 "),
            17 => format!("DROP {head} LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID={id} DF PROTO=ICMP TYPE=8 CODE=0 ID={port} SEQ=1 "),
            18 => format!(
                "DROP IN=eth0 OUT= {mac} SRC=2001:0db8:0000:0000:0000:0000:{a:04x}:{b:04x} DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=60 TC=0 HOPLIMIT=52 FLOWLBL=0 PROTO=TCP SPT={sport} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0 "
            ),
            _ => format!("eth0: renamed from veth{n}"),
        };
        log.push_str(&tail);
        log.push('\n');
    }
    log
}
