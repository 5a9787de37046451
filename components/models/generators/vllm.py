"""The backend `vllm`: a model in this process, run by vLLM's offline engine on this process's GPUs.

Prompts are passed as token ids, from the same chat template and truncated in the same way as for transformers:
`LLM.chat` would fail the entire batch for one prompt that is too long.
"""

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.models.generators.finish_reasons import Ending, ending_of
from components.models.generators.generator import (
    Ability,
    ChatRequest,
    GeneratorSettings,
    Reply,
    Sampling,
    Usage,
)
from components.models.generators.local_model import ModelFolder, Precision
from components.models.generators.prompts import Prompt, PromptMaker, load_tokenizer
from components.models.generators.read_tokens import begins_in_thought
from components.models.generators.settle_reply import Written, settle_reply
from components.models.reference import local_model
from components.models.stored.check_stored import require_complete
from components.models.stored.end_tokens import end_ids_in
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError, SettingsError
from components.shared.outputs.digest import seed_of
from components.shared.step import Image

# The engine batches by itself, and is partly idle only at the end of each call, so calls are large.
REQUESTS_OF_A_CALL = 4096


class VllmSettings(GeneratorSettings):
    """A model in safetensors, run by vLLM's offline engine on this process's GPUs."""

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key | {"gpu_memory_utilization"}
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"precision", "max_model_len"})
    image: ClassVar[Image | None] = Image.RAY_VLLM
    abilities: ClassVar[frozenset[Ability]] = GeneratorSettings.abilities | {Ability.CONTINUES}

    backend: Literal["vllm"] = Field("vllm", description="what runs the model")
    precision: Precision = Field(
        "auto", description="vLLM's dtype; auto: that of the model's files, and bfloat16 or float16 for float32 files"
    )
    max_model_len: int | None = Field(
        None,
        ge=2,
        description="most tokens of prompt and answer together; default: the model's own context. Lower it where the "
        "cache of one such conversation does not fit into GPU memory",
    )
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="share of each GPU's memory that vLLM takes for weights and caches"
    )

    def open(self) -> "VllmGenerator":
        """Load the model. Raises SettingsError where vLLM is not installed, and ModelError."""
        return VllmGenerator.open(self)

    def open_folder(self, model: ModelFolder) -> "VllmGenerator":
        """Load a model from a folder. Raises SettingsError and ModelError."""
        return VllmGenerator.open(self, model)


class VllmGenerator:
    """vLLM's `LLM` with prefix caching, split over all GPUs that this process sees."""

    def __init__(self, engine: Any, sampling_class: Any, prompts: PromptMaker, slots: int) -> None:
        self.engine, self.sampling_class, self.prompts = engine, sampling_class, prompts
        self._usage = Usage(slots=slots)

    @classmethod
    def open(cls, settings: VllmSettings, model: ModelFolder | None = None) -> "VllmGenerator":
        """Load a model; without one, that which the settings name.

        Raises:
            SettingsError: vLLM is not installed here.
            ModelError: there is no such model, vLLM cannot run it, or it has no chat template.
        """
        vllm = _import_vllm(settings)
        files = model or ModelFolder(local_model(settings.model), settings.model)
        # vLLM loads the weights by itself, so they are checked here by their headers.
        require_complete(read_folder(files.path, files.reference))
        tokenizer = load_tokenizer(files.path, files.reference, allow_remote_code=files.allow_remote_code)
        engine = _start_engine(vllm, settings, files)
        options = engine.llm_engine.vllm_config
        prompts = PromptMaker(
            tokenizer,
            options.model_config.max_model_len,
            files.reference,
            settings.template_options,
            end_ids=end_ids_in(files.path),
        )
        return cls(engine, vllm.SamplingParams, prompts, options.scheduler_config.max_num_seqs)

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests, as many at a time as the engine schedules. Raises SettingsError."""
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
        """Free the engine and its GPU memory."""
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
        replies = [self._reply(*item, sampling) for item in zip(prompts, outputs, strict=True)]
        seconds = time.monotonic() - began
        tokens = [reply.tokens_out for reply in replies]
        # The engine does not report when a sequence started: its share of the longest answer approximates its time.
        busy = seconds * min(len(prompts), self._usage.slots) * (sum(tokens) / (len(tokens) * max(*tokens, 1)))
        measured = {
            "wall_seconds": self._usage.wall_seconds + seconds,
            "busy_seconds": self._usage.busy_seconds + busy,
        }
        self._usage = self._usage.after(replies).model_copy(update=measured)
        return replies

    def _options(self, key: str, sampling: Sampling) -> Any:
        """Sampling with a seed per request, so that an answer does not depend on the other requests."""
        seed = seed_of(f"{sampling.seed}:{key}", 32) >> 1
        return self.sampling_class(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed,
            # Tags of thoughts and leaked turns are read from the text; vLLM omits the end token by itself.
            skip_special_tokens=False,
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        )

    def _reply(self, prompt: Prompt, output: Any, sampling: Sampling) -> Reply:
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
        return settle_reply(prompt.key, written, stop=sampling.stop, may_be_empty=True)


def _import_vllm(settings: VllmSettings) -> Any:
    try:
        # vLLM is only in the image of the GPU workers.
        import vllm  # type: ignore[import-not-found]
    except ImportError as error:
        raise SettingsError(
            f"backend 'vllm' needs vLLM, which cannot be imported here: {error}",
            rule="vLLM runs on GPUs, in an image of its own",
            remedy=f"run this step in the image {Image.RAY_VLLM.value}, or use backend 'openai' (a vLLM server) or "
            "'transformers'",
        ) from error
    return vllm


def _start_engine(vllm: Any, settings: VllmSettings, files: ModelFolder) -> Any:
    import torch

    try:
        return vllm.LLM(
            model=str(files.path),
            tensor_parallel_size=max(torch.cuda.device_count(), 1),
            load_format="auto" if files.allow_pickled else "safetensors",
            trust_remote_code=files.allow_remote_code,
            enable_prefix_caching=True,
            dtype=settings.precision,
            max_model_len=settings.max_model_len,
            gpu_memory_utilization=settings.gpu_memory_utilization,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise ModelError(
            f"vLLM cannot run {files.reference!r}: {(str(error).splitlines() or [''])[0]}",
            remedy="see vLLM's log above; use more or larger GPUs (gpus_per_actor), lower max_model_len, or use "
            "backend 'transformers'",
        ) from error
