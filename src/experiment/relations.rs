//! How many relation heads a stage's relation loss has.

use super::distill::Distill;
use super::stage::Stage;
use crate::document::Fault;
use crate::model::config::BertConfig;

/// Most relation heads that a hint names, unless the teacher has more attention heads: BERT-base's.
const MOST: usize = 12;

/// Relation heads of a stage that compares relations.
///
/// # Errors
///
/// A fault at the key where they do not divide the widths of both models, with a number that does.
pub(super) fn relation_heads(
    stage: &Stage,
    distill: &Distill,
    student: &BertConfig,
    teacher: &BertConfig,
) -> Result<usize, Box<Fault>> {
    let widths = [
        ("student", student.hidden_size),
        ("teacher", teacher.hidden_size),
    ];
    let given = distill.relation_heads.as_ref();
    let heads = given.map_or(teacher.num_attention_heads, |given| given.value);
    let Some((whose, width)) = widths
        .into_iter()
        .find(|(_, width)| !width.is_multiple_of(heads))
    else {
        return Ok(heads);
    };
    let message = match given {
        Some(_) => format!(
            "`relation-heads` in `[stages.{}]` is {heads}, which does not divide the {whose}'s width of {width}",
            stage.name
        ),
        None => format!(
            "in `{}`, the relation heads are the teacher's {heads} attention heads, which do not divide the {whose}'s width of {width}",
            stage.name
        ),
    };
    let divides = |heads: &usize| widths.iter().all(|(_, width)| width.is_multiple_of(*heads));
    let best = (1..=MOST.max(teacher.num_attention_heads))
        .rev()
        .find(divides);
    let hint = best.map(|best| {
        format!(
            "set `relation-heads = {best}` in `[stages.{}]`, which divides both widths",
            stage.name
        )
    });
    let span = given.map_or(&distill.attention_loss.span, |given| &given.span);
    Err(Box::new(Fault::new(message, span.clone()).with_hint(hint)))
}
