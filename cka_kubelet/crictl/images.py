"""images, inspecti, pull, rmi, imagefsinfo."""

import math
import re

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.crictl import jsonform, log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.containers import ID_LENGTH, failures
from cka_kubelet.crictl.errors import Failure, ShowHelp, join, wrap
from cka_kubelet.crictl.tables import size
from cka_kubelet.kube.tabwriter import tabulate

_NONE = "<none>"


def _order(image: pb.Image) -> tuple[str, str, str]:
    return (
        image.repo_tags[0] if image.repo_tags else "",
        image.repo_digests[0] if image.repo_digests else "",
        image.id,
    )


def digest_parts(digests: list[str]) -> tuple[str, str]:
    """Repository and digest of an image's first repository digest."""
    if not digests:
        return _NONE, _NONE
    parts = digests[0].split("@")
    return (parts[0], parts[1]) if len(parts) == 2 else ("errorName", "errorRepoDigest")


def tag_parts(tags: list[str], repository: str) -> list[tuple[str, str]]:
    """Repository and tag of each of an image's tags; one pair without a tag if it has none."""
    if not tags:
        return [(repository, _NONE)]
    pairs = []
    for tag in tags:
        name, colon, version = tag.rpartition(":")
        pairs.append((repository if name == _NONE else name, version) if colon else ("errorRepoTag", "errorRepoTag"))
    return pairs


async def listed(images: CRIClient, name: str, filters: tuple[str, ...]) -> list[pb.Image]:
    """Images by name and by --filter conditions, ordered by reference. Raises Failure for an unknown condition."""
    query = pb.ImageFilter(image=pb.ImageSpec(image=name))
    found = _sorted(list(await images.list_images(query)))
    for text in filters if found else ():
        with wrap("filter images"):
            found = _filtered(found, text)
    return found


def _sorted(images: list[pb.Image]) -> list[pb.Image]:
    """By first tag; images without one by digest or id among themselves, after the tagged ones they follow in ids."""
    tagged = sorted((i for i in images if i.repo_tags), key=_order)
    bare = sorted((i for i in images if not i.repo_tags), key=_order)
    for image in bare:
        at = next((n for n, other in enumerate(tagged) if other.repo_tags and image.id < other.id), len(tagged))
        tagged.insert(at, image)
    return tagged


def _filtered(images: list[pb.Image], text: str) -> list[pb.Image]:
    key, _, value = text.partition("=")
    if key == "dangling":
        return [i for i in images if value == ("false" if i.repo_tags else "true")]
    if key == "reference":
        try:
            pattern = re.compile(value)
        except re.error as e:
            raise Failure(f"error parsing regexp: {e}") from e
        return [i for i in images if pattern.search(name := digest_parts(list(i.repo_digests))[0]) or name == value]
    if key == "before":
        return _until(images[::-1], value)[::-1]
    if key == "since":
        return _until(images, value)
    raise Failure(f"unknown filter flag: {text}")


def _until(images: list[pb.Image], value: str) -> list[pb.Image]:
    """The images up to the one meant by `value`: a name with tag, a digest or the start of an id."""
    kept = []
    for image in images:
        repository = digest_parts(list(image.repo_digests))[0]
        if ":" in value and "@" in value:
            hit = any(digest.startswith(value) for digest in image.repo_digests[:1])
        elif ":" in value:
            hit = ":".join(tag_parts(list(image.repo_tags), repository)[0]) == value
        else:
            hit = image.id.startswith(value)
        if hit:
            break
        kept.append(image)
    return kept


async def show(context: Context) -> None:
    """crictl images"""
    if len(context.args) > 1:
        raise ShowHelp
    client = await context.images()
    with wrap("listing images"):
        images = await listed(client, "".join(context.args), context.get("filter"))
    form = context.get("output")
    if form in ("json", "yaml"):
        return jsonform.output_message(pb.ListImagesResponse(images=images), form)
    if context.get("quiet"):
        print("".join(f"{i.id}\n" for i in images), end="")
    elif context.get("verbose"):
        for image in images:
            _print_verbose(image)
    else:
        header = ["IMAGE", "TAG", *(["DIGEST"] if context.get("digests") else []), "IMAGE ID", "SIZE"]
        header += ["PINNED"] if context.get("pinned") else []
        print(tabulate([header, *[row for image in images for row in _rows(context, image)]]), end="")
    return None


def _rows(context: Context, image: pb.Image) -> list[list[str]]:
    repository, digest = digest_parts(list(image.repo_digests))
    image_id = image.id
    if not context.get("no-trunc"):
        image_id = image_id.removeprefix("sha256:")[:ID_LENGTH]
        digest = digest.removeprefix("sha256:")[:ID_LENGTH]
    tail = [*([digest] if context.get("digests") else []), image_id, size(image.size, 3)]
    tail += [str(image.pinned).lower()] if context.get("pinned") else []
    return [[name, tag, *tail] for name, tag in tag_parts(list(image.repo_tags), repository)]


def _print_verbose(image: pb.Image) -> None:
    print(f"ID: {image.id}")
    for tag in image.repo_tags:
        print(f"RepoTags: {tag}")
    for digest in image.repo_digests:
        print(f"RepoDigests: {digest}")
    if image.size:
        print(f"Size: {image.size}")
    if image.HasField("uid"):
        print(f"Uid: value:{image.uid.value}" if image.uid.value else "Uid: ")
    if image.username:
        print(f"Username: {image.username}")
    if image.pinned:
        print("Pinned: true")
    print()


async def inspect(context: Context) -> None:
    """crictl inspecti"""
    client = await context.images()
    ids = context.args
    if not ids:
        with wrap("listing images"):
            ids = [i.id for i in await listed(client, context.get("name"), context.get("filter"))]
    if not ids:
        log.error("No IDs provided or nothing found per filter")
        raise ShowHelp
    form = context.get("output") or "json"
    documents = []
    for image_id in ids:
        with wrap(f'image status for "{image_id}" request'):
            response = await client.image_status(pb.ImageSpec(image=image_id), verbose=not context.get("quiet"))
        if not response.HasField("image"):
            raise Failure(f'no such image "{image_id}" present')
        if form == "table":
            _print_status(response, verbose=not context.get("quiet"))
        else:
            documents.append({"status": jsonform.to_dict(response.image), **jsonform.info_values(response.info)})
    jsonform.output(documents, form, context.get("template"))


def _print_status(response: pb.ImageStatusResponse, *, verbose: bool) -> None:
    print(f"ID: {response.image.id}")
    for tag in response.image.repo_tags:
        print(f"Tag: {tag}")
    for digest in response.image.repo_digests:
        print(f"Digest: {digest}")
    print(f"Size: {size(response.image.size, 3)}")
    if verbose:
        print(f"Info: map[{' '.join(f'{k}:{response.info[k]}' for k in sorted(response.info))}]")


def credentials(creds: str, auth: str, username: str) -> pb.AuthConfig | None:
    """What --creds, --auth or --username give for the registry. Asks for the password of --username."""
    if username:
        import getpass

        return pb.AuthConfig(username=username, password=getpass.getpass("Enter Password:"))
    if creds and auth:
        raise Failure("both `--creds` and `--auth` are specified")
    if creds:
        name, colon, password = creds.partition(":")
        if colon and not name:
            raise Failure("username can't be empty")
        return pb.AuthConfig(username=name, password=password)
    return pb.AuthConfig(auth=auth) if auth else None


async def pull(context: Context) -> None:
    """crictl pull"""
    if not context.args or not context.args[0]:
        raise Failure("image name cannot be empty")
    if len(context.args) > 1:
        raise ShowHelp
    client = await context.images()
    auth = credentials(context.get("creds"), context.get("auth"), context.get("username"))
    sandbox = None
    if context.given("pod-config"):
        from cka_kubelet.crictl.creation import load_pod

        with wrap("load podSandboxConfig"):
            sandbox = load_pod(context.get("pod-config"))
    spec = pb.ImageSpec(image=context.args[0], annotations=context.labels("annotation"))
    with wrap("pulling image"):
        reference = await client.pull_image(spec, auth, sandbox, pull_timeout(context))
    print(f"Image is up to date for {reference}")


def pull_timeout(context: Context) -> float:
    """Seconds for one pull, infinity for no limit. Raises Failure when it is negative."""
    seconds: float = context.get("pull-timeout")
    if seconds < 0:
        raise Failure("timeout should be bigger than 0")
    return seconds or math.inf


async def remove(context: Context) -> None:
    """crictl rmi"""
    client = await context.images()
    ids = dict.fromkeys(context.args, True)
    sweep = context.get("all") or context.get("prune")
    if sweep:
        prune = context.get("prune")
        ids |= {i.id: True for i in await client.list_images() if not (prune and i.pinned)}
    if context.get("prune"):
        runtime = await context.runtime()
        for container in await runtime.list_containers():
            try:
                status = await client.image_status(pb.ImageSpec(image=container.image.image))
                ids[status.image.id] = False
            except RpcError as e:
                log.error(f'image status request for "{container.image.image}" failed: {e}')
    if not ids:
        if sweep:
            return log.info("No images to remove")
        raise ShowHelp
    chosen = [image_id for image_id, wanted in ids.items() if wanted]
    join(await failures(*(_remove(client, image_id, context.get("prune")) for image_id in chosen)))
    return None


async def _remove(client: CRIClient, image_id: str, prune: bool) -> None:
    with wrap(f'image status request for "{image_id}" failed'):
        status = await client.image_status(pb.ImageSpec(image=image_id))
    if not status.HasField("image"):
        raise Failure(f"no such image {image_id}")
    tags = status.image.repo_tags
    if len(tags) > 1 and not image_id.startswith("sha256:") and (":" in image_id or "/" in image_id):
        many = "has multiple tags. Removing this image will delete all of the following tags:"
        log.warning(f'Image "{image_id}" {many}')
        for tag in tags:
            log.warning(f"  {tag}")
    try:
        await client.remove_image(pb.ImageSpec(image=image_id))
    except RpcError as e:
        if prune:
            return
        raise Failure(f'error of removing image "{image_id}": {e}') from e
    for name in tags or status.image.repo_digests:
        print(f"Deleted: {name}")


async def filesystem(context: Context) -> None:
    """crictl imagefsinfo"""
    client = await context.images()
    with wrap("image filesystem info request"):
        answer = await client.image_fs_info()
    form = context.get("output") or "json"
    if form != "table":
        return jsonform.output([{"status": jsonform.to_dict(answer)}], form, context.get("template"))
    for title, systems in (("Container", answer.container_filesystems), ("Image", answer.image_filesystems)):
        print(f"{title} Filesystem ")
        for i, usage in enumerate(systems):
            print(f"TimeStamp[{i}]: {usage.timestamp}\nDisk[{i}]: {size(usage.used_bytes.value)}")
            print(f"Inodes[{i}]: {usage.inodes_used.value}\nMountpoint[{i}]: {usage.fs_id.mountpoint}")
    return None
