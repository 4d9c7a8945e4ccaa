//! Stores what comes from a stream, and gives it back: `cargo run --example share -- http://localhost:8080`

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wharf::client::{Change, Client, ClientError, FilePart, Lifetime, Upload};

/// Sends a file of three blocks, reads it back, prolongs it, and deletes it.
pub async fn share(server: &str) -> Result<Vec<u8>, ClientError> {
    let client = Client::new(server)?;
    let blocks = stream::iter(["one, ", "two, ", "three\n"]).map(|text| Ok(text.into()));
    let upload = Upload::new()
        .field("note", "counted")
        .file(FilePart::stream("numbers.txt", blocks))
        .lifetime(Lifetime::For(Duration::from_secs(3600)))
        .title("Numbers");
    let stored = client.upload(upload).await?;
    println!("{} ({} bytes)", stored.url, stored.size);

    let name = format!("{}/{}", stored.id, stored.files[0].name);
    let file = client.open(&name).await?.into_stream();
    let read = file.try_fold(Vec::new(), async |mut read, block| {
        read.extend_from_slice(&block);
        Ok(read)
    });
    let read = read.await?;

    let owner = match &stored.delete_token {
        Some(token) => client.with_upload_token(token)?,
        None => client,
    };
    let week = Lifetime::For(Duration::from_secs(7 * 86_400));
    let kept = owner
        .update(&stored.id, &Change::new().lifetime(week))
        .await?;
    println!(
        "kept until {:?}",
        kept.expires_at.map(|end| end.to_string())
    );
    owner.delete(&stored.id).await?;
    Ok(read)
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let server = std::env::args().nth(1);
    let read = share(server.as_deref().unwrap_or(wharf::client::DEFAULT_ADDRESS)).await?;
    print!("{}", String::from_utf8_lossy(&read));
    Ok(())
}
