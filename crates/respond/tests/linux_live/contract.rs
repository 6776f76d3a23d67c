//! What holds for each responder alike.

use crate::network::{NOW, Network, add, add_until, remove, secs};
use crate::sh;
use model::block::{Change, Expiry, Fault, Outcome};
use respond::tool::Programs;
use respond::{Kind, Responder, Settings, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// One of the responders in one of its ways.
#[derive(Clone, Copy)]
pub struct Way {
    pub name: &'static str,
    kind: &'static str,
    choices: &'static [(&'static str, &'static str)],
}

pub const WAYS: &[Way] = &[
    Way { name: "ipset with iptables-nft", kind: "ipset", choices: &[("backend", "nft")] },
    Way { name: "ipset with iptables-legacy", kind: "ipset", choices: &[("backend", "legacy")] },
    Way { name: "iptables-nft", kind: "iptables", choices: &[("backend", "nft")] },
    Way { name: "iptables-legacy", kind: "iptables", choices: &[("backend", "legacy")] },
    Way { name: "ebtables-nft", kind: "ebtables", choices: &[("backend", "nft")] },
    Way { name: "routes", kind: "routes", choices: &[] },
    Way { name: "routes that say so", kind: "routes", choices: &[("answer", "unreachable")] },
    Way { name: "routes that forbid", kind: "routes", choices: &[("answer", "prohibit")] },
    Way { name: "hosts-deny", kind: "hosts-deny", choices: &[] },
    Way { name: "hosts-deny with options", kind: "hosts-deny", choices: &[("format", "options")] },
];

impl Way {
    /// Those of these kinds.
    pub fn of(kinds: &[&str]) -> Vec<Way> {
        WAYS.iter().filter(|way| kinds.contains(&way.kind)).copied().collect()
    }

    /// What is chosen, by the configuration's own keys.
    pub fn settings(&self, size: Option<i64>) -> Settings {
        let kind = Kind::of(self.kind).unwrap();
        let mut settings = Settings::default();
        let mut choose = |name: &str, value: Value| {
            let key = kind.keys.iter().find(|key| key.name == name).unwrap();
            (key.set)(&mut settings, value.clone()).unwrap();
            assert_eq!((key.get)(&settings), value);
        };
        self.choices.iter().for_each(|(name, word)| choose(name, Value::Text((*word).to_owned())));
        size.into_iter().for_each(|size| choose("size", Value::Number(size)));
        if self.kind == "hosts-deny" {
            choose("file", Value::Text(hosts_deny().to_str().unwrap().to_owned()));
        }
        settings
    }

    pub fn open(&self) -> Box<dyn Responder> {
        self.open_as(&self.settings(None))
    }

    pub fn open_as(&self, settings: &Settings) -> Box<dyn Responder> {
        let open = Kind::of(self.kind).unwrap().open.unwrap();
        open(settings, Box::new(Programs)).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// A file of this run's own.
pub fn hosts_deny() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rp-reslinux-{}", std::process::id()));
    if !folder.is_dir() {
        fs::create_dir(&folder).unwrap();
    }
    folder.join("hosts.deny")
}

/// What is listed, with the time left rounded up to ten seconds: tests take no longer.
pub fn listed(responder: &mut dyn Responder) -> BTreeMap<String, Option<u64>> {
    let left = |expiry| match expiry {
        Expiry::At(at) => Some(at.since(NOW).as_secs().div_ceil(10) * 10),
        Expiry::Never => None,
    };
    responder.list(NOW).unwrap().iter().map(|installed| (installed.scope.prefix().to_string(), left(installed.expiry))).collect()
}

/// What others have: in everything that a responder could touch, without counters and remarks.
pub fn strangers() -> Vec<String> {
    let mut all = Vec::new();
    for program in ["iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save", "ebtables-nft-save"] {
        all.push(sh(program, ""));
    }
    all.push(sh("ipset", "save"));
    all.push(sh("ip", "-4 route show table all"));
    all.push(sh("ip", "-6 route show table all"));
    // The kernel's own routes come and go with the links.
    let is_others =
        |line: &&str| !["riposte", "proto 173", "proto kernel"].iter().any(|word| line.contains(word)) && !line.starts_with('#');
    let without_counters = |line: &str| line.split(" [").next().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = all.iter().flat_map(|text| text.lines()).filter(is_others).map(without_counters).collect();
    lines.push(format!("{:?}", hosts_of_others()));
    lines
}

pub fn unchanged(before: &[String], when: &str) {
    let after = strangers();
    let differs: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(differs.is_empty() && before.len() == after.len(), "{when}: {differs:?}");
}

/// The bytes of the file that do not stand between our marks.
pub fn hosts_of_others() -> String {
    let text = fs::read_to_string(hosts_deny()).unwrap_or_default();
    let (before, rest) = text.split_once("# riposte: begin").unwrap_or((&text, "# riposte: end.\n"));
    format!("{before}{}", rest.split_once("# riposte: end.\n").unwrap().1)
}

/// Rules, sets, routes and lines of somebody else's, some of them much like ours.
fn settle_strangers() {
    for iptables in ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"] {
        let source = if iptables.starts_with("ip6") { "2001:db8:77::7" } else { "198.51.100.7" };
        sh(iptables, "-P FORWARD ACCEPT");
        sh(iptables, "-N f2b-sshd");
        sh(iptables, &format!("-A f2b-sshd -s {source} -j DROP"));
        sh(iptables, "-A INPUT -p tcp --dport 22 -j f2b-sshd");
        sh(iptables, "-A FORWARD -p udp --dport 1 -j DROP");
        sh(iptables, "-t mangle -A PREROUTING -p udp --dport 2 -j DROP");
    }
    sh("ebtables-nft", "-N other");
    sh("ebtables-nft", "-A other -p IPv4 --ip-src 198.51.100.7 -j DROP");
    sh("ebtables-nft", "-A INPUT -p ARP -j ACCEPT");
    sh("ebtables-nft", "-A FORWARD -j other");
    sh("ipset", "create blocked4 hash:ip");
    sh("ipset", "add blocked4 198.51.100.7");
    sh("ip", "route replace blackhole 198.51.100.7 proto static");
    sh("ip", "-6 route replace unreachable 2001:db8:77::7 proto static");
    sh("ip", "route replace 198.51.101.0/24 via 10.78.0.2 table 100");
    fs::write(hosts_deny(), "# mine\nsshd: 198.51.100.7\r\nALL: .example.invalid, \\\n  198.51.100.8\nALL: 198.51.100.9").unwrap();
}

pub fn every_responder_keeps_the_contract(_: &Network) {
    for way in WAYS {
        let said = |what: &str| format!("{}: {what}", way.name);
        crate::network::clean();
        settle_strangers();
        let before = strangers();
        let mut responder = way.open();
        unchanged(&before, &said("opening"));
        assert_eq!(listed(&mut *responder), BTreeMap::new(), "{}", said("a new one is empty"));

        let own_expiry = |secs: u64| responder.expires_itself().then_some(secs);
        let [short, long] = [600, 900].map(own_expiry);
        let batch = [
            remove("192.0.2.200"),
            add("192.0.2.1"),
            add_until("192.0.2.1", secs(900)),
            add("2001:db8::1"),
            add_until("192.0.2.2", Expiry::Never),
            remove("192.0.2.2"),
            add("203.0.113.0/24"),
            add("2001:db8:5::/64"),
            add("0.0.0.0/0"),
            add_until("192.0.2.3", Expiry::Never),
        ];
        use Outcome::{Added, Removed, Unsupported};
        let expected = [Removed, Added, Added, Added, Added, Removed, Added, Added, Unsupported, Added];
        assert_eq!(responder.apply(&batch, NOW), expected, "{}", said("outcomes"));
        let standing: BTreeMap<String, Option<u64>> =
            [("192.0.2.1", long), ("2001:db8::1", short), ("203.0.113.0/24", short), ("2001:db8:5::/64", short), ("192.0.2.3", None)]
                .map(|(prefix, left)| (prefix.to_owned(), left))
                .into();
        assert_eq!(listed(&mut *responder), standing, "{}", said("list"));
        assert_eq!(responder.apply(&[], NOW), []);
        unchanged(&before, &said("with blocks"));

        // Another run takes over.
        drop(responder);
        let mut responder = way.open();
        assert_eq!(listed(&mut *responder), standing, "{}", said("taken over"));
        assert_eq!(responder.apply(&[add("192.0.2.1"), add("2001:db8::1"), remove("192.0.2.3")], NOW), [Added, Added, Removed]);
        assert_eq!(listed(&mut *responder).len(), 4, "{}", said("what stands is no error"));

        // A thousand at once, one of them impossible, and away again.
        let whom = |n: u32| if n % 4 == 3 { format!("2001:db8:1::{n:x}") } else { format!("10.1.{}.{}", n >> 8, n & 255) };
        let mut many: Vec<Change> = (0..1_000).map(|n| add(&whom(n))).collect();
        many[500] = add("::/0");
        let outcomes = responder.apply(&many, NOW);
        assert_eq!((outcomes.len(), outcomes[500]), (1_000, Unsupported), "{}", said("the impossible"));
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Added).count(), 999, "{}", said("a thousand"));
        assert_eq!(listed(&mut *responder).len(), 1_003, "{}", said("a thousand listed"));
        unchanged(&before, &said("with a thousand"));
        let away: Vec<Change> = (0..1_000).map(|n| remove(&whom(n))).collect();
        assert!(responder.apply(&away, NOW).iter().all(|outcome| *outcome == Removed), "{}", said("a thousand removed"));

        let rest = ["192.0.2.1", "2001:db8::1", "203.0.113.0/24", "2001:db8:5::/64"].map(remove);
        assert_eq!(responder.apply(&rest, NOW), [Removed; 4], "{}", said("the rest"));
        assert_eq!(listed(&mut *responder), BTreeMap::new(), "{}", said("nothing left"));
        unchanged(&before, &said("afterwards"));
    }
}

pub fn a_full_one_refuses_only_what_is_new(_: &Network) {
    for way in WAYS {
        crate::network::clean();
        let _ = fs::remove_file(hosts_deny());
        let mut responder = way.open_as(&way.settings(Some(3)));
        let host = |n: u8| format!("192.0.2.{n}");
        let (added, full) = (Outcome::Added, Outcome::Failed(Fault::Full));
        let outcomes = responder.apply(&[1, 2, 3, 4, 5].map(|n| add(&host(n))), NOW);
        assert_eq!(outcomes, [added, added, added, full, full], "{}", way.name);
        let batch = [add(&host(4)), remove(&host(9)), add(&host(2)), remove(&host(3)), add(&host(5)), add(&host(6))];
        let expected = [full, Outcome::Removed, added, Outcome::Removed, added, full];
        assert_eq!(responder.apply(&batch, NOW), expected, "{}", way.name);
        assert_eq!(listed(&mut *responder).into_keys().collect::<Vec<_>>(), [host(1), host(2), host(5)], "{}", way.name);
    }
}

/// Adds a second, in batches of a thousand and one by one.
#[expect(clippy::disallowed_methods, reason = "measures how long it takes")]
pub fn rates() {
    let whom = |n: u32| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
    for way in WAYS {
        crate::network::clean();
        let _ = fs::remove_file(hosts_deny());
        let mut responder = way.open();
        let rate = |count: u32, began: std::time::Instant| f64::from(count) / began.elapsed().as_secs_f64();
        let began = std::time::Instant::now();
        let singles = (0..200).all(|n| responder.apply(&[add(&whom(n))], NOW) == [Outcome::Added]);
        let alone = rate(200, began);
        let batches = if way.kind == "hosts-deny" { 1 } else { 4 };
        let began = std::time::Instant::now();
        let added = (1..=batches).all(|batch| {
            let changes: Vec<Change> = (batch * 1_000..(batch + 1) * 1_000).map(|n| add(&whom(n))).collect();
            responder.apply(&changes, NOW).iter().all(|outcome| *outcome == Outcome::Added)
        });
        assert!(singles && added);
        let many = rate(batches * 1_000, began);
        let began = std::time::Instant::now();
        let count = responder.list(NOW).unwrap().len();
        println!("{}: {alone:.0} adds/s one by one, {many:.0} in batches of 1,000; list of {count} in {:?}", way.name, began.elapsed());
    }
}
