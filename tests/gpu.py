"""Code that needs a CUDA device, and whether it asks first if there is one."""

import ast

QUESTION = "torch.cuda.is_available()"
HARMLESS = {"is_available", "device_count", "is_initialized", "get_arch_list"}
MOVERS = {"to", "autocast", "GradScaler", "Generator", "set_default_device"}
KEYWORDS = {"device", "device_type", "map_location"}


def body(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a cell besides its imports."""
    return [s for s in tree.body if not isinstance(s, ast.Import | ast.ImportFrom)]


def is_gate(statement: ast.stmt) -> bool:
    """Whether it is `if torch.cuda.is_available(): ...`, perhaps with an `and ...`."""
    if not isinstance(statement, ast.If):
        return False
    test = statement.test
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        test = test.values[0]
    return ast.unparse(test) == QUESTION


def says_left_out(gate: ast.If) -> bool:
    """Whether the `else` of the gate is one line that prints."""
    return len(gate.orelse) == 1 and ast.unparse(gate.orelse[0]).startswith("print(")


def cuda_uses(tree: ast.Module) -> list[str]:
    """Calls that fail without CUDA and stand under no question and in no `try`.

    Merely naming a device, `torch.device("cuda")`, or comparing with its name works on
    every machine and is not one of them.
    """
    uses = _Uses()
    uses.visit(tree)
    return uses.found


class _Uses(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        if "cuda" not in ast.unparse(node.test):
            return self.generic_visit(node)
        otherwise = node.orelse if isinstance(node.orelse, list) else [node.orelse]
        for child in otherwise:
            self.visit(child)

    visit_IfExp = visit_If

    def visit_Try(self, node: ast.Try) -> None:
        for child in [*node.handlers, *node.orelse, *node.finalbody]:
            self.visit(child)

    def visit_With(self, node: ast.With) -> None:
        if not any("suppress(" in ast.unparse(item) for item in node.items):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = ast.unparse(node.func)
        last = function.rsplit(".", 1)[-1]
        given = node.args if last in MOVERS else []
        given = given + [k.value for k in node.keywords if k.arg in KEYWORDS]
        if (
            any(isinstance(v, ast.Constant) and _is_cuda(v.value) for v in given)
            or (last == "cuda" and "." in function)
            or (function.startswith("torch.cuda.") and last not in HARMLESS)
        ):
            self.found.append(ast.unparse(node))
        self.generic_visit(node)


def _is_cuda(value: object) -> bool:
    return isinstance(value, str) and value.split(":")[0] == "cuda"
