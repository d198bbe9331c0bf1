//! Floating-point operations that a model needs, and those that the device can do.

use std::time::Instant;

use tch::{Tensor, no_grad};
use tinyrun_base::model::BertConfig;

use crate::batch::Amounts;
use crate::device::Compute;
use crate::encoder::matmul;

/// Operations of a forward pass: the products of the encoder, a multiplication and an addition counted as
/// two (as Chowdhery et al. 2022, arXiv 2204.02311, appendix B). Padding counts for nothing. Where a
/// classifier reads the `first` tokens alone, the last layer makes keys and values of the others only.
pub(crate) fn forward(config: &BertConfig, batch: Amounts, first: bool) -> f64 {
    let (d, inner) = (config.hidden_size as f64, config.intermediate_size as f64);
    let (rows, tokens) = (batch.rows as f64, batch.tokens as f64);
    let whole = tokens * (8.0 * d * d + 4.0 * d * inner) + batch.squared_lengths as f64 * 4.0 * d;
    let layers = config.num_hidden_layers as f64;
    if !first || config.use_relative_positions || config.num_hidden_layers == 0 {
        return layers * whole;
    }
    let last = tokens * (4.0 * d * d + 4.0 * d) + rows * (4.0 * d * d + 4.0 * d * inner);
    (layers - 1.0) * whole + last
}

/// Operations a second of the device's own large product in the format of the run, the best of a few.
pub(crate) fn peak(compute: Compute) -> f64 {
    let n = if compute.device.is_cuda() { 4096 } else { 1024 };
    let factor = Tensor::ones([n, n], (compute.kind, compute.device));
    let product = || {
        let start = Instant::now();
        let product = no_grad(|| matmul(&factor, &factor));
        // Reading a number waits for the device.
        let _ = product.double_value(&[0, 0]);
        start.elapsed().as_secs_f64()
    };
    // The first one prepares what the others find ready.
    let _ = product();
    let best = (0..4).map(|_| product()).fold(f64::INFINITY, f64::min);
    2.0 * (n as f64).powi(3) / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_model_needs_what_its_products_sum_to() {
        let config: BertConfig = serde_json::from_value(serde_json::json!({
            "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512,
        }))
        .expect("a configuration");
        let of = |rows, tokens, squared_lengths, first| {
            let batch = Amounts {
                rows,
                tokens,
                squared_lengths,
            };
            forward(&config, batch, first).to_bits()
        };
        // 12 layers of four 768x768 and two 768x3072 matrices: 84,934,656 weights, twice a token.
        assert_eq!(
            of(1, 10, 0, false),
            (10.0_f64 * 2.0 * 84_934_656.0).to_bits()
        );
        // The scores and the context: 2 L² d each, a row.
        let scores = 12.0_f64 * 4.0 * 4096.0 * 768.0;
        assert_eq!(of(1, 0, 64 * 64, false), scores.to_bits());
        // Of a row of one token the first is all there is.
        assert_eq!(of(1, 1, 1, true), of(1, 1, 1, false));
        assert!(f64::from_bits(of(1, 64, 4096, true)) < f64::from_bits(of(1, 64, 4096, false)));
    }
}
