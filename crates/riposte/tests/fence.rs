//! The daemon behind the fence of packaging/riposte.service, as far as that can be had without systemd: its user, its one capability, its
//! system calls, its address families, a read-only system and a bare /dev. The whole way goes through it: start, scan, block, restart of
//! a child, a log, a name, an end. Mounts only in the namespace that `ip netns exec` has made for it.
//!
//! This program stands in for riposte: started with `run` it builds the fence and becomes riposte inside; any other command it hands on.

use range::guard::{Guard, PATIENCE, kernel_blocks};
use range::network::{Network, VICTIM, attacker_address};
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const RIPOSTE: &str = env!("CARGO_BIN_EXE_riposte");
const UNIT: &str = include_str!("../../../packaging/riposte.service");
/// For responders beside nftables and routes.
const DROP_IN: &str = include_str!("../../../packaging/respond.conf");
/// Of the package linux-libc-dev.
const CALL_NAMES: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

/// What the unit refuses though a list of riposte's own has it: only a start as root needs these, to become somebody else.
const ONLY_FOR_ROOT: [&str; 10] =
    ["capset", "chown", "fchown", "fchownat", "setgid", "setgroups", "setresgid", "setresuid", "setuid", "setrlimit"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let folder = std::env::current_exe().expect("our own path").parent().expect("a folder").to_owned();
    match args.first().map(String::as_str) {
        Some("run") => build_fence(&folder, &args),
        Some("inside") => enter_and_run(&folder, &args[1..]),
        Some(_) if folder.join("riposte").exists() && args.iter().any(|arg| arg == "--config") => {
            panic!("{}", Command::new(folder.join("riposte")).args(&args).exec())
        }
        // Words for the test harness: a filter that isn't ours, or --nocapture and the like.
        Some(filter) if !filter.starts_with('-') && !"fence the_unit".contains(filter) => return ExitCode::SUCCESS,
        Some(_) | None => {}
    }
    if !cfg!(target_arch = "x86_64") {
        println!("the fence is only built for x86_64");
        return ExitCode::SUCCESS;
    }
    the_unit_asks_for_one_capability_and_a_user();
    println!("test the_unit_asks_for_one_capability_and_a_user ... ok");
    the_unit_scores_at_most_one_and_a_half();
    println!("test the_unit_scores_at_most_one_and_a_half ... ok");
    the_whole_way_goes_through_behind_the_fence();
    println!("test the_whole_way_goes_through_behind_the_fence ... ok");
    responders_work_behind_the_fence_with_their_drop_in();
    println!("test responders_work_behind_the_fence_with_their_drop_in ... ok");
    ExitCode::SUCCESS
}

/// All values of a key of the unit, in order.
fn unit(key: &str) -> Vec<&'static str> {
    values(UNIT, key)
}

fn values(text: &'static str, key: &str) -> Vec<&'static str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn the_unit_asks_for_one_capability_and_a_user() {
    assert_eq!(unit("CapabilityBoundingSet"), ["CAP_NET_ADMIN"]);
    assert_eq!(unit("AmbientCapabilities"), ["CAP_NET_ADMIN"]);
    assert_eq!(unit("User"), ["riposte"]);
    assert_eq!(unit("NoNewPrivileges"), ["yes"]);
    assert_eq!(unit("Type"), ["notify"]);
    let sysusers = include_str!("../../../packaging/riposte.sysusers");
    assert!(sysusers.lines().any(|line| line.starts_with("u riposte ")), "the unit's user is made");
}

fn the_unit_scores_at_most_one_and_a_half() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text, most) in [("riposte", UNIT, 1.5), ("riposte-metrics", include_str!("../../../packaging/riposte-metrics.service"), 1.5)]
    {
        let path = folder.path().join(format!("{name}.service"));
        fs::write(&path, text.replace("@PREFIX@/sbin/riposte", "/bin/true")).expect("writable");
        let output = Command::new("systemd-analyze").args(["security", "--offline=yes", "--no-pager"]).arg(&path).output();
        let text = String::from_utf8(output.expect("systemd-analyze is installed").stdout).expect("UTF-8");
        let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("no score: {text}"));
        let score: f64 = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok()).expect("a number");
        println!("{}", line.trim());
        assert!(score <= most, "{line}");
    }
}

/// The names that the unit with a drop-in allows: each group spelled out by systemd itself. `@default` is always among them.
fn allowed(drop_in: &'static str) -> BTreeSet<String> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager"]).output().expect("systemd-analyze is installed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut group = "";
    for line in text.lines() {
        match line.strip_prefix("    ").map(str::trim) {
            Some(word) if !word.starts_with('#') => groups.entry(group).or_default().push(word),
            Some(_) => {}
            None if line.starts_with('@') => group = line.trim(),
            None => group = "",
        }
    }
    fn spell(word: &str, groups: &BTreeMap<&str, Vec<&str>>, names: &mut BTreeSet<String>) {
        match word.starts_with('@') {
            true => groups.get(word).unwrap_or_else(|| panic!("systemd has no group {word}")).iter().for_each(|w| spell(w, groups, names)),
            false => drop(names.insert(word.to_owned())),
        }
    }
    let mut names = BTreeSet::new();
    spell("@default", &groups, &mut names);
    for line in [unit("SystemCallFilter"), values(drop_in, "SystemCallFilter")].concat() {
        let (takes, words) = line.strip_prefix('~').map_or((false, line), |words| (true, words));
        let mut list = BTreeSet::new();
        words.split(' ').for_each(|word| spell(word, &groups, &mut list));
        match takes {
            true => names.retain(|name| !list.contains(name)),
            false => names.extend(list),
        }
    }
    names
}

fn numbers() -> BTreeMap<String, i64> {
    let header = fs::read_to_string(CALL_NAMES).expect("linux-libc-dev is installed");
    let pair = |line: &str| line.strip_prefix("#define __NR_")?.split_once(' ').map(|(name, n)| (name.to_owned(), n.trim().parse()));
    header.lines().filter_map(pair).filter_map(|(name, n)| Some((name, n.ok()?))).collect()
}

// ---- the fence -------------------------------------------------------------------------------------------------

fn must(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(status.success(), "{program} {args:?}");
}

fn mount_namespace() -> String {
    fs::read_link("/proc/self/ns/mnt").expect("/proc is there").display().to_string()
}

/// Whom the unit runs as; on a machine where riposte is not installed, nobody.
fn user() -> sys::identity::User {
    ["riposte", "nobody"].iter().find_map(|name| sys::identity::lookup_user(name).expect("/etc/passwd")).expect("nobody exists")
}

/// As root, in the mount namespace that `ip netns exec` has made.
fn build_fence(folder: &Path, args: &[String]) -> ! {
    let outside = fs::read_to_string(folder.join("outside")).expect("the test has said where it is");
    assert_ne!(mount_namespace(), outside, "nothing is ever mounted where the test itself is");
    let here = folder.display().to_string();
    must("mount", &["--make-rprivate", "/"]);
    must("mount", &["--bind", &here, &here]);
    must("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/dev"]);
    for (name, minor) in [("null", "3"), ("zero", "5"), ("full", "7"), ("random", "8"), ("urandom", "9")] {
        must("mknod", &["-m", "666", &format!("/dev/{name}"), "c", "1", minor]);
    }
    must("mount", &["-o", "remount,bind,ro", "/"]);
    assert!(File::create("/rp-not-writable").is_err(), "the system is read-only");
    let user = user();
    let caps = fs::read_to_string(folder.join("caps")).expect("the capabilities");
    let [caps, inheritable, ambient] = ["bounding-set", "inh-caps", "ambient-caps"].map(|set| format!("--{set}=-all{caps}"));
    let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
    let error = Command::new("setpriv")
        .args(ids)
        .args(["--clear-groups", "--no-new-privs", &caps, &inheritable, &ambient])
        .arg(folder.join("fence"))
        .arg("inside")
        .args(args)
        .exec();
    panic!("setpriv: {error}");
}

/// As the unit's user: the filter, then riposte.
fn enter_and_run(folder: &Path, args: &[String]) -> ! {
    let names = fs::read_to_string(folder.join("calls")).expect("the list of calls");
    let numbers = numbers();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        names.lines().filter_map(|name| numbers.get(name)).map(|number| (*number, Vec::new())).collect();
    // RestrictAddressFamilies=
    let families = unit("RestrictAddressFamilies").join(" ");
    let families = families.split(' ').map(|name| match name {
        "AF_UNIX" => 1,
        "AF_INET" => 2,
        "AF_INET6" => 10,
        "AF_NETLINK" => 16,
        other => panic!("{other} has no number here"),
    });
    let only = |family| SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family).expect("valid")]);
    rules.insert(numbers["socket"], families.map(|family| only(family).expect("valid")).collect());
    let refuse = SeccompAction::Errno(1);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64).expect("valid");
    let program: seccompiler::BpfProgram = filter.try_into().expect("valid");
    seccompiler::apply_filter(&program).expect("the filter is taken");
    panic!("{}", Command::new(folder.join("riposte")).args(args).exec())
}

// ---- the whole way ---------------------------------------------------------------------------------------------

fn until<T>(what: &str, guard: &Guard, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < 3 * PATIENCE, "waited in vain until {what}\n{}", guard.log_tail());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A folder with what the fence is built from, and the system calls that it lets through.
fn blueprint(drop_in: &'static str) -> (tempfile::TempDir, BTreeSet<String>) {
    let folder = tempfile::Builder::new().prefix("rp-fence-").permissions(Permissions::from_mode(0o755)).tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let me = std::env::current_exe().expect("our own path");
    for (from, name) in [(Path::new(RIPOSTE), "riposte"), (me.as_path(), "fence")] {
        // Another process copies: one that is written to can't be run.
        must("install", &["-m", "0755", &from.display().to_string(), &place(name).display().to_string()]);
    }
    let allowed = allowed(drop_in);
    fs::write(place("outside"), mount_namespace()).expect("writable");
    fs::write(place("calls"), allowed.iter().map(|name| format!("{name}\n")).collect::<String>()).expect("writable");
    let caps = [unit("AmbientCapabilities"), values(drop_in, "AmbientCapabilities")].concat().join(" ").replace("CAP_", ",+");
    fs::write(place("caps"), caps.to_lowercase().replace(' ', "")).expect("writable");
    let user = user();
    std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.gid)).expect("root");
    (folder, allowed)
}

fn process_user() -> &'static str {
    if sys::identity::lookup_user("riposte").expect("/etc/passwd").is_some() { "riposte" } else { "nobody" }
}

fn the_whole_way_goes_through_behind_the_fence() {
    let (folder, allowed) = blueprint("");
    let place = |name: &str| folder.path().join(name);
    let kern_log: PathBuf = place("kern.log");
    fs::write(&kern_log, "").expect("writable");
    fs::set_permissions(&kern_log, Permissions::from_mode(0o644)).expect("ours");
    let user = user();
    let more = format!(
        "\n[respond]\nkind = [\"nftables\", \"routes\"]\n[policy]\nexempt = [\"localhost\"]\n[[sense.log]]\nkind = \"file\"\npath = {:?}\n[process]\nuser = \"{}\"\n",
        kern_log,
        process_user()
    );
    let network = Network::new(&format!("fence{}", std::process::id()), 1).expect("network namespaces need root");
    let guard = Guard::start_with(&place("fence"), folder.path(), &network.victim, &more).expect("riposte starts behind the fence");
    let status = guard.status().expect("an answer");
    let warden = status.processes.iter().find(|process| process.life == "warden").expect("a warden").pid;
    for process in &status.processes {
        assert_eq!(process.uid, user.uid, "{}", process.life);
        let expected: &[&str] = if ["warden", "responder"].contains(&&*process.life) { &["cap_net_admin"] } else { &[] };
        assert_eq!(process.capabilities, expected, "{}", process.life);
    }
    network.attackers[0].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).expect("nmap is installed");
    let scanner = attacker_address(0);
    until("the scanner is blocked in the kernel", &guard, || kernel_blocks(&network.victim).ok()?.contains(&scanner).then_some(()));
    let routes = || network.victim.run("ip", ["route", "show", "type", "blackhole"]);
    until("the way back is cut", &guard, || routes().ok()?.contains(&scanner).then_some(()));

    // A child that dies is started again, from inside the fence.
    let packets = |status: &report::status::StatusReport| status.processes.iter().find(|p| p.life == "packets").map(|p| p.pid);
    let before = packets(&status).expect("a packet sensor");
    must("kill", &["-KILL", &before.to_string()]);
    until("the packet sensor is back", &guard, || {
        let status = guard.status().ok()?;
        let running = status.sensors.iter().any(|sensor| sensor.kind == "packets" && sensor.state == "running");
        packets(&status).filter(|pid| *pid != before && running)
    });
    must("kill", &["-HUP", &warden.to_string()]);
    guard.ask(&["unblock", &scanner]).expect("an order of root's");
    until("the kernel lets it go", &guard, || (!kernel_blocks(&network.victim).ok()?.contains(&scanner)).then_some(()));
    until("the way back is open", &guard, || (!routes().ok()?.contains(&scanner)).then_some(()));
    the_fence_lets_every_life_do_what_it_may(&guard, &allowed);
    let log = fs::read_to_string(place("log")).expect("a log");
    assert!(!log.contains(" ERROR ") && !log.contains("ended: it is started again child=\"lookup\""), "{log}");
}

fn responders_work_behind_the_fence_with_their_drop_in() {
    let (folder, _) = blueprint(DROP_IN);
    // Root's own, as /etc is.
    let etc = folder.path().join("etc");
    fs::create_dir(&etc).expect("a folder");
    let (file, theirs) = (etc.join("hosts.deny"), "# root's\n");
    fs::write(&file, theirs).expect("writable");
    let more = format!(
        "\n[respond]\nkind = [\"nftables\", \"hosts-deny\", \"iptables\", \"ipset\"]\n[respond.hosts-deny]\nfile = {file:?}\n[process]\nuser = \"{}\"\n",
        process_user()
    );
    let network = Network::new(&format!("fenced{}", std::process::id()), 0).expect("network namespaces need root");
    let guard =
        Guard::start_with(&folder.path().join("fence"), folder.path(), &network.victim, &more).expect("riposte starts behind the fence");
    for process in guard.status().expect("an answer").processes {
        let expected: &[&str] = match &*process.life {
            "warden" => &["cap_net_admin"],
            "responder" => &["cap_chown", "cap_dac_override", "cap_fowner", "cap_net_admin", "cap_net_raw"],
            _ => &[],
        };
        assert_eq!(process.capabilities, expected, "{}", process.life);
    }
    guard.ask(&["block", "192.0.2.7", "--for", "1h"]).expect("an order of root's");
    let holders = |guard: &Guard| guard.explain("192.0.2.7").ok()?.block?.held_by;
    until("all of them have it", &guard, || holders(&guard).filter(|names| names.len() == 4));
    let meta = fs::metadata(&file).expect("it is there");
    assert_eq!((std::os::unix::fs::MetadataExt::uid(&meta), meta.permissions().mode() & 0o777), (0, 0o644), "it is root's as before");
    let rules = || network.victim.run("iptables-save", std::iter::empty::<&str>()).expect("iptables is installed");
    assert!(fs::read_to_string(&file).expect("readable").contains("ALL: 192.0.2.7\n") && rules().contains("192.0.2.7"), "{}", rules());
    guard.ask(&["unblock", "192.0.2.7"]).expect("an order of root's");
    until("all let it go", &guard, || (!rules().contains("192.0.2.7") && fs::read_to_string(&file).ok()? == theirs).then_some(()));
}

/// riposte's own lists, as committed from a run without the fence, against the unit's.
fn the_fence_lets_every_life_do_what_it_may(guard: &Guard, allowed: &BTreeSet<String>) {
    let needed = include_str!("../../../docs/processes.md");
    let mut lives = 0;
    for line in needed.lines().filter_map(|line| line.strip_prefix("- may call: ")) {
        lives += 1;
        let calls = line.split(' ').map(|word| word.trim_matches('`'));
        let refused: Vec<&str> = calls.filter(|name| !allowed.contains(*name)).collect();
        let unexpected: Vec<&&str> = refused.iter().filter(|name| !ONLY_FOR_ROOT.contains(name)).collect();
        assert!(unexpected.is_empty(), "the unit refuses what riposte's own filters allow: {unexpected:?}\n{}", guard.log_tail());
    }
    assert!(lives >= 5, "docs/processes.md has a line for each life");
}
