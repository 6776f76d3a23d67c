//! The configuration as a whole: what is refused and how, and that what is printed reads again as the same.

use super::guard::Form;
use super::raw::SECTIONS;
use super::respond::Mode;
use super::response::{Expect, On, Protocol as Speech, ResponseConfig, Touched, When};
use super::*;
use ::respond::{Kind, RESPONDERS, Settings};
use detect::config::{DistributedConfig, SequentialConfig, TouchConfig};
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::ports::Ports;
use policy::config::{Ignore, SpoofableConfig, StormConfig};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

static EXAMPLE: &str = include_str!("../../../../packaging/riposte.toml");

fn errors(text: &str) -> Vec<String> {
    match Config::parse(text, "r.toml") {
        Ok(_) => Vec::new(),
        Err(lines) => lines.iter().map(Diagnostic::to_string).collect(),
    }
}

#[track_caller]
pub fn refused(text: &str, line: &str) {
    assert_eq!(errors(text), [line], "{text}");
}

/// The example with its keys made real: `#key = …` and `#[section]` lose their mark, prose (`# …`) stays.
fn uncommented(keep: impl Fn(&str) -> bool) -> String {
    let real = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).map(str::to_owned);
    EXAMPLE.lines().filter(|line| keep(line)).map(|line| real(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn nothing_at_all_is_the_default() {
    assert_eq!(Config::parse("", "x"), Ok(Config::default()));
    assert_eq!(Config::parse(EXAMPLE, "x"), Ok(Config::default()));
}

#[test]
fn the_example_shows_the_defaults() {
    // What has no default is marked as such; the log's keys stand after its header.
    let mut in_log = false;
    let kept: Vec<&str> = EXAMPLE
        .lines()
        .filter(|line| {
            in_log = (in_log || line.starts_with("#[[")) && !line.starts_with("#[applications]");
            !in_log && !line.contains("# default: none")
        })
        .collect();
    // By place: a key may stand in several sections.
    let text = uncommented(|line| kept.iter().any(|kept| std::ptr::eq(*kept, line)));
    assert!(text.contains("\n[scan]\npackets") || text.contains("\n[scan]\n#"), "{text}");
    assert_eq!(Config::parse(&text, "x"), Ok(Config::default()), "{text}");
}

#[test]
fn the_example_has_every_key() {
    let text = uncommented(|_| true);
    let mut section = String::new();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(|line| line.split("    #").next().unwrap_or(line)) {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((section.clone(), key.to_owned()));
        }
    }
    let headers: Vec<String> =
        text.lines().filter(|line| line.starts_with('[')).map(|line| line.split("    #").next().unwrap().to_owned()).collect();
    let mut known = 0;
    for kind in RESPONDERS {
        for key in kind.keys {
            known += 1;
            let section = format!("[respond.{}]", kind.name);
            assert!(found.contains(&(section, key.name.to_owned())), "no {} in [respond.{}]", key.name, kind.name);
        }
    }
    for (name, keys) in SECTIONS {
        for key in *keys {
            let inner = format!("{}.{key}", name.trim_matches(['[', ']']));
            let inner = inner.trim_start_matches('.');
            let is_section = SECTIONS.iter().any(|(other, _)| other.trim_matches(['[', ']']) == inner);
            if is_section {
                assert!(headers.iter().any(|header| header.trim_matches(['[', ']']).starts_with(inner)), "no section {inner}");
            } else {
                known += 1;
                assert!(found.contains(&((*name).to_owned(), (*key).to_owned())), "no {key} in {name}");
            }
        }
    }
    assert_eq!(found.len(), known, "the example has keys that are none, or some twice");
}

#[test]
fn the_canonical_form_has_every_key() {
    let logs = "[[sense.log]]\nkind='file'\npath='/a'\ntimezone='UTC'\n[[sense.log]]\nkind='syslog'\nlisten='127.0.0.1:1'\n";
    let tables = ["levels", "auto_dl", "ip_options", "icmp_types", "icmp6_types", "protocols"].map(|key| format!("{key}='/a'\n")).concat();
    let services = format!("[applications]\nsyslog='/a'\npipe='/b'\n[signatures]\n{tables}[guard]\nbanner='220'\n");
    let text = Config::parse(
        &format!(
            "[control]\ngroup='adm'\n{services}{logs}[[response]]\nname='a'\nprotocol='command'\nprogram='/a'\non='touch'\ntimeout='1m'\n{}",
            alert::tests::FULL.to_owned() + feed::tests::FULL
        ),
        "x",
    )
    .unwrap()
    .canonical();
    for (name, keys) in SECTIONS {
        for key in *keys {
            // Either of both stands there.
            if *key == "program" && *name == "[alert.mail]" {
                continue;
            }
            let is_section =
                text.lines().any(|line| line.starts_with('[') && line.trim_matches(['[', ']']).split('.').any(|part| part == *key));
            assert!(is_section || text.contains(&format!("\n{key} = ")), "no {key} of {name} in\n{text}");
        }
    }
}

#[test]
fn unknown_keys_get_the_nearest_right_word() {
    refused("[scan]\npacket = 1", "r.toml:2:1: unknown key 'packet' in [scan]; did you mean 'packets'?");
    refused("[policy]\n  dry-run = true", "r.toml:2:3: unknown key 'dry-run' in [policy]; did you mean 'dry_run'?");
    refused("[polcy]\ndry_run = true", "r.toml:1:2: unknown section 'polcy'; did you mean 'policy'?");
    refused("[scan]\nescalation = 2", "r.toml:2:1: unknown key 'escalation' in [scan]; it belongs in [policy]");
    refused("dry_run = true", "r.toml:1:1: unknown key 'dry_run' outside the sections; it belongs in [policy]");
    refused("[storm]\npause='1m'", "r.toml:1:2: unknown section 'storm'; did you mean [policy.storm]?");
    refused("[store]\nzzz = 1", "r.toml:2:1: unknown key 'zzz' in [store]");
    refused("[policy.derive]\nadmins = true", "r.toml:2:1: unknown key 'admins' in [policy.derive]; did you mean 'admin'?");
    refused("[store]\n\"a\\u001b[2J\" = 1", "r.toml:2:1: unknown key 'a\\u{1b}[2J' in [store]");
}

#[test]
fn who_sets_the_blocks_is_one_or_a_list_in_order() {
    let kinds = |text: &str| Config::parse(text, "x").unwrap().respond.kinds.iter().map(|kind| kind.name).collect::<Vec<_>>();
    assert_eq!(kinds("[respond]\nkind = 'null'"), ["null"]);
    assert_eq!(kinds("[respond]\nkind = ['nftables']\nmode = 'first'"), ["nftables"]);
    refused("[respond]\nkind = []", "r.toml:2:8: [respond] kind: nobody would block; write \"null\" if that is meant");
    let all = RESPONDERS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let line = format!("r.toml:2:9: [respond] kind: 'nftable' is none of {all}; did you mean 'nftables'?");
    refused("[respond]\nkind = ['nftable']", &line);
    refused("[respond]\nkind = 'nftable'", &line.replace("2:9", "2:8"));
    refused("[respond]\nkind = ['nftables', 'nftables']", "r.toml:2:21: [respond] kind: 'nftables' stands there twice");
    refused("[respond]\nkind = ['nftables', 'null']", "r.toml:2:21: [respond] kind: 'null' blocks nobody: it stands alone or not at all");
    refused("[respond]\nkind = 7", "r.toml:2:8: [respond] kind: a text in quotes is wanted, not '7'");
    refused("[respond]\nmode = 'al'", "r.toml:2:8: [respond] mode: 'al' is none of all, first; did you mean 'all'?");
    refused("[respond.nftable]\nx = 1", "r.toml:1:1: [respond.nftable]: 'nftable' is no kind of responder");
    refused("[respond.nftables]\nx = 1", "r.toml:1:1: [respond.nftables]: 'nftables' has nothing to choose");
}

/// One wrong thing a row.
#[test]
fn every_wrong_guard_gets_its_clear_line() {
    for (key, place, message) in [
        ("tcp = [0]", "2:8", "tcp: '0' is no port (1 to 65535) and no range of ports such as 1-1023"),
        ("tcp = [65536]", "2:8", "tcp: '65536' is no port (1 to 65535) and no range of ports such as 1-1023"),
        ("tcp = [-1]", "2:8", "tcp: '-1' is no port (1 to 65535) and no range of ports such as 1-1023"),
        ("tcp = ['9-1']", "2:8", "tcp: '9-1' is no rising range: write 1-9"),
        ("tcp = ['1, 2']", "2:8", "tcp: '1, 2' is no port (1 to 65535) and no range of ports such as 1-1023"),
        ("tcp = ['1 - 2']", "2:8", "tcp: '1 - 2' is no port (1 to 65535) and no range of ports such as 1-1023"),
        (
            "udp = ['awar']",
            "2:8",
            "udp: 'awar' is no list of ports (bare-bones, aware, comprehensive, standard, aggressive, catch-all); did you mean 'aware'?",
        ),
        ("tcp = '1-9'", "2:7", "tcp: a list [ … ] is wanted, not the text '1-9'"),
        ("tcp = [1.5]", "2:8", "tcp: a port like 23, a range like \"1-1023\" or the name of a list is wanted, not '1.5'"),
        ("stealth = 1", "2:11", "stealth: true or false is wanted, not '1'"),
        ("stealth = true\nbanner = 'x'", "3:10", "banner: with stealth = true nobody is answered: take one of the two out"),
        ("trigger = -1", "2:11", "trigger: -1 is not within 0 to 1000000"),
        ("trigger = 1000001", "2:11", "trigger: 1000001 is not within 0 to 1000000"),
        ("trigger = '1'", "2:11", "trigger: a whole number is wanted, not the text '1'"),
        ("within = '0s'", "2:10", "within: 0s is not within 1s to 30d"),
        ("level = 6", "2:9", "level: 6 is not within 1 to 5"),
        ("block_tcp = 2", "2:13", "block_tcp: true or false is wanted, not '2'"),
        ("portsentry = '3.x'", "2:14", "portsentry: '3.x' is none of 1.x, 2.x; did you mean '1.x'?"),
        ("portsentry = 1", "2:14", "portsentry: true, false or a word in quotes is wanted, not '1'"),
    ] {
        refused(&format!("[guard]\n{key}"), &format!("r.toml:{place}: [guard] {message}"));
    }
    refused("[guard]\ntpc = [1]", "r.toml:2:1: unknown key 'tpc' in [guard]; did you mean 'tcp'?");
    let banner = "x".repeat(101);
    refused(&format!("[guard]\nbanner = '{banner}'"), "r.toml:2:10: [guard] banner: a banner has at most 100 bytes, this one has 101");
    assert!(
        errors("[guard]\ntcp = [1]\ntcp = [2]")[0].ends_with("3:1: this is not TOML: duplicate key"),
        "{:?}",
        errors("[guard]\ntcp = [1]\ntcp = [2]")
    );
    // As editors on other systems save it; ranges to the very last port; a last line without an end.
    let forms = [(false, None), (true, Some(Form::One))].map(|(given, form)| (format!("{given}"), form));
    for (given, form) in forms.into_iter().chain([("'1.x'".to_owned(), Some(Form::One)), ("'2.x'".to_owned(), Some(Form::Two))]) {
        let config = Config::parse(&format!("[guard]\r\ntcp = ['60000-65535', 7]\r\nportsentry = {given}"), "x").unwrap();
        assert_eq!((config.guard.tcp.to_string().as_str(), config.guard.portsentry), ("7,60000-65535", form));
    }
}

#[test]
fn values_of_the_wrong_kind_say_what_is_wanted() {
    refused("[policy]\ndry_run = 'yes'", "r.toml:2:11: [policy] dry_run: true or false is wanted, not the text 'yes'");
    refused("[policy]\nescalation = 1.5", "r.toml:2:14: [policy] escalation: a whole number is wanted, not '1.5'");
    refused("[policy]\nexempt = '::1'", "r.toml:2:10: [policy] exempt: a list [ … ] is wanted, not the text '::1'");
    refused("[policy]\nexempt = [1]", "r.toml:2:11: [policy] exempt: a text in quotes is wanted, not '1'");
    refused("[[scan]]\npackets=[1]", "r.toml:1:1: there is one of these: write [scan] with one bracket on each side");
    refused("scan = 1", "r.toml:1:8: [scan] is a section and not a value: write it in a line of its own, in brackets");
    refused("[sense.log]\nkind='kmsg'", "r.toml:1:1: there may be several of these: write [[sense.log]] with two brackets");
    refused("[scan]\nforget = 600", "r.toml:2:10: [scan] forget: a text in quotes is wanted, not '600'");
    refused(
        "[store]\nhistory_max = 99999999999999999999",
        "r.toml:2:15: [store] history_max: a whole number is wanted, not '99999999999999999999'",
    );
}

#[test]
fn impossible_thresholds_are_refused() {
    for (text, line) in [
        ("[scan]\npackets = [5, 20, 15, 30, 40]", "2:19: [scan] packets: the thresholds must rise: 15 is not more than 20"),
        ("[scan]\npackets = [5, 5, 15, 30, 40]", "2:15: [scan] packets: the thresholds must rise: 5 is not more than 5"),
        ("[scan]\npackets = [0, 5, 15, 30, 40]", "2:12: [scan] packets: 0 is not within 1 to 9223372036854775807"),
        ("[scan]\nhosts = [1, 2]", "2:9: [scan] hosts: five numbers are wanted, one for each danger level, not 2"),
        ("[scan]\nhosts = [2, 3, 4, 5, 4294967296]", "2:22: [scan] hosts: 4294967296 is not within 2 to 4294967295"),
        ("[scan]\nport_range = -1", "2:14: [scan] port_range: -1 is not within 0 to 65535"),
        ("[scan]\ncount_by_ipv4 = 33", "2:17: [scan] count_by_ipv4: 33 is not within 16 to 32"),
        ("[scan]\ncount_by_ipv6 = 129", "2:17: [scan] count_by_ipv6: 129 is not within 32 to 128"),
        ("[scan]\ntracked_sources = 1023", "2:19: [scan] tracked_sources: 1023 is not within 1024 to 16777216"),
        ("[scan]\ndecay = '0s'", "2:9: [scan] decay: 0s is not within 1s to 365d"),
        ("[scan.sequential]\nfalse_positive = 0", "2:18: [scan.sequential] false_positive: 0 is no chance: above 0, below 1"),
        ("[scan.sequential]\ndetection = nan", "2:13: [scan.sequential] detection: NaN is no chance: above 0, below 1"),
        ("[scan.distributed]\nfresh_share = 1.01", "2:15: [scan.distributed] fresh_share: 1.01 is no share: above 0, up to 1"),
        ("[policy]\nblock_level = 6", "2:15: [policy] block_level: 6 is not within 1 to 5"),
        ("[policy]\nescalation = 0", "2:14: [policy] escalation: 0 is not within 1 to 100"),
        (
            "[policy]\nblock_for = ['1m','1m','1m','1m']",
            "2:13: [policy] block_for: five times are wanted, one for each danger level, not 4",
        ),
        (
            "[policy]\nblock_for = ['2m','1m','3m','4m','5m']",
            "2:19: [policy] block_for: a higher danger level must not earn less: 1m is less than 2m",
        ),
        ("[sense.nflog]\nrate = 0", "2:8: [sense.nflog] rate: 0 is not within 1 to 1000000"),
        ("[sense.nflog]\ngroup = 0", "2:9: [sense.nflog] group: 0 is not within 1 to 65535"),
        ("[sense.nflog]\nssh_ports = [22, 70000]", "2:18: [sense.nflog] ssh_ports: 70000 is no port (1 to 65535)"),
    ] {
        refused(text, &format!("r.toml:{line}"));
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    for (text, line) in [
        ("[policy]\nblock_max = '1h'", "2:13: [policy] block_for: 1d is more than block_max = \"1h\""),
        ("[policy.spoofable]\nblock_max = '31d'", "2:13: [policy.spoofable] block_max: 31d is more than [policy] block_max = \"30d\""),
        ("[policy]\nblocks_per_minute = 10", "2:21: [policy.spoofable] blocks_per_minute: 20 is more than [policy] blocks_per_minute = 10"),
        ("[policy]\nblocks_total = 199", "2:16: [policy.spoofable] blocks_standing: 200 is more than [policy] blocks_total = 199"),
        (
            "[scan]\nforget = '1h'\nslow_gap = '1h'",
            "3:12: [scan] slow_gap: 1h between two probes is never seen, for a source is forgotten after forget = \"1h\"",
        ),
        (
            "[scan.sequential]\nbenign_success = 0.2",
            "2:18: [scan.sequential] scanner_success: 0.2 is not less than benign_success = 0.2: a scanner must fail more often",
        ),
        (
            "[scan.sequential]\ndetection = 0.001",
            "2:13: [scan.sequential] false_positive: 0.001 is not less than detection = 0.001: the benign would be convicted as often as scanners",
        ),
        (
            "[sense.capture]\ninterfaces = [\"any\"]",
            "2:15: [sense.capture] interfaces: 'any' would take the loopback too: write [\"auto\"] for all others",
        ),
        ("[sense.capture]\ninterfaces = [\"eth 0\"]", "2:15: [sense.capture] interfaces: 'eth 0' is no name of an interface"),
        ("[sense.capture]\ninterfaces = [\"eth[0\"]", "2:15: [sense.capture] interfaces: 'eth[0' is no pattern: invalid range pattern"),
        (
            "[sense.capture]\ninterfaces = []",
            "2:14: [sense.capture] interfaces: either [\"auto\"] or up to 64 names such as \"eth0\" or \"ppp*\"",
        ),
        (
            "[sense.capture]\ninterfaces = [\"auto\", \"eth0\"]",
            "2:14: [sense.capture] interfaces: either [\"auto\"] or up to 64 names such as \"eth0\" or \"ppp*\"",
        ),
        ("[sense.capture]\ninterfaces = \"eth0\"", "2:14: [sense.capture] interfaces: a list [ … ] is wanted, not the text 'eth0'"),
        ("[sense.capture]\nring_mib = 0", "2:12: [sense.capture] ring_mib: 0 is not within 1 to 256"),
        ("[sense.capture]\nrate = 50", "2:8: [sense.capture] per_source_rate: 100 for one source is more than rate = 50 for all"),
        (
            "[sense.nflog]\nenabled = false\n[sense.capture]\nenabled = true",
            "4:11: [sense.capture] enabled: this needs [sense.nflog] enabled = true: what is neither TCP nor UDP, and traps, still come that way",
        ),
        ("[sense.nflog]\nrate = 50", "2:8: [sense.nflog] per_source_rate: 100 for one source is more than rate = 50 for all"),
    ] {
        refused(text, &format!("r.toml:{line}"));
    }
}

#[test]
fn words_times_and_addresses_are_refused_with_examples() {
    for (text, line) in [
        (
            "[policy]\nblock_max = '10 minutes'",
            "2:13: [policy] block_max: '10 minutes' is no length of time; write it like \"90s\", \"10m\", \"1h30m\" or \"7d\" (s, m, h, d, w)",
        ),
        (
            "[policy]\nblock_for = ['1m','1m','1m','1m','never']",
            "2:34: [policy] block_for: 'never' is not possible here: only an operator blocks for good (riposte block)",
        ),
        ("[log]\npath = '/x'", "2:8: [log] path: only target = \"journal\" and \"file\" have a path"),
        ("[log]\nlevel = 'Info'", "2:9: [log] level: 'Info' is none of error, warn, info, debug, trace; did you mean 'info'?"),
        ("[policy]\nexempt = ['10.0.0.0/33']", "2:11: [policy] exempt: '10.0.0.0/33': '33' is no prefix length for this address"),
        ("[policy]\nexempt = ['2001:db8::/129']", "2:11: [policy] exempt: '2001:db8::/129': '129' is no prefix length for this address"),
        ("[policy]\nexempt = ['10.0.0']", "2:11: [policy] exempt: '10.0.0' is no address, prefix or host name"),
        (
            "[policy]\nignore = ['tpc/1']",
            "2:11: [policy] ignore: 'tpc' is no protocol name or number; did you mean 'tcp'? Entries are written like \"tcp/61000-61356\", \"udp/53\" or \"icmp\"",
        ),
        ("[policy]\nignore = ['udp/9-1']", "2:11: [policy] ignore: 'udp/9-1': '9-1' is no port (0 to 65535) and no rising range of ports"),
        ("[policy]\nignore = ['icmp/8']", "2:11: [policy] ignore: 'icmp/8': icmp has no ports"),
        ("[store]\npath = 'var'", "2:8: [store] path: 'var' must start with '/': the daemon's own folder is not where you typed this"),
        ("[process]\nuser = 'root'", "2:8: [process] user: root is refused: these processes read hostile bytes and must have no privilege"),
        ("[control]\ngroup = 'a b'", "2:9: [control] group: 'a b' is no name of a user or group"),
    ] {
        refused(text, &format!("r.toml:{line}"));
    }
    let long = format!("[control]\nsocket = '/{}'", "x".repeat(107));
    refused(&long, "r.toml:2:10: [control] socket: a socket's path has at most 107 bytes, this one has 108");
}

#[test]
fn logs_are_read_by_their_kind() {
    let text = "
        [[sense.log]]
        kind = 'file'
        path = '/var/log/kern.log'
        from = 'start'
        timezone = '+02:00'
        [[sense.log]]
        kind = 'journal'
        [[sense.log]]
        kind = 'syslog'
        listen = '[::1]:5514'
    ";
    let config = Config::parse(text, "x").unwrap();
    assert!(config.nflog.enabled);
    assert_eq!(config.logs.len(), 3);
    assert_eq!(config.logs[1], LogSource::Journal { from: StartAt::End });
    assert_eq!(config.logs[2], LogSource::Syslog { socket: SyslogSocket::Udp("[::1]:5514".parse().unwrap()), timezone: None });
    for (text, line) in [
        ("path = '/x'", "1:1: [[sense.log]]: 'kind' is missing: file, ulogd, pipe, kmsg, journal or syslog"),
        ("kind = 'file'", "1:1: [[sense.log]]: a log of kind \"file\" needs a 'path'"),
        ("kind = 'fil'", "2:8: [[sense.log]] kind: 'fil' is none of file, pipe, kmsg, journal, syslog, ulogd; did you mean 'file'?"),
        ("kind = 'kmsg'\npath = '/x'", "3:8: [[sense.log]] path: a log of kind \"kmsg\" has no such key"),
        ("kind = 'pipe'\npath = '/x'\nfrom = 'end'", "4:8: [[sense.log]] from: a log of kind \"pipe\" has no such key"),
        ("kind = 'syslog'", "1:1: [[sense.log]]: a log of kind \"syslog\" needs a 'path' or 'listen'"),
        (
            "kind = 'syslog'\nlisten = '0.0.0.0:514'",
            "3:10: [[sense.log]] listen: 0.0.0.0:514 is no loopback address with a port: anybody could write log lines there",
        ),
        ("kind = 'syslog'\nlisten = '5514'", "3:10: [[sense.log]] listen: '5514' is no address and port; write it like \"127.0.0.1:5514\""),
        (
            "kind = 'pipe'\npath = '/x'\ntimezone = '+25:00'",
            "4:12: [[sense.log]] timezone: '+25:00' is no time zone of this system; write \"UTC\", \"+02:00\" or \"Europe/Vienna\"",
        ),
    ] {
        refused(&format!("[[sense.log]]\n{text}"), &format!("r.toml:{line}"));
    }
    let many = "[[sense.log]]\nkind = 'kmsg'\n".repeat(33);
    refused(&many, "r.toml:65:1: [[sense.log]]: at most 32 of them, not 33");
}

#[test]
fn all_errors_come_at_once_and_in_order() {
    let lines = errors("[log]\nlevel = 1\n[store]\npth = '/x'\n[scan]\nprotocols = 1\ndecay = 'x'\n");
    assert_eq!(lines.len(), 4);
    assert!(lines.is_sorted_by_key(|line| line.split(':').nth(1).map(str::to_owned)), "{lines:?}");
    let many: String = (0..50).map(|n| format!("key{n} = 1\n")).collect();
    let lines = errors(&many);
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[20], "r.toml: and 30 more");
}

#[test]
fn exemptions_are_bounded_and_names_kept_apart() {
    let config = Config::parse("[policy]\nexempt = ['192.0.2.7/24', 'Admin.example.org.', '192.0.2.0/24', '::1']", "x").unwrap();
    assert_eq!(config.policy.exempt, ["192.0.2.0/24".parse::<Prefix>().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(config.exempt_names, ["admin.example.org"]);
    let list: Vec<String> = (0..=4096).map(|n| format!("'10.0.{}.{}'", n / 256, n % 256)).collect();
    refused(&format!("[policy]\nexempt = [{}]", list.join(",")), "r.toml:2:10: [policy] exempt: at most 4096 entries, not 4097");
    assert!(Config::parse(&format!("[policy]\nexempt = [{}]", list[1..].join(",")), "x").is_ok());
}

#[test]
fn what_is_no_toml_is_one_line_with_its_place() {
    for (text, lines) in [
        (
            "[scan]\ndecay = 10m\nhosts = [1, 2\n[policy]\ndry_run = true\nescalation = = 3\n",
            &["2:9: string values must be quoted, expected literal string", "3:14: unclosed array, expected `]`", "6:14: "][..],
        ),
        ("[scan\nprotocols = 5", &["1:6: unclosed table, expected `]`"]),
        ("[scan]\ndecay = \"1h\n[policy]\n", &["2:12: invalid basic string, expected `\"`"]),
        ("dry_run true", &["1:9: key with no value, expected `=`"]),
        ("[scan]\nprotocols = 5\nprotocols = 6\n[scan]\n", &["3:1: duplicate key", "4:2: duplicate key"]),
        ("[policy]\nexempt = [\n  '::1',\n  '::2'\n", &["4:"]),
    ] {
        let found: Vec<String> = errors(text).iter().map(|line| line.replace("this is not TOML: ", "").replace("r.toml:", "")).collect();
        assert!(found.len() == lines.len() && found.iter().zip(lines).all(|(found, line)| found.starts_with(line)), "{text}: {found:?}");
        assert!(errors(text).iter().all(|line| line.contains(": this is not TOML: ") && !line.contains('\n')));
    }
}

#[test]
fn application_logs_are_patterns_with_full_paths() {
    let files = |list: &str| format!("[applications]\nfiles = [{list}]");
    refused(
        &files("'auth.log'"),
        "r.toml:2:10: [applications] files: 'auth.log' must start with '/': the daemon's own folder is not where you typed this",
    );
    refused(&files("'/var/log/[a.log'"), "r.toml:2:10: [applications] files: '/var/log/[a.log' is no pattern: invalid range pattern");
    refused(
        &files("'/x/**/a.log'"),
        "r.toml:2:10: [applications] files: '/x/**/a.log' has '..' or '**', which stand for too much: name the folders",
    );
    refused(&files("'/a', '/a'"), "r.toml:2:16: [applications] files: '/a' stands there twice");
    refused(
        "[applications]\njournal = 'allways'",
        "r.toml:2:11: [applications] journal: 'allways' is none of auto, always, never; did you mean 'always'?",
    );
    refused("[applications]\nfile = []", "r.toml:2:1: unknown key 'file' in [applications]; did you mean 'files'?");
    let config = Config::parse(&files("'/var/log/*/a?.log'"), "x").unwrap();
    assert_eq!(config.applications.files, ["/var/log/*/a?.log"]);
}

#[test]
fn files_that_cannot_be_read_say_so_in_one_line() {
    let lines = |path: &Path| Config::load(path).unwrap_err().iter().map(Diagnostic::to_string).collect::<Vec<_>>();
    assert_eq!(lines(Path::new("/nowhere/r.toml")), ["/nowhere/r.toml: cannot be read: No such file or directory"]);
    assert_eq!(lines(Path::new("/")), ["/: cannot be read: Is a directory"]);
    assert_eq!(lines(Path::new("/dev/zero")), ["/dev/zero: is longer than 4194304 bytes: that is no configuration"]);
    let path = std::env::temp_dir().join(format!("riposte-config-{}.toml", std::process::id()));
    std::fs::write(&path, b"# fine\n# caf\xe9\n").unwrap();
    let found = lines(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found, [format!("{}:2:6: this is not UTF-8 text", path.display())]);
}

fn a_period(most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![1..=most.min(7_200), 60..=most].prop_map(Duration::from_secs)
}

#[test]
fn guarded_ports_are_read_by_list_range_and_number() {
    let config =
        Config::parse("[guard]\ntcp = [\"bare-bones\", 23, \"60000-65535\", 22]\ntrap_tcp = [23]\nudp = [\"161-162\"]\n", "x").unwrap();
    assert!(config.guard.tcp.contains(65_535) && config.guard.tcp.contains(12_345) && config.guard.udp.contains(162));
    // A trap comes first; administrators' ports are never guarded.
    assert!(!config.guard.tcp.contains(23) && config.guard.trap_tcp.contains(23) && !config.guard.tcp.contains(22));
    refused(
        "[guard]\ntcp = [\"awar\"]",
        "r.toml:2:8: [guard] tcp: 'awar' is no list of ports (bare-bones, aware, comprehensive, standard, aggressive, catch-all); did you mean 'aware'?",
    );
    refused("[guard]\nudp = [0]", "r.toml:2:8: [guard] udp: '0' is no port (1 to 65535) and no range of ports such as 1-1023");
    refused("[guard]\ntrap_udp = [\"9-7\"]", "r.toml:2:13: [guard] trap_udp: '9-7' is no rising range: write 7-9");
    refused(
        "[guard]\ntcp = [true]",
        "r.toml:2:8: [guard] tcp: a port like 23, a range like \"1-1023\" or the name of a list is wanted, not true",
    );
    refused(
        "[guard]\ntcp = [1]\n[sense.nflog]\nenabled = false",
        "r.toml:2:7: [guard] tcp: guarded ports need [sense.nflog] enabled = true: it knows which ports have services of their own",
    );
    refused(
        "[guard]\nstealth = true\nbanner = \"x\"",
        "r.toml:3:10: [guard] banner: with stealth = true nobody is answered: take one of the two out",
    );
    assert_eq!(errors(&format!("[guard]\nbanner = \"{}\"", "x".repeat(101))).len(), 1);
}

fn a_source() -> impl Strategy<Value = LogSource> {
    let path = || "/[a-zA-Z0-9 ._'\"\\\\/é-]{0,30}".prop_map(PathBuf::from);
    let zone = || {
        prop_oneof![Just(None), Just(Some("UTC")), Just(Some("+02:00")), Just(Some("-03:30"))].prop_map(|name: Option<&str>| {
            let text = name.map_or_else(String::new, |name| format!("timezone='{name}'"));
            let config = Config::parse(&format!("[[sense.log]]\nkind='pipe'\npath='/x'\n{text}"), "x").unwrap();
            match config.logs.into_iter().next() {
                Some(LogSource::Pipe { timezone, .. }) => timezone,
                other => panic!("{other:?}"),
            }
        })
    };
    let from = || prop_oneof![Just(StartAt::End), Just(StartAt::Start)];
    prop_oneof![
        (path(), from(), zone(), any::<bool>()).prop_map(|(path, from, timezone, ulogd)| LogSource::File { path, from, timezone, ulogd }),
        (path(), zone()).prop_map(|(path, timezone)| LogSource::Pipe { path, timezone }),
        from().prop_map(|from| LogSource::Kmsg { from }),
        from().prop_map(|from| LogSource::Journal { from }),
        (path(), zone()).prop_map(|(path, timezone)| LogSource::Syslog { socket: SyslogSocket::Unix(path), timezone }),
        (1_u16.., zone()).prop_map(|(port, timezone)| LogSource::Syslog {
            socket: SyslogSocket::Udp(SocketAddr::from(([127, 0, 0, 1], port))),
            timezone
        }),
    ]
}

/// Of several that are one log the first.
fn apart(logs: Vec<LogSource>) -> Vec<LogSource> {
    let is_first = |n: &usize| !logs[..*n].iter().any(|log| read::is_one(log, &logs[*n]));
    (0..logs.len()).filter(is_first).map(|n| logs[n].clone()).collect()
}

fn an_application_part() -> impl Strategy<Value = ApplicationsConfig> {
    let path = || "/[a-zA-Z0-9 ._'\"\\\\/é-]{0,30}".prop_map(PathBuf::from);
    let pattern = "/[a-z0-9 _'\"é-]{1,9}(/[a-z]{1,9}[*?]?){0,3}";
    let places = (prop::option::of(path()), prop::option::of(path()), prop::collection::vec(path(), 0..3));
    (any::<bool>(), prop::collection::btree_set(pattern, 0..4), 0_usize..3, places, any::<bool>()).prop_map(
        |(enabled, files, journal, places, start)| ApplicationsConfig {
            enabled,
            files: files.into_iter().collect(),
            journal: JournalUse::ALL[journal],
            syslog: places.0,
            pipe: places.1,
            rules: places.2,
            from: if start { StartAt::Start } else { StartAt::End },
            timezone: None,
        },
    )
}

fn a_response() -> impl Strategy<Value = ResponseConfig> {
    let texts = ("[a-zA-Z0-9_.-]{40}", "/[a-zA-Z0-9 ._'\"é-]{0,30}", prop::collection::vec("[ -~é]{0,20}", 0..3));
    let numbers = (1_u64..=600, 1_u64..=86_400, 1_u32..=1_000);
    let speech = prop::sample::select(vec![Speech::Ossec, Speech::Wazuh, Speech::Command]);
    let on = prop::sample::select(On::ALL.to_vec());
    (texts, numbers, speech, on, any::<bool>()).prop_map(|(texts, numbers, protocol, on, flag)| ResponseConfig {
        name: texts.0,
        protocol,
        program: texts.1.into(),
        args: match protocol {
            Speech::Command => texts.2.iter().map(|arg| arg.replace('{', "{{").replace('}', "}}") + "{port}").collect(),
            Speech::Wazuh => texts.2,
            Speech::Ossec | Speech::Account => Vec::new(),
        },
        expect: if on == On::Rule { vec![Expect::Address, Expect::User] } else { vec![Expect::Address] },
        on,
        protocols: if on != On::Touch {
            Vec::new()
        } else if flag {
            vec![Touched::Udp]
        } else {
            Touched::ALL.to_vec()
        },
        when: if on != On::Rule && flag { When::Before } else { When::After },
        at_end: protocol != Speech::Command || flag,
        user: if flag { "nobody" } else { "root" }.to_owned(),
        limit: Duration::from_secs(if flag { numbers.0 % 10 + 1 } else { numbers.0 }),
        timeout: (on != On::Rule).then(|| Duration::from_secs(numbers.1)),
        per_minute: numbers.2,
    })
}

#[test]
fn responses_say_what_is_wrong_with_them() {
    let response = |text: &str| format!("[[response]]\nname = 'a'\nprotocol = 'ossec'\nprogram = '/a'\n{text}");
    refused("[[response]]\nprotocol = 'ossec'", "r.toml:1:1: [[response]]: 'name' is missing");
    refused("[[response]]\nname = 'a'", "r.toml:1:1: [[response]]: 'protocol' is missing: ossec, wazuh, account or command");
    refused(
        "[[response]]\nname = 'a'\nprotocol = 'osec'",
        "r.toml:3:12: [[response]] protocol: 'osec' is none of ossec, wazuh, account, command; did you mean 'ossec'?",
    );
    refused("[[response]]\nname = 'a'\nprotocol = 'ossec'", "r.toml:1:1: [[response]]: 'program' is missing: the script's full path");
    refused(&response("args = ['x']"), "r.toml:5:8: [[response]] args: OSSEC's protocol has no further arguments");
    let command = |text: &str| response(text).replace("ossec", "command");
    refused(
        &command("args = ['{adress}']"),
        "r.toml:5:9: [[response]] args: '{adress}' has a placeholder that there is not ({action}, {address}, {port}, {protocol}, {mode}, {rule}, {level}, {until}); did you mean '{address}'?",
    );
    refused(
        &command("args = ['a}']"),
        "r.toml:5:9: [[response]] args: 'a}' has a brace that is none of a placeholder's: write it twice if it is meant",
    );
    refused(&command("when = 'before'"), "r.toml:5:8: [[response]] when: only a block can wait: on = \"block\" or \"touch\" it must be");
    refused(&command("on = 'block'\nwhen = 'before'\nlimit = '1m'"), "r.toml:7:9: [[response]] limit: 1m is not within 1s to 10s");
    refused(&command("protocols = ['tcp']"), "r.toml:5:13: [[response]] protocols: of touched ports: on = \"touch\" it must be");
    refused(&command("on = 'tuch'"), "r.toml:5:6: [[response]] on: 'tuch' is none of rule, block, touch; did you mean 'touch'?");
    refused(&command("wen = 'before'"), "r.toml:5:1: unknown key 'wen' in [[response]]; did you mean 'when'?");
    refused(&response("at_end = true"), "r.toml:5:10: [[response]] at_end: with protocol = \"ossec\" it always is");
    refused(&response("on = 'block'\nexpect = ['user']"), "r.toml:5:6: [[response]] on: a block names no user: on = \"rule\" it must be");
    refused(&response(&response("")), "r.toml:6:8: [[response]] name: 'a' stands there twice");
    refused(
        &response("").replace("'a'", "'a b'"),
        "r.toml:2:8: [[response]] name: 'a b' is no name: up to 64 letters, digits, '_', '.', '-'",
    );
    refused(
        "[[response]]\nname = 'a'\nprotocol = 'account'",
        "r.toml:1:1: [[response]] user: locking accounts takes root: write user = \"root\" if that is to be",
    );
}

#[test]
fn programs_that_are_missing_or_not_only_root_s_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("custom-drop.sh");
    std::fs::write(&script, "any text").unwrap();
    let wrong = |program: &Path, user: &str| {
        let text = format!("[[response]]\nname='a'\nprotocol='ossec'\nuser='{user}'\nprogram='{}'", program.display());
        super::response::check(&Config::parse(&text, "x").unwrap().responses).err().map(|lines| lines.concat()).unwrap_or_default()
    };
    assert!(wrong(&folder.path().join("custom-dorp.sh"), "nobody").ends_with("did you mean 'custom-drop.sh'?"));
    assert!(wrong(&script, "nobody").contains("chmod +x"));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(wrong(&script, "nobody"), "");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o775)).unwrap();
    assert!(wrong(&script, "root").contains("may be changed by others than root"), "{}", wrong(&script, "root"));
    assert!(wrong(folder.path(), "nobody").contains("is no file"));
    // A link that somebody else may turn elsewhere tomorrow.
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink("/usr/bin/true", shared.join("link")).unwrap();
    assert_eq!(wrong(Path::new("/usr/bin/true"), "root"), "");
    assert!(wrong(&shared.join("link"), "root").contains("may be changed by others than root"));
}

fn a_scan() -> impl Strategy<Value = ScanConfig> {
    let levels = prop::collection::btree_set(2..u32::MAX, 5);
    let chances = (0.5..0.999, 0.001..0.499, 1e-9..0.1, 0.2..0.999_999);
    let distributed = (2_usize..65_536, 2_usize..65_536, a_period(86_400), 1e-6..=1.0);
    let rest = (any::<u16>(), 2_u32..=256, a_period(31_536_000), a_period(31_535_000), 16_u8..=32, 32_u8..=128, 1_024_usize..16_777_216);
    (levels, chances, distributed, rest).prop_map(|(levels, chances, distributed, rest)| {
        let levels: Vec<u32> = levels.into_iter().collect();
        ScanConfig {
            packets: std::array::from_fn(|n| u64::from(levels[n]) * 7),
            hosts: std::array::from_fn(|n| levels[n]),
            port_range: rest.0,
            protocols: rest.1,
            decay: rest.2,
            forget: rest.3 + Duration::from_secs(60),
            slow_gap: rest.3,
            sequential: SequentialConfig {
                benign_success: chances.0,
                scanner_success: chances.1,
                false_positive: chances.2,
                detection: chances.3,
            },
            distributed: DistributedConfig {
                sources: distributed.0,
                ports: distributed.1,
                window: distributed.2,
                fresh_share: distributed.3,
            },
            touch: TouchConfig {
                trigger: rest.1,
                within: rest.2.min(Duration::from_secs(2_592_000)),
                level: DangerLevel::new((rest.1 % 5) as u8 + 1).unwrap(),
            },
            count_by_ipv4: rest.4,
            count_by_ipv6: rest.5,
            match_charges: ScanConfig::default().match_charges,
            tracked_sources: rest.6,
        }
    })
}

fn a_guard() -> impl Strategy<Value = GuardConfig> {
    let ports = || prop::collection::vec((1_u16.., 0_u16..300), 0..6).prop_map(ranges);
    (ports(), ports(), ports(), ports(), any::<bool>(), "[ -~é]{1,40}").prop_map(|(tcp, udp, trap_tcp, trap_udp, stealth, banner)| {
        GuardConfig {
            tcp: tcp.without(&trap_tcp),
            udp: udp.without(&trap_udp),
            trap_tcp,
            trap_udp,
            stealth,
            portsentry: stealth.then_some(Form::Two),
            banner: (!stealth).then_some(banner),
        }
    })
}

fn ranges(list: Vec<(u16, u16)>) -> Ports {
    list.into_iter().map(|(first, more)| first..=first.saturating_add(more)).collect()
}

fn a_policy() -> impl Strategy<Value = PolicyConfig> {
    let prefix = (any::<bool>(), any::<u128>(), 0_u8..=128).prop_map(|(six, bits, len)| {
        Prefix::new(if six { IpAddr::from(bits.to_be_bytes()) } else { IpAddr::from((bits as u32).to_be_bytes()) }, len)
    });
    let ignore = prop_oneof![
        any::<u8>().prop_map(|n| Ignore { protocol: Protocol(n), ports: None }),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Ignore { protocol: Protocol::UDP, ports: Some((a.min(b), a.max(b))) }),
    ];
    let lists = (prop::collection::btree_set(prefix, 0..9), prop::collection::vec(ignore, 0..9));
    let times = prop::collection::vec(a_period(3_600), 5);
    let numbers = (any::<bool>(), 1_u8..=5, 1_u32..=100, 20_u32..10_000_000, 200_usize..2_000_000);
    let storm = (2_usize..65_536, a_period(86_400), 0_u64..604_800);
    (lists, times, numbers, storm, any::<bool>()).prop_map(|(lists, mut times, numbers, storm, may_block)| {
        times.sort();
        PolicyConfig {
            dry_run: numbers.0,
            block_level: DangerLevel::new(numbers.1).unwrap(),
            block_for: std::array::from_fn(|n| times[n]),
            escalation: numbers.2,
            block_max: times[4],
            strikes_forget: times[4] + Duration::from_secs(60),
            spoofable: SpoofableConfig { may_block, block_max: times[0], blocks_per_minute: numbers.3 / 3, blocks_standing: numbers.4 / 2 },
            blocks_per_minute: numbers.3,
            blocks_total: numbers.4,
            storm: StormConfig { offenders: storm.0, window: storm.1, pause: Duration::from_secs(storm.2) },
            exempt: lists.0.into_iter().collect(),
            ignore: lists.1,
            touch_blocks: [numbers.0, !numbers.0],
            ..PolicyConfig::default()
        }
    })
}

proptest! {
    #[test]
    fn the_canonical_form_reads_again_as_the_same(
        logs in prop::collection::vec(a_source(), 0..4).prop_map(apart),
        scan in a_scan(),
        applications in an_application_part(),
        policy in a_policy(),
        guard in a_guard(),
        responses in prop::collection::vec(a_response(), 0..3),
        flags in any::<[bool; 6]>(),
        names in prop::collection::btree_set("[a-z]{1,9}\\.[a-z]{2,3}", 0..4),
        paths in ("/[a-zA-Z0-9 '\"\\\\é]{0,40}", "/[a-z]{0,40}"),
        numbers in (1_u32..36_500, 1_u64..1_000_000_000, 1_u16.., 100_u32..1_000_000, prop::collection::btree_set(1_u16.., 0..5)),
        words in (0_usize..2, 0_usize..5, 0_usize..2, prop::option::of("[a-z_][a-z0-9_-]{0,20}")),
    ) {
        let ssh: Ports = numbers.4.iter().map(|port| *port..=*port).collect();
        let [tcp, udp, trap_tcp, trap_udp] = [&guard.tcp, &guard.udp, &guard.trap_tcp, &guard.trap_udp].map(|ports| ports.without(&ssh));
        let guard = GuardConfig { tcp, udp, trap_tcp, trap_udp, ..guard };
        let config = Config {
            store: StoreConfig { path: paths.0.into(), history_days: numbers.0, history_max: numbers.1, max_mib: 17, min_free_percent: 49 },
            control: ControlConfig { socket: paths.1.into(), group: words.3 },
            process: ProcessConfig { user: "_r".to_owned() },
            nflog: NflogConfig {
                enabled: flags[0], group: numbers.2, rate: numbers.3, burst: numbers.3, per_source_rate: numbers.3 / 2,
                per_source_burst: 1, ssh_ports: numbers.4.into_iter().collect(),
            },
            capture: CaptureConfig {
                enabled: flags[0] && flags[1], interfaces: flags[2].then(|| vec!["eth*".to_owned(), "ppp0".to_owned()]), ring_mib: 9,
                rate: numbers.3 / 50, per_source_rate: 1,
            },
            lines: Wanted { only: vec!["DROP \"".into()], ignore: Vec::new(), ignore_interfaces: vec!["eth1".into()] },
            logs,
            applications,
            signatures: SignaturesConfig {
                enabled: flags[5],
                shipped: flags[4],
                rules: vec!["/etc/psad/signatures".into()],
                auto_dl: flags[3].then(|| "/etc/psad/auto_dl".into()),
                variables: vec![("HOME_NET".into(), "[192.0.2.0/24, !192.0.2.7]".into())],
                ..SignaturesConfig::default()
            },
            fingerprint: FingerprintConfig { enabled: flags[5], shipped: flags[4], p0f: vec!["/p0f.fp".into()], posf: vec![] },
            // Only where packets are looked at, and never at the ports of administrators.
            guard: if flags[0] { guard } else { GuardConfig::default() },
            scan,
            policy,
            exempt_names: names.into_iter().collect(),
            derive: DeriveConfig {
                own: flags[0], gateways: flags[1], resolvers: flags[2], time_servers: flags[3], admin: flags[4],
            },
            respond: RespondConfig {
                kinds: vec![Kind::of(["nftables", "null"][words.0]).unwrap()],
                mode: Mode::ALL[words.2],
                settings: Settings::default(),
            },
            responses,
            alert: alert::tests::of(words.1),
            whois: lookups::WhoisConfig { enabled: flags[1], ..Default::default() },
            reverse_dns: lookups::ReverseDnsConfig { enabled: flags[2], ..Default::default() },
            feeds: Vec::new(),
            dshield: Default::default(),
            log: LoggingConfig {
                level: LogLevel::ALL[words.1],
                format: LogFormat::ALL[words.2],
                target: [LogTarget::Stderr, LogTarget::Journal("/run/j".into()), LogTarget::File("/var/log/r".into())][words.1 % 3].clone(),
            },
        };
        let text = config.canonical();
        prop_assert_eq!(Config::parse(&text, "x").map_err(|lines| format!("{lines:?}\n{text}")), Ok(config));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\[{0,2}(scan|policy|sense\\.log|store)\\]{0,2}|[a-z_]{1,9}|packets|exempt| = |[\\[\\],'\"{}#.]|[0-9]{1,4}|\n|\\PC){0,60}") {
        if let Err(lines) = Config::parse(&text, "x") {
            prop_assert!(!lines.is_empty() && lines.iter().all(|line| !line.to_string().contains('\n')));
        }
    }
}
