//! Who must never be blocked never is, however loudly the evidence speaks against him, and `explain` says why.

use crate::daemon::{Daemon, folder, is_in_set, network, scan_lines, set, text, until};
use range::network::{GATEWAY, VICTIM, VICTIM6, attacker_address};
use std::fs;

const RESOLVER: &str = "192.0.2.53";
const LOG: &str = "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";

#[test]
fn gateway_resolver_and_own_addresses_are_never_blocked() {
    let network = network("exempt", 1);
    let folder = folder();
    // The daemon sees its own resolv.conf: in a mount namespace of its own.
    let resolv = folder.path().join("resolv.conf").display().to_string();
    fs::write(&resolv, format!("nameserver {RESOLVER}\n")).unwrap();
    let script = format!("mount --bind {resolv} /etc/resolv.conf && exec \"$@\"");
    let config = format!("[policy]\nexempt = [\"192.0.2.128/25\"]\n{LOG}");
    let daemon = Daemon::start_in(folder, &network.victim, &config, &["unshare", "-m", "sh", "-c", &script, "sh"]);

    daemon.wait_until_followed("kern.log");
    let exempt = [
        (GATEWAY, "default gateway"),
        (RESOLVER, "resolver"),
        (VICTIM, "own address"),
        (VICTIM6, "own address"),
        ("192.0.2.200", "the configuration"),
        ("198.41.0.4", "DNS root server"),
    ];
    for (address, _) in exempt {
        let target = if address.contains(':') { "2001:db8:13::11" } else { "203.0.113.11" };
        daemon.append("kern.log", &scan_lines(address, target, 1_000..1_020));
    }
    // The same on the wire: forged by somebody on the same cable.
    let forge = |from: &str| network.insider.run("hping3", ["-q", "-S", "-a", from, "-p", "++2000", "-c", "20", "-i", "u500", VICTIM]);
    for address in [GATEWAY, RESOLVER, "192.0.2.99"] {
        // hping3 ends with an error as nobody answers it.
        let _ = forge(address);
    }
    daemon.wait_until_blocked("192.0.2.99");
    daemon.wait_until_figure("kern.log", "packets", 120);
    daemon.append("kern.log", &scan_lines("192.0.2.100", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("192.0.2.100");

    assert_eq!(daemon.blocked(), ["192.0.2.99", "192.0.2.100"]);
    for (address, why) in exempt {
        let set = if address.contains(':') { "blocked6" } else { "blocked4" };
        assert!(!is_in_set(&network.victim, set, address), "{address}");
        let explained = daemon.json_one(&["explain", address]);
        assert!(text(&explained["exempt"]).contains(why), "{address}: {}", explained["exempt"]);
        assert!(daemon.text(&["explain", address]).starts_with(&format!("{address} is never blocked: ")));
        let refusal = daemon.refusal(&["block", address]);
        assert!(refusal.contains("is exempt") && refusal.contains(why), "{refusal}");
    }
    // The kernel itself lets the derived ones pass, whatever its sets say.
    for address in [GATEWAY, RESOLVER, VICTIM] {
        assert!(set(&network.victim, "exempt4").contains(address), "{address}");
    }
    let refusal = daemon.refusal(&["block", "203.0.113.0/24"]);
    assert!(refusal.contains("it holds ") && refusal.contains("exempt"), "{refusal}");
}

#[test]
fn allowing_lifts_the_block_and_protects_until_it_is_taken_back() {
    let network = network("allow", 1);
    let daemon = Daemon::start(&network.victim, LOG);
    daemon.wait_until_followed("kern.log");
    let scanner = attacker_address(0);
    let mut seen = 0_u16;
    let mut scan = || {
        daemon.append("kern.log", &scan_lines(&scanner, VICTIM, 1_000 + seen..1_020 + seen));
        seen += 20;
        daemon.wait_until_figure("kern.log", "packets", u64::from(seen));
    };
    scan();
    daemon.wait_until_blocked(&scanner);
    until("the kernel has it", || is_in_set(&network.victim, "blocked4", &scanner).then_some(()));

    let said = daemon.text(&["allow", &scanner, "--for", "1h"]);
    assert!(said.contains(&format!("{scanner} is never blocked")), "{said}");
    until("the kernel lets it go", || (!is_in_set(&network.victim, "blocked4", &scanner)).then_some(()));
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    scan();
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    assert_eq!(daemon.json_one(&["explain", &scanner])["exempt"], "allowed by an operator");
    let allowed = daemon.json_one(&["allow"]);
    assert_eq!(allowed["prefix"], scanner);
    assert!(!text(&allowed["until"]).is_empty());
    assert!(daemon.refusal(&["block", &scanner]).contains("allowed by an operator"));

    daemon.text(&["allow", "--remove", &scanner]);
    assert!(daemon.refusal(&["allow", "--remove", &scanner]).contains("is not on the list"));
    assert_eq!(daemon.json(&["allow"]).len(), 0);
    assert_eq!(daemon.json_one(&["explain", &scanner])["exempt"], serde_json::Value::Null);
    // Who goes on is charged again, though not for every packet.
    until("it is blocked again", || {
        scan();
        daemon.blocked().contains(&scanner).then_some(())
    });

    // One address of a blocked range: the range would hold him, so it goes.
    daemon.text(&["block", "192.0.2.0/24"]);
    let said = daemon.text(&["allow", "192.0.2.9"]);
    assert!(said.contains("1 block was lifted for it"), "{said}");
    assert_eq!(daemon.blocked(), [scanner]);
}

#[test]
fn a_name_that_is_resolved_late_protects_from_then_on() {
    let network = network("late", 0);
    let folder = folder();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let config = format!("[policy]\nexempt = [\"late.invalid\"]\n{LOG}");
    let daemon = Daemon::start_in(folder, &network.victim, &config, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    until("it was asked for in vain", || daemon.log().contains("name not resolved").then_some(()));
    let exempt = || text(&daemon.json_one(&["explain", "192.0.2.77"])["exempt"]);
    assert_eq!(exempt(), "");
    fs::write(&hosts, "127.0.0.1 localhost\n192.0.2.77 late.invalid\n").unwrap();
    until("the name protects", || exempt().contains("configuration").then_some(()));
    until("all is resolved", || daemon.life("lookup").is_none().then_some(()));
}
