//! Text to tokens: tables and raw text in, a memory-mapped token store out, and the plan of
//! which examples make up which batch. Nothing here computes on tensors or prints.

pub mod batches;
pub mod corpus;
pub mod encode;
pub mod error;
mod hint;
pub mod labels;
mod line;
pub mod order;
mod own_stores;
mod predictions;
pub mod prepare;
pub mod records;
pub mod report;
mod settings;
pub mod split;
pub mod store;
mod survey;
pub mod table;
mod texts;
pub mod tokenizer;
pub mod warning;

pub use error::{DataError, Settings};
pub use labels::{LabelRule, LabelSet};
pub use own_stores::OwnStores;
pub use prepare::{
    ALL_PREDICTIONS, CorpusSettings, Dev, Masking, Pairs, PredictionSettings, RecordCorpus,
    RecordDev, RecordFiles, RecordTask, TRAIN_PREDICTIONS, TaskSettings, UNLABELLED_STORE, Unit,
    Watch, WindowSettings, prepare_corpus, prepare_record_corpus, prepare_record_task,
    prepare_task,
};
pub use records::{Longest, RecordFormat, RowRules, is_packed_mindrecord, recognize_records};
pub use report::{
    FileReport, LabelCount, PredictionsReport, PrepReport, SplitReport, UnlabelledReport,
    WindowReport,
};
pub use store::{StoreError, StoreMeta, StoreWriter, TokenStore};
pub use survey::{Columns, Given, Survey, SurveyError, estimated_tokens, survey};
pub use table::{DialectRule, Escape, Quoting, TableFormat, TableLayout};
pub use texts::{RowColumns, TextLayout, TextRow, Texts};
pub use tokenizer::{
    OtherPieces, OtherToken, Tokenizer, TokenizerFiles, Translation, check_vocabulary, other_token,
    translate,
};
pub use warning::DataWarning;
