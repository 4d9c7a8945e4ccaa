//! The findings of a look: a line each, or JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::plain;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// The server runs, and something is lost, slow or open.
    Warning,
    /// The server does not start, or does not do what it is for.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One finding.
#[derive(Debug)]
pub struct Finding {
    /// The subject: a word that stays the same.
    pub check: &'static str,
    pub level: Level,
    /// The finding.
    pub text: String,
    /// The remedy; empty where none is needed.
    pub advice: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    pub fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Ok, text, "");
    }

    pub fn warning(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Level::Warning, text, advice);
    }

    pub fn error(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Level::Error, text, advice);
    }

    fn add(
        &mut self,
        check: &'static str,
        level: Level,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding {
            check,
            level,
            text: text.into(),
            advice: advice.into(),
        });
    }

    /// The gravest level of all.
    pub fn worst(&self) -> Level {
        let levels = self.0.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// A line for each finding.
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for finding in &self.0 {
            let (level, check) = (finding.level.word(), finding.check);
            let text = one_line(&finding.text);
            let _ = write!(lines, "{level:<8} {check:<12} {}", plain(&text));
            if !finding.advice.is_empty() {
                let _ = write!(lines, " -- {}", plain(&one_line(&finding.advice)));
            }
            lines.push('\n');
        }
        lines
    }

    /// The same as an object.
    pub fn json(&self) -> Value {
        let findings = self.0.iter().map(|finding| {
            json!({
                "check": finding.check,
                "level": finding.level.word(),
                "text": finding.text,
                "advice": match finding.advice.as_str() {
                    "" => Value::Null,
                    advice => Value::from(advice),
                },
            })
        });
        json!({
            "level": self.worst().word(),
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_the_gravest_counts() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Level::Ok);
        report.ok("clock", "it agrees");
        report.warning("redis", "two\nlines", "do  this");
        assert_eq!(report.worst(), Level::Warning);
        report.error("space", "none", "make some");
        assert_eq!(report.worst(), Level::Error);
        assert_eq!(
            report.lines(),
            "ok       clock        it agrees\n\
             warning  redis        two lines -- do this\n\
             error    space        none -- make some\n"
        );
        let json = report.json();
        assert_eq!(json["level"], "error");
        assert_eq!(json["findings"][0]["advice"], Value::Null);
        assert_eq!(json["findings"][1]["advice"], "do  this");
    }
}
