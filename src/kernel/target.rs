//! What a teacher answers to a batch, and so what the student learns.

use tch::{Tensor, no_grad};
use tinyrun_base::job::{Objective, RegressionTarget};

use crate::batch::Batch;
use crate::encoder::{Classifier, Encoder, Wanted};

/// The frozen model that is learned from.
#[derive(Debug)]
pub(crate) struct Teacher {
    pub(crate) encoder: Encoder,
    pub(crate) classifier: Option<Classifier>,
    /// Whether its dropout is active.
    pub(crate) dropout: bool,
}

/// A teacher's answer, without a gradient.
#[derive(Debug)]
pub(crate) enum Target {
    /// The objective asks no teacher.
    None,
    /// `[B, classes]` fp32.
    Logits(Tensor),
    /// In the order of the student's layers, as the layer map says.
    Layers {
        /// `[B, h, L, L]` each: scores before softmax, the mask added. Without padding of each row `[h, length, length]`,
        /// one after the other.
        attention: Vec<Tensor>,
        /// `[B, L, 3 d]` each, or `[T, 3 d]`: query, key and value, where relations are compared in place of scores.
        qkv: Vec<Tensor>,
        /// `[B, L, d]` each, or `[T, d]`; the first is what the embeddings learn from.
        hidden: Vec<Tensor>,
    },
}

impl Target {
    /// What `objective` asks of `teacher` for `batch`. Where the teacher's dropout is active it
    /// draws before the student's.
    ///
    /// # Panics
    /// Where the objective asks a teacher and there is none.
    pub(crate) fn of(objective: &Objective, teacher: Option<&Teacher>, batch: &Batch) -> Self {
        let expect = || teacher.expect("distillation has a teacher");
        no_grad(|| match objective {
            Objective::Intermediate {
                layer_map,
                relations,
                ..
            } => {
                let teacher = expect();
                let layers = &layer_map.attention;
                let wanted = match relations {
                    Some(_) => Wanted::Qkv(layers),
                    None => Wanted::Layers(layers),
                };
                let output = teacher.encoder.forward_t(batch, wanted, teacher.dropout);
                let pick = |from: &[Tensor], map: &[usize]| {
                    map.iter().map(|&i| from[i].shallow_clone()).collect()
                };
                let (attention, qkv) = match relations {
                    Some(_) => (Vec::new(), pick(&output.qkv, layers)),
                    None => (pick(&output.attention_scores, layers), Vec::new()),
                };
                Self::Layers {
                    attention,
                    qkv,
                    hidden: pick(&output.hidden_states, &layer_map.hidden),
                }
            }
            _ if asks_logits(objective) => Self::Logits(expect().logits(batch)),
            _ => Self::None,
        })
    }
}

/// Whether an objective learns from a teacher's logits.
pub(crate) fn asks_logits(objective: &Objective) -> bool {
    match objective {
        Objective::Regression { target } => *target == RegressionTarget::Teacher,
        // A loss that does not count is not computed, and its teacher not asked.
        Objective::Prediction {
            soft_loss_weight, ..
        } => *soft_loss_weight > 0.0,
        _ => false,
    }
}

impl Teacher {
    /// `[B, classes]`
    fn logits(&self, batch: &Batch) -> Tensor {
        let classifier = self
            .classifier
            .as_ref()
            .expect("a fine-tuned teacher has a head");
        let output = self.encoder.forward_t(batch, Wanted::First, self.dropout);
        classifier.forward_t(output.last(), self.dropout)
    }
}
