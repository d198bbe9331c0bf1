//! Whether the losses of a stage can compare its student with its teacher.

use super::Check;
use crate::document::Fault;
use crate::experiment::distill::Distill;
use crate::experiment::layer_map::resolve_layer_map;
use crate::experiment::origin::source_key;
use crate::experiment::ports::Role;
use crate::experiment::relations::relation_heads;
use crate::experiment::stage::Stage;
use crate::experiment::top::Experiment;
use crate::job::{AttentionLoss, LayerMap};
use crate::model::config::BertConfig;

/// What the intermediate losses take of two models: layers and heads, the student's first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    layers: [usize; 2],
    heads: [usize; 2],
    /// Whether the student started with layers of the teacher.
    has_teachers: bool,
    /// Whether scores are compared, head by head.
    compares_scores: bool,
}

impl Pair {
    fn of(student: &BertConfig, teacher: &BertConfig) -> Self {
        Self {
            layers: [student.num_hidden_layers, teacher.num_hidden_layers],
            heads: [student.num_attention_heads, teacher.num_attention_heads],
            has_teachers: false,
            compares_scores: true,
        }
    }
}

impl Check<'_> {
    /// The models of a stage that compares layers.
    pub(super) fn compared(&mut self, stage: &Stage) {
        let experiment = self.experiment;
        let Some(distill) = stage.get::<Distill>().filter(|_| stage.has_table) else {
            return;
        };
        let [teacher, student] = [Role::Teacher, Role::Student]
            .map(|role| self.config(experiment.origin_of(stage, role)));
        let (Some(teacher), Some(student)) = (&teacher, &student) else {
            return;
        };
        let pair = Pair {
            has_teachers: experiment.starts_from_teacher_of(stage),
            compares_scores: *distill.attention_loss == AttentionLoss::Scores,
            ..Pair::of(student, teacher)
        };
        let known = self.seen.contains(&pair);
        self.layer_weights(stage, distill, student.num_hidden_layers);
        if !pair.compares_scores {
            match relation_heads(stage, distill, student, teacher) {
                Ok(heads) => drop(self.relation_heads.insert(stage.name.clone(), heads)),
                Err(fault) => self.faults.push(*fault),
            }
        }
        if let Some(map) = self.pair(stage, &pair, known) {
            self.layer_maps.insert(stage.name.clone(), map);
        }
        self.seen.push(pair);
    }

    /// Lists of weights that are not as long as the stage's student has layers.
    fn layer_weights(&mut self, stage: &Stage, distill: &Distill, layers: usize) {
        let lists = [
            (
                "attention-layer-weights",
                &distill.attention_layer_weights,
                layers,
                "one per layer",
            ),
            (
                "hidden-layer-weights",
                &distill.hidden_layer_weights,
                layers + 1,
                "one for the embedding output and one per layer",
            ),
        ];
        for (key, list, wanted, why) in lists {
            if let Some(list) = list.as_ref().filter(|list| list.len() != wanted) {
                let message = format!(
                    "`{key}` in `[stages.{}]` has {} entries, expected {wanted} for {layers} student layers",
                    stage.name,
                    list.len()
                );
                let fault = Fault::new(message, list.span.clone());
                self.faults
                    .push(fault.with_label(format!("expected {wanted}: {why}")));
            }
        }
    }

    /// The layers that two models are compared in. Faults of a pair that is `known` were told.
    fn pair(&mut self, stage: &Stage, pair: &Pair, known: bool) -> Option<LayerMap> {
        let mut faults = Vec::new();
        let own = Pair {
            has_teachers: pair.has_teachers,
            compares_scores: pair.compares_scores,
            ..Pair::of(self.student, self.teacher)
        };
        if pair.compares_scores {
            check_heads(self.experiment, pair.heads, &mut faults);
        }
        let map = resolve_layer_map(self.experiment, pair.layers, pair.has_teachers);
        let map = map.map_err(|found| faults.extend(found)).ok();
        if *pair != own {
            // Not the models of `[teacher]` and `[student]`: the stage's key is to blame.
            let keys = [Role::Teacher, Role::Student].map(|role| source_key(stage, role));
            let key = keys.into_iter().flatten().find_map(|key| key.span.clone());
            for fault in &mut faults {
                fault.message = format!("in `{}`, {}", stage.name, fault.message);
                fault.span = key.clone().or_else(|| fault.span.clone());
            }
        }
        if !known {
            self.faults.extend(faults);
        }
        map
    }
}

fn check_heads(experiment: &Experiment, heads: [usize; 2], faults: &mut Vec<Fault>) {
    let [own, wanted] = heads;
    if own == wanted {
        return;
    }
    let message = format!("the student has {own} attention heads, the teacher {wanted}");
    let key = &experiment.student;
    let heads = key.shape.num_attention_heads.span.clone();
    let model = key.model.as_ref().and_then(|model| model.span.clone());
    let hint = match &key.model {
        Some(_) => format!("use a model with {wanted} heads"),
        None => format!("set `num-attention-heads = {wanted}` in `[student]`"),
    };
    let hint = format!("{hint}, or `attention-loss = \"relations\"` in the stage");
    let span = heads
        .or(model)
        .or_else(|| experiment.teacher.model.span.clone());
    faults.push(
        Fault::new(message, span)
            .with_label("the attention loss compares head by head")
            .with_hint(hint),
    );
}
