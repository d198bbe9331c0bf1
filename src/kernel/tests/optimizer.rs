//! Ten steps of both Adams against PyTorch.

use std::collections::BTreeMap;

use tch::{Device, Tensor};
use tinyrun::job::{Optimizer as Settings, OptimizerKind};

use super::fixture::{assert_close, tensor, tensors, weights};
use crate::optimizer::Optimizer;
use crate::parameters::Parameters;

fn check(kind: OptimizerKind, name: &str) {
    let file = weights("optimizer.safetensors");
    let start: BTreeMap<String, Tensor> = tensors(&file, "start.");
    assert_eq!(start.len(), 3);
    let parameters = Parameters::new(start).trainable(Device::Cpu);
    let settings = Settings {
        kind,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        weight_decay: 0.01,
        max_grad_norm: 1.0,
    };
    let mut optimizer = Optimizer::new(settings, &parameters);
    for step in 0..10 {
        let gradients: Vec<Tensor> = parameters
            .iter()
            .map(|(parameter, _)| tensor(&file, &format!("gradients.{step}.{parameter}")))
            .collect();
        optimizer.step(&gradients, 1e-2, step);
        for (parameter, value) in parameters.iter() {
            let key = format!("{name}.{step}.{parameter}");
            assert_close(&key, &value.detach(), &tensor(&file, &key), 5e-6);
        }
    }
}

#[test]
fn ten_steps_of_bert_adam_are_the_published_rule() {
    check(OptimizerKind::BertAdam, "bert-adam");
}

#[test]
fn ten_steps_of_adamw_are_pytorchs() {
    check(OptimizerKind::AdamW, "adamw");
}

#[test]
fn a_parameter_without_a_gradient_does_not_decay() {
    let tensors = BTreeMap::from([(
        "dense.weight".to_owned(),
        Tensor::from_slice(&[1.0_f32, 2.0]),
    )]);
    let parameters = Parameters::new(tensors).trainable(Device::Cpu);
    let settings = Settings {
        kind: OptimizerKind::BertAdam,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        weight_decay: 0.5,
        max_grad_norm: 1.0,
    };
    Optimizer::new(settings, &parameters).step(&[Tensor::new()], 1.0, 0);
    assert_eq!(
        parameters.get("dense.weight").detach(),
        Tensor::from_slice(&[1.0_f32, 2.0])
    );
}
