//! `[[feed]]` and `[dshield]`: whose lists of attackers are taken, and what is told to DShield. Opens nothing.

use super::alert::{AlertConfig, Outgoing, port_of};
use super::raw::{Given, RawDshield, RawFeed};
use super::read::{Meaning, at, place};
use super::words::{Word, quoted};
use exchange::list::Format;
use model::level::DangerLevel;
use model::limits;
use policy::lists::{Effect, ListConfig};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A list of attackers that others keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedConfig {
    /// Its name: also that of its copy in the store's folder.
    pub name: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Where it is.
    pub place: Place,
    /// How it is written.
    pub format: FeedFormat,
    /// How often it is fetched.
    pub every: Duration,
    /// For how long it holds if nobody renews it.
    pub expires: Duration,
    /// Entries at most; a longer list is refused.
    pub max_entries: usize,
    /// Hundredths of it that may go or come anew at once; above, it is refused.
    pub max_churn: u8,
    /// What follows for whom it names.
    pub effect: Effect,
    /// A file with the key for CrowdSec's local API.
    pub key: Option<PathBuf>,
    /// A file with the certificates that are believed beside the system's.
    pub ca: Option<PathBuf>,
    /// How whoever keeps the list can reach whoever runs riposte.
    pub contact: Option<String>,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By HTTPS (by HTTP from this host alone).
    Url(String),
    /// In a file.
    File(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Url(url) => f.write_str(url),
            Place::File(file) => file.display().fmt(f),
        }
    }
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeedFormat {
    /// As it looks.
    #[default]
    Auto,
    /// As this.
    As(Format),
}

/// What is told to DShield.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DshieldConfig {
    /// Whether anything is.
    pub enabled: bool,
    /// By which way.
    pub by: By,
    /// The account's number; 0: none.
    pub user: u64,
    /// A file with the account's key.
    pub key: Option<PathBuf>,
    /// From whom a mail is; also the contact that the API is told.
    pub from: Option<String>,
    /// To whom it goes.
    pub to: String,
    /// Where the API is.
    pub url: String,
    /// A file with the certificates that are believed beside the system's.
    pub ca: Option<PathBuf>,
    /// How often.
    pub interval: Duration,
    /// The least danger level of those whose probes are told.
    pub min_level: Option<DangerLevel>,
    /// What stands in the place of private addresses of ours; without it all of ours are shown as of 10.0.0.0/8.
    pub public: Option<IpAddr>,
    /// Whether a copy of what was sent is kept, in the store's folder.
    pub copy: bool,
}

/// How DShield is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// By the HTTPS API.
    #[default]
    Api,
    /// By mail.
    Mail,
}

/// What `effect` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum EffectWord {
    #[default]
    Block,
    Level,
    Mark,
}

impl Word for FeedFormat {
    const ALL: &'static [Self] = &[
        FeedFormat::Auto,
        FeedFormat::As(Format::Plain),
        FeedFormat::As(Format::Block),
        FeedFormat::As(Format::Drop),
        FeedFormat::As(Format::Crowdsec),
    ];
    fn word(self) -> &'static str {
        match self {
            FeedFormat::Auto => "auto",
            FeedFormat::As(format) => format.word(),
        }
    }
}

impl Word for By {
    const ALL: &'static [Self] = &[By::Api, By::Mail];
    fn word(self) -> &'static str {
        match self {
            By::Api => "api",
            By::Mail => "mail",
        }
    }
}

impl Word for EffectWord {
    const ALL: &'static [Self] = &[EffectWord::Block, EffectWord::Level, EffectWord::Mark];
    fn word(self) -> &'static str {
        match self {
            EffectWord::Block => "block",
            EffectWord::Level => "level",
            EffectWord::Mark => "mark",
        }
    }
}

/// The word for an effect.
pub fn effect_word(effect: Effect) -> &'static str {
    let word = match effect {
        Effect::Block => EffectWord::Block,
        Effect::Level(_) => EffectWord::Level,
        Effect::Mark => EffectWord::Mark,
    };
    word.word()
}

/// An hour: whoever publishes a list wants nobody to ask more often.
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Characters of the longest name.
const NAME_CHARS: usize = 32;

impl Default for DshieldConfig {
    fn default() -> Self {
        DshieldConfig {
            enabled: false,
            by: By::Api,
            user: 0,
            key: None,
            from: None,
            to: "reports@dshield.org".to_owned(),
            url: "https://www.dshield.org/submitapi/".to_owned(),
            ca: None,
            interval: Duration::from_secs(6 * HOUR),
            min_level: None,
            public: None,
            copy: false,
        }
    }
}

impl DshieldConfig {
    /// The port that it is sent to; a mail goes by the alerts' server.
    pub fn port(&self) -> Option<u16> {
        (self.enabled && self.by == By::Api).then(|| port_of(&self.url)).flatten()
    }
}

impl FeedConfig {
    /// The judge's part. Only riposte's own table blocks by lists.
    pub fn policy(&self, has_table: bool) -> ListConfig {
        let effect = if self.effect == Effect::Block && !has_table { Effect::Mark } else { self.effect };
        ListConfig { name: self.name.clone(), effect }
    }

    /// The port that it is fetched from.
    pub fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Url(url) if self.enabled => port_of(url),
            Place::Url(_) | Place::File(_) => None,
        }
    }

    /// Whether it is a stream of changes with durations of its own.
    pub fn is_stream(&self) -> bool {
        self.format == FeedFormat::As(Format::Crowdsec)
    }

    /// What is taken of it.
    pub fn terms(&self) -> exchange::vet::Terms {
        exchange::vet::Terms { most: self.max_entries, churn: f64::from(self.max_churn) / 100.0, ..Default::default() }
    }
}

/// The host of an address that is `https://HOST…`, or `http://` of this host.
///
/// # Errors
/// Why it is none, to be put behind it.
pub fn host_of(url: &str) -> Result<&str, &'static str> {
    let (rest, is_open) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return Err("is no address of the form https://…"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() || port_of(url).is_none() {
        return Err("is no address of the form https://HOST/…, without user names");
    }
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|addr| addr.is_loopback());
    if is_open && !is_here {
        return Err("is not encrypted: whoever stands between could block whom he likes; only of this host it may be http://");
    }
    Ok(host)
}

impl Meaning<'_> {
    /// All of them. A name must stand for one alone.
    pub(super) fn feeds(&mut self, raw: Vec<(usize, RawFeed)>) -> Vec<FeedConfig> {
        if let Some((at, _)) = raw.get(limits::LISTS) {
            self.problems.say(*at, format!("[[feed]]: at most {} of them, not {}", limits::LISTS, raw.len()));
            return Vec::new();
        }
        let mut all: Vec<FeedConfig> = Vec::new();
        for (start, feed) in raw {
            let name_at = at(&feed.name);
            let Some(feed) = self.feed(start, feed) else { continue };
            if all.iter().any(|other| other.name == feed.name) {
                self.problems.say(place(&[name_at]), format!("[[feed]] name: {} stands there twice", quoted(&feed.name)));
                continue;
            }
            all.push(feed);
        }
        all
    }

    fn feed(&mut self, start: usize, raw: RawFeed) -> Option<FeedConfig> {
        let Some(name) = raw.name else {
            self.problems.say(start, "[[feed]]: 'name' is missing".to_owned());
            return None;
        };
        let is_name = (1..=NAME_CHARS).contains(&name.value.len())
            && name.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !is_name {
            self.wrong(&name, format!("{} is no name: up to {NAME_CHARS} letters, digits, '_', '-'", quoted(&name.value)));
        }
        let contact_at = at(&raw.url);
        let contact = raw.contact.map(|given| self.mail_address(given));
        let place_of = match (raw.url, raw.path) {
            (Some(url), None) => {
                match host_of(&url.value) {
                    Ok(host) if contact.is_none() && [".sans.edu", ".dshield.org"].iter().any(|end| host.ends_with(end)) => {
                        self.wrong(&url, "DShield asks for a 'contact', a mail address, of whoever fetches its lists");
                    }
                    Ok(_) => {}
                    Err(why) => self.wrong(&url, format!("{} {why}", quoted(&url.value))),
                }
                Place::Url(url.value)
            }
            (None, Some(file)) => Place::File(self.path(Some(file), PathBuf::new())),
            (Some(_), Some(file)) => {
                self.wrong(&file, "either 'url' or 'path', not both");
                return None;
            }
            (None, None) => {
                self.problems.say(start, "[[feed]]: 'url' or 'path' is missing".to_owned());
                return None;
            }
        };
        let format_at = at(&raw.format);
        let format = self.word::<FeedFormat>(raw.format).unwrap_or_default();
        let is_stream = format == FeedFormat::As(Format::Crowdsec);
        let is_file = matches!(place_of, Place::File(_));
        if is_stream && is_file {
            self.problems.say(place(&[format_at]), "[[feed]] format: decisions of CrowdSec come by 'url' only".to_owned());
        }
        if is_stream && raw.key.is_none() {
            self.problems
                .say(place(&[format_at]), "[[feed]]: CrowdSec wants a 'key': the file with what `cscli bouncers add` said".to_owned());
        }
        if let Some(key) = raw.key.as_ref().filter(|_| !is_stream) {
            self.wrong(key, "only format = \"crowdsec\" has a key");
        }
        if let Some(ca) = raw.ca.as_ref().filter(|_| is_file) {
            self.wrong(ca, "only what comes by 'url' has certificates");
        }
        let (least, usual) = match (is_stream, is_file) {
            (true, _) => (10, 60),
            (false, true) => (10, 300),
            (false, false) => (HOUR, 6 * HOUR),
        };
        let every = self.period(&raw.every, least..=7 * DAY, Duration::from_secs(usual));
        let expires = self.period(&raw.expires, 60..=30 * DAY, Duration::from_secs(2 * DAY).max(every * 2));
        if expires < every * 2 {
            let message = "[[feed]] expires: that may be before it is fetched again: at least twice 'every' it must be".to_owned();
            self.problems.say(place(&[at(&raw.expires), at(&raw.every), contact_at]), message);
        }
        let level_at = at(&raw.level);
        let effect = match self.word::<EffectWord>(raw.effect).unwrap_or_default() {
            EffectWord::Level => Effect::Level(self.level(&raw.level).unwrap_or(DangerLevel::MAX)),
            other => {
                if level_at.is_some() {
                    self.problems.say(place(&[level_at]), "[[feed]] level: only effect = \"level\" has one".to_owned());
                }
                if other == EffectWord::Block { Effect::Block } else { Effect::Mark }
            }
        };
        Some(FeedConfig {
            name: name.value,
            enabled: raw.enabled.is_none_or(|given| given.value),
            place: place_of,
            format,
            every,
            expires,
            max_entries: self.number(&raw.max_entries, 1..=limits::LISTED as i64, limits::LISTED / 2),
            max_churn: self.number(&raw.max_churn, 1..=100, 50),
            effect,
            key: raw.key.map(|key| self.path(Some(key), PathBuf::new())),
            ca: raw.ca.map(|ca| self.path(Some(ca), PathBuf::new())),
            contact,
        })
    }

    pub(super) fn dshield(&mut self, raw: RawDshield, alert: &AlertConfig) -> DshieldConfig {
        let default = DshieldConfig::default();
        let by = self.word::<By>(raw.by).unwrap_or_default();
        let enabled_at = at(&raw.enabled);
        let enabled = raw.enabled.is_some_and(|given| given.value);
        if let Some(url) = &raw.url
            && let Err(why) = host_of(&url.value)
        {
            self.wrong(url, format!("{} {why}", quoted(&url.value)));
        }
        let config = DshieldConfig {
            enabled,
            by,
            user: self.number(&raw.user, 0..=i64::from(u32::MAX), default.user),
            key: raw.key.map(|key| self.path(Some(key), PathBuf::new())),
            from: raw.from.map(|given| self.mail_address(given)),
            to: raw.to.map_or(default.to, |given| self.mail_address(given)),
            url: raw.url.map_or(default.url, |url| url.value),
            ca: raw.ca.map(|ca| self.path(Some(ca), PathBuf::new())),
            interval: self.period(&raw.interval, if by == By::Mail { HOUR..=7 * DAY } else { 300..=7 * DAY }, default.interval),
            min_level: raw.min_level.is_some().then(|| self.level(&raw.min_level)).flatten(),
            public: raw.public.and_then(|given| match given.value.parse() {
                Ok(addr) => Some(addr),
                Err(_) => {
                    self.wrong(&given, format!("{} is no address", quoted(&given.value)));
                    None
                }
            }),
            copy: raw.copy.is_some_and(|given| given.value),
        };
        if enabled && by == By::Api && (config.user == 0 || config.key.is_none()) {
            self.problems
                .say(place(&[enabled_at]), "[dshield]: the API takes a 'user' and a 'key', the file with the account's key".to_owned());
        }
        let has_server = alert.mail.as_ref().is_some_and(|mail| matches!(mail.by, Outgoing::Server(_)));
        if enabled && by == By::Mail && !has_server {
            self.problems
                .say(place(&[enabled_at]), "[dshield] by: mail goes out by the 'server' of [alert.mail], which is missing".to_owned());
        }
        if enabled && config.from.is_none() {
            self.problems.say(place(&[enabled_at]), "[dshield]: 'from' is missing, the mail address of whoever reports".to_owned());
        }
        config
    }

    fn level(&mut self, given: &Option<Given<i64>>) -> Option<DangerLevel> {
        DangerLevel::new(self.number(given, 1..=5, DangerLevel::MAX.number()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    /// Every key.
    pub const FULL: &str = "[[feed]]\nname='a'\nurl='https://a.example/'\nformat='crowdsec'\nkey='/k'\nca='/c'\ncontact='a@b.org'\neffect='level'\nlevel=3\n\
        [dshield]\nuser=7\nkey='/k'\nfrom='a@b.org'\nca='/c'\nmin_level=2\npublic='198.51.100.7'\n";
    use super::*;
    use crate::config::Config;

    fn wrong(text: &str) -> Vec<String> {
        match Config::parse(text, "f.toml") {
            Ok(_) => Vec::new(),
            Err(all) => all.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_feed_has_its_defaults_and_reads_back() {
        let text = "[[feed]]\nname = \"drop\"\nurl = \"https://lists.example/drop_v4.json\"\n\
            [[feed]]\nname = \"crowd\"\nurl = \"http://127.0.0.1:8080\"\nformat = \"crowdsec\"\nkey = \"/etc/riposte/key\"\neffect = \"level\"\nlevel = 4\n\
            [[feed]]\nname = \"own\"\npath = \"/etc/own.list\"\neffect = \"mark\"\nenabled = false\n\
            [dshield]\nenabled = true\nuser = 7\nkey = \"/etc/riposte/isc\"\nfrom = \"a@example.org\"\npublic = \"198.51.100.7\"\nmin_level = 2\n";
        let config = Config::parse(text, "f.toml").unwrap();
        let [drop, crowd, own] = &config.feeds[..] else { panic!("three feeds") };
        assert_eq!((drop.every.as_secs(), drop.expires.as_secs(), drop.effect), (6 * HOUR, 2 * DAY, Effect::Block));
        assert_eq!((crowd.every.as_secs(), crowd.is_stream(), crowd.effect), (60, true, Effect::Level(DangerLevel::new(4).unwrap())));
        assert_eq!((own.every.as_secs(), own.enabled, own.effect), (300, false, Effect::Mark));
        assert_eq!(
            (config.dshield.by, config.dshield.min_level, config.dshield.interval.as_secs()),
            (By::Api, DangerLevel::new(2), 6 * HOUR)
        );
        assert_eq!(Config::parse(&config.canonical(), "again"), Ok(config.clone()));
        let lists = config.court().policy.lists;
        assert_eq!(lists.iter().map(|list| list.name.as_str()).collect::<Vec<_>>(), ["drop", "crowd"], "only those that are used");
        assert_eq!(lists[0].effect, Effect::Block);
        let elsewhere = Config::parse(&format!("{text}[respond]\nkind = \"ipset\"\n"), "f.toml").unwrap();
        assert_eq!(elsewhere.court().policy.lists[0].effect, Effect::Mark, "nobody can block by it");
    }

    #[test]
    fn what_no_feed_can_be_is_said() {
        let feed = |keys: &str| wrong(&format!("[[feed]]\nname = \"x\"\n{keys}\n"));
        for (keys, said) in [
            ("", "'url' or 'path' is missing"),
            ("url = \"http://lists.example/x\"", "is not encrypted"),
            ("url = \"ftp://lists.example/x\"", "is no address"),
            ("url = \"https://user@lists.example/x\"", "without user names"),
            ("url = \"https://feeds.dshield.org/block.txt\"", "asks for a 'contact'"),
            ("url = \"https://feeds.dshield.org/block.txt\"\ncontact = \"me@\"", "is no mail address"),
            ("url = \"https://a.example/\"\npath = \"/x\"", "either 'url' or 'path'"),
            ("url = \"https://a.example/\"\nevery = \"10m\"", "is not within 1h to 7d"),
            ("url = \"https://a.example/\"\nevery = \"2d\"\nexpires = \"1d\"", "may be before it is fetched again"),
            ("url = \"https://a.example/\"\nformat = \"crowdsex\"", "did you mean 'crowdsec'?"),
            ("url = \"https://a.example/\"\nformat = \"crowdsec\"", "wants a 'key'"),
            ("url = \"https://a.example/\"\nkey = \"/k\"", "only format = \"crowdsec\" has a key"),
            ("url = \"https://a.example/\"\nlevel = 3", "only effect = \"level\" has one"),
            ("url = \"https://a.example/\"\nmax_churn = 0", "is not within 1 to 100"),
            ("path = \"x\"", "must start with '/'"),
            ("path = \"/x\"\nnam = 1", "did you mean 'name'?"),
        ] {
            let all = feed(keys);
            assert!(all.len() == 1 && all[0].contains(said), "{keys}: {all:?}");
        }
        let twice = wrong("[[feed]]\nname = \"x\"\npath = \"/x\"\n[[feed]]\nname = \"x\"\npath = \"/y\"\n");
        assert!(twice.len() == 1 && twice[0].contains("stands there twice"), "{twice:?}");
        assert!(wrong("[dshield]\nenabled = true\nfrom = 'a@b.org'\nby = 'mail'\n").concat().contains("by the 'server' of [alert.mail]"));
        assert!(wrong("[dshield]\nenabled = true\n").iter().any(|line| line.contains("the API takes a 'user'")));
        let often = wrong("[dshield]\nby = \"mail\"\ninterval = \"10m\"\n");
        assert!(often.len() == 1 && often[0].contains("is not within 1h to 7d"), "{often:?}");
    }
}
