//! Reads back what the table holds. Never trusts an answer's shape: what does not fit is passed over.

use super::expression;
use super::{Chain, Count, Element, Hook, Key, KeyKind, NftError, OwnTable, Refusal, SetShape, message_kind, open_socket};
use crate::netlink::message::{Attributes, Message, Received, messages};
use crate::netlink::{NetlinkError, NetlinkSocket};

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_DATA_VALUE: u16 = 1;
const NFT_OBJECT_COUNTER: u32 = 1;
const NF_ACCEPT: u32 = 1;
const KEPT_CHANGING: &str = "it kept changing while it was listed";
/// A listing that somebody's change came between is begun again this often.
const LIST_TRIES: usize = 8;

impl OwnTable {
    /// Whether the table is there.
    pub fn exists(&mut self) -> Result<bool, NftError> {
        let answers = self.list(libc::NFT_MSG_GETTABLE, libc::NLM_F_ACK, |_| {}, |_, answers| answers.push(()));
        Ok(!absent(answers)?.is_empty())
    }

    /// Whether there is a chain of this name, and if so its shape: `Some(None)` for a chain that is none that we make.
    pub fn chain(&mut self, name: &str) -> Result<Option<Option<Chain>>, NftError> {
        let parse = |attributes: Attributes<'_>, chains: &mut Vec<_>| chains.push(parse_chain(attributes));
        let chains = self.list(libc::NFT_MSG_GETCHAIN, libc::NLM_F_ACK, |message| message.put_str(3, name), parse);
        Ok(absent(chains)?.pop())
    }

    /// The generation: the kernel counts every transaction of anybody's.
    pub fn generation(&mut self) -> Result<u32, NftError> {
        let parse = |attributes: Attributes<'_>, found: &mut Vec<u32>| found.extend(parse_generation(attributes).0);
        let found = self.list(libc::NFT_MSG_GETGEN, libc::NLM_F_ACK, |_| {}, parse)?;
        found.first().copied().ok_or_else(|| NftError::refused(libc::ENODATA, "no generation was told"))
    }

    /// The sets, sorted by name; a shape is `None` if it is none that we make. Empty if there is no table.
    pub fn sets(&mut self) -> Result<Vec<(String, Option<SetShape>)>, NftError> {
        let table = self.name;
        let parse = |attributes: Attributes<'_>, sets: &mut Vec<_>| sets.extend(parse_set(attributes, table));
        let mut sets = absent(self.list(libc::NFT_MSG_GETSET, libc::NLM_F_DUMP, |_| {}, parse))?;
        sets.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(sets)
    }

    /// The named counters, sorted by name. Empty if there is no table.
    pub fn counters(&mut self) -> Result<Vec<(String, Count)>, NftError> {
        let table = self.name;
        let fill = |message: &mut Message<'_>| message.put_u32_be(3, NFT_OBJECT_COUNTER);
        let parse = |attributes: Attributes<'_>, counters: &mut Vec<_>| counters.extend(parse_counter(attributes, table));
        let mut counters = absent(self.list(libc::NFT_MSG_GETOBJ, libc::NLM_F_DUMP, fill, parse))?;
        counters.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(counters)
    }

    /// The elements of a set, in no order. `ENOENT` if there is no such set, `E2BIG` if it has more than `most`: the kernel lists
    /// a hash set in quadratic time, so a large one is better not listed at all.
    pub fn elements(&mut self, set: &str, most: usize) -> Result<Vec<Element>, NftError> {
        for _ in 0..LIST_TRIES {
            // A listing that is broken off spoils its socket, so this is not the one that transactions need.
            let socket = self.listing.take().map_or_else(open_socket, Ok)?;
            let request = self.question(libc::NFT_MSG_GETSETELEM, libc::NLM_F_DUMP, |message| message.put_str(2, set))?;
            socket.send(&request)?;
            let mut elements = Vec::new();
            match take_elements(&socket, self.sequence, &mut self.receive, most, &mut elements)? {
                Listed::Whole => {
                    self.listing = Some(socket);
                    return Ok(elements);
                }
                Listed::Interrupted => {}
                Listed::TooMany => return Err(NftError::refused(libc::E2BIG, "the set is too large to be listed")),
            }
        }
        Err(NftError::refused(libc::EINTR, KEPT_CHANGING))
    }

    /// Whether a set has this key.
    pub fn holds(&mut self, set: &str, key: Key) -> Result<bool, NftError> {
        let fill = |message: &mut Message<'_>| {
            message.put_str(2, set);
            let list = message.nest(3);
            let element = message.nest(NFTA_LIST_ELEM);
            expression::put_value(message, 1, key.as_bytes());
            message.end(element);
            message.end(list);
        };
        Ok(!absent(self.list(libc::NFT_MSG_GETSETELEM, libc::NLM_F_ACK, fill, parse_elements))?.is_empty())
    }

    /// Asks about the table and collects what `parse` makes of the answers. `fill` adds what is asked beyond the table's name.
    fn list<T>(
        &mut self,
        kind: i32,
        flags: i32,
        fill: impl Fn(&mut Message<'_>),
        parse: impl Fn(Attributes<'_>, &mut Vec<T>),
    ) -> Result<Vec<T>, NftError> {
        let mut found = Vec::new();
        for _ in 0..LIST_TRIES {
            found.clear();
            let request = self.question(kind, flags, &fill)?;
            let mut interrupted = false;
            self.socket.request(&request, self.sequence, &mut self.receive, |answer| {
                interrupted |= is_interrupted(answer);
                if let Some((_, _, attributes)) = answer.netfilter() {
                    parse(attributes, &mut found);
                }
            })?;
            if !interrupted {
                return Ok(found);
            }
        }
        Err(NftError::refused(libc::EINTR, KEPT_CHANGING))
    }

    /// A question about the table, under a new sequence number.
    fn question(&mut self, kind: i32, flags: i32, fill: impl Fn(&mut Message<'_>)) -> Result<Vec<u8>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        let mut request = Vec::new();
        let mut message = Message::netfilter(&mut request, message_kind(kind), flags, self.sequence, libc::NFPROTO_INET as u8, 0);
        message.put_str(1, self.name);
        fill(&mut message);
        message.finish()?;
        Ok(request)
    }
}

/// How a listing ended.
enum Listed {
    /// All was listed.
    Whole,
    /// Something changed meanwhile; whether the rest is still to come is not known.
    Interrupted,
    /// There are too many. The rest is still to come.
    TooMany,
}

fn is_interrupted(answer: &Received<'_>) -> bool {
    i32::from(answer.flags) & libc::NLM_F_DUMP_INTR != 0
}

/// Reads the answers to a question about elements.
fn take_elements(
    socket: &NetlinkSocket,
    sequence: u32,
    buffer: &mut [u8],
    most: usize,
    elements: &mut Vec<Element>,
) -> Result<Listed, NftError> {
    let mut interrupted = false;
    loop {
        for answer in messages(socket.receive(buffer)?).filter(|answer| answer.sequence == sequence) {
            interrupted |= is_interrupted(&answer);
            match answer.ending() {
                Some(ending) if ending.errno != 0 => return Err(NftError::refused(ending.errno, ending.message.unwrap_or_default())),
                Some(_) => return Ok(if interrupted { Listed::Interrupted } else { Listed::Whole }),
                None => answer.netfilter().into_iter().for_each(|(_, _, attributes)| parse_elements(attributes, elements)),
            }
            if elements.len() > most {
                return Ok(Listed::TooMany);
            }
        }
    }
}

impl From<NetlinkError> for NftError {
    fn from(error: NetlinkError) -> Self {
        match error {
            NetlinkError::Io(error) => NftError::Io(error),
            NetlinkError::Refused { errno, message } => NftError::Refused(vec![Refusal { step: None, errno, message }]),
        }
    }
}

/// What is asked about is not there: an empty answer and no error.
fn absent<T>(answers: Result<Vec<T>, NftError>) -> Result<Vec<T>, NftError> {
    match answers {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
        answers => answers,
    }
}

pub(crate) fn parse_chain(attributes: Attributes<'_>) -> Option<Chain> {
    let (mut hook, mut priority, mut accepts, mut filters) = (None, None, false, false);
    for attribute in attributes {
        match attribute.kind {
            4 => {
                for inner in attribute.nested() {
                    match inner.kind {
                        1 => hook = [Hook::Prerouting, Hook::Input].into_iter().find(|hook| Some(hook.number()) == inner.u32_be()),
                        2 => priority = inner.u32_be(),
                        _ => {}
                    }
                }
            }
            5 => accepts = attribute.u32_be() == Some(NF_ACCEPT),
            7 => filters = attribute.text() == Some("filter"),
            _ => {}
        }
    }
    let chain = Chain { hook: hook?, priority: priority? as i32 };
    (accepts && filters).then_some(chain)
}

/// The generation, and the process whose transaction made it: its number and name.
pub(super) fn parse_generation(attributes: Attributes<'_>) -> (Option<u32>, u32, String) {
    let (mut generation, mut pid, mut program) = (None, 0, String::new());
    for attribute in attributes {
        match attribute.kind {
            1 => generation = attribute.u32_be(),
            2 => pid = attribute.u32_be().unwrap_or(0),
            3 => program = attribute.text().unwrap_or_default().to_owned(),
            _ => {}
        }
    }
    (generation, pid, program)
}

pub(crate) fn parse_set(attributes: Attributes<'_>, table: &str) -> Option<(String, Option<SetShape>)> {
    let (mut name, mut ours, mut flags, mut key, mut key_bytes, mut size, mut timeout) = (None, false, 0, None, None, None, 0);
    for attribute in attributes {
        match attribute.kind {
            1 => ours = attribute.text() == Some(table),
            2 => name = attribute.text(),
            3 => flags = attribute.u32_be()?,
            4 => key = KeyKind::ALL.into_iter().find(|kind| Some(kind.type_number()) == attribute.u32_be()),
            5 => key_bytes = attribute.u32_be(),
            9 => size = attribute.nested().find(|inner| inner.kind == 1).and_then(|inner| inner.u32_be()),
            11 => timeout = attribute.u64_be()?,
            _ => {}
        }
    }
    let has = |flag: i32| flags & flag as u32 != 0;
    let shape = key.map(|key| SetShape {
        key,
        interval: has(libc::NFT_SET_INTERVAL),
        timeout: has(libc::NFT_SET_TIMEOUT),
        dynamic: has(libc::NFT_SET_EVAL),
        default_timeout_millis: timeout,
        size,
    });
    let shape = shape.filter(|shape| shape.flags() == flags && key_bytes == Some(shape.key.bytes() as u32));
    ours.then_some((name?.to_owned(), shape))
}

pub(crate) fn parse_counter(attributes: Attributes<'_>, table: &str) -> Option<(String, Count)> {
    let (mut name, mut ours, mut count) = (None, false, None);
    for attribute in attributes {
        match attribute.kind {
            1 => ours = attribute.text() == Some(table),
            2 => name = attribute.text(),
            3 if attribute.u32_be() != Some(NFT_OBJECT_COUNTER) => return None,
            4 => {
                let number = |kind| attribute.nested().find(|inner| inner.kind == kind).and_then(|inner| inner.u64_be());
                count = number(2).zip(number(1)).map(|(packets, bytes)| Count { packets, bytes });
            }
            _ => {}
        }
    }
    ours.then_some((name?.to_owned(), count?))
}

pub(crate) fn parse_elements(attributes: Attributes<'_>, elements: &mut Vec<Element>) {
    for list in attributes.filter(|attribute| attribute.kind == 3) {
        elements
            .extend(list.nested().filter(|element| element.kind == NFTA_LIST_ELEM).filter_map(|element| parse_element(element.nested())));
    }
}

fn parse_element(attributes: Attributes<'_>) -> Option<Element> {
    let (mut key, mut flags, mut timeout, mut left) = (None, 0, None, None);
    for attribute in attributes {
        match attribute.kind {
            1 => key = attribute.nested().find(|inner| inner.kind == NFTA_DATA_VALUE).and_then(|value| Key::new(value.value)),
            3 => flags = attribute.u32_be()?,
            4 => timeout = attribute.u64_be(),
            5 => left = attribute.u64_be(),
            _ => {}
        }
    }
    let ends_interval = flags & libc::NFT_SET_ELEM_INTERVAL_END as u32 != 0;
    Some(Element { key: key?, ends_interval, timeout_millis: left.or(timeout) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::attributes;
    use crate::nft::transaction::{ElementStep, Transaction};
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    /// The attributes of the first step of a transaction: what the kernel tells has the same layout as what it is told.
    fn told(fill: impl FnOnce(&mut Transaction)) -> Vec<u8> {
        let mut transaction = Transaction::new("riposte", Vec::new(), 1);
        fill(&mut transaction);
        transaction.close().unwrap();
        messages(&transaction.bytes).nth(1).unwrap().payload[4..].to_vec()
    }

    const CHAIN: Chain = Chain { hook: Hook::Input, priority: -10 };
    const SHAPE: SetShape =
        SetShape { key: KeyKind::Ipv6, interval: false, timeout: true, dynamic: true, default_timeout_millis: 60_000, size: Some(9) };

    fn elements() -> Vec<Element> {
        let key = |n: u128| Key::from(IpAddr::V6(Ipv6Addr::from(n)));
        let start = Element { key: key(5), ends_interval: false, timeout_millis: Some(700) };
        vec![start, Element { key: key(9), ends_interval: true, timeout_millis: None }]
    }

    #[test]
    fn what_is_told_is_read_back() {
        assert_eq!(parse_chain(attributes(&told(|transaction| transaction.add_chain("probes", CHAIN)))), Some(CHAIN));
        let set = told(|transaction| transaction.add_set("sources", &SHAPE));
        assert_eq!(parse_set(attributes(&set), "riposte"), Some(("sources".to_owned(), Some(SHAPE))));
        assert_eq!(parse_set(attributes(&set), "other"), None);
        let mut found = Vec::new();
        parse_elements(attributes(&told(|transaction| transaction.elements(ElementStep::Add, "sources", elements()))), &mut found);
        assert_eq!(found, elements());
    }

    #[test]
    fn a_key_longer_than_an_address_is_passed_over() {
        assert_eq!(Key::new(&[0; 17]), None);
        assert_eq!(Key::new(&[1, 2, 3]).and_then(|key| key.address()), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_back_is_read_without_panic(
            which in 0usize..3, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut in any::<prop::sample::Index>()
        ) {
            let mut bytes = match which {
                0 => told(|transaction| transaction.add_chain("probes", CHAIN)),
                1 => told(|transaction| transaction.add_set("sources", &SHAPE)),
                _ => told(|transaction| transaction.elements(ElementStep::Add, "sources", elements())),
            };
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            let mut found = Vec::new();
            parse_elements(attributes(&bytes), &mut found);
            parse_chain(attributes(&bytes));
            parse_set(attributes(&bytes), "riposte");
            parse_counter(attributes(&bytes), "riposte");
            prop_assert!(found.len() <= bytes.len() / 4);
            prop_assert!(found.iter().all(|element| element.key.as_bytes().len() <= 16));
        }
    }
}
