# SPDX-License-Identifier: GPL-2.0-or-later
# A thin front for Meson and Ninja. `make demo` and `make check` are all that a newcomer needs.

BUILD = build
PREFIX = /usr/local
DESTDIR =
FUZZ_SECONDS = 60
BENCH =
QUIET =

.PHONY: all demo check bench install uninstall fuzz lint format clean help

all: $(BUILD)/build.ninja
	ninja -C $(BUILD) $(QUIET)

$(BUILD)/build.ninja:
	scripts/packages.sh build
	meson setup $(BUILD) --prefix $(PREFIX) $(if $(QUIET),>/dev/null)

help:
	@echo 'make            builds into $(BUILD)/'
	@echo 'make demo       installs what is needed, builds, runs a packaged web server in a container, cleans up (root)'
	@echo 'make check      installs what is needed, builds, runs every test (system tests need root)'
	@echo 'make bench      measures against crun, runc, podman and docker; BENCH="oci_runtime scale" picks tables (root)'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make fuzz       every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make lint       clang-format and clang-tidy; `make format` applies the former'

demo:
	scripts/packages.sh demo
	@echo 'building (about half a minute on two processors) …'
	@$(MAKE) --no-print-directory all QUIET=--quiet
	scripts/demo.sh $(BUILD)

check:
	scripts/packages.sh test fuzz
	tests/run --build $(BUILD)

bench:
	scripts/packages.sh bench
	$(MAKE) --no-print-directory all
	bench/run --build $(BUILD) $(BENCH)

install: all
	DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild

uninstall:
	ninja -C $(BUILD) uninstall

fuzz:
	scripts/packages.sh fuzz
	tests/run --build $(BUILD) --fuzz-seconds $(FUZZ_SECONDS) fuzz

lint:
	scripts/packages.sh lint
	scripts/lint.sh $(BUILD)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD) $(BUILD)-sanitized $(BUILD)-fuzz
