//! Others' lists of attackers, fetched when the judge wants them, in a thread of its own. Reads what is hostile into prefixes; what of them is taken
//! is the judge's matter.

use super::Secrets;
use super::courier::Answers;
use crate::config::Config;
use crate::config::feed::{FeedConfig, FeedFormat, Place};
use crate::fetch::{ANSWER_MAX, Answer, Asker};
use exchange::list::{Format, List, read};
use link::message::{ANSWER_BYTES, Got, Message};
use model::limits;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What CrowdSec's local API calls its stream.
const STREAM: &str = "v1/decisions/stream?scopes=ip,range&startup=";

/// An order to fetch a feed.
#[derive(Debug)]
pub struct Order {
    /// Its number, for the answer.
    pub number: u32,
    /// Its place in the configuration.
    pub feed: u8,
    /// All of it, of a stream of changes.
    pub whole: bool,
    /// What the copy that there is was called.
    pub known: [String; 2],
}

/// Fetches one feed.
#[derive(Debug)]
struct Source {
    config: FeedConfig,
    asker: Option<Asker>,
    key: String,
}

/// Fetches feeds.
#[derive(Debug)]
pub struct Fetcher(Vec<Source>);

impl Fetcher {
    /// The feeds that are used, with their files.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn new(config: &Config, secrets: &Secrets) -> Result<Fetcher, String> {
        let source = |feed: &FeedConfig| {
            let asker = match feed.place {
                Place::Url(_) => Some(Asker::new(secrets.of(&ca_key(feed)), feed.contact.as_deref())?),
                Place::File(_) => None,
            };
            let key = secrets.of(&key_key(feed)).map(|key| String::from_utf8_lossy(key).trim().to_owned()).unwrap_or_default();
            Ok(Source { config: feed.clone(), asker, key })
        };
        config.feeds.iter().filter(|feed| feed.enabled).map(source).collect::<Result<_, String>>().map(Fetcher)
    }

    /// Fetches one and tells the judge.
    ///
    /// # Errors
    /// If the judge is gone.
    pub fn work(&self, order: &Order, judge: &mut Answers) -> io::Result<()> {
        let Some(source) = self.0.get(usize::from(order.feed)) else { return Ok(()) };
        let (list, got) = source.fetch(order);
        let order = order.number;
        // One more than is taken, so that the judge sees that it is too long.
        let most = source.config.max_entries + 1;
        let items: Vec<_> = list.entries.iter().take(most).map(|entry| (entry.prefix, entry.lasts.map(seconds))).collect();
        for part in items.chunks(limits::BATCH_LISTED) {
            judge.tell(&Message::FeedItems { order, items: part.to_vec(), gone: Vec::new() })?;
        }
        for part in list.gone.chunks(limits::BATCH_LISTED) {
            judge.tell(&Message::FeedItems { order, items: Vec::new(), gone: part.to_vec() })?;
        }
        judge.tell(&Message::Fetched { order, got })
    }
}

/// The name of a feed's certificates among the envoy's files, and of its key.
pub fn ca_key(feed: &FeedConfig) -> String {
    format!("[[feed]] {} ca", feed.name)
}

/// See [`ca_key`].
pub fn key_key(feed: &FeedConfig) -> String {
    format!("[[feed]] {} key", feed.name)
}

fn seconds(span: std::time::Duration) -> u32 {
    u32::try_from(span.as_secs().max(1)).unwrap_or(u32::MAX)
}

impl Source {
    fn fetch(&self, order: &Order) -> (List, Got) {
        let answer = match (&self.config.place, &self.asker) {
            (Place::Url(url), Some(asker)) if self.config.is_stream() => {
                let url = format!("{}/{STREAM}{}", url.trim_end_matches('/'), order.whole);
                asker.get(&url, &[("X-Api-Key", &self.key)], ANSWER_MAX)
            }
            (Place::Url(url), Some(asker)) => {
                let [etag, modified] = &order.known;
                asker.get(url, &[("If-None-Match", etag), ("If-Modified-Since", modified)], ANSWER_MAX)
            }
            (Place::File(file), _) => of_file(file, &order.known),
            (Place::Url(_), None) => Answer::Nothing { why: String::new(), wait: None },
        };
        match answer {
            Answer::Same => (List::default(), Got::Same),
            Answer::Nothing { why, wait } => (List::default(), Got::Nothing { why, wait }),
            Answer::Text { text, known } => {
                let format = match self.config.format {
                    FeedFormat::Auto => Format::of(&text),
                    FeedFormat::As(format) => format,
                };
                match read(format, &text) {
                    Ok(list) => {
                        let left_out = [list.unread, list.over].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
                        (list, Got::List { known, left_out })
                    }
                    Err(broken) => {
                        let why: String = broken.to_string().chars().take(ANSWER_BYTES / 4).collect();
                        (List::default(), Got::Nothing { why, wait: None })
                    }
                }
            }
        }
    }
}

/// A file is the same while its time and length are.
fn of_file(path: &Path, known: &[String; 2]) -> Answer {
    let look = || -> io::Result<Answer> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let modified = meta.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let name = [format!("{modified}-{}", meta.len()), String::new()];
        if name == *known {
            return Ok(Answer::Same);
        }
        let mut bytes = Vec::new();
        if file.take(ANSWER_MAX + 1).read_to_end(&mut bytes)? as u64 > ANSWER_MAX {
            return Err(io::Error::other("it is longer than a list can be"));
        }
        Ok(Answer::Text { text: String::from_utf8_lossy(&bytes).into_owned(), known: name })
    };
    look().unwrap_or_else(|error| Answer::Nothing { why: error.to_string(), wait: None })
}
