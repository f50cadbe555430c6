//! Writes the inputs that fuzzing begins with: `cargo run --bin seeds`, in `fuzz/`, fills `corpus/`.

use std::path::Path;

fn main() {
    for (number, (target, bytes)) in ghost_fuzz::seeds(Path::new("../t/golden")).into_iter().enumerate() {
        let folder = Path::new("corpus").join(target);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("seed-{number:03}")), bytes).expect("a seed");
    }
}
