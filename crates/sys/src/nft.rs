//! nf_tables over netlink: one table of our own, changed in transactions and read back. Never touches another table: it cannot name one.

pub mod alarm;
pub mod expression;
pub(crate) mod read;
pub mod transaction;
pub mod watch;

use crate::netlink::NetlinkSocket;
use crate::netlink::message::messages;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use transaction::{ElementStep, Transaction};

/// The kernel fills at most this much at a time when it lists a set.
const RECEIVE_BYTES: usize = 65_536;
/// A transaction of a thousand IPv6 elements has 45 kB; the skeleton with a full exempt list 400 kB.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// What the kernel keeps of the send buffer for itself.
const SEND_RESERVE_BYTES: usize = 4_096;
/// Room for one answer to each step of the largest transaction in small steps.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// What one answer takes of the receive buffer, with the kernel's own bookkeeping, at most.
const ANSWER_BYTES: usize = 1_536;
/// The kernel answers within the call, so this is never reached but by a bug.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
fn message_kind(message: i32) -> u16 {
    ((libc::NFNL_SUBSYS_NFTABLES << 8) | message) as u16
}

/// A key of a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: [u8; 16],
    length: u8,
}

impl Key {
    fn new(value: &[u8]) -> Option<Key> {
        let mut bytes = [0; 16];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Key { bytes, length: value.len() as u8 })
    }

    /// Its bytes, in network order.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }

    /// The address, if it is as long as one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.length {
            4 => self.bytes.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))),
            16 => Some(IpAddr::V6(Ipv6Addr::from(self.bytes))),
            _ => None,
        }
    }
}

impl From<IpAddr> for Key {
    fn from(addr: IpAddr) -> Self {
        let mut bytes = [0; 16];
        let length = match addr {
            IpAddr::V4(v4) => {
                bytes[..4].copy_from_slice(&v4.octets());
                4
            }
            IpAddr::V6(v6) => {
                bytes = v6.octets();
                16
            }
        };
        Key { bytes, length }
    }
}

impl From<u16> for Key {
    fn from(port: u16) -> Self {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&port.to_be_bytes());
        Key { bytes, length: 2 }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(addr) => write!(f, "{addr}"),
            None => write!(f, "{:02x?}", self.as_bytes()),
        }
    }
}

/// An element of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element {
    /// Its key.
    pub key: Key,
    /// In an interval set: the key is the first that the interval before it does not have any more.
    pub ends_interval: bool,
    /// When sent: from now to its end, `None` for never. When read: what is left.
    pub timeout_millis: Option<u64>,
}

/// What a set's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// TCP or UDP ports.
    Port,
}

impl KeyKind {
    const ALL: [KeyKind; 3] = [KeyKind::Ipv4, KeyKind::Ipv6, KeyKind::Port];

    /// The number that `nft` prints the type's name by.
    fn type_number(self) -> u32 {
        match self {
            KeyKind::Ipv4 => 7,
            KeyKind::Ipv6 => 8,
            KeyKind::Port => 13,
        }
    }

    fn bytes(self) -> usize {
        match self {
            KeyKind::Ipv4 => 4,
            KeyKind::Ipv6 => 16,
            KeyKind::Port => 2,
        }
    }
}

/// All about a set but its name and elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetShape {
    /// What its keys are.
    pub key: KeyKind,
    /// Whether it holds ranges (a tree) and not single keys (a hash table).
    pub interval: bool,
    /// Whether its elements may run out.
    pub timeout: bool,
    /// Whether rules may add elements.
    pub dynamic: bool,
    /// For how long an element stays that came without a time-out of its own; 0 for ever.
    pub default_timeout_millis: u64,
    /// The most elements, if bounded.
    pub size: Option<u32>,
}

impl SetShape {
    fn flags(&self) -> u32 {
        let bit = |on: bool, flag: i32| if on { flag as u32 } else { 0 };
        bit(self.interval, libc::NFT_SET_INTERVAL) | bit(self.timeout, libc::NFT_SET_TIMEOUT) | bit(self.dynamic, libc::NFT_SET_EVAL)
    }
}

/// Where in a packet's way a chain is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// On arrival, before routing: packets for this host and forwarded ones.
    Prerouting,
    /// Packets for this host, after routing.
    Input,
}

impl Hook {
    fn number(self) -> u32 {
        match self {
            Hook::Prerouting => libc::NF_INET_PRE_ROUTING as u32,
            Hook::Input => libc::NF_INET_LOCAL_IN as u32,
        }
    }
}

/// All about a base chain of type filter but its name and rules. Its policy is to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Where.
    pub hook: Hook,
    /// When, among the chains of the same hook: lower ones first.
    pub priority: i32,
}

/// What the kernel has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One thing that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Which step, from 0; `None` for the transaction as a whole.
    pub step: Option<usize>,
    /// Why: a positive errno.
    pub errno: i32,
    /// The kernel's own words; empty if it has none.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// Why a transaction or a listing failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The socket failed. Whether a transaction took effect is not known.
    #[error("netlink: {0}")]
    Io(#[from] io::Error),
    /// The kernel refused at least one step, and with it all.
    #[error("nf_tables: {}", .0.first().map(Refusal::to_string).unwrap_or_default())]
    Refused(Vec<Refusal>),
}

impl NftError {
    fn refused(errno: i32, message: &str) -> NftError {
        NftError::Refused(vec![Refusal { step: None, errno, message: message.to_owned() }])
    }

    /// The first errno, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NftError::Io(error) => error.raw_os_error(),
            NftError::Refused(refusals) => refusals.first().map(|refusal| refusal.errno),
        }
    }
}

/// One table of the family inet, and a socket to work on it.
#[derive(Debug)]
pub struct OwnTable {
    socket: NetlinkSocket,
    /// For listings of sets; `None` after one was broken off, until the next.
    listing: Option<NetlinkSocket>,
    name: &'static str,
    sequence: u32,
    /// The last transaction's buffer, for the next.
    spare: Vec<u8>,
    receive: Vec<u8>,
    answers_max: usize,
    send_buffer: usize,
}

fn open_socket() -> io::Result<NetlinkSocket> {
    let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, 0)?;
    socket.set_extended_ack()?;
    socket.set_receive_timeout(ANSWER_WAIT)?;
    Ok(socket)
}

impl OwnTable {
    /// Opens a socket for the table of this name; makes nothing yet.
    pub fn open(name: &'static str) -> io::Result<Self> {
        let socket = open_socket()?;
        let send_buffer = socket.set_send_buffer(SEND_BUFFER_BYTES)?;
        let answers_max = socket.set_receive_buffer(RECEIVE_BUFFER_BYTES)? / ANSWER_BYTES;
        let (spare, receive) = (Vec::new(), vec![0; RECEIVE_BYTES]);
        Ok(OwnTable { socket, listing: Some(open_socket()?), name, sequence: 1, spare, receive, answers_max, send_buffer })
    }

    /// Whether this kernel can delete elements that may not be there (`ElementStep::Destroy`, Linux 6.3). Tried out on a set of ours
    /// whose keys are IPv4 addresses, with one that it never has. Not to have it is dear: a refused transaction costs the kernel
    /// ten milliseconds and more, a successful one microseconds.
    pub fn can_destroy(&mut self, set: &str) -> Result<bool, NftError> {
        let mut transaction = self.transaction();
        let never = Element { key: Key::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), ends_interval: false, timeout_millis: None };
        transaction.elements(ElementStep::Destroy, set, [never]);
        match self.commit(transaction) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many steps of one transaction may fail before their answers overflow the receive buffer.
    pub fn answers_max(&self) -> usize {
        self.answers_max
    }

    /// Starts a transaction. Commit it before the next is started.
    pub fn transaction(&mut self) -> Transaction {
        Transaction::new(self.name, std::mem::take(&mut self.spare), self.sequence)
    }

    /// Carries out all steps or none. An empty transaction succeeds.
    pub fn commit(&mut self, mut transaction: Transaction) -> Result<(), NftError> {
        self.sequence = transaction.sequence.wrapping_add(transaction.steps + 2);
        let (sequence, steps) = (transaction.sequence, transaction.steps);
        let result = match transaction.close() {
            Some(bytes) => self.deliver(bytes).and_then(|()| self.answers(sequence, steps)),
            None if steps == 0 => Ok(()),
            None => Err(NftError::refused(libc::EMSGSIZE, "a step is too long")),
        };
        self.spare = transaction.bytes;
        // One that had a whole table in it would keep tens of megabytes for nothing.
        self.spare.clear();
        self.spare.shrink_to(SEND_BUFFER_BYTES);
        result
    }

    /// Sends a whole transaction, which must fit into the send buffer.
    fn deliver(&mut self, bytes: &[u8]) -> Result<(), NftError> {
        if bytes.len() + SEND_RESERVE_BYTES > self.send_buffer {
            self.send_buffer = self.socket.set_send_buffer(bytes.len() + SEND_RESERVE_BYTES)?;
        }
        Ok(self.socket.send(bytes)?)
    }

    /// The number that the kernel gives to changes made by this table's transactions.
    pub fn port(&self) -> io::Result<u32> {
        self.socket.port()
    }

    /// Reads what the kernel says to the steps of a transaction: something to each that failed, and always to the last.
    fn answers(&mut self, sequence: u32, steps: u32) -> Result<(), NftError> {
        let mut refusals = Vec::new();
        while !take_answers(self.socket.receive(&mut self.receive)?, sequence, steps, &mut refusals) {}
        if refusals.is_empty() { Ok(()) } else { Err(NftError::Refused(refusals)) }
    }
}

/// Takes what one datagram says to a transaction's steps; true if the last word on it was among that.
pub(crate) fn take_answers(datagram: &[u8], sequence: u32, steps: u32, refusals: &mut Vec<Refusal>) -> bool {
    for message in messages(datagram) {
        let Some(ending) = message.ending() else { continue };
        let place = message.sequence.wrapping_sub(sequence);
        if place > steps {
            // Left over from an earlier transaction.
            continue;
        }
        if ending.errno != 0 {
            let step = (place as usize).checked_sub(1);
            refusals.push(Refusal { step, errno: ending.errno, message: ending.message.unwrap_or_default().to_owned() });
        }
        // A refusal of the opening message is the whole answer.
        if place == 0 || place == steps {
            return true;
        }
    }
    false
}
