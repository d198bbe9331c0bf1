//! Windows of small corpora, by the rules that published generators follow.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::data::prepare::{CorpusSettings, prepare_corpus};
use crate::data::report::PrepReport;
use crate::data::store::TokenStore;
use crate::data::tokenizer::tests::folder;

static GO: AtomicBool = AtomicBool::new(false);

const PAIRS: WindowSettings = WindowSettings {
    unit: Unit::Sentence,
    pairs: Some(Pairs { short: 0.0 }),
    masking: None,
    passes: 1,
    seed: 7,
};

/// Ids and the start of segment 1.
type Example = (Vec<u32>, usize);

fn made(
    text: &str,
    length: usize,
    windows: WindowSettings,
) -> Result<(Vec<Example>, PrepReport), DataError> {
    let folder = folder();
    let path = folder.path().join("text.txt");
    fs::write(&path, text).unwrap();
    let files = vec![path];
    let settings = CorpusSettings {
        files,
        tokenizer: folder.path().to_owned(),
        max_seq_length: length,
        long_lines: crate::data::corpus::LongLines::Split,
        windows: Some(windows),
    };
    let watch = Watch {
        progress: &|done, total| assert!(done <= total),
        stop: &GO,
    };
    let output = folder.path().join("out");
    let report = prepare_corpus(&settings, &output, watch)?;
    let left: BTreeSet<PathBuf> = fs::read_dir(&output)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        left,
        [output.join("report.json"), output.join("train")].into()
    );
    let store = TokenStore::open(&output.join("train")).unwrap();
    let examples = (0..store.len()).map(|i| (store.input_ids(i).to_vec(), store.text_b_start(i)));
    Ok((examples.collect(), report))
}

/// Documents of one word each, so that the words of a text show its document.
fn corpus(documents: usize, sentences: usize) -> String {
    let words = ["a", "good", "film", "bad", "not", ".", ",", "e"];
    let mut text = String::new();
    for document in 0..documents {
        for sentence in 0..sentences {
            let length = 3 + (document * 5 + sentence * 7) % 9;
            text.push_str(&vec![words[document % words.len()]; length].join(" "));
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The two texts of a pair, without special tokens.
fn texts((ids, start): &Example) -> [Vec<u32>; 2] {
    assert_eq!((ids[0], ids[start - 1], ids[ids.len() - 1]), (2, 3, 3));
    [
        ids[1..start - 1].to_vec(),
        ids[*start..ids.len() - 1].to_vec(),
    ]
}

#[test]
fn half_of_the_second_texts_are_of_another_document() {
    let (examples, report) = made(&corpus(8, 60), 40, PAIRS).unwrap();
    let counts = report.windows.unwrap();
    assert_eq!((counts.documents, counts.sentences), (8, 480));
    let mut random = 0;
    for example in &examples {
        assert!(example.0.len() <= 40);
        let [a, b] = texts(example);
        assert!(!a.is_empty() && !b.is_empty());
        for text in [&a, &b] {
            assert!(
                text.iter().all(|id| *id == text[0]),
                "a text of one document: {text:?}"
            );
        }
        random += u64::from(a[0] != b[0]);
    }
    assert_eq!(random, counts.random_next);
    let share = random as f64 / examples.len() as f64;
    // A standard deviation is about 0.04.
    assert!(
        (0.38..0.72).contains(&share),
        "{share} of {}",
        examples.len()
    );
    assert_eq!(report.splits[0].rows_out, examples.len() as u64);
}

#[test]
fn no_sentence_is_lost_and_what_a_random_text_replaces_is_used_again() {
    // Short sentences: nothing is cut, so each document's tokens come once, in its own windows.
    let text = "a a a\na a\na a a a\n\ngood good\ngood\ngood good good\n";
    let (examples, _) = made(text, 200, PAIRS).unwrap();
    let mut own = [0, 0];
    for example in &examples {
        let [a, b] = texts(example);
        let is_own = a[0] == b[0];
        own[usize::from(a[0] == 6)] += a.len() + if is_own { b.len() } else { 0 };
    }
    assert_eq!(own, [9, 6]);
}

#[test]
fn the_result_is_the_same_for_any_number_of_threads_and_another_in_each_pass() {
    let text = corpus(8, 40);
    let masked = WindowSettings {
        masking: Some(Masking {
            share: 0.15,
            most: 20,
            whole_words: true,
        }),
        pairs: Some(Pairs { short: 0.1 }),
        passes: 2,
        ..PAIRS
    };
    let run = |threads: usize, windows: WindowSettings| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| made(&text, 32, windows).unwrap().0)
    };
    let one = run(1, masked);
    assert_eq!(one, run(3, masked));
    assert_ne!(one, run(1, WindowSettings { seed: 8, ..masked }));
    let first = run(
        2,
        WindowSettings {
            passes: 1,
            ..masked
        },
    );
    assert_eq!(one[..first.len()], first[..]);
    assert_ne!(
        one[first.len()..][..first.len() / 2],
        first[..first.len() / 2]
    );
}

#[test]
fn short_windows_come_with_their_probability() {
    let (whole, _) = made(&corpus(80, 30), 64, PAIRS).unwrap();
    let short = WindowSettings {
        pairs: Some(Pairs { short: 1.0 }),
        ..PAIRS
    };
    let (short, _) = made(&corpus(80, 30), 64, short).unwrap();
    let mean = |examples: &[Example]| {
        examples.iter().map(|(ids, _)| ids.len()).sum::<usize>() as f64 / examples.len() as f64
    };
    assert!(mean(&whole) > 55.0, "{}", mean(&whole));
    assert!(mean(&short) < 0.8 * mean(&whole), "{}", mean(&short));
}

#[test]
fn the_longer_text_is_cut_from_both_ends() {
    let long = ["a"; 100].join(" ");
    let text = format!("{long}\n\nfilm film\n");
    let (examples, report) = made(&text, 20, PAIRS).unwrap();
    let windows: Vec<[usize; 2]> = examples
        .iter()
        .map(|example| texts(example).map(|text| text.len()))
        .collect();
    assert_eq!(windows, [[15, 2], [2, 15]]);
    assert_eq!(report.splits[0].truncated, 2);
}

#[test]
fn one_token_of_each_window_is_chosen_where_the_share_is_tiny() {
    let masked = WindowSettings {
        masking: Some(Masking {
            share: 0.001,
            most: 20,
            whole_words: false,
        }),
        ..PAIRS
    };
    let (examples, report) = made(&corpus(8, 60), 32, masked).unwrap();
    let counts = report.windows.unwrap();
    assert_eq!(counts.masked, examples.len() as u64);
    let masks = examples
        .iter()
        .flat_map(|(ids, _)| ids)
        .filter(|id| **id == 4)
        .count() as u64;
    // A random token may be `[MASK]` too.
    assert!(masks >= counts.mask_tokens && masks <= counts.mask_tokens + 10);
    let share = counts.mask_tokens as f64 / counts.masked as f64;
    assert!((0.7..0.9).contains(&share), "{share}");
    let (_, report) = made(&corpus(8, 60), 32, PAIRS).unwrap();
    assert_eq!(report.windows.unwrap().masked, 0);
}

#[test]
fn packed_windows_are_full_but_for_the_last_of_a_document() {
    let packed = WindowSettings {
        pairs: None,
        ..PAIRS
    };
    let text = "a a a\ngood good good good good good\n\nbad\n";
    let (examples, _) = made(text, 6, packed).unwrap();
    let expected = [
        vec![2, 5, 5, 5, 6, 3],
        vec![2, 6, 6, 6, 6, 3],
        vec![2, 6, 3],
        vec![2, 8, 3],
    ];
    assert_eq!(
        examples
            .iter()
            .map(|(ids, _)| ids.clone())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(examples.iter().all(|(ids, start)| ids.len() == *start));
}

#[test]
fn a_single_document_has_no_other_to_draw_from() {
    let error = made("a\ngood\n", 20, PAIRS).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("text.txt` is one document, and a random second text needs another"),
        "{message}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("blank line")));
    let error = made("a\n\ngood\n", 4, PAIRS).unwrap_err();
    assert!(matches!(error, DataError::MaxSeqLength { least: 5, .. }));
    let error = made("\n \n", 20, PAIRS).unwrap_err();
    assert!(matches!(error, DataError::NoRows { .. }));
}

#[test]
fn paragraphs_are_cut_into_sentences() {
    let unit = WindowSettings {
        unit: Unit::Paragraph,
        ..PAIRS
    };
    let (_, report) = made("A film. A good film. Not bad.\n\nbad\n", 20, unit).unwrap();
    let counts = report.windows.unwrap();
    assert_eq!((counts.documents, counts.sentences), (2, 4));
}
