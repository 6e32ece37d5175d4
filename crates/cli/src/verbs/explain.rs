//! `qd explain`: one sentence why something is in its state, with the evidence below it.

use time::OffsetDateTime;

use crate::client::segment;
use crate::client::shapes::plan::Explanation;
use crate::client::shapes::text_of;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age::age;
use crate::output::format::{self, Format};
use crate::output::paint::Paint;
use crate::output::table::Table;
use crate::output::{clean, clean_lines};
use crate::targets::{self, Noun};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to explain: pipelines/curate, curate#42, runs/ID, jobs/ID, plans/ID
    #[arg(value_name = "OBJECT", num_args = 1..=2, required = true)]
    object: Vec<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (family, name) = match args.object.as_slice() {
        [one] if one.contains('#') => {
            ("runs".to_owned(), one.rsplit_once('/').map_or(one.as_str(), |(_, reference)| reference))
        }
        words => {
            let (word, name) = targets::split(words)?;
            let family = match targets::noun(&client, word).await? {
                Noun::Runs => "runs".into(),
                Noun::Jobs => "jobs".into(),
                Noun::Plans => "plans".into(),
                Noun::Resource(kind) => kind.plural,
                Noun::Engines | Noun::Kinds => {
                    return Err(Failure::usage(format!(
                        "{word} have no state to explain; `qd get {word}` shows them"
                    )));
                }
            };
            (family, name)
        }
    };
    let path = format!("/api/v1/explain/{}/{}", segment(&family), segment(name));
    let reply = client.get(&path).send().await?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&reply.value()?)?)?,
        Format::Yaml => out.data(&format::yaml(&reply.value()?)?)?,
        Format::Name => out.line(&clean(&reply.json::<Explanation>()?.object))?,
        Format::Table | Format::Wide => {
            out.data(&describe(&reply.json()?, invocation.clock.now(), out.paint()))?;
        }
    }
    Ok(Exit::OK)
}

fn describe(said: &Explanation, now: OffsetDateTime, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.bold(&clean_lines(&said.sentence)));
    if said.evidence.is_empty() {
        return text;
    }
    let mut table = Table::new(&["EVIDENCE", "AGE", "VALUE"]);
    for fact in &said.evidence {
        let value = text_of(&fact.value);
        table.row([fact.what.as_str().into(), age(fact.at.as_deref(), now).into(), value.into()]);
    }
    text.push('\n');
    text.push_str(&table.render(paint));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn the_sentence_stands_above_its_evidence() {
        let said: Explanation = serde_json::from_value(json!({
            "object": "jobs/0193",
            "sentence": "It has waited since 11:58:00 UTC for the lock pipelines/curate, which revision.publish of owner holds (job 0192).",
            "evidence": [
                {"what": "state", "value": "waiting", "at": "2026-11-20T11:57:59Z"},
                {"what": "lock pipelines/curate", "value": {"holder": "0192"}, "at": "2026-11-20T11:58:00Z"},
                {"what": "attempts", "value": 0, "at": null},
            ],
        }))
        .unwrap();
        insta::assert_snapshot!(describe(&said, datetime!(2026-11-20 12:00:00 UTC), Paint::plain()));
    }
}
