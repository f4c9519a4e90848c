//! A conversation that began over one upstream goes on over any other: what only its maker takes back, the maker
//! gets as it was, and nobody else does.

use serde_json::{Value, json};

use crate::support::client::Call;
use crate::support::columns::{Column, Table};

/// One of the APIs that clients speak: how a conversation is told in it.
struct Api {
    path: &'static str,
    /// The member that holds the conversation.
    turns: &'static str,
    /// The tool that is offered.
    tool: fn() -> Value,
    /// What an answer adds to the conversation, with the result of its only call.
    goes_on: fn(&Value) -> Vec<Value>,
    /// The text of an answer.
    text: fn(&Value) -> &Value,
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

const APIS: [Api; 3] = [
    Api {
        path: "/v1/messages",
        turns: "messages",
        tool: || json!({"name": "get_weather", "input_schema": schema()}),
        goes_on: |answer| {
            let content = answer["content"].as_array().unwrap();
            let call = content.iter().find(|block| block["type"] == "tool_use").unwrap();
            let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "18 degrees"});
            vec![
                json!({"role": "assistant", "content": content}),
                json!({"role": "user", "content": [result]}),
            ]
        },
        text: |answer| &answer["content"][0]["text"],
    },
    Api {
        path: "/v1/chat/completions",
        turns: "messages",
        tool: || json!({"type": "function", "function": {"name": "get_weather", "parameters": schema()}}),
        goes_on: |answer| {
            let message = &answer["choices"][0]["message"];
            let id = &message["tool_calls"][0]["id"];
            let result = json!({"role": "tool", "tool_call_id": id, "content": "18 degrees"});
            vec![message.clone(), result]
        },
        text: |answer| &answer["choices"][0]["message"]["content"],
    },
    Api {
        path: "/v1/responses",
        turns: "input",
        tool: || json!({"type": "function", "name": "get_weather", "parameters": schema()}),
        goes_on: |answer| {
            let mut items = answer["output"].as_array().unwrap().clone();
            let call = items.iter().find(|item| item["type"] == "function_call").unwrap();
            let result =
                json!({"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"});
            items.push(result);
            items
        },
        text: |answer| &answer["output"][0]["content"][0]["text"],
    },
];

impl Api {
    async fn ask(&self, table: &Table, column: &Column, turns: &[Value]) -> Value {
        let mut body = json!({"model": column.model(), "tools": [(self.tool)()]});
        body[self.turns] = json!(turns);
        if self.path == "/v1/messages" {
            body["max_tokens"] = json!(2_000);
        }
        let answer = table
            .gateway
            .call(&Call::post(self.path, &body).bearer(&table.key))
            .await;
        assert_eq!(
            answer.status,
            200,
            "{} over {}: {} to {body:#}",
            self.path,
            column.name,
            answer.text()
        );
        answer.json()
    }
}

#[tokio::test]
async fn every_conversation_goes_on_over_every_upstream() {
    let table = Table::start(|setup| setup).await;
    for api in &APIS {
        for (first, _) in table.columns() {
            let question = json!({"role": "user", "content": "sim:think-tool please"});
            let answer = api.ask(&table, first, std::slice::from_ref(&question)).await;
            let mut turns = vec![question];
            turns.extend((api.goes_on)(&answer));
            for (next, upstream) in table.columns() {
                let told = api.ask(&table, next, &turns).await;
                let shown = format!("{}, {} and then {}: {told}", api.path, first.name, next.name);
                assert_eq!((api.text)(&told), next.text, "{shown}");
                let sent = String::from_utf8_lossy(&upstream.last().body).into_owned();
                assert!(sent.contains("18 degrees"), "{shown}: {sent}");
                // Chat completions pass as bytes, with the fields that other servers do not read.
                let is_clean = !sent.contains("\"tg1.") && !sent.contains("\"tgr1.");
                assert!(is_clean || api.path == "/v1/chat/completions", "{shown}: {sent}");
                // The maker gets back what it signed.
                let maker = first.name == next.name && first.dialect == "anthropic_messages";
                assert!(!maker || sent.contains("c2lnbmF0dXJl"), "{shown}: {sent}");
            }
        }
    }
}
