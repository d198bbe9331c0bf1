//! `corpus-prep`: raw text to tokens, for the stage whose table names the text.

use crate::data::{CorpusSettings, corpus, prepare_corpus};
use crate::experiment::{
    Artifact, Corpus, Counts, LongLines, Port, StageKind, StageSettings, TableKeys, Task, Wants,
    What,
};
use crate::stage::{Activity, Place, StageError, Work, prepare};

pub(super) struct CorpusPrep;

impl StageKind for CorpusPrep {
    fn name(&self) -> &'static str {
        "corpus-prep"
    }

    fn keys(&self) -> Option<TableKeys> {
        None
    }

    fn ports(&self, _: &Task, keys: &dyn StageSettings) -> Vec<Port> {
        let corpus: &Corpus = keys.keys();
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
        vec![Counts::Own]
    }
}

impl Work for CorpusPrep {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let corpus: &Corpus = place.stage().keys();
        let settings = CorpusSettings {
            files: place.files("corpus"),
            tokenizer: place.tokenizer(),
            max_seq_length: *corpus.max_seq_length,
            long_lines: match corpus.long_lines {
                LongLines::Split => corpus::LongLines::Split,
                LongLines::Truncate => corpus::LongLines::Truncate,
            },
        };
        Ok(Activity::Here(Box::new(move |here| {
            prepare(here, |watch| prepare_corpus(&settings, place.work, watch))
        })))
    }

    fn promised(&self, _: &Place<'_>) -> Vec<&'static str> {
        vec!["report.json", "train/store.json"]
    }
}
