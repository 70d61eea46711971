import json
import re
import subprocess
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "scripts" / "images"
DOCKERFILE = (PROJECT / "Dockerfile").read_text()


def pinned(name: str) -> dict[str, str]:
    text = (PROJECT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+) \\$", text, re.MULTILINE))


def test_every_package_of_an_image_is_pinned_with_hashes_and_names_no_index():
    for name in ("bot.txt", "operator.txt", "build.txt", "sbom.txt"):
        text = (PROJECT / "requirements" / name).read_text()
        requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert requirements
        assert all(re.fullmatch(r"[a-z0-9._-]+==\S+ \\", line) for line in requirements), name
        assert text.count("--hash=sha256:") >= len(requirements)
        assert "://" not in text


def test_the_bots_image_holds_nothing_that_only_the_operator_needs():
    heavy = {"kopf", "kubernetes", "typer", "rich", "pandas", "slack-sdk", "python-telegram-bot", "aiosmtplib"}
    assert not heavy & pinned("bot.txt").keys()
    assert heavy - {"pandas"} <= pinned("operator.txt").keys()


def test_both_images_get_the_same_version_of_what_both_hold():
    bot, operator = pinned("bot.txt"), pinned("operator.txt")
    shared = bot.keys() & operator.keys()
    assert len(shared) > 10
    assert {name: bot[name] for name in shared} == {name: operator[name] for name in shared}


def test_each_image_of_the_script_is_a_stage_of_the_dockerfile_that_does_not_run_as_root():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    for target in ("operator", "bot-runtime"):
        (stage,) = [text for text in stages if re.match(rf"\S+ AS {target}\n", text)]
        assert "USER 10001:10001" in stage
        assert f"--target {target}" in SCRIPT.read_text() or f"target={target}" in SCRIPT.read_text()


def test_the_release_builds_for_two_architectures_with_contents_and_provenance():
    script = SCRIPT.read_text()
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text())
    steps = json.dumps(workflow["jobs"]["images"]["steps"])
    assert "linux/amd64,linux/arm64" in script
    assert "--sbom=true --provenance=mode=max" in script
    assert 'scripts/images release \\"$REGISTRY\\" \\"$tag\\" bot-runtime tradingbot-operator' in steps
    assert "make sbom" in steps


def test_the_script_refuses_what_it_does_not_know():
    said = subprocess.run([SCRIPT, "bake", "dev", "cake"], capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "bake" in said.stderr or "neither a docker daemon nor buildah" in said.stderr
