//! What was typed: every key of every section, optional, with its place in the file. Knows what a key is called and
//! of which kind its value is, never what a value means. Goes on after an error, so that all of them are found at once.

use super::problems::Problems;
use super::respond::{OneOrMore, RawResponders};
use super::words::{did_you_mean, quoted};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its key (`[scan] packets`) and its place (a byte offset).
#[derive(Debug, Clone, PartialEq)]
pub struct Given<T> {
    /// Section and key, for messages.
    pub what: &'static str,
    /// Where the value starts.
    pub at: usize,
    /// The value.
    pub value: T,
}

/// A list, with each entry's own place.
pub type GivenList<T> = Given<Vec<Given<T>>>;

/// A value without inner places.
pub trait Leaf: Sized {
    /// What to tell somebody who typed something else.
    const WANTED: &'static str;
    /// Takes the value if it is of this kind.
    fn take(value: &DeValue<'_>) -> Option<Self>;
}

impl Leaf for bool {
    const WANTED: &'static str = "true or false is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Leaf for i64 {
    const WANTED: &'static str = "a whole number is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok())
    }
}

impl Leaf for f64 {
    const WANTED: &'static str = "a number is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Float(n) => n.as_str().parse().ok(),
            DeValue::Integer(n) if n.radix() == 10 => n.as_str().parse().ok(),
            _ => None,
        }
    }
}

impl Leaf for String {
    const WANTED: &'static str = "a text in quotes is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

/// A port (a number), a range of ports, or the name of a list of them (texts).
#[derive(Debug, Clone, PartialEq)]
pub struct PortsWord(pub String);

impl Leaf for PortsWord {
    const WANTED: &'static str = "a port like 23, a range like \"1-1023\" or the name of a list is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        i64::take(value).map(|number| number.to_string()).or_else(|| String::take(value)).map(PortsWord)
    }
}

/// Yes, no, or a word.
#[derive(Debug, Clone, PartialEq)]
pub enum FlagOrWord {
    /// `true` or `false`.
    Flag(bool),
    /// A text.
    Word(String),
}

impl Leaf for FlagOrWord {
    const WANTED: &'static str = "true, false or a word in quotes is wanted";
    fn take(value: &DeValue<'_>) -> Option<Self> {
        bool::take(value).map(FlagOrWord::Flag).or_else(|| String::take(value).map(FlagOrWord::Word))
    }
}

/// A value or section as the file has it.
pub trait Read: Sized {
    /// Reads it, and says what is wrong with it.
    fn read(what: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self>;
}

impl<T: Leaf> Read for Given<T> {
    fn read(what: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
        let taken = T::take(value.get_ref());
        if taken.is_none() {
            problems.say(value.span().start, format!("{what}: {}, not {}", T::WANTED, shown(value.get_ref())));
        }
        taken.map(|taken| Given { what, at: value.span().start, value: taken })
    }
}

impl<T: Leaf> Read for GivenList<T> {
    fn read(what: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
        let Some(entries) = value.get_ref().as_array() else {
            problems.say(value.span().start, format!("{what}: a list [ … ] is wanted, not {}", shown(value.get_ref())));
            return None;
        };
        let all: Vec<Given<T>> = entries.iter().filter_map(|entry| Given::read(what, entry, problems)).collect();
        (all.len() == entries.len()).then(|| Given { what, at: value.span().start, value: all })
    }
}

/// A section.
pub trait Section: Default {
    /// As it is written in the file: `[scan]`.
    const NAME: &'static str;
    /// Its keys and sub-sections.
    const KEYS: &'static [&'static str];
    /// Takes one key; `false` if there is no such key.
    fn set(&mut self, key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> bool;

    /// Reads a whole table.
    fn read_table(table: &DeTable<'_>, problems: &mut Problems) -> Self {
        let mut section = Self::default();
        for (key, value) in table {
            if !section.set(key.get_ref(), value, problems) {
                problems.say(key.span().start, unknown(key.get_ref(), Self::NAME, Self::KEYS, value.get_ref()));
            }
        }
        section
    }
}

impl<S: Section> Read for S {
    fn read(_: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let message = if value.get_ref().is_array() {
                format!("there is one of these: write {} with one bracket on each side", S::NAME)
            } else {
                format!("{} is a section and not a value: write it in a line of its own, in brackets", S::NAME)
            };
            problems.say(value.span().start, message);
            return None;
        };
        Some(S::read_table(table, problems))
    }
}

/// Several sections of one name, each with its place.
impl<S: Section> Read for Vec<(usize, S)> {
    fn read(_: &'static str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
        let Some(tables) = value.get_ref().as_array() else {
            problems.say(value.span().start, format!("there may be several of these: write {} with two brackets", S::NAME));
            return None;
        };
        Some(tables.iter().filter_map(|table| Some((table.span().start, S::read("", table, problems)?))).collect())
    }
}

/// The line about an unknown key: the section where this very key belongs, else the nearest key here.
fn unknown(key: &str, section: &str, keys: &[&'static str], value: &DeValue<'_>) -> String {
    let is_section = value.is_table() || value.as_array().is_some_and(|list| list.iter().any(|entry| entry.get_ref().is_table()));
    let noun = if is_section { "section" } else { "key" };
    let place = match (section, is_section) {
        ("", true) => String::new(),
        ("", false) => " outside the sections".to_owned(),
        (section, _) => format!(" in {section}"),
    };
    let line = format!("unknown {noun} {}{place}", quoted(key));
    let last_part = |name: &str| name.trim_matches(['[', ']']).rsplit('.').next() == Some(key);
    let homes: Vec<&str> = SECTIONS
        .iter()
        .filter(|(name, keys)| if is_section { last_part(name) } else { keys.contains(&key) })
        .map(|(name, _)| *name)
        .collect();
    match homes.as_slice() {
        [] => line + &did_you_mean(key, keys.iter().copied()),
        homes if is_section => format!("{line}; did you mean {}?", homes.join(" or ")),
        homes => format!("{line}; it belongs in {}", homes.join(" or ")),
    }
}

/// A value as a message shows it.
pub fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(number) => quoted(&number.to_string()),
        DeValue::Float(number) => quoted(&number.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Makes the sections: a struct for each, how to read it, and the list of them all.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident $section:literal { $($key:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default)]
            pub struct $name {
                $(pub $key: Option<$kind>,)*
            }

            impl Section for $name {
                const NAME: &'static str = $section;
                const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

                fn set(&mut self, key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> bool {
                    match key {
                        $(stringify!($key) => self.$key = Read::read(concat!($section, " ", stringify!($key)), value, problems),)*
                        _ => return false,
                    }
                    true
                }
            }
        )*

        /// Every section with its keys and sub-sections.
        pub const SECTIONS: &[(&str, &[&str])] = &[$(($section, <$name as Section>::KEYS)),*];
    };
}

sections! {
    /// The whole file.
    RawConfig "" {
        store: RawStore,
        control: RawControl,
        process: RawProcess,
        sense: RawSense,
        applications: RawApplications,
        signatures: RawSignatures,
        fingerprint: RawFingerprint,
        guard: RawGuard,
        scan: RawScan,
        policy: RawPolicy,
        respond: RawResponders,
        response: Vec<(usize, RawResponse)>,
        alert: RawAlert,
        whois: RawWhois,
        reverse_dns: RawReverseDns,
        feed: Vec<(usize, RawFeed)>,
        dshield: RawDshield,
        log: RawLog,
    }
    /// Where the ledger and the history are kept.
    RawStore "[store]" {
        path: Given<String>,
        history_days: Given<i64>,
        history_max: Given<i64>,
        max_mib: Given<i64>,
        min_free_percent: Given<i64>,
    }
    /// The control socket.
    RawControl "[control]" {
        socket: Given<String>,
        group: Given<String>,
    }
    /// The processes.
    RawProcess "[process]" {
        user: Given<String>,
    }
    /// The sensors.
    RawSense "[sense]" {
        nflog: RawNflog,
        capture: RawCapture,
        lines: RawLines,
        log: Vec<(usize, RawSource)>,
    }
    /// Packets from the kernel.
    RawNflog "[sense.nflog]" {
        enabled: Given<bool>,
        group: Given<i64>,
        rate: Given<i64>,
        burst: Given<i64>,
        per_source_rate: Given<i64>,
        per_source_burst: Given<i64>,
        ssh_ports: GivenList<i64>,
    }
    /// Packets before any filter.
    RawCapture "[sense.capture]" {
        enabled: Given<bool>,
        interfaces: GivenList<String>,
        ring_mib: Given<i64>,
        rate: Given<i64>,
        per_source_rate: Given<i64>,
    }
    /// Which packets of firewall logs count.
    RawLines "[sense.lines]" {
        only: GivenList<String>,
        ignore: GivenList<String>,
        ignore_interfaces: GivenList<String>,
    }
    /// One firewall log.
    RawSource "[[sense.log]]" {
        kind: Given<String>,
        path: Given<String>,
        listen: Given<String>,
        from: Given<String>,
        timezone: Given<String>,
    }
    /// Application logs.
    RawApplications "[applications]" {
        enabled: Given<bool>,
        files: GivenList<String>,
        journal: Given<String>,
        syslog: Given<String>,
        pipe: Given<String>,
        rules: GivenList<String>,
        from: Given<String>,
        timezone: Given<String>,
    }
    /// Signatures on packets.
    RawSignatures "[signatures]" {
        enabled: Given<bool>,
        shipped: Given<bool>,
        rules: GivenList<String>,
        levels: Given<String>,
        auto_dl: Given<String>,
        ip_options: Given<String>,
        icmp_types: Given<String>,
        icmp6_types: Given<String>,
        protocols: Given<String>,
        variables: GivenList<String>,
    }
    /// Guesses at senders' systems.
    RawFingerprint "[fingerprint]" {
        enabled: Given<bool>,
        shipped: Given<bool>,
        p0f: GivenList<String>,
        posf: GivenList<String>,
    }
    /// Guarded ports.
    RawGuard "[guard]" {
        tcp: GivenList<PortsWord>,
        udp: GivenList<PortsWord>,
        trap_tcp: GivenList<PortsWord>,
        trap_udp: GivenList<PortsWord>,
        stealth: Given<bool>,
        banner: Given<String>,
        trigger: Given<i64>,
        within: Given<String>,
        level: Given<i64>,
        block_tcp: Given<bool>,
        block_udp: Given<bool>,
        portsentry: Given<FlagOrWord>,
    }
    /// The scan detectors.
    RawScan "[scan]" {
        packets: GivenList<i64>,
        hosts: GivenList<i64>,
        port_range: Given<i64>,
        protocols: Given<i64>,
        decay: Given<String>,
        forget: Given<String>,
        slow_gap: Given<String>,
        count_by_ipv4: Given<i64>,
        count_by_ipv6: Given<i64>,
        tracked_sources: Given<i64>,
        sequential: RawSequential,
        distributed: RawDistributed,
    }
    /// The sequential hypothesis test.
    RawSequential "[scan.sequential]" {
        benign_success: Given<f64>,
        scanner_success: Given<f64>,
        false_positive: Given<f64>,
        detection: Given<f64>,
    }
    /// Many sources, one scan.
    RawDistributed "[scan.distributed]" {
        sources: Given<i64>,
        ports: Given<i64>,
        window: Given<String>,
        fresh_share: Given<f64>,
    }
    /// The judge.
    RawPolicy "[policy]" {
        dry_run: Given<bool>,
        block_level: Given<i64>,
        block_for: GivenList<String>,
        escalation: Given<i64>,
        block_max: Given<String>,
        strikes_forget: Given<String>,
        blocks_per_minute: Given<i64>,
        blocks_total: Given<i64>,
        exempt: GivenList<String>,
        ignore: GivenList<String>,
        derive: RawDerive,
        spoofable: RawSpoofable,
        storm: RawStorm,
    }
    /// Which exemptions are derived from the system.
    RawDerive "[policy.derive]" {
        own: Given<bool>,
        gateways: Given<bool>,
        resolvers: Given<bool>,
        time_servers: Given<bool>,
        admin: Given<bool>,
    }
    /// What forgeable evidence may do.
    RawSpoofable "[policy.spoofable]" {
        may_block: Given<bool>,
        block_max: Given<String>,
        blocks_per_minute: Given<i64>,
        blocks_standing: Given<i64>,
    }
    /// When a storm of blocks undoes itself.
    RawStorm "[policy.storm]" {
        offenders: Given<i64>,
        window: Given<String>,
        pause: Given<String>,
    }
    /// Who sets the blocks.
    RawRespond "[respond]" {
        kind: OneOrMore,
        mode: Given<String>,
    }
    /// A program beside the blocks.
    RawResponse "[[response]]" {
        name: Given<String>,
        protocol: Given<String>,
        program: Given<String>,
        args: GivenList<String>,
        expect: GivenList<String>,
        on: Given<String>,
        protocols: GivenList<String>,
        when: Given<String>,
        at_end: Given<bool>,
        user: Given<String>,
        limit: Given<String>,
        timeout: Given<String>,
        per_minute: Given<i64>,
    }
    /// What people elsewhere are told.
    RawAlert "[alert]" {
        tell: GivenList<String>,
        min_level: Given<i64>,
        every: Given<bool>,
        one_in: Given<i64>,
        per_source: Given<i64>,
        per_day: Given<i64>,
        throttle: Given<String>,
        digest: Given<String>,
        wait: Given<String>,
        user: Given<String>,
        mail: RawAlertMail,
        syslog: RawAlertSyslog,
        webhook: RawAlertWebhook,
        command: RawAlertCommand,
    }
    /// Mail.
    RawAlertMail "[alert.mail]" {
        enabled: Given<bool>,
        to: GivenList<String>,
        from: Given<String>,
        program: GivenList<String>,
        server: Given<String>,
        port: Given<i64>,
        tls: Given<String>,
        user: Given<String>,
        password_file: Given<String>,
        ca: Given<String>,
        prefix: Given<String>,
        prefix_status: Given<String>,
        prefix_error: Given<String>,
        timeout: Given<String>,
        tell: GivenList<String>,
        min_level: Given<i64>,
        per_source: Given<i64>,
        digest: Given<String>,
    }
    /// Lines in the system's log.
    RawAlertSyslog "[alert.syslog]" {
        enabled: Given<bool>,
        socket: Given<String>,
        form: Given<String>,
        facility: Given<String>,
        severity: Given<String>,
        name: Given<String>,
    }
    /// Posts to a web server.
    RawAlertWebhook "[alert.webhook]" {
        enabled: Given<bool>,
        url: Given<String>,
        headers: GivenList<String>,
        headers_file: Given<String>,
        ca: Given<String>,
        timeout: Given<String>,
        tell: GivenList<String>,
        min_level: Given<i64>,
        per_source: Given<i64>,
        digest: Given<String>,
    }
    /// A program.
    RawAlertCommand "[alert.command]" {
        enabled: Given<bool>,
        argv: GivenList<String>,
        limit: Given<String>,
        tell: GivenList<String>,
        min_level: Given<i64>,
        per_source: Given<i64>,
        digest: Given<String>,
    }
    /// What registries say.
    RawWhois "[whois]" {
        enabled: Given<bool>,
        server: Given<String>,
        timeout: Given<String>,
        keep: Given<String>,
        per_hour: Given<i64>,
    }
    /// Names of addresses.
    RawReverseDns "[reverse_dns]" {
        enabled: Given<bool>,
        timeout: Given<String>,
    }
    /// Others' list of attackers.
    RawFeed "[[feed]]" {
        name: Given<String>,
        enabled: Given<bool>,
        url: Given<String>,
        path: Given<String>,
        format: Given<String>,
        every: Given<String>,
        expires: Given<String>,
        max_entries: Given<i64>,
        max_churn: Given<i64>,
        effect: Given<String>,
        level: Given<i64>,
        key: Given<String>,
        ca: Given<String>,
        contact: Given<String>,
    }
    /// What DShield is told.
    RawDshield "[dshield]" {
        enabled: Given<bool>,
        by: Given<String>,
        user: Given<i64>,
        key: Given<String>,
        from: Given<String>,
        to: Given<String>,
        url: Given<String>,
        ca: Given<String>,
        interval: Given<String>,
        min_level: Given<i64>,
        public: Given<String>,
        copy: Given<bool>,
    }
    /// riposte's own log.
    RawLog "[log]" {
        level: Given<String>,
        format: Given<String>,
        target: Given<String>,
        path: Given<String>,
    }
}
