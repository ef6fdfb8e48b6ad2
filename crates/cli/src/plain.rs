//! Text of anybody as text for a terminal: nothing of it may steer the terminal, turn the text around, or hide.

use std::fmt::Write as _;

/// Whether a terminal would do something else with this character than show it: controls, marks and embeddings of
/// writing direction, line separators, and characters without a look of their own that make two names look the same.
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            u32::from(character),
            0xAD | 0x61C
                | 0x115F..=0x1160
                | 0x180E
                | 0x200B..=0x200F
                | 0x2028..=0x202E
                | 0x2060..=0x206F
                | 0x3164
                | 0xFEFF
                | 0xFFA0
                | 0xFFF9..=0xFFFB
                | 0xE0000..=0xE007F
        )
}

/// The text in one line, with each character that [`steers`] as JSON would escape it.
pub(crate) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        push_escaped(&mut plain, character);
    }
    plain
}

/// Appends one character, escaped if it must be.
pub(crate) fn push_escaped(to: &mut String, character: char) {
    if !steers(character) {
        to.push(character);
        return;
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a text cannot fail.
        let _ = write!(to, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_hides_is_escaped_and_all_else_stays() {
        for (text, plain) in [
            ("ü🚰 demo/1", "ü🚰 demo/1"),
            ("a\u{1b}[31m\u{9b}0m\r\n\0\u{7f}", "a\\u001b[31m\\u009b0m\\u000d\\u000a\\u0000\\u007f"),
            ("\u{202e}\u{2066}\u{61c}\u{200f}", "\\u202e\\u2066\\u061c\\u200f"),
            ("a\u{200b}b\u{feff}c\u{ad}d\u{3164}", "a\\u200bb\\ufeffc\\u00add\\u3164"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), plain);
        }
    }
}
