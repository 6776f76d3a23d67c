//! File descriptors between our own processes: frames with a passed descriptor, epoll, signals, sealed texts.
//! Never looks into what the frames carry.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Room wanted in the socket buffers between two processes: some of the largest frames.
const SOCKET_BUFFER_BYTES: libc::c_int = 1 << 20;
/// Control bytes of one frame: a header and some 28 descriptors. The kernel itself closes what does not fit.
const CONTROL_BYTES: usize = 128;
/// Events that one wait hands over at most.
const EVENTS_PER_WAIT: usize = 64;

/// The result of a libc call that returns -1 on failure.
pub(crate) fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes over a descriptor that a system call has just made.
pub(crate) fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    let fd = checked(fd)?;
    // SAFETY: the kernel has just returned `fd` and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// For `OpenOptions::custom_flags`: a symbolic link is not followed.
pub const NO_FOLLOW: i32 = libc::O_NOFOLLOW;
/// For `OpenOptions::custom_flags`: a pipe is not waited for.
pub const NO_WAIT: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// A connected pair of packet sockets (both close-on-exec and non-blocking), buffers as large as the kernel lets us have.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: `pair` is a valid place for two descriptors.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) })?;
    let (one, other) = (owned(pair[0])?, owned(pair[1])?);
    for end in [&one, &other] {
        raise_buffer(end.as_fd(), libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
        raise_buffer(end.as_fd(), libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    }
    Ok((one, other))
}

/// Raises a socket's receive buffer as far as the kernel lets us, past the system's maximum if we have CAP_NET_ADMIN.
pub fn raise_receive_buffer(socket: BorrowedFd<'_>) -> io::Result<()> {
    raise_buffer(socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)
}

fn raise_buffer(socket: BorrowedFd<'_>, forced: libc::c_int, polite: libc::c_int) -> io::Result<()> {
    let bytes = SOCKET_BUFFER_BYTES;
    let set = |option| {
        let length = mem::size_of_val(&bytes) as libc::socklen_t;
        // SAFETY: the value is one c_int, which is what these options take, and lives through the call.
        checked(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const bytes).cast(), length) })
    };
    set(forced).or_else(|_| set(polite)).map(drop)
}

/// Bytes (the kernel's own overhead counted) that were sent on a unix socket and that the other side has not taken yet.
pub fn unread_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ on sockets) writes one c_int to the place it is given.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Sends one frame, with a descriptor if `pass` has one. A frame is never empty: an empty one could not be told from the end.
///
/// `WouldBlock` if the other side does not keep up; `BrokenPipe` or `ConnectionReset` if it has gone.
pub fn send_frame(socket: BorrowedFd<'_>, frame: &[u8], pass: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if frame.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty frame"));
    }
    let mut part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
    let mut control = Control([0; CONTROL_BYTES]);
    let mut message = empty_message();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if let Some(fd) = pass {
        attach(&mut message, &mut control, fd);
    }
    // SAFETY: `message` points at one iovec over `frame` and at `control`, all of which live through the call; the kernel only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    debug_assert_eq!(sent as usize, frame.len());
    Ok(())
}

/// Control bytes at the alignment that the kernel's headers want.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

fn empty_message() -> libc::msghdr {
    // SAFETY: msghdr is plain integers and pointers, for which all zeros is a valid value (no name, no parts, no control).
    unsafe { mem::zeroed() }
}

fn attach(message: &mut libc::msghdr, control: &mut Control, fd: BorrowedFd<'_>) {
    let raw = fd.as_raw_fd();
    // SAFETY: plain arithmetic on a constant.
    let (space, length) = unsafe { (libc::CMSG_SPACE(mem::size_of::<RawFd>() as u32), libc::CMSG_LEN(mem::size_of::<RawFd>() as u32)) };
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = space as _;
    // SAFETY: msg_control points at CONTROL_BYTES aligned bytes, more than CMSG_SPACE of one descriptor.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    debug_assert!(!header.is_null());
    // SAFETY: CMSG_FIRSTHDR is not null as msg_controllen holds a whole header, and it points into `control`.
    unsafe { header.write(libc::cmsghdr { cmsg_len: length as _, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS }) };
    // SAFETY: the data of this header lies within `control` as counted by CMSG_SPACE above.
    unsafe { libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(raw) };
}

/// What one frame brought.
#[derive(Debug)]
pub struct Received {
    /// How many bytes were written to the buffer; 0 means that the other side has gone.
    pub len: usize,
    /// The descriptor that came with it, close-on-exec.
    pub fd: Option<OwnedFd>,
    /// Whether the frame was longer than the buffer. Its rest is lost.
    pub truncated: bool,
    /// Descriptors beyond the first: closed at once. More than 0 is a breach of protocol by the other side.
    pub surplus_fds: usize,
}

/// Receives one frame and the descriptor that came with it.
///
/// `WouldBlock` if there is none.
pub fn recv_frame(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; CONTROL_BYTES]);
    let mut message = empty_message();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    // SAFETY: `message` points at one iovec over `buffer` and at `control` with their true lengths; the kernel writes no further.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    if len < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut fds = received_fds(&message).into_iter();
    let fd = fds.next();
    let dropped_by_kernel = usize::from(message.msg_flags & libc::MSG_CTRUNC != 0);
    let truncated = message.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Received { len: len as usize, fd, truncated, surplus_fds: fds.count() + dropped_by_kernel })
}

/// Takes over every descriptor in a received message, so that none leaks.
fn received_fds(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled msg_control and set msg_controllen to what it wrote; the buffer is alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header within msg_control.
        let this = unsafe { header.read() };
        if this.cmsg_level == libc::SOL_SOCKET && this.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: plain arithmetic on a constant.
            let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = ((this.cmsg_len as usize).saturating_sub(overhead) / mem::size_of::<RawFd>()).min(CONTROL_BYTES / 4);
            // SAFETY: the header is whole, so its data begins within msg_control.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for index in 0..count {
                // SAFETY: the kernel wrote `count` descriptors behind this header.
                let raw = unsafe { data.add(index).read_unaligned() };
                // SAFETY: the kernel has just installed `raw` in this process for us alone.
                fds.push(unsafe { OwnedFd::from_raw_fd(raw) });
            }
        }
        // SAFETY: `header` came from this message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}

/// Who is at the other end of a unix stream, as the kernel recorded at connect time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// Asks the kernel who is at the other end of a unix stream.
pub fn peer_credentials(stream: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut found = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `found` is a valid place of `length` bytes for SO_PEERCRED's ucred.
    checked(unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut found).cast(), &raw mut length)
    })?;
    // The overflow ids mean "not known here"; they must never be taken for somebody.
    if length as usize != mem::size_of::<libc::ucred>() || found.uid == u32::MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel does not know the peer"));
    }
    Ok(Peer { pid: u32::try_from(found.pid).unwrap_or(0), uid: found.uid, gid: found.gid })
}

/// What to wait for on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, a connection, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
    /// Only errors and hang-ups, which are always reported.
    Neither,
}

impl Interest {
    fn bits(self) -> u32 {
        (match self {
            Interest::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Interest::Write => libc::EPOLLOUT,
            Interest::Both => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT,
            Interest::Neither => 0,
        }) as u32
    }
}

/// One descriptor that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The token that it was added with.
    pub token: u64,
    /// There is something to read, or the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The other side has gone, or the descriptor has an error.
    pub hung_up: bool,
}

/// Waits for many descriptors at once (level-triggered epoll). A closed descriptor leaves by itself unless a duplicate lives.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// A poller that waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        Ok(Poller { epoll: owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })? })
    }

    /// Begins to wait for `fd`; its readiness is reported with `token`. A regular file cannot be waited for (`PermissionDenied`).
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Changes what is waited for.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Waits for `fd` no longer.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Neither)
    }

    fn control(&self, what: libc::c_int, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: `event` is one valid epoll_event; the kernel only reads it.
        checked(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd.as_raw_fd(), &raw mut event) }).map(drop)
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever), and puts what is ready into `ready`, emptied before.
    /// A signal handler's interruption counts as "nothing ready". The time is rounded up to whole milliseconds.
    pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let millis = match timeout {
            None => -1,
            Some(span) => libc::c_int::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX),
        };
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT];
        // SAFETY: `events` has room for the EVENTS_PER_WAIT events that the call may write.
        let result = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS_PER_WAIT as libc::c_int, millis) };
        let count = match checked(result) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        let has = |bits: u32, wanted: libc::c_int| bits & wanted as u32 != 0;
        ready.extend(events.iter().take(count).map(|event| {
            let bits = event.events;
            Ready {
                token: event.u64,
                readable: has(bits, libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR),
                writable: has(bits, libc::EPOLLOUT),
                hung_up: has(bits, libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP),
            }
        }));
        Ok(())
    }
}

/// Whether a read on `fd` would return at once, with bytes or the end.
pub fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut wanted = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `wanted` is one valid pollfd, and the count says one.
    match checked(unsafe { libc::poll(&raw mut wanted, 1, 0) }) {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes reads and writes on `fd` return at once (or wait again). The flag belongs to the open file, which others may share.
pub fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    // SAFETY: F_GETFL takes no argument.
    let flags = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    let wanted = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted == flags {
        return Ok(());
    }
    // SAFETY: F_SETFL takes one integer.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) }).map(drop)
}

/// Opens a path for reading (and for writing, if `writable`) so that neither the opening nor any read waits: a pipe without a writer,
/// a terminal or a device cannot hold us up. Close-on-exec.
pub fn open_nonblocking(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Makes a named pipe with exactly these permission bits.
pub fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    let name = crate::process::c_string(path.as_os_str())?;
    // SAFETY: `name` is NUL-terminated and lives through the call.
    checked(unsafe { libc::mkfifo(name.as_ptr(), mode) })?;
    // The umask may have taken bits away.
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// An anonymous file with this content that nobody can change any more, read position at its start: for handing a text to a child.
pub fn sealed_text(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a NUL-terminated constant.
    let mut file = File::from(owned(unsafe { libc::memfd_create(c"riposte".as_ptr(), flags) })?);
    file.write_all(content)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: F_ADD_SEALS takes one integer.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    file.rewind()?;
    Ok(file.into())
}

/// The signals that a loop of ours hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End in order (SIGTERM).
    Terminate,
    /// End in order (SIGINT, from a terminal).
    Interrupt,
    /// Read the configuration again (SIGHUP).
    Hangup,
    /// A child has ended (SIGCHLD). One may stand for several.
    Child,
}

const SIGNALS: [(libc::c_int, Signal); 4] =
    [(libc::SIGTERM, Signal::Terminate), (libc::SIGINT, Signal::Interrupt), (libc::SIGHUP, Signal::Hangup), (libc::SIGCHLD, Signal::Child)];

/// Signals as a descriptor to poll. They stay blocked for good; a spawned child starts with none blocked.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals for this thread (call it before any other thread starts) and opens the descriptor.
    pub fn block() -> io::Result<Self> {
        // SAFETY: sigset_t is plain integers; sigemptyset below gives it its real first value.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is a valid sigset_t.
        checked(unsafe { libc::sigemptyset(&raw mut set) })?;
        for (number, _) in SIGNALS {
            // SAFETY: `set` is a valid sigset_t and the number a real signal.
            checked(unsafe { libc::sigaddset(&raw mut set, number) })?;
        }
        // SAFETY: `set` is a valid sigset_t; the old mask is not asked for.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        // SAFETY: -1 asks for a new descriptor; `set` is a valid sigset_t.
        let fd = owned(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        Ok(Signals { fd })
    }

    /// The next signal that has come, if any.
    pub fn next_signal(&self) -> io::Result<Option<Signal>> {
        // SAFETY: signalfd_siginfo is plain integers, for which all zeros is valid.
        let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        let size = mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: `info` is a valid place of `size` bytes.
        let len = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        if len < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
        debug_assert_eq!(len as usize, size);
        Ok(SIGNALS.iter().find(|(number, _)| *number as u32 == info.ssi_signo).map(|(_, signal)| *signal))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_frame_brings_its_bytes_and_its_descriptor() {
        let (here, there) = seqpacket_pair().unwrap();
        let text = sealed_text(b"over the wall").unwrap();
        send_frame(here.as_fd(), b"slot 3", Some(text.as_fd())).unwrap();
        send_frame(here.as_fd(), &[7; 60_000], None).unwrap();
        let mut buffer = [0; 65_536];
        let first = recv_frame(there.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..first.len], first.truncated, first.surplus_fds), (&b"slot 3"[..], false, 0));
        let mut passed = File::from(first.fd.unwrap());
        let mut content = String::new();
        passed.read_to_string(&mut content).unwrap();
        assert_eq!(content, "over the wall");
        let second = recv_frame(there.as_fd(), &mut buffer).unwrap();
        assert!(second.len == 60_000 && second.fd.is_none());
        assert_eq!(recv_frame(there.as_fd(), &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_the_other_side_has_not_read_is_known() {
        let (here, there) = seqpacket_pair().unwrap();
        assert_eq!(unread_bytes(here.as_fd()).unwrap(), 0);
        send_frame(here.as_fd(), b"news", None).unwrap();
        assert!(unread_bytes(here.as_fd()).unwrap() >= 4);
        recv_frame(there.as_fd(), &mut [0; 8]).unwrap();
        assert_eq!(unread_bytes(here.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_frame_too_long_for_the_buffer_says_so_and_the_next_is_whole() {
        let (here, there) = seqpacket_pair().unwrap();
        send_frame(here.as_fd(), &[1; 100], None).unwrap();
        send_frame(here.as_fd(), &[2; 10], None).unwrap();
        let mut buffer = [0; 50];
        let cut = recv_frame(there.as_fd(), &mut buffer).unwrap();
        assert!(cut.truncated && cut.len == 50);
        let whole = recv_frame(there.as_fd(), &mut buffer).unwrap();
        assert!(!whole.truncated && whole.len == 10 && buffer[9] == 2);
    }

    #[test]
    fn the_end_is_an_empty_frame_and_nobody_can_send_one() {
        let (here, there) = seqpacket_pair().unwrap();
        assert_eq!(send_frame(here.as_fd(), b"", None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(here);
        assert_eq!(recv_frame(there.as_fd(), &mut [0; 8]).unwrap().len, 0);
        assert_eq!(send_frame(there.as_fd(), b"x", None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn surplus_descriptors_are_closed_and_counted() {
        let (here, there) = seqpacket_pair().unwrap();
        let (probe, passed) = UnixStream::pair().unwrap();
        let mut control = Control([0; CONTROL_BYTES]);
        let mut byte = 1_u8;
        let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message = empty_message();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        attach(&mut message, &mut control, passed.as_fd());
        // Three descriptors in one message, as only a hostile child would send.
        let fds = [passed.as_raw_fd(); 3];
        // SAFETY: plain arithmetic on a constant.
        let (space, length) = unsafe { (libc::CMSG_SPACE(12), libc::CMSG_LEN(12)) };
        message.msg_controllen = space as _;
        // SAFETY: `control` holds CMSG_SPACE of three descriptors and its first header is whole.
        let header = unsafe { &mut *libc::CMSG_FIRSTHDR(&raw const message) };
        header.cmsg_len = length as _;
        // SAFETY: the data of the header has room for twelve bytes.
        unsafe { libc::CMSG_DATA(header).cast::<[RawFd; 3]>().write_unaligned(fds) };
        // SAFETY: `message` points at live buffers with their true lengths.
        assert_eq!(unsafe { libc::sendmsg(here.as_raw_fd(), &raw const message, 0) }, 1);
        let received = recv_frame(there.as_fd(), &mut [0; 8]).unwrap();
        assert_eq!(received.surplus_fds, 2);
        drop((received, passed));
        // Were one of the copies still open, this would say WouldBlock and not the end.
        probe.set_nonblocking(true).unwrap();
        assert_eq!((&probe).read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_sealed_text_cannot_be_changed() {
        let fd = sealed_text(b"x = 1").unwrap();
        let mut file = File::from(fd);
        assert_eq!(file.write(b"y").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn the_poller_reports_what_is_ready_and_no_more() {
        let poller = Poller::new().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        poller.add(there.as_fd(), 42, Interest::Read).unwrap();
        let mut ready = vec![Ready { token: 0, readable: true, writable: true, hung_up: true }];
        poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
        assert!(!is_readable(there.as_fd()).unwrap());
        here.write_all(b"x").unwrap();
        poller.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [Ready { token: 42, readable: true, writable: false, hung_up: false }]);
        assert!(is_readable(there.as_fd()).unwrap());
        poller.modify(there.as_fd(), 7, Interest::Write).unwrap();
        poller.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [Ready { token: 7, readable: false, writable: true, hung_up: false }]);
        drop(here);
        poller.modify(there.as_fd(), 7, Interest::Neither).unwrap();
        poller.wait(None, &mut ready).unwrap();
        assert!(ready[0].hung_up);
        poller.remove(there.as_fd()).unwrap();
        poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
    }

    #[test]
    fn a_peer_is_who_the_kernel_says() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = peer_credentials(here.as_fd()).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, crate::identity::own_uid());
    }
}
