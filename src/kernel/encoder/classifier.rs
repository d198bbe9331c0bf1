//! The head on an encoder: pooler and classifier.

use tch::{Kind, Tensor};
use tinyrun_base::job::HeadKind;
use tinyrun_base::model::config::BertConfig;
use tinyrun_base::model::family::Pooling;
use tinyrun_base::model::names::POOLER;

use super::linear::Linear;
use crate::dropout::dropout;
use crate::parameters::Parameters;

/// Pooler and classifier.
#[derive(Debug)]
pub(crate) struct Classifier {
    pooler: Linear,
    output: Linear,
    pools: Pooling,
    head: HeadKind,
    dropout: f64,
    /// Of what the pooler reads.
    input_dropout: f64,
}

impl Classifier {
    /// The parameters `bert.pooler.dense` and `classifier`.
    pub(crate) fn new(parameters: &Parameters, config: &BertConfig, head: HeadKind) -> Self {
        Self {
            pooler: Linear::new(parameters, POOLER),
            output: Linear::new(parameters, "classifier"),
            pools: config.family.pools,
            // The head of BERT's students means nothing to a family with a head of its own.
            head: if config.family.has_own_head() {
                HeadKind::Plain
            } else {
                head
            },
            dropout: config.classifier_dropout(),
            input_dropout: if config.family.classifier_input_dropout {
                config.classifier_dropout()
            } else {
                0.0
            },
        }
    }

    /// Last hidden state, of the first token at least, `[B, .., d]` to logits `[B, classes]` in fp32.
    pub(crate) fn forward_t(&self, last: &Tensor, train: bool) -> Tensor {
        let first = dropout(&last.select(1, 0), self.input_dropout, train);
        let dense = self.pooler.forward(&first);
        let read = match (self.pools, self.head) {
            (Pooling::Tanh, HeadKind::Plain) => dropout(&dense.tanh(), self.dropout, train),
            (Pooling::Tanh, HeadKind::Relu) => dense.tanh().relu(),
            (Pooling::Relu, _) => dropout(&dense.relu(), self.dropout, train),
        };
        self.output.forward(&read).to_kind(Kind::Float)
    }
}
