//! The messages' bytes: a tag, then the fields in order. One spelling for each message.

use super::*;
use crate::codec::{Malformed, Reader, Writer};

impl Message {
    /// Writes it as one frame, replacing what `out` held. Lists must be within their bounds (`model::limits`).
    pub fn encode(&self, out: &mut Writer) {
        out.clear();
        out.u8(self.tag() as u8);
        match self {
            Message::Ready { sandbox } => out.text(sandbox),
            Message::Events(events) => out.list(events, Writer::event),
            Message::Counters(counters) => out.list(counters, |w, c| {
                w.text(&c.name);
                w.u64(c.value);
            }),
            Message::Apply(changes) => out.list(changes, Writer::change),
            Message::Outcomes(outcomes) => out.list(outcomes, |w, (id, outcome)| {
                w.u64(id.0);
                w.outcome(*outcome);
            }),
            Message::Installed { last, items } => {
                out.u8(u8::from(*last));
                out.list(items, Writer::installed);
            }
            Message::Derived(exemptions) => out.list(exemptions, Writer::exemption),
            Message::Allowed(list) => out.list(list, |w, (prefix, expiry)| {
                w.prefix(*prefix);
                w.expiry(*expiry);
            }),
            Message::Repaired { why } => out.text(why),
            Message::Alert(json) => out.text(json),
            Message::OpenPorts { tcp, udp } => {
                out.bytes(&*tcp.0);
                out.bytes(&*udp.0);
            }
            Message::SensorLink { slot, name } => {
                out.u16(*slot);
                out.text(name);
            }
            Message::Processes(processes) => out.list(processes, |w, p| {
                w.u8(p.life as u8);
                w.u16(p.slot);
                w.u32(p.pid);
                w.u32(p.restarts);
                w.text(&p.sandbox);
            }),
            Message::Reopened { names, file } => {
                out.u8(u8::from(*file));
                out.list(names, |w, name| w.text(name));
            }
            Message::Reloaded { ok, lines } => {
                out.u8(u8::from(*ok));
                out.list(lines, |w, line| w.text(line));
            }
            Message::Troubles(troubles) => out.list(troubles, |w, trouble| {
                w.time(trouble.since);
                w.text(&trouble.what);
                w.text(&trouble.why);
            }),
            Message::Position(position) => out.option(position.as_ref(), write_position),
            Message::Rules(rules) => out.list(rules, |w, (rule, name)| {
                w.u16(rule.0);
                w.text(name);
            }),
            Message::Reports(reports) => out.list(reports, |w, reported| {
                w.event(&reported.event);
                w.text(&reported.log);
                w.text(&reported.line);
                w.option(reported.response.as_ref(), |w, asked| {
                    w.u8(asked.response.0);
                    w.option(asked.user.as_ref(), |w, user| w.text(user.as_str()));
                    w.option(asked.rule.as_ref(), |w, rule| w.u32(*rule));
                });
            }),
            Message::FilePosition { log, position } => {
                out.text(log);
                write_position(out, position);
            }
            Message::Followed { slot, watch, rotated, log } => {
                out.u16(*slot);
                out.u32(*watch);
                out.u8(u8::from(*rotated));
                out.text(log);
            }
            Message::Looked { more, surplus } => {
                out.u8(u8::from(*more));
                out.u32(*surplus);
            }
            Message::Respond(orders) => out.list(orders, |w, order| {
                w.u64(order.run.0);
                w.u8(order.response.0);
                w.u8(u8::from(order.add));
                w.addr(order.address);
                w.option(order.user.as_ref(), |w, user| w.text(user.as_str()));
                w.option(order.ground.rule.as_ref(), |w, rule| w.u32(*rule));
                w.option(order.ground.level.as_ref(), |w, level| w.u8(level.number()));
                w.option(order.ground.touch.as_ref(), |w, touch| w.touch(*touch));
                w.option(order.until.as_ref(), |w, until| w.time(*until));
            }),
            Message::Ran(ran) => out.list(ran, |w, (run, ran, said)| {
                w.u64(run.0);
                w.u8(*ran as u8);
                w.text(said);
            }),
            Message::Carry { batch, changes } => {
                out.u32(*batch);
                out.list(changes, Writer::change);
            }
            Message::Carried { batch, outcomes } => {
                out.u32(*batch);
                out.list(outcomes, |w, outcome| w.outcome(*outcome));
            }
            Message::AskHeld(scopes) => out.list(scopes, |w, scope| w.scope(*scope)),
            Message::Held(held) => out.list(held, |w, (scope, by)| {
                w.scope(*scope);
                w.u16(*by);
            }),
            Message::Listed { first, last, items } => {
                out.u8(u8::from(*first));
                out.u8(u8::from(*last));
                out.list(items, |w, (prefix, expiry)| {
                    w.prefix(*prefix);
                    w.expiry(*expiry);
                });
            }
            Message::Fetch { order, feed, whole, known } => {
                out.u32(*order);
                out.u8(*feed);
                out.u8(u8::from(*whole));
                known.iter().for_each(|known| out.text(known));
            }
            Message::FeedItems { order, items, gone } => {
                out.u32(*order);
                out.list(items, |w, (prefix, lasts)| {
                    w.prefix(*prefix);
                    w.option(lasts.as_ref(), |w, lasts| w.u32(*lasts));
                });
                out.list(gone, |w, prefix| w.prefix(*prefix));
            }
            Message::Fetched { order, got } => {
                out.u32(*order);
                got.write(out);
            }
            Message::Submit { order } => out.u32(*order),
            Message::Submitted { order, wrong, wait } => {
                out.u32(*order);
                out.option(wrong.as_ref(), |w, wrong| w.text(wrong));
                out.option(wait.as_ref(), |w, wait| w.u32(*wait));
            }
            Message::AskKnown { number, flows } => {
                out.u32(*number);
                out.list(flows, |w, flow| {
                    w.u8(flow.protocol.0);
                    for end in [flow.from, flow.to] {
                        w.addr(end.ip());
                        w.u16(end.port());
                    }
                });
            }
            Message::Known { number, flows } => {
                out.u32(*number);
                out.list(flows, |w, known| w.u8(*known as u8));
            }
            Message::AskCounters
            | Message::AskInstalled
            | Message::Reopen
            | Message::ReopenedFile
            | Message::RotatedFile
            | Message::Rebuilt
            | Message::Reload
            | Message::Config
            | Message::Alive => {}
        }
        debug_assert!(out.as_bytes().len() <= limits::FRAME_BYTES, "frame of {:?} is too long", self.tag());
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// If it is not exactly one well-formed message within its bounds.
    pub fn decode(frame: &[u8]) -> Result<Message, Malformed> {
        let tag = Tag::of(frame)?;
        let mut r = Reader::new(frame);
        r.u8()?;
        let message = match tag {
            Tag::Ready => Message::Ready { sandbox: r.text(NAME_BYTES)? },
            Tag::Events => Message::Events(r.list(limits::BATCH_EVENTS, Reader::event)?),
            Tag::Counters => Message::Counters(r.list(COUNTERS, |r| Ok(Counter { name: r.text(NAME_BYTES)?, value: r.u64()? }))?),
            Tag::AskCounters => Message::AskCounters,
            Tag::Apply => Message::Apply(r.list(limits::BATCH_CHANGES, Reader::change)?),
            Tag::Outcomes => Message::Outcomes(r.list(limits::BATCH_CHANGES, |r| Ok((BlockId(r.u64()?), r.outcome()?)))?),
            Tag::AskInstalled => Message::AskInstalled,
            Tag::Installed => Message::Installed { last: r.flag("last")?, items: r.list(limits::BATCH_CHANGES, Reader::installed)? },
            Tag::Derived => Message::Derived(r.list(limits::DERIVED, Reader::exemption)?),
            Tag::Allowed => Message::Allowed(r.list(limits::ALLOWED_TOLD, |r| Ok((r.prefix()?, r.expiry()?)))?),
            Tag::Repaired => Message::Repaired { why: r.text(NAME_BYTES)? },
            Tag::OpenPorts => {
                let mut map = || Ok(PortMap(Box::new(r.bytes(8192)?.try_into().map_err(|_| Malformed::Short)?)));
                Message::OpenPorts { tcp: map()?, udp: map()? }
            }
            Tag::Reopen => Message::Reopen,
            Tag::Reopened => Message::Reopened { file: r.flag("file")?, names: r.list(NAMES, |r| r.text(NAME_BYTES))? },
            Tag::SensorLink => Message::SensorLink { slot: r.u16()?, name: r.text(NAME_BYTES)? },
            Tag::Processes => Message::Processes(r.list(PROCESSES, |r| {
                let life = *Life::ALL.get(usize::from(r.u8()?)).ok_or(Malformed::Value("life"))?;
                Ok(Process { life, slot: r.u16()?, pid: r.u32()?, restarts: r.u32()?, sandbox: r.text(NAME_BYTES)? })
            })?),
            Tag::ReopenedFile => Message::ReopenedFile,
            Tag::RotatedFile => Message::RotatedFile,
            Tag::Rebuilt => Message::Rebuilt,
            Tag::Reload => Message::Reload,
            Tag::Reloaded => Message::Reloaded { ok: r.flag("ok")?, lines: r.list(ANSWER_LINES, |r| r.text(ANSWER_BYTES))? },
            Tag::Config => Message::Config,
            Tag::Alive => Message::Alive,
            Tag::Troubles => {
                let trouble = |r: &mut Reader<'_>| Ok(Trouble { since: r.time()?, what: r.text(NAME_BYTES)?, why: r.text(NAME_BYTES)? });
                Message::Troubles(r.list(TROUBLES, trouble)?)
            }
            Tag::Position => Message::Position(r.option(read_position)?),
            Tag::Rules => Message::Rules(r.list(RULES, |r| Ok((RuleId(r.u16()?), r.text(limits::RULE_BYTES)?)))?),
            Tag::Reports => Message::Reports(r.list(limits::BATCH_REPORTS, |r| {
                let (event, log, line) = (r.event()?, r.text(limits::PLACE_BYTES)?, r.text(limits::QUOTE_BYTES)?);
                let asked = |r: &mut Reader<'_>| {
                    Ok(Asked { response: read_response(r)?, user: r.option(read_user)?, rule: r.option(Reader::u32)? })
                };
                Ok(Reported { event, log, line, response: r.option(asked)? })
            })?),
            Tag::FilePosition => Message::FilePosition { log: r.text(limits::PLACE_BYTES)?, position: read_position(&mut r)? },
            Tag::Followed => {
                Message::Followed { slot: r.u16()?, watch: r.u32()?, rotated: r.flag("rotated")?, log: r.text(limits::PLACE_BYTES)? }
            }
            Tag::Looked => Message::Looked { more: r.flag("more")?, surplus: r.u32()? },
            Tag::Respond => Message::Respond(r.list(limits::BATCH_RUNS, |r| {
                let (run, response, add, address) = (RunId(r.u64()?), read_response(r)?, r.flag("add")?, r.addr()?);
                let (user, rule) = (r.option(read_user)?, r.option(Reader::u32)?);
                let level = r.option(|r| DangerLevel::new(r.u8()?).ok_or(Malformed::Value("level")))?;
                let ground = Ground { rule, level, touch: r.option(Reader::touch)? };
                Ok(Order { run, response, add, address, user, ground, until: r.option(Reader::time)? })
            })?),
            Tag::Ran => Message::Ran(r.list(limits::BATCH_RUNS, |r| {
                let (run, ran) = (RunId(r.u64()?), *Ran::ALL.get(usize::from(r.u8()?)).ok_or(Malformed::Value("ran"))?);
                Ok((run, ran, r.text(limits::SAID_BYTES)?))
            })?),
            Tag::Carry => Message::Carry { batch: r.u32()?, changes: r.list(limits::BATCH_CHANGES, Reader::change)? },
            Tag::Carried => Message::Carried { batch: r.u32()?, outcomes: r.list(limits::BATCH_CHANGES, Reader::outcome)? },
            Tag::AskHeld => Message::AskHeld(r.list(limits::BATCH_CHANGES, Reader::scope)?),
            Tag::Held => Message::Held(r.list(limits::BATCH_CHANGES, |r| Ok((r.scope()?, r.u16()?)))?),
            Tag::Alert => Message::Alert(r.text(limits::ALERT_BYTES)?),
            Tag::Listed => Message::Listed {
                first: r.flag("first")?,
                last: r.flag("last")?,
                items: r.list(limits::BATCH_LISTED, |r| Ok((r.prefix()?, r.expiry()?)))?,
            },
            Tag::Fetch => Message::Fetch {
                order: r.u32()?,
                feed: r.u8()?,
                whole: r.flag("whole")?,
                known: [r.text(KNOWN_BYTES)?, r.text(KNOWN_BYTES)?],
            },
            Tag::FeedItems => Message::FeedItems {
                order: r.u32()?,
                items: r.list(limits::BATCH_LISTED, |r| Ok((r.prefix()?, r.option(Reader::u32)?)))?,
                gone: r.list(limits::BATCH_LISTED, Reader::prefix)?,
            },
            Tag::Fetched => Message::Fetched { order: r.u32()?, got: Got::read(&mut r)? },
            Tag::Submit => Message::Submit { order: r.u32()? },
            Tag::Submitted => {
                Message::Submitted { order: r.u32()?, wrong: r.option(|r| r.text(ANSWER_BYTES))?, wait: r.option(Reader::u32)? }
            }
            Tag::AskKnown => Message::AskKnown {
                number: r.u32()?,
                flows: r.list(limits::BATCH_FLOWS, |r| {
                    let protocol = Protocol(r.u8()?);
                    let mut end = || Ok(SocketAddr::new(r.addr()?, r.u16()?));
                    Ok(Flow { protocol, from: end()?, to: end()? })
                })?,
            },
            Tag::Known => Message::Known {
                number: r.u32()?,
                flows: r.list(limits::BATCH_FLOWS, |r| Known::ALL.get(usize::from(r.u8()?)).copied().ok_or(Malformed::Value("known")))?,
            },
        };
        r.end()?;
        Ok(message)
    }
}

/// No number that no configuration can have.
fn read_response(r: &mut Reader<'_>) -> Result<ResponseId, Malformed> {
    let number = r.u8()?;
    if usize::from(number) < limits::RESPONSES { Ok(ResponseId(number)) } else { Err(Malformed::Value("response")) }
}

fn read_user(r: &mut Reader<'_>) -> Result<UserName, Malformed> {
    UserName::new(&r.text(UserName::BYTES)?).ok_or(Malformed::Value("user"))
}

fn write_position(out: &mut Writer, position: &Position) {
    out.u64(position.device);
    out.u64(position.inode);
    out.u64(position.offset);
    out.list(&position.mark, |w, byte| w.u8(*byte));
}

fn read_position(r: &mut Reader<'_>) -> Result<Position, Malformed> {
    let (device, inode, offset) = (r.u64()?, r.u64()?, r.u64()?);
    Ok(Position { device, inode, offset, mark: r.list(MARK_BYTES, Reader::u8)? })
}
