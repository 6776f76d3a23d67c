//! riposte as a library: the command line and the lives of its processes, for its own binary, its tests, the fuzz targets and the simulation. No other
//! program may use it: nothing in here is a promise to anybody but this repository.

pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod fetch;
pub mod host;
pub mod lives;
pub mod notes;
pub mod sources;
