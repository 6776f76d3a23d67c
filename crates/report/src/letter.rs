//! A letter as people read it: subject, text and HTML of a mail. Every text that a stranger may have written is escaped and cut, for a terminal
//! in the text and as HTML in the other; none of it stands in the subject.

use crate::alert::{Alert, Before, Kind, Letter, Source, Told, fresh};
use crate::alert_line::{nmap, ports};
use crate::decision::Action;
use crate::duration::Human;
use crate::escape;
use crate::offender::{Counted, OffenderLine};
use crate::time::Readable;
use std::fmt::Write as _;

/// Sources that are described at length; the others have a line each.
const AT_LENGTH: usize = 20;
/// Characters of a text that is not our own.
const TEXT_CHARS: usize = 300;
/// Ranges of ports, signatures, ways and targets that are shown.
const SHOWN: usize = 16;
/// Lines of a registry's answer, and characters of each.
const WHOIS_LINES: usize = 60;
const WHOIS_CHARS: usize = 120;
/// The column in which the text's values begin.
const LABEL: usize = 24;

/// A row about a source: what, and the value, which is safe for a terminal.
type Row = (&'static str, String);

/// What kind of letter it is: the most urgent of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// Sources.
    Alert,
    /// Blocks that are over, limits, and what works again.
    Status,
    /// Trouble.
    Error,
}

/// What kind of letter it is.
pub fn matter(letter: &Letter) -> Matter {
    match letter.told.iter().map(|told| told.alert.kind).max() {
        Some(Kind::Trouble) => Matter::Error,
        _ if letter.told.iter().any(|told| told.alert.source.is_some()) => Matter::Alert,
        _ => Matter::Status,
    }
}

/// The subject: a prefix and our own words, an address, the host's name.
pub fn subject(letter: &Letter, prefix: &str) -> String {
    let host = escape::text(&letter.host, 100);
    let sources: Vec<&Told> = letter.told.iter().filter(|told| told.alert.source.is_some()).collect();
    let own = letter.told.len() - sources.len();
    let what = match (sources.as_slice(), own) {
        ([one], 0) if letter.more == 0 => one.alert.source.as_ref().map_or_else(String::new, |source| {
            format!("{} {}, level {}", source.line.address, outcome(&one.alert, source), source.line.level)
        }),
        ([], _) => match letter.told.iter().map(|told| told.alert.kind).max() {
            Some(Kind::Trouble) => "riposte is in trouble".to_owned(),
            Some(Kind::Limit) => "no more letters for now".to_owned(),
            Some(Kind::Recovery) => "riposte works again".to_owned(),
            Some(Kind::End | Kind::Lift) => match letter.told.as_slice() {
                [Told { alert: Alert { kind, address: Some(whom), .. }, .. }] if letter.more == 0 => {
                    format!("{whom} is no longer blocked{}", if *kind == Kind::Lift { ", before its time" } else { "" })
                }
                all => format!("{} blocks are over", all.len() as u64 + letter.more),
            },
            _ => "news".to_owned(),
        },
        (many, own) => {
            let worst = many.iter().filter_map(|told| told.alert.source.as_ref()).map(|source| source.line.level).max();
            let level = worst.map_or_else(String::new, |level| format!(", up to level {level}"));
            let over = letter.told.iter().filter(|told| told.alert.address.is_some()).count();
            let count = |n: u64, what: &str| if n == 0 { String::new() } else { format!(", and {n} {what}") };
            let (n, more) = (many.len() as u64, letter.more);
            // Beside others nobody knows what there was no room for.
            let (n, more) = if own == 0 { (n + more, String::new()) } else { (n, count(more, "more")) };
            let over_word = if over == 1 { "block is over" } else { "blocks are over" };
            let own = count(over as u64, over_word) + &count((own - over) as u64, "about riposte itself") + &more;
            format!("{n} source{}{level}{own}", if n == 1 { "" } else { "s" })
        }
    };
    format!("{prefix} {host}: {what}")
}

/// In a word what came of it.
fn outcome(alert: &Alert, source: &Source) -> &'static str {
    match (alert.kind, source.line.decision.action) {
        (Kind::Test, _) => "is a sample",
        (_, Action::Block) if source.dry_run => "would be blocked",
        (_, Action::Block) => "is blocked",
        (_, Action::Watch) => "is watched",
        (_, Action::Exempt) => "is exempt",
        (_, Action::Refuse | Action::None) => "is not blocked",
    }
}

fn rows(told: &Told, source: &Source) -> Vec<Row> {
    let line = &source.line;
    let before = told.before.as_ref();
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |label, value: String| {
        if !value.is_empty() {
            rows.push((label, value));
        }
    };
    let was = before.map(|before| format!(" (was {} when last told, {})", before.level, Readable(before.at.0)));
    add("Danger level", format!("{} of 5{}", line.level, was.unwrap_or_default()));
    add("Charge", escape::text(&source.charge, TEXT_CHARS));
    add("Decision", decided(&told.alert, source));
    add("Why", escape::text(&line.decision.why, TEXT_CHARS));
    add("Address", line.address.to_string());
    add("Its name", told.name.as_ref().map_or_else(String::new, |name| format!("{} (its owner's word)", escape::text(name, 253))));
    let proof = match line.trust {
        model::event::Trust::Spoofable => "could be forged",
        model::event::Trust::Handshake => "proved by a handshake",
        model::event::Trust::Vouched => "vouched for by a service",
    };
    add("Address's proof", proof.to_owned());
    add("Looks like", crate::system::joined(&line.systems));
    scanned(line, before, &mut add);
    let styles = line.styles.to_string();
    let option = nmap(line).map_or_else(String::new, |option| format!(" (as nmap {option} does)"));
    add("How", if line.styles.iter().next().is_some() { format!("{styles}{option}") } else { String::new() });
    details(line, &mut add);
    add("Targets", line.targets.to_string());
    let since = before.map(|before| format!(", {} of them since the last letter", line.packets.saturating_sub(before.packets)));
    add("Packets or lines", format!("{}{}", line.packets, since.unwrap_or_default()));
    if line.protocols > 1 {
        add("IP protocols", line.protocols.to_string());
    }
    add("First seen", Readable(line.first.0).to_string());
    add("Last seen", Readable(line.last.0).to_string());
    let signature = |s: &crate::offender::SignatureLine| format!("{} ({}), {} times", escape::text(&s.message, TEXT_CHARS), s.sid, s.count);
    add("Signatures", some(line.signatures.iter().map(signature), line.signatures.len()));
    if let Some(quote) = &source.quote {
        add("The line that decided", format!("{} ({})", escape::text(&quote.line, TEXT_CHARS), escape::text(&quote.log, TEXT_CHARS)));
    }
    if told.number > 0 {
        let silent = told.silent_until.map(|until| format!("; no more about it before {}", Readable(until.0)));
        add("Letter about it", format!("number {} in 24 hours{}", told.number, silent.unwrap_or_default()));
    }
    rows
}

fn decided(alert: &Alert, source: &Source) -> String {
    let mut text = outcome(alert, source).trim_start_matches("is ").to_owned();
    if source.line.decision.action == Action::Block {
        let length =
            source.line.decision.seconds.map_or_else(|| " without an end".to_owned(), |seconds| format!(" for {}", Human(seconds)));
        text += &length;
        if let Some(until) = source.until {
            let _ = write!(text, ", until {}", Readable(until.0));
        }
    }
    if source.dry_run {
        text += " (this is a dry run: nobody is)";
    }
    text
}

fn scanned(line: &OffenderLine, before: Option<&Before>, add: &mut impl FnMut(&'static str, String)) {
    let lists = [
        ("TCP ports", "TCP ports since then", &line.ports.tcp, before.map(|before| &before.ports.tcp)),
        ("UDP ports", "UDP ports since then", &line.ports.udp, before.map(|before| &before.ports.udp)),
    ];
    for (all, new, ranges, before) in lists {
        add(all, ports(ranges, SHOWN));
        if let Some(before) = before {
            add(new, ports(&fresh(ranges, before), SHOWN));
        }
    }
}

fn details(line: &OffenderLine, add: &mut impl FnMut(&'static str, String)) {
    let Some(detail) = &line.detail else { return };
    let counted = |counted: &Counted| format!("{} ({} packets)", escape::text(&counted.what, TEXT_CHARS), counted.count);
    add("TCP flags", some(detail.flags.iter().map(counted), detail.flags.len()));
    add("ICMP", some(detail.icmp.iter().map(counted), detail.icmp.len()));
    let way = |way: &crate::offender::WayLine| {
        let words = [way.chain.as_str(), &way.interface, &way.prefix, &way.protocol].map(|word| escape::text(word, 40));
        format!("{} ({} packets)", words.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(" "), way.packets)
    };
    add("Chain, interface, prefix", some(detail.ways.iter().map(way), detail.ways.len()));
    let aim = |aim: &crate::offender::AimLine| format!("{} ({} packets)", aim.address, aim.packets);
    add("Whom it tried", some(detail.aims.iter().map(aim), detail.aims.len()));
}

/// The first of them, and how many more there are.
fn some(entries: impl Iterator<Item = String>, all: usize) -> String {
    let mut text = entries.take(SHOWN).collect::<Vec<_>>().join("; ");
    if all > SHOWN {
        let _ = write!(text, "; and {} more", all - SHOWN);
    }
    text
}

fn whois(told: &Told) -> Vec<String> {
    let lines = told.whois.iter().flat_map(|text| text.lines());
    lines.filter(|line| !line.trim().is_empty()).take(WHOIS_LINES).map(|line| escape::text(line, WHOIS_CHARS)).collect()
}

/// What stands at the end of both forms.
fn closing(letter: &Letter, at_length: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if letter.more > 0 {
        lines.push(format!("There was no room for {} more; 'riposte history' has all of them.", letter.more));
    }
    if at_length > 0 {
        lines.push("'riposte explain ADDRESS' tells all that is known, 'riposte unblock ADDRESS' lifts a block.".to_owned());
    }
    lines
}

fn head(letter: &Letter) -> String {
    format!("riposte {} on {}, {}", env!("CARGO_PKG_VERSION"), escape::text(&letter.host, 100), Readable(letter.at.0))
}

/// Sources with what is told of them, and the rest.
fn split(letter: &Letter) -> (Vec<(&Told, &Source)>, Vec<&Alert>) {
    let sources: Vec<(&Told, &Source)> = letter.told.iter().filter_map(|told| Some((told, told.alert.source.as_ref()?))).collect();
    (sources, letter.told.iter().map(|told| &told.alert).filter(|alert| alert.source.is_none()).collect())
}

/// The text.
pub fn text(letter: &Letter) -> String {
    let (sources, own) = split(letter);
    let mut text = format!("{}\n", head(letter));
    for alert in own {
        let _ = write!(text, "\n{}: {}\n", alert.kind.word(), escape::text(&alert.said, 2 * TEXT_CHARS));
    }
    if sources.len() > 1 {
        text.push('\n');
        for (told, source) in &sources {
            let _ =
                writeln!(text, "  {:<40} level {}  {}", source.line.address.to_string(), source.line.level, outcome(&told.alert, source));
        }
    }
    for (told, source) in sources.iter().take(AT_LENGTH) {
        let _ = write!(text, "\n{}\n", escape::text(&told.alert.said, TEXT_CHARS));
        for (label, value) in rows(told, source) {
            let _ = writeln!(text, "{label:>LABEL$}: {value}");
        }
        let whois = whois(told);
        if !whois.is_empty() {
            let _ = write!(text, "\n    A registry says of {} (whois):\n", source.line.address);
            whois.iter().for_each(|line| {
                let _ = writeln!(text, "    | {line}");
            });
        }
    }
    let closing = closing(letter, sources.len());
    if !closing.is_empty() {
        let _ = write!(text, "\n{}\n", closing.join("\n"));
    }
    text
}

/// A level's colour, from quiet to loud.
const fn colour(level: u8) -> &'static str {
    match level {
        0 | 1 => "#4b7bab",
        2 => "#3f8f5f",
        3 => "#b8860b",
        4 => "#c4551c",
        _ => "#b3202c",
    }
}

fn badge(level: u8) -> String {
    format!(
        "<span style=\"display:inline-block;padding:1px 8px;border-radius:9px;font-size:12px;line-height:17px;vertical-align:middle;background:{};color:#fff;font-weight:bold;white-space:nowrap\">level {level}</span>",
        colour(level)
    )
}

/// The same as HTML. `pictures` are the content ids and descriptions of pictures, by the place of their source among the sources.
pub fn html(letter: &Letter, pictures: &[(usize, String, String)]) -> String {
    const CELL: &str = "padding:3px 10px 3px 0;vertical-align:top";
    let (sources, own) = split(letter);
    let mut html = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>riposte</title></head>\n\
         <body style=\"margin:0;padding:16px;background:#fff;color:#1c2126;font:14px/1.45 -apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif\">\n\
         <div style=\"max-width:760px\">\n<p style=\"margin:0 0 12px;color:#5b6570;font-size:12px\">{}</p>\n",
        escape::markup(&head(letter))
    );
    for alert in own {
        let _ = writeln!(
            html,
            "<p style=\"margin:0 0 10px;padding:8px 12px;border-left:4px solid #b3202c;background:#faf0f0\"><b>{}</b>: {}</p>",
            alert.kind.word(),
            escape::markup(&escape::text(&alert.said, 2 * TEXT_CHARS))
        );
    }
    if sources.len() > 1 {
        html.push_str("<table style=\"border-collapse:collapse;margin:0 0 14px\">\n");
        for (told, source) in &sources {
            let _ = writeln!(
                html,
                "<tr><td style=\"{CELL}\"><code>{}</code></td><td style=\"{CELL}\">{}</td><td style=\"{CELL}\">{}</td></tr>",
                escape::markup(&source.line.address.to_string()),
                badge(source.line.level.number()),
                outcome(&told.alert, source)
            );
        }
        html.push_str("</table>\n");
    }
    for (n, (told, source)) in sources.iter().enumerate().take(AT_LENGTH) {
        let _ = writeln!(
            html,
            "<div style=\"border:1px solid #d8dee4;border-radius:6px;padding:12px 16px;margin:0 0 14px\">\n\
             <p style=\"margin:0 0 8px;font-size:16px\"><b><code>{}</code></b> {} {}</p>\n<table style=\"border-collapse:collapse;font-size:13px\">",
            escape::markup(&source.line.address.to_string()),
            outcome(&told.alert, source),
            badge(source.line.level.number())
        );
        for (label, value) in rows(told, source) {
            let _ = writeln!(
                html,
                "<tr><td style=\"{CELL};color:#5b6570;white-space:nowrap\">{label}</td><td style=\"padding:3px 0;vertical-align:top;word-break:break-word\">{}</td></tr>",
                escape::markup(&value)
            );
        }
        html.push_str("</table>\n");
        for (_, id, alt) in pictures.iter().filter(|(place, ..)| *place == n) {
            let _ = writeln!(
                html,
                "<p style=\"margin:10px 0 0\"><img src=\"cid:{}\" alt=\"{}\" style=\"max-width:100%\"></p>",
                escape::markup(id),
                escape::markup(alt)
            );
        }
        let whois = whois(told);
        if !whois.is_empty() {
            let _ = writeln!(
                html,
                "<p style=\"margin:10px 0 4px;color:#5b6570\">A registry says (whois):</p>\n<pre style=\"margin:0;padding:8px;background:#f4f6f8;font-size:12px;white-space:pre-wrap\">{}</pre>",
                escape::markup(&whois.join("\n"))
            );
        }
        html.push_str("</div>\n");
    }
    for line in closing(letter, sources.len()) {
        let _ = writeln!(html, "<p style=\"margin:0 0 6px;color:#5b6570;font-size:12px\">{}</p>", escape::markup(&line));
    }
    html.push_str("</div></body></html>\n");
    html
}

/// Sources at length that a picture may be made of, with their place among the sources.
pub fn pictured(letter: &Letter) -> Vec<(usize, &OffenderLine)> {
    split(letter).0.into_iter().take(AT_LENGTH).enumerate().map(|(n, (_, source))| (n, &source.line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::QuotedLine;
    use crate::serial::Stamp;
    use model::time::Time;
    use proptest::prelude::*;

    const AT: Stamp = Stamp(Time::from_secs(1_700_000_000));

    fn letter(told: Vec<Told>) -> Letter {
        Letter { host: "gate".into(), at: AT, told, more: 0 }
    }

    /// One in which a stranger has written wherever he can.
    fn by_a_stranger(word: &str) -> Letter {
        let mut alert = Alert::sample(AT);
        let source = alert.source.as_mut().unwrap();
        source.charge = format!("rule match: {word}");
        source.line.signatures[0].message = word.to_owned();
        source.line.decision.why = word.to_owned();
        source.quote = Some(QuotedLine { at: AT, log: word.to_owned(), line: word.to_owned() });
        alert.said = word.to_owned();
        let told = Told { name: Some(word.to_owned()), whois: Some(format!("netname: {word}\n{word}")), ..Told::once(alert) };
        letter(vec![told, Told::once(Alert::own(Kind::Trouble, AT, word.to_owned()))])
    }

    #[test]
    fn what_a_stranger_wrote_is_no_markup() {
        let letter = by_a_stranger("<script>alert('x')</script>\"&\u{1b}[2J\u{202e}");
        let html = html(&letter, &[]);
        assert!(
            !html.contains("<script")
                && html.contains("&lt;script&gt;alert(&#39;x&#39;)")
                && !html.contains('\u{1b}')
                && !html.contains('\u{202e}')
        );
        let text = text(&letter);
        assert!(text.contains("<script>alert('x')</script>\"&\\u{1b}[2J\\u{202e}") && !text.contains('\u{1b}'));
        assert!(!subject(&letter, "[riposte]").contains("script"));
    }

    #[test]
    fn a_letter_says_what_and_why() {
        let mut alert = Alert { kind: Kind::Block, ..Alert::sample(AT) };
        let source = alert.source.as_mut().unwrap();
        source.line.decision = crate::decision::Verdict { action: Action::Block, seconds: Some(3_600), why: "port scan at level 1".into() };
        source.until = Some(Stamp(Time::from_secs(1_700_003_600)));
        let before =
            Before { at: AT, level: 1, packets: 1_000, ports: crate::offender::Ports { tcp: vec![(22, 22), (1_000, 1_400)], udp: vec![] } };
        let silent = Some(Stamp(Time::from_secs(1_700_050_000)));
        let told = Told { before: Some(before), number: 2, silent_until: silent, ..Told::once(alert) };
        let letter = letter(vec![told]);
        assert_eq!(subject(&letter, "[riposte]"), "[riposte] gate: 192.0.2.1 is blocked, level 1");
        let text = text(&letter);
        for part in [
            "Decision: blocked for 1h, until 2023-11-14 23:13:20Z\n",
            "Why: port scan at level 1\n",
            "TCP ports: 22, 1000-1500\n",
            "TCP ports since then: 1401-1500\n",
            "How: syn (as nmap -sT or -sS does)\n",
            "Packets or lines: 1002, 2 of them since the last letter\n",
            "number 2 in 24 hours; no more about it before 2023-11-15 12:06:40Z\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn many_are_a_list_and_no_book() {
        let told: Vec<Told> = (0..100).map(|_| Told::once(Alert::sample(AT))).collect();
        let letter = Letter { more: 900, ..letter(told) };
        assert_eq!(subject(&letter, "[riposte]"), "[riposte] gate: 1000 sources, up to level 1");
        assert_eq!(text(&letter).matches("Danger level").count(), AT_LENGTH);
        assert_eq!(html(&letter, &[]).matches("level 1</span>").count(), 100 + AT_LENGTH);
        let own = |kind| subject(&self::letter(vec![Told::once(Alert::own(kind, AT, "x".into()))]), "[riposte]");
        assert_eq!(own(Kind::Trouble), "[riposte] gate: riposte is in trouble");
        assert_eq!(own(Kind::Recovery), "[riposte] gate: riposte works again");
    }

    #[test]
    fn a_block_that_is_over_is_status_and_hides_nothing() {
        let over =
            |kind| Told::once(Alert::over(kind, AT, ("192.0.2.7/32".parse().unwrap(), None), "the block of 192.0.2.7 has ended".into()));
        let of = |told: Vec<Told>| (matter(&letter(told.clone())), subject(&letter(told), "[x]"));
        assert_eq!(of(vec![over(Kind::End)]), (Matter::Status, "[x] gate: 192.0.2.7 is no longer blocked".to_owned()));
        assert_eq!(of(vec![over(Kind::Lift)]).1, "[x] gate: 192.0.2.7 is no longer blocked, before its time");
        assert_eq!(of(vec![over(Kind::End), over(Kind::Lift)]).1, "[x] gate: 2 blocks are over");
        let source = Told::once(Alert { kind: Kind::Block, ..Alert::sample(AT) });
        assert_eq!(
            of(vec![source.clone(), over(Kind::End)]),
            (Matter::Alert, "[x] gate: 1 source, up to level 1, and 1 block is over".to_owned())
        );
        let more = Letter { more: 51, ..letter(vec![source, over(Kind::End)]) };
        assert_eq!(subject(&more, "[x]"), "[x] gate: 1 source, up to level 1, and 1 block is over, and 51 more");
        let trouble = Told::once(Alert::own(Kind::Trouble, AT, "x".into()));
        assert_eq!(of(vec![trouble, over(Kind::End)]), (Matter::Error, "[x] gate: riposte is in trouble".to_owned()));
        assert!(text(&letter(vec![over(Kind::End)])).contains("end: the block of 192.0.2.7 has ended"));
    }

    proptest! {
        /// Whatever a stranger writes: the HTML has the elements that a harmless word's has, and neither form a control character.
        #[test]
        fn a_strangers_text_changes_no_structure(word in "\\PC{0,40}|(<|>|&|\"|'|/|\\n|\\r|\\x1b|img|src=|--|cid:){0,20}") {
            let tags = |letter: &Letter| {
                let html = html(letter, &[]);
                (html.matches('<').count(), html.matches('"').count(), html.matches('\'').count())
            };
            let stranger = by_a_stranger(&format!("x{word}"));
            prop_assert_eq!(tags(&stranger), tags(&by_a_stranger("harmless")));
            let both = text(&stranger) + &html(&stranger, &[]);
            prop_assert!(!both.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(!subject(&stranger, "[riposte]").chars().any(char::is_control));
        }
    }
}
