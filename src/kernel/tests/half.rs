//! Half precision: widened products are those of libtorch's own, and both formats stay near fp32.

use tch::{Device, Kind, Tensor, no_grad};

use super::fixture::{assert_close, batch, model, tensor, weights};
use crate::bert::{Bert, Linear, Wanted};
use crate::parameters::Parameters;

#[test]
fn half_precision_stays_near_fp32() {
    let expected = weights("forward.safetensors");
    let batch = batch(&expected, "");
    // Of the largest number: 8 and 11 bits are told apart.
    for (kind, tolerance) in [(Kind::BFloat16, 0.1), (Kind::Half, 0.02)] {
        let (loaded, parameters) = model("bert-tiny");
        let parameters = parameters.frozen(Device::Cpu, kind);
        let bert = Bert::new(&parameters, &loaded.config, kind);
        let output = no_grad(|| bert.forward_t(&batch, Wanted::Everything, false));
        assert_eq!(output.last().kind(), kind);
        let last = output.last().to_kind(Kind::Float);
        let wanted = tensor(&expected, "hidden_states.3");
        assert_close("last hidden state", &last, &wanted, tolerance);
    }
}

#[test]
fn a_product_of_halves_is_libtorchs_own_to_a_unit_in_the_last_place() {
    tch::manual_seed(1);
    for (kind, unit) in [
        (Kind::BFloat16, 2_f64.powi(-8)),
        (Kind::Half, 2_f64.powi(-11)),
    ] {
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
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
