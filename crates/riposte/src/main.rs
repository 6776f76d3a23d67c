//! riposte: network active response. One binary: the command line, and the lives of its processes.

mod cli;
mod commands;
mod config;
mod control;
mod host;
mod lives;
mod sources;

use clap::Parser;
use cli::{Cli, Command};
use commands::Failure;
use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A life is told from a command before anything else happens, and before the command line is parsed.
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() == Some(OsStr::new("--life")) {
        let (life, slot) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        return lives::live(&life.to_string_lossy(), &slot.to_string_lossy());
    }
    let cli = Cli::parse();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let result = run(cli.command, &mut out);
    let flushed = out.flush();
    match (result, flushed) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        // Somebody has read enough: `riposte list | head`.
        (_, Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Ok(()), Err(error)) => complain(&[error.to_string()]),
        (Err(lines), _) => complain(&lines),
    }
}

fn complain(lines: &[String]) -> ExitCode {
    for line in lines {
        eprintln!("riposte: {line}");
    }
    ExitCode::FAILURE
}

fn run(command: Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let mut config = commands::config(args.config.as_deref())?;
            config.policy.dry_run |= args.dry_run;
            let log = config.log.clone();
            lives::warden::run(config).inspect_err(|error| lives::logging::last_word(&log, error)).map_err(commands::fail)
        }
        Command::Check(args) => commands::check::run(&args, out),
        Command::Status(args) => commands::ask::status(&args, out),
        Command::Doctor(args) => commands::doctor::run(&args, out),
        Command::Metrics(args) => commands::metrics::run(&args),
        Command::Completions(args) => commands::pages::completions(&args, out),
        Command::Man(args) => commands::pages::man(&args),
        Command::List(args) => commands::ask::list(&args, out),
        Command::Block(args) => commands::ask::block(&args, out),
        Command::Unblock(args) => commands::ask::unblock(&args, out),
        Command::Allow(args) => commands::ask::allow(&args, out),
        Command::Explain(args) => commands::ask::explain(&args, out),
        Command::History(args) => commands::ask::history(&args, out),
        Command::Replay(args) => commands::replay::run(&args, out),
        Command::Demo(args) => {
            let binary = std::env::current_exe().map_err(|e| commands::fail(e.to_string()))?;
            range::demo::run(&binary, args.only.as_deref(), args.json, out).map_err(|e| commands::fail(e.to_string()))
        }
    }
}
