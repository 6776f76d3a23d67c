//! PortSentry's own lines about touches, for programs that read those: `attackalert:` in riposte's log, history and blocked file in the store's
//! folder. Unlike there, only who is blocked is written down as such. Never holds up a decision: what can't be written is counted.

use court::court::Touched;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::event::{TcpFlags, Trust};
use model::net::Protocol;
use model::style::Style;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file that is written to, before it is put aside (`.1`, in the place of what was put aside before).
const FILE_BYTES: u64 = 16 << 20;
/// The files, in the store's folder. PortSentry 1.x writes the same line into both.
const FILES: [&str; 2] = ["portsentry.history", "portsentry.blocked"];

/// Who writes them.
#[derive(Debug)]
pub struct Lines {
    folder: PathBuf,
    stealth: bool,
    /// Lines that could not be written.
    pub lost: u64,
}

impl Lines {
    /// In this folder, `lost` of them so far.
    pub fn new(folder: &Path, stealth: bool, lost: u64) -> Lines {
        Lines { folder: folder.to_owned(), stealth, lost }
    }

    /// Tells of touches that were charged.
    pub fn tell(&mut self, touches: &[Touched]) {
        let mut history = String::new();
        for touched in touches {
            tracing::warn!("attackalert: {}", alert(touched, self.stealth));
            if touched.blocked {
                tracing::warn!(
                    "attackalert: Host {0} has been blocked via dropped route using command: \"nftables inet riposte\"",
                    touched.actor
                );
                history += &blocked(touched, &TimeZone::system());
            }
        }
        for name in FILES.iter().filter(|_| !history.is_empty()) {
            self.lost += u64::from(append(&self.folder.join(name), &history).is_err());
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let open = || OpenOptions::new().append(true).create(true).open(path);
    let mut file: File = open()?;
    if file.metadata()?.len() > FILE_BYTES {
        fs::rename(path, path.with_added_extension("1"))?;
        file = open()?;
    }
    file.write_all(text.as_bytes())
}

/// What PortSentry calls it. Its names are never looked up here: the address stands for itself.
fn alert(touched: &Touched, stealth: bool) -> String {
    let Touched { actor, touch, trust, .. } = touched;
    let protocol = if touch.protocol == Protocol::UDP { "UDP" } else { "TCP" };
    let what = match touch.style {
        Style::Udp if stealth => "UDP scan".to_owned(),
        Style::Udp => "Connect".to_owned(),
        _ if *trust > Trust::Spoofable => "Connect".to_owned(),
        Style::Fin => "TCP FIN scan".to_owned(),
        // With a blank in front, as there.
        Style::Null => " TCP NULL scan".to_owned(),
        Style::Xmas => "TCP XMAS scan".to_owned(),
        Style::Ack => flags(TcpFlags::ACK),
        Style::Maimon => flags(TcpFlags::ACK | TcpFlags::FIN),
        _ => "TCP SYN/Normal scan".to_owned(),
    };
    format!("{what} from host: {actor}/{actor} to {protocol} port: {}", touch.port)
}

fn flags(bits: u8) -> String {
    let names = ["SYN", "FIN", "ACK", "PSH", "URG", "RST"];
    let values = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::ACK, TcpFlags::PSH, TcpFlags::URG, TcpFlags::RST];
    let shown = names.iter().zip(values).map(|(name, bit)| format!(" {name}: {}", u8::from(bits & bit != 0)));
    format!("Unknown Type: TCP Packet Flags:{}", shown.collect::<String>())
}

/// `EPOCH - MM/DD/YYYY HH:MM:SS Host: NAME/IP Port: N TCP Blocked`, in local time.
fn blocked(touched: &Touched, zone: &TimeZone) -> String {
    let Touched { at, actor, touch, .. } = touched;
    let protocol = if touch.protocol == Protocol::UDP { "UDP" } else { "TCP" };
    let secs = at.as_secs();
    let shown = Timestamp::from_second(i64::try_from(secs).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX).to_zoned(zone.clone());
    format!("{secs} - {} Host: {actor}/{actor} Port: {} {protocol} Blocked\n", shown.strftime("%m/%d/%Y %H:%M:%S"), touch.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::Touch;
    use model::time::Time;

    fn touched(protocol: Protocol, style: Style, trust: Trust) -> Touched {
        let touch = Touch { protocol, port: 11, style, hops: None };
        Touched { at: Time::from_secs(1_700_000_000), actor: "192.0.2.7".parse().unwrap(), touch, trust, blocked: true }
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

    #[test]
    fn files_are_put_aside_before_they_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join(FILES[0]);
        fs::write(&history, vec![b'x'; FILE_BYTES as usize + 1]).unwrap();
        let mut lines = Lines::new(folder.path(), false, 0);
        lines.tell(&[
            touched(Protocol::TCP, Style::Connect, Trust::Handshake),
            Touched { blocked: false, ..touched(Protocol::TCP, Style::Syn, Trust::Spoofable) },
        ]);
        for name in FILES {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap().lines().count(), 1, "{name}");
        }
        assert_eq!(fs::metadata(folder.path().join("portsentry.history.1")).unwrap().len(), FILE_BYTES + 1);
        let mut nowhere = Lines::new(Path::new("/nowhere"), false, 0);
        nowhere.tell(&[touched(Protocol::TCP, Style::Connect, Trust::Handshake)]);
        assert_eq!((lines.lost, nowhere.lost), (0, 2));
    }
}
