//! Guarded ports: a whole connection proves who it was and earns the full block; real services, forwarded traffic and the exempt never
//! notice; what only looks like a touch is no more than it was.

use crate::daemon::{Daemon, network, text, until};
use range::namespace::Namespace;
use range::network::{Network, VICTIM, VICTIM6, attacker_address, attacker_address6};

/// Connects, and hands over what the other side said until it ended the connection.
fn knock(from: &Namespace, to: &str, port: &str) -> String {
    // Ends by itself: the guard lets go after some seconds.
    let output = from.command("ncat").args(["-w", "30", to, port]).output().expect("ncat is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a connection can be made.
fn connects(from: &Namespace, to: &str, port: &str) -> bool {
    from.run("ncat", ["-z", "-w", "5", to, port]).is_ok()
}

fn serve(host: &mut Namespace, port: &str) {
    host.start("ncat", ["-l", "-k", "-e", "/bin/cat", port]).expect("ncat is installed");
    until("the service listens", || host.run("ss", ["-Hltn", "sport", "=", port]).ok().filter(|text| !text.trim().is_empty()));
}

#[test]
fn a_whole_connection_to_a_guarded_port_earns_the_full_block() {
    let network = network("touch", 2);
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [31337, \"60000-65535\"]\nbanner = \"220 ready\"\nportsentry = true\n");
    let (one, six) = (attacker_address(0), attacker_address6(1));
    // The very last port, and the other family.
    assert_eq!(knock(&network.attackers[0], VICTIM, "65535"), "220 ready\r\n");
    knock(&network.attackers[1], VICTIM6, "31337");
    daemon.wait_until_blocked(&one);
    daemon.wait_until_blocked(&six);
    for address in [&one, &six] {
        let block = daemon.json(&["list"]).into_iter().find(|line| line["address"] == **address).expect("listed");
        let words = ["charge", "trust"].map(|key| text(&block[key]));
        assert_eq!(
            (words, block["level"].as_u64(), &block["styles"]),
            (["touch of a guarded port".into(), "handshake".into()], Some(3), &serde_json::json!(["connect"]))
        );
        assert_eq!(daemon.json(&["history", address])[0]["seconds"], 3_600);
    }
    let why = daemon.json_one(&["explain", &one]);
    assert_eq!(
        (text(&why["quote"]["log"]), text(&why["quote"]["line"])),
        ("guarded ports".into(), "tcp/65535 (connect), 1 hop away".into())
    );
    assert!(text(&why["verdict"]).contains("for a touch of a guarded port at level 3"), "{why}");
    // PortSentry's own lines are those that fail2ban's stock filter and people's scripts read.
    let lines = std::fs::read_to_string(daemon.path("var/store/portsentry.history")).unwrap();
    assert!(lines.lines().next().unwrap().ends_with(&format!(" Host: {one}/{one} Port: 65535 TCP Blocked")), "{lines}");
    assert_eq!(std::fs::read_to_string(daemon.path("var/store/portsentry.blocked")).unwrap(), lines);
    // fail2ban's stock filter, as `scripts/compare-fail2ban` holds ours against fail2ban's own reading of it.
    let filter = r"\/<HOST> Port\: [0-9]+ (TCP|UDP) Blocked$";
    let hits = crate::daemon::command(&["regex", "-o", "ip", &daemon.path("var/store/portsentry.history").display().to_string(), filter]);
    assert_eq!(crate::daemon::said(&hits).lines().collect::<Vec<_>>(), [one.as_str(), six.as_str()], "{lines}");
    assert!(daemon.log().contains(&format!("attackalert: Connect from host: {six}/{six} to TCP port: 31337")));
    assert_eq!(daemon.sensor_figure("guard", "touches"), Some(2));
    assert!(!connects(&network.attackers[0], VICTIM, "31337"), "the blocked are answered no more");
}

#[test]
fn half_open_and_forged_packets_to_guarded_ports_stay_what_they_are() {
    let network = network("halfopen", 3);
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [\"1-65535\"]\nudp = [\"aware\"]\n");
    // A SYN scan sees an open port, is no touch, and a scan all the same.
    let seen = network.attackers[0].run("nmap", ["-n", "-Pn", "-sS", "-p", "1000-1004", VICTIM]).unwrap();
    assert!(seen.contains("/tcp open"), "{seen}");
    daemon.wait_until_blocked(&attacker_address(0));
    // One datagram is a touch; it proves nothing, and nobody is answered.
    let answer = network.attackers[1].command("ncat").args(["-u", "-w", "1", VICTIM, "161"]).output().unwrap();
    assert!(answer.stdout.is_empty());
    network.attackers[1].run("nmap", ["-n", "-Pn", "-sU", "-p", "161", VICTIM]).unwrap();
    daemon.wait_until_blocked(&attacker_address(1));
    // A datagram to another port is no more than a probe.
    network.attackers[2].run("nmap", ["-n", "-Pn", "-sU", "-p", "4711", VICTIM]).unwrap();
    let blocks = daemon.json(&["list"]);
    let told: Vec<_> = blocks.iter().map(|block| (text(&block["address"]), text(&block["charge"]), text(&block["trust"]))).collect();
    let expected = [(0, "port scan"), (1, "touch of a guarded port")];
    assert_eq!(told, expected.map(|(n, charge)| (attacker_address(n), charge.to_owned(), "spoofable".to_owned())));
    assert_eq!(daemon.json(&["history", &attacker_address(1)])[0]["seconds"], 600, "forgeable evidence earns no full block");
    assert_eq!(daemon.sensor_figure("guard", "touches"), Some(0));
}

/// What is guarded here is all there is, with two descriptors.
#[test]
fn real_services_have_precedence_from_their_first_connection_on() {
    let mut network = network("services", 3);
    serve(&mut network.victim, "8080");
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [\"1-65535\"]\n");
    assert!(connects(&network.attackers[0], VICTIM, "8080"));
    // A service that begins later takes its port, and its first client reaches it.
    serve(&mut network.victim, "9090");
    assert!(connects(&network.attackers[0], VICTIM, "9090") && connects(&network.attackers[0], VICTIM6, "9090"));
    let client =
        network.attackers[1].command("sh").args(["-c", &format!("(echo hello; sleep 1) | ncat -w 5 {VICTIM} 9090")]).output().unwrap();
    assert_eq!(client.stdout, b"hello\n");
    assert_eq!((daemon.blocked(), daemon.sensor_figure("guard", "touches")), (Vec::new(), Some(0)));
    // Who connects to a port beside it has touched.
    assert!(connects(&network.attackers[2], VICTIM, "9091"));
    daemon.wait_until_blocked(&attacker_address(2));
    let guard = daemon.life("guard").expect("a process");
    assert!(std::fs::read_dir(format!("/proc/{guard}/fd")).unwrap().count() < 20);
}

#[test]
fn a_port_whose_service_has_ended_is_guarded_again() {
    let mut network = network("back", 1);
    let pid = network.victim.start("ncat", ["-l", "-k", "9090"]).unwrap();
    until("it listens", || network.victim.run("ss", ["-Hltn", "sport", "=", "9090"]).ok().filter(|text| !text.trim().is_empty()));
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [9090]\n");
    assert!(connects(&network.attackers[0], VICTIM, "9090"));
    assert_eq!(daemon.sensor_figure("guard", "touches"), Some(0));
    crate::daemon::signal("KILL", pid);
    // The packet sensor looks for services while packets come, twice a minute.
    for _ in 0..90 {
        if connects(&network.attackers[0], VICTIM, "9090") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    daemon.wait_until_blocked(&attacker_address(0));
}

#[test]
fn the_same_connection_again_is_seen_again() {
    let network = network("again", 1);
    // Recorded only, so that the second attempt is not dropped.
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [23]\nblock_tcp = false\nportsentry = true\n");
    for times in 1..=3 {
        // The same source port each time: in PortSentry's connect mode TIME-WAIT hides it for a minute.
        knock(&network.attackers[0], VICTIM, "23");
        network.attackers[0].run("ncat", ["-z", "-p", "40000", VICTIM, "23"]).expect("answered");
        until("it is counted", || daemon.sensor_figure("guard", "touches").filter(|touches| *touches == 2 * times));
    }
    assert_eq!(network.victim.run("ss", ["-Htan", "state", "time-wait"]).unwrap(), "");
    let history = daemon.json(&["history", &attacker_address(0)]);
    assert_eq!((text(&history[0]["decision"]), daemon.blocked()), ("watch".into(), Vec::new()));
    assert!(text(&history[0]["why"]).contains("only records"), "{history:?}");
    let ignored = |line: &str| line.ends_with(" attackalert: Ignoring TCP response per configuration file setting.");
    assert!(daemon.log().lines().any(ignored) && !daemon.path("var/store/portsentry.history").exists(), "{}", daemon.log());
}

#[test]
fn forwarded_and_exempt_traffic_is_left_alone() {
    let mut network: Network = network("untouched", 2);
    serve(&mut network.victim, "8080");
    let exempt = attacker_address(1);
    // Where the kernel filters bridged packets before it knows whose they are, nothing can be directed to a socket.
    let _: Result<(), _> = network.gateway.sysctl("net.bridge.bridge-nf-call-iptables=0");
    let daemon = Daemon::start(&network.gateway, &format!("[guard]\ntcp = [\"1-65535\"]\n[policy]\nexempt = [\"{exempt}\"]\n"));
    assert!(connects(&network.attackers[0], VICTIM, "8080") && !connects(&network.attackers[0], VICTIM, "8081"));
    assert!(!connects(&network.attackers[1], "198.51.100.1", "23"), "the exempt see what there is: nothing");
    assert_eq!((daemon.blocked(), daemon.sensor_figure("guard", "touches")), (Vec::new(), Some(0)));
    assert!(connects(&network.attackers[0], "198.51.100.1", "23"));
    daemon.wait_until_blocked(&attacker_address(0));
}

#[test]
fn connections_are_bounded_and_every_one_counts() {
    let network = network("many", 1);
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [\"1-65535\"]\nblock_tcp = false\n[policy.spoofable]\nmay_block = false\n");
    // Hundreds of connections at one time; one of the ports is administrators', and never guarded.
    network.attackers[0].run("nmap", ["-n", "-Pn", "-sT", "-T5", "-p", "1-1000", VICTIM]).unwrap();
    daemon.wait_until_figure_of_at_least("guard", "touches", 999);
    assert!(daemon.sensor_figure("guard", "connections held now").unwrap() <= 8);
    assert_eq!(daemon.sensor_figure("guard", "events dropped, judge too slow"), Some(0));
}

#[test]
fn other_ports_are_guarded_after_a_reload() {
    let network = network("regard", 4);
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [23]\nblock_tcp = false\n");
    let [one, two, three, four] = [0, 1, 2, 3].map(|n| &network.attackers[n]);
    assert!(connects(one, VICTIM, "23") && !connects(one, VICTIM, "9000"));
    daemon.configure("[guard]\ntcp = [9000]\nudp = [161]\nbanner = \"220 ready\"\nportsentry = true\n");
    assert_eq!(daemon.text(&["reload"]).lines().filter(|line| line.contains("restart")).count(), 0);
    // Nobody answers at the old port, and riposte at the new one, with what it is to say now.
    assert!(!connects(two, VICTIM, "23"));
    assert_eq!(knock(two, VICTIM, "9000"), "220 ready\r\n");
    daemon.wait_until_blocked(&attacker_address(1));
    three.run("nmap", ["-n", "-Pn", "-sU", "--max-retries", "0", "-p", "161", VICTIM]).unwrap();
    daemon.wait_until_blocked(&attacker_address(2));
    until("PortSentry's lines are there", || {
        let lines = std::fs::read_to_string(daemon.path("var/store/portsentry.history")).ok()?;
        (lines.contains("Port: 9000 TCP") && lines.contains("Port: 161 UDP")).then_some(())
    });
    // In stealth nobody answers any more: the process that did is gone.
    daemon.configure("[guard]\ntcp = [9000]\nstealth = true\n");
    daemon.text(&["reload"]);
    assert!(!connects(four, VICTIM, "9000"));
    daemon.wait_until_blocked(&attacker_address(3));
    until("nobody answers", || daemon.life("guard").is_none().then_some(()));
}

/// Each probe is from somebody else, and called what PortSentry calls it: by its flags alone, whatever riposte knows of its tool.
#[test]
fn portsentry_s_lines_name_each_probe_as_it_does() {
    let unknown = |flags: &str| format!("Unknown Type: TCP Packet Flags: {flags} RST: 0");
    let probes: [(&[&str], String); 10] = [
        (&["nmap", "-sS"], "TCP SYN/Normal scan".into()),
        (&["nmap", "-sT"], "TCP SYN/Normal scan".into()),
        (&["nmap", "-sF"], "TCP FIN scan".into()),
        (&["nmap", "-sN"], " TCP NULL scan".into()),
        (&["nmap", "-sX"], "TCP XMAS scan".into()),
        (&["nmap", "-sS", "--scanflags", "SYNFIN"], unknown("SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 0")),
        (&["nmap", "-sS", "--scanflags", "URGPSH"], unknown("SYN: 0 FIN: 0 ACK: 0 PSH: 1 URG: 1")),
        (&["nmap", "-sS", "--scanflags", "ECESYN"], "TCP SYN/Normal scan".into()),
        (&["nmap", "-sU"], "UDP scan".into()),
        (&["masscan"], "TCP SYN/Normal scan".into()),
    ];
    let network = network("named", probes.len());
    let daemon = Daemon::start(&network.victim, "[guard]\nstealth = true\ntcp = [31337]\nudp = [31337]\nportsentry = true\n");
    for (attacker, (command, _)) in network.attackers.iter().zip(&probes) {
        let (tool, how) = command.split_first().expect("a tool");
        let how = match *tool {
            "masscan" => vec!["--wait", "0", "--rate", "100", "-p", "31337", VICTIM],
            _ => [how, &["-n", "-Pn", "--max-retries", "0", "-p", "31337", VICTIM]].concat(),
        };
        attacker.run(tool, how).unwrap();
    }
    for (n, (command, what)) in probes.iter().enumerate() {
        let address = attacker_address(n);
        daemon.wait_until_blocked(&address);
        let protocol = if command.contains(&"-sU") { "UDP" } else { "TCP" };
        let line = format!(" attackalert: {what} from host: {address}/{address} to {protocol} port: 31337");
        until("it is told", || daemon.log().lines().any(|told| told.ends_with(&line)).then_some(()));
    }
    let history = std::fs::read_to_string(daemon.path("var/store/portsentry.history")).unwrap();
    assert_eq!(history.lines().filter(|line| line.ends_with(" Port: 31337 TCP Blocked")).count(), 9, "{history}");
}
