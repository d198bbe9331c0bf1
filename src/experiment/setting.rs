//! Values of keys: how each type is read, written and described.

use std::ops::{Bound, RangeBounds};

use toml::Value;

use crate::document::{Located, Section, range_in_words};

/// A value of a key.
pub(crate) trait Setting: Sized + 'static {
    /// What limits it: a range, a list of words, or nothing.
    type Limit: Default;

    /// Reads a key; `None` where it is omitted or has a fault.
    fn read(at: &At<'_, Self::Limit>) -> Option<Located<Self>>;

    /// As it is written out and hashed.
    fn value(&self) -> Value;

    /// What is written there, for the reference.
    fn kind(limit: &Self::Limit) -> String;

    /// Its range, for the reference.
    fn range(_: &Self::Limit) -> String {
        String::new()
    }
}

/// A key to be read.
pub(crate) struct At<'a, L> {
    pub(crate) section: &'a Section<'a>,
    pub(crate) key: &'static str,
    pub(crate) limit: &'a L,
    /// What a required key needs.
    pub(crate) what: &'a str,
}

/// A range of numbers.
#[derive(Clone, Copy)]
pub(crate) struct Range<N>(pub(crate) Bound<N>, pub(super) Bound<N>);

impl<N> Default for Range<N> {
    fn default() -> Self {
        Self(Bound::Unbounded, Bound::Unbounded)
    }
}

/// A range as the readers take it.
impl<N> RangeBounds<N> for Range<N> {
    fn start_bound(&self) -> Bound<&N> {
        self.0.as_ref()
    }

    fn end_bound(&self) -> Bound<&N> {
        self.1.as_ref()
    }
}

/// A field that holds a setting: by itself, with its place, or only where there is one.
pub(crate) trait Field: Sized {
    type Setting: Setting;
    /// Without its place.
    type Default;

    fn fill(found: Option<Located<Self::Setting>>, default: Self::Default) -> Self;

    fn setting(&self) -> Option<&Self::Setting>;
}

impl<S: Setting> Field for S {
    type Setting = S;
    type Default = S;

    fn fill(found: Option<Located<S>>, default: S) -> Self {
        found.map_or(default, |found| found.value)
    }

    fn setting(&self) -> Option<&S> {
        Some(self)
    }
}

impl<S: Setting> Field for Located<S> {
    type Setting = S;
    type Default = S;

    fn fill(found: Option<Located<S>>, default: S) -> Self {
        found.unwrap_or_else(|| Located::default_value(default))
    }

    fn setting(&self) -> Option<&S> {
        Some(&self.value)
    }
}

impl<S: Setting> Field for Option<S> {
    type Setting = S;
    type Default = Option<S>;

    fn fill(found: Option<Located<S>>, default: Option<S>) -> Self {
        found.map(|found| found.value).or(default)
    }

    fn setting(&self) -> Option<&S> {
        self.as_ref()
    }
}

impl<S: Setting> Field for Option<Located<S>> {
    type Setting = S;
    type Default = Option<S>;

    fn fill(found: Option<Located<S>>, default: Option<S>) -> Self {
        found.or_else(|| default.map(Located::default_value))
    }

    fn setting(&self) -> Option<&S> {
        self.as_ref().map(|found| &found.value)
    }
}

macro_rules! integers {
    ($($type:ty)+) => {$(
        impl Setting for $type {
            type Limit = Range<i64>;

            fn read(at: &At<'_, Range<i64>>) -> Option<Located<Self>> {
                at.section.integer(at.key, *at.limit)
            }

            fn value(&self) -> Value {
                // Read from an `i64`.
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn kind(_: &Range<i64>) -> String {
                "integer".to_owned()
            }

            fn range(limit: &Range<i64>) -> String {
                range_in_words(limit)
            }
        }
    )+};
}
integers! { u32 u64 usize }

impl Setting for f64 {
    type Limit = Range<f64>;

    fn read(at: &At<'_, Range<f64>>) -> Option<Located<Self>> {
        at.section.float(at.key, *at.limit)
    }

    fn value(&self) -> Value {
        Value::Float(*self)
    }

    fn kind(_: &Range<f64>) -> String {
        "number".to_owned()
    }

    fn range(limit: &Range<f64>) -> String {
        range_in_words(limit)
    }
}

impl Setting for bool {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        at.section.boolean(at.key)
    }

    fn value(&self) -> Value {
        Value::Boolean(*self)
    }

    fn kind((): &()) -> String {
        "boolean".to_owned()
    }
}

/// `choices! { Type, .. }` beside the keys that have one of the words of these types.
macro_rules! choices {
    ($($choice:ty),+ $(,)?) => {$(
        impl $crate::experiment::setting::Setting for $choice {
            type Limit = ();

            fn read(
                at: &$crate::experiment::setting::At<'_, ()>,
            ) -> Option<$crate::document::Located<Self>> {
                at.section.choice(at.key, <Self as $crate::job::Word>::WORDS)
            }

            fn value(&self) -> toml::Value {
                $crate::job::Word::as_str(*self).into()
            }

            fn kind((): &()) -> String {
                let words = <Self as $crate::job::Word>::WORDS.iter();
                $crate::experiment::setting::listed(words.map(|(word, _)| *word))
            }
        }
    )+};
}
pub(crate) use choices;

/// `` `a`, `b` ``
pub(crate) fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Any text that is not empty, or one of the words.
impl Setting for String {
    type Limit = &'static [&'static str];

    fn read(at: &At<'_, Self::Limit>) -> Option<Located<Self>> {
        if at.limit.is_empty() {
            return at.section.string(at.key);
        }
        let words: Vec<(&str, &str)> = at.limit.iter().map(|word| (*word, *word)).collect();
        let found = at.section.choice(at.key, &words)?;
        Some(found.map(str::to_owned))
    }

    fn value(&self) -> Value {
        self.as_str().into()
    }

    fn kind(words: &Self::Limit) -> String {
        if words.is_empty() {
            "string".to_owned()
        } else {
            listed(words.iter().copied())
        }
    }
}

/// Lists, by the type of their items and their limit.
macro_rules! lists {
    ($($item:ty, $limit:ty: $kind:literal, |$at:ident| $read:expr, |$one:ident| $value:expr;)+) => {$(
        impl Setting for Vec<$item> {
            type Limit = $limit;

            fn read($at: &At<'_, $limit>) -> Option<Located<Self>> {
                $read
            }

            fn value(&self) -> Value {
                Value::Array(self.iter().map(|$one| $value).collect())
            }

            fn kind(_: &$limit) -> String {
                $kind.to_owned()
            }
        }
    )+};
}
lists! {
    f64, Range<f64>: "list of numbers",
        |at| at.section.floats(at.key, *at.limit), |item| item.value();
    usize, Range<i64>: "list of integers",
        |at| at.section.integers(at.key, *at.limit, at.what), |item| item.value();
    Located<String>, (): "list of strings",
        |at| at.section.strings(at.key), |item| item.value.value();
    String, (): "list of strings",
        |at| Some(at.section.strings(at.key)?.map(texts)), |item| item.value();
}

fn texts(list: Vec<Located<String>>) -> Vec<String> {
    list.into_iter().map(|text| text.value).collect()
}

/// Longest input and widest layer that are taken for meant.
pub(crate) const LARGEST: i64 = 1_000_000;

/// More than 0, at most `high`.
pub(crate) fn above_zero_to(high: f64) -> Range<f64> {
    Range(Bound::Excluded(0.0), Bound::Included(high))
}
