//! The nouns that flow through riposte: Event → Offence → Decision → Change → Outcome.
//! Knows no serialisation format, no clock and no I/O.

pub mod block;
pub mod decision;
pub mod event;
pub mod hash;
pub mod level;
pub mod limits;
pub mod net;
pub mod offence;
pub mod ports;
pub mod response;
pub mod style;
pub mod time;
