"""Answers questions with the backend `vllm`; the environment with vLLM for CPUs runs it, not this project's.

python -m tests.serving.answer_in_vllm SETTINGS ASKED      # both JSON; prints the replies as one JSON line
"""

import functools
import json
import sys

from components.models.generators.generator import ChatRequest, Sampling, open_generator
from components.models.generators.vllm import VllmSettings


def main() -> None:
    import vllm  # type: ignore[import-not-found]

    # Compiled graphs take a minute to make on two cores, and change nothing that is tested.
    vllm.LLM = functools.partial(vllm.LLM, enforce_eager=True)
    generator = open_generator(VllmSettings.model_validate_json(sys.argv[1]))
    rounds = []
    for asked in json.loads(sys.argv[2]):
        requests = [ChatRequest.model_validate(request) for request in asked["requests"]]
        replies = generator.answer(requests, Sampling.model_validate(asked["sampling"]))
        rounds.append([reply.model_dump() for reply in replies])
    usage = generator.usage().model_dump()
    generator.close()
    print(json.dumps({"rounds": rounds, "usage": usage}))


if __name__ == "__main__":
    main()
