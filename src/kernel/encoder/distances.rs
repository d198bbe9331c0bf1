//! A bias of the attention scores for each distance of two tokens, one table for all layers, as MPNet has it
//! (docs/concepts/models.md#mpnet).

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;
use tinyrun_base::model::names::RELATIVE_BIAS;

use crate::parameters::Parameters;

/// Distances in one direction that have a bucket each; longer ones share the others.
const EXACT: i64 = 8;
/// Buckets of a direction.
const BUCKETS: i64 = 16;
/// From this distance on all share the last bucket.
const FURTHEST: f32 = 128.0;

/// The table of buckets, `[32, heads]`.
#[derive(Debug)]
pub(super) struct DistanceBias {
    table: Tensor,
}

impl DistanceBias {
    /// The table of a family that has one.
    pub(super) fn new(parameters: &Parameters, config: &BertConfig) -> Option<Self> {
        let has_one = config.relative_buckets.is_some();
        has_one.then(|| Self {
            table: parameters.get(RELATIVE_BIAS),
        })
    }

    /// `[heads, 2 length - 1]` in fp32: at `length - 1 + key - query`.
    pub(super) fn by_distance(&self, length: i64) -> Tensor {
        let buckets: Vec<i64> = (1 - length..length).map(bucket).collect();
        let buckets = Tensor::from_slice(&buckets).to_device(self.table.device());
        let rows = self.table.to_kind(Kind::Float).index_select(0, &buckets);
        rows.transpose(0, 1).contiguous()
    }

    /// `[1, heads, length, length]` in `kind`, of queries and keys.
    pub(super) fn by_pair(&self, length: i64, kind: Kind) -> Tensor {
        let positions = Tensor::arange(length, (Kind::Int64, self.table.device()));
        let places = positions.unsqueeze(0) - positions.unsqueeze(1) + (length - 1);
        let bias = self.by_distance(length);
        let pairs = bias.index_select(1, &places.view(-1));
        pairs.view([1, -1, length, length]).to_kind(kind)
    }
}

/// The bucket of `key - query`, by T5's rule (`MPNetEncoder.relative_position_bucket` of `transformers`): near distances
/// one each, further ones by their logarithm, in fp32 as there.
fn bucket(distance: i64) -> i64 {
    let (side, distance) = if distance > 0 {
        (BUCKETS, distance)
    } else {
        (0, -distance)
    };
    if distance < EXACT {
        return side + distance;
    }
    let exact = EXACT as f32;
    let share = (distance as f32 / exact).ln() / (FURTHEST / exact).ln();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a small number, cut off as by the published code"
    )]
    let further = (share * (BUCKETS - EXACT) as f32) as i64;
    side + (EXACT + further).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::bucket;

    #[test]
    fn buckets_are_those_of_transformers() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/mpnet.json");
        let bytes = fs::read(file).expect("the fixture is there");
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let wanted = document["buckets"].as_array().expect("buckets");
        let furthest = wanted.len() as i64 / 2;
        for (distance, wanted) in (-furthest..=furthest).zip(wanted) {
            assert_eq!(Some(bucket(distance)), wanted.as_i64(), "{distance}");
        }
    }
}
