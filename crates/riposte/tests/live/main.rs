//! The whole binary, as its user has it: real packets, the real firewall, real signals, in network namespaces of its own.
//! Never touches the host's firewall, and never asserts how long something took: it waits until it is so.

mod alerts;
mod ancestors;
mod applications;
mod capture;
mod chaos;
mod commands;
mod daemon;
mod doctor;
mod errors;
mod evasions;
mod exempt;
mod forged;
mod guard;
mod hold;
mod logging;
mod logs;
mod matrix;
mod metrics;
mod older_tools;
mod orders;
mod processes;
mod reload;
mod repair;
mod reports;
mod resources;
mod responders;
mod responses;
mod restart;
mod rules;
mod scan;
mod services;
mod signatures;
mod systems;
mod traps;
mod xdp;
