"""Asks a teacher as a recipe's run would; prints no key. `helm test` runs it in the launcher image."""

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

URL, MODEL, KEY = os.environ["TEACHER_URL"], os.environ["TEACHER_MODEL"], os.environ.get("TEACHER_API_KEY", "")
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, "temperature": 0}


def ask(path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    """The status and the parsed body of one request."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data=data, headers=headers)  # noqa: S310 - the chart's own URL
    try:
        with urllib.request.urlopen(request, timeout=240) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        # Without the body: some servers repeat the key in it.
        return error.code, {}
    except OSError as error:
        sys.exit(f"{URL} cannot be reached: {error}")


def main() -> None:
    """Ask for the models and for one answer, and see that the key counts."""
    status, listed = ask("/models")
    if status != 200:
        sys.exit(f"{URL}/models answers {status}")
    names = [model["id"] for model in listed["data"]]
    # transformers lists its cache, not what it serves.
    if os.environ["TEACHER_ENGINE"] == "vllm" and MODEL not in names:
        sys.exit(f"{URL} serves {', '.join(names) or 'nothing'}, not {MODEL}")
    if KEY and ask("/models", key="")[0] != 401:
        sys.exit(f"{URL} also answers without the API key")
    status, answer = ask("/chat/completions", QUESTION)
    if status != 200:
        sys.exit(f"{URL}/chat/completions answers {status} for the model {MODEL}")
    usage = answer["usage"]
    print(f"{MODEL} answers: {usage['prompt_tokens']} tokens in, {usage['completion_tokens']} tokens out")


main()
