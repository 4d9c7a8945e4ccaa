//! The boundary, and the `Content-Type` of a body that carries it.

use std::str;

use super::params::{self, ParamFault, Params, Unquoted};

/// The longest boundary of RFC 2046 section 5.1.1, in bytes.
const BOUNDARY_LIMIT: usize = 70;

/// A boundary of RFC 2046 section 5.1.1: 1 to 70 bytes of its set, the last one not a space. The
/// characters of an HTTP token are taken as well: `*****` stands in a snippet that very many
/// Android programs carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Boundary(Box<str>);

/// Why a `Content-Type` does not announce a form wharf can read; the caller answers 415.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// Another media type, or none.
    #[error("the Content-Type is not multipart/form-data")]
    NotFormData,
    /// No `boundary` parameter.
    #[error("the Content-Type has no boundary")]
    MissingBoundary,
    /// A `boundary` of no bytes.
    #[error("the boundary of the Content-Type is empty")]
    EmptyBoundary,
    /// A `boundary` of more than 70 bytes.
    #[error("the boundary of the Content-Type has {0} bytes, more than the 70 of RFC 2046")]
    LongBoundary(usize),
    /// A byte that neither RFC 2046 nor an HTTP token has.
    #[error("the boundary of the Content-Type holds '{}', which neither RFC 2046 nor an HTTP token allows", .0.escape_ascii())]
    BadBoundary(u8),
    /// More than one `boundary` parameter.
    #[error("the Content-Type has two boundaries")]
    DuplicateBoundary,
    /// The parameters cannot be read.
    #[error("the Content-Type is malformed: {0}")]
    Malformed(ParamFault),
}

impl Boundary {
    /// Checks `boundary` against RFC 2046 section 5.1.1, and the characters of an HTTP token.
    ///
    /// # Errors
    /// [`EmptyBoundary`](ContentTypeError::EmptyBoundary),
    /// [`LongBoundary`](ContentTypeError::LongBoundary) or
    /// [`BadBoundary`](ContentTypeError::BadBoundary).
    pub fn new(boundary: &str) -> Result<Self, ContentTypeError> {
        Self::from_bytes(boundary.as_bytes())
    }

    /// Reads the boundary out of the value of a `Content-Type` header (RFC 7578 section 4.1).
    ///
    /// Type and parameter names are taken in any case. The boundary may be quoted; unquoted it
    /// may hold `=`, `:`, `/` and the like, which a token may not, because real clients send
    /// them. Other parameters are ignored.
    ///
    /// # Errors
    /// The fault of the type or the boundary; each is a 415.
    pub fn from_content_type(value: &[u8]) -> Result<Self, ContentTypeError> {
        let (media_type, mut params) = Params::new(params::trim(value), Unquoted::Loose);
        if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(ContentTypeError::NotFormData);
        }
        let mut boundary = None;
        while let Some(param) = params
            .next()
            .map_err(|(_, fault)| ContentTypeError::Malformed(fault))?
        {
            if !param.name.eq_ignore_ascii_case(b"boundary") {
                continue;
            }
            if boundary.is_some() {
                return Err(ContentTypeError::DuplicateBoundary);
            }
            boundary = Some(param.value);
        }
        Self::from_bytes(&boundary.ok_or(ContentTypeError::MissingBoundary)?)
    }

    fn from_bytes(boundary: &[u8]) -> Result<Self, ContentTypeError> {
        let Some(&last) = boundary.last() else {
            return Err(ContentTypeError::EmptyBoundary);
        };
        if boundary.len() > BOUNDARY_LIMIT {
            return Err(ContentTypeError::LongBoundary(boundary.len()));
        }
        if let Some(&byte) = boundary.iter().find(|&&byte| !is_boundary(byte)) {
            return Err(ContentTypeError::BadBoundary(byte));
        }
        if last == b' ' {
            return Err(ContentTypeError::BadBoundary(last));
        }
        let text = str::from_utf8(boundary).expect("the bytes of a boundary are ASCII");
        Ok(Boundary(text.into()))
    }

    /// The boundary without the dashes of a delimiter.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of [`as_str`](Self::as_str).
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// `bchars` of RFC 2046 section 5.1.1, or `tchar` of RFC 9110 section 5.6.2.
fn is_boundary(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || b"'()+_,-./:=? ".contains(&byte)
        || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::ContentTypeError::{
        BadBoundary, DuplicateBoundary, EmptyBoundary, LongBoundary, Malformed, MissingBoundary,
        NotFormData,
    };
    use super::*;

    fn read(value: &str) -> Result<String, ContentTypeError> {
        Boundary::from_content_type(value.as_bytes()).map(|boundary| boundary.as_str().to_owned())
    }

    #[test]
    fn boundaries_that_real_clients_send() {
        for (value, boundary) in [
            ("multipart/form-data; boundary=B", "B"),
            ("Multipart/Form-DATA;BOUNDARY=b", "b"),
            ("multipart/form-data; boundary=\"B C\"", "B C"),
            (
                "multipart/form-data ; charset=utf-8 ; boundary=B ; x=\"y;z\"",
                "B",
            ),
            (
                "multipart/form-data; boundary=a=b:c/d?e'f(g)h+i,j",
                "a=b:c/d?e'f(g)h+i,j",
            ),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4",
                "----WebKitFormBoundary7MA4",
            ),
            ("multipart/form-data; boundary=B;", "B"),
            ("multipart/form-data;boundary=*****", "*****"),
            ("multipart/form-data; boundary=!#$%&'^`|~", "!#$%&'^`|~"),
            ("\tmultipart/form-data; boundary=B ", "B"),
        ] {
            assert_eq!(read(value).as_deref(), Ok(boundary), "{value}");
        }
        let longest = "x".repeat(70);
        assert_eq!(
            read(&format!("multipart/form-data; boundary={longest}")),
            Ok(longest)
        );
    }

    #[test]
    fn types_and_boundaries_that_are_refused() {
        for (value, error) in [
            ("", NotFormData),
            ("text/plain", NotFormData),
            ("multipart/mixed; boundary=B", NotFormData),
            ("multipart/form-data-x; boundary=B", NotFormData),
            ("multipart/form-data, text/plain; boundary=B", NotFormData),
            ("multipart/form-data", MissingBoundary),
            ("multipart/form-data; boundary*=UTF-8''B", MissingBoundary),
            ("multipart/form-data; boundary=", EmptyBoundary),
            (
                "multipart/form-data; boundary=; charset=utf-8",
                EmptyBoundary,
            ),
            ("multipart/form-data; boundary=\"\"", EmptyBoundary),
            ("multipart/form-data; boundary=\"B \"", BadBoundary(b' ')),
            (
                "multipart/form-data; boundary=\"B\\\"C\"",
                BadBoundary(b'"'),
            ),
            ("multipart/form-data; boundary=B@", BadBoundary(b'@')),
            ("multipart/form-data; boundary={B}", BadBoundary(b'{')),
            ("multipart/form-data; boundary=B\u{7f}", BadBoundary(0x7f)),
            (
                "multipart/form-data; boundary=B; Boundary=B",
                DuplicateBoundary,
            ),
            (
                "multipart/form-data; boundary=B C",
                Malformed(ParamFault::Trailing),
            ),
            (
                "multipart/form-data; boundary=\"B",
                Malformed(ParamFault::Unterminated),
            ),
            (
                "multipart/form-data; boundary",
                Malformed(ParamFault::NoEquals),
            ),
        ] {
            assert_eq!(read(value), Err(error), "{value}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert_eq!(read(&long), Err(LongBoundary(71)));
    }
}
