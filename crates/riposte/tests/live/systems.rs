//! Fingerprints in the daemon: a real system and a real scanner, told apart by the packets that they send.

use crate::daemon::{Daemon, KERN_LOG, folder, line, network, text, until};
use range::network::{VICTIM, VICTIM6, attacker_address, attacker_address6};
use serde_json::Value;
use std::fs;

/// What somebody's packets look like, by `explain`: name and kind.
fn systems(daemon: &Daemon, address: &str) -> Option<Vec<(String, String)>> {
    let explained = daemon.json_one(&["explain", address]);
    let of = |line: &Value| (text(&line["name"]), text(&line["kind"]));
    explained["systems"].as_array().map(|list| list.iter().map(of).collect())
}

#[test]
fn linux_is_known_by_a_real_curl_and_nmap_by_its_own_packets() {
    let network = network("systems", 2);
    let daemon = Daemon::start(&network.victim, "[fingerprint]\nenabled = true\n");
    let [visitor, scanner] = [0, 1].map(attacker_address);
    // Nobody is there to answer, by either version of IP.
    for url in [format!("http://{VICTIM}:81/"), format!("http://[{VICTIM6}]:81/")] {
        assert!(network.attackers[0].run("curl", ["-s", "-g", "-m", "1", &url]).is_err());
    }
    network.attackers[1].run("nmap", ["-n", "-Pn", "--max-retries", "0", "-sS", "-p", "1000-1009", VICTIM]).expect("nmap is installed");

    let linux = || vec![("Linux 4.19 and newer".to_owned(), "system".to_owned())];
    for address in [visitor, attacker_address6(0)] {
        assert_eq!(until("it is guessed at", || systems(&daemon, &address)), linux(), "{address}");
        let told = daemon.text(&["explain", &address]);
        assert!(told.contains("Its packets look like: Linux 4.19 and newer, 1 hop away."), "{told}");
    }
    let nmap = until("it is guessed at", || systems(&daemon, &scanner));
    assert_eq!(nmap, [("nmap -sS".to_owned(), "scanner".to_owned())], "its system is a Linux too, and did not send this");
    let asked = daemon.wait_until_figure_of_at_least("packets", "packets asked about fingerprints", 3);
    assert!(asked <= 6, "once for each source and kind of packet, not for each packet: {asked}");
}

#[test]
fn the_users_files_are_read_and_read_again_and_change_no_decision() {
    let network = network("own-systems", 0);
    let folder = folder();
    let file = folder.path().join("mine.fp");
    let label = |name: &str| format!("[tcp:request]\nlabel = s:unix:{name}:1\nsig = *:64:0:*:4711,*:mss::0\n");
    fs::write(&file, label("Toaster")).unwrap();
    let config = format!("{KERN_LOG}[fingerprint]\nshipped = false\np0f = [\"{{}}/mine.fp\"]\n");
    let mut daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    daemon.expect_error("not reloaded");
    daemon.wait_until_followed("kern.log");
    // As `iptables -j LOG --log-tcp-options` writes it.
    let knock = |source: &str| {
        let line = line(source, VICTIM, 81).replace("WINDOW=1024", "WINDOW=4711");
        daemon.append("kern.log", &format!("{line} OPT (020405B4) \n"));
    };
    let named = |source: &str| until("it is guessed at", || systems(&daemon, source)).remove(0).0;
    knock("198.51.100.20");
    assert_eq!(named("198.51.100.20"), "Toaster 1");
    assert_eq!(daemon.json(&["list"]), [Value::Null; 0], "whoever it is: one packet is one packet");

    fs::write(&file, "[tcp:request]\nlabel = s:unix:Kettle:1\nsgi = *:64:0:*:4711,*:mss::0\n").unwrap();
    let refusal = daemon.refusal(&["reload"]);
    assert!(refusal.contains("mine.fp:3: 'sgi' is no key") && refusal.contains("did you mean 'sig'?"), "{refusal}");
    knock("198.51.100.21");
    assert_eq!(named("198.51.100.21"), "Toaster 1");
    fs::write(&file, label("Kettle")).unwrap();
    daemon.text(&["reload"]);
    until("the new file is in force", || {
        knock("198.51.100.22");
        systems(&daemon, "198.51.100.22").filter(|known| known.last().is_some_and(|(name, _)| name == "Kettle 1"))
    });
}
