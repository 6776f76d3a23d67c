//! The program that drops: BPF instructions, written out here, so that neither a compiler nor an object file is needed.
//! It looks at a packet's source only, never changes a packet, and passes whatever it doesn't understand.

use sys::bpf::Instruction;

/// What lies before an address in a key: 4 or 6 as the last of four bytes, so that no prefix of one family has addresses of the other.
pub const FAMILY_BITS: u32 = 32;
/// Bytes of a key of `hosts`: the family, and the address from its first byte on, zeroes behind it.
pub const HOST_KEY: usize = 20;
/// Bytes of a key of `nets`: the number of bits (those of the family too), then as above.
pub const NET_KEY: usize = 24;
/// Bytes of a counter: a cache line, so that no two processors write to the same.
pub const COUNTER: usize = 64;
/// Counters; a processor takes that of its number, modulo this.
pub const COUNTERS: u32 = 64;

/// The maps that the program asks, as descriptors.
#[derive(Debug, Clone, Copy)]
pub struct Maps {
    /// Blocked addresses: the end of the block (nanoseconds since the machine began) as a `u64`.
    pub hosts: i32,
    /// Blocked prefixes: the same, first in the value.
    pub nets: i32,
    /// Packets dropped.
    pub dropped: i32,
}

// Registers: results in 0, arguments in 1 to 5 (a call leaves nothing in them), kept over calls: 6 to 9; 10 is the stack.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const DATA: u8 = 3;
const DATA_END: u8 = 4;
const TYPE: u8 = 5;
const END: u8 = 6;
const STACK: u8 = 10;

// Offsets on the stack: the key of a prefix, within it that of an address; a counter's number.
const BITS: i16 = -24;
const FAMILY: i16 = -20;
const ADDRESS: i16 = -16;
const INDEX: i16 = -28;

// Instructions (linux/bpf.h, linux/bpf_common.h).
const LOAD_U16: u8 = 0x69;
const LOAD_U32: u8 = 0x61;
const LOAD_U64: u8 = 0x79;
const STORE_U32: u8 = 0x63;
const STORE_U32_CONSTANT: u8 = 0x62;
const STORE_U64_CONSTANT: u8 = 0x7a;
const ATOMIC_U64: u8 = 0xdb;
const MOVE: u8 = 0xbf;
const MOVE_CONSTANT: u8 = 0xb7;
const ADD_CONSTANT: u8 = 0x07;
const AND_CONSTANT: u8 = 0x57;
const LOAD_MAP: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JUMP: u8 = 0x05;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_OTHER: u8 = 0x55;
const JUMP_IF_GREATER: u8 = 0x2d;
const JUMP_IF_NOT_GREATER: u8 = 0xbd;

// Helpers.
const MAP_LOOKUP: i32 = 1;
const PROCESSOR: i32 = 8;
const SINCE_BOOT: i32 = 125;

// What XDP makes of the packet.
const DROP: i32 = 1;
const PASS: i32 = 2;

const ETHERNET_BYTES: i32 = 14;
const TAG_BYTES: i32 = 4;
const IPV4_BYTES: i32 = 20;
const IPV6_BYTES: i32 = 40;
const TAGS: usize = 2;

/// Where a jump goes; each stands in the program once, behind all jumps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Untagged,
    V6,
    Look,
    Nets,
    Blocked,
    Drop,
    Pass,
}

/// A program that is being written.
#[derive(Debug, Default)]
struct Listing {
    code: Vec<Instruction>,
    /// Jumps that don't know yet how far they go.
    open: Vec<(usize, Label)>,
}

impl Listing {
    fn push(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction::new(code, destination, source, offset, immediate));
    }

    fn jump(&mut self, code: u8, left: u8, right: u8, constant: i32, label: Label) {
        self.open.push((self.code.len(), label));
        self.push(code, left, right, 0, constant);
    }

    fn label(&mut self, label: Label) {
        let here = self.code.len();
        self.open.retain(|&(from, to)| {
            if to == label
                && let Some(jump) = self.code.get_mut(from)
            {
                // Counted from the next instruction; the whole program has some hundred.
                *jump = jump.to((here - from - 1) as i16);
            }
            to != label
        });
    }

    /// `DATA` goes on by so many bytes, which must be there.
    fn advance(&mut self, bytes: i32) {
        self.push(ADD_CONSTANT, DATA, 0, 0, bytes);
        self.jump(JUMP_IF_GREATER, DATA, DATA_END, 0, Label::Pass);
    }

    fn store(&mut self, at: i16, bytes: [u8; 4]) {
        self.push(STORE_U32_CONSTANT, STACK, 0, at, i32::from_ne_bytes(bytes));
    }

    /// The value of the key at that place of the stack, or null.
    fn look_up(&mut self, map: i32, key: i16) {
        self.push(LOAD_MAP, R1, PSEUDO_MAP_FD, 0, map);
        self.push(0, 0, 0, 0, 0);
        self.push(MOVE, R2, STACK, 0, 0);
        self.push(ADD_CONSTANT, R2, 0, 0, key.into());
        self.push(CALL, 0, 0, 0, MAP_LOOKUP);
    }

    /// Whether the block found there is still on: jumps to one of them if so (`JUMP_IF_GREATER`) or if not (`JUMP_IF_NOT_GREATER`).
    fn still(&mut self, code: u8, label: Label) {
        self.push(LOAD_U64, END, R0, 0, 0);
        self.push(CALL, 0, 0, 0, SINCE_BOOT);
        self.jump(code, END, R0, 0, label);
    }
}

/// An Ethernet type as it is read from the packet.
fn wire(ether_type: u16) -> i32 {
    u16::from_ne_bytes(ether_type.to_be_bytes()).into()
}

/// The program.
pub fn program(maps: &Maps) -> Vec<Instruction> {
    let mut listing = Listing::default();
    let l = &mut listing;
    // struct xdp_md: where the packet begins and where it ends.
    l.push(LOAD_U32, DATA, R1, 0, 0);
    l.push(LOAD_U32, DATA_END, R1, 4, 0);
    l.advance(ETHERNET_BYTES);
    l.push(LOAD_U16, TYPE, DATA, -2, 0);
    // 802.1Q and 802.1ad.
    for _ in 0..TAGS {
        l.push(MOVE, R0, TYPE, 0, 0);
        // Over the next jump.
        l.push(JUMP_IF_EQUAL, R0, 0, 1, wire(0x8100));
        l.jump(JUMP_IF_OTHER, R0, 0, wire(0x88a8), Label::Untagged);
        l.advance(TAG_BYTES);
        l.push(LOAD_U16, TYPE, DATA, -2, 0);
    }
    l.label(Label::Untagged);
    l.store(BITS, (FAMILY_BITS + 128).to_ne_bytes());
    l.jump(JUMP_IF_OTHER, TYPE, 0, wire(0x0800), Label::V6);
    l.advance(IPV4_BYTES);
    l.store(FAMILY, [0, 0, 0, 4]);
    l.push(LOAD_U32, R0, DATA, 12 - IPV4_BYTES as i16, 0);
    l.push(STORE_U32, STACK, R0, ADDRESS, 0);
    l.store(ADDRESS + 4, [0; 4]);
    l.push(STORE_U64_CONSTANT, STACK, 0, ADDRESS + 8, 0);
    l.jump(JUMP, 0, 0, 0, Label::Look);
    l.label(Label::V6);
    l.jump(JUMP_IF_OTHER, TYPE, 0, wire(0x86dd), Label::Pass);
    l.advance(IPV6_BYTES);
    l.store(FAMILY, [0, 0, 0, 6]);
    // In words, which are aligned on every machine.
    for word in [0, 4, 8, 12] {
        l.push(LOAD_U32, R0, DATA, 8 - IPV6_BYTES as i16 + word, 0);
        l.push(STORE_U32, STACK, R0, ADDRESS + word, 0);
    }
    l.label(Label::Look);
    l.look_up(maps.hosts, FAMILY);
    l.jump(JUMP_IF_EQUAL, R0, 0, 0, Label::Nets);
    l.still(JUMP_IF_GREATER, Label::Blocked);
    l.label(Label::Nets);
    l.look_up(maps.nets, BITS);
    l.jump(JUMP_IF_EQUAL, R0, 0, 0, Label::Pass);
    l.still(JUMP_IF_NOT_GREATER, Label::Pass);
    l.label(Label::Blocked);
    l.push(CALL, 0, 0, 0, PROCESSOR);
    l.push(AND_CONSTANT, R0, 0, 0, COUNTERS as i32 - 1);
    l.push(STORE_U32, STACK, R0, INDEX, 0);
    l.look_up(maps.dropped, INDEX);
    l.jump(JUMP_IF_EQUAL, R0, 0, 0, Label::Drop);
    l.push(MOVE_CONSTANT, R1, 0, 0, 1);
    l.push(ATOMIC_U64, R0, R1, 0, 0);
    l.label(Label::Drop);
    l.push(MOVE_CONSTANT, R0, 0, 0, DROP);
    l.push(EXIT, 0, 0, 0, 0);
    l.label(Label::Pass);
    l.push(MOVE_CONSTANT, R0, 0, 0, PASS);
    l.push(EXIT, 0, 0, 0, 0);
    debug_assert!(listing.open.is_empty(), "every label stands somewhere");
    listing.code
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::bpf::{Map, MapKind, MapShape, Program};

    /// The program with maps of its own, in which 192.0.2.7, 2001:db8::7, 198.51.100.0/24 and 2001:db8:5::/48 are blocked.
    struct Loaded {
        program: Program,
        dropped: Map,
    }

    impl Loaded {
        /// `None` where BPF is not allowed.
        fn new() -> Option<Self> {
            let shape = |kind, key, value| MapShape { kind, key, value, entries: COUNTERS };
            let hosts = match Map::new("rp_hosts", shape(MapKind::Hash, HOST_KEY, 8)) {
                Ok(map) => map,
                // Tests run without root, too.
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
                    return None;
                }
            };
            let nets = Map::new("rp_nets", shape(MapKind::LongestPrefix, NET_KEY, 16)).unwrap();
            let dropped = Map::new("rp_dropped", shape(MapKind::Array, 4, COUNTER)).unwrap();
            let maps = Maps { hosts: hosts.number(), nets: nets.number(), dropped: dropped.number() };
            let program = Program::for_xdp("rp_test", &program(&maps)).unwrap_or_else(|error| panic!("{error}"));
            let (never, over) = ([255; 16], [0; 16]);
            hosts.set(&key(&[192, 0, 2, 7]), &never[..8]).unwrap();
            hosts.set(&key(&V6), &never[..8]).unwrap();
            hosts.set(&key(&[192, 0, 2, 8]), &over[..8]).unwrap();
            // A block of the address alone that is over, within a prefix that is not.
            hosts.set(&key(&[198, 51, 100, 1]), &over[..8]).unwrap();
            nets.set(&net(&[198, 51, 100, 0], 24), &never).unwrap();
            nets.set(&net(&[0x20, 1, 0x0d, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 48), &never).unwrap();
            nets.set(&net(&[203, 0, 113, 0], 24), &over).unwrap();
            Some(Loaded { program, dropped })
        }

        fn is_dropped(&self, packet: &[u8]) -> bool {
            match self.program.run(packet, 1).unwrap().0 as i32 {
                DROP => true,
                PASS => false,
                other => panic!("{other}"),
            }
        }

        fn count(&self) -> u64 {
            let count = |index: u32| {
                let mut value = [0; COUNTER];
                assert!(self.dropped.read(&index.to_ne_bytes(), &mut value).unwrap());
                u64::from_ne_bytes(*value.first_chunk().unwrap())
            };
            (0..COUNTERS).map(count).sum()
        }
    }

    const V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

    fn key(address: &[u8]) -> [u8; HOST_KEY] {
        let mut key = [0; HOST_KEY];
        key[3] = if address.len() == 4 { 4 } else { 6 };
        key[4..4 + address.len()].copy_from_slice(address);
        key
    }

    fn net(address: &[u8], bits: u32) -> Vec<u8> {
        [&(FAMILY_BITS + bits).to_ne_bytes()[..], &key(address)].concat()
    }

    /// A frame with these tags and the shortest packet from this source.
    fn frame(tags: &[u16], source: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        tags.iter().for_each(|tag| frame.extend([tag.to_be_bytes(), [0, 5]].concat()));
        match source.len() {
            4 => frame.extend([&[8, 0, 0x45][..], &[0; 11], source, &[10, 0, 0, 1]].concat()),
            _ => frame.extend([&[0x86, 0xdd, 0x60][..], &[0; 7], source, &[1; 16]].concat()),
        }
        frame
    }

    #[test]
    fn sources_are_found_behind_any_tags() {
        let Some(loaded) = Loaded::new() else { return };
        let v6_net = [0x20, 1, 0x0d, 0xb8, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        let blocked: [&[u8]; 5] = [&[192, 0, 2, 7], &V6, &[198, 51, 100, 255], &v6_net, &[198, 51, 100, 1]];
        let mut other = V6;
        other[15] = 8;
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7];
        // Others, one whose block is over, a prefix that is over, and an IPv4 address within an IPv6 one.
        let free: [&[u8]; 5] = [&[192, 0, 2, 9], &other, &[192, 0, 2, 8], &[203, 0, 113, 5], &mapped];
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
            for source in blocked {
                assert!(loaded.is_dropped(&frame(tags, source)), "{tags:x?} {source:?}");
            }
            for source in free {
                assert!(!loaded.is_dropped(&frame(tags, source)), "{tags:x?} {source:?}");
            }
        }
        assert_eq!(loaded.count(), 4 * 5);
    }

    #[test]
    fn what_is_not_understood_passes() {
        let Some(loaded) = Loaded::new() else { return };
        // Three tags, ARP, and packets that are cut anywhere.
        assert!(!loaded.is_dropped(&frame(&[0x8100; 3], &[192, 0, 2, 7])));
        let mut arp = frame(&[], &[192, 0, 2, 7]);
        arp[12..14].copy_from_slice(&[8, 6]);
        assert!(!loaded.is_dropped(&arp));
        for source in [&[192, 0, 2, 7][..], &V6] {
            let whole = frame(&[0x88a8, 0x8100], source);
            for length in 14..whole.len() {
                assert!(!loaded.is_dropped(&whole[..length]), "{length}");
            }
            assert!(loaded.is_dropped(&whole));
        }
    }
}
