//! A victim and an attacker, each in a namespace of its own with one wire between them, and the daemon on the victim.
//! The attacker may write any source address: the benchmark's are from 198.18.0.0/15 (RFC 2544).

use super::Context;
use crate::namespace::{self, Namespace};
use model::event::TcpFlags;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;
use sys::nft::watch::Watch;
use sys::raw::RawSocket;
use wire::build::{Ip, NMAP_OPTIONS, Tcp};

/// Who is attacked.
pub const VICTIM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const NEIGHBOUR: &str = "203.0.113.2";
/// How long the daemon may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Both.
#[derive(Debug)]
pub struct Arena {
    /// Who is attacked.
    pub victim: Namespace,
    /// Who attacks.
    pub attacker: Namespace,
}

/// Attacker number n, below 131,072.
pub fn attacker(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xC612_0000 + n)
}

/// A SYN as nmap sends it.
pub fn syn(from: Ipv4Addr, port: u16) -> Vec<u8> {
    let tcp = Tcp {
        source_port: 40_000 + port % 20_000,
        port,
        sequence: 0x5eed_0001,
        flags: TcpFlags(TcpFlags::SYN),
        window: 1_024,
        options: &NMAP_OPTIONS,
        ..Tcp::default()
    };
    Ip::new(IpAddr::V4(from), IpAddr::V4(VICTIM)).tcp(&tcp)
}

/// A datagram.
pub fn datagram(from: Ipv4Addr, port: u16) -> Vec<u8> {
    Ip::new(IpAddr::V4(from), IpAddr::V4(VICTIM)).udp(40_000 + port % 20_000, port, b"probe")
}

impl Arena {
    /// Builds it. `tag` goes into the names: `rp-bench-TAG…`.
    pub fn new(tag: &str) -> io::Result<Self> {
        let victim = Namespace::new(&format!("rp-bench-{tag}-v"))?;
        let attacker = Namespace::new(&format!("rp-bench-{tag}-a"))?;
        attacker.run("ip", ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", victim.name()])?;
        for (host, address) in [(&attacker, NEIGHBOUR.to_owned()), (&victim, VICTIM.to_string())] {
            for scope in ["all", "default", "eth0"] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter=0"))?;
            }
            host.run("ip", ["addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
            host.run("ip", ["link", "set", "eth0", "up"])?;
        }
        // The victim answers what comes, as any host does; the answers to forged addresses end at the neighbour.
        victim.run("ip", ["route", "add", "default", "via", NEIGHBOUR])?;
        Ok(Arena { victim, attacker })
    }

    /// The attacker's socket.
    pub fn weapon(&self) -> io::Result<RawSocket> {
        sys::namespace::within(&file(&self.attacker), RawSocket::open)?
    }

    /// Hears what changes in the victim's firewall.
    pub fn watch(&self) -> io::Result<Watch> {
        sys::namespace::within(&file(&self.victim), || Watch::open(512 << 20))?
    }

    /// The file that stands for the victim's network.
    pub fn victim_file(&self) -> PathBuf {
        file(&self.victim)
    }

    /// The file that stands for the attacker's network.
    pub fn attacker_file(&self) -> PathBuf {
        file(&self.attacker)
    }

    /// Runs `work` in the victim's network.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        sys::namespace::within(&file(&self.victim), work)
    }

    /// Starts the daemon and waits until it is ready. `settings` follow what it needs to live beside another one.
    pub fn daemon(&self, context: &Context, settings: &str) -> io::Result<Daemon> {
        let folder = context.folder(self.victim.name())?;
        let mut daemon = Daemon::launch(self, context, &folder, settings)?;
        daemon.await_ready()?;
        Ok(daemon)
    }
}

fn file(namespace: &Namespace) -> PathBuf {
    Path::new("/run/netns").join(namespace.name())
}

/// A running riposte.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    riposte: PathBuf,
    config: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Daemon {
    /// Starts it with its store in `folder`; returns at once.
    pub fn launch(arena: &Arena, context: &Context, folder: &Path, settings: &str) -> io::Result<Self> {
        let (config, log) = (folder.join("riposte.toml"), folder.join("riposte.log"));
        let text = format!(
            "applications = {{ files = [\"{0}/auth.log\"], journal = \"never\" }}\nstore.path = \"{0}/store\"\ncontrol.socket = \"{0}/control.sock\"\n{settings}",
            folder.display()
        );
        fs::write(&config, text)?;
        let binary = context.riposte.to_str().ok_or_else(|| io::Error::other("the binary's path is no UTF-8"))?;
        let mut command = arena.victim.command(binary);
        command.arg("run").arg("--config").arg(&config).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn()?;
        Ok(Daemon { child, riposte: context.riposte.clone(), config, log })
    }

    /// The warden's process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until all processes are there and answer.
    pub fn await_ready(&mut self) -> io::Result<()> {
        let start = monotonic();
        while start + READY_LIMIT.as_nanos() as u64 > monotonic() {
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(io::Error::other(format!("riposte ended with {status}: {}", said.lines().last().unwrap_or_default())));
            }
            // The last to start is the packet sensor, and it is ready when it has told its sandbox.
            let ready = |status: &serde_json::Value| {
                let processes = status.get("processes").and_then(|list| list.as_array()).cloned().unwrap_or_default();
                processes.iter().any(|p| p["life"] == "packets" && p["landlock"].as_str().is_some_and(|text| !text.is_empty()))
            };
            if self.status().is_ok_and(|status| ready(&status)) {
                // The lookup of names ends by itself, and the ledger's first tidying is over.
                sleep(Duration::from_millis(3_000));
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        Err(io::Error::other("riposte did not get ready"))
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn status(&self) -> io::Result<serde_json::Value> {
        self.ask(&["status"])?.pop().ok_or_else(|| io::Error::other("riposte status printed nothing"))
    }

    /// What it knows of an address.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn explain(&self, address: &str) -> io::Result<serde_json::Value> {
        self.ask(&["explain", address])?.pop().ok_or_else(|| io::Error::other("riposte explain printed nothing"))
    }

    /// Runs `riposte ARGS… --json`; returns the objects that it printed.
    ///
    /// # Errors
    /// If it fails; the message holds what it said.
    pub fn ask(&self, args: &[&str]) -> io::Result<Vec<serde_json::Value>> {
        let riposte = self.riposte.to_str().unwrap_or_default();
        let config = self.config.to_str().unwrap_or_default();
        let text = namespace::run(riposte, [args, &["--json", "--config", config]].concat())?;
        serde_json::Deserializer::from_str(&text).into_iter().map(|value| value.map_err(io::Error::other)).collect()
    }

    /// Ends it in order and waits; the blocks stay.
    pub fn end(mut self) -> io::Result<()> {
        namespace::run("kill", ["-TERM", &self.pid().to_string()])?;
        self.child.wait().map(drop)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
