//! Whether the models that an experiment names fit the data, the tokenizer and each other.

use super::{Check, PAIR, windows_of_pairs};
use crate::document::{Fault, Located, Span};
use crate::experiment::check::{lengths, trains};
use crate::experiment::origin::{Origin, port_key};
use crate::experiment::ports::Role;
use crate::experiment::stage::Stage;
use crate::experiment::stage_keys::Corpus;
use crate::experiment::top::Experiment;
use crate::model::config::BertConfig;

impl Check<'_> {
    /// The models of `[teacher]` and `[student]`.
    pub(super) fn own_models(&mut self) {
        let experiment = self.experiment;
        if experiment.has_teacher() {
            let teacher = &experiment.teacher.model;
            check_config("teacher", self.teacher, teacher, &mut self.faults);
            check_lengths(experiment, "teacher", self.teacher, &mut self.faults);
            self.segments("teacher", self.teacher, teacher.span.as_ref());
        }
        self.shape();
        if let Some(model) = &experiment.student.model {
            check_config("student", self.student, model, &mut self.faults);
            if trains(experiment, Role::Student) {
                check_lengths(experiment, "student", self.student, &mut self.faults);
                self.vocabulary("student", self.student, model.span.as_ref());
                self.segments("student", self.student, model.span.as_ref());
            }
        }
    }

    /// The folders that a stage names for itself.
    pub(super) fn folders_of(&mut self, stage: &Stage) {
        let experiment = self.experiment;
        if !stage.has_table {
            return;
        }
        for (port, origin) in experiment.models_of(stage) {
            let (Some(_), Origin::Folder(folder)) = (port_key(stage, port), &origin.value) else {
                continue;
            };
            let (span, role) = (&origin.span, port.of);
            let Some(config) = self.folders.get(folder.as_str()).copied() else {
                continue;
            };
            let whose = format!("{} of `{}`", role.as_str(), stage.name);
            self.vocabulary(&whose, config, span.as_ref());
            let place = match stage.get::<Corpus>() {
                Some(_) => format!("stages.{}", stage.name),
                None => "task".to_owned(),
            };
            let positions = config.longest_input();
            for (of, length) in lengths(experiment) {
                if of == place && length.value > positions {
                    let message = format!(
                        "the {whose} has {positions} positions, `max-seq-length` in `[{of}]` is {}",
                        length.value
                    );
                    self.faults.push(Fault::new(message, span.clone()));
                }
            }
        }
    }

    /// Text is cut by the tokenizer of `[teacher]`: whoever reads it knows the same tokens.
    fn vocabulary(&mut self, whose: &str, config: &BertConfig, span: Option<&Span>) {
        let (own, wanted) = (config.vocab_size, self.teacher.vocab_size);
        if own != wanted {
            let message =
                format!("the {whose} has a vocabulary of {own} tokens, `[teacher]` has {wanted}");
            let fault = Fault::new(message, span.cloned());
            self.faults
                .push(fault.with_label("both must have the same vocabulary"));
        }
    }

    /// Pairs come in two segments.
    fn segments(&mut self, whose: &str, config: &BertConfig, span: Option<&Span>) {
        if !config.family.token_types || config.type_vocab_size >= PAIR {
            return;
        }
        let (pairs, found) = if let Some(pair) = &self.experiment.task.pair {
            ("pair tasks need two", pair.span.clone())
        } else if let Some(windows) = windows_of_pairs(self.experiment) {
            ("windows of pairs need two", windows.span.clone())
        } else {
            return;
        };
        let message = format!("the {whose} has one segment, {pairs}");
        let fault = Fault::new(message, span.cloned().or(found));
        self.faults
            .push(fault.with_label("`type-vocab-size` is 1, expected at least 2"));
    }

    /// Sizes of `[student]` that the teacher or the data bound.
    fn shape(&mut self) {
        let shape = &self.experiment.student.shape;
        if let Some(size) = &shape.vocab_size
            && size.value < self.teacher.vocab_size
        {
            let wanted = self.teacher.vocab_size;
            let message = format!(
                "`vocab-size` in `[student]` is {}, the teacher has {wanted} tokens",
                size.value
            );
            let fault = Fault::new(message, size.span.clone());
            self.faults
                .push(fault.with_label(format!("expected at least {wanted}")));
        }
        let pads = |pad: &usize| *pad != self.teacher.pad_token_id;
        if let Some(pad) = self.student.family.pad().filter(pads) {
            let title = self.student.family.title;
            let message = format!(
                "a student of the family {title} has the padding token {pad}, the teacher has {}",
                self.teacher.pad_token_id
            );
            let fault = Fault::new(message, self.experiment.teacher.model.span.clone());
            let hint = "use a student of the family `bert`, which takes any".to_owned();
            self.faults.push(fault.with_hint(hint));
        }
        if let Some(size) = &shape.type_vocab_size {
            self.segments("student", self.student, size.span.as_ref());
        }
    }
}

fn check_config(role: &str, config: &BertConfig, model: &Located<String>, faults: &mut Vec<Fault>) {
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    if heads == 0 || !hidden.is_multiple_of(heads) {
        let message = format!(
            "the {role}'s `config.json` is inconsistent: hidden size {hidden} is not a multiple of {heads} heads"
        );
        faults.push(Fault::new(message, model.span.clone()));
    }
    if config.num_hidden_layers == 0 {
        let message = format!("the {role}'s `config.json` has no layers");
        faults.push(Fault::new(message, model.span.clone()));
    }
}

fn check_lengths(
    experiment: &Experiment,
    role: &str,
    config: &BertConfig,
    faults: &mut Vec<Fault>,
) {
    let positions = config.longest_input();
    for (place, length) in lengths(experiment) {
        if length.value > positions {
            let message = format!(
                "`max-seq-length` {} in `[{place}]` exceeds the {positions} positions of the {role}",
                length.value
            );
            let span = length.span.clone();
            let span = span.or_else(|| experiment.teacher.model.span.clone());
            faults.push(Fault::new(message, span).with_hint(format!("use at most {positions}")));
        }
    }
}
