//! Names of the tensors of a BERT or TinyBERT in a checkpoint of MindSpore.
//!
//! The same tensors have one more `bert.` in front with each network around the encoder, and the
//! pooler of one file has the name of another's classifier; the place of the word table tells them
//! apart. Names are those of `tinybert_model.py` and `tinybert_for_gd_td.py` in MindSpore's models,
//! and of Huawei's `TinyBERT-MindSpore`.

/// What the names of an encoder's tensors begin with here, and its pooler.
const ENCODER: &str = "bert.";
const POOLER: &str = "bert.pooler.dense";

/// Beginnings of names of what optimizers keep for a tensor.
const SLOTS: [&str; 8] = [
    "adam_m.", "adam_v.", "moments.", "moment1.", "moment2.", "accum.", "m.", "v.",
];

/// Parts of the encoder, after the prefix: here and there.
const EMBEDDINGS: [(&str, &str); 7] = [
    (
        "bert.embeddings.word_embeddings.weight",
        "embedding_lookup.embedding_table",
    ),
    (
        "bert.embeddings.token_type_embeddings.weight",
        "embedding_postprocessor.token_type_embedding.embedding_table",
    ),
    (
        "bert.embeddings.position_embeddings.weight",
        "embedding_postprocessor.full_position_embedding.embedding_table",
    ),
    (
        "bert.embeddings.LayerNorm.weight",
        "embedding_postprocessor.layernorm.gamma",
    ),
    (
        "bert.embeddings.LayerNorm.bias",
        "embedding_postprocessor.layernorm.beta",
    ),
    // Of MindSpore 1.0 and Huawei's code.
    (
        "bert.embeddings.token_type_embeddings.weight",
        "embedding_postprocessor.embedding_table",
    ),
    (
        "bert.embeddings.position_embeddings.weight",
        "embedding_postprocessor.full_position_embeddings",
    ),
];

/// Parts of a layer: here and there.
const LAYER: [(&str, &str); 9] = [
    ("attention.self.query.", "attention.attention.query_layer."),
    ("attention.self.key.", "attention.attention.key_layer."),
    ("attention.self.value.", "attention.attention.value_layer."),
    ("attention.output.dense.", "attention.output.dense."),
    ("attention.output.LayerNorm.", "attention.output.layernorm."),
    ("intermediate.dense.", "intermediate."),
    ("output.dense.", "output.dense."),
    ("output.LayerNorm.", "output.layernorm."),
    (
        "attention.self.relative_positions.",
        "attention.attention._generate_relative_positions_embeddings.",
    ),
];

/// What stands before the names of a checkpoint's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naming {
    /// Before the encoder's: `bert.` once or twice.
    prefix: String,
    /// `tinybert_` or `bert_`.
    stem: &'static str,
}

/// What a name of a checkpoint means.
pub(super) enum Known {
    /// A tensor of the model, under its name here.
    Tensor(String),
    /// What no model needs.
    Unneeded,
    /// Neither.
    Unknown,
}

impl Naming {
    /// Names of the network that `MindSpore`'s `run_task_distill.py` loads to go on from, or to
    /// evaluate.
    pub(super) fn task() -> Self {
        Self {
            prefix: "bert.bert.".to_owned(),
            stem: "bert_",
        }
    }

    /// Names of the student of general distillation, which task distillation goes on from.
    pub(super) fn general() -> Self {
        Self {
            prefix: "bert.".to_owned(),
            stem: "tinybert_",
        }
    }

    /// That of these names; `None` where none is of a BERT.
    pub(super) fn of<'n>(names: &(impl Iterator<Item = &'n str> + Clone)) -> Option<Self> {
        let marks = [
            "embedding_lookup.",
            "encoder.layers.",
            "embedding_postprocessor.",
        ];
        marks.into_iter().find_map(|mark| {
            let mut names = names.clone();
            names.find_map(|name| {
                let before = name.split_once(mark)?.0;
                let stem = ["tinybert_", "bert_"]
                    .into_iter()
                    .find(|stem| before.ends_with(stem))?;
                let prefix = before.strip_suffix(stem)?;
                let is_whole = prefix.is_empty() || prefix.ends_with('.');
                let is_slot = SLOTS.iter().any(|slot| prefix.starts_with(slot));
                (is_whole && !is_slot).then(|| Self {
                    prefix: prefix.to_owned(),
                    stem,
                })
            })
        })
    }

    /// What stands before the names of pooler and heads: the prefix without its last part.
    fn outer(&self) -> &str {
        let inner = self.prefix.trim_end_matches('.');
        let end = inner.rfind('.').map_or(0, |dot| dot + 1);
        &self.prefix[..end]
    }

    /// What a name of a checkpoint means.
    pub(super) fn known(&self, name: &str) -> Known {
        if let Some(rest) = name.strip_prefix(&self.prefix) {
            if let Some(known) = rest.strip_prefix(self.stem).and_then(of_encoder) {
                return Known::Tensor(known);
            }
            if let Some(part) = rest.strip_prefix("dense.") {
                return Known::Tensor(format!("{POOLER}.{part}"));
            }
        }
        if let Some(rest) = name.strip_prefix(self.outer()) {
            // Heads of pre-training.
            if rest.starts_with("cls1.") || rest.starts_with("cls2.") {
                return Known::Unneeded;
            }
            // Huawei's teacher has a `dense` there.
            let mut heads = ["dense_1.", "dense."].into_iter();
            if let Some(part) = heads.find_map(|head| rest.strip_prefix(head)) {
                return Known::Tensor(format!("classifier.{part}"));
            }
        }
        if SLOTS.iter().any(|slot| name.starts_with(slot)) {
            return Known::Unneeded;
        }
        Known::Unknown
    }

    /// Name that a tensor has in a checkpoint.
    pub(super) fn in_file(&self, name: &str) -> String {
        let Self { prefix, stem } = self;
        if let Some((_, own)) = EMBEDDINGS.iter().find(|(known, _)| *known == name) {
            return format!("{prefix}{stem}{own}");
        }
        if let Some((layer, rest)) = layer_of(name, "bert.encoder.layer.") {
            let mut parts = LAYER.iter();
            let own = parts.find_map(|(known, own)| Some((*own, rest.strip_prefix(known)?)));
            if let Some((own, part)) = own {
                let part = norm_part(own, part, &["weight", "bias"], &["gamma", "beta"]);
                return format!("{prefix}{stem}encoder.layers.{layer}.{own}{part}");
            }
        }
        if let Some(part) = name.strip_prefix(POOLER) {
            return format!("{prefix}dense{part}");
        }
        match name.strip_prefix("classifier.") {
            Some(part) => format!("{}dense_1.{part}", self.outer()),
            None => name.to_owned(),
        }
    }
}

/// A tensor of the encoder, without prefix and stem.
fn of_encoder(rest: &str) -> Option<String> {
    if let Some((known, _)) = EMBEDDINGS.iter().find(|(_, own)| *own == rest) {
        return Some((*known).to_owned());
    }
    let (layer, rest) = layer_of(rest, "encoder.layers.")?;
    let (known, own, part) = LAYER
        .iter()
        .find_map(|(known, own)| Some((*known, *own, rest.strip_prefix(own)?)))?;
    let part = norm_part(own, part, &["gamma", "beta"], &["weight", "bias"]);
    Some(format!("{ENCODER}encoder.layer.{layer}.{known}{part}"))
}

/// The last part of a name, which layer norms and tables of distances call otherwise.
fn norm_part<'n>(own: &str, part: &'n str, from: &[&str; 2], to: &[&'n str; 2]) -> &'n str {
    if own.ends_with("_generate_relative_positions_embeddings.") {
        return match part {
            "embeddings_table" => "weight",
            "weight" => "embeddings_table",
            other => other,
        };
    }
    if !own.ends_with("layernorm.") {
        return part;
    }
    let index = from.iter().position(|name| *name == part);
    index.map_or(part, |index| to[index])
}

/// Layer and the rest of a name after `start`; only a number as it is written is a layer.
pub(super) fn layer_of<'n>(name: &'n str, start: &str) -> Option<(usize, &'n str)> {
    let (layer, rest) = name.strip_prefix(start)?.split_once('.')?;
    let number: usize = layer.parse().ok()?;
    (number.to_string() == layer).then_some((number, rest))
}
