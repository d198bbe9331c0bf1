//! The special tokens around the texts of an example, by the post-processor of `tokenizer.json`.

use serde_json::{Value, json};

use super::documents::{Documents, Saved, TOKENIZER};
use crate::data::error::DataError;

/// A token around the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) token: String,
    pub(super) id: Option<u64>,
}

/// The tokens around a text by the post-processor, which must frame texts as BERT or MPNet does, and
/// how many are between two texts; `stated` are the tokens and the number that it should have, where
/// something else states them too.
pub(super) fn framing(
    documents: &Documents,
    saved: &Saved,
    stated: Option<([String; 2], usize)>,
) -> Result<([Framing; 2], usize), DataError> {
    let processor = &saved.post_processor;
    if let (Value::Null, Some((names, between))) = (processor, &stated) {
        let frame = names.clone().map(|token| Framing { token, id: None });
        return Ok((frame, *between));
    }
    let kind = processor.get("type").and_then(Value::as_str);
    let named = || {
        ["cls", "sep"].map(|key| {
            let pair = processor.get(key)?;
            Some(Framing {
                token: pair.get(0)?.as_str()?.to_owned(),
                id: pair.get(1)?.as_u64(),
            })
        })
    };
    let (found, between) = match kind {
        Some("BertProcessing") => (named(), 1),
        Some("RobertaProcessing") => (named(), 2),
        Some("TemplateProcessing") => match template(processor, 1) {
            [None, _] | [_, None] => (template(processor, 2), 2),
            found => (found, 1),
        },
        _ => ([None, None], 1),
    };
    let expected = match &stated {
        Some((_, 2)) => "expected `<s> A </s>` and `<s> A </s> </s> B </s>`, as MPNet has it",
        _ => "expected `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]` with BERT's segments",
    };
    let shown = || processor.get("type").cloned().unwrap_or_default();
    let is_other = |(_, wanted): &([String; 2], usize)| *wanted != between;
    let ([Some(cls), Some(sep)], false) = (found, stated.as_ref().is_some_and(is_other)) else {
        return Err(documents.refuse(TOKENIZER, "post_processor", &shown(), expected));
    };
    let frame = [cls, sep];
    if let Some((names, _)) = stated
        && frame.each_ref().map(|framing| &framing.token) != names.each_ref()
    {
        let reason = format!(
            "its tokens differ from `{}` and `{}`, which other files name",
            names[0], names[1]
        );
        return Err(documents.refuse(TOKENIZER, "post_processor", &shown(), reason));
    }
    Ok((frame, between))
}

/// The tokens of a template, if it is BERT's but for the number of tokens `between` two texts.
fn template(processor: &Value, between: usize) -> [Option<Framing>; 2] {
    let name = |at: usize| {
        let special = processor.get("single")?.get(at)?.get("SpecialToken")?;
        special.get("id")?.as_str().map(str::to_owned)
    };
    let (Some(cls), Some(sep)) = (name(0), name(2)) else {
        return [None, None];
    };
    let special = |id: &str, segment: u8| json!({"SpecialToken": {"id": id, "type_id": segment}});
    let text = |id: &str, segment: u8| json!({"Sequence": {"id": id, "type_id": segment}});
    let single = json!([special(&cls, 0), text("A", 0), special(&sep, 0)]);
    // A model that takes two separators takes no segments.
    let pair = |segment: u8| {
        let mut parts = vec![special(&cls, 0), text("A", 0)];
        parts.extend(std::iter::repeat_n(special(&sep, 0), between));
        parts.extend([text("B", segment), special(&sep, segment)]);
        Value::Array(parts)
    };
    let is_pair = |found: &Value| *found == pair(1) || (between > 1 && *found == pair(0));
    if processor.get("single") != Some(&single) || !processor.get("pair").is_some_and(is_pair) {
        return [None, None];
    }
    [cls, sep].map(|token| {
        let ids = processor
            .get("special_tokens")?
            .get(&token)?
            .get("ids")?
            .as_array()?;
        let [id] = ids.as_slice() else { return None };
        Some(Framing {
            token,
            id: id.as_u64(),
        })
    })
}
