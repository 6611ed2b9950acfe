//! A plain clock: `shared/sla/plain.py` is its meaning, tests/properties/test_swift.py proves that this is the same.
//!
//! Whatever a plain clock cannot tell is `Beyond`: its case then goes up to Python, where the general fold goes on.

use crate::calendar::Calendar;
use crate::case::Numbers;
use crate::instant::{Ms, FOREVER, MINUTE};
use crate::packing::{Pack, Unpack};
use crate::rules::Rules;

pub struct Beyond;
pub type Plain<T> = Result<T, Beyond>;
pub const NEVER: Ms = Ms::MIN;
const LATEST: Ms = 253_339_228_800_000; // 9998-01-01: texts of instants end soon after

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    Running,
    Paused,
    Met,
    Breached,
    Closed,
}

impl State {
    pub fn of(number: u8) -> State {
        [State::Running, State::Paused, State::Met, State::Breached, State::Closed][usize::from(number)]
    }

    pub fn name(self) -> &'static [u8] {
        match self {
            State::Running => b"running",
            State::Paused => b"paused",
            State::Met => b"met",
            State::Breached => b"breached",
            State::Closed => b"breached_closed",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Start,
    Pause,
    Resume,
    Stop,
    Unfold,
}

impl Act {
    pub fn of(number: u8) -> Act {
        [Act::Start, Act::Pause, Act::Resume, Act::Stop, Act::Unfold][usize::from(number)]
    }
}

#[derive(Clone, Copy)]
pub struct Clock {
    pub started: Ms,
    pub mark: Ms,      // up to when used and paused are accounted for
    pub due: Ms,       // NEVER while paused
    pub armed_for: Ms, // the due, or the arrival of what armed it where that is later
    pub within: Ms,    // its target, in working time
    pub used: Ms,
    pub paused: Ms,
    pub stopped: Ms,    // NEVER while open
    pub decided_at: Ms, // of its last statement
    pub last: Ms,       // log time when it became final; NEVER: that is to come
    pub noted: u32,     // which of the case's evidence did something to it, as bits
    pub rules: u16,
    pub target: u8,
    pub state: State,
}

const STATE_BITS: u32 = 3;
const UNEVEN: u16 = 1 << 15; // its target is not of whole minutes
const TARGET_BITS: u32 = 3;
const MANY: u8 = 7; // a target's number that has a byte of its own
const NONE: u8 = 7; // in place of a state: there is no clock
const NOTHING: Clock = Clock {
    started: 0,
    mark: 0,
    due: 0,
    armed_for: 0,
    within: 0,
    used: 0,
    paused: 0,
    stopped: 0,
    decided_at: 0,
    last: 0,
    noted: 0,
    rules: 0,
    target: 0,
    state: State::Running,
};

/// Between which events a case stands, and the log time when the last one came.
#[derive(Clone, Copy)]
pub struct Span {
    pub first: Ms,
    pub last: Ms,
    pub touched: Ms,
}

/// What a clock waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    Due,
    Final,
    Warning,
}

/// Instants and durations of a statement.
pub struct View {
    pub used: Ms,
    pub paused: Ms,
    pub late: Ms, // NEVER: it is not
    pub overdue: Ms,
}

/// A clock's rules, and the calendar of its target.
pub struct Terms<'a> {
    pub rules: &'a Rules,
    pub calendar: &'a Calendar,
}

impl Terms<'_> {
    fn due(&self, instant: Ms, left: Ms) -> Plain<Ms> {
        match self.calendar.advance(instant, left, self.rules.next_open) {
            Some(due) if due < LATEST => Ok(due),
            _ => Err(Beyond),
        }
    }

    fn worked(&self, from: Ms, to: Ms) -> Plain<Ms> {
        self.calendar.worked(from, to).ok_or(Beyond)
    }
}

impl Clock {
    /// The clock that an event at `time` starts. `arrival`: of its record, NEVER in event mode.
    pub fn start(rules: u16, target: u8, terms: &Terms, time: Ms, place: usize, arrival: Ms) -> Plain<Clock> {
        let within = terms.rules.targets[usize::from(target)].within;
        let due = terms.due(time, within)?;
        if due < time {
            return Err(Beyond);
        }
        let clock = Clock {
            started: time,
            mark: time,
            due,
            armed_for: due.max(arrival),
            within,
            used: 0,
            paused: 0,
            stopped: NEVER,
            decided_at: 0,
            last: NEVER,
            noted: 1 << place,
            rules,
            target,
            state: State::Running,
        };
        if clock.warnings(terms)?.iter().any(|&warning| warning < arrival) {
            return Err(Beyond);
        }
        Ok(clock)
    }

    /// The warnings ahead of a running clock.
    pub fn warnings(&self, terms: &Terms) -> Plain<Vec<Ms>> {
        let target = &terms.rules.targets[usize::from(self.target)];
        let ahead = target.warnings.iter().filter(|&&used| used > 0 && used < self.within);
        ahead.map(|used| terms.calendar.advance(self.mark, used - self.used, false).ok_or(Beyond)).collect()
    }

    /// Let the case's next event in order act. Whether it did anything.
    pub fn step(&mut self, act: Option<Act>, terms: &Terms, time: Ms, place: usize, arrival: Ms) -> Plain<bool> {
        if matches!(self.state, State::Met | State::Closed) {
            return if act == Some(Act::Unfold) { Err(Beyond) } else { Ok(false) };
        }
        match (act, self.state) {
            (None | Some(Act::Start), _) | (Some(Act::Pause), State::Paused) | (Some(Act::Resume), State::Running) => return Ok(false),
            (Some(Act::Stop), _) => self.stop(terms, time)?,
            (Some(Act::Pause), State::Running) => self.pause(terms, time)?,
            (Some(Act::Resume), State::Paused) => self.resume(terms, time, arrival)?,
            _ => return Err(Beyond),
        }
        self.mark = time;
        self.noted |= 1 << place;
        Ok(true)
    }

    fn stop(&mut self, terms: &Terms, time: Ms) -> Plain<()> {
        if self.due == NEVER || (self.state == State::Breached && time <= self.due) {
            return Err(Beyond);
        }
        self.used += terms.worked(self.mark, time)?;
        self.state = if time <= self.due { State::Met } else { State::Closed };
        self.stopped = time;
        Ok(())
    }

    fn pause(&mut self, terms: &Terms, time: Ms) -> Plain<()> {
        if time >= self.due || self.warnings(terms)?.iter().any(|&warning| warning <= time) {
            return Err(Beyond);
        }
        self.used += terms.worked(self.mark, time)?;
        (self.state, self.due) = (State::Paused, NEVER);
        Ok(())
    }

    fn resume(&mut self, terms: &Terms, time: Ms, arrival: Ms) -> Plain<()> {
        let due = terms.due(time, self.within - self.used)?;
        if due < time {
            return Err(Beyond);
        }
        let ahead = Clock { mark: time, ..*self };
        if arrival != NEVER && ahead.warnings(terms)?.iter().any(|&warning| warning < arrival) {
            return Err(Beyond);
        }
        self.paused += terms.worked(self.mark, time)?;
        (self.state, self.due, self.armed_for) = (State::Running, due, due.max(arrival));
        Ok(())
    }

    /// As it stands at `log_time`.
    pub fn view(&self, terms: &Terms, log_time: Ms) -> Plain<View> {
        let mut view = View { used: self.used, paused: self.paused, late: NEVER, overdue: NEVER };
        let mut at = self.stopped;
        if at == NEVER {
            at = log_time.max(self.mark);
            let worked = terms.worked(self.mark, at)?;
            *(if self.state == State::Paused { &mut view.paused } else { &mut view.used }) += worked;
        }
        if matches!(self.state, State::Breached | State::Closed) {
            view.late = terms.worked(self.due, at)?;
            view.overdue = at - self.due;
        }
        Ok(view)
    }

    /// What it waits for: what, when it is called, and the instant it is about.
    pub fn waits(&self, terms: &Terms, mut each: impl FnMut(Waits, Ms, Ms)) {
        let grace = terms.rules.grace;
        match self.state {
            State::Running => {
                each(Waits::Due, self.armed_for + grace, self.armed_for);
                match self.warnings(terms) {
                    Ok(warnings) => warnings.into_iter().for_each(|warning| each(Waits::Warning, warning + grace, warning)),
                    Err(Beyond) => each(Waits::Warning, self.mark + grace, self.mark), // for Python to find out
                }
            }
            State::Breached | State::Closed if self.last == NEVER => {
                let last = self.decided_at + terms.rules.horizon;
                each(Waits::Final, last, last);
            }
            _ => {}
        }
    }

    /// How it rests, as `shared/sla/leaving.py` says it: (since, final); None while it is open.
    pub fn rest(&self) -> Option<(Ms, Ms)> {
        match self.state {
            State::Met => Some((-FOREVER, -FOREVER)),
            State::Closed => Some((self.decided_at, if self.last == NEVER { FOREVER } else { self.last })),
            _ => None,
        }
    }

    /// Give each instant with what it mostly is, seen from those before it.
    fn guess(&mut self, span: &Span, mut each: impl FnMut(&mut Ms, Ms)) {
        each(&mut self.started, span.first);
        each(&mut self.mark, span.last);
        each(&mut self.paused, 0);
        let worked = self.mark.wrapping_sub(self.started).wrapping_sub(self.paused);
        each(&mut self.used, worked);
        let due = self.started.wrapping_add(self.within).wrapping_add(self.paused);
        each(&mut self.due, if self.state == State::Paused { NEVER } else { due });
        each(&mut self.armed_for, if self.due == NEVER { due } else { self.due });
        each(&mut self.stopped, if matches!(self.state, State::Met | State::Closed) { self.mark } else { NEVER });
        each(&mut self.decided_at, if matches!(self.state, State::Running | State::Paused) { 0 } else { span.touched });
        each(&mut self.last, NEVER);
    }

    /// Append one as a case keeps it: its state, and which instants are other than guessed, as bits; then those.
    pub fn put(clock: Option<&Clock>, out: &mut Pack, span: &Span) {
        let Some(mut clock) = clock.copied() else { return out.u8(NONE) };
        let at = out.0.len();
        out.u16(0);
        let (mut bits, mut bit) = (clock.state as u16, 1 << STATE_BITS);
        let unit = if clock.within % MINUTE == 0 { MINUTE } else { 1 };
        if unit == 1 {
            bits |= UNEVEN;
        }
        out.step(0, clock.within / unit);
        clock.guess(span, |instant, guess| {
            if *instant != guess {
                bits |= bit;
                out.step(guess, *instant);
            }
            bit <<= 1;
        });
        out.0[at..at + 2].copy_from_slice(&bits.to_le_bytes());
        out.number(u64::from(clock.noted));
        out.number(u64::from(clock.rules) << TARGET_BITS | u64::from(clock.target.min(MANY)));
        if clock.target >= MANY {
            out.u8(clock.target);
        }
    }

    /// What `put` appended.
    pub fn take(from: &mut Unpack, span: &Span) -> Option<Clock> {
        let low = from.u8();
        if low == NONE {
            return None;
        }
        let bits = u16::from_le_bytes([low, from.u8()]);
        let mut bit = 1 << STATE_BITS;
        let mut clock = Clock { state: State::of(low & ((1 << STATE_BITS) - 1)), ..NOTHING };
        clock.within = from.step(0) * if bits & UNEVEN == 0 { MINUTE } else { 1 };
        clock.guess(span, |instant, guess| {
            *instant = if bits & bit != 0 { from.step(guess) } else { guess };
            bit <<= 1;
        });
        clock.noted = from.number() as u32;
        let number = from.number();
        clock.rules = (number >> TARGET_BITS) as u16;
        clock.target = number as u8 & MANY;
        if clock.target == MANY {
            clock.target = from.u8();
        }
        Some(clock)
    }

    /// Its instants in the order in which they are packed for a checkpoint or for Python.
    fn instants(&mut self) -> [&mut Ms; 10] {
        let Clock { started, mark, due, armed_for, used, paused, stopped, decided_at, last, within, .. } = self;
        [started, mark, due, armed_for, used, paused, stopped, decided_at, last, within]
    }

    pub fn pack(clock: Option<&Clock>, out: &mut Pack) {
        out.u8(clock.map_or(u8::MAX, |clock| clock.state as u8));
        if let Some(mut clock) = clock.copied() {
            clock.instants().into_iter().for_each(|instant| out.i64(*instant));
            out.u32(clock.noted);
            out.u16(clock.rules);
            out.u8(clock.target);
        }
    }

    /// What `pack` wrote.
    pub fn unpack(from: &mut Unpack, numbers: &Numbers) -> Option<Clock> {
        let state = from.u8();
        (state != u8::MAX).then(|| {
            let mut clock = Clock { state: State::of(state), ..NOTHING };
            clock.instants().into_iter().for_each(|instant| *instant = from.i64());
            clock.noted = from.u32();
            clock.rules = numbers.rules(u32::from(from.u16())) as u16;
            clock.target = from.u8();
            clock
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::hash;

    #[test]
    fn clocks_are_kept_as_they_are() {
        let some = [0, 1, NEVER, FOREVER, -FOREVER, Ms::MAX, 900_000, 1_772_323_200_000, 1_772_323_201_000, 1_772_324_100_000];
        for round in 0..50_000u64 {
            let mut drawn = hash(round, b"");
            let mut draw = || {
                drawn = hash(drawn, b"next");
                some[drawn as usize % some.len()]
            };
            let span = Span { first: draw(), last: draw(), touched: draw() };
            let mut clock = Clock {
                state: State::of((round % 5) as u8),
                noted: round as u32 * 7_919,
                rules: 300,
                target: (round % 9) as u8,
                ..NOTHING
            };
            clock.instants().into_iter().for_each(|instant| *instant = draw());
            let (mut kept, mut packed, mut again) = (Vec::new(), Vec::new(), Vec::new());
            Clock::put(Some(&clock), &mut Pack(&mut kept), &span);
            Clock::put(None, &mut Pack(&mut kept), &span);
            let mut from = Unpack(&kept);
            let found = Clock::take(&mut from, &span);
            assert!(Clock::take(&mut from, &span).is_none() && from.is_empty());
            Clock::pack(Some(&clock), &mut Pack(&mut packed));
            Clock::pack(found.as_ref(), &mut Pack(&mut again));
            assert_eq!(packed, again);
            let read = Clock::unpack(&mut Unpack(&packed), &Numbers::default());
            again.clear();
            Clock::pack(read.as_ref(), &mut Pack(&mut again));
            assert_eq!(packed, again);
        }
    }
}
