"""What Anthropic's and OpenAI's official Python SDKs see of a model whose answers nobody has written down.

Run with either SDK; which one is installed decides what is checked.
"""

import importlib.util
import json
import os

URL, KEY = os.environ["TOLLGATE_URL"], os.environ["TOLLGATE_KEY"]
MODEL = "claude-sonnet-4-6"
STATES = ("open", "closed")
SCHEMA = {
    "type": "object",
    "properties": {"state": {"type": "string", "enum": list(STATES)}},
    "required": ["state"],
    "additionalProperties": False,
}
QUESTION = [{"role": "user", "content": "Shall the gate be open?"}]


def when_it_says_enough(ask):
    """Asks until the answer has more than a word or two: a random model may stop at any time."""
    for _ in range(50):
        answer, spoken = ask()
        if spoken > 4:
            return answer
    raise AssertionError("it never says anything")


def with_anthropic():
    import anthropic

    client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
    question = {"model": MODEL, "max_tokens": 24, "messages": QUESTION}

    def whole():
        answer = client.messages.create(**question)
        return answer, answer.usage.output_tokens

    answer = when_it_says_enough(whole)
    assert answer.content[0].text.strip() and answer.model == MODEL, answer
    assert answer.stop_reason in ("max_tokens", "end_turn") and answer.usage.output_tokens <= 24, answer

    def stream():
        with client.messages.stream(**question) as events:
            pieces = list(events.text_stream)
            answer = events.get_final_message()
        return (pieces, answer), answer.usage.output_tokens

    pieces, answer = when_it_says_enough(stream)
    assert len(pieces) > 1 and "".join(pieces) == answer.content[0].text, (pieces, answer)
    assert len(pieces) <= answer.usage.output_tokens <= 24 and answer.usage.input_tokens > 0, answer

    gate = {"name": "set_gate", "description": "Moves the gate", "input_schema": SCHEMA}
    more = {"max_tokens": 2000, "tools": [gate], "tool_choice": {"type": "any"}}
    with client.messages.stream(**question | more) as events:
        answer = events.get_final_message()
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert calls and answer.stop_reason == "tool_use", answer
    assert all(call.name == "set_gate" and call.input["state"] in STATES for call in calls), answer
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in calls]
    turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    answer = client.messages.create(**question | {"tools": [gate], "messages": QUESTION + turns})
    assert answer.usage.output_tokens > 0, answer


def with_openai():
    import openai

    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
    question = {"model": MODEL, "max_tokens": 24, "messages": QUESTION}

    def whole():
        answer = client.chat.completions.create(**question)
        return answer, answer.usage.completion_tokens

    answer = when_it_says_enough(whole)
    assert answer.choices[0].message.content.strip() and answer.model == MODEL, answer
    assert answer.choices[0].finish_reason in ("length", "stop"), answer

    def stream():
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(client.chat.completions.create(**question | options))
        return chunks, chunks[-1].usage.completion_tokens

    chunks = when_it_says_enough(stream)
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 1 and chunks[-1].usage.completion_tokens >= len(pieces), chunks[-1]
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert len(ends) == 1 and ends[0] in ("length", "stop"), ends

    gate = {"type": "function", "function": {"name": "set_gate", "parameters": SCHEMA}}
    more = {"max_tokens": 2000, "tools": [gate], "tool_choice": "required"}
    with client.chat.completions.stream(**question | more) as events:
        answer = events.get_final_completion()
    (choice,) = answer.choices
    assert choice.message.tool_calls and choice.finish_reason == "tool_calls", answer
    for call in choice.message.tool_calls:
        assert call.function.name == "set_gate" and json.loads(call.function.arguments)["state"] in STATES, answer


checks = {"anthropic": with_anthropic, "openai": with_openai}
installed = [name for name in checks if importlib.util.find_spec(name)]
assert installed, "no SDK is installed"
for name in installed:
    checks[name]()
    print(f"{name}: all passed")
