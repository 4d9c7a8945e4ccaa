//! `GET /uploads/ID/view/NAME`: a text of an upload as a page for a frame, Markdown as what it means.

use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse as _, Response};
use http::HeaderMap;
use serde_json::json;

use super::preview::Preview;
use super::{PageReader, markdown, policy};
use crate::delivery::{Block, BodyContent, Representation, Selected};
use crate::http::AppState;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};
use crate::model::StoredFile;

/// The most bytes of a file that are read for it: a page is made at once, for each of its readers.
const MAX_READ: u64 = 256 << 10;

/// The beginning of a text, or all of it. Downloads that are counted have no previews: each would be
/// one.
pub async fn view(
    State(app): State<AppState>,
    PathParams((id, name)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.file(&id, &name).await?;
    let file = file_of(&selected).filter(|file| Preview::of(file) == Some(Preview::Text));
    let Some(file) = file.filter(|_| selected.manifest.max_downloads.is_none()) else {
        let detail =
            format!("{name:?} has no page to be read on; /files/{id}/{name} has its bytes");
        return Err(Problem::new(Code::FileNotFound, detail));
    };
    let bytes = app.beginning(&selected).await?;
    let text = decoded(&bytes);
    let reader = PageReader::of(&app, query.as_deref(), &headers);
    let rich = Preview::is_markdown(file);
    let values = json!({
        "title": file.name,
        "rich": rich,
        "text": if rich { markdown::to_html(&text) } else { text },
        "cut": file.size > MAX_READ,
    });
    let mut response = Html(reader.page("view.html", values)).into_response();
    policy::secure_frame(response.headers_mut(), reader.base);
    policy::unlisted(response.headers_mut());
    Ok(response)
}

fn file_of(selected: &Selected) -> Option<&StoredFile> {
    let name = selected.file.as_ref()?;
    let mut files = selected.manifest.files().map(|(_, file)| file);
    files.find(|file| file.name == *name)
}

impl AppState {
    /// At most [`MAX_READ`] bytes of the selected file.
    async fn beginning(&self, selected: &Selected) -> Result<Vec<u8>, Problem> {
        let raw = Representation::raw(selected);
        let raw = raw.ok_or_else(|| Problem::new(Code::FileNotFound, "there is no such file"))?;
        let pieces = vec![raw.slice(0..raw.len().min(MAX_READ))];
        match self.delivery.open(&raw, pieces, false, false).await? {
            BodyContent::Whole(bytes) => Ok(bytes.into()),
            BodyContent::Blocks(mut blocks) => {
                let mut all = Vec::new();
                while let Some(Block::Bytes(block)) = blocks.next(false).await? {
                    all.extend_from_slice(&block);
                }
                Ok(all)
            }
        }
    }
}

/// The text of bytes: UTF-16 where its mark says so, else UTF-8 with a sign for what is not.
fn decoded(bytes: &[u8]) -> String {
    let wide = |read: fn([u8; 2]) -> u16| {
        let pairs = bytes[2..].as_chunks().0.iter();
        let units: Vec<u16> = pairs.map(|pair| read(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => lossy(rest),
        bytes => lossy(bytes),
    }
}

/// A character that the end has cut is left out.
fn lossy(bytes: &[u8]) -> String {
    let whole = match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for (bytes, text) in [
            (&b"a\xe4\xbd\xa0"[..], "a\u{4f60}"),
            (b"a\xe4\xbd", "a"),
            (b"a\xe4b", "a\u{fffd}b"),
            (b"\xef\xbb\xbfa", "a"),
            (b"\xff\xfea\0\x60\x4f", "a\u{4f60}"),
            (b"\xfe\xff\0a\x4f\x60", "a\u{4f60}"),
        ] {
            assert_eq!(decoded(bytes), text, "{bytes:?}");
        }
    }
}
