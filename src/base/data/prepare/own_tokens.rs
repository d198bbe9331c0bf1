//! Whether a tokenizer of the student's own splits each text as the one that cuts it for training.

use std::path::Path;

use super::row::encode;
use crate::data::encode::Encoded;
use crate::data::error::DataError;
use crate::data::tokenizer::{Session, Tokenizer, translate};

/// The student's tokenizer, and its ids for those of the data.
#[derive(Debug)]
pub(super) struct OwnTokens {
    tokenizer: Tokenizer,
    ids: Vec<u32>,
}

impl OwnTokens {
    /// Of a student's folder that has the tokens of the data's; `None` where their tokens are others, which is no news
    /// here.
    pub(super) fn load(data: &Path, own: &Path) -> Result<Option<Self>, DataError> {
        let Ok(found) = translate(data, own)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            tokenizer: Tokenizer::load(own)?,
            ids: found.to_second,
        }))
    }

    pub(super) fn session(&self) -> Session<'_> {
        self.tokenizer.session()
    }

    /// Whether a text has other tokens than `example`.
    pub(super) fn differ(
        &self,
        session: &mut Session<'_>,
        (text, pair): (&str, Option<&str>),
        example: &Encoded,
        longest: usize,
    ) -> Result<bool, tokenizers::Error> {
        let special = self.tokenizer.special();
        let (own, _) = encode(session, text, pair, special, longest)?;
        let ids = example.input_ids.iter();
        let expected: Option<Vec<u32>> =
            ids.map(|id| self.ids.get(*id as usize).copied()).collect();
        Ok(own.map(|own| own.input_ids) != expected)
    }
}
