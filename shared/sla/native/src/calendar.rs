//! Working time, as `shared/sla/calendars.py` counts it, over the part of a calendar that was told. `None`: beyond that part.

use crate::instant::Ms;

#[derive(Default)]
pub struct Calendar {
    pub always: bool,
    pub from: Ms, // instants that may be asked for
    pub to: Ms,
    pub known_from: Ms, // outside of these a due is provisional
    pub known_to: Ms,
    pub starts: Vec<Ms>,
    pub ends: Vec<Ms>,
    pub before: Vec<Ms>,
    pub through: Vec<Ms>,
}

impl Calendar {
    fn at(&self, instant: Ms) -> Ms {
        match self.starts.partition_point(|&start| start <= instant).checked_sub(1) {
            None => 0,
            Some(i) if instant >= self.ends[i] => self.through[i],
            Some(i) => self.before[i] + instant - self.starts[i],
        }
    }

    /// Working time in [start, end).
    pub fn worked(&self, start: Ms, end: Ms) -> Option<Ms> {
        if end <= start {
            return Some(0);
        }
        if self.always {
            return Some(end - start);
        }
        (start >= self.from && end <= self.to).then(|| self.at(end) - self.at(start))
    }

    /// The earliest instant at which `amount` of working time is used from `start` on.
    pub fn advance(&self, start: Ms, amount: Ms, next_open: bool) -> Option<Ms> {
        let amount = amount.max(0);
        if self.always || (amount == 0 && !next_open) {
            return Some(start + amount);
        }
        if start < self.from || start + amount > self.to {
            return None;
        }
        let wanted = self.at(start) + amount;
        let i = self.through.partition_point(|&through| if next_open { through <= wanted } else { through < wanted });
        (i < self.through.len()).then(|| (self.starts[i] + wanted - self.before[i]).max(start))
    }

    pub fn is_provisional(&self, instant: Ms) -> bool {
        instant < self.known_from || instant >= self.known_to
    }
}
