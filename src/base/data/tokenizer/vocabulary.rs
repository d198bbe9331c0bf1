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

/// A token that two vocabularies have under one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherToken {
    /// The id.
    pub id: u32,
    /// The token of the first vocabulary.
    pub first: String,
    /// The token of the second one.
    pub second: String,
}

/// The lowest id that stands for different tokens in the vocabularies of two folders; `None` where they agree as far
/// as both go, or where one folder has no tokenizer that can be read.
pub fn other_token(first: &Path, second: &Path) -> Option<OtherToken> {
    // Both are mostly copies of the same files, and comparing those is cheap.
    let same = |name: &str| {
        let read = |folder: &Path| std::fs::read(folder.join(name)).ok();
        read(first).is_some_and(|bytes| Some(bytes) == read(second))
    };
    if ["tokenizer.json", "vocab.txt"].into_iter().any(same) {
        return None;
    }
    let [one, other] = [first, second].map(|folder| Tokenizer::load(folder).ok());
    let (one, other) = (one?, other?);
    let mut differing: Vec<OtherToken> = one
        .inner
        .get_vocab(true)
        .into_iter()
        .filter_map(|(token, id)| {
            let there = other.inner.id_to_token(id)?;
            (there != token).then_some(OtherToken {
                id,
                first: token,
                second: there,
            })
        })
        .collect();
    differing.sort_by_key(|found| found.id);
    differing.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_two_tokens_is_found() {
        let root = tempfile::tempdir().unwrap();
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\n##s\n";
        let folder = |name: &str, text: &str| {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("vocab.txt"), text).unwrap();
            folder
        };
        let first = folder("first", words);
        let same = folder("same", words);
        let longer = folder("longer", &format!("{words}more\n"));
        let swapped = folder("swapped", &words.replace("good\nbad", "bad\ngood"));
        let none = root.path().join("none");
        for other in [&same, &longer, &none] {
            assert_eq!(other_token(&first, other), None);
        }
        let found = other_token(&first, &swapped).unwrap();
        assert_eq!(
            (found.id, &found.first[..], &found.second[..]),
            (5, "good", "bad")
        );
    }

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
