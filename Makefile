# `make` lists the targets. Everything happens in .venv, which is made when it is needed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TESTS ?= tests
PREFIX ?= /usr/local
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/bin:$(PATH)

# The stamp is newer than pyproject.toml while .venv holds what that asks for.
VENV := .venv/up-to-date

.PHONY: help
help: ## List the targets.
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

.PHONY: demo
demo: $(VENV) ## Tag assets of a stand-in Viz One, and show what changed. Within a minute.
	@sh examples/demo.sh

# Most tests wait for processes. Compiled modules are kept, whatever the environment says: each
# process would compile its own.
JOBS ?= $$((2 * $$(nproc) + 4))

.PHONY: test
test: $(VENV) ## Run the tests that need nothing but this machine, JOBS at a time.
	@PYTHONDONTWRITEBYTECODE= sh contrib/pytest.sh -q -n $(JOBS) --dist worksteal \
		-m 'not brokers and not install' $(TESTS)

.PHONY: coverage
# With Python 3.11 a thread that is traced stands still for as long as another is to be interrupted.
coverage: .venv/with-coverage ## Run them, and show which branches they take: 90 % at least.
	@python -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
		echo "make: Python 3.12 or newer is needed; try rm -r .venv; make PYTHON=python3.13 coverage" >&2; \
		exit 1; }
	@rm -rf build/coverage && mkdir -p build/coverage
	@status=0; export PYTHONDONTWRITEBYTECODE= STARTS=real; \
	coverage run -m pytest -q -n $(JOBS) --dist worksteal -m 'not brokers and not install' $(TESTS) || status=$$?; \
	coverage combine --quiet; \
	coverage html --quiet --directory build/coverage/html; \
	coverage json --quiet -o build/coverage/all.json; \
	python -m tests.branches build/coverage/all.json; \
	exit $$status

.PHONY: test-install
test-install: $(VENV) ## Run the tests that build the packages, and install them.
	@PYTHONDONTWRITEBYTECODE= python -m pytest -q -n $$(nproc) --dist worksteal -m install \
		tests/test_install.py tests/test_packaging.py

# As many brokers at a time as there are processors: a loss test keeps one busy.
BROKER_JOBS ?= $$(nproc)

# Tests that kill processes and then count events.
COUNTING := test_(loss|cluster|artemis_pair|activemq_pair|relay|run|standby|many_servers|poison)\.py

.PHONY: test-brokers
test-brokers: $(VENV) ## Run the tests against real brokers (BROKERS=rabbitmq: one), installing them as root.
	@sh contrib/install-brokers.sh
	@FLOWTOOLS_REQUIRE_BROKERS=1 ONCE='$(COUNTING)' sh contrib/pytest.sh -q -m brokers -n $(BROKER_JOBS) \
		--dist loadgroup tests/brokers

FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: .venv/with-fuzz ## Let a fuzzer look at every parser, each for FUZZ_SECONDS (60).
	@for target in tests/fuzz/corpus/*; do \
		echo "fuzz: $${target##*/}"; \
		said=$$(python -m tests.fuzz.run "$${target##*/}" -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -max_len=4096 2>&1) || { printf '%s\n' "$$said" >&2; exit 1; }; \
		printf '%s\n' "$$said" | tail -n 1; \
	done

# Without xdist: each mutant runs in a fork. Most of those that hang wait for something.
.PHONY: mutants
mutants: .venv/with-mutants ## Change event.py, pool.py and ack/ in a thousand ways; do the tests notice?
	@rm -rf mutants && mkdir mutants && cp -a bin mutants/bin
	@PYTHONPATH=. mutmut run --max-children $(JOBS) >mutants/output 2>&1 || { tail -n 20 mutants/output >&2; exit 1; }
	@mutmut export-cicd-stats >mutants/output
	@python -m tests.mutation_score

.PHONY: check
check: $(VENV) check-man ## Look for what is wrong without running it: style, types, imports, man pages.
	@ruff check --quiet .
	@ruff format --quiet --check . || { echo "check: run 'ruff format' on the above" >&2; exit 1; }
	@mypy --no-error-summary
	@said=$$(lint-imports --no-cache 2>&1) || { echo "$$said" >&2; exit 1; }
	@echo "check: all well"

# mandoc is stricter; man is on every Debian.
.PHONY: check-man
check-man:
	@shopt -s nullglob; \
	for page in man/*.[1-8]; do \
		if command -v mandoc >/dev/null; then \
			mandoc -T lint -W warning "$$page"; \
		else \
			said=$$(man --warnings -E UTF-8 -l "$$page" 2>&1 >/dev/null); \
			[ -z "$$said" ] || { printf '%s: %s\n' "$$page" "$$said"; exit 1; }; \
		fi; \
	done

.PHONY: pictures
pictures: $(VENV) ## Draw the pictures of the README anew.
	@python docs/tools/pipeline_picture.py >docs/pictures/pipeline.svg
	@python docs/tools/terminal_pictures.py

.PHONY: schemas
schemas: $(VENV) ## Write the JSON Schemas of the events anew, from their types.
	@python docs/tools/schemas.py

.PHONY: promises
promises: $(VENV) ## Write the table of promises and tests anew, from docs/promises.toml.
	@python docs/tools/promises.py

.PHONY: docs
docs: .venv/with-docs ## Build the documentation site in build/site.
	@command -v mandoc >/dev/null || { echo "make: mandoc is needed; try apt install mandoc" >&2; exit 1; }
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "build/site/index.html"

.PHONY: bench
bench: $(VENV) ## Measure: events a second, latency, memory.
	@benchmarks/run

.PHONY: soak
soak: .venv/with-soak ## Run pipelines under faults for an hour; draw what they held.
	@benchmarks/soak

.PHONY: lock
lock: .venv/with-lock ## Pin what development needs by version and hash.
	@pip-compile --quiet --generate-hashes --no-header --no-annotate --no-emit-options \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras \
		--allow-unsafe --extra sim --extra dev -o requirements-dev.lock pyproject.toml

.PHONY: lock-check
lock-check: $(VENV) ## Install what is pinned, with hashes required, and see that it fits.
	@rm -rf build/lock && python -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--no-deps -r requirements-dev.lock
	@build/lock/bin/python -m pip check

.PHONY: build
build: $(VENV) ## Make the wheel and the sdist in dist/; the same bytes from the same commit.
	@: "$${SOURCE_DATE_EPOCH:=$$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"; \
	export SOURCE_DATE_EPOCH; \
	said=$$(python -m build --no-isolation --outdir dist . 2>&1) || { echo "$$said" >&2; exit 1; }
	@ls dist/*

.PHONY: release
release: check .venv/with-release ## Build and check a release, and tag it. Uploads nothing.
	@contrib/release.sh

.PHONY: test-floors
test-floors: $(VENV) ## Run the tests with the oldest libraries that pyproject.toml allows.
	@rm -rf build/floors && python -m venv build/floors
	@python contrib/floors.py >build/floors/constraints.txt
	@build/floors/bin/python -m pip install --quiet --disable-pip-version-check \
		-c build/floors/constraints.txt -e '.[sim,dev]'
	@PATH="$(CURDIR)/build/floors/bin:$$PATH" PYTHONDONTWRITEBYTECODE= sh contrib/pytest.sh -q \
		-n $(JOBS) --dist worksteal -m 'not brokers and not install' $(TESTS)

.PHONY: test-python
test-python: ## Run the tests in a Debian SUITE (trixie, sid) with its own Python; root.
	@sh contrib/test-python.sh "$(SUITE)"

.PHONY: install
install: $(VENV) ## Put commands, pages and completion below PREFIX (/usr/local).
	@sh contrib/install.sh $(PYTHON) $(PREFIX) "$(DESTDIR)"
	@echo "installed in $(DESTDIR)$(PREFIX); make uninstall takes it away"

.PHONY: uninstall
uninstall: ## Take away what make install has put there.
	@sh contrib/uninstall.sh $(PREFIX) "$(DESTDIR)"

.PHONY: deb
deb: $(VENV) ## Build a Debian package in dist/, for this machine's python3.
	@sh contrib/make-deb.sh /usr/bin/python3 dist

.PHONY: clean
clean: ## Remove what was made, except .venv.
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		mutants tests/fuzz/found tests/fuzz/grown
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# What only one target needs: the extra of that name.
.venv/with-%: $(VENV)
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

$(VENV): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: Python 3.11 or newer is needed, and $(PYTHON) is not; try make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make a virtual environment; try apt install python3-venv" >&2; \
		exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "make: installing what flowtools needs into .venv" >&2
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[sim,dev]'
	@touch $@
