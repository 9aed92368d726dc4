"""kubeadm's entry: finds the command, runs it, ends with upstream's messages and exit status."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cka_kubelet.kube.gofmt import parse_duration
from cka_kubelet.kubeadm import certs, initphases, join, reset, tokens, x509
from cka_kubelet.kubeadm.api import API
from cka_kubelet.kubeadm.errors import Failure
from cka_kubelet.kubeadm.flags import parse
from cka_kubelet.kubeadm.kubeconfigs import kubeconfig

VERSION = "v1.36.2"
ADMIN = "/etc/kubernetes/admin.conf"
CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
_COMMON = {"kubeconfig": ADMIN, "v": "0", "rootfs": "", "config": "", "help": "false"}
_HELP = """kubeadm: easily bootstrap a secure Kubernetes cluster

This one runs on a lab's nodes and knows these commands:

  kubeadm certs check-expiration            when the certificates below /etc/kubernetes end
  kubeadm certs renew NAME|all              renew one of them, or all
  kubeadm certs certificate-key             print a new certificate key
  kubeadm init phase control-plane all|apiserver|controller-manager|scheduler
  kubeadm init phase etcd local             write the manifests of the control plane
  kubeadm init phase certs all|NAME         make certificates that are missing
  kubeadm init phase kubeconfig all|NAME    write kubeconfig files that are missing
  kubeadm join ADDRESS:PORT --token T --discovery-token-ca-cert-hash H
                                            make this machine a worker of that cluster
  kubeadm reset [-f]                        undo what join did to this machine
  kubeadm kubeconfig user --client-name N   print a kubeconfig for a user (--org, --validity-period, --token)
  kubeadm token create|list|delete|generate bootstrap tokens (create --print-join-command)
  kubeadm version [-o short]
"""


def main(words: Sequence[str]) -> int:
    """Run one command line. Returns the exit status."""
    try:
        _run(list(words))
    except Failure as error:
        print(error, file=sys.stderr)
        print("To see the stack trace of this error execute with --v=5 or higher", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 141
    return 0


def _run(words: list[str]) -> None:
    path: list[str] = []
    while words and not words[0].startswith("-") and " ".join([*path, words[0]]) in _GROUPS:
        path.append(words.pop(0))
    name = " ".join(path)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return
    key = f"{name} {words[0]}".strip()
    if key not in _COMMANDS:
        where = f"kubeadm {name}".strip()
        if name in ("certs", "token", "certs renew"):
            raise Failure(f"invalid subcommand: {words[0]!r}".replace("'", '"') + f'. See "{where} --help"')
        raise Failure(f'unknown command "{words[0]}" for "{where}"')
    _COMMANDS[key](words[1:])


def _check_expiration(words: list[str]) -> None:
    _, flags = parse(words, {**_COMMON, "cert-dir": "", "output": "text", "o": "text"})
    _announce_configuration("check-expiration", flags)
    print(certs.expiration(_store(flags), time.time()), end="")


def _renew(words: list[str]) -> None:
    names, flags = parse(words, {**_COMMON, "cert-dir": ""})
    store = _store(flags)
    known = ["all", *(managed.name for managed in store.managed())]
    if not names or names[0] not in known:
        raise Failure(f'invalid subcommand: "{names[0] if names else ""}"; known are {", ".join(known)}')
    _announce_configuration("renew", flags)
    certs.renew(store, names[0], print)


def _announce_configuration(prefix: str, flags: dict[str, str]) -> None:
    if flags["config"]:
        return
    try:
        api = API.of_file(Path(flags["kubeconfig"]))
    except Failure:
        return
    print(f'[{prefix}] Reading configuration from the "kubeadm-config" ConfigMap in namespace "kube-system"...')
    hint = "Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it."
    print(f"[{prefix}] {hint}")
    try:
        api.call("GET", CONFIG)
    except Failure:
        print(f"[{prefix}] Error reading configuration from the Cluster. Falling back to default configuration")
    print()


def _store(flags: dict[str, str]) -> certs.Store:
    return certs.Store(pki=Path(flags["cert-dir"]) if flags["cert-dir"] else None)


def _certificate_key(words: list[str]) -> None:
    import secrets

    parse(words, _COMMON)
    print(secrets.token_hex(32))


_NO_CA = "couldn't load CA {what} from {pki}: open {pki}/{file}: no such file or directory"


def _kubeconfig_user(words: list[str]) -> None:
    known = {**_COMMON, "client-name": "", "org": "", "validity-period": "8760h", "token": ""}
    _, flags = parse(words, known)
    if not flags["client-name"]:
        raise Failure('required flag(s) "client-name" not set')
    store = certs.Store()
    ca = store.read("ca")
    if ca is None:
        raise Failure(
            f"couldn't load CA certificate from {store.pki}: open {store.pki}/ca.crt: no such file or directory"
        )
    server = API.of_file(Path(flags["kubeconfig"])).config.server
    credentials: x509.Pair | str = flags["token"]
    if not credentials:
        if store.externally_managed("ca"):
            raise Failure(_NO_CA.format(what="key", pki=store.pki, file="ca.key"))
        organizations = "".join(f"/O={x509.escaped(org)}" for org in flags["org"].split(",") if org)
        subject = f"{organizations}/CN={x509.escaped(flags['client-name'])}"
        seconds = _seconds(flags["validity-period"], "validity-period")
        credentials = x509.issue(x509.Wanted(subject), store.pki / "ca.crt", store.pki / "ca.key", int(seconds))
    print(kubeconfig("kubernetes", server, ca, flags["client-name"], credentials))


def _token_create(words: list[str]) -> None:
    known = {**_COMMON, "ttl": "24h0m0s", "usages": ",".join(tokens.USAGES), "groups": tokens.GROUP, "description": ""}
    arguments, flags = parse(words, {**known, "print-join-command": "false", "certificate-key": "", "dry-run": "false"})
    token = arguments[0] if arguments else tokens.generate()
    usages, groups = (flags[name].split(",") for name in ("usages", "groups"))
    secret = tokens.secret_of(token, _seconds(flags["ttl"], "ttl"), time.time(), usages, groups, flags["description"])
    api = API.of_file(Path(flags["kubeconfig"]))
    api.call("POST", tokens.SECRETS, secret)
    if flags["print-join-command"] != "true":
        print(token)
        return
    pin = x509.public_key_hash(api.config.ca_data or Path(api.config.ca_file).read_bytes())
    server = api.config.server.removeprefix("https://")
    print(f"kubeadm join {server} --token {token} --discovery-token-ca-cert-hash {pin} ")


def _token_list(words: list[str]) -> None:
    _, flags = parse(words, {**_COMMON, "output": "text", "o": "text"})
    items = API.of_file(Path(flags["kubeconfig"])).call("GET", tokens.SECRETS).get("items") or []
    print(tokens.table(items, time.time()), end="")


def _token_delete(words: list[str]) -> None:
    names, flags = parse(words, _COMMON)
    if not names:
        raise Failure(f"missing argument; 'token delete' is missing token of form \"{tokens.ID_PATTERN}\"")
    for text in names:
        token_id, secret = tokens.secret_name(text)
        try:
            API.of_file(Path(flags["kubeconfig"])).call("DELETE", f"{tokens.SECRETS}/{secret}")
        except Failure as error:
            raise Failure(f'failed to delete bootstrap token "{token_id}": {error}') from error
        print(f'bootstrap token "{token_id}" deleted')


def _token_generate(words: list[str]) -> None:
    parse(words, _COMMON)
    print(tokens.generate())


def _join(words: list[str]) -> None:
    known = {"token": "", "discovery-token": "", "discovery-token-ca-cert-hash": "", "node-name": "", "cri-socket": "",
             "discovery-token-unsafe-skip-ca-verification": "false", "ignore-preflight-errors": ""}  # fmt: skip
    arguments, flags = parse(words, {**_COMMON, **known})
    if not arguments:
        raise Failure('discovery: Invalid value: "": bootstrapToken or file must be set')
    join.join(
        join.Request(
            arguments[0],
            flags["token"] or flags["discovery-token"],
            flags["discovery-token-ca-cert-hash"],
            flags["discovery-token-unsafe-skip-ca-verification"] == "true",
            flags["ignore-preflight-errors"],
        ),
        print,
    )


def _init_phase(group: str) -> Callable[[list[str]], None]:
    def run(words: list[str]) -> None:
        known = {**_COMMON, **initphases.FLAGS}
        names, flags = parse(words, known)
        initphases.run(group, names[0] if names else "", flags, print)

    return run


def _reset(words: list[str]) -> None:
    known = {"force": "false", "f": "false", "cri-socket": "", "cert-dir": "", "ignore-preflight-errors": ""}
    _, flags = parse(words, {**_COMMON, **known})
    if "true" not in (flags["force"], flags["f"]):
        print(reset.WARNING)
        print("[reset] Are you sure you want to proceed? [y/N]: ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failure("won't proceed; the user didn't answer (Y|y) in order to continue")
    reset.reset(print)


def _version(words: list[str]) -> None:
    _, flags = parse(words, {**_COMMON, "output": "", "o": ""})
    if "short" in (flags["output"], flags["o"]):
        print(VERSION)
        return
    print(f'kubeadm version: &version.Info{{Major:"1", Minor:"36", GitVersion:"{VERSION}+cka", Platform:"linux"}}')


def _seconds(text: str, flag: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Failure(f'invalid argument "{text}" for "--{flag}" flag: {error}') from error


_GROUPS = ("certs", "kubeconfig", "token", "init", "init phase")
_COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "certs check-expiration": _check_expiration,
    "certs renew": _renew,
    "certs certificate-key": _certificate_key,
    "kubeconfig user": _kubeconfig_user,
    "token create": _token_create,
    "token list": _token_list,
    "token delete": _token_delete,
    "token generate": _token_generate,
    "join": _join,
    **{f"init phase {group}": _init_phase(group) for group in initphases.PHASES},
    "reset": _reset,
    "version": _version,
}
