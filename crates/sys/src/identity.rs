//! Who a process is, as the kernel tells it: users, capabilities, sandbox, memory. Never trusts a process's own word.

use std::fs::{self, File};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// RFC 6335's dynamic ports begin here.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// A user of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
}

/// Looks a user up in /etc/passwd alone: a directory service must not be able to tell us whom to become.
pub fn lookup_user(name: &str) -> io::Result<Option<User>> {
    Ok(user_in(&fs::read_to_string("/etc/passwd")?, name))
}

/// Looks a group's number up in /etc/group alone.
pub fn lookup_group(name: &str) -> io::Result<Option<u32>> {
    Ok(fields_of(&fs::read_to_string("/etc/group")?, name).and_then(|fields| fields.get(2)?.parse().ok()))
}

/// passwd(5): `name:password:uid:gid:…`.
fn user_in(passwd: &str, name: &str) -> Option<User> {
    let fields = fields_of(passwd, name)?;
    Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
}

fn fields_of<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| !name.is_empty() && fields.first() == Some(&name))
}

/// The effective user of this process.
pub fn own_uid() -> u32 {
    // SAFETY: cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// Whether this process may change the firewall and, if it is root, become somebody else: root must not stay what it is.
pub fn is_privileged() -> bool {
    let has = |wanted| caps::has_cap(None, caps::CapSet::Effective, wanted).unwrap_or(false);
    has(caps::Capability::CAP_NET_ADMIN) && (own_uid() != 0 || has(caps::Capability::CAP_SETUID) && has(caps::Capability::CAP_SETGID))
}

/// Whether this process's user namespace knows the number at all; in `unshare -Ur` only one is mapped, and nobody else can be become.
pub fn is_mapped(uid: u32) -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps(&map, uid))
}

/// user_namespaces(7): lines of `inside outside count`.
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else { return false };
        (first..first.saturating_add(count)).contains(&u64::from(uid))
    })
}

/// How a process's system calls are restricted (`Seccomp:` in proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seccomp {
    /// Not at all.
    Off,
    /// To read, write and exit.
    Strict,
    /// By this many filters.
    Filters(u32),
}

/// What the kernel says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReport {
    /// Its number.
    pub pid: u32,
    /// Its name (15 bytes).
    pub name: String,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its effective capabilities, as `cap_net_admin`, in the kernel's order.
    pub capabilities: Vec<String>,
    /// The capabilities that it or a program that it executes could ever have.
    pub bounding: Vec<String>,
    /// Whether executing a file can give it nothing.
    pub no_new_privs: bool,
    /// Its system call filters.
    pub seccomp: Seccomp,
    /// Threads.
    pub threads: u32,
    /// Memory in use, shared pages counted whole.
    pub resident_bytes: u64,
    /// Memory that it has for itself (heap and stacks).
    pub anonymous_bytes: u64,
    /// Memory in use, shared pages counted by their share; `None` if the kernel does not let us see it.
    pub proportional_bytes: Option<u64>,
    /// How often it went to sleep by itself: an idle process's wake-ups.
    pub voluntary_switches: u64,
    /// How often it was put aside for another.
    pub involuntary_switches: u64,
}

impl ProcessReport {
    /// Reads the report of a process from /proc.
    pub fn read(pid: u32) -> io::Result<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let mut report = Self::parse(pid, &fs::read_to_string(folder.join("status"))?);
        report.proportional_bytes =
            fs::read_to_string(folder.join("smaps_rollup")).ok().and_then(|text| field(&text, "Pss").and_then(kibibytes));
        Ok(report)
    }

    /// Reads a /proc/PID/status (proc(5)). A line that an older kernel does not have counts as zero or off.
    fn parse(pid: u32, status: &str) -> Self {
        let number = |name| field(status, name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        let small = |name| u32::try_from(number(name)).unwrap_or(u32::MAX);
        // "real effective saved filesystem"
        let effective = |name| field(status, name).and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok()).unwrap_or(u32::MAX);
        let capabilities = |name| names(field(status, name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0));
        ProcessReport {
            pid,
            name: field(status, "Name").unwrap_or("").to_owned(),
            uid: effective("Uid"),
            gid: effective("Gid"),
            capabilities: capabilities("CapEff"),
            bounding: capabilities("CapBnd"),
            no_new_privs: number("NoNewPrivs") == 1,
            seccomp: match number("Seccomp") {
                0 => Seccomp::Off,
                1 => Seccomp::Strict,
                _ => Seccomp::Filters(small("Seccomp_filters")),
            },
            threads: small("Threads"),
            resident_bytes: field(status, "VmRSS").and_then(kibibytes).unwrap_or(0),
            anonymous_bytes: field(status, "RssAnon").and_then(kibibytes).unwrap_or(0),
            proportional_bytes: None,
            voluntary_switches: number("voluntary_ctxt_switches"),
            involuntary_switches: number("nonvoluntary_ctxt_switches"),
        }
    }
}

/// The value of a `Name:\tvalue` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// `1234 kB` as bytes.
fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The names of a capability mask's bits; a bit that is newer than our list goes by its number.
fn names(mask: u64) -> Vec<String> {
    let known = caps::all();
    (0..64_u8)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(|bit| match known.iter().find(|capability| capability.index() == bit) {
            Some(capability) => capability.to_string().to_ascii_lowercase(),
            None => format!("cap_{bit}"),
        })
        .collect()
}

/// The kernel's settings that say from which ports clients call. They are opened before a sandbox, and read again within it.
#[derive(Debug)]
pub struct ClientPorts {
    range: File,
    forwards: Vec<File>,
}

impl ClientPorts {
    /// Opens them.
    ///
    /// # Errors
    /// If the kernel's range can't be opened. A kernel without IPv6 forwards none.
    pub fn open() -> io::Result<Self> {
        let open = |name: &str| File::open(format!("/proc/sys/net/{name}"));
        let forwards = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].into_iter().filter_map(|name| open(name).ok()).collect();
        Ok(ClientPorts { range: open("ipv4/ip_local_port_range")?, forwards })
    }

    /// The ports from which clients call by this host's addresses: its own, and, if it hands packets on, those behind it. Whoever translates
    /// addresses leaves a client its port (`nf_nat`), and most systems' clients call from RFC 6335's dynamic ports.
    ///
    /// # Errors
    /// If the kernel's range can't be read.
    pub fn read(&self) -> io::Result<RangeInclusive<u16>> {
        let forwards = self.forwards.iter().any(|file| setting(file).is_ok_and(|text| text.trim() != "0"));
        client_ports_of(&setting(&self.range)?, forwards)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "ip_local_port_range is not two ports"))
    }
}

/// What an open setting of the kernel's says now: it fits one read.
fn setting(file: &File) -> io::Result<String> {
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0)?;
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}

fn client_ports_of(range: &str, forwards: bool) -> Option<RangeInclusive<u16>> {
    let mut numbers = range.split_ascii_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => {
            Some(if forwards { first.min(FIRST_DYNAMIC_PORT)..=u16::MAX } else { first..=last })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_s_clients_call_from_all_dynamic_ports() {
        let of = |forwards| client_ports_of("32768\t60999\n", forwards);
        assert_eq!((of(false), of(true)), (Some(32_768..=60_999), Some(32_768..=65_535)));
        assert_eq!(client_ports_of("60000 61000", true), Some(49_152..=65_535));
        for wrong in ["", "1", "9 8", "1 70000", "a b"] {
            assert_eq!(client_ports_of(wrong, true), None, "{wrong}");
        }
    }

    #[test]
    fn users_come_from_the_file_alone() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbad:x:none:1\nnobody:x:65534:65533:nobody:/:/usr/sbin/nologin\nshort:x\n";
        assert_eq!(user_in(passwd, "nobody"), Some(User { uid: 65_534, gid: 65_533 }));
        assert_eq!(user_in(passwd, "bad"), None);
        assert_eq!(user_in(passwd, "short"), None);
        assert_eq!(user_in(passwd, ""), None);
        assert_eq!(lookup_user("root").unwrap(), Some(User { uid: 0, gid: 0 }));
        assert_eq!(lookup_group("root").unwrap(), Some(0));
        assert_eq!(lookup_user("no such user").unwrap(), None);
    }

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        let status = "Name:\triposte: judge\nUid:\t0\t65534\t0\t0\nGid:\t1\t2\t3\t4\nVmRSS:\t    5120 kB\nRssAnon:\t    1024 kB\nThreads:\t1\n\
                      CapEff:\t0000000000001000\nCapBnd:\t8000000000000003\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n\
                      voluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n";
        let report = ProcessReport::parse(7, status);
        assert_eq!((report.pid, report.uid, report.gid, report.threads), (7, 65_534, 2, 1));
        assert_eq!(report.capabilities, ["cap_net_admin"]);
        assert_eq!(report.bounding, ["cap_chown", "cap_dac_override", "cap_63"]);
        assert_eq!((report.no_new_privs, report.seccomp), (true, Seccomp::Filters(2)));
        assert_eq!((report.resident_bytes, report.anonymous_bytes), (5120 * 1024, 1024 * 1024));
        assert_eq!((report.voluntary_switches, report.involuntary_switches), (17, 3));
        // What is missing never looks like privilege or protection, and never like root.
        let empty = ProcessReport::parse(1, "");
        assert_eq!((empty.uid, empty.no_new_privs, empty.seccomp), (u32::MAX, false, Seccomp::Off));
    }

    #[test]
    fn this_process_and_host_can_be_read() {
        let report = ProcessReport::read(std::process::id()).unwrap();
        assert_eq!(report.uid, own_uid());
        assert!(report.resident_bytes > 0 && report.threads > 0);
        assert!(ClientPorts::open().and_then(|ports| ports.read()).unwrap().start() > &0);
        assert!(is_mapped(own_uid()));
        assert!(maps("0 1000 1\n", 0) && !maps("0 1000 1\n", 1) && !maps("junk", 0));
    }
}
