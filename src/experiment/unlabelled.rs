//! Text of the task that nobody has labelled, and how much of it a stage learns from.

use super::setting::Range;
use super::settings::{key, settings};
use super::stage_settings::StageSettings;
use super::task::Task;
use crate::document::Located;
use crate::job::Unlabelled;

settings! {
    /// How much unlabelled text of the task a stage learns from.
    pub struct UnlabelledUse(stage, none: ()) titled "Stages that learn from unlabelled text" {
        /// Use at most this many of the texts of `unlabelled`, selected by the seed; 0 uses none.
        counts unlabelled_limit: Option<Located<u64>> =
            key("unlabelled-limit").range(0..).range_text("texts; 0 uses none").default_text("all");
        /// Share of unlabelled texts in the examples of an epoch, as far as there are enough. The
        /// texts take turns: each epoch has the next ones.
        counts unlabelled_share: Option<Located<f64>> =
            key("unlabelled-share")
                .range(share())
                .range_text("above 0 and at most 0.999")
                .default_text("all texts in every epoch");
    }
}

fn share() -> Range<f64> {
    super::setting::above_zero_to(0.999)
}

impl UnlabelledUse {
    /// What a stage of these keys takes; `None` where it takes no unlabelled text.
    pub(super) fn of(task: &Task, keys: &dyn StageSettings) -> Option<Unlabelled> {
        let own: &Self = keys.get()?;
        own.told(task)
    }

    pub(super) fn told(&self, task: &Task) -> Option<Unlabelled> {
        let limit = self.unlabelled_limit.as_deref().copied();
        let takes = !task.unlabelled_files().is_empty() && limit != Some(0);
        takes.then(|| Unlabelled {
            limit,
            share: self.unlabelled_share.as_deref().copied(),
        })
    }
}
