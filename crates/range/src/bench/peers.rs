//! The peers, as Debian packs them, each with a private view of the folders that it writes to, a process tree of its own that ends with
//! it, and, where it changes a firewall, inside a benchmark's namespace. Their own configuration is copied; what has to be set is said here.

use super::Context;
use crate::namespace::Namespace;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sys::clock::monotonic;
use sys::usage::{self, Usage};

/// Before each peer: its private folders. Whatever it writes there goes when it ends.
pub const PRIVATE: &str = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && mount -t tmpfs tmpfs /var/tmp";

/// A script in new mount and process namespaces, in a process group of its own (sshguard ends with `kill 0`).
pub fn secluded(mut command: Command, script: &str) -> Command {
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

/// psad's analysis of a file, on one core: wall seconds and what it took.
pub fn psad(context: &Context, log: &Path) -> io::Result<(f64, Usage)> {
    let folder = context.folder("psad")?;
    let namespace = Namespace::new("rp-bench-psad")?;
    let etc = folder.join("etc");
    crate::psad::configure(&etc)?;
    let mut command = crate::psad::analysis(&namespace, &etc, log);
    command.stderr(File::create(folder.join("stderr"))?).stdout(File::create(folder.join("stdout"))?);
    let start = monotonic();
    let (status, usage) = usage::wait(command.spawn()?)?;
    let wall = super::seconds_since(start);
    let said = fs::read_to_string(folder.join("stdout")).unwrap_or_default();
    // It must have found scanners, or it has not done the work.
    if !status.success() || !said.contains("198.18.") {
        let why = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        return Err(io::Error::other(format!("psad: {status}: {} {why}", said.lines().last().unwrap_or_default())));
    }
    Ok((wall, usage))
}

/// fail2ban's own configuration with its sshd jail alone, without lookups and without a database.
fn configure_fail2ban(folder: &Path, settings: &str, log: &Path) -> io::Result<()> {
    let config = folder.join("etc");
    crate::namespace::run("cp", [Path::new("-r"), Path::new("/etc/fail2ban"), &config])?;
    fs::write(config.join("fail2ban.local"), "[DEFAULT]\ndbfile = None\n")?;
    // There is no name server here; without these it would wait for one.
    let jail = format!(
        "[DEFAULT]\nusedns = no\nignoreself = false\n{settings}\n[sshd]\nenabled = true\nmaxretry = 5\nlogpath = {}\n",
        log.display()
    );
    fs::write(config.join("jail.local"), jail)?;
    // Debian's own file there says where its jails get their logs from on Debian: the journal.
    let _ = fs::remove_dir_all(config.join("jail.d"));
    Ok(())
}

fn fail2ban_options(folder: &Path) -> String {
    format!("-c {0}/etc -s {0}/sock -p {0}/pid --logtarget {0}/log -xf", folder.display())
}

/// fail2ban reads a file that is there when it starts, on one core, with its sshd jail and no action: wall seconds to the file's end, and
/// what it took.
pub fn fail2ban_reading(context: &Context, log: &Path) -> io::Result<(f64, Usage)> {
    let folder = context.folder("fail2ban-reading")?;
    configure_fail2ban(&folder, "backend = polling\nfindtime = 7d\naction =", log)?;
    let size = fs::metadata(log)?.len();
    let options = fail2ban_options(&folder);
    let mut command = Command::new("taskset");
    command.args(["-c", "0", "fail2ban-server"]).args(options.split(' ')).arg("start");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.join("stderr"))?);
    let start = monotonic();
    let mut child = command.spawn()?;
    let pid = child.id();
    // It reads the file in one go and closes it: its last bytes are easily missed.
    let mut far = false;
    loop {
        match position(pid, log) {
            Some(position) if position >= size => break,
            Some(position) => far |= position > size / 2,
            None if far => break,
            None => {}
        }
        if let Some(status) = child.try_wait()? {
            let why = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
            return Err(io::Error::other(format!("fail2ban-server: {status}: {why}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let wall = super::seconds_since(start);
    crate::namespace::run("kill", ["-TERM", &pid.to_string()])?;
    let (_, usage) = usage::wait(child)?;
    let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
    // It must have found guessers, or it has not done the work.
    if said.contains("[sshd] Found 198.18.") { Ok((wall, usage)) } else { Err(io::Error::other("fail2ban-server found nobody")) }
}

/// How far a process has read in this file; `None` if it has not opened it.
fn position(pid: u32, file: &Path) -> Option<u64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let position = |entry: &fs::DirEntry| {
        let told = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().display())).ok()?;
        told.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse::<u64>().ok())
    };
    open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == file)).filter_map(|entry| position(&entry)).max()
}

/// A peer that follows a log.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    log: PathBuf,
    file: File,
    /// Lines of one address that make it act.
    pub lines: usize,
}

impl Follower {
    /// SSHGuard with its nftables backend.
    pub fn sshguard(context: &Context, namespace: &Namespace) -> io::Result<Self> {
        let folder = context.folder("sshguard")?;
        fs::write(
            folder.join("sshguard.conf"),
            "BACKEND=/usr/libexec/sshguard/sshg-fw-nft-sets\nTHRESHOLD=30\nBLOCK_TIME=120\nDETECTION_TIME=1800\n",
        )?;
        let script = format!(
            "{PRIVATE} && mount --bind {0}/sshguard.conf /etc/sshguard/sshguard.conf && exec sshguard {0}/auth.log",
            folder.display()
        );
        Follower::start(&folder, secluded(namespace.command("unshare"), &script), 3)
    }

    /// fail2ban with its sshd jail and nftables, following the file by inotify if Debian's package for that is there.
    pub fn fail2ban(context: &Context, namespace: &Namespace) -> io::Result<Self> {
        let folder = context.folder("fail2ban")?;
        configure_fail2ban(&folder, "banaction = nftables\nbackend = auto", &folder.join("auth.log"))?;
        let script =
            format!("{PRIVATE} && mount -t tmpfs tmpfs /var/lib/fail2ban && exec fail2ban-server {} start", fail2ban_options(&folder));
        Follower::start(&folder, secluded(namespace.command("unshare"), &script), 5)
    }

    fn start(folder: &Path, mut command: Command, lines: usize) -> io::Result<Self> {
        let log = folder.join("auth.log");
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command.stderr(File::create(folder.join("stderr"))?).spawn()?;
        Ok(Follower { child, log, file, lines })
    }

    /// The process that all of it descends from.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes as many failed logins of an address as make the peer act, each line for itself; returns when, right before the last.
    pub fn provoke(&mut self, address: Ipv4Addr) -> io::Result<u64> {
        let stamp = crate::namespace::run("date", ["+%b %e %H:%M:%S"])?;
        let mut start = monotonic();
        for n in 0..self.lines {
            let (pid, port) = (900 + n, 40_000 + n);
            let line =
                format!("{} gate sshd[{pid}]: Failed password for invalid user admin from {address} port {port} ssh2\n", stamp.trim());
            start = monotonic();
            self.file.write_all(line.as_bytes())?;
        }
        Ok(start)
    }

    /// What it said, for a message when it did not act.
    pub fn said(&self) -> String {
        let folder = self.log.parent().unwrap_or(Path::new("/"));
        let last = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default().lines().last().unwrap_or_default().to_owned();
        format!("{} {}", last("stderr"), last("log"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // The whole tree goes with it: `unshare --kill-child`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
