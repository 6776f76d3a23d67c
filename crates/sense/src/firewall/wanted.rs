//! Which of a firewall's logged packets count, by its rules' prefixes and by interface. Looks at plain texts: no pattern can take long.

use memchr::memmem;

/// What an administrator has chosen; by default everything counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// If there are any: only packets with one of these in the log prefix.
    pub only: Vec<String>,
    /// No packets with one of these in the log prefix.
    pub ignore: Vec<String>,
    /// No packets that came in by one of these interfaces; of what the host sends itself, went out.
    pub ignore_interfaces: Vec<String>,
}

impl Wanted {
    /// Whether everything counts.
    pub fn is_all(&self) -> bool {
        *self == Wanted::default()
    }

    /// Whether a packet with this prefix, by these interfaces (empty: none), counts.
    pub fn takes(&self, prefix: &[u8], interface_in: &[u8], interface_out: &[u8]) -> bool {
        let within = |texts: &[String]| texts.iter().any(|text| memmem::find(prefix, text.as_bytes()).is_some());
        let interface = if interface_in.is_empty() { interface_out } else { interface_in };
        let other = || self.ignore_interfaces.iter().any(|name| name.as_bytes() == interface);
        (self.only.is_empty() || within(&self.only)) && !within(&self.ignore) && !other()
    }
}

#[cfg(test)]
mod tests {
    use crate::firewall::{FirewallLog, LineKind, LogClock, Provenance, Wanted};
    use model::time::Time;

    #[test]
    fn what_is_not_wanted_is_counted_and_handed_to_nobody() {
        let line = |prefix: &str, interface: &str| {
            format!(
                "Mar  1 12:00:00 fw kernel: {prefix} IN={interface} OUT= SRC=198.51.100.7 DST=203.0.113.10 LEN=40 TTL=5 ID=1 PROTO=TCP SPT=4 DPT=23 WINDOW=9 RES=0x00 SYN URGP=0"
            )
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let wanted = Wanted { only: texts(&["DROP", "SID"]), ignore: texts(&["quiet"]), ignore_interfaces: texts(&["eth1"]) };
        let now = Time::from_secs(1_772_366_400);
        let mut log = FirewallLog::new(0, Provenance::Syslog, LogClock::utc(now), 32_768..=60_999).wanting(&wanted);
        let mut count = 0;
        for (prefix, interface, is_wanted) in [
            ("FW DROP", "eth0", true),
            ("SID7 ESTAB", "eth0", true),
            ("ACCEPT", "eth0", false),
            ("DROP quiet", "eth0", false),
            ("DROP", "eth1", false),
            ("DROP", "eth10", true),
        ] {
            let kind = log.line(line(prefix, interface).as_bytes(), now, |_| count += 1);
            assert_eq!(kind, if is_wanted { LineKind::Packets(1) } else { LineKind::Ignored }, "{prefix} {interface}");
        }
        // A repetition of a packet that nobody wants is none either.
        log.line(line("ACCEPT", "eth0").as_bytes(), now, |_| count += 1);
        log.line(b"Mar  1 12:00:00 fw last message repeated 3 times", now, |_| count += 1);
        assert_eq!((count, log.counters().packets, log.counters().unwanted, log.counters().other_repetitions), (3, 3, 4, 1));
    }
}
