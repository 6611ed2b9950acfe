//! A case: its evidence and its clocks, packed as tightly as it goes.
//!
//! case:   desk, name, count, first time, last time, touched, places, length of its events; event, …; clock, …
//! event:  flags, type, (source, activations, content type)?, time, arrival, id, text?, content?
//!
//! Instants are steps from one that stands before; the name, ids and contents are kept by `patterns.rs`.

use std::borrow::{Borrow, Cow};

use crate::clock::{Clock, Span, NEVER};
use crate::event::Event;
use crate::instant::{Ms, FOREVER};
use crate::packing::{Pack, Unpack};
use crate::patterns::{Patterns, IN_CONTENT, IN_ID, IN_NAME};

pub const EVENTS_MAX: usize = 32; // as many as `Clock::noted` has bits
const SAME_CONTENT: u8 = 1; // as that of the event before
const HAS_TEXT: u8 = 2;
const SAME_SETTING: u8 = 4; // source, activations and content type are those of the event before
const ROLE_SHIFT: u8 = 4;

pub struct Case<'a> {
    pub desk: u32,
    name: &'a [u8], // as `Patterns` keeps it; empty: it is to come
    pub count: u8,
    pub span: Span,
    places: u8, // one for each promise of its desk
    events: &'a [u8],
    clocks: &'a [u8],
}

/// An event of a case.
#[derive(Clone, Copy)]
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

/// One of those that a case has: id and content as `Patterns` keeps them.
pub struct Kept<'a>(pub Packed<'a>);

impl Packed<'_> {
    /// Append it as the next event of a case of this name.
    pub fn put(&self, out: &mut Vec<u8>, case: &Case, name: &[u8], patterns: &mut Patterns) {
        let before = case.events(patterns).last();
        let at = out.len();
        let mut flags = self.role << ROLE_SHIFT;
        let mut pack = Pack(out);
        pack.u8(0);
        pack.number(u64::from(self.kind));
        let setting = |event: &Packed| (event.source, event.known, event.content_type);
        if before.as_ref().is_some_and(|Kept(before)| setting(before) == setting(self)) {
            flags |= SAME_SETTING;
        } else {
            pack.number(u64::from(self.source));
            pack.number(u64::from(self.known));
            pack.number(u64::from(self.content_type));
        }
        pack.step(before.as_ref().map_or(case.span.first, |Kept(before)| before.time), self.time);
        pack.step(self.time, self.arrival);
        let hint = u64::from(self.source) << 32 | u64::from(self.kind) << 16;
        patterns.put(pack.0, self.id, name, IN_ID, hint);
        if !self.text.is_empty() {
            flags |= HAS_TEXT;
            pack.text(self.text);
        }
        match before {
            Some(Kept(before)) if patterns.is(before.content, name, self.content) => flags |= SAME_CONTENT,
            _ => {
                let end = self.content.rchunks(8).next().map_or(0, |end| end.iter().fold(1, |sum, &byte| sum << 8 | u64::from(byte)));
                patterns.put(out, self.content, name, IN_CONTENT, hint ^ end.wrapping_mul(31) ^ self.content.len() as u64);
            }
        }
        out[at] = flags;
    }
}

impl<'a> Kept<'a> {
    fn read(from: &mut Unpack<'a>, before: Option<&Packed<'a>>, first: Ms, patterns: &Patterns) -> Kept<'a> {
        let flags = from.u8();
        let kind = from.number() as u32;
        let (source, known, content_type) = match before {
            Some(before) if flags & SAME_SETTING != 0 => (before.source, before.known, before.content_type),
            _ => (from.number() as u32, from.number() as u32, from.number() as u32),
        };
        let time = from.step(before.map_or(first, |before| before.time));
        let arrival = from.step(time);
        let id = patterns.take(from);
        let text = if flags & HAS_TEXT != 0 { from.text() } else { b"" };
        let content = match before {
            Some(before) if flags & SAME_CONTENT != 0 => before.content,
            _ => patterns.take(from),
        };
        Kept(Packed { kind, source, known, time, arrival, role: flags >> ROLE_SHIFT, id, text, content_type, content })
    }
}

impl<'a> Case<'a> {
    /// A case whose first event is to come, at `time`.
    pub fn new(desk: u32, time: Ms) -> Case<'a> {
        let span = Span { first: time, last: NEVER, touched: NEVER };
        Case { desk, name: b"", count: 0, span, places: 0, events: b"", clocks: b"" }
    }

    /// The same, with its name, which is kept in `out`.
    pub fn named(self, name: &[u8], patterns: &mut Patterns, out: &'a mut Vec<u8>) -> Case<'a> {
        patterns.put(out, name, b"", IN_NAME, u64::from(self.desk));
        Case { name: out, ..self }
    }

    pub fn read(bytes: &'a [u8]) -> Case<'a> {
        let mut from = Unpack(bytes);
        let (desk, name, count) = (from.number() as u32, from.text(), from.u8());
        let first = from.step(0);
        let last = from.step(first);
        let touched = from.step(last);
        let (places, events) = (from.u8(), from.text());
        Case { desk, name, count, span: Span { first, last, touched }, places, events, clocks: from.0 }
    }

    /// Whether what is kept is the case of this name at a desk.
    pub fn is(bytes: &[u8], desk: u32, name: &[u8], patterns: &Patterns) -> bool {
        let mut from = Unpack(bytes);
        from.number() == u64::from(desk) && patterns.is(from.text(), b"", name)
    }

    pub fn name(&self, patterns: &Patterns) -> Cow<'a, [u8]> {
        patterns.text(self.name, b"")
    }

    /// Append it with such clocks; `event`, which is `packed`, is one more of its events.
    pub fn put(&self, out: &mut Vec<u8>, clocks: &[Option<Clock>], event: Option<&Packed>, packed: &[u8]) {
        let mut span = self.span;
        if let Some(event) = event {
            (span.last, span.touched) = (event.time, event.arrival);
        }
        let mut pack = Pack(out);
        pack.number(u64::from(self.desk));
        pack.text(self.name);
        pack.u8(self.count + u8::from(event.is_some()));
        pack.step(0, span.first);
        pack.step(span.first, span.last);
        pack.step(span.last, span.touched);
        pack.u8(u8::try_from(clocks.len()).expect("a desk of more promises is not open"));
        pack.number((self.events.len() + packed.len()) as u64);
        pack.0.extend_from_slice(self.events);
        pack.0.extend_from_slice(packed);
        clocks.iter().for_each(|clock| Clock::put(clock.as_ref(), &mut pack, &span));
    }

    /// Its clocks, one for each promise of its desk; none: not begun.
    pub fn clocks(&self) -> impl Iterator<Item = Option<Clock>> + 'a {
        let (mut from, span) = (Unpack(self.clocks), self.span);
        (0..self.places).map(move |_| Clock::take(&mut from, &span))
    }

    pub fn clock(&self, place: u8) -> Option<Clock> {
        self.clocks().nth(usize::from(place)).flatten()
    }

    /// Its events, in order.
    pub fn events<'p>(&self, patterns: &'p Patterns) -> impl Iterator<Item = Kept<'a>> + 'p
    where
        'a: 'p,
    {
        let (mut from, first) = (Unpack(self.events), self.span.first);
        let mut before: Option<Packed<'a>> = None;
        (0..self.count).map(move |_| {
            let Kept(event) = Kept::read(&mut from, before.as_ref(), first, patterns);
            before = Some(event);
            Kept(event)
        })
    }

    /// It is here no more, nor are its texts.
    pub fn release(&self, patterns: &mut Patterns) {
        patterns.release(self.name);
        let mut from = Unpack(self.events);
        let mut before: Option<Packed> = None;
        for _ in 0..self.count {
            let is_same = from.0[0] & SAME_CONTENT != 0;
            let Kept(event) = Kept::read(&mut from, before.as_ref(), self.span.first, patterns);
            patterns.release(event.id);
            if !is_same {
                patterns.release(event.content);
            }
            before = Some(event);
        }
    }

    /// Whether an event is one of its own: `source` as a number.
    pub fn holds(&self, source: u32, id: &[u8], patterns: &Patterns) -> bool {
        let name = self.name(patterns);
        self.events(patterns).any(|Kept(own)| own.source == source && patterns.is(own.id, &name, id))
    }

    /// Whether an event says the same as one of its own: `source` and `content_type` as numbers.
    pub fn says(&self, event: &Event, kind: u32, source: u32, content_type: u32, patterns: &Patterns) -> bool {
        let name = self.name(patterns);
        self.events(patterns).any(|Kept(own)| {
            own.source == source
                && own.kind == kind
                && own.time == event.time
                && own.text == event.text
                && own.role == event.role
                && own.content_type == content_type
                && patterns.is(own.id, &name, event.id)
                && patterns.is(own.content, &name, event.content)
        })
    }

    /// Everything of it, for a checkpoint or for Python. `unpack` reads it.
    pub fn pack(&self, patterns: &Patterns, out: &mut Vec<u8>) {
        let (mut id, mut content, name) = (Vec::new(), Vec::new(), self.name(patterns));
        let mut out = Pack(out);
        out.u32(self.desk);
        out.short(&name);
        out.u8(self.count);
        out.i64(self.span.touched);
        for Kept(event) in self.events(patterns) {
            id.clear();
            content.clear();
            patterns.write(event.id, &name, &mut id);
            patterns.write(event.content, &name, &mut content);
            out.u8(event.role);
            out.u32(event.kind);
            out.u32(event.source);
            out.u32(event.known);
            out.i64(event.time);
            out.i64(event.arrival);
            out.u32(event.content_type);
            out.short(&id);
            out.short(event.text);
            out.long(&content);
        }
        out.u8(self.places);
        self.clocks().for_each(|clock| Clock::pack(clock.as_ref(), &mut out));
    }

    /// Append what `pack` wrote as it is kept, with other numbers for names, desks and rules, where such are given.
    pub fn unpack(from: &mut Unpack<'a>, numbers: &Numbers, patterns: &mut Patterns, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        let (desk, name) = (numbers.desk(from.u32()), from.short());
        let mut of_name = Vec::new();
        let mut case = Case::new(desk, NEVER).named(name, patterns, &mut of_name);
        let count = from.u8();
        let touched = from.i64();
        let mut events = Vec::new();
        for place in 0..count {
            let role = from.u8();
            let (kind, source, known) = (numbers.name(from.u32()), numbers.name(from.u32()), from.u32());
            let (time, arrival) = (from.i64(), from.i64());
            let content_type = from.u32();
            let content_type = if content_type == 0 { 0 } else { numbers.name(content_type - 1) + 1 };
            let (id, text, content) = (from.short(), from.short(), from.long());
            if place == 0 {
                case.span.first = time;
            }
            let event = Packed { kind, source, known, time, arrival, role, id, text, content_type, content };
            scratch.clear();
            event.put(scratch, &Case { count: place, events: &events, ..case }, name, patterns);
            events.extend_from_slice(scratch);
            case.span.last = time;
        }
        let clocks: Vec<_> = (0..from.u8()).map(|_| Clock::unpack(from, numbers)).collect();
        case.span.touched = touched;
        Case { count, events: &events, ..case }.put(out, &clocks, None, b"");
    }
}

/// A case as it is told of: with the event that is just coming to it, if one is.
pub struct Story<'a> {
    pub case: &'a Case<'a>,
    pub name: &'a [u8],
    pub coming: Option<&'a Packed<'a>>,
    pub patterns: &'a Patterns,
}

/// How a case rests: (since, final); None while a clock is open.
pub fn rest<C: Borrow<Option<Clock>>>(touched: Ms, clocks: impl IntoIterator<Item = C>) -> Option<(Ms, Ms)> {
    clocks.into_iter().try_fold((touched, -FOREVER), |found, clock| match clock.borrow() {
        Some(clock) => clock.rest().map(|(since, last)| (found.0.max(since), found.1.max(last))),
        None => Some(found),
    })
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

    pub fn rules(&self, number: u32) -> u32 {
        Self::of(&self.rules, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::hash;

    #[test]
    fn cases_go_there_and_back() {
        let mut patterns = Patterns::new(5);
        let contents: [&[u8]; 6] = [b"", b"{}", br#"{"case":"case-0001"}"#, b"0123456789abcdef", b"\xff\xfe\xf5", &[b'a'; 70_000]];
        let texts: [&[u8]; 3] = [b"", b"2026-03-01T08:00:00+08:00", b"\xe4"];
        let instants = [0, 1_772_323_200_000, 1_772_323_201_000, NEVER, Ms::MAX, -1];
        for round in 0..3_000u64 {
            let mut drawn = hash(round, b"");
            let mut draw = |most: usize| {
                drawn = hash(drawn, b"next");
                drawn as usize % most
            };
            let name: &[u8] = [b"case-0001".as_slice(), b"c", b"0123456789abcdef", b"{\"case"][draw(4)];
            let mut bytes = Vec::new();
            let mut pack = Pack(&mut bytes);
            pack.u32(draw(70_000) as u32);
            pack.short(name);
            let count = draw(EVENTS_MAX + 1);
            pack.u8(count as u8);
            pack.i64(instants[draw(6)]);
            for _ in 0..count {
                pack.u8(draw(16) as u8);
                (0..3).for_each(|_| pack.u32(draw(3) as u32 * 70_000));
                (0..2).for_each(|_| pack.i64(instants[draw(6)]));
                pack.u32(draw(3) as u32);
                pack.short(format!("{:x}-{}", draw(usize::MAX), draw(3)).as_bytes());
                pack.short(texts[draw(3)]);
                pack.long(contents[draw(if round % 10 == 0 { 6 } else { 5 })]);
            }
            pack.u8(2);
            (0..2).for_each(|_| pack.u8(u8::MAX));
            let (mut kept, mut again) = (Vec::new(), Vec::new());
            Case::unpack(&mut Unpack(&bytes), &Numbers::default(), &mut patterns, &mut Vec::new(), &mut kept);
            Case::read(&kept).pack(&patterns, &mut again);
            assert!(again == bytes);
            Case::read(&kept).release(&mut patterns);
        }
        assert!(patterns.is_empty());
    }
}
