//! MindSpore's relative positions against an independent script, forward and backward.

use tch::{Kind, Tensor};
use tinyrun_base::job::{HeadKind, Objective};
use tinyrun_base::model::BertConfig;
use tinyrun_base::model::names::expected_classifier;

use super::fixture::{
    assert_close, device, json, labelled_batch, losses, slack, tensor, tensors, weights,
};
use crate::encoder::{Classifier, Encoder, Wanted};
use crate::objective::{Share, Student};
use crate::parameters::Parameters;

const TOLERANCE: f64 = 1e-5;

#[test]
fn relative_positions_are_mindspores_forward_and_backward() {
    let file = weights("relative.safetensors");
    let document = json("relative.json");
    let config: BertConfig = serde_json::from_value(document["config"].clone()).expect("a config");
    let parameters = Parameters::new(tensors(&file, "weights."));
    let names: Vec<String> = parameters.iter().map(|(name, _)| name.to_owned()).collect();
    let expected: Vec<String> = expected_classifier(&config, 3).into_keys().collect();
    assert_eq!(names, expected);
    let parameters = parameters.trainable(device());
    let student = Student {
        encoder: Encoder::either(&parameters, &config, Kind::Float),
        classifier: Some(Classifier::new(&parameters, &config, HeadKind::Plain)),
        projections: Vec::new(),
    };
    let batch = labelled_batch(&file, "");
    let output = student.encoder.forward_t(&batch, Wanted::Everything, false);
    for (index, hidden) in output.hidden_states.iter().enumerate() {
        let key = format!("hidden_states.{index}");
        assert_close(&key, hidden, &tensor(&file, &key), TOLERANCE);
    }
    for (index, scores) in output.attention_scores.iter().enumerate() {
        let key = format!("attention_scores.{index}");
        let real = |scores: &Tensor| scores.masked_fill(&scores.le(-5000.0), 0.0);
        assert_close(&key, &real(scores), &real(&tensor(&file, &key)), TOLERANCE);
    }
    let logits = student.logits(&batch, false);
    assert_close("logits", &logits, &tensor(&file, "logits"), TOLERANCE);

    let found = losses(&Objective::Labels, &student, None, &batch, Share::WHOLE);
    let wanted = document["loss"].as_f64().expect("a loss");
    let loss = found.total.double_value(&[]);
    assert!(
        (loss - wanted).abs() <= slack() * TOLERANCE * wanted,
        "{loss}"
    );
    let leaves: Vec<&Tensor> = parameters.iter().map(|(_, leaf)| leaf).collect();
    let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
    for ((name, _), gradient) in parameters.iter().zip(&gradients) {
        let expected = tensor(&file, &format!("gradients.{name}"));
        assert_close(name, gradient, &expected, 5.0 * TOLERANCE);
    }
}
