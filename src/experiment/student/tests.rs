use super::super::testing::{MINIMAL, faults, read, read_with};
use super::*;

#[test]
fn a_given_student_excludes_every_key_of_the_shape_but_the_dropouts() {
    let sets = [
        "student.model=models/small",
        "student.hidden-dropout-prob=0.3",
    ];
    let student = read_with(MINIMAL, &sets).unwrap().student;
    assert_eq!(student.checkpoint.0.hidden_dropout_prob, Some(0.3));

    let kept = StudentCheckpoint::beside(false);
    for key in StudentShape::names() {
        if kept.contains(&key) {
            continue;
        }
        let value = match key {
            "hidden-act" => "relu",
            "family" => "distilbert",
            "use-relative-positions" => "true",
            _ => "1",
        };
        let found = faults(
            MINIMAL,
            &[
                "student.model=models/small",
                &format!("student.{key}={value}"),
            ],
        );
        let expected = format!("`model` and `{key}` in `[student]` cannot be combined");
        assert!(
            found.iter().any(|fault| fault.ends_with(&expected)),
            "{found:?}"
        );
    }
}

#[test]
fn a_distilbert_refuses_keys_that_it_does_not_have() {
    let family = "student.family=distilbert";
    for (set, reason) in [
        ("student.type-vocab-size=2", "DistilBERT has no token types"),
        (
            "student.use-relative-positions=true",
            "DistilBERT has absolute positions",
        ),
        (
            "student.layer-norm-eps=1e-5",
            "DistilBERT has an epsilon of 1e-12",
        ),
    ] {
        let key = set.split(['.', '=']).nth(1).unwrap();
        let found = read_with(MINIMAL, &[family, set]).unwrap_err();
        let [fault] = &found.faults[..] else {
            panic!("{found}")
        };
        assert_eq!(
            fault.message,
            format!("`family = \"distilbert\"` and `{key}` in `[student]` cannot be combined")
        );
        assert_eq!(fault.label.as_deref(), Some(reason));
        assert!(fault.span.is_some());
        assert!(read_with(MINIMAL, &[set]).is_ok());
    }
}

#[test]
fn a_recipes_epsilon_is_not_that_of_a_distilbert() {
    let epsilon = |sets: &[&str]| {
        let experiment = read_with(MINIMAL, sets).unwrap();
        experiment.student.shape.layer_norm_eps.to_string()
    };
    let recipe = "recipe=mindspore";
    assert_eq!(epsilon(&[recipe]), "0.0000001");
    assert_eq!(
        epsilon(&[recipe, "student.family=distilbert"]),
        "0.000000000001"
    );
}

#[test]
fn a_layer_map_is_a_word_or_a_table_of_both_lists() {
    let text = format!("{MINIMAL}[student]\nnum-hidden-layers = 2\n");
    let rule = |value: &str| {
        let set = format!("student.layer-map={value}");
        read_with(&text, &[&set]).map(|experiment| experiment.student.layer_map.value)
    };
    assert_eq!(read(&text).student.layer_map.value, LayerMapRule::Uniform);
    assert_eq!(rule("top").unwrap(), LayerMapRule::Top);
    assert_eq!(
        rule("{ attention = [0, 5], hidden = [0, 3, 6] }").unwrap(),
        LayerMapRule::Explicit(LayerMap {
            attention: vec![0, 5],
            hidden: vec![0, 3, 6],
        })
    );
    assert_eq!(
        rule("{ attention = [0, -5] }").unwrap_err().to_string(),
        "--set:1:19: missing key `hidden` in `[student.layer-map]`\n\
         --set:1:37: `attention` in `[student.layer-map]` is out of range"
    );
    assert_eq!(
        rule("middle").unwrap_err().to_string(),
        "--set:1:19: `layer-map` in `[student]` cannot be `middle`"
    );
}
