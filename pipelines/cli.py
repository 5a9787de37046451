"""The command line: tutelage run | submit | compile | status | cancel | report | doctor | images | schema."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.shared.errors import SettingsError, TutelageError
from pipelines.find_run import VARIABLES, find_folder, find_submission, require_submission
from pipelines.read_recipe import read_recipe
from pipelines.recipe import NAME_PATTERN
from pipelines.run_folder import WORK_FOLDER, RunFolder
from pipelines.submission import Access, Submission

app = typer.Typer(
    help="Post-train small language models with a large teacher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RecipeFile = Annotated[Path, typer.Argument(help="the recipe, a YAML file", show_default=False)]
Variables = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE for a variable of the recipe; repeatable")
]
Work = Annotated[Path, typer.Option(help="folder for the state of runs on this machine")]
Store = Annotated[str, typer.Option(help="another store than the recipe's: s3://BUCKET/PREFIX or a folder")]
PlacementFile = Annotated[
    Path | None, typer.Option(help="a YAML file that replaces the recipe's placement", show_default=False)
]
Run = Annotated[
    str, typer.Argument(help="a recipe's file, or a run's name; default: the latest run", show_default=False)
]
RunId = Annotated[
    str, typer.Option("--run", help="id of a run of Kubeflow, submitted from anywhere", show_default=False)
]
Watch = Annotated[bool, typer.Option("--watch", help="follow the run to its end; Ctrl-C stops following it")]
Host = Annotated[
    str,
    typer.Option(envvar=VARIABLES["host"], help="URL of Kubeflow Pipelines' API, with its path", show_default=False),
]
Namespace = Annotated[
    str,
    typer.Option(
        help=f"namespace of the run and its steps (a profile, where Kubeflow has many users); default: "
        f"{VARIABLES['namespace']}, this pod's, the kubeconfig's context's",
        show_default=False,
    ),
]
TokenFile = Annotated[
    str,
    typer.Option(
        envvar=VARIABLES["token_file"], help="file with a bearer token; in a pod, the service account's by itself"
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
        help="certificates that TLS trusts, a PEM file",
    ),
]


@app.callback()
def options(
    context: typer.Context, debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False
) -> None:
    """Options of all commands."""
    context.obj = {"debug": debug}


@app.command()
def run(  # noqa: PLR0917 - typer calls it by keyword
    context: typer.Context,
    recipe: RecipeFile,
    variables: Variables = None,
    store: Store = "",
    work: Work = WORK_FOLDER,
    debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False,
) -> None:
    """Run a recipe on this machine. What is done already is not done again: run it again to continue."""
    from pipelines.run_here import run_here
    from pipelines.show_result import fetch_report, print_result

    loaded = read_recipe(recipe, parse_variables(variables), store=store)
    folder = RunFolder(loaded.name, work)
    run_here(loaded, folder, debug=debug or context.obj["debug"])
    print_result(fetch_report(folder), folder)


@app.command()
def submit(  # noqa: PLR0917 - typer calls it by keyword
    recipe: RecipeFile,
    placement: PlacementFile = None,
    variables: Variables = None,
    store: Store = "",
    host: Host = "",
    namespace: Namespace = "",
    experiment: Annotated[str, typer.Option(help="experiment that the run belongs to; made if need be")] = "tutelage",
    token_file: TokenFile = "",
    cookies_file: CookiesFile = "",
    ca_bundle: Authority = "",
    run_name: Annotated[str, typer.Option(help="the run's name; default: the recipe's", show_default=False)] = "",
    watch: Watch = False,
    work: Work = WORK_FOLDER,
) -> None:
    """Compile a recipe and submit it to Kubeflow Pipelines. What is done already is not done again."""
    from pipelines.namespace import choose_namespace
    from pipelines.submit import submit as send

    loaded = read_recipe(recipe, parse_variables(variables), store=store, placement=placement, for_cluster=True)
    folder = RunFolder(check_name(run_name) or loaded.name, work)
    chosen = choose_namespace(namespace)
    _say(f"namespace: {chosen.with_jobs(loaded.placement.pods.namespace)}")
    access = Access(
        host=host,
        namespace=chosen.name if chosen.named else "",
        token_file=token_file,
        cookies_file=cookies_file,
        ca_bundle=ca_bundle,
    )
    submission = send(loaded, folder, access, experiment, guessed=chosen.guessed)
    if chosen.named and not submission.access.namespace:
        _say("Kubeflow has one user: the run is in Kubeflow's own namespace")
    _say(f"submitted {folder.name}: run {submission.run}\n{submission.link}")
    if watch:
        _watch(submission, folder)
    else:
        _say(f"tutelage status {folder.name} shows how far it is, tutelage cancel {folder.name} ends it")


@app.command("compile")
def compile_recipe(
    recipe: RecipeFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("distill.yaml"),
    placement: PlacementFile = None,
    variables: Variables = None,
    store: Store = "",
) -> None:
    """Compile a recipe to a Kubeflow pipeline: the same recipe gives the same bytes."""
    from pipelines.compile_pipeline import compile_pipeline

    loaded = read_recipe(
        recipe, parse_variables(variables), check_files=False, store=store, placement=placement, for_cluster=None
    )
    compile_pipeline(loaded, output)
    _say(f"wrote {output}")


@app.command()
def status(
    name: Run = "", run: RunId = "", watch: Watch = False, namespace: Namespace = "", work: Work = WORK_FOLDER
) -> None:
    """Show how far a run is, here or in Kubeflow, and why tasks failed.

    The exit code is 1 when a task failed or the run was cancelled.
    """
    from pipelines.show_result import print_states, print_status

    submission = _located(find_submission(name, run, work), namespace)
    if submission and watch:
        _watch(submission, RunFolder(submission.name, work))
        return
    if submission:
        from pipelines.watch_run import FollowedRun, word_for

        followed = FollowedRun(submission)
        found = followed.ask()
        good = print_states(f"{submission.name}: {word_for(found)}", followed.states(found))
        _say(submission.link)
        good = good and found.state not in {"FAILED", "CANCELED"}
    else:
        good = print_status(find_folder(name, work))
    if not good:
        raise typer.Exit(1)


@app.command()
def cancel(name: Run = "", run: RunId = "", namespace: Namespace = "", work: Work = WORK_FOLDER) -> None:
    """Cancel a run in Kubeflow, and delete its jobs. What is done already is kept."""
    from pipelines.cancel_run import cancel as end
    from pipelines.watch_run import FollowedRun

    submission = require_submission(name, run, work)
    _say(end(FollowedRun(_located(submission, namespace) or submission)))


@app.command()
def report(
    name: Run = "",
    run: RunId = "",
    namespace: Namespace = "",
    work: Work = WORK_FOLDER,
    show: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = True,
) -> None:
    """Write report.json and report.html of a run into its folder, and open the page."""
    from pipelines.show_result import fetch_report, fetch_submitted_report, print_result

    submission = _located(find_submission(name, run, work), namespace)
    folder = RunFolder(submission.name, work) if submission else find_folder(name, work)
    print_result(fetch_submitted_report(submission, folder) if submission else fetch_report(folder), folder)
    if show and sys.stdout.isatty():
        typer.launch((folder.path / "report.html").as_uri())


@app.command()
def doctor(  # noqa: PLR0917 - typer calls it by keyword
    recipe: Annotated[Path | None, typer.Argument(help="a recipe whose store, models and teacher are checked")] = None,
    variables: Variables = None,
    store: Store = "",
    cluster: Annotated[bool, typer.Option("--cluster", help="check a Kubernetes cluster and Kubeflow instead")] = False,
    placement: PlacementFile = None,
    namespace: Namespace = "",
) -> None:
    """Check this machine and a recipe's store, student and teacher; say what to do. The exit code is 1 on a fault.

    --cluster checks what the recipe with its placement needs of the cluster that KUBECONFIG names, and of Kubeflow
    Pipelines where TUTELAGE_KFP_HOST says where that is.
    """
    from pipelines.doctor import examine, print_findings

    loaded = None
    if recipe:
        loaded = read_recipe(
            recipe,
            parse_variables(variables),
            store=store,
            placement=placement,
            for_cluster=cluster,
        )
    if cluster:
        from pipelines.doctor_cluster import examine_cluster
        from pipelines.namespace import choose_namespace

        findings = examine_cluster(loaded, choose_namespace(namespace))
    else:
        findings = examine(loaded)
    if not print_findings(findings):
        raise typer.Exit(1)


@app.command()
def images(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="rendered manifests; - or, without a recipe, nothing: standard input", show_default=False),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="a recipe whose steps' and jobs' images are listed too", show_default=False)
    ] = None,
    placement: PlacementFile = None,
    variables: Variables = None,
) -> None:
    """List the images that manifests and a recipe need, one a line, for a mirror: helm template … | tutelage images."""
    from pipelines.list_images import STDIN, list_images

    loaded = None
    if recipe:
        loaded = read_recipe(recipe, parse_variables(variables), check_files=False, placement=placement)
    elif placement or variables:
        raise SettingsError("--placement and --set belong to a recipe", remedy="name it with --recipe")
    for image in list_images(files or ([] if recipe else [STDIN]), loaded):
        print(image)


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="recipe, report, manifest, or a row such as instruction/1")] = "recipe",
) -> None:
    """Print a JSON schema: every key with its type, meaning and source."""
    from pipelines.schemas import schema_of

    print(json.dumps(schema_of(what), indent=2, ensure_ascii=False))


def parse_variables(pairs: list[str] | None) -> dict[str, str]:
    """NAME=VALUE pairs by name. Raises SettingsError."""
    values = {}
    for pair in pairs or []:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise SettingsError(f"--set {pair!r}", rule="--set NAME=VALUE", remedy="write a name, =, and a value")
        values[name] = value
    return values


def check_name(name: str) -> str:
    """A run's name, which is a folder's too. Raises SettingsError."""
    if name and not re.fullmatch(NAME_PATTERN, name):
        raise SettingsError(
            f"--run-name {name!r}", rule="1 to 40 lower-case letters, digits and -", remedy="choose another name"
        )
    return name


def _located(submission: Submission | None, given: str) -> Submission | None:
    """A submitted run with the namespace that it is looked for in, which is said first; None stays None."""
    if submission is None:
        return None
    from pipelines.namespace import choose_namespace

    chosen = choose_namespace(given, submission.access.namespace)
    _say(f"namespace: {chosen.with_jobs(submission.jobs_namespace)}")
    return submission.model_copy(update={"access": submission.access.model_copy(update={"namespace": chosen.name})})


def _watch(submission: Submission, folder: RunFolder) -> None:
    """Follow a run to its end and show its result; Ctrl-C ends the following, not the run."""
    from pipelines.show_result import fetch_submitted_report, print_result
    from pipelines.watch_run import FollowedRun, watch

    try:
        watch(FollowedRun(submission))
    except KeyboardInterrupt:
        _say(
            f"no longer followed; the run goes on. tutelage status {folder.name} --watch follows it again, "
            f"tutelage cancel {folder.name} ends it"
        )
        raise typer.Exit(130) from None
    print_result(fetch_submitted_report(submission, folder), folder)


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)


def main() -> None:
    """Run the command line; an error that we know is printed without a traceback."""
    debug = "--debug" in sys.argv
    try:
        app()
    except TutelageError as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
