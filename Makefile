# `make demo` and `make test` work on any machine with Python >= 3.10, a C compiler and make.
PYTHON ?= python3
# One exact version, so that every machine tests the same trainer
TORCH ?= torch==2.13.0
BIN := .venv/bin
# The bundled voice, named here and nowhere else: the demo, the app and the docs speak with it
VOICE := voices/kathleen16/voice.bin
VOICES := voices/kathleen16 voices/kathleen16-small voices/kathleen16-subscale voices/kerstin16
CHECKPOINT := $(dir $(VOICE))model.pt
DEMO := $(dir $(VOICE))demo
# The sampling temperature that the bundled voices are exported with; their model cards say why
TEMPERATURE := 0.8
# The strength of their pitch comb
COMB := 0.5
# dB by which their post-filter lowers noise
DENOISE := 3
MINUTES ?= 10
# Tests run in as many processes as there are cores, a file in one of them
PARALLEL := -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder
JOBS ?= 2
LOWEST_PYTHON ?= python3.10
LOWEST_TESTS := tests/unit/test_format.py tests/unit/test_mel.py tests/parity/test_native.py tests/parity/test_end_to_end.py \
	tests/parity/test_kernels.py tests/parity/test_npy_twins.py
CLIP := tests/data/clips/arctic_a0281.flac
C_FILES := $(shell find runtime/libwavernn -name '*.[ch]' -o -name CMakeLists.txt -o -name '*.cmake')
ANDROID_FILES := $(shell find android_demo -type f -not -path '*/test/*')
APK := build/android/wavernn-demo.apk
# What Debian 12 has to hold for `make arm`, `make arm-bench`, `make apk`, `make web` and `make fuzz`, and for their tests
DEBIAN := qemu-user gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf libc6-dev-arm64-cross libc6-dev-armhf-cross \
	clang-19 lld-19 llvm-19 libclang-rt-19-dev aapt apksigner android-framework-res android-libnativehelper-dev \
	openjdk-17-jdk-headless proguard-cli junit4 enjarify nodejs chromium valgrind
# and for the builds of `make matrix` that CI does not run
DEBIAN_MATRIX := clang-14 clang-15 clang-16 gcc-12-multilib musl-tools gcc-mingw-w64-x86-64-posix wine wine64

.PHONY: arm-compilers help demo voice picture docs test test-all fuzz coverage arm arm-bench apk apk-assets apk-test web web-test web-bench deps bench gpu-check lint types wheel wheels sbom test-lowest matrix deps-matrix check clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

# Editable installs: edits of Python count at once, edits of C install again
.venv/runtime: pyproject.toml $(C_FILES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/ready: pyproject.toml $(C_FILES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[train,test,eval]' || { \
		echo "without the extra 'eval': its pyworld wants a C++ compiler and Python's headers"; \
		$(BIN)/pip install --quiet --editable '.[train,test]'; }
	@touch .venv/runtime $@

demo: .venv/runtime ## speak with the bundled voice: demo.wav and a report, whose hash is checked
	$(BIN)/wv-run $(VOICE) $(DEMO).npy --backend c -o demo.wav >demo.txt
	@cat demo.txt
	@grep -qF "$$(cat $(DEMO).sha256)" demo.txt || { echo "demo.wav: wanted the hash of $(DEMO).sha256"; exit 1; }

voice: .venv/ready ## export the bundled voices again, with the mels of the demo and their hashes
	$(BIN)/wv-mel $(CLIP) $(DEMO).npy --model $(VOICE)
	for folder in $(VOICES); do \
		$(BIN)/wv-export $$folder/model.pt $$folder/voice.bin --dtype int8 --temperature $(TEMPERATURE) --postfilter on \
			--comb $(COMB) --denoise $(DENOISE) && \
		$(BIN)/wv-run $$folder/voice.bin $(DEMO).npy --backend c -o demo.wav >demo.txt && \
		sed -n 's/^sha256 of PCM *//p' demo.txt >$$folder/demo.sha256 || exit 1; \
	done

picture: .venv/ready ## draw the picture of the README
	$(BIN)/python docs/site/picture.py $(VOICE) $(DEMO).npy docs/images/mel-to-waveform.png

docs: .venv/ready ## build the documentation in build/docs, with the page of `make web` if it is built; warnings are errors
	$(BIN)/pip install --quiet --editable '.[docs]'
	WV_VOICE=$(VOICE) WV_WEB=build/web/site $(BIN)/mkdocs build --strict

test: .venv/ready ## set up what is needed and run the tests but the slow ones
	$(BIN)/python -m pytest $(PARALLEL) -m 'not (slow or wheel or matrix)'

test-all: .venv/ready ## run every test but that of the wheel
	$(BIN)/python -m pytest $(PARALLEL)

# musl makes wv_run a third of the size that glibc does; without Debian's mirror it is linked with glibc
build/musl/musl-gcc.specs: android_demo/apk/fetch_debs.py
	$(PYTHON) android_demo/apk/fetch_debs.py --suite bookworm --arch arm64 --into $(@D) musl-dev || mkdir -p $(@D)
	sed 's|/usr/|$(CURDIR)/build/musl/usr/|g' $(@D)/usr/lib/aarch64-linux-musl/musl-gcc.specs >$@ || rm $@

build/arm-%/wv_run: .venv/ready build/musl/musl-gcc.specs $(C_FILES)
	WV_MUSL_SPECS=$(CURDIR)/build/musl/musl-gcc.specs $(BIN)/cmake -S runtime/libwavernn -B $(@D) \
		-DCMAKE_TOOLCHAIN_FILE=cmake/$*.cmake
	$(BIN)/cmake --build $(@D) -j2 && touch $@

# Toolchain files name their compilers; without one CMake says much, and not what to do
arm-compilers:
	@for gcc in $$(sed -n 's/^set(CMAKE_C_COMPILER \(.*\))/\1/p' runtime/libwavernn/cmake/*.cmake); do \
		command -v $$gcc >/dev/null || { echo "$$gcc: not found, wanted for make arm; make deps installs it" >&2; exit 1; }; done

arm: arm-compilers build/arm-aarch64/wv_run build/arm-armv7l/wv_run ## static wv_run for AArch64 and armv7 in build/, tested under qemu
	WV_ARM_BUILD=build $(BIN)/python -m pytest -rs tests/parity/test_arm.py

arm-bench: .venv/ready ## instructions per sample on ARM by stage and dtype, under qemu, and estimated real-time factors
	$(BIN)/python -m wv_bench.arm
	$(BIN)/python -m wv_bench.arm --dtype int8 --n-out 256 --no-armv7

apk: $(APK) ## build and sign the Android app, from Debian's packages alone

apk-assets: build/android/assets/hashes.tsv ## the voice, mels and recordings that the app bundles

build/android/assets/hashes.tsv: .venv/ready $(VOICE) $(CHECKPOINT) android_demo/apk/assets.py
	$(BIN)/python android_demo/apk/assets.py $(VOICE) $(dir $(CLIP)) build/android/assets

$(APK): build/android/assets/hashes.tsv $(ANDROID_FILES) $(C_FILES)
	$(BIN)/python android_demo/apk/build_apk.py --assets build/android/assets --out build/android

apk-test: .venv/ready ## test the app: its package, and its Java on the host's, the APK's x86-64 and its arm64 library
	WV_NEED_ANDROID=1 $(BIN)/python -m pytest -rs tests/packaging/test_apk.py tests/packaging/test_android.py

web: .venv/ready ## the web demo in build/web: site/ is the page, package/ the npm package
	$(BIN)/python web_demo/build.py --voice $(VOICE) --clips $(dir $(CLIP)) --out build/web

web-test: .venv/ready ## test the web demo in headless Chromium; its screenshots go to build/web/screenshots
	WV_NEED_WEB=1 $(BIN)/python -m pytest -rs tests/parity/test_wasm.py tests/packaging/test_web.py

web-bench: web ## times real time of one minute of audio in headless Chromium, on one core
	node web_demo/test/bench.mjs build/web/site

deps: ## install what `make arm`, `make arm-bench`, `make apk`, `make web` and `make fuzz` want, as root on Debian 12
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install --no-install-recommends $(DEBIAN)
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends npm

deps-matrix: deps ## install the other compilers of `make matrix`, and wine
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install --no-install-recommends $(DEBIAN_MATRIX)

bench: .venv/ready ## samples/s and ns per stage of a synthetic 1024-unit model on every backend and ISA
	$(BIN)/wv-bench --n-units 1024 --sparsity 0.95 --block 16x4 --dtype int8

gpu-check: .venv/ready ## hashes, speed and resources of the CUDA engine on this machine's GPU, in build/gpu
	$(BIN)/python -c 'import numba_cuda' 2>/dev/null || $(BIN)/pip install --quiet --editable '.[cuda]'
	$(BIN)/python -m wv_bench.gpu_check --out build/gpu

lint: .venv/ready ## ruff (rules and format), and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready ## mypy
	$(BIN)/mypy

wheel: .venv/ready ## build the wheel and run it in a clean environment
	$(BIN)/python -m pytest -m wheel

wheels: .venv/ready ## wheels for x86-64 and AArch64 in dist/, checked by auditwheel, and what they were built and tested with
	$(BIN)/pip install --quiet --editable '.[release]'
	$(BIN)/python release/wheels.py dist
	WV_WHEELS=dist $(BIN)/python -m pytest -m wheel -rs tests/packaging/test_wheels.py

sbom: .venv/ready ## what a user of the wheel gets, in dist/: CycloneDX, and constraints for pip
	$(BIN)/pip install --quiet --editable '.[release]'
	rm -rf build/released && $(PYTHON) -m venv --without-pip build/released
	$(BIN)/python -m pip --python build/released/bin/python install --quiet --only-binary=:all: dist/wavernn-*_$$(uname -m).whl
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible --short-PURLs \
		-o dist/wavernn.cdx.json build/released/bin/python
	$(BIN)/python -m pip --python build/released/bin/python freeze --exclude wavernn >dist/constraints.txt

# torch is left out: its wheels before 2.9 on PyPI bring CUDA
test-lowest: .venv/ready ## the runtime's tests with the lowest versions that pyproject.toml allows, on LOWEST_PYTHON
	$(BIN)/python release/lowest.py audio >build/lowest.txt
	test -x build/lowest/bin/python || $(LOWEST_PYTHON) -m venv build/lowest
	build/lowest/bin/pip install --quiet --constraint build/lowest.txt '.[audio]' 'pytest>=8' 'hypothesis>=6.80'
	build/lowest/bin/pip list
	build/lowest/bin/python -m pytest -rs $(LOWEST_TESTS)

fuzz: .venv/ready ## fuzz the readers of files and the stream for MINUTES at most on JOBS cores, with clang-19; prints executions and coverage
	$(BIN)/python tests/fuzz/run.py --minutes $(MINUTES) --jobs $(JOBS) --coverage

coverage: .venv/ready ## lines of the readers of files in C and in Python that tests and fuzzing reach: 98 % at least
	$(BIN)/python tests/fuzz/run.py reader stream --minutes 1 --jobs $(JOBS) --coverage

matrix: .venv/ready ## build the library with every compiler, flag and CPU at hand; one hash of the audio everywhere
	$(BIN)/python -m pytest -m matrix -rs -n $(JOBS) --dist worksteal tests/parity/test_matrix.py

check: lint types wheel test-all ## exactly what CI runs

clean: ## remove what these targets made
	rm -rf .venv build dist demo.* .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
