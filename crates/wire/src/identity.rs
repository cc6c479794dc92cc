//! Who is who: the hub's own certificate authority, sensor names and keys, the pin.
//!
//! The hub is the only party that relies on sensor certificates, so its authority is private to one installation. A
//! sensor makes its key itself and asks for a signature; the hub sets the name, never the request.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a sensor certificate is valid. Sensors renew at half of it; revocation does not wait for expiry.
pub const SENSOR_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How far in the past certificates start, so that a sensor whose clock is behind can still enrol.
const BACKDATE: Duration = Duration::from_secs(2 * 3600);
const HUB_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// A certificate, key or name that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Certificate or key could not be made or read.
    #[error("certificate or key cannot be used: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Stored certificate is not in the expected form.
    #[error("stored certificate is damaged: {0}")]
    Damaged(&'static str),
    /// A name with other characters or another length.
    #[error(
        "\"{0}\" is not a sensor name (1 to 40 characters, lower-case letters, digits and inner hyphens, such as kyoto-1)"
    )]
    Name(String),
    /// Not a pin.
    #[error("the hub's pin is damaged; copy the whole line that `noroshi fleet token` printed")]
    Pin,
}

/// Name of a sensor: lower-case letters, digits and inner hyphens, at most 40.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SensorName(String);

impl SensorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SensorName {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good =
            (1..=40).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-');
        if good { Ok(SensorName(text.to_owned())) } else { Err(IdentityError::Name(text.chars().take(60).collect())) }
    }
}

impl TryFrom<String> for SensorName {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SensorName> for String {
    fn from(name: SensorName) -> String {
        name.0
    }
}

impl fmt::Display for SensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of the authority's certificate: all a sensor needs to recognise its hub at any address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaPin(pub [u8; 32]);

impl CaPin {
    /// The pin of a certificate.
    pub fn of(certificate: &[u8]) -> Self {
        CaPin(Sha256::digest(certificate).into())
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for CaPin {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pin = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(IdentityError::Pin);
        }
        for (slot, pair) in pin.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| IdentityError::Pin)?;
            *slot = u8::from_str_radix(pair, 16).map_err(|_| IdentityError::Pin)?;
        }
        Ok(CaPin(pin))
    }
}

/// The hub's certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A certificate as issued to a sensor.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// End of validity.
    pub not_after: SystemTime,
}

fn offset(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn validity(params: &mut CertificateParams, now: SystemTime, lifetime: Duration) -> SystemTime {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // Certificates count whole seconds.
    let now = Duration::from_secs(offset(now).as_secs());
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now + lifetime;
    UNIX_EPOCH + now + lifetime
}

fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] &= 0x7f; // positive, RFC 5280 section 4.1.2.2
    bytes[0] |= 0x40; // and of fixed length
    SerialNumber::from_slice(&bytes)
}

impl Authority {
    /// A new authority with a new key.
    pub fn create(now: SystemTime) -> Result<Self, IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Noroshi hub authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(serial());
        validity(&mut params, now, AUTHORITY_LIFETIME);
        let certificate = params.self_signed(&key)?;
        Self::from_parts(certificate.der().to_vec(), key)
    }

    /// From what [`Authority::certificate`] and [`Authority::key_der`] gave.
    pub fn load(certificate: Vec<u8>, key_der: &[u8]) -> Result<Self, IdentityError> {
        Self::from_parts(certificate, key_from(key_der)?)
    }

    fn from_parts(certificate: Vec<u8>, key: KeyPair) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from(certificate);
        let issuer = Issuer::from_ca_cert_der(&certificate, key_from(&key.serialize_der())?)?;
        Ok(Authority { issuer, certificate, key })
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The private key, PKCS #8. Keep it in a file that only the hub may read.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// What sensors recognise the hub by.
    pub fn pin(&self) -> CaPin {
        CaPin::of(&self.certificate)
    }

    /// A certificate and key for the hub's own endpoint.
    pub fn hub_certificate(
        &self,
        now: SystemTime,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![crate::HUB_NAME.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, crate::HUB_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial());
        validity(&mut params, now, HUB_CERTIFICATE_LIFETIME);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok((chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))))
    }

    /// Signs a sensor's request. Only the public key is taken from it (its self-signature is checked); the name is the
    /// hub's decision.
    pub fn sign(
        &self,
        name: &SensorName,
        request: &[u8],
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Issued, IdentityError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let number = serial();
        let serial = number.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        params.serial_number = Some(number);
        let not_after = validity(&mut params, now, lifetime);
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued { certificate: certificate.der().to_vec(), serial, not_after })
    }
}

/// Names the public key in a signing request, whose self-signature is checked.
pub fn request_key(request: &[u8]) -> Result<String, IdentityError> {
    use rcgen::PublicKeyData;
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))?;
    Ok(Sha256::digest(request.public_key.der_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn key_from(der: &[u8]) -> Result<KeyPair, IdentityError> {
    Ok(KeyPair::try_from(&PrivatePkcs8KeyDer::from(der))?)
}

/// A sensor's private key. It is made on the sensor and never leaves it.
pub struct SensorKey(KeyPair);

impl SensorKey {
    /// A new key.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(SensorKey(KeyPair::generate()?))
    }

    /// From [`SensorKey::der`].
    pub fn load(der: &[u8]) -> Result<Self, IdentityError> {
        Ok(SensorKey(key_from(der)?))
    }

    /// PKCS #8, for a file that only the sensor may read.
    pub fn der(&self) -> Vec<u8> {
        self.0.serialize_der()
    }

    /// A signing request, DER.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }
}

/// What a verified client certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The sensor.
    pub name: SensorName,
    /// Serial number of its certificate, lower-case hex.
    pub serial: String,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
}

impl Identity {
    /// Reads a certificate that TLS has already verified.
    pub fn read(certificate: &[u8]) -> Result<Self, IdentityError> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| IdentityError::Damaged("not X.509"))?;
        let mut names = parsed.subject().iter_common_name();
        let name = names.next().and_then(|cn| cn.as_str().ok()).ok_or(IdentityError::Damaged("no name"))?;
        if names.next().is_some() {
            return Err(IdentityError::Damaged("several names"));
        }
        Ok(Identity {
            name: name.parse()?,
            serial: parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}
