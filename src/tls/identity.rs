//! From a client's certificate to the identity in it.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::types::digest::Sha256;
use crate::types::peer::ClientCertificate;

/// The longest subject or name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// How many alternative names are kept.
const NAMES_MAX: usize = 8;

/// The identity in a certificate that has been verified; none if it cannot be read after all.
pub fn of_certificate(der: &[u8]) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let listed = alternative.map(|names| names.value.general_names.as_slice());
    let names = listed.unwrap_or_default().iter().filter_map(text_of);
    Some(ClientCertificate {
        subject: bounded(&certificate.subject().to_string()),
        names: names.map(bounded).take(NAMES_MAX).collect(),
        sha256: Sha256::of(der),
    })
}

const fn text_of<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some(text),
        _ => None,
    }
}

fn bounded(text: &str) -> Box<str> {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}
