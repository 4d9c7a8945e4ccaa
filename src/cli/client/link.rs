//! Links as names: what a browser opens, the commands take as well.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::client::ArchiveFormat;
use crate::model::UploadId;

/// The resource whose addresses end in a format.
const ARCHIVE: &str = "archive";
/// The resources whose addresses people pass on.
const RESOURCES: [&str; 4] = ["files", "download", "uploads", ARCHIVE];

/// The word on a command line for an upload or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The server, where it is a link.
    pub server: Option<String>,
    /// An id, `ID/FILE` or the name of a file.
    pub name: String,
    /// The format, where it is the link of an archive.
    pub archive: Option<ArchiveFormat>,
}

impl Named {
    /// A link of a server, or else a name as it is.
    pub fn read(text: &str) -> Self {
        let mut named = link(text).unwrap_or_else(|| Named {
            server: None,
            name: text.to_owned(),
            archive: None,
        });
        // The server would lead there.
        let (id, file) = match named.name.split_once('/') {
            Some((id, file)) => (id, Some(file)),
            None => (named.name.as_str(), None),
        };
        if let Some(meant) = UploadId::meant_by(id) {
            named.name = match file {
                Some(file) => format!("{meant}/{file}"),
                None => meant.to_string(),
            };
        }
        named
    }
}

fn link(text: &str) -> Option<Named> {
    if !["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        return None;
    }
    let mut url = Url::parse(text).ok()?;
    let segments: Vec<String> = url.path_segments()?.map(str::to_owned).collect();
    // A file, too, can be called so.
    let is_resource = |at: &usize| {
        let names = segments.len() - at - 1;
        RESOURCES.contains(&segments[*at].as_str()) && (1..=2).contains(&names)
    };
    let at = (0..segments.len()).rev().find(is_resource)?;
    let (base, [_, names @ ..]) = segments.split_at(at) else {
        return None;
    };
    if names.iter().any(String::is_empty) {
        return None;
    }
    let decoded = names
        .iter()
        .map(|name| percent_decode_str(name).decode_utf8_lossy());
    let mut name = decoded.collect::<Vec<_>>().join("/");
    let mut archive = None;
    if segments[at] == ARCHIVE {
        let formats = [(".zip", ArchiveFormat::Zip), (".tar", ArchiveFormat::Tar)];
        let (id, format) = formats
            .into_iter()
            .find_map(|(end, format)| Some((name.strip_suffix(end)?, format)))?;
        archive = Some(format);
        name = id.to_owned();
    }
    url.set_path(&base.join("/"));
    url.set_query(None);
    url.set_fragment(None);
    let server = url.as_str().trim_end_matches('/').to_owned();
    Some(Named {
        server: Some(server),
        name,
        archive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_apart() {
        let read = |text: &str| {
            let named = Named::read(text);
            (named.server.unwrap_or_default(), named.name)
        };
        let pair = |server: &str, name: &str| (server.to_owned(), name.to_owned());
        let local = "http://localhost:8080";
        assert_eq!(read("http://localhost:8080/uploads/ID"), pair(local, "ID"));
        assert_eq!(
            read("http://localhost:8080/files/ID/a%20b.txt?inline=1#x"),
            pair(local, "ID/a b.txt")
        );
        assert_eq!(
            read("https://a/w/files/download/x"),
            pair("https://a/w/files", "x")
        );
        assert_eq!(
            read("http://localhost:8080/files/ID/download"),
            pair(local, "ID/download")
        );
        let id = "0c8r5v3m9ag7wqk2ht4xz1y6ne";
        assert_eq!(read("OC8R5V3M9AG7WQK2HT4XZ1Y6NE"), pair("", id));
        let file = read("http://localhost:8080/files/OC8R5V3M9AG7WQK2HT4XZ1Y6NE/A");
        assert_eq!(file, pair(local, &format!("{id}/A")));
        let archive = Named::read("https://a/w/archive/ID.tar");
        assert_eq!(
            (archive.name.as_str(), archive.archive),
            ("ID", Some(ArchiveFormat::Tar))
        );
        assert_eq!(archive.server.as_deref(), Some("https://a/w"));
        for name in [
            "http://a/archive/ID",
            "ID",
            "ID/a.txt",
            "http://a/x/y",
            "http://a/files/",
            "ftp://a/files/x",
            "http:",
        ] {
            assert_eq!(read(name), pair("", name));
        }
    }
}
