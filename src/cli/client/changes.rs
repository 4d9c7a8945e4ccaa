//! `wharf update` and `wharf delete`.

use super::kept::{KeptToken, KeptTokens};
use super::link::Named;
use super::outcome::Outcome;
use super::{ServerArgs, json_line, print, uninterrupted, words};
use crate::cli::stderr::say;
use crate::client::{Change, Client, ClientError, UploadRecord, server_name};
use crate::model::plain;

/// The upload that a command changes.
struct Owned {
    client: Client,
    id: String,
    /// Where tokens are kept.
    tokens: Option<KeptTokens>,
    /// The token that is kept of it, and goes to its server alone.
    kept: Option<KeptToken>,
    /// Another server that it was sent to.
    elsewhere: Option<String>,
}

impl Owned {
    /// The upload of this id or link: on the server that is named, or else on the one it was sent
    /// to.
    async fn find(server: &ServerArgs, what: &str) -> Result<Self, ClientError> {
        let named = Named::read(what);
        let (id, file) = match named.name.split_once('/') {
            Some((id, file)) if named.server.is_some() => (id.to_owned(), Some(file)),
            _ => (named.name.clone(), None),
        };
        let tokens = KeptTokens::of_user();
        let mut kept = match &tokens {
            Some(tokens) => tokens.find(&id),
            None => Vec::new(),
        };
        let address = match (named.server.or_else(|| server.named()), kept.as_slice()) {
            (Some(address), _) => address,
            (None, []) => ServerArgs::default_address(),
            (None, [one]) => one.server.clone(),
            (None, several) => {
                let servers: Vec<&str> = several.iter().map(|kept| kept.server.as_str()).collect();
                let reason = format!(
                    "{id} was sent to {}: name one of them with --server",
                    servers.join(" and ")
                );
                return Err(ClientError::Setup(reason));
            }
        };
        let name = server_name(&address)?;
        let own = kept.iter().position(|kept| kept.server == name);
        let own = own.map(|at| kept.swap_remove(at));
        let mut client = server.client_at(&address)?;
        if let Some(own) = &own {
            client = client.with_upload_token(&own.token)?;
        }
        if file.is_some() && client.show(&id).await?.file_count > 1 {
            let reason = format!("the link is of one file of several: name the upload, {id}");
            return Err(ClientError::Setup(reason));
        }
        Ok(Owned {
            client,
            id,
            tokens,
            elsewhere: kept.pop().filter(|_| own.is_none()).map(|kept| kept.server),
            kept: own,
        })
    }

    /// Deletes it. A server that wants a token first has to be asked whether there is anything at
    /// all.
    async fn delete(&self) -> Result<(), ClientError> {
        match self.client.delete(&self.id).await {
            Err(refused) if refused.code() == Some("missing-secret") => {
                match self.client.show(&self.id).await {
                    Err(absent) if absent.is_not_found() => Err(absent),
                    _ => Err(refused),
                }
            }
            deleted => deleted,
        }
    }

    /// Forgets the token that its server was given: nothing is left of the upload.
    fn forget(&self) {
        if let (Some(tokens), Some(kept)) = (&self.tokens, &self.kept) {
            tokens.forget(&self.id, &kept.server);
        }
    }

    /// Says where the upload was sent, where the server that was asked is another.
    fn hint(&self, server: &ServerArgs, outcome: Outcome) {
        if let (Some(elsewhere), Outcome::NotFound | Outcome::NotAuthorised) =
            (&self.elsewhere, outcome)
        {
            let id = &self.id;
            server.output.note(&format!(
                "{id} was sent to {elsewhere}: name that with --server"
            ));
        }
    }
}

/// Does `work` with each upload, until one is interrupted.
async fn each(
    server: &ServerArgs,
    ids: &[String],
    work: impl AsyncFn(&Owned) -> Outcome,
) -> Outcome {
    let mut outcome = Outcome::Done;
    let mut done = false;
    for id in ids {
        let one = match uninterrupted(Owned::find(server, id), server.output).await {
            Ok(owned) => {
                let one = work(&owned).await;
                owned.hint(server, one);
                one
            }
            Err(failed) => failed,
        };
        if one == Outcome::Interrupted {
            return one;
        }
        done |= one == Outcome::Done;
        outcome = outcome.or(one);
    }
    outcome.after(done)
}

/// Changes uploads.
pub async fn update(server: &ServerArgs, ids: &[String], change: &Change) -> Outcome {
    let output = server.output;
    let update = async |owned: &Owned| {
        let changed = owned.client.update(&owned.id, change);
        let upload = match uninterrupted(changed, output).await {
            Ok(upload) => upload,
            Err(outcome) => return outcome,
        };
        if let (Some(tokens), Some(kept)) = (&owned.tokens, &owned.kept)
            && let Err(error) = tokens.keep(&kept.server, &kept.token, &upload)
        {
            let place = tokens.place().display();
            output.note(&format!("cannot keep the delete token in {place}: {error}"));
        }
        match (output.json, output.quiet) {
            (true, _) => print(json_line(upload.json()).as_bytes()),
            (_, true) => Outcome::Done,
            _ => print(changed_words(&upload).as_bytes()),
        }
    };
    each(server, ids, update).await
}

fn changed_words(upload: &UploadRecord) -> String {
    format!("{}\n{}", plain(&upload.upload_url), words::bounds(upload))
}

/// Deletes uploads.
pub async fn delete(server: &ServerArgs, ids: &[String]) -> Outcome {
    let output = server.output;
    let delete = async |owned: &Owned| {
        let id = &owned.id;
        let deleting = async {
            match owned.delete().await {
                Err(error) if error.is_not_found() && !output.json => Ok(false),
                deleted => deleted.map(|()| true),
            }
        };
        match uninterrupted(deleting, output).await {
            Ok(false) => {
                owned.forget();
                say(&format!("{id} was not there, or has another token"));
                Outcome::NotFound
            }
            Ok(true) => {
                owned.forget();
                match output.quiet || output.json {
                    true => Outcome::Done,
                    false => print(format!("deleted {}\n", plain(id)).as_bytes()),
                }
            }
            Err(outcome) => outcome,
        }
    };
    each(server, ids, delete).await
}
