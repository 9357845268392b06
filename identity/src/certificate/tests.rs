#![allow(clippy::unwrap_used)]
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::*;

const NOW: u64 = 1_790_000_000; // 2026-09-21
const AUD: &str = "https://gate.test/mcp/crm";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a workload's certificate is made of, before it is spoilt.
fn svid(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.serial_number = Some(SerialNumber::from(7u64));
    params
}

fn made(params: &CertificateParams, by: &Authority) -> Certificate {
    let certificate = params.clone().signed_by(&KeyPair::generate().unwrap(), by).unwrap();
    Certificate::read(vec![certificate.der().clone()]).unwrap()
}

fn issuer(by: &Authority, subject: Subject, revoked: &[Vec<u8>]) -> CertificateIssuer {
    let grant = CertificateGrant { matches: Arc::new(|subject| subject.ends_with("/reader")), roles: vec!["reader".to_owned()] };
    let policy = CertificatePolicy { name: "mesh".to_owned(), subject, audiences: vec![AUD.to_owned()], grants: vec![grant] };
    CertificateIssuer::new(policy, &[by.der().clone()], revoked).unwrap()
}

fn verifier(issuer: CertificateIssuer) -> Verifier {
    Verifier::new(Vec::new(), 1).with_certificates(vec![issuer])
}

fn spiffe() -> Subject {
    Subject::Spiffe("prod.example".to_owned())
}

const READER: &str = "spiffe://prod.example/ns/a/sa/reader";

#[test]
fn an_svid_is_a_principal_with_its_roles_for_its_time() {
    let authority = authority();
    let verifier = verifier(issuer(&authority, spiffe(), &[]));
    let mut params = svid(READER);
    params.distinguished_name.push(DnType::CommonName, "root");
    params.subject_alt_names.push(SanType::DnsName("admin.example".try_into().unwrap()));
    let certificate = made(&params, &authority);
    let principal = verifier.certified(&certificate, AUD, NOW).unwrap();
    assert_eq!((principal.id(), principal.subject()), ("mesh:spiffe://prod.example/ns/a/sa/reader", READER));
    assert_eq!((principal.roles(), principal.issuer_name()), (&["reader".to_owned()][..], "mesh"));
    assert!(certificate.is_in_time(principal.expires_at() - 1) && !certificate.is_in_time(principal.expires_at()));
    for now in [principal.not_before() - 1, principal.expires_at()] {
        assert_eq!(verifier.certified(&certificate, AUD, now), Err(Refusal::Certificate("time")));
    }
    assert_eq!(verifier.certified(&certificate, "https://gate.test/mcp/erp", NOW), Err(Refusal::WrongAudience));
    let other = verifier.certified(&made(&svid("spiffe://prod.example/writer"), &authority), AUD, NOW).unwrap();
    assert!(other.roles().is_empty());
}

#[test]
fn an_svid_that_is_not_as_the_standard_says_is_nobody() {
    let authority = authority();
    let verifier = verifier(issuer(&authority, spiffe(), &[]));
    let refusal = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = svid(READER);
        change(&mut params);
        verifier.certified(&made(&params, &authority), AUD, NOW)
    };
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let two = refusal(&|params| params.subject_alt_names.push(uri("spiffe://prod.example/ns/a/sa/other")));
    assert_eq!(two, Err(Refusal::Certificate("names")));
    let mixed = refusal(&|params| params.subject_alt_names.push(uri("https://prod.example/")));
    assert_eq!(mixed, Err(Refusal::Certificate("names")));
    assert_eq!(refusal(&|params| params.subject_alt_names.clear()), Err(Refusal::Certificate("names")));
    let foreign = refusal(&|params| params.subject_alt_names = vec![uri("spiffe://test.example/ns/a/sa/reader")]);
    assert_eq!(foreign, Err(Refusal::Certificate("spiffe-id")));
    let domain = refusal(&|params| params.subject_alt_names = vec![uri("spiffe://prod.example")]);
    assert_eq!(domain, Err(Refusal::Certificate("spiffe-id")));
    assert_eq!(refusal(&|params| params.key_usages.clear()), Err(Refusal::Certificate("key-usage")));
    let encipher = refusal(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert_eq!(encipher, Err(Refusal::Certificate("key-usage")));
    let signs = refusal(&|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign));
    assert_eq!(signs, Err(Refusal::Certificate("authority")));
    // That a leaf is no authority is the path's own rule.
    let is_ca = refusal(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(is_ca, Err(Refusal::Certificate("issuer")));
    let expired = refusal(&|params| params.not_after = date_time_ymd(2026, 9, 1));
    assert_eq!(expired, Err(Refusal::Certificate("time")));
}

#[test]
fn only_the_issuers_own_authorities_vouch() {
    let (ours, other) = (authority(), authority());
    let verifier = verifier(issuer(&ours, spiffe(), &[]));
    assert_eq!(verifier.certified(&made(&svid(READER), &other), AUD, NOW), Err(Refusal::Certificate("issuer")));
    assert!(verifier.certified(&made(&svid(READER), &ours), AUD, NOW).is_ok());
}

#[test]
fn a_certificate_that_was_taken_back_is_nobody() {
    let authority = authority();
    let entry = |serial: u64| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2026, 2, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let list = |serial| {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 2, 1),
            next_update: date_time_ymd(2026, 12, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: vec![entry(serial)],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&authority).unwrap().der().to_vec()
    };
    let certificate = made(&svid(READER), &authority);
    let judged = |serial| verifier(issuer(&authority, spiffe(), &[list(serial)])).certified(&certificate, AUD, NOW);
    assert_eq!(judged(7), Err(Refusal::Certificate("issuer")));
    assert!(judged(8).is_ok());
}

#[test]
fn of_plain_certificates_the_chosen_name_counts_and_no_other() {
    let authority = authority();
    let mut params = svid("urn:a");
    params.subject_alt_names.push(SanType::DnsName("a.example".try_into().unwrap()));
    params.subject_alt_names.push(SanType::Rfc822Name("a@example.com".try_into().unwrap()));
    params.distinguished_name.push(DnType::CommonName, "common");
    let certificate = made(&params, &authority);
    for (subject, name) in
        [(Subject::Uri, "urn:a"), (Subject::Dns, "a.example"), (Subject::Email, "a@example.com"), (Subject::CommonName, "common")]
    {
        let principal = verifier(issuer(&authority, subject, &[])).certified(&certificate, AUD, NOW).unwrap();
        assert_eq!(principal.subject(), name);
    }
    let without = made(&svid("urn:a"), &authority);
    for subject in [Subject::Dns, Subject::Email] {
        assert!(verifier(issuer(&authority, subject, &[])).certified(&without, AUD, NOW).is_err());
    }
}

#[test]
fn what_is_no_certificate_is_not_read() {
    let authority = authority();
    let der = made(&svid(READER), &authority).chain()[0].to_vec();
    assert!(Certificate::read(Vec::new()).is_none());
    for length in 0..der.len() {
        assert!(Certificate::read(vec![der[..length].to_vec().into()]).is_none(), "{length}");
    }
    assert!(Certificate::read(vec![[&der[..], b"x"].concat().into()]).is_none());
    assert!(Certificate::read(vec![vec![0x30; CERTIFICATE_TOO_LONG].into()]).is_none());
    assert!(Certificate::read(vec![der.clone().into(); 11]).is_none());
    assert!(Certificate::read(vec![der.into(); 10]).is_some());
}

const CERTIFICATE_TOO_LONG: usize = 32 * 1024 + 1;
