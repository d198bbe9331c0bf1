//! The files of a tokenizer: they read or are refused, and what reads cuts a text into ids of the vocabulary.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::data::Tokenizer;

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfine\n##s\n.\n<\n>\nuser\n中\n";
/// In the order of an input's parts, after the text; an empty part is no file.
const FILES: [&str; 6] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
    "tokenizer.json",
    "vocab.txt",
];

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    write("vocab.txt", VOCAB.as_bytes());
    let mut parts = data.split(|byte| *byte == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    for (name, part) in FILES.into_iter().zip(parts) {
        if !part.is_empty() {
            write(name, part);
        }
    }
    let Ok(tokenizer) = Tokenizer::load(folder.path()) else {
        return;
    };
    let ids = match tokenizer.encode(&text) {
        Ok(ids) => ids,
        // The model of a `tokenizer.json` may have no token for what it cannot spell.
        Err(_) if folder.path().join("tokenizer.json").exists() => return,
        Err(error) => panic!("{error}"),
    };
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    // The second time, words come from the cache.
    assert_eq!(tokenizer.encode(&text).expect("as before"), ids);
});
