//! `riposte status`: the processes as the kernel reports them, the sensors, the figures and who is exempt.

use crate::duration::Human;
use crate::escape;
use crate::picture::Offenders;
use crate::serial::Stamp;
use crate::table::{Room, Side, Table, count, thousands};
use crate::time::Readable;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Exempt prefixes that the text shows; JSON has all of them.
const EXEMPTIONS_SHOWN: usize = 20;
/// Signatures that the text shows; JSON has more of them.
const SIGNATURES_SHOWN: usize = 10;
/// Characters of one remote or system-given word.
const WORD_CHARS: usize = 60;

/// Characters of what happened to the table.
const WHY_CHARS: usize = 200;

/// Whether blocks are really set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are.
    Blocking,
    /// They are only decided and recorded.
    DryRun,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// riposte's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Whether blocks are really set.
    pub mode: Mode,
    /// The processes.
    pub processes: Vec<ProcessLine>,
    /// The sensors.
    pub sensors: Vec<SensorLine>,
    /// Figures, in printing order.
    pub counters: Vec<(String, u64)>,
    /// The blocks that stand.
    pub blocks: BlockCounts,
    /// Who is exempt and why.
    pub exemptions: Vec<(String, String)>,
    /// A storm that was rolled back and has not passed.
    pub storm: Option<StormLine>,
    /// The last time that somebody else had changed riposte's own table and it was made anew.
    #[serde(default)]
    pub repaired: Option<RepairLine>,
    /// The signatures that packets have fitted most often since the start, the most frequent first.
    #[serde(default)]
    pub signatures: Vec<SignatureCount>,
    /// What doesn't work as it should, and since when; empty if all is well.
    #[serde(default)]
    pub troubles: Vec<TroubleLine>,
    /// Processes that should run and wait to be begun again.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Who sets the blocks, in order.
    #[serde(default)]
    pub responders: Vec<ResponderLine>,
    /// Who was charged and is still followed; whoever shows it asks for it apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offenders: Option<Offenders>,
}

/// One who sets blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponderLine {
    /// Its kind: `nftables`, `ipset` …
    pub name: String,
    /// What it is doing.
    pub state: ResponderState,
}

/// What a responder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponderState {
    /// It takes blocks.
    Working,
    /// It can't be begun, and is tried again.
    Idle,
    /// Its tool doesn't end: the others beside nftables wait for it.
    Silent,
}

impl ResponderLine {
    /// What is wrong with it, in words that go on behind its name.
    pub(crate) fn trouble(&self) -> Option<(String, &'static str)> {
        let what = match self.state {
            ResponderState::Working => return None,
            ResponderState::Idle => "is not at work",
            ResponderState::Silent => "does not answer",
        };
        Some((format!("responder {}", escape::text(&self.name, WORD_CHARS)), what))
    }
}

/// How often packets have fitted a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureCount {
    /// Its number.
    pub sid: u32,
    /// What it is called.
    pub message: String,
    /// How often.
    pub count: u64,
    /// By how many sources, as far as they were followed; of one source's own list always 1.
    pub sources: u64,
}

/// The firewall's own table was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairLine {
    /// When.
    pub at: Stamp,
    /// What had happened to it and who did it.
    pub why: String,
}

/// Something that doesn't work as it should. Blocking goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TroubleLine {
    /// What, in words.
    pub what: String,
    /// Since when.
    pub since: Stamp,
    /// Why, in the words of whoever failed.
    pub why: String,
    /// Whether protection itself suffers: somebody may not be blocked, or exempt, who should be.
    #[serde(default)]
    pub grave: bool,
}

/// One process, by what the kernel says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLine {
    /// Its role.
    pub life: String,
    /// Its number.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective capabilities.
    pub capabilities: Vec<String>,
    /// Whether it can never gain any.
    pub no_new_privs: bool,
    /// Its seccomp mode: `off`, `strict` or `filter`.
    pub seccomp: String,
    /// How Landlock holds it.
    pub landlock: String,
    /// Its resident memory in kibibytes.
    pub rss_kb: u64,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u32,
    /// Its open descriptors; `None` if the asking side may not see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_fds: Option<u64>,
}

/// One sensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorLine {
    /// Its name: a path, or `nflog`.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What it is doing.
    pub state: String,
    /// Its figures, in printing order.
    pub counters: Vec<(String, u64)>,
}

/// How many blocks stand, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlockCounts {
    /// All together.
    pub active: u64,
    /// On forgeable evidence.
    pub spoofable: u64,
    /// On better evidence.
    pub proven: u64,
    /// By an operator's order.
    pub operator: u64,
    /// Found in the kernel when the ledger was lost.
    #[serde(default)]
    pub adopted: u64,
}

/// A storm that was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormLine {
    /// When.
    pub since: Stamp,
    /// Until when forgeable evidence blocks nobody new.
    pub until: Stamp,
    /// How many different offenders made it.
    pub offenders: u64,
    /// How many blocks were taken back.
    pub rolled_back: u64,
}

impl StatusReport {
    /// The text for people.
    pub fn text(&self, room: Room) -> String {
        let mut text = self.head_text();
        text.push('\n');
        text.push_str(&self.processes_text(room));
        text.push_str(&self.sensors_text(room));
        text.push_str(&self.signatures_text(room));
        text.push_str(&self.figures_text(room));
        text.push_str(&self.exemptions_text(room));
        text
    }

    /// What comes first in it: since when, how many blocks, what is wrong.
    pub fn head_text(&self) -> String {
        let mode = match self.mode {
            Mode::Blocking => "blocking",
            Mode::DryRun => "dry run: nobody new is blocked",
        };
        let mut text = format!("riposte {}, up {}, {mode}.\n", escape::text(&self.version, WORD_CHARS), Human(self.uptime_secs));
        let blocks = &self.blocks;
        let _ = writeln!(
            text,
            "{}: {} on proven evidence, {} on forgeable evidence, {} by order{}.",
            count(blocks.active, "block"),
            thousands(blocks.proven),
            thousands(blocks.spoofable),
            thousands(blocks.operator),
            if blocks.adopted > 0 { format!(", {} adopted from the kernel", thousands(blocks.adopted)) } else { String::new() }
        );
        for trouble in &self.troubles {
            let (what, why) = (escape::text(&trouble.what, 200), escape::text(&trouble.why, 200));
            let _ = writeln!(text, "TROUBLE since {}: {what}:\n{why}.", Readable(trouble.since.0));
        }
        for life in &self.absent {
            let _ = writeln!(text, "TROUBLE: {} does not run, and is begun again.", escape::text(life, WORD_CHARS));
        }
        for responder in &self.responders {
            let Some((who, what)) = responder.trouble() else { continue };
            let _ = match responder.state {
                ResponderState::Silent => writeln!(text, "TROUBLE: {who} {what}: the others beside nftables wait until its tool is ended."),
                ResponderState::Idle | ResponderState::Working => {
                    writeln!(text, "TROUBLE: {who} {what} and sets no block (the log says why):\nit is tried again every half minute.")
                }
            };
        }
        if let Some(storm) = &self.storm {
            let _ = writeln!(
                text,
                "A storm of {} was rolled back at {} ({} lifted);\nuntil {} forgeable evidence blocks nobody new.",
                count(storm.offenders, "offender"),
                Readable(storm.since.0),
                count(storm.rolled_back, "block"),
                Readable(storm.until.0)
            );
        }
        if let Some(repaired) = &self.repaired {
            let why = escape::text(&repaired.why, WHY_CHARS);
            let _ = writeln!(text, "riposte's own table {why}: it was made anew at {}.", Readable(repaired.at.0));
        }
        text
    }

    fn processes_text(&self, room: Room) -> String {
        let mut table = Table::new([
            ("PROCESS", Side::Left),
            ("PID", Side::Right),
            ("UID", Side::Right),
            ("MEMORY", Side::Right),
            ("SECCOMP", Side::Left),
            ("LANDLOCK", Side::Left),
            ("NO NEW PRIVS", Side::Left),
            ("CAPABILITIES", Side::Left),
        ]);
        let mut below = String::new();
        for process in &self.processes {
            let names: Vec<&str> = process.capabilities.iter().map(|name| name.strip_prefix("cap_").unwrap_or(name)).collect();
            let capabilities = match names.len() {
                0 => "none".to_owned(),
                n => {
                    let _ = writeln!(below, "{} may {}.", escape::text(&process.life, WORD_CHARS), escape::text(&names.join(", "), 400));
                    format!("{n}, see below")
                }
            };
            table.row([
                escape::text(&process.life, WORD_CHARS),
                process.pid.to_string(),
                process.uid.to_string(),
                format!("{}.{} MB", process.rss_kb / 1_024, process.rss_kb % 1_024 * 10 / 1_024),
                escape::text(&process.seccomp, WORD_CHARS),
                escape::text(&process.landlock, WORD_CHARS),
                if process.no_new_privs { "yes" } else { "no" }.to_owned(),
                escape::text(&capabilities, 400),
            ]);
        }
        format!("{}{below}", table.text(room))
    }

    fn sensors_text(&self, room: Room) -> String {
        let mut table = Table::new([("SENSOR", Side::Left), ("KIND", Side::Left), ("STATE", Side::Left), ("FIGURES", Side::Left)]);
        for sensor in &self.sensors {
            let figures: Vec<String> = sensor
                .counters
                .iter()
                .filter(|(_, number)| *number > 0)
                .map(|(name, number)| format!("{name} {}", thousands(*number)))
                .collect();
            table.row([
                escape::text(&sensor.name, WORD_CHARS),
                escape::text(&sensor.kind, WORD_CHARS),
                escape::text(&sensor.state, WORD_CHARS),
                escape::text(&figures.join(", "), 400),
            ]);
        }
        if self.sensors.is_empty() { "\nNo sensor: nothing is seen.\n".to_owned() } else { format!("\n{}", table.text(room)) }
    }

    /// The signatures that matched most; empty if none did.
    pub fn signatures_text(&self, room: Room) -> String {
        let mut table = Table::new([("SID", Side::Right), ("SIGNATURE", Side::Left), ("MATCHES", Side::Right), ("SOURCES", Side::Right)]);
        for line in self.signatures.iter().take(SIGNATURES_SHOWN) {
            let name = escape::text(&line.message, WORD_CHARS);
            table.row([line.sid.to_string(), name, thousands(line.count), thousands(line.sources)]);
        }
        if self.signatures.is_empty() { String::new() } else { format!("\n{}", table.text(room)) }
    }

    fn figures_text(&self, room: Room) -> String {
        let mut table = Table::new([("FIGURE", Side::Left), ("COUNT", Side::Right)]);
        let (zero, counted): (Vec<_>, Vec<_>) = self.counters.iter().partition(|(_, number)| *number == 0);
        for (name, number) in &counted {
            table.row([escape::text(name, WORD_CHARS), thousands(*number)]);
        }
        let table = if counted.is_empty() { String::new() } else { format!("\n{}", table.text(room)) };
        if zero.is_empty() {
            table
        } else {
            format!("{table}{} at 0 (riposte status --json shows all).\n", count(zero.len() as u64, "figure"))
        }
    }

    fn exemptions_text(&self, room: Room) -> String {
        let mut table = Table::new([("EXEMPT", Side::Left), ("WHY", Side::Left)]);
        for (prefix, why) in self.exemptions.iter().take(EXEMPTIONS_SHOWN) {
            table.row([escape::text(prefix, WORD_CHARS), escape::text(why, WORD_CHARS)]);
        }
        let more = match self.exemptions.len().saturating_sub(EXEMPTIONS_SHOWN) {
            0 => String::new(),
            more => format!("and {more} more (riposte status --json shows all)\n"),
        };
        if self.exemptions.is_empty() { "\nNobody is exempt.\n".to_owned() } else { format!("\n{}{more}", table.text(room)) }
    }
}
