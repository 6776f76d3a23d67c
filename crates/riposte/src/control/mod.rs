//! The control socket: one JSON object a line, asked by the command line, answered by the judge.

pub mod client;
pub mod protocol;
pub mod server;
