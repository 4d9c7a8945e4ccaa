//! The time in which a certificate is valid.

use crate::model::Timestamp;

/// Tags of DER (X.690 section 8.1.2).
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// When a certificate begins and ends to be valid (RFC 5280 section 4.1); `None` where it is not
/// written as that section wants it. Its signature and the rest are not looked at.
pub fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let mut certificate = Reader(Reader(certificate).take(SEQUENCE)?);
    let mut fields = Reader(certificate.take(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?;
    // The algorithm of the signature, and the issuer.
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut times = Reader(fields.take(SEQUENCE)?);
    Some((times.time()?, times.time()?))
}

/// The values of DER that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value, which has to have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&short, mut rest) = rest.split_first()?;
        let mut len = usize::from(short);
        if short & 0x80 != 0 {
            let bytes;
            (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            // No certificate has a gigabyte.
            len = match bytes.len() {
                1..=3 => bytes
                    .iter()
                    .fold(0, |len, byte| (len << 8) | usize::from(*byte)),
                _ => return None,
            };
        }
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    /// The next value, which is a time in whole seconds of UTC: RFC 5280 allows no other.
    fn time(&mut self) -> Option<Timestamp> {
        let tag = *self.0.first()?;
        let text = std::str::from_utf8(self.take(tag)?).ok()?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let century = if year < "50" { "20" } else { "19" };
                (format!("{century}{year}"), rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (year.to_owned(), rest)
            }
            _ => return None,
        };
        let digits = rest.strip_suffix('Z')?;
        if digits.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let pair = |at: usize| &digits[at..at + 2];
        let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(pair);
        // "No end" is a time that is later than clocks here count (RFC 5280 section 4.1.2.5).
        if digits == "1231235959" && year == "9999" {
            return Some(Timestamp::from_millis(i64::MAX));
        }
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = match content.len() {
            short @ 0..0x80 => vec![short as u8],
            long => vec![0x82, (long >> 8) as u8, long as u8],
        };
        [&[tag][..], &len, content].concat()
    }

    fn certificate(times: &[Vec<u8>]) -> Vec<u8> {
        let fields = [
            value(VERSION, &value(INTEGER, &[2])),
            value(INTEGER, &[1; 20]),
            value(SEQUENCE, &[]),
            value(SEQUENCE, &[0x55; 200]),
            value(SEQUENCE, &times.concat()),
            value(SEQUENCE, &[]),
        ];
        value(SEQUENCE, &value(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let times = [
            value(UTC_TIME, b"491231235959Z"),
            value(GENERALIZED_TIME, b"20500101000000Z"),
        ];
        let (begin, end) = validity(&certificate(&times)).unwrap();
        assert_eq!(begin.to_string(), "2049-12-31T23:59:59.000Z");
        assert_eq!(end.to_string(), "2050-01-01T00:00:00.000Z");
        let old = [value(UTC_TIME, b"500101000000Z"), times[1].clone()];
        let (begin, _) = validity(&certificate(&old)).unwrap();
        assert!(begin.to_string().starts_with("1950-01-01"));
        let endless = [old[0].clone(), value(GENERALIZED_TIME, b"99991231235959Z")];
        let (_, end) = validity(&certificate(&endless)).unwrap();
        assert!(end > "9999-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        let times = [
            value(UTC_TIME, b"250101000000Z"),
            value(UTC_TIME, b"260101000000Z"),
        ];
        let whole = certificate(&times);
        assert!(validity(&whole).is_some());
        // The key and the signature behind it are not looked at, and not the length of the whole.
        for len in 0..whole.len() - 2 {
            assert!(validity(&whole[..len]).is_none(), "{len}");
        }
        for wrong in [
            &b"2501010000Z"[..],
            b"250101000000+0100",
            b"25010100000xZ",
            b"251301000000Z",
            b"\xff\xff",
        ] {
            let times = [value(UTC_TIME, wrong), times[1].clone()];
            assert!(validity(&certificate(&times)).is_none(), "{wrong:?}");
        }
    }
}
