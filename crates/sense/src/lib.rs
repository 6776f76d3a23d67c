//! Sensors without I/O: bytes in, Events out. Opens nothing, reads no clock, draws no randomness.

pub mod facts;
pub mod firewall;
pub mod guessing;
pub mod matching;
pub mod packet;
pub mod ration;
