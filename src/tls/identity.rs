//! From a client's certificate to the identity in it.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::types::digest::Sha256;
use crate::types::peer::ClientCertificate;

/// The longest subject or name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// How many alternative names of one kind are kept.
const NAMES_MAX: usize = 8;

/// The identity in a certificate that has been verified; none if it cannot be read after all.
pub fn of_certificate(der: &[u8]) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut common_names = certificate.subject().iter_common_name();
    let common_name = match (common_names.next(), common_names.next()) {
        (Some(name), None) => name.as_str().ok().and_then(kept),
        _ => None,
    };
    let mut identity = ClientCertificate {
        subject: kept(&certificate.subject().to_string()).unwrap_or_default(),
        common_name,
        dns_names: Vec::new(),
        uris: Vec::new(),
        emails: Vec::new(),
        sha256: Sha256::of(der),
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let listed = alternative.map(|names| names.value.general_names.as_slice());
    for name in listed.unwrap_or_default() {
        let (names, text) = match name {
            GeneralName::DNSName(text) => (&mut identity.dns_names, text.to_ascii_lowercase()),
            GeneralName::URI(text) => (&mut identity.uris, (*text).to_owned()),
            GeneralName::RFC822Name(text) => (&mut identity.emails, (*text).to_owned()),
            _ => continue,
        };
        if names.len() < NAMES_MAX {
            names.extend(kept(&text));
        }
    }
    Some(identity)
}

/// A name as it stands in the certificate, or not at all: the beginning of a longer one is another name.
fn kept(text: &str) -> Option<Box<str>> {
    (text.len() <= NAME_BYTES_MAX).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn identity(change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        of_certificate(certificate.der()).unwrap()
    }

    #[test]
    fn names_are_told_apart_by_their_kind() {
        let found = identity(|params| {
            params.distinguished_name.push(DnType::CommonName, "ada");
            params.distinguished_name.push(DnType::OrganizationName, "Acme");
            params.subject_alt_names = vec![
                SanType::DnsName("Ada.Laptops.Test".try_into().unwrap()),
                SanType::URI("spiffe://acme.test/ada".try_into().unwrap()),
                SanType::Rfc822Name("ada@acme.test".try_into().unwrap()),
            ];
        });
        assert_eq!(&*found.subject, "CN=ada, O=Acme");
        assert_eq!(found.common_name.as_deref(), Some("ada"));
        assert_eq!(found.dns_names, [Box::<str>::from("ada.laptops.test")]);
        assert_eq!(found.uris, [Box::<str>::from("spiffe://acme.test/ada")]);
        assert_eq!(found.emails, [Box::<str>::from("ada@acme.test")]);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_left_out_and_never_cut() {
        let long = format!("spiffe://acme.test/{}", "x".repeat(NAME_BYTES_MAX));
        let found = identity(|params| {
            params
                .distinguished_name
                .push(DnType::CommonName, "x".repeat(300));
            let uri = |text: &str| SanType::URI(text.try_into().unwrap());
            params.subject_alt_names = vec![uri(&long)];
            let many = (0..20).map(|number| uri(&format!("spiffe://acme.test/{number}")));
            params.subject_alt_names.extend(many);
        });
        assert_eq!((&*found.subject, found.common_name), ("", None));
        assert_eq!(found.uris.len(), NAMES_MAX);
        assert_eq!(&*found.uris[0], "spiffe://acme.test/0");
    }
}
