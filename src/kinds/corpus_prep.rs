//! `corpus-prep`: raw text to tokens, for the stage whose table names the text.

use super::record_rules::{files, row_rules};
use crate::data::{
    CorpusSettings, Masking, Pairs, RecordCorpus, Unit, WindowSettings, corpus, prepare_corpus,
    prepare_record_corpus,
};
use crate::experiment::{
    Artifact, Corpus, Counts, LongLines, Port, StageKind, StageSettings, TableKeys, Task, Wants,
    What, WindowForm,
};
use crate::stage::{Activity, Place, StageError, Work, prepare};

pub(super) struct CorpusPrep;

impl StageKind for CorpusPrep {
    fn name(&self) -> &'static str {
        "corpus-prep"
    }

    fn is_on_device(&self) -> bool {
        false
    }

    fn keys(&self) -> Option<TableKeys> {
        None
    }

    fn ports(&self, _: &Task, keys: &dyn StageSettings) -> Vec<Port> {
        let corpus: &Corpus = keys.keys();
        if let Some(format) = corpus.format.records() {
            let records = Port {
                role: "corpus",
                wants: Wants::Records(corpus.files.value.clone(), format),
            };
            let schema = corpus.schema.clone().map(|schema| Port {
                role: "schema",
                wants: Wants::OneFile(schema),
            });
            return std::iter::once(records).chain(schema).collect();
        }
        let files = Port {
            role: "corpus",
            wants: Wants::Files(corpus.files.value.clone()),
        };
        vec![files, Port::tokenizer()]
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact {
            name: "train",
            what: What::Text,
        }]
    }

    fn counts(&self) -> Vec<Counts> {
        let is_records: fn(&Task, &dyn StageSettings) -> bool =
            |_, keys| !keys.keys::<Corpus>().is_text();
        vec![Counts::Own, Counts::Vocabulary(is_records)]
    }
}

impl Work for CorpusPrep {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let corpus: &Corpus = place.stage().keys();
        if let Some(format) = corpus.format.records() {
            let settings = RecordCorpus {
                format,
                schema: place.files("schema").into_iter().next(),
                files: files(place, "corpus", &corpus.files),
                rules: row_rules(place, corpus.max_seq_length.as_deref()),
            };
            return Ok(Activity::Here(Box::new(move |here| {
                prepare(here, |watch| {
                    prepare_record_corpus(&settings, place.work, watch)
                })
            })));
        }
        let settings = CorpusSettings {
            files: place.files("corpus"),
            tokenizer: place.tokenizer(),
            max_seq_length: corpus
                .max_seq_length
                .as_deref()
                .copied()
                .unwrap_or_default(),
            long_lines: match corpus.long_lines {
                LongLines::Split => corpus::LongLines::Split,
                LongLines::Truncate => corpus::LongLines::Truncate,
            },
            windows: windows(corpus),
        };
        Ok(Activity::Here(Box::new(move |here| {
            prepare(here, |watch| prepare_corpus(&settings, place.work, watch))
        })))
    }

    fn promised(&self, _: &Place<'_>) -> Vec<&'static str> {
        vec!["report.json", "train/store.json"]
    }
}

/// How documents become windows, where they do.
fn windows(corpus: &Corpus) -> Option<WindowSettings> {
    let keys = corpus.window.as_ref()?;
    let unit = match *corpus.windows {
        WindowForm::Lines | WindowForm::Sentences | WindowForm::Packed => Unit::Sentence,
        WindowForm::Paragraphs => Unit::Paragraph,
    };
    let masking = (keys.masked_lm_prob > 0.0).then_some(Masking {
        share: keys.masked_lm_prob,
        most: keys.max_predictions_per_seq as usize,
        whole_words: keys.whole_word_mask,
    });
    Some(WindowSettings {
        unit,
        pairs: keys.short_seq_prob.map(|short| Pairs { short }),
        masking,
        passes: keys.passes,
        seed: keys.seed,
    })
}
