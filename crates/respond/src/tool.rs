//! Foreign programs that set blocks (iptables, ipset, pfctl …): arguments and an input text, never a shell; a time limit; bounded output.

use model::block::Fault;
use model::time::Time;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use sys::clock;
use sys::fd::{Interest, Poller, sealed_text, set_nonblocking};
use sys::process::{Child, Ended, Launch, Order, output_pipe, spawn};

/// Where programs are looked for.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/// For how long one may run.
const LIMIT: Duration = Duration::from_secs(10);
/// One that has run for so long is slow.
const SLOW: Duration = Duration::from_millis(200);
/// Bytes of output that are kept: a listing of a million addresses. What comes behind is read and dropped.
const OUTPUT_BYTES: usize = 64 << 20;
/// Bytes of a refusal that are shown.
const SHOWN: usize = 200;

/// Where a program is.
pub fn installed(program: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
}

/// Runs programs.
pub trait Tool {
    /// Runs one to its end and returns its standard output. What it wrote to standard error is heard in a refusal only:
    /// a warning would come in the middle of a line.
    ///
    /// # Errors
    /// If it can't be started, doesn't end in time, or ends otherwise than with 0.
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError>;
}

/// Why a program didn't do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("{0} is not installed (looked in {folders})", folders = FOLDERS.join(", "))]
    Missing(String),
    /// It could not be started.
    #[error("{0} can't be started: {1}")]
    NotStarted(String, String),
    /// It was ended after the time limit.
    #[error("{0} did not end within {limit} s", limit = LIMIT.as_secs())]
    TimedOut(String),
    /// It refused, with this code and these words.
    #[error("{program} refused ({code}): {said}")]
    Refused {
        /// Which.
        program: String,
        /// Its exit code; minus the signal that ended it.
        code: i32,
        /// What it wrote.
        said: String,
    },
}

impl ToolError {
    /// The fault of a change or a list that failed by it.
    pub fn fault(&self) -> Fault {
        match self {
            ToolError::Refused { .. } => Fault::Refused,
            ToolError::Missing(_) | ToolError::NotStarted(..) | ToolError::TimedOut(_) => Fault::Unreachable,
        }
    }
}

/// The real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Programs;

impl Tool for Programs {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        Programs.run_heeding(program, args, input, &mut || {})
    }
}

impl Programs {
    /// As `run`; tells once if it is slow.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_heeding(self, program: &str, args: &[&str], input: &str, slow: &mut dyn FnMut()) -> Result<String, ToolError> {
        let path = installed(program).ok_or_else(|| ToolError::Missing(program.to_owned()))?;
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let begin = || -> io::Result<(Child, [File; 2])> {
            let (output, output_end) = output_pipe()?;
            let (errors, errors_end) = output_pipe()?;
            let outputs = [output.into(), errors.into()];
            outputs.iter().try_for_each(|output: &File| set_nonblocking(output.as_fd(), true))?;
            let input = sealed_text(input.as_bytes())?;
            let fds = [(input.as_fd(), 0), (output_end.as_fd(), 1), (errors_end.as_fd(), 2)];
            let child =
                spawn(&Launch { program: &path, title: program, args: &args, fds: &fds, timezone: None, env: &[], identity: None })?;
            Ok((child, outputs))
        };
        let failed = |error: io::Error| ToolError::NotStarted(program.to_owned(), error.to_string());
        let (child, mut outputs) = begin().map_err(failed)?;
        let mut said = [Vec::new(), Vec::new()];
        let in_time = hear(&child, &mut outputs, &mut said, slow).map_err(failed)?;
        if !in_time {
            let _ = child.end_group().and_then(|()| child.order(Order::Kill));
        }
        let ended = child.wait().map_err(failed)?;
        let refused = |code| {
            let [output, errors] = &said;
            let said = String::from_utf8_lossy(&[errors.as_slice(), output].concat()).into_owned();
            let said = said.trim();
            let said = said[..said.floor_char_boundary(SHOWN)].to_owned();
            ToolError::Refused { program: program.to_owned(), code, said }
        };
        match ended {
            _ if !in_time => Err(ToolError::TimedOut(program.to_owned())),
            Ended::Exited(0) => Ok(String::from_utf8_lossy(&said[0]).into_owned()),
            Ended::Exited(code) => Err(refused(code)),
            Ended::Killed(signal) => Err(refused(-signal)),
        }
    }
}

/// Reads what it writes until it has ended; false if that takes too long. What it leaves running behind itself is not waited for.
fn hear(child: &Child, outputs: &mut [File; 2], said: &mut [Vec<u8>; 2], slow: &mut dyn FnMut()) -> io::Result<bool> {
    let poller = Poller::new()?;
    poller.add(child.as_fd(), 0, Interest::Read)?;
    for output in outputs.iter() {
        poller.add(output.as_fd(), 1, Interest::Read)?;
    }
    let began = Time::from_nanos(clock::monotonic());
    let (until, mut slow_at) = (began.after(LIMIT), Some(began.after(SLOW)));
    let (mut ready, mut buffer, mut is_silent) = (Vec::new(), vec![0; 65_536], [false; 2]);
    loop {
        let now = Time::from_nanos(clock::monotonic());
        if now >= until {
            return Ok(false);
        }
        if slow_at.take_if(|at| *at <= now).is_some() {
            slow();
        }
        poller.wait(Some(slow_at.unwrap_or(until).since(now)), &mut ready)?;
        let has_ended = ready.iter().any(|event| event.token == 0);
        for ((output, said), is_silent) in outputs.iter_mut().zip(said.iter_mut()).zip(&mut is_silent) {
            while !*is_silent {
                match output.read(&mut buffer) {
                    Ok(0) => {
                        *is_silent = true;
                        // Its end may be further off.
                        poller.remove(output.as_fd())?;
                    }
                    Ok(len) => said.extend_from_slice(buffer.get(..len.min(OUTPUT_BYTES.saturating_sub(said.len()))).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if has_ended {
            return Ok(true);
        }
    }
}

/// Plays programs of systems that are not here: golden transcripts. Each run must be the next of the transcript.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// What is still to come: the whole command line with its input, and the answer.
    pub expected: VecDeque<(String, Result<String, ToolError>)>,
}

impl Transcript {
    /// Reads a transcript: a line `$ PROGRAM ARGS…`, lines `< INPUT`, then lines of output, or `! CODE WORDS` for a refusal; '#' begins a remark.
    pub fn new(text: &str) -> Self {
        let mut transcript = Transcript::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(command) = line.strip_prefix("$ ") {
                transcript.expected.push_back((command.to_owned(), Ok(String::new())));
                continue;
            }
            let Some((command, answer)) = transcript.expected.back_mut() else { continue };
            if let Some(input) = line.strip_prefix("< ") {
                command.push_str("\n< ");
                command.push_str(input);
            } else if let Some((code, said)) = line.strip_prefix("! ").map(|refusal| refusal.split_once(' ').unwrap_or((refusal, ""))) {
                let program = command.split(' ').next().unwrap_or_default().to_owned();
                *answer = Err(ToolError::Refused { program, code: code.parse().unwrap_or(1), said: said.to_owned() });
            } else if let Ok(output) = answer {
                output.push_str(line);
                output.push('\n');
            }
        }
        transcript
    }
}

impl Tool for Transcript {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        let mut command = std::iter::once(program).chain(args.iter().copied()).collect::<Vec<_>>().join(" ");
        for line in input.lines() {
            command.push_str("\n< ");
            command.push_str(line);
        }
        match self.expected.pop_front() {
            Some((expected, answer)) if expected == command => answer,
            other => {
                let expected = other.map_or("nothing".to_owned(), |(expected, _)| expected);
                Err(ToolError::NotStarted(program.to_owned(), format!("ran:\n{command}\nexpected:\n{expected}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_input_and_is_heard_to_its_end() {
        let long = "address\n".repeat(50_000);
        assert_eq!(Programs.run("cat", &[], &long).unwrap(), long);
        assert_eq!(Programs.run("printf", &["%s|", "a b", "$HOME", "`id`"], "").unwrap(), "a b|$HOME|`id`|");
        // What it remarks does not come between.
        assert_eq!(Programs.run("dd", &["if=/dev/null"], "").unwrap(), "");
    }

    #[test]
    fn one_that_is_slow_is_told_once_and_waited_for() {
        let mut told = 0;
        assert_eq!(Programs.run_heeding("sleep", &["0.5"], "", &mut || told += 1), Ok(String::new()));
        assert_eq!(told, 1);
    }

    #[test]
    fn a_refusal_has_the_program_s_own_words() {
        assert_eq!(Programs.run("riposte-no-such", &[], "").unwrap_err(), ToolError::Missing("riposte-no-such".into()));
        let Err(ToolError::Refused { code, said, .. }) = Programs.run("ls", &["/nowhere"], "") else { panic!("ls found /nowhere") };
        assert!(code == 2 && said.contains("No such file"), "{code} {said}");
    }

    #[test]
    fn a_transcript_is_played_in_its_order_only() {
        let mut tool =
            Transcript::new("# adding\n$ pfctl -t riposte -T add -f -\n< 192.0.2.7\n1/1 addresses added.\n$ pfctl -s x\n! 1 unknown\n");
        assert_eq!(tool.run("pfctl", &["-t", "riposte", "-T", "add", "-f", "-"], "192.0.2.7\n").unwrap(), "1/1 addresses added.\n");
        assert!(matches!(tool.run("pfctl", &["-s", "x"], ""), Err(ToolError::Refused { code: 1, .. })));
        assert!(matches!(tool.run("pfctl", &["-s", "x"], ""), Err(ToolError::NotStarted(..))));
    }
}
