//! `GET /v1/models`: what is declared, routed, and allowed to the caller.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::gateway::refuse::ErrorShape;
use crate::pipeline::decide::may_invoke;
use crate::pipeline::decide::policies::Policies;
use crate::pipeline::route::Routes;
use crate::types::ids::ModelName;
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

/// The models that a principal may use, in the order of their declaration.
pub fn allowed<'a>(
    declared: &'a [DeclaredModel],
    routes: &Routes,
    policies: &Policies,
    principal: &Principal,
) -> Vec<&'a DeclaredModel> {
    let usable = |model: &&DeclaredModel| {
        !routes.candidates(&model.id).is_empty() && may_invoke(principal, &model.id, policies)
    };
    declared.iter().filter(usable).collect()
}

/// The list, in the shape of the client's API.
pub fn list(models: &[&DeclaredModel], shape: ErrorShape) -> Bytes {
    let data: Vec<Value> = models.iter().map(|model| entry(model, shape)).collect();
    let value = match shape {
        ErrorShape::Anthropic => json!({
            "data": data,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        ErrorShape::OpenAi => json!({"object": "list", "data": data}),
    };
    Bytes::from(value.to_string())
}

/// One model, in the shape of the client's API.
pub fn one(model: &DeclaredModel, shape: ErrorShape) -> Bytes {
    Bytes::from(entry(model, shape).to_string())
}

fn entry(model: &DeclaredModel, shape: ErrorShape) -> Value {
    match shape {
        ErrorShape::Anthropic => {
            let mut value = json!({"type": "model"});
            if let (Value::Object(into), Ok(Value::Object(fields))) =
                (&mut value, serde_json::to_value(model))
            {
                into.extend(fields);
            }
            value
        }
        ErrorShape::OpenAi => {
            json!({"id": model.id, "object": "model", "created": 0, "owned_by": "tollgate"})
        }
    }
}

/// The shape that a client of `/v1/models` wants: only Anthropic's clients name a version or use
/// `x-api-key`.
pub fn shape(headers: &http::HeaderMap) -> ErrorShape {
    let anthropic = headers.contains_key("anthropic-version") || headers.contains_key("x-api-key");
    let openai_agent = headers.get(http::header::USER_AGENT).is_some_and(|agent| {
        agent.as_bytes().starts_with(b"OpenAI/") || agent.as_bytes().starts_with(b"AsyncOpenAI/")
    });
    if anthropic || !openai_agent {
        ErrorShape::Anthropic
    } else {
        ErrorShape::OpenAi
    }
}
