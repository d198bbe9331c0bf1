use super::*;

fn record() -> Record {
    let key = Key {
        kind: "td-phase1".to_owned(),
        semantics: 1,
        settings: BTreeMap::from([("learning-rate".to_owned(), 0.1_f64.into())]),
        inputs: BTreeMap::new(),
        upstream: BTreeMap::new(),
    };
    let file = |text: &str| Artifact {
        sha256: Digest::of_bytes(text.as_bytes()),
        size: text.len() as u64,
    };
    Record {
        format: FORMAT,
        fingerprint: key.fingerprint(),
        key,
        artifacts: BTreeMap::from([
            ("metrics.csv".to_owned(), file("step")),
            ("model/config.json".to_owned(), file("{}")),
            ("model/model.safetensors".to_owned(), file("weights")),
            // Begins as a folder beside it does.
            ("models.txt".to_owned(), file("names")),
        ]),
        started: DateTime::UNIX_EPOCH,
        finished: DateTime::UNIX_EPOCH,
        seconds: 0.0,
        resumed_from: None,
        tinyrun: "0.1.0".to_owned(),
        machine: None,
        git: None,
        summary: Summary::default(),
        experiment: String::new(),
    }
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let folder = tempfile::tempdir().expect("temp folder");
    assert_eq!(Record::read(folder.path()), None);
    record().write(folder.path()).expect("written");
    assert_eq!(Record::read(folder.path()), Some(record()));
    let text = fs::read_to_string(folder.path().join(RECORD)).expect("read");
    assert!(
        text.contains("\"started\": \"1970-01-01T00:00:00Z\""),
        "{text}"
    );
}

#[test]
fn a_record_of_another_format_or_with_another_key_is_no_record() {
    let folder = tempfile::tempdir().expect("temp folder");
    let mut later = record();
    later.format += 1;
    later.write(folder.path()).expect("written");
    assert_eq!(Record::read(folder.path()), None);
    let mut edited = record();
    edited.key.semantics = 7;
    edited.write(folder.path()).expect("written");
    assert_eq!(Record::read(folder.path()), None);
}

#[test]
fn a_record_whose_artifacts_lie_outside_its_folder_is_no_record() {
    let folder = tempfile::tempdir().expect("temp folder");
    for name in ["../other", "model/../../other", "/etc/passwd", "", "./x"] {
        let mut crafted = record();
        let artifact = crafted.artifacts["metrics.csv"];
        crafted.artifacts.insert(name.to_owned(), artifact);
        crafted.write(folder.path()).expect("written");
        assert_eq!(Record::read(folder.path()), None, "{name}");
    }
}

#[test]
fn a_folders_artifact_is_the_digest_of_what_lies_below_it() {
    let record = record();
    let expected = folder_digest([
        ("config.json", Digest::of_bytes(b"{}")),
        ("model.safetensors", Digest::of_bytes(b"weights")),
    ]);
    assert_eq!(record.artifact("model"), Some(expected));
    assert_eq!(
        record.artifact("metrics.csv"),
        Some(Digest::of_bytes(b"step"))
    );
    assert_eq!(record.artifact("last"), None);
}

#[test]
fn artifacts_are_listed_with_their_folders_and_without_record_and_log() {
    let folder = tempfile::tempdir().expect("temp folder");
    fs::create_dir_all(folder.path().join("model/deep")).expect("created");
    for name in [
        "record.json",
        "log.txt",
        "b",
        "model/deep/x",
        "model/log.txt",
    ] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    assert_eq!(
        list_artifacts(folder.path()).expect("listed"),
        ["b", "model/deep/x", "model/log.txt"]
    );
}
