//! What changes while riposte runs, and what must not: a reload, an upgrade, a killed sensor, the service manager's watchdog.

use crate::daemon::{
    Daemon, KERN_LOG, folder, is_in_set, line, network, said, scan, scan_lines, set, signal, start_following, text, until,
    wait_until_in_kernel,
};
use range::namespace::Namespace;
use range::network::{VICTIM, attacker_address};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The sensor of packets has no part in what is shown here.
const BASE: &str = "[sense.nflog]\nenabled = false\n";

fn start(host: &Namespace, config: &str) -> Daemon {
    start_following(host, &format!("{BASE}{config}"))
}

fn wait_until_out_of_kernel(host: &Namespace, address: &str) {
    until(&format!("the kernel has let go of {address}"), || (!is_in_set(host, "blocked4", address)).then_some(()));
}

/// Each life's process number.
fn lives(daemon: &Daemon) -> Vec<(String, u64)> {
    let status = daemon.json_one(&["status"]);
    let line = |process: &serde_json::Value| (text(&process["life"]), process["pid"].as_u64().unwrap());
    status["processes"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_configuration_with_an_error_changes_nothing() {
    let network = network("bad-reload", 0);
    let mut daemon = start(&network.victim, "");
    daemon.expect_error("not reloaded");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    let (before, list) = (lives(&daemon), daemon.json(&["list"]).len());

    let socket = daemon.path("sock").display().to_string();
    let reload = || crate::daemon::command(&["reload", "--socket", &socket]);
    daemon.configure("[policy]\nexempt = [\"192.0.2.1\"]\nblock_maxx = \"1h\"\n[[sense.log]]\nkind = \"fiel\"\n");
    let output = reload();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let wrong = said(&output);
    let config = daemon.path("config.toml").display().to_string();
    assert!(wrong.lines().count() == 2 && wrong.lines().all(|line| line.starts_with(&format!("riposte: {config}:"))), "{wrong}");
    assert!(wrong.contains(&format!("{config}:7:1: ")) && wrong.contains("block_max"), "{wrong}");
    assert!(wrong.contains(&format!("{config}:9:")) && wrong.contains("file"), "{wrong}");
    // By signal it is the log that tells.
    let told = |daemon: &Daemon| daemon.log().matches("the configuration from before stays in force").count();
    assert_eq!(told(&daemon), 1);
    daemon.hang_up();
    until("the log tells", || (told(&daemon) == 2).then_some(()));
    // A log that can't be one is found out before anything is changed, too.
    daemon.configure(&format!("{BASE}[policy]\nexempt = [\"192.0.2.1\"]\n{KERN_LOG}[[sense.log]]\nkind = \"file\"\npath = \"/proc\"\n"));
    let refusal = daemon.refusal(&["reload"]);
    assert!(refusal.contains("/proc") && refusal.contains("regular file"), "{refusal}");
    std::fs::remove_file(daemon.path("config.toml")).unwrap();
    let output = reload();
    assert!(!output.status.success() && said(&output).contains("cannot be read"), "{}", said(&output));

    daemon.configure(&format!("{BASE}{KERN_LOG}"));
    assert_eq!((lives(&daemon), daemon.json(&["list"]).len()), (before, list));
    assert!(is_in_set(&network.victim, "blocked4", "192.0.2.1"));
    scan(&daemon, "192.0.2.2");
    daemon.wait_until_blocked("192.0.2.2");
}

#[test]
fn a_new_configuration_takes_effect_and_everything_learnt_stays() {
    let network = network("reload", 0);
    let host = &network.victim;
    let daemon = start(host, "");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    daemon.text(&["block", "192.0.2.2", "--for", "never"]);
    daemon.text(&["allow", "192.0.2.3"]);
    wait_until_in_kernel(host, "192.0.2.1");
    wait_until_in_kernel(host, "192.0.2.2");
    // Half a scan: not enough for a block.
    daemon.append("kern.log", &scan_lines("192.0.2.4", VICTIM, 1_000..1_003));
    let seen = daemon.wait_until_figure_of_at_least("kern.log", "packets", 9);
    let before = lives(&daemon);

    let policy = "[policy]\nexempt = [\"192.0.2.0/31\"]\nblock_for = [\"20m\", \"30m\", \"1h\", \"6h\", \"1d\"]\n[policy.spoofable]\nblock_max = \"1h\"\n";
    daemon.configure(&format!("{BASE}rate = 700\n{policy}[log]\nlevel = \"debug\"\n{KERN_LOG}"));
    let answer = daemon.text(&["reload"]);
    assert_eq!(
        answer.lines().collect::<Vec<_>>(),
        [
            "The configuration is in force.",
            "sense.nflog.rate takes effect at the next restart",
            "log.level takes effect at the next restart"
        ]
    );
    // Who is exempt now is free, in the ledger and in the kernel; everything else stands.
    assert_eq!(daemon.blocked(), ["192.0.2.2"]);
    wait_until_out_of_kernel(host, "192.0.2.1");
    assert!(set(host, "exempt4").contains("192.0.2.0/31") && is_in_set(host, "blocked4", "192.0.2.2"));
    assert!(daemon.refusal(&["block", "192.0.2.1"]).contains("exempt"));
    assert!(daemon.json(&["history", "192.0.2.1"]).iter().any(|line| line.to_string().contains("exempt")));
    assert_eq!(lives(&daemon), before, "nobody was started again");
    assert_eq!(daemon.sensor_figure("kern.log", "packets"), Some(seen));
    // The other half: only together are they a scan. Its block is as long as the new configuration lets it be.
    daemon.append("kern.log", &scan_lines("192.0.2.4", VICTIM, 1_003..1_006));
    daemon.wait_until_blocked("192.0.2.4");
    let block = daemon.json(&["list"]).into_iter().find(|line| line["address"] == "192.0.2.4").unwrap();
    assert!(block["remaining_secs"].as_u64().unwrap() > 600, "{block}");
    assert_eq!(daemon.json_one(&["allow"])["prefix"], "192.0.2.3");

    // A dry run and back.
    daemon.configure(&format!("{BASE}[policy]\ndry_run = true\n{KERN_LOG}"));
    daemon.hang_up();
    until("it is a dry run", || (daemon.json_one(&["status"])["mode"] == "dry_run").then_some(()));
    until("the kernel's list is shorter", || (!set(host, "exempt4").contains("192.0.2.0/31")).then_some(()));
    scan(&daemon, "192.0.2.5");
    daemon.wait_until_blocked("192.0.2.5");
    assert!(is_in_set(host, "blocked4", "192.0.2.4") && !is_in_set(host, "blocked4", "192.0.2.5"));
    daemon.configure(&format!("{BASE}{KERN_LOG}"));
    daemon.text(&["reload"]);
    assert_eq!(daemon.blocked(), ["192.0.2.2", "192.0.2.4"]);
    // Who goes on is charged again, a second after the last time.
    until("192.0.2.1 is blocked again", || {
        scan(&daemon, "192.0.2.1");
        daemon.blocked().contains(&"192.0.2.1".to_owned()).then_some(())
    });
    wait_until_in_kernel(host, "192.0.2.1");
    assert_eq!(daemon.figure("ledger steps out of order"), 0);
}

#[test]
fn logs_come_and_go_and_those_that_stay_are_not_disturbed() {
    let network = network("reload-logs", 0);
    let daemon = start(&network.victim, "[policy.derive]\ntime_servers = false\n");
    let sensors = |daemon: &Daemon| {
        let status = daemon.json_one(&["status"]);
        let name = |sensor: &serde_json::Value| text(&sensor["name"]).rsplit('/').next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = status["sensors"].as_array().unwrap().iter().map(name).collect();
        names.sort_unstable();
        names
    };
    let log = |name: &str| KERN_LOG.replace("kern.log", name);
    let kern = daemon.life("log 1").unwrap();

    // The new one stands in front; the one that is known keeps its sensor.
    daemon.configure(&format!(
        "{BASE}[policy.derive]\ntime_servers = false\n{}{KERN_LOG}[[sense.log]]\nkind = \"pipe\"\npath = \"/root/pipe\"\n",
        log("new.log")
    ));
    let answer = daemon.text(&["reload"]);
    assert!(answer.contains("sense.log (pipe /root/pipe) takes effect at the next restart"), "{answer}");
    daemon.wait_until_followed("new.log");
    daemon.append("new.log", &scan_lines("192.0.2.1", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("192.0.2.1");
    scan(&daemon, "192.0.2.2");
    daemon.wait_until_blocked("192.0.2.2");
    assert_eq!((daemon.life("log 1"), sensors(&daemon)), (Some(kern), vec!["kern.log".to_owned(), "new.log".to_owned()]));

    // Stamps read in another zone: its sensor begins anew, where the other has left off.
    daemon.configure(&format!("{BASE}{}{KERN_LOG}timezone = \"UTC\"\n", log("new.log")));
    daemon.text(&["reload"]);
    until("kern.log has another sensor", || daemon.life("log 1").filter(|pid| *pid != kern));
    daemon.append("kern.log", &scan_lines("192.0.2.3", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("192.0.2.3");
    daemon.wait_until_figure("kern.log", "lines", 6);

    daemon.configure(&format!("{BASE}{}", log("new.log")));
    daemon.text(&["reload"]);
    until("kern.log has no sensor any more", || (sensors(&daemon) == ["new.log"]).then_some(()));
    until("nor a process", || daemon.life("log 1").is_none().then_some(()));
    scan(&daemon, "192.0.2.4");
    daemon.append("new.log", &scan_lines("192.0.2.5", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("192.0.2.5");
    assert_eq!(daemon.blocked(), ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5"]);
    // Back again: what was written meanwhile is read, once.
    daemon.configure(&format!("{BASE}{KERN_LOG}"));
    daemon.text(&["reload"]);
    daemon.wait_until_blocked("192.0.2.4");
    daemon.wait_until_figure("kern.log", "packets", 6);
}

#[test]
fn a_killed_sensor_or_judge_reads_on_where_it_was() {
    let network = network("read-on", 0);
    let daemon = start(&network.victim, "");
    for (life, address, seen) in [("log 1", "192.0.2.1", 1), ("judge", "192.0.2.2", 7)] {
        daemon.append("kern.log", &scan_lines("192.0.2.99", VICTIM, 80..81));
        daemon.wait_until_figure("kern.log", "packets", seen);
        let before = daemon.life(life).unwrap();
        // While nobody reads, half a line and a scan are written.
        let stopped = daemon.life("log 1").unwrap() as u32;
        signal("STOP", stopped);
        let half = line(address, VICTIM, 1_000);
        let (head, tail) = half.split_at(200);
        daemon.append("kern.log", head);
        signal("KILL", before as u32);
        if life == "judge" {
            signal("CONT", stopped);
        }
        until(&format!("{life} runs again"), || daemon.life(life).filter(|pid| *pid != before));
        daemon.append("kern.log", &format!("{tail}\n"));
        daemon.append("kern.log", &scan_lines(address, VICTIM, 1_001..1_006));
        daemon.wait_until_blocked(address);
        // What the dead judge knew of and had not written down yet (the line behind the block's, and the one above) is read once more: nobody
        // else knows of it.
        let again = if life == "judge" { 2 } else { 0 };
        let packets = daemon.wait_until_figure_of_at_least("kern.log", "packets", 6);
        assert!(packets <= 6 + again, "{life}: {packets}");
    }
    assert_eq!(daemon.blocked(), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn a_log_that_is_rotated_while_nobody_is_there_is_read_to_its_end() {
    let network = network("tail", 0);
    let mut daemon = start(&network.victim, "");
    daemon.append("kern.log", &scan_lines("192.0.2.99", VICTIM, 80..81));
    daemon.wait_until_figure("kern.log", "packets", 1);
    assert!(daemon.end().success());
    daemon.append("kern.log", &scan_lines("192.0.2.1", VICTIM, 1_000..1_006));
    std::fs::rename(daemon.path("kern.log"), daemon.path("kern.log.1")).unwrap();
    daemon.append("kern.log", &scan_lines("192.0.2.2", VICTIM, 1_000..1_006));
    daemon.start_again();
    daemon.wait_until_blocked("192.0.2.1");
    daemon.wait_until_blocked("192.0.2.2");
    assert_eq!(daemon.sensor_figure("kern.log", "packets"), Some(12), "none twice");
    assert_eq!(daemon.sensor_figure("kern.log", "rotations"), Some(1));
}

#[test]
fn a_killed_judge_does_not_end_a_storms_pause() {
    let network = network("pause", 0);
    let daemon = start(&network.victim, "[policy.storm]\noffenders = 5\n");
    (1..=5).for_each(|n| scan(&daemon, &format!("192.0.2.{n}")));
    let storm = |daemon: &Daemon| Some(daemon.json_one(&["status"])["storm"].clone()).filter(|storm| !storm.is_null());
    let began = until("it is a storm", || storm(&daemon));
    until("all are rolled back", || daemon.blocked().is_empty().then_some(()));
    let before = daemon.life("judge").unwrap();
    signal("KILL", before as u32);
    until("the judge runs again", || daemon.life("judge").filter(|pid| *pid != before));
    let after = storm(&daemon).expect("it goes on");
    assert_eq!((&after["since"], &after["rolled_back"]), (&began["since"], &began["rolled_back"]));
    scan(&daemon, "192.0.2.9");
    until("he is only watched", || daemon.json(&["history", "192.0.2.9"]).iter().any(|line| line["decision"] == "refuse").then_some(()));
    assert_eq!(daemon.blocked(), Vec::<String>::new());
}

/// Sends pings to the victim until it is told to end.
fn pings(from: &Namespace) -> Child {
    let mut command = from.command("hping3");
    command.args(["--icmp", "-q", "-i", "u4000", VICTIM]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("hping3 is installed")
}

/// How many pings were sent and answered.
fn answered(pings: Child) -> (u64, u64) {
    signal("INT", pings.id());
    let output = pings.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let figures = said.lines().find(|line| line.contains("packets transmitted")).unwrap_or_else(|| panic!("{said}"));
    let mut numbers = figures.split([' ', ',']).filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn an_upgrade_leaves_no_gap_in_the_blocks_and_none_in_the_logs() {
    let network = network("upgrade", 2);
    let host = &network.victim;
    let mut daemon = Daemon::start(host, KERN_LOG);
    daemon.wait_until_followed("kern.log");
    let blocked = attacker_address(0);
    scan(&daemon, &blocked);
    daemon.wait_until_blocked(&blocked);
    wait_until_in_kernel(host, &blocked);
    let history = daemon.json(&["history"]);
    let (bad, good) = (pings(&network.attackers[0]), pings(&network.attackers[1]));
    let dropped = daemon.figure("packets dropped from the blocked");
    until("the pings arrive", || (daemon.figure("packets dropped from the blocked") > dropped + 20).then_some(()));

    assert!(daemon.end().success());
    scan(&daemon, "192.0.2.1");
    daemon.start_again();
    daemon.wait_until_blocked("192.0.2.1");
    daemon.wait_until_figure("kern.log", "lines", 6);
    // Killed, it is the same; the second log file begins behind what was read of the first.
    daemon.kill();
    std::fs::rename(daemon.path("kern.log"), daemon.path("kern.log.1")).unwrap();
    scan(&daemon, "192.0.2.2");
    daemon.start_again();
    daemon.wait_until_blocked("192.0.2.2");
    daemon.wait_until_figure("kern.log", "lines", 6);

    let ((sent, got), (others_sent, others_got)) = (answered(bad), answered(good));
    println!("upgrade: {sent} packets of a blocked source, {got} passed; {others_sent} of another, {others_got} answered");
    assert!(sent > 20 && others_got > 20);
    assert_eq!(got, 0, "of {sent}");
    assert_eq!(daemon.json(&["history", &blocked]), history);
    assert!(is_in_set(host, "blocked4", &blocked));
}

/// The service manager's side of sd_notify(3).
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(folder: &Path) -> Manager {
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Manager { socket, heard: Vec::new() }
    }

    /// Takes in the next message, if there is one.
    fn hear(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        let Ok(len) = self.socket.recv(&mut buffer) else { return false };
        self.heard.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        true
    }

    /// Waits for the next message with a descriptor.
    fn wait_for_descriptor(&mut self) -> (String, OwnedFd) {
        until("the manager is handed a descriptor", || {
            let mut buffer = [0; 4_096];
            let received = sys::fd::recv_frame(self.socket.as_fd(), &mut buffer).ok()?;
            Some((String::from_utf8_lossy(&buffer[..received.len]).into_owned(), received.fd?))
        })
    }

    /// Waits for a message with this in it, and forgets all that came before.
    fn wait_for(&mut self, part: &str) -> String {
        until(&format!("the manager hears {part}"), || {
            self.hear();
            let at = self.heard.iter().position(|message| message.contains(part))?;
            self.heard.drain(..=at).next_back()
        })
    }
}

#[test]
fn the_service_manager_hears_how_it_stands_and_the_watchdog_does_not_lie() {
    let network = network("notify", 0);
    let folder = folder();
    let mut manager = Manager::new(folder.path());
    let name = format!("NOTIFY_SOCKET={}", folder.path().join("notify").display());
    let mut daemon = Daemon::start_in(folder, &network.victim, KERN_LOG, &["env", &name, "WATCHDOG_USEC=400000"]);
    daemon.expect_error("not reloaded");
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=on watch; 1 log followed"), "{ready}");
    manager.wait_for("WATCHDOG=1");

    daemon.configure("[policy]\ndry_rnu = true\n");
    daemon.hang_up();
    let reloading = manager.wait_for("RELOADING=1");
    let stamp = reloading.split("MONOTONIC_USEC=").nth(1).and_then(|text| text.lines().next()?.parse::<u64>().ok());
    assert!(stamp.is_some_and(|usec| usec > 0), "{reloading}");
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=not reloaded: ") && ready.contains("dry_run"), "{ready}");
    daemon.configure(KERN_LOG);
    daemon.text(&["reload"]);
    manager.wait_for("RELOADING=1");
    assert!(manager.wait_for("READY=1").contains("on watch"));

    let judge = daemon.life("judge").unwrap();
    signal("STOP", judge as u32);
    let stat = || std::fs::read_to_string(format!("/proc/{judge}/stat")).unwrap_or_default();
    until("the judge is stopped", || stat().contains(") T ").then_some(()));
    manager.heard.clear();
    // Whatever it answered before may still be on its way. More than that would be a lie: in this time it was asked some fifteen times.
    let until_then = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until_then {
        manager.hear();
    }
    let signs = manager.heard.iter().filter(|message| message.contains("WATCHDOG=1")).count();
    assert!(signs <= 3, "{signs} signs of life of a judge that was stopped");
    signal("CONT", judge as u32);
    manager.heard.clear();
    manager.wait_for("WATCHDOG=1");
    signal("TERM", daemon.life("warden").unwrap() as u32);
    manager.wait_for("STOPPING=1");
    assert!(daemon.end().success());
}

#[test]
fn what_comes_during_an_upgrade_waits_with_the_service_manager() {
    let network = network("kept", 1);
    let host = &network.victim;
    let scanner = attacker_address(0);
    let syslog = format!("{BASE}[[sense.log]]\nkind = \"syslog\"\npath = \"{{}}/log.sock\"\n");
    for (config, name, address) in [("", "nflog 1741 ", scanner.as_str()), (&syslog, "syslog socket ", "192.0.2.1")] {
        let folder = folder();
        let mut manager = Manager::new(folder.path());
        let socket = format!("NOTIFY_SOCKET={}", folder.path().join("notify").display());
        let mut daemon = Daemon::start_in(folder, host, config, &["env", &socket]);
        let (text, kept) = manager.wait_for_descriptor();
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).filter(|found| found.starts_with(name)).expect(&text);
        assert!(text.starts_with("FDSTORE=1\n") && text.ends_with("FDPOLL=0"), "{text}");
        manager.wait_for("READY=1");
        assert!(daemon.end().success());

        // While riposte is away.
        if name.starts_with("nflog") {
            network.attackers[0].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).unwrap();
        } else {
            let writer = UnixDatagram::unbound().unwrap();
            for text in scan_lines(address, VICTIM, 1_000..1_006).lines() {
                writer.send_to(format!("<4>{text}").as_bytes(), daemon.path("log.sock")).expect("the socket is still there");
            }
        }
        let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$; exec \"$@\"";
        let names = format!("LISTEN_FDNAMES={name}");
        daemon.start_again_with(&["env", "LISTEN_FDS=1", &names, "sh", "-c", script, "sh"], Stdio::from(kept));
        daemon.wait_until_blocked(address);
        wait_until_in_kernel(host, address);
    }
}
