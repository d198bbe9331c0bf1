//! Pages that explain a key, for its entry in the reference. Their names and headings are checked
//! as those of every page.

/// Title and address of the page about a key of a table, where there is one.
pub(super) fn page_about(table: &str, key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "format" if table == "stages.export" => ("Formats", "../guides/export.md#formats"),
        "recipe" => ("Recipes", "recipes.md"),
        "seed" => ("Exactness", "../concepts/exactness.md"),
        "precision" | "dtype" => ("Number formats", "../concepts/models.md#number-formats"),
        "format" | "delimiter" | "quoting" | "escape" => {
            ("Tables", "../concepts/file-formats.md#tables")
        }
        "text" | "pair" | "label" | "labels" => (
            "Encoded examples",
            "../concepts/pipeline.md#encoded-examples",
        ),
        "corpus" | "long-lines" => ("Corpus", "../concepts/pipeline.md#corpus"),
        "teacher-memory" => ("Teacher cache", "../concepts/pipeline.md#teacher-cache"),
        "head" => ("Heads", "../concepts/losses.md#heads"),
        "unlabelled" | "unlabelled-limit" | "unlabelled-share" => (
            "Unlabelled text",
            "../guides/students.md#let-it-learn-from-text-that-nobody-labelled",
        ),
        "teacher-predictions" => (
            "Predictions in a file",
            "../guides/teachers.md#learn-from-predictions-in-a-file",
        ),
        "layers" => (
            "Choose a student",
            "../guides/students.md#start-from-layers-of-a-model",
        ),
        "layer-map" => ("Layer mapping", "../concepts/losses.md#layer-mapping"),
        "attention-weight" | "attention-layer-weights" | "reduction" => {
            ("Attention", "../concepts/losses.md#attention")
        }
        "attention-loss" | "relation-heads" | "relation-weights" => {
            ("Relations", "../concepts/losses.md#relations")
        }
        "hidden-weight" | "hidden-layer-weights" => {
            ("Hidden states", "../concepts/losses.md#hidden-states")
        }
        "projection" | "keep-projection" => ("Projections", "../concepts/losses.md#projections"),
        "teacher-dropout" => (
            "Dropout of the teacher",
            "../concepts/losses.md#dropout-of-the-teacher",
        ),
        "temperature" | "soft-loss-reduction" | "soft-loss-weight" | "hard-label-weight" => {
            ("Prediction", "../concepts/losses.md#prediction")
        }
        "teachers" | "teacher-weights" | "teacher-mean" => {
            ("Several teachers", "../concepts/losses.md#several-teachers")
        }
        "regression" | "regression-target" => ("Regression", "../concepts/losses.md#regression"),
        "reduction-leaves" | "gradient-exchange" => ("Ranks", "../concepts/exactness.md#ranks"),
        "gradient-accumulation-steps" => ("Micro-batches", "../concepts/losses.md#micro-batches"),
        "hidden-act" | "layer-norm-eps" => (
            "Activation and LayerNorm",
            "../concepts/models.md#activation-and-layernorm",
        ),
        "initializer"
        | "initializer-range"
        | "embedding-initializer-range"
        | "projection-initializer-range" => {
            ("Initial weights", "../concepts/models.md#initial-weights")
        }
        "use-relative-positions" => (
            "Relative positions",
            "../concepts/models.md#relative-positions",
        ),
        "optimizer" | "adam-beta1" | "adam-beta2" | "adam-epsilon" => {
            ("Adam", "../concepts/optimizers.md#adam")
        }
        "weight-decay" | "weight-decay-exempt" => {
            ("Weight decay", "../concepts/optimizers.md#weight-decay")
        }
        "clipping" | "max-grad-norm" => (
            "Gradient clipping",
            "../concepts/optimizers.md#gradient-clipping",
        ),
        "learning-rate" | "end-learning-rate" | "schedule" | "power" | "warmup-proportion"
        | "warmup-steps" | "warmup-epochs" | "decay-from" => (
            "Learning-rate schedule",
            "../concepts/optimizers.md#learning-rate-schedule",
        ),
        "loss-scale" | "loss-scale-factor" | "loss-scale-window" => {
            ("Loss scaling", "../concepts/optimizers.md#loss-scaling")
        }
        "shuffle" | "drop-last" | "pad-to" => ("Batches", "../concepts/optimizers.md#batches"),
        "eval-interval" | "keep" | "patience" => (
            "The model that is handed on",
            "../concepts/evaluation.md#the-model-that-is-handed-on",
        ),
        "gate" => ("Teacher check", "../concepts/evaluation.md#teacher-check"),
        _ => return None,
    })
}
