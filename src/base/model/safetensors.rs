//! A file of safetensors: a header of JSON with the places of the tensors, and their bytes.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::Metadata;

use super::error::ModelError;
use super::tensor::{Dtype, Entry, Part};

/// Names, types and places of the tensors.
///
/// Reads the header. The crate checks that the tensors follow each other without gap or
/// overlap; the sum with the header's length is made here, checked, since a header may lie.
pub(super) fn read_entries(path: &Path, map: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    let damaged = |reason: String| ModelError::damaged(path, reason);
    let Some((length, rest)) = map.split_first_chunk::<8>() else {
        return Err(damaged("it is too short for a header".to_owned()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(damaged(format!(
            "its header should be {length} bytes long, but the file ends after {}",
            rest.len()
        )));
    };
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("its header is unreadable: {error}")))?;
    let tensors: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
    let end = tensors
        .values()
        .map(|info| info.data_offsets.1)
        .max()
        .unwrap_or(0);
    if end != data.len() {
        return Err(damaged(format!(
            "its header describes {end} bytes of tensors, but {} follow",
            data.len()
        )));
    }
    let entries = tensors.into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let part = Part {
            file: 0,
            start: 8 + length + start,
            len: end.saturating_sub(start),
            checked: None,
        };
        let entry = Entry {
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            parts: vec![part],
            regions: None,
            strides: None,
        };
        (name, entry)
    });
    Ok(entries.collect())
}

fn dtype(dtype: safetensors::Dtype) -> Dtype {
    use safetensors::Dtype as Stored;
    match dtype {
        Stored::F64 => Dtype::F64,
        Stored::F32 => Dtype::F32,
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::I64 => Dtype::I64,
        Stored::BOOL => Dtype::Other { name: "bool" },
        Stored::U8 => Dtype::Other { name: "u8" },
        Stored::I8 => Dtype::Other { name: "i8" },
        Stored::I32 => Dtype::Other { name: "i32" },
        _ => Dtype::Other {
            name: "a type that is not supported",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::model::Weights;
    use crate::model::testing::{file_of, fixture, open_bytes};

    fn damage(bytes: &[u8]) -> String {
        match open_bytes(bytes) {
            Err(ModelError::Damaged { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_at_every_length() {
        let whole = fs::read(fixture("bert-tiny/model.safetensors")).unwrap();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        for length in (0..64).chain((64..whole.len()).step_by(4001)) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Weights::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, ModelError::Damaged { .. }),
                "{length}: {error}"
            );
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
    }

    #[test]
    fn a_header_that_lies_is_an_error() {
        let tensor = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        assert!(open_bytes(&file_of(&tensor("[2]", "[0,8]"), 8)).is_ok());
        for (shape, offsets, data) in [
            ("[2]", "[0,8]", 7),
            ("[2]", "[0,8]", 9),
            ("[3]", "[0,8]", 8),
            ("[2]", "[4,12]", 12),
            ("[2]", "[8,0]", 8),
            ("[4294967296,4294967296,4294967296]", "[0,8]", 8),
            ("[4611686018427387903]", "[0,18446744073709551612]", 8),
            ("[18446744073709551616]", "[0,8]", 8),
            ("[-2]", "[0,8]", 8),
        ] {
            damage(&file_of(&tensor(shape, offsets), data));
        }
        let mut endless = file_of("{}", 0);
        endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(
            damage(&endless).contains("its header should be"),
            "{}",
            damage(&endless)
        );
        assert!(damage(&file_of("{\"a\":", 8)).contains("header is unreadable"));
        assert!(damage(&file_of("\u{0}", 8)).contains("header is unreadable"));
    }
}
