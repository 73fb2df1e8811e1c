# Needs Node 20 or later with npm to begin with; everything else comes from the lock file, on Linux Node 24 among it.
# Elsewhere the `node` of the path is taken, which must be 24.9 or later.
NODE = $(if $(wildcard node_modules/.bin/node),node_modules/.bin/node,node)
INSTALLED := node_modules/.package-lock.json
BACKEND ?= process
CONFIG ?= .
export BASE TARGET TAG PUSH

.PHONY: help install image demo test test-fast check serve bench dispatcher-image clean
.DEFAULT_GOAL := help

help:
	@echo 'make install         Node 24 and every package of the lock file'
	@echo 'make demo            a workflow runs through a simulated GitHub on this machine (BACKEND=process, docker, ali-eci, azure-aci, gcp-cloud-run, gcp-batch)'
	@echo 'make image           the runner image, with the release in runner-image/runner.sha256 (BASE=, TARGET=slim|dind, TAG=, PUSH=1)'
	@echo 'make test            every check and test'
	@echo 'make test-fast       unit tests only: the ones to run while you work'
	@echo 'make check           types, lint, import boundaries and unused code only'
	@echo 'make serve           the service, from dispatcher.yaml and registrations/ (CONFIG=folder)'
	@echo 'make dispatcher-image  the image of the dispatcher (TAG=name, BASE=image with Node 24, PUSH=1)'
	@echo 'make clean           removes what install and coverage wrote'
	@echo 'make bench NAME=…    a benchmark: burst, dispatch, imports, intake, launch, scale'

install: $(INSTALLED)

# No script of a package is run: better-sqlite3, swc and Node itself come as binaries. npm checks each package against
# the lock file's hash, and a test holds that each has one (test/installed.test.ts).
# Not `npm ci`: it wants the optional binaries of every platform in the lock file; versions are the lock file's anyhow.
$(INSTALLED): package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The variables reach the script through the environment.
image:
	@runner-image/build.sh

demo: install
	@$(NODE) dispatcher/cli/shr.mjs demo --backend $(BACKEND)

test: install
	@$(NODE) test/run.ts

test-fast: install
	@$(NODE) test/run.ts --only fast

check: install
	@$(NODE) test/run.ts --only types,lint,boundaries,unused

serve: install
	@$(NODE) dispatcher/cli/shr.mjs serve $(CONFIG)

bench: install
	@$(NODE) bench/run.ts $(NAME)

dispatcher-image: install
	@$(NODE) package/image.ts $(if $(TAG),--tag $(TAG)) $(if $(BASE),--base $(BASE)) $(if $(PUSH),--push)

clean:
	rm -rf node_modules coverage dist
