//! What a step lays out.

use std::sync::Arc;

use tinyrun_base::job::{Objective, PadTo, Work};

use super::resume::job;
use crate::feed::{Data, Feed, MicroBatch};
use crate::ranks::Rank;

/// The first steps of a stage with micro-batches, of a rank.
fn steps(pad_to: PadTo, rank: Rank) -> (Arc<Data>, Vec<Vec<MicroBatch>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(folder.path(), Objective::Labels);
    let Work::Train(train) = &job.work else {
        panic!("a training")
    };
    assert!(train.data.gradient_accumulation_steps > 1);
    let data = Arc::new(Data::open(train, job.seed).expect("data"));
    let mut feed = Feed::start(&data, &train.data, 0, (pad_to, rank), (job.seed, 0));
    let steps = (0..2).map(|_| feed.next()).collect();
    (data, steps)
}

/// Ids of the rows of a step, each once and ascending, with that of padding if there is any.
fn used(data: &Data, step: &[MicroBatch]) -> Vec<i64> {
    let parts = step.iter().flat_map(|batch| batch.parts.iter().flatten());
    let rows = parts.flat_map(|part| part.block.places.iter());
    let ids = rows.flat_map(|&place| data.train.input_ids(data.rows[place as usize] as usize));
    let mut ids: Vec<i64> = ids.map(|&id| i64::from(id)).collect();
    let is_padded = step.iter().any(|batch| batch.cells > batch.whole.tokens);
    ids.extend(is_padded.then(|| i64::from(data.train.meta().pad_token_id)));
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn the_words_of_a_step_are_those_of_all_its_micro_batches_on_every_rank() {
    for pad_to in [PadTo::None, PadTo::Longest, PadTo::MaxSeqLength] {
        let (data, alone) = steps(pad_to, Rank::ONLY);
        for rank in 0..3 {
            let (_, shared) = steps(pad_to, Rank { rank, size: 3 });
            for (alone, shared) in alone.iter().zip(&shared) {
                assert!(alone.len() > 1);
                let expected = used(&data, alone);
                for batch in alone.iter().chain(shared) {
                    assert_eq!(batch.words[..], expected[..], "{pad_to:?}, rank {rank}");
                }
            }
        }
    }
}
