//! One end of a link between two processes: whole messages in and out, never blocking, never growing without bound.

use link::codec::Writer;
use link::message::{Message, RULES};
use model::block::Installed;
use model::event::Event;
use model::limits;
use sense::matching::Named;
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::fd::Interest;

/// Frames that may wait for the other side. At the bound the sender has to slow down (`is_congested`) or drop.
const WAITING: usize = 4_096;
/// Their bytes, with the same rule: one that doesn't read must not make the other side keep a quarter of a gigabyte for it.
const WAITING_BYTES: usize = 32 << 20;

/// One end of a link.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
    waiting: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    waiting_bytes: usize,
    writer: Writer,
    dropped: u64,
}

/// One frame as it came in.
#[derive(Debug)]
pub struct Frame<'b> {
    /// Its bytes.
    pub bytes: &'b [u8],
    /// The descriptor that came with it.
    pub fd: Option<OwnedFd>,
    /// Whether it was longer than any frame may be, or brought more than one descriptor: a breach of protocol.
    pub broken: bool,
}

/// Room for the longest frame.
pub fn frame_buffer() -> Vec<u8> {
    vec![0; limits::FRAME_BYTES]
}

/// What is really there, in pieces, the last one marked; one at least.
pub fn installed(items: &[Installed]) -> Vec<Message> {
    let pieces = items.chunks(limits::BATCH_CHANGES).map(<[Installed]>::to_vec);
    let mut pieces: Vec<Vec<Installed>> = pieces.collect();
    let last = pieces.pop().unwrap_or_default();
    let message = |last| move |items| Message::Installed { last, items };
    pieces.into_iter().map(message(false)).chain(std::iter::once(last).map(message(true))).collect()
}

impl Channel {
    /// Takes over one end of a pair.
    pub fn new(fd: OwnedFd) -> Self {
        Channel { fd, waiting: VecDeque::new(), waiting_bytes: 0, writer: Writer::default(), dropped: 0 }
    }

    /// Sends a message, now or as soon as the other side takes more.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send(&mut self, message: &Message) -> io::Result<()> {
        self.send_with(message, None)
    }

    /// Sends a message with a descriptor.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send_with(&mut self, message: &Message, pass: Option<OwnedFd>) -> io::Result<()> {
        message.encode(&mut self.writer);
        if self.waiting.is_empty() {
            match sys::fd::send_frame(self.fd.as_fd(), self.writer.as_bytes(), pass.as_ref().map(AsFd::as_fd)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = self.writer.as_bytes();
        let is_full = self.waiting.len() >= WAITING || self.waiting_bytes + bytes.len() > WAITING_BYTES;
        let is_state = message.tag().is_state();
        if is_full && is_state {
            // It takes the place of the one before, which is out of date: so the bound is passed by one of each kind at most.
            let same = |(frame, _): &(Vec<u8>, _)| frame.first() == bytes.first();
            let old = self.waiting.iter().position(same).and_then(|at| self.waiting.remove(at));
            self.waiting_bytes -= old.map_or(0, |(frame, _)| frame.len());
        }
        if is_full && !is_state {
            self.dropped += 1;
        } else {
            self.waiting_bytes += bytes.len();
            self.waiting.push_back((bytes.to_vec(), pass));
        }
        Ok(())
    }

    /// Tells the judge what was seen, a frame's worth at a time. Returns how many events were dropped: a judge that doesn't keep up loses the
    /// newest, rather than our memory.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send_events(&mut self, events: &[Event]) -> io::Result<u64> {
        let mut dropped = 0;
        self.flush()?;
        for batch in events.chunks(limits::BATCH_EVENTS) {
            if self.is_congested() {
                dropped += batch.len() as u64;
            } else {
                self.send(&Message::Events(batch.to_vec()))?;
            }
        }
        Ok(dropped)
    }

    /// Sends the names of signatures, before what needs them.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send_names(&mut self, named: Vec<Named>) -> io::Result<()> {
        for batch in named.chunks(RULES) {
            let name = |named: &Named| {
                let mut text = named.text();
                text.truncate(text.floor_char_boundary(limits::RULE_BYTES));
                (named.rule, text)
            };
            self.send(&Message::Rules(batch.iter().map(name).collect()))?;
        }
        Ok(())
    }

    /// Whether so much waits that nothing more should be sent for now.
    pub fn is_congested(&self) -> bool {
        self.waiting.len() >= WAITING / 2 || self.waiting_bytes >= WAITING_BYTES / 2
    }

    /// Whether the other side has something of ours that it has not read. Asks the kernel.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn is_unread(&self) -> io::Result<bool> {
        Ok(self.wants_to_write() || sys::fd::unread_bytes(self.fd.as_fd())? > 0)
    }

    /// Whether anything waits.
    pub fn wants_to_write(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the descriptor is to be polled for.
    pub fn interest(&self) -> Interest {
        if self.wants_to_write() { Interest::Both } else { Interest::Read }
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Frames that were dropped because the other side did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sends what waits, as far as the other side takes it.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some((frame, pass)) = self.waiting.front() {
            match sys::fd::send_frame(self.fd.as_fd(), frame, pass.as_ref().map(AsFd::as_fd)) {
                Ok(()) => {
                    self.waiting_bytes -= frame.len();
                    self.waiting.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next frame, if there is one.
    ///
    /// # Errors
    /// `UnexpectedEof` if the other side is gone.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Frame<'b>>> {
        let received = match sys::fd::recv_frame(self.fd.as_fd(), buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => return Err(error),
        };
        if received.len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let broken = received.truncated || received.surplus_fds > 0;
        Ok(Some(Frame { bytes: buffer.get(..received.len).unwrap_or_default(), fd: received.fd, broken }))
    }

    /// The same for whom the end of the other side is no error: `Break` if there is no frame, with whether the other side is still there.
    ///
    /// # Errors
    /// If the link fails.
    pub fn hear<'b>(&self, buffer: &'b mut [u8]) -> io::Result<ControlFlow<bool, Frame<'b>>> {
        match self.receive(buffer) {
            Ok(Some(frame)) => Ok(Continue(frame)),
            Ok(None) => Ok(Break(true)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Break(false)),
            Err(error) => Err(error),
        }
    }

    /// The judge's end of a sensor's link: how often it asks for the counters, which is all that it says. `None` if it has gone.
    ///
    /// # Errors
    /// If the link fails.
    pub fn questions(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut asked = 0;
        loop {
            match self.hear(buffer)? {
                Continue(received) => asked += usize::from(Message::decode(received.bytes) == Ok(Message::AskCounters)),
                Break(is_there) => return Ok(is_there.then_some(asked)),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::message::Counter;

    #[test]
    fn a_state_is_never_dropped_and_the_latest_is_what_arrives() {
        let (ours, theirs) = sys::fd::seqpacket_pair().unwrap();
        let (mut here, there) = (Channel::new(ours), Channel::new(theirs));
        let answer = |n| Message::Counters(vec![Counter { name: "x".repeat(200), value: n }]);
        // The other side stands still until nothing more is taken.
        (0..).take_while(|n| here.send(&answer(*n)).is_ok() && here.dropped() == 0).count();
        let (before, bytes) = (here.waiting.len(), here.waiting_bytes());
        let text = |n: u32| sys::fd::sealed_text(n.to_string().as_bytes()).unwrap();
        for n in 0..100 {
            here.send_with(&Message::Config, Some(text(n))).unwrap();
            here.send(&Message::Derived(Vec::new())).unwrap();
        }
        assert_eq!((here.waiting.len(), here.dropped()), (before + 2, 1), "one of each kind, however often it changes");
        assert!(here.waiting_bytes() <= bytes + 64);
        let (mut heard, mut buffer) = (Vec::new(), frame_buffer());
        while heard.last().is_none_or(|(message, _)| !matches!(message, Message::Derived(_))) {
            here.flush().unwrap();
            while let Some(frame) = there.receive(&mut buffer).unwrap() {
                heard.push((Message::decode(frame.bytes).unwrap(), frame.fd));
            }
        }
        assert_eq!(here.waiting_bytes(), 0);
        let configs: Vec<&OwnedFd> =
            heard.iter().filter(|(message, _)| *message == Message::Config).filter_map(|(_, fd)| fd.as_ref()).collect();
        assert_eq!(configs.len(), 1);
        let latest = std::io::read_to_string(std::fs::File::from(configs[0].try_clone().unwrap())).unwrap();
        assert_eq!(latest, "99");
    }

    #[test]
    fn who_writes_to_one_that_has_gone_ends_as_quietly_as_who_reads() {
        for unread in [0, 1] {
            let (ours, theirs) = sys::fd::seqpacket_pair().unwrap();
            let mut here = Channel::new(ours);
            (0..unread).for_each(|_| here.send(&Message::AskInstalled).unwrap());
            drop(theirs);
            let sent = here.send(&Message::AskInstalled);
            assert!(sent.is_err());
            assert_eq!(super::super::ended(sent), Ok(()), "{unread} unread");
            assert!(matches!(here.hear(&mut frame_buffer()), Ok(Break(false))));
        }
        assert!(super::super::ended(Err(io::ErrorKind::PermissionDenied.into())).is_err());
    }
}
