//! A record that is written in pieces is the one that would be written at once.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::Field;

/// The pieces of a record, as they are written for a slow reader.
fn pieces(manifest: &Manifest, mut text: RecordText) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while !text.is_written() {
        let mut piece = Vec::new();
        text.write(manifest, &mut piece);
        pieces.push(piece);
    }
    pieces
}

fn read(pieces: &[Vec<u8>]) -> Value {
    serde_json::from_slice(&pieces.concat()).unwrap()
}

/// The `files` and `fields` of a record, made the plain way.
fn content(manifest: &Manifest, base: &str) -> (Value, Value) {
    let files = manifest.files().map(|(field, file)| {
        json!({
            "field": Spelling::Name.show(field.as_bytes()),
            "name": file.name,
            "path": file.path(),
            "size": file.size,
            "type": file.served_type(),
            "sha256": file.sha256,
            "url": file_url(manifest, file, base),
            "downloads_left": manifest.downloads_left_of(file),
        })
    });
    let files = files.collect();
    let mut fields = Map::new();
    for field in manifest.fields() {
        let name = Spelling::Name.show(field.field.as_bytes()).into_owned();
        let values = fields.entry(name).or_insert_with(|| json!([]));
        let value = json!(field.value.to_text());
        values.as_array_mut().unwrap().push(value);
    }
    (files, fields.into())
}

/// Names and values: short ones that are often the same, and long ones in which much is escaped.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let unit = prop::sample::select(&["a", "%22", "\"", "\u{1}", "\u{4e2d}", "\u{0}%"][..]);
    let often = prop_oneof![4 => 0..2_usize, 1 => 0..9000_usize];
    let text = (unit, often).prop_map(|(unit, often)| unit.repeat(often).into_bytes());
    let wild = prop::collection::vec(any::<u8>(), 0..5000);
    prop_oneof![6 => text, 1 => wild]
}

fn part() -> impl Strategy<Value = Part> {
    let field = (text(), text()).prop_map(|(field, value)| {
        Part::Field(Field {
            field: field.into(),
            value: value.into(),
            media_type: None,
            rest: Default::default(),
        })
    });
    let file = (text(), "\\PC{1,40}", 0..9_u64).prop_map(|(field, name, size)| Part::File {
        field: field.into(),
        file: StoredFile::sample(&name, size),
    });
    prop_oneof![2 => field, 1 => file]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_pieces_of_a_record_are_the_record(
        parts in prop::collection::vec(part(), 0..12),
        max_downloads in prop::option::of(1..3_u64),
    ) {
        let manifest = Manifest { max_downloads, ..Manifest::sample(parts) };
        let pieces = pieces(&manifest, RecordText::new(&manifest, "http://h".to_owned()));
        for piece in &pieces {
            prop_assert!(piece.len() < 32 << 10, "{}", piece.len());
        }
        let record = read(&pieces);
        let (files, fields) = content(&manifest, "http://h");
        prop_assert_eq!(&record["files"], &files);
        // The order of the names is that of the form.
        let [found, expected] = [&record["fields"], &fields].map(ToString::to_string);
        prop_assert!(found == expected, "{found} for {expected}");
        prop_assert_eq!(&record["size"], manifest.size());
        prop_assert_eq!(&record["file_count"], manifest.files().count());
    }
}

#[test]
fn the_members_stand_in_their_order() {
    let file = StoredFile::sample("a b.txt", 3);
    let mut manifest = Manifest::sample(vec![Part::sample(file.clone())]);
    let id = manifest.id;
    let base = "https://h/w".to_owned();
    let made = RecordText::created(&manifest, base.clone(), "secret");
    let record = read(&pieces(&manifest, made));
    let expected = json!({
        "id": id,
        "url": format!("https://h/w/files/{id}/a%20b.txt"),
        "upload_url": format!("https://h/w/uploads/{id}"),
        "form_url": format!("https://h/w/download/{id}"),
        "archive_url": format!("https://h/w/archive/{id}.zip"),
        "size": 3,
        "file_count": 1,
        "name": "a b.txt",
        "type": "text/plain",
        "sha256": null,
        "title": null,
        "files": [{
            "field": "f",
            "name": "a b.txt",
            "path": "a b.txt",
            "size": 3,
            "type": "text/plain",
            "sha256": null,
            "url": format!("https://h/w/files/{id}/a%20b.txt"),
            "downloads_left": null,
        }],
        "fields": {},
        "created_at": "1970-01-01T00:00:00.001Z",
        "expires_at": null,
        "max_downloads": null,
        "downloads_left": null,
        "protected": false,
        "delete_token": "secret",
        "manage_key": format!("{id}.secret"),
    });
    assert_eq!(record.to_string(), expected.to_string());
    // With another file beside it, no file is the upload.
    manifest.parts.push(Part::sample(file));
    let record = read(&pieces(&manifest, RecordText::new(&manifest, base)));
    assert_eq!(record["url"], record["upload_url"]);
    assert_eq!(
        (&record["size"], &record["file_count"]),
        (&json!(6), &json!(2))
    );
    for member in ["name", "type", "sha256"] {
        assert!(record[member].is_null(), "{record}");
    }
    assert!(record.get("delete_token").is_none() && record.get("manage_key").is_none());
}
