//! Firewall logs by the million, always the same for the same seed. Documentation and benchmark addresses only.

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
}
