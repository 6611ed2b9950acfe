//! Texts that are much the same, each as the number of their pattern and what fills its holes: the case's name, and digits.
//!
//! text as it is kept:  0, length, bytes (as it is)  or  its pattern's number and one, digits two to a byte
//! pattern:             pieces, each  LENGTH, bytes (the same in all texts)  or  DIGITS, how many  or  NAME

use std::borrow::Cow;

use crate::names::{hash, ByHash};
use crate::packing::{Pack, Unpack};

const NAME: u8 = 0xff;
const DIGITS: u8 = 0xfe;
const PIECE_MAX: usize = 0xfd; // bytes, or digits

const PATTERNS_MAX: usize = 4_096;
const TEXT_MAX: usize = 1_024;
const NAME_MIN: usize = 4;
const GUESSES: usize = 1 << GUESS_BITS;
const GUESS_BITS: u32 = 12;
pub const IN_NAME: usize = 3; // so many digits in a row are a hole
pub const IN_ID: usize = 4;
pub const IN_CONTENT: usize = 8;

struct Pattern {
    pieces: Box<[u8]>,
    bytes: usize, // what its digits need
    hash: u64,
    uses: u32,
}

pub struct Patterns {
    seed: u64,
    all: Vec<Pattern>,
    free: Vec<u32>,
    by_hash: ByHash<u32>,
    once: Vec<u32>,    // of patterns that were seen once, a part of their hash
    guesses: Vec<u32>, // by hint: the pattern of the last text
    found: Found,
}

/// The pattern of a text, and its digits.
#[derive(Default)]
struct Found {
    pieces: Vec<u8>,
    digits: Digits,
}

enum Piece<'a> {
    Same(&'a [u8]),
    Digits(usize),
    Name,
}

fn pieces(pattern: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut from = Unpack(pattern);
    std::iter::from_fn(move || {
        (!from.is_empty()).then(|| match from.u8() {
            NAME => Piece::Name,
            DIGITS => Piece::Digits(usize::from(from.u8())),
            length => Piece::Same(from.take(usize::from(length))),
        })
    })
}

const NO_DIGIT: u8 = 16;

/// The values of digits, lower case ones only.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

fn value(digit: u8) -> u8 {
    VALUES[usize::from(digit)]
}

fn is_digit(byte: u8) -> bool {
    value(byte) != NO_DIGIT
}

/// Whether a text is of a pattern: `digits` is given those of it, piece by piece, and may say no.
fn fit(pattern: &[u8], text: &[u8], name: &[u8], mut digits: impl FnMut(&[u8]) -> bool) -> bool {
    let mut rest = text;
    for piece in pieces(pattern) {
        let length = match piece {
            Piece::Same(same) if rest.starts_with(same) => same.len(),
            Piece::Name if rest.starts_with(name) => name.len(),
            Piece::Digits(count) if rest.len() >= count && digits(&rest[..count]) => count,
            _ => return false,
        };
        rest = &rest[length..];
    }
    rest.is_empty()
}

/// The values of eight digits, two to a byte; None: one of them is none.
fn eight(digits: &[u8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let text = u64::from_le_bytes(digits.try_into().expect("eight bytes"));
    if text & HIGHS != 0 {
        return None;
    }
    let from = |byte: u8| text + ONES * u64::from(0x80 - byte); // the top bits: which bytes are at least so large
    let (low, high) = (from(b'0') & !from(b'9' + 1), from(b'a') & !from(b'f' + 1));
    if (low | high) & HIGHS != HIGHS {
        return None;
    }
    let values = (text & (ONES * 0x0f)) + 9 * (text >> 6 & ONES);
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((fours | fours >> 16) as u32)
}

/// Digits, two to a byte; the last one may have a byte of its own.
#[derive(Default)]
struct Digits {
    bytes: Vec<u8>,
    is_odd: bool,
}

impl Digits {
    fn clear(&mut self) {
        self.bytes.clear();
        self.is_odd = false;
    }

    /// Append what are digits all, and tell so.
    fn push(&mut self, digits: &[u8]) -> bool {
        let mut rest = digits;
        while !self.is_odd && rest.len() >= 8 {
            let Some(found) = eight(&rest[..8]) else { return false };
            self.bytes.extend_from_slice(&found.to_le_bytes());
            rest = &rest[8..];
        }
        for &digit in rest {
            let value = value(digit);
            if value == NO_DIGIT {
                return false;
            }
            match self.bytes.last_mut() {
                Some(last) if self.is_odd => *last |= value,
                _ => self.bytes.push(value << 4),
            }
            self.is_odd = !self.is_odd;
        }
        true
    }
}

fn unpack(packed: &[u8]) -> impl Iterator<Item = u8> + '_ {
    packed.iter().flat_map(|&byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

impl Found {
    fn read(&mut self, text: &[u8], name: &[u8], least: usize) {
        self.pieces.clear();
        self.digits.clear();
        let mut rest = text;
        if let Some(begins) = name.get(..NAME_MIN) {
            let mut from = 0;
            while let Some(near) = rest[from..].windows(NAME_MIN).position(|window| window == begins) {
                let at = from + near;
                from = at + 1;
                if rest[at..].starts_with(name) {
                    self.read_between(&rest[..at], least);
                    self.pieces.push(NAME);
                    (rest, from) = (&rest[at + name.len()..], 0);
                }
            }
        }
        self.read_between(rest, least);
    }

    /// A text without the name.
    fn read_between(&mut self, text: &[u8], least: usize) {
        let (mut done, mut at) = (0, 0); // `at`: no digits in a row that are enough begin before, but for those done
        while let Some(&byte) = text.get(at + least - 1) {
            if !is_digit(byte) {
                at += least;
                continue;
            }
            let before = text[at..at + least - 1].iter().rev().take_while(|&&byte| is_digit(byte)).count();
            let start = at + least - 1 - before;
            let behind = text[at + least..].iter().take_while(|&&byte| is_digit(byte)).count();
            let end = (at + least + behind).min(start + PIECE_MAX);
            if end - start >= least {
                self.put_same(&text[done..start]);
                self.pieces.extend_from_slice(&[DIGITS, (end - start) as u8]);
                self.digits.push(&text[start..end]);
                done = end;
            }
            at = end;
        }
        self.put_same(&text[done..]);
    }

    fn put_same(&mut self, text: &[u8]) {
        for piece in text.chunks(PIECE_MAX) {
            self.pieces.push(piece.len() as u8);
            self.pieces.extend_from_slice(piece);
        }
    }
}

impl Patterns {
    pub fn new(seed: u64) -> Patterns {
        Patterns {
            seed,
            all: Vec::new(),
            free: Vec::new(),
            by_hash: ByHash::default(),
            once: vec![0; PATTERNS_MAX],
            guesses: vec![0; GUESSES],
            found: Found::default(),
        }
    }

    /// Append a text of a case as it is kept. Its pattern is used once more. Texts of the same `hint` are likely to have the same.
    pub fn put(&mut self, out: &mut Vec<u8>, text: &[u8], name: &[u8], least: usize, hint: u64) {
        let number = if text.is_empty() || text.len() > TEXT_MAX { None } else { self.guess(text, name, least, hint) };
        match number {
            Some(number) => {
                self.all[number as usize].uses += 1;
                Pack(out).number(u64::from(number) + 1);
                out.extend_from_slice(&self.found.digits.bytes);
            }
            None => {
                Pack(out).number(0);
                Pack(out).text(text);
            }
        }
    }

    fn guess(&mut self, text: &[u8], name: &[u8], least: usize, hint: u64) -> Option<u32> {
        let at = (hint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - GUESS_BITS)) as usize;
        let guess = self.guesses[at];
        let digits = &mut self.found.digits;
        digits.clear();
        if self.all.get(guess as usize).is_some_and(|pattern| fit(&pattern.pieces, text, name, |some| digits.push(some))) {
            return Some(guess);
        }
        let number = self.number(text, name, least)?;
        self.guesses[at] = number;
        Some(number)
    }

    /// The number of a text's pattern: it has one from the second time on, while there is room.
    fn number(&mut self, text: &[u8], name: &[u8], least: usize) -> Option<u32> {
        self.found.read(text, name, least);
        let pieces = &*self.found.pieces;
        let hash = hash(self.seed, pieces);
        if let Some(&number) = self.by_hash.get(&hash) {
            return (*self.all[number as usize].pieces == *pieces).then_some(number);
        }
        let once = &mut self.once[hash as usize % PATTERNS_MAX];
        let mark = (hash >> 32) as u32;
        if *once != mark {
            *once = mark;
            return None;
        }
        let pattern = Pattern { pieces: pieces.into(), bytes: self.found.digits.bytes.len(), hash, uses: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.all[number as usize] = pattern;
                number
            }
            None if self.all.len() < PATTERNS_MAX => {
                self.all.push(pattern);
                self.all.len() as u32 - 1
            }
            None => return None,
        };
        self.by_hash.insert(hash, number);
        Some(number)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty() && self.free.len() == self.all.len()
    }

    /// A text that was kept is no more.
    pub fn release(&mut self, kept: &[u8]) {
        let Some(number) = Unpack(kept).number().checked_sub(1) else { return };
        let pattern = &mut self.all[number as usize];
        pattern.uses -= 1;
        if pattern.uses == 0 {
            pattern.pieces = Box::default();
            self.by_hash.remove(&pattern.hash);
            self.free.push(number as u32);
        }
    }

    /// The next text, as it is kept.
    pub fn take<'a>(&self, from: &mut Unpack<'a>) -> &'a [u8] {
        let start = from.0;
        match from.number().checked_sub(1) {
            None => from.text(),
            Some(number) => from.take(self.all[number as usize].bytes),
        };
        &start[..start.len() - from.0.len()]
    }

    /// A text that was kept, as it was.
    pub fn text<'a>(&self, kept: &'a [u8], name: &[u8]) -> Cow<'a, [u8]> {
        let mut from = Unpack(kept);
        if from.number() == 0 {
            return Cow::Borrowed(from.text());
        }
        let mut text = Vec::new();
        self.write(kept, name, &mut text);
        Cow::Owned(text)
    }

    /// Append a text that was kept, as it was.
    pub fn write(&self, kept: &[u8], name: &[u8], out: &mut Vec<u8>) {
        let mut from = Unpack(kept);
        let Some(number) = from.number().checked_sub(1) else {
            out.extend_from_slice(from.text());
            return;
        };
        let mut digits = unpack(from.0);
        for piece in pieces(&self.all[number as usize].pieces) {
            match piece {
                Piece::Same(text) => out.extend_from_slice(text),
                Piece::Digits(count) => out.extend(digits.by_ref().take(count)),
                Piece::Name => out.extend_from_slice(name),
            }
        }
    }

    /// Whether a text that was kept is this one.
    pub fn is(&self, kept: &[u8], name: &[u8], text: &[u8]) -> bool {
        let mut from = Unpack(kept);
        let Some(number) = from.number().checked_sub(1) else { return from.text() == text };
        let mut digits = unpack(from.0);
        fit(&self.all[number as usize].pieces, text, name, |some| some.iter().all(|&digit| digits.next() == Some(digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &[u8] = b"v001-2026-00000123";

    /// A text is kept twice, so that it may have a pattern; how long it is then.
    fn there_and_back(patterns: &mut Patterns, text: &[u8], name: &[u8]) -> usize {
        let mut length = 0;
        for least in [IN_NAME, IN_ID, IN_CONTENT, IN_NAME, IN_ID, IN_CONTENT] {
            let mut out = b"before".to_vec();
            patterns.put(&mut out, text, name, least, text.len() as u64 / 4);
            length = out.len() - 6;
            out.extend_from_slice(b"behind");
            let mut from = Unpack(&out[6..]);
            let kept = patterns.take(&mut from);
            assert_eq!(from.0, b"behind");
            assert!(patterns.is(kept, name, text));
            let mut again = Vec::new();
            patterns.write(kept, name, &mut again);
            assert_eq!(again, text);
            assert_eq!(patterns.text(kept, name), text);
            assert!(!patterns.is(kept, name, &[text, b"x"].concat()));
        }
        length
    }

    #[test]
    fn texts_go_there_and_back() {
        let mut patterns = Patterns::new(5);
        let long = vec![b'x'; 70_000];
        let digits = vec![b'a'; 1_000];
        let texts: [&[u8]; 16] = [
            b"",
            b"1",
            b"0123",
            b"01234",
            &long,
            &digits,
            NAMED,
            b"v001-2026-00000123v001-2026-00000123 and v001-2026-0000012",
            "\u{e4}\u{20ac}\u{1f600}".as_bytes(),
            b"\xff\xfe\x00\x80\xfe\x04",
            b"ends with \xff",
            b"00ff00FF\xfe",
            b"\xc0\xc1\xf5\x00\x01",
            b"3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
            br#"{"case":"v001-2026-00000123","priority":"P4"}"#,
        ];
        for name in [NAMED, b"a", b"", b"0123", b"\xff\xff\xff\xff", "\u{e4}\u{20ac}".as_bytes()] {
            texts.iter().for_each(|text| {
                there_and_back(&mut patterns, text, name);
            });
        }
        assert_eq!(there_and_back(&mut patterns, b"{\"of\":\"v001-2026-00000123\"}", NAMED), 1);
        assert!(there_and_back(&mut patterns, b"00000000-0000-0000-0000-00000000cafe", b"") <= 18);
    }

    #[test]
    fn eight_digits_are_what_each_of_them_is() {
        assert_eq!(eight(b"0189af7c").map(u32::to_le_bytes), Some([0x01, 0x89, 0xaf, 0x7c]));
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"c0ffee42";
                digits[place] = byte;
                assert_eq!(eight(&digits).is_some(), is_digit(byte));
                let found = eight(&digits).map(|found| found.to_le_bytes()[place / 2] >> (4 - place % 2 * 4) & 15);
                assert!(found.map_or(true, |found| found == value(byte)));
            }
        }
    }

    #[test]
    fn any_bytes_go_there_and_back() {
        let mut patterns = Patterns::new(5);
        for round in 0..20_000u64 {
            let mut drawn = hash(round, b"");
            let text: Vec<u8> = (0..drawn % 40)
                .flat_map(|_| {
                    drawn = hash(drawn, b"next");
                    let some: &[u8] = [NAMED, b"0", b"f7", b"-", b"\xff", b"\xfe\x03", b"Z", b"\x00", b"12345678"][drawn as usize % 9];
                    some.to_vec()
                })
                .collect();
            there_and_back(&mut patterns, &text, NAMED);
        }
    }

    #[test]
    fn what_does_not_recur_has_no_pattern_and_a_full_table_gives_place_again() {
        let mut patterns = Patterns::new(5);
        let text = |number: usize| format!("text {number:z>9}", number = format!("{number}x")).into_bytes();
        let mut kept = Vec::new();
        for number in 0..2 * PATTERNS_MAX {
            for _ in 0..2 {
                let mut out = Vec::new();
                patterns.put(&mut out, &text(number), NAMED, IN_CONTENT, 1);
                kept.push((out, number));
            }
        }
        assert_eq!(patterns.all.len(), PATTERNS_MAX);
        for (kept, number) in &kept {
            assert!(patterns.is(kept, NAMED, &text(*number)));
        }
        assert!(there_and_back(&mut patterns, b"one more", NAMED) > 8);
        kept.iter().for_each(|(kept, _)| patterns.release(kept));
        assert!(patterns.is_empty());
        assert!(there_and_back(&mut patterns, b"one more", NAMED) <= 2);
    }
}
