//! A file of weights opens or is refused; what opens gives tensors of the sizes it names.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use tinyrun::model::Weights;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::Builder::new()
        .suffix(".safetensors")
        .tempfile_in("/dev/shm")
        .expect("a file");
    file.write_all(data).expect("written");
    let Ok(weights) = Weights::open_file(file.path()) else {
        return;
    };
    for name in weights.names() {
        if let Ok(values) = weights.to_f32(name) {
            let shape = weights.shape(name).expect("it has one");
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
});
