//! Where items come from and where results go.
//!
//! "Exactly one of" is a rule and not a type here, so that an editor can show all choices as fields and a
//! violation can name the fields that are too many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Input and output of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Io {
    /// Exactly one source of items; none when serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// At most one way to keep results.
    #[serde(default)]
    pub output: Output,
}

/// A source of items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Input {
    /// Each file is an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesInput>,
    /// Each line of a file is an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<JsonlInput>,
    /// The items themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Value>>,
    /// A function of the pipeline's code that returns or yields the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callable: Option<CallableInput>,
}

/// Files as items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FilesInput {
    /// Which files; `**` goes through folders. Relative to the pipeline's code.
    #[schemars(length(min = 1), example = &"data/**/*.txt")]
    pub glob: String,
}

/// Lines of JSON as items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct JsonlInput {
    /// The file. Relative to the pipeline's code.
    #[schemars(length(min = 1), example = &"data/articles.jsonl")]
    pub path: String,
}

/// A function as source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct CallableInput {
    /// The function, as `package.module:function`.
    #[schemars(example = &"curate.inputs:articles")]
    pub uses: String,
    /// Its keyword arguments.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// A way to keep results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Output {
    /// Each result a line of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<JsonlOutput>,
    /// Each result a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesOutput>,
    /// Results are counted and dropped. So it is also when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<NoOutput>,
}

/// Results as lines of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct JsonlOutput {
    /// The file, in the run's output folder.
    #[schemars(length(min = 1), example = &"results.jsonl")]
    pub path: String,
}

/// Results as files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FilesOutput {
    /// Folder in the run's output folder.
    #[serde(default = "files_dir")]
    #[schemars(length(min = 1))]
    pub dir: String,
    /// Field of a result that holds the file's name.
    #[serde(default = "name_field")]
    #[schemars(length(min = 1))]
    pub name_field: String,
    /// Field of a result that holds its text or bytes.
    #[serde(default = "content_field")]
    #[schemars(length(min = 1))]
    pub content_field: String,
}

fn files_dir() -> String {
    "files".to_owned()
}

fn name_field() -> String {
    "name".to_owned()
}

fn content_field() -> String {
    "content".to_owned()
}

/// No results are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct NoOutput {}
