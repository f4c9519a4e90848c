// What programs do with OpenAI's official TypeScript SDK, through the gateway and over each upstream of the table.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { TOLLGATE_URL, TOLLGATE_KEY, TOLLGATE_COLUMNS, TOLLGATE_SDK_MODULES } = process.env;
const { default: OpenAI } = await import(pathToFileURL(`${TOLLGATE_SDK_MODULES}/openai/index.mjs`));

const columns = JSON.parse(TOLLGATE_COLUMNS);
let at; // the column that is tried
const lacks = (what) => at.lacks.includes(what);
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const client = new OpenAI({ baseURL: `${TOLLGATE_URL}/v1`, apiKey: TOLLGATE_KEY, maxRetries: 0, timeout: 30_000 });
const ask = (content, more = {}) => ({ model: at.model, messages: [{ role: "user", content }], ...more });

async function raises(kind, status, call) {
  const error = await call().then(() => null, (error) => error);
  assert(error instanceof kind, `${error} is not ${kind.name}`);
  assert.equal(error.status, status);
  assert(error.requestID, "every answer has a request id");
  return error;
}

const checks = {
  async completion() {
    const answer = await client.chat.completions.create(ask("hello"));
    const [choice] = answer.choices;
    assert.deepEqual([choice.message.content, choice.finish_reason, answer.model], [at.text, "stop", at.model]);
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [37, 15]);
  },
  async stream() {
    let streamed = "", usage;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(ask("hello", options))) {
      streamed += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual([streamed, usage.completion_tokens], [at.text, 15]);
  },
  async streamHelper() {
    const answer = await client.chat.completions.stream(ask("hello")).finalChatCompletion();
    assert.equal(answer.choices[0].message.content, at.text);
  },
  async toolsRoundTrip() {
    const request = ask("sim:tool please", { tools: [weather] });
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    for (const answer of [streamed, await client.chat.completions.create(request)]) {
      const [choice] = answer.choices;
      assert.equal(choice.finish_reason, "tool_calls");
      const [call] = choice.message.tool_calls;
      assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["get_weather", { city: "Paris" }]);
      const result = { role: "tool", tool_call_id: call.id, content: "18 degrees" };
      const next = { ...request, messages: [...request.messages, choice.message, result] };
      assert.equal((await client.chat.completions.create(next)).choices[0].message.content, at.text);
    }
  },
  async parallelTools() {
    const answer = await client.chat.completions.stream(ask("sim:parallel please", { tools: [weather] })).finalChatCompletion();
    const cities = answer.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
    assert.deepEqual(cities, ["Paris", "Köln"]);
  },
  async errors() {
    const create = (body) => client.chat.completions.create(body);
    const wrong = client.withOptions({ apiKey: "tg_live_wrong" });
    await raises(OpenAI.AuthenticationError, 401, () => wrong.chat.completions.create(ask("hello")));
    const error = await raises(OpenAI.PermissionDeniedError, 403, () => create(ask("hello", { model: "claude-opus-4-8" })));
    assert.deepEqual([error.code, error.type], ["policy", "permission_error"]);
    await raises(OpenAI.NotFoundError, 404, () => create(ask("hello", { model: "nobody-has-this" })));
    await raises(OpenAI.BadRequestError, 400, () => create(ask("hello", { messages: "no list" })));
    await raises(OpenAI.RateLimitError, 429, () => create(ask("sim:status-429")));
    await raises(OpenAI.InternalServerError, 503, () => create(ask("sim:status-503", { stream: true })));
    await raises(OpenAI.InternalServerError, 502, () => create(ask("sim:status-401")));
  },
  async brokenStreams() {
    for (const wish of ["sim:mid-error", "sim:die"]) {
      await assert.rejects(async () => {
        for await (const _ of await client.chat.completions.create(ask(wish, { stream: true })));
      }, OpenAI.APIError);
    }
  },
  async abort() {
    const stream = await client.chat.completions.create(ask("sim:long", { stream: true }));
    for await (const _ of stream) break;
    assert(stream.controller.signal.aborted);
  },
  async models() {
    const ids = [];
    for await (const listed of client.models.list()) ids.push(listed.id);
    assert.deepEqual(ids.sort(), columns.map(({ model }) => model).sort());
    assert.equal((await client.models.retrieve(at.model)).object, "model");
  },
  async responses() {
    const create = (more) => client.responses.create({ model: at.model, input: "hello", ...more });
    assert.equal((await create()).output_text, at.text);
    let streamed = "";
    for await (const event of await create({ stream: true })) {
      if (event.type === "response.output_text.delta") streamed += event.delta;
    }
    assert.equal(streamed, at.text);
    await raises(OpenAI.PermissionDeniedError, 403, () => create({ store: true }));
    await raises(OpenAI.BadRequestError, 400, () => create({ previous_response_id: "resp_1" }));
  },
  async responsesWithTools() {
    const said = [{ role: "user", content: "sim:parallel please" }];
    const tools = [{ type: "function", strict: false, ...weather.function }];
    const request = { model: at.model, input: said, tools };
    const streamed = await client.responses.stream(request).finalResponse();
    for (const answer of [streamed, await client.responses.create(request)]) {
      const calls = answer.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).city), ["Paris", "Köln"]);
      const outputs = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "18 degrees" }));
      const next = { ...request, input: [...said, ...answer.output, ...outputs] };
      assert.equal((await client.responses.create(next)).output_text, at.text);
    }
  },
  async brokenResponses() {
    if (lacks("translation")) return;
    for (const wish of ["sim:mid-error", "sim:die"]) {
      let last;
      try {
        for await (const event of await client.responses.create({ model: at.model, input: wish, stream: true })) last = event;
      } catch (error) {
        assert(error.status >= 500, `${error}`); // it broke before the first byte went out
        continue;
      }
      assert.equal(last.type, "response.failed");
      assert.match(last.response.error.code, /server_error|rate_limit_exceeded/);
    }
  },
  async embeddings() {
    const create = () => client.embeddings.create({ model: at.model, input: ["a text", "another"], encoding_format: "float" });
    if (lacks("embeddings")) await raises(OpenAI.InternalServerError, 501, create);
    else assert.equal((await create()).data.length, 2);
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
  console.log(`openai: ${failed} failed`);
  process.exit(1);
}
console.log("openai: all passed");
