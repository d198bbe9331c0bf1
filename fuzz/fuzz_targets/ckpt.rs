//! A MindSpore checkpoint is a model or is refused; what opens gives tensors of the sizes it names.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use tinyrun::model::{Stated, Weights, load_stated};

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::Builder::new()
        .suffix(".ckpt")
        .tempfile_in("/dev/shm")
        .expect("a file");
    file.write_all(data).expect("written");
    if let Ok(weights) = Weights::open(file.path()) {
        for name in weights.names() {
            if let Ok(values) = weights.to_f32(name) {
                let shape = weights.shape(name).expect("it has one");
                assert_eq!(values.len(), shape.iter().product::<usize>());
            }
        }
    }
    let stated = Stated {
        num_attention_heads: Some(2),
        ..Stated::default()
    };
    if let Ok(model) = load_stated(file.path(), &stated) {
        assert!(model.config.hidden_size.is_multiple_of(2));
    }
});
