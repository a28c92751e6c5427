"""Golden masks of the assistant's tokens: tests/golden/text/turns.json.

    python tests/reference/text_turns.py

Conversations through chat templates with {% generation %} blocks, by SmolLM2's tokenizer: the ids and the mask that transformers'
apply_chat_template returns with return_assistant_tokens_mask.
"""

from text_common import smollm2, write

TEMPLATES = {
    # The end of turn is generated, the line break behind it is not.
    "chatml": """{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
        {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}""",
    # Blocks without control of white space, over several lines; thoughts of earlier turns are left out.
    "thoughts": """{% for message in messages %}
{% if message.role == 'assistant' %}
<|im_start|>assistant
{% generation %}
{% if loop.last %}
{{ message.content }}<|im_end|>
{% else %}
{{ message.content.split('</think>')[-1] }}<|im_end|>
{% endif %}
{% endgeneration %}
{% else %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}""",
}
CONVERSATIONS = [
    [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello. What can I do?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4, caf\u00e9 \U0001f600"},
        {"role": "user", "content": "And 3 + 3?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>6"},
        {"role": "user", "content": "Thanks"},
    ],
    [
        {"role": "user", "content": "Write."},
        {"role": "assistant", "content": "<think>one</think>line\nline"},
        {"role": "assistant", "content": "And more"},
    ],
]


def masked(tokenizer, template, conversation):
    found = tokenizer.apply_chat_template(
        conversation, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return {"ids": list(found["input_ids"]), "mask": list(found["assistant_masks"])}


tokenizer = smollm2()
write(
    "turns.json",
    {
        "templates": TEMPLATES,
        "conversations": CONVERSATIONS,
        "masked": {name: [masked(tokenizer, template, c) for c in CONVERSATIONS] for name, template in TEMPLATES.items()},
    },
)
