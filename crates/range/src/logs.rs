//! Firewall logs and logs of logins by the million, always the same for the same seed. Documentation and benchmark addresses only.

use std::io::{self, Write};

/// A small fast generator (xorshift64*, Vigna 2016): the same numbers for the same seed on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed; 0 is taken for 1.
    pub fn new(seed: u64) -> Self {
        Random(seed.max(1))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound` (at least 1).
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.draw() >> 32) * u64::from(bound.max(1))) >> 32) as u32
    }
}

/// Writes `lines` lines of kernel log in classic syslog form, from `sources` sources: about 70 % TCP SYN, 15 % UDP,
/// 5 % FIN, 5 % ICMP, 5 % lines of other programs. 100 lines a second of log time.
///
/// # Errors
/// If writing fails.
pub fn write(out: &mut impl Write, lines: u32, sources: u32, seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    for n in 0..lines {
        let second = n / 100;
        let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
        let day = 1 + n / 100 / 86_400;
        write!(out, "Nov {day:2} {hour:02}:{minute:02}:{second:02} gate ")?;
        let source = random.below(sources);
        let from = format_args!("198.{}.{}.{}", 18 + source / 65_536 % 2, source / 256 % 256, source % 256).to_string();
        let port = 1 + random.below(10_000);
        let sport = 32_768 + random.below(28_000);
        let id = random.below(65_536);
        let head = format_args!(
            "kernel: [{:5}.{:06}] DROP IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={from} DST=203.0.113.{} ",
            n / 100,
            n % 100 * 10_000,
            10 + random.below(4)
        )
        .to_string();
        match random.below(100) {
            0..70 => writeln!(
                out,
                "{head}LEN=44 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=TCP SPT={sport} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4)"
            )?,
            70..85 => writeln!(out, "{head}LEN=28 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=UDP SPT={sport} DPT={port} LEN=8")?,
            85..90 => writeln!(
                out,
                "{head}LEN=40 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=TCP SPT={sport} DPT={port} WINDOW=1024 RES=0x00 FIN URGP=0"
            )?,
            90..95 => writeln!(out, "{head}LEN=40 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=ICMP TYPE=13 CODE=0")?,
            _ => writeln!(out, "sshd[{id}]: Failed password for invalid user admin from {from} port {sport} ssh2")?,
        }
    }
    Ok(())
}

/// Names that password guessers try.
const GUESSED: [&str; 8] = ["admin", "test", "oracle", "ubuntu", "postgres", "git", "user1", "ftpuser"];

/// Writes `lines` lines of an `auth.log` in classic syslog form, the last of them at `until` (seconds since 1970, UTC), about twelve a second:
/// 63 % what sshd says of guessers (from `sources` addresses), 22 % of users who log in, 10 % of cron, 5 % of sudo.
///
/// # Errors
/// If writing fails.
pub fn write_logins(out: &mut impl Write, lines: u32, sources: u32, seed: u64, until: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    for n in 0..lines {
        stamp(out, until.saturating_sub(u64::from(lines - 1 - n) / 12))?;
        let source = random.below(sources);
        let from = std::net::Ipv4Addr::from(0xC612_0000 | source & 0x1_FFFF);
        let (pid, port) = (1_000 + random.below(60_000), 32_768 + random.below(28_000));
        let guessed = GUESSED.get(random.below(GUESSED.len() as u32) as usize).unwrap_or(&"guest");
        match random.below(100) {
            0..20 => writeln!(out, "gate sshd[{pid}]: Failed password for invalid user {guessed} from {from} port {port} ssh2"),
            20..32 => writeln!(out, "gate sshd[{pid}]: Invalid user {guessed} from {from} port {port}"),
            32..42 => writeln!(out, "gate sshd[{pid}]: Failed password for root from {from} port {port} ssh2"),
            42..52 => writeln!(
                out,
                "gate sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={from}  user=root"
            ),
            52..58 => writeln!(out, "gate sshd[{pid}]: Received disconnect from {from} port {port}:11: Bye Bye [preauth]"),
            58..63 => writeln!(out, "gate sshd[{pid}]: Connection closed by authenticating user root {from} port {port} [preauth]"),
            63..70 => writeln!(
                out,
                "gate sshd[{pid}]: Accepted publickey for deploy from 192.0.2.{} port {port} ssh2: ED25519 SHA256:0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
                random.below(254)
            ),
            70..78 => writeln!(out, "gate sshd[{pid}]: pam_unix(sshd:session): session opened for user deploy(uid=1001) by (uid=0)"),
            78..85 => writeln!(out, "gate sshd[{pid}]: pam_unix(sshd:session): session closed for user deploy"),
            85..95 => writeln!(out, "gate CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            _ => writeln!(out, "gate sudo:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/systemctl status nginx"),
        }?;
    }
    Ok(())
}

/// `Nov 21 03:04:05 ` of a second since 1970 (days to civil dates as in Hinnant's "chrono-compatible low-level date algorithms").
fn stamp(out: &mut impl Write, at: u64) -> io::Result<()> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (at / 86_400 + 719_468, at % 86_400);
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = MONTHS.get((shifted as usize + 2) % 12).unwrap_or(&"Jan");
    write!(out, "{month} {day:2} {:02}:{:02}:{:02} ", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_log() {
        let make = |seed| {
            let mut out = Vec::new();
            write(&mut out, 1_000, 50, seed).unwrap();
            out
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
        assert_eq!(make(7).split(|b| *b == b'\n').count(), 1_001);
    }
    #[test]
    fn logins_end_when_they_are_told_to() {
        let mut out = Vec::new();
        // 2024-02-29 23:59:59 UTC.
        write_logins(&mut out, 25, 50, 7, 1_709_251_199).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("Feb 29 23:59:57 gate "), "{text}");
        assert!(text.lines().last().unwrap().starts_with("Feb 29 23:59:59 gate "));
        let mut out = Vec::new();
        write_logins(&mut out, 1, 50, 7, 1_709_251_200).unwrap();
        assert!(out.starts_with(b"Mar  1 00:00:00 "));
    }
}
