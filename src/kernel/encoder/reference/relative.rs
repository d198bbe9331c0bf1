//! Relative positions as MindSpore's BERT defines them (docs/concepts/models.md#relative-positions).

use tch::{Kind, Tensor};
use tinyrun_base::model::config::MAX_RELATIVE_DISTANCE;

use crate::encoder::linear::cast;
use crate::encoder::product::matmul;
use crate::parameters::Parameters;

/// A layer's table of distances, `[33, d/h]`: one for its heads, and for keys and values.
#[derive(Debug)]
pub(super) struct RelativePositions {
    table: Tensor,
}

impl RelativePositions {
    /// The table below `{attention}` (`bert.encoder.layer.N.attention.self`).
    pub(super) fn new(parameters: &Parameters, attention: &str) -> Self {
        Self {
            table: parameters.get(&format!("{attention}.relative_positions.weight")),
        }
    }

    /// `R[f, t] = table[clip(t - f, -16, 16) + 16]`, `[L, L, d/h]` in `kind`.
    pub(super) fn of(&self, length: i64, kind: Kind) -> Tensor {
        let positions = Tensor::arange(length, (Kind::Int64, self.table.device()));
        let furthest = MAX_RELATIVE_DISTANCE as i64;
        let distance = positions.unsqueeze(0) - positions.unsqueeze(1);
        let index = distance.clamp(-furthest, furthest) + furthest;
        let rows = self.table.index_select(0, &index.view(-1));
        cast(&rows, kind).view([length, length, -1])
    }
}

/// `Σ_i left[b, h, f, i] table[f, i, j]`: `left` `[B, h, L, I]`, `table` `[L, I, J]` to `[B, h, L, J]`.
pub(super) fn by_position(left: &Tensor, table: &Tensor) -> Tensor {
    let (rows, heads, length, inner) = left.size4().expect("a tensor of heads has four dimensions");
    let of_position = left.permute([2, 0, 1, 3]);
    let of_position = of_position.reshape([length, rows * heads, inner]);
    let product = matmul(&of_position, table);
    product
        .view([length, rows, heads, -1])
        .permute([1, 2, 0, 3])
}
