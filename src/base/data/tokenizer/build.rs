//! The tokenizer of a folder, built as `transformers` 5 builds it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, PostProcessorWrapper};

use super::SpecialTokens;
use super::documents::{not_a_tokenizer, read};
use super::guard;
use super::reading::{Flags, Kind, TokenizerFiles};
use crate::data::error::DataError;
use crate::input::excerpt;

/// Vocabulary, normalizer and added tokens; no post-processor, padding or truncation.
pub(super) fn build(files: &TokenizerFiles) -> Result<tokenizers::Tokenizer, DataError> {
    let path = files.vocabulary();
    let bytes = read(&path)?;
    let failed = |source| not_a_tokenizer(&path, source);
    let mut inner = match files.kind {
        Kind::AsSaved => guard::from_json(&bytes).map_err(failed)?,
        Kind::Bert(flags) => {
            let model = word_piece(files, &bytes).map_err(failed)?;
            berts_own(model, flags).map_err(failed)?
        }
    };
    inner
        .with_padding(None)
        .with_truncation(None)
        .map_err(failed)?
        .with_post_processor(None::<PostProcessorWrapper>);
    add_tokens(&mut inner, files, &path)?;
    Ok(inner)
}

/// The vocabulary of `vocab.txt`, or of `tokenizer.json`.
fn word_piece(files: &TokenizerFiles, bytes: &[u8]) -> Result<WordPiece, tokenizers::Error> {
    #[derive(Deserialize)]
    struct Saved {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: std::collections::HashMap<String, u32>,
    }
    let vocab = if files.documents.tokenizer.is_some() {
        let saved: Saved = serde_json::from_slice(bytes)?;
        saved.model.vocab.into_iter().collect()
    } else {
        WordPiece::read_bytes(bytes)?
    };
    WordPiece::builder()
        .vocab(vocab)
        .unk_token(files.added.name("unk_token"))
        .build()
}

fn berts_own(model: WordPiece, flags: Flags) -> Result<tokenizers::Tokenizer, tokenizers::Error> {
    let mut inner = tokenizers::Tokenizer::new(model);
    inner
        .with_normalizer(Some(BertNormalizer::new(
            true,
            flags.chinese_chars,
            flags.strip_accents,
            flags.lowercase,
        )))?
        .with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(inner)
}

fn add_tokens(
    inner: &mut tokenizers::Tokenizer,
    files: &TokenizerFiles,
    path: &Path,
) -> Result<(), DataError> {
    let failed = |source| not_a_tokenizer(path, source);
    let added = &files.added;
    let missing = |token: &String| {
        let is_stated = added.stated.values().any(|stated| stated.content == *token);
        !is_stated && inner.token_to_id(token).is_none()
    };
    if let Some(token) = files.special_names().into_iter().find(missing) {
        return Err(DataError::TokenMissing {
            path: path.to_owned(),
            token,
        });
    }
    inner
        .add_tokens(added.stated.values().cloned())
        .map_err(failed)?;
    for (id, token) in &added.stated {
        let found = inner.token_to_id(&token.content);
        if found != Some(*id) {
            return Err(DataError::TokenizerId {
                path: files.documents.folder.join(added.stated_in),
                token: token.content.clone(),
                stated: *id,
                found,
            });
        }
    }
    // A special token that the vocabulary lacks gets the next id; without an embedding for it
    // no model reads such a text.
    let room = files.documents.embeddings().unwrap_or(u64::MAX);
    let mut next = inner.get_vocab_size(true) as u64;
    let special: Vec<AddedToken> = added
        .special
        .iter()
        .filter(|token| {
            let is_new = inner.token_to_id(&token.content).is_none();
            next += u64::from(is_new);
            !is_new || next <= room
        })
        .cloned()
        .collect();
    inner.add_tokens(special).map_err(failed)?;
    check_distinct(inner, files)
}

/// Added tokens that are the same once normalized: which of them a text gives is left to chance.
fn check_distinct(inner: &tokenizers::Tokenizer, files: &TokenizerFiles) -> Result<(), DataError> {
    let added = inner.get_added_vocabulary();
    let mut tokens: Vec<_> = added.get_added_tokens_decoder().iter().collect();
    tokens.sort_by_key(|(id, _)| **id);
    let mut seen: BTreeMap<(bool, String), &str> = BTreeMap::new();
    for (id, token) in tokens {
        let form = added.simple_id_to_token(*id).unwrap_or_default();
        if let Some(other) = seen.insert((token.normalized, form), &token.content) {
            let file = files.added.stated_in;
            let value = serde_json::Value::from(token.content.as_str());
            let reason = format!("the same as `{}` once normalized", excerpt(other));
            return Err(files.documents.refuse(file, "added token", &value, reason));
        }
    }
    Ok(())
}

/// Whether the ids that a post-processor puts around texts are those of its tokens.
pub(super) fn check_framing(
    files: &TokenizerFiles,
    special: SpecialTokens,
) -> Result<(), DataError> {
    for (framing, id) in files.frame.iter().zip([special.cls, special.sep]) {
        if let Some(stated) = framing.id.filter(|stated| *stated != u64::from(id)) {
            return Err(DataError::TokenizerId {
                path: files.vocabulary(),
                token: framing.token.clone(),
                stated: u32::try_from(stated).unwrap_or(u32::MAX),
                found: Some(id),
            });
        }
    }
    Ok(())
}
