//! Every kind of log, as riposte follows it for its whole life: rotated, cut short, late, through a pipe, a socket, the kernel's ring.

use crate::daemon::{Daemon, folder, line, network, runs, scan_lines, signal, until};
use range::network::{Network, VICTIM};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;

/// A scan by 198.51.100.n in six lines.
fn scan(n: u8) -> String {
    scan_lines(&attacker(n), VICTIM, 1_000..1_006)
}

fn attacker(n: u8) -> String {
    format!("198.51.100.{n}")
}

fn file(path: &str, from: &str) -> String {
    format!("[[sense.log]]\nkind = \"file\"\npath = \"{{}}/{path}\"\nfrom = \"{from}\"\n")
}

#[test]
fn a_file_is_followed_through_everything_that_happens_to_it() {
    let network = network("files", 0);
    let folder = folder();
    fs::write(folder.path().join("kern.log"), scan(20)).unwrap();
    fs::write(folder.path().join("whole.log"), scan(21)).unwrap();
    let config = [file("kern.log", "end"), file("copied.log", "end"), file("a/b/late.log", "end"), file("whole.log", "start")].concat();
    let daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    let (log, old, copied) = (daemon.path("kern.log"), daemon.path("kern.log.1"), daemon.path("copied.log"));

    daemon.wait_until_blocked(&attacker(21));
    daemon.wait_until_followed("kern.log");
    daemon.append("kern.log", &scan(22));
    daemon.wait_until_blocked(&attacker(22));
    // Renamed; its writer goes on with it for a while; then there is a new one.
    fs::rename(&log, &old).unwrap();
    daemon.append("kern.log.1", &scan(23));
    daemon.append("kern.log", &scan(24));
    daemon.wait_until_blocked(&attacker(23));
    daemon.wait_until_blocked(&attacker(24));
    fs::remove_file(&old).unwrap();
    // A sensor that is new does not read a second time what another one has read.
    let reader =
        daemon.json_one(&["status"])["processes"].as_array().unwrap().iter().find(|p| p["life"] == "log 4").unwrap()["pid"].as_u64();
    signal("KILL", reader.expect("it runs") as u32);
    daemon.wait_until_followed("whole.log");
    assert_eq!(daemon.sensor_figure("whole.log", "packets"), Some(0));
    // Half a line is no line until its end has come.
    let text = scan(25);
    let (head, tail) = text.split_at(300);
    daemon.append("kern.log", head);
    daemon.wait_until_figure("kern.log", "packets", 18 + 1);
    daemon.append("kern.log", tail);
    daemon.wait_until_blocked(&attacker(25));

    // It appeared later, and is copied and cut short.
    daemon.wait_until_followed("copied.log");
    daemon.append("copied.log", &scan(26));
    daemon.wait_until_blocked(&attacker(26));
    fs::copy(&copied, daemon.path("copied.log.1")).unwrap();
    OpenOptions::new().write(true).truncate(true).open(&copied).unwrap();
    daemon.append("copied.log", &scan(27));
    daemon.wait_until_blocked(&attacker(27));
    daemon.wait_until_figure("copied.log", "truncations", 1);

    // Even its folders were not there.
    fs::create_dir_all(daemon.path("a/b")).unwrap();
    daemon.append("a/b/late.log", &scan(28));
    daemon.wait_until_blocked(&attacker(28));

    // What was there before `from = "end"` is past, and no line was read twice or lost.
    let expected: Vec<String> = (21..=28).map(attacker).collect();
    assert_eq!(daemon.blocked(), expected);
    for (log, packets) in [("kern.log", 24), ("copied.log", 12), ("late.log", 6), ("whole.log", 0)] {
        daemon.wait_until_figure(log, "packets", packets);
    }
    assert_eq!(daemon.sensor_figure("kern.log", "rotations"), Some(1));
}

#[test]
fn pipes_sockets_and_the_kernels_ring_are_read() {
    let network = network("inputs", 0);
    let config = "[[sense.log]]\nkind = \"pipe\"\npath = \"{}/pipe\"\n\
                  [[sense.log]]\nkind = \"syslog\"\npath = \"{}/log.sock\"\n\
                  [[sense.log]]\nkind = \"syslog\"\nlisten = \"127.0.0.1:5514\"\n\
                  [[sense.log]]\nkind = \"kmsg\"\n";
    let daemon = Daemon::start(&network.victim, config);

    for (n, writer) in [30, 31].into_iter().zip(["first", "second"]) {
        OpenOptions::new().write(true).open(daemon.path("pipe")).expect(writer).write_all(scan(n).as_bytes()).unwrap();
        daemon.wait_until_blocked(&attacker(n));
    }
    let socket = UnixDatagram::unbound().unwrap();
    for text in scan(32).lines() {
        socket.send_to(format!("<4>{text}").as_bytes(), daemon.path("log.sock")).unwrap();
    }
    daemon.wait_until_blocked(&attacker(32));
    // With a facility that isn't the kernel's it is another program's word.
    for text in scan(33).lines() {
        socket.send_to(format!("<13>{text}").as_bytes(), daemon.path("log.sock")).unwrap();
    }
    daemon.wait_until_figure("log.sock", "forged", 6);
    let script = "while IFS= read -r line; do printf '<4>%s' \"$line\" > /dev/udp/127.0.0.1/5514; done < \"$0\"";
    fs::write(daemon.path("datagrams"), scan(34)).unwrap();
    network.victim.run("bash", ["-c", script, &daemon.path("datagrams").display().to_string()]).unwrap();
    daemon.wait_until_blocked(&attacker(34));

    // Programs may write into the kernel's ring, but not in its name.
    let mut ring = OpenOptions::new().write(true).open("/dev/kmsg").expect("/dev/kmsg is writable for root");
    let record = line(&attacker(35), VICTIM, 1_000);
    let record = record.split_once("] ").expect("the kernel's stamp").1;
    for _ in 0..6 {
        ring.write_all(format!("<4>{record}").as_bytes()).unwrap();
    }
    daemon.wait_until_figure_of_at_least("kernel ring", "not by the kernel", 6);
    assert_eq!(daemon.blocked(), [30, 31, 32, 34].map(attacker));
}

/// The process in this namespace whose command line has this in it.
fn process(network: &Network, part: &str) -> Option<u64> {
    let pids = range::namespace::run("ip", ["netns", "pids", network.victim.name()]).ok()?;
    let named = |pid: &u64| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.replace('\0', " ").contains(part));
    pids.lines().filter_map(|pid| pid.trim().parse().ok()).find(named)
}

#[test]
fn the_journal_is_read_by_a_process_without_privilege() {
    let network = network("journal", 0);
    let mut daemon = Daemon::start(&network.victim, "[[sense.log]]\nkind = \"journal\"\n");
    daemon.expect_error("the log's source has ended");
    let only_the_kernels = "/journalctl -f -n 0 -o export _TRANSPORT=kernel";
    let reader = until("journalctl runs", || process(&network, only_the_kernels));
    let status = fs::read_to_string(format!("/proc/{reader}/status")).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert!(!line("Uid:").split('\t').any(|uid| uid == "0"), "{status}");
    assert_eq!((line("CapEff:"), line("NoNewPrivs:")), ("0000000000000000".into(), "1".into()), "{status}");

    // It may die; then it is started again, with its sensor.
    signal("KILL", reader as u32);
    let again = until("journalctl runs again", || process(&network, only_the_kernels).filter(|pid| *pid != reader));
    until("so does the sensor", || daemon.sensor_figure("journal", "lines"));
    // It must not be left behind.
    daemon.kill();
    until("journalctl is gone", || (!runs(again)).then_some(()));
}

#[test]
fn hundreds_of_forged_lines_block_nobody() {
    let network = network("forged", 0);
    let daemon = Daemon::start(&network.victim, &file("auth.log", "start"));
    let now = jiff::Timestamp::now();
    let packet = |n: u16| {
        format!(
            "IN=eth0 OUT= MAC= SRC=203.0.113.77 DST={VICTIM} LEN=44 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=4 DPT={n} WINDOW=1024 RES=0x00 SYN URGP=0"
        )
    };
    let mut text = String::new();
    for n in 0..100 {
        text += &format!("{now} host sshd[1]: Invalid user {} from 198.51.100.7 port 22\n", packet(n));
        text += &format!("{now} host sshd[1]: Invalid user kernel: [1.000000] DROP {} from 198.51.100.7\n", packet(n));
        text += &format!("{now} host postfix/smtpd[7]: NOQUEUE: reject: helo=<kernel: {}>\n", packet(n));
    }
    daemon.append("auth.log", &text);
    daemon.append("auth.log", &scan(40));
    daemon.wait_until_blocked(&attacker(40));
    daemon.wait_until_figure("auth.log", "lines", 306);
    daemon.wait_until_figure("auth.log", "forged", 300);
    assert_eq!(daemon.blocked(), [attacker(40)]);
    assert_eq!(daemon.figure("events"), 6);
}
