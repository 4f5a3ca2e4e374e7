# What people and CI run; README and .ci/run call these targets and nothing else. Each sets up what
# it needs from python3 (3.11 or newer), a C compiler and make. TOKENWHEEL_IMPL=pure runs `demo` and
# `test` on the pure implementation, installed without extensions.

PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo demo-web screenshot test test-floors test-long test-chaos test-pythons python-ft test-ft test-ft-quick test-threads test-sanitize fuzz coverage lint docs bench bench-server bench-scaling bench-memory bench-profile bench-check wheel release-check audit-floors lock clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1

ifeq ($(TOKENWHEEL_IMPL),pure)
VENV := .venv-pure
else
VENV := .venv
endif
NATIVE := $(abspath .venv/bin)/python
RUN := $(abspath $(VENV)/bin)/python
BENCH := $(abspath .venv-bench/bin)/python

# pip installs these versions, and compares what it downloads with their hashes. What is built here, tokenwheel, has no hash.
INSTALL := -m pip install -q --no-require-hashes -c requirements.lock
PIP := -m pip install -q --upgrade "pip>=26.2"

EXTENSION_SOURCES := $(wildcard ext/*.pyx ext/*.pxd ext/*/*.pxd)
PACKAGE := $(shell find src -name '*.py' -o -name '*.pyi' -o -name py.typed)
TREE := $(wildcard ext src tests examples benchmarks docs README.md LICENSE pyproject.toml requirements.lock setup.py)

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/.built  ## sessions opened, verified, refreshed, stolen and revoked before your eyes
	@$(RUN) -m tokenwheel demo

demo-web: $(VENV)/.built  ## the FastAPI example on loopback, with two devices signed in: look at its page
	@$(RUN) -m tools.demo_web

screenshot: $(VENV)/.built  ## the README's pictures of that page, with Debian's chromium
	$(RUN) -m tools.screenshot

# A file stays with one worker, which keeps what its tests share; the slowest files come first in
# the order of their names. A test whose process died is not tried again, since it may do so for ever.
IN_PARALLEL := --numprocesses=auto --maxprocesses=4 --max-worker-restart=0 --dist=loadfile --no-loadscope-reorder

test: $(VENV)/.built  ## the ordinary suite; EXCEPT="tests/browser tests/docs": but for these
	$(RUN) -m pytest $(IN_PARALLEL) $(addprefix --ignore=,$(EXCEPT))

test-long: $(VENV)/.built  ## everything, with the long Hypothesis profile and the tests marked long
	$(RUN) -m pytest $(IN_PARALLEL) -m "long or not long" --hypothesis-profile=long -o faulthandler_timeout=7200

# Old there are tokenwheel's own dependencies and the web frameworks; what else the tests use is as the
# lock has it. So the oldest Starlette meets releases that warn of how it uses them.
OF_OLD_STARLETTE := -W 'ignore:Please use `import python_multipart`' \
    -W 'ignore:The anyio.abc.BlockingPortal alias' -W 'ignore:Unclosed <MemoryObject'
test-floors: .venv-floors/.built  ## the suite on the oldest releases that pyproject.toml allows; TESTS=tests/web: only these
	$(abspath .venv-floors/bin)/python -m pytest $(IN_PARALLEL) $(OF_OLD_STARLETTE) $(TESTS)

# Minutes to hours, as SECONDS says. SEED, which each run prints, draws the same actions again. FEED
# is sqlite, redis or all; WITHOUT names actions to leave out, between commas.
SECONDS := 120
FEED := all
test-chaos: $(VENV)/.built  ## random logins and logouts in many processes, while a monkey kills, freezes, forks and restores
	$(RUN) -m tests.chaos --seconds=$(SECONDS) --feed=$(FEED) --seed=$(SEED) --without=$(WITHOUT)

test-pythons: .venv/.ready  ## the suite on every CPython found here or unpacked from Debian; PYTHONS=3.15: only on these
	$(NATIVE) -m tools.pythons $(PYTHONS) $(IN_PARALLEL)

python-ft:  ## the path of a free-threaded CPython, built once from Debian's source; FT=3.15: of that version
	@$(PYTHON) -m tools.python_ft $(FT)

# The sources lie in a folder of their own, as their extensions do. Both implementations run from it.
IN_FT = cd build/ft && PYTHON_GIL=0 TOKENWHEEL_IMPL=$(1) $(abspath .venv-ft/bin)/python
test-ft: .venv-ft/.ready  ## the suite without the GIL, on both implementations; TESTS=tests/threads: only these
	$(call copy_tree,build/ft)
	$(call IN_FT,native) $(INSTALL) -e .
	$(foreach twin,$(TWINS),($(call IN_FT,$(twin)) -m pytest $(IN_PARALLEL) $(TESTS)) &&) true

# What threads share, of the compiled twins only, in minutes. It is left out, and says so, only where
# there is no free-threaded CPython and the source of none can be fetched.
SHARED := tests/threads tests/twins/test_cache.py tests/twins/test_claims.py tests/twins/test_tokens.py \
    $(wildcard tests/twins/test_revocations*.py tests/twins/test_verifier*.py)
test-ft-quick:  ## the part of it that a change should pass: verifier, cache, revocations and threads, compiled
	@$(PYTHON) -m tools.python_ft $(FT) || status=$$?; case $${status:-0} in \
	    0) make test-ft TWINS=native TESTS="$(SHARED)";; \
	    3) echo "test-ft-quick: SKIPPED, nothing was tested without the GIL, see above" >&2;; \
	    *) exit $$status;; esac

# Watched is what was compiled for that, CPython and the extensions. The wheels of the ordinary
# free-threaded Python fit. setarch keeps addresses where the runtime of older clangs expects them.
# HAMMER_TURNS=10 makes each test ten times longer.
WATCHED = CC=$(CLANG) CXX=$(CLANG) LDSHARED="$(CLANG) -shared" TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=thread
PACKAGES_FT = $(abspath .venv-ft)/lib/python$(FT)t/site-packages
test-threads: .venv-ft/.ready  ## threads that hammer every object, under ThreadSanitizer; takes clang
	$(call copy_tree,build/threads)
	$(abspath .venv-ft/bin)/python $(INSTALL) Cython setuptools
	cd build/threads && $(WATCHED) $(abspath .venv-ft/bin)/python setup.py -q build_ext --inplace
	python=$$($(PYTHON) -m tools.python_ft --thread-sanitizer $(FT)) && cd build/threads && \
	    cat $${python%/bin/*}/tsan/suppressions_free_threading.txt tests/threads/thread_sanitizer.txt > suppressions.txt && \
	    PYTHON_GIL=0 PYTHONPATH=src:$(PACKAGES_FT) TOKENWHEEL_IMPL=native TSAN_OPTIONS="suppressions=suppressions.txt" \
	    setarch -R $$python -m pytest --capture=sys tests/threads/test_hammer*.py

# All of it replaces the report; a part of it (make bench CASES=read_seen, an expression for
# pytest's -k) leaves one in build/bench, or with RENEW=1 renews whole sections of the report.
bench: .venv-bench/.built .venv-bench/.peers  ## the benchmarks, beside all one could use instead: benchmarks/report/
	$(BENCH) -m pytest benchmarks --benchmark-only --benchmark-disable-gc --benchmark-columns=median,iqr,rounds \
	    --benchmark-json=build/bench/benchmark.json -k '$(CASES)'
	$(BENCH) -m benchmarks.report build/bench/benchmark.json \
	    $(if $(RENEW),benchmarks/report --renew,$(if $(CASES),build/bench/report,benchmarks/report))

bench-server: .venv-bench/.server .venv-bench/.built  ## the same seen from outside: servers under load; CASES=text: only these
	$(BENCH) -m benchmarks.server $(if $(CASES),--cases "$(CASES)")

bench-scaling: .venv-bench/.built .venv-bench/.peers .venv-bench-ft/.built  ## how calls scale over threads, without the GIL, and over processes
	$(BENCH) -m benchmarks.scaling --free-threaded $(abspath .venv-bench-ft/bin)/python

bench-memory: .venv-bench/.server .venv-bench/.built  ## whether memory stays flat over a million requests on each adapter
	$(BENCH) -m benchmarks.server.memory $(if $(CASES),--cases "$(CASES)")

bench-profile: .venv-bench/.profile .venv-bench/.built  ## what one read is made of, in instructions: benchmarks/callgrind.md
	$(BENCH) -m benchmarks.callgrind

bench-check: .venv/.ready  ## whether the working tree is slower than BASE, a commit; exit 1 if so
	$(NATIVE) -m tools.bench_check $(BASE)

lint: .venv/.lint .venv/.built  ## style, types, stubs of both twins, import rules, workflows, the matrix of wheels
	$(NATIVE) -m ruff check
	$(NATIVE) -m ruff format --check
	$(NATIVE) -m mypy
	$(NATIVE) tools/docstrings.py --check
	$(NATIVE) tools/check_stubs.py
	.venv/bin/basedpyright
	.venv/bin/lint-imports
	.venv/bin/jactionlint --strict-exit --shellcheck= --pyflakes=
	.venv/bin/zizmor --offline --no-progress --quiet --persona=pedantic .github
	$(NATIVE) tools/check_wheel_matrix.py
	$(NATIVE) -m towncrier build --draft --version next > /dev/null

# Described are the pure twins, which hold the docstrings and whose types Python can tell.
docs: .venv/.docs .venv/.built  ## the documentation site, every link and anchor of it checked: build/docs/index.html
	rm -rf build/docs build/docs-read
	TOKENWHEEL_IMPL=pure $(NATIVE) -m sphinx -q -W --keep-going -d build/docs-read docs build/docs
	$(NATIVE) -m tools.check_site build/docs

coverage: .venv-coverage/.ready  ## branch coverage of src and ext over both implementations
	$(call copy_tree,build/coverage)
	cd build/coverage && TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=trace $(abspath .venv-coverage/bin)/python $(INSTALL) -e .
	cd build/coverage && TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=trace $(abspath .venv-coverage/bin)/python -m coverage run -m pytest
	cd build/coverage && TOKENWHEEL_IMPL=pure TOKENWHEEL_BUILD=trace $(abspath .venv-coverage/bin)/python -m coverage run -m pytest
	cd build/coverage && $(abspath .venv-coverage/bin)/python -m coverage combine -q
	cd build/coverage && $(abspath .venv-coverage/bin)/python $(abspath tools)/report_coverage.py

# Python itself is not instrumented: the sanitizers' runtimes are preloaded, its small-object
# allocator steps aside, and what it keeps until exit is no leak. A small quarantine lets the tests
# that watch memory see what is freed; the report of a sanitizer, which ends the process, must not
# end in pytest's capture. A browser would be preloaded, too, and has an allocator of its own.
SANITIZED = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
    TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=sanitize \
    ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:quarantine_size_mb=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    $(abspath .venv-sanitize/bin)/python -m pytest --capture=sys --ignore=tests/browser
test-sanitize: .venv-sanitize/.ready  ## the suite, and millions of operations, under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call copy_tree,build/sanitize)
	cd build/sanitize && CC=gcc TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=sanitize $(abspath .venv-sanitize/bin)/python $(INSTALL) -e .
	cd build/sanitize && $(SANITIZED)
	cd build/sanitize && $(SANITIZED) -m long -k "not pure" tests/twins/test_million_operations.py

# SECONDS are shared among the targets; TARGET=keys is one of them. Where clang is found, the fuzzer
# sees into the compiled code, too, and AddressSanitizer watches it. What was found stays in
# build/fuzz/found; a file of it belongs into tests/fuzz/corpus, which the suite tries again.
CLANG := $(shell for clang in clang clang-{22..14}; do command -v $$clang && break; done)
TARGET := all
fuzz: .venv-fuzz/.ready  ## mutated tokens, keys, records and messages, led by what code they reach
	$(call copy_tree,build/fuzz/tree)
	cd build/fuzz/tree && CC=$(CLANG) TOKENWHEEL_IMPL=native TOKENWHEEL_BUILD=$(if $(CLANG),fuzz) $(abspath .venv-fuzz/bin)/python $(INSTALL) -e .
	cd build/fuzz/tree && TOKENWHEEL_BUILD=$(if $(CLANG),fuzz) $(abspath .venv-fuzz/bin)/python -m tests.fuzz \
	    --seconds=$(SECONDS) --target=$(TARGET) --grown=$(abspath build/fuzz)

wheel: .venv/.wheel  ## the sdist, and from it a wheel for each CPython found here, each tested in an empty environment
	PATH="$(abspath .venv/bin):$$PATH" $(NATIVE) -m tools.wheels

# SUITE=smoke tests a part of the suite on each Python, one the whole suite on the newest as well,
# all the whole suite on each. PYTHONS="3.11 3.13": only on these.
SUITE := one
release-check: .venv/.check  ## what has to be true before a tag: versions, changelog, contents, reproducibility, tests
	PATH="$(abspath .venv/bin):$$PATH" $(NATIVE) -m tools.release_check $(SUITE) $(PYTHONS)

# It asks PyPI's advisory service, and fails where that can't be reached.
audit-floors: .venv/.check .venv-floors/floors.txt  ## known advisories of the oldest releases that pyproject.toml allows
	.venv/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r .venv-floors/floors.txt

lock: .venv/.lock  ## requirements.lock anew, with the newest releases that pyproject.toml allows
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --annotation-style line --custom-compile-command 'make lock' --output-file requirements.lock \
	    --extra redis --extra fastapi --extra starlette --extra flask --extra quart --extra django --extra prometheus --extra otel --extra sql \
	    --group coverage --group lint --group docs --group lock --group check pyproject.toml

clean:  ## leave nothing but the sources
	rm -rf build dist .coverage .coverage.* .venv .venv-* .benchmarks .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -f src/tokenwheel/_native/*.so src/tokenwheel/_native/*.c ext/*.c ext/*.html
	find src -name '*.egg-info' -prune -exec rm -rf {} +

# $(call copy_tree,folder): a build that must not mix with the ordinary one gets sources, and
# extensions, of its own.
define copy_tree
	rm -rf $(1) && mkdir -p $(1)
	tar -cf - --exclude='*.so' --exclude='ext/*.c' --exclude='src/*.c' --exclude=__pycache__ --exclude='*.egg-info' $(TREE) | tar -xf - -C $(1)
endef

# The folder of a virtual environment holds a stamp for each step that has been done in it.
GROUP := servers
FT := 3.14
TWINS := native pure
TESTS :=
.venv-ft/.ready: pyproject.toml requirements.lock
	"$$($(PYTHON) -m tools.python_ft $(FT))" -m venv --clear $(@D)
	$(@D)/bin/python $(PIP)
	$(@D)/bin/python $(INSTALL) --group $(GROUP)
	touch $@

.venv-coverage/.ready: GROUP := coverage
.venv/.ready .venv-pure/.ready .venv-floors/.ready .venv-coverage/.ready .venv-sanitize/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP)
	$(@D)/bin/python $(INSTALL) --group $(GROUP)
	touch $@

# Peers are compared on one CPython, 3.13 where it is found; a command of that name that doesn't run
# is no interpreter.
BENCH_PYTHON = $(shell for python in python3.13 ~/.pyenv/versions/3.13.*/bin/python; do \
    if $$python -c '' 2> /dev/null; then echo $$python; exit; fi; done; echo $(PYTHON))
.venv-bench/bin/python:
	$(BENCH_PYTHON) -m venv $(@D)/..
	$@ $(PIP)

# The interpreter without the GIL is the one that was built here, else one in PATH. Where there is
# none, nothing is measured over threads, and the page says so.
FREE_THREADED ?= $(firstword \
    $(wildcard $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tokenwheel/python/3.14.*t/bin/python3.14t) python3.14t)
.venv-bench-ft/.built: setup.py $(EXTENSION_SOURCES) $(PACKAGE)
	$(call copy_tree,build/bench-ft)
	if $(FREE_THREADED) -m venv --clear $(@D); then \
	    $(@D)/bin/python $(PIP) && cd build/bench-ft && \
	    TOKENWHEEL_IMPL=native $(abspath $(@D)/bin)/python $(INSTALL) . PyJWT; else rm -rf $(@D) && mkdir -p $(@D); fi
	touch $@

.venv-fuzz/.ready: tests/fuzz/requirements.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP)
	$(@D)/bin/python $(INSTALL) -r $< pytest
	touch $@

.venv-bench/.server: benchmarks/server/requirements.txt benchmarks/server/peers.txt | .venv-bench/bin/python
	$(@D)/bin/python -m pip install -q -r benchmarks/server/requirements.txt
	while read -r peer; do $(@D)/bin/python -m pip install -q --only-binary :all: "$$peer" || echo "left out: $$peer"; done \
	    < <(grep -v '^#' benchmarks/server/peers.txt)
	touch $@

.venv-bench/.profile: | .venv-bench/bin/python
	$(@D)/bin/python $(INSTALL) Cython setuptools
	touch $@

.venv-bench/.built: .venv-bench/bin/python
.venv/.built: .venv/.ready
.venv/.built .venv-bench/.built: setup.py $(EXTENSION_SOURCES)
	TOKENWHEEL_IMPL=native $(@D)/bin/python $(INSTALL) -e .
	touch $@

# The floors are what uv resolves the dependencies to, without the groups of the tests. OpenTelemetry's
# SDK, which the tests need, takes only the API of its own version.
.venv-floors/floors.txt: .venv/.lock .venv-floors/.ready
	.venv/bin/uv pip compile -q --universal --resolution lowest-direct --python-version 3.11 --no-header --no-annotate \
	    --extra redis --extra fastapi --extra starlette --extra flask --extra quart --extra django --extra prometheus --extra otel --extra sql \
	    -o $@ pyproject.toml

.venv-floors/.built: .venv-floors/floors.txt setup.py $(EXTENSION_SOURCES) $(PACKAGE)
	$(@D)/bin/python -m pip install -q -r $(@D)/floors.txt opentelemetry-sdk
	rm -rf build/lib build/bdist.*
	TOKENWHEEL_IMPL=native $(@D)/bin/python -m pip install -q --no-deps .
	touch $@

# An ordinary install, so that no extension lying in src is in reach; what an earlier build left is
# not to be packed again.
.venv-pure/.built: .venv-pure/.ready setup.py $(PACKAGE)
	rm -rf build/lib build/bdist.*
	TOKENWHEEL_IMPL=pure $(@D)/bin/python $(INSTALL) .
	touch $@

.venv/.lint .venv/.lock .venv/.wheel .venv/.docs .venv/.check: .venv/.ready
	$(@D)/bin/python $(INSTALL) --group $(patsubst .%,%,$(@F))
	touch $@

# The last release is built from its commit, and brings the JSON library it was released with.
RELEASED := 9fe9aef

# One that can't be installed does not keep the others out; the report says which are missing.
.venv-bench/.peers: pyproject.toml requirements.lock benchmarks/peers/python.txt $(wildcard benchmarks/node/*) | .venv-bench/bin/python
	$(BENCH) $(INSTALL) --group bench
	while read -r peer; do $(BENCH) -m pip install -q "$$peer" || echo "left out: $$peer"; done < benchmarks/peers/python.txt
	$(BENCH) -m pip install -q --upgrade --no-deps --target build/bench/pyjwt-2.12 'PyJWT==2.12.*' || echo "left out: PyJWT 2.12"
	rm -rf build/bench/released && mkdir -p build/bench/released-source
	{ git archive $(RELEASED) | tar -xf - -C build/bench/released-source && \
	    TOKENWHEEL_IMPL=native $(BENCH) -m pip install -q --no-deps --target build/bench/released ./build/bench/released-source orjson; } \
	    || echo "left out: the last release"
	mkdir -p build/bench/node && cp benchmarks/node/* build/bench/node
	npm install --prefix build/bench/node --no-audit --no-fund --no-package-lock --silent || echo "left out: Node and its libraries"
	touch $@
