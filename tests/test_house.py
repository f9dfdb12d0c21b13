"""The house keeps its own rules: laws said, modules small, imports harmless, docs in step."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("database", "gateway", "shared", "ml_service", "retainstream")
MODULES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts
)
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
LONGEST_MODULE, LONGEST_FUNCTION = 300, 40


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """A module, read and parsed once for all that follows."""
    return ast.parse(path.read_text(encoding="utf-8"))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    return ((path, tree_of(path)) for path in MODULES)


def test_each_module_says_what_lives_there() -> None:
    assert [name_of(path) for path, tree in trees() if tree.body and not ast.get_docstring(tree)] == []


def test_each_module_is_small() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    told = node.body[0].end_lineno if ast.get_docstring(node) is not None else node.body[0].lineno - 1
    return (node.end_lineno or 0) - (told or 0)


def test_each_function_is_short() -> None:
    lengths = {
        f"{name_of(path)}: {node.name}": length_of(node)
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_no_module_is_a_drawer() -> None:
    assert [name_of(path) for path in MODULES if path.stem in DRAWERS] == []


# --- the tree -------------------------------------------------------------------------------------------------------

MOST_MODULES = 15
FOLDERS = sorted(
    {path.parent for path in MODULES}
    | {path.parent for path in (ROOT / "tests").rglob("*.py") if "__pycache__" not in path.parts}
)


def test_each_folder_holds_few_modules() -> None:
    held = {name_of(folder): sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in FOLDERS}
    assert {name: modules for name, modules in held.items() if modules > MOST_MODULES} == {}


def is_logic(node: ast.stmt) -> bool:
    """Whether a statement is anything but a docstring, an import, or a literal called `__all__` or `__version__`."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        named = {target.id for target in node.targets if isinstance(target, ast.Name)}
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return True
        return not named <= {"__all__", "__version__"}
    return True


def test_no_init_holds_logic() -> None:
    bodies = {path: tree.body for path, tree in trees() if path.name == "__init__.py"}
    assert [f"{name_of(path)}: {node.lineno}" for path, body in bodies.items() for node in body if is_logic(node)] == []


# --- docs in step ---------------------------------------------------------------------------------------------------


def settings_variables() -> Iterator[str]:
    from gateway.settings import Settings as Gateway
    from ml_service.settings import Settings as Model

    for settings in (Gateway, Model):
        for field in settings.model_fields.values():
            alias = field.validation_alias
            assert alias is not None
            yield alias if isinstance(alias, str) else str(alias.choices[0])  # type: ignore[union-attr]


def doc(name: str) -> str:
    path = ROOT / "docs" / name
    assert path.exists(), f"docs/{name} is missing"
    return path.read_text(encoding="utf-8")


def test_every_setting_of_both_services_is_in_the_operations_guide() -> None:
    text = doc("operations.md")
    assert [name for name in sorted(set(settings_variables())) if f"`{name}`" not in text] == []


def test_every_variable_of_the_example_environment_is_a_setting() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
    assert named <= set(settings_variables())


def test_every_route_of_the_gateway_is_in_the_api_guide(tmp_path: Path) -> None:
    from gateway.app import create_app
    from gateway.settings import Settings

    settings = Settings(_env_file=None, APP_ENV="test", DATABASE_PATH=tmp_path / "a.db", ML_SERVICE_TOKEN="x")  # type: ignore[call-arg]
    app = create_app(settings)
    text = doc("api.md")
    missing = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/") and not rule.rule.startswith("/api/docs/assets/"):
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            missing += [f"{method} {rule.rule}" for method in methods if f"{method} `{rule.rule}`" not in text]
    assert sorted(missing) == []


def test_the_changelog_tells_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    import gateway

    assert gateway.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_no_text_says_that_a_fact_or_an_action_moves_customers() -> None:
    """Reasons and scores for changed facts are the model's: nobody measured an effect."""
    claim = re.compile(
        r"expected_(?:change|probability)|best first|prevents? (?:churn|leaving)|brings? (?:the customer|customers|people|viewing|calls) back|"
        r"(?:rais|lower|reduc|increas)(?:es?|ing)[^.\n]{0,30}\b(?:risk|churn)\b|\bkeeps? (?:the |a )?customers?\b",
        re.I,
    )
    texts = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(path for room in ("gateway", "ml_service", "retainstream", "shared") for path in (ROOT / room).rglob("*.py")),
        *(ROOT / "gateway/page").rglob("*.js"),
        *(path for path in (ROOT / "examples").iterdir() if path.is_file()),
        ROOT / "shared/schema/retainstream.toml",
    ]
    said = [(name_of(path), found.group()) for path in texts if (found := claim.search(path.read_text("utf-8")))]
    assert said == []
    schemas = [path for path in texts if path.suffix == ".toml"]
    purposes = [each for path in schemas for each in re.findall(r'^purpose = "(.+)"', path.read_text("utf-8"), re.M)]
    assert len(purposes) > 10
    assert [each for each in purposes if not each.startswith("aims at ")] == []


# --- references -----------------------------------------------------------------------------------------------------

#: Written in pieces, so that this file does not find itself.
NOT_HERE = tuple(name + ".md" for name in ("DES" + "IGN", "CONT" + "RACT", "DEFIN" + "ITIONS"))


def tracked_texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue


def anchors(page: Path) -> set[str]:
    """Explicit anchors of a page, and those that its headings get."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def test_no_file_names_a_document_that_is_not_here() -> None:
    assert [name_of(path) for path, text in tracked_texts() if any(name in text for name in NOT_HERE)] == []


def test_every_document_and_anchor_that_is_named_exists() -> None:
    broken = []
    for path, text in tracked_texts():
        if path.suffix not in (".py", ".md", ".js", ".toml"):
            continue
        named = [(ROOT / page, at) for page, at in re.findall(r"(?<![\w/])(docs/[\w/.-]+\.md)(?:#([\w-]+))?", text)]
        if path.suffix == ".md":
            links = re.findall(r"\]\((?!https?:)([^)#\s]*\.md)?(?:#([\w-]+))?\)", text)
            named += [(path.parent / page if page else path, at) for page, at in links if page or at]
        broken += [
            f"{name_of(path)}: {page.name}#{at}"
            for page, at in named
            if not page.exists() or (at and at not in anchors(page))
        ]
    assert sorted(set(broken)) == []


def test_every_heading_of_the_definitions_has_an_anchor_of_its_own() -> None:
    lines = doc("definitions.md").splitlines()
    without = [line for before, line in pairwise(lines) if line.startswith("##") and not before.startswith("<a id=")]
    given = re.findall(r'^<a id="([^"]+)">', doc("definitions.md"), re.M)
    assert without == []
    assert len(given) == len(set(given))


def defined_in(package: str, dotted: str) -> Iterator[object]:
    """Objects of a package with this name (`function`, `Class.method`), by the modules that define them."""
    first, *rest = dotted.split(".")
    for path in MODULES:
        if path.parts[len(ROOT.parts)] == package and re.search(
            rf"^(?:def|class) {first}\b", path.read_text(encoding="utf-8"), re.M
        ):
            found: object = importlib.import_module(name_of(path)[:-3].replace("/", ".").removesuffix(".__init__"))
            for part in (first, *rest):
                found = getattr(found, part, None)
            if found is not None:
                yield found


def test_every_term_names_functions_that_exist() -> None:
    terms = re.split(r"^### ", doc("definitions.md"), flags=re.M)[1:]
    missing = []
    for term in terms:
        name, text = term.splitlines()[0], re.sub(r"\n  +", " ", term)
        lines = re.findall(r"^- Computed by: (.+)$", text, re.M)
        named = re.findall(r"`([\w.]+)` \((\w+)\)", lines[0] if lines else "")
        missing += [f"{name}: nothing computes it"] if not named else []
        missing += [f"{name}: {each} ({package})" for each, package in named if not list(defined_in(package, each))]
    assert missing == []


def test_every_test_that_a_document_names_exists() -> None:
    missing = []
    for path in (ROOT / "docs").rglob("*.md"):
        for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", path.read_text(encoding="utf-8")):
            if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
                missing.append(f"{name_of(path)}: {file}::{name}")
    assert missing == []


def test_every_import_contract_that_the_laws_name_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["name"] for contract in project["tool"]["importlinter"]["contracts"]}
    laws = doc("architecture.md").partition("## Laws")[2]
    assert contracts == set(re.findall(r'"(The [^"]+|All [^"]+|No [^"]+|One [^"]+)"', laws))


# --- imports --------------------------------------------------------------------------------------------------------


OURS = (*PACKAGES, "benchmarks")
SOURCES = {
    name_of(path)[:-3].replace("/", ".").removesuffix(".__init__"): path
    for package in OURS
    for path in sorted((ROOT / package).rglob("*.py"))
    if "versions" not in path.parts
}
#: NumPy and Arrow are loaded where they are needed: never in the web process, and not by commands that do without.
LAZY = {
    ("gateway.services.kinds", "gateway.services.campaigns.contact_files"),
    ("gateway.services.kinds", "gateway.services.demo"),
    ("gateway.services.kinds", "gateway.services.exporting.parquet"),
    ("gateway.services.kinds", "gateway.services.importing.import_file"),
    ("gateway.services.kinds", "gateway.services.importing.import_outcomes"),
    ("gateway.services.kinds", "gateway.services.importing.preview"),
    ("gateway.services.kinds", "gateway.services.importing.publish_import"),
    ("gateway.services.kinds", "gateway.services.models.training"),
    ("gateway.services.kinds", "gateway.services.monitoring.drifting"),
    ("gateway.services.kinds", "gateway.services.scoring.scoring_run"),
    ("gateway.cli.data", "shared.proposal.schema_inference"),
    ("gateway.cli.trial.choices", "shared.proposal.schema_inference"),
    ("gateway.cli.judging", "gateway.services.models.training"),
    ("gateway.cli.operate", "gateway.services.demo"),
    # The process manager, which the containers do without.
    ("gateway.cli.operate", "gateway.cli.supervising"),
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of ours, and those of the tests, that the statements directly in a tree import; not those in functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not resolved here"
            base = node.module or ""
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in SOURCES else base for a in node.names]
        else:
            names = [] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else list(imported(node))
        yield from (name for name in names if name.partition(".")[0] in (*OURS, "tests"))


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: set(imported(tree_of(path))) for name, path in SOURCES.items()}
    TopologicalSorter(graph).prepare()


def test_modules_of_ours_are_imported_at_the_top_but_for_numpy_and_arrow() -> None:
    lazy = {
        (name, each)
        for name, path in SOURCES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for each in imported(node)
    }
    assert lazy == LAZY


def test_nothing_commits_by_hand() -> None:
    """Leaving `Database.write` commits: whoever else does splits somebody's transaction."""
    calls = ((path, node.func) for path, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert [
        f"{name_of(path)}: {call.lineno}"
        for path, call in calls
        if isinstance(call, ast.Attribute) and call.attr in ("commit", "rollback")
    ] == []


def python(code: str, folder: Path) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.strip()


def test_the_web_process_loads_no_columns_and_no_model_libraries(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import gateway.app
from gateway.settings import Settings
from database.engine.migrate import migrate
migrate(Path("a.db"))
app = gateway.app.create_app(Settings(_env_file=None, APP_ENV="test", DATABASE_PATH="a.db", LOG_LEVEL="error"))
app.test_client().get("/api/health/ready")
heavy = {"numpy", "pyarrow", "xgboost", "sklearn", "pandas", "shap", "scipy", "ml_service"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    # A write that a busy machine made slow is logged before it.
    assert python(code, tmp_path).splitlines()[-1] == "[]"


def test_a_worker_has_loaded_what_jobs_need_before_it_starts_threads(tmp_path: Path) -> None:
    """Two threads that import NumPy for the first time at once find half of it, and their jobs break."""
    lazy = sorted(module for by, module in LAZY if by == "gateway.services.kinds")
    code = f"""
import sys, threading
from gateway.worker import Worker
from tests.world import open_world
from pathlib import Path
worker = Worker(open_world(Path("a.db")).environment)
def look(thread):
    print([name for name in {lazy!r} if name not in sys.modules])
    worker.stop()
threading.Thread.start = look
worker.run()
"""
    assert set(re.findall(r"^\[.*\]$", python(code, tmp_path), re.M)) == {"[]"}


def test_importing_every_module_makes_no_file_no_engine_no_app_and_no_thread(tmp_path: Path) -> None:
    names = [name_of(path)[:-3].replace("/", ".") for path in MODULES if path.name not in ("__main__.py", "env.py")]
    names = [name.removesuffix(".__init__") for name in names]
    code = f"""
import gc, importlib, sqlite3, threading
opened = []
real = sqlite3.connect
sqlite3.connect = lambda *a, **k: opened.append(a) or real(*a, **k)
for name in {names!r}:
    importlib.import_module(name)
from flask import Flask
from sqlalchemy import Engine
found = [type(each).__name__ for each in gc.get_objects() if isinstance(each, (Flask, Engine))]
print(found, opened, [t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""
    assert python(code, tmp_path) == "[] [] []"
    assert list(tmp_path.iterdir()) == []


# --- what must not be in the repository -----------------------------------------------------------------------------

#: Written in pieces, so that this file does not find itself.
FORBIDDEN = (
    "/" + "work/", "/" + "root/", "/home/" + "user", "pypi." + "tuna", "mirrors" + ".aliyun", "artifac" + "tory",
    "index" + "-url http", "BEGIN " + "RSA PRIVATE", "BEGIN " + "OPENSSH PRIVATE", "AKI" + "A",
)  # fmt: skip
SECRETS = re.compile(r"(?:ghp_|github_pat_|sk-|xox[bp]-)[A-Za-z0-9_-]{20,}")


def tracked() -> list[Path]:
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in run.stdout.split("\0") if name]


def test_no_tracked_file_holds_a_path_of_somebodys_machine_or_a_secret() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        if path.suffix == ".lock":
            text = "\n".join(line for line in text.splitlines() if "--hash=" not in line)
        found += [f"{name_of(path)}: {word}" for word in FORBIDDEN if word in text]
        found += [f"{name_of(path)}: a secret" for _ in SECRETS.findall(text)]
    assert found == []


def test_no_merge_was_left_half_done() -> None:
    marks = re.compile(r"^(?:<{7} |>{7} )", re.M)
    texts = {name_of(path): path.read_bytes().decode("utf-8", "replace") for path in tracked() if path.is_file()}
    assert [name for name, text in texts.items() if marks.search(text)] == []


def test_no_database_model_or_environment_file_is_tracked() -> None:
    endings = (".db", ".pkl", ".ubj", ".env", ".sqlite")
    assert [name_of(path) for path in tracked() if path.name.endswith(endings)] == []
