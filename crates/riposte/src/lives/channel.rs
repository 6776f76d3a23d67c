//! One end of a link between two processes: whole messages in and out, never blocking, never growing without bound.

use link::codec::Writer;
use link::message::Message;
use model::limits;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
        if self.waiting.len() >= WAITING || self.waiting_bytes + bytes.len() > WAITING_BYTES {
            self.dropped += 1;
        } else {
            self.waiting_bytes += bytes.len();
            self.waiting.push_back((bytes.to_vec(), pass));
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

    /// Whether anything waits: then the descriptor is to be polled for writing, too.
    pub fn wants_to_write(&self) -> bool {
        !self.waiting.is_empty()
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
}

impl Channel {
    /// The judge's end of a sensor's link: how often it asks for the counters, which is all that it says. `None` if it has gone.
    ///
    /// # Errors
    /// If the link fails.
    pub fn questions(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut asked = 0;
        loop {
            match self.receive(buffer) {
                Ok(None) => return Ok(Some(asked)),
                Ok(Some(received)) => asked += usize::from(Message::decode(received.bytes) == Ok(Message::AskCounters)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
