//! wordexp(3). musl's asks the shell, which has our hooks. glibc's matches file names inside,
//! past them, so a text with something to match in it is taken apart here: the words are put
//! together and matched as glibc does it, and what is in quotes, after `$` or in backquotes is
//! expanded by glibc, piece by piece. The answer is memory of the C library, for its wordfree(3).
//!
//! Known to be glibc's own, and kept: a quoted `*` matches all the same once something unquoted
//! follows in its word; `""x` are two words; the values of variables are matched only behind an
//! unquoted `*`, `?` or `[`.

mod extent;

use super::glob::{self, Glob};
use crate::heap::{self, Strings, Text, free};
use crate::locate::{self, is_bad};
use crate::symbol::is_glibc;
use crate::{next, world};
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

/// `wordexp_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Words {
    count: usize,
    words: *mut *mut c_char,
    offset: usize,
}

/// glibc's flags.
const WRDE_DOOFFS: c_int = 1;
const WRDE_APPEND: c_int = 2;
const WRDE_NOCMD: c_int = 4;
const WRDE_REUSE: c_int = 8;
const WRDE_SHOWERR: c_int = 16;
const WRDE_UNDEF: c_int = 32;

/// Errors of wordexp(3).
const WRDE_NOSPACE: c_int = 1;
const WRDE_BADCHAR: c_int = 2;
const WRDE_SYNTAX: c_int = 5;

const GLOB_NOCHECK: c_int = 0x10;

/// Stands at both ends of what glibc expands, so that nothing at its edges is lost.
const MARK: u8 = 1;

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    fn globfree(found: *mut Glob);
}

type Real = unsafe extern "C" fn(*const c_char, *mut core::ffi::c_void, c_int) -> c_int;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn wordexp(text: *const c_char, words: *mut Words, flags: c_int) -> c_int {
    let Some(real) = next::wordexp() else {
        return WRDE_NOSPACE;
    };
    // SAFETY: see the module above.
    unsafe {
        let pass = world::get().is_none() || !is_glibc() || is_bad(words);
        let Some(bytes) = locate::bytes(text).filter(|bytes| !pass && bytes.iter().any(is_magic))
        else {
            return real(text, words.cast(), flags);
        };
        expand(real, bytes, &mut *words, flags)
    }
}

fn is_magic(byte: &u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[')
}

unsafe fn expand(real: Real, text: &[u8], words: &mut Words, flags: c_int) -> c_int {
    let before = *words;
    // SAFETY: the caller's structure, as the flags say; strings of ours.
    unsafe {
        if flags & WRDE_REUSE != 0 {
            free_words(words);
            words.words = null_mut();
        }
        let separators = getenv(c"IFS".as_ptr());
        let mut expansion = Expansion {
            real,
            flags: flags & (WRDE_NOCMD | WRDE_SHOWERR | WRDE_UNDEF),
            separators: locate::bytes(separators).unwrap_or(b" \t\n"),
            words: Strings::new(),
            word: Text::new(),
        };
        let answer = expansion.run(text);
        if let Err(error) = answer
            && error != WRDE_NOSPACE
        {
            if flags & WRDE_REUSE != 0 {
                *words = before;
                words.words = null_mut();
            }
            return error;
        }
        let given = give(words, &mut expansion.words, flags);
        answer.and(given).map_or_else(|error| error, |()| 0)
    }
}

/// wordfree(3), but for the count.
unsafe fn free_words(words: &mut Words) {
    if words.words.is_null() {
        return;
    }
    // SAFETY: the caller's words, which end with NULL.
    unsafe {
        let mut word = words.words.add(words.offset);
        while !(*word).is_null() {
            free((*word).cast());
            word = word.add(1);
        }
        free(words.words.cast());
    }
}

/// Puts the words behind those that are there already, or behind the offset.
unsafe fn give(words: &mut Words, found: &mut Strings, flags: c_int) -> Result<(), c_int> {
    let appends = flags & WRDE_APPEND != 0;
    if !appends {
        words.count = 0;
        words.words = null_mut();
        if flags & WRDE_DOOFFS == 0 {
            words.offset = 0;
        }
    }
    let start = words.offset + words.count;
    let fresh = found.as_slice();
    let bytes = (start + fresh.len() + 1) * size_of::<*mut c_char>();
    // SAFETY: the caller's array, or none; ours of that size.
    unsafe {
        let array: *mut *mut c_char = heap::realloc(words.words.cast(), bytes).cast();
        if array.is_null() {
            return Err(WRDE_NOSPACE);
        }
        if words.words.is_null() {
            array.write_bytes(0, start);
        }
        core::ptr::copy_nonoverlapping(fresh.as_ptr(), array.add(start), fresh.len());
        *array.add(start + fresh.len()) = null_mut();
        words.words = array;
        words.count += fresh.len();
    }
    found.forget();
    Ok(())
}

struct Expansion<'t> {
    real: Real,
    flags: c_int,
    /// `$IFS`.
    separators: &'t [u8],
    words: Strings,
    /// What there is of the current word; empty is none.
    word: Text,
}

fn no_space<T>(_: T) -> c_int {
    WRDE_NOSPACE
}

impl Expansion<'_> {
    fn run(&mut self, text: &[u8]) -> Result<(), c_int> {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let rest = text.get(at..).unwrap_or_default();
            at += match byte {
                b'\\' => self.escaped(rest)?,
                b'\'' => self.single_quoted(rest)?,
                b'"' => {
                    let bytes = extent::double_quoted(rest);
                    self.piece(rest.get(..bytes).unwrap_or(rest))?;
                    self.end_quotes()?;
                    bytes
                }
                b'$' | b'`' => {
                    let bytes = extent::expansion(rest);
                    self.piece(rest.get(..bytes).unwrap_or(rest))?;
                    bytes
                }
                b'~' => self.tilde(rest)?,
                b'*' | b'?' | b'[' => self.matched(rest)?,
                b' ' | b'\t' => {
                    self.end_word()?;
                    1
                }
                b'\n' | b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' => {
                    return Err(WRDE_BADCHAR);
                }
                byte => {
                    self.word.push(&[*byte]).map_err(no_space)?;
                    1
                }
            };
        }
        self.end_word()
    }

    fn end_word(&mut self) -> Result<(), c_int> {
        if self.word.as_bytes().is_empty() {
            return Ok(());
        }
        self.push_word()
    }

    /// The current word, which may be empty, is complete.
    fn push_word(&mut self) -> Result<(), c_int> {
        let mut word = core::mem::replace(&mut self.word, Text::new());
        // An empty one has memory as well.
        word.push(b"").map_err(no_space)?;
        self.words.push(word).map_err(no_space)
    }

    /// Quotes with nothing before or in them are a word.
    fn end_quotes(&mut self) -> Result<(), c_int> {
        if self.word.as_bytes().is_empty() {
            self.push_word()?;
        }
        Ok(())
    }

    /// `\` and what follows.
    fn escaped(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        match rest.get(1) {
            None => return Err(WRDE_SYNTAX),
            Some(b'\n') => {}
            Some(byte) => self.word.push(&[*byte]).map_err(no_space)?,
        }
        Ok(2)
    }

    /// `\` within quotes, as it is behind something to match.
    fn escaped_in_quotes(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        match rest.get(1) {
            None => return Err(WRDE_SYNTAX),
            Some(b'\n') => {}
            Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => {
                self.word.push(&[*byte]).map_err(no_space)?;
            }
            Some(byte) => self.word.push(&[b'\\', *byte]).map_err(no_space)?,
        }
        Ok(2)
    }

    fn single_quoted(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        let inner = rest.get(1..).unwrap_or_default();
        let bytes = inner.iter().position(|byte| *byte == b'\'');
        let bytes = bytes.ok_or(WRDE_SYNTAX)?;
        self.word
            .push(inner.get(..bytes).unwrap_or_default())
            .map_err(no_space)?;
        self.end_quotes()?;
        Ok(bytes + 2)
    }

    /// A home directory, where `~` means one.
    fn tilde(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        let stops = |byte: &u8| matches!(byte, b':' | b'/' | b' ' | b'\t' | b'\\');
        let bytes = rest.iter().position(stops).unwrap_or(rest.len());
        let mut question = Text::new();
        let mut literal = rest.get(bytes) == Some(&b'\\');
        if !literal && !self.word.as_bytes().is_empty() {
            // Only as the value of an assignment; glibc is asked whether it is one.
            self.quote_word(&mut question)?;
            question.push(b"~/").map_err(no_space)?;
            let (found, word) = (self.ask(&question)?, self.word.as_bytes());
            literal = found.first().strip_prefix(word) == Some(b"~/");
            question.truncate(question.as_bytes().len() - 2);
        }
        if literal {
            self.word.push(b"~").map_err(no_space)?;
            return Ok(1);
        }
        question
            .push(rest.get(..bytes).unwrap_or(rest))
            .and_then(|()| question.push(b"/"))
            .map_err(no_space)?;
        let found = self.ask(&question)?;
        self.word.truncate(0);
        let home = found.first();
        self.word
            .push(home.strip_suffix(b"/").unwrap_or(home))
            .map_err(no_space)?;
        Ok(bytes)
    }

    fn quote_word(&self, question: &mut Text) -> Result<(), c_int> {
        for part in self.word.as_bytes().split_inclusive(|byte| *byte == b'\'') {
            let (part, quote) = match part.strip_suffix(b"'") {
                Some(part) => (part, b"\\'".as_slice()),
                None => (part, b"".as_slice()),
            };
            question.push(b"'").map_err(no_space)?;
            question.push(part).map_err(no_space)?;
            question.push(b"'").map_err(no_space)?;
            question.push(quote).map_err(no_space)?;
        }
        Ok(())
    }

    /// What glibc makes of something without anything to match at its top.
    fn ask(&self, question: &Text) -> Result<Answer, c_int> {
        let mut words = MaybeUninit::<Words>::zeroed();
        // SAFETY: glibc's own function, a C string and a structure for the answer.
        unsafe {
            let error = (self.real)(question.as_ptr(), words.as_mut_ptr().cast(), self.flags);
            if error != 0 {
                return Err(error);
            }
            Ok(Answer(words.assume_init()))
        }
    }

    /// Expands quotes, `$` or backquotes; what is split off is complete words.
    fn piece(&mut self, piece: &[u8]) -> Result<(), c_int> {
        let mut question = Text::of(&[MARK]).map_err(no_space)?;
        question
            .push(piece)
            .and_then(|()| question.push(&[MARK]))
            .map_err(no_space)?;
        let answer = self.ask(&question)?;
        let fields = answer.as_slice();
        for (number, field) in fields.iter().enumerate() {
            // SAFETY: glibc's own strings.
            let mut field = unsafe { CStr::from_ptr(*field) }.to_bytes();
            if number == 0 {
                field = field.strip_prefix(&[MARK]).unwrap_or(field);
            } else {
                self.push_word()?;
            }
            if number + 1 == fields.len() {
                field = field.strip_suffix(&[MARK]).unwrap_or(field);
            }
            self.word.push(field).map_err(no_space)?;
        }
        Ok(())
    }

    /// From something to match to the end of the word.
    fn matched(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        if rest
            .first()
            .is_some_and(|byte| self.separators.contains(byte))
        {
            // glibc adds empty words until this is what it says.
            return Err(WRDE_NOSPACE);
        }
        // What is split off from here on is matched as well.
        let outer = core::mem::replace(&mut self.words, Strings::new());
        let collected = self.collect_pattern(rest);
        let patterns = core::mem::replace(&mut self.words, outer);
        let bytes = collected?;
        for pattern in patterns.as_slice() {
            self.match_names(*pattern)?;
        }
        Ok(bytes)
    }

    fn collect_pattern(&mut self, rest: &[u8]) -> Result<usize, c_int> {
        let mut quote = None;
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            if self.separators.contains(byte) {
                break;
            }
            let left = rest.get(at..).unwrap_or_default();
            at += match (byte, quote) {
                (b'\'' | b'"', None) => {
                    quote = Some(*byte);
                    1
                }
                (byte, Some(open)) if *byte == open => {
                    quote = None;
                    1
                }
                (b'$', None) => {
                    let bytes = extent::expansion(left);
                    self.piece(left.get(..bytes).unwrap_or(left))?;
                    bytes
                }
                (b'$', Some(b'"')) => {
                    let bytes = extent::expansion(left);
                    let mut quoted = Text::of(b"\"").map_err(no_space)?;
                    quoted
                        .push(left.get(..bytes).unwrap_or(left))
                        .and_then(|()| quoted.push(b"\""))
                        .map_err(no_space)?;
                    self.piece(quoted.as_bytes())?;
                    bytes
                }
                (b'\\', None) => self.escaped(left)?,
                (b'\\', Some(_)) => self.escaped_in_quotes(left)?,
                (byte, _) => {
                    self.word.push(&[*byte]).map_err(no_space)?;
                    1
                }
            };
        }
        self.push_word()?;
        Ok(at)
    }

    /// The names that match, or the pattern itself: words of their own, unless nothing is split.
    fn match_names(&mut self, pattern: *const c_char) -> Result<(), c_int> {
        let mut found = MaybeUninit::<Glob>::zeroed();
        // SAFETY: a C string of ours, a structure for the answer.
        unsafe {
            let found = found.as_mut_ptr();
            if glob::glob(pattern, GLOB_NOCHECK, None, found) != 0 {
                return Err(WRDE_NOSPACE);
            }
            let mut answer = Ok(());
            for (number, path) in (*found).paths().iter().enumerate() {
                let path = CStr::from_ptr(*path).to_bytes();
                let separator = b" ".get(..usize::from(number > 0)).unwrap_or_default();
                answer = if self.separators.is_empty() {
                    self.word
                        .push(separator)
                        .and_then(|()| self.word.push(path))
                } else {
                    Text::of(path).and_then(|path| self.words.push(path))
                };
                if answer.is_err() {
                    break;
                }
            }
            globfree(found);
            answer.map_err(no_space)
        }
    }
}

/// Words that glibc has made, freed as its wordfree(3) does.
struct Answer(Words);

impl Answer {
    fn as_slice(&self) -> &[*mut c_char] {
        // SAFETY: as many as glibc counted; there is an array, if only for the NULL.
        unsafe { core::slice::from_raw_parts(self.0.words, self.0.count) }
    }

    fn first(&self) -> &[u8] {
        // SAFETY: glibc's own strings.
        self.as_slice()
            .first()
            .map_or(b"", |word| unsafe { CStr::from_ptr(*word) }.to_bytes())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: nobody else has them.
        unsafe { free_words(&mut self.0) };
    }
}
