# Needs Node 20 or later with npm to begin with; everything else comes from the lock file, on Linux Node 24 among it.
# Elsewhere the `node` of the path is taken, which must be 24.9 or later.
NODE = $(if $(wildcard node_modules/.bin/node),node_modules/.bin/node,node)
INSTALLED := node_modules/.package-lock.json
BACKEND ?= process
CONFIG ?= .
export BASE TARGET TAG PUSH

.PHONY: help deps image demo test test-fast check serve bench dispatcher-image install destroy lazy_install lazy_destroy clean
.DEFAULT_GOAL := help

help:
	@echo 'make deps            Node 24 and every package of the lock file; the others run it by themselves'
	@echo 'make lazy_install ralias=NAME   a dispatcher for that registration, where its first backend is (TARGET=, CONFIG=, IMAGE=, ARGS=)'
	@echo 'make lazy_destroy ralias=NAME   waits for its jobs, then removes all of it (NOW=1 kills them)'
	@echo 'make install TARGET=docker      a dispatcher for all registrations; make destroy TARGET=docker'
	@echo 'make demo            a workflow runs through a simulated GitHub on this machine (BACKEND=process, docker, ali-eci, azure-aci, gcp-cloud-run, gcp-batch)'
	@echo 'make image           the runner image, with the release in runner-image/runner.sha256 (BASE=, TARGET=slim|dind, TAG=, MIRROR=, PUSH=1)'
	@echo 'make test            every check and test'
	@echo 'make test-fast       unit tests only: the ones to run while you work'
	@echo 'make check           types, lint, import boundaries and unused code only'
	@echo 'make serve           the service, from dispatcher.yaml and registrations/ (CONFIG=folder)'
	@echo 'make dispatcher-image  the image of the dispatcher (TAG=name, BASE=image with Node 24, PUSH=1)'
	@echo 'make clean           removes what install and coverage wrote'
	@echo 'make bench NAME=…    a benchmark: burst, dispatch, imports, intake, launch, scale'

deps: $(INSTALLED)

# No script of a package is run: better-sqlite3, swc and Node itself come as binaries. npm checks each package against
# the lock file's hash, and a test holds that each has one (test/installed.test.ts).
# Not `npm ci`: it wants the optional binaries of every platform in the lock file; versions are the lock file's anyhow.
$(INSTALLED): package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The variables reach both scripts through the environment.
image:
	@runner-image/build.sh

demo: deps
	@$(NODE) dispatcher/cli/shr.mjs demo --backend $(BACKEND)

test: deps
	@$(NODE) test/run.ts

test-fast: deps
	@$(NODE) test/run.ts --only fast

check: deps
	@$(NODE) test/run.ts --only types,lint,boundaries,unused

serve: deps
	@$(NODE) dispatcher/cli/shr.mjs serve $(CONFIG)

bench: deps
	@$(NODE) bench/run.ts $(NAME)

dispatcher-image: deps
	@$(NODE) package/image.ts

DEPLOY = $(NODE) dispatcher/cli/shr.mjs deploy
PLACE = $(CONFIG) $(if $(TARGET),--target $(TARGET)) $(if $(IMAGE),--image $(IMAGE)) $(ARGS)

install: deps
ifdef TARGET
	@$(DEPLOY) apply $(PLACE)
else
	@echo 'Nothing is deployed: say where the dispatcher should run.' >&2
	@echo '  make install TARGET=docker       one for all registrations, on this engine' >&2
	@echo '  make lazy_install ralias=NAME    one for that registration, where its first backend is' >&2
	@echo 'make deps brings what the other targets need; docs/install.md has the other ways.' >&2
	@exit 2
endif

destroy: deps
	@$(if $(TARGET),,$(error write TARGET=docker, as for make install))$(DEPLOY) destroy $(PLACE) $(if $(NOW),--now)

lazy_install: deps
	@$(if $(ralias),,$(error write ralias=NAME, the name of a file in registrations/))$(DEPLOY) apply $(PLACE) --registration $(ralias)

lazy_destroy: deps
	@$(if $(ralias),,$(error write ralias=NAME, the name of a file in registrations/))$(DEPLOY) destroy $(PLACE) --registration $(ralias) $(if $(NOW),--now)

clean:
	rm -rf node_modules coverage dist
