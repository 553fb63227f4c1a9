"""`benchmarks/gpu_smoke.py` forgets no command and no network, and sees what fails."""

import json
import re
from pathlib import Path

import gpu_smoke
import pytest
from gpu_smoke import FAILED, PASSED, SKIPPED, Machine, run_all, verdict
from smoke_commands import KINDS, Command, all_commands

from meddiff import pipelines
from meddiff.build.tables import MASK_NETWORKS
from meddiff.networks.segmenter import SEGMENTERS
from meddiff.pipelines import autoencode, detect, evaluate, export, segment, translate

WITHOUT_NETWORK = {
    "build_manifest", "download", "inspect", "publish", "evaluate leaderboard", "evaluate published",
    "evaluate reader_study", "evaluate readers", "export nnunet", "export dicom", "watch",
    "serve",  # has one, of `meddiff.load`, and answers until it is stopped
}  # fmt: skip
CPU = Machine(gpu="", gpu_memory=0)


def typed_commands(capsys) -> set[str]:
    """``augment``, ``segment predict`` ...: whatever a user can type after ``python -m meddiff.pipelines.``."""
    folder = Path(pipelines.__path__[0])
    modules = {file.stem for file in folder.glob("*.py") if '__name__ == "__main__"' in file.read_text()}
    verbs = {}
    for name, main in {
        one.__name__.rpartition(".")[2]: one.main for one in (segment, evaluate, translate, detect, export, autoencode)
    }.items():
        assert main(["dance"]) == 2
        refused = re.search("the verbs are (.+?), as in", capsys.readouterr().err)
        assert refused
        verbs[name] = refused[1].split(", ")
    return {f"{name} {verb}".strip() for name in modules for verb in verbs.get(name, [""])}


def test_every_command_in_which_a_network_works_is_run(capsys):
    everything = typed_commands(capsys)
    assert len(everything) > 10
    assert gpu_smoke.main(["--list"]) == 0
    listed = capsys.readouterr().out
    missing = {verb for verb in everything - WITHOUT_NETWORK if f"meddiff.pipelines.{verb} " not in listed}
    assert not missing, "add them to benchmarks/smoke_commands.py, or to WITHOUT_NETWORK here"


def test_every_network_of_masks_is_trained_on_pictures_slices_and_volumes():
    trained = [command for command in all_commands().values() if command.verb in ("segment train", "segment evaluate")]
    for kind, settings in KINDS.items():
        words = [command.words for command in trained if settings in command.words]
        for network in MASK_NETWORKS:
            told = "" if network == "twin_unet" else f"--network.name {network} "  # that is the default
            assert any(told in each and (told or "network.name" not in each) for each in words), (network, kind)
        for network in SEGMENTERS:
            assert any(re.search(rf"--baseline.names \S*\b{network}\b", each) for each in words), (network, kind)


def test_what_fails_is_seen_and_what_needs_it_does_not_run(tmp_path):
    commands = {
        "broken": Command("broken", "evaluate published --dice nothing --iou 0.4", "anything"),
        "builds_on_it": Command("builds_on_it", "evaluate published --dice 0.5 --iou 0.4", "anything", "broken"),
        "works": Command("works", "evaluate published --dice 0.5 --iou 0.333", "works.log", network=False),
        "leaves_nothing": Command("leaves_nothing", "evaluate published --dice 0.5 --iou 0.333", "report.json"),
    }
    ended = {outcome.name: outcome for outcome in run_all(commands, tmp_path, CPU, jobs=2)}
    assert ended.keys() == commands.keys()
    assert (ended["broken"].status, ended["broken"].reason) == (FAILED, "exit status 2")
    assert "dice: expected float" in ended["broken"].output
    assert (ended["builds_on_it"].status, ended["builds_on_it"].seconds) == (FAILED, 0)
    assert (ended["works"].status, ended["works"].device) == (PASSED, "none")
    assert ended["leaves_nothing"].reason == "it left no report.json"


@pytest.mark.parametrize(
    ("code", "output", "used", "status"),
    [
        (0, "", True, PASSED),
        (0, "", False, FAILED),
        (1, "ModuleNotFoundError: No module named 'SimpleITK'", True, SKIPPED),
        (1, "ModuleNotFoundError: No module named 'torch'", True, FAILED),
        (None, "", True, FAILED),
    ],
)
def test_a_run_on_a_gpu_passes_if_its_network_lay_there(tmp_path, monkeypatch, code, output, used, status):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    command = Command("one", "augment", ".")
    assert verdict(command, code, output, used_gpu=used, gpu=True, folder=tmp_path)[0] == status


def test_the_exit_status_and_the_table_say_that_one_failed(tmp_path, monkeypatch, capsys):
    commands = {"broken": Command("broken", "evaluate published --dice nothing", "anything")}
    monkeypatch.setattr(gpu_smoke, "all_commands", lambda: commands)
    monkeypatch.setattr(gpu_smoke, "machine", lambda: CPU)
    assert gpu_smoke.main(["--out", str(tmp_path / "table.json")]) == 1
    printed = capsys.readouterr().out
    assert "on the CPU" in printed.splitlines()[0]
    assert "0 passed, 1 FAILED" in printed
    (line,) = json.loads((tmp_path / "table.json").read_text())["commands"]
    assert line["status"] == FAILED
    with pytest.raises(SystemExit, match="there is no command dance"):
        gpu_smoke.main(["--only", "dance"])
