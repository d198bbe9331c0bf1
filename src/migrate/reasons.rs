//! Why a key of a configuration is not taken over.

/// The reason, by the last name of the key's path.
pub(super) fn reason(path: &str) -> &'static str {
    let key = path.rsplit('.').next().unwrap_or(path);
    match key {
        "description" => "says which program reads the file",
        "enable_modelarts"
        | "data_url"
        | "train_url"
        | "checkpoint_url"
        | "data_path"
        | "output_path"
        | "load_path"
        | "modelarts_dataset_unzip_name"
        | "folder_name_under_zip_file" => "of Huawei's ModelArts service",
        "enable_profiling" => "`tinyrun show` has the time of each part of a stage",
        "enable_data_sink" | "data_sink_steps" => {
            "epochs are those of `epoch_size`; steps of a data sink change nothing here"
        }
        "config_path" => "an argument of `--from-mindspore`",
        "device_id" => "`device = \"cuda:N\"` selects a device",
        "save_ckpt_path" => "results are in `runs/`",
        "assessment_method" => "`eval` reports the scores of the task",
        "ckpt_file" | "file_name" | "file_format" | "onnx_path" => {
            "`tinyrun export MODEL --format FORMAT -o FOLDER` exports a model"
        }
        "result_path" | "label_path" => "of the inference on Ascend 310",
        "seed2" => "one seed per stage draws weights and order",
        "dtype" | "compute_type" => {
            "`precision` sets it for teacher and student; the scripts overwrite it"
        }
        "hidden_dropout_prob" | "attention_probs_dropout_prob" => {
            "the scripts run the teacher without dropout; the student's are in `[student]`"
        }
        "initializer_range" => "the teacher is loaded; the student's is in `[student]`",
        "use_relative_positions" => "the checkpoint's tensors show it",
        "decay_filter" => {
            "a function is not read; tinyrun exempts `bias` and `LayerNorm`, as published"
        }
        "load_gd_ckpt_path"
        | "load_td1_ckpt_path"
        | "load_teacher_ckpt_path"
        | "data_dir"
        | "train_data_dir"
        | "eval_data_dir"
        | "schema_dir"
        | "task_name" => "empty",
        "loss_scale_value" | "scale_factor" | "scale_window" => {
            "`loss-scale` and its keys apply with `precision = \"fp16\"` only"
        }
        "td_phase1_epoch_size"
        | "td_phase2_epoch_size"
        | "batch_size"
        | "seed1"
        | "learning_rate"
        | "end_learning_rate"
        | "power"
        | "weight_decay"
        | "eps"
        | "save_ckpt_step"
        | "max_ckpt_num"
        | "do_shuffle" => "not used by what this experiment runs",
        _ => "unknown to tinyrun",
    }
}
