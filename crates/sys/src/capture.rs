//! Packets as the kernel takes them in, before any packet filter, through a ring of memory that it shares with us (AF_PACKET, TPACKET_V3).
//! Opened with privilege, read without. Hands packets on as bytes and never reads them.
//!
//! A socket is bound to one kind of packet (IPv4 or IPv6) and to no interface: so it gets each packet once, where IP itself gets it, behind
//! VLANs, bridges and bonds and without outgoing ones, whatever link it came in on. Layouts and numbers: `linux/if_packet.h`.

pub mod filter;

use crate::fd::{checked, owned};
use filter::Filter;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a block: the kernel hands over so many at once.
const BLOCK_BYTES: usize = 64 << 10;
/// What the kernel wants to know of a frame, though a block's frames are as long as their packets.
const FRAME_BYTES: u32 = 2_048;
/// A block that is not full is handed over after so long, in milliseconds.
const RETIRE_MILLIS: u32 = 10;
/// Blocks of one ring: fewer could not be filled and read at the same time.
const BLOCKS_MIN: usize = 4;
/// Where a block's header has its fields (`tpacket_block_desc`).
const STATUS: usize = 8;
const PACKETS: usize = 12;
const FIRST: usize = 16;
const SEQUENCE: usize = 24;
const BLOCK_HEADER: usize = 48;
/// And a packet's (`tpacket3_hdr`, then `sockaddr_ll`).
const NEXT: usize = 0;
const SNAPPED: usize = 12;
const MAC: usize = 24;
const INTERFACE: usize = 52;
const PACKET_HEADER: usize = 68;

/// Which packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Version {
    /// Both.
    pub const ALL: [Version; 2] = [Version::V4, Version::V6];
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'b> {
    /// From its IP header on, as far as the filter wanted it.
    pub payload: &'b [u8],
    /// The number of the interface that it came in on.
    pub interface: u32,
}

/// What was read, and what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingCounts {
    /// Packets handed on.
    pub packets: u64,
    /// Packets that the filter let pass and for which the ring had no room.
    pub lost: u64,
    /// Packets with a header that can't be.
    pub odd: u64,
}

/// Opens a socket for one kind of packet, with a ring of at most this many bytes; needs CAP_NET_RAW. Nothing comes in before there is a
/// filter (`Ring::attach`).
///
/// # Errors
/// If the kernel refuses (`PermissionDenied` without the capability, `OutOfMemory`).
pub fn open(version: Version, bytes: usize) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointer.
    let socket = owned(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
    attach(&socket, &Filter::nothing())?;
    let blocks = blocks(bytes) as u32;
    let request = libc::tpacket_req3 {
        tp_block_size: BLOCK_BYTES as u32,
        tp_block_nr: blocks,
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: blocks * (BLOCK_BYTES as u32 / FRAME_BYTES),
        tp_retire_blk_tov: RETIRE_MILLIS,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(&socket, libc::PACKET_RX_RING, &request)?;
    let protocol = match version {
        Version::V4 => libc::ETH_P_IP,
        Version::V6 => libc::ETH_P_IPV6,
    };
    // SAFETY: sockaddr_ll is plain integers, for which all zeros is valid.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    let length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is valid for its length; the kernel only reads it.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

fn blocks(bytes: usize) -> usize {
    (bytes / BLOCK_BYTES).max(BLOCKS_MIN)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    set_at(socket, libc::SOL_PACKET, option, value)
}

fn set_at<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is valid for its length and lives through the call; the kernel only reads it.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(value).cast(), length) }).map(drop)
}

fn attach(socket: &OwnedFd, filter: &Filter) -> io::Result<()> {
    let steps = filter.steps();
    let length = u16::try_from(steps.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel only reads the program, and copies it.
    let program = libc::sock_fprog { len: length, filter: steps.as_ptr().cast_mut() };
    set_at(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Memory shared with the kernel.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(socket: &OwnedFd, bytes: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, bytes })
    }

    /// The word that says whose block n is.
    fn status(&self, block: usize) -> &AtomicU32 {
        assert!((block + 1) * BLOCK_BYTES <= self.bytes, "no such block");
        // SAFETY: within the mapping, as was just checked; blocks begin at page boundaries, so the word is aligned. Kernel and reader only
        // ever change it as a whole.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(block * BLOCK_BYTES + STATUS).cast()) }
    }

    /// Whether block n is ours to read.
    fn is_ours(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Block n, if it is ours to read.
    fn block(&self, block: usize) -> Option<&[u8]> {
        if !self.is_ours(block) {
            return None;
        }
        // SAFETY: within the mapping (`status` has checked that), and the kernel writes nothing into a block that is ours; it becomes the
        // kernel's again in `release` alone, which takes `&mut self`, so no slice outlives that.
        Some(unsafe { slice::from_raw_parts(self.start.as_ptr().add(block * BLOCK_BYTES), BLOCK_BYTES) })
    }

    fn release(&mut self, block: usize) {
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which nothing refers any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// A ring, as its reader has it.
#[derive(Debug)]
pub struct Ring {
    map: Mapping,
    socket: OwnedFd,
    blocks: usize,
    /// The block that the kernel hands over next.
    next: usize,
    counts: RingCounts,
}

impl Ring {
    /// Takes over a socket that another process opened with `bytes` (see [`open`]), at the place where an earlier reader ended.
    ///
    /// # Errors
    /// If it has no such ring.
    pub fn from_fd(socket: OwnedFd, bytes: usize) -> io::Result<Self> {
        let blocks = blocks(bytes);
        let map = Mapping::new(&socket, blocks * BLOCK_BYTES)?;
        let next = oldest(&map, blocks);
        Ok(Ring { map, socket, blocks, next, counts: RingCounts::default() })
    }

    /// Lets through what this filter lets through, from now on.
    ///
    /// # Errors
    /// If the kernel refuses: then the former one stands.
    pub fn attach(&self, filter: &Filter) -> io::Result<()> {
        attach(&self.socket, filter)
    }

    /// Hands over what is there, at most `most` blocks, and returns how many blocks that were. Zero: nothing is there.
    pub fn receive(&mut self, most: usize, mut sink: impl FnMut(&Captured<'_>)) -> usize {
        for read in 0..most {
            let Some(block) = self.map.block(self.next) else { return read };
            let counts = &mut self.counts;
            counts.odd += walk(block, |packet| {
                counts.packets += 1;
                sink(packet);
            });
            self.map.release(self.next);
            self.next = (self.next + 1) % self.blocks;
        }
        most
    }

    /// What was read and lost so far. Asks the kernel.
    pub fn counts(&mut self) -> RingCounts {
        // SAFETY: tpacket_stats_v3 is plain integers, for which all zeros is valid.
        let mut found: libc::tpacket_stats_v3 = unsafe { mem::zeroed() };
        let mut length = mem::size_of_val(&found) as libc::socklen_t;
        // SAFETY: the place is valid for the length that is told; the kernel writes no more.
        let done = unsafe {
            libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, (&raw mut found).cast(), &raw mut length)
        };
        // The kernel begins at zero again with each answer.
        self.counts.lost += if done == 0 { u64::from(found.tp_drops) } else { 0 };
        self.counts
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where to go on: at the oldest block that waits, or, if none does, at the one that the kernel fills now: that has the highest number.
fn oldest(map: &Mapping, blocks: usize) -> usize {
    let number = |block: usize| {
        assert!((block + 1) * BLOCK_BYTES <= map.bytes, "no such block");
        // SAFETY: within the mapping; one aligned word, read as a whole, of which any value is one.
        unsafe { ptr::read_volatile(map.start.as_ptr().add(block * BLOCK_BYTES + SEQUENCE).cast::<u64>()) }
    };
    let waiting = (0..blocks).filter(|block| map.is_ours(*block)).min_by_key(|block| number(*block));
    waiting.or_else(|| (0..blocks).max_by_key(|block| (number(*block), std::cmp::Reverse(*block)))).unwrap_or(0)
}

/// Goes through a block's packets and says how many were odd.
fn walk(block: &[u8], mut sink: impl FnMut(&Captured<'_>)) -> u64 {
    let (mut at, packets) = (word(block, FIRST).unwrap_or(0), word(block, PACKETS).unwrap_or(0));
    for n in 0..packets {
        let Some(packet) = at.checked_sub(BLOCK_HEADER).and_then(|_| read(block.get(at..)?)) else { return (packets - n) as u64 };
        sink(&packet);
        at += word(block, at + NEXT).unwrap_or(0);
    }
    0
}

fn read(bytes: &[u8]) -> Option<Captured<'_>> {
    bytes.get(..PACKET_HEADER)?;
    let snapped = word(bytes, SNAPPED)?;
    let from = usize::from(u16::from_ne_bytes(*bytes.get(MAC..)?.first_chunk()?));
    let payload = bytes.get(from..from.checked_add(snapped)?)?;
    Some(Captured { payload, interface: word(bytes, INTERFACE)? as u32 })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block as the kernel writes it.
    fn block(packets: &[(&[u8], u32)]) -> Vec<u8> {
        let mut block = vec![0; BLOCK_HEADER];
        block[PACKETS..PACKETS + 4].copy_from_slice(&(packets.len() as u32).to_ne_bytes());
        block[FIRST..FIRST + 4].copy_from_slice(&(BLOCK_HEADER as u32).to_ne_bytes());
        for (payload, interface) in packets {
            let mut packet = vec![0; 88];
            packet[SNAPPED..SNAPPED + 4].copy_from_slice(&(payload.len() as u32).to_ne_bytes());
            packet[MAC..MAC + 2].copy_from_slice(&88_u16.to_ne_bytes());
            packet[INTERFACE..INTERFACE + 4].copy_from_slice(&interface.to_ne_bytes());
            packet.extend_from_slice(payload);
            packet.resize(packet.len().next_multiple_of(8), 0);
            let next = packet.len() as u32;
            packet[..4].copy_from_slice(&next.to_ne_bytes());
            block.extend(packet);
        }
        block
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let mut seen = Vec::new();
        let odd = walk(&block(&[(b"one", 2), (b"", 3), (b"three", 4)]), |p| seen.push((p.payload.to_vec(), p.interface)));
        assert_eq!((odd, seen), (0, vec![(b"one".to_vec(), 2), (Vec::new(), 3), (b"three".to_vec(), 4)]));
    }

    proptest! {
        #[test]
        fn no_block_leads_outside_of_it(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = block(&[(b"one", 2), (b"two", 3)]);
            let at = at.index(bytes.len());
            bytes[at] = value;
            bytes.truncate(cut.index(bytes.len()) + 1);
            let mut seen = 0;
            walk(&bytes, |_| seen += 1);
            prop_assert!(seen <= bytes.len());
        }
    }
}
