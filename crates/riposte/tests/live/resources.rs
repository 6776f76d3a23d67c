//! What riposte lives from runs out, is taken away or turns round: blocking goes on, loudly, and all is well again by itself.

use crate::daemon::{Daemon, folder, is_in_set, line, network, scan_lines, signal, text, until};
use range::namespace::{Namespace, run};
use range::network::{VICTIM, attacker_address};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

const LOG: &str = "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";

fn offender(n: u8) -> String {
    format!("192.0.2.{n}")
}

/// Offenders scan, and each is blocked by riposte's word and in the kernel.
fn blocks(daemon: &Daemon, host: &Namespace, offenders: std::ops::Range<u8>) {
    for n in offenders {
        daemon.append("kern.log", &scan_lines(&offender(n), VICTIM, 1_000..1_006));
        daemon.wait_until_blocked(&offender(n));
        until("it is in the kernel", || is_in_set(host, "blocked4", &offender(n)).then_some(()));
    }
}

/// The words of the troubles in `status`.
fn troubles(daemon: &Daemon) -> String {
    daemon.json_one(&["status"])["troubles"].to_string()
}

fn wait_until_in_trouble(daemon: &Daemon, why: &str) {
    until(&format!("status tells of the trouble: {why}"), || troubles(daemon).contains(why).then_some(()));
    assert!(daemon.text(&["status"]).contains("TROUBLE since "), "people are told, too");
}

fn wait_until_whole(daemon: &Daemon) {
    until("the trouble is over", || (troubles(daemon) == "[]").then_some(()));
    assert!(daemon.log().contains("the ledger is whole again"), "{}", daemon.log());
}

/// A judge that is new knows what the ledger knows, and nothing had to be done about the kernel for it.
fn the_ledger_knows_all(daemon: &Daemon) {
    let (before, history) = (daemon.blocked(), daemon.json(&["history"]).len());
    let old = daemon.life("judge").expect("it runs");
    let agreed = daemon.log().matches("ledger and firewall agree").count();
    signal("KILL", old as u32);
    until("the judge runs again", || daemon.life("judge").filter(|pid| *pid != old));
    until("it has asked the kernel", || (daemon.log().matches("ledger and firewall agree").count() > agreed).then_some(()));
    let last = daemon.log().lines().rfind(|line| line.contains("ledger and firewall agree")).unwrap_or_default().to_owned();
    assert!(last.contains(&format!("kept={} set_again=0 removed=0 adopted=0", before.len())), "{last}");
    assert_eq!((daemon.blocked(), daemon.json(&["history"]).len()), (before, history));
}

/// Runs a daemon whose `var` is a file system of its own, prepared by a line of shell.
fn on_its_own_disk(folder: TempDir, host: &Namespace, prepare: &str) -> (Daemon, PathBuf) {
    let place = folder.path().join("var");
    fs::create_dir(&place).unwrap();
    let script = format!("mount -t tmpfs -o size=1m,mode=755 tmpfs {} && {prepare} && exec \"$@\"", place.display());
    let daemon = Daemon::start_in(folder, host, LOG, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    // As the daemon itself sees it, whose mounts are its own.
    let warden = daemon.life("warden").expect("it runs");
    (daemon, PathBuf::from(format!("/proc/{warden}/root{}", place.display())))
}

/// Takes every byte that a file system has left.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    for size in [65_536, 4_096, 64, 1] {
        let bytes = vec![b'x'; size];
        while match file.write_all(&bytes) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::StorageFull => false,
            Err(error) => panic!("{error}"),
        } {}
    }
}

#[test]
fn a_full_disk_stops_no_block_and_the_ledger_catches_up() {
    let network = network("full", 0);
    let host = &network.victim;
    let (daemon, disk) = on_its_own_disk(folder(), host, "true");
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 1..3);
    fill(&disk.join("everything"));
    blocks(&daemon, host, 3..12);
    daemon.text(&["block", "192.0.2.200", "--for", "2h"]);
    daemon.text(&["unblock", &offender(1)]);
    wait_until_in_trouble(&daemon, "the disk is full");
    assert_eq!(daemon.log().matches("blocking goes on").count(), 1, "one line, however often it is tried\n{}", daemon.log());
    assert_eq!(daemon.blocked().len(), 11);
    fs::remove_file(disk.join("everything")).unwrap();
    wait_until_whole(&daemon);
    until("nothing is behind", || (daemon.figure("ledger behind") == 0).then_some(()));
    the_ledger_knows_all(&daemon);
    for n in 2..12 {
        assert!(daemon.json(&["history", &offender(n)]).iter().any(|line| line["decision"] == "block"), "{n}");
    }
    assert_eq!(daemon.figure("history entries dropped"), 0);
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 12..13);
}

#[test]
fn with_little_room_the_history_waits_and_the_ledger_is_written() {
    let network = network("tight", 0);
    let host = &network.victim;
    let (daemon, disk) = on_its_own_disk(folder(), host, "true");
    let config = fs::read_to_string(daemon.path("config.toml")).unwrap();
    fs::write(daemon.path("config.toml"), config.replace("[store]\n", "[store]\nmin_free_percent = 50\n")).unwrap();
    daemon.text(&["reload"]);
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 1..3);
    until("what happened is in the history", || (daemon.json(&["history"]).len() == 2).then_some(()));
    // Some 600 of 1,024 KiB.
    fs::write(disk.join("others"), vec![b'x'; 600 << 10]).unwrap();
    blocks(&daemon, host, 3..4);
    wait_until_in_trouble(&daemon, "min_free_percent is 50");
    blocks(&daemon, host, 4..8);
    daemon.text(&["block", "192.0.2.200", "--for", "2h"]);
    assert!(daemon.figure("history entries that wait for room on the disk") >= 4);
    let known = daemon.json(&["history"]).len();
    assert!(known < 8 && daemon.blocked().len() == 8, "{known}");
    assert!(daemon.text(&["status", "--prometheus"]).contains("riposte_history_entries_that_wait_for_room_on_the_disk "));
    assert_eq!(daemon.log().matches("the history waits in memory; blocking goes on").count(), 1, "{}", daemon.log());
    fs::remove_file(disk.join("others")).unwrap();
    until("the trouble is over", || (troubles(&daemon) == "[]").then_some(()));
    assert!(daemon.log().contains("the history is written on"), "{}", daemon.log());
    until("nothing waits", || (daemon.json(&["history"]).len() >= 8).then_some(()));
    assert_eq!((daemon.figure("history entries dropped"), daemon.figure("store errors")), (0, 0));
    the_ledger_knows_all(&daemon);
}

#[test]
fn a_disk_that_can_only_be_read_at_the_start_is_used_as_soon_as_it_can_be_written() {
    let network = network("readonly", 0);
    let host = &network.victim;
    let folder = folder();
    let var = folder.path().join("var").display().to_string();
    let prepare = format!("mkdir -m 777 {var}/store && mount -o remount,ro {var}");
    let (mut daemon, _) = on_its_own_disk(folder, host, &prepare);
    daemon.expect_error("the ledger can't be opened");
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 1..4);
    wait_until_in_trouble(&daemon, "the store is read-only");
    let warden = daemon.life("warden").expect("it runs").to_string();
    run("nsenter", ["-t", &warden, "-m", "mount", "-o", "remount,rw", &var]).unwrap();
    wait_until_whole(&daemon);
    blocks(&daemon, host, 4..5);
    the_ledger_knows_all(&daemon);
}

#[test]
fn a_ledger_that_is_deleted_is_made_again_and_without_its_folder_blocking_goes_on() {
    let network = network("deleted", 0);
    let host = &network.victim;
    let daemon = Daemon::start(host, LOG);
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 1..3);
    daemon.text(&["allow", "198.51.100.99"]);
    let store = daemon.path("var/store");
    for file in fs::read_dir(&store).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    blocks(&daemon, host, 3..4);
    until("there is a ledger again", || (store.join("riposte.db").exists() && troubles(&daemon) == "[]").then_some(()));
    assert!(daemon.log().contains("it was made again from what is known"));
    the_ledger_knows_all(&daemon);
    assert_eq!(daemon.json_one(&["allow"])["prefix"], "198.51.100.99");

    fs::remove_dir_all(&store).unwrap();
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 4..7);
    wait_until_in_trouble(&daemon, "can't be");
    assert_eq!(daemon.blocked().len(), 6);
}

/// While it lives, whatever riposte asks of nf_tables fails with this error: strace puts it in the place of the kernel's answer.
struct Starved(Child);

impl Starved {
    fn new(daemon: &Daemon, error: &str) -> Starved {
        let warden = daemon.life("warden").expect("it runs").to_string();
        let inject = format!("inject=sendto:error={error}");
        let strace = Command::new("strace").args(["-qq", "-e", "trace=sendto", "-e", &inject, "-o", "/dev/null", "-p", &warden]).spawn();
        let starved = Starved(strace.expect("strace is installed"));
        until("strace holds the warden", || {
            let status = fs::read_to_string(format!("/proc/{warden}/status")).unwrap_or_default();
            status.contains(&format!("TracerPid:\t{}", starved.0.id())).then_some(())
        });
        starved
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        signal("TERM", self.0.id());
        self.0.wait().expect("our child");
    }
}

#[test]
fn a_kernel_without_memory_loses_no_block_and_no_exemption() {
    let network = network("memory", 0);
    let host = &network.victim;
    let daemon = Daemon::start(host, LOG);
    daemon.wait_until_followed("kern.log");
    blocks(&daemon, host, 1..3);
    for (n, error) in [(10, "ENOMEM"), (20, "ENOBUFS")] {
        let starved = Starved::new(&daemon, error);
        // A scanner, an operator's order, an exemption.
        daemon.append("kern.log", &scan_lines(&offender(n), VICTIM, 1_000..1_006));
        daemon.text(&["block", &offender(n + 1), "--for", "1h"]);
        daemon.text(&["allow", &offender(n + 2)]);
        wait_until_in_trouble(&daemon, "the kernel does not take every change");
        wait_until_in_trouble(&daemon, "the kernel's exempt list is not up to date");
        drop(starved);
        until("the trouble is over", || (troubles(&daemon) == "[]").then_some(()));
        for n in [n, n + 1] {
            until("it is in the kernel", || is_in_set(host, "blocked4", &offender(n)).then_some(()));
            assert!(daemon.blocked().contains(&offender(n)), "{n}");
        }
        assert!(is_in_set(host, "exempt4", &offender(n + 2)));
        assert!(daemon.log().contains("the kernel takes every change again"));
    }
    assert!(daemon.figure("exempt lists that the kernel refused") >= 2);
    assert!([1, 2].iter().all(|n| is_in_set(host, "blocked4", &offender(*n))), "who was blocked before stayed so");
    the_ledger_knows_all(&daemon);
}

#[test]
fn hundreds_of_control_clients_and_few_descriptors_keep_nobody_from_his_work() {
    let network = network("descriptors", 0);
    let host = &network.victim;
    let daemon = Daemon::start_in(folder(), host, LOG, &["prlimit", "--nofile=160:160"]);
    daemon.wait_until_followed("kern.log");
    let judge = daemon.life("judge").expect("it runs");
    let clients: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(daemon.path("sock")).unwrap()).collect();
    blocks(&daemon, host, 1..3);
    assert!(daemon.figure("control connections turned away") > 200);
    // The judge sleeps again: it does not try for ever what can't be done.
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{judge}/stat")).unwrap();
        stat.rsplit(')').next().unwrap_or_default().split(' ').skip(12).take(2).map(|n| n.parse::<u64>().unwrap()).sum::<u64>()
    };
    until("the judge rests", || {
        let before = ticks();
        std::thread::sleep(std::time::Duration::from_millis(300));
        (ticks() == before).then_some(())
    });
    drop(clients);
    blocks(&daemon, host, 3..4);
    assert_eq!(daemon.json_one(&["status"])["processes"].as_array().map(Vec::len), Some(5));
}

/// A library for the dynamic linker that adds what stands in a file to the clocks.
const CLOCK: &str = r#"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile const long long *ahead;
__attribute__((constructor)) static void begin(void) {
    int fd = open(PLACE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(0, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) ahead = map;
    close(fd);
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    long done = syscall(SYS_clock_gettime, clock, at);
    if (done == 0 && ahead && clock == CLOCK_REALTIME) at->tv_sec += ahead[0];
    if (done == 0 && ahead && clock == CLOCK_BOOTTIME) at->tv_sec += ahead[1];
    return done;
}
"#;

/// The daemon's clocks, and how far they are ahead of the machine's, in seconds.
struct Clock(File);

impl Clock {
    /// Builds the library; the line of shell that has every process of a daemon load it, and the way to set the clocks.
    fn new(folder: &Path) -> (String, Clock) {
        let (source, library, ahead, etc) = (folder.join("clock.c"), folder.join("clock.so"), folder.join("ahead"), folder.join("etc"));
        fs::write(&source, CLOCK).unwrap();
        fs::write(&ahead, [0; 16]).unwrap();
        let place = format!("-DPLACE=\"{}\"", ahead.display());
        run("cc", [place.as_ref(), "-shared".as_ref(), "-fPIC".as_ref(), "-o".as_ref(), library.as_os_str(), source.as_os_str()]).unwrap();
        run("cp", ["-a".as_ref(), Path::new("/etc").as_os_str(), etc.as_os_str()]).unwrap();
        fs::write(etc.join("ld.so.preload"), format!("{}\n", library.display())).unwrap();
        (format!("mount --bind {} /etc && exec \"$@\"", etc.display()), Clock(File::options().write(true).open(ahead).unwrap()))
    }

    fn set(&self, wall: i64, boot: i64) {
        self.0.write_all_at(&[wall.to_le_bytes(), boot.to_le_bytes()].concat(), 0).unwrap();
    }
}

fn remaining(daemon: &Daemon, address: &str) -> u64 {
    let list = daemon.json(&["list"]);
    let line = list.iter().find(|line| line["address"] == address).unwrap_or_else(|| panic!("{address} is not blocked"));
    line["remaining_secs"].as_u64().expect("a number")
}

#[test]
fn a_clock_set_by_a_day_either_way_and_a_machine_that_slept_end_no_block_early_or_late() {
    const DAY: i64 = 86_400;
    let network = network("clock", 3);
    let host = &network.victim;
    let folder = folder();
    let (script, clock) = Clock::new(folder.path());
    let daemon = Daemon::start_in(folder, host, LOG, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    let scan = |n: usize| {
        network.attackers[n].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).unwrap();
        daemon.wait_until_blocked(&attacker_address(n));
        until("it is in the kernel", || is_in_set(host, "blocked4", &attacker_address(n)).then_some(()));
    };
    scan(0);
    daemon.text(&["block", "192.0.2.50", "--for", "2h"]);
    daemon.text(&["allow", "192.0.2.60", "--for", "2h"]);
    for (round, wall) in [(1, DAY), (2, -DAY)] {
        let before = [attacker_address(0), "192.0.2.50".to_owned()].map(|who| (remaining(&daemon, &who), who));
        clock.set(wall, 0);
        until("it is noticed", || {
            daemon.log().contains(if wall > 0 { "forward=true" } else { "forward=false" }).then_some(()).or_else(|| {
                // An idle judge looks when it is woken.
                daemon.ask(&["status"]);
                None
            })
        });
        for (secs, who) in before {
            let now = remaining(&daemon, &who);
            assert!(now <= secs && now + 120 >= secs, "{who}: {secs} s were left, and now {now}");
            assert!(is_in_set(host, "blocked4", &who), "{who}");
        }
        // What the warden remembers of them is not by the wall clock: a table that is made anew forgets nobody, and keeps nobody for a day.
        host.run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
        let made_anew = until("the table is made anew", || {
            let set = host.run("nft", ["list", "set", "inet", "riposte", "blocked4"]).ok()?;
            [attacker_address(0).as_str(), "192.0.2.50"].iter().all(|who| set.contains(who)).then_some(set)
        });
        let end = made_anew.split("192.0.2.50 ").nth(1).and_then(|rest| rest.split("expires ").nth(1)).unwrap_or_default();
        assert!(end.starts_with("1h"), "{made_anew}");
        assert!(text(&daemon.json_one(&["explain", "192.0.2.60"])["exempt"]).contains("allow"));
        // Evidence counts by the new time, too.
        scan(round);
        // So does the ledger.
        the_ledger_knows_all(&daemon);
        until("the sensors are back", || daemon.sensor_figure("packets", "listings of listening sockets").filter(|looks| *looks > 0));
    }
    // Three hours of sleep: the kernel's timers stood still, and what is over is over.
    clock.set(-DAY + 3 * 3_600, 3 * 3_600);
    until("the operator's block is over", || (!daemon.blocked().contains(&"192.0.2.50".to_owned())).then_some(()));
    until("in the kernel, too", || (!is_in_set(host, "blocked4", "192.0.2.50")).then_some(()));
    assert!(daemon.log().contains("the machine slept"));
}

#[test]
fn whatever_happens_to_a_log_its_next_lines_are_read() {
    let network = network("log", 0);
    let host = &network.victim;
    let daemon = Daemon::start(host, LOG);
    let log = daemon.path("kern.log");
    daemon.wait_until_followed("kern.log");
    let figure = |name: &str| daemon.sensor_figure("kern.log", name).unwrap_or(0);

    // Turned over in the middle of a line: its halves are no lines, whatever they look like.
    let whole = line("192.0.2.254", VICTIM, 1_000);
    let (head, tail) = whole.split_at(whole.find("192.0.2.25").unwrap() + 10);
    daemon.append("kern.log", head);
    fs::rename(&log, daemon.path("kern.log.1")).unwrap();
    daemon.append("kern.log", &format!("{tail}\n"));
    blocks(&daemon, host, 1..2);
    fs::remove_file(daemon.path("kern.log.1")).unwrap();
    blocks(&daemon, host, 2..3);
    until("half a line is counted", || (figure("never finished") == 1).then_some(()));
    assert_eq!(figure("packets"), 12);

    // Twice before anybody could look: what was in between is lost, and said to be.
    let sensor = daemon.life("log 1").expect("it runs") as u32;
    signal("STOP", sensor);
    for n in 1..=2 {
        fs::rename(&log, daemon.path(&format!("kern.log.{n}"))).unwrap();
        daemon.append("kern.log", &scan_lines(&offender(100 + n), VICTIM, 1_000..1_006));
    }
    signal("CONT", sensor);
    daemon.wait_until_blocked(&offender(102));
    assert_eq!(figure("files replaced before they were opened"), 1);

    // Something else than a file has its name, for a while.
    for make in ["mkfifo", "mkdir"] {
        fs::rename(&log, daemon.path("kern.log.3")).unwrap();
        let failed = daemon.figure("logs that could not be opened again");
        run(make, [&log]).unwrap();
        until("it is refused", || (daemon.figure("logs that could not be opened again") > failed).then_some(()));
        run("rm", ["-r".as_ref(), log.as_os_str()]).unwrap();
        daemon.append("kern.log", &scan_lines(&offender(if make == "mkdir" { 3 } else { 4 }), VICTIM, 1_000..1_006));
        daemon.wait_until_blocked(&offender(if make == "mkdir" { 3 } else { 4 }));
    }

    // No line at all, a line without an end, and zeros.
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&vec![b'x'; 5 << 20]).unwrap();
    file.write_all(b"\n\0\0\0\0").unwrap();
    blocks(&daemon, host, 5..6);
    assert_eq!(figure("cut, too long"), 1);

    // From the past and from the future: neither spoils the table for anybody.
    for (n, stamp) in [(110, "1970-01-02T00:00:00Z"), (111, "2199-01-01T00:00:00Z")] {
        let scan = scan_lines(&offender(n), VICTIM, 1_000..1_006);
        let dated: String = scan.lines().map(|line| format!("{stamp}{}\n", &line[line.find(' ').unwrap()..])).collect();
        daemon.append("kern.log", &dated);
    }
    blocks(&daemon, host, 6..8);
    assert!(daemon.figure("events with a time in the future") >= 6);
    assert!(!daemon.blocked().contains(&offender(110)), "what is long past is judged for history's sake");

    // A hundred thousand lines in one write.
    let lines = figure("lines");
    let mut flood = format!("{} fw kernel: [1.000000] eth0: link becomes ready\n", jiff::Timestamp::now()).repeat(100_000 - 6);
    flood += &scan_lines(&offender(8), VICTIM, 1_000..1_006);
    file.write_all(flood.as_bytes()).unwrap();
    daemon.wait_until_blocked(&offender(8));
    daemon.wait_until_figure("kern.log", "lines", lines + 100_000);
    assert_eq!(figure("events dropped, judge too slow"), 0);
}

#[test]
fn an_interface_that_goes_and_comes_back_is_watched_as_before() {
    let network = network("interface", 2);
    let host = &network.victim;
    let daemon = Daemon::start(host, "[[sense.log]]\nkind = \"syslog\"\nlisten = \"127.0.0.1:5514\"\n");
    let scan = |n: usize| {
        network.attackers[n].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).unwrap();
        daemon.wait_until_blocked(&attacker_address(n));
    };
    let is_own = |address: &str| text(&daemon.json_one(&["explain", address])["exempt"]).contains("own");
    scan(0);
    assert!(is_own(VICTIM));
    network.gateway.run("ip", ["link", "del", "i0"]).unwrap();
    host.run("ip", ["link", "set", "lo", "down"]).unwrap();
    until("it is nobody's address", || (!is_own(VICTIM)).then_some(()));
    host.run("ip", ["link", "set", "lo", "up"]).unwrap();
    network.gateway.run("ip", ["link", "add", "i0", "type", "veth", "peer", "name", "eth0", "netns", host.name()]).unwrap();
    network.gateway.run("ip", ["link", "set", "i0", "master", "inside", "up"]).unwrap();
    host.run("ip", ["link", "set", "eth0", "up"]).unwrap();
    host.run("ip", ["addr", "add", &format!("{VICTIM}/24"), "dev", "eth0"]).unwrap();
    host.run("ip", ["route", "add", "default", "via", range::network::GATEWAY]).unwrap();
    until("it is our own again", || is_own(VICTIM).then_some(()));
    assert!(text(&daemon.json_one(&["explain", range::network::GATEWAY])["exempt"]).contains("gateway"));
    // The gateway would send to the old interface for another while.
    network.gateway.run("ip", ["neigh", "flush", "dev", "inside"]).unwrap();
    scan(1);
    let script = "while IFS= read -r line; do printf '<4>%s' \"$line\" > /dev/udp/127.0.0.1/5514; done < \"$0\"";
    fs::write(daemon.path("datagrams"), scan_lines(&offender(9), VICTIM, 1_000..1_006)).unwrap();
    host.run("bash", ["-c", script, &daemon.path("datagrams").display().to_string()]).unwrap();
    daemon.wait_until_blocked(&offender(9));
}

#[test]
fn every_counter_stands_in_the_manual_and_nothing_else() {
    let network = network("counters", 0);
    let host = &network.victim;
    // Rules of all kinds count things of their own.
    let fail2ban = tempfile::tempdir().unwrap();
    fs::create_dir(fail2ban.path().join("filter.d")).unwrap();
    fs::write(fail2ban.path().join("filter.d/shop.conf"), "[Definition]\nfailregex = ^bad login from <HOST>$\n").unwrap();
    fs::write(fail2ban.path().join("jail.conf"), "[shop]\nenabled = true\nfilter = shop\nlogpath = /var/log/shop.log\n").unwrap();
    let ossec = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ossec");
    let services = format!(
        "[applications]\nfiles = [\"{{}}/auth.log\"]\njournal = \"never\"\nrules = [\"{ossec}\", \"{}\"]\n",
        fail2ban.path().display()
    );
    let more = "[sense.capture]\nenabled = true\n[respond]\nkind = [\"nftables\", \"routes\"]\n[alert.syslog]\nsocket = \"{}/devlog\"\n";
    let daemon = Daemon::start(host, &format!("{LOG}{services}[guard]\ntcp = [31337]\n{more}"));
    daemon.wait_until_followed("kern.log");
    let manual = include_str!("../../../../docs/manual.md");
    let section = manual.split("\n## Counters\n").nth(1).expect("a section").split("\n## ").next().unwrap_or_default();
    let mut documented: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(name, _)| name).collect();
    documented.sort_unstable();
    let status = daemon.json_one(&["status"]);
    let sensors = status["sensors"].as_array().expect("a list");
    let lists = sensors.iter().map(|sensor| &sensor["counters"]).chain([&status["counters"]]);
    let names = lists.flat_map(|list| list.as_array().expect("a list")).map(|pair| text(&pair[0]));
    // Families have a word behind the colon that says which.
    let mut counted: Vec<String> = names
        .map(|name| name.split_once(": ").map_or(name.clone(), |(family, _)| format!("{family}: …").replace("routes", "NAME")))
        .collect();
    counted.extend(["refused: …", "exempt: …", "watched: …", "harmless: …"].map(str::to_owned));
    counted.sort_unstable();
    counted.dedup();
    let missing: Vec<&String> = counted.iter().filter(|name| !documented.contains(&name.as_str())).collect();
    let surplus: Vec<&&str> = documented.iter().filter(|name| !counted.iter().any(|one| one == *name)).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "not in the manual: {missing:#?}\nonly in the manual: {surplus:#?}");
}

/// Entries of the kernel in the journal's export format, later than all before them.
fn entries(lines: &str, serial: &mut u64) -> String {
    // A journal is followed for this boot alone.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().replace('-', "");
    let boot = format!("_BOOT_ID={boot}\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n");
    let now = jiff::Timestamp::now().as_microsecond();
    let each = lines.lines().map(|line| {
        *serial += 1;
        let message = line.split_once("] ").expect("the kernel's stamp").1;
        format!("__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={serial}\n{boot}MESSAGE={message}\n\n", now + *serial as i64)
    });
    each.collect()
}

#[test]
fn a_journal_that_is_turned_over_and_vacuumed_is_read_on() {
    let network = network("vacuum", 0);
    let host = &network.victim;
    let folder = folder();
    let machine = fs::read_to_string("/etc/machine-id").unwrap().trim().to_owned();
    let own = folder.path().join("journal");
    fs::create_dir_all(own.join("journal").join(&machine)).unwrap();
    let script = format!("mount --bind {} /var/log && exec \"$@\"", own.display());
    let daemon = Daemon::start_in(folder, host, "[[sense.log]]\nkind = \"journal\"\n", &["unshare", "-m", "sh", "-c", &script, "sh"]);
    let journal = daemon.path("journal/journal").join(&machine);
    let mut serial = 0;
    let mut write = |file: &str, n: u8| {
        let (export, file) = (daemon.path("export"), journal.join(file));
        fs::write(&export, entries(&scan_lines(&offender(n), VICTIM, 1_000..1_006), &mut serial)).unwrap();
        run("/lib/systemd/systemd-journal-remote", ["-o".as_ref(), file.as_os_str(), export.as_os_str()]).unwrap();
        run("chmod", ["644".as_ref(), file.as_os_str()]).unwrap();
    };
    // What was there when it began is past: whether it has begun shows in what is read.
    until("the journal is followed", || {
        write("system.journal", 1);
        daemon.sensor_figure("journal", "lines").filter(|lines| *lines > 0)
    });
    write("system.journal", 100);
    daemon.wait_until_blocked(&offender(100));
    let archived = format!("system@0123456789abcdef0123456789abcdef-0000000000000001-{:016x}.journal", 0x0006_0000_0000_0000_u64);
    fs::rename(journal.join("system.journal"), journal.join(&archived)).unwrap();
    write("system.journal", 101);
    daemon.wait_until_blocked(&offender(101));
    run("journalctl", ["-D".as_ref(), journal.as_os_str(), "--vacuum-files=1".as_ref()]).unwrap();
    assert!(!journal.join(&archived).exists(), "it was vacuumed");
    write("system.journal", 102);
    daemon.wait_until_blocked(&offender(102));
    assert_eq!(daemon.sensor_figure("journal", "malformed records"), Some(0));
}
