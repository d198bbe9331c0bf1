//! What is trained and what it learns from, loaded or initialised.

mod start;
mod teachers;

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Tensor, no_grad};
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{Keep, Objective, PadTo, Reduction, Teacher as TeacherSpec, Train};
use tinyrun_base::model::BertConfig;

use self::start::{fill, fill_projections, own_parameters};
use self::teachers::{open_teacher, own_rows};
use crate::batch::Amounts;
use crate::checkpoint::{Best, Checkpoints};
use crate::device::Compute;
use crate::encoder::{Classifier, Encoder, Linear, Wanted, layout};
use crate::error::KernelError;
use crate::flops::forward;
use crate::folder::{is_projection, write_folder, written_kind};
use crate::objective::Student;
use crate::parameters::Parameters;
use crate::score::scoring_model;
use crate::seed::Seed;
use crate::target::Teacher;

/// The model being trained, the teacher it learns from, and the parameters of the former.
#[derive(Debug)]
pub(crate) struct Trainee {
    /// What is trained, as fp32 leaves.
    pub(crate) parameters: Parameters,
    pub(crate) student: Student,
    /// In the order of the job.
    pub(crate) teachers: Vec<Teacher>,
    /// The rows of each teacher whose tokenizer cuts others than the student's.
    pub(crate) rows_of_teachers: Vec<Option<TokenStore>>,
    /// Shape of the student.
    config: BertConfig,
    /// Shapes of the teachers as far as they are run.
    teacher_configs: Vec<BertConfig>,
    /// How the rows of a batch are laid out for all.
    pub(crate) layout: PadTo,
    warnings: Vec<String>,
}

impl Trainee {
    /// Loads or initialises everything that the job names.
    ///
    /// # Errors
    /// Unreadable or contradictory model folders, models that do not fit the data.
    pub(crate) fn load(
        train: &Train,
        data: &TokenStore,
        compute: Compute,
        seed: Seed,
    ) -> Result<Self, KernelError> {
        let mut warnings = Vec::new();
        let spec = &train.student;
        let with_head = !matches!(train.objective, Objective::Intermediate { .. });
        // A regression has one output.
        let classes = spec.labels.len().max(1);
        let needs_head = with_head.then_some(classes);
        let mut parameters = own_parameters(train, data, needs_head, &mut warnings)?;
        fill(&mut parameters, spec, needs_head, seed);

        let rows = train.teachers().map(|spec| own_rows(spec, data));
        let rows_of_teachers: Vec<Option<TokenStore>> = rows.collect::<Result<_, _>>()?;
        let opened = train.teachers().zip(&rows_of_teachers);
        let opened = opened.map(|(spec, own)| {
            let data = own.as_ref().unwrap_or(data);
            open_teacher(train, spec, needs_head, data, &mut warnings)
        });
        let opened: Vec<(BertConfig, Parameters)> = opened.collect::<Result<_, _>>()?;
        let (teacher_configs, of_teachers): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let projections = match teacher_configs.first() {
            Some(config) => fill_projections(train, &mut parameters, config, seed, &mut warnings)?,
            None => Vec::new(),
        };

        let parameters = parameters.trainable(compute.device);
        let layout = common_layout(train, &teacher_configs, compute);
        let teachers = train.teachers().zip(&teacher_configs).zip(of_teachers);
        let teachers = teachers.map(|((spec, config), weights)| {
            teacher_of(spec, config, weights, with_head, (compute, layout))
        });
        let teachers = teachers.collect();
        let student = Student {
            encoder: Encoder::trained(&parameters, &spec.config, compute.kind, layout),
            classifier: with_head.then(|| Classifier::new(&parameters, &spec.config, spec.head)),
            projections: projections
                .iter()
                .map(|name| Linear::new(&parameters, name))
                .collect(),
        };
        Ok(Self {
            layout,
            parameters,
            student,
            teachers,
            rows_of_teachers,
            config: spec.config.clone(),
            teacher_configs,
            warnings,
        })
    }

    /// What was noticed while loading.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Parameters of the model itself, without the projection that only training needs.
    pub(crate) fn model_parameters(&self) -> u64 {
        let numel = |(_, tensor): (&str, &Tensor)| tensor.numel() as u64;
        self.parameters
            .iter()
            .filter(|(name, _)| !is_projection(name))
            .map(numel)
            .sum()
    }

    /// Frees the teachers, whose outputs are cached.
    pub(crate) fn dismiss_teachers(&mut self) {
        self.teachers.clear();
        self.teacher_configs.clear();
    }

    /// Operations that a step needs for rows: a forward pass of each teacher; of the student and its projections a
    /// forward and a backward pass, which counts twice.
    pub(crate) fn flops(&self, amounts: Amounts) -> f64 {
        let of = |config: &BertConfig| forward(config, amounts, self.student.classifier.is_some());
        let width = self.config.hidden_size as f64;
        // Each hidden state once more to the teacher's width.
        let projections = self.student.projections.iter().map(|projection| {
            let outs = projection.trained().1.numel() as f64;
            2.0 * amounts.tokens as f64 * width * outs
        });
        let trained = of(&self.config) + projections.sum::<f64>();
        self.teacher_configs.iter().map(of).sum::<f64>() + 3.0 * trained
    }

    /// Names and tensors as they are now.
    pub(crate) fn named_tensors(&self) -> Vec<(String, &Tensor)> {
        self.parameters
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .collect()
    }

    /// The trained model as it will be scored once it is written: in the number format of its
    /// file, computed in fp32.
    pub(crate) fn scoring_model(&self, train: &Train, device: Device) -> (Encoder, Classifier) {
        let written = written_kind(train.student.dtype);
        let rounded = |tensor: &Tensor| no_grad(|| tensor.detach().to_kind(written));
        let model = self
            .parameters
            .iter()
            .filter(|(name, _)| !is_projection(name))
            .map(|(name, tensor)| (name.to_owned(), rounded(tensor)));
        let parameters = Parameters::new(model.collect());
        scoring_model(parameters, &self.config, train.student.head, device)
    }

    /// Writes `model/`, the model handed on, and `last/` where a dev set was scored.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn write(
        &self,
        train: &Train,
        output: &Path,
        best: Option<&Best>,
        checkpoints: &Checkpoints,
    ) -> Result<(), KernelError> {
        let last: BTreeMap<String, Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
            .collect();
        let selection = train.selection.as_ref();
        let keeps_best = selection.is_some_and(|selection| selection.scoring.keep == Keep::Best);
        let handed_on = match best.filter(|_| keeps_best) {
            Some(best) => &checkpoints.best(best.step)?,
            None => &last,
        };
        write_folder(train, &output.join("model"), handed_on)?;
        if selection.is_some() {
            write_folder(train, &output.join("last"), &last)?;
        }
        Ok(())
    }
}

/// How the rows of a batch are laid out: as the job says, where all models are able to and no loss is over the padded
/// block.
fn common_layout(train: &Train, teachers: &[BertConfig], compute: Compute) -> PadTo {
    let over_the_block = matches!(
        train.objective,
        Objective::Intermediate {
            reduction: Reduction::Block,
            ..
        }
    );
    let of = |pad_to, config| layout(pad_to, config, compute.kind, compute.device);
    let asked = match train.data.pad_to {
        PadTo::None if over_the_block => PadTo::Longest,
        pad_to => pad_to,
    };
    let students = of(asked, &train.student.config);
    teachers.iter().fold(students, of)
}

/// A teacher for batches of a layout.
fn teacher_of(
    spec: &TeacherSpec,
    config: &BertConfig,
    parameters: Parameters,
    with_head: bool,
    (compute, layout): (Compute, PadTo),
) -> Teacher {
    let frozen = parameters.frozen(compute.device, compute.kind);
    let wanted = if with_head {
        Wanted::First
    } else {
        Wanted::Everything
    };
    Teacher {
        encoder: Encoder::frozen(&frozen, config, compute.kind, wanted, layout),
        classifier: with_head.then(|| Classifier::new(&frozen, config, spec.head)),
        dropout: spec.dropout,
    }
}
