//! The configuration as it is meant, written out: every key in the file's order. Never leaves out a default.

use super::alert::{Outgoing, Share};
use super::capture::AUTO;
use super::feed::{DshieldConfig, Place, effect_word};
use super::response::{On, Protocol};
use super::words::{Period, Word, toml as quote};
use super::{Config, FingerprintConfig, LogKind, LogSource, LogTarget, SyslogSocket, TargetKind, Zone};
use model::ports::Written;
use policy::lists::Effect;
use respond::{RESPONDERS, Value};
use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::Duration;

/// The text; reads again as an equal configuration.
pub fn text(config: &Config) -> String {
    let mut page = Page { text: String::new() };
    page.store_and_processes(config);
    page.sensors(config);
    page.applications(config);
    page.signatures(config);
    page.fingerprint(config);
    page.guard(config);
    page.scan(config);
    page.policy(config);
    page.respond(config);
    page.responses(config);
    page.alert(config);
    page.feeds(config);
    page.dshield(&config.dshield);
    page.section("[log]");
    page.key("level", quote(config.log.level.word()));
    page.key("format", quote(config.log.format.word()));
    let (kind, place) = match &config.log.target {
        LogTarget::Stderr => (TargetKind::Stderr, None),
        LogTarget::Journal(socket) => (TargetKind::Journal, Some(socket)),
        LogTarget::File(file) => (TargetKind::File, Some(file)),
    };
    page.key("target", quote(kind.word()));
    match place {
        Some(place) => page.key("path", path(place)),
        None => page.absent("path", "standard error has none"),
    }
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn section(&mut self, name: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{name}");
    }

    fn key(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    /// A key without a value in TOML: what its absence means.
    fn absent(&mut self, key: &str, meaning: &str) {
        let _ = writeln!(self.text, "# {key}: {meaning}");
    }

    fn optional(&mut self, key: &str, value: Option<String>, meaning: &str) {
        match value {
            Some(value) => self.key(key, value),
            None => self.absent(key, meaning),
        }
    }

    /// A list: in one line if it fits, else an entry a line.
    fn list(&mut self, key: &str, entries: impl IntoIterator<Item = String>) {
        let entries: Vec<String> = entries.into_iter().collect();
        let line = entries.join(", ");
        if line.len() <= 100 {
            return self.key(key, format!("[{line}]"));
        }
        let _ = writeln!(self.text, "{key} = [");
        entries.iter().for_each(|entry| {
            let _ = writeln!(self.text, "    {entry},");
        });
        self.text.push_str("]\n");
    }

    fn store_and_processes(&mut self, config: &Config) {
        self.section("[store]");
        self.key("path", path(&config.store.path));
        self.key("history_days", config.store.history_days);
        self.key("history_max", config.store.history_max);
        self.key("max_mib", config.store.max_mib);
        self.key("min_free_percent", config.store.min_free_percent);
        self.section("[control]");
        self.key("socket", path(&config.control.socket));
        match &config.control.group {
            Some(group) => self.key("group", quote(group)),
            None => self.absent("group", "none, only root may ask"),
        }
        self.section("[process]");
        self.key("user", quote(&config.process.user));
    }

    fn sensors(&mut self, config: &Config) {
        let nflog = &config.nflog;
        self.section("[sense.nflog]");
        self.key("enabled", nflog.enabled);
        self.key("group", nflog.group);
        self.key("rate", nflog.rate);
        self.key("burst", nflog.burst);
        self.key("per_source_rate", nflog.per_source_rate);
        self.key("per_source_burst", nflog.per_source_burst);
        self.list("ssh_ports", nflog.ssh_ports.iter().map(u16::to_string));
        let capture = &config.capture;
        self.section("[sense.capture]");
        self.key("enabled", capture.enabled);
        let all = [AUTO.to_owned()];
        self.list("interfaces", capture.interfaces.as_deref().unwrap_or(&all).iter().map(|name| quote(name)));
        self.key("ring_mib", capture.ring_mib);
        self.key("rate", capture.rate);
        self.key("per_source_rate", capture.per_source_rate);
        self.section("[sense.lines]");
        let lines = &config.lines;
        for (key, texts) in [("only", &lines.only), ("ignore", &lines.ignore), ("ignore_interfaces", &lines.ignore_interfaces)] {
            self.list(key, texts.iter().map(|text| quote(text)));
        }
        for source in &config.logs {
            self.section("[[sense.log]]");
            self.log(source);
        }
    }

    fn log(&mut self, source: &LogSource) {
        match source {
            LogSource::File { path: file, from, timezone, ulogd } => {
                self.key("kind", quote(if *ulogd { LogKind::Ulogd } else { LogKind::File }.word()));
                self.key("path", path(file));
                self.key("from", quote(from.word()));
                self.zone(timezone);
            }
            LogSource::Pipe { path: pipe, timezone } => {
                self.key("kind", quote(LogKind::Pipe.word()));
                self.key("path", path(pipe));
                self.zone(timezone);
            }
            LogSource::Kmsg { from } => {
                self.key("kind", quote(LogKind::Kmsg.word()));
                self.key("from", quote(from.word()));
            }
            LogSource::Journal { from } => {
                self.key("kind", quote(LogKind::Journal.word()));
                self.key("from", quote(from.word()));
            }
            LogSource::Syslog { socket, timezone } => {
                self.key("kind", quote(LogKind::Syslog.word()));
                match socket {
                    SyslogSocket::Unix(socket) => self.key("path", path(socket)),
                    SyslogSocket::Udp(addr) => self.key("listen", quote(&addr.to_string())),
                }
                self.zone(timezone);
            }
        }
    }

    fn applications(&mut self, config: &Config) {
        let applications = &config.applications;
        self.section("[applications]");
        self.key("enabled", applications.enabled);
        self.list("files", applications.files.iter().map(|pattern| quote(pattern)));
        self.key("journal", quote(applications.journal.word()));
        for (key, place) in [("syslog", &applications.syslog), ("pipe", &applications.pipe)] {
            match place {
                Some(place) => self.key(key, path(place)),
                None => self.absent(key, "none"),
            }
        }
        self.list("rules", applications.rules.iter().map(|place| path(place)));
        self.key("from", quote(applications.from.word()));
        self.zone(&applications.timezone);
    }

    fn signatures(&mut self, config: &Config) {
        let signatures = &config.signatures;
        self.section("[signatures]");
        self.key("enabled", signatures.enabled);
        self.key("shipped", signatures.shipped);
        self.list("rules", signatures.rules.iter().map(|place| path(place)));
        for (key, file) in signatures.tables() {
            match file {
                Some(file) => self.key(key, path(file)),
                None => self.absent(key, "none"),
            }
        }
        self.list("variables", signatures.variables.iter().map(|(name, value)| quote(&format!("{name} = {value}"))));
    }

    fn fingerprint(&mut self, config: &Config) {
        let FingerprintConfig { enabled, shipped, p0f, posf } = &config.fingerprint;
        self.section("[fingerprint]");
        self.key("enabled", enabled);
        self.key("shipped", shipped);
        for (key, files) in [("p0f", p0f), ("posf", posf)] {
            self.list(key, files.iter().map(|place| path(place)));
        }
    }

    fn guard(&mut self, config: &Config) {
        let (guard, touch, [block_tcp, block_udp]) = (&config.guard, &config.scan.touch, config.policy.touch_blocks);
        self.section("[guard]");
        let lists = [("tcp", &guard.tcp), ("udp", &guard.udp), ("trap_tcp", &guard.trap_tcp), ("trap_udp", &guard.trap_udp)];
        for (key, ports) in lists {
            self.list(key, ports.ranges().iter().map(|range| quote(&Written(range).to_string())));
        }
        self.key("stealth", guard.stealth);
        match &guard.banner {
            Some(banner) => self.key("banner", quote(banner)),
            None => self.absent("banner", "none, nothing is said"),
        }
        self.key("trigger", touch.trigger);
        self.key("within", period(touch.within));
        self.key("level", touch.level);
        self.key("block_tcp", block_tcp);
        self.key("block_udp", block_udp);
        match guard.portsentry {
            Some(form) => self.key("portsentry", quote(form.word())),
            None => self.key("portsentry", false),
        }
    }

    fn respond(&mut self, config: &Config) {
        self.section("[respond]");
        self.list("kind", config.respond.kinds.iter().map(|kind| quote(kind.name)));
        self.key("mode", quote(config.respond.mode.word()));
        for kind in RESPONDERS.iter().filter(|kind| !kind.keys.is_empty()) {
            self.section(&format!("[respond.{}]", kind.name));
            for key in kind.keys {
                match (key.get)(&config.respond.settings) {
                    Value::Flag(flag) => self.key(key.name, flag),
                    Value::Number(number) => self.key(key.name, number),
                    Value::Text(text) => self.key(key.name, quote(&text)),
                    Value::Texts(texts) => self.list(key.name, texts.iter().map(|text| quote(text))),
                }
            }
        }
    }

    fn responses(&mut self, config: &Config) {
        for response in &config.responses {
            self.section("[[response]]");
            self.key("name", quote(&response.name));
            self.key("protocol", quote(response.protocol.word()));
            self.key("program", path(&response.program));
            self.list("args", response.args.iter().map(|arg| quote(arg)));
            self.list("expect", response.expect.iter().map(|expect| quote(expect.word())));
            self.key("on", quote(response.on.word()));
            match response.on {
                On::Touch => self.list("protocols", response.protocols.iter().map(|protocol| quote(protocol.word()))),
                On::Rule | On::Block => self.absent("protocols", "of touches only"),
            }
            self.key("when", quote(response.when.word()));
            match response.protocol {
                Protocol::Command => self.key("at_end", response.at_end),
                Protocol::Ossec | Protocol::Wazuh | Protocol::Account => self.absent("at_end", "always"),
            }
            self.key("user", quote(&response.user));
            self.key("limit", period(response.limit));
            match response.timeout {
                Some(timeout) => self.key("timeout", period(timeout)),
                None => self.absent("timeout", "none, what no rule gives a time is for good"),
            }
            self.key("per_minute", response.per_minute);
        }
    }

    fn share(&mut self, share: &Share) {
        self.list("tell", share.tell.iter().map(|what| quote(what.word())));
        self.key("min_level", share.min_level);
        self.key("per_source", share.per_source);
        self.key("digest", period(share.digest));
    }

    fn alert(&mut self, config: &Config) {
        let alert = &config.alert;
        self.section("[alert]");
        self.list("tell", alert.tell.iter().map(|what| quote(what.word())));
        self.key("min_level", alert.min_level);
        self.key("every", alert.every);
        self.key("one_in", alert.one_in);
        self.key("per_source", alert.per_source);
        self.key("per_day", alert.per_day);
        self.key("throttle", period(alert.throttle));
        self.key("digest", period(alert.digest));
        self.key("wait", period(alert.wait));
        self.key("user", quote(&alert.user));
        self.section("[alert.mail]");
        self.key("enabled", alert.mail.is_some());
        if let Some(mail) = &alert.mail {
            self.list("to", mail.to.iter().map(|to| quote(to)));
            self.optional("from", mail.from.as_ref().map(|from| quote(from)), "riposte at this host");
            match &mail.by {
                Outgoing::Program(argv) => self.list("program", argv.iter().map(|arg| quote(arg))),
                Outgoing::Server(server) => {
                    self.key("server", quote(&server.host));
                    self.key("port", server.port);
                    self.key("tls", quote(server.tls.word()));
                    self.optional("user", server.user.as_ref().map(|user| quote(user)), "none");
                    self.optional("password_file", server.password_file.as_deref().map(path), "none");
                    self.optional("ca", server.ca.as_deref().map(path), "the system's alone");
                }
            }
            self.key("prefix", quote(&mail.prefixes.alert));
            self.key("prefix_status", quote(&mail.prefixes.status));
            self.key("prefix_error", quote(&mail.prefixes.error));
            self.key("timeout", period(mail.timeout));
            self.share(&mail.share);
        }
        self.section("[alert.syslog]");
        self.key("enabled", alert.syslog.is_some());
        if let Some(syslog) = &alert.syslog {
            self.key("socket", path(&syslog.socket));
            self.key("form", quote(syslog.form.word()));
            self.key("facility", quote(syslog.facility.word()));
            self.optional("severity", syslog.severity.map(|severity| quote(severity.word())), "as urgent as it is");
            self.key("name", quote(&syslog.name));
        }
        self.section("[alert.webhook]");
        self.key("enabled", alert.webhook.is_some());
        if let Some(webhook) = &alert.webhook {
            self.key("url", quote(&webhook.url));
            self.list("headers", webhook.headers.iter().map(|(name, value)| quote(&format!("{name}: {value}"))));
            self.optional("headers_file", webhook.headers_file.as_deref().map(path), "none");
            self.optional("ca", webhook.ca.as_deref().map(path), "the system's alone");
            self.key("timeout", period(webhook.timeout));
            self.share(&webhook.share);
        }
        self.section("[alert.command]");
        self.key("enabled", alert.command.is_some());
        if let Some(command) = &alert.command {
            self.list("argv", command.argv.iter().map(|arg| quote(arg)));
            self.key("limit", period(command.limit));
            self.share(&command.share);
        }
        self.section("[whois]");
        self.key("enabled", config.whois.enabled);
        self.key("server", quote(&config.whois.server));
        self.key("timeout", period(config.whois.timeout));
        self.key("keep", period(config.whois.keep));
        self.key("per_hour", config.whois.per_hour);
        self.section("[reverse_dns]");
        self.key("enabled", config.reverse_dns.enabled);
        self.key("timeout", period(config.reverse_dns.timeout));
    }

    fn feeds(&mut self, config: &Config) {
        for feed in &config.feeds {
            self.section("[[feed]]");
            self.key("name", quote(&feed.name));
            self.key("enabled", feed.enabled);
            match &feed.place {
                Place::Url(url) => self.key("url", quote(url)),
                Place::File(file) => self.key("path", path(file)),
            }
            self.key("format", quote(feed.format.word()));
            self.key("every", period(feed.every));
            self.key("expires", period(feed.expires));
            self.key("max_entries", feed.max_entries);
            self.key("max_churn", feed.max_churn);
            self.key("effect", quote(effect_word(feed.effect)));
            match feed.effect {
                Effect::Level(level) => self.key("level", level),
                Effect::Block | Effect::Mark => self.absent("level", "of effect = \"level\" only"),
            }
            self.optional("key", feed.key.as_deref().map(path), "none");
            self.optional("ca", feed.ca.as_deref().map(path), "the system's alone");
            self.optional("contact", feed.contact.as_deref().map(quote), "none");
        }
    }

    fn dshield(&mut self, dshield: &DshieldConfig) {
        self.section("[dshield]");
        self.key("enabled", dshield.enabled);
        self.key("by", quote(dshield.by.word()));
        self.key("user", dshield.user);
        self.optional("key", dshield.key.as_deref().map(path), "none");
        self.optional("from", dshield.from.as_deref().map(quote), "none");
        self.key("to", quote(&dshield.to));
        self.key("url", quote(&dshield.url));
        self.optional("ca", dshield.ca.as_deref().map(path), "the system's alone");
        self.key("interval", period(dshield.interval));
        self.optional("min_level", dshield.min_level.map(|level| level.to_string()), "every logged probe, whoever sent it");
        self.optional("public", dshield.public.map(|addr| quote(&addr.to_string())), "none, our addresses are shown as of 10.0.0.0/8");
        self.key("copy", dshield.copy);
    }

    fn zone(&mut self, zone: &Zone) {
        match zone {
            None => self.absent("timezone", "the system's"),
            Some(zone) => match (zone.iana_name(), zone.to_fixed_offset()) {
                (Some(name), _) => self.key("timezone", quote(name)),
                (None, Ok(offset)) => {
                    let (sign, secs) = (if offset.is_negative() { '-' } else { '+' }, offset.seconds().unsigned_abs());
                    self.key("timezone", format!("\"{sign}{:02}:{:02}\"", secs / 3_600, secs % 3_600 / 60));
                }
                // No text reads as such a zone, so none is here; the system's own is what has no name.
                (None, Err(_)) => self.absent("timezone", "the system's"),
            },
        }
    }

    fn scan(&mut self, config: &Config) {
        let scan = &config.scan;
        self.section("[scan]");
        self.list("packets", scan.packets.iter().map(u64::to_string));
        self.list("hosts", scan.hosts.iter().map(u32::to_string));
        self.key("port_range", scan.port_range);
        self.key("protocols", scan.protocols);
        self.key("decay", period(scan.decay));
        self.key("forget", period(scan.forget));
        self.key("slow_gap", period(scan.slow_gap));
        self.key("count_by_ipv4", scan.count_by_ipv4);
        self.key("count_by_ipv6", scan.count_by_ipv6);
        self.key("tracked_sources", scan.tracked_sources);
        self.section("[scan.sequential]");
        self.key("benign_success", float(scan.sequential.benign_success));
        self.key("scanner_success", float(scan.sequential.scanner_success));
        self.key("false_positive", float(scan.sequential.false_positive));
        self.key("detection", float(scan.sequential.detection));
        self.section("[scan.distributed]");
        self.key("sources", scan.distributed.sources);
        self.key("ports", scan.distributed.ports);
        self.key("window", period(scan.distributed.window));
        self.key("fresh_share", float(scan.distributed.fresh_share));
    }

    fn policy(&mut self, config: &Config) {
        let policy = &config.policy;
        self.section("[policy]");
        self.key("dry_run", policy.dry_run);
        self.key("block_level", policy.block_level);
        self.list("block_for", policy.block_for.iter().copied().map(period));
        self.key("escalation", policy.escalation);
        self.key("block_max", period(policy.block_max));
        self.key("strikes_forget", period(policy.strikes_forget));
        self.key("blocks_per_minute", policy.blocks_per_minute);
        self.key("blocks_total", policy.blocks_total);
        let prefixes = policy.exempt.iter().map(|prefix| quote(&prefix.to_string()));
        self.list("exempt", prefixes.chain(config.exempt_names.iter().map(|name| quote(name))));
        self.list("ignore", policy.ignore.iter().map(|entry| quote(&entry.to_string())));
        self.section("[policy.derive]");
        self.key("own", config.derive.own);
        self.key("gateways", config.derive.gateways);
        self.key("resolvers", config.derive.resolvers);
        self.key("time_servers", config.derive.time_servers);
        self.key("admin", config.derive.admin);
        self.section("[policy.spoofable]");
        self.key("may_block", policy.spoofable.may_block);
        self.key("block_max", period(policy.spoofable.block_max));
        self.key("blocks_per_minute", policy.spoofable.blocks_per_minute);
        self.key("blocks_standing", policy.spoofable.blocks_standing);
        self.section("[policy.storm]");
        self.key("offenders", policy.storm.offenders);
        self.key("window", period(policy.storm.window));
        self.key("pause", period(policy.storm.pause));
    }
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn period(span: Duration) -> String {
    quote(&Period(span).to_string())
}

/// The shortest text that reads as the same number.
fn float(number: f64) -> String {
    format!("{number:?}")
}
