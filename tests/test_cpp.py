"""The C++ programs, built once: parity with eager, wrong files, what a build lacks."""

import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ch07_deployment import cpp
from ch07_deployment.cpp import BuildFailed, ProgramFailed, build, missing, run, start
from ch07_deployment.example import example_model, real_images
from ch07_deployment.footprint import written_apart

WAYS = {"run_aoti": "AOTInductor", "run_torchscript": "TorchScript"}
LACKING = missing()
needs_a_build = pytest.mark.skipif(bool(LACKING), reason=str(LACKING))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{program: (its path, the file that it runs)}; the compilers run together."""
    folder = tmp_path_factory.mktemp("cpp")
    with ThreadPoolExecutor(2) as pool:
        building = pool.submit(build, folder / "build")
        files = {name: written_apart(way, folder) for name, way in WAYS.items()}
        programs = building.result()
    return {name: (programs[name], files[name]) for name in WAYS}


@pytest.fixture(params=WAYS)
def program(request):
    if LACKING:
        pytest.skip(LACKING)
    return request.getfixturevalue("built")[request.param]


def refusal(*words):
    """What a program says, which has to end by itself: 1, not a signal."""
    with pytest.raises(ProgramFailed) as caught:
        start(*words)
    assert caught.value.code == 1
    assert str(caught.value).startswith("error: ")
    return str(caught.value)


@pytest.mark.parametrize("n", [1, 5, 32, 64])
def test_the_same_logits_as_eager(program, n):
    images = real_images(n)
    with torch.inference_mode():
        expected = example_model()(images)
    answer = run(*program, images)
    torch.testing.assert_close(answer.logits, expected, atol=1e-4, rtol=1e-4)
    assert answer.milliseconds is None


def test_the_time_of_a_batch_is_told(program):
    assert run(*program, real_images(1), rounds=2).milliseconds > 0


def test_a_missing_file_is_named(program, tmp_path):
    binary, file = program
    real_images(1).numpy().tofile(tmp_path / "images")
    nowhere = tmp_path / "nowhere"
    assert "nowhere" in refusal(binary, nowhere, tmp_path / "images", tmp_path / "out")
    assert "nowhere" in refusal(binary, file, nowhere, tmp_path / "out")
    assert "out" in refusal(binary, file, tmp_path / "images", nowhere / "out")
    assert "no such file" in refusal(binary, tmp_path, nowhere, nowhere)  # a folder


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_a_cut_off_or_empty_model_is_refused(program, tmp_path, kept):
    binary, file = program
    whole = file.read_bytes()
    cut, images = tmp_path / "cut", tmp_path / "images"
    cut.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    real_images(1).numpy().tofile(images)
    assert "zip" in refusal(binary, cut, images, tmp_path / "out").lower()
    assert not (tmp_path / "out").exists()


def test_the_other_way_s_file_is_refused(built, tmp_path):
    (aoti, package), (torchscript, script) = built["run_aoti"], built["run_torchscript"]
    refusal(aoti, script, package, tmp_path / "out")
    refusal(torchscript, package, script, tmp_path / "out")


@pytest.mark.parametrize("size", [0, 1, 3 * 32 * 32 * 4 - 1, 3 * 32 * 32 * 4 + 4])
def test_a_wrong_number_of_bytes_is_told(program, tmp_path, size):
    images = tmp_path / "images"
    images.write_bytes(bytes(size))
    said = refusal(*program, images, tmp_path / "out")
    assert f"{size} bytes, not a multiple of 12288" in said


def test_wrong_arguments(program, tmp_path):
    with pytest.raises(ProgramFailed, match=r"usage: .*LOGITS") as caught:
        start(program[0])
    assert caught.value.code == 2
    real_images(1).numpy().tofile(tmp_path / "images")
    words = (tmp_path / "images", tmp_path / "out", "many")
    assert "not a number: many" in refusal(*program, *words)


def test_lost_weights_are_found_by_the_checksums_only(program, tmp_path):
    binary, file = program
    fc = example_model().fc
    stored = fc.weight.detach().numpy().tobytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes().replace(stored, bytes(len(stored))))
    logits = run(binary, damaged, real_images(2)).logits
    torch.testing.assert_close(logits, fc.bias.detach().expand(2, 10))
    for path, intact in ((file, True), (damaged, False)):
        with zipfile.ZipFile(path) as archive:
            assert (archive.testzip() is None) == intact


def test_more_images_than_exported_are_refused_where_asked(built):
    checked = {"AOTI_RUNTIME_CHECK_INPUTS": "1"}
    with pytest.raises(ProgramFailed, match="too large"):
        run(*built["run_aoti"], real_images(65), environment=checked)


@pytest.mark.skipif(not shutil.which("ldd"), reason="no ldd")
def test_libraries_are_those_of_packages(program):
    loaded = cpp.libraries(program[0])
    assert loaded["libtorch_cpu.so"] > 50
    assert not any(name.startswith("libstdc++") for name in loaded)


@pytest.mark.parametrize("images", [np.zeros((0, 3, 32, 32)), np.zeros((3, 32, 32))])
def test_other_shapes_are_refused(images):
    with pytest.raises(ValueError, match=r"needs images \(N, 3, 32, 32\)"):
        run("program", "model", images)


@pytest.mark.parametrize(
    ("there", "said"),
    [(set(), "no cmake"), ({"cmake"}, "no C++ compiler"), ({"cmake", "g++"}, "ninja")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="CMake finds Visual Studio")
def test_what_is_missing_is_said_in_one_line(monkeypatch, tmp_path, there, said):
    monkeypatch.setattr(cpp.shutil, "which", lambda name, path: name in there or None)
    with pytest.raises(BuildFailed) as caught:
        build(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_a_build
def test_a_build_without_libtorch_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(cpp, "LIBTORCH", tmp_path / "elsewhere")
    with pytest.raises(BuildFailed, match=r"No libtorch in\s+'.*elsewhere'"):
        build(tmp_path / "build")


@needs_a_build
def test_what_the_compiler_says_is_in_the_error(monkeypatch, tmp_path):
    sources = tmp_path / "sources"
    shutil.copytree(cpp.SOURCES, sources)
    for name in cpp.PROGRAMS:
        (sources / f"{name}.cpp").write_text("int main() { return nobody; }\n")
    with pytest.raises(BuildFailed, match="nobody"):
        build(tmp_path / "build", sources=sources)
