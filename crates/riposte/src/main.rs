//! riposte: network active response. One binary: the command line, and the lives of its processes.

use clap::Parser;
use riposte::cli::{Cli, Command, Import};
use riposte::commands::{self, Failure};
use riposte::lives;
use riposte::lives::warden::reload::Origin;
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
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    if let Some(name) = commands::active_response::called_as(&program) {
        return commands::active_response::as_script(name, &program, &words.collect::<Vec<_>>());
    }
    let cli = Cli::parse();
    let mut out = BufWriter::new(std::io::stdout().lock());
    if let Command::Check(args) = &cli.command
        && args.host
    {
        return commands::hostcheck::run(args, &mut out);
    }
    if let Command::Status(args) = &cli.command
        && args.check
    {
        return commands::health::run(args, &mut out);
    }
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
            let origin = Origin::new(args.config.as_deref(), args.dry_run).map_err(|e| commands::fail(e.to_string()))?;
            let config = origin.read().map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Failure>())?;
            let log = config.log.clone();
            lives::warden::run(config, origin).inspect_err(|error| lives::logging::last_word(&log, error)).map_err(commands::fail)
        }
        Command::Check(args) => commands::check::run(&args, out),
        Command::Reload(args) => commands::ask::reload(&args, out),
        Command::Status(args) => commands::ask::status(&args, out),
        Command::Rules(args) => commands::rules::run(&args, out),
        Command::Doctor(args) => commands::doctor::run(&args, out),
        Command::Metrics(args) => commands::metrics::run(&args),
        Command::Completions(args) => commands::pages::completions(&args, out),
        Command::Man(args) => commands::pages::man(&args),
        Command::List(args) => commands::ask::list(&args, out),
        Command::Block(args) => commands::ask::block(&args, out),
        Command::Unblock(args) => commands::ask::unblock(&args, out),
        Command::ActiveResponse(args) => commands::active_response::run(&args, out),
        Command::Alert(args) => commands::alert::run(&args, out),
        Command::Allow(args) => commands::ask::allow(&args, out),
        Command::Explain(args) => commands::ask::explain(&args, out),
        Command::History(args) => commands::ask::history(&args, out),
        Command::Replay(args) => commands::replay::run(&args, out),
        Command::Logtest(args) => commands::logtest::run(&args, out),
        Command::Regex(args) => commands::regex::run(&args, out),
        Command::Feeds(feeds) => commands::feeds::run(&feeds, out),
        Command::Import(Import::Portsentry(args)) => commands::portsentry::import(&args, out),
        Command::Import(Import::Psad(args)) => commands::psad::import(&args, out),
        Command::Import(Import::Fail2ban(args)) => commands::import::run(&args, out),
        Command::Demo(args) => {
            let binary = std::env::current_exe().map_err(|e| commands::fail(e.to_string()))?;
            range::demo::run(&binary, args.only.as_deref(), args.json, out).map_err(|e| commands::fail(e.to_string()))
        }
    }
}
