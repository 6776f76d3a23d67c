//! `riposte-chaos`: riposte killed, stopped and starved at the worst moments; see `make chaos`. Runs as root and touches nothing of the host.

use range::chaos::{self, Options};
use range::{bench, verdict};
use std::path::PathBuf;
use std::process::ExitCode;

const PROGRAM: &str = "riposte-chaos";
const USAGE: &str = "\
usage: riposte-chaos [--only WORD] [--kills N] [--seed N] [--out FOLDER] [--json] [--riposte FILE]
  --only WORD      only groups whose name has this in it: matrix kill flush; 'matrix:WORD' only cells whose name has WORD in it
  --kills N        how often kill -9 hits a process in the storm, with ten new attackers each time (default 1000)
  --seed N         chance comes from this number (default: the clock); it is told
  --out FOLDER     where chaos.md goes, with all tables (default target/chaos)
  --json           one JSON object a line for each verdict, instead of tables
  --riposte FILE   the binary under test (default: riposte beside this program)
Example: sudo target/release/riposte-chaos --only kill --kills 100";

fn main() -> ExitCode {
    let Some(Asked { options, out, json, enclosed }) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Some(folder) = enclosed else {
        return bench::run_enclosed(PROGRAM);
    };
    let (mut kept, mut text) = (true, String::new());
    let result = chaos::run(&options, &folder, |group, verdicts| {
        kept &= verdicts.iter().all(|verdict| verdict.kept);
        let section = format!("## {} (seed {})\n\n{}\n\n```\n{}```\n\n", group.name, options.seed, group.about, verdict::table(verdicts));
        match json {
            true => verdicts.iter().for_each(|verdict| println!("{}", serde_json::to_string(verdict).unwrap_or_default())),
            false => print!("{section}"),
        }
        text.push_str(&section);
    });
    let written = std::fs::create_dir_all(&out).and_then(|()| std::fs::write(out.join("chaos.md"), text));
    match result.and(written) {
        Ok(()) if kept => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => bench::fail(PROGRAM, &error),
    }
}

/// What the command line says.
struct Asked {
    options: Options,
    out: PathBuf,
    json: bool,
    /// The folder, if this is the process inside.
    enclosed: Option<PathBuf>,
}

fn asked() -> Option<Asked> {
    let riposte = std::env::current_exe().ok()?.with_file_name("riposte");
    let seed = sys::clock::now() % 1_000_000;
    let mut asked = Asked {
        options: Options { riposte, only: None, kills: 1_000, seed },
        out: PathBuf::from("target/chaos"),
        json: false,
        enclosed: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => asked.json = true,
            bench::ENCLOSED => asked.enclosed = Some(PathBuf::from(arguments.next()?)),
            "--only" => asked.options.only = Some(arguments.next()?),
            "--kills" => asked.options.kills = arguments.next()?.parse().ok().filter(|kills| (1..=10_000).contains(kills))?,
            "--out" => asked.out = PathBuf::from(arguments.next()?),
            "--seed" => asked.options.seed = arguments.next()?.parse().ok()?,
            "--riposte" => asked.options.riposte = PathBuf::from(arguments.next()?),
            _ => return None,
        }
    }
    asked.options.is_known().then_some(asked)
}
