//! Embeds the built UI (`ui/dist`), each file compressed once here instead of on every request. Without a built UI the
//! server still compiles and says so where the UI would be.

#![allow(clippy::expect_used, reason = "a build script that cannot go on should stop")]

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

fn main() {
    let dist = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../ui/dist");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-env-changed=QD_GIT_SHA");
    let mut files = vec![];
    walk(&dist, &dist, &mut files);
    files.sort();
    let mut table = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for (index, path) in files.iter().enumerate() {
        let packed = out.join(format!("ui-{index}.gz"));
        let body = fs::read(dist.join(path)).expect("read a file of the built UI");
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(&body).expect("compress into memory");
        fs::write(&packed, encoder.finish().expect("compress into memory")).expect("write to OUT_DIR");
        table.push_str(&format!("    ({path:?}, include_bytes!({:?})),\n", packed.display().to_string()));
    }
    table.push_str("];\n");
    fs::write(out.join("ui_files.rs"), table).expect("write to OUT_DIR");
}

/// Collects the paths below `dir`, relative to `root`; source maps and stamps stay out.
fn walk(root: &Path, dir: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(root, &path, files);
        } else if !name.starts_with('.')
            && !name.ends_with(".map")
            && let Ok(relative) = path.strip_prefix(root)
        {
            files.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
}
