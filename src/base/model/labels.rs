//! Whether the class names of a model are those of the data.

use super::config::BertConfig;

/// How the class names in `id2label` compare with the labels of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFit {
    /// The same names in the same order, whatever their case.
    Same,
    /// The model has no names, or only `LABEL_0`, `LABEL_1` and so on.
    Unnamed,
    /// The same names in another order: its predictions would be read swapped.
    Reordered,
    /// Other names.
    Different,
}

/// Compares the model's class names with the labels of the data, both in class order.
pub fn label_fit(config: &BertConfig, labels: &[String]) -> LabelFit {
    let lower = |names: &[String]| -> Vec<String> {
        names.iter().map(|name| name.to_lowercase()).collect()
    };
    let (mut found, mut expected) = (lower(&config.labels()), lower(labels));
    if found.iter().all(|name| name.starts_with("label_")) {
        return LabelFit::Unnamed;
    }
    if found == expected {
        return LabelFit::Same;
    }
    found.sort();
    expected.sort();
    if found == expected {
        LabelFit::Reordered
    } else {
        LabelFit::Different
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(names: &[&str], labels: &[&str]) -> LabelFit {
        let mut config: BertConfig = serde_json::from_value(serde_json::json!({
            "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 32
        }))
        .unwrap();
        config.id2label = (names.iter().enumerate())
            .map(|(class, name)| (class.to_string(), (*name).to_owned()))
            .collect();
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        label_fit(&config, &labels)
    }

    #[test]
    fn names_are_compared_in_order_and_without_case() {
        assert_eq!(fit(&["NEG", "pos"], &["neg", "Pos"]), LabelFit::Same);
        assert_eq!(fit(&["pos", "neg"], &["neg", "pos"]), LabelFit::Reordered);
        assert_eq!(fit(&["a", "b"], &["neg", "pos"]), LabelFit::Different);
        assert_eq!(fit(&["LABEL_0", "LABEL_1"], &["n", "p"]), LabelFit::Unnamed);
        assert_eq!(fit(&[], &["n", "p"]), LabelFit::Unnamed);
    }
}
