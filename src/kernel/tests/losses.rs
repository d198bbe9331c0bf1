//! Losses and their gradients against an independent PyTorch script.

use std::sync::Arc;

use tch::{Device, Tensor, no_grad};
use tinyrun_base::job::{Objective, Reduction, SoftLossReduction};

use super::fixture::{
    assert_close, batch, batch_of, block_of, intermediate, json, laid_both_ways, losses, rows,
    slack, student, teacher, tensors, weights,
};
use crate::batch::Batch;
use crate::losses::soft_cross_entropy;
use crate::objective::{Share, part_names};
use crate::target::Target;

const TOLERANCE: f64 = 1e-5;

/// Losses by name and every gradient by name, of rows that are padded and, where there is no loss over the block, not.
fn check(objective: &Objective, gradients_of: &str, values: &[(&str, f64)]) {
    let file = weights("losses.safetensors");
    let over_the_block = gradients_of == "block";
    for (way, batch) in laid_both_ways(&file, "") {
        if way == "padded" || !over_the_block {
            check_batch(objective, gradients_of, values, (way, &batch));
        }
    }
}

fn check_batch(
    objective: &Objective,
    gradients_of: &str,
    values: &[(&str, f64)],
    (way, batch): (&str, &Batch),
) {
    let file = weights("losses.safetensors");
    let (student, parameters) = student();
    let (teacher, _) = teacher("bert-tiny");
    let found = losses(objective, &student, Some(&teacher), batch, Share::WHOLE);
    let names = part_names(objective);
    for (name, value) in values {
        let place = names.iter().position(|n| n == name).expect(name);
        let part = found.parts[place].double_value(&[]);
        assert!(
            (part - value).abs() <= slack() * TOLERANCE * value,
            "{way} {name}: {part} for {value}"
        );
    }
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
    let expected = tensors(&file, &format!("gradients.{gradients_of}."));
    assert!(!expected.is_empty());
    for (name, gradient) in names.iter().zip(&gradients) {
        let what = format!("{way} {name}");
        match expected.get(*name) {
            Some(expected) => assert_close(&what, gradient, expected, 2.0 * TOLERANCE),
            None => assert!(
                !gradient.defined(),
                "`{what}` has a gradient, in PyTorch it has none"
            ),
        }
    }
}

fn intermediate_values(reduction: &str) -> Vec<(String, f64)> {
    let document = json("losses.json");
    let found = &document["intermediate"][reduction];
    let mut values = vec![];
    for (key, stem) in [("attention", "attention_loss"), ("hidden", "hidden_loss")] {
        let parts: Vec<f64> = found[key]
            .as_array()
            .expect(key)
            .iter()
            .map(|v| v.as_f64().expect("a loss"))
            .collect();
        values.push((stem.to_owned(), parts.iter().sum()));
        values.extend(
            parts
                .iter()
                .enumerate()
                .map(|(i, &v)| (format!("{stem}_{i}"), v)),
        );
    }
    values
}

#[test]
fn intermediate_losses_over_real_tokens_and_their_gradients_are_pytorchs() {
    let values = intermediate_values("tokens");
    let values: Vec<(&str, f64)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    check(&intermediate(Reduction::Tokens), "tokens", &values);
}

#[test]
fn intermediate_losses_over_the_padded_block_and_their_gradients_are_pytorchs() {
    let values = intermediate_values("block");
    let values: Vec<(&str, f64)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    check(&intermediate(Reduction::Block), "block", &values);
}

#[test]
fn gradients_of_the_prediction_loss_are_pytorchs() {
    let objective = Objective::Prediction {
        temperature: 1.0,
        reduction: SoftLossReduction::BatchAndClasses,
        soft_loss_weight: 1.0,
        hard_label_weight: 0.0,
    };
    check(&objective, "prediction", &[]);
}

#[test]
fn soft_cross_entropy_has_no_squared_temperature_and_divides_by_the_classes_when_told() {
    let batch = batch(&weights("losses.safetensors"), "");
    let (student, _) = student();
    let (teacher, _) = teacher("bert-tiny");
    let (student, teacher) = no_grad(|| {
        let last = teacher
            .encoder
            .forward_t(&batch, crate::encoder::Wanted::First, false);
        let logits = teacher
            .classifier
            .as_ref()
            .expect("a head")
            .forward_t(last.last(), false);
        (student.logits(&batch, false), logits)
    });
    let document = json("losses.json");
    let cases = document["soft_cross_entropy"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let number = |key: &str| case[key].as_f64().expect("a number");
        let (temperature, expected) = (number("temperature"), number("loss"));
        let reduction = if case["reduction"] == "batch" {
            SoftLossReduction::Batch
        } else {
            SoftLossReduction::BatchAndClasses
        };
        let found =
            soft_cross_entropy(&student, &teacher, temperature, reduction).double_value(&[]);
        assert!(
            (found - expected).abs() <= slack() * TOLERANCE * expected,
            "{case}: {found}"
        );
    }
}

#[test]
fn micro_batches_of_uneven_size_sum_to_the_gradients_of_the_whole_batch() {
    let file = weights("losses.safetensors");
    let rows = rows(&file, "");
    let (student, parameters) = student();
    let (teacher, _) = teacher("bert-tiny");
    let leaves: Vec<&Tensor> = parameters.iter().map(|(_, leaf)| leaf).collect();
    let objective = intermediate(Reduction::Tokens);
    let parts = [&rows[..3], &rows[3..]];
    let blocks = parts.map(|rows| block_of(rows).amounts());
    let gradients = |rows: &[(Vec<u32>, usize)], share: Share| {
        let batch = batch_of(rows);
        let found = losses(&objective, &student, Some(&teacher), &batch, share);
        Tensor::run_backward(&[&found.total], &leaves, false, false)
    };
    let whole = gradients(&rows, Share::WHOLE);
    let first = gradients(parts[0], Share::of(blocks[0], &blocks));
    let second = gradients(parts[1], Share::of(blocks[1], &blocks));
    for ((name, _), ((whole, first), second)) in
        parameters.iter().zip(whole.iter().zip(first).zip(second))
    {
        if whole.defined() {
            assert_close(name, &(first + second), whole, 1e-4);
        }
    }
}

#[test]
fn the_gradient_of_a_batchs_words_is_the_tables_where_the_table_has_one() {
    let file = weights("losses.safetensors");
    let (student, parameters) = student();
    let (teacher, _) = teacher("bert-tiny");
    let objective = intermediate(Reduction::Tokens);
    let words = parameters.get("bert.embeddings.word_embeddings.weight");
    let rows = rows(&file, "");
    let mut block = block_of(&rows);
    let mut used: Vec<i64> = rows
        .iter()
        .flat_map(|(ids, _)| ids)
        .map(|&id| i64::from(id))
        .collect();
    // Padding, and a word of another part of the step.
    used.extend([0, 7]);
    used.sort_unstable();
    used.dedup();
    let used: Arc<[i64]> = used.into();
    block.use_words(0, &used);
    let mut batch = Batch::of(&block, Device::Cpu);
    let target = Target::of(&objective, Some(&teacher), &batch);
    let gradient = |batch: &Batch, leaf: &Tensor| {
        let found = crate::objective::losses(&objective, &student, &target, batch, Share::WHOLE);
        Tensor::run_backward(&[&found.total], &[leaf], false, false).remove(0)
    };
    let whole = gradient(&batch, &words);
    let leaf = batch.take_words(&block, &words).expect("words were found");
    let of_rows = gradient(&batch, &leaf);
    let ids = Tensor::from_slice(&used);
    assert_close("rows", &of_rows, &whole.index_select(0, &ids), 1e-6);
    // Nothing is lost, and the padding token has none.
    let sums = [&of_rows, &whole].map(|t| t.abs().sum(tch::Kind::Double).double_value(&[]));
    assert!((sums[0] - sums[1]).abs() < 1e-6 * sums[1], "{sums:?}");
    assert!(whole.get(0).abs().max().double_value(&[]) < 1e-12);
}
