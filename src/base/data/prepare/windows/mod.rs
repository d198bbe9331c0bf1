//! Examples of BERT's pre-training out of documents: pairs of texts whose second one follows the
//! first or is from another document, some shorter, some with `[MASK]`, in several passes.
//!
//! The rules are those of `pregenerate_training_data.py` in Huawei's TinyBERT, which are those of
//! `create_pretraining_data.py` in google-research/bert; the random numbers are tinyrun's own, one
//! stream per pass and document, so the result does not depend on the number of threads.

mod mask;
mod packed;
mod pairs;
mod sentences;

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use self::mask::Masker;
pub use self::mask::Masking;
pub use self::pairs::Pairs;
use self::sentences::Sentences;
pub use self::sentences::Unit;
use super::pump::Watch;
use crate::data::error::DataError;
use crate::data::order::SplitMix64;
use crate::data::report::{FileReport, SplitReport, WindowReport};
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::tokenizer::Tokenizer;

/// Tokens of documents that threads work on at once; a longer document is one thread's.
const CHUNK_TOKENS: u64 = 1 << 20;

/// How documents become windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowSettings {
    /// What a line is.
    pub unit: Unit,
    /// Pairs of texts; texts that fill the window where `None`.
    pub pairs: Option<Pairs>,
    /// Tokens that are replaced; none where `None`.
    pub masking: Option<Masking>,
    /// Times that windows are made of the whole corpus.
    pub passes: u32,
    /// Seed of all choices.
    pub seed: u64,
}

/// One example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Window {
    /// Ids with special tokens.
    pub(super) input_ids: Vec<u32>,
    /// Index of the first token of segment 1; the length where there is none.
    pub(super) text_b_start: usize,
    /// Whether the second text is of another document.
    pub(super) is_random: bool,
    /// Whether tokens were cut off.
    pub(super) is_cut: bool,
    /// Positions that were chosen, and those of them that became `[MASK]`.
    pub(super) masked: [u64; 2],
}

/// What [`prepare_windows`] found and wrote.
pub(super) struct Made {
    pub(super) split: SplitReport,
    pub(super) files: Vec<FileReport>,
    pub(super) windows: WindowReport,
}

/// Writes windows of the files' documents into the store `train/` of `output`.
///
/// The tokens of all sentences are written to a temporary file beside it first and read from there,
/// so that memory does not grow with the corpus.
pub(super) fn prepare_windows(
    files: &[std::path::PathBuf],
    tokenizer: &Tokenizer,
    max_seq_length: usize,
    settings: &WindowSettings,
    output: &Path,
    watch: Watch,
) -> Result<Made, DataError> {
    let least = if settings.pairs.is_some() { 5 } else { 3 };
    if max_seq_length < least {
        return Err(DataError::MaxSeqLength {
            found: max_seq_length,
            least,
        });
    }
    let masker = settings
        .masking
        .map(|masking| Masker::new(masking, tokenizer))
        .transpose()?;
    let (sentences, split, files) =
        sentences::write(files, tokenizer, settings.unit, output, watch)?;
    let documents = count_documents(&sentences, settings, &files)?;
    let generator = Generator {
        sentences: &sentences,
        tokenizer,
        masker,
        settings,
        max_seq_length,
    };
    let meta = StoreMeta::new(
        max_seq_length,
        tokenizer.vocab_size(),
        tokenizer.special().pad,
        Vec::new(),
    );
    let mut writer = StoreWriter::create(&output.join("train"), meta)?;
    let windows = WindowReport {
        documents,
        sentences: sentences.len() as u64,
        ..WindowReport::default()
    };
    let mut made = Made {
        split,
        files,
        windows,
    };
    generator.run(&mut made, &mut writer, watch)?;
    let meta = writer.finish()?;
    made.split.rows_out = meta.examples;
    made.split.tokens = meta.tokens;
    Ok(made)
}

/// Documents with a token: a pair takes two.
fn count_documents(
    sentences: &Sentences,
    settings: &WindowSettings,
    files: &[FileReport],
) -> Result<u64, DataError> {
    let mut documents = 0;
    for document in sentences.documents() {
        document?;
        documents += 1;
    }
    if settings.pairs.is_some() && documents < 2 {
        let first = files.first().map(|file| file.path.clone());
        let path = first.unwrap_or_default();
        return Err(DataError::OneDocument { path });
    }
    Ok(documents)
}

/// The next documents with their numbers, and the tokens of all of them.
fn chunk(
    documents: &mut impl Iterator<Item = (u64, Result<(Range<usize>, u64), DataError>)>,
) -> Result<(Vec<Document>, u64), DataError> {
    let (mut chunk, mut tokens) = (Vec::new(), 0);
    while tokens < CHUNK_TOKENS
        && let Some((number, document)) = documents.next()
    {
        let (document, length) = document?;
        tokens += length;
        chunk.push((number, document));
    }
    Ok((chunk, tokens))
}

/// Makes windows of documents.
struct Generator<'a> {
    sentences: &'a Sentences,
    tokenizer: &'a Tokenizer,
    masker: Option<Masker>,
    settings: &'a WindowSettings,
    max_seq_length: usize,
}

type Document = (u64, Range<usize>);

impl Generator<'_> {
    /// Writes the windows of all passes, and counts them.
    fn run(
        &self,
        made: &mut Made,
        writer: &mut StoreWriter,
        watch: Watch,
    ) -> Result<(), DataError> {
        let Made {
            split,
            files,
            windows,
        } = made;
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let all = self.sentences.tokens() * u64::from(self.settings.passes);
        let mut done = 0;
        let mut write = |window: Window| {
            split.truncated += u64::from(window.is_cut);
            windows.random_next += u64::from(window.is_random);
            windows.masked += window.masked[0];
            windows.mask_tokens += window.masked[1];
            writer.push(&window.input_ids, window.text_b_start, None)?;
            Ok(())
        };
        for pass in 0..self.settings.passes {
            let mut documents = (0..).zip(self.sentences.documents());
            loop {
                let (chunk, tokens) = chunk(&mut documents)?;
                if chunk.is_empty() {
                    break;
                }
                self.write(pass, chunk, &mut write)?;
                done += tokens;
                // Reading was the first half.
                let rest = bytes - bytes / 2;
                let share = u128::from(rest) * u128::from(done) / u128::from(all.max(1));
                (watch.progress)(bytes / 2 + u64::try_from(share).unwrap_or(rest), bytes);
                watch.check()?;
            }
        }
        Ok(())
    }

    /// Hands the windows of documents to `write`, in order.
    fn write(
        &self,
        pass: u32,
        chunk: Vec<Document>,
        write: &mut impl FnMut(Window) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        // The windows of a long document are not kept together in memory.
        if let [document] = &chunk[..] {
            return self.of_document(pass, document, write);
        }
        let made: Vec<Vec<Window>> = chunk
            .into_par_iter()
            .map(|document| {
                let mut windows = Vec::new();
                let kept = self.of_document(pass, &document, &mut |window| {
                    windows.push(window);
                    Ok(())
                });
                kept.map(|()| windows)
            })
            .collect::<Result<_, DataError>>()?;
        made.into_iter().flatten().try_for_each(write)
    }

    fn of_document(
        &self,
        pass: u32,
        (number, sentences): &Document,
        write: &mut impl FnMut(Window) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let parts = [self.settings.seed, u64::from(pass), *number];
        let mut random = SplitMix64::from_parts(&parts);
        let special = self.tokenizer.special();
        let room = self.max_seq_length;
        let mut finish = |mut window: Window, random: &mut SplitMix64| {
            if let Some(masker) = &self.masker {
                window.masked = masker.apply(&mut window.input_ids, special, random);
            }
            write(window)
        };
        match self.settings.pairs {
            Some(pairs) => pairs::generate(
                pairs,
                self.sentences,
                sentences.clone(),
                special,
                room,
                &mut random,
                &mut finish,
            ),
            None => packed::generate(
                self.sentences,
                sentences.clone(),
                special,
                room,
                &mut random,
                &mut finish,
            ),
        }
    }
}

#[cfg(test)]
mod tests;
