use super::*;
use crate::model::tensor::Dtype;

/// `{name: tensor}` of shape [2, 3] in a storage of 6 floats called `0`, as `torch.save` writes it.
const ONE_TENSOR: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01\
    ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03\
    ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07Q\
    K\x00K\x02K\x03\x86q\x08K\x03K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.";

#[test]
fn a_tensor_is_described_as_saved() {
    let found = tensors(ONE_TENSOR).unwrap();
    let expected = PickledTensor {
        key: "0".into(),
        dtype: Dtype::F32,
        numbers: 6,
        offset: 0,
        shape: vec![2, 3],
        strides: vec![3, 1],
    };
    assert_eq!(found, BTreeMap::from([("a".to_owned(), expected)]));
}

#[test]
fn a_function_that_tensors_do_not_need_is_refused_by_name() {
    let call = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
    let reason = tensors(call).unwrap_err();
    assert!(reason.starts_with("refers to `posix.system`"), "{reason}");

    let by_stack = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.";
    assert!(
        tensors(by_stack)
            .unwrap_err()
            .starts_with("refers to `builtins.eval`")
    );

    let nested = b"\x80\x02ctorch\nload\n.";
    assert!(
        tensors(nested)
            .unwrap_err()
            .starts_with("refers to `torch.load`")
    );
}

#[test]
fn a_name_with_control_characters_is_shown_escaped() {
    let reason = tensors(b"c\x1b[2Jos\nsystem\n.").unwrap_err();
    assert!(reason.contains("`\\u{1b}[2Jos.system`"), "{reason}");
}

#[test]
fn opcodes_that_make_objects_are_refused() {
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID.
    for opcode in [b'i', b'o', 0x81, 0x92, 0x82, b'P'] {
        let reason = tensors(&[0x80, 2, b'(', opcode]).unwrap_err();
        assert!(reason.starts_with("uses opcode"), "{reason}");
    }
}

#[test]
fn anything_but_a_dictionary_of_tensors_is_refused() {
    assert_eq!(
        tensors(b"\x80\x02K\x01.").unwrap_err(),
        "contains an integer, not a dictionary of tensors"
    );
    let epoch = b"\x80\x02}X\x05\x00\x00\x00epochK\x03s.";
    assert_eq!(
        tensors(epoch).unwrap_err(),
        "contains an integer under `epoch`, not a tensor"
    );
}

#[test]
fn nesting_of_any_depth_is_read_without_recursion() {
    let mut deep = b"\x80\x02}X\x01\x00\x00\x00a)".to_vec();
    deep.resize(deep.len() + 1_000_000, 0x85);
    deep.extend_from_slice(b"s.");
    assert_eq!(
        tensors(&deep).unwrap_err(),
        "contains a tuple under `a`, not a tensor"
    );
}

#[test]
fn no_cut_or_changed_byte_makes_the_machine_panic() {
    for length in 0..ONE_TENSOR.len() {
        assert!(tensors(&ONE_TENSOR[..length]).is_err(), "{length}");
    }
    let mut changed = ONE_TENSOR.to_vec();
    for at in 0..changed.len() {
        let byte = changed[at];
        for other in 0..=u8::MAX {
            changed[at] = other;
            drop(tensors(&changed));
        }
        changed[at] = byte;
    }
}

#[test]
fn long_integers_keep_their_sign() {
    for (bytes, size) in [
        (&b"\x8a\x00"[..], Ok(0)),
        (b"\x8a\x02\x00\x01", Ok(256)),
        (b"\x8a\x05\x00\x00\x00\x80\x00", Ok(1 << 31)),
        (b"\x8a\x01\xff", Err("contains a negative size".to_owned())),
    ] {
        let program = [bytes, b"."].concat();
        let mut machine = Machine {
            input: Input(&program),
            ..Machine::default()
        };
        let Ok(Value::Int(int)) = machine.run() else {
            panic!("{bytes:?}")
        };
        assert_eq!(super::size(int), size);
    }
}
