//! Checks the issuers: where each is, which endpoints it may speak for, and how long its tokens may live.
//!
//! Invariant: no issuer is reached without TLS, but on loopback where the operator says so.

use sluicegate_identity::IssuerPolicy;

use super::check::Checker;
use super::checked::Issuer;
use super::limits::Limits;
use super::problem::nearest;
use super::raw::RawIssuer;
use super::url::HttpUrl;

impl Checker<'_, '_> {
    /// The issuers of a configuration; `resources` are the endpoints of this gateway.
    pub(super) fn issuers(&mut self, raw: &[RawIssuer], resources: &[String], limits: &Limits) -> Vec<Issuer> {
        self.unique(raw.iter().map(|issuer| &issuer.name), "issuer.name");
        self.unique(raw.iter().map(|issuer| &issuer.issuer), "issuer.issuer");
        if raw.is_empty() && self.named.certificate_issuers.is_empty() {
            self.problems.add(0..0, "issuer", "there is none", "add an [[issuer]]: without one no token is accepted");
        }
        self.one_introspects(raw);
        raw.iter().enumerate().filter_map(|(index, issuer)| self.issuer(issuer, index + 1, resources, limits)).collect()
    }

    fn issuer(&mut self, raw: &RawIssuer, number: usize, resources: &[String], limits: &Limits) -> Option<Issuer> {
        let key = format!("issuer[{number}]");
        let profile = self.profile(raw, &key);
        match HttpUrl::parse(raw.issuer.get_ref()) {
            _ if profile.is_of_trust_domain() => {}
            Ok(url) if !(url.origin.is_tls || raw.allow_insecure_loopback && url.origin.is_loopback()) => {
                let hint = "use https://, or for a test on this machine add `allow_insecure_loopback = true`";
                self.problems.add(raw.issuer.span(), format!("{key}.issuer"), "would be reached without TLS", hint);
            }
            Ok(_) => {}
            Err(error) => {
                self.problems.add(raw.issuer.span(), format!("{key}.issuer"), error.to_string(), "write the issuer identifier")
            }
        }
        for audience in raw.audiences.get_ref() {
            if !resources.is_empty() && !resources.contains(audience.get_ref()) {
                let message = format!("{:?} is not an endpoint of this gateway", audience.get_ref());
                let hint = match nearest(audience.get_ref(), resources.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("endpoints are: {}", resources.join(", ")),
                };
                self.problems.add(audience.span(), format!("{key}.audiences"), message, hint);
            }
        }
        let leeway = self.number(raw.leeway_s.as_ref(), &format!("{key}.leeway_s"), 0..=300, 30);
        let lifetime = self.number(
            raw.lifetime_max_s.as_ref(),
            &format!("{key}.lifetime_max_s"),
            1..=172_800,
            u64::from(profile.lifetime_max_s()),
        );
        let audiences = raw.audiences.get_ref().iter().map(|audience| audience.get_ref().clone()).collect();
        let made = IssuerPolicy::of_profile(profile, raw.name.get_ref(), raw.issuer.get_ref(), audiences)
            .and_then(|policy| policy.with_leeway_s(u32::try_from(leeway).unwrap_or(30)))
            .and_then(|policy| policy.with_lifetime_max_s(u32::try_from(lifetime).unwrap_or(3600)));
        let policy = match made {
            Ok(policy) => policy,
            Err(error) => {
                self.problems.add(raw.name.span(), key, error.to_string(), "mend the value");
                return None;
            }
        };
        let mut policy = self.claims(raw, &key, policy)?;
        policy = policy.with_requirement(self.requirement(raw, &key));
        let keys = self.issuer_keys(raw, &key, limits)?;
        let introspection = match &raw.introspection {
            Some(spanned) => Some(self.introspection(spanned, &raw.issuer, &format!("{key}.introspection"))?),
            None => None,
        };
        let signals = raw.shared_signals.as_ref().map(|signals| signals.get_ref().audience.get_ref().clone());
        if introspection.is_some() {
            policy = policy.with_introspection();
        }
        Some(Issuer { policy, allow_insecure_loopback: raw.allow_insecure_loopback, keys, introspection, signals })
    }

    /// An opaque token does not say whose it is, so for each endpoint there is one issuer to ask at most.
    fn one_introspects(&mut self, raw: &[RawIssuer]) {
        let mut asked: Vec<(&str, &str)> = Vec::new();
        for (index, issuer) in raw.iter().enumerate().filter(|(_, issuer)| issuer.introspection.is_some()) {
            for audience in issuer.audiences.get_ref() {
                let (name, audience_text) = (issuer.name.get_ref().as_str(), audience.get_ref().as_str());
                match asked.iter().find(|(known, _)| *known == audience_text) {
                    Some((_, other)) => {
                        let message = format!("opaque tokens for it are asked about at issuer {other:?} already");
                        let hint =
                            "leave [issuer.introspection] at one of the two, or give each its own endpoint of this gateway";
                        self.problems.add(audience.span(), format!("issuer[{}].audiences", index + 1), message, hint);
                    }
                    None => asked.push((audience_text, name)),
                }
            }
        }
    }
}
