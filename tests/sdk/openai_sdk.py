"""What programs do with OpenAI's official Python SDK, through the gateway and over each upstream of the table."""

import json
import os
import sys
import traceback
from types import SimpleNamespace

import openai

COLUMNS = [SimpleNamespace(**column) for column in json.loads(os.environ["TOLLGATE_COLUMNS"])]
URL, KEY = os.environ["TOLLGATE_URL"], os.environ["TOLLGATE_KEY"]
# All input, what was read from a cache, and output: all simulations count the same.
USAGE = (37, 7, 15)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=30)


def ask(text, **more):
    return {"model": at.model, "messages": [{"role": "user", "content": text}], **more}


def counted(usage):
    return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens


def completion():
    answer = client.chat.completions.create(**ask("hello"))
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == (at.text, "stop", at.model), answer
    assert counted(answer.usage) == USAGE, answer.usage
    assert answer.object == "chat.completion" and answer.id and answer._request_id, answer


def stream():
    chunks = list(client.chat.completions.create(**ask("hello", stream=True)))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == at.text and len(pieces) > 2, pieces
    assert chunks[-1].choices[0].finish_reason == "stop" and not any(chunk.usage for chunk in chunks), chunks[-1]
    assert {chunk.model for chunk in chunks} == {at.model}, chunks


def stream_with_usage():
    request = ask("hello", stream=True, stream_options={"include_usage": True})
    chunks = list(client.chat.completions.create(**request))
    assert chunks[-1].choices == [] and counted(chunks[-1].usage) == USAGE, chunks[-1]


def stream_helper():
    with client.chat.completions.stream(**ask("hello")) as events:
        answer = events.get_final_completion()
    assert answer.choices[0].message.content == at.text, answer


def tools_round_trip(streaming):
    request = ask("sim:tool please", tools=[WEATHER])
    if streaming:
        with client.chat.completions.stream(**request) as events:
            answer = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**request)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls" and choice.message.content == "Let me look.", answer
    (call,) = choice.message.tool_calls
    assert call.function.name == "get_weather" and '"Paris"' in call.function.arguments, call
    said = choice.message.to_dict()
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    request["messages"] = request["messages"] + [said, result]
    assert client.chat.completions.create(**request).choices[0].message.content == at.text


def parallel_tools():
    request = ask("sim:parallel please", tools=[WEATHER])
    with client.chat.completions.stream(**request) as events:
        streamed = events.get_final_completion()
    for answer in (streamed, client.chat.completions.create(**request)):
        calls = answer.choices[0].message.tool_calls
        assert ["Paris" in calls[0].function.arguments, "Köln" in calls[1].function.arguments] == [True, True], calls
        assert len({call.id for call in calls}) == 2, calls


def thinking():
    if "thinking" in at.lacks:
        return
    request = ask("sim:thinking")
    message = client.chat.completions.create(**request).choices[0].message
    assert message.reasoning_content == "First I think.", message
    (detail,) = message.reasoning_details
    sealed = "signatures" in at.lacks
    assert detail["signature"].startswith("tg1.") if sealed else detail["signature"] == "c2lnbmF0dXJl/+==", detail
    thought = ""
    for chunk in client.chat.completions.create(**request, stream=True):
        thought += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    assert thought == "First I think.", thought
    request["messages"] = request["messages"] + [message.to_dict(), {"role": "user", "content": "go on"}]
    assert client.chat.completions.create(**request).choices[0].message.content == at.text


def raises(kind, status, call):
    try:
        call()
    except openai.APIStatusError as error:
        assert isinstance(error, kind) and error.status_code == status, f"{error!r} is not {kind} {status}"
        assert error.body["message"] and error.request_id, (error.body, error.request_id)
        return error
    raise AssertionError(f"no error {status}")


def errors():
    create = client.chat.completions.create
    wrong = client.with_options(api_key="tg_live_wrong")
    error = raises(openai.AuthenticationError, 401, lambda: wrong.chat.completions.create(**ask("hello")))
    assert error.code == "invalid_api_key", error.body
    withheld = {**ask("hello"), "model": "claude-opus-4-8"}
    error = raises(openai.PermissionDeniedError, 403, lambda: create(**withheld))
    assert "opus-is-for-services" in str(error) and error.code == "policy", error
    unknown = {**ask("hello"), "model": "nobody-has-this"}
    raises(openai.NotFoundError, 404, lambda: create(**unknown))
    raises(openai.BadRequestError, 400, lambda: create(**{**ask("hello"), "messages": "no list"}))
    raises(openai.PermissionDeniedError, 403, lambda: create(**ask("hello", store=True)))
    error = raises(openai.RateLimitError, 429, lambda: create(**ask("sim:status-429")))
    assert "retry-after" in at.lacks or error.response.headers["retry-after"], error.response.headers
    raises(openai.InternalServerError, 503, lambda: create(**ask("sim:status-503")))
    raises(openai.InternalServerError, 502, lambda: create(**ask("sim:status-401")))
    raises(openai.InternalServerError, 503, lambda: create(**ask("sim:status-503", stream=True)))


def refusals_are_not_retried():
    patient = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=5, timeout=5)
    withheld = {**ask("hello"), "model": "claude-opus-4-8"}
    raises(openai.PermissionDeniedError, 403, lambda: patient.chat.completions.create(**withheld))


def broken_streams():
    for wish in ("sim:mid-error", "sim:die"):
        try:
            list(client.chat.completions.create(**ask(wish, stream=True)))
        except openai.APIError as error:
            assert error.message, error
        else:
            raise AssertionError(f"{wish} looked like a normal end")


def models():
    listed = [(model.id, model.object) for model in client.models.list()]
    assert sorted(listed) == sorted((one.model, "model") for one in COLUMNS), listed
    assert client.models.retrieve(at.model).id == at.model
    raises(openai.NotFoundError, 404, lambda: client.models.retrieve("nobody-has-this"))


def embeddings():
    create = client.embeddings.create
    if "embeddings" in at.lacks:
        raises(openai.InternalServerError, 501, lambda: create(model=at.model, input="a text"))
        return
    answer = create(model=at.model, input=["a text", "another"], encoding_format="float")
    assert [len(item.embedding) for item in answer.data] == [2, 2] and answer.usage.prompt_tokens == 5, answer


RESPONSES_WEATHER = {"type": "function", "name": "get_weather", **WEATHER["function"], "strict": False}


def responded(request, streaming):
    if not streaming:
        return client.responses.create(**request)
    with client.responses.stream(**request) as events:
        return events.get_final_response()


def responses():
    create = client.responses.create
    request = {"model": at.model, "input": "hello", "instructions": "Be brief."}
    answer = create(**request)
    assert answer.output_text == at.text and answer.usage.input_tokens_details.cached_tokens == 7, answer
    assert (answer.status, answer.model, answer.object) == ("completed", at.model, "response"), answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (37, 15), answer.usage
    with client.responses.stream(**request) as events:
        assert events.get_final_response().output_text == at.text
    raises(openai.PermissionDeniedError, 403, lambda: create(**request, store=True))
    raises(openai.BadRequestError, 400, lambda: create(**request, previous_response_id="resp_1"))


def responses_with_tools(streaming, wish, cities):
    said = [{"role": "user", "content": f"sim:{wish} please"}]
    request = {"model": at.model, "input": said, "tools": [RESPONSES_WEATHER]}
    answer = responded(request, streaming)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == cities, answer
    assert all(call.name == "get_weather" and call.status == "completed" for call in calls), calls
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"} for call in calls]
    # The items go back as they came.
    request["input"] = said + [item.to_dict() for item in answer.output] + results
    assert responded(request, streaming).output_text == at.text


def responses_with_thinking(streaming):
    if "thinking" in at.lacks:
        return
    said = [{"role": "user", "content": "sim:thinking"}]
    answer = responded({"model": at.model, "input": said, "include": ["reasoning.encrypted_content"]}, streaming)
    reasoning, message = answer.output
    assert (reasoning.type, reasoning.summary[0].text) == ("reasoning", "First I think."), reasoning
    assert reasoning.encrypted_content and message.content[0].text == at.text, answer
    again = said + [item.to_dict() for item in answer.output] + [{"role": "user", "content": "go on"}]
    assert responded({"model": at.model, "input": again}, streaming).output_text == at.text


def response_errors():
    create = lambda wish, **more: client.responses.create(model=at.model, input=wish, **more)
    raises(openai.RateLimitError, 429, lambda: create("sim:status-429"))
    raises(openai.InternalServerError, 503, lambda: create("sim:status-503", stream=True))
    raises(openai.InternalServerError, 502, lambda: create("sim:status-401"))
    if "translation" in at.lacks:
        return
    for wish in ("sim:mid-error", "sim:die"):
        try:
            events = list(create(wish, stream=True))
        except openai.APIStatusError:
            continue  # it broke before the first byte went out, so it has a status of its own
        assert [event.sequence_number for event in events] == list(range(len(events))), events
        assert events[-1].type == "response.failed", events[-1]
        assert events[-1].response.error.code in ("server_error", "rate_limit_exceeded"), events[-1]


CHECKS = [
    completion, stream, stream_with_usage, stream_helper, lambda: tools_round_trip(False),
    lambda: tools_round_trip(True), parallel_tools, thinking, errors, refusals_are_not_retried, broken_streams,
    models, embeddings, responses, lambda: responses_with_tools(False, "tool", ["Paris"]),
    lambda: responses_with_tools(True, "tool", ["Paris"]), lambda: responses_with_tools(True, "parallel", ["Paris", "Köln"]),
    lambda: responses_with_thinking(False), lambda: responses_with_thinking(True), response_errors,
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
    raise SystemExit(f"openai {openai.__version__}: {failed} failed")
print(f"openai {openai.__version__}: all passed")
