//! The formats in which the counters are written.

use http::HeaderMap;

use crate::http::rules::accept;

/// How the counters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text format.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Exposition {
    /// The format that a client prefers (RFC 9110 section 12.5.1); the text format without
    /// preference.
    pub fn of(headers: &HeaderMap) -> Self {
        if accept::prefers(headers, "application/openmetrics-text", "text/plain") {
            Exposition::OpenMetrics
        } else {
            Exposition::Text
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// OpenMetrics in the text format of before, version 0.0.4: there a counter is described under
/// the name of its sample, and neither units nor an end are written.
pub(super) fn as_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 256);
    // The help comes before the type, which says what both are called.
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|described| described.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text += &format!("# HELP {name}{total} {help}\n");
            }
            text += &format!("# TYPE {name}{total} {kind}\n");
        } else if !line.starts_with("# ") {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_described_as_its_sample_is_called() {
        let openmetrics = "# HELP wharf_sent_bytes Bytes.\n# TYPE wharf_sent_bytes counter\n\
                           # UNIT wharf_sent_bytes bytes\nwharf_sent_bytes_total 1\n\
                           # HELP wharf_leader L.\n# TYPE wharf_leader gauge\nwharf_leader 1\n# EOF\n";
        assert_eq!(
            as_text(openmetrics),
            "# HELP wharf_sent_bytes_total Bytes.\n# TYPE wharf_sent_bytes_total counter\n\
             wharf_sent_bytes_total 1\n\
             # HELP wharf_leader L.\n# TYPE wharf_leader gauge\nwharf_leader 1\n"
        );
    }

    #[test]
    fn openmetrics_goes_to_those_who_prefer_it() {
        for (accept, exposition) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
                Exposition::OpenMetrics,
            ),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            ("*/*", Exposition::Text),
            ("text/html", Exposition::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Exposition::of(&headers), exposition, "{accept}");
        }
        assert_eq!(Exposition::of(&HeaderMap::new()), Exposition::Text);
    }
}
