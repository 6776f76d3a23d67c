//! The peers of administrators' SSH sessions. A peer counts only once it has logged in: a connection alone
//! proves nothing, or every attacker could exempt himself by opening one.
//! Three witnesses: utmp, logind's session files, and connections that have outlived sshd's grace time for logging in.

use model::net::canonical;
use model::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The server closes a connection that has not logged in by then (OpenSSH's LoginGraceTime is 120 s, dropbear's limit 300 s), with some reserve.
pub const LOGIN_GRACE: Duration = Duration::from_secs(330);
/// Connections whose age is kept. Above, the newest are left out: the old ones are the administrators.
const CONNECTIONS: usize = 1_024;

/// Size of glibc's `struct utmp` on 64-bit Linux (utmp(5)).
const UTMP_RECORD: usize = 384;
const UTMP_USER_PROCESS: i16 = 7;
const UTMP_USER: usize = 44;
const UTMP_ADDR: usize = 348;

/// The remote addresses of the users that utmp says are logged in.
pub fn from_utmp(bytes: &[u8]) -> Vec<IpAddr> {
    bytes.chunks_exact(UTMP_RECORD).filter_map(utmp_record).collect()
}

fn utmp_record(record: &[u8]) -> Option<IpAddr> {
    let kind = i16::from_ne_bytes(*record.first_chunk()?);
    if kind != UTMP_USER_PROCESS {
        return None;
    }
    let octets: [u8; 16] = *record.get(UTMP_ADDR..)?.first_chunk()?;
    let (head, tail) = octets.split_at(4);
    // An IPv4 address stands in the first word, the others are zero.
    let addr = if tail.iter().all(|b| *b == 0) {
        IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(head).ok()?))
    } else {
        canonical(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    (!addr.is_unspecified()).then_some(addr)
}

/// The names of the users that utmp says are logged in.
pub fn users_in_utmp(bytes: &[u8]) -> Vec<String> {
    let user = |record: &[u8]| {
        let name = record.get(UTMP_USER..UTMP_USER + 32)?.split(|byte| *byte == 0).next()?;
        let is_user = i16::from_ne_bytes(*record.first_chunk()?) == UTMP_USER_PROCESS;
        is_user.then(|| String::from_utf8_lossy(name).into_owned())
    };
    bytes.chunks_exact(UTMP_RECORD).filter_map(user).collect()
}

/// The number of the user in one of logind's session files.
pub fn user_of_session(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("UID=")).map(str::to_owned)
}

/// The remote address in one of logind's session files (`/run/systemd/sessions/N`), if the session is remote.
pub fn from_session(text: &str) -> Option<IpAddr> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    if field("REMOTE") != Some("1") || field("STATE") == Some("closing") {
        return None;
    }
    field("REMOTE_HOST")?.split('%').next()?.parse().ok().map(canonical)
}

/// Which connections to sshd were there when.
#[derive(Debug, Default)]
pub struct Ages {
    seen: BTreeMap<(IpAddr, u16), Time>,
}

impl Ages {
    /// Takes the connections (peer address and port) that are there now; returns the peers that have outlived the grace time.
    pub fn observe(&mut self, connections: &[(IpAddr, u16)], now: Time) -> Vec<IpAddr> {
        self.seen.retain(|connection, _| connections.contains(connection));
        for connection in connections {
            if self.seen.len() < CONNECTIONS {
                self.seen.entry(*connection).or_insert(now);
            }
        }
        let aged = self.seen.iter().filter(|(_, since)| now.since(**since) >= LOGIN_GRACE);
        aged.map(|((addr, _), _)| canonical(*addr)).collect()
    }

    /// When the next connection will have outlived the grace time; `None` if there is none to wait for.
    pub fn next(&self, now: Time) -> Option<Time> {
        self.seen.values().map(|since| since.after(LOGIN_GRACE)).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, addr: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; UTMP_RECORD];
        bytes[..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[UTMP_ADDR..UTMP_ADDR + addr.len()].copy_from_slice(addr);
        bytes
    }

    #[test]
    fn utmp_gives_the_logged_in_only() {
        let bytes = [
            record(2, &[0; 4]),
            record(UTMP_USER_PROCESS, &[192, 0, 2, 7]),
            record(UTMP_USER_PROCESS, &[0; 16]),
            record(8, &[192, 0, 2, 8]),
            record(UTMP_USER_PROCESS, &"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets()),
            vec![7; 100],
        ]
        .concat();
        assert_eq!(from_utmp(&bytes), ["192.0.2.7".parse::<IpAddr>().unwrap(), "2001:db8::7".parse().unwrap()]);
    }

    #[test]
    fn a_remote_session_gives_its_host() {
        let session = "UID=1000\nUSER=ada\nACTIVE=1\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.7\nSERVICE=sshd\n";
        assert_eq!(from_session(session), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(from_session(&session.replace("REMOTE=1", "REMOTE=0")), None);
        assert_eq!(from_session(&session.replace("active", "closing")), None);
        assert_eq!(from_session("REMOTE=1\nREMOTE_HOST=attacker.example\n"), None);
    }

    #[test]
    fn a_connection_alone_exempts_nobody() {
        let mut ages = Ages::default();
        let peer = ("192.0.2.9".parse().unwrap(), 50_000);
        let start = Time::from_secs(1_000);
        assert!(ages.observe(&[peer], start).is_empty());
        assert!(ages.observe(&[peer], start.after(Duration::from_secs(329))).is_empty());
        assert_eq!(ages.next(start), Some(start.after(LOGIN_GRACE)));
        assert_eq!(ages.observe(&[peer], start.after(LOGIN_GRACE)), [peer.0]);
        // It went away and came back: a new connection, a new age.
        assert!(ages.observe(&[], start.after(LOGIN_GRACE)).is_empty());
        assert!(ages.observe(&[peer], start.after(LOGIN_GRACE * 2)).is_empty());
    }
}
