//! The ways of scanning that riposte tells apart, and sets of them.

use std::fmt;

/// A way of scanning. The words are the machine interface's (`styles` in `riposte replay --json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Style {
    /// A bare SYN from a packet tool (nmap -sS, hping3 -S).
    Syn,
    /// A SYN with the options that an operating system's own connect() sends (nmap -sT).
    Connect,
    /// FIN alone (nmap -sF).
    Fin,
    /// No flag at all (nmap -sN).
    Null,
    /// FIN, PSH and URG (nmap -sX).
    Xmas,
    /// ACK alone (nmap -sA, -sW).
    Ack,
    /// FIN and ACK (nmap -sM, after Uriel Maimon, Phrack 49).
    Maimon,
    /// UDP probes (nmap -sU).
    Udp,
    /// Many IP protocols (nmap -sO).
    Protocol,
    /// Many hosts.
    Sweep,
    /// Few probes over a long time (nmap -T1).
    Slow,
    /// Many sources share one scan of one target.
    Distributed,
    /// The Mirai worm's fingerprint: TCP sequence number equal to the destination address, or its 23/2323 port pattern.
    Mirai,
    /// masscan's fingerprint.
    Masscan,
    /// Topera: a TCP scan hidden behind many IPv6 extension headers.
    Topera,
    /// ICMP probes other than an ordinary ping.
    Icmp,
}

impl Style {
    /// Every style, in the order in which they are printed.
    pub const ALL: [Style; 16] = [
        Style::Syn,
        Style::Connect,
        Style::Fin,
        Style::Null,
        Style::Xmas,
        Style::Ack,
        Style::Maimon,
        Style::Udp,
        Style::Protocol,
        Style::Sweep,
        Style::Slow,
        Style::Distributed,
        Style::Mirai,
        Style::Masscan,
        Style::Topera,
        Style::Icmp,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Style::Syn => "syn",
            Style::Connect => "connect",
            Style::Fin => "fin",
            Style::Null => "null",
            Style::Xmas => "xmas",
            Style::Ack => "ack",
            Style::Maimon => "maimon",
            Style::Udp => "udp",
            Style::Protocol => "protocol",
            Style::Sweep => "sweep",
            Style::Slow => "slow",
            Style::Distributed => "distributed",
            Style::Mirai => "mirai",
            Style::Masscan => "masscan",
            Style::Topera => "topera",
            Style::Icmp => "icmp",
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of styles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StyleSet(u16);

impl StyleSet {
    /// The empty set.
    pub const EMPTY: StyleSet = StyleSet(0);

    /// A set from its bits; bit n stands for `Style::ALL[n]`.
    pub const fn from_bits(bits: u16) -> Self {
        StyleSet(bits)
    }

    /// The bits; bit n stands for `Style::ALL[n]`.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Adds one style.
    pub const fn insert(&mut self, style: Style) {
        self.0 |= 1 << style as u8;
    }

    /// Adds all of another set.
    pub const fn extend(&mut self, other: StyleSet) {
        self.0 |= other.0;
    }

    /// Whether it has this style.
    pub const fn contains(self, style: Style) -> bool {
        self.0 & (1 << style as u8) != 0
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its styles, in printing order.
    pub fn iter(self) -> impl Iterator<Item = Style> {
        Style::ALL.into_iter().filter(move |style| self.contains(*style))
    }
}

impl FromIterator<Style> for StyleSet {
    fn from_iter<I: IntoIterator<Item = Style>>(styles: I) -> Self {
        let mut set = StyleSet::EMPTY;
        styles.into_iter().for_each(|style| set.insert(style));
        set
    }
}

impl fmt::Display for StyleSet {
    /// The words, comma-separated; `-` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (n, style) in self.iter().enumerate() {
            write!(f, "{}{style}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_in_order() {
        let set: StyleSet = [Style::Icmp, Style::Syn].into_iter().collect();
        assert_eq!(set.to_string(), "syn,icmp");
        assert_eq!(StyleSet::EMPTY.to_string(), "-");
        assert_eq!(StyleSet::from_bits(set.bits()), set);
        for (n, style) in Style::ALL.into_iter().enumerate() {
            assert_eq!(n, style as usize);
        }
    }
}
