//! `data-prep`: the task's tables to tokens.

use crate::data::{Dev, LabelRule, LabelSet, TableLayout, TaskSettings, prepare_task};
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

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, task: &Task, _: &dyn StageSettings) -> Vec<Port> {
        let train = Some(Wants::Files(vec![task.train.clone()]));
        let dev = task.dev.clone().map(Wants::OneFile);
        let more = task.dev_mismatched.clone().map(Wants::OneFile);
        let tables = SPLITS.into_iter().zip([train, dev, more]);
        let tables = tables.filter_map(|(role, wants)| {
            let wants = wants?;
            Some(Port { role, wants })
        });
        tables.chain([Port::tokenizer()]).collect()
    }

    fn makes(&self) -> Vec<Artifact> {
        SPLITS.map(Artifact::rows).to_vec()
    }

    fn counts(&self) -> Vec<Counts> {
        vec![Counts::Own, Counts::Task]
    }
}

impl Work for DataPrep {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let settings = settings_of(place);
        Ok(Activity::Here(Box::new(move |here| {
            prepare(here, |watch| prepare_task(&settings, place.work, watch))
        })))
    }

    fn promised(&self, _: &Place<'_>) -> Vec<&'static str> {
        vec!["report.json", "train/store.json", "dev/store.json"]
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
        labels: labels(task),
        tokenizer: place.tokenizer(),
        max_seq_length: *task.max_seq_length,
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
