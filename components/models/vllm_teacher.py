"""A teacher in this process: vLLM's offline engine, on this process's GPUs.

Prompts go in as token ids, made by the same chat template and cut the same way as for transformers: `LLM.chat` would
fail a whole batch for one prompt that is too long.
"""

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from components.models.end_tokens import end_ids_in
from components.models.finish_reasons import Ending, ending_of
from components.models.prompts import Prompt, PromptMaker, load_tokenizer
from components.models.read_tokens import begins_in_thought
from components.models.reference import local_model
from components.models.settle_reply import Written, settle_reply
from components.models.teacher import Reply, Request, Sampling, TeacherSettings, Usage
from components.shared.errors import ModelError, SettingsError

# The engine batches by itself; only the end of each call leaves it partly idle, so calls are large.
REQUESTS_OF_A_CALL = 4096


class VllmTeacher:
    """vLLM's `LLM` with prefix caching, split over all GPUs that this process sees."""

    def __init__(self, engine: Any, sampling_class: Any, prompts: PromptMaker, slots: int) -> None:
        self.engine, self.sampling_class, self.prompts = engine, sampling_class, prompts
        self._usage = Usage(slots=slots)

    @classmethod
    def open(cls, settings: TeacherSettings) -> "VllmTeacher":
        """Load the model that the settings name.

        Raises:
            SettingsError: vLLM is not installed here.
            ModelError: there is no such model, vLLM cannot run it, or it has no chat template.
        """
        try:
            # vLLM is in the image of the GPU workers alone.
            from vllm import LLM, SamplingParams  # type: ignore[import-not-found]
        except ImportError as error:
            raise SettingsError(
                f"backend 'vllm' needs vLLM, which cannot be imported here: {error}",
                rule="vLLM runs in the Ray workers, on GPUs",
                remedy="run workers in the image ray-vllm, or use backend 'openai' (a vLLM server) or 'transformers'",
            ) from error
        import torch

        folder = local_model(settings.model)
        tokenizer = load_tokenizer(folder, settings.model)
        try:
            engine = LLM(
                model=str(folder),
                tensor_parallel_size=max(torch.cuda.device_count(), 1),
                load_format="safetensors",
                trust_remote_code=False,
                enable_prefix_caching=True,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(
                f"vLLM cannot run {settings.model!r}: {(str(error).splitlines() or [''])[0]}",
                remedy="see vLLM's log above; use more or larger GPUs (gpus_per_actor), or backend 'transformers'",
            ) from error
        options = engine.llm_engine.vllm_config
        prompts = PromptMaker(
            tokenizer,
            options.model_config.max_model_len,
            settings.model,
            settings.template_options,
            end_ids=end_ids_in(folder),
        )
        return cls(engine, SamplingParams, prompts, options.scheduler_config.max_num_seqs)

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests, as many at a time as the engine likes. Raises SettingsError."""
        waiting = iter(requests)
        while ahead := list(itertools.islice(waiting, REQUESTS_OF_A_CALL)):
            prompts, refused = self.prompts.make(ahead, sampling.max_tokens)
            self._usage = self._usage.after(refused)
            yield from refused
            if prompts:
                yield from self._answer_call(prompts, sampling)

    def usage(self) -> Usage:
        """What was asked and answered; a slot is one of the engine's sequences."""
        counted = {"truncated": self.prompts.truncated, "control_text": self.prompts.control_text}
        return self._usage.model_copy(update=counted)

    def close(self) -> None:
        """Drop the engine and what it holds on the GPUs."""
        import gc

        self.engine = None
        gc.collect()
        try:
            from vllm.distributed.parallel_state import (  # type: ignore[import-not-found]
                cleanup_dist_env_and_memory,
            )
        except ImportError:
            return
        cleanup_dist_env_and_memory()

    def _answer_call(self, prompts: list[Prompt], sampling: Sampling) -> list[Reply]:
        began = time.monotonic()
        inputs = [{"prompt_token_ids": list(prompt.ids)} for prompt in prompts]
        options = [self._options(prompt.key, sampling) for prompt in prompts]
        outputs = self.engine.generate(inputs, options, use_tqdm=False)
        replies = [self._reply(prompt, output) for prompt, output in zip(prompts, outputs, strict=True)]
        seconds = time.monotonic() - began
        tokens = [reply.tokens_out for reply in replies]
        # The engine does not say when a sequence began: its share of the longest answer stands for its time.
        busy = seconds * min(len(prompts), self._usage.slots) * (sum(tokens) / (len(tokens) * max(*tokens, 1)))
        measured = {
            "wall_seconds": self._usage.wall_seconds + seconds,
            "busy_seconds": self._usage.busy_seconds + busy,
        }
        self._usage = self._usage.after(replies).model_copy(update=measured)
        return replies

    def _options(self, key: str, sampling: Sampling) -> Any:
        """Sampling with a seed of the request's own, so that an answer does not depend on its neighbours."""
        seed = int.from_bytes(hashlib.sha256(f"{sampling.seed}:{key}".encode()).digest()[:4], "big") >> 1
        return self.sampling_class(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed,
            # Tags of thoughts and leaked turns are read here; vLLM leaves the end token out by itself.
            skip_special_tokens=False,
        )

    def _reply(self, prompt: Prompt, output: Any) -> Reply:
        answer = output.outputs[0]
        ending = ending_of(answer.finish_reason)
        if ending is Ending.INTERRUPTED:
            reason = f"vLLM ended the answer with the finish reason {answer.finish_reason!r}"
            return Reply(key=prompt.key, text=reason, tokens_in=len(prompt.ids), finish="error")
        written = Written(
            text=answer.text,
            truncated=ending is Ending.TRUNCATED,
            opened=begins_in_thought(self.prompts.tokenizer, prompt),
            generated=True,
            tokens_in=len(prompt.ids),
            tokens_out=len(answer.token_ids),
        )
        return settle_reply(prompt.key, written, may_be_empty=True)
