//! The keys of a stage, whatever its kind.

use std::any::{Any, TypeId};
use std::fmt;

use super::declared::Entry;
use super::settings::Settings;

/// The keys of a stage with their values.
pub(crate) trait StageSettings: fmt::Debug + Send + Sync {
    /// Every key with its value.
    fn entries(&self) -> Vec<Entry>;
    /// The group of keys of this type, or the whole.
    fn find(&self, group: TypeId) -> Option<&dyn Any>;
    /// Whether another stage has the same keys with the same values.
    fn equals(&self, other: &dyn StageSettings) -> bool;
}

impl<T: Settings + PartialEq + fmt::Debug + Send + Sync> StageSettings for T {
    fn entries(&self) -> Vec<Entry> {
        Settings::entries(self)
    }

    fn find(&self, group: TypeId) -> Option<&dyn Any> {
        Settings::find(self, group)
    }

    fn equals(&self, other: &dyn StageSettings) -> bool {
        other.get::<T>() == Some(self)
    }
}

impl dyn StageSettings + '_ {
    /// A group of the keys, where there is one of this type.
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.find(TypeId::of::<T>())?.downcast_ref()
    }

    /// A group of the keys that a kind has declared for its stages.
    ///
    /// # Panics
    /// They are of another kind.
    pub(crate) fn keys<T: 'static>(&self) -> &T {
        self.get()
            .expect("a kind reads only keys that it has declared")
    }
}
