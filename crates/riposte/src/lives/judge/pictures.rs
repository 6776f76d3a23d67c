//! What reports are told of who was charged: from what the detectors keep, asked for on the control socket. Decides nothing.

use super::Judge;
use super::answers::{message, systems};
use crate::control::protocol::Reply;
use court::court::Court;
use detect::suspect::Suspect;
use model::block::Expiry;
use model::net::Prefix;
use model::time::Time;
use report::decision::{Action, Verdict, because};
use report::offender::{OffenderLine, SignatureLine};
use report::picture::{self, Offenders, PortSources, Tops};

/// The most sources, and the most ports, in one answer.
const TOP: usize = 1_000;

/// Who was charged and is still followed: those inside the prefix and from the level on, the worst of them with all that is known.
pub fn offenders(judge: &Judge, top: usize, prefix: Option<&str>, level: Option<u8>, now: Time) -> Reply {
    let inside = match prefix.map(str::parse::<Prefix>).transpose() {
        Ok(inside) => inside,
        Err(error) => return Reply::error(error.to_string()),
    };
    let (court, top) = (&judge.court, top.min(TOP));
    let mut lines: Vec<OffenderLine> = Vec::new();
    let (mut levels, mut ports) = ([0; 5], PortSources::default());
    for suspect in court.detectors.suspects() {
        if inside.is_some_and(|inside| !inside.overlaps(&suspect.offender)) {
            continue;
        }
        let Some(line) = line(court, suspect, now).filter(|line| level.is_none_or(|level| line.level.number() >= level)) else { continue };
        levels = picture::add(levels, &line);
        ports.count(&line.ports);
        lines.push(line);
    }
    let in_all = lines.len() as u64;
    picture::sort(&mut lines);
    lines.truncate(top);
    // Names are looked up for those alone who are shown.
    for line in &mut lines {
        name(court, line);
    }
    Reply::of(&Offenders { tops: Tops { levels, top_ports: ports.tops(None, top), ..Tops::default() }, in_all, worst: lines })
}

fn line(court: &Court, suspect: Suspect, now: Time) -> Option<OffenderLine> {
    let matched = court.detectors.signatures().of(suspect.offender.addr()).and_then(|matches| matches.level);
    let decision = match court.judge.standing_for(suspect.offender.addr()) {
        Some(block) => Verdict {
            action: Action::Block,
            seconds: match block.expiry {
                Expiry::At(at) => Some(at.since(now).as_secs()),
                Expiry::Never => None,
            },
            why: because(&block.because),
        },
        None => Verdict::none("not blocked now"),
    };
    crate::notes::offender(suspect, matched, decision)
}

/// Adds the names of what its packets have fitted.
pub(super) fn name(court: &Court, line: &mut OffenderLine) {
    let addr = line.address.0.addr();
    line.systems = systems(court, addr);
    let known = court.detectors.signatures();
    let all = known.of(addr).into_iter().flat_map(|matches| &matches.signatures);
    line.signatures =
        all.map(|m| SignatureLine { sid: known.sid(m.rule), message: message(court, m.rule), count: m.count.into() }).collect();
    line.signatures.sort_by_key(|line| (std::cmp::Reverse(line.count), line.sid));
}
