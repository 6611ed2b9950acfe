//! Numbers and texts with their lengths, one behind the other: little-endian, or in as few bytes as a number needs.

use crate::instant::Ms;

/// Append a number to many: they take a quarter more than they need, at most.
pub fn push(numbers: &mut Vec<u32>, number: u32) {
    if numbers.len() == numbers.capacity() {
        numbers.reserve_exact(numbers.len() / 4 + 4);
    }
    numbers.push(number);
}

pub struct Pack<'a>(pub &'a mut Vec<u8>);

impl Pack<'_> {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub fn i64(&mut self, value: Ms) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub fn short(&mut self, text: &[u8]) {
        self.u16(text.len() as u16);
        self.0.extend_from_slice(text);
    }
    pub fn long(&mut self, text: &[u8]) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text);
    }
    /// Seven bits to a byte; the last one has its top bit clear.
    pub fn number(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
    /// By how much `to` is more than `from`, or less.
    pub fn step(&mut self, from: Ms, to: Ms) {
        let step = to.wrapping_sub(from);
        self.number(((step << 1) ^ (step >> 63)) as u64);
    }
    pub fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }
}

/// Reads what was packed; it panics at the end, which the border to Python turns into an error.
pub struct Unpack<'a>(pub &'a [u8]);

impl<'a> Unpack<'a> {
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        head
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().expect("two bytes"))
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("four bytes"))
    }
    pub fn i64(&mut self) -> Ms {
        Ms::from_le_bytes(self.take(8).try_into().expect("eight bytes"))
    }
    pub fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16());
        self.take(length)
    }
    pub fn long(&mut self) -> &'a [u8] {
        let length = self.u32() as usize;
        self.take(length)
    }
    pub fn longs(&mut self) -> Vec<Ms> {
        (0..self.u32()).map(|_| self.i64()).collect()
    }
    pub fn numbers(&mut self) -> Vec<u32> {
        (0..self.u32()).map(|_| self.u32()).collect()
    }
    #[inline]
    pub fn number(&mut self) -> u64 {
        match self.0 {
            &[byte, ref rest @ ..] if byte < 0x80 => {
                self.0 = rest;
                u64::from(byte)
            }
            _ => self.long_number(),
        }
    }
    fn long_number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
    /// What a step from `from` leads to.
    pub fn step(&mut self, from: Ms) -> Ms {
        let step = self.number();
        from.wrapping_add((step >> 1) as Ms ^ -((step & 1) as Ms))
    }
    pub fn text(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_numbers_go_there_and_back() {
        let instants = [0, 1, -1, 63, 64, -64, -65, 1_772_323_200_000, Ms::MAX, Ms::MIN];
        for from in instants {
            for to in instants {
                let mut bytes = Vec::new();
                Pack(&mut bytes).step(from, to);
                Pack(&mut bytes).number(to as u64);
                let mut read = Unpack(&bytes);
                assert_eq!((read.step(from), read.number(), read.is_empty()), (to, to as u64, true));
            }
        }
    }
}
