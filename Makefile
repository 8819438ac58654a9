# The two commands of a newcomer are `make demo` and `make test`.
# The Debian packages that the tests drive.
DEBIAN = postfix opendkim opendkim-tools openssl redis-server redis-sentinel systemd groff-base chromium python3 m4 redis-tools mmark prometheus spin gcc libc6-dev strace liburi-perl
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: go build demo demo-sendmail test quick check install man draft bench bench-quick bench-redis bench-sweep bench-verify demo-mailman mailman soak fuzz demo-redis proof

build: go ## static binaries in bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/permalink-milter ./cmd/permalink

test: go install check ## all tests; installs what they need, and fails where something is missing all the same
	CI=true go test -race -timeout 20m ./...

quick: go ## the tests that need nothing installed, in less than a minute
	go test -short -timeout 5m ./...

go: # says what is missing where Go is not there or too old
	@testdata/go.sh

check: go ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

install: mailman ## the programs that the tests drive
	testdata/install.sh $(DEBIAN)
	testdata/unpack.sh sendmail sendmail-bin sendmail-base sendmail-cf
	testdata/unpack.sh mlmmj mlmmj
	testdata/unpack.sh sympa sympa
	testdata/unpack.sh mhonarc mhonarc
	testdata/unpack.sh --alone public-inbox libpublicinbox-perl

mailman: # unpacked, not installed
	testdata/install.sh python3
	registry/mailman/mailmantest/install.sh

man: ## what is generated from the schema and the flags: manual pages, example.toml, the table of config/README.md
	go test ./config ./cmd/permalink-milter -update
	go test ./cmd/permalink -run TestManPages -update

.PHONY: archive
archive: ## a generated archive of a million messages in all kinds of mailboxes: each is found once
	go test -count 1 -v -timeout 30m ./hashheader/mailbox/mailboxtest -messages 1000000

.PHONY: package test-package image vulncheck
package: go ## Debian and RPM packages of the last commit in dist/
	cmd/permalink-milter/package/build.sh dist

test-package: go ## builds the packages and lives with them in scratch roots, under systemd too; needs root
	testdata/install.sh lintian rpm systemd iproute2 adduser
	cmd/permalink-milter/package/test/run.sh

image: go ## an OCI image from scratch in dist/, by buildah; it is run once
	testdata/install.sh buildah
	cmd/permalink-milter/package/image.sh dist

.PHONY: test-clients
test-clients: ## the mail programs of config/clients/README.md, driven with the text that stands there
	testdata/install.sh bsdutils mutt notmuch aerc emacs-nox maildir-utils mu4e elpa-notmuch
	CI=true go test -count=1 -v ./config/clients -drive

vulncheck: ## known vulnerabilities in what the programs call; asks vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

demo: go ## real mail through a private Postfix and the daemon, shown and verified
	testdata/install.sh postfix
	go run ./cmd/internal/demo

demo-sendmail: go ## the same through a private Sendmail
	testdata/install.sh m4
	testdata/unpack.sh sendmail sendmail-bin sendmail-base sendmail-cf
	go run ./cmd/internal/demo -mta sendmail

demo-redis: go ## one message through two mail hosts on one Redis, which is then stopped and started
	testdata/install.sh postfix redis-server redis-tools
	go run ./cmd/internal/demo -redis

PROOF_MESSAGES = 3000
PROOF_SCHEDULES = 100
proof: ## mail hosts and registries while Redis fails in every way, in about twenty minutes (registry/PROOF.md)
	testdata/install.sh postfix redis-server redis-sentinel redis-tools strace spin gcc libc6-dev
	go test -count=1 -timeout 60m -v -run '^Test(HostsAgree|OutagesDelay)' ./cmd/internal/hosts -messages $(PROOF_MESSAGES)
	go test -count=1 -v ./registry/model
	go test -count=1 -v -run 'LosesAnswers|PlantedFaults' ./registry/registrytest/history
	go test -count=1 -timeout 12h -v -run 'Histor|IsFound|Powercut' ./registry/guard ./registry/redisreg -schedules $(PROOF_SCHEDULES)

demo-mailman: go mailman ## posts through Mailman 3 into HyperKitty, both private
	testdata/install.sh postfix
	go run ./cmd/internal/demo/mailman

draft: ## the Internet-Draft: its examples made anew, then XML, HTML and text in dist/draft, checked by idnits
	testdata/install.sh mmark w3m python3
	command -v npm >/dev/null || testdata/install.sh npm
	go test ./hashheader/draft -update
	hashheader/draft/build.sh hashheader/draft/draft-hashed-message-id-00.md dist/draft

bench: ## comparisons with what stands beside us, as tables; BENCH names some of them, FULL=-full measures longer
	testdata/install.sh postfix opendkim libmilter-dev libssl-dev python3-milter redis-server redis-tools strace
	testdata/unpack.sh dovecot dovecot-core dovecot-lmtpd
	go run ./cmd/internal/bench $(FULL) $(BENCH)

bench-quick: ## the same in about five minutes, for the figures before and after a change
	$(MAKE) bench FULL=-quick

BENCH_RESERVATIONS = 1000000
bench-redis: ## memory of a reservation in Redis, and reservations a second beside redis-benchmark
	testdata/install.sh redis-server redis-tools
	go test -run '^$$' -bench . -benchtime $(BENCH_RESERVATIONS)x -timeout 60m ./registry/redisreg

bench-sweep: ## what a reservation feels of the removal of expired ones beside it, bolt and Redis: ratios
	testdata/install.sh redis-server redis-tools
	go test -run '^$$' -bench BesideASweep -benchtime 3000x ./registry/boltreg ./registry/redisreg

bench-verify: ## permalink verify beside grep and Python on one generated mbox of 1 GB
	testdata/install.sh libmilter-dev libssl-dev python3
	go run ./cmd/internal/bench -full verify

FUZZTIME = 1m
fuzz: ## each fuzz target for FUZZTIME; prints executions and coverage; FUZZ names some of them
	testdata/fuzz.sh $(FUZZTIME) $(FUZZ)

SOAK = 10m
soak: ## full load through all doors for SOAK; fails if the daemon's memory, goroutines or descriptors grow
	go run ./cmd/internal/faults/soak -for $(SOAK)
