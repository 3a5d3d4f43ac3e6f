//! Says where two outcomes differ, in as few lines as help a person.

use crate::call::Outcome;

/// Lines shown of each stream.
const SHOWN: usize = 12;
/// Bytes shown of each line.
const WIDTH: usize = 700;

/// The differences of `served` from `plain`, or none.
#[must_use]
pub fn difference(plain: &Outcome, served: &Outcome) -> Option<String> {
    let mut report = String::new();
    if plain.ended != served.ended {
        report.push_str(&format!(
            "  ended: plain {:?}, served {:?}\n",
            plain.ended, served.ended
        ));
    }
    lines("stdout", &plain.stdout, &served.stdout, &mut report);
    lines("stderr", &plain.stderr, &served.stderr, &mut report);
    (!report.is_empty()).then_some(report)
}

/// What both sides do, run again where the plain side does not do the same twice.
///
/// The kernel itself does not: when it begins a lookup anew, because something was renamed or
/// mounted meanwhile, it goes on counting symlinks where it stood, and ends in ELOOP before
/// the 40th. A served side that changes its mind is not forgiven.
pub fn settled(plain: impl Fn() -> Outcome, served: impl Fn() -> Outcome) -> (Outcome, Outcome) {
    const TRIES: usize = 3;
    let mut both = (plain(), served());
    for _ in 0..TRIES {
        if difference(&both.0, &both.1).is_none() {
            break;
        }
        let again = plain();
        if difference(&both.0, &again).is_none() {
            break;
        }
        both = (again, served());
    }
    both
}

fn lines(stream: &str, plain: &[u8], served: &[u8], report: &mut String) {
    if plain == served {
        return;
    }
    let split = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes
            .split(|byte| matches!(byte, b'\n' | 0))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (left, right) = (split(plain), split(served));
    report.push_str(&format!(
        "  {stream}: plain {} lines, served {} lines\n",
        left.len() - 1,
        right.len() - 1
    ));
    for (shown, (line_from_1, change)) in edits(&left, &right).into_iter().enumerate() {
        if shown == SHOWN {
            report.push_str("    ...\n");
            break;
        }
        let (sign, bytes) = match change {
            Change::Gone(bytes) => ("plain ", bytes),
            Change::New(bytes) => ("served", bytes),
        };
        let cut = if bytes.len() > WIDTH { "..." } else { "" };
        let shown = bytes.get(..WIDTH).unwrap_or(bytes).escape_ascii();
        report.push_str(&format!("    {line_from_1:5} {sign} | {shown}{cut}\n"));
    }
}

enum Change<'a> {
    Gone(&'a [u8]),
    New(&'a [u8]),
}

/// Lines that differ. Resynchronises within a small window, which is enough for a report.
fn edits<'a>(left: &'a [Vec<u8>], right: &'a [Vec<u8>]) -> Vec<(usize, Change<'a>)> {
    const WINDOW: usize = 64;
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while (i < left.len() || j < right.len()) && found.len() <= 4 * SHOWN {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let near = (1..WINDOW).flat_map(|sum| (0..=sum).map(move |a| (a, sum - a))).find(|(a, b)| {
            matches!((left.get(i + a), right.get(j + b)), (Some(x), Some(y)) if x == y)
        });
        let (a, b) = near.unwrap_or((left.len() - i, right.len() - j));
        found.extend((i..i + a).map(|at| (at + 1, Change::Gone(&left[at]))));
        found.extend((j..j + b).map(|at| (at + 1, Change::New(&right[at]))));
        (i, j) = (i + a, j + b);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::call::{Ended, Outcome};

    fn outcome(text: &str) -> Outcome {
        let (stdout, took) = (text.as_bytes().to_vec(), std::time::Duration::ZERO);
        Outcome {
            ended: Ended::Status(0),
            stdout,
            stderr: Vec::new(),
            took,
        }
    }

    #[test]
    fn equal_outcomes_have_no_difference() {
        assert_eq!(difference(&outcome("a\nb\n"), &outcome("a\nb\n")), None);
    }

    #[test]
    fn a_lost_line_is_named() {
        let report = difference(&outcome("a\nb\nc\n"), &outcome("a\nc\n")).unwrap();
        assert!(
            report.contains("2 plain  | b") && !report.contains("| c"),
            "{report}"
        );
    }
}
