//! What is wrong with models that an experiment names.

use super::*;
use crate::experiment::testing::{messages, pipeline, read, read_with};

fn config(layers: usize, heads: usize) -> BertConfig {
    let text = format!(
        r#"{{ "vocab_size": 100, "hidden_size": 384, "num_hidden_layers": {layers},
             "num_attention_heads": {heads}, "intermediate_size": 1536,
             "max_position_embeddings": 512 }}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// Checks with these folders; the teacher's is `models/teacher`.
fn check(experiment: &Experiment, folders: &[(&str, &BertConfig)]) -> Result<Models, Vec<Fault>> {
    check_models(experiment, &folders.iter().copied().collect())
}

#[test]
fn a_students_tables_are_no_smaller_than_teacher_and_data_need() {
    let teacher: BertConfig = serde_json::from_str(
        r#"{"vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 48,
            "max_position_embeddings": 512}"#,
    )
    .unwrap();
    let check = |sets: &[&str]| {
        let experiment = read_with(&pipeline(), sets).unwrap();
        let teacher_folder = experiment.teacher.model.value.clone();
        let folders = BTreeMap::from([(teacher_folder.as_str(), &teacher)]);
        check_models(&experiment, &folders)
    };
    let faults = |sets: &[&str]| -> Vec<String> {
        let found = check(sets).unwrap_err();
        messages(&found).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(
        faults(&["student.vocab-size=99"]),
        ["`vocab-size` in `[student]` is 99, the teacher has 100 tokens"]
    );
    assert_eq!(
        faults(&["student.type-vocab-size=1", "task.pair=second"]),
        ["the student has one segment, pair tasks need two"]
    );
    assert_eq!(
        faults(&[
            "student.type-vocab-size=1",
            "stages.general-distill.windows=sentences"
        ]),
        ["the student has one segment, windows of pairs need two"]
    );
    let sizes = ["student.vocab-size=128", "student.type-vocab-size=1"];
    let student = check(&sizes).unwrap().student;
    assert_eq!((student.vocab_size, student.type_vocab_size), (128, 1));
}

#[test]
fn a_student_takes_vocabulary_and_padding_from_the_teacher() {
    let mut teacher = config(12, 12);
    teacher.pad_token_id = 3;
    let models = check(&read(&pipeline()), &[("models/teacher", &teacher)]).unwrap();
    assert_eq!(models.student.vocab_size, 100);
    assert_eq!(models.student.pad_token_id, 3);
    assert_eq!(models.student.hidden_size, 312);
    let map = &models.layer_maps["td-phase1"];
    assert_eq!(map.attention, [2, 5, 8, 11]);
}

#[test]
fn models_that_cannot_match_are_refused_together() {
    let mut teacher = config(6, 8);
    teacher.max_position_embeddings = 100;
    let faults = check(&read(&pipeline()), &[("models/teacher", &teacher)]).unwrap_err();
    assert_eq!(
        messages(&faults),
        [
            "`max-seq-length` 128 in `[task]` exceeds the 100 positions of the teacher",
            "`max-seq-length` 128 in `[stages.general-distill]` exceeds the 100 positions of the teacher",
            "the student has 12 attention heads, the teacher 8",
            "a `uniform` layer map needs a teacher with a multiple of the student's 4 layers, the teacher has 6",
        ]
    );
    assert!(faults.iter().all(|fault| fault.span.is_some()));
}

#[test]
fn a_students_family_is_its_own_and_not_the_teachers() {
    let distilbert: BertConfig = serde_json::from_str(
        r#"{ "family": "distilbert", "vocab_size": 100, "hidden_size": 384,
             "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536,
             "max_position_embeddings": 512, "type_vocab_size": 0 }"#,
    )
    .unwrap();
    let student = |teacher: &BertConfig, sets: &[&str]| {
        let sets = [
            sets,
            &["task.pair=second", "student.hidden-dropout-prob=0.3"],
        ]
        .concat();
        let experiment = read_with(&pipeline(), &sets).unwrap();
        check(&experiment, &[("models/teacher", teacher)])
            .unwrap()
            .student
    };
    let bert = student(&distilbert, &[]);
    assert_eq!((bert.family.model_type, bert.type_vocab_size), ("bert", 2));
    let student = student(&config(12, 12), &["student.family=distilbert"]);
    assert_eq!(student.family, distilbert.family);
    assert_eq!(student.type_vocab_size, 0);
    // Its config.json says so: `transformers` would take 0.2.
    assert_eq!(student.seq_classif_dropout, Some(0.3));
}

#[test]
fn an_mpnet_student_needs_the_padding_token_of_its_family() {
    let experiment = read_with(&pipeline(), &["student.family=mpnet"]).unwrap();
    let mut teacher = config(12, 12);
    teacher.pad_token_id = 1;
    let models = check(&experiment, &[("models/teacher", &teacher)]).unwrap();
    let student = models.student;
    assert_eq!(
        (student.pad_token_id, student.relative_buckets),
        (1, Some(32))
    );
    assert_eq!(student.longest_input(), 510);
    teacher.pad_token_id = 0;
    let faults = check(&experiment, &[("models/teacher", &teacher)]).unwrap_err();
    assert_eq!(
        messages(&faults),
        ["a student of the family MPNet has the padding token 1, the teacher has 0"]
    );
    assert!(faults[0].span.is_some());
    let short = [
        "student.family=mpnet",
        "student.max-position-embeddings=129",
    ];
    let error = read_with(&pipeline(), &short).unwrap_err();
    assert!(
        error.faults[0]
            .message
            .ends_with("exceeds the student's `max-position-embeddings` 129 without the first 2"),
        "{error}"
    );
}

#[test]
fn relations_need_no_equal_heads_but_a_number_that_divides_both_widths() {
    let relations = "stages.td-phase1.attention-loss=relations";
    let text = pipeline().replace(
        "[stages.general-distill]\ncorpus = [\"corpus/*.txt\"]\n",
        "",
    );
    let of = |sets: &[&str]| {
        let shape = [
            "stages.td-phase1.student=random",
            "student.num-attention-heads=4",
            "student.hidden-size=320",
        ];
        let experiment = read_with(&text, &[&shape, sets].concat()).unwrap();
        check(&experiment, &[("models/teacher", &config(12, 12))])
    };
    let message = "the student has 4 attention heads, the teacher 12";
    let faults = of(&[]).unwrap_err();
    assert_eq!(messages(&faults), [message]);
    assert_eq!(
        faults[0].hint.as_deref(),
        Some(
            "set `num-attention-heads = 12` in `[student]`, or `attention-loss = \"relations\"` in the stage"
        )
    );
    let faults = of(&[relations]).unwrap_err();
    assert_eq!(
        messages(&faults),
        [
            "in `td-phase1`, the relation heads are the teacher's 12 attention heads, which do not divide the student's width of 320"
        ]
    );
    assert_eq!(
        faults[0].hint.as_deref(),
        Some("set `relation-heads = 8` in `[stages.td-phase1]`, which divides both widths")
    );
    let heads = "stages.td-phase1.relation-heads";
    let found = of(&[relations, &format!("{heads}=16")]).unwrap();
    assert_eq!(
        found.relation_heads.values().copied().collect::<Vec<_>>(),
        [16]
    );
    let faults = of(&[relations, &format!("{heads}=5")]).unwrap_err();
    assert_eq!(
        messages(&faults),
        [
            "`relation-heads` in `[stages.td-phase1]` is 5, which does not divide the teacher's width of 384"
        ]
    );
}

#[test]
fn a_given_student_is_checked_by_its_own_config() {
    let experiment = read_with(&pipeline(), &["student.model=models/small"]).unwrap();
    let mut small = config(5, 12);
    small.vocab_size = 99;
    let teacher = config(12, 12);
    let folders = [("models/teacher", &teacher), ("models/small", &small)];
    let faults = check(&experiment, &folders).unwrap_err();
    assert_eq!(
        messages(&faults),
        [
            "the student has a vocabulary of 99 tokens, `[teacher]` has 100",
            "a `uniform` layer map needs a teacher with a multiple of the student's 5 layers, the teacher has 12",
        ]
    );
}

#[test]
fn a_student_of_some_layers_is_compared_with_them() {
    let text = pipeline().replace("[stages.finetune]\n", "[stages.finetune]\nepochs = 1\n");
    let teacher = config(6, 12);
    let folders = [("models/teacher", &teacher)];
    for model in ["models/teacher", "finetune"] {
        let sets = [
            &format!("student.model={model}"),
            "student.layers=[0, 2, 5]",
            "student.hidden-dropout-prob=0.0",
        ];
        let experiment = read_with(&text, &sets).unwrap();
        let models = check(&experiment, &folders).unwrap();
        assert_eq!(models.student.num_hidden_layers, 3);
        assert_eq!(models.student.hidden_size, teacher.hidden_size);
        assert_eq!(models.student.hidden_dropout_prob.to_string(), "0");
        let map = &models.layer_maps["td-phase1"];
        assert_eq!(map.attention, [0, 2, 5]);
        assert_eq!(map.hidden, [0, 1, 3, 6]);
    }
    let sets = ["student.model=finetune", "student.layers=[0, 6]"];
    let faults = check(&read_with(&text, &sets).unwrap(), &folders).unwrap_err();
    assert_eq!(
        messages(&faults),
        ["`layers` in `[student]` has 6, which is out of range for `finetune`"]
    );
    assert!(faults[0].span.is_some());
}

#[test]
fn layers_of_another_model_need_a_map() {
    let sets = ["student.model=models/small", "student.layers=[0, 5]"];
    let experiment = read_with(&pipeline(), &sets).unwrap();
    let (teacher, small) = (config(12, 12), config(6, 12));
    let folders = [("models/teacher", &teacher), ("models/small", &small)];
    let faults = check(&experiment, &folders).unwrap_err();
    assert_eq!(
        messages(&faults),
        ["`layers` in `[student]` are not the teacher's, so that `layer-map` must be given"]
    );
    let sets = [sets[0], sets[1], "student.layer-map=uniform"];
    let models = check(&read_with(&pipeline(), &sets).unwrap(), &folders).unwrap();
    assert_eq!(models.layer_maps["td-phase1"].attention, [5, 11]);
}

#[test]
fn an_uneven_map_is_no_fault_where_no_layer_is_compared() {
    let text = pipeline().replace("[stages.td-phase1]", "");
    let text = text.replace("[stages.general-distill]\ncorpus = [\"corpus/*.txt\"]", "");
    let experiment = read_with(&text, &["stages.td-phase2.student=models/small"]).unwrap();
    let models = check(&experiment, &[("models/teacher", &config(6, 8))]).unwrap();
    assert!(models.layer_maps.is_empty());
}

#[test]
fn a_stage_with_a_teacher_of_its_own_has_its_own_layer_map() {
    let sets = ["stages.td-phase1.teacher=models/base"];
    let experiment = read_with(&pipeline(), &sets).unwrap();
    let (teacher, base) = (config(8, 12), config(12, 12));
    let folders = [("models/teacher", &teacher), ("models/base", &base)];
    let maps = check(&experiment, &folders).unwrap().layer_maps;
    assert_eq!(maps["general-distill"].attention, [1, 3, 5, 7]);
    assert_eq!(maps["td-phase1"].attention, [2, 5, 8, 11]);
}

#[test]
fn a_model_that_a_stage_names_is_checked_at_its_key() {
    let sets = ["stages.td-phase1.teacher=models/base"];
    let experiment = read_with(&pipeline(), &sets).unwrap();
    let (teacher, mut base) = (config(12, 12), config(6, 8));
    base.vocab_size = 101;
    base.max_position_embeddings = 64;
    let folders = [("models/teacher", &teacher), ("models/base", &base)];
    let faults = check(&experiment, &folders).unwrap_err();
    assert_eq!(
        messages(&faults),
        [
            "the teacher of `td-phase1` has a vocabulary of 101 tokens, `[teacher]` has 100",
            "the teacher of `td-phase1` has 64 positions, `max-seq-length` in `[task]` is 128",
            "in `td-phase1`, the student has 12 attention heads, the teacher 8",
            "in `td-phase1`, a `uniform` layer map needs a teacher with a multiple of the student's 4 layers, the teacher has 6",
        ]
    );
    let sources = faults
        .iter()
        .map(|fault| fault.span.as_ref().unwrap().source);
    assert_eq!(sources.collect::<Vec<_>>(), [1; 4]);
}
