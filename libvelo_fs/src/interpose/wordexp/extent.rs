//! How far an expansion goes in a text of wordexp(3), by glibc's rules. What is not closed goes
//! to the end, for glibc to find the error. Brackets in brackets are counted, not descended into.

/// Bytes of what begins with `$` or a backquote.
pub fn expansion(text: &[u8]) -> usize {
    let byte = |at: usize| text.get(at).copied();
    match (byte(0), byte(1)) {
        (Some(b'`'), _) => backquoted(text),
        (_, Some(b'(')) => in_parentheses(text),
        (_, Some(b'[')) => in_brackets(text),
        (_, Some(b'{')) => in_braces(text),
        (_, Some(b'_' | b'a'..=b'z' | b'A'..=b'Z')) => {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let name = text.get(1..).unwrap_or_default();
            1 + name.iter().take_while(|byte| is_name(byte)).count()
        }
        (_, Some(b'0'..=b'9' | b'#' | b'*' | b'@' | b'$')) => 2,
        // A `$` that is one.
        _ => 1,
    }
}

/// Bytes of what begins with a double quote.
pub fn double_quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            b'$' | b'`' => expansion(text.get(at..).unwrap_or_default()),
            _ => 1,
        };
    }
    text.len()
}

fn backquoted(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'`' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Quotes that are open, seen byte by byte.
fn toggle(quote: &mut Option<u8>, byte: u8) {
    match *quote {
        None => *quote = Some(byte),
        Some(open) if open == byte => *quote = None,
        Some(_) => {}
    }
}

/// `$((` arithmetic `))`, else `$(` a command `)`.
fn in_parentheses(text: &[u8]) -> usize {
    if text.get(2) == Some(&b'(')
        && let Some(bytes) = arithmetic(text)
    {
        return bytes;
    }
    let (mut depth, mut quote) = (0, None);
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            b'\'' | b'"' => toggle(&mut quote, *byte),
            b'(' if quote.is_none() => depth += 1,
            b')' if quote.is_none() => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

fn arithmetic(text: &[u8]) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.iter().enumerate().skip(3) {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => {
                return (text.get(at + 1) == Some(&b')')).then_some(at + 2);
            }
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn in_brackets(text: &[u8]) -> usize {
    let mut depth = 0;
    for (at, byte) in text.iter().enumerate().skip(2) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b']' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn in_braces(text: &[u8]) -> usize {
    let (mut at, mut depth, mut quote) = (1, 0, None);
    while let Some(byte) = text.get(at) {
        match byte {
            b'\'' | b'"' => toggle(&mut quote, *byte),
            b'\\' if quote.is_none() => at += 1,
            b'{' if quote.is_none() => depth += 1,
            b'}' if quote.is_none() => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}
