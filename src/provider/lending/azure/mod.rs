//! Access tokens of Microsoft Entra: for an application that we know the secret of, for a federated workload, for a
//! managed identity.

mod entra;
mod managed;

use std::sync::Arc;

use crate::egress::platform::{AppService, PlatformClient};
use crate::provider::lending::cache::Leases;
use crate::provider::lending::{Environment, Grounds, Lending, no_lender};
use crate::provider::options::Options;
use crate::provider::{Misconfigured, Settings};

use entra::{Application, Entra, Proof};
use managed::Managed;

/// What every scope of an application's own ends in.
const DEFAULT: &str = "/.default";

/// The leases of an upstream.
///
/// # Errors
/// Something is missing that names the application, or the environment leads nowhere.
pub(super) fn leases(lending: &Lending, settings: &Settings) -> Result<Leases, Misconfigured> {
    let options = &settings.options;
    let scope = options.get("scope").unwrap_or_default();
    let scope = scope
        .strip_suffix(DEFAULT)
        .filter(|resource| !resource.is_empty());
    let resource = scope.ok_or_else(|| {
        Misconfigured(format!(
            "option `scope` must end in `{DEFAULT}`, as in `https://ai.azure.com{DEFAULT}`"
        ))
    })?;
    match &lending.grounds {
        Grounds::Exchange => {
            let secret = settings.key.clone();
            let secret =
                secret.ok_or_else(|| no_lender("name the application's secret by api_key_secret"))?;
            let application = Application {
                authority: options.get("authority"),
                tenant: options.word("tenant")?,
                client_id: options.word("client_id")?,
                scope: format!("{resource}{DEFAULT}"),
                proof: Proof::Secret(secret),
            };
            leased(lending, application)
        }
        Grounds::Platform { client, environment } => {
            on_platform(lending, options, resource, *client, environment)
        }
    }
}

/// On a platform, the environment says who lends, in the order of Azure's own clients: a federated workload (AKS), the
/// application platform, the machine.
fn on_platform(
    lending: &Lending,
    options: &Options,
    resource: &str,
    client: PlatformClient,
    environment: &Environment,
) -> Result<Leases, Misconfigured> {
    let word = |name: &str| options.get(name).map(|_| options.word(name)).transpose();
    let client_id = word("client_id")?.or_else(|| environment.get("AZURE_CLIENT_ID"));
    if let Some(file) = environment.get("AZURE_FEDERATED_TOKEN_FILE") {
        let missing = || {
            no_lender(
                "AZURE_FEDERATED_TOKEN_FILE is set, and tenant or client is not known: label the pod \
                 azure.workload.identity/use, or name both under [upstream.options]",
            )
        };
        let authority = options.get("authority");
        let tenant = word("tenant")?.or_else(|| environment.get("AZURE_TENANT_ID"));
        let application = Application {
            authority: authority.or_else(|| environment.get("AZURE_AUTHORITY_HOST")),
            tenant: tenant.ok_or_else(missing)?,
            client_id: client_id.ok_or_else(missing)?,
            scope: format!("{resource}{DEFAULT}"),
            proof: Proof::File(file.into()),
        };
        return leased(lending, application);
    }
    let header = environment.get("IDENTITY_HEADER").unwrap_or_default();
    let app = environment.get("IDENTITY_ENDPOINT");
    let app = app.map(|uri| AppService::new(uri, header)).transpose();
    let identity = Managed {
        client,
        clock: Arc::clone(&lending.clock),
        app: app.map_err(|error| {
            Misconfigured(format!(
                "the environment variable IDENTITY_ENDPOINT is {error}: let Azure set it, or unset it"
            ))
        })?,
        resource: resource.to_owned(),
        client_id: client_id.map(str::to_owned),
    };
    Ok(lending.leases(identity))
}

fn leased(lending: &Lending, application: Application<'_>) -> Result<Leases, Misconfigured> {
    Ok(lending.leases(Entra::new(lending, application)?))
}
