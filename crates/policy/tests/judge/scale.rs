//! A million blocks.

use crate::support::{at, offence, prefix, words};
use model::block::{Because, Block, BlockId, Effect, Expiry, Scope};
use model::event::Trust;
use model::net::Prefix;
use policy::config::PolicyConfig;
use policy::judge::Judge;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Unoptimised code would make everybody wait.
const MANY: u64 = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };

fn block(n: u64) -> Block {
    // Scattered over 32.0.0.0/3, each address once; every tenth one IPv6.
    let bits = (n as u32).wrapping_mul(0x9e37_79b1) >> 3;
    let addr = if n.is_multiple_of(10) {
        IpAddr::V6(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(n)))
    } else {
        IpAddr::V4(Ipv4Addr::from(0x2000_0000 | bits))
    };
    let because = Because::Operator { note: String::new() };
    Block {
        id: BlockId(n),
        scope: Scope::Source(Prefix::host(addr)),
        effect: Effect::Drop,
        made: at(0),
        expiry: Expiry::At(at(n)),
        because,
    }
}

#[test]
fn a_million_blocks_are_restored_kept_and_let_go() {
    let mut judge = Judge::new(PolicyConfig { blocks_total: 2_000_000, ..PolicyConfig::default() });
    let back = judge.restore((1..=MANY).map(block).collect(), Vec::new(), BlockId(MANY)).len() as u64;
    // Scattering puts a few on the same address.
    assert!(back < MANY / 20, "{back} came back");
    assert_eq!(judge.counters().standing as u64, MANY - back);
    let (decision, ruling) = judge.judge(&offence(prefix("192.0.2.1"), 1, Trust::Handshake, at(0)), at(0));
    assert_eq!((words(&decision, at(0)).as_str(), ruling.made[0].id), ("block 600", BlockId(MANY + 1)));
    assert_eq!(judge.standing_for("2001:db8::64".parse().unwrap()).map(|block| block.id), Some(BlockId(100)));
    assert!(judge.standing().map(|block| block.scope.prefix()).is_sorted());
    let gone = judge.expire(at(MANY / 2)).expired.len();
    assert_eq!(judge.standing().count() as u64, MANY - back + 1 - gone as u64);
    assert_eq!(judge.unblock(prefix("::/0"), at(MANY / 2)).changes.len() as u64, MANY / 20);
    judge.check_invariants();
}
