//! Checks that take the models' `config.json`: whoever has read them calls these, still
//! before anything runs.

use super::check::{lengths, map_length_faults};
use super::fault::Fault;
use super::schema::{Experiment, LayerMapRule};
use super::span::Located;
use crate::job::LayerMap;
use crate::model::config::BertConfig;

/// What the experiment's models come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Layers that the intermediate losses compare; `None` without a stage that has them.
    pub layer_map: Option<LayerMap>,
    /// Shape of the student. Label names are not in it yet.
    pub student: BertConfig,
}

/// Checks the experiment against the teacher of `[teacher]` and, where it is given, the
/// model of `[student]`.
///
/// # Errors
///
/// Every fault found, at the key that could be changed to mend it.
pub fn check_models(
    experiment: &Experiment,
    teacher: &BertConfig,
    student_model: Option<&BertConfig>,
) -> Result<Models, Vec<Fault>> {
    let stages = &experiment.stages;
    let intermediate = stages.general_distill.is_some() || stages.td_phase1.is_some();
    let distils = intermediate || stages.td_phase2.is_some();
    let student = student_model
        .cloned()
        .unwrap_or_else(|| from_shape(experiment, teacher));
    let mut faults = Vec::new();
    check_config("teacher", teacher, &experiment.teacher.model, &mut faults);
    check_lengths(experiment, "teacher", teacher, &mut faults);
    if let (Some(config), Some(model)) = (student_model, &experiment.student.model) {
        check_config("student", config, model, &mut faults);
        if distils {
            check_lengths(experiment, "student", config, &mut faults);
            check_vocabulary(config, teacher, model, &mut faults);
        }
    }
    let mut layer_map = None;
    if intermediate {
        check_heads(experiment, &student, teacher, &mut faults);
        let layers = (teacher.num_hidden_layers, student.num_hidden_layers);
        match resolve_layer_map(experiment, layers.0, layers.1) {
            Ok(map) => layer_map = Some(map),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() {
        Ok(Models { layer_map, student })
    } else {
        Err(faults)
    }
}

/// Shape of `[student]`, with vocabulary, segments and padding id of the teacher.
fn from_shape(experiment: &Experiment, teacher: &BertConfig) -> BertConfig {
    let shape = &experiment.student.shape;
    BertConfig {
        vocab_size: teacher.vocab_size,
        hidden_size: *shape.hidden_size,
        num_hidden_layers: *shape.num_hidden_layers,
        num_attention_heads: *shape.num_attention_heads,
        intermediate_size: *shape.intermediate_size,
        hidden_act: shape.hidden_act.clone(),
        hidden_dropout_prob: shape.hidden_dropout_prob,
        attention_probs_dropout_prob: shape.attention_probs_dropout_prob,
        max_position_embeddings: *shape.max_position_embeddings,
        type_vocab_size: teacher.type_vocab_size,
        initializer_range: shape.initializer_range,
        layer_norm_eps: shape.layer_norm_eps,
        pad_token_id: teacher.pad_token_id,
        id2label: std::collections::BTreeMap::new(),
        tinyrun_head: None,
    }
}

fn check_config(role: &str, config: &BertConfig, model: &Located<String>, faults: &mut Vec<Fault>) {
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    if heads == 0 || !hidden.is_multiple_of(heads) {
        let message = format!(
            "the {role}'s `config.json` contradicts itself: hidden size {hidden} is no multiple of {heads} heads"
        );
        faults.push(Fault::new(message, model.span.clone()));
    }
    if config.num_hidden_layers == 0 {
        let message = format!("the {role}'s `config.json` says that it has no layers");
        faults.push(Fault::new(message, model.span.clone()));
    }
}

fn check_lengths(
    experiment: &Experiment,
    role: &str,
    config: &BertConfig,
    faults: &mut Vec<Fault>,
) {
    let positions = config.max_position_embeddings;
    for (place, length) in lengths(experiment) {
        if length.value > positions {
            let message = format!(
                "`max-seq-length` {} in `[{place}]` is more than the {positions} positions of the {role}",
                length.value
            );
            let span = length.span.clone();
            let span = span.or_else(|| experiment.teacher.model.span.clone());
            faults.push(Fault::new(message, span).with_hint(format!("use at most {positions}")));
        }
    }
}

fn check_vocabulary(
    student: &BertConfig,
    teacher: &BertConfig,
    model: &Located<String>,
    faults: &mut Vec<Fault>,
) {
    if student.vocab_size != teacher.vocab_size {
        let message = format!(
            "the student has a vocabulary of {} tokens and the teacher one of {}",
            student.vocab_size, teacher.vocab_size
        );
        let fault = Fault::new(message, model.span.clone());
        faults.push(fault.with_label("both must read the same tokens"));
    }
}

fn check_heads(
    experiment: &Experiment,
    student: &BertConfig,
    teacher: &BertConfig,
    faults: &mut Vec<Fault>,
) {
    let (own, wanted) = (student.num_attention_heads, teacher.num_attention_heads);
    if own == wanted {
        return;
    }
    let message = format!("the student has {own} attention heads and the teacher {wanted}");
    let key = &experiment.student;
    let heads = key.shape.num_attention_heads.span.clone();
    let model = key.model.as_ref().and_then(|model| model.span.clone());
    let hint = match &key.model {
        Some(_) => format!("give a model with {wanted} heads"),
        None => format!("set `num-attention-heads = {wanted}` in `[student]`"),
    };
    let span = heads
        .or(model)
        .or_else(|| experiment.teacher.model.span.clone());
    faults.push(
        Fault::new(message, span)
            .with_label("attention is compared head by head")
            .with_hint(hint),
    );
}

/// Teacher layers for a student of `student` layers under a teacher of `teacher` layers.
///
/// Source: Jiao et al. 2020 (arXiv 1909.10351), section 3 (uniform) and 4.4 (top, bottom).
///
/// # Errors
///
/// Faults at `layer-map`: a uniform map that does not come out even, lists of the wrong
/// length, layers that the teacher does not have.
pub fn resolve_layer_map(
    experiment: &Experiment,
    teacher: usize,
    student: usize,
) -> Result<LayerMap, Vec<Fault>> {
    let rule = &experiment.student.layer_map;
    let place = || {
        let shape = &experiment.student.shape;
        let span = rule.span.clone();
        span.or_else(|| shape.num_hidden_layers.span.clone())
            .or_else(|| experiment.student.model.as_ref()?.span.clone())
            .or_else(|| experiment.teacher.model.span.clone())
    };
    let deeper = |word: &str| {
        let message =
            format!("`{word}` takes {student} of the teacher's layers, and it has {teacher}");
        vec![Fault::new(message, place())]
    };
    match &rule.value {
        LayerMapRule::Uniform if student == 0 || !teacher.is_multiple_of(student) => {
            let message = format!(
                "a `uniform` layer map needs a multiple of the student's {student} layers, and the teacher has {teacher}"
            );
            Err(vec![
                Fault::new(message, place()).with_hint(spread_hint(teacher, student)),
            ])
        }
        LayerMapRule::Uniform => Ok(spread(teacher, student)),
        LayerMapRule::Top if student > teacher => Err(deeper("top")),
        LayerMapRule::Top => Ok(LayerMap {
            attention: (teacher - student..teacher).collect(),
            // Hidden state 0, the embeddings, always learns from the embeddings.
            hidden: std::iter::once(0)
                .chain(teacher - student + 1..=teacher)
                .collect(),
        }),
        LayerMapRule::Bottom if student > teacher => Err(deeper("bottom")),
        LayerMapRule::Bottom => Ok(LayerMap {
            attention: (0..student).collect(),
            hidden: (0..=student).collect(),
        }),
        LayerMapRule::Explicit(map) => {
            let mut faults = map_length_faults(map, student, rule.span.as_ref());
            let lists = [
                (
                    "attention",
                    &map.attention,
                    teacher.checked_sub(1),
                    "layers",
                ),
                ("hidden", &map.hidden, Some(teacher), "hidden states"),
            ];
            for (list, entries, last, what) in lists {
                for entry in entries.iter().filter(|entry| Some(**entry) > last) {
                    let message = format!(
                        "`{list}` in `layer-map` names {entry}, which the teacher does not have"
                    );
                    let last = last.unwrap_or(0);
                    faults.push(
                        Fault::new(message, rule.span.clone())
                            .with_label(format!("its {what} are 0 to {last}")),
                    );
                }
            }
            if faults.is_empty() {
                Ok(map.clone())
            } else {
                Err(faults)
            }
        }
    }
}

/// Layers at equal distances, rounded down: the uniform map where it comes out even.
fn spread(teacher: usize, student: usize) -> LayerMap {
    LayerMap {
        attention: (1..=student)
            .map(|i| (i * teacher / student).saturating_sub(1))
            .collect(),
        hidden: (0..=student).map(|i| i * teacher / student).collect(),
    }
}

fn spread_hint(teacher: usize, student: usize) -> Option<String> {
    if student == 0 || student > teacher {
        return None;
    }
    let map = spread(teacher, student);
    Some(format!(
        "give the layers, such as `layer-map = {{ attention = {:?}, hidden = {:?} }}`",
        map.attention, map.hidden
    ))
}
