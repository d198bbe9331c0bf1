//! What a distillation stage learns: its losses, and how its teacher is run.

use toml::Value;

use super::schema::Recipe;
use super::setting::{Setting, above_zero_to, choices};
use super::settings::{key, settings};
use crate::document::{Fault, Located, Section};
use crate::job::{
    AttentionLoss, HiddenLoss, Projection, Reduction, RegressionTarget, SoftLossReduction,
};

choices! { AttentionLoss, Reduction, HiddenLoss, RegressionTarget, SoftLossReduction, Projection }

settings! {
    /// Losses over layers: general distillation and phase 1.
    pub struct Distill(stage, recipe: Recipe)
    titled "Distillation of layers" checked by check_layer_losses {
        /// Weight of the attention loss; 0 disables it.
        counts attention_weight: f64 = key("attention-weight").range(0.0..), default 1.0;
        /// Weight of the hidden-state loss; 0 disables it.
        counts hidden_weight: f64 =
            key("hidden-weight")
                .range(0.0..)
                .range_text("at least 0; not 0 if `attention-weight` is 0"),
            default 1.0;
        /// Weights of the attention loss per layer.
        counts attention_layer_weights: Option<Located<Vec<f64>>> =
            key("attention-layer-weights")
                .range(0.0..)
                .counted_as(other_than_ones)
                .range_text("at least 0; one per student layer")
                .default_text("all 1");
        /// Weights of the hidden-state loss per layer.
        counts hidden_layer_weights: Option<Located<Vec<f64>>> =
            key("hidden-layer-weights")
                .range(0.0..)
                .counted_as(other_than_ones)
                .range_text("at least 0; the embedding output, then one per student layer")
                .default_text("all 1");
        /// What the attention loss compares: attention scores head by head, or relations, which are the
        /// softmax of products of queries, of keys, and of values, as in MiniLMv2. Relations need no
        /// equal number of attention heads, and are averaged over real tokens whatever `reduction` is.
        counts attention_loss: Located<AttentionLoss> =
            key("attention-loss").unless(AttentionLoss::Scores),
            default AttentionLoss::Scores;
        /// Relation heads: the parts into which queries, keys and values are cut.
        counts relation_heads: Option<Located<usize>> =
            key("relation-heads")
                .range(1..=1000)
                .range_text("with `attention-loss = \"relations\"`; divides the widths of both models")
                .default_text("the teacher's number of attention heads");
        /// Weights of the relations of queries, of keys, and of values.
        counts relation_weights: Option<Located<Vec<f64>>> =
            key("relation-weights")
                .range(0.0..)
                .counted_as(other_than_ones)
                .range_text("with `attention-loss = \"relations\"`; three numbers, at least 0")
                .default_text("all 1");
        /// Average the losses over real tokens, or over the padded batch as in the published code.
        counts reduction: Reduction = key("reduction"), default recipe.distill().reduction;
        /// Distance between projected hidden states and the teacher's: mean squared difference, or
        /// one less the cosine of the angle between them, token by token.
        counts hidden_loss: HiddenLoss = key("hidden-loss").unless(HiddenLoss::Mse), default HiddenLoss::Mse;
        /// Projection from the student's hidden size to the teacher's: one matrix for all hidden
        /// states, one per hidden state, or one for the embedding output and one for all layers.
        counts projection: Projection = key("projection"), default recipe.distill().projection;
        /// Start from the projection of the previous stage; if false, from random weights.
        counts keep_projection: Located<bool> =
            key("keep-projection")
                .written_if(is_no_claim)
                .default_text("`true`; `false` with recipe `mindspore`"),
            default recipe.distill().keep_projection;
        /// File of the projection that this stage starts from, whatever `keep-projection` is:
        /// tensors `fit_dense.weight` and `fit_dense.bias`, which no checkpoint of MindSpore holds.
        // It is an input.
        recorded initial_projection: Option<Located<String>> =
            key("initial-projection")
                .kind_text("path")
                .range_text("safetensors")
                .default_text("`projection` of `[student]`, unless the student is a stage's");
    }
}

/// Ones spelt out are the default.
fn other_than_ones(list: &Vec<f64>) -> Option<Value> {
    let differs = list.iter().any(|weight| (weight - 1.0).abs() > 0.0);
    differs.then(|| list.value())
}

/// Written as true it claims that there is a projection to keep, which the default does not.
fn is_no_claim(keep_projection: &Located<bool>) -> bool {
    keep_projection.span.is_some() || !keep_projection.value
}

/// Queries, keys and values.
const RELATIONS: usize = 3;

fn check_relations(found: &Distill, stage: &Section<'_>) {
    if *found.attention_loss != AttentionLoss::Relations {
        for key in ["relation-heads", "relation-weights"] {
            if stage.has(key) {
                let message = format!("{} needs `attention-loss = \"relations\"`", stage.name(key));
                stage.unfit(Fault::new(message, stage.key_span(key)));
            }
        }
        return;
    }
    let weights = found.relation_weights.as_ref();
    if let Some(weights) = weights.filter(|list| list.len() != RELATIONS) {
        let message = format!(
            "{} has {} entries, expected {RELATIONS}",
            stage.name("relation-weights"),
            weights.len()
        );
        let fault = Fault::new(message, weights.span.clone());
        stage.unfit(fault.with_label("expected the weights of queries, keys and values"));
    }
}

fn check_layer_losses(found: &Distill, stage: &Section<'_>) {
    check_relations(found, stage);
    let is_zero = |list: &Option<Located<Vec<f64>>>| {
        let list = list.as_ref();
        list.is_some_and(|list| list.iter().all(|weight| *weight == 0.0))
    };
    let is_off = |weight: f64, layers: &Option<Located<Vec<f64>>>| weight == 0.0 || is_zero(layers);
    if !(is_off(found.attention_weight, &found.attention_layer_weights)
        || is_zero(&found.relation_weights))
        || !is_off(found.hidden_weight, &found.hidden_layer_weights)
    {
        return;
    }
    let lists = [
        "attention-layer-weights",
        "hidden-layer-weights",
        "relation-weights",
    ];
    let lists = lists.into_iter().any(|key| stage.has(key));
    let message = if lists {
        format!("all loss weights in `[{}]` are 0", stage.path())
    } else {
        format!(
            "{} and `attention-weight` are both 0",
            stage.name("hidden-weight")
        )
    };
    let span = [
        "hidden-weight",
        "hidden-layer-weights",
        "attention-layer-weights",
        "relation-weights",
    ]
    .into_iter()
    .find_map(|key| stage.value_span(key));
    stage.unfit(Fault::new(message, span).with_label("no loss is left"));
}

settings! {
    /// How the teacher of a distillation is run.
    pub struct Teaching(stage, recipe: Recipe) titled "Distillation stages" {
        /// Keep the teacher's dropout active, as in Huawei's code.
        counts teacher_dropout: bool = key("teacher-dropout"), default recipe.teacher_dropout();
    }
}

settings! {
    /// Losses of phase 2.
    pub struct Prediction(stage, recipe: Recipe)
    titled "Distillation of predictions (phase 2)" checked by check_prediction_losses {
        /// Temperature that divides the logits of teacher and student.
        counts temperature: f64 = key("temperature").range(above_zero_to(1000.0)), default 1.0;
        /// Average the soft loss over batch and classes, as in the published code, or over the
        /// batch only.
        counts reduction: SoftLossReduction =
            key("soft-loss-reduction"), default SoftLossReduction::BatchAndClasses;
        /// Weight of the soft loss; 0 disables it, and the teacher is not run.
        counts soft_loss_weight: f64 =
            key("soft-loss-weight")
                .range(0.0..)
                .unless(1.0)
                .range_text("at least 0; not 0 if `hard-label-weight` is 0"),
            default 1.0;
        /// Weight of an additional cross-entropy loss on the labels; 0 disables it.
        counts hard_label_weight: f64 = key("hard-label-weight").range(0.0..), default 0.0;
        /// Target of a regression's squared error: the teacher's outputs or the labels. The keys
        /// above apply to classification.
        counts regression_target: RegressionTarget =
            key("regression-target"), default recipe.regression_target();
    }
}

fn check_prediction_losses(found: &Prediction, stage: &Section<'_>) {
    if found.soft_loss_weight == 0.0 && found.hard_label_weight == 0.0 {
        let message = format!(
            "{} and `hard-label-weight` are both 0",
            stage.name("soft-loss-weight")
        );
        let fault = Fault::new(message, stage.value_span("soft-loss-weight"));
        stage.unfit(fault.with_label("no loss is left"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, pipeline};

    #[test]
    fn a_phase_2_that_learns_from_nobody_is_refused() {
        let without = ["stages.td-phase2.soft-loss-weight=0"];
        assert_eq!(
            faults(&pipeline(), &without),
            [
                "--set:1:35: `soft-loss-weight` in `[stages.td-phase2]` and `hard-label-weight` are both 0"
            ]
        );
        let labels = [without[0], "stages.td-phase2.hard-label-weight=1"];
        assert!(faults(&pipeline(), &labels).is_empty());
    }

    #[test]
    fn a_stage_without_any_loss_is_refused() {
        let sets = [
            "stages.td-phase1.attention-weight=0",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &sets[..1]).is_empty());
        assert_eq!(
            faults(&pipeline(), &sets),
            [
                "--set:1:32: `hidden-weight` in `[stages.td-phase1]` and `attention-weight` are both 0"
            ]
        );
    }

    #[test]
    fn keys_of_relations_stand_beside_relations_alone() {
        let relations = "stages.td-phase1.attention-loss=relations";
        for key in ["relation-heads=12", "relation-weights=[1, 1, 0]"] {
            let set = format!("stages.td-phase1.{key}");
            assert!(faults(&pipeline(), &[relations, &set]).is_empty(), "{key}");
            let (name, _) = key.split_once('=').unwrap();
            assert_eq!(
                faults(&pipeline(), &[&set]),
                [format!(
                    "--set:1:18: `{name}` in `[stages.td-phase1]` needs `attention-loss = \"relations\"`"
                )]
            );
        }
        assert_eq!(
            faults(
                &pipeline(),
                &[relations, "stages.td-phase1.relation-weights=[1]"]
            ),
            ["--set:1:35: `relation-weights` in `[stages.td-phase1]` has 1 entries, expected 3"]
        );
        let zeros = [
            relations,
            "stages.td-phase1.relation-weights=[0, 0, 0]",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &zeros[..2]).is_empty());
        assert_eq!(
            faults(&pipeline(), &zeros),
            ["--set:1:32: all loss weights in `[stages.td-phase1]` are 0"]
        );
    }

    #[test]
    fn weights_of_layers_that_are_all_zero_leave_nothing_to_learn() {
        let sets = [
            "stages.td-phase1.attention-layer-weights=[0, 0, 0, 0]",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &sets[..1]).is_empty());
        assert_eq!(
            faults(&pipeline(), &sets),
            ["--set:1:32: all loss weights in `[stages.td-phase1]` are 0"]
        );
    }
}
