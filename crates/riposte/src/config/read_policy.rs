//! What the judge's typed values mean, and which of them are impossible. Never resolves a name.

use super::DeriveConfig;
use super::problems::Problems;
use super::raw::{Given, GivenList, RawDerive, RawPolicy, RawSpoofable, RawStorm};
use super::read::{Meaning, at, place};
use super::words::{self, PERIOD_MAX, Period, is_host_name, quoted};
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use policy::config::{Ignore, PolicyConfig, SpoofableConfig, StormConfig};
use std::collections::HashSet;
use std::time::Duration;

/// Entries of the ignore list. Each is looked at for each event.
const IGNORES_MAX: usize = 1_024;

/// Which exemptions are derived.
pub fn derive(raw: RawDerive) -> DeriveConfig {
    let default = DeriveConfig::default();
    let flag = |given: Option<Given<bool>>, default| given.map_or(default, |given| given.value);
    DeriveConfig {
        own: flag(raw.own, default.own),
        gateways: flag(raw.gateways, default.gateways),
        resolvers: flag(raw.resolvers, default.resolvers),
        time_servers: flag(raw.time_servers, default.time_servers),
        admin: flag(raw.admin, default.admin),
    }
}

/// The judge's part, and the exempt hosts that were given by name.
pub fn policy(raw: RawPolicy, problems: &mut Problems) -> (PolicyConfig, Vec<String>) {
    let default = PolicyConfig::default();
    let longest = PERIOD_MAX.as_secs();
    let mut meaning = Meaning { problems };
    let before = meaning.problems.count();
    let level = meaning.number::<u8>(&raw.block_level, 1..=5, default.block_level.number());
    let raw_spoofable = raw.spoofable.unwrap_or_default();
    let (exempt, names) = raw.exempt.map_or_else(Default::default, |list| meaning.exempt(list));
    let config = PolicyConfig {
        lists: default.lists,
        dry_run: raw.dry_run.map_or(default.dry_run, |given| given.value),
        block_level: DangerLevel::new(level).unwrap_or(default.block_level),
        block_for: meaning.block_for(&raw.block_for, default.block_for),
        escalation: meaning.number(&raw.escalation, 1..=100, default.escalation),
        block_max: meaning.period(&raw.block_max, 1..=longest, default.block_max),
        strikes_forget: meaning.period(&raw.strikes_forget, 60..=longest, default.strikes_forget),
        spoofable: meaning.spoofable(&raw_spoofable),
        blocks_per_minute: meaning.number(&raw.blocks_per_minute, 1..=10_000_000, default.blocks_per_minute),
        blocks_total: meaning.number(&raw.blocks_total, 1..=limits::BLOCKS as i64, default.blocks_total),
        storm: meaning.storm(raw.storm.unwrap_or_default()),
        exempt,
        ignore: raw.ignore.map_or(default.ignore, |list| meaning.ignores(list)),
        touch_blocks: default.touch_blocks,
    };
    // A value that was already refused stands as its default here, and must not be refused once more for that.
    if meaning.problems.count() == before {
        let places = Places {
            block_for: at(&raw.block_for),
            block_max: at(&raw.block_max),
            per_minute: at(&raw.blocks_per_minute),
            total: at(&raw.blocks_total),
        };
        compare(&config, &places, &raw_spoofable, problems);
    }
    (config, names)
}

struct Places {
    block_for: Option<usize>,
    block_max: Option<usize>,
    per_minute: Option<usize>,
    total: Option<usize>,
}

/// Says which values contradict each other.
fn compare(config: &PolicyConfig, places: &Places, raw: &RawSpoofable, problems: &mut Problems) {
    let longest = config.block_for.iter().copied().max().unwrap_or_default();
    if longest > config.block_max {
        let message = format!("[policy] block_for: {} is more than block_max = \"{}\"", Period(longest), Period(config.block_max));
        problems.say(place(&[places.block_for, places.block_max]), message);
    }
    let spoofable = &config.spoofable;
    if spoofable.block_max > config.block_max {
        let message = format!(
            "[policy.spoofable] block_max: {} is more than [policy] block_max = \"{}\"",
            Period(spoofable.block_max),
            Period(config.block_max)
        );
        problems.say(place(&[at(&raw.block_max), places.block_max]), message);
    }
    if spoofable.blocks_per_minute > config.blocks_per_minute {
        let message = format!(
            "[policy.spoofable] blocks_per_minute: {} is more than [policy] blocks_per_minute = {}",
            spoofable.blocks_per_minute, config.blocks_per_minute
        );
        problems.say(place(&[at(&raw.blocks_per_minute), places.per_minute]), message);
    }
    if spoofable.blocks_standing > config.blocks_total {
        let message = format!(
            "[policy.spoofable] blocks_standing: {} is more than [policy] blocks_total = {}",
            spoofable.blocks_standing, config.blocks_total
        );
        problems.say(place(&[at(&raw.blocks_standing), places.total]), message);
    }
}

impl Meaning<'_> {
    fn block_for(&mut self, given: &Option<GivenList<String>>, default: [Duration; 5]) -> [Duration; 5] {
        let Some(given) = given else { return default };
        if given.value.len() != 5 {
            self.wrong(given, format!("five times are wanted, one for each danger level, not {}", given.value.len()));
            return default;
        }
        let before = self.problems.count();
        let mut times = default;
        for (entry, time) in given.value.iter().zip(&mut times) {
            *time = self.period(&Some(entry.clone()), 1..=PERIOD_MAX.as_secs(), *time);
        }
        if self.problems.count() != before {
            return default;
        }
        for (entry, pair) in given.value[1..].iter().zip(times.windows(2)) {
            if pair[1] < pair[0] {
                self.wrong(
                    entry,
                    format!("a higher danger level must not earn less: {} is less than {}", Period(pair[1]), Period(pair[0])),
                );
                return default;
            }
        }
        times
    }

    fn spoofable(&mut self, raw: &RawSpoofable) -> SpoofableConfig {
        let default = SpoofableConfig::default();
        SpoofableConfig {
            may_block: raw.may_block.as_ref().map_or(default.may_block, |given| given.value),
            block_max: self.period(&raw.block_max, 1..=PERIOD_MAX.as_secs(), default.block_max),
            blocks_per_minute: self.number(&raw.blocks_per_minute, 0..=10_000_000, default.blocks_per_minute),
            blocks_standing: self.number(&raw.blocks_standing, 0..=limits::BLOCKS as i64, default.blocks_standing),
        }
    }

    fn storm(&mut self, raw: RawStorm) -> StormConfig {
        let default = StormConfig::default();
        StormConfig {
            offenders: self.number(&raw.offenders, 2..=limits::STORM_OFFENDERS as i64, default.offenders),
            window: self.period(&raw.window, 1..=86_400, default.window),
            pause: self.period(&raw.pause, 0..=7 * 86_400, default.pause),
        }
    }

    /// Prefixes and names apart, each once.
    fn exempt(&mut self, given: GivenList<String>) -> (Vec<Prefix>, Vec<String>) {
        let (mut prefixes, mut names) = (Vec::new(), Vec::new());
        if given.value.len() > limits::EXEMPTIONS {
            self.wrong(&given, format!("at most {} entries, not {}", limits::EXEMPTIONS, given.value.len()));
            return (prefixes, names);
        }
        let mut seen = HashSet::new();
        for entry in given.value {
            match entry.value.parse::<Prefix>() {
                Ok(prefix) => {
                    if seen.insert(prefix.to_string()) {
                        prefixes.push(prefix);
                    }
                }
                Err(_) if is_host_name(&entry.value) => {
                    let name = entry.value.trim_end_matches('.').to_ascii_lowercase();
                    if seen.insert(name.clone()) {
                        names.push(name);
                    }
                }
                Err(model::net::PrefixError::Length(length)) => {
                    self.wrong(&entry, format!("{}: {} is no prefix length for this address", quoted(&entry.value), quoted(&length)));
                }
                Err(model::net::PrefixError::Address(_)) => {
                    self.wrong(&entry, format!("{} is no address, prefix or host name", quoted(&entry.value)));
                }
            }
        }
        (prefixes, names)
    }

    fn ignores(&mut self, given: GivenList<String>) -> Vec<Ignore> {
        if given.value.len() > IGNORES_MAX {
            self.wrong(&given, format!("at most {IGNORES_MAX} entries, not {}", given.value.len()));
            return Vec::new();
        }
        given
            .value
            .into_iter()
            .filter_map(|entry| words::ignore(&entry.value).map_err(|message| self.wrong(&entry, message)).ok())
            .collect()
    }
}
