//! PortSentry's own lines about touches, for programs that read those: in riposte's log, and in history and blocked file in the store's folder.
//! Unlike there, only who is blocked is written down as such, nothing is said of the exempt, and no file is ever emptied. Never holds up a
//! decision: what can't be written is counted.

use crate::config::guard::Form;
use court::court::{Answer, Touched};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use model::event::{TcpFlags, Trust};
use model::net::Protocol;
use model::style::Style;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file that is written to, before it is put aside (`.1`, in the place of what was put aside before).
const FILE_BYTES: u64 = 16 << 20;
/// The files, in the store's folder. PortSentry 1.x writes the same line into both; 2.x's second one is no text, and nobody reads it.
const FILES: [&str; 2] = ["portsentry.history", "portsentry.blocked"];

/// Who writes them.
#[derive(Debug)]
pub struct Lines {
    folder: PathBuf,
    form: Form,
    stealth: bool,
    /// Lines that could not be written.
    pub lost: u64,
}

impl Lines {
    /// In this folder, `lost` of them so far.
    pub fn new(folder: &Path, form: Form, stealth: bool, lost: u64) -> Lines {
        Lines { folder: folder.to_owned(), form, stealth, lost }
    }

    /// Tells of touches that were charged.
    pub fn tell(&mut self, touches: &[Touched]) {
        let mut history = String::new();
        // fail2ban's filter for 2.x takes every line for a scan, whatever stands behind 'ignored:'.
        for touched in touches.iter().filter(|touched| touched.answer != Answer::Exempt) {
            match self.form {
                Form::One => tracing::warn!("attackalert: {}", alert(touched, self.stealth)),
                Form::Two => {
                    let line = scan_from(touched, self.stealth);
                    tracing::warn!("{line}");
                    history += &format!("{} {line}\n", local(touched, &TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%.3f%z"));
                }
            }
            if touched.answer == Answer::Blocked {
                tracing::warn!(
                    "attackalert: Host {0} has been blocked via dropped route using command: \"nftables inet riposte\"",
                    touched.actor
                );
                if self.form == Form::One {
                    history += &blocked(touched, &TimeZone::system());
                }
            }
        }
        let files = if self.form == Form::One { &FILES[..] } else { &FILES[..1] };
        for name in files.iter().filter(|_| !history.is_empty()) {
            self.lost += u64::from(append(&self.folder.join(name), &history).is_err());
        }
    }
}

/// Writes behind what a file has; one that is too long is put aside first.
pub(super) fn append(path: &Path, text: &str) -> io::Result<()> {
    let open = || OpenOptions::new().append(true).create(true).open(path);
    let mut file: File = open()?;
    if file.metadata()?.len() > FILE_BYTES {
        fs::rename(path, path.with_added_extension("1"))?;
        file = open()?;
    }
    file.write_all(text.as_bytes())
}

/// What PortSentry 1.x says. Its names are never looked up here: the address stands for itself.
fn alert(touched: &Touched, stealth: bool) -> String {
    let Touched { actor, touch, .. } = touched;
    // With a blank in front of this one, as there.
    let blank = if touch.style == Style::Null { " " } else { "" };
    let what = kind(touched, if stealth { "UDP scan" } else { "Connect" });
    format!("{blank}{what} from host: {actor}/{actor} to {} port: {}", protocol(touched), touch.port)
}

/// What PortSentry 2.x says.
fn scan_from(touched: &Touched, stealth: bool) -> String {
    let Touched { actor, touch, answer, .. } = touched;
    let kind = kind(touched, if stealth { "UDP" } else { "Connect" });
    let (noblock, blocked) = (*answer == Answer::Recorded, *answer == Answer::Blocked);
    format!(
        "Scan from: [{actor}] ({actor}) protocol: [{}] port: [{}] type: [{kind}] IP opts: [unknown] ignored: [false] triggered: [true] \
         noblock: [{noblock}] blocked: [{blocked}]",
        protocol(touched),
        touch.port
    )
}

fn protocol(touched: &Touched) -> &'static str {
    if touched.touch.protocol == Protocol::UDP { "UDP" } else { "TCP" }
}

/// What PortSentry calls it.
fn kind(Touched { touch, trust, .. }: &Touched, datagram: &str) -> String {
    match touch.style {
        Style::Udp => datagram.to_owned(),
        _ if *trust > Trust::Spoofable => "Connect".to_owned(),
        Style::Fin => "TCP FIN scan".to_owned(),
        Style::Null => "TCP NULL scan".to_owned(),
        Style::Xmas => "TCP XMAS scan".to_owned(),
        Style::Ack => flags(TcpFlags::ACK),
        Style::Maimon => flags(TcpFlags::ACK | TcpFlags::FIN),
        _ => "TCP SYN/Normal scan".to_owned(),
    }
}

fn flags(bits: u8) -> String {
    let names = ["SYN", "FIN", "ACK", "PSH", "URG", "RST"];
    let values = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::ACK, TcpFlags::PSH, TcpFlags::URG, TcpFlags::RST];
    let shown = names.iter().zip(values).map(|(name, bit)| format!(" {name}: {}", u8::from(bits & bit != 0)));
    format!("Unknown Type: TCP Packet Flags:{}", shown.collect::<String>())
}

/// `EPOCH - MM/DD/YYYY HH:MM:SS Host: NAME/IP Port: N TCP Blocked`, in local time.
fn blocked(touched: &Touched, zone: &TimeZone) -> String {
    let (Touched { at, actor, touch, .. }, shown) = (touched, local(touched, zone));
    let when = format!("{} - {}", at.as_secs(), shown.strftime("%m/%d/%Y %H:%M:%S"));
    format!("{when} Host: {actor}/{actor} Port: {} {} Blocked\n", touch.port, protocol(touched))
}

/// When it was, by the clock on the wall.
fn local(touched: &Touched, zone: &TimeZone) -> Zoned {
    Timestamp::from_nanosecond(touched.at.as_nanos().into()).unwrap_or(Timestamp::MAX).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::Touch;
    use model::time::Time;

    fn touched(protocol: Protocol, style: Style, trust: Trust) -> Touched {
        let touch = Touch { protocol, port: 11, style, hops: None };
        Touched { at: Time::from_secs(1_700_000_000), actor: "192.0.2.7".parse().unwrap(), touch, trust, answer: Answer::Blocked }
    }

    #[test]
    fn lines_are_portsentrys_own() {
        let tcp = |style, trust| alert(&touched(Protocol::TCP, style, trust), true);
        let host = "from host: 192.0.2.7/192.0.2.7 to";
        assert_eq!(tcp(Style::Connect, Trust::Handshake), format!("Connect {host} TCP port: 11"));
        assert_eq!(tcp(Style::Connect, Trust::Spoofable), format!("TCP SYN/Normal scan {host} TCP port: 11"));
        assert_eq!(tcp(Style::Syn, Trust::Spoofable), format!("TCP SYN/Normal scan {host} TCP port: 11"));
        assert_eq!(tcp(Style::Null, Trust::Spoofable), format!(" TCP NULL scan {host} TCP port: 11"));
        assert_eq!(tcp(Style::Xmas, Trust::Spoofable), format!("TCP XMAS scan {host} TCP port: 11"));
        let maimon = format!("Unknown Type: TCP Packet Flags: SYN: 0 FIN: 1 ACK: 1 PSH: 0 URG: 0 RST: 0 {host} TCP port: 11");
        assert_eq!(tcp(Style::Maimon, Trust::Spoofable), maimon);
        let udp = touched(Protocol::UDP, Style::Udp, Trust::Spoofable);
        assert_eq!([alert(&udp, true), alert(&udp, false)], ["UDP scan", "Connect"].map(|what| format!("{what} {host} UDP port: 11")));
        assert_eq!(blocked(&udp, &TimeZone::UTC), "1700000000 - 11/14/2023 22:13:20 Host: 192.0.2.7/192.0.2.7 Port: 11 UDP Blocked\n");
    }

    /// One that is blocked, one of each other kind.
    fn fates() -> [Touched; 4] {
        let connect = touched(Protocol::TCP, Style::Connect, Trust::Handshake);
        [Answer::Blocked, Answer::Exempt, Answer::Recorded, Answer::Spared].map(|answer| Touched { answer, ..connect.clone() })
    }

    #[test]
    fn version_2_s_lines_say_who_is_blocked_and_nothing_of_the_exempt() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join(FILES[0]);
        fs::write(&history, "what was there before\n").unwrap();
        let mut lines = Lines::new(folder.path(), Form::Two, false, 0);
        lines.tell(&fates());
        lines.tell(&[]);
        assert_eq!((lines.lost, folder.path().join(FILES[1]).exists()), (0, false));
        let text = fs::read_to_string(&history).unwrap();
        let (before, after) = text.split_once('\n').unwrap();
        assert_eq!((before, after.lines().count()), ("what was there before", 3));
        let told = |noblock, blocked| {
            format!(
                "Scan from: [192.0.2.7] (192.0.2.7) protocol: [TCP] port: [11] type: [Connect] IP opts: [unknown] ignored: [false] \
                 triggered: [true] noblock: [{noblock}] blocked: [{blocked}]"
            )
        };
        let expected = [told(false, true), told(true, false), told(false, false)];
        for (line, expected) in after.lines().zip(expected) {
            let (stamp, line) = line.split_once(' ').unwrap();
            assert_eq!(line, expected);
            assert!(jiff::Zoned::strptime("%Y-%m-%dT%H:%M:%S%.3f%z", stamp).is_ok() && stamp.contains(".000"), "{stamp}");
        }
        let null = touched(Protocol::TCP, Style::Null, Trust::Spoofable);
        assert!(scan_from(&null, true).contains("type: [TCP NULL scan]"));
        let udp = touched(Protocol::UDP, Style::Udp, Trust::Spoofable);
        assert!(scan_from(&udp, true).contains("protocol: [UDP] port: [11] type: [UDP]"));
    }

    #[test]
    fn files_are_put_aside_before_they_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join(FILES[0]);
        fs::write(&history, vec![b'x'; FILE_BYTES as usize + 1]).unwrap();
        let mut lines = Lines::new(folder.path(), Form::One, false, 0);
        lines.tell(&fates());
        for name in FILES {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap().lines().count(), 1, "{name}");
        }
        assert_eq!(fs::metadata(folder.path().join("portsentry.history.1")).unwrap().len(), FILE_BYTES + 1);
        let mut nowhere = Lines::new(Path::new("/nowhere"), Form::One, false, 0);
        nowhere.tell(&[touched(Protocol::TCP, Style::Connect, Trust::Handshake)]);
        assert_eq!((lines.lost, nowhere.lost), (0, 2));
    }
}
