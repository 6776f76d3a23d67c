//! Fingerprints in the daemon: a real system and a real scanner, told apart by the packets that they send.

use crate::daemon::{Daemon, network, text, until};
use range::network::{VICTIM, VICTIM6, attacker_address, attacker_address6};
use serde_json::Value;

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
