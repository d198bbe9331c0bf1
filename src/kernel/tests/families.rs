//! Families beside BERT against `transformers`: forward pass, losses and every gradient, padded and packed, and
//! the folders that are written.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor, no_grad};
use tinyrun_base::data::store::{StoreMeta, StoreWriter};
use tinyrun_base::job::{HeadKind, Objective, Projection, Reduction, SoftLossReduction, Work};
use tinyrun_base::model::names::{WORDS, canonical};
use tinyrun_base::model::{
    BertConfig, LoadedModel, ModelRef, TokenMap, Weights, load_model, read_config,
};

use super::fixture::{
    assert_close, device, intermediate, json, laid_both_ways, losses, model, path, slack, teacher,
    tensor, tensors, weights,
};
use super::resume::{job, run};
use crate::batch::{Amounts, Batch};
use crate::dropout::reseed;
use crate::encoder::{Classifier, Encoder, Linear, Wanted};
use crate::folder::projection_names;
use crate::objective::{Share, Student};
use crate::parameters::Parameters;
use crate::stop::Stop;

const TOLERANCE: f64 = 1e-5;

/// Families with fixtures of their own, by `model_type`.
const FAMILIES: [&str; 2] = ["distilbert", "mpnet"];

fn file(family: &str) -> Weights {
    weights(&format!("{family}.safetensors"))
}

fn document(family: &str) -> serde_json::Value {
    json(&format!("{family}.json"))
}

/// The configuration of `teacher` or `student` of the fixture, without dropout.
fn config(family: &str, name: &str) -> BertConfig {
    let folder = tempfile::tempdir().expect("a folder");
    let text = document(family)[name]["config"].to_string();
    std::fs::write(folder.path().join("config.json"), text).expect("written");
    let config = BertConfig::read(folder.path()).expect("a configuration");
    BertConfig {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        seq_classif_dropout: config.seq_classif_dropout.map(|_| 0.0),
        ..config
    }
}

/// Tensors of `transformers` under `prefix`, under the names that they have here.
fn named(file: &Weights, prefix: &str, config: &BertConfig) -> BTreeMap<String, Tensor> {
    let known = |name: &str| canonical(name, config.family).expect("a tensor that is needed");
    let found = tensors(file, prefix).into_iter();
    found.map(|(name, tensor)| (known(&name), tensor)).collect()
}

/// A model of the fixture as trainable leaves, with a projection where it has one.
fn student(family: &str, name: &str) -> (Student, Parameters) {
    let (file, config) = (file(family), config(family, name));
    let parameters = Parameters::new(named(&file, &format!("{name}.weights."), &config));
    let parameters = parameters.trainable(device());
    let has_projection = parameters.contains("fit_dense.weight");
    let projections = projection_names(Projection::Shared, config.num_hidden_layers + 1);
    let projections = projections.iter().filter(|_| has_projection);
    let student = Student {
        encoder: Encoder::either(&parameters, &config, Kind::Float),
        classifier: Some(Classifier::new(&parameters, &config, HeadKind::Plain)),
        projections: projections
            .map(|name| Linear::new(&parameters, name))
            .collect(),
    };
    (student, parameters)
}

/// Every gradient of `total` by name; of a parameter without one, there must be none in PyTorch.
fn check_gradients(
    what: &str,
    total: &Tensor,
    parameters: &Parameters,
    expected: &BTreeMap<String, Tensor>,
) {
    assert!(expected.len() > 20);
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    let gradients = Tensor::run_backward(&[total], &leaves, false, false);
    for (name, gradient) in names.iter().zip(&gradients) {
        let what = format!("{what}: gradient of {name}");
        match expected.get(*name) {
            // Softmax does not see a key's bias: on both sides there is rounding alone.
            Some(expected) if largest(expected) < 1e-6 && name.ends_with("key.bias") => {
                let found = largest(gradient);
                assert!(found < 1e-6, "{what} is {found:e}");
            }
            Some(expected) => assert_close(&what, gradient, expected, 5.0 * TOLERANCE),
            None => assert!(!gradient.defined(), "{what} is not in PyTorch"),
        }
    }
}

/// Every hidden state of real tokens.
fn check_states(
    (family, name): (&str, &str),
    encoder: &Encoder,
    (way, batch): (&str, &Batch),
    layers: usize,
) {
    let file = file(family);
    let output = no_grad(|| encoder.forward_t(batch, Wanted::Everything, false));
    assert_eq!(output.hidden_states.len(), layers + 1);
    let (_, padded) = &laid_both_ways(&file, "")[0];
    let mask = padded.token_mask.as_ref().expect("the batch has padding");
    let real = mask.flatten(0, -1).nonzero().squeeze_dim(1);
    let tokens = |states: &Tensor| states.flatten(0, 1).index_select(0, &real);
    for (index, hidden) in output.hidden_states.iter().enumerate() {
        let key = format!("{name}.hidden_states.{index}");
        let what = format!("{way} {family} {key}");
        let found = match hidden.dim() {
            2 => hidden.shallow_clone(),
            _ => tokens(hidden),
        };
        let expected = tokens(&tensor(&file, &key));
        assert_close(&what, &found, &expected, TOLERANCE);
    }
}

#[test]
fn states_scores_logits_and_gradients_are_those_of_transformers() {
    for family in FAMILIES {
        for name in ["teacher", "student"] {
            check_forward(family, name);
            check_scores(family, name);
        }
    }
}

fn check_forward(family: &str, name: &str) {
    let (file, document) = (file(family), document(family));
    let (student, parameters) = student(family, name);
    let config = config(family, name);
    let wanted = document[name]["loss"].as_f64().expect("a loss");
    let mut expected = named(&file, &format!("{name}.gradients."), &config);
    expected.retain(|name, _| !name.starts_with("fit_dense"));
    for (way, batch) in laid_both_ways(&file, "") {
        let what = format!("{way} {family} {name}");
        let layers = config.num_hidden_layers;
        check_states((family, name), &student.encoder, (way, &batch), layers);
        let logits = tensor(&file, &format!("{name}.logits"));
        assert_close(&what, &student.logits(&batch, false), &logits, TOLERANCE);
        let found = losses(&Objective::Labels, &student, None, &batch, Share::WHOLE);
        let loss = found.total.double_value(&[]);
        let slack = slack() * TOLERANCE * wanted;
        assert!((loss - wanted).abs() <= slack, "{what}: {loss}");
        check_gradients(&what, &found.total, &parameters, &expected);
    }
}

/// Scores of real queries and keys: beside -10000 every one would be close, and what stands for padding
/// has other positions in `transformers`.
fn check_scores(family: &str, name: &str) {
    let file = file(family);
    let (student, _) = student(family, name);
    let (_, padded) = &laid_both_ways(&file, "")[0];
    let mask = padded.token_mask.as_ref().expect("the batch has padding");
    let queries = mask.unsqueeze(1).unsqueeze(-1);
    let output = student.encoder.forward_t(padded, Wanted::Everything, false);
    for (index, scores) in output.attention_scores.iter().enumerate() {
        let key = format!("{name}.attention_scores.{index}");
        let real = |scores: &Tensor| scores.masked_fill(&scores.le(-5000.0), 0.0) * &queries;
        let wanted = real(&tensor(&file, &key));
        assert_close(
            &format!("{family} {key}"),
            &real(scores),
            &wanted,
            TOLERANCE,
        );
    }
}

#[test]
fn a_folder_with_a_head_of_pre_training_is_an_encoder_without_pooler() {
    for family in FAMILIES {
        let (loaded, parameters) = model(&format!("{family}-mlm"));
        assert!(!loaded.has_pooler && !loaded.has_classifier());
        assert!(loaded.weights.names().all(|name| name.starts_with("bert.")));
        let parameters = parameters.frozen(device(), Kind::Float);
        let encoder = Encoder::either(&parameters, &loaded.config, Kind::Float);
        for (way, batch) in laid_both_ways(&file(family), "") {
            check_states((family, "bare"), &encoder, (way, &batch), 2);
        }
    }
}

#[test]
fn distillation_losses_and_their_gradients_are_pytorchs() {
    for family in FAMILIES {
        let document = document(family);
        let number = |key: &str| match &document["losses"][key] {
            serde_json::Value::Array(parts) => {
                parts.iter().filter_map(serde_json::Value::as_f64).sum()
            }
            loss => loss.as_f64().expect("a loss"),
        };
        let layers = number("attention") + number("hidden");
        check_losses(
            family,
            "intermediate",
            &intermediate(Reduction::Tokens),
            layers,
        );
        let prediction = Objective::Prediction {
            temperature: 1.0,
            reduction: SoftLossReduction::BatchAndClasses,
            soft_loss_weight: 1.0,
            hard_label_weight: 0.0,
        };
        check_losses(family, "prediction", &prediction, number("prediction"));
    }
}

/// A loss of the student under the teacher, and its gradients.
fn check_losses(family: &str, key: &str, objective: &Objective, wanted: f64) {
    let file = file(family);
    let (teacher, _) = teacher(&format!("{family}-tiny"));
    let expected = named(
        &file,
        &format!("{key}.gradients."),
        &config(family, "student"),
    );
    for (way, batch) in laid_both_ways(&file, "") {
        let what = format!("{way} {family} {key}");
        let (student, parameters) = student(family, "student");
        let found = losses(objective, &student, Some(&teacher), &batch, Share::WHOLE);
        let loss = found.total.double_value(&[]);
        let slack = slack() * TOLERANCE * wanted;
        assert!(
            (loss - wanted).abs() <= slack,
            "{what}: {loss}, expected {wanted}"
        );
        check_gradients(&what, &found.total, &parameters, &expected);
    }
}

/// Hidden state 1 of a layer whose attention adds 1 everywhere and whose feed-forward part adds
/// nothing, and what it is without dropout of attention's output, from the dropped hidden state 0.
fn states_with_dropout(config: &BertConfig, parameters: Parameters, batch: &Batch) -> [Tensor; 2] {
    let mut parameters = parameters;
    let layer = "bert.encoder.layer.0";
    for (name, value) in [
        ("attention.output.dense.weight", 0.0),
        ("attention.output.dense.bias", 1.0),
        ("output.dense.weight", 0.0),
        ("output.dense.bias", 0.0),
    ] {
        let name = format!("{layer}.{name}");
        let filled = parameters.get(&name).full_like(value);
        parameters.insert(&name, filled);
    }
    let config = BertConfig {
        num_hidden_layers: 1,
        hidden_dropout_prob: 0.5,
        ..config.clone()
    };
    let encoder = Encoder::either(&parameters, &config, Kind::Float);
    reseed(3, Amounts::NONE);
    let output = no_grad(|| encoder.forward_t(batch, Wanted::Everything, true));
    let norm = |x: &Tensor, name: &str| {
        let part = |part: &str| parameters.get(&format!("{layer}.{name}.LayerNorm.{part}"));
        let (weight, bias) = (part("weight"), part("bias"));
        x.layer_norm(weight.size(), Some(&weight), Some(&bias), 1e-12, true)
    };
    let [embedded, found] = &output.hidden_states[..] else {
        panic!("two states")
    };
    let attended = norm(&(embedded + 1.0), "attention.output");
    [found.shallow_clone(), norm(&attended, "output")]
}

#[test]
fn attentions_output_is_dropped_out_in_a_bert_and_not_in_a_distilbert() {
    let close =
        |[found, expected]: [Tensor; 2]| (found - expected).abs().max().double_value(&[]) < 1e-4;
    for (_, batch) in laid_both_ways(&file("distilbert"), "") {
        let of = |folder: &str| {
            let (loaded, parameters) = model(folder);
            states_with_dropout(&loaded.config, parameters, &batch)
        };
        assert!(close(of("distilbert-tiny")));
        assert!(!close(of("bert-tiny")));
    }
}

/// A student of a teacher of its family, trained from random weights in `folder`, and its own tensor
/// names.
fn trained(family: &str, folder: &Path, objective: Objective) -> (LoadedModel, Vec<String>) {
    let mut job = job(folder, objective);
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    train.student.weights = None;
    train.student.config = config(family, "student");
    train.student.tokenizer = path("bert-tiny");
    if let Some(teacher) = &mut train.teacher {
        teacher.folder = path(&format!("{family}-tiny")).into();
    }
    run(&job, &Stop::default()).expect("it trains");
    let written = folder.join("out/model");
    let raw = Weights::open(&written).expect("weights");
    let names = raw.names().map(str::to_owned).collect();
    (load_model(&written).expect("a model"), names)
}

#[test]
fn a_written_student_has_transformers_names_and_a_tokenizer_without_token_types() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        let layers = intermediate(Reduction::Tokens);
        let (encoder, names) = trained(family, folder.path(), layers);
        assert!(!encoder.has_pooler && !encoder.has_classifier());
        let prefix = format!("{family}.");
        assert!(names.iter().all(|name| name.starts_with(&prefix)));
        let folder = tempfile::tempdir().expect("a folder");
        let (classifier, names) = trained(family, folder.path(), Objective::Labels);
        assert_eq!(classifier.num_labels, Some(3));
        let expected = tensors(&file(family), "student.weights.");
        let mut expected: Vec<String> = expected.into_keys().collect();
        expected.retain(|name| !name.starts_with("fit_dense"));
        assert_eq!(names, expected);
        let tokenizer = folder.path().join("out/model/tokenizer_config.json");
        let text = std::fs::read_to_string(tokenizer).expect("a tokenizer");
        let config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            config["model_input_names"],
            serde_json::json!(["input_ids", "attention_mask"])
        );
    }
}

/// Ids of data that have the vocabulary of `bert-student` in another order, and three tokens that it lacks.
fn shuffled_ids() -> TokenMap {
    // 5 and 13 undo each other modulo 64.
    let times = |factor: u32| (0..64).map(move |id| id * factor % 64);
    TokenMap {
        rows: times(5).chain([1, 2, 3]).collect(),
        own: times(13).collect(),
        pad: 0,
        own_pad: 0,
    }
}

/// The weights of `bert-student` fine-tuned on rows whose ids are given by `id`.
fn fine_tuned(tokens: Option<TokenMap>, id: impl Fn(u32) -> u32) -> BTreeMap<String, Tensor> {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let store = folder.path().join("store");
    let mut writer =
        StoreWriter::create(&store, StoreMeta::new(12, 64, 0, labels)).expect("a store");
    for row in 0_u32..30 {
        let ids = (0..4 + row % 8).map(|at| id(5 + (row * 7 + at * 3) % 59));
        let ids: Vec<u32> = ids.collect();
        writer
            .push(&ids, ids.len(), Some((row % 3) as f32))
            .expect("a row");
    }
    writer.finish().expect("a store");
    let mut job = job(folder.path(), Objective::Labels);
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    let mut weights = ModelRef::from(path("bert-student"));
    weights.stated.tokens = tokens;
    train.student.config = read_config(&weights, &weights.stated).expect("a configuration");
    train.student.weights = Some(weights);
    train.student.tokenizer = path("bert-student");
    run(&job, &Stop::default()).expect("it trains");
    let written = load_model(&folder.path().join("out/model")).expect("a model");
    assert_eq!(
        (written.config.vocab_size, written.config.pad_token_id),
        (64, 0)
    );
    let names = written.weights.names();
    let numbers = names.map(|name| {
        let numbers = written.weights.to_f32(name).expect("numbers");
        (name.to_owned(), Tensor::from_slice(&numbers))
    });
    numbers.collect()
}

#[test]
fn a_student_that_reads_other_ids_learns_and_is_written_as_with_its_own() {
    let own = fine_tuned(None, |id| id);
    let of_data = shuffled_ids().own;
    let found = fine_tuned(Some(shuffled_ids()), |id| of_data[id as usize]);
    assert_eq!(found.len(), own.len());
    for (name, expected) in &own {
        assert_close(name, &found[name], expected, TOLERANCE);
    }
    // Ids of the data without the map are other words.
    let wrong = fine_tuned(None, |id| of_data[id as usize]);
    let gap = (&wrong[WORDS] - &own[WORDS]).abs().max().double_value(&[]);
    assert!(gap > 1e-3, "{gap}");
}
