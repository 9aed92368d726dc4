"""Every command and flag of crictl 1.36, with its help text."""

from typing import Any

from cka_kubelet.crictl.flags import Command, Flag

VERSION = "v1.36.0"
DEFAULT_CONFIG = "/etc/crictl.yaml"
DEFAULT_TIMEOUT = 2.0
"""Seconds to connect, and for each call."""

DEFAULT_ENDPOINTS = (
    "unix:///run/containerd/containerd.sock",
    "unix:///run/crio/crio.sock",
    "unix:///var/run/cri-dockerd.sock",
)


def _flag(names: str, kind: str, usage: str, default: Any = None, env: str = "") -> Flag:
    return Flag(tuple(names.split(",")), kind, usage, default, env)


def _output(choices: str, default: str | None = None) -> Flag:
    return _flag("output,o", "string", f"Output format, One of: {choices}", default)


GLOBAL_FLAGS = (
    _flag(
        "config,c",
        "string",
        "Location of the client config file. If not specified and the default does not exist, the program's directory "
        "is searched as well",
        DEFAULT_CONFIG,
        "CRI_CONFIG_FILE",
    ),
    _flag("debug,D", "bool", "Enable debug mode"),
    _flag("enable-tracing", "bool", "Enable OpenTelemetry tracing."),
    _flag(
        "image-endpoint,i",
        "string",
        "Endpoint of CRI image manager service (default: uses 'runtime-endpoint' setting)",
        env="IMAGE_SERVICE_ENDPOINT",
    ),
    _flag("profile-cpu", "string", "Write a pprof CPU profile to the provided path."),
    _flag("profile-mem", "string", "Write a pprof memory profile to the provided path."),
    _flag(
        "runtime-endpoint,r",
        "string",
        f"Endpoint of CRI container runtime service (default: uses in order the first successful one of "
        f"[{' '.join(DEFAULT_ENDPOINTS)}]). Default is now deprecated and the endpoint should be set instead.",
        env="CONTAINER_RUNTIME_ENDPOINT",
    ),
    _flag(
        "timeout,t",
        "duration",
        "Timeout of connecting to the server in seconds (e.g. 2s, 20s.). 0 or less is set to default",
        DEFAULT_TIMEOUT,
    ),
    _flag(
        "tracing-endpoint",
        "string",
        "Address to which the gRPC tracing collector will send spans to.",
        "127.0.0.1:4317",
    ),
    _flag(
        "tracing-sampling-rate-per-million",
        "int",
        "Number of samples to collect per million OpenTelemetry spans. Set to 1000000 or -1 to always sample.",
        -1,
    ),
)

_TEMPLATE = _flag(
    "template",
    "string",
    "The template string is only used when output is go-template; The Template format is golang template",
)
_LABEL = _flag("label", "list", "Filter by key=value label")
_QUIET_INFO = _flag("quiet,q", "bool", "Do not show verbose information")
_LATEST = _flag("latest,l", "bool", "Show the most recently created container (includes all states)")
_LAST = _flag("last,n", "int", "Show last n recently created containers (includes all states). Set 0 for unlimited.")
_CONTAINER_FILTERS = (
    _flag("name", "string", "Filter by container name regular expression pattern"),
    _flag("namespace", "string", "Filter by pod namespace regular expression pattern"),
    _flag("pod,p", "string", "Filter by pod id"),
    _flag("image", "string", "Filter by container image"),
    _flag("state,s", "string", "Filter by container state"),
    _LABEL,
    _LATEST,
    _LAST,
    _flag("all,a", "bool", "Show all containers"),
)
_POD_FILTERS = (
    _flag("name", "string", "Filter by pod name regular expression pattern"),
    _flag("namespace", "string", "Filter by pod namespace regular expression pattern"),
    _flag("state,s", "string", "Filter by pod state"),
    _LABEL,
    _flag("latest,l", "bool", "Show the most recently created pod"),
    _flag("last,n", "int", "Show last n recently created pods. Set 0 for unlimited"),
)
_IMAGE_FILTER = _flag(
    "filter,f",
    "list",
    "Filter output based on provided conditions.\nAvailable filters: \n* dangling=(boolean - true or false)\n"
    "* reference=/regular expression/\n* before=<image-name>[:<tag>]|<image id>|<image@digest>\n"
    "* since=<image-name>[:<tag>]|<image id>|<image@digest>\nMultiple filters can be combined together.",
)
_CREDENTIALS = "Use `USERNAME[:PASSWORD]` for accessing the registry"
_AUTH = "Use `AUTH_STRING` for accessing the registry. AUTH_STRING is a base64 encoded 'USERNAME[:PASSWORD]'"
_USERNAME = "Use `USERNAME` for accessing the registry. "
_ASK = "The password will be requested on the command line"
_PULL_TIMEOUT = _flag(
    "pull-timeout,pt",
    "duration",
    "Maximum time to be used for pulling the image, disabled if set to 0s",
    env="CRICTL_PULL_TIMEOUT",
)
_RUNTIME = _flag(
    "runtime,r", "string", "Runtime handler to use. Available options are defined by the container runtime."
)
_SAMPLING = (
    _output("json|yaml|table"),
    _flag("seconds,s", "int", "Sample duration for CPU usage in seconds", 1),
    _flag("watch,w", "bool", "Watch pod resources"),
)
_STREAMING = (
    _flag("transport,r", "string", "Transport protocol to use, one of: spdy|websocket", "spdy"),
    _flag("tls-ca", "string", "Path to the streaming TLS CA certificate"),
    _flag("tls-cert", "string", "Path to the streaming TLS certificate"),
    _flag("tls-key", "string", "Path to the streaming TLS key"),
    _flag(
        "tls-sni,tls-server-name",
        "string",
        "Server name used in the TLS client to check server certificates against",
        "localhost",
    ),
)
_TTY = _flag("tty,t", "bool", "Allocate a pseudo-TTY")
_CONTAINERS = "CONTAINER-ID [CONTAINER-ID...]"
_PODS = "POD-ID [POD-ID...]"
_CONFIG_HELP = """[<crictl options>]

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
_COMPLETION_HELP = """Output shell completion code for bash, zsh or fish.

Examples:

    # Installing bash completion on Linux
    source <(crictl completion bash)

    # Installing zsh completion on Linux
    source <(crictl completion zsh)

    # Installing fish completion on Linux
    crictl completion fish | source
\t"""
_EXEC_HELP = """The CONTAINER-ID is only required if none of the following filter flags are set:
--image, --label, --last, --latest, --name, --pod, --state"""
_RMI_HELP = """Remove one or more images by ID or reference.

NOTE: Due to CRI API limitations, when you specify an image by tag (e.g., 'localhost/test:latest'),
the entire image will be removed along with ALL of its tags, not just the specified tag.
This behavior differs from 'docker rmi', 'nerdctl rmi', and 'ctr image rm', which only remove
the specified tag. To remove only a specific tag, use the container runtime's native CLI tool
(e.g., 'nerdctl', 'ctr', or 'podman')."""


def _creation(no_pull: str, with_pull: str, ask: str, cancel: str) -> tuple[Flag, ...]:
    return (
        _flag("no-pull", "bool", no_pull),
        _flag("with-pull", "bool", with_pull),
        _flag("creds", "string", _CREDENTIALS),
        _flag("auth", "string", _AUTH),
        _flag("username", "string", _USERNAME + ask),
        _flag("cancel-timeout,T", "duration", cancel),
        _PULL_TIMEOUT,
    )


COMMANDS = (
    Command(
        "attach",
        "Attach to a running container",
        "streaming:attach",
        (_TTY, _flag("stdin,i", "bool", "Keep STDIN open"), *_STREAMING),
        "CONTAINER-ID",
    ),
    Command(
        "checkpoint",
        "Checkpoint one or more running containers",
        "containers:checkpoint",
        (
            _flag(
                "export,e",
                "string",
                "Specify the name of the tar archive (/path/to/checkpoint.tar) used to export the checkpoint image.",
            ),
        ),
        _CONTAINERS,
    ),
    Command(
        "completion", "Output shell completion code", "local:completion", (), "SHELL", _COMPLETION_HELP, short=False
    ),
    Command(
        "config",
        "Get, set and list crictl configuration options",
        "local:config",
        (
            _flag("get", "string", "Show the option value"),
            _flag(
                "set",
                "list",
                "Set option (can specify multiple or separate values with commas: opt1=val1,opt2=val2)",
            ),
            _flag("list", "bool", "Show all option value"),
        ),
        _CONFIG_HELP,
    ),
    Command(
        "create",
        "Create a new container",
        "creation:create",
        _creation(
            "Do not pull the image on container creation (overrides pull-image-on-create=true in config)",
            "Pull the image on container creation (overrides pull-image-on-create=false in config)",
            _ASK,
            "Seconds to wait for a container create request to complete before cancelling the request",
        ),
        "POD container-config.[json|yaml] pod-config.[json|yaml]",
        short=False,
    ),
    Command(
        "events",
        "Stream the events of containers",
        "runtime:events",
        (_output("json|yaml|go-template", "json"), _TEMPLATE),
        aliases=("event",),
    ),
    Command(
        "exec",
        "Run a command in a running container",
        "streaming:execute",
        (
            _flag("sync,s", "bool", "Run the command synchronously"),
            _flag("timeout", "int", "Timeout in seconds"),
            _TTY,
            _flag("interactive,i", "bool", "Keep STDIN open"),
            _flag(
                "name", "string", "Exec command for all containers matching this name filter regular expression pattern"
            ),
            _flag("pod,p", "string", "Exec command for all containers matching this pod ID filter"),
            _flag("image", "string", "Exec command for all containers matching this container image filter"),
            _flag("state", "string", "Exec command for all containers matching this container state filter"),
            _flag("label", "list", "Exec command for all containers matching this key=value label filter"),
            _flag("latest,l", "bool", "Exec command for the most recently created container"),
            _flag("last,n", "int", "Exec command for all last n containers, set to 0 for unlimited"),
            _flag("quiet,q", "bool", "Do not print the container ID if multiple containers are selected"),
            _flag("ignore-errors,e", "bool", "Ignore errors during command execution"),
            _flag("parallel,x", "bool", "Run the command in parallel if multiple containers are selected"),
            *_STREAMING,
        ),
        "[CONTAINER-ID] COMMAND [ARG...]",
        _EXEC_HELP,
    ),
    Command(
        "imagefsinfo",
        "Return image filesystem info",
        "images:filesystem",
        (_output("json|yaml|go-template|table"), _TEMPLATE),
    ),
    Command(
        "images",
        "List images",
        "images:show",
        (
            _flag("verbose,v", "bool", "Show verbose info for images"),
            _flag("quiet,q", "bool", "Only show image IDs"),
            _IMAGE_FILTER,
            _output("json|yaml|table"),
            _flag("digests", "bool", "Show digests"),
            _flag("no-trunc", "bool", "Show output without truncating the ID"),
            _flag("pinned", "bool", "Show whether the image is pinned or not"),
        ),
        "[REPOSITORY[:TAG]]",
        aliases=("image", "img"),
    ),
    Command(
        "info",
        "Display information of the container runtime",
        "runtime:info",
        (_output("json|yaml|go-template", "json"), _QUIET_INFO, _TEMPLATE),
    ),
    Command(
        "inspect",
        "Display the status of one or more containers",
        "containers:inspect",
        (_output("json|yaml|go-template|table"), _QUIET_INFO, _TEMPLATE, *_CONTAINER_FILTERS),
        _CONTAINERS,
        short=False,
    ),
    Command(
        "inspecti",
        "Return the status of one or more images",
        "images:inspect",
        (
            _output("json|yaml|go-template|table"),
            _QUIET_INFO,
            _TEMPLATE,
            _flag("name", "string", "Filter by image name"),
            _IMAGE_FILTER,
        ),
        "IMAGE-ID [IMAGE-ID...]",
    ),
    Command(
        "inspectp",
        "Display the status of one or more pods",
        "pods:inspect",
        (_output("json|yaml|go-template|table"), _QUIET_INFO, _TEMPLATE, *_POD_FILTERS),
        _PODS,
    ),
    Command(
        "logs",
        "Fetch the logs of a container",
        "logs:show",
        (
            _flag("follow,f", "bool", "Follow log output"),
            _flag(
                "previous,p", "bool", "Print the logs for the previous instance of the container in a pod if it exists"
            ),
            _flag("reopen,r", "bool", "Reopen the container logs for the provided container"),
            _flag("tail", "int", "Number of lines to show from the end of the logs. Defaults to all", -1),
            _flag("limit-bytes", "int", "Maximum bytes of logs to return. Defaults to no limit", -1),
            _flag(
                "since",
                "string",
                "Show logs since timestamp (e.g. 2013-01-02T13:23:37) or relative (e.g. 42m for 42 minutes)",
            ),
            _flag("timestamps,t", "bool", "Show timestamps"),
            _flag("stream,s", "string", "Show specified stream (stdout or stderr). Defaults to both."),
        ),
        "CONTAINER-ID",
    ),
    Command(
        "metricdescs",
        "List metric descriptors. Returns information about the metrics available through the CRI.",
        "runtime:metric_descriptors",
        (_output("json|yaml"),),
    ),
    Command(
        "metricsp",
        "List pod metrics. Metrics are unstructured key/value pairs gathered by CRI meant to replace cAdvisor's "
        "/metrics/cadvisor endpoint.",
        "runtime:pod_metrics",
        (_output("json|yaml"), _flag("watch,w", "bool", "Watch pod metrics")),
    ),
    Command(
        "pods",
        "List pods",
        "pods:show",
        (
            _flag("id", "string", "filter by pod id"),
            *_POD_FILTERS,
            _flag("verbose,v", "bool", "Show verbose info for pods"),
            _flag("quiet,q", "bool", "List only pod IDs"),
            _output("json|yaml|table", "table"),
            _flag("no-trunc", "bool", "Show output without truncating the ID"),
        ),
    ),
    Command(
        "port-forward",
        "Forward local port to a pod",
        "streaming:port_forward",
        _STREAMING,
        "POD-ID [LOCAL_PORT:]REMOTE_PORT",
        short=False,
    ),
    Command(
        "ps",
        "List containers",
        "containers:show",
        (
            _flag("verbose,v", "bool", "Show verbose information for containers"),
            _flag("id", "string", "Filter by container id"),
            *_CONTAINER_FILTERS,
            _flag("quiet,q", "bool", "Only display container IDs"),
            _output("json|yaml|table", "table"),
            _flag("no-trunc", "bool", "Show output without truncating the ID"),
            _flag("resolve-image-path,r", "bool", "Show image path instead of image id"),
        ),
    ),
    Command(
        "pull",
        "Pull an image from a registry",
        "images:pull",
        (
            _flag("creds", "string", _CREDENTIALS, env="CRICTL_CREDS"),
            _flag("auth", "string", _AUTH, env="CRICTL_AUTH"),
            _flag("username,u", "string", _USERNAME + _ASK),
            _flag("pod-config", "string", "Use `pod-config.[json|yaml]` to override the pull c"),
            _flag("annotation,a", "list", "Annotation to be set on the pulled image"),
            _PULL_TIMEOUT,
        ),
        "NAME[:TAG|@DIGEST]",
        subcommands=(("jsonschema, js", "Display the JSON schema for the pod-config.json, "),),
    ),
    Command(
        "rm",
        "Remove one or more containers",
        "containers:remove",
        (
            _flag("force,f", "bool", "Force removal of the container, disregarding if running"),
            _flag("keep-logs,k", "bool", "Preserve the container log file and its rotations"),
            _flag("all,a", "bool", "Remove all containers"),
        ),
        _CONTAINERS,
    ),
    Command(
        "rmi",
        "Remove one or more images",
        "images:remove",
        (_flag("all,a", "bool", "Remove all images"), _flag("prune,q", "bool", "Remove all unused images")),
        "IMAGE-ID [IMAGE-ID...]",
        _RMI_HELP,
    ),
    Command(
        "rmp",
        "Remove one or more pods",
        "pods:remove",
        (
            _flag("force,f", "bool", "Force removal of the pod sandbox, disregarding if running"),
            _flag("all,a", "bool", "Remove all pods"),
        ),
        _PODS,
    ),
    Command(
        "run",
        "Run a new container inside a sandbox",
        "creation:run",
        (
            *_creation(
                "Do not pull the image (overrides disable-pull-on-run=false in config)",
                "Pull the image (overrides disable-pull-on-run=true in config)",
                "password will be requested",
                "Seconds to wait for a container create request before cancelling the request",
            ),
            _RUNTIME,
        ),
        "container-config.[json|yaml] pod-config.[json|yaml]",
        short=False,
    ),
    Command(
        "runp",
        "Run a new pod",
        "creation:run_pod",
        (
            _RUNTIME,
            _flag(
                "cancel-timeout,T",
                "duration",
                "Seconds to wait for a run pod sandbox request to complete before cancelling the request",
            ),
        ),
        "pod-config.[json|yaml]",
        short=False,
        subcommands=(("jsonschema, js", "Display the JSON schema for the pod-config.json"),),
    ),
    Command("runtime-config", "Retrieve the container runtime configuration", "runtime:config"),
    Command("start", "Start one or more created containers", "containers:start", (), _CONTAINERS, short=False),
    Command(
        "stats",
        "List container(s) resource usage statistics",
        "stats:containers",
        (
            _flag("all,a", "bool", "Show all containers (default shows just running)"),
            _flag("id", "string", "Filter by container id"),
            _flag("pod,p", "string", "Filter by pod id"),
            _LABEL,
            *_SAMPLING,
        ),
        "[ID]",
    ),
    Command(
        "statsp",
        "List pod statistics. Stats represent a structured API that will fulfill the Kubelet's /stats/summary "
        "endpoint.",
        "stats:pods",
        (_flag("id", "string", "Filter by pod id"), _LABEL, *_SAMPLING),
        "[ID]",
    ),
    Command(
        "stop",
        "Stop one or more running containers",
        "containers:stop",
        (
            _flag("timeout,t", "int", "Seconds to wait to kill the container after a graceful stop is requested"),
            _flag("all,a", "bool", "Stop all running containers"),
        ),
        _CONTAINERS,
    ),
    Command("stopp", "Stop one or more running pods", "pods:stop", (), _PODS, short=False),
    Command(
        "update",
        "Update one or more running containers",
        "containers:update",
        (
            _flag("cpu-count", "int", "(Windows only) Number of CPUs available to the container"),
            _flag("cpu-maximum", "int", "(Windows only) Portion of CPU cycles specified as a percentage * 100"),
            _flag("cpu-period", "int", "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"),
            _flag("cpu-quota", "int", "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"),
            _flag("cpu-share", "int", "CPU shares (relative weight vs. other containers)"),
            _flag("memory", "int", "Memory limit (in bytes)"),
            _flag("cpuset-cpus", "string", "CPU(s) to use"),
            _flag("cpuset-mems", "string", "Memory node(s) to use"),
            _flag("oom-score-adj", "string", "OOM Killer score to use"),
        ),
        _CONTAINERS,
        short=False,
    ),
    Command(
        "update-runtime-config",
        "Update the runtime configuration",
        "runtime:update_config",
        (
            _flag(
                "pod-cidr,p",
                "string",
                "The new Classless Inter-Domain Routing (CIDR) value to be used for pod IP addresses. If the CIDR is "
                "empty, runtimes should omit it.",
            ),
        ),
    ),
    Command("version", "Display runtime version information", "runtime:version", short=False),
)
"""In the order of the help text."""
