//! The distillation losses, each a free function with its formula. All compute in fp32
//! whatever the format of their inputs. Sources: docs/concepts/losses.md.

use tch::{Kind, Reduction as Mean, Tensor};
use tinyrun_base::job::{Reduction, Relations, SoftLossReduction};

use crate::batch::Batch;
use crate::encoder::matmul;
use crate::native::relations::relations as relations_of_rows;

/// Scores at or below this are masked entries (the mask adds -10000); the published codes
/// set them to 0 on both sides.
const MASKED_SCORE: f64 = -100.0;

/// The least product of two lengths, as in `torch.nn.CosineSimilarity`.
const COSINE_EPS: f64 = 1e-8;

/// Attention loss of one layer: mean squared difference of the attention scores
/// `student`, `teacher` `[B, h, L, L]` (before softmax, mask added).
///
/// * `Tokens`: `Σ_b Σ_heads Σ_{q,k real} (s - t)² / (h Σ_b len_b²)`.
/// * `Block`: scores ≤ -100 count as 0, then the mean over `B h L L`.
pub(crate) fn attention_loss(
    student: &Tensor,
    teacher: &Tensor,
    batch: &Batch,
    reduction: Reduction,
) -> Tensor {
    let (student, teacher) = (student.to_kind(Kind::Float), teacher.to_kind(Kind::Float));
    match reduction {
        Reduction::Tokens => {
            let heads = student.size()[1] as f64;
            let mut difference = student - teacher;
            if let Some(real) = &batch.token_mask {
                difference =
                    difference * real.unsqueeze(1).unsqueeze(-1) * real.unsqueeze(1).unsqueeze(1);
            }
            difference.square().sum(Kind::Float) / (heads * batch.squared_lengths as f64)
        }
        Reduction::Block => {
            let zeroed = |scores: &Tensor| scores.masked_fill(&scores.le(MASKED_SCORE), 0.0);
            zeroed(&student).mse_loss(&zeroed(&teacher), Mean::Mean)
        }
    }
}

/// Relation loss of one layer (MiniLMv2, Wang et al. 2020, arXiv 2012.15828): query, key and value of
/// all heads side by side, `student` `[B, L, 3 d]` and `teacher` `[B, L, 3 D]`, or `[T, 3 d]`, each cut into `R`
/// relation heads `A_a`.
///
/// `Σ_{Q,K,V} w Σ_a Σ_{q real} KL(R_T || R_S) / (R · real tokens)`, `R = softmax(A_a A_aᵀ / sqrt(d/R))` over real tokens.
pub(crate) fn relation_loss(
    student: &Tensor,
    teacher: &Tensor,
    batch: &Batch,
    relations: &Relations,
) -> Tensor {
    let sum = match &batch.unpadded {
        Some(rows) => relations_of_rows(student, teacher, &rows.offsets, relations),
        None => divergence(student, teacher, batch, relations),
    };
    sum / (relations.heads as f64 * batch.tokens as f64)
}

/// `Σ_{Q,K,V} w Σ_b Σ_a Σ_{q real} KL(R_T || R_S)` of a padded block.
fn divergence(student: &Tensor, teacher: &Tensor, batch: &Batch, relations: &Relations) -> Tensor {
    let [own, others] = [student, teacher].map(|qkv| qkv.to_kind(Kind::Float).chunk(3, -1));
    let weighed = own.iter().zip(&others).zip(relations.weights);
    let terms = weighed
        .filter(|(_, weight)| *weight != 0.0)
        .map(|((own, others), weight)| {
            let [own, others] =
                [own, others].map(|rows| log_relations(rows, batch, relations.heads));
            let by_key: Tensor = others.exp() * (others - own);
            let by_query = by_key.sum_dim_intlist(&[-1i64][..], false, Kind::Float);
            let real = match &batch.token_mask {
                Some(real) => by_query * real.unsqueeze(1),
                None => by_query,
            };
            real.sum(Kind::Float) * weight
        });
    terms
        .reduce(|sum, term| sum + term)
        .unwrap_or_else(|| student.to_kind(Kind::Float).sum(Kind::Float) * 0.0)
}

/// Logarithms of relations `[B, R, L, L]` of vectors `[B, L, d]`.
fn log_relations(rows: &Tensor, batch: &Batch, heads: usize) -> Tensor {
    let (b, l, width) = rows.size3().expect("a block has three dimensions");
    let size = width / heads as i64;
    let parts = rows.reshape([b, l, heads as i64, size]).transpose(1, 2);
    let mut scores = matmul(&(&parts / (size as f64).sqrt()), &parts.transpose(-1, -2));
    if let Some(mask) = &batch.key_mask {
        scores += mask;
    }
    scores.log_softmax(-1, Kind::Float)
}

/// Hidden-state loss of one state: mean squared difference of the projected `student` and
/// the `teacher`, `[B, L, d]`.
///
/// * `Tokens`: `Σ_{real tokens} |s - t|² / (d · real tokens)`.
/// * `Block`: the mean over `B L d`.
pub(crate) fn hidden_loss(
    student: &Tensor,
    teacher: &Tensor,
    batch: &Batch,
    reduction: Reduction,
) -> Tensor {
    let (student, teacher) = (student.to_kind(Kind::Float), teacher.to_kind(Kind::Float));
    match (reduction, &batch.token_mask) {
        (Reduction::Tokens, Some(real)) => {
            let width = student.size()[2] as f64;
            ((student - teacher) * real.unsqueeze(-1))
                .square()
                .sum(Kind::Float)
                / (width * batch.tokens as f64)
        }
        _ => student.mse_loss(&teacher, Mean::Mean),
    }
}

/// The same by angle: `1 - s·t / (|s| |t|)` of each token, `[B, L, d]` or `[T, d]`.
///
/// * `Tokens`: the mean over real tokens.
/// * `Block`: the mean over `B L`.
pub(crate) fn cosine_loss(
    student: &Tensor,
    teacher: &Tensor,
    batch: &Batch,
    reduction: Reduction,
) -> Tensor {
    let (student, teacher) = (student.to_kind(Kind::Float), teacher.to_kind(Kind::Float));
    let distance = 1.0_f64 - Tensor::cosine_similarity(&student, &teacher, -1, COSINE_EPS);
    match (reduction, &batch.token_mask) {
        (Reduction::Tokens, Some(real)) => (distance * real).sum(Kind::Float) / batch.tokens as f64,
        _ => distance.mean(Kind::Float),
    }
}

/// Soft cross-entropy `-softmax(t/τ) · log_softmax(s/τ)` of logits `[B, classes]`, without a
/// factor τ². `BatchAndClasses` divides by the classes too, as the published codes do.
pub(crate) fn soft_cross_entropy(
    student: &Tensor,
    teacher: &Tensor,
    temperature: f64,
    reduction: SoftLossReduction,
) -> Tensor {
    let target = (teacher / temperature).softmax(-1, Kind::Float);
    let log_probs = (student / temperature).log_softmax(-1, Kind::Float);
    let product = -(target * log_probs);
    match reduction {
        SoftLossReduction::BatchAndClasses => product.mean(Kind::Float),
        SoftLossReduction::Batch => product
            .sum_dim_intlist(&[-1i64][..], false, Kind::Float)
            .mean(Kind::Float),
    }
}

/// `Σ_i w_i t_i` of the logits `[B, classes]` of several teachers; weights sum to 1.
pub(crate) fn mean_of_logits(teachers: &[Tensor], weights: &[f64]) -> Tensor {
    let terms = teachers.iter().zip(weights);
    terms
        .map(|(logits, weight)| logits.to_kind(Kind::Float) * *weight)
        .reduce(|sum, term| sum + term)
        .expect("there is a teacher")
}

/// `τ log Σ_i w_i softmax(t_i/τ)` of the logits `[B, classes]` of several teachers: logits whose
/// softmax at `τ` is the mean of the probabilities. Computed as a logsumexp, so that small ones do not vanish.
pub(crate) fn mean_of_probabilities(
    teachers: &[Tensor],
    weights: &[f64],
    temperature: f64,
) -> Tensor {
    let terms = teachers.iter().zip(weights);
    let terms = terms
        .map(|(logits, weight)| (logits / temperature).log_softmax(-1, Kind::Float) + weight.ln());
    let terms: Vec<Tensor> = terms.collect();
    Tensor::stack(&terms, 0).logsumexp(&[0i64][..], false) * temperature
}

/// Cross-entropy of logits `[B, classes]` against class indices `[B]`, mean over the batch.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.cross_entropy_for_logits(&labels.to_kind(Kind::Int64))
}

/// Mean squared error of one output a row, `[B, 1]`, against values `[B]` or `[B, 1]`.
pub(crate) fn value_loss(output: &Tensor, values: &Tensor) -> Tensor {
    output.view(-1).mse_loss(&values.view(-1), Mean::Mean)
}
