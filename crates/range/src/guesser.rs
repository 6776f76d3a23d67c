//! Somebody guesses passwords on the victim's sshd, and somebody on the same network mistypes his. Never takes the guesser's word for anything.

use crate::finding::Finding;
use crate::forgery::check;
use crate::guard::kernel_blocks;
use crate::network::attacker_address;
use crate::scenario::Stage;
use crate::services::{Contained, FAILURES, PASSWORD, Service, USER};
use std::fs;
use std::io;

/// Lets hydra loose until it is blocked, with a neighbour who mistypes his password once less than it takes.
///
/// # Errors
/// If something can't be started or asked.
pub fn guess(stage: &Stage, step: &str, attacker: usize, neighbour: usize) -> io::Result<Vec<Finding>> {
    let (from, beside) = (attacker_address(attacker), attacker_address(neighbour));
    let hosts = &stage.network.attackers;
    let (Some(guesser), Some(friend)) = (hosts.get(attacker), hosts.get(neighbour)) else {
        return Err(io::Error::other("there are not so many attackers"));
    };
    let lists = [("names", format!("{USER}\n")), ("passwords", (0..40).map(|n| format!("guess{n}\n")).collect())];
    for (name, text) in &lists {
        fs::write(stage.folder.join(name), text)?;
    }
    let [names, passwords] = lists.map(|(name, _)| stage.folder.join(name).display().to_string());
    let command = Service::Ssh.hydra(&names, &passwords);
    let hydra = Contained::insist(guesser, &command, &stage.folder)?;
    let explanation = stage.guard.explain_when_blocked(&from)?;
    drop(hydra);
    let blocked = explanation.block.is_some() && kernel_blocks(&stage.network.victim)?.contains(&from);
    let lines = explanation.entries.iter().find(|entry| entry.decision == "block").map_or(0, |entry| entry.packets);
    let let_in = Service::Ssh.login(guesser, PASSWORD)?;
    let got = format!(
        "{} after {lines} lines of sshd's; then, with the right password, {}. {}",
        if blocked { "blocked" } else { "not blocked" },
        if let_in { "let in" } else { "not let in" },
        explanation.verdict
    );
    // Some of them tell how a connection ended.
    let ok = blocked && lines >= FAILURES as u64 && !let_in;
    let guessed = check(step, &command.join(" "), &format!("blocked after {FAILURES} failures, out"), got, ok);

    for n in 1..FAILURES {
        Service::Ssh.login(friend, &format!("mistyped{n}"))?;
    }
    let let_in = Service::Ssh.login(friend, PASSWORD)?;
    let blocked = kernel_blocks(&stage.network.victim)?.contains(&beside);
    let got = format!(
        "mistyped {} times, then {}; {}",
        FAILURES - 1,
        if let_in { "let in" } else { "not let in" },
        if blocked { "blocked" } else { "not blocked" }
    );
    let command = format!("{FAILURES} × ssh {USER}@victim, from {beside}");
    Ok(vec![guessed, check(&format!("{step}: a neighbour"), &command, "let in, not blocked", got, let_in && !blocked)])
}
