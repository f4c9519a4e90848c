//! The client of the cloud that this machine is part of: credentials by who the machine is.
//!
//! It is the only part that reaches metadata services, and it knows their addresses and paths itself: nothing that is
//! configured, resolved or redirected leads it elsewhere. Connections go straight out, never through a proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::egress::exchange::{Asked, NoAnswer, Told, exchange};
use crate::egress::service::dial;
use crate::types::secret::Secret;

/// How long a whole request may take. The services are on this machine or next to it.
const TOTAL_MAX: Duration = Duration::from_secs(5);

/// How long a session with the metadata service of AWS is asked for: longer than any talk with it, in seconds.
const SESSION_S: &str = "60";

/// The longest path that an environment variable may name, in bytes.
const PATH_BYTES_MAX: usize = 512;

/// Where metadata services answer. A process has [`Places::FIXED`]; tests have theirs in the process of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The metadata service of AWS, Google Cloud and Azure.
    pub instance: SocketAddr,
    /// The credentials of tasks on Amazon ECS.
    pub task: SocketAddr,
    /// The credentials of pods on Amazon EKS.
    pub pod: SocketAddr,
    /// The same over IPv6.
    pub pod_v6: SocketAddr,
}

impl Places {
    /// Where they answer in every cloud.
    pub const FIXED: Self = Self {
        instance: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
        task: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), 80),
        pod: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)), 80),
        pod_v6: SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), 80),
    };
}

/// Where a container finds its role's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    at: At,
    path: Box<str>,
}

/// The hosts that hand credentials to containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Task,
    Pod,
    PodV6,
    Loopback(SocketAddr),
}

/// An environment variable leads to no host that hands out credentials, or to no plain path there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address at which containers find credentials")]
pub struct NotAContainer;

impl Container {
    /// What `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` says: a path at the agent of Amazon ECS.
    ///
    /// # Errors
    /// [`NotAContainer`]
    pub fn relative(path: &str) -> Result<Self, NotAContainer> {
        Self::new(At::Task, path)
    }

    /// What `AWS_CONTAINER_CREDENTIALS_FULL_URI` says: the agents of Amazon ECS and EKS, or a port of this machine.
    ///
    /// # Errors
    /// [`NotAContainer`]
    pub fn full(uri: &str) -> Result<Self, NotAContainer> {
        let rest = uri.strip_prefix("http://").ok_or(NotAContainer)?;
        let (authority, path) = rest.split_at(rest.find('/').ok_or(NotAContainer)?);
        let at = match authority {
            "169.254.170.2" | "169.254.170.2:80" => At::Task,
            "169.254.170.23" | "169.254.170.23:80" => At::Pod,
            "[fd00:ec2::23]" | "[fd00:ec2::23]:80" => At::PodV6,
            other => At::Loopback(loopback(other).ok_or(NotAContainer)?),
        };
        Self::new(at, path)
    }

    fn new(at: At, path: &str) -> Result<Self, NotAContainer> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
        let is_path = path.starts_with('/') && !path.contains("..") && path.bytes().all(plain);
        if !is_path || path.len() > PATH_BYTES_MAX {
            return Err(NotAContainer);
        }
        Ok(Self {
            at,
            path: path.into(),
        })
    }
}

/// The identity endpoint of Azure's application platform (App Service, Functions, Container Apps).
#[derive(Clone, Debug)]
pub struct AppService {
    at: SocketAddr,
    path: Box<str>,
    header: Secret<String>,
}

/// An environment variable leads to no identity endpoint of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address at which applications find their identity")]
pub struct NotAnAppService;

impl AppService {
    /// What `IDENTITY_ENDPOINT` says, with the value of `IDENTITY_HEADER`: a sidecar on this machine or on its link,
    /// which is none of the metadata services.
    ///
    /// # Errors
    /// [`NotAnAppService`]
    pub fn new(uri: &str, header: &str) -> Result<Self, NotAnAppService> {
        let rest = uri.strip_prefix("http://").ok_or(NotAnAppService)?;
        let (authority, path) = rest.split_at(rest.find('/').ok_or(NotAnAppService)?);
        if !path.trim_end_matches('/').eq_ignore_ascii_case("/msi/token") {
            return Err(NotAnAppService);
        }
        let at = loopback(authority).or_else(|| sidecar(authority));
        Ok(Self {
            at: at.ok_or(NotAnAppService)?,
            path: path.into(),
            header: Secret::new(header.to_owned()),
        })
    }
}

/// A link-local address with a port, outside of the networks of metadata services (169.254.169.0/24, 169.254.170.0/24).
fn sidecar(authority: &str) -> Option<SocketAddr> {
    let address: std::net::SocketAddrV4 = authority.parse().ok()?;
    let [_, _, third, _] = address.ip().octets();
    let is_sidecar = address.ip().is_link_local() && !matches!(third, 169 | 170);
    is_sidecar.then_some(SocketAddr::V4(address))
}

/// The address of `127.0.0.1:PORT`, `[::1]:PORT` or `localhost:PORT`.
fn loopback(authority: &str) -> Option<SocketAddr> {
    let literal = match authority.strip_prefix("localhost") {
        Some(port) => format!("127.0.0.1{port}"),
        None => authority.to_owned(),
    };
    let address = literal.parse::<SocketAddr>();
    let address = address.or_else(|_| literal.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 80)));
    address.ok().filter(|address| address.ip().is_loopback())
}

/// Everything that may be asked.
#[derive(Debug)]
pub enum Question<'a> {
    /// A session with the metadata service of AWS (IMDSv2; version 1 is not spoken).
    AwsSession,
    /// The name of the instance's role.
    AwsRole {
        /// The session.
        session: &'a Secret<String>,
    },
    /// The credentials of the instance's role.
    AwsRoleKeys {
        /// The session.
        session: &'a Secret<String>,
        /// The role.
        role: &'a str,
    },
    /// The credentials of the container's role.
    AwsContainer {
        /// Where.
        at: &'a Container,
        /// What proves the container to be itself.
        authorization: Option<&'a Secret<String>>,
    },
    /// The token of the machine's service account on Google Cloud.
    GoogleToken,
    /// The token of the machine's managed identity on Azure.
    AzureToken {
        /// What it is for.
        resource: &'a str,
        /// Which identity, where there are several.
        client_id: Option<&'a str>,
    },
    /// The token of an application's managed identity on Azure.
    AzureAppToken {
        /// Where.
        at: &'a AppService,
        /// What it is for.
        resource: &'a str,
        /// Which identity, where there are several.
        client_id: Option<&'a str>,
    },
}

/// Asks the machine's own cloud. An upstream has it only where its operator wrote `credentials = "platform"`.
#[derive(Clone, Copy, Debug)]
pub struct PlatformClient(Places);

impl PlatformClient {
    /// A client of the services at these places.
    pub const fn new(places: Places) -> Self {
        Self(places)
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn ask(&self, question: &Question<'_>) -> Result<Told, NoAnswer> {
        let (address, asked) = self.line(question)?;
        let talk = async {
            let stream = dial(address).await?;
            exchange(stream, &authority(address), asked).await
        };
        let told = tokio::time::timeout(TOTAL_MAX, Box::pin(talk)).await;
        told.unwrap_or(Err(NoAnswer::TooSlow(TOTAL_MAX)))
    }

    /// Where a question goes, for those who write firewall rules.
    pub fn address(&self, question: &Question<'_>) -> String {
        match self.line(question) {
            Ok((address, asked)) => format!("http://{address}{}", asked.target),
            Err(_) => String::new(),
        }
    }

    /// Every question's address, method, path and headers.
    fn line(&self, question: &Question<'_>) -> Result<(SocketAddr, Asked), NoAnswer> {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            let value = HeaderValue::try_from(value).map_err(|_| NoAnswer::Unwritable)?;
            headers.insert(HeaderName::from_static(name), value);
            Ok::<_, NoAnswer>(())
        };
        let mut method = Method::GET;
        let (address, target) = match question {
            Question::AwsSession => {
                method = Method::PUT;
                put("x-aws-ec2-metadata-token-ttl-seconds", SESSION_S)?;
                (self.0.instance, "/latest/api/token".to_owned())
            }
            Question::AwsRole { session } => {
                put("x-aws-ec2-metadata-token", session.expose())?;
                (self.0.instance, AWS_ROLES.to_owned())
            }
            Question::AwsRoleKeys { session, role } => {
                put("x-aws-ec2-metadata-token", session.expose())?;
                (self.0.instance, format!("{AWS_ROLES}{}", role_name(role)?))
            }
            Question::AwsContainer { at, authorization } => {
                if let Some(authorization) = authorization {
                    put("authorization", authorization.expose())?;
                }
                let address = match at.at {
                    At::Task => self.0.task,
                    At::Pod => self.0.pod,
                    At::PodV6 => self.0.pod_v6,
                    At::Loopback(address) => address,
                };
                (address, at.path.to_string())
            }
            Question::GoogleToken => {
                put("metadata-flavor", "Google")?;
                (self.0.instance, GOOGLE_TOKEN.to_owned())
            }
            Question::AzureToken { resource, client_id } => {
                put("metadata", "true")?;
                let query = azure_query("2018-02-01", resource, *client_id)?;
                (
                    self.0.instance,
                    format!("/metadata/identity/oauth2/token?{query}"),
                )
            }
            Question::AzureAppToken {
                at,
                resource,
                client_id,
            } => {
                put("x-identity-header", at.header.expose())?;
                let query = azure_query("2019-08-01", resource, *client_id)?;
                (at.at, format!("{}?{query}", at.path))
            }
        };
        let asked = Asked {
            method,
            target,
            headers,
            body: Secret::new(String::new()),
        };
        Ok((address, asked))
    }
}

/// Where AWS names the roles of an instance.
const AWS_ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Where Google Cloud has the token of the machine's service account.
const GOOGLE_TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// What Azure is asked for. Neither value may end the one before it.
fn azure_query(version: &str, resource: &str, client_id: Option<&str>) -> Result<String, NoAnswer> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    let mut values = std::iter::once(resource).chain(client_id);
    if !values.all(|value| value.bytes().all(plain)) {
        return Err(NoAnswer::Unwritable);
    }
    let client_id = client_id.map_or_else(String::new, |id| format!("&client_id={id}"));
    Ok(format!("api-version={version}&resource={resource}{client_id}"))
}

/// The name of a role in a path (IAM: letters, digits and `+=,.@_-`).
fn role_name(name: &str) -> Result<&str, NoAnswer> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(fits);
    is_name.then_some(name).ok_or(NoAnswer::Unwritable)
}

fn authority(address: SocketAddr) -> String {
    if address.port() == 80 {
        match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::resolve::is_forbidden;

    #[test]
    fn containers_find_credentials_at_few_hosts() {
        let found = |uri: &str, at: At| assert_eq!(Container::full(uri).unwrap().at, at, "{uri}");
        let local = |text: &str| At::Loopback(text.parse().unwrap());
        found("http://169.254.170.2/v2/credentials/4711", At::Task);
        found("http://169.254.170.23/v1/credentials", At::Pod);
        found("http://[fd00:ec2::23]/v1/credentials", At::PodV6);
        found("http://localhost:51678/creds", local("127.0.0.1:51678"));
        found("http://[::1]:8080/creds", local("[::1]:8080"));
        found("http://127.0.0.1/creds", local("127.0.0.1:80"));
        for bad in [
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
            "http://169.254.170.2:8080/v2",
            "http://169.254.170.2.evil.example/v2",
            "http://127.0.0.1@evil.example/v2",
            "http://10.0.0.1/creds",
            "http://localhost.evil.example:80/creds",
            "https://127.0.0.1/creds",
            "http://127.0.0.1",
            "http://127.0.0.1:1/a?b",
            "http://127.0.0.1:1/../b",
        ] {
            assert_eq!(Container::full(bad), Err(NotAContainer), "{bad}");
        }
        assert!(Container::relative("/v2/credentials/4711").is_ok());
        assert!(Container::relative("@evil.example/").is_err());
    }

    #[test]
    fn fixed_places_are_those_that_nobody_else_may_reach() {
        let places = Places::FIXED;
        for place in [places.instance, places.task, places.pod] {
            assert!(is_forbidden(place.ip()) && place.port() == 80, "{place}");
        }
        let client = PlatformClient::new(places);
        let at = client.address(&Question::AwsSession);
        assert_eq!(at, "http://169.254.169.254:80/latest/api/token");
    }

    #[test]
    fn applications_find_their_identity_beside_them() {
        for good in [
            "http://127.0.0.1:41741/MSI/token/",
            "http://localhost:12356/msi/token",
            "http://169.254.129.2:8081/msi/token",
        ] {
            assert!(AppService::new(good, "h").is_ok(), "{good}");
        }
        for bad in [
            "http://169.254.169.254/msi/token",
            "http://169.254.169.254:80/msi/token",
            "http://169.254.170.2:80/msi/token",
            "http://10.0.0.1:80/msi/token",
            "http://127.0.0.1:1/metadata/identity/oauth2/token",
            "https://127.0.0.1:1/msi/token",
        ] {
            assert!(AppService::new(bad, "h").is_err(), "{bad}");
        }
        assert!(azure_query("v", "https://ai.azure.com", Some("4711")).is_ok());
        assert!(azure_query("v", "https://ai.azure.com&x=y", None).is_err());
    }

    #[test]
    fn a_role_is_one_segment() {
        for bad in ["", "a/b", "..", "a?b", "a\r\nb", "<html>"] {
            assert!(role_name(bad).is_err(), "{bad}");
        }
        assert_eq!(role_name("gateway+prod@eu").unwrap(), "gateway+prod@eu");
    }
}
