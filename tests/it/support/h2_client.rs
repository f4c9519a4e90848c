//! The client's side of HTTP/2: the same calls, in frames.

use std::io;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use tokio::task::JoinHandle;

use crate::support::client::{Answer, Call, GATEWAY_NAME};
use crate::support::wait::within;
use crate::support::wire::{Head, Socket};

/// A connection that carries many requests at once.
pub struct H2Connection {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A request's answer as it arrives, and the way to give it up.
pub struct H2Body {
    frames: RecvStream,
    upload: Option<SendStream<Bytes>>,
    // The connection lives as long as somebody can still ask on it.
    _requests: SendRequest<Bytes>,
}

impl H2Connection {
    /// Begins HTTP/2 on a connection, with prior knowledge or after its negotiation.
    ///
    /// # Errors
    /// The other side speaks something else.
    pub async fn over(socket: Socket) -> Result<Self, h2::Error> {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 24)
            .enable_push(false);
        let (requests, connection) = builder.handshake(socket).await?;
        Ok(Self {
            requests,
            driver: tokio::spawn(connection),
        })
    }

    /// How many requests the gateway lets this connection have in flight.
    pub async fn streams_max(&mut self) -> usize {
        // The settings come with the first frames: a request that is ready has seen them.
        let ready = self.requests.clone().ready().await.expect("a living connection");
        drop(ready);
        self.requests.current_max_send_streams()
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// The stream or the connection was reset.
    pub async fn open(&mut self, call: &Call) -> Result<(Head, H2Body), h2::Error> {
        let mut requests = within("a free stream", self.requests.clone().ready()).await?;
        let pieces = call.pieces();
        let (answer, mut upload) = requests.send_request(as_request(call), pieces.is_empty())?;
        let mut answer = std::pin::pin!(answer);
        // An answer may come before the body is through, and a body that nobody wants any more
        // cannot be sent: then the answer is what counts.
        let uploading = send_pieces(&mut upload, pieces);
        let head = tokio::select! {
            early = &mut answer => early?,
            sent = within("sending a body", uploading) => {
                drop(sent);
                within("an answer's head", &mut answer).await?
            }
        };
        let (head, frames) = head.into_parts();
        let body = H2Body {
            frames,
            upload: Some(upload),
            _requests: self.requests.clone(),
        };
        Ok((as_head(&head), body))
    }

    /// Sends a request with these trailers behind its body.
    ///
    /// # Errors
    /// The stream or the connection was reset.
    pub async fn call_with_trailers(&mut self, call: &Call, trailers: HeaderMap) -> Result<u16, h2::Error> {
        let mut requests = within("a free stream", self.requests.clone().ready()).await?;
        let (answer, mut upload) = requests.send_request(as_request(call), false)?;
        for piece in call.pieces() {
            upload.send_data(Bytes::from(piece), false)?;
        }
        upload.send_trailers(trailers)?;
        let head = within("an answer's head", answer).await?;
        Ok(head.status().as_u16())
    }

    /// Sends a request and reads its whole answer.
    pub async fn call(&mut self, call: &Call) -> Answer {
        let (head, mut body) = self
            .open(call)
            .await
            .unwrap_or_else(|error| panic!("no answer: {error}"));
        let mut bytes = Vec::new();
        while let Some(piece) = body
            .piece()
            .await
            .unwrap_or_else(|error| panic!("broken answer: {error}"))
        {
            bytes.extend_from_slice(&piece);
        }
        Answer {
            status: head.word(1).parse().expect("a status"),
            head,
            body: bytes,
        }
    }

    /// Waits until the gateway closes the connection, which this side would keep open.
    pub async fn given_up(mut self) {
        let ended = within("the connection's end", &mut self.driver).await;
        drop(ended.expect("no panic in the driver"));
    }

    /// Gives the connection up and waits until it is closed, properly or not.
    pub async fn closed(self) -> Result<(), h2::Error> {
        drop(self.requests);
        within("the connection's end", self.driver)
            .await
            .expect("no panic in the driver")
    }
}

impl H2Body {
    /// The next piece; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream was reset.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match within("the next frame", self.frames.data()).await {
            None => Ok(None),
            Some(Ok(bytes)) => {
                let _ = self.frames.flow_control().release_capacity(bytes.len());
                Ok(Some(bytes.to_vec()))
            }
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }

    /// Gives the stream up, as a client does whose user pressed escape.
    pub fn cancel(mut self) {
        if let Some(mut upload) = self.upload.take() {
            upload.send_reset(Reason::CANCEL);
        }
    }
}

async fn send_pieces(upload: &mut SendStream<Bytes>, pieces: Vec<Vec<u8>>) -> Result<(), h2::Error> {
    let last = pieces.len().saturating_sub(1);
    for (index, piece) in pieces.into_iter().enumerate() {
        let mut left = Bytes::from(piece);
        while !left.is_empty() {
            upload.reserve_capacity(left.len());
            let room = std::future::poll_fn(|context| upload.poll_capacity(context)).await;
            let Some(room) = room.transpose()? else {
                return Ok(());
            };
            let part = left.split_to(room.min(left.len()));
            upload.send_data(part, index == last && left.is_empty())?;
        }
    }
    Ok(())
}

fn as_request(call: &Call) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method(call.method())
        .uri(format!("https://{GATEWAY_NAME}{}", call.target()));
    for (name, value) in call.headers() {
        request = request.header(name.as_str(), value.as_str());
    }
    if let Some(length) = call.announced() {
        request = request.header("content-length", length);
    }
    request.body(()).expect("a request")
}

fn as_head(head: &http::response::Parts) -> Head {
    let headers = head.headers.iter();
    Head {
        raw: Vec::new(),
        start: format!("HTTP/2 {}", head.status.as_u16()),
        headers: headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
    }
}
