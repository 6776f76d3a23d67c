//! A name for an address, by the system's resolver. May take as long as that does: for a thread that nobody waits for.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a host's name, with its closing zero (NI_MAXHOST).
const NAME_BYTES: usize = 1_025;

/// What the address is called by whoever owns it; `None` if it has no name. The name may have any bytes.
///
/// # Errors
/// If the resolver could not be asked.
pub fn name_of(address: IpAddr) -> io::Result<Option<Vec<u8>>> {
    let mut name = [0_u8; NAME_BYTES];
    let look = |place: *const libc::sockaddr, len: usize, name: &mut [u8; NAME_BYTES]| {
        // SAFETY: `place` is a live socket address of `len` bytes, `name` a buffer of the length that is told; no service is asked for.
        unsafe {
            libc::getnameinfo(place, len as u32, name.as_mut_ptr().cast(), NAME_BYTES as u32, std::ptr::null_mut(), 0, libc::NI_NAMEREQD)
        }
    };
    let code = match SocketAddr::new(address, 0) {
        SocketAddr::V4(v4) => {
            let place = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            look((&raw const place).cast(), size_of_val(&place), &mut name)
        }
        SocketAddr::V6(v6) => {
            let place = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: 0,
            };
            look((&raw const place).cast(), size_of_val(&place), &mut name)
        }
    };
    match code {
        0 => Ok(CStr::from_bytes_until_nul(&name).ok().map(|name| name.to_bytes().to_vec())),
        libc::EAI_NONAME => Ok(None),
        code => Err(io::Error::other(format!("the resolver could not be asked ({code})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_address_has_a_name() {
        // /etc/hosts has it everywhere.
        let name = name_of(IpAddr::from([127, 0, 0, 1])).unwrap().map(|name| String::from_utf8(name).unwrap());
        assert!(name.as_deref().is_some_and(|name| name.starts_with("localhost")), "{name:?}");
    }
}
