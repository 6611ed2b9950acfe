//! What the clocks of one log time wait for, as `shared/sla/timers.py` keeps it: reminders in buckets, and a heap of what is near.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::clock::Waits;
use crate::instant::{Ms, FOREVER};
use crate::packing::push;

/// (when it is called, the instant it is about, whose: case and place, what)
pub type Timer = (Ms, Ms, u32, u8, Waits);

pub struct Timers {
    grain: u32, // a bucket holds 2^grain ms
    opened: Ms, // buckets up to this number
    buckets: BTreeMap<Ms, Vec<u32>>,
    heap: BinaryHeap<Reverse<Timer>>,
    pub near: Ms, // nothing is called before a record whose arrival is later
}

impl Timers {
    pub fn new(grain: u32) -> Timers {
        Timers { grain, opened: -FOREVER, buckets: BTreeMap::new(), heap: BinaryHeap::new(), near: FOREVER }
    }

    pub fn remind(&mut self, timer: Timer) {
        let number = timer.0 >> self.grain;
        if number <= self.opened {
            self.heap.push(Reverse(timer));
            self.near = self.near.min(timer.0);
        } else {
            push(self.buckets.entry(number).or_default(), timer.2);
            self.near = self.near.min(number << self.grain);
        }
    }

    fn look_ahead(&mut self) {
        let top = self.heap.peek().map_or(FOREVER, |Reverse(timer)| timer.0);
        self.near = self.buckets.first_key_value().map_or(top, |(number, _)| top.min(number << self.grain));
    }

    /// The next timer of the heap, once no bucket before it is shut. `open` adds what the cases of a bucket wait for in [from, to).
    pub fn peek(&mut self, mut open: impl FnMut(&[u32], Ms, Ms, &mut Vec<Timer>)) -> Option<Timer> {
        while let Some((&number, _)) = self.buckets.first_key_value() {
            let start = number << self.grain;
            if self.heap.peek().is_some_and(|Reverse(timer)| timer.0 < start) {
                break;
            }
            let mut cases = self.buckets.remove(&number).expect("it is there");
            cases.sort_unstable();
            cases.dedup();
            self.opened = number;
            let mut found = Vec::new();
            open(&cases, start, start + (1 << self.grain), &mut found);
            self.heap.extend(found.into_iter().map(Reverse));
        }
        self.look_ahead();
        self.heap.peek().map(|Reverse(timer)| *timer)
    }

    pub fn pop(&mut self) {
        self.heap.pop();
        self.look_ahead();
    }
}
