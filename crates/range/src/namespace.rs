//! One network namespace, and processes inside it. Removed with everything in it when dropped.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Output, Stdio};

/// A network namespace made by this process.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    children: Vec<Child>,
}

impl Namespace {
    /// Makes it, with the loopback interface up.
    ///
    /// # Errors
    /// If `ip` is missing or refuses (no root, name in use).
    pub fn new(name: &str) -> io::Result<Self> {
        assert!(name.starts_with("rp-"), "namespaces of riposte are named rp-…");
        run("ip", ["netns", "add", name])?;
        let namespace = Namespace { name: name.to_owned(), children: Vec::new() };
        namespace.run("ip", ["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdin(Stdio::null());
        command
    }

    /// Runs a command inside and waits for it.
    ///
    /// # Errors
    /// If it can't be started or ends with an error; the message holds what it printed.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, program: &str, args: I) -> io::Result<String> {
        finish(self.command(program).args(args))
    }

    /// Starts a command inside that goes on until the namespace is dropped.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, program: &str, args: I) -> io::Result<u32> {
        let child = self.command(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pid = child.id();
        self.children.push(child);
        Ok(pid)
    }

    /// Sets one of the namespace's own network parameters.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn sysctl(&self, setting: &str) -> io::Result<()> {
        self.run("sysctl", ["-qw", setting]).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // `ip netns exec` replaces itself, so the child's id is the command's own.
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = run("ip", ["netns", "del", &self.name]);
    }
}

/// Runs a command on the host side and waits for it.
///
/// # Errors
/// If it can't be started or ends with an error; the message holds what it printed.
pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(program: &str, args: I) -> io::Result<String> {
    finish(Command::new(program).args(args).stdin(Stdio::null()))
}

/// Runs a command to its end and hands back what it printed.
pub(crate) fn finish(command: &mut Command) -> io::Result<String> {
    let said = |output: &Output| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        format!("{} {}", text(&output.stdout), text(&output.stderr))
    };
    let output = command.output().map_err(|e| io::Error::new(e.kind(), format!("{:?}: {e}", command.get_program())))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("{command:?} failed: {}", said(&output))))
    }
}
