//! `GET /` for programs: what this server is and takes, before the first byte of an upload.

use axum::response::Response;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::document;
use crate::http::AppState;
use crate::http::rules::access::{Action, Caller, Gate, Scope};
use crate::http::rules::origin::Origin;

/// The actions that stand for the scopes.
const SCOPES: [(Scope, Action); 4] = [
    (Scope::Upload, Action::Upload),
    (Scope::Download, Action::Download),
    (Scope::List, Action::List),
    (Scope::Admin, Action::Administer),
];

impl AppState {
    /// The rights and limits of a `caller` from `origin`. A limit is `null` where there is none;
    /// times are seconds, sizes bytes.
    pub(super) fn about(&self, origin: &Origin, caller: &Caller) -> Response {
        let local = origin.local;
        let options = self.ingest.options();
        let seconds = |span: std::time::Duration| span.as_secs();
        let needs_secret: Map<String, Value> = SCOPES
            .into_iter()
            .map(|(scope, action)| {
                let closed = self.gate(action, local) != Gate::Open;
                (scope.word().to_owned(), json!(closed))
            })
            .collect();
        let scopes: Vec<&str> = SCOPES
            .into_iter()
            .filter(|(scope, action)| match self.gate(*action, local) {
                Gate::Open => true,
                Gate::Secret(needed) => caller.may(needed) && caller.may(*scope),
            })
            .map(|(scope, _)| scope.word())
            .collect();
        let features = [
            ("names", self.options.policy.resolves_names(local)),
            ("digests", options.digest),
        ];
        let features: Vec<&str> = features
            .into_iter()
            .filter_map(|(word, there)| there.then_some(word))
            .collect();
        let document = json!({
            "name": "wharf",
            "version": env!("CARGO_PKG_VERSION"),
            "url": format!("{}/", self.base_of(origin)),
            "limits": {
                "max_request_size": options.max_request_size,
                "max_file_size": options.max_file_size,
                "max_files": options.max_files,
                "max_fields": options.max_fields,
                "max_field_size": options.max_field_size,
                "max_fields_size": options.max_fields_size,
                "max_expires_in": options.max_expires_in.map(seconds),
                "default_expires_in": options.default_expires_in.map(seconds),
            },
            "features": features,
            "needs_secret": needs_secret,
            "scopes": scopes,
        });
        let mut response = document::json(document, "no-store");
        let fields = response.headers_mut();
        fields.insert(header::VARY, HeaderValue::from_static("Accept"));
        response
    }
}
