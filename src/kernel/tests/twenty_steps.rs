//! Twenty steps of phase 1 against an independent PyTorch script, loss by loss.

use tch::Tensor;
use tinyrun_base::job::{OptimizerKind, Reduction};

use super::fixture::{
    adam, assert_close, batch, intermediate, json, losses, slack, student, teacher, tensors,
    weights,
};
use crate::objective::Share;
use crate::optimizer::Optimizer;

#[test]
fn twenty_steps_of_phase_1_follow_pytorch_loss_by_loss() {
    let file = weights("twenty_steps.safetensors");
    let document = json("twenty_steps.json");
    let expected: Vec<f64> = document["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["loss"].as_f64().expect("a loss"))
        .collect();
    assert_eq!(expected.len(), 20);
    let (student, parameters) = student();
    let (teacher, _) = teacher("bert-tiny");
    let settings = adam(OptimizerKind::BertAdam, 0.01, 1.0);
    let mut optimizer = Optimizer::new(settings, &parameters);
    let leaves = optimizer.parameters();
    for (step, expected) in expected.iter().enumerate() {
        let batch = batch(&file, &format!("batches.{step}."));
        let found = losses(
            &intermediate(Reduction::Tokens),
            &student,
            Some(&teacher),
            &batch,
            Share::WHOLE,
        );
        let loss = found.total.double_value(&[]);
        assert!(
            (loss - expected).abs() <= slack() * 1e-5 * expected,
            "step {step}: {loss} for {expected}"
        );
        let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
        optimizer
            .step(&gradients, 1.0, 1e-3, step as u64)
            .expect("finite");
    }
    let end = tensors(&file, "final.");
    assert!(!end.is_empty());
    for (name, expected) in &end {
        assert_close(name, &parameters.get(name).detach(), expected, 1e-4);
    }
}
