//! The body of an answer over HTTP/1.1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

use super::piece::{Piece, Pieces};
use super::queue::FileQueue;
use crate::http::log::LoggedBody;
use crate::http::server::connection_state::ActiveRequest;

/// An answer's body, which keeps its request active up to its end. Where the kernel sends files of
/// it, that is when the last byte has gone into the socket; else when it is handed over.
pub struct AnswerBody {
    /// `None` only while it is dropped.
    parts: Option<Parts>,
}

struct Parts {
    body: LoggedBody,
    active: ActiveRequest,
    pieces: Pieces,
}

impl AnswerBody {
    /// `body` on a connection with this queue of files, if it has one.
    pub fn new(body: LoggedBody, active: ActiveRequest, queue: Option<FileQueue>) -> Self {
        AnswerBody {
            parts: Some(Parts {
                body,
                active,
                pieces: Pieces::new(queue),
            }),
        }
    }
}

impl Body for AnswerBody {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let Some(parts) = &mut self.parts else {
            return Poll::Ready(None);
        };
        let Some(frame) = ready!(Pin::new(&mut parts.body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(frame.and_then(|frame| match frame.into_data() {
            Ok(data) => match parts.pieces.next(data) {
                Ok(piece) => Ok(Frame::data(piece)),
                Err(error) => {
                    parts.body.broken_off();
                    Err(axum::Error::new(error))
                }
            },
            Err(frame) => Ok(Frame::trailers(frame.into_trailers().unwrap_or_default())),
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.parts
            .as_ref()
            .is_none_or(|parts| parts.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let parts = self.parts.as_ref();
        parts.map_or_else(SizeHint::default, |parts| parts.body.size_hint())
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(Parts {
            body,
            active,
            pieces,
        }) = self.parts.take()
        {
            pieces.end(body.into_end(), active);
        }
    }
}
