//! QR codes (ISO/IEC 18004) as SVG.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The quiet zone around the modules, which scanners need.
const MARGIN: usize = 4;

/// The width in modules, and the `d` of one `<path>` that draws the dark ones: a run in a row
/// is one rectangle. `None` for a text that is too long for a code.
pub fn path(text: &str) -> Option<(usize, String)> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|left, right| left == right) {
            if run.first() == Some(&Color::Dark) {
                let (left, top, long) = (x + MARGIN, y + MARGIN, run.len());
                let _ = write!(path, "M{left} {top}h{long}v1h-{long}z");
            }
            x += run.len();
        }
    }
    Some((width + 2 * MARGIN, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finder_patterns() {
        let (size, path) = path("http://localhost:8080/uploads/x").unwrap();
        assert!(size >= 29);
        let right = size - MARGIN - 7;
        let first = format!("M{MARGIN} {MARGIN}h7v1h-7z");
        let last_row = format!("M{MARGIN} {}h7v1h-7z", size - MARGIN - 1);
        assert!(path.starts_with(&first) && path.contains(&last_row));
        assert!(path.contains(&format!("M{right} {MARGIN}h7v1h-7z")));
        assert_eq!(super::path(&"x".repeat(3000)), None);
    }
}
