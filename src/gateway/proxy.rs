//! The gateway: what requests need, and which way each of them goes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::server::HttpSession as HttpSessionV1;
use tokio::sync::watch;

use crate::dialect::Family;
use crate::gateway::context::Context;
use crate::gateway::control_door::ControlPlane;
use crate::gateway::endpoint::{Endpoint, endpoint, shape_of_unknown};
use crate::gateway::in_flight::{Guard, InFlight};
use crate::gateway::refuse;
use crate::gateway::snapshot::Snapshot;
use crate::gateway::{control_door, governed, head, models, request_line, respond};
use crate::pipeline::coalesce::Coalescer;
use crate::pipeline::forward::Engine;
use crate::pipeline::identify::Authenticator;
use crate::pipeline::inspect::memory::Memories;
use crate::pipeline::record::ledger::Ledger;
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::guard::Guards;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::words::{self as metrics, Outcome};
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;
use crate::types::peer::Peer;
use crate::types::principal::Principal;

/// When a request that was turned away may come back.
const SHED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The data plane: everything that a request needs, shared by all of them.
pub struct Gateway {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Who callers are.
    pub authenticator: Authenticator,
    /// Where requests are written down.
    pub ledger: Ledger,
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
    /// What each tenant's inspections remember.
    pub memories: Memories,
    /// Gathers repeated refusals into counted rows.
    pub coalescer: Arc<Coalescer>,
    /// Turns true when running streams have to end.
    pub cut: watch::Receiver<bool>,
    /// What upstreams can bear, by name; outlives configurations.
    pub guards: Guards,
    /// Counts connections, to bound them and to let the last frames of HTTP/2 out at the end.
    pub connections: InFlight,
    /// Counts requests of model APIs, to bound them.
    pub admitted: InFlight,
    /// Counts requests in flight, for draining.
    pub in_flight: InFlight,
}

impl Gateway {
    /// Serves one request whose head has been read. An error means that nothing more can be said
    /// on this connection.
    pub(super) async fn serve(&self, session: &mut ServerSession, peer: &Peer) -> pingora_error::Result<()> {
        let snapshot = self.snapshot.load_full();
        session.set_write_timeout(Some(snapshot.client_write));
        let headers = &session.req_header().headers;
        let mut peer = peer.clone();
        peer.address = peer
            .address
            .map(|connected| snapshot.trusted.client(connected, headers));
        let context = Context::begin(headers, peer, &snapshot, &*self.clock, &*self.entropy);
        let head = session.req_header();
        let raw = session.as_http1().map(HttpSessionV1::get_headers_raw_bytes);
        let checked = raw.map_or(Ok(()), |raw| head::check(&raw));
        let target = checked.and_then(|()| endpoint(&head.method, head.uri.path()));
        let shape = match &target {
            Ok(Endpoint::Governed(operation)) => operation.family(),
            Ok(_) => models::shape(&head.headers),
            Err(_) => shape_of_unknown(head.uri.path(), &head.headers),
        };
        let _place = match self.place(&snapshot, &target) {
            Ok(place) => place,
            Err(endpoint) => return self.shed(session, shape, &context, endpoint).await,
        };
        match target {
            Ok(Endpoint::Governed(operation)) => {
                governed::serve(self, &snapshot, session, &context, operation).await
            }
            Ok(Endpoint::Models) => self.list_models(&snapshot, session, &context, shape).await,
            Ok(Endpoint::Model(id)) => self.show_model(&snapshot, session, &context, shape, &id).await,
            Ok(Endpoint::Probe) => {
                let text = Bytes::from_static(b"tollgate\n");
                let sent = respond::whole(session, StatusCode::OK, "text/plain", &[], context.id, text).await;
                self.served_here(&context, metrics::Endpoint::Probe, None, sent)
            }
            Ok(Endpoint::Control) => match control_door::serve(session, &self.control, &context).await {
                Ok(sent) => self.served_here(&context, metrics::Endpoint::Control, None, sent),
                Err(refusal) => {
                    let endpoint = metrics::Endpoint::Control;
                    self.refuse(session, &refusal, shape, &context, endpoint, None)
                        .await
                }
            },
            Err(refusal) => {
                self.refuse(session, &refusal, shape, &context, metrics::Endpoint::None, None)
                    .await
            }
        }
    }

    /// A place among the requests of model APIs, where the request needs one; where it knocked, when
    /// all places are taken.
    fn place(
        &self,
        snapshot: &Snapshot,
        target: &Result<Endpoint, Refusal>,
    ) -> Result<Option<Guard>, metrics::Endpoint> {
        let endpoint = match target {
            Ok(Endpoint::Governed(operation)) => governed::metered(*operation),
            Ok(Endpoint::Models | Endpoint::Model(_)) => metrics::Endpoint::Models,
            Ok(Endpoint::Probe | Endpoint::Control) | Err(_) => return Ok(None),
        };
        let place = self.admitted.enter_below(snapshot.requests_in_flight_max);
        place.map(Some).ok_or(endpoint)
    }

    /// Turns a request away before anything of it is looked at: the cheapest answer there is.
    async fn shed(
        &self,
        session: &mut ServerSession,
        shape: Family,
        context: &Context,
        endpoint: metrics::Endpoint,
    ) -> pingora_error::Result<()> {
        let message = "the gateway handles as many requests as it may: try again shortly";
        let refusal = Refusal::new(Kind::Overloaded, message).retry_after(SHED_RETRY_AFTER);
        self.refuse(session, &refusal, shape, context, endpoint, None)
            .await
    }

    /// Counts and logs a request that was answered without being governed.
    fn served_here(
        &self,
        context: &Context,
        endpoint: metrics::Endpoint,
        principal: Option<&Principal>,
        sent: pingora_error::Result<()>,
    ) -> pingora_error::Result<()> {
        let outcome = if sent.is_ok() {
            Outcome::Complete
        } else {
            Outcome::ClientGone
        };
        self.metrics.unrouted(endpoint, outcome);
        request_line::served_here(context, endpoint, principal, outcome);
        sent
    }

    /// Refuses a request, counts and logs it.
    pub(super) async fn refuse(
        &self,
        session: &mut ServerSession,
        refusal: &Refusal,
        shape: Family,
        context: &Context,
        endpoint: metrics::Endpoint,
        principal: Option<&Principal>,
    ) -> pingora_error::Result<()> {
        self.metrics.refused(refusal.kind.as_str());
        self.metrics.unrouted(endpoint, Outcome::Refused);
        let agent = session.get_header_bytes(http::header::USER_AGENT);
        let (status, _) = refuse::status_and_type(refusal.kind, shape, agent);
        request_line::refused(context, endpoint, principal, refusal.kind, status);
        refuse::send(session, refusal, shape, context.id).await
    }

    async fn list_models(
        &self,
        snapshot: &Snapshot,
        session: &mut ServerSession,
        context: &Context,
        shape: Family,
    ) -> pingora_error::Result<()> {
        let principal = match governed::identify(self, &session.req_header().headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                return self
                    .refuse(session, &refusal, shape, context, metrics::Endpoint::Models, None)
                    .await;
            }
        };
        let certificate = context.peer.certificate.as_ref();
        let allowed = models::allowed(
            &snapshot.models,
            &snapshot.routes,
            &snapshot.policies,
            &principal,
            certificate,
        );
        let body = models::list(&allowed, shape);
        let sent = respond::whole(session, StatusCode::OK, "application/json", &[], context.id, body).await;
        self.served_here(context, metrics::Endpoint::Models, Some(&principal), sent)
    }

    async fn show_model(
        &self,
        snapshot: &Snapshot,
        session: &mut ServerSession,
        context: &Context,
        shape: Family,
        id: &str,
    ) -> pingora_error::Result<()> {
        let principal = match governed::identify(self, &session.req_header().headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                return self
                    .refuse(session, &refusal, shape, context, metrics::Endpoint::Models, None)
                    .await;
            }
        };
        let certificate = context.peer.certificate.as_ref();
        let allowed = models::allowed(
            &snapshot.models,
            &snapshot.routes,
            &snapshot.policies,
            &principal,
            certificate,
        );
        let Some(model) = allowed.into_iter().find(|model| model.id.as_str() == id) else {
            let refusal = Refusal::new(
                Kind::NotFound,
                "no such model: GET /v1/models lists what you may use",
            );
            return self
                .refuse(
                    session,
                    &refusal,
                    shape,
                    context,
                    metrics::Endpoint::Models,
                    Some(&principal),
                )
                .await;
        };
        let body = models::one(model, shape);
        let sent = respond::whole(session, StatusCode::OK, "application/json", &[], context.id, body).await;
        self.served_here(context, metrics::Endpoint::Models, Some(&principal), sent)
    }

    /// Answers a head that Pingora could not parse; a broken connection gets nothing.
    pub(super) async fn unreadable(&self, mut session: ServerSession, error: &pingora_error::Error) {
        self.metrics.malformed_heads.inc();
        if matches!(error.etype(), pingora_error::ErrorType::InvalidHTTPHeader) {
            let id = crate::types::ids::RequestId::generate(self.clock.now(), &*self.entropy);
            let _ = refuse::unreadable(&mut session, id).await;
        }
        session.shutdown().await;
    }
}
