//! How many lines a second the shipped rules read on one core: `cargo run --release -p logrules --example lines_per_second [LINES | FILE]`.

use logrules::Rules;
use logrules::line::Line;
use logrules::native::Book;
use model::time::Time;

/// An auth.log like a server's on the open network: three of ten lines are attacks.
fn auth_log(lines: u64) -> String {
    let mut text = String::new();
    let mut seed = 1_u64;
    for n in 0..lines {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (r, pid) = (seed >> 33, 1_000 + n % 30_000);
        let address = format!("198.18.{}.{}", r % 20, r / 20 % 250);
        let (port, second) = (1_024 + r % 60_000, n % 60);
        let body = match r % 20 {
            0 | 1 => format!("sshd[{pid}]: Failed password for root from {address} port {port} ssh2"),
            2 => format!("sshd[{pid}]: Failed password for invalid user admin from {address} port {port} ssh2"),
            3 => format!("sshd[{pid}]: Invalid user admin from {address} port {port}"),
            4 => format!("sshd[{pid}]: Connection closed by authenticating user root {address} port {port} [preauth]"),
            5 => format!("sshd[{pid}]: Received disconnect from {address} port {port}:11: Bye Bye [preauth]"),
            6 | 7 => {
                format!("sshd[{pid}]: Accepted publickey for deploy from 203.0.113.7 port {port} ssh2: ED25519 SHA256:abcdefghijklmnop")
            }
            8 | 9 => format!("sshd[{pid}]: pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)"),
            10 | 11 => format!("CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            12 | 13 => format!("CRON[{pid}]: pam_unix(cron:session): session closed for user root"),
            14 | 15 => "sudo:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/systemctl restart app".to_owned(),
            16 | 17 => format!("systemd-logind[{pid}]: New session {n} of user deploy."),
            18 => format!("sshd[{pid}]: Disconnected from user deploy 203.0.113.7 port {port}"),
            _ => format!("sshd[{pid}]: Received disconnect from 203.0.113.7 port {port}:11: disconnected by user"),
        };
        text.push_str(&format!("Nov 21 03:04:{second:02} box {body}\n"));
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn main() {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "1000000".to_owned());
    let text = argument.parse().map(auth_log).unwrap_or_else(|_| std::fs::read_to_string(&argument).expect("a file or a number of lines"));
    let mut book = Book::shipped().expect("the shipped rules load");
    book.set_terse(true);
    let (mut found, mut findings, mut wishes, mut lines) = (Vec::new(), 0_u64, 0_u64, 0_u64);
    let start = std::time::Instant::now();
    for line in text.lines() {
        found.clear();
        lines += 1;
        book.line(&Line::new(line.as_bytes(), Time::from_secs(1_795_230_300 + lines / 1_000), "/var/log/auth.log"), &mut found);
        findings += found.len() as u64;
        wishes += found.iter().filter(|finding| finding.wish.is_some()).count() as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{lines} lines in {seconds:.3} s: {:.0} lines/s; {findings} findings, {wishes} wishes", lines as f64 / seconds);
    println!("{:?}", book.counters());
}
