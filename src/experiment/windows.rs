//! `windows` of general distillation: how documents become examples.

use super::declared::Entry;
use super::schema::{Recipe, WindowForm};
use super::settings::{Item, Settings, key, settings};
use crate::document::{Fault, Section};

settings! {
    /// How windows are made. Only where `windows` is not `lines`.
    pub struct Windows(stage, defaults: WindowDefaults) {
        /// Number of times that different windows are made of the whole corpus; an epoch of
        /// training reads all of them.
        counts passes: u32 =
            key("window-passes")
                .range(1..=1000)
                .range_text("1 to 1000; requires `windows`")
                .default_text("1"),
            default 1;
        /// Seed of the windows; not that of the training, so that stages with other seeds share
        /// them.
        counts seed: u64 =
            key("window-seed").range(0..).range_text("requires `windows`").default_text("12345"),
            default 12345;
        /// Probability that a document is cut into shorter windows of a random length.
        counts short_seq_prob: Option<f64> =
            key("short-seq-prob")
                .range(0.0..=1.0)
                .range_text("0 to 1; requires `windows` of pairs")
                .default_text("0.1"),
            default defaults.form.is_pairs().then_some(0.1);
        /// Share of a window's tokens that are replaced: 80 % by `[MASK]`, 10 % by a random token,
        /// 10 % stay. A share above 0 replaces at least one token per window.
        counts masked_lm_prob: f64 =
            key("masked-lm-prob")
                .range(0.0..=1.0)
                .range_text("0 to 1; 0 is off; requires `windows`")
                .default_text("0; 0.001 with recipe `huawei`, 0.15 with `mindspore`"),
            default defaults.recipe.masked_share();
        /// Maximum number of tokens to replace per window.
        counts max_predictions_per_seq: u32 =
            key("max-predictions-per-seq")
                .range(1..=1_000_000)
                .range_text("at least 1; requires `windows`")
                .default_text("20"),
            default 20;
        /// Replace all word pieces of a word together.
        counts whole_word_mask: bool =
            key("whole-word-mask").range_text("requires `windows`").default_text("false"),
            default false;
    }
}

/// What the defaults of [`Windows`] depend on.
pub(crate) struct WindowDefaults {
    pub(super) recipe: Recipe,
    pub(super) form: WindowForm,
}

impl WindowForm {
    /// Whether a window has a second text.
    pub fn is_pairs(self) -> bool {
        matches!(self, Self::Sentences | Self::Paragraphs)
    }
}

/// Only where `windows` makes windows.
impl Settings for Option<Windows> {
    type Defaults = WindowDefaults;
    const TITLE: Option<&'static str> = None;

    fn read_from(stage: &Section<'_>, defaults: &WindowDefaults) -> Self {
        let found = Windows::read_from(stage, defaults);
        let refuse = |key: &str, reason: &str, label: &str| {
            let message = format!("{} {reason}", stage.name(key));
            let fault = Fault::new(message, stage.key_span(key));
            stage.unfit(fault.with_label(label));
        };
        if defaults.form == WindowForm::Lines {
            for key in Windows::names().into_iter().filter(|key| stage.has(key)) {
                let label = "`sentences`, `paragraphs` or `packed`";
                refuse(key, "requires `windows`", label);
            }
            return None;
        }
        if !defaults.form.is_pairs() && stage.has("short-seq-prob") {
            let label = "`packed` fills every window";
            refuse(
                "short-seq-prob",
                "and `windows = \"packed\"` cannot be combined",
                label,
            );
        }
        Some(found)
    }

    fn entries(&self) -> Vec<Entry> {
        self.as_ref().map(Settings::entries).unwrap_or_default()
    }

    fn items() -> Vec<Item> {
        Windows::items()
    }
}
