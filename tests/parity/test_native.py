"""The ctypes binding: everything wavernn.h has, statuses as exceptions, lifetimes."""

from __future__ import annotations

import ctypes
import gc
import re
import subprocess
import threading

import numpy as np
import pytest
from conftest import LIBWAVERNN
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime import __version__
from wv_runtime.engine import native as _native
from wv_runtime.engine.kernels import isa
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names, library
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import FormatError, MelError, NativeError
from wv_runtime.model.binary import aligned, pack, parse

HEADER = (LIBWAVERNN / "include/wavernn.h").read_text()
DATA = pack(tiny_model("int8"))
MEL = tiny_mel(tiny_config())


@pytest.fixture
def other_library(monkeypatch):
    """Forget the loaded library before and after."""
    library.cache_clear()
    yield lambda path: monkeypatch.setenv("WV_LIBRARY", str(path))
    monkeypatch.undo()
    library.cache_clear()


def test_binding_has_every_function_and_status_of_the_header():
    assert set(re.findall(r"WV_API .*?(wv_\w+)\(", HEADER)) == set(_native._PROTOTYPES)
    assert f"#define WV_ABI_VERSION {_native.ABI_VERSION}\n" in HEADER
    statuses = re.findall(r"^    WV_(?:ERR_)?(\w+)[ =,]", HEADER.split("} wv_status;")[0], re.M)
    assert [library().wv_status_name(i).decode().upper() for i in range(len(statuses))] == statuses
    assert len({library().wv_status_str(i) for i in range(len(statuses))}) == len(statuses)
    for unknown in (-1, len(statuses), 2**31 - 1):
        assert library().wv_status_name(unknown) == b"unknown" and library().wv_status_str(unknown)


def test_versions_agree():
    assert _native.version() == __version__


def test_library_of_another_abi_is_refused(tmp_path, other_library):
    (tmp_path / "other.c").write_text("int wv_abi_version(void) { return 99; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "other.so", "other.c"], cwd=tmp_path, check=True)
    other_library(tmp_path / "other.so")
    with pytest.raises(NativeError, match=f"ABI version 99, wanted {_native.ABI_VERSION}"):
        library()


def test_what_is_no_library_is_refused(tmp_path, other_library, monkeypatch):
    (tmp_path / "text.so").write_text("no library")
    (tmp_path / "foreign.c").write_text("int nothing;\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "foreign.so", "foreign.c"], cwd=tmp_path, check=True)
    for name in ("text.so", "foreign.so", "missing.so"):
        other_library(tmp_path / name)
        with pytest.raises(NativeError, match=re.escape(f"{name}: cannot be loaded")):
            library()
    monkeypatch.delenv("WV_LIBRARY")
    monkeypatch.setattr(_native, "package_path", [str(tmp_path)])
    with pytest.raises(NativeError, match="not found"):
        library()


def test_model_info():
    model, cfg = NativeModel(DATA), tiny_config()
    assert (model.sample_rate, model.hop_length, model.n_mels) == (16000, cfg.mel.hop_length, cfg.mel.n_mels)
    assert (model.n_units, model.lookahead, model.dtype, model.mel_name) == (64, 1, "int8", "tiny")


def test_damaged_bytes_name_their_status():
    for data, status in [(DATA[:100], "truncated"), (b"x" * len(DATA), "magic"), (DATA[:-1] + b"x", "checksum")]:
        with pytest.raises(FormatError, match=r"voice\.bin: ") as error:
            NativeModel(data, "voice.bin")
        assert error.value.status == status


def test_aligned_bytes_are_used_in_place_and_others_copied():
    in_place = aligned(DATA)
    assert NativeModel(in_place)._data.ctypes.data == in_place.ctypes.data
    shifted = np.frombuffer(b"x" + DATA, np.uint8)[1:]
    assert NativeModel(shifted)._data.ctypes.data % 64 == 0


def pcm_of(stream: NativeStream, chunk: int = 1000) -> np.ndarray:
    parts, pushed = [], 0
    while pushed < MEL.shape[1]:
        pushed += stream.push(MEL[:, pushed : pushed + chunk])
        parts.append(stream.pull(stream.available))
    stream.finish()
    return np.concatenate([*parts, stream.pull(10**9)])


def test_a_small_state_takes_what_fits_and_changes_nothing():
    model = NativeModel(DATA)
    want = pcm_of(NativeStream(model, seed=1))
    assert len(want) == MEL.shape[1] * model.hop_length
    small = NativeStream(model, seed=1, max_frames=1)
    assert 0 < small.push(np.repeat(MEL, 10, axis=1)) < 70
    for max_frames in (1, 2, 65536):
        for chunk in (1, 3, 1000):
            np.testing.assert_array_equal(pcm_of(NativeStream(model, 1, max_frames=max_frames), chunk), want)


def test_reset_starts_again():
    stream = NativeStream(NativeModel(DATA), seed=1)
    first = pcm_of(stream)
    stream.reset(2)
    second = pcm_of(stream)
    stream.reset(1)
    np.testing.assert_array_equal(pcm_of(stream), first)
    assert (first != second).any()


def test_nothing_to_pull_before_the_lookahead():
    stream = NativeStream(NativeModel(DATA))
    assert stream.available == 0 and stream.pull(10).shape == (0,)
    assert stream.push(MEL[:, :1]) == 1 and stream.available == 0
    assert stream.push(MEL[:, 1:2]) == 1 and stream.available == 20
    assert stream.pull(-1).shape == (0,) and stream.pull(3).shape == (3,) and stream.available == 17


def test_bad_arguments():
    model = NativeModel(DATA)
    for bad in [{"seed": -1}, {"seed": 2**64}, {"temperature": 0.0}, {"temperature": float("nan")},
                {"temperature": float("inf")}, {"max_frames": 0}, {"max_frames": 65537}, {"isa": "z80"}]:  # fmt: skip
        with pytest.raises(ValueError):
            NativeStream(model, **bad)
    stream = NativeStream(model)
    for bad_mel in (MEL.T, MEL[:4], MEL[0], MEL.astype("f8"), np.full_like(MEL, np.nan), np.full_like(MEL, np.inf)):
        with pytest.raises(MelError):
            stream.push(bad_mel)
    stream.finish()
    with pytest.raises(ValueError, match="wv_finish"):
        stream.push(MEL)
    with pytest.raises(ValueError):
        stream.reset(-1)


def test_isa_of_the_environment(monkeypatch):
    model = NativeModel(DATA)
    monkeypatch.setenv("WV_ISA", "portable")
    assert NativeStream(model).isa == "portable"
    monkeypatch.setenv("WV_ISA", "z80")
    with pytest.raises(ValueError, match=r"^isa: found z80, wanted one of .*portable$"):
        NativeStream(model)
    assert NativeStream(model, isa=isa_names()[0]).isa == isa_names()[0]


def test_numba_knows_the_same_isas_in_the_same_order():
    assert isa_names() == isa.HOST_ISAS
    dispatch = (LIBWAVERNN / "core/dispatch.c").read_text()
    assert re.findall(r"^    \{&wv_kernels_(\w+), ", dispatch, re.M) == list(isa.ISAS)


@pytest.mark.parametrize("name", isa_names())
def test_every_isa_gives_the_same_samples(name):
    for dtype in ("f32", "f16", "int8"):
        model = NativeModel(pack(tiny_model(dtype)))
        np.testing.assert_array_equal(
            pcm_of(NativeStream(model, isa=name)), pcm_of(NativeStream(model, isa="portable"))
        )  # noqa: E501


def test_null_pointers_are_refused():
    lib, n = library(), ctypes.c_size_t()
    argument = next(i for i in range(99) if lib.wv_status_name(i) == b"argument")
    model, state = ctypes.c_void_p(), ctypes.c_void_p()
    assert lib.wv_model_load(None, 10, ctypes.byref(model)) == argument and not model
    assert lib.wv_model_info(None, None) == lib.wv_state_new(None, None, ctypes.byref(state)) == argument
    assert lib.wv_push(None, None, 0, ctypes.byref(n)) == lib.wv_pull(None, None, 0, ctypes.byref(n)) == argument
    assert lib.wv_finish(None) == lib.wv_reset(None, 0) == lib.wv_bench_stage(None, 0, 1) == argument
    assert lib.wv_available(None) == 0
    lib.wv_model_free(None)
    lib.wv_state_free(None)


def test_options_of_older_and_newer_headers():
    """struct_size: at least the first version's; bytes beyond what the library knows must be zero."""
    size, model, state = ctypes.sizeof(_native._Options), NativeModel(DATA), ctypes.c_void_p()
    least = _native._Options.postfilter.offset - size
    for extra, content, wanted in [(0, b"", "ok"), (least, b"", "ok"), (least - 1, b"", "argument"),
                                   (8, b"\0" * 8, "ok"), (8, b"\0" * 7 + b"\1", "argument"),
                                   (4096, b"", "argument"), (-size, b"", "argument")]:  # fmt: skip
        options = bytes(_native._Options(size + extra, 1, 1.0, 64, None)) + content
        status = library().wv_state_new(
            model._handle, ctypes.cast(options, ctypes.POINTER(_native._Options)), ctypes.byref(state)
        )
        assert library().wv_status_name(status).decode() == wanted, (extra, content)
        library().wv_state_free(state)


def test_unaligned_bytes_are_refused():
    raw, model = aligned(b"\0" * 64 + DATA), ctypes.c_void_p()
    status = library().wv_model_load(raw.ctypes.data + 4, len(DATA), ctypes.byref(model))
    assert library().wv_status_name(status) == b"alignment" and not model


def test_a_stream_keeps_its_model():
    stream = NativeStream(NativeModel(bytes(DATA)), seed=1)
    gc.collect()
    junk = [np.full(len(DATA), 255, np.uint8) for _ in range(20)]
    np.testing.assert_array_equal(pcm_of(stream), pcm_of(NativeStream(NativeModel(DATA), seed=1)))
    assert junk


def test_threads_share_a_model():
    model, results = NativeModel(DATA), {}

    def work(seed):
        results[seed] = pcm_of(NativeStream(model, seed))

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for seed, pcm in results.items():
        np.testing.assert_array_equal(pcm, pcm_of(NativeStream(model, seed)))
    assert len(results) == 4


@pytest.mark.parametrize("backend", ["numba", "c"])
def test_other_threads_run_meanwhile(backend):
    """A long pull is one call of a kernel, which does not hold Python's lock."""
    voice, turns, n_frames = Voice(parse(DATA), backend), 0, 2000
    voice.warm_up()
    stream = voice.open() if backend == "numba" else NativeStream(NativeModel(DATA), max_frames=n_frames)
    stream.push(tiny_mel(voice.config, n_frames))
    thread = threading.Thread(target=stream.pull, args=[stream.available])
    thread.start()
    while thread.is_alive():
        turns += 1
    assert turns > 100


def test_bench_stage_runs():
    NativeStream(NativeModel(DATA)).bench_stage(0, 3)


@pytest.mark.parametrize("backend", ["numba", "c"])
def test_seeds_are_integers(backend):
    """1.5 was taken for 1 by one engine and not by the other."""
    model = tiny_model()
    voice, mel = Voice(model, backend), tiny_mel(model.config)
    for seed in (1.5, "1", None, -1, 2**64, np.float64(1)):
        with pytest.raises(ValueError, match=r"seed: found .*, wanted an integer in"):
            voice(mel, seed=seed)
    np.testing.assert_array_equal(voice(mel, seed=np.uint8(3)), voice(mel, seed=3))


@pytest.mark.parametrize("backend", ["numba", "c"])
def test_a_voice_takes_any_float_and_tensors(backend):
    torch = pytest.importorskip("torch")
    model = tiny_model()
    voice = Voice(model, backend)
    mel = np.round(4 * tiny_mel(model.config)) / 4  # the same in float16
    wanted = voice(mel)
    tensor = torch.from_numpy(mel)
    for given in (mel.astype("f8"), mel.astype("f2"), mel.astype(">f4"), tensor, tensor.double().requires_grad_(),
                  tensor.bfloat16(), tensor.T.contiguous().T):  # fmt: skip
        np.testing.assert_array_equal(voice(given), wanted)
        np.testing.assert_array_equal(voice([given, mel])[0], wanted)
        np.testing.assert_array_equal(np.concatenate(list(voice.stream([given]))), wanted)
        assert voice.check(given).cause == "unchecked"
    for bad in (mel.astype("i4"), mel.astype("f8") * 1e300, tensor.int(), tensor[None]):
        with pytest.raises(MelError):
            voice(bad)
