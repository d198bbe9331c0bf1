//! A model that is named on the command line: a folder, or the result of a stage.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, show};
use crate::input::excerpt_path;
use crate::model::{ModelRef, Stated, is_checkpoint};
use crate::runs::{Layout, RECORD, Record};

/// A model and where it came from.
pub(super) struct GivenModel {
    /// Its Hugging Face folder, or a checkpoint.
    pub(super) model: ModelRef,
    /// Folder of its tokenizer, or a vocabulary; `None` for a checkpoint without one.
    pub(super) tokenizer: Option<PathBuf>,
    /// The record of the stage that made it, where one did.
    pub(super) record: Option<Record>,
}

/// What is stated of a checkpoint on the command line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a checkpoint (`MODEL` is `x.ckpt`)")]
pub(super) struct CheckpointArguments {
    /// Number of attention heads per layer [default: 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    num_attention_heads: Option<u16>,

    /// Activation of the feed-forward layer: `gelu`, `gelu_new` or `relu` [default: `gelu_new`]
    #[arg(long, value_name = "WORD", value_parser = ["gelu", "gelu_new", "relu"], hide_possible_values = true)]
    hidden_act: Option<String>,

    /// Epsilon added to the variance in layer normalization [default: 1e-7]
    #[arg(long, value_name = "NUMBER", value_parser = epsilon)]
    layer_norm_eps: Option<f64>,

    /// Vocabulary of an uncased BERT, a token per line [default: no tokenizer]
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,
}

fn epsilon(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| *number > 0.0 && *number <= 0.1);
    number.ok_or_else(|| "expected a number above 0, at most 0.1".to_owned())
}

impl CheckpointArguments {
    fn stated(&self) -> Stated {
        Stated {
            num_attention_heads: self.num_attention_heads.map(usize::from),
            hidden_act: self.hidden_act.clone(),
            layer_norm_eps: self.layer_norm_eps,
            ..Stated::default()
        }
    }

    /// They mean nothing beside a folder, whose files have it.
    fn check_absent(&self) -> Result<(), Failure> {
        if self.stated().is_empty() && self.vocab.is_none() {
            return Ok(());
        }
        Err(Failure::Usage {
            message: "options of a checkpoint beside a model that is not a checkpoint".to_owned(),
            hint: Some("remove `--num-attention-heads`, `--hidden-act`, `--layer-norm-eps` and `--vocab`: the model's folder has them".to_owned()),
        })
    }
}

/// Name of the model in the result of a stage.
const MODEL: &str = "model";

impl GivenModel {
    /// The model that `given` means: a checkpoint, a folder with a `config.json`, or else a result
    /// as `EXPERIMENT/STAGE`.
    ///
    /// # Errors
    /// There is no such folder or result, or the result has no model.
    pub(super) fn find(
        given: &Path,
        checkpoint: &CheckpointArguments,
        layout: &Layout,
    ) -> Result<Self, Failure> {
        if is_checkpoint(given) && given.is_file() {
            return Ok(Self {
                model: ModelRef {
                    path: given.to_owned(),
                    stated: checkpoint.stated(),
                },
                tokenizer: checkpoint.vocab.clone(),
                record: None,
            });
        }
        checkpoint.check_absent()?;
        let configs = ["config.json", "bert_config.json"];
        if configs.iter().any(|name| given.join(name).exists()) {
            let result = given.parent();
            let is_its_model = given.file_name().is_some_and(|name| name == MODEL);
            return Ok(Self {
                record: result.filter(|_| is_its_model).and_then(Record::read),
                tokenizer: Some(given.to_owned()),
                model: given.into(),
            });
        }
        let usage = |message: String, hint: &str| Failure::Usage {
            message,
            hint: Some(hint.to_owned()),
        };
        let shown = excerpt_path(given);
        let how = "name a stage as `EXPERIMENT/STAGE`, as in `runs/`, or the folder of a model";
        if !layout.runs().join(given).exists() {
            if !given.exists() {
                return Err(usage(format!("model `{shown}` not found"), how));
            }
            if given.is_dir() && !given.join(RECORD).exists() {
                return Err(usage(format!("folder `{shown}` has no `config.json`"), how));
            }
        }
        let (result, record) = show::find(given, layout)?;
        if record.artifact(MODEL).is_none() {
            let message = format!("the result `{shown}` has no model");
            return Err(usage(message, "name a stage that trains a model"));
        }
        let folder = result.join(MODEL);
        Ok(Self {
            tokenizer: Some(folder.clone()),
            model: folder.into(),
            record: Some(record),
        })
    }

    /// What it is called: its experiment, or its folder.
    pub(super) fn name(&self) -> String {
        let experiment = self.record.as_ref().and_then(|record| {
            let table: toml::Table = record.experiment.parse().ok()?;
            Some(table.get("name")?.as_str()?.to_owned())
        });
        experiment.unwrap_or_else(|| {
            let whole = self.model.canonicalize().unwrap_or_default();
            let name = if is_checkpoint(&whole) {
                whole.file_stem()
            } else {
                whole.file_name()
            };
            let name = name.unwrap_or_default();
            name.to_string_lossy().into_owned()
        })
    }
}
