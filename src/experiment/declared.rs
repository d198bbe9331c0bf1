//! One key as it is declared in `settings!`.

use std::ops::RangeBounds;

use toml::Value;

use super::setting::{At, Field, Range, Setting};
use crate::document::Section;

/// A key with its value.
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    /// Its value in the resolved file; `None` where it is omitted.
    pub(crate) written: Option<Value>,
    /// Its value in a fingerprint; `None` where it does not count.
    pub(crate) counted: Option<Value>,
}

/// One key in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Name in the file.
    pub name: &'static str,
    /// What is written there.
    pub kind: String,
    /// What stands there when nothing is written.
    pub default: Fallback,
    /// Range or unit; empty where `kind` says it all.
    pub range: String,
    /// What it does, in one line.
    pub meaning: String,
}

/// Default of an omitted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// It cannot be left out.
    Required,
    /// This TOML value.
    Value(String),
    /// A TOML value for each table, by the table's last name.
    Each(Vec<(String, String)>),
    /// What these words say.
    Words(&'static str),
}

/// What of a value is part of the fingerprint.
type Counted<T> = Box<dyn Fn(&T) -> Option<Value>>;

/// A key as declared: everything but its meaning, its default, and whether it counts.
pub(crate) struct Declared<F: Field> {
    name: &'static str,
    limit: <F::Setting as Setting>::Limit,
    required: Option<String>,
    counted: Counted<F::Setting>,
    written: fn(&F) -> bool,
    absent: Option<&'static str>,
    place: Place,
    kind_text: Option<&'static str>,
    range_text: Option<&'static str>,
    default_text: Option<&'static str>,
}

#[derive(PartialEq)]
enum Place {
    Key,
    Value,
}

/// A key of this name.
pub(crate) fn key<F: Field>(name: &'static str) -> Declared<F> {
    Declared {
        name,
        limit: Default::default(),
        required: None,
        counted: Box::new(|setting| Some(setting.value())),
        written: |_| true,
        absent: None,
        place: Place::Value,
        kind_text: None,
        range_text: None,
        default_text: None,
    }
}

impl<F: Field> Declared<F> {
    /// Numbers that are allowed, or numbers of a list.
    pub(crate) fn range<N: Copy>(mut self, range: impl RangeBounds<N>) -> Self
    where
        F::Setting: Setting<Limit = Range<N>>,
    {
        self.limit = Range(range.start_bound().cloned(), range.end_bound().cloned());
        self
    }

    /// Words that are allowed.
    pub(crate) fn one_of(mut self, words: &'static [&'static str]) -> Self
    where
        F::Setting: Setting<Limit = &'static [&'static str]>,
    {
        self.limit = words;
        self
    }

    /// It cannot be omitted; `what` is what it needs, for the fault.
    pub(crate) fn required(mut self, what: impl Into<String>) -> Self {
        self.required = Some(what.into());
        self
    }

    /// It counts where it is not this: what was done before there was such a key.
    pub(crate) fn unless(mut self, before: F::Setting) -> Self
    where
        F::Setting: PartialEq,
    {
        self.counted = Box::new(move |setting| (*setting != before).then(|| setting.value()));
        self
    }

    /// It counts as another value, or not at all.
    pub(crate) fn counted_as(mut self, value: fn(&F::Setting) -> Option<Value>) -> Self {
        self.counted = Box::new(value);
        self
    }

    /// The resolved file omits it otherwise.
    pub(crate) fn written_if(mut self, written: fn(&F) -> bool) -> Self {
        self.written = written;
        self
    }

    /// The resolved file has this word where there is no value.
    pub(crate) fn or_word(mut self, word: &'static str) -> Self {
        self.absent = Some(word);
        self
    }

    /// Its faults stand at the key and not at the value.
    pub(crate) fn placed_at_key(mut self) -> Self {
        self.place = Place::Key;
        self
    }

    /// What is written there, for the reference, where the type does not say it.
    pub(crate) fn kind_text(mut self, text: &'static str) -> Self {
        self.kind_text = Some(text);
        self
    }

    /// Range or unit, for the reference, where the range does not say it.
    pub(crate) fn range_text(mut self, text: &'static str) -> Self {
        self.range_text = Some(text);
        self
    }

    /// Default, for the reference, where it is not one value.
    pub(crate) fn default_text(mut self, text: &'static str) -> Self {
        self.default_text = Some(text);
        self
    }

    pub(crate) fn read(&self, section: &Section<'_>, default: F::Default) -> F {
        if let Some(what) = &self.required {
            section.require(self.name, what);
        }
        let mut found = F::Setting::read(&At {
            section,
            key: self.name,
            limit: &self.limit,
            what: self.required.as_deref().unwrap_or_default(),
        });
        if let Some(found) = found.as_mut().filter(|_| self.place == Place::Key) {
            found.span = section.key_span(self.name);
        }
        F::fill(found, default)
    }

    pub(crate) fn entry(&self, field: &F, counts: bool) -> Entry {
        let setting = field.setting();
        let value = setting.map(Setting::value);
        let written = value.or_else(|| self.absent.map(Value::from));
        Entry {
            key: self.name,
            written: written.filter(|_| (self.written)(field)),
            counted: setting
                .filter(|_| counts)
                .and_then(|setting| (self.counted)(setting)),
        }
    }

    pub(crate) fn describe(&self, meaning: &str) -> Key {
        let kind = self.kind_text.map(str::to_owned);
        let range = self.range_text.map(str::to_owned);
        Key {
            name: self.name,
            kind: kind.unwrap_or_else(|| F::Setting::kind(&self.limit)),
            default: match (&self.required, self.default_text) {
                (Some(_), _) => Fallback::Required,
                (None, Some(words)) => Fallback::Words(words),
                (None, None) => Fallback::Value(String::new()),
            },
            range: range.unwrap_or_else(|| F::Setting::range(&self.limit)),
            meaning: meaning.trim().to_owned(),
        }
    }
}
