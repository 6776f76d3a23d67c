//! What DShield is told: logged probes that the judge has picked, by the API or by mail. Names nobody of ours and nobody whom others can't know.

use super::Secrets;
use super::courier::Answers;
use super::mail::transport;
use crate::config::Config;
use crate::config::alert::Outgoing;
use crate::config::feed::{By, DshieldConfig};
use crate::fetch::{Answer, Asker};
use exchange::dshield::{Mask, Report, authorization, line, message, subject};
use jiff::tz::Offset;
use lettre::message::header::ContentType;
use lettre::{SmtpTransport, Transport};
use link::message::{ANSWER_BYTES, Message};
use model::event::Event;
use std::io;

/// Where the key and the certificates stand among the envoy's files.
pub const KEY: &str = "[dshield] key";
/// See [`KEY`].
pub const CA: &str = "[dshield] ca";
/// Bytes of an answer that are read: it says that it has come.
const ANSWER: u64 = 1 << 16;

/// By which way.
#[derive(Debug)]
enum Way {
    Api { asker: Asker, key: String },
    Mail(SmtpTransport),
}

/// Tells DShield.
#[derive(Debug)]
pub struct Reporter {
    config: DshieldConfig,
    way: Way,
}

impl Reporter {
    /// As configured, with its files.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn new(config: &Config, secrets: &Secrets) -> Result<Reporter, String> {
        let dshield = config.dshield.clone();
        let way = match dshield.by {
            By::Api => {
                let key = secrets.of(KEY).map(|key| String::from_utf8_lossy(key).trim().to_owned()).unwrap_or_default();
                Way::Api { asker: Asker::new(secrets.of(CA), dshield.from.as_deref())?, key }
            }
            By::Mail => match config.alert.mail.as_ref().map(|mail| (mail, &mail.by)) {
                Some((mail, Outgoing::Server(server))) => Way::Mail(transport(server, mail, &super::host_name(), secrets)?),
                Some((_, Outgoing::Program(_))) | None => return Err("[dshield] by: mail takes the 'server' of [alert.mail]".to_owned()),
            },
        };
        Ok(Reporter { config: dshield, way })
    }

    /// Sends what these events are, and tells the judge.
    ///
    /// # Errors
    /// If the judge is gone.
    pub fn work(&self, order: u32, events: &[Event], judge: &mut Answers) -> io::Result<()> {
        let (wrong, wait) = match self.send(events) {
            Ok(()) => (None, None),
            Err((why, wait)) => (Some(why.chars().take(ANSWER_BYTES / 4).collect()), wait),
        };
        judge.tell(&Message::Submitted { order, wrong, wait })
    }

    fn send(&self, events: &[Event]) -> Result<(), (String, Option<u32>)> {
        let config = &self.config;
        match &self.way {
            Way::Api { asker, key } => {
                let mut nonce = [0; 8];
                let random = rustls::crypto::ring::default_provider().secure_random;
                random.fill(&mut nonce).map_err(|_| ("no random numbers".to_owned(), None))?;
                let reports: Vec<Report> = events.iter().filter_map(Report::of).collect();
                let proof = authorization(config.user, key, nonce);
                let headers = [("X-ISC-Authorization", proof.as_str()), ("X-ISC-LogType", "firewall")];
                match asker.post(&config.url, &headers, &message(&reports, config.mask(), &proof).to_string(), ANSWER) {
                    Answer::Text { .. } | Answer::Same => Ok(()),
                    Answer::Nothing { why, wait } => Err((why, wait)),
                }
            }
            Way::Mail(server) => {
                let mail = |text: &str| text.parse::<lettre::message::Mailbox>().map_err(|error| (format!("{text}: {error}"), None));
                let mail = lettre::Message::builder()
                    .from(mail(config.from.as_deref().unwrap_or_default())?)
                    .to(mail(&config.to)?)
                    .subject(config.subject())
                    .header(ContentType::TEXT_PLAIN)
                    .body(config.lines(events))
                    .map_err(|error| (error.to_string(), None))?;
                server.send(&mail).map(drop).map_err(|error| (error.to_string(), None))
            }
        }
    }
}

impl DshieldConfig {
    /// How our own addresses are hidden.
    pub fn mask(&self) -> Mask {
        self.public.map_or(Mask::Network, Mask::Public)
    }

    /// A mail's subject.
    pub fn subject(&self) -> String {
        subject(self.user, Offset::UTC, env!("CARGO_PKG_VERSION"))
    }

    /// These events as a mail has them, a line each.
    pub fn lines<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> String {
        let reports = events.into_iter().filter_map(Report::of);
        reports.map(|report| line(&report, self.user, Offset::UTC, self.mask()) + "\n").collect()
    }
}
