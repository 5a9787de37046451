"""Containers of the teacher's chart as processes of this machine, by exactly the command lines that the chart renders.

`/models` and `/tmp` are folders of the test, and the port is a free one; all else is what `helm template` renders.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.charts.programs import Object, template


@dataclass
class Pod:
    """Containers of the chart as processes.

    Args:
        folder: holds `models` and `tmp`, which it makes.
        port: in place of the chart's.
        programs: folder of the programs that the containers' images hold.
        variables: values of those that come from a Secret.
    """

    folder: Path
    port: int
    programs: Path = Path(sys.executable).parent
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}/v1"

    def command(self, container: Object) -> list[str]:
        """The container's command line here."""
        return [self._here(word) for word in (*container["command"], *container.get("args", ()))]

    def environment(self, container: Object) -> dict[str, str]:
        """The container's variables and no others, but for the path to the programs."""
        told = {each["name"]: self._value(each) for each in container["env"]}
        return {"PATH": f"{self.programs}:/usr/bin:/bin", **told}

    def options(self, container: Object) -> dict[str, Any]:
        """What starts it as a process."""
        working = Path(self._here(container.get("workingDir", "/tmp")))
        return {"args": self.command(container), "env": self.environment(container), "cwd": working, "text": True}

    def _value(self, variable: Object) -> str:
        return self.variables.get(variable["name"]) or self._here(variable.get("value", "1"))

    def _here(self, word: str) -> str:
        moved = word.replace("http://teacher.ai.svc:8000", f"http://127.0.0.1:{self.port}")
        moved = moved.replace("--port=8000", f"--port={self.port}").replace("0.0.0.0", "127.0.0.1")
        return re.sub(r"^/(models|tmp)\b", rf"{self.folder}/\1", moved)


def teacher_containers(values: str) -> tuple[Object, Object, Object]:
    """The init container, the server, and that of `helm test`, with a file of values."""
    objects = template("teacher", values, release="teacher", namespace="ai")
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (test,) = [one for one in objects if one["kind"] == "Pod"]
    spec = deployment["spec"]["template"]["spec"]
    return spec["initContainers"][0], spec["containers"][0], test["spec"]["containers"][0]
