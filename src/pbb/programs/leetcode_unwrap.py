"""A solution of LeetCodeDataset as one plain function, which stands alone.

    class Solution:                                          def twice(nums):
        def double(self, n: int) -> int:                         def double(n):
            return 2 * n                                   =>        return 2 * n
        def twice(self, nums: List[int]) -> List[int]:           return [double(n) for n in nums]
            return [self.double(n) for n in nums]

The method that is called loses its `self`; what it needs (imports, other methods, attributes, helpers of the module) moves into it, under
other names where it would meet one of its own. Annotations and docstrings go. What a solution looks like that cannot be had this way is said
in `LeftOut`.

Contract: the function gives what `Solution().method` gives, each call as the first of a fresh module; nothing is executed here.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Sequence
from functools import cache

from pbb.programs.isolation import STANDARD
from pbb.programs.renaming import BUILTINS, fresh, outer, own, rename, spellings, tables

STARS = ("typing", "functools", "collections", "itertools", "heapq", "bisect", "string", "operator", "math")
"""Where `Counter` and the like are looked for when the prompt of a solution imports nothing; later ones win."""
RANDOM = frozenset(
    [
        "random",
        "randint",
        "randrange",
        "choice",
        "choices",
        "shuffle",
        "uniform",
        "getrandbits",
        "rand7",
        "secrets",
        "rand10",
    ]
)
ENTRY = "pbb_solution"

Parsed = ast.FunctionDef | ast.ClassDef


class LeftOut(Exception):
    """Why a problem gives no program: one of a few reasons, which are counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def unwrap(completion: str, method: str, prompt: str = "") -> ast.FunctionDef:
    """The function `pbb_solution`, with the parameters of the method.

    prompt: the imports that the solution counts on.

    Raises:
        LeftOut: with the reason.
    """
    try:
        tree = ast.parse(completion)
        compile(
            tree, "<solution>", "exec", dont_inherit=True
        )  # finds more than parsing does: two parameters of one name
        table = _imports(ast.parse(prompt).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LeftOut("syntax error", str(error)) from error
    _refuse_kinds(tree)
    for node in ast.walk(tree):
        _strip(node)
    tree = ast.parse(ast.unparse(tree))  # so that nothing of what was taken away is left in a position
    table |= _imports(tree.body)
    solution = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Solution"), None)
    if solution is None:
        raise LeftOut("class design", "no class Solution")
    _refuse_results(solution, method)
    module = [
        n
        for n in tree.body
        if n is not solution and not isinstance(n, (ast.Import, ast.ImportFrom)) and not _constant(n)
    ]
    function = _joined(solution, method, _needed(module, solution))
    function.body = [*_import_statements(function, table), *function.body]
    _refuse_modules(function)
    return ast.parse(ast.unparse(ast.fix_missing_locations(function))).body[0]  # type: ignore[return-value]


def _refuse_kinds(tree: ast.Module) -> None:
    """Leave out what has no literal inputs or is a matter of chance."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {word for node in ast.walk(tree) for word in _quoted(node)}
    defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    defined |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imported = {
        a.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for a in node.names
    }
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    for reason, words in (
        ("linked lists", {"ListNode", "PolyNode"}),
        ("trees", {"TreeNode", "Node", "NestedInteger", "NodeCopy", "QuadNode"}),
        ("randomness", RANDOM),
    ):
        if found := sorted((names | imported) & words - defined):
            raise LeftOut(reason, found[0])


def _quoted(node: ast.AST) -> list[str]:
    """The words of an annotation in quotes, such as "Optional['TreeNode']"."""
    annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
    texts = [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant)] if annotation else []
    return [
        word
        for text in texts
        if isinstance(text, str)
        for word in text.replace("[", " ").replace("]", " ").split()
    ]


def _refuse_results(solution: ast.ClassDef, method: str) -> None:
    main = next((n for n in solution.body if isinstance(n, ast.FunctionDef) and n.name == method), None)
    if main is None:
        raise LeftOut("class design", f"no method {method}")
    if not any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(main)):
        raise LeftOut("answers in place", method)


def _strip(node: ast.AST) -> None:
    """Take annotations and docstrings away, in place; a class keeps its annotated fields, which may be those of a dataclass."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        node.returns = None
    if isinstance(node, ast.arg):
        node.annotation = None
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, None)
        if not isinstance(statements, list):  # the body of a lambda
            continue
        plain: list[ast.stmt] = []
        for s in statements:
            if isinstance(s, ast.AnnAssign):
                if isinstance(node, ast.ClassDef):
                    s.annotation = ast.Name("object", ast.Load())
                elif s.value is None:
                    continue
                else:
                    s = ast.copy_location(ast.Assign([s.target], s.value), s)
            if not _constant(s):
                plain.append(s)
        if statements and not plain and not isinstance(node, ast.Module):
            plain = [ast.Pass()]
        setattr(node, field, plain)


def _constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _needed(module: list[ast.stmt], solution: ast.ClassDef) -> list[ast.stmt]:
    """The statements of the module without the functions and classes that nothing else mentions."""
    wanted = spellings(solution)
    kept: list[ast.stmt] = [n for n in module if not isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    for n in kept:
        wanted |= spellings(n)
    while more := [n for n in module if n not in kept and isinstance(n, Parsed) and n.name in wanted]:
        kept += more
        for n in more:
            wanted |= spellings(n)
    return [n for n in module if n in kept]


def _joined(solution: ast.ClassDef, method: str, module: list[ast.stmt]) -> ast.FunctionDef:
    """The method with all that it needs inside, but for imports."""
    methods = {n.name: n for n in solution.body if isinstance(n, ast.FunctionDef)}
    fields = [n for n in solution.body if isinstance(n, (ast.Assign, ast.AnnAssign)) and n.value is not None]
    if len(methods) + len(fields) != sum(not isinstance(n, ast.Pass) for n in solution.body):
        raise LeftOut("not one function", "statements in class Solution")
    main = methods[method]
    if (
        main.decorator_list
        or main.args.vararg
        or main.args.kwonlyargs
        or main.args.kwarg
        or solution.decorator_list
    ):
        raise LeftOut("not one function", "decorated, or takes keywords")
    selves = {name: _self(n) for name, n in methods.items()}
    used = _reached(methods, selves, method)
    plain = [methods[name] for name in methods if name in used and name != method]
    taken = spellings(solution) | {s for n in module for s in spellings(n)} | {ENTRY}

    # What moves in must not meet a variable of the method's own.
    inner = outer([*module, *fields, *plain])
    main.args.args = main.args.args[1:] if selves[method] else main.args.args
    clash = sorted((own(main) - {selves[method]}) & inner)
    if set(clash) & {n.arg for n in ast.walk(main) if isinstance(n, ast.keyword)}:
        raise LeftOut("not one function", f"two meanings of {clash[0]}")
    rename(main, {name: fresh(name + "_", taken) for name in clash})

    members = {method: ENTRY}
    for name in used[1:]:
        spelled = name.strip("_")
        alone = spelled == name and _private(name, solution, module)
        members[name] = name if alone else fresh(spelled, taken)
    attributes: dict[str, str] = {}
    for n in fields:
        targets = n.targets if isinstance(n, ast.Assign) else [n.target]
        if not all(isinstance(t, ast.Name) for t in targets):
            raise LeftOut("not one function", "attributes of class Solution")
        for name in (t.id for t in targets if isinstance(t, ast.Name)):
            alone = _private(name, solution, module)
            attributes[name] = attributes.get(name) or (name if alone else fresh(name, taken))
    for name in [*used]:
        for node in ast.walk(methods[name]):
            if _member(node, selves[name]) and isinstance(node.ctx, ast.Store):  # type: ignore[attr-defined]
                field = node.attr  # type: ignore[attr-defined]
                if field in methods:
                    raise LeftOut("not one function", f"a method {field} that is replaced")
                attributes[field] = attributes.get(field) or fresh(field, taken)
    assigned = {name for name in attributes if name not in {t for n in fields for t in spellings(n)}}
    for n in fields:
        rename(n, attributes)
    for name in used:
        _Members(selves[name], members | attributes, set(attributes.values()), name == method).visit(
            methods[name]
        )
    for helper in plain:
        helper.decorator_list = [
            d
            for d in helper.decorator_list
            if not (isinstance(d, ast.Name) and d.id in ("staticmethod", "classmethod"))
        ]
        helper.args.args = helper.args.args[1:] if selves[helper.name] else helper.args.args
        helper.name = members[helper.name]
    begun = [n for n in plain if n.name == members.get("__init__")]
    plain = [n for n in plain if n not in begun]
    main.name = ENTRY
    unbound = sorted(attributes[field] for field in assigned if attributes[field] not in own(main))
    first: list[ast.stmt] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in unbound
    ]
    calls: list[ast.stmt] = [ast.Expr(ast.Call(ast.Name(n.name, ast.Load()), [], [])) for n in begun]
    main.body = [*module, *fields, *first, *plain, *begun, *calls, *main.body]
    return ast.fix_missing_locations(main)


def _private(name: str, solution: ast.ClassDef, module: list[ast.stmt]) -> bool:
    """Whether a method's name stands for nothing but the method."""
    count = sum(
        name in (getattr(node, "id", None), getattr(node, "arg", None), getattr(node, "name", None))
        for top in (solution, *module)
        for node in ast.walk(top)
    )
    return count == 1


def _self(function: ast.FunctionDef) -> str:
    """What a method calls the object that it belongs to; "" for a static one."""
    if any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list):
        return ""
    if not function.args.args or function.args.posonlyargs:
        raise LeftOut("not one function", f"{function.name} without self")
    return function.args.args[0].arg


def _member(node: ast.AST, me: str) -> bool:
    """Whether a node is `self.something` or `Solution.something`."""
    if not isinstance(node, ast.Attribute):
        return False
    value = node.value
    if isinstance(value, ast.Call) and not value.args and not value.keywords:  # Solution().something
        return isinstance(value.func, ast.Name) and value.func.id == "Solution"
    return isinstance(value, ast.Name) and value.id in (me, "Solution")


def _reached(methods: dict[str, ast.FunctionDef], selves: dict[str, str], method: str) -> list[str]:
    """The methods that a call can come to, in the order in which they are mentioned; the constructor is one."""
    reached = [method, *(["__init__"] if "__init__" in methods else [])]
    for name in reached:
        for node in ast.walk(methods[name]):
            if _member(node, selves[name]) and node.attr in methods and node.attr not in reached:  # type: ignore[attr-defined]
                reached.append(node.attr)  # type: ignore[attr-defined]
    return reached


class _Members(ast.NodeTransformer):
    """Writes `name` for `self.name`, and says `nonlocal` in the functions that assign one."""

    def __init__(self, me: str, names: dict[str, str], attributes: set[str], outermost: bool) -> None:
        self.me, self.names, self.attributes = me, names, attributes
        self.assigned: list[set[str]] = []
        self.outermost = outermost

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not _member(node, self.me):
            return self.generic_visit(node)
        name = self.names.get(node.attr)
        if name is None:
            raise LeftOut("not one function", f"an attribute {node.attr} that nothing sets")
        if not isinstance(node.ctx, ast.Load):
            self.assigned[-1].add(name)
        return ast.copy_location(ast.Name(name, node.ctx), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in (self.me, "Solution"):
            raise LeftOut("not one function", "the object as a value")
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        inner = bool(self.assigned) or not self.outermost
        self.assigned.append(set())
        self.generic_visit(node)
        names = sorted(self.assigned.pop())
        if names and inner:
            node.body = [ast.Nonlocal(names), *node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.assigned.append(set())
        self.generic_visit(node)
        if self.assigned.pop():
            raise LeftOut("not one function", "an attribute set in an inner class")
        return node


Import = tuple[str, str | None]
"""A module, and what is taken of it; None for the module itself."""


@cache
def _public(module: str) -> frozenset[str]:
    """What `from module import *` gives."""
    found = importlib.import_module(module)
    return frozenset(getattr(found, "__all__", None) or [n for n in dir(found) if not n.startswith("_")])


def _imports(statements: Sequence[ast.stmt]) -> dict[str, Import]:
    """By name, what the imports of a module make of it; later ones win. Stars count for modules that may be imported."""
    table: dict[str, Import] = {}
    for n in statements:
        if isinstance(n, ast.Import):
            table |= {a.asname or a.name.split(".")[0]: (a.name, None) for a in n.names}
        elif isinstance(n, ast.ImportFrom) and n.module:
            for a in n.names:
                if a.name != "*":
                    table[a.asname or a.name] = (n.module, a.name)
                elif n.module in STANDARD:
                    table |= {name: (n.module, name) for name in sorted(_public(n.module))}
    return table


def _import_statements(function: ast.FunctionDef, table: dict[str, Import]) -> list[ast.stmt]:
    """Imports of the names that a function looks up outside of itself. A builtin stays one, whatever a star would make of it."""
    looked_up = sorted(
        {
            s.get_name()
            for t in list(tables(ast.unparse(function)))[1:]
            for s in t.get_symbols()
            if s.is_global()
        }
        - {ENTRY}
        - BUILTINS
    )
    plain: list[ast.stmt] = []
    members: dict[str, list[ast.alias]] = {}
    for name in looked_up:
        found = table.get(name) or _standard(name)
        if found is None:
            raise LeftOut("undefined names", name)
        module, member = found
        if member is None:
            plain.append(ast.Import([ast.alias(module, name if name != module.split(".")[0] else None)]))
        else:
            members.setdefault(module, []).append(ast.alias(member, name if name != member else None))
    return [*plain, *(ast.ImportFrom(m, members[m], 0) for m in sorted(members))]


def _standard(name: str) -> Import | None:
    if name == "inf":
        return "math", "inf"
    if name in STANDARD:
        return name, None
    return next(((m, name) for m in reversed(STARS) if name in _public(m)), None)


def _refuse_modules(function: ast.FunctionDef) -> None:
    for module in _modules(function):
        if module.split(".")[0] not in STANDARD:
            raise LeftOut("other modules", module)


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
