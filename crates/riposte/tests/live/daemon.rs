//! One riposte in a namespace, asked through its command line like by any user.

use range::namespace::Namespace;
use range::network::{Network, VICTIM};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary that is tested.
pub const RIPOSTE: &str = env!("CARGO_BIN_EXE_riposte");
/// Far longer than anything takes on a machine that is busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(15);

/// Waits until something is there, or says what never came.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A network of its own for the test of this name.
pub fn network(test: &str, attackers: usize) -> Network {
    Network::new(&format!("live{}-{test}", std::process::id()), attackers).expect("network namespaces need root")
}

/// A folder that riposte's unprivileged processes can reach.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("rp-live-").permissions(Permissions::from_mode(0o755)).tempdir();
    folder.expect("a folder below /tmp")
}

/// Runs riposte's command line and waits for it.
pub fn command(args: &[&str]) -> Output {
    Command::new(RIPOSTE).args(args).stdin(Stdio::null()).output().expect("riposte can be started")
}

/// Copies the binary to where everybody can reach it. Another process does it: one that is written to can't be run, and every process that
/// another test starts at that moment inherits what we write to.
pub fn copy_for_everybody(to: &Path) {
    let done = Command::new("install").args(["-m", "0755", RIPOSTE]).arg(to).status().expect("install can be started");
    assert!(done.success());
}

/// What a command printed, both ways.
pub fn said(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat()
}

/// Sends a signal by process number.
pub fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill can be started");
    assert!(done.success(), "kill -{name} {pid}");
}

/// Whether this process number stands for a process that still runs.
pub fn runs(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// A daemon. Ended with all its processes when dropped.
pub struct Daemon {
    folder: TempDir,
    namespace: String,
    child: Child,
    expected_errors: Vec<&'static str>,
}

impl Daemon {
    /// Starts one with this configuration behind the places of store and socket, and waits until every process is at work.
    /// `{}` in the configuration stands for the daemon's own folder.
    pub fn start(host: &Namespace, config: &str) -> Daemon {
        Daemon::start_in(folder(), host, config, &[])
    }

    /// The same in a folder that is there already (the store's is not, nor the one above it), with a program in front that starts it (such as `unshare -m`).
    pub fn start_in(folder: TempDir, host: &Namespace, config: &str, before: &[&str]) -> Daemon {
        let mut daemon = Daemon::launch(folder, host, config, before);
        daemon.wait_until_at_work();
        daemon
    }

    /// The same without waiting for anything.
    pub fn launch(folder: TempDir, host: &Namespace, config: &str, before: &[&str]) -> Daemon {
        configure(folder.path(), config);
        let child = spawn(folder.path(), host.name(), before, Stdio::null());
        Daemon { folder, namespace: host.name().to_owned(), child, expected_errors: Vec::new() }
    }

    /// Writes another configuration, which counts from the next reload or start.
    pub fn configure(&self, config: &str) {
        configure(self.folder.path(), config);
    }

    /// Starts the same once more after it has ended.
    pub fn start_again(&mut self) {
        self.start_again_with(&[], Stdio::null());
    }

    /// The same with a program in front and this standard input.
    pub fn start_again_with(&mut self, before: &[&str], input: Stdio) {
        self.child = spawn(self.folder.path(), &self.namespace, before, input);
        self.wait_until_at_work();
    }

    fn wait_until_at_work(&mut self) {
        let began = Instant::now();
        // Sensors start once the host's own exemptions are known; the one that resolves names ends when it has.
        let config = fs::read_to_string(self.folder.path().join("config.toml")).expect("readable");
        let off = |section: &str| usize::from(config.contains(&format!("[{section}]\nenabled = false")));
        let expected = config.matches("[[sense.log]]").count() + 2 - off("sense.nflog") - off("applications");
        // Who guards ports begins its section with them.
        let expected = expected + config.matches("[guard]\ntcp").count();
        // The envoy, whatever it carries.
        let expected =
            expected + usize::from(["[alert.", "[[feed]]", "[dshield]\nenabled = true"].iter().any(|section| config.contains(section)));
        loop {
            if let Some(status) = self.try_json(&["status"]).and_then(|lines| lines.into_iter().next()) {
                let lives = names(&status["processes"], "life");
                let sensors = names(&status["sensors"], "state");
                let entered = status["processes"].as_array().is_some_and(|all| all.iter().all(|p| p["landlock"] != ""));
                let there = |life: &str| lives.iter().any(|one| one == life);
                let all = sensors.len() == expected && sensors.iter().all(|state| state == "running");
                // A sensor's process is told of a moment after its link.
                // A name below .invalid is not resolved for now: its process goes on.
                let looking = config.contains(".invalid") || (config.contains("# slow lookup") && there("lookup"));
                // One for each user that responses run as; the tests have nobody and root.
                let runners = ["nobody", "root"].iter().filter(|user| config.contains(&format!("# runs as {user}"))).count();
                // One for all responders beside the kernel.
                let runners = runners + usize::from(config.contains("\nkind = [\""));
                let processes = lives.len() == 3 + runners + expected + usize::from(looking) && there("host") && there("lookup") == looking;
                if entered && all && processes && self.agreed() {
                    return;
                }
            }
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "riposte ended at its start: {ended:?}\n{}", self.log());
            assert!(began.elapsed() < PATIENCE, "riposte never got to work\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether the judge has compared ledger and firewall, once for each start.
    fn agreed(&self) -> bool {
        let log = self.log();
        log.matches("ledger and firewall agree").count() >= log.matches("riposte is on watch").count()
    }

    /// An ERROR line with this in it belongs to the test.
    pub fn expect_error(&mut self, part: &'static str) {
        self.expected_errors.push(part);
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs a command against it.
    pub fn ask(&self, args: &[&str]) -> Output {
        let config = self.path("config.toml").display().to_string();
        command(&[args, &["--config", &config]].concat())
    }

    /// What a command prints that must work.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(output.status.success(), "{args:?}: {}\n{}", said(&output), self.log());
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The one line that a command prints which must be refused.
    pub fn refusal(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(!output.status.success(), "{args:?} should be refused: {}", said(&output));
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
        line
    }

    fn try_json(&self, args: &[&str]) -> Option<Vec<Value>> {
        let output = self.ask(&[args, &["--json"]].concat());
        let text = output.status.success().then_some(output.stdout)?;
        Some(serde_json::Deserializer::from_slice(&text).into_iter().map(|value| value.expect("JSON")).collect())
    }

    /// The lines of a command's JSON.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        self.try_json(args).unwrap_or_else(|| panic!("{args:?} failed: {}\n{}", said(&self.ask(args)), self.log()))
    }

    /// The one line of a command's JSON.
    pub fn json_one(&self, args: &[&str]) -> Value {
        let lines = self.json(args);
        assert_eq!(lines.len(), 1, "{args:?}");
        lines.into_iter().next().expect("one line")
    }

    /// Who is blocked, by its own word.
    pub fn blocked(&self) -> Vec<String> {
        self.json(&["list"]).iter().map(|line| text(&line["address"])).collect()
    }

    /// Waits until this address is on its list.
    pub fn wait_until_blocked(&self, address: &str) {
        until(&format!("{address} is blocked"), || self.blocked().contains(&address.to_owned()).then_some(()));
    }

    /// One of the figures in `status`.
    pub fn figure(&self, name: &str) -> u64 {
        pair(&self.json_one(&["status"])["counters"], name).unwrap_or(0)
    }

    /// A sensor's figure in `status`, by a part of the sensor's name.
    pub fn sensor_figure(&self, sensor: &str, name: &str) -> Option<u64> {
        let status = self.json_one(&["status"]);
        let line = status["sensors"].as_array()?.iter().find(|line| text(&line["name"]).contains(sensor))?;
        pair(&line["counters"], name)
    }

    /// Waits until a sensor's figure has reached a number, and it must not be more.
    pub fn wait_until_figure(&self, sensor: &str, name: &str, number: u64) {
        assert_eq!(self.wait_until_figure_of_at_least(sensor, name, number), number, "'{name}' of {sensor}");
    }

    /// Waits until a sensor's figure has reached a number.
    pub fn wait_until_figure_of_at_least(&self, sensor: &str, name: &str, number: u64) -> u64 {
        until(&format!("'{name}' of {sensor} is {number}"), || self.sensor_figure(sensor, name).filter(|seen| *seen >= number))
    }

    /// Appends to a log in its folder.
    pub fn append(&self, log: &str, text: &str) {
        File::options()
            .append(true)
            .create(true)
            .open(self.path(log))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("writable");
    }

    /// Waits until a log is followed: what is written before that is past for it.
    pub fn wait_until_followed(&self, log: &str) {
        until(&format!("{log} is followed"), || {
            self.append(log, &format!("{} fw kernel: [1.000000] eth0: link becomes ready\n", jiff::Timestamp::now()));
            self.sensor_figure(log, "lines").filter(|lines| *lines > 0)
        });
    }

    /// The process number of one of its lives.
    pub fn life(&self, name: &str) -> Option<u64> {
        let status = self.try_json(&["status"])?.into_iter().next()?;
        status["processes"].as_array()?.iter().find(|p| p["life"] == name)?["pid"].as_u64()
    }

    /// All its process numbers.
    pub fn pids(&self) -> Vec<u64> {
        let status = self.json_one(&["status"]);
        status["processes"].as_array().expect("a list").iter().filter_map(|p| p["pid"].as_u64()).collect()
    }

    /// Tells it to read its configuration again. The warden is our child itself: whatever was in front has become it.
    pub fn hang_up(&self) {
        signal("HUP", self.child.id());
    }

    /// Tells it to end and waits.
    pub fn end(&mut self) -> ExitStatus {
        signal("TERM", self.child.id());
        self.child.wait().expect("our child")
    }

    /// Kills the warden and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let status = std::thread::panicking().then(|| said(&self.ask(&["status"])));
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(status) = status {
            eprintln!("riposte's log:\n{}\nits status:\n{status}", self.log());
            return;
        }
        for line in self.log().lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")) {
            assert!(self.expected_errors.iter().any(|part| line.contains(part)), "an error that the test didn't expect: {line}");
        }
    }
}

fn configure(folder: &Path, config: &str) {
    let place = folder.display().to_string();
    // The host's own logs are no test's business.
    let applications = if config.contains("[applications]") { "" } else { "\n[applications]\nenabled = false\n" };
    let config = format!(
        "[store]\npath = \"{place}/var/store\"\n[control]\nsocket = \"{place}/sock\"\n{}{applications}",
        config.replace("{}", &place)
    );
    fs::write(folder.join("config.toml"), config).expect("writable");
}

fn spawn(folder: &Path, namespace: &str, before: &[&str], input: Stdio) -> Child {
    let log = File::options().append(true).create(true).open(folder.join("log")).expect("writable");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(before).args([RIPOSTE, "run", "--config"]).arg(folder.join("config.toml"));
    command.stdin(input).stdout(Stdio::null()).stderr(log).spawn().expect("ip can be started")
}

/// What stands in the kernel's set, as `nft` prints it.
pub fn set(host: &Namespace, name: &str) -> String {
    host.run("nft", ["list", "set", "inet", "riposte", name]).expect("riposte's table is there")
}

/// Whether an address or prefix is an element of riposte's set in the kernel.
pub fn is_in_set(host: &Namespace, name: &str, element: &str) -> bool {
    let text = set(host, name);
    text.split_once("elements = {").is_some_and(|(_, elements)| elements.split([' ', ',', '\t', '\n']).any(|word| word == element))
}

/// A JSON text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().map(|list| list.iter().map(|entry| text(&entry[key])).collect()).unwrap_or_default()
}

fn pair(list: &Value, name: &str) -> Option<u64> {
    list.as_array()?.iter().find(|pair| pair[0] == name)?[1].as_u64()
}

/// A line as rsyslog writes it now: a SYN from `source` to a port of `target` that the firewall dropped.
pub fn line(source: &str, target: &str, port: u16) -> String {
    let now = jiff::Timestamp::now();
    format!(
        "{now} fw kernel: [12345.678901] DROP IN=eth0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC={source} DST={target} LEN=44 TOS=0x00 PREC=0x00 \
         TTL=50 ID=4711 PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0"
    )
}

/// A scan of ports that are closed, as a firewall logs it.
pub fn scan_lines(source: &str, target: &str, ports: std::ops::Range<u16>) -> String {
    ports.map(|port| line(source, target, port) + "\n").collect()
}

/// A log in the daemon's folder, for a configuration.
pub const KERN_LOG: &str = "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";

/// A daemon with a log that it follows.
pub fn start_following(host: &Namespace, config: &str) -> Daemon {
    let daemon = Daemon::start(host, &format!("{config}{KERN_LOG}"));
    daemon.wait_until_followed("kern.log");
    daemon
}

/// Has that log tell of a scan.
pub fn scan(daemon: &Daemon, source: &str) {
    daemon.append("kern.log", &scan_lines(source, VICTIM, 1_000..1_006));
}

/// Waits until an address is in the kernel's set.
pub fn wait_until_in_kernel(host: &Namespace, address: &str) {
    until(&format!("the kernel has {address}"), || is_in_set(host, "blocked4", address).then_some(()));
}
