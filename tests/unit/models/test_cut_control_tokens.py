"""Control tokens that leak into an answer are removed; those that an answer mentions stay."""

import pytest

from components.models.generators.cut_control_tokens import cut_control_tokens

LEAKED = [
    ("Paris.<|im_end|>", "Paris."),
    ("Paris. <|im_end|>\n", "Paris."),
    ("Paris.<|im_end|>\n<|im_start|>user\nAnd Rome?", "Paris."),
    ("Paris.<|im_end|>\nuser\nAnd Rome?", "Paris."),
    ("Paris.\n<|im_start|>user\nAnd Rome?<|im_end|>", "Paris."),
    ("Paris.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd Rome?", "Paris."),
    ("Paris.<|eot_id|>assistant\n\nRome is another.", "Paris."),
    ("Paris.<|endoftext|>Human: And Rome?", "Paris."),
    ("Paris.<|endoftext|>\nThe next document of the training data", "Paris."),
    ("Paris.</s>", "Paris."),
    ("Paris.</s><s>[INST] And Rome? [/INST]", "Paris."),
    ("Paris.<end_of_turn>\n<start_of_turn>user\nAnd Rome?", "Paris."),
    ("Paris.<end_of_turn>", "Paris."),
    ("Paris.<turn|>\n<|turn>user\nAnd Rome?", "Paris."),
    ("巴黎。<｜end▁of▁sentence｜>", "巴黎。"),
    ("巴黎。<｜end▁of▁sentence｜><｜User｜>罗马呢？", "巴黎。"),
    ("Paris.<｜User｜>And Rome?", "Paris."),
    ("Paris.\n<|user|>\nAnd Rome?", "Paris."),
    ("Paris.<|end|><|user|>And Rome?", "Paris."),
    ("Paris.<|END_OF_TURN_TOKEN|>", "Paris."),
    ("Paris.[|endofturn|]\n[|user|]And Rome?", "Paris."),
    ("Paris.<|return|>", "Paris."),
    ("Paris.<eos><pad><pad>", "Paris."),
    ("<|im_start|>assistant\nParis.<|im_end|>", "Paris."),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nParis.", "Paris."),
    ("<|assistant|>\nParis.", "Paris."),
    ("<|channel|>final<|message|>Paris.<|return|>", "Paris."),
    ("```python\nprint(1)\n```<|im_end|>", "```python\nprint(1)\n```"),
    ("```python\nprint(1)<|im_end|>", "```python\nprint(1)"),
    ("<s>old</s> new</s>", "<s>old</s> new"),
]
SPOKEN_OF = [
    "Paris.",
    "<s>old</s>",
    "It costs <s>10</s> <s>9</s>",
    '<s class="gone">old</s>',
    "Write <s>old</s> for a strikethrough.",
    "In HTML, </s> closes it, and that is all.",
    "A turn ends with `<|im_end|>`",
    "A turn ends with `<|im_end|>`.",
    'The token is "<|im_end|>"',
    "A turn ends with <|im_end|>, and another one begins.",
    "ChatML writes <|im_start|>, the role, a line, the text and <|im_end|>.",
    "```\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n```\nThat is ChatML.",
    "~~~\n[INST] Hi [/INST] Hello </s>\n~~~",
    "Llama 2 puts the question between [INST] and [/INST] marks.",
    "a <| b |> c",
    "if x <|> y: print('|>')",
    "List<String> names; <T extends List<?>> void f() {}",
    "user\nassistant",
]


@pytest.mark.parametrize(("text", "answer"), LEAKED)
def test_leaked_control_tokens_are_removed_with_all_that_follows(text: str, answer: str) -> None:
    cut = cut_control_tokens(text)
    assert (cut.text, cut.leaked) == (answer, True)


@pytest.mark.parametrize("text", SPOKEN_OF)
def test_what_an_answer_mentions_stays(text: str) -> None:
    cut = cut_control_tokens(text)
    assert (cut.text, cut.leaked) == (text, False)


def test_tokens_that_are_known_to_be_tokens_are_removed_wherever_they_are() -> None:
    assert cut_control_tokens("Paris.<|user|>And <|end|> Rome", generated=True).text == "Paris."
    assert cut_control_tokens("Paris <|end|> Rome", generated=True).text == "Paris"
    # No turn begins or ends with it.
    assert not cut_control_tokens("a <|fim_hole|> b", generated=True).leaked
