//! The command line: what can be said, with help and an example for each command.

use clap::{Args, Parser, Subcommand};
use report::health::Threshold;
use std::path::PathBuf;

/// Network active response: sees who attacks, blocks at once, can say why.
#[derive(Debug, Parser)]
#[command(name = "riposte", version, max_term_width = 100, after_help = "Example: sudo riposte run    (then: sudo riposte status)")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Protect this host: watch, decide, block. Needs root; works without any configuration.
    #[command(after_help = "Example: sudo riposte run --config /etc/riposte/riposte.toml")]
    Run(Run),
    /// Read the configuration and print what it means, every key included; with --host, say what the host's firewall does.
    #[command(
        after_help = "Examples: riposte check --config ./riposte.toml && echo fine\n          sudo riposte check --host\n          sudo nft list ruleset | riposte check --host -\n          riposte check --host rules.v4 rules.v6    (exit code 0: fine, 1: something should be done, 2: can't be read)"
    )]
    Check(Check),
    /// Show what the running daemon does: processes, sensors, blocks, every drop counted.
    #[command(
        after_help = "Examples: sudo riposte status --json | jq .blocks\n          sudo riposte status --prometheus | sudo tee /var/lib/prometheus/node-exporter/riposte.prom >/dev/null\n          sudo riposte status --sandbox\n          sudo riposte status --summary --level 3\n          sudo riposte status --address 203.0.113.9\n          sudo riposte status --html status.html --top 50\n          sudo riposte status --check --warning losses=100 --state /var/lib/nagios/riposte.json"
    )]
    Status(Status),
    /// Have the running daemon read its configuration again. One with an error changes nothing.
    #[command(after_help = "Example: sudo riposte reload && echo in force")]
    Reload(Ask),
    /// List the blocks that stand, and what others' lists block.
    #[command(
        after_help = "Examples: sudo riposte list --json | jq -r .address\n          sudo riposte list --json --listed 0    (nothing of others' lists)"
    )]
    List(List),
    /// Block an address or prefix by hand.
    #[command(after_help = "Example: sudo riposte block 203.0.113.9 --for 2h --note 'abuse report 4711'")]
    Block(Block),
    /// Lift a block; of a prefix: every block inside it.
    #[command(after_help = "Example: sudo riposte unblock 203.0.113.9")]
    Unblock(Unblock),
    /// Send a sample of what people are told by mail, syslog, webhook or program.
    #[command(after_help = "Example: sudo riposte alert --test")]
    Alert(Alert),
    /// Never block an address or prefix (it is unblocked if it is blocked).
    #[command(after_help = "Example: sudo riposte allow 192.0.2.0/24 --for 1d\n         sudo riposte allow --remove 192.0.2.0/24")]
    Allow(Allow),
    /// Stand in for an active-response script of OSSEC's or Wazuh's: their manager's arguments, or its messages on standard input. A link of
    /// that name to riposte does the same.
    #[command(
        after_help = "Examples: sudo riposte active-response firewall-drop add - 203.0.113.9 1700000000.1 5712\n          sudo ln -sf /usr/local/sbin/riposte /var/ossec/active-response/bin/firewall-drop"
    )]
    ActiveResponse(ActiveResponse),
    /// Say why an address is blocked, or why not.
    #[command(after_help = "Example: sudo riposte explain 203.0.113.9")]
    Explain(Explain),
    /// Show past offences and decisions.
    #[command(after_help = "Example: sudo riposte history 203.0.113.0/24 --since 7d --json")]
    History(History),
    /// Analyse old logs with the same sensors and detectors; never blocks.
    #[command(
        after_help = "Examples: sudo riposte replay /var/log/kern.log\n          sudo zcat /var/log/kern.log.2.gz | riposte replay --json -\n          sudo riposte replay --what-if strict.toml /var/log/kern.log\n          sudo riposte replay --detail --only 'src:198.51.100.0/24 dp:<1024' /var/log/kern.log\n          sudo riposte replay --csv --fields 'timestamp,src,dst,dp:>1024,log_prefix:/DROP/' --unique /var/log/kern.log\n          sudo riposte replay --html week.html --plot ports --png ports.png /var/log/kern.log"
    )]
    Replay(Replay),
    /// Look at the rules for application logs: list them, show one, run the samples that they carry.
    #[command(
        after_help = "Examples: riposte rules list\n          riposte rules show sshd/failed-password\n          riposte rules test ./my-rules && echo fine"
    )]
    Rules(Rules),
    /// Say what log lines come to, phase by phase, and what would be done about them. Never does it.
    #[command(
        after_help = "Examples: sudo riposte logtest --summary < /var/log/auth.log\n          sudo tail -f /var/log/auth.log | riposte logtest --rules /var/ossec\n          riposte logtest --rules ./ossec --config ossec.conf --json < auth.log\n          riposte logtest --rules ./ossec --suite sshd.ini"
    )]
    Logtest(Logtest),
    /// Say what a fail2ban filter makes of a log, as fail2ban-regex does; never blocks.
    #[command(
        after_help = "Examples: riposte regex /var/log/auth.log sshd[mode=aggressive]\n          riposte regex 'Jan 23 21:59:59 host sshd[12]: Invalid user x from 192.0.2.1 port 22' sshd\n          riposte regex /var/log/app.log '^ login of .* from <HOST> failed$' -o ip | sort | uniq -c"
    )]
    Regex(Regex),
    /// Others' lists of attackers: how fresh they are, what would be taken of one; what DShield knows, and what of this host it says is attacked most.
    #[command(
        subcommand,
        after_help = "Examples: sudo riposte feeds list\n          riposte feeds check firehol_level1.netset\n          riposte feeds lookup 203.0.113.9 --contact me@example.org\n          sudo riposte feeds ports --contact me@example.org\n          sudo riposte feeds dshield"
    )]
    Feeds(Feeds),
    /// Say what becomes of another program's configuration.
    #[command(subcommand, after_help = "Example: riposte import fail2ban /etc/fail2ban")]
    Import(Import),
    /// Test the whole way with a harmless probe from private network namespaces, and say what is broken and what to do.
    #[command(after_help = "Examples: sudo riposte doctor\n          sudo riposte doctor --json | jq 'select(.state != \"ok\")'")]
    Doctor(Doctor),
    /// Serve the figures of the running daemon to Prometheus, as a process without any privilege.
    #[command(
        after_help = "Example: sudo -u riposte riposte metrics --listen 127.0.0.1:9577 &\n         curl http://127.0.0.1:9577/metrics"
    )]
    Metrics(Metrics),
    /// Print the completions for a shell.
    #[command(after_help = "Example: riposte completions bash | sudo tee /usr/share/bash-completion/completions/riposte >/dev/null")]
    Completions(Completions),
    /// Write the manual pages into a folder.
    #[command(hide = true, after_help = "Example: riposte man --out /usr/local/share/man")]
    Man(Man),
    /// Show riposte at work inside private network namespaces: real scanners, real firewall.
    #[command(after_help = "Example: sudo riposte demo")]
    Demo(Demo),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Decide and record everything, but leave the firewall alone.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print errors and the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Read the host's firewall rules instead: what is open to whom, what is logged, what riposte sees, what to do. Changes nothing.
    #[arg(long)]
    pub host: bool,
    /// Saved rules instead of the live ones: iptables-save, ip6tables-save, `nft list ruleset`, `nft -j list ruleset`; `-` is standard input.
    #[arg(value_name = "FILE", requires = "host")]
    pub files: Vec<PathBuf>,
    /// What iptables rules are about if neither header nor file name says so.
    #[arg(long, value_name = "4|6", requires = "files", value_parser = family)]
    pub family: Option<u8>,
    /// The interface that strangers come by. Default: those with a default route.
    #[arg(long, value_name = "INTERFACE", requires = "host")]
    pub outside: Vec<String>,
}

/// How to reach the daemon.
#[derive(Debug, Args)]
pub struct Ask {
    /// The configuration (for the place of the control socket).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control socket, if it is elsewhere.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// So many entries of others' lists at most. Default: 20, with --json all.
    #[arg(long, value_name = "N")]
    pub listed: Option<usize>,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
    /// Print Prometheus' text format, for the textfile collector of node_exporter.
    #[arg(long, conflicts_with_all = ["json", "sandbox"])]
    pub prometheus: bool,
    /// Print what each process may still do, read back from the kernel (root): user, capabilities, every system call.
    #[arg(long)]
    pub sandbox: bool,
    /// Say in one line whether all is well, for monitoring; the exit code is 0 (well), 1 (look at it), 2 (bad) or 3 (not known).
    #[arg(long, conflicts_with_all = ["prometheus", "sandbox"])]
    pub check: bool,
    /// From where on somebody should look: losses=N, restarts=N or blocks=N. Default: losses=1000, restarts=1.
    #[arg(long, value_name = "NAME=N", requires = "check", value_delimiter = ',')]
    pub warning: Vec<Threshold>,
    /// From where on it is bad.
    #[arg(long, value_name = "NAME=N", requires = "check", value_delimiter = ',')]
    pub critical: Vec<Threshold>,
    /// A file that keeps the figures: losses and restarts count from the last call with it on, not from the daemon's start.
    #[arg(long, value_name = "FILE", requires = "check")]
    pub state: Option<PathBuf>,
    /// How long the daemon may take for its answer.
    #[arg(long, value_name = "SECONDS", requires = "check", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
    /// Print only what comes first: troubles, blocks, levels, and the worst of everything.
    #[arg(long, conflicts_with_all = ["prometheus", "sandbox", "json"])]
    pub summary: bool,
    /// Print all that is known of each of the worst sources, too.
    #[arg(long, conflicts_with_all = ["prometheus", "sandbox"])]
    pub detail: bool,
    /// Only the sources in this address or prefix, with all that is known of them.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["prometheus", "sandbox"])]
    pub address: Option<String>,
    /// Only the sources that have reached this danger level.
    #[arg(long, value_name = "1-5", conflicts_with_all = ["prometheus", "sandbox"], value_parser = clap::value_parser!(u8).range(1..=5))]
    pub level: Option<u8>,
    /// So many of everything.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub top: usize,
    /// Write all of it with plots to this file: one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prometheus", "sandbox"])]
    pub html: Option<PathBuf>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also probe the running daemon, through an interface (rp-doctor, 192.0.2.1) that is there for some seconds.
    #[arg(long)]
    pub live: bool,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `metrics`.
#[derive(Debug, Args)]
pub struct Metrics {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9577")]
    pub listen: std::net::SocketAddr,
    /// Listen on an address that is no loopback address, too: anybody who reaches it can read the figures.
    #[arg(long)]
    pub allow_remote: bool,
    /// The configuration (for the place of the control socket).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control socket, if it is elsewhere.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder; pages go into man8 and man5 in it.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `block`.
#[derive(Debug, Args)]
pub struct Block {
    /// The address or prefix.
    pub prefix: String,
    /// For how long: 10m, 2h, 7d, or `never` to block until it is lifted.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub span: String,
    /// Why, for `explain`.
    #[arg(long, default_value = "")]
    pub note: String,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `unblock`.
#[derive(Debug, Args)]
pub struct Unblock {
    /// The address or prefix.
    pub prefix: String,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `active-response`.
#[derive(Debug, Args)]
pub struct ActiveResponse {
    /// The script.
    #[arg(value_parser = crate::commands::active_response::NAMES)]
    pub name: String,
    /// `add` or `delete`, user, address, alert, rule; without them a message is read from standard input.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// The configuration (for the place of the control socket).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control socket, if it is elsewhere.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Arguments of `alert`.
#[derive(Debug, Args)]
pub struct Alert {
    /// Send a sample by each configured way, and say what became of it.
    #[arg(long)]
    pub test: bool,
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `allow`.
#[derive(Debug, Args)]
pub struct Allow {
    /// The address or prefix; without one, the list is shown.
    pub prefix: Option<String>,
    /// For how long; without it, until it is removed.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "remove")]
    pub span: Option<String>,
    /// Take it off the list again.
    #[arg(long, requires = "prefix")]
    pub remove: bool,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The address.
    pub address: String,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// Only this address or prefix.
    pub prefix: Option<String>,
    /// Only the last so much time.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// At most so many entries, the newest.
    #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub limit: usize,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The logs, oldest first; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration whose thresholds count.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show whom this configuration would have blocked, beside the one in force.
    #[arg(long, value_name = "CONFIG")]
    pub what_if: Option<PathBuf>,
    /// Print JSON Lines: events (with --events), offenders, a summary.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV.
    #[arg(long)]
    pub csv: bool,
    /// Print every packet, too.
    #[arg(long)]
    pub events: bool,
    /// Count everything: top ports, log prefixes, protocols, and each source's flags, targets and ways through the firewall.
    #[arg(long)]
    pub detail: bool,
    /// So many of everything in text and pages.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub top: usize,
    /// Look at no other packets than these: fields with conditions, as `src:198.51.100.0/24 dp:>1024`. May be repeated.
    #[arg(long, value_name = "FIELD:VALUE")]
    pub only: Vec<String>,
    /// Print these fields of every packet as CSV, of those that fulfil all conditions: `timestamp,src,dst,dp:<1024,log_prefix:/DROP/`.
    #[arg(long, value_name = "FIELDS", requires = "csv", conflicts_with_all = ["detail", "html", "plot"])]
    pub fields: Option<String>,
    /// Print a line of --fields only once.
    #[arg(long, requires = "fields")]
    pub unique: bool,
    /// Print at most so many lines of --fields, beside the titles.
    #[arg(long, value_name = "N", requires = "fields")]
    pub max_lines: Option<u64>,
    /// What stands between the fields.
    #[arg(long, value_name = "CHARACTER", requires = "fields", default_value_t = ',')]
    pub separator: char,
    /// No line with titles before --fields.
    #[arg(long, requires = "fields")]
    pub no_header: bool,
    /// Begin with this line of the logs, from 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub start_line: u64,
    /// End with this line of the logs.
    #[arg(long, value_name = "N")]
    pub end_line: Option<u64>,
    /// Write the whole picture with plots to this file: one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Draw one plot, into the files of --svg and --png.
    #[arg(long, value_name = "KIND")]
    pub plot: Option<Plot>,
    /// Where --plot goes as SVG.
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub svg: Option<PathBuf>,
    /// Where --plot goes as PNG.
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub png: Option<PathBuf>,
    /// Every line is the kernel's own (output of dmesg): a line needs no syslog head to be believed.
    #[arg(long)]
    pub kernel: bool,
    /// The time zone of stamps that have none, such as UTC or Europe/Berlin. Default: this machine's.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
}

/// What can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plot {
    /// Which ports were tried when.
    Ports,
    /// Which ports the worst sources tried.
    Sources,
    /// How many packets came when.
    Counts,
}

/// Arguments of `rules`.
#[derive(Debug, Args)]
pub struct Rules {
    /// What to do with them.
    #[command(subcommand)]
    pub what: RulesWhat,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum RulesWhat {
    /// List the rules that riposte comes with.
    List {
        /// Print JSON Lines, one object a rule.
        #[arg(long)]
        json: bool,
    },
    /// Show the file that a service or a rule stands in.
    Show {
        /// A service (sshd) or one of its rules (sshd/failed-password).
        name: String,
    },
    /// Run the samples of these files too, or of all in these folders; exit code 1 if one comes out otherwise.
    Test {
        /// Rule files (and the lists that they name), or folders with them.
        #[arg(value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
}

/// Arguments of `logtest`.
#[derive(Debug, Args)]
pub struct Logtest {
    /// Rules: .toml files beside riposte's own; OSSEC's or Wazuh's home, ossec.conf, or single files of decoders and rules; or fail2ban's
    /// folder. Default: riposte's own.
    #[arg(long, value_name = "DIR|FILE")]
    pub rules: Vec<PathBuf>,
    /// OSSEC's configuration: which files, and the active responses.
    #[arg(long, value_name = "OSSEC_CONF")]
    pub config: Option<PathBuf>,
    /// Check the lines of this file instead of reading standard input: OSSEC's test format for OSSEC's rules, SSHGuard's triples for riposte's,
    /// a log annotated as fail2ban's with --filter. Exit code 0 only if all agree.
    #[arg(long, value_name = "FILE")]
    pub suite: Option<PathBuf>,
    /// A filter of fail2ban's instead of rules: sshd[mode=aggressive]. Each failure would be blocked; or the annotated log is for it.
    #[arg(long, value_name = "NAME[OPTIONS]", conflicts_with = "config")]
    pub filter: Option<String>,
    /// Where fail2ban's configuration lies. Default: /etc/fail2ban.
    #[arg(long, value_name = "DIR", requires = "filter", conflicts_with = "rules")]
    pub config_dir: Option<PathBuf>,
    /// Only say what all lines came to: how often each rule was met, and who would be blocked.
    #[arg(long, conflicts_with = "suite")]
    pub summary: bool,
    /// Print one JSON object per line, or per case of a suite.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `regex`.
#[derive(Debug, Args)]
pub struct Regex {
    /// A log, `-` for standard input, or one line.
    pub log: String,
    /// A filter of fail2ban's (`sshd[mode=aggressive]`), a filter's file, or a regular expression with <HOST>.
    pub filter: String,
    /// What is not counted: a regular expression, or a filter whose ignoreregex it is.
    pub ignoreregex: Option<String>,
    /// Where fail2ban's configuration lies. Default: /etc/fail2ban.
    #[arg(short, long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// How the lines are dated, instead of what the filter says.
    #[arg(short, long, value_name = "PATTERN")]
    pub datepattern: Option<String>,
    /// The time zone of dates that name none: UTC+0200, Europe/Berlin. Default: this machine's.
    #[arg(long, visible_alias = "TZ", value_name = "ZONE")]
    pub timezone: Option<String>,
    /// How many lines the filter looks at together.
    #[arg(short = 'L', long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub maxlines: Option<u8>,
    /// `no`: <HOST> is an address only. Names are never looked up.
    #[arg(long, value_name = "WORD", value_parser = ["yes", "warn", "no", "raw"])]
    pub usedns: Option<String>,
    /// Print only this of each failure: ip, id, msg, row, a field, or text with tags: '<ip> <F-USER>'.
    #[arg(short, long, value_name = "WHAT", conflicts_with = "json")]
    pub out: Option<String>,
    /// Print every line that matched.
    #[arg(long)]
    pub print_all_matched: bool,
    /// Print every line that did not match, no matter how many.
    #[arg(long)]
    pub print_all_missed: bool,
    /// Print every line that was ignored, no matter how many.
    #[arg(long)]
    pub print_all_ignored: bool,
    /// Print no line that did not match.
    #[arg(long, conflicts_with = "print_all_missed")]
    pub print_no_missed: bool,
    /// Print no line that was ignored.
    #[arg(long, conflicts_with = "print_all_ignored")]
    pub print_no_ignored: bool,
    /// Print patterns without hits, too, and whom each caught.
    #[arg(short, long)]
    pub verbose: bool,
    /// Print one JSON object a failure, then a summary.
    #[arg(long)]
    pub json: bool,
    /// The log says itself what each line must come to (`# failJSON: …`): print what does not agree.
    #[arg(long)]
    pub suite: bool,
}

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// fail2ban's jails as a configuration of riposte's; each with what is not done as it says.
    #[command(
        after_help = "Examples: riposte import fail2ban /etc/fail2ban > riposte.toml; riposte check --config riposte.toml\n          riposte import fail2ban --database /var/lib/fail2ban/fail2ban.sqlite3 | sudo sh"
    )]
    Fail2ban(ImportFail2ban),
    /// PortSentry's configuration and ignore files, 1.x and 2.x: prints a configuration that does the same.
    #[command(after_help = "Example: riposte import portsentry /etc/portsentry > riposte.toml; riposte check --config riposte.toml")]
    Portsentry(ImportPortsentry),
    /// psad's configuration, 2.4 and 3.0: prints a configuration that does the same, and what becomes of each setting.
    #[command(after_help = "Example: riposte import psad /etc/psad > riposte.toml; riposte check --config riposte.toml")]
    Psad(ImportPsad),
}

/// Arguments of `import psad`.
#[derive(Debug, Args)]
pub struct ImportPsad {
    /// Its folder or its configuration file. Default: /etc/psad.
    pub path: Option<PathBuf>,
    /// Files that psad is started with as `-O`, in that order. Default: what /etc/default/psad says.
    #[arg(long = "override", short = 'O', value_name = "FILE", value_delimiter = ',')]
    pub overrides: Vec<PathBuf>,
}

/// The commands about others' lists.
#[derive(Debug, Subcommand)]
pub enum Feeds {
    /// Show each feed of the running daemon: entries, when it was fetched and will be, what was left out, what is wrong.
    List(Ask),
    /// Have the running daemon fetch its feeds now: lists for everybody not more often than once an hour.
    Update(FeedsUpdate),
    /// Say what would be taken of a list that was saved, and what not and why. Asks nobody.
    Check(FeedsCheck),
    /// Ask DShield what it knows of an address. It learns that you have asked.
    Lookup(FeedsLookup),
    /// Ask DShield which ports are attacked most, and say which of them are open here and what would close or guard them. Changes nothing.
    Ports(FeedsPorts),
    /// Show what the running daemon would tell DShield now ([dshield]), as it would be sent. Sends nothing.
    #[command(after_help = "Example: sudo riposte feeds dshield | less")]
    Dshield(Ask),
}

/// Arguments of `feeds update`.
#[derive(Debug, Args)]
pub struct FeedsUpdate {
    /// Only this one.
    pub name: Option<String>,
    /// How to reach the daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Arguments of `feeds check`.
#[derive(Debug, Args)]
pub struct FeedsCheck {
    /// The list; `-` is standard input.
    pub file: PathBuf,
    /// How it is written: plain, dshield, spamhaus, crowdsec. Default: as it looks.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The configuration: who is exempt.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print what is taken, a prefix a line.
    #[arg(long, conflicts_with = "json")]
    pub entries: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whom to ask, and how.
#[derive(Debug, Args)]
pub struct AskDshield {
    /// A mail address: DShield asks for one. Default: `from` of `[dshield]`.
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Option<String>,
    /// Where the answers are.
    #[arg(long, value_name = "URL", default_value = "https://isc.sans.edu/api")]
    pub url: String,
    /// The certificates that are believed beside the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An answer that was saved: nobody is asked.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `feeds lookup`.
#[derive(Debug, Args)]
pub struct FeedsLookup {
    /// Whom.
    pub address: std::net::IpAddr,
    /// Whom to ask.
    #[command(flatten)]
    pub dshield: AskDshield,
}

/// Arguments of `feeds ports`.
#[derive(Debug, Args)]
pub struct FeedsPorts {
    /// How many of the most attacked ports.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub top: u8,
    /// Whom to ask.
    #[command(flatten)]
    pub dshield: AskDshield,
}

/// Arguments of `import portsentry`.
#[derive(Debug, Args)]
pub struct ImportPortsentry {
    /// Its folder or its configuration file. Default: /etc/portsentry.
    pub path: Option<PathBuf>,
    /// It is started in connect mode (2.x: --connect; 1.x: -tcp -udp).
    #[arg(long)]
    pub connect: bool,
}

/// Arguments of `import fail2ban`.
#[derive(Debug, Args)]
pub struct ImportFail2ban {
    /// Where its configuration lies. Default: /etc/fail2ban.
    pub dir: Option<PathBuf>,
    /// Its database: print nothing but the blocks that stand, as commands to be run by hand or by `sh`.
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Only the steps whose name contains this.
    #[arg(long, value_name = "WORD")]
    pub only: Option<String>,
}

fn family(text: &str) -> Result<u8, String> {
    match text {
        "4" => Ok(4),
        "6" => Ok(6),
        _ => Err("4 or 6".into()),
    }
}
