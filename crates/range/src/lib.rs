//! The test range: network namespaces on this machine, real scanners in them, and what riposte made of it.
//! Never touches the host's own firewall, routes or files; everything it makes is named `rp-…` and removed at the end.

pub mod bench;
pub mod chaos;
pub mod demo;
pub mod enclosure;
pub mod finding;
pub mod forgery;
pub mod guard;
pub mod guesser;
pub mod logs;
pub mod namespace;
pub mod network;
pub mod psad;
pub mod scenario;
pub mod services;
pub mod soak;
pub mod verdict;
