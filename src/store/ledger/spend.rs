//! What was spent: requests added up by day, upstream, model and user.

use crate::store::row::Row;
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::day::Day;

/// The requests of one day that have all of this in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The day in UTC on which they came.
    pub day: Day,
    /// Whether they ended on a later one.
    pub over_midnight: bool,
    /// The upstream that answered, if one did.
    pub upstream: Option<String>,
    /// The model that answered; where none did, the one that was asked for.
    pub model: Option<String>,
    /// The tenant's name, or its id where it is gone.
    pub tenant: Option<String>,
    /// The user's name, or its id where it is gone.
    pub user: Option<String>,
    /// The user's id.
    pub user_id: Option<String>,
    /// `priced`, `estimated`, `unknown` or `none`.
    pub cost_state: String,
    /// How many there are.
    pub requests: i64,
    /// How many of them a crash cut off before they were counted.
    pub uncounted: i64,
    /// Input tokens that no cache knew.
    pub input: i64,
    /// Output tokens.
    pub output: i64,
    /// Input tokens read from a cache.
    pub cache_read: i64,
    /// Input tokens written to a cache for five minutes.
    pub cache_write_5m: i64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h: i64,
    /// What is known of their cost, in micro-dollars.
    pub cost: i64,
}

impl Store {
    /// What was spent on requests that came from `from` on and before `to`, and ended.
    pub async fn spend(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Spend>, StoreError> {
        let sums = Statement::each(
            "SELECT opened_at / 86400000000 AS day, closed_at / 86400000000 > opened_at / 86400000000 AS over_midnight,
             upstream, coalesce(served_model, requested_model) AS model,
             coalesce(max(tenants.name), max(ai_requests.tenant_id)) AS tenant,
             coalesce(max(users.name), max(user_id)) AS user_name, user_id, coalesce(cost_state, 'none') AS state,
             count(*) AS requests, count(*) - count(output_tokens) AS uncounted,
             CAST(coalesce(sum(input_tokens), 0) AS INTEGER) AS input,
             CAST(coalesce(sum(output_tokens), 0) AS INTEGER) AS output,
             CAST(coalesce(sum(cache_read_tokens), 0) AS INTEGER) AS cache_read,
             CAST(coalesce(sum(cache_write_5m_tokens), 0) AS INTEGER) AS cache_write_5m,
             CAST(coalesce(sum(cache_write_1h_tokens), 0) AS INTEGER) AS cache_write_1h,
             CAST(coalesce(sum(cost_microdollars), 0) AS INTEGER) AS cost
             FROM ai_requests LEFT JOIN users ON users.id = user_id LEFT JOIN tenants ON tenants.id = ai_requests.tenant_id
             WHERE opened_at >= $1 AND opened_at < $2 AND outcome NOT IN ('open', 'denied')
             GROUP BY 1, 2, 3, 4, user_id, 8 ORDER BY 1, 3, 4, user_id, 8",
            "SELECT floor(extract(epoch FROM opened_at) / 86400)::bigint AS day,
             floor(extract(epoch FROM closed_at) / 86400) > floor(extract(epoch FROM opened_at) / 86400) AS over_midnight,
             upstream, coalesce(served_model, requested_model) AS model,
             coalesce(max(tenants.name), max(ai_requests.tenant_id::text)) AS tenant,
             coalesce(max(users.name), max(user_id::text)) AS user_name, user_id, coalesce(cost_state, 'none') AS state,
             count(*) AS requests, count(*) - count(output_tokens) AS uncounted,
             coalesce(sum(input_tokens), 0)::bigint AS input,
             coalesce(sum(output_tokens), 0)::bigint AS output,
             coalesce(sum(cache_read_tokens), 0)::bigint AS cache_read,
             coalesce(sum(cache_write_5m_tokens), 0)::bigint AS cache_write_5m,
             coalesce(sum(cache_write_1h_tokens), 0)::bigint AS cache_write_1h,
             coalesce(sum(cost_microdollars), 0)::bigint AS cost
             FROM ai_requests LEFT JOIN users ON users.id = user_id LEFT JOIN tenants ON tenants.id = ai_requests.tenant_id
             WHERE opened_at >= $1 AND opened_at < $2 AND outcome NOT IN ('open', 'denied')
             GROUP BY 1, 2, 3, 4, user_id, 8 ORDER BY 1, 3, 4, user_id, 8",
        );
        let rows = self
            .rows("add up what was spent", sums.bind(from).bind(to))
            .await?;
        rows.iter().map(spend).collect()
    }

    /// Every membership: the user's id and the team's name.
    pub async fn memberships(&self) -> Result<Vec<(String, String)>, StoreError> {
        let all = Statement::of("SELECT user_id, team_name FROM team_members ORDER BY team_name, user_id");
        let rows = self.rows("read who is in which team", all).await?;
        let pair = |row: &Row| Ok((row.id_text("user_id")?, row.get("team_name")?));
        rows.iter().map(pair).collect()
    }
}

fn spend(row: &Row) -> Result<Spend, StoreError> {
    Ok(Spend {
        day: Day::new(row.get("day")?),
        over_midnight: row.get("over_midnight")?,
        upstream: row.get("upstream")?,
        model: row.get("model")?,
        tenant: row.get("tenant")?,
        user: row.get("user_name")?,
        user_id: row.id_text_if_any("user_id")?,
        cost_state: row.get("state")?,
        requests: row.get("requests")?,
        uncounted: row.get("uncounted")?,
        input: row.get("input")?,
        output: row.get("output")?,
        cache_read: row.get("cache_read")?,
        cache_write_5m: row.get("cache_write_5m")?,
        cache_write_1h: row.get("cache_write_1h")?,
        cost: row.get("cost")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Site;
    use crate::store::ledger::{Batch, RequestRow};

    fn row(last: u8, opened_at: i64, closed_at: i64, state: &str, output: Option<i64>) -> RequestRow {
        RequestRow {
            request_id: format!("01934e1c-0000-7000-8000-0000000000{last:02x}"),
            user_id: Some("01934e1c-0000-7000-8000-000000000001".into()),
            opened_at,
            closed_at: Some(closed_at),
            requested_model: Some("m".into()),
            upstream: Some("u".into()),
            input_tokens: output.map(|_| 7),
            output_tokens: output,
            cost_microdollars: output.map(|output| output * 2),
            cost_state: Some(state.into()),
            outcome: "complete".into(),
            ..RequestRow::default()
        }
    }

    #[tokio::test]
    async fn requests_are_added_up_by_their_utc_day() {
        let site = Site::new();
        let store = site.connect().await;
        let noon = Day::parse("2026-11-21").unwrap().start().unix_micros() + 43_200_000_000;
        let day = 86_400_000_000;
        let mut denied = row(9, noon, noon, "none", None);
        denied.outcome = "denied".into();
        let requests = vec![
            row(1, noon, noon + 1, "priced", Some(10)),
            row(2, noon + 5, noon + 9, "priced", Some(20)),
            row(3, noon + 5, noon + 9, "estimated", Some(1)),
            row(4, noon, noon + day, "priced", Some(5)),
            row(5, noon + day, noon + day, "unknown", None),
            row(6, noon + 2 * day, noon + 2 * day, "priced", Some(5)),
            denied,
        ];
        let batch = Batch {
            requests,
            ..Batch::default()
        };
        store.apply_ledger(&batch).await.unwrap();
        let first = Day::parse("2026-11-21").unwrap();
        let sums = store.spend(first.start(), first.plus(2).start()).await.unwrap();
        let mut shown: Vec<_> = sums
            .iter()
            .map(|sum| {
                (
                    sum.day.to_string(),
                    sum.over_midnight,
                    sum.cost_state.as_str(),
                    sum.requests,
                    sum.uncounted,
                    sum.output,
                    sum.cost,
                )
            })
            .collect();
        shown.sort();
        let (first, second) = ("2026-11-21".to_owned(), "2026-11-22".to_owned());
        let expected = [
            (first.clone(), false, "estimated", 1, 0, 1, 2),
            (first.clone(), false, "priced", 2, 0, 30, 60),
            (first, true, "priced", 1, 0, 5, 10),
            (second, false, "unknown", 1, 1, 0, 0),
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            sums[0].user.as_deref(),
            Some("01934e1c-0000-7000-8000-000000000001")
        );
        assert_eq!(sums[0].input, 7 * sums[0].requests);
        assert!(store.memberships().await.unwrap().is_empty());
    }
}
