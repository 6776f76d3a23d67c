//! The judge: Offences in, Decisions out. The only place where a block is made. Opens nothing, reads no clock.

pub mod config;
