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

/// A script in OSSEC's way: writes its arguments into its installation's log, finds that by its own place.
const OSSEC_SCRIPT: &str = "#!/bin/sh
cd \"$(dirname \"$0\")\" && cd ../..
args=$(printf '%s|' \"$@\")
echo \"$args$(id -un) $(pwd)\" >> logs/ran
case \"$3\" in 203.0.113.66) sleep 1000;; 203.0.113.67) exit 3;; 203.0.113.68) yes x | head -c 1000000;; esac
exit 0
";

/// One in Wazuh's way, with its exchange of keys.
const WAZUH_SCRIPT: &str = "#!/usr/bin/python3
import json, sys
order = json.loads(sys.stdin.readline())
alert = order['parameters']['alert']
def log(text):
    with open('logs/ran', 'a') as f: f.write(text + '\\n')
if order['command'] == 'add':
    print(json.dumps({'version': 1, 'origin': {'name': 'w.py', 'module': 'active-response'}, 'command': 'check_keys', 'parameters': {'keys': [alert['data']['srcip']]}}), flush=True)
    answer = json.loads(sys.stdin.readline())
    if answer['command'] != 'continue':
        log('aborted')
        sys.exit(0)
log(' '.join([order['command'], alert['data']['srcip'], alert['data'].get('dstuser', '-'), ','.join(order['parameters']['extra_args']), order['parameters']['program']]))
";

/// OSSEC's rules with responses, and an installation with scripts that anybody may write the log of.
struct Installation {
    home: tempfile::TempDir,
}

impl Installation {
    fn new(conf: &str) -> Installation {
        let home = folder();
        for dir in ["active-response/bin", "logs", "etc", "rules"] {
            fs::create_dir_all(home.path().join(dir)).unwrap();
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(home.path().join("logs"), open).unwrap();
        // Whoever comes first must not keep the others from it.
        let ran = home.path().join("logs/ran");
        fs::write(&ran, "").unwrap();
        fs::set_permissions(ran, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let this = Installation { home };
        this.script("custom.sh", OSSEC_SCRIPT);
        this.script("w.py", WAZUH_SCRIPT);
        let stock = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ossec"));
        for file in ["etc/decoder.xml", "rules/rules_config.xml", "rules/local_rules.xml"] {
            let _ = fs::copy(stock.join(file), this.home.path().join(file));
        }
        let includes = "<rules><include>rules_config.xml</include><include>local_rules.xml</include></rules>";
        fs::write(this.home.path().join("etc/ossec.conf"), format!("<ossec_config>{includes}{conf}</ossec_config>")).unwrap();
        this
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.home.path().join("active-response/bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn place(&self) -> String {
        self.home.path().display().to_string()
    }

    fn ran(&self) -> Vec<String> {
        fs::read_to_string(self.home.path().join("logs/ran")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until scripts have left so many lines.
    fn wait_until_ran(&self, lines: usize) -> Vec<String> {
        until("the scripts have run", || Some(self.ran()).filter(|ran| ran.len() >= lines))
    }
}

fn response(installation: &Installation, name: &str, protocol: &str, program: &str, more: &str) -> String {
    let program = format!("{}/active-response/bin/{program}", installation.place());
    format!("[[response]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\nprogram = \"{program}\"\n{more}\n")
}

/// Changes nothing in between: what a script is for.
fn without_alert(line: &str) -> String {
    line.split('|').enumerate().filter(|(n, _)| *n != 3).map(|(_, word)| word).collect::<Vec<_>>().join("|")
}

#[test]
fn scripts_run_with_blocks_and_are_undone_at_their_end() {
    let network = network("scripts", 0);
    let installation = Installation::new("");
    let with = "on = \"block\"\nlimit = \"1s\"";
    let config = format!(
        "# runs as nobody\n[policy]\nexempt = [\"192.0.2.0/24\"]\n{}{}",
        response(&installation, "custom", "ossec", "custom.sh", with),
        response(&installation, "w", "wazuh", "w.py", "on = \"block\"\nargs = [\"a b\", \"-c\"]")
    );
    let mut daemon = Daemon::start(&network.victim, &config);
    daemon.text(&["block", "198.51.100.7", "--for", "2h"]);
    let mut ran = installation.wait_until_ran(2);
    ran.sort();
    let place = installation.place();
    assert_eq!(without_alert(&ran[1]), format!("add|-|198.51.100.7|-|riposte|-|nobody {place}"));
    assert_eq!(ran[0], "add 198.51.100.7 - a b,-c active-response/bin/w.py");
    assert!(!daemon.ask(&["block", "192.0.2.7"]).status.success());
    // What takes too long is ended, what fails is told, what talks too much holds nobody up. Each is undone all the same.
    for address in ["203.0.113.66", "203.0.113.67", "203.0.113.68"] {
        daemon.text(&["block", address]);
    }
    let why = |address: &str, what: &str| {
        until(what, || daemon.json(&["history", address]).into_iter().find(|line| text(&line["why"]).contains(what)));
    };
    why("203.0.113.66", "add: failed: it took too long and was ended");
    why("203.0.113.67", "add: failed: the program says so");
    why("203.0.113.68", "add: done");
    let count = installation.wait_until_ran(8).len();
    assert_eq!(count, 8);
    let told = daemon.text(&["explain", "198.51.100.7"]);
    assert!(told.contains("response custom") && told.contains("add: done"), "{told}");
    // A restart in the middle: nothing is run twice, and the end comes with the block's.
    assert!(daemon.end().success());
    daemon.start_again();
    assert_eq!(daemon.figure("responses that stand"), 8);
    daemon.text(&["unblock", "198.51.100.7"]);
    let ran = installation.wait_until_ran(10);
    let mut ended: Vec<String> = ran[8..].iter().map(|line| without_alert(line)).collect();
    ended.sort();
    assert_eq!(
        ended,
        ["delete 198.51.100.7 - a b,-c active-response/bin/w.py".to_owned(), format!("delete|-|198.51.100.7|-|riposte|-|nobody {place}")]
    );
    until("both are undone", || (daemon.figure("responses undone") == 2).then_some(()));
    assert_eq!(installation.ran().len(), 10);
}

#[test]
fn a_killed_runner_begins_again_and_what_it_was_at_is_undone() {
    let network = network("runner", 0);
    let installation = Installation::new("");
    let config = format!("# runs as nobody\n{}", response(&installation, "custom", "ossec", "custom.sh", "on = \"block\"\nlimit = \"9m\""));
    let mut daemon = Daemon::start(&network.victim, &config);
    let keeper = daemon.life("runner").expect("it runs");
    let worker = || fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?.trim().parse::<u32>().ok();
    let first = until("one works", worker);
    let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("CapEff:\t0000000000000000") && !status.contains("Uid:\t0"), "{status}");
    daemon.text(&["block", "203.0.113.66"]);
    installation.wait_until_ran(1);
    crate::daemon::signal("KILL", first);
    until("another works", || worker().filter(|again| *again != first));
    until("it is told", || daemon.json(&["history", "203.0.113.66"]).into_iter().find(|line| text(&line["why"]).contains("has ended")));
    daemon.text(&["block", "198.51.100.7"]);
    installation.wait_until_ran(2);
    // Half done is undone, by the same script, which hangs again; and the daemon is told to go meanwhile.
    daemon.text(&["unblock", "203.0.113.66"]);
    let ran = installation.wait_until_ran(3);
    assert!(ran[2].starts_with("delete|-|203.0.113.66|"), "{ran:?}");
    assert!(daemon.end().success());
    daemon.start_again();
    // It was not answered: it is undone once more.
    let ran = installation.wait_until_ran(4);
    assert!(ran[3].starts_with("delete|-|203.0.113.66|"), "{ran:?}");
    // A runner that is gone with its keeper holds up nobody.
    daemon.expect_error("responses are run again when riposte is restarted");
    crate::daemon::signal("KILL", daemon.life("runner").expect("it runs") as u32);
    until("it is gone", || daemon.life("runner").is_none().then_some(()));
    daemon.text(&["block", "198.51.100.8"]);
    wait_until_in_kernel(&network.victim, "198.51.100.8");
    until("it is told", || daemon.json(&["history", "198.51.100.8"]).into_iter().find(|line| text(&line["why"]).contains("has ended")));
}

fn guesses(daemon: &Daemon, from: &str, user: &str) {
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000+00:00").to_string();
    let line = |n: usize| format!("{stamp} host sshd[{n}]: Failed password for {user} from {from} port {} ssh2\n", 4_000 + n);
    daemon.append("auth.log", &(1..5).map(line).collect::<String>());
}

#[test]
fn an_ossec_conf_s_responses_are_riposte_s_block_or_what_the_operator_allows() {
    let network = network("ossecconf", 0);
    let command = |name: &str, file: &str, expect: &str| {
        format!(
            "<command><name>{name}</name><executable>{file}</executable><expect>{expect}</expect><timeout_allowed>yes</timeout_allowed></command>"
        )
    };
    let when = |name: &str, timeout: u32| {
        format!(
            "<active-response><command>{name}</command><location>local</location><level>10</level><timeout>{timeout}</timeout></active-response>"
        )
    };
    let conf = [
        "<global><white_list>192.0.2.0/24</white_list><white_list>friend.example</white_list></global>".to_owned(),
        command("drop-it", "firewall-drop.sh", "srcip"),
        command("custom", "custom.sh", "srcip"),
        command("strange", "strange.sh", "srcip"),
        command("lock", "disable-account.sh", "user"),
        [when("drop-it", 900), when("custom", 4), when("strange", 900), when("lock", 900)].concat(),
    ];
    let installation = Installation::new(&conf.concat());
    let place = folder();
    let etc = place.path().join("etc");
    assert!(Command::new("cp").arg("-a").arg("/etc").arg(&etc).status().unwrap().success());
    let account = |file: &str, line: &str| {
        let path = etc.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + line).unwrap();
    };
    account("passwd", "bob:x:1500:1500::/home/bob:/bin/sh\n");
    account("group", "bob:x:1500:\n");
    account("shadow", "bob:$6$x$y:19000:0:99999:7:::\n");
    let bob = || fs::read_to_string(etc.join("shadow")).unwrap().lines().find(|line| line.starts_with("bob:")).map(str::to_owned).unwrap();
    fs::write(place.path().join("auth.log"), "").unwrap();
    let applications = format!(
        "[applications]\nfiles = [\"{{}}/auth.log\"]\njournal = \"never\"\nrules = [\"{}\"]\n[sense.nflog]\nenabled = false\n",
        installation.place()
    );
    let lock = "[[response]]\nname = \"lock\"\nprotocol = \"account\"\nuser = \"root\"\n";
    let config =
        format!("# runs as nobody\n# runs as root\n{applications}{}{lock}", response(&installation, "custom", "ossec", "custom.sh", ""));
    let bind = format!("mount --bind {} /etc && exec \"$@\"", etc.display());
    let mut daemon = Daemon::start_in(place, &network.victim, &config, &["unshare", "-m", "sh", "-c", &bind, "sh"]);
    daemon.wait_until_figure("applications", "files followed", 1);
    let log = daemon.log();
    assert!(log.contains("the command 'strange' is not run") && log.contains("active-response/bin/strange.sh"), "{log}");
    assert!(log.contains("1 of the <white_list> are names or exceptions") && !log.contains("'drop-it' is not run"), "{log}");
    let refusal = daemon.refusal(&["block", "192.0.2.7"]);
    assert!(refusal.contains("exempt"), "{refusal}");

    guesses(&daemon, "198.51.100.7", "bob");
    daemon.wait_until_blocked("198.51.100.7");
    let explained = daemon.json_one(&["explain", "198.51.100.7"]);
    assert_eq!(explained["entries"][0]["seconds"], 900, "{explained}");
    // Its time-out is its own, and shorter than the block's.
    let ran = installation.wait_until_ran(2);
    let at = installation.place();
    assert_eq!(
        [without_alert(&ran[0]), without_alert(&ran[1])],
        ["add", "delete"].map(|what| format!("{what}|-|198.51.100.7|100720|riposte|-|nobody {at}"))
    );
    until("the account is locked", || bob().starts_with("bob:!$6$x$y:19000:0:99999:7::1:").then_some(()));

    // The white list, root's own account, and names that could do harm.
    guesses(&daemon, "192.0.2.7", "bob");
    guesses(&daemon, "198.51.100.8", "root");
    guesses(&daemon, "198.51.100.9", "invalid user --root=/tmp");
    guesses(&daemon, "198.51.100.10", "invalid user -rf");
    daemon.wait_until_blocked("198.51.100.10");
    let guarded = |address: &str| {
        daemon
            .json(&["history", address])
            .into_iter()
            .find(|line| line["charge"] == "response lock" && text(&line["why"]).contains("guard"))
    };
    until("root is guarded", || guarded("198.51.100.8"));
    assert!(daemon.log().contains("root is never locked"));
    daemon.wait_until_figure_of_at_least("applications", "responses without a usable user", 1);
    assert_eq!(daemon.blocked(), ["198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.10"].map(str::to_owned).to_vec());
    // A restart in the middle, and the end: the account is as it was.
    assert!(daemon.end().success());
    daemon.start_again_with(&["unshare", "-m", "sh", "-c", &bind, "sh"], Stdio::null());
    daemon.text(&["unblock", "198.51.100.7"]);
    until("the account is unlocked", || (bob() == "bob:$6$x$y:19000:0:99999:7:::").then_some(()));
}

#[test]
fn what_can_t_be_run_is_told_before_anything_starts() {
    let network = network("unknown", 0);
    let installation = Installation::new("");
    for (program, more, why) in [
        ("custmo.sh", "", "did you mean 'custom.sh'?"),
        ("custom.sh", "user = \"root\"", "may be changed by others than root"),
        ("custom.sh", "user = \"eve\"", "there is no user 'eve'"),
    ] {
        fs::set_permissions(installation.home.path().join("logs"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let writable = installation.home.path().join("active-response/bin/custom.sh");
        fs::set_permissions(writable, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let mut daemon = Daemon::launch(folder(), &network.victim, &response(&installation, "custom", "ossec", program, more), &[]);
        daemon.expect_error(why);
        until(why, || daemon.log().contains(why).then_some(()));
    }
}

#[test]
fn root_runs_what_the_configuration_names_for_it_and_nothing_else() {
    let network = network("asroot", 0);
    let installation = Installation::new("");
    let config = format!(
        "# runs as nobody\n# runs as root\n{}{}",
        response(&installation, "custom", "ossec", "custom.sh", "on = \"block\""),
        response(&installation, "rooted", "ossec", "custom.sh", "on = \"block\"\nuser = \"root\"")
    );
    let daemon = Daemon::start(&network.victim, &config);
    daemon.text(&["block", "198.51.100.7"]);
    let mut ran: Vec<String> = installation.wait_until_ran(2).iter().map(|line| without_alert(line)).collect();
    ran.sort();
    assert_eq!(ran, ["nobody", "root"].map(|user| format!("add|-|198.51.100.7|-|riposte|-|{user} {}", installation.place())));
    // Both are undone when the address is allowed from now on.
    daemon.text(&["allow", "198.51.100.7"]);
    installation.wait_until_ran(4);
    until("both are undone", || (daemon.figure("responses undone") == 2).then_some(()));
}
