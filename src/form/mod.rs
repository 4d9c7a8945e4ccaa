//! `multipart/form-data` (RFC 7578 over RFC 2046 section 5.1.1), sans I/O, in both directions.
//!
//! The [`Decoder`] is given a body frame by frame and answers with [`Event`]s; file bytes are
//! handed on as slices of the very frame they came in. The encoder ([`part_head`], [`close`],
//! [`part_head_len`]) writes everything but the contents, so that the length of a form is known
//! before its first byte is sent. Nothing here reads, writes or waits.
//!
//! For every input: the verdict and the data do not depend on how the body is cut
//! into frames, time is linear, memory is bounded by one part's headers, and no bytes panic.
//!
//! ```
//! use bytes::Bytes;
//! use wharf::form::{Boundary, Decoder, Event};
//!
//! let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=B")?;
//! let mut decoder = Decoder::new(boundary);
//! decoder.push(Bytes::from_static(
//!     b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhi\r\n--B--\r\n",
//! ));
//! while let Some(event) = decoder.next()? {
//!     match event {
//!         Event::Part(head) => assert_eq!(head.name, "a"),
//!         Event::Data(data) => assert_eq!(data, "hi"),
//!         Event::PartEnd => {}
//!     }
//! }
//! decoder.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boundary;
mod decoder;
mod disposition;
mod encoded_word;
mod encoder;
mod error;
mod headers;
mod limits;
mod media_type;
mod outside;
mod params;
mod quoted_printable;
mod scan;

pub use crate::model::display_name;
pub use boundary::{Boundary, ContentTypeError};
pub use decoder::{Decoder, Event};
pub use disposition::{EncodedFileName, RawFileName, attachment};
pub use encoder::{OutPart, close, content_type, part_head, part_head_len, upload_part_head};
pub use error::{DecodeError, DecodeErrorKind};
pub use headers::PartHead;
pub use limits::{EPILOGUE_LIMIT, HEAD_LIMIT, HEADERS_LIMIT, LINE_LIMIT, PREAMBLE_LIMIT};
pub use media_type::is_media_type;
pub use params::ParamFault;
pub use quoted_printable::quoted_printable;
