//! What one step of the demonstration came to, and how it is shown. Never decides whether it is good: the step says so.

use report::table::{Room, Side, Table, count, wrap};
use serde::{Deserialize, Serialize};

/// The width that everything keeps to.
pub const WIDTH: usize = 100;

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Finding {
    /// A scanner was let loose.
    Scan(ScanFinding),
    /// Something was checked.
    Check(CheckFinding),
}

/// A scanner was let loose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanFinding {
    /// The step's name.
    pub step: String,
    /// The command line.
    pub command: String,
    /// The scanner's address.
    pub from: String,
    /// The styles that should be seen.
    pub expected: Vec<String>,
    /// The styles that were seen.
    pub styles: Vec<String>,
    /// What it was charged with when it was blocked.
    pub charge: Option<String>,
    /// Its danger level when it was blocked.
    pub level: Option<u8>,
    /// Its packets up to the charge that blocked it.
    pub probes: Option<u64>,
    /// Milliseconds from when its first packet was read to when the block was decided. The few hundred microseconds that the
    /// packet needs up to there and the block from there into the kernel are measured by `make bench`.
    pub first_probe_to_block_ms: Option<f64>,
    /// Packets of the blocked that the kernel dropped while it ran, if it ran alone.
    pub dropped: Option<u64>,
    /// How it was decided, or why it was not blocked.
    pub why: String,
    /// Whether riposte says that it is blocked.
    pub blocked: bool,
    /// Whether the kernel's set holds it.
    pub in_kernel: bool,
    /// Whether all is as expected.
    pub ok: bool,
}

/// Something was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The step's name.
    pub step: String,
    /// What was run.
    pub command: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub got: String,
    /// Whether that is as expected.
    pub ok: bool,
}

impl Finding {
    /// Whether all is as expected.
    pub fn ok(&self) -> bool {
        match self {
            Finding::Scan(scan) => scan.ok,
            Finding::Check(check) => check.ok,
        }
    }

    /// One or two lines that say it, for the running commentary.
    pub fn say(&self) -> String {
        let text = match self {
            Finding::Scan(scan) => scan.say(),
            Finding::Check(check) if check.ok => format!("ok: {}", check.got),
            Finding::Check(check) => format!("FAILED: {} (expected: {})", check.got, check.expected),
        };
        indent(&text, 4)
    }
}

impl ScanFinding {
    fn say(&self) -> String {
        let styles = self.styles.join(", ");
        let (Some(charge), Some(level), true) = (&self.charge, self.level, self.blocked) else {
            return format!("{} not blocked: {} (styles: {styles}; expected: {})", mark(self.ok), self.why, self.expected.join(", "));
        };
        let kernel = if self.in_kernel { "" } else { ", but it is missing in the kernel's set" };
        let dropped = self.dropped.map_or_else(String::new, |n| format!("; {} died in the kernel", count(n, "further packet")));
        let wrong = if self.ok { String::new() } else { format!(" Expected: {}.", self.expected.join(", ")) };
        format!(
            "{} {styles}; {charge}, level {level}; charged at probe {}, blocked {} after the first{dropped}{kernel}.{wrong}",
            mark(self.ok),
            self.probes.map_or_else(|| "?".into(), |n| n.to_string()),
            self.first_probe_to_block_ms.map_or_else(|| "?".into(), span)
        )
    }
}

/// Lines of at most `WIDTH` characters, `by` spaces before each.
pub fn indent(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    wrap(text, WIDTH - by).lines().map(|line| format!("{pad}{line}\n")).collect()
}

fn mark(ok: bool) -> &'static str {
    if ok { "ok:" } else { "FAILED:" }
}

/// Milliseconds for people: `<0.1 ms`, `0.4 ms`, `35 ms`, `44.1 s`.
pub fn span(millis: f64) -> String {
    if millis < 0.1 {
        // Packets that are read together have one time.
        "<0.1 ms".to_owned()
    } else if millis >= 1_000.0 {
        format!("{:.1} s", millis / 1_000.0)
    } else if millis >= 100.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{millis:.1} ms")
    }
}

/// The whole result: a table of the scanners, then what was checked.
pub fn tables(findings: &[Finding]) -> String {
    let mut scans = Table::new([
        ("SCANNER", Side::Left),
        ("STYLES SEEN", Side::Left),
        ("CHARGE", Side::Left),
        ("LEVEL", Side::Right),
        ("PROBES", Side::Right),
        ("BLOCKED AFTER", Side::Right),
        ("DROPPED", Side::Right),
        ("", Side::Left),
    ]);
    let dash = || "-".to_owned();
    let (mut any, mut checks, mut failures) = (false, String::new(), String::new());
    for finding in findings {
        match finding {
            Finding::Scan(scan) => {
                any = true;
                scans.row([
                    scan.step.clone(),
                    scan.styles.join(","),
                    scan.charge.clone().unwrap_or_else(dash),
                    scan.level.map_or_else(dash, |n| n.to_string()),
                    scan.probes.map_or_else(dash, |n| n.to_string()),
                    scan.first_probe_to_block_ms.map_or_else(dash, span),
                    scan.dropped.map_or_else(dash, |n| n.to_string()),
                    verdict(scan.ok).to_owned(),
                ]);
                if !scan.ok {
                    failures += &format!("\n{}\n{}{}", scan.step, indent(&format!("$ {}", scan.command), 4), finding.say());
                }
            }
            Finding::Check(check) => {
                checks += &format!("\n{:8}{}\n{}", verdict(check.ok), check.step, indent(&check.got, 8));
                if !check.ok {
                    checks += &indent(&format!("EXPECTED: {}. RUN: {}", check.expected, check.command), 8);
                }
            }
        }
    }
    let legend = "PROBES: packets up to the charge. BLOCKED AFTER: from reading the first of them to the decision. DROPPED: packets that died in the kernel afterwards.\n";
    let scans = if any { format!("{}\n{}", scans.text(Room::Terminal), indent(legend, 0)) } else { String::new() };
    format!("{scans}{failures}{checks}")
}

fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ok: bool) -> Finding {
        Finding::Check(CheckFinding {
            step: "a step".into(),
            command: "nmap -D".into(),
            expected: "at most 20".into(),
            got: "21".into(),
            ok,
        })
    }

    #[test]
    fn what_failed_is_told_with_what_was_expected() {
        let text = tables(&[check(true), check(false)]);
        assert_eq!(text, "\nok      a step\n        21\n\nFAILED  a step\n        21\n        EXPECTED: at most 20. RUN: nmap -D\n");
    }

    #[test]
    fn a_line_of_json_reads_back() {
        let line = serde_json::to_string(&check(true)).unwrap();
        assert!(line.starts_with(r#"{"type":"check","step":"a step","#), "{line}");
        assert_eq!(serde_json::from_str::<Finding>(&line).unwrap(), check(true));
    }

    #[test]
    fn spans_are_short() {
        assert_eq!([0.04, 35.21, 640.0, 44_100.0].map(span), ["<0.1 ms", "35.2 ms", "640 ms", "44.1 s"]);
    }
}
