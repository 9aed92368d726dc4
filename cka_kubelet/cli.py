"""The command line: thin. What a command does is in `wiring`; how it is said is here.

Exit codes: 0 done or passed · 1 the lab ran and was not passed · 2 wrong usage or lab file · 3 not our node, nothing
touched · 4 this machine lacks something · 5 a node did not answer or obey · 6 a node could not be made · 7 the lab
could not start · 8 something could not be undone · 70 a defect of ours · 130 Ctrl-C.
"""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from cka_kubelet import __version__
from cka_kubelet.errors import LabError

EXIT_CODES = __doc__.partition("\n\n")[2] if __doc__ else ""

app = typer.Typer(
    name="cka-kubelet",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Kubernetes node troubleshooting on real nodes: find out what is broken, and repair it so that it lasts.",
    epilog=EXIT_CODES,
)
nodes_app = typer.Typer(
    help="The lab nodes on this machine: list (the default), shell, destroy.", rich_markup_mode="markdown"
)
app.add_typer(nodes_app, name="nodes")


class _ListByDefault(typer.core.TyperGroup):
    """`labs` and `labs WORDS` list; only a sub-command's own name is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--help" not in args[:1] and not (args and args[0] in self.commands):
            args = ["list", *args]
        return super().parse_args(ctx, args)


labs_app = typer.Typer(
    cls=_ListByDefault,
    help="List the labs (`labs [WORDS]`), prove them (`test`), write a `new` one, look over files (`lint`).",
    rich_markup_mode="markdown",
)
app.add_typer(labs_app, name="labs")

MAX_SEED = 2**63 - 1
"""What the history can hold."""
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
HOST = Annotated[
    list[str] | None,
    typer.Option(
        "--host", metavar="USER@ADDRESS[:PORT]", help="Use your own host(s) over SSH; give it twice for two nodes."
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cka-kubelet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Examples: `cka-kubelet lab notready-1` · `lab notready-3 --play` · `lab notready-1 --host root@10.0.0.5`"
)
def lab(
    name: Annotated[str, typer.Argument(help="A lab's name (see `cka-kubelet labs`) or the path of a lab file.")],
    play: Annotated[bool, typer.Option("--play", help="Play the reference solution and print every step.")] = False,
    exam: Annotated[bool, typer.Option("--exam", help="Score the outcome only, as the CKA does.")] = False,
    host: HOST = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=MAX_SEED, help="Chooses the fault's particulars; the same seed gives the same lab."),
    ] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the nodes running afterwards.")] = False,
    json_: JSON = False,
) -> None:
    """Start a lab: nodes, fault, your shell, score, everything restored."""
    from cka_kubelet import wiring

    play = play or json_ or not (sys.stdin.isatty() and sys.stdout.isatty())
    options = wiring.LabOptions(
        name=name, play=play, exam=exam, hosts=tuple(host or ()), seed=seed, keep=keep, json=json_
    )
    raise typer.Exit(wiring.run_lab(options))


@app.command(
    epilog="Examples: `cka-kubelet drill` · `drill pods-pending no-logs --difficulty easy` · `drill --seed 42`"
)
def drill(
    families: Annotated[
        list[str] | None, typer.Argument(help="Families of labs: their names without the number. Default: all.")
    ] = None,
    difficulty: Annotated[
        list[str] | None, typer.Option(help="easy, medium or hard, by the time a lab takes; may be given twice.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Deals the same labs with the same particulars again.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after this many labs; 0: when you stop.")] = 0,
    play: Annotated[bool, typer.Option("--play", help="Play the reference solutions and print every step.")] = False,
    exam: Annotated[bool, typer.Option("--exam", help="Score the outcome only, as the CKA does.")] = False,
    host: HOST = None,
) -> None:
    """Random labs without end, dealt from a seed; when all were used they come again with new particulars."""
    from cka_kubelet import wiring

    wrong = set(difficulty or ()) - {"easy", "medium", "hard"}
    if wrong:
        raise typer.BadParameter(f"{', '.join(sorted(wrong))}: there are easy, medium and hard")
    play = play or not (sys.stdin.isatty() and sys.stdout.isatty())
    options = wiring.LabOptions(name="", play=play, exam=exam, hosts=tuple(host or ()))
    raise typer.Exit(wiring.run_drill(families or (), difficulty or (), seed, count, options))


@labs_app.command(
    "list", epilog="Examples: `cka-kubelet labs` · `cka-kubelet labs certificate` · `cka-kubelet labs --json`"
)
def labs(
    words: Annotated[list[str] | None, typer.Argument(help="Show only labs that mention all of these.")] = None,
    json_: JSON = False,
) -> None:
    """List the labs (what `labs` does without a sub-command)."""
    from cka_kubelet import wiring

    wiring.list_labs(words or [], json_)


@labs_app.command("test", epilog="Examples: `cka-kubelet labs test notready-1 ./mine.yaml` · `labs test --all`")
def labs_test(
    names: Annotated[list[str] | None, typer.Argument(help="Names of labs or paths of lab files.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every lab there is.")] = False,
) -> None:
    """Prove on real nodes that labs keep their contract; exit code 1 when one does not."""
    from cka_kubelet import wiring

    raise typer.Exit(wiring.prove_labs(names or [], every=every))


@labs_app.command("lint")
def labs_lint(files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Lab files.")]) -> None:
    """Tell every mistake in lab files as file:line:column; exit code 2 when there is one. Starts no node."""
    from cka_kubelet import wiring

    raise typer.Exit(wiring.lint_labs(files))


@labs_app.command("new", epilog="Example: `cka-kubelet labs new notready-mine --fault kubelet-stopped --title Silence`")
def labs_new(
    name: Annotated[str | None, typer.Argument(help="The lab's name, which is its file's as well.")] = None,
    fault: Annotated[str | None, typer.Option(help="What breaks the node; `labs faults` lists them.")] = None,
    title: Annotated[str | None, typer.Option(help="What learners read first.")] = None,
    on: Annotated[str, typer.Option(help="The node that is broken.")] = "node01",
    with_: Annotated[list[str] | None, typer.Option("--with", metavar="KEY=VALUE", help="A parameter.")] = None,
) -> None:
    """Write a lab of your own that works at once, into your folder of labs. Asks for what is not given."""
    from cka_kubelet import wiring

    wiring.new_lab(name, fault, title, on, with_ or ())


@labs_app.command("faults")
def labs_faults() -> None:
    """List the faults that labs can use, with their parameters."""
    from cka_kubelet import wiring

    wiring.list_faults()


@labs_app.command("schema")
def labs_schema() -> None:
    """Print the JSON Schema of a lab file, for editors."""
    from cka_kubelet.labspec import catalogue

    typer.echo(catalogue.schema_text(), nl=False)


@nodes_app.callback(invoke_without_command=True)
def nodes(context: typer.Context, json_: JSON = False) -> None:
    """List the lab nodes on this machine."""
    if context.invoked_subcommand is None:
        from cka_kubelet import wiring

        wiring.list_nodes(json_)


@nodes_app.command("shell")
def nodes_shell(node: Annotated[str, typer.Argument(help="controlplane or node01.")] = "controlplane") -> None:
    """Open a shell on a running lab node."""
    from cka_kubelet import wiring

    raise typer.Exit(wiring.node_shell(node))


@nodes_app.command("destroy")
def nodes_destroy(
    images: Annotated[
        bool, typer.Option("--images", help="Remove the prepared images too; the next lab is a cold start.")
    ] = False,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Put your own hosts (`lab --host`) back as they were, too.")
    ] = False,
) -> None:
    """Remove every lab node, its network and volumes from this machine."""
    from cka_kubelet import wiring

    wiring.destroy_nodes(images=images, hosts=hosts)


@app.command(epilog="Safe after any crash and safe to repeat: `cka-kubelet restore`")
def restore(json_: JSON = False) -> None:
    """Undo every pending injection on every known node, your own hosts included."""
    from cka_kubelet import wiring

    raise typer.Exit(wiring.restore(json_))


@app.command()
def doctor(json_: JSON = False) -> None:
    """Check this machine: what is fine, what is missing, the exact command that mends it."""
    from cka_kubelet import wiring

    raise typer.Exit(wiring.doctor(json_))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit. Errors become one message with what to do, never a traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(args=args, prog_name="cka-kubelet", standalone_mode=False)
    except typer.exceptions.TyperException as err:
        _say_error(err.format_message(), "`cka-kubelet --help` shows the commands, `COMMAND --help` its options.", args)
        sys.exit(2)
    except LabError as err:
        _say_error(err.message, err.hint, args)
        sys.exit(err.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as err:
        if os.environ.get("CKA_KUBELET_DEBUG"):
            traceback.print_exc()
        _say_error(
            f"this is a defect of cka-kubelet: {type(err).__name__}: {err}",
            "`cka-kubelet restore` undoes what a lab left. Please report it with what CKA_KUBELET_DEBUG=1 prints.",
            args,
        )
        sys.exit(70)
    sys.exit(code if isinstance(code, int) else 0)


def _say_error(message: str, hint: str, args: Sequence[str]) -> None:
    if "--json" in args:
        document: dict[str, Any] = {"error": {"message": message, "hint": hint}}
        print(json.dumps(document))
        return
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
