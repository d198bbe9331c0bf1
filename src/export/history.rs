//! How a model came to be: the records of the stages behind it.

use std::collections::{BTreeMap, BTreeSet};

use crate::experiment::{Artifact, Experiment, Kinds, Role, What, departures, repeated_settings};
use crate::metrics::Spread;
use crate::runs::{Record, Scored};

/// What is known of a model that a stage made.
#[derive(Debug)]
pub(crate) struct History {
    /// The experiment as it was resolved; `None` where the record does not have it.
    pub(super) experiment: Option<Experiment>,
    /// The stage that made the model, then all before it, the latest first.
    pub(super) stages: Vec<Record>,
    /// The stage that scored it.
    pub(super) scored: Option<Record>,
    /// Whether the stage that made it trains students.
    pub(super) is_student: bool,
    /// Whether it was trained on rows of the task, and not on general text.
    pub(super) is_of_task: bool,
    /// Whether it was scored as the student or as the teacher.
    pub(super) role: &'static str,
    /// Its scores on dev over the seeds of the same experiment, by metric.
    pub(super) spread: BTreeMap<String, Spread>,
    /// Settings that are not the recipe's, by their keys in the experiment file, as TOML.
    pub(super) changed: Vec<(String, String)>,
}

impl History {
    /// That of the model in the result `made`. Stages before it are looked up in `records` by the
    /// bytes that they left, its scores are those of `scored`, and `repeats` are scorings that may
    /// be of the same experiment with other seeds.
    pub(crate) fn of(
        kinds: Kinds,
        made: &Record,
        records: &[Record],
        scored: Option<&Record>,
        repeats: &[Record],
    ) -> Self {
        let stages = with_ancestors(made, records);
        let experiment = Experiment::read(kinds, "", "experiment", &made.experiment, &[]);
        let kinds_used: BTreeSet<&str> = stages.iter().map(|it| it.key.kind.as_str()).collect();
        let role = scored.and_then(|record| role_in(record, made));
        let scored = scored.filter(|_| role.is_some());
        let role = role.unwrap_or("student");
        Self {
            is_of_task: made.key.upstream.contains_key("train"),
            is_student: kinds.iter().any(|kind| {
                let is_made = |made: &Artifact| {
                    matches!(
                        made.what,
                        What::Model {
                            of: Role::Student,
                            ..
                        }
                    )
                };
                kind.name() == made.key.kind && kind.makes().iter().any(is_made)
            }),
            changed: departures(kinds, &made.experiment, |kind| kinds_used.contains(kind)),
            experiment: experiment.ok().map(|(experiment, _)| experiment),
            role,
            spread: scored
                .map_or_else(BTreeMap::new, |record| spread(kinds, record, role, repeats)),
            scored: scored.cloned(),
            stages,
        }
    }

    /// The latest of `records` that scored the model of `made`.
    pub(crate) fn scoring_of<'a>(made: &Record, records: &'a [Record]) -> Option<&'a Record> {
        let scored = records
            .iter()
            .filter(|record| role_in(record, made).is_some());
        scored.max_by_key(|record| record.finished)
    }

    /// Its own scores, one entry per split.
    pub(super) fn own_scores(&self) -> impl Iterator<Item = &Scored> {
        let scored = self.scored.iter().flat_map(|it| &it.summary.scored);
        scored.filter(|scored| scored.model == self.role)
    }
}

/// As what a scoring took the model of a result.
fn role_in(scoring: &Record, made: &Record) -> Option<&'static str> {
    let model = made.artifact("model")?;
    let took = |role: &&str| {
        let upstream = scoring.key.upstream.get(*role);
        upstream.is_some_and(|upstream| upstream.digest == model)
    };
    let is_scoring = !scoring.summary.scored.is_empty();
    ["student", "teacher"]
        .into_iter()
        .find(took)
        .filter(|_| is_scoring)
}

/// A record, then those of the stages whose artifacts it was made of, the latest first.
fn with_ancestors(made: &Record, records: &[Record]) -> Vec<Record> {
    let mut found = vec![made.clone()];
    let mut next = 0;
    while next < found.len() {
        let upstream: Vec<_> = found[next].key.upstream.values().cloned().collect();
        for taken in upstream {
            let name = taken.artifact.rsplit('/').next().unwrap_or_default();
            let has_it = |record: &&Record| record.artifact(name) == Some(taken.digest);
            // Two stages may have left the same bytes.
            let is_of_kind = |record: &&Record| {
                taken.artifact.split('/').next() == Some(record.key.kind.as_str())
            };
            let named = records.iter().filter(is_of_kind).find(has_it);
            if let Some(from) = named.or_else(|| records.iter().find(has_it))
                && !found.iter().any(|it| it.fingerprint == from.fingerprint)
            {
                found.push(from.clone());
            }
        }
        next += 1;
    }
    // A stage before it may have been run again since, with the same result.
    found[1..].sort_by_key(|record| std::cmp::Reverse(record.finished));
    found
}

/// Scores of a model on dev over the seeds: of the scoring itself and of `repeats` whose
/// experiments differ from its own by seeds alone, on the same rows.
fn spread(
    kinds: Kinds,
    scoring: &Record,
    role: &str,
    repeats: &[Record],
) -> BTreeMap<String, Spread> {
    let own = repeated_settings(kinds, &scoring.experiment);
    let is_repeat = |other: &&Record| {
        other.fingerprint == scoring.fingerprint
            || (other.key.kind == scoring.key.kind
                && other.key.upstream.get("dev") == scoring.key.upstream.get("dev")
                && own.is_some()
                && repeated_settings(kinds, &other.experiment) == own)
    };
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for repeat in repeats.iter().filter(is_repeat) {
        let scored = repeat.summary.scored.iter();
        for scored in scored.filter(|it| it.model == role && it.split == "dev") {
            for (metric, value) in &scored.scores {
                values.entry(metric.clone()).or_default().push(*value);
            }
        }
    }
    let spread = values.into_iter().map(|(metric, values)| {
        let spread = Spread::of(&values)?;
        Some((metric, spread)).filter(|_| spread.count > 1)
    });
    spread.flatten().collect()
}
