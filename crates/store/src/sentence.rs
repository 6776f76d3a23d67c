//! A sentence: blocks together with the decisions that made them and the strikes that they earned. Never half of it: a judge that is
//! killed right after has told all or nothing.

use crate::entry::Entry;
use crate::error::Error;
use crate::ledger::{self, Marked};
use crate::memory::Strike;
use crate::{Store, history, memory};
use model::block::Block;
use model::net::Prefix;

/// What goes into one transaction, before anything is done about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sentence<'a> {
    /// New blocks; see [`Store::want`].
    pub blocks: &'a [Block],
    /// Blocks with a new end or new grounds; see [`Store::extend`].
    pub extended: &'a [Block],
    /// The decisions; see [`Store::record`].
    pub entries: &'a [Entry],
    /// Strikes; see [`Store::save_strikes`].
    pub strikes: &'a [Strike],
    /// Offenders whose strikes are forgotten, none of them among `strikes`.
    pub forgiven: &'a [Prefix],
}

impl Store {
    /// Writes all of a sentence down, or nothing. Tells what became of the blocks that have changed.
    ///
    /// # Errors
    /// [`Error::BadId`] if a block's number has been used before.
    pub fn sentence(&mut self, sentence: &Sentence<'_>) -> Result<Marked, Error> {
        let ceiling = self.entries_ceiling;
        let mut marked = Marked::default();
        self.write(|connection, tally| {
            ledger::want(connection, tally, sentence.blocks)?;
            ledger::extend(connection, tally, sentence.extended, &mut marked)?;
            history::record(connection, tally, sentence.entries, ceiling)?;
            memory::strike(connection, tally, sentence.strikes)?;
            memory::forgive(connection, tally, sentence.forgiven)
        })?;
        Ok(marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::HistoryQuery;
    use model::block::{Because, BlockId, Effect, Expiry, Scope};
    use model::time::Time;

    #[test]
    fn a_sentence_is_written_whole_or_not_at_all() {
        let mut store = Store::open_in_memory().unwrap();
        let whom: Prefix = "192.0.2.1".parse().unwrap();
        let block = Block {
            id: BlockId(1),
            scope: Scope::Source(whom),
            effect: Effect::Drop,
            made: Time::from_secs(1),
            expiry: Expiry::Never,
            because: Because::Operator { note: String::new() },
        };
        let entries = [Entry::Disallowed { at: Time::from_secs(1), whom }];
        let strikes = [Strike { whom, count: 1, last: Time::from_secs(1) }];
        let sentence = Sentence { blocks: std::slice::from_ref(&block), entries: &entries, strikes: &strikes, ..Sentence::default() };
        store.sentence(&sentence).unwrap();
        let told = |store: &Store| {
            let live = store.live(Time::EPOCH).unwrap().len();
            (live, store.history(&HistoryQuery::default()).unwrap().len(), store.load_strikes().unwrap())
        };
        assert_eq!(told(&store), (1, 1, strikes.to_vec()));
        // The number is used up: nothing of this is written, nor counted.
        let more = [Strike { count: 2, ..strikes[0] }];
        assert!(matches!(store.sentence(&Sentence { strikes: &more, ..sentence }), Err(Error::BadId(_))));
        assert_eq!(told(&store), (1, 1, strikes.to_vec()));
        assert_eq!((store.counts().entries, store.counts().strikes), (1, 1));
        let later = [Block { expiry: Expiry::At(Time::from_secs(9)), ..block.clone() }, Block { id: BlockId(7), ..block.clone() }];
        let marked = store.sentence(&Sentence { extended: &later, forgiven: &[whom], ..Sentence::default() }).unwrap();
        assert_eq!((marked.applied, marked.illegal), (1, 1));
        assert_eq!(told(&store), (1, 1, Vec::new()));
    }
}
