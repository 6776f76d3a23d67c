//! Frames between the processes, and the gate before the warden. The promises: what is accepted is written back to the very same bytes (there
//! is one spelling), lists keep their bounds, and the gate lets nobody through who isn't in its table or comes too often.

use link::codec::Writer;
use link::gate::{Gate, Refusal, WARDEN_ACCEPTS};
use link::message::{Life, Message, Tag};
use model::limits;
use model::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// The input is a frame, and then a script for the gate.
pub fn run(bytes: &[u8]) {
    if bytes.len() <= limits::FRAME_BYTES {
        frame(bytes);
    }
    gate(bytes);
}

fn frame(bytes: &[u8]) {
    let tag = Tag::of(bytes);
    let Ok(message) = Message::decode(bytes) else { return };
    assert_eq!(tag, Ok(message.tag()));
    let mut out = Writer::default();
    message.encode(&mut out);
    assert_eq!(out.as_bytes(), bytes, "one spelling");
    let items = match &message {
        Message::Events(list) => list.len(),
        Message::Apply(list) => list.len(),
        Message::Outcomes(list) => list.len(),
        Message::Derived(list) => list.len(),
        Message::Allowed(list) => list.len(),
        Message::Installed { items, .. } => items.len(),
        Message::Counters(list) => list.len(),
        Message::Processes(list) => list.len(),
        Message::Troubles(list) => list.len(),
        Message::Reopened { names, .. } => names.len(),
        Message::Reloaded { lines, .. } => lines.len(),
        Message::Rules(list) => list.len(),
        Message::Reports(list) => list.len(),
        Message::Respond(list) => list.len(),
        Message::Ran(list) => list.len(),
        Message::Carry { changes, .. } => changes.len(),
        Message::Carried { outcomes, .. } => outcomes.len(),
        Message::AskHeld(list) => list.len(),
        Message::Held(list) => list.len(),
        Message::AskKnown { flows, .. } => flows.len(),
        Message::Known { flows, .. } => flows.len(),
        Message::Listed { items, .. } => items.len(),
        Message::FeedItems { items, gone, .. } => items.len() + gone.len(),
        Message::Ready { .. }
        | Message::Silent(_)
        | Message::Alert(_)
        | Message::Fetch { .. }
        | Message::Fetched { .. }
        | Message::Submit { .. }
        | Message::Submitted { .. }
        | Message::Kept { .. }
        | Message::Ways(_)
        | Message::AskCounters
        | Message::AskInstalled
        | Message::OpenPorts { .. }
        | Message::Reopen
        | Message::ReopenedFile
        | Message::RotatedFile
        | Message::SensorLink { .. }
        | Message::Reload
        | Message::Config
        | Message::Alive
        | Message::Position(_)
        | Message::FilePosition { .. }
        | Message::Followed { .. }
        | Message::Looked { .. }
        | Message::Repaired { .. }
        | Message::Rebuilt => 0,
    };
    assert!(items <= bytes.len() && items <= limits::DERIVED);
}

/// The first byte is the life; then four bytes each: the message, its length, and how much later it comes.
fn gate(bytes: &[u8]) {
    let Some((first, steps)) = bytes.split_first() else { return };
    let life = Life::ALL[usize::from(*first) % Life::ALL.len()];
    let start = Time::from_secs(1_000);
    let (mut now, mut latest) = (start, start);
    let mut gate = Gate::new(life, start);
    let (mut admitted, mut refused) = (BTreeMap::<Tag, f64>::new(), 0);
    for step in steps.chunks_exact(4) {
        let tag = Tag::ALL[usize::from(step[0]) % Tag::ALL.len()];
        let len = usize::from(u16::from_le_bytes([step[1], step[2]]));
        // A clock that runs backwards now and then must give nobody anything.
        now = if step[3] == 255 { now.before(Duration::from_secs(5)) } else { now.after(Duration::from_millis(u64::from(step[3]) * 20)) };
        latest = latest.max(now);
        let rule = WARDEN_ACCEPTS.iter().find(|rule| rule.from == life && rule.message == tag);
        match (rule, gate.admit(tag, len, now)) {
            (None, verdict) => assert_eq!(verdict, Err(Refusal::NotYours)),
            (Some(rule), Ok(())) => {
                assert!(len <= rule.max_len);
                let count = admitted.entry(tag).or_default();
                *count += 1.0;
                let most = f64::from(rule.burst) + f64::from(rule.rate) * latest.since(start).as_secs_f64();
                assert!(*count <= most + 0.001, "{tag:?}: {count} admitted, {most} may be");
                continue;
            }
            (Some(rule), Err(why)) => assert_eq!(why == Refusal::TooLong, len > rule.max_len),
        }
        refused += 1;
    }
    assert_eq!(gate.refused(), refused);
}
