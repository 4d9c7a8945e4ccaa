use bytes::Bytes;
use wharf::form::{Boundary, Decoder, Event, PartHead};

/// A form as a client writes it.
#[derive(Default, Clone)]
pub struct Form {
    parts: Vec<u8>,
}

const BOUNDARY: &str = "wharf-test-boundary";

impl Form {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.part(
            &format!("Content-Disposition: form-data; name=\"{name}\""),
            value.as_bytes(),
        )
    }

    pub fn file(self, name: &str, filename: &str, content: &[u8]) -> Self {
        let disposition =
            format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"");
        self.part(&disposition, content)
    }

    /// A part with these headers, lines separated by CRLF.
    pub fn part(mut self, headers: &str, content: &[u8]) -> Self {
        self.parts
            .extend_from_slice(format!("--{BOUNDARY}\r\n{headers}\r\n\r\n").as_bytes());
        self.parts.extend_from_slice(content);
        self.parts.extend_from_slice(b"\r\n");
        self
    }

    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub fn body(&self) -> Vec<u8> {
        [&self.parts, format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
    }
}

/// The parts of a form that came back.
#[track_caller]
pub fn parts_of(content_type: &str, body: &[u8]) -> Vec<(PartHead, Vec<u8>)> {
    let boundary = Boundary::from_content_type(content_type.as_bytes()).unwrap();
    let mut decoder = Decoder::new(boundary);
    decoder.push(Bytes::copy_from_slice(body));
    let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
    while let Some(event) = decoder.next().unwrap() {
        match event {
            Event::Part(head) => parts.push((*head, Vec::new())),
            Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
            Event::PartEnd => {}
        }
    }
    decoder.finish().unwrap();
    parts
}
