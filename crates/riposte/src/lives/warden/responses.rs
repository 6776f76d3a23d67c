//! Responses on their way from the judge to the runners: the exempt list is asked once more, and nobody waits for an answer that can't come.

use super::Warden;
use super::troubles::Matter;
use super::ward::{After, Ward};
use crate::config::respond;
use crate::config::response::{check, users};
use crate::lives::{monotonic, now};
use link::message::{Life, Message};
use model::limits;
use model::net::Prefix;
use model::response::{Order, Ran, ResponseId, RunId};

impl Warden {
    /// Starts the runners while there is every right: what they run must not inherit our sandbox.
    pub(super) fn start_runners(&mut self) -> Result<(), String> {
        check(&self.config.responses).map_err(|wrong| wrong.join("; "))?;
        respond::check(&self.config)?.iter().for_each(|notice| tracing::warn!("[respond]: {notice}"));
        for index in 0..self.wards.len() {
            if matches!(self.wards[index].life, Life::Runner | Life::Responder) {
                self.start(index).map_err(|error| format!("{}: {error}", self.wards[index].name))?;
            }
        }
        Ok(())
    }

    /// Hands orders to the runner of each response's user.
    pub(super) fn respond(&mut self, judge: usize, orders: Vec<Order>) {
        let mut refused = Vec::new();
        for order in orders {
            // What was done is undone for the exempt, too.
            if order.add && self.shield.touches(&Prefix::host(order.address)) {
                self.exempt_refused += 1;
                tracing::error!(address = %order.address, "the judge asked to respond to an exempt address: refused");
                refused.push((order.run, Ran::Exempt, String::new()));
            } else if self.ordered.len() >= limits::RUNS {
                refused.push((order.run, Ran::TooMany, String::new()));
            } else if let Some(runner) = self.runner_of(order.response) {
                self.ordered.insert(order.run, runner);
                self.send(runner, &Message::Respond(vec![order]), None);
            } else {
                refused.push((order.run, Ran::Lost, String::new()));
            }
        }
        if !refused.is_empty() {
            self.send(judge, &Message::Ran(refused), None);
        }
    }

    /// Who runs what this response's user is to run, if he takes orders now.
    fn runner_of(&self, response: ResponseId) -> Option<usize> {
        let user = &self.config.responses.get(usize::from(response.0))?.user;
        let slot = users(&self.config.responses).iter().position(|known| known == user)?;
        let takes = |ward: &Ward| ward.link.as_ref().is_some_and(|link| !link.is_congested());
        self.wards.iter().position(|ward| ward.life == Life::Runner && usize::from(ward.slot) == slot && takes(ward))
    }

    /// A runner answers: for its own orders, and for each once.
    pub(super) fn ran(&mut self, runner: usize, mut ran: Vec<(RunId, Ran, String)>) {
        let before = ran.len();
        ran.retain(|(run, ..)| self.ordered.get(run) == Some(&runner) && self.ordered.remove(run).is_some());
        self.unasked += (before - ran.len()) as u64;
        if !ran.is_empty() {
            self.send_judge(&Message::Ran(ran), None);
        }
    }

    /// The process of a runner that works has begun again: it knows nothing of what the one before was at.
    pub(super) fn lose_orders(&mut self, runner: usize) {
        let of_it = self.ordered.iter().filter(|(_, of)| **of == runner);
        let lost: Vec<(RunId, Ran, String)> = of_it.map(|(run, _)| (*run, Ran::Lost, String::new())).collect();
        self.ordered.retain(|_, of| *of != runner);
        for batch in lost.chunks(limits::BATCH_RUNS) {
            self.send_judge(&Message::Ran(batch.to_vec()), None);
        }
    }

    /// A runner or the responder has ended for good: we can start none that could run anything.
    pub(super) fn lose_for_good(&mut self, index: usize) {
        let ward = &mut self.wards[index];
        let loss = if ward.life == Life::Responder {
            // Who works goes on with the link.
            ward.child = None;
            self.troubles.lose(Matter::Responder, now());
            self.send_judge(&Message::Troubles(self.troubles.list()), None);
            "its keeper has ended: what sets the blocks goes on, but nobody begins it again until riposte is restarted"
        } else {
            ward.after = After::Nothing;
            ward.ends(true, monotonic());
            self.lose_orders(index);
            "ended: responses are run again when riposte is restarted"
        };
        self.processes_changed = true;
        if !self.ending {
            tracing::error!(child = self.wards[index].name, "{loss}");
        }
    }
}
