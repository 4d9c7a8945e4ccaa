//! The descriptions of the interface for programs: an OpenAPI document, and a collection for
//! Postman.

mod operations;
mod schemas;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::document;
use crate::http::AppState;
use crate::http::rules::origin::Origin;

const COLLECTION: &str = static_file!("wharf.postman_collection.json");
/// The server's address in the collection, to be replaced.
const ADDRESS: &str = "http://localhost:8080";

/// The next version has others.
const FRESH: &str = "no-cache";

/// `GET /openapi.json`
pub async fn openapi(
    State(app): State<AppState>,
    Extension(origin): Extension<Origin>,
) -> Response {
    document::json(described(&app.base_of(&origin)), FRESH)
}

/// `GET /postman.json`
pub async fn postman(
    State(app): State<AppState>,
    Extension(origin): Extension<Origin>,
) -> Response {
    let collection = COLLECTION.replace(ADDRESS, &app.base_of(&origin));
    document::json(collection.trim_end(), FRESH)
}

/// The interface as an OpenAPI 3.1 document; the server is at `address`.
fn described(address: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.value;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wharf",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A server for multipart/form-data, in both directions: a form posted to /upload is stored as one unit, all of it or nothing, and /download gives it back as a form.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": address }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A secret of the server's access settings, or an upload's delete token or manage_key (these also in the field Wharf-Token)" },
                "basic": { "type": "http", "scheme": "basic", "description": "The same as the password; the user does not matter" },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::Route;

    /// The paths of the route table with their methods.
    fn routed() -> BTreeSet<(String, String)> {
        let table = crate::http::routes::table().into_iter();
        let described = |route: Route| {
            let method = route.method.as_str().to_ascii_lowercase();
            (route.path.replace("{*", "{"), method)
        };
        table.map(described).collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = described(ADDRESS);
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (path.clone(), method.clone()))
            })
            .collect();
        assert!(described.len() > 20);
        assert_eq!(described, routed());
    }

    #[test]
    fn every_operation_is_in_the_collection() {
        fn requests(items: &Value, found: &mut BTreeSet<(String, String)>) {
            for item in items.as_array().unwrap() {
                if item["item"].is_array() {
                    requests(&item["item"], found);
                    continue;
                }
                let request = &item["request"];
                let url = request["url"]["raw"].as_str().unwrap();
                let path = url.strip_prefix("{{baseUrl}}").unwrap();
                let path = path.split('?').next().unwrap();
                let method = request["method"].as_str().unwrap().to_ascii_lowercase();
                found.insert((path.to_owned(), method));
            }
        }
        /// Whether a path is one of a template.
        fn fits(path: &str, template: &str) -> bool {
            let (path, template): (Vec<_>, Vec<_>) =
                (path.split('/').collect(), template.split('/').collect());
            path.len() == template.len()
                && path
                    .iter()
                    .zip(&template)
                    .all(|(left, right)| left == right || right.starts_with('{'))
        }
        let collection: Value = serde_json::from_str(COLLECTION).unwrap();
        let mut found = BTreeSet::new();
        requests(&collection["item"], &mut found);
        let routed = routed();
        for (path, method) in &found {
            let known = routed
                .iter()
                .any(|(template, other)| other == method && fits(path, template));
            assert!(known, "{method} {path} is no operation");
        }
        for (template, method) in &routed {
            let covered = found
                .iter()
                .any(|(path, other)| other == method && fits(path, template));
            assert!(covered, "{method} {template} is not in the collection");
        }
        assert!(COLLECTION.contains(ADDRESS));
    }
}
