//! The part of psad's configuration about whom it tells. Sends nothing.

use super::Plan;
use super::blocks::ADDRESS;
use super::detection::list;
use crate::commands::portsentry::actions::{commented, words};
use crate::config::Config;
use crate::config::words::toml;

/// Seconds for which a lookup may last; psad's 60 would keep a letter waiting.
const LOOKUP_SECONDS: u64 = 15;
/// Letters a day that riposte sends if nobody says otherwise.
const PER_DAY: u64 = 100;

impl Plan<'_> {
    pub(super) fn alerts(&mut self) {
        let methods = self.conf.some("ALERTING_METHODS").map_or_else(String::new, |value| value.text.to_ascii_lowercase());
        let (by_mail, by_syslog) = (!methods.contains("noemail"), !methods.contains("nosyslog"));
        let level = self.conf.number("EMAIL_ALERT_DANGER_LEVEL", 1..=5, 1).max(self.conf.number("MIN_DANGER_LEVEL", 1..=5, 1));
        let every = self.conf.flag("ALERT_ALL", true);
        let keys = ["EMAIL_LIMIT", "PSAD_EMAIL_LIMIT"];
        let limit = keys.map(|key| self.conf.number(key, 0..=10_000, 0)).into_iter().max().unwrap_or_default();
        self.line("\n[alert]");
        self.say(&["EMAIL_ALERT_DANGER_LEVEL", "MIN_DANGER_LEVEL"], "");
        self.line(format!("min_level = {level}"));
        self.say(&["ALERT_ALL"], "");
        self.line(format!("every = {every}"));
        self.say(&keys, "about one source; 0 is without end in psad, here as many as by default. What is not told is counted");
        if limit > 0 {
            self.line(format!("per_source = {limit}\nper_day = {}", limit.max(PER_DAY)));
        }
        self.say(&["ALERTING_METHODS"], "which of the sections below there are");
        if by_mail {
            self.mail();
        }
        if by_syslog {
            self.section("ALERTING_METHODS", "\n[alert.syslog]\nform = \"psad\"\n");
        }
        self.alert_script();
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
        for (key, ours) in [("DSHIELD_ALERT_EMAIL", "to"), ("DSHIELD_USER_EMAIL", "from")] {
            if let Some(value) = self.conf.some(key) {
                text += &format!("{ours} = {}\n", toml(&value.text));
            }
        }
        if level > 0 {
            text += &format!("min_level = {level}\n");
        }
        let keys = ["ENABLE_DSHIELD_ALERTS", "DSHIELD_USER_ID", "DSHIELD_USER_EMAIL", "DSHIELD_ALERT_EMAIL", "DSHIELD_ALERT_INTERVAL"];
        self.line("");
        self.say(&keys, "");
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

    fn mail(&mut self) {
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
        self.section("EMAIL_ADDRESSES", &text);
    }

    /// The program that psad runs with a mail.
    fn alert_script(&mut self) {
        let key = "EXTERNAL_SCRIPT";
        if !self.conf.flag("ENABLE_EXT_SCRIPT_EXEC", false) {
            return;
        }
        let Some(value) = self.conf.some(key).cloned() else { return };
        self.line("");
        self.say(
            &["ENABLE_EXT_SCRIPT_EXEC", key, "EXEC_EXT_SCRIPT_PER_ALERT"],
            "psad runs it as root; here it is [alert] user, never root",
        );
        let argv = words(&value.text).and_then(|words| match words.iter().any(|word| word.contains(ADDRESS)) {
            true => Err(format!("{ADDRESS} is not filled in: the address is in the environment, as RIPOSTE_ADDRESS")),
            false => Ok(words),
        });
        let text = |argv: &[String]| format!("[alert.command]\nargv = {}\nlimit = \"30s\"\n", list(argv.iter().map(|word| toml(word))));
        match argv {
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
