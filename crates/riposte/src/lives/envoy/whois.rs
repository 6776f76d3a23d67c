//! whois (RFC 3912): asks a registry about an address, and whoever it names for it. Bounded in bytes, time and steps; what comes is a stranger's
//! text and stays one.

use super::lookups::is_public;
use crate::config::lookups::{WHOIS_PORT, WhoisConfig};
use crate::config::words::is_host_name;
use crate::lives::monotonic;
use model::time::Time;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Servers that are asked about one address.
const STEPS: usize = 4;
/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;
/// Bytes of it that are kept.
const KEPT_BYTES: usize = 6_000;

/// Asks about an address: the last answer of those who know more and more.
///
/// # Errors
/// Why there is none.
pub fn ask(config: &WhoisConfig, about: IpAddr) -> Result<String, String> {
    let until = monotonic().after(config.timeout);
    let (mut server, mut asked, mut best) = (config.server.clone(), Vec::new(), None);
    while asked.len() < STEPS {
        let is_named = !asked.is_empty();
        asked.push(server.clone());
        match places(&server, is_named).and_then(|places| one(&server, &places, about, until)) {
            Ok(answer) => {
                let next = referral(&answer).filter(|next| !asked.contains(next));
                best = Some(shortened(&answer));
                match next {
                    Some(next) => server = next,
                    None => break,
                }
            }
            // What the one before said is better than nothing.
            Err(error) => return best.ok_or(format!("{server}: {error}")),
        }
    }
    best.ok_or_else(|| "nobody has answered".to_owned())
}

/// Where a server is. One that another has named is asked only in the wide world: whose text an answer is could reach into the house otherwise.
fn places(server: &str, is_named: bool) -> std::io::Result<Vec<SocketAddr>> {
    Ok((server, WHOIS_PORT).to_socket_addrs()?.filter(|place| !is_named || is_public(place.ip().to_canonical())).collect())
}

fn one(server: &str, places: &[SocketAddr], about: IpAddr, until: Time) -> std::io::Result<String> {
    let left = || Some(until.since(monotonic())).filter(|left| !left.is_zero()).ok_or(std::io::ErrorKind::TimedOut);
    let mut stream = None;
    let mut failed = std::io::Error::from(std::io::ErrorKind::NotFound);
    for place in places {
        match TcpStream::connect_timeout(place, left()?) {
            Ok(made) => {
                stream = Some(made);
                break;
            }
            Err(error) => failed = error,
        }
    }
    let Some(mut stream) = stream else { return Err(failed) };
    stream.set_write_timeout(Some(left()?))?;
    // ARIN's own flag for addresses: without it a short answer may be a list of names.
    let question = if server.ends_with("arin.net") { format!("n + {about}\r\n") } else { format!("{about}\r\n") };
    stream.write_all(question.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    while answer.len() < ANSWER_BYTES {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who knows more: `refer:` (IANA), `ReferralServer: whois://…` (ARIN). Only by a host's name, and only at whois' own port.
fn referral(answer: &str) -> Option<String> {
    answer.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        let value = value.trim();
        let host = match key.trim().to_ascii_lowercase().as_str() {
            "refer" | "whois" => value,
            "referralserver" => value.strip_prefix("whois://").or(value.strip_prefix("rwhois://"))?,
            _ => return None,
        };
        let (host, port) = host.trim_end_matches('/').split_once(':').unwrap_or((host.trim_end_matches('/'), "43"));
        // Anybody may write an address into a registry's text: of names at least the registry's own resolver must know.
        (port == "43" && is_host_name(host) && host.contains('.')).then(|| host.to_ascii_lowercase())
    })
}

/// Without remarks and empty lines, cut.
fn shortened(answer: &str) -> String {
    let mut text = String::new();
    for line in answer.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with(['%', '#'])) {
        if text.len() + line.len() >= KEPT_BYTES {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Until when an answer, or that there is none, is kept.
pub fn kept_until(config: &WhoisConfig, is_answer: bool, now: Time) -> Time {
    now.after(if is_answer { config.keep } else { config.keep.min(Duration::from_secs(3_600)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whoever_is_named_by_his_name_is_asked_next() {
        for (answer, next) in [
            ("% IANA\nrefer:        whois.ripe.net\n\ninetnum: 193.0.0.0", Some("whois.ripe.net")),
            ("NetRange: 1\nReferralServer:  whois://whois.apnic.net\n", Some("whois.apnic.net")),
            ("ReferralServer: whois://WHOIS.apnic.net:43/\n", Some("whois.apnic.net")),
            ("ReferralServer: rwhois://rwhois.example.net:4321\n", None),
            ("refer: 127.0.0.1\n", None),
            ("refer: localhost\n", None),
            ("refer: a b\n", None),
            ("inetnum: 192.0.2.0 - 192.0.2.255\n", None),
        ] {
            assert_eq!(referral(answer).as_deref(), next, "{answer}");
        }
        assert_eq!(shortened("% remark\n\n# x\nnetname: A  \r\norg: B\n"), "netname: A\norg: B\n");
    }

    #[test]
    fn whoever_an_answer_names_is_asked_only_in_the_wide_world() {
        for house in ["127.0.0.1", "10.0.0.7", "::1", "::ffff:192.168.0.1"] {
            assert_eq!((places(house, false).unwrap().len(), places(house, true).unwrap().len()), (1, 0), "{house}");
        }
        assert_eq!(places("192.0.2.7", true).unwrap(), ["192.0.2.7:43".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn any_answer_is_taken(answer in "(\\PC|\n|refer: |ReferralServer: whois://){0,200}") {
            prop_assert!(shortened(&answer).len() <= KEPT_BYTES + 1);
            if let Some(next) = referral(&answer) {
                prop_assert!(is_host_name(&next));
            }
        }
    }
}
