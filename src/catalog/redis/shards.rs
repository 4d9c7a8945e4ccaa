//! The keys of the index in Redis, and the shards in which they lie.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::coordination::Keys;
use crate::model::{FileName, Prefix, UploadId};

/// How many shards of uploads, and of names, there are.
const SHARDS: usize = 64;
/// The tag of the keys that concern all uploads.
pub const LEAD: &str = "lead";

/// The keys of the index. A shard of uploads has the tag `u0` to `u63`, one of names `n0` to `n63`.
#[derive(Debug, Clone)]
pub struct Shards(Keys);

impl Shards {
    /// How many shards uploads have.
    pub const COUNT: usize = SHARDS;

    pub fn new(keys: Keys) -> Self {
        Shards(keys)
    }

    /// The tags of all shards of uploads.
    pub fn uploads(&self) -> impl Iterator<Item = String> + use<> {
        (0..SHARDS).map(|shard| format!("u{shard}"))
    }

    /// The tags of all shards of names.
    pub fn names(&self) -> impl Iterator<Item = String> + use<> {
        (0..SHARDS).map(|shard| format!("n{shard}"))
    }

    /// A key of one shard.
    pub fn key(&self, tag: &str, name: &str) -> String {
        self.0.tagged(tag, name)
    }

    /// The tag of the uploads with this prefix.
    pub fn tag_of(&self, prefix: Prefix) -> String {
        format!("u{}", prefix.index() % SHARDS)
    }

    /// Keys of an upload's shard: of the upload itself, or, with `!` behind the name, of them all.
    pub fn of(&self, id: &UploadId, names: &[&str]) -> Vec<String> {
        let tag = self.tag_of(id.prefix());
        let key = |name: &&str| match name.strip_suffix('!') {
            Some(name) => self.key(&tag, name),
            None => self.key(&tag, &format!("{name}:{id}")),
        };
        names.iter().map(key).collect()
    }

    fn tag_of_name(name: &FileName) -> String {
        let digest = Sha256::digest(name.as_str().as_bytes());
        format!("n{}", usize::from(digest[0]) % SHARDS)
    }

    fn name(&self, name: &FileName) -> String {
        self.key(&Self::tag_of_name(name), &format!("name:{name}"))
    }

    /// The keys of names, those of one shard together.
    pub fn of_names(&self, names: &[FileName]) -> Vec<Vec<String>> {
        let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            let shard = shards.entry(Self::tag_of_name(name)).or_default();
            shard.push(self.name(name));
        }
        shards.into_values().collect()
    }

    /// The key of a name, and the key that says whether its shard was compared.
    pub fn name_and_built(&self, name: &FileName) -> [String; 2] {
        [self.name(name), self.key(&Self::tag_of_name(name), "built")]
    }

    /// The upload whose marker a key is.
    pub fn upload_of_marker(&self, key: &str) -> Option<UploadId> {
        let (_, id) = key.rsplit_once(':')?;
        let id: UploadId = id.parse().ok()?;
        (self.of(&id, &["marker"]) == [key]).then_some(id)
    }

    /// The folders of the store that have to be compared for these shards: any upload can have a
    /// name, and the room is that of all uploads.
    pub fn prefixes<'a>(&self, tags: impl Iterator<Item = &'a str> + Clone) -> Vec<Prefix> {
        let names = tags.clone().any(|tag| tag.starts_with('n') || tag == LEAD);
        let concerned = |prefix: &Prefix| {
            let tag = self.tag_of(*prefix);
            names || tags.clone().any(|other| other == tag)
        };
        Prefix::all().filter(concerned).collect()
    }

    /// The keys that count the room of the store: see [`room_scripts`](super::room_scripts).
    pub fn room(&self, name: &str) -> String {
        self.0.lead(&format!("room{name}"))
    }

    /// The key of the bytes that the uploads of one shard take.
    pub fn room_of(&self, prefix: Prefix) -> String {
        self.room(&format!(":of:{}", prefix.index() % SHARDS))
    }

    /// The key that says whether the room was compared with the store.
    pub fn room_built(&self) -> String {
        self.key(LEAD, "built")
    }

    /// The key of the progress of the regular comparison.
    pub fn scan(&self) -> String {
        self.0.lead("scan")
    }
}
