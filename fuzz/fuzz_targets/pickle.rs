//! An archive of PyTorch opens or is refused, whatever its pickle says; nothing is executed and
//! nothing is written.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use tinyrun::model::Weights;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let mut file = tempfile::Builder::new()
        .suffix(".bin")
        .tempfile_in("/dev/shm")
        .expect("a file");
    if mode % 8 == 0 {
        // The archive itself.
        file.write_all(data).expect("written");
    } else {
        // A whole archive around the pickle: mutations would hardly ever make one.
        let mut archive = ZipWriter::new(file.as_file_mut());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file("archive/data.pkl", options).expect("begun");
        archive.write_all(data).expect("written");
        for storage in 0..4 {
            let name = format!("archive/data/{storage}");
            archive.start_file(name, options).expect("begun");
            archive.write_all(&[storage; 256]).expect("written");
        }
        archive.finish().expect("an archive");
    }
    let Ok(weights) = Weights::open_file(file.path()) else {
        return;
    };
    for name in weights.names() {
        let _ = weights.to_f32(name);
    }
});
