//! How large what surrounds the contents may be.

/// The most bytes of headers one part may have, line ends and the empty line included.
pub const HEAD_LIMIT: usize = 16 * 1024;
/// The most headers one part may have.
pub const HEADERS_LIMIT: usize = 32;
/// The most bytes one header line may have, its CRLF aside; the most padding behind a delimiter.
pub const LINE_LIMIT: usize = 8 * 1024;
/// The most bytes that may stand before the first delimiter.
pub const PREAMBLE_LIMIT: usize = 8 * 1024;
/// The most bytes that may follow the line of the close delimiter.
pub const EPILOGUE_LIMIT: usize = 64 * 1024;
