//! Which route of the table a path is of, as the log and the counters say it: a path that a client
//! invents must not become a label.

use http::{Method, Uri};

use crate::model::UploadId;

/// The label of a path that is of no route.
pub const NO_ROUTE: &str = "none";

/// The routes as labels.
pub struct RouteLabels {
    base: String,
    /// Finds the template of a path: with the base path before it, and without where it lies beside
    /// it.
    templates: matchit::Router<&'static str>,
    methods: RouteMethods,
}

/// The properties of methods at templates.
#[derive(Debug, Default)]
pub struct RouteMethods {
    /// Those that store an upload.
    pub uploads: Vec<(Method, &'static str)>,
    /// Those that take a body, with its media types.
    pub bodies: Vec<(Method, &'static str, &'static str)>,
}

impl RouteLabels {
    /// The labels of these `templates`, which lie below `base`; those of `bare` do beside it as
    /// well; more is known of `methods`.
    pub fn new(
        base: &str,
        templates: impl Iterator<Item = &'static str>,
        bare: impl Iterator<Item = &'static str>,
        methods: RouteMethods,
    ) -> Self {
        let below = templates.map(|template| (format!("{base}{template}"), template));
        let beside = bare.map(|template| (template.to_owned(), template));
        let mut templates = matchit::Router::new();
        for (place, template) in below.chain(beside) {
            // A template that has several methods comes several times; the table of routes is
            // refused by the same router if two templates are for one path.
            let _ = templates.insert(place, template);
        }
        RouteLabels {
            base: base.to_owned(),
            templates,
            methods,
        }
    }

    /// The template that `path` is of.
    pub fn of(&self, path: &str) -> &'static str {
        self.templates
            .at(path)
            .map_or(NO_ROUTE, |found| found.value)
    }

    /// Whether a request with this method to this label is to store an upload.
    pub fn is_upload(&self, method: &Method, label: &str) -> bool {
        let mut uploads = self.methods.uploads.iter();
        uploads.any(|(known, template)| known == method && *template == label)
    }

    /// The media types that a method of a label takes, where that is said.
    pub fn takes(&self, method: &Method, label: &str) -> Option<&'static str> {
        let mut bodies = self.methods.bodies.iter();
        bodies
            .find(|(known, template, _)| known == method && *template == label)
            .map(|(_, _, types)| *types)
    }

    /// The upload that a path names: all that do have the id as their second segment.
    pub fn upload(&self, path: &str) -> Option<UploadId> {
        let below = path.strip_prefix(self.base.as_str())?;
        below.split('/').nth(2)?.parse().ok()
    }

    /// Where a resource is whose address has its id as a person wrote it down. A segment that may
    /// be a name is not looked at here.
    pub fn moved(&self, uri: &Uri) -> Option<String> {
        let path = uri.path();
        let below = path.strip_prefix(self.base.as_str())?;
        let written = below.split('/').nth(2)?;
        let id = UploadId::meant_by(written)?;
        if !self.of(path).contains("/{id}") {
            return None;
        }
        let at = path.len() - below.len() + below.find(written)?;
        let (before, rest) = (&path[..at], &path[at + written.len()..]);
        let query = uri.query().map(|query| format!("?{query}"));
        Some(format!("{before}{id}{rest}{}", query.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_one_template() {
        let templates = [
            "/",
            "/upload",
            "/files/{name}",
            "/files/{id}/{name}",
            "/static/{version}/{*name}",
            "/uploads/{id}",
            "/uploads/{id}/delete",
        ];
        for base in ["", "/w"] {
            let none = RouteMethods::default();
            let labels = RouteLabels::new(base, templates.into_iter(), [].into_iter(), none);
            for (path, label) in [
                ("/", "/"),
                ("/upload", "/upload"),
                ("/upload/", NO_ROUTE),
                ("/files/a", "/files/{name}"),
                ("/files/", NO_ROUTE),
                ("/files/a%2Fb", "/files/{name}"),
                ("/files/a/b", "/files/{id}/{name}"),
                ("/files/a/b/c", NO_ROUTE),
                ("/static/1/words/en.js", "/static/{version}/{*name}"),
                ("/uploads/x/delete", "/uploads/{id}/delete"),
                ("/uploads/x/other", NO_ROUTE),
                ("/wp-login.php", NO_ROUTE),
            ] {
                assert_eq!(labels.of(&format!("{base}{path}")), label, "{path}");
            }
        }
        let labels = RouteLabels::new(
            "/w",
            templates.into_iter(),
            ["/healthz"].into_iter(),
            RouteMethods {
                uploads: vec![(Method::POST, "/upload")],
                bodies: vec![(Method::POST, "/upload", "a/b")],
            },
        );
        assert_eq!(labels.takes(&Method::POST, "/upload"), Some("a/b"));
        assert_eq!(labels.takes(&Method::POST, "/files"), None);
        assert_eq!(labels.of("/upload"), NO_ROUTE);
        assert_eq!(labels.of("/healthz"), "/healthz");
        assert!(labels.is_upload(&Method::POST, "/upload"));
        assert!(!labels.is_upload(&Method::GET, "/upload"));
        let id = "0c8r5v3m9ag7wqk2ht4xz1y6ne";
        for (asked, place) in [
            (
                "/w/uploads/OC8R5V3M9AG7WQK2HT4XZ1Y6NE?a=/b",
                Some("/w/uploads/{}?a=/b"),
            ),
            (
                "/w/files/0c8r5v3m9ag7wqk2ht4xzly6ne/a%2fb",
                Some("/w/files/{}/a%2fb"),
            ),
            ("/w/files/OC8R5V3M9AG7WQK2HT4XZ1Y6NE", None),
            ("/uploads/OC8R5V3M9AG7WQK2HT4XZ1Y6NE", None),
            ("/w/uploads/0c8r5v3m9ag7wqk2ht4xz1y6ne", None),
            ("/w/other/OC8R5V3M9AG7WQK2HT4XZ1Y6NE", None),
        ] {
            let place = place.map(|place| place.replace("{}", id));
            assert_eq!(labels.moved(&asked.parse().unwrap()), place, "{asked}");
        }
        let found = |path: String| labels.upload(&path).map(|id| id.to_string());
        assert_eq!(found(format!("/w/files/{id}/a")).as_deref(), Some(id));
        assert_eq!(found("/w/files/a.txt".to_owned()), None);
    }
}
