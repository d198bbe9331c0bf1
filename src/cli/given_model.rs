//! A model that is named on the command line: a folder, or the result of a stage.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, show};
use crate::data::check_vocabulary;
use crate::input::excerpt_path;
use crate::model::{
    ModelRef, Stated, has_tokenizer, is_checkpoint, is_tensorflow, is_tensorflow_prefix,
    read_config,
};
use crate::runs::{Layout, RECORD, Record};
use crate::system::folder_of;

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

    /// Vocabulary of an uncased BERT, a token per line; also for a folder without a tokenizer
    /// [default: no tokenizer]
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
        if self.stated().is_empty() {
            return Ok(());
        }
        Err(Failure::Usage {
            message: "options of a checkpoint beside a model that is not a checkpoint".to_owned(),
            hint: Some("remove `--num-attention-heads`, `--hidden-act` and `--layer-norm-eps`: the model's folder has them".to_owned()),
        })
    }

    /// The tokenizer of a model: the folder that the model is in, unless it has none, or the given
    /// vocabulary.
    fn tokenizer(&self, model: &ModelRef) -> Result<Option<PathBuf>, Failure> {
        let Some(vocab) = &self.vocab else {
            return Ok(model.is_dir().then(|| model.path.clone()));
        };
        if model.is_dir() && has_tokenizer(model) {
            return Err(Failure::Usage {
                message: format!(
                    "`--vocab` beside `{}`, which has a tokenizer",
                    excerpt_path(model)
                ),
                hint: Some("remove `--vocab`".to_owned()),
            });
        }
        // What is wrong with the model is reported where its weights are read.
        if let Ok(config) = read_config(model, &model.stated) {
            check_vocabulary(vocab, config.vocab_size).map_err(|error| Failure::Usage {
                hint: error.hint(),
                message: error.to_string(),
            })?;
        }
        Ok(Some(vocab.clone()))
    }
}

/// How a model is named.
const HOW: &str = "name a stage as `EXPERIMENT/STAGE`, as in `runs/`, or the folder of a model";

/// A model that is nowhere.
fn not_there(given: &Path) -> Failure {
    let shown = excerpt_path(given);
    let (message, hint) = if is_tensorflow_prefix(given) {
        let folder = excerpt_path(folder_of(given));
        let message = format!("`{shown}` is the prefix of the files of a TensorFlow checkpoint");
        (
            message,
            format!("name the folder that they are in: `{folder}`"),
        )
    } else if is_checkpoint(given) {
        let message = format!("checkpoint `{shown}` does not exist");
        (message, "check the path".to_owned())
    } else {
        (format!("model `{shown}` not found"), HOW.to_owned())
    };
    Failure::Usage {
        message,
        hint: Some(hint),
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
            let model = ModelRef {
                path: given.to_owned(),
                stated: checkpoint.stated(),
            };
            return Ok(Self {
                tokenizer: checkpoint.tokenizer(&model)?,
                model,
                record: None,
            });
        }
        if !given.exists() && !layout.runs().join(given).exists() {
            return Err(not_there(given));
        }
        checkpoint.check_absent()?;
        let configs = ["config.json", "bert_config.json"];
        if configs.iter().any(|name| given.join(name).exists()) || is_tensorflow(given) {
            let result = given.parent();
            let is_its_model = given.file_name().is_some_and(|name| name == MODEL);
            return Ok(Self {
                record: result.filter(|_| is_its_model).and_then(Record::read),
                tokenizer: checkpoint.tokenizer(&given.into())?,
                model: given.into(),
            });
        }
        let usage = |message: String, hint: &str| Failure::Usage {
            message,
            hint: Some(hint.to_owned()),
        };
        let shown = excerpt_path(given);
        let is_run = layout.runs().join(given).exists();
        if !is_run && given.is_dir() && !given.join(RECORD).exists() {
            return Err(usage(format!("folder `{shown}` has no `config.json`"), HOW));
        }
        let (result, record) = show::find(given, layout)?;
        if record.artifact(MODEL).is_none() {
            let message = format!("the result `{shown}` has no model");
            return Err(usage(message, "name a stage that trains a model"));
        }
        let folder = result.join(MODEL);
        let model: ModelRef = folder.into();
        Ok(Self {
            tokenizer: checkpoint.tokenizer(&model)?,
            model,
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
