"""What is learnt of an answer: the answer and its end, however the template asks for it and renders it."""

from typing import Any

import pytest

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.shared.errors import ModelError
from components.shared.rows import Message
from tests.unit.models.chat_tokenizers import TEMPLATES, chat_tokenizer

QUESTION = (Message(role="user", content="What is 2+2?"),)
END, SENTENCE = "<|im_end|>", "<|end_of_sentence|>"


def encoded(tokenizer: Any, answer: str, messages: tuple[Message, ...] = QUESTION) -> Encoded:
    (found,) = ConversationEncoder(tokenizer, "some/model").answered([(messages, answer)])
    assert isinstance(found, Encoded)
    return found


def learnt(template: str, answer: str, messages: tuple[Message, ...] = QUESTION) -> str:
    tokenizer = chat_tokenizer(template=template)
    return str(tokenizer.decode(encoded(tokenizer, answer, messages).completion))


@pytest.mark.parametrize("answer", ["e", "end", "n", "<", "|>", "s", "2", "What is 2+2?", "user", "assistant", "｜"])
@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("chatml", END),
        ("qwen3-no-thinking", END),
        ("r1", SENTENCE),
        ("r1-old", SENTENCE),
        ("empty-thought", SENTENCE),
        ("trimming", END),
        ("trimming-r1", SENTENCE),
    ],
)
def test_an_answer_that_the_conversation_holds_elsewhere(template: str, end: str, answer: str) -> None:
    assert learnt(template, answer) == answer + end


def test_what_the_template_writes_between_its_prompt_and_the_answer_is_said() -> None:
    assert learnt("qwen3", "4") == f"<think>\n\n</think>\n\n4{END}"
    assert learnt("qwen3-thinking", "4") == f"\n</think>\n\n4{END}"


THOUGHT = "<think>\nTwo and two.\n</think>\n\n4"


@pytest.mark.parametrize("answer", [THOUGHT, "<think>Two and two.</think>4", "<think>\nTwo and two.</think>\n4"])
@pytest.mark.parametrize("template", ["chatml", "qwen3", "qwen3-thinking", "r1", "r1-old", "trimming", "trimming-r1"])
def test_a_thought_is_learnt_once(template: str, answer: str) -> None:
    tokenizer = chat_tokenizer(template=template)
    one = encoded(tokenizer, answer)
    said = tokenizer.decode(one.prompt[-12:] + one.completion)
    assert said.count("<think>") == said.count("</think>") == 1
    after = said.split("<think>")[1]
    assert after.split("</think>")[0].strip() == "Two and two." and not one.without_thought
    assert after.split("</think>")[1].strip() in (f"4{END}", f"4{SENTENCE}")


def test_a_thought_goes_on_where_the_prompt_has_opened_it() -> None:
    assert learnt("r1", THOUGHT) == f"Two and two.\n</think>\n\n4{SENTENCE}"
    assert learnt("r1", "<think>Two and two.</think>4") == f"Two and two.</think>4{SENTENCE}"
    assert learnt("r1", "Two and two.</think>4") == f"Two and two.</think>4{SENTENCE}"
    assert learnt("r1", "<think>\nTwo and") == f"Two and{SENTENCE}"


def test_a_template_that_drops_thoughts_does_not_take_them_from_what_is_learnt() -> None:
    assert learnt("r1-old", THOUGHT) == THOUGHT + SENTENCE


def test_a_thought_behind_one_that_the_prompt_has_closed_is_left_out_and_noted() -> None:
    for template, end in (("qwen3-no-thinking", END), ("empty-thought", SENTENCE)):
        tokenizer = chat_tokenizer(template=template)
        one = encoded(tokenizer, THOUGHT)
        assert tokenizer.decode(one.completion) == "4" + end and one.without_thought


def test_thoughts_of_past_turns_are_left_to_the_template() -> None:
    past = (QUESTION[0], Message(role="assistant", content=THOUGHT), Message(role="user", content="Sure?"))
    for template in ("qwen3-no-thinking", "r1"):
        tokenizer = chat_tokenizer(template=template)
        one = encoded(tokenizer, "yes", past)
        assert "Two and two." not in tokenizer.decode(one.prompt)
        assert tokenizer.decode(one.completion).removesuffix(SENTENCE).removesuffix(END) == "yes"


def test_outer_white_space_is_as_the_template_leaves_it() -> None:
    assert learnt("trimming", "  four \n") == f"four{END}"
    assert learnt("trimming-r1", "\n four ") == f"four{SENTENCE}"
    assert learnt("chatml", "  four \n") == f"  four \n{END}"
    assert learnt("r1", "  four\n\n") == f"  four\n\n{SENTENCE}"


def test_a_template_that_changes_an_answer_otherwise_does_not_change_what_is_learnt() -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = TEMPLATES["chatml"].replace("m.content", "m.content | replace('2', 'two') | upper")
    assert tokenizer.decode(encoded(tokenizer, "2 and 2").completion) == f"2 and 2{END}"


def test_without_an_end_of_its_own_a_turn_ends_with_the_tokenizers() -> None:
    assert learnt("plain", "four") == "four</s>"
    tokenizer = chat_tokenizer(template="chatml", eos_token="</s>")
    assert tokenizer.decode(encoded(tokenizer, "four").completion) == "four<|im_end|></s>"
    ids = frozenset({tokenizer.convert_tokens_to_ids("<|im_end|>")})
    (known,) = ConversationEncoder(tokenizer, "m", ids).answered([(QUESTION, "four")])
    assert isinstance(known, Encoded) and tokenizer.decode(known.completion) == "four<|im_end|>"


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_prompt_is_that_of_generation(template: str) -> None:
    tokenizer = chat_tokenizer(template=template)
    encoder = ConversationEncoder(tokenizer, "m")
    (asked,) = encoder.prompts([QUESTION])
    (answered,) = encoder.answered([(QUESTION, "four")])
    assert isinstance(asked, Encoded) and isinstance(answered, Encoded) and asked.prompt == answered.prompt
    turns = [message.model_dump() for message in QUESTION]
    assert tokenizer.decode(asked.prompt) == tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True
    )


def test_a_refusal_names_row_model_and_role() -> None:
    encoder = ConversationEncoder(chat_tokenizer(template="no-system"), "some/model")
    system = Message(role="system", content="Be brief.")
    refused, fine = encoder.answered([((system, *QUESTION), "4"), (QUESTION, "4")])
    assert isinstance(fine, Encoded) and isinstance(refused, Refusal) and refused.role == "system"
    text = refused.about("row-7")
    assert all(part in text for part in ("'row-7'", "'some/model'", "'system'", "System role not supported"))


def test_the_refused_role_is_that_of_the_turn_that_is_too_much() -> None:
    tokenizer = chat_tokenizer()
    alternate = "{%- for m in messages -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{- raise_exception("
    tokenizer.chat_template = alternate + "'roles must alternate') -}}{%- endif -%}{%- endfor -%}" + TEMPLATES["chatml"]
    (refused,) = ConversationEncoder(tokenizer, "m").prompts([(*QUESTION, *QUESTION)])
    assert isinstance(refused, Refusal) and refused.role == "user" and refused.roles == ("user", "user")
    broken = chat_tokenizer()
    broken.chat_template = "{{- messages[0].content + 1 -}}"
    (failed,) = ConversationEncoder(broken, "m").prompts([QUESTION])
    assert isinstance(failed, Refusal) and "str" in failed.reason


def test_a_template_that_does_not_render_an_answer_is_a_refusal() -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = "{{- messages[0].content -}}"
    (refused,) = ConversationEncoder(tokenizer, "m").answered([(QUESTION, "4")])
    assert isinstance(refused, Refusal) and "0 times" in refused.reason


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = chat_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end token"):
        ConversationEncoder(tokenizer, "m").answered([(QUESTION, "4")])
