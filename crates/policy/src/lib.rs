//! The judge: Offences in, Decisions out. The only place where a block is made. Opens nothing, reads no clock.

pub mod config;
pub mod escalate;
pub mod ignore;
pub mod judge;
pub mod lists;
pub mod ruling;
pub mod storm;

mod caps;
mod exempt;
mod operator;
mod prefixes;
mod rootservers;
mod standing;
