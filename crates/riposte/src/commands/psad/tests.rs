//! Whole folders in, configurations and complaints out: what is printed must be accepted as it stands.

use super::settings::{Fate, SETTINGS};
use super::*;
use crate::config::alert::Tells;
use crate::config::response::On;
use crate::config::words::Word;
use crate::config::{Config, LogSource};
use std::collections::BTreeMap;
use std::time::Duration;

/// The configuration, its text, and the complaints without the folder's name. Files lie in `/p/psad`.
fn imported(files: &[(&str, &str)], overrides: &[&str], journald: bool) -> (Config, String, Vec<String>) {
    let files: BTreeMap<PathBuf, &str> = files.iter().map(|(name, text)| (Path::new("/p/psad").join(name), *text)).collect();
    let read = |path: &Path| Ok(files.get(path).map(|text| text.as_bytes().to_vec()));
    let host = Host { read: &read, check, journald };
    let overrides: Vec<PathBuf> = overrides.iter().map(|name| Path::new("/p/psad").join(name)).collect();
    let (text, wrong) = translate(Path::new("/p/psad/psad.conf"), &overrides, &host).unwrap();
    let config = Config::parse(&text, "imported").unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    (config, text, wrong.iter().map(|line| line.replace("/p/psad/", "")).collect())
}

fn conf(text: &str) -> (Config, String, Vec<String>) {
    imported(&[("psad.conf", text)], &[], false)
}

#[test]
fn thresholds_times_and_ignored_become_keys() {
    let (config, text, wrong) = conf(
        "DANGER_LEVEL1 7; ### packets\nDANGER_LEVEL2 20;\nDL1_UNIQUE_HOSTS 12;\nPORT_RANGE_SCAN_THRESHOLD 3;\nPROTOCOL_SCAN_THRESHOLD 6;\nSCAN_TIMEOUT 7200;\n\
         ENABLE_AUTO_IDS Y;\nAUTO_IDS_DANGER_LEVEL 3;\nAUTO_BLOCK_TIMEOUT 600;\nAUTO_BLOCK_DL1_TIMEOUT $AUTO_BLOCK_TIMEOUT;\nAUTO_BLOCK_DL4_TIMEOUT 0;\n\
         IGNORE_PORTS tcp/61000 - 61356, UDP/53;\nIGNORE_PROTOCOLS icmp6, 47;\nIGNORE_INTERFACES eth1, eth0.1;\nMAX_SCAN_IP_PAIRS 5000;\n",
    );
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!((config.scan.packets, config.scan.hosts), ([7, 20, 150, 1_500, 10_000], [12, 20, 50, 100, 500]));
    assert_eq!(
        (config.scan.port_range, config.scan.protocols, config.scan.decay.as_secs(), config.scan.tracked_sources),
        (3, 6, 7_200, 5_000)
    );
    let policy = &config.policy;
    assert_eq!((policy.dry_run, policy.block_level.number(), policy.escalation), (false, 3, 1));
    let days = Duration::from_secs(3_650 * 86_400);
    assert_eq!(policy.block_for, [600, 600, 600].map(Duration::from_secs).into_iter().chain([days; 2]).collect::<Vec<_>>()[..]);
    assert!(text.contains("A higher level earns no less"), "level 5 has 600 and is raised: {text}");
    let ignored: Vec<String> = policy.ignore.iter().map(ToString::to_string).collect();
    assert_eq!(ignored, ["tcp/61000-61356", "udp/53", "icmpv6", "gre"]);
    assert_eq!(config.lines.ignore_interfaces, ["eth1", "eth0.1"]);
    let free = |text: &str| conf(text).0.store.min_free_percent;
    assert_eq!(["", "DISK_MAX_PERCENTAGE 80;", "DISK_MAX_PERCENTAGE 0;", "DISK_MAX_PERCENTAGE 100;"].map(free), [5, 20, 0, 1]);
}

#[test]
fn what_psad_means_by_a_list_and_by_a_level_s_time_is_what_is_written() {
    // A level that nobody is blocked at makes no other's time longer.
    let (config, text, _) = conf(
        "ENABLE_AUTO_IDS Y;\nAUTO_IDS_DANGER_LEVEL 3;\nAUTO_BLOCK_TIMEOUT 7200;\nAUTO_BLOCK_DL3_TIMEOUT 600;\nAUTO_BLOCK_DL4_TIMEOUT 900;\nAUTO_BLOCK_DL5_TIMEOUT 1000;\n",
    );
    assert_eq!(config.policy.block_for[2..], [600, 900, 1_000].map(Duration::from_secs), "{text}");
    assert!(!text.contains("A higher level earns no less"), "{text}");
    // Names of psad's own file, and who reports to DShield if nobody is named.
    let files = [
        (
            "psad.conf",
            "IGNORE_PROTOCOLS vrrp, tcp;\nENABLE_DSHIELD_ALERTS Y;\nDSHIELD_USER_EMAIL NONE;\nEMAIL_ADDRESSES ops@example.org, root;\n",
        ),
        ("protocols", "# numbers\nip\t0\tIP\nvrrp 112 VRRP # redundancy\n"),
    ];
    let (config, _, wrong) = imported(&files, &[], false);
    assert_eq!((wrong, config.dshield.from.as_deref()), (Vec::new(), Some("ops@example.org")));
    assert_eq!(config.policy.ignore.iter().map(ToString::to_string).collect::<Vec<_>>(), ["112", "tcp"]);
    // It may lie elsewhere.
    let files =
        [("psad.conf", "IGNORE_PROTOCOLS vrrp;\nPROTOCOLS_FILE $PSAD_CONF_DIR/own;\nPSAD_CONF_DIR /etc/psad;\n"), ("own", "vrrp 112\n")];
    let (config, ..) = imported(&files, &[], false);
    assert_eq!(config.policy.ignore.iter().map(ToString::to_string).collect::<Vec<_>>(), ["112"]);
    let (.., wrong) = conf("SNORT_SID_STR MYSID;\n");
    assert!(matches!(&wrong[..], [line] if line.starts_with("psad.conf:1: SNORT_SID_STR: ")), "{wrong:?}");
    let (config, ..) = conf("HOME_NET 203.0.113.0/24, 10.0.0.0/8;\nEXTERNAL_NET !$HOME_NET;\n");
    assert_eq!(config.signatures.variables[1], ("EXTERNAL_NET".to_owned(), "![203.0.113.0/24, 10.0.0.0/8]".to_owned()));
}

#[test]
fn who_blocked_nobody_goes_on_blocking_nobody() {
    let dry = |text: &str| conf(text).0.policy.dry_run;
    assert!(dry("") && dry("ENABLE_AUTO_IDS N;\n") && dry("ENABLE_AUTO_IDS Y;\nIPTABLES_BLOCK_METHOD N;\n"));
    assert!(!dry("ENABLE_AUTO_IDS Y;\nIPTABLES_BLOCK_METHOD N;\nTCPWRAPPERS_BLOCK_METHOD Y;\n"));
    let (config, ..) = conf("ENABLE_AUTO_IDS Y;\nENABLE_AUTO_IDS_REGEX Y;\nAUTO_BLOCK_REGEX ESTAB;\n");
    assert!(!config.policy.spoofable.may_block);
    let (config, _, wrong) = conf("ENABLE_AUTO_IDS Y;\nENABLE_AUTO_IDS_REGEX Y;\nAUTO_BLOCK_REGEX EVIL;\n");
    assert!(!config.policy.spoofable.may_block && wrong[0].starts_with("psad.conf:3: AUTO_BLOCK_REGEX: "), "{wrong:?}");
    let (config, ..) = conf("TCPWRAPPERS_BLOCK_METHOD Y;\nETC_HOSTS_DENY_FILE /etc/mine.deny;\n");
    assert_eq!(config.respond.kinds.iter().map(|kind| kind.name).collect::<Vec<_>>(), ["nftables", "hosts-deny"]);
}

#[test]
fn what_is_wrong_is_told_by_file_and_line_with_the_nearest_right_word() {
    let (config, _, wrong) = conf(
        "DANGER_LEVLE1 5;\nENABLE_AUTO_IDS maybe;\nHOME_NET 10.0.0.0/8\nDANGER_LEVEL2 many;\nIGNORE_PORTS tpc/22;\nDL2_UNIQUE_HOSTS 5;\nSCAN_TIMEOUT 60;\n\
         SCAN_TIMEOUT 61;\nEXTERNAL_NET !10.0.0.0/40;\nIPT_AUTO_CHAIN1 REJECT, src, filter, INPUT, 1, PSAD_BLOCK_INPUT, 1;\nSQL_SERVERS $SLQ;\n\
         HTTP_PORTS $ORACLE_PORTS;\nORACLE_PORTS $HTTP_PORTS;\nSIGS_FILE /etc/psad/signatures;\n",
    );
    for part in [
        "psad.conf:1: psad knows no 'DANGER_LEVLE1'; did you mean 'DANGER_LEVEL1'?",
        "psad.conf:2: ENABLE_AUTO_IDS: 'maybe' is neither Y nor N",
        "psad.conf:3: 'HOME_NET 10.0.0.0/8' is no setting, and psad passes over it: write NAME VALUE;",
        "psad.conf:4: DANGER_LEVEL2: 'many' is no number",
        "psad.conf:5: IGNORE_PORTS: 'tpc' is no protocol's name or number; left out",
        "psad.conf:6: DL2_UNIQUE_HOSTS: the thresholds must rise",
        "psad.conf:8: SCAN_TIMEOUT stands there twice: line 7 counts",
        "psad.conf:9: EXTERNAL_NET: '10.0.0.0/40'",
        "psad.conf:10: IPT_AUTO_CHAIN1: 'REJECT'",
        "psad.conf:11: SQL_SERVERS: there is no variable '$SLQ', and psad does not start",
        "psad.conf:12: HTTP_PORTS: it holds itself, and psad does not start",
        "psad.conf:14: SIGS_FILE: there is no 'signatures'",
    ] {
        assert!(wrong.is_sorted_by_key(|line| line.split(':').nth(1).and_then(|number| number.parse::<u32>().ok())), "{wrong:#?}");
        assert!(wrong.iter().any(|line| line.starts_with(part)), "{part} is missing in {wrong:#?}");
    }
    assert_eq!((config.scan.decay.as_secs(), config.scan.hosts), (60, [10, 20, 50, 100, 500]));
}

#[test]
fn override_files_come_first_and_are_found_where_debian_names_them() {
    let files = [
        ("psad.conf", "DANGER_LEVEL1 5;\nSCAN_TIMEOUT 60;\n"),
        ("one", "DANGER_LEVEL1 6;\n"),
        ("two", "DANGER_LEVEL1 7;\nSCAN_TIMEOUT 70;\n"),
    ];
    let (config, text, _) = imported(&files, &["one", "two"], false);
    assert_eq!((config.scan.packets[0], config.scan.decay.as_secs()), (6, 70), "{text}");
    assert!(text.contains("DANGER_LEVEL1, /p/psad/one:1"), "{text}");
    let starter = ("../default/psad", "#DAEMON_ARGS=\"--no-rdns\"\nDAEMON_ARGS=\"--Override-config /p/psad/two --no-whois\"\n");
    let (config, text, _) = imported(&[files[0], files[2], starter], &[], false);
    assert!(config.scan.packets[0] == 7 && text.contains("also started with --no-whois"), "{text}");
}

#[test]
fn the_log_is_what_psad_reads() {
    let logs = |text: &str, journald| imported(&[("psad.conf", text)], &[], journald).0.logs;
    let file = |path: &str| LogSource::File { path: path.into(), from: Default::default(), timezone: None, ulogd: path.contains("ulog") };
    assert_eq!(logs("IPT_SYSLOG_FILE /var/log/kern.log;\n", true), [file("/var/log/kern.log")]);
    assert_eq!(logs("AUTO_DETECT_JOURNALCTL Y;\n", false), [file("/var/log/messages")]);
    // Before any other file.
    let ulogd = "SYSLOG_DAEMON ulogd;\nIPT_SYSLOG_FILE /var/log/kern.log;\nULOG_DATA_FILE /var/log/ulog/packets;\n";
    assert_eq!(logs(ulogd, false), [file("/var/log/ulog/packets")]);
    assert_eq!(logs("AUTO_DETECT_JOURNALCTL Y;\nENABLE_FW_MSG_READ_CMD Y;\n", false), [file("/var/log/messages")]);
    let ulogd = "SYSLOG_DAEMON ulogd;\nENABLE_SYSLOG_FILE Y;\nULOG_DATA_FILE /var/log/ulog/syslogemu.log;\n";
    assert_eq!(logs(ulogd, false), [file("/var/log/ulog/syslogemu.log")]);
    assert_eq!(logs("AUTO_DETECT_JOURNALCTL Y;\n", true), [LogSource::Journal { from: Default::default() }]);
    assert_eq!(
        logs("ENABLE_FW_MSG_READ_CMD Y;\nFW_MSG_READ_CMD /bin/journalctl;\n", false),
        [LogSource::Journal { from: Default::default() }]
    );
    assert_eq!(logs("ENABLE_SYSLOG_FILE N;\n", false), [LogSource::Pipe { path: "/var/lib/psad/psadfifo".into(), timezone: None }]);
    let (config, _, wrong) = conf("FW_SEARCH_ALL N;\nFW_MSG_SEARCH DENY|Blocked by;\nFW_MSG_SEARCH ^x.*;\nIGNORE_LOG_PREFIXES quiet;\n");
    assert_eq!(
        (&config.lines.only[..3], &config.lines.only.len(), &config.lines.ignore[..]),
        (&["DENY", "Blocked by", "SID1"].map(str::to_owned)[..], &11, &["quiet".to_owned()][..])
    );
    assert!(matches!(&wrong[..], [line] if line.starts_with("psad.conf:3: FW_MSG_SEARCH: '^x.*' is a pattern")), "{wrong:?}");
    let many = (0..2_000).map(|n| format!("eth{n}")).collect::<Vec<_>>().join(",");
    let (config, text, wrong) = conf(&format!("FW_SEARCH_ALL N;\nFW_MSG_SEARCH DENY;\nIGNORE_INTERFACES {many};\n"));
    assert_eq!((config.lines.only[0].as_str(), config.lines.only.len()), ("DENY", 10), "{text}");
    assert!(matches!(&wrong[..], [line] if line.starts_with("psad.conf:3: IGNORE_INTERFACES: [sense.lines] ")), "{wrong:?}");
}

#[test]
fn files_beside_it_are_named_if_they_are_right() {
    let files = [
        (
            "psad.conf",
            "SIGS_FILE $PSAD_CONF_DIR/signatures;\nPSAD_CONF_DIR $INSTALL_ROOT/etc/psad;\nINSTALL_ROOT /;\nAUTO_DL_FILE /etc/psad/auto_dl;\nSNORT_RULE_DL_FILE /etc/psad/levels;\n",
        ),
        ("signatures", "alert tcp any any -> $HOME_NET 4711 (msg:\"x\"; psad_id:1; psad_dl:3;)\n"),
        ("auto_dl", "192.0.2.0/24 3\n192.0.2.1 9;\n"),
        ("levels", "2284 3\n"),
    ];
    let (config, text, wrong) = imported(&files, &[], false);
    assert_eq!(config.signatures.rules, [Path::new("/p/psad/signatures")]);
    assert_eq!((config.signatures.levels.as_deref(), &config.signatures.auto_dl), (Some(Path::new("/p/psad/levels")), &None));
    assert!(text.contains("# auto_dl = \"/p/psad/auto_dl\"\n"), "{text}");
    assert!(matches!(&wrong[..], [line] if line.starts_with("auto_dl:2: ")), "{wrong:?}");
}

#[test]
fn scripts_are_run_without_a_shell_or_not_at_all() {
    let with = |script: &str| conf(&format!("ENABLE_EXT_BLOCK_SCRIPT_EXEC Y;\nEXTERNAL_BLOCK_SCRIPT {script};\n"));
    let (config, text, wrong) = with("/bin/echo -x SRCIP/32");
    let [response] = &config.responses[..] else { panic!("{text}{wrong:?}") };
    assert_eq!(
        (&response.args[..], response.on, response.user.as_str()),
        (&["-x", "{address}/32"].map(str::to_owned)[..], On::Block, "nobody")
    );
    for script in ["/bin/echo SRCIP | mail root", "/nowhere/script SRCIP"] {
        let (config, text, wrong) = with(script);
        assert!(
            config.responses.is_empty() && text.contains("# [[response]]") && wrong[0].starts_with("psad.conf:2: EXTERNAL_BLOCK_SCRIPT: "),
            "{text}"
        );
    }
}

#[test]
fn who_is_told_goes_on_being_told() {
    let (config, text, wrong) = conf(
        "EMAIL_ADDRESSES root@localhost, ops@example.org;\nEMAIL_ALERT_DANGER_LEVEL 3;\nALERT_ALL N;\nEMAIL_LIMIT 5;\nEMAIL_APPEND_HEADER From:fw@example.org;\n\
         ENABLE_EXT_SCRIPT_EXEC Y;\nEXTERNAL_SCRIPT /bin/echo seen;\n",
    );
    assert_eq!(wrong, Vec::<String>::new());
    let mail = config.alert.mail.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(
        (&mail.to[..], mail.from.as_deref()),
        (&["root@localhost", "ops@example.org"].map(str::to_owned)[..], Some("fw@example.org"))
    );
    assert_eq!((config.alert.min_level, config.alert.every, mail.share.min_level, mail.share.per_source), (1, false, 3, 5));
    let command = config.alert.command.unwrap();
    assert_eq!(
        (&command.argv[..], command.share.min_level, command.share.per_source),
        (&["/bin/echo", "seen"].map(str::to_owned)[..], 3, 1)
    );
    assert_eq!((command.share.digest, mail.share.digest), (Duration::from_secs(5), Duration::from_secs(900)), "psad runs it at once");
    assert_eq!((command.share.tell, mail.share.tell), (vec![Tells::Level, Tells::Block], Tells::ALL.to_vec()));
    let (config, text, wrong) = conf(
        "EMAIL_ADDRESSES root@localhost;\nMIN_DANGER_LEVEL 2;\nEMAIL_ALERT_DANGER_LEVEL 1;\nEMAIL_THROTTLE 10;\nEMAIL_LIMIT 200;\nENABLE_AUTO_IDS_EMAILS N;\n\
         MAIL_ALERT_PREFIX [gate-alert];\nMAIL_STATUS_PREFIX [gate-status];\nSYSLOG_IDENTITY gate;\nSYSLOG_FACILITY LOG_LOCAL3;\nSYSLOG_PRIORITY LOG_ERR;\n\
         ENABLE_EXT_SCRIPT_EXEC Y;\nEXTERNAL_SCRIPT /usr/local/bin/tell --ip=SRCIP -v {x};\nEXEC_EXT_SCRIPT_PER_ALERT Y;\n",
    );
    assert_eq!(wrong, Vec::<String>::new(), "{text}");
    let alert = config.alert;
    let (mail, syslog, command) = (alert.mail.unwrap(), alert.syslog.unwrap(), alert.command.unwrap());
    assert_eq!((alert.one_in, alert.min_level, mail.share.min_level, mail.share.per_source, alert.per_day), (10, 2, 2, 200, 200));
    assert_eq!(mail.share.tell, [Tells::Level, Tells::Trouble]);
    assert_eq!((mail.prefixes.alert.as_str(), mail.prefixes.status.as_str()), ("[gate-alert]", "[gate-status]"));
    assert_eq!((syslog.name.as_str(), syslog.facility.word(), syslog.severity.map(Word::word)), ("gate", "local3", Some("err")));
    assert_eq!(command.argv, ["/usr/local/bin/tell", "--ip={address}", "-v", "{{x}}"]);
    assert_eq!(command.share.per_source, 10);
    let (config, _, wrong) = conf("SYSLOG_FACILITY LOG_LOKAL3;\n");
    assert!(
        config.alert.syslog.unwrap().facility.word() == "authpriv" && wrong[0].starts_with("psad.conf:1: SYSLOG_FACILITY: "),
        "{wrong:?}"
    );
    let (config, text, wrong) = conf(
        "EMAIL_ADDRESSES root@localhost;\nENABLE_DSHIELD_ALERTS Y;\nDSHIELD_USER_ID 17;\nDSHIELD_USER_EMAIL me@example.org;\nDSHIELD_DL_THRESHOLD 2;\n\
         REPUTATION_FEED \"ET block\",4,IP,newline,1440,Y,et.txt,\"wget -O $LOCAL_FILE http://rules.example.org/block.txt\";\n",
    );
    assert_eq!(wrong, Vec::<String>::new(), "{text}");
    assert!(text.contains("[whois]\n") && text.contains("[reverse_dns]\n") && config.dshield.enabled, "{text}");
    assert_eq!((config.dshield.user, config.dshield.min_level.is_some(), config.feeds.len()), (17, true, 1));
    assert_eq!((config.feeds[0].name.as_str(), config.feeds[0].every.as_secs()), ("ET-block", 86_400));
    let feed =
        |name: &str, level: u8| format!("REPUTATION_FEED \"{name}\",{level},IP,newline,60,N,x.txt,\"wget https://example.org/x\";\n");
    let (config, text, wrong) = conf(&(feed("one", 4) + &feed("two", 9) + &feed("three", 2)));
    assert_eq!(config.feeds.iter().map(|feed| feed.name.as_str()).collect::<Vec<_>>(), ["one", "three"]);
    assert!(matches!(&wrong[..], [line] if line.starts_with("psad.conf:2: REPUTATION_FEED: [[feed]] level: 9 ")), "{wrong:?}");
    assert!(text.contains("\n# REPUTATION_FEED, line 3: over HTTPS"), "{text}");
    let (config, ..) = conf("EMAIL_ADDRESSES root@localhost;\nALERTING_METHODS noemail;\n");
    assert!(config.alert.mail.is_none() && config.alert.syslog.is_some());
    let (config, text, wrong) = conf("EMAIL_ADDRESSES no one;\nENABLE_EXT_SCRIPT_EXEC Y;\nEXTERNAL_SCRIPT /bin/echo SRCIP | mail root;\n");
    assert!(config.alert.mail.is_none() && config.alert.command.is_none() && text.contains("# [alert.mail]"), "{text}");
    assert!(
        wrong.len() == 2 && wrong[0].starts_with("psad.conf:1: EMAIL_ADDRESSES: [alert.mail] to: 'no one' is no mail address"),
        "{wrong:?}"
    );
    assert!(wrong[1].starts_with("psad.conf:3: EXTERNAL_SCRIPT: "), "{wrong:?}");
}

#[test]
fn every_setting_has_its_line_and_control_characters_reach_no_terminal() {
    let all: String =
        settings::names().map(|name| format!("{name} \x1b[2J{};\n", if name.ends_with("Cmd") { "/bin/x" } else { "1" })).collect();
    let (_, text, wrong) = conf(&all);
    assert!(text.chars().chain(wrong.iter().flat_map(|line| line.chars())).all(|c| c == '\n' || !c.is_control()), "{text:?}");
    for name in settings::names() {
        let has = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        assert!(has(&text) || wrong.iter().any(|line| has(line)), "nothing is said of {name}");
    }
}

/// Debian's own files (psad 2.4.6, from `scripts/setup --test`).
#[test]
fn debians_own_configuration_is_told_line_by_line() {
    let mut out = Vec::new();
    import(&cli::ImportPsad { path: None, overrides: Vec::new() }, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let config = Config::parse(&text, "imported").unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    let (set, remarks) = crate::lives::signatures::load(&config.signatures).unwrap();
    assert!(set.len() > 150 && remarks.is_empty(), "{} {remarks:?}", set.len());
    let debians = std::fs::read_to_string("/etc/psad/psad.conf").unwrap();
    let mut count = 0;
    for name in debians.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()) {
        assert!(text.contains(&format!("{name}, line ")), "nothing is said of {name}");
        count += 1;
    }
    assert!(count > 200);
}

#[test]
fn the_table_in_the_docs_is_the_one_that_is_used() {
    let docs = include_str!("../../../../../docs/psad.md");
    let mut missing = Vec::new();
    for setting in SETTINGS {
        let names: Vec<String> = setting.names.iter().map(|name| format!("`{name}`")).collect();
        let fate = match setting.fate {
            Fate::Key => "yes",
            Fate::Gone => "not needed",
            Fate::Left => "no",
        };
        let row = format!("| {} | {fate} | {} |", names.join(" "), setting.text);
        if !docs.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "docs/psad.md lacks these rows:\n{}", missing.join("\n"));
}

/// Every option that psad's own `GetOptions` has, in Debian's package.
#[test]
fn every_option_of_psad_stands_in_the_docs() {
    let (docs, program) = (include_str!("../../../../../docs/psad.md"), std::fs::read("/usr/sbin/psad").unwrap());
    let program = String::from_utf8_lossy(&program);
    let options = program.split_once("GetOptions(").expect("its options").1.split_once("));").unwrap().0;
    let names: Vec<&str> = options.lines().filter_map(|line| line.trim().strip_prefix('\'')?.split(['\'', '=']).next()).collect();
    assert!(names.len() > 100, "{names:?}");
    let missing: Vec<&&str> =
        names.iter().filter(|name| !docs.contains(&format!("`{}{name}`", if name.len() > 1 { "--" } else { "-" }))).collect();
    assert!(missing.is_empty(), "docs/psad.md lacks {missing:?}");
}
