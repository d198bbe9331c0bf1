//! What counts: the settings and inputs that a stage's result depends on
//! (docs/concepts/fingerprints.md).
//!
//! | value | counts? |
//! |---|---|
//! | stage kind and its semantics version | yes |
//! | every key that changes the result, after defaults; the layer map as resolved | yes |
//! | seed, for stages that draw from it; precision as written, for stages that train | yes |
//! | input files: names relative to their root, and the digest of their bytes | yes |
//! | artifacts of earlier stages that are read: the digest of their bytes | yes |
//! | device, threads | no: recorded |
//! | `log-interval`, `checkpoint-interval`, `checkpoint-seconds`, `checkpoint-keep`, `prefetch`, `teacher-memory` | no |
//! | the experiment's name, absolute paths, times, tinyrun's own version | no |
//! | defaults spelled out, the order of keys, spellings such as `1e-4` and `0.0001` | no |
//!
//! Every struct of the schema is taken apart without `..`: a new key does not compile
//! until someone has decided here whether it counts.

use std::collections::BTreeMap;

use super::graph::Node;
use crate::experiment::{
    ClassifierStart, DataPrep, Distill, Escape, Eval, Experiment, Finetune, GeneralDistill, Keep,
    Models, Origin, Quoting, StageName, Stages, Student, StudentShape, Task, TdPhase1, TdPhase2,
    Teacher, Training,
};
use crate::job::{
    Initializer, LayerMap, LossScaling, Metric, Optimizer, PadTo, Precision, Schedule,
    ScheduleKind, Warmup, WeightDtype, Word,
};
use crate::runs::Value;

/// Version of what a stage kind does. Bump it when the same settings and inputs come to
/// mean another result, and say why:
///
/// * 1: the first.
pub(super) fn semantics(stage: StageName) -> u32 {
    match stage {
        // 2: `labels` of a task of GLUE in another order are another order of its classes.
        StageName::DataPrep => 2,
        StageName::CorpusPrep
        | StageName::Finetune
        | StageName::GeneralDistill
        | StageName::TdPhase1
        | StageName::TdPhase2
        | StageName::Eval => 1,
    }
}

/// Settings that count for a stage, under their keys in the experiment file: those of the
/// stage's own table by name, the others with their table.
pub(super) fn settings(
    experiment: &Experiment,
    node: &Node,
    models: &Models,
) -> BTreeMap<String, Value> {
    let Experiment {
        name: _,
        recipe: _, // what it comes to is in the keys
        seed: _,   // as the stage has it: `seed_of`
        device: _,
        precision,
        threads: _,
        watchdog_seconds: _,
        task,
        teacher,
        student,
        stages,
        goals: _, // what is hoped for changes nothing
    } = experiment;
    let Stages {
        data_prep,
        finetune,
        general_distill,
        td_phase1,
        td_phase2,
        eval,
    } = stages;
    let Teacher {
        model: _, // its files are inputs
        head: teacher_head,
        classifier,
    } = teacher;
    let mut found = Settings(BTreeMap::new());
    let computes = |found: &mut Settings| found.put("precision", precision.as_str());
    let draws = |found: &mut Settings| found.put("seed", experiment.seed_of(node.stage));
    match node.stage {
        StageName::DataPrep => {
            let DataPrep {} = data_prep;
            found.task(task);
        }
        StageName::CorpusPrep => {
            if let Some(GeneralDistill {
                training: _, // of the training stage
                distill: _,
                corpus: _, // its files are inputs
                max_seq_length,
                long_lines,
                student: _,
                teacher: _,
            }) = general_distill
            {
                found.put("max-seq-length", **max_seq_length);
                found.put("long-lines", long_lines.as_str());
            }
        }
        StageName::Finetune => {
            if let Some(Finetune {
                training,
                eval_interval,
                keep,
            }) = finetune
            {
                computes(&mut found);
                draws(&mut found);
                found.training(training);
                let scored = scored_as_trained(*precision, WeightDtype::Fp32);
                found.selection(*eval_interval, *keep, task.metric(), scored);
                found.put("teacher.head", teacher_head.as_str());
                // Before there was such a key it was `auto`.
                if classifier.value == ClassifierStart::New {
                    found.put("teacher.classifier", classifier.value.as_str());
                }
            }
        }
        StageName::GeneralDistill => {
            if let Some(GeneralDistill {
                training,
                distill,
                corpus: _, // in the artifact of corpus-prep, with the next two
                max_seq_length: _,
                long_lines: _,
                student: _, // an input, upstream, or `found.student`
                teacher: _, // an input or upstream
            }) = general_distill
            {
                computes(&mut found);
                draws(&mut found);
                found.training(training);
                found.distill(distill, models.layer_maps.get(&node.stage));
                found.student(student, experiment, node);
            }
        }
        StageName::TdPhase1 => {
            if let Some(TdPhase1 {
                training,
                distill,
                gate: _,           // lets a stage begin or not, and changes nothing of it
                teacher_memory: _, // where an answer is kept, not what it is
                student: _,
                teacher: _,
            }) = td_phase1
            {
                computes(&mut found);
                draws(&mut found);
                found.training(training);
                found.distill(distill, models.layer_maps.get(&node.stage));
                found.student(student, experiment, node);
            }
        }
        StageName::TdPhase2 => {
            if let Some(TdPhase2 {
                training,
                temperature,
                reduction,
                soft_loss_weight,
                hard_label_weight,
                regression_target,
                teacher_dropout,
                gate: _,
                teacher_memory: _,
                eval_interval,
                keep,
                student: _,
                teacher: _,
            }) = td_phase2
            {
                computes(&mut found);
                draws(&mut found);
                found.training(training);
                found.put("temperature", *temperature);
                found.put("soft-loss-reduction", reduction.as_str());
                // Before there was such a key it was 1.
                if (soft_loss_weight - 1.0).abs() > 0.0 {
                    found.put("soft-loss-weight", *soft_loss_weight);
                }
                found.put("hard-label-weight", *hard_label_weight);
                found.put("regression-target", regression_target.as_str());
                found.put("teacher-dropout", *teacher_dropout);
                let scored = scored_as_trained(*precision, student.dtype);
                found.selection(*eval_interval, *keep, task.metric(), scored);
                found.student(student, experiment, node);
                found.put("teacher.head", teacher_head.as_str());
            }
        }
        StageName::Eval => {
            if let Some(Eval {
                batch_size,
                student: _,
                teacher: _,
            }) = eval
            {
                // Scores are computed in fp32 whatever models are trained in.
                found.put("precision", Precision::Fp32.as_str());
                found.put("batch-size", **batch_size);
                found.put("teacher.head", teacher_head.as_str());
                if experiment.student_of(StageName::Eval).is_some() {
                    found.put("student.head", student.head.as_str());
                }
            }
        }
    }
    found.0
}

/// Whether scores in fp32 of the written weights are those of the model in training. Where they are
/// not, versions that scored dev in the format of training may have kept the model of another epoch.
fn scored_as_trained(precision: Precision, written: WeightDtype) -> bool {
    precision == Precision::Fp32 && written == WeightDtype::Fp32
}

struct Settings(BTreeMap<String, Value>);

impl Settings {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn task(&mut self, task: &Task) {
        let Task {
            name,
            train: _, // its files are inputs
            dev: _,
            dev_mismatched: _,
            dev_fraction,
            format,
            delimiter,
            quoting,
            escape,
            text,
            pair,
            label,
            regression,
            labels,
            max_seq_length,
        } = task;
        let name = name.as_str();
        self.put("task.name", name);
        if let Some(fraction) = dev_fraction {
            self.put("task.dev-fraction", **fraction);
        }
        self.put("task.format", format.as_str());
        // Later than the format: nothing where the table's own form is detected.
        if let Some(delimiter) = delimiter {
            self.put("task.delimiter", delimiter.to_string().as_str());
        }
        if *quoting != Quoting::Auto {
            self.put("task.quoting", quoting.as_str());
        }
        if *escape != Escape::Auto {
            self.put("task.escape", escape.as_str());
        }
        self.put("task.text", text.as_str());
        if let Some(pair) = pair {
            self.put("task.pair", pair.as_str());
        }
        self.put("task.label", label.as_str());
        self.put("task.regression", *regression);
        if let Some(labels) = labels {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            self.put("task.labels", labels.as_slice());
        }
        self.put("task.max-seq-length", **max_seq_length);
    }

    fn training(&mut self, training: &Training) {
        let Training {
            seed: _, // put beside the precision
            epochs,
            batch_size,
            gradient_accumulation_steps,
            schedule,
            optimizer,
            loss_scaling,
            shuffle,
            drop_last,
            pad_to,
            train_limit,
            log_interval: _, // how often something is written changes no weight
            checkpoint_interval: _,
            checkpoint_seconds: _,
            checkpoint_keep: _,
            prefetch: _,
        } = training;
        self.put("epochs", **epochs);
        self.put("batch-size", **batch_size);
        self.put("gradient-accumulation-steps", **gradient_accumulation_steps);
        let Schedule {
            kind,
            learning_rate,
            end_learning_rate,
            warmup,
            decay_from,
        } = schedule;
        self.put("schedule", kind.as_str());
        if let Some(power) = kind.power() {
            self.put("power", power);
        }
        if *kind != ScheduleKind::Constant {
            self.put("end-learning-rate", *end_learning_rate);
            self.put("decay-from", decay_from.as_str());
        }
        self.put("learning-rate", *learning_rate);
        match warmup {
            Warmup::Proportion(share) => self.put("warmup-proportion", *share),
            Warmup::Steps(steps) => self.put("warmup-steps", *steps),
            Warmup::Epochs(epochs) => self.put("warmup-epochs", *epochs),
        }
        if let Some(LossScaling {
            initial,
            factor,
            window,
        }) = loss_scaling
        {
            self.put("loss-scale", *initial);
            self.put("loss-scale-factor", *factor);
            self.put("loss-scale-window", *window);
        }
        self.put("shuffle", *shuffle);
        self.put("drop-last", *drop_last);
        // Without padding a result is that of the longest row's but for rounding, and dropout as of another seed.
        let padding = match pad_to {
            PadTo::None => PadTo::Longest,
            other => *other,
        };
        self.put("pad-to", padding.as_str());
        let Optimizer {
            kind,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_decay_exempt,
            clipping,
            max_grad_norm,
        } = optimizer;
        self.put("optimizer", kind.as_str());
        self.put("adam-beta1", *beta1);
        self.put("adam-beta2", *beta2);
        self.put("adam-epsilon", *epsilon);
        self.put("weight-decay", *weight_decay);
        let exempt: Vec<&str> = weight_decay_exempt.iter().map(String::as_str).collect();
        self.put("weight-decay-exempt", exempt.as_slice());
        self.put("clipping", clipping.as_str());
        self.put("max-grad-norm", *max_grad_norm);
        if let Some(limit) = train_limit {
            self.put("train-limit", *limit);
        }
    }

    /// How the model handed on is chosen; `scored_as_trained`: see the function of this name.
    fn selection(
        &mut self,
        eval_interval: u64,
        keep: Keep,
        metric: Metric,
        scored_as_trained: bool,
    ) {
        self.put("eval-interval", eval_interval);
        let mut chosen = match (keep, metric) {
            (Keep::Best, Metric::MatthewsCorr) => "best by matthews_corr",
            (Keep::Best, Metric::Correlation) => "best by correlation",
            (Keep::Best, Metric::Accuracy) | (Keep::Last, _) => keep.as_str(),
        }
        .to_owned();
        if keep == Keep::Best && !scored_as_trained {
            chosen.push_str(" in fp32");
        }
        self.put("keep", chosen.as_str());
    }

    fn distill(&mut self, distill: &Distill, layer_map: Option<&LayerMap>) {
        let Distill {
            attention_weight,
            hidden_weight,
            attention_layer_weights,
            hidden_layer_weights,
            reduction,
            projection,
            keep_projection,
            teacher_dropout,
        } = distill;
        self.put("attention-weight", *attention_weight);
        self.put("hidden-weight", *hidden_weight);
        self.put("reduction", reduction.as_str());
        let lists = [
            ("attention-layer-weights", attention_layer_weights),
            ("hidden-layer-weights", hidden_layer_weights),
        ];
        for (key, list) in lists {
            // Ones spelt out are the default.
            if let Some(list) = list
                .as_ref()
                .filter(|list| list.iter().any(|it| (it - 1.0).abs() > 0.0))
            {
                self.put(key, list.as_slice());
            }
        }
        self.put("projection", projection.as_str());
        self.put("keep-projection", keep_projection.value);
        self.put("teacher-dropout", *teacher_dropout);
        if let Some(LayerMap { attention, hidden }) = layer_map {
            self.put("student.layer-map.attention", attention.as_slice());
            self.put("student.layer-map.hidden", hidden.as_slice());
        }
    }

    /// The student of a training stage: its shape only where this stage gives it random
    /// weights, since a folder or an artifact says its own.
    fn student(&mut self, student: &Student, experiment: &Experiment, node: &Node) {
        let Student {
            model: _, // an input
            shape,
            initializer,
            head: student_head,
            layer_map: _, // resolved in `distill`
            dtype,
        } = student;
        // Before there was such a key it was fp32, and the stages before phase 2 write that always.
        if node.stage == StageName::TdPhase2 && *dtype != WeightDtype::Fp32 {
            self.put("student.dtype", dtype.as_str());
        }
        self.put("student.head", student_head.as_str());
        let Initializer {
            kind,
            embedding_range,
            projection_range,
        } = initializer;
        // A new head is drawn too.
        self.put("student.initializer", kind.as_str());
        if node.stage != StageName::TdPhase2 {
            self.put("student.projection-initializer-range", *projection_range);
        }
        let origin = experiment.student_of(node.stage);
        if origin.is_none_or(|origin| origin.value != Origin::Random) {
            return;
        }
        let StudentShape {
            num_hidden_layers,
            hidden_size,
            intermediate_size,
            num_attention_heads,
            hidden_act,
            hidden_dropout_prob,
            attention_probs_dropout_prob,
            max_position_embeddings,
            initializer_range,
            layer_norm_eps,
            vocab_size,
            type_vocab_size,
            use_relative_positions,
        } = shape;
        self.put("student.num-hidden-layers", **num_hidden_layers);
        self.put("student.hidden-size", **hidden_size);
        self.put("student.intermediate-size", **intermediate_size);
        self.put("student.num-attention-heads", **num_attention_heads);
        self.put("student.hidden-act", hidden_act.as_str());
        self.put("student.hidden-dropout-prob", *hidden_dropout_prob);
        self.put(
            "student.attention-probs-dropout-prob",
            *attention_probs_dropout_prob,
        );
        self.put("student.max-position-embeddings", **max_position_embeddings);
        self.put("student.initializer-range", *initializer_range);
        self.put("student.embedding-initializer-range", *embedding_range);
        self.put("student.layer-norm-eps", *layer_norm_eps);
        // Before there were such keys they were the teacher's, whose files are inputs, and absolute.
        if let Some(size) = vocab_size {
            self.put("student.vocab-size", **size);
        }
        if let Some(size) = type_vocab_size {
            self.put("student.type-vocab-size", **size);
        }
        if *use_relative_positions {
            self.put("student.use-relative-positions", true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::graph;
    use super::*;
    use crate::experiment::check_models;
    use crate::model::BertConfig;

    const FILE: &str = r#"
        [task]
        name = "custom"
        train = "train.tsv"
        dev = "dev.tsv"
        text = "text"
        label = "label"
        [teacher]
        model = "teacher"
        [stages.finetune]
        [stages.general-distill]
        corpus = ["*.txt"]
        [stages.td-phase1]
        [stages.td-phase2]
        [stages.eval]
    "#;

    fn of(stage: StageName, overrides: &[&str]) -> BTreeMap<String, Value> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let (experiment, _) = Experiment::read("x.toml", "x", FILE, &overrides).expect("no faults");
        let teacher: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 4,
                "num_attention_heads": 12, "intermediate_size": 48,
                "max_position_embeddings": 512}"#,
        )
        .expect("a config");
        let folders = BTreeMap::from([("teacher", &teacher)]);
        let models = check_models(&experiment, &folders).expect("no faults");
        let nodes = graph(&experiment);
        let node = nodes.iter().find(|node| node.stage == stage);
        settings(&experiment, node.expect("in the graph"), &models)
    }

    fn changes(stage: StageName, overrides: &[&str]) -> bool {
        of(stage, overrides) != of(stage, &[])
    }

    #[test]
    fn a_key_counts_for_its_own_stage_only() {
        let key = "stages.td-phase1.epochs=7";
        for stage in StageName::ALL {
            assert_eq!(
                changes(stage, &[key]),
                stage == StageName::TdPhase1,
                "{stage}"
            );
        }
    }

    #[test]
    fn what_changes_no_result_does_not_count() {
        let keys = [
            "name=\"other\"",
            "device=\"cpu\"",
            "threads=1",
            "stages.td-phase1.log-interval=7",
            "stages.td-phase1.checkpoint-interval=7",
            "stages.td-phase1.checkpoint-seconds=7",
        ];
        for stage in StageName::ALL {
            assert!(!changes(stage, &keys), "{stage}");
        }
    }

    #[test]
    fn the_seed_counts_where_it_is_drawn_from_and_precision_where_is_trained() {
        use StageName::{CorpusPrep, DataPrep, Eval};
        for stage in StageName::ALL {
            let draws = !matches!(stage, DataPrep | CorpusPrep | Eval);
            assert_eq!(changes(stage, &["seed=7"]), draws, "{stage}");
            let trains = !matches!(stage, DataPrep | CorpusPrep | Eval);
            assert_eq!(changes(stage, &["precision=\"fp32\""]), trains, "{stage}");
        }
    }

    #[test]
    fn scores_are_in_fp32_and_results_of_fp32_keep_their_fingerprint() {
        use StageName::{Eval, Finetune, TdPhase2};
        let keep = |stage, overrides: &[&str]| of(stage, overrides).remove("keep");
        for stage in [Finetune, TdPhase2] {
            let fp32 = ["precision=\"fp32\""];
            assert_eq!(keep(stage, &fp32), Some("best".into()), "{stage}");
            assert_eq!(keep(stage, &[]), Some("best in fp32".into()), "{stage}");
            let last = format!("stages.{stage}.keep=\"last\"");
            assert_eq!(keep(stage, &[&last]), Some("last".into()), "{stage}");
        }
        // Weights that are rounded when they are written are scored as they are written.
        let rounded = ["precision=\"fp32\"", "student.dtype=\"fp16\""];
        assert_eq!(keep(TdPhase2, &rounded), Some("best in fp32".into()));
        assert_eq!(keep(Finetune, &rounded), Some("best".into()));
        let eval = of(Eval, &[]).remove("precision");
        assert_eq!(eval, Some("fp32".into()));
    }

    #[test]
    fn a_seed_of_a_stage_is_its_own_and_the_files_seed_that_of_the_others() {
        let own = "stages.td-phase1.seed=7";
        for stage in StageName::ALL {
            assert_eq!(changes(stage, &[own]), stage == StageName::TdPhase1);
        }
        // Said twice, it is the same seed.
        assert!(!changes(StageName::TdPhase1, &["stages.td-phase1.seed=42"]));
        assert!(!changes(
            StageName::TdPhase1,
            &["seed=7", "stages.td-phase1.seed=42"]
        ));
    }

    #[test]
    fn a_students_shape_counts_where_it_is_made() {
        for stage in StageName::ALL {
            let made = stage == StageName::GeneralDistill;
            let key = ["student.intermediate-size=600"];
            assert_eq!(changes(stage, &key), made, "{stage}");
        }
    }

    #[test]
    fn a_layer_map_counts_as_what_it_comes_to() {
        let same = "student.layer-map={attention=[0,1,2,3],hidden=[0,1,2,3,4]}";
        let other = "student.layer-map={attention=[0,1,2,2],hidden=[0,1,2,3,4]}";
        assert!(!changes(StageName::TdPhase1, &[same]));
        assert!(changes(StageName::TdPhase1, &[other]));
        assert!(!changes(StageName::TdPhase2, &[other]));
    }

    #[test]
    fn a_setting_is_explained_under_its_key_in_the_file() {
        // The resolved file leaves a default that would claim too much unsaid.
        let said = ["general-distill", "td-phase1"]
            .map(|stage| format!("stages.{stage}.keep-projection=true"));
        let (experiment, _) = Experiment::read("x.toml", "x", FILE, &said).expect("no faults");
        let text = crate::experiment::to_toml(&experiment);
        for stage in StageName::ALL {
            for key in of(stage, &[]).keys() {
                // A rule such as `uniform` is explained by the layers it comes to.
                let key = key
                    .strip_prefix("student.layer-map.")
                    .map_or(key.as_str(), |_| "student.layer-map");
                let name = key.rsplit('.').next().unwrap_or(key);
                let line = format!("\n{name} = ");
                assert!(text.contains(&line), "`{key}` of {stage} in:\n{text}");
            }
        }
    }

    #[test]
    fn spelling_a_default_out_changes_nothing() {
        let ones = "stages.td-phase1.attention-layer-weights=[1, 1, 1.0, 1]";
        assert!(!changes(StageName::TdPhase1, &[ones]));
        assert!(!changes(StageName::DataPrep, &["task.format=\"auto\""]));
    }
}
