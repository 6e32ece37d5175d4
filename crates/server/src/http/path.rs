//! Path parameters, with our own errors.

use axum::{
    extract::{FromRequestParts, Path as Extracted},
    http::request::Parts,
};
use qd_core::error::Error;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The typed parameters of a request's path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Extracted::<T>::from_request_parts(parts, state).await {
            Ok(Extracted(path)) => Ok(Self(path)),
            Err(rejection) => Err(Problem(Error::malformed("bad_path", rejection.body_text()))),
        }
    }
}
