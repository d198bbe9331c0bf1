//! The ids of `transformers`, by `fixtures/tokenizer_folders.py`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{Tokenizer, TokenizerFiles};
use crate::data::encode::{encode_pair, encode_single};

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer_folders.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Writes the files of a case.
fn folder(case: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in case["files"].as_object().unwrap() {
        let text = content
            .as_str()
            .map_or_else(|| content.to_string(), str::to_owned);
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn case<'a>(fixture: &'a Value, name: &str) -> &'a Value {
    let mut cases = fixture["folders"].as_array().unwrap().iter();
    cases.find(|case| case["name"] == name).unwrap()
}

#[test]
fn every_accepted_folder_gives_the_ids_of_transformers_and_every_other_names_its_key() {
    let fixture = fixture();
    let texts: Vec<&str> = fixture["texts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let longest = usize::try_from(fixture["longest"].as_u64().unwrap()).unwrap();
    let pairs: Vec<(usize, usize)> = serde_json::from_value(fixture["pairs"].clone()).unwrap();
    for case in fixture["folders"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let folder = folder(case);
        let tokenizer = Tokenizer::load(folder.path());
        if let Some(key) = case["refused"].as_str() {
            let error = tokenizer.expect_err(name).to_string();
            assert!(
                error.contains(key) && error.contains(".json"),
                "{name}: {error}"
            );
            continue;
        }
        let tokenizer = tokenizer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let special = tokenizer.special();
        let pieces: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| tokenizer.encode(text).unwrap())
            .collect();
        let ids = |length: usize| -> Vec<Vec<u32>> {
            let texts = pieces.iter();
            texts
                .map(|pieces| encode_single(pieces, special, length).input_ids)
                .collect()
        };
        let expected =
            |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(case[key].clone()).unwrap() };
        assert_eq!(ids(1000), expected("ids"), "{name}");
        assert_eq!(ids(longest), expected("cut"), "{name}");
        let of_pairs: Vec<Vec<u32>> = pairs
            .iter()
            .map(|&(a, b)| encode_pair(&pieces[a], &pieces[b], special, longest).input_ids)
            .collect();
        assert_eq!(of_pairs, expected("pairs"), "{name}");
    }
}

#[test]
fn mpnets_pairs_have_two_separators_between_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let document: Value =
        serde_json::from_slice(&fs::read(fixtures.join("mpnet.json")).unwrap()).unwrap();
    let folder = fixtures.join("mpnet-tiny");
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let pieces = |text: &Value| tokenizer.encode(text.as_str().unwrap()).unwrap();
    let texts = &document["tokenizer"]["texts"];
    let [first, second] = [pieces(&texts[0]), pieces(&texts[1])];
    let special = tokenizer.special();
    let expected = |key: &str| -> Vec<u32> {
        serde_json::from_value(document["tokenizer"][key].clone()).unwrap()
    };
    assert_eq!(
        encode_single(&first, special, 100).input_ids,
        expected("ids")
    );
    let pair = encode_pair(&first, &second, special, 100).input_ids;
    assert_eq!(pair, expected("pair"));
    assert!(!TokenizerFiles::read(&folder).unwrap().has_segments());
    // The mask, and a vocabulary without the saved tokenizer.
    assert_eq!(tokenizer.mask().unwrap(), 68);
    let bare = TempDir::new().unwrap();
    for name in ["vocab.txt", "tokenizer_config.json"] {
        fs::copy(folder.join(name), bare.path().join(name)).unwrap();
    }
    let bare = Tokenizer::load(bare.path()).unwrap();
    assert_eq!(bare.special(), special);
    assert_eq!(bare.encode(texts[0].as_str().unwrap()).unwrap(), first);
}

#[test]
fn only_folders_that_were_read_otherwise_have_changed() {
    let fixture = fixture();
    let changed = |name: &str| {
        let folder = folder(case(&fixture, name));
        TokenizerFiles::read(folder.path())
            .unwrap()
            .changed_since_first()
    };
    for name in [
        "vocab",
        "vocab, cased",
        "vocab, accents kept",
        "json",
        "json, template",
        "json, cased in both",
        "json, added token",
        "json, padding and truncation",
        "fast class, cased",
        "vocab, left padding and a maximum length",
    ] {
        assert!(changed(name).is_empty(), "{name}: {:?}", changed(name));
    }
    for name in [
        "json, cased by the configuration",
        "json, cased, but no configuration",
    ] {
        assert_eq!(
            changed(name),
            ["do_lower_case, strip_accents and tokenize_chinese_chars"],
            "{name}"
        );
    }
    for name in [
        "vocab, added_tokens.json",
        "vocab, added_tokens_decoder",
        "json, added_tokens.json beside it",
    ] {
        assert_eq!(changed(name), ["added tokens"], "{name}");
    }
    let name = "vocab, special_tokens_map.json renames";
    assert!(changed(name).contains(&"special tokens"), "{name}");
}

#[test]
fn added_tokens_json_counts_only_where_other_files_do_not_state_its_tokens() {
    let fixture = fixture();
    let file = |name: &str| {
        let folder = folder(case(&fixture, name));
        TokenizerFiles::read(folder.path()).unwrap().added_file()
    };
    assert_eq!(file("vocab, added_tokens.json"), Some("added_tokens.json"));
    assert_eq!(
        file("vocab, added_tokens_decoder beside ignored files"),
        None
    );
    let mut same = case(&fixture, "json, added token").clone();
    same["files"]["added_tokens.json"] = serde_json::json!({"[CLS]": 2});
    let folder = folder(&same);
    assert_eq!(
        TokenizerFiles::read(folder.path()).unwrap().added_file(),
        None
    );
}

#[test]
fn a_pointer_in_place_of_a_file_is_named() {
    let fixture = fixture();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n";
    for (name, file) in [
        ("vocab", "vocab.txt"),
        ("json", "tokenizer.json"),
        ("vocab, cased", "tokenizer_config.json"),
    ] {
        let folder = folder(case(&fixture, name));
        fs::write(folder.path().join(file), pointer).unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("Git LFS") && error.contains(file), "{error}");
    }
}

#[test]
fn segments_are_missing_where_the_class_or_the_inputs_leave_them_out() {
    let fixture = fixture();
    let has = |case: &Value| {
        TokenizerFiles::read(folder(case).path())
            .unwrap()
            .has_segments()
    };
    assert!(has(case(&fixture, "vocab")));
    assert!(!has(case(&fixture, "vocab, distilbert's class")));
    let mut without = case(&fixture, "json").clone();
    without["files"]["tokenizer_config.json"] =
        serde_json::json!({"model_input_names": ["input_ids"]});
    assert!(!has(&without));
}
