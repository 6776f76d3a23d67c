//! All that decides, without a descriptor or a clock: the judge's court and the warden's shield, so that a simulation can drive both.

pub mod court;
pub mod execute;
pub mod settings;
pub mod shield;
