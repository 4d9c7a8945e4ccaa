//! The descriptions of the interface for programs: an OpenAPI document, and a collection for
//! Postman.

mod describe;
mod examples;
mod fields;
mod operations;
mod schemas;

use std::sync::LazyLock;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use self::describe::Tag;
use super::document;
use crate::http::AppState;
use crate::http::rules::origin::Origin;

const COLLECTION: &str = static_file!("wharf.postman_collection.json");
/// The server's address in the descriptions, to be replaced.
const ADDRESS: &str = "http://localhost:8080";
/// The next version has others.
const FRESH: &str = "no-cache";

static OPENAPI: LazyLock<String> = LazyLock::new(|| openapi_document().to_string());

/// `GET /openapi.json`
pub async fn openapi(
    State(app): State<AppState>,
    Extension(origin): Extension<Origin>,
) -> Response {
    described(&OPENAPI, &app.base_of(&origin))
}

/// `GET /postman.json`
pub async fn postman(
    State(app): State<AppState>,
    Extension(origin): Extension<Origin>,
) -> Response {
    described(COLLECTION, &app.base_of(&origin))
}

/// A description of the server at `base`.
fn described(text: &str, base: &str) -> Response {
    document::json(text.trim_end().replace(ADDRESS, base), FRESH)
}

/// The interface as an OpenAPI 3.1 document; the server is at [`ADDRESS`].
fn openapi_document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.value;
    }
    let tags = Tag::ALL.map(|tag| json!({ "name": tag.name(), "description": tag.description() }));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wharf",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A server for multipart/form-data, in both directions: a form posted to /upload is stored as one unit, all of it or nothing, and /download gives it back as a form. Errors are problem documents (RFC 9457) with a `code`; members and codes are only added, so clients pass over those that they do not know.",
            "contact": { "name": "The operator of this server" },
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": ADDRESS }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "headers": fields::components(),
            "examples": examples::components(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A secret of the server's access settings, or an upload's delete token or manage_key" },
                "basic": { "type": "http", "scheme": "basic", "description": "The same as the password; the user does not matter" },
                "token": { "type": "apiKey", "in": "header", "name": "Wharf-Token", "description": "An upload's delete token or manage_key, where Authorization is for a proxy's login" },
            },
        },
    });
    fields::keep_used(&mut document);
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::Route;
    use crate::http::rules::problem::Code;

    /// The paths of the route table with their methods; `HEAD` comes with `GET`.
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
        let document = openapi_document();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (path.clone(), method.clone()))
            })
            .collect();
        let routed = routed().into_iter();
        let with_head = routed.flat_map(|(path, method)| {
            let head = (method == "get").then(|| (path.clone(), "head".to_owned()));
            [Some((path, method)), head].into_iter().flatten()
        });
        let routed: BTreeSet<(String, String)> = with_head.collect();
        assert!(described.len() > 20);
        assert_eq!(described, routed);
    }

    #[test]
    fn every_code_is_some_operations_and_has_an_example() {
        let document = openapi_document();
        let text = document["paths"].to_string();
        // These are of addresses and methods that are no operation.
        let of_none = ["method-not-allowed"];
        for code in Code::ALL.iter().map(|code| code.name()) {
            assert!(
                document["components"]["examples"][code].is_object() || of_none.contains(&code),
                "{code}"
            );
            let named = text.contains(&format!("`{code}`"));
            assert!(named != of_none.contains(&code), "{code}");
        }
    }

    /// A request of the collection.
    struct Collected {
        path: String,
        method: String,
        query: Vec<Value>,
    }

    fn requests(items: &Value) -> Vec<Collected> {
        let items = items.as_array().unwrap().iter();
        let each = items.flat_map(|item| {
            if item["item"].is_array() {
                return requests(&item["item"]);
            }
            let request = &item["request"];
            let url = request["url"]["raw"].as_str().unwrap();
            let path = url.strip_prefix("{{baseUrl}}").unwrap();
            let query = request["url"]["query"].as_array();
            vec![Collected {
                path: path.split('?').next().unwrap().to_owned(),
                method: request["method"].as_str().unwrap().to_ascii_lowercase(),
                query: query.cloned().unwrap_or_default(),
            }]
        });
        each.collect()
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

    #[test]
    fn every_operation_is_in_the_collection() {
        let collection: Value = serde_json::from_str(COLLECTION).unwrap();
        let found: BTreeSet<(String, String)> = requests(&collection["item"])
            .into_iter()
            .map(|request| (request.path, request.method))
            .collect();
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

    /// Those that a request does not send are there too, to be ticked.
    #[test]
    fn every_parameter_of_a_query_is_in_the_collection() {
        let collection: Value = serde_json::from_str(COLLECTION).unwrap();
        let sent = requests(&collection["item"]);
        let has = |method: &str, template: &str, name: &Value| {
            sent.iter()
                .filter(|request| request.method == method && fits(&request.path, template))
                .any(|request| {
                    request
                        .query
                        .iter()
                        .any(|parameter| parameter["key"] == *name)
                })
        };
        let document = openapi_document();
        let mut parameters = 0;
        for (template, method) in routed() {
            let operation = &document["paths"][&template][&method];
            let described = operation["parameters"].as_array().into_iter().flatten();
            for parameter in described.filter(|parameter| parameter["in"] == "query") {
                let name = &parameter["name"];
                assert!(has(&method, &template, name), "{method} {template}: {name}");
                parameters += 1;
            }
        }
        assert!(parameters > 20, "{parameters}");
    }
}
