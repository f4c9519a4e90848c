//! Times of day and days of the week, in UTC.

use std::fmt;

use serde::Deserialize;

use crate::types::clock::Timestamp;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday
    Mon,
    /// Tuesday
    Tue,
    /// Wednesday
    Wed,
    /// Thursday
    Thu,
    /// Friday
    Fri,
    /// Saturday
    Sat,
    /// Sunday
    Sun,
}

impl Weekday {
    /// The day of the week of a moment, in UTC.
    pub const fn of(moment: Timestamp) -> Self {
        // 1970-01-01 was a Thursday.
        match moment.unix_seconds().div_euclid(86_400).rem_euclid(7) {
            0 => Self::Thu,
            1 => Self::Fri,
            2 => Self::Sat,
            3 => Self::Sun,
            4 => Self::Mon,
            5 => Self::Tue,
            _ => Self::Wed,
        }
    }

    /// Its name, as configurations spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }
}

/// A part of every day in UTC, such as `08:00-18:00`: the first minute belongs to it, the last does
/// not. `22:00-06:00` goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Hours {
    from_minute: u16,
    to_minute: u16,
}

impl Hours {
    /// Whether a moment lies in it.
    pub fn contain(self, moment: Timestamp) -> bool {
        let minute = moment.unix_seconds().rem_euclid(86_400) / 60;
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from < to {
            (from..to).contains(&minute)
        } else {
            minute >= from || minute < to
        }
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ends = text.split_once('-');
        let read = ends.and_then(|(from, to)| Some((minute_of_day(from)?, minute_of_day(to)?)));
        match read {
            Some((from_minute, to_minute)) if from_minute != to_minute && from_minute < DAY_MINUTES => {
                Ok(Self {
                    from_minute,
                    to_minute,
                })
            }
            _ => Err(format!(
                "`{text}` is no part of a day: write two different times in UTC, such as \"08:00-18:00\" or \"22:00-06:00\""
            )),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_minute, self.to_minute);
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            from / 60,
            from % 60,
            to / 60,
            to % 60
        )
    }
}

/// The minute of `HH:MM`, up to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21, a Saturday, at this hour and minute.
    fn saturday(hour: i64, minute: i64) -> Timestamp {
        let midnight = 1_795_219_200;
        Timestamp::from_unix_micros((midnight + hour * 3_600 + minute * 60) * 1_000_000)
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_go_over_midnight() {
        let check = |text: &str, (hour, minute): (i64, i64), expected: bool| {
            let hours = Hours::try_from(text.to_owned()).unwrap();
            assert_eq!(
                hours.contain(saturday(hour, minute)),
                expected,
                "{text} {hour}:{minute}"
            );
            assert_eq!(hours.to_string(), text);
        };
        check("08:00-18:00", (8, 0), true);
        check("08:00-18:00", (7, 59), false);
        check("08:00-18:00", (17, 59), true);
        check("08:00-18:00", (18, 0), false);
        check("22:00-06:00", (23, 0), true);
        check("22:00-06:00", (0, 0), true);
        check("22:00-06:00", (6, 0), false);
        check("22:00-06:00", (12, 0), false);
        check("18:30-24:00", (23, 59), true);
        check("18:30-24:00", (0, 0), false);
    }

    #[test]
    fn what_is_no_part_of_a_day_is_refused() {
        for text in [
            "",
            "8:00-18:00",
            "08:00",
            "08:00-25:00",
            "08:60-09:00",
            "08:00-08:00",
            "24:00-06:00",
            "+8:00-09:00",
        ] {
            assert!(Hours::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn days_of_the_week_are_those_of_the_calendar() {
        let day = |days: i64| Weekday::of(Timestamp::from_unix_micros(days * 86_400_000_000));
        assert_eq!(day(0), Weekday::Thu);
        assert_eq!(day(-1), Weekday::Wed);
        assert_eq!(day(4), Weekday::Mon);
        assert_eq!(Weekday::of(saturday(0, 0)), Weekday::Sat);
        assert_eq!(Weekday::of(saturday(24, 0)), Weekday::Sun);
    }
}
