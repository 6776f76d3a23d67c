//! Every form of firewall-log line that the sensor reads, as a table: line → what must come out. Never a line from another project's tests.

use model::time::Time;
use sense::facts::{Chain, Fragment, Handling, TcpOptions};
use sense::firewall::{FirewallLog, LineKind, LogClock, Provenance, Sighting};

/// Friday, 20 November 2026, 21:17:01 UTC.
const T0: Time = Time::from_secs(1_795_209_421);
/// The kernel started a day before.
const BOOT: Time = Time::from_secs(1_795_209_421 - 86_400);
/// A line that has no time of its own gets this one, an hour later.
const NOW: Time = Time::from_secs(1_795_209_421 + 3_600);

fn log(provenance: Provenance) -> FirewallLog {
    FirewallLog::new(7, provenance, LogClock { boot: Some(BOOT), ..LogClock::utc(NOW) }, 32_768..=60_999)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One packet in a line. Left out: what is unknown, Input, Turned, a whole packet, once.
fn show(sighting: &Sighting<'_>) -> String {
    let facts = &sighting.facts;
    let at = match (sighting.at == NOW, sighting.at.as_nanos() as i128 - T0.as_nanos() as i128) {
        (true, _) => "now".to_owned(),
        (false, 0) => "T0".to_owned(),
        (false, nanos) => format!("T0{:+}us", nanos / 1_000),
    };
    let mut words = vec![
        at,
        format!("{}[{}]{}>{}", text(sighting.host), text(sighting.prefix), text(sighting.interface_in), text(sighting.interface_out)),
    ];
    let end = |address: std::net::IpAddr, port: Option<u16>| port.map_or(address.to_string(), |port| format!("{address}#{port}"));
    words.push(format!("{} {}>{}", facts.protocol, end(facts.source, facts.source_port), end(facts.target, facts.port)));
    let mut add = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name}{value}")));
    add("", facts.flags.map(|flags| flags.names().fold(String::from("f:"), |all, name| all + name)));
    add("icmp:", facts.icmp.map(|(kind, code)| format!("{kind}.{code}")));
    add("len:", facts.length.map(|n| n.to_string()));
    add("ttl:", facts.ttl.map(|n| n.to_string()));
    add("id:", facts.ip_id.map(|n| n.to_string()));
    add("win:", facts.window.map(|n| n.to_string()));
    add("seq:", facts.sequence.map(|n| n.to_string()));
    add(
        "",
        match facts.options {
            TcpOptions::Unknown => None,
            TcpOptions::Absent => Some("opt:none".to_owned()),
            TcpOptions::Present { bytes, system } => Some(format!("opt:{bytes}{}", if system { "s" } else { "" })),
        },
    );
    add("ext:", (facts.extension_headers > 0).then(|| facts.extension_headers.to_string()));
    add(
        "",
        match facts.fragment {
            Fragment::Whole => None,
            Fragment::First => Some("first".to_owned()),
            Fragment::Later => Some("later".to_owned()),
        },
    );
    add("", (facts.chain != Chain::Input).then(|| facts.chain.word().to_owned()));
    add(
        "",
        match facts.handling {
            Handling::Turned => None,
            Handling::Passed => Some("passed".to_owned()),
            Handling::Audited => Some("audited".to_owned()),
        },
    );
    add("", facts.loopback.then(|| "loopback".to_owned()));
    add("x", (sighting.times != 1).then(|| sighting.times.to_string()));
    words.join(" ")
}

fn read(log: &mut FirewallLog, line: &[u8]) -> String {
    let mut shown = Vec::new();
    let kind = log.line(line, NOW, |sighting| shown.push(show(sighting)));
    match kind {
        LineKind::Packets(n) => {
            assert_eq!(n as usize, shown.len(), "{}", text(line));
            shown.join(" | ")
        }
        LineKind::Ignored | LineKind::Unparsed => {
            assert!(shown.is_empty(), "{}", text(line));
            format!("{kind:?}").to_lowercase()
        }
    }
}

#[track_caller]
fn expect(provenance: Provenance, table: &[(&str, &str)]) {
    let wrong: Vec<_> = table
        .iter()
        .map(|(line, wanted)| (line, wanted, read(&mut log(provenance), line.as_bytes())))
        .filter(|(_, wanted, found)| *wanted != found)
        .map(|(line, wanted, found)| format!("{line}\n  wanted {wanted}\n  found  {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A SYN as the kernel writes it, and what it comes to.
macro_rules! syn {
    () => {
        "IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=198.51.100.7 DST=203.0.113.9 LEN=44 TOS=0x00 PREC=0x00 TTL=49 ID=54321 PROTO=TCP SPT=40000 DPT=80 WINDOW=1024 RES=0x00 SYN URGP=0 "
    };
}
macro_rules! seen {
    ($head:literal) => {
        concat!($head, "eth0> tcp 198.51.100.7#40000>203.0.113.9#80 f:SYN len:44 ttl:49 id:54321 win:1024")
    };
}
/// The start and the end of a record around what a test is about.
macro_rules! v4 {
    ($middle:literal) => {
        concat!("Nov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= SRC=198.51.100.7 DST=203.0.113.9 ", $middle)
    };
}
macro_rules! v6 {
    ($middle:literal) => {
        concat!(
            "Nov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= SRC=2001:0db8:0000:0000:0000:0000:0000:0007 DST=2001:0db8:0000:0000:0000:0000:0000:0009 ",
            $middle
        )
    };
}

#[test]
fn heads_of_system_logs() {
    expect(
        Provenance::Syslog,
        &[
            (concat!("Nov 20 21:17:01 gw kernel: [12345.678901] DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel: [   12.3] DROP ", syn!(), "\n"), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel: [12345.678901][  T123] DROP ", syn!(), "\r\n"), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel:[12345.678901] DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel: DROP", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel: ", syn!()), seen!("T0 gw[]")),
            (concat!("Nov  2 21:17:01 gw kernel: ", syn!()), seen!("T0-1555200000000us gw[]")),
            (concat!("Nov 2 21:17:01 gw kernel: ", syn!()), seen!("T0-1555200000000us gw[]")),
            (concat!("<4>Nov 20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01.250000 gw kernel: DROP ", syn!()), seen!("T0+250000us gw[DROP]")),
            (concat!("2026-11-20T21:17:01Z gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("2026-11-20T22:17:01.003+01:00 gw kernel: DROP ", syn!()), seen!("T0+3000us gw[DROP]")),
            (concat!("2026-11-20T16:17:01.123456-0500 gw kernel: DROP ", syn!()), seen!("T0+123456us gw[DROP]")),
            (concat!("2026-11-20T21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("2026-11-20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("2026-11-20 21:17:01,500 gw kernel: DROP ", syn!()), seen!("T0+500000us gw[DROP]")),
            (concat!("2026 Nov 20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 2026 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("2025 Nov 20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0-31536000000000us gw[DROP]")),
            (concat!("<4>1 2026-11-20T21:17:01.003Z gw kernel - - - [12345.678901] DROP ", syn!()), seen!("T0+3000us gw[DROP]")),
            (concat!("1 2026-11-20T21:17:01Z gw kernel - - - DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("<4>1 - gw kernel - - [meta sequenceId=\"5\" x=\"a \\\"]\"][b] \u{feff}DROP ", syn!()), seen!("now gw[DROP]")),
            (concat!("Fri Nov 20 21:17:01 2026 kern.warn kernel: [   12.3] DROP wan in: ", syn!()), seen!("T0 [DROP wan in:]")),
            (concat!("Nov 20 21:17:01 gw kern.warn kernel: [   12.3] DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 kernel: DROP ", syn!()), seen!("T0 [DROP]")),
            (concat!("Nov 20 21:17:01 kernel: [1.5] drop: ", syn!()), seen!("T0 [drop:]")),
            (concat!("Nov 20 21:17:01 [192.0.2.1] kernel: DROP ", syn!()), seen!("T0 [192.0.2.1][DROP]")),
            (concat!("Nov 20 21:17:01 [fe80::1%2] kernel: DROP ", syn!()), seen!("T0 [fe80::1%2][DROP]")),
            (concat!("Nov 20 21:17:01 [fe80::1%eth0] kernel: [   12.3] DROP ", syn!()), seen!("T0 [fe80::1%eth0][DROP]")),
            // metalog.
            (concat!("Nov 20 21:17:01 [kernel] DROP: ", syn!()), seen!("T0 [DROP:]")),
            (concat!("Nov 20 21:17:01 [kernel] [   12.3] DROP ", syn!()), seen!("T0 [DROP]")),
            // A raw copy of the kernel's buffer.
            (concat!("[86400.000000] IPTables denied: ", syn!()), seen!("T0 [IPTables denied:]")),
            (concat!("[Fri Nov 20 21:17:01 2026] DROP ", syn!()), seen!("T0 [DROP]")),
            (concat!("<4>[86400.5] DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("<4>DROP ", syn!()), seen!("now [DROP]")),
            (concat!("kern  :warn  : [86400.5] DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("4,1234,86400500000,-;DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (syn!(), seen!("now []")),
        ],
    );
}

#[test]
fn heads_of_the_journal() {
    expect(
        Provenance::Journal,
        &[
            (concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("2026-11-20T21:17:01+0000 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01.123456 gw kernel: DROP ", syn!()), seen!("T0+123456us gw[DROP]")),
            (concat!("Fri 2026-11-20 21:17:01 UTC gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("1795209421.123456 gw kernel: DROP ", syn!()), seen!("T0+123456us gw[DROP]")),
            (concat!("[86400.000001] gw kernel: DROP ", syn!()), seen!("T0+1us gw[DROP]")),
            (concat!("[    0.000001] gw kernel: DROP ", syn!()), seen!("T0-86399999999us gw[DROP]")),
            // The journal always writes a head, and its kernel transport carries other programs' writes to /dev/kmsg too.
            (syn!(), "ignored"),
            (concat!("[86400.000001] DROP ", syn!()), "ignored"),
            (concat!("Nov 20 21:17:01 gw systemd[1]: DROP ", syn!()), "ignored"),
            (
                concat!(
                    "Nov 20 21:17:01 gw filterlog[1]: ",
                    "5,,,1,em0,match,block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7,203.0.113.9,1,2,58"
                ),
                "ignored",
            ),
            ("-- Boot 0123456789abcdef0123456789abcdef --", "ignored"),
        ],
    );
}

#[test]
fn heads_of_the_kernels_buffer() {
    expect(
        Provenance::Kernel,
        &[
            (concat!("4,1234,86400500000,-;DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("4,1234,86400500000,-,caller=T1;DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("12,1234,86400500000,-;DROP ", syn!()), "ignored"),
            (" SUBSYSTEM=net", "ignored"),
            (concat!("[86400.500000] DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("<4>[86400.500000] DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("<12>[86400.500000] DROP ", syn!()), "ignored"),
            (concat!("[Fri Nov 20 21:17:01 2026] DROP ", syn!()), seen!("T0 [DROP]")),
            (concat!("kern  :warn  : [86400.500000] DROP ", syn!()), seen!("T0+500000us [DROP]")),
            (concat!("user  :notice: [86400.500000] DROP ", syn!()), "ignored"),
            (concat!("DROP ", syn!()), seen!("now [DROP]")),
            (concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!()), seen!("T0 gw[DROP]")),
            (concat!("Nov 20 21:17:01 gw sshd[1]: DROP ", syn!()), "ignored"),
        ],
    );
}

#[test]
fn prefixes_say_what_was_done() {
    expect(
        Provenance::Syslog,
        &[
            (concat!("Nov 20 21:17:01 gw kernel: [1.5] [UFW BLOCK] ", syn!()), seen!("T0 gw[[UFW BLOCK]]")),
            (concat!("Nov 20 21:17:01 gw kernel: [1.5] [UFW LIMIT BLOCK] ", syn!()), seen!("T0 gw[[UFW LIMIT BLOCK]]")),
            (concat!("Nov 20 21:17:01 gw kernel: [1.5] [UFW ALLOW] ", syn!()), concat!(seen!("T0 gw[[UFW ALLOW]]"), " passed")),
            (concat!("Nov 20 21:17:01 gw kernel: [1.5] [UFW AUDIT] ", syn!()), concat!(seen!("T0 gw[[UFW AUDIT]]"), " audited")),
            (concat!("Nov 20 21:17:01 gw kernel: FINAL_REJECT: ", syn!()), seen!("T0 gw[FINAL_REJECT:]")),
            (concat!("Nov 20 21:17:01 gw kernel: filter_IN_public_DROP: ", syn!()), seen!("T0 gw[filter_IN_public_DROP:]")),
            (concat!("Nov 20 21:17:01 gw kernel: Shorewall:net2fw:DROP:", syn!()), seen!("T0 gw[Shorewall:net2fw:DROP:]")),
            (
                concat!("Nov 20 21:17:01 gw kernel: Shorewall:net2fw:ACCEPT:", syn!()),
                concat!(seen!("T0 gw[Shorewall:net2fw:ACCEPT:]"), " passed"),
            ),
            (concat!("Nov 20 21:17:01 gw kernel: fw accept ", syn!()), concat!(seen!("T0 gw[fw accept]"), " passed")),
            (concat!("Nov 20 21:17:01 gw kernel: pass ", syn!()), concat!(seen!("T0 gw[pass]"), " passed")),
            // Whole words only, and a word that turns away wins.
            (concat!("Nov 20 21:17:01 gw kernel: bypass ", syn!()), seen!("T0 gw[bypass]")),
            (concat!("Nov 20 21:17:01 gw kernel: allow-list DROP ", syn!()), seen!("T0 gw[allow-list DROP]")),
        ],
    );
}

#[test]
fn tcp_in_every_shape() {
    expect(
        Provenance::Syslog,
        &[
            (
                v4!(
                    "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=40000 DPT=22 SEQ=3405691582 ACK=0 WINDOW=64240 RES=0x00 SYN URGP=0 OPT (020405B40402080A0001E240000000000103 0307) "
                ),
                "unparsed",
            ),
            (
                v4!(
                    "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=40000 DPT=22 SEQ=3405691582 ACK=0 WINDOW=64240 RES=0x00 SYN URGP=0 OPT (020405B40402080A0001E2400000000001030307) "
                ),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f:SYN len:60 ttl:64 id:1 win:64240 seq:3405691582 opt:20s",
            ),
            (
                v4!("LEN=44 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f:SYN len:44 ttl:64 id:1 win:1024 opt:4",
            ),
            (
                v4!(
                    "LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0xc0 CWR ECE URG ACK PSH RST SYN FIN URGP=0 "
                ),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f:CWRECEURGACKPSHRSTSYNFIN len:40 ttl:64 id:1 win:1024",
            ),
            (
                v4!("LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 URGP=0"),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f: len:40 ttl:64 id:1 win:1024",
            ),
            // Cut before the urgent pointer: the flags are not known to be all there.
            (
                v4!("LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00"),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 len:40 ttl:64 id:1 win:1024",
            ),
            (
                v4!(
                    "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF OPT (94040000) PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0 MARK=0x1 "
                ),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f:SYN len:60 ttl:64 id:1 win:1024",
            ),
            (
                v4!("LEN=1500 TOS=0x00 PREC=0x00 TTL=64 ID=1 MF PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0 "),
                "T0 gw[DROP]eth0> tcp 198.51.100.7#40000>203.0.113.9#22 f:SYN len:1500 ttl:64 id:1 win:1024 first",
            ),
            (
                v4!("LEN=1500 TOS=0x00 PREC=0x00 TTL=64 ID=1 FRAG:185 PROTO=TCP "),
                "T0 gw[DROP]eth0> tcp 198.51.100.7>203.0.113.9 len:1500 ttl:64 id:1 later",
            ),
            (
                v4!("LEN=1500 TOS=0x00 PREC=0x00 TTL=64 ID=1 CE MF FRAG:185 PROTO=UDP "),
                "T0 gw[DROP]eth0> udp 198.51.100.7>203.0.113.9 len:1500 ttl:64 id:1 later",
            ),
            (
                v4!("LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP INCOMPLETE [8 bytes] "),
                "T0 gw[DROP]eth0> tcp 198.51.100.7>203.0.113.9 len:28 ttl:64 id:1",
            ),
        ],
    );
}

#[test]
fn other_protocols() {
    expect(
        Provenance::Syslog,
        &[
            (
                v4!("LEN=78 TOS=0x00 PREC=0x00 TTL=118 ID=9 PROTO=UDP SPT=1025 DPT=137 LEN=58 "),
                "T0 gw[DROP]eth0> udp 198.51.100.7#1025>203.0.113.9#137 len:78 ttl:118 id:9",
            ),
            (
                v4!("LEN=78 TOS=0x00 PREC=0x00 TTL=118 ID=9 PROTO=UDPLITE SPT=1025 DPT=137 LEN=58 "),
                "T0 gw[DROP]eth0> udplite 198.51.100.7#1025>203.0.113.9#137 len:78 ttl:118 id:9",
            ),
            (
                // A kernel that knows UDP-Lite by number alone.
                v4!("LEN=78 TOS=0x00 PREC=0x00 TTL=118 ID=9 PROTO=136 "),
                "T0 gw[DROP]eth0> udplite 198.51.100.7>203.0.113.9 len:78 ttl:118 id:9",
            ),
            (
                v4!("LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=ICMP TYPE=8 CODE=0 ID=77 SEQ=1 "),
                "T0 gw[DROP]eth0> icmp 198.51.100.7>203.0.113.9 icmp:8.0 len:84 ttl:64 id:9",
            ),
            (
                v4!(
                    "LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=ICMP TYPE=3 CODE=4 [SRC=203.0.113.9 DST=198.51.100.99 LEN=1500 TOS=0x00 PREC=0x00 TTL=63 ID=2 DF PROTO=TCP SPT=5 DPT=6 INCOMPLETE [8 bytes] ] MTU=1400 "
                ),
                "T0 gw[DROP]eth0> icmp 198.51.100.7>203.0.113.9 icmp:3.4 len:56 ttl:64 id:9",
            ),
            (
                v4!(
                    "LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=ICMP TYPE=5 CODE=1 GATEWAY=198.51.100.1 [SRC=203.0.113.9 DST=192.0.2.1 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=2 PROTO=UDP SPT=5 DPT=6 LEN=40 ] "
                ),
                "T0 gw[DROP]eth0> icmp 198.51.100.7>203.0.113.9 icmp:5.1 len:56 ttl:64 id:9",
            ),
            (
                v4!("LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=ICMP TYPE=12 CODE=0 PARAMETER=20 "),
                "T0 gw[DROP]eth0> icmp 198.51.100.7>203.0.113.9 icmp:12.0 len:56 ttl:64 id:9",
            ),
            (
                v4!("LEN=22 TTL=64 ID=9 PROTO=ICMP INCOMPLETE [2 bytes] "),
                "T0 gw[DROP]eth0> icmp 198.51.100.7>203.0.113.9 len:22 ttl:64 id:9",
            ),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=ESP SPI=0xdeadbeef "), "T0 gw[DROP]eth0> esp 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (
                v4!("LEN=100 TTL=64 ID=9 PROTO=ESP INCOMPLETE [4 bytes] "),
                "T0 gw[DROP]eth0> esp 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9",
            ),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=AH SPI=0x1 "), "T0 gw[DROP]eth0> ah 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=AH "), "T0 gw[DROP]eth0> ah 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=47 "), "T0 gw[DROP]eth0> gre 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=132 "), "T0 gw[DROP]eth0> sctp 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=SCTP SPT=7 DPT=8 "), "T0 gw[DROP]eth0> sctp 198.51.100.7#7>203.0.113.9#8 len:100 ttl:64 id:9"),
            (v4!("LEN=100 TTL=64 ID=9 PROTO=253 "), "T0 gw[DROP]eth0> 253 198.51.100.7>203.0.113.9 len:100 ttl:64 id:9"),
            (v4!("LEN=32 TTL=1 ID=9 PROTO=2 UID=0 GID=0 MARK=0x1 "), "T0 gw[DROP]eth0> igmp 198.51.100.7>203.0.113.9 len:32 ttl:1 id:9"),
        ],
    );
}

#[test]
fn ipv6_in_every_shape() {
    expect(
        Provenance::Syslog,
        &[
            (
                v6!("LEN=60 TC=0 HOPLIMIT=52 FLOWLBL=12345 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0 "),
                "T0 gw[DROP]eth0> tcp 2001:db8::7#40000>2001:db8::9#22 f:SYN len:60 ttl:52 win:1024",
            ),
            (
                "Nov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= SRC=2001:db8::7 DST=2001:db8::9 LEN=60 TC=0 HOPLIMIT=52 FLOWLBL=0 PROTO=UDP SPT=5 DPT=22 LEN=20 ",
                "T0 gw[DROP]eth0> udp 2001:db8::7#5>2001:db8::9#22 len:60 ttl:52",
            ),
            (
                "Nov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= SRC=::ffff:198.51.100.7 DST=0000:0000:0000:0000:0000:ffff:cb00:7109 LEN=60 TC=0 HOPLIMIT=52 FLOWLBL=0 PROTO=UDP SPT=5 DPT=22 LEN=20 ",
                "T0 gw[DROP]eth0> udp 198.51.100.7#5>203.0.113.9#22 len:60 ttl:52",
            ),
            (
                v6!("LEN=72 TC=0 HOPLIMIT=255 FLOWLBL=0 PROTO=ICMPv6 TYPE=135 CODE=0 "),
                "T0 gw[DROP]eth0> icmpv6 2001:db8::7>2001:db8::9 icmp:135.0 len:72 ttl:255",
            ),
            (
                v6!(
                    "LEN=1280 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=ICMPv6 TYPE=2 CODE=0 [SRC=2001:0db8:0000:0000:0000:0000:0000:0009 DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=1500 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=TCP SPT=1 DPT=2 INCOMPLETE [8 bytes] ] MTU=1280 "
                ),
                "T0 gw[DROP]eth0> icmpv6 2001:db8::7>2001:db8::9 icmp:2.0 len:1280 ttl:64",
            ),
            (
                v6!("LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( ) OPT ( ) OPT ( ) PROTO=TCP SPT=1 DPT=2 WINDOW=1024 RES=0x00 SYN URGP=0 "),
                "T0 gw[DROP]eth0> tcp 2001:db8::7#1>2001:db8::9#2 f:SYN len:100 ttl:64 win:1024 ext:3",
            ),
            (
                v6!("LEN=1500 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( ) OPT ( FRAG:0 INCOMPLETE ID:0000abcd ) PROTO=UDP SPT=1 DPT=2 LEN=3000 "),
                "T0 gw[DROP]eth0> udp 2001:db8::7#1>2001:db8::9#2 len:1500 ttl:64 ext:1 first",
            ),
            (
                v6!("LEN=1500 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:0 INCOMPLETE ID:0000abcd PROTO=UDP SPT=1 DPT=2 LEN=3000 "),
                "T0 gw[DROP]eth0> udp 2001:db8::7#1>2001:db8::9#2 len:1500 ttl:64 first",
            ),
            (
                v6!("LEN=1500 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:1448 ID:0000abcd PROTO=UDP "),
                "T0 gw[DROP]eth0> udp 2001:db8::7>2001:db8::9 len:1500 ttl:64 later",
            ),
            (
                v6!("LEN=1500 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:1448 ID:0000abcd "),
                "T0 gw[DROP]eth0> 44 2001:db8::7>2001:db8::9 len:1500 ttl:64 later",
            ),
            (v6!("LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( ESP SPI=0x1 )"), "T0 gw[DROP]eth0> esp 2001:db8::7>2001:db8::9 len:100 ttl:64"),
            (v6!("LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( AH SPI=0x1 )"), "T0 gw[DROP]eth0> ah 2001:db8::7>2001:db8::9 len:100 ttl:64"),
            (v6!("LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 "), "T0 gw[DROP]eth0> esp 2001:db8::7>2001:db8::9 len:100 ttl:64"),
            (v6!("LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=59 "), "T0 gw[DROP]eth0> 59 2001:db8::7>2001:db8::9 len:100 ttl:64"),
        ],
    );
}

#[test]
fn interfaces_and_chains() {
    macro_rules! udp {
        ($interfaces:literal) => {
            concat!(
                "Nov 20 21:17:01 gw kernel: ",
                $interfaces,
                "SRC=198.51.100.7 DST=203.0.113.9 LEN=40 TTL=64 ID=1 PROTO=UDP SPT=1 DPT=2 LEN=20 "
            )
        };
    }
    const UDP: &str = " udp 198.51.100.7#1>203.0.113.9#2 len:40 ttl:64 id:1";
    let table = [
        (udp!("IN=eth0 OUT=eth1 "), "eth0>eth1", " forward"),
        (udp!("IN= OUT=eth1 "), ">eth1", " output"),
        (udp!("IN= OUT= "), ">", ""),
        (udp!("IN=lo OUT= MAC=00:00:00:00:00:00:00:00:00:00:00:00:08:00 "), "lo>", " loopback"),
        (udp!("IN=br0 OUT=br0 PHYSIN=eth0 PHYSOUT=eth1 "), "br0>br0", " forward"),
        (udp!("IN=br0 PHYSIN=eth0 OUT=br0 PHYSOUT=eth1 "), "br0>br0", " forward"),
        (udp!("IN=eth0.1 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 "), "eth0.1>", ""),
        (udp!("IN=ppp0 OUT= MAC= "), "ppp0>", ""),
        (udp!("IN=sit0 OUT= MAC=45:00:00:64:00:00:40:00:40:29:aa:bb:01:02:03:04:05:06:07:08 "), "sit0>", ""),
        (udp!("IN=eth0 OUT= MACSRC=52:54:00:65:43:21 MACDST=52:54:00:12:34:56 MACPROTO=0800 "), "eth0>", ""),
        (udp!("IN=eth0 OUT= MACSRC=52:54:00:65:43:21 MACDST=52:54:00:12:34:56 VPROTO=8100 VID=5 MACPROTO=0800 "), "eth0>", ""),
    ];
    for (line, interfaces, end) in table {
        assert_eq!(read(&mut log(Provenance::Syslog), line.as_bytes()), format!("T0 gw[]{interfaces}{UDP}{end}"), "{line}");
    }
}

#[test]
fn lines_run_together() {
    expect(
        Provenance::Syslog,
        &[
            (
                concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!(), "DROP ", syn!()),
                concat!(seen!("T0 gw[DROP]"), " | ", seen!("T0 gw[DROP]")),
            ),
            (
                concat!("Nov 20 21:17:01 gw kernel: ", syn!(), syn!(), syn!()),
                concat!(seen!("T0 gw[]"), " | ", seen!("T0 gw[]"), " | ", seen!("T0 gw[]")),
            ),
            (
                concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!(), "Nov 20 21:17:03 gw kernel: [1.5] REJECT ", syn!()),
                concat!(seen!("T0 gw[DROP]"), " | ", seen!("T0+2000000us gw[REJECT]")),
            ),
            (
                concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!(), "<4>[1.5] FIN scan: ", syn!()),
                concat!(seen!("T0 gw[DROP]"), " | ", seen!("T0-86398500000us gw[FIN scan:]")),
            ),
            // Glued, as the end of the line before was lost with its space.
            (
                concat!(
                    "Nov 20 21:17:01 gw kernel: IN=eth0 OUT= SRC=198.51.100.7 DST=203.0.113.9 LEN=40 TTL=64 ID=1 PROTO=UDP SPT=1 DPT=2 LEN=20Nov 20 21:17:01 gw kernel: ",
                    syn!()
                ),
                concat!("T0 gw[]eth0> udp 198.51.100.7#1>203.0.113.9#2 len:40 ttl:64 id:1 | ", seen!("T0 gw[]")),
            ),
            // The first is torn, the second whole.
            (concat!("Nov 20 21:17:01 gw kernel: DROP IN=eth0 OUT= SRC=198.51.100.8 DST=203.0.113.9 LEN=4", syn!()), seen!("T0 gw[]")),
            // The second is another program's.
            (concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!(), "Nov 20 21:17:01 gw sshd[1]: Invalid user ", syn!()), "unparsed"),
            (concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!(), "sshd[1]: Invalid user ", syn!()), "unparsed"),
        ],
    );
}

#[test]
fn repeated_lines() {
    let packet = concat!("Nov 20 21:17:01 gw kernel: DROP ", syn!());
    for repetition in [
        "Nov 20 21:17:01 gw last message repeated 3 times",
        "Nov 20 21:17:01 gw kernel: last message repeated 3 times",
        "Nov 20 21:17:01 gw kernel: [5.1] last message repeated 3 times",
        "Nov 20 21:17:01 gw syslogd: last message repeated 3 times",
        "Nov 20 21:17:01 gw --- last message repeated 3 times ---",
    ] {
        let mut one = log(Provenance::Syslog);
        assert_eq!(read(&mut one, repetition.as_bytes()), "ignored", "nothing was there to repeat: {repetition}");
        read(&mut one, packet.as_bytes());
        assert_eq!(read(&mut one, repetition.as_bytes()), concat!(seen!("T0 gw[DROP]"), " x3"), "{repetition}");
        assert_eq!(read(&mut one, repetition.as_bytes()), concat!(seen!("T0 gw[DROP]"), " x3"), "again: {repetition}");
        // What is repeated is the line before, and no packet further back.
        assert_eq!(read(&mut one, b"Nov 20 21:17:01 gw sshd[1]: hello"), "ignored");
        assert_eq!(read(&mut one, repetition.as_bytes()), "ignored", "{repetition}");
        assert_eq!(one.counters().other_repetitions, 2);
    }
    let mut one = log(Provenance::Syslog);
    read(&mut one, packet.as_bytes());
    assert_eq!(read(&mut one, b"Nov 20 21:17:01 elsewhere last message repeated 3 times"), "ignored");
    read(&mut one, packet.as_bytes());
    assert_eq!(read(&mut one, b"Nov 20 21:17:01 gw sshd[1]: last message repeated 3 times"), "ignored");
    read(&mut one, packet.as_bytes());
    assert_eq!(read(&mut one, b"Nov 20 21:17:01 gw last message repeated 0 times"), "ignored");
    expect(
        Provenance::Syslog,
        &[(
            concat!("Nov 20 21:17:01 gw kernel: message repeated 5 times: [ [12345.678901] DROP ", syn!(), "]"),
            concat!(seen!("T0 gw[DROP]"), " x5"),
        )],
    );
}

#[test]
fn ipchains() {
    macro_rules! line {
        ($tail:literal) => {
            concat!("Nov 20 21:17:01 gw kernel: Packet log: ", $tail)
        };
    }
    expect(
        Provenance::Syslog,
        &[
            (
                line!("input DENY eth0 PROTO=6 198.51.100.7:1234 203.0.113.9:80 L=60 S=0x00 I=1234 F=0x4000 T=64 SYN (#3)"),
                "T0 gw[DENY]eth0> tcp 198.51.100.7#1234>203.0.113.9#80 f:SYN len:60 ttl:64 id:1234",
            ),
            (
                line!("input REJECT eth0 PROTO=6 198.51.100.7:1234 203.0.113.9:80 L=40 S=0x00 I=1234 F=0x0000 T=64 (#3)"),
                "T0 gw[REJECT]eth0> tcp 198.51.100.7#1234>203.0.113.9#80 len:40 ttl:64 id:1234",
            ),
            (
                line!("forward ACCEPT eth0 PROTO=17 198.51.100.7:53 203.0.113.9:1024 L=60 S=0x00 I=1234 F=0x2000 T=64 O=0x94040000 (#3)"),
                "T0 gw[ACCEPT]eth0> udp 198.51.100.7#53>203.0.113.9#1024 len:60 ttl:64 id:1234 first forward passed",
            ),
            (
                line!("input DENY eth0 PROTO=1 198.51.100.7:8 203.0.113.9:0 L=84 S=0x00 I=1 F=0x0000 T=64 (#1)"),
                "T0 gw[DENY]eth0> icmp 198.51.100.7>203.0.113.9 icmp:8.0 len:84 ttl:64 id:1",
            ),
            (
                line!("input DENY eth0 PROTO=17 198.51.100.7:65535 203.0.113.9:65535 L=1500 S=0x00 I=1 F=0x00B9 T=64 (#1)"),
                "T0 gw[DENY]eth0> udp 198.51.100.7>203.0.113.9 len:1500 ttl:64 id:1 later",
            ),
            (
                line!("output - ppp0 PROTO=47 198.51.100.7:65535 203.0.113.9:65535 L=60 S=0x00 I=1 F=0x0000 T=64 (#1)"),
                "T0 gw[-]>ppp0 gre 198.51.100.7>203.0.113.9 len:60 ttl:64 id:1 output audited",
            ),
            (line!("input DENY eth0 PROTO=6 198.51.100.7:70000 203.0.113.9:80 L=60 S=0x00 I=1234 F=0x4000 T=64 (#3)"), "unparsed"),
            (line!("input DENY eth0 PROTO=1 198.51.100.7:300 203.0.113.9:0 L=60 S=0x00 I=1234 F=0x4000 T=64 (#3)"), "unparsed"),
            (line!("input DENY eth0 PROTO=6 198.51.100.7:1234 203.0.113.9:80 L=60"), "unparsed"),
            (
                "Nov 20 21:17:01 gw sshd[1]: Packet log: input DENY eth0 PROTO=6 198.51.100.7:1 203.0.113.9:80 L=60 S=0x00 I=1 F=0x4000 T=64 (#3)",
                "ignored",
            ),
        ],
    );
}

#[test]
fn ipfw() {
    macro_rules! line {
        ($tail:literal) => {
            concat!("Nov 20 21:17:01 gw kernel: ipfw: ", $tail)
        };
    }
    expect(
        Provenance::Syslog,
        &[
            (line!("100 Deny TCP 198.51.100.7:1234 203.0.113.9:80 in via em0"), "T0 gw[Deny]em0> tcp 198.51.100.7#1234>203.0.113.9#80"),
            (
                line!("100 Reset TCP 198.51.100.7:1234 203.0.113.9:80 out via em0"),
                "T0 gw[Reset]>em0 tcp 198.51.100.7#1234>203.0.113.9#80 output",
            ),
            (
                line!("100 Unreach 13 UDP 198.51.100.7:1234 203.0.113.9:80 in via em0"),
                "T0 gw[Unreach]em0> udp 198.51.100.7#1234>203.0.113.9#80",
            ),
            (line!("100 Reject ICMP:8.0 198.51.100.7 203.0.113.9 in via em0"), "T0 gw[Reject]em0> icmp 198.51.100.7>203.0.113.9 icmp:8.0"),
            (
                line!("100 Deny ICMPv6:128.0 [2001:db8::7] [2001:db8::9] in via em0"),
                "T0 gw[Deny]em0> icmpv6 2001:db8::7>2001:db8::9 icmp:128.0",
            ),
            (
                line!("100 Deny ICMPv6:128.0 2001:db8::7 2001:db8::9 in via em0"),
                "T0 gw[Deny]em0> icmpv6 2001:db8::7>2001:db8::9 icmp:128.0",
            ),
            (line!("100 Deny TCP [2001:db8::7]:1234 [2001:db8::9]:80 in via em0"), "T0 gw[Deny]em0> tcp 2001:db8::7#1234>2001:db8::9#80"),
            (line!("100 Deny P:47 198.51.100.7 203.0.113.9 in via em0"), "T0 gw[Deny]em0> gre 198.51.100.7>203.0.113.9"),
            (
                line!("100 Accept TCP 198.51.100.7:1234 203.0.113.9:80 in via em0"),
                "T0 gw[Accept]em0> tcp 198.51.100.7#1234>203.0.113.9#80 passed",
            ),
            (
                line!("100 Count TCP 198.51.100.7:1234 203.0.113.9:80 in via lo0"),
                "T0 gw[Count]lo0> tcp 198.51.100.7#1234>203.0.113.9#80 audited loopback",
            ),
            (
                line!("100 SkipTo 200 UDP 198.51.100.7:1 203.0.113.9:80 in via em0"),
                "T0 gw[SkipTo]em0> udp 198.51.100.7#1>203.0.113.9#80 audited",
            ),
            (line!("100 Deny UDP 198.51.100.7:1 203.0.113.9:80 in via em0 (frag 1234:1480@0+)"), "unparsed"),
            (
                line!("100 Deny UDP 198.51.100.7:1 203.0.113.9:80 (frag 1234:1480@0+) in via em0"),
                "T0 gw[Deny]em0> udp 198.51.100.7#1>203.0.113.9#80 first",
            ),
            (
                line!("100 Deny UDP 198.51.100.7 203.0.113.9 (frag 1234:1480@1480) in via em0"),
                "T0 gw[Deny]em0> udp 198.51.100.7>203.0.113.9 later",
            ),
            (line!("100 Deny TCP 198.51.100.7 203.0.113.9 in via em0"), "unparsed"),
            (line!("100 Deny TCP 198.51.100.7:70000 203.0.113.9:80 in via em0"), "unparsed"),
            (line!("limit 5 reached on entry 100"), "ignored"),
            ("Nov 20 21:17:01 gw kernel: ipfw2 (+ipv6) initialized", "ignored"),
            ("Nov 20 21:17:01 gw app: ipfw: 100 Deny TCP 198.51.100.7:1234 203.0.113.9:80 in via em0", "ignored"),
        ],
    );
}

#[test]
fn pf() {
    expect(
        Provenance::Syslog,
        &[
            (
                "2026-11-20 21:17:01.000500 rule 5/0(match): block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [S], seq 305419896, win 1024, options [mss 1460], length 0",
                "T0+500us [5/0(match)]em0> tcp 198.51.100.7#1234>203.0.113.9#80 f:SYN win:1024 seq:305419896 opt:4",
            ),
            (
                "1795209421.000500 rule 5..16777216/0(match): pass in on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [S], seq 1, win 64240, options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0",
                "T0+500us [5..16777216/0(match)]em0> tcp 198.51.100.7#1234>203.0.113.9#80 f:SYN win:64240 seq:1 opt:20s passed",
            ),
            (
                "Nov 20 21:17:01.000500 rule 5/(match) [uid 0, pid 42] block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: S 123:123(0) win 512 <mss 1460,nop,wscale 0> (DF)",
                "T0+500us [5/(match)]em0> tcp 198.51.100.7#1234>203.0.113.9#80 f:SYN win:512 seq:123 opt:8s",
            ),
            (
                "21:17:01.000500 rule 5/0(match): block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: . ack 1 win 512",
                "T0+500us [5/0(match)]em0> tcp 198.51.100.7#1234>203.0.113.9#80 f:ACK win:512 opt:none",
            ),
            (
                "rule 5/0(match): reject out on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [FPU], seq 1, win 1024, urg 0, length 0",
                "now [5/0(match)]>em0 tcp 198.51.100.7#1234>203.0.113.9#80 f:URGPSHFIN win:1024 seq:1 opt:none output",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [none], win 1024, length 0",
                "now [5/0(match)]em0> tcp 198.51.100.7#1234>203.0.113.9#80 f: win:1024 opt:none",
            ),
            (
                "rule 5/0(match): block in on em0: IP6 2001:db8::7.1234 > 2001:db8::9.80: Flags [S.], seq 1, ack 2, win 1024, length 0",
                "now [5/0(match)]em0> tcp 2001:db8::7#1234>2001:db8::9#80 f:ACKSYN win:1024 seq:1 opt:none",
            ),
            (
                "rule 5/0(match): block in on em0: (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 60) 198.51.100.7.5 > 203.0.113.9.53: UDP, length 12",
                "now [5/0(match)]em0> udp 198.51.100.7#5>203.0.113.9#53",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7.5 > 203.0.113.9.53: 12345+ A? Flags.[S].example. (29)",
                "now [5/0(match)]em0> udp 198.51.100.7#5>203.0.113.9#53",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7.5 > 203.0.113.9.9: udp 12",
                "now [5/0(match)]em0> udp 198.51.100.7#5>203.0.113.9#9",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: ICMP echo request, id 1, seq 1, length 64",
                "now [5/0(match)]em0> icmp 198.51.100.7>203.0.113.9 icmp:8.0",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: icmp: time stamp query",
                "now [5/0(match)]em0> icmp 198.51.100.7>203.0.113.9 icmp:13.0",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: ICMP 203.0.113.9 udp port 33434 unreachable, length 36",
                "now [5/0(match)]em0> icmp 198.51.100.7>203.0.113.9 icmp:3.3",
            ),
            (
                "rule 5/0(match): block in on em0: fe80::1 > ff02::1:ff00:9: ICMP6, neighbor solicitation, who has 2001:db8::9, length 32",
                "now [5/0(match)]em0> icmpv6 fe80::1>ff02::1:ff00:9 icmp:135.0",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: ESP(spi=0x00000001,seq=0x1), length 84",
                "now [5/0(match)]em0> esp 198.51.100.7>203.0.113.9",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: GREv0, length 84",
                "now [5/0(match)]em0> gre 198.51.100.7>203.0.113.9",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: ip-proto-253 20",
                "now [5/0(match)]em0> 253 198.51.100.7>203.0.113.9",
            ),
            (
                "rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: udp",
                "now [5/0(match)]em0> udp 198.51.100.7>203.0.113.9 later",
            ),
            (
                "rule 5/0(match): scrub in on lo0: 198.51.100.7.5 > 203.0.113.9.9: UDP, length 12",
                "now [5/0(match)]lo0> udp 198.51.100.7#5>203.0.113.9#9 audited loopback",
            ),
            (
                "Nov 20 21:17:01 gw pf: 00:00:00.000123 rule 5/0(match): block in on em0: 198.51.100.7.5 > 203.0.113.9.9: UDP, length 12",
                "T0 gw[5/0(match)]em0> udp 198.51.100.7#5>203.0.113.9#9",
            ),
            (
                "Nov 20 21:17:01 gw pflogd[12]: rule 5/0(match): block in on em0: 198.51.100.7.5 > 203.0.113.9.9: UDP, length 12",
                "T0 gw[5/0(match)]em0> udp 198.51.100.7#5>203.0.113.9#9",
            ),
            ("Nov 20 21:17:01 gw sshd[12]: rule 5/0(match): block in on em0: 198.51.100.7.5 > 203.0.113.9.9: UDP, length 12", "ignored"),
            ("rule 5/0(match): block in on em0: 198.51.100.7.70000 > 203.0.113.9.9: UDP, length 12", "unparsed"),
            ("rule 5/0(match): block in on em0: 198.51.100.7 > 203.0.113.9: ICMP type-253, length 12", "unparsed"),
            ("rule 5/0(match): block in on em0: 198.51.100.7.http > 203.0.113.9.9: UDP, length 12", "unparsed"),
        ],
    );
}

#[test]
fn filterlog() {
    macro_rules! line {
        ($tail:literal) => {
            concat!("Nov 20 21:17:01 gw filterlog[123]: 5,,,1000000103,em0,match,", $tail)
        };
    }
    expect(
        Provenance::Syslog,
        &[
            (
                line!(
                    "block,in,4,0x0,,64,12345,0,DF,6,tcp,60,198.51.100.7,203.0.113.9,40000,80,0,S,305419896,,64240,,mss;sackOK;TS;nop;wscale"
                ),
                "T0 gw[match]em0> tcp 198.51.100.7#40000>203.0.113.9#80 f:SYN len:60 ttl:64 id:12345 win:64240 seq:305419896 opt:20s",
            ),
            (
                line!("pass,out,4,0x0,,64,12345,0,none,6,tcp,40,198.51.100.7,203.0.113.9,40000,80,0,SA,1,2,1024,,"),
                "T0 gw[match]>em0 tcp 198.51.100.7#40000>203.0.113.9#80 f:ACKSYN len:40 ttl:64 id:12345 win:1024 seq:1 opt:none output passed",
            ),
            (
                line!("block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7,203.0.113.9,1,2,58"),
                "T0 gw[match]em0> udp 198.51.100.7#1>203.0.113.9#2 len:78 ttl:64 id:1",
            ),
            (
                line!("block,in,4,0x0,,64,1,0,none,1,icmp,84,198.51.100.7,203.0.113.9,request,1,1,64"),
                "T0 gw[match]em0> icmp 198.51.100.7>203.0.113.9 icmp:8.0 len:84 ttl:64 id:1",
            ),
            (
                line!("block,in,4,0x0,,64,1,185,none,17,udp,1500,198.51.100.7,203.0.113.9,"),
                "T0 gw[match]em0> udp 198.51.100.7>203.0.113.9 len:1500 ttl:64 id:1 later",
            ),
            (
                line!("block,in,4,0x0,,64,1,0,+,17,udp,1500,198.51.100.7,203.0.113.9,1,2,1480"),
                "T0 gw[match]em0> udp 198.51.100.7#1>203.0.113.9#2 len:1500 ttl:64 id:1 first",
            ),
            (
                line!("block,in,4,0x0,,64,1,0,none,47,gre,100,198.51.100.7,203.0.113.9,"),
                "T0 gw[match]em0> gre 198.51.100.7>203.0.113.9 len:100 ttl:64 id:1",
            ),
            (
                line!("block,in,6,0x00,0x12345,64,TCP,6,40,2001:db8::7,2001:db8::9,40000,22,0,S,1,,1024,,mss"),
                "T0 gw[match]em0> tcp 2001:db8::7#40000>2001:db8::9#22 f:SYN len:80 ttl:64 win:1024 seq:1 opt:4",
            ),
            (
                line!("block,in,6,0x00,0x00000,1,UDP,17,20,2001:db8::7,2001:db8::9,5,6,12"),
                "T0 gw[match]em0> udp 2001:db8::7#5>2001:db8::9#6 len:60 ttl:1",
            ),
            // The type of an ICMPv6 message is not told: it may be neighbour discovery.
            (line!("block,in,6,0x00,0x00000,255,ICMPv6,58,32,fe80::1,ff02::1,"), "unparsed"),
            (line!("block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7,203.0.113.9,1,70000,58"), "unparsed"),
            (line!("block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7"), "unparsed"),
            (
                "<134>1 2026-11-20T21:17:01+00:00 gw filterlog 123 - [meta sequenceId=\"5\"] 5,,,1,em0,match,block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7,203.0.113.9,1,2,58",
                "T0 gw[match]em0> udp 198.51.100.7#1>203.0.113.9#2 len:78 ttl:64 id:1",
            ),
            ("Nov 20 21:17:01 gw nginx: 5,,,1,em0,match,block,in,4,0x0,,64,1,0,none,17,udp,78,198.51.100.7,203.0.113.9,1,2,58", "ignored"),
            // filterlog is believed for its own format only.
            (concat!("Nov 20 21:17:01 gw filterlog[123]: ", syn!()), "unparsed"),
        ],
    );
}
