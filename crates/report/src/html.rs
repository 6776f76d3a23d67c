//! The picture as one HTML page that needs nothing else: no script, no outside resource, readable in light and in dark. Every text in it is
//! escaped; its size is bounded by what the picture shows.

use crate::escape;
use crate::offender::{Counted, OffenderLine};
use crate::picture::{Picture, aim_text, decision, facts, way_text};
use crate::plot;
use crate::replay::TopSignature;
use crate::table::{count, thousands};
use crate::time::Readable;
use std::fmt::Write as _;

/// Characters of one text.
const TEXT_CHARS: usize = 400;
/// Sources with a plot of their own.
const PLOTTED: usize = 50;

/// A page must not fetch or run anything, whatever somebody got into it.
const HEAD: &str = "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"referrer\" content=\"no-referrer\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">";
const STYLE: &str = ":root{color-scheme:light dark;--back:#fff;--fore:#222;--soft:#666;--rule:#ddd;--card:#f6f7f8}\
    @media(prefers-color-scheme:dark){:root{--back:#16181c;--fore:#ddd;--soft:#999;--rule:#333;--card:#1e2126}}\
    body{background:var(--back);color:var(--fore);font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}\
    h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2.2rem}\
    table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;color:var(--soft);font-size:.85rem}\
    td,th{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}\
    .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.heads{display:flex;flex-wrap:wrap;gap:.6rem}\
    .heads div{background:var(--card);border-radius:.4rem;padding:.5rem .9rem;overflow-wrap:anywhere}.heads b{display:block;font-size:1.25rem}\
    figure{margin:1rem 0;overflow-x:auto}svg{max-width:100%;min-width:34rem;height:auto}.beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:0 2rem}\
    details{border:1px solid var(--rule);border-radius:.4rem;margin:.6rem 0;padding:.4rem .9rem}summary{cursor:pointer;font-weight:600;overflow-wrap:anywhere}\
    dl{display:grid;grid-template-columns:7rem 1fr;gap:.2rem .8rem;margin:.8rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}p.soft{color:var(--soft)}";

fn safe(text: &str) -> String {
    escape::html(text, TEXT_CHARS)
}

/// A table's title row; a title that begins with `#` is a column of numbers.
fn titles(titles: &[&str]) -> String {
    let one = |title: &&str| match title.strip_prefix('#') {
        Some(number) => format!("<th class=\"n\">{number}</th>"),
        None => format!("<th>{title}</th>"),
    };
    format!("<table><tr>{}</tr>", titles.iter().map(one).collect::<String>())
}

/// A cell with a text, which is escaped here.
fn cell(text: &str) -> String {
    format!("<td>{}</td>", safe(text))
}

fn number(number: u64) -> String {
    format!("<td class=\"n\">{}</td>", thousands(number))
}

fn row(cells: &[String]) -> String {
    format!("<tr>{}</tr>", cells.concat())
}

/// A heading with a table, if the table has rows.
fn section(title: &str, columns: &[&str], rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.collect();
    if rows.is_empty() { String::new() } else { format!("<section><h2>{title}</h2>{}{rows}</table></section>", titles(columns)) }
}

fn figure(title: &str, drawing: &plot::Drawing) -> String {
    format!("<h2>{title}</h2><figure>{}</figure>", drawing.to_svg_element())
}

/// The page.
pub fn page(picture: &Picture) -> String {
    let title = safe(&picture.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head>{HEAD}<title>{title}</title><style>{STYLE}{}</style></head><body><h1>{title}</h1><div class=\"heads\">",
        plot::style()
    );
    // Writing to memory cannot fail.
    for (what, how_many) in &picture.heads {
        let _ = write!(page, "<div><b>{}</b>{}</div>", safe(how_many), safe(what));
    }
    for (n, sources) in picture.tops.levels.iter().enumerate().rev().filter(|(_, sources)| **sources > 0) {
        let _ = write!(page, "<div><b>{}</b>at level {}</div>", thousands(*sources), n + 1);
    }
    page.push_str("</div>");
    page.push_str(&plots(picture));
    page.push_str(&tops(picture));
    page.push_str(&sources(picture));
    page.push_str("</body></html>\n");
    page
}

fn plots(picture: &Picture) -> String {
    let mut text = String::new();
    if let Some((timeline, of)) = picture.timeline.as_ref().filter(|(timeline, _)| timeline.ends().is_some()) {
        text += &figure("Over time", &plot::counts_over_time(timeline, of));
        if timeline.cells().next().is_some() {
            text += &figure("Ports over time", &plot::ports_over_time(timeline));
        }
    }
    if picture.sources.iter().any(|source| !source.ports.is_empty()) {
        text += &figure("Ports of the worst sources", &plot::sources_by_port(&picture.sources));
    }
    text
}

fn tops(picture: &Picture) -> String {
    let mut text = String::new();
    if let Some((blocks, all)) = &picture.blocks {
        let line = |block: &crate::list::BlockLine| {
            row(&[cell(&block.address.to_string()), cell(&Readable(block.since.0).to_string()), cell(&block.left()), cell(&block.why)])
        };
        text += &section("Blocks", &["Address", "Since", "Left", "Why"], blocks.iter().map(line));
        text += &more(all.saturating_sub(blocks.len() as u64), "other block");
    }
    let signature = |top: &TopSignature| {
        let TopSignature { signature, sources } = top;
        row(&[cell(&signature.message), number(signature.sid.into()), number(signature.count), number(*sources)])
    };
    text += &section("Signatures", &["Signature", "#Number", "#Matches", "#Sources"], picture.signatures.iter().map(signature));
    let port = |line: &crate::picture::PortLine| {
        let packets = line.packets.map_or_else(|| "<td class=\"n\">–</td>".to_owned(), number);
        row(&[cell(&format!("{} {}", line.protocol, line.port)), number(line.sources), packets])
    };
    let counted = |line: &Counted| row(&[cell(&line.what), number(line.count)]);
    text += "<div class=\"beside\">";
    text += &section("Ports", &["Port", "#Sources", "#Packets"], picture.tops.top_ports.iter().map(port));
    text += &section("Log prefixes", &["Prefix", "#Packets"], picture.tops.prefixes.iter().map(counted));
    text += &section("Protocols", &["Protocol", "#Packets"], picture.tops.protocols.iter().map(counted));
    text + "</div>"
}

fn more(number: u64, noun: &str) -> String {
    if number > 0 { format!("<p class=\"soft\">and {}</p>", count(number, noun)) } else { String::new() }
}

fn sources(picture: &Picture) -> String {
    if picture.sources.is_empty() {
        return "<h2>Sources</h2><p>Nobody is charged with anything.</p>".to_owned();
    }
    let mut text = "<h2>Sources</h2>".to_owned();
    for (n, source) in picture.sources.iter().enumerate() {
        text += &source_text(source, n < PLOTTED);
    }
    text + &more(picture.sources_in_all.saturating_sub(picture.sources.len() as u64), "other source")
}

fn source_text(source: &OffenderLine, plotted: bool) -> String {
    let head = format!("{}, level {}: {}, {}", source.address, source.level, count(source.packets, "packet"), decision(&source.decision));
    let mut text = format!("<details><summary>{}</summary><dl>", safe(&head));
    let mut add = |what: &str, said: &str| {
        let _ = write!(text, "<dt>{what}</dt><dd>{}</dd>", safe(said));
    };
    facts(source).iter().for_each(|(what, said)| add(what, said));
    if let Some(detail) = &source.detail {
        detail.ways.iter().for_each(|way| add("way", &way_text(way)));
        detail.aims.iter().for_each(|aim| add("target", &aim_text(aim)));
    }
    text.push_str("</dl>");
    if let Some(drawing) = plot::of_source(source).filter(|_| plotted) {
        let _ = write!(text, "<figure>{}</figure>", drawing.to_svg_element());
    }
    text + "</details>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::tests::picture;
    use proptest::prelude::*;

    /// Every tag, with what is in it; panics if one is not closed where it should be. What is between tags has no bracket.
    fn tags(page: &str) -> Vec<&str> {
        let (mut tags, mut open) = (Vec::new(), Vec::new());
        for piece in page.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            let name = tag.split([' ', '/']).find(|name| !name.is_empty()).expect("a tag has a name");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') && !["meta", "!DOCTYPE"].contains(&name) {
                open.push(name);
            }
            tags.push(tag);
        }
        assert!(open.is_empty(), "{open:?}");
        tags
    }

    #[test]
    fn a_page_has_everything_and_fetches_nothing() {
        let page = page(&picture("DROP"));
        assert_eq!(tags(&page).iter().filter(|tag| tag.starts_with("svg ")).count(), 6);
        for text in [
            "<title>replay of DROP</title>",
            "<b>600</b>lines",
            "<b>2</b>at level 3",
            "<td>tcp 1</td>",
            "and 1 other source",
            "nmap -sT or -sS",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(page.matches("<details>").count(), 3);
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!["http:", "https:", "<script", "<link", "<img", "url(", "@import", "src="].iter().any(|word| outside.contains(word)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_remote_text_becomes_markup(word in "\\PC{0,70}|[<>/\"'&=a-z! \\x00-\\x1f]{0,70}") {
            let (plain, page) = (page(&picture("DROP")), page(&picture(&word)));
            let names = |page: &str| tags(page).iter().map(|tag| tag.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
            prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
            // What somebody wrote changes no tag, except that an empty word leaves no rows out but its own facts.
            if !word.is_empty() {
                prop_assert_eq!(names(&plain), names(&page));
            }
        }
    }
}
