//! Riposte's own signatures by their samples, and what becomes of packets that fit some.

use model::event::{Act, Event, Match, Trust};
use model::level::DangerLevel;
use model::time::Time;
use sense::firewall::{FirewallLog, LogClock, Provenance};
use sense::matching::Matcher;
use sense::packet::{OpenPorts, PacketMeta, PacketSensor};
use signatures::{Set, Sources, shipped};
use std::collections::BTreeSet;
use wire::build::{Ip, LINUX_OPTIONS, Tcp};

fn own() -> Set {
    Set::load(&Sources { shipped: true, ..Sources::default() }).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn log() -> FirewallLog {
    let clock = LogClock { utc_offset: Box::new(|_| 0), reference: Time::from_secs(1_700_000_000), boot: None };
    FirewallLog::new(1, Provenance::Syslog, clock, 32_768..=60_999)
}

/// A line of the kernel's, of a packet that is like this.
fn line(prefix: &str, record: &str) -> String {
    let addresses = if record.starts_with("SRC=") { "" } else { "SRC=198.51.100.7 DST=192.0.2.1 " };
    format!("Nov 21 03:04:05 box kernel: {prefix}IN=eth0 OUT= {addresses}{record}")
}

/// What a matcher makes of lines.
fn events(matcher: &mut Matcher, lines: &[String]) -> Vec<Event> {
    let (mut log, mut events) = (log(), Vec::new());
    for line in lines {
        let kind = log.line(line.as_bytes(), Time::from_secs(1_700_000_000), |sighting| {
            matcher.events(&sighting.seen(1), sighting.event(1), &mut events);
        });
        assert_eq!(kind, sense::firewall::LineKind::Packets(1), "{line}");
    }
    events
}

fn matched(events: &[Event]) -> Vec<Match> {
    let of = |event: &Event| if let Act::Matched(matched) = event.act { Some(matched) } else { None };
    events.iter().filter_map(of).collect()
}

#[test]
fn each_shipped_signature_hits_and_misses_its_samples() {
    let set = own();
    let (mut sids, mut hits, mut misses) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (file, text) in shipped::FILES {
        for (n, content) in text.lines().enumerate() {
            if let Some(sample) = content.strip_prefix("#+ ") {
                hits.push(line("", sample));
            } else if let Some(sample) = content.strip_prefix("#- ") {
                misses.push(line("", sample));
            } else if content.starts_with("alert ") {
                let sid = content.rsplit_once("sid:").and_then(|(_, rest)| rest.trim_end_matches(";)").parse::<u32>().ok());
                let sid = sid.unwrap_or_else(|| panic!("{file}:{}: the sid stands last", n + 1));
                assert!(sids.insert(sid) && sid >= signatures::set::sids::FIRST, "{file}:{}: {sid} is taken", n + 1);
                assert!(!hits.is_empty() && !misses.is_empty(), "{file}:{}: a sample that hits and one that misses are wanted", n + 1);
                for (samples, wanted) in [(&mut hits, true), (&mut misses, false)] {
                    for sample in samples.drain(..) {
                        let mut found = false;
                        let kind = log().line(sample.as_bytes(), Time::EPOCH, |sighting| {
                            set.look(&sighting.facts.header(), None, |hit| found |= hit.sid == sid);
                        });
                        assert_eq!(kind, sense::firewall::LineKind::Packets(1), "{file}:{}: {sample}", n + 1);
                        assert_eq!(found, wanted, "{file}:{}: sid {sid}: {sample}", n + 1);
                    }
                }
            }
        }
        assert!(hits.is_empty() && misses.is_empty(), "{file}: samples without a rule");
    }
    assert_eq!(sids.len(), set.len());
    assert!(set.len() > 100, "{}", set.len());
}

/// psad's defect 3: its rule for a scan without any flag can never match.
#[test]
fn null_fin_and_xmas_scans_match_in_both_address_families() {
    let scan = |flags: &str, ip: &str| line("", &format!("{ip}PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 {flags}URGP=0"));
    let v4 = "LEN=40 TOS=0x00 PREC=0x00 TTL=44 ID=7 ";
    let v6 = "SRC=2001:0db8:0000:0000:0000:0000:0000:0007 DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=60 TC=0 HOPLIMIT=44 FLOWLBL=0 ";
    for ip in [v4, v6] {
        for (flags, sid) in [("", 1_741_110), ("FIN ", 1_741_111), ("URG PSH FIN ", 1_741_112)] {
            let found = matched(&events(&mut Matcher::new(own()), &[scan(flags, ip)]));
            assert_eq!(found.iter().map(|matched| matched.sid).collect::<Vec<_>>(), [sid], "{flags}{ip}");
            assert_eq!(found[0].level, DangerLevel::new(2));
        }
    }
}

/// What every network sees all day fits none of riposte's own signatures, and answers are never a charge.
#[test]
fn everyday_packets_are_no_match_and_answers_no_charge() {
    let everyday = [
        "LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID=4711 DF PROTO=TCP SPT=40000 DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0",
        "LEN=52 TOS=0x00 PREC=0x00 TTL=116 ID=4711 DF PROTO=TCP SPT=50123 DPT=8080 WINDOW=64240 RES=0x00 CWR ECE SYN URGP=0",
        "LEN=84 TOS=0x00 PREC=0x00 TTL=52 ID=4711 DF PROTO=ICMP TYPE=8 CODE=0 ID=1 SEQ=1",
        "LEN=60 TOS=0x00 PREC=0x00 TTL=116 ID=4711 PROTO=ICMP TYPE=8 CODE=0 ID=1 SEQ=4711",
        "LEN=78 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF PROTO=UDP SPT=5353 DPT=5353 LEN=58",
        "LEN=229 TOS=0x00 PREC=0x00 TTL=128 ID=4711 PROTO=UDP SPT=138 DPT=138 LEN=209",
        "LEN=576 TOS=0x00 PREC=0x00 TTL=64 ID=4711 PROTO=TCP SPT=443 DPT=50022 WINDOW=501 RES=0x00 ACK PSH URGP=0",
        "LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF PROTO=TCP SPT=443 DPT=50022 WINDOW=0 RES=0x00 RST URGP=0",
        "LEN=36 TOS=0x00 PREC=0xC0 TTL=1 ID=0 OPT (94040000) PROTO=2",
        "LEN=104 TOS=0x00 PREC=0xC0 TTL=64 ID=4711 PROTO=ICMP TYPE=3 CODE=3 [SRC=192.0.2.1 DST=198.51.100.7 LEN=76 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=UDP SPT=40000 DPT=53 LEN=56 ]",
    ];
    for record in everyday {
        assert_eq!(matched(&events(&mut Matcher::new(own()), &[line("", record)])), [], "{record}");
    }
    let answers = [
        "LEN=84 TOS=0x00 PREC=0x00 TTL=51 ID=7 PROTO=ICMP TYPE=0 CODE=0 ID=456 SEQ=0",
        "LEN=28 TOS=0x00 PREC=0x00 TTL=51 ID=7 PROTO=ICMP TYPE=8 CODE=0 ID=7 SEQ=1",
        "LEN=40 TOS=0x00 PREC=0x00 TTL=255 ID=39426 PROTO=TCP SPT=31337 DPT=80 WINDOW=512 RES=0x00 ACK RST URGP=0",
    ];
    let levels = |record: &str| matched(&events(&mut Matcher::new(own()), &[line("", record)])).iter().map(|m| m.level).collect::<Vec<_>>();
    assert_eq!(answers.map(levels), [[None], [None], [None]], "counted, and nobody charged with them");
}

/// psad's defect 5: fifteen of a neighbour's own solicitations were danger level 2.
#[test]
fn neighbours_that_look_for_each_other_are_nobodys_match() {
    let all = "alert icmpv6 any any -> any any (msg:\"any\"; sid:1;)".to_owned();
    let set = || Set::load(&Sources { files: vec![("r".into(), all.clone())], ..Sources::default() }).unwrap();
    let to = "SRC=fe80:0000:0000:0000:0000:0000:0000:0007 DST=ff02:0000:0000:0000:0000:0001:ff00:0001 LEN=72 TC=0 HOPLIMIT=255 FLOWLBL=0 PROTO=ICMPv6 TYPE=135 CODE=0";
    assert_eq!(events(&mut Matcher::new(set()), &vec![line("", to); 20]), []);
    let asked = "SRC=2001:0db8:0000:0000:0000:0000:0000:0007 DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=ICMPv6 TYPE=139 CODE=0";
    assert_eq!(matched(&events(&mut Matcher::new(set()), &[line("", asked)])).len(), 1);
}

/// psad's defect 6: it took extension headers for data in a SYN.
#[test]
fn extension_headers_and_options_are_no_data() {
    let rule = "alert tcp any any -> any any (msg:\"data\"; flags:S; psad_dsize:>20; sid:207;)".to_owned();
    let told = |record: &str| {
        let set = Set::load(&Sources { files: vec![("r".into(), rule.clone())], ..Sources::default() }).unwrap();
        matched(&events(&mut Matcher::new(set), &[line("", record)])).len()
    };
    let v6 = "SRC=2001:0db8:0000:0000:0000:0000:0000:0007 DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=140 TC=0 HOPLIMIT=64 FLOWLBL=0 ";
    let tcp = "PROTO=TCP SPT=40000 DPT=22 WINDOW=8192 RES=0x00 SYN URGP=0";
    assert_eq!(told(&format!("{v6}OPT ( ) OPT ( ) OPT ( ) {tcp}")), 0);
    assert_eq!(told(&format!("{v6}{tcp}")), 1, "80 bytes above IPv6: at least 20 of data, whatever the options");
    assert_eq!(told(&format!("LEN=80 TOS=0x00 PREC=0x00 TTL=44 ID=7 {tcp}")), 0, "may be 40 of options");
    assert_eq!(told(&format!("LEN=80 TOS=0x00 PREC=0x00 TTL=44 ID=7 {tcp} OPT (020405B4)")), 1, "36 of data");
    assert_eq!(told(&format!("LEN=140 TOS=0x00 PREC=0x00 TTL=44 ID=7 MF {tcp}")), 0, "a fragment's length is not the datagram's");
}

#[test]
fn a_packet_and_its_log_line_fit_the_same() {
    let syn = Tcp { source_port: 40_000, port: 31_337, sequence: 7, flags: model::event::TcpFlags(2), window: 1_024, ..Tcp::default() };
    let ip = Ip { ttl: 240, ..Ip::new("198.51.100.7".parse().unwrap(), "192.0.2.1".parse().unwrap()) };
    let meta = PacketMeta { at: Time::from_secs(9), hook: 1, loopback: false, established: false };
    let mut sensor = PacketSensor::new(0, 32_768..=60_999).with_matcher(Matcher::new(own()));
    let mut sids = |packet: &[u8]| {
        sensor.packet(packet, &meta, &OpenPorts::default());
        matched(&sensor.take_matches()).iter().map(|matched| matched.sid).collect::<BTreeSet<_>>()
    };
    let seen = sids(&ip.tcp(&syn));
    let logged = line("", "LEN=40 TOS=0x00 PREC=0x00 TTL=240 ID=0 PROTO=TCP SPT=40000 DPT=31337 WINDOW=1024 RES=0x00 SYN URGP=0");
    let told = matched(&events(&mut Matcher::new(own()), &[logged])).iter().map(|matched| matched.sid).collect::<BTreeSet<_>>();
    assert_eq!(seen, told);
    assert!(seen.contains(&1_741_103), "masscan's SYN: {seen:?}");
    assert_eq!(sids(&Ip { ttl: 64, ..ip }.tcp(&Tcp { port: 22, window: 64_240, options: &LINUX_OPTIONS, ..syn })), BTreeSet::new());
}

#[test]
fn names_come_once_and_level_0_hides_a_packet() {
    let mut sources = Sources { shipped: true, ..Sources::default() };
    sources.around.levels = [(1_741_110, signatures::level::Level::IGNORE)].into_iter().collect();
    let mut matcher = Matcher::new(Set::load(&sources).unwrap());
    let fin = line("", "LEN=40 TOS=0x00 PREC=0x00 TTL=44 ID=7 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 FIN URGP=0");
    let null = line("", "LEN=40 TOS=0x00 PREC=0x00 TTL=44 ID=7 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 URGP=0");
    let events = events(&mut matcher, &[fin.clone(), fin, null]);
    assert_eq!((events.len(), matched(&events).len()), (4, 2), "the packet and its match, twice; nothing of the null scan");
    assert!(events.iter().all(|event| event.trust == Trust::Spoofable));
    let names: Vec<String> = matcher.take_unnamed().iter().map(|named| named.text()).collect();
    assert_eq!((names, matcher.take_unnamed(), matcher.counts()), (vec!["sid 1741111: SCAN FIN: FIN alone".to_owned()], vec![], (2, 1)));
}
