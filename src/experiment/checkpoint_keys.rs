//! Keys beside `model` where it is a checkpoint of another program: what its file does not hold.

use std::any::{Any, TypeId};
use std::path::{Component, Path};

use super::declared::Entry;
use super::schema::Recipe;
use super::setting::{LARGEST, above_zero_to};
use super::settings::{Item, Settings, key, settings};
use crate::document::{Fault, Located, Section};
use crate::job::HeadKind;
use crate::model::{Stated, is_checkpoint};

settings! {
    /// Settings of a model that is a checkpoint. A folder has them in its `config.json`.
    pub struct CheckpointKeys(table, none: ()) titled "Teacher from a checkpoint" {
        /// Number of attention heads per layer; no checkpoint of MindSpore holds it.
        recorded num_attention_heads: Option<Located<usize>> =
            key("num-attention-heads")
                .range(1..=1000)
                .range_text("beside `model = \"x.ckpt\"`; must divide the model's width")
                .default_text("12");
        /// Activation of the feed-forward layer.
        recorded hidden_act: Option<String> =
            key("hidden-act")
                .one_of(&["gelu", "gelu_new", "relu"])
                .range_text("beside `model = \"x.ckpt\"`")
                .default_text("`gelu_new`");
        /// Epsilon added to the variance in layer normalization.
        recorded layer_norm_eps: Option<f64> =
            key("layer-norm-eps")
                .range(above_zero_to(0.1))
                .range_text("beside `model = \"x.ckpt\"`")
                .default_text("`1e-7`");
        /// Dropout probability of hidden states during training.
        recorded hidden_dropout_prob: Option<f64> =
            key("hidden-dropout-prob")
                .range(0.0..1.0)
                .range_text("beside `model = \"x.ckpt\"`")
                .default_text("`0.1`");
        /// Dropout probability of attention weights during training.
        recorded attention_probs_dropout_prob: Option<f64> =
            key("attention-probs-dropout-prob")
                .range(0.0..1.0)
                .range_text("beside `model = \"x.ckpt\"`")
                .default_text("`0.1`");
        /// Maximum input length of the model; a table of positions must have as many rows.
        recorded max_position_embeddings: Option<Located<usize>> =
            key("max-position-embeddings")
                .range(3..=LARGEST)
                .range_text("beside `model = \"x.ckpt\"`; tokens")
                .default_text("the rows of the checkpoint's table");
    }
}

impl CheckpointKeys {
    fn none() -> Self {
        Self {
            num_attention_heads: None,
            hidden_act: None,
            layer_norm_eps: None,
            hidden_dropout_prob: None,
            attention_probs_dropout_prob: None,
            max_position_embeddings: None,
        }
    }

    /// What they state.
    pub fn stated(&self) -> Stated {
        Stated {
            num_attention_heads: self.num_attention_heads.as_deref().copied(),
            hidden_act: self.hidden_act.clone(),
            layer_norm_eps: self.layer_norm_eps,
            hidden_dropout_prob: self.hidden_dropout_prob,
            attention_probs_dropout_prob: self.attention_probs_dropout_prob,
            max_position_embeddings: self.max_position_embeddings.as_deref().copied(),
            layers: Vec::new(),
            tokens: None,
        }
    }
}

/// The same keys in `[student]`, where the shape has keys of these names, which the reference
/// describes: these are read where `model` is a checkpoint, and those where there is no `model`.
#[derive(Debug, Clone, PartialEq)]
pub struct StudentCheckpoint(pub CheckpointKeys);

impl Settings for StudentCheckpoint {
    type Defaults = Option<Located<String>>;
    const TITLE: Option<&'static str> = None;

    fn read_from(section: &Section<'_>, model: &Self::Defaults) -> Self {
        Self(match model {
            Some(model) if names_checkpoint(model) => CheckpointKeys::read_from(section, &()),
            Some(_) => {
                let found = CheckpointKeys::read_from(section, &());
                CheckpointKeys {
                    hidden_dropout_prob: found.hidden_dropout_prob,
                    attention_probs_dropout_prob: found.attention_probs_dropout_prob,
                    ..CheckpointKeys::none()
                }
            }
            None => CheckpointKeys::none(),
        })
    }

    fn entries(&self) -> Vec<Entry> {
        self.0.entries()
    }

    fn items() -> Vec<Item> {
        Vec::new()
    }

    fn find(&self, group: TypeId) -> Option<&dyn Any> {
        self.0.find(group)
    }
}

/// Keys of a student that may change what the files of a model folder say.
const OF_FOLDERS: [&str; 2] = ["hidden-dropout-prob", "attention-probs-dropout-prob"];

impl StudentCheckpoint {
    /// The keys that may stand beside `model`.
    pub(super) fn beside(is_checkpoint: bool) -> Vec<&'static str> {
        if is_checkpoint {
            CheckpointKeys::names()
        } else {
            OF_FOLDERS.to_vec()
        }
    }
}

/// Whether a model as it is written is a checkpoint, and not a folder.
pub(crate) fn names_checkpoint(model: &str) -> bool {
    is_checkpoint(Path::new(model))
}

/// Whether two paths as they are written name the same model: `x`, `./x` and `x/` do.
pub(super) fn same_path(one: &str, other: &str) -> bool {
    let parts = |path| {
        let parts = Path::components(path);
        parts.filter(|part| *part != Component::CurDir)
    };
    parts(Path::new(one)).eq(parts(Path::new(other)))
}

/// Activation between pooler and classifier of `model`, where none is written: networks of MindSpore
/// have `relu` there.
pub(super) fn implied_head(model: Option<&Located<String>>, recipe: Recipe) -> HeadKind {
    match model {
        Some(model) if names_checkpoint(model) => HeadKind::Relu,
        _ => recipe.head(),
    }
}

/// Keys of a checkpoint beside a model folder, or beside none.
pub(super) fn refuse_beside_folder(model: Option<&str>, names: &[&str], section: &Section<'_>) {
    if model.is_some_and(names_checkpoint) {
        return;
    }
    for key in names.iter().copied().filter(|key| section.has(key)) {
        let table = section.path();
        let message = format!("`model` and `{key}` in `[{table}]` cannot be combined");
        let fault = Fault::new(message, section.key_span(key));
        section.unfit(fault.with_label("the files of the model's folder set it"));
    }
}
