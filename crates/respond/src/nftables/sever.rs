//! Ends what the blocked had going on. Never blocks anybody: that is done before; this only cleans up behind it.

use super::Nftables;
use crate::ranges::{Family, Range, cover, joined, number};
use model::block::{Expiry, Scope};
use std::net::IpAddr;
use sys::conntrack::Conntrack;
use sys::diag::Diag;
use sys::netlink::NetlinkError;

/// What was ended. The packets of the blocked are dropped even if nothing could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Severed {
    /// Tracked connections that were forgotten: forwarded ones end, and none outlives its block.
    pub conntrack: usize,
    /// TCP sockets of this host that were closed: their programs need not wait for a time-out.
    pub sockets: usize,
}

/// The sockets that this needs, opened at the start because a sandbox may forbid it later. `None` if the kernel has not got it.
#[derive(Debug)]
pub(super) struct Severing {
    conntrack: Option<Conntrack>,
    diag: Option<Diag>,
}

impl Severing {
    pub(super) fn open() -> Self {
        Severing { conntrack: Conntrack::open().ok(), diag: Diag::open().ok() }
    }
}

/// Addresses, for look-up.
struct Addresses([Vec<Range>; 2]);

impl Addresses {
    fn of(scopes: &[Scope]) -> Self {
        Addresses(Family::ALL.map(|family| {
            let own = scopes.iter().map(Scope::prefix).filter(|prefix| Family::of(prefix.addr()) == family);
            joined(&cover(&own.map(|prefix| (prefix, Expiry::Never)).collect()))
        }))
    }

    fn contain(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let [v4, v6] = &self.0;
        let (ranges, number) = (if addr.is_ipv4() { v4 } else { v6 }, number(addr));
        let behind = ranges.partition_point(|range| range.first <= number);
        behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| number <= range.last)
    }
}

impl Nftables {
    /// Ends the connections of the newly blocked: tracked ones and local TCP sockets. Lists all connections of the host once,
    /// so many scopes cost as much as one: to be called when nothing else waits, and never before the outcomes are told.
    /// An error is told after all has been tried; a kernel that cannot do it at all is none.
    pub fn sever(&mut self, scopes: &[Scope]) -> Result<Severed, NetlinkError> {
        if scopes.is_empty() {
            return Ok(Severed::default());
        }
        let doomed = Addresses::of(scopes);
        let conntrack = self.severing.conntrack.as_mut().map_or(Ok(0), |conntrack| match conntrack.count()? {
            0 => Ok(0),
            _ => conntrack.sever(|addr| doomed.contain(addr)),
        });
        let sockets = self.severing.diag.as_mut().map_or(Ok(0), |diag| match scopes {
            // For a single scope the kernel itself picks the sockets out.
            [scope] => diag.destroy_peer(scope.prefix().addr(), scope.prefix().bits()),
            _ => diag.destroy_peers(|addr| doomed.contain(addr)),
        });
        Ok(Severed { conntrack: supported(conntrack)?, sockets: supported(sockets)? })
    }
}

/// Nothing was ended by a kernel that cannot do it (no socket destruction, no connection tracking).
fn supported(ended: Result<usize, NetlinkError>) -> Result<usize, NetlinkError> {
    match ended {
        Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => Ok(0),
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_scopes_only() {
        let scopes = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/64"].map(|text| Scope::Source(text.parse().unwrap()));
        let addresses = Addresses::of(&scopes);
        for inside in ["192.0.2.7", "::ffff:192.0.2.7", "198.51.100.0", "198.51.100.255", "2001:db8::ffff"] {
            assert!(addresses.contain(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["192.0.2.6", "192.0.2.8", "198.51.101.0", "2001:db8:0:1::", "::", "0.0.0.0", "::c000:207"] {
            assert!(!addresses.contain(outside.parse().unwrap()), "{outside}");
        }
    }
}
