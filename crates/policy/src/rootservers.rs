//! The addresses of the DNS root servers. Never asked of the network: whoever forges the answers to that could choose the exempt list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// An address whose bits between the first `head` groups and the last two groups are zero.
const fn v6(head: [u16; 3], tail: [u16; 2]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(head[0], head[1], head[2], 0, 0, 0, tail[0], tail[1]))
}

/// a to m, as in IANA's root hints (www.internic.net/domain/named.root; b since November 2023).
pub(crate) const ROOT_SERVERS: [IpAddr; 26] = [
    v4(198, 41, 0, 4),
    v6([0x2001, 0x503, 0xba3e], [2, 0x30]),
    v4(170, 247, 170, 2),
    v6([0x2801, 0x1b8, 0x10], [0, 0xb]),
    v4(192, 33, 4, 12),
    v6([0x2001, 0x500, 2], [0, 0xc]),
    v4(199, 7, 91, 13),
    v6([0x2001, 0x500, 0x2d], [0, 0xd]),
    v4(192, 203, 230, 10),
    v6([0x2001, 0x500, 0xa8], [0, 0xe]),
    v4(192, 5, 5, 241),
    v6([0x2001, 0x500, 0x2f], [0, 0xf]),
    v4(192, 112, 36, 4),
    v6([0x2001, 0x500, 0x12], [0, 0xd0d]),
    v4(198, 97, 190, 53),
    v6([0x2001, 0x500, 1], [0, 0x53]),
    v4(192, 36, 148, 17),
    v6([0x2001, 0x7fe, 0], [0, 0x53]),
    v4(192, 58, 128, 30),
    v6([0x2001, 0x503, 0xc27], [2, 0x30]),
    v4(193, 0, 14, 129),
    v6([0x2001, 0x7fd, 0], [0, 1]),
    v4(199, 7, 83, 42),
    v6([0x2001, 0x500, 0x9f], [0, 0x42]),
    v4(202, 12, 27, 33),
    v6([0x2001, 0xdc3, 0], [0, 0x35]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_the_root_hints_write_them() {
        let hints = "198.41.0.4 2001:503:ba3e::2:30 170.247.170.2 2801:1b8:10::b 192.33.4.12 2001:500:2::c 199.7.91.13 2001:500:2d::d \
                     192.203.230.10 2001:500:a8::e 192.5.5.241 2001:500:2f::f 192.112.36.4 2001:500:12::d0d 198.97.190.53 2001:500:1::53 \
                     192.36.148.17 2001:7fe::53 192.58.128.30 2001:503:c27::2:30 193.0.14.129 2001:7fd::1 199.7.83.42 2001:500:9f::42 \
                     202.12.27.33 2001:dc3::35";
        assert_eq!(ROOT_SERVERS.map(|addr| addr.to_string()).join(" "), hints.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
