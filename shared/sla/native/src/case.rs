//! A case: its evidence, packed one behind the other, and its clocks.
//!
//! blob:  [case's name][event][event] …      event: head of fixed size, id, text?, content type?, content?

use crate::clock::{Clock, State, NEVER};
use crate::event::Event;
use crate::instant::Ms;
use crate::packing::{Pack, Unpack};

pub const EVENTS_MAX: usize = 32; // as many as `Clock::noted` has bits
const SAME_CONTENT: u8 = 1; // as that of the event before
const HAS_TEXT: u8 = 2;
const HAS_TYPE: u8 = 4;
const ROLE_SHIFT: u8 = 4;

pub struct Case {
    pub desk: u32,
    name: u16, // its length
    pub count: u8,
    blob: Vec<u8>,
    pub clocks: Box<[Option<Clock>]>, // one for each promise of its desk; none: not begun
    pub last_time: Ms,                // of its last event
    pub touched: Ms,                  // log time when that came
    last_content: (u32, u32),         // where that event's content stands
}

/// An event of a case.
pub struct Packed<'a> {
    pub kind: u32,
    pub source: u32,
    pub known: u32,
    pub time: Ms,
    pub arrival: Ms,
    pub role: u8,
    pub id: &'a [u8],
    pub text: &'a [u8],
    pub content_type: u32, // 0: none; else its name's number and one
    pub content: &'a [u8],
}

impl Case {
    pub fn new(desk: u32, name: &[u8], places: usize) -> Case {
        Case {
            desk,
            name: name.len() as u16,
            count: 0,
            blob: name.to_vec(),
            clocks: vec![None; places].into_boxed_slice(),
            last_time: NEVER,
            touched: NEVER,
            last_content: (0, 0),
        }
    }

    pub fn name(&self) -> &[u8] {
        &self.blob[..usize::from(self.name)]
    }

    fn content(&self) -> &[u8] {
        &self.blob[self.last_content.0 as usize..(self.last_content.0 + self.last_content.1) as usize]
    }

    /// Something of all that folding its next event will look at.
    pub fn touch(&self) -> u32 {
        self.blob.get(self.last_content.0 as usize).map_or(0, |&byte| u32::from(byte))
            + self.clocks.first().map_or(0, |clock| u32::from(clock.is_some()))
    }

    pub fn push(&mut self, event: &Packed) {
        let same = self.count > 0 && !event.content.is_empty() && event.content == self.content();
        let bytes = 33 + event.id.len() + event.text.len() + if same { 0 } else { event.content.len() };
        self.blob.reserve_exact(bytes + if event.text.is_empty() { 0 } else { 2 } + if event.content_type == 0 { 0 } else { 4 });
        let mut out = Pack(&mut self.blob);
        let text = if event.text.is_empty() { 0 } else { HAS_TEXT };
        let kind = if event.content_type == 0 { 0 } else { HAS_TYPE };
        out.u8((u8::from(same) * SAME_CONTENT) | text | kind | (event.role << ROLE_SHIFT));
        out.u16(event.kind as u16);
        out.u32(event.source);
        out.u16(event.known as u16);
        out.i64(event.time);
        out.i64(event.arrival);
        out.short(event.id);
        if text != 0 {
            out.short(event.text);
        }
        if kind != 0 {
            out.u32(event.content_type);
        }
        if !same {
            out.long(event.content);
            let length = event.content.len();
            self.last_content = ((self.blob.len() - length) as u32, length as u32);
        }
        self.count += 1;
        self.last_time = event.time;
        self.touched = event.arrival;
    }

    /// What `go_back` needs.
    pub fn state(&self) -> (usize, u8, Ms, Ms, (u32, u32)) {
        (self.blob.len(), self.count, self.last_time, self.touched, self.last_content)
    }

    /// Take the last events out again.
    pub fn go_back(&mut self, to: (usize, u8, Ms, Ms, (u32, u32))) {
        self.blob.truncate(to.0);
        (_, self.count, self.last_time, self.touched, self.last_content) = to;
    }

    /// Its events, in order.
    pub fn events(&self) -> impl Iterator<Item = Packed<'_>> {
        let mut from = Unpack(&self.blob[usize::from(self.name)..]);
        let mut content: &[u8] = b"";
        (0..self.count).map(move |_| {
            let flags = from.u8();
            let mut event = Packed {
                kind: u32::from(from.u16()),
                source: from.u32(),
                known: u32::from(from.u16()),
                time: from.i64(),
                arrival: from.i64(),
                role: flags >> ROLE_SHIFT,
                id: from.short(),
                text: if flags & HAS_TEXT != 0 { from.short() } else { b"" },
                content_type: if flags & HAS_TYPE != 0 { from.u32() } else { 0 },
                content: b"",
            };
            if flags & SAME_CONTENT == 0 {
                content = from.long();
            }
            event.content = content;
            event
        })
    }

    /// How it rests: (since, final); None while a clock is open.
    pub fn rest(&self) -> Option<(Ms, Ms)> {
        let mut found = (self.touched, -crate::instant::FOREVER);
        for clock in self.clocks.iter().flatten() {
            let (since, last) = clock.rest()?;
            found = (found.0.max(since), found.1.max(last));
        }
        Some(found)
    }

    /// Whether an event says the same as one of its own: `source` and `content_type` as numbers.
    pub fn says(&self, event: &Event, kind: u32, source: u32, content_type: u32) -> bool {
        self.events().any(|own| {
            own.source == source
                && own.id == event.id
                && own.kind == kind
                && own.time == event.time
                && own.text == event.text
                && own.role == event.role
                && own.content_type == content_type
                && own.content == event.content
        })
    }

    /// Everything of it, for a checkpoint or for Python. `unpack` reads it.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let mut out = Pack(out);
        out.u32(self.desk);
        out.short(self.name());
        out.u8(self.count);
        out.i64(self.touched);
        for event in self.events() {
            out.u8(event.role);
            out.u32(event.kind);
            out.u32(event.source);
            out.u32(event.known);
            out.i64(event.time);
            out.i64(event.arrival);
            out.u32(event.content_type);
            out.short(event.id);
            out.short(event.text);
            out.long(event.content);
        }
        out.u8(self.clocks.len() as u8);
        for clock in &self.clocks {
            out.u8(clock.map_or(u8::MAX, |clock| clock.state as u8));
            if let Some(clock) = clock {
                for instant in [
                    clock.started,
                    clock.mark,
                    clock.due,
                    clock.armed_for,
                    clock.used,
                    clock.paused,
                    clock.stopped,
                    clock.decided_at,
                    clock.last,
                    clock.within,
                ] {
                    out.i64(instant);
                }
                out.u32(clock.noted);
                out.u16(clock.rules);
                out.u8(clock.target);
            }
        }
    }

    /// What `pack` wrote, with other numbers for names, desks and rules, where such are given.
    pub fn unpack(from: &mut Unpack, numbers: &Numbers) -> Case {
        let desk = numbers.desk(from.u32());
        let name = from.short();
        let mut case = Case::new(desk, name, 0);
        let count = from.u8();
        let touched = from.i64();
        for _ in 0..count {
            let role = from.u8();
            let (kind, source, known) = (numbers.name(from.u32()), numbers.name(from.u32()), from.u32());
            let (time, arrival) = (from.i64(), from.i64());
            let content_type = from.u32();
            let content_type = if content_type == 0 { 0 } else { numbers.name(content_type - 1) + 1 };
            let (id, text, content) = (from.short(), from.short(), from.long());
            case.push(&Packed { kind, source, known, time, arrival, role, id, text, content_type, content });
        }
        case.touched = touched;
        case.clocks = (0..from.u8())
            .map(|_| {
                let state = from.u8();
                (state != u8::MAX).then(|| {
                    let mut instants = [0; 10];
                    instants.iter_mut().for_each(|instant| *instant = from.i64());
                    let [started, mark, due, armed_for, used, paused, stopped, decided_at, last, within] = instants;
                    let (noted, rules, target) = (from.u32(), from.u16(), from.u8());
                    let (rules, state) = (numbers.rules(u32::from(rules)) as u16, State::of(state));
                    Clock { started, mark, due, armed_for, within, used, paused, stopped, decided_at, last, noted, rules, target, state }
                })
            })
            .collect();
        case
    }
}

/// Which numbers here stand for those in what was packed elsewhere; empty: the same.
#[derive(Default)]
pub struct Numbers {
    pub names: Vec<u32>,
    pub desks: Vec<u32>,
    pub rules: Vec<u32>,
}

impl Numbers {
    fn of(map: &[u32], number: u32) -> u32 {
        if map.is_empty() {
            number
        } else {
            map[number as usize]
        }
    }

    fn name(&self, number: u32) -> u32 {
        Self::of(&self.names, number)
    }

    fn desk(&self, number: u32) -> u32 {
        Self::of(&self.desks, number)
    }

    fn rules(&self, number: u32) -> u32 {
        Self::of(&self.rules, number)
    }
}
