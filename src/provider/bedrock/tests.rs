//! Where requests to Bedrock go, and as what.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::dialect::splice;
use crate::provider::options::Options;
use crate::provider::registry::Registry;
use crate::types::ids::ModelName;
use crate::types::secret::Secret;

fn opened(key: Option<&str>, more: &[(&str, &str)]) -> Result<(String, Box<dyn Provider>), Misconfigured> {
    let registry = Registry::collect().unwrap();
    let declaration = registry.find("bedrock").unwrap();
    let mut written = BTreeMap::from([("region".to_owned(), "eu-central-1".to_owned())]);
    written.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let options = Options::new(&declaration.options, &written)?;
    let endpoint = registry.endpoint(declaration, &options)?;
    let settings = Settings {
        endpoint: endpoint.clone(),
        key: key.map(|key| Secret::new(key.to_owned())),
        options,
        lending: None,
    };
    Ok((endpoint.to_string(), registry.open(declaration, &settings)?))
}

#[test]
fn the_model_is_one_segment_of_the_path() {
    let (endpoint, provider) = opened(Some("k"), &[]).unwrap();
    assert_eq!(endpoint, "https://bedrock-runtime.eu-central-1.amazonaws.com:443");
    let client = HeaderMap::from_iter([(
        HeaderName::from_static("anthropic-beta"),
        HeaderValue::from_static("x"),
    )]);
    let arn = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-v1:0";
    let model = ModelName::from(arn);
    let encoded = "arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Feu.anthropic.claude-v1%3A0";
    for (stream, action, accept) in [
        (false, "invoke", "application/json"),
        (true, "invoke-with-response-stream", EVENT_STREAM),
    ] {
        let ask = Ask {
            operation: Operation::Messages,
            model: &model,
            stream,
            query: Some("beta=true"),
            client: &client,
        };
        assert_eq!(provider.target(&ask), format!("/model/{encoded}/{action}"));
        let headers = provider.headers(&ask);
        assert!(headers.contains(&(ACCEPT, Some(HeaderValue::from_static(accept)))));
        assert!(headers.contains(&(HeaderName::from_static("anthropic-beta"), None)));
    }
    assert!(provider.frames(EVENT_STREAM).is_some() && provider.frames("text/event-stream").is_none());
}

#[test]
fn other_models_are_asked_by_converse() {
    let (_, provider) = opened(Some("k"), &[("claude", "arn:*/ours")]).unwrap();
    let client = HeaderMap::new();
    for (model, stream, dialect, end) in [
        (
            "us.amazon.nova-pro-v1:0",
            false,
            Dialect::Converse,
            "us.amazon.nova-pro-v1%3A0/converse",
        ),
        (
            "openai.gpt-oss-20b-1:0",
            true,
            Dialect::Converse,
            "openai.gpt-oss-20b-1%3A0/converse-stream",
        ),
        (
            "arn:aws:bedrock:x:1:application-inference-profile/ours",
            false,
            Dialect::AnthropicMessages,
            "arn%3Aaws%3Abedrock%3Ax%3A1%3Aapplication-inference-profile%2Fours/invoke",
        ),
    ] {
        let model = ModelName::from(model);
        let ask = Ask {
            operation: Operation::Messages,
            model: &model,
            stream,
            query: None,
            client: &client,
        };
        assert_eq!(provider.dialect(Dialect::AnthropicMessages, &model), dialect);
        assert_eq!(provider.target(&ask), format!("/model/{end}"));
        let edits = provider.edits(&ask, br#"{"messages":[]}"#).unwrap();
        assert_eq!(edits.splices.is_empty(), dialect == Dialect::Converse);
    }
}

#[test]
fn tokens_are_counted_by_the_model_behind_a_profile() {
    let (_, provider) = opened(Some("k"), &[("claude", "ours")]).unwrap();
    let client = HeaderMap::new();
    let model = ModelName::from("eu.anthropic.claude-sonnet-4-6-v1:0");
    let ask = Ask {
        operation: Operation::CountTokens,
        model: &model,
        stream: false,
        query: Some("beta=true"),
        client: &client,
    };
    assert_eq!(provider.counting(&model), Counting::Under("inputTokens"));
    assert_eq!(
        provider.target(&ask),
        "/model/anthropic.claude-sonnet-4-6-v1%3A0/count-tokens"
    );
    for (body, counted) in [
        (
            r#"{"model":"m","messages":[ 1 ]}"#,
            r#"{"max_tokens":1,"anthropic_version":"bedrock-2023-05-31","messages":[ 1 ]}"#,
        ),
        (
            r#"{"messages":[],"thinking":{"type":"enabled","budget_tokens":2048}}"#,
            r#"{"max_tokens":2049,"anthropic_version":"bedrock-2023-05-31","messages":[],"thinking":{"type":"enabled","budget_tokens":2048}}"#,
        ),
        (
            r#"{"messages":[],"max_tokens":7}"#,
            r#"{"anthropic_version":"bedrock-2023-05-31","messages":[],"max_tokens":7}"#,
        ),
    ] {
        let edits = provider.edits(&ask, body.as_bytes()).unwrap();
        let wrapped = splice::apply(&Bytes::copy_from_slice(body.as_bytes()), &edits.splices).unwrap();
        let encoded = STANDARD.encode(counted);
        assert_eq!(
            wrapped,
            format!(r#"{{"input":{{"invokeModel":{{"body":"{encoded}"}}}}}}"#)
        );
    }
    for opaque in [
        "ours",
        "arn:aws:bedrock:x:1:application-inference-profile/a",
        "amazon.nova-pro-v1:0",
    ] {
        assert_eq!(provider.counting(&ModelName::from(opaque)), Counting::Not);
    }
}

#[test]
fn a_key_is_an_api_key_unless_there_is_an_id() {
    let (_, provider) = opened(Some("k"), &[]).unwrap();
    assert!(matches!(provider.authorization(), Authorization::Fixed(name, _) if name == "authorization"));
    let (_, provider) = opened(Some("k"), &[("access_key_id", "AKID")]).unwrap();
    assert!(matches!(provider.authorization(), Authorization::Leased(_)));
    assert!(opened(None, &[("access_key_id", "AKID")]).is_err());
    assert!(opened(Some("k"), &[("region", "eu/../x")]).is_err());
}
