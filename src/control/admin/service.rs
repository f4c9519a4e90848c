//! Carries administrative commands out: look, record, change.

use std::sync::Arc;

use serde_json::Value;

use crate::control::admin::answer::Answer;
use crate::control::admin::command::{Command, UserRef};
use crate::control::admin::error::AdminError;
use crate::control::admin::ledger::{AdminEvent, AdminLedger, Phase};
use crate::pipeline::identify::token::TokenIssuer;
use crate::pipeline::identify::view::IdentityView;
use crate::store::Store;
use crate::store::identity::change::Change;
use crate::store::identity::{TenantRow, UserRow};
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;
use crate::types::ids::{TenantId, TenantName};

/// How long a name may be, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What the service works with.
pub struct Parts {
    /// Where the rows are.
    pub store: Arc<Store>,
    /// Where changes are recorded first.
    pub ledger: Arc<dyn AdminLedger>,
    /// Signs tokens; without it none are issued.
    pub issuer: Option<Arc<TokenIssuer>>,
    /// The view of this process, to be refreshed at once; none where no node runs.
    pub view: Option<Arc<IdentityView>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For ids and keys.
    pub entropy: Arc<dyn Entropy>,
}

/// The admin service: one in a running node, behind its socket, or one in a command that found no node running.
pub struct AdminService {
    pub(super) parts: Parts,
    /// Held from the look to the change, so that nothing looked at changes in between.
    turn: tokio::sync::Mutex<()>,
}

/// A change about to be recorded and made.
pub(super) struct Plan {
    pub(super) action: &'static str,
    pub(super) resource: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) detail: Value,
    pub(super) changes: Vec<Change>,
}

impl AdminService {
    /// A service made of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Carries out one command of this Unix user.
    pub async fn execute(&self, peer_uid: u32, command: Command) -> Result<Answer, AdminError> {
        let _turn = self.turn.lock().await;
        match command {
            Command::Tenant(command) => self.tenant(peer_uid, command).await,
            Command::User(command) => self.user(peer_uid, command).await,
            Command::Team(command) => self.team(peer_uid, command).await,
            Command::Role(command) => self.role(peer_uid, command).await,
            Command::Key(command) => self.key(peer_uid, command).await,
            Command::Token(command) => self.token(peer_uid, command).await,
        }
    }

    /// Records the plan, then makes its changes, then lets the view see them.
    pub(super) async fn carry_out(&self, peer_uid: u32, plan: Plan) -> Result<(), AdminError> {
        let mut event = AdminEvent {
            peer_uid,
            action: plan.action,
            resource: plan.resource,
            tenant: plan.tenant,
            phase: Phase::Intended,
            detail: plan.detail,
        };
        self.parts.ledger.record(&event).await?;
        if plan.changes.is_empty() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        if let Err(error) = self.parts.store.change_identity(&plan.changes, now).await {
            event.phase = Phase::Failed;
            if let Err(error) = self.parts.ledger.record(&event).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    action = event.action,
                    "a failed change stands recorded as intended only"
                );
            }
            return Err(error.into());
        }
        if let Some(view) = &self.parts.view
            && let Err(error) = view.refresh().await
        {
            // The change is made. The view's own loop sees it with its next poll.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the view could not be refreshed"
            );
        }
        Ok(())
    }

    /// The tenant of this name, or the only one there is.
    pub(super) async fn tenant_of(&self, name: Option<&TenantName>) -> Result<TenantRow, AdminError> {
        if let Some(name) = name {
            let found = self.parts.store.tenant_named(name).await?;
            return found.ok_or_else(|| AdminError::NotFound(format!("there is no tenant {name}")));
        }
        let mut tenants = self.parts.store.first_two_tenants().await?;
        match (tenants.pop(), tenants.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(AdminError::Invalid(
                "there are several tenants; name one with --tenant".to_owned(),
            )),
            (None, _) => Err(AdminError::NotFound(
                "there is no tenant yet; create one with: tollgate tenant create NAME".to_owned(),
            )),
        }
    }

    /// The user and its tenant.
    pub(super) async fn find(&self, user: &UserRef) -> Result<(TenantRow, UserRow), AdminError> {
        let tenant = self.tenant_of(user.tenant.as_ref()).await?;
        let found = self.parts.store.user_named(tenant.id, &user.name).await?;
        let user = found.ok_or_else(|| {
            let (name, tenant) = (&user.name, &tenant.name);
            AdminError::NotFound(format!("there is no user {name} in tenant {tenant}"))
        })?;
        Ok((tenant, user))
    }
}

/// Refuses names that could not be typed, quoted or told apart.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), AdminError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c)) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "a {what} has letters, digits and any of . _ - @ + in it, {NAME_BYTES_MAX} bytes at most"
    )))
}

/// Refuses labels that would disturb a listing.
pub(super) fn check_label(label: &str) -> Result<(), AdminError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&label.len());
    if fits && !label.chars().any(char::is_control) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "a key's name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
    )))
}
