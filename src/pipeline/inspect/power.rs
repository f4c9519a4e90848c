//! Powers: what a request asks the upstream to execute, fetch or keep for us.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One power, as policies name it: `Tool::"server_tool/web_search"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Power(Box<str>);

/// Families of tools that the client runs, whatever their date.
const CLIENT_TOOLS: [&str; 6] = [
    "bash",
    "text_editor",
    "memory",
    "computer",
    "computer_toolset",
    "browser_toolset",
];

/// Families of tools that the vendor runs, whatever their date.
const SERVER_TOOLS: [&str; 7] = [
    "web_search",
    "web_fetch",
    "code_execution",
    "tool_search_tool_regex",
    "tool_search_tool_bm25",
    "advisor",
    "mcp_toolset",
];

/// Tools of OpenAI's API that the client runs.
const OPENAI_CLIENT_TOOLS: [&str; 8] = [
    "function",
    "custom",
    "namespace",
    "apply_patch",
    "local_shell",
    "computer",
    "computer_use",
    "computer_use_preview",
];

/// Tools that OpenAI runs, by the beginning of their `type`, and the name of their power. The longer
/// of two beginnings stands first.
const OPENAI_HOSTED_TOOLS: [(&str, &str); 7] = [
    ("web_search_preview", "web_search"),
    ("web_search", "web_search"),
    ("file_search", "file_search"),
    ("code_interpreter", "code_interpreter"),
    ("image_generation", "image_generation"),
    ("shell", "shell"),
    ("tool_search", "tool_search"),
];

/// Whether this is what follows a tool's family in its `type`: nothing, or a date as in `_2025_08_26`.
fn is_date_suffix(suffix: &str) -> bool {
    let is_digit_or_line = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    suffix.is_empty() || (suffix.starts_with('_') && suffix.bytes().all(is_digit_or_line))
}

impl Power {
    /// The power of a tool with this `type`; none for tools that the client runs.
    pub(super) fn of_tool(kind: &str) -> Option<Self> {
        let family = undated(kind);
        if kind == "custom" || CLIENT_TOOLS.contains(&family) {
            return None;
        }
        let known = SERVER_TOOLS.iter().find(|known| **known == family);
        Some(Self::new("server_tool", known.copied().unwrap_or("unknown")))
    }

    /// The power of a tool with this `type` in OpenAI's API; none for tools that the client runs.
    pub(super) fn of_openai_tool(kind: &str) -> Option<Self> {
        if OPENAI_CLIENT_TOOLS.contains(&kind) {
            return None;
        }
        let known = OPENAI_HOSTED_TOOLS
            .iter()
            .find(|(known, _)| kind.strip_prefix(*known).is_some_and(is_date_suffix));
        Some(known.map_or_else(|| Self::hosted("unknown"), |(_, name)| Self::hosted(name)))
    }

    /// Running a tool of the vendor.
    pub(super) fn hosted(name: &str) -> Self {
        Self::new("server_tool", name)
    }

    /// Reading from a URL.
    pub(super) fn url_source(url: &str) -> Self {
        Self::of_host("url_source", url)
    }

    /// Calling an MCP server at a URL.
    pub(super) fn mcp_connector(url: &str) -> Self {
        Self::of_host("mcp_connector", url)
    }

    /// Referring to something that the upstream keeps, by its kind.
    pub(super) fn upstream_state(kind: &str) -> Self {
        Self::new("upstream_state", kind)
    }

    /// A media source of a kind that we do not know.
    pub(super) fn unknown_source() -> Self {
        Self::new("source", "unknown")
    }

    /// Letting the upstream choose another model than the one decided on.
    pub(super) fn fallback_models() -> Self {
        Self::new("upstream_choice", "fallbacks")
    }

    fn new(class: &str, what: &str) -> Self {
        Self(format!("{class}/{what}").into())
    }

    fn of_host(class: &str, url: &str) -> Self {
        Self::new(class, &host_of(url).unwrap_or_else(|| "invalid".into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn class(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl From<&str> for Power {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The type of a tool without its date: `web_search` for `web_search_20250305`.
fn undated(kind: &str) -> &str {
    match kind.rsplit_once('_') {
        Some((family, date)) if date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit()) => family,
        _ => kind,
    }
}

/// The host of an `http` or `https` URL in lower case.
///
/// Anything on which URL parsers disagree (user names, backslashes, odd characters) has no host
/// here, so that it cannot be taken for an allowed one.
fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bare {
        Some(address) => address
            .bytes()
            .all(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.')),
        None => host
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_')),
    };
    let fits = (1..=253).contains(&host.len()) && port.bytes().all(|c| c.is_ascii_digit());
    (good && fits).then(|| host.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_have_powers_by_family() {
        let check = |kind: &str, power: Option<&str>| {
            assert_eq!(Power::of_tool(kind).as_ref().map(Power::as_str), power, "{kind}");
        };
        check("custom", None);
        check("bash_20250124", None);
        check("text_editor_20250728", None);
        check("computer_toolset_20260801", None);
        check("web_search_20250305", Some("server_tool/web_search"));
        check("code_execution_20260521", Some("server_tool/code_execution"));
        check("mcp_toolset", Some("server_tool/mcp_toolset"));
        check("bash_code_execution_20250825", Some("server_tool/unknown"));
        check("function", Some("server_tool/unknown"));
        check("", Some("server_tool/unknown"));
    }

    #[test]
    fn tools_of_openai_have_powers_by_family() {
        let check = |kind: &str, power: Option<&str>| {
            let found = Power::of_openai_tool(kind);
            assert_eq!(found.as_ref().map(Power::as_str), power, "{kind}");
        };
        check("function", None);
        check("custom", None);
        check("local_shell", None);
        check("web_search", Some("server_tool/web_search"));
        check("web_search_2025_08_26", Some("server_tool/web_search"));
        check("web_search_preview_2025_03_11", Some("server_tool/web_search"));
        check("web_search_of_tomorrow", Some("server_tool/unknown"));
        check("code_interpreter", Some("server_tool/code_interpreter"));
        check("file_search", Some("server_tool/file_search"));
        check("builtin_function", Some("server_tool/unknown"));
        check("", Some("server_tool/unknown"));
    }

    #[test]
    fn hosts_are_plain_or_invalid() {
        let check = |url: &str, host: Option<&str>| assert_eq!(host_of(url).as_deref(), host, "{url}");
        check("https://Example.COM/a?b#c", Some("example.com"));
        check("http://example.com.:8080", Some("example.com"));
        check("https://[2001:db8::1]:443/x", Some("[2001:db8::1]"));
        check("https://good.example@evil.example/", None);
        check("https://good.example\\@evil.example/", None);
        check("https://good.example:80@evil.example/", None);
        check("ftp://example.com/", None);
        check("data:image/png;base64,AAAA", None);
        check("https://", None);
        check("https://exämple.com/", None);
    }
}
