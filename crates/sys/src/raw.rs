//! Sends whole IP packets with any source address. For the test range and benchmarks inside namespaces; never used by the daemon.

use crate::fd::checked;
use std::io;
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
