//! The student of an experiment is that of its configuration, and no flag is lost.

use super::*;

/// `gd_config.yaml` with lines replaced in the networks of teacher and student.
fn general(lines: &[(&str, &str)]) -> Given {
    let mut file = file("gd_config.yaml");
    for (from, to) in lines {
        assert!(file.text.contains(from), "{from}");
        file.text = file.text.replace(from, to);
    }
    Given {
        files: vec![file],
        ..Given::default()
    }
}

#[test]
fn a_student_has_the_width_the_heads_and_the_positions_of_its_configuration() {
    for (width, heads) in [(256, 8), (128, 2), (512, 16), (256, 4), (320, 10)] {
        let (text, found) = written(&general(&[
            (
                "num_attention_heads: 12",
                &format!("num_attention_heads: {heads}"),
            ),
            ("hidden_size: 324", &format!("hidden_size: {width}")),
            (
                "intermediate_size: 1280",
                &format!("intermediate_size: {}", 4 * width),
            ),
        ]));
        for (key, value) in [
            ("hidden-size", width),
            ("num-attention-heads", heads),
            ("intermediate-size", 4 * width),
        ] {
            assert_eq!(
                found[&format!("student.{key}")],
                value.to_string(),
                "{text}"
            );
        }
    }
    for (length, positions) in [(96, 100), (100, 100), (600, 600), (1024, 1024)] {
        let (text, found) = written(&general(&[
            ("seq_length: 96", &format!("seq_length: {length}")),
            (
                "max_position_embeddings: 256",
                &format!("max_position_embeddings: {positions}"),
            ),
        ]));
        for (key, value) in [
            ("student.max-position-embeddings", positions),
            ("stages.general-distill.max-seq-length", length),
            ("task.max-seq-length", length),
        ] {
            assert_eq!(found[key], value.to_string(), "{text}");
        }
    }
}

#[test]
fn what_an_experiment_cannot_have_is_an_error_at_the_value() {
    for (from, to, fault) in [
        (
            "hidden_size: 324",
            "hidden_size: 100",
            "gd_config.yaml:57:18: `hidden-size` 100 is not a multiple of `num-attention-heads` 12",
        ),
        (
            "seq_length: 96",
            "seq_length: 600",
            "gd_config.yaml:55:17: `max-seq-length` 600 in `[task]` exceeds the student's \
             `max-position-embeddings` 256",
        ),
        (
            "AdamWeightDecay",
            "Lamb",
            "gd_config.yaml:29:5: `common_cfg.Lamb` is not an optimizer of the scripts",
        ),
    ] {
        assert_eq!(faults(&general(&[(from, to)])), fault);
    }
}

#[test]
fn sizes_of_a_checkpoint_and_keys_of_a_folder_are_listed() {
    let (text, _) = written(&given(&["gd_config.yaml"], &[]));
    let line =
        "# gd_config.yaml:40 bert_teacher_net_cfg.hidden_size: the checkpoint's tensors have it";
    assert!(text.lines().any(|found| found == line), "{text}");
    let (text, found) = written(&given(
        &["gd_config.yaml"],
        &["load_teacher_ckpt_path=bert"],
    ));
    assert_eq!(found["teacher.model"], "\"bert\"");
    assert!(
        text.contains(
            "num_attention_heads: the `config.json` of the model's folder has it \
             (`num-attention-heads`)"
        ),
        "{text}"
    );
}

#[test]
fn precision_is_fp32_where_no_device_is_named() {
    let (text, found) = written(&given(&["gd_config.py", "td_config.py"], &[]));
    assert_eq!(found["precision"], "\"fp32\"", "{text}");
}

#[test]
fn a_configuration_named_after_named_entities_is_refused_without_a_task() {
    let source = Source {
        name: "configs/td_config_ner.yaml".to_owned(),
        ..replaced(
            "td_config_qnli.yaml",
            "task_name: \"QNLI\"",
            "task_name: \"\"",
        )
    };
    let of = |flags: &[&str]| Given {
        files: vec![source.clone()],
        ..given(&[], flags)
    };
    assert_eq!(
        faults(&of(&[])),
        "configs/td_config_ner.yaml:2:1: the configuration has no `task_name`"
    );
    let (_, found) = written(&of(&["task_name=TNEWS"]));
    assert_eq!(found["task.name"], "\"custom\"");
}

#[test]
fn an_unknown_flag_is_an_error_with_the_nearest_name() {
    let found = from_mindspore(
        KINDS,
        &given(
            &["td_config_qnli.yaml"],
            &["tsk_name=SST-2", "colr=red", "x=1"],
        ),
    );
    let found = found.unwrap_err().faults;
    let found = found.iter();
    let found: Vec<_> = found
        .map(|fault| {
            (
                fault.message.as_str(),
                fault.hint.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    let other = "flags are keys at the top of a configuration; change others in its file";
    assert_eq!(
        found,
        [
            ("unknown flag `tsk_name`", "did you mean `task_name`?"),
            ("unknown flag `colr`", other),
            ("unknown flag `x`", other),
        ]
    );
    // A key of the file is a flag of its script.
    written(&given(&["td_config_qnli.yaml"], &["colour=red"]));
}

#[test]
fn a_flag_goes_to_the_program_that_has_it() {
    let (text, _) = written(&given(
        &["gd_config.yaml", "td_config_qnli.yaml"],
        &["distribute=true", "device_num=8"],
    ));
    assert!(!text.contains("device_num: unknown"), "{text}");
    assert_eq!(
        faults(&given(&["td_config_qnli.yaml"], &["device_num=8"])),
        "--flag:1:1: `device_num` without a configuration of general distillation"
    );
}

#[test]
fn flags_that_contradict_each_other_or_a_file_are_errors() {
    let both = ["gd_config.yaml", "td_config_qnli.yaml"];
    assert_eq!(
        faults(&given(&both, &["gd.device_target=Ascend"])),
        "td_config_qnli.yaml:4:16: `device_target` comes to fp32, and that of `gd_config` to fp16"
    );
    let on = |device_num, names: &[&str], flags: &[&str]| Given {
        device_num,
        ..given(names, flags)
    };
    assert_eq!(
        faults(&on(Some(8), &both, &["distribute=false"])),
        "--flag:1:12: `distribute` is false"
    );
    assert_eq!(
        faults(&on(Some(8), &both, &["device_num=4"])),
        "--flag:1:12: `device_num` is 4"
    );
    assert_eq!(
        faults(&on(Some(8), &both[1..], &[])),
        "td_config_qnli.yaml: `--device-num` without a configuration of general distillation"
    );
    let (text, _) = written(&on(None, &both, &["distribute=false"]));
    assert!(
        text.contains("# gd_config.yaml:10 device_num: `distribute` is not true"),
        "{text}"
    );
}
