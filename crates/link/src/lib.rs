//! The messages between riposte's processes: their bytes, and the table that says who may send which.
//! Frames are written and read by hand so that the privileged side parses with code that fits on a page;
//! nothing here opens, sends or allocates more than a frame can justify.

pub mod codec;
pub mod gate;
pub mod message;
