"""The Python and C kernels are twins: same functions, same arguments in the same order, same numbered comments."""

from __future__ import annotations

import ast
import re

import pytest
from conftest import ROOT

RUNTIME = ROOT / "runtime"
STEMS = (
    "spmv",
    "gates",
    "sample",
    "predict",
    "fft",
    "comb",
    "postfilter",
    "wavernn",
    "derive",
    "spmm",
    "lanes",
    "staircase",
)
# What only one language needs: how Numba picks an implementation by type, and how C picks one by block height.
PYTHON_ONLY = {
    "tile",
    "is_int8",
    "make_net",
    "make_state",
    "make_states",
    "make_filter",
    "filter_delay",
    "filter_reach",
    "comb_lags",
    "comb_margin",
    "make_comb",
    "generate",
    "generate_samples",
    "generate_lanes",
    "lanes_loop",
    "copy_lane",
    "lane_of",
    "row",
    "rows",
    "lane",
    "lanes_from",
    "make_staircase",
    "n_work",
    "clamp_doubles",
    "copy",
    "heard",
    "run_group",
    "staircase_run",
    "followed",
    "lanes_bytes",
    "draw_staircase",
    "stride",
    "filter_hops",
    "condition",
    "teacher_force",
    "teacher_force_lane",
}
C_ONLY = {
    "reset", "stage", "wv_derive", "gates_q_shifted", "clamp_double", "clamp_int", "max_i32", "by_length",
    "derive_matrix", "neighbours", "sample_bytes", "choose_lanes", "lanes_stage", "lanes_bytes",
}  # fmt: skip
# C passes a whole model or the bytes as an array where Python passes what is in them.
OTHER_ARGUMENTS = {"quantize_I", "start", "sample_loop", "stage_R", "stage_gates", "stage_logits", "condition_frame",
                   "condition_sub", "stage_inputs", "stage_coarse", "stage_sample", "predictor", "predict", "fours",
                   "lane_q10", "spmv_i8_4", "make_tables", "filter_hop", "dot", "rho_at", "comb_shift", "comb_frame",
                   "stage_pcm", "autocorrelation", "interpolate_lanes", "inputs_context", "lane_coarse", "lane_draw",
                   "lane_fine", "see", "interpolators", "condition_lane", "condition_slot", "slot_of", "enter_frame",
                   "enter_sub", "step_group",
                   "lanes_R", "lanes_logits", "lanes_coarse", "lanes_fine", "lanes_draw"}  # fmt: skip


def python_functions(stem):
    """Public functions in order: name -> arguments."""
    tree = ast.parse((RUNTIME / f"wv_runtime/engine/kernels/{stem}.py").read_text())
    functions = [f for f in tree.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")]
    return {f.name: [a.arg for a in f.args.args] for f in functions if f.name not in PYTHON_ONLY}


def c_path(stem):
    folder = RUNTIME / "libwavernn"
    return folder / "core/derive.c" if stem == "derive" else folder / f"kernels/{stem}.c"


def c_functions(stem):
    """static functions in order: name -> arguments. Array lengths and pointers are the type's business."""
    text = re.sub(r"/\*.*?\*/", "", c_path(stem).read_text(), flags=re.DOTALL)
    found = re.findall(r"^(?:static|WV_INLINE|wv_status)[\w\s*]*?\*?(\w+)\(([^)]*)\) \{", text, flags=re.MULTILINE)
    arguments = {name: [a.split()[-1].strip("*").split("[")[0] for a in args.split(",")] for name, args in found}
    return {name: args for name, args in arguments.items() if name not in C_ONLY and not name.startswith("WV_")}


def numbered(text):
    """Numbered comments, without case and end marks: '1) start from the bias'."""
    found = re.findall(r"(?:# |/\* )(\d\) .*?)(?: \*/.*)?$", text, flags=re.MULTILINE)
    return [c.rstrip(" \\") for c in found]


@pytest.mark.parametrize("stem", STEMS)
def test_same_functions_in_the_same_order(stem):
    python, c = python_functions(stem), c_functions(stem)
    shared = [name for name in python if name in c]
    assert len(shared) >= 2 and shared == [name for name in c if name in python]
    ours = {"tanh_half_q15", "exp2_double"}  # C passes the shift that Python binds; scalar.h has the other
    assert set(python) - set(c) <= ours and set(c) - set(python) <= {"tanh_q15"}
    for name in set(shared) - OTHER_ARGUMENTS:
        spelled = {"following": "next"}
        assert [spelled.get(a, a) for a in python[name]] == c[name], name


@pytest.mark.parametrize("stem", STEMS)
def test_same_steps(stem):
    """The steps of every kernel, in the order of the file."""
    ours = numbered((RUNTIME / f"wv_runtime/engine/kernels/{stem}.py").read_text())
    theirs = numbered(c_path(stem).read_text())
    if stem == "wavernn":  # generate is wv_pull
        theirs += numbered((RUNTIME / "libwavernn/core/synth.c").read_text())
    assert ours == theirs


def test_same_constants():
    """Every constant of the gates, by its digits."""
    python = (RUNTIME / "wv_runtime/engine/kernels/gates.py").read_text()
    c = c_path("gates").read_text()
    ours = dict(re.findall(r"^(\w+) = np\.(?:float32\(|array\(\[)([^\])]*)", python, flags=re.MULTILINE))
    theirs = dict(re.findall(r"^#define WV_(\w+) ([-\d.e]+)f$", c, flags=re.MULTILINE))
    theirs |= dict(re.findall(r"^static const int16_t WV_(\w+)\[8\] = \{(.*)\};", c, flags=re.MULTILINE))
    assert len(ours) >= 15 and ours == theirs
