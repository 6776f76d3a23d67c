//! The part of psad's configuration about who is blocked, how, and what is run beside it. Runs nothing.

use super::Plan;
use super::conf::Value;
use super::detection::list;
use crate::commands::portsentry::actions::{commented, words};
use crate::config::Config;
use crate::config::words::{PERIOD_MAX, Period, toml};
use policy::config::SpoofableConfig;
use std::time::Duration;

const TIMES: [&str; 5] =
    ["AUTO_BLOCK_DL1_TIMEOUT", "AUTO_BLOCK_DL2_TIMEOUT", "AUTO_BLOCK_DL3_TIMEOUT", "AUTO_BLOCK_DL4_TIMEOUT", "AUTO_BLOCK_DL5_TIMEOUT"];
/// What stands for the address.
const ADDRESS: &str = "SRCIP";

/// An argument of a program's, with a placeholder in the address' place.
pub(super) fn placed(word: &str) -> String {
    toml(&word.replace('{', "{{").replace('}', "}}").replace(ADDRESS, "{address}"))
}

impl Plan<'_> {
    pub(super) fn blocks(&mut self) {
        let iptables = self.conf.flag("IPTABLES_BLOCK_METHOD", true);
        let wrappers = self.conf.flag("TCPWRAPPERS_BLOCK_METHOD", false);
        self.policy(iptables || wrappers);
        self.respond(iptables, wrappers);
        self.disk();
        self.script();
    }

    fn policy(&mut self, has_method: bool) {
        let blocks = self.conf.flag("ENABLE_AUTO_IDS", false);
        self.line("\n[policy]");
        self.say(
            &["ENABLE_AUTO_IDS"],
            if blocks {
                "with Y psad blocks. riposte blocks for its other findings, too: who guesses passwords at services ([applications])"
            } else {
                "with N psad blocks nobody; false lets riposte block, as below"
            },
        );
        if blocks && !has_method {
            self.comment("Both of psad's ways to block are off: it blocks nobody either.");
        }
        self.line(format!("dry_run = {}", !(blocks && has_method)));
        let level = self.conf.number("AUTO_IDS_DANGER_LEVEL", 1..=5, 5);
        self.say(&["AUTO_IDS_DANGER_LEVEL"], "");
        self.line(format!("block_level = {level}"));
        let longest = self.times(level);
        self.ignored();
        self.forged(longest);
    }

    /// How long a block is, by level from this one on; the longest.
    fn times(&mut self, level: u64) -> Duration {
        let longest = PERIOD_MAX.as_secs();
        let usual = self.conf.number("AUTO_BLOCK_TIMEOUT", 0..=u64::MAX, 3_600);
        let given = TIMES.map(|key| match self.conf.number(key, 0..=u64::MAX, usual) {
            0 => longest,
            seconds => seconds.min(longest),
        });
        let (mut times, mut least, mut raised) = (Vec::new(), 0, false);
        for (seconds, of) in given.into_iter().zip(1..) {
            // The times of levels that nobody is blocked at make no other longer.
            let first = given.iter().zip(1..).find(|(_, of)| *of == level).map_or(seconds, |(first, _)| *first);
            let seconds = if of < level { seconds.min(first) } else { seconds };
            raised |= of >= level && seconds < least;
            least = seconds.max(least);
            times.push(Duration::from_secs(least));
        }
        let keys: Vec<&str> = ["AUTO_BLOCK_TIMEOUT"].into_iter().chain(TIMES).collect();
        self.say(&keys, "0 is for ever in psad, and 3650 days here: for good only an operator blocks (riposte block --for never)");
        if raised {
            self.comment("A higher level earns no less than a lower one here.");
        }
        self.line(format!("block_for = {}", list(times.iter().map(|time| toml(&Period(*time).to_string())))));
        self.line("escalation = 1");
        let longest = Duration::from_secs(least);
        self.line(format!("block_max = \"{}\"", Period(longest)));
        longest
    }

    /// What forgeable packets may do.
    fn forged(&mut self, longest: Duration) {
        self.line("\n[policy.spoofable]");
        let forged = SpoofableConfig::default().block_max.min(longest);
        self.comment(
            "Most of what is logged can be forged: a stranger's address on it would have psad block that stranger for as long as above. riposte\n\
             blocks longer than this only whom a whole connection proves; and it blocks nobody for a signature's match alone.",
        );
        self.line(format!("block_max = \"{}\"", Period(forged)));
        let proven = self.conf.flag("ENABLE_AUTO_IDS_REGEX", false);
        let regex = self.conf.some("AUTO_BLOCK_REGEX").cloned();
        if !proven {
            return;
        }
        self.say(&["ENABLE_AUTO_IDS_REGEX", "AUTO_BLOCK_REGEX"], "only who has an established connection is blocked");
        self.line("may_block = false");
        if let Some(regex) = regex.filter(|value| value.text != "ESTAB") {
            self.wrong(
                &regex,
                "AUTO_BLOCK_REGEX",
                "riposte does not ask for a prefix before it blocks: it blocks whom a whole connection proves",
            );
        }
    }

    fn respond(&mut self, iptables: bool, wrappers: bool) {
        self.line("\n[respond]");
        self.say(&["IPTABLES_BLOCK_METHOD", "TCPWRAPPERS_BLOCK_METHOD"], "");
        let mut kinds: Vec<&str> = Vec::new();
        kinds.extend((iptables || !wrappers).then_some("nftables"));
        kinds.extend(wrappers.then_some("hosts-deny"));
        self.line(format!("kind = {}", list(kinds.iter().map(|kind| toml(kind)))));
        self.chains();
        let Some(file) = self.conf.some("ETC_HOSTS_DENY_FILE").filter(|_| wrappers).cloned() else { return };
        self.line("[respond.hosts-deny]");
        let line = format!("file = {}", toml(&file.text));
        if let Err(why) = Config::parse(&format!("[respond.hosts-deny]\n{line}\n"), "") {
            let why = why.first().map(|line| line.message.clone()).unwrap_or_default();
            return self.wrong(&file, "ETC_HOSTS_DENY_FILE", &why);
        }
        self.say(&["ETC_HOSTS_DENY_FILE"], "");
        self.line(line);
    }

    /// `IPT_AUTO_CHAIN1 DROP, src, filter, INPUT, 1, PSAD_BLOCK_INPUT, 1;`: whatever is no plain drop of what a source sends is told.
    fn chains(&mut self) {
        let chains: Vec<(String, Value)> = self.conf.starting_with("IPT_AUTO_CHAIN").collect();
        for (key, value) in chains {
            let words: Vec<&str> = value.text.split(',').map(str::trim).collect();
            if !matches!(words.len(), 5..=7) {
                self.wrong(&value, &key, "five to seven words are wanted: DROP, src, filter, INPUT, 1, PSAD_BLOCK_INPUT, 1");
            } else if let Some(target) = words.first().filter(|target| **target != "DROP") {
                let why = format!("'{target}' instead of a drop is not done: riposte drops");
                self.wrong(&value, &key, &why);
            }
        }
    }

    /// How full the disk may be.
    fn disk(&mut self) {
        let most = self.conf.number("DISK_MAX_PERCENTAGE", 0..=100, 95);
        let keys = ["DISK_CHECK_INTERVAL", "DISK_MAX_PERCENTAGE", "DISK_MAX_RM_RETRIES"];
        self.line("\n[store]");
        self.say(&keys, "psad removes its data and then ends; here the history waits in memory, and blocking goes on");
        let least = if most == 0 { 0 } else { (100 - most).clamp(1, 50) };
        self.line(format!("min_free_percent = {least}"));
    }

    /// The program that psad runs for a block.
    fn script(&mut self) {
        if !self.conf.flag("ENABLE_EXT_BLOCK_SCRIPT_EXEC", false) {
            return;
        }
        let Some(value) = self.conf.some("EXTERNAL_BLOCK_SCRIPT").cloned() else { return };
        let (key, own) = ("EXTERNAL_BLOCK_SCRIPT", ["/usr/local/sbin/psad-script".to_owned(), ADDRESS.to_owned()]);
        self.line("");
        self.say(
            &["ENABLE_EXT_BLOCK_SCRIPT_EXEC", key],
            "psad runs it as root; write user = \"root\" if it must be, and only what nobody else can change",
        );
        let response = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| placed(word)).collect();
            let (program, args) = words.split_first().map_or((toml(""), &[][..]), |(program, args)| (program.clone(), args));
            format!(
                "[[response]]\nname = \"external-block-script\"\nprotocol = \"command\"\nprogram = {program}\nargs = [{}]\non = \"block\"\nlimit = \"30s\"\n",
                args.join(", ")
            )
        };
        let found = words(&value.text).and_then(|words| {
            let text = response(&words);
            match Config::parse(&text, "") {
                Ok(config) => (self.host.check)(&config.responses)
                    .map(|()| text)
                    .map_err(|lines| lines.first().and_then(|line| Some(line.split_once(": ")?.1.to_owned())).unwrap_or_default()),
                Err(lines) => Err(lines.first().map(|line| line.message.clone()).unwrap_or_default()),
            }
        });
        match found {
            Ok(text) => self.text += &text,
            Err(why) => {
                self.text += &commented(&response(&own));
                self.wrong(&value, key, &format!("{why}; then take the '#' out of the [[response]] that is printed"));
            }
        }
    }
}
