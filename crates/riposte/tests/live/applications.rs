//! Application logs end to end: a log followed through rotation and restarts, and what somebody who chooses his own name can and cannot make of that.
//! The services that write such logs are attacked for real in services.rs.

use crate::daemon::{Daemon, folder, network, said, signal, text, until, wait_until_in_kernel};
use range::network::Network;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Guesses after which the rule for sshd wants a block.
const GUESSES: usize = 5;

fn config(more: &str) -> String {
    format!(
        "[applications]\nfiles = [\"{{}}/auth.log\", \"{{}}/sites/*/app.log\"]\njournal = \"never\"\n{more}\n[sense.nflog]\nenabled = false\n"
    )
}

/// What sshd writes into auth.log when somebody guesses wrong; the number makes it another line.
fn guess(from: &str, user: &str, n: usize) -> String {
    format!("{} host sshd[{}]: Failed password for {user} from {from} port {} ssh2\n", jiff::Timestamp::now(), 1_000 + n, 40_000 + n)
}

fn guesses(from: &str, count: std::ops::Range<usize>) -> String {
    count.map(|n| guess(from, "root", n)).collect()
}

fn lines(daemon: &Daemon) -> u64 {
    daemon.sensor_figure("applications", "lines").unwrap_or(0)
}

/// Waits until the log is followed: what was written before that is past for it.
fn wait_until_followed(daemon: &Daemon, files: u64) {
    daemon.wait_until_figure("applications", "files followed", files);
}

fn start(network: &Network, more: &str) -> Daemon {
    let folder = folder();
    fs::write(folder.path().join("auth.log"), guesses("198.51.100.99", 0..9)).unwrap();
    let daemon = Daemon::start_in(folder, &network.victim, &config(more), &[]);
    wait_until_followed(&daemon, 1);
    daemon
}

#[test]
fn who_guesses_is_blocked_and_it_is_explained() {
    let network = network("guess", 0);
    let daemon = start(&network, "");
    daemon.append("auth.log", &guesses("198.51.100.7", 0..GUESSES - 1));
    daemon.append("auth.log", &guesses("198.51.100.8", 0..GUESSES));
    daemon.wait_until_blocked("198.51.100.8");
    wait_until_in_kernel(&network.victim, "198.51.100.8");
    // One guess less, and what was there before riposte began: nothing.
    daemon.wait_until_figure("applications", "lines", 2 * GUESSES as u64 - 1);
    assert_eq!(daemon.blocked(), ["198.51.100.8"]);
    let explained = daemon.json_one(&["explain", "198.51.100.8"]);
    let rule = text(&explained["block"]["rule"]);
    assert!(rule.starts_with("sshd") && text(&explained["block"]["trust"]) == "vouched", "{explained}");
    assert!(
        text(&explained["quote"]["log"]).ends_with("/auth.log") && text(&explained["quote"]["line"]).contains("from 198.51.100.8 port")
    );
    assert_eq!((&explained["entries"][0]["packets"], text(&explained["entries"][0]["rule"])), (&GUESSES.into(), rule));
    let told = daemon.text(&["explain", "198.51.100.8"]);
    assert!(told.contains("sshd") && told.contains("5 lines") && told.contains("Failed password for root"), "{told}");
    assert!(daemon.text(&["list"]).contains("sshd"));
}

#[test]
fn how_many_failures_are_enough_is_what_the_rule_file_says() {
    let network = network("limit", 0);
    let rules = folder();
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules/sshd.toml")).unwrap();
    let stricter = format!("limit = {{ score = 30, within = \"10m\", block = \"2h\" }}\n{shipped}");
    fs::write(rules.path().join("sshd.toml"), stricter).unwrap();
    let daemon = start(&network, &format!("rules = [\"{}\"]", rules.path().display()));
    daemon.append("auth.log", &guesses("198.51.100.7", 0..2));
    daemon.append("auth.log", &guesses("198.51.100.8", 0..3));
    daemon.wait_until_blocked("198.51.100.8");
    daemon.wait_until_figure("applications", "lines", 5);
    assert_eq!(daemon.blocked(), ["198.51.100.8"]);
    assert_eq!(daemon.json_one(&["explain", "198.51.100.8"])["entries"][0]["seconds"], 7_200);
}

#[test]
fn rules_of_ossec_s_and_fail2ban_s_stand_beside_our_own() {
    let network = network("foreign", 0);
    let (place, fail2ban) = (folder(), folder());
    // The jail's own log is followed because the jail says so.
    for name in ["auth.log", "shop.log"] {
        fs::write(place.path().join(name), "").unwrap();
    }
    fs::create_dir(fail2ban.path().join("filter.d")).unwrap();
    fs::write(fail2ban.path().join("filter.d/shop.conf"), "[Definition]\nfailregex = ^\\s*\\S+ shop\\[\\d+\\]: bad login from <HOST>$\n")
        .unwrap();
    let log_of = |name: &str| format!("logpath = {}/{name}.log\n", place.path().display());
    let jail = "[shop]\nenabled = true\nfilter = shop\nmaxretry = 2\nbantime = 1234\naction = nftables[name=shop]\n";
    let asks = "[asks]\nenabled = true\nfilter = shop\nignorecommand = /bin/true\n";
    fs::write(fail2ban.path().join("jail.conf"), [jail, &log_of("shop"), asks, &log_of("auth")].concat()).unwrap();
    let ossec = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ossec/etc/ossec.conf");
    let rules = format!("rules = [\"{ossec}\", \"{}\"]\n", fail2ban.path().display());
    let daemon = Daemon::start_in(place, &network.victim, &config(&rules), &[]);
    wait_until_followed(&daemon, 2);
    let log = daemon.log();
    assert!(log.contains("[applications] rules: ") && log.contains("ignorecommand"), "what can't be honoured is said: {log}");
    // Both know stamps as rsyslog writes them: with six digits, and the zone as a number. The lines come late: a block's length is its own.
    let stamp = (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(5)).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00").to_string();
    let bad = |n: usize| format!("{stamp} host shop[{n}]: bad login from 198.51.100.8\n");
    let guesses = |from: &str| -> String {
        (1..GUESSES).map(|n| format!("{stamp} host sshd[{n}]: Failed password for root from {from} port {} ssh2\n", 4_000 + n)).collect()
    };
    // One guess less than our own rule wants: OSSEC's fires on the fourth, and spares its own white list.
    daemon.append("auth.log", &(guesses("198.51.100.7") + &guesses("192.0.2.7")));
    daemon.append("shop.log", &(bad(1) + &bad(2)));
    daemon.wait_until_blocked("198.51.100.7");
    daemon.wait_until_blocked("198.51.100.8");
    assert_eq!(daemon.blocked(), ["198.51.100.7", "198.51.100.8"]);
    for (address, rule, seconds) in [("198.51.100.7", "100720", 600), ("198.51.100.8", "shop", 1234)] {
        let explained = daemon.json_one(&["explain", address]);
        assert!(text(&explained["block"]["rule"]).contains(rule) && explained["entries"][0]["seconds"] == seconds, "{explained}");
    }
}

#[test]
fn names_that_imitate_log_lines_block_nobody_else() {
    let network = network("inject", 0);
    let daemon = start(&network, "");
    let names = [
        "x from 10.0.0.1 port 22 ssh2",
        "invalid user x from 10.0.0.1 port 22 ssh2",
        "x\u{1b}[2J\u{7}from 10.0.0.1 port 22",
        "root from 10.0.0.1 port 22 ssh2 2026-11-21T00:00:00Z host sshd[1]: Failed password for root from 10.0.0.1 port 22 ssh2",
        "",
    ];
    for (n, name) in names.into_iter().enumerate() {
        daemon.append("auth.log", &guess("198.51.100.7", &format!("invalid user {name}"), n));
    }
    daemon.wait_until_blocked("198.51.100.7");
    // Another program may write what it likes, in its own name.
    let forged = |n: usize| {
        let said = format!("Failed password for root from 10.0.0.2 port {n} ssh2");
        let now = jiff::Timestamp::now();
        format!(
            "{now} host cron[{n}]: {said}\n{now} host cron[{n}]: sshd[{n}]: {said}\n{now} host app: {now} host sshd[{n}]: {said}\n{now} {said}\n"
        )
    };
    let before = lines(&daemon);
    daemon.append("auth.log", &(0..GUESSES).map(forged).collect::<String>());
    // A line without its end is no line, and one that is far too long is cut.
    daemon.append("auth.log", &guess("10.0.0.3", &"x".repeat(20_000), 1).repeat(GUESSES));
    daemon.wait_until_figure("applications", "lines", before + 5 * GUESSES as u64);
    daemon.wait_until_figure("applications", "cut, too long", GUESSES as u64);
    assert_eq!(daemon.blocked(), ["198.51.100.7"]);
    let told = daemon.text(&["explain", "198.51.100.7"]);
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn rotation_and_restarts_in_mid_count_lose_no_line_and_read_none_twice() {
    let network = network("rotate", 0);
    let mut daemon = start(&network, "");
    let (log, old) = (daemon.path("auth.log"), daemon.path("auth.log.1"));
    // The writer goes on with the renamed file for a while; then there is a new one.
    daemon.append("auth.log", &guesses("198.51.100.7", 0..2));
    fs::rename(&log, &old).unwrap();
    daemon.append("auth.log.1", &guesses("198.51.100.7", 2..4));
    daemon.append("auth.log", &guesses("198.51.100.7", 4..5));
    daemon.wait_until_blocked("198.51.100.7");
    daemon.wait_until_figure("applications", "lines", 5);
    daemon.wait_until_figure("applications", "rotations", 1);

    // Half a line, and the end of the daemon; what comes meanwhile is read by the next one, rotated or not.
    let whole = guess("198.51.100.8", "root", 0);
    let (head, tail) = whole.split_at(40);
    daemon.append("auth.log", head);
    assert!(daemon.end().success());
    daemon.append("auth.log", tail);
    daemon.append("auth.log", &guesses("198.51.100.8", 1..2));
    fs::rename(&log, &old).unwrap();
    daemon.append("auth.log", &guesses("198.51.100.8", 2..5));
    daemon.start_again();
    daemon.wait_until_blocked("198.51.100.8");
    daemon.wait_until_figure("applications", "lines", 5);

    // The sensor dies; so does the judge.
    daemon.append("auth.log", &guesses("198.51.100.9", 0..5));
    daemon.wait_until_blocked("198.51.100.9");
    for life in ["applications", "judge"] {
        let pid = daemon.life(life).expect("it runs");
        signal("KILL", pid as u32);
        until("it is started again", || daemon.life(life).filter(|again| *again != pid));
        until("its counters are there", || daemon.sensor_figure("applications", "files followed").filter(|files| *files == 1));
    }
    let before = lines(&daemon);
    daemon.append("auth.log", &guesses("198.51.100.10", 0..5));
    daemon.wait_until_blocked("198.51.100.10");
    daemon.wait_until_figure("applications", "lines", before + 5);
    assert_eq!(daemon.blocked(), ["198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.10"]);
}

#[test]
fn counts_go_on_over_restarts() {
    let network = network("goon", 0);
    let mut daemon = start(&network, "");
    daemon.append("auth.log", &guesses("198.51.100.7", 0..2));
    daemon.append("auth.log", &guesses("198.51.100.8", 0..GUESSES));
    daemon.wait_until_blocked("198.51.100.8");
    let pid = daemon.life("applications").expect("it runs");
    signal("KILL", pid as u32);
    until("it is started again", || daemon.life("applications").filter(|again| *again != pid));
    daemon.append("auth.log", &guesses("198.51.100.7", 2..4));
    daemon.wait_until_figure("applications", "lines", 2);
    assert!(daemon.end().success());
    daemon.start_again();
    daemon.append("auth.log", &guesses("198.51.100.7", 4..5));
    daemon.wait_until_blocked("198.51.100.7");
    daemon.wait_until_figure("applications", "lines", 1);
    // What an earlier run has made of its lines is past: nobody was blocked a second time for it.
    let entries = daemon.json(&["history", "198.51.100.8"]);
    assert_eq!(entries.iter().filter(|entry| entry["decision"] == "block").count(), 1, "{entries:?}");
}

#[test]
fn many_files_that_appear_later_are_followed_by_one_process() {
    let network = network("sites", 0);
    let daemon = start(&network, "");
    for n in 0..300 {
        fs::create_dir_all(daemon.path(&format!("sites/{n}"))).unwrap();
        daemon.append(&format!("sites/{n}/app.log"), &guess("198.51.100.7", "root", n));
    }
    daemon.wait_until_blocked("198.51.100.7");
    wait_until_followed(&daemon, 301);
    daemon.wait_until_figure("applications", "lines", 300);
    let sensors = daemon.json_one(&["status"])["sensors"].as_array().map(Vec::len);
    assert_eq!(sensors, Some(1));
}

#[test]
fn a_reload_follows_other_files_and_goes_on_where_it_was() {
    let network = network("reapply", 0);
    let mut daemon = start(&network, "");
    daemon.append("auth.log", &guesses("198.51.100.7", 0..GUESSES));
    daemon.wait_until_blocked("198.51.100.7");
    daemon.configure(&config("").replace("auth.log", "*.log"));
    daemon.append("more.log", &guesses("198.51.100.9", 0..1));
    daemon.hang_up();
    wait_until_followed(&daemon, 2);
    // What was read is not read again.
    daemon.append("more.log", &guesses("198.51.100.8", 0..GUESSES));
    daemon.wait_until_blocked("198.51.100.8");
    // Rules that can't be read leave those in force that are.
    let before = daemon.life("applications");
    daemon.configure(&config("rules = [\"/nonexistent\"]"));
    daemon.expect_error("not reloaded");
    assert!(daemon.refusal(&["reload"]).contains("/nonexistent") && said(&daemon.ask(&["check"])).contains("/nonexistent"));
    assert_eq!(daemon.life("applications"), before);
    daemon.configure("[applications]\nenabled = false\n[sense.nflog]\nenabled = false\n");
    daemon.hang_up();
    until("nobody reads them any more", || daemon.life("applications").is_none().then_some(()));
    assert_eq!(daemon.blocked(), ["198.51.100.7", "198.51.100.8"]);
}

#[test]
fn a_socket_and_a_pipe_are_read_beside_files() {
    let network = network("streams", 0);
    let daemon = start(&network, "syslog = \"{}/log.sock\"\npipe = \"{}/pipe\"");
    let socket = UnixDatagram::unbound().unwrap();
    for line in guesses("198.51.100.7", 0..GUESSES).lines() {
        socket.send_to(format!("<38>{line}").as_bytes(), daemon.path("log.sock")).unwrap();
    }
    daemon.wait_until_blocked("198.51.100.7");
    fs::write(daemon.path("pipe"), guesses("198.51.100.8", 0..GUESSES)).unwrap();
    daemon.wait_until_blocked("198.51.100.8");
}

#[test]
fn without_a_word_of_configuration_the_usual_logs_are_followed() {
    let network = network("usual", 0);
    let folder = folder();
    let own = folder.path().join("logs");
    fs::create_dir_all(own.join("nginx")).unwrap();
    fs::write(own.join("auth.log"), "").unwrap();
    fs::write(own.join("nginx/access.log"), "").unwrap();
    fs::write(own.join("other.log"), "").unwrap();
    let script = format!("mount --bind {} /var/log && exec \"$@\"", own.display());
    let daemon = Daemon::start_in(folder, &network.victim, "[applications]\n", &["unshare", "-m", "sh", "-c", &script, "sh"]);
    wait_until_followed(&daemon, 2);
    // A syslog daemon writes mail's lines into two of them.
    let text = guesses("198.51.100.7", 0..GUESSES - 1);
    daemon.append("logs/auth.log", &text);
    daemon.append("logs/syslog", &text);
    wait_until_followed(&daemon, 3);
    daemon.wait_until_figure("applications", "in two logs", GUESSES as u64 - 1);
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    daemon.append("logs/auth.log", &guesses("198.51.100.7", GUESSES - 1..GUESSES));
    daemon.wait_until_blocked("198.51.100.7");
}

/// A journal of its own, which the real systemd-journal-remote writes, and the real journalctl reads for riposte.
struct Journal {
    path: PathBuf,
    export: PathBuf,
    boot: String,
    serial: i64,
}

/// What sshd sends.
const SSHD: &str = "_TRANSPORT=syslog\nSYSLOG_IDENTIFIER=sshd\n_COMM=sshd\n_UID=0\n";

impl Journal {
    /// In this folder, as everything started with the arguments in front will see it.
    fn new(folder: &Path) -> (Journal, [String; 6]) {
        let id = |path: &str| fs::read_to_string(path).unwrap().trim().replace('-', "");
        let own = folder.join("journal");
        let machine = own.join("journal").join(id("/etc/machine-id"));
        fs::create_dir_all(&machine).unwrap();
        let script = format!("mount --bind {} /var/log && exec \"$@\"", own.display());
        let boot = id("/proc/sys/kernel/random/boot_id");
        let journal = Journal { path: machine.join("system.journal"), export: folder.join("export"), boot, serial: 0 };
        (journal, ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned))
    }

    /// Writes so many guesses from this address.
    fn write(&mut self, fields: &str, from: &str, count: usize) {
        let now = jiff::Timestamp::now().as_microsecond();
        let boot = &self.boot;
        let entry = |n: i64| {
            format!(
                "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={n}\n_BOOT_ID={boot}\n{fields}MESSAGE=Failed password for root from {from} port {n} ssh2\n\n",
                now + n
            )
        };
        let text: String = (1..=count as i64).map(|n| entry(self.serial + n)).collect();
        self.serial += count as i64;
        fs::write(&self.export, text).unwrap();
        let remote = ["-o".as_ref(), self.path.as_os_str(), self.export.as_os_str()].map(std::ffi::OsStr::to_owned);
        range::namespace::run("/lib/systemd/systemd-journal-remote", remote).unwrap();
        range::namespace::run("chmod", ["644".as_ref(), self.path.as_os_str()]).unwrap();
    }

    /// Writes until riposte reads: what was there when it began is past. Says how many lines it has read.
    fn wait_until_followed(&mut self, daemon: &Daemon) -> u64 {
        until("the journal is followed", || {
            self.write(SSHD, "198.51.100.99", GUESSES);
            (lines(daemon) > 0).then_some(())
        });
        lines(daemon)
    }
}

const ONLY_THE_JOURNAL: &str = "[applications]\nfiles = []\njournal = \"always\"\n[sense.nflog]\nenabled = false\n";

#[test]
fn in_the_journal_a_name_alone_proves_nothing() {
    let network = network("proof", 0);
    let folder = folder();
    let (mut journal, before) = Journal::new(folder.path());
    let daemon = Daemon::start_in(folder, &network.victim, ONLY_THE_JOURNAL, &before.each_ref().map(String::as_str));
    let read = journal.wait_until_followed(&daemon);
    journal.write(&SSHD.replace("_UID=0", "_UID=1000"), "198.51.100.7", GUESSES);
    journal.write("_TRANSPORT=kernel\nSYSLOG_IDENTIFIER=sshd\n_UID=0\n", "198.51.100.7", GUESSES);
    journal.write("_TRANSPORT=syslog\nSYSLOG_IDENTIFIER=logger\n_UID=0\n", "198.51.100.7", GUESSES);
    journal.write(SSHD, "198.51.100.8", GUESSES);
    daemon.wait_until_blocked("198.51.100.8");
    daemon.wait_until_figure("applications", "lines", read + 4 * GUESSES as u64);
    daemon.wait_until_figure("applications", "forged", 2 * GUESSES as u64);
    assert!(!daemon.blocked().contains(&"198.51.100.7".to_owned()));
}

#[test]
fn what_the_journal_gets_while_nobody_reads_it_is_read_once() {
    let network = network("cursor", 0);
    let folder = folder();
    let (mut journal, before) = Journal::new(folder.path());
    let before = before.each_ref().map(String::as_str);
    // What was there before riposte was ever started is past.
    journal.write(SSHD, "198.51.100.6", GUESSES);
    let mut daemon = Daemon::start_in(folder, &network.victim, ONLY_THE_JOURNAL, &before);
    let read = journal.wait_until_followed(&daemon);
    journal.write(SSHD, "198.51.100.7", GUESSES - 1);
    journal.write(SSHD, "198.51.100.8", 1);
    daemon.wait_until_figure("applications", "lines", read + GUESSES as u64);
    assert!(daemon.end().success());
    journal.write(SSHD, "198.51.100.8", GUESSES - 2);
    journal.write(SSHD, "198.51.100.9", GUESSES);
    daemon.start_again_with(&before, Stdio::null());
    daemon.wait_until_blocked("198.51.100.9");
    daemon.wait_until_figure("applications", "lines", 2 * GUESSES as u64 - 2);
    // One more of each: the counts went on, once.
    journal.write(SSHD, "198.51.100.7", 1);
    daemon.wait_until_blocked("198.51.100.7");
    daemon.wait_until_figure("applications", "lines", 2 * GUESSES as u64 - 1);
    // The sensor is killed, and its journalctl with it.
    let pid = daemon.life("applications").expect("it runs");
    signal("STOP", pid as u32);
    journal.write(SSHD, "198.51.100.10", GUESSES);
    signal("KILL", pid as u32);
    daemon.wait_until_blocked("198.51.100.10");
    daemon.wait_until_figure("applications", "lines", GUESSES as u64);
    let mut blocked = daemon.blocked();
    blocked.retain(|address| address != "198.51.100.99");
    assert_eq!(blocked, ["198.51.100.7", "198.51.100.9", "198.51.100.10"]);
}
