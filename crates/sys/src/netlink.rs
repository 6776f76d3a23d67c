//! A netlink socket with a safe face. Never believes a datagram that the kernel did not send.

pub mod message;

use message::{Received, messages};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket itself failed; `WouldBlock` after a time-out, `ENOBUFS` when the kernel had to drop answers.
    #[error("netlink: {0}")]
    Io(#[from] io::Error),
    /// The kernel refused.
    #[error("{}{}", io::Error::from_raw_os_error(*errno), if message.is_empty() { String::new() } else { format!(": {message}") })]
    Refused {
        /// Why: a positive errno.
        errno: i32,
        /// The kernel's own words; empty if it has none.
        message: String,
    },
}

impl NetlinkError {
    /// The errno, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Io(error) => error.raw_os_error(),
            NetlinkError::Refused { errno, .. } => Some(*errno),
        }
    }
}

impl From<message::TooLong> for NetlinkError {
    fn from(error: message::TooLong) -> Self {
        NetlinkError::Io(io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// A netlink socket.
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
}

impl NetlinkSocket {
    /// Opens a socket for a protocol (`libc::NETLINK_…`) and joins the multicast `groups` (one bit each, 0 for none).
    pub fn open(protocol: i32, groups: u32) -> io::Result<Self> {
        // SAFETY: socket() takes no pointers.
        let raw = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        check(raw)?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let mut address = kernel_address();
        address.nl_groups = groups;
        // SAFETY: `address` is a valid sockaddr_nl, and its length is given with it.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), socklen::<libc::sockaddr_nl>()) };
        check(bound)?;
        Ok(NetlinkSocket { fd })
    }

    /// Takes over a socket that another process opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        NetlinkSocket { fd }
    }

    /// Gives the socket away.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Whether calls return `WouldBlock` instead of waiting. The flag belongs to the open file, so it is shared with whoever holds a copy.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        // SAFETY: F_GETFL takes no pointer.
        let flags = check(unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_GETFL) })?;
        let flags = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
        // SAFETY: F_SETFL takes an integer.
        check(unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_SETFL, flags) })?;
        Ok(())
    }

    /// Asks for a receive buffer; past the system's maximum only with CAP_NET_ADMIN. Returns the bytes that the kernel now allows
    /// (it doubles what is asked, for its own bookkeeping).
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        self.set_buffer(bytes, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)
    }

    /// Asks for a send buffer, like `set_receive_buffer`. One message or batch must fit.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<usize> {
        self.set_buffer(bytes, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)
    }

    /// Asks for the kernel's own words with errors, and for acknowledgments that do not repeat the request.
    pub fn set_extended_ack(&self) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1)?;
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)
    }

    /// Whether overflow of the receive buffer is kept quiet. The default tells it as `ENOBUFS`, once for each time that it begins.
    pub fn set_quiet_overflow(&self, quiet: bool) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, i32::from(quiet))
    }

    /// Whether the kernel checks the headers of dump requests strictly (and honours filters in them).
    pub fn set_strict_check(&self) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, 1)
    }

    /// The number by which the kernel knows this socket; its messages about what we changed carry it.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = kernel_address();
        let mut address_bytes = socklen::<libc::sockaddr_nl>();
        // SAFETY: both pointers are valid for writes of the lengths given with them.
        check(unsafe { libc::getsockname(self.fd.as_raw_fd(), (&raw mut address).cast(), &raw mut address_bytes) })?;
        Ok(address.nl_pid)
    }

    /// Joins a multicast group by its number (not its bit), or leaves it.
    pub fn set_member(&self, group: u32, member: bool) -> io::Result<()> {
        let option = if member { libc::NETLINK_ADD_MEMBERSHIP } else { libc::NETLINK_DROP_MEMBERSHIP };
        self.set_option(libc::SOL_NETLINK, option, i32::try_from(group).unwrap_or(i32::MAX))
    }

    /// Has the kernel pass over every datagram whose first message was caused by the socket with this number.
    pub fn ignore_port(&self, port: u32) -> io::Result<()> {
        let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        // Classic BPF reads in network order what stands there in the host's: nlmsg_pid, at byte 12 of the header.
        let port = u32::from_be_bytes(port.to_ne_bytes());
        let mut program = [
            instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 12),
            instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, port),
            instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
            instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        ];
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: `filter` and the program that it points to are valid for the call, which copies both.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                socklen::<libc::sock_fprog>(),
            )
        })?;
        Ok(())
    }

    /// The longest time that a receive waits. Zero waits for ever.
    pub fn set_receive_timeout(&self, limit: Duration) -> io::Result<()> {
        let seconds = libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX);
        let value = libc::timeval { tv_sec: seconds, tv_usec: libc::suseconds_t::from(limit.subsec_micros()) };
        // SAFETY: `value` is a valid timeval, and its length is given with it.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const value).cast(),
                socklen::<libc::timeval>(),
            )
        })?;
        Ok(())
    }

    /// Sends to the kernel. Netlink takes a datagram whole or not at all.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let address = kernel_address();
        loop {
            // SAFETY: both pointers are valid for the lengths given with them.
            let sent = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    0,
                    (&raw const address).cast(),
                    socklen::<libc::sockaddr_nl>(),
                )
            };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Receives one datagram of the kernel's into `buffer`; datagrams from other processes are passed over.
    /// One that is longer than the buffer is lost and told as `EMSGSIZE`.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        loop {
            let mut address = kernel_address();
            let mut address_bytes = socklen::<libc::sockaddr_nl>();
            // SAFETY: both pointers are valid for writes of the lengths given with them.
            let received = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_TRUNC,
                    (&raw mut address).cast(),
                    &raw mut address_bytes,
                )
            };
            let Ok(bytes) = usize::try_from(received) else {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            };
            if address.nl_pid != 0 {
                continue;
            }
            return buffer.get(..bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
    }

    /// Sends a request and hands every message that answers `sequence` to `each`, until the kernel acknowledges, refuses or ends the dump.
    /// The request must carry `NLM_F_ACK` or `NLM_F_DUMP`. The socket should have a receive time-out.
    pub fn request(
        &self,
        request: &[u8],
        sequence: u32,
        buffer: &mut [u8],
        mut each: impl FnMut(&Received<'_>),
    ) -> Result<(), NetlinkError> {
        self.send(request)?;
        loop {
            let datagram = self.receive(buffer)?;
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                match message.ending() {
                    Some(ending) if ending.errno == 0 => return Ok(()),
                    Some(ending) => {
                        let message = ending.message.unwrap_or_default().to_owned();
                        return Err(NetlinkError::Refused { errno: ending.errno, message });
                    }
                    None => each(&message),
                }
            }
        }
    }

    fn set_buffer(&self, bytes: usize, forced: i32, plain: i32) -> io::Result<usize> {
        let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
        if self.set_option(libc::SOL_SOCKET, forced, wanted).is_err() {
            self.set_option(libc::SOL_SOCKET, plain, wanted)?;
        }
        let mut granted: i32 = 0;
        let mut granted_bytes = socklen::<i32>();
        // SAFETY: `granted` is valid for writes of the length given with it.
        check(unsafe {
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, plain, (&raw mut granted).cast(), &raw mut granted_bytes)
        })?;
        Ok(usize::try_from(granted).unwrap_or(0))
    }

    fn set_option(&self, level: i32, option: i32, value: i32) -> io::Result<()> {
        // SAFETY: `value` is a valid int, and its length is given with it.
        check(unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, (&raw const value).cast(), socklen::<i32>()) })?;
        Ok(())
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The kernel's own address: port 0, no groups.
fn kernel_address() -> libc::sockaddr_nl {
    // SAFETY: sockaddr_nl is plain integers, for which all zeroes are valid.
    let mut address: libc::sockaddr_nl = unsafe { mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

fn socklen<T>() -> libc::socklen_t {
    mem::size_of::<T>() as libc::socklen_t
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::{Message, attributes};

    const IFLA_IFNAME: u16 = 3;

    fn route_socket() -> NetlinkSocket {
        let socket = NetlinkSocket::open(libc::NETLINK_ROUTE, 0).unwrap();
        socket.set_extended_ack().unwrap();
        socket.set_receive_timeout(Duration::from_secs(5)).unwrap();
        socket
    }

    #[test]
    fn a_dump_of_interfaces_has_the_loopback() {
        let socket = route_socket();
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut message = Message::begin(&mut bytes, libc::RTM_GETLINK, flags, 7);
        message.put_raw(&[0; 16]);
        message.finish().unwrap();
        let mut names = Vec::new();
        let collect = |message: &Received<'_>| {
            let found = attributes(message.payload.get(16..).unwrap_or_default()).find(|a| a.kind == IFLA_IFNAME);
            names.extend(found.and_then(|a| a.text()).map(str::to_owned));
        };
        socket.request(&bytes, 7, &mut vec![0; 65_536], collect).unwrap();
        assert!(names.iter().any(|name| name == "lo"), "{names:?}");
    }

    #[test]
    fn a_refusal_has_its_number() {
        let socket = route_socket();
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::begin(&mut bytes, libc::RTM_GETLINK, flags, 8);
        message.put_raw(&[0; 16]);
        message.put_str(IFLA_IFNAME, "no-such-link");
        message.finish().unwrap();
        let error = socket.request(&bytes, 8, &mut vec![0; 65_536], |_| ()).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENODEV), "{error}");
    }

    #[test]
    fn buffers_grow_and_an_empty_socket_does_not_block() {
        let socket = route_socket();
        assert!(socket.set_receive_buffer(100_000).unwrap() >= 100_000);
        assert!(socket.set_send_buffer(100_000).unwrap() >= 100_000);
        socket.set_nonblocking(true).unwrap();
        let again = NetlinkSocket::from_fd(socket.into_fd());
        assert_eq!(again.receive(&mut [0; 64]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
