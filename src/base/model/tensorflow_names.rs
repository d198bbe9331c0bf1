//! Names of the tensors of Google's BERT in a TensorFlow checkpoint.

/// Names of tensors that differ: here and there. Parts of names are the same otherwise, with dots.
const NAMES: [(&str, &str); 5] = [
    (
        "bert.embeddings.word_embeddings.weight",
        "bert/embeddings/word_embeddings",
    ),
    (
        "bert.embeddings.token_type_embeddings.weight",
        "bert/embeddings/token_type_embeddings",
    ),
    (
        "bert.embeddings.position_embeddings.weight",
        "bert/embeddings/position_embeddings",
    ),
    ("classifier.weight", "output_weights"),
    ("classifier.bias", "output_bias"),
];

/// Name here of a tensor in a checkpoint; `None` for those that no model needs: the heads of
/// pre-training, and what Adam keeps.
pub(super) fn canonical(found: &str) -> Option<String> {
    if found.starts_with("cls/") || found.ends_with("/adam_m") || found.ends_with("/adam_v") {
        return None;
    }
    if let Some((known, _)) = NAMES.iter().find(|(_, own)| *own == found) {
        return Some((*known).to_owned());
    }
    let Some((stem, last)) = found
        .rsplit_once('/')
        .filter(|_| found.starts_with("bert/"))
    else {
        return Some(found.to_owned());
    };
    let last = match last {
        "kernel" | "gamma" => "weight",
        "beta" => "bias",
        other => other,
    };
    let stem = stem.replacen("/layer_", "/layer.", 1).replace('/', ".");
    Some(format!("{stem}.{last}"))
}

/// Name that a tensor has in a checkpoint: the reverse of [`canonical`].
pub(super) fn in_file(name: &str) -> String {
    if let Some((_, own)) = NAMES.iter().find(|(known, _)| *known == name) {
        return (*own).to_owned();
    }
    let Some((stem, last)) = name.rsplit_once('.').filter(|_| name.starts_with("bert.")) else {
        return name.to_owned();
    };
    let last = match (stem.ends_with("LayerNorm"), last) {
        (true, "weight") => "gamma",
        (true, "bias") => "beta",
        (false, "weight") => "kernel",
        (_, other) => other,
    };
    let stem = stem.replacen(".layer.", ".layer_", 1).replace('.', "/");
    format!("{stem}/{last}")
}
