//! The host's own rules, asked of the tools that show them, and what else counts: addresses, interfaces, listeners. Programs are run with
//! argument lists, only to read; a table that isn't there is not made by asking.

use ruleset::advice::Circumstances;
use ruleset::rules::{Family, Origin};
use ruleset::survey::Host;
use ruleset::{Ruleset, read};
use std::fs;
use std::process::{Command, Stdio};
use sys::diag::Diag;
use sys::route::Routes;

/// Where the tools are, if not in the caller's PATH.
const PATHS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// What a program printed. `None` if it isn't there.
///
/// # Errors
/// What it complained about.
fn shown(program: &str, args: &[&str]) -> Result<Option<String>, String> {
    let path = std::env::var("PATH").map_or(PATHS.to_owned(), |path| format!("{path}:{PATHS}"));
    let output = match Command::new(program).args(args).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{program}: {error}")),
        Ok(output) => output,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    Err(format!("{program}: {}", said.lines().next().unwrap_or("it failed and didn't say why").trim()))
}

/// The live rules of all of the kernel's interfaces.
///
/// # Errors
/// If nothing can be read.
pub fn rules(notes: &mut Vec<String>) -> Result<Ruleset, Vec<String>> {
    let mut all = Ruleset::default();
    let hint =
        "reading the live rules needs root: sudo riposte check --host; or save them (sudo nft list ruleset > FILE) and name the file";
    match shown("nft", &["list", "ruleset"]) {
        Ok(Some(text)) => all = read(&text, None).map_err(|wrong| vec![format!("nft list ruleset:{wrong}")])?,
        Ok(None) => notes.push("nft is not installed, so nftables' own rules were not read (Debian: apt install nftables).".to_owned()),
        Err(error) => return Err(vec![error, hint.to_owned()]),
    }
    let nft_is_there = notes.is_empty();
    for (family, kernel_list, modern, legacy) in [
        (Family::Ip, "/proc/net/ip_tables_names", "iptables-nft-save", "iptables-legacy-save"),
        (Family::Ip6, "/proc/net/ip6_tables_names", "ip6tables-nft-save", "ip6tables-legacy-save"),
    ] {
        // What iptables-nft made is in nft's listing, but its own tool shows more of it.
        if !nft_is_there || all.tables.iter().any(|table| table.family == family) {
            match shown(modern, &[]) {
                Ok(Some(text)) => instead(&mut all, read(&text, None).map_err(|wrong| vec![format!("{modern}:{wrong}")])?),
                Ok(None) if all.strange.iter().any(|one| one.text.starts_with("xt ")) => {
                    notes.push(format!("{modern} is not installed: parts of its rules can't be read."));
                }
                Ok(None) => (),
                Err(error) => notes.push(error),
            }
        }
        // The old interface lists its tables here; asking for others would make them.
        if fs::read_to_string(kernel_list).is_ok_and(|names| !names.trim().is_empty()) {
            match shown(legacy, &[]) {
                Ok(Some(text)) => all.join(read(&text, None).map_err(|wrong| vec![format!("{legacy}:{wrong}")])?),
                Ok(None) => return Err(vec![format!("this kernel has tables of iptables-legacy, and {legacy} is not installed")]),
                Err(error) => return Err(vec![error, hint.to_owned()]),
            }
        }
    }
    Ok(all)
}

/// Puts tables as iptables shows them in the place of the same tables as nft shows them.
fn instead(all: &mut Ruleset, better: Ruleset) {
    for table in better.tables {
        let same = all.tables.iter_mut().find(|one| one.origin == Origin::Nft && one.family == table.family && one.name == table.name);
        if let Some(place) = same {
            *place = table;
        }
    }
    all.strange.retain(|one| !one.text.starts_with("xt "));
    all.strange.extend(better.strange);
}

/// Addresses, interfaces, routes and listeners. What can't be read stays unknown, and is noted.
pub fn host(circumstances: &mut Circumstances, notes: &mut Vec<String>) -> Host {
    let forwards = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim() != "0");
    circumstances.forwards = [forwards("/proc/sys/net/ipv4/ip_forward"), forwards("/proc/sys/net/ipv6/conf/all/forwarding")];
    if circumstances.outside.is_empty() {
        circumstances.outside = default_routes();
    }
    match Diag::open().and_then(|mut diag| diag.listening()) {
        Ok(all) => circumstances.listening = Some(all.iter().map(|one| (one.protocol, one.addr, one.port)).collect()),
        Err(error) => notes.push(format!("listening sockets: {error}")),
    }
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
    let interfaces = names.filter(|name| !name.is_empty() && *name != "lo").take(32).map(str::to_owned).collect();
    let addresses = Routes::open().map_err(|e| e.to_string()).and_then(|mut routes| routes.addresses().map_err(|e| e.to_string()));
    let addresses = addresses.unwrap_or_else(|error| {
        notes.push(format!("addresses: {error}"));
        Vec::new()
    });
    Host { interfaces, addresses }
}

/// The interfaces with a default route, from /proc: `eth0 00000000 …`, and for IPv6 `00…0 00 … eth0`.
fn default_routes() -> Vec<String> {
    let four = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let four = four.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, to) = (words.next()?, words.next()?);
        // A route of length 0 has the mask 0 in its eighth column.
        (to == "00000000" && words.nth(5) == Some("00000000")).then(|| name.to_owned())
    });
    let six = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let six = six.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last().filter(|name| **name != "lo")?;
        (words.first()?.bytes().all(|b| b == b'0') && words.get(1) == Some(&"00")).then(|| (*name).to_owned())
    });
    let mut all: Vec<String> = four.chain(six).collect();
    all.sort_unstable();
    all.dedup();
    all
}
