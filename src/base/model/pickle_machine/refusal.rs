//! Why a pickle is not read.

/// The reason, to follow "its pickle".
pub(super) type Refusal = String;

pub(super) fn broken() -> Refusal {
    "is not a well-formed dictionary of tensors".to_owned()
}

pub(super) fn cut_off() -> Refusal {
    "ends too early".to_owned()
}
