//! The mean of several teachers, which a student learns from in place of one.

use tch::Tensor;
use tinyrun_base::job::{Ensemble, Objective, TeacherMean};

use crate::losses::{mean_of_logits, mean_of_probabilities};
use crate::target::Target;

/// One target of those of all teachers, in their order; the target itself where there is one teacher.
///
/// # Panics
/// Where the teachers of an ensemble gave no logits, or there is no target.
pub(crate) fn mean_target(
    objective: &Objective,
    ensemble: Option<&Ensemble>,
    mut targets: Vec<Target>,
) -> Target {
    let Some(ensemble) = ensemble else {
        return targets.pop().expect("a target for the one teacher");
    };
    if targets.iter().all(|target| matches!(target, Target::None)) {
        return Target::None;
    }
    let logits = targets.into_iter().map(|target| match target {
        Target::Logits(logits) => logits,
        _ => panic!("only logits of several teachers are compared"),
    });
    let logits: Vec<Tensor> = logits.collect();
    let weights = &ensemble.weights;
    Target::Logits(match (ensemble.mean, objective) {
        (TeacherMean::Probabilities, Objective::Prediction { temperature, .. }) => {
            mean_of_probabilities(&logits, weights, *temperature)
        }
        _ => mean_of_logits(&logits, weights),
    })
}
