//! Numbers of ranks and of reduction leaves that the device or the batch cannot have.

use super::top::Experiment;
use super::training::Training;
use crate::document::{Collector, Fault};
use crate::job::{GradientExchange, Precision};

/// Checks both.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    check_ranks(experiment, faults);
    check_leaves(experiment, faults);
}

/// More ranks than there are rows for, or ranks on a device that has none.
fn check_ranks(experiment: &Experiment, faults: &Collector) {
    let ranks = &experiment.ranks;
    if **ranks == 1 || !faults.sound(&["ranks"]) {
        return;
    }
    let devices = experiment.device.count();
    if devices > 1 && devices != **ranks {
        let message = format!(
            "`ranks` is {}, but `device` lists {devices} devices",
            **ranks
        );
        let hint = "remove `ranks`: a list has a device for each rank";
        faults.unfit(Fault::new(message, ranks.span.clone()).with_hint(Some(hint.to_owned())));
    }
    if devices == 1 && experiment.device.have_cuda() {
        let message = format!("`ranks` = {} on one CUDA device is not supported", **ranks);
        let hint = "give each rank a device, as in `device = [\"cuda:0\", \"cuda:1\"]`, or set \
                    `ranks` to 1";
        faults.unfit(Fault::new(message, ranks.span.clone()).with_hint(Some(hint.to_owned())));
    }
    for (stage, training) in experiment.stages.with::<Training>() {
        let rows = *training.batch_size / *training.gradient_accumulation_steps;
        let key = format!("stages.{}.batch-size", stage.name);
        if **ranks > rows as usize && faults.sound(&[&key]) {
            let message = format!(
                "`ranks` {} exceeds the {rows} examples of a batch of `{}`",
                **ranks, stage.name
            );
            faults.unfit(Fault::new(message, ranks.span.clone()));
        }
        let leaves = *training.reduction_leaves as usize;
        let key = format!("stages.{}.reduction-leaves", stage.name);
        if leaves > 1 && !leaves.is_multiple_of(**ranks) && faults.sound(&[&key]) {
            let message = format!(
                "`ranks` {} does not divide the {leaves} `reduction-leaves` of `{}`",
                **ranks, stage.name
            );
            faults.unfit(Fault::new(message, ranks.span.clone()));
        }
    }
}

/// Leaves where sums have no order of ours, or more of them than there are rows.
fn check_leaves(experiment: &Experiment, faults: &Collector) {
    for (stage, training) in experiment.stages.with::<Training>() {
        let leaves = &training.reduction_leaves;
        let key = |name: &str| format!("stages.{}.{name}", stage.name);
        if **leaves == 1 || !faults.sound(&[&key("reduction-leaves"), &key("batch-size")]) {
            continue;
        }
        let rows = *training.batch_size / *training.gradient_accumulation_steps;
        let on = match experiment.precision {
            _ if experiment.device.have_cuda() => Some("on a CUDA device"),
            Precision::Fp16 => Some("in fp16"),
            _ => None,
        };
        if let Some(on) = on {
            let message = format!("`reduction-leaves` = {} {on} is not supported", **leaves);
            let hint = Some("remove the key: the sums there have no fixed order".to_owned());
            faults.unfit(Fault::new(message, leaves.span.clone()).with_hint(hint));
        } else if *training.gradient_exchange != GradientExchange::Fp32 {
            let exchange = &training.gradient_exchange;
            let message = "`gradient-exchange` = \"bf16\" with `reduction-leaves` is not supported";
            let hint = Some("remove one of them: the leaves fix every bit of a sum".to_owned());
            faults.unfit(Fault::new(message, exchange.span.clone()).with_hint(hint));
        } else if **leaves > rows {
            let message = format!(
                "`reduction-leaves` {} exceeds the {rows} examples of a batch",
                **leaves
            );
            faults.unfit(Fault::new(message, leaves.span.clone()));
        }
    }
}
