//! What others say about the sources of a letter: registries (whois) and the names of addresses. Only of sources that a letter tells of, only as
//! often as configured, never of an address that is nobody's in the wide world; answers are kept, so many at most.

use super::whois;
use crate::config::Config;
use crate::config::lookups::{ReverseDnsConfig, WhoisConfig};
use crate::lives::monotonic;
use model::time::Time;
use report::alert::Letter;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Sources of one letter that are asked about: the first, which are the worst.
const IN_LETTER: usize = 5;
/// Answers that are kept. At the bound the one that ends first is forgotten.
const KEPT: usize = 1_024;
const HOUR: Duration = Duration::from_secs(3_600);

/// What was heard about an address.
#[derive(Debug, Clone, Default)]
struct Heard {
    whois: Option<String>,
    name: Option<String>,
    until: Time,
}

/// Asks and remembers.
#[derive(Debug)]
pub struct Lookups {
    whois: WhoisConfig,
    reverse_dns: ReverseDnsConfig,
    heard: BTreeMap<IpAddr, Heard>,
    /// When the hour began, and how many were asked about in it.
    hour: Time,
    asked: u32,
    /// A resolver that has not answered in time: nobody else is asked for before it has.
    late: Option<Receiver<Option<String>>>,
}

impl Lookups {
    /// As configured.
    pub fn new(config: &Config) -> Lookups {
        let (whois, reverse_dns) = (config.whois.clone(), config.reverse_dns.clone());
        Lookups { whois, reverse_dns, heard: BTreeMap::new(), hour: Time::EPOCH, asked: 0, late: None }
    }

    /// Puts down what others say about the letter's sources.
    pub fn look_up(&mut self, letter: &mut Letter) {
        if !self.whois.enabled && !self.reverse_dns.enabled {
            return;
        }
        let sources = letter.told.iter_mut().filter_map(|told| {
            let address = told.alert.source.as_ref()?.line.address.0.addr();
            (told.alert.kind != report::alert::Kind::Test && is_public(address)).then_some((told, address))
        });
        for (told, address) in sources.take(IN_LETTER) {
            let Some(heard) = self.ask(address) else { continue };
            (told.whois, told.name) = (heard.whois, heard.name);
        }
    }

    fn ask(&mut self, address: IpAddr) -> Option<Heard> {
        let now = monotonic();
        if let Some(heard) = self.heard.get(&address).filter(|heard| heard.until > now) {
            return Some(heard.clone());
        }
        if now.since(self.hour) >= HOUR {
            (self.hour, self.asked) = (now, 0);
        }
        if self.asked >= self.whois.per_hour {
            return None;
        }
        self.asked += 1;
        let whois = self.whois.enabled.then(|| whois::ask(&self.whois, address)).and_then(|answer| {
            answer.inspect_err(|why| tracing::debug!(%address, why = report::escape::text(why, 200), "whois has no answer")).ok()
        });
        let name = if self.reverse_dns.enabled { self.name(address) } else { None };
        let until = whois::kept_until(&self.whois, whois.is_some() || name.is_some(), now);
        let heard = Heard { whois, name, until };
        if self.heard.len() >= KEPT {
            let first = self.heard.iter().min_by_key(|(_, heard)| heard.until).map(|(address, _)| *address);
            first.and_then(|first| self.heard.remove(&first));
        }
        self.heard.insert(address, heard.clone());
        Some(heard)
    }

    /// The resolver can't be told how long it may take: it has a thread of its own, one at a time.
    fn name(&mut self, address: IpAddr) -> Option<String> {
        if self.late.as_ref().is_some_and(|late| late.try_recv() == Err(TryRecvError::Empty)) {
            return None;
        }
        let (say, hear) = channel();
        let resolve = move || {
            let name = sys::resolve::name_of(address).ok().flatten();
            let _ = say.send(name.map(|name| report::escape::bytes(&name, 253)));
        };
        std::thread::Builder::new().name("resolver".to_owned()).spawn(resolve).ok()?;
        match hear.recv_timeout(self.reverse_dns.timeout) {
            Ok(name) => name,
            Err(_) => {
                self.late = Some(hear);
                None
            }
        }
    }
}

/// Whether an address is somebody's in the wide world. Not `exchange::vet::is_public`, by which lists are vetted and DShield is told: that one leaves
/// out the addresses of documentation and benchmarks too, which are strangers here, in `riposte demo` and to whoever tries things out.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || is_shared || a == 0 || a >= 240)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let is_local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            !(is_local || v6.is_loopback() || v6.is_unspecified() || v6.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_about_private_addresses() {
        for address in [
            "10.1.2.3",
            "192.168.0.1",
            "172.16.9.9",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "8.8.8.8", "2001:db8::1", "100.63.0.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
