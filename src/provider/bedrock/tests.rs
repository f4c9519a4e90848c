//! Where requests to Bedrock go, and as what.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::*;
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
    let count = Ask {
        operation: Operation::CountTokens,
        model: &model,
        stream: false,
        query: None,
        client: &client,
    };
    assert!(provider.edits(&count, b"{}").is_err());
    assert!(provider.frames(EVENT_STREAM).is_some() && provider.frames("text/event-stream").is_none());
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
