//! Two tokenizers that cut texts into the same pieces under other ids, as BERT's uncased vocabulary and MPNet's.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::{ModelWrapper, PreTokenizerWrapper};

use super::{CONTINUES, Tokenizer};
use crate::data::error::DataError;

/// Ids of a vocabulary for the ids of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// For each id of the first vocabulary, that of the same token in the second one; the unknown token's where no text
    /// gives the token.
    pub to_second: Vec<u32>,
    /// For each id of the second, that of the same token in the first; `None` where no text gives the token and the first
    /// does not have it.
    pub to_first: Vec<Option<u32>>,
    /// The first one's padding token.
    pub pad: u32,
    /// Whether both put the same number of tokens between the texts of a pair.
    pub same_pairs: bool,
}

/// Why two tokenizers do not cut texts into the same pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherPieces {
    /// They split words, or change letters, by other rules: `lowercase`.
    Rule(&'static str),
    /// The first one alone has this token.
    OnlyFirst(String),
    /// The second one alone has it.
    OnlySecond(String),
}

/// Translates between the vocabularies of two folders.
///
/// # Errors
/// A tokenizer does not load; within, the first reason why their pieces are not the same.
pub fn translate(
    first: &Path,
    second: &Path,
) -> Result<Result<Translation, OtherPieces>, DataError> {
    let [first, second] = [Tokenizer::load(first)?, Tokenizer::load(second)?];
    Ok(compare(&first, &second))
}

fn compare(first: &Tokenizer, second: &Tokenizer) -> Result<Translation, OtherPieces> {
    let [rules, others] = [first, second].map(rules);
    let other = rules
        .iter()
        .zip(&others)
        .find(|(own, other)| own.1 != other.1);
    if let Some(((name, _), _)) = other {
        return Err(OtherPieces::Rule(name));
    }
    // Other rules may keep marks within words.
    let berts = first.inner.get_pre_tokenizer();
    let berts = matches!(berts, Some(PreTokenizerWrapper::BertPreTokenizer(_)));
    let [pieces, other_pieces] = [first, second].map(|tokenizer| pieces(tokenizer, berts));
    let lacks =
        |found: &BTreeSet<String>, of: &BTreeSet<String>| found.difference(of).next().cloned();
    if let Some(token) = lacks(&pieces, &other_pieces) {
        return Err(OtherPieces::OnlyFirst(token));
    }
    if let Some(token) = lacks(&other_pieces, &pieces) {
        return Err(OtherPieces::OnlySecond(token));
    }
    let to_second = ids(first, second);
    let unknown = second.special.unk;
    Ok(Translation {
        to_second: to_second
            .into_iter()
            .map(|id| id.unwrap_or(unknown))
            .collect(),
        to_first: ids(second, first),
        pad: first.special.pad,
        same_pairs: first.special.between == second.special.between,
    })
}

/// What pieces depend on beside the vocabulary, by name.
fn rules(tokenizer: &Tokenizer) -> [(&'static str, Value); 3] {
    let inner = &tokenizer.inner;
    let model = match inner.get_model() {
        ModelWrapper::WordPiece(model) => json!([
            "WordPiece",
            model.continuing_subword_prefix,
            model.max_input_chars_per_word
        ]),
        // Merges and scores are no words that could be compared one by one.
        other => json!(other),
    };
    [
        ("normalizer", json!(inner.get_normalizer())),
        ("pre-tokenizer", json!(inner.get_pre_tokenizer())),
        ("model", model),
    ]
}

/// Tokens that a text may give, but for the special ones; whether words are cut as BERT does it.
fn pieces(tokenizer: &Tokenizer, as_bert: bool) -> BTreeSet<String> {
    let tokens = tokenizer.inner.get_vocab(true).into_iter();
    let roles = roles(tokenizer);
    let found =
        tokens.filter(|(token, id)| !roles.contains(&Some(*id)) && (!as_bert || is_piece(token)));
    found.map(|(token, _)| token).collect()
}

/// Whether a word of BERT's pre-tokenizer may hold a token: it cuts around each punctuation mark, so that `[unused5]`
/// and `[SEP]` are no part of a word.
fn is_piece(token: &str) -> bool {
    let word = token.strip_prefix(CONTINUES).unwrap_or(token);
    let mut letters = word.chars();
    let is_single = letters.next().is_some() && letters.next().is_none();
    let is_mark = |letter: char| letter.is_ascii_punctuation() || letter.is_whitespace();
    let is_alone = is_single && word.len() == token.len();
    is_alone || !word.chars().any(is_mark)
}

/// Ids of what stands around and in place of words: the same tokens whatever their names are.
fn roles(tokenizer: &Tokenizer) -> [Option<u32>; 5] {
    let special = tokenizer.special;
    let mask = tokenizer.inner.token_to_id(&tokenizer.mask);
    [
        Some(special.cls),
        Some(special.sep),
        Some(special.pad),
        Some(special.unk),
        mask,
    ]
}

/// For each id of a vocabulary, that of the same token in another one.
fn ids(from: &Tokenizer, to: &Tokenizer) -> Vec<Option<u32>> {
    let [own, others] = [from, to].map(roles);
    let of = |id: u32| {
        if let Some(role) = own.iter().position(|role| *role == Some(id)) {
            return others[role];
        }
        let token = from.inner.id_to_token(id)?;
        let found = to.inner.token_to_id(&token)?;
        (!others.contains(&Some(found))).then_some(found)
    };
    (0..from.vocab_size)
        .map(|id| of(u32::try_from(id).ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    const MPNETS: &str = r#"{"tokenizer_class": "MPNetTokenizer"}"#;

    fn folder(root: &TempDir, name: &str, tokens: &[&str], config: &str) -> PathBuf {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("vocab.txt"), tokens.join("\n")).unwrap();
        fs::write(folder.join("tokenizer_config.json"), config).unwrap();
        folder
    }

    const BERT: [&str; 9] = [
        "[PAD]",
        "[unused0]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "good",
        "##s",
        ",",
    ];
    const MPNET: [&str; 12] = [
        "<s>", "<pad>", "</s>", "<unk>", "[PAD]", "[UNK]", "[CLS]", ",", "good", "##s", "[SEP]",
        "<mask>",
    ];

    #[test]
    fn the_same_pieces_have_other_ids_and_special_tokens_go_by_what_they_do() {
        let root = TempDir::new().unwrap();
        let mpnet = folder(&root, "mpnet", &MPNET, MPNETS);
        let bert = folder(&root, "bert", &BERT, "{}");
        let found = translate(&mpnet, &bert).unwrap().unwrap();
        // `<unk>`, and BERT's names in the other vocabulary, are in no text.
        assert_eq!(found.to_second, [3, 0, 4, 2, 2, 2, 2, 8, 6, 7, 2, 5]);
        let to_first = [
            Some(1),
            None,
            Some(5),
            Some(0),
            Some(2),
            Some(11),
            Some(8),
            Some(9),
            Some(7),
        ];
        assert_eq!(found.to_first, to_first);
        assert_eq!((found.pad, found.same_pairs), (1, false));
        let [first, second] = [&mpnet, &bert].map(|folder| Tokenizer::load(folder).unwrap());
        let text = "goods , GOOD unheard";
        let ids = first.encode(text).unwrap().into_iter();
        let ids: Vec<u32> = ids.map(|id| found.to_second[id as usize]).collect();
        assert_eq!(ids, second.encode(text).unwrap());
    }

    #[test]
    fn tokenizers_that_cut_otherwise_are_told_apart() {
        let root = TempDir::new().unwrap();
        let mpnet = folder(&root, "mpnet", &MPNET, MPNETS);
        let why = |name: &str, tokens: &[&str], config: &str| {
            let other = folder(&root, name, tokens, config);
            translate(&mpnet, &other).unwrap().unwrap_err()
        };
        let cased = r#"{"do_lower_case": false}"#;
        assert_eq!(why("cased", &BERT, cased), OtherPieces::Rule("normalizer"));
        let fewer = [&BERT[..7], &BERT[8..]].concat();
        let only = OtherPieces::OnlyFirst("##s".to_owned());
        assert_eq!(why("fewer", &fewer, "{}"), only);
        let more = [&BERT[..], &["film"]].concat();
        let only = OtherPieces::OnlySecond("film".to_owned());
        assert_eq!(why("more", &more, "{}"), only);
    }
}
