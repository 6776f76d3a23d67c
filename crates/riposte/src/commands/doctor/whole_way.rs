//! A probe on the whole way: seen, judged, blocked in the kernel, dead, and alive again once unblocked. Either against a riposte of its
//! own in private network namespaces, or (`--live`) against the running one through a cable of its own. Removes what it made.

use super::Findings;
use crate::config::{Config, RespondConfig};
use crate::control::client::Client;
use crate::control::protocol::{Done, Request};
use range::guard::{Guard, kernel_blocks};
use range::namespace::{Namespace, run};
use range::network::{Network, VICTIM, attacker_address};
use report::explain::Explanation;
use report::table::Room;
use std::fs::{self, DirBuilder};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a connection is tried: a closed port answers at once, and a dropped packet never.
const TRY: Duration = Duration::from_millis(1_500);
/// Probed ports start here; the open one is above them all.
const FIRST_PORT: u16 = 2_000;
const OPEN_PORT: u16 = 1_999;
/// The most probes: the kernel hands over so many of one source at once by default.
const PROBES_MAX: u64 = 400;
/// The running daemon is probed from TEST-NET-1 (RFC 5737).
const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";
const WHAT: &str = "whole way";

/// Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        // Only root can make anything in /run, so nobody can have laid a trap there.
        let path = PathBuf::from(format!("/run/riposte-doctor-{}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The user's configuration, but for its own folders, logs and log: nothing of the trial is written into the real one.
fn borrowed(config: &Config) -> String {
    let mut config = config.clone();
    config.nflog.enabled = true;
    config.logs.clear();
    // Names can't be resolved in there.
    config.exempt_names.clear();
    // Others set what is no private network's own: the host's files, say.
    if config.respond.has_kernel() {
        config.respond = RespondConfig::default();
    }
    let mut keep = true;
    let text = config.canonical();
    let kept = text.lines().filter(|line| {
        if line.starts_with('[') {
            keep = !matches!(*line, "[store]" | "[control]" | "[log]" | "[applications]");
        }
        keep
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// How many closed ports have to be tried until this configuration blocks.
fn probes(config: &Config) -> u16 {
    let level = config.policy.block_level.index();
    let wanted = config.scan.packets[level].saturating_mul(2).clamp(10, PROBES_MAX);
    u16::try_from(wanted).unwrap_or(u16::MAX)
}

/// Against a riposte of its own, with the user's configuration.
pub fn in_private(config: &Config, findings: &mut Findings) {
    if sys::identity::own_uid() != 0 {
        return findings.warn(WHAT, "not tried: it takes root to make network namespaces", "sudo riposte doctor");
    }
    if !config.respond.has_kernel() && !config.respond.is_null() {
        return findings.warn(
            WHAT,
            "not tried: what the configured responders set may be no private network's own",
            "riposte demo shows nftables",
        );
    }
    if let Err((step, error, todo)) = try_private(config, findings) {
        findings.fail(WHAT, format!("{step}: {error}"), todo);
    }
}

type Broken = (&'static str, String, &'static str);

fn broken<E: ToString>(step: &'static str, todo: &'static str) -> impl FnOnce(E) -> Broken {
    move |error| (step, error.to_string(), todo)
}

fn try_private(config: &Config, findings: &mut Findings) -> Result<(), Broken> {
    let binary = Path::new("/proc/self/exe").canonicalize().map_err(broken("its own program", "is /proc mounted?"))?;
    let folder = Folder::new().map_err(broken("a folder in /run", "is /run writable?"))?;
    let network = Network::new(&format!("doctor{}", std::process::id()), 1)
        .map_err(broken("network namespaces", "is 'ip' there (apt install iproute2), has this kernel namespaces, veth and bridge?"))?;
    let guard = Guard::start_with(&binary, &folder.0, &network.victim, &borrowed(config))
        .map_err(broken("start", "the last lines say which of nftables, NFLOG, Landlock or seccomp is missing"))?;
    findings.ok(WHAT, "a riposte of its own starts with this configuration, in its sandbox");
    let scanner = attacker_address(0);
    let (victim, attacker) = (network.victim.name(), &network.attackers[0]);
    let address: IpAddr = VICTIM.parse().map_err(broken("address", ""))?;
    let listener = sys::namespace::within(&file(victim), || TcpListener::bind((address, OPEN_PORT)));
    let _listener = listener.and_then(|inner| inner).map_err(broken("an open port", "is the port range free?"))?;
    if !reaches(attacker, address) {
        return Err(("before the probe", "the private network does not work".into(), "veth and bridge modules?"));
    }
    probe(attacker, address, probes(config));
    let seen = wait(|| sensed(&guard).filter(|seen| *seen > 0));
    let seen = seen.ok_or(("sensor", "the probe was not seen: NFLOG handed over nothing".into(), "kernel module nfnetlink_log?"))?;
    let blocked = wait(|| guard.explain(&scanner).ok().filter(|explanation| explanation.block.is_some()));
    let Some(_) = blocked else { return undecided(config, &guard, &scanner, seen, findings) };
    if config.policy.dry_run || config.respond.is_null() {
        findings.warn(WHAT, format!("{seen} packets seen, a block decided and not made: this is a dry run"), "as configured");
        return Ok(());
    }
    let held = wait(|| kernel_blocks(&network.victim).ok().filter(|list| list.contains(&scanner)));
    if held.is_none() {
        return Err((
            "kernel",
            "the block was decided, and is not in the kernel's set".into(),
            "kernel modules nf_tables, nft_set_hash? See 'riposte status'",
        ));
    }
    if reaches(attacker, address) {
        return Err(("packets", "the blocked can still connect".into(), "nft list table inet riposte: report this"));
    }
    guard.ask(&["unblock", &scanner]).map_err(broken("unblock", "see riposte's log"))?;
    wait(|| reaches(attacker, address).then_some(())).ok_or((
        "unblock",
        "whoever was unblocked can't connect yet".to_owned(),
        "nft list table inet riposte: report this",
    ))?;
    findings.ok(WHAT, format!("{seen} packets of a probe seen → block decided → in the kernel → packets die → unblocked → they pass"));
    Ok(())
}

/// Why nobody was blocked may be the configuration's own will.
fn undecided(config: &Config, guard: &Guard, scanner: &str, seen: u64, findings: &mut Findings) -> Result<(), Broken> {
    let level = config.policy.block_level.index();
    if config.scan.packets[level] > u64::from(probes(config)) || !config.policy.spoofable.may_block {
        findings.warn(
            WHAT,
            format!("{seen} packets seen; this configuration does not block for that few or that evidence"),
            "as configured",
        );
        return Ok(());
    }
    let why =
        guard.explain(scanner).map(|explanation: Explanation| explanation.text(Room::Endless)).unwrap_or_else(|error| error.to_string());
    Err((
        "judge",
        format!("{seen} packets were seen and nobody was blocked. {}", why.lines().next().unwrap_or_default()),
        "is TEST-NET exempt?",
    ))
}

fn file(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

/// Knocks at closed ports.
fn probe(from: &Namespace, address: IpAddr, count: u16) {
    let _ = sys::namespace::within(&file(from.name()), || {
        for port in FIRST_PORT..FIRST_PORT + count {
            // Once blocked, each would wait in vain: the last ones are not needed any more.
            if TcpStream::connect_timeout(&SocketAddr::new(address, port), TRY).is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
                return;
            }
        }
    });
}

/// Whether the open port answers.
fn reaches(from: &Namespace, address: IpAddr) -> bool {
    let connected =
        sys::namespace::within(&file(from.name()), || TcpStream::connect_timeout(&SocketAddr::new(address, OPEN_PORT), TRY).is_ok());
    connected.unwrap_or(false)
}

fn sensed(guard: &Guard) -> Option<u64> {
    let status = guard.status().ok()?;
    let sensor = status.sensors.iter().find(|sensor| sensor.kind == "packets")?;
    sensor.counters.iter().find(|(name, _)| name == "packets").map(|(_, value)| *value)
}

fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if began.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Against the running one: a namespace at the other end of a cable, for as long as it takes.
pub fn live(config: &Config, findings: &mut Findings) {
    if sys::identity::own_uid() != 0 {
        return findings.warn("live probe", "not tried: it takes root", "sudo riposte doctor --live");
    }
    match try_live(config) {
        Ok(said) => findings.ok("live probe", said),
        Err((step, error, todo)) => findings.fail("live probe", format!("{step}: {error}"), todo),
    }
}

fn try_live(config: &Config) -> Result<String, Broken> {
    let mut client = Client::connect(&config.control.socket).map_err(broken("daemon", "start it"))?;
    client.wait_at_most(PATIENCE).map_err(broken("daemon", "start it"))?;
    let far = Namespace::new(&format!("rp-doctor{}", std::process::id())).map_err(broken("network namespace", "is 'ip' there?"))?;
    let cable = || {
        // The cable goes with the namespace at its other end.
        run("ip", ["link", "add", "rp-doctor", "type", "veth", "peer", "name", "eth0", "netns", far.name()])?;
        run("ip", ["address", "add", &format!("{NEAR}/30"), "dev", "rp-doctor"])?;
        run("ip", ["link", "set", "rp-doctor", "up"])?;
        far.run("ip", ["address", "add", &format!("{FAR}/30"), "dev", "eth0"])?;
        far.run("ip", ["link", "set", "eth0", "up"])
    };
    let result = cable().map_err(broken("cable", "is the name rp-doctor free?")).and_then(|_| knock(&mut client, config, &far));
    // Whatever came of it, nothing stays: no block, no interface.
    let lifted = client.ask::<Done>(&Request::Unblock { prefix: FAR.to_owned() });
    let _ = run("ip", ["link", "del", "rp-doctor"]);
    let said = result?;
    match (lifted, config.policy.dry_run) {
        (Ok(_), _) | (Err(_), true) => Ok(said),
        (Err(error), false) => Err(("unblock", error.join("; "), "riposte unblock 192.0.2.2")),
    }
}

fn knock(client: &mut Client, config: &Config, far: &Namespace) -> Result<String, Broken> {
    let near: IpAddr = NEAR.parse().map_err(broken("address", ""))?;
    probe(far, near, probes(config));
    let ask = |client: &mut Client| client.ask::<Explanation>(&Request::Explain { address: FAR.to_owned() });
    match wait(|| ask(client).ok().filter(|explanation| explanation.block.is_some())) {
        Some(_) => Ok(format!("the running riposte has blocked {FAR} at the other end of a cable, and unblocked it")),
        None => {
            let why = ask(client).map(|explanation| explanation.text(Room::Endless)).unwrap_or_else(|error| error.join("; "));
            Err((
                "judge",
                format!("nobody was blocked. {}", why.lines().next().unwrap_or_default()),
                "does the private probe work? See 'whole way' above",
            ))
        }
    }
}
