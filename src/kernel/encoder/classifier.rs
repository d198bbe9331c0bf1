//! The head on an encoder: pooler and classifier.

use tch::{Kind, Tensor};
use tinyrun::job::HeadKind;
use tinyrun::model::config::BertConfig;
use tinyrun::model::names::POOLER;

use super::linear::Linear;
use crate::dropout::dropout;
use crate::parameters::Parameters;

/// Pooler and classifier.
#[derive(Debug)]
pub(crate) struct Classifier {
    pooler: Linear,
    output: Linear,
    head: HeadKind,
    dropout: f64,
}

impl Classifier {
    /// The parameters `bert.pooler.dense` and `classifier`.
    pub(crate) fn new(parameters: &Parameters, config: &BertConfig, head: HeadKind) -> Self {
        Self {
            pooler: Linear::new(parameters, POOLER),
            output: Linear::new(parameters, "classifier"),
            head,
            dropout: config.hidden_dropout_prob,
        }
    }

    /// Last hidden state, of the first token at least, `[B, .., d]` to logits `[B, classes]` in fp32.
    pub(crate) fn forward_t(&self, last: &Tensor, train: bool) -> Tensor {
        let pooled = self.pooler.forward(&last.select(1, 0)).tanh();
        let read = match self.head {
            HeadKind::Plain => dropout(&pooled, self.dropout, train),
            HeadKind::Relu => pooled.relu(),
        };
        self.output.forward(&read).to_kind(Kind::Float)
    }
}
