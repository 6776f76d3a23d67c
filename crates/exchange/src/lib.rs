//! What is exchanged with others about attackers: lists of theirs that come in, DShield's submissions that go out. Opens nothing, reads no
//! clock; whatever comes in is hostile until it is vetted.

pub mod dshield;
pub mod isc;
pub mod list;
pub mod vet;
