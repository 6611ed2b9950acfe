//! Short strings of bytes that come, change their length and go: in pages, each of slots of one size.
//!
//! A handle is the page's number and where in it the slot begins, in units. A long string has a page of its own.

const PAGE: usize = 1 << 15;
const UNIT: usize = 4;
const PLACE_BITS: u32 = 13; // PAGE / UNIT places
const FINE: usize = 256; // sizes up to here differ by a unit, larger ones by an eighth
const SLOT_MAX: usize = 4_096;
const CLASSES: usize = FINE / UNIT + 4 * 8;
const LONG: usize = CLASSES; // a string that has a page of its own
const NONE: u16 = u16::MAX;

#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    class: usize,
    used: u16,    // slots
    fresh: u16,   // slots that were used at some time
    free: u16,    // the first of those that are not used now; each holds the number of the next
    place: usize, // among those of its class that have room
}

pub struct Pages {
    pages: Vec<Page>,
    spare: Vec<usize>, // numbers of pages that are gone
    roomy: Vec<Vec<usize>>,
}

fn class_of(length: usize) -> usize {
    if length <= FINE {
        length.saturating_sub(1) / UNIT
    } else if length <= SLOT_MAX {
        let bits = (length - 1).ilog2();
        let eighth = ((length - 1) >> (bits - 3)) & 7;
        FINE / UNIT + (bits - FINE.ilog2()) as usize * 8 + eighth
    } else {
        LONG
    }
}

fn size_of(class: usize) -> usize {
    match class.checked_sub(FINE / UNIT) {
        None => (class + 1) * UNIT,
        Some(larger) => (FINE << (larger / 8)) / 8 * (9 + larger % 8),
    }
}

fn handle(page: usize, offset: usize) -> u32 {
    u32::try_from((page << PLACE_BITS) | (offset / UNIT)).expect("there are not so many")
}

fn place(handle: u32) -> (usize, usize) {
    ((handle >> PLACE_BITS) as usize, (handle as usize & ((1 << PLACE_BITS) - 1)) * UNIT)
}

impl Default for Pages {
    fn default() -> Pages {
        Pages { pages: Vec::new(), spare: Vec::new(), roomy: vec![Vec::new(); CLASSES] }
    }
}

impl Pages {
    /// A string, and perhaps some bytes behind it.
    pub fn get(&self, handle: u32) -> &[u8] {
        let (page, offset) = place(handle);
        let page = &self.pages[page];
        if page.class == LONG {
            &page.bytes
        } else {
            &page.bytes[offset..offset + size_of(page.class)]
        }
    }

    pub fn put(&mut self, bytes: &[u8]) -> u32 {
        let class = class_of(bytes.len());
        if class == LONG {
            return handle(self.new_page(bytes.to_vec(), class), 0);
        }
        let number = match self.roomy[class].last() {
            Some(&number) => number,
            None => self.new_page(vec![0; PAGE], class),
        };
        let (page, size) = (&mut self.pages[number], size_of(class));
        let slot = if page.free == NONE {
            page.fresh += 1;
            page.fresh - 1
        } else {
            page.free
        };
        let offset = usize::from(slot) * size;
        if page.free != NONE {
            page.free = u16::from_le_bytes([page.bytes[offset], page.bytes[offset + 1]]);
        }
        page.used += 1;
        page.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        if usize::from(page.used) == PAGE / size {
            self.roomy[class].pop();
        }
        handle(number, offset)
    }

    pub fn remove(&mut self, handle: u32) {
        let (number, offset) = place(handle);
        let page = &mut self.pages[number];
        let class = page.class;
        if class == LONG {
            return self.drop_page(number);
        }
        let size = size_of(class);
        page.bytes[offset..offset + 2].copy_from_slice(&page.free.to_le_bytes());
        page.free = (offset / size) as u16;
        page.used -= 1;
        let roomy = &mut self.roomy[class];
        if usize::from(page.used) + 1 == PAGE / size {
            page.place = roomy.len();
            roomy.push(number);
        } else if page.used == 0 && roomy.len() > 1 {
            let place = page.place;
            roomy.swap_remove(place);
            if let Some(&moved) = roomy.get(place) {
                self.pages[moved].place = place;
            }
            self.drop_page(number);
        }
    }

    /// Put `bytes` in place of a string.
    pub fn replace(&mut self, handle: u32, bytes: &[u8]) -> u32 {
        let (number, offset) = place(handle);
        let page = &mut self.pages[number];
        if page.class != class_of(bytes.len()) {
            self.remove(handle);
            return self.put(bytes);
        }
        if page.class == LONG {
            page.bytes.clear();
            page.bytes.reserve_exact(bytes.len());
            page.bytes.extend_from_slice(bytes);
        } else {
            page.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        handle
    }

    fn new_page(&mut self, bytes: Vec<u8>, class: usize) -> usize {
        let number = self.spare.pop().unwrap_or(self.pages.len());
        if number == self.pages.len() {
            self.pages.push(Page::default());
        }
        self.pages[number] = Page { bytes, class, used: 0, fresh: 0, free: NONE, place: 0 };
        if class != LONG {
            self.roomy[class].push(number); // it is the only one
        }
        number
    }

    fn drop_page(&mut self, number: usize) {
        self.pages[number].bytes = Vec::new();
        self.spare.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::hash;

    #[test]
    fn classes_are_as_large_as_what_they_hold() {
        for length in 0..=SLOT_MAX {
            let class = class_of(length);
            assert!(class < CLASSES && size_of(class) >= length.max(2));
            assert!(class == 0 || size_of(class - 1) < length);
            assert!(size_of(class) % UNIT == 0);
        }
        assert_eq!((size_of(CLASSES - 1), class_of(SLOT_MAX + 1)), (SLOT_MAX, LONG));
    }

    #[test]
    fn strings_come_and_change_and_go() {
        let mut pages = Pages::default();
        let mut kept: Vec<(u32, Vec<u8>)> = Vec::new();
        for step in 0..60_000u64 {
            let drawn = hash(3, &step.to_le_bytes());
            let most = if drawn % 50 == 0 { 9_000 } else { 300 };
            let bytes = vec![drawn as u8; (drawn >> 16) as usize % most];
            let at = (drawn >> 32) as usize % kept.len().max(1);
            match drawn >> 61 {
                0 | 1 if !kept.is_empty() => pages.remove(kept.swap_remove(at).0),
                2..=4 if !kept.is_empty() => kept[at] = (pages.replace(kept[at].0, &bytes), bytes),
                _ => kept.push((pages.put(&bytes), bytes)),
            }
            if let Some((handle, bytes)) = kept.get(at) {
                assert!(pages.get(*handle).starts_with(bytes));
            }
        }
        assert!(kept.iter().all(|(handle, bytes)| pages.get(*handle).starts_with(bytes)));
        kept.iter().for_each(|(handle, _)| pages.remove(*handle));
        assert!(pages.pages.len() - pages.spare.len() <= CLASSES); // an empty page of a class, at most
    }
}
