//! Why something is in the state that it is in: one sentence for a person, and the facts that it rests on.
//!
//! It reads what is stored and what engines last said, and claims nothing beyond: where the reason cannot be known here, the
//! sentence says so. Times in it are UTC. It keeps nothing; what it says is true of the moment in which it was asked.

mod job;
mod plan;
mod resource;
mod run;

use qd_core::{
    error::{Error, Result},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{access::objects::On, context::Context, kernel::Kernel};

/// The answer to: why is it in this state?
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Explanation {
    /// `jobs/<id>`, `runs/curate#42`, `plans/<id>`, `pipelines/curate`
    pub object: String,
    pub sentence: String,
    pub evidence: Vec<Evidence>,
}

/// One fact that the sentence rests on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    pub what: String,
    pub value: Value,
    /// Since when it is so, or when it was read.
    pub at: Option<Timestamp>,
}

/// An object as it is named in an address or on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object<'a> {
    Job(&'a str),
    Run(&'a str),
    Plan(&'a str),
    Resource { plural: &'a str, name: &'a str },
}

impl<'a> Object<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let wrong = || {
            Error::malformed(
                "malformed_object",
                format!(
                    "{text:?} names no object; write jobs/<id>, runs/<id or name#number>, plans/<id> or <kind>/<name>"
                ),
            )
        };
        match text.split_once('/') {
            // A run's reference needs no more.
            None if text.contains('#') => Ok(Self::Run(text)),
            Some((_, "")) | None => Err(wrong()),
            Some((_, name)) if name.contains('/') => Err(wrong()),
            Some(("jobs", id)) => Ok(Self::Job(id)),
            Some(("runs", id)) => Ok(Self::Run(id)),
            Some(("plans", id)) => Ok(Self::Plan(id)),
            Some((plural, name)) => Ok(Self::Resource { plural, name }),
        }
    }
}

impl Kernel {
    /// # Errors
    /// `malformed_object` (400) for what names nothing; 404 with the object's own code.
    pub async fn explain(&self, context: &Context, object: &str) -> Result<Explanation> {
        let object = Object::parse(object)?;
        let (action, on) = self.explainable(object);
        self.permit(context, &action, on).await?;
        let said = match object {
            Object::Job(id) => job::explain(self, context.scope, id).await?,
            Object::Run(id) => run::explain(self, context.scope, id).await?,
            Object::Plan(id) => plan::explain(self, context, id).await?,
            Object::Resource { plural, name } => resource::explain(self, context.scope, plural, name).await?,
        };
        Ok(said.into())
    }

    /// What must be allowed to whoever wants the explanation, and of what.
    fn explainable(&self, object: Object<'_>) -> (String, On) {
        // What is no id is nobody's job or plan: the explanation says so.
        match object {
            Object::Job(id) => ("jobs.read".into(), id.parse().map_or(On::Scope, On::Job)),
            Object::Run(id) => ("runs.read".into(), On::Run(id.to_owned())),
            Object::Plan(id) => ("plans.read".into(), id.parse().map_or(On::Scope, On::Plan)),
            Object::Resource { plural, name } => {
                let kind = self.registry.find_plural(plural).map(|kind| kind.info().kind);
                (format!("{plural}.read"), kind.map_or(On::Scope, |kind| On::resource(kind, name)))
            }
        }
    }
}

/// An explanation under construction.
struct Said {
    object: String,
    sentence: String,
    evidence: Vec<Evidence>,
    now: Timestamp,
}

impl Said {
    fn of(object: String, now: Timestamp) -> Self {
        Self { object, sentence: String::new(), evidence: vec![], now }
    }

    fn say(mut self, sentence: impl Into<String>) -> Self {
        self.sentence = sentence.into();
        self
    }

    fn fact(&mut self, what: &str, value: impl Into<Value>, at: Option<Timestamp>) -> &mut Self {
        self.evidence.push(Evidence { what: what.to_owned(), value: value.into(), at });
        self
    }

    fn when(&self, at: Timestamp) -> String {
        when(at, self.now)
    }

    fn since(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(String::new, |at| format!(" since {}", self.when(at)))
    }
}

impl From<Said> for Explanation {
    fn from(said: Said) -> Self {
        Self { object: said.object, sentence: said.sentence, evidence: said.evidence }
    }
}

/// `07:03:05 UTC`, with the day where it is not today.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_string(), now.to_string());
    match (at.get(..10), now.get(..10), at.get(11..19)) {
        (Some(day), Some(today), Some(time)) if day == today => format!("{time} UTC"),
        (Some(day), _, Some(time)) => format!("{day} {time} UTC"),
        _ => at,
    }
}

/// `4 s`, `7 min`, `3 h`, `2 days`
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The text as the middle of a sentence.
fn clause(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_kind_and_a_name() {
        assert_eq!(Object::parse("jobs/7").unwrap(), Object::Job("7"));
        assert_eq!(Object::parse("curate#42").unwrap(), Object::Run("curate#42"));
        assert_eq!(Object::parse("runs/curate#42").unwrap(), Object::Run("curate#42"));
        assert_eq!(
            Object::parse("pipelines/a").unwrap(),
            Object::Resource { plural: "pipelines", name: "a" }
        );
        for wrong in ["", "curate", "jobs/", "a/b/c"] {
            assert_eq!(Object::parse(wrong).unwrap_err().code, "malformed_object", "{wrong}");
        }
    }

    #[test]
    fn times_name_the_day_only_where_it_is_another() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-20T09:30:00Z");
        assert_eq!(when(at("2026-11-20T09:29:01Z"), now), "09:29:01 UTC");
        assert_eq!(when(at("2026-11-19T09:29:01Z"), now), "2026-11-19 09:29:01 UTC");
        assert_eq!(
            [age(at("2026-11-20T09:29:01Z"), now), age(at("2026-11-20T09:00:00Z"), now)],
            ["59 s", "30 min"]
        );
    }
}
