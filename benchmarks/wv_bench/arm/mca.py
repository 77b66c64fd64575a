"""Cycles by llvm-mca: of each block of a program in a steady state of itself, on one core.

Loads that LLVM has at 128 bits a cycle on a core that reads 64 are given to it as loads of 64 bits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from wv_runtime.errors import WaveRNNError

from wv_bench.arm.emulate import Counts, llvm, run

_BRANCH = re.compile(r"(b|b\.\w+|bl|blr|br|cbn?z|ret|tbn?z|svc)\b")


def joined(counts: Counts, text: dict[int, str]) -> Counts:
    """The blocks, those as one that no branch divides: QEMU ends a block with a page too."""
    whole: Counts = {}
    left = dict(counts)
    for address, n_insns in sorted(counts):
        n, count = n_insns, left.pop((address, n_insns), 0)
        while count and not _BRANCH.match(text.get(address + 4 * n - 4, "ret")):
            following = [key for key in left if key[0] == address + 4 * n and left[key] >= count]
            if not following:
                break
            left[following[0]] -= count
            n += following[0][1]
        if count:
            whole[address, n] = whole.get((address, n), 0) + count
    return whole


def in_64_bits(instruction: str, narrow: Sequence[str]) -> list[str]:
    """A vector load as loads of 64 bits, if it is one of these: two a register of 128."""
    found = re.match(r"(\w+)\s+((?:[{}\s,]*(?:q\d+|v\d+\.\d+\w))+)[\s}]*,\s*(\[(\w+).*)", instruction)
    if not found or found[1] not in narrow:
        return [instruction]
    op, registers, address, base = found.groups()
    names = [f"d{n}" for n in re.findall(r"[qv](\d+)", registers) for _ in range(1 if ".8b" in registers else 2)]
    first = f"{'ldur' if op == 'ldur' else 'ldr'} {names[0]}, {address.replace('lsl #4', 'lsl #3')}"
    return [first, *(f"ldr {name}, [{base}]" for name in names[1:])]


class Mca:
    """llvm-mca's cycles of the blocks of one AArch64 program on one core."""

    def __init__(self, text: dict[int, str], mcpu: str, narrow: Sequence[str] = ()):
        self.text, self.mcpu, self.narrow = text, mcpu, narrow
        self.cycles: dict[tuple[int, int], float] = {}

    def add(self, blocks: set[tuple[int, int]]) -> None:
        """Estimate the blocks that are new: each in a steady state of itself, 100 times."""
        new = sorted(blocks - set(self.cycles))
        if not new:
            return
        lines = []
        for i, (first, n_insns) in enumerate(new):
            addresses = range(first, first + 4 * n_insns, 4)
            if unknown := [a for a in addresses if a not in self.text]:
                raise WaveRNNError(f"llvm-objdump: found at {unknown[0]:#x} an instruction it does not know")
            lines += [f"# LLVM-MCA-BEGIN b{i}", *(t for a in addresses for t in in_64_bits(self.text[a], self.narrow)),
                      "# LLVM-MCA-END"]  # fmt: skip
        command = [llvm("mca"), "-mtriple=aarch64", f"-mcpu={self.mcpu}", "-iterations=100", "--json"]
        regions = json.loads(run(command, input="\n".join(lines) + "\n"))["CodeRegions"]
        for region in regions:
            block = new[int(region["Name"][1:])]
            self.cycles[block] = region["SummaryView"]["TotalCycles"] / 100

    def of(self, counts: Counts) -> float:
        counts = joined(counts, self.text)
        self.add(set(counts))
        return sum(n * self.cycles[block] for block, n in counts.items())
