//! How an operation is described: its parameters, its body, its answers with their fields, and the
//! errors it may end in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields;
use super::schemas;
use crate::http::rules::problem::Code;

/// A method on a path.
pub struct Operation {
    pub path: &'static str,
    pub method: &'static str,
    pub value: Value,
}

/// The subject of a group of operations, as generated clients name their modules.
#[derive(Debug, Clone, Copy)]
pub enum Tag {
    Uploads,
    Downloads,
    Operators,
    Descriptions,
    Widgets,
    Pages,
}

impl Tag {
    /// All of them.
    pub const ALL: [Tag; 6] = [
        Tag::Uploads,
        Tag::Downloads,
        Tag::Operators,
        Tag::Descriptions,
        Tag::Widgets,
        Tag::Pages,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Tag::Uploads => "uploads",
            Tag::Downloads => "downloads",
            Tag::Operators => "operators",
            Tag::Descriptions => "descriptions",
            Tag::Widgets => "widgets",
            Tag::Pages => "pages",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Tag::Uploads => "Uploads, and what is known of them",
            Tag::Downloads => "Files and forms as they came",
            Tag::Operators => "What operators and their tools ask",
            Tag::Descriptions => "The interface, described for programs and people",
            Tag::Widgets => "The protocols of upload widgets",
            Tag::Pages => "What browsers ask for the pages: no interface for programs",
        }
    }
}

/// Errors that the operations on one thing have in common; see [`Described::problems`].
pub const SECRET: &[Code] = &[Code::MissingSecret, Code::BadSecret, Code::MissingScope];

/// The problems that every operation may end in.
const EVERYWHERE: [Code; 3] = [Code::MalformedRequest, Code::WrongHost, Code::Internal];
/// The problems of operations that have a body.
const WITH_BODY: [Code; 4] = [
    Code::BodyIncomplete,
    Code::BodyStalled,
    Code::LimitExceeded,
    Code::UnsupportedCoding,
];
/// The problems of a `GET` alone: a `HEAD` has no ranges, takes no download and no turn.
const ONLY_GET: [Code; 4] = [
    Code::RangeNotSatisfiable,
    Code::LastDownloadInProgress,
    Code::PrefetchRefused,
    Code::TooManyDownloads,
];

/// An operation under construction.
pub struct Described {
    path: &'static str,
    method: &'static str,
    id: &'static str,
    /// The id of the same operation by `HEAD`.
    head: Option<&'static str>,
    value: Value,
    codes: Vec<Code>,
    /// The answer that was described last.
    last: String,
}

impl Described {
    pub fn new(
        tag: Tag,
        (method, path): (&'static str, &'static str),
        id: &'static str,
        summary: &str,
    ) -> Self {
        let mut value = json!({
            "operationId": id,
            "tags": [tag.name()],
            "summary": summary,
            "description": summary,
            "responses": {},
        });
        let segments = path.split('{').skip(1);
        let names = segments.filter_map(|rest| rest.split('}').next());
        let parameters: Vec<Value> = names.map(in_path).collect();
        if !parameters.is_empty() {
            value["parameters"] = json!(parameters);
        }
        if matches!(tag, Tag::Pages) {
            value["x-internal"] = json!(true);
        }
        let mut codes = EVERYWHERE.to_vec();
        match method {
            "get" => codes.push(Code::TooManyDownloads),
            _ => codes.push(Code::CrossSite),
        }
        Described {
            path,
            method,
            id,
            head: None,
            value,
            codes,
            last: String::new(),
        }
    }

    /// The description, where there is more to say than in the summary.
    pub fn says(mut self, description: &str) -> Self {
        self.value["description"] = json!(description);
        self
    }

    /// It is asked by `HEAD` as well, by this id.
    pub fn head(mut self, id: &'static str) -> Self {
        self.head = Some(id);
        self
    }

    pub fn query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter(
            json!({ "name": name, "in": "query", "schema": schema, "description": description }),
        )
    }

    pub fn parameter(mut self, parameter: Value) -> Self {
        let parameters = &mut self.value["parameters"];
        match parameters.as_array_mut() {
            Some(parameters) => parameters.push(parameter),
            None => *parameters = json!([parameter]),
        }
        self
    }

    /// The options of an upload, in the query.
    pub fn options(self) -> Self {
        schemas::options().into_iter().fold(self, Self::parameter)
    }

    pub fn body(mut self, media_type: &str, schema: Value) -> Self {
        let mut content = json!({ "schema": schema });
        if let Some(example) = super::examples::request(self.id) {
            content["example"] = example;
        }
        self.value["requestBody"] = json!({ "required": true, "content": { media_type: content } });
        self.codes.extend(WITH_BODY);
        self
    }

    /// The body may also be of this type.
    pub fn or_body(mut self, media_type: &str, schema: Value) -> Self {
        self.value["requestBody"]["content"][media_type] = json!({ "schema": schema });
        self
    }

    /// The preconditions on entity tags, of which `what` is the right one.
    pub fn preconditions(self, what: &str) -> Self {
        let field = |name: &str, description: String| json!({ "name": name, "in": "header", "schema": { "type": "string" }, "description": description });
        self.parameter(field("If-Match", format!("The ETag of {what}")))
            .parameter(field(
                "If-None-Match",
                "An ETag that it does not have".to_owned(),
            ))
    }

    /// An id may be written in capitals, or with letters that look like its own.
    pub fn moved(self) -> Self {
        self.answers(308, "The same, under the id as it is", &[])
            .always(&["Location"])
    }

    /// The body may be missing, which is as good as an empty one.
    pub fn or_none(mut self) -> Self {
        self.value["requestBody"]["required"] = json!(false);
        self
    }

    pub fn answers(mut self, status: u16, description: &str, types: &[(&str, Value)]) -> Self {
        self.last = status.to_string();
        let mut response = json!({ "description": description });
        if !types.is_empty() {
            let content = types.iter().map(|(media_type, schema)| {
                let mut content = json!({ "schema": schema });
                if let Some(example) = super::examples::answer(self.id, status, media_type) {
                    content["example"] = example;
                }
                ((*media_type).to_owned(), content)
            });
            response["content"] = Value::Object(content.collect());
        }
        self.value["responses"][&self.last] = response;
        self.always(&fields::EVERYWHERE)
    }

    /// Goes back to an answer that was described before.
    pub fn of(mut self, status: &str) -> Self {
        self.last = status.to_owned();
        self
    }

    /// Fields that the answer described last has in any case.
    pub fn always(self, names: &[&str]) -> Self {
        self.fields(names, "")
    }

    /// Fields that it has at times.
    pub fn at_times(self, names: &[&str]) -> Self {
        self.fields(names, fields::OPTIONAL)
    }

    fn fields(mut self, names: &[&str], ending: &str) -> Self {
        let headers = &mut self.value["responses"][&self.last]["headers"];
        for name in names {
            headers[*name] = json!({ "$ref": format!("#/components/headers/{name}{ending}") });
        }
        self
    }

    /// The errors it may end in, beside those that its method and body bring along.
    pub fn problems(mut self, groups: &[&[Code]]) -> Self {
        self.codes.extend(groups.iter().copied().flatten());
        self
    }

    /// A probe: it is answered whatever the host, and waits for no turn.
    pub fn probe(mut self) -> Self {
        let other = [Code::WrongHost, Code::TooManyDownloads];
        self.codes.retain(|code| !other.contains(code));
        self.open()
    }

    /// Where no secret is needed, whatever the settings.
    pub fn open(mut self) -> Self {
        self.value["security"] = json!([]);
        self
    }

    /// Where a secret is needed if the server's settings, or its being open to others, want one.
    pub fn guarded(mut self) -> Self {
        self.value["security"] = json!([{}, { "bearer": [] }, { "basic": [] }]);
        self.problems(&[SECRET])
    }

    /// Where the secret of an admin is needed.
    pub fn administered(mut self) -> Self {
        self.value["security"] = json!([{ "bearer": [] }, { "basic": [] }]);
        self.problems(&[SECRET])
    }

    /// Where the delete token of the upload is needed, or the secret of an admin.
    pub fn owned(mut self) -> Self {
        self.value["security"] = json!([{ "bearer": [] }, { "basic": [] }, { "token": [] }]);
        self.problems(&[&[
            Code::MissingSecret,
            Code::MissingScope,
            Code::UploadNotFound,
        ]])
    }

    /// The operation, and the same by `HEAD` where there is one.
    pub fn operations(self) -> Vec<Operation> {
        let head = self.head.map(|id| self.by_head(id));
        let mut operations = vec![self.finish()];
        operations.extend(head.map(Described::finish));
        operations
    }

    fn by_head(&self, id: &'static str) -> Described {
        let mut value = self.value.clone();
        value["operationId"] = json!(id);
        let summary = format!(
            "{}: the head alone",
            value["summary"].as_str().unwrap_or_default()
        );
        value["summary"] = json!(summary);
        value["description"] = json!("As GET, without the body; it takes no download");
        if let Some(responses) = value["responses"].as_object_mut() {
            // Ranges are for GET alone (RFC 9110 section 14.2), and so is the way to a bucket.
            for status in ["206", "307"] {
                responses.remove(status);
            }
            for response in responses.values_mut().filter_map(Value::as_object_mut) {
                response.remove("content");
            }
        }
        let codes = self.codes.iter().copied();
        Described {
            path: self.path,
            method: "head",
            id,
            head: None,
            value,
            codes: codes.filter(|code| !ONLY_GET.contains(code)).collect(),
            last: String::new(),
        }
    }

    fn finish(mut self) -> Operation {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in Code::ALL.iter().filter(|code| self.codes.contains(code)) {
            for status in code.statuses() {
                by_status.entry(*status).or_default().push(*code);
            }
        }
        for (status, codes) in by_status {
            self.value["responses"][status.to_string()] = problem(self.method, status, &codes);
        }
        Operation {
            path: self.path,
            method: self.method,
            value: self.value,
        }
    }
}

/// The answer to a request by `method` that ends in one of these `codes`.
fn problem(method: &str, status: u16, codes: &[Code]) -> Value {
    let words: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`: {}", code.name(), code.title().to_lowercase()))
        .collect();
    let mut response = json!({ "description": words.join("; ") });
    let always = fields::EVERYWHERE.iter().chain(&fields::OF_PROBLEMS);
    for name in always.chain(fields::of_status(status)) {
        response["headers"][*name] = json!({ "$ref": format!("#/components/headers/{name}") });
    }
    for name in fields::at_times(status, codes) {
        let ending = fields::OPTIONAL;
        response["headers"][name] =
            json!({ "$ref": format!("#/components/headers/{name}{ending}") });
    }
    if method == "head" {
        return response;
    }
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| {
            let at = format!("#/components/examples/{}", code.name());
            (code.name().to_owned(), json!({ "$ref": at }))
        })
        .collect();
    let schema = reference("Problem");
    response["content"] = json!({
        "application/problem+json": { "schema": schema, "examples": examples },
        "application/json": { "schema": schema },
    });
    response
}

fn in_path(name: &str) -> Value {
    let (description, example) = match name {
        "id" => ("The id of an upload", "0c8r5v3m9ag7wqk2ht4xz1y6ne"),
        "name" => ("The name of a file", "part1.txt"),
        "code" => ("A code of an error", "upload-not-found"),
        _ => ("A word of the address", "x"),
    };
    // A name that has the form of an id is looked up as one, and a name is any text.
    json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": { "type": "string", "minLength": 1 }, "example": example,
    })
}

/// A schema of the document.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
