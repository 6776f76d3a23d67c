//! The expressions that rules are made of, as bytes for the kernel. Never executes or parses anything.
//! Numbers and layouts: linux/netfilter/nf_tables.h. All expressions work through register 1, but that `Direct` takes its port from register 2.

use crate::netlink::message::Message;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_REG_2: u32 = 2;
const NFT_META_IIF: u32 = 4;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFT_META_PKTTYPE: u32 = 19;
const NFT_CT_STATE: u32 = 0;
const NFT_LIMIT_F_INV: u32 = 1;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFT_DYNSET_OP_ADD: u32 = 0;
const NFT_DYNSET_OP_UPDATE: u32 = 1;
const NFT_LOOKUP_F_INV: u32 = 1;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFTA_FIB_F_DADDR: u32 = 2;
const NFT_SOCKET_TRANSPARENT: u32 = 0;

/// A property of a packet that is no part of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The number of the interface that it came in by, as 4 bytes in host order.
    InputInterface,
    /// The address family: 1 byte, 2 for IPv4, 10 for IPv6.
    Family,
    /// The transport protocol behind all extension headers: 1 byte.
    Protocol,
    /// For whom the frame was: 1 byte, 0 for this host, else broadcast, multicast or somebody else.
    PacketType,
}

/// The header that an offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP, ICMP and so on. Loading from it fails, and the rule with it, if there is none.
    Transport,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// At most, as a big-endian number.
    AtMost,
    /// At least, as a big-endian number.
    AtLeast,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is dropped.
    Drop,
    /// This chain has nothing more to say.
    Return,
}

/// A token bucket for packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Packets in the time below.
    pub rate: u64,
    /// That time, in seconds.
    pub secs: u64,
    /// Packets beyond the rate that may come at once.
    pub burst: u32,
}

/// One step of a rule. A step that does not hold ends the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expression<'a> {
    /// Loads a property.
    Meta(Meta),
    /// Loads the state of the packet's connection as a bit set (4 bytes, host order; 2 established, 4 related).
    ConnectionState,
    /// Loads bytes of the packet.
    Payload {
        /// Counted from where.
        header: Header,
        /// Where they start.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// Keeps only these bits of what was loaded.
    Mask(&'a [u8]),
    /// Compares what was loaded.
    Compare(Comparison, &'a [u8]),
    /// Holds if the set has what was loaded.
    Lookup(&'a str),
    /// Holds if the set has not got what was loaded.
    Absent(&'a str),
    /// Counts into a named counter.
    Count(&'a str),
    /// Holds as long as the bucket has tokens.
    Within(Limit),
    /// Holds once the bucket is empty.
    Beyond(Limit),
    /// Gives what was loaded an own bucket in a dynamic set, and holds once that bucket is empty.
    /// Does not hold for newcomers if the set is full.
    SourceOver {
        /// The set.
        set: &'a str,
        /// For how long a bucket is remembered, in milliseconds.
        timeout_millis: u64,
        /// The bucket.
        limit: Limit,
    },
    /// Adds what was loaded to a set, for so long. Does not hold if the set is full.
    Add {
        /// The set.
        set: &'a str,
        /// For how long, in milliseconds.
        timeout_millis: u64,
    },
    /// Loads what kind of address the destination is, by the routing tables (4 bytes, host order; 2 is the host's own).
    DestinationKind,
    /// Holds if a socket waits for this packet (a listener, or the very connection), and loads whether it is a transparent one (1 byte).
    Socket,
    /// Loads constants: an address, and a port (2 bytes, big-endian).
    Target(&'a [u8], [u8; 2]),
    /// Hands the packet to the transparent socket that listens at the address and port of `Target`, without changing the packet.
    /// Does not hold if there is none. The number is the address family's, as in `Meta::Family`.
    Direct(u8),
    /// Hands the packet's first bytes to user space (NFLOG), one message for each packet.
    Log {
        /// The NFLOG group.
        group: u16,
        /// How many bytes.
        snap_bytes: u32,
        /// What it says in front: at most 127 bytes.
        prefix: Option<&'a str>,
    },
    /// Decides.
    Verdict(Verdict),
}

/// Appends the expressions as the nested attribute `attribute`.
pub(super) fn put_all(message: &mut Message<'_>, attribute: u16, expressions: &[Expression<'_>]) {
    let list = message.nest(attribute);
    for expression in expressions {
        put_one(message, NFTA_LIST_ELEM, *expression);
    }
    message.end(list);
}

fn put_constant(message: &mut Message<'_>, attribute: u16, register: u32, value: &[u8]) {
    let element = message.nest(attribute);
    message.put_str(NFTA_EXPR_NAME, "immediate");
    let data = message.nest(NFTA_EXPR_DATA);
    message.put_u32_be(1, register);
    put_value(message, 2, value);
    message.end(data);
    message.end(element);
}

/// Appends one expression, with its name and data, as the nested attribute `attribute`.
fn put_one(message: &mut Message<'_>, attribute: u16, expression: Expression<'_>) {
    if let Expression::Target(address, port) = expression {
        put_constant(message, attribute, NFT_REG_1, address);
        return put_constant(message, attribute, NFT_REG_2, &port);
    }
    let element = message.nest(attribute);
    message.put_str(NFTA_EXPR_NAME, name(expression));
    let data = message.nest(NFTA_EXPR_DATA);
    put_data(message, expression);
    message.end(data);
    message.end(element);
}

fn name(expression: Expression<'_>) -> &'static str {
    match expression {
        Expression::Meta(_) => "meta",
        Expression::ConnectionState => "ct",
        Expression::Payload { .. } => "payload",
        Expression::Mask(_) => "bitwise",
        Expression::Compare(..) => "cmp",
        Expression::Lookup(_) | Expression::Absent(_) => "lookup",
        Expression::Count(_) => "objref",
        Expression::Within(_) | Expression::Beyond(_) => "limit",
        Expression::SourceOver { .. } | Expression::Add { .. } => "dynset",
        Expression::DestinationKind => "fib",
        Expression::Socket => "socket",
        Expression::Direct(_) => "tproxy",
        Expression::Log { .. } => "log",
        Expression::Target(..) | Expression::Verdict(_) => "immediate",
    }
}

fn put_data(message: &mut Message<'_>, expression: Expression<'_>) {
    match expression {
        Expression::Meta(meta) => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, meta_key(meta));
        }
        Expression::ConnectionState => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, NFT_CT_STATE);
        }
        Expression::Payload { header, offset, length } => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, header_base(header));
            message.put_u32_be(3, offset);
            message.put_u32_be(4, length);
        }
        Expression::Mask(mask) => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, NFT_REG_1);
            message.put_u32_be(3, mask.len() as u32);
            put_value(message, 4, mask);
            put_value(message, 5, [0; 16].get(..mask.len()).unwrap_or(&[0; 16]));
        }
        Expression::Compare(comparison, value) => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, comparison_code(comparison));
            put_value(message, 3, value);
        }
        Expression::Lookup(set) => {
            message.put_str(1, set);
            message.put_u32_be(2, NFT_REG_1);
        }
        Expression::Absent(set) => {
            message.put_str(1, set);
            message.put_u32_be(2, NFT_REG_1);
            message.put_u32_be(5, NFT_LOOKUP_F_INV);
        }
        Expression::Count(counter) => {
            message.put_u32_be(1, NFT_OBJECT_COUNTER);
            message.put_str(2, counter);
        }
        Expression::Within(limit) => put_limit(message, limit, 0),
        Expression::Beyond(limit) => put_limit(message, limit, NFT_LIMIT_F_INV),
        Expression::SourceOver { set, timeout_millis, limit } => {
            message.put_str(1, set);
            message.put_u32_be(3, NFT_DYNSET_OP_UPDATE);
            message.put_u32_be(4, NFT_REG_1);
            message.put_u64_be(6, timeout_millis);
            let bucket = message.nest(7);
            message.put_str(NFTA_EXPR_NAME, "limit");
            let data = message.nest(NFTA_EXPR_DATA);
            put_limit(message, limit, NFT_LIMIT_F_INV);
            message.end(data);
            message.end(bucket);
        }
        Expression::Add { set, timeout_millis } => {
            message.put_str(1, set);
            message.put_u32_be(3, NFT_DYNSET_OP_ADD);
            message.put_u32_be(4, NFT_REG_1);
            message.put_u64_be(6, timeout_millis);
        }
        Expression::DestinationKind => {
            message.put_u32_be(1, NFT_REG_1);
            message.put_u32_be(2, NFT_FIB_RESULT_ADDRTYPE);
            message.put_u32_be(3, NFTA_FIB_F_DADDR);
        }
        Expression::Socket => {
            message.put_u32_be(1, NFT_SOCKET_TRANSPARENT);
            message.put_u32_be(2, NFT_REG_1);
        }
        Expression::Direct(family) => {
            message.put_u32_be(1, u32::from(family));
            message.put_u32_be(2, NFT_REG_1);
            message.put_u32_be(3, NFT_REG_2);
        }
        // Two expressions: see `put_one`.
        Expression::Target(..) => {}
        Expression::Log { group, snap_bytes, prefix } => {
            message.put_u16_be(1, group);
            if let Some(prefix) = prefix {
                message.put_str(2, prefix);
            }
            message.put_u32_be(3, snap_bytes);
            message.put_u16_be(4, 1);
        }
        Expression::Verdict(verdict) => {
            message.put_u32_be(1, NFT_REG_VERDICT);
            let data = message.nest(2);
            let inner = message.nest(NFTA_DATA_VERDICT);
            message.put_u32_be(NFTA_VERDICT_CODE, verdict_code(verdict));
            message.end(inner);
            message.end(data);
        }
    }
}

fn put_limit(message: &mut Message<'_>, limit: Limit, flags: u32) {
    message.put_u64_be(1, limit.rate);
    message.put_u64_be(2, limit.secs);
    message.put_u32_be(3, limit.burst);
    message.put_u32_be(4, 0);
    message.put_u32_be(5, flags);
}

/// Appends a value as the kernel's `nft_data`.
pub(super) fn put_value(message: &mut Message<'_>, attribute: u16, value: &[u8]) {
    let nest = message.nest(attribute);
    message.put(NFTA_DATA_VALUE, value);
    message.end(nest);
}

fn meta_key(meta: Meta) -> u32 {
    match meta {
        Meta::InputInterface => NFT_META_IIF,
        Meta::Family => NFT_META_NFPROTO,
        Meta::Protocol => NFT_META_L4PROTO,
        Meta::PacketType => NFT_META_PKTTYPE,
    }
}

fn header_base(header: Header) -> u32 {
    match header {
        Header::Network => 1,
        Header::Transport => 2,
    }
}

fn comparison_code(comparison: Comparison) -> u32 {
    match comparison {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::AtMost => 3,
        Comparison::AtLeast => 5,
    }
}

fn verdict_code(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Drop => 0,
        // NFT_RETURN is -5.
        Verdict::Return => (-5_i32) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of one expression, without the message around it.
    fn bytes(expression: Expression<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut message = Message::begin(&mut bytes, 0, 0, 0);
        put_one(&mut message, NFTA_LIST_ELEM, expression);
        message.finish().unwrap();
        bytes.split_off(16)
    }

    /// An attribute: length with header, number, value, padding. Lengths and numbers are in the host's order.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut all = [((value.len() + 4) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        all.extend_from_slice(value);
        all.resize(all.len().next_multiple_of(4), 0);
        all
    }

    fn nest(kind: u16, inside: &[Vec<u8>]) -> Vec<u8> {
        attribute(kind | 0x8000, &inside.concat())
    }

    fn named(name: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
        nest(1, &[attribute(1, name), nest(2, data)])
    }

    fn be(kind: u16, value: u32) -> Vec<u8> {
        attribute(kind, &value.to_be_bytes())
    }

    #[test]
    fn expressions_are_what_the_kernel_reads() {
        // The first one byte by byte, as nft itself sends it.
        let meta = [
            0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0, b'm', b'e', b't', b'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, 8, 0, 1, 0, 0, 0, 0, 1, 8, 0,
            2, 0, 0, 0, 0, 15,
        ];
        #[cfg(target_endian = "little")]
        assert_eq!(bytes(Expression::Meta(Meta::Family)), meta);
        assert_eq!(bytes(Expression::Meta(Meta::PacketType)), named(b"meta\0", &[be(1, 1), be(2, 19)]));
        assert_eq!(bytes(Expression::ConnectionState), named(b"ct\0", &[be(1, 1), be(2, 0)]));
        let payload = Expression::Payload { header: Header::Network, offset: 12, length: 4 };
        assert_eq!(bytes(payload), named(b"payload\0", &[be(1, 1), be(2, 1), be(3, 12), be(4, 4)]));
        let mask = named(b"bitwise\0", &[be(1, 1), be(2, 1), be(3, 1), nest(4, &[attribute(1, &[4])]), nest(5, &[attribute(1, &[0])])]);
        assert_eq!(bytes(Expression::Mask(&[4])), mask);
        let compare = Expression::Compare(Comparison::AtMost, &[12]);
        assert_eq!(bytes(compare), named(b"cmp\0", &[be(1, 1), be(2, 3), nest(3, &[attribute(1, &[12])])]));
        assert_eq!(bytes(Expression::Lookup("set")), named(b"lookup\0", &[attribute(1, b"set\0"), be(2, 1)]));
        assert_eq!(bytes(Expression::Count("one")), named(b"objref\0", &[be(1, 1), attribute(2, b"one\0")]));
        let log = Expression::Log { group: 5, snap_bytes: 256, prefix: None };
        assert_eq!(bytes(log), named(b"log\0", &[attribute(1, &[0, 5]), be(3, 256), attribute(4, &[0, 1])]));
        let named_log = named(b"log\0", &[attribute(1, &[0, 5]), attribute(2, b"trap\0"), be(3, 256), attribute(4, &[0, 1])]);
        assert_eq!(bytes(Expression::Log { group: 5, snap_bytes: 256, prefix: Some("trap") }), named_log);
        let verdict = |code| named(b"immediate\0", &[be(1, 0), nest(2, &[nest(2, &[be(1, code)])])]);
        assert_eq!(bytes(Expression::Verdict(Verdict::Drop)), verdict(0));
        assert_eq!(bytes(Expression::Verdict(Verdict::Return)), verdict(0xFFFF_FFFB));
    }

    #[test]
    fn rations_are_what_the_kernel_reads() {
        let be64 = |kind, value: u64| attribute(kind, &value.to_be_bytes());
        let limit = |flags| [be64(1, 100), be64(2, 1), be(3, 300), be(4, 0), be(5, flags)];
        let ration = Limit { rate: 100, secs: 1, burst: 300 };
        assert_eq!(bytes(Expression::Within(ration)), named(b"limit\0", &limit(0)));
        let over = Expression::SourceOver { set: "sources", timeout_millis: 60_000, limit: ration };
        let bucket = nest(7, &[attribute(1, b"limit\0"), nest(2, &limit(1))]);
        let data = [attribute(1, b"sources\0"), be(3, 1), be(4, 1), be64(6, 60_000), bucket];
        assert_eq!(bytes(over), named(b"dynset\0", &data));
        assert_eq!(
            bytes(Expression::Beyond(Limit { secs: 60, ..ration })),
            named(b"limit\0", &[be64(1, 100), be64(2, 60), be(3, 300), be(4, 0), be(5, 1)])
        );
    }

    #[test]
    fn what_guarded_ports_take_is_what_the_kernel_reads() {
        assert_eq!(bytes(Expression::Absent("set")), named(b"lookup\0", &[attribute(1, b"set\0"), be(2, 1), be(5, 1)]));
        assert_eq!(bytes(Expression::DestinationKind), named(b"fib\0", &[be(1, 1), be(2, 3), be(3, 2)]));
        assert_eq!(bytes(Expression::Socket), named(b"socket\0", &[be(1, 0), be(2, 1)]));
        assert_eq!(bytes(Expression::Direct(10)), named(b"tproxy\0", &[be(1, 10), be(2, 1), be(3, 2)]));
        let data = [attribute(1, b"set\0"), be(3, 0), be(4, 1), attribute(6, &10_000_u64.to_be_bytes())];
        assert_eq!(bytes(Expression::Add { set: "set", timeout_millis: 10_000 }), named(b"dynset\0", &data));
        let constant = |register, value: &[u8]| named(b"immediate\0", &[be(1, register), nest(2, &[attribute(1, value)])]);
        assert_eq!(bytes(Expression::Target(&[127, 0, 0, 1], [0, 9])), [constant(1, &[127, 0, 0, 1]), constant(2, &[0, 9])].concat());
    }
}
