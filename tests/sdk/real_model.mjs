// What Anthropic's and OpenAI's official TypeScript SDKs see of a model whose answers nobody has written down.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { TOLLGATE_URL, TOLLGATE_KEY, TOLLGATE_SDK_MODULES } = process.env;
const sdk = async (path) => (await import(pathToFileURL(`${TOLLGATE_SDK_MODULES}/${path}`))).default;
const Anthropic = await sdk("@anthropic-ai/sdk/index.mjs");
const OpenAI = await sdk("openai/index.mjs");

const settings = { apiKey: TOLLGATE_KEY, maxRetries: 0, timeout: 60_000 };
const question = {
  model: "claude-sonnet-4-6",
  max_tokens: 24,
  messages: [{ role: "user", content: "Shall the gate be open?" }],
};
const schema = {
  type: "object",
  properties: { state: { type: "string", enum: ["open", "closed"] } },
  required: ["state"],
  additionalProperties: false,
};

/** Asks until the answer has more than a word or two: a random model may stop at any time. */
async function whenItSaysEnough(ask) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const [streamed, answer] = await ask();
    if (streamed.split(" ").length > 4) return [streamed, answer];
  }
  throw new Error("it never says anything");
}

{
  const client = new Anthropic({ ...settings, baseURL: TOLLGATE_URL });
  const [streamed, answer] = await whenItSaysEnough(async () => {
    let streamed = "";
    const events = client.messages.stream(question).on("text", (piece) => { streamed += piece; });
    const answer = await events.finalMessage();
    return [streamed, answer];
  });
  assert(streamed === answer.content[0].text, JSON.stringify(answer));
  assert(["max_tokens", "end_turn"].includes(answer.stop_reason));

  const tools = [{ name: "set_gate", input_schema: schema }];
  const more = { max_tokens: 2000, tools, tool_choice: { type: "any" } };
  const called = await client.messages.stream({ ...question, ...more }).finalMessage();
  const call = called.content.find((block) => block.type === "tool_use");
  assert.equal(called.stop_reason, "tool_use", JSON.stringify(called));
  assert(schema.properties.state.enum.includes(call.input.state), JSON.stringify(call));
}
{
  const client = new OpenAI({ ...settings, baseURL: `${TOLLGATE_URL}/v1` });
  const [streamed, answer] = await whenItSaysEnough(async () => {
    let streamed = "";
    const events = client.chat.completions.stream(question).on("content", (piece) => { streamed += piece; });
    const answer = await events.finalChatCompletion();
    return [streamed, answer];
  });
  assert(streamed === answer.choices[0].message.content, JSON.stringify(answer));

  const tools = [{ type: "function", function: { name: "set_gate", parameters: schema } }];
  const more = { max_tokens: 2000, tools, tool_choice: "required" };
  const called = await client.chat.completions.stream({ ...question, ...more }).finalChatCompletion();
  const [choice] = called.choices;
  assert.equal(choice.finish_reason, "tool_calls", JSON.stringify(called));
  const { state } = JSON.parse(choice.message.tool_calls[0].function.arguments);
  assert(schema.properties.state.enum.includes(state), state);
}
console.log("all passed");
