//! One declaration per key. `settings!` makes of a list of keys the struct that holds them, and
//! [`Settings`]: how they are read, written out, counted in a fingerprint and described.

use std::any::{Any, TypeId};

use super::declared::{Entry, Key};
use crate::document::Section;

pub(crate) use super::declared::key;

/// Keys that stand in one table of an experiment file.
pub(crate) trait Settings: Sized + 'static {
    /// What their defaults depend on.
    type Defaults: ?Sized;
    /// Their heading in the reference; `None` for keys under the heading of the group around them.
    const TITLE: Option<&'static str>;

    /// Reads the keys, and checks those that depend on each other.
    fn read_from(section: &Section<'_>, defaults: &Self::Defaults) -> Self;

    /// Every key with its value.
    fn entries(&self) -> Vec<Entry>;

    /// Every key for the reference.
    fn items() -> Vec<Item>;

    /// The group of this type, in these or itself.
    fn find(&self, _group: TypeId) -> Option<&dyn Any> {
        None
    }

    /// The keys under their own heading, if they have one.
    fn described() -> Vec<Item> {
        match Self::TITLE {
            Some(title) => vec![Item::Part(title, Self::items())],
            None => Self::items(),
        }
    }

    /// Reads a table that has these keys and no other.
    fn read_table(section: &Section<'_>, defaults: &Self::Defaults) -> Self {
        let found = Self::read_from(section, defaults);
        section.finish();
        found
    }

    /// The names of the keys, without those under another heading.
    fn names() -> Vec<&'static str> {
        let items = Self::items();
        let keys = items.iter().filter_map(Item::key);
        keys.map(|key| key.name).collect()
    }
}

/// Entries of a group that the resolved file omits.
pub(crate) fn omit(entries: &mut [Entry], is_written: bool) {
    for entry in entries.iter_mut().filter(|_| !is_written) {
        entry.written = None;
    }
}

/// A key, or a group of keys under a heading, for the reference.
pub(crate) enum Item {
    Key(Key),
    Part(&'static str, Vec<Item>),
}

impl Item {
    pub(crate) fn key(&self) -> Option<&Key> {
        match self {
            Self::Key(key) => Some(key),
            Self::Part(..) => None,
        }
    }
}

/// Declares a group of keys.
///
/// ```ignore
/// settings! {
///     /// What the group is.
///     pub struct Scoring(stage, defaults: ScoringDefaults) titled "Heading" checked by check_scoring {
///         /// Meaning of the key, for the reference.
///         counts keep: Keep = key("keep"), default defaults.keep;
///
///         /// Steps between two scorings.
///         recorded interval: u64 = key("eval-interval").range(0..), default 0;
///
///         /// Another group, whose keys stand in the same table.
///         group training: Training = &defaults.training;
///     }
/// }
/// ```
///
/// * A key *counts* (its value is part of the fingerprint: another value re-runs the stage) or is
///   *recorded* only. A *group* is another struct with [`Settings`], a *table* is read by the
///   expression given.
/// * Everything but the default is a method of `Declared` (`declared.rs`).
/// * A default may name the fields above it. Without a default, an `Option` is `None`, and a
///   required key stands for itself as an empty value after its fault.
/// * The check is a function of the struct and the section.
/// * `impl NAME` in place of `pub struct NAME` declares the keys of a struct from elsewhere.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($section:ident, $defaults:ident: $Defaults:ty)
        $(titled $title:literal)? $(checked by $check:path)? {$(
            $(#[doc = $doc:literal])+
            $how:ident $field:ident: $type:ty = $source:expr
            $(, default $default:expr)? $(, written if $written:path)?;
        )*}
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {$(
            $(#[doc = $doc])+
            $vis $field: $type,
        )*}

        settings! {
            impl $name($section, $defaults: $Defaults) $(titled $title)? $(checked by $check)? {$(
                $(#[doc = $doc])+
                $how $field: $type = $source
                $(, default $default)? $(, written if $written)?;
            )*}
        }
    };
    (
        impl $name:ident($section:ident, $defaults:ident: $Defaults:ty)
        $(titled $title:literal)? $(checked by $check:path)? {$(
            $(#[doc = $doc:literal])+
            $how:ident $field:ident: $type:ty = $source:expr
            $(, default $default:expr)? $(, written if $written:path)?;
        )*}
    ) => {
        impl $crate::experiment::settings::Settings for $name {
            type Defaults = $Defaults;
            const TITLE: Option<&'static str> = settings!(@title $($title)?);

            fn read_from(
                $section: &$crate::document::Section<'_>,
                $defaults: &$Defaults,
            ) -> Self {
                let _ = ($section, $defaults);
                $(let $field: $type = settings!(@read $how $section, $type, $source, $($default)?);)*
                let found = Self { $($field),* };
                $($check(&found, $section);)?
                found
            }

            fn entries(&self) -> Vec<$crate::experiment::declared::Entry> {
                #[allow(unused_mut, reason = "a table may have no keys")]
                let mut found = Vec::new();
                $(
                    let from = found.len();
                    settings!(@entries $how found, &self.$field, $type, $source);
                    $crate::experiment::settings::omit(&mut found[from..], true $(&& $written(self))?);
                )*
                found
            }

            fn items() -> Vec<$crate::experiment::settings::Item> {
                #[allow(unused_mut, reason = "a table may have no keys")]
                let mut found = Vec::new();
                $(settings!(@items $how found, $type, $source, concat!($($doc),+));)*
                found
            }

            fn find(&self, group: std::any::TypeId) -> Option<&dyn std::any::Any> {
                if group == std::any::TypeId::of::<Self>() {
                    return Some(self);
                }
                $(settings!(@find $how self.$field, group);)*
                None
            }
        }
    };

    (@title) => { None };
    (@title $title:literal) => { Some($title) };

    (@read table $section:ident, $type:ty, $source:expr,) => { $source };
    (@read group $section:ident, $type:ty, $source:expr,) => {
        <$type as $crate::experiment::settings::Settings>::read_from($section, $source)
    };
    (@read $how:ident $section:ident, $type:ty, $source:expr,) => {
        settings!(@read $how $section, $type, $source, Default::default())
    };
    (@read $how:ident $section:ident, $type:ty, $source:expr, $default:expr) => {{
        let key: $crate::experiment::declared::Declared<$type> = $source;
        key.read($section, $default)
    }};

    (@entries table $found:ident, $field:expr, $type:ty, $source:expr) => {};
    (@entries group $found:ident, $field:expr, $type:ty, $source:expr) => {
        $found.extend($crate::experiment::settings::Settings::entries($field));
    };
    (@entries counts $found:ident, $field:expr, $type:ty, $source:expr) => {
        let key: $crate::experiment::declared::Declared<$type> = $source;
        $found.push(key.entry($field, true));
    };
    (@entries recorded $found:ident, $field:expr, $type:ty, $source:expr) => {
        let key: $crate::experiment::declared::Declared<$type> = $source;
        $found.push(key.entry($field, false));
    };

    (@find group $field:expr, $group:expr) => {
        if let Some(found) = $crate::experiment::settings::Settings::find(&$field, $group) {
            return Some(found);
        }
    };
    (@find $how:ident $field:expr, $group:expr) => {};

    (@items table $found:ident, $type:ty, $source:expr, $doc:expr) => {};
    (@items group $found:ident, $type:ty, $source:expr, $doc:expr) => {
        $found.extend(<$type as $crate::experiment::settings::Settings>::described());
    };
    (@items $how:ident $found:ident, $type:ty, $source:expr, $doc:expr) => {
        let key: $crate::experiment::declared::Declared<$type> = $source;
        $found.push($crate::experiment::settings::Item::Key(key.describe($doc)));
    };
}
pub(crate) use settings;
