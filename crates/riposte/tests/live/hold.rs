//! The kernel's hold: whoever's name is forged at a guarded port goes on as before, but that closed ports don't say so to him for a second.

use crate::daemon::{Daemon, network, set, signal, until};
use range::namespace::Namespace;
use range::network::{VICTIM, attacker_address};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

/// Answered ports, and no block for what can be forged: what happens to the forged is the hold's doing alone.
const HOLDS: &str = "[guard]\ntcp = [\"1-1000\"]\n[policy.spoofable]\nmay_block = false\n";

/// What nmap makes of one SYN to this port.
fn reason(from: &Namespace, port: &str) -> String {
    from.run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "--reason", "-p", port, VICTIM]).unwrap()
}

/// Begins a service that says what it hears.
fn serve(host: &mut Namespace, protocol: &str, port: &str) {
    let listen = if protocol == "udp" { "udp-recvfrom" } else { "tcp-listen" };
    host.start("socat", [&format!("{listen}:{port},fork,reuseaddr"), "exec:cat"]).expect("socat is installed");
    until("it listens", || host.run("ss", ["-Hlntu", "sport", "=", port]).ok().filter(|text| !text.trim().is_empty()));
}

#[test]
fn a_forged_name_goes_on_with_all_its_business() {
    let mut network = network("held", 2);
    serve(&mut network.victim, "tcp", "8080");
    let exempt = attacker_address(1);
    let daemon = Daemon::start(&network.victim, &format!("{HOLDS}[policy]\nexempt = [\"{exempt}\"]\n"));
    let client = &network.attackers[0];
    let mut connection =
        client.command("ncat").args([VICTIM, "8080"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ncat is installed");
    let mut answers = BufReader::new(connection.stdout.take().unwrap());
    let mut echo = |connection: &mut Child| {
        connection.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(echo(&mut connection), "hello\n");
    // Somebody else sends SYNs to guarded ports in both their names, all the time.
    let forgers = [&attacker_address(0), &exempt].map(|name| {
        let args = ["-q", "-a", name, "-S", "-p", "23", "-i", "u20000", VICTIM];
        network.insider.start("hping3", args).expect("hping3 is installed")
    });
    until("it is held", || set(&network.victim, "held4").contains(&attacker_address(0)).then_some(()));
    assert!(reason(client, "5000").contains("no-response") && reason(&network.attackers[1], "5000").contains("reset"));
    // What stands goes on, what is known is reached, and so is what begins in this moment.
    assert_eq!(echo(&mut connection), "hello\n");
    assert!(client.run("ncat", ["-z", "-w", "5", VICTIM, "8080"]).is_ok());
    for (protocol, port) in [("tcp", "9090"), ("udp", "9091")] {
        serve(&mut network.victim, protocol, port);
        let ask = format!("echo hello | socat -t 5 - {protocol}:{VICTIM}:{port}");
        assert_eq!(client.run("sh", ["-c", &ask]).unwrap(), "hello\n", "{protocol}");
    }
    assert!(!set(&network.victim, "held4").contains(&exempt));
    assert!(daemon.figure("packets dropped on hold") > 0 && daemon.blocked().is_empty());
    forgers.into_iter().for_each(|forger| signal("KILL", forger));
    drop(connection.kill().and_then(|()| connection.wait()));
    until("it is told again what is closed", || reason(client, "5000").contains("reset").then_some(()));
}

/// What may not block, or takes several touches to decide, is not helped by the kernel.
#[test]
fn nobody_is_held_where_a_touch_does_not_decide() {
    let network = network("unheld", 1);
    let daemon = Daemon::start(&network.victim, HOLDS);
    let ports = |set_name: &str| {
        let text = set(&network.victim, set_name);
        text.split_once("elements = {").map(|(_, ports)| ports.split_whitespace().next().unwrap_or_default().to_owned())
    };
    assert_eq!([ports("holds_tcp"), ports("holds_udp")], [Some("1-21,".to_owned()), None], "administrators' port is none of it");
    for more in ["[policy]\ndry_run = true\n", "trigger = 2\n", "block_tcp = false\n"] {
        let config = if more.starts_with('[') { format!("{HOLDS}{more}") } else { HOLDS.replace("[policy", &format!("{more}[policy")) };
        daemon.configure(&config);
        daemon.text(&["reload"]);
        assert_eq!(ports("holds_tcp"), None, "{more}");
    }
    daemon.configure(HOLDS);
    daemon.text(&["reload"]);
    assert!(ports("holds_tcp").is_some());
}
