//! Routes that lead nowhere.

use crate::contract::{Way, listed};
use crate::network::{NOW, Network, PEER, VICTIM, WITNESS, add, remove};
use crate::sh;
use model::block::{Fault, Outcome};
use respond::{Responder, routes};
use std::io::ErrorKind;
use sys::null_route::NullRoute;

fn open(answer: NullRoute, table: u32) -> Box<dyn Responder> {
    let way = Way::of(&["routes"])[0];
    let mut settings = way.settings(None);
    settings.routes.answer = answer;
    settings.routes.table = table;
    way.open_as(&settings)
}

pub fn routes_cut_the_way_back(network: &Network) {
    for (answer, error, word) in [
        (NullRoute::Unreachable, ErrorKind::HostUnreachable, "unreachable"),
        (NullRoute::Prohibit, ErrorKind::PermissionDenied, "prohibit"),
        (NullRoute::Blackhole, ErrorKind::InvalidInput, "blackhole"),
    ] {
        // The type changes from run to run: what stands is made anew when it is added.
        let mut routes = open(answer, 254);
        assert_eq!(routes.apply(&PEER.map(add), NOW), [Outcome::Added; 2]);
        for family in [0, 1] {
            let socket = Network::here(VICTIM[family]);
            assert_eq!(socket.send_to(b"back", (PEER[family], 9)).unwrap_err().kind(), error, "{word} {family}");
            assert_eq!(socket.send_to(b"back", (WITNESS[family], 9)).unwrap(), 4);
            // The way in is open.
            assert!(network.reaches(PEER[family], &socket), "{word} {family}");
        }
        let shown = sh("ip", "-4 route show proto 173");
        assert!(shown.contains(&format!("{word} {}", PEER[0])) && shown.lines().count() == 1, "{shown}");
    }
    let warning = routes::warning().unwrap();
    assert!(warning.contains("br0, eth0, eth1, eth2") && warning.contains("IPv6"), "{warning}");
    // With reverse-path filtering, strict or loose, it is closed.
    for mode in [1, 2] {
        sh("sysctl", &format!("-qw net.ipv4.conf.br0.rp_filter={mode}"));
        assert!(!network.reaches(PEER[0], &Network::here(VICTIM[0])), "rp_filter {mode}");
        assert!(!routes::warning().unwrap().contains("br0"));
    }
    sh("sysctl", "-qw net.ipv4.conf.all.rp_filter=2");
    let warning = routes::warning().unwrap();
    assert!(!warning.contains("rp_filter") && warning.contains("IPv6"), "{warning}");
    let mut routes = open(NullRoute::Blackhole, 254);
    assert_eq!(routes.apply(&PEER.map(remove), NOW), [Outcome::Removed; 2]);
    assert!(network.reaches(PEER[0], &Network::here(VICTIM[0])));
    assert_eq!(sh("ip", "-6 route show proto 173"), "");
}

pub fn others_routes_are_respected(_: &Network) {
    let theirs = [
        "-4 route replace 198.51.100.20 via 10.78.0.2",
        "-4 route replace 198.51.100.21 via 10.78.0.2 metric 50",
        "-6 route replace 2001:db8:20::1 via fd78::2 metric 300",
        "-6 route replace 2001:db8:21::/64 via fd78::2",
        "-4 route replace blackhole 198.51.100.22",
        "-4 route replace default via 10.78.0.77",
    ];
    theirs.iter().for_each(|args| drop(sh("ip", args)));
    let shown = || [sh("ip", "-4 route show table all"), sh("ip", "-6 route show table all")].concat();
    let before = shown();
    let mut routes = open(NullRoute::Blackhole, 254);
    let (added, refused, unsupported) = (Outcome::Added, Outcome::Failed(Fault::Refused), Outcome::Unsupported);
    let batch = [
        ("198.51.100.19", added),
        ("198.51.100.20", refused),
        ("198.51.100.21", refused),
        ("2001:db8:20::1", refused),
        ("2001:db8:21::/64", refused),
        ("2001:db8:21::7", added),
        ("198.51.100.22", refused),
        ("198.51.100.0/24", added),
        // This host, its networks and its gateway.
        ("10.77.0.1", refused),
        ("10.77.0.0/24", refused),
        ("fd77::/64", refused),
        ("10.78.0.77", refused),
        ("10.78.0.76/30", refused),
        ("10.77.0.9", added),
        // Half the world.
        ("64.0.0.0/7", unsupported),
        ("2000::/15", unsupported),
        ("198.51.100.23", added),
    ];
    let outcomes = routes.apply(&batch.map(|(whom, _)| add(whom)), NOW);
    for ((whom, expected), outcome) in batch.iter().zip(&outcomes) {
        assert_eq!(outcome, expected, "{whom}");
    }
    assert_eq!(listed(&mut *routes).len(), 5);
    // Removing takes only ours.
    let away = batch.map(|(whom, expected)| (remove(whom), if expected == unsupported { unsupported } else { Outcome::Removed }));
    assert_eq!(routes.apply(&away.map(|(change, _)| change), NOW), away.map(|(_, outcome)| outcome));
    assert_eq!(shown(), before);

    // Another table, which exists only as long as it has routes.
    let mut other = open(NullRoute::Blackhole, 7_173);
    assert_eq!(other.apply(&[add("198.51.100.20"), add("2001:db8:20::1")], NOW), [added; 2]);
    assert_eq!(listed(&mut *routes).len(), 0);
    assert_eq!(listed(&mut *other).len(), 2);
    assert!(sh("ip", "route show table 7173").contains("blackhole 198.51.100.20 proto 173"));
    assert_eq!(other.apply(&[remove("198.51.100.20"), remove("2001:db8:20::1")], NOW), [Outcome::Removed; 2]);
    assert_eq!(listed(&mut *other).len(), 0);
    assert_eq!(shown(), before);
    theirs.iter().for_each(|args| {
        let args = args.replace("replace", "del");
        sh("ip", &args);
    });
}
