//! Rows that a tokenizer of the student's own splits otherwise.

use super::*;

#[test]
fn rows_that_the_students_tokenizer_splits_otherwise_are_counted() {
    let (folder, students) = (folder(), in_mpnets_form(|_| true));
    let train =
        "sentence\tlabel\na good film\t1\nbad film , goods\t0\na [SEP] film\t1\nbad <s> .\t0\n";
    let mut settings = settings(&folder, train, Some(DEV));
    settings.students = Some(students.path().to_owned());
    let report = prepare(&settings, &folder).unwrap();
    let told = |report: &PrepReport| {
        let warnings = report.warnings.iter().cloned();
        warnings
            .filter(|it| it.contains("own tokenizer"))
            .collect::<Vec<_>>()
    };
    let [warning] = &told(&report)[..] else {
        panic!("{:?}", report.warnings)
    };
    assert!(
        warning.starts_with(
            "the student's own tokenizer splits 2 of 6 rows into other tokens than the teacher's, such as `"
        ) && warning.contains("train.tsv:4`"),
        "{warning}"
    );
    // Without such a student nobody asks.
    settings.students = None;
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    assert!(told(&prepare(&settings, &folder).unwrap()).is_empty());
}
