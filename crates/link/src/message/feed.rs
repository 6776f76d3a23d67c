//! What came of fetching others' lists, and its bytes.

use super::{ANSWER_BYTES, KNOWN_BYTES};
use crate::codec::{Malformed, Reader, Writer};

/// What came of fetching a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// What the items before say.
    List {
        /// `ETag` and `Last-Modified`, at most [`super::KNOWN_BYTES`] each.
        known: [String; 2],
        /// Entries that could not be read, and those beyond the bound.
        left_out: [u32; 2],
    },
    /// The copy that there is.
    Same,
    /// Nothing.
    Nothing {
        /// Why not, in words; at most [`super::ANSWER_BYTES`], hostile.
        why: String,
        /// For how many seconds nobody is to ask, if the server said so.
        wait: Option<u32>,
    },
}

impl Got {
    pub(super) fn write(&self, out: &mut Writer) {
        match self {
            Got::List { known, left_out } => {
                out.u8(0);
                known.iter().for_each(|known| out.text(known));
                left_out.iter().for_each(|count| out.u32(*count));
            }
            Got::Same => out.u8(1),
            Got::Nothing { why, wait } => {
                out.u8(2);
                out.text(why);
                out.option(wait.as_ref(), |w, wait| w.u32(*wait));
            }
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Got, Malformed> {
        Ok(match r.u8()? {
            0 => Got::List { known: [r.text(KNOWN_BYTES)?, r.text(KNOWN_BYTES)?], left_out: [r.u32()?, r.u32()?] },
            1 => Got::Same,
            2 => Got::Nothing { why: r.text(ANSWER_BYTES)?, wait: r.option(Reader::u32)? },
            _ => return Err(Malformed::Value("got")),
        })
    }
}
