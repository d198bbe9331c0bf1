//! Several teachers of one stage: `teachers`, their weights and their mean.

use toml::Value;

use super::ports::{ModelPort, Port, Role, TEACHER_ROLES};
use super::schema::ModelSource;
use super::setting::{At, Setting, above_zero_to, choices};
use super::settings::{key, settings};
use super::sources::source_of;
use super::stage_settings::StageSettings;
use crate::document::{Fault, Located, Section};
use crate::job::TeacherMean;

choices! { TeacherMean }

settings! {
    /// The teachers of a stage that learns from the mean of several.
    pub struct Teachers(stage, none: ()) titled "Several teachers" checked by check_keys {
        /// Teachers to distill from, whose mean is the target: earlier stages that train a
        /// classifier, and folders of models with a classifier for the task's classes. Each passes
        /// the teacher check by itself, and its outputs are cached by themselves.
        // Models are inputs, or results of earlier stages.
        recorded teachers: Option<Located<Vec<Located<ModelSource>>>> =
            key("teachers")
                .kind_text("list of stage names, or paths with a `/`")
                .range_text("1 to 8, each once; not beside `teacher` or `teacher-predictions`")
                .default_text("one teacher: `teacher`");
        /// Weights of the teachers in the mean, in their order. They are divided by their sum.
        counts teacher_weights: Option<Located<Vec<f64>>> =
            key("teacher-weights")
                .range(above_zero_to(1e6))
                .counted_as(other_than_equal)
                .range_text("with `teachers`; greater than 0, one per teacher")
                .default_text("equal weights");
        /// Mean of the teachers' logits, or of their probabilities at `temperature`. A regression
        /// has the mean of the values.
        counts teacher_mean: Located<TeacherMean> =
            key("teacher-mean")
                .unless(TeacherMean::Logits)
                .written_if(is_no_default)
                .range_text("with `teachers`; `probabilities` not for a regression"),
            default TeacherMean::Logits;
    }
}

impl Setting for Vec<Located<ModelSource>> {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let list = at.section.strings(at.key)?;
        let sources = |list: Vec<Located<String>>| {
            let sources = list.into_iter();
            sources.map(|word| word.map(source_of)).collect()
        };
        Some(list.map(sources))
    }

    fn value(&self) -> Value {
        Value::Array(self.iter().map(|source| source.value.value()).collect())
    }

    fn kind((): &()) -> String {
        "list of strings".to_owned()
    }
}

impl Teachers {
    /// Weights that sum to 1; `None` with one teacher as by default.
    pub(crate) fn shares(&self) -> Option<Vec<f64>> {
        let count = self.teachers.as_ref()?.len();
        let equal = || vec![1.0; count];
        let weights = self.teacher_weights.as_ref();
        let weights = weights.map_or_else(equal, |list| list.value.clone());
        (count > 1).then(|| normalized(&weights))
    }

    /// Names of several, as the user wrote them; `None` with one teacher as by default.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let list = self.teachers.as_ref().filter(|list| list.len() > 1)?;
        Some(list.iter().map(|source| shown(&source.value)).collect())
    }

    /// One of the list, by its place.
    pub(super) fn nth(&self, nth: usize) -> Option<&Located<ModelSource>> {
        self.teachers.as_ref()?.get(nth)
    }
}

/// Written out as the default it would stand without the list that it needs.
fn is_no_default(mean: &Located<TeacherMean>) -> bool {
    mean.span.is_some() || mean.value != TeacherMean::Logits
}

fn normalized(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Equal weights spelt out are the default.
#[expect(clippy::ptr_arg, reason = "the type of the key's value")]
fn other_than_equal(list: &Vec<f64>) -> Option<Value> {
    let first = list.first()?;
    let differs = list.iter().any(|weight| (weight - first).abs() > 0.0);
    differs.then(|| normalized(list).value())
}

/// Keys that are right by themselves and wrong beside each other.
fn check_keys(found: &Teachers, stage: &Section<'_>) {
    let Some(teachers) = &found.teachers else {
        for key in ["teacher-weights", "teacher-mean"] {
            if stage.has(key) && !stage.has("teachers") {
                let message = format!("{} needs `teachers`", stage.name(key));
                stage.unfit(Fault::new(message, stage.key_span(key)));
            }
        }
        return;
    };
    let unfit = |message: String, span| stage.unfit(Fault::new(message, span));
    let name = stage.name("teachers");
    if teachers.is_empty() {
        unfit(format!("{name} is an empty list"), teachers.span.clone());
    }
    let most = TEACHER_ROLES.len();
    if teachers.len() > most {
        let message = format!("{name} has {} entries, at most {most} fit", teachers.len());
        unfit(message, teachers.span.clone());
    }
    for (place, teacher) in teachers.iter().enumerate() {
        let mut before = teachers[..place].iter();
        if before.any(|other| is_same(&other.value, &teacher.value)) {
            let word = shown(&teacher.value);
            let message = format!("{name} has `{word}` twice");
            let fault = Fault::new(message, teacher.span.clone());
            let hint = "name each teacher once, and set `teacher-weights` to give it more weight";
            stage.unfit(fault.with_hint(hint.to_owned()));
        }
    }
    let weights = found.teacher_weights.as_ref();
    if let Some(weights) = weights.filter(|list| list.len() != teachers.len()) {
        let (found, wanted) = (weights.len(), teachers.len());
        let message = format!(
            "{} has {found} entries, expected {wanted}",
            stage.name("teacher-weights")
        );
        let fault = Fault::new(message, weights.span.clone());
        stage.unfit(fault.with_label("expected one weight per teacher"));
    }
}

/// As the user may have written it.
fn shown(source: &ModelSource) -> String {
    match source.value() {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

fn is_same(one: &ModelSource, other: &ModelSource) -> bool {
    let plain = |path: &str| {
        path.trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned()
    };
    match (one, other) {
        (ModelSource::Folder(one), ModelSource::Folder(other)) => plain(one) == plain(other),
        (one, other) => one == other,
    }
}

impl Port {
    /// The teachers of a stage of these keys, whose classifiers are used: one, or several.
    pub(crate) fn teachers(keys: &dyn StageSettings) -> Vec<Self> {
        let several = keys.get::<Teachers>().and_then(|own| own.teachers.as_ref());
        // A list that is empty or too long was reported.
        let count = several.map_or(1, |list| list.len().clamp(1, TEACHER_ROLES.len()));
        let teacher = ModelPort::used(Role::Teacher).with_classifier();
        let ports = (0..count).map(|nth| ModelPort { nth, ..teacher }.port());
        ports.collect()
    }
}
