//! Texts that come again and again, as numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// For keys that are hashes already.
#[derive(Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are hashes")
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub type ByHash<V> = HashMap<u64, V, BuildHasherDefault<Hashed>>;
pub type Hashes = std::collections::HashSet<u64, BuildHasherDefault<Hashed>>;

/// A hash that nobody outside can foresee, as `seed` is drawn by the process. What collides takes the long way, no more.
pub fn hash(seed: u64, text: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        wide as u64 ^ (wide >> 64) as u64
    };
    let mut found = seed ^ (text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in text.chunks_exact(8) {
        found = fold(found ^ word(chunk), 0xa076_1d64_78bd_642f ^ seed.rotate_left(32));
    }
    let last = match text.len() {
        8.. => word(&text[text.len() - 8..]), // some of it once more
        _ => text.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    found = fold(found ^ last, 0xe703_7ed1_a0b4_28db);
    fold(found, seed | 1)
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

const NAMES_MAX: usize = 60_000;

#[derive(Default)]
pub struct Names {
    texts: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u32>,
    of: ByHash<u32>,
}

impl Names {
    /// The number of a text whose hash is given; None where there are too many.
    pub fn number(&mut self, hash: u64, text: &[u8]) -> Option<u32> {
        if let Some(&number) = self.of.get(&hash) {
            if &*self.texts[number as usize] == text {
                return Some(number);
            }
        }
        if let Some(&number) = self.numbers.get(text) {
            return Some(number);
        }
        if self.texts.len() >= NAMES_MAX {
            return None;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        self.of.insert(hash, number);
        Some(number)
    }

    /// The number of a text that has one.
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub fn text(&self, number: u32) -> &[u8] {
        &self.texts[number as usize]
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }
}
