//! The parameters of a header value, `; name=value` (RFC 2045 section 5.1, RFC 9110 section
//! 5.6.6), shared by `Content-Type` and `Content-Disposition`.

use std::borrow::Cow;

/// The faults of the parameters of a header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamFault {
    /// Something other than `;` stands behind a value.
    #[error("text where `;` or the end of the line was expected")]
    Trailing,
    /// A parameter does not begin with a name.
    #[error("a parameter without a name")]
    NoName,
    /// A parameter's name is not followed by `=`.
    #[error("a parameter without `=` right behind its name")]
    NoEquals,
    /// Neither a token nor a quoted string follows the `=`.
    #[error("a parameter whose value is neither a token nor a quoted string")]
    NoValue,
    /// A quoted string is not closed on its line.
    #[error("a quoted string that is not closed")]
    Unterminated,
}

/// One parameter, its value unquoted.
pub(super) struct Param<'a> {
    pub name: &'a [u8],
    pub value: Cow<'a, [u8]>,
    pub quoted: bool,
    /// Where the parameter begins in the header value.
    pub at: usize,
}

/// Walks the parameters of a header value.
pub(super) struct Params<'a> {
    value: &'a [u8],
    at: usize,
    unquoted: Unquoted,
}

/// The form of a value without quotes.
#[derive(Clone, Copy)]
pub(super) enum Unquoted {
    /// A token, as the grammar says.
    Token,
    /// Anything, or nothing, up to a space, `;` or `"`: the reader checks it.
    Loose,
}

impl<'a> Params<'a> {
    /// Splits `value`, which has no spaces around it, into what stands before the first `;` or
    /// space, and the parameters.
    pub fn new(value: &'a [u8], unquoted: Unquoted) -> (&'a [u8], Self) {
        let end = run(value, |byte| byte != b';' && !is_space(byte));
        let params = Params {
            value,
            at: end,
            unquoted,
        };
        (&value[..end], params)
    }

    /// The next parameter. Empty ones (`;;`, a trailing `;`) are passed over, as RFC 9110 says.
    ///
    /// # Errors
    /// The fault, with its position in the header value.
    pub fn next(&mut self) -> Result<Option<Param<'a>>, (usize, ParamFault)> {
        self.skip_spaces();
        match self.rest().first() {
            None => return Ok(None),
            Some(b';') => {}
            Some(_) => return Err((self.at, ParamFault::Trailing)),
        }
        while self.rest().first() == Some(&b';') {
            self.at += 1;
            self.skip_spaces();
        }
        if self.rest().is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let name = self.take(run(self.rest(), is_token));
        if name.is_empty() {
            return Err((at, ParamFault::NoName));
        }
        if self.rest().first() != Some(&b'=') {
            return Err((self.at, ParamFault::NoEquals));
        }
        self.at += 1;
        let quoted = self.rest().first() == Some(&b'"');
        let value = if quoted {
            self.quoted()?
        } else {
            self.plain()?
        };
        Ok(Some(Param {
            name,
            value,
            quoted,
            at,
        }))
    }

    fn plain(&mut self) -> Result<Cow<'a, [u8]>, (usize, ParamFault)> {
        let value = match self.unquoted {
            Unquoted::Token => self.take(run(self.rest(), is_token)),
            Unquoted::Loose => self.take(run(self.rest(), is_loose)),
        };
        if value.is_empty() && matches!(self.unquoted, Unquoted::Token) {
            return Err((self.at, ParamFault::NoValue));
        }
        Ok(Cow::Borrowed(value))
    }

    /// A quoted string. `\"` and `\\` stand for the second byte; any other backslash is kept,
    /// because old browsers send raw Windows paths. So is one before the last quote of the line,
    /// which nothing else could close: a program that writes as browsers do (HTML,
    /// multipart/form-data encoding algorithm) escapes no backslash, and a name may end with one.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, (usize, ParamFault)> {
        let open = self.at;
        let text = &self.value[open + 1..];
        let mut unescaped: Option<Vec<u8>> = None;
        let mut copied = 0;
        let mut i = 0;
        while let Some(&byte) = text.get(i) {
            if byte == b'"' {
                self.at = open + 1 + i + 1;
                return Ok(match unescaped {
                    None => Cow::Borrowed(&text[..i]),
                    Some(mut value) => {
                        value.extend_from_slice(&text[copied..i]);
                        Cow::Owned(value)
                    }
                });
            }
            if byte == b'\\' && matches!(text[i + 1..], [b'\\', ..] | [b'"', _, ..]) {
                let value = unescaped.get_or_insert_default();
                value.extend_from_slice(&text[copied..i]);
                copied = i + 1;
                i += 1;
            }
            i += 1;
        }
        Err((open, ParamFault::Unterminated))
    }

    fn skip_spaces(&mut self) {
        self.at += run(self.rest(), is_space);
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let taken = &self.value[self.at..self.at + len];
        self.at += len;
        taken
    }

    fn rest(&self) -> &'a [u8] {
        &self.value[self.at..]
    }
}

/// How many bytes from the start satisfy `belongs`.
fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|&byte| !belongs(byte))
        .unwrap_or(bytes.len())
}

/// Space or tab (`LWSP-char` of RFC 822, `OWS` of RFC 9110).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A byte of a token, RFC 2045 section 5.1; `{` and `}` are in it, unlike in HTTP's.
pub(super) fn is_token(byte: u8) -> bool {
    /// Looked up: each byte of a part's headers is asked for.
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            table[byte as usize] = !matches!(
                byte,
                b'(' | b')'
                    | b'<'
                    | b'>'
                    | b'@'
                    | b','
                    | b';'
                    | b':'
                    | b'\\'
                    | b'"'
                    | b'/'
                    | b'['
                    | b']'
                    | b'?'
                    | b'='
            );
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

fn is_loose(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b';' | b'"')
}

/// The byte that two hexadecimal digits, in either case, stand for.
pub(super) fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |digit: u8| {
        let value = char::from(digit).to_digit(16)?;
        u8::try_from(value).ok()
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// `value` without spaces and tabs around it.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let start = run(value, is_space);
    let end = value
        .iter()
        .rposition(|&byte| !is_space(byte))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Vec<u8>, ParamFault> {
        let (_, mut params) = Params::new(text.as_bytes(), Unquoted::Token);
        let param = params.next().map_err(|(_, fault)| fault)?;
        params.next().map_err(|(_, fault)| fault)?;
        Ok(param.expect("a parameter").value.into_owned())
    }

    #[test]
    fn backslashes_are_unescaped_only_before_a_quote_or_a_backslash() {
        assert_eq!(value(r#"x; a="b""#), Ok(b"b".to_vec()));
        assert_eq!(value(r#"x; a="C:\dir\b""#), Ok(br"C:\dir\b".to_vec()));
        assert_eq!(
            value(r#"x; a="\"q\" \\ \\\\""#),
            Ok(br#""q" \ \\"#.to_vec())
        );
        assert_eq!(value(r#"x; a="\\n\n""#), Ok(br"\n\n".to_vec()));
        assert_eq!(value(r#"x; a="\"#), Err(ParamFault::Unterminated));
        assert_eq!(value(r#"x; a="\\""#), Ok(br"\".to_vec()));
    }

    #[test]
    fn a_backslash_before_the_last_quote_is_the_end_of_the_value() {
        assert_eq!(value(r#"x; a="\""#), Ok(br"\".to_vec()));
        assert_eq!(value(r#"x; a="b\""#), Ok(br"b\".to_vec()));
        assert_eq!(value(r#"x; a="\"b\\\""#), Ok(br#""b\\"#.to_vec()));
        assert_eq!(value(r#"x; a="b\";"#), Err(ParamFault::Unterminated));
        assert_eq!(value(r#"x; a="b\"; c="d""#), Err(ParamFault::Trailing));
    }

    #[test]
    fn what_is_not_a_parameter_is_refused() {
        assert_eq!(value(r#"x; a="b"c"#), Err(ParamFault::Trailing));
        assert_eq!(value(r#"x; a="b" c"#), Err(ParamFault::Trailing));
        assert_eq!(value("x; a=b c"), Err(ParamFault::Trailing));
        assert_eq!(value("x; a"), Err(ParamFault::NoEquals));
        assert_eq!(value("x; a =b"), Err(ParamFault::NoEquals));
        assert_eq!(value("x; =b"), Err(ParamFault::NoName));
        assert_eq!(value("x; a="), Err(ParamFault::NoValue));
        assert_eq!(value("x; a= b"), Err(ParamFault::NoValue));
        assert_eq!(value("x ;; ; a=b ;"), Ok(b"b".to_vec()));
    }

    #[test]
    fn trimming_leaves_inner_spaces() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b""), b"");
    }
}
