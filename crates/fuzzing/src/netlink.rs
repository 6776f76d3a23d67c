//! Netlink datagrams. The promises: no reader makes more of a message than it has bytes for, and a message that is written again reads the same.

use model::net::canonical;
use std::net::IpAddr;
use sys::answers::{self, Answer};
use sys::netlink::message::{Message, Received, messages};

/// The table that is read back.
const TABLE: &str = "riposte";

/// The input is a datagram.
pub fn run(bytes: &[u8]) {
    let mut read = 0;
    for message in messages(bytes) {
        read += 16 + message.payload.len();
        assert!(read <= bytes.len(), "messages don't overlap");
        let doomed = |addr: IpAddr| canonical(addr).is_ipv4() || addr.is_loopback();
        for answer in answers::read(&message, TABLE, doomed) {
            check(&answer, &message);
        }
        rewrite(&message);
    }
    let sequence = messages(bytes).next().map_or(0, |message| message.sequence);
    for steps in [0, 1, 3, u32::MAX] {
        let (refusals, _) = answers::to_transaction(bytes, sequence, steps);
        assert!(refusals.len() <= bytes.len() / 16);
        assert!(refusals.iter().all(|refusal| refusal.errno > 0 && refusal.step.is_none_or(|step| step < steps as usize)));
    }
}

fn check(answer: &Answer<'_>, message: &Received<'_>) {
    let length = message.payload.len();
    match answer {
        Answer::Ending(ending) => assert!(ending.errno >= 0 && ending.message.is_none_or(|text| text.len() <= length)),
        Answer::Packet(packet) => assert!(packet.payload.len() + packet.prefix.len() <= length),
        Answer::Set(name, _) | Answer::Counter(name, _) => assert!(name.len() <= length),
        Answer::Elements(elements) => {
            assert!(elements.len() <= length / 12);
            assert!(elements.iter().all(|element| element.key.as_bytes().len() <= 16));
        }
        Answer::Socket(local, peer) => assert_eq!((canonical(local.ip()), canonical(peer.ip())), (local.ip(), peer.ip())),
        Answer::Tracked(tuple) => assert!(tuple.len() <= length),
        Answer::Gateways(gateways) => assert!(gateways.len() <= length / 8),
        // A byte that is no text becomes three.
        Answer::Interface(interface) => assert!(interface.name.len() <= 3 * length),
        Answer::Programs(interface) => assert!(interface.name.len() + 4 * interface.programs.len() <= length),
        Answer::Chain(_) | Answer::Own(_) | Answer::Entry(_) => {}
    }
}

/// Builds the message anew from its attributes; both read alike.
fn rewrite(message: &Received<'_>) {
    let Some((family, resource, attributes)) = message.netfilter() else { return };
    let mut bytes = Vec::new();
    let mut built = Message::netfilter(&mut bytes, message.kind, message.flags, message.sequence, family, resource);
    attributes.clone().for_each(|attribute| built.put(attribute.kind, attribute.value));
    if built.finish().is_err() {
        panic!("what was read can be written");
    }
    let again = messages(&bytes).next().expect("one message");
    assert_eq!((again.kind, again.flags, again.sequence), (message.kind, message.flags, message.sequence));
    let (again_family, again_resource, again_attributes) = again.netfilter().expect("a netfilter message");
    assert_eq!((again_family, again_resource), (family, resource));
    assert!(again_attributes.eq(attributes), "the same attributes");
}
