//! Query strings, with our own errors. Where a route takes parameters, one that it does not have is refused: a filter that was
//! misspelled would show everything.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};
use qd_core::{error::Error, suggest};
use qd_kernel::page::PageRequest;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

use super::problem::Problem;

/// The typed query of a request.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + 'static, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = names::<T>();
        let sent: Vec<(String, String)> = read(&parts.uri)?;
        if let Some((name, _)) = sent.iter().find(|(name, _)| !known.contains(name)) {
            let known = known.iter().map(String::as_str);
            let hint = suggest::hint(name, known.clone());
            let there: Vec<&str> = known.collect();
            let detail =
                format!("there is no parameter {name:?} here{hint}; there are: {}", there.join(", "));
            return Err(Problem(Error::malformed("bad_query", detail)));
        }
        read(&parts.uri).map(Self)
    }
}

/// A query that somebody else writes, who adds what he likes.
pub struct ForeignParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ForeignParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.uri).map(Self)
    }
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem(Error::malformed("bad_query", rejection.body_text()))),
    }
}

/// The parameters that the description names for a type, worked out once.
fn names<T: JsonSchema + 'static>() -> Arc<[String]> {
    type Names = HashMap<TypeId, Arc<[String]>>;
    static KNOWN: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let work_out = || {
        let schema = schemars::schema_for!(T).to_value();
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    known.entry(TypeId::of::<T>()).or_insert_with(work_out).clone()
}

/// The two parameters of every list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// 1 to 500; 50 without.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    pub fn page(&self) -> Result<PageRequest, Problem> {
        Ok(PageRequest::new(self.limit, self.cursor.as_deref())?)
    }
}
