//! Writing a `config.json` that `transformers` opens.

use serde_json::{Map, Value, json};

use super::BertConfig;
use crate::model::family::Family;

/// Fields that a `config.json` has in another form, or not at all.
const NOT_IN_FILES: [&str; 3] = ["id2label", "family", "train_padding"];

impl BertConfig {
    /// Content of a `config.json` that `transformers` opens, for an encoder alone or one that
    /// classifies: then with these labels in class order, without any for a regression.
    pub fn to_json(&self, classifies: bool, labels: &[String]) -> Value {
        let Ok(Value::Object(own)) = serde_json::to_value(self) else {
            unreachable!("a struct with named fields is an object")
        };
        let family = match Family::of(&own) {
            flagged if flagged.flag.is_some() => flagged,
            _ => self.family,
        };
        let class = if classifies {
            family.classifier_class
        } else {
            family.encoder_class
        };
        let mut object = Map::new();
        object.insert("architectures".to_owned(), json!([class]));
        object.insert("model_type".to_owned(), json!(family.model_type));
        let own = family.with_own_keys(own).into_iter();
        let own = own.filter(|(key, _)| !NOT_IN_FILES.contains(&key.as_str()));
        object.extend(own);
        if let Some(positions) = family.positions {
            object.insert("position_embedding_type".to_owned(), json!(positions));
        }
        object.insert("torch_dtype".to_owned(), json!("float32"));
        if labels.is_empty() && classifies {
            // `transformers` counts the labels by their names.
            object.insert("id2label".to_owned(), json!({"0": "LABEL_0"}));
            object.insert("label2id".to_owned(), json!({"LABEL_0": 0}));
            object.insert("problem_type".to_owned(), json!("regression"));
        }
        if !labels.is_empty() {
            let id2label: Map<String, Value> = labels
                .iter()
                .enumerate()
                .map(|(class, name)| (class.to_string(), json!(name)))
                .collect();
            let label2id: Map<String, Value> = labels
                .iter()
                .enumerate()
                .map(|(class, name)| (name.clone(), json!(class)))
                .collect();
            object.insert("id2label".to_owned(), Value::Object(id2label));
            object.insert("label2id".to_owned(), Value::Object(label2id));
            object.insert(
                "problem_type".to_owned(),
                json!("single_label_classification"),
            );
        }
        Value::Object(object)
    }
}
