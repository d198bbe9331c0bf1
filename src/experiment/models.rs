//! Checks that take the models' `config.json`: whoever has read them calls these, still
//! before anything runs.

mod compared;
mod named;
mod student;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::compared::Pair;
use self::student::student;
use super::origin::Origin;
use super::ports::Role;
use super::schema::WindowForm;
use super::stage_keys::Corpus;
use super::stage_name::StageName;
use super::top::Experiment;
use crate::document::{Fault, Located};
use crate::job::LayerMap;
use crate::model::config::BertConfig;

/// Segments of a pair of texts.
const PAIR: usize = 2;

/// What the experiment's models come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Layers that the intermediate losses of a stage compare, for the stages that have them.
    pub layer_maps: BTreeMap<StageName, LayerMap>,
    /// Relation heads of the stages that compare relations.
    pub relation_heads: BTreeMap<StageName, usize>,
    /// Shape of the model of `[teacher]`; without one that of the model whose tokenizer cuts the text.
    pub teacher: BertConfig,
    /// Shape of the student. Label names are not in it yet.
    pub student: BertConfig,
}

/// Checks the experiment against the models it names: `folders` holds the `config.json` of
/// every folder that could be read, under the path as written.
///
/// # Errors
///
/// Every fault found, at the key that could be changed to mend it. None where the folder of
/// `[teacher]` or `[student]` is not among `folders`: that was told already.
pub fn check_models(
    experiment: &Experiment,
    folders: &BTreeMap<&str, &BertConfig>,
) -> Result<Models, Vec<Fault>> {
    let config = |model: &Located<String>| folders.get(model.as_str()).copied();
    let teacher = config(experiment.tokenizer_model()).ok_or_else(Vec::new)?;
    let student = student(experiment, teacher, config)?;
    let mut check = Check {
        experiment,
        folders,
        teacher,
        student: &student,
        seen: Vec::new(),
        layer_maps: BTreeMap::new(),
        relation_heads: BTreeMap::new(),
        faults: Vec::new(),
    };
    check.own_models();
    for stage in &experiment.stages {
        check.folders_of(stage);
        check.compared(stage);
    }
    if !check.faults.is_empty() {
        return Err(check.faults);
    }
    Ok(Models {
        layer_maps: check.layer_maps,
        relation_heads: check.relation_heads,
        teacher: teacher.clone(),
        student,
    })
}

/// The `windows` of a stage whose examples are pairs of texts.
pub(crate) fn windows_of_pairs(experiment: &Experiment) -> Option<&Located<WindowForm>> {
    let stages = experiment.stages.with::<Corpus>();
    let mut windows = stages.map(|(_, corpus)| &corpus.windows);
    windows.find(|windows| windows.is_pairs())
}

/// A check in progress.
struct Check<'a> {
    experiment: &'a Experiment,
    folders: &'a BTreeMap<&'a str, &'a BertConfig>,
    /// The model of `[teacher]`.
    teacher: &'a BertConfig,
    /// The model, or the shape, of `[student]`.
    student: &'a BertConfig,
    /// Pairs of models that were compared.
    seen: Vec<Pair>,
    layer_maps: BTreeMap<StageName, LayerMap>,
    relation_heads: BTreeMap<StageName, usize>,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// Shape of a stage's student or teacher; `None` for a folder that could not be read.
    fn config(&self, origin: Option<Located<Origin>>) -> Option<BertConfig> {
        match origin?.value {
            Origin::Folder(folder) => self.folders.get(folder.as_str()).copied().cloned(),
            // Layers are kept of what `[student]` names alone.
            Origin::Random | Origin::Layers { .. } => Some(self.student.clone()),
            Origin::Stage(name) => {
                let stage = self.experiment.stages.get(name.as_str())?;
                match stage.makes_model_of()? {
                    Role::Teacher => Some(self.teacher.clone()),
                    // Reading the file has refused cycles.
                    Role::Student => self.config(self.experiment.origin_of(stage, Role::Student)),
                }
            }
        }
    }
}
