//! `/uploads/ID`: uploads as records, and their deletion.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{page, record};
use crate::delivery::DeliveryError;
use crate::http::AppState;
use crate::http::rules::accept::{Accept, Shown};
use crate::http::rules::access::{self, Caller, Scope};
use crate::http::rules::conditional::{self, Verdict};
use crate::http::rules::extract::PathParams;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::{cookies, options};
use crate::ingest::{Lifetime, OptionPlace};
use crate::manage::{ChangePermit, Credentials, MeantVersions, UploadChange};
use crate::model::{Manifest, UploadId};

/// One upload, as JSON or as its page. The JSON has an entity tag.
pub async fn show(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let manifest = app.delivery.upload(&parse_id(&id)?).await?;
    let mut response = match Accept::of(&headers).upload() {
        Shown::Page => app.page_of(&manifest, &origin, query.as_deref(), &headers, None),
        shown => {
            let mut response = match shown {
                Shown::Link => record::link(&manifest, &app.base_of(&origin)),
                _ => {
                    app.tagged_record(&method, &headers, &manifest, &origin)
                        .await?
                }
            };
            // A deadline can be moved and an upload deleted, so no cache may rely on an old answer.
            let cache = match manifest.max_downloads {
                Some(_) => "no-store",
                None => "private, max-age=0",
            };
            let cache = HeaderValue::from_static(cache);
            response.headers_mut().insert(header::CACHE_CONTROL, cache);
            response
        }
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Deletes an upload, if it is in a version that the request is meant for.
pub async fn delete(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    options::refuse(query.as_deref(), &headers)?;
    let id = parse_id(&id)?;
    let permit = app.permit(&id, &headers, None).await?;
    app.delete(&permit, conditional::meant_versions(&headers))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The entity tag of a record as a field.
pub(super) fn tag(manifest: &Manifest) -> Option<(HeaderName, HeaderValue)> {
    let tag = HeaderValue::try_from(conditional::record_tag(manifest.revision()));
    tag.ok().map(|tag| (header::ETAG, tag))
}

impl AppState {
    /// The record of an upload with its entity tag, as far as the preconditions of a request let it.
    async fn tagged_record(
        &self,
        method: &Method,
        headers: &HeaderMap,
        manifest: &Arc<Manifest>,
        origin: &Origin,
    ) -> Result<Response, Problem> {
        let mut response = match conditional::evaluate_record(method, headers, manifest.revision())
        {
            Verdict::Failed => {
                let detail = "the record is not in the version that the request names";
                let problem = Problem::new(Code::PreconditionFailed, detail);
                return Err(match tag(manifest) {
                    Some((name, value)) => problem.header(name, value),
                    None => problem,
                });
            }
            Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
            Verdict::Proceed => self.record(manifest, origin).await,
        };
        response.headers_mut().extend(tag(manifest));
        Ok(response)
    }

    /// The page of an upload, as it is for the reader `reads`, where that is known.
    pub(super) fn page_of(
        &self,
        manifest: &Manifest,
        origin: &Origin,
        query: Option<&str>,
        headers: &HeaderMap,
        reads: Option<page::Reader>,
    ) -> Response {
        let token = cookies::delete_token(headers);
        let reader = page::PageReader::of(self, query, headers);
        let link = record::upload_url(&manifest.id, &self.base_of(origin));
        let (form_token, cookie) = page::form_field(self, headers);
        let owns = token.is_some_and(|token| manifest.delete_token.matches(&token));
        let asks = |word: &str| {
            let mut words = query.unwrap_or_default().split('&');
            words.any(|asked| asked == word)
        };
        let page = reader.upload(&page::View {
            manifest,
            link: &link,
            now: self.clock.now(),
            reader: match reads {
                Some(reader) => reader,
                None if owns => page::Reader::Sender,
                None if asks(page::CLAIMED) => page::Reader::Claims,
                None if asks(page::LISTED) => page::Reader::Listed,
                None => page::Reader::Recipient,
            },
            changed: asks(page::CHANGED),
            checksums: asks(page::CHECKSUMS),
            options: self.ingest.options(),
            form_token: &form_token,
        });
        let mut response = page::answer(page, &reader, query);
        page::unlisted(response.headers_mut());
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// The permission to change an upload: for its delete token or key, given as the secret, in
    /// `Wharf-Token` or in `cookie`; or for `admin`.
    pub(super) async fn permit(
        &self,
        id: &UploadId,
        headers: &HeaderMap,
        cookie: Option<String>,
    ) -> Result<ChangePermit, Problem> {
        let caller = self.options.access.caller(headers);
        // A secret of this server is no token. A browser that was asked for one once gives it with
        // everything, the cookie too.
        let secret = match caller {
            Caller::Unknown => access::secret(headers),
            _ => None,
        };
        let tokens = [access::token(headers), cookie, secret];
        let credentials = Credentials {
            tokens: tokens.into_iter().flatten().collect(),
            admin: caller.may(Scope::Admin),
        };
        if credentials.tokens.is_empty() && !credentials.admin {
            return Err(access::token_refusal(&caller, headers));
        }
        Ok(self.manage.authorize(id, &credentials).await?)
    }

    /// Deletes an upload that is in one of the versions that are `meant`.
    pub(super) async fn delete(
        &self,
        permit: &ChangePermit,
        meant: MeantVersions,
    ) -> Result<(), Problem> {
        if self.manage.delete(permit, meant).await? {
            self.metrics.deleted();
        }
        Ok(())
    }

    /// Sets the deadline of an upload anew: `text`, which was given in `place`, is how long from now
    /// it is kept.
    pub(super) async fn set_lifetime(
        &self,
        permit: &ChangePermit,
        text: &str,
        place: OptionPlace,
    ) -> Result<Arc<Manifest>, Problem> {
        let lifetime = self.ingest.lifetime(text, place)?;
        let lifetime = lifetime.map_or(Lifetime::Unlimited, Lifetime::For);
        let change = UploadChange {
            expires_at: Some(lifetime.end(self.clock.now())),
            ..UploadChange::default()
        };
        let every = MeantVersions::default();
        Ok(self.manage.change(permit, change, every).await?)
    }
}

pub(super) fn parse_id(id: &str) -> Result<UploadId, Problem> {
    id.parse().map_err(|_| DeliveryError::no_upload(id).into())
}
