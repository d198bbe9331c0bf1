//! Twenty steps of every stage that trains under the recipes `huawei` and `mindspore` against an independent
//! PyTorch script, loss by loss. The settings are those that the experiment file comes to.

use tch::{Kind, Tensor};
use tinyrun::experiment::{Distill, Experiment, Prediction, Training};
use tinyrun_base::job::{HeadKind, Objective, Reduction, SoftLossReduction};

use super::fixture::{
    assert_close, device, intermediate, json, labelled_and_padded, losses, model, slack, tensors,
    weights,
};
use crate::encoder::{Classifier, Encoder, Linear};
use crate::folder::projection_names;
use crate::objective::{Share, Student};
use crate::optimizer::Optimizer;
use crate::parameters::Parameters;
use crate::schedule::{Length, learning_rate};
use crate::target::Teacher;

/// Both codes pad to the longest input allowed; this is that of the fixture.
const PADDED: usize = 16;

/// An experiment under a recipe, with the peak of the fixture.
fn experiment(recipe: &str) -> Experiment {
    let text = format!(
        "recipe = \"{recipe}\"\n[task]\nname = \"custom\"\ntrain = \"t\"\ndev = \"d\"\n[teacher]\nmodel = \"m\"\n\
         [stages.finetune]\nlearning-rate = 1e-3\n\
         [stages.general-distill]\ncorpus = [\"c\"]\nlearning-rate = 1e-3\n\
         [stages.td-phase1]\nlearning-rate = 1e-3\n[stages.td-phase2]\nlearning-rate = 1e-3\n"
    );
    let (experiment, _) =
        Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", &text, &[]).expect("no faults");
    experiment
}

fn teacher(head: HeadKind) -> Teacher {
    let (model, parameters) = model("bert-tiny");
    let parameters = parameters.frozen(device(), Kind::Float);
    Teacher {
        encoder: Encoder::either(&parameters, &model.config, Kind::Float),
        classifier: Some(Classifier::new(&parameters, &model.config, head)),
        dropout: false,
    }
}

/// The student of the fixtures with the recipe's activation and layer norm. It is also the model
/// that is fine-tuned, as it is: a teacher's shape is its own.
fn student(experiment: &Experiment, stage: &str) -> (Student, Parameters) {
    let (model, parameters) = model("bert-student");
    let mut config = model.config;
    let (shape, head) = (&experiment.student.shape, experiment.student.head);
    let head = if stage == "finetune" {
        experiment.teacher.head
    } else {
        config.hidden_act.clone_from(&shape.hidden_act);
        config.layer_norm_eps = shape.layer_norm_eps;
        config.train_padding = experiment.student.train_padding;
        head
    };
    let parameters = parameters.trainable(device());
    let phase1 = experiment.stages.get("td-phase1").expect("there");
    let distill: &Distill = phase1.get().expect("it compares layers");
    let projection = distill.projection;
    let student = Student {
        encoder: Encoder::either(&parameters, &config, Kind::Float),
        classifier: Some(Classifier::new(&parameters, &config, head)),
        projections: projection_names(projection, 3)
            .iter()
            .map(|name| Linear::new(&parameters, name))
            .collect(),
    };
    (student, parameters)
}

/// Objective and settings of a stage, as the experiment comes to them.
fn stage(experiment: &Experiment, name: &str) -> (Objective, Training) {
    let stage = experiment.stages.get(name).expect("there");
    let training: &Training = stage.get().expect("it trains");
    let objective = if let Some(distill) = stage.get::<Distill>() {
        assert_eq!(distill.reduction, Reduction::Block);
        intermediate(distill.reduction)
    } else if let Some(prediction) = stage.get::<Prediction>() {
        assert_eq!(prediction.reduction, SoftLossReduction::BatchAndClasses);
        Objective::Prediction {
            temperature: prediction.temperature,
            reduction: prediction.reduction,
            soft_loss_weight: prediction.soft_loss_weight,
            hard_label_weight: prediction.hard_label_weight,
        }
    } else {
        Objective::Labels
    };
    (objective, training.clone())
}

#[test]
fn twenty_steps_under_each_recipe_follow_pytorch_loss_by_loss() {
    let file = weights("recipes.safetensors");
    let document = json("recipes.json");
    let runs = document["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 8);
    for run in runs {
        let (recipe, name) = (&run["recipe"], &run["stage"]);
        let recipe = recipe.as_str().expect("a recipe");
        let name = name.as_str().expect("a stage");
        let experiment = experiment(recipe);
        let (objective, training) = stage(&experiment, name);
        let teacher = teacher(experiment.teacher.head);
        let (student, parameters) = student(&experiment, name);
        let mut optimizer = Optimizer::new(training.optimizer.clone(), &parameters);
        let leaves = optimizer.parameters();
        let steps = run["steps"].as_array().expect("steps");
        let length = Length {
            epoch: document["steps_an_epoch"].as_u64().expect("a number"),
            total: steps.len() as u64,
        };
        for (step, expected) in steps.iter().enumerate() {
            let what = format!("{recipe} {name} step {step}");
            let rate = learning_rate(&training.schedule, step as u64, length);
            let wanted = expected["learning_rate"].as_f64().expect("a rate");
            assert!(
                (rate - wanted).abs() <= 1e-12,
                "{what}: {rate:e} for {wanted:e}"
            );
            let batch = labelled_and_padded(&file, &format!("batches.{step}."), PADDED);
            let found = losses(&objective, &student, Some(&teacher), &batch, Share::WHOLE);
            let loss = found.total.double_value(&[]);
            let wanted = expected["loss"].as_f64().expect("a loss");
            assert!(
                (loss - wanted).abs() <= slack() * 1e-5 * wanted,
                "{what}: {loss} for {wanted}"
            );
            let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
            optimizer
                .step(&gradients, 1.0, rate, step as u64)
                .expect("finite");
        }
        let end = tensors(&file, &format!("{recipe}.{name}.final."));
        assert!(!end.is_empty());
        for (tensor, expected) in &end {
            let what = format!("{recipe} {name} {tensor}");
            assert_close(&what, &parameters.get(tensor).detach(), expected, 1e-4);
        }
    }
}
