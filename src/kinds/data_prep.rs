//! `data-prep`: the task's tables to tokens.

use super::record_rules::{files, row_rules};
use crate::data::{
    ALL_PREDICTIONS, Dev, LabelRule, LabelSet, OwnStores, PredictionSettings, RecordDev,
    RecordFormat, RecordTask, TRAIN_PREDICTIONS, TableLayout, TaskSettings, UNLABELLED_STORE,
    prepare_record_task, prepare_task,
};
use crate::experiment::settings::settings;
use crate::experiment::{
    Artifact, Counts, Port, StageDefaults, StageKind, StageSettings, TableKeys, Task, TaskName,
    Wants,
};
use crate::stage::{Activity, Place, StageError, Work, prepare};

pub(super) struct DataPrep;

settings! {
    /// `[stages.data-prep]`: nothing to set but what `[task]` holds.
    pub(super) struct Keys(stage, none: StageDefaults) {}
}

/// Files of text without labels.
const UNLABELLED: &str = "unlabelled";

/// Files with a teacher's answers.
const PREDICTIONS: &str = "teacher-predictions";

/// The splits that a task may have.
const SPLITS: [&str; 3] = ["train", "dev", "dev-mismatched"];

impl StageKind for DataPrep {
    fn name(&self) -> &'static str {
        "data-prep"
    }

    /// 2: `labels` of a task of GLUE in another order are another order of its classes.
    fn semantics(&self) -> u32 {
        2
    }

    fn is_in_every_experiment(&self) -> bool {
        true
    }

    fn is_on_device(&self) -> bool {
        false
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, task: &Task, _: &dyn StageSettings) -> Vec<Port> {
        if let Some(format) = task.format.records() {
            return record_ports(task, format);
        }
        let train = Some(Wants::Files(vec![task.train.clone()]));
        let dev = task.dev.clone().map(Wants::OneFile);
        let more = task.dev_mismatched.clone().map(Wants::OneFile);
        let tables = SPLITS.into_iter().zip([train, dev, more]);
        let tables = tables.filter_map(|(role, wants)| {
            let wants = wants?;
            Some(Port { role, wants })
        });
        let files = task.unlabelled_files().to_vec();
        let unlabelled = (!files.is_empty()).then_some(Port {
            role: UNLABELLED,
            wants: Wants::Files(files),
        });
        let predictions = task.teacher_predictions.clone().map(|files| Port {
            role: PREDICTIONS,
            wants: Wants::Files(vec![files]),
        });
        tables
            .chain(unlabelled)
            .chain(predictions)
            .chain([Port::tokenizer()])
            .collect()
    }

    fn makes(&self) -> Vec<Artifact> {
        let stores = SPLITS.into_iter().chain([UNLABELLED_STORE]);
        let answers = [TRAIN_PREDICTIONS, ALL_PREDICTIONS].map(Artifact::predictions);
        stores.map(Artifact::rows).chain(answers).collect()
    }

    fn counts(&self) -> Vec<Counts> {
        let is_records: fn(&Task, &dyn StageSettings) -> bool = |task, _| !task.is_table();
        vec![
            Counts::Own,
            Counts::Task,
            Counts::AnsweredTexts,
            Counts::Vocabulary(is_records),
        ]
    }
}

impl Work for DataPrep {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        if let Some(format) = place.experiment.task.format.records() {
            let settings = record_settings(place, format);
            return Ok(Activity::Here(Box::new(move |here| {
                prepare(here, |watch| {
                    prepare_record_task(&settings, place.work, watch)
                })
            })));
        }
        let settings = settings_of(place);
        Ok(Activity::Here(Box::new(move |here| {
            prepare(here, |watch| prepare_task(&settings, place.work, watch))
        })))
    }

    fn promised(&self, place: &Place<'_>) -> Vec<&'static str> {
        let mut files = vec!["report.json", "train/store.json", "dev/store.json"];
        if place.experiment.task.teacher_predictions.is_some() {
            files.push(TRAIN_PREDICTIONS);
        }
        files
    }
}

/// What a task of records takes: no tokenizer.
fn record_ports(task: &Task, format: RecordFormat) -> Vec<Port> {
    let named = [
        Some(&task.train),
        task.dev.as_ref(),
        task.dev_mismatched.as_ref(),
    ];
    let splits = SPLITS.into_iter().zip(named).filter_map(|(role, named)| {
        let wants = Wants::Records(vec![named?.clone()], format);
        Some(Port { role, wants })
    });
    let schema = task.schema.clone().map(|schema| Port {
        role: "schema",
        wants: Wants::OneFile(schema),
    });
    splits.chain(schema).collect()
}

fn record_settings(place: &Place<'_>, format: RecordFormat) -> RecordTask {
    let task = &place.experiment.task;
    let named = |key: &Option<_>| {
        std::slice::from_ref(key)
            .iter()
            .flatten()
            .cloned()
            .collect()
    };
    let dev: Vec<_> = named(&task.dev);
    let more: Vec<_> = named(&task.dev_mismatched);
    RecordTask {
        format,
        schema: place.files("schema").into_iter().next(),
        train: files(place, "train", std::slice::from_ref(&task.train)),
        dev: match &task.dev_fraction {
            Some(share) if dev.is_empty() => RecordDev::Fraction(**share),
            _ => RecordDev::Files(files(place, "dev", &dev)),
        },
        more_dev: if more.is_empty() {
            Vec::new()
        } else {
            let role = "dev-mismatched";
            vec![(role.to_owned(), files(place, role, &more))]
        },
        labels: labels(task),
        rules: row_rules(place, task.max_seq_length.as_deref()),
    }
}

fn settings_of(place: &Place<'_>) -> TaskSettings {
    let task = &place.experiment.task;
    let glue = match *task.name {
        TaskName::Glue(glue) => Some(glue),
        TaskName::Custom => None,
    };
    let dev = match (place.files("dev").into_iter().next(), &task.dev_fraction) {
        (Some(file), _) => Dev::Table(file),
        (None, fraction) => Dev::Fraction(fraction.as_ref().map_or(0.0, |share| **share)),
    };
    let more = place.files("dev-mismatched").into_iter();
    TaskSettings {
        train: place.files("train"),
        dev,
        layout: TableLayout {
            dialect: task.dialect(),
            text: task.text.value.clone(),
            pair: task.pair.as_ref().map(|column| column.value.clone()),
            label: task.label.value.clone(),
            columns: task.column_names(),
            skip_short: glue.is_some_and(|glue| glue.short_rows),
        },
        more_dev: more
            .map(|file| ("dev-mismatched".to_owned(), file))
            .collect(),
        unlabelled: place.files(UNLABELLED),
        predictions: task
            .teacher_predictions
            .as_ref()
            .map(|_| PredictionSettings {
                files: place.files(PREDICTIONS),
                with_unlabelled: place.experiment.answers_unlabelled(),
            }),
        labels: labels(task),
        tokenizer: place.tokenizer(),
        students: place.tokenizer_of_its_own(),
        further: OwnStores::all()
            .filter_map(|stores| Some((stores, place.tokenizer_of(stores.role())?)))
            .collect(),
        max_seq_length: task.max_seq_length.as_deref().copied().unwrap_or_default(),
    }
}

fn labels(task: &Task) -> LabelRule {
    let names = task.labels.as_ref().map(|labels| labels.value.clone());
    if task.regression {
        return LabelRule::Values;
    }
    match (*task.name, names) {
        (TaskName::Glue(glue), None) => LabelRule::Given(LabelSet::spelt(
            glue.spellings,
            glue.labels.iter().map(|&name| name.to_owned()).collect(),
        )),
        (TaskName::Glue(glue), Some(names)) => {
            // GLUE's own names in another order are another order of the classes; other names
            // are other names.
            let place = |name: &String| glue.labels.iter().position(|known| known == name);
            let order: Option<Vec<usize>> = names.iter().map(place).collect();
            let spellings: Vec<&str> = match order {
                Some(order) => order.iter().map(|&class| glue.spellings[class]).collect(),
                None => glue.spellings.to_vec(),
            };
            LabelRule::Given(LabelSet::spelt(&spellings, names))
        }
        (TaskName::Custom, Some(names)) => LabelRule::Given(LabelSet::named(names)),
        (TaskName::Custom, None) => LabelRule::Found,
    }
}
