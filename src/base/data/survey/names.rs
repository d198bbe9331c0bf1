//! Names that columns of tables have, in a form without case and signs.

/// Names of two columns that are a pair of texts.
pub(super) const PAIRS: [(&str, &str); 16] = [
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("texta", "textb"),
    ("sentencea", "sentenceb"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "text"),
    ("claim", "evidence"),
    ("text", "text2"),
    ("text", "pair"),
];

/// Names that say that a column is the text.
pub(super) const TEXT_NAMES: [&str; 18] = [
    "text",
    "sentence",
    "review",
    "message",
    "comment",
    "content",
    "body",
    "document",
    "utterance",
    "tweet",
    "query",
    "question",
    "description",
    "title",
    "sentence1",
    "premise",
    "input",
    "sms",
];

/// Names that say that a column holds classes, whatever their number.
pub(super) const LABEL_NAMES: [&str; 21] = [
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "categories",
    "intent",
    "target",
    "sentiment",
    "emotion",
    "polarity",
    "goldlabel",
    "labelname",
    "labeltext",
    "classname",
    "team",
    "topic",
    "tag",
    "y",
    "output",
    "airlinesentiment",
];

/// Names that say that a column holds classes or a scale.
pub(super) const SCORE_NAMES: [&str; 6] = [
    "score",
    "rating",
    "stars",
    "similarity",
    "relevance",
    "grade",
];

/// Names of columns that are neither.
pub(super) const KEY_NAMES: [&str; 8] =
    ["id", "idx", "index", "guid", "uuid", "rowid", "row", "no"];
