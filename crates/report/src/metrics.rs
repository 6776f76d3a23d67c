//! `riposte status --prometheus` and `riposte metrics`: the status as Prometheus' text format. Leaves out no figure, and holds no
//! address: what is measured goes to whoever may scrape.

use crate::escape;
use crate::status::{Mode, ResponderState, StatusReport};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Figures that can fall; all others only rise.
const GAUGES: [&str; 10] = [
    "bytes of answers that wait",
    "derived exemptions dropped, table full",
    "history entries",
    "history entries that wait for room on the disk",
    "ledger behind",
    "ledger in memory only",
    "offenders remembered",
    "responses that stand",
    "sources tracked",
    "targets tracked",
];
/// Characters of one label's value.
const LABEL_CHARS: usize = 120;

#[derive(Debug, Default)]
struct Family {
    help: String,
    gauge: bool,
    /// By labels, which are written out already.
    samples: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Page {
    families: BTreeMap<String, Family>,
}

impl Page {
    /// One sample. What has the same name and labels is one thing, and is added up.
    fn sample(&mut self, name: &str, help: &str, gauge: bool, labels: &[(&str, &str)], value: u64) {
        let name = if gauge { format!("riposte_{name}") } else { format!("riposte_{name}_total") };
        let family = self.families.entry(name).or_insert_with(|| Family { help: help.to_owned(), gauge, samples: BTreeMap::new() });
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", label(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        *family.samples.entry(labels).or_default() += value;
    }

    /// A figure of `status`: `refused: too many blocks` is one of the family `refused`.
    fn figure(&mut self, before: &str, labels: &[(&str, &str)], name: &str, value: u64) {
        let gauge = GAUGES.contains(&name);
        match name.split_once(": ") {
            Some((family, why)) => {
                let labels = [labels, &[("why", why)]].concat();
                self.sample(&format!("{before}{}", snake(family)), &format!("{family}, by reason."), gauge, &labels, value);
            }
            None => self.sample(&format!("{before}{}", snake(name)), &format!("{name}."), gauge, labels, value),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            let kind = if family.gauge { "gauge" } else { "counter" };
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", capital(&family.help));
            for (labels, value) in &family.samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}

/// The whole page.
pub fn text(report: &StatusReport) -> String {
    let mut page = Page::default();
    let mode = match report.mode {
        Mode::Blocking => "blocking",
        Mode::DryRun => "dry_run",
    };
    page.sample("info", "version and mode.", true, &[("version", &report.version), ("mode", mode)], 1);
    page.sample("uptime_seconds", "seconds since the judge began.", true, &[], report.uptime_secs);
    let blocks = &report.blocks;
    let kinds = [("forgeable", blocks.spoofable), ("proven", blocks.proven), ("operator", blocks.operator), ("adopted", blocks.adopted)];
    for (evidence, count) in kinds {
        page.sample("blocks", "blocks that stand, by what they rest on.", true, &[("evidence", evidence)], count);
    }
    page.sample("exemptions", "addresses and prefixes that are never blocked.", true, &[], report.exemptions.len() as u64);
    page.sample("troubles", "what doesn't work as it should.", true, &[], report.troubles.len() as u64);
    page.sample("absent_processes", "processes that should run and don't.", true, &[], report.absent.len() as u64);
    page.sample("storm", "whether a storm was rolled back and has not passed.", true, &[], u64::from(report.storm.is_some()));
    for process in &report.processes {
        let labels = [("process", process.life.as_str())];
        page.sample("process_restarts", "how often a process was started again.", false, &labels, u64::from(process.restarts));
        // What the asking side may not see is left out rather than told as zero.
        if process.rss_kb > 0 {
            page.sample("process_resident_memory_bytes", "resident memory.", true, &labels, process.rss_kb * 1_024);
        }
        if let Some(open) = process.open_fds {
            page.sample("process_open_fds", "open descriptors.", true, &labels, open);
        }
    }
    for responder in &report.responders {
        let labels = [("responder", responder.name.as_str())];
        page.sample(
            "responder_up",
            "whether a responder takes blocks.",
            true,
            &labels,
            u64::from(responder.state == ResponderState::Working),
        );
    }
    for (name, value) in &report.counters {
        page.figure("", &[], name, *value);
    }
    for sensor in &report.sensors {
        let labels = [("sensor", sensor.name.as_str()), ("kind", sensor.kind.as_str())];
        page.sample("sensor_up", "whether a sensor runs.", true, &labels, u64::from(sensor.state == "running"));
        for (name, value) in &sensor.counters {
            page.figure("sensor_", &labels, name, *value);
        }
    }
    page.text()
}

/// Letters, digits and single underscores, as a metric's name may have.
fn snake(text: &str) -> String {
    // "source's" would end in a unit, seconds.
    let text = text.replace('\'', "");
    let words: Vec<String> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.join("_")
}

/// A label's value: control characters escaped as everywhere, then what the format itself reserves.
fn label(value: &str) -> String {
    escape::text(value, LABEL_CHARS).replace('\\', "\\\\").replace('"', "\\\"")
}

fn capital(text: &str) -> String {
    let mut letters = escape::text(text, LABEL_CHARS).chars().collect::<Vec<char>>();
    if let Some(first) = letters.first_mut() {
        *first = first.to_ascii_uppercase();
    }
    letters.into_iter().collect::<String>().replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{BlockCounts, ProcessLine, ResponderLine, SensorLine};

    fn report() -> StatusReport {
        let process = |life: &str, rss_kb, open_fds| ProcessLine {
            life: life.into(),
            pid: 1,
            uid: 0,
            capabilities: Vec::new(),
            no_new_privs: true,
            seccomp: String::new(),
            landlock: String::new(),
            rss_kb,
            restarts: 2,
            open_fds,
        };
        StatusReport {
            version: "0.1.0".into(),
            uptime_secs: 60,
            mode: Mode::Blocking,
            processes: vec![process("judge", 2, Some(9)), process("log 1", 0, None)],
            sensors: vec![SensorLine {
                name: "file /a\"b\\c\n".into(),
                kind: "file".into(),
                state: "running".into(),
                counters: vec![("lines".into(), 7), ("harmless: ping".into(), 3)],
            }],
            counters: vec![
                ("blocks made".into(), 5),
                ("sources tracked".into(), 4),
                ("refused: too many".into(), 6),
                ("blocks-made".into(), 1),
            ],
            blocks: BlockCounts { active: 3, spoofable: 2, proven: 1, operator: 0, adopted: 0 },
            exemptions: vec![("192.0.2.1".into(), "own".into())],
            storm: None,
            repaired: None,
            signatures: Vec::new(),
            absent: Vec::new(),
            troubles: Vec::new(),
            responders: [("nftables", ResponderState::Working), ("ipset", ResponderState::Idle), ("xdp", ResponderState::Silent)]
                .map(|(name, state)| ResponderLine { name: name.into(), state })
                .into(),
            offenders: None,
        }
    }

    #[test]
    fn every_family_is_told_once_and_every_figure_is_there() {
        let text = text(&report());
        for line in [
            "riposte_info{version=\"0.1.0\",mode=\"blocking\"} 1",
            "riposte_blocks{evidence=\"forgeable\"} 2",
            "riposte_blocks_made_total 6",
            "riposte_responder_up{responder=\"nftables\"} 1",
            "riposte_responder_up{responder=\"ipset\"} 0",
            "riposte_responder_up{responder=\"xdp\"} 0",
            "riposte_sources_tracked 4",
            "riposte_refused_total{why=\"too many\"} 6",
            "riposte_process_restarts_total{process=\"log 1\"} 2",
            "riposte_process_open_fds{process=\"judge\"} 9",
            "riposte_sensor_harmless_total{sensor=\"file /a\\\"b\\\\c\\\\u{a}\",kind=\"file\",why=\"ping\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("192.0.2.1") && !text.contains("resident_memory_bytes{process=\"log 1\"}"), "{text}");
        let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let told = types.len();
        types.dedup();
        assert_eq!((types.len(), text.lines().filter(|line| line.starts_with("# HELP")).count()), (told, told));
    }
}
