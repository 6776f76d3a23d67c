//! PortSentry's own lines about touches, for programs that read those: in riposte's log, and in history and blocked file in the store's folder.
//! Unlike there, only who is blocked is written down as such, nothing is said of the exempt, and no file is ever emptied. Never holds up a
//! decision: what can't be written is counted.

use crate::config::Config;
use crate::config::guard::Form;
use crate::config::respond::Mode;
use crate::config::response::{self, On, ResponseConfig};
use crate::lives::runner::script::command_arguments;
use court::court::{Answer, Touched};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use model::event::{TcpFlags, Trust};
use model::net::{Prefix, Protocol};
use model::ports::Ports;
use model::response::Order;
use model::style::Style;
use report::escape;
use respond::hosts_deny::{self, Format};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Bytes of a file that is written to, before it is put aside (`.1`, in the place of what was put aside before).
const FILE_BYTES: u64 = 16 << 20;
/// The files, in the store's folder. PortSentry 1.x writes the same line into both; 2.x's second one is no text, and nobody reads it.
const FILES: [&str; 2] = ["portsentry.history", "portsentry.blocked"];

/// The responder that PortSentry calls wrappers.
const HOSTS_DENY: &str = "hosts-deny";
/// Characters of a command in a line.
const COMMAND_CHARS: usize = 300;

/// Who writes them.
#[derive(Debug)]
pub struct Lines {
    folder: PathBuf,
    form: Form,
    /// UDP ports at which a PortSentry would listen: those of its connect mode.
    listens: Ports,
    /// Protocols whose touches run a program, block or no block.
    runs: Vec<Protocol>,
    /// Who is asked for a block, whoever edits hosts.deny first, as there; and how those lines are written.
    kinds: Vec<&'static str>,
    deny: Format,
    /// How much of an address is blocked, IPv4 and IPv6.
    count_by: (u8, u8),
    responses: Vec<ResponseConfig>,
    /// Lines that could not be written.
    pub lost: u64,
}

impl Lines {
    /// By this configuration, `lost` of them so far. `None` if nobody wants them.
    pub fn new(config: &Config, lost: u64) -> Option<Lines> {
        let guard = &config.guard;
        let listens = if guard.stealth { Ports::default() } else { guard.udp.clone() };
        let of_touches = config.responses.iter().filter(|response| response.on == On::Touch);
        let runs = of_touches.flat_map(|response| &response.protocols).map(|protocol| match protocol {
            response::Touched::Tcp => Protocol::TCP,
            response::Touched::Udp => Protocol::UDP,
        });
        let mut kinds: Vec<&str> = config.respond.kinds.iter().map(|kind| kind.name).filter(|name| *name != "null").collect();
        if config.respond.mode == Mode::First {
            kinds.truncate(1);
        }
        kinds.sort_by_key(|name| *name != HOSTS_DENY);
        Some(Lines {
            folder: config.store.path.clone(),
            form: guard.portsentry?,
            listens,
            runs: runs.collect(),
            kinds,
            deny: config.respond.settings.hosts_deny.format,
            count_by: (config.scan.count_by_ipv4, config.scan.count_by_ipv6),
            responses: config.responses.clone(),
            lost,
        })
    }

    /// Tells of touches that were charged.
    pub fn tell(&mut self, touches: &[Touched]) {
        let mut history = String::new();
        // fail2ban's filter for 2.x takes every line for a scan, whatever stands behind 'ignored:'.
        for touched in touches.iter().filter(|touched| touched.answer != Answer::Exempt) {
            match self.form {
                Form::One => tracing::warn!("attackalert: {}", alert(touched, &self.listens)),
                Form::Two => {
                    let line = scan_from(touched, &self.listens);
                    tracing::warn!("{line}");
                    history += &format!("{} {line}\n", local(touched, &TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%.3f%z"));
                }
            }
            if self.form == Form::One && touched.answer == Answer::Recorded && !self.runs.contains(&touched.touch.protocol) {
                tracing::warn!("attackalert: Ignoring {} response per configuration file setting.", protocol(touched));
            }
            if touched.answer == Answer::Blocked {
                for kind in &self.kinds {
                    tracing::warn!("attackalert: {}", self.means(touched.actor, kind));
                }
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

impl Lines {
    /// Tells of programs that touches have run.
    pub fn ordered(&self, orders: &[Order]) {
        orders.iter().filter_map(|order| self.external(order)).for_each(|line| tracing::warn!("attackalert: {line}"));
    }

    /// How somebody is blocked.
    fn means(&self, actor: IpAddr, kind: &str) -> String {
        let whom = Prefix::new(actor, if actor.is_ipv4() { self.count_by.0 } else { self.count_by.1 });
        let (means, how) = match kind {
            HOSTS_DENY => ("via wrappers with string", hosts_deny::line(&whom, self.deny).trim_end().to_owned()),
            "nftables" => ("via dropped route using command", "nftables inet riposte".to_owned()),
            kind => ("via dropped route using command", format!("{kind} riposte")),
        };
        format!("Host {actor} has been blocked {means}: \"{how}\"")
    }

    /// What is run for a touch, if that is one's own program: managers' scripts and accounts have nothing to do with PortSentry.
    fn external(&self, order: &Order) -> Option<String> {
        let response =
            self.responses.get(usize::from(order.response.0)).filter(|response| response.protocol == response::Protocol::Command)?;
        order.ground.touch.filter(|_| order.add)?;
        let args = command_arguments(order, &response.args);
        let command = args.iter().fold(response.program.to_string_lossy().into_owned(), |line, arg| line + " " + arg);
        Some(format!("External command run for host: {} using command: \"{}\"", order.address, escape::text(&command, COMMAND_CHARS)))
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
fn alert(touched: &Touched, listens: &Ports) -> String {
    let Touched { actor, touch, .. } = touched;
    let what = kind(touched, Form::One, listens);
    // With a blank in front of this one, as there.
    let blank = if what == "TCP NULL scan" { " " } else { "" };
    format!("{blank}{what} from host: {actor}/{actor} to {} port: {}", protocol(touched), touch.port)
}

/// What PortSentry 2.x says.
fn scan_from(touched: &Touched, listens: &Ports) -> String {
    let Touched { actor, touch, answer, .. } = touched;
    let kind = kind(touched, Form::Two, listens);
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
fn kind(Touched { touch, trust, .. }: &Touched, form: Form, listens: &Ports) -> String {
    match touch.style {
        Style::Udp if listens.contains(touch.port) => "Connect".to_owned(),
        Style::Udp => if form == Form::One { "UDP scan" } else { "UDP" }.to_owned(),
        Style::Connect if *trust > Trust::Spoofable => "Connect".to_owned(),
        _ => flags(touch.flags, form),
    }
}

/// What PortSentry makes of a segment's flags.
fn flags(flags: TcpFlags, form: Form) -> String {
    const FLAGS: [(&str, u8); 6] = [
        ("SYN", TcpFlags::SYN),
        ("FIN", TcpFlags::FIN),
        ("ACK", TcpFlags::ACK),
        ("PSH", TcpFlags::PSH),
        ("URG", TcpFlags::URG),
        ("RST", TcpFlags::RST),
    ];
    let known = flags.0 & FLAGS.iter().fold(0, |all, (_, bit)| all | bit);
    // 2.x looks at the whole byte, with ECN's flags.
    let is_null = if form == Form::One { known == 0 } else { flags.0 == 0 };
    match known {
        _ if is_null => "TCP NULL scan".to_owned(),
        _ if flags.has(TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG) => "TCP XMAS scan".to_owned(),
        TcpFlags::FIN => "TCP FIN scan".to_owned(),
        TcpFlags::SYN => "TCP SYN/Normal scan".to_owned(),
        _ => {
            let shown = FLAGS.iter().map(|(name, bit)| format!(" {name}: {}", u8::from(flags.has(*bit))));
            format!("Unknown Type: TCP Packet Flags:{}", shown.collect::<String>())
        }
    }
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
    use model::response::{Ground, ResponseId, RunId};
    use model::time::Time;

    fn touched(protocol: Protocol, style: Style, flags: u8, trust: Trust) -> Touched {
        let touch = Touch { protocol, port: 11, style, flags: TcpFlags(flags), hops: None };
        Touched { at: Time::from_secs(1_700_000_000), actor: "192.0.2.7".parse().unwrap(), touch, trust, answer: Answer::Blocked }
    }

    /// A lone segment, or a connection.
    fn tcp(flags: u8) -> Touched {
        let style = TcpFlags(flags).style().unwrap_or(Style::Connect);
        touched(Protocol::TCP, style, flags, Trust::Spoofable)
    }

    fn lines(folder: &Path, form: Form) -> Lines {
        let mut config = Config::default();
        (config.store.path, config.guard.portsentry) = (folder.to_owned(), Some(form));
        Lines::new(&config, 0).expect("wanted")
    }

    fn connection() -> Touched {
        touched(Protocol::TCP, Style::Connect, 0, Trust::Handshake)
    }

    #[test]
    fn lines_are_portsentrys_own() {
        let [fin, syn, psh, ack, urg, ece] = [TcpFlags::FIN, TcpFlags::SYN, TcpFlags::PSH, TcpFlags::ACK, TcpFlags::URG, TcpFlags::ECE];
        let host = "from host: 192.0.2.7/192.0.2.7 to";
        assert_eq!(alert(&connection(), &Ports::default()), format!("Connect {host} TCP port: 11"));
        // A SYN with a system's options is one all the same.
        let first = touched(Protocol::TCP, Style::Connect, syn, Trust::Spoofable);
        assert_eq!(alert(&first, &Ports::default()), format!("TCP SYN/Normal scan {host} TCP port: 11"));
        let unknown = |flags| format!("Unknown Type: TCP Packet Flags: {flags} RST: 0");
        for (flags, one, two) in [
            (syn, "TCP SYN/Normal scan".to_owned(), None),
            (syn | ece, "TCP SYN/Normal scan".to_owned(), None),
            (fin, "TCP FIN scan".to_owned(), None),
            (0, " TCP NULL scan".to_owned(), Some("TCP NULL scan".to_owned())),
            (ece, " TCP NULL scan".to_owned(), Some(unknown("SYN: 0 FIN: 0 ACK: 0 PSH: 0 URG: 0"))),
            (fin | psh | urg, "TCP XMAS scan".to_owned(), None),
            (fin | psh | urg | syn, "TCP XMAS scan".to_owned(), None),
            (syn | fin, unknown("SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 0"), None),
            (psh, unknown("SYN: 0 FIN: 0 ACK: 0 PSH: 1 URG: 0"), None),
            (urg | psh, unknown("SYN: 0 FIN: 0 ACK: 0 PSH: 1 URG: 1"), None),
            (ack, unknown("SYN: 0 FIN: 0 ACK: 1 PSH: 0 URG: 0"), None),
            (ack | fin, unknown("SYN: 0 FIN: 1 ACK: 1 PSH: 0 URG: 0"), None),
        ] {
            assert_eq!(alert(&tcp(flags), &Ports::default()), format!("{one} {host} TCP port: 11"));
            let two = two.unwrap_or(one);
            assert!(
                scan_from(&tcp(flags), &Ports::default()).contains(&format!(" protocol: [TCP] port: [11] type: [{two}] IP opts: ")),
                "{two}"
            );
        }
        let udp = touched(Protocol::UDP, Style::Udp, 0, Trust::Spoofable);
        assert_eq!(
            [Ports::default(), Ports::from_iter([11..=11])].map(|listens| alert(&udp, &listens)),
            ["UDP scan", "Connect"].map(|what| format!("{what} {host} UDP port: 11"))
        );
        assert_eq!(blocked(&udp, &TimeZone::UTC), "1700000000 - 11/14/2023 22:13:20 Host: 192.0.2.7/192.0.2.7 Port: 11 UDP Blocked\n");
    }

    /// One that is blocked, one of each other kind.
    fn fates() -> [Touched; 4] {
        [Answer::Blocked, Answer::Exempt, Answer::Recorded, Answer::Spared].map(|answer| Touched { answer, ..connection() })
    }

    #[test]
    fn what_is_done_is_told_in_portsentrys_words() {
        let text = "[guard]\ntcp = [11]\nportsentry = true\n[respond]\nkind = ['nftables', 'hosts-deny', 'ipset']\n\
                    [[response]]\nname = 'tell'\nprotocol = 'command'\non = 'touch'\nprogram = '/opt/tell'\nargs = ['{address}', '{port}:{mode}']\n\
                    [[response]]\nname = 'manager'\nprotocol = 'ossec'\nprogram = '/opt/manager'\non = 'block'\n";
        let of = |text: &str| Lines::new(&Config::parse(text, "x").unwrap(), 0).unwrap();
        let said =
            |lines: &Lines, actor: &str| lines.kinds.iter().map(|kind| lines.means(actor.parse().unwrap(), kind)).collect::<Vec<_>>();
        let all = of(text);
        assert_eq!(
            said(&all, "192.0.2.7"),
            [
                "Host 192.0.2.7 has been blocked via wrappers with string: \"ALL: 192.0.2.7\"",
                "Host 192.0.2.7 has been blocked via dropped route using command: \"nftables inet riposte\"",
                "Host 192.0.2.7 has been blocked via dropped route using command: \"ipset riposte\"",
            ]
        );
        let first =
            of(&text.replace("'ipset']", "'ipset']\nmode = 'first'\n[respond.hosts-deny]\nformat = 'options'").replace("'nftables', ", ""));
        assert_eq!(
            said(&first, "2001:db8::7"),
            ["Host 2001:db8::7 has been blocked via wrappers with string: \"ALL: [2001:db8::7] : DENY\""]
        );
        let nets = of(&format!("{text}[scan]\ncount_by_ipv4 = 24\ncount_by_ipv6 = 64\n"));
        let denied = ["192.0.2.7", "2001:db8::7"].map(|actor| nets.means(actor.parse().unwrap(), HOSTS_DENY));
        assert!(denied[0].ends_with("\"ALL: 192.0.2.0/255.255.255.0\"") && denied[1].ends_with("\"ALL: [2001:db8::]/64\""), "{denied:?}");
        let touch = tcp(TcpFlags::SYN | TcpFlags::FIN).touch;
        let order = |response, add, touch| Order {
            run: RunId(1),
            response: ResponseId(response),
            add,
            address: "192.0.2.7".parse().unwrap(),
            user: None,
            ground: Ground { touch, ..Ground::default() },
            until: None,
        };
        assert_eq!(
            all.external(&order(0, true, Some(touch))).as_deref(),
            Some("External command run for host: 192.0.2.7 using command: \"/opt/tell 192.0.2.7 11:stealth\"")
        );
        for nothing in [order(0, false, Some(touch)), order(0, true, None), order(1, true, Some(touch)), order(9, true, Some(touch))] {
            assert_eq!(all.external(&nothing), None);
        }
    }

    #[test]
    fn version_2_s_lines_say_who_is_blocked_and_nothing_of_the_exempt() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join(FILES[0]);
        fs::write(&history, "what was there before\n").unwrap();
        let mut told = lines(folder.path(), Form::Two);
        told.tell(&fates());
        told.tell(&[]);
        assert_eq!((told.lost, folder.path().join(FILES[1]).exists()), (0, false));
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
        let udp = touched(Protocol::UDP, Style::Udp, 0, Trust::Spoofable);
        assert!(scan_from(&udp, &Ports::default()).contains("protocol: [UDP] port: [11] type: [UDP]"));
    }

    #[test]
    fn files_are_put_aside_before_they_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join(FILES[0]);
        fs::write(&history, vec![b'x'; FILE_BYTES as usize + 1]).unwrap();
        let mut told = lines(folder.path(), Form::One);
        told.tell(&fates());
        for name in FILES {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap().lines().count(), 1, "{name}");
        }
        assert_eq!(fs::metadata(folder.path().join("portsentry.history.1")).unwrap().len(), FILE_BYTES + 1);
        let mut nowhere = lines(Path::new("/nowhere"), Form::One);
        nowhere.tell(&[connection()]);
        assert_eq!((told.lost, nowhere.lost), (0, 2));
    }
}
