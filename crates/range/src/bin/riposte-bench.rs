//! `riposte-bench`: the figures of the README, measured; see `make bench`. Runs as root and touches nothing of the host.

use range::bench::{self, Options, figure};
use std::path::PathBuf;
use std::process::ExitCode;

const PROGRAM: &str = "riposte-bench";
const USAGE: &str = "\
usage: riposte-bench [--json] [--only WORD] [--riposte FILE]
  --json           one JSON object a line for each figure, instead of a table
  --only WORD      only groups whose name has this in it: analysis logins latency burst capture restore idle spoofed portsentry
  --riposte FILE   the binary under test (default: riposte beside this program)
Example: sudo target/release/riposte-bench --only latency";

fn main() -> ExitCode {
    let Some(Asked { options, json, enclosed }) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Some(folder) = enclosed else {
        return bench::run_enclosed(PROGRAM);
    };
    let mut all = Vec::new();
    let result = bench::run(&options, &folder, |figures| {
        for figure in figures {
            match json {
                true => println!("{}", serde_json::to_string(figure).unwrap_or_default()),
                false => eprintln!("bench:   {}: {}", figure.what, figure.shown()),
            }
        }
        all.extend_from_slice(figures);
    });
    if !json {
        print!("{}", figure::table(&all));
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => bench::fail(PROGRAM, &error),
    }
}

/// What the command line says.
struct Asked {
    options: Options,
    json: bool,
    /// The folder, if this is the process inside.
    enclosed: Option<PathBuf>,
}

fn asked() -> Option<Asked> {
    let beside = std::env::current_exe().ok()?.with_file_name("riposte");
    let mut asked = Asked { options: Options { riposte: beside, only: None }, json: false, enclosed: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => asked.json = true,
            bench::ENCLOSED => asked.enclosed = Some(PathBuf::from(arguments.next()?)),
            "--only" => asked.options.only = Some(arguments.next()?),
            "--riposte" => asked.options.riposte = PathBuf::from(arguments.next()?),
            _ => return None,
        }
    }
    let known = asked.options.only.as_ref().is_none_or(|word| bench::GROUPS.iter().any(|(name, _)| name.contains(word.as_str())));
    known.then_some(asked)
}
