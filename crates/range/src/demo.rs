//! `riposte demo`: riposte at work for real, inside a private world that is gone afterwards. Says on standard error what it does while
//! it does it; the result comes on standard output. Never touches the host's own network, firewall or files.

use crate::enclosure;
use crate::finding::{Finding, indent, tables};
use crate::forgery::{self, BLOCKS_PER_MINUTE};
use crate::guesser;
use crate::network::{GATEWAY, RESOLVER};
use crate::scenario::{SCANS, SLOW_SCAN, Scan, Stage};
use model::time::Time;
use report::table::count;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

/// The window of the budget for forgeable evidence, and a second more.
const MINUTE: Duration = Duration::from_secs(61);

/// Attackers beside the scanners: the slow one, and one for each act.
const OTHERS: usize = 1 + ACTS.len();

/// What is done beside the scanners, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    CutOff,
    Visit,
    Guess,
    ForgeGateway,
    GatewayServes,
    ForgeResolver,
    RandomSenders,
    FewDecoys,
    ManyDecoys,
    Storm,
}

impl Act {
    /// Whether it needs a minute in which nobody else was blocked.
    fn spends_budget(self) -> bool {
        match self {
            Act::CutOff | Act::Visit | Act::Guess => false,
            Act::ForgeGateway | Act::GatewayServes | Act::ForgeResolver | Act::RandomSenders => false,
            Act::FewDecoys | Act::ManyDecoys | Act::Storm => true,
        }
    }
}

/// Their names.
const ACTS: [(Act, &str); 10] = [
    (Act::CutOff, "a blocked scanner is out"),
    (Act::Visit, "an ordinary visitor"),
    (Act::Guess, "passwords guessed on sshd (hydra)"),
    (Act::ForgeGateway, "forged: the gateway"),
    (Act::GatewayServes, "the real gateway after that"),
    (Act::ForgeResolver, "forged: the resolver"),
    (Act::RandomSenders, "forged: 2,000 random senders"),
    (Act::FewDecoys, "forged: 8 decoys"),
    (Act::ManyDecoys, "forged: 40 decoys"),
    (Act::Storm, "forged: 100 decoys, a storm"),
];

/// Runs it. With `only`, no more than the steps whose name contains it.
///
/// # Errors
/// If it can't be run, or if anything is not as it should be.
pub fn run(binary: &Path, only: Option<&str>, json: bool, out: &mut impl Write) -> io::Result<()> {
    if enclosure::is_inside() {
        return perform(binary, only, out);
    }
    enclosure::check()?;
    choose(only)?;
    let begin = Instant::now();
    let mut inside = enclosure::enter(binary, only)?;
    let shown = show(&mut inside, json, out);
    let ended = inside.wait();
    enclosure::leave();
    let (findings, ended) = (shown?, ended?);
    if !json {
        write!(out, "{}", tables(&findings))?;
    }
    let failed = findings.iter().filter(|finding| !finding.ok()).count();
    if !ended.success() {
        return Err(io::Error::other("the demonstration broke off"));
    }
    if failed > 0 {
        return Err(io::Error::other(format!("{failed} of {} are not as they should be", count(findings.len() as u64, "result"))));
    }
    if !json {
        writeln!(out, "\n{}, all as they should be, in {} s.", count(findings.len() as u64, "result"), begin.elapsed().as_secs())?;
    }
    Ok(())
}

/// Takes over what the process inside prints, a finding a line.
fn show(inside: &mut Child, json: bool, out: &mut impl Write) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let Some(lines) = inside.stdout.take() else { return Ok(findings) };
    for line in BufReader::new(lines).lines() {
        let line = line?;
        findings.push(serde_json::from_str(&line).map_err(io::Error::other)?);
        if json {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
    }
    Ok(findings)
}

/// The steps that were asked for.
struct Chosen {
    scans: Vec<Scan>,
    slow: bool,
    acts: Vec<(Act, &'static str)>,
}

fn choose(only: Option<&str>) -> io::Result<Chosen> {
    let word = only.unwrap_or_default().to_lowercase();
    let wanted = |step: &str| step.to_lowercase().contains(&word);
    let scans: Vec<Scan> = SCANS.into_iter().filter(|scan| wanted(scan.step)).collect();
    let acts: Vec<(Act, &str)> = ACTS.into_iter().filter(|(_, step)| wanted(step)).collect();
    let slow = wanted(SLOW_SCAN.step);
    if scans.is_empty() && acts.is_empty() && !slow {
        let all: Vec<&str> = [SLOW_SCAN.step].into_iter().chain(SCANS.map(|scan| scan.step)).chain(ACTS.map(|(_, step)| step)).collect();
        return Err(io::Error::other(format!("no step's name contains '{word}'. There are:\n{}", all.join("\n"))));
    }
    Ok(Chosen { scans, slow, acts })
}

/// What happens inside.
fn perform(binary: &Path, only: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    let Chosen { scans, slow, acts } = choose(only)?;
    let folder = enclosure::furnish()?;
    say("Building a private network: attackers, a gateway, a victim with 16 addresses.\n");
    let stage = Stage::build(binary, &folder, scans.len() + OTHERS)?;
    introduce(&stage)?;
    let mut show = Show { stage: &stage, out, first_free: scans.len(), patient: None, veterans: Vec::new(), failed: false };
    if slow {
        let n = show.first_free;
        say(&format!("\nIn the background, for a minute: {}", SLOW_SCAN.announce(n)));
        show.patient = Some(stage.launch(n, SLOW_SCAN.command)?);
    }
    for (n, scan) in scans.iter().enumerate() {
        say(&format!("\n{}", scan.announce(n)));
        show.report(stage.scan(scan, n)?)?;
        show.veterans.push(scan.address(n));
    }
    let (early, late): (Vec<_>, Vec<_>) = acts.into_iter().partition(|(act, _)| !act.spends_budget());
    for (act, step) in early {
        show.play(act, step)?;
    }
    show.wait_for_the_slow_one()?;
    if !late.is_empty() {
        rest(&stage)?;
    }
    for (act, step) in late {
        show.play(act, step)?;
    }
    if show.failed {
        // Whoever looks for the reason finds the world gone afterwards.
        say(&format!("\n$ riposte status\n{}\nIts log:\n{}\n", stage.guard.ask(&["status"])?, stage.guard.log_tail()));
    }
    for address in [show.veterans.first().map(String::as_str), Some(GATEWAY)].into_iter().flatten() {
        say(&format!("\n$ riposte explain {address}\n{}", stage.guard.ask(&["explain", address])?));
    }
    say("\n");
    Ok(())
}

/// The show while it runs.
struct Show<'a, W> {
    stage: &'a Stage,
    out: &'a mut W,
    /// The first attacker that none of the scanners uses. It scans slowly; the next ones are for the acts.
    first_free: usize,
    patient: Option<Child>,
    /// Scanners that were blocked.
    veterans: Vec<String>,
    failed: bool,
}

impl<W: Write> Show<'_, W> {
    fn report(&mut self, finding: Finding) -> io::Result<()> {
        self.failed |= !finding.ok();
        say(&finding.say());
        writeln!(self.out, "{}", serde_json::to_string(&finding).map_err(io::Error::other)?)?;
        self.out.flush()
    }

    fn play(&mut self, act: Act, step: &str) -> io::Result<()> {
        say(&format!("\n{step}\n"));
        let number = |act: Act| self.first_free + act as usize + 1;
        let (stage, attacker) = (self.stage, number(act));
        let findings = match act {
            Act::CutOff => vec![forgery::cut_off(stage, step, attacker)?],
            Act::Visit => vec![forgery::visit(stage, step, attacker)?],
            Act::Guess => guesser::guess(stage, step, attacker, number(Act::Visit))?,
            Act::ForgeGateway => vec![forgery::forge_exempt(stage, step, GATEWAY)?],
            Act::ForgeResolver => vec![forgery::forge_exempt(stage, step, RESOLVER)?],
            Act::GatewayServes => vec![forgery::gateway_still_serves(stage, step)?],
            Act::RandomSenders => vec![forgery::random_senders(stage, step)?],
            Act::FewDecoys => vec![forgery::within_budget(stage, step, attacker, 1, 8)?],
            Act::ManyDecoys => vec![forgery::within_budget(stage, step, attacker, 11, 40)?],
            Act::Storm => forgery::storm(stage, step, attacker, &self.veterans)?,
        };
        let mut said = String::new();
        for finding in findings {
            if let Finding::Check(check) = &finding
                && check.command != said
            {
                say(&indent(&format!("$ {}", check.command), 4));
                said.clone_from(&check.command);
            }
            self.report(finding)?;
        }
        Ok(())
    }

    fn wait_for_the_slow_one(&mut self) -> io::Result<()> {
        let Some(mut scanner) = self.patient.take() else { return Ok(()) };
        say("\nWaiting for the slow scan in the background.\n");
        scanner.wait()?;
        self.veterans.push(SLOW_SCAN.address(self.first_free));
        self.report(self.stage.conclude(&SLOW_SCAN, self.first_free, None)?)
    }
}

/// Shows that it runs, and as what.
fn introduce(stage: &Stage) -> io::Result<()> {
    say("riposte runs on the victim, without any settings but the place of sshd's log. As the kernel sees its processes:\n\n");
    let status = stage.guard.ask(&["status"])?;
    let table = status.lines().skip_while(|line| !line.starts_with("PROCESS")).take_while(|line| !line.is_empty());
    table.for_each(|line| say(&format!("{line}\n")));
    Ok(())
}

/// Waits until no block counts against the budget any more.
fn rest(stage: &Stage) -> io::Result<()> {
    let newest = stage.guard.list()?.iter().map(|block| block.since.0).max();
    let age = newest.map_or(MINUTE, |newest| now().since(newest));
    let left = MINUTE.saturating_sub(age);
    if left.is_zero() {
        return Ok(());
    }
    let why = format!(
        "Waiting {} s: lone packets can be forged, so such evidence may block {BLOCKS_PER_MINUTE} addresses a minute and no more, and the \
         scanners above count. What is blocked for longer than a minute also stays when a storm is rolled back.",
        left.as_secs() + 1
    );
    say(&format!("\n{}", indent(&why, 0)));
    std::thread::sleep(left);
    Ok(())
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::EPOCH.after(since)
}

/// Nobody has to listen.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
