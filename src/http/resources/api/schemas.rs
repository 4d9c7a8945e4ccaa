//! The shapes of what is sent and answered (JSON Schema 2020-12).

use serde_json::{Value, json};

use crate::http::rules::problem::Code;
use crate::ingest::OptionPlace;

fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// The pattern of an id: 128 bits are 25 letters of five bits and one of three.
pub const ID: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";

/// How long something is kept.
pub fn lifetime() -> Value {
    // Numbers that are sure to end before the year 9999: of seconds alone, and of each unit of a
    // sum.
    const SECONDS: &str = "[1-9][0-9]{0,9}";
    const NUMBER: &str = "[1-9][0-9]{0,4}";
    let units = ["w", "d", "h", "m", "s"];
    let sums = units.iter().enumerate().map(|(place, largest)| {
        let rest = units[place + 1..].iter();
        let rest: String = rest.map(|unit| format!("({NUMBER}{unit})?")).collect();
        format!("{NUMBER}{largest}{rest}")
    });
    let sums = sums.collect::<Vec<_>>().join("|");
    json!({ "type": "string", "pattern": format!("^(never|{SECONDS}|{sums})$") })
}

/// The options of an upload, as parameters of the query.
pub fn options() -> [Value; 4] {
    // An empty value counts as not given, as an empty field of a form does.
    let or_empty = |schema: Value| json!({ "anyOf": [schema, { "const": "" }] });
    let count = json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX });
    let time = json!({ "type": "string", "format": "date-time" });
    [
        (
            "expires_in",
            or_empty(lifetime()),
            "How long it is kept: 90s, 15m, 12h, 7d, 2w, a sum such as 1d12h, seconds, or never",
        ),
        (
            "expires_at",
            or_empty(time),
            "When it ends, in place of expires_in: in the future, RFC 3339",
        ),
        (
            "max_downloads",
            or_empty(count),
            "How many complete downloads of each file there may be: a form takes one of each of its files",
        ),
        (
            "title",
            json!({ "type": "string" }),
            "What it is called, on its page and in its record: at most 200 bytes of UTF-8",
        ),
    ]
    .map(|(name, schema, description)| {
        let description = format!(
            "{description}. Also the header {}",
            OptionPlace::Header.spell(name)
        );
        json!({ "name": name, "in": "query", "schema": schema, "description": description })
    })
}

/// A form as it is uploaded.
pub fn form() -> Value {
    json!({
        "type": "object",
        "description": "Any number of files and text fields of any name. Those whose names begin with wharf_ are options: wharf_expires_in, wharf_expires_at, wharf_max_downloads and wharf_title, as in the query",
        "properties": {
            // Both are said: the first is that of OpenAPI 3.1, the second what generators know.
            "file": { "type": "array", "items": {
                "type": "string", "contentMediaType": "application/octet-stream", "format": "binary",
            } },
            "wharf_expires_in": lifetime(),
            "wharf_max_downloads": { "type": "integer", "minimum": 1, "maximum": u64::MAX },
            "wharf_title": { "type": "string", "maxLength": 50 },
        },
        "additionalProperties": true,
        // No header of a part may hold NUL, and only options begin with wharf_.
        "propertyNames": { "pattern": "^(?!wharf_(?!(expires_in|expires_at|max_downloads|title)$))[^\\u0000]*$" },
    })
}

/// The components of the document.
pub fn all() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let time = json!({ "type": "string", "format": "date-time" });
    let digest = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let text = json!({ "type": "string" });
    let address = |description: &str| json!({ "type": "string", "format": "uri", "description": description });
    let protected = json!({ "type": "boolean", "description": "Whether it asks for a password; none does in this version" });
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    let mut schemas = json!({
        "Id": {
            "type": "string",
            "pattern": format!("^{ID}$"),
            "description": "128 random bits in lower-case Crockford base32",
        },
        "File": {
            "type": "object",
            "required": ["field", "name", "path", "size", "type", "sha256", "url", "downloads_left"],
            "properties": {
                "field": { "type": "string", "description": "The name of the form's field" },
                "name": { "type": "string", "description": "The name it is stored under" },
                "path": { "type": "string", "description": "Where it lies below the upload, with / between the folders that came with its name; its name where none did" },
                "size": count,
                "type": { "type": "string", "description": "The media type, as the part gave it; guessed from the name where it gave none or application/octet-stream" },
                "sha256": nullable(digest.clone()),
                "url": { "type": "string", "format": "uri-reference" },
                "downloads_left": nullable(count.clone()),
            },
        },
        "Upload": {
            "type": "object",
            "required": ["id", "url", "upload_url", "form_url", "archive_url", "size", "file_count", "name", "type", "sha256", "title", "files", "fields", "created_at", "expires_at", "max_downloads", "downloads_left", "protected"],
            "description": "max_downloads and downloads_left are null where downloads are not limited; downloads_left is that of the file that has the most. name, type and sha256 are the file's where there is exactly one, else null",
            "properties": {
                "id": { "$ref": "#/components/schemas/Id" },
                "url": address("The bytes of its file, where there is exactly one; else upload_url"),
                "upload_url": address("This record for programs, a page for people"),
                "form_url": address("All of it as multipart/form-data"),
                "archive_url": nullable(address("All its files as a ZIP file; null where there is none")),
                "size": { "type": "integer", "minimum": 0, "description": "Bytes of all its files" },
                "file_count": count,
                "name": nullable(text.clone()),
                "type": nullable(text.clone()),
                "sha256": nullable(digest.clone()),
                "title": nullable(json!({ "type": "string", "description": "What its sender calls it" })),
                "files": { "type": "array", "items": { "$ref": "#/components/schemas/File" } },
                "fields": {
                    "type": "object",
                    "additionalProperties": { "type": "array", "items": { "type": "string" } },
                },
                "created_at": time,
                "expires_at": nullable(time.clone()),
                "max_downloads": nullable(count.clone()),
                "downloads_left": nullable(count.clone()),
                "protected": protected,
            },
        },
        "Summary": {
            "type": "object",
            "required": ["id", "url", "upload_url", "form_url", "archive_url", "size", "file_count", "name", "type", "sha256", "title", "created_at", "expires_at", "max_downloads", "downloads_left", "protected"],
            "description": "An upload without its files and fields, in the words of Upload; upload_url says all of it",
            "properties": {
                "id": { "$ref": "#/components/schemas/Id" },
                "url": address("The bytes of its file, where there is exactly one; else upload_url"),
                "upload_url": address("Its record for programs, a page for people"),
                "form_url": address("All of it as multipart/form-data"),
                "archive_url": nullable(address("All its files as a ZIP file; null where there is none")),
                "size": { "type": "integer", "minimum": 0, "description": "Bytes of all its files" },
                "file_count": count,
                "name": nullable(text.clone()),
                "type": nullable(text.clone()),
                "sha256": nullable(digest),
                "title": nullable(text.clone()),
                "created_at": time,
                "expires_at": nullable(time.clone()),
                "max_downloads": nullable(count.clone()),
                "downloads_left": nullable(count.clone()),
                "protected": protected,
                "files": { "type": "array", "items": { "$ref": "#/components/schemas/File" }, "description": "With full=1" },
                "fields": {
                    "type": "object",
                    "additionalProperties": { "type": "array", "items": { "type": "string" } },
                    "description": "With full=1",
                },
            },
        },
        "Listing": {
            "type": "object",
            "required": ["uploads", "next_cursor"],
            "properties": {
                "uploads": { "type": "array", "items": { "$ref": "#/components/schemas/Summary" } },
                "next_cursor": nullable(json!({ "type": "string", "description": "What `after` is for the next page, which may have uploads even if this one has none" })),
            },
        },
        "Change": {
            "type": "object",
            "additionalProperties": false,
            "description": "What is left out stays as it is; expires_in and expires_at exclude each other",
            "properties": {
                "expires_in": {
                    "description": "From now: 90s, 15m, 12h, 7d, 2w, a sum such as 1d12h, seconds, or never; null is never",
                    "anyOf": [
                        lifetime(),
                        { "type": "integer", "minimum": 1, "maximum": 9_999_999_999_u64 },
                        { "type": "null" },
                    ],
                },
                "expires_at": nullable(time.clone()),
                "max_downloads": nullable(json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX, "description": "Downloads that were counted count; null is any number" })),
                "title": nullable(text.clone()),
            },
        },
        "Prolonging": {
            "type": "object",
            "required": ["wharf_expires_in"],
            "properties": { "token": text, "wharf_expires_in": lifetime() },
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457",
            "required": ["type", "title", "status", "detail", "code", "request_id", "error"],
            "properties": {
                "type": { "type": "string", "format": "uri-reference", "description": "The page of the code on this server" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "code": { "$ref": "#/components/schemas/Code" },
                "request_id": { "type": "string" },
                "error": { "type": "string", "description": "The same as detail, where upload widgets look" },
                "option": { "type": "string", "description": "The option at fault" },
                "allowed": { "type": "array", "items": { "type": "string" }, "description": "What there is instead" },
                "setting": { "type": "string", "description": "The setting that decides it" },
                "limit": { "type": "integer", "minimum": 0, "description": "Its value: bytes, seconds or a count" },
                "part": { "type": "integer", "minimum": 1, "description": "The part of the form" },
                "byte": { "type": "integer", "minimum": 0, "description": "The byte of the body" },
                "field": { "type": "string", "description": "The field at fault: of the form, the head or the query" },
                "name": { "type": "string", "description": "What was asked for" },
                "expected": { "type": "string", "description": "What was announced" },
                "actual": { "type": "string", "description": "What came" },
                "scope": { "type": "string", "description": "The scope that a secret needs" },
                "retry_after": { "type": "integer", "minimum": 1, "description": "Seconds, as Retry-After says" },
            },
        },
        "Code": {
            "type": "string",
            "description": "A stable word for programs; later versions may have more",
            "enum": codes,
        },
        "Explanation": {
            "type": "object",
            "description": "What a code means, in the language that is asked for",
            "required": ["type", "code", "title", "advice", "means", "statuses", "settings", "members"],
            "properties": {
                "type": { "type": "string", "format": "uri-reference" },
                "code": { "$ref": "#/components/schemas/Code" },
                "title": text,
                "advice": { "type": "string", "description": "What a person does" },
                "means": text,
                "statuses": { "type": "array", "items": { "type": "integer" } },
                "settings": { "type": "array", "items": { "type": "string" } },
                "members": { "type": "array", "items": { "type": "string" } },
            },
        },
        "Problems": {
            "type": "object",
            "required": ["problems"],
            "properties": { "problems": { "type": "array", "items": { "$ref": "#/components/schemas/Explanation" } } },
        },
        "Comparison": {
            "type": "object",
            "required": ["run", "state", "uploads", "forgotten", "damaged"],
            "description": "The counts are null until it is done",
            "properties": {
                "run": nullable(json!({ "type": "string", "description": "Which comparison it is: another instance has another one" })),
                "state": { "enum": ["none", "running", "done", "failed"] },
                "uploads": nullable(count.clone()),
                "forgotten": nullable(count.clone()),
                "damaged": nullable(count.clone()),
            },
        },
        "About": about(&count),
        "Status": {
            "type": "object",
            "required": ["instance", "version", "role", "epoch", "uploads", "next_expiry", "warning"],
            "properties": {
                "instance": { "type": "string" },
                "version": { "type": "string" },
                "role": { "type": "string", "enum": ["leader", "follower"] },
                "epoch": count,
                "uploads": nullable(count.clone()),
                "next_expiry": nullable(time.clone()),
                "warning": nullable(json!({ "type": "string", "description": "What the storage cannot promise" })),
            },
        },
    });
    schemas["Created"] = created(&schemas["Upload"]);
    schemas
}

/// The server and its limits.
fn about(count: &Value) -> Value {
    let limits = [
        "max_request_size",
        "max_file_size",
        "max_files",
        "max_fields",
        "max_field_size",
        "max_fields_size",
        "max_expires_in",
        "default_expires_in",
    ];
    let limit = |name: &&str| ((*name).to_owned(), nullable(count.clone()));
    let closed = json!({ "type": "boolean" });
    json!({
        "type": "object",
        "required": ["name", "version", "url", "limits", "features", "needs_secret", "scopes"],
        "properties": {
            "name": { "const": "wharf" },
            "version": { "type": "string" },
            "url": { "type": "string", "format": "uri", "description": "What the addresses in its answers begin with" },
            "limits": {
                "type": "object",
                "description": "null is no limit; sizes are bytes, times seconds",
                "required": limits,
                "properties": limits.iter().map(limit).collect::<serde_json::Map<_, _>>(),
            },
            "features": { "type": "array", "items": { "type": "string" }, "description": "names: files are found by name; digests: every file gets its sha256. Later versions may have more" },
            "needs_secret": {
                "type": "object",
                "description": "Which scopes a client without a secret does not have",
                "required": ["upload", "download", "list", "admin"],
                "properties": { "upload": closed, "download": closed, "list": closed, "admin": closed },
            },
            "scopes": {
                "type": "array",
                "items": { "type": "string", "enum": ["upload", "download", "list", "admin"] },
                "description": "The scopes that this request has, by its secret or because they are open",
            },
        },
    })
}

/// An upload as it is told once: with its secret.
fn created(upload: &Value) -> Value {
    let mut created = upload.clone();
    created["properties"]["delete_token"] = json!({ "type": "string", "description": "Deletes and prolongs the upload; it is told once" });
    created["properties"]["manage_key"] = json!({ "type": "string", "description": "Id and delete token in one, ID.TOKEN; taken wherever the token is" });
    if let Value::Array(required) = &mut created["required"] {
        required.extend([json!("delete_token"), json!("manage_key")]);
    }
    created
}
