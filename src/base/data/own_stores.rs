//! Names of the stores whose rows another tokenizer has cut.

/// The splits, and their names for each further tokenizer.
const STORES: [[&str; 4]; 5] = [
    ["train", "dev", "dev-mismatched", "train-and-unlabelled"],
    [
        "train-2",
        "dev-2",
        "dev-mismatched-2",
        "train-and-unlabelled-2",
    ],
    [
        "train-3",
        "dev-3",
        "dev-mismatched-3",
        "train-and-unlabelled-3",
    ],
    [
        "train-4",
        "dev-4",
        "dev-mismatched-4",
        "train-and-unlabelled-4",
    ],
    [
        "train-5",
        "dev-5",
        "dev-mismatched-5",
        "train-and-unlabelled-5",
    ],
];

/// What the tokenizers are taken for.
const ROLES: [&str; STORES.len()] = [
    "tokenizer",
    "tokenizer-2",
    "tokenizer-3",
    "tokenizer-4",
    "tokenizer-5",
];

/// The stores of a further tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnStores(usize);

impl OwnStores {
    /// Those of all further tokenizers that there may be.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..STORES.len()).map(Self)
    }

    /// What the tokenizer is taken for.
    pub fn role(self) -> &'static str {
        ROLES[self.0]
    }

    /// The store with the rows of another one.
    pub fn of(self, store: &'static str) -> &'static str {
        place(store).map_or(store, |place| STORES[self.0][place])
    }

    /// The store of another split that the tokenizer of `store` has cut.
    pub fn beside(store: &'static str, split: &'static str) -> &'static str {
        let mut all = STORES.iter().enumerate();
        let of = all.find(|(_, names)| names.contains(&store));
        of.map_or(split, |(nth, _)| Self(nth).of(split))
    }

    /// The store of the first tokenizer with the rows of this one.
    pub fn usual(store: &'static str) -> &'static str {
        place(store).map_or(store, |place| STORES[0][place])
    }
}

fn place(store: &str) -> Option<usize> {
    let mut all = STORES.iter();
    all.find_map(|names| names.iter().position(|name| *name == store))
}
