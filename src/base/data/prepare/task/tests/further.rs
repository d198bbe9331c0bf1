//! Rows that a further tokenizer cuts once more.

use super::*;
use crate::data::own_stores::OwnStores;
use crate::data::tokenizer::Tokenizer;

#[test]
fn a_further_tokenizer_cuts_every_row_of_every_store_in_the_same_order() {
    let (folder, other) = (folder(), in_mpnets_form(|word| word != "film"));
    let mut settings = settings(&folder, TRAIN, Some(DEV));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let more = write("more.tsv", "sentence\tlabel\na film\t1\n");
    settings.more_dev = vec![("dev-mismatched".to_owned(), more)];
    settings.unlabelled = vec![write("more.txt", "film\n\nbad .\nfilm\nwhat a film\n")];
    let report = prepare(&settings, &folder).unwrap();
    let usual = ["train", "dev", "dev-mismatched", UNLABELLED_STORE];
    let bytes = |name: &str| fs::read(folder.path().join("out").join(name).join("tokens.bin"));
    let before = usual.map(|name| bytes(name).unwrap());
    fs::remove_dir_all(folder.path().join("out")).unwrap();

    let stores = OwnStores::all().next().unwrap();
    settings.further = vec![(stores, other.path().to_owned())];
    let again = prepare(&settings, &folder).unwrap();
    assert_eq!(again.splits, report.splits);
    assert_eq!(before, usual.map(|name| bytes(name).unwrap()));
    let tokenizer = Tokenizer::load(other.path()).unwrap();
    for name in usual {
        let [first, second] = [name, stores.of(name)].map(|name| open(&folder, name));
        assert_eq!(first.len(), second.len(), "{name}");
        assert_eq!(second.meta().pad_token_id, 1);
        assert_eq!(second.meta().vocab_size, tokenizer.vocab_size());
        assert_eq!(second.meta().labels, first.meta().labels);
        for row in 0..first.len() {
            assert_eq!(first.label(row), second.label(row), "{name} {row}");
            let ids = second.input_ids(row);
            assert_eq!((ids[0], ids[ids.len() - 1]), (0, 2), "{name} {row}");
        }
    }
    // `film` is not a word of it.
    let both = open(&folder, stores.of(UNLABELLED_STORE));
    let unknown = tokenizer.special().unk;
    let first = open(&folder, "train").len();
    assert!(both.input_ids(first).contains(&unknown));
}

#[test]
fn stores_of_further_tokenizers_have_names_of_their_own() {
    let all: Vec<OwnStores> = OwnStores::all().collect();
    assert_eq!(all[0].role(), "tokenizer-2");
    assert_eq!(all[0].of("train"), "train-2");
    assert_eq!(all[1].of(UNLABELLED_STORE), "train-and-unlabelled-3");
    assert_eq!(OwnStores::usual("train-and-unlabelled-3"), UNLABELLED_STORE);
    assert_eq!(OwnStores::beside("train-2", "dev"), "dev-2");
    assert_eq!(OwnStores::beside(UNLABELLED_STORE, "dev"), "dev");
}
