//! Half precision: widened products are those of libtorch's own, and both formats stay near fp32.

use tch::{Kind, Tensor, no_grad};
use tinyrun_base::job::{Objective, Reduction, SoftLossReduction};

use super::fixture::{
    assert_close, batch, device, intermediate, json, labelled_batch, losses, model, student_in,
    teacher_in, tensor, tensors, weights,
};
use super::noise;
use crate::encoder::{Encoder, Linear, Wanted};
use crate::objective::Share;
use crate::parameters::Parameters;

/// Of the largest number of a hidden state, of a loss, and of a gradient's root mean square: how far a format may be
/// from the fp32 of the fixtures. 8 and 11 bits are told apart.
struct Tolerance {
    state: f64,
    loss: f64,
    gradient: f64,
}

const BF16: Tolerance = Tolerance {
    state: 0.1,
    loss: 0.03,
    gradient: 0.1,
};

const FP16: Tolerance = Tolerance {
    state: 0.02,
    loss: 0.005,
    gradient: 0.02,
};

fn forward_is_near(kind: Kind, tolerance: &Tolerance) {
    let expected = weights("forward.safetensors");
    let batch = batch(&expected, "");
    let (loaded, parameters) = model("bert-tiny");
    let parameters = parameters.frozen(device(), kind);
    let encoder = Encoder::either(&parameters, &loaded.config, kind);
    let output = no_grad(|| encoder.forward_t(&batch, Wanted::Everything, false));
    assert_eq!(output.last().kind(), kind);
    let last = output.last().to_kind(Kind::Float);
    let wanted = tensor(&expected, "hidden_states.3");
    assert_close("last hidden state", &last, &wanted, tolerance.state);
}

/// Losses and gradients of an objective, whose loss in fp32 is `wanted`, in the format.
fn training_is_near(
    kind: Kind,
    tolerance: &Tolerance,
    (objective, name, wanted): (&Objective, &str, Option<f64>),
) {
    let file = weights("losses.safetensors");
    // Packed batches of bf16 are compared with padded ones in `unpadded`.
    let batch = labelled_batch(&file, "");
    let (student, parameters) = student_in(kind);
    let (teacher, _) = teacher_in("bert-tiny", kind);
    let found = losses(objective, &student, Some(&teacher), &batch, Share::WHOLE);
    let loss = found.total.double_value(&[]);
    if let Some(wanted) = wanted {
        let off = (loss - wanted).abs() / wanted;
        assert!(off <= tolerance.loss, "{name}: {loss} for {wanted}");
    }
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    // A scale that keeps fp16 from losing what is small, as training has it.
    let scale = if kind == Kind::Half { 1024.0 } else { 1.0 };
    let scaled = &found.total * scale;
    let gradients = Tensor::run_backward(&[&scaled], &leaves, false, false);
    let expected = tensors(&file, &format!("gradients.{name}."));
    assert!(!expected.is_empty());
    let squares = |t: &Tensor| t.square().sum(Kind::Double).double_value(&[]);
    let (mut apart, mut all) = (0.0, 0.0);
    for (parameter, gradient) in names.iter().zip(&gradients) {
        if let Some(expected) = expected.get(*parameter) {
            assert_eq!(gradient.kind(), Kind::Float, "{parameter}");
            apart += squares(&(gradient / scale - expected));
            all += squares(expected);
        }
    }
    let off = (apart / all).sqrt();
    assert!(
        off <= tolerance.gradient,
        "{name}: gradients are off by {off}"
    );
}

fn stays_near_fp32(kind: Kind, tolerance: &Tolerance) {
    forward_is_near(kind, tolerance);
    let document = json("losses.json");
    let parts = &document["intermediate"]["tokens"];
    let sum: f64 = ["attention", "hidden"]
        .iter()
        .flat_map(|part| parts[*part].as_array().expect("losses"))
        .map(|loss| loss.as_f64().expect("a loss"))
        .sum();
    let intermediate = intermediate(Reduction::Tokens);
    training_is_near(kind, tolerance, (&intermediate, "tokens", Some(sum)));
    let prediction = Objective::Prediction {
        temperature: 1.0,
        reduction: SoftLossReduction::BatchAndClasses,
        soft_loss_weight: 1.0,
        hard_label_weight: 0.0,
    };
    training_is_near(kind, tolerance, (&prediction, "prediction", None));
}

#[test]
fn bf16_stays_near_fp32_in_states_losses_and_gradients() {
    stays_near_fp32(Kind::BFloat16, &BF16);
}

#[test]
fn fp16_stays_near_fp32_in_states_losses_and_gradients() {
    stays_near_fp32(Kind::Half, &FP16);
}

#[test]
fn a_product_of_halves_is_libtorchs_own_to_a_unit_in_the_last_place() {
    let noise = noise(1);
    for (kind, unit) in [
        (Kind::BFloat16, 2_f64.powi(-8)),
        (Kind::Half, 2_f64.powi(-11)),
    ] {
        let random = |size: &[i64]| noise(size).to_kind(kind);
        let (x, weight, bias) = (random(&[7, 40]), random(&[30, 40]), random(&[30]));
        let tensors = [("l.weight", &weight), ("l.bias", &bias)];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
        let layer = Linear::new(&Parameters::new(tensors.into()), "l");
        let found = layer.forward(&x);
        assert_eq!(found.kind(), kind);
        let own = x.linear(&weight, Some(&bias)).to_kind(Kind::Float);
        let exact = x.to_kind(Kind::Double).linear(
            &weight.to_kind(Kind::Double),
            Some(bias.to_kind(Kind::Double)),
        );
        let off = |product: &Tensor| {
            let difference = (product.to_kind(Kind::Double) - &exact).abs();
            (difference / exact.abs().clamp_min(1.0))
                .max()
                .double_value(&[])
        };
        let (ours, theirs) = (off(&found.to_kind(Kind::Float)), off(&own));
        assert!(
            ours <= 2.0 * unit && theirs <= 2.0 * unit,
            "{kind:?}: {ours:e}, {theirs:e}"
        );
    }
}
