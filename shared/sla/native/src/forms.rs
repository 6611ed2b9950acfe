//! Statements and lines as bytes: forms that Python made (`shared/wire/forms.py`), their blanks filled in.

use crate::blake2b;
use crate::case::{Kept, Story};
use crate::clock::{Beyond, Clock, Plain, State, Terms, View, NEVER};
use crate::instant::{self, Ms};
use crate::packing::Unpack;
use crate::rules::{Desk, SAME};

/// What is said of a clock.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Met,
    Opened,
    Closed,
    Final,
}

impl Kind {
    pub const COUNT: u32 = 4;

    fn name(self) -> &'static [u8] {
        match self {
            Kind::Met => b"slawatch.clock.met",
            Kind::Opened => b"slawatch.breach.opened",
            Kind::Closed => b"slawatch.breach.closed",
            Kind::Final => b"slawatch.breach.final",
        }
    }

    fn revision(self, state: State) -> &'static [u8] {
        match (self, state) {
            (Kind::Met, _) => b"None",
            (Kind::Opened, _) | (Kind::Final, State::Breached) => b"0",
            _ => b"1",
        }
    }
}

/// What is said and is not in the record: `time` is the instant spoken of.
pub struct Said {
    pub kind: Kind,
    pub time: Ms,
    pub decided_at: Ms,
}

/// `identity` of `shared/sla/statements.py`. `scratch` is overwritten.
fn identity(scratch: &mut Vec<u8>, parts: &[&[u8]]) -> [u8; 32] {
    scratch.clear();
    for (i, part) in parts.iter().enumerate() {
        scratch.extend_from_slice(if i == 0 { b"[" } else { b", " });
        let characters = part.iter().filter(|&&byte| byte & 0xc0 != 0x80).count(); // as Python counts them
        instant::write_whole(scratch, characters as i64);
    }
    scratch.push(b']');
    parts.iter().for_each(|part| scratch.extend_from_slice(part));
    blake2b::digits(scratch)
}

fn put_instant(out: &mut Vec<u8>, instant: Ms) {
    if instant == NEVER {
        out.extend_from_slice(b"null");
    } else {
        out.push(b'"');
        instant::write(out, instant);
        out.push(b'"');
    }
}

fn put_seconds(out: &mut Vec<u8>, duration: Ms) {
    if duration == NEVER {
        out.extend_from_slice(b"null");
    } else {
        instant::write_seconds(out, duration);
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text); // it came without escapes, and needs none
    out.push(b'"');
}

/// What fills those blanks that a clock does not.
struct Told<'a> {
    id: [u8; 32],
    breach_id: [u8; 32],
    kind: &'a [u8],
    time: Ms,
    revision: &'a [u8],
    cause: &'a [u8],
    decided_at: Ms,
}

/// Append the bytes of a statement. `scratch` is overwritten.
pub fn write(out: &mut Vec<u8>, scratch: &mut Vec<u8>, said: &Said, clock: &Clock, terms: &Terms, story: &Story, desk: &Desk) -> Plain<()> {
    if said.time < 0 || said.decided_at < 0 {
        return Err(Beyond);
    }
    let rules = terms.rules;
    let [agreement, objective] = [&*rules.key[0], &*rules.key[1]];
    let breach_id = identity(scratch, &[agreement, objective, &desk.vendor, &desk.service, story.name]);
    let revision = said.kind.revision(clock.state);
    let id = identity(scratch, &[&breach_id, revision, said.kind.name()]);
    let of_breach = said.kind != Kind::Met;
    let told = Told {
        id,
        breach_id,
        kind: said.kind.name(),
        time: said.time,
        revision: if of_breach { revision } else { b"null" },
        cause: if of_breach { &rules.cause } else { b"null" },
        decided_at: said.decided_at,
    };
    let view = clock.view(terms, said.decided_at)?;
    fill(out, &rules.statement, &told, &view, clock, terms, story, desk);
    Ok(())
}

/// Append the line of a clock in `cases.ndjson`, as it stands at `log_time`.
pub fn write_line(out: &mut Vec<u8>, log_time: Ms, clock: &Clock, terms: &Terms, story: &Story, desk: &Desk) -> Plain<()> {
    let revision: &[u8] = match clock.state {
        State::Breached => b"0",
        State::Closed => b"1",
        _ => b"null",
    };
    let nothing = [0; 32];
    let told = Told { id: nothing, breach_id: nothing, kind: b"", time: NEVER, revision, cause: b"", decided_at: NEVER };
    fill(out, &terms.rules.line, &told, &clock.view(terms, log_time)?, clock, terms, story, desk);
    Ok(())
}

#[allow(clippy::too_many_arguments)] // each is a part of what is told
fn fill(out: &mut Vec<u8>, form: &[u8], told: &Told, view: &View, clock: &Clock, terms: &Terms, story: &Story, desk: &Desk) {
    let mut form = Unpack(form);
    while !form.is_empty() {
        match form.u8() {
            SAME => out.extend_from_slice(form.long()),
            0 => out.extend_from_slice(&told.id),
            1 => out.extend_from_slice(story.name),
            2 => out.extend_from_slice(told.kind),
            3 => put_instant(out, told.time),
            4 => out.extend_from_slice(&desk.vendor),
            5 => out.extend_from_slice(&desk.service),
            6 => out.extend_from_slice(&told.breach_id),
            7 => out.extend_from_slice(told.revision),
            8 => put_text(out, story.name),
            9 => out.extend_from_slice(clock.state.name()),
            10 => put_instant(out, clock.started),
            11 => put_instant(out, clock.due),
            12 => put_instant(out, clock.stopped),
            13 => put_seconds(out, view.used),
            14 => put_seconds(out, clock.within),
            15 => put_seconds(out, view.paused),
            16 => put_seconds(out, view.late),
            17 => put_seconds(out, view.overdue),
            18 => out.extend_from_slice(told.cause),
            19 => out.extend_from_slice(if terms.calendar.is_provisional(clock.due) { b"true" } else { b"false" }),
            20 => put_evidence(out, clock, story),
            _ => put_instant(out, told.decided_at),
        }
    }
}

/// The ids of the evidence that did something to a clock.
fn put_evidence(out: &mut Vec<u8>, clock: &Clock, story: &Story) {
    let (case, mut first) = (story.case, true);
    let mut between = |out: &mut Vec<u8>| {
        out.extend_from_slice(if first { b"\"" } else { b",\"" });
        first = false;
    };
    out.push(b'[');
    for (_, Kept(event)) in case.events(story.patterns).enumerate().filter(|(place, _)| clock.noted >> place & 1 != 0) {
        between(out);
        story.patterns.write(event.id, story.name, out);
        out.push(b'"');
    }
    if let Some(event) = story.coming.filter(|_| clock.noted >> case.count & 1 != 0) {
        between(out);
        out.extend_from_slice(event.id);
        out.push(b'"');
    }
    out.push(b']');
}
