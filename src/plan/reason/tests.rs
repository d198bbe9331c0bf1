use super::*;
use crate::runs::Upstream;

fn key() -> Key {
    let digest = Digest::of_bytes(b"x");
    Key {
        kind: "td-phase1".to_owned(),
        semantics: 1,
        settings: BTreeMap::from([
            ("epochs".to_owned(), 3_u32.into()),
            ("learning-rate".to_owned(), 1e-4.into()),
        ]),
        inputs: BTreeMap::from([
            ("teacher/config.json".to_owned(), digest),
            ("teacher/model.safetensors".to_owned(), digest),
        ]),
        upstream: BTreeMap::from([(
            "train".to_owned(),
            Upstream {
                artifact: "data-prep/train".to_owned(),
                digest,
            },
        )]),
    }
}

fn explain(change: impl Fn(&mut Key)) -> Vec<String> {
    let mut new = key();
    change(&mut new);
    let reasons = compare(&key(), &new, &BTreeSet::new());
    reasons.iter().map(ToString::to_string).collect()
}

#[test]
fn every_change_has_its_reason_with_old_and_new() {
    let other = Digest::of_bytes(b"y");
    assert!(explain(|_| {}).is_empty());
    assert_eq!(
        explain(|key| {
            key.settings.insert("learning-rate".to_owned(), 5e-5.into());
        }),
        ["`learning-rate` changed: 0.0001 -> 0.00005"]
    );
    assert_eq!(
        explain(|key| {
            key.settings.insert("train-limit".to_owned(), 9_u32.into());
            key.settings.remove("epochs");
        }),
        ["`epochs` removed: it was 3", "`train-limit` added: 9"]
    );
    assert_eq!(
        explain(|key| {
            key.inputs.insert("teacher/config.json".to_owned(), other);
            key.inputs.insert("teacher/vocab.txt".to_owned(), other);
            key.inputs.remove("teacher/model.safetensors");
        }),
        [
            "`teacher/config.json` changed",
            "`teacher/model.safetensors` was removed",
            "`teacher/vocab.txt` is new"
        ]
    );
    assert_eq!(
        explain(|key| {
            for part in key.upstream.values_mut() {
                part.digest = other;
            }
        }),
        ["`data-prep/train` changed"]
    );
    assert_eq!(
        explain(|key| key.semantics = 2),
        ["stage implementation changed: version 1 -> 2"]
    );
}

#[test]
fn a_model_taken_from_elsewhere_is_one_reason() {
    let reasons = explain(|key| {
        key.inputs.clear();
        key.upstream.insert(
            "teacher".to_owned(),
            Upstream {
                artifact: "finetune/model".to_owned(),
                digest: Digest::of_bytes(b"y"),
            },
        );
    });
    assert_eq!(
        reasons,
        ["`teacher` comes from another source: a folder -> `finetune/model`"]
    );
}

#[test]
fn what_is_not_known_yet_is_no_reason() {
    let mut new = key();
    new.upstream.clear();
    let unknown = BTreeSet::from(["train".to_owned()]);
    assert_eq!(compare(&key(), &new, &unknown), []);
}
