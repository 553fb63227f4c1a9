"""Nothing that a file holds is run: no pickle, no YAML of objects, no eval, and TorchScript in one place alone."""

import ast

from tests.house.source import trees

FORBIDDEN_MODULES = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy", "code"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "torch.hub.load", "torch.ops.load_library", "torch.package",
    "pd.read_pickle", "os.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.check_output",
}  # fmt: skip
GUARDED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False), "np.save": ("allow_pickle", False)}
PROGRAMS = {"networks/features/encoder3d.py": "torch.jit.load"}
"""Where a program of a file is run, after its user has said that it is trusted."""


def calls():
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield file, ast.unparse(node.func), node


def test_no_file_is_run():
    wrong = [f"{file}: {name}" for file, name, _ in calls() if name in FORBIDDEN_CALLS]
    assert not wrong


def test_no_module_that_runs_what_it_reads_is_imported():
    wrong = []
    for file, tree in trees().items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{file}: {name}" for name in names if name.partition(".")[0] in FORBIDDEN_MODULES]
            if isinstance(node, ast.ImportFrom) and node.module == "pickle":
                wrong += [f"{file}: {alias.name}" for alias in node.names if alias.name != "UnpicklingError"]
            wrong += [f"{file}: pickle"] if "pickle" in names and isinstance(node, ast.Import) else []
    assert not wrong


def test_readers_that_could_unpickle_are_told_not_to():
    for file, name, node in calls():
        if name in GUARDED:
            keyword, value = GUARDED[name]
            given = {one.arg: ast.literal_eval(one.value) for one in node.keywords if one.arg == keyword}
            assert given == {keyword: value}, f"{file}: {name} without {keyword}={value}"


def test_programs_are_run_in_one_place():
    found = {file: name for file, name, _ in calls() if name.startswith("torch.jit.") and "load" in name}
    assert found == PROGRAMS
