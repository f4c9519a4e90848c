//! What a path asks for. Matching is on the path alone, never on the query.

use http::{HeaderMap, HeaderValue, Method};

use crate::dialect::Family;
use crate::dialect::operation::Operation;
use crate::pipeline::refusal::{Kind, Refusal};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A model request: identified, decided, recorded, forwarded.
    Governed(Operation),
    /// The models that the caller may use.
    Models,
    /// One of them.
    Model(String),
    /// What clients ask before they sign in; says only that something answers.
    Probe,
    /// The control plane.
    Control,
}

/// The endpoint of a method and a path.
///
/// # Errors
/// A [`Refusal`] for paths that do not exist and methods that they do not take.
pub fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Refusal> {
    // Clients are configured with and without the version in the base URL.
    let path = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with("/v1/"))
        .unwrap_or(path);
    let (endpoint, allowed): (Endpoint, &[Method]) = match path {
        "/v1/messages" => (Endpoint::Governed(Operation::Messages), &[Method::POST]),
        "/v1/messages/count_tokens" => (Endpoint::Governed(Operation::CountTokens), &[Method::POST]),
        "/v1/chat/completions" => (Endpoint::Governed(Operation::ChatCompletions), &[Method::POST]),
        "/v1/embeddings" => (Endpoint::Governed(Operation::Embeddings), &[Method::POST]),
        "/v1/responses" => (Endpoint::Governed(Operation::Responses), &[Method::POST]),
        "/v1/models" => (Endpoint::Models, &[Method::GET, Method::HEAD]),
        "/" | "/api/hello" => (Endpoint::Probe, &[Method::GET, Method::HEAD]),
        _ if path.starts_with("/.well-known/") => (Endpoint::Control, &[Method::GET, Method::HEAD]),
        _ => match path.strip_prefix("/v1/models/") {
            Some(id) if !id.is_empty() => (Endpoint::Model(id.to_owned()), &[Method::GET, Method::HEAD]),
            _ => return Err(unknown_path()),
        },
    };
    if allowed.contains(method) {
        return Ok(endpoint);
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let message = format!("this path takes {} only: check the method", names.join(" or "));
    Err(Refusal::new(Kind::MethodNotAllowed, message))
}

/// The refusal for a path that nothing serves.
pub fn unknown_path() -> Refusal {
    Refusal::new(
        Kind::NotFound,
        "nothing is served at this path: use /v1/messages, /v1/messages/count_tokens, \
         /v1/chat/completions, /v1/embeddings, /v1/responses or /v1/models",
    )
}

/// Whose errors a client reads that asked for a path or by a method that does not exist.
pub fn shape_of_unknown(path: &str, headers: &HeaderMap) -> Family {
    const OPENAI: [&str; 7] = [
        "/chat/",
        "/completions",
        "/embeddings",
        "/responses",
        "/images",
        "/audio",
        "/files",
    ];
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let agent = headers.get(http::header::USER_AGENT).map(HeaderValue::as_bytes);
    let is_openai = OPENAI.iter().any(|begin| path.starts_with(begin))
        || agent.is_some_and(|agent| agent.starts_with(b"OpenAI/") || agent.starts_with(b"AsyncOpenAI/"));
    if is_openai && !headers.contains_key("anthropic-version") {
        Family::OpenAi
    } else {
        Family::Anthropic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_name_endpoints() {
        let check = |method: Method, path: &str, expected: Result<Endpoint, Kind>| {
            assert_eq!(
                endpoint(&method, path).map_err(|refusal| refusal.kind),
                expected,
                "{path}"
            );
        };
        check(
            Method::POST,
            "/v1/messages",
            Ok(Endpoint::Governed(Operation::Messages)),
        );
        check(
            Method::POST,
            "/v1/v1/messages",
            Ok(Endpoint::Governed(Operation::Messages)),
        );
        check(
            Method::POST,
            "/v1/chat/completions",
            Ok(Endpoint::Governed(Operation::ChatCompletions)),
        );
        check(
            Method::POST,
            "/v1/embeddings",
            Ok(Endpoint::Governed(Operation::Embeddings)),
        );
        check(Method::POST, "/v1/completions", Err(Kind::NotFound));
        check(Method::GET, "/v1/chat/completions", Err(Kind::MethodNotAllowed));
        check(Method::GET, "/v1/messages", Err(Kind::MethodNotAllowed));
        check(Method::POST, "/v1/messages/", Err(Kind::NotFound));
        check(
            Method::GET,
            "/v1/models/claude-x",
            Ok(Endpoint::Model("claude-x".to_owned())),
        );
        check(Method::HEAD, "/api/hello", Ok(Endpoint::Probe));
        check(Method::GET, "/.well-known/jwks.json", Ok(Endpoint::Control));
        check(Method::GET, "/metrics", Err(Kind::NotFound));
        check(Method::GET, "/v1/V1/models", Err(Kind::NotFound));
    }
}
