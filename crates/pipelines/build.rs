//! Embeds the Python runner, so that the binary needs no file beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../runner").canonicalize()?;
    let mut files = vec!["requirements.txt".to_owned()];
    for entry in fs::read_dir(root.join("qd_runner"))? {
        let name =
            entry?.file_name().into_string().map_err(|_| io::Error::other("a file name is no UTF-8"))?;
        if name.ends_with(".py") {
            files.push(format!("qd_runner/{name}"));
        }
    }
    files.sort();
    let mut source = String::from("pub(super) const FILES: &[(&str, &str)] = &[\n");
    for name in &files {
        let path = root.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        let _ = writeln!(source, "    ({name:?}, include_str!({path:?})),");
    }
    source.push_str("];\n");
    // Noticed with the next change of a file: a new module is imported by an old one. The folder itself is not
    // watched, because Python writes its cache there.
    fs::write(Path::new(&variable("OUT_DIR")?).join("runner_files.rs"), source)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
