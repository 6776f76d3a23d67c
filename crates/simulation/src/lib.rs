//! Years of attacks, faults and crashes in seconds, from one number: the real court, shield and store, a fake kernel, fake clocks, and a
//! small model of what must be true. After TigerBeetle's VOPR. Touches nothing but a folder of its own.

mod after;
mod alerts;
pub mod breach;
pub mod clock;
pub mod dice;
pub mod kernel;
pub mod listed;
pub mod lists;
pub mod machine;
pub mod plan;
pub mod reference;
pub mod run;
pub mod sets;
pub mod shrink;
pub mod world;
