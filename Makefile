# Everything here needs CPython 3.11 or newer with pip, and make. Nothing else is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
RELEASE := .venv-release
DOCS := .venv-docs
FLEET := .venv-fleet
PHOENIX := .venv-phoenix
SOURCES := src tests samples benchmarks release

# Most tests wait more than they work, so three parts run at a time; whole calls are held one after the other.
AT_ONCE := -j3 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
VOICES := tests/record tests/demo tests/samples tests/testing
KEPT := tests/journal tests/deliver
REST := tests $(VOICES:%=--ignore=%) $(KEPT:%=--ignore=%) --ignore=tests/e2e
# The journal, delivery, the archive, the pages and the command line do not see LiveKit's version.
REST_OLDEST := $(REST) --ignore=tests/view --ignore=tests/support \
	--ignore=tests/cli --ignore=tests/replay --ignore=tests/test_redact.py --ignore=tests/archive \
	--ignore=tests/schemas --ignore=tests/test_rewrite.py --ignore=tests/test_release.py \
	--ignore=tests/test_docs.py --ignore=tests/test_site.py
# Real receivers that take minutes to build, start or fill, and the documentation site, have targets of their own.
SLOW := tests/e2e/test_archive_s3.py tests/e2e/test_otlp_phoenix.py tests/e2e/test_room_metrics.py \
	tests/e2e/test_site.py tests/e2e/test_room_recording.py
CALLS := tests/e2e samples/tests $(SLOW:%=--ignore=%)

.PHONY: demo test test-newest-voices test-newest-kept test-newest-rest test-oldest-voices test-oldest-rest \
	test-newest-calls test-oldest-calls may-have-livekit-server livekit-server may-have-otelcol otelcol otel test-phoenix \
	versitygw test-fleet test-s3 test-prometheus test-recording \
	soak lint bench bench-peers commands dist docs test-docs workflows picture gallery lock clean

# A stamp file, so that a second run installs nothing.
$(VENV)/.installed: pyproject.toml requirements/newest.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/newest.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The same suite on the oldest livekit-agents that is supported.
$(OLDEST)/.installed: pyproject.toml requirements/oldest.txt
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@echo "Installing the oldest supported versions into $(OLDEST) ..."
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/oldest.txt
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(VENV)/.installed  ## a whole traced voice call, offline, with real audio; KEEP_AUDIO=1 records it
	@$(BIN)/prefactor-agent demo --out demo-out $(if $(KEEP_AUDIO),--keep-audio)

test: lint $(VENV)/.installed $(OLDEST)/.installed  ## lint, types, and the suite on the oldest and newest LiveKit
	@echo "Testing; some twenty minutes ..."
	@$(MAKE) --no-print-directory $(AT_ONCE) test-newest-voices test-oldest-voices test-newest-rest \
		test-newest-kept may-have-livekit-server test-oldest-rest may-have-otelcol
	@$(MAKE) --no-print-directory test-oldest-calls
	@$(MAKE) --no-print-directory test-newest-calls

# Voices are heard, and processes wait for each other, in real time, which another program on the machine can disturb:
# what failed is run once more, alone, and has to pass then. Both results are shown.
define pytest
$(1)/python -m pytest -q -o cache_dir=.pytest_cache/$@ $(2) || { echo "Once more what failed in $@:"; \
	$(1)/python -m pytest -q -o cache_dir=.pytest_cache/$@ --last-failed $(2); }
endef

test-newest-voices test-newest-kept test-newest-rest test-newest-calls: $(VENV)/.installed
test-oldest-voices test-oldest-rest test-oldest-calls: $(OLDEST)/.installed
test-newest-voices: ; $(call pytest,$(BIN),$(VOICES))
test-newest-kept: ; $(call pytest,$(BIN),$(KEPT))
test-newest-rest: ; $(call pytest,$(BIN),$(REST))
test-newest-calls: ; $(call pytest,$(BIN),$(CALLS))
test-oldest-voices: ; $(call pytest,$(OLDEST)/bin,$(VOICES) --ignore=tests/demo/test_command.py)
test-oldest-rest: ; $(call pytest,$(OLDEST)/bin,$(REST_OLDEST))
test-oldest-calls: ; $(call pytest,$(OLDEST)/bin,$(CALLS) --ignore-glob='tests/e2e/test_room_*' \
	--deselect tests/e2e/test_otlp_collector.py::test_the_demo_call_arrives_as_one_trace)

# Without them, some tests are skipped and say so.
may-have-livekit-server: $(VENV)/.installed
	-@$(BIN)/python -m samples.offline.livekit_binary

may-have-otelcol: $(VENV)/.installed
	-@$(BIN)/python -m samples.otel.collector_binary


livekit-server: $(VENV)/.installed  ## a LiveKit server in .livekit, built if there is none: a minute or two
	@$(BIN)/python -m samples.offline.livekit_binary

otelcol: $(VENV)/.installed  ## an OpenTelemetry Collector in .otelcol, built if there is none: two minutes
	@$(BIN)/python -m samples.otel.collector_binary

otel: $(VENV)/.installed  ## the demo's call in an OpenTelemetry Collector: half a minute, once that is built
	@$(BIN)/python -m samples.otel.demo

# A stamp file, as above. Phoenix is 600 MB, so nothing else installs it.
$(PHOENIX)/.installed: requirements/phoenix.txt
	@test -x $(PHOENIX)/bin/python || $(PYTHON) -m venv $(PHOENIX)
	@echo "Installing Phoenix into $(PHOENIX) ..."
	@$(PHOENIX)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/phoenix.txt
	@touch $@

test-phoenix: $(VENV)/.installed $(PHOENIX)/.installed  ## calls in Arize Phoenix: three minutes and 600 MB
	@PREFACTOR_TEST_PHOENIX=$(PHOENIX)/bin/phoenix $(BIN)/python -m pytest -q tests/e2e/test_otlp_phoenix.py

$(FLEET)/.installed: requirements/fleet.txt
	@test -x $(FLEET)/bin/python || $(PYTHON) -m venv $(FLEET)
	@echo "Installing chdb and kubernetes-validate into $(FLEET) ..."
	@$(FLEET)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/fleet.txt
	@touch $@

test-fleet: $(VENV)/.installed $(FLEET)/.installed  ## the archive in ClickHouse, and the Kubernetes manifest: 600 MB
	@PREFACTOR_TEST_FLEET=$(FLEET)/bin/python $(BIN)/python -m pytest -q tests/archive/test_engines.py

test-s3: versitygw  ## the archive on a real S3 server: five minutes, most of them to build it
	@PREFACTOR_TEST_S3=required $(BIN)/python -m pytest -q tests/e2e/test_archive_s3.py

test-recording: $(VENV)/.installed livekit-server  ## recordings against the trace, to 20 ms, in four calls at once over a LiveKit server: a minute
	@PREFACTOR_TEST_LIVEKIT=required $(BIN)/python -m pytest -q tests/e2e/test_room_recording.py

test-prometheus: livekit-server  ## a real Prometheus scrapes real workers: three minutes; wants prometheus
	@PREFACTOR_TEST_PROMETHEUS=required $(BIN)/python -m pytest -q tests/e2e/test_room_metrics.py

versitygw: $(VENV)/.installed  ## an S3 server in .versitygw, built if there is none: a minute and a half
	@$(BIN)/python -m samples.fleet.versitygw_binary

soak: $(VENV)/.installed livekit-server  ## CALLERS=4 for MINUTES=2 on one worker, with and without tracing
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.soak $(or $(CALLERS),4) $(or $(MINUTES),2)

lint: $(VENV)/.installed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

bench: $(VENV)/.installed  ## half an hour; prints tables of ratios, each measured in one run
	@PYTHONPATH=tests $(BIN)/python -m benchmarks
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.spoken_call
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.many_processes
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.many_writers
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.recording
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.instructions

bench-peers: $(VENV)/.installed  ## ten minutes; the same beside prefactor-livekit and LiveKit's OpenTelemetry
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.peers

$(RELEASE)/.installed: requirements/release.txt
	@test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE)
	@$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/release.txt
	@touch $@

dist: $(RELEASE)/.installed  ## sdist, wheel and bill of materials of the last commit, in dist; each is built twice and tried
	@$(RELEASE)/bin/python -m release.dist

commands: $(VENV)/.installed  ## the reference of the command line in docs/commands.md, from the program
	@$(BIN)/python -m release.commands

$(DOCS)/.installed: requirements/docs.txt
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	@touch $@

docs: $(DOCS)/.installed  ## the documentation site, in site/: every link is checked, and nothing is fetched from elsewhere
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(DOCS)/bin/mkdocs build --quiet --strict
	@$(DOCS)/bin/python -m release.site.check site

test-docs: docs $(VENV)/.installed  ## the site in Chromium: light, dark, narrow; the search
	@PREFACTOR_TEST_SITE=site $(BIN)/python -m pytest -q tests/e2e/test_site.py

workflows:  ## check .github/workflows; wants Go
	@GOFLAGS=-mod=mod go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 .github/workflows/*.yml

picture: $(VENV)/.installed  ## the pictures in the README, from a real run of the demo; wants Chromium
	@$(BIN)/prefactor-agent demo --out demo-out --keep-audio --svg docs/waterfall.svg
	@chromium --headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run \
		--user-data-dir=$$(mktemp -d) --window-size=1440,900 --hide-scrollbars \
		--screenshot=docs/report.png demo-out/call.html 2>/dev/null

gallery: $(VENV)/.installed  ## the pictures in docs/gallery, from calls with a fault each
	@PYTHONPATH=tests $(BIN)/python -m samples.gallery

lock: $(VENV)/.installed  ## renew the lock files (the only target that wants a resolver)
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
		--extra offline --group dev pyproject.toml -o requirements/newest.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
		--extra offline --group dev --constraint requirements/oldest.in pyproject.toml -o requirements/oldest.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
		requirements/release.in -o requirements/release.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
		requirements/docs.in -o requirements/docs.txt

clean:
	rm -rf $(VENV) $(OLDEST) $(RELEASE) $(DOCS) $(PHOENIX) $(FLEET) .mypy_cache .ruff_cache .pytest_cache dist site demo-out .livekit .otelcol .versitygw
