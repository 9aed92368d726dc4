"""How a kubeadm command ends when it does not end well."""


class Failure(Exception):
    """The text goes to stderr, the exit status is 1."""
