"""`python -m tests.image.rehearse`: builds the image without an engine, and runs what is in it.

Every RUN and COPY of docker/Dockerfile is executed as it stands, an overlay each, over a root made by debootstrap.
What an engine would do otherwise: the base is Debian 12 with Debian's own Python 3.11, not the Python image.
Needs Linux, root, debootstrap and the package registries; takes two minutes. All is under one temporary folder, and
mounted in a namespace that ends with the process.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.image.dockerfile import Instruction, Stage, parse
from tests.image.trial import try_out

ROOT = Path(__file__).parents[2]
_PACKAGES = "python3,python3-venv,ca-certificates"
_APART = "REHEARSAL_APART"
"""Set in the process that has mounts of its own."""
_KEPT = ("PIP_DEFAULT_TIMEOUT", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files of this machine that a build needs to reach the registries; an engine lends the first two as well."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one instruction added."""

    instruction: Instruction
    folder: Path

    def size(self) -> int:
        """Return its bytes."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())

    def packed(self) -> int:
        """Return the bytes of it that a registry would send, compressed."""
        with subprocess.Popen(["tar", "-C", str(self.folder), "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
            assert tar.stdout is not None
            deflate, total = zlib.compressobj(6), 0
            while chunk := tar.stdout.read(1 << 20):
                total += len(deflate.compress(chunk))
            return total + len(deflate.flush())


@dataclass(kw_only=True)
class Build:
    """A stage being built: layers over a base."""

    base: Path
    folder: Path
    stage: Stage
    layers: list[Layer] = field(default_factory=list)

    @contextmanager
    def mounted(self, upper: Path | None) -> Iterator[Path]:
        """Mount all layers, writes going to `upper`; None: read-only."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        below = ":".join([*(str(layer.folder) for layer in reversed(self.layers)), str(self.base)])
        options = f"lowerdir={below}"
        if upper is not None:
            work = self.folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            for each in (upper, work):
                each.mkdir()
            options += f",upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
        try:
            yield root
        finally:
            subprocess.run(["umount", "--recursive", str(root)], check=True)

    def run(self, others: dict[str, "Build"]) -> None:
        """Execute the instructions of the stage."""
        workdir = "/"
        for each in self.stage.instructions:
            if each.name == "WORKDIR":
                workdir = each.text
            if each.name not in {"RUN", "COPY", "WORKDIR"}:
                continue
            layer = Layer(instruction=each, folder=self.folder / f"layer-{len(self.layers)}")
            with self.mounted(layer.folder) as root:
                if each.name == "RUN":
                    _execute(root, workdir, each.text)
                elif each.name == "COPY":
                    _copy(root, workdir, each.words(), others)
                else:
                    (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            self.layers.append(layer)


def _execute(root: Path, workdir: str, command: str) -> None:
    with ExitStack() as stack:
        for name in _LENT:
            if Path(name).exists():
                stack.enter_context(_lent(root, name))
        for name, kind in (("proc", "proc"), ("dev", "devtmpfs")):
            subprocess.run(["mount", "-t", kind, kind, str(root / name)], check=True)
        environ = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
        environ |= {name: os.environ[name] for name in _KEPT if name in os.environ}
        line = f"cd {workdir} && {command}"
        subprocess.run(["chroot", str(root), "/bin/sh", "-c", line], check=True, env=environ, timeout=900)
        for name in ("proc", "dev"):
            subprocess.run(["umount", str(root / name)], check=True)


@contextmanager
def _lent(root: Path, name: str) -> Iterator[None]:
    """Bind a file of this machine over one of the root, where nothing of it stays."""
    target = root / name.lstrip("/")
    is_new = not target.exists()
    if is_new:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    subprocess.run(["mount", "--bind", str(Path(name).resolve()), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)
        if is_new:
            target.unlink()


def _copy(root: Path, workdir: str, words: Sequence[str], others: dict[str, Build]) -> None:
    option = next((word for word in words if word.startswith("--from=")), None)
    *sources, target = [word for word in words if not word.startswith("--")]
    place = root / str(Path(workdir) / target).lstrip("/")
    with ExitStack() as stack:
        origin = ROOT if option is None else stack.enter_context(others[option.partition("=")[2]].mounted(None))
        for source in sources:
            path = origin / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(
                    path,
                    place,
                    symlinks=True,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__") if option is None else None,
                )
            else:
                is_folder = target.endswith("/") or len(sources) > 1
                goal = place / path.name if is_folder else place
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, goal)


def make_base(folder: Path) -> Path:
    """Return a clean root, made once for a folder."""
    base = folder / "base"
    if not (base / "usr" / "bin" / "python3").exists():
        shutil.rmtree(base, ignore_errors=True)
        words = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(base)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=900)
    return base


def main() -> int:
    """Build, measure, and try out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the roots here, and start from the base that is there")
    options = parser.parse_args()
    missing = [tool for tool in ("debootstrap", "unshare", "mount", "chroot") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0 or sys.platform != "linux":
        sys.stderr.write(f"error: the rehearsal needs Linux, root{' and ' + ', '.join(missing) if missing else ''}\n")
        return 1
    if _APART not in os.environ:
        words = ["unshare", "--mount", sys.executable, "-m", "tests.image.rehearse", *sys.argv[1:]]
        os.execvpe("unshare", words, {**os.environ, _APART: "1"})
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
        folder.mkdir(parents=True, exist_ok=True)
        base = make_base(folder)
        builds: dict[str, Build] = {}
        for stage in parse((ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")):
            place = folder / f"stage-{stage.name}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            builds[stage.name] = Build(base=base, folder=place, stage=stage)
            builds[stage.name].run(builds)
        final = list(builds.values())[-1]
        _print_layers(final)
        with final.mounted(None) as root:
            return try_out(root, final.stage)


def _print_layers(build: Build) -> None:
    rows = [(each.size(), each.packed(), f"{each.instruction.name} {each.instruction.text}") for each in build.layers]
    sys.stdout.write("layers over the base image:\n     MB  MB sent  instruction\n")
    for size, packed, text in rows:
        sys.stdout.write(f"{size / 1e6:7.1f}  {packed / 1e6:7.1f}  {text[:80]}\n")
    sizes, sent = sum(row[0] for row in rows), sum(row[1] for row in rows)
    sys.stdout.write(f"{sizes / 1e6:7.1f}  {sent / 1e6:7.1f}  in {len(rows)} layers\n")


if __name__ == "__main__":
    sys.exit(main())
