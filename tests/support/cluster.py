"""A real Kubernetes cluster for tests: found, or started and ended. It must never touch one that it was not given.

In this order: the one that E2E_KUBECONFIG names, if its context is among E2E_CONTEXT; a running one-node cluster of
`tests/e2e/cluster`; a new kind cluster where docker and kind are; a new one-node cluster as root with Go.
"""

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
CHART = PROJECT / "charts" / "tradingbot-operator"
ONENODE = PROJECT / "tests" / "e2e" / "cluster" / "onenode"
IMAGES = ("bot-runtime", "tradingbot-operator")
_ONENODE_CONTEXT = "tradingbot-cluster"
_ONENODE_HOST = "10.213.0.1"


class NoClusterError(Exception):
    """There is no cluster here, and none can be started: a reason to skip."""


class RefusedClusterError(Exception):
    """A cluster was named that these tests may not use: never a reason to skip."""


@dataclass(frozen=True)
class Cluster:
    """The way to a cluster. `images_to` is where `scripts/images load` puts images; at `host` pods reach us."""

    kubeconfig: Path
    images_to: str
    host: str
    stop: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *command: str | Path) -> "subprocess.Popen[str]":
        """Start such a program; whoever starts it ends it."""
        return subprocess.Popen(command, env=self._surroundings(), stdout=subprocess.PIPE, text=True)

    def run(self, *command: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Run a program that knows the cluster by KUBECONFIG; its output. A failure carries what it said."""
        done = subprocess.run(
            command, input=stdin, env=self._surroundings(), capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            words = " ".join(str(word) for word in command)
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.run("kubectl", *arguments, **options)

    def get(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """`kubectl get` as JSON; an empty mapping where a named object is absent."""
        text = self.kubectl("get", *arguments, "--ignore-not-found", "--output=json", **options)
        document: dict[str, Any] = json.loads(text) if text.strip() else {}
        return document

    def apply(self, *documents: Mapping[str, Any]) -> None:
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=manifest)

    def _surroundings(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "KUBECONFIG": str(self.kubeconfig), "PATH": program_path()}

    def end(self) -> None:
        """Stop the cluster, if it was started here."""
        if self.stop:
            subprocess.run(self.stop, check=True, capture_output=True, timeout=180)


def program_path() -> str:
    """PATH, lengthened by kubectl and helm as the one-node cluster compiled them."""
    compiled = subprocess.run([ONENODE, "path"], check=True, capture_output=True, text=True).stdout.strip()
    return os.pathsep.join((os.environ.get("PATH", os.defpath), compiled))


def find_program(name: str) -> str | None:
    return shutil.which(name, path=program_path())


def open_cluster() -> Cluster:
    """Find or start one. Raises NoClusterError, or RefusedClusterError for one that was named and may not be used."""
    if os.environ.get("E2E_KUBECONFIG"):
        return _given_cluster(Path(os.environ["E2E_KUBECONFIG"]))
    running = subprocess.run([ONENODE, "kubeconfig"], capture_output=True, text=True, check=False)
    if running.returncode == 0:
        return Cluster(Path(running.stdout.strip()), "onenode", _ONENODE_HOST)
    if shutil.which("kind") and _succeeds("docker", "info"):
        return _start_kind()
    if os.geteuid() == 0 and shutil.which("go") and Path("/etc/debian_version").exists():
        return _start_onenode()
    raise NoClusterError(
        "no Kubernetes cluster: name one by E2E_KUBECONFIG and E2E_CONTEXT, or have docker and kind,"
        " or be root on Debian with Go"
    )


def _given_cluster(kubeconfig: Path) -> Cluster:
    allowed = [name for name in os.environ.get("E2E_CONTEXT", "").split(",") if name]
    command = ("kubectl", "--kubeconfig", str(kubeconfig), "config", "current-context")
    context = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if not context or context not in allowed:
        raise RefusedClusterError(
            f"E2E_KUBECONFIG={kubeconfig} leads to the context {context or 'of no name'!r};"
            f" E2E_CONTEXT allows {', '.join(allowed) or 'none'}:"
            " these tests install into and delete from a cluster, so name its context there"
        )
    if context == _ONENODE_CONTEXT:
        return Cluster(kubeconfig, "onenode", _ONENODE_HOST)
    if context.startswith("kind-"):
        return Cluster(kubeconfig, f"kind:{context.removeprefix('kind-')}", os.environ.get("E2E_HOST") or _kind_host())
    registry, host = os.environ.get("E2E_REGISTRY"), os.environ.get("E2E_HOST")
    if not registry or not host:
        raise RefusedClusterError(
            f"the cluster {context!r} needs E2E_REGISTRY (HOST/PATH that it pulls images from)"
            " and E2E_HOST (the address at which its pods reach this machine)"
        )
    return Cluster(kubeconfig, f"registry:{registry}", host)


def _start_kind() -> Cluster:
    name = f"tradingbot-e2e-{random_suffix()}"
    kubeconfig = Path(tempfile.mkdtemp(prefix="tradingbot-kind-")) / "kubeconfig"
    _start("kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", "120s")
    stop = ("kind", "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig))
    return Cluster(kubeconfig, f"kind:{name}", _kind_host(), stop)


def _kind_host() -> str:
    template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    gateways = _start("docker", "network", "inspect", "kind", "--format", template).split()
    return next(address for address in gateways if ":" not in address)


def _start_onenode() -> Cluster:
    for step in ("install", "build"):
        _start(ONENODE, step)
    kubeconfig = Path(_start(ONENODE, "up").strip())
    return Cluster(kubeconfig, "onenode", _ONENODE_HOST, (str(ONENODE), "down"))


def _start(*command: str | Path) -> str:
    """One step of starting a cluster. The longest compiles Kubernetes: that takes a quarter of an hour, once."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _succeeds(*command: str) -> bool:
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def random_suffix() -> str:
    return uuid.uuid4().hex[:8]


@dataclass(frozen=True)
class ImageSet:
    """The images of this session, as the cluster names them."""

    prefix: str
    tag: str

    @classmethod
    def provide(cls, cluster: Cluster) -> "ImageSet":
        """Build them from the working tree and hand them to the cluster, under a tag of their own."""
        tag = f"e2e-{random_suffix()}"
        script = PROJECT / "scripts" / "images"
        cluster.run(script, "build", tag, *IMAGES, timeout=1800)
        cluster.run(script, "load", cluster.images_to, tag, *IMAGES, timeout=600)
        registry = cluster.images_to.removeprefix("registry:")
        return cls("localhost" if registry == cluster.images_to else registry, tag)

    def remove(self) -> None:
        subprocess.run([PROJECT / "scripts" / "images", "remove", self.tag, *IMAGES], check=True, capture_output=True)

    def values(self) -> dict[str, Any]:
        runtime, operator = IMAGES
        return {
            "bot": {"image": {"repository": f"{self.prefix}/{runtime}", "tag": self.tag}},
            "operator": {"image": {"repository": f"{self.prefix}/{operator}", "tag": self.tag}},
        }
