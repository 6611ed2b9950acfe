//! The cases whose stories are the shortest, folded from the bytes of records: started, paused, resumed, stopped, or fallen due.
//!
//! Everything else is Python's. A case is here or there, never in both: what is beyond this goes up, whole, and stays there.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, HashMap};

use crate::blake2b;
use crate::calendar::Calendar;
use crate::case::{rest, Case, Kept, Numbers, Packed, Story, EVENTS_MAX};
use crate::cases::Cases;
use crate::clock::{Act, Beyond, Clock, Plain, State, Terms, Waits, NEVER};
use crate::event::{self, Event, Member};
use crate::forms::{self, Kind, Said};
use crate::instant::{Ms, FOREVER, HOUR};
use crate::names::{hash, ByHash, Hashes, Names};
use crate::packing::{push, Pack, Unpack};
use crate::patterns::Patterns;
use crate::rules::{Choice, Desk, Rules};
use crate::table::Table;
use crate::timers::{Timer, Timers};

const OUT_MAX: usize = 1 << 20; // bytes said before Python gets its turn
const AHEAD: usize = 16; // records that are read before the first of them is folded
const FIRED_MAX: usize = 500; // likewise, timers
const LEAVERS_MAX: usize = 64; // cases looked at beside a record, to see whether they leave
const PULSE_LATE: Ms = 15_000;

/// Why folding stopped before the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Why {
    End,
    Python, // the record is for Python
    More,   // to be called again
    Time,   // likewise, once time has passed for Python (`Engine::waits`)
    Desk,   // likewise, once the desk is known (`Engine::unknown`)
}

#[derive(Default)]
pub struct Door {
    pub last_pulse: Ms, // NEVER: there was none
    pub stretches: Vec<(Ms, Ms)>,
}

impl Door {
    fn is_blind(&self, instant: Ms) -> bool {
        self.last_pulse != NEVER
            && (instant > self.last_pulse + PULSE_LATE || self.stretches.iter().any(|&(start, end)| start < instant && instant < end))
    }
}

pub struct Lane {
    pub seen: Ms,       // the largest arrival
    pub python_at: Ms,  // Python wants every record whose arrival is later
    pub timers: Timers, // of the cases here
    due: Vec<Timer>,    // of these, some of one instant that are being fired, the last one first
    pub door: Door,
    pub moved: bool, // since Python was told
    leaving: BTreeMap<Ms, Vec<u32>>,
}

/// What is said, one behind the other: (desk, kind by rules, length) of each, and the bytes.
#[derive(Default)]
pub struct Output {
    pub heads: Vec<[u32; 3]>,
    pub bytes: Vec<u8>,
    scratch: Vec<u8>,
}

/// A record that is to be folded soon: its event, unless that is for Python, and where to look for what it is about.
#[derive(Default)]
struct Next<'a> {
    event: Event<'a>,
    is_pythons: bool,  // instead of the event
    desk: Option<u32>, // none: it is not known as yet
    of_source: u64,
    of_event: u64,
    of_case: u64,
    arrival: Ms,
}

/// The case that an event is put into.
struct To<'a> {
    found: Option<u32>, // none: it is new
    desk: u32,
    name: &'a [u8],
}

/// A clock whose line is to be written.
struct Line {
    desk: u32,
    rules: u16,
    case: u32,
    place: u8,
    name: (usize, u16), // where it stands among those that are sorted, and its length
}

#[derive(Default)]
pub struct Counts {
    pub read: i64,
    pub duplicates: i64,
}

pub struct Engine {
    event_mode: bool,
    max_skew: Ms,
    seed: u64,
    pub names: Names,
    pub calendars: Vec<Calendar>,
    pub rules: Vec<Rules>,
    pub desks: Vec<Desk>,
    desk_of: HashMap<[Box<[u8]>; 2], u32>, // by vendor and service
    desk_by_hash: ByHash<u32>,
    pub lanes: Vec<Lane>,
    pub cases: Cases,
    patterns: Patterns,
    by_name: Table,
    posted: Table,          // whose an event is
    pythons: Hashes,        // of cases that are Python's
    pythons_events: Hashes, // likewise, of events
    pub known: u32,         // how many activations were folded
    pub counts: Counts,
    pub out: Output,
    pub rising: Vec<u32>,            // cases that are to go up before Python goes on
    pub leavers: Vec<u32>,           // cases that have left: for Python to take leave of
    pub stuck: usize,                // how many of the next records are for Python
    pub waits: (u32, Ms),            // the lane in which time is to pass, and until when
    pub unknown: (Vec<u8>, Vec<u8>), // vendor and service of a desk
    lines: Vec<Line>,                // of clocks, to be written, the last one first
    clocks: Vec<Option<Clock>>,      // of the case that is looked at
    scratch: [Vec<u8>; 3],           // for a case, an event of it and its name
}

fn end_of_hour(instant: Ms) -> Ms {
    -(-instant).div_euclid(HOUR) * HOUR
}

fn leaves_at((since, last): (Ms, Ms), horizon: Ms) -> Ms {
    if last == FOREVER {
        FOREVER
    } else {
        end_of_hour((since + horizon).max(last))
    }
}

impl Engine {
    pub fn new(event_mode: bool, max_skew: Ms, seed: u64) -> Engine {
        Engine {
            event_mode,
            max_skew,
            seed,
            names: Names::default(),
            calendars: Vec::new(),
            rules: Vec::new(),
            desks: Vec::new(),
            desk_of: HashMap::new(),
            desk_by_hash: ByHash::default(),
            lanes: Vec::new(),
            cases: Cases::default(),
            patterns: Patterns::new(seed),
            by_name: Table::default(),
            posted: Table::default(),
            pythons: Hashes::default(),
            pythons_events: Hashes::default(),
            known: 0,
            counts: Counts::default(),
            out: Output::default(),
            rising: Vec::new(),
            leavers: Vec::new(),
            stuck: 0,
            waits: (0, 0),
            unknown: (Vec::new(), Vec::new()),
            lines: Vec::new(),
            clocks: Vec::new(),
            scratch: Default::default(),
        }
    }

    // -- who ------------------------------------------------------------------------------------------------------

    pub fn name(&mut self, text: &[u8]) -> Option<u32> {
        self.names.number(self.hash(text), text)
    }

    pub fn add_lane(&mut self, grain: u32) -> u32 {
        let door = Door { last_pulse: NEVER, stretches: Vec::new() };
        let timers = Timers::new(grain);
        self.lanes.push(Lane {
            seen: -FOREVER,
            python_at: -FOREVER,
            timers,
            due: Vec::new(),
            door,
            moved: false,
            leaving: BTreeMap::new(),
        });
        self.lanes.len() as u32 - 1
    }

    /// Tell of a desk, or tell of it anew. Its number.
    pub fn set_desk(&mut self, desk: Desk) -> u32 {
        let key = [desk.vendor.clone(), desk.service.clone()];
        let number = *self.desk_of.entry(key).or_insert(self.desks.len() as u32);
        let hash = self.desk_hash(self.hash(&desk.vendor), &desk.service);
        self.desk_by_hash.insert(hash, number);
        if number as usize == self.desks.len() {
            self.desks.push(desk);
        } else {
            let gone = std::mem::take(&mut self.desks[number as usize].gone);
            self.desks[number as usize] = Desk { gone, ..desk };
        }
        number
    }

    fn hash(&self, text: &[u8]) -> u64 {
        hash(self.seed, text)
    }

    fn desk_hash(&self, of_vendor: u64, service: &[u8]) -> u64 {
        of_vendor ^ hash(self.seed.rotate_left(17), service)
    }

    pub fn desk(&self, vendor: &[u8], service: &[u8]) -> Option<u32> {
        self.desk_by(self.hash(vendor), vendor, service)
    }

    fn desk_by(&self, of_vendor: u64, vendor: &[u8], service: &[u8]) -> Option<u32> {
        let number = *self.desk_by_hash.get(&self.desk_hash(of_vendor, service))?;
        let desk = &self.desks[number as usize];
        (&*desk.vendor == vendor && &*desk.service == service).then_some(number)
    }

    fn case_hash(&self, desk: u32, name: &[u8]) -> u64 {
        hash(self.seed ^ (u64::from(desk) << 20), name)
    }

    fn event_hash(&self, of_vendor: u64, of_source: u64, id: &[u8]) -> u64 {
        self.hash(id) ^ of_source.rotate_left(7) ^ of_vendor.rotate_left(13)
    }

    /// Whether a clock of a case has left with it.
    fn is_gone(&self, desk: u32, name: &[u8]) -> bool {
        let desk = &self.desks[desk as usize];
        if desk.gone.is_empty() {
            return false;
        }
        let of_case = blake2b::mark(name);
        desk.rulings.iter().any(|ruling| ruling.mark != 0 && desk.gone.contains(&(of_case ^ ruling.mark)))
    }

    /// The number of a case that is here.
    pub fn find(&self, desk: u32, name: &[u8]) -> Option<u32> {
        self.find_by(self.case_hash(desk, name), desk, name)
    }

    fn find_by(&self, of_case: u64, desk: u32, name: &[u8]) -> Option<u32> {
        self.by_name.find(of_case).find(|&number| self.cases.is(number, desk, name, &self.patterns))
    }

    /// The number of the case that is here and holds an event.
    pub fn holder(&self, vendor: &[u8], source: &[u8], id: &[u8]) -> Option<u32> {
        let source_number = self.names.find(source)?;
        self.holder_by(self.event_hash(self.hash(vendor), self.hash(source), id), vendor, source_number, id)
    }

    fn holder_by(&self, of_event: u64, vendor: &[u8], source: u32, id: &[u8]) -> Option<u32> {
        self.posted.find(of_event).find(|&number| {
            let case = self.cases.case(number);
            *self.desks[case.desk as usize].vendor == *vendor && case.holds(source, id, &self.patterns)
        })
    }

    /// Python has a case of this name, and an event of it.
    pub fn note(&mut self, desk: u32, name: &[u8], source: &[u8], id: &[u8]) {
        let of_case = self.case_hash(desk, name);
        self.pythons.insert(of_case);
        if !id.is_empty() {
            let of_event = self.event_hash(self.hash(&self.desks[desk as usize].vendor), self.hash(source), id);
            self.pythons_events.insert(of_event);
        }
    }

    /// Python has let go of a case.
    pub fn forget_case(&mut self, desk: u32, name: &[u8]) {
        let of_case = self.case_hash(desk, name);
        self.pythons.remove(&of_case);
    }

    /// Python has forgotten an event.
    pub fn forget(&mut self, desk: u32, source: &[u8], id: &[u8]) {
        let of_event = self.event_hash(self.hash(&self.desks[desk as usize].vendor), self.hash(source), id);
        self.pythons_events.remove(&of_event);
    }

    // -- records --------------------------------------------------------------------------------------------------

    /// Fold records from the first on, until one is for Python. How many were folded, and why it stopped.
    pub fn fold<'a>(&mut self, mut records: impl Iterator<Item = (&'a [u8], Ms)>) -> (usize, Why) {
        let mut folded = 0;
        let mut ahead = Vec::with_capacity(AHEAD);
        self.stuck = 0;
        loop {
            for (value, arrival) in records.by_ref().take(AHEAD) {
                ahead.push(Next { arrival, ..Next::default() });
                self.look(value, ahead.last_mut().expect("it was pushed"));
            }
            if ahead.is_empty() {
                return (folded, Why::End);
            }
            self.fetch(&ahead);
            for (i, next) in ahead.iter().enumerate() {
                match self.take(next) {
                    Why::End => folded += 1,
                    Why::Python => {
                        let is_idle = folded == 0 && self.cases.count() == 0; // nothing is lost if Python takes more
                        self.stuck = 1 + ahead[i + 1..].iter().take_while(|next| is_idle || self.is_pythons(next)).count();
                        return (folded, Why::Python);
                    }
                    why => return (folded, why),
                }
                if self.out.bytes.len() > OUT_MAX {
                    return (folded, Why::More);
                }
            }
            ahead.clear();
        }
    }

    /// Whether it is known before it is folded that an event is for Python.
    fn is_pythons(&self, next: &Next) -> bool {
        next.is_pythons || next.desk.is_some_and(|desk| !self.desks[desk as usize].open || self.pythons.contains(&next.of_case))
    }

    /// Read a record, and tell where to look for what it is about.
    fn look<'a>(&self, value: &'a [u8], next: &mut Next<'a>) {
        next.is_pythons = event::read(value, &mut next.event).is_none();
        if !next.is_pythons {
            let event = &next.event;
            let of_vendor = self.hash(event.vendor);
            next.desk = self.desk_by(of_vendor, event.vendor, event.service);
            next.of_source = self.hash(event.source);
            next.of_event = self.event_hash(of_vendor, next.of_source, event.id);
            next.of_case = next.desk.map_or(0, |desk| self.case_hash(desk, event.case));
        }
    }

    /// Touch what some events are about: the memory comes while it is asked for, for all of them at a time, and changes nothing.
    fn fetch(&self, ahead: &[Next]) {
        let mut numbers = [None; AHEAD];
        for (number, next) in numbers.iter_mut().zip(ahead) {
            std::hint::black_box(self.posted.find(next.of_event).next());
            *number = self.by_name.find(next.of_case).next();
            if let Some(desk) = next.desk {
                let lane = &self.lanes[self.desks[desk as usize].lane as usize];
                std::hint::black_box((lane.seen, lane.timers.near));
            }
        }
        self.cases.touch(numbers.into_iter().flatten());
    }

    fn take(&mut self, next: &Next) -> Why {
        if next.is_pythons {
            return Why::Python;
        }
        let event = &next.event;
        let Some(number) = next.desk else {
            self.unknown = (event.vendor.to_vec(), event.service.to_vec());
            return Why::Desk;
        };
        let desk = &self.desks[number as usize];
        let (lane_number, horizon, last_gone) = (desk.lane as usize, desk.horizon, desk.last_gone);
        if !desk.open {
            return Why::Python;
        }
        let arrival = if self.event_mode { event.time } else { next.arrival };
        let until = arrival.max(self.lanes[lane_number].seen);
        if self.lanes[lane_number].python_at < until {
            self.waits = (lane_number as u32, until);
            return Why::Time;
        }
        if self.lanes[lane_number].timers.near < until || !self.lanes[lane_number].due.is_empty() {
            match self.fire(lane_number as u32, until) {
                Why::End => {}
                why => return why,
            }
        }
        let lane = &mut self.lanes[lane_number];
        if lane.seen != until {
            (lane.seen, lane.moved) = (until, true);
        }
        self.let_go_of_some(lane_number as u32);
        if !self.leavers.is_empty() {
            return Why::More; // Python takes leave of them first
        }
        if event.time > arrival + self.max_skew || event.time <= last_gone {
            return Why::Python;
        }
        self.place(next, event, number, horizon, arrival).unwrap_or(Why::Python)
    }

    /// Put an event into its case. None: it is for Python.
    fn place(&mut self, next: &Next, event: &Event, desk: u32, horizon: Ms, arrival: Ms) -> Option<Why> {
        let (kind, source) = (self.name(event.kind)?, self.names.number(next.of_source, event.source)?);
        let content_type = if event.content_type.is_empty() { 0 } else { self.name(event.content_type)? + 1 };
        let &Next { of_event, of_case, .. } = next;
        if self.pythons_events.contains(&of_event) {
            return None;
        }
        if let Some(holder) = self.holder_by(of_event, event.vendor, source, event.id) {
            let case = self.cases.case(holder);
            let is_its = self.cases.is(holder, desk, event.case, &self.patterns);
            let stays = is_its && !self.has_left(&case, case.clocks());
            return (stays && case.says(event, kind, source, content_type, &self.patterns)).then(|| {
                self.counts.read += 1;
                self.counts.duplicates += 1;
                Why::End
            });
        }
        let seen = self.lanes[self.desks[desk as usize].lane as usize].seen;
        let packed = Packed {
            kind,
            source,
            known: self.known,
            time: event.time,
            arrival: seen,
            role: event.role,
            id: event.id,
            text: event.text,
            content_type,
            content: event.content,
        };
        let found = self.find_by(of_case, desk, event.case);
        if found.is_none() && (self.pythons.contains(&of_case) || self.is_gone(desk, event.case)) {
            return None;
        }
        let mut clocks = std::mem::take(&mut self.clocks);
        let to = To { found, desk, name: event.case };
        let done = self.fold_event(to, &packed, if self.event_mode { NEVER } else { arrival }, &mut clocks);
        self.clocks = clocks;
        let number = done.ok()?;
        if found.is_none() {
            self.enter(number, desk, of_case, end_of_hour(seen + horizon));
        }
        self.posted.insert(of_event, number);
        self.counts.read += 1;
        Some(Why::End)
    }

    /// Whether log time has passed what a case was kept for.
    fn has_left<C: Borrow<Option<Clock>>>(&self, case: &Case, clocks: impl IntoIterator<Item = C>) -> bool {
        let desk = &self.desks[case.desk as usize];
        rest(case.span.touched, clocks).is_some_and(|rest| leaves_at(rest, desk.horizon) < self.lanes[desk.lane as usize].seen)
    }

    /// A case comes here; it is looked at no earlier than `look_at`.
    fn enter(&mut self, number: u32, desk: u32, of_case: u64, look_at: Ms) {
        let lane = self.desks[desk as usize].lane as usize;
        self.by_name.insert(of_case, number);
        push(self.lanes[lane].leaving.entry(look_at).or_default(), number);
    }

    /// Let an event act on the clocks of a case, and put it in. Its number. When it is beyond them nothing is changed.
    fn fold_event(&mut self, to: To, event: &Packed, arrival: Ms, clocks: &mut Vec<Option<Clock>>) -> Plain<u32> {
        let desk = &self.desks[to.desk as usize];
        clocks.clear();
        let case = match to.found {
            Some(number) => self.cases.case(number),
            None => Case::new(to.desk, event.time),
        };
        if to.found.is_some() {
            clocks.extend(case.clocks());
            let is_next = event.time > case.span.last && usize::from(case.count) < EVENTS_MAX;
            if !is_next || self.has_left(&case, &*clocks) {
                return Err(Beyond);
            }
        } else {
            clocks.resize(desk.rulings.len(), None);
        }
        let (heads, bytes) = (self.out.heads.len(), self.out.bytes.len());
        clocks.iter().flatten().for_each(|clock| tally(&mut self.rules, clock, -1));
        let story = Story { case: &case, name: to.name, coming: Some(event), patterns: &self.patterns };
        let fold = Fold { story, event, arrival, desk, rules: &self.rules, calendars: &self.calendars };
        if fold.act(clocks, &mut self.out).is_err() {
            self.out.heads.truncate(heads);
            self.out.bytes.truncate(bytes);
            case.clocks().flatten().for_each(|clock| tally(&mut self.rules, &clock, 1));
            return Err(Beyond);
        }
        let noted = 1 << case.count;
        clocks.iter().flatten().for_each(|clock| tally(&mut self.rules, clock, 1));
        let [bytes, of_event, of_name] = &mut self.scratch;
        [&mut *bytes, of_event, of_name].into_iter().for_each(Vec::clear);
        let case = if to.found.is_some() { case } else { case.named(to.name, &mut self.patterns, of_name) };
        event.put(of_event, &case, to.name, &mut self.patterns);
        case.put(bytes, clocks, Some(event), of_event);
        let number = match to.found {
            Some(number) => {
                self.cases.set(number, bytes);
                number
            }
            None => self.cases.add(bytes),
        };
        self.remind(number, to.desk, clocks, noted);
        Ok(number)
    }

    /// Have those of a case's clocks called when their time comes that some of its events, as bits, did something to.
    fn remind(&mut self, number: u32, desk: u32, clocks: &[Option<Clock>], noted: u32) {
        let timers = &mut self.lanes[self.desks[desk as usize].lane as usize].timers;
        for (place, clock) in clocks.iter().enumerate() {
            if let Some(clock) = clock.as_ref().filter(|clock| clock.noted & noted != 0) {
                clock.waits(&terms_of(&self.rules, &self.calendars, clock), |what, at, about| {
                    timers.remind((at, about, number, place as u8, what));
                });
            }
        }
    }

    // -- time -----------------------------------------------------------------------------------------------------

    /// The next timer of a lane that still holds, unless one that is not `wanted` comes before.
    fn next_timer(&mut self, lane: u32, wanted: impl Fn(&Timer) -> bool) -> Option<Timer> {
        loop {
            let (cases, desks, rules, calendars) = (&self.cases, &self.desks, &self.rules, &self.calendars);
            let timers = &mut self.lanes[lane as usize].timers;
            let timer = timers.peek(|numbers, from, to, found| {
                for (at, &number) in numbers.iter().enumerate() {
                    if at % AHEAD == 0 {
                        cases.touch(numbers[at..].iter().copied().take(AHEAD));
                    }
                    let Some(case) = cases.get(number) else { continue };
                    if desks[case.desk as usize].lane != lane {
                        continue; // another case has taken the number
                    }
                    for (place, clock) in case.clocks().enumerate() {
                        if let Some(clock) = clock {
                            clock.waits(&terms_of(rules, calendars, &clock), |what, at, about| {
                                if from <= at && at < to {
                                    found.push((at, about, number, place as u8, what));
                                }
                            });
                        }
                    }
                }
            })?;
            if !wanted(&timer) {
                return None;
            }
            if self.holds(lane, &timer) {
                return Some(timer);
            }
            self.lanes[lane as usize].timers.pop();
        }
    }

    /// Whether a clock still waits for a timer.
    fn holds(&self, lane: u32, &(at, about, number, place, what): &Timer) -> bool {
        let Some(case) = self.cases.get(number).filter(|case| self.desks[case.desk as usize].lane == lane) else {
            return false;
        };
        let Some(clock) = case.clock(place) else { return false };
        let mut holds = clock.state == State::Running && what == Waits::Warning && about == clock.mark;
        clock.waits(&terms_of(&self.rules, &self.calendars, &clock), |other, other_at, other_about| {
            holds |= (at, about, what) == (other_at, other_about, other);
        });
        holds
    }

    /// When the next timer of a lane is called; FOREVER: nothing waits.
    pub fn next_at(&mut self, lane: u32) -> Ms {
        let due = self.lanes[lane as usize].due.last().map_or(FOREVER, |timer| timer.0);
        self.next_timer(lane, |_| true).map_or(FOREVER, |timer| timer.0).min(due)
    }

    /// Those that are being fired wait among the others again: something comes before them, or beside.
    fn put_off(&mut self, lane: u32) {
        let lane = &mut self.lanes[lane as usize];
        for timer in lane.due.drain(..) {
            lane.timers.remind(timer);
        }
    }

    /// Fire what is to be called before `until`, in order.
    pub fn fire(&mut self, lane: u32, until: Ms) -> Why {
        if let Some(&due) = self.lanes[lane as usize].due.last() {
            if self.next_timer(lane, |next| (next.0, next.1) <= (due.0, due.1)).is_some() {
                self.put_off(lane);
            }
        }
        let mut fired = 0;
        loop {
            while let Some(timer) = self.lanes[lane as usize].due.last().copied().filter(|timer| timer.0 < until) {
                self.lanes[lane as usize].due.pop();
                if !self.holds(lane, &timer) {
                    continue;
                }
                if self.call(&timer).is_err() {
                    self.lanes[lane as usize].timers.remind(timer);
                    self.put_off(lane);
                    self.rising.push(timer.2);
                    return Why::Python;
                }
                fired += 1;
                if fired >= FIRED_MAX || self.out.bytes.len() > OUT_MAX {
                    return Why::More;
                }
            }
            let Some(first) = self.next_timer(lane, |timer| timer.0 < until) else { return Why::End };
            self.lanes[lane as usize].timers.pop();
            let mut group = vec![first];
            while let Some(timer) = self.next_timer(lane, |timer| (timer.0, timer.1) == (first.0, first.1)) {
                self.lanes[lane as usize].timers.pop();
                group.push(timer);
            }
            group.dedup();
            if group.len() > 1 {
                group.sort_by(|a, b| self.key_of(b).cmp(&self.key_of(a)));
            }
            self.lanes[lane as usize].due = group;
        }
    }

    /// Cases that are called at an instant go up: Python has timers of the same instant, and one order holds for all.
    pub fn rise_at(&mut self, lane: u32, at: Ms) {
        self.put_off(lane);
        while let Some(timer) = self.next_timer(lane, |timer| timer.0 <= at).filter(|timer| timer.0 == at) {
            self.lanes[lane as usize].timers.pop();
            self.rising.push(timer.2);
        }
    }

    fn key_of(&self, timer: &Timer) -> ([&[u8]; 4], Cow<'_, [u8]>, Waits) {
        let case = self.cases.case(timer.2);
        (self.promise(case.desk, case.clock(timer.3).expect("it waits").rules), case.name(&self.patterns), timer.4)
    }

    /// Whose clock it is, but for the case's name.
    fn promise(&self, desk: u32, rules: u16) -> [&[u8]; 4] {
        let desk = &self.desks[desk as usize];
        let [agreement, objective] = &self.rules[usize::from(rules)].key;
        [agreement, objective, &desk.vendor, &desk.service]
    }

    /// A timer's time has come.
    fn call(&mut self, &(at, about, number, place, what): &Timer) -> Plain<()> {
        let case = self.cases.case(number);
        let desk = &self.desks[case.desk as usize];
        let lane = &mut self.lanes[desk.lane as usize];
        self.clocks.clear();
        self.clocks.extend(case.clocks());
        let mut clock = self.clocks[usize::from(place)].expect("it waits");
        let point = if what == Waits::Due { clock.due } else { about }; // when the door had to be open
        if what == Waits::Warning || lane.door.is_blind(point) {
            return Err(Beyond);
        }
        let terms = terms_of(&self.rules, &self.calendars, &clock);
        if what == Waits::Due && !terms.rules.targets[usize::from(clock.target)].warnings.is_empty() {
            return Err(Beyond);
        }
        let kind = if what == Waits::Due { Kind::Opened } else { Kind::Final };
        let before = clock;
        if what == Waits::Due {
            (clock.state, clock.decided_at) = (State::Breached, at);
        } else {
            clock.last = at;
        }
        let said = Said { kind, time: if what == Waits::Due { clock.due } else { about }, decided_at: at };
        let story = Story { case: &case, name: &case.name(&self.patterns), coming: None, patterns: &self.patterns };
        say(&mut self.out, &said, &clock, &terms, &story, desk)?;
        if what == Waits::Due {
            let last = at + terms.rules.horizon;
            lane.timers.remind((last, last, number, place, Waits::Final));
        }
        tally(&mut self.rules, &before, -1);
        tally(&mut self.rules, &clock, 1);
        self.clocks[usize::from(place)] = Some(clock);
        let bytes = &mut self.scratch[0];
        bytes.clear();
        case.put(bytes, &self.clocks, None, b"");
        self.cases.set(number, bytes);
        Ok(())
    }

    // -- cases that leave -----------------------------------------------------------------------------------------

    /// Look at some of the cases that may have left (`shared/sla/leaving.py`).
    pub fn let_go_of_some(&mut self, lane: u32) -> bool {
        let mut left = LEAVERS_MAX;
        let seen = self.lanes[lane as usize].seen;
        while let Some(mut entry) = self.lanes[lane as usize].leaving.first_entry() {
            if *entry.key() >= seen {
                return false;
            }
            let Some(number) = entry.get_mut().pop() else {
                entry.remove();
                continue;
            };
            if left == 0 {
                entry.get_mut().push(number);
                return true;
            }
            left -= 1;
            let Some(case) = self.cases.get(number) else { continue };
            let desk = &self.desks[case.desk as usize];
            if desk.lane != lane {
                continue;
            }
            let horizon = desk.horizon;
            let look_at = match rest(case.span.touched, case.clocks()) {
                None => end_of_hour(seen + horizon),
                Some(rest) if leaves_at(rest, horizon) < seen => {
                    self.leavers.push(number);
                    continue;
                }
                Some((since, last)) => end_of_hour((since + horizon).max(if last == FOREVER { seen } else { last })),
            };
            push(self.lanes[lane as usize].leaving.entry(look_at).or_default(), number);
        }
        false
    }

    // -- up and down ----------------------------------------------------------------------------------------------

    /// Take a case out: Python has it from now on. `stays`: and its events with it; else it has left.
    pub fn take_out(&mut self, number: u32, stays: bool, out: &mut Vec<u8>) {
        let Some(case) = self.cases.get(number) else { return };
        case.pack(&self.patterns, out);
        let of_case = self.case_hash(case.desk, &case.name(&self.patterns));
        self.by_name.remove(of_case, number);
        if stays {
            self.pythons.insert(of_case);
        }
        for of_event in self.events_of(&case) {
            self.posted.remove(of_event, number);
            if stays {
                self.pythons_events.insert(of_event);
            }
        }
        case.clocks().flatten().for_each(|clock| tally(&mut self.rules, &clock, -1));
        case.release(&mut self.patterns);
        self.cases.remove(number);
    }

    /// The hashes of a case's events.
    fn events_of(&self, case: &Case) -> Vec<u64> {
        let (of_vendor, patterns) = (self.hash(&self.desks[case.desk as usize].vendor), &self.patterns);
        let (mut id, name) = (Vec::new(), case.name(patterns));
        case.events(patterns)
            .map(|Kept(event)| {
                id.clear();
                patterns.write(event.id, &name, &mut id);
                self.event_hash(of_vendor, self.hash(self.names.text(event.source)), &id)
            })
            .collect()
    }

    /// Put in cases that were packed; how many.
    pub fn put_in(&mut self, from: &mut Unpack, numbers: &Numbers) -> i64 {
        let mut count = 0;
        while !from.is_empty() {
            let [bytes, of_event, _] = &mut self.scratch;
            bytes.clear();
            Case::unpack(from, numbers, &mut self.patterns, of_event, bytes);
            let number = self.cases.add(bytes);
            let case = self.cases.case(number);
            let (desk, of_case) = (case.desk, self.case_hash(case.desk, &case.name(&self.patterns)));
            let look_at = end_of_hour(case.span.touched + self.desks[desk as usize].horizon);
            let clocks: Vec<_> = case.clocks().collect();
            for of_event in self.events_of(&case) {
                self.pythons_events.remove(&of_event);
                self.posted.insert(of_event, number);
            }
            clocks.iter().flatten().for_each(|clock| tally(&mut self.rules, clock, 1));
            self.pythons.remove(&of_case);
            self.enter(number, desk, of_case, look_at);
            self.remind(number, desk, &clocks, u32::MAX);
            count += 1;
        }
        count
    }

    /// Copies of some cases from a number on; the number to go on from, 0 at the end.
    pub fn copy(&self, from: u32, desk: Option<u32>, bytes: usize, out: &mut Vec<u8>) -> u32 {
        let mut number = from;
        while number < self.cases.end() && out.len() < bytes {
            if let Some(case) = self.cases.get(number).filter(|case| desk.map_or(true, |desk| case.desk == desk)) {
                case.pack(&self.patterns, out);
            }
            number += 1;
        }
        if number < self.cases.end() {
            number
        } else {
            0
        }
    }

    pub fn copy_one(&self, number: u32, out: &mut Vec<u8>) {
        self.cases.case(number).pack(&self.patterns, out);
    }

    /// Prepare `write_lines`: all clocks, in the order of `cases.ndjson`.
    pub fn sort_lines(&mut self) {
        let (mut found, mut names) = (Vec::new(), Vec::new());
        for (number, case) in self.cases.all() {
            let begin = names.len();
            names.extend_from_slice(&case.name(&self.patterns));
            let clocks = case.clocks().enumerate();
            found.extend(clocks.filter_map(|(place, clock)| {
                let (desk, length) = (case.desk, (names.len() - begin) as u16);
                clock.map(|clock| Line { desk, rules: clock.rules, case: number, place: place as u8, name: (begin, length) })
            }));
        }
        let name = |line: &Line| &names[line.name.0..][..usize::from(line.name.1)];
        let key = |line: &Line| (self.promise(line.desk, line.rules), name(line));
        found.sort_by(|a, b| key(b).cmp(&key(a))); // the last one is taken first
        self.lines = found;
    }

    /// Append some of the lines, each behind what it is about: (desk, rules, state, started, case, line). How many; None: one cannot be told.
    pub fn write_lines(&mut self, bytes: usize, out: &mut Vec<u8>) -> Option<u32> {
        let (mut count, mut text) = (0, Vec::new());
        while let Some(line) = (out.len() < bytes).then(|| self.lines.pop()).flatten() {
            let case = self.cases.case(line.case);
            let clock = case.clock(line.place).expect("it is there");
            let (desk, terms) = (&self.desks[case.desk as usize], terms_of(&self.rules, &self.calendars, &clock));
            let name = case.name(&self.patterns);
            let story = Story { case: &case, name: &name, coming: None, patterns: &self.patterns };
            text.clear();
            forms::write_line(&mut text, self.lanes[desk.lane as usize].seen, &clock, &terms, &story, desk).ok()?;
            let mut pack = Pack(out);
            pack.u32(case.desk);
            pack.u32(u32::from(clock.rules));
            pack.u8(clock.state as u8);
            pack.i64(clock.started);
            pack.short(&name);
            pack.long(&text);
            count += 1;
        }
        Some(count)
    }

    /// The numbers of the cases of a desk.
    pub fn numbers_of(&self, desk: u32) -> Vec<u32> {
        self.cases.all().filter(|(_, case)| case.desk == desk).map(|(number, _)| number).collect()
    }
}

/// An event that comes to a case.
struct Fold<'a> {
    story: Story<'a>,
    event: &'a Packed<'a>,
    arrival: Ms, // NEVER in event mode
    desk: &'a Desk,
    rules: &'a [Rules],
    calendars: &'a [Calendar],
}

impl Fold<'_> {
    /// Let it act on the case's clocks.
    fn act(&self, clocks: &mut [Option<Clock>], out: &mut Output) -> Plain<()> {
        let (at, seen) = (usize::from(self.story.case.count), self.event.arrival);
        for (place, clock) in clocks.iter_mut().enumerate() {
            let Some(clock) = clock else {
                *clock = self.start(place)?;
                continue;
            };
            let terms = terms_of(self.rules, self.calendars, clock);
            let before = clock.state;
            let act = terms.rules.act(self.event.kind);
            if !clock.step(act, &terms, self.event.time, at, self.arrival)? || matches!(clock.state, State::Running | State::Paused) {
                continue;
            }
            clock.decided_at = seen;
            let kinds: &[Kind] = match (before, clock.state) {
                (_, State::Met) => &[Kind::Met],
                (State::Breached, _) => &[Kind::Closed],
                _ => &[Kind::Opened, Kind::Closed],
            };
            clock.last = NEVER;
            for &kind in kinds {
                let time = if kind == Kind::Opened { clock.due } else { clock.stopped };
                say(out, &Said { kind, time, decided_at: seen }, clock, &terms, &self.story, self.desk)?;
            }
        }
        Ok(())
    }

    /// The clock that it starts at a place where none runs yet, if it does.
    fn start(&self, place: usize) -> Plain<Option<Clock>> {
        let (event, at) = (self.event, usize::from(self.story.case.count));
        let ruling = &self.desk.rulings[place];
        let rules = match ruling.rules {
            Some(rules) if ruling.from <= event.time && event.time < ruling.to => rules,
            _ if ruling.types.contains(&event.kind) => return Err(Beyond),
            _ => return Ok(None),
        };
        let terms = &self.rules[rules as usize];
        match terms.act(event.kind) {
            Some(Act::Start) => {}
            Some(Act::Unfold) => return Err(Beyond),
            _ => return Ok(None),
        }
        let target = match &terms.choice {
            Choice::Always(target) => *target,
            Choice::Table { field, by_value, otherwise } if at == 0 => match event::member(event.content, field).ok_or(Beyond)? {
                Member::Text(value) => by_value.get(value).copied().or(*otherwise).ok_or(Beyond)?,
                Member::Other => (*otherwise).ok_or(Beyond)?,
                Member::Missing => return Err(Beyond),
            },
            _ => return Err(Beyond),
        };
        let calendar = &self.calendars[terms.targets[usize::from(target)].calendar as usize];
        Clock::start(rules as u16, target, &Terms { rules: terms, calendar }, event.time, at, self.arrival).map(Some)
    }
}

fn terms_of<'a>(rules: &'a [Rules], calendars: &'a [Calendar], clock: &Clock) -> Terms<'a> {
    let rules = &rules[usize::from(clock.rules)];
    Terms { rules, calendar: &calendars[rules.targets[usize::from(clock.target)].calendar as usize] }
}

fn tally(rules: &mut [Rules], clock: &Clock, by: i64) {
    rules[usize::from(clock.rules)].counts[clock.state as usize] += by;
}

fn say(out: &mut Output, said: &Said, clock: &Clock, terms: &Terms, story: &Story, desk: &Desk) -> Plain<()> {
    let before = out.bytes.len();
    forms::write(&mut out.bytes, &mut out.scratch, said, clock, terms, story, desk)?;
    let kind = u32::from(clock.rules) * Kind::COUNT + said.kind as u32;
    out.heads.push([story.case.desk, kind, (out.bytes.len() - before) as u32]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(name: &[u8], id: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pack = Pack(&mut bytes);
        pack.u32(0);
        pack.short(name);
        pack.u8(1);
        pack.i64(1_000);
        pack.u8(0);
        [0, 0, 0].into_iter().for_each(|number| pack.u32(number));
        [1_000, 1_000].into_iter().for_each(|instant| pack.i64(instant));
        pack.u32(0);
        pack.short(id);
        pack.short(b"");
        pack.long(br#"{"some":"content"}"#);
        pack.u8(0);
        bytes
    }

    #[test]
    fn hashes_that_collide_are_told_apart_by_the_cases_themselves() {
        let mut engine = Engine::new(true, 0, 11);
        engine.add_lane(10);
        engine.name(b"/source");
        let gone = Hashes::default();
        let (vendor, service): (Box<[u8]>, Box<[u8]>) = ((*b"v").into(), (*b"s").into());
        engine.set_desk(Desk { vendor, service, lane: 0, rulings: Vec::new(), horizon: 0, last_gone: 0, open: true, gone });
        let texts: Vec<[Vec<u8>; 2]> = (0..40).map(|i| [format!("case-{i}").into_bytes(), format!("id-{i:08x}").into_bytes()]).collect();
        for [name, id] in &texts {
            engine.put_in(&mut Unpack(&packed(name, id)), &Numbers::default());
        }
        for [name, id] in &texts {
            let of_event = engine.event_hash(engine.hash(b"v"), engine.hash(b"/source"), id);
            let of_case = engine.case_hash(0, name);
            for other in 0..40 {
                engine.by_name.insert(of_case, other);
                engine.posted.insert(of_event, other);
            }
        }
        for (number, [name, id]) in texts.iter().enumerate() {
            assert_eq!(engine.find(0, name), Some(number as u32));
            assert_eq!(engine.holder(b"v", b"/source", id), Some(number as u32));
            assert_eq!(engine.holder(b"w", b"/source", id), None);
            assert_eq!(engine.holder(b"v", b"/other", id), None);
            let mut out = Vec::new();
            engine.copy_one(number as u32, &mut out);
            assert_eq!(out, packed(name, id));
        }
    }
}
