//! The first calm of a life: what only its start needed is given back then. Never delays an event.

use std::io;
use std::time::Duration;
use sys::fd::{Poller, Ready};

/// So long without anything to do is a calm. By then a start is over, and work that has begun meanwhile keeps its pages.
const CALM: Duration = Duration::from_secs(5);

/// Whether there has been a calm yet.
#[derive(Debug, Default)]
pub struct Calm {
    over: bool,
}

impl Calm {
    /// Waits as the poller does. The first time that it is calm for long enough, what the start needed is given back: once, as each time
    /// costs the next event some page faults.
    ///
    /// # Errors
    /// As the poller's.
    pub fn wait(&mut self, poller: &Poller, patience: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        if self.over || patience.is_some_and(|patience| patience <= CALM) {
            return poller.wait(patience, ready);
        }
        poller.wait(Some(CALM), ready)?;
        if !ready.is_empty() {
            return Ok(());
        }
        self.over = true;
        if let Err(error) = sys::memory::give_back() {
            tracing::debug!(%error, "what the start needed stays");
        }
        poller.wait(patience.map(|patience| patience - CALM), ready)
    }

    /// Something large was done that is over: what it needed is given back as after a start.
    pub fn begin_again(&mut self) {
        self.over = false;
    }
}
