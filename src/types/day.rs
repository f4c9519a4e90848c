//! Days in UTC, by which costs are added up.

use std::fmt;

use crate::types::clock::Timestamp;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day of this number, counted from 1970-01-01.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The day of this moment.
    pub const fn of(moment: Timestamp) -> Self {
        Self(moment.unix_micros().div_euclid(DAY_MICROS))
    }

    /// When it begins.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.saturating_mul(DAY_MICROS))
    }

    /// The day so many days later, or earlier where it is negative.
    pub const fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The first day of its month.
    pub fn month_start(self) -> Self {
        let date = self.to_string();
        let day: i64 = date.get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1);
        self.plus(1 - day)
    }

    /// The day of a date, `2026-11-21`.
    pub fn parse(date: &str) -> Option<Self> {
        let mut parts = date.splitn(3, '-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<i64>().ok().filter(|_| is_number)
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        // Days from 0000-03-01, so that the leap day is the last of its year.
        let shifted = if month > 2 { year } else { year - 1 };
        let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let found = Self(era * 146_097 + day_of_era - 719_468);
        // Only a date that exists prints as it was written.
        (found.to_string() == date).then_some(found)
    }
}

/// The date: `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.start().to_string();
        f.write_str(moment.split('T').next().unwrap_or_default())
    }
}

/// A moment as RFC 3339 writes it in UTC, to the second: `2026-11-21T12:00:00Z`, a fraction left out.
pub fn moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?;
    let time = time.split('.').next()?;
    let mut parts = time
        .split(':')
        .map(|part| part.parse::<i64>().ok().filter(|part| (0..60).contains(part)));
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(seconds) => seconds?,
        None => 0,
    };
    let micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
    Some(Timestamp::from_unix_micros(
        Day::parse(date)?.start().unix_micros().saturating_add(micros),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_printed() {
        for date in [
            "1970-01-01",
            "2000-02-29",
            "2024-02-29",
            "2026-11-21",
            "1999-12-31",
        ] {
            assert_eq!(Day::parse(date).unwrap().to_string(), date);
        }
        assert_eq!(Day::parse("2026-11-21"), Some(Day::new(20_778)));
        for none in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "26-11-21",
            "2026-11-+1",
            "today",
            "",
        ] {
            assert_eq!(Day::parse(none), None, "{none}");
        }
        let day = Day::parse("2024-03-01").unwrap();
        assert_eq!(day.plus(-1).to_string(), "2024-02-29");
        assert_eq!(day.plus(20).month_start(), day);
        assert_eq!(Day::of(day.start()), day);
    }

    #[test]
    fn moments_are_in_utc_or_not_read() {
        let noon = Timestamp::from_unix_micros(1_795_262_400_000_000);
        for text in [
            "2026-11-21T12:00:00Z",
            "2026-11-21T12:00:00.5Z",
            "2026-11-21T12:00:00+00:00",
        ] {
            assert_eq!(moment(text), Some(noon), "{text}");
        }
        for none in [
            "2026-11-21T12:00:00+01:00",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "x",
        ] {
            assert_eq!(moment(none), None, "{none}");
        }
    }
}
