//! The envoy's end of the link to the messenger, who runs the configured programs (`lives/runner/messenger.rs`): what is to be run is one of two,
//! with its variables and an input. Waits for the answer, but not for ever.

use crate::config::AlertConfig;
use crate::lives::runner;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sys::fd::{Interest, Poller, recv_frame, send_frame};
use sys::process::Identity;

/// Bytes of an input's piece, behind its first byte.
pub const PIECE: usize = 32_768;
/// The first byte of a frame: a new errand, a piece of its input, the last piece.
pub const BEGIN: u8 = b'!';
/// See [`BEGIN`].
pub const MORE: u8 = b'+';
/// See [`BEGIN`].
pub const LAST: u8 = b'.';
/// How much longer than the program's own limit an answer is waited for.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Errand {
    /// `[alert.command]`, or else the program of `[alert.mail]`, with the configured recipients.
    pub command: bool,
    /// Variables: those of `RIPOSTE_…` are handed on.
    pub env: Vec<(String, String)>,
}

/// The errand on its way, with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Begin {
    /// Answers have the same.
    pub number: u64,
    /// It.
    pub errand: Errand,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// Of which.
    pub number: u64,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// Who runs programs.
#[derive(Debug, Clone)]
pub enum Messenger {
    /// The messenger's process, at the other end of this. Those who share it wait for each other.
    Process(Link),
    /// This process, as somebody else: only where no sandbox stands.
    Own(Box<AlertConfig>, Option<Identity>),
}

/// A link, the number of the last errand, and how long an answer may take.
#[derive(Debug, Clone)]
pub struct Link {
    link: Arc<Mutex<(OwnedFd, u64)>>,
    limit: Duration,
}

impl Messenger {
    /// At this end, for programs with this limit at the most.
    pub fn new(link: OwnedFd, limit: Duration) -> Messenger {
        // An answer to an envoy before us has another number.
        Messenger::Process(Link { link: Arc::new(Mutex::new((link, crate::lives::now().as_nanos()))), limit: limit + GRACE })
    }

    /// Runs it and waits for its end.
    ///
    /// # Errors
    /// Why it did not end well.
    pub fn run(&self, errand: &Errand, input: &[u8]) -> Result<(), String> {
        match self {
            Messenger::Process(link) => link.run(errand, input),
            Messenger::Own(config, identity) => {
                let runner = runner::messenger::Runner { identity: identity.as_ref(), warden: None };
                runner::messenger::run(config, runner, errand, input)
            }
        }
    }
}

impl Link {
    fn run(&self, errand: &Errand, input: &[u8]) -> Result<(), String> {
        let mut guard = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1 += 1;
        let (link, number) = (&guard.0, guard.1);
        let fail = |error: io::Error| format!("the messenger: {error}");
        let begin = serde_json::to_vec(&Begin { number, errand: errand.clone() }).map_err(|error| error.to_string())?;
        self.send(link, BEGIN, &begin).map_err(fail)?;
        let pieces = input.len().div_ceil(PIECE).max(1);
        for (n, piece) in input.chunks(PIECE).chain(input.is_empty().then_some(&[][..])).enumerate() {
            self.send(link, if n + 1 == pieces { LAST } else { MORE }, piece).map_err(fail)?;
        }
        let mut buffer = vec![0; model::limits::FRAME_BYTES];
        let until = crate::lives::monotonic().after(self.limit);
        loop {
            self.wait(link, Interest::Read, until.since(crate::lives::monotonic())).map_err(fail)?;
            let received = recv_frame(link.as_fd(), &mut buffer).map_err(fail)?;
            if received.len == 0 {
                return Err("the messenger has gone: programs are run again when riposte is restarted".to_owned());
            }
            let done: Result<Done, _> = serde_json::from_slice(buffer.get(..received.len).unwrap_or_default());
            match done {
                Ok(Done { number: of, failed }) if of == number => return failed.map_or(Ok(()), Err),
                // An answer that somebody no longer waited for.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn send(&self, link: &OwnedFd, first: u8, bytes: &[u8]) -> io::Result<()> {
        let frame = [&[first][..], bytes].concat();
        loop {
            match send_frame(link.as_fd(), &frame, None) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(link, Interest::Write, self.limit)?,
                sent => return sent,
            }
        }
    }

    fn wait(&self, link: &OwnedFd, interest: Interest, most: Duration) -> io::Result<()> {
        let (poller, mut ready) = (Poller::new()?, Vec::new());
        poller.add(link.as_fd(), 0, interest)?;
        poller.wait(Some(most), &mut ready)?;
        if ready.is_empty() { Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")) } else { Ok(()) }
    }
}
