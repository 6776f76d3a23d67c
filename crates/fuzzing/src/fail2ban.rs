//! fail2ban's files, and log lines under its filters. The promises: files of any kind load or say on which of their lines something is wrong; what is
//! cut out of a line as its date is in the line; who failed is in the line in these very letters; nobody without an address is to be blocked; the
//! same lines come to the same.

use crate::choice;
use jiff::tz::TimeZone;
use logrules::Rules;
use logrules::fail2ban::date::{Dates, Scratch};
use logrules::fail2ban::filter::{Filter, Written};
use logrules::fail2ban::ini::{Files, Problem};
use logrules::fail2ban::jail::Jail;
use logrules::fail2ban::suite::{self, Settings};
use logrules::fail2ban::{Fail2ban, Single, tags};
use logrules::line::Line;
use model::time::Time;
use std::io;
use std::path::{Path, PathBuf};

const COMMON: &str = "[DEFAULT]\n_daemon = \\S+\nlogtype = file\n__prefix = \\s*\\S+ %(_daemon)s(?:\\[\\d+\\])?:\\s+\n";
const FILTER: &str = "[INCLUDES]\nbefore = common.conf\n[Definition]\n_daemon = sshd\nprefregex = ^<F-MLFID>%(__prefix)s</F-MLFID><F-CONTENT>.+</F-CONTENT>$\n\
    failregex = ^Failed \\w+ for <F-USER>.*</F-USER> from <HOST>(?: port \\d+)?\n            ^<F-NOFAIL>Connection from</F-NOFAIL> <HOST>\n            ^bad <SUBNET> (?!x)\n            <m-<mode>>\n\
    m-more = ^from (?P<host><ADDR>)(?(host) z|y)\nm-normal =\nmode = normal\nignoreregex = from 192\\.0\\.2\\.9$\ndatepattern = ^%%Y-%%m-%%dT%%H:%%M:%%S%%z\n              ^%%b %%d %%H:%%M:%%S\n";
const JAIL: &str = "[DEFAULT]\nmaxretry = 2\naction = nftables\n[sshd]\nenabled = true\nfilter = t[mode=more]\nlogpath = /var/log/auth.log\n[r]\nenabled = true\nfilter = t\n\
    logpath = /var/log/*.log\nmaxlines = 3\nfailregex = ^one$<SKIPLINES>^two <HOST>$\nignoreip = 192.0.2.0/28\n";
const LINES: [&str; 3] = [
    "2026-01-16T21:05:29Z h sshd[1]: Connection from 192.0.2.33 port 4711",
    "Jan 16 21:05:29 h sshd[1]: Failed password for root from 192.0.2.33 port 4711 ssh2",
    "Jan 16 21:05:29 h sshd[1]: bad [2001:db8::]/32 a",
];
/// 21 November 2026, 04:05 UTC.
const NOW: Time = Time::from_secs(1_795_233_900);

/// The first byte says as what the rest is read: a filter, jails, a date pattern and a line, options, an annotated log, or log lines.
pub fn run(bytes: &[u8]) {
    let (kind, text) = choice(bytes);
    let text_of = || String::from_utf8_lossy(text).into_owned();
    match kind {
        b'F' => filter(&text_of()),
        b'J' => jails(&text_of()),
        b'D' => dates(text),
        b'O' => _ = tags::options(&text_of()).map(|(_, options)| options.values().for_each(|value| _ = tags::seconds(value))),
        b'S' => annotated(&text_of()),
        _ => lines(text),
    }
}

/// A folder with these files, and what is done with it.
fn with<T>(filter: &str, jail: &str, log: &str, what: impl FnOnce(Files<'_>) -> T) -> T {
    let read = |path: &Path| {
        let known = [("/f/filter.d/common.conf", COMMON), ("/f/filter.d/t.conf", filter), ("/f/jail.conf", jail), ("/f/log", log)];
        let found = known.into_iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| text.to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let list = |_: &Path| Ok(Vec::<PathBuf>::new());
    what(Files { read: &read, list: &list })
}

fn told(problems: &[Problem], texts: &[&str]) {
    let most = texts.iter().map(|text| text.split('\n').count()).max().unwrap_or(0);
    assert!(!problems.is_empty());
    problems.iter().for_each(|problem| assert!(problem.line <= most, "{problem}"));
}

fn filter(text: &str) {
    // The default's thirty-four forms take most of the time; `D` tries them.
    let options = if text.contains("datepattern") { "t[logtype=file]" } else { "t[logtype=file, datepattern=\"^%b %d %H:%M:%S\"]" };
    let read = with(text, "", "", |files| Written::read(options, &[], Path::new("/f"), files).map_err(|problem| vec![problem]));
    match read.and_then(|written| Filter::new(&written)) {
        Ok(filter) => {
            if let Ok(mut single) = Single::new(filter, TimeZone::UTC) {
                LINES.iter().for_each(|line| look(&mut single, line.as_bytes()));
            }
        }
        Err(problems) => told(&problems, &[text, COMMON]),
    }
}

fn look(single: &mut Single, line: &[u8]) {
    for failure in single.line(line, NOW, false).failures {
        // A session's address may be of a line before.
        let words = [&failure.caught.ip, &failure.caught.dns, &failure.caught.id].into_iter().flatten();
        assert!(words.clone().next().is_some(), "{failure:?}");
        let address = failure.caught.ip.as_ref().or(failure.caught.id.as_ref()).and_then(|text| text.parse().ok());
        assert_eq!(failure.address, address.map(model::net::canonical).filter(|_| failure.address.is_some()), "{failure:?}");
    }
}

fn jails(text: &str) {
    with(FILTER, text, "", |files| match (Jail::read_all(Path::new("/f"), files), Jail::sources(Path::new("/f"), files)) {
        (Ok((jails, _)), Ok(sources)) => {
            assert!(jails.iter().flat_map(|jail| &jail.logpaths).all(|path| sources.files.contains(path)));
            assert!(sources.journal || !jails.iter().any(|jail| jail.journal));
        }
        (Ok(_), Err(problems)) => panic!("read, but not where from: {problems:?}"),
        (Err(problems), _) => told(&problems, &[text, FILTER, COMMON]),
    });
}

/// The first line is the pattern.
fn dates(bytes: &[u8]) {
    let (pattern, line) = bytes.iter().position(|byte| *byte == b'\n').map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 1..]));
    let Ok(dates) = Dates::new(&String::from_utf8_lossy(pattern)) else { return };
    let mut scratch = Scratch::default();
    let Some(found) = dates.find(line, &mut scratch) else { return };
    assert!(found.start <= found.end && found.end <= line.len() && found.template < dates.templates().len(), "{found:?}");
    let clock = logrules::fail2ban::date::Clock { now: NOW, zone: TimeZone::UTC };
    let time = dates.time(found, line, &scratch, &clock);
    assert_eq!(dates.find(line, &mut scratch), Some(found));
    assert_eq!(dates.time(found, line, &scratch, &clock), time);
}

fn annotated(text: &str) {
    let settings = Settings { zone: TimeZone::UTC, now: NOW };
    let run = || with(FILTER, "", text, |files| suite::run(Path::new("/f/log"), "t", Path::new("/f"), files, &settings));
    let (one, other) = (run(), run());
    assert_eq!(one, other);
    match one {
        Ok(cases) => cases.iter().for_each(|case| assert!(case.line <= text.split('\n').count())),
        Err(problems) => told(&problems, &[text, FILTER]),
    }
}

fn lines(text: &[u8]) {
    let load = || with(FILTER, JAIL, "", |files| Fail2ban::load(Path::new("/f"), files, &TimeZone::UTC));
    let (Ok((mut one, _)), Ok((mut other, _))) = (load(), load()) else { panic!("the target's own jails load") };
    let (mut findings, mut again) = (Vec::new(), Vec::new());
    for text in text.split(|byte| *byte == b'\n').take(64) {
        let line = Line::new(text, NOW, "/var/log/auth.log");
        findings.clear();
        again.clear();
        one.line(&line, &mut findings);
        other.line(&line, &mut again);
        assert_eq!(findings, again);
        for finding in &findings {
            assert!(finding.wish.is_none() || finding.actor.is_some(), "{finding:?}");
            assert!(finding.at <= NOW.after(std::time::Duration::from_secs(60)), "{finding:?}");
        }
    }
}
