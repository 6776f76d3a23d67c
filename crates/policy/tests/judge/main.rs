//! The judge seen from outside. Opens nothing and measures no time.

mod decisions;
mod operator;
mod reference;
mod scale;
mod storms;
mod support;
