//! Every column of `metrics.csv` is documented.

use std::fs;
use std::path::Path;

use tinyrun_base::job::{
    LossScaling, Objective, Reduction, RegressionTarget, SoftLossReduction, Work,
};

use super::fixture::intermediate;
use super::resume::{job, selection};
use crate::row::columns;

#[test]
fn every_column_of_metrics_csv_is_on_its_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics-csv.md");
    let page = fs::read_to_string(page).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let prediction = Objective::Prediction {
        temperature: 1.0,
        reduction: SoftLossReduction::Batch,
        soft_loss_weight: 1.0,
        hard_label_weight: 1.0,
    };
    let regression = Objective::Regression {
        target: RegressionTarget::Labels,
    };
    let objectives = [
        Objective::Labels,
        Objective::Values,
        regression,
        intermediate(Reduction::Tokens),
        prediction,
    ];
    for objective in objectives {
        for labels in [Vec::new(), vec!["a".to_owned(), "b".to_owned()]] {
            let Work::Train(mut train) = job(folder.path(), objective.clone()).work else {
                panic!("a training job")
            };
            train.student.labels = labels;
            train.selection = Some(selection(&folder.path().join("store")));
            train.steps.loss_scaling = Some(LossScaling {
                initial: 1.0,
                factor: 2.0,
                window: 1,
            });
            for column in columns(&train) {
                // Of the columns of layers the page names the first.
                let stem = column.trim_end_matches(|c: char| c.is_ascii_digit());
                let name = match stem.strip_suffix('_') {
                    Some(stem) => format!("`{stem}_0`"),
                    None => format!("`{column}`"),
                };
                assert!(page.contains(&name), "{name} is not in metrics-csv.md");
            }
        }
    }
}
