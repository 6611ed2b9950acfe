//! The border to Python (`shared/sla/swift.py` calls it by ctypes): plain functions over one engine, bytes in, bytes out.
//!
//! Nothing that goes wrong here passes the border: a panic is told as `FAILED`, and Python raises it.

mod blake2b;
mod calendar;
mod case;
mod cases;
mod clock;
mod engine;
mod event;
mod forms;
mod instant;
mod json;
mod names;
mod packing;
mod pages;
mod patterns;
mod rules;
mod table;
mod timers;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Mutex;

use calendar::Calendar;
use case::Numbers;
use clock::Act;
use engine::{Engine, Why};
use packing::{Pack, Unpack};
use rules::{Choice, Desk, Rules, Ruling, Target, SAME};

const FAILED: i64 = i64::MIN;

pub struct Handle {
    engine: Mutex<Engine>,
    answer: Mutex<Vec<u8>>, // of the last call that gives bytes
}

/// What folding came to, for Python.
#[repr(C)]
pub struct Folded {
    count: i64,
    why: i64,
    heads: *const u32, // (desk, kind by rules, length) of each statement
    statements: i64,
    bytes: *const u8,
    length: i64,
    rising: i64,
    leavers: i64,
    moved: i64, // lanes whose log time has moved
    lane: i64,  // where time is to pass, and until when
    until: i64,
    stuck: i64, // how many of the next records are for Python
    cases: i64, // how many are here
}

unsafe fn slice<'a, T>(at: *const T, length: i64) -> &'a [T] {
    if length == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(at, length as usize)
    }
}

fn guarded(handle: *const Handle, work: impl FnOnce(&mut Engine, &mut Vec<u8>) -> i64) -> i64 {
    let handle = unsafe { &*handle };
    catch_unwind(AssertUnwindSafe(|| {
        let mut engine = handle.engine.lock().expect("nothing has failed before");
        let mut answer = handle.answer.lock().expect("nothing has failed before");
        answer.clear();
        work(&mut engine, &mut answer)
    }))
    .unwrap_or(FAILED)
}

#[no_mangle]
pub extern "C" fn swift_new(event_mode: i64, max_skew: i64) -> *mut Handle {
    let seed = RandomState::new().build_hasher().finish(); // no answer depends on it
    let engine = Engine::new(event_mode != 0, max_skew, seed);
    Box::into_raw(Box::new(Handle { engine: Mutex::new(engine), answer: Mutex::default() }))
}

/// # Safety
/// `handle` is of `swift_new`, and not used any more.
#[no_mangle]
pub unsafe extern "C" fn swift_free(handle: *mut Handle) {
    drop(Box::from_raw(handle));
}

/// The answer of the last call, and its length.
///
/// # Safety
/// `handle` is of `swift_new`; what is returned holds until the next call.
#[no_mangle]
pub unsafe extern "C" fn swift_answer(handle: *const Handle, length: *mut i64) -> *const u8 {
    let answer = (*handle).answer.lock().expect("nothing has failed before");
    *length = answer.len() as i64;
    answer.as_ptr()
}

/// # Safety
/// `values` holds the records one behind the other, `ends` where they end in it; `ends` and `arrivals` are `count` long.
#[no_mangle]
pub unsafe extern "C" fn swift_fold(
    handle: *const Handle,
    values: *const u8,
    ends: *const i64,
    arrivals: *const i64,
    first: i64,
    count: i64,
    folded: *mut Folded,
) -> i64 {
    let (ends, arrivals) = (slice(ends, count), slice(arrivals, count));
    let values = slice(values, ends.last().copied().unwrap_or(0));
    let records = (first as usize..count as usize).map(|at| {
        let start = if at == 0 { 0 } else { ends[at - 1] };
        (&values[start as usize..ends[at] as usize], arrivals[at])
    });
    guarded(handle, |engine, _| {
        engine.out.heads.clear();
        engine.out.bytes.clear();
        let (done, why) = engine.fold(records);
        *folded = told(engine, done as i64, why);
        0
    })
}

fn told(engine: &Engine, count: i64, why: Why) -> Folded {
    Folded {
        count,
        why: why as i64,
        heads: engine.out.heads.as_ptr().cast(),
        statements: engine.out.heads.len() as i64,
        bytes: engine.out.bytes.as_ptr(),
        length: engine.out.bytes.len() as i64,
        rising: engine.rising.len() as i64,
        leavers: engine.leavers.len() as i64,
        moved: engine.lanes.iter().filter(|lane| lane.moved).count() as i64,
        lane: i64::from(engine.waits.0),
        until: engine.waits.1,
        stuck: engine.stuck as i64,
        cases: engine.cases.count() as i64,
    }
}

/// Fire the timers of a lane that are called before `until`.
///
/// # Safety
/// As `swift_fold`.
#[no_mangle]
pub unsafe extern "C" fn swift_fire(handle: *const Handle, lane: i64, until: i64, folded: *mut Folded) -> i64 {
    guarded(handle, |engine, _| {
        engine.out.heads.clear();
        engine.out.bytes.clear();
        let why = engine.fire(lane as u32, until);
        *folded = told(engine, 0, why);
        0
    })
}

/// One of the things that Python asks or tells (`Ask` in swift.py); the answer is taken by `swift_answer`.
///
/// # Safety
/// As `swift_fold`.
#[no_mangle]
pub unsafe extern "C" fn swift_ask(handle: *const Handle, what: i64, bytes: *const u8, length: i64) -> i64 {
    let mut from = Unpack(slice(bytes, length));
    guarded(handle, |engine, answer| ask(engine, what, &mut from, answer))
}

fn ask(engine: &mut Engine, what: i64, from: &mut Unpack, answer: &mut Vec<u8>) -> i64 {
    match what {
        0 => set_calendar(engine, from),
        1 => set_rules(engine, from),
        2 => set_desk(engine, from),
        3 => i64::from(engine.add_lane(from.u32())),
        4 => {
            let lane = &mut engine.lanes[from.u32() as usize];
            (lane.seen, lane.python_at) = (from.i64(), from.i64());
            0
        }
        5 => {
            let door = &mut engine.lanes[from.u32() as usize].door;
            door.last_pulse = from.i64();
            let ends = from.longs();
            door.stretches = ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            0
        }
        6 => {
            let mut out = Pack(answer);
            for (number, lane) in engine.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.moved) {
                lane.moved = false;
                out.i64(number as i64);
                out.i64(lane.seen);
            }
            0
        }
        7 => {
            let lane = from.u32();
            engine.next_at(lane)
        }
        8 => engine.name(from.long()).map_or(-1, i64::from),
        9 => {
            answer.extend_from_slice(engine.names.text(from.u32()));
            0
        }
        10 => {
            while !from.is_empty() {
                match (from.u8(), from.u32()) {
                    (0, desk) => engine.note(desk, from.short(), from.short(), from.short()),
                    (1, desk) => engine.forget(desk, from.short(), from.short()),
                    (_, desk) => engine.forget_case(desk, from.short()),
                }
            }
            0
        }
        12 => up(engine, from, answer),
        13 => {
            for number in std::mem::take(&mut engine.rising) {
                engine.take_out(number, true, answer);
            }
            0
        }
        14 => {
            for number in std::mem::take(&mut engine.leavers) {
                engine.take_out(number, false, answer);
            }
            0
        }
        15 => {
            let desk = from.u32();
            for number in engine.numbers_of(desk) {
                engine.take_out(number, true, answer);
            }
            0
        }
        16 => {
            let (number, desk, bytes) = (from.u32(), from.u32(), from.u32());
            i64::from(engine.copy(number, (desk != u32::MAX).then_some(desk), bytes as usize, answer))
        }
        17 => {
            let numbers = Numbers { names: from.numbers(), desks: from.numbers(), rules: from.numbers() };
            engine.put_in(from, &numbers)
        }
        18 => {
            let (desk, name) = (from.u32(), from.short());
            engine.find(desk, name).map_or(-1, |number| {
                engine.copy_one(number, answer);
                0
            })
        }
        19 => {
            let mut out = Pack(answer);
            out.i64(std::mem::take(&mut engine.counts.read));
            out.i64(std::mem::take(&mut engine.counts.duplicates));
            0
        }
        20 => {
            let mut out = Pack(answer);
            for rules in &engine.rules {
                rules.counts.iter().for_each(|&count| out.i64(count));
            }
            0
        }
        21 => {
            let mut out = Pack(answer);
            (0..engine.names.len()).for_each(|number| out.long(engine.names.text(number as u32)));
            0
        }
        22 => {
            engine.known = from.u32();
            0
        }
        23 => {
            let lane = from.u32();
            i64::from(engine.let_go_of_some(lane))
        }
        24 => {
            let lane = from.u32();
            engine.rise_at(lane, from.i64());
            0
        }
        26 => {
            let desk = from.u32() as usize;
            engine.desks[desk].gone.extend(from.longs().into_iter().map(|mark| mark as u64));
            0
        }
        27 => {
            let mut out = Pack(answer);
            out.short(&engine.unknown.0);
            out.short(&engine.unknown.1);
            0
        }
        28 => {
            engine.sort_lines();
            0
        }
        29 => {
            let bytes = from.u32() as usize;
            engine.write_lines(bytes, answer).map_or(FAILED, i64::from)
        }
        _ => FAILED,
    }
}

fn set_calendar(engine: &mut Engine, from: &mut Unpack) -> i64 {
    let number = from.u32() as usize;
    let calendar = Calendar {
        always: from.u8() != 0,
        from: from.i64(),
        to: from.i64(),
        known_from: from.i64(),
        known_to: from.i64(),
        starts: from.longs(),
        ends: from.longs(),
        before: from.longs(),
        through: from.longs(),
    };
    if number == engine.calendars.len() {
        engine.calendars.push(calendar);
    } else {
        engine.calendars[number] = calendar;
    }
    number as i64
}

fn set_rules(engine: &mut Engine, from: &mut Unpack) -> i64 {
    let (grace, horizon, next_open) = (from.i64(), from.i64(), from.u8() != 0);
    let acts = (0..from.u32()).map(|_| (from.u32(), Act::of(from.u8()))).collect();
    let targets =
        (0..from.u8()).map(|_| Target { within: from.i64(), calendar: from.u32(), warnings: from.longs().into_boxed_slice() }).collect();
    let or_none = |number: u8| (number != u8::MAX).then_some(number);
    let choice = match from.u8() {
        0 => Choice::Always(from.u8()),
        1 => Choice::Table {
            field: from.long().into(),
            otherwise: or_none(from.u8()),
            by_value: (0..from.u32()).map(|_| (from.long().into(), from.u8())).collect(),
        },
        _ => Choice::Python,
    };
    let key = [from.long().into(), from.long().into()];
    let cause = from.long().into();
    let [statement, line] = [(); 2].map(|()| form(from));
    engine.rules.push(Rules { grace, horizon, next_open, acts, choice, targets, key, statement, line, cause, counts: [0; 5] });
    engine.rules.len() as i64 - 1
}

fn form(from: &mut Unpack) -> Box<[u8]> {
    let count = from.u32();
    let all = from.0;
    for _ in 0..count {
        if from.u8() == SAME {
            from.long();
        }
    }
    all[..all.len() - from.0.len()].into()
}

fn set_desk(engine: &mut Engine, from: &mut Unpack) -> i64 {
    let (vendor, service): (Box<[u8]>, Box<[u8]>) = (from.short().into(), from.short().into());
    let (lane, horizon, last_gone, open) = (from.u32(), from.i64(), from.i64(), from.u8() != 0);
    let rulings: Vec<Ruling> = (0..from.u32())
        .map(|_| {
            let rules = from.u32();
            let (begin, end, mark, types) = (from.i64(), from.i64(), from.i64() as u64, from.numbers());
            Ruling { rules: (rules != u32::MAX).then_some(rules), from: begin, to: end, types, mark }
        })
        .collect();
    let open = open && u8::try_from(rulings.len()).is_ok(); // a clock's place is a byte
    i64::from(engine.set_desk(Desk { vendor, service, lane, rulings, horizon, last_gone, open, gone: names::Hashes::default() }))
}

/// Take out the cases that an event speaks of: its own, and those that hold it, or what it replaces.
fn up(engine: &mut Engine, from: &mut Unpack, answer: &mut Vec<u8>) -> i64 {
    let (vendor, service, case) = (from.short(), from.short(), from.short());
    let (source, id, replaces) = (from.short(), from.short(), from.short());
    let own = engine.desk(vendor, service).and_then(|desk| engine.find(desk, case));
    let holders = [id, replaces].map(|id| engine.holder(vendor, source, id));
    for number in [own, holders[0], holders[1]].into_iter().flatten() {
        engine.take_out(number, true, answer);
    }
    0
}
