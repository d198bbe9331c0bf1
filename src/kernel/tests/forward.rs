//! The forward pass against `transformers`.

use tch::{Tensor, no_grad};

use super::fixture::{assert_close, batch, device, teacher, tensor, weights};
use crate::batch::{Batch, Block};
use crate::encoder::{Output, Wanted};

const TOLERANCE: f64 = 1e-5;

fn check(folder: &str) {
    let expected = weights("forward.safetensors");
    let batch = batch(&expected, "");
    let (teacher, layers) = teacher(folder);
    let output = no_grad(|| teacher.encoder.forward_t(&batch, Wanted::Everything, false));
    assert_eq!(output.hidden_states.len(), layers + 1);
    for (index, hidden) in output.hidden_states.iter().enumerate() {
        let name = format!("hidden_states.{index}");
        assert_close(&name, hidden, &tensor(&expected, &name), TOLERANCE);
    }
    for (index, scores) in output.attention_scores.iter().enumerate() {
        let name = format!("attention_scores.{index}");
        let expected = tensor(&expected, &name);
        // Beside -10000 every real score would be close.
        let real = |scores: &Tensor| scores.masked_fill(&scores.le(-5000.0), 0.0);
        assert_close(&name, &real(scores), &real(&expected), TOLERANCE);
        assert_eq!(
            scores.le(-5000.0),
            expected.le(-5000.0),
            "masked cells of {name}"
        );
    }
    let logits = no_grad(|| {
        teacher
            .classifier
            .expect("it has one")
            .forward_t(output.last(), false)
    });
    assert_close("logits", &logits, &tensor(&expected, "logits"), TOLERANCE);
}

#[test]
fn every_hidden_state_score_and_logit_is_that_of_transformers() {
    check("bert-tiny");
}

#[test]
fn a_pickled_model_with_old_names_computes_the_same() {
    check("bert-tiny-bin");
}

#[test]
fn padding_changes_no_real_token() {
    let expected = weights("forward.safetensors");
    let padded = batch(&expected, "");
    let (teacher, _) = teacher("bert-tiny");
    let run = |batch: &Batch| -> Output {
        no_grad(|| teacher.encoder.forward_t(batch, Wanted::Everything, false))
    };
    let together = run(&padded);
    // Row 3 is the shortest: 4 of 12 positions are real.
    let ids: Vec<u32> = Vec::<i64>::try_from(padded.input_ids.get(3))
        .expect("ids")
        .iter()
        .take(4)
        .map(|&id| id as u32)
        .collect();
    let row = crate::batch::Row {
        ids: &ids,
        text_b_start: 4,
        label: None,
    };
    let alone = run(&Batch::of(&Block::from_rows(&[row], 0, 0), device()));
    assert_close(
        "row 3",
        &alone.last().get(0),
        &together.last().get(3).narrow(0, 0, 4),
        TOLERANCE,
    );
}

#[test]
fn the_first_token_alone_is_that_of_the_whole_last_layer() {
    let file = weights("forward.safetensors");
    let batch = batch(&file, "");
    let (teacher, _) = teacher("bert-tiny");
    let run = |wanted| no_grad(|| teacher.encoder.forward_t(&batch, wanted, false));
    let whole = run(Wanted::Everything);
    // The one goes through libtorch's own attention, the other through that of training.
    let first = run(Wanted::First);
    assert!(first.attention_scores.is_empty());
    let whole = whole.last().narrow(1, 0, 1);
    assert_close("the first token", first.last(), &whole, TOLERANCE);
}
