//! Acts on what comes back, and on what is kept of it.

use serde_json::json;

use super::Stage;
use crate::cli::demo::client::{Answer, Client};
use crate::cli::demo::leaky::{LEAKS, PAUSE, Tool, fingerprint};
use crate::cli::demo::story::{Act, Wrong, check};

/// The types of the three leaks, and what stands in their place.
const TYPES: [&str; 3] = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/github-token"];
const MASKS: [&str; 3] = ["[CREDIT_CARD]", "[EMAIL_ADDRESS]", "[SECRET/GITHUB-TOKEN]"];

/// What is found in a customer: each leak in the text and in the structured content.
fn findings_of_customer() -> Vec<&'static str> {
    [TYPES, TYPES].concat()
}

/// As before, and what the two words on the progress give away: an address and a card number.
pub(super) fn findings_of_stream() -> Vec<&'static str> {
    [&TYPES[..], &TYPES, &TYPES[..2]].concat()
}

/// Nothing plain in the raw bytes; masks both in the text and in the structured content.
pub(super) fn masked(answer: &Answer) -> Result<Vec<String>, Wrong> {
    check(answer.status == 200, || answer.describe())?;
    // Without spaces and dashes too: a card number is one however it is grouped.
    let squeeze = |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>();
    let squeezed = squeeze(&answer.body);
    for leak in LEAKS {
        let is_plain = answer.body.contains(leak) || squeezed.contains(&squeeze(leak));
        check(!is_plain, || format!("{leak:?} arrived: {}", answer.body))?;
    }
    let [card, mail, key] = MASKS;
    let (text, content) = (answer.text(), answer.message()["result"]["structuredContent"].clone());
    check(content == json!({"name": "Ana", "card": card, "mail": mail, "deploy": key}), || answer.describe())?;
    check(text == format!("Ana pays with {card}, writes from {mail}, deploys with {key}."), || answer.describe())?;
    Ok(vec![
        format!("-> 200 {}", answer.content_type),
        format!("   text              {text}"),
        format!("   structuredContent {content}"),
        format!("   none of the plain values in the {} bytes", answer.body.len()),
    ])
}

impl Stage<'_> {
    pub(super) async fn masked_json(&self) -> Act {
        let arguments = json!({"name": "Ana"});
        self.ledger.expect(Self::permitted(Tool::CrmLookup).with(arguments.clone()).found(findings_of_customer()));
        let answer = self.call(Tool::CrmLookup, &arguments).await?;
        check(answer.content_type.starts_with("application/json"), || answer.describe())?;
        masked(&answer)
    }

    pub(super) async fn masked_events(&self) -> Act {
        let arguments = json!({"name": "Ana"});
        self.ledger.expect(Self::permitted(Tool::CustomerStream).with(arguments.clone()).found(findings_of_stream()));
        let answer = self.call(Tool::CustomerStream, &arguments).await?;
        check(answer.content_type.starts_with("text/event-stream"), || answer.describe())?;
        let mut lines = masked(&answer)?;
        let words: Vec<_> = answer.body.lines().filter(|line| line.contains("notifications/progress")).collect();
        check(words.len() == 2, || answer.describe())?;
        let (first, last) = (answer.pieces_ms.first().copied().unwrap_or(0), answer.pieces_ms.last().copied().unwrap_or(0));
        // The server pauses twice; an answer that was held back would come in one piece.
        let is_streamed = answer.pieces_ms.len() >= 3 && last >= first + PAUSE.as_millis();
        check(is_streamed, || format!("the pieces came after {:?} ms, so events were held back", answer.pieces_ms))?;
        lines.extend(words.iter().map(|word| format!("   {word}")));
        lines.push(format!("   the pieces came after {:?} ms, as the server sent them", answer.pieces_ms));
        Ok(lines)
    }

    pub(super) async fn masked_argument(&self) -> Act {
        let (sent, kept) = (json!({"email": LEAKS[1]}), json!({"email": MASKS[1]}));
        let before = self.leaky.arrived(Tool::CrmLookup);
        self.ledger.expect(Self::permitted(Tool::CrmLookup).with(kept.clone()).found(findings_of_customer()));
        masked(&self.call(Tool::CrmLookup, &sent).await?)?;
        check(self.leaky.arrived(Tool::CrmLookup) == before + 1, || "the call did not reach the server".to_owned())?;
        Ok(vec![
            format!("tools/call crm_lookup {sent}"),
            format!("-> 200; the audit is to keep {kept}, which the last act checks"),
        ])
    }

    pub(super) async fn credential(&self) -> Act {
        let direct = Client::new(&self.leaky.url)?;
        let refused = direct.modern_call(&self.good, Tool::Whoami.name(), &json!({})).await?;
        check(refused.status == 401, || format!("past the gateway: {}", refused.describe()))?;
        self.ledger.expect(Self::permitted(Tool::Whoami).found(vec!["secret/upstream-credential"]));
        let answer = self.call(Tool::Whoami, &json!({})).await?;
        check(answer.status == 200 && answer.text() == "you came with [CREDENTIAL]", || answer.describe())?;
        check(!answer.body.contains(self.credential), || "the credential arrived at the client".to_owned())?;
        let seen = &answer.message()["result"]["structuredContent"];
        let expected = fingerprint(seen["salt"].as_str().unwrap_or_default(), self.credential);
        check(seen["digest"] == expected.as_str(), || format!("the server saw another credential: {}", answer.body))?;
        check(seen["callers"] == 0, || format!("the client's own token went upstream: {}", answer.body))?;
        Ok(vec![
            "past the gateway, with the client's own token -> 401 from the server".to_owned(),
            format!("through the gateway -> 200 {}", answer.text()),
            format!("   salted SHA-256 of what the server saw: {expected}, that of its own credential"),
            "   tokens of the client in the headers that the server saw: none".to_owned(),
        ])
    }
}
