//! `[stages]`: which stages there are, each of which kind.

use std::sync::Arc;

use super::declared::{Declared, Entry, key};
use super::kind::{Kinds, StageKind};
use super::recipe::StageDefaults;
use super::schema::RANDOM;
use super::settings::Item;
use super::stage::{Stage, Stages};
use super::stage_name::StageName;
use super::stage_settings::StageSettings;
use crate::document::{Fault, Section};

/// What `kind` says.
const KIND: &str = "kind";

/// The key that every stage has.
fn kind_key() -> Declared<Option<String>> {
    key(KIND)
        .kind_text("stage kind")
        .range_text("for a table with a name of your own")
        .default_text("the table's name")
}

/// The key that every stage has, for the reference.
pub(super) fn described() -> Item {
    let meaning = "What the stage does, where its table has a name of your own: letters, digits, `_` \
                   and `-`, at most 60 bytes, not `random`. A kind may occur several times. A second \
                   `general-distill` named `more` prepares its corpus in the stage `more-corpus`.";
    Item::Part("Every stage", vec![Item::Key(kind_key().describe(meaning))])
}

/// The keys of a stage's table with their values.
pub(super) fn entries(stage: &Stage) -> Vec<Entry> {
    let kind = (stage.name != *stage.kind()).then(|| stage.kind().to_owned());
    let mut entries = vec![kind_key().entry(&kind, false)];
    entries.extend(stage.settings.entries());
    entries
}

/// Reads `[stages]`.
pub(super) fn read(stages: &Section<'_>, defaults: &StageDefaults, kinds: Kinds) -> Stages {
    let mut all = Vec::new();
    for (place, kind, keys) in kinds.with_table() {
        let table = if kind.is_in_every_experiment() {
            Some(stages.section_or_empty(kind.name()))
        } else {
            stages.section(kind.name())
        };
        if let Some(table) = table {
            // The table of a kind's own name may say its kind too.
            let _ = table.choice(KIND, &[(kind.name(), ())]);
            let keys = (keys.read)(&table, defaults);
            all.push((place, stage_of(kind, kind.name(), &table, keys)));
        }
    }
    all.extend(named(stages, defaults, kinds));
    stages.finish_as("stage", ", and names of your own with `kind`");
    let place_of = |kind: &dyn StageKind| kinds.iter().position(|it| it.name() == kind.name());
    let mut preparations = Vec::new();
    for (_, stage) in &mut all {
        let Some(prepared) = stage.kind.preparation(&stage.name, &*stage.settings) else {
            continue;
        };
        check_is_free(&prepared.name, stage, stages);
        stage.preparation = Some(prepared.name.clone());
        let preparation = Stage {
            name: prepared.name,
            kind: prepared.by,
            settings: prepared.keys,
            header: stage.header.clone(),
            has_table: false,
            preparation: None,
        };
        preparations.extend(place_of(prepared.by).map(|place| (place, preparation)));
    }
    all.extend(preparations);
    all.sort_by_key(|(place, stage)| {
        let header = stage.header.as_ref();
        (*place, header.map(|span| (span.source, span.range.start)))
    });
    Stages {
        all: all.into_iter().map(|(_, stage)| stage).collect(),
        kinds,
    }
}

/// The name of a preparation is no table's.
fn check_is_free(name: &StageName, of: &Stage, stages: &Section<'_>) {
    if let Some(span) = stages.key_span(name.as_str()) {
        let message = format!(
            "stage name `{name}` is that of the preparation of `{}`",
            of.name
        );
        let fault = Fault::new(message, Some(span)).with_label("expected another name");
        stages.wrong(name.as_str(), fault);
    }
}

/// Stages whose tables have names of the user's own.
fn named(stages: &Section<'_>, defaults: &StageDefaults, kinds: Kinds) -> Vec<(usize, Stage)> {
    let mut found = Vec::new();
    for (name, _) in stages.entries() {
        let is_kind = kinds.get(name).is_some();
        let has_kind = || stages.span_within(name, KIND).is_some();
        if is_kind || !has_kind() {
            continue;
        }
        let Some(table) = stages.section(name) else {
            continue;
        };
        check_name(name, stages);
        let tables: Vec<_> = kinds
            .with_table()
            .filter(|(_, kind, _)| !kind.is_in_every_experiment())
            .collect();
        let words: Vec<_> = tables.iter().map(|it| (it.1.name(), *it)).collect();
        // Without a kind its keys mean nothing.
        if let Some(kind) = table.choice(KIND, &words) {
            let (place, kind, keys) = kind.value;
            let keys = (keys.read)(&table, defaults);
            found.push((place, stage_of(kind, name, &table, keys)));
        }
    }
    found
}

/// A stage's name is a folder's too, and a word that no path is taken for.
fn check_name(name: &str, stages: &Section<'_>) {
    let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let problem = if !name.chars().all(is_plain) {
        "may contain only letters, digits, `_` and `-`"
    } else if !name.starts_with(char::is_alphanumeric) {
        "must start with a letter or digit"
    } else if name.len() > 60 {
        "is longer than 60 bytes"
    } else if name == RANDOM {
        "is a word for random weights"
    } else {
        return;
    };
    let fault = Fault::new(
        format!("stage name `{name}` {problem}"),
        stages.key_span(name),
    );
    stages.wrong(name, fault.with_label("it is the name of a results folder"));
}

fn stage_of(
    kind: &'static dyn StageKind,
    name: &str,
    table: &Section<'_>,
    settings: Arc<dyn StageSettings>,
) -> Stage {
    Stage {
        name: StageName::new(name),
        kind,
        settings,
        header: table.span(),
        has_table: true,
        preparation: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, pipeline, read, read_with};
    use super::super::{Prediction, Training};

    #[test]
    fn a_stage_that_is_left_out_is_not_run() {
        let names = |text: &str| -> Vec<String> {
            let stages = read(text).stages;
            stages.iter().map(|stage| stage.name.to_string()).collect()
        };
        assert_eq!(names(MINIMAL), ["data-prep"]);
        let all = [
            "data-prep",
            "corpus-prep",
            "finetune",
            "general-distill",
            "td-phase1",
            "td-phase2",
            "eval",
        ];
        assert_eq!(names(&pipeline()), all);
    }

    #[test]
    fn a_kind_may_occur_several_times_in_the_order_of_the_file() {
        let text = format!(
            "{MINIMAL}[stages.warm]\nkind = \"td-phase2\"\nstudent = \"m/s\"\n\
             {}[stages.zeal]\nkind = \"td-phase2\"\ntemperature = 2\n\
             [stages.again]\nkind = \"td-phase2\"\nepochs = 9\n",
            pipeline().replace(MINIMAL, "")
        );
        let stages = read(&text).stages;
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names[5..], ["warm", "td-phase2", "zeal", "again", "eval"]);
        let zeal = stages.get("zeal").unwrap();
        assert_eq!(zeal.kind(), "td-phase2");
        assert!((zeal.keys::<Prediction>().temperature - 2.0).abs() < f64::EPSILON);
        let again: &Training = stages.get("again").unwrap().keys();
        assert_eq!(*again.epochs, 9);
    }

    #[test]
    fn a_stage_of_an_own_name_says_its_kind_and_has_a_name_for_a_folder() {
        let refused = |set: &str| faults(&pipeline(), &[set]);
        assert_eq!(refused("stages.hot={}"), ["--set:1:8: unknown stage `hot`"]);
        assert_eq!(
            refused("stages.hot={ kind = \"td-phase3\" }"),
            ["--set:1:21: `kind` in `[stages.hot]` cannot be `td-phase3`"]
        );
        assert_eq!(
            refused("stages.hot={ kind = \"td-phase2\", epoch = 1 }"),
            ["--set:1:34: unknown key `epoch` in `[stages.hot]`"]
        );
        assert_eq!(
            refused("stages.td-phase1.kind=td-phase2"),
            ["--set:1:23: `kind` in `[stages.td-phase1]` cannot be `td-phase2`"]
        );
        for name in ["a b", "-x", "random"] {
            let found = refused(&format!("stages={{ \"{name}\" = {{ kind = \"eval\" }} }}"));
            assert!(found[0].contains("stage name"), "{found:?}");
        }
        let more = "stages.more={ kind = \"general-distill\", corpus = [\"b\"] }";
        assert_eq!(
            faults(
                &pipeline(),
                &[more, "stages.more-corpus={ kind = \"eval\" }"]
            ),
            ["--set:1:8: stage name `more-corpus` is that of the preparation of `more`"]
        );
        assert!(read_with(&pipeline(), &["stages.hot={ kind = \"td-phase2\" }"]).is_ok());
    }
}
