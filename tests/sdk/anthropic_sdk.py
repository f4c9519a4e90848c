"""What programs do with the official Python SDK, through the gateway and over each upstream of the table. Runs with 0.x
and 2.x alike."""

import json
import os
import sys
import traceback
from types import SimpleNamespace

import anthropic

COLUMNS = [SimpleNamespace(**column) for column in json.loads(os.environ["TOLLGATE_COLUMNS"])]
URL, KEY = os.environ["TOLLGATE_URL"], os.environ["TOLLGATE_KEY"]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

SPOKEN = set()


def transport():
    """What the SDK speaks through: by default HTTP/1.1, with TOLLGATE_HTTP2 what TLS negotiates."""
    if not os.environ.get("TOLLGATE_HTTP2"):
        return {}
    note = lambda response: SPOKEN.add(response.http_version)
    return {"http_client": anthropic.DefaultHttpxClient(http2=True, event_hooks={"response": [note]})}


client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=30, **transport())


def ask(text, **more):
    messages = [{"role": "user", "content": text}]
    return {"model": at.model, "max_tokens": 100, "messages": messages, **more}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def message():
    answer = client.messages.create(**ask("hello"))
    assert (text_of(answer), answer.stop_reason, answer.model) == (at.text, "end_turn", at.model), answer
    usage = answer.usage
    # Some write to a cache and some don't: what is new is the same.
    new = usage.input_tokens + (usage.cache_creation_input_tokens or 0)
    assert (new, usage.cache_read_input_tokens, usage.output_tokens) == (30, 7, 15), usage


def raw_stream():
    events = list(client.messages.create(**ask("hello", stream=True)))
    assert events[0].type == "message_start" and events[-1].type == "message_stop", events
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == at.text and len(deltas) > 1, deltas


def stream_helper():
    with client.messages.stream(**ask("hello")) as stream:
        assert "".join(stream.text_stream) == at.text
        answer = stream.get_final_message()
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 15, answer


def auth_token():
    other = anthropic.Anthropic(base_url=URL, auth_token=KEY, max_retries=0, **transport())
    assert text_of(other.messages.create(**ask("hello"))) == at.text


def tools_round_trip(streaming):
    request = ask("sim:tool please", tools=[WEATHER])
    if streaming:
        with client.messages.stream(**request) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**request)
    assert answer.stop_reason == "tool_use" and text_of(answer) == "Let me look.", answer
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"}), call
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    request["messages"] += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    assert text_of(client.messages.create(**request)) == at.text


def parallel_tools():
    request = ask("sim:parallel please", tools=[WEATHER])
    with client.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    for answer in (streamed, client.messages.create(**request)):
        calls = [block for block in answer.content if block.type == "tool_use"]
        assert [call.input["city"] for call in calls] == ["Paris", "Köln"], answer
        assert len({call.id for call in calls}) == 2, calls


def thinking():
    if "thinking" in at.lacks:
        return
    request = ask("sim:thinking", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    with client.messages.stream(**request) as stream:
        answer = stream.get_final_message()
    first, second = answer.content
    assert (first.thinking, second.text) == ("First I think.", at.text), answer
    sealed = "signatures" in at.lacks
    assert first.signature.startswith("tg1.") if sealed else first.signature == "c2lnbmF0dXJl/+==", first
    request["messages"] += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "go on"}]
    assert text_of(client.messages.create(**request)) == at.text


def raises(kind, status, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert isinstance(error, kind) and error.status_code == status, f"{error!r} is not {kind} {status}"
        assert error.body["type"] == "error" and error.body["error"]["message"], error.body
        assert error.request_id, "every answer has a request id"
        return error
    raise AssertionError(f"no error {status}")


def errors():
    wrong = client.with_options(api_key="tg_live_wrong")
    raises(anthropic.AuthenticationError, 401, lambda: wrong.messages.create(**ask("hello")))
    withheld = {**ask("hello"), "model": "claude-opus-4-8"}
    error = raises(anthropic.PermissionDeniedError, 403, lambda: client.messages.create(**withheld))
    assert "opus-is-for-services" in str(error), error
    claude_code = client.with_options(default_headers={"User-Agent": "claude-cli/2.1.329 (external, cli)"})
    raises(anthropic.APIStatusError, 451, lambda: claude_code.messages.create(**withheld))
    unknown = {**ask("hello"), "model": "nobody-has-this"}
    raises(anthropic.NotFoundError, 404, lambda: client.messages.create(**unknown))
    raises(anthropic.BadRequestError, 400, lambda: client.messages.create(**{**ask("hello"), "messages": "no list"}))
    raises(anthropic.RateLimitError, 429, lambda: client.messages.create(**ask("sim:status-429")))
    raises(anthropic.APIStatusError, 529, lambda: client.messages.create(**ask("sim:status-529")))
    raises(anthropic.InternalServerError, 502, lambda: client.messages.create(**ask("sim:status-401")))
    raises(anthropic.APIStatusError, 529, lambda: client.messages.create(**ask("sim:status-529", stream=True)))


def refusals_are_not_retried():
    patient = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=5, timeout=5, **transport())
    withheld = {**ask("hello"), "model": "claude-opus-4-8"}
    raises(anthropic.PermissionDeniedError, 403, lambda: patient.messages.create(**withheld))


def broken_streams():
    for wish in ("sim:mid-error", "sim:die"):
        try:
            with client.messages.stream(**ask(wish)) as stream:
                stream.get_final_message()
        except anthropic.APIError as error:
            assert error.body["error"]["type"] in ("overloaded_error", "rate_limit_error", "api_error"), error.body
        else:
            raise AssertionError(f"{wish} looked like a normal end")


def models():
    listed = client.models.list(limit=1000)
    shown = [(model.id, model.display_name, model.type) for model in listed]
    assert sorted(shown) == sorted((one.model, f"The {one.model}", "model") for one in COLUMNS), listed
    assert listed.data[0].created_at.year >= 1970


def count_tokens():
    request = {"model": at.model, "messages": ask("hello")["messages"], "tools": [WEATHER]}
    counted = client.messages.count_tokens(**request).input_tokens
    assert counted > 0 if "counting" in at.lacks else counted == 42, counted


def beta():
    request = ask("hello", betas=["interleaved-thinking-2025-05-14"])
    assert text_of(client.beta.messages.create(**request)) == at.text
    with client.beta.messages.stream(**request) as stream:
        assert text_of(stream.get_final_message()) == at.text


CHECKS = [
    message, raw_stream, stream_helper, auth_token, lambda: tools_round_trip(False), lambda: tools_round_trip(True),
    parallel_tools, thinking, errors, refusals_are_not_retried, broken_streams, models, count_tokens, beta,
]

failed = 0
for at in COLUMNS:
    for check in CHECKS:
        try:
            check()
        except Exception:  # every check is run, whatever the one before it said
            failed += 1
            print(f"over {at.name}:")
            traceback.print_exc(file=sys.stdout)
    print(f"over {at.name}: {len(CHECKS)} checks")
if failed:
    raise SystemExit(f"anthropic {anthropic.__version__}: {failed} failed")
if os.environ.get("TOLLGATE_HTTP2") and SPOKEN != {"HTTP/2"}:
    raise SystemExit(f"spoken was {SPOKEN}")
print(f"anthropic {anthropic.__version__}: all passed")
