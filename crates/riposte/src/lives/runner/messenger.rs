//! The messenger: runs the programs by which alerts go out, one at a time, as an unprivileged user, outside every sandbox but that. It was
//! started before the warden gave up its rights, knows the programs from the configuration alone, and uses no shell.

use crate::config::AlertConfig;
use crate::config::alert::Outgoing;
use crate::config::placeholder::Placeholder;
use crate::config::words::Word;
use crate::lives::channel::Channel;
use crate::lives::envoy::messenger::{BEGIN, Begin, Done, Errand, LAST, MORE};
use crate::lives::envoy::{address, host_name};
use crate::lives::monotonic;
use model::limits::FRAME_BYTES;
use model::net::Prefix;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use sys::fd::{Interest, Poller, recv_frame, sealed_text, send_frame, set_nonblocking};
use sys::process::{Ended, Identity, Launch, output_pipe, spawn};

/// Bytes of an input. A longer one is refused.
const INPUT_BYTES: usize = 4 << 20;
/// Bytes of what a program says that are kept.
const SAID_BYTES: usize = 4_096;
/// Bytes of a variable, and how many.
const VALUE_BYTES: usize = 4_096;
const VARIABLES: usize = 32;
const WARDEN: u64 = 1;
const ENVOY: u64 = 2;

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn watch(warden: &Channel, link: &OwnedFd, config: &AlertConfig) -> io::Result<()> {
    let (poller, mut ready, mut frame) = (Poller::new()?, Vec::new(), vec![0; FRAME_BYTES]);
    poller.add(warden.as_fd(), WARDEN, Interest::Read)?;
    poller.add(link.as_fd(), ENVOY, Interest::Read)?;
    let mut begun: Option<(Begin, Vec<u8>)> = None;
    loop {
        poller.wait(None, &mut ready)?;
        for event in &ready {
            if event.token == WARDEN {
                while let Continue(_) = match warden.hear(&mut frame)? {
                    Break(false) => return Ok(()),
                    heard => heard,
                } {}
                continue;
            }
            let received = match recv_frame(link.as_fd(), &mut frame) {
                Ok(received) if received.len > 0 => received.len,
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            // One of an envoy that was killed in the middle of it ends where another begins.
            let Some((first, rest)) = frame.get(..received).and_then(<[u8]>::split_first) else { continue };
            match (*first, &mut begun) {
                (BEGIN, _) => begun = serde_json::from_slice(rest).ok().map(|begin| (begin, Vec::new())),
                (MORE | LAST, Some((_, input))) => input.extend_from_slice(rest),
                _ => {}
            }
            let is_whole = *first == LAST;
            if let Some((begin, input)) = begun.take_if(|(_, input)| is_whole || input.len() > INPUT_BYTES) {
                let runner = Runner { identity: None, warden: Some(warden) };
                let result = if is_whole { run(config, runner, &begin.errand, &input) } else { Err("its input is too long".to_owned()) };
                let done = Done { number: begin.number, failed: result.err() };
                // An envoy that takes no answer does not wait for it either.
                let _ = send_frame(link.as_fd(), &serde_json::to_vec(&done)?, None);
            }
        }
    }
}

/// Who runs a program.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'r> {
    /// Whom the program becomes; `None`: it stays who we are.
    pub identity: Option<&'r Identity>,
    /// Whose end is the program's as well.
    pub warden: Option<&'r Channel>,
}

/// Runs one, as somebody else if it is to be, and waits for its end.
///
/// # Errors
/// Why it is not done.
pub fn run(config: &AlertConfig, runner: Runner<'_>, errand: &Errand, input: &[u8]) -> Result<(), String> {
    let mail = config.mail.as_ref().and_then(|mail| match &mail.by {
        Outgoing::Program(argv) => Some((argv, mail.timeout)),
        Outgoing::Server(_) => None,
    });
    let command = config.command.as_ref().map(|command| (&command.argv, command.limit));
    let (argv, limit) = if errand.command { command } else { mail }.ok_or("no such program is configured")?;
    let (program, args) = argv.split_first().ok_or("no such program is configured")?;
    // Who speaks with the whole world does not choose whom mail goes to.
    let (to, host) = (config.mail.iter().filter(|_| !errand.command).flat_map(|mail| &mail.to), host_name());
    let to = to.map(|to| address(to, &host).map(|to| to.to_string())).collect::<Result<Vec<String>, String>>()?;
    let is_ours = |(name, value): &&(String, String)| {
        name.starts_with("RIPOSTE_")
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && value.len() <= VALUE_BYTES
            && !value.contains('\0')
    };
    // The configuration lets no placeholder stand there, but braces, written twice.
    let program = if errand.command { &Placeholder::fill(program, |_| String::new()) } else { program };
    // What has no address, or no level, is nothing for a program that is given one.
    let Some(args) = args.iter().map(|arg| filled(arg, errand)).collect::<Option<Vec<String>>>() else { return Ok(()) };
    let env: Vec<String> = errand.env.iter().filter(is_ours).take(VARIABLES).map(|(name, value)| format!("{name}={value}")).collect();
    execute(program, args.iter().chain(&to), &env, (input, limit, runner)).map_err(|why| format!("{program}: {why}"))
}

/// An argument with what the errand is about in it; `None` if it is about no such thing. The word of who speaks with the whole world is taken for
/// nothing but what it must be.
fn filled(arg: &str, errand: &Errand) -> Option<String> {
    if !errand.command {
        return Some(arg.to_owned());
    }
    let value = |placeholder: Placeholder| {
        let name = format!("RIPOSTE_{}", placeholder.word().to_ascii_uppercase());
        let (_, given) = errand.env.iter().find(|(known, _)| *known == name)?;
        Some(match placeholder {
            Placeholder::Address => given.parse::<Prefix>().ok()?.to_string(),
            Placeholder::Level => given.parse::<u8>().ok().filter(|level| (1..=5).contains(level))?.to_string(),
            _ => Some(given).filter(|word| word.len() <= 16 && word.bytes().all(|b| b.is_ascii_lowercase()))?.clone(),
        })
    };
    let mut all = true;
    let filled = Placeholder::fill(arg, |placeholder| {
        value(placeholder).unwrap_or_else(|| {
            all = false;
            String::new()
        })
    });
    all.then_some(filled)
}

fn execute<'a>(
    program: &str,
    args: impl Iterator<Item = &'a String>,
    env: &[String],
    (input, limit, Runner { identity, warden }): (&[u8], Duration, Runner<'_>),
) -> Result<(), String> {
    let fail = |error: io::Error| error.to_string();
    let input = sealed_text(input).map_err(fail)?;
    let (output, output_end) = output_pipe().map_err(fail)?;
    set_nonblocking(output.as_fd(), true).map_err(fail)?;
    let args: Vec<&OsStr> = args.map(OsStr::new).collect();
    let fds = [(input.as_fd(), 0), (output_end.as_fd(), 1), (output_end.as_fd(), 2)];
    let _ = std::env::set_current_dir("/");
    let launch = Launch { program: Path::new(program), title: program, args: &args, fds: &fds, timezone: None, env, identity };
    let child = spawn(&launch).map_err(fail)?;
    drop((output_end, input));
    let (poller, mut ready, mut output) = (Poller::new().map_err(fail)?, Vec::new(), File::from(output));
    poller.add(child.as_fd(), 1, Interest::Read).map_err(fail)?;
    let mut is_heard = poller.add(output.as_fd(), 2, Interest::Read).is_ok();
    if let Some(warden) = warden {
        poller.add(warden.as_fd(), 3, Interest::Neither).map_err(fail)?;
    }
    let (until, mut said, mut ended) = (monotonic().after(limit), Vec::new(), None);
    while ended.is_none() {
        let left = until.since(monotonic());
        if left.is_zero() {
            break;
        }
        poller.wait(Some(left), &mut ready).map_err(fail)?;
        if is_heard && !hear(&mut output, &mut said) {
            let _ = poller.remove(output.as_fd());
            is_heard = false;
        }
        if ready.iter().any(|event| event.token == 3) {
            break;
        }
        if ready.iter().any(|event| event.token == 1) {
            // Whatever it leaves behind ends with it; nobody else can have its number before its end is asked for.
            let _ = child.end_group();
            ended = child.try_wait().map_err(fail)?;
        }
    }
    hear(&mut output, &mut said);
    let said = report::escape::bytes(said.trim_ascii(), 200);
    let said = if said.is_empty() { said } else { format!("; it said: {said}") };
    match ended {
        Some(Ended::Exited(0)) => Ok(()),
        Some(Ended::Exited(code)) => Err(format!("it ended with code {code}{said}")),
        Some(Ended::Killed(signal)) => Err(format!("signal {signal} has ended it{said}")),
        None => {
            let _ = child.end_group().and_then(|()| child.wait().map(drop));
            Err(format!("it was ended after {} s{said}", limit.as_secs()))
        }
    }
}

/// Takes what it says; false if nothing more comes.
fn hear(output: &mut File, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4_096];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => {
                let room = SAID_BYTES.saturating_sub(said.len()).min(len);
                said.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::fd::seqpacket_pair;

    fn config(text: &str) -> AlertConfig {
        crate::config::Config::parse(text, "x").unwrap().alert
    }

    #[test]
    fn the_envoy_chooses_nobody_whom_mail_goes_to() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("to");
        let script = format!("echo $@ > {}", file.display());
        let config =
            config(&format!("[alert.mail]\nto = ['root', 'a@example.org']\nprogram = ['/bin/sh', '-c', '{script}', 'sh', '-i']\n"));
        let errand = r#"{"command": false, "args": ["root@evil.example"], "env": []}"#;
        let own = Runner { identity: None, warden: None };
        assert_eq!(run(&config, own, &serde_json::from_str(errand).unwrap(), b"x"), Ok(()));
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("-i root@{} a@example.org\n", host_name()));
    }

    #[test]
    fn values_take_their_place_as_one_argument_or_nothing_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let script = format!("printf \"%s|\" \"$@\" >> {}", file.display());
        let config = config(&format!(
            "[alert.command]\nargv = ['/bin/sh', '-c', '{script}', 'sh', '--ip={{address}}', '{{level}} {{kind}}', '$(id)', '{{{{}}}}']\n"
        ));
        let run = |address: &str, level: &str| {
            let env = [("ADDRESS", address), ("LEVEL", level), ("KIND", "block")]
                .map(|(name, value)| (format!("RIPOSTE_{name}"), value.to_owned()));
            let _ = std::fs::remove_file(&file);
            super::run(&config, Runner { identity: None, warden: None }, &Errand { command: true, env: env.into() }, b"").unwrap();
            std::fs::read_to_string(&file).ok()
        };
        assert_eq!(run("2001:db8::7", "3").as_deref(), Some("--ip=2001:db8::7|3 block|$(id)|{}|"));
        assert_eq!(run("192.0.2.0/24", "5").as_deref(), Some("--ip=192.0.2.0/24|5 block|$(id)|{}|"));
        // What an envoy that was taken over says is no address, and what tells of riposte itself has none.
        for (address, level) in [("--delete-all", "3"), ("192.0.2.1 -x", "3"), ("", "3"), ("192.0.2.1", "9"), ("192.0.2.1", "")] {
            assert_eq!(run(address, level), None, "{address} {level}");
        }
    }

    #[test]
    fn braces_of_the_programs_own_name_are_written_twice_too() {
        let folder = tempfile::tempdir().unwrap();
        let [program, file] = ["tell{x}", "told"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("/bin/touch", &program).unwrap();
        let argv = format!("{}', '{}", program.display().to_string().replace('{', "{{").replace('}', "}}"), file.display());
        let config = config(&format!("[alert.command]\nargv = ['{argv}']\n"));
        let errand = Errand { command: true, env: Vec::new() };
        assert_eq!(super::run(&config, Runner { identity: None, warden: None }, &errand, b""), Ok(()));
        assert!(file.exists());
    }

    #[test]
    fn a_program_ends_with_the_warden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let script = format!("sleep 3; touch {}", file.display());
        let config = config(&format!("[alert.command]\nargv = ['/bin/sh', '-c', '{script}']\nlimit = '60s'\n"));
        let ((ours, wardens), (link, envoys)) = (seqpacket_pair().unwrap(), seqpacket_pair().unwrap());
        let begin = Begin { number: 1, errand: Errand { command: true, env: Vec::new() } };
        send_frame(envoys.as_fd(), &[&[BEGIN][..], &serde_json::to_vec(&begin).unwrap()].concat(), None).unwrap();
        send_frame(envoys.as_fd(), &[LAST], None).unwrap();
        drop(wardens);
        let begun = &Channel::new(ours);
        // It begins before it hears of the end, or not at all: neither way it is finished.
        watch(begun, &link, &config).unwrap();
        assert!(!file.exists());
        drop(run(&config, Runner { identity: None, warden: Some(begun) }, &begin.errand, b""));
        assert!(!file.exists(), "begun, and not ended");
    }
}
