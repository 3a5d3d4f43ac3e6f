//! Paths as text without control characters: `\xHH` for a byte, `{P}` for the place of the tree, `{pad:N}` for as
//! many `./` as make the whole path N bytes long.

/// `bytes` so that they stay within one field of one line.
pub fn escaped(bytes: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, 32..=126) && !b"\\{}!".contains(byte);
    bytes
        .iter()
        .map(|byte| match plain(byte) {
            true => char::from(*byte).to_string(),
            false => format!("\\x{byte:02x}"),
        })
        .collect()
}

/// What [`escaped`] made.
pub fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let digits = match rest {
            [b'\\', b'x', digits @ ..] => digits.get(..2),
            _ => None,
        };
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    bytes
}

/// `text`, still escaped, with `at` for `{P}` and the padding filled in.
pub fn placed(text: &str, at: &str) -> String {
    let text = text.replace("{P}", at);
    let Some((before, after)) = text.split_once("{pad:") else {
        return text;
    };
    let Some((wanted, after)) = after.split_once('}') else {
        return text;
    };
    let length = unescaped(before).len() + unescaped(after).len();
    let missing = wanted.parse().unwrap_or(0_usize).saturating_sub(length);
    format!(
        "{before}{}{}{after}",
        "./".repeat(missing / 2),
        &"/"[..missing % 2]
    )
}

#[cfg(test)]
mod tests {
    use super::{escaped, placed, unescaped};

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&escaped(&all)), all);
        assert!(!escaped(&all).contains(['\n', '\t', '{', '!']));
    }

    #[test]
    fn padding_makes_the_length() {
        for wanted in [20, 21] {
            let path = placed(
                "{P}/{pad:LENGTH}\\xff"
                    .replace("LENGTH", &wanted.to_string())
                    .as_str(),
                "/tree",
            );
            assert_eq!(unescaped(&path).len(), wanted);
        }
    }
}
