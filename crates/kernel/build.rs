//! Lists the migration files, so that a new one is part of the binary without a line of code.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let mut text = String::new();
    for backend in ["sqlite", "postgres"] {
        let folder = Path::new(&root).join("migrations").join(backend);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let _ = writeln!(text, "const {}: &[(&str, &str)] = &[", backend.to_uppercase());
        for name in names.iter().filter(|name| name.ends_with(".sql")) {
            let file = folder.join(name);
            println!("cargo::rerun-if-changed={}", file.display());
            let _ = writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string());
        }
        text.push_str("];\n");
    }
    fs::write(Path::new(&out).join("migrations.rs"), text)
}
