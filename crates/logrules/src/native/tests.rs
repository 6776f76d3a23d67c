//! Scripted lines against small rule files: what each key of the format does.

use super::state::COUNTED_MAX;
use super::*;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const HEAD: &str = "name = \"svc\"\nprogram = [\"svc\"]\nlimit = false\n";

fn book(rules: &str) -> Book {
    with_files(&[("svc.toml", &format!("{HEAD}{rules}"))])
}

fn with_files(files: &[(&str, &str)]) -> Book {
    let files: Vec<(String, String)> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Book::load(&files).unwrap_or_else(|wrong| panic!("{}", wrong.iter().map(|wrong| format!("\n{wrong}")).collect::<String>()))
}

fn wrong(text: &str) -> Vec<String> {
    Book::load(&[("a.toml".to_owned(), text.to_owned())]).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The rules that a message of `svc` meets at this second.
fn meets(book: &mut Book, second: u64, message: &str) -> Vec<String> {
    find(book, second, message).into_iter().map(|finding| finding.rule.trim_start_matches("svc/").to_owned()).collect()
}

fn find(book: &mut Book, second: u64, message: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let text = format!("Nov 21 03:04:05 box svc[7]: {message}");
    // 21 November 2026, a Saturday, 00:00 UTC.
    book.line(&Line::new(text.as_bytes(), Time::from_secs(1_795_219_200 + second), ""), &mut found);
    found
}

const FAILED: &str = "[[rule]]\nname = \"failed\"\nmatch = '^failed <user> from <address>$'\n";

#[test]
fn a_limit_sums_what_rules_weigh() {
    let text = format!("name = \"svc\"\nprogram = \"svc\"\nlimit = {{ score = 20, within = \"1m\", block = \"2h\" }}\n{FAILED}");
    let mut book = with_files(&[("svc.toml", &text)]);
    assert_eq!(find(&mut book, 0, "failed a from 192.0.2.1")[0].wish, None);
    assert_eq!(find(&mut book, 1, "failed a from 192.0.2.2")[0].wish, None, "each address has its own sum");
    let found = find(&mut book, 2, "failed b from ::ffff:192.0.2.1").remove(0);
    let wish = found.wish.unwrap();
    assert_eq!((&*wish.action, wish.duration), ("block", Some(Duration::from_secs(7_200))));
    assert_eq!(wish.why, "score 20 of 20 within 1m (2 lines); last svc/failed");
    assert_eq!((found.count, found.actor), (2, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))));
    assert_eq!(find(&mut book, 3, "failed a from 192.0.2.1")[0].wish, None, "then it begins anew");
}

/// How many of these addresses' failures, one a second, it takes until somebody is to be blocked.
fn lines_to_block(book: &mut Book, addresses: impl Iterator<Item = String>) -> Option<usize> {
    let mut seconds = 0..;
    let mut blocks = |address: String| find(book, seconds.next()?, &format!("failed a from {address}")).pop()?.wish;
    addresses.map(|address| blocks(address).is_some()).position(|blocked| blocked).map(|place| place + 1)
}

#[test]
fn who_changes_his_address_within_a_network_of_ipv6_is_found() {
    let text = format!("name = \"svc\"\nprogram = \"svc\"\n{FAILED}");
    let mut book = with_files(&[("svc.toml", &text)]);
    assert_eq!(lines_to_block(&mut book, std::iter::repeat_n("2001:db8::1".to_owned(), 20)), Some(5));
    book.forget();
    assert_eq!(lines_to_block(&mut book, (0..20).map(|n| format!("2001:db8::{n:x}"))), Some(10), "twice as many of a /64");
    book.forget();
    assert_eq!(lines_to_block(&mut book, (0..20).map(|n| format!("2001:db8:0:{n:x}::1"))), None);
    assert_eq!(lines_to_block(&mut book, (0..20).map(|n| format!("192.0.2.{n}"))), None);
}

#[test]
fn a_host_whose_clock_is_behind_neither_ends_a_count_nor_escapes_it() {
    let mut book = book(&format!("{FAILED}[[rule]]\nname = \"many\"\nof = \"failed\"\ncount = 3\nwithin = \"10m\"\n"));
    let now = Time::from_secs(1_795_230_300);
    let mut line = |host: &str, stamp: &str| {
        let mut found = Vec::new();
        let text = format!("2026-11-21T{stamp}Z {host} svc[7]: failed a from 192.0.2.1");
        book.line(&Line::new(text.as_bytes(), now, ""), &mut found);
        found.len()
    };
    assert_eq!([line("a", "03:04:01"), line("b", "02:04:01"), line("a", "03:04:02"), line("b", "02:04:02")], [1, 1, 1, 1]);
    assert_eq!([line("a", "03:04:03"), line("b", "02:04:03")], [2, 2], "each by itself");
}

#[test]
fn what_anybody_can_send_pushes_nobody_out() {
    let text = format!(
        "name = \"svc\"\nprogram = \"svc\"\n{FAILED}[[rule]]\nname = \"datagram\"\nmatch = '^datagram from <address>$'\ntrust = \"spoofable\"\n"
    );
    let mut book = with_files(&[("svc.toml", &text)]);
    assert!((0..4).all(|n| find(&mut book, n, "failed a from 192.0.2.1")[0].wish.is_none()));
    for n in 0..COUNTED_MAX as u32 * 2 {
        find(&mut book, 5, &format!("datagram from {}", Ipv4Addr::from(0x0a00_0000 + n)));
    }
    assert!(find(&mut book, 6, "failed a from 192.0.2.1")[0].wish.is_some());
    assert!(book.counters().iter().any(|(name, count)| *name == "forgeable counts given way" && *count > 0));
}

#[test]
fn rules_follow_one_another() {
    let mut book = book(&format!(
        "{FAILED}[[rule]]\nname = \"in\"\nmatch = '^welcome <user> from <address>$'\n\
         [[rule]]\nname = \"guessed\"\nof = \"in\"\nafter = \"failed\"\nwithin = \"1m\"\n\
         [[rule]]\nname = \"new\"\nof = \"in\"\nby = [\"user\", \"address\"]\nfirst = true\nwithin = \"30d\"\nblock = false\n"
    ));
    assert_eq!(meets(&mut book, 0, "welcome a from 192.0.2.1"), ["in", "new"]);
    assert_eq!(meets(&mut book, 1, "welcome a from 192.0.2.1"), ["in"], "it was here before");
    assert_eq!(meets(&mut book, 2, "failed a from 192.0.2.1"), ["failed"]);
    assert_eq!(meets(&mut book, 3, "welcome a from 192.0.2.9"), ["in", "new"], "of another address");
    assert_eq!(meets(&mut book, 4, "welcome a from 192.0.2.1"), ["in", "guessed"]);
    assert_eq!(meets(&mut book, 99, "welcome a from 192.0.2.1"), ["in"], "too late");
}

#[test]
fn a_rule_that_counts_is_counted_by_the_next() {
    let mut book = book(&format!(
        "{FAILED}[[rule]]\nname = \"burst\"\nof = \"failed\"\ncount = 2\n[[rule]]\nname = \"again\"\nof = \"burst\"\ncount = 2\nwithin = \"1h\"\nblock = \"7d\"\n"
    ));
    let all: Vec<Vec<String>> = (0..4).map(|n| meets(&mut book, n, "failed a from 192.0.2.1")).collect();
    assert_eq!(all, [vec!["failed"], vec!["failed", "burst"], vec!["failed"], vec!["failed", "burst", "again"]]);
}

#[test]
fn the_time_of_day_counts() {
    let mut book = book(&format!("{FAILED}hours = \"22:00-06:00\"\ndays = [\"sat\"]\n"));
    let at = |book: &mut Book, second| meets(book, second, "failed a from 192.0.2.1").len();
    assert_eq!((at(&mut book, 5 * 3_600), at(&mut book, 7 * 3_600), at(&mut book, 23 * 3_600), at(&mut book, 25 * 3_600)), (1, 0, 1, 0));
    book.set_utc_offset(3_600);
    assert_eq!((at(&mut book, 5 * 3_600), at(&mut book, 21 * 3_600)), (0, 1), "by local time");
}

#[test]
fn quiet_for_a_time_after_an_answer() {
    let mut book = book(&format!("{FAILED}by = [\"user\"]\nignore = \"1m\"\n"));
    let mut at = |second, who| meets(&mut book, second, &format!("failed {who} from 192.0.2.1")).len();
    assert_eq!((at(0, "a"), at(1, "a"), at(2, "b"), at(61, "a")), (1, 0, 1, 1));
}

#[test]
fn lists_are_asked() {
    let text = format!(
        "{HEAD}lists.staff = {{ file = \"staff.txt\" }}\nlists.office = [\"192.0.2.0/24\"]\n{FAILED}where = {{ user = \"@staff\" }}\nunless = {{ address = \"@office\" }}\n"
    );
    let mut book = with_files(&[("svc.toml", &text), ("staff.txt", "anna:1\nben:2\n")]);
    assert_eq!(meets(&mut book, 0, "failed anna from 198.51.100.1"), ["failed"]);
    assert!(meets(&mut book, 0, "failed carl from 198.51.100.1").is_empty());
    assert!(meets(&mut book, 0, "failed anna from 192.0.2.7").is_empty());
}

#[test]
fn a_session_lends_its_address() {
    let mut book = book(
        "[[rule]]\nname = \"open\"\nmatch = '^open from <address>$'\nsession = \"pid\"\nwithin = \"1m\"\nlevel = 0\n\
         [[rule]]\nname = \"refused\"\nmatch = '^refused$'\nsession = \"pid\"\n",
    );
    assert_eq!(find(&mut book, 0, "refused")[0].actor, None, "nobody knows");
    assert!(find(&mut book, 1, "open from 192.0.2.1").is_empty(), "level 0 is silent");
    assert_eq!(find(&mut book, 2, "refused")[0].actor, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(find(&mut book, 90, "refused")[0].actor, None, "too long ago");
}

#[test]
fn different_values_and_networks() {
    let mut book = book(&format!(
        "{FAILED}[[rule]]\nname = \"users\"\nof = \"failed\"\ndistinct = \"user\"\ncount = 3\n\
         [[rule]]\nname = \"net\"\nof = \"failed\"\nby = \"network\"\ndistinct = \"address\"\ncount = 2\n"
    ));
    assert_eq!(meets(&mut book, 0, "failed a from 192.0.2.1"), ["failed"]);
    assert_eq!(meets(&mut book, 1, "failed a from 192.0.2.1"), ["failed"]);
    assert_eq!(meets(&mut book, 2, "failed b from 192.0.2.1"), ["failed"]);
    assert_eq!(meets(&mut book, 3, "failed c from 192.0.2.1"), ["failed", "users"]);
    assert_eq!(meets(&mut book, 4, "failed c from 192.0.2.200"), ["failed", "net"]);
}

#[test]
fn the_journal_says_who_sent_it() {
    let mut book = with_files(&[("svc.toml", &format!("{HEAD}unit = \"svc@*.service\"\nuid = [0]\n{FAILED}"))]);
    let mut by = |journal: &[(&str, &[u8])]| {
        let mut found = Vec::new();
        book.line(&Line { text: b"failed a from 192.0.2.1", at: Time::from_secs(9), place: "journal", journal }, &mut found);
        found.len()
    };
    assert_eq!(by(&[("SYSLOG_IDENTIFIER", b"svc"), ("_UID", b"0")]), 1);
    assert_eq!(by(&[("SYSLOG_IDENTIFIER", b"svc"), ("_UID", b"1000")]), 0, "anybody may call himself svc");
    assert_eq!(by(&[("SYSLOG_IDENTIFIER", b"other"), ("_SYSTEMD_UNIT", b"svc@1.service"), ("_UID", b"0")]), 1);
    assert_eq!(by(&[("SYSLOG_IDENTIFIER", b"other"), ("_UID", b"0")]), 0);
    assert_eq!(book.counters().last(), Some(&("journal entries of a foreign user", 1)));
}

#[test]
fn whose_file_it_is_decides_who_is_asked() {
    let rule = "[[rule]]\nname = \"r\"\nmatch = '^<address> came$'\n";
    let one = format!("name = \"one\"\npath = \"/var/log/one*.log\"\nbare = true\n{rule}");
    let other = format!("name = \"other\"\nbare = true\n{rule}");
    let mut book = with_files(&[("one.toml", &one), ("other.toml", &other)]);
    let mut asked = |place| {
        let mut found = Vec::new();
        book.line(&Line::new(b"192.0.2.1 came", Time::EPOCH, place), &mut found);
        found.iter().map(|finding| finding.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(asked("/var/log/one-1.log"), ["one/r"]);
    assert_eq!(asked("/var/log/app.log"), ["one/r", "other/r"], "nobody's file: whose lines are known without");
    assert!(book.services().len() == 2);
}

#[test]
fn a_line_that_says_it_was_repeated_counts_so_often() {
    let mut book = book(&format!("{FAILED}[[rule]]\nname = \"burst\"\nof = \"failed\"\ncount = 5\n"));
    assert_eq!(meets(&mut book, 0, "message repeated 4 times: [ failed a from 192.0.2.1]"), ["failed"]);
    assert_eq!(meets(&mut book, 1, "failed a from 192.0.2.1"), ["failed", "burst"]);
    // The service may say so itself.
    let rule = "[[rule]]\nname = \"failed\"\nmatch = '^failed (?<times>[0-9]+) times from <address>$'\n";
    let mut book = self::book(&format!("{rule}[[rule]]\nname = \"burst\"\nof = \"failed\"\ncount = 5\n"));
    assert_eq!(meets(&mut book, 0, "failed 4 times from 192.0.2.1"), ["failed"]);
    assert_eq!(meets(&mut book, 0, "failed 0 times from 192.0.2.1"), ["failed", "burst"]);
    assert_eq!(meets(&mut book, 0, "failed 99999999999 times from 192.0.2.2"), ["failed"]);
    assert_eq!(meets(&mut book, 0, "failed 5 times from 192.0.2.3"), ["failed", "burst"]);
}

/// A service that writes a stranger's line ends as they are.
#[test]
fn what_may_be_a_stranger_s_lines_is_passed_over() {
    let text = "name = \"svc\"\nbare = true\nlimit = false\n[[rule]]\nname = \"failed\"\nmatch = '^failed <user> from <address>$'\n\
        [[rule]]\nname = \"text\"\nmatch = '^asked for .*$'\ntorn = 50\nlevel = 1\n";
    let mut book = with_files(&[("svc.toml", text)]);
    let mut meets = |place: &str, text: &str| {
        let mut found = Vec::new();
        book.line(&Line::new(text.as_bytes(), Time::from_secs(1_795_219_200), place), &mut found);
        found.first().map(|finding| finding.rule.to_string()).unwrap_or_default()
    };
    let failed = "failed a from 192.0.2.1";
    assert_eq!(meets("/a", failed), "svc/failed");
    // 11 bytes and a line's end: 38 are left, of which the next line takes 24, and the one behind begins among them.
    assert_eq!(["asked for x", failed, failed, failed].map(|line| meets("/a", line)), ["svc/text", "", "", "svc/failed"]);
    assert_eq!(
        [("/a", "asked for x"), ("/b", failed), ("/a", failed)].map(|(place, line)| meets(place, line)),
        ["svc/text", "svc/failed", ""]
    );
    // A line that takes all of it leaves nothing.
    let long = format!("asked for {}", "x".repeat(40));
    assert_eq!([long.as_str(), failed].map(|line| meets("/c", line)), ["svc/text", "svc/failed"]);
    assert_eq!(book.counters().iter().find(|(name, _)| name.contains("stranger")), Some(&("lines that may be a stranger's", 3)));
}

#[test]
fn mistakes_are_told_with_their_places() {
    let start = "name = \"x\"\nprogram = \"x\"\n[[rule]]\nname = \"r\"\n";
    for (text, told) in [
        ("program = \"x\"\n", "a.toml:1:1: name: the service's name is missing"),
        ("name = \"x\"\n", "a.toml:1:8: whose lines are these? One of program, unit, path or bare = true is wanted"),
        ("name = \"x\"\nprogramm = \"x\"\nbare = true\n", "a.toml:2:1: unknown key \"programm\" in the file; did you mean \"program\"?"),
        (&format!("{start}match = '^a'\nlevl = 3\n"), "a.toml:6:1: unknown key \"levl\" in [[rule]]; did you mean \"level\"?"),
        (&format!("{start}match = 'a'\n"), "a.toml:5:9: the pattern must begin with ^: text further on may be the attacker's"),
        (&format!("{start}match = '^a|b'\n"), "a.toml:5:9: the pattern must begin with ^: text further on may be the attacker's"),
        (&format!("{start}match = '^a(?=b)'\n"), "a.toml:5:9: a pattern's time must grow no faster than the line: look-around"),
        (
            &format!("{start}match = '^a <adress>'\n"),
            "a.toml:5:9: there is no class <adress>; did you mean \"address\"? (a plain < is written [<])",
        ),
        (&format!("{start}match = '^a(b'\n"), "a.toml:5:9: no pattern: "),
        (&format!("{start}match = '^a'\nlevel = 17\n"), "a.toml:6:9: level: a whole number from 0 to 16 is wanted"),
        (&format!("{start}of = \"s\"\ncount = 2\n"), "a.toml:5:6: no rule \"s\" stands before this one"),
        (&format!("{start}match = '^a'\ncount = 2\n"), "a.toml:4:8: a rule with match doesn't count: write a second one with of"),
        (
            &format!("{start}match = '^a <user>'\nby = \"usr\"\n"),
            "a.toml:6:6: no pattern of this rule has a field \"usr\"; did you mean \"user\"?",
        ),
        (&format!("{start}match = '^a'\nignore = \"10\"\n"), "a.toml:6:10: ignore: a length of time like"),
        (&format!("{start}match = '^a <user>'\nwhere = {{ user = \"@l\" }}\n"), "a.toml:6:18: there is no list \"l\""),
        (
            "name = \"x\"\nprogram = \"x\"\ntrust = \"spoofable\"\n[[rule]]\nname = \"r\"\nmatch = '^a'\n[[rule]]\nname = \"s\"\nof = \"r\"\ncount = 2\ntrust = \"vouched\"\n",
            "a.toml:8:8: trust: it counts, or waits for, a rule that is \"spoofable\"",
        ),
        ("name = \n", "a.toml:1:8: "),
    ] {
        let problems = wrong(text);
        assert!(problems.iter().any(|problem| problem.starts_with(told)), "{told}\n{problems:#?}");
    }
}

#[test]
fn a_sample_that_comes_out_otherwise_is_told() {
    let mut book = book(&format!(
        "forged = [\"Nov 21 03:04:05 box svc: failed a from 192.0.2.1\"]\n{FAILED}hit = [\"Nov 21 03:04:05 box svc: failed a from 192.0.2.1\"]\n"
    ));
    let told: Vec<String> = book.test().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "svc.toml:4: accuses 192.0.2.1 instead of none: Nov 21 03:04:05 box svc: failed a from 192.0.2.1",
            "svc.toml:6: svc/failed: no miss among its samples",
            "svc.toml:8: tells an address that the sample doesn't: write { line = …, address = \"192.0.2.1\" }: Nov 21 03:04:05 box svc: failed a from 192.0.2.1",
        ]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    /// Whatever stands in a line: no rule panics, and nobody is accused whose address isn't in it.
    #[test]
    fn nobody_is_accused_who_is_not_in_the_line(
        program in "(sshd|postfix/smtpd|dovecot|nginx|su)?",
        message in "(Failed password for |Invalid user |warning: |message repeated 9 times: \\[ )?[ -~]{0,30}( from |\\[|rip=)(192\\.0\\.2\\.[0-9]{1,3}|[0-9a-f:]{2,9})[ -~]{0,20}",
    ) {
        let mut book = Book::load(&[("sshd.toml".to_owned(), include_str!("../../../../rules/sshd.toml").to_owned())]).unwrap();
        let text = format!("Nov 21 03:04:05 box {program}[7]: {message}");
        let mut found = Vec::new();
        book.line(&Line::new(text.as_bytes(), Time::EPOCH, ""), &mut found);
        for actor in found.iter().filter_map(|finding| finding.actor).filter(IpAddr::is_ipv4) {
            proptest::prop_assert!(text.contains(&actor.to_string()));
        }
    }
}

#[test]
fn a_session_is_one_host_s() {
    let mut book = book(
        "[[rule]]\nname = \"begins\"\nmatch = '^conn=<id> from <address>$'\nsession = \"id\"\n\
         [[rule]]\nname = \"fails\"\nmatch = '^conn=<id> failed$'\nsession = \"id\"\n",
    );
    let mut actor = |host: &str, message: &str| {
        let (text, mut found) = (format!("Nov 21 03:04:05 {host} svc[7]: {message}"), Vec::new());
        book.line(&Line::new(text.as_bytes(), Time::from_secs(1_795_219_200), ""), &mut found);
        found.first().and_then(|finding| finding.actor).map(|address| address.to_string())
    };
    assert_eq!(actor("one", "conn=1000 from 192.0.2.1").as_deref(), Some("192.0.2.1"));
    assert_eq!(actor("two", "conn=1000 failed"), None);
    assert_eq!(actor("one", "conn=1000 failed").as_deref(), Some("192.0.2.1"));
}

#[test]
fn who_is_spared_is_not_counted_either() {
    let mut book =
        book(&format!("{FAILED}[[rule]]\nname = \"often\"\nof = \"failed\"\ncount = 2\nunless = {{ address = [\"192.0.2.0/24\"] }}\n"));
    for second in 0..3 {
        assert_eq!(meets(&mut book, second, "failed a from 192.0.2.1"), ["failed"]);
    }
    assert_eq!(meets(&mut book, 3, "failed a from 198.51.100.9"), ["failed"]);
    assert_eq!(meets(&mut book, 4, "failed a from 198.51.100.9"), ["failed", "often"]);
}

#[test]
fn a_bare_line_that_is_set_in_is_text() {
    let mut book = with_files(&[("a.toml", &format!("name = \"a\"\nbare = true\n{FAILED}"))]);
    let mut found = Vec::new();
    for text in ["\tfailed a from 192.0.2.1", " failed a from 192.0.2.1", "failed a from 192.0.2.2"] {
        book.line(&Line::new(text.as_bytes(), Time::from_secs(1_795_219_200), "/var/log/x"), &mut found);
    }
    assert_eq!(found.iter().filter_map(|finding| finding.actor).collect::<Vec<_>>(), [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))]);
}
