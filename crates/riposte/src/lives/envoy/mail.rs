//! Mail: by a server, over a connection that is encrypted before the first word about anybody, or by a program of this host's. What a stranger
//! wrote becomes no header and no command: headers are made of our own words and addresses.

use super::messenger::{Errand, Messenger};
use super::way::Way;
use super::{Secrets, lookups::Lookups, tls};
use crate::config::alert::{MailConfig, MailServer, Outgoing, Prefixes, Tls as Kind};
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message, SmtpTransport, Transport};
use report::alert::Letter;
use report::letter::{self, Matter};
use report::plot;
use std::io;
use std::time::Duration;

/// Pictures in one mail.
const PICTURES: usize = 5;

/// Who answers a machine's mail by a machine's mail must not (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// By whom it goes.
enum By {
    Server(Box<SmtpTransport>, String),
    Program(Messenger),
}

/// Mail.
pub struct Mail {
    to: Vec<Address>,
    from: Address,
    by: By,
    prefixes: Prefixes,
    timeout: Duration,
    lookups: Lookups,
    /// The letter that the server has refused for good.
    refused: Option<Letter>,
}

impl Mail {
    /// As configured, from a host of this name.
    ///
    /// # Errors
    /// What is wrong with the addresses or the files.
    pub fn new(config: &MailConfig, host: &str, secrets: &Secrets, messenger: Option<Messenger>, lookups: Lookups) -> Result<Mail, String> {
        let to = config.to.iter().map(|to| address(to, host)).collect::<Result<_, _>>()?;
        let from = match &config.from {
            Some(from) => address(from, host)?,
            None => address("riposte", host)?,
        };
        let by = match &config.by {
            Outgoing::Server(server) => By::Server(Box::new(transport(server, config, host, secrets)?), server.host.clone()),
            Outgoing::Program(_) => By::Program(messenger.ok_or("[alert.mail] program: nobody can run it until riposte is restarted")?),
        };
        Ok(Mail { to, from, by, prefixes: config.prefixes.clone(), timeout: config.timeout, lookups, refused: None })
    }

    /// The mail: text, the same as HTML, and small pictures in that.
    fn message(&self, letter: &Letter) -> Result<Message, String> {
        let nanos = crate::lives::now().as_nanos();
        let (mut pictures, mut parts) = (Vec::new(), Vec::new());
        for (place, source) in letter::pictured(letter) {
            let Some(picture) = plot::small_picture(source).filter(|_| parts.len() < PICTURES) else { continue };
            let id = format!("{place}.{nanos}@riposte");
            let png = ContentType::parse("image/png").map_err(|error| error.to_string())?;
            parts.push(Attachment::new_inline(id.clone()).body(picture.png, png));
            pictures.push((place, id, picture.alt));
        }
        let page = SinglePart::html(letter::html(letter, &pictures));
        let text = SinglePart::plain(letter::text(letter));
        let body = MultiPart::alternative().singlepart(text);
        let body = match parts.is_empty() {
            true => body.singlepart(page),
            false => body.multipart(parts.into_iter().fold(MultiPart::related().singlepart(page), MultiPart::singlepart)),
        };
        let mut builder = Message::builder().from(Mailbox::new(Some("riposte".to_owned()), self.from.clone()));
        for to in &self.to {
            builder = builder.to(Mailbox::new(None, to.clone()));
        }
        let id = format!("<{nanos}.{}@{}>", std::process::id(), self.from.domain());
        let prefix = match letter::matter(letter) {
            Matter::Alert => &self.prefixes.alert,
            Matter::Status => &self.prefixes.status,
            Matter::Error => &self.prefixes.error,
        };
        let builder = builder.subject(letter::subject(letter, prefix)).message_id(Some(id)).header(AutoSubmitted);
        builder.multipart(body).map_err(|error| error.to_string())
    }
}

impl Way for Mail {
    fn deliver(&mut self, original: &Letter) -> Result<(), String> {
        let mut letter = original.clone();
        if self.refused.as_ref() == Some(original) {
            // A filter may have found a word in it that somebody had logged for that, and behind it every other letter would wait.
            let sources = letter.told.iter_mut().filter_map(|told| told.alert.source.as_mut());
            sources.for_each(|source| source.quote = None);
        } else {
            self.lookups.look_up(&mut letter);
        }
        let message = self.message(&letter)?;
        match &self.by {
            By::Server(transport, server) => {
                let envelope = Envelope::new(Some(self.from.clone()), self.to.clone()).map_err(|error| error.to_string())?;
                transport.send_raw(&envelope, &message.formatted()).map(drop).map_err(|error| {
                    if error.is_permanent() {
                        self.refused = Some(original.clone());
                    }
                    match is_late(&error) {
                        true => format!("{server}: no answer within {} s", self.timeout.as_secs()),
                        false => format!("{server}: {}", whole(&error)),
                    }
                })
            }
            By::Program(messenger) => messenger.run(&Errand { command: false, env: Vec::new() }, &message.formatted()),
        }
    }
}

/// A socket whose time is up says that it would block.
fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    let kind = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).next();
    matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}

/// An error with what it rests on: the first says no more than `Connection error`.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// An address; a local name is one of this host's.
pub(crate) fn address(text: &str, host: &str) -> Result<Address, String> {
    let (user, domain) = text.rsplit_once('@').unwrap_or((text, host));
    Address::new(user, domain).or_else(|_| Address::new(user, "localhost")).map_err(|error| format!("[alert.mail]: '{text}': {error}"))
}

/// The way to a mail server.
///
/// # Errors
/// What is wrong with its certificates.
pub(super) fn transport(server: &MailServer, config: &MailConfig, host: &str, secrets: &Secrets) -> Result<SmtpTransport, String> {
    let parameters = || {
        let mut builder = TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::None);
        for root in tls::roots("[alert.mail] ca", secrets.of("[alert.mail] ca"))? {
            // One in the system's store that can't be read is nobody's loss but its own.
            if let Ok(root) = Certificate::from_der(root.to_vec()) {
                builder = builder.add_root_certificate(root);
            }
        }
        builder.build_rustls().map_err(|error| error.to_string())
    };
    let tls = match server.tls {
        Kind::None => Tls::None,
        Kind::Starttls => Tls::Required(parameters()?),
        Kind::Tls => Tls::Wrapper(parameters()?),
    };
    let builder = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .timeout(Some(config.timeout))
        .hello_name(ClientId::Domain(host.to_owned()));
    Ok(match (&server.user, secrets.of("[alert.mail] password_file")) {
        (Some(user), Some(password)) => {
            let password = std::str::from_utf8(password).map_err(|_| "[alert.mail] password_file: it is no UTF-8 text")?;
            let password =
                password.lines().next().filter(|line| !line.is_empty()).ok_or("[alert.mail] password_file: its first line is empty")?;
            builder.credentials(Credentials::new(user.clone(), password.to_owned())).build()
        }
        _ => builder.build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::Time;
    use report::alert::{Alert, Told};
    use report::serial::Stamp;

    #[test]
    fn no_word_of_a_strangers_stands_in_a_head() {
        let config =
            crate::config::Config::parse("[alert.mail]\nto=['root', 'a@example.org']\nserver='127.0.0.1'\ntls='none'\n", "x").unwrap();
        let mail = Mail::new(config.alert.mail.as_ref().unwrap(), "gate", &Secrets::default(), None, Lookups::new(&config)).unwrap();
        let mut alert = Alert::sample(Stamp(Time::from_secs(1_700_000_000)));
        let evil = "x\r\nBcc: evil@example.org\r\n\r\n<b>hi</b>";
        alert.said = evil.to_owned();
        alert.source.as_mut().unwrap().charge = evil.to_owned();
        let letter = Letter {
            host: "gate".into(),
            at: alert.at,
            told: vec![Told { name: Some(evil.into()), whois: Some(evil.into()), ..Told::once(alert) }],
            more: 0,
        };
        let text = String::from_utf8(mail.message(&letter).unwrap().formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(head.contains("From: riposte <riposte@gate>") && head.contains("To: root@gate, a@example.org"), "{head}");
        assert!(
            head.contains("Subject: [riposte] gate: 192.0.2.1 is a sample, level 1") && head.contains("Auto-Submitted: auto-generated"),
            "{head}"
        );
        assert!(!head.contains("Bcc") && !head.contains("evil"), "{head}");
        assert!(text.contains("multipart/alternative"), "{text}");
    }
}
