//! How a command names what it works on: `kind/name`, `kind name`, `curate#42`, an id.
//!
//! Kinds come from the server's registry, so a kind that the server knows needs no line here. Runs, jobs, plans, engines and
//! kinds themselves are no kinds of resources but can be listed the same way.

use serde_json::Value;
use uuid::Uuid;

use crate::client::shapes::{Kind, Page, Run};
use crate::client::{Client, segment};
use crate::failure::Failure;

/// What can follow `qd get`.
#[derive(Debug, Clone)]
pub enum Noun {
    Resource(Kind),
    Runs,
    Jobs,
    Plans,
    Engines,
    Kinds,
}

/// Reads the noun; asks the server for its kinds only when the word is none of the fixed ones.
pub async fn noun(client: &Client, word: &str) -> Result<Noun, Failure> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "run" | "runs" => Noun::Runs,
        "job" | "jobs" => Noun::Jobs,
        "plan" | "plans" => Noun::Plans,
        "engine" | "engines" => Noun::Engines,
        "kind" | "kinds" => Noun::Kinds,
        _ => Noun::Resource(kind(client, word).await?),
    })
}

/// Finds a kind by its plural, its singular or its document name, in any case.
pub async fn kind(client: &Client, word: &str) -> Result<Kind, Failure> {
    let kinds = client.fetch::<Page<Kind>>("/api/v1/kinds").await?.items;
    pick_kind(kinds, word)
}

fn pick_kind(kinds: Vec<Kind>, word: &str) -> Result<Kind, Failure> {
    let wanted = word.to_ascii_lowercase();
    let mut known: Vec<String> = kinds.iter().map(|kind| kind.plural.clone()).collect();
    let matches = |kind: &Kind| {
        let plural = kind.plural.to_ascii_lowercase();
        wanted == plural || wanted == kind.kind.to_ascii_lowercase() || format!("{wanted}s") == plural
    };
    kinds.into_iter().find(matches).ok_or_else(|| {
        known.extend(["runs", "jobs", "plans", "engines", "kinds"].map(str::to_owned));
        Failure::usage(format!("{word:?} is no kind; there are: {}", known.join(", ")))
    })
}

/// Splits `kind/name` or `kind name`.
pub fn split(words: &[String]) -> Result<(&str, &str), Failure> {
    let pair = match words {
        [one] => one.split_once('/'),
        [kind, name] if !kind.contains('/') => Some((kind.as_str(), name.as_str())),
        _ => None,
    };
    pair.filter(|(kind, name)| !kind.is_empty() && !name.is_empty()).ok_or_else(|| {
        Failure::usage(format!("{:?} names nothing: write kind/name, like pipelines/curate", words.join(" ")))
    })
}

/// A resource as a command addresses it.
#[derive(Debug, Clone)]
pub struct Target {
    pub kind: Kind,
    pub name: String,
}

impl Target {
    pub async fn parse(client: &Client, words: &[String]) -> Result<Self, Failure> {
        let (word, name) = split(words)?;
        Ok(Self { kind: kind(client, word).await?, name: name.to_owned() })
    }

    /// `/api/v1/pipelines/curate` plus `rest`.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/{}/{}{rest}", segment(&self.kind.plural), segment(&self.name))
    }

    pub fn label(&self) -> String {
        format!("{}/{}", self.kind.plural, self.name)
    }
}

/// How a run was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunName {
    /// An id or a reference like `curate#42`: the server takes both.
    Direct(String),
    /// `pipelines/curate`: its newest run.
    NewestOf(String, String),
}

pub fn run_name(text: &str) -> Result<RunName, Failure> {
    let bare = text.strip_prefix("runs/").or_else(|| text.strip_prefix("run/")).unwrap_or(text);
    let numbered = |text: &str| {
        text.rsplit_once('#').is_some_and(|(name, number)| !name.is_empty() && number.parse::<u64>().is_ok())
    };
    if Uuid::parse_str(bare).is_ok() || (numbered(bare) && !bare.contains('/')) {
        return Ok(RunName::Direct(bare.to_owned()));
    }
    match bare.split_once('/') {
        Some((_, reference)) if numbered(reference) => Ok(RunName::Direct(reference.to_owned())),
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('#') => {
            Ok(RunName::NewestOf(kind.to_owned(), name.to_owned()))
        }
        _ => Err(Failure::usage(format!(
            "{text:?} names no run: write its reference (curate#42), its id, or pipelines/curate for the newest one"
        ))),
    }
}

/// Reads the run that `text` names, with the server's own JSON beside it.
pub async fn run(client: &Client, text: &str) -> Result<(Run, Value), Failure> {
    let reference = match run_name(text)? {
        RunName::Direct(reference) => reference,
        RunName::NewestOf(word, name) => {
            let target = Target { kind: kind(client, &word).await?, name };
            let page: Page<Run> = client.get(&target.path("/runs")).query("limit", 1).send().await?.json()?;
            let newest = page.items.into_iter().next().ok_or_else(|| {
                Failure::local_with_help(
                    format!("{} has no runs yet", target.label()),
                    format!("`qd run {}` starts one", target.label()),
                )
            })?;
            newest.id
        }
    };
    let value = client.get(&run_path(&reference)).send().await?.value()?;
    let run = serde_json::from_value(value.clone()).map_err(|error| Failure::Answer {
        server: client.server().to_string(),
        detail: error.to_string(),
    })?;
    Ok((run, value))
}

pub fn run_path(reference: &str) -> String {
    format!("/api/v1/runs/{}", segment(reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_target_is_one_word_or_two() {
        assert_eq!(split(&words("pipelines/curate")).unwrap(), ("pipelines", "curate"));
        assert_eq!(split(&words("pipeline curate")).unwrap(), ("pipeline", "curate"));
        for wrong in ["pipelines", "pipelines/", "/curate", "pipelines/curate x"] {
            assert!(split(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_kind_has_three_spellings() {
        let kinds = || {
            vec![
                Kind { kind: "Pipeline".into(), plural: "pipelines".into(), ..Kind::default() },
                Kind {
                    kind: "NamespacePolicy".into(),
                    plural: "namespacepolicies".into(),
                    ..Kind::default()
                },
            ]
        };
        for word in ["pipelines", "pipeline", "Pipeline", "PIPELINES"] {
            assert_eq!(pick_kind(kinds(), word).unwrap().plural, "pipelines", "{word}");
        }
        assert_eq!(pick_kind(kinds(), "namespacepolicy").unwrap().plural, "namespacepolicies");
        let failure = pick_kind(kinds(), "pipes").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "\"pipes\" is no kind; there are: pipelines, namespacepolicies, runs, jobs, plans, engines, kinds"
        );
    }

    #[test]
    fn runs_have_many_names() {
        let direct = |text: &str| RunName::Direct(text.to_owned());
        assert_eq!(run_name("curate#42").unwrap(), direct("curate#42"));
        assert_eq!(run_name("runs/curate#42").unwrap(), direct("curate#42"));
        assert_eq!(run_name("pipelines/curate#42").unwrap(), direct("curate#42"));
        let id = "01936f2e-7c1a-7000-8000-000000000001";
        assert_eq!(run_name(id).unwrap(), direct(id));
        assert_eq!(
            run_name("pipelines/curate").unwrap(),
            RunName::NewestOf("pipelines".into(), "curate".into())
        );
        for wrong in ["curate", "curate#", "#4", "curate#x", "", "a/b#x"] {
            assert!(run_name(wrong).is_err(), "{wrong}");
        }
    }
}
