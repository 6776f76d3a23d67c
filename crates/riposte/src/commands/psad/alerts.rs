//! The part of psad's configuration about whom it tells. Sends nothing.

use super::Plan;
use super::blocks::placed;
use super::detection::list;
use crate::commands::portsentry::actions::{commented, words};
use crate::config::Config;
use crate::config::words::toml;

/// Seconds for which a lookup may last; psad's 60 would keep a letter waiting.
const LOOKUP_SECONDS: u64 = 15;
/// Letters a day that riposte sends if nobody says otherwise.
const PER_DAY: u64 = 100;
/// psad's limit, and what older versions call it.
const LIMITS: [&str; 2] = ["EMAIL_LIMIT", "PSAD_EMAIL_LIMIT"];

impl Plan<'_> {
    pub(super) fn alerts(&mut self) {
        let methods = self.conf.some("ALERTING_METHODS").map_or_else(String::new, |value| value.text.to_ascii_lowercase());
        let (by_mail, by_syslog) = (!methods.contains("noemail"), !methods.contains("nosyslog"));
        let level = self.conf.number("MIN_DANGER_LEVEL", 1..=5, 1);
        let every = self.conf.flag("ALERT_ALL", true);
        let one_in = self.conf.number("EMAIL_THROTTLE", 0..=10_000, 0);
        let limit = LIMITS.map(|key| self.conf.number(key, 0..=10_000, 0)).into_iter().max().unwrap_or_default();
        self.line("\n[alert]");
        self.say(&["MIN_DANGER_LEVEL"], "");
        self.line(format!("min_level = {level}"));
        self.say(
            &["ALERT_ALL"],
            "psad mails every few seconds; here letters lie throttle and digest apart, and say all that came meanwhile",
        );
        self.line(format!("every = {every}"));
        if one_in > 1 {
            self.say(&["EMAIL_THROTTLE"], "of what says nothing new; a higher level, or a block, is told at once");
            self.line(format!("one_in = {one_in}"));
        }
        if limit > PER_DAY {
            self.line(format!("per_day = {limit}"));
        }
        let level = self.conf.number("EMAIL_ALERT_DANGER_LEVEL", 1..=5, 1).max(level);
        self.say(&["ALERTING_METHODS"], "which of the sections below there are");
        if by_mail {
            self.mail(level, limit);
        }
        if by_syslog {
            self.syslog();
        }
        self.alert_script(level);
        self.lookups(by_mail);
        self.dshield();
        self.feeds();
    }

    /// What a letter says of its source besides.
    fn lookups(&mut self, by_mail: bool) {
        let (whois, names) = (self.conf.flag("ENABLE_WHOIS_LOOKUPS", true), self.conf.flag("ENABLE_DNS_LOOKUPS", true));
        let timeout = self.conf.number("WHOIS_TIMEOUT", 1..=86_400, 60).min(LOOKUP_SECONDS);
        if whois && by_mail {
            self.line("");
            self.say(&["ENABLE_WHOIS_LOOKUPS", "WHOIS_TIMEOUT"], "asked by a process that neither detects nor blocks");
            self.section("ENABLE_WHOIS_LOOKUPS", &format!("[whois]\nenabled = true\ntimeout = \"{timeout}s\"\n"));
        }
        if names && by_mail {
            self.line("");
            self.say(&["ENABLE_DNS_LOOKUPS"], "whoever owns the address' name sees who asks for it; take it out if you don't need names");
            self.section("ENABLE_DNS_LOOKUPS", "[reverse_dns]\nenabled = true\n");
        }
    }

    fn dshield(&mut self) {
        if !self.conf.flag("ENABLE_DSHIELD_ALERTS", false) {
            return;
        }
        let user = self.conf.number("DSHIELD_USER_ID", 0..=u64::from(u32::MAX), 0);
        let hours = self.conf.number("DSHIELD_ALERT_INTERVAL", 1..=24, 6);
        let level = self.conf.number("DSHIELD_DL_THRESHOLD", 0..=5, 0);
        let mut text = format!("[dshield]\nenabled = true\nby = \"mail\"\nuser = {user}\ninterval = \"{hours}h\"\n");
        if let Some(to) = self.conf.some("DSHIELD_ALERT_EMAIL") {
            text += &format!("to = {}\n", toml(&to.text));
        }
        let own = self.conf.some("EMAIL_ADDRESSES").and_then(|to| to.text.split(',').next());
        if let Some(from) = self.conf.some("DSHIELD_USER_EMAIL").map(|from| from.text.as_str()).or(own) {
            text += &format!("from = {}\n", toml(from.trim()));
        }
        if level > 0 {
            text += &format!("min_level = {level}\n");
        }
        let keys = ["ENABLE_DSHIELD_ALERTS", "DSHIELD_USER_ID", "DSHIELD_USER_EMAIL", "DSHIELD_ALERT_EMAIL", "DSHIELD_ALERT_INTERVAL"];
        self.line("");
        let nobody = self.conf.some(keys[2]).is_none();
        self.say(&keys, if nobody { "from the first of EMAIL_ADDRESSES, since no DSHIELD_USER_EMAIL says from whom" } else { "" });
        self.say(&["DSHIELD_DL_THRESHOLD"], "");
        self.section("ENABLE_DSHIELD_ALERTS", &text);
    }

    /// `"ET block",4,IP,newline,1440,Y,emerging.txt,"wget -O $LOCAL_FILE https://…"`
    fn feeds(&mut self) {
        if !self.conf.flag("ENABLE_REPUTATION_FEEDS", true) {
            return;
        }
        let mut names: Vec<String> = Vec::new();
        for value in self.conf.all("REPUTATION_FEED").to_vec() {
            let words: Vec<&str> = value.text.split(',').map(|word| word.trim().trim_matches('"')).collect();
            let [name, level, _, _, minutes, _, _, command @ ..] = &words[..] else {
                self.wrong(&value, "REPUTATION_FEED", "seven words or more are wanted, with commas between");
                continue;
            };
            let command = command.join(",");
            let Some(url) = command.split_whitespace().find(|word| word.starts_with("http")) else {
                self.wrong(&value, "REPUTATION_FEED", "there is no address of the web in it; a [[feed]] with 'file' reads a file");
                continue;
            };
            // A list that is fetched in the open could be anybody's.
            let url = url.replacen("http://", "https://", 1);
            let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
            if names.contains(&name) || names.len() == model::limits::LISTS {
                self.wrong(&value, "REPUTATION_FEED", "one of this name is there already, or there are too many");
                continue;
            }
            names.push(name.clone());
            let every = minutes.parse::<u64>().ok().filter(|minutes| *minutes > 0).map(|minutes| minutes.clamp(60, 7 * 1_440));
            let every = every.map_or_else(String::new, |minutes| format!("every = \"{minutes}m\"\n"));
            self.line("");
            self.told.insert("REPUTATION_FEED".to_owned());
            let place = self.named("REPUTATION_FEED", &value.place);
            self.comment(&format!("{place}: over HTTPS; guarded against what no list may have"));
            let level = level.parse::<u8>().unwrap_or(4);
            let text = format!("[[feed]]\nname = {}\nurl = {}\n{every}effect = \"level\"\nlevel = {level}\n", toml(&name), toml(&url));
            self.section_at(&value.place, "REPUTATION_FEED", &text);
        }
    }

    /// psad's lines, by the facility and under the name that it would have.
    fn syslog(&mut self) {
        self.line("");
        let keys = ["SYSLOG_IDENTITY", "SYSLOG_FACILITY", "SYSLOG_PRIORITY"];
        self.say(&keys, "");
        let mut text = "[alert.syslog]\nform = \"psad\"\n".to_owned();
        for (key, ours, missing) in [(keys[0], "name", "psad"), (keys[1], "facility", "LOG_LOCAL7"), (keys[2], "severity", "LOG_INFO")] {
            let value = self.conf.some(key).map_or_else(|| missing.to_owned(), |value| value.text.clone());
            let word = value.strip_prefix("LOG_").map_or_else(|| value.clone(), str::to_ascii_lowercase);
            let line = format!("{ours} = {}\n", toml(&word));
            // What is wrong with one of them takes nothing from the others.
            match Config::parse(&format!("[alert.syslog]\n{line}"), "") {
                Ok(_) => text += &line,
                Err(lines) => {
                    let place = self.conf.place(key).unwrap_or(&self.file).to_owned();
                    self.conf.wrong.extend(lines.into_iter().map(|line| format!("{place}: {key}: {}", line.message)));
                }
            }
        }
        self.section("ALERTING_METHODS", &text);
    }

    fn mail(&mut self, level: u64, limit: u64) {
        let Some(to) = self.conf.some("EMAIL_ADDRESSES").cloned() else { return };
        let addresses = to.text.split(',').map(str::trim).filter(|address| !address.is_empty()).map(toml);
        let mut text = format!("[alert.mail]\nto = {}\n", list(addresses));
        if let Some(header) = self.conf.some("EMAIL_APPEND_HEADER").cloned() {
            match header.text.trim_matches(['"', '\'', ' ']).strip_prefix("From:") {
                Some(from) => text += &format!("from = {}\n", toml(from.trim())),
                None => self.wrong(&header, "EMAIL_APPEND_HEADER", "of a mail's head only 'From:' can be chosen"),
            }
        }
        self.line("");
        let by = if self.conf.flag("ENABLE_DSHIELD_ALERTS", false) {
            text += "server = \"localhost\"\ntls = \"none\"\n";
            "by the mail server on this host, which DShield's mails need too; any other with TLS will do"
        } else {
            "by the host's own sendmail; 'server' takes a mail server with TLS instead"
        };
        self.say(&["EMAIL_ADDRESSES", "EMAIL_APPEND_HEADER"], by);
        self.say(&["EMAIL_ALERT_DANGER_LEVEL"], "");
        text += &format!("min_level = {level}\n");
        self.say(&LIMITS, "about one source in a day; 0 is without end in psad, here as many as by default. What is not told is counted");
        if limit > 0 {
            text += &format!("per_source = {limit}\n");
        }
        if !self.conf.flag("ENABLE_AUTO_IDS_EMAILS", true) {
            self.say(&["ENABLE_AUTO_IDS_EMAILS"], "what is told of a source says all the same what was decided");
            text += "tell = [\"level\", \"trouble\"]\n";
        }
        let keys = ["MAIL_ALERT_PREFIX", "MAIL_STATUS_PREFIX", "MAIL_ERROR_PREFIX"];
        self.say(&keys, "");
        for (key, ours) in keys.into_iter().zip(["prefix", "prefix_status", "prefix_error"]) {
            text += &self.conf.some(key).map_or_else(String::new, |value| format!("{ours} = {}\n", toml(&value.text)));
        }
        self.section("EMAIL_ADDRESSES", &text);
    }

    /// The program that psad runs with a mail.
    fn alert_script(&mut self, level: u64) {
        let key = "EXTERNAL_SCRIPT";
        if !self.conf.flag("ENABLE_EXT_SCRIPT_EXEC", false) {
            return;
        }
        let Some(value) = self.conf.some(key).cloned() else { return };
        self.line("");
        let once = !self.conf.flag("EXEC_EXT_SCRIPT_PER_ALERT", false);
        self.say(
            &["ENABLE_EXT_SCRIPT_EXEC", key],
            "psad runs it as root, by a shell; here it is [alert] user, never root, and there is no shell",
        );
        self.say(&["EXEC_EXT_SCRIPT_PER_ALERT"], if once { "with N once for each source; here once in 24 hours" } else { "" });
        let text = |argv: &[String]| {
            let argv = list(argv.iter().map(|word| placed(word)));
            let once = if once { "per_source = 1\n" } else { "" };
            format!(
                "[alert.command]\nargv = {argv}\nlimit = \"30s\"\ndigest = \"5s\"\ntell = [\"level\", \"block\"]\nmin_level = {level}\n{once}"
            )
        };
        match words(&value.text) {
            Ok(argv) => self.section(key, &text(&argv)),
            Err(why) => {
                self.text += &commented(&text(&["/usr/local/sbin/psad-script".to_owned()]));
                self.wrong(&value, key, &format!("{why}; then take the '#' out of the [alert.command] that is printed"));
            }
        }
    }

    /// A section, if riposte accepts it; else as comments, and what is wrong is told of this setting.
    pub(super) fn section(&mut self, key: &str, text: &str) {
        let place = self.conf.place(key).unwrap_or(&self.file).to_owned();
        self.section_at(&place, key, text);
    }

    /// Likewise for a setting that may stand there several times: for the one at this place.
    fn section_at(&mut self, place: &str, key: &str, text: &str) {
        match Config::parse(&format!("{}{text}", self.text), "") {
            Ok(_) => self.text += text,
            Err(lines) => {
                self.text += &commented(text);
                self.conf.wrong.extend(lines.into_iter().map(|line| format!("{place}: {key}: {}", line.message)));
            }
        }
    }
}
