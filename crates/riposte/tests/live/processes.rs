//! What each process may do, told by the running daemon and by the kernel: docs/processes.md is made from it and must agree with it.
//! `RIPOSTE_WRITE_DOCS=1 cargo test -p riposte --test live processes` writes the page anew.

use crate::daemon::{Daemon, folder, network, signal, text, until};
use range::network::{Network, RESOLVER, VICTIM, VICTIM6, attacker_address, attacker_address6};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

const CONFIG: &str = "# slow lookup\n[guard]\ntcp = [31337]\nbanner = \"220 ready\"\n[policy]\nexempt = [\"rp.example.org\"]\n[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n[applications]\nfiles = [\"{}/auth.log\"]\njournal = \"never\"\n[alert.syslog]\nsocket = \"{}/devlog\"\n";
const LIVES: [&str; 9] = ["warden", "judge", "packets", "log", "applications", "host", "lookup", "guard", "envoy"];

/// What a trace shows of one life.
#[derive(Debug, Default)]
struct Traced {
    used: BTreeSet<String>,
    landlock: BTreeSet<String>,
}

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/processes.md"))
}

/// Starts one whose resolver is a host that never answers: who resolves names there is busy for long enough to be looked at.
fn start(network: &Network, before: &[&str]) -> Daemon {
    // Nobody has this hardware address either: packets to the resolver go nowhere, and nobody says so.
    let silent = ["neigh", "replace", RESOLVER, "lladdr", "02:00:00:00:00:99", "dev", "eth0"];
    network.victim.run("ip", silent).expect("ip is installed");
    let folder = folder();
    let place = folder.path().display().to_string();
    fs::write(folder.path().join("resolv.conf"), format!("nameserver {RESOLVER}\noptions timeout:30 attempts:5\n")).expect("writable");
    let script = format!("mount --bind {place}/resolv.conf /etc/resolv.conf && exec \"$@\"");
    let trace = format!("{place}/trace");
    // -D: the warden stays our own child, and ends with us.
    let strace = ["strace", "-D", "-f", "-y", "-s", "64", "-o", &trace];
    let mut line = vec!["unshare", "-m", "sh", "-c", &script, "sh"];
    line.extend(if before.is_empty() { &strace[..0] } else { &strace[..] });
    Daemon::start_in(folder, &network.victim, CONFIG, &line)
}

/// By life: what the kernel says of it.
fn held(daemon: &Daemon) -> BTreeMap<String, Value> {
    let life = |line: &Value| text(&line["life"]).split(' ').next().unwrap_or_default().to_owned();
    daemon.json(&["status", "--sandbox"]).into_iter().map(|line| (life(&line), line)).collect()
}

fn traced(trace: &str, place: &str) -> BTreeMap<String, Traced> {
    let mut life_of: BTreeMap<&str, String> = BTreeMap::new();
    let mut lives: BTreeMap<String, Traced> = BTreeMap::new();
    // A call during which another process was seen stands in two pieces.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    // How many filters a process has set; with the second its sandbox stands.
    let mut filters: BTreeMap<&str, u32> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, first);
            continue;
        }
        let second = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")).map(|(_, second)| second);
        let rest = &second.map_or(rest.to_owned(), |second| format!("{}{second}", begun.remove(pid).unwrap_or_default()));
        if rest.starts_with("execve(") && rest.contains("= 0") {
            let life = rest.split("\"--life\", \"").nth(1).and_then(|rest| rest.split('"').next());
            let life = life.or(rest.contains("\"run\", \"--config\"").then_some("warden"));
            match life {
                Some(life) => drop(life_of.insert(pid, life.to_owned())),
                None => drop(life_of.remove(pid)),
            }
        }
        let Some(traced) = life_of.get(pid).map(|life| lives.entry(life.clone()).or_default()) else { continue };
        let call = rest.split('(').next().unwrap_or_default();
        if call == "landlock_add_rule" {
            traced.landlock.extend(landlock(rest, place));
        }
        if call == "seccomp" && rest.contains("SECCOMP_SET_MODE_FILTER") {
            *filters.entry(pid).or_default() += 1;
        } else if filters.get(pid).is_some_and(|set| *set >= if life_of.get(pid).is_some_and(|life| life == "envoy") { 3 } else { 2 })
            && !call.is_empty()
            && call.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            traced.used.insert(call.to_owned());
        }
    }
    lives
}

/// `landlock_add_rule(3<…>, LANDLOCK_RULE_PATH_BENEATH, {allowed_access=A|B, parent_fd=4</etc>}, 0) = 0` in words.
fn landlock(line: &str, place: &str) -> Option<String> {
    if !line.trim_end().ends_with("= 0") {
        return None;
    }
    // strace 6.1 does not know these rules yet: which port is in `Profile` and tried by the sandbox's own tests.
    if !line.contains("LANDLOCK_RULE_PATH_BENEATH") {
        return Some("connect to one TCP port (53)".to_owned());
    }
    let access = line.split("allowed_access=").nth(1)?.split(',').next()?;
    let path = line.split("parent_fd=").nth(1)?.split_once('<')?.1.split('>').next()?;
    let path = path.replace(&format!("{place}/var/store"), "/var/lib/riposte").replace(place, "/run/riposte");
    let path = if path.starts_with("/usr/share/zoneinfo/") { "/etc/localtime".to_owned() } else { path };
    // The daemon's own program and its loader lie elsewhere on each machine.
    let path = if path.contains("/target") || path.ends_with("/riposte") && !path.starts_with("/run") && !path.starts_with("/var") {
        "its own program".to_owned()
    } else {
        path
    };
    let has = |word: &str| access.contains(word);
    let may = match (has("WRITE_FILE"), has("EXECUTE")) {
        (true, _) => "read and write",
        (false, true) => "execute",
        (false, false) => "read",
    };
    Some(format!("{may} `{path}`"))
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().map(|list| list.iter().map(text).collect()).unwrap_or_default()
}

fn words(list: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<String> = list.into_iter().map(|word| format!("`{}`", word.as_ref())).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(" ") }
}

fn document(held: &BTreeMap<String, Value>, traced: &BTreeMap<String, Traced>) -> String {
    let mut page = String::from(
        "# What each process may do\n\nMade from a running daemon by `make docs`, checked by `make test`: user, capabilities and system calls as the kernel tells them\n\
         (`riposte status --sandbox`: the filters are read back and followed for every call), Landlock's rules as they were seen to be set. *used* is what a traced\n\
         run called once its sandbox stood: start, scan, block, a log, a lookup, a restart, the end. x86_64, started as root; the systemd unit starts all of them\n\
         as the user `riposte`, the warden with `cap_net_admin` alone.\n\nEvery life has `no_new_privs`, two filters of its own (the envoy three) on top of its parent's, and is killed when it \
         calls `ptrace`, `mount`, `bpf`, `unshare` and the like. A runner (only if there is a `[[response]]`) is none of these: it is another user, without a capability, and what\n\
         holds it stands in [sandbox.md](sandbox.md#runners). Nor is the responder (only if there are responders beside nftables): it stays who started riposte, with the capabilities that its\n\
         kinds need ([sandbox.md](sandbox.md#the-responder)).\n",
    );
    for life in LIVES {
        let (held, traced) = (&held[life], &traced[life]);
        let user = if held["uid"] == 0 { "root (by number: no capability but those below)" } else { "the one of `[process] user`" };
        let (allowed, some) = (list(&held["allowed"]), list(&held["by_arguments"]));
        let _ = write!(
            page,
            "\n## {life}\n\n- user: {user}\n- capabilities: {}; could ever have: {}\n- filters: {}\n- Landlock: {}\n- calls: {} allowed, {} with some arguments, {} deadly, all others refused\n- may call: {}\n- with some arguments: {}\n- used: {}\n",
            words(list(&held["capabilities"])),
            words(list(&held["bounding"])),
            held["filters"],
            if traced.landlock.is_empty() { "nothing".to_owned() } else { traced.landlock.iter().cloned().collect::<Vec<_>>().join(", ") },
            allowed.len(),
            some.len(),
            list(&held["deadly"]).len(),
            words(allowed),
            words(some),
            words(&traced.used),
        );
    }
    page
}

/// All but what a traced run happens to use.
fn lasting(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with("- used: ")).collect()
}

#[test]
fn processes_are_documented_as_they_are() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let network = network("processes", 1);
    let daemon = start(&network, &[]);
    let held = until("the one that resolves names is at it", || Some(held(&daemon)).filter(|held| held.contains_key("lookup")));
    for (life, line) in &held {
        assert_eq!(line["no_new_privs"], true, "{life}");
        assert!(!list(&line["deadly"]).is_empty() && !list(&line["allowed"]).contains(&"ptrace".to_owned()), "{life}");
    }
    drop(daemon);

    let mut daemon = start(&network, &["strace"]);
    daemon.wait_until_followed("kern.log");
    network.attackers[0].run("ncat", ["-w", "30", VICTIM6, "31337"]).expect_err("a reset");
    daemon.wait_until_blocked(&attacker_address6(0));
    network.attackers[0].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).expect("nmap is installed");
    daemon.wait_until_blocked(&attacker_address(0));
    let before = daemon.life("packets").expect("it runs");
    signal("KILL", u32::try_from(before).expect("a process number"));
    until("the packet sensor is back", || daemon.life("packets").filter(|pid| *pid != before));
    let warden = daemon.life("warden").expect("it runs");
    assert!(daemon.end().success(), "{}", daemon.log());
    let trace = until("the trace is whole", || {
        let trace = fs::read(daemon.path("trace")).expect("strace is installed");
        let text = String::from_utf8_lossy(&trace).into_owned();
        text.lines().any(|line| line.starts_with(&warden.to_string()) && line.ends_with("+++ exited with 0 +++")).then_some(text)
    });
    let place = daemon.path("").display().to_string();
    let traced = traced(&trace, place.trim_end_matches('/'));
    for life in LIVES {
        let may: BTreeSet<String> = [list(&held[life]["allowed"]), list(&held[life]["by_arguments"])].concat().into_iter().collect();
        // The C library asks for a thread by clone3 first, and is told that there is no such call.
        let is_asked = |call: &str| life == "envoy" && call == "clone3";
        let beyond: Vec<&String> = traced[life].used.iter().filter(|call| !may.contains(*call) && !is_asked(call)).collect();
        assert!(beyond.is_empty(), "{life} calls what its filters refuse: {beyond:?}");
    }

    let now = document(&held, &traced);
    if std::env::var_os("RIPOSTE_WRITE_DOCS").is_some() {
        fs::write(page(), &now).expect("writable");
    }
    let committed = fs::read_to_string(page()).expect("docs/processes.md is there");
    assert_eq!(lasting(&committed), lasting(&now), "docs/processes.md is out of date: make docs");
}
