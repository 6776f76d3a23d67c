//! Time servers named in the configurations of chrony, ntpd, ntpsec, OpenNTPD and systemd-timesyncd.
//! Never resolves a name: it says which there are.

/// The names or addresses of the servers, in the file's order, without duplicates.
pub fn parse(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let servers: Vec<&str> = match line.split_once('=') {
            // timesyncd.conf: NTP=a b, FallbackNTP=c d
            Some((key, value)) if matches!(key.trim(), "NTP" | "FallbackNTP") => value.split_whitespace().collect(),
            Some(_) | None => {
                let mut words = line.split_whitespace();
                match words.next() {
                    // chrony.conf, ntp.conf: server NAME options…; pool NAME options…; peer NAME
                    Some("server" | "servers" | "pool" | "peer") => words.next().into_iter().collect(),
                    Some(_) | None => Vec::new(),
                }
            }
        };
        for server in servers {
            // 127.127.t.u is ntpd's spelling of a reference clock, no host.
            let plausible = server.len() <= 253 && server.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
            if plausible && !server.starts_with("127.") && !found.iter().any(|f| f == server) {
                found.push(server.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_each_daemon_are_found() {
        let chrony = "# server hidden.example\npool 2.debian.pool.ntp.org iburst\nserver 192.0.2.5 key 1\nmakestep 1 3\n";
        assert_eq!(parse(chrony), ["2.debian.pool.ntp.org", "192.0.2.5"]);
        let ntp = "server 127.127.1.0 prefer\npeer 2001:db8::5\nrestrict default\nserver 192.0.2.5\nserver 192.0.2.5\n";
        assert_eq!(parse(ntp), ["2001:db8::5", "192.0.2.5"]);
        let timesyncd = "[Time]\nNTP=a.example b.example\n#FallbackNTP=c.example\nRootDistanceMaxSec=5\n";
        assert_eq!(parse(timesyncd), ["a.example", "b.example"]);
        assert!(parse("server $(reboot)\nserver\n").is_empty());
    }
}
