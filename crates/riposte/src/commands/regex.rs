//! `riposte regex`: what a fail2ban filter makes of a log, as fail2ban-regex says it. Changes nothing anywhere.

use super::logtest::suite::close;
use super::{Failure, fail};
use crate::cli;
use crate::config::words::did_you_mean;
use crate::lives::applications::engine::told;
use crate::lives::now;
use jiff::tz::TimeZone;
use logrules::fail2ban::filter::{Became, Failure as Failed, Filter, Written};
use logrules::fail2ban::ini::Files;
use logrules::fail2ban::suite::{self, Settings};
use logrules::fail2ban::{Fail2ban, Single, date};
use model::time::Time;
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

fn zone(text: Option<&str>) -> Result<TimeZone, Failure> {
    match text {
        None => Ok(TimeZone::system()),
        Some(text) => {
            date::fixed_zone(text).or_else(|| TimeZone::get(text).ok()).ok_or_else(|| fail(format!("no time zone is called `{text}`")))
        }
    }
}

/// What was meant by FILTER: a filter's name with options, a filter's file, or a regular expression.
enum Meant {
    /// As `Written::read` takes it.
    Filter(String),
    Regex,
}

fn meant(text: &str, dir: &Path) -> Result<Meant, Failure> {
    let name = text.split('[').next().unwrap_or_default();
    let plain = |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || "-_./".contains(letter));
    let bare = name.strip_suffix(".conf").unwrap_or(name);
    let filters = dir.join("filter.d");
    if ["conf", "local"].iter().any(|ending| filters.join(format!("{bare}.{ending}")).is_file()) {
        return Ok(Meant::Filter(text.to_owned()));
    }
    if Path::new(name).is_file() {
        // A file in this folder is meant as a file.
        return Ok(Meant::Filter(if name.contains('/') { text.to_owned() } else { format!("./{text}") }));
    }
    // A regular expression catches somebody: `<HOST>` is no part of a name.
    if plain(name) && (text == name || text.ends_with(']')) {
        let known: Vec<String> =
            list_folder(&filters).unwrap_or_default().iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        let near = did_you_mean(bare, known.iter().map(String::as_str));
        let what = format!("`{text}` is neither a filter in {}, nor a file, nor a regular expression with <HOST>{near}", filters.display());
        return Err(told(&[what]));
    }
    Ok(Meant::Regex)
}

fn written(text: &str, dir: &Path) -> Result<Written, Failure> {
    match meant(text, dir)? {
        Meant::Filter(text) => Written::read(&text, &[("logtype", "file")], dir, FILES).map_err(|problem| told(&[problem])),
        Meant::Regex => Ok(Written::of_regex(text)),
    }
}

/// A filter as a jail that looks at every line and wants each failure blocked.
///
/// # Errors
/// If there is no such filter, or it can't be understood.
pub fn jail_of(filter: &str, config_dir: Option<&Path>) -> Result<Fail2ban, Failure> {
    let dir = config_dir.unwrap_or(Path::new(CONFIG_DIR));
    match meant(filter, dir)? {
        Meant::Filter(text) => Fail2ban::of_filter(&text, dir, FILES, &TimeZone::system()).map_err(|problems| told(&problems)),
        Meant::Regex => Err(told(&[format!("`{filter}` is no filter's name")])),
    }
}

/// Runs an annotated log against a filter (`sshd[mode=aggressive]`); for `riposte logtest --suite FILE.log --filter NAME`.
///
/// # Errors
/// If something can't be read, or a case does not agree.
pub fn suite(file: &Path, filter: &str, config_dir: Option<&Path>, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let dir = config_dir.unwrap_or(Path::new(CONFIG_DIR));
    let settings = Settings { zone: TimeZone::posix(SUITE_ZONE).map_err(|error| fail(error.to_string()))?, now: SUITE_NOW };
    let Meant::Filter(filter) = meant(filter, dir)? else { return Err(told(&[format!("`{filter}` is no filter's name")])) };
    let cases = suite::run(file, &filter, dir, FILES, &settings).map_err(|problems| told(&problems))?;
    let name = file.display().to_string();
    if cases.is_empty() {
        return Err(fail(format!("{name}: no case: lines with `# failJSON: {{…}}` before them")));
    }
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
    close(&name, cases.iter().filter(|case| case.agree).count(), cases.len(), json, out)
}

/// One pattern's hits, and whom it caught when, if that is to be told.
#[derive(Default, Clone)]
struct Hits {
    count: u64,
    caught: Vec<String>,
}

/// Lines of one kind, the first of them as they are shown.
#[derive(Default)]
struct Lines {
    count: u64,
    shown: Vec<String>,
}

impl Lines {
    fn add(&mut self, line: &[u8], wanted: bool) {
        self.count += 1;
        if wanted {
            self.shown.push(escape::bytes(line, SHOWN_MAX));
        }
    }
}

/// What was counted over a log.
struct Tally {
    /// Its number, lines that are passed over included.
    number: u64,
    matched: Lines,
    ignored: Lines,
    missed: Lines,
    failures: u64,
    regexes: Vec<Hits>,
    ignores: Vec<Hits>,
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
    told(&written.notices).iter().for_each(|notice| eprintln!("riposte: {notice}"));
    if let Some(ignore) = &args.ignoreregex {
        let (key, text) = match meant(ignore, dir) {
            Ok(Meant::Filter(_)) => ("ignoreregex", self::written(ignore, dir)?),
            Ok(Meant::Regex) | Err(_) => ("failregex", Written::of_regex(ignore)),
        };
        let ignore = text.options.get(key).cloned().unwrap_or_default();
        let all = written.options.entry("ignoreregex".to_owned()).or_default();
        *all = format!("{all}\n{ignore}");
    }
    if let Some(pattern) = &args.datepattern {
        date::Dates::new(pattern).map_err(|error| told(&[format!("--datepattern: {error}")]))?;
    }
    let maxlines = args.maxlines.map(|lines| lines.to_string());
    let given = [("datepattern", args.datepattern.clone()), ("maxlines", maxlines), ("usedns", args.usedns.clone())];
    written.options.extend(given.into_iter().filter_map(|(option, text)| text.map(|text| (option.to_owned(), text))));
    let filter = Filter::new(&written).map_err(|problems| told(&problems))?;
    let mut single = Single::new(filter, zone(args.timezone.as_deref())?).map_err(fail)?;
    if args.out.is_none() {
        single.try_all();
    }
    let mut tally = Tally::new(single.filter());
    read_log(&args.log, &mut |line| {
        tally.number += 1;
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let read = single.line(line, now(), false);
        if let Some(hits) = read.template.and_then(|template| tally.templates.get_mut(template)) {
            *hits += 1;
        }
        tally.add(line, &single, &read, args);
        for failure in &read.failures {
            if let Some(form) = &args.out {
                writeln!(out, "{}", formed(form, failure, read.at, line))?;
            } else if args.json {
                let fields: serde_json::Map<String, serde_json::Value> =
                    failure.fields.iter().map(|(name, text)| (name.to_string(), json!(text))).collect();
                let one = json!({"type": "failure", "line": tally.number, "time": seconds(read.at), "id": failure.id, "address": failure.address, "regex": failure.regex + 1, "lines": failure.lines, "fields": fields});
                writeln!(out, "{one}")?;
            }
        }
        Ok(())
    })?;
    let told = match (&args.out, args.json) {
        (Some(_), _) => Ok(()),
        (None, true) => {
            let hits: Vec<u64> = tally.regexes.iter().map(|hits| hits.count).collect();
            writeln!(
                out,
                "{}",
                json!({"type": "summary", "lines": tally.lines(), "matched": tally.matched.count, "ignored": tally.ignored.count, "missed": tally.missed.count, "failures": tally.failures,
                       "regexes": hits, "dates": tally.templates, "too_many_steps": single.too_many_steps()})
            )
        }
        (None, false) => tally.print(&single, args, out),
    };
    told.map_err(|error| fail(error.to_string()))
}

/// Gives each line of a file, of standard input (`-`), or of the text itself.
fn read_log(log: &str, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
    let wrong = |error: io::Error| fail(format!("{}: {error}", escape::text(log, SHOWN_MAX)));
    let mut reader: Box<dyn BufRead> = match log {
        "-" => Box::new(io::stdin().lock()),
        path if Path::new(path).is_file() => Box::new(BufReader::new(File::open(path).map_err(wrong)?)),
        lines => return lines.split('\n').try_for_each(|line| each(line.as_bytes())).map_err(wrong),
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
fn formed(form: &str, failure: &Failed, at: Time, line: &[u8]) -> String {
    let caught = |text: &Option<String>| escape::text(text.as_deref().unwrap_or("None"), SHOWN_MAX);
    let of_family = |six: bool| failure.caught.ip.clone().filter(|ip| ip.contains(':') == six);
    let tag = |name: &str| -> String {
        match name {
            "ip" | "host" => failure.address.map_or_else(|| escape::text(&failure.id, SHOWN_MAX), |address| address.to_string()),
            "id" | "fid" => escape::text(&failure.id, SHOWN_MAX),
            "ip4" => caught(&of_family(false)),
            "ip6" => caught(&of_family(true)),
            "dns" => caught(&failure.caught.dns),
            "msg" | "matches" => escape::bytes(line, SHOWN_MAX),
            "time" => format!("{:?}", seconds(at)),
            "failures" => failure.lines.to_string(),
            name => {
                let name = name.strip_prefix("F-").unwrap_or(name).to_lowercase();
                escape::text(failure.fields.get(name.as_str()).map_or("None", String::as_str), SHOWN_MAX)
            }
        }
    };
    if form == "row" {
        let own = ["ip4", "ip6", "dns"].map(|name| (name.to_owned(), tag(name)));
        let fields = failure.fields.iter().map(|(name, text)| (name.to_string(), escape::text(text, SHOWN_MAX)));
        let fields: Vec<String> =
            own.into_iter().filter(|(_, text)| text != "None").chain(fields).map(|(name, text)| format!("'{name}': '{text}'")).collect();
        return format!("['{}',\t{},\t{{{}}}],", tag("id"), tag("time"), fields.join(", "));
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

/// A date template as fail2ban-regex calls it: `%b %d` is `MON Day`.
fn template_name(text: &str) -> String {
    const NAMES: [(char, &str); 19] = [
        ('a', "DAY"),
        ('A', "DAYNAME"),
        ('b', "MON"),
        ('B', "MONTH"),
        ('d', "Day"),
        ('H', "24hour"),
        ('I', "12hour"),
        ('j', "Yearday"),
        ('m', "Month"),
        ('M', "Minute"),
        ('p', "AMPM"),
        ('S', "Second"),
        ('U', "Yearweek"),
        ('w', "Weekday"),
        ('W', "Yearweek"),
        ('y', "Year2"),
        ('Y', "Year"),
        ('z', "Zone offset"),
        ('f', "Microseconds"),
    ];
    let (mut name, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('%') {
        name.push_str(before);
        let (exact, token) = after.strip_prefix("Ex").map_or(("", after), |token| ("Ex", token));
        let letter = token.chars().next();
        let known = NAMES.iter().find(|(known, _)| Some(*known) == letter);
        match (letter, known) {
            (Some(_), Some((_, known))) => name.extend([exact, known]),
            (Some('Z'), None) => name.extend([exact, "Zone name"]),
            (Some('%'), None) => name.push('%'),
            (Some(letter), None) => name.extend(['%', letter]),
            (None, _) => {}
        }
        rest = token.get(letter.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    match text {
        "EPOCH" => "Epoch".to_owned(),
        "{^LN-BEG}EPOCH" => "{^LN-BEG}Epoch".to_owned(),
        _ => name + rest,
    }
}

/// A list as fail2ban-regex frames it.
fn list(title: &str, lines: &[String], out: &mut impl Write) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    if !title.is_empty() {
        writeln!(out, "|- {title}")?;
    }
    lines.iter().try_for_each(|line| writeln!(out, "|  {line}"))?;
    writeln!(out, "`-")
}

impl Tally {
    fn new(filter: &Filter) -> Tally {
        Tally {
            number: 0,
            matched: Lines::default(),
            ignored: Lines::default(),
            missed: Lines::default(),
            failures: 0,
            regexes: vec![Hits::default(); filter.fail_texts().count()],
            ignores: vec![Hits::default(); filter.ignore_texts().count()],
            templates: vec![0; filter.dates.templates().len()],
        }
    }

    fn lines(&self) -> u64 {
        self.matched.count + self.ignored.count + self.missed.count
    }

    fn add(&mut self, line: &[u8], single: &Single, read: &logrules::fail2ban::Read, args: &cli::Regex) {
        self.failures += read.failures.len() as u64;
        for (number, _) in single.matched() {
            let Some(hits) = self.regexes.get_mut(*number) else { continue };
            hits.count += 1;
            let whom = read.failures.iter().find(|failure| failure.regex == *number).filter(|_| args.verbose);
            if let Some(failure) = whom
                && hits.caught.len() < LINES_MAX
            {
                hits.caught.push(format!("    {}  {}", escape::text(&failure.id, SHOWN_MAX), local(read.at)));
            }
        }
        let printed = !args.json && args.out.is_none();
        let few = |lines: &Lines| lines.count <= LINES_MAX as u64;
        // What is no failure by itself is ignored, as fail2ban-regex has it.
        let no_failure = single.matched().iter().any(|(_, counts)| !counts);
        match read.became {
            Became::Ignored(number) => {
                if let Some(hits) = self.ignores.get_mut(number) {
                    hits.count += 1;
                }
                let wanted = printed && !args.print_no_ignored && (args.print_all_ignored || few(&self.ignored));
                self.ignored.add(line, wanted);
            }
            Became::Matched(_) if no_failure => {
                let wanted = printed && !args.print_no_ignored && (args.print_all_ignored || few(&self.ignored));
                self.ignored.add(line, wanted);
            }
            Became::Matched(_) => self.matched.add(line, printed && args.print_all_matched),
            Became::Missed => {
                let wanted = printed && !args.print_no_missed && (args.print_all_missed || few(&self.missed));
                self.missed.add(line, wanted);
            }
        }
    }

    fn print(&self, single: &Single, args: &cli::Regex, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nRunning tests\n=============\n")?;
        for (name, text) in [("failregex", Some(&args.filter)), ("ignoreregex", args.ignoreregex.as_ref()), ("log", Some(&args.log))] {
            if let Some(text) = text {
                writeln!(out, "Use {name:>11} : {}", escape::text(text, 100))?;
            }
        }
        writeln!(out, "\n\nResults\n=======")?;
        if let Some(prefix) = single.filter().prefix_text() {
            writeln!(out, "\nPrefregex: {} total", single.prefixed())?;
            list("", &[escape::text(prefix, SHOWN_MAX)], out)?;
        }
        let texts = [single.filter().fail_texts().collect::<Vec<_>>(), single.filter().ignore_texts().collect()];
        for (title, hits, texts) in [("Failregex", &self.regexes, &texts[0]), ("Ignoreregex", &self.ignores, &texts[1])] {
            writeln!(out, "\n{title}: {} total", hits.iter().map(|hits| hits.count).sum::<u64>())?;
            let mut lines = Vec::new();
            for (number, (hits, text)) in hits.iter().zip(texts).enumerate().filter(|(_, (hits, _))| hits.count > 0 || args.verbose) {
                lines.push(format!("{:>2}) [{}] {}", number + 1, hits.count, escape::text(text, SHOWN_MAX)));
                lines.extend(hits.caught.iter().cloned());
            }
            list(" #) [# of hits] regular expression", &lines, out)?;
        }
        writeln!(out, "\nDate template hits:")?;
        let templates = self.templates.iter().zip(single.filter().dates.templates()).filter(|(hits, _)| **hits > 0 || args.verbose);
        let lines: Vec<String> =
            templates.map(|(hits, template)| format!("[{hits}] {}", escape::text(&template_name(&template.name), SHOWN_MAX))).collect();
        list("[# of hits] date format", &lines, out)?;
        let [matched, ignored, missed] = [&self.matched, &self.ignored, &self.missed].map(|lines| lines.count);
        writeln!(out, "\nLines: {} lines, {ignored} ignored, {matched} matched, {missed} missed\n", self.lines())?;
        if single.too_many_steps() > 0 {
            writeln!(out, "{} times a pattern took too many steps and was taken for no match", single.too_many_steps())?;
        }
        for (name, lines, all, wanted) in [
            ("Matched", &self.matched, args.print_all_matched, args.print_all_matched),
            ("Ignored", &self.ignored, args.print_all_ignored, !args.print_no_ignored),
            ("Missed", &self.missed, args.print_all_missed, !args.print_no_missed),
        ] {
            if !wanted || lines.count == 0 {
                continue;
            }
            if all || lines.count < LINES_MAX as u64 {
                list(&format!("{name} line(s):"), &lines.shown, out)?;
            } else {
                writeln!(
                    out,
                    "{name} line(s): too many to print.  Use --print-all-{} to print all {} lines",
                    name.to_lowercase(),
                    lines.count
                )?;
            }
        }
        Ok(())
    }
}

/// A time as fail2ban-regex tells it, in this machine's zone.
fn local(at: Time) -> String {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).unwrap_or_default();
    moment.to_zoned(TimeZone::system()).strftime("%a %b %d %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const FILTER: &str = "[Definition]\nfailregex = ^ s: bad <F-USER>.*</F-USER> from <HOST>$\nignoreregex = from 192\\.0\\.2\\.9$\n";

    /// Runs a command line with a small configuration; what it prints.
    fn told(args: &[&str], log: &[u8]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("filter.d")).unwrap();
        fs::write(folder.path().join("filter.d/s.conf"), FILTER).unwrap();
        fs::write(folder.path().join("log"), log).unwrap();
        let at = |arg: &str| arg.replace("DIR", &folder.path().display().to_string());
        let cli = cli::Cli::parse_from(["riposte".to_owned()].into_iter().chain(args.iter().map(|arg| at(arg))));
        let mut out = Vec::new();
        match cli.command {
            cli::Command::Regex(args) => run(&args, &mut out)?,
            other => panic!("{other:?}"),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    const LOG: &[u8] =
        b"Jan 16 21:05:29 s: bad an\x1b[2Jna from 192.0.2.1\nJan 16 21:05:29 s: bad x from 192.0.2.9\nJan 16 21:05:29 s: g\x1bood\n";

    #[test]
    fn a_log_is_told_as_fail2ban_regex_tells_it() {
        let text = told(&["regex", "DIR/log", "s", "-c", "DIR", "--print-all-matched"], LOG).unwrap();
        // What fail2ban-regex 1.0.2 prints, but for the escaped control characters.
        let wanted = "\n\nResults\n=======\n\nFailregex: 1 total\n|-  #) [# of hits] regular expression\n|   1) [1] ^ s: bad <F-USER>.*</F-USER> from <HOST>$\n`-\n\n\
                      Ignoreregex: 1 total\n|-  #) [# of hits] regular expression\n|   1) [1] from 192\\.0\\.2\\.9$\n`-\n\n\
                      Date template hits:\n|- [# of hits] date format\n|  [3] {^LN-BEG}(?:DAY )?MON Day %k:Minute:Second(?:\\.Microseconds)?(?: ExYear)?\n`-\n\n\
                      Lines: 3 lines, 1 ignored, 1 matched, 1 missed\n\n|- Matched line(s):\n";
        assert!(text.starts_with("\nRunning tests\n") && text.contains(wanted), "{text}");
        assert!(text.contains("|- Missed line(s):\n|  Jan 16 21:05:29 s: g"), "{text}");
        assert!(!text.contains('\x1b'), "nothing from a log reaches the terminal as it is");
        assert_eq!(
            told(&["regex", "DIR/log", "s", "-c", "DIR", "-o", "<ip>/<F-USER>"], b"Jan 16 21:05:29 s: bad x from 192.0.2.1\n").unwrap(),
            "192.0.2.1/x\n"
        );
        assert_eq!(told(&["regex", "bad 192.0.2.1", "^bad <HOST>", "-c", "DIR", "-o", "ip"], b"").unwrap(), "192.0.2.1\n");
        let json = told(&["regex", "DIR/log", "s", "-c", "DIR", "--json"], LOG).unwrap();
        let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
        assert_eq!((&last["lines"], &last["matched"], &last["ignored"], &last["missed"]), (&json!(3), &json!(1), &json!(1), &json!(1)));
        let gone = told(&["regex", "x", "gone", "-c", "DIR"], b"").unwrap_err();
        assert!(gone[0].contains("neither a filter in") && gone[0].contains("<HOST>"), "{gone:?}");
        let wrong = told(&["regex", "x", "s", "-c", "DIR", "-d", "%Q"], b"").unwrap_err();
        assert!(wrong[0].starts_with("--datepattern: "), "{wrong:?}");
    }

    #[test]
    fn a_suite_tells_how_much_agrees() {
        let log = b"# failJSON: {\"time\": \"2005-01-16T21:05:29\", \"match\": true, \"host\": \"192.0.2.1\"}\nJan 16 21:05:29 s: bad x from 192.0.2.1\n";
        let text = told(&["regex", "DIR/log", "s", "-c", "DIR", "--suite", "--json"], log).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("{\"type\":\"suite\",\"agree\":1,\"total\":1}\n"), "{text}");
        let wrong = String::from_utf8(log.to_vec()).unwrap().replace("2005-01", "2004-01");
        let told = told(&["regex", "DIR/log", "s", "-c", "DIR", "--suite"], wrong.as_bytes()).unwrap_err();
        assert!(told[0].ends_with("/log: 1 of 1 disagree"), "{told:?}");
    }
}
