//! Little-endian numbers and texts with their lengths, one behind the other.

use crate::instant::Ms;

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
}

/// Reads what was packed; it panics at the end, which the border to Python turns into an error.
pub struct Unpack<'a>(pub &'a [u8]);

impl<'a> Unpack<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
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
}
