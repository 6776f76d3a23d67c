//! Commands before and after a block, and at touches that block nobody: whatever a program does, the block is set.

use crate::daemon::{Daemon, folder, is_in_set, network, text, until, wait_until_in_kernel};
use range::namespace::Namespace;
use range::network::{VICTIM, attacker_address};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes down what it was told, then does what the port says.
const SCRIPT: &str = r#"#!/bin/sh
echo "$*|$RIPOSTE_ACTION $RIPOSTE_ADDRESS ${RIPOSTE_PORT-none} ${RIPOSTE_PROTOCOL-none} ${RIPOSTE_MODE-none} ${RIPOSTE_LEVEL-none} ${RIPOSTE_RULE-none}|${RIPOSTE_UNTIL:+ends}|$(id -un)" >> DIR/ran
[ "$1" = delete ] && exit
case "$3" in
    1001) while [ ! -e DIR/go ]; do sleep 0.1; done;;
    1002) sleep 1000;;
    1003) echo "no such $2"; exit 3;;
    1004) yes "much" | head -c 10000000;;
    1005) sleep 1000 & echo $! > DIR/left;;
esac
"#;

struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    fn new() -> Programs {
        let this = Programs { folder: folder() };
        fs::set_permissions(this.folder.path(), Permissions::from_mode(0o777)).unwrap();
        let place = this.path("").display().to_string();
        fs::write(this.path("script"), SCRIPT.replace("DIR/", &place)).unwrap();
        fs::set_permissions(this.path("script"), Permissions::from_mode(0o755)).unwrap();
        fs::write(this.path("ran"), "").unwrap();
        fs::set_permissions(this.path("ran"), Permissions::from_mode(0o666)).unwrap();
        this
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn response(&self, name: &str, more: &str) -> String {
        let args = r#"["{action}", "{address}", "{port}", "{protocol}", "s{protocol}; touch /tmp/x `id`", "{rule}"]"#;
        let program = self.path("script").display().to_string();
        format!("[[response]]\nname = \"{name}\"\nprotocol = \"command\"\nprogram = \"{program}\"\nargs = {args}\nlimit = \"2s\"\n{more}\n")
    }

    /// The line that was written down of this address, once it is.
    fn ran(&self, start: &str) -> String {
        let lines = || fs::read_to_string(self.path("ran")).unwrap_or_default();
        until(start, || lines().lines().find(|line| line.starts_with(start)).map(str::to_owned))
    }
}

fn touch(from: &Namespace, port: u16) {
    from.run("ncat", ["-z", "-w", "5", VICTIM, &port.to_string()]).expect("answered");
}

#[test]
fn a_block_waits_for_the_command_before_it_and_for_none_that_goes_wrong() {
    let network = network("commands", 6);
    let programs = Programs::new();
    let guard = "# runs as nobody\n[guard]\ntcp = [\"1000-1999\"]\n";
    let first = programs.response("first", "on = \"touch\"\nwhen = \"before\"\nat_end = true");
    let mut daemon = Daemon::start(&network.victim, &format!("{guard}{first}"));
    touch(&network.attackers[0], 1_001);
    let one = attacker_address(0);
    // Each value stands in its place, and no shell has seen them.
    let told = "tcp stcp; touch /tmp/x `id` -|add ADDRESS 1001 tcp connect 3 none|ends|nobody".replace("ADDRESS", &one);
    assert_eq!(programs.ran(&format!("add {one} ")), format!("add {one} 1001 {told}"));
    assert!(!is_in_set(&network.victim, "blocked4", &one), "it waits");
    fs::write(programs.path("go"), "").unwrap();
    wait_until_in_kernel(&network.victim, &one);
    // Hangs, fails, talks without end, leaves something running: the block is set all the same.
    let why = ["it took too long and was ended", "failed: the program says so; it said: no such", "it said: much", "add: done"];
    for (n, why) in (1..).zip(why) {
        touch(&network.attackers[n], 1_001 + n as u16);
        let address = attacker_address(n);
        wait_until_in_kernel(&network.victim, &address);
        until(why, || daemon.text(&["explain", &address]).contains(why).then_some(()));
    }
    let left = fs::read_to_string(programs.path("left")).unwrap();
    until("what it left running is ended", || (!Path::new("/proc").join(left.trim()).exists()).then_some(()));
    // It is not there any more.
    fs::rename(programs.path("script"), programs.path("gone")).unwrap();
    touch(&network.attackers[5], 1_006);
    wait_until_in_kernel(&network.victim, &attacker_address(5));
    until("it is told", || daemon.text(&["explain", &attacker_address(5)]).contains("can't be started").then_some(()));
    fs::rename(programs.path("gone"), programs.path("script")).unwrap();
    // Killed in the middle, the block is not lost.
    fs::remove_file(programs.path("go")).unwrap();
    daemon.text(&["unblock", &one]);
    programs.ran(&format!("delete {one} 1001 tcp "));
    fs::write(programs.path("ran"), "").unwrap();
    // Who goes on at once is charged again after a while.
    until("it is run again", || {
        touch(&network.attackers[0], 1_001);
        fs::read_to_string(programs.path("ran")).unwrap().contains(&format!("add {one} 1001")).then_some(())
    });
    daemon.kill();
    daemon.start_again();
    wait_until_in_kernel(&network.victim, &one);
    assert_eq!(daemon.blocked().len(), 6);
}

#[test]
fn a_touch_that_is_only_recorded_runs_its_command_and_blocks_nobody() {
    let network = network("recorded", 2);
    let programs = Programs::new();
    let guard = "# runs as nobody\n[guard]\ntcp = [1000]\nudp = [1000]\nblock_tcp = false\nblock_udp = false\n";
    let only = programs.response("only", "on = \"touch\"\nprotocols = [\"tcp\"]");
    let after = programs.response("after", "on = \"block\"");
    let daemon = Daemon::start(&network.victim, &format!("{guard}{only}{after}"));
    let (one, other) = (attacker_address(0), attacker_address(1));
    network.attackers[1].run("nmap", ["-n", "-Pn", "-sU", "-p", "1000", VICTIM]).unwrap();
    until("it is recorded", || (!daemon.json(&["history", &other]).is_empty()).then_some(()));
    touch(&network.attackers[0], 1_000);
    assert!(programs.ran(&format!("add {one} ")).contains(" 1000 tcp connect 3 "));
    // What goes with blocks is run after one, and without a touch there is no port.
    daemon.text(&["block", &other]);
    let line = programs.ran(&format!("add {other} "));
    assert!(line.starts_with(&format!("add {other} - - s-; ")) && line.contains(" none none none none none|ends|"), "{line}");
    until("it is told", || daemon.json(&["history", &one]).iter().find(|line| text(&line["charge"]) == "response only").cloned());
    assert_eq!((daemon.blocked(), fs::read_to_string(programs.path("ran")).unwrap().lines().count()), (vec![other], 2));
}
