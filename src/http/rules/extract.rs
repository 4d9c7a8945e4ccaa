//! The arguments of handlers, with errors as problem documents.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// The variable segments of a request's path, percent-decoded.
pub struct PathParams<T>(pub T);

impl<T, S> FromRequestParts<S> for PathParams<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        let path = path.map_err(|error| {
            let detail = format!("the path cannot be read: {}", error.body_text());
            Problem::new(Code::MalformedRequest, detail)
        })?;
        Ok(PathParams(path.0))
    }
}
