//! Scores of predictions, and the CSV file that a training run leaves.

pub mod csv_file;
pub mod scores;
pub mod spread;

pub use csv_file::{MetricsFile, MetricsFileError};
pub use scores::{Counts, accuracy, f1, matthews_corr, pearson, spearman};
pub use spread::Spread;
