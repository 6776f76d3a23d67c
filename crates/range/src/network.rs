//! The range's network: attackers – gateway – victim, every host a namespace of its own.
//!
//! ```text
//!  attackers 198.51.100.11… ─┐                          ┌─ victim 203.0.113.10…25
//!            2001:db8:51::11…├─ .1 gateway .1 ──────────┤         2001:db8:13::10
//!                            ┘   ::1     ::1            └─ insider 203.0.113.200 (forges from the victim's own wire)
//! ```
//! All addresses are from documentation ranges (RFC 5737, RFC 3849) and exist only inside.

use crate::namespace::Namespace;
use std::io;

/// How many addresses the victim has, from 203.0.113.10 on.
pub const VICTIM_ADDRESSES: u8 = 16;
/// The victim's first address.
pub const VICTIM: &str = "203.0.113.10";
/// The victim's IPv6 address.
pub const VICTIM6: &str = "2001:db8:13::10";
/// The resolver that the victim's resolv.conf names; no host has the address.
pub const RESOLVER: &str = "203.0.113.53";
/// What all attackers' IPv4 addresses begin with.
pub const ATTACKERS: &str = "198.51.100.";
/// The gateway, as the victim sees it.
pub const GATEWAY: &str = "203.0.113.1";

/// The whole range.
#[derive(Debug)]
pub struct Network {
    /// Who is protected.
    pub victim: Namespace,
    /// Attacker n has the addresses 198.51.100.(11+n) and 2001:db8:51::(11+n).
    pub attackers: Vec<Namespace>,
    /// A host on the victim's own wire.
    pub insider: Namespace,
    /// Between them.
    pub gateway: Namespace,
}

/// Attacker n's IPv4 address.
pub fn attacker_address(n: usize) -> String {
    format!("{ATTACKERS}{}", 11 + n)
}

/// Attacker n's IPv6 address.
pub fn attacker_address6(n: usize) -> String {
    format!("2001:db8:51::{}", 11 + n)
}

impl Network {
    /// Builds it. `tag` goes into the names (`rp-TAG-victim`), so that several ranges can stand at one time.
    ///
    /// # Errors
    /// If a namespace or link can't be made; what was made before is removed.
    pub fn new(tag: &str, attackers: usize) -> io::Result<Self> {
        let make = |host: &str| Namespace::new(&format!("rp-{tag}-{host}"));
        let gateway = make("gateway")?;
        let victim = make("victim")?;
        let insider = make("insider")?;
        let attackers: Vec<Namespace> = (0..attackers).map(|n| make(&format!("a{n}"))).collect::<io::Result<_>>()?;
        let network = Network { victim, attackers, insider, gateway };
        network.wire()?;
        Ok(network)
    }

    fn wire(&self) -> io::Result<()> {
        let gateway = &self.gateway;
        // The range forges on purpose, and the gateway must let it through like a careless provider. Said before there are
        // interfaces, for they take over what holds when they are made.
        gateway.sysctl("net.ipv4.conf.all.rp_filter=0")?;
        gateway.sysctl("net.ipv4.conf.default.rp_filter=0")?;
        for bridge in ["outside", "inside"] {
            gateway.run("ip", ["link", "add", bridge, "type", "bridge"])?;
            gateway.run("ip", ["link", "set", bridge, "up"])?;
        }
        gateway.sysctl("net.ipv4.ip_forward=1")?;
        gateway.sysctl("net.ipv6.conf.all.forwarding=1")?;
        self.address(gateway, "outside", &["198.51.100.1/24", "2001:db8:51::1/64"])?;
        self.address(gateway, "inside", &["203.0.113.1/24", "2001:db8:13::1/64"])?;
        for (n, attacker) in self.attackers.iter().enumerate() {
            let addresses = [format!("{}/24", attacker_address(n)), format!("{}/64", attacker_address6(n))];
            self.join(attacker, &format!("o{n}"), "outside", &addresses, "198.51.100.1", "2001:db8:51::1")?;
        }
        let victim: Vec<String> =
            (10..10 + VICTIM_ADDRESSES).map(|n| format!("203.0.113.{n}/24")).chain([format!("{VICTIM6}/64")]).collect();
        self.join(&self.victim, "i0", "inside", &victim, GATEWAY, "2001:db8:13::1")?;
        self.join(&self.insider, "i1", "inside", &["203.0.113.200/24".into(), "2001:db8:13::200/64".into()], GATEWAY, "2001:db8:13::1")
    }

    fn address<S: AsRef<str>>(&self, host: &Namespace, interface: &str, addresses: &[S]) -> io::Result<()> {
        for address in addresses {
            // Without `nodad` an IPv6 address can't be used for the first second.
            let args = ["addr", "add", address.as_ref(), "dev", interface];
            let nodad: &[&str] = if address.as_ref().contains(':') { &["nodad"] } else { &[] };
            host.run("ip", args.iter().chain(nodad))?;
        }
        Ok(())
    }

    fn join(&self, host: &Namespace, port: &str, bridge: &str, addresses: &[String], via4: &str, via6: &str) -> io::Result<()> {
        let gateway = &self.gateway;
        gateway.run("ip", ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name()])?;
        gateway.run("ip", ["link", "set", port, "master", bridge, "up"])?;
        host.run("ip", ["link", "set", "eth0", "up"])?;
        self.address(host, "eth0", addresses)?;
        host.run("ip", ["route", "add", "default", "via", via4])?;
        host.run("ip", ["-6", "route", "add", "default", "via", via6])?;
        Ok(())
    }
}
