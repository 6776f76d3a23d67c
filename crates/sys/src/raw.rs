//! Sends whole IP packets with any source address, and whole frames. For the test range and benchmarks inside namespaces; never used by
//! the daemon.

use crate::fd::{checked, owned};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A raw socket of one family. Needs CAP_NET_RAW.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// Opens one for IPv4.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open() -> io::Result<Self> {
        RawSocket::of(libc::AF_INET)
    }

    /// Opens one for IPv6.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open6() -> io::Result<Self> {
        RawSocket::of(libc::AF_INET6)
    }

    fn of(family: i32) -> io::Result<Self> {
        // SAFETY: takes no pointer. IPPROTO_RAW implies that we write the IP header.
        let raw = checked(unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) })?;
        // SAFETY: the kernel has just returned it and nothing else knows of it.
        Ok(RawSocket { fd: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    /// Sends one packet, which starts with its IP header.
    ///
    /// # Errors
    /// If the kernel refuses, or the address is of the other family.
    pub fn send(&self, packet: &[u8], to: impl Into<IpAddr>) -> io::Result<()> {
        match to.into() {
            IpAddr::V4(to) => {
                // SAFETY: sockaddr_in is plain integers, for which all zeros is valid.
                let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_addr.s_addr = u32::from(to).to_be();
                self.send_to(packet, &address)
            }
            IpAddr::V6(to) => {
                // SAFETY: sockaddr_in6 is plain integers, for which all zeros is valid.
                let mut address: libc::sockaddr_in6 = unsafe { mem::zeroed() };
                address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                address.sin6_addr.s6_addr = to.octets();
                self.send_to(packet, &address)
            }
        }
    }

    fn send_to<Address>(&self, packet: &[u8], address: &Address) -> io::Result<()> {
        let length = mem::size_of_val(address) as libc::socklen_t;
        let address: *const Address = address;
        // SAFETY: packet and address are valid for their lengths; the kernel only reads them.
        let sent = unsafe { libc::sendto(self.fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, address.cast(), length) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Sends frames on one interface, from their link header on, past its queue.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
    address: libc::sockaddr_ll,
}

impl FrameSocket {
    /// Opens it for the interface of this name. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// If there is no such interface, or the kernel refuses.
    pub fn open(interface: &str) -> io::Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: the name is valid and ends with a zero.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes no pointer. Protocol 0 receives nothing.
        let fd = owned(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        let (on, length) = (1 as libc::c_int, mem::size_of::<libc::c_int>() as libc::socklen_t);
        let bypass = (&raw const on).cast();
        // SAFETY: the value is one c_int, which is what this option takes.
        checked(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, bypass, length) })?;
        // SAFETY: sockaddr_ll is plain integers, for which all zeros is valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        (address.sll_family, address.sll_ifindex) = (libc::AF_PACKET as u16, index as libc::c_int);
        Ok(FrameSocket { fd, address })
    }

    /// Sends frames in one call and says how many of them went out: fewer, or none, if the interface has no room.
    ///
    /// # Errors
    /// If it can't send at all.
    pub fn send(&self, frames: &[Vec<u8>]) -> io::Result<usize> {
        let mut parts: Vec<libc::iovec> =
            frames.iter().map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() }).collect();
        let message = |part: &mut libc::iovec| {
            // SAFETY: mmsghdr is plain integers and pointers, for which all zeros is valid.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = (&raw const self.address).cast_mut().cast();
            message.msg_hdr.msg_namelen = mem::size_of_val(&self.address) as libc::socklen_t;
            (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (part, 1);
            message
        };
        let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
        let count = messages.len() as libc::c_uint;
        // SAFETY: messages, their parts, the frames and the address live through the call; the kernel writes only into `messages`.
        match checked(unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, 0) }) {
            Ok(sent) => Ok(sent as usize),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN)) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// The program's end of a TUN device: what is written comes in on it.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

impl Tun {
    /// Makes a device of this name. It is gone when this is dropped. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        // SAFETY: ifreq is plain integers, for which all zeros is valid.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        for (place, byte) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
            *place = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq at the place it is given.
        checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        Ok(Tun { file })
    }

    /// Has a packet come in, from its IP header on.
    ///
    /// # Errors
    /// If the device is not up.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write_all(packet)
    }
}
