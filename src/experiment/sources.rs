//! `student` and `teacher` of a stage.

use toml::Value;

use super::schema::{ModelSource, RANDOM};
use super::setting::{At, Setting};
use super::settings::{key, settings};
use super::stage_name::StageName;
use crate::document::Located;

settings! {
    /// Models that a stage reads; the nearest earlier ones where `None`.
    pub struct Sources(stage, none: ()) titled "Stages that read models" {
        /// The student.
        group student: StudentSource = &();
        /// The teacher.
        group teacher: TeacherSource = &();
    }
}

settings! {
    /// The student that a stage reads.
    pub struct StudentSource(stage, none: ()) {
        /// Student to start from, to evaluate or to export.
        // Models are inputs, or results of earlier stages.
        recorded student: Option<Located<ModelSource>> =
            key("student")
                .kind_text("stage name, path with a `/`, or (training stages) `random`")
                .default_text("the nearest earlier student");
    }
}

settings! {
    /// The teacher that a stage reads.
    pub struct TeacherSource(stage, none: ()) {
        /// Teacher to distill from or to evaluate.
        recorded teacher: Option<Located<ModelSource>> =
            key("teacher").default_text(
                "the fine-tuned teacher; in `general-distill` that of `[teacher]`",
            );
    }
}

/// What a word of a key names.
pub(super) fn source_of(word: String) -> ModelSource {
    match word.as_str() {
        RANDOM => ModelSource::Random,
        path if path.contains(['/', '\\', '.']) => ModelSource::Folder(word),
        name => ModelSource::Stage(StageName::new(name)),
    }
}

/// A stage's name, a folder or `random`: a path has a character that no stage's name has. Whether
/// there is such a stage is seen once all have been read (`source_check.rs`).
impl Setting for ModelSource {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let (section, key) = (at.section, at.key);
        Some(section.string(key)?.map(source_of))
    }

    fn value(&self) -> Value {
        match self {
            Self::Stage(stage) => stage.as_str().into(),
            Self::Folder(folder) => folder.as_str().into(),
            Self::Random => RANDOM.into(),
        }
    }

    fn kind((): &()) -> String {
        "stage name, or path with a `/`".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{pipeline, read_with};
    use super::*;

    #[test]
    fn random_weights_are_a_student_where_one_is_trained_and_nowhere_else() {
        let student = |stage: &str| read_with(&pipeline(), &[&format!("{stage}=random")]);
        let phase1 = student("stages.td-phase1.student").unwrap();
        let source: &StudentSource = phase1.stages.get("td-phase1").unwrap().keys();
        let named = source.student.as_ref();
        assert_eq!(named.unwrap().value, ModelSource::Random);
        for elsewhere in ["stages.eval.student", "stages.td-phase1.teacher"] {
            let faults = student(elsewhere).unwrap_err().to_string();
            assert!(faults.contains("unknown stage `random`"), "{faults}");
        }
    }

    #[test]
    fn a_source_is_a_stage_or_a_folder_and_a_bare_word_is_a_misspelt_stage() {
        let source = |word: &str| {
            let set = format!("stages.td-phase2.student={word}");
            read_with(&pipeline(), &[&set]).map(|experiment| {
                let source: &StudentSource = experiment.stages.get("td-phase2").unwrap().keys();
                source.student.clone().unwrap().value
            })
        };
        assert_eq!(
            source("general-distill").unwrap(),
            ModelSource::Stage(StageName::new("general-distill"))
        );
        let folder = "models/general-distill";
        assert_eq!(
            source(folder).unwrap(),
            ModelSource::Folder(folder.to_owned())
        );
        let faults = source("genral-distill").unwrap_err();
        assert_eq!(
            faults.to_string(),
            "--set:1:26: unknown stage `genral-distill`"
        );
        assert_eq!(
            faults.faults[0].hint.as_deref(),
            Some("did you mean `general-distill`?")
        );
    }
}
