//! What follows from the agreements, as Python compiled it (`shared/sla/rules.py`) and told it (`shared/sla/swift.py`).

use std::collections::HashMap;

use crate::clock::Act;
use crate::instant::Ms;
use crate::names::Hashes;

pub struct Target {
    pub within: Ms, // working time
    pub calendar: u32,
    pub warnings: Box<[Ms]>, // working time used when it warns
}

pub enum Choice {
    Always(u8),
    /// By the text of a field of the data.
    Table {
        field: Box<[u8]>,
        by_value: HashMap<Box<[u8]>, u8>,
        otherwise: Option<u8>,
    },
    /// Only Python can tell.
    Python,
}

pub const SAME: u8 = u8::MAX;

/// A deadline objective under one version of its agreement.
pub struct Rules {
    pub grace: Ms,
    pub horizon: Ms,
    pub next_open: bool,
    pub acts: Box<[(u32, Act)]>, // by the type of the event
    pub choice: Choice,
    pub targets: Vec<Target>,
    pub key: [Box<[u8]>; 2],  // agreement, objective: what orders timers of one instant
    pub statement: Box<[u8]>, // the form of a statement, as Python told it: blanks by number, SAME and a text with its length
    pub line: Box<[u8]>,      // and of a line of `cases.ndjson`
    pub cause: Box<[u8]>,     // of a breach, as JSON
    pub counts: [i64; 5],     // clocks by state
}

impl Rules {
    pub fn act(&self, kind: u32) -> Option<Act> {
        self.acts.iter().find(|(known, _)| *known == kind).map(|(_, act)| *act)
    }
}

/// A promise at a desk.
pub struct Ruling {
    pub rules: Option<u32>, // of clocks that start in [from, to)
    pub from: Ms,
    pub to: Ms,
    pub types: Vec<u32>, // of the events of which any version speaks
    pub mark: u64,       // stands for the promise (`Desk::gone`)
}

/// One (vendor, service).
pub struct Desk {
    pub vendor: Box<[u8]>,
    pub service: Box<[u8]>,
    pub lane: u32,
    pub rulings: Vec<Ruling>,
    pub horizon: Ms,
    pub last_gone: Ms, // evidence up to then may have been counted, and have left
    pub open: bool,    // whether its cases may be kept here
    pub gone: Hashes,  // marks of clocks whose cases have left
}
