//! Active response as OSSEC's and Wazuh's users know it: riposte as one of their scripts.

use crate::daemon::{Daemon, RIPOSTE, folder, is_in_set, network, said, text, until, wait_until_in_kernel};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a script where the daemon answers at its usual place: in a mount namespace of its own.
fn script(daemon: &Daemon, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let place = "mount -t tmpfs tmpfs /run && mkdir /run/riposte && ln -s \"$1\" /run/riposte/control.sock && shift && exec \"$@\"";
    command.args(["-m", "sh", "-c", place, "sh"]).arg(daemon.path("sock")).arg(program).args(args).stdin(Stdio::null());
    command
}

fn run(daemon: &Daemon, program: &Path, args: &[&str]) -> Output {
    script(daemon, program, args).output().expect("unshare is installed")
}

#[test]
fn ossec_s_manager_blocks_through_riposte() {
    let network = network("asossec", 0);
    let daemon = Daemon::start(
        &network.victim,
        "[policy]\nexempt = [\"192.0.2.0/24\"]\nblocks_per_minute = 2\n[policy.spoofable]\nblocks_per_minute = 2\n",
    );
    let home = folder();
    let bin = home.path().join("active-response/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir(home.path().join("logs")).unwrap();
    let [drop, deny] = ["firewall-drop.sh", "host-deny"].map(|name| bin.join(name));
    [&drop, &deny].iter().for_each(|link| std::os::unix::fs::symlink(RIPOSTE, link).unwrap());
    let order = |program: &Path, what: &str, address: &str| {
        run(&daemon, program, &[what, "-", address, "1700000000.4711", "5712", "(web) 10.0.0.9->/var/log/auth.log", "-"])
    };
    let done = order(&drop, "add", "198.51.100.7");
    assert!(done.status.success(), "{}", said(&done));
    wait_until_in_kernel(&network.victim, "198.51.100.7");
    let line = &daemon.json(&["list"])[0];
    assert_eq!(text(&line["why"]), "an operator's order: active response: firewall-drop, alert 1700000000.4711, rule 5712");
    assert!(line["until"].is_string(), "a manager that never comes back blocks nobody for ever");
    let log = fs::read_to_string(home.path().join("logs/active-responses.log")).unwrap();
    assert!(log.ends_with(&format!(" {} add - 198.51.100.7 1700000000.4711 5712\n", drop.display())), "{log}");

    // What it says is judged like everything else: exempt, caps, and what somebody else has blocked.
    let refused = order(&deny, "add", "192.0.2.9");
    assert!(!refused.status.success() && said(&refused).contains("exempt"), "{}", said(&refused));
    assert!(!order(&deny, "add", "198.51.100.9;reboot").status.success());
    daemon.text(&["block", "203.0.113.5"]);
    assert!(order(&deny, "add", "203.0.113.5").status.success() && order(&deny, "delete", "203.0.113.5").status.success());
    assert!(order(&deny, "add", "198.51.100.8").status.success());
    let refused = order(&deny, "add", "198.51.100.9");
    assert!(said(&refused).contains("new blocks for this minute are used up"), "{}", said(&refused));
    assert_eq!(daemon.blocked(), ["198.51.100.7", "198.51.100.8", "203.0.113.5"]);
    // Anew at the manager, nothing new here; and only what he has set is lifted, once or twice.
    assert!(order(&drop, "add", "198.51.100.7").status.success());
    for address in ["198.51.100.7", "198.51.100.8", "198.51.100.8"] {
        assert!(order(&drop, "delete", address).status.success());
    }
    assert_eq!(daemon.blocked(), ["203.0.113.5"]);
    until("it is out of the kernel", || (!is_in_set(&network.victim, "blocked4", "198.51.100.7")).then_some(()));
    let told = daemon.text(&["explain", "198.51.100.7"]);
    assert!(told.contains("set by an operator") && told.contains("lifted by an operator"), "{told}");
}

#[test]
fn wazuh_s_manager_blocks_through_riposte() {
    let network = network("aswazuh", 0);
    let daemon = Daemon::start(&network.victim, "");
    let message = |command: &str| {
        let alert = json!({"id": "1700000000.4711", "rule": {"id": "5763"}, "data": {"srcip": "198.51.100.7"}});
        json!({"version": 1, "origin": {"name": "n", "module": "wazuh-execd"}, "command": command, "parameters": {"alert": alert}})
    };
    let socket = daemon.path("sock").display().to_string();
    let exchange = |command: &str, answer: Option<&str>| {
        let args = ["active-response", "--socket", &socket, "firewall-drop"];
        let mut child = Command::new(RIPOSTE).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        writeln!(input, "{}", message(command)).unwrap();
        if let Some(answer) = answer {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            let asked: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&asked["command"], &asked["parameters"]["keys"][0]), (&json!("check_keys"), &json!("198.51.100.7")));
            writeln!(input, "{}", json!({"version": 1, "command": answer})).unwrap();
        }
        child.wait().unwrap().success()
    };
    assert!(exchange("add", Some("abort")));
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    assert!(exchange("add", Some("continue")));
    wait_until_in_kernel(&network.victim, "198.51.100.7");
    assert!(exchange("delete", None));
    assert_eq!(daemon.blocked(), Vec::<String>::new());
}
