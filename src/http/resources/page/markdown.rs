//! Markdown as HTML that does nothing: no HTML of the writer's own, no pictures from elsewhere, links
//! to the web and to mail alone.

use std::fmt;

use pulldown_cmark::html::write_html_fmt;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// The most bytes that a text becomes: a few bytes of a table can mean very many cells.
const MAX_HTML: usize = 2 << 20;

/// A text in Markdown (CommonMark with tables and the like) as HTML; a text that is too long is cut, maybe
/// within an element, which a browser closes.
pub fn to_html(text: &str) -> String {
    let extensions =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, extensions).filter_map(inert);
    let mut out = Bounded(String::new());
    // It fails where it is full, and in no other case.
    let _ = write_html_fmt(&mut out, events);
    out.0
}

/// Text up to a length.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_HTML {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The event without anything that loads or runs.
fn inert(event: Event) -> Option<Event> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        // Its description stands in its place.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { dest_url, .. }) => Some(Event::InlineHtml(opening(&dest_url))),
        Event::End(TagEnd::Link) => Some(Event::InlineHtml("</a>".into())),
        event => Some(event),
    }
}

/// The start of a link, which leads nowhere if it is not to the web or to mail.
fn opening(address: &str) -> CowStr<'static> {
    let known = ["https://", "http://", "mailto:"];
    let leads = known.iter().any(|scheme| {
        let start = address.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    if !leads {
        return CowStr::Borrowed("<a>");
    }
    let mut tag = String::from("<a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=\"");
    for c in address.chars() {
        match c {
            '&' => tag.push_str("&amp;"),
            '"' => tag.push_str("&quot;"),
            '<' => tag.push_str("&lt;"),
            '>' => tag.push_str("&gt;"),
            c => tag.push(c),
        }
    }
    tag.push_str("\">");
    tag.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_rendered_and_does_nothing() {
        for (text, html) in [
            ("# a *b*", "<h1>a <em>b</em></h1>\n"),
            (
                "a <b onclick=x>c</b>",
                "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>\n",
            ),
            (
                "<script>x</script>",
                "<p>&lt;script&gt;x&lt;/script&gt;</p>\n",
            ),
            ("![alt](http://a.example/x.png)", "<p>alt</p>\n"),
            ("[a](javascript:x)", "<p><a>a</a></p>\n"),
            ("[a](data:text/html,x)", "<p><a>a</a></p>\n"),
            ("[a](/files/x)", "<p><a>a</a></p>\n"),
            (
                "[a](HTTPS://a.example/?a&b%22)",
                "<p><a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=\"HTTPS://a.example/?a&amp;b%22\">a</a></p>\n",
            ),
            (
                "|a|\n|-|\n|b|",
                "<table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>b</td></tr>\n</tbody></table>\n",
            ),
        ] {
            assert_eq!(to_html(text), html, "{text}");
        }
    }

    #[test]
    fn a_text_becomes_no_more_than_a_browser_bears() {
        let wide = "|a".repeat(20_000) + "\n" + &"|-".repeat(20_000) + "\n" + &"|\n".repeat(50_000);
        assert!(to_html(&wide).len() <= MAX_HTML);
    }
}
