//! The door: every request that Pingora accepts comes in here, and only here.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::server::HttpSession as HttpSessionV1;
use pingora_core::server::ShutdownWatch;
use tokio::sync::watch;

use crate::gateway::context::Context;
use crate::gateway::control_door::ControlPlane;
use crate::gateway::endpoint::{Endpoint, endpoint};
use crate::gateway::refuse::{self, ErrorShape};
use crate::gateway::snapshot::Snapshot;
use crate::gateway::{control_door, governed, head, models, respond};
use crate::journal::Journal;
use crate::pipeline::coalesce::Coalescer;
use crate::pipeline::forward::Engine;
use crate::pipeline::identify::Authenticator;
use crate::pipeline::refusal::{Kind, Refusal};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::words::{self as metrics, Outcome};
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;
use crate::types::secret::Secret;

/// The longest time in which a head has to arrive, the wait of an idle connection included.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);

/// The data plane: everything that a request needs, shared by all of them.
pub struct Gateway {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Who callers are.
    pub authenticator: Authenticator,
    /// The ledger's first station.
    pub journal: Arc<Journal>,
    /// The way to upstreams.
    pub engine: Engine,
    /// The control plane.
    pub control: ControlPlane,
    /// Counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What tenants' keys for fingerprints of secrets are derived from.
    pub fingerprint_root: Secret<[u8; 32]>,
    /// Gathers repeated refusals into counted rows.
    pub coalescer: Arc<Coalescer>,
    /// Turns true when running streams have to end.
    pub cut: watch::Receiver<bool>,
    /// Counts requests in flight, for draining.
    pub in_flight: crate::gateway::in_flight::InFlight,
}

/// The gateway as Pingora's listening service calls it.
pub struct Door(Arc<Gateway>);

impl Door {
    /// The door of this gateway.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let gateway = &self.0;
        let mut stopping = shutdown.clone();
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(HEAD_DEADLINE, session.read_request()) => read,
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return None,
            Ok(Err(error)) => {
                gateway.unreadable(session, &error).await;
                return None;
            }
            Err(_) => {
                session.shutdown().await;
                return None;
            }
        }
        let _in_flight = gateway.in_flight.enter();
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        session.set_pipelining_enabled(true);
        if Box::pin(gateway.serve(&mut session)).await.is_err() {
            // The client is gone, or what it was told is incomplete: the connection says so.
            session.shutdown().await;
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

impl Gateway {
    /// Serves one request whose head has been read. An error means that nothing more can be said
    /// on this connection.
    async fn serve(&self, session: &mut ServerSession) -> pingora_error::Result<()> {
        let snapshot = self.snapshot.load_full();
        session.set_write_timeout(Some(snapshot.client_write));
        let peer = session
            .client_addr()
            .and_then(|address| address.as_inet())
            .copied();
        let context = Context::begin(&session.req_header().headers, peer, &*self.clock, &*self.entropy);
        let head = session.req_header();
        let raw = session.as_http1().map(HttpSessionV1::get_headers_raw_bytes);
        let checked = raw.map_or(Ok(()), |raw| head::check(&raw));
        let target = checked.and_then(|()| endpoint(&head.method, head.uri.path()));
        let shape = models::shape(&head.headers);
        match target {
            Ok(Endpoint::Governed(operation)) => {
                governed::serve(self, &snapshot, session, &context, operation).await
            }
            Ok(Endpoint::Models) => self.list_models(&snapshot, session, &context, shape).await,
            Ok(Endpoint::Model(id)) => self.show_model(&snapshot, session, &context, shape, &id).await,
            Ok(Endpoint::Probe) => {
                self.metrics.unrouted(metrics::Endpoint::Probe, Outcome::Complete);
                let text = Bytes::from_static(b"tollgate\n");
                respond::whole(session, StatusCode::OK, "text/plain", &[], context.id, text).await
            }
            Ok(Endpoint::Control) => match control_door::serve(session, &self.control, &context).await {
                Ok(sent) => {
                    self.metrics
                        .unrouted(metrics::Endpoint::Control, Outcome::Complete);
                    sent
                }
                Err(refusal) => {
                    self.refuse(session, &refusal, shape, &context, metrics::Endpoint::Control)
                        .await
                }
            },
            Err(refusal) => {
                self.refuse(
                    session,
                    &refusal,
                    ErrorShape::Anthropic,
                    &context,
                    metrics::Endpoint::None,
                )
                .await
            }
        }
    }

    /// Refuses a request and counts it.
    pub(super) async fn refuse(
        &self,
        session: &mut ServerSession,
        refusal: &Refusal,
        shape: ErrorShape,
        context: &Context,
        endpoint: metrics::Endpoint,
    ) -> pingora_error::Result<()> {
        self.metrics.refused(refusal.kind.as_str());
        self.metrics.unrouted(endpoint, Outcome::Refused);
        tracing::info!(request = %context.id.wire(), kind = refusal.kind.as_str(), endpoint = endpoint.as_str(), "refused");
        refuse::send(session, refusal, shape, context.id).await
    }

    async fn list_models(
        &self,
        snapshot: &Snapshot,
        session: &mut ServerSession,
        context: &Context,
        shape: ErrorShape,
    ) -> pingora_error::Result<()> {
        let principal = match governed::identify(self, &session.req_header().headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                return self
                    .refuse(session, &refusal, shape, context, metrics::Endpoint::Models)
                    .await;
            }
        };
        let allowed = models::allowed(&snapshot.models, &snapshot.routes, &snapshot.policies, &principal);
        self.metrics
            .unrouted(metrics::Endpoint::Models, Outcome::Complete);
        let body = models::list(&allowed, shape);
        respond::whole(session, StatusCode::OK, "application/json", &[], context.id, body).await
    }

    async fn show_model(
        &self,
        snapshot: &Snapshot,
        session: &mut ServerSession,
        context: &Context,
        shape: ErrorShape,
        id: &str,
    ) -> pingora_error::Result<()> {
        let principal = match governed::identify(self, &session.req_header().headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                return self
                    .refuse(session, &refusal, shape, context, metrics::Endpoint::Models)
                    .await;
            }
        };
        let allowed = models::allowed(&snapshot.models, &snapshot.routes, &snapshot.policies, &principal);
        let Some(model) = allowed.into_iter().find(|model| model.id.as_str() == id) else {
            let refusal = Refusal::new(
                Kind::NotFound,
                "no such model: GET /v1/models lists what you may use",
            );
            return self
                .refuse(session, &refusal, shape, context, metrics::Endpoint::Models)
                .await;
        };
        self.metrics
            .unrouted(metrics::Endpoint::Models, Outcome::Complete);
        let body = models::one(model, shape);
        respond::whole(session, StatusCode::OK, "application/json", &[], context.id, body).await
    }

    /// Answers a head that Pingora could not parse; a broken connection gets nothing.
    async fn unreadable(&self, mut session: ServerSession, error: &pingora_error::Error) {
        self.metrics.malformed_heads.inc();
        if matches!(error.etype(), pingora_error::ErrorType::InvalidHTTPHeader) {
            let id = crate::types::ids::RequestId::generate(self.clock.now(), &*self.entropy);
            let _ = refuse::unreadable(&mut session, id).await;
        }
        session.shutdown().await;
    }
}
