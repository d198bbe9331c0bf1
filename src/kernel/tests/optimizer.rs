//! Ten steps of both Adams against PyTorch.

use std::collections::BTreeMap;

use tch::{Device, Tensor};
use tinyrun_base::job::{Clipping, OptimizerKind};

use super::fixture::{adam, assert_close, device, json, tensor, tensors, weights};
use super::noise;
use crate::optimizer::{Optimizer, Rows};
use crate::parameters::Parameters;

fn check(kind: OptimizerKind, name: &str) {
    let file = weights("optimizer.safetensors");
    let start: BTreeMap<String, Tensor> = tensors(&file, "start.");
    assert_eq!(start.len(), 3);
    let parameters = Parameters::new(start).trainable(device());
    let settings = adam(kind, 0.01, 1.0);
    let mut optimizer = Optimizer::new(settings, &parameters);
    for step in 0..10 {
        let gradients: Vec<Tensor> = parameters
            .iter()
            .map(|(parameter, _)| tensor(&file, &format!("gradients.{step}.{parameter}")))
            .collect();
        optimizer.step(&gradients, 1.0, 1e-2, step).expect("finite");
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

/// Settings of a case of `optimizers.json`.
fn settings(case: &serde_json::Value, kind: OptimizerKind) -> tinyrun_base::job::Optimizer {
    let number = |key: &str| case[key].as_f64().expect("a number");
    let exempt = case["exempt"].as_array().expect("a list").iter();
    tinyrun_base::job::Optimizer {
        kind,
        beta1: number("beta1"),
        beta2: number("beta2"),
        epsilon: number("epsilon"),
        weight_decay: number("weight_decay"),
        weight_decay_exempt: exempt
            .map(|part| part.as_str().expect("a name").to_owned())
            .collect(),
        clipping: match case["clipping"].as_str().expect("a word") {
            "tensor" => Clipping::Tensor,
            "global" => Clipping::Global,
            "off" => Clipping::Off,
            other => panic!("clipping {other}"),
        },
        max_grad_norm: number("max_norm"),
    }
}

#[test]
fn ten_steps_under_every_clipping_decay_and_constant_are_pytorchs() {
    let gradients_file = weights("optimizer.safetensors");
    let file = weights("optimizers.safetensors");
    let document = json("optimizers.json");
    let document = document.as_object().expect("cases");
    let cases: Vec<_> = document
        .iter()
        .filter(|(name, _)| *name != "versions")
        .collect();
    assert_eq!(cases.len(), 8);
    for (case, values) in cases {
        for (kind, rule) in [
            (OptimizerKind::BertAdam, "bert-adam"),
            (OptimizerKind::AdamW, "adamw"),
        ] {
            let start = tensors(&gradients_file, "start.");
            let parameters = Parameters::new(start).trainable(device());
            let mut optimizer = Optimizer::new(settings(values, kind), &parameters);
            for step in 0..10 {
                let gradients: Vec<Tensor> = parameters
                    .iter()
                    .map(|(name, _)| tensor(&gradients_file, &format!("gradients.{step}.{name}")))
                    .collect();
                optimizer.step(&gradients, 1.0, 1e-2, step).expect("finite");
                for (name, value) in parameters.iter() {
                    let key = format!("{case}.{rule}.{step}.{name}");
                    assert_close(&key, &value.detach(), &tensor(&file, &key), 5e-6);
                }
            }
        }
    }
}

#[test]
fn gradients_of_a_loss_scaled_by_a_power_of_two_make_the_same_bytes() {
    let file = weights("optimizer.safetensors");
    for kind in [OptimizerKind::BertAdam, OptimizerKind::AdamW] {
        let run = |scale: f64| {
            let parameters = Parameters::new(tensors(&file, "start.")).trainable(device());
            let mut optimizer = Optimizer::new(adam(kind, 0.01, 1.0), &parameters);
            for step in 0..10 {
                let gradients: Vec<Tensor> = parameters
                    .iter()
                    .map(|(name, _)| tensor(&file, &format!("gradients.{step}.{name}")) * scale)
                    .collect();
                let update = optimizer.step(&gradients, scale, 1e-2, step);
                update.expect("finite");
            }
            let values = parameters.iter().map(|(_, value)| value.detach());
            values.collect::<Vec<_>>()
        };
        assert_eq!(run(1.0), run(65536.0));
    }
}

#[test]
fn a_parameter_without_a_gradient_does_not_decay() {
    let tensors = BTreeMap::from([(
        "dense.weight".to_owned(),
        Tensor::from_slice(&[1.0_f32, 2.0]),
    )]);
    let parameters = Parameters::new(tensors).trainable(device());
    let settings = adam(OptimizerKind::BertAdam, 0.5, 1.0);
    let mut optimizer = Optimizer::new(settings, &parameters);
    optimizer
        .step(&[Tensor::new()], 1.0, 1.0, 0)
        .expect("finite");
    assert_eq!(
        parameters.get("dense.weight").detach(),
        Tensor::from_slice(&[1.0_f32, 2.0]).to_device(device())
    );
}

#[test]
fn a_gradient_that_is_no_number_changes_nothing_and_is_named() {
    let start = [("a.weight", 1.0_f32), ("b.weight", 2.0)];
    let tensors = start.map(|(name, value)| (name.to_owned(), Tensor::from_slice(&[value])));
    let parameters = Parameters::new(BTreeMap::from(tensors)).trainable(device());
    let settings = adam(OptimizerKind::BertAdam, 0.0, 0.0);
    let on_device = |value: f32| Tensor::from_slice(&[value]).to_device(device());
    let gradients = [1.0, f32::INFINITY].map(on_device);
    let refused = Optimizer::new(settings, &parameters).step(&gradients, 1.0, 1.0, 0);
    assert_eq!(refused, Err("b.weight".to_owned()));
    for (name, value) in start {
        assert_eq!(parameters.get(name).detach(), on_device(value));
    }
}

#[test]
fn a_gradient_of_some_rows_updates_the_table_as_the_whole_one_does() {
    for kind in [OptimizerKind::BertAdam, OptimizerKind::AdamW] {
        let noise = noise(3);
        // Wide enough for several blocks of the whole table.
        let start = noise(&[700, 50]);
        let tables = [(); 2].map(|()| {
            let tensors = BTreeMap::from([("words.weight".to_owned(), start.copy())]);
            Parameters::new(tensors).trainable(Device::Cpu)
        });
        // Without clipping: the norm is a sum in another order.
        let mut optimizers = tables
            .each_ref()
            .map(|table| Optimizer::new(adam(kind, 0.01, 0.0), table));
        for step in 0..6 {
            // Most rows never have a gradient; once, as with several micro-batches, the table's is given to both.
            let whole_for_both = step == 3;
            let rows: Vec<i64> = (0..700).filter(|row| row % (step + 9) == 1).collect();
            let gradient = noise(&[rows.len() as i64, 50]);
            let whole = start.zeros_like();
            let whole = whole.index_copy(0, &Tensor::from_slice(&rows), &gradient);
            let update = step.unsigned_abs();
            let [by_rows, by_table] = &mut optimizers;
            by_table
                .step(&[whole.shallow_clone()], 1.0, 1e-2, update)
                .expect("finite");
            if whole_for_both {
                by_rows.step(&[whole], 1.0, 1e-2, update).expect("finite");
                continue;
            }
            let rows = Rows {
                parameter: 0,
                rows: &rows,
            };
            by_rows
                .step_rows(&[gradient], Some(rows), 1.0, 1e-2, update)
                .expect("finite");
        }
        for ((name, by_rows), (_, by_table)) in
            optimizers[0].state().iter().zip(optimizers[1].state())
        {
            assert_eq!(*by_rows, by_table, "{name}");
        }
        assert_eq!(tables[0].get("words.weight"), tables[1].get("words.weight"));
        assert_ne!(tables[0].get("words.weight").detach(), start);
    }
}
