//! One HTTP/2 connection that several askers share, each with one request in flight.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;

use crate::bodies::Request;
use crate::client::{Times, check_end};
use crate::door::Door;

/// Large enough that no answer waits for a window.
const WINDOW_BYTES: u32 = 16 << 20;

/// A place on a connection.
#[derive(Clone)]
pub struct Place {
    authority: String,
    requests: SendRequest<Bytes>,
}

impl Place {
    /// Connects; the connection lives until the runtime ends or the peer closes it.
    pub async fn open(door: &Door) -> Result<Self> {
        let socket = door.connect().await?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .enable_push(false)
            .handshake(socket)
            .await
            .context("beginning HTTP/2")?;
        tokio::spawn(connection);
        Ok(Self {
            authority: door.address().to_string(),
            requests,
        })
    }

    /// One exchange. Anything but a complete 200 that ends as the mock's answers end is an error.
    pub async fn exchange(&mut self, request: &Request) -> Result<Times> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut upload) = requests.send_request(request.head(&self.authority)?, false)?;
        upload.send_data(request.body(), true)?;
        let answer = answer.await.context("waiting for an answer")?;
        ensure!(answer.status() == 200, "refused: {}", answer.status());
        let mut frames = answer.into_body();
        let (mut body, mut first_byte) = (Vec::new(), None);
        while let Some(frame) = frames.data().await {
            let frame = frame.context("reading an answer")?;
            first_byte.get_or_insert_with(Instant::now);
            frames.flow_control().release_capacity(frame.len())?;
            body.extend_from_slice(&frame);
        }
        let done = Instant::now();
        check_end(&body)?;
        Ok(Times {
            first_byte: first_byte.unwrap_or(done),
            done,
        })
    }
}
