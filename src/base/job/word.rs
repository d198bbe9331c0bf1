//! Settings that are one of several words: spelt in one place, for whoever reads the experiment
//! file, writes it out, or hashes it.

/// One of several words.
pub trait Word: Copy + 'static {
    /// Every word with its meaning, in the order in which messages list them.
    const WORDS: &'static [(&'static str, Self)];

    /// The word.
    fn as_str(self) -> &'static str;
}

/// `words! { Type { "word" => Variant, .. } }` for an enum without data.
#[macro_export]
macro_rules! words {
    ($($type:ty { $($word:literal => $variant:ident),+ $(,)? })+) => {$(
        impl $crate::job::Word for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    )+};
}
pub use crate::words;
