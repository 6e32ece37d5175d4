//! `qd get`: lists and single objects, for people and for scripts.

mod document;

use serde_json::{Value, json};

use crate::client::shapes::{Job, Page, Resource, Run};
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::lists;
use crate::output::table::Table;
use crate::targets::{self, Noun, Target};
use crate::verbs::approve;

/// What one request asks for at most.
const PAGE: usize = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kind (pipelines), or one or more objects (pipelines/curate, or: pipeline curate)
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Only those with this label (key=value); may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = crate::params::parse_pair)]
    labels: Vec<(String, String)>,
    /// Only those in this state
    #[arg(long)]
    state: Option<String>,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (word, names) = words(&args.words)?;
    let noun = targets::noun(&client, word).await?;
    if names.is_empty() {
        let list = list(&client, &noun, args).await?;
        print_list(invocation, &noun, &list, args.output)?;
        return Ok(Exit::OK);
    }
    let mut items = Vec::new();
    for name in names {
        items.push(one(&client, &noun, name).await?);
    }
    print_objects(invocation, &client, &noun, items, args.output).await?;
    Ok(Exit::OK)
}

/// Splits the words into the kind and the names.
fn words(words: &[String]) -> Result<(&str, Vec<&str>), Failure> {
    let mut kind = None;
    let mut names = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match word.split_once('/') {
            Some((own, name)) if !own.is_empty() && !name.is_empty() => {
                if *kind.get_or_insert(own) != own {
                    return Err(Failure::usage("objects of several kinds need a command each"));
                }
                names.push(name);
            }
            None if index == 0 => kind = Some(word),
            None if kind.is_some() => names.push(word),
            _ => {
                return Err(Failure::usage(format!(
                    "{word:?} names nothing: write kind/name, like pipelines/curate"
                )));
            }
        }
    }
    let kind = kind.ok_or_else(|| Failure::usage("name a kind, like pipelines"))?;
    Ok((kind, names))
}

/// What a list request gave, over as many pages as wanted.
pub struct List {
    pub items: Vec<Value>,
    pub more: bool,
    /// Not all were asked for.
    pub filtered: bool,
}

async fn list(client: &Client, noun: &Noun, args: &Args) -> Result<List, Failure> {
    let mut query: Vec<(&str, String)> = Vec::new();
    let path = match noun {
        Noun::Resource(kind) => {
            let labels: Vec<String> =
                args.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
            query.extend((!labels.is_empty()).then(|| ("label", labels.join(","))));
            format!("/api/v1/{}", segment(&kind.plural))
        }
        _ if !args.labels.is_empty() => return Err(Failure::usage("only resources have labels")),
        Noun::Engines | Noun::Kinds if args.state.is_some() => {
            return Err(Failure::usage(
                "engines and kinds are few: they are listed whole, whatever their state",
            ));
        }
        Noun::Runs => "/api/v1/runs".into(),
        Noun::Jobs => "/api/v1/jobs".into(),
        Noun::Plans => "/api/v1/plans".into(),
        Noun::Engines => "/api/v1/engines".into(),
        Noun::Kinds => "/api/v1/kinds".into(),
    };
    query.extend(args.state.iter().map(|state| ("state", state.clone())));
    pages(client, &path, &query, args.limit).await
}

/// Reads pages until `limit` items are there (0: all).
pub async fn pages(
    client: &Client,
    path: &str,
    query: &[(&str, String)],
    limit: usize,
) -> Result<List, Failure> {
    let wanted = if limit == 0 { usize::MAX } else { limit };
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut request = client.get(path).query("limit", PAGE.min(wanted - items.len()));
        for (name, value) in query {
            request = request.query(name, value);
        }
        let page: Page<Value> = request.maybe_query("cursor", cursor.as_ref()).send().await?.json()?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || items.len() >= wanted {
            let more = cursor.is_some() || items.len() > wanted;
            items.truncate(wanted);
            return Ok(List { items, more, filtered: !query.is_empty() });
        }
    }
}

async fn one(client: &Client, noun: &Noun, name: &str) -> Result<Value, Failure> {
    match noun {
        Noun::Resource(kind) => {
            let target = Target { kind: kind.clone(), name: name.to_owned() };
            client.fetch(&target.path("")).await
        }
        Noun::Runs => Ok(targets::run(client, name).await?.1),
        Noun::Jobs => client.fetch(&format!("/api/v1/jobs/{}", segment(name))).await,
        Noun::Plans => client.fetch(&approve::plan_path(name)).await,
        Noun::Engines => named(client, "/api/v1/engines", &["name"], name).await,
        Noun::Kinds => named(client, "/api/v1/kinds", &["plural", "kind"], name).await,
    }
}

/// One item of a list that has no route for one.
async fn named(client: &Client, path: &str, keys: &[&str], name: &str) -> Result<Value, Failure> {
    let page: Page<Value> = client.fetch(path).await?;
    let is = |item: &Value| keys.iter().any(|key| item.get(*key).and_then(Value::as_str) == Some(name));
    page.items.into_iter().find(is).ok_or_else(|| Failure::local(format!("there is no {name:?} in {path}")))
}

async fn print_objects(
    invocation: &Invocation,
    client: &Client,
    noun: &Noun,
    mut items: Vec<Value>,
    output: Format,
) -> Result<(), Failure> {
    match output {
        Format::Json if items.len() == 1 => invocation.out.data(&format::json(&items.remove(0))?),
        Format::Yaml => {
            let mut texts = Vec::new();
            for item in &items {
                texts.push(match noun {
                    Noun::Resource(kind) => format::yaml(&document::of(client, kind, item).await?)?,
                    _ => format::yaml(item)?,
                });
            }
            invocation.out.data(&texts.join("---\n"))
        }
        _ => print_list(invocation, noun, &List { items, more: false, filtered: false }, output),
    }
}

pub fn print_list(invocation: &Invocation, noun: &Noun, list: &List, output: Format) -> Result<(), Failure> {
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        Format::Name => {
            let names: String = list.items.iter().map(|item| name_line(noun, item)).collect();
            out.data(&names)?;
        }
        Format::Table | Format::Wide => {
            let table = table(invocation, noun, &list.items, output == Format::Wide)?;
            if table.is_empty() {
                out.note(&empty(noun, list.filtered));
            } else {
                out.data(&table.render(out.paint()))?;
            }
        }
    }
    if list.more {
        out.note("there is more: --limit says how many are shown, 0 shows all");
    }
    Ok(())
}

fn table(invocation: &Invocation, noun: &Noun, items: &[Value], wide: bool) -> Result<Table, Failure> {
    let now = invocation.clock.now();
    Ok(match noun {
        Noun::Resource(_) => lists::resources(&decode::<Resource>(items)?, wide, now),
        Noun::Runs => lists::runs(&decode::<Run>(items)?, wide, now),
        Noun::Jobs => lists::jobs(&decode::<Job>(items)?, wide, now),
        Noun::Plans => lists::plans(&decode(items)?, wide, now),
        Noun::Engines => lists::engines(&decode(items)?, now),
        Noun::Kinds => lists::kinds(&decode(items)?),
    })
}

/// Typed items of a list.
pub fn decode<T: serde::de::DeserializeOwned>(items: &[Value]) -> Result<Vec<T>, Failure> {
    items
        .iter()
        .map(|item| {
            serde_json::from_value(item.clone())
                .map_err(|error| Failure::Answer { server: "the server".into(), detail: error.to_string() })
        })
        .collect()
}

fn name_line(noun: &Noun, item: &Value) -> String {
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    match noun {
        Noun::Resource(kind) => format!("{}/{}\n", kind.plural, text("name")),
        Noun::Runs => format!("runs/{}\n", if text("ref").is_empty() { text("id") } else { text("ref") }),
        Noun::Jobs => format!("jobs/{}\n", text("id")),
        Noun::Plans => format!("plans/{}\n", text("id")),
        Noun::Engines => format!("engines/{}\n", text("name")),
        Noun::Kinds => format!("kinds/{}\n", text("plural")),
    }
}

fn empty(noun: &Noun, filtered: bool) -> String {
    match noun {
        _ if filtered => "nothing like that here".into(),
        Noun::Resource(kind) => format!("no {0} here yet; `qd apply -f FILE` makes the first", kind.plural),
        Noun::Runs => "no runs here yet; `qd run KIND/NAME` starts the first".into(),
        Noun::Jobs => "no jobs".into(),
        Noun::Plans => "no plans; `qd plan -f FILE` makes one".into(),
        Noun::Engines => "no engines".into(),
        Noun::Kinds => "no kinds".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<(String, String)> {
        let list: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words(&list).ok().map(|(kind, names)| (kind.to_owned(), names.join(",")))
    }

    #[test]
    fn words_are_a_kind_and_names_in_either_spelling() {
        let pair = |kind: &str, names: &str| Some((kind.to_owned(), names.to_owned()));
        assert_eq!(split("pipelines"), pair("pipelines", ""));
        assert_eq!(split("pipelines/a"), pair("pipelines", "a"));
        assert_eq!(split("pipeline a b"), pair("pipeline", "a,b"));
        assert_eq!(split("pipelines/a pipelines/b"), pair("pipelines", "a,b"));
        assert_eq!(split("runs/curate#42"), pair("runs", "curate#42"));
        assert_eq!(split("pipelines/a runs/b"), None);
        assert_eq!(split("/a"), None);
    }
}
