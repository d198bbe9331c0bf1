//! The rows of a task once more, cut by the tokenizer of a model that has other tokens.

use std::path::{Path, PathBuf};

use super::row::encode;
use crate::data::encode::Encoded;
use crate::data::error::DataError;
use crate::data::own_stores::OwnStores;
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::tokenizer::{Session, Tokenizer};

/// Stores of one further tokenizer: row for row the texts of the usual ones.
pub(super) struct Further {
    cut: Cut,
    stores: Vec<(&'static str, StoreWriter)>,
}

/// A further tokenizer, for several threads.
#[derive(Debug)]
pub(super) struct Cut {
    tokenizer: Tokenizer,
    longest: usize,
}

impl Cut {
    fn session(&self) -> Session<'_> {
        self.tokenizer.session()
    }

    /// A text that is not blank.
    fn encode(
        &self,
        session: &mut Session<'_>,
        (text, pair): (&str, Option<&str>),
    ) -> Result<Option<Encoded>, tokenizers::Error> {
        let special = self.tokenizer.special();
        let (found, _) = encode(session, text, pair, special, self.longest)?;
        Ok(found)
    }
}

impl Further {
    /// Stores in `output` for the splits that the task has.
    pub(super) fn create(
        (names, tokenizer): (OwnStores, &Path),
        output: &Path,
        splits: &[&'static str],
        (longest, has_pairs): (usize, bool),
        labels: &[String],
    ) -> Result<Self, DataError> {
        let tokenizer = Tokenizer::load(tokenizer)?;
        let special = tokenizer.special();
        // One token a text.
        let least = if has_pairs {
            special.around_pair() + 2
        } else {
            crate::data::encode::SINGLE_SPECIALS + 1
        };
        if longest < least {
            return Err(DataError::MaxSeqLength {
                found: longest,
                least,
            });
        }
        let store = |split: &&'static str| {
            let size = tokenizer.vocab_size();
            let meta = StoreMeta::new(longest, size, special.pad, labels.to_vec());
            let folder: PathBuf = output.join(names.of(split));
            Ok((*split, StoreWriter::create(&folder, meta)?))
        };
        let stores = splits.iter().map(store);
        let stores = stores.collect::<Result<_, DataError>>()?;
        Ok(Self {
            cut: Cut { tokenizer, longest },
            stores,
        })
    }

    pub(super) fn parts(&mut self) -> (&Cut, &mut Writers) {
        (&self.cut, &mut self.stores)
    }

    pub(super) fn finish(self) -> Result<(), DataError> {
        for (_, store) in self.stores {
            store.finish()?;
        }
        Ok(())
    }
}

/// Stores by the split whose rows they have.
pub(super) type Writers = Vec<(&'static str, StoreWriter)>;

/// Writes a row to the store of a split.
pub(super) fn push(
    stores: &mut Writers,
    split: &str,
    example: Option<&Encoded>,
    label: Option<f32>,
) -> Result<(), DataError> {
    let store = stores.iter_mut().find(|(name, _)| *name == split);
    if let (Some((_, store)), Some(example)) = (store, example) {
        store.push(&example.input_ids, example.text_b_start, label)?;
    }
    Ok(())
}

/// A session of each tokenizer.
pub(super) fn sessions<'a>(cuts: &[&'a Cut]) -> Vec<Session<'a>> {
    cuts.iter().map(|cut| cut.session()).collect()
}

/// A text by each tokenizer.
pub(super) fn encode_by_each(
    cuts: &[&Cut],
    sessions: &mut [Session<'_>],
    texts: (&str, Option<&str>),
) -> Result<Vec<Option<Encoded>>, tokenizers::Error> {
    let cuts = cuts.iter().zip(sessions);
    cuts.map(|(cut, session)| cut.encode(session, texts))
        .collect()
}
