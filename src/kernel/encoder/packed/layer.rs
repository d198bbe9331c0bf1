//! One encoder layer over tokens without padding.

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use super::dense::{Dense, Norm};
use crate::batch::Unpadded;
use crate::dropout::{DropoutMask, Over};
use crate::encoder::activation::Activation;
use crate::native::{self, QkvInput};
use crate::parameters::Parameters;

/// Self-attention and feed-forward, each with residual and norm.
#[derive(Debug)]
pub(super) struct Layer {
    inputs: Inputs,
    attention_output: Dense,
    attention_norm: Norm,
    intermediate: Dense,
    activation: Activation,
    output: Dense,
    norm: Norm,
    heads: i64,
    attention_output_dropout: f64,
    hidden_dropout: f64,
    probs_dropout: f64,
}

/// What a layer makes of its tokens.
#[derive(Debug)]
pub(super) struct LayerOutput {
    /// `[T, d]`, or `[B, d]` of the first tokens.
    pub(super) hidden: Tensor,
    /// Undefined where they were not to be kept.
    pub(super) scores: Tensor,
    /// A scalar; 0 without a teacher.
    pub(super) squares: Tensor,
    /// `[T, 3 d]`; undefined where first tokens alone ask.
    pub(super) qkv: Tensor,
}

impl Layer {
    /// The parameters of encoder layer `index`, to be trained.
    pub(super) fn trained(parameters: &Parameters, index: usize, config: &BertConfig) -> Self {
        let dense = |name: &str| Dense::trained(parameters, name);
        let inputs = |names: [String; 3]| Inputs::Trained(names.map(|name| dense(&name)));
        Self::new(parameters, index, config, inputs, dense)
    }

    /// The same, only read, for activations of `kind`; `first` where its first tokens alone are.
    pub(super) fn frozen(
        parameters: &Parameters,
        index: usize,
        config: &BertConfig,
        kind: Kind,
        first: bool,
    ) -> Self {
        let frozen = |names: &[&str]| Dense::frozen(parameters, names, kind);
        let inputs = |[query, key, value]: [String; 3]| {
            if first {
                Inputs::FrozenFirst {
                    query: frozen(&[&query]),
                    key_and_value: frozen(&[&key, &value]),
                }
            } else {
                Inputs::Frozen(frozen(&[&query, &key, &value]))
            }
        };
        Self::new(parameters, index, config, inputs, |name| frozen(&[name]))
    }

    fn new(
        parameters: &Parameters,
        index: usize,
        config: &BertConfig,
        inputs: impl FnOnce([String; 3]) -> Inputs,
        dense: impl Fn(&str) -> Dense,
    ) -> Self {
        let name = format!("bert.encoder.layer.{index}");
        let norm = |part: &str| Norm::new(parameters, &format!("{name}.{part}.LayerNorm"), config);
        let input = |part: &str| format!("{name}.attention.self.{part}");
        Self {
            inputs: inputs(["query", "key", "value"].map(input)),
            attention_output: dense(&format!("{name}.attention.output.dense")),
            attention_norm: norm("attention.output"),
            intermediate: dense(&format!("{name}.intermediate.dense")),
            activation: Activation::named(&config.hidden_act),
            output: dense(&format!("{name}.output.dense")),
            norm: norm("output"),
            heads: config.num_attention_heads as i64,
            attention_output_dropout: config.attention_output_dropout(),
            hidden_dropout: config.hidden_dropout_prob,
            probs_dropout: config.attention_probs_dropout_prob,
        }
    }

    /// `x` `[T, d]` to the next hidden state `[T, d]`, or `[B, d]` of the `first` token of each row
    /// alone. `bias` is added to the scores by distance. With a teacher's scores the attention's distance from them; the scores where they
    /// are to be kept.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        first: bool,
        rows: &Unpadded,
        bias: Option<&Tensor>,
        (teacher, keeps_scores): (Option<&Tensor>, bool),
        train: bool,
    ) -> LayerOutput {
        let asking = first.then(|| x.index_select(0, &rows.first));
        let looked = self.inputs.of(x, asking.as_ref(), rows);
        let drop = DropoutMask::next(self.probs_dropout, train, Over::Pairs(self.heads));
        let width = x.size()[1];
        let over = if first {
            Over::Rows(width)
        } else {
            Over::Tokens(width)
        };
        let attended = native::attention(
            &looked,
            &rows.offsets,
            self.heads,
            drop,
            teacher,
            bias,
            keeps_scores,
        );
        let attended_output = native::linear_norm(
            &attended.context,
            self.attention_output.native(),
            asking.as_ref().unwrap_or(x),
            self.attention_norm.native(),
            DropoutMask::next(self.attention_output_dropout, train, over),
        );
        let inner = self
            .intermediate
            .forward(&attended_output, self.activation.native());
        LayerOutput {
            hidden: native::linear_norm(
                &inner,
                self.output.native(),
                &attended_output,
                self.norm.native(),
                DropoutMask::next(self.hidden_dropout, train, over),
            ),
            scores: attended.scores,
            squares: attended.squares,
            qkv: match looked {
                QkvInput::All(all) => all,
                QkvInput::First(..) => Tensor::new(),
            },
        }
    }
}

/// The products that make queries, keys and values.
#[derive(Debug)]
enum Inputs {
    Trained([Dense; 3]),
    /// One product for all three.
    Frozen(Dense),
    /// Of a layer whose first tokens alone are read.
    FrozenFirst {
        query: Dense,
        key_and_value: Dense,
    },
}

impl Inputs {
    /// What attention looks at, of the tokens `x` `[T, d]`; where first tokens alone ask, those
    /// are given.
    fn of(&self, x: &Tensor, first: Option<&Tensor>, rows: &Unpadded) -> QkvInput {
        let nothing = native::Activation::Nothing;
        let beside = |x: &Tensor, layers: &[&Dense]| {
            let layers: Vec<_> = layers.iter().map(|layer| layer.native()).collect();
            native::linear(x, &layers, nothing)
        };
        match (self, first) {
            (Self::Trained([query, key, value]), None) => {
                QkvInput::All(beside(x, &[query, key, value]))
            }
            (Self::Trained([query, key, value]), Some(first)) => {
                QkvInput::First(beside(first, &[query]), beside(x, &[key, value]))
            }
            (Self::Frozen(all), None) => QkvInput::All(all.forward(x, nothing)),
            (Self::Frozen(all), Some(_)) => {
                let (all, width) = (all.forward(x, nothing), x.size()[1]);
                let query = all.narrow(1, 0, width).index_select(0, &rows.first);
                QkvInput::First(query, all.narrow(1, width, 2 * width).contiguous())
            }
            (
                Self::FrozenFirst {
                    query,
                    key_and_value,
                },
                first,
            ) => {
                let rest = key_and_value.forward(x, nothing);
                match first {
                    Some(first) => QkvInput::First(query.forward(first, nothing), rest),
                    None => QkvInput::All(Tensor::cat(&[query.forward(x, nothing), rest], 1)),
                }
            }
        }
    }
}
