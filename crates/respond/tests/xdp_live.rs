//! The XDP responder against the real kernel, in two network namespaces of its own (a victim and a peer, joined by a cable) that are removed
//! at the end. Needs root and `ip`; touches no interface of the host's.
//!
//! It has its own `main`: the outer run makes the namespaces and starts this program again inside the victim's.

use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use range::namespace::{Namespace, run};
use respond::Responder;
use respond::xdp::{Place, Settings, Xdp};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use sys::bpf::{Instruction, Program};
use sys::xdp::{Interface, Interfaces, Mode};

const VICTIM: &str = "10.78.0.1";
const VICTIM6: &str = "fd78::1";
/// The peer's addresses.
const PEER: [&str; 5] = ["10.78.0.2", "10.78.0.3", "10.78.0.130", "fd78::2", "fd78::3"];
/// Any time will do: the kernel only hears how long a block lasts.
const NOW: Time = Time::from_secs(1_000_000);
/// Datagrams that are sent to see whether they arrive.
const SENT: usize = 5;
/// How often something is looked at that must come to pass. Reached only if it never does.
const LOOKS: usize = 1_000;
/// What the responder's map takes.
const HOSTS: usize = 1 << 20;

type Test = fn(&Peer);

const TESTS: &[(&str, Test)] = &[
    ("blocked_packets_are_dropped_and_others_pass", blocked_packets_are_dropped_and_others_pass),
    ("it_works_in_the_driver_and_behind_it", it_works_in_the_driver_and_behind_it),
    ("blocks_end_although_nobody_is_there", blocks_end_although_nobody_is_there),
    ("a_new_start_finds_what_stands", a_new_start_finds_what_stands),
    ("a_new_expiry_replaces_the_old", a_new_expiry_replaces_the_old),
    ("nested_prefixes_are_dropped_until_the_last_ends", nested_prefixes_are_dropped_until_the_last_ends),
    ("somebody_else_s_program_stays", somebody_else_s_program_stays),
    ("a_program_that_was_taken_off_comes_back", a_program_that_was_taken_off_comes_back),
    ("only_what_an_earlier_run_left_takes_cap_sys_admin", only_what_an_earlier_run_left_takes_cap_sys_admin),
    ("nothing_else_is_changed", nothing_else_is_changed),
    ("a_full_map_refuses_only_what_is_new", a_full_map_refuses_only_what_is_new),
    ("what_can_t_be_is_told_with_what_to_do", what_can_t_be_is_told_with_what_to_do),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", peer] => inside(&Peer { namespace: (*peer).to_owned() }),
        ["send", to, from] => send(to, from),
        ["unprivileged"] => {
            let why = Xdp::open(&settings(Place::Auto)).unwrap_err();
            assert!(why.contains("CAP_BPF"), "{why}");
        }
        ["limited", which] => limited(which),
        // Whatever cargo passes on.
        _ => outside(),
    }
}

fn outside() {
    let name = |role| format!("rp-xdp{}{role}", std::process::id());
    let (victim, peer) = (Namespace::new(&name("v")).unwrap(), Namespace::new(&name("p")).unwrap());
    for cable in ["eth0", "eth1"] {
        victim.run("ip", ["link", "add", cable, "type", "veth", "peer", "name", cable, "netns", peer.name()]).unwrap();
    }
    let give = |host: &Namespace, addr: &str| {
        let (length, nodad): (_, &[&str]) = if addr.contains(':') { ("64", &["nodad"]) } else { ("24", &[]) };
        host.run("ip", [&["addr", "add", &format!("{addr}/{length}"), "dev", "eth0"], nodad].concat()).unwrap();
    };
    [VICTIM, VICTIM6].iter().for_each(|addr| give(&victim, addr));
    PEER.iter().for_each(|addr| give(&peer, addr));
    for host in [&victim, &peer] {
        host.run("ip", ["link", "set", "eth0", "up"]).unwrap();
        host.run("ip", ["link", "set", "eth1", "up"]).unwrap();
    }
    let tests = victim.run(std::env::current_exe().unwrap().to_str().unwrap(), ["inside", peer.name()]);
    print!("{}", tests.unwrap_or_else(|error| panic!("{error}")));
}

fn inside(peer: &Peer) {
    for (name, test) in TESTS {
        for (cable, mode) in ["eth0", "eth1"].into_iter().flat_map(|cable| [(cable, "xdpgeneric"), (cable, "xdpdrv")]) {
            run("ip", ["link", "set", "dev", cable, mode, "off"]).unwrap();
        }
        test(peer);
        println!("test {name} ... ok");
    }
}

/// The other end of the cable.
struct Peer {
    namespace: String,
}

impl Peer {
    /// Whether all or none of some datagrams from this address arrive; a marker behind them, from an address that is never blocked, must.
    fn reaches(&self, from: &str) -> bool {
        let to = if from.contains(':') { VICTIM6 } else { VICTIM };
        let socket = UdpSocket::bind(SocketAddr::new(to.parse().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let port = socket.local_addr().unwrap();
        let own = std::env::current_exe().unwrap();
        let marker = if from.contains(':') { PEER[4] } else { PEER[1] };
        for sender in [from, marker] {
            run("ip", ["netns", "exec", &self.namespace, own.to_str().unwrap(), "send", &port.to_string(), sender]).unwrap();
        }
        let (mut seen, mut marks, mut buffer) = (0, 0, [0; 16]);
        while marks < SENT {
            let (_, sender) = socket.recv_from(&mut buffer).unwrap();
            *(if sender.ip().to_string() == marker { &mut marks } else { &mut seen }) += 1;
        }
        assert!(seen == 0 || seen == SENT, "{seen} of {SENT}");
        seen == SENT
    }
}

fn send(to: &str, from: &str) {
    let socket = UdpSocket::bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    (0..SENT).for_each(|_| assert_eq!(socket.send_to(b"probe", to).unwrap(), 5));
}

fn settings(mode: Place) -> Settings {
    Settings { interfaces: vec!["eth0".into()], mode }
}

fn open() -> Xdp {
    Xdp::open(&settings(Place::Generic)).unwrap()
}

fn scope(text: &str) -> Scope {
    Scope::Source(text.parse().unwrap())
}

fn after(time: Duration) -> Expiry {
    Expiry::At(NOW.after(time))
}

const HOUR: Duration = Duration::from_secs(3_600);

fn add(text: &str, expiry: Expiry) -> Change {
    Change::Add { id: BlockId(1), scope: scope(text), expiry }
}

fn remove(text: &str) -> Change {
    Change::Remove { id: BlockId(1), scope: scope(text) }
}

/// What is listed, with the seconds left rounded up to ten: tests take no longer.
fn listed(xdp: &mut Xdp) -> BTreeMap<String, Option<u64>> {
    let left = |installed: &Installed| match installed.expiry {
        Expiry::At(at) => Some(at.since(NOW).as_secs().div_ceil(10) * 10),
        Expiry::Never => None,
    };
    xdp.list(NOW).unwrap().iter().map(|installed| (installed.scope.prefix().to_string(), left(installed))).collect()
}

fn interface(name: &str) -> Interface {
    Interfaces::open().unwrap().list().unwrap().into_iter().find(|interface| interface.name == name).unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!((0..LOOKS).any(|_| is_so()), "never came to pass: {what}");
}

fn blocked_packets_are_dropped_and_others_pass(peer: &Peer) {
    let mut xdp = open();
    assert!(peer.reaches(PEER[0]) && peer.reaches(PEER[3]) && peer.reaches(PEER[2]));
    let batch = [add(PEER[0], after(HOUR)), add("10.78.0.128/25", Expiry::Never), add(PEER[3], after(2 * HOUR)), remove("192.0.2.1")];
    assert_eq!(xdp.apply(&batch, NOW), [Outcome::Added, Outcome::Added, Outcome::Added, Outcome::Removed]);
    assert!(!peer.reaches(PEER[0]) && !peer.reaches(PEER[3]) && !peer.reaches(PEER[2]));
    // Those of the three, and what the peer's kernel asked from these addresses.
    assert!(xdp.dropped().unwrap() >= 3 * SENT as u64);
    let expected = [(PEER[0], Some(3_600)), ("10.78.0.128/25", None), (PEER[3], Some(7_200))];
    assert_eq!(listed(&mut xdp), expected.map(|(text, left)| (text.to_owned(), left)).into());
    // Removing twice is no error.
    let batch = [remove(PEER[0]), remove(PEER[0]), remove("10.78.0.128/25"), remove(PEER[3])];
    assert_eq!(xdp.apply(&batch, NOW), [Outcome::Removed; 4]);
    assert!(peer.reaches(PEER[0]) && peer.reaches(PEER[3]) && peer.reaches(PEER[2]));
    assert_eq!(listed(&mut xdp), BTreeMap::new());
}

fn it_works_in_the_driver_and_behind_it(peer: &Peer) {
    // A veth's driver can, so that "auto" takes it.
    for (place, mode) in [(Place::Native, Mode::Native), (Place::Auto, Mode::Native), (Place::Generic, Mode::Generic)] {
        // The program of the turn before is there still, in its mode, with its block.
        let mut xdp = Xdp::open(&settings(place)).unwrap();
        assert_eq!(interface("eth0").programs.iter().map(|(_, mode)| *mode).collect::<Vec<_>>(), [Some(mode)]);
        assert_eq!(xdp.apply(&[add(PEER[0], after(HOUR))], NOW), [Outcome::Added]);
        assert!(!peer.reaches(PEER[0]), "{place:?}");
    }
}

fn blocks_end_although_nobody_is_there(peer: &Peer) {
    let mut xdp = open();
    let soon = after(Duration::from_millis(300));
    // At the end of the batch, so that its block is the youngest when riposte goes.
    assert_eq!(xdp.apply(&[add(PEER[3], soon), add("10.78.0.128/25", soon), add(PEER[0], soon)], NOW), [Outcome::Added; 3]);
    drop(xdp);
    for addr in [PEER[0], PEER[2], PEER[3]] {
        until("the block ends", || peer.reaches(addr));
    }
    // What has ended is not taken over.
    assert_eq!(listed(&mut open()), BTreeMap::new());
}

fn a_new_start_finds_what_stands(peer: &Peer) {
    let mut xdp = open();
    xdp.apply(&[add(PEER[0], after(HOUR)), add("fd78::/120", after(HOUR)), add("203.0.113.9", Expiry::Never)], NOW);
    let before = (listed(&mut xdp), xdp.dropped().unwrap());
    drop(xdp);
    assert!(!peer.reaches(PEER[0]));
    let old = interface("eth0").programs;
    let mut xdp = open();
    assert_eq!(listed(&mut xdp), before.0);
    assert!(xdp.dropped().unwrap() >= before.1 + SENT as u64);
    assert!(!peer.reaches(PEER[0]));
    assert_ne!(interface("eth0").programs, old, "this run's own program is there");
    // From an interface that is not named any more the program goes; the next has the blocks.
    drop(xdp);
    let mut xdp = Xdp::open(&Settings { interfaces: vec!["eth1".into()], mode: Place::Generic }).unwrap();
    assert_eq!((interface("eth0").programs.len(), interface("eth1").programs.len()), (0, 1));
    assert_eq!(listed(&mut xdp), before.0);
    assert!(peer.reaches(PEER[0]));
}

fn a_new_expiry_replaces_the_old(peer: &Peer) {
    let mut xdp = open();
    for (text, from) in [(PEER[0], PEER[0]), ("10.78.0.128/25", PEER[2]), (PEER[3], PEER[3])] {
        for (expiry, left) in [(after(HOUR), Some(3_600)), (Expiry::Never, None), (after(2 * HOUR), Some(7_200))] {
            assert_eq!(xdp.apply(&[add(text, expiry)], NOW), [Outcome::Added]);
            assert_eq!(listed(&mut xdp), [(text.to_owned(), left)].into());
        }
        assert!(!peer.reaches(from));
        // What is over already ends a block that stands.
        assert_eq!(xdp.apply(&[add(text, Expiry::At(Time::EPOCH))], NOW), [Outcome::Added]);
        assert_eq!(listed(&mut xdp), BTreeMap::new());
        assert!(peer.reaches(from));
    }
}

fn nested_prefixes_are_dropped_until_the_last_ends(peer: &Peer) {
    let mut xdp = open();
    // The kernel finds the inner one only.
    xdp.apply(&[add("10.78.0.128/25", after(HOUR)), add("10.78.0.128/30", after(Duration::from_millis(1)))], NOW);
    drop(xdp);
    std::thread::sleep(Duration::from_millis(5));
    assert!(!peer.reaches(PEER[2]));
    let mut xdp = open();
    assert_eq!(listed(&mut xdp), [("10.78.0.128/25".to_owned(), Some(3_600))].into());
    xdp.apply(&[add("10.78.0.128/30", after(Duration::from_millis(300))), remove("10.78.0.128/25")], NOW);
    until("the inner one ends at its own time", || peer.reaches(PEER[2]));
}

fn somebody_else_s_program_stays(_: &Peer) {
    let pass = [Instruction::new(0xb7, 0, 0, 0, 2), Instruction::new(0x95, 0, 0, 0, 0)];
    let foreign = Program::for_xdp("foreign", &pass).unwrap();
    let mut interfaces = Interfaces::open().unwrap();
    for mode in [Mode::Generic, Mode::Native] {
        interfaces.attach(interface("eth0").index, &foreign, None, mode).unwrap();
        let before = interface("eth0");
        for place in [Place::Auto, Place::Native, Place::Generic] {
            let why = Xdp::open(&settings(place)).unwrap_err();
            assert!(why.starts_with("eth0 has the XDP program 'foreign' number"), "{why}");
            assert_eq!(interface("eth0"), before);
        }
        interfaces.detach(before.index, &foreign, mode).unwrap();
    }
    // One that comes while riposte runs stays, too; blocks are refused and nobody is told that they stand.
    let mut xdp = open();
    run("ip", ["link", "set", "dev", "eth0", "xdpgeneric", "off"]).unwrap();
    interfaces.attach(interface("eth0").index, &foreign, None, Mode::Generic).unwrap();
    let before = interface("eth0");
    assert_eq!(xdp.apply(&[add(PEER[0], after(HOUR)), remove(PEER[1])], NOW), [Outcome::Failed(Fault::Gone), Outcome::Removed]);
    assert!(xdp.take_words().unwrap().contains("'foreign'"));
    assert_eq!(xdp.list(NOW), Err(Fault::Gone));
    assert_eq!(interface("eth0"), before);
}

fn a_program_that_was_taken_off_comes_back(peer: &Peer) {
    let mut xdp = open();
    xdp.apply(&[add(PEER[0], after(HOUR))], NOW);
    run("ip", ["link", "set", "dev", "eth0", "xdpgeneric", "off"]).unwrap();
    assert!(peer.reaches(PEER[0]));
    assert_eq!(listed(&mut xdp).len(), 1);
    assert!(!peer.reaches(PEER[0]));
}

/// Which capability is for what, on this kernel.
fn only_what_an_earlier_run_left_takes_cap_sys_admin(peer: &Peer) {
    let own = std::env::current_exe().unwrap();
    let limited = |which: &str| {
        let bounds = ["--bounding-set=-all,+net_admin,+bpf", "--inh-caps=-all", own.to_str().unwrap(), "limited", which];
        run("setpriv", bounds).unwrap();
    };
    limited("first");
    assert!(!peer.reaches(PEER[0]));
    limited("again");
    assert!(!peer.reaches(PEER[0]));
    assert_eq!(listed(&mut open()), [(PEER[0].to_owned(), Some(3_600))].into());
}

/// With CAP_NET_ADMIN and CAP_BPF alone.
fn limited(which: &str) {
    if which == "first" {
        let mut xdp = open();
        let batch = [add(PEER[0], after(HOUR)), add("10.78.0.128/25", after(HOUR)), remove("10.78.0.128/25")];
        assert_eq!(xdp.apply(&batch, NOW), [Outcome::Added, Outcome::Added, Outcome::Removed]);
        assert_eq!(listed(&mut xdp), [(PEER[0].to_owned(), Some(3_600))].into());
        assert!(xdp.dropped().is_some());
    } else {
        let why = Xdp::open(&settings(Place::Generic)).unwrap_err();
        assert!(why.starts_with("eth0 has the XDP program number") && why.contains("CAP_SYS_ADMIN"), "{why}");
    }
}

/// The words of all that is said of interfaces, addresses and firewall, without those on XDP.
fn said() -> Vec<String> {
    let pages = [run("ip", ["-d", "link"]), run("ip", ["addr"]), run("nft", ["list", "ruleset"])].map(Result::unwrap);
    let lines = pages.iter().flat_map(|page| page.lines()).filter(|line| !line.trim_start().starts_with("prog/xdp "));
    lines.flat_map(str::split_whitespace).filter(|word| !word.starts_with("xdp")).map(str::to_owned).collect()
}

fn nothing_else_is_changed(_: &Peer) {
    run("nft", ["add table inet other { set s { type ipv4_addr; elements = { 192.0.2.1 }; }; }"]).unwrap();
    let before = said();
    let mut xdp = open();
    xdp.apply(&[add(PEER[0], after(HOUR)), add("10.78.0.128/25", after(HOUR)), remove(PEER[0])], NOW);
    let links = run("ip", ["-d", "link", "show", "eth0"]).unwrap();
    assert!(links.contains("xdpgeneric") && links.contains("name riposte"), "{links}");
    assert_eq!(said(), before);
    assert!(interface("eth1").programs.is_empty() && interface("lo").programs.is_empty());
}

fn a_full_map_refuses_only_what_is_new(_: &Peer) {
    let mut xdp = open();
    let host = |n: usize| Scope::Source(Prefix::host(Ipv4Addr::from(0x0b00_0000 + n as u32).into()));
    let add = |n: usize, expiry| Change::Add { id: BlockId(1), scope: host(n), expiry };
    let all: Vec<Change> = (0..HOSTS).map(|n| add(n, after(HOUR))).collect();
    for batch in all.chunks(1_000) {
        assert!(xdp.apply(batch, NOW).iter().all(|outcome| *outcome == Outcome::Added));
    }
    let outcomes = xdp.apply(&[add(HOSTS, after(HOUR)), add(7, after(2 * HOUR))], NOW);
    assert_eq!(outcomes, [Outcome::Failed(Fault::Full), Outcome::Added]);
    assert_eq!(xdp.list(NOW).unwrap().len(), HOSTS);
    // Those that end make room for as many, wherever they stand.
    let ended: Vec<Change> = (0..HOSTS).step_by(HOSTS / 100).map(|n| add(n, after(Duration::ZERO))).collect();
    assert!(xdp.apply(&ended, NOW).iter().all(|outcome| *outcome == Outcome::Added));
    let new: Vec<Change> = (0..ended.len()).map(|n| add(HOSTS + n, after(HOUR))).collect();
    assert!(xdp.apply(&new, NOW).iter().all(|outcome| *outcome == Outcome::Added));
}

fn what_can_t_be_is_told_with_what_to_do(_: &Peer) {
    let why = |names: &[&str]| {
        let interfaces = names.iter().map(|name| (*name).to_owned()).collect();
        Xdp::open(&Settings { interfaces, mode: Place::Generic }).unwrap_err()
    };
    assert!(why(&[]).contains("interfaces = [\"eth0\"]"));
    let missing = why(&["eth0", "eth7"]);
    assert!(missing.contains("no 'eth7'") && missing.contains("eth1"), "{missing}");
    run("ip", ["tuntap", "add", "rp-tun", "mode", "tun"]).unwrap();
    let bare = why(&["rp-tun"]);
    assert!(bare.starts_with("rp-tun has no Ethernet frames") && interface("rp-tun").programs.is_empty(), "{bare}");
    let own = std::env::current_exe().unwrap();
    run("setpriv", ["--bounding-set=-all", "--inh-caps=-all", own.to_str().unwrap(), "unprivileged"]).unwrap();
}
