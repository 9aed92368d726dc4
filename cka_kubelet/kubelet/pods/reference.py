"""Image references, checked the way distribution/reference checks them. Pure."""

import re

_ALNUM = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"^(?:{_DOMAIN}/)?{_ALNUM}(?:/{_ALNUM})*(?::(?P<tag>[\w][\w.-]{{0,127}}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$",
    re.ASCII,
)
_HEX64 = re.compile(r"^[a-f0-9]{64}$")


class ReferenceError_(ValueError):
    """Not an image name; the text is distribution's."""


def split_domain(name: str) -> tuple[str, str]:
    """(registry, the rest) with Docker Hub's defaults filled in."""
    first, slash, rest = name.partition("/")
    if not slash or (not re.search(r"[.:]", first) and first != "localhost" and first.lower() == first):
        domain, remainder = "docker.io", name
    else:
        domain, remainder = first, rest
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in remainder:
        remainder = f"library/{remainder}"
    return domain, remainder


def with_tag(image: str) -> str:
    """The image name with `:latest` where it has neither tag nor digest. Raises ReferenceError_."""
    if _HEX64.match(image):
        raise ReferenceError_(f"invalid repository name ({image}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = split_domain(image)
    remote = remainder.partition(":")[0]
    if remote.lower() != remote:
        raise ReferenceError_(f"invalid reference format: repository name ({remote}) must be lowercase")
    match = _REFERENCE.match(f"{domain}/{remainder}")
    if match is None:
        raise ReferenceError_("invalid reference format")
    return image if match["tag"] or match["digest"] else f"{image}:latest"
