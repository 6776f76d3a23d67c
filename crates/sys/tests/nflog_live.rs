//! NFLOG and sock_diag against the real kernel, in a network namespace of its own that ends with this process. Touches nothing of the host's.
//!
//! It has its own `main`, because a user namespace can only be entered while there is one thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use sys::diag::Diag;
use sys::netlink::message::Message;
use sys::netlink::{NetlinkError, NetlinkSocket};
use sys::nflog::{Nflog, NflogPacket, NflogSettings};

const GROUP: u16 = 7;
const LOGGED_PORT: u16 = 9_999;
const PREFIX: &str = "rp-wire probe";
/// Longer than anything here takes; reached only if something is broken.
const PATIENCE_MILLIS: i32 = 10_000;

fn main() {
    enter_namespace();
    raise_loopback();
    log_udp();
    for (name, test) in [
        ("a_logged_packet_arrives_whole", a_logged_packet_arrives_whole as fn()),
        ("a_group_has_one_reader", a_group_has_one_reader),
        ("what_is_lost_is_counted", what_is_lost_is_counted),
        ("connections_of_a_blocked_peer_end", connections_of_a_blocked_peer_end),
    ] {
        test();
        println!("test {name} ... ok");
    }
}

/// A network namespace; for an ordinary user inside a user namespace.
fn enter_namespace() {
    // SAFETY: geteuid takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let user = if root { 0 } else { libc::CLONE_NEWUSER };
    // SAFETY: unshare takes no pointers, and this process has one thread.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET | user) };
    assert_eq!(result, 0, "no new network namespace: {}", std::io::Error::last_os_error());
}

fn raise_loopback() {
    let socket = NetlinkSocket::open(libc::NETLINK_ROUTE, 0).unwrap();
    let mut bytes = Vec::new();
    let mut message = Message::begin(&mut bytes, libc::RTM_NEWLINK, (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16, 1);
    // struct ifinfomsg: family, padding, type, index, flags, which flags.
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    message.put_raw(&[&[0; 4][..], &1u32.to_ne_bytes(), &up, &up].concat());
    message.finish().unwrap();
    socket.request(&bytes, 1, &mut vec![0; 8_192], |_| ()).unwrap();
}

/// `table inet rp { chain input { type filter hook input priority 0; log prefix … group 7 } }`.
fn log_udp() {
    const NEW: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_CREATE) as u16;
    let kind = |message: i32| ((libc::NFNL_SUBSYS_NFTABLES << 8) | message) as u16;
    let inet = libc::NFPROTO_INET as u8;
    let nftables = libc::NFNL_SUBSYS_NFTABLES as u16;
    let mut bytes = Vec::new();
    let edge = libc::NLM_F_REQUEST as u16;
    Message::netfilter(&mut bytes, libc::NFNL_MSG_BATCH_BEGIN as u16, edge, 0, 0, nftables).finish().unwrap();
    let mut message = Message::netfilter(&mut bytes, kind(libc::NFT_MSG_NEWTABLE), NEW, 1, inet, 0);
    message.put_str(1, "rp");
    message.finish().unwrap();
    let mut message = Message::netfilter(&mut bytes, kind(libc::NFT_MSG_NEWCHAIN), NEW, 2, inet, 0);
    message.put_str(1, "rp");
    message.put_str(3, "input");
    let hook = message.nest(4);
    message.put_u32_be(1, 1);
    message.put_u32_be(2, 0);
    message.end(hook);
    message.put_str(7, "filter");
    message.finish().unwrap();
    let acked = NEW | (libc::NLM_F_APPEND | libc::NLM_F_ACK) as u16;
    let mut message = Message::netfilter(&mut bytes, kind(libc::NFT_MSG_NEWRULE), acked, 3, inet, 0);
    message.put_str(1, "rp");
    message.put_str(2, "input");
    let list = message.nest(4);
    let element = message.nest(1);
    message.put_str(1, "log");
    let data = message.nest(2);
    message.put_u16_be(1, GROUP);
    message.put_str(2, PREFIX);
    message.end(data);
    message.end(element);
    message.end(list);
    message.finish().unwrap();
    Message::netfilter(&mut bytes, libc::NFNL_MSG_BATCH_END as u16, edge, 4, 0, nftables).finish().unwrap();
    let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, 0).unwrap();
    socket.request(&bytes, 3, &mut vec![0; 8_192], |_| ()).unwrap();
}

fn wait_readable(nflog: &Nflog) {
    let mut poll = libc::pollfd { fd: nflog.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one valid pollfd.
    let ready = unsafe { libc::poll(&raw mut poll, 1, PATIENCE_MILLIS) };
    assert_eq!(ready, 1, "nothing was logged");
}

/// What one more packet brings, past whatever was there before.
fn next_packet(nflog: &mut Nflog, mut sink: impl FnMut(&NflogPacket<'_>)) {
    wait_readable(nflog);
    let mut seen = 0;
    while seen == 0 {
        seen = nflog.receive(1, &mut sink).unwrap();
    }
}

fn udp_to_nobody(data: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(data, ("127.0.0.1", LOGGED_PORT)).unwrap();
}

fn is_ours(packet: &NflogPacket<'_>, data: &[u8]) -> bool {
    packet.payload.first() == Some(&0x45) && packet.payload.get(9) == Some(&17) && packet.payload.get(28..) == Some(data)
}

fn a_logged_packet_arrives_whole() {
    let fd: OwnedFd = Nflog::open(&NflogSettings::group(GROUP)).unwrap().into_fd();
    let mut nflog = Nflog::from_fd(fd);
    assert_eq!(nflog.receive(10, |packet| panic!("{packet:?}")).unwrap(), 0);
    udp_to_nobody(b"hello from rp-wire");
    next_packet(&mut nflog, |packet| {
        assert!(is_ours(packet, b"hello from rp-wire"), "{packet:?}");
        assert_eq!((packet.hook, packet.indev, packet.outdev, packet.mark), (1, 1, 0, 0));
        assert_eq!(packet.prefix, PREFIX.as_bytes());
        assert_eq!(packet.sequence, Some(0));
        assert!(packet.timestamp.is_some_and(|at| at.as_secs() > 1_600_000_000));
        assert!(!packet.is_established());
    });
    // Long packets are cut where we said.
    udp_to_nobody(&[7; 2_000]);
    loop {
        let mut found = false;
        next_packet(&mut nflog, |packet| {
            found = packet.payload.get(28) == Some(&7);
            assert!(!found || packet.payload.len() == 256);
        });
        if found {
            break;
        }
    }
    assert_eq!((nflog.counts().lost, nflog.counts().odd), (0, 0));
}

fn a_group_has_one_reader() {
    let settings = NflogSettings::group(GROUP);
    let first = Nflog::open(&settings).unwrap();
    let refusal = Nflog::open(&settings).unwrap_err();
    assert_eq!(refusal.errno(), Some(libc::EPERM), "{refusal}");
    drop(first);
    Nflog::open(&settings).unwrap();
}

fn what_is_lost_is_counted() {
    let settings = NflogSettings { receive_buffer_bytes: 65_536, ..NflogSettings::group(GROUP) };
    let mut nflog = Nflog::open(&settings).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A bound receiver, so that no ICMP error is logged too.
    let receiver = UdpSocket::bind(("127.0.0.1", LOGGED_PORT)).unwrap();
    for _ in 0..5_000 {
        socket.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
    }
    // Loss shows when the next packet gets through.
    while nflog.receive(1_000, |_| ()).unwrap() > 0 {}
    socket.send_to(b"last", receiver.local_addr().unwrap()).unwrap();
    let mut last = false;
    while !last {
        next_packet(&mut nflog, |packet| last = is_ours(packet, b"last"));
    }
    let counts = *nflog.counts();
    assert_eq!(counts.packets + counts.lost, 5_001, "{counts:?}");
    assert!(counts.lost > 0 && counts.packets > 1, "{counts:?}");
}

/// A connection whose client has this address, and its two ends.
fn connection(listener: &TcpListener, client: &str) -> (TcpStream, TcpStream) {
    // The standard library cannot bind a client's address.
    // SAFETY: socket() takes no pointers.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(raw >= 0);
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let from = v4(SocketAddr::new(client.parse().unwrap(), 0));
    let to = v4(SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port()));
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: `from` is a valid sockaddr_in of this length.
    assert_eq!(unsafe { libc::bind(fd.as_raw_fd(), (&raw const from).cast(), length) }, 0);
    // SAFETY: `to` is a valid sockaddr_in of this length.
    assert_eq!(unsafe { libc::connect(fd.as_raw_fd(), (&raw const to).cast(), length) }, 0);
    (TcpStream::from(fd), listener.accept().unwrap().0)
}

fn v4(address: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(address) = address else { panic!("{address} is not IPv4") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn lives(ends: &mut (TcpStream, TcpStream)) -> bool {
    let mut byte = [0];
    ends.0.write_all(b"x").is_ok() && matches!(ends.1.read(&mut byte), Ok(1))
}

fn connections_of_a_blocked_peer_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mapped = TcpListener::bind("[::]:0").unwrap();
    let mut clients: Vec<_> = ["127.0.1.1", "127.0.1.2", "127.0.2.1", "127.0.3.1"].map(|addr| connection(&listener, addr)).into();
    clients.push(connection(&mapped, "127.0.1.3"));
    assert!(clients.iter_mut().all(lives));
    let mut diag = Diag::open().unwrap();
    assert_eq!(diag.established(&[listener.local_addr().unwrap().port()]).unwrap().len(), 4);
    match diag.destroy_peer("127.0.1.0".parse().unwrap(), 24) {
        Err(NetlinkError::Refused { errno: libc::EOPNOTSUPP, .. }) => {
            println!("this kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY)");
            return;
        }
        destroyed => assert_eq!(destroyed.unwrap(), 3),
    }
    assert_eq!(clients.iter_mut().map(lives).collect::<Vec<_>>(), [false, false, true, true, false]);
    assert_eq!(diag.destroy_peers(|addr| addr == "127.0.2.1".parse::<std::net::IpAddr>().unwrap()).unwrap(), 1);
    assert_eq!(clients.iter_mut().map(lives).collect::<Vec<_>>(), [false, false, false, true, false]);
    assert_eq!(diag.destroy_peer("2001:db8::1".parse().unwrap(), 128).unwrap(), 0);
}
