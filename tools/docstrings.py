"""Copies the public docstrings of the pure twins into the compiled twins and the stubs.

``python tools/docstrings.py`` writes them; with ``--check`` it says where they differ, and exits 1.

A docstring is written once, in ``src/tokenwheel/_pure``. Each definition of the same name in
``ext/<module>.pyx`` and ``src/tokenwheel/_native/<module>.pyi`` gets the same text. The stub says
which names are public. Each of them must be found in all three files, and each function, method,
property and class must have a docstring in the pure twin. Names that begin with an underscore and
the modules' own docstrings are not copied, and a C field that Python can read holds no docstring.

A .pyx file is read line by line, since no parser for it comes with Python. What that reader does
not understand is an error, so that no public name is passed over.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PURE = "src/tokenwheel/_pure"
STUBS = "src/tokenwheel/_native"
COMPILED = "ext"

QUOTES = '"""'
HEADER = re.compile(r"(?:cdef\s+)?class\s+(\w+)|property\s+(\w+)\s*:|(?:async\s+)?def\s+(\w+)\s*\(")
TYPED_CPDEF = re.compile(r"cpdef\s[^=(]*?(\w+)\s*\(")
CONSTANT = re.compile(r"(\w+)\s*=[^=]")
FIELD = re.compile(r"cdef\s+(?:public|readonly)\s")


class NotUnderstoodError(Exception):
    """A file holds something that the tool cannot read: told in one sentence, with the place."""


@dataclass
class Definition:
    """A class, function, method or property, by the lines of its file, counted from 0."""

    indentation: int
    body: int
    """The line after its header."""
    docstring: str | None = None
    start: int = -1
    """The docstring's first line; -1 where there is none."""
    end: int = -1
    """The line after the docstring's last."""
    is_stub: bool = False
    """True where the header's line ends with ``...`` in place of a body."""


@dataclass
class Module:
    """The definitions of one file by qualified name (``Class.method``), and its other names."""

    path: Path
    lines: list[str]
    definitions: dict[str, Definition] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    """C fields that Python can read."""

    def __contains__(self, name: str) -> bool:
        return name in self.definitions or name in self.others or name in self.fields


def parse_python(path: Path) -> Module:
    """Read a .py or .pyi file. A .py file's names include those it imports from a neighbour."""
    source = path.read_text(encoding="utf-8")
    module = Module(path, source.splitlines())
    _collect(module, ast.parse(source).body, "")
    return module


def _collect(module: Module, statements: list[ast.stmt], prefix: str) -> None:
    for statement in statements:
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                name = prefix + statement.name
                if name in module.definitions:
                    _refuse_second_docstring(module, statement)
                    continue
                module.definitions[name] = _definition(module, statement)
                if isinstance(statement, ast.ClassDef):
                    _collect(module, statement.body, f"{name}.")
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                module.others.add(prefix + name)
                if name == "__slots__":
                    module.others |= {prefix + slot for slot in ast.literal_eval(value)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                module.others.add(prefix + name)
            case ast.ImportFrom(level=1, module=str(neighbour)) if module.path.suffix == ".py":
                imported = parse_python(module.path.parent / f"{neighbour}.py")
                for alias in statement.names:
                    _adopt(module, imported, alias.name)


def _adopt(module: Module, imported: Module, name: str) -> None:
    for other, definition in imported.definitions.items():
        if other == name or other.startswith(f"{name}."):
            module.definitions[other] = definition
    module.others |= {
        other for other in imported.others if other == name or other.startswith(f"{name}.")
    }


def _refuse_second_docstring(
    module: Module, statement: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> None:
    if ast.get_docstring(statement) is not None:
        raise NotUnderstoodError(
            f"{module.path}:{statement.lineno}: {statement.name} is defined before, and the "
            "docstring belongs to its first definition"
        )


def _definition(
    module: Module, statement: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> Definition:
    first = statement.body[0]
    docstring = ast.get_docstring(statement)
    # What a docstring's last line is worth differs between versions of Python.
    docstring = None if docstring is None else docstring.rstrip()
    is_stub = module.lines[first.lineno - 1].endswith(": ...")
    definition = Definition(statement.col_offset, first.lineno - 1 + is_stub, docstring)
    definition.is_stub = is_stub
    if docstring is not None:
        definition.start, definition.end = first.lineno - 1, first.end_lineno or first.lineno
    return definition


def parse_cython(path: Path) -> Module:
    """Read the definitions of a .pyx file, each with the docstring that follows its header."""
    module = Module(path, path.read_text(encoding="utf-8").splitlines())
    around: list[tuple[int, str, bool]] = []  # indentation, qualified name and is-a-class
    number = 0
    while number < len(module.lines):
        line = module.lines[number]
        text = line.lstrip(" ")
        if text.startswith("\t"):
            raise NotUnderstoodError(f"{path}:{number + 1}: a tab is no indentation here")
        if not text or text.startswith("#"):
            number += 1
            continue
        indentation = len(line) - len(text)
        if "'''" in text:
            raise NotUnderstoodError(f"{path}:{number + 1}: text in ''' is not understood")
        while around and around[-1][0] >= indentation:
            around.pop()
        header = HEADER.match(text) or TYPED_CPDEF.match(text)
        if header is None:
            if text.startswith("cpdef ") and not text.startswith("cpdef enum"):
                raise NotUnderstoodError(f"{path}:{number + 1}: this cpdef is not understood")
            _note_other_names(module, around, indentation, text)
            number = _after_text(module, number)
            continue
        name = next(group for group in header.groups() if group is not None)
        is_class = text.startswith(("class", "cdef"))
        if around and not around[-1][2]:  # It is local to a function.
            number = _after_header(module, number)
            around.append((indentation, name, False))
            continue
        if indentation != (around[-1][0] + 4 if around else 0):
            raise NotUnderstoodError(
                f"{path}:{number + 1}: {name} is indented as if it belonged to something that is "
                "neither a class nor the module"
            )
        qualified = f"{around[-1][1]}.{name}" if around else name
        body = _after_header(module, number)
        definition = Definition(indentation, body)
        number = _read_docstring(module, definition)
        around.append((indentation, qualified, is_class))
        if qualified not in module.definitions:
            module.definitions[qualified] = definition
        elif definition.docstring is not None:
            raise NotUnderstoodError(
                f"{path}:{body}: {qualified} is defined before, and the docstring belongs to its "
                "first definition"
            )
    return module


def _note_other_names(
    module: Module, around: list[tuple[int, str, bool]], indentation: int, text: str
) -> None:
    """Note a constant of the module, or an assignment or public field of a class."""
    prefix = f"{around[-1][1]}." if around else ""
    if around and not (around[-1][2] and indentation == around[-1][0] + 4):
        return
    if not around and indentation:
        return
    if attribute := CONSTANT.match(text):
        module.others.add(prefix + attribute[1])
    elif around and FIELD.match(text):
        module.fields.add(prefix + text.partition("#")[0].split()[-1])


def _after_text(module: Module, number: int) -> int:
    """Return the line after this one, or after the triple-quoted text that begins on it."""
    if module.lines[number].count(QUOTES) % 2 == 0:
        return number + 1
    for end in range(number + 1, len(module.lines)):
        if module.lines[end].count(QUOTES) % 2:
            return end + 1
    raise NotUnderstoodError(f"{module.path}:{number + 1}: a triple-quoted text has no end")


def _after_header(module: Module, number: int) -> int:
    """Return the line after the header that begins here: its brackets closed, a colon last."""
    depth = 0
    for end in range(number, len(module.lines)):
        code = re.sub(r"'[^'\\]*'|\"[^\"\\]*\"", "", module.lines[end]).partition("#")[0].rstrip()
        depth += sum(code.count(bracket) for bracket in "([{")
        depth -= sum(code.count(bracket) for bracket in ")]}")
        if depth == 0:
            if not code.endswith(":"):
                break
            return end + 1
    raise NotUnderstoodError(f"{module.path}:{number + 1}: a header must end with a colon")


def _read_docstring(module: Module, definition: Definition) -> int:
    """Read the docstring that a body begins with, if any. Return the line after it."""
    number = definition.body
    while number < len(module.lines) and not module.lines[number].strip():
        number += 1
    text = module.lines[number].strip() if number < len(module.lines) else ""
    if not text.startswith(QUOTES):
        if re.match(r"[A-Za-z]{0,2}['\"]", text):
            raise NotUnderstoodError(
                f'{module.path}:{number + 1}: a docstring begins with """ and nothing before it'
            )
        return definition.body
    end = number + 1 if text.count(QUOTES) == 2 else _after_text(module, number)
    literal = "\n".join(module.lines[number:end]).strip()
    if not literal.endswith(QUOTES):
        raise NotUnderstoodError(f"{module.path}:{end}: nothing may follow a docstring on its line")
    definition.docstring = inspect.cleandoc(ast.literal_eval(literal)).rstrip()
    definition.start, definition.end = number, end
    return end


def public_names(stub: Module) -> list[str]:
    """Return the stub's names of which no part begins with an underscore, classes first."""
    names = [*stub.definitions, *stub.others]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def differences(pure: Module, other: Module, names: list[str]) -> list[str]:
    """Say in one sentence each where the other module has not what the pure twin has."""
    sentences = []
    for name in names:
        if name not in other:
            sentences.append(f"{other.path}: {name} is public in the stub and not found here.")
        elif name not in pure:
            sentences.append(f"{pure.path}: {name} is public in the stub and not found here.")
        elif name in pure.definitions and name not in other.fields:
            docstring = pure.definitions[name].docstring
            if docstring is None:
                sentences.append(f"{pure.path}: {name} has no docstring.")
            elif name not in other.definitions:
                sentences.append(f"{other.path}: {name} is not a definition with a docstring.")
            elif other.definitions[name].docstring is None:
                sentences.append(f"{other.path}: {name} has no docstring, unlike in {pure.path}.")
            elif other.definitions[name].docstring != docstring:
                sentences.append(f"{other.path}: {name} has another docstring than in {pure.path}.")
    return sentences


def write(pure: Module, other: Module, names: list[str]) -> bool:
    """Put the pure twin's docstrings into the other file. Return True if that changed it."""
    lines = list(other.lines)
    changed = [
        (name, other.definitions[name])
        for name in names
        if name in pure.definitions
        and name in other.definitions
        and pure.definitions[name].docstring is not None
        and pure.definitions[name].docstring != other.definitions[name].docstring
    ]
    for name, definition in sorted(changed, key=lambda pair: pair[1].body, reverse=True):
        docstring = _literal(pure, name, definition.indentation + 4)
        if definition.start >= 0:
            lines[definition.start : definition.end] = docstring
        else:
            lines[definition.body : definition.body] = docstring
            if definition.is_stub:
                header = lines[definition.body - 1]
                lines[definition.body - 1] = header.removesuffix(" ...")
    if changed:
        other.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return bool(changed)


def _literal(pure: Module, name: str, indentation: int) -> list[str]:
    """Return a docstring as the lines of a literal, each indented."""
    docstring = pure.definitions[name].docstring or ""
    is_long = "\n" in docstring
    if "\\" in docstring or QUOTES in docstring or (docstring.endswith('"') and not is_long):
        raise NotUnderstoodError(
            f'{pure.path}: the docstring of {name} holds a backslash or """, or ends with a quote'
        )
    text = f"{QUOTES}{docstring}\n{QUOTES}" if is_long else f"{QUOTES}{docstring}{QUOTES}"
    return [f"{' ' * indentation}{line}" if line else "" for line in text.split("\n")]


def run(root: Path, *, is_check: bool) -> list[str]:
    """Write the docstrings below a folder, or only check them. Return what still differs.

    Raises:
        NotUnderstoodError: a file holds something that this tool cannot read.
    """
    sentences = []
    for path in sorted((root / STUBS).glob("*.pyi")):
        pure = parse_python(root / PURE / f"{path.stem}.py")
        compiled = root / COMPILED / f"{path.stem}.pyx"
        names = public_names(parse_python(path))
        if not is_check:
            write(pure, parse_python(path), names)
            write(pure, parse_cython(compiled), names)
        for other in (parse_python(path), parse_cython(compiled)):
            sentences += differences(pure, other, names)
    return [sentence.replace(f"{root}/", "") for sentence in dict.fromkeys(sentences)]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: python tools/docstrings.py [--check]", file=sys.stderr)
        return 2
    try:
        sentences = run(ROOT, is_check=bool(arguments))
    except NotUnderstoodError as error:
        print(str(error).replace(f"{ROOT}/", ""), file=sys.stderr)
        return 1
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    if sentences and arguments:
        print("`python tools/docstrings.py` copies docstrings from the pure twin.", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
