//! The decoder beside multer, on the same bodies in the same frames, in one run: the ratio of the
//! two throughputs is what counts. `cargo bench --bench form`

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wharf::form::{Boundary, Decoder, Event};

const FRAME: usize = 64 * 1024;

fn body(files: usize, size: usize) -> Bytes {
    let content: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
    let mut body = Vec::new();
    for i in 0..files {
        let head = format!(
            "--Boundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{i}.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--Boundary7MA4YWxkTrZu0gW--\r\n");
    body.into()
}

fn frames(body: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..body.len())
        .step_by(FRAME)
        .map(|at| body.slice(at..(at + FRAME).min(body.len())))
}

fn by_wharf(body: &Bytes) -> usize {
    let mut decoder = Decoder::new(Boundary::new("Boundary7MA4YWxkTrZu0gW").expect("a boundary"));
    let mut bytes = 0;
    for frame in frames(body) {
        decoder.push(frame);
        while let Some(event) = decoder.next().expect("a well-formed body") {
            if let Event::Data(data) = event {
                bytes += black_box(data).len();
            }
        }
    }
    decoder.finish().expect("a whole body");
    bytes
}

async fn by_multer(body: &Bytes) -> usize {
    let frames: Vec<Result<Bytes, Infallible>> = frames(body).map(Ok).collect();
    let mut form = multer::Multipart::new(
        futures_util::stream::iter(frames),
        "Boundary7MA4YWxkTrZu0gW",
    );
    let mut bytes = 0;
    while let Some(mut field) = form.next_field().await.expect("a well-formed body") {
        while let Some(data) = field.chunk().await.expect("a well-formed body") {
            bytes += black_box(data).len();
        }
    }
    bytes
}

fn compare(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for (name, files, size) in [
        ("one file of 64 MiB", 1, 64 << 20),
        ("10,000 files of 100 bytes", 10_000, 100),
    ] {
        let body = body(files, size);
        assert_eq!(by_wharf(&body), files * size);
        let mut group = c.benchmark_group(name);
        group
            .sample_size(20)
            .throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("wharf", |b| b.iter(|| by_wharf(&body)));
        group.bench_function("multer", |b| b.iter(|| runtime.block_on(by_multer(&body))));
        group.finish();
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
