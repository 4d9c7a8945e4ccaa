//! The operator of the server on its pages: name, logo, colour, imprint.

use bytes::Bytes;
use imagesize::{ImageSize, ImageType};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use url::Url;

use super::color::Color;

/// The largest file of a logo, in bytes: every first page loads it.
pub const MAX_LOGO: usize = 256 << 10;
/// The longest name, in characters: it stands in the head of a phone.
const LONGEST_NAME: usize = 40;

/// The operator of the server, as its pages show it.
#[derive(Debug, Clone)]
pub struct Brand {
    /// The name in the head and in the titles of all pages.
    pub name: String,
    /// The picture beside it.
    pub logo: Option<Logo>,
    /// The colour of buttons and links.
    pub color: Option<Color>,
    /// Where it says who runs the server.
    pub imprint: Option<String>,
}

/// A picture that was read and looked at.
#[derive(Debug, Clone)]
pub struct Logo {
    /// The file.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: &'static str,
    /// The extension of its kind, without the dot.
    pub extension: &'static str,
    /// Its width divided by its height.
    pub ratio: f64,
}

impl Brand {
    /// Reads the name.
    ///
    /// # Errors
    /// It is empty or too long, or has characters that no line shows.
    pub fn name(text: &str) -> Result<String, String> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            return Err(format!(
                "{text:?} is not a name of 1 to {LONGEST_NAME} characters"
            ));
        }
        match name.contains(char::is_control) {
            true => Err(format!("{text:?} has a control character")),
            false => Ok(name.to_owned()),
        }
    }

    /// Reads the address of the imprint.
    ///
    /// # Errors
    /// It is no address of the web.
    pub fn imprint(text: &str) -> Result<String, String> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        match url {
            Some(url) if url.username().is_empty() && url.password().is_none() => Ok(url.into()),
            _ => Err(format!(
                "{text:?} is not an address with http:// or https://"
            )),
        }
    }
}

impl Logo {
    /// Looks at the content of a file, which says itself what it is.
    ///
    /// # Errors
    /// It is too large, or none of PNG, WebP and SVG.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.len() > MAX_LOGO {
            return Err(format!("it has more than {} KiB", MAX_LOGO >> 10));
        }
        let kind = imagesize::image_type(&bytes).ok();
        let (media_type, extension, (width, height)) = match kind {
            Some(ImageType::Png) => ("image/png", "png", measured(&bytes)?),
            Some(ImageType::Webp) => ("image/webp", "webp", measured(&bytes)?),
            Some(_) => return Err("it is none of PNG, WebP and SVG".to_owned()),
            None => ("image/svg+xml", "svg", drawn(&bytes)?),
        };
        let ratio = width / height;
        if !ratio.is_finite() || ratio <= 0.0 {
            return Err(format!("its size is {width} by {height}"));
        }
        Ok(Logo {
            bytes: bytes.into(),
            media_type,
            extension,
            ratio,
        })
    }
}

/// The width and height of a picture of pixels.
fn measured(bytes: &[u8]) -> Result<(f64, f64), String> {
    let size = imagesize::blob_size(bytes).map_err(|error| format!("it is damaged: {error}"))?;
    let ImageSize { width, height } = size;
    Ok((width as f64, height as f64))
}

/// The width and height of a drawing (SVG): those of its `viewBox`, else its own.
fn drawn(bytes: &[u8]) -> Result<(f64, f64), String> {
    let none = || "it is none of PNG, WebP and SVG".to_owned();
    let mut reader = Reader::from_reader(bytes);
    let root = loop {
        match reader.read_event() {
            Ok(Event::Start(root) | Event::Empty(root)) => break root,
            Ok(Event::Eof) | Err(_) => return Err(none()),
            Ok(_) => {}
        }
    };
    if root.local_name().as_ref() != b"svg" {
        return Err(none());
    }
    let number = |text: &str| text.trim().trim_end_matches("px").parse::<f64>().ok();
    if let Some(view) = attribute(&root, "viewBox") {
        let sides: Vec<f64> = view
            .split([' ', ',', '\n', '\t'])
            .filter_map(number)
            .collect();
        if let [_, _, width, height] = sides[..] {
            return Ok((width, height));
        }
    }
    let side = |name| attribute(&root, name).and_then(|text| number(&text));
    side("width")
        .zip(side("height"))
        .ok_or_else(|| "its svg element has neither a viewBox nor width and height".to_owned())
}

fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    String::from_utf8(found.value.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: &[u8] = include_bytes!("../../../tests/wharf/clients/picture.png");

    #[test]
    fn pictures_are_known_by_their_content() {
        let png = Logo::read(PICTURE.to_vec()).unwrap();
        assert_eq!((png.media_type, png.ratio), ("image/png", 1.0));
        let svg = |text: &str| Logo::read(text.as_bytes().to_vec());
        let drawing = "<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 30, 10\"/>";
        let drawing = svg(drawing).unwrap();
        assert_eq!((drawing.media_type, drawing.ratio), ("image/svg+xml", 3.0));
        assert_eq!(
            svg("<svg width='20px' height='40'><g/></svg>")
                .unwrap()
                .ratio,
            0.5
        );
        let webp = b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f\x03\x40\0\0\x07\xd0\xff\xfe\xf7\xbf\xff\x81\x88\xe8\x7f\0\0\0";
        let webp = Logo::read(webp.to_vec()).unwrap();
        assert_eq!((webp.media_type, webp.ratio), ("image/webp", 2.0));
    }

    #[test]
    fn what_is_no_logo_is_refused() {
        for (bytes, reason) in [
            (
                &b"GIF89a\x01\0\x01\0\0\0\0"[..],
                "none of PNG, WebP and SVG",
            ),
            (b"<html><svg/></html>", "none of"),
            (b"<svg", "none of"),
            (b"", "none of"),
            (b"no picture", "none of"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "viewBox"),
            (b"<svg viewBox='0 0 0 9'/>", "0 by 9"),
            (&PICTURE[..12], "damaged"),
            (&[b' '; MAX_LOGO + 1], "256 KiB"),
        ] {
            let refused = Logo::read(bytes.to_vec()).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn names_and_addresses_are_checked() {
        assert_eq!(
            Brand::name(" M\u{fc}ller & Co ").unwrap(),
            "M\u{fc}ller & Co"
        );
        for name in ["", " ", "a\nb", &"x".repeat(41)] {
            assert!(Brand::name(name).is_err(), "{name:?}");
        }
        assert!(Brand::imprint("https://example.org/imprint?a=b").is_ok());
        for url in [
            "javascript:alert(1)",
            "example.org",
            "//example.org",
            "mailto:a@b",
            "https://me:x@a",
            "http://",
        ] {
            let refused = Brand::imprint(url).unwrap_err();
            assert!(refused.contains("http"), "{refused}");
        }
    }
}
