//! Packets that the kernel logs to a group (NFLOG). Opened with privilege, read without. Hands packets on as bytes and never reads them.
//!
//! Layouts and numbers: `linux/netfilter/nfnetlink_log.h`.

use crate::netlink::message::{Attribute, Message, Received, messages};
use crate::netlink::{NetlinkError, NetlinkSocket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

const PACKET: u16 = ((libc::NFNL_SUBSYS_ULOG << 8) | libc::NFULNL_MSG_PACKET) as u16;
const CONFIG: u16 = ((libc::NFNL_SUBSYS_ULOG << 8) | libc::NFULNL_MSG_CONFIG) as u16;
/// What a logged packet's attributes may take beside its payload (prefix, hardware header, numbers).
const ATTRIBUTES_BYTES: u32 = 768;
/// The kernel never makes a longer datagram (`nfulnl_set_nlbufsiz`).
const DATAGRAM_MAX: u32 = 131_072;
/// How long opening waits for the kernel's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How a group is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NflogSettings {
    /// The group, as in nft's `log group`.
    pub group: u16,
    /// Bytes of each packet that are copied.
    pub snaplen: u32,
    /// Packets that the kernel gathers into one datagram. With 1 none ever waits.
    pub threshold: u32,
    /// The longest time that a packet waits for the threshold, in hundredths of a second.
    pub timeout_centis: u32,
    /// The socket's receive buffer: what a burst may take until it is read.
    pub receive_buffer_bytes: usize,
}

impl NflogSettings {
    /// Settings for a group: 256 bytes of each packet (every header with its options, and a dozen IPv6 extension headers), none waits,
    /// a burst of 80,000 small ones (each was measured to take 832 bytes of the buffer).
    pub const fn group(group: u16) -> Self {
        NflogSettings { group, snaplen: 256, threshold: 1, timeout_centis: 10, receive_buffer_bytes: 32 << 20 }
    }

    /// The kernel reserves this much for each datagram and charges it to the receive buffer, so it is no more than needed.
    fn datagram_bytes(&self) -> u32 {
        (self.snaplen.saturating_add(ATTRIBUTES_BYTES)).saturating_mul(self.threshold.max(1)).min(DATAGRAM_MAX)
    }
}

/// One logged packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NflogPacket<'b> {
    /// The packet from its IP header on, as far as it was copied.
    pub payload: &'b [u8],
    /// The hook, as in `NF_INET_…`.
    pub hook: u8,
    /// The interface that it came in on; 0 for none.
    pub indev: u32,
    /// The interface that it goes out on; 0 for none or not yet known.
    pub outdev: u32,
    /// The rule's prefix, without the closing NUL.
    pub prefix: &'b [u8],
    /// When the kernel saw it: since the epoch.
    pub timestamp: Option<Duration>,
    /// The firewall mark; 0 for none.
    pub mark: u32,
    /// What connection tracking says (`enum ip_conntrack_info`); `None` on kernels that do not tell.
    pub ct_info: Option<u32>,
    /// Its number in this group, if the kernel numbers them.
    pub sequence: Option<u32>,
}

impl NflogPacket<'_> {
    /// Whether connection tracking says that it belongs to an established connection: original direction (0) or reply (3).
    pub fn is_established(&self) -> bool {
        matches!(self.ct_info, Some(0 | 3))
    }
}

/// What was received, and what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NflogCounts {
    /// Packets handed on.
    pub packets: u64,
    /// Packets that the kernel logged and could not deliver: gaps in their numbers.
    pub lost: u64,
    /// Times that the kernel said its buffer had run over.
    pub overflows: u64,
    /// Datagrams that were too long or held no packet.
    pub odd: u64,
}

/// A group's socket.
#[derive(Debug)]
pub struct Nflog {
    socket: NetlinkSocket,
    buffer: Box<[u8]>,
    expected: Option<u32>,
    counts: NflogCounts,
}

impl Nflog {
    /// Binds a group; needs CAP_NET_ADMIN. The kernel says `EPERM` also if somebody else has the group. The socket does not block afterwards.
    pub fn open(settings: &NflogSettings) -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, 0)?;
        socket.set_receive_buffer(settings.receive_buffer_bytes)?;
        socket.set_extended_ack()?;
        // Otherwise one overflow makes the kernel drop everything until the buffer is empty. The gaps in the numbers tell of the loss.
        socket.set_quiet_overflow(true)?;
        socket.set_receive_timeout(ANSWER_LIMIT)?;
        let both = libc::NFULNL_CFG_F_SEQ | libc::NFULNL_CFG_F_CONNTRACK;
        match configure(&socket, settings, both, 1) {
            // Connection tracking's part is a module that has just been loaded, or this kernel has none.
            Err(error) if error.errno() == Some(libc::EAGAIN) => configure(&socket, settings, both, 2)?,
            Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => configure(&socket, settings, libc::NFULNL_CFG_F_SEQ, 3)?,
            result => result?,
        }
        socket.set_nonblocking(true)?;
        Ok(Nflog::from_fd(socket.into_fd()))
    }

    /// Takes over a socket that another process has bound.
    pub fn from_fd(fd: OwnedFd) -> Self {
        let buffer = vec![0; DATAGRAM_MAX as usize].into_boxed_slice();
        Nflog { socket: NetlinkSocket::from_fd(fd), buffer, expected: None, counts: NflogCounts::default() }
    }

    /// Gives the socket away. The group stays bound until its last copy is closed.
    pub fn into_fd(self) -> OwnedFd {
        self.socket.into_fd()
    }

    /// Hands over what is there, at most `most` datagrams, and returns how many packets that were. Zero: nothing is there.
    pub fn receive(&mut self, most: usize, mut sink: impl FnMut(&NflogPacket<'_>)) -> io::Result<usize> {
        let mut packets = 0;
        for _ in 0..most {
            let datagram = match self.socket.receive(&mut self.buffer) {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.counts.overflows += 1;
                    continue;
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.counts.odd += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut found = 0;
            for packet in messages(datagram).filter_map(|message| read(&message)) {
                self.counts.lost += gap(&mut self.expected, packet.sequence);
                sink(&packet);
                found += 1;
            }
            self.counts.odd += u64::from(found == 0);
            packets += found;
        }
        self.counts.packets += packets as u64;
        Ok(packets)
    }

    /// What was received and lost so far.
    pub fn counts(&self) -> &NflogCounts {
        &self.counts
    }
}

impl AsFd for Nflog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How many numbers were skipped.
fn gap(expected: &mut Option<u32>, sequence: Option<u32>) -> u64 {
    let Some(sequence) = sequence else { return 0 };
    let skipped = expected.map_or(0, |expected| sequence.wrapping_sub(expected));
    *expected = Some(sequence.wrapping_add(1));
    u64::from(skipped)
}

/// Binds the group and sets everything else in the same message, so that no packet comes in between.
fn configure(socket: &NetlinkSocket, settings: &NflogSettings, flags: i32, sequence: u32) -> Result<(), NetlinkError> {
    let mut bytes = Vec::new();
    let request = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut message = Message::netfilter(&mut bytes, CONFIG, request, sequence, libc::AF_UNSPEC as u8, settings.group);
    message.put_u8(libc::NFULA_CFG_CMD as u16, libc::NFULNL_CFG_CMD_BIND as u8);
    // struct nfulnl_msg_config_mode: range, mode, padding.
    let [a, b, c, d] = settings.snaplen.to_be_bytes();
    message.put(libc::NFULA_CFG_MODE as u16, &[a, b, c, d, libc::NFULNL_COPY_PACKET as u8, 0]);
    message.put_u32_be(libc::NFULA_CFG_NLBUFSIZ as u16, settings.datagram_bytes());
    message.put_u32_be(libc::NFULA_CFG_TIMEOUT as u16, settings.timeout_centis);
    message.put_u32_be(libc::NFULA_CFG_QTHRESH as u16, settings.threshold.max(1));
    message.put_u16_be(libc::NFULA_CFG_FLAGS as u16, flags as u16);
    message.finish()?;
    // An acknowledgment is short; whatever longer comes here is a packet of a second attempt.
    socket.request(&bytes, sequence, &mut vec![0; DATAGRAM_MAX as usize], |_| ())
}

pub(crate) fn read<'b>(message: &Received<'b>) -> Option<NflogPacket<'b>> {
    if message.kind != PACKET {
        return None;
    }
    let (_, _, attributes) = message.netfilter()?;
    let mut packet = NflogPacket::default();
    for attribute in attributes {
        match i32::from(attribute.kind) {
            // struct nfulnl_msg_packet_hdr: protocol (2), hook (1), padding.
            libc::NFULA_PACKET_HDR => packet.hook = attribute.value.get(2).copied().unwrap_or_default(),
            libc::NFULA_MARK => packet.mark = attribute.u32_be().unwrap_or_default(),
            libc::NFULA_TIMESTAMP => packet.timestamp = timestamp(&attribute),
            libc::NFULA_IFINDEX_INDEV => packet.indev = attribute.u32_be().unwrap_or_default(),
            libc::NFULA_IFINDEX_OUTDEV => packet.outdev = attribute.u32_be().unwrap_or_default(),
            libc::NFULA_PAYLOAD => packet.payload = attribute.value,
            libc::NFULA_PREFIX => packet.prefix = attribute.value.strip_suffix(&[0]).unwrap_or(attribute.value),
            libc::NFULA_SEQ => packet.sequence = attribute.u32_be(),
            libc::NFULA_CT_INFO => packet.ct_info = attribute.u32_be(),
            _ => (),
        }
    }
    Some(packet)
}

/// struct nfulnl_msg_packet_timestamp: seconds and microseconds.
fn timestamp(attribute: &Attribute<'_>) -> Option<Duration> {
    let (seconds, rest) = attribute.value.split_first_chunk::<8>()?;
    let micros = u64::from_be_bytes(*rest.first_chunk()?);
    Duration::from_secs(u64::from_be_bytes(*seconds)).checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_written() {
        let mut bytes = Vec::new();
        let mut message = Message::netfilter(&mut bytes, PACKET, 0, 0, 2, 5);
        message.put(libc::NFULA_PACKET_HDR as u16, &[8, 0, 1, 0]);
        message.put_str(libc::NFULA_PREFIX as u16, "probe");
        message.put_u32_be(libc::NFULA_IFINDEX_INDEV as u16, 7);
        message.put(libc::NFULA_TIMESTAMP as u16, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 4]);
        message.put_u32_be(libc::NFULA_SEQ as u16, 3);
        message.put_u32_be(libc::NFULA_CT_INFO as u16, 3);
        message.put(libc::NFULA_PAYLOAD as u16, b"packet");
        message.finish().unwrap();
        let packet = messages(&bytes).find_map(|message| read(&message)).unwrap();
        let timestamp = Some(Duration::new(9, 4_000));
        let expected = NflogPacket {
            payload: b"packet",
            hook: 1,
            indev: 7,
            prefix: b"probe",
            timestamp,
            ct_info: Some(3),
            sequence: Some(3),
            ..NflogPacket::default()
        };
        assert_eq!(packet, expected);
        assert!(packet.is_established());
        assert!(!NflogPacket::default().is_established());
    }

    #[test]
    fn gaps_are_losses() {
        let mut expected = None;
        let lost: u64 = [Some(7), Some(8), Some(11), None, Some(12), Some(u32::MAX), Some(0)]
            .into_iter()
            .take(5)
            .map(|sequence| gap(&mut expected, sequence))
            .sum();
        assert_eq!(lost, 2);
        expected = Some(u32::MAX);
        assert_eq!(gap(&mut expected, Some(u32::MAX)) + gap(&mut expected, Some(0)), 0);
    }

    #[test]
    fn a_datagram_is_as_long_as_it_must_be() {
        assert_eq!(NflogSettings::group(1).datagram_bytes(), 1024);
        assert_eq!(NflogSettings { threshold: u32::MAX, snaplen: u32::MAX, ..NflogSettings::group(1) }.datagram_bytes(), 131_072);
    }
}
