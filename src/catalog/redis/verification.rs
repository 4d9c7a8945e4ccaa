//! Which shards were compared with the store since their server could last have lost something.

use async_trait::async_trait;
use futures_util::future::join_all;

use super::shards::LEAD;
use super::{RedisCatalog, scripts};
use crate::catalog::{CatalogError, Unverified, Verification};

#[async_trait]
impl Verification for RedisCatalog {
    async fn unverified(&self) -> Result<Unverified, CatalogError> {
        let room = self.room.as_ref().map(|_| LEAD.to_owned());
        let shards = self.shards.uploads().chain(self.shards.names());
        let tags: Vec<String> = shards.chain(room).collect();
        let asked = tags.iter().map(|tag| {
            let key = [self.shards.key(tag, "built")];
            async move {
                self.eval::<(u8, String)>(scripts::BUILT, &key, &[] as &[&str])
                    .await
            }
        });
        let mut unverified = Vec::new();
        for (tag, answer) in tags.iter().zip(join_all(asked).await) {
            let (whole, token) = answer?;
            if whole == 0 {
                unverified.push((tag.clone(), token));
            }
        }
        let prefixes = self
            .shards
            .prefixes(unverified.iter().map(|(tag, _)| tag.as_str()));
        Ok(Unverified {
            prefixes,
            shards: unverified,
        })
    }

    async fn mark_verified(&self, compared: Unverified) -> Result<bool, CatalogError> {
        let mut whole = true;
        for (tag, token) in compared.shards {
            let key = [self.shards.key(&tag, "built")];
            let verified: u8 = self.eval(scripts::VERIFIED, &key, &[token]).await?;
            whole &= verified == 1;
        }
        Ok(whole)
    }
}
