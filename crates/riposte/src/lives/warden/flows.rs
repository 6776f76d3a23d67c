//! Asks connection tracking, for the packet sensor, whose a packet's conversation is. Reads the kernel's own figures and no packet.

use link::message::{Flow, Known};
use model::net::Protocol;
use sys::conntrack::{Conntrack, Entry};

/// The socket; none if nobody is to ask.
#[derive(Debug)]
pub struct Flows {
    conntrack: Option<Conntrack>,
    /// Questions that the kernel did not answer.
    pub failed: u64,
}

impl Flows {
    /// Opens it, if packets are captured.
    pub fn open(captured: bool) -> Self {
        Flows { conntrack: if captured { Conntrack::open().ok() } else { None }, failed: 0 }
    }

    /// What is known of this flow. If the kernel does not say, nobody is charged: it may be anybody's answer, or a container's client.
    pub fn known(&mut self, flow: &Flow) -> Known {
        let found = self.conntrack.as_mut().map(|conntrack| conntrack.find(flow.protocol.0, flow.from, flow.to));
        let error = match found {
            Some(Ok(found)) => return found.map_or(Known::No, |entry| judge(flow.protocol, &entry)),
            Some(Err(error)) => error.to_string(),
            None => "it can't be asked at all".to_owned(),
        };
        if self.failed == 0 {
            tracing::warn!(error, "connection tracking gives no answer: of captured packets of which it says nothing nobody is charged");
        }
        self.failed += 1;
        Known::Unsaid
    }
}

fn judge(protocol: Protocol, entry: &Entry) -> Known {
    // A TCP port where nobody listens answers too, with a reset: there only a whole handshake counts.
    let answered = entry.answered && (protocol != Protocol::TCP || entry.assured);
    match entry {
        Entry { begun_there: true, redirected: true, .. } => Known::Forwarded,
        Entry { begun_there: false, .. } | Entry { masked: true, .. } => Known::Own,
        Entry { .. } if answered => Known::Own,
        Entry { .. } => Known::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_begins_and_is_not_answered_in_earnest_is_unknown() {
        let probe = Entry { begun_there: true, answered: false, assured: false, redirected: false, masked: false };
        let of = |protocol, entry| judge(protocol, &entry);
        assert_eq!(of(Protocol::UDP, probe), Known::No);
        assert_eq!(of(Protocol::TCP, Entry { answered: true, ..probe }), Known::No, "a reset");
        assert_eq!(of(Protocol::TCP, Entry { answered: true, assured: true, ..probe }), Known::Own);
        assert_eq!(of(Protocol::UDP, Entry { answered: true, ..probe }), Known::Own);
        assert_eq!(of(Protocol::UDP, Entry { begun_there: false, ..probe }), Known::Own, "an answer");
        assert_eq!(of(Protocol::TCP, Entry { redirected: true, ..probe }), Known::Forwarded);
        assert_eq!(of(Protocol::TCP, Entry { begun_there: false, masked: true, ..probe }), Known::Own);
    }

    #[test]
    fn who_can_not_be_asked_has_not_said_no() {
        let [from, to] = ["192.0.2.7:40000", "192.0.2.1:23"].map(|end| end.parse().unwrap());
        let mut flows = Flows::open(false);
        assert_eq!((flows.known(&Flow { protocol: Protocol::TCP, from, to }), flows.failed), (Known::Unsaid, 1));
    }
}
