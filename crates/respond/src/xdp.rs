//! Blocks with XDP: a program at the interfaces drops packets before the kernel has made anything of them; blocks are entries of BPF maps
//! with their end, which the program itself looks at. Never takes the place of somebody else's program.
//!
//! Nothing is pinned: the interface holds the program and the program its maps, so they outlive riposte, and go with the interface or with
//! `ip link set dev NAME xdp off`. A new start finds them by the interface.

mod program;

use crate::settings::{choice, word};
use crate::tool::Tool;
use crate::{Capability, Key, Kind, Needs, Responder, Value};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use program::{COUNTER, COUNTERS, FAMILY_BITS, HOST_KEY, Maps, NET_KEY, program};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use sys::bpf::{Map, MapKind, MapShape, Program, ProgramInfo};
use sys::clock;
use sys::xdp::{Interface, Interfaces, Mode};

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "xdp",
    summary: "Drops the packets of the blocked at the network card's driver (XDP), before the kernel has made anything of them (Linux 5.11).",
    example: "[respond.xdp]\ninterfaces = [\"eth0\"]\nmode = \"auto\"\n",
    open: Some(open),
    keys: &[
        Key { name: "interfaces", get: |settings| Value::Texts(settings.xdp.interfaces.clone()), set: set_interfaces },
        Key {
            name: "mode",
            get: |settings| word(&Place::WORDS, settings.xdp.mode),
            set: |settings, value| choice(&Place::WORDS, &value).map(|mode| settings.xdp.mode = mode),
        },
    ],
    // To load, attach and change, the first two are enough. A program and maps that an earlier run has left are found by their numbers, which
    // takes CAP_SYS_ADMIN (BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID; still so in Linux 6.18).
    needs: Needs { capabilities: &[Capability::CAP_NET_ADMIN, Capability::CAP_BPF, Capability::CAP_SYS_ADMIN], ..Needs::NOTHING },
};

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The interfaces that packets come in by.
    pub interfaces: Vec<String>,
    /// Where the program runs.
    pub mode: Place,
}

impl Settings {
    /// What is wrong with them, if they can't work on any machine.
    pub fn warning(&self) -> Option<String> {
        let why = "[respond.xdp] interfaces: none is named; name those that packets come in by, as interfaces = [\"eth0\"]";
        self.interfaces.is_empty().then(|| why.to_owned())
    }
}

/// Where the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// In the driver, or in the kernel's common way in if the driver can't.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's common way in.
    Generic,
}

impl Place {
    /// Every one with its word in the configuration.
    const WORDS: [(&str, Place); 3] = [("auto", Place::Auto), ("native", Place::Native), ("generic", Place::Generic)];

    /// The best first.
    fn modes(self) -> &'static [Mode] {
        match self {
            Place::Auto => &[Mode::Native, Mode::Generic],
            Place::Native => &[Mode::Native],
            Place::Generic => &[Mode::Generic],
        }
    }
}

/// Interfaces that can be named.
const INTERFACES: usize = 64;
/// Bytes of an interface's name (IFNAMSIZ without the NUL).
const INTERFACE_BYTES: usize = 15;
/// The program's name, by which a new start knows it.
const NAME: &str = "riposte";
/// Blocked addresses at most; the kernel takes 16 MB for the map's head, and some 100 bytes for each.
const HOSTS: MapShape = MapShape { kind: MapKind::Hash, key: HOST_KEY, value: 8, entries: 1 << 20 };
/// Blocked prefixes: until when the program drops, and until when the block itself lasts.
const NETS: MapShape = MapShape { kind: MapKind::LongestPrefix, key: NET_KEY, value: 16, entries: 2 * limits::NETS as u32 };
const DROPPED: MapShape = MapShape { kind: MapKind::Array, key: 4, value: COUNTER, entries: COUNTERS };
/// Addresses that are asked for at one time.
const LISTED: usize = 4_096;
/// The end of what never ends.
const NEVER: u64 = u64::MAX;

fn set_interfaces(settings: &mut crate::Settings, value: Value) -> Result<(), String> {
    let Value::Texts(names) = value else { return Ok(()) };
    let is_name = |name: &String| (1..=INTERFACE_BYTES).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace());
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("'{}' is no interface's name", wrong.escape_debug()));
    }
    if names.len() > INTERFACES {
        return Err(format!("{INTERFACES} interfaces at most"));
    }
    settings.xdp.interfaces = names;
    Ok(())
}

fn open(settings: &crate::Settings, _: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    Ok(Box::new(Xdp::open(&settings.xdp)?))
}

/// The responder.
#[derive(Debug)]
pub struct Xdp {
    settings: Settings,
    interfaces: Interfaces,
    program: Program,
    /// The program's number.
    id: u32,
    hosts: Map,
    nets: Map,
    dropped: Map,
    /// What `nets` holds.
    book: BTreeMap<Prefix, Ends>,
    /// Why the last change or list failed.
    words: Option<String>,
}

/// When a prefix' block ends, and when the program stops to drop: it finds the longest prefix only, which therefore lasts as long as those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    dropped: u64,
    own: u64,
}

/// A program of ours at an interface.
struct Ours {
    program: Program,
    info: ProgramInfo,
    mode: Mode,
}

impl Xdp {
    /// Puts the program at the interfaces. Blocks that an earlier run has left stay; from interfaces that are not named any more, its program goes.
    ///
    /// # Errors
    /// If an interface is missing or has another program, or the kernel refuses; one line that says what to do.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        if let Some(warning) = settings.warning() {
            return Err(warning);
        }
        let mut interfaces = Interfaces::open().map_err(|error| explain(&error))?;
        let there = interfaces.list().map_err(|error| error.to_string())?;
        if let Some(missing) = settings.interfaces.iter().find(|name| there.iter().all(|interface| interface.name != **name)) {
            let names = there.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!("[respond.xdp] interfaces: there is no '{missing}'; there are {names}"));
        }
        let left = there.iter().find_map(ours).map(|ours| ours.info.maps).unwrap_or_default();
        let map = |name, shape| -> io::Result<Map> {
            match left.iter().find_map(|id| Map::of(*id, name, shape).ok().flatten()) {
                Some(map) => Ok(map),
                None => Map::new(name, shape),
            }
        };
        let load = || -> io::Result<_> {
            let maps = [map("riposte_hosts", HOSTS)?, map("riposte_nets", NETS)?, map("riposte_dropped", DROPPED)?];
            let [hosts, nets, dropped] = maps.each_ref().map(Map::number);
            let program = Program::for_xdp(NAME, &program(&Maps { hosts, nets, dropped }))?;
            let id = program.info()?.id;
            Ok((maps, program, id))
        };
        let ([hosts, nets, dropped], program, id) = load().map_err(|error| explain(&error))?;
        let (settings, book) = (settings.clone(), BTreeMap::new());
        let mut xdp = Xdp { settings, interfaces, program, id, hosts, nets, dropped, book, words: None };
        for interface in &there {
            if xdp.settings.interfaces.contains(&interface.name) {
                xdp.attach(interface)?;
            } else if let Some(ours) = ours(interface) {
                xdp.interfaces.detach(interface.index, &ours.program, ours.mode).map_err(|error| error.to_string())?;
            }
        }
        xdp.read_book().map_err(|error| explain(&error))?;
        Ok(xdp)
    }

    /// Whether the program stands at each interface that is there; puts it there if it doesn't.
    fn stand(&mut self) -> Result<(), String> {
        for place in 0..self.settings.interfaces.len() {
            let Some(name) = self.settings.interfaces.get(place) else { break };
            if let Some(interface) = self.interfaces.named(name).map_err(|error| error.to_string())? {
                self.attach(&interface)?;
            }
        }
        Ok(())
    }

    fn attach(&mut self, interface: &Interface) -> Result<(), String> {
        if interface.programs.iter().any(|(id, _)| *id == self.id) {
            return Ok(());
        }
        let name = &interface.name;
        // The program would take an address for a packet's type.
        if !interface.is_ethernet {
            return Err(format!(
                "{name} has no Ethernet frames, and riposte's XDP program reads those only: take it out of [respond.xdp] interfaces"
            ));
        }
        let modes = self.settings.mode.modes();
        let refused = |error| format!("{name}: the XDP program can't be attached: {error}");
        match ours(interface) {
            Some(old) if modes.contains(&old.mode) => {
                return self.interfaces.attach(interface.index, &self.program, Some(&old.program), old.mode).map_err(refused);
            }
            Some(old) => self.interfaces.detach(interface.index, &old.program, old.mode).map_err(refused)?,
            None => {
                if let Some((id, _)) = interface.programs.first() {
                    let whose = match Program::of(*id).and_then(|program| program.info()) {
                        Ok(info) => format!(" '{}'", info.name.escape_debug()),
                        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                            return Err(format!(
                                "{name} has the XDP program number {id}, and whether it is riposte's own can only be seen with CAP_SYS_ADMIN: give \
                                 riposte that, or take the program off (`ip link set dev {name} xdp off`)"
                            ));
                        }
                        Err(_) => String::new(),
                    };
                    return Err(format!(
                        "{name} has the XDP program{whose} number {id}, which riposte leaves alone: take it off \
                         (`ip link set dev {name} xdp off`), or take {name} out of [respond.xdp] interfaces"
                    ));
                }
            }
        }
        let mut result = Ok(());
        for mode in modes {
            result = self.interfaces.attach(interface.index, &self.program, None, *mode).map_err(refused);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn read_book(&mut self) -> io::Result<()> {
        let (mut before, mut key, mut value) = (None, [0; NET_KEY], [0; 16]);
        for _ in 0..NETS.entries {
            if !self.nets.next(before.as_ref().map(<[u8; NET_KEY]>::as_slice), &mut key)? {
                break;
            }
            if let Some(prefix) = net_of(&key)
                && self.nets.read(&key, &mut value)?
            {
                self.book.insert(prefix, Ends { dropped: u64_at(&value, 0), own: u64_at(&value, 8) });
            }
            before = Some(key);
        }
        Ok(())
    }

    /// A full map is swept through, if that may be.
    fn add(&mut self, prefix: &Prefix, end: u64, may_sweep: &mut bool) -> Outcome {
        let result = if prefix.is_host() {
            let key = host_key(prefix.addr());
            match self.hosts.set(&key, &end.to_ne_bytes()) {
                Err(error) if fault(&error) == Fault::Full && std::mem::take(may_sweep) => {
                    self.sweep().and_then(|_| self.hosts.set(&key, &end.to_ne_bytes()))
                }
                result => result,
            }
        } else {
            let dropped = self.book.get(prefix).map_or(end, |ends| ends.dropped.max(end));
            self.nets.set(&net_key(prefix), &Ends { dropped, own: end }.bytes()).map(|()| {
                self.book.insert(*prefix, Ends { dropped, own: end });
            })
        };
        result.map_or_else(|error| Outcome::Failed(self.failed(&error)), |()| Outcome::Added)
    }

    fn remove(&mut self, prefix: &Prefix) -> Outcome {
        let result = if prefix.is_host() {
            self.hosts.remove(&host_key(prefix.addr()))
        } else {
            self.nets.remove(&net_key(prefix)).inspect(|_| {
                self.book.remove(prefix);
            })
        };
        result.map_or_else(|error| Outcome::Failed(self.failed(&error)), |_| Outcome::Removed)
    }

    fn failed(&mut self, error: &io::Error) -> Fault {
        self.words = Some(explain(error));
        fault(error)
    }

    /// Takes prefixes away that have ended, and has each of the others dropped for as long as the longest of those around it.
    fn settle(&mut self) -> io::Result<()> {
        let now = clock::boottime();
        let ended: Vec<Prefix> = self.book.iter().filter(|(_, ends)| ends.own <= now).map(|(prefix, _)| *prefix).collect();
        for prefix in ended {
            self.nets.remove(&net_key(&prefix))?;
            self.book.remove(&prefix);
        }
        for (prefix, dropped) in lasting(&self.book) {
            if let Some(ends) = self.book.get_mut(&prefix).filter(|ends| ends.dropped != dropped) {
                let wanted = Ends { dropped, ..*ends };
                self.nets.set(&net_key(&prefix), &wanted.bytes())?;
                *ends = wanted;
            }
        }
        Ok(())
    }

    /// Takes the addresses away whose block has ended. Returns the others with their ends.
    fn sweep(&mut self) -> io::Result<Vec<(IpAddr, u64)>> {
        let (now, mut from, mut stand) = (clock::boottime(), None, Vec::new());
        loop {
            let entries = self.hosts.entries(from, LISTED)?;
            for (key, value) in entries.keys.chunks(HOST_KEY).zip(entries.values.chunks(8)) {
                let end = u64_at(value, 0);
                if end <= now {
                    self.hosts.remove(key)?;
                } else {
                    stand.extend(address_of(key).map(|addr| (addr, end)));
                }
            }
            from = entries.next;
            if from.is_none() || stand.len() > HOSTS.entries as usize {
                return Ok(stand);
            }
        }
    }

    fn try_list(&mut self, now: Time) -> io::Result<Vec<Installed>> {
        let hosts = self.sweep()?;
        self.settle()?;
        let boot = clock::boottime();
        let blocks = hosts.into_iter().map(|(addr, end)| (Prefix::host(addr), end));
        let blocks = blocks.chain(self.book.iter().map(|(prefix, ends)| (*prefix, ends.own)));
        Ok(blocks.map(|(prefix, end)| installed(prefix, end, boot, now)).collect())
    }
}

impl Responder for Xdp {
    fn supports(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Source(_) => true,
        }
    }

    fn expires_itself(&self) -> bool {
        true
    }

    /// Addresses whose block has ended are taken away by the next list, or when there is no more room.
    fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome> {
        let stands = self.stand();
        let (boot, mut may_sweep) = (clock::boottime(), true);
        let mut outcomes = Vec::with_capacity(batch.len());
        for change in batch {
            let prefix = change.scope().prefix();
            outcomes.push(match (change, &stands) {
                (Change::Add { .. }, Err(why)) => {
                    self.words = Some(why.clone());
                    Outcome::Failed(Fault::Gone)
                }
                (Change::Add { expiry, .. }, Ok(())) => self.add(&prefix, end_of(*expiry, boot, now), &mut may_sweep),
                (Change::Remove { .. }, _) => self.remove(&prefix),
            });
        }
        if let Err(error) = self.settle() {
            self.words = Some(explain(&error));
        }
        outcomes
    }

    /// `Fault::Gone` if the program is not at one of the interfaces and can't be put there.
    fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault> {
        if let Err(why) = self.stand() {
            self.words = Some(why);
            return Err(Fault::Gone);
        }
        self.try_list(now).map_err(|error| self.failed(&error))
    }

    /// Since the maps were made.
    fn dropped(&self) -> Option<u64> {
        let count = |counter: u32| {
            let mut value = [0; COUNTER];
            self.dropped.read(&counter.to_ne_bytes(), &mut value).ok()?;
            Some(u64_at(&value, 0))
        };
        (0..COUNTERS).map(count).sum()
    }

    fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }
}

impl Ends {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.dropped.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.own.to_ne_bytes());
        bytes
    }
}

/// Our program at an interface, if it has one and we may look at it.
fn ours(interface: &Interface) -> Option<Ours> {
    interface.programs.iter().find_map(|(id, mode)| {
        let program = Program::of(*id).ok()?;
        let info = program.info().ok().filter(|info| info.name == NAME)?;
        Some(Ours { program, info, mode: (*mode)? })
    })
}

/// Until when each prefix is to be dropped: as long as the longest of itself and those around it.
fn lasting(book: &BTreeMap<Prefix, Ends>) -> Vec<(Prefix, u64)> {
    let (mut around, mut found) = (Vec::<(Prefix, u64)>::new(), Vec::with_capacity(book.len()));
    // Sorted by address, then by length: those around one come before it.
    for (prefix, ends) in book {
        around.truncate(around.iter().rposition(|(outer, _)| outer.contains(prefix.addr())).map_or(0, |at| at + 1));
        let dropped = around.last().map_or(ends.own, |(_, dropped)| ends.own.max(*dropped));
        around.push((*prefix, dropped));
        found.push((*prefix, dropped));
    }
    found
}

fn host_key(addr: IpAddr) -> [u8; HOST_KEY] {
    let mut key = [0; HOST_KEY];
    match addr {
        IpAddr::V4(v4) => {
            key[3] = 4;
            key[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            key[3] = 6;
            key[4..].copy_from_slice(&v6.octets());
        }
    }
    key
}

fn net_key(prefix: &Prefix) -> [u8; NET_KEY] {
    let mut key = [0; NET_KEY];
    key[..4].copy_from_slice(&(FAMILY_BITS + u32::from(prefix.bits())).to_ne_bytes());
    key[4..].copy_from_slice(&host_key(prefix.addr()));
    key
}

fn address_of(key: &[u8]) -> Option<IpAddr> {
    match *key.get(3)? {
        4 => Some(Ipv4Addr::from(*key.get(4..)?.first_chunk::<4>()?).into()),
        6 => Some(Ipv6Addr::from(*key.get(4..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

fn net_of(key: &[u8; NET_KEY]) -> Option<Prefix> {
    let bits = u32::from_ne_bytes(*key.first_chunk()?).checked_sub(FAMILY_BITS)?;
    Some(Prefix::new(address_of(key.get(4..)?)?, u8::try_from(bits).ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_ne_bytes(*chunk))
}

/// The end on the clock that the program reads. What has passed already ends at once.
fn end_of(expiry: Expiry, boot: u64, now: Time) -> u64 {
    match expiry {
        Expiry::At(at) => boot.saturating_add(u64::try_from(at.since(now).as_nanos()).unwrap_or(NEVER)).min(NEVER - 1),
        Expiry::Never => NEVER,
    }
}

fn installed(prefix: Prefix, end: u64, boot: u64, now: Time) -> Installed {
    let expiry = if end == NEVER { Expiry::Never } else { Expiry::At(now.after(Duration::from_nanos(end.saturating_sub(boot)))) };
    Installed { scope: Scope::Source(prefix), expiry }
}

fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        // A full hash says the one, a full tree the other.
        Some(libc::E2BIG | libc::ENOSPC) => Fault::Full,
        Some(libc::ENOMEM) => Fault::Memory,
        _ => Fault::Refused,
    }
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "may not load BPF programs: run riposte as root, or with CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN".to_owned()
        }
        Some(libc::E2BIG | libc::ENOSPC) => {
            format!("no more fit: {} addresses and {} prefixes can be blocked", HOSTS.entries, NETS.entries)
        }
        Some(libc::ENOSYS) => "this kernel has no BPF: one with CONFIG_BPF_SYSCALL (Linux 5.11 or newer) is needed".to_owned(),
        _ => format!("the kernel refuses a BPF map or program: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn keys_of_the_two_families_never_meet() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "::c000:200/120"] {
            assert_eq!(net_of(&net_key(&prefix(text))), Some(prefix(text)));
        }
        assert_ne!(host_key("192.0.2.7".parse().unwrap()), host_key("c000:207::".parse().unwrap()));
        assert_eq!(address_of(&host_key("2001:db8::7".parse().unwrap())), Some("2001:db8::7".parse().unwrap()));
        assert_eq!(address_of(&[0; HOST_KEY]), None);
    }

    #[test]
    fn a_prefix_is_dropped_for_as_long_as_those_around_it() {
        let book = [("10.0.0.0/8", 50), ("10.1.0.0/16", 20), ("10.1.2.0/24", 90), ("10.2.0.0/16", 60), ("11.0.0.0/8", 1), ("::/0", 9)];
        let book = book.map(|(text, own)| (prefix(text), Ends { dropped: 0, own })).into();
        let ends: Vec<u64> = lasting(&book).into_iter().map(|(_, end)| end).collect();
        assert_eq!(ends, [50, 50, 90, 60, 1, 9]);
    }

    #[test]
    fn ends_are_kept_on_the_machine_s_own_clock() {
        let now = Time::from_secs(1_000_000);
        let at = Expiry::At(Time::from_secs(1_000_600));
        assert_eq!(end_of(at, 5_000, now), 600_000_005_000);
        assert_eq!(installed(prefix("::1"), 600_000_005_000, 5_000, now).expiry, at);
        assert_eq!(end_of(Expiry::At(Time::EPOCH), 5_000, now), 5_000);
        assert_eq!(end_of(Expiry::At(Time::from_nanos(u64::MAX)), u64::MAX - 5, now), NEVER - 1);
        assert_eq!(installed(prefix("::1"), NEVER, 5_000, now).expiry, Expiry::Never);
    }
}
