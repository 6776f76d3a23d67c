//! CrowdSec reading a log of logins once, with the parsers and the scenario for sshd from Debian's package, which need not be installed:
//! its files are enough. Its own service (a local API on the loopback address) runs inside a namespace. Never asks its central service.

use super::peers::PRIVATE;
use super::{Context, have, seconds_since};
use crate::namespace::{Namespace, finish};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use sys::clock::monotonic;

/// Lines that it reads: of a million it would take minutes.
const LINES: usize = 200_000;
/// Where `scripts/setup --bench` unpacks the package, beside the root itself.
const ROOTS: [&str; 2] = ["target/peers/crowdsec", "/"];
/// What reads sshd's lines and counts its guesses: where it stands in the package's hub, and where in a configuration.
const HUB: [(&str, &str); 4] = [
    ("parsers/s00-raw/crowdsecurity/syslog-logs.yaml", "parsers/s00-raw"),
    ("parsers/s01-parse/crowdsecurity/sshd-logs.yaml", "parsers/s01-parse"),
    ("parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml", "parsers/s02-enrich"),
    ("scenarios/crowdsecurity/ssh-bf.yaml", "scenarios"),
];

/// Lines a second on one core, without the time that it takes to start; `None` if it is not there.
///
/// # Errors
/// If it does not do its work.
pub fn reading(context: &Context, log: &Path) -> io::Result<Option<f64>> {
    let Some(root) = ROOTS.iter().map(Path::new).find(|root| root.join("usr/bin/crowdsec").exists()) else {
        have("crowdsec");
        return Ok(None);
    };
    let folder = context.folder("crowdsec")?;
    let root = fs::canonicalize(root)?;
    configure(&root, &folder)?;
    let part = folder.join("auth.log");
    let mut out = BufWriter::new(File::create(&part)?);
    for line in BufReader::new(File::open(log)?).lines().take(LINES) {
        writeln!(out, "{}", line?)?;
    }
    out.flush()?;
    let empty = folder.join("empty.log");
    File::create(&empty)?;
    let namespace = Namespace::new("rp-bench-crowd")?;
    let start = run(&namespace, &root, &folder, &empty)?;
    let all = run(&namespace, &root, &folder, &part)?;
    let said = fs::read_to_string(folder.join("said"))?;
    // It must count guessers, or it has not done the work. (Guesses so far apart as in this log overflow none of its buckets.)
    let counts = said.contains(" existing buckets");
    if counts { Ok(Some(LINES as f64 / (all - start))) } else { Err(io::Error::other("crowdsec counted nobody")) }
}

/// The package's own files, with every path below one folder.
fn configure(root: &Path, folder: &Path) -> io::Result<()> {
    let to = folder.display();
    for (from, into) in HUB {
        let (from, into) = (root.join("usr/share/crowdsec/hub").join(from), folder.join(into));
        fs::create_dir_all(&into)?;
        fs::copy(&from, into.join(from.file_name().unwrap_or_default()))?;
    }
    for name in ["data", "hub", "plugins", "postoverflows", "collections"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::copy(root.join("usr/share/crowdsec/hub/.index.json"), folder.join("hub/.index.json"))?;
    let etc = root.join("etc/crowdsec");
    let own: [PathBuf; 4] = ["patterns", "simulation.yaml", "profiles.yaml", "acquis.yaml"].map(|name| etc.join(name));
    finish(Command::new("cp").arg("-r").args(own).arg(folder))?;
    File::create(folder.join("credentials.yaml"))?;
    let text = fs::read_to_string(etc.join("config.yaml"))?;
    let text = text
        .replace("/etc/crowdsec/local_api_credentials.yaml", &format!("{to}/credentials.yaml"))
        .replace("/var/lib/crowdsec/data/", &format!("{to}/data/"))
        .replace("/var/lib/crowdsec/hub/", &format!("{to}/hub/"))
        .replace("/usr/lib/crowdsec/plugins/", &format!("{to}/plugins/"))
        .replace("/etc/crowdsec/", &format!("{to}/"))
        .replace("log_dir: /var/log/", &format!("log_dir: {to}/"))
        .replace("log_media: file", "log_media: stdout")
        .replace("daemonize: true", "daemonize: false");
    // Without the account at its central service, which it would report to.
    let kept = text.lines().filter(|line| !line.contains("online_client") && !line.contains("online_api_credentials"));
    fs::write(folder.join("config.yaml"), kept.collect::<Vec<_>>().join("\n") + "\n")?;
    let mut register = Command::new(root.join("usr/bin/cscli"));
    register.arg("-c").arg(folder.join("config.yaml")).args(["machines", "add", "--auto", "--force", "-f"]);
    finish(register.arg(folder.join("credentials.yaml"))).map(drop)
}

/// Seconds for one file.
fn run(namespace: &Namespace, root: &Path, folder: &Path, log: &Path) -> io::Result<f64> {
    let script = format!(
        "{PRIVATE} && exec taskset -c 0 {}/usr/bin/crowdsec -c {}/config.yaml -type syslog -dsn file://{}",
        root.display(),
        folder.display(),
        log.display()
    );
    let said = File::create(folder.join("said"))?;
    let mut command = namespace.command("unshare");
    command.args(["--mount", "sh", "-c", &script]).stdout(said.try_clone()?).stderr(said).stdin(Stdio::null());
    let start = monotonic();
    let status = command.status()?;
    let wall = seconds_since(start);
    if status.success() { Ok(wall) } else { Err(io::Error::other(format!("crowdsec: {status}"))) }
}
