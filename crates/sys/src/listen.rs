//! Listeners for connections that the firewall directs to them, whatever port they were meant for. Answers nobody itself.

use crate::fd::{checked, owned};
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Connections that wait to be taken in. Above, the kernel answers with SYN cookies.
const BACKLOG: libc::c_int = 1_024;
/// Bytes that the kernel keeps of what a peer sends.
const BUFFER_BYTES: libc::c_int = 4_096;
/// How often a SYN+ACK is sent again that nobody answers: whoever is named in a forged SYN gets no more than two of them.
const SYN_ACKS_AGAIN: libc::c_int = 1;

/// Opens a transparent TCP listener on the loopback address of one family, at a port of the kernel's choice: nobody reaches it but by the
/// firewall's rule. `None` if the kernel does not speak that family. Needs CAP_NET_ADMIN.
///
/// What it takes in has the address and port that it was sent to as its local end, and ends with a reset when it is closed: nothing of it
/// waits in the kernel afterwards (TIME-WAIT).
///
/// # Errors
/// The kernel's.
pub fn transparent(ipv6: bool) -> io::Result<Option<TcpListener>> {
    let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: takes integers only.
    let socket = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    let socket = match owned(socket) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(None),
        socket => TcpListener::from(socket?),
    };
    let fd = std::os::fd::AsFd::as_fd(&socket);
    if ipv6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, &1)?;
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_TRANSPARENT, &1)?;
    }
    // What is taken in inherits these.
    set(fd, libc::SOL_SOCKET, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &BUFFER_BYTES)?;
    set(fd, libc::IPPROTO_TCP, libc::TCP_SYNCNT, &SYN_ACKS_AGAIN)?;
    set(fd, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, &1)?;
    match bind(fd, ipv6) {
        // IPv6 is there and switched off.
        Err(error) if ipv6 && error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(None),
        bound => bound?,
    }
    // SAFETY: takes integers only.
    checked(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })?;
    Ok(Some(socket))
}

/// Binds to the loopback address, at a port of the kernel's choice.
fn bind(fd: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    let v4 = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    };
    let v6 = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: Ipv6Addr::LOCALHOST.octets() },
        sin6_scope_id: 0,
    };
    let (address, length) =
        if ipv6 { ((&raw const v6).cast(), mem::size_of_val(&v6)) } else { ((&raw const v4).cast(), mem::size_of_val(&v4)) };
    // SAFETY: `address` points at a socket address of `length` bytes that lives through the call; the kernel only reads it.
    checked(unsafe { libc::bind(fd.as_raw_fd(), address, length as libc::socklen_t) }).map(drop)
}

fn set<T>(fd: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is of the type that the option takes, and lives through the call; the kernel only reads it.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length) }).map(drop)
}

/// What was left of the TTL or hop limit when the peer's SYN came, on a connection that was taken in; `None` if the kernel has not kept it (SYN cookies).
pub fn ttl(taken: &TcpStream) -> Option<u8> {
    // The IP header with what extends it, and the TCP header.
    let mut syn = [0_u8; 256];
    let mut length = mem::size_of_val(&syn) as libc::socklen_t;
    // SAFETY: `syn` has `length` bytes, and both live through the call, which writes no more than that.
    let read =
        unsafe { libc::getsockopt(taken.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_SAVED_SYN, syn.as_mut_ptr().cast(), &raw mut length) };
    checked(read).ok()?;
    let place = if syn[0] >> 4 == 4 { 8 } else { 7 };
    (length > place).then_some(syn[place as usize])
}

/// The port that a listener is at.
///
/// # Errors
/// The kernel's.
pub fn port(listener: &TcpListener) -> io::Result<u16> {
    listener.local_addr().map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{SocketAddr, TcpStream};

    #[test]
    fn what_is_taken_in_is_closed_without_a_trace() {
        if crate::identity::own_uid() != 0 {
            return;
        }
        for ipv6 in [false, true] {
            let Some(listener) = transparent(ipv6).unwrap() else { continue };
            let port = port(&listener).unwrap();
            let address = if ipv6 { SocketAddr::from((Ipv6Addr::LOCALHOST, port)) } else { SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
            let mut client = TcpStream::connect(address).unwrap();
            let (taken, peer) = listener.accept().unwrap();
            assert_eq!((peer, taken.local_addr().unwrap()), (client.local_addr().unwrap(), address));
            assert_eq!(ttl(&taken), Some(64), "Linux begins with 64");
            drop(taken);
            // Linger is inherited: a reset, and no FIN.
            assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
