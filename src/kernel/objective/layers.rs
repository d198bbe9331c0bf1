//! Losses over layers: attention scores, or relations, and hidden states.

use tch::Tensor;
use tinyrun_base::job::{self, HiddenLoss, Reduction, Relations};

use super::{Losses, Share, Student, sum};
use crate::batch::Batch;
use crate::encoder::Wanted;
use crate::losses::{attention_loss, cosine_loss, hidden_loss, relation_loss};
use crate::native;
use crate::target::Target;

/// Losses over layers: attention scores, or relations, and hidden states.
pub(super) fn layer_losses(
    objective: &job::Objective,
    student: &Student,
    target: &Target,
    batch: &Batch,
    share: Share,
) -> Losses {
    let job::Objective::Intermediate {
        attention_weights,
        hidden_weights,
        relations,
        reduction,
        ..
    } = objective
    else {
        panic!("this objective compares layers");
    };
    let (cells, tokens) = match reduction {
        Reduction::Tokens => (share.squared_lengths, share.tokens),
        Reduction::Block => (share.examples, share.examples),
    };
    // A mean over tokens, whatever the others are.
    let of_attention = relations.map_or(cells, |_| share.tokens);
    let (attention, hidden) = layer_distances(objective, student, target, batch);
    let of_step = |losses: Vec<Tensor>, share: f64| -> Vec<Tensor> {
        losses.into_iter().map(|loss| loss * share).collect()
    };
    let (attention, hidden) = (of_step(attention, of_attention), of_step(hidden, tokens));
    let (attention_sum, hidden_sum) = (sum(&attention), sum(&hidden));
    // A factor of 0 takes the term out of the graph: 0 times an overflow is not a number.
    let weighed = attention.iter().zip(attention_weights);
    let weighed = weighed.chain(hidden.iter().zip(hidden_weights));
    let terms: Vec<Tensor> = weighed
        .filter(|(_, weight)| **weight != 0.0)
        .map(|(loss, weight)| loss * *weight)
        .collect();
    let parts = [attention_sum, hidden_sum]
        .iter()
        .chain(&attention)
        .chain(&hidden)
        .map(Tensor::detach)
        .collect();
    Losses {
        total: sum(&terms),
        parts,
    }
}

/// Attention losses by layer and hidden-state losses by state, not weighed. Of tokens without padding each is computed
/// where its student's side is made.
fn layer_distances(
    objective: &job::Objective,
    student: &Student,
    target: &Target,
    batch: &Batch,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let job::Objective::Intermediate {
        attention_weights,
        relations,
        reduction,
        hidden_loss: distance,
        ..
    } = objective
    else {
        panic!("this objective compares layers");
    };
    let Target::Layers {
        attention: scores,
        qkv,
        hidden,
    } = target
    else {
        panic!("this objective learns from a teacher's layers");
    };
    let is_packed = batch.unpadded.is_some();
    assert!(
        !is_packed || *reduction == Reduction::Tokens,
        "there is no block"
    );
    let layers: Vec<usize> = (0..attention_weights.len()).collect();
    let wanted = match relations {
        Some(_) => Wanted::Qkv(&layers),
        None if is_packed => Wanted::Squares(scores),
        None => Wanted::Everything,
    };
    let output = student.encoder.forward_t(batch, wanted, true);
    let attention = match relations {
        Some(relations) => {
            relation_distances(&output.qkv, qkv, batch, (relations, attention_weights))
        }
        // All heads' pairs of tokens.
        None if is_packed => pairs(&output.attention_squares, scores)
            .map(|(squares, scores)| squares / scores.numel() as f64)
            .collect(),
        None => pairs(&output.attention_scores, scores)
            .map(|(s, t)| attention_loss(s, t, batch, *reduction))
            .collect(),
    };
    let states = (&output.hidden_states[..], &hidden[..]);
    let hidden = state_distances(student, states, batch, (*distance, *reduction));
    (attention, hidden)
}

/// Of query, key and value of each layer.
fn relation_distances(
    student: &[Tensor],
    teacher: &[Tensor],
    batch: &Batch,
    (relations, weights): (&Relations, &[f64]),
) -> Vec<Tensor> {
    let layers = pairs(student, teacher).zip(weights);
    let losses = layers.map(|((own, others), weight)| {
        // Without a weight it is reported only.
        let own = if *weight == 0.0 {
            own.detach()
        } else {
            own.shallow_clone()
        };
        relation_loss(&own, others, batch, relations)
    });
    losses.collect()
}

/// Of each hidden state of the student, projected to the teacher's width.
fn state_distances(
    student: &Student,
    (states, targets): (&[Tensor], &[Tensor]),
    batch: &Batch,
    (distance, reduction): (HiddenLoss, Reduction),
) -> Vec<Tensor> {
    assert_eq!(
        targets.len(),
        student.projections.len(),
        "one projection a hidden state"
    );
    let states = pairs(states, targets).zip(&student.projections);
    let losses = states.map(|((state, target), projection)| match distance {
        HiddenLoss::Mse if batch.unpadded.is_some() => {
            native::squared_error(state, projection.trained(), target) / target.numel() as f64
        }
        HiddenLoss::Mse => hidden_loss(&projection.forward(state), target, batch, reduction),
        HiddenLoss::Cosine => cosine_loss(&projection.forward(state), target, batch, reduction),
    });
    losses.collect()
}

/// Student tensor `i` with the teacher's for it.
fn pairs<'a>(
    student: &'a [Tensor],
    teacher: &'a [Tensor],
) -> impl Iterator<Item = (&'a Tensor, &'a Tensor)> {
    assert_eq!(
        student.len(),
        teacher.len(),
        "the layer map has an entry a student layer"
    );
    student.iter().zip(teacher)
}
