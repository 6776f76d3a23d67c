//! A scan hidden in a million packets a second of a forged flood, which the host's own filter drops before NFLOG could see any of it: whether the
//! ring's reader finds it, what it loses, and what memory it takes. The kernel's own generator makes the flood at the victim's end of the wire: a
//! sender's sockets would cost the two processors more than all that is measured. The scan goes over the wire.

use super::arena::{self, Arena, Daemon, VICTIM};
use super::figure::{Figure, Unit};
use super::flood::Flood;
use super::latency::await_element;
use super::{Context, have, progress, seconds_since};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;
use sys::clock::monotonic;
use wire::build::{Ip, NMAP_OPTIONS, Tcp};

/// Packets a second, of all senders: what is promised, and how fast they go, so that a moment's wait does not cost them the promise.
const OFFERED: f64 = 1_000_000.0;
const PACE: f64 = 1.05 * OFFERED;
/// As many as this machine has processors: the kernel takes a packet in on the one that has sent it.
const SENDERS: usize = 2;
/// Frames of one call. Each call waits for the kernel to patch its dispatcher of XDP programs, however many frames it is for.
const BATCH: u32 = 16_384;
/// How long who is ahead of the rate waits.
const PAUSE: Duration = Duration::from_micros(500);
const SPAN: Duration = Duration::from_secs(10);
/// When the scan begins, and how long it waits between two ports.
const BEGINS: Duration = Duration::from_secs(2);
const GAP: Duration = Duration::from_millis(10);
/// What the packet sensor may take, its ring of 8 MiB included.
const BOUND: f64 = 24.0;
const SETTINGS: &str = "[sense.capture]\nenabled = true\n";

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    if !have("nft") {
        return Ok(Vec::new());
    }
    let arena = Arena::new("capture")?;
    for rule in
        ["table inet wall", "chain inet wall raw { type filter hook prerouting priority -320; }", "rule inet wall raw iifname eth0 drop"]
    {
        arena.victim.run("nft", [format!("add {rule}")])?;
    }
    let flood = flood(&arena)?;
    let daemon = arena.daemon(context, SETTINGS)?;
    progress("capture: a flood of 10 s");
    let ended = AtomicBool::new(false);
    let scanner = arena::attacker(7);
    let mut watch = arena.watch()?;
    let (secs, sent, found) = scope(|scope| -> io::Result<(f64, u64, Option<u64>)> {
        let mut senders = Vec::new();
        let start = monotonic();
        for _ in 0..SENDERS {
            let (arena, flood) = (&arena, &flood);
            senders.push(scope.spawn(move || arena.inside(|| send(flood, start))?));
        }
        let (weapon, ended_of_scan) = (arena.weapon()?, &ended);
        sleep(BEGINS);
        let began = monotonic();
        scope.spawn(move || {
            for port in (1_000..60_000).step_by(7).take_while(|_| !ended_of_scan.load(Ordering::Relaxed)) {
                let _ = weapon.send(&arena::syn(scanner, port), VICTIM);
                sleep(GAP);
            }
        });
        let found = await_element(&mut watch, scanner, began);
        let mut sent = 0;
        for sender in senders {
            sent += sender.join().map_err(|_| io::Error::other("a sender panicked"))??;
        }
        let secs = seconds_since(start);
        ended.store(true, Ordering::Relaxed);
        Ok((secs, sent, found?))
    })?;
    // The ring's rest is read, and what the kernel dropped is told.
    sleep(Duration::from_secs(1));
    let status = daemon.status()?;
    let figure = |name: &str| figure(&status, name);
    let resident = peak(&status)?;
    let sent = sent as f64;
    let (read, lost) = (figure("captured: packets"), figure("captured: lost, the ring was full"));
    let known = format!(
        "offered in {secs:.1} s {sent:.0}; read {read:.0} ({:.1} %), lost and counted {lost:.0}; told {:.0}, over the common ration {:.0}, over the source's {:.0}; \
         blocks {}",
        100.0 * read / sent,
        figure("captured: told"),
        figure("captured: over the common ration"),
        figure("captured: over the source's ration"),
        blocks(&daemon)
    );
    let time = found.map_or(f64::INFINITY, |nanos| nanos as f64 / 1e9);
    Ok(vec![
        Figure::more("packets offered on a veth", sent / secs, Unit::PerSecond)
            .promised(OFFERED)
            .noted(format!("{SENDERS} generators (XDP live frames at the receiving end) on the processors that riposte runs on; {known}")),
        Figure::more("packets read or counted as lost", 100.0 * (read + lost) / sent, Unit::Count)
            .promised(99.0)
            .noted("in per cent of those sent; the rest the kernel lost between the two ends, before any socket"),
        Figure::less("hidden scan to block", time, Unit::Seconds)
            .promised(SPAN.as_secs_f64())
            .noted(format!("one SYN each {} ms from one source, among a forged source each packet", GAP.as_millis())),
        Figure::less("packet sensor's memory at its highest", resident, Unit::Mebibytes)
            .promised(BOUND)
            .noted("VmHWM, the ring of 8 MiB included"),
    ])
}

/// The victim's link address.
fn link(arena: &Arena) -> io::Result<[u8; 6]> {
    let text = arena.victim.run("ip", ["-o", "link", "show", "eth0"])?;
    let address = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut bytes = [0; 6];
    for (byte, text) in bytes.iter_mut().zip(address.split(':')) {
        *byte = u8::from_str_radix(text, 16).map_err(io::Error::other)?;
    }
    Ok(bytes)
}

/// SYNs to one port, each from an address of its own.
fn flood(arena: &Arena) -> io::Result<Flood> {
    let ip = Ip::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(VICTIM));
    let packet = ip.tcp(&Tcp {
        source_port: 40_000,
        port: 80,
        window: 1_024,
        flags: model::event::TcpFlags(2),
        options: &NMAP_OPTIONS,
        ..Tcp::default()
    });
    let frame = [&link(arena)?[..], &[2, 0, 0, 0, 0, 1, 8, 0], &packet].concat();
    arena.inside(|| Flood::new("eth0", frame))?
}

/// Sends at its share of the rate; returns how many.
fn send(flood: &Flood, start: u64) -> io::Result<u64> {
    let mut sent = 0;
    while seconds_since(start) < SPAN.as_secs_f64() {
        if sent as f64 > seconds_since(start) * PACE / SENDERS as f64 {
            sleep(PAUSE);
            continue;
        }
        flood.send(BATCH)?;
        sent += u64::from(BATCH);
    }
    Ok(sent)
}

/// A figure of the packet sensor.
fn figure(status: &serde_json::Value, name: &str) -> f64 {
    let sensors = status["sensors"].as_array().into_iter().flatten();
    let mut counters = sensors.filter_map(|sensor| sensor["counters"].as_array()).flatten();
    counters.find(|pair| pair[0] == name).and_then(|pair| pair[1].as_f64()).unwrap_or(0.0)
}

/// The most that the packet sensor has ever had in memory, in mebibytes.
fn peak(status: &serde_json::Value) -> io::Result<f64> {
    let mut processes = status["processes"].as_array().into_iter().flatten();
    let pid = processes.find(|process| process["life"] == "packets").and_then(|process| process["pid"].as_u64());
    let pid = pid.ok_or_else(|| io::Error::other("no packet sensor"))?;
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| io::Error::other("no VmHWM"))
}

fn blocks(daemon: &Daemon) -> String {
    daemon.ask(&["list"]).map_or_else(|error| error.to_string(), |list| list.len().to_string())
}
