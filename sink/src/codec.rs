//! How the two records of a call are written as bytes and read back.
//!
//! Invariant: what was encoded decodes to the same record; a field longer than its bound is cut at a character and marked,
//! never refused; bytes that are no record decode to nothing. What a later version adds stands at the end of a record, so
//! that each version reads what the others wrote.

use std::net::IpAddr;

use crate::record::{
    Decision, Direction, Effect, Era, FindingAction, FindingRef, Outcome, OwnedDecision, OwnedFinding, OwnedOutcome, Status,
};

/// The most bytes of arguments kept.
const ARGS_BYTES_MAX: usize = 16 * 1024;
/// Actors of one record; further ones are left out.
const ACTORS_MAX: usize = 16;
/// The most bytes of any other text kept.
const TEXT_BYTES_MAX: usize = 1024;
/// The most findings kept of one record.
const FINDINGS_MAX: usize = 32;
/// The most bytes of a finding's pointer kept in an outcome, so that an outcome's size has a bound.
const POINTER_BYTES_MAX: usize = 48;

/// The most bytes an encoded outcome can have.
pub(crate) const OUTCOME_BYTES_MAX: usize =
    64 + TEXT_SHORT_MAX + FINDINGS_MAX * (16 + POINTER_BYTES_MAX + 2 * TEXT_SHORT_MAX + 2 + HASH_BYTES_MAX);
/// The most bytes kept of the names in a finding and of an outcome's reason.
const TEXT_SHORT_MAX: usize = 48;
/// The most bytes kept of a finding's hash.
const HASH_BYTES_MAX: usize = 16;

fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    // Back to the last byte that begins a character.
    let mut end = most;
    while end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

fn put_text(out: &mut Vec<u8>, text: &[u8], most: usize) {
    let text = cut(text, most);
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(text);
}

fn put_findings(out: &mut Vec<u8>, findings: &[FindingRef<'_>]) {
    let kept = &findings[..findings.len().min(FINDINGS_MAX)];
    out.push(u8::try_from(kept.len()).unwrap_or(0));
    for finding in kept {
        put_text(out, finding.kind.as_bytes(), TEXT_SHORT_MAX);
        put_text(out, finding.detector.as_bytes(), TEXT_SHORT_MAX);
        put_text(out, finding.pointer.as_bytes(), POINTER_BYTES_MAX);
        out.extend_from_slice(&finding.length.to_le_bytes());
        out.extend_from_slice(&finding.confidence.to_le_bytes());
        out.extend_from_slice(&[finding.action.code(), finding.direction.code()]);
    }
    // The first version had no hashes, so they stand behind all that it had.
    kept.iter().for_each(|finding| put_text(out, finding.hash.as_bytes(), HASH_BYTES_MAX));
}

impl Decision<'_> {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ts_us.to_le_bytes());
        out.push(u8::from(self.session.is_some()));
        out.extend_from_slice(&self.session.unwrap_or_default());
        let is_cut = self.args.len() > ARGS_BYTES_MAX;
        out.extend_from_slice(&[self.era.code(), self.decision.code(), u8::from(is_cut)]);
        for number in [self.args_bytes, self.generation, self.bytes_in, u64::from(self.decision_ns)] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let address = match self.src_ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        out.extend_from_slice(&address.octets());
        for text in
            [self.issuer, self.principal, self.subject, self.client, self.upstream, self.protocol_version, self.http_method]
        {
            put_text(out, text.as_bytes(), TEXT_BYTES_MAX);
        }
        for text in [self.method, self.tool, self.resource, self.jsonrpc_id, self.rule, self.reason] {
            put_text(out, text.as_bytes(), TEXT_BYTES_MAX);
        }
        put_text(out, self.args, ARGS_BYTES_MAX);
        let roles = &self.roles[..self.roles.len().min(64)];
        out.push(u8::try_from(roles.len()).unwrap_or(0));
        for role in roles {
            put_text(out, role.as_bytes(), TEXT_BYTES_MAX);
        }
        put_findings(out, self.findings);
        put_text(out, self.credential.as_bytes(), TEXT_BYTES_MAX);
        out.extend_from_slice(&self.credential_version.to_le_bytes());
        put_text(out, self.credential_tag.as_bytes(), HASH_BYTES_MAX);
        put_text(out, self.approval.as_bytes(), TEXT_SHORT_MAX);
        put_text(out, self.shadow_decision.as_bytes(), TEXT_SHORT_MAX);
        put_text(out, self.shadow_rule.as_bytes(), TEXT_BYTES_MAX);
        let actors = &self.actors[..self.actors.len().min(ACTORS_MAX)];
        out.push(u8::try_from(actors.len()).unwrap_or(0));
        for actor in actors {
            put_text(out, actor.as_bytes(), TEXT_BYTES_MAX);
        }
    }
}

impl Outcome<'_> {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ts_us.to_le_bytes());
        out.push(self.status.code());
        out.extend_from_slice(&self.error_code.to_le_bytes());
        out.extend_from_slice(&self.http_status.to_le_bytes());
        for number in [self.bytes_out, self.duration_us, self.upstream_us] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_text(out, self.reason.as_bytes(), TEXT_SHORT_MAX);
        put_findings(out, self.findings);
    }
}

/// Takes values off the front of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_le_bytes(self.array()?);
        Some(String::from_utf8_lossy(self.bytes(usize::from(length))?).into_owned())
    }

    fn findings(&mut self) -> Option<Vec<OwnedFinding>> {
        let count = self.u8()?;
        let mut findings = (0..count).map(|_| self.finding()).collect::<Option<Vec<_>>>()?;
        // A record of the first version ends here.
        if !self.0.is_empty() {
            for finding in &mut findings {
                finding.hash = self.text()?;
            }
        }
        Some(findings)
    }

    fn finding(&mut self) -> Option<OwnedFinding> {
        Some(OwnedFinding {
            kind: self.text()?,
            detector: self.text()?,
            pointer: self.text()?,
            length: u32::from_le_bytes(self.array()?),
            confidence: f32::from_le_bytes(self.array()?),
            action: FindingAction::of_code(self.u8()?)?,
            direction: Direction::of_code(self.u8()?)?,
            hash: String::new(),
        })
    }
}

/// The credential's name, version and tag, and the request for approval; a record of the versions before these ends where they would stand.
fn third_version(from: &mut Reader<'_>) -> Option<(String, u64, String, String)> {
    if from.0.is_empty() {
        return Some(Default::default());
    }
    Some((from.text()?, from.u64()?, from.text()?, from.text()?))
}

/// What a rule in shadow mode would have decided, and which; a record of the versions before these ends where they would stand.
fn fourth_version(from: &mut Reader<'_>) -> Option<(String, String)> {
    if from.0.is_empty() { Some(Default::default()) } else { Some((from.text()?, from.text()?)) }
}

/// Who acts for the subject; a record of the versions before these ends where they would stand.
fn fifth_version(from: &mut Reader<'_>) -> Option<Vec<String>> {
    if from.0.is_empty() {
        return Some(Vec::new());
    }
    let count = from.u8()?;
    (0..count).map(|_| from.text()).collect()
}

/// Reads a decision back.
pub(crate) fn decode_decision(bytes: &[u8]) -> Option<OwnedDecision> {
    let mut from = Reader(bytes);
    let ts_us = i64::from_le_bytes(from.array()?);
    let has_session = from.u8()? == 1;
    let session = from.array::<16>()?;
    let (era, decision) = (Era::of_code(from.u8()?)?, Effect::of_code(from.u8()?)?);
    let args_truncated = from.u8()? == 1;
    let (args_bytes, generation, bytes_in, decision_ns) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
    let address = std::net::Ipv6Addr::from(from.array::<16>()?);
    let mut read = OwnedDecision {
        ts_us,
        session: has_session.then_some(session),
        era,
        decision,
        args_truncated,
        args_bytes,
        generation,
        bytes_in,
        decision_ns: u32::try_from(decision_ns).ok()?,
        src_ip: address.to_canonical().to_string(),
        issuer: from.text()?,
        principal: from.text()?,
        subject: from.text()?,
        client: from.text()?,
        upstream: from.text()?,
        protocol_version: from.text()?,
        http_method: from.text()?,
        method: from.text()?,
        tool: from.text()?,
        resource: from.text()?,
        jsonrpc_id: from.text()?,
        rule: from.text()?,
        reason: from.text()?,
        args: from.text()?,
        roles: {
            let count = from.u8()?;
            (0..count).map(|_| from.text()).collect::<Option<_>>()?
        },
        findings: from.findings()?,
        credential: String::new(),
        credential_version: 0,
        credential_tag: String::new(),
        approval: String::new(),
        shadow_decision: String::new(),
        shadow_rule: String::new(),
        actors: Vec::new(),
    };
    (read.credential, read.credential_version, read.credential_tag, read.approval) = third_version(&mut from)?;
    (read.shadow_decision, read.shadow_rule) = fourth_version(&mut from)?;
    read.actors = fifth_version(&mut from)?;
    Some(read)
}

/// Reads an outcome back.
pub(crate) fn decode_outcome(bytes: &[u8]) -> Option<OwnedOutcome> {
    let mut from = Reader(bytes);
    Some(OwnedOutcome {
        ts_us: i64::from_le_bytes(from.array()?),
        status: Status::of_code(from.u8()?)?,
        error_code: i32::from_le_bytes(from.array()?),
        http_status: u16::from_le_bytes(from.array()?),
        bytes_out: from.u64()?,
        duration_us: from.u64()?,
        upstream_us: from.u64()?,
        reason: from.text()?,
        findings: from.findings()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn decision<'a>(text: &'a str, roles: &'a [String], findings: &'a [FindingRef<'a>]) -> Decision<'a> {
        Decision {
            ts_us: 1_700_000_000_000_000,
            session: None,
            issuer: "corp",
            principal: text,
            subject: text,
            client: "",
            roles,
            src_ip: IpAddr::from([127, 0, 0, 1]),
            upstream: "crm",
            era: Era::Modern,
            protocol_version: "2026-07-28",
            http_method: "POST",
            method: "tools/call",
            tool: text,
            resource: "",
            jsonrpc_id: "1",
            args: text.as_bytes(),
            args_bytes: text.len() as u64,
            decision: Effect::Allow,
            rule: "r",
            reason: "",
            generation: 3,
            decision_ns: 900,
            bytes_in: 200,
            findings,
            credential: "crm-key",
            credential_version: 7,
            credential_tag: "0123456789abcdef",
            approval: "APR-7F3K",
            shadow_decision: "block",
            shadow_rule: text,
            actors: roles,
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(text in ".{0,80}", roles in prop::collection::vec("[a-z]{0,8}", 0..4), length in any::<u32>(), hash in "([0-9a-f]{16})?") {
            let finding = FindingRef { kind: "CREDIT_CARD", detector: "credit-card", pointer: "/a", length,
                action: FindingAction::Redact, confidence: 0.5, direction: Direction::Request, hash: &hash };
            let findings = [finding];
            let decision = decision(&text, &roles, &findings);
            let mut bytes = Vec::new();
            decision.encode(&mut bytes);
            let read = decode_decision(&bytes).unwrap();
            prop_assert_eq!(&read.principal, &text);
            prop_assert_eq!(&read.args, &text);
            prop_assert_eq!(&read.roles, &roles);
            prop_assert_eq!(&read.actors, &roles);
            prop_assert_eq!(read.src_ip, "127.0.0.1");
            prop_assert_eq!(read.findings.len(), 1);
            prop_assert_eq!(&read.findings[0].hash, &hash);
            let credential = (read.credential.as_str(), read.credential_version, read.credential_tag.as_str());
            prop_assert_eq!(credential, ("crm-key", 7, "0123456789abcdef"));
            prop_assert_eq!(&read.approval, "APR-7F3K");
            prop_assert_eq!((read.shadow_decision.as_str(), &read.shadow_rule), ("block", &text));
            // What the fourth version wrote: all of it but the actors.
            let fourth_version = bytes.len() - 1 - roles.iter().map(|role| 2 + role.len()).sum::<usize>();
            let read = decode_decision(&bytes[..fourth_version]).unwrap();
            prop_assert_eq!((&read.shadow_rule, read.actors.len()), (&text, 0));
            // What the third version wrote: without what rules in shadow mode say.
            let third_version = fourth_version - (2 + "block".len()) - (2 + text.len());
            let read = decode_decision(&bytes[..third_version]).unwrap();
            prop_assert_eq!((read.approval.as_str(), read.shadow_rule.as_str()), ("APR-7F3K", ""));
            // What the second version wrote: without the credential and the approval.
            let second_version = third_version - (2 + "APR-7F3K".len()) - (2 + "crm-key".len()) - 8 - (2 + 16);
            let read = decode_decision(&bytes[..second_version]).unwrap();
            prop_assert_eq!((&read.findings[0].hash, read.credential.as_str()), (&hash, ""));
            // What the first version wrote: without the hashes too.
            let first_version = second_version - 2 - hash.len();
            let read = decode_decision(&bytes[..first_version]).unwrap();
            prop_assert_eq!((read.findings[0].length, read.findings[0].hash.as_str()), (length, ""));
            let versions = [first_version, second_version, third_version, fourth_version];
            for end in (0..bytes.len()).filter(|end| !versions.contains(end)) {
                prop_assert!(decode_decision(&bytes[..end]).is_none());
            }
        }
    }

    #[test]
    fn long_fields_are_cut_at_a_character_and_an_outcome_has_a_bound() {
        let long = "é".repeat(20_000);
        let mut bytes = Vec::new();
        decision(&long, &[], &[]).encode(&mut bytes);
        let read = decode_decision(&bytes).unwrap();
        assert!(read.args_truncated && read.args.len() == ARGS_BYTES_MAX && read.principal.len() == TEXT_BYTES_MAX);
        let finding = FindingRef {
            kind: &long,
            detector: &long,
            pointer: &long,
            length: 0,
            action: FindingAction::Block,
            confidence: 1.0,
            direction: Direction::Response,
            hash: &long,
        };
        let findings = vec![finding; 500];
        let outcome = Outcome {
            ts_us: 0,
            status: Status::Ok,
            error_code: 0,
            http_status: 200,
            bytes_out: 0,
            duration_us: 0,
            upstream_us: 0,
            findings: &findings,
            reason: &long,
        };
        bytes.clear();
        outcome.encode(&mut bytes);
        assert!(bytes.len() <= OUTCOME_BYTES_MAX, "{}", bytes.len());
        assert_eq!(decode_outcome(&bytes).unwrap().findings.len(), FINDINGS_MAX);
    }
}
