//! The benchmark: every figure of the README, measured against the peers in the same run where a peer exists.
//! Touches nothing of the host: traffic runs in namespaces named `rp-bench-…`, peers see private folders, all is removed at the end.

mod analysis;
pub mod arena;
mod bare;
mod burst;
mod capture;
mod crowdsec;
pub mod figure;
mod flood;
mod idle;
mod latency;
mod logins;
pub(crate) mod peers;
mod portsentry;
mod restore;
mod spoofed;

use figure::Figure;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// What to measure, and with which binary.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary under test.
    pub riposte: PathBuf,
    /// Only groups whose name has this in it.
    pub only: Option<String>,
}

/// What a group of figures gets.
#[derive(Debug)]
pub struct Context {
    riposte: PathBuf,
    folder: PathBuf,
}

type Measure = fn(&Context) -> io::Result<Vec<Figure>>;

/// The groups, in the order in which they are measured.
pub const GROUPS: [(&str, Measure); 9] = [
    ("analysis", analysis::measure),
    ("logins", logins::measure),
    ("latency", latency::measure),
    ("burst", burst::measure),
    ("capture", capture::measure),
    ("restore", restore::measure),
    ("idle", idle::measure),
    ("spoofed", spoofed::measure),
    ("portsentry", portsentry::measure),
];

impl Context {
    /// With this binary under test, and a folder for all that is written.
    ///
    /// # Errors
    /// If the binary is not there.
    pub fn new(riposte: &Path, folder: &Path) -> io::Result<Self> {
        let riposte = fs::canonicalize(riposte)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}: build it first, or name it with --riposte", riposte.display())))?;
        Ok(Context { riposte, folder: folder.to_owned() })
    }

    /// The binary under test.
    pub fn riposte(&self) -> &Path {
        &self.riposte
    }

    /// A new folder for one purpose.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// How the program is told that it runs inside its private world; the folder for its files follows.
pub const ENCLOSED: &str = "--enclosed";

/// Runs this program again in a world of its own: processes, mounts and `/run`, which the kernel takes down with the last process in it,
/// whatever ends it. Returns what it came to.
///
/// # Errors
/// If it can't be started.
fn enclose(arguments: impl Iterator<Item = OsString>) -> io::Result<ExitStatus> {
    if !sys::identity::is_privileged() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "this makes network namespaces: run it as root (with make)"));
    }
    let folder = std::env::temp_dir().join(format!("rp-bench-{}", std::process::id()));
    // The daemon's children without privilege must be able to reach their folder in it.
    fs::DirBuilder::new().mode(0o755).create(&folder)?;
    // Ctrl-C ends this process alone: the one inside is the first of its world, and hears of no signal but the last.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    let status = command.arg(std::env::current_exe()?).arg(ENCLOSED).arg(&folder).args(arguments).status();
    let _ = fs::remove_dir_all(&folder);
    status
}

/// For a program's `main`, outside: runs the program again inside, with its own arguments, and ends as that did.
pub fn run_enclosed(program: &str) -> ExitCode {
    match enclose(std::env::args_os().skip(1)) {
        Ok(status) => ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)),
        Err(error) => fail(program, &error),
    }
}

/// Says why a program ends.
pub fn fail(program: &str, error: &io::Error) -> ExitCode {
    eprintln!("{program}: {error}");
    ExitCode::FAILURE
}

/// Makes this process' world its own; only for one that [`enclose`] has started.
///
/// # Errors
/// If it was not.
pub fn furnish() -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::other(format!("{ENCLOSED} is for this program's own use")));
    }
    // The names of network namespaces are kept below /run: nobody else sees ours.
    crate::namespace::run("mount", ["-t", "tmpfs", "tmpfs", "/run"]).map(drop)
}

/// Measures and hands each group's figures to `tell`; only for a process that [`enclose`] has started, with the folder
/// that it was given. A group that fails is told on standard error, and the others go on.
///
/// # Errors
/// If nothing can be measured at all, or something failed: then at the end.
pub fn run(options: &Options, folder: &Path, mut tell: impl FnMut(&[Figure])) -> io::Result<()> {
    furnish()?;
    let context = Context::new(&options.riposte, folder)?;
    let wanted = |name: &str| options.only.as_ref().is_none_or(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    for (name, measure) in GROUPS.into_iter().filter(|(name, _)| wanted(name)) {
        progress(&format!("{name} (load {:.1})", load()));
        match measure(&context) {
            Ok(figures) => tell(&figures),
            Err(error) => {
                progress(&format!("{name} FAILED: {error}"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(format!("could not be measured: {}", failed.join(", ")))) }
}

/// A line about what goes on, on standard error.
fn progress(text: &str) {
    eprintln!("bench: {text}");
}

/// The load average of the last minute; 0 if it can't be read.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// Seconds since `start` of the monotonic clock.
pub fn seconds_since(start: u64) -> f64 {
    sys::clock::monotonic().saturating_sub(start) as f64 / 1e9
}

/// The sample below which this share of all lies, in the samples' unit; 0 if there are none.
fn quantile(sorted: &[u64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).map_or(0.0, |sample| *sample as f64)
}

/// Whether a program is there; if not it says so.
fn have(program: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        progress(&format!("{program} is not installed: measured without it (scripts/setup --bench installs it)"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<u64> = (1..=1_000).collect();
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| quantile(&samples, share)), [500.0, 900.0, 990.0, 1_000.0]);
        assert_eq!(quantile(&[7], 0.99), 7.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
