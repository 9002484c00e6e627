# SPDX-License-Identifier: GPL-3.0-or-later
# `make help` lists what can be made.

# May be given on the command line:
PYTHON = python3
CRASH = crash
CRASH_INCLUDE = /usr/include/crash
PYTHON_INCLUDE =
PREFIX = /usr
DESTDIR =
BUILD = build
CFLAGS = -O2 -g
WARNINGS = -Wall -Wextra -Werror

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-print-directory

BUILD_DIR := $(abspath $(BUILD))
VENV := $(BUILD_DIR)/venv
VENV_BIN := $(VENV)/bin
EXTENSIONS := $(DESTDIR)$(PREFIX)/lib/crash/extensions

HOST_C := $(sort $(wildcard crash_ext/host/*.c))
HOST_H := $(sort $(wildcard crash_ext/host/*.h))
# batch/ is never loaded into crash: it runs beside it.
MODULES = $(shell find crash_ext -name '*.py' -not -path '*/batch/*')
BATCH = $(shell find crash_ext/batch -name '*.py' -o -name '*.sh' -o -name '*.json' -o -name '*.md')

.PHONY: all
all: $(BUILD)/pyextend.so  ## the loader, build/pyextend.so, and its Python environment

.PHONY: help
help:  ## this list
	@echo 'Targets:'
	@sed -nE 's/^([a-z-]+):.*## (.*)/    \1\t\2/p' Makefile | expand -t 18
	@echo 'Variables, with their defaults:'
	@sed -nE '/^PYTHON = /,/^WARNINGS = /s/^([A-Z_]+ =.*)/    \1/p' Makefile

# --- What has to be on the machine ---------------------------------------------------------

# make, gcc, git and some Python are taken for granted, libc's headers aren't.
HOST_PACKAGES = crash libc6-dev
LAB_PACKAGES = $(shell sed 's/\#.*//' tests/lab/packages.txt)
ARCH_PACKAGES = $(shell sed 's/\#.*//' tests/lab/packages-arch.txt)
# The page is looked at in a browser.
TEST_PACKAGES = chromium
# Debian's Python comes in pieces; another Python is whole.
PYTHON_PACKAGES = $(if $(filter /usr/bin/%,$(shell \
	.ci/python choose '$(PYTHON)' '$(origin PYTHON)')),python3-dev python3-venv)

.PHONY: packages
packages:  ## install the Debian packages that all of this needs
	@.ci/packages $(HOST_PACKAGES) $(PYTHON_PACKAGES) $(LAB_PACKAGES) $(TEST_PACKAGES)

# --- Python --------------------------------------------------------------------------------

.PHONY: FORCE
FORCE:

# Asked every time, written only when the answer is another one.
$(BUILD)/python.env: FORCE
	@PYTHON_INCLUDE='$(PYTHON_INCLUDE)' .ci/python write '$(PYTHON)' '$(origin PYTHON)' '$@'

# The environment is the embedded interpreter's, too. Tables have a plain form without
# tabulate, so a machine without a network gets its loader all the same: pip asks once.
$(BUILD)/venv/.made: $(BUILD)/python.env
	@. '$(BUILD_DIR)/python.env'; echo "venv: $$PY"; "$$PY" -m venv --clear '$(VENV)'
	@'$(VENV_BIN)/pip' install -qq --retries 0 $$('$(VENV_BIN)/python' .ci/requirements) \
		|| echo 'venv: going on without what pip could not install: tables will be plain' >&2
	@touch '$@'

$(BUILD)/venv/.test: $(BUILD)/venv/.made setup.cfg
	@'$(VENV_BIN)/python' .ci/requirements test >'$(BUILD)/requirements.txt'
	@'$(VENV_BIN)/pip' install -qq -r '$(BUILD)/requirements.txt'
	@touch '$@'

.PHONY: venv
venv: $(BUILD)/venv/.test  ## build/venv with everything that checks and tests need

# --- The loader ----------------------------------------------------------------------------

# Asked every time, written only when the answer is another one. Without an answer (headers
# alone are enough to build) the loader judges a crash by the sizes of its structs.
$(BUILD)/crash.env: FORCE
	@mkdir -p '$(@D)'
	@release=$$('$(CRASH)' -v 2>/dev/null | sed -nE 's/^crash ([^ ]+).*/\1/p') || true; \
	[ -n "$$release" ] || echo 'crash: $(CRASH) does not tell its release' >&2; \
	said="CRASH_CFLAGS=$${release:+'-DPYEXTEND_CRASH_RELEASE=\"$$release\"'}"; \
	[ "$$said" = "$$(cat '$@' 2>/dev/null)" ] || printf '%s\n' "$$said" >'$@'

# crash's header is not ours to make warning-free. It finds the machine by itself.
COMPILE = $(CC) -std=gnu11 $(CFLAGS) -fPIC -fvisibility=hidden $(WARNINGS) -isystem '$(CRASH_INCLUDE)' \
	$$CRASH_CFLAGS $$PY_CFLAGS

define link-loader
	@test -f '$(CRASH_INCLUDE)/defs.h' || { echo 'make: no defs.h in $(CRASH_INCLUDE): install' \
		"crash's headers or give CRASH_INCLUDE=" >&2; exit 1; }
	@mkdir -p '$(@D)'
	@. '$(BUILD_DIR)/python.env'; . '$(BUILD_DIR)/crash.env'; set -x; \
		$(COMPILE) $(1) -shared -o '$@' $(HOST_C) $(LDFLAGS) $$PY_LIBS
endef

$(BUILD)/pyextend.so: $(HOST_C) $(HOST_H) $(BUILD)/crash.env $(BUILD)/python.env $(BUILD)/venv/.made
	$(call link-loader,-DPYEXTEND_PYTHON='"$(VENV_BIN)/python"')

# What gets installed may not lean on this directory: it runs the Python it is linked with.
$(BUILD)/install/pyextend.so: $(HOST_C) $(HOST_H) $(BUILD)/crash.env $(BUILD)/python.env
	$(call link-loader)

# The loader with the commands in it: one file to carry to where the dump is.
$(BUILD)/bundle/slableak.so: $(HOST_C) $(HOST_H) $(BUILD)/crash.env $(BUILD)/python.env
	$(call link-loader,-DPYEXTEND_BUNDLE)

$(BUILD)/slableak.so: $(BUILD)/bundle/slableak.so .ci/bundle $(MODULES)
	@cp '$<' '$@.new'
	@. '$(BUILD_DIR)/python.env'; "$$PY" -I .ci/bundle '$@.new' $(MODULES)
	@mv '$@.new' '$@'

.PHONY: bundle
bundle: $(BUILD)/slableak.so  ## loader and commands in one file, build/slableak.so
	@echo '$(BUILD)/slableak.so needs nothing but crash and its Python. In crash: extend slableak.so'

.PHONY: install
install: $(BUILD)/install/pyextend.so  ## put loader and commands where crash looks for extensions
	@install -d '$(EXTENSIONS)'
	@install -m 755 $(BUILD)/install/pyextend.so '$(EXTENSIONS)/pyextend.so'
	@for module in $(MODULES) $(BATCH); do \
		case $$module in *.sh) mode=755;; *) mode=644;; esac; \
		install -D -m $$mode $$module "$(EXTENSIONS)/$$module"; done
	@echo 'Installed in $(EXTENSIONS). In ~/.crashrc, or typed in crash:'
	@printf '    %s\n' 'extend pyextend.so' 'extend slableak.py'

.PHONY: uninstall
uninstall:  ## take away what install has put there
	rm -rf '$(EXTENSIONS)/pyextend.so' '$(EXTENSIONS)/crash_ext'

# --- Use -----------------------------------------------------------------------------------

.PHONY: run
run: $(BUILD)/pyextend.so  ## crash on VMLINUX= and VMCORE= (neither: the live system), with the options in ARGS=
	@printf 'extend %s\n' '$(abspath $(BUILD)/pyextend.so)' '$(abspath crash_ext/slableak.py)' \
		>'$(BUILD_DIR)/run.crash'
	@exec '$(CRASH)' $(ARGS) -i '$(BUILD_DIR)/run.crash' $(if $(VMLINUX),'$(VMLINUX)') $(if $(VMCORE),'$(VMCORE)')

.PHONY: demo
demo:  ## install what is missing, then find a leak in a dump of a real kernel 6.1
	@$(MAKE) packages TEST_PACKAGES=
	@$(MAKE) all
	@'$(VENV_BIN)/python' -m tests.lab.demo '$(CRASH)' '$(BUILD)/pyextend.so'

# --- Judgement -----------------------------------------------------------------------------

PYTHON_CODE := crash_ext mocks tests .ci/requirements .ci/bundle
RUFF = '$(VENV_BIN)/ruff'

.PHONY: check
check: $(BUILD)/venv/.test $(BUILD)/pyextend.so  ## style, types, arrows between rooms, Python 3.8, C
	$(RUFF) check --quiet --config tests/ruff.toml $(PYTHON_CODE)
	$(RUFF) format --quiet --diff --config tests/ruff.toml $(PYTHON_CODE)
	'$(VENV_BIN)/mypy'
	'$(VENV_BIN)/lint-imports' --config setup.cfg --cache-dir '$(BUILD)/cache/import_linter' \
		>'$(BUILD)/imports.txt' || { cat '$(BUILD)/imports.txt'; exit 1; }
	'$(VENV_BIN)/vermin' --quiet -t=3.8- --no-tips --violations crash_ext
	. '$(BUILD_DIR)/python.env'; . '$(BUILD_DIR)/crash.env'; $(COMPILE) -Wshadow -fsyntax-only $(HOST_C); \
		$(COMPILE) -DPYEXTEND_BUNDLE -Wshadow -fsyntax-only $(HOST_C)

# Each job may have a virtual machine of 3 GB. The property tests draw the same cases at every
# run as long as the same modules are loaded: so they have a process of their own, beside the
# others', and are heard at its end.
TEST_JOBS = $(shell jobs=$$(nproc); [ "$$jobs" -le 4 ] || jobs=4; echo "$$jobs")

.PHONY: test
test:  ## install what is missing, check, and run all tests, TEST_JOBS= at a time
	@$(MAKE) packages
	@$(MAKE) check
	'$(VENV_BIN)/python' -m pytest tests/property >'$(BUILD)/property.txt' 2>&1 & property=$$!; status=0; \
	'$(VENV_BIN)/python' -m pytest -n '$(TEST_JOBS)' --dist worksteal --ignore tests/property || status=$$?; \
	wait $$property || status=$$?; cat '$(BUILD)/property.txt'; exit $$status

.PHONY: test-long
test-long:  ## the tests that take minutes each: every kernel where `make test` tries one
	@$(MAKE) packages $(BUILD)/venv/.test
	'$(VENV_BIN)/python' -m pytest -m long

.PHONY: test-matrix
test-matrix:  ## every kernel, scenario and crash (ONLY="6.1 leak"; README=yes keeps the table)
	@$(MAKE) packages
	@$(MAKE) venv
	@'$(VENV_BIN)/python' -m tests.lab.matrix $(if $(README),--readme) $(ONLY)

.PHONY: test-configs
test-configs:  ## kernels of our own configuration: KASAN, SLUB_TINY, profiling, plain lists, SLAB
	@$(MAKE) packages
	@$(MAKE) venv
	'$(VENV_BIN)/python' -m pytest tests/lab/check_configs.py

.PHONY: test-arch
test-arch:  ## kernels of other architectures, big-endian ones too, emulated (ONLY="6.1-s390x leak")
	@$(MAKE) packages
	@.ci/packages $(ARCH_PACKAGES)
	@$(MAKE) venv
	@'$(VENV_BIN)/python' -m tests.lab.matrix --arch $(ONLY)

.PHONY: test-forms
test-forms:  ## every form that makedumpfile gives a dump; dumps cut and damaged
	@$(MAKE) packages
	@$(MAKE) venv
	FORMS=all '$(VENV_BIN)/python' -m pytest tests/lab/test_forms.py tests/lab/test_damage.py

.PHONY: test-live
test-live:  ## the commands on a running kernel, in a virtual machine with 3 GB
	@$(MAKE) packages
	@$(MAKE) venv
	'$(VENV_BIN)/python' -m pytest tests/lab/check_live.py

.PHONY: bench
bench:  ## how fast, as ratios (COMMIT=yes, README=yes keep them; LARGEST=yes: 10^7 objects, too)
	@$(MAKE) packages
	@$(MAKE) venv
	@'$(VENV_BIN)/python' -m tests.bench $(if $(COMMIT),--commit) $(if $(README),--readme) \
		$(if $(LARGEST),--largest)

FUZZ_CASES = 100000

.PHONY: fuzz
fuzz: $(BUILD)/venv/.test  ## FUZZ_CASES= damaged heaps, each under three commands; FUZZ_SEED=
	'$(VENV_BIN)/python' -m tests.property.fuzz '$(FUZZ_CASES)' $(FUZZ_SEED)

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_SECONDS = 60

$(BUILD)/sanitize/pyextend.so: $(HOST_C) $(HOST_H) $(BUILD)/crash.env $(BUILD)/python.env $(BUILD)/venv/.made
	$(call link-loader,$(SANITIZE) -DPYEXTEND_PYTHON='"$(VENV_BIN)/python"')

.PHONY: sanitize
sanitize: $(BUILD)/venv/.test $(BUILD)/sanitize/pyextend.so  ## loader and loops with ASAN and UBSAN: their tests, a minute of fuzz
	NATIVE_CFLAGS='$(SANITIZE)' '$(VENV_BIN)/python' -m tests.sanitize '$(BUILD_DIR)/sanitize/pyextend.so' '$(SANITIZE_SECONDS)'

.PHONY: golden
golden: $(BUILD)/venv/.test  ## write the golden files anew: read their diff before a commit
	'$(VENV_BIN)/python' -m tests.golden

.PHONY: sentences
sentences: $(BUILD)/venv/.test  ## list each sentence that no golden line and no unit test holds (2 minutes; TESTS=: some)
	'$(VENV_BIN)/python' -m tests.sentences $(TESTS)

.PHONY: examples
examples: $(BUILD)/venv/.test  ## write the help pages' examples anew, from the lab's recording
	'$(VENV_BIN)/python' -m tests.lab.examples

.PHONY: page
page: $(BUILD)/venv/.test $(BUILD)/pyextend.so  ## write docs/leak.html anew, the page of the demo's leak
	@$(MAKE) packages TEST_PACKAGES=
	'$(VENV_BIN)/python' -m tests.lab.examplepage '$(CRASH)' '$(BUILD)/pyextend.so'

.PHONY: format
format: $(BUILD)/venv/.test  ## write the Python code in its one form
	$(RUFF) check --quiet --fix --config tests/ruff.toml $(PYTHON_CODE)
	$(RUFF) format --config tests/ruff.toml $(PYTHON_CODE)

.PHONY: clean
clean:  ## remove build/ (the lab's dumps lie elsewhere and stay)
	rm -rf '$(BUILD)'
