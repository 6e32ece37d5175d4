//! Query strings, with our own errors.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use qd_core::error::Error;
use qd_kernel::page::PageRequest;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

use super::problem::Problem;

/// The typed query of a request.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem(Error::malformed("bad_query", rejection.body_text()))),
        }
    }
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
