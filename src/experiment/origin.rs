//! Where each stage's student and teacher come from: the rules of defaults, written once,
//! for the checks here and for the plan.

use super::ports::{ModelPort, Role, Unconnected, Wants, What};
use super::schema::ModelSource;
use super::sources::{StudentSource, TeacherSource};
use super::stage::Stage;
use super::stage_name::StageName;
use super::teachers::Teachers;
use super::top::Experiment;
use super::training::Training;
use crate::document::Located;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A stage's artifact.
    Stage(StageName),
    /// A Hugging Face folder.
    Folder(String),
    /// Random weights in the shape of `[student]`.
    Random,
    /// Some layers of another one: what `[student]` starts from.
    Layers {
        /// The model with all its layers.
        of: Box<Origin>,
        /// Those that are kept, from 0 on.
        layers: Vec<usize>,
    },
}

impl Origin {
    /// The same with all its layers.
    #[must_use]
    pub fn whole(self) -> Self {
        match self {
            Self::Layers { of, .. } => of.whole(),
            whole => whole,
        }
    }
}

impl Experiment {
    /// What a stage takes as its student or teacher; `None` where it takes none. With no key of its
    /// own it is the nearest earlier one that will do, or the one of its table. The place is the
    /// key's, or that of `model` in the table.
    pub fn origin_of(&self, stage: &Stage, role: Role) -> Option<Located<Origin>> {
        let ports = stage.ports(&self.task);
        let port = ports.iter().find(|port| port.role == role.as_str())?;
        self.connect(stage, port.model()?)
    }

    /// The same for a port.
    pub(crate) fn connect(&self, stage: &Stage, port: ModelPort) -> Option<Located<Origin>> {
        if let Some(source) = port_key(stage, port) {
            return Some(as_origin(source));
        }
        if port.unconnected != Unconnected::Given {
            let is_of = |(_, what): &(&StageName, What)| matches!(what, What::Model { of, .. } if *of == port.of);
            let mut earlier = self.models_before(stage).filter(is_of).peekable();
            let is_any_earlier = earlier.peek().is_some();
            let will_do = |(_, what): &(&StageName, What)| {
                let has_classifier = matches!(what, What::Model { classifier, .. } if *classifier);
                has_classifier || !port.needs_classifier()
            };
            if let Some((name, _)) = earlier.find(will_do) {
                return Some(Located::default_value(Origin::Stage(name.clone())));
            }
            // A student that was made here and never got a classifier cannot be scored, and the
            // one that it started from is none of this experiment's results.
            if is_any_earlier {
                return None;
            }
        }
        match port.of {
            Role::Teacher => {
                let model = self.has_teacher().then_some(&self.teacher.model)?;
                Some(model.clone().map(Origin::Folder))
            }
            Role::Student => match self.start_of_student() {
                None if port.is_trained => Some(Located::default_value(Origin::Random)),
                start => start,
            },
        }
    }

    /// Every model that a stage takes.
    pub(crate) fn models_of(&self, stage: &Stage) -> Vec<(ModelPort, Located<Origin>)> {
        stage
            .model_ports(&self.task)
            .filter_map(|port| Some((port, self.connect(stage, port)?)))
            .collect()
    }

    /// Models that stages before this one make, the nearest first.
    fn models_before(&self, stage: &Stage) -> impl Iterator<Item = (&StageName, What)> {
        self.stages.before(stage).flat_map(|earlier| {
            let made = earlier.makes().into_iter();
            let models = made.filter(|made| matches!(made.what, What::Model { .. }));
            models.map(|made| (&earlier.name, made.what))
        })
    }

    /// The nearest stage before this one that makes a split of the task.
    pub(crate) fn rows_for(&self, stage: &Stage, split: &str) -> Option<&StageName> {
        self.maker_for(stage, What::Rows, split)
    }

    /// The nearest stage before this one that makes the artifact of a type and a name.
    pub(crate) fn maker_for(&self, stage: &Stage, what: What, name: &str) -> Option<&StageName> {
        let makes = |stage: &&Stage| {
            let mut made = stage.makes().into_iter();
            made.any(|made| made.what == what && made.name == name)
        };
        self.stages.before(stage).find(makes).map(|it| &it.name)
    }

    /// The nearest stage before this one that has scored the same student, and its artifact.
    pub(crate) fn scores_for(&self, stage: &Stage) -> Option<(&StageName, &'static str)> {
        let model = |stage: &Stage, role| self.origin_of(stage, role).map(|found| found.value);
        let student = model(stage, Role::Student)?;
        self.stages.before(stage).find_map(|earlier| {
            let mut made = earlier.makes().into_iter();
            let of_student = made.find(|made| {
                matches!(made.what, What::Scores { of } if model(earlier, of).as_ref() == Some(&student))
            });
            Some((&earlier.name, of_student?.name))
        })
    }

    /// Stages whose artifacts a stage reads, in pipeline order.
    pub fn depends_on(&self, stage: &Stage) -> Vec<StageName> {
        let mut found: Vec<StageName> = Vec::new();
        for port in stage.ports(&self.task) {
            let from = match port.wants {
                Wants::Rows(name) => self.rows_for(stage, name).cloned(),
                Wants::Predictions(name) => self.maker_for(stage, What::Predictions, name).cloned(),
                Wants::Text => stage.preparation.clone(),
                Wants::Model(model) => {
                    match self.connect(stage, model).map(|it| it.value.whole()) {
                        Some(Origin::Stage(name)) => Some(name),
                        _ => None,
                    }
                }
                Wants::Scores => self.scores_for(stage).map(|(name, _)| name.clone()),
                Wants::Files(_) | Wants::OneFile(_) | Wants::Records(..) | Wants::Tokenizer => None,
            };
            found.extend(from.filter(|name| !found.contains(name)));
        }
        found.sort_by_key(|name| self.stages.position(name.as_str()));
        found
    }

    /// Whether a stage cannot begin before another one is done.
    pub(crate) fn is_after(&self, stage: &Stage, other: &StageName) -> bool {
        let before = self.depends_on(stage);
        before.contains(other)
            || before.iter().any(|name| {
                let stage = self.stages.get(name.as_str());
                stage.is_some_and(|stage| self.is_after(stage, other))
            })
    }

    /// The last stage that scores models, of a student where one of them does: its scores stand for the
    /// experiment's.
    pub fn final_scoring(&self) -> Option<&StageName> {
        let scores = |stage: &&Stage| stage.makes().iter().any(|made| made.what.is_scores());
        let mut scoring = self.stages.iter().rev().filter(scores).peekable();
        let last = scoring.peek().map(|stage| &stage.name);
        let of_student = scoring.find(|stage| self.origin_of(stage, Role::Student).is_some());
        of_student.map(|stage| &stage.name).or(last)
    }

    /// The seed that a stage draws from.
    pub fn seed_of(&self, stage: &Stage) -> u64 {
        let training: Option<&Training> = stage.get();
        training.and_then(|found| found.seed).unwrap_or(self.seed)
    }
}

/// The `student` or `teacher` key of a stage, or its first teacher of several.
pub(super) fn source_key(stage: &Stage, role: Role) -> Option<&Located<ModelSource>> {
    port_key(stage, ModelPort::used(role))
}

/// What a stage says of the model of a port.
pub(super) fn port_key(stage: &Stage, port: ModelPort) -> Option<&Located<ModelSource>> {
    match port.of {
        Role::Student => stage.get::<StudentSource>()?.student.as_ref(),
        Role::Teacher => {
            let own = || stage.get::<TeacherSource>()?.teacher.as_ref();
            let several = stage.get::<Teachers>();
            several.and_then(|it| it.nth(port.nth)).or_else(own)
        }
    }
}

fn as_origin(source: &Located<ModelSource>) -> Located<Origin> {
    source.clone().map(|source| match source {
        ModelSource::Stage(stage) => Origin::Stage(stage),
        ModelSource::Folder(folder) => Origin::Folder(folder),
        ModelSource::Random => Origin::Random,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, pipeline, read, read_with};
    use super::*;

    fn origin(experiment: &Experiment, stage: &str, role: Role) -> Option<Located<Origin>> {
        experiment.origin_of(experiment.stages.get(stage)?, role)
    }

    fn student(experiment: &Experiment, stage: &str) -> Option<Origin> {
        origin(experiment, stage, Role::Student).map(|origin| origin.value)
    }

    fn teacher(experiment: &Experiment, stage: &str) -> Option<Origin> {
        origin(experiment, stage, Role::Teacher).map(|origin| origin.value)
    }

    fn made_by(stage: &str) -> Origin {
        Origin::Stage(StageName::new(stage))
    }

    fn folder(path: &str) -> Origin {
        Origin::Folder(path.to_owned())
    }

    #[test]
    fn a_stage_takes_the_nearest_earlier_student_and_the_fine_tuned_teacher() {
        let experiment = read(&pipeline());
        let drawn = Some(Origin::Random);
        assert_eq!(student(&experiment, "general-distill"), drawn);
        assert_eq!(
            student(&experiment, "td-phase1"),
            Some(made_by("general-distill"))
        );
        assert_eq!(
            student(&experiment, "td-phase2"),
            Some(made_by("td-phase1"))
        );
        assert_eq!(student(&experiment, "eval"), Some(made_by("td-phase2")));
        assert_eq!(student(&experiment, "finetune"), None);
        let given = Some(folder("models/teacher"));
        assert_eq!(teacher(&experiment, "finetune"), given);
        assert_eq!(teacher(&experiment, "general-distill"), given);
        assert_eq!(teacher(&experiment, "td-phase1"), Some(made_by("finetune")));
        let depends_on =
            |stage: &str| experiment.depends_on(experiment.stages.get(stage).expect("there"));
        assert_eq!(depends_on("general-distill"), ["corpus-prep"]);
        let expected = ["data-prep", "finetune", "general-distill"];
        assert_eq!(depends_on("td-phase1"), expected);
        assert_eq!(depends_on("eval"), ["data-prep", "finetune", "td-phase2"]);
    }

    #[test]
    fn a_second_stage_of_a_kind_goes_on_from_the_first() {
        let sets = ["stages.td-phase2-hot={ kind = \"td-phase2\", temperature = 2 }"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        assert_eq!(
            student(&experiment, "td-phase2"),
            Some(made_by("td-phase1"))
        );
        assert_eq!(
            student(&experiment, "td-phase2-hot"),
            Some(made_by("td-phase2"))
        );
        assert_eq!(student(&experiment, "eval"), Some(made_by("td-phase2-hot")));
    }

    #[test]
    fn each_general_distillation_has_its_own_text() {
        let sets = ["stages.more={ kind = \"general-distill\", corpus = [\"b.txt\"] }"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let depends_on = |stage: &str| experiment.depends_on(experiment.stages.get(stage).unwrap());
        assert_eq!(depends_on("general-distill"), ["corpus-prep"]);
        assert_eq!(depends_on("more"), ["more-corpus", "general-distill"]);
        assert_eq!(student(&experiment, "td-phase1"), Some(made_by("more")));
    }

    #[test]
    fn a_given_student_stands_in_for_stages_that_are_left_out() {
        let sets = [
            "student.model=models/small",
            "stages.td-phase2={}",
            "stages.eval={}",
        ];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        let found = origin(&experiment, "td-phase2", Role::Student).unwrap();
        assert_eq!(Some(found.value), Some(folder("models/small")));
        assert_eq!(found.span.unwrap().source, 1);
        assert_eq!(
            teacher(&experiment, "td-phase2"),
            Some(folder("models/teacher"))
        );
    }

    #[test]
    fn with_no_student_the_teacher_is_scored_alone() {
        let experiment = read_with(MINIMAL, &["stages.eval={}", "stages.finetune={}"]).unwrap();
        assert_eq!(student(&experiment, "eval"), None);
    }

    #[test]
    fn a_student_that_never_got_a_classifier_is_not_scored() {
        let sets = ["stages.eval={}", "stages.td-phase1={}", "student.model=m/s"];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        assert_eq!(student(&experiment, "eval"), None);
        let experiment = read_with(MINIMAL, &[sets[0], sets[2]]).unwrap();
        assert!(student(&experiment, "eval").is_some());
    }
}
