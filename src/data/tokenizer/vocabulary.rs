//! Whether a vocabulary that lies beside a model is that model's.

use std::fs::File;
use std::path::Path;

use super::Tokenizer;
use crate::data::DataError;

/// What word-embedding matrices are padded to.
const MULTIPLES: [usize; 5] = [8, 16, 32, 64, 128];

/// Checks that a file is a vocabulary, a token per line, of a model with `embeddings` rows in its
/// word-embedding matrix, which may be padded to a multiple of 8 to 128.
///
/// # Errors
/// The file cannot be read, is no vocabulary, or has another number of tokens.
pub fn check_vocabulary(path: &Path, embeddings: usize) -> Result<(), DataError> {
    // A folder has a tokenizer of its own.
    let is_file = File::open(path).and_then(|file| file.metadata());
    let is_file = is_file.map(|found| found.is_file());
    let unreadable = |source| DataError::Io {
        path: path.to_owned(),
        source,
    };
    if !is_file.map_err(unreadable)? {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    let tokens = Tokenizer::load(path)?.vocab_size();
    let mut sizes = MULTIPLES.map(|of| tokens.next_multiple_of(of)).into_iter();
    if tokens == embeddings || sizes.any(|size| size == embeddings) {
        return Ok(());
    }
    Err(DataError::VocabularySize {
        path: path.to_owned(),
        tokens,
        embeddings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_has_the_tokens_of_its_model_or_a_few_less_than_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let check = |text: &str, embeddings: usize| {
            let path = folder.path().join("words.txt");
            std::fs::write(&path, text).unwrap();
            let found = check_vocabulary(&path, embeddings);
            found.map_err(|error| error.to_string().replace(path.to_str().unwrap(), "FILE"))
        };
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\n##s\n";
        for embeddings in [9, 16, 32, 128] {
            assert_eq!(check(words, embeddings), Ok(()));
        }
        for embeddings in [8, 10, 24, 200] {
            let message =
                format!("`FILE` has 9 tokens, and the model's vocabulary has {embeddings}");
            assert_eq!(check(words, embeddings), Err(message));
        }
        assert_eq!(
            check("a\nb\n", 2),
            Err("the vocabulary of `FILE` lacks the special token `[CLS]`".to_owned())
        );
        let error = check_vocabulary(folder.path(), 9).unwrap_err().to_string();
        assert!(error.contains("directory"), "{error}");
    }
}
