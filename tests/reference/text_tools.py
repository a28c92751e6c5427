"""Golden renderings of tools and tool calls: tests/golden/text/tools.json.

    python tests/reference/text_tools.py

The templates in tests/text/tool-templates over conversations in which the assistant calls functions, as transformers' apply_chat_template
renders them with and without the list of tools.
"""

from text_common import TEMPLATES, smollm2, write

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a place: \u00e9\U0001f600 <b> & 'quotes'",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "A town's name"},
                    "days": {"type": "integer", "minimum": 1, "default": 1},
                    "units": {"type": "string", "enum": ["C", "F"]},
                },
                "required": ["place"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]


def call(name, arguments, **more):
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = [
    [{"role": "user", "content": "Hi!"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in \u00c5lesund?"},
        {"role": "assistant", "content": "", "tool_calls": [call("weather", {"place": "\u00c5lesund", "days": 2, "units": "C"}, id="c1")]},
        {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "{\"rain\": true}"},
        {"role": "assistant", "content": "Rain."},
    ],
    [
        {"role": "user", "content": "Both, please."},
        {
            "role": "assistant",
            "content": "One moment.",
            "tool_calls": [call("now", {}), call("weather", {"place": "a \"b\" <c>", "nested": {"x": [1, 2.5, None, False]}})],
        },
        {"role": "tool", "content": "12:00"},
        {"role": "tool", "content": "sun"},
        {"role": "assistant", "content": "Noon, and sun."},
        {"role": "user", "content": "Thanks"},
    ],
]

tokenizer = smollm2()
templates = {path.stem: path.read_text() for path in sorted((TEMPLATES.parent / "tool-templates").glob("*.jinja"))}
write(
    "tools.json",
    {
        "tools": TOOLS,
        "conversations": CONVERSATIONS,
        "rendered": {
            name: [
                [
                    tokenizer.apply_chat_template(
                        conversation, tools=tools, chat_template=template, add_generation_prompt=generation, tokenize=False
                    )
                    for tools in (None, TOOLS)
                    for generation in (False, True)
                ]
                for conversation in CONVERSATIONS
            ]
            for name, template in templates.items()
        },
    },
)
