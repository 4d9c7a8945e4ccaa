//! What can be asked of the server, operation by operation.

mod problems;

use serde_json::{Map, Value, json};

use crate::http::resources::download::MAX_NAMES;
use crate::http::resources::listing::MAX_PAGE;

use super::schemas::{self, ID};

/// A method on a path.
pub struct Operation {
    pub path: &'static str,
    pub method: &'static str,
    pub value: Value,
}

/// An operation under construction.
struct Described(Operation);

impl Described {
    fn new(method: &'static str, path: &'static str, id: &str, summary: &str) -> Self {
        let mut value = json!({ "operationId": id, "summary": summary, "responses": {} });
        let segments = path.split('{').skip(1);
        let names = segments.filter_map(|rest| rest.split('}').next());
        let parameters: Vec<Value> = names.map(in_path).collect();
        if !parameters.is_empty() {
            value["parameters"] = json!(parameters);
        }
        Described(Operation {
            path,
            method,
            value,
        })
    }

    fn query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter(
            json!({ "name": name, "in": "query", "schema": schema, "description": description }),
        )
    }

    fn parameter(mut self, parameter: Value) -> Self {
        let parameters = &mut self.0.value["parameters"];
        match parameters.as_array_mut() {
            Some(parameters) => parameters.push(parameter),
            None => *parameters = json!([parameter]),
        }
        self
    }

    fn body(mut self, media_type: &str, schema: Value) -> Self {
        self.0.value["requestBody"] =
            json!({ "required": true, "content": content(media_type, schema) });
        self
    }

    /// The body may be missing, which is as good as an empty one.
    fn or_none(mut self) -> Self {
        self.0.value["requestBody"]["required"] = json!(false);
        self
    }

    fn answers(mut self, status: u16, description: &str, media_types: &[(&str, Value)]) -> Self {
        let mut response = json!({ "description": description });
        if !media_types.is_empty() {
            let content: Map<String, Value> = media_types
                .iter()
                .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })))
                .collect();
            response["content"] = json!(content);
        }
        self.0.value["responses"][status.to_string()] = response;
        self
    }

    /// The errors it may end in; 400, 500 and 503 are every operation's.
    fn problems(mut self, statuses: &[u16]) -> Self {
        for status in [400, 500, 503].iter().chain(statuses) {
            let problem = reference("Problem");
            let types = [
                ("application/problem+json", problem.clone()),
                ("application/json", problem),
                ("text/html", json!({ "type": "string" })),
            ];
            self = self.answers(*status, reason(*status), &types);
        }
        self
    }

    fn secured(mut self) -> Self {
        self.0.value["security"] = json!([{ "bearer": [] }, { "basic": [] }]);
        self
    }

    /// Where a secret is needed only if the server's settings name one.
    fn guarded(mut self) -> Self {
        self.0.value["security"] = json!([{}, { "bearer": [] }, { "basic": [] }]);
        self
    }

    fn options(self) -> Self {
        schemas::options().into_iter().fold(self, Self::parameter)
    }
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

fn in_path(name: &str) -> Value {
    // A name that has the form of an id is looked up as one, and a name is any text.
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn content(media_type: &str, schema: Value) -> Value {
    json!({ media_type: { "schema": schema } })
}

/// All operations.
pub fn all() -> impl Iterator<Item = Operation> {
    let described = [uploading(), downloading(), records(), operation(), pages()];
    let described = described.into_iter().chain([problems::all()]);
    described.flatten().map(|described| described.0)
}

/// The answer to an upload.
const STORED: &str = "Stored; text/plain is the share link alone. With Prefer: return=minimal there is no body: Wharf-Delete-Token, Location and Link say what is needed";

fn uploading() -> Vec<Described> {
    let limits = [401, 403, 408, 413, 415, 429, 507];
    let created = [
        ("application/json", reference("Created")),
        ("text/plain", json!({ "type": "string" })),
    ];
    let stored = |described: Described| {
        let page = "Stored; for a client that prefers HTML, the upload's page";
        described
            .answers(201, STORED, &created)
            .answers(303, page, &[])
            .problems(&limits)
            .guarded()
    };
    let one_file = |described: Described| {
        let file = described
            .options()
            .body("application/octet-stream", json!({}));
        stored(file.or_none())
    };
    vec![
        stored(
            Described::new(
                "post",
                "/upload",
                "upload",
                "Store a form as one unit, all of it or nothing",
            )
            .options()
            .body("multipart/form-data", schemas::form()),
        ),
        one_file(Described::new(
            "put",
            "/files/{name}",
            "putFile",
            "Store one file as an upload of its own",
        )),
        one_file(
            Described::new(
                "post",
                "/files",
                "postFile",
                "The same, with the name in the query",
            )
            .parameter(json!({ "name": "name", "in": "query", "required": true, "schema": { "type": "string", "minLength": 1 }, "description": "The name of the file" })),
        ),
        Described::new(
            "post",
            "/compat/filepond",
            "filepondProcess",
            "Store a form of the widget FilePond",
        )
        .options()
        .body("multipart/form-data", schemas::form())
        .answers(
            201,
            "What identifies the upload to the widget",
            &[("text/plain", json!({ "type": "string" }))],
        )
        .problems(&limits)
        .guarded(),
        Described::new(
            "delete",
            "/compat/filepond",
            "filepondRevert",
            "Undo an upload of the widget FilePond",
        )
        .body(
            "text/plain",
            json!({ "type": "string", "pattern": format!("^{ID}\\.[A-Za-z0-9_-]{{1,200}}$") }),
        )
        .answers(204, "It is gone", &[])
        .problems(&[401, 403, 404]),
    ]
}

fn downloading() -> Vec<Described> {
    let form = || {
        [
            ("multipart/form-data", json!({})),
            ("multipart/byteranges", json!({})),
        ]
    };
    let raw = || [("*/*", json!({}))];
    let read = |described: Described, types: &[(&str, Value)]| {
        described
            .answers(200, "All of it", types)
            .answers(206, "The range that was asked for", types)
            .answers(304, "The client has it", &[])
            .problems(&[401, 403, 404, 409, 412, 416])
            .guarded()
    };
    let names = json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "uniqueItems": true, "minItems": 1, "maxItems": MAX_NAMES });
    let inline = json!({ "type": "string" });
    let shown = "1 to look at it in a browser, where its type cannot run script";
    vec![
        read(
            Described::new(
                "get",
                "/download",
                "downloadSeveral",
                "Several names or ids in one form, in the order asked",
            )
            .parameter(json!({ "name": "name", "in": "query", "required": true, "schema": names, "description": "A name or an id; once for each" })),
            &form(),
        ),
        read(
            Described::new(
                "get",
                "/download/{name}",
                "download",
                "The form of an id, or the newest file of a name as a form",
            ),
            &form(),
        ),
        read(
            Described::new(
                "get",
                "/download/{id}/{name}",
                "downloadFile",
                "One file of an upload as a form",
            ),
            &form(),
        ),
        read(
            Described::new(
                "get",
                "/files/{name}",
                "fileByName",
                "The newest file of a name as it is",
            )
            .query("inline", inline.clone(), shown),
            &raw(),
        ),
        read(
            Described::new(
                "get",
                "/files/{id}/{name}",
                "file",
                "One file of an upload as it is",
            )
            .query("inline", inline, shown),
            &raw(),
        ),
    ]
}

fn records() -> Vec<Described> {
    let upload = || {
        [
            ("application/json", reference("Upload")),
            ("text/plain", json!({ "type": "string" })),
            ("text/html", json!({ "type": "string" })),
        ]
    };
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100 });
    vec![
        Described::new("get", "/uploads", "list", "The uploads, newest first")
            .query("limit", limit, "How many")
            .query(
                "after",
                json!({ "type": "string", "pattern": format!("^[0-9]{{1,14}}-{ID}$") }),
                "The `next` of the page before",
            )
            .answers(
                200,
                "A page of them",
                &[("application/json", reference("Listing"))],
            )
            .problems(&[401, 403])
            .guarded(),
        Described::new(
            "get",
            "/uploads/{id}",
            "show",
            "The record of an upload, its page, or its share link",
        )
        .answers(200, "It", &upload())
        .problems(&[401, 403, 404])
        .guarded(),
        Described::new(
            "patch",
            "/uploads/{id}",
            "prolong",
            "Set the deadline anew, counted from now",
        )
        .body("application/json", reference("Change"))
        .answers(
            200,
            "The upload with its new deadline",
            &[("application/json", reference("Upload"))],
        )
        .answers(204, "The same with Prefer: return=minimal", &[])
        .problems(&[401, 403, 404])
        .secured(),
        Described::new(
            "delete",
            "/uploads/{id}",
            "delete",
            "Delete an upload: 404 where nothing is left of it, and for a token that is not its",
        )
        .answers(204, "It is gone", &[])
        .problems(&[401, 403, 404])
        .secured(),
    ]
}

fn operation() -> Vec<Described> {
    let text = || [("text/plain", json!({ "type": "string" }))];
    let metrics = [
        ("text/plain", json!({ "type": "string" })),
        ("application/openmetrics-text", json!({ "type": "string" })),
    ];
    vec![
        Described::new("get", "/healthz", "alive", "Whether the process lives")
            .answers(200, "It does", &text())
            .problems(&[]),
        Described::new("get", "/readyz", "ready", "Whether it can store")
            .answers(200, "It can", &text())
            .problems(&[]),
        Described::new("get", "/status", "status", "Who this is, and what it holds")
            .answers(
                200,
                "This instance",
                &[("application/json", reference("Status"))],
            )
            .problems(&[401, 403])
            .guarded(),
        Described::new("get", "/metrics", "metrics", "Counters for Prometheus")
            .answers(
                200,
                "Text, or OpenMetrics when `Accept` ranks it higher",
                &metrics,
            )
            .problems(&[401, 403])
            .guarded(),
        Described::new(
            "post",
            "/reindex",
            "reindex",
            "Compare the index with the records",
        )
        .answers(
            200,
            "What was found",
            &[("application/json", reference("Comparison"))],
        )
        .problems(&[401, 403])
        .secured(),
        Described::new("get", "/openapi.json", "openapi", "This document")
            .answers(
                200,
                "OpenAPI 3.1",
                &[("application/json", json!({ "type": "object" }))],
            )
            .problems(&[]),
        Described::new(
            "get",
            "/postman.json",
            "postman",
            "A collection for Postman",
        )
        .answers(
            200,
            "Collection 2.1",
            &[("application/json", json!({ "type": "object" }))],
        )
        .problems(&[]),
    ]
}

fn pages() -> Vec<Described> {
    let html = || [("text/html", json!({ "type": "string" }))];
    let token = json!({ "type": "object", "properties": { "token": { "type": "string" } } });
    let assets = [
        ("text/css", json!({})),
        ("text/javascript", json!({})),
        ("image/svg+xml", json!({})),
    ];
    vec![
        Described::new("get", "/", "page", "The page with the form")
            .answers(200, "A page", &html())
            .answers(303, "The secret is right: the path of sign-in", &[])
            .problems(&[401]),
        Described::new(
            "get",
            "/static/{version}/{name}",
            "asset",
            "What the pages load",
        )
        .answers(200, "It", &assets)
        .problems(&[404]),
        Described::new(
            "post",
            "/uploads/{id}/delete",
            "deleteFromPage",
            "Delete an upload with the form of its page: the token is in it, or in the page's cookie",
        )
        .body("application/x-www-form-urlencoded", token)
        .or_none()
        .answers(200, "A page", &html())
        .problems(&[401, 403, 404]),
        Described::new(
            "post",
            "/uploads/{id}/prolong",
            "prolongFromPage",
            "Set the deadline of an upload anew with the same form",
        )
        .body("application/x-www-form-urlencoded", reference("Prolonging"))
        .answers(303, "Its page", &[])
        .problems(&[401, 403, 404]),
    ]
}
