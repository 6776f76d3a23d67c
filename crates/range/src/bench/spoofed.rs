//! Ten million forged source addresses through the detectors: memory stays under its bound, and the one real scanner is found.

use super::figure::{Figure, Unit};
use super::{Context, progress, seconds_since};
use crate::logs::Random;
use detect::Detector;
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use model::event::{Act, Event, Origin, Probe, TcpFlags, Trust};
use model::net::Protocol;
use model::style::Style;
use model::time::Time;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

const FORGED: u64 = 10_000_000;
/// The scanner sends one probe for so many forged ones.
const BETWEEN: u64 = 100_000;
const SCANNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub fn measure(_: &Context) -> io::Result<Vec<Figure>> {
    progress("spoofed: 10,000,000 sources");
    let mut detectors = Detectors::new(&ScanConfig::default(), 42);
    let (mut random, mut offences) = (Random::new(9), Vec::new());
    let (mut charges, mut found_after) = (0_u64, None);
    let start = sys::clock::monotonic();
    for n in 0..FORGED {
        let number = random.draw();
        detectors.observe(&syn(n, IpAddr::V4(Ipv4Addr::from(number as u32)), (number >> 48) as u16), &mut offences);
        if n % BETWEEN == 0 {
            detectors.observe(&syn(n, SCANNER, (1_000 + n / BETWEEN) as u16), &mut offences);
        }
        charges += offences.len() as u64;
        if offences.drain(..).any(|offence| offence.offender.addr() == SCANNER && offence.evidence.convicted) {
            found_after.get_or_insert(n / BETWEEN + 1);
        }
    }
    let secs = seconds_since(start);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let found = found_after.map_or_else(|| "never".to_owned(), |probes| format!("after its {probes} probes"));
    Ok(vec![
        Figure::less("detectors, 10 million forged", mib(detectors.memory_used()), Unit::Mebibytes)
            .promised(mib(detectors.memory_bound()))
            .noted(format!(
                "memory used, promised the stated bound; {charges} charges in all, {:.0} events a second",
                FORGED as f64 / secs
            )),
        Figure::more("real scanners found among them", f64::from(u8::from(found_after.is_some())), Unit::Count)
            .promised(1.0)
            .noted(format!("the one real scanner sent a probe between each {BETWEEN} forged ones and was convicted {found}")),
    ])
}

fn syn(n: u64, actor: IpAddr, port: u16) -> Event {
    let flags = Some(TcpFlags(TcpFlags::SYN));
    let act = Act::Probe(Probe {
        protocol: Protocol::TCP,
        source_port: None,
        port: Some(port),
        flags,
        icmp: None,
        style: Some(Style::Syn),
        hops: None,
    });
    let at = Time::from_nanos(1_700_000_000_000_000_000 + n * 100_000);
    Event { at, origin: Origin { sensor: 0, serial: n }, actor, target: Some(TARGET), act, trust: Trust::Spoofable, times: 1 }
}
