//! A program for each alert: its line stands in the configuration, what it is about in its environment and, as JSON, in its input. Never a shell.

use super::messenger::{Errand, Messenger};
use super::way::Way;
use report::alert::{Letter, Told};
use report::alert_line::ports;

/// Ranges of ports in a variable.
const RANGES: usize = 32;

/// A program.
#[derive(Debug)]
pub struct Command {
    messenger: Messenger,
    /// The letter that was not finished, and how many of its alerts were: none is told twice.
    begun: Option<(Letter, usize)>,
}

impl Command {
    /// By this messenger.
    pub fn new(messenger: Messenger) -> Command {
        Command { messenger, begun: None }
    }
}

impl Way for Command {
    fn deliver(&mut self, letter: &Letter) -> Result<(), String> {
        let done = self.begun.take().filter(|(begun, _)| begun == letter).map_or(0, |(_, done)| done);
        for (n, told) in letter.told.iter().enumerate().skip(done) {
            let input = serde_json::to_vec(told).map_err(|error| error.to_string())?;
            let errand = Errand { command: true, env: environment(letter, told) };
            if let Err(why) = self.messenger.run(&errand, &input) {
                self.begun = Some((letter.clone(), n));
                return Err(why);
            }
        }
        Ok(())
    }
}

/// `RIPOSTE_KIND` and so on; what a stranger may have written is escaped.
pub fn environment(letter: &Letter, told: &Told) -> Vec<(String, String)> {
    let text = |text: &str| report::escape::text(text, 300);
    let mut env = vec![("KIND", told.alert.kind.word().to_owned()), ("HOST", letter.host.clone()), ("SAID", text(&told.alert.said))];
    env.extend(told.alert.about().map(|whom| ("ADDRESS", whom.to_string())));
    env.extend(told.alert.level().map(|level| ("LEVEL", level.to_string())));
    if let Some(source) = &told.alert.source {
        let line = &source.line;
        env.extend([
            ("CHARGE", text(&source.charge)),
            ("DECISION", line.decision.action.word().to_owned()),
            ("WHY", text(&line.decision.why)),
            ("SECONDS", line.decision.seconds.map_or_else(String::new, |seconds| seconds.to_string())),
            ("UNTIL", source.until.map_or_else(String::new, |until| until.0.as_secs().to_string())),
            ("PACKETS", line.packets.to_string()),
            ("TARGETS", line.targets.to_string()),
            ("TCP_PORTS", ports(&line.ports.tcp, RANGES)),
            ("UDP_PORTS", ports(&line.ports.udp, RANGES)),
        ]);
    }
    env.into_iter().map(|(name, value)| (format!("RIPOSTE_{name}"), value)).collect()
}
