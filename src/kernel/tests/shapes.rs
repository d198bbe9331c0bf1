//! Models of several shapes against `transformers`: head size 26, every activation, other
//! epsilons, a batch of one at the last position, a regression.

use tch::{Kind, Tensor};
use tinyrun_base::job::{HeadKind, Objective};
use tinyrun_base::model::{BertConfig, Weights};

use super::fixture::{
    assert_close, device, json, labelled_batch, laid_both_ways, losses, slack, tensor, tensors,
    weights,
};
use crate::batch::Batch;
use crate::encoder::{Classifier, Encoder, Wanted};
use crate::objective::{Share, Student};
use crate::parameters::Parameters;

const TOLERANCE: f64 = 1e-5;

/// A model of the fixture as trainable leaves.
fn student(file: &Weights, name: &str, settings: &serde_json::Value) -> (Student, Parameters) {
    let config: BertConfig = serde_json::from_value(settings.clone()).expect("a config");
    let parameters = Parameters::new(tensors(file, &format!("{name}.weights.")));
    let parameters = parameters.trainable(device());
    // The fixture's models have no dropout.
    let config = BertConfig {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..config
    };
    let student = Student {
        encoder: Encoder::either(&parameters, &config, Kind::Float),
        classifier: Some(Classifier::new(&parameters, &config, HeadKind::Plain)),
        projections: Vec::new(),
    };
    (student, parameters)
}

fn check_forward(file: &Weights, name: &str, student: &Student) {
    let batch = labelled_batch(file, &format!("{name}."));
    let output = student.encoder.forward_t(&batch, Wanted::Everything, false);
    for (index, hidden) in output.hidden_states.iter().enumerate() {
        let key = format!("{name}.hidden_states.{index}");
        assert_close(&key, hidden, &tensor(file, &key), TOLERANCE);
    }
    for (index, scores) in output.attention_scores.iter().enumerate() {
        let key = format!("{name}.attention_scores.{index}");
        // Beside -10000 every real score would be close.
        let real = |scores: &Tensor| scores.masked_fill(&scores.le(-5000.0), 0.0);
        assert_close(&key, &real(scores), &real(&tensor(file, &key)), TOLERANCE);
    }
    let key = format!("{name}.logits");
    for (way, batch) in laid_both_ways(file, &format!("{name}.")) {
        let logits = student.logits(&batch, false);
        let what = format!("{way} {key}");
        assert_close(&what, &logits, &tensor(file, &key), TOLERANCE);
    }
}

/// The loss that fine-tunes the model, and every gradient of it by name.
fn check_gradients(
    file: &Weights,
    name: &str,
    settings: &serde_json::Value,
    student: &Student,
    parameters: &Parameters,
) {
    for (way, batch) in laid_both_ways(file, &format!("{name}.")) {
        check_gradients_of(file, name, settings, (student, parameters), (way, &batch));
    }
}

fn check_gradients_of(
    file: &Weights,
    name: &str,
    settings: &serde_json::Value,
    (student, parameters): (&Student, &Parameters),
    (way, batch): (&str, &Batch),
) {
    let objective = if name == "regression" {
        Objective::Values
    } else {
        Objective::Labels
    };
    let found = losses(&objective, student, None, batch, Share::WHOLE);
    let (loss, wanted) = (
        found.total.double_value(&[]),
        settings["loss"].as_f64().expect("a loss"),
    );
    assert!(
        (loss - wanted).abs() <= slack() * TOLERANCE * wanted,
        "{way} {name}: {loss}"
    );
    let expected = tensors(file, &format!("{name}.gradients."));
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    assert_eq!(names.len(), expected.len());
    let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
    for (tensor, gradient) in names.iter().zip(&gradients) {
        let what = format!("{way} {name}: gradient of {tensor}");
        if tensor.ends_with("key.bias") {
            // It adds the same to every score of a query, which softmax does not see: on both sides
            // there is rounding alone.
            for rounding in [gradient, &expected[*tensor]] {
                let largest = rounding.abs().max().double_value(&[]);
                assert!(largest < 1e-6, "{what} is {largest:e}");
            }
            continue;
        }
        // Both sides are in single precision.
        assert_close(&what, gradient, &expected[*tensor], 5.0 * TOLERANCE);
    }
}

#[test]
fn models_of_every_shape_compute_what_transformers_computes_forward_and_backward() {
    let file = weights("shapes.safetensors");
    let document = json("shapes.json");
    let document = document.as_object().expect("shapes");
    let shapes: Vec<_> = document
        .iter()
        .filter(|(name, _)| *name != "versions")
        .collect();
    assert_eq!(shapes.len(), 4);
    for (name, settings) in shapes {
        let (student, parameters) = student(&file, name, settings);
        check_forward(&file, name, &student);
        check_gradients(&file, name, settings, &student, &parameters);
    }
}
