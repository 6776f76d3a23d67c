//! What `status` tells of sources: the same picture as `replay`, from what the daemon has.

use crate::daemon::{Daemon, KERN_LOG, folder, line, network, text, until};
use range::network::VICTIM;
use riposte::control::client::Client;
use riposte::control::protocol::{Done, PAGE, Request};
use std::fs;

const SCANNER: &str = "198.51.100.20";
const OTHER: &str = "198.51.100.21";

#[test]
fn status_has_the_whole_picture() {
    let network = network("picture", 0);
    let (folder, pages) = (folder(), folder());
    let daemon = Daemon::start_in(folder, &network.victim, KERN_LOG, &[]);
    daemon.wait_until_followed("kern.log");
    let scan = |source: &str, ports: std::ops::Range<u16>| -> String { ports.map(|port| line(source, VICTIM, port) + "\n").collect() };
    daemon.append("kern.log", &(scan(SCANNER, 1_000..1_030) + &scan(OTHER, 1_010..1_016)));
    daemon.wait_until_blocked(SCANNER);
    let offenders = |args: &[&str]| daemon.json_one(&[&["status"], args].concat())["offenders"].clone();
    until("both are charged", || (offenders(&[])["levels"].as_array()?.iter().filter_map(|n| n.as_u64()).sum::<u64>() == 2).then_some(()));

    // The worst first; ports by how many sources tried them.
    let all = offenders(&[]);
    assert_eq!((text(&all["worst"][0]["address"]), text(&all["worst"][1]["address"])), (SCANNER.into(), OTHER.into()));
    assert_eq!(all["worst"][0]["decision"]["action"], "block");
    assert!(all["worst"][0]["decision"]["seconds"].as_u64().is_some());
    assert_eq!((all["top_ports"][0]["port"].as_u64(), all["top_ports"][0]["sources"].as_u64()), (Some(1_010), Some(2)));
    assert_eq!(offenders(&["--level", "2"])["in_all"], 1);
    assert_eq!(text(&offenders(&["--address", OTHER])["worst"][0]["address"]), OTHER);
    assert_eq!(offenders(&["--top", "1"])["worst"].as_array().map(Vec::len), Some(1));

    let summary = daemon.text(&["status", "--summary"]);
    assert!(
        summary.contains("ATTACKER") && summary.contains("Level 1: 1 source, level 2: 1 source.") && !summary.contains("PROCESS"),
        "{summary}"
    );
    let one = daemon.text(&["status", "--address", SCANNER]);
    assert!(one.contains("TCP ports   1000-1029") && one.contains("\n1 block.\n") && !one.contains(OTHER), "{one}");
    assert!(daemon.text(&["status"]).contains("PROCESS"));

    let page = pages.path().join("status.html");
    daemon.text(&["status", "--html", page.to_str().unwrap()]);
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains(SCANNER) && html.contains("charges per second") && html.ends_with("</html>\n"), "{html}");
    assert!(String::from_utf8_lossy(&daemon.ask(&["status", "--address", "nobody"]).stderr).contains("nobody"));
}

#[test]
fn a_block_is_found_among_more_than_one_answer_holds() {
    let network = network("pages", 0);
    let daemon = Daemon::start(&network.victim, "");
    let mut client = Client::connect(&daemon.path("sock")).unwrap();
    let crowd = (0..PAGE).map(|n| format!("10.9.{}.{}", n / 256, n % 256));
    for prefix in crowd.chain([OTHER.to_owned()]) {
        client.ask::<Done>(&Request::Block { prefix, seconds: Some(3_600), note: String::new() }).unwrap();
    }
    let one = daemon.text(&["status", "--address", OTHER]);
    assert!(one.contains("\n1 block.\n") && one.contains(OTHER), "{one}");
    let some = daemon.text(&["status", "--address", "10.9.0.0/24", "--top", "3"]);
    assert!(some.contains("\n3 blocks.\n") && some.contains("and 253 others "), "{some}");
}
