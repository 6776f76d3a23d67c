//! What can be wrong at the start: one clear line each, an exit code, nothing left behind.

use crate::daemon::{Daemon, RIPOSTE, command, copy_for_everybody, folder, is_in_set, network, said, scan_lines, until};
use range::namespace::Namespace;
use range::network::VICTIM;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a daemon that should end by itself. One that doesn't is ended after a minute, which shows as another line.
fn run(host: &Namespace, config: &Path) -> Output {
    let mut command = host.command("timeout");
    command.args(["60", RIPOSTE, "run", "--config"]).arg(config).stdout(Stdio::piped()).output().expect("timeout can be started")
}

#[test]
fn what_prevents_the_start_is_told_in_one_line() {
    let network = network("errors", 0);
    let host = &network.victim;
    let folder = folder();
    let place = folder.path().display().to_string();
    fs::write(folder.path().join("plain"), "x").unwrap();
    fs::write(folder.path().join("latin1.toml"), b"# gr\xfc\xdfe\n").unwrap();
    let base = format!("[store]\npath = \"{place}/store\"\n[control]\nsocket = \"{place}/sock\"\n");
    let cases: [(&str, String, &[&str]); 13] = [
        ("key", "[scan]\npakets = [1, 2, 3, 4, 5]\n".into(), &["key.toml:2:1: unknown key 'pakets' in [scan]; did you mean 'packets'?"]),
        ("home", "[scan]\ndry_run = true\n".into(), &["home.toml:2:1: ", "it belongs in [policy]"]),
        ("threshold", "[scan]\npackets = [5, 15, 15, 1500, 10000]\n".into(), &["threshold.toml:2:", "must rise: 15 is not more than 15"]),
        ("time", "\n\n[scan]\ndecay = \"1 fortnight\"\n".into(), &["time.toml:4:9: ", "1 fortnight"]),
        ("syntax", "[scan\n".into(), &["syntax.toml:1:"]),
        (
            "listen",
            "[[sense.log]]\nkind = \"syslog\"\nlisten = \"0.0.0.0:514\"\n".into(),
            &["listen.toml:3:", "0.0.0.0:514 is no loopback address"],
        ),
        ("group", format!("{base}group = \"no-such-group\"\n"), &["there is no group 'no-such-group'"]),
        ("store", format!("[store]\npath = \"{place}/plain/store\"\n[control]\nsocket = \"{place}/sock\"\n"), &["/plain/store: "]),
        ("socket", format!("[store]\npath = \"{place}/store\"\n[control]\nsocket = \"{place}/plain/sock\"\n"), &["/plain: "]),
        ("folder", format!("{base}[[sense.log]]\nkind = \"file\"\npath = \"{place}\"\n"), &["not a regular file"]),
        ("pipe", format!("{base}[[sense.log]]\nkind = \"pipe\"\npath = \"{place}/plain\"\n"), &["/plain: not a named pipe"]),
        (
            "unix",
            format!("{base}[[sense.log]]\nkind = \"syslog\"\npath = \"{place}/plain\"\n"),
            &["/plain: there is something else than a socket"],
        ),
        ("nowhere", format!("{base}[[sense.log]]\nkind = \"syslog\"\npath = \"{place}/nowhere/log\"\n"), &["/nowhere"]),
    ];
    for (name, text, parts) in cases {
        let config = folder.path().join(format!("{name}.toml"));
        fs::write(&config, text).unwrap();
        complains(host, &config, parts);
    }
    complains(host, &folder.path().join("missing.toml"), &["missing.toml: cannot be read: "]);
    complains(host, &folder.path().join("latin1.toml"), &["latin1.toml:1:5: this is not UTF-8 text"]);
    complains(host, folder.path(), &["cannot be read: "]);
}

#[test]
fn a_check_misses_the_group_and_warns_of_the_user() {
    let folder = folder();
    let config = folder.path().join("names.toml");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        let output = command(&["check", "--config", &config.display().to_string()]);
        (output.status.success(), said(&output))
    };
    let (ok, text) = check("[control]\ngroup = \"nogruop\"\n");
    assert!(!ok && text.contains("names.toml: control.group: there is no group 'nogruop'"), "{text}");
    assert!(check("[control]\ngroup = \"root\"\n").0);
    let (ok, text) = check("[process]\nuser = \"no-such-user\"\n");
    assert!(ok && text.contains("there is no user 'no-such-user' on this machine: 'nobody' is used"), "{text}");
}

fn complains(host: &Namespace, config: &Path, parts: &[&str]) {
    let pids = || range::namespace::run("ip", ["netns", "pids", host.name()]).unwrap();
    let running = pids();
    let output = run(host, config);
    let (line, name) = (said(&output), config.display());
    assert_eq!(output.status.code(), Some(1), "{name}: {line}");
    let complaints = line.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN "));
    let (last, before): (Vec<&str>, Vec<&str>) = complaints.partition(|line| line.starts_with("riposte: "));
    assert_eq!(last.len(), 1, "{name}: {line}");
    // Only a child can say why it could not start.
    assert_eq!(before.len(), usize::from(last[0].contains("see the line above")), "{name}: {line}");
    for part in parts {
        assert!(line.contains(part), "{name}: '{part}' is not in: {line}");
    }
    assert_eq!(pids(), running, "{name}: something is left running");
}

#[test]
fn without_privilege_it_says_so() {
    let folder = folder();
    let binary = folder.path().join("riposte");
    copy_for_everybody(&binary);
    let mut command = Command::new("setpriv");
    let output = command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary).arg("run").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "riposte: riposte run needs root (or CAP_NET_ADMIN): try 'sudo riposte run'\n");
}

#[test]
fn a_second_one_is_told_of_the_first() {
    let network = network("second", 0);
    let daemon = Daemon::start(&network.victim, "");
    daemon.text(&["block", "192.0.2.1"]);
    complains(&network.insider, &daemon.path("config.toml"), &["riposte is running already", "/sock is answered"]);
    // Also with a socket of its own.
    let place = daemon.path("").display().to_string();
    let config = format!("[store]\npath = \"{place}var/store\"\n[control]\nsocket = \"{place}sock2\"\n");
    fs::write(daemon.path("second.toml"), config).unwrap();
    complains(&network.insider, &daemon.path("second.toml"), &["store is in use", "is riposte running already?"]);
    // Also with a store of its own: there is one table in one network namespace.
    let config = format!("[store]\npath = \"{place}var/other\"\n[control]\nsocket = \"{place}sock2\"\n");
    fs::write(daemon.path("third.toml"), config).unwrap();
    complains(&network.victim, &daemon.path("third.toml"), &["riposte is running already in this network namespace"]);
    assert_eq!(daemon.blocked(), ["192.0.2.1"]);
}

#[test]
fn commands_without_a_daemon_say_so() {
    let folder = folder();
    let socket = folder.path().join("sock").display().to_string();
    for args in [&["status"][..], &["list"], &["block", "192.0.2.1"], &["explain", "192.0.2.1"], &["history"]] {
        let output = command(&[args, &["--socket", &socket]].concat());
        let line = said(&output);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.starts_with("riposte: ") && line.contains(&socket) && line.lines().count() == 1, "{line}");
    }
    // A wrong word is clap's to tell, with its own exit code.
    assert_eq!(command(&["blok"]).status.code(), Some(2));
    assert_eq!(command(&["block"]).status.code(), Some(2));
}

#[test]
fn a_damaged_ledger_is_set_aside_and_the_watch_goes_on() {
    let network = network("damage", 0);
    let mut daemon = Daemon::start(&network.victim, "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n");
    daemon.text(&["block", "192.0.2.1"]);
    until("the kernel has it", || is_in_set(&network.victim, "blocked4", "192.0.2.1").then_some(()));
    assert!(daemon.end().success());
    fs::write(daemon.path("var/store/riposte.db"), "this is no database, and was one once ".repeat(1_000)).unwrap();
    daemon.expect_error("the ledger is damaged: it was set aside and a new one is begun");
    daemon.start_again();
    let store = fs::read_dir(daemon.path("var/store")).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert!(store.into_iter().any(|name| name.starts_with("riposte.db.corrupt-")));
    assert!(daemon.log().contains("the ledger is damaged"), "{}", daemon.log());
    // What it had blocked stays blocked, in the kernel's keeping; and it goes on.
    assert!(is_in_set(&network.victim, "blocked4", "192.0.2.1"), "{}", daemon.log());
    daemon.wait_until_followed("kern.log");
    daemon.append("kern.log", &scan_lines("192.0.2.2", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("192.0.2.2");
    assert!(daemon.end().success());
    daemon.start_again();
    assert!(daemon.blocked().contains(&"192.0.2.2".to_owned()));
}
