//! Rules and sets: iptables, ipset and ebtables.

use crate::contract::{Way, listed};
use crate::network::{BRIDGED, NOW, Network, PEER, ROUTED, VICTIM, add, add_until, remove, scope, secs};
use crate::sh;
use model::block::{Expiry, Fault, Installed, Outcome};
use range::namespace::run;
use respond::tool::{Programs, Tool, ToolError};
use respond::{Kind, Responder};
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

pub fn blocked_packets_are_dropped(network: &Network) {
    for way in Way::of(&["ipset", "iptables", "ebtables"]) {
        crate::network::clean();
        let mut responder = way.open();
        for (family, net) in ["10.77.0.2/31", "fd77::2/127"].into_iter().enumerate() {
            // Bridged packets are ebtables' alone.
            let bridged = (way.name == "ebtables-nft").then(|| network.behind(BRIDGED[family]));
            let sockets = [Network::here(VICTIM[family]), network.behind(ROUTED[family])];
            let sockets: Vec<_> = sockets.iter().chain(&bridged).collect();
            let all = |reach: bool, when: &str| {
                for socket in &sockets {
                    assert_eq!(network.reaches(PEER[family], socket), reach, "{}: {socket:?} {when}", way.name);
                }
            };
            all(true, "before");
            for whom in [PEER[family], net] {
                assert_eq!(responder.apply(&[add(whom)], NOW), [Outcome::Added]);
                all(false, "blocked");
                assert_eq!(responder.apply(&[remove(whom)], NOW), [Outcome::Removed]);
            }
            all(true, "afterwards");
        }
    }
}

/// The programs that change rules by hand, and the chain.
fn hands(way: &Way) -> (&'static str, &'static str) {
    match way.name {
        "ipset with iptables-nft" => ("iptables-nft", "riposte-ipset"),
        "ipset with iptables-legacy" => ("iptables-legacy", "riposte-ipset"),
        "iptables-nft" => ("iptables-nft", "riposte"),
        "iptables-legacy" => ("iptables-legacy", "riposte"),
        _ => ("ebtables-nft", "riposte"),
    }
}

pub fn damage_is_seen_and_put_right(network: &Network) {
    for way in Way::of(&["ipset", "iptables", "ebtables"]) {
        let (program, chain) = hands(&way);
        let (is_set, socket) = (program != "ebtables-nft" && chain == "riposte-ipset", Network::here(VICTIM[0]));
        let gone = format!("-D INPUT -j {chain}");
        // What is done, and whether the blocks themselves are lost by it.
        let damages: [(&[&str], bool); 4] =
            [(&[gone.as_str()], false), (&["-I INPUT 1 -j ACCEPT"], false), (&["-F INPUT"], false), (&["-F", "-X"], !is_set)];
        for (damage, is_lost) in damages {
            crate::network::clean();
            let mut responder = way.open();
            assert_eq!(responder.apply(&[add("192.0.2.1"), add(PEER[0])], NOW), [Outcome::Added; 2]);
            damage.iter().for_each(|args| drop(sh(program, args)));
            let said = format!("{}: {damage:?}", way.name);
            // What is not in force is not listed.
            assert!(!listed(&mut *responder).keys().any(|whom| whom.contains('.')), "{said}");
            assert!(network.reaches(PEER[0], &socket), "{said}");
            // Whoever misses something adds it again.
            assert_eq!(responder.apply(&[add(PEER[0])], NOW), [Outcome::Added], "{said}");
            assert_eq!(listed(&mut *responder).len(), if is_lost { 1 } else { 2 }, "{said}");
            assert!(!network.reaches(PEER[0], &socket), "{said}");
            let saved = sh(&format!("{program}-save"), "");
            assert_eq!(saved.matches(&format!("-A INPUT -j {chain}\n")).count(), 1, "{said}: called once");
            // What somebody else put there is there.
            assert_eq!(saved.contains("-A INPUT -j ACCEPT\n"), damage[0].contains("ACCEPT"), "{said}");
        }
    }
    sets_that_are_emptied_are_filled();
    rules_are_taken_over_clean();
}

fn sets_that_are_emptied_are_filled() {
    for way in Way::of(&["ipset"]) {
        crate::network::clean();
        let mut responder = way.open();
        assert_eq!(responder.apply(&[add("192.0.2.1"), add("2001:db8::1")], NOW), [Outcome::Added; 2]);
        sh("ipset", "flush riposte4");
        assert_eq!(listed(&mut *responder).into_keys().collect::<Vec<_>>(), ["2001:db8::1"]);
        // Chains and sets gone, and nobody has listed since.
        let (program, _) = hands(&way);
        for program in [program, &program.replace("iptables", "ip6tables")] {
            sh(program, "-F");
            sh(program, "-X");
        }
        sh("ipset", "destroy");
        let batch = [add("192.0.2.1"), remove("192.0.2.7"), add("2001:db8::1"), add("203.0.113.0/24")];
        use Outcome::{Added, Removed};
        assert_eq!(responder.apply(&batch, NOW), [Added, Removed, Added, Added], "{}", way.name);
        assert_eq!(listed(&mut *responder).len(), 3, "{}", way.name);
    }
}

/// What stands twice stands once, and what is no block of ours does not stand in our chain.
fn rules_are_taken_over_clean() {
    for way in Way::of(&["iptables", "ebtables"]) {
        crate::network::clean();
        let (program, chain) = hands(&way);
        let source = if program == "ebtables-nft" { "-p IPv4 --ip-src" } else { "-s" };
        sh(program, &format!("-N {chain}"));
        for rule in [format!("{source} 192.0.2.1 -j DROP"), format!("{source} 192.0.2.1 -j DROP"), format!("{source} 192.0.2.2 -j ACCEPT")]
        {
            sh(program, &format!("-A {chain} {rule}"));
        }
        let mut responder = way.open();
        assert_eq!(listed(&mut *responder).into_keys().collect::<Vec<_>>(), ["192.0.2.1"]);
        // Whoever is not blocked goes on to the rules of others: a chain that ebtables makes by hand accepts him.
        assert!(!sh(&format!("{program}-save"), "").contains(&format!(":{chain} ACCEPT")), "{}", way.name);
        assert!(!sh(program, &format!("-L {chain}")).contains("ACCEPT"), "{}", way.name);
        // Doubled again behind our back: both go.
        sh(program, &format!("-A {chain} {source} 192.0.2.1 -j DROP"));
        assert_eq!(responder.apply(&[remove("192.0.2.1")], NOW), [Outcome::Removed]);
        assert_eq!(listed(&mut *responder), BTreeMap::new());
        assert!(!sh(program, &format!("-L {chain}")).contains("192.0.2.1"), "{}", way.name);
    }
}

/// The real programs, which somebody keeps from writing anything about one address.
struct Censored;

impl Tool for Censored {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        if input.contains("192.0.2.66 ") {
            return Err(ToolError::Refused { program: program.to_owned(), code: 2, said: "no".to_owned() });
        }
        Programs.run(program, args, input)
    }
}

pub fn a_refused_batch_has_true_outcomes(_: &Network) {
    for way in Way::of(&["iptables", "ebtables"]) {
        crate::network::clean();
        let open = Kind::of(if way.name == "ebtables-nft" { "ebtables" } else { "iptables" }).unwrap().open.unwrap();
        let mut responder: Box<dyn Responder> = open(&way.settings(None), Box::new(Censored)).unwrap();
        let whom = |n: u8| format!("192.0.2.{n}");
        let batch: Vec<_> = (60..=75).map(|n| add(&whom(n))).collect();
        let outcomes = responder.apply(&batch, NOW);
        let expected: Vec<_> = (60..=75).map(|n| if n == 66 { Outcome::Failed(Fault::Refused) } else { Outcome::Added }).collect();
        assert_eq!(outcomes, expected, "{}", way.name);
        assert_eq!(listed(&mut *responder).len(), 15, "{}", way.name);
    }
}

pub fn what_nft_alone_knows_is_told(_: &Network) {
    for way in Way::of(&["iptables", "ipset"]).into_iter().filter(|way| way.name.ends_with("nft")) {
        crate::network::clean();
        sh("nft", "add table ip filter");
        run(
            "nft",
            ["add chain ip filter INPUT { type filter hook input priority 0; }; add rule ip filter INPUT fib saddr type local drop"],
        )
        .unwrap();
        let before = sh("nft", "list ruleset");
        let kind = Kind::of(if way.name.starts_with("ipset") { "ipset" } else { "iptables" }).unwrap();
        let error = kind.open.unwrap()(&way.settings(None), Box::new(Programs)).err().unwrap_or_default();
        assert!(error.contains("incompatible"), "{}: {error}", way.name);
        assert_eq!(sh("nft", "list ruleset"), before);
    }
}

pub fn sets_end_blocks_by_themselves(_: &Network) {
    let way = Way::of(&["ipset"])[0];
    let mut ipset = way.open();
    assert!(ipset.expires_itself());
    assert_eq!(
        ipset.apply(&[add_until("192.0.2.1", secs(1)), add_until("192.0.2.2", secs(0)), add("192.0.2.3")], NOW),
        [Outcome::Added; 3]
    );
    while listed(&mut *ipset).len() > 1 {
        sleep(Duration::from_millis(20));
    }
    assert_eq!(listed(&mut *ipset).into_keys().collect::<Vec<_>>(), ["192.0.2.3"]);

    // Longer than the kernel can tell: 2,147,483 s.
    let end = secs(3_000_000);
    assert_eq!(ipset.apply(&[add_until("192.0.2.4", end), add_until("192.0.2.5", Expiry::Never)], NOW), [Outcome::Added; 2]);
    let found = |ipset: &mut dyn Responder, whom: &str| {
        let list = ipset.list(NOW).unwrap();
        list.iter().find(|installed| installed.scope == scope(whom)).map(|Installed { expiry, .. }| *expiry)
    };
    assert_eq!(found(&mut *ipset, "192.0.2.4"), Some(end));
    assert_eq!(found(&mut *ipset, "192.0.2.5"), Some(Expiry::Never));
    let timer = || {
        let saved = sh("ipset", "save riposte4");
        let line = saved.lines().find(|line| line.contains(" 192.0.2.4 ")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!((2_147_000..=2_147_483).contains(&timer()), "{}", timer());
    // In the second half of it the kernel is told anew what is left.
    let later = NOW.after(Duration::from_secs(1_300_000));
    ipset.list(later).unwrap();
    assert!((1_699_000..=1_700_000).contains(&timer()), "{}", timer());
    // A run that takes over believes the kernel.
    let mut again = way.open();
    assert!(matches!(found(&mut *again, "192.0.2.4"), Some(Expiry::At(at)) if at < NOW.after(Duration::from_secs(1_700_001))));
}

pub fn sets_take_another_size(_: &Network) {
    for way in Way::of(&["ipset"]) {
        crate::network::clean();
        let whom = |n: u8| add(&format!("192.0.2.{n}"));
        let mut small = way.open_as(&way.settings(Some(3)));
        assert_eq!(
            small.apply(&[whom(1), whom(2), add_until("192.0.2.3", Expiry::Never), add("203.0.113.0/24")], NOW),
            [Outcome::Added; 4]
        );
        drop(small);
        let mut larger = way.open_as(&way.settings(Some(5)));
        assert_eq!(listed(&mut *larger).len(), 4, "{}", way.name);
        assert_eq!(listed(&mut *larger)["192.0.2.3"], None);
        let full = Outcome::Failed(Fault::Full);
        assert_eq!(larger.apply(&[whom(4), whom(5), whom(6)], NOW), [Outcome::Added, Outcome::Added, full], "{}", way.name);
        // Too small for what stands: it says so, nothing is lost, what stands can be prolonged and lifted, and nobody new comes in.
        drop(larger);
        let mut lower = way.open_as(&way.settings(Some(2)));
        let words = lower.take_words().unwrap();
        assert!(words.contains("5 blocks stand in riposte4, more than [respond.ipset] size allows (2)"), "{words}");
        assert!(!words.contains("riposte4-nets") && lower.take_words().is_none(), "{words}");
        assert_eq!(listed(&mut *lower).len(), 6);
        assert_eq!(lower.apply(&[whom(1), whom(6), add("2001:db8::1")], NOW), [Outcome::Added, full, Outcome::Added], "{}", way.name);
        // Sets that somebody has taken away come back.
        let (program, _) = hands(&way);
        for program in [program, &program.replace("iptables", "ip6tables")] {
            sh(program, "-F");
            sh(program, "-X");
        }
        sh("ipset", "destroy");
        assert_eq!(lower.apply(&[whom(1)], NOW), [Outcome::Added]);
        assert_eq!((listed(&mut *lower).len(), lower.apply(&[remove("192.0.2.1")], NOW)), (1, vec![Outcome::Removed]));
        drop(lower);
        // The next start finds room enough.
        let mut lower = way.open_as(&way.settings(Some(2)));
        assert_eq!(
            (lower.take_words(), lower.apply(&[whom(1), whom(2), whom(3)], NOW)),
            (None, vec![Outcome::Added, Outcome::Added, full])
        );
        assert!(!sh("ipset", "list -n").contains("spare"));
    }
    // Somebody else's set of that name is nobody's to change.
    crate::network::clean();
    sh("ipset", "create riposte6 hash:ip family inet6");
    sh("ipset", "add riposte6 2001:db8::9");
    let way = Way::of(&["ipset"])[0];
    let error = Kind::of("ipset").unwrap().open.unwrap()(&way.settings(None), Box::new(Programs)).err().unwrap();
    assert!(error.contains("riposte6") && error.contains("none of riposte's"), "{error}");
    assert!(sh("ipset", "save riposte6").contains("add riposte6 2001:db8::9\n"));
}
