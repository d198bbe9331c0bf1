//! What data preparation needs of the models and the file where the data are records.

use crate::data::{Longest, RecordFiles, RowRules};
use crate::document::Located;
use crate::stage::Place;

/// What rows must keep to: vocabulary, padding and segments of the model of `[teacher]`, and the length that
/// is set, or else the positions of both models.
pub(super) fn row_rules(place: &Place<'_>, max_seq_length: Option<&usize>) -> RowRules {
    let models = &place.inputs.models;
    let (teacher, student) = (&models.teacher, &models.student);
    let positions = teacher.longest_input().min(student.longest_input());
    RowRules {
        vocab_size: teacher.vocab_size,
        pad: u32::try_from(teacher.pad_token_id).unwrap_or(u32::MAX),
        has_second_segment: !teacher.family.token_types || teacher.type_vocab_size > 1,
        longest: max_seq_length.map_or(Longest::Positions(positions), |&it| Longest::Written(it)),
    }
}

/// The files of a role, as the user names them by `patterns`.
pub(super) fn files(place: &Place<'_>, role: &str, patterns: &[Located<String>]) -> RecordFiles {
    let root = place.layout.root();
    RecordFiles {
        files: place.files(role),
        is_alone: matches!(patterns, [path] if root.join(&**path).is_file()),
    }
}
