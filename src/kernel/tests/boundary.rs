//! The FFI boundary: a wrong tensor is refused with the name of the argument, before a pointer is taken.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::{Device, Kind, Tensor};
use tinyrun_base::job::Relations;

use crate::dropout::DropoutMask;
use crate::fused::{self, Rule, Sparse};
use crate::native::relations::relations;
use crate::native::{
    Activation, EmbeddingLookup, QkvInput, Weights, attention, embeddings, linear, linear_norm,
    pack, squared_error,
};

const NONE: DropoutMask = DropoutMask {
    begin: 0,
    key: 0,
    dropped: 0,
    kept: 1.0,
};

fn zeros(size: &[i64]) -> Tensor {
    Tensor::zeros(size, (Kind::Float, Device::Cpu))
}

fn int64(numbers: &[i64]) -> Tensor {
    Tensor::from_slice(numbers)
}

/// What a call panics with.
fn refusal<T>(call: impl FnOnce() -> T) -> String {
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(call())));
    let panic = outcome.expect_err("a wrong argument is refused");
    let literal = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = panic.downcast_ref::<String>().cloned().or_else(literal);
    text.expect("a sentence")
}

/// What can be wrong with a tensor of fp32, and how its refusal ends.
fn wrong(tensor: &Tensor) -> Vec<(Tensor, String)> {
    let size = tensor.size();
    let mut longer = size.clone();
    longer[0] += 1;
    let mut nested = size.clone();
    nested.insert(0, 1);
    let mut gaps = size.clone();
    let last = gaps.len() - 1;
    gaps[last] *= 2;
    vec![
        (tensor.to_kind(Kind::Half), format!("is fp16 {size:?}")),
        (tensor.to_kind(Kind::Double), format!("is Double {size:?}")),
        (zeros(&longer), format!("is fp32 {longer:?}")),
        (tensor.view(&nested[..]), format!("is fp32 {nested:?}")),
        (
            zeros(&gaps).slice(-1, 0, gaps[last], 2),
            format!("is fp32 {size:?}, not contiguous"),
        ),
        (Tensor::new(), "is not given".to_owned()),
    ]
}

/// Asserts that `call` takes `right`, and refuses whatever is wrong with it under `name`.
fn assert_refuses<T>(name: &str, right: &Tensor, call: impl Fn(&Tensor) -> T) {
    drop(call(right));
    for (tensor, found) in wrong(right) {
        let told = refusal(|| call(&tensor));
        assert!(
            told.starts_with(&format!("argument `{name}` must be ")) && told.contains(&found),
            "{name}: {told}, expected {found}"
        );
    }
}

#[test]
fn a_linear_layer_names_the_argument() {
    let (x, weight, bias) = (zeros(&[5, 8]), zeros(&[6, 8]), zeros(&[6]));
    let call = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
        linear(x, &[(Weights::Trained(weight), bias)], Activation::Gelu)
    };
    assert_refuses("weight", &weight, |weight| call(&x, weight, &bias));
    // Its number of outputs is what the weight must have.
    for bias in [
        bias.to_kind(Kind::BFloat16),
        bias.view([6, 1]),
        Tensor::new(),
    ] {
        let told = refusal(|| call(&x, &weight, &bias));
        assert!(
            told.starts_with("argument `bias` must be contiguous fp32 [any] on the CPU, is "),
            "{told}"
        );
    }
    for (x, found) in [
        (
            x.to_kind(Kind::Int),
            "must be fp32 or bf16, is int32 [5, 8]",
        ),
        (
            zeros(&[1, 5, 8]),
            "must be contiguous fp32 [any, any] on the CPU, is fp32 [1, 5, 8]",
        ),
        (
            zeros(&[8, 5]).transpose(0, 1),
            "is fp32 [5, 8], not contiguous",
        ),
        (Tensor::new(), "must be fp32 or bf16, is not given"),
    ] {
        let told = refusal(|| call(&x, &weight, &bias));
        assert!(
            told.starts_with("argument `x` ") && told.contains(found),
            "{told}"
        );
    }
    let told = refusal(|| call(&zeros(&[5, 10]), &weight, &bias));
    assert_eq!(
        told,
        "argument `weight` must be contiguous fp32 [6, 10] on the CPU, is fp32 [6, 8]"
    );
    assert_eq!(
        refusal(|| linear(&x, &[], Activation::Nothing)),
        "several layers side by side are trained ones"
    );
}

#[test]
fn relations_name_the_argument() {
    let (student, teacher) = (zeros(&[5, 12]), zeros(&[5, 24]));
    let offsets = |ends: &[i32]| Tensor::from_slice(ends);
    let of = |heads| Relations {
        heads,
        weights: [1.0; 3],
    };
    let call = |student: &Tensor, teacher: &Tensor, ends: &[i32], heads| {
        relations(student, teacher, &offsets(ends), &of(heads))
    };
    drop(call(&student, &teacher, &[0, 2, 5], 2));
    for (told, expected) in [
        (
            refusal(|| call(&student, &zeros(&[4, 24]), &[0, 2, 5], 2)),
            "argument `teacher's qkv` must be contiguous fp32 [5, any] on the CPU, is fp32 [4, 24]",
        ),
        (
            refusal(|| call(&student, &teacher.to_kind(Kind::BFloat16), &[0, 2, 5], 2)),
            "argument `teacher's qkv` must be contiguous fp32 [5, any] on the CPU, is bf16 [5, 24]",
        ),
        (
            refusal(|| call(&student, &teacher, &[0, 2, 5], 3)),
            "argument `student's qkv` must be of 3 parts of 3 relation heads, is fp32 [5, 12]",
        ),
        (
            refusal(|| call(&student, &teacher, &[0, 6], 2)),
            "argument `offsets` must be offsets that rise from 0 to the 5 rows, is int32 [2]",
        ),
        (
            refusal(|| call(&student, &teacher, &[0, 3, 3, 5], 2)),
            "argument `offsets` must be offsets that rise from 0 to the 5 rows, is int32 [4]",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn another_layout_is_refused() {
    let x = zeros(&[5, 8]).to_mkldnn();
    let (weight, bias) = (zeros(&[6, 8]), zeros(&[6]));
    let layer = [(Weights::Trained(&weight), &bias)];
    let told = refusal(|| linear(&x, &layer, Activation::Nothing));
    assert!(told.contains("argument `x` must be contiguous fp32 [any, any] on the CPU, is fp32 [5, 8] in the layout Mkldnn"), "{told}");
}

#[test]
fn a_packed_weight_fits_its_layer_and_passes_no_gradient() {
    let (x, weight, bias) = (zeros(&[5, 8]), zeros(&[6, 8]), zeros(&[6]));
    let packed = pack(&weight, Kind::Float);
    let call = |x: &Tensor, packed: &Tensor| {
        linear(x, &[(Weights::Packed(packed), &bias)], Activation::Nothing)
    };
    drop(call(&x, &packed));
    let told = refusal(|| call(&zeros(&[5, 10]), &packed));
    assert_eq!(
        told,
        "argument `packed weight` must be contiguous fp32 [640] on the CPU, is fp32 [512]"
    );
    let told = refusal(|| call(&x, &packed.to_kind(Kind::BFloat16)));
    assert!(told.contains("is bf16 [512]"), "{told}");
    let leaf = x.set_requires_grad(true);
    let output = call(&leaf, &packed).sum(Kind::Float);
    let told = refusal(|| Tensor::run_backward(&[&output], &[&leaf], false, false));
    assert!(
        told.contains("argument `weight` must be a trained one where a gradient is wanted"),
        "{told}"
    );
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_weights_that_are_not_prepacked_are_refused() {
    // A frozen teacher of bf16 that nobody prepacked: its weights were read as fp32, and its outputs were NaN.
    let half = |size: &[i64]| zeros(size).to_kind(Kind::BFloat16);
    let bias = zeros(&[6]);
    let call = |weight: &Tensor| {
        linear(
            &half(&[5, 8]),
            &[(Weights::Trained(weight), &bias)],
            Activation::Nothing,
        )
    };
    assert_eq!(
        refusal(|| call(&half(&[6, 8]))),
        "argument `weight` must be contiguous fp32 [6, 8] on the CPU, is bf16 [6, 8]"
    );
    let odd = zeros(&[7, 8]);
    let told = refusal(|| {
        linear(
            &half(&[5, 8]),
            &[(Weights::Trained(&odd), &zeros(&[7]))],
            Activation::Nothing,
        )
    });
    assert!(
        told.contains("must be of even sizes in a model of bf16, is fp32 [7, 8]"),
        "{told}"
    );
}

#[test]
fn a_layer_with_a_norm_names_the_argument() {
    let (x, weight, bias) = (zeros(&[5, 8]), zeros(&[6, 8]), zeros(&[6]));
    let (residual, gamma, beta) = (zeros(&[5, 6]), zeros(&[6]), zeros(&[6]));
    let call = |residual: &Tensor, gamma: &Tensor, beta: &Tensor| {
        let layer = (Weights::Trained(&weight), &bias);
        linear_norm(&x, layer, residual, (gamma, beta, 1e-12), NONE)
    };
    assert_refuses("residual", &residual, |residual| {
        call(residual, &gamma, &beta)
    });
    assert_refuses("gamma", &gamma, |gamma| call(&residual, gamma, &beta));
    assert_refuses("beta", &beta, |beta| call(&residual, &gamma, beta));
}

#[test]
fn a_squared_error_names_the_argument() {
    let (x, weight, bias) = (zeros(&[5, 8]), zeros(&[6, 8]), zeros(&[6]));
    assert_refuses("target", &zeros(&[5, 6]), |target| {
        squared_error(&x, (&weight, &bias), target)
    });
}

#[test]
fn attention_names_the_argument() {
    let offsets = Tensor::from_slice(&[0_i32, 3, 5]);
    let all = zeros(&[5, 24]);
    let call = |looked: QkvInput, offsets: &Tensor, heads, teacher: Option<&Tensor>| {
        attention(&looked, offsets, heads, NONE, teacher, None, true)
    };
    let of_all = |heads| call(QkvInput::All(all.shallow_clone()), &offsets, heads, None);
    assert_eq!(of_all(2).scores.size(), [2 * (9 + 4)]);
    for heads in [0, -1, 3] {
        let told = refusal(|| of_all(heads));
        assert!(
            told.starts_with(&format!(
                "argument `qkv` must be of 3 parts of {heads} heads, is "
            )),
            "{told}"
        );
    }
    let teacher = zeros(&[26]);
    assert_refuses("teacher's scores", &teacher, |teacher| {
        call(
            QkvInput::All(all.shallow_clone()),
            &offsets,
            2,
            Some(teacher),
        )
    });
    assert_refuses("bias", &zeros(&[2, 5]), |bias| {
        let looked = QkvInput::All(all.shallow_clone());
        attention(&looked, &offsets, 2, NONE, None, Some(bias), true)
    });
    for (distances, found) in [(6, "[2, 6]"), (3, "[2, 3]")] {
        let bias = zeros(&[2, distances]);
        let looked = || QkvInput::All(all.shallow_clone());
        let told = refusal(|| attention(&looked(), &offsets, 2, NONE, None, Some(&bias), true));
        let expected = "argument `bias` must be of an odd number of distances, at least 5, is ";
        assert!(told.starts_with(expected) && told.contains(found), "{told}");
    }
    let rest = zeros(&[5, 16]);
    assert_refuses("query", &zeros(&[2, 8]), |query| {
        let looked = QkvInput::First(query.shallow_clone(), rest.shallow_clone());
        call(looked, &offsets, 2, None)
    });
}

#[test]
fn offsets_rise_from_the_first_row_to_the_last() {
    let all = zeros(&[5, 24]);
    let call = |offsets: &Tensor| {
        attention(
            &QkvInput::All(all.shallow_clone()),
            offsets,
            2,
            NONE,
            None,
            None,
            true,
        )
    };
    for (offsets, found) in [
        (&[0_i32, 3][..], "is 0 to 3"),
        (&[1, 5], "is 1 to 5"),
        (&[0, 6], "is 0 to 6"),
        (&[0], "is 0 to 0"),
        (&[], "is empty"),
        (&[0, 3, 3, 5], "is 3 after 3"),
        (&[0, 7, 5], "is 7 after 0"),
        (&[0, i32::MAX, 5], "is 2147483647 after 0"),
        (&[0, 3, i32::MIN, 5], "is -2147483648 after 3"),
        (&[0, -2, 5], "is -2 after 0"),
    ] {
        let told = refusal(|| call(&Tensor::from_slice(offsets)));
        let expected =
            format!("argument `offsets` must be offsets that rise from 0 to the 5 rows, {found}");
        assert_eq!(told, expected);
    }
    let told = refusal(|| call(&int64(&[0, 5])));
    assert!(
        told.contains("must be contiguous int32 [any] on the CPU, is int64 [2]"),
        "{told}"
    );
}

#[test]
fn embeddings_name_the_argument() {
    let tables = [zeros(&[9, 8]), zeros(&[2, 8]), zeros(&[4, 8])];
    let ids = [int64(&[8, 0, 3]), int64(&[0, 1, 1]), int64(&[0, 1, 2])];
    let (gamma, beta) = (zeros(&[8]), zeros(&[8]));
    let call = |tables: [&Tensor; 3], ids: [&Tensor; 3], gamma: &Tensor| {
        let take = |i: usize| EmbeddingLookup {
            table: tables[i],
            rows: ids[i],
        };
        let norm = (gamma, &beta, 1e-12);
        embeddings(take(0), -1, take(1), take(2), norm, NONE, Kind::Float)
    };
    let (all, taken) = (tables.each_ref(), ids.each_ref());
    assert_refuses("gamma", &gamma, |gamma| call(all, taken, gamma));
    let told = refusal(|| call([&zeros(&[9, 6]), all[1], all[2]], taken, &gamma));
    assert!(
        told.starts_with("argument `segments` must be contiguous fp32 [any, 6]"),
        "{told}"
    );
    let told = refusal(|| {
        call(
            [&all[0].to_kind(Kind::BFloat16), all[1], all[2]],
            taken,
            &gamma,
        )
    });
    assert!(
        told.starts_with("argument `words` must be contiguous fp32 [any, any]"),
        "{told}"
    );
    for (place, name, table, rows) in [
        (0, "ids", "words", 9),
        (1, "segment ids", "segments", 2),
        (2, "position ids", "positions", 4),
    ] {
        for id in [rows, -1, i64::MAX, i64::MIN] {
            let wrong = int64(&[0, id, 0]);
            let mut taken = taken;
            taken[place] = &wrong;
            assert_eq!(
                refusal(|| call(all, taken, &gamma)),
                format!(
                    "argument `{name}` must be below the {rows} rows of {table}, is {id} for token 1"
                )
            );
        }
        if place > 0 {
            let few = int64(&[0, 0]);
            let mut taken = taken;
            taken[place] = &few;
            let told = refusal(|| call(all, taken, &gamma));
            assert_eq!(
                told,
                format!("argument `{name}` must be contiguous int64 [3] on the CPU, is int64 [2]")
            );
        }
    }
}

#[test]
fn an_update_names_the_argument_and_changes_nothing() {
    let rule = Rule {
        clip: 1.0,
        learning_rate: 0.5,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        decay: 0.1,
        bias_correction: None,
    };
    let ones = || Tensor::ones([4, 3], (Kind::Float, Device::Cpu));
    let gradient = ones();
    assert_refuses("gradient", &gradient, |gradient| {
        let (mut p, mut m, mut v) = (ones(), zeros(&[4, 3]), zeros(&[4, 3]));
        fused::adam(&mut p, (gradient, None), &mut m, &mut v, &rule);
    });
    for (name, moments) in [("first moment", [3, 4]), ("second moment", [4, 3])] {
        let (mut p, mut m, mut v) = (ones(), zeros(&moments), zeros(&[4, 4]));
        let told = refusal(|| fused::adam(&mut p, (&gradient, None), &mut m, &mut v, &rule));
        assert!(
            told.starts_with(&format!("argument `{name}` must be contiguous fp32 [4, 3]")),
            "{told}"
        );
    }
    for (rows, flags, expected) in [
        (
            &[0_i64, 4][..],
            4,
            "argument `rows` must be below the 4 rows of the table, is 4",
        ),
        (
            &[-1, 2],
            4,
            "argument `rows` must be below the 4 rows of the table, is -1",
        ),
        (
            &[1, 2],
            3,
            "argument `moved` must be 4 flags, one per row, is 3",
        ),
        (
            &[1],
            4,
            "argument `gradient` must be contiguous fp32 [1, 3] on the CPU, is fp32 [2, 3]",
        ),
    ] {
        let (mut p, mut m, mut v) = (ones(), zeros(&[4, 3]), zeros(&[4, 3]));
        let mut moved = vec![0; flags];
        let told = refusal(|| {
            let moved = &mut moved;
            let sparse = Sparse { rows, moved };
            let gradient = (&gradient.narrow(0, 0, 2), Some(sparse));
            fused::adam(&mut p, gradient, &mut m, &mut v, &rule);
        });
        assert_eq!(told, expected);
        assert_eq!(p, ones());
    }
    let told = refusal(|| fused::squared_sum(&ones().transpose(0, 1)));
    assert!(told.ends_with("is fp32 [3, 4], not contiguous"), "{told}");
}
