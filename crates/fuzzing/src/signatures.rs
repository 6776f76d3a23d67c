//! Rules of signatures and psad's tables. The promises: every problem names a line that is there, in one line of text; reading twice gives the
//! same; what the index finds are the rules that fit, whatever the packet.

use crate::choice;
use ::signatures::assigned::Assigned;
use ::signatures::header::{Header, IpOptions};
use ::signatures::rule::Action;
use ::signatures::tables::{IcmpTypes, IpOptionNames, levels, protocols};
use ::signatures::{Problem, Set, Sources, prefix};
use model::event::TcpFlags;
use model::net::Protocol;
use std::net::{IpAddr, Ipv4Addr};

/// The first byte says as what the rest is read: one of psad's tables, a log prefix, or rules. The bytes that begin the text make the packet.
pub fn run(bytes: &[u8]) {
    let (kind, rest) = choice(bytes);
    let text = String::from_utf8_lossy(rest);
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    match kind {
        b'L' => drop(levels("t", &text, &mut problems)),
        b'O' => IpOptionNames::default().read("t", &text, &mut problems),
        b'I' => assert!(!IcmpTypes::read("t", &text, &mut problems).has(255, 255) || text.contains("255")),
        b'P' => drop(protocols("t", &text, &mut problems)),
        b'A' => {
            let assigned = Assigned::read("t", &text, &mut problems, &mut remarks);
            for source in assigned.spared() {
                assert_eq!(
                    assigned.level(source.addr(), Protocol::GRE, None).map(|level| level.danger().is_some() && source.is_host()),
                    Some(false)
                );
            }
        }
        b'F' => {
            if let Some(found) = prefix::fwsnort(rest) {
                assert!(text.contains(&format!("{}", found.sid)));
            }
        }
        _ => problems = rules(&text, rest),
    }
    for problem in problems.iter().chain(&remarks) {
        assert!(problem.line > 0 && problem.line <= text.lines().count(), "{problem}");
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}

fn rules(text: &str, bytes: &[u8]) -> Vec<Problem> {
    let load = || Set::load(&Sources { files: vec![("t".to_owned(), text.to_owned())], ..Sources::default() });
    let set = match load() {
        Ok(set) => set,
        Err(problems) => {
            assert_eq!(load().err().as_ref(), Some(&problems), "reading has no memory");
            assert!(!problems.is_empty());
            return problems;
        }
    };
    for protocol in [1, 6, 17, 47, 58] {
        let header = header(Protocol(protocol), bytes);
        let fits = |header: &Header| {
            let both = |s: &&::signatures::rule::Signature| s.fits(header) || s.both && s.fits(&header.reversed());
            set.signatures().iter().filter(both).map(|s| (s.sid, s.action, s.level)).collect::<Vec<_>>()
        };
        let wanted = fits(&header);
        let quiet = wanted.iter().any(|(_, action, level)| *action == Action::Pass || level.danger().is_none());
        let mut found = Vec::new();
        set.look(&header, None, |hit| found.push(hit.sid));
        found.sort_unstable();
        let mut wanted: Vec<u32> = wanted.iter().filter(|_| !quiet).map(|(sid, _, _)| *sid).collect();
        wanted.sort_unstable();
        assert!(wanted.len() > 16 || found == wanted, "{found:?} {wanted:?} {header:?}");
    }
    Vec::new()
}

/// A packet made of the input's own bytes, so that what a rule asks for may be there.
fn header(protocol: Protocol, bytes: &[u8]) -> Header {
    let byte = |at: usize| bytes.get(at).copied();
    let word = |at: usize| byte(at).zip(byte(at + 1)).map(|(high, low)| u16::from_be_bytes([high, low]));
    let address = |at: usize| IpAddr::V4(Ipv4Addr::from([10, 0, byte(at).unwrap_or(0), byte(at + 1).unwrap_or(0)]));
    Header {
        source: address(0),
        target: address(2),
        protocol,
        source_port: word(0),
        port: word(2),
        flags: byte(4).map(TcpFlags),
        icmp: byte(5).zip(byte(6)),
        echo: word(5).zip(word(7)),
        length: word(6).map(u32::from),
        extension_headers: byte(7).unwrap_or(0),
        ttl: byte(8),
        ip_id: word(8),
        service: byte(9),
        fragment_bits: byte(10).map(|bits| bits & 7),
        ip_options: bytes.get(11..20).map(IpOptions::of),
        window: word(12),
        sequence: word(13).map(u32::from),
        acknowledgment: word(14).map(u32::from),
        payload: word(15).map(|least| (least.into(), u32::from(least) + 20)),
    }
}
