//! `riposte-soak`: a steady load for as long as wanted, and whether riposte stays as it is; see `make soak`. Runs as root and touches
//! nothing of the host.

use range::soak::{Options, run};
use range::{bench, verdict};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const PROGRAM: &str = "riposte-soak";
const USAGE: &str = "\
usage: riposte-soak [--minutes N] [--lines N] [--packets N] [--sources N] [--attacks N] [--out FOLDER] [--json] [--riposte FILE]
  --minutes N      for how long (default 45)
  --lines N        log lines a second (default 20000)
  --packets N      packets a second through NFLOG (default 5000)
  --sources N      different bystanders (default 1000000)
  --attacks N      attacks a second, each of which must be decided (default 50)
  --out FOLDER     where soak.csv and soak.svg go (default target/soak)
  --json           one JSON object a line for each verdict, instead of a table
  --riposte FILE   the binary under test (default: riposte beside this program)
Example: sudo target/release/riposte-soak --minutes 5 --out /tmp/soak";

fn main() -> ExitCode {
    let Some(Asked { options, json, enclosed }) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Some(folder) = enclosed else {
        return bench::run_enclosed(PROGRAM);
    };
    let verdicts = match soak(&options, &folder) {
        Ok(verdicts) => verdicts,
        Err(error) => return bench::fail(PROGRAM, &error),
    };
    match json {
        true => verdicts.iter().for_each(|verdict| println!("{}", serde_json::to_string(verdict).unwrap_or_default())),
        false => print!("{}", verdict::table(&verdicts)),
    }
    if verdicts.iter().all(|verdict| verdict.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn soak(options: &Options, folder: &Path) -> std::io::Result<Vec<verdict::Verdict>> {
    let soaked = run(options, folder)?;
    eprintln!("soak: {} rows in {}", soaked.samples.len(), options.out.display());
    Ok(soaked.verdicts)
}

/// What the command line says.
struct Asked {
    options: Options,
    json: bool,
    /// The folder, if this is the process inside.
    enclosed: Option<PathBuf>,
}

fn asked() -> Option<Asked> {
    let riposte = std::env::current_exe().ok()?.with_file_name("riposte");
    let out = PathBuf::from("target/soak");
    let options = Options { riposte, minutes: 45.0, lines: 20_000, packets: 5_000, sources: 1_000_000, attacks: 50, out };
    let mut asked = Asked { options, json: false, enclosed: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let options = &mut asked.options;
        match argument.as_str() {
            "--json" => asked.json = true,
            bench::ENCLOSED => asked.enclosed = Some(PathBuf::from(arguments.next()?)),
            "--minutes" => options.minutes = arguments.next()?.parse().ok().filter(|minutes| *minutes >= 1.0)?,
            "--lines" => options.lines = arguments.next()?.parse().ok()?,
            "--packets" => options.packets = arguments.next()?.parse().ok()?,
            "--sources" => options.sources = arguments.next()?.parse().ok().filter(|n| (1_000..=100_000_000).contains(n))?,
            "--attacks" => options.attacks = arguments.next()?.parse().ok().filter(|n| (1..=1_000).contains(n))?,
            "--out" => options.out = PathBuf::from(arguments.next()?),
            "--riposte" => options.riposte = PathBuf::from(arguments.next()?),
            _ => return None,
        }
    }
    Some(asked)
}
