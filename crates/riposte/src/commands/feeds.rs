//! `riposte feeds`: what others' lists say, and what DShield knows. Never changes a firewall; asks another host only where that is the command.

use super::ask::{connect, io, json_line, order};
use super::{Failure, config, fail};
use crate::cli::{self, AskDshield, Feeds};
use crate::config::Config;
use crate::config::alert::port_of;
use crate::config::feed::{FeedFormat, host_of};
use crate::config::words::Word;
use crate::control::protocol::Request;
use crate::fetch::{Answer, Asker};
use crate::lives::unprivileged_user;
use exchange::isc::{About, TopPort, about, top_ports};
use exchange::list::{Format, read};
use exchange::vet::{Terms, vet};
use model::limits;
use policy::judge::Judge;
use report::dshield::Submission;
use report::escape;
use report::feed::FeedLine;
use report::table::thousands;
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use sys::diag::{Diag, Listener};
use sys::sandbox::Profile;

/// Bytes of the longest answer about an address or about ports.
const ANSWER_BYTES: u64 = 1 << 20;
/// Bytes of the longest list, saved or fetched.
const LIST_BYTES: u64 = crate::fetch::ANSWER_MAX;
/// Characters of a word of others' that are shown.
const WORD_CHARS: usize = 80;
/// The kernel's numbers of protocols.
const PROTOCOLS: [(u8, &str); 2] = [(6, "tcp"), (17, "udp")];

/// Runs one of them.
///
/// # Errors
/// One line that says what is wrong.
pub fn run(command: &Feeds, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Feeds::List(ask) => {
            let lines: Vec<FeedLine> = connect(ask)?.ask(&Request::Feeds)?;
            if ask.json {
                return lines.iter().try_for_each(|line| json_line(out, line));
            }
            write!(out, "{}", report::feed::text(&lines)).map_err(io)
        }
        Feeds::Dshield(ask) => {
            let submission: Submission = connect(ask)?.ask(&Request::Dshield)?;
            if ask.json { json_line(out, &submission) } else { write!(out, "{}", submission.text()).map_err(io) }
        }
        Feeds::Update(args) => order(&args.ask, &Request::UpdateFeeds { name: args.name.clone() }, out),
        Feeds::Check(args) => check(args, out),
        Feeds::Lookup(args) => {
            let answer = dshield(&args.dshield, &format!("ip/{}?json", args.address))?;
            let known = about(&answer).map_err(fail)?;
            say_about(&known, args.dshield.json, out)
        }
        Feeds::Ports(args) => {
            // Before anything comes from outside: afterwards there is no right left to ask the kernel.
            let listening = Diag::open().and_then(|mut diag| diag.listening()).map_err(|e| fail(format!("listening sockets: {e}")))?;
            let answer = dshield(&args.dshield, &format!("topports/records/{}?json", args.top))?;
            let top = top_ports(&answer).map_err(fail)?;
            say_ports(&top, &listening, args.dshield.json, out)
        }
    }
}

/// What a file says, up to a bound.
fn text_of(path: &Path, most: u64) -> Result<String, Failure> {
    let failed = |error: std::io::Error| fail(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() as u64 > most {
        return Err(fail(format!("{}: it is longer than {most} bytes", path.display())));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn check(args: &cli::FeedsCheck, out: &mut impl Write) -> Result<(), Failure> {
    let format =
        args.format.as_deref().map_or(Ok(FeedFormat::Auto), FeedFormat::from_word).map_err(|why| fail(format!("--format: {why}")))?;
    let text = text_of(&args.file, LIST_BYTES)?;
    let format = match format {
        FeedFormat::Auto => Format::of(&text),
        FeedFormat::As(format) => format,
    };
    let judge = Judge::new(config(args.config.as_deref())?.policy);
    let name = args.file.display();
    let list = read(format, &text).map_err(|broken| fail(format!("{name}: {}", escape::text(&broken.to_string(), 200))))?;
    let terms = Terms { most: limits::LISTED, ..Terms::default() };
    let vetted =
        vet(&list, &terms, |prefix| judge.protection(prefix).is_some(), None).map_err(|refusal| fail(format!("{name}: {refusal}")))?;
    if args.entries {
        return vetted.entries.iter().try_for_each(|entry| writeln!(out, "{}", entry.prefix)).map_err(io);
    }
    let counts = [vetted.not_public, vetted.exempt, vetted.too_large, list.unread, list.over];
    if args.json {
        let left_out: serde_json::Map<_, _> =
            FeedLine::REASONS.iter().zip(counts).filter(|(_, n)| *n > 0).map(|(why, n)| (why.replace(' ', "_"), n.into())).collect();
        let value = json!({"format": format.word(), "taken": vetted.entries.len(), "gone": list.gone.len(), "left_out": left_out, "problems": list.problems});
        return json_line(out, &value);
    }
    let mut said = || -> std::io::Result<()> {
        writeln!(out, "Format {}: {} entries would be taken.", format.word(), thousands(vetted.entries.len() as u64))?;
        for (why, n) in FeedLine::REASONS.iter().zip(counts).filter(|(_, n)| *n > 0) {
            writeln!(out, "  left out: {} {why}", thousands(n as u64))?;
        }
        if !list.gone.is_empty() {
            writeln!(out, "  taken off: {}", thousands(list.gone.len() as u64))?;
        }
        list.problems.iter().try_for_each(|problem| writeln!(out, "  line {}", escape::text(problem, 200)))
    };
    said().map_err(io)
}

/// What DShield answers, or what it answered when somebody saved that.
fn dshield(ask: &AskDshield, what: &str) -> Result<String, Failure> {
    if let Some(file) = &ask.file {
        return text_of(file, ANSWER_BYTES);
    }
    let configured = config(ask.config.as_deref())?;
    let contact = ask.contact.clone().or_else(|| configured.dshield.from.clone());
    let contact = contact.ok_or_else(|| fail("--contact: DShield asks for a mail address of whoever asks it (or `from` of [dshield])"))?;
    host_of(&ask.url).map_err(|why| fail(format!("--url: '{}' {why}", escape::text(&ask.url, WORD_CHARS))))?;
    let ca = ask.ca.as_deref().map(|ca| std::fs::read(ca).map_err(|error| fail(format!("{}: {error}", ca.display())))).transpose()?;
    let asker = Asker::new(ca.as_deref(), Some(&contact)).map_err(fail)?;
    shut_in(&configured, &ask.url)?;
    let url = format!("{}/{what}", ask.url.trim_end_matches('/'));
    match asker.get(&url, &[], ANSWER_BYTES) {
        Answer::Text { text, .. } => Ok(text),
        Answer::Same => Err(fail("the server says that nothing has changed, which nobody has asked")),
        Answer::Nothing { why, wait } => {
            let wait = wait.map_or_else(String::new, |seconds| format!("; it wants nobody to ask again for {seconds} s"));
            Err(fail(format!("{}: {}{wait}", escape::text(&ask.url, WORD_CHARS), escape::text(&why, 200))))
        }
    }
}

/// What comes from another host is read by a process that can do next to nothing.
fn shut_in(config: &Config, url: &str) -> Result<(), Failure> {
    let ports: Vec<u16> = port_of(url).into_iter().collect();
    let user = unprivileged_user(&config.process.user).map_err(fail)?;
    sys::sandbox::enter(&Profile::envoy(user, &ports)).map(drop).map_err(|error| fail(error.to_string()))
}

/// Says what is known of an address, as text or as a line of JSON.
///
/// # Errors
/// If it can't be written.
pub fn say_about(known: &About, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json { json_line(out, &lookup_json(known)) } else { lookup(known, out).map_err(io) }
}

/// Says which ports are attacked most and which of them are open here, likewise.
///
/// # Errors
/// If it can't be written.
pub fn say_ports(top: &[TopPort], listening: &[Listener], json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let found = found(top, listening);
    if json { json_line(out, &ports_json(&found)) } else { ports(&found, out).map_err(io) }
}

fn lookup(known: &About, out: &mut impl Write) -> std::io::Result<()> {
    let shown = |text: &str| escape::text(text, WORD_CHARS);
    let words = |texts: &[Option<String>]| texts.iter().flatten().map(|text| shown(text)).collect::<Vec<_>>().join(" ");
    writeln!(out, "{}", shown(&known.address))?;
    match (known.reports, known.targets) {
        (None, None) => writeln!(out, "  nobody has reported it")?,
        (reports, targets) => {
            let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), thousands);
            writeln!(out, "  reported: {} packets, {} targets ({})", number(reports), number(targets), words(&known.days))?;
        }
    }
    let network = known.network.as_deref().map(shown).unwrap_or_default();
    writeln!(out, "  network: {network}, AS {}", words(&known.autonomous_system))?;
    if let Some(contact) = &known.abuse_contact {
        writeln!(out, "  complaints: {}", shown(contact))?;
    }
    known.lists.iter().try_for_each(|(name, seen)| writeln!(out, "  on the list {}, last seen {}", shown(name), shown(seen)))
}

fn lookup_json(known: &About) -> serde_json::Value {
    let [number, name, country] = &known.autonomous_system;
    let lists: Vec<_> = known.lists.iter().map(|(name, seen)| json!({"name": name, "last_seen": seen})).collect();
    json!({
        "address": known.address, "reports": known.reports, "targets": known.targets, "first": known.days[0], "last": known.days[1],
        "network": known.network, "as": number, "as_name": name, "as_country": country, "abuse_contact": known.abuse_contact, "lists": lists,
    })
}

/// An attacked port, and by which protocols and on which addresses strangers reach somebody there.
struct Found<'t> {
    top: &'t TopPort,
    open: Vec<(&'static str, Vec<String>)>,
}

fn found<'t>(top: &'t [TopPort], listening: &[Listener]) -> Vec<Found<'t>> {
    let of = |top: &TopPort, number: u8| -> Vec<String> {
        let mine = listening.iter().filter(|one| one.protocol == number && one.port == top.port && !one.addr.is_loopback());
        mine.map(|one| one.addr.to_string()).collect()
    };
    let open = |top: &TopPort| PROTOCOLS.iter().map(|(number, word)| (*word, of(top, *number))).filter(|(_, at)| !at.is_empty()).collect();
    top.iter().map(|top| Found { top, open: open(top) }).collect()
}

/// The lines that close ports until they are patched, and those that guard others.
fn proposals(found: &[Found<'_>]) -> [Vec<String>; 2] {
    let mut close = Vec::new();
    for (_, protocol) in PROTOCOLS {
        let ports: Vec<String> =
            found.iter().filter(|one| one.open.iter().any(|(open, _)| *open == protocol)).map(|one| one.top.port.to_string()).collect();
        if !ports.is_empty() {
            close.push(format!("\t\t{protocol} dport {{ {} }} drop", ports.join(", ")));
        }
    }
    if !close.is_empty() {
        let head = ["table inet until_patched {", "\tchain input {", "\t\ttype filter hook input priority -20; policy accept;"];
        let head = head.into_iter().chain(["\t\tiif \"lo\" accept", "\t\tct state established,related accept"]).map(str::to_owned);
        close = head.chain(close).chain(["\t}".to_owned(), "}".to_owned()]).collect();
    }
    let shut: Vec<String> = found.iter().filter(|one| one.open.is_empty()).map(|one| one.top.port.to_string()).collect();
    let guard = if shut.is_empty() { Vec::new() } else { vec!["[guard]".to_owned(), format!("tcp = [{}]", shut.join(", "))] };
    [close, guard]
}

fn ports(found: &[Found<'_>], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{:>4} {:>6} {:>10} {:>10}  here", "rank", "port", "sources", "targets")?;
    for Found { top, open } in found {
        let here: Vec<String> = open.iter().map(|(protocol, at)| format!("{protocol} on {}", at.join(", "))).collect();
        let here = if here.is_empty() { "-".to_owned() } else { format!("open: {}", here.join("; ")) };
        writeln!(out, "{:>4} {:>6} {:>10} {:>10}  {here}", top.rank, top.port, thousands(top.sources), thousands(top.targets))?;
    }
    let [close, guard] = proposals(found);
    if close.is_empty() {
        writeln!(out, "\nNone of the most attacked ports is open here to others than this host.")?;
    } else {
        writeln!(
            out,
            "\nTo close the open ones until what answers there is patched (`nft -f FILE`, undone by `nft delete table inet until_patched`);"
        )?;
        writeln!(out, "leave out what must stay reachable, the port that you administer this host by first of all:\n")?;
        close.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    if !guard.is_empty() {
        writeln!(out, "\nNobody answers at the others: guarded, each is a trap for whoever tries it (riposte.toml):\n")?;
        guard.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
}

fn ports_json(found: &[Found<'_>]) -> serde_json::Value {
    let one = |one: &Found<'_>| {
        let open: serde_json::Map<_, _> = one.open.iter().map(|(protocol, at)| ((*protocol).to_owned(), json!(at))).collect();
        let TopPort { rank, port, records, targets, sources } = one.top;
        json!({"rank": rank, "port": port, "records": records, "targets": targets, "sources": sources, "open": open})
    };
    let [close, guard] = proposals(found);
    json!({"ports": found.iter().map(one).collect::<Vec<_>>(), "close": close, "guard": guard})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ports_are_closed_and_others_guarded() {
        let top = |rank, port| TopPort { rank, port, records: 9, targets: 8, sources: 7 };
        let tops = [top(1, 23), top(2, 22), top(3, 53), top(4, 8080)];
        let listener = |protocol, addr: &str, port| Listener { protocol, addr: addr.parse().unwrap(), port };
        let listening = [listener(6, "0.0.0.0", 22), listener(17, "::", 53), listener(6, "127.0.0.1", 8080), listener(6, "::", 443)];
        let found = found(&tops, &listening);
        let [close, guard] = proposals(&found);
        assert_eq!(close[5..7], ["\t\ttcp dport { 22 } drop", "\t\tudp dport { 53 } drop"]);
        assert_eq!(guard, ["[guard]", "tcp = [23, 8080]"]);
        let mut out = Vec::new();
        ports(&found, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("open: tcp on 0.0.0.0") && text.contains("open: udp on ::"), "{text}");
        assert!(Config::parse(&guard.join("\n"), "x").is_ok());
        let nobody = [top(1, 8080)];
        assert!(proposals(&super::found(&nobody, &listening))[0].is_empty());
    }
}
