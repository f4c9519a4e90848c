"""A real model server: llama.cpp, with a tiny model of random weights that is made on the spot.

It says words in no order, but it says it as llama.cpp does: its own chunks, its own tool-call grammar, its own
usage. Prints its address, then serves until its standard input ends.

usage: model_server.py FILE_FOR_THE_MODEL
"""

import sys

import gguf
import numpy
import xllamacpp

WIDTH, HEADS, CONTEXT = 64, 4, 32768

# Words that answers are made of. Bytes are tokens as well, so that every prompt can be read, but the model is
# built never to choose one by itself: a grammar has to ask for it.
WORDS = """the a gate opens closes when asked keeper counts coins at dawn rain falls on stone every name is written
twice and nobody waits long enough to see who passed before bridge toll paid in silver""".split()

# How calls of tools are written, as the Hermes and Qwen families do; llama.cpp derives its grammar from it.
TEMPLATE = """{%- if tools %}<|im_start|>system
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == "assistant" and message.tool_calls %}<|im_start|>assistant
{%- if message.content %}
{{ message.content }}
{%- endif %}
{%- for tool_call in message.tool_calls %}
<tool_call>
{"name": "{{ tool_call.function.name }}", "arguments": {{ tool_call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def byte_letters():
    """GPT-2's printable letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


def write_model(path):
    letters = byte_letters()
    specials = ["<|im_start|>", "<|im_end|>"]
    # One more word opens the call of a tool, which a grammar then completes.
    words = [letters[32] + word for word in dict.fromkeys(WORDS)] + ["<tool_call>" + letters[10]]
    tokens = [letters[byte] for byte in range(256)] + words + specials
    random = numpy.random.default_rng(7)

    def weights(*shape, scale=0.2):
        return (random.standard_normal(shape) * scale).astype(numpy.float32)

    # The first dimension is the same for every token and no layer writes it: what follows from it is a bias.
    embedding, output = weights(len(tokens), WIDTH), weights(len(tokens), WIDTH, scale=0.1)
    embedding[:, 0] = 4.0
    output[:, 0] = -9.0
    output[256:, 0] = 0.0
    # Answers seldom end at once, nor do they go on for ever.
    output[-1, 0] = 1.0
    # Else the arguments of a call, in which blanks are allowed, are mostly blanks.
    output[[9, 10, 32], 0] = -12.0

    model = gguf.GGUFWriter(path, "llama")
    model.add_name("random")
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(1)
    model.add_feed_forward_length(2 * WIDTH)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_vocab_size(len(tokens))
    model.add_tokenizer_model("gpt2")
    model.add_tokenizer_pre("default")
    model.add_token_list(tokens)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    model.add_token_types([normal] * (len(tokens) - len(specials)) + [control] * len(specials))
    model.add_token_merges([f"{letters[104]} {letters[101]}"])
    model.add_eos_token_id(len(tokens) - 1)
    model.add_bos_token_id(len(tokens) - 2)
    model.add_add_bos_token(False)
    model.add_chat_template(TEMPLATE)

    def still(matrix):
        matrix[0, :] = 0.0
        return matrix

    model.add_tensor("token_embd.weight", embedding)
    model.add_tensor("output_norm.weight", numpy.ones(WIDTH, numpy.float32))
    model.add_tensor("output.weight", output)
    model.add_tensor("blk.0.attn_norm.weight", numpy.ones(WIDTH, numpy.float32))
    for part in "q", "k", "v":
        model.add_tensor(f"blk.0.attn_{part}.weight", weights(WIDTH, WIDTH))
    model.add_tensor("blk.0.attn_output.weight", still(weights(WIDTH, WIDTH)))
    model.add_tensor("blk.0.ffn_norm.weight", numpy.ones(WIDTH, numpy.float32))
    model.add_tensor("blk.0.ffn_gate.weight", weights(2 * WIDTH, WIDTH))
    model.add_tensor("blk.0.ffn_up.weight", weights(2 * WIDTH, WIDTH))
    model.add_tensor("blk.0.ffn_down.weight", still(weights(WIDTH, 2 * WIDTH)))
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def main(path):
    write_model(path)
    settings = xllamacpp.CommonParams()
    settings.model.path = path
    settings.n_ctx = 2 * CONTEXT
    settings.n_parallel = 2
    settings.cpuparams.n_threads = 2
    settings.warmup = False
    settings.port = 0
    settings.use_jinja = True
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


main(sys.argv[1])
