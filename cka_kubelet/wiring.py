"""The one place that picks concrete classes and connects them. `cli` calls it; nothing below knows it."""

import json
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cka_kubelet import paths
from cka_kubelet.clock import SystemClock
from cka_kubelet.engine.target import target_of
from cka_kubelet.errors import LabError, RestoreError, UsageError
from cka_kubelet.faults.injection import undo_all
from cka_kubelet.faults.journal import Journal, Record
from cka_kubelet.providers.base import SINGLE_NODE, Cluster, Progress, Provider
from cka_kubelet.provision.spec import ControlPlane
from cka_kubelet.remote.shell import Terminal

if TYPE_CHECKING:  # loaded only by the commands that need them
    from cka_kubelet.engine.run import LabRun
    from cka_kubelet.labspec.loader import LabFile


@dataclass(frozen=True)
class LabOptions:
    """What `cka-kubelet lab` was asked for."""

    name: str
    play: bool = False
    exam: bool = False
    hosts: tuple[str, ...] = ()
    seed: int = 0
    keep: bool = False
    json: bool = False


def provider(hosts: Sequence[str], control_plane: ControlPlane = "unit") -> Provider:
    """Containers of this machine, or the user's own hosts."""
    if hosts:
        from cka_kubelet.providers.ssh import SSHProvider

        return SSHProvider(hosts, ask_consent, control_plane=control_plane)
    from cka_kubelet.providers.container import ContainerProvider

    return ContainerProvider(control_plane=control_plane)


def journal() -> Journal:
    """Where every pending injection of this user is written down."""
    return Journal(paths.data_dir() / "journal")


def ask_consent(host: str, fingerprint: str) -> bool:
    """True only when a person at a terminal types the host's name."""
    if not sys.stdin.isatty():
        return False
    print(f"{host} is not one of our nodes yet (host key {fingerprint}).")
    print("A lab installs packages there, runs a cluster and breaks things on purpose; all of it is undone afterwards.")
    return input(f"To allow that, type {host}: ").strip() == host


def run_lab(options: LabOptions) -> int:
    """One lab, in the app or played. Returns the exit code; raises LabError."""
    from cka_kubelet.labspec import catalogue
    from cka_kubelet.sessions import lock

    file = catalogue.find(options.name)
    if len(options.hosts) == 1:
        file = replace(file, lab=file.lab.on_one_node(SINGLE_NODE))
    source = provider(options.hosts, file.lab.control_plane)
    with lock.held(paths.data_dir() / "lab.lock"):
        keeper = _Keeper(options, file, source)
        return _play(options, file, keeper) if options.play else _open_app(options, file, keeper)


def run_drill(
    families: Sequence[str], difficulties: Sequence[str], seed: int | None, count: int, options: LabOptions
) -> int:
    """Labs of these families and difficulties, one after the other. Returns 0 when the last was passed, else 1."""
    import secrets

    from cka_kubelet.drilling import drill
    from cka_kubelet.labspec import catalogue
    from cka_kubelet.labspec.drill import SEEDS, chosen, deals, family

    labs = [file.lab for file in catalogue.every()]
    names = chosen(labs, families, difficulties)
    if not names:
        known = ", ".join(sorted({family(lab.name) for lab in labs}))
        raise UsageError("no lab is of that family and difficulty", f"There are the families {known}.")
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    print(f"{len(names)} labs; the same drill again: --seed {seed}", flush=True)
    return drill(
        deals(names, seed),
        lambda deal: run_lab(replace(options, name=deal.lab, seed=deal.seed)),
        _wants_another if not options.play else lambda: True,
        count=count or (len(names) if options.play else 0),
        say=lambda line: print(line, flush=True),
    )


def _wants_another() -> bool:
    try:
        return input("Enter for the next lab, q to stop: ").strip().lower() not in ("q", "quit", "n", "no")
    except EOFError:
        return False


class _Keeper:
    """The nodes of one lab: taken before it, given back after it."""

    def __init__(self, options: LabOptions, file: "LabFile", source: Provider) -> None:
        self._options = options
        self._file = file
        self._source = source
        self._cluster: Cluster | None = None

    def begin(self, progress: Progress) -> "LabRun":
        """Nodes, clean of what a killed run may have left, and a run on them."""
        from cka_kubelet.engine.run import LabRun
        from cka_kubelet.sessions.store import Store

        store = Store(paths.data_dir() / "history.db")  # a full disk shows here, before anything is made
        cluster = self._source.acquire(progress)
        self._cluster = cluster
        book = journal()
        if self._options.hosts:
            undo_all(book, target_of(cluster))
        else:
            book.forget_cluster(cluster.id)  # these containers are new; the broken ones are gone
        return LabRun(
            self._file,
            cluster,
            journal=book,
            store=store,
            clock=SystemClock(),
            seed=self._options.seed,
            exam=self._options.exam,
        )

    def end(self, progress: Progress) -> None:
        """Remove the nodes, unless they are to be kept. Safe to repeat."""
        if self._cluster is None or self._options.keep:
            return
        progress("nodes", "removing them")
        self._cluster.destroy()
        self._cluster = None


def _open_app(options: LabOptions, file: "LabFile", keeper: _Keeper) -> int:
    from cka_kubelet.tui.app import LabApp
    from cka_kubelet.tui.enginerun import EngineRun

    outcome = LabApp(EngineRun(file, keeper.begin, keeper.end, exam=options.exam)).run()
    return 130 if outcome is None else outcome.exit_code


def _play(options: LabOptions, file: "LabFile", keeper: _Keeper) -> int:
    from cka_kubelet.playing import play_lab

    return play_lab(file, keeper.begin, keeper.end, as_json=options.json)


def list_labs(words: Sequence[str], as_json: bool) -> None:
    """Print the labs that mention all words."""
    from cka_kubelet.labspec import catalogue

    found = []
    for file in catalogue.every():
        lab = file.lab
        text = " ".join([lab.name, lab.title, lab.domain, *lab.tags, lab.brief]).lower()
        if all(word.lower() in text for word in words):
            found.append(lab)
    if as_json:
        keys = ("name", "title", "domain", "tags", "minutes")
        print(json.dumps([{key: getattr(lab, key) for key in keys} for lab in found], indent=2))
        return
    if not found:
        raise UsageError(f"no lab mentions {' '.join(words)}", "`cka-kubelet labs` lists them all.")
    width = max(len(lab.name) for lab in found)
    for lab in found:
        quick, slow = lab.minutes
        print(f"{lab.name:<{width}}  {f'{quick}-{slow} min':>9}  {lab.title}")


def lint_labs(files: Sequence[str]) -> int:
    """Print what is wrong with lab files. Returns 0 when there is no error, else 2; warnings do not count."""
    from pathlib import Path

    from cka_kubelet.engine.lint import lint

    errors = 0
    for file in files:
        found = lint(Path(file), paths.data_dir() / "faults")
        errors += len(found.errors)
        print("".join(f"{line}\n" for line in found.errors), end="")
        print("".join(f"{line} (warning)\n" for line in found.warnings), end="")
        if not found.errors and not found.warnings:
            print(f"{file}: fine")
    return 2 if errors else 0


def new_lab(name: str | None, fault: str | None, title: str | None, node: str, given: Sequence[str]) -> None:
    """Write a lab file to the user's folder, from the lab that uses the same fault. Asks for what is not said."""
    from cka_kubelet.faults import loader, settle
    from cka_kubelet.labspec import catalogue, newlab

    name = newlab.check_name(name or input("Name of the lab (what its symptom is, as in notready-mine): ").strip())
    path = paths.data_dir() / "labs" / f"{name}.yaml"
    if name in catalogue.files() or path.exists():
        raise UsageError(f"there is a lab called {name!r} already", "Choose another name.")
    fault = fault or input("Its fault (one that a lab uses; `cka-kubelet labs faults` lists them): ").strip()
    parameters = dict(newlab.parameter(word) for word in given)
    settle(loader.load([fault], paths.data_dir() / "faults")[fault], parameters)
    pattern = newlab.pattern(catalogue.every(), fault)
    like = pattern or catalogue.find("notready-1")
    title = title or input("Its title (it must not give the fault away): ").strip() or name
    wishes = newlab.Wishes(name, title, fault, node, parameters)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(newlab.written(like.path.read_text("utf-8"), wishes), "utf-8")
    lint_labs([str(path)])
    if pattern is None:
        print(f"No lab uses {fault} alone, so evidence, cause, hints and solution are still those of {like.lab.name}.")
    print(
        f"Made from {like.lab.name}. Edit it, then `cka-kubelet labs test {name}`; `cka-kubelet lab {name}` starts it."
    )


def list_faults() -> None:
    """Print every installed fault: its name, what it does, its parameters."""
    from cka_kubelet.faults import loader

    known = loader.available()
    width = max(map(len, known))
    for name, fault in sorted(known.items()):
        print(f"{name:<{width}}  {(type(fault).__doc__ or '').strip().splitlines()[0]}")
        for parameter in fault.parameters:
            print(f"{'':<{width}}    {parameter.name}={parameter.default!r}: {parameter.help}")


def prove_labs(names: Sequence[str], *, every: bool) -> int:
    """Put labs through their contract on fresh nodes, and print each promise. Returns 0 when all are kept, else 1."""
    from cka_kubelet.labspec import catalogue
    from cka_kubelet.sessions import lock

    if not names and not every:
        raise UsageError("which labs?", "Name them, or say --all.")
    labs = catalogue.every() if every else [catalogue.find(name) for name in names]
    with lock.held(paths.data_dir() / "lab.lock"):
        kept = [_keeps_its_contract(file) for file in labs]
    print(f"{sum(kept)} of {len(kept)} labs keep their contract")
    return 0 if all(kept) else 1


def _keeps_its_contract(file: "LabFile") -> bool:
    import tempfile
    from pathlib import Path

    from cka_kubelet.engine import contract
    from cka_kubelet.engine.run import LabRun
    from cka_kubelet.sessions.store import Store

    def progress(phase: str, detail: str) -> None:
        print(f"    {phase}: {detail[:110]}", file=sys.stderr, flush=True)

    print(file.lab.name, flush=True)
    cluster = provider((), file.lab.control_plane).acquire(progress)
    book = journal()
    book.forget_cluster(cluster.id)  # these containers are new
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:  # a proof is no part of anybody's history
        store = Store(Path(folder) / "history.db")
        try:
            broken = contract.prove(
                lambda: LabRun(file, cluster, journal=book, store=store, clock=clock), cluster, clock, progress
            )
        finally:
            store.close()
            cluster.destroy()
    for promise in contract.promises(file.lab):
        found = "; ".join(entry.found for entry in broken if entry.promise == promise)
        print(f"  BROKEN  {promise}: {found}" if found else f"  kept    {promise}", flush=True)
    return not broken


def _clusters() -> list[Cluster]:
    """Every cluster that exists now: this machine's containers, and each set of hosts that was ever consented to."""
    from cka_kubelet.providers.ssh import known_clusters

    return [*provider(()).existing(), *known_clusters()]


def list_nodes(as_json: bool) -> None:
    """Print the nodes that exist now, with what is pending on them."""
    pending = journal().records()
    rows = []
    for cluster in _clusters():
        for name, node in cluster.nodes.items():
            faults = [record.fault for record in pending if (record.cluster, record.node) == (cluster.id, name)]
            rows.append({**asdict(node), "cluster": cluster.id, "pending": faults})
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("No lab nodes are running. `cka-kubelet lab notready-1` starts some.")
    for row in rows if not as_json else ():
        state = f"fault pending: {', '.join(row['pending'])}" if row["pending"] else "clean"
        place = f"{row['ssh_host']}:{row['ssh_port']}"
        print(f"{row['name']:<14} {row['role']:<14} {row['address']:<15} {place:<21} {state}")


def destroy_nodes(*, images: bool, hosts: bool) -> None:
    """Remove this machine's nodes and their pending faults; with `hosts`, put the user's own hosts back too."""
    from cka_kubelet.providers.container import ContainerProvider
    from cka_kubelet.providers.ssh import known_clusters

    containers = ContainerProvider()
    gone = containers.destroy_all(images=images)
    book = journal()
    own = {cluster.id: cluster for cluster in known_clusters()}
    for cluster_id in {record.cluster for record in book.records()} - own.keys():
        book.forget_cluster(cluster_id)
    for cluster in own.values() if hosts else ():
        undo_all(book, target_of(cluster))
        cluster.destroy()
        gone += [f"the lab from {node.ssh_host}" for node in cluster.nodes.values()]
    print("\n".join(f"removed {name}" for name in gone) or "Nothing to remove.")


def restore(as_json: bool) -> int:
    """Undo every pending injection. Returns 0; raises RestoreError, after all others, for what cannot be undone."""
    book = journal()
    done: list[dict[str, Any]] = []
    problems: list[LabError] = []
    clusters = {cluster.id: cluster for cluster in _clusters()}
    for cluster_id in sorted({record.cluster for record in book.records()}):
        if cluster_id not in clusters:  # its containers are gone, and the faults with them
            records = [record for record in book.records() if record.cluster == cluster_id]
            done += [_undone(record, ["node is gone"]) for record in records]
            book.forget_cluster(cluster_id)
            continue
        try:
            done += [_undone(record, changed) for record, changed in undo_all(book, target_of(clusters[cluster_id]))]
        except LabError as err:
            problems.append(err)
    if as_json:
        print(json.dumps({"restored": done, "pending": len(book.records())}, indent=2))
    else:
        for entry in done:
            changed = ", ".join(entry["changed"]) or "as it was"
            print(f"{entry['node']}: {entry['fault']} ({entry['lab']}) undone: {changed}")
        if not done and not problems:
            print("Nothing is pending.")
    if problems:
        raise RestoreError("; ".join(err.message for err in problems), "Mend that, then `cka-kubelet restore` again.")
    return 0


def _undone(record: Record, changed: Sequence[str]) -> dict[str, Any]:
    return {"node": record.node, "lab": record.lab, "fault": record.fault, "changed": list(changed)}


def doctor(as_json: bool) -> int:
    """Print the findings. Returns 0 when a lab can run, 4 when something is missing."""
    from cka_kubelet.providers.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        from rich.console import Console
        from rich.markup import escape

        console = Console(highlight=False, soft_wrap=True)
        signs = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "missing": "[red]✗[/]"}
        for finding in findings:
            console.print(f"{signs[finding.status]} {finding.name:<17} {escape(finding.found)}")
            if finding.mend:
                console.print(f"  {'':<17} [bold]{escape(finding.mend)}[/]")
    return 4 if any(finding.status == "missing" for finding in findings) else 0


def node_shell(node: str) -> int:
    """Connect this terminal to a node's. Raises UsageError when there is no such node or no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("`nodes shell` needs a terminal", "Run it from one.")
    cluster = next((cluster for cluster in _clusters() if node in cluster.nodes), None)
    if cluster is None:
        raise UsageError(f"there is no lab node called {node!r}", "`cka-kubelet nodes` lists them.")
    columns, rows = os.get_terminal_size()
    terminal = cluster.shell(node).open_terminal(columns, rows)
    signal.signal(signal.SIGWINCH, lambda *_: terminal.resize(*os.get_terminal_size()))
    _connect(terminal)
    return 0


def _connect(terminal: Terminal) -> None:
    """Carry bytes between this terminal, in raw mode, and the node's until its shell ends."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        while (output := terminal.read(0.02)) is not None:
            if output:
                os.write(sys.stdout.fileno(), output)
            if select.select([sys.stdin], [], [], 0)[0]:
                terminal.write(os.read(sys.stdin.fileno(), 4096))
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        terminal.close()
