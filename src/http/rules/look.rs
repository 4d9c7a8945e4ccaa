//! The pages as an operator wants them: with the brand's name, logo and colour.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::brand::{Brand, Logo};

/// The height of the picture in the head of a page, in pixels.
const HEIGHT: f64 = 32.0;
/// Its largest width.
const WIDEST: f64 = 160.0;
/// The name of the style sheet with the brand's colour.
const STYLE: &str = "brand.css";

/// The look that all pages have in common.
pub struct Look {
    name: String,
    imprint: Option<String>,
    style: Option<String>,
    logo: Option<Logo>,
    /// See [`Look::mark`].
    mark: String,
}

impl Look {
    /// The look of a brand.
    pub fn of(brand: &Brand) -> Self {
        let style = brand.color.map(|color| color.style_sheet());
        let logo = brand.logo.clone();
        Look {
            name: brand.name.clone(),
            imprint: brand.imprint.clone(),
            mark: mark(style.as_deref(), logo.as_ref()),
            style,
            logo,
        }
    }

    /// A word that changes with the files of the brand; empty where there are none.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The name of the brand.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file of the brand, with its media type.
    pub fn file(&self, name: &str) -> Option<(Bytes, &'static str)> {
        let logo = self.logo.as_ref();
        let logo = logo.filter(|logo| name == logo_name(logo));
        if let Some(logo) = logo {
            return Some((logo.bytes.clone(), logo.media_type));
        }
        let style = self.style.as_ref().filter(|_| name == STYLE)?;
        Some((style.clone().into(), "text/css; charset=utf-8"))
    }

    /// The picture in the head of the pages, with its media type, if it is the brand's own.
    pub fn icon(&self) -> Option<(Bytes, &'static str)> {
        self.file(&logo_name(self.logo.as_ref()?))
    }

    /// The values of the templates.
    pub fn values(&self) -> Value {
        let logo = self.logo.as_ref().map(|logo| {
            let width = (HEIGHT * logo.ratio).clamp(1.0, WIDEST).round();
            json!({ "name": logo_name(logo), "type": logo.media_type, "width": width as u32 })
        });
        json!({
            "name": self.name,
            "logo": logo,
            "style": self.style.as_ref().map(|_| STYLE),
            "imprint": self.imprint,
        })
    }
}

#[cfg(test)]
impl Look {
    /// That of a server without settings of a brand.
    pub fn plain() -> Self {
        Look::of(&Brand {
            name: "wharf".to_owned(),
            logo: None,
            color: None,
            imprint: None,
        })
    }
}

fn logo_name(logo: &Logo) -> String {
    format!("logo.{}", logo.extension)
}

fn mark(style: Option<&str>, logo: Option<&Logo>) -> String {
    if style.is_none() && logo.is_none() {
        return String::new();
    }
    let mut hash = Sha256::new();
    hash.update(style.unwrap_or_default());
    hash.update(logo.map_or(&[][..], |logo| &logo.bytes));
    base16ct::lower::encode_string(&hash.finalize()[..6])
}
