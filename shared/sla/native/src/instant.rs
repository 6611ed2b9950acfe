//! Instants: milliseconds since 1970-01-01T00:00:00Z, from and to RFC 3339, as `shared/sla/instants.py` reads and writes them.

pub type Ms = i64;
pub const SECOND: Ms = 1_000;
pub const MINUTE: Ms = 60 * SECOND;
pub const HOUR: Ms = 60 * MINUTE;
pub const DAY: Ms = 24 * HOUR;
pub const FOREVER: Ms = 1 << 62;

fn number(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |sum, &digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn length_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// The instant of a text such as `2026-03-02T08:30:00.250Z` or `…+08:00`; None: not of these forms, or not from 1971 to 9998.
pub fn parse(text: &[u8]) -> Option<Ms> {
    if text.len() < 20 || text[4] != b'-' || text[7] != b'-' || text[10] != b'T' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    let in_range = (1971..9999).contains(&year) && (1..=12).contains(&month) && day >= 1 && day <= length_of(year, month);
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut millis = 0;
    if text[at] == b'.' {
        let start = at + 1;
        at = start + text[start..].iter().take_while(|digit| digit.is_ascii_digit()).count();
        if at == start {
            return None;
        }
        for place in 0..3 {
            millis = millis * 10 + if start + place < at { i64::from(text[start + place] - b'0') } else { 0 };
        }
    }
    let local = days_of(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second * SECOND + millis;
    match &text[at..] {
        b"Z" => Some(local),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * HOUR + minutes * MINUTE;
            Some(if *sign == b'+' { local - offset } else { local + offset })
        }
        _ => None,
    }
}

fn put(out: &mut Vec<u8>, value: i64, digits: u32) {
    let mut text = [b'0'; 19];
    let mut rest = value as u64;
    for place in (0..digits as usize).rev() {
        text[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[..digits as usize]);
}

/// RFC 3339 in UTC, fractions only where there are any.
pub fn write(out: &mut Vec<u8>, instant: Ms) {
    let (days, rest) = (instant.div_euclid(DAY), instant.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    put(out, year_of_era + era * 400 + i64::from(month <= 2), 4);
    out.push(b'-');
    put(out, month, 2);
    out.push(b'-');
    put(out, of_year - (153 * shifted_month + 2) / 5 + 1, 2);
    out.push(b'T');
    put(out, rest / HOUR, 2);
    out.push(b':');
    put(out, rest / MINUTE % 60, 2);
    out.push(b':');
    put(out, rest / SECOND % 60, 2);
    if rest % SECOND != 0 {
        out.push(b'.');
        put(out, rest % SECOND, 3);
    }
    out.push(b'Z');
}

/// A whole number, not negative, in as many digits as it has.
pub fn write_whole(out: &mut Vec<u8>, value: i64) {
    let digits = 1 + value.max(1).ilog10();
    put(out, value, digits);
}

/// A duration in seconds, not negative, as JSON: a whole number where it is one.
pub fn write_seconds(out: &mut Vec<u8>, duration: Ms) {
    write_whole(out, duration / SECOND);
    let mut rest = duration % SECOND;
    if rest != 0 {
        let mut digits = 3;
        while rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        out.push(b'.');
        put(out, rest, digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_short_as_they_can_be() {
        for (duration, wanted) in [(0, "0"), (90_000, "90"), (1_500, "1.5"), (1_050, "1.05"), (7, "0.007"), (12_345_678, "12345.678")] {
            let mut out = Vec::new();
            write_seconds(&mut out, duration);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn instants_go_there_and_back() {
        for text in ["2026-03-02T08:30:00Z", "2024-02-29T23:59:59.250Z", "1999-12-31T00:00:00.001Z", "2100-03-01T00:00:00Z"] {
            let mut out = Vec::new();
            write(&mut out, parse(text.as_bytes()).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(parse(b"1971-01-01T08:00:00+08:00"), Some(365 * DAY));
        assert_eq!(parse(b"2026-02-29T00:00:00Z"), None);
        assert_eq!(parse(b"2026-02-28T24:00:00Z"), None);
        assert_eq!(parse(b"2026-02-28T00:00:60Z"), None);
    }
}
