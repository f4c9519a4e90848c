//! `GET /v1/models`: what is declared, routed, and allowed to the caller.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::dialect::Family;
use crate::pipeline::decide::may_invoke;
use crate::pipeline::decide::policies::Policies;
use crate::pipeline::route::Routes;
use crate::types::ids::ModelName;
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;

/// One declared model, with the fields that Claude clients read.
#[derive(Clone, Debug, Serialize)]
pub struct DeclaredModel {
    /// The name that clients ask for.
    pub id: ModelName,
    /// The name that people see.
    pub display_name: String,
    /// RFC 3339.
    pub created_at: String,
    /// One sentence for model pickers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The context window in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The largest answer in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Whether a context of one million tokens may be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supports_1m: Option<bool>,
    /// How Claude Desktop groups models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anthropic_family_tier: Option<String>,
    /// Whether it is the default of its family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_family_default: Option<bool>,
}

/// The models that a principal may use on such a connection, in the order of their declaration.
pub fn allowed<'a>(
    declared: &'a [DeclaredModel],
    routes: &Routes,
    policies: &Policies,
    principal: &Principal,
    certificate: Option<&ClientCertificate>,
) -> Vec<&'a DeclaredModel> {
    let usable = |model: &&DeclaredModel| {
        routes.could_serve(principal, &model.id) && may_invoke(principal, certificate, &model.id, policies)
    };
    declared.iter().filter(usable).collect()
}

/// The list, in the shape of the client's API.
pub fn list(models: &[&DeclaredModel], shape: Family) -> Bytes {
    let data: Vec<Value> = models.iter().map(|model| entry(model, shape)).collect();
    let value = match shape {
        Family::Anthropic => json!({
            "data": data,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        Family::OpenAi => json!({"object": "list", "data": data}),
    };
    Bytes::from(value.to_string())
}

/// One model, in the shape of the client's API.
pub fn one(model: &DeclaredModel, shape: Family) -> Bytes {
    Bytes::from(entry(model, shape).to_string())
}

fn entry(model: &DeclaredModel, shape: Family) -> Value {
    match shape {
        Family::Anthropic => {
            let mut value = json!({"type": "model"});
            if let (Value::Object(into), Ok(Value::Object(fields))) =
                (&mut value, serde_json::to_value(model))
            {
                into.extend(fields);
            }
            value
        }
        Family::OpenAi => {
            json!({"id": model.id, "object": "model", "created": 0, "owned_by": "tollgate"})
        }
    }
}

/// Whose API a client speaks on the paths that both have: only Anthropic's clients name a version or
/// use `x-api-key`.
pub fn shape(headers: &http::HeaderMap) -> Family {
    if headers.contains_key("anthropic-version") || headers.contains_key("x-api-key") {
        Family::Anthropic
    } else {
        Family::OpenAi
    }
}
