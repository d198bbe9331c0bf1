//! Other projections, weights of single layers, gold labels and a regression against an
//! independent PyTorch script: the loss, and every gradient by name.

use tch::{Kind, Tensor};
use tinyrun_base::job::{
    HeadKind, HiddenLoss, LayerMap, Objective, Projection, Reduction, RegressionTarget,
    SoftLossReduction,
};
use tinyrun_base::model::Weights;

use super::fixture::{
    assert_close, device, json, laid_both_ways, losses, model, slack, tensors, weights,
};
use crate::encoder::{Classifier, Encoder, Linear};
use crate::folder::{is_projection, projection_names};
use crate::objective::{Share, Student};
use crate::parameters::Parameters;
use crate::target::Teacher;

const TOLERANCE: f64 = 1e-5;

/// Of a regression, the first output of a head of three.
pub(super) fn narrowed(parameters: &Parameters, outputs: i64) -> Parameters {
    let tensors = parameters.iter().map(|(name, value)| {
        let is_head = name.starts_with("classifier.");
        let value = if is_head {
            value.narrow(0, 0, outputs).copy()
        } else {
            value.shallow_clone()
        };
        (name.to_owned(), value)
    });
    Parameters::new(tensors.collect())
}

/// The student without projections.
pub(super) fn student_of(outputs: i64) -> (Student, Parameters) {
    let (loaded, parameters) = model("bert-student");
    let own = narrowed(&parameters, outputs);
    let own = own.iter().filter(|(name, _)| !is_projection(name));
    let own = own.map(|(name, value)| (name.to_owned(), value.shallow_clone()));
    let parameters = Parameters::new(own.collect()).trainable(device());
    let classifier = Classifier::new(&parameters, &loaded.config, HeadKind::Plain);
    let student = Student {
        encoder: Encoder::either(&parameters, &loaded.config, Kind::Float),
        classifier: Some(classifier),
        projections: Vec::new(),
    };
    (student, parameters)
}

fn student(file: &Weights, projection: Projection, outputs: i64) -> (Student, Parameters) {
    let (loaded, parameters) = model("bert-student");
    let mut all: std::collections::BTreeMap<String, Tensor> = narrowed(&parameters, outputs)
        .iter()
        .filter(|(name, _)| !is_projection(name))
        .map(|(name, value)| (name.to_owned(), value.shallow_clone()))
        .collect();
    let projections = tensors(file, "projections.");
    all.extend(
        projections
            .into_iter()
            .filter(|(name, _)| is_projection(name)),
    );
    let parameters = Parameters::new(all).trainable(device());
    let student = Student {
        encoder: Encoder::either(&parameters, &loaded.config, Kind::Float),
        classifier: Some(Classifier::new(
            &parameters,
            &loaded.config,
            HeadKind::Plain,
        )),
        projections: projection_names(projection, 3)
            .iter()
            .map(|name| Linear::new(&parameters, name))
            .collect(),
    };
    (student, parameters)
}

pub(super) fn teacher(outputs: i64) -> Teacher {
    let (loaded, parameters) = model("bert-tiny");
    let parameters = narrowed(&parameters, outputs).frozen(device(), Kind::Float);
    Teacher {
        encoder: Encoder::either(&parameters, &loaded.config, Kind::Float),
        classifier: Some(Classifier::new(
            &parameters,
            &loaded.config,
            HeadKind::Plain,
        )),
        dropout: false,
    }
}

/// The objective of a case as the kernel has it, and its projections.
fn objective(name: &str, case: &serde_json::Value) -> (Objective, Projection) {
    let numbers = |key: &str| -> Vec<f64> {
        let list = case[key].as_array().expect("a list");
        list.iter()
            .map(|it| it.as_f64().expect("a number"))
            .collect()
    };
    let projection = match name {
        "per-layer" => Projection::PerLayer,
        _ => Projection::EmbeddingAndHidden,
    };
    let objective = match name {
        "regression" => Objective::Regression {
            target: RegressionTarget::Teacher,
        },
        "per-layer" | "embedding-and-hidden" | "cosine" | "cosine-block" => {
            Objective::Intermediate {
                layer_map: LayerMap {
                    attention: vec![0, 2],
                    hidden: vec![0, 1, 3],
                },
                attention_weights: numbers("attention_weights"),
                hidden_weights: numbers("hidden_weights"),
                relations: None,
                reduction: match case["reduction"].as_str() {
                    Some("block") => Reduction::Block,
                    _ => Reduction::Tokens,
                },
                hidden_loss: match case["hidden_loss"].as_str() {
                    Some("cosine") => HiddenLoss::Cosine,
                    _ => HiddenLoss::Mse,
                },
                projection,
                keep_projection: true,
            }
        }
        _ => Objective::Prediction {
            temperature: case["temperature"].as_f64().expect("a number"),
            reduction: match case["reduction"].as_str() {
                Some("batch") => SoftLossReduction::Batch,
                _ => SoftLossReduction::BatchAndClasses,
            },
            soft_loss_weight: case["soft"].as_f64().expect("a number"),
            hard_label_weight: case["hard"].as_f64().expect("a number"),
        },
    };
    (objective, projection)
}

#[test]
fn every_objective_has_pytorchs_loss_and_gradients() {
    let file = weights("objectives.safetensors");
    let document = json("objectives.json");
    let document = document.as_object().expect("cases");
    let cases: Vec<_> = document
        .iter()
        .filter(|(name, _)| *name != "versions")
        .collect();
    assert_eq!(cases.len(), 8);
    for (name, case) in cases {
        let outputs = if name == "regression" { 1 } else { 3 };
        let (objective, projection) = objective(name, case);
        for (way, batch) in laid_both_ways(&file, "") {
            if way == "unpadded" && case["reduction"] == "block" {
                continue;
            }
            let (student, parameters) = student(&file, projection, outputs);
            let teacher = teacher(outputs);
            let found = losses(&objective, &student, Some(&teacher), &batch, Share::WHOLE);
            let (loss, wanted) = (
                found.total.double_value(&[]),
                case["loss"].as_f64().expect("a loss"),
            );
            assert!(
                (loss - wanted).abs() <= slack() * TOLERANCE * wanted,
                "{way} {name}: {loss} for {wanted}"
            );
            let expected = tensors(&file, &format!("{name}.gradients."));
            assert!(!expected.is_empty());
            let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
            let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
            for (tensor, gradient) in names.iter().zip(&gradients) {
                let what = format!("{way} {name}: gradient of {tensor}");
                match expected.get(*tensor) {
                    Some(expected) => {
                        let rows = gradient.size()[0];
                        assert_close(
                            &what,
                            gradient,
                            &expected.narrow(0, 0, rows),
                            2.0 * TOLERANCE,
                        );
                    }
                    None => assert!(
                        !gradient.defined() || gradient.abs().max().double_value(&[]) == 0.0,
                        "{what}: there is none in PyTorch"
                    ),
                }
            }
        }
    }
}
