//! Shows the answer of the admin service.

use std::io;

use serde_json::{Value, json};

use crate::cli::output::{Output, Table};
use crate::control::admin::answer::{Answer, KeyInfo, RoleInfo, TeamInfo, TenantInfo, UserInfo};
use crate::types::clock::Timestamp;

/// Prints the answer as text or JSON.
pub fn present(answer: &Answer, output: &mut Output) -> io::Result<()> {
    let (said, object) = match answer {
        Answer::Done { what } => (what.clone(), json!({"done": what})),
        Answer::TenantCreated { id, name } => (
            format!("Tenant {name} is created."),
            json!({"id": id, "name": name}),
        ),
        Answer::UserCreated {
            id,
            name,
            teams_created,
        } => {
            for team in teams_created {
                output.remark(&format!("Team {team} did not exist and is created."))?;
            }
            let object = json!({"id": id, "name": name, "teams_created": teams_created});
            (format!("User {name} is created."), object)
        }
        Answer::KeyCreated { id, key, expires_at } => {
            let until = expires_at.map_or_else(|| "it is revoked".to_owned(), |end| end.to_string());
            output.remark(&format!(
                "Key {id}, valid until {until}. It is shown this once; keep it now:"
            ))?;
            let object = json!({"id": id, "key": key.expose(), "expires_at": time(*expires_at)});
            (key.expose().clone(), object)
        }
        Answer::TokenIssued {
            id,
            token,
            expires_at,
        } => {
            output.remark(&format!("Token {id}, valid until {expires_at}:"))?;
            let object = json!({"id": id, "token": token.expose(), "expires_at": time(Some(*expires_at))});
            (token.expose().clone(), object)
        }
        Answer::Tenants { tenants } => return output.table(&tenants_table(tenants)),
        Answer::Users { users } => return output.table(&users_table(users)),
        Answer::Teams { teams } => return output.table(&teams_table(teams)),
        Answer::Roles { roles } => return output.table(&roles_table(roles)),
        Answer::Keys { keys } => return output.table(&keys_table(keys)),
    };
    if output.is_json() {
        output.json(&object)
    } else {
        output.line(&said)
    }
}

fn tenants_table(tenants: &[TenantInfo]) -> Table {
    let row = |tenant: &TenantInfo| {
        vec![
            json!(tenant.name),
            json!(tenant.id),
            time(Some(tenant.created_at)),
            time(tenant.disabled_at),
        ]
    };
    let headings = &["name", "id", "created_at", "disabled_at"];
    Table::new(headings, tenants.iter().map(row).collect())
}

fn users_table(users: &[UserInfo]) -> Table {
    let row = |user: &UserInfo| {
        vec![
            json!(user.tenant),
            json!(user.name),
            json!(user.roles),
            json!(user.teams),
            json!(user.id),
            time(Some(user.created_at)),
            time(user.disabled_at),
        ]
    };
    let headings = &[
        "tenant",
        "name",
        "roles",
        "teams",
        "id",
        "created_at",
        "disabled_at",
    ];
    Table::new(headings, users.iter().map(row).collect())
}

fn teams_table(teams: &[TeamInfo]) -> Table {
    let row = |team: &TeamInfo| vec![json!(team.name), json!(team.members), time(Some(team.created_at))];
    let headings = &["name", "members", "created_at"];
    Table::new(headings, teams.iter().map(row).collect())
}

fn roles_table(roles: &[RoleInfo]) -> Table {
    let row = |role: &RoleInfo| vec![json!(role.name), json!(role.description)];
    Table::new(&["name", "description"], roles.iter().map(row).collect())
}

fn keys_table(keys: &[KeyInfo]) -> Table {
    let row = |key: &KeyInfo| {
        vec![
            json!(key.id),
            json!(key.prefix),
            json!(key.name),
            json!(key.tenant),
            json!(key.user),
            time(Some(key.created_at)),
            time(key.expires_at),
            time(key.revoked_at),
        ]
    };
    let headings = &[
        "id",
        "prefix",
        "name",
        "tenant",
        "user",
        "created_at",
        "expires_at",
        "revoked_at",
    ];
    Table::new(headings, keys.iter().map(row).collect())
}

fn time(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, |moment| Value::String(moment.to_string()))
}
