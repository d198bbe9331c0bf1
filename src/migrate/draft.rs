//! The experiment file before it is written: keys with values, and what is not taken over.

use toml::Value;

use super::config::Config;
use super::nets::Net;
use super::reasons::reason;
use crate::document::{Located, Sources, Span};
use crate::experiment::names_checkpoint;
use crate::input::{excerpt, excerpt_path};

/// Name of a flag among the sources.
pub(super) const FLAG: &str = "--flag";

/// Where a value is from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    /// For the comment beside the key.
    pub(super) text: String,
    /// Its place in a configuration or flag; none for a place to fill in.
    pub(super) span: Option<Span>,
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        Self { text, span: None }
    }
}

/// A key of the experiment file with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// Table, without brackets; empty for the file's top.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) from: Origin,
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
    pub(super) fn from(&self, span: Option<&Span>, name: &str) -> Origin {
        let text = match span {
            Some(span) => format!("{} {name}", self.place(span)),
            None => name.to_owned(),
        };
        let span = span.cloned();
        Origin { text, span }
    }

    /// Sets a key.
    pub(super) fn put(
        &mut self,
        table: &'static str,
        key: &'static str,
        value: Value,
        from: Origin,
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

    /// The sources of the configurations and flags.
    pub(super) fn sources(&self) -> &'a Sources {
        self.sources
    }

    /// The text of a key that is set.
    pub(super) fn text(&self, table: &str, key: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        let found = settings.find(|setting| (setting.table, setting.key) == (table, key));
        found.and_then(|setting| setting.value.as_str())
    }

    /// Whether a key is set.
    pub(super) fn has(&self, table: &str, key: &str) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|setting| (setting.table, setting.key) == (table, key))
    }

    /// Notes that a value is not taken over.
    pub(super) fn note(&mut self, span: Option<&Span>, path: &str, reason: &str) {
        let from = self.from(span, &excerpt(path)).text;
        self.notes.push(format!("{from}: {reason}"));
    }

    /// Whether a place is in a flag.
    pub(super) fn is_flag(&self, span: &Span) -> bool {
        let source = self.sources.get(span);
        source.is_some_and(|source| source.name == FLAG)
    }

    /// Moves the keys beside a model that is a folder to the notes: its `config.json` has them.
    pub(super) fn leave_to_folders(&mut self) {
        for table in ["teacher", "student"] {
            let model = self.text(table, "model");
            if model.is_none_or(names_checkpoint) {
                continue;
            }
            let is_left = |setting: &mut Setting| setting.table == table && setting.key != "model";
            let left: Vec<Setting> = self.settings.extract_if(.., is_left).collect();
            for Setting { key, from, .. } in left {
                let from = from.text;
                let reason = "the `config.json` of the model's folder has it";
                self.notes.push(format!("{from}: {reason} (`{key}`)"));
            }
        }
    }

    /// Notes every value that was not read.
    pub(super) fn list_unread(&mut self, config: &Config<'_>) {
        for unread in config.unread() {
            self.note(Some(&unread.span), &unread.path, reason(&unread.path));
        }
    }
}
