// What programs do with the official TypeScript SDK, through the gateway and over each upstream of the table.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { TOLLGATE_URL, TOLLGATE_KEY, TOLLGATE_COLUMNS, TOLLGATE_SDK_MODULES } = process.env;
const { default: Anthropic } = await import(pathToFileURL(`${TOLLGATE_SDK_MODULES}/@anthropic-ai/sdk/index.mjs`));

const columns = JSON.parse(TOLLGATE_COLUMNS);
let at; // the column that is tried
const lacks = (what) => at.lacks.includes(what);
const weather = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const client = new Anthropic({ baseURL: TOLLGATE_URL, apiKey: TOLLGATE_KEY, maxRetries: 0, timeout: 30_000 });
const ask = (content, more = {}) => ({ model: at.model, max_tokens: 100, messages: [{ role: "user", content }], ...more });
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");

async function raises(kind, status, call) {
  const error = await call().then(() => null, (error) => error);
  assert(error instanceof kind, `${error} is not ${kind.name}`);
  assert.equal(error.status, status);
  assert(error.requestID, "every answer has a request id");
  return error;
}

const checks = {
  async message() {
    const answer = await client.messages.create(ask("hello"));
    assert.deepEqual([textOf(answer), answer.stop_reason, answer.model], [at.text, "end_turn", at.model]);
    // Some write to a cache and some don't: what is new is the same.
    const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens } = answer.usage;
    assert.deepEqual([input_tokens + (cache_creation_input_tokens ?? 0), cache_read_input_tokens, output_tokens], [30, 7, 15]);
  },
  async rawStream() {
    const types = [];
    for await (const event of await client.messages.create(ask("hello", { stream: true }))) types.push(event.type);
    assert.deepEqual([types[0], types.at(-1)], ["message_start", "message_stop"]);
  },
  async streamHelper() {
    let streamed = "";
    const answer = await client.messages.stream(ask("hello")).on("text", (piece) => (streamed += piece)).finalMessage();
    assert.deepEqual([streamed, textOf(answer), answer.usage.output_tokens], [at.text, at.text, 15]);
  },
  async toolsRoundTrip() {
    const request = ask("sim:tool please", { tools: [weather] });
    const streamed = await client.messages.stream(request).finalMessage();
    for (const answer of [streamed, await client.messages.create(request)]) {
      assert.equal(answer.stop_reason, "tool_use");
      const [call] = callsOf(answer);
      assert.deepEqual([call.name, call.input], ["get_weather", { city: "Paris" }]);
      const result = { type: "tool_result", tool_use_id: call.id, content: "18 degrees" };
      const turns = [{ role: "assistant", content: answer.content }, { role: "user", content: [result] }];
      const next = { ...request, messages: [...request.messages, ...turns] };
      assert.equal(textOf(await client.messages.create(next)), at.text);
    }
  },
  async parallelTools() {
    const request = ask("sim:parallel please", { tools: [weather] });
    const streamed = await client.messages.stream(request).finalMessage();
    for (const answer of [streamed, await client.messages.create(request)]) {
      assert.deepEqual(callsOf(answer).map((call) => call.input.city), ["Paris", "Köln"]);
      assert.equal(new Set(callsOf(answer).map((call) => call.id)).size, 2);
    }
  },
  async errors() {
    const wrong = new Anthropic({ baseURL: TOLLGATE_URL, apiKey: "tg_live_wrong", maxRetries: 0 });
    await raises(Anthropic.AuthenticationError, 401, () => wrong.messages.create(ask("hello")));
    const withheld = ask("hello", { model: "claude-opus-4-8" });
    const denied = await raises(Anthropic.PermissionDeniedError, 403, () => client.messages.create(withheld));
    assert.match(denied.message, /opus-is-for-services/);
    const headers = { "User-Agent": "claude-cli/2.1.329 (external, cli)" };
    await raises(Anthropic.APIError, 451, () => client.messages.create(withheld, { headers }));
    await raises(Anthropic.NotFoundError, 404, () => client.messages.create(ask("hello", { model: "nobody-has-this" })));
    await raises(Anthropic.BadRequestError, 400, () => client.messages.create(ask("hello", { messages: "no list" })));
    await raises(Anthropic.RateLimitError, 429, () => client.messages.create(ask("sim:status-429")));
    await raises(Anthropic.InternalServerError, 529, () => client.messages.create(ask("sim:status-529")));
    await raises(Anthropic.InternalServerError, 502, () => client.messages.create(ask("sim:status-401")));
  },
  async brokenStreams() {
    for (const wish of ["sim:mid-error", "sim:die"]) {
      const error = await client.messages.stream(ask(wish)).finalMessage().then(() => null, (error) => error);
      assert(error instanceof Anthropic.APIError, `${wish}: ${error}`);
      assert.match(JSON.stringify(error.error), /overloaded_error|rate_limit_error|api_error/);
    }
  },
  async models() {
    const listed = [];
    for await (const entry of client.models.list({ limit: 1000 })) listed.push([entry.id, entry.display_name]);
    assert.deepEqual(listed.sort(), columns.map(({ model }) => [model, `The ${model}`]).sort());
  },
  async countTokens() {
    const request = { model: at.model, messages: ask("hello").messages };
    const counted = (await client.messages.countTokens(request)).input_tokens;
    assert(lacks("counting") ? counted > 0 : counted === 42, `counted ${counted}`);
  },
  async beta() {
    const request = ask("hello", { betas: ["interleaved-thinking-2025-05-14"] });
    assert.equal(textOf(await client.beta.messages.create(request)), at.text);
  },
};

let failed = 0;
for (at of columns) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      failed += 1;
      console.log(`${name} over ${at.name}:`, error);
    }
  }
  console.log(`over ${at.name}: ${Object.keys(checks).length} checks`);
}
if (failed) {
  console.log(`@anthropic-ai/sdk: ${failed} failed`);
  process.exit(1);
}
console.log("@anthropic-ai/sdk: all passed");
