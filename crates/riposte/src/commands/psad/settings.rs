//! What becomes of each of psad's settings, 2.4 and 3.0: the one table behind `riposte import psad` and docs/psad.md (a test compares them).

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A key of riposte's does it.
    Key,
    /// Nothing has to be said for it any more.
    Gone,
    /// riposte does not do it.
    Left,
}

/// Settings that come to the same.
#[derive(Debug)]
pub struct Setting {
    /// psad's names; `IPT_AUTO_CHAIN` stands for all numbers behind it.
    pub names: &'static [&'static str],
    /// What becomes of them.
    pub fate: Fate,
    /// Our key, or why.
    pub text: &'static str,
}

/// What may stand in a file several times.
pub const REPEATED: [&str; 2] = ["FW_MSG_SEARCH", "REPUTATION_FEED"];
/// The value in which `$SRC` is no variable.
pub const RAW: &str = "IP_INFO";
/// The names with a number behind them, and those of programs' paths.
const CHAIN: &str = "IPT_AUTO_CHAIN";
const PROGRAM: &str = "Cmd";

/// Every name in the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().flat_map(|setting| setting.names.iter().copied())
}

/// What becomes of this one.
pub fn of(name: &str) -> Option<&'static Setting> {
    let is_chain = name.strip_prefix(CHAIN).is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let name = if is_chain { CHAIN } else { name };
    let is_program = |setting: &&Setting| setting.names == [PROGRAM] && name.ends_with(PROGRAM);
    SETTINGS.iter().find(|setting| setting.names.contains(&name)).or_else(|| SETTINGS.iter().find(is_program))
}

/// Whether psad has such a setting.
pub fn is_known(name: &str) -> bool {
    of(name).is_some()
}

const fn key(names: &'static [&'static str], text: &'static str) -> Setting {
    Setting { names, fate: Fate::Key, text }
}

const fn gone(names: &'static [&'static str], text: &'static str) -> Setting {
    Setting { names, fate: Fate::Gone, text }
}

const fn left(names: &'static [&'static str], text: &'static str) -> Setting {
    Setting { names, fate: Fate::Left, text }
}

/// The table, in the order of psad's own file as far as that goes.
pub const SETTINGS: &[Setting] = &[
    // What is a scan.
    key(&["DANGER_LEVEL1", "DANGER_LEVEL2", "DANGER_LEVEL3", "DANGER_LEVEL4", "DANGER_LEVEL5"], "`scan.packets`"),
    key(
        &["DL1_UNIQUE_HOSTS", "DL2_UNIQUE_HOSTS", "DL3_UNIQUE_HOSTS", "DL4_UNIQUE_HOSTS", "DL5_UNIQUE_HOSTS"],
        "`scan.hosts`; counted however slowly they come, not within 5 s",
    ),
    key(&["PORT_RANGE_SCAN_THRESHOLD"], "`scan.port_range`"),
    key(&["PROTOCOL_SCAN_THRESHOLD"], "`scan.protocols`"),
    key(
        &["SCAN_TIMEOUT", "ENABLE_PERSISTENCE"],
        "`scan.decay`: after so long without a packet the level falls by one; psad's never falls. With persistence: a year",
    ),
    key(&["MAX_SCAN_IP_PAIRS"], "`scan.tracked_sources`; there is always a bound"),
    gone(&["PERSISTENCE_CTR_THRESHOLD"], "each source has its own clock, and nothing is looked through at intervals"),
    gone(&["CHECK_INTERVAL"], "nothing is polled: a packet is looked at when it comes"),
    gone(&["PORT_RANGE_SWEEP_THRESHOLD"], "a sweep is called so by its targets"),
    gone(&["EXPECT_TCP_OPTIONS"], "masscan is known by its own packets"),
    gone(&["IGNORE_CONNTRACK_BUG_PKTS"], "late packets and answers are told from scans, so that ACK scans are seen"),
    gone(&["IGNORE_KERNEL_TIMESTAMP"], "the kernel's stamp is known and never a part of the prefix"),
    // What is looked at.
    key(&["IGNORE_PORTS", "IGNORE_PROTOCOLS"], "`policy.ignore`"),
    key(&["IGNORE_INTERFACES"], "`sense.lines.ignore_interfaces`"),
    key(&["IGNORE_LOG_PREFIXES"], "`sense.lines.ignore`: texts in the prefix, no patterns"),
    key(&["FW_SEARCH_ALL", "FW_MSG_SEARCH"], "`sense.lines.only`: texts in the prefix, no patterns"),
    left(&["ENABLE_IPV6_DETECTION"], "IPv6 is always looked at, and blocked"),
    left(&["ENABLE_MAC_ADDR_REPORTING"], "link addresses are not kept"),
    left(
        &["ENABLE_CUSTOM_SYSLOG_TS_RE", "CUSTOM_SYSLOG_TS_RE"],
        "there are no patterns for the head of a line; those of syslog (old and new), journalctl, dmesg, logread and the BSDs are known",
    ),
    // Where it comes from.
    key(
        &[
            "ENABLE_SYSLOG_FILE",
            "IPT_SYSLOG_FILE",
            "AUTO_DETECT_JOURNALCTL",
            "ENABLE_FW_MSG_READ_CMD",
            "FW_MSG_READ_CMD",
            "SYSLOG_DAEMON",
            "PSAD_FIFO_FILE",
            "ULOG_DATA_FILE",
        ],
        "`[[sense.log]]`: a file, a named pipe, or the journal, which no program is started for",
    ),
    gone(
        &["FW_MSG_READ_CMD_ARGS", "USE_FW_MSG_READ_CMD_ARGS", "FW_MSG_READ_MIN_PKTS"],
        "the journal is read directly and each line looked at when it comes",
    ),
    gone(&["IPT_WRITE_FWDATA", "TRUNCATE_FWDATA", "FW_DATA_FILE"], "no copy of the log is written"),
    gone(&["ETC_SYSLOG_CONF", "ETC_RSYSLOG_CONF", "ETC_SYSLOGNG_CONF", "ETC_METALOG_CONF"], "no syslog daemon's configuration is touched"),
    gone(&["IFCFGTYPE"], "addresses and networks are the kernel's own word (rtnetlink)"),
    // Signatures.
    key(&["SIGS_FILE"], "`signatures.rules`"),
    key(&["SNORT_RULES_DIR"], "`signatures.rules` has its `classification.config`; its rules only give fwsnort's numbers a name"),
    key(&["SNORT_RULE_DL_FILE"], "`signatures.levels`"),
    key(&["AUTO_DL_FILE"], "`signatures.auto_dl`: the longest prefix counts, and level 0 with a port ignores no more than that"),
    key(&["IP_OPTS_FILE"], "`signatures.ip_options`"),
    key(&["ICMP_TYPES_FILE"], "`signatures.icmp_types`"),
    key(&["ICMP6_TYPES_FILE"], "`signatures.icmp6_types`"),
    key(&["PROTOCOLS_FILE"], "`signatures.protocols`"),
    key(
        &[
            "HOME_NET",
            "EXTERNAL_NET",
            "HTTP_SERVERS",
            "SMTP_SERVERS",
            "DNS_SERVERS",
            "SQL_SERVERS",
            "TELNET_SERVERS",
            "AIM_SERVERS",
            "HTTP_PORTS",
            "SHELLCODE_PORTS",
            "ORACLE_PORTS",
        ],
        "`signatures.variables`",
    ),
    gone(
        &["ENABLE_INTF_LOCAL_NETS"],
        "the host's own addresses are known and exempt by themselves; in `HOME_NET` stands what is written there",
    ),
    gone(&["FWSNORT_RULES_DIR"], "fwsnort's rules mark what they log with `SIDnnn`, which is a match"),
    left(&["SNORT_SID_STR"], "fwsnort's own `SID` is looked for in prefixes, and nothing else"),
    gone(&["ENABLE_SNORT_SIG_STRICT"], "`riposte check` names each rule that can't work, and an unknown keyword is an error"),
    gone(&["SHOW_ALL_SIGNATURES"], "`riposte explain` always shows all"),
    gone(
        &["ENABLE_SIG_MSG_SYSLOG", "SIG_MSG_SYSLOG_THRESHOLD", "SIG_SID_SYSLOG_THRESHOLD"],
        "matches are counted by source in `status`, `explain` and `history`; the log has charges, not packets",
    ),
    gone(&["SIG_UPDATE_URL"], "riposte's own signatures come with it; nothing unsigned is fetched"),
    key(&["P0F_FILE"], "`fingerprint.p0f`"),
    key(&["POSF_FILE"], "`fingerprint.posf`"),
    gone(&["MAX_HOPS"], "the distance is read from the TTL; no number has to be chosen"),
    // Blocks.
    key(&["ENABLE_AUTO_IDS"], "`policy.dry_run`: with N nobody is blocked"),
    key(&["AUTO_IDS_DANGER_LEVEL"], "`policy.block_level`"),
    key(
        &[
            "AUTO_BLOCK_TIMEOUT",
            "AUTO_BLOCK_DL1_TIMEOUT",
            "AUTO_BLOCK_DL2_TIMEOUT",
            "AUTO_BLOCK_DL3_TIMEOUT",
            "AUTO_BLOCK_DL4_TIMEOUT",
            "AUTO_BLOCK_DL5_TIMEOUT",
        ],
        "`policy.block_for`, `policy.block_max`; for ever is 3650 days: only an operator blocks for good",
    ),
    key(
        &["ENABLE_AUTO_IDS_REGEX", "AUTO_BLOCK_REGEX"],
        "`policy.spoofable.may_block = false`, if it is `ESTAB`: only who is proven by a connection is blocked",
    ),
    key(&["IPTABLES_BLOCK_METHOD", "TCPWRAPPERS_BLOCK_METHOD", "ETC_HOSTS_DENY_FILE"], "`respond.kind`, `respond.hosts-deny.file`"),
    gone(&["IPT_AUTO_CHAIN"], "one nftables set before all chains, for this host, forwarded traffic and containers, IPv4 and IPv6"),
    gone(&["FLUSH_IPT_AT_INIT"], "at the start the kernel is compared with the ledger, and only what differs is changed"),
    gone(&["IPTABLES_PREREQ_CHECK"], "the kernel tells of every change to riposte's table, which is made anew at once"),
    gone(&["AUTO_BLOCK_IPT_FILE", "AUTO_BLOCK_TCPWR_FILE"], "`riposte list`; the ledger in `store.path`"),
    gone(&["AUTO_IPT_SOCK"], "`control.socket`; `riposte block`, `unblock`, `list`"),
    gone(&["ENABLE_RENEW_BLOCK_EMAILS"], "blocks stand in the kernel through a restart: none is made anew"),
    left(
        &["ENABLE_OVERRIDE_FW_CMD", "FW_CMD", "FW_CMD_ARGS"],
        "no firewall program is started: riposte speaks with the kernel, in a table of its own, beside firewalld and others",
    ),
    key(
        &["ENABLE_EXT_BLOCK_SCRIPT_EXEC", "EXTERNAL_BLOCK_SCRIPT"],
        "a `[[response]]` with `on = \"block\"`: without a shell, as nobody; `at_end = true` runs it at a block's end, too",
    ),
    // Alerts.
    key(
        &["ENABLE_EXT_SCRIPT_EXEC", "EXTERNAL_SCRIPT", "EXEC_EXT_SCRIPT_PER_ALERT"],
        "`[alert.command]`: without a shell, unprivileged; the address is in its environment",
    ),
    key(&["EMAIL_ADDRESSES"], "`alert.mail.to`"),
    key(&["ALERTING_METHODS"], "whether there is an `[alert.mail]` and an `[alert.syslog]`"),
    key(&["EMAIL_ALERT_DANGER_LEVEL", "MIN_DANGER_LEVEL"], "`alert.min_level`"),
    key(&["ALERT_ALL"], "`alert.every`: at each charge, or only when the level rises"),
    key(&["EMAIL_LIMIT", "PSAD_EMAIL_LIMIT", "ENABLE_EMAIL_LIMIT_PER_DST"], "`alert.per_source`, counted by source in a day"),
    left(
        &["EMAIL_THROTTLE"],
        "not every nth alert: `alert.throttle` and `alert.digest` are times, and what comes meanwhile goes out together",
    ),
    gone(&["EMAIL_LIMIT_STATUS_MSG"], "the last mail says that it is the last"),
    key(&["EMAIL_APPEND_HEADER"], "`alert.mail.from`, if it is a `From:`"),
    gone(&["HOSTNAME"], "the host's own name stands in alerts"),
    gone(&["ENABLE_AUTO_IDS_EMAILS"], "an alert says what was decided; each block is a line in the log and in `history`"),
    left(&["MAIL_ALERT_PREFIX", "MAIL_STATUS_PREFIX", "MAIL_ERROR_PREFIX", "MAIL_FATAL_PREFIX"], "subjects begin with `[riposte]`"),
    left(
        &["SYSLOG_FACILITY", "SYSLOG_IDENTITY", "SYSLOG_PRIORITY"],
        "`[alert.syslog]` writes psad's words (`form = \"psad\"`) under riposte's own name and facility",
    ),
    key(&["ENABLE_WHOIS_LOOKUPS", "WHOIS_TIMEOUT"], "`[whois]`: by riposte's own client, in a process of its own"),
    gone(&["WHOIS_LOOKUP_THRESHOLD", "DNS_LOOKUP_THRESHOLD"], "answers are kept for a time, not for a number of alerts"),
    gone(&["ENABLE_WHOIS_FORCE_ASCII"], "answers are escaped wherever they are shown"),
    gone(&["ENABLE_WHOIS_FORCE_SRC_IP"], "it is always the source that is asked about"),
    key(&["ENABLE_DNS_LOOKUPS"], "`[reverse_dns]`; off by default, since the attacker's name server sees the question"),
    left(&["ENABLE_IP_INFO_URL", "IP_INFO"], "no link to a third party stands in alerts (3.0)"),
    // What is exchanged.
    key(&["ENABLE_REPUTATION_FEEDS", "REPUTATION_FEED"], "`[[feed]]`, over HTTPS (3.0)"),
    gone(&["REPUTATION_FEEDS_DIR"], "the last good copy of a list is kept in `store.path` (3.0)"),
    key(
        &[
            "ENABLE_DSHIELD_ALERTS",
            "DSHIELD_ALERT_EMAIL",
            "DSHIELD_ALERT_INTERVAL",
            "DSHIELD_USER_ID",
            "DSHIELD_USER_EMAIL",
            "DSHIELD_DL_THRESHOLD",
        ],
        "`[dshield]`",
    ),
    gone(
        &["DSHIELD_EMAIL_FILE", "DSHIELD_COUNTER_FILE"],
        "`riposte feeds dshield` shows what would be sent, `riposte status` counts what was",
    ),
    // Reports and the disk.
    gone(
        &[
            "TOP_PORTS_LOG_THRESHOLD",
            "TOP_SIGS_LOG_THRESHOLD",
            "TOP_IP_LOG_THRESHOLD",
            "TOP_SCANS_CTR_THRESHOLD",
            "STATUS_PORTS_THRESHOLD",
            "STATUS_SIGS_THRESHOLD",
            "STATUS_IP_THRESHOLD",
        ],
        "`riposte status` and `replay` list the top when they are asked",
    ),
    gone(
        &[
            "STATUS_OUTPUT_FILE",
            "ANALYSIS_OUTPUT_FILE",
            "PACKET_COUNTER_FILE",
            "TOP_SCANNED_PORTS_FILE",
            "TOP_SIGS_FILE",
            "TOP_ATTACKERS_FILE",
            "IPT_PREFIX_COUNTER_FILE",
        ],
        "`riposte status`, `riposte metrics`: asked, not written",
    ),
    key(
        &["DISK_CHECK_INTERVAL", "DISK_MAX_PERCENTAGE", "DISK_MAX_RM_RETRIES"],
        "`store.min_free_percent`; below, the history waits in memory. riposte never ends for a full disk",
    ),
    gone(&["IMPORT_OLD_SCANS"], "the ledger and the history always survive a restart; psad's own files are not read"),
    gone(&["ENABLE_SCAN_ARCHIVE", "MIN_ARCHIVE_DANGER_LEVEL"], "`riposte history`, for `store.history_days`"),
    // The rest is psad's own body.
    gone(
        &["ENABLE_FW_LOGGING_CHECK", "FW_CHECK_FILE"],
        "`riposte check --host`, when you ask; it follows chains and knows UFW, firewalld and nftables",
    ),
    gone(
        &["ENABLE_PSADWATCHD", "PSADWATCHD_CHECK_INTERVAL", "PSADWATCHD_MAX_RETRIES"],
        "each process is restarted by the warden, the warden by systemd (watchdog); `riposte status --check` for monitoring",
    ),
    gone(
        &["PSAD_PID_FILE", "PSAD_FW_READ_PID_FILE", "PSAD_CMDLINE_FILE", "KMSGSD_PID_FILE", "PSADWATCHD_PID_FILE"],
        "there are no pid files: systemd and a lock know",
    ),
    gone(
        &[
            "INSTALL_ROOT",
            "PSAD_DIR",
            "PSAD_RUN_DIR",
            "PSAD_FIFO_DIR",
            "PSAD_LIBS_DIR",
            "PSAD_CONF_DIR",
            "PSAD_ERR_DIR",
            "CONF_ARCHIVE_DIR",
            "SCAN_DATA_ARCHIVE_DIR",
            "ANALYSIS_MODE_DIR",
            "INSTALL_LOG_FILE",
        ],
        "a place of psad's own; riposte has `store.path` and `control.socket`",
    ),
    gone(&["FW_ERROR_LOG"], "lines that can't be read are counted (`status`)"),
    gone(&["PRINT_SCAN_HASH"], "`riposte explain ADDRESS` shows what is known"),
    gone(&["PROC_FORWARD_FILE", "IPT_OUTPUT_PATTERN", "IPT_ERROR_PATTERN"], "no program's output is read"),
    gone(&["Cmd"], "no program is started for this"),
];
