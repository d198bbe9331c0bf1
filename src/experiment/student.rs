//! `[teacher]` and `[student]`.

use toml::Value;

use super::checkpoint_keys::{
    CheckpointKeys, StudentCheckpoint, implied_head, names_checkpoint, refuse_beside_folder,
};
use super::recipe::StudentDefaults;
use super::schema::{ClassifierStart, LayerMapRule, Recipe};
use super::setting::{At, LARGEST, Setting, above_zero_to, choices};
use super::settings::{Settings, key, settings};
use crate::document::{Fault, Located, Section, WordOrSection};
use crate::job::{HeadKind, Initializer, InitializerKind, LayerMap, WeightDtype};
use crate::model::family::{Family, MODEL_TYPES};

choices! { HeadKind, InitializerKind, WeightDtype }

settings! {
    /// `[teacher]`
    pub struct Teacher(teacher, recipe: Recipe) titled "Teacher" checked by check_checkpoint {
        /// BERT model, already fine-tuned or to be fine-tuned by the `finetune` stage.
        // Its files are inputs.
        recorded model: Located<String> =
            key("model")
                .required("a Hugging Face folder")
                .kind_text("path")
                .range_text("folder of Hugging Face or of Google's TensorFlow BERT, or MindSpore checkpoint");
        /// Activation between pooler and classifier; `relu` for models trained with Huawei's or
        /// MindSpore's code, and the default for a checkpoint.
        counts head: HeadKind = key("head"), default implied_head(Some(&model), *recipe);
        /// Classifier that `finetune` starts from: the model's own if it has one, or a new one with
        /// random weights, for example to fine-tune a five-class model on three classes.
        counts classifier: Located<ClassifierStart> =
            key("classifier")
                .placed_at_key()
                .unless(ClassifierStart::Auto)
                .range_text("`new` with `finetune` only"),
            default ClassifierStart::Auto;
        /// Vocabulary of an uncased BERT that cuts all text where `model` is a
        /// checkpoint; a folder has its own tokenizer.
        // It is an input.
        recorded vocab: Option<Located<String>> =
            key("vocab")
                .kind_text("path")
                .range_text("beside `model = \"x.ckpt\"`; a token per line")
                .default_text("no tokenizer");
        /// What the checkpoint does not hold.
        group checkpoint: CheckpointKeys = &();
    }
}

settings! {
    /// `[student]`
    pub struct Student(student, recipe: Recipe) titled "Student" checked by check_shape_is_omitted {
        /// Model to start from; excludes the keys of the shape but for the dropouts. A stage that
        /// fine-tunes the teacher may be named too.
        // Its files are inputs.
        recorded model: Option<Located<String>> =
            key("model")
                .kind_text("path")
                .range_text("folder of Hugging Face or of Google's TensorFlow BERT, or MindSpore checkpoint")
                .default_text("random weights with the shape below");
        /// Layers of `model` that the student starts from, in this order.
        // They count for the stage that keeps them (`counted.rs`).
        recorded layers: Option<Located<Vec<usize>>> =
            key("layers")
                .range(0..=1000)
                .range_text("layers of `model`, from 0")
                .default_text("all of them");
        /// File of the projection that the first distillation of layers starts from, whatever
        /// `keep-projection` is: tensors `fit_dense.weight` and `fit_dense.bias`. A later stage has
        /// a key of its own, `initial-projection`.
        // It is an input.
        recorded projection: Option<Located<String>> =
            key("projection")
                .kind_text("path")
                .range_text("safetensors")
                .default_text("random weights");
        /// Shape, where `model` is not given.
        group shape: StudentShape = &recipe.student(), written if has_shape;
        /// What a checkpoint does not hold.
        group checkpoint: StudentCheckpoint = &model;
        /// Distribution of initial weights.
        group initializer: Initializer =
            &InitializerDefaults::new(&recipe.student(), shape.initializer_range);
        /// Activation between pooler and classifier; `relu` is the default for a checkpoint.
        counts head: HeadKind = key("head"), default implied_head(model.as_ref(), *recipe);
        /// Train the word embedding of `[PAD]`, which padded positions reach, as MindSpore's code
        /// does; otherwise its gradient is zero, as in `transformers` and Huawei's code.
        counts train_padding: bool =
            key("train-padding").unless(false), default recipe.trains_padding();
        /// Data type of the weights that `td-phase2` writes; earlier stages write fp32.
        counts dtype: WeightDtype =
            key("dtype").unless(WeightDtype::Fp32), default WeightDtype::Fp32;
        /// Teacher layers to distill; `uniform` requires a teacher with a multiple of the student's
        /// layers, `layers` takes those that the student has from the teacher. The table form has
        /// the two keys below.
        // It counts as the layers that it comes to.
        recorded layer_map: Located<LayerMapRule> =
            key("layer-map").default_text("`uniform`; `layers` with that key"),
            default if layers.is_some() { LayerMapRule::Layers } else { LayerMapRule::Uniform };
    }
}

settings! {
    /// Shape of a student that starts from random weights. The padding id is the teacher's.
    pub struct StudentShape(student, defaults: StudentDefaults) checked by check_family {
        /// Family of the encoder, whatever the teacher's is.
        counts family: String =
            key("family").one_of(MODEL_TYPES).unless("bert".to_owned()),
            default "bert".to_owned();
        /// Number of encoder layers.
        counts num_hidden_layers: Located<usize> =
            key("num-hidden-layers").range(1..=1000), default 4;
        /// Dimension of the hidden states.
        counts hidden_size: Located<usize> =
            key("hidden-size").range(1..=LARGEST).range_text("a multiple of `num-attention-heads`"),
            default defaults.hidden_size;
        /// Dimension of the feed-forward layer.
        counts intermediate_size: Located<usize> =
            key("intermediate-size").range(1..=LARGEST), default defaults.intermediate_size;
        /// Number of attention heads per layer.
        // Attention scores are compared head by head.
        counts num_attention_heads: Located<usize> =
            key("num-attention-heads").range(1..=1000).range_text("must equal the teacher's"),
            default 12;
        /// Activation of the feed-forward layer.
        counts hidden_act: String =
            key("hidden-act").one_of(&["gelu", "gelu_new", "relu"]),
            default defaults.hidden_act.to_owned();
        /// Dropout probability of hidden states during training.
        counts hidden_dropout_prob: f64 = key("hidden-dropout-prob").range(0.0..1.0), default 0.1;
        /// Dropout probability of attention weights during training.
        counts attention_probs_dropout_prob: f64 =
            key("attention-probs-dropout-prob").range(0.0..1.0), default 0.1;
        /// Maximum input length of the model (size of the position-embedding matrix).
        counts max_position_embeddings: Located<usize> =
            key("max-position-embeddings")
                .range(3..=LARGEST)
                .range_text("tokens; 3 to 1000000"),
            default 512;
        /// Standard deviation of the initial weights.
        counts initializer_range: f64 =
            key("initializer-range").range(above_zero_to(1.0)), default 0.02;
        /// Epsilon added to the variance in layer normalization; always 1e-12 in a DistilBERT.
        counts layer_norm_eps: f64 =
            key("layer-norm-eps").range(above_zero_to(0.1)),
            default family_of(&family).layer_norm_eps.unwrap_or(defaults.layer_norm_eps);
        /// Size of the word-embedding matrix; may exceed the tokenizer's vocabulary, for example to
        /// pad to a multiple of 8.
        counts vocab_size: Option<Located<usize>> =
            key("vocab-size")
                .range(1..=LARGEST)
                .range_text("at least the teacher's")
                .default_text("the teacher's");
        /// Number of segments (token type IDs); a DistilBERT and an MPNet have none.
        counts type_vocab_size: Option<Located<usize>> =
            key("type-vocab-size")
                .range(1..=LARGEST)
                .range_text("at least 2 for pairs")
                .default_text("the teacher's");
        /// Use relative positions, as in MindSpore's BERT, instead of absolute positions; such a
        /// model does not load in `transformers`.
        counts use_relative_positions: bool =
            key("use-relative-positions").unless(false), default false;
    }
}

impl StudentShape {
    /// How the student differs from BERT.
    pub(crate) fn family(&self) -> &'static Family {
        family_of(&self.family)
    }
}

fn family_of(name: &str) -> &'static Family {
    Family::named(name).unwrap_or_else(Family::bert)
}

/// Keys that mean nothing in a model of the family.
fn check_family(found: &StudentShape, student: &Section<'_>) {
    let family = found.family();
    let refuse = |key: &str, reason: String| {
        let message = format!(
            "`family = \"{}\"` and `{key}` in `[student]` cannot be combined",
            found.family
        );
        student.unfit(Fault::new(message, student.key_span(key)).with_label(reason));
    };
    let title = family.title;
    if !family.token_types && found.type_vocab_size.is_some() {
        refuse("type-vocab-size", format!("{title} has no token types"));
    }
    if family.positions.is_none() && found.use_relative_positions {
        refuse(
            "use-relative-positions",
            format!("{title} has absolute positions"),
        );
    }
    if let Some(fixed) = family.layer_norm_eps
        && found.layer_norm_eps.to_bits() != fixed.to_bits()
    {
        let reason = format!("{title} has an epsilon of {fixed:e}");
        refuse("layer-norm-eps", reason);
    }
}

fn has_shape(student: &Student) -> bool {
    student.model.is_none()
}

/// A given model's `config.json` has its shape.
fn check_shape_is_omitted(found: &Student, student: &Section<'_>) {
    let Some(model) = &found.model else {
        return;
    };
    let is_checkpoint = names_checkpoint(model);
    let beside = StudentCheckpoint::beside(is_checkpoint);
    for key in StudentShape::names() {
        if student.has(key) && !beside.contains(&key) {
            let message = format!("`model` and `{key}` in `[student]` cannot be combined");
            let fault = Fault::new(message, student.key_span(key));
            student.unfit(fault.with_label(if is_checkpoint {
                "the checkpoint's tensors have it"
            } else {
                "the model's `config.json` sets it"
            }));
        }
    }
}

/// Keys beside a checkpoint.
fn check_checkpoint(found: &Teacher, teacher: &Section<'_>) {
    let keys = CheckpointKeys::names().into_iter().chain(["vocab"]);
    let keys: Vec<&str> = keys.collect();
    refuse_beside_folder(Some(&found.model), &keys, teacher);
}

/// Defaults of [`Initializer`].
pub(crate) struct InitializerDefaults {
    kind: InitializerKind,
    /// Of embedding matrices and projection.
    range: f64,
}

impl InitializerDefaults {
    fn new(recipe: &StudentDefaults, initializer_range: f64) -> Self {
        Self {
            kind: recipe.initializer,
            range: recipe.embedding_range.unwrap_or(initializer_range),
        }
    }
}

settings! {
    impl Initializer(student, defaults: InitializerDefaults) {
        /// Distribution of the initial weights; `truncated-normal` is limited to two standard
        /// deviations.
        counts kind: InitializerKind = key("initializer"), default defaults.kind;
        /// Standard deviation of the initial embedding matrices.
        counts embedding_range: f64 =
            key("embedding-initializer-range")
                .range(above_zero_to(1.0))
                .default_text("`initializer-range`"),
            default defaults.range;
        /// Standard deviation of the initial projection to the teacher's hidden size.
        counts projection_range: f64 =
            key("projection-initializer-range")
                .range(above_zero_to(1.0))
                .default_text("`initializer-range`; 0.02 with `model`"),
            default defaults.range;
    }
}

settings! {
    impl LayerMap(map, none: ())
    titled "Explicit layer map, also written `layer-map = { attention = [..], hidden = [..] }`" {
        /// Teacher layer for the attention loss of each student layer.
        counts attention: Vec<usize> =
            key("attention")
                .range(0..=1000)
                .required("a list of teacher layers")
                .range_text("teacher layers, from 0; one per student layer");
        /// Teacher hidden state for the hidden-state loss of the embedding output and of each
        /// student layer.
        counts hidden: Vec<usize> =
            key("hidden")
                .range(0..=1000)
                .required("a list of teacher hidden states")
                .range_text(
                    "teacher hidden states, 0 is the embedding output; one more than student layers",
                );
    }
}

impl Setting for LayerMapRule {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let words = [
            ("uniform", &Self::Uniform),
            ("top", &Self::Top),
            ("bottom", &Self::Bottom),
            ("layers", &Self::Layers),
        ];
        let table = "`{ attention = [..], hidden = [..] }`";
        Some(match at.section.choice_or_section(at.key, &words, table)? {
            WordOrSection::Word(rule) => rule.map(Self::clone),
            WordOrSection::Section(map) => Located {
                value: Self::Explicit(LayerMap::read_table(&map, &())),
                span: map.span(),
            },
        })
    }

    fn value(&self) -> Value {
        match self {
            Self::Uniform => "uniform".into(),
            Self::Top => "top".into(),
            Self::Bottom => "bottom".into(),
            Self::Layers => "layers".into(),
            Self::Explicit(map) => {
                let entries = map.entries().into_iter();
                let keys = entries.filter_map(|entry| Some((entry.key.to_owned(), entry.written?)));
                Value::Table(keys.collect())
            }
        }
    }

    fn kind((): &()) -> String {
        "`uniform`, `top`, `bottom`, `layers`, or a table".to_owned()
    }
}

#[cfg(test)]
mod tests;
