//! The experiment file before it is written: keys with values, and what is not taken over.

use toml::Value;

use super::config::Config;
use super::nets::Net;
use super::reasons::reason;
use crate::document::{Located, Sources, Span};
use crate::input::{excerpt, excerpt_path};

/// Name of a flag among the sources.
pub(super) const FLAG: &str = "--flag";

/// A key of the experiment file with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// Table, without brackets; empty for the file's top.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value,
    /// Where it is from.
    pub(super) from: String,
    /// Without it the file is no experiment.
    pub(super) is_required: bool,
}

/// The experiment file before it is written.
pub(super) struct Draft<'a> {
    sources: &'a Sources,
    pub(super) settings: Vec<Setting>,
    /// Tables that are there though they have no key.
    pub(super) tables: Vec<&'static str>,
    /// What is not taken over, with the reason, a line each.
    pub(super) notes: Vec<String>,
    /// The networks of the configurations, which must agree.
    pub(super) nets: Vec<Net>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            settings: Vec::new(),
            tables: Vec::new(),
            notes: Vec::new(),
            nets: Vec::new(),
        }
    }

    /// Names of the configurations.
    pub(super) fn names(&self) -> Vec<String> {
        let all = (0..).map_while(|source| {
            let range = 0..0;
            self.sources.get(&Span { source, range })
        });
        let files = all.filter(|source| source.name != FLAG);
        files.map(|source| excerpt(&source.name)).collect()
    }

    /// `gd_config.yaml:12`
    pub(super) fn place(&self, span: &Span) -> String {
        let name = self.sources.get(span).map_or("", |source| &source.name);
        let short = std::path::Path::new(name);
        let short = short
            .file_name()
            .map_or(name.into(), |name| excerpt_path(name.as_ref()));
        match self.sources.position(span) {
            Some((line, _)) => format!("{short}:{line}"),
            None => short,
        }
    }

    /// Sets a key to a value that a configuration has.
    pub(super) fn set<T: Clone + Into<Value>>(
        &mut self,
        (table, key): (&'static str, &'static str),
        found: Option<Located<T>>,
        name: &str,
    ) {
        if let Some(found) = found {
            let from = self.from(found.span.as_ref(), name);
            self.put(table, key, found.value.into(), from);
        }
    }

    /// A configuration's key with its place.
    pub(super) fn from(&self, span: Option<&Span>, name: &str) -> String {
        match span {
            Some(span) => format!("{} {name}", self.place(span)),
            None => name.to_owned(),
        }
    }

    /// Sets a key.
    pub(super) fn put(
        &mut self,
        table: &'static str,
        key: &'static str,
        value: Value,
        from: String,
    ) {
        let is_required = [
            ("task", "name"),
            ("task", "train"),
            ("task", "dev"),
            ("teacher", "model"),
            ("student", "model"),
            ("stages.general-distill", "corpus"),
        ]
        .contains(&(table, key));
        self.settings.push(Setting {
            table,
            key,
            value,
            from,
            is_required,
        });
    }

    /// Whether a key is set.
    pub(super) fn has(&self, table: &str, key: &str) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|setting| (setting.table, setting.key) == (table, key))
    }

    /// Notes that a value is not taken over.
    pub(super) fn note(&mut self, span: Option<&Span>, path: &str, reason: &str) {
        let from = self.from(span, &excerpt(path));
        self.notes.push(format!("{from}: {reason}"));
    }

    /// Notes every value that was not read.
    pub(super) fn list_unread(&mut self, config: &Config<'_>) {
        for unread in config.unread() {
            self.note(Some(&unread.span), &unread.path, reason(&unread.path));
        }
    }
}
