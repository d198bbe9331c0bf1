use super::super::testing::{pipeline, read_with};
use super::super::{Distill, Experiment, Teaching, Training};
use super::*;
use crate::job::OptimizerKind;

fn experiment(recipe: &str, sets: &[&str]) -> Experiment {
    let recipe = format!("recipe={recipe}");
    read_with(&pipeline(), &[&[&*recipe], sets].concat()).unwrap()
}

/// The keys of a group of a stage.
fn keys<'a, T: 'static>(experiment: &'a Experiment, stage: &str) -> &'a T {
    experiment.stages.get(stage).unwrap().keys()
}

const PHASE1: &str = "td-phase1";

#[test]
fn the_paper_is_the_default() {
    let plain = read_with(&pipeline(), &[]).unwrap();
    assert_eq!(plain, experiment("paper", &[]));
    let distill: &Distill = keys(&plain, PHASE1);
    assert_eq!(distill.projection, Projection::EmbeddingAndHidden);
    let training: &Training = keys(&plain, PHASE1);
    assert_eq!(training.schedule.kind, ScheduleKind::Constant);
    assert!(!keys::<Teaching>(&plain, PHASE1).teacher_dropout);
}

#[test]
fn only_the_papers_finetune_corrects_adams_bias() {
    for (recipe, optimizer) in [
        ("paper", OptimizerKind::AdamW),
        ("huawei", OptimizerKind::BertAdam),
        ("mindspore", OptimizerKind::BertAdam),
    ] {
        let read = experiment(recipe, &[]);
        let kind = |stage: &str| keys::<Training>(&read, stage).optimizer.kind;
        assert_eq!(kind("finetune"), optimizer);
        for stage in ["general-distill", "td-phase1", "td-phase2"] {
            assert_eq!(kind(stage), OptimizerKind::BertAdam);
        }
    }
}

#[test]
fn huaweis_code_pads_drops_out_the_teacher_and_reads_heads_by_relu() {
    let huawei = experiment("huawei", &[]);
    assert_eq!(huawei.teacher.head, HeadKind::Relu);
    assert_eq!(huawei.student.head, HeadKind::Relu);
    assert_eq!(huawei.task.max_seq_length.as_ref().unwrap().value, 128);
    assert!(keys::<Teaching>(&huawei, PHASE1).teacher_dropout);
    let distill: &Distill = keys(&huawei, PHASE1);
    assert!(distill.keep_projection.value);
    assert_eq!(distill.projection, Projection::Shared);
    assert_eq!(distill.reduction, Reduction::Block);
    let training: &Training = keys(&huawei, PHASE1);
    assert_eq!(training.pad_to, PadTo::MaxSeqLength);
    assert_eq!(training.schedule.kind, ScheduleKind::Constant);
    assert!(training.drop_last && training.shuffle);
    assert_eq!(training.optimizer.kind, OptimizerKind::BertAdam);
    assert!((training.optimizer.weight_decay - 0.01).abs() < f64::EPSILON);
}

#[test]
fn mindspores_code_draws_projections_anew_and_decays_from_the_start() {
    let mindspore = experiment("mindspore", &[]);
    let shape = &mindspore.student.shape;
    assert_eq!(
        (shape.hidden_size.value, shape.intermediate_size.value),
        (384, 1536)
    );
    assert_eq!(shape.hidden_act, "gelu_new");
    assert_eq!(
        mindspore.student.initializer.kind,
        InitializerKind::TruncatedNormal
    );
    assert!(!keys::<Distill>(&mindspore, PHASE1).keep_projection.value);
    assert!(!keys::<Teaching>(&mindspore, PHASE1).teacher_dropout);
    let phase1: &Training = keys(&mindspore, PHASE1);
    assert_eq!(phase1.schedule.warmup, Warmup::Epochs(0.1));
    assert_eq!(phase1.schedule.decay_from, DecayFrom::Start);
    assert!(!phase1.shuffle && phase1.drop_last);
    assert!((phase1.optimizer.weight_decay - 1e-4).abs() < f64::EPSILON);
    let phase2: &Training = keys(&mindspore, "td-phase2");
    assert!((phase2.schedule.learning_rate - 2e-5).abs() < f64::EPSILON);
    assert_eq!(phase2.schedule.warmup, Warmup::Proportion(0.1));
}

#[test]
fn mindspores_code_scales_its_losses_by_stage() {
    let mindspore = experiment("mindspore", &["precision=fp16"]);
    let scaling = ["general-distill", "td-phase1", "td-phase2"].map(|stage| {
        let scaling = keys::<Training>(&mindspore, stage).loss_scaling.unwrap();
        (scaling.initial, scaling.factor, scaling.window)
    });
    let expected = [(65536.0, 2.0, 1000), (256.0, 2.0, 50), (65536.0, 2.0, 50)];
    assert_eq!(scaling, expected);
}

#[test]
fn a_key_that_is_written_wins_over_the_recipe() {
    let sets = [
        "stages.td-phase1.reduction=tokens",
        "student.hidden-size=312",
    ];
    let mindspore = experiment("mindspore", &sets);
    assert_eq!(mindspore.student.shape.hidden_size.value, 312);
    assert_eq!(
        keys::<Distill>(&mindspore, PHASE1).reduction,
        Reduction::Tokens
    );
}
