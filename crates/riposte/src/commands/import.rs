//! `riposte import fail2ban`: its jails as a configuration of riposte's, and the blocks that stand in its database as commands. Changes nothing anywhere.

use super::regex::{CONFIG_DIR, FILES};
use super::{Failure, fail};
use crate::cli;
use crate::config::words::{PERIOD_MAX, Period, is_host_name, toml};
use crate::lives::applications::engine::told;
use crate::lives::now;
use jiff::tz::TimeZone;
use logrules::fail2ban::Fail2ban;
use logrules::fail2ban::jail::{FOR_EVER, Jail, Notice};
use model::net::Prefix;
use policy::config::PolicyConfig;
use report::duration::Human;
use report::escape;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Characters of a text from a file that are shown.
const SHOWN: usize = 1_024;

/// Prints the configuration; with a database the commands instead, so that either can be handed on as it is.
///
/// # Errors
/// If something can't be read or understood.
pub fn run(args: &cli::ImportFail2ban, out: &mut impl Write) -> Result<(), Failure> {
    let failed = |error: io::Error| fail(error.to_string());
    if let Some(database) = &args.database {
        let wrong = |error: &dyn std::fmt::Display| told(&[format!("{}: {error}", database.display())]);
        std::fs::File::open(database).map_err(|error| wrong(&error))?;
        let (bans, odd) = store::fail2ban::standing(database, now()).map_err(|error| wrong(&error))?;
        return blocks(&bans, odd, out).map_err(failed);
    }
    let dir = args.dir.as_deref().unwrap_or(Path::new(CONFIG_DIR));
    let (loaded, notices) = Fail2ban::load(dir, FILES, &TimeZone::system()).map_err(|problems| told(&problems))?;
    let dir = dir.canonicalize().map_err(failed)?;
    configuration(&dir, loaded.jails(), &notices, out).map_err(failed)
}

/// The blocks that stand, as commands. A jail's name comes from a file, so only its plain letters are told.
fn blocks(bans: &[store::fail2ban::Ban], odd: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# {} blocks stand; {odd} more entries are of no address and stay behind.", bans.len())?;
    for ban in bans {
        let jail: String = ban.jail.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')).collect();
        let length = ban.left.map_or_else(|| "--for never".to_owned(), |left| format!("--for {}s", left.as_secs()));
        writeln!(out, "riposte block {} {length} --note 'fail2ban jail {jail}, block {}'", ban.whom, ban.count)?;
    }
    Ok(())
}

/// Jails as a configuration; what stands in comments is from files, too, and escaped.
fn configuration(dir: &Path, jails: &[Jail], notices: &[Notice], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "# What {} becomes: put this into /etc/riposte/riposte.toml, and see what `riposte check` says.",
        escape::text(&dir.display().to_string(), SHOWN)
    )?;
    writeln!(
        out,
        "# The jails are at work as they are, from their own files; {} are enabled. Each is told here, with what is not done as it says.",
        jails.len()
    )?;
    for jail in jails {
        let not_done = notices.iter().filter(|notice| *notice.about == *jail.name).map(|notice| format!("  {}", notice.message));
        writeln!(out)?;
        about(jail).into_iter().chain(not_done).try_for_each(|line| writeln!(out, "# {}", escape::text(&line, SHOWN)))?;
    }
    writeln!(
        out,
        "\n[applications]\n# Their logpaths are followed beside the usual logs, and the journal is read if one of them reads it."
    )?;
    writeln!(out, "rules = [{}]", toml(&dir.display().to_string()))?;
    policy(jails, out)
}

/// What one jail does, line by line.
fn about(jail: &Jail) -> Vec<String> {
    let span = |span: Duration| if span == FOR_EVER { "ever".to_owned() } else { Human(span.as_secs()).to_string() };
    let logs = match (jail.journal, jail.logpaths.is_empty()) {
        (true, _) => "the journal".to_owned(),
        (false, true) => "nothing".to_owned(),
        (false, false) => jail.logpaths.join(", "),
    };
    let mut lines = vec![format!("jail {} (filter {}): reads {logs}", jail.name, jail.filter_text)];
    for terms in jail.journal_terms().iter().filter(|_| jail.journal) {
        let terms: Vec<String> =
            terms.iter().flat_map(|(field, values)| values.iter().map(move |value| format!("{field}={value}"))).collect();
        lines.push(format!("  entries with {}", terms.join(" ")));
    }
    lines.push(format!("  blocks after {} failures in {}, for {}", jail.retries, span(jail.window), span(jail.duration)));
    for action in &jail.actions {
        let what = if action.blocks && !jail.only_counts { "riposte's own block, of all ports" } else { "not done" };
        lines.push(format!("  action {}: {what}", action.name));
    }
    if !jail.ignored.is_empty() {
        let all: Vec<String> = jail.ignored.iter().map(Prefix::to_string).collect();
        lines.push(format!("  lets off {}", all.join(", ")));
    }
    lines
}

/// What holds for all jails alike.
fn policy(jails: &[Jail], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n[policy]")?;
    let mut exempt = BTreeSet::new();
    writeln!(
        out,
        "# Whom the jails' ignoreip lets off, nothing blocks. (The host's own addresses are exempt in any case, as by ignoreself.)"
    )?;
    for jail in jails {
        for prefix in &jail.ignored {
            match prefix.bits() {
                0 => writeln!(
                    out,
                    "# ignoreip {prefix} of jail {} would exempt everybody: left out; the jail itself blocks nobody",
                    escape::text(&jail.name, SHOWN)
                )?,
                _ => drop(exempt.insert(prefix.to_string())),
            }
        }
        for name in &jail.ignored_names {
            match is_host_name(name) {
                true => drop(exempt.insert(name.clone())),
                false => writeln!(out, "# ignoreip {} is neither an address nor a name: left out", escape::text(name, SHOWN))?,
            }
        }
    }
    let exempt: Vec<String> = exempt.iter().map(|entry| toml(entry)).collect();
    writeln!(out, "exempt = [{}]", exempt.join(", "))?;
    let growing: Vec<_> = jails.iter().filter_map(|jail| jail.increment.as_ref()).collect();
    match growing.first() {
        Some(first) => {
            // The step from the first block to the second stands for all of them.
            let times = match first.multipliers.as_slice() {
                [one, two, ..] if *one > 0.0 => (two / one).round().clamp(1.0, 100.0) as u32,
                _ => 2,
            };
            writeln!(
                out,
                "# bantime.increment: each block of the same address is so many times as long as the one before, for all jails alike."
            )?;
            writeln!(out, "escalation = {times}")?;
        }
        None => writeln!(
            out,
            "# No jail has bantime.increment: each block is as long as the one before. Without this line it is twice as long.\nescalation = 1"
        )?,
    }
    let usual = PolicyConfig::default();
    let longest = jails.iter().map(|jail| jail.increment.as_ref().and_then(|increment| increment.longest).unwrap_or(jail.duration)).max();
    // What grows without an end of its own may grow as far as it does here.
    let bound =
        if !growing.is_empty() && growing.iter().all(|increment| increment.longest.is_some()) { Duration::ZERO } else { usual.block_max };
    let least = usual.block_for.into_iter().max().unwrap_or_default().max(bound);
    let longest = longest.unwrap_or_default().clamp(least, PERIOD_MAX);
    if longest != usual.block_max {
        writeln!(out, "# The longest block; what is to be for ever is so long.\nblock_max = \"{}\"", Period(longest))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::fs;

    const FILTER: &str = "[Definition]\nfailregex = ^ s: bad <F-USER>.*</F-USER> from <HOST>$\n";

    fn imported(jail: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("filter.d")).unwrap();
        fs::write(folder.path().join("filter.d/s.conf"), FILTER).unwrap();
        fs::write(folder.path().join("jail.conf"), jail).unwrap();
        let mut out = Vec::new();
        run(&cli::ImportFail2ban { dir: Some(folder.path().to_owned()), database: None }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let config = Config::parse(&text, "imported").unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
        assert_eq!(config.applications.rules, [folder.path().canonicalize().unwrap()]);
        text
    }

    #[test]
    fn jails_become_a_configuration() {
        let text = imported(
            "[DEFAULT]\nignoreip = 127.0.0.1/8 192.0.2.0/24 admin.example.org 0.0.0.0/0 x_y 198.51.100.0/255.255.255.0\n[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s*\nmaxretry = 3\n\
             action = nftables-allports\n  mail[dest=x]\nignorecommand = /bin/true\nbantime = -1\n",
        );
        for wanted in [
            "# jail s (filter s): reads /var/log/s*\n",
            "#   blocks after 3 failures in 10m",
            "#   action nftables-allports: not done",
            "#   action mail: not done",
            "#   ignorecommand `/bin/true` is not honoured",
            "exempt = [\"127.0.0.0/8\", \"192.0.2.0/24\", \"198.51.100.0/24\", \"admin.example.org\"]",
            "0.0.0.0/0 of jail s would exempt everybody",
            "ignoreip x_y is neither",
            "escalation = 1\n",
            "block_max = \"3650d\"\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }

    #[test]
    fn times_that_grow_are_the_policy_s() {
        let jail = "[s]\nenabled = true\nfilter = s\nlogpath = /x\nbantime.increment = true\n";
        assert!(imported(jail).contains("escalation = 2\n"));
        assert!(imported(&format!("{jail}bantime.maxtime = 1w\n")).contains("block_max = \"7d\"\n"));
        assert!(imported(&format!("{jail}bantime.maxtime = 1h\n")).contains("block_max = \"1d\"\n"), "the policy's own blocks are as long");
        let text = imported(&format!("{jail}bantime.multipliers = 1 5 30\nbantime.maxtime = 60d\n"));
        assert!(text.contains("escalation = 5\n") && text.contains("block_max = \"60d\"\n"), "{text}");
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let text = imported("[s\x1b[2J]\nenabled = true\nfilter = s\nlogpath = /var/\x1b]0;x\x07\naction = a\x1bm\nignoreip = \x1b[3m\n");
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
    }
}
