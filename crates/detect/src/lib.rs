//! Detectors: Events in, Offences out. Never sees a packet, a log line or a firewall; opens nothing, reads no clock.

pub mod config;
