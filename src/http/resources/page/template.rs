//! The embedded templates (Jinja), which escape the values.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior};
use serde_json::Value;

#[rustfmt::skip]
const TEMPLATES: [(&str, &str); 10] = static_files!("pages/":
    "base.html", "index.html", "lifetimes.html", "message.html", "preview.html",
    "problem.html", "problems.html", "row.html", "upload.html", "view.html",
);

static ENVIRONMENT: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
});

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
