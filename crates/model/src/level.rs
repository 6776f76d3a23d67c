//! Danger levels, psad's scale: 1 (a few probes) to 5 (ten thousand).

use std::fmt;

/// How dangerous an offender is, 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DangerLevel(u8);

impl DangerLevel {
    /// The lowest level.
    pub const MIN: DangerLevel = DangerLevel(1);
    /// The highest level.
    pub const MAX: DangerLevel = DangerLevel(5);

    /// A level from a number; `None` outside 1 to 5.
    pub const fn new(n: u8) -> Option<Self> {
        if n >= 1 && n <= 5 { Some(DangerLevel(n)) } else { None }
    }

    /// The number, 1 to 5.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The index 0 to 4, for tables with one entry a level.
    pub const fn index(self) -> usize {
        (self.0 - 1) as usize
    }
}

impl fmt::Display for DangerLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
