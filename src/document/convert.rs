//! From a node to the value of a key, or why not.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use super::node::{Node, Value};
use super::span::Span;

/// A value as read, or why not.
pub(crate) type Converted<T> = Result<T, Refusal>;

/// Why a value cannot stand for its key.
pub(crate) struct Refusal {
    /// `is a string`, `is out of range`
    pub(crate) predicate: String,
    pub(crate) label: String,
    pub(crate) hint: Option<String>,
    pub(crate) span: Option<Span>,
}

pub(crate) fn refuse_type<T>(node: &Node, expected: &str) -> Converted<T> {
    Err(Refusal {
        predicate: format!("is {}", node.value.kind()),
        label: format!("expected {expected}"),
        hint: None,
        span: Some(node.span.clone()),
    })
}

pub(crate) fn string(node: &Node) -> Converted<String> {
    match &node.value {
        Value::String(text) if text.is_empty() => Err(Refusal {
            predicate: "is empty".to_owned(),
            label: "expected some text".to_owned(),
            hint: None,
            span: Some(node.span.clone()),
        }),
        Value::String(text) => Ok(text.clone()),
        _ => refuse_type(node, "a string"),
    }
}

pub(crate) fn boolean(node: &Node) -> Converted<bool> {
    match node.value {
        Value::Boolean(value) => Ok(value),
        _ => refuse_type(node, "`true` or `false`"),
    }
}

pub(crate) fn items<'n>(node: &'n Node, what: &str) -> Converted<&'n [Node]> {
    match &node.value {
        Value::Array(items) => Ok(items),
        _ => refuse_type(node, what),
    }
}

pub(crate) fn integer<T: TryFrom<i64>>(node: &Node, range: &impl RangeBounds<i64>) -> Converted<T> {
    let expected = || format!("an integer{}", describe_range(range));
    let out_of_range = || Refusal {
        predicate: "is out of range".to_owned(),
        label: format!("expected {}", expected()),
        hint: None,
        span: None,
    };
    match node.value {
        Value::Integer(number) if range.contains(&number) => {
            T::try_from(number).map_err(|_| out_of_range())
        }
        Value::Integer(_) | Value::TooLarge => Err(out_of_range()),
        _ => refuse_type(node, &expected()),
    }
}

pub(crate) fn float(node: &Node, range: &impl RangeBounds<f64>) -> Converted<f64> {
    let expected = || format!("a number{}", describe_range(range));
    let number = match node.value {
        // Exact up to 2^53; no key takes a number near it.
        Value::Integer(number) => number as f64,
        Value::Float(number) => number,
        Value::TooLarge => f64::INFINITY,
        _ => return refuse_type(node, &expected()),
    };
    if number.is_finite() && range.contains(&number) {
        Ok(number)
    } else {
        Err(Refusal {
            predicate: "is out of range".to_owned(),
            label: format!("expected {}", expected()),
            hint: None,
            span: None,
        })
    }
}

pub(crate) fn choice<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Converted<T> {
    let expected = alternatives(choices.iter().map(|choice| choice.0));
    let Value::String(word) = &node.value else {
        return refuse_type(node, &expected);
    };
    let found = choices.iter().find(|(name, _)| name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
        Refusal {
            predicate: format!("cannot be `{word}`"),
            label: format!("expected {expected}"),
            hint: did_you_mean(word, &names),
            span: None,
        }
    })
}

/// `` `a`, `b` or `c` ``
pub(crate) fn alternatives<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let ticked: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match ticked.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The likeliest of several names, as a hint.
pub(crate) fn did_you_mean(word: &str, names: &[&str]) -> Option<String> {
    let word = word.to_lowercase().replace('_', "-");
    let near = names
        .iter()
        .map(|name| (strsim::osa_distance(&word, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
    // A part of a long name, such as `warmup`, is far from it by letters.
    let part = || {
        let mut holders = names.iter().filter(|name| name.contains(&word));
        let only = holders.next()?;
        (word.len() >= 4 && holders.next().is_none()).then_some(only)
    };
    let name = near.or_else(part)?;
    Some(format!("did you mean `{name}`?"))
}

/// ` from 1 to 10`, `, more than 0 and at most 1`, `, at least 0`
fn describe_range<T: Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!(" from {low} to {high}"),
        _ => format!(", {}", limits(range).join(" and ")),
    }
}

/// `1 to 10`, `more than 0, at most 1`, `at least 0`
pub(crate) fn range_in_words<T: Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!("{low} to {high}"),
        _ => limits(range).join(", "),
    }
}

fn limits<T: Display>(range: &impl RangeBounds<T>) -> Vec<String> {
    let low = match range.start_bound() {
        Bound::Included(low) => Some(format!("at least {low}")),
        Bound::Excluded(low) => Some(format!("more than {low}")),
        Bound::Unbounded => None,
    };
    let high = match range.end_bound() {
        Bound::Included(high) => Some(format!("at most {high}")),
        Bound::Excluded(high) => Some(format!("less than {high}")),
        Bound::Unbounded => None,
    };
    low.into_iter().chain(high).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_given_for_a_slip_and_not_for_another_word() {
        let names = ["learning-rate", "epochs", "warmup-proportion"];
        let hint = |word| did_you_mean(word, &names);
        assert_eq!(
            hint("learning_rte").unwrap(),
            "did you mean `learning-rate`?"
        );
        assert_eq!(hint("Epoch").unwrap(), "did you mean `epochs`?");
        assert_eq!(hint("warmup").unwrap(), "did you mean `warmup-proportion`?");
        assert_eq!(hint("lr"), None);
        assert_eq!(hint("momentum"), None);
    }

    #[test]
    fn ranges_are_told_in_words() {
        assert_eq!(describe_range(&(1..=4096)), " from 1 to 4096");
        assert_eq!(describe_range(&(0..)), ", at least 0");
        assert_eq!(describe_range(&(0.0..1.0)), ", at least 0 and less than 1");
        let half_open = (Bound::Excluded(0.0), Bound::Included(0.5));
        assert_eq!(describe_range(&half_open), ", more than 0 and at most 0.5");
        assert_eq!(range_in_words(&(1..=4096)), "1 to 4096");
        assert_eq!(range_in_words(&half_open), "more than 0, at most 0.5");
    }
}
