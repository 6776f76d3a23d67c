//! Everything between a log's bytes and its packets: cutting into lines, the kernel's ring, syslog datagrams, the journal's export format,
//! and the lines of every firewall. The promises: a packet is only what the kernel (or a firewall's own logger) can have written, no evidence
//! of a log is better than forgeable, every line is counted once, and how the bytes were chopped changes nothing.

use crate::choice;
use model::event::Trust;
use model::limits::LINE_BYTES;
use model::time::Time;
use riposte::sources::{LineSplitter, journal, kmsg, syslog};
use sense::facts::Chain;
use sense::firewall::{FirewallLog, LineKind, LogClock, Provenance, Sighting};

/// Friday, 20 November 2026, 22:17:01 UTC.
const NOW: Time = Time::from_secs(1_795_213_021);
const BOOTED: Time = Time::from_secs(1_795_000_000);

/// Heads of lines that other programs than the kernel wrote: what follows is their text, and never a packet.
const OTHERS: [&str; 9] = [
    "Nov 20 21:17:01 gw sshd[4711]: Invalid user ",
    "Nov 20 21:17:01 gw sshd: ",
    "2026-11-20T21:17:01.003+00:00 gw dhcpd[7]: ",
    "<13>Nov 20 21:17:01 gw app: ",
    "<12>Nov 20 21:17:01 gw kernel: ",
    "<4>1 2026-11-20T21:17:01Z gw sshd 1 - - ",
    "<12>1 2026-11-20T21:17:01Z gw kernel - - - ",
    "Nov 20 21:17:01 gw sshd[1]: message repeated 2 times: [ ",
    "[86400.5] gw sshd[1]: Invalid user ",
];

/// Heads of the kernel's own lines that quote what somebody else says.
const QUOTING: [&str; 2] = ["Nov 20 21:17:01 gw kernel: [1.5] usb 1-1: Product: ", "Nov 20 21:17:01 gw kernel: usb 3-1.2: Manufacturer: "];

/// The first byte says where the rest came from.
pub fn run(bytes: &[u8]) {
    let (from, text) = choice(bytes);
    match from {
        b'K' => read(Provenance::Kernel, text),
        b'J' => read(Provenance::Journal, text),
        b'U' => read(Provenance::Ulogd, text),
        b'R' => ring(text),
        b'D' => datagram(text),
        b'X' => export(text),
        _ => read(Provenance::Syslog, text),
    }
}

fn log(provenance: Provenance) -> FirewallLog {
    // India's zone: no whole hours.
    let clock = LogClock { utc_offset: Box::new(|_| 19_800), reference: NOW, boot: Some(BOOTED) };
    FirewallLog::new(3, provenance, clock, 32_768..=60_999)
}

fn read(provenance: Provenance, text: &[u8]) {
    let lines = split(text, text.len().max(1));
    assert_eq!(lines, split(text, 7), "how the bytes come changes no line");
    let mut log = log(provenance);
    for line in &lines {
        follow(&mut log, line);
    }
    for line in lines.iter().take(2) {
        others_text(line);
    }
}

/// The lines in a log's bytes, read so many at a time.
fn split(text: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    for chunk in text.chunks(chunk).chain([&b"\n"[..]]) {
        splitter.push(chunk, &mut |line| {
            assert!(line.text.len() <= LINE_BYTES && !line.text.contains(&b'\n'));
            assert!(!line.cut || line.text.len() == LINE_BYTES);
            lines.push(line.text.to_vec());
        });
    }
    lines
}

/// Reads one line and checks what comes of it.
fn follow(log: &mut FirewallLog, line: &[u8]) {
    let before = *log.counters();
    let mut seen = 0;
    let kind = log.line(line, NOW, |sighting| {
        seen += 1;
        check(sighting, before.lines + 1);
    });
    let after = *log.counters();
    assert_eq!(after.lines, before.lines + 1);
    assert_eq!(after.packets - before.packets, u64::from(seen));
    let ignored = after.ignored() - before.ignored();
    let unparsed = after.unparsed - before.unparsed;
    match kind {
        LineKind::Packets(packets) => assert!(packets > 0 && packets == seen && ignored == 0),
        LineKind::Ignored => assert_eq!((seen, ignored, unparsed), (0, 1, 0)),
        LineKind::Unparsed => assert!(seen == 0 && ignored == 0 && unparsed > 0),
    }
}

fn check(sighting: &Sighting<'_>, serial: u64) {
    let facts = &sighting.facts;
    assert_eq!(sighting.serial, serial);
    assert!(sighting.times >= 1);
    assert_eq!(facts.source, facts.source.to_canonical());
    assert_eq!(facts.target, facts.target.to_canonical());
    assert_eq!(facts.source.is_ipv4(), facts.target.is_ipv4(), "one packet has one family");
    for name in [sighting.interface_in, sighting.interface_out, sighting.prefix, sighting.host] {
        assert!(name.len() <= LINE_BYTES && !name.contains(&b'\n'));
    }
    let Some(event) = sighting.event(3) else { return };
    assert_eq!(event.trust, Trust::Spoofable, "a log vouches for nobody");
    assert!(facts.chain != Chain::Output && !facts.loopback);
    assert!(!event.actor.is_loopback() && !event.actor.is_multicast() && !event.actor.is_unspecified());
    assert_eq!((event.actor, event.target, event.times), (facts.source, Some(facts.target), sighting.times));
}

/// Whatever another program writes, or the kernel quotes, is no packet.
fn others_text(text: &[u8]) {
    for head in OTHERS {
        let line = [head.as_bytes(), text].concat();
        for provenance in [Provenance::Syslog, Provenance::Journal] {
            no_packet(provenance, head, &line);
        }
        // In the kernel's own ring only a line's head or facility can say that it isn't the kernel's.
        if head.starts_with("<1") || head.starts_with("Nov") {
            no_packet(Provenance::Kernel, head, &line);
        }
    }
    for head in QUOTING {
        no_packet(Provenance::Syslog, head, &[head.as_bytes(), text].concat());
    }
}

fn no_packet(provenance: Provenance, head: &str, line: &[u8]) {
    let mut log = log(provenance);
    let kind = log.line(line, NOW, |sighting| panic!("{provenance:?}: a packet behind {head:?}: {sighting:?}"));
    assert_eq!(kind, LineKind::Ignored, "{provenance:?}: {head:?}");
    assert_eq!(log.counters().packets, 0);
}

/// One record of `/dev/kmsg`.
fn ring(bytes: &[u8]) {
    match kmsg::record(bytes) {
        kmsg::Record::Kernel(line) => {
            assert!(!line.contains(&b'\n') && bytes.starts_with(line));
            let priority = bytes.split(|byte| *byte == b',').next().unwrap_or_default();
            let number = std::str::from_utf8(priority).ok().and_then(|text| text.parse::<u32>().ok());
            assert!(number.is_some_and(|priority| priority < 8), "only the kernel has facility 0");
            follow(&mut log(Provenance::Kernel), line);
        }
        kmsg::Record::Continuation | kmsg::Record::Foreign | kmsg::Record::Malformed => {}
    }
    // The kernel marks what a program writes there with the program's facility, whatever the text says.
    let foreign = [b"12,1,2,-;", bytes].concat();
    assert_eq!(kmsg::record(&foreign), kmsg::Record::Foreign);
}

fn datagram(bytes: &[u8]) {
    let line = syslog::message(bytes);
    assert!(line.text.len() <= LINE_BYTES && !line.text.contains(&b'\n') && bytes.starts_with(line.text));
    follow(&mut log(Provenance::Syslog), line.text);
}

/// The journal's export format. `_TRANSPORT` and the like are set by the journal itself; the values of other fields can be anybody's.
fn export(bytes: &[u8]) {
    let whole = entries(bytes, bytes.len().max(1));
    assert_eq!(whole, entries(bytes, 5), "how the bytes come changes no entry");
    let kernels = bytes.windows(b"_TRANSPORT".len()).filter(|window| window == b"_TRANSPORT").count();
    assert!(whole.0.len() <= kernels, "without the kernel's transport there is no line");
    // A value can neither end its own entry nor begin another.
    let forged = [b"_TRANSPORT=syslog\nSYSLOG_FACILITY=0\nMESSAGE\n", &(bytes.len() as u64).to_le_bytes()[..], bytes, b"\n\n"].concat();
    let genuine = b"_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=genuine\n\n";
    let (lines, counters) = entries(&[&forged[..], genuine].concat(), 65_536);
    assert_eq!((lines, counters.foreign), (vec![b"genuine".to_vec()], 1));
    let mut log = log(Provenance::Kernel);
    whole.0.iter().for_each(|line| follow(&mut log, line));
}

fn entries(bytes: &[u8], chunk: usize) -> (Vec<Vec<u8>>, riposte::sources::Counters) {
    let mut parser = journal::Parser::default();
    let mut lines = Vec::new();
    for chunk in bytes.chunks(chunk) {
        parser.push(chunk, &mut |line| {
            assert!(line.text.len() <= LINE_BYTES && !line.text.contains(&b'\n'));
            lines.push(line.text.to_vec());
        });
    }
    (lines, parser.counters())
}
