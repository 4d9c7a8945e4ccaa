//! The embedded templates (Jinja), which escape the values.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, Error, Output, State, UndefinedBehavior, escape_formatter,
};
use serde_json::Value;

#[rustfmt::skip]
const TEMPLATES: [(&str, &str); 10] = static_files!("pages/":
    "base.html", "index.html", "lifetimes.html", "message.html", "preview.html",
    "problem.html", "problems.html", "row.html", "upload.html", "view.html",
);

static ENVIRONMENT: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_formatter(format);
    // A line that only steers the template leaves none in the page.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
});

/// Writes a value into a page. The template engine would escape `/` as well, which has no meaning in
/// texts and in quoted attributes, and is in every address of a list of a thousand files.
fn format(out: &mut Output, state: &mut State, value: &minijinja::Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html) => {
            escape(out, text)
        }
        _ => escape_formatter(out, state, value),
    }
}

/// Writes a text so that it is one, in a page and in an attribute with quotes of either kind (HTML
/// standard, section 13.1.2).
fn escape(out: &mut Output, text: &str) -> Result<(), Error> {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        let entity = match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#x27;",
        };
        out.write_str(&rest[..at])?;
        out.write_str(entity)?;
        rest = &rest[at + 1..];
    }
    Ok(out.write_str(rest)?)
}

/// Fills in a template. One that cannot be filled in is an error in this program: it is logged,
/// and the page is empty.
pub fn render(name: &str, values: Value) -> String {
    let environment = ENVIRONMENT.as_ref();
    let page = environment.map_err(ToString::to_string).and_then(|known| {
        let template = known.get_template(name);
        let page = template.and_then(|template| template.render(Serde(values)));
        page.map_err(|error| error.to_string())
    });
    page.unwrap_or_else(|error| {
        tracing::error!(%error, "the page {name} cannot be made; an empty one is sent");
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_and_never_tags() {
        let mut environment = Environment::new();
        environment.set_formatter(format);
        let source = "<a title=\"{{ v }}\" href='/{{ v }}'>{{ v }} {{ v|safe }} {{ [v] }}";
        environment.add_template("a.html", source).unwrap();
        let template = environment.get_template("a.html").unwrap();
        let values = serde_json::json!({ "v": "a/<b>&\"'\u{4f60}" });
        let page = template.render(Serde(values)).unwrap();
        let escaped = "a/&lt;b&gt;&amp;&quot;&#x27;\u{4f60}";
        let start =
            format!("<a title=\"{escaped}\" href='/{escaped}'>{escaped} a/<b>&\"'\u{4f60} ");
        // A value that is no text is escaped as well.
        let rest = page
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{page}"));
        assert!(!rest.contains('<') && rest.contains("&lt;b"), "{page}");
    }
}
