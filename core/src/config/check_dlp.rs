//! Checks what is looked for and what is done to it: `[dlp]`, its detectors, its rules.

use std::sync::Arc;

use sluicegate_dlp::written::Written;
use sluicegate_dlp::{
    Catalogue, Conditions, Engine, Keyring, MASTER_BYTES_MIN, Numbers, Operator, PointerPattern, RULES_MAX, Rule, Selector,
};
use toml::Spanned;

use super::check::Checker;
use super::checked::{Direction, DlpRule, Done};
use super::raw::{RawDlp, RawDlpRule, RawSecret, Text};
use crate::policy::Glob;

impl Checker<'_, '_> {
    /// The keys of hashes and tokens.
    pub(super) fn keyring(&mut self, key: &Spanned<RawSecret>) -> Option<Arc<Keyring>> {
        let (_, secret) = self.local_secret(key, "dlp.key")?;
        let keyring = Keyring::derive(secret.bytes(), "gateway").map(Arc::new);
        if let Some((field, at)) = key.get_ref().place().filter(|_| keyring.is_none()) {
            let message = format!("is shorter than {MASTER_BYTES_MIN} characters");
            self.problems.add(at.span(), format!("dlp.key.{field}"), message, "make one with `openssl rand -base64 32`");
        }
        keyring
    }

    /// The built-in detectors, and the file's own.
    pub(super) fn catalogue(&mut self, raw: &[Written]) -> Arc<Catalogue> {
        let mut catalogue = match Catalogue::built_in() {
            Ok(catalogue) => catalogue,
            Err((file, error)) => {
                self.problems.add(0..0, "dlp", format!("the built-in file {file} is broken: {error}"), "use another build");
                Catalogue::default()
            }
        };
        for (index, written) in raw.iter().enumerate() {
            let key = format!("dlp.detector[{}]", index + 1);
            match written.detector() {
                Ok(detector) => {
                    if let Err(id) = catalogue.add(detector) {
                        let message = format!("{id:?} is the id of another detector");
                        self.problems.add(written.id.span(), format!("{key}.id"), message, "give it an id of its own");
                    }
                }
                Err(error) => self.problems.add(error.span, format!("{key}.{}", error.key), error.message, error.hint),
            }
        }
        let catalogue = Arc::new(catalogue);
        if !raw.is_empty() && self.problems.is_empty() {
            self.examples(raw, &catalogue);
        }
        catalogue
    }

    /// Detectors of the file's own must find what their examples say; those that come with the program are tested with it.
    fn examples(&mut self, raw: &[Written], catalogue: &Arc<Catalogue>) {
        let engine = Engine::with(Arc::clone(catalogue)).and_then(|engine| Ok((engine.scratch()?, engine)));
        let (mut scratch, engine) = match engine {
            Ok(engine) => engine,
            Err(error) => return self.problems.add(0..0, "dlp.detector", error.to_string(), "make the patterns simpler"),
        };
        let first = catalogue.detectors().len() - raw.len();
        for (index, written) in raw.iter().enumerate() {
            for fault in engine.check_examples(first + index, &mut scratch) {
                let (field, span) =
                    if fault.expected.is_some() { ("find", written.find.span()) } else { ("miss", written.id.span()) };
                let hint = "mend the pattern, or the example";
                self.problems.add(span, format!("dlp.detector[{}].{field}", index + 1), fault.to_string(), hint);
            }
        }
    }
}

pub(super) fn dlp_rules(
    checker: &mut Checker<'_, '_>,
    raw: &RawDlp,
    catalogue: &Catalogue,
    keyring: Option<&Arc<Keyring>>,
) -> Vec<DlpRule> {
    let mut rules = Vec::with_capacity(raw.rule.len());
    // One more is made for calls of which everything is masked.
    if let Some(rule) = raw.rule.get(RULES_MAX - 1) {
        let message = format!("there are more than {}", RULES_MAX - 1);
        checker.problems.add(rule.span(), "dlp.rule", message, "name several types in one rule");
    }
    for (index, rule) in raw.rule.iter().enumerate() {
        // A key that is named but cannot be read is a problem of its own.
        let key_is_missing = raw.key.is_none();
        let mut one = OneDlpRule {
            checker,
            key: format!("dlp.rule[{}]", index + 1),
            raw: rule.get_ref(),
            span: rule.span(),
            keyring,
            key_is_missing,
        };
        rules.extend(one.check(catalogue));
    }
    rules
}

/// Bytes of the name of a scope.
const SCOPE_BYTES_MAX: usize = 64;

struct OneDlpRule<'c, 'p, 't, 'r> {
    checker: &'c mut Checker<'p, 't>,
    key: String,
    raw: &'r RawDlpRule,
    span: std::ops::Range<usize>,
    keyring: Option<&'r Arc<Keyring>>,
    key_is_missing: bool,
}

impl OneDlpRule<'_, '_, '_, '_> {
    fn add(&mut self, span: std::ops::Range<usize>, field: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.checker.problems.add(span, format!("{}.{field}", self.key), message, hint);
    }

    fn check(&mut self, catalogue: &Catalogue) -> Option<DlpRule> {
        let raw = self.raw;
        let turns_back = raw.detokenize.as_ref().filter(|flag| *flag.get_ref());
        let does = match turns_back {
            Some(flag) => self.turns_back(flag),
            None => self.masks(),
        };
        let detect = if turns_back.is_some() { Vec::new() } else { self.detect(catalogue) };
        let upstream = Glob::new(raw.place.upstream.as_ref().map_or("*", |name| name.get_ref()));
        if let Some(name) = &raw.place.upstream {
            self.checker.must_match_upstream(name, &format!("{}.where.upstream", self.key));
        }
        self.check_scope();
        let direction = self.direction();
        let glob = |text: &Option<Text>| text.as_ref().map(|text| Glob::new(text.get_ref()));
        Some(DlpRule {
            detect,
            upstream,
            tool: glob(&raw.place.tool),
            principal: glob(&raw.place.principal),
            direction: direction?,
            does: does?,
        })
    }

    fn detect(&mut self, catalogue: &Catalogue) -> Vec<Selector> {
        let Some(names) = &self.raw.detect else {
            self.add(self.span.clone(), "detect", "is missing", "name types, or use [\"*\"]");
            return Vec::new();
        };
        if names.get_ref().is_empty() {
            self.add(names.span(), "detect", "is empty", "name types, or use \"*\"");
        }
        let mut selectors = Vec::new();
        for text in names.get_ref() {
            match catalogue.select(text.get_ref()) {
                Ok(selector) => selectors.push(selector),
                Err(unknown) => {
                    let hint = format!("did you mean {:?}?", unknown.nearest);
                    self.add(text.span(), "detect", format!("no detector finds {:?}", unknown.name), hint);
                }
            }
        }
        selectors
    }

    fn direction(&mut self) -> Option<Direction> {
        match self.raw.place.direction.as_ref().map(|direction| (direction, direction.get_ref().as_str())) {
            None | Some((_, "both")) => Some(Direction::Both),
            Some((_, "request")) => Some(Direction::Request),
            Some((_, "response")) => Some(Direction::Response),
            Some((text, _)) => {
                self.add(text.span(), "where.direction", "is not a direction", "use \"request\", \"response\" or \"both\"");
                None
            }
        }
    }

    /// A rule that turns tokens back must say for which tool: that is what makes the tool an authorised one.
    fn turns_back(&mut self, flag: &Spanned<bool>) -> Option<Done> {
        let raw = self.raw;
        if let Some(operator) = &raw.operator {
            self.add(operator.span(), "operator", "stands beside `detokenize`", "make two rules of it");
        }
        if let Some(numbers) = &raw.numbers {
            self.add(numbers.span(), "numbers", "is for rules that mask", "remove the key; digits are never turned back");
        }
        if let Some(pointer) = &raw.place.pointer {
            let hint = "remove the key; a token says itself where it stands";
            self.add(pointer.span(), "where.pointer", "is for rules that mask", hint);
        }
        if raw.place.tool.is_none() || raw.place.upstream.is_none() {
            let hint = "add `where = { upstream = \"…\", tool = \"…\" }`";
            self.add(flag.span(), "detokenize", "does not say which tool may have the values", hint);
        }
        self.keyring(flag.span(), "detokenize").map(Done::TurnsBack)
    }

    fn masks(&mut self) -> Option<Done> {
        let raw = self.raw;
        let mut confidence_min = 0.0;
        if let Some(value) = &raw.confidence_min {
            confidence_min = *value.get_ref() as f32;
            if !(0.0..=1.0).contains(&confidence_min) {
                self.add(value.span(), "confidence_min", "is out of bounds", "use 0.0 to 1.0");
            }
        }
        let pointers = self.pointers();
        let conditions = Arc::new(Conditions { confidence_min, allow: raw.allow.clone(), pointers });
        let numbers = self.numbers();
        self.operator().map(|operator| Done::Masks(Rule { operator, conditions, numbers }))
    }

    /// What becomes of JSON numbers.
    fn numbers(&mut self) -> Numbers {
        let Some(text) = &self.raw.numbers else { return Numbers::String };
        let operator = self.raw.operator.as_ref().map_or("", |name| name.get_ref());
        if matches!(operator, "flag" | "block") {
            let message = format!("means nothing beside the operator {operator:?}, which replaces nothing");
            self.add(text.span(), "numbers", message, "remove the key");
        }
        match text.get_ref().as_str() {
            "string" => Numbers::String,
            "keep" => Numbers::Keep,
            _ => {
                let hint = "use \"string\", or \"keep\" for another number of the same length";
                self.add(text.span(), "numbers", "is not a form of numbers", hint);
                Numbers::String
            }
        }
    }

    /// Where in a message the rule is about; nothing where it does not say.
    fn pointers(&mut self) -> Vec<PointerPattern> {
        let Some(text) = &self.raw.place.pointer else { return Vec::new() };
        let pattern = match PointerPattern::parse(text.get_ref()) {
            Ok(pattern) => pattern,
            Err(fault) => {
                self.add(text.span(), "where.pointer", fault.to_string(), fault.hint());
                return Vec::new();
            }
        };
        if let Some(name) = pattern.first_name().filter(|name| !PAYLOADS.contains(name)) {
            let message = format!("begins with /{name}, under which no message has anything to mask");
            let hint = "it begins at the message: \"/params/arguments/**\", \"/result/**\", \"/error/**\", or \"/**\"";
            self.add(text.span(), "where.pointer", message, hint);
        }
        // The messages of a batch stand in an array.
        vec![pattern.in_elements(), pattern]
    }

    fn keyring(&mut self, span: std::ops::Range<usize>, field: &str) -> Option<Arc<Keyring>> {
        if self.key_is_missing {
            self.add(
                span,
                field,
                "needs a key",
                "add `[dlp] key = { file = \"…\" }`, a file of mode 0600 with 32 characters or more",
            );
        }
        match &self.raw.scope {
            None => self.keyring.cloned(),
            Some(scope) => self.keyring?.within(&format!("rule {}", scope.get_ref())).map(Arc::new),
        }
    }

    /// The scope of hashes and tokens is for rules that make or turn back one.
    fn check_scope(&mut self) {
        let Some(scope) = &self.raw.scope else { return };
        let operator = self.raw.operator.as_ref().map_or("", |name| name.get_ref());
        let turns_back = self.raw.detokenize.as_ref().is_some_and(|flag| *flag.get_ref());
        if !turns_back && !matches!(operator, "hash" | "tokenize") {
            self.add(scope.span(), "scope", "is for \"hash\", \"tokenize\" and `detokenize`", "remove the key");
        }
        if !(1..=SCOPE_BYTES_MAX).contains(&scope.get_ref().len()) {
            let message = format!("is not 1 to {SCOPE_BYTES_MAX} bytes long");
            self.add(scope.span(), "scope", message, "name the tenant, like \"acme\"");
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        let raw = self.raw;
        let Some(name) = &raw.operator else {
            self.add(self.span.clone(), "operator", "is missing", OPERATORS_HINT);
            return None;
        };
        if let Some(keep) = raw.keep.as_ref().filter(|_| name.get_ref() != "partial") {
            self.add(keep.span(), "keep", "is for the operator \"partial\" only", "remove the key");
        }
        match name.get_ref().as_str() {
            "partial" => {
                match raw.keep.as_ref().map(|keep| (keep.span(), u8::try_from(*keep.get_ref()).ok().filter(|keep| *keep <= 64))) {
                    None => Some(Operator::Partial { keep_last: 4 }),
                    Some((_, Some(keep_last))) => Some(Operator::Partial { keep_last }),
                    Some((span, None)) => {
                        self.add(span, "keep", "is out of bounds", "use 0 to 64");
                        None
                    }
                }
            }
            "flag" => Some(Operator::Flag),
            "redact" => Some(Operator::Redact),
            "strip" => Some(Operator::Strip),
            "block" => Some(Operator::Block),
            "hash" => self.keyring(name.span(), "operator").map(Operator::Hash),
            "tokenize" => self.keyring(name.span(), "operator").map(Operator::Tokenize),
            _ => {
                self.add(name.span(), "operator", "is not an operator", OPERATORS_HINT);
                None
            }
        }
    }
}

/// The members of a JSON-RPC message whose leaves are scanned.
const PAYLOADS: [&str; 3] = ["params", "result", "error"];
/// What a rule about findings can do.
const OPERATORS_HINT: &str = "use \"flag\", \"redact\", \"strip\", \"partial\", \"hash\", \"tokenize\" or \"block\"";
