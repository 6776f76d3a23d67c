//! Sends whole IPv4 packets with any source address. For the test range and benchmarks inside namespaces; never used by the daemon.

use crate::fd::checked;
use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A raw socket. Needs CAP_NET_RAW.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// Opens it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open() -> io::Result<Self> {
        // SAFETY: takes no pointer. IPPROTO_RAW implies that we write the IP header.
        let raw = checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) })?;
        // SAFETY: the kernel has just returned it and nothing else knows of it.
        Ok(RawSocket { fd: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    /// Sends one packet, which starts with its IPv4 header.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn send(&self, packet: &[u8], to: Ipv4Addr) -> io::Result<()> {
        // SAFETY: sockaddr_in is plain integers, for which all zeros is valid.
        let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from(to).to_be();
        let length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: packet and address are valid for their lengths; the kernel only reads them.
        let sent =
            unsafe { libc::sendto(self.fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, (&raw const address).cast(), length) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
