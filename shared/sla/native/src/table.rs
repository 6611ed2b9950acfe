//! Which cases a hash may stand for: whoever asks looks whether one of them is truly meant.
//!
//! An entry is 32 bits of the hash and the case's number. The entries of a shard stand in order, each at its home or as little
//! behind it as there is room, with no gap between: so a search ends at the first entry that is larger. Each shard grows by itself.

const SHARDS: usize = 32;
const EMPTY: u64 = u64::MAX; // there is no case of this number
const HOMES_MIN: usize = 8;

#[derive(Default)]
struct Shard {
    slots: Vec<u64>,
    homes: usize,
    count: usize,
}

pub struct Table {
    shards: Vec<Shard>,
}

fn parts(hash: u64) -> (usize, u32) {
    ((hash >> 59) as usize, (hash >> 24) as u32)
}

fn tag(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn entry(tag: u32, number: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(number)
}

impl Default for Table {
    fn default() -> Table {
        Table { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl Table {
    /// The cases that a hash may stand for.
    pub fn find(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let (shard, tag) = parts(hash);
        self.shards[shard].find(tag)
    }

    /// A hash stands for a case too.
    pub fn insert(&mut self, hash: u64, number: u32) {
        let (shard, tag) = parts(hash);
        let shard = &mut self.shards[shard];
        if shard.count * 6 >= shard.homes * 5 {
            shard.grow();
        }
        shard.insert(entry(tag, number));
    }

    /// A hash does not stand for a case any more.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let (shard, tag) = parts(hash);
        self.shards[shard].remove(entry(tag, number));
    }
}

impl Shard {
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.homes as u64) >> 32) as usize
    }

    fn find(&self, wanted: u32) -> impl Iterator<Item = u32> + '_ {
        let first = entry(wanted, 0);
        let slots = self.slots.get(self.home(wanted)..).unwrap_or(&[]).iter().copied();
        let found = slots.skip_while(move |&slot| slot < first);
        found.take_while(move |&slot| tag(slot) == wanted && slot != EMPTY).map(|slot| slot as u32)
    }

    fn insert(&mut self, entry: u64) {
        let mut at = self.home(tag(entry));
        while self.slots.get(at).is_some_and(|&slot| slot < entry) {
            at += 1;
        }
        if self.slots.get(at) == Some(&entry) {
            return;
        }
        self.count += 1;
        let mut moved = entry;
        for slot in self.slots.get_mut(at..).unwrap_or(&mut []) {
            std::mem::swap(slot, &mut moved);
            if moved == EMPTY {
                return;
            }
        }
        self.slots.push(moved);
    }

    fn remove(&mut self, entry: u64) {
        let near = self.home(tag(entry));
        let Some(at) = self.slots[near..].iter().take_while(|&&slot| slot <= entry).position(|&slot| slot == entry) else { return };
        let at = near + at;
        let behind = self.slots[at + 1..].iter().enumerate();
        let moved = behind.take_while(|&(i, &slot)| slot != EMPTY && self.home(tag(slot)) < at + 1 + i).count();
        self.slots.copy_within(at + 1..at + 1 + moved, at);
        self.slots[at + moved] = EMPTY;
        self.count -= 1;
    }

    fn grow(&mut self) {
        self.homes = (self.homes + self.homes / 8).max(HOMES_MIN);
        let spare = self.homes / 32 + 8; // behind the last home
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; self.homes + spare]);
        let mut next = 0;
        for slot in old.into_iter().filter(|&slot| slot != EMPTY) {
            let at = self.home(tag(slot)).max(next);
            if at == self.slots.len() {
                self.slots.push(EMPTY);
            }
            self.slots[at] = slot;
            next = at + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::hash;
    use std::collections::{HashMap, HashSet};

    /// Random insertions and removals beside a map of the standard library. `mask`: which bits of the hashes differ.
    fn behaves(steps: u64, of: u64, mask: u64) {
        let mut table = Table::default();
        let mut known: HashMap<(usize, u32), HashSet<u32>> = HashMap::new();
        for step in 0..steps {
            let drawn = hash(7, &step.to_le_bytes());
            let number = (drawn % of) as u32;
            let key = hash(9, &(drawn % of).to_le_bytes()) & mask;
            let numbers = known.entry(parts(key)).or_default();
            if drawn >> 60 < 6 {
                numbers.remove(&number);
                table.remove(key, number);
            } else {
                numbers.insert(number);
                table.insert(key, number);
            }
            let found: Vec<u32> = table.find(key).collect();
            assert_eq!(found.len(), numbers.len());
            assert_eq!(&found.into_iter().collect::<HashSet<u32>>(), numbers);
        }
        assert_eq!(table.shards.iter().map(|shard| shard.count).sum::<usize>(), known.values().map(HashSet::len).sum::<usize>());
        for shard in &table.shards {
            let filled = shard.slots.iter().enumerate().filter(|&(_, &slot)| slot != EMPTY);
            let places: Vec<(usize, u64)> = filled.map(|(at, &slot)| (at, slot)).collect();
            assert!(places.windows(2).all(|pair| pair[0].1 < pair[1].1));
            assert!(places.iter().all(|&(at, slot)| (shard.home(tag(slot))..at).all(|before| shard.slots[before] != EMPTY)));
        }
    }

    #[test]
    fn a_table_finds_what_was_put_in() {
        behaves(200_000, 50_000, u64::MAX);
        behaves(20_000, 300, u64::MAX);
    }

    #[test]
    fn hashes_that_collide_are_told_apart_by_the_number() {
        behaves(20_000, 500, (0xf << 24) | (3 << 56));
        behaves(20_000, 500, 0xffff << 40);
        behaves(5_000, 200, 0);
    }

    #[test]
    fn the_largest_hash_is_one_like_others() {
        let mut table = Table::default();
        (0..100).for_each(|number| table.insert(u64::MAX, number));
        assert_eq!(table.find(u64::MAX).count(), 100);
        (0..100).for_each(|number| table.remove(u64::MAX, number));
        assert_eq!(table.find(u64::MAX).count(), 0);
    }
}
