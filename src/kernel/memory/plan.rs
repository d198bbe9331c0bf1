//! Which rows a teacher gets together, and where its answers to them lie in the file.

use std::sync::Arc;

use tinyrun_base::data::batches::plan_by_tokens;
use tinyrun_base::job::Train;

use crate::answers::Layout;
use crate::target::Target;

/// Tokens that are put to the teacher at once, about; few in tests, whose data is small.
const TOKENS_AT_ONCE: usize = if cfg!(test) { 64 } else { 4096 };

/// Batches of rows, named by their places in [`crate::feed::Data::rows`], and the file of the answers.
pub(super) struct CachePlan {
    /// Tokens of the row of each place.
    pub(super) lengths: Vec<u32>,
    pub(super) batches: Vec<Vec<u32>>,
    pub(super) layout: Arc<Layout>,
    /// Where in the file the row of each place begins.
    pub(super) offsets: Vec<u64>,
    /// Where each batch ends.
    pub(super) ends: Vec<u64>,
}

impl CachePlan {
    /// Batches of about so many tokens; `None` where an answer cannot be stored.
    pub(super) fn new(
        lengths: Vec<u32>,
        tokens: usize,
        answer: impl Fn(&[u32]) -> Target,
    ) -> Option<Self> {
        let batches = plan_by_tokens(&lengths, tokens);
        // The shapes of the parts, from the shortest example.
        let shortest = &batches[0][..1];
        let length = lengths[shortest[0] as usize] as usize;
        let layout = Layout::of(&answer(shortest), length)?;
        let mut offsets = vec![0; lengths.len()];
        let mut ends = Vec::with_capacity(batches.len());
        let mut end = 0;
        for batch in &batches {
            for &place in batch {
                offsets[place as usize] = end;
                end += layout.bytes(lengths[place as usize] as usize) as u64;
            }
            ends.push(end);
        }
        Some(Self {
            lengths,
            batches,
            layout: Arc::new(layout),
            offsets,
            ends,
        })
    }

    /// Size of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }
}

/// Tokens in one forward pass of the teacher that fills the cache: no more than in a step, which was made to fit the machine;
/// what is shared is laid out for everybody.
pub(super) fn tokens_at_once(train: &Train, lengths: &[u32], is_shared: bool) -> usize {
    if is_shared {
        return TOKENS_AT_ONCE;
    }
    let longest = lengths.iter().copied().max().unwrap_or(1) as usize;
    TOKENS_AT_ONCE.min(train.data.batch_size as usize * longest)
}
