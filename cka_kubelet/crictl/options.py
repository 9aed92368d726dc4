"""What the commands of crictl 1.36 share: global flags, flags that recur, long help texts."""

from typing import Any

from cka_kubelet.crictl.flags import Flag

VERSION = "v1.36.0"
DEFAULT_CONFIG = "/etc/crictl.yaml"
DEFAULT_TIMEOUT = 2.0
"""Seconds to connect, and for each call."""

DEFAULT_ENDPOINTS = (
    "unix:///run/containerd/containerd.sock",
    "unix:///run/crio/crio.sock",
    "unix:///var/run/cri-dockerd.sock",
)


def flag(names: str, kind: str, usage: str, default: Any = None, env: str = "") -> Flag:
    """A flag from its comma-separated names; `kind`, `default` and `env` as in Flag."""
    return Flag(tuple(names.split(",")), kind, usage, default, env)


def output(choices: str, default: str | None = None) -> Flag:
    """The flag --output."""
    return flag("output,o", "string", f"Output format, One of: {choices}", default)


GLOBAL_FLAGS = (
    flag(
        "config,c",
        "string",
        "Location of the client config file. If not specified and the default does not exist, the program's directory "
        "is searched as well",
        DEFAULT_CONFIG,
        "CRI_CONFIG_FILE",
    ),
    flag("debug,D", "bool", "Enable debug mode"),
    flag("enable-tracing", "bool", "Enable OpenTelemetry tracing."),
    flag(
        "image-endpoint,i",
        "string",
        "Endpoint of CRI image manager service (default: uses 'runtime-endpoint' setting)",
        env="IMAGE_SERVICE_ENDPOINT",
    ),
    flag("profile-cpu", "string", "Write a pprof CPU profile to the provided path."),
    flag("profile-mem", "string", "Write a pprof memory profile to the provided path."),
    flag(
        "runtime-endpoint,r",
        "string",
        f"Endpoint of CRI container runtime service (default: uses in order the first successful one of "
        f"[{' '.join(DEFAULT_ENDPOINTS)}]). Default is now deprecated and the endpoint should be set instead.",
        env="CONTAINER_RUNTIME_ENDPOINT",
    ),
    flag(
        "timeout,t",
        "duration",
        "Timeout of connecting to the server in seconds (e.g. 2s, 20s.). 0 or less is set to default",
        DEFAULT_TIMEOUT,
    ),
    flag(
        "tracing-endpoint",
        "string",
        "Address to which the gRPC tracing collector will send spans to.",
        "127.0.0.1:4317",
    ),
    flag(
        "tracing-sampling-rate-per-million",
        "int",
        "Number of samples to collect per million OpenTelemetry spans. Set to 1000000 or -1 to always sample.",
        -1,
    ),
)

TEMPLATE = flag(
    "template",
    "string",
    "The template string is only used when output is go-template; The Template format is golang template",
)
LABEL = flag("label", "list", "Filter by key=value label")
QUIET_INFO = flag("quiet,q", "bool", "Do not show verbose information")
LATEST = flag("latest,l", "bool", "Show the most recently created container (includes all states)")
LAST = flag("last,n", "int", "Show last n recently created containers (includes all states). Set 0 for unlimited.")
CONTAINER_FILTERS = (
    flag("name", "string", "Filter by container name regular expression pattern"),
    flag("namespace", "string", "Filter by pod namespace regular expression pattern"),
    flag("pod,p", "string", "Filter by pod id"),
    flag("image", "string", "Filter by container image"),
    flag("state,s", "string", "Filter by container state"),
    LABEL,
    LATEST,
    LAST,
    flag("all,a", "bool", "Show all containers"),
)
POD_FILTERS = (
    flag("name", "string", "Filter by pod name regular expression pattern"),
    flag("namespace", "string", "Filter by pod namespace regular expression pattern"),
    flag("state,s", "string", "Filter by pod state"),
    LABEL,
    flag("latest,l", "bool", "Show the most recently created pod"),
    flag("last,n", "int", "Show last n recently created pods. Set 0 for unlimited"),
)
IMAGE_FILTER = flag(
    "filter,f",
    "list",
    "Filter output based on provided conditions.\nAvailable filters: \n* dangling=(boolean - true or false)\n"
    "* reference=/regular expression/\n* before=<image-name>[:<tag>]|<image id>|<image@digest>\n"
    "* since=<image-name>[:<tag>]|<image id>|<image@digest>\nMultiple filters can be combined together.",
)
CREDENTIALS = "Use `USERNAME[:PASSWORD]` for accessing the registry"
AUTH = "Use `AUTH_STRING` for accessing the registry. AUTH_STRING is a base64 encoded 'USERNAME[:PASSWORD]'"
USERNAME = "Use `USERNAME` for accessing the registry. "
ASK = "The password will be requested on the command line"
PULL_TIMEOUT = flag(
    "pull-timeout,pt",
    "duration",
    "Maximum time to be used for pulling the image, disabled if set to 0s",
    env="CRICTL_PULL_TIMEOUT",
)
RUNTIME = flag("runtime,r", "string", "Runtime handler to use. Available options are defined by the container runtime.")
SAMPLING = (
    output("json|yaml|table"),
    flag("seconds,s", "int", "Sample duration for CPU usage in seconds", 1),
    flag("watch,w", "bool", "Watch pod resources"),
)
STREAMING = (
    flag("transport,r", "string", "Transport protocol to use, one of: spdy|websocket", "spdy"),
    flag("tls-ca", "string", "Path to the streaming TLS CA certificate"),
    flag("tls-cert", "string", "Path to the streaming TLS certificate"),
    flag("tls-key", "string", "Path to the streaming TLS key"),
    flag(
        "tls-sni,tls-server-name",
        "string",
        "Server name used in the TLS client to check server certificates against",
        "localhost",
    ),
)
TTY = flag("tty,t", "bool", "Allocate a pseudo-TTY")
CONTAINERS = "CONTAINER-ID [CONTAINER-ID...]"
PODS = "POD-ID [POD-ID...]"
CONFIG_HELP = """[<crictl options>]

EXAMPLES:
   # Set the key "debug" to "true"
   crictl config --set debug=true

   # Set the key "debug" to "true"
   crictl config debug true

   # Get the value of "debug"
   crictl config --get debug

   # Show the full configuration
   crictl config --list

CRICTL OPTIONS:
\t runtime-endpoint:\tContainer Runtime Interface (CRI) runtime endpoint (default: "")
\t image-endpoint:\tContainer Runtime Interface (CRI) image endpoint (default: "")
\t timeout:\tTimeout of connecting to server (default: 2)
\t debug:\tEnable debug output (default: false)
\t pull-image-on-create:\tEnable pulling image on create requests (default: false)
\t disable-pull-on-run:\tDisable pulling image on run requests (default: false)"""
COMPLETION_HELP = """Output shell completion code for bash, zsh or fish.

Examples:

    # Installing bash completion on Linux
    source <(crictl completion bash)

    # Installing zsh completion on Linux
    source <(crictl completion zsh)

    # Installing fish completion on Linux
    crictl completion fish | source
\t"""
EXEC_HELP = """The CONTAINER-ID is only required if none of the following filter flags are set:
--image, --label, --last, --latest, --name, --pod, --state"""
RMI_HELP = """Remove one or more images by ID or reference.

NOTE: Due to CRI API limitations, when you specify an image by tag (e.g., 'localhost/test:latest'),
the entire image will be removed along with ALL of its tags, not just the specified tag.
This behavior differs from 'docker rmi', 'nerdctl rmi', and 'ctr image rm', which only remove
the specified tag. To remove only a specific tag, use the container runtime's native CLI tool
(e.g., 'nerdctl', 'ctr', or 'podman')."""


def creation(no_pull: str, with_pull: str, ask: str, cancel: str) -> tuple[Flag, ...]:
    """The flags that create and run have in common; the texts are those in which they differ."""
    return (
        flag("no-pull", "bool", no_pull),
        flag("with-pull", "bool", with_pull),
        flag("creds", "string", CREDENTIALS),
        flag("auth", "string", AUTH),
        flag("username", "string", USERNAME + ask),
        flag("cancel-timeout,T", "duration", cancel),
        PULL_TIMEOUT,
    )
