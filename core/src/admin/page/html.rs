//! Writes HTML in which whatever is not ours stands as text.
//!
//! Invariant: markup is literal text of this program; everything else can only be put in by [`Html::text`], which makes it inert and
//! escapes it for content and for quoted attributes alike.

use crate::inert::inert;

/// A piece of a document.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup.
    pub(super) fn put(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a text of anybody's; in an attribute only between quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in inert(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds a piece that was written before.
    pub(super) fn add(&mut self, piece: Html) -> &mut Self {
        self.0.push_str(&piece.0);
        self
    }

    /// A whole document, to be sent.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A document with a title. `signed_in`: who looks at it, and the token that their forms carry.
pub(super) fn document(title: &str, signed_in: Option<(&str, &str)>, main: Html) -> Html {
    let mut html = Html::default();
    html.put("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .put("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .text(title)
        .put(" · Sluicegate</title>\n<link rel=\"stylesheet\" href=\"/ui/style.css\">\n</head>\n<body>\n")
        .put("<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n<a class=\"home\" href=\"/ui/approvals\">Approvals</a>\n");
    if let Some((who, csrf)) = signed_in {
        html.put("<form class=\"account\" method=\"post\" action=\"/ui/logout\">\n")
            .put("<span>Signed in as <b>")
            .text(who)
            .put("</b></span>\n")
            .add(csrf_field(csrf))
            .put("<button type=\"submit\" class=\"quiet\">Sign out</button>\n</form>\n");
    }
    html.put("</header>\n<main id=\"main\" tabindex=\"-1\">\n<h1>").text(title).put("</h1>\n").add(main);
    html.put("</main>\n</body>\n</html>\n");
    html
}

/// What proves that a form is one of ours.
pub(super) fn csrf_field(csrf: &str) -> Html {
    let mut html = Html::default();
    html.put("<input type=\"hidden\" name=\"csrf\" value=\"").text(csrf).put("\">\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.finish()
    }

    /// Whatever a browser makes of character references, and nothing else.
    fn read(html: &str) -> String {
        let read = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        read.into_iter().fold(html.to_owned(), |text, (reference, c)| text.replace(reference, c))
    }

    #[test]
    fn r125_a_text_is_never_markup() {
        assert_eq!(
            written("<b title='x\" onclick=\"y'>&amp;\u{202e}"),
            "&lt;b title=&#39;x&quot; onclick=&quot;y&#39;&gt;&amp;amp;\\u202e"
        );
    }

    #[test]
    fn a_title_cannot_end_its_element() {
        let whole = document("</title><script>", Some(("<i>ann</i>", "t\"")), Html::default()).finish();
        assert!(!whole.contains("<script") && !whole.contains("<i>") && whole.contains("value=\"t&quot;\""), "{whole}");
    }

    proptest! {
        #[test]
        fn r125_what_is_read_is_what_was_written(text in any::<String>()) {
            let html = written(&text);
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(read(&html), inert(&text));
        }
    }
}
