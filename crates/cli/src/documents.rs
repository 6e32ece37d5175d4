//! Documents on their way to the server: read from a file, a folder or standard input, sent as they are.
//!
//! The text goes out unchanged, so that the server's errors carry the author's own lines; several files are joined and
//! the lines mapped back. The one change is a code folder (`spec.runtime.code: ./code`), whose scalar is replaced in
//! place by `{"digest": …, "path": …}`. What is no YAML is sent as well: the server says best what is wrong with it.

pub mod code;
pub mod locate;

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::client::problem::{SourceFile, Sources};
use crate::failure::Failure;
use locate::Positions;

/// Where a folder of code may stand in a document: pipelines, and templates of stages.
const CODE_POINTERS: [&str; 2] = ["/spec/runtime/code", "/spec/code"];

/// All documents of one `apply`.
#[derive(Debug)]
pub struct Bundle {
    pub text: String,
    pub sources: Sources,
    pub folders: Vec<CodeFolder>,
}

/// A folder that a document names as its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFolder {
    /// As written in the document.
    pub written: String,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// The scalar in [`Bundle::text`].
    pub bytes: Range<usize>,
}

/// Reads every `-f` argument: a file, a folder (its `*.yaml`, `*.yml` and `*.json`, by name, not deeper) or `-`.
pub fn read(arguments: &[PathBuf]) -> Result<Bundle, Failure> {
    let mut bundle = Bundle { text: String::new(), sources: Sources::default(), folders: Vec::new() };
    for argument in arguments {
        if argument.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            bundle.add("standard input", text_of("standard input", bytes)?, Path::new("."));
        } else if argument.is_dir() {
            for file in documents_in(argument)? {
                bundle.add_file(&file)?;
            }
        } else {
            bundle.add_file(argument)?;
        }
    }
    Ok(bundle)
}

impl Bundle {
    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| Failure::local(format!("read {name}: {error}")))?;
        let base = path.parent().unwrap_or(Path::new("."));
        self.add(&name, text_of(&name, bytes)?, base);
        Ok(())
    }

    fn add(&mut self, name: &str, text: String, base: &Path) {
        if !self.text.is_empty() {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            if !begins_a_document(&text) {
                self.text.push_str("---\n");
            }
        }
        let offset = self.text.len();
        let documents = locate::positions(&text).unwrap_or_default();
        for (pointer, document) in CODE_POINTERS.iter().flat_map(|p| documents.iter().map(move |d| (p, d))) {
            self.folders.extend(folder(document, pointer, base, offset));
        }
        self.sources.files.push(SourceFile {
            name: name.to_owned(),
            first_line: self.text.matches('\n').count() + 1,
            lines: text.lines().count().max(1),
            documents: documents.into_iter().filter(|document| !document.is_empty()).collect(),
        });
        self.text.push_str(&text);
    }

    /// `file:line` of a line of the joined text.
    pub fn place(&self, line: usize) -> String {
        self.sources.place_of_line(line)
    }

    /// The text with every code folder replaced by `packed(folder)`, its digest.
    pub fn with_digests(&self, packed: impl Fn(&CodeFolder) -> Option<String>) -> String {
        let mut folders: Vec<&CodeFolder> = self.folders.iter().collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.bytes.start));
        let mut text = self.text.clone();
        for folder in folders {
            if let Some(digest) = packed(folder) {
                let reference = serde_json::json!({"digest": digest, "path": folder.written});
                text.replace_range(folder.bytes.clone(), &reference.to_string());
            }
        }
        text
    }
}

fn folder(document: &Positions, pointer: &str, base: &Path, offset: usize) -> Option<CodeFolder> {
    let scalar = document.scalar(pointer)?;
    if matches!(scalar.value.as_str(), "" | "~" | "null") {
        return None;
    }
    let bytes = offset + scalar.bytes.start..offset + scalar.bytes.end;
    Some(CodeFolder {
        written: scalar.value.clone(),
        path: base.join(&scalar.value).components().collect(),
        bytes,
    })
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::local_with_help(format!("{name}:{line}: the text is not UTF-8"), "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn documents_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fault = |error| Failure::local(format!("read the folder {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(fault)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(fault)?;
    files.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        path.is_file() && matches!(extension, "yaml" | "yml" | "json")
    });
    if files.is_empty() {
        return Err(Failure::local(format!("{} has no *.yaml, *.yml or *.json file", folder.display())));
    }
    files.sort();
    Ok(files)
}

/// Whether the text brings its own `---` (or a directive) before its first content.
fn begins_a_document(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    first.is_some_and(|line| line.starts_with("---") || line.starts_with('%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "kind: Pipeline\nmetadata: {name: a}\nspec:\n  runtime:\n    code: ./code   # mine\n";
    const SECOND: &str = "# two\n---\nkind: StageTemplate\nspec: {code: lib}\n---\nkind: Pipeline\nspec: {runtime: {code: {digest: 'sha256:1'}}}\n";

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_file_is_sent_as_it_is() {
        let folder = folder_with(&[("a.yaml", "kind: [\n")]);
        let bundle = read(&[folder.path().join("a.yaml")]).unwrap();
        assert_eq!(bundle.text, "kind: [\n");
        assert!(bundle.folders.is_empty());
    }

    #[test]
    fn code_folders_become_digests_and_nothing_else_changes() {
        let folder = folder_with(&[("1.yaml", FIRST), ("2.yml", SECOND), ("3.txt", "no")]);
        let bundle = read(&[folder.path().to_owned()]).unwrap();
        assert_eq!(bundle.text, format!("{FIRST}{SECOND}"));
        let paths: Vec<_> =
            bundle.folders.iter().map(|f| f.path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(paths, [Path::new("code"), Path::new("lib")]);
        let text = bundle.with_digests(|folder| Some(format!("sha256:{}", folder.written.len())));
        insta::assert_snapshot!(text, @r#"
        kind: Pipeline
        metadata: {name: a}
        spec:
          runtime:
            code: {"digest":"sha256:6","path":"./code"}   # mine
        # two
        ---
        kind: StageTemplate
        spec: {code: {"digest":"sha256:3","path":"lib"}}
        ---
        kind: Pipeline
        spec: {runtime: {code: {digest: 'sha256:1'}}}
        "#);
    }

    #[test]
    fn files_are_joined_so_that_lines_map_back() {
        let folder = folder_with(&[("a.yaml", "kind: A\nx: 1"), ("b.yaml", "kind: B\n")]);
        let bundle = read(&[folder.path().to_owned()]).unwrap();
        assert_eq!(bundle.text, "kind: A\nx: 1\n---\nkind: B\n");
        let lines: Vec<_> =
            bundle.sources.files.iter().map(|f| (f.first_line, f.lines, f.documents.len())).collect();
        assert_eq!(lines, [(1, 2, 1), (4, 1, 1)]);
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        let folder = folder_with(&[]);
        fs::write(folder.path().join("x.yaml"), b"a: 1\nb: \xff\n").unwrap();
        let failure = read(&[folder.path().join("x.yaml")]).unwrap_err();
        assert!(failure.to_string().ends_with("x.yaml:2: the text is not UTF-8"), "{failure}");
        assert!(read(&[folder.path().join("none.yaml")]).unwrap_err().to_string().contains("No such file"));
        fs::remove_file(folder.path().join("x.yaml")).unwrap();
        assert!(read(&[folder.path().to_owned()]).unwrap_err().to_string().contains("has no *.yaml"));
    }
}
