from __future__ import annotations

from rich.console import Console

from motet.reporting.architectures import architecture_table

ENTRY = {
    "name": "shared_private",
    "family": "adversarial",
    "shared": 11_230_000,
    "own": 1_776_000,
    "trained": 20_100_000,
    "multiply_adds": 1.1666,
    "extras": ("adversarial", "orthogonality"),
    "summary": "Shared states that tell nobody's task, beside private states of each task.",
}


def shown(width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(architecture_table([ENTRY]))
    return capture.get()


def test_a_row_an_architecture() -> None:
    cells = shown(200).splitlines()[1].split("   ")
    assert [cell.strip() for cell in cells if cell.strip()] == [
        "shared_private",
        "adversarial",
        "11.2",
        "1,776.0",
        "20.1",
        "1.17",
        "adversarial, orthogonality",
        "Shared states that tell nobody's task, beside private states of each task.",
    ]


def test_a_narrow_terminal_wraps_the_sentence_alone() -> None:
    first, *later = shown(140).splitlines()[1:]
    assert all(cell in first for cell in ("shared_private", "1,776.0", "1.17", "adversarial, orthogonality"))
    assert all(line[:80].isspace() and line.strip() for line in later)
