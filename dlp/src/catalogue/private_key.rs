//! Private keys in PEM (RFC 7468) and in the forms of OpenSSH and PGP; one that is cut off is masked to the end of its text.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, Sight};

pub(crate) static DETECTOR: Native = Native {
    id: "private-key",
    kind: "secret/private-key",
    category: Category::Secret,
    anchors: &[Anchor::literal("-----BEGIN "), Anchor::literal("---- BEGIN ")],
    confirm,
    source: "RFC 7468; RFC 9580 section 6.2; PROTOCOL.key of OpenSSH",
    positives: &[
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY----- b",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY-----",
        ),
        (
            "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAAgIAAAAmZGwtbW9kcHtzaWdue\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
            "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAAgIAAAAmZGwtbW9kcHtzaWdue\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA",
        ),
        (
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\\nxcLYBGLd\\n-----END PGP PRIVATE KEY BLOCK-----",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\\nxcLYBGLd\\n-----END PGP PRIVATE KEY BLOCK-----",
        ),
    ],
    negatives: &[
        "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAABJQAAAQEAiPWx6WM4lhHNedGfBpPJNPpZ7yKu+dnn1SJejgt4",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    let Sight::Literal { length, .. } = place.seen else { return None };
    let start = place.at.checked_sub(length)?;
    // The keys of ssh.com have four dashes and a space.
    let (dashes, closing): (&[u8], &[u8]) =
        if place.text.reads(start, b"---- ") { (b" ----", b"---- END ") } else { (b"-----", b"-----END ") };
    let label = place.text.window(place.at, 64);
    let label_end = memchr::memmem::find(label, dashes)?;
    memchr::memmem::find(&label[..label_end], b"PRIVATE KEY")?;
    let body = place.at + label_end + dashes.len();
    // The label alone, as in a sentence about keys, tells nothing.
    if place.text.window(body, 256).iter().filter(|b| b.is_ascii_alphanumeric()).take(8).count() < 8 {
        return None;
    }
    let end = place.text.find(body, closing).and_then(|at| {
        let from = at + closing.len();
        memchr::memmem::find(place.text.window(from, 64), dashes).map(|at| from + at + dashes.len())
    });
    Some((start..end.unwrap_or_else(|| place.text.whole().len()), 0.99))
}
