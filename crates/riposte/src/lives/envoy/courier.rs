//! A thread that works off orders one after the other and tells the judge what came of each. The judge's link is never held for that: it has a
//! descriptor of its own for the same link.

use crate::lives::channel::Channel;
use link::message::Message;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use sys::fd::{Interest, Poller};

/// Orders that wait. The judge gives none before the last was answered: more are nobody's.
const WAITING: usize = 64;

/// The way back to the judge.
#[derive(Debug)]
pub struct Answers {
    judge: Channel,
    poller: Poller,
}

impl Answers {
    /// By a descriptor of the link to the judge.
    ///
    /// # Errors
    /// If the kernel has no room.
    pub fn new(judge: OwnedFd) -> io::Result<Answers> {
        let (judge, poller) = (Channel::new(judge), Poller::new()?);
        poller.add(judge.as_fd(), 0, Interest::Write)?;
        Ok(Answers { judge, poller })
    }

    /// Tells it, and waits until it has taken that.
    ///
    /// # Errors
    /// If it is gone.
    pub fn tell(&mut self, message: &Message) -> io::Result<()> {
        self.judge.send(message)?;
        let mut ready = Vec::new();
        while self.judge.wants_to_write() {
            self.poller.wait(None, &mut ready)?;
            self.judge.flush()?;
        }
        Ok(())
    }
}

/// A thread that works off orders.
#[derive(Debug)]
pub struct Courier<O>(SyncSender<O>);

impl<O: Send + 'static> Courier<O> {
    /// Starts it.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        name: &str,
        mut answers: Answers,
        mut work: impl FnMut(O, &mut Answers) -> io::Result<()> + Send + 'static,
    ) -> Result<Self, String> {
        let (orders, receiver) = sync_channel(WAITING);
        let work = move || while receiver.recv().is_ok_and(|order| work(order, &mut answers).is_ok()) {};
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| format!("no thread: {e}"))?;
        Ok(Courier(orders))
    }

    /// Gives it an order; it never waits. False if it has too many.
    ///
    /// # Errors
    /// If it has ended.
    pub fn order(&self, order: O) -> io::Result<bool> {
        match self.0.try_send(order) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(io::Error::other("a thread has ended")),
        }
    }
}
