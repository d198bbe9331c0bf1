use super::*;
use crate::model::family::Family;
use crate::model::names::canonical;
use crate::model::testing::{file_of, fixture, open_bytes};

#[test]
fn a_pickle_and_a_safetensors_file_of_one_model_hold_the_same_numbers() {
    let new = Weights::open(&fixture("bert-tiny")).unwrap();
    let old = Weights::open(&fixture("bert-tiny-bin")).unwrap();
    let mut compared = 0;
    for name in old.names() {
        let Some(known) = canonical(name, Family::bert()) else {
            assert_eq!(old.dtype(name), Some(Dtype::I64));
            continue;
        };
        assert_eq!(old.shape(name), new.shape(&known), "{name}");
        assert_eq!(
            old.to_f32(name).unwrap(),
            new.to_f32(&known).unwrap(),
            "{name}"
        );
        compared += 1;
    }
    assert_eq!(compared, new.names().count());
}

#[test]
fn integers_where_floats_are_needed_are_named() {
    let header = r#"{"steps":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#;
    let weights = open_bytes(&file_of(header, 8)).unwrap();
    let error = weights.to_f32("steps").unwrap_err().to_string();
    assert!(
        error.contains("`steps`") && error.contains("i32"),
        "{error}"
    );
}

#[test]
fn a_number_that_is_not_finite_is_named_with_its_tensor() {
    let header = |dtype: &str, bytes: usize| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"b":{{"dtype":"{dtype}","shape":[2],"data_offsets":[4,{}]}}}}"#,
            4 + bytes
        )
    };
    let check = |dtype: &str, numbers: &[u8]| {
        let mut file = file_of(&header(dtype, numbers.len()), 4);
        file.extend_from_slice(numbers);
        open_bytes(&file).unwrap().check_finite()
    };
    let f32s = |numbers: [f32; 2]| numbers.map(f32::to_le_bytes).concat();
    assert!(check("F32", &f32s([1.0, f32::MAX])).is_ok());
    for (dtype, bytes, value) in [
        ("F32", f32s([0.0, f32::NAN]), "NaN"),
        ("F32", f32s([f32::NEG_INFINITY, 0.0]), "-inf"),
        ("F16", vec![0, 0, 0, 0x7c], "inf"),
        ("BF16", vec![0xc0, 0x7f, 0, 0], "NaN"),
        ("F64", [0.0, f64::NAN].map(f64::to_le_bytes).concat(), "NaN"),
    ] {
        let error = check(dtype, &bytes).unwrap_err().to_string();
        assert!(error.starts_with("tensor `b` in"), "{error}");
        assert!(
            error.ends_with(&format!("contains {value}")),
            "{dtype}: {error}"
        );
    }
    // Integers are no concern.
    assert!(check("I32", &[255; 8]).is_ok());
}
