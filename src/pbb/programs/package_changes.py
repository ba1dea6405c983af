"""What a package's modules change after they have defined it, while they are loaded: a definition alone does not say what such a name holds.

    ONES = {1: "one"}
    ONES[2] = "two"            a statement on the name, here or in another module of the package
    _add(3, "three")           a call of a function that reaches it, directly or through what it calls
    LIMIT = 5
    LIMIT = LIMIT * 2          a second definition

A name that only may be changed counts as changed. Calls whose value is used change nothing unless the function, or one that it calls, changes
something that it has not made itself.

Contract: the names follow from the text alone; nothing is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from pbb.programs.package_effects import (
    CHANGING,
    HARMLESS,
    PURE,
    SHIFTING,
    binds,
    changes_others,
    constant,
    made_by,
    own,
    root,
)
from pbb.programs.package_modules import Module, absolute

Key = tuple[str, str]
"""A module and a name in it; of a module itself the name is empty, and of one from elsewhere, or all that a module has, it is `ALL`."""
ALL = "*"
MADE = "()"
"""Ends the name of a class where no more of it counts than what makes an instance."""
Scoped = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def find_changes(modules: Sequence[Module]) -> None:
    """Note in every module what changes; tests and main programs are not loaded with their package, and change nothing."""
    changes = _Changes({m.name: m for m in modules if not m.test})
    for module in modules:
        if not (module.test or module.name.endswith(".__main__")):
            changes.module(module)
    for module in modules:
        module.changed = {name for where, name in changes.found if where == module.name}
        module.changed_elsewhere = {where for where, name in changes.found if name == ALL}


def executed(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.AST, bool, bool]]:
    """All that is executed when a module is loaded, with whether it is inside a class, and whether at the top: no body of a function, no main."""
    waiting: list[tuple[ast.AST, bool, bool]] = [(s, False, True) for s in reversed(body)]
    while waiting:
        node, inside, top = waiting.pop()
        yield node, inside, top
        below: list[ast.AST] = [*ast.iter_child_nodes(node)]
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                below = [*node.decorator_list, *_defaults(node.args)]
            case ast.Lambda():
                below = _defaults(node.args)
            case ast.If() if _left_out(node.test):
                below = [*node.orelse]
            case ast.AnnAssign():
                below = [node.target, node.value] if node.value else []
            case ast.comprehension():
                below = [node.iter, *node.ifs]  # its variables are its own
        within = inside or isinstance(node, ast.ClassDef)
        waiting += [(child, within, False) for child in reversed(below)]


def _defaults(args: ast.arguments) -> list[ast.AST]:
    return [d for d in (*args.defaults, *args.kw_defaults) if d is not None]


def _left_out(test: ast.expr) -> bool:
    """Whether what an `if` asks for is the main program, or a type checker."""
    match test:
        case ast.BoolOp(op=ast.And()):
            return any(map(_left_out, test.values))
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
            return True
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _bindings(m: Module) -> dict[str, list[str]]:
    """By name, how the module binds it each time: by a definition at the top, an import, or otherwise."""
    found: dict[str, list[str]] = {}
    for node, inside, top in executed(m.tree.body):
        if inside:
            continue  # a name of the class
        how = "import" if isinstance(node, ast.Import | ast.ImportFrom) else "other"
        if top and isinstance(node, Scoped):
            how = "def"
        for name in binds(node):
            found.setdefault(name, []).append(how)
    return found


class _Changes:
    """`found` grows module by module."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules
        parts = [name.split(".") for name in modules]
        self.packages = {".".join(p[: n + 1]) for p in parts for n in range(len(p))}
        self.found: set[Key] = set()
        self.sources: dict[Key, set[Key]] = {}  # what a name may be another name of, or hold
        self.bound = {name: _bindings(m) for name, m in modules.items()}
        self.reach: dict[Key, set[Key]] = {}
        self.values: dict[Key, set[Key]] = {}
        self.names: dict[Key, list[Key]] = {}
        self.changing: dict[Key, bool] = {}
        self.at_all: dict[Key, bool] = {}  # with what it calls

    def module(self, m: Module) -> None:
        """Add what the loading of a module changes."""
        for name, how in self.bound[m.name].items():
            if len(how) > 1 and set(how) not in ({"def"}, {"import"}):
                self.found.add((m.name, name))
        nodes = list(executed(m.tree.body))
        dropped = {id(n.value) for n, _, _ in nodes if isinstance(n, ast.Expr)}
        try:
            for node, _, _ in nodes:
                self._alias(m, node)
            for node, inside, _ in nodes:
                self._node(m, node, inside, id(node) in dropped)
        except RecursionError:  # nested too deeply to be looked through
            self.found.add((m.name, ALL))

    def _named(self, m: Module, name: str) -> Key | None:
        """What a name of a module stands for, wherever it is defined; None for a builtin."""
        if name in m.defined or name not in m.imports:
            return (m.name, name) if name in self.bound[m.name] else None
        statement = m.imports[name]
        alias = statement.names[0]
        if isinstance(statement, ast.Import):
            return self._inside(alias.name if alias.asname else alias.name.partition(".")[0])
        return self._inside(absolute(m, statement, self.modules), alias.name)

    def _inside(self, module: str, name: str = "", depth: int = 0) -> Key | None:
        """A module, or what a module's name stands for."""
        below = f"{module}.{name}"
        if name and below not in self.modules and module in self.modules and depth < 20:
            other = self.modules[module]
            if name in other.defined or not isinstance(other.imports.get(name), ast.ImportFrom):
                return (module, name)
            statement = other.imports[name]
            assert isinstance(statement, ast.ImportFrom)
            return self._inside(absolute(other, statement, self.modules), statement.names[0].name, depth + 1)
        whole = below if name and below in self.modules else module
        return (whole, "") if whole in self.packages else (module, ALL)

    def _base(self, m: Module, node: ast.AST) -> Key | None:
        """What an expression is a part of: of `a.TABLE["x"][0]` the table."""
        match node:
            case ast.Name():
                return self._named(m, node.id)
            case ast.Attribute():
                base = self._base(m, node.value)
                return self._inside(base[0], node.attr) if base and not base[1] else base
            case ast.Subscript() | ast.Starred():
                return self._base(m, node.value)
            case ast.Call(func=ast.Name(id="globals" | "vars" | "locals")):
                return (m.name, ALL)
            case ast.Call():
                return self._base(m, node.func)
        return None

    def _definition(self, key: Key) -> ast.stmt | None:
        if key[0] not in self.modules:
            return None
        definition = self.modules[key[0]].defined.get(key[1].removesuffix(MADE))
        return (
            made_by(definition)
            if key[1].endswith(MADE) and isinstance(definition, ast.ClassDef)
            else definition
        )

    def _is_code(self, key: Key) -> bool:
        return isinstance(self._definition(key), Scoped)

    def _alias(self, m: Module, node: ast.AST) -> None:
        """Note which names may be others of the same values: those of a loop over them, and those that are set to them."""
        match node:
            case ast.For():
                targets, value = [node.target], node.iter
            case ast.Assign(
                value=ast.Name() | ast.Attribute() | ast.Subscript() | ast.List() | ast.Tuple() | ast.Dict()
            ):
                targets, value = node.targets, node.value
            case _:
                return
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        for name in names:
            self.sources.setdefault((m.name, name), set()).update(self._data(m, [value]))

    def _data(self, m: Module, nodes: Sequence[ast.AST]) -> set[Key]:
        """The names inside of expressions that stand for values, and no functions."""
        keys = {
            self._base(m, n)
            for node in nodes
            for n in ast.walk(node)
            if isinstance(n, ast.Name | ast.Attribute)
        }
        return {
            k for k in keys if k and k[1] not in ("", ALL) and not self._is_code(k) and not self._fixed(k)
        }

    def _fixed(self, key: Key) -> bool:
        """Whether nothing but a second definition changes a value."""
        definition = self._definition(key)
        return isinstance(definition, ast.Assign) and constant(definition.value)

    def _touch(self, *keys: Key | None) -> None:
        waiting = [k for k in keys if k and k[1]]
        while waiting:
            key = waiting.pop()
            if key not in self.found:
                self.found.add(key)
                waiting += self.sources.get(key, ())

    def _node(self, m: Module, node: ast.AST, inside: bool, dropped: bool) -> None:
        match node:
            case ast.Name(ctx=ast.Del()) if not inside:
                self._touch((m.name, node.id))
            case ast.AugAssign(target=ast.Name(id=name)) if not inside:
                self._touch((m.name, name))
            case ast.Attribute(ctx=ast.Store() | ast.Del(), attr=attr) if attr in HARMLESS:
                pass
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                self._touch(*self._owners(m, node.value))
            case ast.Attribute() if CHANGING.fullmatch(node.attr):
                owners = self._owners(m, node.value)  # also where it is handed on: map(TABLE.append, items)
                self._touch(*(k for k in owners if k[1] != ALL))
            case ast.Call():
                self._call(m, node, dropped)
            case ast.FunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    if not isinstance(decorator, ast.Call):
                        self._call(m, ast.Call(decorator, [], []), False)

    def _owners(self, m: Module, node: ast.expr) -> set[Key]:
        """What changes with an expression: what it is a part of, or what the functions that it calls reach, as in table()["x"] = 1."""
        called = {self._base(m, n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
        code = {k for k in called if k and self._is_code(k)}
        base = self._base(m, node)
        return ({base} if base and base not in code else set()) | {v for k in code for v in self._values(k)}

    def _call(self, m: Module, call: ast.Call, dropped: bool) -> None:
        """What a call may change: the value whose method it is, what it is given, and what the function reaches. dropped: nobody wants its value."""
        given = [*call.args, *(k.value for k in call.keywords)]
        handed = {self._base(m, n) for n in given if isinstance(n, ast.Name | ast.Attribute)}
        for key in handed:
            if key and self._is_code(key) and self._changing(key):
                self._touch(*self._values(key), *self._data(m, given))
        base, name = self._base(m, call.func), getattr(call.func, "attr", getattr(call.func, "id", ""))
        if base is None or base[1] == ALL:  # a builtin, a method of a literal, or the standard library
            shifted = name in SHIFTING or (isinstance(call.func, ast.Attribute) and CHANGING.fullmatch(name))
            if shifted or (dropped and name != "print"):
                self._touch(*self._data(m, given))
            if base and dropped and name.startswith("set"):
                self._touch(base)  # calendar.setfirstweekday(6)
            return
        if isinstance(call.func, ast.Attribute) and not self._is_itself(m, call.func, base):
            maker = self._maker(base)
            changing = dropped or self._changing(base) if self._is_code(base) else maker or name not in PURE
            if not changing:
                return
            self._touch(*self._owners(m, call.func.value), *(self._values(maker) if maker else ()))
            if not self._is_code(base):
                return  # what is put into a value does not change itself
        elif isinstance(self._definition(base), ast.ClassDef):
            base = (base[0], base[1] + MADE)
        if dropped or self._changing(base):
            self._touch(*self._values(base), *self._data(m, given))

    def _maker(self, key: Key) -> Key | None:
        """The package's own class or function that made a value: its methods may change what they like."""
        definition = self._definition(key)
        if isinstance(definition, ast.Assign) and isinstance(definition.value, ast.Call):
            base = self._base(self.modules[key[0]], definition.value.func)
            return base if base and base[1] not in ("", ALL) else None
        return None

    def _is_itself(self, m: Module, func: ast.Attribute, base: Key) -> bool:
        """Whether an attribute is what a module defines, and no method of it."""
        owner = self._base(m, func.value)
        return owner is not None and not owner[1] and base[1] == func.attr

    def _values(self, key: Key) -> set[Key]:
        """The values, and no functions, that a function or another thing that is called reaches."""
        if key not in self.values:
            reached = self._reached(key)
            code = [d for k in {key, *reached} if (d := self._definition(k))]
            shared = {
                name for d in code for n in ast.walk(d) if isinstance(n, ast.Global) for name in n.names
            }
            found = {k for k in reached if not self._is_code(k) and k[1] not in ("", ALL)}
            self.values[key] = {k for k in found if k[1] in shared or not self._fixed(k)}
        return self.values[key]

    def _reached(self, key: Key) -> set[Key]:
        """What a definition names, and what the functions and classes among these name."""
        if key not in self.reach:
            found: set[Key] = set()
            waiting = [key]
            while waiting:
                one = waiting.pop()
                if one not in found:
                    found.add(one)
                    if one == key or self._is_code(one):
                        waiting += self._names(one)
            self.reach[key] = found - {key}
        return self.reach[key]

    def _names(self, key: Key) -> list[Key]:
        if key not in self.names:
            self.names[key] = self._named_by(key)
        return self.names[key]

    def _named_by(self, key: Key) -> list[Key]:
        definition = self._definition(key)
        if definition is None:
            return []
        m = self.modules[key[0]]
        nodes = [n for n in ast.walk(definition) if isinstance(n, ast.Name | ast.Attribute)]
        variables = own(definition)
        return [*dict.fromkeys(k for n in nodes if root(n) not in variables and (k := self._base(m, n)))]

    def _changing(self, key: Key) -> bool:
        """Whether a function, or one that it calls, changes anything that it has not made itself."""
        if key not in self.at_all:
            code = [k for k in [key, *self._reached(key)] if k == key or self._is_code(k)]
            self.at_all[key] = any(map(self._changes_others, code))
        return self.at_all[key]

    def _changes_others(self, key: Key) -> bool:
        if key not in self.changing:
            definition = self._definition(key)
            self.changing[key] = definition is not None and changes_others(definition)
        return self.changing[key]
