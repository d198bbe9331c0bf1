use super::*;

fn key() -> Key {
    Key {
        kind: "td-phase1".to_owned(),
        semantics: 1,
        settings: BTreeMap::from([
            ("epochs".to_owned(), Value::from(3_u32)),
            ("learning-rate".to_owned(), Value::from(5e-5)),
        ]),
        inputs: BTreeMap::from([("teacher/config.json".to_owned(), Digest::of_bytes(b"{}"))]),
        upstream: BTreeMap::from([(
            "train".to_owned(),
            Upstream {
                artifact: "data-prep/train".to_owned(),
                digest: Digest::of_bytes(b"tokens"),
            },
        )]),
    }
}

#[test]
fn answers_are_shared_by_who_asks_the_same_of_the_same_teacher() {
    let same = key().teacher_answers("teacher", "logits", "train");
    let with = |name: &str, value: Value| {
        let mut key = key();
        key.settings.insert(name.to_owned(), value);
        key
    };
    for (name, value) in [
        ("learning-rate", Value::from(1e-4)),
        ("epochs", 9_u32.into()),
    ] {
        assert_eq!(
            with(name, value).teacher_answers("teacher", "logits", "train"),
            same,
            "{name}"
        );
    }
    // The seed counts where it chooses the rows.
    let seeded = |seed: u32| with("seed", seed.into());
    assert_eq!(
        seeded(1).teacher_answers("teacher", "logits", "train"),
        same
    );
    let limited = [1_u32, 2].map(|seed| {
        let mut key = seeded(seed);
        key.settings.insert("train-limit".to_owned(), 10_u32.into());
        key.teacher_answers("teacher", "logits", "train")
    });
    assert_ne!(limited[0], limited[1]);
    // So do the number of unlabelled texts, their share, and then the epochs in which they have their turn.
    let asked_with = |settings: &[(&str, Value)]| {
        let mut key = key();
        for (name, value) in settings {
            key.settings.insert((*name).to_owned(), value.clone());
        }
        key.teacher_answers("teacher", "logits", "train")
    };
    let share = ("unlabelled-share", Value::from(0.5));
    let found = [
        same.clone(),
        asked_with(&[("unlabelled-limit", 10_u32.into())]),
        asked_with(&[("unlabelled-limit", 11_u32.into())]),
        asked_with(&[("unlabelled-limit", 10_u32.into()), ("seed", 1_u32.into())]),
        asked_with(&[("unlabelled-share", Value::from(0.25))]),
        asked_with(std::slice::from_ref(&share)),
        asked_with(&[share, ("epochs", 9_u32.into())]),
    ];
    for (place, one) in found.iter().enumerate() {
        assert!(!found[..place].contains(one), "{place}");
    }

    let mut other = vec![key().teacher_answers("teacher", "attention [0]", "train")];
    other.push(with("precision", "fp32".into()).teacher_answers("teacher", "logits", "train"));
    let act = with("teacher.hidden-act", Value::Text("gelu".to_owned()));
    other.push(act.teacher_answers("teacher", "logits", "train"));
    let heads = with("teacher.num-attention-heads", 2_u32.into());
    other.push(heads.teacher_answers("teacher", "logits", "train"));
    let mut changed = key();
    let teacher = Digest::of_bytes(b"another");
    changed
        .inputs
        .insert("teacher/config.json".to_owned(), teacher);
    other.push(changed.teacher_answers("teacher", "logits", "train"));
    let mut changed = key();
    changed.upstream.get_mut("train").expect("there").digest = Digest::of_bytes(b"others");
    other.push(changed.teacher_answers("teacher", "logits", "train"));
    let mut changed = key();
    changed.semantics = 2;
    other.push(changed.teacher_answers("teacher", "logits", "train"));
    assert!(other.iter().all(|key| *key != same));
}

#[test]
fn a_fingerprint_never_changes_by_itself() {
    // Stored results are found by it: another value here orphans every one of them.
    assert_eq!(
        key().fingerprint().as_str(),
        "31d003e1c2363648f881b8637d58816c"
    );
}

#[test]
fn every_part_of_a_key_counts() {
    let first = key().fingerprint();
    let differs = |change: &dyn Fn(&mut Key)| {
        let mut changed = key();
        change(&mut changed);
        assert_ne!(changed.fingerprint(), first, "{changed:?}");
    };
    differs(&|key| key.kind = "td-phase2".to_owned());
    differs(&|key| key.semantics = 2);
    differs(&|key| {
        key.settings.insert("epochs".to_owned(), 4_u32.into());
    });
    differs(&|key| {
        key.settings.insert("epochs".to_owned(), Value::Float(3.0));
    });
    differs(&|key| {
        key.settings.remove("epochs");
    });
    differs(&|key| {
        key.inputs
            .insert("teacher/config.json".to_owned(), Digest::of_bytes(b""));
    });
    differs(&|key| {
        let part = key.upstream.remove("train").expect("present");
        key.upstream.insert("dev".to_owned(), part);
    });
}

#[test]
fn where_the_same_bytes_came_from_does_not_count() {
    let mut changed = key();
    for part in changed.upstream.values_mut() {
        part.artifact = "elsewhere/model".to_owned();
    }
    assert_eq!(changed.fingerprint(), key().fingerprint());
}

#[test]
fn the_last_bit_of_a_float_counts_and_survives_json() {
    let mut changed = key();
    let next = f64::from_bits(5e-5_f64.to_bits() + 1);
    changed
        .settings
        .insert("learning-rate".to_owned(), next.into());
    assert_ne!(changed.fingerprint(), key().fingerprint());
    let text = serde_json::to_string(&changed).expect("written");
    let back: Key = serde_json::from_str(&text).expect("read");
    assert_eq!(back, changed);
}

#[test]
fn values_read_as_the_file_writes_them() {
    assert_eq!(Value::from(5e-5).to_string(), "0.00005");
    assert_eq!(Value::from([0_usize, 2].as_slice()).to_string(), "[0, 2]");
    let whole: Value = serde_json::from_str("1.0").expect("read");
    assert_eq!(whole, Value::Float(1.0));
}
