.PHONY: help install demo demo-stack compose-test chaos chaos-wipe chaos-failover chaos-snapshot chaos-hosts adversary outages migration test test-fast test-matrix test-fresh test-php-versions lint-mysql branches lint bench parity-bots openapi settings-page lock clean

help:            ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 18

install:         ## Make .venv with what the sidecar needs
	@scripts/install runtime

demo: install    ## Run the main job end to end on this machine; ARGS=--stay keeps it running, ARGS="--messages 20000", ARGS=--odd
	@.venv/bin/sidecar demo $(ARGS)

demo-stack: install ## The same on nginx, PHP-FPM, Laravel, MariaDB and Redis
	@scripts/install-stack
	@.venv/bin/sidecar demo --stack $(ARGS)

compose-test: install ## Build docker-compose.yml's images, run, kill and upgrade its stack; as root; ARGS="--messages 300"
	@scripts/install dev
	@[ "$$(id -u)" != 0 ] || scripts/install-containers
	@.venv/bin/python -m simulator containers $(ARGS)

chaos: install   ## Kill and cut off parts of the real stack under load; ROUNDS=100 SEED=1
	@scripts/install-stack
	@.venv/bin/python -m simulator chaos --rounds $(or $(ROUNDS),20) --seed $(or $(SEED),1) $(ARGS)

chaos-wipe: install ## Wipe Redis in the middle of a campaign; SEED=3 kills the workers with it
	@scripts/install-stack
	@.venv/bin/python -m simulator chaos --wipe --seed $(or $(SEED),1) $(ARGS)

chaos-failover: install ## Take Redis's primary away under load, watched by Sentinels; ROUNDS=50 SEED=1
	@scripts/install-stack
	@.venv/bin/python -m simulator chaos-failover --rounds $(or $(ROUNDS),10) --seed $(or $(SEED),1) $(ARGS)

chaos-snapshot: install ## Put Redis back to how it was some seconds ago, in the middle of a campaign; ROUNDS=20 SEED=1
	@scripts/install-stack
	@.venv/bin/python -m simulator chaos --snapshot --rounds $(or $(ROUNDS),20) --seed $(or $(SEED),1) $(ARGS)

chaos-hosts: install ## Kill one of two hosts, or cut it off, while it sends a campaign; ARGS="--rtt-ms 5 --trouble killed"
	@scripts/install-stack
	@.venv/bin/python -m simulator chaos-hosts $(ARGS)

adversary: install ## Attack the real stack as hostile vendors may; ROUNDS=50 SEED=1 ARGS="--shape php_500"
	@scripts/install-stack
	@.venv/bin/python -m simulator adversary --rounds $(or $(ROUNDS),10) --seed $(or $(SEED),1) $(ARGS)

outages: install ## Send a campaign through outages of the Cloud API; ARGS="--shape html_502 --stack"
	@.venv/bin/python -m simulator outages $(ARGS)

migration: install ## Walk through MIGRATION.md and back, on the real stack; as root; ARGS="--vendors 3"
	@scripts/install-stack
	@.venv/bin/python -m simulator migration $(ARGS)

test:            ## Install what the tests need, and run all checks and tests; ARGS="-k inbox"
	@scripts/install dev
	@scripts/install-stack || [ -z "$$CI" ]
	@$(MAKE) --no-print-directory -j 2 -O lint branches
	@.venv/bin/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-matrix:     ## Package, contract, stack and nginx tests and a demo on other Debians too, as root; SUITES="trixie sid" ARGS="-k modes"
	@scripts/install dev
	@scripts/install-stack || [ -z "$$CI" ]
	@.venv/bin/python -m tests.matrix $(SUITES) $(ARGS)

test-fast:       ## The tests that need no server but the embedded Valkey, in two minutes; ARGS="-k inbox"
	@scripts/install dev
	@.venv/bin/pytest -n 4 --dist worksteal -m "not servers and not slow" --hypothesis-profile fast $(ARGS)

test-fresh:      ## All of it on a clone of HEAD in a bare Debian 12, as root; ARGS="make demo" runs that alone
	@scripts/test-fresh "$(ARGS)"

test-php-versions: install ## The Laravel package's own tests on PHP 8.0 to 8.5; VERSIONS="8.0 8.5"
	@scripts/install-stack
	@scripts/install-portability
	@scripts/test-php-versions $(VERSIONS)

lint-mysql:      ## Hold the Laravel package's statements and the SQL files to MySQL's grammar; ARGS="tests/contract -k claims"
	@scripts/install dev
	@scripts/install-stack
	@scripts/install-portability
	@.venv/bin/python -m tests.portability $(ARGS)

branches:        ## Branch coverage of 100 % where it is a must: ledger, limiter, coalescing, signing, states, retries
	@scripts/install dev
	@scripts/branches

lint:            ## Check style, types and generated files
	@scripts/install dev
	@scripts/lint

bench: install   ## Measure everything beside its peers, in 40 minutes on a machine that does nothing else; ARGS="ingest", ARGS=--quick
	@scripts/install dev
	@scripts/install-stack
	@scripts/install-peers
	@.venv/bin/python -m bench $(ARGS)

parity-bots: install ## Compare the bot matcher with real PHP; CASES=100000 SEED=1
	@scripts/install-stack
	@.venv/bin/python -m tests.parity --cases $(or $(CASES),100000) --seed $(or $(SEED),1)

openapi:         ## Generate the OpenAPI documents from the contracts
	@scripts/install dev
	@.venv/bin/python -m contracts.openapi

settings-page:   ## Generate docs/settings.md and sidecar.example.toml from the settings
	@scripts/install dev
	@.venv/bin/python -m sidecar.settings_page

lock:            ## Pin what pyproject.toml wants; ARGS=--upgrade takes the newest versions
	@scripts/lock $(ARGS)

clean:           ## Remove what was installed and generated here
	@scripts/unmount var
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis var
