//! The layouts of a manifest as JSON, which `docs/manifest.md` describes.
//!
//! A manifest has the lowest that can express it. The first is what 7d560c9 writes and reads, so
//! that instances of both serve plain uploads beside each other. The second has what an
//! older version must not ignore, in the words of the interface. Both are read by the same
//! names and their aliases.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Digest, FileName, FilePath, Manifest, Members, Part, RawText, Salt, Timestamp, Title,
    TokenHash, UploadId,
};

/// The layout of manifests and tombstones that every version reads.
pub const FIRST_SCHEMA: u32 = 1;
/// The layout of manifests with what versions that know the first alone must not ignore.
pub const SECOND_SCHEMA: u32 = 2;

/// The members that this version acts by, and that may be named as critical.
const KNOWN: [&str; 26] = [
    "schema",
    "generation",
    "id",
    "created_at",
    "order",
    "expires_at",
    "max_downloads",
    "used",
    "salt",
    "delete_token_sha256",
    "parts",
    "title",
    "unseen",
    "critical",
    "kind",
    "field",
    "value",
    "type",
    "name",
    "original",
    "size",
    "extended",
    "given_type",
    "sha256",
    "path",
    "crc32",
];

/// The part of manifests and tombstones that tells which it is, and whether this version can read
/// it.
#[derive(Deserialize)]
pub struct Probe {
    schema: u32,
    /// A tombstone says why the upload is gone.
    pub gone: Option<IgnoredAny>,
    /// The members without which the upload must not be served.
    #[serde(default)]
    critical: Vec<String>,
}

impl Probe {
    /// Why this version cannot read it, if it cannot: a newer one can.
    pub fn obstacle(&self) -> Option<String> {
        if self.schema > SECOND_SCHEMA {
            let schema = self.schema;
            return Some(format!(
                "has the schema {schema}, and {SECOND_SCHEMA} is the newest known"
            ));
        }
        let unknown = |member: &&String| !KNOWN.contains(&member.as_str());
        let member = self.critical.iter().find(unknown)?;
        Some(format!(
            "must not be served without its member {member:?}, which this version does not know"
        ))
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.schema {
            ..=FIRST_SCHEMA => First::of(self).serialize(serializer),
            _ => Second::of(self).serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct First<'a> {
    schema: u32,
    generation: u64,
    id: &'a UploadId,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    max_downloads: Option<u64>,
    used: u64,
    salt: &'a Salt,
    delete_token: &'a TokenHash,
    parts: &'a [Part],
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Title>,
    #[serde(skip_serializing_if = "is_zero")]
    unseen: u64,
    #[serde(flatten)]
    rest: &'a Members,
}

impl<'a> First<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        First {
            schema: manifest.schema,
            generation: manifest.generation,
            id: &manifest.id,
            created_at: manifest.created_at,
            order: manifest.order,
            expires_at: manifest.expires_at,
            max_downloads: manifest.max_downloads,
            used: manifest.used,
            salt: &manifest.salt,
            delete_token: &manifest.delete_token,
            parts: &manifest.parts,
            title: manifest.title.as_ref(),
            unseen: manifest.unseen,
            rest: &manifest.rest,
        }
    }
}

#[derive(Serialize)]
struct Second<'a> {
    schema: u32,
    generation: u64,
    id: &'a UploadId,
    created_at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Rfc3339>,
    expires_at: Option<Rfc3339>,
    max_downloads: Option<u64>,
    used: u64,
    salt: &'a Salt,
    delete_token_sha256: &'a TokenHash,
    #[serde(serialize_with = "second_parts")]
    parts: &'a [Part],
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Title>,
    #[serde(skip_serializing_if = "is_zero")]
    unseen: u64,
    #[serde(flatten)]
    rest: &'a Members,
}

impl<'a> Second<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        Second {
            schema: manifest.schema,
            generation: manifest.generation,
            id: &manifest.id,
            created_at: Rfc3339(manifest.created_at),
            order: manifest.order.map(Rfc3339),
            expires_at: manifest.expires_at.map(Rfc3339),
            max_downloads: manifest.max_downloads,
            used: manifest.used,
            salt: &manifest.salt,
            delete_token_sha256: &manifest.delete_token,
            parts: &manifest.parts,
            title: manifest.title.as_ref(),
            unseen: manifest.unseen,
            rest: &manifest.rest,
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn second_parts<S: Serializer>(parts: &&[Part], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parts.iter().map(SecondPart::of))
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SecondPart<'a> {
    Field {
        field: &'a RawText,
        value: &'a RawText,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        media_type: Option<&'a str>,
        #[serde(flatten)]
        rest: &'a Members,
    },
    File {
        field: &'a RawText,
        name: &'a FileName,
        original: &'a RawText,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a FilePath>,
        size: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        extended: Option<&'a str>,
        #[serde(rename = "type")]
        media_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        given_type: Option<&'a str>,
        sha256: Option<Digest>,
        #[serde(skip_serializing_if = "Option::is_none")]
        crc32: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        used: Option<u64>,
        #[serde(flatten)]
        rest: &'a Members,
    },
}

impl<'a> SecondPart<'a> {
    fn of(part: &'a Part) -> Self {
        match part {
            Part::Field(field) => SecondPart::Field {
                field: &field.field,
                value: &field.value,
                media_type: field.media_type.as_deref(),
                rest: &field.rest,
            },
            Part::File { field, file } => SecondPart::File {
                field,
                name: &file.name,
                original: &file.original,
                path: file.path.as_ref(),
                size: file.size,
                extended: file.extended.as_deref(),
                media_type: &file.media_type,
                given_type: file.given_type.as_deref(),
                sha256: file.sha256,
                crc32: file.crc32,
                used: file.used,
                rest: &file.rest,
            },
        }
    }
}

/// A time as the second layout writes it.
struct Rfc3339(Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Portion, Stored, StoredFile};
    use serde_json::Value;

    fn manifest() -> Manifest {
        let field = Part::Field(Field {
            field: b"name"[..].into(),
            value: b"caf\xe9"[..].into(),
            media_type: Some("text/plain".to_owned()),
            rest: Default::default(),
        });
        let file = StoredFile {
            original: b"x/part1.txt"[..].into(),
            path: Some(FilePath::from_upload(b"x/part1.txt")),
            crc32: Some(u32::MAX),
            extended: Some("UTF-8''part1.txt".to_owned()),
            given_type: Some(String::new()),
            ..StoredFile::sample("part1.txt", 15)
        };
        let other = Part::sample(StoredFile::sample("part2.txt", 1));
        Manifest {
            created_at: Timestamp::from_millis(1_795_396_450_123),
            expires_at: Some(Timestamp::from_millis(1_795_396_999_999)),
            max_downloads: Some(2),
            ..Manifest::sample(vec![field, Part::sample(file), other])
        }
    }

    #[test]
    fn a_manifest_comes_back_from_both_layouts() {
        let mut manifest = manifest();
        for later in [None, Some(Timestamp::from_millis(1_795_396_450_124))] {
            manifest.order = later;
            for schema in [FIRST_SCHEMA, SECOND_SCHEMA] {
                manifest.schema = schema;
                let json = serde_json::to_string(&manifest).unwrap();
                assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
                assert_eq!(json.contains("\"order\""), later.is_some());
                let forged = json.replace("\"part1.txt\"", "\"../part1.txt\"");
                assert!(serde_json::from_str::<Manifest>(&forged).is_err());
            }
        }
        assert!(manifest.delete_token.matches("t") && !manifest.delete_token.matches("u"));
    }

    /// The first has the names and the order of 7d560c9; the second those of the interface.
    #[test]
    fn each_layout_has_its_words() {
        let mut manifest = manifest();
        let names = |value: &Value| {
            let names = value.as_object().unwrap().keys();
            names.cloned().collect::<Vec<_>>().join(" ")
        };
        let first = serde_json::to_value(&manifest).unwrap();
        assert_eq!(
            names(&first),
            "schema generation id created_at expires_at max_downloads used salt delete_token parts"
        );
        assert_eq!(first["created_at"], 1_795_396_450_123_u64);
        let plain = serde_json::to_value(Part::sample(StoredFile::sample("a", 1))).unwrap();
        assert_eq!(
            names(&plain),
            "kind field name original size media_type sha256"
        );
        assert!(manifest.count_download(&Portion::File(1)));
        let second = serde_json::to_value(&manifest).unwrap();
        assert_eq!(second["schema"], 2);
        assert_eq!(
            names(&second),
            "schema generation id created_at expires_at max_downloads used salt \
             delete_token_sha256 parts"
        );
        assert_eq!(second["created_at"], "2026-11-23T01:14:10.123Z");
        let parts = [
            "kind field value type",
            "kind field name original path size extended type given_type sha256 crc32",
            "kind field name original size type sha256 used",
        ];
        for (part, expected) in second["parts"].as_array().unwrap().iter().zip(parts) {
            assert_eq!(names(part), expected);
        }
        let all = [names(&second), parts.join(" ")].join(" ");
        let all = all
            .split(' ')
            .chain(["order", "title", "unseen", "critical"]);
        let mut all: Vec<&str> = all.collect();
        all.sort_unstable();
        all.dedup();
        let mut known = KNOWN.to_vec();
        known.sort_unstable();
        assert_eq!(all, known);
    }

    #[test]
    fn what_a_later_version_has_written_is_kept_as_it_came() {
        let id = UploadId::generate().unwrap();
        let first = format!(
            r#"{{"schema":1,"generation":3,"id":"{id}","created_at":5,"expires_at":null,"max_downloads":null,"used":0,"salt":"{}","delete_token":"{}","parts":[{{"kind":"field","field":"a","value":"b","language":"de"}},{{"kind":"file","field":"f","name":"a.txt","original":"a.txt","size":3,"media_type":"text/plain","sha256":null,"colour":"red"}}],"title":"t","later":{{"z":[1.5,null,-7,18446744073709551615],"a":true}}}}"#,
            "0".repeat(32),
            "0".repeat(64),
        );
        let second = first
            .replace("\"schema\":1", "\"schema\":2")
            .replace(":5,", ":\"1970-01-01T00:00:00.005Z\",")
            .replace("delete_token", "delete_token_sha256")
            .replace("media_type", "type")
            .replace("\"later\"", "\"critical\":[\"used\"],\"later\"");
        for json in [first, second] {
            let mut manifest: Manifest = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&manifest).unwrap(), json);
            assert!(manifest.rest.weight() > 0);
            manifest.used += 1;
            let next = serde_json::to_string(&manifest).unwrap();
            assert_eq!(next, json.replace("\"used\":0", "\"used\":1"));
        }
    }

    #[test]
    fn a_critical_member_that_is_unknown_is_that_of_a_newer_version() {
        let mut manifest = manifest();
        manifest.schema = SECOND_SCHEMA;
        let id = manifest.id;
        let json = serde_json::to_string(&manifest).unwrap();
        let with = |critical: &str| json.replace("\"parts\"", &format!("{critical},\"parts\""));
        let known = with(r#""critical":["used","expires_at"]"#);
        assert!(Stored::from_json(known.as_bytes(), &id).is_ok());
        let unknown = with(r#""critical":["used","password"]"#);
        assert_eq!(
            Stored::from_json(unknown.as_bytes(), &id).unwrap_err(),
            "must not be served without its member \"password\", which this version does not know"
        );
        assert!(Stored::is_newer(unknown.as_bytes()) && !Stored::is_newer(known.as_bytes()));
    }
}
