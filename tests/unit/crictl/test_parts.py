"""The pure parts: tables, words for ages and sizes, templates, configuration, log files."""

import io
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.crictl import jsonform, settings
from cka_kubelet.crictl.configfile import read_message
from cka_kubelet.crictl.errors import Failure
from cka_kubelet.crictl.flags import Flag, FlagError, parse
from cka_kubelet.crictl.log import line
from cka_kubelet.crictl.logs import Options, Writer, since_text, tail_offset
from cka_kubelet.crictl.tables import age, size
from cka_kubelet.crictl.template import render
from cka_kubelet.kube.tabwriter import tabulate


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"), (1.9, "1 second"), (59.9, "59 seconds"), (60, "About a minute"),
        (119, "About a minute"), (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"),
        (5400, "2 hours"), (47.4 * 3600, "47 hours"), (48 * 3600, "2 days"), (13.5 * 86400, "13 days"),
        (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"), (60 * 86400, "2 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_age(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("count", "precision", "text"),
    [(0, 4, "0B"), (999, 4, "999B"), (466_944, 4, "466.9kB"), (2_140_818, 3, "2.14MB"), (93_031_090, 3, "93MB")],
)
def test_size(count: int, precision: int, text: str) -> None:
    assert size(count, precision) == text


def test_column_width_is_per_run_of_rows() -> None:
    rows = [["a", "b"], ["longer", "b"], ["no columns"], ["x", "y"]]
    assert tabulate(rows, minimum=1, padding=2) == "a       b\nlonger  b\nno columns\nx  y\n"


def test_logrus_lines() -> None:
    assert line("error", "no such image x", 0, terminal=True, elapsed=2) == (
        "\x1b[31mERRO\x1b[0m[0002] no such image x                              "
    )
    assert line("info", "done", time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1)), terminal=False).endswith(
        "level=info msg=done"
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.a.b}}", "1"), ("{{ .list }}", "[x y]"), ("{{range .list}}<{{.}}>{{end}}", "<x><y>"),
        ("{{if .no}}a{{else}}b{{end}}", "b"), ('{{index .m "k.x"}}', "v"), ("{{len .list}}", "2"),
        ("{{.a}}", "map[b:1]"), ("{{json .a}}", '{"b":1}\n'), ("{{.list | json}}", '["x","y"]\n'),
        ("x {{- .t -}} y", "xtruey"), ("{{range .none}}a{{else}}empty{{end}}", "empty"),
        ("{{with .a}}{{.b}}{{end}}", "1"), ('{{index .list 1 | upper}}', "Y"),
    ],
)  # fmt: skip
def test_template(template: str, text: str) -> None:
    document = {"a": {"b": 1}, "list": ["x", "y"], "no": False, "m": {"k.x": "v"}, "t": True, "none": []}
    assert render(template, document) == text


@pytest.mark.parametrize(
    "template", ["{{.nope}}", "{{", "{{range .a}}", "{{end}}", "{{foo .a}}", "{{index .a 3}}", "{{}}"]
)
def test_wrong_template(template: str) -> None:
    with pytest.raises(Failure):
        render(template, {"a": {"b": 1}})


def test_flags_stop_at_the_first_word() -> None:
    flags = [Flag(("all", "a"), "bool", ""), Flag(("quiet", "q"), "bool", ""), Flag(("n",), "int", "")]
    parsed = parse(flags, ["-aq", "-n=3", "x", "-a"], short=True, environment={})
    assert (parsed.values, parsed.args) == ({"all": True, "quiet": True, "n": 3}, ["x", "-a"])
    for argv, text in (
        (["-n"], "flag needs an argument: -n"),
        (["-n", "x"], 'invalid value "x" for flag -n: parse error'),
        (["--all=x"], 'invalid boolean value "x" for -all: parse error'),
        (["-aq"], "flag provided but not defined: -aq"),
    ):
        with pytest.raises(FlagError) as e:
            parse(flags, argv, short=False, environment={})
        assert str(e.value) == text


def test_configuration_keeps_comments(tmp_path: Path) -> None:
    path = tmp_path / "crictl.yaml"
    path.write_text("# mine\nruntime-endpoint: unix:///old  # why\ntimeout: 10\n")
    options = settings.read(path)
    assert (options["runtime-endpoint"], options["timeout"]) == ("unix:///old", 10)
    settings.write(path, options | {"runtime-endpoint": "unix:///new", "debug": True})
    assert path.read_text().splitlines()[:3] == ["# mine", "runtime-endpoint: unix:///new  # why", "timeout: 10"]
    assert settings.read(path)["debug"] is True


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("runtime_endpoint: x\n", "Config option 'runtime_endpoint' is not valid"),
        ("timeout: soon\n", "parsing config option 'timeout': strconv.Atoi: parsing \"soon\": invalid syntax"),
        ("debug: maybe\n", "parsing config option 'debug': strconv.ParseBool"),
        ("a: [\n", "yaml: "),
    ],
)
def test_wrong_configuration(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(Failure) as e:
        settings.read(tmp_path / "c")
    assert str(e.value).startswith(problem)


def test_container_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "metadata: {name: x}\nimage: {image: i}\ncommand: [sh, -c]\nenvs: [{key: A, value: b}]\nlabels: {k: v}\n"
        "mounts: [{host_path: /a, container_path: /b, readonly: true}]\n"
        "linux: {resources: {memory_limit_in_bytes: 5}}\nstdin: true\nunknown: 1\n"
    )
    config = read_message(str(path), pb.ContainerConfig)
    assert (config.metadata.name, list(config.command), config.envs[0].value) == ("x", ["sh", "-c"], b"b")
    assert config.mounts[0].readonly
    assert config.linux.resources.memory_limit_in_bytes == 5
    path.write_text("metadata: text\n")
    with pytest.raises(Failure, match=r"unmarshal string into Go struct field ContainerConfig\.metadata"):
        read_message(str(path), pb.ContainerConfig)
    with pytest.raises(Failure, match="config at /nope not found"):
        read_message("/nope", pb.ContainerConfig)


LOG = b"2026-11-21T04:00:01.5Z stdout F one\n2026-11-21T04:00:02Z stderr P two\n2026-11-21T04:00:03Z stdout F three\n"


def written(**changes: object) -> tuple[bytes, bytes]:
    values = {"since": "", "timestamps": False, "stream": "", "limit": -1} | changes
    out, err = io.BytesIO(), io.BytesIO()
    writer = Writer(Options(**values), out, err)  # type: ignore[arg-type]
    for text in LOG.splitlines(keepends=True):
        writer.write(text)
    return out.getvalue(), err.getvalue()


def test_log_lines() -> None:
    assert written() == (b"one\nthree\n", b"two")
    assert written(timestamps=True)[1] == b"2026-11-21T04:00:02Z two"
    assert written(stream="stdout") == (b"one\nthree\n", b"")
    assert written(since="2026-11-21T04:00:02.500") == (b"three\n", b"")
    assert written(limit=5, stream="stdout") == (b"one\nt", b"")


def test_since() -> None:
    now = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
    assert since_text("42m", now) == "2026-11-21T03:18:00.000000"
    assert since_text("2026-11-21T01:00:00+01:00", now) == "2026-11-21T00:00:00.000000"
    with pytest.raises(Failure):
        since_text("yesterday", now)


@pytest.mark.parametrize(("lines", "rest"), [(-1, 3), (0, 0), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_tail(lines: int, rest: int) -> None:
    file = io.BytesIO(LOG)
    file.seek(tail_offset(file, lines))
    assert len(file.readlines()) == rest


def test_yaml() -> None:
    document: object = {"b": "true", "a": ["x", "1"], "c": None, "d": True, "e": {}}
    assert jsonform.dump_yaml(document) == 'a:\n- x\n- "1"\nb: "true"\nc: null\nd: true\ne: {}\n'
