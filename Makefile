# Satchel's everyday commands. `make` alone prints them.

# Go wants a home for its caches; a checkout without one brings its own.
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/.run/home
export GOFLAGS := $(GOFLAGS) -modcacherw
endif

CGO_ENABLED ?= 0
export CGO_ENABLED

GO       ?= go
FOLDERS  := cmd fusefs api cache storage migrations integration
TIMEOUT  ?= 30m
FUZZTIME ?= 20s
ROUNDS   ?= 3
OPERATIONS ?= 1000000
FAULT_ROUNDS ?= 200
NODES    ?= 1000000
SPARSE_GIB ?= 1024
MODEL_ROUNDS ?= 300
SIM_ROUNDS ?= 100000
DURATION ?= 1h
SIM_SEED ?= $(shell date +%s)
TWIN_ROUNDS ?= 2000

# The end-to-end tests whose content goes all the way to the blob store and
# back: `make test` runs them with each store, and all others with files.
STORED   := ^Test(Spine|DevicesFollowEachOther|StorageShows|StoreFileStreams|ThePastComesBack|Quota|ServerKilledWhileWorking|ConflictKeepsBoth|UsersAreApart|Git|Section5|Section6)$$

# What takes the client's locks in most ways: `make test` runs it with their order checked.
LOCKED   := ^Test(Model|Simulation|StuckServer|WrongOrderIsNoticed)$$

.DEFAULT_GOAL := help
.PHONY: help setup build dist run test test-stores stream upload restart sparse exercise twin faults programs desktop check vulncheck race fuzz model simulate screenshots bench bench-user bench-write scale load plans clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing (PostgreSQL, fuse3, git, …); says so first
	@integration/setup.sh $(SETUP)

build: ## bin/satcheld, bin/satchel and bin/satchel-helper
	@[ -x bin/satcheld ] || echo 'building; the first time this takes some minutes'
	@$(GO) build -trimpath -buildvcs=false -o bin/ ./cmd/satcheld ./cmd/satchel ./cmd/satchel-helper

dist: ## static binaries and Debian packages for VERSION, into dist/
	@GO="$(GO)" integration/dist.sh

run: SETUP := run
run: setup build ## a server, a demo user and a mounted folder; Ctrl-C ends all three
	@exec integration/run.sh

test: setup check ## check, then every test: what CI runs
	$(GO) test -timeout $(TIMEOUT) -p 2 ./...
	$(GO) test -tags lockorder -timeout $(TIMEOUT) -run '$(LOCKED)' ./cache/...
	@for store in s3 postgres; do \
		SATCHEL_TEST_BLOBS=$$store $(GO) test -count 1 -timeout $(TIMEOUT) -run '$(STORED)' ./integration || exit 1; \
	done

test-stores: setup ## every end-to-end test with each of the three blob stores (long)
	@for store in file s3 postgres; do \
		SATCHEL_TEST_BLOBS=$$store $(GO) test -count 1 -timeout 60m ./integration || exit 1; \
	done

stream: setup ## 10 GiB through store_file and back, and an archive of 5 GiB, in under 200 MB of memory
	SATCHEL_TEST_STREAM_GIB=10 $(GO) test -timeout 60m -count 1 -run '^Test(StoreFileStreams|ArchiveForUnzip)$$' -v ./integration

upload: setup ## 2 GiB from a browser, with the server killed, a pause and the tab closed on the way
	SATCHEL_TEST_UPLOAD_MIB=2048 $(GO) test -timeout 60m -count 1 -run '^TestWebUploadGoesOn$$' -v ./integration

desktop: SETUP := desktop
desktop: setup ## LibreOffice, a file manager and a picture viewer on the mount, with screenshots into .run/desktop (installs them)
	@mkdir -p .run/desktop
	SATCHEL_DESKTOP=$(CURDIR)/.run/desktop $(GO) test -timeout 30m -count 1 -v -run '^TestDesktop$$' ./integration

restart: setup ## a restart of each of two servers behind nginx, in the middle of 1 GiB
	SATCHEL_TEST_RESTART_MIB=1024 $(GO) test -timeout 30m -count 1 -v -run '^TestRestartBehindNginx$$' ./integration

exercise: setup ## 1,000,000 random operations on files and trees, with the cache evicting (hours)
	SATCHEL_EXERCISE_OPERATIONS=$(OPERATIONS) $(GO) test -timeout 0 -count 1 -v -run TestExercise ./integration

faults: setup ## 200 rounds of two devices that write while something is killed, cut, slow, silent, lying or full (long)
	SATCHEL_FAULT_ROUNDS=$(FAULT_ROUNDS) $(GO) test -timeout 0 -count 1 -v -run '^TestRounds$$' ./integration

twin: setup ## TWIN_ROUNDS (default 2000) random sequences on a mount and on a plain folder, compared call by call
	SATCHEL_TWIN_ROUNDS=$(TWIN_ROUNDS) SATCHEL_TWIN_STEPS=120 $(GO) test -timeout 0 -count 1 -run '^TestTwin$$' ./integration

sparse: setup ## files of SPARSE_GIB (1024) and a thirty-second of it, nearly all hole, on two devices
	SATCHEL_TEST_SPARSE_GIB=$(SPARSE_GIB) $(GO) test -timeout 60m -count 1 -v -run '^TestSparse$$' ./integration

programs: SETUP := programs
programs: setup ## stress-ng, fio, dbench, git, npm, LibreOffice, … on the mount (installs them; long)
	SATCHEL_PROGRAMS=all $(GO) test -timeout 0 -count 1 -v -run TestPrograms ./integration

check: ## gofmt, vet, staticcheck, tidy go.mod, layers, migrations, known vulnerabilities; the client for macOS
	@out=$$(gofmt -l $(FOLDERS)); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/satchel
	GOOS=darwin GOARCH=arm64 $$($(GO) tool -n staticcheck) -tests=false ./cmd/satchel ./cache ./fusefs/... ./api/client
	$(GO) mod tidy -diff
	$(GO) test ./integration/layout
	@GO="$(GO)" integration/vulncheck.sh

vulncheck: ## known vulnerabilities in what is called; VULNDB=URL for a copy of the database
	@GO="$(GO)" integration/vulncheck.sh

race: setup ## every test under the race detector, with the order of locks checked (slow)
	CGO_ENABLED=1 $(GO) test -race -tags lockorder -timeout 60m -p 1 ./...

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	@$(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ { f[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, f[i]; n = 0 }' | \
	while read -r pkg target; do \
		echo "== $$pkg $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$$pkg" || exit 1; \
	done

model: setup ## MODEL_ROUNDS (default 300) rounds of random devices, crashes and disconnects against the promises
	SATCHEL_MODEL_ROUNDS=$(MODEL_ROUNDS) SATCHEL_MODEL_STEPS=120 $(GO) test -timeout 5h -count 1 -run '^TestModel$$' ./cache

simulate: ## SIM_ROUNDS (default 100000) seeded lives of devices on a simulated clock and network (hours)
	SATCHEL_SIM_ROUNDS=$(SIM_ROUNDS) SATCHEL_SIM_SEED=$(SIM_SEED) $(GO) test -timeout 0 -count 1 -run '^TestSimulation$$' ./cache

screenshots: setup ## pictures of the web pages, into docs/screenshots
	@mkdir -p docs/screenshots && rm -f docs/screenshots/*.webp
	SATCHEL_SCREENSHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 -run '^TestScreenshots$$' ./integration

bench: setup ## the everyday work on a plain folder, loopback, Satchel and rclone
	$(GO) run ./integration/bench -rounds $(ROUNDS)

bench-user: setup ## the same as an ordinary user, with satchel-helper and without
	$(GO) run ./integration/bench -rounds $(ROUNDS) -user

bench-write: setup ## the same, and write docs/benchmarks.md
	$(GO) run ./integration/bench -rounds $(ROUNDS) -write docs/benchmarks.md

scale: setup ## commits a second, and what a drive of a million nodes answers, into docs/benchmarks.md
	$(GO) run ./integration/scale -write docs/benchmarks.md

load: setup ## 500 clients that wait, 50 that write and 50 that read for DURATION (1h) on one server and on two, beside rclone and nginx, into docs/reliability.md
	$(GO) run ./integration/load -duration $(DURATION) -write docs/reliability.md

plans: setup ## what PostgreSQL does for each hot query on a drive of NODES (1,000,000), into docs/plans.md
	$(GO) test ./storage/postgres -count 1 -timeout 20m -run '^TestPlans$$' -v -args -plans $(CURDIR)/docs/plans.md -nodes $(NODES)
	$(GO) test ./storage/postgres -count 1 -timeout 20m -run '^TestAdminPlans$$' -v -args -plans $(CURDIR)/docs/plans.md -nodes $(NODES)

clean: ## remove bin/, dist/ and what `make run` kept
	@integration/run.sh --clean
	rm -rf bin dist
