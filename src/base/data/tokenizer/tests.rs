use tempfile::TempDir;

use std::fs;

use tokenizers::AddedToken;

use super::documents::{CONFIG, TOKENIZER, VOCAB};
use super::*;
use crate::data::order::SplitMix64;

/// A folder with a `vocab.txt`: ids are the places in this list.
pub(in crate::data) const PIECES: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "film", "bad", "##s", "##ly", ".",
    ",", "e", "##e", "not",
];

pub(in crate::data) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(VOCAB), PIECES.join("\n")).unwrap();
    folder
}

pub(in crate::data) fn tokenizer() -> Tokenizer {
    Tokenizer::load(folder().path()).unwrap()
}

#[test]
fn a_vocabulary_is_read_as_berts_word_pieces() {
    let tokenizer = tokenizer();
    assert_eq!(
        tokenizer.special(),
        SpecialTokens {
            cls: 2,
            sep: 3,
            pad: 0,
            unk: 1,
            between: 1
        }
    );
    assert_eq!(tokenizer.vocab_size(), 16);
    assert_eq!(
        tokenizer.encode("A good FILMS, goodly [SEP]Éx").unwrap(),
        [5, 6, 7, 9, 12, 6, 10, 3, 1]
    );
    assert_eq!(tokenizer.encode(" \t ").unwrap(), [0_u32; 0]);
}

#[test]
fn case_is_kept_where_the_configuration_says_so() {
    let folder = folder();
    let config = r#"{"do_lower_case": false, "cls_token": {"content": "[MASK]"}}"#;
    fs::write(folder.path().join(CONFIG), config).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("Good good").unwrap(), [1, 6]);
    assert_eq!(tokenizer.special().cls, 4);
}

#[test]
fn a_file_that_is_not_utf8_is_refused_wherever_the_bytes_are() {
    let folder = folder();
    let json = b"{\"decoder\": {\"\x9c\": 1}, \"model\": {\"vocab\": {}}}";
    fs::write(folder.path().join(TOKENIZER), json).unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("is not a tokenizer: invalid utf-8"),
        "{error}"
    );
}

#[test]
fn padding_and_truncation_of_the_file_are_ignored() {
    let folder = folder();
    let mut inner = Tokenizer::load(folder.path()).unwrap().inner;
    inner
        .with_padding(Some(tokenizers::PaddingParams {
            strategy: tokenizers::PaddingStrategy::Fixed(9),
            ..Default::default()
        }))
        .with_truncation(Some(tokenizers::TruncationParams {
            max_length: 2,
            ..Default::default()
        }))
        .unwrap();
    inner.save(folder.path().join(TOKENIZER), false).unwrap();
    fs::remove_file(folder.path().join(VOCAB)).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("a good film").unwrap(), [5, 6, 7]);
}

#[test]
fn a_missing_special_token_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(VOCAB), "[PAD]\n[UNK]\n[CLS]\na").unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(
        matches!(&error, DataError::TokenMissing { token, .. } if token == "[SEP]"),
        "{error}"
    );
}

#[test]
fn a_folder_without_tokenizer_and_a_broken_one_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::TokenizerMissing { .. }));
    fs::write(folder.path().join(TOKENIZER), "{\"model\": 1").unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::Tokenizer { .. }));
}

#[test]
fn a_batch_gives_what_each_text_gives() {
    let tokenizer = tokenizer();
    let texts: Vec<String> = (0..200).map(|i| "good films ".repeat(i % 7)).collect();
    let batch = tokenizer.encode_batch(&texts).unwrap();
    for (text, ids) in texts.iter().zip(batch) {
        assert_eq!(ids, tokenizer.encode(text).unwrap());
    }
}

#[test]
fn remembered_words_give_the_ids_of_the_whole_text() {
    // What could reach over a space: marks, joiners, controls, other spaces, wide characters,
    // letters with a special lower case, and special tokens.
    let parts = [
        " ", "  ", "a", "good", "films", "ly", ".", ",", "\u{301}", "e", "\u{323}", "É", "Σ", "İ",
        "\u{200b}", "\u{200d}", "\u{a0}", "\t", "\u{3000}", "中", "[SEP]", "[", "SEP]", "\u{0}",
        "\u{fffd}", "한", "😀", "ﬁ", "'", "-", "<", "\u{338}", "\u{7f}", "\u{1}", "Not",
    ];
    let mut random = SplitMix64::new(3);
    let plain = tokenizer();
    // Added tokens that begin with a letter, and that are looked for in lower case.
    let mut inner = plain.inner.clone();
    let tokens = [AddedToken::from("Ly.", false), AddedToken::from("-,", true)];
    inner.add_tokens(tokens).unwrap();
    let words = words_of(&inner);
    assert!(words.as_ref().unwrap().token_starts.is_none());
    let with_tokens = Tokenizer {
        inner,
        words,
        ..tokenizer()
    };
    for round in 0..3000 {
        let tokenizer = [&plain, &with_tokens][round % 2];
        let text: String = (0..random.below(12))
            .map(|_| parts[usize::try_from(random.below(parts.len() as u64)).unwrap()])
            .collect();
        let whole = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
        assert_eq!(
            tokenizer.encode(&text).unwrap(),
            whole.get_ids(),
            "{text:?}"
        );
    }
}

#[test]
fn an_added_token_with_a_space_is_found_in_a_text() {
    let folder = folder();
    let mut inner = Tokenizer::load(folder.path()).unwrap().inner;
    inner
        .add_tokens([AddedToken::from("good film", false)])
        .unwrap();
    inner.save(folder.path().join(TOKENIZER), false).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("a good film").unwrap(), [5, 16]);
    assert_eq!(tokenizer.vocab_size(), 17);
}
