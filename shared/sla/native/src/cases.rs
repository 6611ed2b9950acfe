//! The cases that are here, by number, each packed as tightly as it goes (`case.rs`).

use crate::case::Case;
use crate::packing::push;
use crate::pages::Pages;
use crate::patterns::Patterns;

const LINE: usize = 64; // of memory
const GONE: u32 = u32::MAX; // in place of a handle

#[derive(Default)]
pub struct Cases {
    handles: Vec<u32>,
    free: Vec<u32>,
    pages: Pages,
}

impl Cases {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.handles.len() - self.free.len()
    }

    /// Behind the largest number.
    pub fn end(&self) -> u32 {
        self.handles.len() as u32
    }

    fn handle(&self, number: u32) -> Option<u32> {
        self.handles.get(number as usize).copied().filter(|&handle| handle != GONE)
    }

    fn bytes(&self, number: u32) -> &[u8] {
        self.handle(number).map_or(&[], |handle| self.pages.get(handle))
    }

    /// Look at some cases, for their memory to come for all of them at a time.
    pub fn touch(&self, numbers: impl Iterator<Item = u32>) {
        for bytes in numbers.map(|number| self.bytes(number)) {
            std::hint::black_box((bytes.first().copied(), bytes.get(LINE).copied(), bytes.last().copied()));
        }
    }

    pub fn get(&self, number: u32) -> Option<Case<'_>> {
        self.handle(number).map(|handle| Case::read(self.pages.get(handle)))
    }

    pub fn case(&self, number: u32) -> Case<'_> {
        self.get(number).expect("it is there")
    }

    pub fn is(&self, number: u32, desk: u32, name: &[u8], patterns: &Patterns) -> bool {
        Case::is(self.bytes(number), desk, name, patterns)
    }

    /// All of them, with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (u32, Case<'_>)> {
        (0..self.end()).filter_map(|number| self.get(number).map(|case| (number, case)))
    }

    /// Keep a case. Its number.
    pub fn add(&mut self, bytes: &[u8]) -> u32 {
        let handle = self.pages.put(bytes);
        match self.free.pop() {
            Some(number) => {
                self.handles[number as usize] = handle;
                number
            }
            None => {
                push(&mut self.handles, handle);
                self.handles.len() as u32 - 1
            }
        }
    }

    /// Keep it in another state.
    pub fn set(&mut self, number: u32, bytes: &[u8]) {
        let handle = &mut self.handles[number as usize];
        *handle = self.pages.replace(*handle, bytes);
    }

    pub fn remove(&mut self, number: u32) {
        let Some(handle) = self.handle(number) else { return };
        self.pages.remove(handle);
        self.handles[number as usize] = GONE;
        self.free.push(number);
    }
}
