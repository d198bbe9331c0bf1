//! The rows of a task once more, cut by the tokenizer of a model that has other tokens.

use std::path::Path;

use super::row::{check_length, encode};
use crate::data::encode::Encoded;
use crate::data::error::DataError;
use crate::data::own_stores::OwnStores;
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::tokenizer::{Session, Tokenizer};

/// A further tokenizer, for several threads.
#[derive(Debug)]
pub(super) struct Cut {
    tokenizer: Tokenizer,
    longest: usize,
}

/// Stores of further tokenizers, in their order: row for row the texts of the usual ones.
#[derive(Default)]
pub(super) struct FurtherStores {
    /// By the split whose rows they have.
    of_each: Vec<Vec<(&'static str, StoreWriter)>>,
}

impl Cut {
    pub(super) fn session(&self) -> Session<'_> {
        self.tokenizer.session()
    }

    /// A text; `None` where it is blank.
    pub(super) fn encode(
        &self,
        session: &mut Session<'_>,
        (text, pair): (&str, Option<&str>),
    ) -> Result<Option<Encoded>, tokenizers::Error> {
        let special = self.tokenizer.special();
        let (found, _) = encode(session, text, pair, special, self.longest)?;
        Ok(found)
    }
}

impl FurtherStores {
    /// Adds the stores of a tokenizer in `output`, for the splits that the task has, and returns the tokenizer.
    pub(super) fn create(
        &mut self,
        (names, tokenizer): (OwnStores, &Path),
        output: &Path,
        splits: &[&'static str],
        (longest, has_pairs): (usize, bool),
        labels: &[String],
    ) -> Result<Cut, DataError> {
        let tokenizer = Tokenizer::load(tokenizer)?;
        let special = tokenizer.special();
        check_length(longest, special, has_pairs)?;
        let meta = StoreMeta::new(
            longest,
            tokenizer.vocab_size(),
            special.pad,
            labels.to_vec(),
        );
        let stores = splits.iter().map(|split| {
            let folder = output.join(names.of(split));
            Ok((*split, StoreWriter::create(&folder, meta.clone())?))
        });
        self.of_each.push(stores.collect::<Result<_, DataError>>()?);
        Ok(Cut { tokenizer, longest })
    }

    /// Writes a row, as each tokenizer cuts it, to the stores of a split.
    pub(super) fn push(
        &mut self,
        split: &str,
        examples: &[Option<Encoded>],
        label: Option<f32>,
    ) -> Result<(), DataError> {
        for (stores, example) in self.of_each.iter_mut().zip(examples) {
            let store = stores.iter_mut().find(|(name, _)| *name == split);
            if let (Some((_, store)), Some(example)) = (store, example) {
                store.push(&example.input_ids, example.text_b_start, label)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), DataError> {
        for (_, store) in self.of_each.into_iter().flatten() {
            store.finish()?;
        }
        Ok(())
    }
}
