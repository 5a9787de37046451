"""The options that several commands share, and how their values are read."""

import re
from pathlib import Path
from typing import Annotated

import typer

from components.shared.errors import SettingsError
from pipelines.kubeflow.find_run import VARIABLES
from pipelines.pipeline import NAME_PATTERN

RecipeFile = Annotated[Path, typer.Argument(help="the recipe, a YAML file", show_default=False)]
Variables = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE for a variable of the recipe; repeatable")
]
Work = Annotated[Path, typer.Option(help="folder for the state of runs on this machine")]
Store = Annotated[str, typer.Option(help="store, instead of the recipe's: s3://BUCKET/PREFIX or a folder")]
PlacementFile = Annotated[
    Path | None, typer.Option(help="a YAML file that replaces the recipe's placement", show_default=False)
]
Run = Annotated[
    str, typer.Argument(help="a recipe's file, or a run's name; default: the latest run", show_default=False)
]
RunId = Annotated[
    str, typer.Option("--run", help="id of a run in Kubeflow, submitted from any machine", show_default=False)
]
Watch = Annotated[bool, typer.Option("--watch", help="follow the run to its end; Ctrl-C stops following, not the run")]
Host = Annotated[
    str,
    typer.Option(envvar=VARIABLES["host"], help="URL of Kubeflow Pipelines' API, with its path", show_default=False),
]
Namespace = Annotated[
    str,
    typer.Option(
        help=f"namespace of the run and its steps (a profile, with Kubeflow in multi-user mode); default: "
        f"{VARIABLES['namespace']}, this pod's, the kubeconfig's context's",
        show_default=False,
    ),
]
TokenFile = Annotated[
    str,
    typer.Option(
        envvar=VARIABLES["token_file"], help="file with a bearer token; default in a pod: the service account's"
    ),
]
CookiesFile = Annotated[
    str,
    typer.Option(
        envvar=VARIABLES["cookies_file"],
        help="file with the cookie of a Dex login: authservice_session=… or oauth2_proxy_kubeflow=…",
    ),
]
Authority = Annotated[
    str,
    typer.Option(
        envvar=[VARIABLES["ca_bundle"], "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"],
        help="PEM file of the certificate authorities to trust",
    ),
]


def parse_variables(pairs: list[str] | None) -> dict[str, str]:
    """NAME=VALUE pairs by name. Raises SettingsError."""
    values = {}
    for pair in pairs or []:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise SettingsError(f"invalid --set {pair!r}", rule="--set NAME=VALUE", remedy="write both, and =")
        values[name] = value
    return values


def check_name(name: str) -> str:
    """A run's name, which also names its folder. Raises SettingsError."""
    if name and not re.fullmatch(NAME_PATTERN, name):
        raise SettingsError(
            f"invalid --run-name {name!r}",
            rule="1 to 40 lower-case letters, digits and -",
            remedy="choose another name",
        )
    return name
