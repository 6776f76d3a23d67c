//! The resolvers of resolv.conf(5). Never resolves anything itself.

use model::net::canonical;
use std::net::IpAddr;

/// The addresses behind `nameserver`, in the file's order; a zone (`fe80::1%eth0`) is cut off.
pub fn parse(text: &str) -> Vec<IpAddr> {
    let words = text.lines().filter_map(|line| {
        let mut words = line.split(['#', ';']).next()?.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()).flatten()
    });
    words.filter_map(|word| word.split('%').next()?.parse().ok()).map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nameserver_lines_count() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1 # first\n  nameserver\t2001:db8::1\nnameserver fe80::1%eth0\n\
                    nameserver nonsense\nnameserver\noptions edns0\n";
        let expected: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1", "fe80::1"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(parse(text), expected);
    }
}
