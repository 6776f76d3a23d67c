//! What every parser promises about any bytes, as one function each that panics if a promise is broken. libFuzzer calls them with inputs that
//! it makes up (`fuzz/`), `tests/corpora.rs` with the saved ones. Never opens anything but the system's time zones, and reads no clock.

pub mod config;
pub mod control;
pub mod dshield;
pub mod fail2ban;
pub mod host_files;
pub mod link_frames;
pub mod lists;
pub mod log_lines;
pub mod native;
pub mod netlink;
pub mod ossec;
pub mod packets;
pub mod portsentry;
pub mod psad;
pub mod responders;
pub mod rulesets;
pub mod signatures;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its file in `fuzz/fuzz_targets`, and of its folders in `fuzz/corpus` and `fuzz/crashes`.
    pub name: &'static str,
    /// What it does with one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 17] = [
    Target { name: "log_lines", run: log_lines::run },
    Target { name: "packets", run: packets::run },
    Target { name: "netlink", run: netlink::run },
    Target { name: "config", run: config::run },
    Target { name: "control", run: control::run },
    Target { name: "link_frames", run: link_frames::run },
    Target { name: "host_files", run: host_files::run },
    Target { name: "rulesets", run: rulesets::run },
    Target { name: "ossec", run: ossec::run },
    Target { name: "fail2ban", run: fail2ban::run },
    Target { name: "native", run: native::run },
    Target { name: "portsentry", run: portsentry::run },
    Target { name: "psad", run: psad::run },
    Target { name: "responders", run: responders::run },
    Target { name: "signatures", run: signatures::run },
    Target { name: "lists", run: lists::run },
    Target { name: "dshield", run: dshield::run },
];

/// Between the files of an input that is several.
const CUT: &[u8] = b"\n%%\n";

/// An input as files, one after the other: as many as there are, `most` of them at most.
fn files(mut rest: &[u8], most: usize) -> Vec<&[u8]> {
    let mut files = Vec::new();
    while let Some(at) = rest.windows(CUT.len()).position(|window| window == CUT).filter(|_| files.len() + 1 < most) {
        let (file, behind) = rest.split_at(at);
        files.push(file);
        rest = &behind[CUT.len()..];
    }
    files.push(rest);
    files
}

/// Splits the first byte off: it chooses what is done with the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
