//! `riposte regex`: what a fail2ban filter makes of a log, as fail2ban-regex says it; and `riposte import fail2ban`. Changes nothing anywhere.

use super::{Failure, fail};
use crate::cli;
use crate::lives::now;
use jiff::tz::TimeZone;
use logrules::fail2ban::filter::{Became, Failure as Failed, Filter, Written};
use logrules::fail2ban::ini::{Files, Problem};
use logrules::fail2ban::suite::{self, Settings};
use logrules::fail2ban::{Fail2ban, Read, Single, date};
use model::time::Time;
use report::duration::Human;
use report::escape;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// A line's longest form on a terminal.
const SHOWN_MAX: usize = 1_024;
/// Lines of a kind that are shown unless all are asked for.
const LINES_MAX: usize = 20;
/// Where fail2ban's configuration lies.
pub const CONFIG_DIR: &str = "/etc/fail2ban";
/// fail2ban's own logs are of this zone and of before this moment: a date without a year is of 2005 if it lies before, else of 2004
/// (its FILTERS document: 14 August 2005, 10:00 UTC).
const SUITE_ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const SUITE_NOW: Time = Time::from_secs(1_124_013_600);

fn read_text(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn list_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
}

/// The files of this machine.
pub const FILES: Files<'static> = Files { read: &read_text, list: &list_folder };

fn lines_of(problems: &[Problem]) -> Failure {
    problems.iter().map(Problem::to_string).collect()
}

fn zone(text: Option<&str>) -> Result<TimeZone, Failure> {
    match text {
        None => Ok(TimeZone::system()),
        Some(text) => {
            date::fixed_zone(text).or_else(|| TimeZone::get(text).ok()).ok_or_else(|| fail(format!("no time zone is called `{text}`")))
        }
    }
}

/// What was meant by FILTER: a filter's name with options, a filter's file, or a regular expression.
fn written(text: &str, dir: &Path) -> Result<Written, Failure> {
    let name = text.split('[').next().unwrap_or_default();
    let plain = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "-_./".contains(letter));
    let bare = name.strip_suffix(".conf").unwrap_or(name);
    let known = || ["conf", "local"].iter().any(|ending| dir.join("filter.d").join(format!("{bare}.{ending}")).is_file());
    let at_path = Path::new(name).is_file();
    if !plain || !(at_path || known()) {
        return Ok(Written::of_regex(text));
    }
    // A file in this folder is meant as a file.
    let text = if at_path && !name.contains('/') { format!("./{text}") } else { text.to_owned() };
    Written::read(&text, &[("logtype", "file")], dir, FILES).map_err(|problem| lines_of(&[problem]))
}

/// Runs an annotated log against a filter (`sshd[mode=aggressive]`); for `riposte logtest --suite FILE.log --filter NAME`.
///
/// # Errors
/// If something can't be read, or a case does not agree.
pub fn suite(file: &Path, filter: &str, config_dir: Option<&Path>, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let dir = config_dir.unwrap_or(Path::new(CONFIG_DIR));
    let settings = Settings { zone: TimeZone::posix(SUITE_ZONE).map_err(|error| fail(error.to_string()))?, now: SUITE_NOW };
    let cases = suite::run(file, filter, dir, FILES, &settings).map_err(|problems| lines_of(&problems))?;
    if cases.is_empty() {
        return Err(fail(format!("{}: no case: lines with `# failJSON: {{…}}` before them", file.display())));
    }
    let agree = cases.iter().filter(|case| case.agree).count();
    for case in &cases {
        let written = if json {
            let one = json!({"type": "case", "file": case.file, "line": case.line, "filter": case.filter, "wanted": case.wanted, "got": case.got, "agree": case.agree});
            writeln!(out, "{one}")
        } else if case.agree {
            Ok(())
        } else {
            let shown = |value: &serde_json::Value| escape::text(&value.to_string(), SHOWN_MAX);
            writeln!(out, "{}:{}: {}\n  wanted {}\n  got    {}", case.file, case.line, case.filter, shown(&case.wanted), shown(&case.got))
        };
        written.map_err(|error| fail(error.to_string()))?;
    }
    let last = if json {
        json!({"type": "suite", "agree": agree, "total": cases.len()}).to_string()
    } else {
        format!("{agree} of {} agree", cases.len())
    };
    writeln!(out, "{last}").map_err(|error| fail(error.to_string()))?;
    if agree == cases.len() { Ok(()) } else { Err(fail(format!("{} of {} cases do not agree", cases.len() - agree, cases.len()))) }
}

/// What was counted over a log.
#[derive(Default)]
struct Tally {
    lines: u64,
    matched: Vec<String>,
    ignored: Vec<String>,
    missed: Vec<String>,
    counts: [u64; 3],
    failures: u64,
    regexes: Vec<u64>,
    templates: Vec<u64>,
}

/// Runs the command.
///
/// # Errors
/// If log or filter can't be read or understood.
pub fn run(args: &cli::Regex, out: &mut impl Write) -> Result<(), Failure> {
    let dir = args.config_dir.as_deref().unwrap_or(Path::new(CONFIG_DIR));
    if args.suite {
        return suite(Path::new(&args.log), &args.filter, Some(dir), args.json, out);
    }
    let mut written = written(&args.filter, dir)?;
    if let Some(ignore) = &args.ignoreregex {
        let text = self::written(ignore, dir)?;
        let key = if text.name == "regex" { "failregex" } else { "ignoreregex" };
        let ignore = text.options.get(key).cloned().unwrap_or_default();
        let all = written.options.entry("ignoreregex".to_owned()).or_default();
        *all = format!("{all}\n{ignore}");
    }
    let given = [("datepattern", &args.datepattern), ("maxlines", &args.maxlines), ("usedns", &args.usedns)];
    for (option, text) in given.into_iter().filter_map(|(option, text)| text.as_ref().map(|text| (option, text))) {
        written.options.insert(option.to_owned(), text.clone());
    }
    let filter = Filter::new(&written).map_err(|problems| lines_of(&problems))?;
    let mut single = Single::new(filter, zone(args.timezone.as_deref())?).map_err(fail)?;
    let mut tally = Tally {
        regexes: vec![0; single.filter().fail_texts().count()],
        templates: vec![0; single.filter().dates.templates().len()],
        ..Tally::default()
    };
    read_log(&args.log, &mut |line| {
        let read = single.line(line, now(), false);
        tally.add(line, &read, args);
        for failure in &read.failures {
            if let Some(form) = &args.out {
                writeln!(out, "{}", told(form, failure, read.at, line))?;
            } else if args.json {
                let fields: serde_json::Map<String, serde_json::Value> =
                    failure.fields.iter().map(|(name, text)| (name.to_string(), json!(text))).collect();
                let one = json!({"type": "failure", "line": tally.lines, "time": seconds(read.at), "id": failure.id, "address": failure.address, "regex": failure.regex + 1, "lines": failure.lines, "fields": fields});
                writeln!(out, "{one}")?;
            }
        }
        Ok(())
    })?;
    let told = match (&args.out, args.json) {
        (Some(_), _) => Ok(()),
        (None, true) => {
            let [matched, ignored, missed] = tally.counts;
            writeln!(
                out,
                "{}",
                json!({"type": "summary", "lines": tally.lines, "matched": matched, "ignored": ignored, "missed": missed, "failures": tally.failures,
                       "regexes": tally.regexes, "dates": tally.templates, "too_many_steps": single.too_many_steps()})
            )
        }
        (None, false) => tally.print(&single, args, out),
    };
    told.map_err(|error| fail(error.to_string()))
}

/// Gives each line of a file, of standard input (`-`), or the line itself.
fn read_log(log: &str, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
    let wrong = |error: io::Error| fail(format!("{log}: {error}"));
    let mut reader: Box<dyn BufRead> = match log {
        "-" => Box::new(io::stdin().lock()),
        path if Path::new(path).is_file() => Box::new(BufReader::new(File::open(path).map_err(wrong)?)),
        line => return each(line.as_bytes()).map_err(wrong),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(wrong)? == 0 {
            return Ok(());
        }
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
        line.truncate(end);
        each(&line).map_err(wrong)?;
    }
}

fn seconds(at: Time) -> f64 {
    at.as_nanos() as f64 / 1e9
}

/// One failure as `-o` wants it: `ip`, `id`, `msg`, `row`, a field's name, or text with `<tags>`.
fn told(form: &str, failure: &Failed, at: Time, line: &[u8]) -> String {
    let tag = |name: &str| -> String {
        match name {
            "ip" | "host" => failure.address.map_or_else(|| escape::text(&failure.id, SHOWN_MAX), |address| address.to_string()),
            "id" | "fid" => escape::text(&failure.id, SHOWN_MAX),
            "msg" | "matches" => escape::bytes(line, SHOWN_MAX),
            "time" => seconds(at).to_string(),
            "failures" => failure.lines.to_string(),
            name => {
                let name = name.strip_prefix("F-").unwrap_or(name).to_lowercase();
                escape::text(failure.fields.get(name.as_str()).map_or("", String::as_str), SHOWN_MAX)
            }
        }
    };
    if form == "row" {
        let fields: Vec<String> = failure.fields.iter().map(|(name, text)| format!("{name}={}", escape::text(text, SHOWN_MAX))).collect();
        return format!("{}\t{}\t{}\t{}", tag("id"), tag("time"), fields.join(" "), tag("msg"));
    }
    if !form.contains('<') {
        return tag(form);
    }
    let (mut told, mut rest) = (String::new(), form);
    while let Some((before, after)) = rest.split_once('<') {
        told.push_str(before);
        match after.split_once('>') {
            Some((name, behind)) => {
                told.push_str(&tag(name));
                rest = behind;
            }
            None => {
                told.push('<');
                rest = after;
            }
        }
    }
    told + rest
}

impl Tally {
    fn add(&mut self, line: &[u8], read: &Read, args: &cli::Regex) {
        self.lines += 1;
        self.failures += read.failures.len() as u64;
        let (place, list, all) = match read.became {
            Became::Matched(regex) => {
                if let Some(hits) = self.regexes.get_mut(regex) {
                    *hits += 1;
                }
                (0, &mut self.matched, args.print_all_matched)
            }
            Became::Ignored => (1, &mut self.ignored, args.print_all_ignored),
            Became::Missed => (2, &mut self.missed, args.print_all_missed),
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        if let Some(hits) = read.template.and_then(|template| self.templates.get_mut(template)) {
            *hits += 1;
        }
        let printed = !args.json && args.out.is_none();
        if printed && (all || list.len() <= LINES_MAX) {
            list.push(escape::bytes(line, SHOWN_MAX));
        }
    }

    fn print(&self, single: &Single, args: &cli::Regex, out: &mut impl Write) -> io::Result<()> {
        let texts: Vec<&str> = single.filter().fail_texts().collect();
        writeln!(out, "Failregex hits:")?;
        for (number, (hits, text)) in
            self.regexes.iter().zip(&texts).enumerate().filter(|(_, (hits, _))| **hits > 0 || args.verbose || texts.len() == 1)
        {
            writeln!(out, "{hits:>8}  {:>3}) {text}", number + 1)?;
        }
        writeln!(out, "Date hits:")?;
        for (hits, template) in self.templates.iter().zip(single.filter().dates.templates()).filter(|(hits, _)| **hits > 0 || args.verbose)
        {
            writeln!(out, "{hits:>8}  {}", template.name)?;
        }
        let [matched, ignored, missed] = self.counts;
        writeln!(out, "Lines: {} read, {matched} matched ({} failures), {ignored} ignored, {missed} missed", self.lines, self.failures)?;
        if single.too_many_steps() > 0 {
            writeln!(out, "{} times a pattern took too many steps and was taken for no match", single.too_many_steps())?;
        }
        for (name, lines, count, all, wanted) in [
            ("Matched", &self.matched, matched, args.print_all_matched, args.print_all_matched),
            ("Ignored", &self.ignored, ignored, args.print_all_ignored, true),
            ("Missed", &self.missed, missed, args.print_all_missed, true),
        ] {
            if !wanted || count == 0 {
                continue;
            }
            if !all && count > LINES_MAX as u64 {
                writeln!(out, "{name}: {count} lines; --print-all-{} prints them", name.to_lowercase())?;
                continue;
            }
            writeln!(out, "{name}:")?;
            lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        Ok(())
    }
}

/// Says what riposte makes of a fail2ban's configuration, jail by jail.
///
/// # Errors
/// If it can't be read or understood.
pub fn import(args: &cli::ImportFail2ban, out: &mut impl Write) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new(CONFIG_DIR));
    let (loaded, notices) = Fail2ban::load(dir, FILES, &TimeZone::system()).map_err(|problems| lines_of(&problems))?;
    import_text(dir, &loaded, &notices, out).map_err(|error| fail(error.to_string()))?;
    let Some(database) = &args.database else { return Ok(()) };
    let (bans, odd) = store::fail2ban::standing(database, now()).map_err(|error| fail(format!("{}: {error}", database.display())))?;
    import_bans(&bans, odd, out).map_err(|error| fail(error.to_string()))
}

/// The blocks that stand, as commands. A jail's name comes from a file, so only its plain letters are told.
fn import_bans(bans: &[store::fail2ban::Ban], odd: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n# {} blocks stand; {odd} more entries are of no address and stay behind.", bans.len())?;
    for ban in bans {
        let jail: String = ban.jail.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')).collect();
        let length = ban.left.map_or_else(|| "--for never".to_owned(), |left| format!("--for {}s", left.as_secs()));
        writeln!(out, "riposte block {} {length} --note 'fail2ban jail {jail}, block {}'", ban.whom, ban.count)?;
    }
    Ok(())
}

fn import_text(dir: &Path, loaded: &Fail2ban, notices: &[logrules::fail2ban::jail::Notice], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# {}: {} jails are enabled.", dir.display(), loaded.jails().len())?;
    for jail in loaded.jails() {
        writeln!(out, "\n# jail {} (filter {})", jail.name, jail.filter_text)?;
        let logs = if jail.journal { "the journal".to_owned() } else { jail.logpaths.join(", ") };
        writeln!(out, "#   reads        {logs}")?;
        if jail.journal {
            for terms in jail.journal_terms() {
                let terms: Vec<String> =
                    terms.iter().flat_map(|(field, values)| values.iter().map(move |value| format!("{field}={value}"))).collect();
                writeln!(out, "#                {}", terms.join(" "))?;
            }
        }
        let span = Human(jail.duration.as_secs());
        writeln!(out, "#   blocks       after {} failures in {}, for {span}", jail.retries, Human(jail.window.as_secs()))?;
        if let Some(increment) = &jail.increment {
            let how = if increment.multipliers.is_empty() {
                "twice as long each time".to_owned()
            } else {
                format!("times {:?}", increment.multipliers)
            };
            let longest = increment.longest.map(|longest| format!(", at most {}", Human(longest.as_secs()))).unwrap_or_default();
            writeln!(out, "#   grows        {how}, times {}{longest}", increment.factor)?;
        }
        for action in &jail.actions {
            let what = if action.blocks { "riposte's own block of all ports" } else { "not done" };
            writeln!(out, "#   action       {} → {what}", action.name)?;
        }
        for prefix in &jail.ignored {
            writeln!(out, "#   lets off     {prefix}")?;
        }
    }
    if !notices.is_empty() {
        writeln!(out, "\n# Not done as it was written:")?;
        notices.iter().try_for_each(|notice| writeln!(out, "#   {}: {}", notice.about, notice.message))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const FILTER: &str = "[Definition]\nfailregex = ^ s: bad <F-USER>.*</F-USER> from <HOST>$\nignoreregex = from 192\\.0\\.2\\.9$\n";
    const JAIL: &str = "[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s*\nmaxretry = 3\naction = nftables-allports\n  mail[dest=x]\n";

    /// Runs a command line with a small configuration; what it prints.
    fn told(args: &[&str], log: &[u8]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("filter.d")).unwrap();
        for (name, text) in [("filter.d/s.conf", FILTER), ("jail.conf", JAIL)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("log"), log).unwrap();
        let at = |arg: &str| arg.replace("DIR", &folder.path().display().to_string());
        let cli = cli::Cli::parse_from(["riposte".to_owned()].into_iter().chain(args.iter().map(|arg| at(arg))));
        let mut out = Vec::new();
        match cli.command {
            cli::Command::Regex(args) => run(&args, &mut out)?,
            cli::Command::Import(cli::Import::Fail2ban(args)) => import(&args, &mut out)?,
            other => panic!("{other:?}"),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    const LOG: &[u8] =
        b"Jan 16 21:05:29 s: bad an\x1b[2Jna from 192.0.2.1\nJan 16 21:05:29 s: bad x from 192.0.2.9\nJan 16 21:05:29 s: g\x1bood\n";

    #[test]
    fn a_log_is_told_as_fail2ban_regex_tells_it() {
        let text = told(&["regex", "DIR/log", "s", "-c", "DIR", "--print-all-matched"], LOG).unwrap();
        assert!(text.contains("Lines: 3 read, 1 matched (1 failures), 1 ignored, 1 missed"), "{text}");
        assert!(text.contains("1    1) ^ s: bad") && text.contains("       3  {^LN-BEG}(?:%a )?%b %d"), "{text}");
        assert!(!text.contains('\x1b'), "nothing from a log reaches the terminal as it is");
        assert_eq!(
            told(&["regex", "DIR/log", "s", "-c", "DIR", "-o", "<ip>/<F-USER>"], b"Jan 16 21:05:29 s: bad x from 192.0.2.1\n").unwrap(),
            "192.0.2.1/x\n"
        );
        assert_eq!(told(&["regex", "bad 192.0.2.1", "^bad <HOST>", "-c", "DIR", "-o", "ip"], b"").unwrap(), "192.0.2.1\n");
        let json = told(&["regex", "DIR/log", "s", "-c", "DIR", "--json"], LOG).unwrap();
        let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
        assert_eq!((&last["lines"], &last["matched"], &last["ignored"], &last["missed"]), (&json!(3), &json!(1), &json!(1), &json!(1)));
        assert!(
            told(&["regex", "x", "gone", "-c", "DIR"], b"").unwrap_err()[0].contains("<HOST>"),
            "neither a filter nor a regular expression"
        );
    }

    #[test]
    fn a_suite_tells_how_much_agrees() {
        let log = b"# failJSON: {\"time\": \"2005-01-16T21:05:29\", \"match\": true, \"host\": \"192.0.2.1\"}\nJan 16 21:05:29 s: bad x from 192.0.2.1\n";
        let text = told(&["regex", "DIR/log", "s", "-c", "DIR", "--suite", "--json"], log).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("{\"agree\":1,\"total\":1,\"type\":\"suite\"}\n"), "{text}");
        let wrong = String::from_utf8(log.to_vec()).unwrap().replace("2005-01", "2004-01");
        assert_eq!(told(&["regex", "DIR/log", "s", "-c", "DIR", "--suite"], wrong.as_bytes()).unwrap_err(), ["1 of 1 cases do not agree"]);
    }

    #[test]
    fn an_import_says_what_becomes_of_each_jail() {
        let text = told(&["import", "fail2ban", "DIR"], b"").unwrap();
        for wanted in [
            "jail s (filter s)",
            "reads        /var/log/s*",
            "after 3 failures in 10m",
            "nftables-allports → riposte's own block",
            "mail → not done",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }
}
