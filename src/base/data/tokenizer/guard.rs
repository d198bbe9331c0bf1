//! Calls of the crate `tokenizers` on files of others: it panics where some of them are malformed.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use tokenizers::{Encoding, Error, Tokenizer};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A tokenizer of the contents of a `tokenizer.json`.
pub(super) fn from_json(bytes: &[u8]) -> Result<Tokenizer, Error> {
    guarded(|| Tokenizer::from_bytes(bytes))
}

/// The pieces of a text, without special tokens around it.
pub(super) fn encode(inner: &Tokenizer, text: &str) -> Result<Encoding, Error> {
    guarded(|| inner.encode_fast(text, false))
}

/// A panic becomes an error, and is not printed.
fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                print(panic);
            }
        }));
    });
    GUARDED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    outcome.unwrap_or_else(|panic| Err(message(&*panic).into()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref().copied());
    format!("the crate `tokenizers` fails: {}", text.unwrap_or("panic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let failed = |call: fn() -> Result<(), Error>| guarded(call).unwrap_err().to_string();
        assert_eq!(
            failed(|| panic!("Precompiled")),
            "the crate `tokenizers` fails: Precompiled"
        );
        let formatted = failed(|| panic!("at {}", 1));
        assert_eq!(formatted, "the crate `tokenizers` fails: at 1");
        assert_eq!(failed(|| Err("no such word".into())), "no such word");
        assert!(!GUARDED.get());
    }

    #[test]
    fn a_normalizer_without_its_table_is_an_error() {
        let json = br#"{"version": "1.0", "normalizer": {"type": "Precompiled"}, "model": {"type": "BPE", "vocab": {}, "merges": []}}"#;
        let error = from_json(json).unwrap_err().to_string();
        assert!(
            error.starts_with("the crate `tokenizers` fails: Precompiled"),
            "{error}"
        );
    }
}
