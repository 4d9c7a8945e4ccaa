//! The brand's colour on the pages: text on it, and text in it, can be read.

use std::fmt;

/// The least contrast of text with its ground (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;
/// How much of the colour is in the ground of the element that is pointed at.
const WASH: f64 = 0.1;

const BLACK: Color = Color([0, 0, 0]);
const WHITE: Color = Color([255, 255, 255]);

/// A colour of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// The grounds of the pages, as `style.css` has them, and the colour away from which they are.
struct Theme {
    paper: Color,
    surface: Color,
    far: Color,
}

const LIGHT: Theme = Theme {
    paper: Color([0xf4, 0xf7, 0xf8]),
    surface: WHITE,
    far: BLACK,
};
const DARK: Theme = Theme {
    paper: Color([0x0d, 0x14, 0x18]),
    surface: Color([0x14, 0x1e, 0x24]),
    far: WHITE,
};

/// The colours of a theme that come from the brand's.
#[derive(Debug, Clone, Copy)]
struct Palette {
    /// Links, and drawings on the grounds.
    accent: Color,
    /// The ground of the element that is pointed at.
    wash: Color,
}

impl Color {
    /// Reads `#rrggbb` or `#rgb`; the sign may be left out.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not a colour such as #0b6285 or #06c");
        let digits: Option<Vec<u8>> = text
            .trim_start_matches('#')
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok()))
            .collect();
        match digits.ok_or_else(refused)?[..] {
            [r, g, b] => Ok(Color([r * 17, g * 17, b * 17])),
            [r, s, g, h, b, c] => Ok(Color([r * 16 + s, g * 16 + h, b * 16 + c])),
            _ => Err(refused()),
        }
    }

    /// The relative luminance, from 0 to 1 (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = self.0.map(|value| match f64::from(value) / 255.0 {
            small if small <= 0.04045 => small / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    /// The contrast with another colour, from 1 to 21.
    fn contrast(self, other: Color) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// This colour with a part of another, from 0 to 1.
    fn mix(self, other: Color, part: f64) -> Self {
        let mixed = |at: usize| {
            let [own, other] = [self, other].map(|color| f64::from(color.0[at]));
            (own * (1.0 - part) + other * part).round() as u8
        };
        Color([mixed(0), mixed(1), mixed(2)])
    }

    /// Black or white, whichever can be read better on it. One of them has at least 4.58.
    fn ink(self) -> Color {
        if self.contrast(WHITE) >= self.contrast(BLACK) {
            WHITE
        } else {
            BLACK
        }
    }

    /// The colours of a theme. Links have the colour itself where it can be read on all grounds of
    /// the theme, else the nearest of its shades that can.
    fn palette(self, theme: &Theme) -> Palette {
        let wash = theme.surface.mix(self, WASH);
        let grounds = [theme.paper, theme.surface, wash];
        let readable = |shade: &Color| {
            let mut grounds = grounds.iter();
            grounds.all(|ground| shade.contrast(*ground) >= READABLE)
        };
        let mut shades = (0..=50).map(|step| self.mix(theme.far, f64::from(step) / 50.0));
        let accent = shades.find(readable).unwrap_or(theme.far);
        Palette { accent, wash }
    }

    /// A style sheet that puts the colour into the place of the pages' own.
    pub fn style_sheet(self) -> String {
        let of = |theme: &Theme| {
            let Palette { accent, wash } = self.palette(theme);
            let ink = self.ink();
            format!(
                ":root {{ --accent: {accent}; --wash: {wash}; --button: {self}; --button-ink: {ink} }}"
            )
        };
        let (light, dark) = (of(&LIGHT), of(&DARK));
        format!("{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n")
    }

    /// The colours that are made of it, for the log.
    pub fn described(self) -> String {
        let ink = self.ink();
        let name = if ink == WHITE { "white" } else { "black" };
        let [light, dark] = [&LIGHT, &DARK].map(|theme| self.palette(theme).accent);
        let contrast = ink.contrast(self);
        format!(
            "brand_color {self}: buttons have {name} text on it (contrast {contrast:.1}), links are \
             {light} on light pages and {dark} on dark ones"
        )
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_are_read() {
        for (text, read) in [
            ("#0B6285", "#0b6285"),
            ("#06c", "#0066cc"),
            ("ffcc00", "#ffcc00"),
        ] {
            assert_eq!(Color::parse(text).unwrap().to_string(), read);
        }
        for text in [
            "",
            "#",
            "#12",
            "#12345",
            "#1234567",
            "red",
            "#ggg",
            "#\u{ff11}23",
        ] {
            let refused = Color::parse(text).unwrap_err();
            assert!(refused.contains(&format!("{text:?}")), "{refused}");
        }
    }

    #[test]
    fn contrasts_are_those_of_wcag() {
        assert_eq!(BLACK.contrast(WHITE).round(), 21.0);
        let gray = Color::parse("#767676").unwrap().contrast(WHITE);
        assert!((4.54..4.55).contains(&gray), "{gray}");
    }

    #[test]
    fn the_grounds_are_those_of_the_style_sheet() {
        let sheet = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/static/style.css"));
        let (light, dark) = sheet.split_once("(prefers-color-scheme: dark)").unwrap();
        for (part, theme) in [(light, &LIGHT), (dark, &DARK)] {
            for (name, color) in [("paper", theme.paper), ("surface", theme.surface)] {
                let value = part.split(&format!("--{name}: ")).nth(1).unwrap();
                let value = value.split(';').next().unwrap();
                assert_eq!(Color::parse(value).unwrap(), color, "{name}");
            }
        }
    }

    #[test]
    fn what_is_made_of_it_is_said() {
        let said = |text: &str| Color::parse(text).unwrap().described();
        assert_eq!(
            said("#ffcc00"),
            "brand_color #ffcc00: buttons have black text on it (contrast 13.9), links are #8a6e00 on \
             light pages and #ffcc00 on dark ones"
        );
        assert!(
            said("#0b6285").contains("white text"),
            "{}",
            said("#0b6285")
        );
        assert!(said("#0b6285").contains("links are #0b6285 on light"));
    }

    proptest! {
        #[test]
        fn every_colour_can_be_read(r: u8, g: u8, b: u8) {
            let color = Color([r, g, b]);
            prop_assert!(color.ink().contrast(color) >= READABLE);
            for theme in [&LIGHT, &DARK] {
                let Palette { accent, wash } = color.palette(theme);
                for ground in [theme.paper, theme.surface, wash] {
                    prop_assert!(accent.contrast(ground) >= READABLE, "{accent} on {ground}");
                }
            }
            prop_assert_eq!(Color::parse(&color.to_string()), Ok(color));
        }
    }
}
