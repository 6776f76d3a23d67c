//! A private world for the demonstration: mounts, processes and network namespaces of its own, which the kernel takes down with the
//! last process in it, whatever ends it (Ctrl-C and kill -9 included). Never changes anything outside but empty folders below /run.

use crate::namespace::run;
use crate::network::RESOLVER;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Set in the environment of the process inside, to the folder for its files.
const INSIDE: &str = "RIPOSTE_DEMO_INSIDE";
/// Where that folder is and how its name begins; the number of the process outside follows. Outside it stays empty.
const FOLDERS: (&str, &str) = ("/run", "riposte-demo-");
/// Where ip-netns(8) keeps the names of network namespaces.
const NAMES: &str = "/run/netns";
/// What must be installed, by program and Debian package.
const TOOLS: [(&str, &str); 13] = [
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("nft", "nftables"),
    ("nmap", "nmap"),
    ("ncat", "ncat"),
    ("hping3", "hping3"),
    ("masscan", "masscan"),
    ("sshd", "openssh-server"),
    ("hydra", "hydra"),
    ("sshpass", "sshpass"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
];

/// Whether this process is inside.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Says what is missing before anything begins.
///
/// # Errors
/// If this is not root, or a tool is not installed: one line.
pub fn check() -> io::Result<()> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Err(io::Error::other("the demonstration needs root, for network namespaces of its own: sudo riposte demo"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let mut missing: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    Err(io::Error::other(format!("the demonstration needs more tools: run 'make setup', or 'sudo apt-get install {packages}'")))
}

/// Starts `binary demo --json` inside, its standard output a pipe.
///
/// # Errors
/// If a program can't be started.
pub fn enter(binary: &Path, only: Option<&str>) -> io::Result<Child> {
    forget_the_dead()?;
    fs::create_dir_all(folder())?;
    fs::create_dir_all(NAMES)?;
    // The chain of deaths: when this process goes, setpriv's signal ends unshare, which ends the first process inside,
    // with which the kernel ends all others there.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(binary).args(["demo", "--json"]);
    command.args(only.into_iter().flat_map(|word| ["--only", word]));
    command.env(INSIDE, folder()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

/// Takes away what is left outside.
pub fn leave() {
    let _ = fs::remove_dir(folder());
}

/// The folder of the demonstration that this process, outside, has begun.
fn folder() -> PathBuf {
    Path::new(FOLDERS.0).join(format!("{}{}", FOLDERS.1, std::process::id()))
}

/// Takes away the empty folders of demonstrations that were interrupted.
fn forget_the_dead() -> io::Result<()> {
    for entry in fs::read_dir(FOLDERS.0)? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDERS.1)).and_then(|number| number.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

/// Makes the mounts, once inside; hands back the folder for files.
///
/// # Errors
/// If this process was not started by `enter`, or a mount is refused.
pub fn furnish() -> io::Result<PathBuf> {
    let folder = std::env::var_os(INSIDE).map(PathBuf::from);
    // The first process of its world: what it mounts is seen by nobody else.
    let Some(folder) = folder.filter(|_| std::process::id() == 1) else {
        return Err(io::Error::other(format!("the variable {INSIDE} is for riposte's own use")));
    };
    let place = folder.display().to_string();
    for place in [NAMES, &place] {
        run("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", place])?;
    }
    let resolvers = folder.join("resolv.conf");
    fs::write(&resolvers, format!("nameserver {RESOLVER}\n"))?;
    run("mount", ["--bind", &resolvers.display().to_string(), "/etc/resolv.conf"])?;
    Ok(folder)
}
