//! What the kernel throws away before it copies it into a ring: everything that can be no evidence. A classic BPF program, made anew
//! whenever the host's addresses or open ports change. In doubt a packet passes: whoever reads the ring looks at all of it again.

use super::Version;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Instructions of one program: some 10 KiB of kernel memory, half of what the kernel gives a socket (`net.core.optmem_max`). A longer
/// one does without the open ports, then without the addresses.
const STEPS_MAX: usize = 1_200;
/// Bytes that are copied: IPv4 with all its options and TCP with all of its own; IPv6 with a chain of extension headers.
const V4_BYTES: u32 = 128;
const V6_BYTES: u32 = 256;
/// ARPHRD_LOOPBACK (linux/if_arp.h).
const LOOPBACK: u32 = 772;
/// A packet to this host's own link address, or on a link without any (PACKET_HOST).
const TO_US: u32 = 0;
/// Below this a port is a service's: acknowledgements that come from there are answers.
const FIRST_USER_PORT: u32 = 1_024;
const TCP: u32 = 6;
const UDP: u32 = 17;
/// IPv6 extension headers: hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, Shim6.
const EXTENSIONS: [u32; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

const FIN: u32 = 0x01;
const SYN: u32 = 0x02;
const RST: u32 = 0x04;
const ACK: u32 = 0x10;
const URG: u32 = 0x20;

/// What is known of the host.
#[derive(Debug, Clone, Copy)]
pub struct Host<'h> {
    /// Its own addresses, without doubles.
    pub addresses: &'h [IpAddr],
    /// The interfaces that are looked at, by number; `None`: all but the loopback.
    pub interfaces: Option<&'h [u32]>,
    /// TCP and UDP ports with listeners, rising.
    pub open: [&'h [u16]; 2],
    /// From where its own clients call.
    pub clients: &'h RangeInclusive<u16>,
}

/// A program.
#[derive(Clone, Default)]
pub struct Filter {
    steps: Vec<libc::sock_filter>,
    /// Where a jump's place is not known yet, and to which label.
    open: Vec<(usize, Label)>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// The packet is thrown away.
    Drop,
    /// It is copied.
    Pass,
    /// The interface is one that is looked at.
    Interface,
    /// The packet is for one of our addresses.
    Ours,
    /// The next address is compared.
    Next,
    Udp,
    /// A segment that acknowledges something, alone or with FIN.
    Acknowledgement,
    /// The destination port decides.
    Port,
}

impl Filter {
    /// Lets nothing through.
    pub fn nothing() -> Self {
        let mut filter = Filter::default();
        filter.step(libc::BPF_RET, 0);
        filter
    }

    /// Lets through what may be evidence.
    pub fn new(version: Version, host: &Host<'_>) -> Self {
        let make = |addresses, ports| Filter::make(version, host, addresses, ports);
        let fits = |filter: &Filter| filter.steps.len() <= STEPS_MAX;
        Some(make(true, true)).filter(fits).or_else(|| Some(make(true, false)).filter(fits)).unwrap_or_else(|| make(false, false))
    }

    pub(super) fn steps(&self) -> &[libc::sock_filter] {
        &self.steps
    }

    fn make(version: Version, host: &Host<'_>, addresses: bool, ports: bool) -> Self {
        let mut filter = Filter::default();
        filter.frame(host.interfaces);
        filter.packet(version, host, addresses, ports);
        filter
    }

    /// What the kernel knows of a packet beside its bytes.
    fn frame(&mut self, interfaces: Option<&[u32]>) {
        self.beside(libc::SKF_AD_PKTTYPE);
        self.unless(TO_US, Label::Drop);
        self.beside(libc::SKF_AD_HATYPE);
        self.when(LOOPBACK, Label::Drop);
        if let Some(interfaces) = interfaces.filter(|list| list.len() < STEPS_MAX / 8) {
            self.beside(libc::SKF_AD_IFINDEX);
            interfaces.iter().for_each(|interface| self.when(*interface, Label::Interface));
            self.go(Label::Drop);
        }
        self.place(Label::Interface);
    }

    fn packet(&mut self, version: Version, host: &Host<'_>, addresses: bool, ports: bool) {
        match version {
            Version::V4 => self.v4(host, addresses),
            Version::V6 => self.v6(host, addresses),
        }
        // From here on the index register says where the transport header is.
        self.byte(13);
        self.when_any_of(RST, Label::Drop);
        self.step(libc::BPF_ALU | libc::BPF_AND, FIN | SYN | ACK | URG);
        self.when(SYN | ACK, Label::Drop);
        self.when(ACK, Label::Acknowledgement);
        self.when(FIN | ACK, Label::Acknowledgement);
        self.go(Label::Port);
        self.place(Label::Acknowledgement);
        if ports {
            self.half(0);
            self.unless_at_least(FIRST_USER_PORT, Label::Drop);
            self.half(2);
            self.when_within(host.clients, Label::Drop);
        } else {
            // Without the open ports these would be all that comes in on every connection.
            self.go(Label::Drop);
        }
        self.place(Label::Port);
        let [tcp, udp] = host.open.map(|open| if ports { ranges(open) } else { Vec::new() });
        self.half(2);
        tcp.iter().for_each(|range| self.when_within(range, Label::Drop));
        self.go(Label::Pass);
        self.place(Label::Udp);
        self.half(2);
        udp.iter().for_each(|range| self.when_within(range, Label::Drop));
        self.place(Label::Pass);
        self.step(libc::BPF_RET, if version == Version::V4 { V4_BYTES } else { V6_BYTES });
        self.place(Label::Drop);
        self.step(libc::BPF_RET, 0);
        debug_assert!(self.open.is_empty(), "{:?}", self.open);
    }

    fn v4(&mut self, host: &Host<'_>, addresses: bool) {
        if addresses {
            self.at(libc::BPF_W, 16);
            for address in host.addresses {
                if let IpAddr::V4(v4) = address {
                    self.when(u32::from(*v4), Label::Ours);
                }
            }
            self.go(Label::Drop);
        }
        self.place(Label::Ours);
        self.step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0);
        self.at(libc::BPF_B, 9);
        self.unless_one_of(&[TCP, UDP], Label::Drop);
        // A fragment: the first may end before the flags, and the later ones are counted.
        self.at(libc::BPF_H, 6);
        self.when_any_of(0x3fff, Label::Pass);
        self.at(libc::BPF_B, 9);
        self.when(UDP, Label::Udp);
    }

    fn v6(&mut self, host: &Host<'_>, addresses: bool) {
        if addresses {
            for address in host.addresses {
                let IpAddr::V6(v6) = address else { continue };
                let [a, b, c, d] = words(v6.octets());
                // The last word first: there addresses of one network differ.
                for (offset, word) in [(36, d), (32, c), (28, b)] {
                    self.at(libc::BPF_W, offset);
                    self.unless(word, Label::Next);
                }
                self.at(libc::BPF_W, 24);
                self.when(a, Label::Ours);
                self.place(Label::Next);
            }
            self.go(Label::Drop);
        }
        self.place(Label::Ours);
        self.step(libc::BPF_LDX | libc::BPF_IMM, 40);
        self.at(libc::BPF_B, 6);
        EXTENSIONS.iter().for_each(|extension| self.when(*extension, Label::Pass));
        self.when(UDP, Label::Udp);
        self.unless(TCP, Label::Drop);
    }

    fn step(&mut self, code: u32, k: u32) {
        self.jump(code, k, 0, 0);
    }

    fn jump(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        self.steps.push(libc::sock_filter { code: code as u16, jt, jf, k });
    }

    /// Loads what stands at this offset of the packet.
    fn at(&mut self, size: u32, offset: u32) {
        self.step(libc::BPF_LD | size | libc::BPF_ABS, offset);
    }

    /// Loads a byte, or two, of the transport header.
    fn byte(&mut self, offset: u32) {
        self.step(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, offset);
    }

    fn half(&mut self, offset: u32) {
        self.step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, offset);
    }

    /// Loads what the kernel knows beside.
    fn beside(&mut self, what: libc::c_int) {
        self.at(libc::BPF_W, (libc::SKF_AD_OFF + what) as u32);
    }

    /// Goes there. A jump with a condition reaches 255 steps, this one everywhere: so each condition jumps over one of these.
    fn go(&mut self, to: Label) {
        self.open.push((self.steps.len(), to));
        self.step(libc::BPF_JMP | libc::BPF_JA, 0);
    }

    fn when(&mut self, value: u32, to: Label) {
        self.jump(libc::BPF_JMP | libc::BPF_JEQ, value, 0, 1);
        self.go(to);
    }

    fn unless(&mut self, value: u32, to: Label) {
        self.jump(libc::BPF_JMP | libc::BPF_JEQ, value, 1, 0);
        self.go(to);
    }

    fn unless_one_of(&mut self, values: &[u32], to: Label) {
        for (n, value) in values.iter().rev().enumerate().rev() {
            self.jump(libc::BPF_JMP | libc::BPF_JEQ, *value, n as u8 + 1, 0);
        }
        self.go(to);
    }

    fn when_any_of(&mut self, bits: u32, to: Label) {
        self.jump(libc::BPF_JMP | libc::BPF_JSET, bits, 0, 1);
        self.go(to);
    }

    fn unless_at_least(&mut self, least: u32, to: Label) {
        self.jump(libc::BPF_JMP | libc::BPF_JGE, least, 1, 0);
        self.go(to);
    }

    fn when_within(&mut self, range: &RangeInclusive<u16>, to: Label) {
        let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
        if first == last {
            return self.when(first, to);
        }
        self.jump(libc::BPF_JMP | libc::BPF_JGE, first, 0, 2);
        self.jump(libc::BPF_JMP | libc::BPF_JGT, last, 1, 0);
        self.go(to);
    }

    /// Here is where all jumps to this label so far go.
    fn place(&mut self, label: Label) {
        let here = self.steps.len();
        for (at, _) in self.open.extract_if(.., |(_, to)| *to == label) {
            self.steps[at].k = (here - at - 1) as u32;
        }
    }
}

fn words(octets: [u8; 16]) -> [u32; 4] {
    let number = u128::from_be_bytes(octets);
    [96, 64, 32, 0].map(|shift| (number >> shift) as u32)
}

/// Rising ports as ranges.
fn ranges(ports: &[u16]) -> Vec<RangeInclusive<u16>> {
    let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(port) => *last = *last.start()..=port,
            _ => ranges.push(port..=port),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    const CLIENTS: RangeInclusive<u16> = 32_768..=60_999;

    /// Asks the kernel itself: a datagram socket takes a program for what is sent to it. What it knows beside a packet is left out there.
    fn passes(version: Version, host: &Host<'_>, packets: &[Vec<u8>]) -> Vec<bool> {
        let mut filter = Filter::default();
        filter.packet(version, host, true, true);
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = OwnedFd::from(ours);
        super::super::attach(&fd, &filter).unwrap();
        let ours = UnixDatagram::from(fd);
        let arrives = |packet: &Vec<u8>| {
            // One that the program drops is an error for its sender, or none: only what arrives counts.
            let _ = theirs.send(packet);
            ours.recv(&mut [0; 512]).is_ok()
        };
        packets.iter().map(arrives).collect()
    }

    fn v4(to: [u8; 4], protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
        let [high, low] = fragment.to_be_bytes();
        let header = [0x45, 0, 0, 0, 0, 0, high, low, 64, protocol, 0, 0, 198, 51, 100, 7];
        [&header[..], &to, transport].concat()
    }

    fn v6(to: &str, next: u8, rest: &[u8]) -> Vec<u8> {
        let to: std::net::Ipv6Addr = to.parse().unwrap();
        let mut header = vec![0x60, 0, 0, 0, 0, rest.len() as u8, next, 64];
        header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        [&header[..], &to.octets(), rest].concat()
    }

    fn tcp(from: u16, to: u16, flags: u32) -> Vec<u8> {
        let mut header = vec![0; 20];
        header[..2].copy_from_slice(&from.to_be_bytes());
        header[2..4].copy_from_slice(&to.to_be_bytes());
        header[13] = flags as u8;
        header
    }

    fn udp(to: u16) -> Vec<u8> {
        [&[0x9c, 0x40][..], &to.to_be_bytes(), &[0, 8, 0, 0]].concat()
    }

    const OURS: [u8; 4] = [192, 0, 2, 1];

    fn addresses() -> Vec<IpAddr> {
        ["192.0.2.9", "192.0.2.1", "2001:db8::1", "2001:db8:1::1", "fe80::1"].map(|text| text.parse().unwrap()).to_vec()
    }

    #[test]
    fn what_may_be_evidence_passes_and_nothing_else() {
        let addresses = addresses();
        let open: [&[u16]; 2] = [&[22, 80, 81, 82, 8_080], &[53]];
        let host = Host { addresses: &addresses, interfaces: None, open, clients: &CLIENTS };
        let cases = [
            (tcp(40_000, 23, SYN), true),
            (tcp(40_000, 22, SYN), false),
            (tcp(40_000, 81, SYN), false),
            (tcp(40_000, 83, SYN), true),
            (tcp(80, 23, SYN), true),
            (tcp(40_000, 40_000, SYN), true),
            (tcp(40_000, 23, FIN), true),
            (tcp(40_000, 23, 0), true),
            (tcp(40_000, 23, FIN | URG | 8), true),
            (tcp(40_000, 23, ACK), true),
            (tcp(40_000, 23, FIN | ACK), true),
            (tcp(40_000, 8_080, ACK), false),
            // Answers to our own clients.
            (tcp(80, 40_000, ACK), false),
            (tcp(8_443, 40_000, ACK | 8), false),
            (tcp(8_443, 40_000, FIN | ACK), false),
            (tcp(443, 5_000, ACK), false),
            (tcp(40_000, 23, SYN | ACK), false),
            (tcp(40_000, 23, RST), false),
            (tcp(40_000, 23, RST | ACK), false),
        ];
        let packets: Vec<_> = cases.iter().map(|(segment, _)| v4(OURS, 6, 0, segment)).collect();
        let expected: Vec<bool> = cases.iter().map(|(_, passes)| *passes).collect();
        assert_eq!(passes(Version::V4, &host, &packets), expected);
        let packets: Vec<_> = cases.iter().map(|(segment, _)| v6("2001:db8:1::1", 6, segment)).collect();
        assert_eq!(passes(Version::V6, &host, &packets), expected);

        let syn = tcp(40_000, 22, SYN);
        let options = [&[0x46][..], &v4(OURS, 6, 0, &[])[1..], &[1, 1, 1, 0], &tcp(40_000, 23, SYN)].concat();
        let cases = [
            (v4([192, 0, 2, 2], 6, 0, &tcp(40_000, 23, SYN)), false),
            (v4([192, 0, 2, 9], 6, 0, &tcp(40_000, 23, SYN)), true),
            (options, true),
            (v4(OURS, 17, 0, &udp(161)), true),
            (v4(OURS, 17, 0, &udp(53)), false),
            // Fragments pass, even to open ports: the first may be too short for more.
            (v4(OURS, 6, 0x2000, &syn[..8]), true),
            (v4(OURS, 17, 0x0040, &[0; 8]), true),
            (v4(OURS, 1, 0, &[8, 0, 0, 0]), false),
            (v4(OURS, 47, 0, &[0; 8]), false),
            // Cut short.
            (v4(OURS, 6, 0, &syn[..10]), false),
            (vec![0x45], false),
        ];
        let (packets, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        assert_eq!(passes(Version::V4, &host, &packets), expected);
        let extended = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &syn].concat();
        let cases = [
            (v6("2001:db8::2", 6, &tcp(40_000, 23, SYN)), false),
            (v6("2001:db8:0:1::1", 6, &tcp(40_000, 23, SYN)), false),
            (v6("fe80::1", 17, &udp(161)), true),
            (v6("2001:db8::1", 17, &udp(53)), false),
            (v6("2001:db8::1", 60, &extended), true),
            (v6("2001:db8::1", 44, &[0; 16]), true),
            (v6("2001:db8::1", 58, &[128, 0, 0, 0]), false),
        ];
        let (packets, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        assert_eq!(passes(Version::V6, &host, &packets), expected);
    }

    #[test]
    fn a_host_that_is_too_large_is_looked_at_as_a_whole() {
        let scattered: Vec<u16> = (1..=999).map(|n| n * 2).collect();
        let many: Vec<IpAddr> = (0..2_000).map(|n| IpAddr::from([10, 0, (n >> 8) as u8, n as u8])).collect();
        let own = addresses();
        let length = |addresses: &[IpAddr], ports| {
            let host = Host { addresses, interfaces: Some(&[2, 3]), open: [ports, ports], clients: &CLIENTS };
            Filter::new(Version::V4, &host).steps.len()
        };
        assert!(length(&own, &[22]) < 100);
        // Without open ports, then without addresses as well.
        assert!(length(&own, &scattered) < length(&own, &[22]));
        assert!(length(&many, &scattered) < length(&own, &scattered));
    }
}
