# `make` lists what there is. The work is in cargo and in scripts/test.sh.

TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .venv

CLIENTS := clients-go clients-python clients-node clients-rust clients-java

# Further flags for `nsq up`: make run ARGS="--nsqd-opt mem-queue-size=0"
ARGS ?=

.PHONY: help run test test-long format lint docs core page rust primes clients $(CLIENTS) compose image primes-venv bench doc clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## build nsqd, nsqlookupd and nsqadmin and start all in one process, with the data in ./data
	@bash scripts/page.sh
	@cargo build --locked --release --package nsq-cli --package nsqd --package nsqlookupd --package nsqadmin
	@exec $(TARGET)/release/nsq up --data-path=data $(ARGS)

test: ## run every check and test
	@bash scripts/test.sh

test-long: ## run the tests with more cases, also those that take minutes
	@cargo build --locked --profile long --workspace --bins --tests
	@PROPTEST_CASES=5000 SIMULATION_SEEDS=10000 DURABILITY_TRIALS=200 cargo test --locked --profile long --workspace -- --include-ignored
	@PRIMES_SCALE=10 bash scripts/test.sh primes image

format: ## check the formatting (cargo fmt)
lint: ## check with clippy, warnings denied
docs: ## check that the documentation builds without a warning
core: ## check that the pure core builds without a runtime
page: ## check the page of nsqadmin, and run it in a browser
rust: ## run all tests in Rust
primes: ## run the prime example end to end
clients: ## run the daemons with the client libraries that people use
clients-go: ## only go-nsq, and its own tests
clients-python: ## only pynsq
clients-node: ## only nsqjs, and its own tests
clients-rust: ## only tokio-nsq, and its own tests
clients-java: ## only nsq-j
compose: ## check docker/compose.yaml
image: ## build the container images with buildah, as root, and run them
format lint docs core page rust primes clients $(CLIENTS) compose image:
	@bash scripts/test.sh $@

primes-venv: ## install what the prime example needs, in ./.venv
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement examples/primes/requirements.txt
	@echo "installed; examples/primes/README.md says how to go on"

bench: ## run the benchmarks of the pure parts
	@cargo bench --locked --workspace

doc: ## build the documentation of the code and say where it is
	@cargo doc --locked --workspace --no-deps --document-private-items
	@echo "open $(TARGET)/doc/nsqd/index.html"

clean: ## remove what was built and installed; ./data stays
	@cargo clean
	@rm -rf $(VENV) tests/clients/node/node_modules admin-ui/web/node_modules admin-ui/web/dist
