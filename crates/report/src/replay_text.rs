//! What people read of `riposte replay`: a table of offenders and one line of figures. Never more lines than offenders.

use crate::escape;
use crate::offender::OffenderLine;
use crate::picture::decision;
use crate::replay::{SummaryLine, TopSignature};
use crate::replay_csv::ports;
use crate::system;
use crate::table::{Room, Side, Table, count, cut, thousands};

/// Characters of the ports' column with one protocol, and of each part with two.
const PORTS_CHARS: usize = 24;
const PORTS_CHARS_EACH: usize = 14;
/// Characters of the styles' column.
const STYLES_CHARS: usize = 22;

/// The offenders in aligned columns, a line each.
pub fn offender_table(offenders: &[OffenderLine]) -> String {
    if offenders.is_empty() {
        return "Nobody is charged with anything.\n".to_owned();
    }
    let mut table = Table::new([
        ("ADDRESS", Side::Left),
        ("LEVEL", Side::Right),
        ("STYLES", Side::Left),
        ("TARGETS", Side::Right),
        ("PACKETS", Side::Right),
        ("PORTS", Side::Left),
        ("DECISION", Side::Left),
    ]);
    for line in offenders {
        table.row([
            line.address.to_string(),
            line.level.to_string(),
            cut(&line.styles.to_string(), STYLES_CHARS),
            line.targets.to_string(),
            line.packets.to_string(),
            some_ports(line),
            decision(&line.decision),
        ]);
    }
    table.text(Room::Terminal)
}

/// What the offenders' packets look like, a line each; nothing if nobody knows.
pub fn system_table(offenders: &[OffenderLine]) -> String {
    let mut table = Table::new([("ADDRESS", Side::Left), ("LOOKS LIKE", Side::Left)]);
    let known: Vec<_> = offenders.iter().filter(|line| !line.systems.is_empty()).collect();
    known.iter().for_each(|line| table.row([line.address.to_string(), system::joined(&line.systems)]));
    if known.is_empty() { String::new() } else { format!("\n{}\n", table.text(Room::Terminal)) }
}

/// Signatures that the text shows; JSON has all of them.
const SIGNATURES_SHOWN: usize = 20;
/// Characters of a signature's name.
const NAME_CHARS: usize = 60;

/// The signatures that matched most, a line each; nothing if none did.
pub fn signature_table(tops: &[TopSignature]) -> String {
    let mut table = Table::new([("SID", Side::Right), ("SIGNATURE", Side::Left), ("MATCHES", Side::Right), ("SOURCES", Side::Right)]);
    for TopSignature { signature, sources } in tops.iter().take(SIGNATURES_SHOWN) {
        let name = escape::text(&signature.message, NAME_CHARS);
        table.row([signature.sid.to_string(), name, thousands(signature.count), thousands(*sources)]);
    }
    let more = tops.len().saturating_sub(SIGNATURES_SHOWN);
    let more = if more > 0 {
        format!("and {} more (riposte replay --json has all, and each source's)\n", thousands(more as u64))
    } else {
        String::new()
    };
    if tops.is_empty() { String::new() } else { format!("\n{}{more}\n", table.text(Room::Terminal)) }
}

/// `tcp 22,80-443 +7 udp 53`: as many ranges as there is place for, and how many more there are.
fn some_ports(line: &OffenderLine) -> String {
    let both = !line.ports.tcp.is_empty() && !line.ports.udp.is_empty();
    let place = if both { PORTS_CHARS_EACH } else { PORTS_CHARS };
    let parts = [("tcp", &line.ports.tcp), ("udp", &line.ports.udp)];
    let shown: Vec<String> =
        parts.into_iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(name, ranges)| first_ports(name, &ports(ranges), place)).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(" ") }
}

fn first_ports(protocol: &str, ranges: &[String], place: usize) -> String {
    let mut text = format!("{protocol} ");
    for (n, range) in ranges.iter().enumerate() {
        let rest = format!(" +{}", ranges.len() - n);
        // The first always stands there; after it only what leaves place for the count of the others.
        if n > 0 && text.len() + 1 + range.len() + rest.len() > place {
            return text + &rest;
        }
        if n > 0 {
            text.push(',');
        }
        text.push_str(range);
    }
    text
}

impl SummaryLine {
    /// One line for people, with its newline.
    pub fn text(&self) -> String {
        format!(
            "{}: {}, {}; {} of no meaning, {} not understood.\n",
            count(self.lines, "line"),
            count(self.events, "event"),
            count(self.offenders, "offender"),
            thousands(self.ignored),
            thousands(self.unparsed)
        )
    }
}
