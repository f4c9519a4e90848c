//! One request to a service and its answer, bounded in time and bytes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::egress::resolve::Unresolved;
use crate::egress::tunnel::NoTunnel;
use crate::types::secret::Secret;

/// The largest head of an answer that is read, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The largest body of an answer that is read, in bytes. Tokens with many claims take a tenth of it.
const BODY_BYTES_MAX: usize = 128 * 1024;

/// A request to a service.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers besides `host`, `connection` and `content-length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Secret<String>,
}

/// What a service said. Its body may hold credentials, and is never printed.
#[derive(Debug)]
pub struct Told {
    /// The status; redirects are not followed.
    pub status: StatusCode,
    /// The whole body.
    pub body: Secret<Vec<u8>>,
}

/// Why a service gave no answer. No text holds anything that it said.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No address.
    #[error("its name has no address that may be connected to")]
    Unresolved(#[from] Unresolved),
    /// No connection.
    #[error("it cannot be connected to")]
    Connect(#[source] std::io::Error),
    /// The forward proxy does not help.
    #[error("{0}")]
    Tunnel(#[from] NoTunnel),
    /// No trust.
    #[error("its certificate cannot be verified")]
    Tls(#[source] std::io::Error),
    /// The request is none.
    #[error("the request cannot be written")]
    Unwritable,
    /// The connection broke, or what came is no HTTP.
    #[error("the connection broke before an answer")]
    Broken,
    /// More than is read.
    #[error("its answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// Too late.
    #[error("it did not answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
}

/// Sends a request over a fresh connection and reads the whole answer. The deadline is the caller's.
pub(super) async fn exchange<S>(stream: S, authority: &str, asked: Asked) -> Result<Told, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request(authority, asked)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NoAnswer::Broken)?;
    let talk = Box::pin(async move {
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|_| NoAnswer::Broken)?.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            let too_long = error.is::<http_body_util::LengthLimitError>();
            if too_long {
                NoAnswer::TooLong
            } else {
                NoAnswer::Broken
            }
        })?;
        Ok(Told {
            status: head.status,
            body: Secret::new(body.to_bytes().to_vec()),
        })
    });
    // The connection is driven here, beside the talk, and ends with it.
    match select(talk, Box::pin(connection)).await {
        Either::Left((told, _)) => told,
        Either::Right((_, talk)) => talk.await,
    }
}

fn request(authority: &str, asked: Asked) -> Result<Request<Full<Bytes>>, NoAnswer> {
    let body = Bytes::from(asked.body.expose().clone());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = asked.method;
    *request.uri_mut() = asked.target.parse().map_err(|_| NoAnswer::Unwritable)?;
    let headers = request.headers_mut();
    *headers = asked.headers;
    let host = HeaderValue::try_from(authority).map_err(|_| NoAnswer::Unwritable)?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}
