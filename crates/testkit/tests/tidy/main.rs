//! The rules of the repository that no compiler checks. Each rule is a file; what breaks it is named with its place.
//!
//! They look at what git has or would take, so build output and what .gitignore names are out of sight.

#![allow(clippy::unwrap_used, clippy::panic, reason = "everything here is a test")]

mod codes;
mod edges;
mod files;
mod guarantees;
mod names;
mod text;
mod tree;
mod workspace;

/// Fails with every place that breaks the rule, not only with the first.
fn assert_tidy(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
