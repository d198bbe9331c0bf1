//! What the networks of two configurations must agree in.

use std::cell::RefCell;

use crate::document::{Fault, Located};

/// What two networks must agree in.
#[derive(Debug, Clone)]
pub(super) struct Net {
    /// Its table in the configuration.
    pub(super) table: &'static str,
    /// Whether it is a student.
    pub(super) is_student: bool,
    /// The key with its value, as the networks of teacher and student have it.
    pub(super) values: Vec<(&'static str, Located<f64>)>,
}

/// Keys of a network's shape with those of `[student]`.
pub(super) const SHAPE: [(&str, &str); 6] = [
    ("num_hidden_layers", "num-hidden-layers"),
    ("hidden_size", "hidden-size"),
    ("intermediate_size", "intermediate-size"),
    ("num_attention_heads", "num-attention-heads"),
    ("vocab_size", "vocab-size"),
    ("type_vocab_size", "type-vocab-size"),
];

/// Further keys that the student of both programs has.
const TRAINED: [&str; 3] = [
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
];

/// Faults where networks differ that are one: the student of both programs, and the length and the
/// heads of teacher and student.
pub(super) fn agree(nets: &[Net], faults: &RefCell<Vec<Fault>>) {
    let check = |one: &Net, other: &Net, keys: &[&str], reason: &str| {
        for (key, value) in one.values.iter().filter(|(key, _)| keys.contains(key)) {
            let found = other.values.iter().find(|(name, _)| name == key);
            let Some((_, wanted)) = found.filter(|(_, wanted)| wanted != value) else {
                continue;
            };
            let message = format!(
                "`{}.{key}` is {}, and `{}.{key}` is {}",
                one.table, value.value, other.table, wanted.value
            );
            let fault = Fault::new(message, value.span.clone());
            faults.borrow_mut().push(fault.with_label(reason));
        }
    };
    let student_of = |prefix: &str| {
        let mut nets = nets.iter();
        nets.find(|net| net.is_student && net.table.starts_with(prefix))
    };
    let shape = SHAPE.map(|(key, _)| key);
    if let (Some(task), Some(general)) = (student_of("td_"), student_of("bert_")) {
        let reason = "the student is the same in both programs";
        check(task, general, &shape, reason);
        check(task, general, &TRAINED, reason);
    }
    for prefix in ["td_", "bert_"] {
        let teacher = nets
            .iter()
            .find(|net| !net.is_student && net.table.starts_with(prefix));
        if let (Some(student), Some(teacher)) = (student_of(prefix), teacher) {
            let keys = ["seq_length", "num_attention_heads", "vocab_size"];
            check(student, teacher, &keys, "teacher and student must agree");
        }
    }
}
