//! What once worked against riposte's ancestors, tried against riposte: THREATS.md names these tests.

use crate::daemon::{Daemon, folder, is_in_set, network, scan_lines, until};
use range::network::VICTIM;
use std::fs;

const SCANNER: &str = "198.51.100.7";

/// What remote people put into logs to have somebody else blocked or something run: user names, host names, URLs, protocol banners.
/// The first two are DenyHosts' (CVE-2007-4323 and its sequel), the third fail2ban's (CVE-2013-7177), the fourth fail2ban's mail (CVE-2021-32749).
const INJECTED: [&str; 12] = [
    "sshd[4]: Bad protocol version identification 'User root from 203.0.113.77 not allowed because none of user's groups are listed in AllowGroups' from 198.51.100.7",
    "sshd[4]: Invalid user Invalid user root from 203.0.113.77 from 198.51.100.7 port 22",
    "cyrus/imaps[4]: badlogin: [203.0.113.77] from host.example [198.51.100.7] plaintext root [203.0.113.77] SASL(-13): authentication failure",
    "fail2ban.actions[4]: NOTICE [sshd] Ban 203.0.113.77 ~! touch /tmp/rp-pwned",
    "sshd[4]: Invalid user $(touch /tmp/rp-pwned) from 203.0.113.77 port 22",
    "sshd[4]: Invalid user `touch /tmp/rp-pwned` from 203.0.113.77;touch /tmp/rp-pwned port 22",
    "apache2[4]: [client 203.0.113.77] user root: authentication failure for \"/\": Password Mismatch, referer: [client 198.51.100.7]",
    "asterisk[4]: NOTICE[1]: Registration from '203.0.113.77' failed for '198.51.100.7' - Wrong password",
    "sshd[4]: Invalid user kernel: [1.000000] DROP IN=eth0 OUT= MAC= SRC=203.0.113.77 DST=203.0.113.10 LEN=44 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=4 DPT=99 WINDOW=1024 RES=0x00 SYN URGP=0",
    "sshd[4]: Invalid user x\rNov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= MAC= SRC=203.0.113.77 DST=203.0.113.10 LEN=44 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=4 DPT=98 WINDOW=1024 RES=0x00 SYN URGP=0",
    "sshguard[4]: Blocking \"203.0.113.77/32\" for 120 secs (3 attacks in 1 secs, after 1 abuses over 1 secs.)",
    "kernel[4]: refused connect from evil.example (203.0.113.77)",
];

const LOG: &str = "[[sense.log]]\nkind = \"file\"\npath = \"{}/all.log\"\nfrom = \"start\"\n";

#[test]
fn injected_text_blocks_nobody_and_runs_nothing() {
    let network = network("inject", 0);
    let daemon = Daemon::start(&network.victim, LOG);
    let now = jiff::Timestamp::now();
    let lines: Vec<String> = INJECTED.iter().map(|text| format!("{now} gw {text}\n")).collect();
    (0..100).for_each(|_| daemon.append("all.log", &lines.concat()));
    daemon.append("all.log", &scan_lines(SCANNER, VICTIM, 1_000..1_006));
    daemon.wait_until_blocked(SCANNER);
    daemon.wait_until_figure("all.log", "lines", 1_206);
    assert_eq!(daemon.blocked(), [SCANNER]);
    assert!(!fs::exists("/tmp/rp-pwned").unwrap());
}

/// CVE-2020-8445: OSSEC passed on control characters from logs to its own log and to terminals.
#[test]
fn nothing_from_a_log_commands_a_terminal() {
    let network = network("escapes", 0);
    let daemon = Daemon::start(&network.victim, LOG);
    let evil = scan_lines(SCANNER, VICTIM, 1_000..1_006).replace("DROP IN", "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31mDROP IN");
    daemon.append("all.log", &evil);
    daemon.wait_until_blocked(SCANNER);
    let told = [&["explain", SCANNER][..], &["history"], &["list"], &["status"], &["history", "--json"], &["explain", SCANNER, "--json"]];
    for text in told.map(|args| daemon.text(args)).into_iter().chain([daemon.log()]) {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{}", text.escape_debug());
    }
}

/// psad waits for whois and DNS in the process that detects.
#[test]
fn names_that_do_not_resolve_hold_up_nothing() {
    let network = network("names", 0);
    let folder = folder();
    // A resolver that swallows every question: the name server's address is the insider's, and nobody there answers, nor refuses.
    network
        .insider
        .run("nft", ["add table ip swallow; add chain ip swallow in { type filter hook input priority 0; policy drop; }"])
        .unwrap();
    let resolv = folder.path().join("resolv.conf").display().to_string();
    fs::write(&resolv, "nameserver 203.0.113.53\noptions timeout:30 attempts:5\n").unwrap();
    fs::write(folder.path().join("all.log"), scan_lines(SCANNER, VICTIM, 1_000..1_006)).unwrap();
    let script = format!("mount --bind {resolv} /etc/resolv.conf && exec \"$@\"");
    let config = format!("[policy]\nexempt = [\"never.example\"]\n{LOG}");
    let daemon = Daemon::launch(folder, &network.victim, &config, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    until("the scanner is in the kernel's set", || {
        let table = network.victim.run("nft", ["list", "tables"]).ok()?;
        (table.contains("riposte") && is_in_set(&network.victim, "blocked4", SCANNER)).then_some(())
    });
    assert!(daemon.life("lookup").is_some(), "the name is still asked for");
}

/// PortSentry remembers the last 50 sources; the fifty-first pushes the first one out.
#[test]
fn a_crowd_hides_nobody() {
    let network = network("crowd", 0);
    let config = format!("[policy.spoofable]\nblocks_per_minute = 1000\nblocks_standing = 1000\n[policy.storm]\noffenders = 1000\n{LOG}");
    let daemon = Daemon::start(&network.victim, &config);
    let source = |n: u16| format!("198.51.{}.{}", 100 + n / 250, 1 + n % 250);
    // Everybody's first probe before anybody's second.
    for port in 1_000..1_006 {
        let round: String = (0..300).map(|n| scan_lines(&source(n), VICTIM, port..port + 1)).collect();
        daemon.append("all.log", &round);
    }
    until("all are blocked", || (daemon.blocked().len() == 300).then_some(()));
}

/// CrowdSec #936: an address read one digit short blocks somebody else.
#[test]
fn no_address_is_read_short_or_long() {
    let network = network("digits", 0);
    let daemon = Daemon::start(&network.victim, LOG);
    for wrong in ["203.0.113.777", "203.0.113.77a", "203.0.113.77.5", "203.0.113.077", "1203.0.113.77", "203.0.113.77,"] {
        daemon.append("all.log", &scan_lines(wrong, VICTIM, 1_000..1_006));
    }
    daemon.append("all.log", &scan_lines("198.51.100.70", VICTIM, 1_000..1_006));
    daemon.wait_until_blocked("198.51.100.70");
    daemon.wait_until_figure("all.log", "lines", 42);
    assert_eq!(daemon.blocked(), ["198.51.100.70"]);
}
