//! Which sockets there are, asked of the kernel (sock_diag), and the end of those that talk with somebody blocked. Opens no connection itself.
//!
//! Layouts and numbers: `linux/sock_diag.h`, `linux/inet_diag.h`. Listing needs no privilege; destroying needs CAP_NET_ADMIN.

use crate::netlink::message::{HEADER_BYTES, Message};
use crate::netlink::{NetlinkError, NetlinkSocket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// The attribute with a filter program (INET_DIAG_REQ_BYTECODE), and its one instruction that we use: "peer's address is in this prefix".
const FILTER: u16 = 1;
const FILTER_PEER: u8 = 8;

/// Bit n stands for the kernel's TCP state n.
const ESTABLISHED: u32 = 1 << 1;
/// UDP sockets without a peer.
const UNCONNECTED: u32 = 1 << 7;
const LISTEN: u32 = 1 << 10;
/// Established, SYN sent, SYN received, FIN wait 1 and 2, close wait, last ACK, closing. Not TIME-WAIT: nothing is left to end there.
const TALKING: u32 = 0b1011_0011_1110;

/// Bytes of an `inet_diag_sockid`, of the request and of the answer around it.
const ID_BYTES: usize = 48;
const REQUEST_BYTES: usize = 56;
const ANSWER_BYTES: usize = 72;
/// Sockets taken from one listing. The rest is left out: a host with more is told apart from its neighbours by other means.
const LISTED_MAX: usize = 131_072;
/// How long one answer of the kernel's may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A port on which somebody waits for strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// The IP protocol's number: TCP, UDP, UDP-Lite or SCTP.
    pub protocol: u8,
    /// The address; unspecified for every address (`::` for IPv4 too, unless the socket said otherwise).
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
}

/// An established TCP connection. Addresses are never IPv4-mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The owner's uid.
    pub uid: u32,
    /// The socket's inode, as in `/proc/PID/fd`.
    pub inode: u32,
}

/// A sock_diag socket. It sees the network namespace that it was opened in.
#[derive(Debug)]
pub struct Diag {
    socket: NetlinkSocket,
    sequence: u32,
    request: Vec<u8>,
    answer: Box<[u8]>,
}

/// One socket, as the kernel tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    family: u8,
    id: [u8; ID_BYTES],
    uid: u32,
    inode: u32,
}

/// What to list.
struct Query<'q> {
    family: u8,
    protocol: i32,
    states: u32,
    /// Only this local port; 0 for all.
    local_port: u16,
    /// A filter program; empty for none.
    filter: &'q [u8],
}

impl Diag {
    /// Opens a socket.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(libc::NETLINK_SOCK_DIAG, 0)?;
        socket.set_extended_ack()?;
        socket.set_receive_timeout(ANSWER_LIMIT)?;
        Ok(Diag::from_fd(socket.into_fd()))
    }

    /// Takes over a socket that another process opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        let socket = NetlinkSocket::from_fd(fd);
        Diag { socket, sequence: 0, request: Vec::new(), answer: vec![0; 65_536].into_boxed_slice() }
    }

    /// Gives the socket away.
    pub fn into_fd(self) -> OwnedFd {
        self.socket.into_fd()
    }

    /// Every port on which somebody waits for strangers: listening TCP and SCTP, bound UDP and UDP-Lite without a peer. Sorted, no doubles.
    pub fn listening(&mut self) -> Result<Vec<Listener>, NetlinkError> {
        let mut listeners = Vec::new();
        let kinds = [
            (libc::IPPROTO_TCP, LISTEN),
            (libc::IPPROTO_UDP, UNCONNECTED),
            (libc::IPPROTO_UDPLITE, UNCONNECTED),
            (libc::IPPROTO_SCTP, LISTEN),
        ];
        for (protocol, states) in kinds {
            for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
                let query = Query { family, protocol, states, local_port: 0, filter: &[] };
                let result = self.list(&query, |found| {
                    let local = found.local();
                    listeners.push(Listener { protocol: protocol as u8, addr: local.ip(), port: local.port() });
                });
                match result {
                    // This kernel does not speak it.
                    Err(error) if protocol != libc::IPPROTO_TCP && error.errno() == Some(libc::ENOENT) => (),
                    result => result?,
                }
            }
        }
        listeners.sort_unstable();
        listeners.dedup();
        Ok(listeners)
    }

    /// The established TCP connections of these local ports. Sorted.
    pub fn established(&mut self, local_ports: &[u16]) -> Result<Vec<Connection>, NetlinkError> {
        let mut connections = Vec::new();
        for &local_port in local_ports {
            for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
                let query = Query { family, protocol: libc::IPPROTO_TCP, states: ESTABLISHED, local_port, filter: &[] };
                self.list(&query, |found| {
                    let (local, peer) = (found.local(), found.peer());
                    connections.push(Connection { local, peer, uid: found.uid, inode: found.inode });
                })?;
            }
        }
        connections.sort_unstable();
        connections.dedup();
        Ok(connections)
    }

    /// Whether a socket waits for what comes to this local TCP or UDP address from there: a listener, or that very connection.
    /// The kernel looks it up as it would for a packet: some microseconds, however many sockets there are.
    pub fn is_answered(&mut self, protocol: u8, local: SocketAddr, peer: SocketAddr) -> Result<bool, NetlinkError> {
        let mut id = [0; ID_BYTES];
        // For UDP the kernel reads the two ends the other way round ("swapped for historical reasons", net/ipv4/udp_diag.c).
        let (one, other) = if protocol == libc::IPPROTO_UDP as u8 { (peer, local) } else { (local, peer) };
        id[..2].copy_from_slice(&one.port().to_be_bytes());
        id[2..4].copy_from_slice(&other.port().to_be_bytes());
        for (addr, at) in [(one.ip(), 4), (other.ip(), 20)] {
            match addr {
                IpAddr::V4(v4) => id[at..at + 4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => id[at..at + 16].copy_from_slice(&v6.octets()),
            }
        }
        // INET_DIAG_NOCOOKIE: any socket with this id.
        id[40..].fill(0xff);
        let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
        self.begin();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::begin(&mut self.request, SOCK_DIAG_BY_FAMILY, flags, self.sequence);
        message.put_raw(&request(family, i32::from(protocol), u32::MAX, &id));
        message.finish()?;
        let mut found = false;
        match self.socket.request(&self.request, self.sequence, &mut self.answer, |_| found = true) {
            Ok(()) => Ok(found),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends every TCP connection with a peer in this prefix, half-open ones too; the kernel itself picks them out.
    /// Returns how many. Needs CAP_NET_ADMIN and a kernel that can (`EOPNOTSUPP` else).
    pub fn destroy_peer(&mut self, addr: IpAddr, bits: u8) -> Result<usize, NetlinkError> {
        let filter = peer_filter(addr.to_canonical(), bits);
        self.destroy(&filter, |_| true)
    }

    /// Ends every TCP connection whose peer is `doomed`: one pass over all sockets for any number of peers.
    pub fn destroy_peers(&mut self, doomed: impl Fn(IpAddr) -> bool) -> Result<usize, NetlinkError> {
        self.destroy(&[], doomed)
    }

    fn destroy(&mut self, filter: &[u8], doomed: impl Fn(IpAddr) -> bool) -> Result<usize, NetlinkError> {
        let mut ending = Vec::new();
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            let query = Query { family, protocol: libc::IPPROTO_TCP, states: TALKING, local_port: 0, filter };
            self.list(&query, |found| {
                if doomed(found.peer().ip()) {
                    ending.push(*found);
                }
            })?;
        }
        let mut destroyed = 0;
        for found in &ending {
            match self.destroy_one(found) {
                Ok(()) => destroyed += 1,
                // It ended by itself meanwhile.
                Err(error) if error.errno() == Some(libc::ENOENT) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(destroyed)
    }

    fn destroy_one(&mut self, found: &Found) -> Result<(), NetlinkError> {
        self.begin();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::begin(&mut self.request, SOCK_DESTROY, flags, self.sequence);
        message.put_raw(&request(found.family, libc::IPPROTO_TCP, TALKING, &found.id));
        message.finish()?;
        self.socket.request(&self.request, self.sequence, &mut self.answer, |_| ())
    }

    fn list(&mut self, query: &Query<'_>, mut each: impl FnMut(&Found)) -> Result<(), NetlinkError> {
        self.begin();
        let mut id = [0; ID_BYTES];
        id[..2].copy_from_slice(&query.local_port.to_be_bytes());
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut message = Message::begin(&mut self.request, SOCK_DIAG_BY_FAMILY, flags, self.sequence);
        message.put_raw(&request(query.family, query.protocol, query.states, &id));
        if !query.filter.is_empty() {
            message.put(FILTER, query.filter);
        }
        message.finish()?;
        let mut listed = 0;
        self.socket.request(&self.request, self.sequence, &mut self.answer, |message| {
            if let Some(found) = Found::read(message.payload)
                && listed < LISTED_MAX
            {
                listed += 1;
                each(&found);
            }
        })
    }

    fn begin(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        debug_assert!(self.answer.len() > HEADER_BYTES + ANSWER_BYTES);
    }
}

impl AsFd for Diag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Found {
    /// `inet_diag_msg`: family, state, timer, retransmissions, the id, then five numbers: expires, queues, uid, inode.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ANSWER_BYTES] = bytes.first_chunk()?;
        Some(Found {
            family: bytes[0],
            id: *bytes[4..].first_chunk()?,
            uid: u32::from_ne_bytes(*bytes[64..].first_chunk()?),
            inode: u32::from_ne_bytes(*bytes[68..].first_chunk()?),
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.addr(4), u16::from_be_bytes([self.id[0], self.id[1]]))
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.addr(20), u16::from_be_bytes([self.id[2], self.id[3]]))
    }

    fn addr(&self, at: usize) -> IpAddr {
        let bytes: [u8; 16] = std::array::from_fn(|n| self.id[at + n]);
        match i32::from(self.family) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            _ => IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(),
        }
    }
}

/// `inet_diag_req_v2`: family, protocol, extensions, padding, states, id.
fn request(family: u8, protocol: i32, states: u32, id: &[u8; ID_BYTES]) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[0] = family;
    bytes[1] = protocol as u8;
    bytes[4..8].copy_from_slice(&states.to_ne_bytes());
    bytes[8..].copy_from_slice(id);
    bytes
}

/// One `inet_diag_bc_op` (code, jump if so, jump if not) and its `inet_diag_hostcond` (family, prefix length, padding, port or -1, address).
/// Jumping four bytes past the end means "no". An IPv4 prefix holds mapped addresses too.
fn peer_filter(addr: IpAddr, bits: u8) -> Vec<u8> {
    let (family, octets, bits) = match addr {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec(), bits.min(32)),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec(), bits.min(128)),
    };
    let length = 12 + octets.len() as u8;
    let mut filter = vec![FILTER_PEER, length];
    filter.extend_from_slice(&(u16::from(length) + 4).to_ne_bytes());
    filter.extend_from_slice(&[family, bits, 0, 0]);
    filter.extend_from_slice(&(-1i32).to_ne_bytes());
    filter.extend_from_slice(&octets);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn a_listener_is_seen_and_a_connected_socket_is_none() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(udp.local_addr().unwrap()).unwrap();
        let listeners = Diag::from_fd(Diag::open().unwrap().into_fd()).listening().unwrap();
        let listener = |protocol: i32, addr: SocketAddr| Listener { protocol: protocol as u8, addr: addr.ip(), port: addr.port() };
        assert!(listeners.contains(&listener(libc::IPPROTO_TCP, tcp.local_addr().unwrap())));
        assert!(listeners.contains(&listener(libc::IPPROTO_UDP, udp.local_addr().unwrap())));
        assert!(!listeners.contains(&listener(libc::IPPROTO_UDP, client.local_addr().unwrap())));
        assert!(listeners.is_sorted());
    }

    #[test]
    fn a_packet_is_answered_where_somebody_listens() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let wildcard = TcpListener::bind("[::]:0").unwrap();
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let peer: SocketAddr = "127.0.0.9:40000".parse().unwrap();
        let peer6: SocketAddr = "[::1]:40000".parse().unwrap();
        let on = |addr: &str, port: u16| SocketAddr::new(addr.parse().unwrap(), port);
        let (tcp_protocol, udp_protocol) = (libc::IPPROTO_TCP as u8, libc::IPPROTO_UDP as u8);
        let mut diag = Diag::open().unwrap();
        let mut ask = |protocol, local, peer| diag.is_answered(protocol, local, peer).unwrap();
        assert!(ask(tcp_protocol, tcp.local_addr().unwrap(), peer));
        assert!(ask(tcp_protocol, on("127.0.0.1", wildcard.local_addr().unwrap().port()), peer), "a listener for both families");
        assert!(ask(tcp_protocol, on("::1", wildcard.local_addr().unwrap().port()), peer6));
        assert!(ask(udp_protocol, on("127.0.0.1", udp.local_addr().unwrap().port()), peer));
        assert!(!ask(tcp_protocol, closed, peer));
        assert!(!ask(udp_protocol, closed, peer));
        assert!(!ask(tcp_protocol, on("127.0.0.2", tcp.local_addr().unwrap().port()), peer), "on another address only");
    }

    #[test]
    fn connections_have_two_ends() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let connections = Diag::open().unwrap().established(&[address.port()]).unwrap();
        let ends: Vec<_> = connections.iter().map(|connection| (connection.local, connection.peer)).collect();
        assert_eq!(ends, [(address, client.local_addr().unwrap())]);
    }

    #[test]
    fn short_answers_are_no_sockets() {
        assert!(Found::read(&[0; ANSWER_BYTES - 1]).is_none());
        assert!(Found::read(&[0; ANSWER_BYTES]).is_some());
    }
}
