//! Debian's portsentry beside riposte, on the same victim one after the other: what each of their modes sees, how soon it blocks, how many
//! at once it can take, and what it costs when nothing happens.

mod detection;
mod flood;
mod peer;
mod speed;

use super::arena::Arena;
use super::figure::{Figure, Unit};
use super::idle::{self, Family, SETTLE, SPAN};
use super::{Context, have, progress};
use peer::Portsentry;
use std::io;
use std::thread::sleep;

/// The peer's name in figures.
const NAME: &str = "portsentry";

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    if !Portsentry::is_there() {
        have(NAME);
        return Ok(Vec::new());
    }
    let parts = [detection::measure, speed::measure, flood::measure, idle];
    let figures: Vec<Vec<Figure>> = parts.into_iter().map(|part| part(context)).collect::<io::Result<_>>()?;
    Ok(figures.into_iter().flatten().collect())
}

/// Both in the same 20 seconds, each in a network of its own.
fn idle(context: &Context) -> io::Result<Vec<Figure>> {
    progress("portsentry: idle");
    let (ours, theirs) = (Arena::new("psidle")?, Arena::new("psidlepeer")?);
    let daemon = ours.daemon(context, "[guard]\ntcp = [\"1-65535\"]\nudp = [\"1-65535\"]\n")?;
    let peer = Portsentry::start(context, &theirs.victim, &["tcp", "udp"])?;
    let look = || -> io::Result<[Family; 2]> { Ok([idle::family(daemon.pid())?, peer.family()?]) };
    sleep(SETTLE);
    let before = look()?;
    sleep(SPAN);
    let [riposte, sentry] = look()?;
    daemon.end()?;
    let woken = |now: &Family, then: &Family| now.switches.saturating_sub(then.switches);
    let mib = |kib: u64| kib as f64 / 1024.0;
    Ok(vec![
        Figure::less("guarding, idle: all processes, RSS", mib(riposte.rss_kib), Unit::Mebibytes)
            .beside(NAME, Some(mib(sentry.rss_kib)))
            .noted(format!(
                "riposte: {} processes, PSS {:.1} MiB, {} wake-ups in {} s; portsentry -tcp and -udp: {} processes, PSS {:.1} MiB, {} wake-ups. \
                 riposte guards all ports, portsentry 64 of each; no traffic",
                riposte.processes,
                mib(riposte.pss_kib),
                woken(&riposte, &before[0]),
                SPAN.as_secs(),
                sentry.processes,
                mib(sentry.pss_kib),
                woken(&sentry, &before[1]),
            )),
        Figure::less("guarding, idle: all processes, PSS", mib(riposte.pss_kib), Unit::Mebibytes).beside(NAME, Some(mib(sentry.pss_kib))),
    ])
}
