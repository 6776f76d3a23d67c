//! A configuration drawn from the dice: any that the configuration's reader would take. Never one that makes the reference useless.

use crate::dice::Dice;
use court::settings::Settings;
use detect::config::ScanConfig;
use model::level::DangerLevel;
use model::net::Prefix;
use policy::config::{PolicyConfig, SpoofableConfig, StormConfig};
use riposte::config::Config;
use riposte::config::feed::FeedConfig;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Draws the settings for these lists.
pub fn settings(dice: &mut Dice, feeds: &[FeedConfig]) -> Settings {
    let mut settings = Settings { scan: scan(dice), policy: policy(dice), ..Settings::default() };
    settings.retention.entries_max = if dice.one_in(8) { 1_000 } else { 100_000 };
    settings.policy.lists = feeds.iter().map(|feed| feed.policy(true)).collect();
    settings
}

fn scan(dice: &mut Dice) -> ScanConfig {
    let first = dice.between(3, 8);
    let hosts = dice.between(4, 12) as u32;
    ScanConfig {
        packets: [first, first * 3, first * 20, first * 200, first * 2_000],
        hosts: [hosts, hosts * 2, hosts * 5, hosts * 10, hosts * 50],
        decay: dice.span(Duration::from_secs(60), Duration::from_secs(7_200)),
        forget: dice.span(Duration::from_secs(3_600), Duration::from_secs(7 * 86_400)),
        count_by_ipv4: if dice.one_in(8) { 24 } else { 32 },
        count_by_ipv6: *dice.pick(&[128, 128, 64, 56]),
        tracked_sources: *dice.pick(&[64, 1_024, 4_096, 4_096]),
        ..ScanConfig::default()
    }
}

fn policy(dice: &mut Dice) -> PolicyConfig {
    let shortest = dice.between(20, 900);
    let longest = dice.between(3_600, 30 * 86_400);
    PolicyConfig {
        dry_run: dice.one_in(24),
        block_level: DangerLevel::new(dice.between(1, 2) as u8).unwrap_or(DangerLevel::MIN),
        block_for: [1, 3, 6, 36, 144].map(|times| Duration::from_secs(shortest * times)),
        escalation: dice.between(1, 4) as u32,
        block_max: Duration::from_secs(longest),
        strikes_forget: dice.span(Duration::from_secs(7_200), Duration::from_secs(60 * 86_400)),
        spoofable: SpoofableConfig {
            may_block: !dice.one_in(8),
            block_max: Duration::from_secs(dice.between(30, 1_800)),
            blocks_per_minute: dice.between(2, 30) as u32,
            blocks_standing: dice.between(4, 200) as usize,
        },
        blocks_per_minute: dice.between(4, 200) as u32,
        blocks_total: dice.between(30, 2_000) as usize,
        storm: StormConfig {
            offenders: dice.between(4, 60) as usize,
            window: Duration::from_secs(dice.between(10, 120)),
            pause: Duration::from_secs(dice.between(30, 1_800)),
        },
        exempt: (0..dice.below(4)).map(|_| exempt(dice)).collect(),
        ignore: if dice.one_in(4) { ["icmp", "udp/53"].iter().filter_map(|text| text.parse().ok()).collect() } else { Vec::new() },
        touch_blocks: [true; 2],
        lists: Vec::new(),
    }
}

/// Draws others' lists: of the web, of a file, and streams. Most have an effect.
pub fn feeds(dice: &mut Dice) -> Vec<FeedConfig> {
    let mut text = String::new();
    for n in 0..dice.below(4) {
        let every = dice.between(120, 1_200);
        let (place, every) = match dice.below(3) {
            0 => ("url = 'https://lists.example/'", dice.between(3_600, 6 * 3_600)),
            1 => ("path = '/list'", every),
            _ => ("url = 'https://lists.example/'\nformat = 'crowdsec'\nkey = '/key'", every),
        };
        let expires = every * dice.between(2, 40);
        let effect = *dice.pick(&["block", "block", "block", "mark"]);
        let most = *dice.pick(&[40, 60, 5_000, 5_000]);
        let _ = writeln!(
            text,
            "[[feed]]\nname = 'list{n}'\n{place}\nevery = '{every}s'\nexpires = '{expires}s'\neffect = '{effect}'\nmax_entries = {most}"
        );
    }
    Config::parse(&text, "the plan").map_or_else(|wrong| panic!("{wrong:?}\n{text}"), |config| config.feeds)
}

/// A prefix that lists name: strangers, few enough to come again, and those whom a list must not harm.
pub fn listed(dice: &mut Dice) -> Prefix {
    let (addr, bits) = match dice.below(16) {
        0 => (friend(dice), 32),
        1 => (attacker(dice), *dice.pick(&[24, 20])),
        2 => return *dice.pick(&NOBODYS.map(|(addr, bits)| Prefix::new(addr, bits))),
        3 => (
            IpAddr::V6(Ipv6Addr::new(0x2600, dice.below(8) as u16, 0, 0, 0, 0, 0, dice.between(1, 3) as u16)),
            *dice.pick(&[128, 64, 48, 32]),
        ),
        4..=5 => (stranger(dice), *dice.pick(&[28, 24, 16])),
        _ => (stranger(dice), 32),
    };
    Prefix::new(addr, bits)
}

/// Networks that no list may name: private ones, and such as are too large.
pub const NOBODYS: [(IpAddr, u8); 6] = [
    (IpAddr::V4(Ipv4Addr::new(10, 1, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 7, 1)), 32),
    (IpAddr::V4(Ipv4Addr::new(0, 0, 0, 0)), 0),
    (IpAddr::V4(Ipv4Addr::new(8, 0, 0, 0)), 6),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)), 128),
    (IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), 3),
];

/// A public address that lists have, and that may become the host's own, an administrator's, or allowed.
pub fn stranger(dice: &mut Dice) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(8, 8, dice.below(3) as u8, dice.below(24) as u8))
}

/// One of many that nobody else has.
pub fn far(number: u32) -> Prefix {
    Prefix::host(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 - (1 << 22) + number)))
}

/// A prefix for the exempt list; it may hold attackers too.
pub fn exempt(dice: &mut Dice) -> Prefix {
    let bits = *dice.pick(&[32, 32, 28, 24]);
    if dice.one_in(3) {
        return Prefix::new(stranger(dice), bits);
    }
    Prefix::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, dice.below(256) as u8)), bits)
}

/// An address that attackers may have: a few, so that they come again; both families.
pub fn attacker(dice: &mut Dice) -> IpAddr {
    match dice.below(4) {
        0 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, dice.below(4) as u16, 0, 0, 0, dice.between(1, 8) as u16)),
        1 => IpAddr::V4(Ipv4Addr::new(203, 0, 113, dice.below(256) as u8)),
        _ => IpAddr::V4(Ipv4Addr::new(198, 51, dice.below(3) as u8, dice.between(1, 20) as u8)),
    }
}

/// An address that nobody had before, for forged senders.
pub fn forged(dice: &mut Dice) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(100, 64, dice.below(256) as u8, dice.below(256) as u8))
}

/// One who only ever visits what is open.
pub fn innocent(dice: &mut Dice) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, dice.between(1, 30) as u8))
}

/// An address that the host derives an exemption for: gateways, resolvers, administrators.
pub fn friend(dice: &mut Dice) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, dice.between(1, 12) as u8))
}
