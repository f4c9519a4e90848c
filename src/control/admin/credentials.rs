//! Commands about API keys and tokens.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::control::admin::answer::{Answer, KeyInfo};
use crate::control::admin::command::{KeyCommand, TokenCommand, UserRef};
use crate::control::admin::error::AdminError;
use crate::control::admin::service::{AdminService, Plan, check_label};
use crate::pipeline::identify::key::NewKey;
use crate::pipeline::identify::token::{IssueError, LEEWAY, TTL_MAX, TokenSubject};
use crate::store::identity::change::{Change, KeyChange, UserChange};
use crate::store::identity::{KeyRow, TenantRow, UserRow};
use crate::types::ids::{KeyId, TenantId, TenantName, TokenId, UserId, UserName};

impl AdminService {
    pub(super) async fn key(&self, peer_uid: u32, command: KeyCommand) -> Result<Answer, AdminError> {
        match command {
            KeyCommand::Create {
                user,
                name,
                expires_in_s,
            } => self.create_key(peer_uid, &user, name, expires_in_s).await,
            KeyCommand::List { tenant, user } => self.list_keys(tenant, user).await,
            KeyCommand::Revoke { id } => self.revoke_key(peer_uid, id).await,
        }
    }

    async fn create_key(
        &self,
        peer_uid: u32,
        user: &UserRef,
        name: String,
        expires_in_s: Option<u64>,
    ) -> Result<Answer, AdminError> {
        check_label(&name)?;
        if expires_in_s == Some(0) {
            return Err(AdminError::Invalid(
                "a key that has expired already is of no use".to_owned(),
            ));
        }
        let (tenant, user) = self.find(user).await?;
        let now = self.parts.clock.now();
        let expires_at = expires_in_s.map(|seconds| now.plus(Duration::from_secs(seconds)));
        let id = KeyId::generate(now, &*self.parts.entropy);
        let key = NewKey::draw(&*self.parts.entropy);
        let create = KeyChange::Create {
            user: user.id,
            lookup: key.lookup,
            digest: key.digest,
            name: name.clone(),
            expires_at,
        };
        let plan = Plan {
            action: "key.create",
            resource: format!("key/{id}"),
            tenant: Some(tenant.id),
            detail: json!({
                "user": user.name, "user_id": user.id, "name": name, "prefix": KeyInfo::prefix_of(key.lookup),
                "expires_at": expires_at.map(|end| end.to_string()),
            }),
            changes: vec![Change::Key(id, create)],
        };
        // The key is handed out only once its row is durable: a key that was shown always works.
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::KeyCreated {
            id,
            key: key.text,
            expires_at,
        })
    }

    async fn list_keys(
        &self,
        tenant: Option<TenantName>,
        user: Option<UserName>,
    ) -> Result<Answer, AdminError> {
        let of_user = match (&tenant, user) {
            (_, Some(name)) => {
                let user = UserRef {
                    tenant: tenant.clone(),
                    name,
                };
                Some(self.find(&user).await?.1.id)
            }
            (Some(name), None) => {
                self.tenant_of(Some(name)).await?;
                None
            }
            (None, None) => None,
        };
        let rows = self.parts.store.identity().await?;
        let tenants: HashMap<TenantId, TenantRow> =
            rows.tenants.into_iter().map(|row| (row.id, row)).collect();
        let users: HashMap<UserId, UserRow> = rows.users.into_iter().map(|row| (row.id, row)).collect();
        let keys = rows.keys.into_iter().filter_map(|key| {
            let owner = users.get(&key.user)?;
            let of = tenants.get(&owner.tenant)?;
            let wanted = tenant.as_ref().is_none_or(|name| *name == of.name)
                && of_user.is_none_or(|id| id == owner.id);
            wanted.then(|| info(key, owner, of))
        });
        Ok(Answer::Keys { keys: keys.collect() })
    }

    async fn revoke_key(&self, peer_uid: u32, id: KeyId) -> Result<Answer, AdminError> {
        let Some(key) = self.parts.store.key(id).await? else {
            return Err(AdminError::NotFound(format!("there is no key {id}")));
        };
        if let Some(since) = key.revoked_at {
            return Err(AdminError::Conflict(format!("key {id} was revoked at {since}")));
        }
        let plan = Plan {
            action: "key.revoke",
            resource: format!("key/{id}"),
            tenant: self.parts.store.tenant_of_user(key.user).await?,
            detail: json!({"user_id": key.user, "name": key.name, "prefix": KeyInfo::prefix_of(key.lookup)}),
            changes: vec![Change::Key(id, KeyChange::Revoke)],
        };
        self.carry_out(peer_uid, plan).await?;
        let name = key.name;
        Ok(Answer::Done {
            what: format!("Key {id} ({name}) is revoked; every node refuses it within two seconds."),
        })
    }

    pub(super) async fn token(&self, peer_uid: u32, command: TokenCommand) -> Result<Answer, AdminError> {
        match command {
            TokenCommand::Issue { user, ttl_s } => self.issue_token(peer_uid, &user, ttl_s).await,
            TokenCommand::Revoke { id } => self.revoke_token(peer_uid, id).await,
            TokenCommand::RevokeAll { user } => {
                let (tenant, user) = self.find(&user).await?;
                let plan = Plan {
                    action: "token.revoke_all",
                    resource: format!("user/{}", user.name),
                    tenant: Some(tenant.id),
                    detail: json!({"user_id": user.id}),
                    changes: vec![Change::User(user.id, UserChange::RevokeTokens)],
                };
                self.carry_out(peer_uid, plan).await?;
                let name = user.name;
                Ok(Answer::Done {
                    what: format!("All tokens of {name} are revoked; API keys are not affected."),
                })
            }
        }
    }

    async fn issue_token(&self, peer_uid: u32, user: &UserRef, ttl_s: u64) -> Result<Answer, AdminError> {
        let issuer = self.parts.issuer.as_ref().ok_or_else(|| {
            AdminError::Failed("no signing key is at hand, so no token can be issued here".to_owned())
        })?;
        let (tenant, user) = self.find(user).await?;
        if tenant.disabled_at.is_some() || user.disabled_at.is_some() {
            let name = user.name;
            return Err(AdminError::Conflict(format!(
                "{name} or its tenant is disabled; the token would be refused"
            )));
        }
        let subject = TokenSubject {
            user: user.id,
            tenant: tenant.id,
            tokens_valid_after: user.tokens_valid_after,
        };
        let issued = issuer
            .issue(&subject, Duration::from_secs(ttl_s))
            .map_err(|error| not_issued(&error))?;
        let plan = Plan {
            action: "token.issue",
            resource: format!("token/{}", issued.id),
            tenant: Some(tenant.id),
            detail: json!({
                "user": user.name, "user_id": user.id, "expires_at": issued.expires_at.to_string(),
            }),
            changes: Vec::new(),
        };
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::TokenIssued {
            id: issued.id,
            token: issued.text,
            expires_at: issued.expires_at,
        })
    }

    async fn revoke_token(&self, peer_uid: u32, id: TokenId) -> Result<Answer, AdminError> {
        // Tokens are not kept, so its end is not known; no token lives longer than this.
        let valid_until = self.parts.clock.now().plus(TTL_MAX).plus(LEEWAY);
        let plan = Plan {
            action: "token.revoke",
            resource: format!("token/{id}"),
            tenant: None,
            detail: json!({}),
            changes: vec![Change::RevokeToken(id, valid_until)],
        };
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::Done {
            what: format!("Token {id} is revoked; every node refuses it within two seconds."),
        })
    }
}

fn not_issued(error: &IssueError) -> AdminError {
    match error {
        IssueError::Lifetime => AdminError::Invalid(error.to_string()),
        IssueError::Sign(_) => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a token could not be signed"
            );
            AdminError::Failed("the token could not be signed; the node's log has the reason".to_owned())
        }
    }
}

fn info(key: KeyRow, owner: &UserRow, tenant: &TenantRow) -> KeyInfo {
    KeyInfo {
        id: key.id,
        prefix: KeyInfo::prefix_of(key.lookup),
        name: key.name,
        tenant: tenant.name.clone(),
        user: owner.name.clone(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
    }
}
