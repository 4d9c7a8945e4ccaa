//! Requests over HTTP/2 (RFC 9113), written and never read: a client of a library would take in
//! what comes.

/// The largest window.
const WINDOW: u32 = (1 << 31) - 1;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 0x1 | 0x4;

/// The beginning of a connection whose windows are as large as can be, and `count` requests for
/// `path`, which is shorter than a frame.
pub fn requests(authority: &str, path: &str, count: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE
    let settings = [&[0, 4][..], &WINDOW.to_be_bytes()].concat();
    frame(&mut bytes, SETTINGS, 0, 0, &settings);
    frame(
        &mut bytes,
        WINDOW_UPDATE,
        0,
        0,
        &(WINDOW - 65_535).to_be_bytes(),
    );
    // Fields of the static table (RFC 7541 appendix A): GET, http; then literals with its names.
    let mut fields = vec![0x82, 0x86, 0x04];
    literal(&mut fields, path);
    fields.push(0x01);
    literal(&mut fields, authority);
    for request in 0..count {
        frame(&mut bytes, HEADERS, WHOLE, 2 * request + 1, &fields);
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame");
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A string without Huffman codes (RFC 7541 section 5.2), its length with a prefix of 7 bits.
fn literal(bytes: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => bytes.push(length),
        _ => {
            bytes.push(127);
            let mut left = text.len() - 127;
            while left >= 128 {
                bytes.push((left % 128) as u8 | 128);
                left /= 128;
            }
            bytes.push(left as u8);
        }
    }
    bytes.extend_from_slice(text.as_bytes());
}
