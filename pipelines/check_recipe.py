"""What types cannot say about a recipe: combinations that are impossible, and files that are not there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.models.reference import PACKAGE, package_folder
from pipelines.document import Location
from pipelines.recipe import BASE, STUDENT, Recipe


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where in the recipe."""

    location: Location
    text: str


def find_faults(recipe: Recipe, *, check_files: bool) -> list[Fault]:
    """Everything that is wrong with a recipe whose types are right."""
    faults = [
        *_nulls(recipe, ()),
        *_names(recipe),
        *_starts(recipe),
        *_merges(recipe),
        *_benchmarks(recipe),
        *_gate(recipe),
    ]
    return faults + (list(_files(recipe)) if check_files else [])


def _nulls(value: object, location: Location) -> Iterator[Fault]:
    """Nulls that would change a default: Kubeflow's constants cannot carry them."""
    if isinstance(value, BaseModel):
        for name in sorted(value.model_fields_set):
            item, default = getattr(value, name), type(value).model_fields[name].default
            if item is None and default is not None:
                yield Fault(
                    (*location, name), f"null cannot be handed to a component; leave {name!r} out ({default!r})"
                )
            yield from _nulls(item, (*location, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _nulls(item, (*location, str(name)))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _nulls(item, (*location, number))


def _names(recipe: Recipe) -> Iterator[Fault]:
    for part, names in (("train", recipe.train), ("merge", recipe.merge)):
        for name in names:
            if name in {BASE, STUDENT}:
                yield Fault((part, name), f"{name!r} is the name of the model that everything is compared with")
            if part == "merge" and name in recipe.train:
                yield Fault((part, name), f"{name!r} is a trained variant already; choose another name")


def _starts(recipe: Recipe) -> Iterator[Fault]:
    for name, variant in recipe.train.items():
        seen, current = [name], variant.start
        while current != STUDENT:
            if current not in recipe.train:
                allowed = ", ".join([STUDENT, *(other for other in recipe.train if other != name)])
                yield Fault(("train", name, "start"), f"no variant {current!r}\n    allowed: {allowed}")
                break
            if current in seen:
                yield Fault(("train", name, "start"), f"goes round in a circle: {' → '.join([*seen, current])}")
                break
            seen.append(current)
            current = recipe.train[current].start


def _merges(recipe: Recipe) -> Iterator[Fault]:
    allowed = [BASE, *recipe.train]
    for name, merging in recipe.merge.items():
        for number, part in enumerate(merging.models):
            if part.name not in allowed:
                yield Fault(
                    ("merge", name, "models", number), f"no model {part.name!r}\n    allowed: {', '.join(allowed)}"
                )
        if merging.base and merging.base not in allowed:
            yield Fault(("merge", name, "base"), f"no model {merging.base!r}\n    allowed: {', '.join(allowed)}")


def _benchmarks(recipe: Recipe) -> Iterator[Fault]:
    there = [source.name for source in recipe.collect.benchmarks]
    for number, benchmark in enumerate(recipe.evaluate.benchmarks):
        if benchmark.name not in there:
            yield Fault(
                ("evaluate", "benchmarks", number, "name"),
                f"benchmark {benchmark.name!r} has no data\n    rule: collect.benchmarks imports what is evaluated"
                f"\n    allowed: {', '.join(there) or 'none: add it to collect.benchmarks'}",
            )


def _gate(recipe: Recipe) -> Iterator[Fault]:
    allowed = [benchmark.name for benchmark in recipe.evaluate.benchmarks]
    gate = recipe.publish.gate
    named: list[tuple[Location, str]] = [(("publish", "gate", "max_loss", name), name) for name in gate.max_loss]
    for location, name in [(("publish", "gate", "benchmark"), gate.benchmark), *named]:
        if name and name not in allowed:
            yield Fault(location, f"benchmark {name!r} is not evaluated\n    allowed: {', '.join(allowed)}")


def _files(recipe: Recipe) -> Iterator[Fault]:
    places: list[tuple[Location, str]] = [
        (("collect", "sources", number, "uri"), source.uri) for number, source in enumerate(recipe.collect.sources)
    ]
    places += [
        (("collect", "benchmarks", number, "uri"), source.uri)
        for number, source in enumerate(recipe.collect.benchmarks)
    ]
    for location, uri in places:
        path = local_path(uri)
        if path is not None and not path.exists():
            yield Fault(location, f"{uri!r}: no such file or folder (looked for {path})")
    if recipe.student.startswith((PACKAGE, "/", ".")):
        path = local_path(recipe.student)
        if path is not None and not (path / "config.json").exists() and not (path / "manifest.json").exists():
            yield Fault(("student",), f"{recipe.student!r}: no model there (looked for {path}/config.json)")


def local_path(uri: str) -> Path | None:
    """The local path that a URI means, or None when it lies elsewhere (a bucket or a hub)."""
    if uri.startswith(PACKAGE):
        return package_folder(uri)
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if ":" in uri.split("/", maxsplit=1)[0] else Path(uri).expanduser()
