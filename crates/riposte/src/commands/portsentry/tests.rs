//! Whole folders in, configurations and complaints out: what is printed must be accepted as it stands.

use super::*;
use crate::config::Config;
use crate::config::guard::Form;
use crate::config::response::{On, Touched, When};
use proptest::prelude::*;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("DIR", &folder.path().display().to_string())).unwrap();
    }
    folder
}

/// The configuration, its text, and the complaints without the folder's name.
fn imported(files: &[(&str, &str)], connect: bool) -> (Config, String, Vec<String>) {
    let folder = folder(files);
    let mut out = Vec::new();
    let args = cli::ImportPortsentry { path: Some(folder.path().join("portsentry")), connect };
    let wrong = import(&args, &mut out).err().unwrap_or_default();
    let place = format!("{}/portsentry/", folder.path().display());
    let text = String::from_utf8(out).unwrap();
    let config = Config::parse(&text, "imported").unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    (config, text, wrong.iter().map(|line| line.replace(&place, "")).collect())
}

const OLD: &str = r#"# PortSentry Configuration
TCP_PORTS="1,11,15,79,111,119,143,540,635,1080,1524,2000,5742,6667,12345,12346,20034,27665,31337,32771,32772,32773,32774,40421,49724,54320"
UDP_PORTS="1,7,9,69"
ADVANCED_PORTS_TCP="1024"
ADVANCED_PORTS_UDP="1024"
ADVANCED_EXCLUDE_TCP="113,139"
ADVANCED_EXCLUDE_UDP="520,138,137,67"
IGNORE_FILE="DIR/portsentry/portsentry.ignore"
HISTORY_FILE="/var/lib/portsentry/portsentry.history"
BLOCKED_FILE="/var/lib/portsentry/portsentry.blocked"
RESOLVE_HOST = "0"
BLOCK_UDP="0"
BLOCK_TCP="1"
KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP && /sbin/iptables -I INPUT -s $TARGET$ -m limit --limit 3/minute -j LOG"
KILL_HOSTS_DENY="ALL: $TARGET$ : DENY"
KILL_RUN_CMD="/bin/true $TARGET$ $PORT$"
SCAN_TRIGGER="0"
PORT_BANNER="** UNAUTHORIZED ACCESS PROHIBITED *** YOUR CONNECTION ATTEMPT HAS BEEN LOGGED. GO AWAY."
"#;
const IGNORED: &str = "127.0.0.1/32\n0.0.0.0\n192.0.2.0/24\n192.0.2.9   # the printer\n";

#[test]
fn debians_portsentry_1_becomes_what_it_does() {
    let files = [
        ("portsentry/portsentry.conf", OLD),
        ("portsentry/portsentry.ignore", IGNORED),
        ("default/portsentry", "TCP_MODE=\"tcp\"\nUDP_MODE=\"udp\"\n"),
    ];
    let (config, text, wrong) = imported(&files, false);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(text.contains("tcp = [\"aware\"]") && text.contains("KILL_ROUTE, line 14: riposte's own nftables set"), "{text}");
    assert_eq!((config.guard.tcp.count(), config.guard.udp.to_string().as_str(), config.guard.stealth), (26, "1,7,9,69", false));
    assert!(config.guard.banner.unwrap().starts_with("** UNAUTHORIZED"));
    assert_eq!((config.policy.touch_blocks, config.scan.touch.trigger), ([true, false], 1));
    let exempt: Vec<String> = config.policy.exempt.iter().map(ToString::to_string).collect();
    assert_eq!(exempt, ["127.0.0.1", "0.0.0.0", "192.0.2.0/24", "192.0.2.9"]);
    // Each setting has its words.
    for key in OLD.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim()).filter(|key| !key.starts_with('#')) {
        assert!(text.contains(&format!("# {key}, line ")), "{key}\n{text}");
    }
}

#[test]
fn the_advanced_modes_become_all_ports_but_those_left_out() {
    let starter = ("default/portsentry", "# nothing\nTCP_MODE=\"atcp\"\nUDP_MODE=\"audp\"\n");
    let (config, text, _) = imported(&[("portsentry/portsentry.conf", OLD), ("portsentry/portsentry.ignore", ""), starter], false);
    assert_eq!(
        (config.guard.tcp.to_string().as_str(), config.guard.udp.to_string().as_str()),
        ("1-21,23-112,114-138,140-1023", "1-66,68-136,139-519,521-1023")
    );
    assert!(config.guard.stealth && config.guard.banner.is_none(), "{text}");
    assert!(text.contains("tcp = [\"1-112\", \"114-138\", \"140-1023\"]"), "{text}");
    let off = ("default/portsentry", "TCP_MODE=\"\"\nUDP_MODE=\"sudp\"\n");
    let (config, ..) = imported(&[("portsentry/portsentry.conf", OLD), ("portsentry/portsentry.ignore", ""), off], false);
    assert!(config.guard.tcp.is_empty() && config.guard.udp.count() == 4);
}

#[test]
fn version_2_is_told_by_what_it_says() {
    let new = "TCP_PORTS=\"1-1813\"\nUDP_PORTS=\"7-52,54-66,60000-65535\"\nBLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/bin/true $TARGET$\"\nSCAN_TRIGGER=\"3\"\n";
    let (config, text, wrong) = imported(&[("portsentry/portsentry.conf", new)], false);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(
        text.contains("(2.x)") && text.contains("tcp = [\"catch-all\"]") && text.contains("does not start with a range that ends in 65535"),
        "{text}"
    );
    assert!(config.guard.stealth && config.guard.udp.contains(65_535));
    assert_eq!((config.policy.touch_blocks, config.scan.touch.trigger), ([false, false], 3));
    // Only the command is run, and of TCP alone: BLOCK_UDP is not given.
    let [response] = &config.responses[..] else { panic!("{text}") };
    assert_eq!((response.on, &response.protocols[..], response.when), (On::Touch, &[Touched::Tcp][..], When::After));
    let (config, ..) = imported(&[("portsentry/portsentry.conf", new)], true);
    assert!(!config.guard.stealth);
}

#[test]
fn who_blocked_nobody_goes_on_blocking_nobody() {
    let dry = |blocks: [u8; 2]| {
        let conf = format!("TCP_PORTS=\"1\"\nBLOCK_TCP=\"{}\"\nBLOCK_UDP=\"{}\"\n", blocks[0], blocks[1]);
        let (config, text, _) = imported(&[("portsentry/portsentry.conf", &conf)], false);
        (config.policy.dry_run, text.contains("who scans or guesses passwords is blocked"))
    };
    assert_eq!([[0, 0], [0, 2], [1, 0]].map(dry), [(true, true), (false, true), (false, false)]);
    // A number that means nothing does nothing, in 1.x too, where a missing one blocks.
    let conf = OLD.replace("BLOCK_TCP=\"1\"", "BLOCK_TCP=\"3\"").replace("BLOCK_UDP=\"0\"\n", "");
    let (config, ..) = imported(&[("portsentry/portsentry.conf", &conf), ("portsentry/portsentry.ignore", "")], false);
    assert_eq!(config.policy.touch_blocks, [false, true]);
}

#[test]
fn commands_become_responses_that_are_told_the_same() {
    let with = |more: &str, starter: &str| {
        let conf = format!("{}{more}", OLD.replace("KILL_RUN_CMD=\"/bin/true $TARGET$ $PORT$\"\n", ""));
        let files = [("portsentry/portsentry.conf", conf.as_str()), ("portsentry/portsentry.ignore", ""), ("default/portsentry", starter)];
        imported(&files, false)
    };
    let starter = "TCP_MODE=\"stcp\"\nUDP_MODE=\"audp\"\n";
    let (config, text, wrong) = with("KILL_RUN_CMD=\"/bin/echo $TARGET$:$PORT$ '{a b}' $MODE$\"\nKILL_RUN_CMD_FIRST=\"1\"\n", starter);
    let [response] = &config.responses[..] else { panic!("{text}") };
    assert_eq!(
        (&response.args[..], response.when, wrong.len()),
        (&["{address}:{port}", "{{a b}}", "stcp"].map(str::to_owned)[..], When::Before, 0)
    );
    assert_eq!((&response.protocols[..], response.user.as_str(), response.at_end), (&[Touched::Tcp][..], "nobody", false));
    // Both protocols, each in a mode of its own.
    let both = |text: &str| with(&format!("KILL_RUN_CMD=\"{text}\"\n"), starter).0;
    let conf = OLD.replace("BLOCK_UDP=\"0\"", "BLOCK_UDP=\"2\"").replace("$TARGET$ $PORT$\"", "$MODE$\"");
    let files = [("portsentry/portsentry.conf", conf.as_str()), ("portsentry/portsentry.ignore", ""), ("default/portsentry", starter)];
    let (config, ..) = imported(&files, false);
    let told: Vec<_> = config.responses.iter().map(|response| (response.name.as_str(), response.args.concat())).collect();
    assert_eq!(told, [("kill-run-cmd-tcp", "stcp".to_owned()), ("kill-run-cmd-udp", "audp".to_owned())]);
    assert_eq!(config.policy.touch_blocks, [true, false]);
    // What takes a shell, or is not there, is left to its administrator.
    assert_eq!(both("/bin/echo $TARGET$ | /usr/bin/mail root").responses, []);
    for (command, line) in [
        (
            "/bin/echo $TARGET$ | /usr/bin/mail root",
            "'|' takes a shell, and riposte starts none: put the command into a script of your own",
        ),
        ("/nowhere/script $TARGET$", "there is no '/nowhere/script'; put it there and take the '#' out"),
        ("mail $TARGET$", "'mail' is no full path"),
    ] {
        let (config, text, wrong) = with(&format!("KILL_RUN_CMD=\"{command}\"\n"), starter);
        assert!(config.responses.is_empty() && text.contains("\n# [[response]]\n") && wrong.len() == 1, "{text}");
        assert!(wrong[0].starts_with("portsentry.conf:18: KILL_RUN_CMD: ") && wrong[0].contains(line), "{wrong:?}");
    }
}

#[test]
fn routes_and_wrappers_become_responders_behind_riposte_s_own() {
    let with = |route: &str, deny: &str| {
        let conf = format!("TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\n{route}{deny}");
        let (config, text, wrong) = imported(&[("portsentry/portsentry.conf", &conf)], false);
        assert_eq!(wrong, Vec::<String>::new());
        (config.respond.kinds.iter().map(|kind| kind.name).collect::<Vec<_>>(), text)
    };
    let route = "KILL_ROUTE=\"/sbin/route add -host $TARGET$ reject\"\n";
    let (kinds, text) = with(route, "KILL_HOSTS_DENY=\"ALL: $TARGET$ : DENY\"\n");
    assert_eq!(kinds, ["nftables", "routes", "hosts-deny"]);
    assert!(
        text.contains("KILL_ROUTE, line 3: 'routes' in [respond], behind riposte's own nftables set")
            && text.contains("format = \"options\"")
            && text.contains("answer = \"unreachable\""),
        "{text}"
    );
    assert!(with("", "KILL_HOSTS_DENY=\"ALL: $TARGET$\"\n").1.contains("format = \"plain\""));
    assert_eq!(with("KILL_ROUTE=\"/sbin/iptables -I INPUT -s $TARGET$ -j DROP\"\n", "").0, ["nftables"]);
    let conf = "TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\nKILL_ROUTE=\"/opt/mine $TARGET$\"\n";
    let (config, text, wrong) = imported(&[("portsentry/portsentry.conf", conf)], false);
    assert!(config.respond.kinds.len() == 1 && text.contains("KILL_ROUTE, line 3: a command of your own is not run"), "{text}");
    assert!(wrong[0].starts_with("portsentry.conf:3: KILL_ROUTE: a command of your own is not run"), "{wrong:?}");
    // A kind that this riposte does not have is not named.
    let (kinds, text) = with("KILL_ROUTE=\"/sbin/ipfw add 1 deny all from $TARGET$:255.255.255.255 to any\"\n", "");
    assert_eq!(kinds.contains(&"ipfw"), respond::Kind::of("ipfw").is_some(), "{text}");
}

#[test]
fn every_wrong_line_gets_its_own() {
    let wrong = r#"TCP_PORTS="1,11,70000,15-9"
  # not a comment
TPC_PORTS="1"
udp_ports="7"
BLOCK_TCP="3"
BLOCK_UDP=1
SCAN_TRIGGER="two"
KILL_ROUTE="/sbin/route add -host 333.444.555.666 reject"
KILL_HOSTS_DENY="ALL: ALL"
BLOCKED_FILE=""
RESOLVE_HOST
SCAN_TRIGGER="1"
IGNORE_FILE="/nowhere/ignore"
"#;
    let (config, _, lines) = imported(&[("portsentry/portsentry.conf", wrong)], false);
    let expected = [
        "portsentry.conf:1: TCP_PORTS: '70000' is no port (1 to 65535) and no range of ports such as 1-1023; '15-9' is no rising range: write 9-15",
        "portsentry.conf:2: a comment begins in the first column: PortSentry takes this line for a setting",
        "portsentry.conf:3: PortSentry knows no 'TPC_PORTS'; did you mean 'TCP_PORTS'?",
        "portsentry.conf:4: PortSentry knows no 'udp_ports'; did you mean 'UDP_PORTS'?",
        "portsentry.conf:5: BLOCK_TCP: '3' is no number from 0 to 2: 0 only records, 1 blocks, 2 runs KILL_RUN_CMD",
        "portsentry.conf:6: BLOCK_UDP: the value must stand in double quotes: BLOCK_UDP=\"1\"",
        "portsentry.conf:7: SCAN_TRIGGER: 'two' is no number from 0 to 1000000",
        "portsentry.conf:8: KILL_ROUTE: $TARGET$ is missing: it would block nobody, or always the same",
        "portsentry.conf:9: KILL_HOSTS_DENY: $TARGET$ is missing: it would block nobody, or always the same",
        "portsentry.conf:10: BLOCKED_FILE: it has no value; PortSentry 2.x refuses that",
        "portsentry.conf:11: 'RESOLVE_HOST' is no setting: write NAME=\"value\"",
        "portsentry.conf:12: SCAN_TRIGGER stands there twice: line 7 counts",
        "portsentry.conf:13: IGNORE_FILE: /nowhere/ignore can't be found: PortSentry 2.x ends, 1.x blocks everybody",
    ];
    assert_eq!(lines, expected);
    // What is right of it is taken.
    assert_eq!(config.guard.tcp.to_string(), "1,11");
}

/// One wrong thing a row, in a configuration of 2.x that is right otherwise: what is told, and what is printed with the setting.
#[test]
fn every_wrong_configuration_gets_its_clear_line() {
    let long = format!("KILL_RUN_CMD=\"/bin/true {}\"", "x".repeat(1_024));
    let told: [(&str, &str); 40] = [
        ("TCP_PORTS=\"0\"", "1: TCP_PORTS: '0' is no port (1 to 65535)"),
        ("TCP_PORTS=\"65536\"", "1: TCP_PORTS: '65536' is no port (1 to 65535)"),
        ("TCP_PORTS=\"9-1\"", "1: TCP_PORTS: '9-1' is no rising range: write 1-9"),
        ("TCP_PORTS=\"1-65536\"", "1: TCP_PORTS: '1-65536' is no port (1 to 65535) and no range"),
        ("TCP_PORTS=\"1,,2\"", "1: TCP_PORTS: '' is no port"),
        ("TCP_PORTS=\"1;2\"", "1: TCP_PORTS: '1;2' is no port"),
        ("TCP_PORTS=\"ssh\"", "1: TCP_PORTS: 'ssh' is no port"),
        ("TCP_PORTS=\"\"", "1: TCP_PORTS: '' is no port"),
        ("TCP_PORTS=1,2", "1: TCP_PORTS: the value must stand in double quotes: TCP_PORTS=\"1,2\""),
        ("TCP_PORTS='1,2'", "1: TCP_PORTS: the value must stand in double quotes: TCP_PORTS=\"1,2\""),
        ("TCP_PORTS=\"1,2", "1: TCP_PORTS: the value must stand in double quotes: TCP_PORTS=\"1,2\""),
        ("TCP_PORT=\"1\"", "1: PortSentry knows no 'TCP_PORT'; did you mean 'TCP_PORTS'?"),
        ("tcp_ports=\"1\"", "1: PortSentry knows no 'tcp_ports'; did you mean 'TCP_PORTS'?"),
        ("TCP_PORTS", "1: 'TCP_PORTS' is no setting: write NAME=\"value\""),
        ("INTERFACE=\"eth0\"", "1: PortSentry knows no 'INTERFACE'"),
        ("UDP_PORTS=\"1\"\nUDP_PORTS=\"2\"", "2: UDP_PORTS stands there twice: line 1 counts"),
        (" # a remark", "1: a comment begins in the first column: PortSentry takes this line for a setting"),
        ("BLOCK_TCP=\"3\"", "1: BLOCK_TCP: '3' is no number from 0 to 2: 0 only records, 1 blocks, 2 runs KILL_RUN_CMD"),
        ("BLOCK_TCP=\"yes\"", "1: BLOCK_TCP: 'yes' is no number from 0 to 2"),
        ("BLOCK_TCP=\"1\"", "1: BLOCK_TCP=\"1\" wants a KILL_ROUTE or a KILL_HOSTS_DENY: PortSentry blocks nobody without; riposte will"),
        ("BLOCK_UDP=\"2\"", "1: BLOCK_UDP=\"2\" wants a KILL_RUN_CMD"),
        ("SCAN_TRIGGER=\"two\"", "1: SCAN_TRIGGER: 'two' is no number from 0 to 1000000"),
        ("SCAN_TRIGGER=\"-1\"", "1: SCAN_TRIGGER: '-1' is no number from 0 to 1000000"),
        ("SCAN_TRIGGER=\"99999999999999999999\"", "1: SCAN_TRIGGER: '99999999999999999999' is no number from 0 to 1000000"),
        ("RESOLVE_HOST=\"2\"", "1: RESOLVE_HOST: '2' is no number from 0 to 1"),
        ("KILL_RUN_CMD_FIRST=\"x\"", "1: KILL_RUN_CMD_FIRST: 'x' is no number from 0 to 1"),
        ("KILL_ROUTE=\"/sbin/route add -host reject\"", "1: KILL_ROUTE: $TARGET$ is missing: it would block nobody, or always the same"),
        ("KILL_ROUTE=\"\"", "1: KILL_ROUTE: $TARGET$ is missing"),
        (
            "KILL_ROUTE=\"/sbin/route add $TARGTE$\"",
            "1: KILL_ROUTE: $TARGET$ is missing: it would block nobody, or always the same: PortSentry knows no '$TARGTE'; did you mean '$TARGET$'?",
        ),
        ("KILL_ROUTE=\"/sbin/route add $TARGET$ $MOD$\"", "1: KILL_ROUTE: PortSentry knows no '$MOD'; did you mean '$MODE$'?"),
        (
            "KILL_ROUTE=\"/sbin/route add $TARGET$ gw 333.444.555.666\"",
            "1: KILL_ROUTE: '333.444.555.666' is no address: PortSentry's command fails by it",
        ),
        (
            "BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/bin/true $TARGET$ $PROT$\"",
            "2: KILL_RUN_CMD: PortSentry knows no '$PROT'; did you mean '$PORT$'?",
        ),
        ("KILL_HOSTS_DENY=\"ALL: ALL\"", "1: KILL_HOSTS_DENY: $TARGET$ is missing"),
        ("BLOCKED_FILE=\"\"", "1: BLOCKED_FILE: it has no value; PortSentry 2.x refuses that"),
        ("HISTORY_FILE=\"\"", "1: HISTORY_FILE: it has no value; PortSentry 2.x refuses that"),
        ("IGNORE_FILE=\"\"", "1: IGNORE_FILE: it has no value; PortSentry 2.x refuses that"),
        ("IGNORE_FILE=\"DIR\"", ": is a folder: nobody of it is exempt"),
        ("IGNORE_FILE=\"/dev/zero\"", "/dev/zero: is no file: nobody of it is exempt"),
        (
            "\u{feff}UDP_PORTS=\"7\"",
            "1: the file begins with a byte order mark, which PortSentry takes for a part of the line: save it without",
        ),
        (
            "UDP_PORTS=\"7\"\r\n",
            "portsentry.conf: its lines end as Windows writes them (CR LF), which PortSentry 2.x refuses; riposte reads them",
        ),
    ];
    for (conf, line) in told {
        // Another list, so that this one is what is wrong.
        let other = if conf.contains("UDP_PORTS") { "TCP_PORTS=\"9\"" } else { "UDP_PORTS=\"9\"" };
        let (_, _, lines) = imported(&[("portsentry/portsentry.conf", &format!("{conf}\n{other}\n"))], false);
        assert_eq!(lines.len(), 1, "{conf}: {lines:?}");
        assert!(lines[0].replace("portsentry.conf:1", "1").replace("portsentry.conf:2", "2").contains(line), "{conf}: {lines:?}");
    }
    // What PortSentry takes otherwise than it was meant is read as it was meant, and stands in the comments.
    let noted = [
        ("TCP_PORTS=\"60000-65535\"", "60000-65535", "2.0.7 does not start with a range that ends in 65535"),
        ("TCP_PORTS=\"1, 2 ,3\"", "1-3", "1.x reads a list of ports up to its first blank"),
        ("TCP_PORTS = \"1,2\"", "1-2", "TCP_PORTS, line 1"),
        ("TCP_PORTS=\"1\" # why", "1", "'# why' behind the value is not read"),
        ("TCP_PORTS=\"1\"", "1", "TCP_PORTS, line 1"),
        (
            "ADVANCED_PORTS_TCP=\"1024\"\nTCP_PORTS=\"1-9\"\nIGNORE_FILE=\"x\"\nHISTORY_FILE=\"x\"\nBLOCKED_FILE=\"x\"",
            "1-9",
            "1.x knows no ranges and reads the first number of one",
        ),
        (&format!("{long}\nTCP_PORTS=\"5\""), "5", "1.x reads 1024 bytes of a line, and this one has 1049"),
    ];
    for (conf, ports, note) in noted {
        // The last line has no end.
        let (config, text, lines) = imported(&[("portsentry/portsentry.conf", conf), ("portsentry/x", "")], false);
        let missing = lines.iter().filter(|line| !line.contains("x can't be found")).count();
        assert_eq!((config.guard.tcp.to_string().as_str(), missing), (ports, 0), "{conf}: {lines:?}");
        assert!(text.contains(note), "{conf}: {text}");
    }
    // Neither is one of PortSentry's files.
    let args = |path: PathBuf| cli::ImportPortsentry { path: Some(path), connect: false };
    let broken = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("portsentry.conf"), bytes).unwrap();
        import(&args(folder.path().to_owned()), &mut Vec::new()).unwrap_err().concat()
    };
    assert!(broken(b"T\0C\0P\0").ends_with("portsentry.conf: is no text: it has zero bytes (saved as UTF-16, perhaps)"));
    assert!(broken(&vec![b'x'; FILE_BYTES as usize + 1]).ends_with("portsentry.conf: has more than 4 MiB"));
    let folder = folder(&[("portsentry/portsentry.conf/file", "")]);
    let wrong = import(&args(folder.path().join("portsentry")), &mut Vec::new()).unwrap_err();
    assert!(wrong.concat().ends_with("portsentry.conf: is a folder"), "{wrong:?}");
}

#[test]
fn settings_that_do_not_go_together_are_told() {
    let alone = |text: &str| imported(&[("portsentry/portsentry.conf", text), ("portsentry/portsentry.ignore", "")], false).2;
    assert_eq!(alone("BLOCK_TCP=\"0\"\n"), ["portsentry.conf: no ports are watched: at least one of TCP_PORTS and UDP_PORTS is wanted"]);
    let no_way = alone("TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"2\"\n");
    assert!(
        no_way[0].starts_with("portsentry.conf:2: BLOCK_TCP=\"1\" wants a KILL_ROUTE")
            && no_way[1].starts_with("portsentry.conf:3: BLOCK_UDP=\"2\" wants a KILL_RUN_CMD"),
        "{no_way:?}"
    );
    let old = alone("TCP_PORTS=\"1, 2\"\nADVANCED_PORTS_TCP=\"1024\"\nADVANCED_EXCLUDE_TCP=\"\"\n");
    assert_eq!(old.len(), 3, "three files that 1.x wants: {old:?}");
    // What is there and wrong is not missing besides.
    let old = alone("ADVANCED_PORTS_TCP=\"1024\"\nIGNORE_FILE=\"DIR/portsentry/portsentry.ignore\"\nHISTORY_FILE=\"\"\nBLOCKED_FILE=b\n");
    let expected =
        ["portsentry.conf:3: HISTORY_FILE: it has no value", "portsentry.conf:4: BLOCKED_FILE: the value must stand in double quotes"];
    assert!(old.len() == 2 && old.iter().zip(expected).all(|(line, part)| line.starts_with(part)), "{old:?}");
}

#[test]
fn ignore_files_are_read_line_by_line() {
    let text =
        "10.0.0.1\n10.0.0.0/33\n10.0.0.1/255.255.255.0\nhost.example.org\n2001:DB8::/32\n0.0.0.0/0\n10.0.0.2 mine\n# all\n\n10.9.8.7";
    let (entries, wrong) = conf::ignore("i", text, Version::One);
    let entries: Vec<String> = entries.iter().map(|(line, prefix)| format!("{line} {prefix}")).collect();
    // The last line has no end: PortSentry 2.0.7 loses its last digit.
    assert_eq!(entries, ["1 10.0.0.1", "3 10.0.0.0/24", "5 2001:db8::/32", "7 10.0.0.2", "10 10.9.8.7"]);
    let expected = [
        "i:2: '33' is no prefix length for '10.0.0.0/33': write it like 192.0.2.0/24",
        "i:3: PortSentry knows no netmask like '255.255.255.0': write 10.0.0.0/24 (taken over here)",
        "i:4: 'host.example.org' is no address or network, so PortSentry spares nobody by it; [policy] exempt takes names (looked up once, at start)",
        "i:6: everybody (/0) would be ignored, and nobody ever blocked: left out",
        "i:7: 'mine' behind the address is no remark: write it in a line of its own, behind '#'",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn what_version_2_ends_at_in_an_ignore_file_is_told_and_taken_over() {
    let text = "\u{feff}192.0.2.1\r\n2001:DB8::/32\n192.0.2.2 # why\n192.0.2.0/33\n::/0\n\u{0}\u{1b}[2J\nfe80::1%eth0\n192.0.2.3";
    let (entries, wrong) = conf::ignore("i", text, Version::Two);
    let entries: Vec<String> = entries.iter().map(|(line, prefix)| format!("{line} {prefix}")).collect();
    assert_eq!(entries, ["1 192.0.2.1", "2 2001:db8::/32", "3 192.0.2.2", "8 192.0.2.3"]);
    let expected = [
        "i:2: PortSentry 2.x ends at capital letters in '2001:DB8::/32': write small ones (taken over here)",
        "i:3: PortSentry 2.x ends at a remark behind an address: write it in a line of its own (taken over here)",
        "i:4: '33' is no prefix length for '192.0.2.0/33': write it like 192.0.2.0/24",
        "i:5: everybody (/0) would be ignored, and nobody ever blocked: left out",
        "i:6: '\\u{0}\\u{1b}[2J' is no address or network, so PortSentry spares nobody by it; [policy] exempt takes names (looked up once, at start)",
        "i:7: 'fe80::1%eth0' is no address or network, so PortSentry spares nobody by it; [policy] exempt takes names (looked up once, at start)",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn debians_static_list_and_modes_are_taken_in() {
    let files = [
        ("portsentry/portsentry.conf", OLD),
        ("portsentry/portsentry.ignore", "192.0.2.1\n198.51.100.1 # its own address at the last start\n"),
        ("portsentry/portsentry.ignore.static", "192.0.2.1\n192.0.2.128/25\n"),
        ("default/portsentry", "# TCP_MODE=\"tcp\"\nTCP_MODE=tcp\nexport TCP_MODE=stcp; # the last one counts\nUDP_MODE='sudp'\n"),
    ];
    let (config, text, wrong) = imported(&files, false);
    let exempt: Vec<String> = config.policy.exempt.iter().map(ToString::to_string).collect();
    assert_eq!((exempt, wrong), (["192.0.2.1", "198.51.100.1", "192.0.2.128/25"].map(str::to_owned).to_vec(), Vec::new()));
    assert!(config.guard.stealth && text.contains("The mode is Stealth for TCP, Stealth for UDP (/etc/default/portsentry)."), "{text}");
}

#[test]
fn modes_are_what_debian_s_script_starts() {
    let with = |starter: &str| {
        let files = [("portsentry/portsentry.conf", OLD), ("portsentry/portsentry.ignore", ""), ("default/portsentry", starter)];
        let (config, text, wrong) = imported(&files, false);
        let modes = text.lines().find_map(|line| line.strip_prefix("# The mode is ")).unwrap().replace(" (/etc/default/portsentry).", "");
        let is_on = [!config.guard.tcp.is_empty(), !config.guard.udp.is_empty()];
        (modes, is_on, wrong.iter().map(|line| line.replace("../default/portsentry", "default")).collect::<Vec<_>>().join("\n"))
    };
    let told = |modes: &str, is_on: [bool; 2], wrong: &str| (modes.to_owned(), is_on, wrong.to_owned());
    assert_eq!(with("TCP_MODE=\"\" # tcp\nUDP_MODE=udp # or sudp\n"), told("Off for TCP, Connect for UDP", [false, true], ""));
    assert_eq!(with("TCP_MODE=\"atcp\" # it was = stcp\nUDP_MODE= # none\n"), told("Advanced for TCP, Off for UDP", [true, false], ""));
    assert_eq!(
        with("TCP_MODE=\"scp\"\nUDP_MODE=\"stcp\"\n"),
        told(
            "Off for TCP, Off for UDP",
            [false, false],
            "default:1: TCP_MODE: 'scp' is none of tcp, stcp, atcp, and PortSentry does not start with it; did you mean 'tcp'?\n\
             default:2: UDP_MODE: 'stcp' is none of udp, sudp, audp, and PortSentry does not start with it"
        )
    );
    assert_eq!(
        with("PATH=/bin\nTPC_MODE=\"tcp\"\nudp_mode=udp\nUDP_MODE = \"audp\"\n"),
        told(
            "Off for TCP, Advanced for UDP",
            [false, true],
            "default:2: Debian's script knows no 'TPC_MODE'; did you mean 'TCP_MODE'?\n\
             default:3: Debian's script knows no 'udp_mode'; did you mean 'UDP_MODE'?\n\
             default:4: UDP_MODE: a shell's assignment has no blanks beside '=': write UDP_MODE=\"audp\" (taken over here)"
        )
    );
}

#[test]
fn what_other_programs_read_goes_on_in_its_own_version_s_form() {
    let form = |text: &str| imported(&[("portsentry/portsentry.conf", text)], false).0.guard.portsentry;
    assert_eq!(form(OLD), Some(Form::One));
    assert_eq!(form("TCP_PORTS=\"1\"\n"), Some(Form::Two));
}

#[test]
fn what_is_left_out_of_a_line_is_told() {
    let text = |line: &str| imported(&[("portsentry/portsentry.conf", &format!("TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\n{line}\n"))], true).1;
    let long = text(&format!("PORT_BANNER=\"{}\"\nKILL_HOSTS_DENY=\"ALL: $TARGET$\"", "x".repeat(101)));
    assert!(long.contains("over TCP only, and no more than 100 bytes") && !long.contains("not taken over"), "{long}");
    assert!(text("KILL_HOSTS_DENY=\"ALL:$TARGET$:DENY\"\nPORT_BANNER=\"x\"").contains("over TCP only; over UDP"));
    for other in ["sshd: $TARGET$", "ALL: $TARGET$ : spawn (/bin/mail root) & : DENY"] {
        assert!(text(&format!("KILL_HOSTS_DENY=\"{other}\"")).contains("other words of this one are not taken over"), "{other}");
    }
}

#[test]
fn an_ignore_file_is_known_by_its_name_wherever_it_lies() {
    let with = |name: &str, file: &str| {
        let conf = format!("UDP_PORTS=\"1\"\nIGNORE_FILE=\"/nowhere/{name}\"\n");
        let (config, _, wrong) = imported(&[("portsentry/portsentry.conf", &conf), (&format!("portsentry/{file}"), "192.0.2.1\n")], false);
        (config.policy.exempt.len(), wrong)
    };
    for (name, file) in [("mine", "mine"), ("portsentry.ignore", "portsentry.ignore"), ("portsentry.ignore", "portsentry.ignore.static")] {
        assert_eq!(with(name, file), (1, Vec::new()), "{name}");
    }
    // PortSentry would not find it: what lies there is taken over, and the slip told.
    let (exempt, wrong) = with("portsentry.ingore", "portsentry.ignore");
    assert!(exempt == 1 && wrong[0].starts_with("portsentry.conf:2: IGNORE_FILE: /nowhere/portsentry.ingore can't be found"), "{wrong:?}");
}

#[test]
fn hostile_files_neither_break_the_output_nor_run() {
    let evil = "TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\nPORT_BANNER=\"x\\\u{7f}\u{1b}[2J'\\\"\"\nKILL_ROUTE=\"$(touch DIR/ran) $TARGET$\"\nIGNORE_FILE=\"DIR/portsentry/ignore\n[policy]\ndry_run=true\n";
    let folder = folder(&[("portsentry/portsentry.conf", evil)]);
    let mut out = Vec::new();
    let args = cli::ImportPortsentry { path: Some(folder.path().join("portsentry")), connect: true };
    assert!(import(&args, &mut out).is_err());
    let text = String::from_utf8(out).unwrap();
    let config = Config::parse(&text, "x").unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    assert!(!config.policy.dry_run && !text.contains('\u{1b}') && !folder.path().join("ran").exists(), "{text}");
    assert!(
        import(&cli::ImportPortsentry { path: Some("/nowhere".into()), connect: false }, &mut Vec::new()).unwrap_err()[0]
            .contains("no such file")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever stands in the files: no panic, one complaint a line, and a configuration that is accepted.
    #[test]
    fn whatever_stands_there_the_output_is_a_configuration(
        conf in "((TCP_PORTS|UDP_PORTS|ADVANCED_PORTS_TCP|ADVANCED_EXCLUDE_UDP|PORT_BANNER|SCAN_TRIGGER|BLOCK_TCP|KILL_ROUTE|KILL_RUN_CMD|[A-Z_]{1,9}) ?=?\"?([0-9]{1,6}|,|-|\\$TARGET\\$|\\PC|\\\\|\"|\n|#){0,20}\"?\n){0,12}",
        ignored in "([0-9a-fA-F.:/]{0,20}|\\PC{0,9}|#| |\n){0,20}",
        starter in prop::option::of("(TCP_MODE|UDP_MODE)=\"?(tcp|stcp|atcp|udp|\\PC{0,5})\"?\n"),
    ) {
        let mut files = vec![("portsentry/portsentry.conf", conf.as_str()), ("portsentry/portsentry.ignore", ignored.as_str())];
        files.extend(starter.as_deref().map(|text| ("default/portsentry", text)));
        let (_, text, wrong) = imported(&files, false);
        prop_assert!(wrong.iter().all(|line| !line.contains('\n')), "{:?}", wrong);
        prop_assert!(text.lines().all(|line| !line.chars().any(char::is_control)));
    }
}
