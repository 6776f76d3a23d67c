//! Lists that come, change, end and are refused, and copies of them.

use super::*;
use crate::config::Config;
use court::settings::Settings;
use store::Store;

const CLOCK: Clock = Clock { wall: Time::from_secs(1_700_000_000), steady: Time::from_secs(5_000) };

fn later(secs: u64) -> Clock {
    let span = Duration::from_secs(secs);
    Clock { wall: CLOCK.wall.after(span), steady: CLOCK.steady.after(span) }
}

fn config(keys: &str) -> Config {
    Config::parse(&format!("[policy]\nexempt = ['9.9.9.9']\n[[feed]]\nname = 'x'\n{keys}\n"), "x").unwrap()
}

fn a_court(config: &Config) -> Court {
    let settings = Settings { ledger: None, ..config.court() };
    Court::new(settings, Store::open_in_memory().unwrap(), None, 7, CLOCK.wall)
}

fn items(range: std::ops::Range<u32>) -> Vec<(Prefix, Option<u32>)> {
    range.map(|n| (Prefix::host(std::net::Ipv4Addr::from(0x0800_0000 + n).into()), None)).collect()
}

const LIST: fn() -> Got = || Got::List { known: ["\"tag\"".into(), String::new()], left_out: [0, 0] };

/// The number of the only order.
fn order(feeds: &mut Feeds, clock: Clock) -> u32 {
    match feeds.orders(clock)[..] {
        [Message::Fetch { order, feed: 0, .. }] => order,
        ref others => panic!("{others:?}"),
    }
}

fn bring(feeds: &mut Feeds, court: &mut Court, list: Vec<(Prefix, Option<u32>)>, got: Got, clock: Clock) -> usize {
    feeds.update(None, clock).unwrap();
    let order = order(feeds, clock);
    for part in list.chunks(limits::BATCH_LISTED) {
        assert!(feeds.items(order, part.to_vec(), Vec::new()));
    }
    assert!(feeds.fetched(order, got, court, clock));
    court.judge.listed(clock.wall).0.len()
}

/// Lists as a judge begins with them, its envoy there, and where their copies are.
fn begun(text: &str) -> (tempfile::TempDir, Config, Court, Feeds) {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(text));
    let mut court = a_court(&config);
    let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, CLOCK);
    feeds.envoy(true);
    (folder, config, court, feeds)
}

#[test]
fn a_good_list_is_taken_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config("url = 'https://a.example/'\nmax_entries = 5000");
    let mut court = a_court(&config);
    let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, CLOCK);
    assert!(feeds.orders(CLOCK).is_empty(), "nobody is there to fetch it");
    assert!(!feeds.items(0, items(0..1), Vec::new()) && !feeds.fetched(0, Got::Same, &mut court, CLOCK), "nobody has asked");
    feeds.envoy(true);
    let mut list = items(0..3_000);
    list.extend(["10.0.0.0/8", "9.9.9.0/24", "4.0.0.0/6"].map(|text| (text.parse().unwrap(), None)));
    assert_eq!(bring(&mut feeds, &mut court, list.clone(), LIST(), CLOCK), 3_000);
    let line = &feeds.lines(CLOCK)[0];
    let left_out: Vec<_> = line.left_out.iter().map(|(why, n)| (why.as_str(), *n)).collect();
    assert_eq!((line.entries, left_out), (3_000, vec![("not public", 1), ("exempt", 1), ("too large", 1)]));
    let told = feeds.tell(&court, CLOCK);
    assert_eq!(told.len(), 3);
    assert!(
        matches!(told[0], Message::Listed { first: true, last: false, .. })
            && matches!(told[2], Message::Listed { first: false, last: true, .. })
    );
    // Broken, another one, too long, empty: the one before stays, and the log and `status` say why.
    let hour = 3_601;
    for (n, (bad, got, why)) in [
        (Vec::new(), Got::Nothing { why: "429".into(), wait: Some(9_000) }, "429"),
        (items(10_000..13_000), LIST(), "another list"),
        (items(0..6_000), LIST(), "more than are taken"),
        (Vec::new(), LIST(), "it is empty"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = later(hour * (n as u64 + 1));
        assert_eq!(bring(&mut feeds, &mut court, bad, got, at), 3_000, "{why}");
        let trouble = feeds.lines(at)[0].trouble.clone().unwrap();
        assert!(trouble.why.contains(why) && trouble.since.0 == later(hour).wall, "{trouble:?}");
    }
    assert_eq!(feeds.refused, 3);
    // Nobody asks more often than once an hour, whoever wants it.
    let soon = later(4 * hour + 60);
    assert!(feeds.update(Some("x"), soon).unwrap_err().contains("1 minutes ago"));
    assert!(feeds.update(Some("y"), soon).unwrap_err().contains("no feed 'y'"));
    assert_eq!(bring(&mut feeds, &mut court, Vec::new(), Got::Same, later(5 * hour)), 3_000);
    assert!(feeds.lines(later(5 * hour))[0].trouble.is_none());
    // A restart goes on with the copy, asks for news of that only, and not before its time.
    let mut after = a_court(&config);
    let mut again = Feeds::load(&config.feeds, folder.path(), &mut after, later(6 * hour));
    again.envoy(true);
    assert_eq!(after.judge.listed(later(6 * hour).wall).0.len(), 3_000);
    assert!(again.orders(later(6 * hour)).is_empty());
    let due = later(11 * hour);
    assert_eq!(again.orders(due), [Message::Fetch { order: 1, feed: 0, whole: false, known: ["\"tag\"".into(), String::new()] }]);
    // Whose time is over blocks nobody.
    let over = later(5 * hour + 2 * 86_400);
    again.expire(&mut after, over);
    assert_eq!((after.judge.listed(over.wall).0.len(), again.lines(over)[0].entries), (0, 0));
    let mut late = a_court(&config);
    assert_eq!(Feeds::load(&config.feeds, folder.path(), &mut late, over).lines(over)[0].entries, 0);
}

#[test]
fn who_is_exempt_no_longer_is_listed_again() {
    let (folder, config, mut court, mut feeds) = begun("url = 'https://a.example/'");
    let whom = items(0..1)[0].0;
    let _ = court.allow(whom, None, CLOCK.wall).unwrap();
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 4);
    assert_eq!((feeds.lines(CLOCK)[0].entries, feeds.lines(CLOCK)[0].left_out.clone()), (4, vec![("exempt".to_owned(), 1)]));
    assert!(court.disallow(whom, later(60).wall));
    assert_eq!(court.judge.listed(later(60).wall).0.len(), 5);
    let _ = court.allow(whom, None, later(60).wall).unwrap();
    // A restart must not forget him either.
    let mut after = a_court(&config);
    Feeds::load(&config.feeds, folder.path(), &mut after, later(120));
    assert_eq!(after.judge.listed(later(120).wall).0.len(), 5);
}

#[test]
fn lists_age_while_the_machine_sleeps() {
    let (_folder, _, mut court, mut feeds) = begun("url = 'https://a.example/'\nexpires = '2d'");
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
    let told = feeds.tell(&court, CLOCK);
    // A day of sleep: for that long the clock that never steps stood still.
    let day = Duration::from_secs(86_400);
    let awake = Clock { wall: CLOCK.wall.after(day), ..later(60) };
    feeds.slept(day, &mut court, awake);
    assert!(
        court
            .judge
            .listed(awake.wall)
            .0
            .iter()
            .all(|(_, end)| *end == model::block::Expiry::At(CLOCK.wall.after(day * 2).before(Duration::from_secs(60))))
    );
    assert!(told.len() == 1 && feeds.tell(&court, awake).len() == 1, "the warden hears of it");
    assert_eq!(feeds.orders(awake).len(), 1, "it is fetched at once");
    feeds.slept(day, &mut court, Clock { wall: awake.wall.after(day), ..awake });
    feeds.expire(&mut court, awake);
    assert_eq!(court.judge.listed(awake.wall).0.len(), 0);
}

#[test]
fn a_stream_says_what_has_changed() {
    let (_folder, _, mut court, mut feeds) = begun("url = 'http://127.0.0.1:8080'\nformat = 'crowdsec'\nkey = '/k'");
    let order = |order, whole| Message::Fetch { order, feed: 0, whole, known: Default::default() };
    assert_eq!(feeds.orders(CLOCK), [order(1, true)]);
    let entry = |text: &str, secs| (text.parse::<Prefix>().unwrap(), Some(secs));
    feeds.items(1, vec![entry("8.8.1.1", 3_600), entry("8.8.2.0/24", 90)], Vec::new());
    let got = || Got::List { known: Default::default(), left_out: [0, 0] };
    feeds.fetched(1, got(), &mut court, CLOCK);
    assert_eq!(feeds.orders(later(60)), [order(2, false)]);
    feeds.items(2, vec![entry("8.8.3.3", 600)], vec!["8.8.1.1".parse().unwrap()]);
    feeds.fetched(2, got(), &mut court, later(60));
    let listed =
        |court: &Court, secs| court.judge.listed(later(secs).wall).0.iter().map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>();
    assert_eq!(listed(&court, 61), ["8.8.2.0/24", "8.8.3.3"]);
    assert_eq!(listed(&court, 91), ["8.8.3.3"]);
    // Who has asked again after his death gets all of it.
    feeds.envoy(false);
    feeds.envoy(true);
    assert_eq!(feeds.orders(later(130)), [order(3, true)], "the stream's reader has died: it begins anew");
    // Nothing is dropped unsaid: of more than all lists can have, nobody goes.
    let gone = vec!["8.8.3.3".parse().unwrap(); limits::BATCH_LISTED];
    assert!((0..=limits::LISTED / limits::BATCH_LISTED).all(|_| feeds.items(3, Vec::new(), gone.clone())));
    assert!(feeds.fetched(3, got(), &mut court, later(130)));
    assert_eq!((feeds.refused, listed(&court, 131)), (1, vec!["8.8.3.3".to_owned()]));
}

#[test]
fn an_envoy_that_ends_over_each_answer_does_not_ask_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config("url = 'https://a.example/'");
    let mut court = a_court(&config);
    let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, CLOCK);
    let asked = (0..7_200).filter(|secs| {
        feeds.envoy(true);
        let orders = feeds.orders(later(*secs)).len();
        feeds.envoy(false);
        orders > 0
    });
    assert_eq!(asked.collect::<Vec<_>>(), [0, 1, 3_601]);
    // One that answers may end once more without consequence.
    feeds.envoy(true);
    let number = order(&mut feeds, later(7_201));
    assert!(feeds.fetched(number, Got::Nothing { why: "500".into(), wait: None }, &mut court, later(7_201)));
    for _ in 0..2 {
        assert_eq!(feeds.orders(later(10_801)).len(), 1);
        feeds.envoy(false);
        feeds.envoy(true);
    }
    assert_eq!(feeds.orders(later(10_801)).len(), 0);
}

#[test]
fn a_lists_name_puts_nobody_on_it() {
    let (folder, config, mut court, mut feeds) = begun("url = 'https://a.example/'");
    let known = ["x\n# modified \n8.9.9.9 1700100000".to_owned(), String::new()];
    assert_eq!(bring(&mut feeds, &mut court, items(0..1), Got::List { known, left_out: [0; 2] }, CLOCK), 1);
    let mut after = a_court(&config);
    Feeds::load(&config.feeds, folder.path(), &mut after, later(60));
    assert_eq!(after.judge.listed(later(60).wall).0.len(), 1);
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (_folder, _, mut court, mut feeds) = begun("url = 'https://a.example/'");
    let first = order(&mut feeds, CLOCK);
    assert!(feeds.items(first, items(0..3), Vec::new()));
    let late = later(ANSWER.as_secs());
    let second = order(&mut feeds, late);
    // The rest of the first answer comes in the middle of the second.
    assert!(feeds.items(second, items(10..12), Vec::new()));
    assert!(!feeds.items(first, items(3..9), Vec::new()) && !feeds.fetched(first, LIST(), &mut court, late));
    assert!(feeds.fetched(second, LIST(), &mut court, late));
    assert_eq!(court.judge.listed(late.wall).0.len(), 2);
    assert!(!feeds.fetched(second, LIST(), &mut court, late), "once");
}

#[test]
fn the_copy_of_another_list_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let old = config("url = 'https://a.example/'");
    let mut court = a_court(&old);
    let mut feeds = Feeds::load(&old.feeds, folder.path(), &mut court, CLOCK);
    feeds.envoy(true);
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
    for (keys, entries) in [("url = 'https://b.example/'", 0), ("path = '/a.list'", 0), ("url = 'https://a.example/'\nevery = '2h'", 5)] {
        let new = config(keys);
        let mut court = a_court(&new);
        let mut feeds = Feeds::load(&new.feeds, folder.path(), &mut court, later(60));
        feeds.envoy(true);
        assert_eq!(court.judge.listed(later(60).wall).0.len(), entries, "{keys}");
        assert_eq!(feeds.orders(later(60)).is_empty(), entries > 0, "another list is fetched at once: {keys}");
    }
}

#[test]
fn a_copy_is_read_as_it_was_written() {
    let saved = Saved {
        from: "https://a.example/".into(),
        fetched: Time::from_secs(7),
        known: ["W/\"x\"".into(), String::new()],
        entries: vec![("8.8.0.0/16".parse().unwrap(), Time::from_secs(9)), ("2600::1".parse().unwrap(), Time::from_secs(8))],
    };
    let text = saved.text();
    assert_eq!(Saved::read(&text), Some(saved));
    // What a power cut leaves of a file that nobody has waited for: less of it, or nothing where something was.
    for end in 0..text.len() {
        assert_eq!(Saved::read(&text[..end]), None, "{}", &text[..end]);
        assert_eq!(Saved::read(&(text[..end].to_owned() + &"\0".repeat(text.len() - end))), None);
    }
    let without = text.lines().filter(|line| !line.starts_with("8.8")).fold(String::new(), |text, line| text + line + "\n");
    for odd in [&without, "<html>\n", "# entries 0\n"] {
        assert_eq!(Saved::read(odd), None, "{odd}");
    }
}

#[test]
fn a_list_that_stays_the_same_ends_for_nobody() {
    let (folder, config, mut court, mut feeds) = begun("url = 'https://a.example/'\nevery = '6h'\nexpires = '48h'");
    let hour = 3_600;
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
    // Just before half of their time is over others come; from then on it is the same, and riposte begins anew twice.
    assert_eq!(bring(&mut feeds, &mut court, items(0..6), LIST(), later(23 * hour)), 6);
    for n in 4..30 {
        if n == 5 || n == 11 {
            court = a_court(&config);
            feeds = Feeds::load(&config.feeds, folder.path(), &mut court, later(6 * n * hour - 60));
            feeds.envoy(true);
        }
        let before = court.judge.listed(later(6 * n * hour - 1).wall).0.len();
        assert_eq!((before, bring(&mut feeds, &mut court, Vec::new(), Got::Same, later(6 * n * hour))), (6, 6), "after {} hours", 6 * n);
    }
}

#[test]
fn a_clock_that_is_set_moves_the_copies_too() {
    for (step, forward) in [(86_400 * 3, true), (86_400 * 3, false)] {
        let folder = tempfile::tempdir().unwrap();
        let config = config("url = 'https://a.example/'\nexpires = '48h'");
        let mut court = a_court(&config);
        let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, CLOCK);
        feeds.envoy(true);
        assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
        assert_eq!(feeds.tell(&court, CLOCK).len(), 1);
        let step = Duration::from_secs(step);
        let moved = |at: Clock| Clock { wall: if forward { at.wall.after(step) } else { at.wall.before(step) }, ..at };
        let now = moved(later(60));
        feeds.clock_set(step, forward, &mut court, now);
        assert_eq!((court.judge.listed(now.wall).0.len(), feeds.tell(&court, now).len()), (5, 1), "what was under way is told again");
        let after = |secs| {
            let mut court = a_court(&config);
            Feeds::load(&config.feeds, folder.path(), &mut court, moved(later(secs)));
            court.judge.listed(moved(later(secs)).wall).0.len()
        };
        assert_eq!([after(3_600), after(48 * 3_600 - 60), after(48 * 3_600)], [5, 5, 0], "{forward}");
    }
}

#[test]
fn what_is_the_same_as_a_list_that_has_ended_meanwhile_is_asked_for_once_more() {
    let (_folder, _, mut court, mut feeds) = begun("path = '/list'\nevery = '60s'\nexpires = '120s'");
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
    let orders = feeds.orders(later(119));
    let [Message::Fetch { order, .. }] = orders[..] else { panic!("{orders:?}") };
    feeds.expire(&mut court, later(121));
    assert!(feeds.fetched(order, Got::Same, &mut court, later(122)));
    let again = feeds.orders(later(122));
    let [Message::Fetch { order, ref known, .. }] = again[..] else { panic!("{again:?}") };
    assert_eq!(*known, [String::new(), String::new()], "all of it");
    // Whoever says the same of nothing is not asked without end.
    assert!(feeds.fetched(order, Got::Same, &mut court, later(123)));
    assert_eq!(feeds.orders(later(123)), []);
}

#[test]
fn decisions_that_have_ended_by_themselves_make_no_other_list() {
    let (_folder, _, mut court, mut feeds) = begun("url = 'http://127.0.0.1:8080'\nformat = 'crowdsec'\nkey = '/k'");
    let short: Vec<_> = items(0..2_000).into_iter().map(|(prefix, _)| (prefix, Some(30))).collect();
    assert_eq!(bring(&mut feeds, &mut court, short, LIST(), CLOCK), 2_000);
    let orders = feeds.orders(later(60));
    let [Message::Fetch { order, .. }] = orders[..] else { panic!("{orders:?}") };
    feeds.items(order, items(3_000..3_001), items(0..2_000).into_iter().map(|(prefix, _)| prefix).collect());
    assert!(feeds.fetched(order, LIST(), &mut court, later(60)));
    assert_eq!((court.judge.listed(later(60).wall).0.len(), feeds.refused), (1, 0));
}

#[test]
fn who_has_ended_meanwhile_and_is_named_again_makes_no_other_list() {
    let (folder, config, mut court, mut feeds) = begun("url = 'https://a.example/'\nevery = '6h'\nexpires = '48h'");
    let hour = 3_600;
    assert_eq!(bring(&mut feeds, &mut court, items(0..1_300), LIST(), CLOCK), 1_300);
    // Five more, for whom the list holds for longer.
    assert_eq!(bring(&mut feeds, &mut court, items(0..1_305), LIST(), later(23 * hour)), 1_305);
    let morning = later(50 * hour);
    let mut court = a_court(&config);
    let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, morning);
    feeds.envoy(true);
    assert_eq!(court.judge.listed(morning.wall).0.len(), 5);
    assert_eq!(bring(&mut feeds, &mut court, items(0..1_306), LIST(), morning), 1_306);
    // Those who were never on it are as new as ever.
    let mut feeds = Feeds::load(&config.feeds, folder.path(), &mut court, morning);
    feeds.envoy(true);
    assert_eq!(bring(&mut feeds, &mut court, items(0..4_000), LIST(), later(52 * hour)), 1_306);
}

#[test]
fn a_copy_that_could_not_be_written_is_written_later_though_nothing_has_changed() {
    let (folder, config, mut court, mut feeds) = begun("url = 'http://127.0.0.1:8080'\nformat = 'crowdsec'\nkey = '/k'");
    fs::write(folder.path().join(FOLDER), "no folder").unwrap();
    assert_eq!(bring(&mut feeds, &mut court, items(0..5), LIST(), CLOCK), 5);
    assert_eq!(feeds.unwritten, 1);
    fs::remove_file(folder.path().join(FOLDER)).unwrap();
    assert_eq!(bring(&mut feeds, &mut court, Vec::new(), LIST(), later(60)), 5);
    let mut after = a_court(&config);
    Feeds::load(&config.feeds, folder.path(), &mut after, later(120));
    assert_eq!((after.judge.listed(later(120).wall).0.len(), feeds.unwritten), (5, 1));
}
